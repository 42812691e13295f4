"""Flags and limits that act on calls: calls ended from our side (by an API, by their length, by the balance), transfers
refused, encrypted media asked for or refused, callers that prove who they are.

The caller stands for a carrier at 127.0.0.1. What ends a call is seen on both sides of it and in its one record.
"""

import re
import threading
import time

import contract
import pytest
from harness import Server, free_port, ok, wait_for
from sip import SDP, Agent, Call, Caller, Sipp
from calls_kit import NOBODY, answer_with, answering, bye_at, caller, carrier, check_byes, hang_up, line, one_record, stays_up, up


# --- Hanging up --------------------------------------------------------------------------------------------------------------


def test_a_call_is_hung_up_on_both_sides(carrier, caller, answering):
    number = line(carrier, answering.uri)
    call, record = up(caller, carrier, number)
    answering.wait("ACK")
    told = {}
    asking = threading.Thread(target=lambda: told.update(hang_up(carrier, record)))
    asking.start()
    at_caller = bye_at(caller, call)
    [at_agent] = answering.wait("BYE")
    asking.join(10)
    check_byes(call, answering, at_caller, at_agent)
    assert (told["status"], told["ended_by"]) == ("completed", "api")
    record = one_record(carrier, number, status="completed", ended_by="api")
    assert record["reason"] and record["duration_seconds"] <= 2
    assert answer_with(carrier.admin.post(f"/api/v1/calls/{record['id']}/hangup"), 409)["code"] == "conflict"
    assert len(answering.got("BYE")) == 1


def test_who_may_hang_up(carrier, server, caller, answering):
    number = line(carrier, answering.uri)
    call, record = up(caller, carrier, number)
    stranger = server.tenant("stranger")
    path = f"/api/v1/calls/{record['id']}/hangup"
    assert stranger.native.post(path).status_code == 404
    assert carrier.client("native", "viewer").post(path).status_code == 403
    assert server.anonymous.post(path).status_code == 401
    for missing in (NOBODY, "x"):
        assert carrier.native.post(f"/api/v1/calls/{missing}/hangup").status_code == 404
    assert answering.got("BYE") == []
    call.bye()


def test_a_call_that_rings_is_ended_before_an_answer(carrier, caller):
    with Agent("ring") as ringing:
        number = line(carrier, ringing.uri)
        call = caller.invite(number["e164"])
        ringing.wait("INVITE")
        record = carrier.call_with(number["e164"], "ringing")
        told = hang_up(carrier, record)
        assert (told["status"], told["ended_by"], told["sip_status"]) == ("cancelled", "api", 487)
        assert call.final().status == 487
        ringing.wait("CANCEL")
        one_record(carrier, number, status="cancelled", ended_by="api", answered_at=None)
        hang_up(carrier, record, 409)


def test_hanging_up_while_a_side_does_leaves_one_record(carrier, caller, answering):
    for turn in range(6):
        number = line(carrier, answering.uri)
        call, record = up(caller, carrier, number)
        bye = call.in_dialog("BYE")
        asking = threading.Thread(target=carrier.admin.post, args=[f"/api/v1/calls/{record['id']}/hangup"])
        asking.start()
        time.sleep(0.004 * turn)
        caller.send(bye, caller.edge)
        # Its own BYE is answered (by 481, where ours was faster at the agent) or ours comes; both may.
        caller.receive_until(lambda m: m.cseq_method == "BYE" and m.get("call-id") == call.id, 5, "the end at the caller")  # noqa: B023
        asking.join(10)
        record = one_record(carrier, number, status="completed")
        assert record["ended_by"] in ("api", "caller")
        while message := caller.receive(0.05):
            if message.method == "BYE":
                caller.send(message.reply(200, "OK"), caller.peer)


