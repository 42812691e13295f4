"""Calls that an API begins, in each dialect: the agent is called first, then who is called; states to their end, bounds, kills."""

import threading
import time

import pytest
from calls_kit import one_record
from harness import new_number, ok, wait_for
from sip import SDP, Agent

CALLEE = "+12125550147"


class Phone(Agent):
    """Who is called, and an agent too: answers INVITEs, re-INVITEs with its SDP, and may ring for a while first."""

    def __init__(self, how="answer", rings=0.0):
        self.rings, self.ringing = rings, {}
        super().__init__(how)

    def _answer(self, request, source):
        if request.method == "INVITE":
            if "tag=" in request.get("to"):
                self.last_change = request
                self.send(request.reply(200, "OK", contact=self.contact, body=SDP), source)
                return
            if self.how == "answer" and self.rings:
                self.last = (request, source)
                self.send(request.reply(180, "Ringing", to_tag=self.tag, contact=self.contact), source)
                threading.Timer(self.rings, self._late, (request,)).start()
                return
        if request.method == "INVITE":
            self.ringing[request.get("call-id")] = (request, source)
        if request.method == "CANCEL":
            self.gone = True
            self.last = self.ringing[request.get("call-id")]
        super()._answer(request, source)

    gone = False
    bodies = property(lambda self: [invite.body for invite in self.got("INVITE")])

    def _late(self, request):
        if not self.gone:
            self.accept()

    def hang_up(self, edge):
        """A BYE to whoever called: their Contact is ours, so no route is needed."""
        self.send_bye(edge)


@pytest.fixture
def phone():
    with Phone() as party:
        yield party


@pytest.fixture
def agent():
    with Phone() as party:
        yield party


@pytest.fixture
def line(tenant, agent, phone):
    """A number that calls out: its endpoint is the agent, its trunk the phone's address."""
    return line_of(tenant, agent, phone)


def line_of(tenant, agent, phone, **endpoint):
    address = f"{phone.address[0]}:{phone.address[1]}"
    body = {
        "kind": "sip_trunk", "label": "out", "inbound": {"allowed_addresses": ["203.0.113.99"]},
        "outbound": {"address": address, "transport": "udp"},
    }  # fmt: skip
    trunk = ok(tenant.admin.post("/api/v1/providers", json=body), 201)
    owner = tenant.agent()
    place = tenant.endpoint(agent.uri, agent=owner, **endpoint)
    number = tenant.number(trunk=trunk, endpoint_id=place["id"])
    number = tenant.patch(number, allow_outbound=True)
    number["agent"], number["endpoint"], number["trunk"] = owner, place, trunk
    return number


def begin(tenant, number, to=CALLEE, status=201, key=None, **more):
    headers = {"idempotency-key": key} if key else {}
    answer = tenant.admin.post("/api/v1/calls", json={"from": number["e164"], "to": to, **more}, headers=headers)
    return ok(answer, status)


def state(tenant, call):
    return ok(tenant.admin.get(f"/api/v1/calls/{call['id']}"))


def until(tenant, call, status, seconds=8):
    return wait_for(lambda: (r := state(tenant, call)) and r["status"] == status and r, f"the call is {status}", seconds)


def test_the_agent_is_called_first_and_both_hang_up_together(tenant, agent, phone, line):
    call = begin(tenant, line, metadata={"order": 7})
    assert (call["status"], call["direction"], call["from"], call["to"]) == ("ringing", "outbound", line["e164"], CALLEE)
    record = until(tenant, call, "answered")
    assert record["metadata"] == {"order": 7}
    first, second = agent.wait("INVITE", 2)
    assert "a=inactive" in first.body and SDP.split("m=")[1] in second.body
    [invite] = phone.wait("INVITE")
    assert invite.uri.startswith(f"sip:{CALLEE}@") and line["e164"] in invite.get("p-asserted-identity")
    assert "a=inactive" not in invite.body and CALLEE in first.get("from")
    assert first.get("x-call-id") == call["id"] and first.get("x-call-metadata")
    assert invite.get("x-call-metadata") is None, "what the client said is not the carrier's"
    time.sleep(1.2)
    phone.hang_up(tenant.server.sip)
    agent.wait("BYE")
    done = one_record(tenant, line, status="completed", ended_by="callee")
    assert done["duration_seconds"] >= 1


