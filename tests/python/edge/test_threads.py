"""All cores take the calls of one trunk that sends from one address (`--sip-threads`)."""

import pathlib

import pytest
from calls_kit import line
from harness import Server, wait_for, while_up
from sip import Sipp

THREADS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("threads"), arguments=["--sip-threads", str(THREADS)])
    with while_up(running):
        yield running


def woken(server):
    """How often each thread that receives has been woken."""
    found = {}
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("sip-udp-"):
            row = next(row for row in (task / "status").read_text().splitlines() if row.startswith("voluntary_ctxt"))
            found[name] = int(row.split()[1])
    return found


def test_calls_from_one_address_are_taken_by_every_thread(carrier, server, tmp_path):
    agent = Sipp(tmp_path, "agent", calls=100)
    number = line(carrier, agent.uri)
    before = woken(server)
    assert len(before) == THREADS
    Sipp(tmp_path, "caller", remote=server.sip, user=number["e164"], calls=100, rate=100).finish()
    agent.finish()
    times = {name: count - before[name] for name, count in woken(server).items()}
    assert sum(times.values()) > 300 and min(times.values()) > 100, times
    wait_for(lambda: len([c for c in carrier.calls(number["e164"]) if c["status"] == "completed"]) == 100, "100 completed calls")