def test_a_peer_that_never_answers_the_hangup_is_asked_again(carrier, tmp_path):
    agent = Sipp(tmp_path, "agent_deaf")
    number = line(carrier, agent.uri)
    caller = Sipp(tmp_path, "caller_hung_up", remote=carrier.server.sip, user=number["e164"])
    record = carrier.call_with(number["e164"], "answered")
    agent.acknowledged()
    assert hang_up(carrier, record)["ended_by"] == "api"
    caller.finish()
    repeats = lambda: agent.trace.read_text().count("BYE sip:")  # noqa: E731
    wait_for(lambda: repeats() >= 3, "the BYE repeated at an agent that does not answer it")
    one_record(carrier, number, status="completed", ended_by="api")
    agent.stop()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_a_call_is_hung_up_over_each_transport(carrier, tmp_path, tcp):
    agent = Sipp(tmp_path, "agent", tcp=tcp)
    number = line(carrier, agent.uri + (";transport=tcp" if tcp else ""))
    caller = Sipp(tmp_path, "caller_hung_up", remote=carrier.server.sip, user=number["e164"], tcp=tcp)
    record = carrier.call_with(number["e164"], "answered")
    agent.acknowledged()
    assert hang_up(carrier, record)["status"] == "completed"
    caller.finish()
    agent.finish()


def test_our_bye_is_numbered_above_everything_a_side_sent(carrier, caller, answering):
    number = line(carrier, answering.uri)
    call, record = up(caller, carrier, number)
    answering.wait("ACK")
    call.cseq = 70_000
    assert call.ask("INFO").status == 200
    # The agent counts on its own, and far.
    answering.send_request(carrier.server.sip, "INFO", 1_000_000)
    info = caller.receive_until(lambda m: m.method == "INFO", 5, "the agent's INFO at the caller")
    caller.send(info.reply(200, "OK"), caller.peer)
    threading.Thread(target=hang_up, args=[carrier, record]).start()
    at_caller = bye_at(caller, call)
    [at_agent] = answering.wait("BYE")
    number_of = lambda message: int(message.get("cseq").split()[0])  # noqa: E731
    assert 1_000_000 < number_of(at_caller) < 2**31 and 70_001 < number_of(at_agent) < 2**31


# --- Cartesia ----------------------------------------------------------------------------------------------------------------


def test_cartesia_cancels_calls(carrier, server, caller, answering):
    agent = carrier.agent("Cancelled")
    endpoint = carrier.endpoint(answering.uri, agent=agent)
    number = carrier.number(trunk=carrier.its_trunk, endpoint_id=endpoint["id"])
    call, record = up(caller, carrier, number)
    path = f"/agents/calls/{record['id']}/cancel"
    other = server.tenant("other").cartesia
    assert other.post(path).status_code == 404
    assert carrier.cartesia.post(f"/agents/calls/{NOBODY}/cancel").status_code == 404
    asking = threading.Thread(target=lambda: bye_at(caller, call))
    asking.start()
    answer = carrier.cartesia.post(path)
    assert contract.check("full/cartesia", "post", "/agents/calls/{call_id}/cancel", answer, 200) == {"cancelled": True}
    asking.join(10)
    answering.wait("BYE")
    shown = ok(carrier.cartesia.get(f"/agents/calls/{record['id']}"), 200)
    assert (shown["status"], shown["end_reason"]) == ("completed", "api_cancelled")
    again = carrier.cartesia.post(path)
    assert again.status_code == 400 and again.json()["message"], again.text
    answering.how = "ring"
    call = caller.invite(number["e164"])
    answering.wait("INVITE", 2)
    record = carrier.call_with(number["e164"], "ringing")
    assert ok(carrier.cartesia.post(f"/agents/calls/{record['id']}/cancel"), 200) == {"cancelled": True}
    assert call.final().status == 487
    shown = ok(carrier.cartesia.get(f"/agents/calls/{record['id']}"), 200)
    assert (shown["status"], shown["end_reason"]) == ("failed", "api_cancelled")


# --- Limits ------------------------------------------------------------------------------------------------------------------


def limited(server, **settings):
    """A tenant of its own, since its settings bound all its calls; its trunk is 127.0.0.1 as well."""
    tenant = server.tenant("limited")
    tenant.settings(**settings)
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


def test_a_call_ends_at_its_longest(server, caller, answering):
    tenant = limited(server, max_call_seconds=2)
    number = line(tenant, answering.uri)
    call, _ = up(caller, tenant, number)
    began = time.monotonic()
    at_caller = bye_at(caller, call)
    assert 1 <= time.monotonic() - began <= 5
    [at_agent] = answering.wait("BYE")
    check_byes(call, answering, at_caller, at_agent)
    record = one_record(tenant, number, status="completed", ended_by="max_duration")
    assert 2 <= record["duration_seconds"] <= 4 and "max_call_seconds" in record["reason"]


