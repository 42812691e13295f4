"""Receipts: each call tells why it went where it went, as `explain` does; and its SIP messages, where its number is traced."""

import socket
import struct
import time

from calls_kit import answering, bye_at, caller, carrier, line, up, up_after_ringing
from harness import ok, wait_for
from sip import Agent
from test_lifecycle_cli import run


def receipt_of(tenant, number, status):
    record = tenant.call_with(number["e164"], status)
    return ok(tenant.native.get(f"/api/v1/calls/{record['id']}"), 200)


def rules(steps):
    return [(step["rule"], step["passed"]) for step in steps]


def explained(tenant, number):
    """The same rules as a call from this machine by the callers of these tests meets."""
    asked = {"from": "127.0.0.1", "caller": "+12125550100", "media": "plain"}
    answer = tenant.native.get(f"/api/v1/numbers/{number['e164']}/explain", params=asked)
    return rules(ok(answer, 200)["steps"])


def test_an_answered_call_tells_its_way(carrier, caller, answering, tmp_path):
    number = line(carrier, answering.uri)
    expected = explained(carrier, number)
    call = up_after_ringing(caller, answering, number)
    call.ask("BYE", headers=[("Reason", 'Q.850;cause=16;text="bye"')])
    call = receipt_of(carrier, number, "completed")
    receipt = call["receipt"]
    assert rules(receipt["steps"]) == expected and all(passed for _, passed in expected)
    assert receipt["source"] == {
        "transport": "udp", "address": f"127.0.0.1:{caller.address[1]}", "class": "loopback",
    }  # fmt: skip
    assert receipt["trunk_id"] == call["provider_id"] and receipt["dialled"] == number["e164"]
    assert receipt["clock"] == "monotonic" and receipt["generation"] > 0 and receipt["notes"] == []
    [attempt] = call["attempts"]
    assert attempt["hop"] == f"udp:127.0.0.1:{answering.address[1]}" and attempt["sip_status"] == 200
    assert attempt["started_at"] <= attempt["ringing_at"] <= attempt["ended_at"]
    assert call["reason"].startswith("Q.850;cause=16")
    # Lists have no receipts: they are long.
    assert "receipt" not in carrier.calls(number["e164"])[0]
    access = ["--url", carrier.server.url, "--key", carrier.key("native")]
    code, out, err = run("explain", call["id"], *access, folder=tmp_path)
    assert code == 0, err
    for told in ("the source is a trunk", f"udp:127.0.0.1:{answering.address[1]}", "monotonic", "Q.850;cause=16", "rings"):
        assert told in out, out


def test_what_a_caller_writes_does_nothing_to_a_terminal(carrier, caller, answering, tmp_path):
    number = line(carrier, answering.uri)
    call, _ = up(caller, carrier, number)
    call.ask("BYE", headers=[("Reason", 'Q.850;cause=16;text="\x1b[2Jbye"')])
    call = receipt_of(carrier, number, "completed")
    code, out, err = run("explain", call["id"], "--url", carrier.server.url, "--key", carrier.key("native"), folder=tmp_path)
    assert code == 0 and "bye" in out and "\x1b" not in out, err


def test_a_refused_call_tells_the_rule_that_refused_it(carrier, caller, answering, tmp_path):
    number = line(carrier, answering.uri)
    carrier.patch(number, allow_inbound=False)
    expected = explained(carrier, number)
    assert caller.invite(number["e164"]).final().status == 403
    call = receipt_of(carrier, number, "refused")
    assert rules(call["receipt"]["steps"]) == expected and expected[-1] == ("the number accepts calls", False)
    assert call["attempts"] == [] and call["receipt"]["clock"] is None
    code, out, _ = run(
        "explain", call["id"], "--url", carrier.server.url, "--key", carrier.key("native"), folder=tmp_path
    )
    assert code == 8 and "✗ the number accepts calls" in out and "refused (403)" in out


def test_limits_and_money_are_told_with_their_numbers(carrier, caller, answering):
    number = line(carrier, answering.uri)
    carrier.settings(max_concurrent_calls=1, rate_cents_per_minute=60)
    try:
        call, _ = up(caller, carrier, number)
        assert caller.invite(number["e164"]).final().status == 486
        steps = {step["rule"]: step for step in receipt_of(carrier, number, "refused")["receipt"]["steps"]}
        assert steps["there is room for another call"]["detail"] == "1 in progress, at most 1"
        assert steps["the balance allows it"]["detail"].endswith("0.02 needed")
        call.bye()
    finally:
        carrier.settings(max_concurrent_calls=None, rate_cents_per_minute=None)


