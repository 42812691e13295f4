"""Real calls through the built binary: SIPp as caller and agent, and plain sockets where a test has to misbehave.

The caller stands for a carrier: its address, 127.0.0.1, is the one that the organization's trunk allows.
"""

import threading
import time

import pytest
from harness import new_number, ok, wait_for
from sip import SDP, Agent, Caller, Sipp


@pytest.fixture(scope="module")
def carrier(tenant):
    """The tenant, with a trunk that 127.0.0.1 may use."""
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


@pytest.fixture(scope="module", autouse=True)
def minute(carrier, tmp_path_factory):
    """A call of 61 seconds, up while the other tests of this module run."""
    folder = tmp_path_factory.mktemp("minute")
    agent = Sipp(folder, "agent", timeout=120)
    number = line(carrier, agent.uri)
    caller = Sipp(folder, "caller", remote=carrier.server.sip, user=number["e164"], pause=61_000, timeout=120)
    yield number, caller, agent
    caller.stop()
    agent.stop()


@pytest.fixture
def caller(carrier):
    with Caller(carrier.server.sip) as party:
        yield party


@pytest.fixture
def answering():
    with Agent() as party:
        yield party


def line(carrier, *targets, **fields):
    """A number on the carrier's trunk whose endpoint has these targets."""
    return carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(*targets)["id"], **fields)


def completed(carrier, number, seconds, attempts=1):
    call = carrier.call_with(number["e164"], "completed")
    assert abs(call["duration_seconds"] - seconds) <= 1, call
    assert len(call["attempts"]) == attempts, call
    assert call["direction"] == "inbound" and call["endpoint_id"] == carrier.read(number)["endpoint_id"]
    assert call["started_at"] <= call["answered_at"] <= call["ended_at"]
    one = ok(carrier.admin.get(f"/api/v1/calls/{call['id']}"), 200)
    # What a list leaves out: why it went where it went.
    receipt = one.pop("receipt")
    assert one == call and receipt["steps"] and all(step["passed"] for step in receipt["steps"])
    return call


# --- Completed calls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_call_is_carried_and_metered(carrier, tmp_path, tcp):
    agent = Sipp(tmp_path, "agent", tcp=tcp)
    number = line(carrier, agent.uri + (";transport=tcp" if tcp else ""))
    Sipp(tmp_path, "caller", remote=carrier.server.sip, user=number["e164"], pause=1_500, tcp=tcp).finish()
    agent.finish()
    call = completed(carrier, number, 1.5)
    assert call["number"] == number["e164"] and call["to"].endswith(number["e164"]) and "+12125550100" in call["from"]
    trace = agent.trace.read_text()
    assert "Record-Route: <sip:" in trace and ";lr" in trace
    # A target without a user part is asked for the dialled number.
    assert f"INVITE sip:{number['e164']}@127.0.0.1:{agent.port}" in trace


@pytest.mark.parametrize("caller_tcp", [False, True], ids=["udp-to-tcp", "tcp-to-udp"])
def test_a_call_crosses_transports(carrier, tmp_path, caller_tcp):
    agent = Sipp(tmp_path, "agent", tcp=not caller_tcp)
    number = line(carrier, agent.uri + ("" if caller_tcp else ";transport=tcp"))
    Sipp(tmp_path, "caller", remote=carrier.server.sip, user=number["e164"], tcp=caller_tcp).finish()
    agent.finish()
    completed(carrier, number, 0.2)


def test_two_hundred_calls_all_complete(carrier, tmp_path):
    agent = Sipp(tmp_path, "agent", calls=200)
    number = line(carrier, agent.uri)
    Sipp(tmp_path, "caller", remote=carrier.server.sip, user=number["e164"], calls=200, rate=100).finish()
    agent.finish()
    rows = wait_for(
        lambda: [c for c in carrier.calls(number["e164"]) if c["status"] == "completed"][199:] and carrier.calls(number["e164"]),
        "200 completed calls",
    )
    assert len(rows) == 200 and {c["status"] for c in rows} == {"completed"}
    assert len({c["id"] for c in rows}) == 200


def test_the_agent_may_hang_up(carrier, caller, answering):
    number = line(carrier, answering.uri)
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    answering.wait("ACK")
    answering.send_bye(carrier.server.sip)
    bye = caller.receive_until(lambda m: m.method == "BYE", 5, "the agent's BYE at the caller")
    assert bye.get("call-id") == call.id
    caller.send(bye.reply(200, "OK"), caller.peer)
    wait_for(lambda: [m for m in answering.requests if m.status == 200], "the 200 to the BYE at the agent")
    completed(carrier, number, 0)


