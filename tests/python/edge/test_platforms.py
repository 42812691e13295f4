"""A call, changes and an end from each side with a simulator of each platform; for some the process is killed in between."""


import pytest
import sip
from harness import ok, wait_for, while_up
from platforms import Digest, ElevenLabs, LiveKit, OpenAi, Retell, Vapi, XAi
from sip import SDP, Caller
from streams_kit import calling, edge, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    # What it tells again after a kill to callers who are gone is not waited for at the end.
    running = edge(tmp_path_factory.mktemp("platforms"), authority, "TLS", arguments=["--drain-seconds", "1"])
    with while_up(running):
        yield running


@pytest.fixture
def caller(server):
    with Caller(server.sip) as party:
        yield party


def endpoint(carrier, kind, config, agent, user="", **more):
    """An endpoint of a kind whose address is the simulator's."""
    transport = getattr(agent, "transport", "UDP").lower()
    url = f"sip:{user}{'@' if user else ''}localhost:{agent.address[1]};transport={transport}"
    body = {"name": kind, "kind": kind, "config": config, "url": url} | more
    return ok(carrier.admin.post("/api/v1/endpoints", json=body), 201)


def line(carrier, *args, **more):
    made = endpoint(carrier, *args, **more)
    return carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])


def secure(authority):
    # A platform's certificate names the host that its Contact names.
    return serving(authority.issue("localhost", "sip.api.openai.invalid"))


def over(authority, kind, transport):
    """A simulator over a stream, which also calls by TLS where it has to."""
    agent = kind(transport, secure(authority))
    agent.client = calling(authority) if transport == "TLS" else None
    return agent


def reinvited(caller, call, body=SDP):
    answer = call.ask("INVITE", body=body)
    assert answer.status == 200, answer
    call.ack()
    return answer


def reinvite_from(agent, caller, call, cseq, body=SDP):
    """The platform changes the session; the caller's side answers."""
    agent.within("INVITE", cseq, body=body)
    asked = caller.receive_until(lambda m: m.method == "INVITE" and m.get("call-id") == call.id, 8, "the platform's re-INVITE")
    assert asked.get("cseq") == f"{cseq} INVITE"
    caller.send(asked.reply(200, "OK", contact=caller.contact, body=body), caller.peer)
    assert agent.answered("INVITE").status == 200
    agent.within("ACK", cseq)
    caller.receive_until(lambda m: m.method == "ACK" and m.get("call-id") == call.id, 8, "the platform's ACK")


def hang_up_from(agent, caller, call, cseq):
    agent.within("BYE", cseq)
    bye = caller.receive_until(lambda m: m.method == "BYE" and m.get("call-id") == call.id, 8, "the platform's BYE")
    caller.send(bye.reply(200, "OK"), caller.peer)
    assert agent.answered("BYE").status == 200


def both_ways(carrier, caller, agent, number, between=lambda: None, body=SDP):
    """Two calls: changed from each side, ended by each side."""
    for at, ends in enumerate(("caller", "platform")):
        call = caller.invite(number["e164"], body=body)
        if isinstance(agent, OpenAi):
            call.response(lambda m: m.status == 180, what="ringing")
            agent.picks_up()
        assert call.final().status == 200, call.answer
        assert call.answer.get("content-type") == "application/sdp", "SDP has a type, whatever the platform forgets"
        assert call.answer.get("to") == f"{call.to};tag={agent.tag}" and call.answer.get("cseq") == "1 INVITE"
        between()
        reinvited(caller, call, body)
        reinvite_from(agent, caller, call, 1, body)
        if ends == "caller":
            call.bye()
        else:
            hang_up_from(agent, caller, call, 2)
        done = lambda: [c for c in carrier.calls(number["e164"]) if c["status"] == "completed"]  # noqa: E731
        wait_for(lambda: len(done()) == at + 1, "the call is completed")
        assert done()[-1]["ended_by"] == ("caller" if ends == "caller" else "callee")
    assert agent.wrong == []


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("kind, more", [("openai", {}), ("azure_openai", {"region": "swedencentral"})], ids=["openai", "azure"])
def test_openai_and_azure(server, carrier, caller, authority, kind, more, killed):
    with over(authority, OpenAi, "TLS") as agent:
        config = {"project_id": "proj_1"} | more
        made = endpoint(carrier, kind, config, agent, user="proj_1")
        assert made["ring_seconds"] == 300 and made["media_encryption"] == "allowed" and made["to_form"] == "as_received"
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        both_ways(carrier, caller, agent, number, between=lambda: killed and (server.kill(), server.start()))


