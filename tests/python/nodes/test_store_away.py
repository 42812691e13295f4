"""PostgreSQL is away: calls go on with the last table, writes are refused in each API's own words, and what calls leave is stored once
it is back, once. It is stopped as a crash stops it; a standby takes over; it stands still without a word."""

import contextlib
import os
import pathlib
import re
import signal
import time

import pytest
from harness import DIALECTS, credential, ok, wait_for
from nodes_kit import cluster, health, postgres  # noqa: F401
from sip import Agent, Caller, Sipp
from stores import Postgres

pytestmark = pytest.mark.alone


def metric(node, name):
    return float(re.search(rf"^{name} ([0-9.e+]+)", node.anonymous.get("/metrics").text, re.M)[1])


class Asked:
    """A write and a read of each API, and what its errors look like."""

    def __init__(self, node, tenant, number, place, agent):
        self.clients = {dialect: node.api(credential(dialect, tenant.key(dialect))) for dialect in DIALECTS}
        ours = f"/v1/agents/{agent['id']}/telephony/phone-numbers"
        self.writes = {
            "native": ("PATCH", f"/api/v1/numbers/{number['id']}", {"label": "late"}),
            "krosai": ("PATCH", f"/v1/phone-numbers/{number['id']}", {"label": "late"}),
            "cartesia": ("PATCH", f"/agents/phone-numbers/{number['id']}", {"label": "late"}),
            "polyai": ("PATCH", f"{ours}/{number['e164']}", {"connectorId": place["id"]}),
        }
        self.reads = {
            "native": "/api/v1/numbers", "krosai": "/v1/phone-numbers", "cartesia": "/agents/phone-numbers",
            "neo": "/public-api/phone/numbers", "polyai": ours,
        }  # fmt: skip
        for dialect, answer in self.answers():
            ok(answer)
        # Of each API an error of another kind: the one for a store that is away has the same parts.
        self.shapes = {dialect: set(client.get(f"{self.reads[dialect]}/nothing/there").json()) for dialect, client in self.clients.items()}

    def answers(self):
        for dialect, (method, path, body) in self.writes.items():
            yield dialect, self.clients[dialect].request(method, path, json=body)
        for dialect, path in self.reads.items():
            yield dialect, self.clients[dialect].get(path)

    def assert_refused(self):
        for dialect, answer in self.answers():
            asked = f"{dialect} {answer.request.method}: {answer.status_code} {answer.text[:300]}"
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1, asked
            assert set(answer.json()) == self.shapes[dialect], asked


def test_calls_go_on_without_the_database_and_are_stored_once(tmp_path, postgres):  # noqa: F811
    count = 120
    with cluster(tmp_path, postgres, count=1) as nodes:
        [node] = nodes.nodes
        tenant = node.tenant(cents=100_000)
        tenant.settings(rate_cents_per_minute=60)
        agent = Sipp(tmp_path, "agent", calls=count, timeout=60)
        who = tenant.agent()
        place = tenant.endpoint(agent.uri, agent=who)
        number = tenant.number(trunk=tenant.trunk("127.0.0.1"), agent_id=who["id"], endpoint_id=place["id"])
        asked = Asked(node, tenant, number, place, who)
        load = Sipp(tmp_path, "caller", remote=node.sip, user=number["e164"], calls=count, rate=10, pause=2_000, timeout=60)
        try:
            wait_for(lambda: len(tenant.calls(number["e164"])) > 20, "calls come", 20)
            postgres.stop()
            asked.assert_refused()
            wait_for(lambda: health(node)["store"] == "away", "health says so", 5)
            wait_for(lambda: health(node)["table"]["age_seconds"] >= 3, "the table grows old", 10)
            told = health(node)
            assert (told["status"], told["table"]["behind"], told["journal"]["full"]) == ("ready", 0, False)
            assert told["journal"]["bytes"] > 0 and metric(node, "trunkline_journal_bytes") > 0
            assert metric(node, "trunkline_store_up") == 0 and metric(node, "trunkline_table_age_seconds") >= 3
            assert node.health() == 200, "calls go on: nobody sends them elsewhere"
            load.finish()
            agent.finish()
            # Not a call was lost while it was away; nor is one when the node dies before it is back.
            node.kill()
            postgres.start()
            node.start()
        finally:
            load.stop()
            agent.stop()
        assert_stored(node, tenant, number, count)
        assert health(node)["store"] == "up"
        for _, answer in asked.answers():
            ok(answer)


