"""The command line, start and stop: demo, explain, echo-agent, call, health, metrics, SIGTERM."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest
from harness import BINARY, Server, free_port, new_number, ok, wait_for
from sip import Agent, Caller, Sipp
from stores import ON_POSTGRES


def run(*arguments, folder, seconds=60, **environment):
    """Runs the binary to its end; gives its exit code and what it printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRUNKLINE_")}
    done = subprocess.run(
        [str(a) for a in (BINARY, *arguments)], cwd=folder, env=clean | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def carrier(server):
    tenant = server.tenant("cli")
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


def line(carrier, uri):
    return carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(uri)["id"])


# --- demo --------------------------------------------------------------------------------------------------------------------


def test_the_demo_runs_to_its_end(tmp_path):
    code, out, err = run(
        "demo", "--once", folder=tmp_path, seconds=90,
        TRUNKLINE_HTTP=f"127.0.0.1:{free_port()}", TRUNKLINE_SIP=f"udp:127.0.0.1:{free_port()}",
    )  # fmt: skip
    assert code == 0, out + err
    for word in ("KrosAI", "Cartesia", "PolyAI", "Neo", "INVITE", "200", "BYE", "completed", "the source is a trunk", "answered +"):
        assert word in out, f"{word} is missing in:\n{out}"
    assert re.search(r"\+\d{10,15}", out)
    assert "\x1b[" not in out, "colour only on a terminal"


