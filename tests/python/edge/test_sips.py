"""`sips` on the wire (RFC 3261 section 16.6 step 4, RFC 5630): in Record-Route, and in the Contact of calls that we place."""

import pytest
from calls_kit import line
from harness import ok, while_up
from test_originated import Phone, begin, line_of, until
from streams_kit import StreamAgent, StreamCaller, calling, edge, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    running = edge(tmp_path_factory.mktemp("sips"), authority, "TLS", "WSS")
    with while_up(running):
        yield running


class SipsAgent(StreamAgent):
    """An agent that is spoken of with sips, its Contact too (RFC 3261 section 12.1.1)."""

    @property
    def uri(self):
        more = ";transport=ws" if self.transport == "WSS" else ""
        return f"sips:{self.name}:{self.address[1]}{more}"

    @property
    def contact(self):
        return f"sips:test@127.0.0.1:{self.address[1]}" + (";transport=ws" if self.transport == "WSS" else "")


def on(authority, kind, transport):
    return kind(transport, serving(authority.issue("localhost", "127.0.0.1")), name="localhost")


# The agent's side stands first.
@pytest.mark.parametrize(
    ("here", "there", "transport", "wanted"),
    [
        ("sips", SipsAgent, "TLS", ["sips {TLS};lr"]),
        ("sip", StreamAgent, "TLS", ["sip {TLS};transport=tls;lr"]),
        ("sips", StreamAgent, "TLS", ["sip {TLS};transport=tls;lr", "sips {TLS};lr"]),
        ("sip", SipsAgent, "TLS", ["sips {TLS};lr", "sip {TLS};transport=tls;lr"]),
        ("sips", SipsAgent, "WSS", ["sips {WSS};transport=ws;lr", "sips {TLS};lr"]),
    ],
)
def test_a_call_is_record_routed_with_the_scheme_of_each_side(server, carrier, authority, here, there, transport, wanted):
    with on(authority, there, transport) as agent, StreamCaller("TLS", server.at["TLS"], calling(authority)) as caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"], scheme=here)
        assert call.final().status == 200
        [invite] = agent.wait("INVITE")
        places = {name: f"{at[0]}:{at[1]}" for name, at in server.at.items()}
        routes = [route.strip("<>") for route in invite.routes("record-route")]
        assert [f"{r.split(':')[0]} {r.split('@')[1]}" for r in routes] == [w.format(**places) for w in wanted]
        assert invite.uri.startswith("sips:" if there is SipsAgent else "sip:")
        agent.wait("ACK")
        assert call.ask("INFO").status == 200
        agent.send_request(agent.last[1], "INFO", 1)
        info = caller.receive_until(lambda m: m.method == "INFO", 5, "the agent's INFO")
        assert not info.all("route")
        caller.send(info.reply(200, "OK"), caller.peer)
        call.bye()
        carrier.call_with(number["e164"], "completed")


class SipsPhone(SipsAgent, Phone):
    """The same, which also answers re-INVITEs."""

    rings, ringing = 0.0, {}

    def _answer(self, request, source):
        Phone._answer(self, request, source)


@pytest.mark.parametrize("transport", ["TLS", "WSS"])
def test_our_contact_has_sips_where_the_other_side_is_called_so(server, authority, transport):
    tenant = server.tenant()
    with on(authority, SipsPhone, transport) as agent, Phone() as phone:
        number = line_of(tenant, agent, phone)
        call = begin(tenant, number)
        until(tenant, call, "answered")
        at = f"127.0.0.1:{server.at[transport][1]}" + (";transport=ws" if transport == "WSS" else "")
        for invite in agent.wait("INVITE"):
            contact = invite.get("contact")
            assert contact.startswith("<sips:b.") and contact.endswith(f"@{at}>"), contact
        assert phone.wait("INVITE")[0].get("contact").startswith("<sip:b."), "each side has its own"
        ok(tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup"), 200)
        assert agent.wait("BYE")[0].uri == agent.contact
        phone.wait("BYE")


def test_a_call_with_sips_outlives_its_process_and_is_ended_by_an_api(tmp_path, authority):
    server = edge(tmp_path, authority, "TLS").start()
    try:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        shown = serving(authority.issue("127.0.0.1"))
        with (
            on(authority, SipsAgent, "TLS") as agent,
            StreamCaller("TLS", server.at["TLS"], calling(authority), listens=True, serving=shown) as caller,
        ):
            number = line(tenant, agent.uri)
            call = caller.invite(number["e164"], scheme="sips")
            assert call.final().status == 200
            agent.wait("ACK")
            server.kill()
            server.start()
            record = tenant.call_with(number["e164"], "answered")
            ok(tenant.admin.post(f"/api/v1/calls/{record['id']}/hangup"), 200)
            assert agent.wait("BYE")[0].uri == agent.contact
            bye = caller.receive_until(lambda m: m.method == "BYE", 5, "our BYE at the caller")
            caller.send(bye.reply(200, "OK"), caller.peer)
    finally:
        server.stop()
