"""SIP over WebSocket (RFC 7118): listeners and targets, agents in browsers, and what is refused, with its name."""

import contextlib
import os
import re
import select
import signal
import socket
import threading
import time

import pytest
import sip
from access_kit import Agent, bound
from calls_kit import line
from dns_kit import NAPTR, SRV, A
from harness import ok, wait_for, while_up
from streams_kit import SECURE, Authority, Link, StreamAgent, StreamCaller, agent_on, caller_on, calling, edge, metric, serving

HERE = "sip:registered.invalid"


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority, dns):
    running = edge(tmp_path_factory.mktemp("web"), authority, "TLS", "WS", "WSS", arguments=["--sip-dns", dns.setting])
    with while_up(running):
        yield running


class Browser(Agent):
    """An agent in a browser: its host is nobody's (RFC 7118 section 5.1), so nothing but its connection leads to it."""

    def __init__(self, transport, at, login, authority, host="127.0.0.41"):
        plain = socket.create_connection(at, 5, source_address=(host, 0))
        stream = calling(authority).wrap_socket(plain) if transport in SECURE else plain
        self.link = Link(stream, transport, server=False)
        self.address, self.received, self.edge, self.transport = stream.getsockname(), [], at, transport
        self.name, (self.user, self.password) = f"{sip.token('b')}.invalid", login
        self.own, self.params, self.outbound = f"sip:{self.user}@{self.name};transport=ws", "", False
        self.id, self.cseq, self.tag, self.nc = sip.token("r"), 0, sip.token("a"), {}

    socket = property(lambda self: self.link)

    def send(self, message, to):
        self.link.send(message.encode().replace(b"10.11.12.13:5060", self.name.encode()))

    def receive(self, seconds):
        end = time.monotonic() + seconds
        while not self.link.messages:
            left = end - time.monotonic()
            if left <= 0 or not self.link.open:
                return None
            if self.link.pending() or select.select([self.link], [], [], left)[0]:
                self.link.read()
        message = self.link.messages.pop(0)
        self.received.append(message)
        return message


def login(tenant, number):
    made = ok(tenant.admin.post(f"/api/v1/numbers/{number['id']}/sip-credentials"), 200)
    return made["sip_username"], made["sip_password"]


def registrations(carrier, number):
    return ok(carrier.native.get(f"/api/v1/numbers/{number['id']}/registrations"), 200)["data"]


@pytest.mark.parametrize("there", ["UDP", "TLS", "WS", "WSS"])
@pytest.mark.parametrize("here", ["UDP", "TCP", "WS", "WSS"])
def test_a_call_is_carried_between_web_socket_and_any_transport(server, carrier, authority, here, there):
    with agent_on(authority, there) as agent, caller_on(server, authority, here) as caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        [invite] = agent.wait("INVITE")
        routes = invite.routes("record-route")
        words = {"WSS": "ws"}
        named = [f"transport={words.get(side, side.lower())};" in route for side, route in [(there, routes[0]), (here, routes[-1])]]
        assert named == [True, True] and len(routes) == (1 if here == there else 2)
        port = server.at[there][1]
        assert invite.all("via")[0].startswith(f"SIP/2.0/{there} 127.0.0.1:{port};"), "a port that listens"
        assert invite.all("via")[1].startswith(f"SIP/2.0/{here} ")
        agent.wait("ACK")
        agent.send_request(agent.last[1] if there != "UDP" else server.sip, "INFO", 1)
        info = caller.receive_until(lambda m: m.method == "INFO", 5, "the agent's INFO")
        caller.send(info.reply(200, "OK"), caller.peer)
        call.bye()
        record = carrier.call_with(number["e164"], "completed")
        assert [a["cause"] for a in record["attempts"]] == ["answered"]
        if there in ("WS", "WSS"):
            again = caller.invite(number["e164"])
            assert again.final().status == 200
            again.bye()
            assert len(agent.links) == 1, "the connection is used again"


