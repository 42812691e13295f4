"""Calls out that others would like to turn round, and what a trunk's own headers say to nobody but its carrier."""

import sys
from pathlib import Path

import pytest
from harness import new_number, ok, wait_for
from sip import Agent, Caller

sys.path.insert(0, str(Path(__file__).parent))
from outbound_kit import CALLED, calling_number, credentials_of, dial, trunk_to  # noqa: E402

SHARED = "127.0.0.27"


@pytest.fixture
def home(server):
    tenant = server.tenant("turned")
    tenant.settings(imports="open")
    return tenant


@pytest.fixture
def carrier():
    with Agent() as party:
        yield party


@pytest.fixture
def agent(server):
    with Caller(server.sip, host=SHARED) as party:
        yield party


@pytest.mark.parametrize("shows", ["number", "user"])
def test_another_tenants_trunk_at_an_agents_address_does_not_take_its_calls_out(server, home, carrier, agent, shows):
    number, (user, password) = calling_number(home, trunk_to(home, carrier, inbound="127.0.0.98"))
    other = server.tenant("neighbour")
    body = {"kind": "sip_trunk", "label": "trap", "inbound": {"allowed_addresses": [SHARED]}}
    trap = ok(other.admin.post("/api/v1/providers", json=body), 201)
    explained = home.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params={"to": CALLED, "from": SHARED})
    assert ok(explained)["outcome"] == "route", "whose trunk is there is nobody else's to know"
    shown = number["e164"] if shows == "number" else user
    call = dial(agent, shown, (user, password))
    assert call.final().status == 200
    call.bye()
    assert carrier.got("INVITE")[0].uri.startswith(f"sip:{CALLED}@")
    # What is nobody's stays unknown, and the trunk's own calls come in.
    stranger = agent.invite(new_number())
    assert stranger.final().status == 404
    ok(other.admin.delete(f"/api/v1/providers/{trap['id']}"), 204)


def test_a_trace_keeps_what_a_trunks_own_headers_say_to_itself(server, home, carrier, agent):
    host, port = carrier.address
    side = {"address": f"{host}:{port}", "headers": {"X-Telnyx-Token": "operators-own"}}
    body = {"kind": "sip_trunk", "label": "operator's", "outbound": side}
    trunk = ok(server.admin.post("/api/v1/providers", json=body), 201)
    number = home.patch(home.number(e164=new_number()), allow_outbound=True)
    ok(home.admin.post(f"/api/v1/numbers/{number['id']}/trace", json={"minutes": 5}))
    call = dial(agent, number, credentials_of(home, number))
    assert call.final().status == 200
    call.bye()
    assert carrier.got("INVITE")[0].get("x-telnyx-token") == "operators-own"
    record = home.call_with(number["e164"], "completed")
    shown = home.admin.get(f"/api/v1/calls/{record['id']}/trace").text
    assert "X-Telnyx-Token:xxx" in shown and "operators-own" not in shown
    with Agent() as answering:
        endpoint = home.endpoint(answering.uri)
        body = {"from": number["e164"], "to": CALLED, "endpoint_id": endpoint["id"]}
        begun = ok(home.admin.post("/api/v1/calls", json=body), 201)
        wait_for(lambda: len(carrier.got("INVITE")) == 2 and len(answering.got("ACK")) == 2, "both are up", 5)
        ok(home.admin.post(f"/api/v1/calls/{begun['id']}/hangup"))
    shown = home.admin.get(f"/api/v1/calls/{begun['id']}/trace").text
    assert "X-Telnyx-Token:xxx" in shown and "operators-own" not in shown
    ok(server.admin.delete(f"/api/v1/providers/{trunk['id']}"), 204)