def test_a_call_that_failed_over_tells_each_attempt_with_its_reason(carrier, caller, answering):
    with Agent("silent") as first:
        answer = first._answer

        def refuse(request, source):
            reply = request.reply(503, "Later", to_tag=first.tag)
            if request.method == "INVITE":
                reply.headers.append(("Reason", 'Q.850;cause=41;text="Temporary failure"'))
                first.send(reply, source)
            else:
                answer(request, source)

        first.how, first._answer = 503, refuse
        number = line(carrier, (first.uri, 1, 1), (answering.uri, 2, 1))
        call, _ = up(caller, carrier, number)
        call.bye()
    attempts = receipt_of(carrier, number, "completed")["attempts"]
    assert [(one["sip_status"], one["cause"]) for one in attempts] == [(503, "refused"), (200, "answered")]
    assert attempts[0]["reason"].startswith("Q.850;cause=41") and attempts[0]["ringing_at"] is None


def test_a_cancelled_call_tells_how_long_it_rang(carrier, caller):
    with Agent("ring") as agent:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        call.response(lambda m: m.status == 180, what="ringing")
        call.cancel()
        assert call.final().status == 487
    call = receipt_of(carrier, number, "cancelled")
    [attempt] = call["attempts"]
    assert attempt["cause"] == "cancelled" and attempt["ringing_at"] and call["sip_status"] == 487


def test_an_answer_that_crosses_the_cancel_is_not_billed(carrier, caller):
    carrier.settings(rate_cents_per_minute=600)
    try:
        with Agent("ring") as agent:
            answer = agent._answer
            # The agent's 200 is on its way when the CANCEL comes.
            crossing = lambda request, source: (  # noqa: E731
                agent.accept() if request.method == "CANCEL" else answer(request, source)
            )
            agent._answer = crossing
            number = line(carrier, agent.uri)
            call = caller.invite(number["e164"])
            agent.wait("INVITE")
            call.response(lambda m: m.status == 180, what="ringing")
            call.cancel()
            assert call.final().status == 200
            time.sleep(1.6)
            call.bye()
    finally:
        carrier.settings(rate_cents_per_minute=None)
    told = receipt_of(carrier, number, "cancelled")
    assert (told["duration_seconds"], told["cost_micros"], told["receipt"]["billed_seconds"]) == (0, 0, 0)
    assert [note["code"] for note in told["receipt"]["notes"]] == ["cancel_race"]


def test_a_target_that_drops_our_record_route_is_named(carrier, caller):
    with Agent("silent") as agent:
        answer = agent._answer

        def without(request, source):
            if request.method == "INVITE":
                request.headers = [row for row in request.headers if row[0].lower() != "record-route"]
            answer(request, source)

        agent.how, agent._answer = "answer", without
        number = line(carrier, agent.uri)
        call, record = up(caller, carrier, number)
        told = ok(carrier.native.get(f"/api/v1/calls/{record['id']}"), 200)["receipt"]
        assert [note["code"] for note in told["notes"]] == ["record_route_dropped"]
        ok(carrier.admin.post(f"/api/v1/calls/{record['id']}/hangup"), 200)
        bye_at(caller, call)
        agent.wait("BYE")


# --- traces ------------------------------------------------------------------------------------------------------------------

SECRET = "c2VjcmV0LWtleS1vZi10aGUtc291bmQ"


def packets(capture):
    """The packets of a pcap file of raw IP, read as the format says: (seconds, source, destination, payload)."""
    magic, major, minor, _, _, snap, link = struct.unpack(">IHHiIII", capture[:24])
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101) and snap == 65_535
    found, at = [], 24
    while at < len(capture):
        second, micros, kept, size = struct.unpack(">IIII", capture[at : at + 16])
        packet = capture[at + 16 : at + 16 + kept]
        assert kept == size == len(packet)
        head, total, protocol = packet[0], struct.unpack(">H", packet[2:4])[0], packet[9]
        assert head == 0x45 and total == len(packet) and protocol == 17
        words = struct.unpack(">10H", packet[:20])
        total = sum(words)
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF, "the IP header's checksum"
        ports = struct.unpack(">HHH", packet[20:26])
        assert ports[2] == len(packet) - 20
        ends = [(socket.inet_ntoa(packet[12 + 4 * n : 16 + 4 * n]), ports[n]) for n in range(2)]
        found.append((second + micros / 1e6, *ends, packet[28:]))
        at += 16 + kept
    return found


