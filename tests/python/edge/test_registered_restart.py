"""What agents registered outlives the process, as far as a flow does: over UDP it does, a connection's is gone with it."""

import time

import pytest
from access_kit import Agent
from harness import ok, wait_for
from sip import Caller

HERE = "sip:registered.invalid"


@pytest.fixture
def tenant(fresh):
    """On a server that may be killed."""
    holder = fresh.start().tenant("restarts")
    holder.its_trunk = holder.trunk("127.0.0.1")
    return holder


def line(tenant):
    number = tenant.number(trunk=tenant.its_trunk, endpoint_id=tenant.endpoint(HERE)["id"])
    return number, credentials(tenant, number)


def credentials(tenant, number):
    made = ok(tenant.admin.post(f"/api/v1/numbers/{number['id']}/sip-credentials"), 200)
    return made["sip_username"], made["sip_password"]


def registrations(tenant, number):
    return ok(tenant.native.get(f"/api/v1/numbers/{number['id']}/registrations"), 200)["data"]


def called(tenant, agent, number):
    with Caller(tenant.server.sip) as caller:
        call = caller.invite(number["e164"])
        assert agent.take().uri == agent.contact
        assert call.final().status == 200
        agent.answer("ACK")
        caller.send(call.in_dialog("BYE"), caller.edge)
        agent.answer("BYE")


@pytest.mark.parametrize("killed", [True, False], ids=["kill -9", "SIGTERM"])
def test_a_call_after_a_restart_finds_an_agent_over_udp(tenant, killed):
    server = tenant.server
    number, login = line(tenant)
    other, other_login = line(tenant)
    device = {"instance": "00000000-0000-1000-8000-000a95a0e128"}
    with Agent(server.sip, login, host="127.0.0.41", **device) as agent, Agent(server.sip, login, tcp=True, host="127.0.0.42") as stream:
        with Agent(server.sip, other_login, host="127.0.0.43") as gone:
            assert agent.register(expires=120).status == 200 and stream.register().status == 200
            assert gone.register().status == 200 and gone.register(expires=0).status == 200
            before = {r["contact"]: r for r in registrations(tenant, number)}
            assert set(before) == {agent.contact, stream.contact}
            server.kill() if killed else server.stop()
            server.start()
            [after] = registrations(tenant, number)
            # The connection's flow is gone with it (RFC 5626 section 4.4); of the other everything is as it was.
            assert after == before[agent.contact] | {"expires_at": after["expires_at"]}
            assert abs(seconds(after["expires_at"]) - seconds(before[agent.contact]["expires_at"])) < 2
            assert registrations(tenant, other) == []
            called(tenant, agent, number)
            # Its next refresh is the same binding's, and an older one that comes late changes nothing.
            cseq = agent.cseq
            agent.cseq = 0
            assert agent.register(expires=0).status == 500
            agent.cseq = cseq
            assert agent.register(expires=60).status == 200 and len(registrations(tenant, number)) == 1
            assert server.own(".bindings").stat().st_mode & 0o777 == 0o600


def seconds(text):
    hour, minute, second = text.split("T")[1].rstrip("Z").split(":")
    return int(hour) * 3_600 + int(minute) * 60 + float(second)


def test_what_ended_while_nobody_ran_is_gone(tenant):
    server = tenant.server
    (number, login), (replaced, former), (given, last) = line(tenant), line(tenant), line(tenant)
    with Agent(server.sip, login) as one, Agent(server.sip, former) as two, Agent(server.sip, last) as three:
        for agent in (one, two, three):
            assert agent.register(expires=60).status == 200
        file = server.own(".bindings")
        kept = file.read_bytes()
        assert kept.count(b"\n") == 3 and former[1].encode() not in kept, "no password is in it"
        credentials(tenant, replaced)
        ok(tenant.admin.delete(f"/api/v1/numbers/{given['id']}"), 200)
        server.kill()
        # As if the process had died between the change and its note: the file is as before, and ends in half a line.
        file.write_bytes(kept + kept[: len(kept) // 2])
        server.start()
        assert [r["contact"] for r in registrations(tenant, number)] == [one.contact]
        assert registrations(tenant, replaced) == [] and explained(tenant, replaced)["sip_status"] == 480
        server.kill()
        # Time passes while nobody runs: what is over by then is not taken up. A clock of the test's own is none of the server's.
        aged = [row.replace(b'"until":', b'"until":-') for row in file.read_bytes().splitlines(keepends=True)]
        file.write_bytes(b"".join(aged))
        server.start()
        assert registrations(tenant, number) == [] and explained(tenant, number)["sip_status"] == 480
        wait_for(lambda: file.stat().st_size == 0, "the file has what holds alone")


def explained(tenant, number):
    return ok(tenant.admin.get(f"/api/v1/numbers/{number['e164']}/explain"), 200)


def test_a_file_that_is_none_of_ours_stops_nobody(tenant):
    server = tenant.server
    number, login = line(tenant)
    server.stop()
    server.own(".bindings").write_bytes(b"\xff\x00" * 1000 + b"\n[]\n{}\nnull\n")
    server.start()
    with Agent(server.sip, login) as agent:
        assert agent.register().status == 200
        called(tenant, agent, number)
    time.sleep(0.1)
    server.assert_up()