def test_a_call_that_costs_ends_with_the_balance(server, caller, answering):
    tenant = limited(server, rate_cents_per_minute=600)
    tenant.credit(20 - tenant.balance())
    number = line(tenant, answering.uri)
    call, _ = up(caller, tenant, number)
    bye_at(caller, call)
    answering.wait("BYE")
    record = one_record(tenant, number, status="completed", ended_by="balance")
    assert 2 <= record["duration_seconds"] <= 4
    wait_for(lambda: tenant.balance() <= 0, "the call is paid")
    assert tenant.balance() >= -20
    # And no other begins, as soon as the calls' table knows.
    explained = lambda: tenant.explain(number)["sip_status"]  # noqa: E731
    # Not by the look of every two seconds at what other processes did.
    wait_for(lambda: explained() == 402, "the balance is known to calls", 1.8)
    assert caller.invite(number["e164"]).final().status == 402


def test_a_call_that_costs_nothing_outlives_an_empty_balance(server, caller, answering):
    tenant = limited(server)
    tenant.credit(-tenant.balance())
    number = line(tenant, answering.uri)
    call, _ = up(caller, tenant, number)
    stays_up(caller, answering, 2.5)
    call.bye()


def test_the_longest_call_is_by_the_clock_that_is_moved(tmp_path, answering):
    server = Server(tmp_path, arguments=["--sim"]).start()
    try:
        tenant = limited(server, max_call_seconds=3_600)
        number = line(tenant, answering.uri)
        with Caller(server.sip) as caller:
            call, _ = up(caller, tenant, number)
            ok(server.admin.post("/sim/clock", json={"advance_seconds": 3_000}), 200)
            stays_up(caller, answering, 1.5)
            ok(server.admin.post("/sim/clock", json={"advance_seconds": 700}), 200)
            bye_at(caller, call, 5)
            answering.wait("BYE")
        record = one_record(tenant, number, status="completed", ended_by="max_duration")
        assert 3_600 <= record["duration_seconds"] <= 3_710
    finally:
        server.stop()


# --- kill -9 -----------------------------------------------------------------------------------------------------------------


def test_another_process_hangs_up_what_a_killed_one_set_up(fresh, tmp_path):
    fresh.start()
    tenant = limited(fresh, max_call_seconds=6)
    with Agent() as agent, Caller(fresh.sip) as caller:
        asked, timed = (line(tenant, agent.uri) for _ in range(2))
        first, _ = up(caller, tenant, asked)
        # High numbers were seen by the process that dies.
        first.cseq = 5_000
        assert first.ask("INFO").status == 200
        second, _ = up(caller, tenant, timed)
        fresh.kill()
        fresh.start()
        record = tenant.call_with(asked["e164"], "answered")
        asking = threading.Thread(target=hang_up, args=[tenant, record])
        asking.start()
        bye_at(caller, first)
        asking.join(10)
        at_agent = agent.wait("BYE")[0]
        assert at_agent.get("call-id") == first.id and int(at_agent.get("cseq").split()[0]) > 5_001
        one_record(tenant, asked, status="completed", ended_by="api")
        bye_at(caller, second, 12)
        agent.wait("BYE", 2)
        record = one_record(tenant, timed, status="completed", ended_by="max_duration")
        assert 6 <= record["duration_seconds"] <= 9


def test_an_end_that_was_not_heard_is_told_by_the_next_process(fresh):
    fresh.start()
    tenant = limited(fresh)
    with Agent() as agent, Caller(fresh.sip) as caller:
        number = line(tenant, agent.uri)
        call, record = up(caller, tenant, number)
        agent.wait("ACK")
        agent.how = "silent"
        assert hang_up(tenant, record)["ended_by"] == "api"
        bye_at(caller, call)
        first = agent.wait("BYE")[0].get("via")
        fresh.kill()
        agent.how = "answer"
        fresh.start()
        wait_for(lambda: [m for m in agent.got("BYE") if m.get("via") != first], "a BYE of the next process", 5)
        at_caller = caller.receive_until(lambda m: m.method == "BYE" and m.get("call-id") == call.id, 5, "the same at the caller")
        caller.send(at_caller.reply(481, "Gone"), caller.peer)
        record = one_record(tenant, number, status="completed", ended_by="api")
        assert record["duration_seconds"] <= 2