@pytest.mark.parametrize("transport", ["WS", "WSS"])
def test_an_agent_in_a_browser_registers_and_has_calls_by_its_connection(server, carrier, authority, transport):
    number = line(carrier, HERE)
    credentials = login(carrier, number)
    with Browser(transport, server.at[transport], credentials, authority) as agent, sip.Caller(server.sip) as caller:
        answer = agent.register(expires=600)
        assert answer.status == 200 and bound(answer) == {agent.contact: 600}
        [shown] = registrations(carrier, number)
        assert (shown["contact"], shown["transport"]) == (agent.contact, transport.lower())
        call = caller.invite(number["e164"])
        assert agent.take().uri == agent.contact
        assert call.final().status == 200
        assert agent.answer("ACK").uri == agent.contact
        caller.send(call.in_dialog("INFO"), caller.edge)
        assert agent.answer("INFO").uri == agent.contact
        record = carrier.call_with(number["e164"], "answered")
        ok(carrier.admin.post(f"/api/v1/calls/{record['id']}/hangup"), 200)
        assert agent.answer("BYE").uri == agent.contact, "our BYE goes by the flow too"
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "a BYE at the caller")
        caller.send(bye.reply(200, "OK"), caller.peer)
        # A second call, which the agent ends.
        call = caller.invite(number["e164"])
        invite = agent.take()
        assert call.final().status == 200
        agent.answer("ACK")
        rows = [("Via", f"SIP/2.0/{transport} {agent.name};branch={sip.token('z9hG4bK')}"), ("Max-Forwards", "70")]
        rows += [("Route", route) for route in invite.routes("record-route")]
        rows += [("From", f"{invite.get('to')};tag={agent.tag}"), ("To", invite.get("from")),
                 ("Call-ID", invite.get("call-id")), ("CSeq", "1 BYE")]  # fmt: skip
        agent.send(sip.Message(f"BYE {caller.contact} SIP/2.0", rows), agent.edge)
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "a BYE at the caller")
        caller.send(bye.reply(200, "OK"), caller.peer)
        assert agent.receive_until(lambda m: m.cseq_method == "BYE" and m.status, 5, "its answer").status == 200
        # A ping is answered, a line break is not: it is no keep-alive here, and does no harm.
        agent.link.socket.sendall(agent.link._framed(b"still there?", 9))
        agent.link.send(b"\r\n\r\n")
        assert agent.receive(1) is None and (agent.link.pongs, agent.link.open) == (1, True)
    wait_for(lambda: registrations(carrier, number) == [], "the flow is gone with its connection")
    with sip.Caller(server.sip) as caller:
        assert caller.invite(number["e164"]).final().status == 480


def test_a_call_whose_browser_is_gone_is_not_tried_at_its_address(server, carrier, authority):
    number = line(carrier, HERE)
    with sip.Caller(server.sip) as caller:
        with Browser("WS", server.at["WS"], login(carrier, number), authority) as agent:
            assert agent.register().status == 200
            call = caller.invite(number["e164"])
            agent.take()
            assert call.final().status == 200
            agent.answer("ACK")
            before = metric(server, "trunkline_sip_connects_failed_total")
        wait_for(lambda: registrations(carrier, number) == [], "the connection has ended")
        began = time.monotonic()
        assert call.ask("BYE").status == 430 and time.monotonic() - began < 2, "there is no other way, and that is told"
        carrier.call_with(number["e164"], "completed")
        assert metric(server, "trunkline_sip_connects_failed_total") == before, "nobody was called at where it came from"


def head(link_or_socket, request):
    """What a plain client of HTTP is told."""
    link_or_socket.sendall(request)
    told = b""
    while data := link_or_socket.recv(4096):
        told += data
    return told.decode()


UPGRADE = (
    "GET /sip HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def test_who_asks_for_something_else_is_told_what_to_ask_for(server):
    before = metric(server, 'trunkline_sip_dropped_total{reason="handshake"}')
    for request, status, words in [
        (UPGRADE + "\r\n", 400, "Sec-WebSocket-Protocol: sip"),
        (UPGRADE + "Sec-WebSocket-Protocol: xmpp\r\n\r\n", 400, "Sec-WebSocket-Protocol: sip"),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426, "Upgrade: websocket"),
        ("OPTIONS sip:x SIP/2.0\r\n\r\n", 426, "Upgrade: websocket"),
    ]:
        with socket.create_connection(server.at["WS"], 5) as plain:
            told = head(plain, request.encode())
            assert told.startswith(f"HTTP/1.1 {status} ") and words in told, told
    # Who says nothing, or half of it, is given up after three seconds; here and under TLS.
    held = [socket.create_connection(server.at[at], 5) for at in ("WS", "WS", "WSS")]
    held[0].sendall(b"GET / HTTP/1.1\r\nHost:")
    began = time.monotonic()
    for connection in held:
        assert connection.recv(1) == b""
        connection.close()
    assert 2 < time.monotonic() - began < 5
    wait_for(lambda: metric(server, 'trunkline_sip_dropped_total{reason="handshake"}') >= before + 7, "each is counted")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda link: link._framed(b"A" * 65_536), 1009),
        (lambda link: bytes([0x02, 0xFE, 0xFF, 0xFF]) + os.urandom(4 + 0xFFFF) + bytes([0x80, 0x81]) + os.urandom(5), 1009),
        (lambda link: bytes([0x81, 3]) + b"abc", 1002),
        (lambda link: bytes([0xF1, 0x80, 1, 2, 3, 4]), 1002),
        (lambda link: link._framed(b"\xff\xfe SIP/2.0", 1), 1002),
        (lambda link: link._framed(b'{"hello": "there"}'), 1007),
    ],
    ids=["too long", "too long in parts", "not masked", "reserved bits", "text that is none", "no SIP"],
)
def test_a_frame_that_cannot_be_taken_ends_the_connection_with_its_reason(server, data, code):
    link = Link(socket.create_connection(server.at["WS"], 5), "WS", server=False)
    before = metric(server, 'trunkline_sip_dropped_total{reason="malformed"}')
    link.socket.sendall(data(link))
    wait_for(lambda: not (link.open and link.read()), "it is ended")
    assert link.said and link.said[0] == code and link.said[1]
    wait_for(lambda: metric(server, 'trunkline_sip_dropped_total{reason="malformed"}') > before, "it is counted")