def assert_stored(node, tenant, number, count, seconds=2):
    """So many calls, each once, with its minutes, its end and its price."""
    wait_for(lambda: health(node)["journal"]["bytes"] == 0, "everything is stored", 20)
    calls = tenant.calls(number["e164"])
    assert len(calls) == count and {c["status"] for c in calls} == {"completed"}
    assert all(abs(c["duration_seconds"] - seconds) <= 1 for c in calls)
    ended = [e["subject"] for e in tenant.pages("/api/v1/events") if e["name"] == "call.completed"]
    assert len(ended) == len(set(ended)) == count, "one end each"
    assert tenant.balance() == 100_000 - sum(c["duration_seconds"] for c in calls)
    checked = node.doctor()
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_standby_that_takes_over_has_every_write_that_was_answered(tmp_path):
    """The first server waits for the standby at each commit; its end is a crash. Both stand in the nodes' URL."""
    count, primary = 120, Postgres()
    standby = primary.standby("hot_standby=on")
    try:
        primary.stop("fast")
        primary.start("synchronous_standby_names=*")
        wait_for(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == [("sync",)], "the standby follows", 20)
        both = Both(primary, standby)
        with cluster(tmp_path, both) as nodes:
            one, other = nodes.nodes
            tenant = one.tenant(cents=100_000)
            tenant.settings(rate_cents_per_minute=60)
            agent = Sipp(tmp_path, "agent", calls=count, timeout=60)
            number = tenant.number(trunk=tenant.trunk("127.0.0.1"), endpoint_id=tenant.endpoint(agent.uri)["id"])
            wait_for(lambda: other.api(tenant.admin.headers).get(f"/api/v1/numbers/{number['id']}").is_success, "both know it")
            load = Sipp(tmp_path, "caller", remote=other.sip, user=number["e164"], calls=count, rate=10, pause=2_000, timeout=60)
            try:
                wait_for(lambda: len(tenant.calls(number["e164"])) > 20, "calls come", 20)
                made = []
                for turn in range(30):
                    if turn == 20:
                        primary.stop()
                    answer = tenant.admin.post("/api/v1/agents", json={"name": f"a{turn}", "description": "x"})
                    assert answer.status_code in (201, 503), answer.text
                    made += [answer.json()["id"]] if answer.status_code == 201 else []
                assert len(made) >= 20
                standby.promote()
                wait_for(lambda: all(health(node)["store"] == "up" for node in (one, other)), "the nodes found it", 20)
                rebuilt = lambda: [metric(node, "trunkline_table_rebuilds_total") for node in (one, other)]  # noqa: E731
                wait_for(lambda: min(rebuilt()) >= 1, "another history: the tables are built anew", 20)
                assert set(made) <= {a["id"] for a in tenant.pages("/api/v1/agents")}, "what was answered stands"
                load.finish()
                agent.finish()
            finally:
                load.stop()
                agent.stop()
            assert_stored(other, tenant, number, count)
            # What is written there from now on is followed as before.
            with Agent() as second, Caller(other.sip) as caller:
                tenant.patch(number, endpoint_id=tenant.endpoint(second.uri)["id"])
                generation = health(one)["table"]["generation"]
                wait_for(lambda: health(other)["table"]["generation"] >= generation, "the other follows")
                call = caller.invite(number["e164"])
                assert call.final().status == 200 and second.got("INVITE")
                call.bye()
    finally:
        primary.remove()
        standby.remove()


class Both:
    """A server and its standby as one that a URL names."""

    def __init__(self, primary, standby):
        self.primary, self.standby, self.folder = primary, standby, primary.folder

    def database(self, name):
        second = self.standby.url.split("@")[1].split("/")[0]
        host = self.primary.url.rsplit("/", 1)[0]
        return f"{host},{second}/{name}"

    def sql(self, text, name="postgres"):
        return self.primary.sql(text, name)


def test_a_database_that_stands_still_holds_up_no_call(tmp_path, postgres):  # noqa: F811
    """It takes connections and says nothing: worse than being away."""
    with cluster(tmp_path, postgres, count=1) as nodes:
        [node] = nodes.nodes
        tenant = node.tenant()
        with Agent() as agent, Caller(node.sip) as caller:
            number = tenant.number(trunk=tenant.trunk("127.0.0.1"), endpoint_id=tenant.endpoint(agent.uri)["id"])
            processes = frozen(postgres)
            try:
                end, slowest, calls = time.monotonic() + 15, 0, 0
                while time.monotonic() < end:
                    began = time.monotonic()
                    call = caller.invite(number["e164"])
                    assert call.final().status == 200
                    slowest = max(slowest, time.monotonic() - began)
                    call.bye()
                    calls += 1
                assert slowest < 1.5, "no call waits for the database"
                wait_for(lambda: health(node)["store"] == "away", "health says so", 5)
                began = time.monotonic()
                answer = tenant.admin.post("/api/v1/agents", json={"name": "late", "description": "x"}, timeout=60)
                assert answer.status_code == 503 and answer.headers["retry-after"]
                assert time.monotonic() - began < 2, "nobody waits for what is known to say nothing"
                assert tenant.explain(number)["sip_status"] == 200, "what needs no database is answered"
            finally:
                for process in processes:
                    process.send(signal.SIGCONT)
            wait_for(lambda: health(node)["store"] == "up", "it answers again", 30)
            wait_for(lambda: health(node)["journal"]["bytes"] == 0, "everything is stored", 30)
            assert len(tenant.calls(number["e164"])) == calls


class Process:
    def __init__(self, pid):
        self.pid = pid

    def send(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def frozen(postgres):  # noqa: F811
    """Stops every process of the server, by its id."""
    first = int((pathlib.Path(postgres.folder) / "data" / "postmaster.pid").read_text().split("\n")[0])
    # The one that starts the others first: none is missed.
    Process(first).send(signal.SIGSTOP)
    wait_for(lambda: stat_of(first)[0] == "T", "PostgreSQL stands still")
    children = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(stat_of(process.name)[1]) == first:
                children.append(int(process.name))
    processes = [Process(pid) for pid in (first, *children)]
    for process in processes:
        process.send(signal.SIGSTOP)
    return processes


def stat_of(pid):
    """A process's state, its parent, and so on (proc(5))."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