def test_a_call_whose_process_died_while_it_rang_cannot_be_ended_but_is_not_lost(fresh):
    fresh.start()
    tenant = limited(fresh)
    agent_of = tenant.agent("Rings")
    with Agent("ring") as agent, Caller(fresh.sip) as caller:
        endpoint = tenant.endpoint(agent.uri, agent=agent_of)
        number = tenant.number(trunk=tenant.its_trunk, endpoint_id=endpoint["id"])
        call = caller.invite(number["e164"])
        agent.wait("INVITE")
        record = tenant.call_with(number["e164"], "ringing")
        fresh.kill()
        fresh.start()
        assert hang_up(tenant, record, 503)["code"] == "unavailable"
        answer = tenant.cartesia.post(f"/agents/calls/{record['id']}/cancel")
        assert answer.status_code == 502 and answer.json()["message"], answer.text
        # It is answered through the new process, and then it can be ended: without the caller's Contact, by its place.
        agent.accept()
        assert call.final().status == 200
        record = tenant.call_with(number["e164"], "answered")
        asking = threading.Thread(target=hang_up, args=[tenant, record])
        asking.start()
        bye = bye_at(caller, call)
        assert bye.uri.startswith(f"sip:127.0.0.1:{caller.address[1]}")
        asking.join(10)
        agent.wait("BYE")
        one_record(tenant, number, status="completed", ended_by="api")


# --- Transfers ---------------------------------------------------------------------------------------------------------------


def refers(carrier, tmp_path, caller, endpoint, status):
    agent = Sipp(tmp_path, "agent_refers", status=status)
    ok(carrier.admin.patch(f"/api/v1/endpoints/{endpoint['id']}",
                           json={"targets": [{"uri": agent.uri, "priority": 1, "weight": 1}]}), 200)  # fmt: skip
    number = carrier.number(trunk=carrier.its_trunk, endpoint_id=endpoint["id"])
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    return agent, call


def test_the_agent_of_a_connector_without_handoff_transfers_nothing(carrier, caller, tmp_path):
    agent = carrier.agent("Keeps")
    path = f"/v1/agents/{agent['id']}/telephony/connectors"
    made = ok(carrier.polyai.post(path, json={"name": "keeps", "disableHandoff": True, "targets": ["sip:h"]}), 201)
    assert made["disableHandoff"] is True
    endpoint = ok(carrier.admin.get(f"/api/v1/endpoints/{made['connectorId']}"), 200)
    assert endpoint["allow_transfer"] is False
    sipp, call = refers(carrier, tmp_path, caller, endpoint, 603)
    wait_for(lambda: "603" in sipp.trace.read_text(), "the 603 at the agent")
    assert caller.receive(0.3) is None, "the caller hears nothing of it"
    # A change of the flag is for calls to come.
    changed = ok(carrier.admin.patch(f"/api/v1/endpoints/{endpoint['id']}", json={"allow_transfer": True}), 200)
    assert changed["allow_transfer"] is True
    call.bye()
    sipp.finish()
    shown = ok(carrier.polyai.get(f"{path}/{made['connectorId']}"), 200)
    assert shown["disableHandoff"] is False


def test_what_else_is_asked_within_such_a_call_goes_through(carrier, caller, answering):
    number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(answering.uri, allow_transfer=False)["id"])
    call, _ = up(caller, carrier, number)
    answering.wait("ACK")
    answering.send_request(carrier.server.sip, "REFER", 7)
    wait_for(lambda: [m for m in answering.requests if m.status == 603], "the 603 at the agent")
    # The caller's side may hand its own end over, and other requests of the agent pass.
    assert call.ask("REFER", headers=[("Refer-To", "<sip:+12125550123@127.0.0.1>")]).status == 200
    answering.send_request(carrier.server.sip, "INFO", 8)
    info = caller.receive_until(lambda m: m.method == "INFO", 5, "the agent's INFO at the caller")
    caller.send(info.reply(200, "OK"), caller.peer)
    assert [m.method for m in caller.received if m.method] == ["INFO"]
    call.bye()


def test_other_transfers_go_through(carrier, caller, tmp_path):
    endpoint = carrier.endpoint("sip:127.0.0.1:9")
    assert endpoint["allow_transfer"] is True
    sipp, call = refers(carrier, tmp_path, caller, endpoint, 202)
    refer = caller.receive_until(lambda m: m.method == "REFER", 5, "the agent's REFER at the caller")
    assert refer.get("refer-to").startswith("<sip:+12125550123@")
    caller.send(refer.reply(202, "Accepted"), caller.peer)
    time.sleep(0.2)
    call.bye()
    sipp.finish()


