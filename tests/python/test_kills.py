"""Crash safety of money and numbers: hundreds of deaths (SIGKILL) at random moments of purchases, releases, imports and rentals.

`TRUNKLINE_KILLS` is how many deaths there are in all, `TRUNKLINE_KILL_SEED` the seed, which is printed. Moments are a clock's, so that
the same seed asks the same, and dies at about the same times.
"""

import collections
import os
import random
import threading
import time

from kills_kit import World

KILLS = int(os.environ.get("TRUNKLINE_KILLS") or 500)
#: As many servers live and die side by side; half of them in fast days.
WORLDS = 4
#: Nobody waits longer for all deaths, in seconds.
PATIENCE = 300


def test_whatever_dies_money_and_numbers_stay_together(tmp_path, capsys):
    seed = int(os.environ.get("TRUNKLINE_KILL_SEED") or random.randrange(10**9))
    with capsys.disabled():
        print(f"\nTRUNKLINE_KILL_SEED={seed}: {KILLS} deaths in {WORLDS} worlds")
    began, chance = time.monotonic(), random.Random(seed)
    worlds = [World(tmp_path / f"world{n}", chance.random(), fast=n % 2 == 1) for n in range(WORLDS)]
    for world in worlds:
        world.begin()
    failures = []

    def live(world, deaths):
        try:
            world.live_and_die(deaths, began + PATIENCE)
            world.finish()
        except BaseException as failure:
            failures.append(failure)
        finally:
            world.end()

    shares = [KILLS // WORLDS + (n < KILLS % WORLDS) for n in range(WORLDS)]
    threads = [threading.Thread(target=live, args=pair) for pair in zip(worlds, shares, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with capsys.disabled():
        for world in worlds:
            print(f"  {world.told()}")
        print(f"  {sum(world.kills for world in worlds)} deaths in {time.monotonic() - began:.0f} s")
    if failures:
        # Whatever else went wrong is a note to the first.
        for other in failures[1:]:
            failures[0].add_note(f"also: {other!r}"[:2_000])
        raise failures[0]
    assert sum(world.kills for world in worlds) == KILLS
    done = sum((client.done for world in worlds for client in world.clients), collections.Counter())
    assert all(done[what] >= KILLS // 10 for what in ("bought", "released", "imported", "given up")), done
