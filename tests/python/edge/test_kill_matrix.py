"""The edge is killed (SIGKILL) at each point of a call, and the next process goes on: minutes within a second, one record, one terminal
event. Each point is reached by a message, by a process that is stopped (SIGSTOP) while a message waits in its socket, or by one that
kills itself at what it is about to send, never by a sleep. Row by row, over UDP, TCP and TLS; what a node leaves that is gone with its disk."""

import shutil
import time

import httpx
import pytest
from calls_kit import one_record
from harness import ok, wait_for
from kill_kit import TcpAgent, TcpCaller, TlsAgent, TlsCaller, died, freeze, killed_at
from sip import Agent, Caller
from stores import only_on_a_file
from streams_kit import Authority, edge, metric


class World:
    def __init__(self, folder, transport, arguments=(), environment=None):
        self.authority = Authority(folder) if transport == "tls" else None
        self.server = edge(folder, self.authority, *(["TLS"] if self.authority else []), arguments=arguments)
        # What waits for a peer that is gone is not waited for at the end.
        self.server.arguments += ["--drain-seconds", "1"]
        self.server.environment = environment or {}
        self.server.start()
        self.transport, self.stream = transport, transport != "udp"
        self.tenant = self.server.tenant("killed")
        self.trunk = self.tenant.trunk("127.0.0.1")
        callers = {
            "udp": lambda: Caller(self.server.sip), "tcp": lambda: TcpCaller(self.server.sip),
            "tls": lambda: TlsCaller(self.server.at["TLS"], self.authority),
        }  # fmt: skip
        self.caller = callers[transport]()
        self.peers = [self.caller]

    def agent(self, how="answer"):
        agents = {
            "udp": lambda: Agent(how), "tcp": lambda: TcpAgent(how, edge=self.server.sip),
            "tls": lambda: TlsAgent(how, self.server.at["TLS"], self.authority),
        }  # fmt: skip
        agent = agents[self.transport]()
        wait_for(lambda: not self.stream or getattr(agent, "bound", False), "the agent listens")
        self.peers.append(agent)
        return agent

    def number(self, *agents):
        endpoint = self.tenant.endpoint(*[(agent.uri, place, 1) for place, agent in enumerate(agents)])
        return self.tenant.number(trunk=self.trunk, endpoint_id=endpoint["id"])

    def die(self):
        self.server.kill()
        self.server.start()

    def over(self, number, seconds=None, **wanted):
        record = one_record(self.tenant, number, **wanted)
        if seconds is not None:
            assert abs(record["duration_seconds"] - seconds) <= 1, record
        return record


    def stop(self):
        for peer in self.peers:
            peer.close()
        self.server.stop()


@pytest.fixture(params=["udp", "tcp", "tls"])
def world(request, tmp_path):
    world = World(tmp_path, request.param)
    yield world
    world.stop()


@pytest.fixture
def worlds(tmp_path):
    """Makes worlds whose servers are started in a way of their own."""
    made = []

    def make(transport, **how):
        made.append(World(tmp_path, transport, **how))
        return made[-1]

    yield make
    for world in made:
        world.stop()