def test_a_call_is_changed_by_a_reinvite_without_being_routed_again(carrier, tmp_path, answering):
    agent = Sipp(tmp_path, "agent_reinvite")
    number = line(carrier, agent.uri)
    running = Sipp(tmp_path, "caller_reinvite", remote=carrier.server.sip, user=number["e164"], pause=1_000)
    carrier.call_with(number["e164"], "answered")
    # From here on new calls go elsewhere; the re-INVITE must not.
    carrier.patch(number, endpoint_id=carrier.endpoint(answering.uri)["id"])
    running.finish()
    agent.finish()
    assert answering.got("INVITE") == []
    call = carrier.call_with(number["e164"], "completed")
    assert abs(call["duration_seconds"] - 2) <= 1 and len(carrier.calls(number["e164"])) == 1


def test_bodies_and_foreign_headers_pass_untouched(carrier, caller, answering):
    number = line(carrier, answering.uri)
    identity = 'eyJhbGciOiJFUzI1NiJ9.e30.c2ln;info=<https://cert.example/a.pem>;alg=ES256;ppt="shaken"'
    call = caller.invite(number["e164"], headers=[("Identity", identity), ("X-Order", "42")])
    assert call.final().status == 200
    [invite] = answering.wait("INVITE")
    assert invite.body == SDP and invite.get("identity") == identity and invite.get("x-order") == "42"
    assert invite.get("max-forwards") == "69" and len(invite.all("via")) == 2
    assert invite.get("from") == call.from_ and invite.get("to") == call.to and invite.get("call-id") == call.id
    assert call.answer.body == SDP
    call.bye()


# --- Configuration and calls -------------------------------------------------------------------------------------------------


def test_the_call_after_a_patch_goes_to_the_new_agent(carrier, tmp_path):
    first, second = (Sipp(tmp_path, "agent") for _ in range(2))
    number = line(carrier, first.uri)
    other = carrier.endpoint(second.uri)
    Sipp(tmp_path, "caller", remote=carrier.server.sip, user=number["e164"]).finish()
    first.finish()
    ok(carrier.krosai.patch(f"/v1/phone-numbers/{number['id']}", json={"endpointId": other["id"]}), 200)
    Sipp(tmp_path, "caller", remote=carrier.server.sip, user=number["e164"]).finish()
    second.finish()
    # A call is on record a moment after it was.
    called = lambda: [c["endpoint_id"] for c in carrier.calls(number["e164"])]  # noqa: E731
    wait_for(lambda: len(called()) >= 2, "both calls are on record")
    assert called() == [number["endpoint_id"], other["id"]]


