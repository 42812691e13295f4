"""Other people's SIP over streams: Kamailio in front of us and behind us over TCP, TLS and WebSocket, baresip as an agent."""

import glob
import json
import pathlib
import socket
import subprocess
import sys
import time

import pytest
from harness import free_port, ok, wait_for, while_up
from sip import Agent, Caller, Sipp

sys.path.insert(0, str(pathlib.Path(__file__).parent / "edge"))
from streams_kit import Authority, StreamAgent, edge, metric  # noqa: E402
from test_interop import Kamailio, end  # noqa: E402

PROXY = "127.0.0.4"  # Kamailio's address; nothing else sends from it


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority):
    more = ["--sip-tls-client-ca", authority.path, "--sip-tls-client-auth", "allow"]
    running = edge(tmp_path_factory.mktemp("streams"), authority, "TLS", "WS", arguments=more)
    with while_up(running):
        yield running


class Proxy(Kamailio):
    def __init__(self, folder, server, authority):
        self.at = {name: (PROXY, free_port(PROXY)) for name in ("UDP", "TCP", "TLS")}
        certificate, key = authority.issue("proxy.test", "localhost", PROXY, at="proxy")
        words = {
            "HOST": PROXY, "CERTIFICATE": certificate, "KEY": key, "AUTHORITY": authority.path,
            "SERVICE": f"127.0.0.1:{server.sip_port}", "SERVICE_TLS": f"127.0.0.1:{server.at['TLS'][1]}",
        } | {name: port for name, (_, port) in self.at.items()}  # fmt: skip
        self.at["WS"] = self.at["TCP"]
        super().__init__(folder, "proxy.cfg", self.at["UDP"], **words)


@pytest.fixture(scope="module")
def kamailio(server, authority, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("kamailio"), server, authority) as running:
        yield running
        running.assert_up()


@pytest.fixture(scope="module")
def tenant(server):
    holder = server.tenant("interop")
    holder.its_trunk = holder.trunk(PROXY, "127.0.0.1")
    return holder


def line(tenant, uri):
    return tenant.number(trunk=tenant.its_trunk, endpoint_id=tenant.endpoint(uri)["id"])


def both_ways(call, caller, agent, edge):
    """Requests within the dialog from both sides, and the end from the agent's."""
    assert call.ask("INFO").status == 200
    for n, method in enumerate(("INFO", "BYE"), 1):
        agent.send_request(edge, method, n)
        request = caller.receive_until(lambda m, method=method: m.method == method, 5, f"the agent's {method}")
        caller.send(request.reply(200, "OK"), caller.peer)
        enough = lambda n=n: len([m for m in agent.requests if m.status == 200]) == n  # noqa: E731
        wait_for(enough, "its answer at the agent")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_call_comes_in_through_kamailio(server, tenant, kamailio, transport):
    with Agent() as agent, Caller(kamailio.at["UDP"]) as caller:
        number = line(tenant, agent.uri)
        call = caller.invite(number["e164"], headers=[("X-Transport", transport)])
        assert call.final().status == 200, kamailio.story()
        [invite] = agent.wait("INVITE")
        assert invite.get("x-proxy") == "kamailio"
        assert [via.split()[0].rsplit("/", 1)[1] for via in invite.all("via")] == ["UDP", transport.upper(), "UDP"]
        # Both proxies stay in the path, each with a Record-Route for each of its sides.
        assert [f"transport={transport}" in r for r in invite.routes("record-route")] == [False, True, True, False]
        agent.wait("ACK")
        both_ways(call, caller, agent, server.sip)
        assert tenant.call_with(number["e164"], "completed")["ended_by"] == "callee"
        # The next call uses the connection that is there.
        before = metric(server, f'trunkline_sip_connections{{transport="{transport}"}}')
        call = caller.invite(number["e164"], headers=[("X-Transport", transport)])
        assert call.final().status == 200
        call.bye()
        assert metric(server, f'trunkline_sip_connections{{transport="{transport}"}}') == before


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_call_through_kamailio_is_cancelled(tenant, kamailio, transport):
    with Agent("ring") as agent, Caller(kamailio.at["UDP"]) as caller:
        number = line(tenant, agent.uri)
        call = caller.invite(number["e164"], headers=[("X-Transport", transport)])
        call.response(lambda m: m.status == 180)
        assert call.cancel().status == 200 and call.final().status == 487
        agent.wait("CANCEL")
        agent.wait("ACK")
        tenant.call_with(number["e164"], "cancelled")


