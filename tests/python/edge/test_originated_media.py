"""Calls that an API begins with encrypted sound: offered where it is required, by TLS only, and held to it; and their traces."""

import re
import sys
from pathlib import Path

import pytest
from harness import ok, wait_for, while_up
from sip import SDP, Agent, Message, token, uri_in
from streams_kit import StreamAgent, edge, serving

sys.path.insert(0, str(Path(__file__).parent))
from test_originated import CALLEE, Phone, begin, line_of, until  # noqa: E402


def keyed(key):
    key = (key * 40)[:40]
    return SDP.replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"


class Secure(StreamAgent):
    """A party by TLS that answers with a body of its own; `bodies` are the offers that came."""

    def __init__(self, pair, body):
        self.body, self.bodies = body, []
        super().__init__("TLS", serving(pair), name="localhost")

    def _answer(self, request, source):
        if request.method == "INVITE":
            self.bodies.append(request.body)
        super()._answer(request, source)

    def accept(self):
        request, source = self.last
        self.send(request.reply(200, "OK", to_tag=self.tag, contact=self.contact, body=self.body), source)

    def within(self, method, cseq, body=""):
        """A request within the call, on the connection that its INVITE came by."""
        invite, source = self.last
        rows = [
            ("Via", f"SIP/2.0/TLS {self.address[0]}:{self.address[1]};branch=z9hG4bKw{cseq}{method}"), ("Max-Forwards", "70"),
            ("From", f"{invite.get('to').split(';tag')[0]};tag={self.tag}"), ("To", invite.get("from")),
            ("Call-ID", invite.get("call-id")), ("CSeq", f"{cseq} {method}"), ("Contact", f"<{self.contact}>"),
        ]  # fmt: skip
        if body:
            rows.append(("Content-Type", "application/sdp"))
        self.send(Message(f"{method} {uri_in(invite.get('contact'))} SIP/2.0", rows, body), source)

    def answered(self, method, cseq):
        fits = lambda m: m.status and m.status >= 200 and m.get("cseq") == f"{cseq} {method}"  # noqa: E731
        return wait_for(lambda: next((m for m in list(self.requests) if fits(m)), None), f"an answer to {method}")


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    running = edge(tmp_path_factory.mktemp("secured"), authority, "TLS")
    with while_up(running):
        yield running


@pytest.fixture
def tenant(server):
    tenant = server.tenant()
    tenant.settings(imports="open")
    return tenant


@pytest.fixture
def agent(authority):
    with Secure(authority.issue("localhost"), keyed("agent")) as party:
        yield party


@pytest.fixture
def phone(authority):
    with Secure(authority.issue("localhost"), keyed("phone")) as party:
        yield party


def line(tenant, agent, phone, *, there, trunk):
    number = line_of(tenant, agent, phone, media_encryption=there)
    outbound = {"address": f"localhost:{phone.address[1]}", "transport": "tls", "media_encryption": trunk}
    if not isinstance(phone, Secure):
        outbound = {"address": f"127.0.0.1:{phone.address[1]}", "transport": "udp", "media_encryption": trunk}
    ok(tenant.admin.patch(f"/api/v1/providers/{number['trunk']['id']}", json={"outbound": outbound}), 200)
    return number


@pytest.mark.parametrize(("there", "trunk"), [("required", "allowed"), ("allowed", "required"), ("required", "required")])
def test_encrypted_sound_is_offered_where_it_is_required(tenant, agent, phone, there, trunk):
    number = line(tenant, agent, phone, there=there, trunk=trunk)
    call = begin(tenant, number)
    until(tenant, call, "answered")
    wait_for(lambda: len(agent.bodies) >= 2, "the agent learns of the phone")
    assert "RTP/SAVP 0" in agent.bodies[0] and "a=inactive" in agent.bodies[0] and "RTP/AVP" not in agent.bodies[0]
    assert re.search(r"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{40}\r\n", agent.bodies[0])
    assert "inline:agent" in phone.bodies[0] and "inline:phone" in agent.bodies[1]
    # Later offers are held to it.
    agent.wait("ACK", 2)
    phone.within("INVITE", 10, body=SDP)
    assert phone.answered("INVITE", 10).status == 488
    ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
    assert until(tenant, call, "completed")["ended_by"] == "api"