def test_each_call_follows_the_patch_before_it(carrier, caller):
    with Agent() as one, Agent() as two:
        ends = [carrier.endpoint(agent.uri)["id"] for agent in (one, two)]
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=ends[0])
        path = f"/v1/phone-numbers/{number['id']}"
        for turn in range(1, 31):
            at = turn % 2
            ok(carrier.krosai.patch(path, json={"endpointId": ends[at]}), 200)
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            (one, two)[at].wait("INVITE", (turn + 1) // 2 if at else turn // 2)
            call.bye()
        assert len(one.got("INVITE")) == len(two.got("INVITE")) == 15


def test_a_dead_first_target_is_passed_over(carrier, tmp_path):
    agent = Sipp(tmp_path, "agent")
    with Caller(carrier.server.sip) as nobody:
        dead = f"sip:127.0.0.1:{nobody.address[1]}"
    number = line(carrier, (dead, 1, 1), (agent.uri, 2, 1))
    Sipp(tmp_path, "caller", remote=carrier.server.sip, user=number["e164"]).finish()
    agent.finish()
    completed(carrier, number, 0.2, attempts=2)


def test_a_silent_first_target_is_passed_over_and_its_late_answer_ended(carrier, caller, answering):
    with Agent("silent") as silent:
        number = line(carrier, (silent.uri, 1, 1), (answering.uri, 2, 1))
        started = time.monotonic()
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        silent.wait("INVITE")
        assert 1.5 <= call.at - started <= 5, "no provisional answer in two seconds moves a call on"
        call.bye()
        completed(carrier, number, 0, attempts=2)
        # It wakes up and answers: that answer is acknowledged and ended, and nobody else hears of it.
        silent.how = "answer"
        silent.last = (silent.got("INVITE")[0], carrier.server.sip)
        silent.accept()
        silent.wait("ACK")
        silent.wait("BYE")
        assert len(carrier.calls(number["e164"])) == 1


@pytest.mark.parametrize("status", [408, 480, 500, 503])
def test_the_next_target_is_asked_after(carrier, caller, answering, status):
    with Agent(status) as refusing:
        number = line(carrier, (refusing.uri, 1, 1), (answering.uri, 2, 1))
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        refusing.wait("ACK")
        call.bye()
        completed(carrier, number, 0, attempts=2)


@pytest.mark.parametrize(("status", "row"), [(404, "failed"), (486, "busy"), (603, "busy")])
def test_the_next_target_is_not_asked_after(carrier, caller, answering, status, row):
    with Agent(status) as refusing:
        number = line(carrier, (refusing.uri, 1, 1), (answering.uri, 2, 1))
        assert caller.invite(number["e164"]).final().status == status
        refusing.wait("ACK")
        assert answering.got("INVITE") == []
        call = carrier.call_with(number["e164"], row)
        assert len(call["attempts"]) == 1 and not call["duration_seconds"]


def test_a_busy_agent_is_reported_to_sipp(carrier, tmp_path):
    agent = Sipp(tmp_path, "agent_refuses", status=486)
    number = line(carrier, agent.uri)
    Sipp(tmp_path, "caller_refused", remote=carrier.server.sip, user=number["e164"], status=486).finish()
    agent.finish()
    assert len(carrier.call_with(number["e164"], "busy")["attempts"]) == 1


def test_targets_of_a_lower_priority_value_come_first_and_share_by_weight(carrier, caller):
    with Agent() as heavy, Agent() as light, Agent() as spare:
        number = line(carrier, (spare.uri, 2, 100), (heavy.uri, 1, 9), (light.uri, 1, 1))
        for _ in range(60):
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            call.bye()
        counts = [len(agent.got("INVITE")) for agent in (heavy, light, spare)]
        assert counts[2] == 0 and sum(counts) == 60
        # 54 expected of 60 by 9 : 1; fewer than 40 has a chance below one in a hundred thousand.
        assert counts[0] >= 40, counts


def test_a_disabled_target_is_not_asked(carrier, caller, answering):
    with Agent() as disabled:
        endpoint = carrier.endpoint(answering.uri)
        targets = [
            {"uri": disabled.uri, "priority": 1, "weight": 1, "enabled": False},
            {"uri": answering.uri, "priority": 2, "weight": 1, "enabled": True},
        ]
        ok(carrier.admin.patch(f"/api/v1/endpoints/{endpoint['id']}", json={"targets": targets}), 200)
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=endpoint["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        assert disabled.got("INVITE") == []


# --- Cancel, retransmissions, OPTIONS, Max-Forwards --------------------------------------------------------------------------


def test_a_caller_gives_up_by_cancel(carrier, tmp_path):
    with Agent("ring") as agent:
        number = line(carrier, agent.uri)
        Sipp(tmp_path, "caller_cancel", remote=carrier.server.sip, user=number["e164"]).finish()
        assert len(agent.wait("CANCEL")) == 1
        agent.wait("ACK")
    call = carrier.call_with(number["e164"], "cancelled")
    assert call["answered_at"] is None and not call["duration_seconds"]


def test_a_retransmitted_invite_is_one_call(carrier, caller):
    with Agent("ring") as agent:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        trying = call.response(lambda m: m.status == 100, what="100 Trying")
        assert trying.get("call-id") == call.id
        call.response(lambda m: m.status == 180)
        for _ in range(5):
            call.send()
        agent.accept()
        assert call.final().status == 200
        call.bye()
        assert len(agent.wait("INVITE")) == 1
        completed(carrier, number, 0)
        assert len(carrier.calls(number["e164"])) == 1


def test_a_retransmitted_200_is_passed_until_the_ack_comes(carrier, caller, answering):
    number = line(carrier, answering.uri)
    call = caller.invite(number["e164"])
    first = call.response(lambda m: m.status == 200)
    answering.accept()
    second = call.response(lambda m: m.status == 200, what="the repeated 200")
    assert first.encode() == second.encode()
    answering.accept()
    call.final()
    answering.wait("ACK")
    call.bye()
    completed(carrier, number, 0)


def test_options_from_a_trunk_is_answered(caller, carrier):
    assert caller.options().status == 200


def test_no_hops_left(carrier, caller, answering):
    number = line(carrier, answering.uri)
    assert caller.invite(number["e164"], max_forwards=0).final().status == 483
    assert answering.got("INVITE") == []
    call = caller.invite(number["e164"], max_forwards=1)
    assert call.final().status == 200
    assert answering.wait("INVITE")[0].get("max-forwards") == "0"
    call.bye()


def test_a_required_extension_of_the_proxy_is_refused(carrier, caller, answering):
    number = line(carrier, answering.uri)
    answer = caller.invite(number["e164"], headers=[("Proxy-Require", "teleport")]).final()
    assert answer.status == 420 and "teleport" in answer.get("unsupported")
    assert answering.got("INVITE") == []


# --- Refusals ----------------------------------------------------------------------------------------------------------------


def refused(carrier, caller, number, words):
    """A call to the number is refused as `explain` says, in words that name the cause, and leaves a row."""
    told = carrier.explain(number)
    answer = caller.invite(number["e164"]).final()
    assert answer.status == told["sip_status"] >= 400, told
    assert told["outcome"] and told["steps"] and any(word in told["reason"].lower() for word in words), told
    row = carrier.call_with(number["e164"], "refused")
    assert not row["duration_seconds"] and row["attempts"] == []
    return answer.status


def test_a_number_that_nobody_has_is_404(caller, carrier):
    assert caller.invite(new_number()).final().status == 404


@pytest.mark.parametrize("user", ["", "+", "abc", "+999", "0" * 200, "%00", "+1415555%zz"])
def test_what_is_no_number_is_refused(caller, carrier, user):
    assert caller.invite(user).final().status in (400, 404, 416, 484)


def test_a_number_without_endpoint_is_480(carrier, caller):
    number = carrier.number(trunk=carrier.its_trunk)
    assert refused(carrier, caller, number, ("endpoint",)) == 480


def test_an_endpoint_without_targets_is_480(carrier, caller):
    number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint()["id"])
    assert refused(carrier, caller, number, ("target",)) == 480


def test_an_inactive_number_is_refused(carrier, caller, answering):
    number = line(carrier, answering.uri)
    carrier.patch(number, status="inactive")
    refused(carrier, caller, number, ("inactive",))
    carrier.patch(number, status="active")
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    call.bye()
    assert len(answering.got("INVITE")) == 1


def test_a_number_closed_to_inbound_is_refused(carrier, caller, answering):
    number = line(carrier, answering.uri)
    carrier.patch(number, allow_inbound=False)
    refused(carrier, caller, number, ("inbound",))
    assert answering.got("INVITE") == []


def test_a_number_that_is_not_made_for_calls_is_refused(carrier, answering):
    server, endpoint = carrier.server, carrier.endpoint(answering.uri)
    server.operator_trunk("127.0.0.31")
    with Caller(server.sip, host="127.0.0.31") as caller:
        for voice in (False, True):
            row = server.stock(voice=voice, sms=True)
            number = ok(carrier.admin.post("/api/v1/numbers", json={"stock_id": row["id"], "endpoint_id": endpoint["id"]}), 201)
            if voice:
                call = caller.invite(number["e164"])
                assert call.final().status == 200
                call.bye()
            else:
                assert refused(carrier, caller, number, ("voice",)) == 480
    assert len(answering.got("INVITE")) == 1


def test_a_released_number_is_404_at_once(carrier, caller, answering):
    number = line(carrier, answering.uri)
    ok(carrier.admin.delete(f"/api/v1/numbers/{number['id']}"))
    assert caller.invite(number["e164"]).final().status == 404
    again = carrier.number(trunk=carrier.its_trunk, e164=number["e164"], endpoint_id=number["endpoint_id"])
    assert again["id"] != number["id"]
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    call.bye()


def test_a_number_of_another_trunk_is_404(carrier, caller, answering):
    stranger = carrier.server.tenant("stranger")
    endpoint = stranger.endpoint(answering.uri)
    number = stranger.number(trunk=stranger.trunk("127.0.0.77"), endpoint_id=endpoint["id"])
    assert caller.invite(number["e164"]).final().status == 404
    assert answering.got("INVITE") == []


def test_an_unknown_source_gets_nowhere(carrier, answering):
    number = line(carrier, answering.uri)
    with Caller(carrier.server.sip, host="127.0.0.2") as stranger:
        call = stranger.invite(number["e164"])
        for _ in range(3):
            call.send()
        answer = stranger.receive(2)
        assert answer is None or answer.status == 403, answer
        stranger.socket.setblocking(False)
    assert answering.got("INVITE") == []
    assert all(c["status"] == "refused" for c in carrier.calls(number["e164"]))


def test_explain_says_where_a_call_would_go(carrier, answering):
    number = line(carrier, answering.uri)
    told = carrier.explain(number)
    assert (told["outcome"], told["sip_status"]) == ("route", 200) and told["reason"] and told["steps"]
    assert answering.uri.removeprefix("sip:") in str(told)
    # By id as by number; and from an address that is no trunk's.
    path = "/api/v1/numbers/{}/explain"
    assert ok(carrier.admin.get(path.format(number["id"])), 200) == told
    assert ok(carrier.admin.get(path.format(number["e164"]), params={"from": "127.0.0.1"}), 200)["outcome"] == "route"
    stranger = ok(carrier.admin.get(path.format(number["e164"]), params={"from": "127.0.0.2"}), 200)
    assert (stranger["outcome"], stranger["sip_status"]) == ("refuse", 403)


# --- Number forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    ["+1{n}", "1{n}", "%2B1{n}", "+1-{a}-{b}-{c}", "+1.{a}.{b}.{c}", "+1({a}){b}-{c}", "+1{n};npdi", "+1{n};rn=+14155550000;npdi",
     "{n};phone-context=+1", "{b}{c};phone-context=+1{a}", "+1{n};isub=1234"],
)  # fmt: skip
def test_a_number_is_found_in_each_of_its_forms(carrier, caller, answering, form):
    number = line(carrier, answering.uri)
    digits = number["e164"].removeprefix("+1")
    user = form.format(n=digits, a=digits[:3], b=digits[3:6], c=digits[6:])
    call = caller.invite(user, params=";user=phone")
    assert call.final().status == 200, user
    assert answering.wait("INVITE")[0].uri.startswith(f"sip:{number['e164']}@127.0.0.1")
    call.bye()
    completed(carrier, number, 0)


