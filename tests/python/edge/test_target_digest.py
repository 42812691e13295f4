"""Targets that ask for a password: each kind of challenge, every request of the dialog, and a process that is killed in the middle."""

import pytest
import sip
from harness import Server, ok, wait_for, while_up
from platforms import Challenger, Digest
from sip import SDP, Caller
from test_platforms import hang_up_from, reinvite_from, reinvited

USER, PASSWORD = "line-7", "correct horse: battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # What it tells again after a kill to callers who are gone is not waited for at the end.
    running = Server(tmp_path_factory.mktemp("asked"), arguments=["--drain-seconds", "1"])
    with while_up(running):
        yield running


def asks(*rows):
    return [Digest(realm, USER, PASSWORD, **how) for realm, how in rows]


WAYS = {
    "md5": lambda: Challenger(*asks(("a", {}))),
    "md5-without-qop": lambda: Challenger(*asks(("livekit", {"qop": False}))),
    "sha-256": lambda: Challenger(*asks(("a", {"algorithm": "SHA-256", "status": 401}))),
    "stale": lambda: Challenger(*asks(("a", {})), stale=True),
    "two-realms": lambda: Challenger(*asks(("proxy", {}), ("agent", {"status": 401}))),
    "every-request": lambda: Challenger(*asks(("a", {})), within=True),
}
SHIFT = {"stale": 2, "two-realms": 2}


def line(carrier, agent, **more):
    credentials = {"credentials": {"username": USER, "password": PASSWORD}} | more
    return carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri, **credentials)["id"])


@pytest.mark.parametrize("ends", ["caller", "agent", "api"])
@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("way", WAYS)
def test_a_challenged_call_holds_through_all_its_requests(server, carrier, way, killed, ends):
    with WAYS[way]() as agent, Caller(server.sip) as caller:
        number = line(carrier, agent)
        call = caller.invite(number["e164"], headers=[("Supported", "100rel")])
        early = call.response(lambda m: m.status == 183, what="a reliable 183")
        assert early.get("cseq") == "1 INVITE" and early.get("rseq") == "1"
        call.answer = early
        assert call.ask("PRACK", headers=[("RAck", "1 1 INVITE")]).status == 200
        agent.picks_up()
        assert call.response(lambda m: m.cseq_method == "INVITE" and m.status >= 200).status == 200
        call.ack(1)
        agent.wait("ACK")
        if killed:
            server.kill()
            server.start()
        assert call.ask("UPDATE", body=SDP).status == 200
        reinvited(caller, call)
        reinvite_from(agent, caller, call, 1)
        shift = SHIFT.get(way, 1)
        assert agent.cseq[call.id] == call.cseq + shift
        if ends == "caller":
            call.bye()
        elif ends == "agent":
            hang_up_from(agent, caller, call, 2)
        else:
            record = carrier.call_with(number["e164"], "answered")
            ok(carrier.admin.post(f"/api/v1/calls/{record['id']}/hangup"), 200)
            bye = caller.receive_until(lambda m: m.method == "BYE", 8, "our BYE at the caller")
            caller.send(bye.reply(200, "OK"), caller.peer)
            byes = lambda: [m for m in agent.got("BYE") if not agent.asks_within or agent.asks[0].nonces and m.all("proxy-authorization")]  # noqa: E731
            wait_for(byes, "our BYE at the agent, with credentials where it asks for them")
        carrier.call_with(number["e164"], "completed")
        assert agent.wrong == []
        [record] = carrier.calls(number["e164"])
        assert [a["cause"] for a in record["attempts"]] == ["challenged"] * shift + ["answered"]
        assert [a["sip_status"] for a in record["attempts"]][-1] == 200


@pytest.mark.parametrize("how", ["wrong", "none"])
def test_what_is_not_let_in_is_named(server, carrier, how):
    """With a wrong password the caller hears of no challenge; without one, it is the caller's to answer."""
    with Challenger(*asks(("a", {}))) as agent, Caller(server.sip) as caller:
        wrong = {"username": USER, "password": "wrong"}
        number = line(carrier, agent, credentials=wrong if how == "wrong" else None)
        answer = caller.invite(number["e164"]).final()
        wait_for(lambda: carrier.calls(number["e164"])[-1:] and carrier.calls(number["e164"])[-1]["ended_at"], "the call is over")
        record = carrier.calls(number["e164"])[-1]
        if how == "wrong":
            assert answer.status == 503 and answer.all("proxy-authenticate") == [] and "target_auth" in answer.get("reason")
            assert [a["cause"] for a in record["attempts"]] == ["challenged", "target_auth"] and record["status"] == "failed"
            assert "credentials" in record["reason"]
        else:
            assert answer.status == 407 and answer.all("proxy-authenticate")
            assert [a["cause"] for a in record["attempts"]] == ["refused"]
        log = server.log.read_text()
        assert PASSWORD not in log and "wrong" not in log


def test_the_next_target_is_tried_after_a_wrong_password(server, carrier):
    with Challenger(*asks(("a", {}))) as agent, sip.Agent() as other, Caller(server.sip) as caller:
        made = carrier.endpoint((agent.uri, 1, 1), (other.uri, 2, 1), credentials={"username": USER, "password": "wrong"})
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        [invite] = other.wait("INVITE")
        assert invite.get("cseq") == "1 INVITE", "a place that never asked has the caller's own number"
        assert invite.all("proxy-authorization") == []
        call.bye()


def test_a_changed_password_holds_for_the_next_call(server, carrier):
    with Challenger(*asks(("a", {}))) as agent, Caller(server.sip) as caller:
        number = line(carrier, agent, credentials={"username": USER, "password": "wrong"})
        assert caller.invite(number["e164"]).final().status == 503
        carrier.admin.patch(f"/api/v1/endpoints/{number['endpoint_id']}", json={"credentials": {"username": USER, "password": PASSWORD}})
        call = caller.invite(number["e164"])
        call.response(lambda m: m.status == 183)
        agent.picks_up()
        assert call.final().status == 200
        call.bye()