def test_openai_addresses_are_made_of_ids(carrier):
    for kind, config, target in [
        ("openai", {"project_id": "proj_1"}, "sip:proj_1@sip.api.openai.com;transport=tls"),
        ("azure_openai", {"project_id": "proj_1", "region": "eastus2"}, "sip:proj_1@eastus2.sip.ai.azure.com;transport=tls"),
        ("xai", {}, "sip:sip.voice.x.ai;transport=tls"),
        ("bland", {"region": "us2"}, "sip:us2.sip.bland.ai:5061;transport=tls"),
    ]:
        made = ok(carrier.admin.post("/api/v1/endpoints", json={"name": kind, "kind": kind, "config": config}), 201)
        assert [row["uri"] for row in made["targets"]] == [target]
        # In an API that knows nine types it is an address.
        shown = ok(carrier.krosai.get(f"/v1/endpoints/{made['id']}"), 200)
        shown = shown.get("data", shown)
        assert shown["type"] == "custom_sip" and shown["url"] == target


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_xai_by_password(carrier, caller, authority, algorithm):
    with over(authority, XAi, "TLS") as agent:
        agent.asks = [Digest("voice.x.ai", "line", "pass: word", algorithm, status=401)]
        number = line(carrier, "xai", {}, agent, credentials={"username": "line", "password": "pass: word"})
        agent.numbers = (number["e164"],)
        both_ways(carrier, caller, agent, number)
        assert agent.asks[0].asked == 2, "once a call"
        record = carrier.calls(number["e164"])[-1]
        assert [a["cause"] for a in record["attempts"]] == ["challenged", "answered"]


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_livekit(server, carrier, caller, authority, transport, killed):
    with over(authority, LiveKit, transport) as agent:
        credentials = {"username": "trunk", "password": "hush"}
        number = line(carrier, "livekit", {}, agent, credentials=credentials)
        agent.trunks = {number["e164"]: Digest("livekit", "trunk", "hush", qop=False)}
        both_ways(carrier, caller, agent, number, between=lambda: killed and (server.kill(), server.start()))
        invite = agent.got("INVITE")[0]
        assert invite.get("to") == f"<sip:{number['e164']}@localhost>"


def test_livekit_repeats_its_refusals_so_it_is_asked_once(carrier, caller, authority):
    with LiveKit("TCP") as agent, over(authority, LiveKit, "TLS") as other:
        number = line(carrier, "livekit", {}, agent)
        made = carrier.endpoint(
            f"sip:localhost:{agent.address[1]};transport=tcp", f"sip:localhost:{other.address[1]};transport=tls", name="plain"
        )
        agent.trunks = other.trunks = {number["e164"]: None}
        agent.refuses = other.refuses = 503
        # A 503 of a target says nothing of us: its caller hears 500 (RFC 3261 section 16.7).
        assert caller.invite(number["e164"]).final().status == 500
        assert len(agent.got("INVITE")) == 1 and getattr(agent, "cached", 0) == 0
        # Plain SIP has no such rule: both are asked.
        plain = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        agent.trunks = other.trunks = {plain["e164"]: None}
        assert caller.invite(plain["e164"]).final().status in (404, 500)
        assert len(agent.got("INVITE")) + len(other.got("INVITE")) == 3


def test_livekit_copies_no_route_into_its_refer(carrier, caller):
    with LiveKit("TCP") as agent:
        number = line(carrier, "livekit", {}, agent)
        agent.trunks = {number["e164"]: None}
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        routes = [("Route", value) for value in agent.got("INVITE")[0].all("route")]
        assert routes == []
        agent.within("REFER", 1, headers=[*routes, ("Refer-To", "<sip:+12125550123@127.0.0.1>")])
        refer = caller.receive_until(lambda m: m.method == "REFER", 8, "the REFER")
        assert refer.all("route") == []
        caller.send(refer.reply(202, "Accepted"), caller.peer)
        call.bye()


def test_elevenlabs(carrier, caller):
    with ElevenLabs("TCP") as agent:
        number = line(carrier, "elevenlabs", {"elevenlabs_agent_id": "agent_1"}, agent)
        both_ways(carrier, caller, agent, number)
        ids = [c["id"] for c in carrier.calls(number["e164"])]
        assert agent.call_id == ids[-1] and agent.caller_id == "+12125550100"


