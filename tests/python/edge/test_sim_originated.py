"""Calls that an API begins, in a simulation: simulated agents and people ring, answer, refuse, keep silent and hang up; no SIP in the test."""

import time

import pytest
from harness import Server, ok, wait_for, while_up


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("sim"), arguments=["--sim", "--drain-seconds", "1"])
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def tenant(server):
    return server.tenant()


@pytest.fixture(scope="module")
def number(server, tenant):
    """A number of the simulated carrier's, answered by a simulated agent, that may call out."""
    agents = ok(server.admin.get("/sim"), 200)["agents"]["address"]
    sold = ok(server.admin.post("/sim/stock", json={"country": "US", "type": "local", "count": 1}), 201)["data"][0]
    place = tenant.endpoint(f"sip:echo@{agents}")
    made = ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": sold["id"], "endpoint_id": place["id"]}), 201)
    made = wait_for(lambda: (row := tenant.read(made))["status"] == "active" and row, "it is bought")
    return tenant.patch(made, allow_outbound=True) | {"agents": agents}


def begin(tenant, number, to, **more):
    return ok(tenant.native.post("/api/v1/calls", json={"from": number["e164"], "to": to, **more}), 201)


def until(tenant, call, status, seconds=12):
    path = f"/api/v1/calls/{call['id']}"
    return wait_for(lambda: (row := ok(tenant.native.get(path)))["status"] == status and row, f"the call is {status}", seconds)


def test_a_person_rings_answers_and_the_call_is_ended(tenant, number):
    call = begin(tenant, number, "+12125550180")
    began = time.monotonic()
    assert call["status"] == "ringing"
    until(tenant, call, "answered")
    assert time.monotonic() - began > 2.5, "it rang for three seconds"
    ok(tenant.native.post(f"/api/v1/calls/{call['id']}/hangup"))
    record = until(tenant, call, "completed")
    assert record["ended_by"] == "api" and [a["sip_status"] for a in record["attempts"]] == [200, 200]


def test_people_and_agents_do_as_their_names_say(tenant, number):
    calls = {
        (to, state): begin(tenant, number, to, ring_seconds=5)
        for to, state in [
            ("+12125550200", "completed"), ("+12125550486", "busy"), ("+12125550603", "busy"), ("+12125550404", "failed"),
            ("+12125550480", "no_answer"), ("+12125550408", "no_answer"),
        ]
    }  # fmt: skip
    records = {to: until(tenant, call, state) for (to, state), call in calls.items()}
    assert records["+12125550200"]["ended_by"] == "callee" and records["+12125550200"]["duration_seconds"] in (2, 3, 4)
    assert [records[f"+12125550{end}"]["sip_status"] for end in ("486", "603", "404")] == [486, 603, 404]
    for how, status in (("busy", 486), ("hangup-1", None)):
        place = tenant.endpoint(f"sip:{how}@{number['agents']}")
        call = begin(tenant, number, "+12125550123", endpoint_id=place["id"])
        record = until(tenant, call, "failed" if status else "completed")
        assert status is None or record["sip_status"] == status
        assert status or record["ended_by"] == "caller"


def test_a_second_of_a_moved_clock_is_a_second_of_a_call(server, tenant, number):
    tenant.settings(rate_cents_per_minute=60)
    call = begin(tenant, number, "+12125550123", max_seconds=600)
    until(tenant, call, "answered")
    ok(server.admin.post("/sim/clock", json={"advance_seconds": 601}))
    record = until(tenant, call, "completed")
    assert record["ended_by"] == "max_duration" and 600 <= record["duration_seconds"] <= 603
