"""What offers pass: trunk and endpoint by each row of the table, later offers, keys on the wire, and Bland, which takes SRTP only."""

import pytest
import sip
from harness import ok
from outbound_kit import calling_number, dial, trunk_to
from platforms import DTLS, SRTP, Bland
from sip import SDP
from streams_kit import StreamAgent, StreamCaller, calling
from test_platforms import both_ways, endpoint, over, secure, server  # noqa: F401


@pytest.fixture(scope="module")
def tls(carrier, server, authority):  # noqa: F811
    """A caller by TLS, and one by UDP; both are the trunk's."""
    with StreamCaller("TLS", server.at["TLS"], calling(authority), listens=False) as by_tls, sip.Caller(server.sip) as by_udp:
        yield {"TLS": by_tls, "UDP": by_udp}


def explained(carrier, number, media):  # noqa: F811
    query = {"media": media}
    return ok(carrier.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params=query), 200)


@pytest.mark.parametrize(
    ("offer", "takes", "by", "there", "code"),
    [
        ("plain", "disabled", "UDP", "UDP", None), ("plain", "allowed", "UDP", "UDP", None),
        ("plain", "required", "UDP", "TLS", "Turn on secure trunking"),
        ("encrypted", "required", "TLS", "TLS", None), ("encrypted", "allowed", "TLS", "TLS", None),
        ("encrypted", "allowed", "UDP", "UDP", None),
        ("encrypted", "required", "UDP", "TLS", "by TLS on both sides"), ("encrypted", "required", "TLS", "UDP", "by TLS on both sides"),
        ("encrypted", "disabled", "TLS", "TLS", "Turn secure trunking (SRTP) off"),
        ("dtls", "disabled", "TLS", "TLS", "Turn secure trunking (SRTP) off"),
        ("dtls", "required", "UDP", "UDP", None), ("none", "disabled", "UDP", "UDP", None),
    ],
)  # fmt: skip
def test_an_endpoint_takes_the_media_it_is_set_to(carrier, authority, tls, offer, takes, by, there, code):  # noqa: F811
    body = {"plain": SDP, "encrypted": SRTP, "dtls": DTLS, "none": ""}[offer]
    agent = over(authority, StreamAgentAny, "TLS") if there == "TLS" else sip.Agent()
    with agent:
        host = f"sip:localhost:{agent.address[1]};transport=tls" if there == "TLS" else agent.uri
        made = carrier.endpoint(host, media_encryption=takes)
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        call = tls[by].invite(number["e164"], body=body)
        answer = call.final()
        told = explained(carrier, number, offer)
        rule = [step["passed"] for step in told["steps"] if step["rule"] == "the endpoint takes what was offered"]
        if code is None:
            assert answer.status == 200 and told["sip_status"] == 200 and rule == [True]
            call.bye()
            return
        assert answer.status == 488 and code in answer.get("reason") and agent.got("INVITE") == [], "before it rings"
        record = carrier.call_with(number["e164"], "refused")
        assert code in record["reason"]
        # How a call arrives is not known beforehand; all else is told alike.
        if by == "TLS" or offer != "encrypted":
            assert told["sip_status"] == 488 and code in told["reason"] and rule == [False]


class StreamAgentAny(StreamAgent):
    """An agent over a stream without quirks."""


def test_a_late_offer_is_judged_in_the_answer(carrier, tls):  # noqa: F811
    with sip.Agent() as agent:
        made = carrier.endpoint(agent.uri, media_encryption="required")
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        answer = tls["UDP"].invite(number["e164"], body="").final()
        assert answer.status == 488 and "media_encryption" in answer.get("reason")
        agent.wait("ACK")
        agent.wait("BYE")
        record = carrier.call_with(number["e164"], "failed")
        assert [a["cause"] for a in record["attempts"]] == ["media_refused"] and "media_encryption" in record["reason"]


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_later_offers_are_judged_too(server, carrier, tls, killed):  # noqa: F811
    with sip.Agent() as agent, sip.Caller(server.sip) as caller:
        made = carrier.endpoint(agent.uri, media_encryption="disabled")
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        # What the endpoint is set to later is for later calls.
        carrier.admin.patch(f"/api/v1/endpoints/{made['id']}", json={"media_encryption": "allowed"})
        if killed:
            server.kill()
            server.start()
        refused = call.ask("INVITE", body=SRTP)
        assert refused.status == 488 and "media_encryption" in refused.get("reason")
        assert call.ask("UPDATE", body=SDP).status == 200
        assert len(agent.got("INVITE")) == 1
        call.bye()


def test_bland(server, carrier, authority):  # noqa: F811
    with over(authority, Bland, "TLS") as agent, StreamCaller("TLS", server.at["TLS"], calling(authority)) as caller:
        made = endpoint(carrier, "bland", {"region": "us2"}, agent)
        assert made["media_encryption"] == "required"
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        both_ways(carrier, caller, agent, number, body=SRTP)
        assert caller.invite(number["e164"], body=SDP).final().status == 488
        assert caller.invite(number["e164"], body=DTLS).final().status == 488
        assert len([m for m in agent.got("INVITE") if "tag=" not in m.get("to")]) == 2


def test_a_platform_takes_no_dtls_and_says_so(carrier, tls):  # noqa: F811
    made = ok(carrier.admin.post("/api/v1/endpoints", json={"name": "x", "kind": "xai"}), 201)
    number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
    told = explained(carrier, number, "dtls")
    assert told["sip_status"] == 488 and "DTLS" in told["reason"]
    assert explained(carrier, number, "plain")["sip_status"] == 200


def test_an_address_on_this_machine_is_no_news(carrier, tls):  # noqa: F811
    with sip.Agent() as agent:
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        call = tls["UDP"].invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        record = carrier.call_with(number["e164"], "completed")
        assert "media_unreachable" not in str(record), "both sides are as private as their sound"


def test_a_trunk_that_requires_encryption_takes_keys_by_tls_on_both_sides(server, authority):  # noqa: F811
    home = server.tenant("keys")
    with over(authority, StreamAgentAny, "TLS") as phone:
        side = {"address": f"localhost:{phone.address[1]}", "transport": "tls", "media_encryption": "required"}
        number, login = calling_number(home, trunk_to(home, phone, inbound="127.0.0.96", **side))
        with sip.Caller(server.sip, host="127.0.0.31") as by_udp:
            answer = dial(by_udp, number, login, body=SRTP).final()
            assert answer.status == 488 and "TLS on both sides" in answer.get("reason") and phone.got("INVITE") == []
        with StreamCaller("TLS", server.at["TLS"], calling(authority), host="127.0.0.31") as by_tls:
            call = dial(by_tls, number, login, body=SRTP)
            assert call.final().status == 200
            call.bye()