def test_the_demo_serves_until_it_is_stopped(tmp_path):
    http = f"127.0.0.1:{free_port()}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRUNKLINE_")}
    environment |= {"TRUNKLINE_HTTP": http, "TRUNKLINE_SIP": f"udp:127.0.0.1:{free_port()}"}
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen([BINARY, "demo"], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for(lambda: "completed" in (tmp_path / "out").read_text(), "the demo's call is metered", 60)
        assert process.poll() is None and httpx.get(f"http://{http}/health/ready").status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


# --- call, echo-agent, explain -----------------------------------------------------------------------------------------------


@pytest.fixture
def echo_agent(tmp_path):
    port = free_port()
    with open(tmp_path / "echo", "wb") as out:
        process = subprocess.Popen(
            [BINARY, "echo-agent", "--sip", f"udp:127.0.0.1:{port}"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )

    def bound():
        assert process.poll() is None, (tmp_path / "echo").read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return True

    wait_for(bound, "the echo agent takes its port")
    yield f"sip:127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_call_and_echo_agent(carrier, echo_agent, tmp_path):
    number = line(carrier, echo_agent)
    code, out, err = run("call", number["e164"], "--via", f"127.0.0.1:{carrier.server.sip_port}", folder=tmp_path)
    assert code == 0, out + err
    assert "INVITE" in out and "200" in out and "BYE" in out
    carrier.call_with(number["e164"], "completed")


def test_the_echo_agent_gives_back_what_it_hears(echo_agent):
    port = int(echo_agent.rsplit(":", 1)[1])
    with Caller(("127.0.0.1", port)) as caller, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", free_port()))
        media.settimeout(5)
        call = caller.invite("+14155550100", media_port=media.getsockname()[1])
        answer = call.final()
        assert answer.status == 200
        there = (re.search(r"c=IN IP4 (\S+)", answer.body)[1], int(re.search(r"m=audio (\d+)", answer.body)[1]))
        packet = bytes([0x80, 0]) + (7).to_bytes(2, "big") + (160).to_bytes(4, "big") + b"abcd" + bytes(range(160))
        media.sendto(packet, there)
        assert media.recvfrom(2048)[0][12:] == packet[12:]
        call.bye()


def test_sipp_calls_the_echo_agent(echo_agent, tmp_path):
    port = int(echo_agent.rsplit(":", 1)[1])
    Sipp(tmp_path, "caller", remote=("127.0.0.1", port), user="+14155550100", calls=20).finish()


def test_call_exits_by_its_outcome(carrier, tmp_path):
    via = f"127.0.0.1:{carrier.server.sip_port}"
    code, out, _ = run("call", new_number(), "--via", via, folder=tmp_path)
    assert code != 0 and "404" in out
    with Agent("busy") as agent:
        code, out, _ = run("call", line(carrier, agent.uri)["e164"], "--via", via, folder=tmp_path)
        assert code != 0 and "486" in out
    code, _, err = run("call", "+14155550100", "--via", f"127.0.0.1:{free_port()}", folder=tmp_path, seconds=60)
    assert code != 0


def test_explain_says_where_and_why(carrier, tmp_path):
    number = line(carrier, "sip:127.0.0.1:5999")
    access = ("--url", carrier.server.url, "--key", carrier.key("native"))
    code, out, err = run("explain", number["e164"], *access, folder=tmp_path)
    assert code == 0 and "127.0.0.1:5999" in out, out + err
    carrier.patch(number, allow_inbound=False)
    _, out, err = run(
        "explain", number["e164"], folder=tmp_path, TRUNKLINE_URL=carrier.server.url, TRUNKLINE_KEY=carrier.key("native")
    )
    assert "403" in out and "allow_inbound" in out, out + err
    code, out, err = run("explain", "nonsense", *access, folder=tmp_path)
    assert code == 8 and "not a phone number" in out, out + err
    code, _, err = run("explain", number["e164"], "--url", carrier.server.url, "--key", "wrong", folder=tmp_path)
    assert code == 3 and err


def test_health_tells_how_the_table_stands(server):
    told = ok(server.anonymous.get("/health/ready"), 200)
    assert (told["status"], told["store"], told["table"]["behind"]) == ("ready", "up", 0) and told["table"]["age_seconds"] <= 10
    assert told["journal"]["bytes_max"] == 1 << 30 and not told["journal"]["full"]
    before = told["table"]["generation"]
    server.tenant("one more")
    after = ok(server.anonymous.get("/health/ready"), 200)["table"]
    assert after["generation"] == after["newest"] > before, "what was answered is applied"
    metrics = server.anonymous.get("/metrics").text
    for row in ("trunkline_store_up 1", "trunkline_table_behind 0", "trunkline_journal_bytes_max 1073741824"):
        assert re.search(f"^{row}$", metrics, re.M), row
    assert re.search(r"^trunkline_table_age_seconds [0-9.]+$", metrics, re.M)


def test_the_schema_is_shown_and_brought_up_to_date(fresh, tmp_path):
    store = {"TRUNKLINE_STORE": fresh.store.url}
    if ON_POSTGRES:
        # A database is there before its schema is.
        code, out, err = run("migrate", "--show", folder=tmp_path, **store)
        assert code == 0 and out.startswith("schema 0") and re.search(r"^  \d+: ", out, re.M), out + err
        assert fresh.store.sql("SELECT to_regclass('migrations')") == [("",)], "nothing was done"
        code, out, err = run("migrate", folder=tmp_path, **store)
        assert code == 0 and "up to date" in out, out + err
    else:
        code, _, err = run("migrate", folder=tmp_path, **store)
        assert code != 0 and "is not there" in err
    fresh.start()
    code, out, err = run("migrate", "--show", folder=tmp_path, **store)
    assert code == 0 and re.fullmatch(r"schema \d+\n", out), out + err
    code, out, err = run("migrate", folder=tmp_path, **store)
    assert code == 0 and "up to date" in out, "also beside a service that runs"
    fresh.assert_up()


def test_a_stores_password_is_not_told(tmp_path):
    url = "postgres://trunkline:hunter2@db.example/numbers"
    code, out, err = run("serve", "--store", url, folder=tmp_path, seconds=20)
    assert code != 0 and "postgres" in err and "hunter2" not in out + err
    # Its nodes share one secret key: none is made up here.
    assert "--secret-key-file" in err and "TRUNKLINE_SECRET_KEY" in err and not list(tmp_path.glob("**/*key*"))
    absent = run("serve", "--secret-key-file", tmp_path / "absent", folder=tmp_path, seconds=20, TRUNKLINE_STORE=url)
    assert absent[0] != 0 and "--secret-key-file" in absent[2] and "hunter2" not in absent[2]
    (tmp_path / "t.toml").write_text(f'store = "{url}\nhttp = "127.0.0.1:0"\n')
    broken = run("serve", "--config", tmp_path / "t.toml", folder=tmp_path, seconds=20)
    assert broken[0] != 0 and "line 1" in broken[2] and "hunter2" not in broken[2]
    _, out, err = run("serve", "--help", folder=tmp_path, seconds=20, TRUNKLINE_STORE=url)
    assert "TRUNKLINE_STORE" in out and "hunter2" not in out + err


def test_wrong_arguments_are_named(tmp_path):
    for arguments, word in (
        (("serve", "--sip", "pigeon:127.0.0.1:1"), "pigeon"),
        (("serve", "--http", "nowhere"), "nowhere"),
        (("serve", "--store", "papyrus:x"), "papyrus"),
        (("serve", "--sip", f"udp:0.0.0.0:{free_port()}", "--http", f"127.0.0.1:{free_port()}"), "--public-sip"),
        (("fly",), "fly"),
    ):
        code, out, err = run(*arguments, folder=tmp_path, seconds=20)
        assert code not in (0, 101) and word in err, f"{arguments}: {code} {out} {err}"


# --- serve -------------------------------------------------------------------------------------------------------------------


def test_health_and_metrics(server):
    assert server.anonymous.get("/health/live").status_code == 200
    assert server.anonymous.get("/health/ready").status_code == 200
    metrics = server.anonymous.get("/metrics")
    assert metrics.status_code == 200 and metrics.headers["content-type"].startswith("text/plain")
    assert re.search(r"^# TYPE \w+ (counter|gauge|histogram|summary)$", metrics.text, re.M)


def test_documents_are_open(server):
    for dialect in ("native", "polyai", "cartesia", "krosai", "neo"):
        document = ok(server.anonymous.get(f"/openapi/{dialect}.json"), 200)
        assert document["openapi"].startswith("3.") and document["paths"]
    assert server.anonymous.get("/docs").status_code == 200


def test_a_taken_port_is_named(server, tmp_path):
    code, _, err = run(
        "serve", "--http", f"127.0.0.1:{server.http_port}", "--sip", f"udp:127.0.0.1:{free_port()}",
        "--store", f"sqlite:{tmp_path}/t.db", folder=tmp_path, seconds=20,
    )  # fmt: skip
    assert code not in (0, 101) and str(server.http_port) in err, err


def test_the_first_start_without_admin_key_prints_one_once(tmp_path):
    process = Server(tmp_path)  # for its ports and its address only
    command = [
        BINARY, "serve", "--http", f"127.0.0.1:{process.http_port}", "--sip", f"udp:127.0.0.1:{process.sip_port}",
        "--store", f"sqlite:{tmp_path}/t.db",
    ]  # fmt: skip
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRUNKLINE_")}

    def started():
        with open(tmp_path / "out", "wb") as out:
            running = subprocess.Popen([str(c) for c in command], cwd=tmp_path, env=clean, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for(lambda: process.health() == 200, "ready", 20)
        return running

    def works(text):
        words = set(re.findall(r"[\w-]{16,}", text))
        return [w for w in words if httpx.get(f"{process.url}/api/v1/organizations", headers={"x-api-key": w}).status_code == 200]

    running = started()
    try:
        [key] = works((tmp_path / "out").read_text())
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(15) == 0
    running = started()
    try:
        text = (tmp_path / "out").read_text()
        assert key not in text and works(text) == []
        assert httpx.get(f"{process.url}/api/v1/organizations", headers={"x-api-key": key}).status_code == 200
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(15) == 0


def test_what_was_written_is_there_after_a_restart(fresh):
    tenant = fresh.start().tenant()
    agent = tenant.agent("Ada")
    number = tenant.number(endpoint_id=tenant.endpoint("sip:127.0.0.1:5999", agent=agent)["id"])
    before = (tenant.read(number), tenant.balance(), ok(tenant.krosai.get(f"/v1/phone-numbers/{number['id']}"), 200))
    assert fresh.stop() == 0
    fresh.start()
    assert (tenant.read(number), tenant.balance(), ok(tenant.krosai.get(f"/v1/phone-numbers/{number['id']}"), 200)) == before
    fresh.kill()
    fresh.start()
    assert (tenant.read(number), tenant.balance(), ok(tenant.krosai.get(f"/v1/phone-numbers/{number['id']}"), 200)) == before


def test_sigterm_lets_open_transactions_finish(fresh):
    tenant = fresh.start().tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    with Agent("ring") as agent, Caller(fresh.sip) as caller:
        number = line(tenant, agent.uri)
        open_one = caller.invite(number["e164"])
        open_one.response(lambda m: m.status == 180)
        fresh.process.send_signal(signal.SIGTERM)
        wait_for(lambda: fresh.health() == 503, "ready turns 503", 5)
        with Caller(fresh.sip) as late:
            assert late.invite(number["e164"]).final().status == 503
        assert len(agent.got("INVITE")) == 1
        agent.accept()
        assert open_one.final().status == 200
        assert fresh.process.wait(12) == 0
        # The call in progress was not waited for: the next process carries it. Where the ACK came too late for the former one, it is
        # given to the answer's repeat (RFC 3261 section 13.3.1.4).
        fresh.start()
        if not agent.got("ACK"):
            agent.accept()
            open_one.final()
        agent.wait("ACK")
        open_one.bye(repeats=4)
        # The refused one has a row of its own.
        def statuses():
            return sorted(call["status"] for call in tenant.calls(number["e164"]))
        wait_for(lambda: statuses() == ["completed", "failed"], "the call is completed, the late one refused", 8)


def test_sigterm_ends_within_the_drain_time(fresh):
    fresh.arguments += ["--drain-seconds", "2"]
    tenant = fresh.start().tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    with Agent("ring") as agent, Caller(fresh.sip) as caller:
        call = caller.invite(line(tenant, agent.uri)["e164"])
        call.response(lambda m: m.status == 180)
        started = time.monotonic()
        assert fresh.stop(seconds=8) == 0
        assert time.monotonic() - started < 6


def test_requests_in_flight_are_answered_at_sigterm(fresh):
    tenant = fresh.start().tenant()
    answers, stop = [], threading.Event()

    def write():
        client = fresh.api({"authorization": f"Bearer {fresh.admin_key}", "x-organization-id": tenant.id})
        while not stop.is_set():
            try:
                answers.append(client.post("/api/v1/agents", json={"name": "in flight"}))
            except httpx.TransportError:
                return  # the listener is closed: this request was not taken

    thread = threading.Thread(target=write)
    thread.start()
    wait_for(lambda: len(answers) > 20, "writes are running")
    assert fresh.stop() == 0
    stop.set()
    thread.join()
    made = {a.json()["id"] for a in answers if a.status_code == 201}
    assert {a.status_code for a in answers} <= {201, 503}
    fresh.start()
    assert made <= {a["id"] for a in tenant.pages("/api/v1/agents")}, "what was answered 201 is there"