def test_an_answer_of_the_other_kind_ends_the_call(tenant, agent, phone):
    number = line(tenant, agent, phone, there="required", trunk="allowed")
    agent.body = SDP
    call = begin(tenant, number)
    record = until(tenant, call, "failed")
    assert record["sip_status"] == 488 and phone.got("INVITE") == []
    agent.wait("BYE")
    agent.body, phone.body = keyed("agent"), SDP
    call = begin(tenant, number)
    record = until(tenant, call, "completed")
    assert record["duration_seconds"] == 0 and "488" in record["reason"], record
    phone.wait("BYE")


def test_a_later_process_holds_offers_to_it_too(tenant):
    with Phone() as agent, Phone() as phone:
        number = line_of(tenant, agent, phone, media_encryption="disabled")
        call = begin(tenant, number)
        until(tenant, call, "answered")
        agent.wait("ACK", 2)
        tenant.server.kill()
        tenant.server.start()
        invite, source = phone.last
        rows = [
            ("Via", f"SIP/2.0/UDP {phone.address[0]}:{phone.address[1]};branch={token('z9hG4bK')}"), ("Max-Forwards", "70"),
            ("From", f"{invite.get('to')};tag={phone.tag}"), ("To", invite.get("from")), ("Call-ID", invite.get("call-id")),
            ("CSeq", "7 INVITE"), ("Contact", f"<{phone.contact}>"), ("Content-Type", "application/sdp"),
        ]  # fmt: skip
        before = len(agent.got("INVITE"))
        phone.send(Message(f"INVITE {uri_in(invite.get('contact'))} SIP/2.0", rows, keyed("new")), source)
        refused = lambda: [m for m in list(phone.requests) if m.status == 488 and m.get("cseq") == "7 INVITE"]  # noqa: E731
        wait_for(refused, "the offer is refused")
        assert len(agent.got("INVITE")) == before
        ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"))
        until(tenant, call, "completed")


def refusal(tenant, number):
    answer = tenant.admin.post("/api/v1/calls", json={"from": number["e164"], "to": CALLEE})
    assert answer.status_code == 409, answer.text
    return answer.json()["detail"]


def test_what_does_not_go_together_is_refused_before_anything_rings(tenant, agent, phone):
    with Agent() as plain:
        cases = [
            (agent, phone, "required", "disabled", "which the number's trunk has disabled"),
            (agent, phone, "disabled", "required", "which the endpoint has disabled"),
            (agent, plain, "required", "allowed", "would not travel by TLS on both sides"),
            (plain, phone, "allowed", "required", "would not travel by TLS on both sides"),
        ]
        for here, far, there, trunk, words in cases:
            number = line(tenant, here, far, there=there, trunk=trunk)
            assert words in refusal(tenant, number), (there, trunk)
        assert agent.got("INVITE") == phone.got("INVITE") == plain.got("INVITE") == []


def test_one_trace_has_both_sides_of_a_call(tenant):
    with Phone() as agent, Phone() as phone:
        number = line_of(tenant, agent, phone)
        ok(tenant.native.post(f"/api/v1/numbers/{number['id']}/trace", json={"minutes": 5}), 200)
        call = begin(tenant, number)
        until(tenant, call, "answered")
        agent.wait("ACK", 2)
        phone.hang_up(tenant.server.sip)
        agent.wait("BYE")
        until(tenant, call, "completed")

        def starts():
            text = ok_text(tenant.native.get(f"/api/v1/calls/{call['id']}/trace"))
            blocks = [block.splitlines() for block in text.split("--- ")[1:]]
            # A message that was repeated is one.
            return list({tuple(block[1:]): (block[0], block[1]) for block in blocks if len(block) > 1}.values())

        # INVITE and its 180, 200 and ACK with each, the agent's second INVITE, a BYE with each.
        ended = lambda rows: sum("SIP/2.0 200" in row for _, row in rows) == 5 and sum(row.startswith("BYE") for _, row in rows) == 2  # noqa: E731
        rows = wait_for(lambda: (rows := starts()) and ended(rows) and rows, "both BYEs and their answers are traced")
        for party, invites in ((agent, 2), (phone, 1)):
            at = f"{party.address[0]}:{party.address[1]}"
            there = [row for places, row in rows if at in places]
            kinds = [row.split()[0] if not row.startswith("SIP/2.0") else row.split()[1] for row in there]
            assert kinds.count("INVITE") == invites == kinds.count("ACK"), kinds
            assert kinds.count("BYE") == 1 and kinds.count("200") == invites + 1, kinds


def ok_text(answer):
    assert answer.status_code == 200, answer.text
    return answer.text