def test_the_other_side_is_busy_or_silent_or_unknown(tenant, agent, phone, line):
    for how, status, sip_status in [("busy", "busy", 486), (404, "failed", 404), (603, "busy", 603)]:
        phone.how = how
        record = until(tenant, begin(tenant, line), status)
        assert record["sip_status"] == sip_status, record
    assert len(agent.wait("BYE", 3)) == 3
    phone.how = "ring"
    record = until(tenant, begin(tenant, line, ring_seconds=5), "no_answer", 12)
    assert record["reason"] == "Nobody answered in time."
    phone.wait("CANCEL")


def test_an_agent_that_does_not_answer_leaves_the_other_side_alone(tenant, agent, phone, line):
    agent.how = "busy"
    record = until(tenant, begin(tenant, line), "failed")
    assert record["sip_status"] == 486 and "so nobody was called" in record["reason"]
    assert phone.got("INVITE") == []


def test_a_call_is_cancelled_at_each_stage(tenant, agent, phone, line):
    for place, party in (("agent", agent), ("phone", phone)):
        agent.how, phone.how = "answer", "answer"
        party.how = "ring"
        before = len(party.got("INVITE"))
        call = begin(tenant, line)
        wait_for(lambda party=party, before=before: len(party.got("INVITE")) > before, "it rings")
        time.sleep(0.1)
        ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
        record = until(tenant, call, "cancelled")
        assert record["ended_by"] == "api", place
        party.wait("CANCEL")
    agent.how = phone.how = "answer"
    call = begin(tenant, line)
    until(tenant, call, "answered")
    ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
    assert until(tenant, call, "completed")["ended_by"] == "api"
    phone.wait("BYE")
    agent.wait("BYE", 2)


def test_a_call_lasts_no_longer_than_was_asked_for(tenant, agent, phone, line):
    call = begin(tenant, line, max_seconds=2)
    record = until(tenant, call, "completed", 8)
    assert (record["ended_by"], record["duration_seconds"] in (2, 3)) == ("max_duration", True)
    phone.wait("BYE")


def test_a_repeat_calls_nobody_again(tenant, agent, phone, line):
    first = begin(tenant, line, key="once")
    again = begin(tenant, line, key="once")
    assert first["id"] == again["id"]
    until(tenant, first, "answered")
    time.sleep(0.3)
    assert len(phone.got("INVITE")) == 1
    tenant.server.kill()
    tenant.server.start()
    assert begin(tenant, line, key="once")["id"] == first["id"]
    time.sleep(0.5)
    assert len(phone.got("INVITE")) == 1


