"""What the tests of calls controlled from our side share: a carrier, an agent that answers, a call that is up, looks at its end."""

import re
import time

import pytest
from harness import ok, wait_for
from sip import Agent, Caller

NOBODY = "0190b5b0-1111-7222-8333-444455556666"


@pytest.fixture(scope="module")
def carrier(tenant):
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


@pytest.fixture
def caller(carrier):
    with Caller(carrier.server.sip) as party:
        yield party


@pytest.fixture
def answering():
    with Agent() as party:
        yield party


def line(carrier, *targets, **fields):
    return carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(*targets)["id"], **fields)


def up(caller, carrier, number):
    """A call that is answered, and its record."""
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    return call, carrier.call_with(number["e164"], "answered")


def up_after_ringing(caller, agent, number, **how):
    """A call whose agent rings and then answers: not both at once, for a 180 that a 200 has overtaken goes no further."""
    agent.how = "ring"
    call = caller.invite(number["e164"], **how)
    call.response(lambda m: m.status == 180, what="ringing")
    agent.accept()
    assert call.final().status == 200
    return call


def stays_up(caller, agent, seconds):
    """For so long nobody is told an end. An answer may come again, where an INVITE was repeated."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        message = caller.receive(left)
        assert message is None or message.status == 200, message
    assert agent.got("BYE") == []


def hang_up(tenant, record, status=200):
    answer = tenant.admin.post(f"/api/v1/calls/{record['id']}/hangup")
    return ok(answer, 200) if status == 200 else answer_with(answer, status)


def answer_with(answer, status):
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:400]}"
    return answer.json()


def bye_at(caller, call, seconds=8):
    """Waits for the BYE at the caller, answers it, and gives it."""
    bye = caller.receive_until(lambda m: m.method == "BYE" and m.get("call-id") == call.id, seconds, "a BYE at the caller")
    caller.send(bye.reply(200, "OK"), caller.peer)
    return bye


def tag_of(header):
    return re.search(r";tag=([^;]+)", header)[1]


def check_byes(call, agent, at_caller, at_agent):
    """Both BYEs belong to the dialog, each as if from the other side (RFC 3261 section 12.2.1.1)."""
    assert (tag_of(at_caller.get("to")), tag_of(at_caller.get("from"))) == (call.tag, agent.tag)
    assert (tag_of(at_agent.get("from")), tag_of(at_agent.get("to"))) == (call.tag, agent.tag)
    assert at_caller.uri == call.caller.contact and at_agent.uri == agent.contact
    assert "Q.850" in at_caller.get("reason") and "Q.850" in at_agent.get("reason")
    # Nobody of the other side is in them: they are ours.
    assert len(at_caller.all("via")) == len(at_agent.all("via")) == 1


def one_record(carrier, number, **wanted):
    """Waits until the number's only call is over, and that nothing more comes: one record, one terminal event."""
    wait_for(lambda: [c for c in carrier.calls(number["e164"]) if c["ended_at"]], "the call is over")
    time.sleep(0.3)
    [record] = carrier.calls(number["e164"])
    assert {name: record[name] for name in wanted} == wanted, record
    events = [e for e in carrier.pages("/api/v1/events") if e["subject"] == record["id"] and e["name"].startswith("call.")]
    terminal = [e for e in events if e["name"] not in ("call.hung_up", "call.originated", "call.started")]
    assert len(terminal) == 1, events
    return record