def test_vapi(carrier, caller):
    with Vapi() as agent:
        both_ways(carrier, caller, agent, line(carrier, "vapi", {"credential_id": "c1"}, agent))


@pytest.mark.parametrize("config", [{"agent_id": "agent_1"}, {"imported_number": True}], ids=["agent", "number"])
def test_retell(carrier, caller, config):
    with Retell("TCP") as agent:
        both_ways(carrier, caller, agent, line(carrier, "retell", config, agent))


class Twilio(Caller):
    """A carrier with a private Contact behind two Record-Routes of its own: it expects loose routing."""

    contact = "sip:+12125550100@10.1.2.3:5060;transport=udp"

    @property
    def routes(self):
        mine = f"{self.address[0]}:{self.address[1]}"
        return [f"<sip:{mine};lr;ftag=1>", "<sip:10.1.2.9;lr>"]

    def call(self, number, **more):
        return self.invite(number, headers=[("Record-Route", route) for route in self.routes], **more)


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_a_carrier_with_a_private_contact_behind_two_routes(server, carrier, killed):
    with Twilio(server.sip) as carrier_side, Vapi() as agent:
        number = line(carrier, "vapi", {"credential_id": "c1"}, agent)
        for cseq, ends in ((1, "platform"), (3, "caller")):
            call = carrier_side.call(number["e164"])
            answer = call.response(lambda m: m.cseq_method == "INVITE" and m.status == 200)
            # Its own routes come back below ours; it removes them before it routes by what is left.
            routes = answer.routes("record-route")
            assert routes[-2:] == carrier_side.routes
            answer.headers = [(k, v) for k, v in answer.headers if k.lower() != "record-route"]
            answer.headers += [("Record-Route", route) for route in routes[:-2]]
            call.answer = answer
            call.ack()
            if killed:
                server.kill()
                server.start()
            agent.within("INFO", cseq)
            info = carrier_side.receive_until(lambda m: m.method == "INFO", 8, "the platform's INFO")
            assert info.uri == carrier_side.contact and info.routes("route") == carrier_side.routes
            carrier_side.send(info.reply(200, "OK"), carrier_side.peer)
            reinvited(carrier_side, call)
            if ends == "caller":
                call.bye()
            else:
                hang_up_from(agent, carrier_side, call, cseq + 1)
            carrier.call_with(number["e164"], "completed")
        assert agent.wrong == []


def test_credentials_go_in_and_never_come_out(server, carrier):
    made = ok(carrier.admin.post("/api/v1/endpoints", json={
        "name": "x", "kind": "xai", "credentials": {"username": "line", "password": "very-secret-word"}}), 201)  # fmt: skip
    path = f"/api/v1/endpoints/{made['id']}"
    assert made["username"] == "line" and "very-secret-word" not in str(made)
    # Another kind fills its fields in; what is named stays, and so does the password.
    changed = ok(carrier.admin.patch(path, json={"kind": "livekit", "config": {"livekit_sip_uri": "h"}, "to_form": "as_received"}), 200)
    assert (changed["username"], changed["to_form"]) == ("line", "as_received")
    assert ok(carrier.admin.patch(path, json={"credentials": None}), 200)["username"] is None
    for body in ({"credentials": {"username": "a\"b", "password": "x"}}, {"credentials": {"username": "a"}}, {"headers": {"Via": "x"}},
                 {"headers": {"X-A": "a\r\nb"}}, {"ring_seconds": 4}, {"to_form": "loud"}, {"media_encryption": "never"}):  # fmt: skip
        answer = carrier.admin.patch(path, json=body)
        assert answer.status_code == 422 and answer.json()["field"] == next(iter(body)), answer.text
    assert b"very-secret-word" not in b"".join(file.read_bytes() for file in server.folder.rglob("*") if file.is_file())


def test_a_header_tells_the_call(carrier, caller):
    with sip.Agent() as agent:
        headers = {"X-Token": "abc", "X-Call": "{call_id}/{caller}/{number}"}
        made = carrier.endpoint(agent.uri, headers=headers)
        assert made["headers"] == headers
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=made["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        [invite] = agent.wait("INVITE")
        record = carrier.call_with(number["e164"], "answered")
        assert invite.get("x-token") == "abc"
        assert invite.get("x-call") == f"{record['id']}/+12125550100/{number['e164']}"
        call.bye()