def test_a_traced_call_shows_every_message_without_its_secrets(carrier, caller, answering):
    number = line(carrier, answering.uri)
    at = f"/api/v1/numbers/{number['id']}/trace"
    assert ok(carrier.native.get(at), 200) == {"number_id": number["id"], "active": False, "until": None}
    up(caller, carrier, number)[0].bye()
    before = carrier.call_with(number["e164"], "completed")
    untraced = carrier.native.get(f"/api/v1/calls/{before['id']}/trace")
    assert untraced.status_code == 404 and "traced" in untraced.json()["detail"]

    began = ok(carrier.native.post(at, json={"minutes": 5}), 200)
    assert began["active"] and began["until"]
    body = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP 0\r\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}|2^31\r\n"
    )
    headers = [("Proxy-Authorization", 'Digest username="u", response="deadbeefdeadbeef"')]
    call = up_after_ringing(caller, answering, number, body=body, headers=headers)
    carrier.call_with(number["e164"], "answered")
    # It is followed to its end, whatever becomes of the window.
    ok(carrier.native.delete(at), 204)
    assert ok(carrier.native.get(at), 200)["active"] is False
    call.bye()
    record = carrier.call_with(number["e164"], "completed")
    text = carrier.native.get(f"/api/v1/calls/{record['id']}/trace")
    assert text.status_code == 200 and text.headers["content-type"].startswith("text/plain")
    for secret in (SECRET, "deadbeef"):
        assert secret not in text.text
    assert "inline:" + "x" * len(SECRET) + "|2^31" in text.text
    messages = [block.splitlines()[1:] for block in text.text.split("--- ")[1:] if "\n" in block]
    # A message that was repeated, where this machine is slow, is one.
    starts = [rows[0] for rows in dict.fromkeys(map(tuple, messages))]
    kinds = [start.split()[0] if not start.startswith("SIP/2.0") else start.split()[1] for start in starts]
    # Both sides: each but 100 goes in and out.
    for kind, times in {"INVITE": 2, "180": 2, "ACK": 2, "BYE": 2}.items():
        assert kinds.count(kind) == times, kinds
    assert kinds.count("200") == 4 and kinds[0] == "INVITE"

    capture = carrier.native.get(f"/api/v1/calls/{record['id']}/trace", params={"format": "pcap"}).content
    found = packets(capture)
    assert len(found) == len(messages) and [one[0] for one in found] == sorted(one[0] for one in found)
    edge, mine, theirs = carrier.server.sip, caller.address, answering.address
    assert found[0][1:3] == (mine, edge) and {one[1] for one in found} == {edge, mine, theirs}
    assert SECRET.encode() not in capture and b"deadbeef" not in capture
    invite = found[0][3]
    assert int(invite.split(b"Content-Length: ")[1].split(b"\r\n")[0]) == len(invite.split(b"\r\n\r\n", 1)[1])

    # Who may, and who may not.
    other = carrier.server.tenant("elsewhere")
    assert other.native.get(f"/api/v1/calls/{record['id']}/trace").status_code == 404
    assert other.native.post(at, json={"minutes": 5}).status_code == 404
    viewer = carrier.client("native", "viewer")
    assert viewer.post(at, json={"minutes": 5}).status_code == 403
    # What is private goes with the record.
    ok(carrier.krosai.delete(f"/v1/calls/{record['id']}"))
    assert carrier.native.get(f"/api/v1/calls/{record['id']}/trace").status_code == 404


def test_calls_that_begin_after_the_time_are_not_traced(carrier, caller, answering):
    number = line(carrier, answering.uri)
    at = f"/api/v1/numbers/{number['e164']}/trace"
    for minutes in (0, 1_441, "5", None):
        assert carrier.native.post(at, json={"minutes": minutes}).status_code == 422
    ok(carrier.native.post(at, json={"minutes": 1_440}), 200)
    ok(carrier.native.delete(at), 204)
    call, record = up(caller, carrier, number)
    call.bye()
    assert carrier.native.get(f"/api/v1/calls/{record['id']}/trace").status_code == 404
    gauges = [row for row in carrier.server.anonymous.get("/metrics").text.splitlines() if "trunkline_trace" in row]
    assert any(row.startswith("trunkline_traced_calls") for row in gauges), gauges


def test_a_refused_call_is_traced_too(carrier, caller, answering):
    number = line(carrier, answering.uri)
    carrier.patch(number, allow_inbound=False)
    ok(carrier.native.post(f"/api/v1/numbers/{number['id']}/trace", json={"minutes": 5}), 200)
    assert caller.invite(number["e164"]).final().status == 403
    record = carrier.call_with(number["e164"], "refused")

    def all_there():
        text = carrier.native.get(f"/api/v1/calls/{record['id']}/trace").text
        return text if "ACK" in text else None

    text = wait_for(all_there, "the ACK is traced")
    assert "INVITE" in text and "SIP/2.0 403" in text
