"""Calls over TLS: certificates of targets by name, ours to callers, reload, and a process that is killed in a call."""

import signal
import socket
import time

import pytest
import sip
from calls_kit import line
from harness import wait_for, while_up
from streams_kit import Authority, StreamAgent, agent_on, caller_on, edge, metric, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    running = edge(tmp_path_factory.mktemp("tls"), authority, "TLS")
    with while_up(running):
        yield running


@pytest.mark.parametrize("there", ["UDP", "TCP", "TLS"])
@pytest.mark.parametrize("here", ["UDP", "TCP", "TLS"])
def test_a_call_is_carried_between_any_two_transports(server, carrier, authority, here, there):
    with agent_on(authority, there) as agent, caller_on(server, authority, here) as caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        [invite] = agent.wait("INVITE")
        routes = invite.routes("record-route")
        # One where both sides are one listener's, else two: the agent's side on top (RFC 5658).
        assert [f"transport={there.lower()}" in routes[0], f"transport={here.lower()}" in routes[-1]] == [True, True]
        assert len(routes) == (1 if here == there else 2)
        via = invite.all("via")[0]
        port = server.at[there][1]
        assert via.startswith(f"SIP/2.0/{there} 127.0.0.1:{port};"), f"a port that listens: {via}"
        agent.wait("ACK")
        # Each side hangs up once: the agent here, the caller in the other tests.
        agent.send_request(agent.last[1] if there != "UDP" else server.sip, "INFO", 1)
        info = caller.receive_until(lambda m: m.method == "INFO", 5, "the agent's INFO")
        caller.send(info.reply(200, "OK"), caller.peer)
        call.bye()
        record = carrier.call_with(number["e164"], "completed")
        assert [a["cause"] for a in record["attempts"]] == ["answered"]


@pytest.mark.parametrize(
    ("names", "days", "whose", "cause"),
    [
        (["elsewhere.example"], (-1, 1), "known", "tls_name"),
        (["sip:elsewhere.example", "localhost"], (-1, 1), "known", "tls_name"),
        (["127.0.0.1"], (-1, 1), "known", "tls_name"),
        (["localhost"], (-2, -1), "known", "tls_expired"),
        (["localhost"], (1, 2), "known", "tls_expired"),
        (["localhost"], (-1, 1), "stranger", "tls_untrusted"),
    ],
)
def test_a_target_with_a_wrong_certificate_gets_no_call_and_the_receipt_says_why(
    carrier, authority, tmp_path, server, names, days, whose, cause
):
    signer = authority if whose == "known" else Authority(tmp_path)
    bad = StreamAgent("TLS", serving(signer.issue(*names, days=days)), name="localhost")
    with bad, agent_on(authority, "UDP") as good, sip.Caller(server.sip) as caller:
        number = line(carrier, (bad.uri, 1, 1), (good.uri, 2, 1))
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        record = carrier.call_with(number["e164"], "completed")
        assert [a["cause"] for a in record["attempts"]] == [cause, "answered"]
        assert bad.requests == [], "nothing was sent before the name was known"


@pytest.mark.parametrize("names", [["sip:localhost", "elsewhere.example"], ["LOCALHOST"]])
def test_a_certificate_may_name_its_domain_as_rfc_5922_says(server, carrier, authority, names):
    with StreamAgent("TLS", serving(authority.issue(*names)), name="localhost") as agent, sip.Caller(server.sip) as caller:
        call = caller.invite(line(carrier, agent.uri)["e164"])
        assert call.final().status == 200
        call.bye()


def test_there_is_no_fall_back_from_tls(server, carrier):
    """A target over TLS that speaks plain TCP, or nothing at all."""
    with StreamAgent("TCP", name="localhost") as plain, sip.Caller(server.sip) as caller:
        number = line(carrier, plain.uri.replace("tcp", "tls"))
        assert caller.invite(number["e164"]).final().status == 503
        record = carrier.call_with(number["e164"], "failed")
        assert [a["cause"] for a in record["attempts"]] in (["tls_handshake"], ["transport"])
        assert plain.requests == []


def test_what_does_not_speak_tls_does_no_harm(server, authority, carrier):
    before = metric(server, 'trunkline_sip_dropped_total{reason="handshake"}')
    held = [socket.create_connection(server.at["TLS"]) for _ in range(50)]
    for connection in held[:25]:
        connection.sendall(b"OPTIONS sip:x SIP/2.0\r\n\r\n" * 10)
    with agent_on(authority, "TLS") as agent, caller_on(server, authority, "TLS") as caller:
        call = caller.invite(line(carrier, agent.uri)["e164"])
        assert call.final().status == 200
        assert metric(server, 'trunkline_sip_dropped_total{reason="handshake"}') <= before + 25, "while others keep silent"
        call.bye()
    wait_for(lambda: metric(server, 'trunkline_sip_dropped_total{reason="handshake"}') >= before + 50, "all were given up")
    for connection in held:
        connection.close()


def test_a_call_outlives_its_process_and_ends_over_new_connections(tmp_path, authority):
    server = edge(tmp_path, authority, "TLS").start()
    try:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        with agent_on(authority, "TLS") as agent, caller_on(server, authority, "TLS") as caller:
            number = line(tenant, agent.uri)
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            agent.wait("ACK")
            server.kill()
            wait_for(lambda: not any(link.open and link.read() for link in caller.links), "the caller sees its end")
            server.start()
            call.bye()
            assert [m.get("call-id") for m in agent.wait("BYE")] == [call.id]
            assert tenant.call_with(number["e164"], "completed")["duration_seconds"] >= 0
            assert "tls_name" not in server.last_log()
    finally:
        server.stop()


@pytest.mark.parametrize("how", ["changed", "told"])
def test_a_new_certificate_is_taken_under_a_call(tmp_path, authority, how):
    server = edge(tmp_path, authority, "TLS").start()
    try:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")

        def shown():
            with caller_on(server, authority, "TLS") as looking:
                return looking.connect(server.at["TLS"]).socket.getpeercert()["serialNumber"]

        with agent_on(authority, "TLS") as agent, caller_on(server, authority, "TLS") as caller:
            number = line(tenant, agent.uri)
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            first = shown()
            authority.issue("localhost", at="server")
            if how == "told":
                server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: shown() != first, "the new certificate is shown", 8)
            second = shown()
            # A file that is no certificate changes nothing, and is told.
            (authority.folder / "server.crt").write_text("no certificate")
            wait_for(lambda: metric(server, 'trunkline_sip_tls_reloads_total{result="failed"}') >= 1, "it was looked at", 8)
            assert shown() == second
            assert "cannot be used" in server.last_log()
            call.bye()
            again = caller.invite(number["e164"])
            assert again.final().status == 200
            again.bye()
    finally:
        server.stop()


def test_a_connection_that_broke_is_made_again_once(server, carrier, authority):
    with agent_on(authority, "TLS") as agent, caller_on(server, authority, "TLS") as caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        for link in list(agent.links):
            link.socket.shutdown(socket.SHUT_RDWR)
        time.sleep(0.1)
        again = caller.invite(number["e164"])
        assert again.final().status == 200
        again.bye()
        assert len(agent.got("INVITE")) == 2