# --- Media -------------------------------------------------------------------------------------------------------------------

SECURE = SDP.replace("RTP/AVP", "RTP/SAVP") + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
DTLS = SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + "a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n"
OPTIONAL = SDP + SECURE[SECURE.index("a=crypto") :]


@pytest.mark.parametrize(
    ("word", "body", "code"),
    [
        ("required", SDP, "media_not_encrypted"), ("required", OPTIONAL, "media_not_encrypted"),
        ("required", "hello", "media_not_encrypted"),
        # Its keys stand in the offer, which everybody on the way can read.
        ("required", SECURE, "media_keys_open"), ("required", DTLS, None),
        ("disabled", SECURE, "media_encrypted"), ("disabled", DTLS, "media_encrypted"),
        ("disabled", SDP, None), ("disabled", OPTIONAL, None), ("disabled", "", None),
        ("allowed", SDP, None), ("allowed", SECURE, None), ("allowed", "", None),
    ],
)  # fmt: skip
def test_a_trunk_takes_the_media_it_is_set_to(server, word, body, code):
    tenant = server.tenant(f"media {word}")
    tenant.settings(imports="open")
    inbound = {"allowed_addresses": ["127.0.0.3"], "media_encryption": word}
    trunk = ok(tenant.cartesia.post("/agents/phone-numbers/providers",
                                    json={"type": "sip_trunk", "label": "m", "inbound": inbound}), 201)  # fmt: skip
    assert trunk["inbound"]["media_encryption"] == word
    try:
        with Agent(host="127.0.0.3") as agent, Caller(server.sip, host="127.0.0.3") as caller:
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            call = caller.invite(number["e164"], body=body)
            answer = call.final()
            if code is None:
                assert answer.status == 200
                [invite] = agent.wait("INVITE")
                assert invite.body == body
                call.bye()
            else:
                assert answer.status == 488 and "media_encryption" in answer.get("reason")
                assert agent.got("INVITE") == []
                record = tenant.call_with(number["e164"], "refused")
                assert record["sip_status"] == 488 and "media_encryption" in record["reason"]
            media = {"": "none", SECURE: "encrypted", DTLS: "dtls"}.get(body, "plain")
            query = {"media": media, "from": "127.0.0.3"}
            explained = ok(tenant.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params=query), 200)
            assert explained["sip_status"] == (488 if code else 200)
            if code:
                rule = "the endpoint takes what was offered" if code == "media_keys_open" else "the trunk takes what was offered"
                assert rule in [step["rule"] for step in explained["steps"] if not step["passed"]]
    finally:
        # The address is used again by the next case.
        for number in tenant.pages("/api/v1/numbers"):
            ok(tenant.admin.delete(f"/api/v1/numbers/{number['id']}"), 200)
        ok(tenant.admin.delete(f"/api/v1/providers/{trunk['id']}"), 204)


def test_an_offer_in_parts_is_judged_as_a_whole(server):
    tenant = server.tenant("media in parts")
    tenant.settings(imports="open")
    inbound = {"allowed_addresses": ["127.0.0.14"], "media_encryption": "required"}
    trunk = ok(tenant.admin.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "m", "inbound": inbound}), 201)
    part = "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n"
    with Agent() as agent, Caller(server.sip, host="127.0.0.14") as caller:
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        for bodies, status in (((DTLS, SDP), 488), ((SDP, DTLS), 488), ((DTLS, DTLS), 200)):
            body = "".join(part.format(one) for one in bodies) + "--b--\r\n"
            call = Parts(caller, number["e164"], body)
            assert call.final().status == status, bodies
            if status == 200:
                call.bye()
        assert len(agent.got("INVITE")) == 1


class Parts(Call):
    """A call whose offer is in a body of parts."""

    def __init__(self, caller, number, body):
        super().__init__(caller, number, None, "", (), 70, "+12125550100", "sip", 40000, body)

    def send(self):
        kind = "multipart/alternative;boundary=b"
        self.request.headers = [(k, kind if k == "Content-Type" else v) for k, v in self.request.headers]
        super().send()


