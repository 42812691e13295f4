"""Dialogs whose connection is gone (RFC 3261 section 12.2.1.1, RFC 3263): what follows goes to the Contact, by a new one."""

import socket
import time

import pytest
import sip
from access_kit import Agent as Registered
from calls_kit import line
from dns_kit import A
from harness import ok, wait_for, while_up
from streams_kit import StreamAgent, StreamCaller, calling, edge, metric, serving


@pytest.fixture(scope="module")
def dns(dns):
    dns.put("side.test", A, "127.0.0.1")
    # Nobody's business: an address of this network that the dialog does not go to.
    dns.put("inner.test", A, "127.0.0.9")
    dns.put("both.test", A, "127.0.0.9", "127.0.0.1")
    return dns


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority, dns):
    running = edge(tmp_path_factory.mktemp("gone"), authority, "TLS", "WS", arguments=["--sip-dns", dns.setting])
    with while_up(running):
        yield running


def cut(server, party):
    """Ends the connections of a party, and waits until the server knows."""
    before = metric(server, "trunkline_sip_connections")
    links = [link for link in party.links if link.open]
    assert links
    for link in links:
        link.socket.shutdown(socket.SHUT_RDWR)
        link.close()
    wait_for(lambda: metric(server, "trunkline_sip_connections") <= before - len(links), "the server sees their end")


# Over WebSocket an address is no way to a peer: it may be anybody's (RFC 7118 section 5).
WAYS = [(t, c) for t in ("TCP", "TLS", "WS") for c in (None, "side.test", "both.test") if (t, c) != ("WS", None)]


@pytest.mark.parametrize(("transport", "called"), WAYS)
def test_the_callers_connection_is_gone_and_the_agent_hangs_up(server, carrier, authority, transport, called):
    # Within a dialog an address must be shown where an address is named.
    shown = serving(authority.issue(called or "127.0.0.1")) if transport == "TLS" else None
    client = calling(authority) if transport == "TLS" else None
    with (
        sip.Agent() as agent,
        StreamCaller(transport, server.at[transport], client, listens=True, serving=shown) as caller,
    ):
        caller.called = called
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        cut(server, caller)
        agent.send_bye(server.sip)
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "the agent's BYE, by a new connection")
        caller.send(bye.reply(200, "OK"), caller.peer)
        wait_for(lambda: [m for m in agent.requests if m.status == 200], "the 200 to the BYE at the agent")
        assert carrier.call_with(number["e164"], "completed")["ended_by"] == "callee"


@pytest.mark.parametrize("called", [None, "side.test"], ids=["address", "name"])
@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_the_agents_connection_is_gone_and_the_caller_goes_on(server, carrier, authority, transport, called):
    names = ["side.test"] if called else ["localhost", "127.0.0.1"]
    shown = serving(authority.issue(*names)) if transport == "TLS" else None
    with StreamAgent(transport, shown, name=called or "localhost") as agent, sip.Caller(server.sip) as caller:
        agent.called = called
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        cut(server, agent)
        assert call.ask("INFO").status == 200
        cut(server, agent)
        call.bye()
        assert len(agent.got("BYE")) == 1


def test_a_name_leads_to_nobody_within_that_the_dialog_does_not_know(server, carrier, dns):
    with sip.Agent() as agent, StreamCaller("TCP", server.at["TCP"]) as caller, socket.socket() as inner:
        inner.bind(("127.0.0.9", caller.address[1]))
        inner.listen()
        inner.settimeout(1)
        caller.called = "inner.test"
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        cut(server, caller)
        before = metric(server, "trunkline_sip_connects_failed_total")
        agent.send_bye(server.sip)
        carrier.call_with(number["e164"], "completed")
        wait_for(lambda: metric(server, "trunkline_sip_connects_failed_total") > before, "the dialog's own hop was tried")
        with pytest.raises(TimeoutError):
            inner.accept()


def test_a_registered_agent_whose_connection_is_gone_has_no_other_way(server, carrier):
    """RFC 5626 section 5.3.1: 430, and at once. Its next call comes by the connection that it makes then."""
    number = line(carrier, "sip:registered.invalid")
    made = ok(carrier.admin.post(f"/api/v1/numbers/{number['id']}/sip-credentials"), 200)
    credentials = made["sip_username"], made["sip_password"]
    shown = lambda: ok(carrier.native.get(f"/api/v1/numbers/{number['id']}/registrations"), 200)["data"]  # noqa: E731
    with sip.Caller(server.sip) as caller:
        with Registered(server.sip, credentials, tcp=True, host="127.0.0.44") as agent:
            assert agent.register().status == 200
            call = caller.invite(number["e164"])
            agent.take()
            assert call.final().status == 200
            agent.answer("ACK")
        wait_for(lambda: shown() == [], "the flow is gone with its connection")
        for method, body in [("INFO", ""), ("INVITE", sip.SDP), ("BYE", "")]:
            began = time.monotonic()
            assert call.ask(method, body).status == 430 and time.monotonic() - began < 2, method
        carrier.call_with(number["e164"], "completed")
        with Registered(server.sip, credentials, tcp=True, host="127.0.0.44") as agent:
            assert agent.register().status == 200
            call = caller.invite(number["e164"])
            agent.take()
            assert call.final().status == 200
            agent.answer("ACK")
            caller.send(call.in_dialog("BYE"), caller.edge)
            agent.answer("BYE")


@pytest.mark.parametrize("here", ["UDP", "TCP"])
def test_who_cannot_be_reached_any_more_is_told_of_at_once(server, carrier, here):
    """Neither the connection nor the place is there: 503 (RFC 3261 section 8.1.3.1), and no silence of half a minute."""
    with StreamAgent("TCP") as agent, (sip.Caller(server.sip) if here == "UDP" else StreamCaller("TCP", server.sip)) as caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        agent._stop.set()
        agent._thread.join(5)
        agent.socket.close()
        cut(server, agent)
        for method, body in [("INFO", ""), ("INVITE", sip.SDP), ("BYE", "")]:
            began = time.monotonic()
            assert call.ask(method, body).status == 503 and time.monotonic() - began < 2, method
        carrier.call_with(number["e164"], "completed")


def test_an_api_ends_a_call_whose_connections_are_gone(server, carrier):
    with StreamAgent("TCP", name="side.test") as agent, StreamCaller("TCP", server.at["TCP"], listens=True) as caller:
        agent.called = caller.called = "side.test"
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        cut(server, agent)
        cut(server, caller)
        record = carrier.call_with(number["e164"], "answered")
        assert carrier.admin.post(f"/api/v1/calls/{record['id']}/hangup").status_code == 200
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "our BYE, by a new connection")
        caller.send(bye.reply(200, "OK"), caller.peer)
        agent.wait("BYE")
