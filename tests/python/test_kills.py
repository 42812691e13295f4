"""Crash safety of money and numbers: hundreds of deaths (SIGKILL) at random moments of purchases, releases, imports and rentals.

`TRUNKLINE_KILLS` is how many deaths there are in all, `TRUNKLINE_KILL_SEED` the seed, which is printed. Moments are a clock's, so that
the same seed asks the same, and dies at about the same times.
"""

import collections
import os
import random
import threading
import time

import pytest
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

# --- and the checks do find what is wrong -----------------------------------------------------------------------------------


def sell_a_stray(world):
    world.carrier.sell("+31205550001")


def lose_a_number(world):
    sold = [e164 for e164, row in world.carrier.books().items() if row["state"] == "sold"]
    world.carrier.lose(sold[0])


def miscount(world):
    world.server.store.sql("UPDATE entries SET amount = amount + 1 WHERE id = 3")


def forget_answers(world):
    world.server.store.sql("DELETE FROM answers")
    world.server.store.sql("UPDATE intents SET slot = NULL")


@pytest.mark.parametrize("spoil", [sell_a_stray, lose_a_number, miscount, forget_answers])
def test_what_is_spoilt_is_found(tmp_path, spoil):
    world = World(tmp_path / "world", 5)
    lives, behave = iter(range(100)), world.behave

    def misbehave():
        behave()
        if next(lives) == 3:
            spoil(world)

    world.behave = misbehave
    world.begin()
    try:
        with pytest.raises(AssertionError):
            world.live_and_die(8, time.monotonic() + 60)
            world.finish()
    finally:
        world.end()
