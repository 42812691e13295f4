"""What a carrier holds for us and what is held here: they are compared at each start, and by `trunkline reconcile`."""

import os
import subprocess

import pytest
from harness import BINARY, credential, new_number, ok, wait_for
from kills_kit import Carrier, Mortal, pages
from months_kit import events


class World:
    def __init__(self, folder):
        self.carrier = Carrier(folder)
        self.server = Mortal(folder, arguments=["--sim", "--sim-carrier", self.carrier.url]).start()
        self.tenant = self.server.tenant("holder")

    def buy(self, count=1):
        order = {"country": "GB", "type": "local", "count": count, "setup_cost_cents": 100, "monthly_cost_cents": 200}
        rows = ok(self.server.admin.post("/sim/stock", json=order), 201)["data"]
        return [ok(self.tenant.native.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201) for row in rows]

    def ours(self):
        """What the carrier believes to be ours."""
        return {e164 for e164, row in self.carrier.books().items() if row["state"] == "sold"}

    def reconcile(self, *arguments, key=None):
        """Exit code and lines."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        done = subprocess.run(
            [BINARY, "reconcile", "--url", self.server.url, *arguments], capture_output=True, text=True, timeout=60,
            env=clean | {"TRUNKLINE_ADMIN_KEY": key or self.server.admin_key},
        )  # fmt: skip
        return done.returncode, done.stdout.splitlines(), done.stderr

    def held(self):
        return {number["e164"]: number["status"] for number in pages(self.tenant.admin)}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    try:
        yield world
        assert world.server.stop() == 0
    finally:
        for process in (world.server.process, world.carrier.process):
            if process.poll() is None:
                process.kill()
                process.wait()


def test_both_sides_the_same_is_said_and_nothing_is_done(world):
    [number] = world.buy()
    assert world.reconcile() == (0, ["simulated: 1 numbers at the carrier, 1 of its numbers held here"], "")
    assert world.ours() == {number["e164"]}


def test_a_dry_run_tells_and_a_run_mends(world):
    kept, lost = (number["e164"] for number in world.buy(2))
    stray = new_number("NL")
    world.carrier.sell(stray)
    world.carrier.lose(lost)
    balance = world.tenant.balance()
    for _ in range(2):
        code, lines, _ = world.reconcile("--dry-run")
        assert code == 1 and len(lines) == 3, lines
        assert lines[0] == f"{stray}: at the carrier, and nobody's here"
        assert lines[1].startswith(f"{lost}: number ") and lines[1].endswith(f"{world.tenant.id}, and not at the carrier"), lines
        assert world.ours() == {kept, stray}, "nothing was changed"
    code, lines, err = world.reconcile()
    assert code == 0, (lines, err)
    assert lines[0].endswith("; given back") and lines[1].endswith("; recovered"), lines
    assert world.ours() == {kept, lost} == set(world.held())
    assert world.tenant.balance() == balance, "nobody pays for it"
    [told] = events(world.tenant, "number.recovered")
    assert world.reconcile()[0] == 0
    assert events(world.tenant, "number.recovered") == [told]


def test_at_each_start_it_is_compared_and_mended(world):
    kept, lost = (number["e164"] for number in world.buy(2))
    world.server.kill()
    stray = new_number("NL")
    world.carrier.sell(stray)
    world.carrier.lose(lost)
    world.server.start()
    wait_for(lambda: world.ours() == {kept, lost}, "both sides hold the same", 10)
    assert set(world.held()) == {kept, lost}
    text = world.server.log.read_text()
    assert "that is nobody's" in text and "has lost a number" in text and stray not in text and lost not in text


def test_what_the_carrier_will_not_sell_again_stays_for_people_to_decide(world):
    [number] = world.buy()
    world.carrier.lose(number["e164"])
    world.carrier.say(e164=number["e164"], outcome="fail")
    code, lines, _ = world.reconcile()
    assert code == 1 and "; refused (" in lines[0], lines
    assert world.held() == {number["e164"]: "active"}
    [told] = events(world.tenant, "number.lost")
    assert told["subject"] == number["id"] and told["data"]["reason"]
    # A restart asks no more for a day; whoever says so does.
    world.carrier.say(e164=number["e164"], outcome="ok")
    world.server.kill()
    world.server.start()
    assert world.reconcile("--dry-run")[0] == 1 and world.ours() == set()
    assert world.reconcile()[0] == 0 and world.ours() == {number["e164"]}


def test_a_great_many_are_mended_only_when_somebody_says_so(world):
    """A store that is not this account's would give back everything."""
    [number] = world.buy()
    strays = {new_number("NL") for _ in range(11)}
    for stray in strays:
        world.carrier.sell(stray)
    world.server.kill()
    world.server.start()
    wait_for(lambda: "trunkline reconcile --dry-run" in world.server.log.read_text(), "the log says what to do")
    assert world.ours() == strays | {number["e164"]}
    code, lines, _ = world.reconcile()
    assert code == 0 and len(lines) == 12 and world.ours() == {number["e164"]}


def test_a_carrier_that_is_away_is_no_reason_to_change_anything(world):
    [number] = world.buy()
    world.carrier.stop()
    code, lines, _ = world.reconcile()
    assert code == 1 and lines[-1].startswith("not compared to the end"), lines
    assert world.held() == {number["e164"]: "active"}


def test_who_is_not_the_operator_is_told_so(world):
    code, lines, err = world.reconcile(key=world.tenant.key("native"))
    assert code == 3 and not lines and "403" in err, (code, err)
    assert world.reconcile(key="wrong")[0] == 3


def test_numbers_for_tests_are_not_looked_for(world):
    """Each node has a carrier of its own for them: what one has bought the next does not find."""
    tester = world.server.api(credential("native", world.tenant.key("native", mode="test")))
    [row] = ok(tester.get("/api/v1/stock", params={"country": "US", "limit": 1}), 200)["data"]
    number = ok(tester.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
    assert world.ours() == {number["e164"]}
    world.carrier.lose(number["e164"])
    assert world.reconcile()[0] == 0 and world.ours() == set()


def test_what_somebody_has_by_now_does_not_go_back(world):
    """Work to give a stray back was written down, and somebody bought it before the carrier was asked."""
    [number] = world.buy()
    world.server.kill()
    own = f"e164 = {number['e164'][1:]}"
    world.server.store.sql(f"UPDATE intents SET work = 'release', progress = 'open', number_id = NULL, next_at = 0 WHERE {own}")
    world.server.start()
    wait_for(lambda: world.server.store.sql(f"SELECT progress FROM intents WHERE {own}") == [("done",)], "it is looked at", 10)
    assert world.ours() == {number["e164"]} == set(world.held())
    assert world.reconcile()[0] == 0