@pytest.mark.parametrize("how", ["text", "binary", "in parts", "without a length"])
def test_a_message_is_a_frame_however_it_is_sent(server, carrier, authority, how):
    """RFC 7118 section 5: text or binary, perhaps in fragments, and Content-Length may be left out."""
    with agent_on(authority, "TCP") as agent, caller_on(server, authority, "WS") as caller:
        number = line(carrier, agent.uri)
        link = caller.connect(caller.edge)

        def send(data):
            if how == "binary":
                return link.socket.sendall(link._framed(data, 2))
            if how == "in parts":
                first, rest = link._framed(data[:100], 1), link._framed(data[100:], 0)
                return link.socket.sendall(bytes([first[0] & 0x7F]) + first[1:] + link._framed(b"between", 9) + rest)
            return link.socket.sendall(link._framed(re.sub(rb"Content-Length: \d+\r\n", b"", data) if how != "text" else data))

        link.send = send
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        [invite] = agent.wait("INVITE")
        assert invite.body == sip.SDP and int(invite.get("content-length")) == len(sip.SDP)
        call.bye()


def test_one_address_has_so_many_connections(server):
    """256, handshakes that are not over included; who comes after them is not let in, and others are."""
    before = metric(server, 'trunkline_sip_dropped_total{reason="connections"}')
    with contextlib.ExitStack() as held:
        for _ in range(256):
            held.enter_context(socket.create_connection(server.at["WS"], 5, source_address=("127.0.0.43", 0)))
        with socket.create_connection(server.at["WS"], 5, source_address=("127.0.0.43", 0)) as late:
            with contextlib.suppress(ConnectionResetError):
                assert late.recv(1) == b""
        assert metric(server, 'trunkline_sip_dropped_total{reason="connections"}') == before + 1
        Link(socket.create_connection(server.at["WS"], 5), "WS", server=False).close()


