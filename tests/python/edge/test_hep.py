"""Messages of traced calls on their way to a collector: HEP version 3, read by its layout (github.com/sipcapture/HEP)."""

import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness import BINARY, Server, free_port, ok, wait_for, while_up
from sip import Agent, Caller
from streams_kit import metric

sys.path.insert(0, str(Path(__file__).parent))
from test_originated import Phone, begin, line_of, until  # noqa: E402


class Collector:
    """Receives on a UDP port; `packets` are dictionaries by chunk type."""

    def __init__(self):
        self.address = ("127.0.0.1", free_port())
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(0.1)
        self.packets, self._stop = [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join(5)
        self.socket.close()

    def _run(self):
        while not self._stop.is_set():
            try:
                self.packets.append(read(self.socket.recv(65_535)))
            except TimeoutError:
                continue

    def of(self, call):
        return [packet for packet in list(self.packets) if packet[17] == call["id"].encode()]


def read(data):
    magic, length = struct.unpack(">4sH", data[:6])
    assert magic == b"HEP3" and length == len(data)
    chunks, at = {}, 6
    while at < len(data):
        vendor, kind, size = struct.unpack(">HHH", data[at : at + 6])
        assert vendor == 0 and kind not in chunks and size >= 6
        chunks[kind] = data[at + 6 : at + size]
        at += size
    assert at == len(data)
    return chunks


def ends(packet):
    assert (packet[1], packet[2], packet[11]) == (b"\x02", b"\x11", b"\x01"), "IPv4, UDP, SIP"
    port = lambda chunk: struct.unpack(">H", chunk)[0]  # noqa: E731
    return (socket.inet_ntoa(packet[3]), port(packet[7])), (socket.inet_ntoa(packet[4]), port(packet[8]))


@pytest.fixture(scope="module")
def collector():
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, collector):
    host = f"localhost:{collector.address[1]}"
    running = Server(tmp_path_factory.mktemp("hep"), arguments=["--hep", host, "--drain-seconds", "1"])
    with while_up(running):
        yield running


def traced(tenant, number):
    ok(tenant.native.post(f"/api/v1/numbers/{number['id']}/trace", json={"minutes": 5}), 200)
    return number


def test_a_traced_call_is_told_as_it_goes_and_no_other(server, collector):
    tenant = server.tenant()
    trunk = tenant.trunk("127.0.0.1")
    with Agent() as agent, Caller(server.sip) as caller:
        place = tenant.endpoint(agent.uri)
        quiet = tenant.number(trunk=trunk, endpoint_id=place["id"])
        number = traced(tenant, tenant.number(trunk=trunk, endpoint_id=place["id"]))
        other = caller.invite(quiet["e164"])
        assert other.final().status == 200
        other.bye()
        call = caller.invite(number["e164"], headers=[("Proxy-Authorization", 'Digest username="u", response="deadbeef"')])
        assert call.final().status == 200
        call.bye()
        record = tenant.call_with(number["e164"], "completed")

        def told():
            found = collector.of(record)
            ends = [p[15] for p in found if re.search(rb"(?im)^CSeq: \d+ BYE", p[15])]
            sent = metric(server, "trunkline_hep_sent_total")
            # A BYE and its answer on both sides.
            return found if len(ends) == 4 and len(collector.packets) == sent else None

        found = wait_for(told, "all of it has come")
        assert len(collector.packets) == len(found), "the other call is not traced"
        # A collector sorts by time: what answers an INVITE may be handed over before it.
        at = lambda packet: struct.unpack(">I", packet[9])[0] + struct.unpack(">I", packet[10])[0] / 1e6  # noqa: E731
        found.sort(key=at)
        starts = [packet[15].split(b"\r\n")[0].split(b" ")[:2] for packet in found]
        assert starts[0][0] == b"INVITE" and sum(start[0] == b"INVITE" for start in starts) == 2
        first, last = found[0], found[-1]
        assert ends(first) == (caller.address, server.sip)
        sent_on = next(p for p in found if p[15].startswith(b"INVITE") and ends(p)[0] == server.sip)
        assert ends(sent_on) == (server.sip, agent.address)
        assert at(first) <= at(last) < at(first) + 30 and struct.unpack(">I", first[12])[0] > 0
        assert not any(b"deadbeef" in packet[15] for packet in found), "secrets stay here"
    assert metric(server, "trunkline_hep_sent_total") == len(found) and metric(server, "trunkline_hep_dropped_total") == 0


def test_both_sides_of_a_call_of_an_apis_are_one(server, collector):
    tenant = server.tenant()
    with Phone() as agent, Phone() as phone:
        number = traced(tenant, line_of(tenant, agent, phone))
        call = begin(tenant, number)
        until(tenant, call, "answered")
        phone.hang_up(server.sip)
        agent.wait("BYE")
        until(tenant, call, "completed")
        wait_for(lambda: sum(p[15].startswith(b"BYE") for p in collector.of(call)) == 2, "both ends have come")
        there = {address for packet in collector.of(call) for address in ends(packet)}
        assert there == {server.sip, agent.address, phone.address}


def test_a_collector_that_is_away_holds_nobody_up(tmp_path):
    away = Server(tmp_path, arguments=["--hep", "collector.invalid:9060", "--drain-seconds", "1"]).start()
    try:
        tenant = away.tenant()
        trunk = tenant.trunk("127.0.0.1")
        with Agent() as agent, Caller(away.sip) as caller:
            number = traced(tenant, tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"]))
            call = caller.invite(number["e164"])
            assert call.final(4).status == 200
            call.bye()
        wait_for(lambda: metric(away, "trunkline_hep_dropped_total") > 5, "what was dropped is counted")
        assert "collector of traces" in away.log.read_text()
    finally:
        away.stop()


@pytest.mark.parametrize("wrong", ["collector", "a b:9060", "127.0.0.1:x"])
def test_what_is_no_place_is_said(tmp_path, wrong):
    done = subprocess.run([BINARY, "serve", "--hep", wrong, "--store", f"sqlite:{tmp_path}/t.db"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "--hep" in done.stderr
