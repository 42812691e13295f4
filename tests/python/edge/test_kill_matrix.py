"""The edge is killed (SIGKILL) at each point of a call, and the next process goes on: minutes within a second, one record, one terminal
event. Each point is reached by a message, or by a process that is stopped (SIGSTOP) while a message waits in its socket, never by a
sleep. Row by row, over UDP and TCP."""

import time

import pytest
from calls_kit import one_record
from harness import Server, ok, wait_for
from kill_kit import TcpAgent, TcpCaller, freeze
from sip import Agent, Caller


class World:
    def __init__(self, folder, transport):
        self.server = Server(folder).start()
        self.tcp = transport == "tcp"
        self.tenant = self.server.tenant("killed")
        self.trunk = self.tenant.trunk("127.0.0.1")
        self.caller = TcpCaller(self.server.sip) if self.tcp else Caller(self.server.sip)
        self.peers = [self.caller]

    def agent(self, how="answer"):
        agent = TcpAgent(how, edge=self.server.sip) if self.tcp else Agent(how)
        wait_for(lambda: not self.tcp or getattr(agent, "bound", False), "the agent listens")
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


@pytest.fixture(params=["udp", "tcp"])
def world(request, tmp_path):
    world = World(tmp_path, request.param)
    yield world
    for peer in world.peers:
        peer.close()
    world.server.stop()


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
    if world.tcp:
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
    if world.tcp:
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
    if world.tcp:
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
