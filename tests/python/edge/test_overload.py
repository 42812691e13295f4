"""More calls than can be carried, from a trunk: new ones are shed, those that are up go on, and it is over when it is over."""

import pathlib
import subprocess
import sys
import threading

import pytest
from harness import Server, ok, wait_for, while_up
from sip import Agent, Caller

pytestmark = pytest.mark.alone

FLOOD = pathlib.Path(__file__).with_name("flood.py")
SECONDS = 6


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # One thread: however fast the machine, the flood is faster. Its calls, which nobody answers, are not waited for at the end.
    threads = {"TRUNKLINE_SIP_THREADS": "1"}
    running = Server(tmp_path_factory.mktemp("overload"), environment=threads, arguments=["--drain-seconds", "1"])
    with while_up(running, 40):
        yield running


def shed(server):
    text = server.anonymous.get("/metrics").text
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("trunkline_sip_shed_total "))


def resident(server):
    """Megabytes."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024


class Flood:
    """Several programs that place calls which nobody will answer."""

    def __init__(self, server, number, programs=2):
        command = [sys.executable, str(FLOOD), *map(str, server.sip), number, str(SECONDS)]
        self.programs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(programs)]

    def wait(self):
        told = [program.communicate(timeout=SECONDS + 20)[0].split() for program in self.programs]
        return [sum(int(row[at]) for row in told) for at in (0, 1)]


def test_a_flood_of_calls_is_shed_and_calls_that_are_up_go_on(server):
    tenant = server.tenant()
    trunk = tenant.trunk("127.0.0.1")
    with Agent() as agent, Agent("silent") as deaf, Caller(server.sip) as caller:
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])["e164"]
        flooded = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(deaf.uri)["id"])["e164"]
        calls = [caller.invite(number) for _ in range(8)]
        for call in calls:
            assert call.final().status == 200
        before = resident(server)
        flood = Flood(server, flooded)
        threading.Event().wait(SECONDS / 3)
        # In the middle of it each call is hung up: a BYE is carried, as often as it has to be repeated.
        for call in calls:
            call.bye(repeats=10)
        sent, told = flood.wait()
        assert shed(server) > 0 and told > 0, f"{sent} calls in {SECONDS} s were not too many"
        grown = resident(server) - before
        assert grown < 1_500, f"{grown} MB more after {sent} calls"
        # It recovers by itself: the next call is carried, at once or when its INVITE is repeated.
        wait_for(lambda: not_shed(caller, number), "a call is carried again", 10)
    records = wait_for(lambda: over(tenant, number, 8), "the calls that were up are over", 30)
    assert all(record["status"] == "completed" and record["ended_by"] == "caller" for record in records)


def not_shed(caller, number):
    call = caller.invite(number)
    try:
        answer = call.final(2)
    except AssertionError:
        return False
    if answer.status == 200:
        call.bye()
    return answer.status == 200


def over(tenant, number, count):
    records = ok(tenant.admin.get("/api/v1/calls", params={"number": number, "limit": 100}))["data"]
    ended = [record for record in records if record["status"] == "completed"]
    return ended if len(ended) > count else None
