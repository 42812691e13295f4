"""Two nodes on one PostgreSQL: what is written at one is what calls at the other meet, and either carries any call."""

import concurrent.futures
import statistics
import threading
import time

import pytest
from calls_kit import one_record
from harness import DIALECTS, ok, wait_for
from nodes_kit import Balancer, cluster, follows, health, postgres  # noqa: F401
from receiver import Receiver
from sip import Agent, Caller, Sipp
from webhooks_kit import native_hook


@pytest.fixture
def pair(tmp_path, postgres):  # noqa: F811
    with cluster(tmp_path, postgres) as nodes:
        yield nodes.nodes


def test_a_write_at_one_node_is_what_the_next_call_at_the_other_meets(pair):
    one, other = pair
    tenant = one.tenant()
    waits = []
    with Agent() as first, Agent() as second, Caller(other.sip) as caller:
        trunk = tenant.trunk("127.0.0.1")
        places = {agent: tenant.endpoint(agent.uri)["id"] for agent in (first, second)}
        number = tenant.number(trunk=trunk, endpoint_id=places[first])
        for turn in range(20):
            agent = (second, first)[turn % 2]
            before = len(agent.got("INVITE"))
            tenant.patch(number, endpoint_id=places[agent])
            began = time.monotonic()
            follows(other, one)
            waits.append(time.monotonic() - began)
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            call.bye()
            assert len(agent.got("INVITE")) == before + 1, "the call goes where the write says"
    print(f"until the other node had it: median {statistics.median(waits) * 1e3:.1f} ms, longest {max(waits) * 1e3:.1f} ms")
    assert max(waits) < 1.0, "a nudge, not the look every two seconds"


def test_a_key_made_at_one_node_opens_the_other_and_revoked_it_does_not(pair):
    one, other = pair
    tenant = one.tenant()
    keys = {dialect: tenant.client(dialect) for dialect in DIALECTS}
    follows(other, one)
    there = other.api(keys["native"].headers)
    assert ok(there.get("/api/v1/numbers"), 200)["data"] == []
    [key] = [k for k in ok(one.admin.get(f"/api/v1/organizations/{tenant.id}/keys"), 200)["data"] if k["dialect"] == "native"]
    assert one.admin.delete(f"/api/v1/organizations/{tenant.id}/keys/{key['id']}").is_success
    follows(other, one)
    assert there.get("/api/v1/numbers").status_code == 401


def test_a_number_is_sold_once_whichever_node_is_asked(pair):
    one, other = pair
    tenants = [one.tenant(name) for name in ("left", "right")]
    follows(other, one)
    for _ in range(20):
        row = one.stock(setup=0, monthly=0)
        clients = [node.api(tenant.admin.headers) for node, tenant in zip((one, other), tenants, strict=True)]
        follows(other, one)
        at_once = threading.Barrier(2)

        def buy(client, at_once=at_once, row=row):
            at_once.wait(10)
            return client.post("/api/v1/numbers", json={"stock_id": row["id"]}).status_code

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(buy, clients))
        assert sorted(answers)[0] == 201 and sorted(answers)[1] in (404, 409, 422), answers
    checked = one.doctor()
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_event_is_sent_once_and_in_order_by_whichever_node_lives(tmp_path, postgres):  # noqa: F811
    with cluster(tmp_path, postgres, arguments=["--outgoing-private", "allow"]) as nodes, Receiver() as receiver:
        one, other = nodes.nodes
        tenant = one.tenant()
        hook = native_hook(tenant, receiver.url, "agent.created")
        follows(other, one)
        there = other.api(tenant.native.headers)

        def made(clients):
            return [ok(client.post("/api/v1/agents", json={"name": "Ada"}), 201)["id"] for client in clients]

        first = made([tenant.native, there] * 10)
        receiver.wait(20)
        assert [r.json["data"]["subject"] for r in receiver.quiet()] == first, "two nodes, and each is sent once"
        one.kill()
        second = made([there] * 5)
        receiver.wait(25)
        assert [r.json["data"]["subject"] for r in receiver.quiet()][20:] == second
        one.start()
        other.kill()
        third = made([tenant.native] * 5)
        receiver.wait(30)
        assert [r.json["data"]["subject"] for r in receiver.quiet()][25:] == third
        for request in receiver.requests:
            request.assert_signed(hook["secret"])