def test_kamailio_is_known_by_its_certificate(server, kamailio):
    """No address is allowed: what its trunk shows is the name in its certificate."""
    holder = server.tenant("by certificate")
    body = {"kind": "sip_trunk", "label": "proxy", "inbound": {"allowed_addresses": [], "certificate_names": ["proxy.test"]}}
    trunk = ok(holder.admin.post("/api/v1/providers", json=body), 201)
    with Agent() as agent, Caller(kamailio.at["UDP"]) as caller:
        number = holder.number(trunk=trunk, endpoint_id=holder.endpoint(agent.uri)["id"])
        call = caller.invite(number["e164"], headers=[("X-Transport", "tls")])
        assert call.final().status == 200, kamailio.story()
        call.bye()
        assert caller.invite(number["e164"], headers=[("X-Transport", "tcp")]).final().status >= 400, "over TCP it shows none"


@pytest.mark.parametrize("agents", ["udp", "tcp"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws"])
def test_a_call_goes_on_to_an_agent_behind_kamailio(server, tenant, kamailio, transport, agents):
    with StreamAgent("TCP") if agents == "tcp" else Agent() as agent, Caller(server.sip) as caller:
        place = f"{PROXY}:{kamailio.at[transport.upper()][1]}"
        number = line(tenant, f"sip:{agent.address[1]}.{agents}@{place};transport={transport}")
        call = caller.invite(number["e164"])
        assert call.final().status == 200, kamailio.story()
        [invite] = agent.wait("INVITE")
        words = [agents.upper(), transport.upper(), "UDP"]
        assert [via.split()[0].rsplit("/", 1)[1] for via in invite.all("via")] == words
        agent.wait("ACK")
        both_ways(call, caller, agent, agent.last[1])
        record = tenant.call_with(number["e164"], "completed")
        assert (record["ended_by"], [a["cause"] for a in record["attempts"]]) == ("callee", ["answered"])


def test_fifty_calls_come_in_through_kamailio_over_tls(tenant, kamailio, tmp_path):
    agent = Sipp(tmp_path, "agent", calls=50)
    number = line(tenant, agent.uri)
    with Caller(kamailio.at["UDP"]) as caller:
        for count in range(1, 51):
            call = caller.invite(number["e164"], headers=[("X-Transport", "tls")])
            assert call.final().status == 200
            agent.acknowledged(count)
            call.bye()
    agent.finish()
    wait_for(lambda: [c["status"] for c in tenant.calls(number["e164"])] == ["completed"] * 50, "50 completed calls")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_kamailio_is_restarted_in_a_call_and_the_agent_hangs_up(server, tenant, authority, tmp_path, transport):
    with Proxy(tmp_path, server, authority) as kamailio, Agent() as agent, Caller(kamailio.at["UDP"]) as caller:
        number = line(tenant, agent.uri)
        call = caller.invite(number["e164"], headers=[("X-Transport", transport)])
        assert call.final().status == 200
        agent.wait("ACK")
        kamailio.stop()
        kamailio.start()
        agent.send_bye(server.sip)
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "the agent's BYE, by a new connection")
        caller.send(bye.reply(200, "OK"), caller.peer)
        wait_for(lambda: [m for m in agent.requests if m.status == 200], "the 200 to the BYE at the agent")
        tenant.call_with(number["e164"], "completed")


# --- baresip -----------------------------------------------------------------------------------------------------------------

BARESIP = """
sip_listen 127.0.0.1:{port}
sip_certificate {folder}/own.pem
sip_cafile {authority}
call_max_calls 4
audio_source aubridge,pseudo
audio_player aubridge,pseudo
audio_alert aubridge,alert
rtp_ports 34100-36000
module_path {modules}
module g711.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""


class Baresip:
    """baresip without a sound card, answering every call; over TLS it listens one port higher."""

    def __init__(self, folder, authority, account):
        self.folder, self.port, self.control = folder, free_port(), free_port()
        certificate, key = authority.issue("127.0.0.1", at="baresip")
        (folder / "own.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
        modules = next(iter(glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules")))
        text = BARESIP.format(port=self.port, folder=folder, authority=authority.path, modules=modules, control=self.control)
        (folder / "config").write_text(text)
        (folder / "accounts").write_text(account + "\n")
        (folder / "contacts").write_text("")
        self.process = None
        self.start()

    def start(self):
        with open(self.folder / "out", "wb") as out:
            command = ["baresip", "-f", str(self.folder), "-4"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for(self._up, "baresip takes commands", 15)

    def _up(self):
        assert self.process.poll() is None, self.story()
        try:
            socket.create_connection(("127.0.0.1", self.control), 1).close()
        except OSError:
            return False
        return True

    def tell(self, command):
        """A command, as a netstring."""
        data = json.dumps({"command": command}).encode()
        with socket.create_connection(("127.0.0.1", self.control), 5) as one:
            one.sendall(b"%d:%s," % (len(data), data))
            one.recv(4096)

    def story(self):
        return (self.folder / "out").read_text(errors="replace")[-3000:]

    def stop(self):
        end(self.process)


def spoken_with(caller, number, hang_up):
    """A call with sound, ended by `hang_up`; gives the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", free_port()))
        media.settimeout(5)
        call = caller.invite(number["e164"], media_port=media.getsockname()[1])
        answer = call.final(15)
        assert answer.status == 200, answer
        assert len({media.recvfrom(2048)[1] for _ in range(20)}) == 1
        hang_up(call)
    return answer


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_baresip_answers_over_a_stream_and_either_side_hangs_up(server, tenant, authority, tmp_path, transport):
    agent = Baresip(tmp_path, authority, f"<sip:agent@127.0.0.1;transport={transport}>;regint=0;answermode=auto")
    try:
        port = agent.port + (transport == "tls")
        number = line(tenant, f"sip:agent@127.0.0.1:{port};transport={transport}")
        with Caller(server.sip) as caller:
            answer = spoken_with(caller, number, lambda call: call.bye())
            assert f"transport={transport}" in answer.routes("record-route")[0]

            def by_agent(call):
                agent.tell("hangup")
                bye = caller.receive_until(lambda m: m.method == "BYE", 5, f"baresip's BYE\n{agent.story()}")
                caller.send(bye.reply(200, "OK"), caller.peer)

            spoken_with(caller, number, by_agent)
            wait_for(lambda: [c["status"] for c in tenant.calls(number["e164"])] == ["completed"] * 2, "both are over", 8)
            assert [c["ended_by"] for c in tenant.calls(number["e164"])] == ["caller", "callee"]
    finally:
        agent.stop()


def test_baresip_registers_over_tls_and_has_calls_by_its_connection(server, tenant, authority, tmp_path):
    number = line(tenant, "sip:registered.invalid")
    made = ok(tenant.admin.post(f"/api/v1/numbers/{number['id']}/sip-credentials"), 200)
    place = f"127.0.0.1:{server.at['TLS'][1]}"
    login = f"auth_pass={made['sip_password']};regint=60;answermode=auto"
    agent = Baresip(tmp_path, authority, f"<sip:{made['sip_username']}@{place};transport=tls>;{login}")
    shown = lambda: ok(tenant.native.get(f"/api/v1/numbers/{number['id']}/registrations"), 200)["data"]  # noqa: E731
    try:
        # Asked again, it is offered the one algorithm that it knows.
        wait_for(lambda: shown() or "Function not implemented" in agent.story(), "a first try", 10)
        if not shown():
            time.sleep(2.1)
            agent.stop()
            agent.start()
        wait_for(shown, f"baresip registers\n{agent.story()}", 10)
        assert shown()[0]["transport"] == "tls"
        with Caller(server.sip) as caller:
            spoken_with(caller, number, lambda call: call.bye())
        tenant.call_with(number["e164"], "completed")
    finally:
        agent.stop()
    wait_for(lambda: shown() == [], "its flow ends with its connection")