def test_an_agent_without_transfer_sends_no_carrier_elsewhere(carrier):
    for allowed, status in ((True, 302), (False, 480)):
        with Agent(302) as agent:
            endpoint = carrier.endpoint(agent.uri, allow_transfer=allowed)
            number = carrier.number(trunk=carrier.its_trunk, endpoint_id=endpoint["id"])
            with Caller(carrier.server.sip) as caller:
                assert caller.invite(number["e164"]).final().status == status
            call = carrier.call_with(number["e164"], "no_answer" if status == 480 else "failed")
            assert call["sip_status"] == status and [one["sip_status"] for one in call["attempts"]] == [302]


def test_a_side_is_hung_up_on_from_where_it_knows_us(tmp_path):
    server, second = Server(tmp_path), free_port("127.0.0.2")
    server.arguments = ["--sip", f"udp:127.0.0.2:{second}"]
    server.start()
    try:
        tenant = server.tenant("two")
        trunk = tenant.trunk("127.0.0.5")
        with Agent(host="127.0.0.6") as agent, Caller(("127.0.0.2", second), host="127.0.0.5") as caller:
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            call, record = up(caller, tenant, number)
            # Also after a restart: the record tells it.
            server.kill()
            server.start()
            ok(tenant.native.post(f"/api/v1/calls/{record['id']}/hangup"), 200)
            bye = caller.receive_until(lambda message: message.method == "BYE", 5, "BYE")
            assert caller.peer == ("127.0.0.2", second) and f"127.0.0.2:{second}" in bye.get("via")
            caller.send(bye.reply(200, "OK"), caller.peer)
            [bye] = agent.wait("BYE")
            assert f"127.0.0.2:{second}" in bye.get("via")
    finally:
        server.stop()


def test_a_call_that_rang_when_its_process_died_takes_no_room_and_has_its_price(tmp_path):
    server = Server(tmp_path).start()
    try:
        tenant = server.tenant("crashed", cents=30)
        trunk = tenant.trunk("127.0.0.1")
        # Ten cents a second: three seconds.
        tenant.settings(rate_cents_per_minute=600, max_concurrent_calls=1)
        with Agent("ring") as ringing, Agent("busy") as other, Caller(server.sip) as caller, Caller(server.sip) as second:
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(ringing.uri)["id"])
            free = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(other.uri)["id"])
            call = caller.invite(number["e164"])
            ringing.wait("INVITE")
            record = tenant.call_with(number["e164"], "ringing")
            # It keeps its price, and holds the balance; those that come now are free, and only room counts.
            tenant.settings(rate_cents_per_minute=0)
            assert second.invite(free["e164"]).final().status == 486 and not other.got("INVITE"), "there is room for one"
            server.kill()
            server.start()
            # The first look at open calls is right after the start.
            time.sleep(1)
            second.invite(free["e164"]).final()
            assert len(other.got("INVITE")) == 1, "who rang takes no room"
            # Answered through the new process it is a call like any other.
            ringing.accept()
            assert call.final().status == 200
            second.invite(free["e164"]).final()
            assert len(other.got("INVITE")) == 1, "who talks takes room"
            bye = caller.receive_until(lambda message: message.method == "BYE", 10, "BYE")
            caller.send(bye.reply(200, "OK"), caller.peer)
            ended = tenant.call_with(number["e164"], "completed")
            assert (ended["id"], ended["ended_by"]) == (record["id"], "balance") and 3 <= ended["duration_seconds"] <= 6
    finally:
        server.stop()


def test_requests_of_a_call_that_is_over_leave_nothing(server, carrier, answering):
    number = line(carrier, answering.uri)
    with Caller(server.sip) as caller:
        call, record = up(caller, carrier, number)
        call.bye()
        carrier.call_with(number["e164"], "completed")
        wait_for(lambda: waiting(server) == 0, "the journal is empty")
        before = journal(server)
        for n in range(200):
            caller.send(call.in_dialog("INFO", cseq=5_000 + n), server.sip)
            caller.send(call.in_dialog("BYE", cseq=9_000 + n), server.sip)
            if n % 20 == 19:
                # No more at once than a socket holds.
                wait_for(lambda n=n: len(answering.got("INFO")) > (n + 1) // 2, "they are carried")
        assert journal(server) == before


def waiting(server):
    return float(re.search(r"^trunkline_journal_bytes ([0-9.e+]+)", server.admin.get("/metrics").text, re.M)[1])


def journal(server):
    """How much was ever written to it in its present file."""
    return sorted((path.name, path.stat().st_size) for path in server.folder.glob("*.journal/*"))