def test_a_call_that_one_node_set_up_is_ended_through_the_other(tmp_path, postgres):  # noqa: F811
    with Balancer() as front, cluster(tmp_path, postgres, public=front.address) as nodes:
        one, other = nodes.nodes
        tenant = one.tenant()
        tenant.settings(rate_cents_per_minute=60)
        front.before(one)
        with Agent() as agent, Caller(front.address) as caller:
            number = tenant.number(trunk=tenant.trunk("127.0.0.1"), endpoint_id=tenant.endpoint(agent.uri)["id"])
            follows(other, one)
            balance = tenant.balance()
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            agent.wait("ACK")
            began = time.monotonic()
            tenant.call_with(number["e164"], "answered")
            one.kill()
            front.nodes.append(other)
            front.ready = {other}
            front.gone(one)
            assert call.ask("INFO").status == 200
            time.sleep(3 - (time.monotonic() - began))
            call.bye()
            agent.wait("BYE")
            # The first node is gone: the other one is asked.
            tenant.admin = other.api(tenant.admin.headers)
            tenant.server = other
            record = one_record(tenant, number, status="completed", ended_by="caller")
            assert abs(record["duration_seconds"] - 3) <= 1
            assert balance - tenant.balance() == record["duration_seconds"], "a cent a second"


def test_what_a_killed_node_had_not_stored_is_stored_at_its_next_start(tmp_path, postgres):  # noqa: F811
    """The node dies right after the answer, while the database is away: the answer is in its journal alone."""
    with Balancer() as front, cluster(tmp_path, postgres, public=front.address) as nodes:
        one, other = nodes.nodes
        tenant = one.tenant()
        front.before(one)
        with Agent() as agent, Caller(front.address) as caller:
            number = tenant.number(trunk=tenant.trunk("127.0.0.1"), endpoint_id=tenant.endpoint(agent.uri)["id"])
            follows(other, one)
            postgres.stop()
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            agent.wait("ACK")
            one.kill()
            front.nodes.append(other)
            front.ready = {other}
            front.gone(one)
            time.sleep(2)
            call.bye()
            agent.wait("BYE")
            postgres.start()
            tenant.admin = other.api(tenant.admin.headers)
            wait_for(lambda: health(other)["store"] == "up", "the database is back", 20)
            # Whose number it was, and that it was answered, only the journal of the first says.
            ended = wait_for(lambda: [c for c in tenant.calls() if c["ended_at"]], "its end is stored", 20)
            assert (ended[0]["number"], ended[0]["answered_at"]) == (None, None)
            one.start()
            tenant.call_with(number["e164"], "completed", 20)
            record = one_record(tenant, number, status="completed", ended_by="caller")
            assert abs(record["duration_seconds"] - 2) <= 1


def test_no_call_is_lost_while_the_nodes_are_started_anew_one_after_the_other(tmp_path, postgres):  # noqa: F811
    with Balancer() as front, cluster(tmp_path, postgres, public=front.address) as nodes:
        one, other = nodes.nodes
        tenant = one.tenant()
        agent = Sipp(tmp_path, "agent", calls=150, timeout=90)
        number = tenant.number(trunk=tenant.trunk("127.0.0.1"), endpoint_id=tenant.endpoint(agent.uri)["id"])
        follows(other, one)
        front.before(one, other)
        load = Sipp(tmp_path, "caller", remote=front.address, user=number["e164"], calls=150, rate=10, pause=3_000, timeout=90)
        try:
            for node in (one, other):
                wait_for(lambda: len(tenant.calls(number["e164"])) > 10, "calls come", 20)
                # What a balancer sees is 503 at /health/ready: no new calls from then on. The rest goes there until it has ended.
                front.ready.discard(node)
                assert node.stop(20) == 0
                front.gone(node)
                node.start()
                front.ready.add(node)
            load.finish()
            agent.finish()
        finally:
            load.stop()
            agent.stop()
        calls = lambda: [c for c in tenant.calls(number["e164"]) if c["status"] == "completed"]  # noqa: E731
        wait_for(lambda: len(calls()) == 150, "every call is on record", 20)
        assert len(tenant.calls(number["e164"])) == 150, "once"
        assert {abs(c["duration_seconds"] - 3) <= 1 for c in calls()} == {True}
        wait_for(lambda: health(one)["journal"]["bytes"] == health(other)["journal"]["bytes"] == 0, "nothing waits")
