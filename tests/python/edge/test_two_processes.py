"""Two processes on one store: what one lets in holds money and room in the other within a few seconds."""

import time

import pytest
from harness import Server, ok, wait_for
from sip import Agent, Caller


@pytest.fixture
def pair(tmp_path):
    """Two servers of one store and one secret."""
    one, other = (Server(tmp_path, arguments=["--drain-seconds", "1"]) for _ in range(2))
    other.admin_key = one.admin_key
    try:
        yield one.start(), other.start()
    finally:
        for server in (one, other):
            if server.process:
                server.stop()


def test_calls_of_one_process_hold_money_and_room_in_the_other(pair):
    one, other = pair
    tenant = one.tenant(cents=150)
    rate = {"direction": "inbound", "prefix": "", "rate_per_minute_micros": 1_000_000, "minimum_seconds": 60, "increment_seconds": 60}
    ok(one.admin.post("/api/v1/rates", json=rate, headers={"x-organization-id": tenant.id}), 201)
    with Agent() as agent, Caller(one.sip) as caller, Caller(other.sip) as beside:
        trunk = tenant.trunk("127.0.0.1")
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        there = other.api(tenant.admin.headers)
        wait_for(lambda: there.get(f"/api/v1/numbers/{number['e164']}/explain").json().get("sip_status") == 200, "the other knows it")
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        # A minute is held of a minute and a half: there is nothing left for another call, wherever it comes.
        refused = lambda: there.get(f"/api/v1/numbers/{number['e164']}/explain").json()["sip_status"] == 402  # noqa: E731
        began = time.monotonic()
        wait_for(refused, "the other holds the money too", 6)
        assert time.monotonic() - began < 5
        assert beside.invite(number["e164"]).final().status == 402
        call.bye()
        # Room, likewise.
        tenant.credit(100_000)
        tenant.settings(max_concurrent_calls=1)
        second = caller.invite(number["e164"])
        assert second.final().status == 200
        full = lambda: there.get(f"/api/v1/numbers/{number['e164']}/explain").json()["sip_status"] == 486  # noqa: E731
        wait_for(full, "the other counts it too", 6)
        second.bye()
