"""Calls that an API begins, and clients that behave badly: hang up over their request, ask for everything at once."""

import json
import socket
import threading
import time

import pytest
from dns_kit import Dns
from harness import ok, wait_for
from sip import Agent
from streams_kit import edge
from test_originated import line_of

OVER = {"completed", "busy", "no_answer", "failed", "cancelled", "refused"}


@pytest.fixture
def phone():
    with Agent("busy") as party:
        yield party


@pytest.fixture
def agent():
    with Agent("busy") as party:
        yield party


def request(tenant, number, key):
    """A request for a call, as bytes."""
    base = tenant.admin.base_url
    body = json.dumps({"from": number["e164"], "to": "+12125550147"}).encode()
    own = "".join(f"{name}: {tenant.admin.headers[name]}\r\n" for name in ("authorization", "x-organization-id"))
    head = (
        f"POST /api/v1/calls HTTP/1.1\r\nHost: {base.host}\r\n{own}Idempotency-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (base.host, base.port), head.encode() + body


def calls(tenant):
    return ok(tenant.admin.get("/api/v1/calls", params={"limit": 100}))["data"]


def test_a_client_that_hangs_up_over_its_request_leaves_no_call_that_nobody_makes(tenant, agent, phone):
    line = line_of(tenant, agent, phone)
    for turn in range(40):
        place, message = request(tenant, line, f"gone-{turn}")
        with socket.create_connection(place) as client:
            client.sendall(message)
            time.sleep(0.0004 * turn)
    time.sleep(0.5)
    begun = calls(tenant)
    assert begun, "some of the requests were read"
    over = lambda: (rows := calls(tenant)) and all(call["status"] in OVER for call in rows) and rows  # noqa: E731
    rows = wait_for(over, "every call that was begun is made", 8)
    made = {invite.get("x-call-id") for invite in agent.wait("INVITE", 1)}
    assert {call["id"] for call in rows} <= made, "its agent was called for each"


def test_requests_that_come_at_once_do_not_go_round_a_limit(tenant, agent, phone):
    line = line_of(tenant, agent, phone)
    agent.how = "silent"
    tenant.settings(max_concurrent_calls=1)
    gate, statuses = threading.Barrier(12), []

    def ask(turn):
        place, message = request(tenant, line, f"once-{turn}")
        with socket.create_connection(place) as client:
            gate.wait()
            client.sendall(message)
            statuses.append(int(client.recv(64).split()[1]))

    threads = [threading.Thread(target=ask, args=(turn,)) for turn in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(statuses) == [201] + [429] * 11
    [open_one] = [call for call in calls(tenant) if call["status"] == "ringing"]
    ok(tenant.admin.post(f"/api/v1/calls/{open_one['id']}/hangup"))


def test_a_call_that_still_looks_for_its_targets_is_ended(tmp_path, agent):
    with Dns() as dns:
        dns.silent = True
        server = edge(tmp_path, None, arguments=["--sip-dns", dns.setting]).start()
        try:
            tenant = server.tenant()
            body = {"kind": "sip_trunk", "label": "out", "inbound": {"allowed_addresses": ["203.0.113.99"]},
                    "outbound": {"address": "nowhere.test:5060"}}  # fmt: skip
            trunk = ok(tenant.admin.post("/api/v1/providers", json=body), 201)
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            number = tenant.patch(number, allow_outbound=True)
            body = {"from": number["e164"], "to": "+12125550147"}
            begun = time.monotonic()
            call = ok(tenant.admin.post("/api/v1/calls", json=body), 201)
            ended = ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
            assert (ended["status"], ended["ended_by"], time.monotonic() - begun < 2) == ("cancelled", "api", True)
            time.sleep(3.5)
            assert not [message for message in agent.requests if message.method], "nobody was called"
            assert ok(tenant.admin.get(f"/api/v1/calls/{call['id']}"))["status"] == "cancelled"
        finally:
            server.stop()