@contextlib.contextmanager
def website(answer):
    """A server that says the same to whoever asks, the sign of WebSocket included, but nothing of SIP; gives its URI."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as one:
                        asked = one.recv(4096).decode()
                        accept = Link._accepted(re.search(r"(?i)sec-websocket-key: (\S+)", asked)[1])
                        upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
                        one.sendall(f"HTTP/1.1 {answer}\r\n{upgrade}\r\n".encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"sip:127.0.0.1:{listener.getsockname()[1]};transport=ws"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_target_that_takes_no_sip_over_web_socket_is_passed_over_with_its_cause(server, carrier, authority, tmp_path):
    other = Authority(tmp_path)
    with (
        website("404 Not Found") as page,
        website("101 Switching Protocols") as chat,
        StreamAgent("WSS", serving(authority.issue("elsewhere.example")), name="localhost") as named,
        StreamAgent("WSS", serving(other.issue("localhost")), name="localhost") as untrusted,
        agent_on(authority, "WS") as good,
        sip.Caller(server.sip) as caller,
    ):
        closed = f"sip:127.0.0.1:{sip.free_port()};transport=ws"
        targets = [page, chat, named.uri, untrusted.uri, closed]
        number = line(carrier, *[(uri, n, 1) for n, uri in enumerate([*targets, good.uri], 1)])
        call = caller.invite(number["e164"])
        assert call.final(15).status == 200
        call.bye()
        record = carrier.call_with(number["e164"], "completed")
        causes = ["ws_handshake", "ws_handshake", "tls_name", "tls_untrusted", "transport", "answered"]
        assert [a["cause"] for a in record["attempts"]] == causes
        assert named.requests == [] and untrusted.requests == []


@pytest.mark.parametrize(("service", "transport"), [("SIP+D2W", "WS"), ("SIPS+D2W", "WSS")])
def test_a_domain_that_prefers_web_socket_is_called_so(server, carrier, authority, dns, service, transport):
    """RFC 7118 section 9: the services of NAPTR."""
    name = f"{transport.lower()}.test"
    shown = serving(authority.issue(name)) if transport == "WSS" else None
    with StreamAgent(transport, shown, name=name) as agent, sip.Caller(server.sip) as caller:
        where = f"_sip._{transport.lower()}.{name}"
        dns.put(name, NAPTR, (20, 1, "SIP+D2U", f"_sip._udp.{name}"), (10, 1, service, where))
        dns.put(where, SRV, (1, 1, agent.address[1], f"host.{name}"))
        dns.put(f"host.{name}", A, "127.0.0.1")
        number = line(carrier, f"sip:{name}")
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        assert agent.got("INVITE")[0].all("via")[0].startswith(f"SIP/2.0/{transport} ")
        assert f"host: {name}:{agent.address[1]}\r\n" in agent.links[0].asked.lower(), "the server may have many names"
        call.bye()


def test_without_a_listener_a_target_is_passed_over_and_explained(tmp_path):
    server = edge(tmp_path, None).start()
    try:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        number = line(tenant, ("sip:127.0.0.1:9;transport=ws", 1, 1), ("sips:127.0.0.1:9;transport=ws", 2, 1))
        with sip.Caller(server.sip) as caller:
            assert caller.invite(number["e164"]).final().status == 503
        record = tenant.call_with(number["e164"], "failed")
        assert [a["cause"] for a in record["attempts"]] == ["ws_unavailable", "wss_unavailable"]
    finally:
        server.stop()


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_call_outlives_its_process_and_ends_over_new_connections(tmp_path, authority, how):
    server = edge(tmp_path, authority, "WSS").start()
    try:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        with agent_on(authority, "WSS") as agent, caller_on(server, authority, "WSS") as caller:
            number = line(tenant, agent.uri)
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            agent.wait("ACK")
            [link] = caller.links
            if how == "killed":
                server.kill()
            else:
                assert server.stop() == 0
            wait_for(lambda: not (link.open and link.read()), "the caller sees its end")
            assert how == "killed" or link.said[0] == 1001, "it is told that the service goes away"
            server.start()
            call.bye()
            assert [m.get("call-id") for m in agent.wait("BYE")] == [call.id]
            tenant.call_with(number["e164"], "completed")
            assert "tls_name" not in server.last_log()
    finally:
        server.stop()


def test_its_certificate_is_taken_anew_and_callers_show_theirs(tmp_path, authority):
    """All that TLS listeners have: reload, and trunks that are known by their certificate."""
    more = ["--sip-tls-client-ca", authority.path]
    server = edge(tmp_path, authority, "WSS", arguments=more).start()
    try:
        tenant = server.tenant()
        inbound = {"allowed_addresses": [], "certificate_names": ["carrier.test"]}
        trunk = ok(tenant.admin.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "c", "inbound": inbound}), 201)
        with sip.Agent() as agent:
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])

            def shown(names, seconds=8):
                """A call from who shows these names: its status, none where there is silence; and what the server shows."""
                pair = authority.issue(*names) if names else None
                with StreamCaller("WSS", server.at["WSS"], calling(authority, pair)) as caller:
                    serial = caller.connect(server.at["WSS"]).socket.getpeercert()["serialNumber"]
                    call = caller.invite(number["e164"])
                    try:
                        status = call.final(seconds).status
                    except AssertionError:
                        return None, serial
                    call.bye()
                    return status, serial

            status, first = shown(["carrier.test"])
            assert status == 200
            assert shown(["somebody.test"], 1) == (None, first) and shown([], 1) == (None, first)
            authority.issue("localhost", at="server")
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: metric(server, 'trunkline_sip_tls_reloads_total{result="ok"}') >= 1, "it was read again", 8)
            status, second = shown(["carrier.test"])
            assert status == 200 and second != first
    finally:
        server.stop()
