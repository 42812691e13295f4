"""Calls that an API begins with other people's SIP on both sides: SIPp as the carrier, SIPp and baresip as the agent."""

import sys
import time
from pathlib import Path

import pytest
from calls_kit import one_record
from harness import ok, wait_for
from sip import Sipp

sys.path.insert(0, str(Path(__file__).parent))
from test_interop import baresip  # noqa: E402, F401  (a fixture is found by its name)
from test_originated import begin, until  # noqa: E402


@pytest.fixture
def parties(tmp_path):
    """Starts SIPp; what is left of it is ended."""
    running = []

    def start(scenario, **how):
        running.append(Sipp(tmp_path, scenario, **how))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def line(tenant, agent_uri, carrier):
    body = {
        "kind": "sip_trunk", "label": "out", "inbound": {"allowed_addresses": ["203.0.113.99"]},
        "outbound": {"address": f"127.0.0.1:{carrier.port}", "transport": "udp"},
    }  # fmt: skip
    trunk = ok(tenant.admin.post("/api/v1/providers", json=body), 201)
    place = tenant.endpoint(agent_uri)
    number = tenant.number(trunk=trunk, endpoint_id=place["id"])
    return tenant.patch(number, allow_outbound=True)


def done(*parties):
    for party in parties:
        party.finish()


def sound_of(trace, which):
    """The media line of the last INVITE that a party got (`which` -1), or of the first (0)."""
    text = trace.read_text()
    bodies = [part for part in text.split("INVITE sip:")[1:] if "m=audio" in part]
    return next(row for row in bodies[which].splitlines() if row.startswith("m=audio"))


def test_the_phone_rings_answers_and_hangs_up(tenant, parties):
    agent, carrier = parties("held_agent"), parties("carrier_leaves", pause=1_500)
    number = line(tenant, agent.uri, carrier)
    call = begin(tenant, number)
    until(tenant, call, "answered")
    done(carrier, agent)
    record = one_record(tenant, number, status="completed", ended_by="callee")
    assert record["duration_seconds"] in (1, 2) and [a["sip_status"] for a in record["attempts"]] == [200, 200]
    assert all(a["ringing_at"] for a in record["attempts"])
    trace = agent.trace.read_text()
    assert "a=inactive" in trace and sound_of(agent.trace, -1) != sound_of(agent.trace, 0), "it learned of the phone"


def test_the_agent_hangs_up(tenant, parties):
    agent, carrier = parties("held_agent_leaves", pause=1_000), parties("agent")
    number = line(tenant, agent.uri, carrier)
    begin(tenant, number)
    done(agent, carrier)
    assert one_record(tenant, number, status="completed", ended_by="caller")["duration_seconds"] in (1, 2)


@pytest.mark.parametrize("why", ["cancelled", "no_answer"])
def test_a_phone_that_rings_is_given_up(tenant, parties, why):
    agent, carrier = parties("held_agent_waits"), parties("carrier_cancelled")
    number = line(tenant, agent.uri, carrier)
    call = begin(tenant, number, ring_seconds=5)
    if why == "cancelled":
        wait_for(lambda: "180 Ringing" in carrier.trace.read_text() if carrier.trace.exists() else False, "it rings")
        ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
    began = time.monotonic()
    done(carrier, agent)
    record = one_record(tenant, number, status=why)
    assert record["ended_by"] == ("api" if why == "cancelled" else record["ended_by"])
    assert why == "cancelled" or 3 < time.monotonic() - began < 8


def test_a_call_lasts_as_long_as_it_may(tenant, parties):
    agent, carrier = parties("held_agent"), parties("agent")
    number = line(tenant, agent.uri, carrier)
    begin(tenant, number, max_seconds=2)
    done(carrier, agent)
    assert one_record(tenant, number, status="completed", ended_by="max_duration")["duration_seconds"] in (2, 3)


def test_a_phone_that_is_busy_or_refuses(tenant, parties):
    for status, state in ((486, "busy"), (404, "failed")):
        agent, carrier = parties("held_agent_waits"), parties("agent_refuses", status=status)
        number = line(tenant, agent.uri, carrier)
        begin(tenant, number)
        done(carrier, agent)
        assert one_record(tenant, number, status=state)["sip_status"] == status


def test_baresip_is_the_agent(tenant, parties, baresip):  # noqa: F811
    carrier = parties("carrier_leaves", pause=2_000)
    number = line(tenant, baresip, carrier)
    call = begin(tenant, number)
    until(tenant, call, "answered")
    carrier.finish()
    record = one_record(tenant, number, status="completed", ended_by="callee")
    assert record["duration_seconds"] in (2, 3)
    # baresip's own media went into the offer to the phone.
    assert sound_of(carrier.trace, 0).startswith("m=audio 3")