def refusal(tenant, number, status, **more):
    answer = tenant.admin.post("/api/v1/calls", json={"from": number["e164"], "to": CALLEE, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_what_may_not_be_called_is_refused_before_anything_rings(tenant, agent, phone, line):
    assert refusal(tenant, line, 403, to="911")["field"] == "to"
    assert refusal(tenant, line, 422, to="hello")["field"] == "to"
    assert refusal(tenant, line, 403, to="+442071838750")["field"] == "to"
    assert refusal(tenant, line, 422, ring_seconds=4)["field"] == "ring_seconds"
    assert refusal(tenant, line, 422, metadata={"a": "x" * 9_000})["field"] == "metadata"
    assert refusal(tenant, {"e164": new_number()}, 404)["field"] == "from"
    tenant.patch(line, allow_outbound=False)
    assert refusal(tenant, line, 403)["field"] == "allow_outbound"
    tenant.patch(line, allow_outbound=True)
    other = tenant.server.tenant("other")
    assert other.admin.post("/api/v1/calls", json={"from": line["e164"], "to": CALLEE}).status_code == 404
    assert agent.got("INVITE") == phone.got("INVITE") == []


def test_a_call_survives_its_process(tenant, agent, phone, line):
    for side in (phone, agent):
        count = len(phone.got("INVITE"))
        call = begin(tenant, line)
        until(tenant, call, "answered")
        wait_for(lambda count=count: len(phone.got("INVITE")) > count and len(agent.bodies) % 2 == 0, "both know")
        tenant.server.kill()
        tenant.server.start()
        other = agent if side is phone else phone
        byes = len(other.got("BYE"))
        side.hang_up(tenant.server.sip)
        other.wait("BYE", byes + 1)
        record = until(tenant, call, "completed")
        assert record["ended_by"] == ("callee" if side is phone else "caller")
        wait_for(lambda side=side: [m for m in side.requests if m.status == 200 and m.cseq_method == "BYE"], "its BYE is answered")
    call = begin(tenant, line)
    until(tenant, call, "answered")
    tenant.server.kill()
    tenant.server.start()
    ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
    assert until(tenant, call, "completed")["ended_by"] == "api"


def test_a_call_whose_process_died_while_it_was_set_up_is_over(tenant, agent, phone, line):
    for stage, party in (("agent", agent), ("phone", phone)):
        agent.how = phone.how = "answer"
        party.how = "ring"
        count = len(party.got("INVITE"))
        call = begin(tenant, line)
        wait_for(lambda party=party, count=count: len(party.got("INVITE")) > count, "it rings")
        time.sleep(0.2)
        cancels = len(party.got("CANCEL"))
        byes = len(agent.got("BYE"))
        tenant.server.kill()
        tenant.server.start()
        party.wait("CANCEL", cancels + 1)
        record = until(tenant, call, "failed")
        assert "restarted" in record["reason"], stage
        if party is phone:
            agent.wait("BYE", byes + 1)
        [end] = [e for e in tenant.pages("/api/v1/events") if e["subject"] == call["id"] and e["name"] != "call.originated"]
        assert end["name"] == "call.failed"


def test_a_side_that_went_while_nobody_was_there_is_found_out(tenant, agent, phone, line):
    """Its BYE met no process: the next one asks, and a side that knows the call no longer (481) has ended it."""
    call = begin(tenant, line)
    until(tenant, call, "answered")
    wait_for(lambda: len(agent.bodies) == 2, "both know")
    tenant.server.kill()
    tenant.server.start()
    phone.wait("OPTIONS")
    agent.wait("OPTIONS")
    time.sleep(0.5)
    assert state(tenant, call)["status"] == "answered", "who answers lives"
    tenant.server.kill()
    answer = phone._answer
    phone._answer = lambda request, source: (
        phone.send(request.reply(481, "No Such Call"), source) if request.method == "OPTIONS" else answer(request, source)
    )
    tenant.server.start()
    agent.wait("BYE")
    record = until(tenant, call, "completed")
    assert record["ended_by"] == "callee" and "481" in record["reason"]


def test_krosai_begins_a_call(tenant, agent, phone, line):
    api = tenant.client("krosai")
    body = {"from_number": line["e164"], "to_number": CALLEE, "metadata": {"a": 1}}
    told = ok(api.post("/v1/outbound-calls", json=body), 200)
    assert (told["status"], told["from_number"], told["to_number"]) == ("initiated", line["e164"], CALLEE)
    wait_for(lambda: ok(api.get(f"/v1/calls/{told['call_id']}"))["status"] == "in_progress", "in progress")
    phone.hang_up(tenant.server.sip)
    wait_for(lambda: ok(api.get(f"/v1/calls/{told['call_id']}"))["status"] == "completed", "completed")
    tenant.patch(line, allow_outbound=False)
    answer = api.post("/v1/outbound-calls", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "OUTBOUND_DISABLED")
    answer = api.post("/v1/outbound-calls", json={**body, "from_number": new_number()})
    assert (answer.status_code, answer.json()["code"]) == (403, "NUMBER_NOT_OWNED")
    assert api.post("/v1/outbound-calls", json={"to_number": CALLEE}).json()["code"] == "MISSING_FIELDS"


def test_cartesia_begins_several_calls_and_cancels_one(tenant, agent, phone, line):
    api = tenant.client("cartesia")
    phone.how = "ring"
    body = {
        "from_number_id": f"pn_{line['id']}", "agent_id": line["agent"]["id"], "ringing_timeout_seconds": 20,
        "outbound_calls": [{"to_number": CALLEE, "metadata": {"n": "1"}}, {"to_number": "911"}, {"to_number": "+12125550148"}],
    }  # fmt: skip
    told = ok(api.post("/agents/calls", json=body), 200)["calls"]
    assert [row["number"] for row in told] == [CALLEE, "911", "+12125550148"]
    assert "message" in told[1]["error"] and "agent_call_id" not in told[1]
    phone.wait("INVITE", 2)
    call = ok(api.get(f"/agents/calls/{told[0]['agent_call_id']}"))
    assert call["agent_id"] == line["agent"]["id"] and call["dynamic_variables"] == {"n": "1"}
    assert (call["telephony_params"]["direction"], call["telephony_params"]["to"]) == ("outbound", CALLEE)
    for row in (told[0], told[2]):
        assert ok(api.post(f"/agents/calls/{row['agent_call_id']}/cancel")) == {"cancelled": True}
    ended = ok(api.get(f"/agents/calls/{told[0]['agent_call_id']}"))
    assert (ended["status"], ended["end_reason"]) == ("failed", "api_cancelled")
    for change in ({"ringing_timeout_seconds": 81}, {"outbound_calls": []}, {"from_number_id": None}):
        assert api.post("/agents/calls", json={**body, **change}).status_code == 400, change
    assert api.post("/agents/calls", json={**body, "agent_id": "nobody"}).status_code == 404
    tenant.patch(line, allow_outbound=False)
    assert api.post("/agents/calls", json=body).status_code == 400


def test_polyai_begins_a_call_and_tells_its_state(tenant, agent, phone, line):
    api = tenant.client("polyai")
    base = f"/v1/agents/{line['agent']['id']}/telephony/outbound-calls"
    body = {"toNumber": "(212) 555-0147", "countryCode": "US", "environment": "live", "metadata": {"a": "b"}}
    told = ok(api.post(base, json=body), 200)
    assert told["callSid"].startswith("OUT-") and told["status"] == "QUEUED"
    where = f"{base}/{told['callSid']}/status?environment=live"
    wait_for(lambda: ok(api.get(where))["status"] == "SUCCESS", "success")
    assert ok(api.get(where))["reason"] == ""
    assert api.get(where.replace("=live", "=sandbox")).status_code == 404
    phone.how = "busy"
    told = ok(api.post(base, json=body), 200)
    where = f"{base}/{told['callSid']}/status?environment=live"
    failed = wait_for(lambda: (r := ok(api.get(where)))["status"] == "FAILURE" and r, "failure")
    assert failed["reason"] == "The number that was called was busy."
    assert api.post(base, json={**body, "environment": "sandbox"}).status_code in (400, 404)
    tenant.patch(line, allow_outbound=False)
    answer = api.post(base, json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "OUTBOUND_NOT_CONFIGURED")


def test_what_is_private_is_in_no_log(tenant, agent, phone, line):
    until(tenant, begin(tenant, line, metadata={"secret": "zebra"}), "answered")
    log = tenant.server.last_log()
    assert CALLEE not in log and "zebra" not in log


def test_a_header_that_the_endpoint_has_of_its_own_stands_once(tenant, agent, phone):
    number = line_of(tenant, agent, phone, headers={"X-Call-ID": "ours-{call_id}"})
    call = begin(tenant, number)
    invite = agent.wait("INVITE")[0]  # the one that changes its media may have come already
    assert invite.all("x-call-id") == [f"ours-{call['id']}"]
    ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