def test_a_tel_uri_is_a_number_too(carrier, caller, answering):
    number = line(carrier, answering.uri)
    call = caller.invite(number["e164"], scheme="tel")
    assert call.request.uri == f"tel:{number['e164']}"
    assert call.final().status == 200
    call.bye()
    completed(carrier, number, 0)


# --- kill -9 -----------------------------------------------------------------------------------------------------------------


def test_a_call_outlives_kill_and_restart(fresh, tmp_path):
    """SIPp on both sides; the edge is killed in the middle of the call and comes back before the hang-up."""
    tenant = fresh.start().tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    agent = Sipp(tmp_path, "agent")
    number = line(tenant, agent.uri)
    running = Sipp(tmp_path, "caller", remote=fresh.sip, user=number["e164"], pause=6_000)
    tenant.call_with(number["e164"], "answered")
    fresh.kill()
    fresh.start()
    running.finish()
    agent.finish()
    call = completed(tenant, number, 6)
    assert len(tenant.calls(number["e164"])) == 1
    assert call["status"] == "completed"


def test_a_call_that_ends_while_the_edge_is_down_has_its_minutes(fresh):
    """Killed right after the answer; the BYE is repeated over the gap, and the time runs on meanwhile."""
    tenant = fresh.start().tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    with Agent() as agent, Caller(fresh.sip) as caller:
        number = line(tenant, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        answered = call.at
        fresh.kill()  # at once: the answer is in the journal, or nowhere
        threading.Timer(1.5, fresh.start).start()
        time.sleep(1)  # the length of the call is what is measured here
        call.bye(repeats=40)
        agent.wait("BYE")
        wait_for(lambda: fresh.health() == 200, "the server is back")
        row = tenant.call_with(number["e164"], "completed")
        assert abs(row["duration_seconds"] - int(call.sent - answered)) <= 1, row
        assert len(tenant.calls(number["e164"])) == 1


def test_kill_while_it_rings_leaves_the_call_to_be_answered(fresh):
    tenant = fresh.start().tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    with Agent("ring") as agent, Caller(fresh.sip) as caller:
        number = line(tenant, agent.uri)
        call = caller.invite(number["e164"])
        call.response(lambda m: m.status == 180)
        fresh.kill()
        fresh.start()
        agent.accept()
        assert call.final().status == 200
        agent.wait("ACK")
        call.bye()
        agent.wait("BYE")


# --- The minute --------------------------------------------------------------------------------------------------------------


def test_minutes_of_real_calls_are_counted(carrier, minute):
    """Last in this file: the long call ran beside the others."""
    number, caller, agent = minute
    caller.finish()
    agent.finish()
    call = carrier.call_with(number["e164"], "completed")
    assert abs(call["duration_seconds"] - 61) <= 1, call

    def minutes():
        body = ok(carrier.neo.get("/public-api/phone/numbers"), 200)
        [item] = [n for n in body["data"] if n["number"] == number["e164"]]
        return item["minutes_used_this_month"]

    # Each begun minute of a call counts.
    assert wait_for(minutes, "Neo counts the minutes") == 2
