"""Other people's SIP: Kamailio as the carrier's side, baresip as the agent, SIPp as the caller."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from harness import ROOT, free_port, wait_for
from sip import Agent, Caller, Sipp

CARRIER = "127.0.0.3"  # the carrier's address; nothing else sends from it


def end(process, seconds=10):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def options(address, seconds):
    """Waits until a SIP party answers OPTIONS."""
    with Caller(address) as probe:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return probe.options()
            except AssertionError:
                continue
    raise AssertionError(f"nobody answers OPTIONS at {address}")


class Kamailio:
    """Kamailio by a file of tests/kamailio, with its words filled in; it can go and come back at the same ports, having forgotten all."""

    def __init__(self, folder, config, address, **words):
        self.folder, self.address, self.process = folder, address, None
        self.config, self.log = folder / config, folder / "log"
        text = (ROOT / "tests" / "kamailio" / config).read_text()
        for name, word in words.items():
            text = text.replace(f"@{name}@", str(word))
        self.config.write_text(text)

    place = property(lambda self: f"{self.address[0]}:{self.address[1]}")

    def start(self):
        binary = shutil.which("kamailio", path=os.environ["PATH"] + ":/usr/sbin")
        modules = [path for path in glob.glob("/usr/lib/*/kamailio/modules") if os.path.isfile(f"{path}/tls.so")]
        assert binary and modules, "Kamailio and its TLS module are there"
        command = [binary, "-DD", "-E", "-f", self.config, "-L", modules[0], "-m", "64", "-M", "8", "-Y", self.folder, "-w", self.folder]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        options(self.address, 15)

    def stop(self):
        end(self.process)

    def story(self):
        return self.log.read_text(errors="replace")[-3000:]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.stop()

    def assert_up(self):
        assert self.process.poll() is None, self.story()


@pytest.fixture(scope="module")
def carrier(server, tmp_path_factory):
    """Kamailio, handing calls to the server; gives its address."""
    address = (CARRIER, free_port(CARRIER))
    words = {"LISTEN": f"{address[0]}:{address[1]}", "SERVICE": f"127.0.0.1:{server.sip_port}"}
    with Kamailio(tmp_path_factory.mktemp("kamailio"), "carrier.cfg", address, **words) as running:
        yield running.address
        running.assert_up()


@pytest.fixture(scope="module")
def tenant(server):
    holder = server.tenant("interop")
    holder.its_trunk = holder.trunk(CARRIER)
    return holder


@pytest.fixture
def baresip(tmp_path):
    """baresip without a sound card, answering every call; gives its SIP URI."""
    port = free_port()
    modules = next(iter(glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules")))
    (tmp_path / "config").write_text(
        f"sip_listen 127.0.0.1:{port}\ncall_max_calls 4\naudio_source aubridge,pseudo\naudio_player aubridge,pseudo\naudio_alert aubridge,alert\n"
        f"rtp_ports 30100-32000\nmodule_path {modules}\nmodule g711.so\nmodule aubridge.so\n"
        "module_tmp account.so\nmodule_app menu.so\n"
    )
    (tmp_path / "accounts").write_text("<sip:agent@127.0.0.1;transport=udp>;regint=0;answermode=auto;audio_codecs=pcmu/8000/1\n")
    log = tmp_path / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(["baresip", "-f", str(tmp_path), "-4"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        options(("127.0.0.1", port), 15)
        assert process.poll() is None, log.read_text()[-2000:]
        yield f"sip:agent@127.0.0.1:{port}"
        assert process.poll() is None, log.read_text()[-2000:]
    finally:
        end(process)


def line(tenant, uri):
    return tenant.number(trunk=tenant.its_trunk, endpoint_id=tenant.endpoint(uri)["id"])


def completed(tenant, number, seconds):
    call = tenant.call_with(number["e164"], "completed")
    assert abs(call["duration_seconds"] - seconds) <= 1, call
    return call


def test_a_call_comes_in_through_kamailio(tenant, carrier, tmp_path):
    agent = Sipp(tmp_path, "agent")
    number = line(tenant, agent.uri)
    caller = Sipp(tmp_path, "caller", remote=carrier, user=number["e164"], pause=1_000)
    caller.finish()
    agent.finish()
    completed(tenant, number, 1)
    trace = agent.trace.read_text()
    assert "X-Carrier: kamailio" in trace
    # Both proxies stay in the path: two Record-Routes came in, and the BYE came along both.
    invite = trace[trace.index("INVITE sip:") :].split("\n\n")[0]
    assert invite.count(";lr") == 2 and invite.count("SIP/2.0/UDP ") == 3
    bye = trace[trace.index("BYE sip:") :].split("\n\n")[0]
    assert bye.count("SIP/2.0/UDP ") == 3 and "Route:" not in bye


def test_fifty_calls_come_in_through_kamailio(tenant, carrier, tmp_path):
    agent = Sipp(tmp_path, "agent", calls=50)
    number = line(tenant, agent.uri)
    Sipp(tmp_path, "caller", remote=carrier, user=number["e164"], calls=50, rate=50).finish()
    agent.finish()
    wait_for(lambda: [c["status"] for c in tenant.calls(number["e164"])] == ["completed"] * 50, "50 completed calls")


def test_a_call_through_kamailio_is_cancelled(tenant, carrier, tmp_path):
    with Agent("ring") as agent:
        number = line(tenant, agent.uri)
        Sipp(tmp_path, "caller_cancel", remote=carrier, user=number["e164"]).finish()
        agent.wait("CANCEL")
        agent.wait("ACK")
    tenant.call_with(number["e164"], "cancelled")


def test_a_call_through_kamailio_is_changed_by_a_reinvite(tenant, carrier, tmp_path):
    agent = Sipp(tmp_path, "agent_reinvite")
    number = line(tenant, agent.uri)
    Sipp(tmp_path, "caller_reinvite", remote=carrier, user=number["e164"]).finish()
    agent.finish()
    completed(tenant, number, 0.4)


def test_the_agent_hangs_up_through_kamailio(tenant, carrier):
    with Agent() as agent, Caller(carrier) as caller:
        number = line(tenant, agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        agent.wait("ACK")
        agent.send_bye(tenant.server.sip)
        bye = caller.receive_until(lambda m: m.method == "BYE", 5, "the agent's BYE at the caller")
        caller.send(bye.reply(200, "OK"), caller.peer)
        wait_for(lambda: [m for m in agent.requests if m.status == 200], "the 200 to the BYE at the agent")
        completed(tenant, number, 0)


def test_kamailio_passes_a_refusal_on(tenant, carrier, tmp_path):
    Sipp(tmp_path, "caller_refused", remote=carrier, user="+14155550999", status=404).finish()


def test_baresip_answers_a_call_from_kamailio_and_sends_audio(tenant, carrier, baresip):
    number = line(tenant, baresip)
    with Caller(carrier) as caller, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", free_port()))
        media.settimeout(5)
        call = caller.invite(number["e164"], media_port=media.getsockname()[1])
        answer = call.final(15)
        assert answer.status == 200 and "baresip" in (answer.get("user-agent") or answer.get("server") or "").lower()
        assert "m=audio" in answer.body
        # Media flows directly between the two: the service is no part of it.
        packets = {media.recvfrom(2048)[1] for _ in range(50)}
        assert len(packets) == 1
        call.bye()
    completed(tenant, number, 1)
