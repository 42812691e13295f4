"""Calls over UDP and IPv6 (RFC 3261 section 18.2, RFC 3581, RFC 5118): brackets in Via and Record-Route, none in `received`."""

import re
import socket

import pytest
import sip
from calls_kit import line
from harness import Server, free_port, while_up


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    port = free_port()
    running = Server(tmp_path_factory.mktemp("six"), arguments=["--sip", f"udp:[::1]:{port}"])
    running.six = ("::1", port)
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def carrier(server):
    tenant = server.tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1", "::1")
    return tenant


class Six:
    """What takes the place of a sip.Peer's socket; `via` is the port that it says in its Via, where that is not its own."""

    def _open(self):
        self.address, self.received, self.via = ("::1", free_port()), [], None
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind(self.address)

    @property
    def place(self):
        return f"[::1]:{self.address[1]}"

    @property
    def contact(self):
        return f"sip:test@{self.place}"

    def send(self, message, to):
        data = message.encode() if isinstance(message, sip.Message) else message
        data = re.sub(rb"(?<![\[:0-9a-f])::1:(\d+)", rb"[::1]:\1", data)
        if self.via:
            data = data.replace(f"UDP {self.place};".encode(), f"UDP {self.via};".encode())
        self.socket.sendto(data, to)


class SixCaller(Six, sip.Caller):
    def __init__(self, edge):
        self._open()
        self.edge = edge

    def invite(self, user, **how):
        return sip.Caller.invite(self, user, host=f"[::1]:{self.edge[1]}", **how)


class SixAgent(Six, sip.Agent):
    def __init__(self, how="answer"):
        self._open()
        self.how, self.tag, self.requests, self.last, self.news = how, sip.token("a"), [], None, sip.threading.Condition()
        self._stop = sip.threading.Event()
        self._thread = sip.threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def uri(self):
        return f"sip:{self.place}"


def place(server, version):
    return f"[::1]:{server.six[1]}" if version == 6 else f"127.0.0.1:{server.sip_port}"


@pytest.mark.parametrize("there", [4, 6])
@pytest.mark.parametrize("here", [4, 6])
def test_a_call_is_carried_over_and_between_both_families(server, carrier, here, there):
    caller = SixCaller(server.six) if here == 6 else sip.Caller(server.sip)
    agent = SixAgent() if there == 6 else sip.Agent()
    with agent, caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        [invite] = agent.wait("INVITE")
        ours, theirs = invite.all("via")
        assert ours.startswith(f"SIP/2.0/UDP {place(server, there)};branch=z9hG4bK")
        if here == 6:
            assert theirs.startswith(f"SIP/2.0/UDP {caller.place};branch="), "as it came: it is where it came from"
        routes = invite.routes("record-route")
        assert [f"@{place(server, there)};" in routes[0], f"@{place(server, here)};" in routes[-1]] == [True, True]
        assert len(routes) == (1 if here == there else 2)
        agent.wait("ACK")
        # Within the dialog, from both sides.
        assert call.ask("INFO").status == 200
        agent.send_request(server.six if there == 6 else server.sip, "INFO", 1)
        info = caller.receive_until(lambda m: m.method == "INFO", 5, "the agent's INFO")
        assert info.uri == caller.contact
        caller.send(info.reply(200, "OK"), caller.peer)
        call.bye()
        record = carrier.call_with(number["e164"], "completed")
        assert record["attempts"][0]["hop"] == "udp:" + (agent.place if there == 6 else f"127.0.0.1:{agent.address[1]}")


def test_rport_over_ipv6_is_the_port_that_a_request_came_from(server, carrier):
    with SixAgent() as agent, SixCaller(server.six) as caller:
        # Behind a NAT, as far as anybody can tell: its Via names another place.
        caller.via = "[2001:db8::7]:5099;rport"
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        answer = call.final()
        assert answer.status == 200
        via = answer.get("via")
        assert "received=::1" in via and f"rport={caller.address[1]}" in via and "[2001:db8::7]:5099" in via
        call.bye()


def test_a_cancelled_call_and_our_bye_over_ipv6(server, carrier):
    with SixAgent("ring") as agent, SixCaller(server.six) as caller:
        number = line(carrier, agent.uri)
        call = caller.invite(number["e164"])
        call.response(lambda m: m.status == 180)
        assert call.cancel().status == 200
        assert call.final().status == 487
        agent.wait("CANCEL")
        agent.how = "answer"
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK", 2)
        record = carrier.call_with(number["e164"], "answered")
        assert carrier.admin.post(f"/api/v1/calls/{record['id']}/hangup").status_code == 200
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "our BYE at the caller")
        assert bye.all("via")[0].startswith(f"SIP/2.0/UDP [::1]:{server.six[1]};")
        caller.send(bye.reply(200, "OK"), caller.peer)
        agent.wait("BYE")