def again(caller, call, wanted, seconds=10):
    """Sends the INVITE again each half second, as UDP repeats it and a stream's caller tries anew, until an answer is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        call.send()
        try:
            return call.response(wanted, 0.5)
        except AssertionError:
            pass
    raise AssertionError(f"nothing for {call.target}")


def test_before_100_the_repeated_invite_is_decided_afresh(world):
    agent = world.agent()
    number = world.number(agent)
    world.caller.options()
    freeze(world.server)
    call = world.caller.invite(number["e164"])
    world.die()
    again(world.caller, call, lambda m: m.status == 200)
    call.answer, call.at = world.caller.received[-1], time.monotonic()
    call.ack()
    call.bye()
    world.over(number, 0, status="completed")


def test_between_two_targets_a_call_is_lost_and_leaves_at_most_its_start(world):
    silent, other = world.agent("silent"), world.agent()
    number = world.number(silent, other)
    world.caller.invite(number["e164"])
    silent.wait("INVITE")
    world.die()
    time.sleep(2.5)
    assert other.got("INVITE") == [], "nobody goes on with it"
    assert [call["status"] for call in world.tenant.calls(number["e164"])] in ([], ["ringing"])


def test_ringing_the_answer_is_carried_by_the_next_process(world):
    agent = world.agent("ring")
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    call.response(lambda m: m.status == 180, what="ringing")
    world.die()
    if world.stream:
        # The caller's connection went with the process: the answer finds no way to it. The agent hangs up on silence.
        agent.accept()
        return
    agent.accept()
    assert call.final().status == 200
    agent.wait("ACK")
    time.sleep(1)
    call.bye()
    world.over(number, 1, status="completed", ended_by="caller")


def test_ringing_a_cancel_finds_no_transaction_and_an_answer_is_ended_by_the_caller(world):
    agent = world.agent("ring")
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    call.response(lambda m: m.status == 180, what="ringing")
    world.die()
    assert call.cancel().status == 481
    if world.stream:
        # As the row above: over streams a call that rings is lost with its process.
        return
    agent.accept()
    assert call.final().status == 200
    call.bye()
    world.over(number, 0, status="completed")


def test_an_answer_that_was_received_and_not_read_is_repeated_over_udp(world):
    agent = world.agent("ring")
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    call.response(lambda m: m.status == 180, what="ringing")
    freeze(world.server)
    agent.accept()
    world.die()
    if world.stream:
        # The one real hole: lost with the connection.
        assert world.tenant.calls(number["e164"])[0]["status"] == "ringing"
        return
    agent.accept()
    assert call.final().status == 200
    time.sleep(1)
    call.bye()
    world.over(number, 1, status="completed")


def test_between_the_answer_and_its_ack_nothing_is_lost(world):
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    call.answer = call.response(lambda m: m.status == 200, what="the answer")
    world.die()
    call.ack()
    agent.wait("ACK")
    time.sleep(1)
    call.bye()
    world.over(number, status="completed", ended_by="caller")


def test_in_the_call_there_is_no_state_to_lose(world):
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    world.die()
    assert call.ask("INFO").status == 200
    talked = time.monotonic() - call.at
    call.bye()
    record = world.over(number, talked, status="completed", ended_by="caller")
    told = ok(world.tenant.native.get(f"/api/v1/calls/{record['id']}"), 200)
    assert told["receipt"]["clock"] == "wall"


def test_a_bye_that_was_received_and_not_read_is_repeated(world):
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    time.sleep(1)
    freeze(world.server)
    bye = call.in_dialog("BYE")
    world.caller.send(bye, world.caller.edge)
    world.die()
    talked = time.monotonic() - call.at
    world.caller.send(bye, world.caller.edge)
    call.response(lambda m: m.cseq_method == "BYE" and m.status == 200, what="an answer to BYE")
    world.over(number, talked, status="completed", ended_by="caller")


def test_a_bye_that_was_sent_on_and_not_answered_ends_the_call_once(world):
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    answer, held = agent._answer, []
    agent._answer = lambda request, source: (
        held.append(request) if request.method == "BYE" and not held else answer(request, source)
    )
    time.sleep(1)
    bye, talked = call.in_dialog("BYE"), time.monotonic() - call.at
    world.caller.send(bye, world.caller.edge)
    agent.wait("BYE")
    world.die()
    world.caller.send(bye, world.caller.edge)
    call.response(lambda m: m.cseq_method == "BYE" and m.status in (200, 481), what="an answer to BYE")
    world.over(number, talked, status="completed", ended_by="caller")


def test_both_ends_die_and_the_call_ends_once_at_its_longest(world):
    world.tenant.settings(max_call_seconds=3)
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    agent.how = "silent"
    world.die()
    world.over(number, 3, status="completed", ended_by="max_duration")


# --- killed at what it is about to send -----------------------------------------------------------------------------------


def restart(world):
    """The next process, which nothing kills."""
    died(world.server)
    world.server.environment = {}
    world.server.start()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_bye_that_is_on_record_and_was_not_sent_is_told_by_the_next_process(worlds, tmp_path, transport):
    world = worlds(transport, environment=killed_at(tmp_path, "BYE "))
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    agent.wait("ACK")
    time.sleep(1)
    bye, talked = call.in_dialog("BYE"), time.monotonic() - call.at
    world.caller.send(bye, world.caller.edge)
    died(world.server)
    assert agent.got("BYE") == [], "it died before"
    # So long nobody is there: it is no part of the call.
    time.sleep(1.5)
    restart(world)
    agent.wait("BYE")
    # Over UDP the caller repeats its BYE, for which the call is over.
    world.caller.send(bye, world.caller.edge)
    call.response(lambda m: m.cseq_method == "BYE" and m.status in (200, 481), what="an answer to BYE")
    record = world.over(number, talked, status="completed", ended_by="caller")
    assert ok(world.tenant.native.get(f"/api/v1/calls/{record['id']}"), 200)["receipt"]["notes"] == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_end_of_ours_that_was_not_sent_is_told_to_both_sides(worlds, tmp_path, transport):
    world = worlds(transport, environment=killed_at(tmp_path, "BYE "))
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    agent.wait("ACK")
    record = world.tenant.call_with(number["e164"], "answered")
    time.sleep(1)
    talked = time.monotonic() - call.at
    with pytest.raises(httpx.TransportError):
        world.tenant.admin.post(f"/api/v1/calls/{record['id']}/hangup")
    restart(world)
    agent.wait("BYE")
    bye = world.caller.receive_until(lambda m: m.method == "BYE" and m.get("call-id") == call.id, 8, "a BYE at the caller")
    world.caller.send(bye.reply(200, "OK"), world.caller.peer)
    world.over(number, talked, status="completed", ended_by="api")


def test_an_answer_that_is_on_record_and_was_not_sent_is_repeated_over_udp(worlds, tmp_path):
    world = worlds("udp", environment=killed_at(tmp_path, "SIP/2.0 200", " INVITE"))
    agent = world.agent("ring")
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    call.response(lambda m: m.status == 180, what="ringing")
    agent.accept()
    answered = time.monotonic()
    restart(world)
    agent.accept()
    assert call.final().status == 200
    time.sleep(1)
    call.bye()
    # The first answer counts, which the dead process took.
    world.over(number, time.monotonic() - answered, status="completed", ended_by="caller")


# --- a node that is gone with its disk ------------------------------------------------------------------------------------


def lost(worlds, tmp_path, transport="udp"):
    """A call whose start is in the store and whose answer was on the disk of the node alone; the next node begins without it."""
    world = worlds(transport, arguments=["--sim"], environment=killed_at(tmp_path, "ACK "))
    agent = world.agent("ring")
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    call.response(lambda m: m.status == 180, what="ringing")
    wait_for(lambda: world.tenant.calls(number["e164"]), "its start is in the store")
    agent.accept()
    assert call.final().status == 200
    died(world.server)
    [journal] = [path for path in world.server.folder.iterdir() if path.is_dir() and "journal" in path.name]
    shutil.rmtree(journal)
    restart(world)
    [row] = world.tenant.calls(number["e164"])
    assert (row["status"], row["answered_at"]) == ("ringing", None), "nobody knows of the answer"
    return world, agent, number, call


def advance(world, seconds):
    ok(world.server.admin.post("/sim/clock", json={"advance_seconds": seconds}))


def unproven(world):
    return metric(world.server, "trunkline_calls_unproven_total")


def test_a_call_whose_answer_went_with_its_node_is_carried_and_not_billed(worlds, tmp_path):
    world, agent, number, call = lost(worlds, tmp_path)
    world.tenant.settings(rate_cents_per_minute=60)
    balance = world.tenant.balance()
    call.ack()
    agent.wait("ACK")
    assert call.ask("INFO").status == 200
    time.sleep(1)
    call.bye()
    agent.wait("BYE")
    # Its end is on record; its answer may be in another node's journal, which is waited for.
    wait_for(lambda: world.tenant.calls(number["e164"])[0]["ended_at"], "its end is seen")
    assert unproven(world) == 0
    advance(world, 601)
    record = wait_for(lambda: [c for c in world.tenant.calls(number["e164"]) if c["status"] == "failed"], "it is closed", 40)[0]
    assert (record["ended_by"], record["duration_seconds"], record["answered_at"]) == ("caller", 0, None), record
    told = ok(world.tenant.native.get(f"/api/v1/calls/{record['id']}"), 200)
    assert [note["code"] for note in told["receipt"]["notes"]] == ["unproven"]
    assert world.tenant.balance() == balance and unproven(world) == 1
    world.over(number, 0, status="failed")


def test_a_call_of_which_nothing_more_is_seen_is_closed_as_one_that_rang(worlds, tmp_path):
    world, agent, number, call = lost(worlds, tmp_path)
    advance(world, 301)
    record = wait_for(lambda: [c for c in world.tenant.calls(number["e164"]) if c["status"] == "no_answer"], "it is closed", 40)[0]
    assert record["duration_seconds"] == 0
    # Whatever comes of it later changes nothing.
    call.bye()
    agent.wait("BYE")
    world.over(number, 0, status="no_answer")


@only_on_a_file("a store that is no file is not lost with a node")
def test_a_node_that_lost_its_store_too_still_carries_calls(worlds, tmp_path):
    world = worlds("udp")
    agent = world.agent()
    number = world.number(agent)
    call = world.caller.invite(number["e164"])
    assert call.final().status == 200
    world.server.kill()
    for path in world.server.folder.iterdir():
        if path.name.startswith("t.db") and "key" not in path.name:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    world.server.start()
    assert call.ask("INFO").status == 200
    call.bye()
    agent.wait("BYE")
    world.server.assert_up()
