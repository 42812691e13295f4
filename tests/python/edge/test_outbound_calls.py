"""Calls out as they go on: carriers that challenge, how trunks want numbers, the operator's trunks, ends, crashes, the command line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import BINARY, Server, free_port, new_number, ok, wait_for
from receiver import Receiver
from sip import Sipp

sys.path.insert(0, str(Path(__file__).parent))
from outbound_kit import (  # noqa: E402
    CALLED, PLATFORM, Agent, Caller, Challenging, answer_to, calling_number, credentials_of, dial, trunk_to,
)  # fmt: skip


@pytest.fixture(scope="module")
def home(server):
    tenant = server.tenant("home")
    tenant.settings(imports="open")
    return tenant


@pytest.fixture
def carrier():
    with Agent() as party:
        yield party


def cseq(message):
    return int(message.get("cseq").split()[0])


# --- The carrier's side ------------------------------------------------------------------------------------------------------


def test_the_carriers_challenge_is_answered_with_the_trunks_credentials(home, platform):
    with Challenging("gate", "open sesame") as carrier:
        trunk = trunk_to(home, carrier, credentials={"username": "gate", "password": "open sesame"})
        number, login = calling_number(home, trunk)
        call = dial(platform, number, login)
        assert call.final().status == 200, "the platform sees nothing of it"
        asked, told = carrier.got("INVITE")
        assert cseq(told) == cseq(asked) + 1 and asked.get("call-id") == told.get("call-id") == call.id
        call.bye()
        [bye] = carrier.wait("BYE")
        assert cseq(bye) > cseq(told), "strictly rising for the carrier"
        assert home.call_with(number["e164"], "completed")["direction"] == "outbound"
    with Challenging("gate", "another") as carrier:
        trunk = trunk_to(home, carrier, inbound="127.0.0.97", credentials={"username": "gate", "password": "open sesame"})
        number, login = calling_number(home, trunk)
        assert dial(platform, number, login).final().status == 503, "the carrier's question is not the agent's"
        assert home.call_with(number["e164"], "failed")["reason"]


def test_a_trunk_says_how_it_wants_calls(home, carrier, platform):
    form = {"number_format": "plain", "prefix": "77*", "headers": {"X-Telnyx-Token": "abc", "X-Site": "a b"}}
    trunk = trunk_to(home, carrier, **form)
    assert {k: trunk["outbound"][k] for k in form} == form
    number, login = calling_number(home, trunk)
    call = dial(platform, number, login)
    assert call.final().status == 200
    call.bye()
    [invite] = carrier.got("INVITE")
    assert invite.uri.startswith(f"sip:77*{CALLED[1:]}@")
    assert (invite.get("x-telnyx-token"), invite.get("x-site")) == ("abc", "a b")
    assert invite.get("from") == call.from_, "as it was sent"
    # What is not named stays; null clears.
    address = {k: trunk["outbound"][k] for k in ("address", "transport")}
    path = f"/api/v1/providers/{trunk['id']}"
    kept = ok(home.admin.patch(path, json={"outbound": address | {"calls_per_second": 30}}), 200)["outbound"]
    assert (kept["prefix"], kept["headers"], kept["calls_per_second"]) == ("77*", form["headers"], 30)
    cleared = {"prefix": None, "headers": None, "calls_per_second": None, "number_format": "e164"}
    gone = ok(home.admin.patch(path, json={"outbound": address | cleared}), 200)["outbound"]
    assert (gone["prefix"], gone["headers"], gone["calls_per_second"]) == (None, {}, None)
    for wrong in ({"prefix": "a"}, {"headers": {"Via": "x"}}, {"headers": {"X": "a\r\nb"}}, {"calls_per_second": 0},
                  {"number_format": "x"}, {"priority": -1}, {"emergency": None}):  # fmt: skip
        assert home.admin.patch(path, json={"outbound": address | wrong}).status_code in (400, 422), wrong


def test_a_trunk_may_want_the_number_in_from(home, carrier, platform):
    number, (user, password) = calling_number(home, trunk_to(home, carrier, **{"from": "number"}))
    # As registered phones do: the user name stands in From.
    call = dial(platform, user, (user, password))
    assert call.final().status == 200
    host = carrier.address[0]
    [invite] = carrier.got("INVITE")
    assert invite.get("from") == f"<sip:{number['e164']}@{host}>;tag={call.tag}"
    answers = [m for m in platform.received if m.status and m.get("call-id") == call.id]
    assert {m.get("from") for m in answers} == {call.from_}, "the caller finds its own"
    carrier.wait("ACK")
    carrier.send_bye(home.server.sip)
    bye = platform.receive_until(lambda m: m.method == "BYE", 5, "the carrier's BYE")
    platform.send(bye.reply(200, "OK"), platform.peer)
    hidden = dial(platform, "anonymous", (user, password), headers=[("Privacy", "id")])
    assert hidden.final().status == 200
    hidden.bye()
    assert carrier.got("INVITE")[-1].get("from") == hidden.from_
    carrier.how = "busy"
    refused = dial(platform, user, (user, password))
    assert refused.final().get("from") == refused.from_


def test_bought_numbers_go_out_by_the_operators_trunks(server, home, platform):
    operator = server.admin
    with Agent() as first, Agent(503) as second, Agent() as abroad:
        number = home.number(e164=new_number())
        number = home.patch(number, allow_outbound=True)
        login = credentials_of(home, number)
        answer = dial(platform, number, login).final()
        assert answer.status == 403 and "operator" in answer.get("reason")
        made = []
        for party, fields in ((first, {"priority": 20}), (second, {"priority": 5}), (abroad, {"destination_country": "GB", "priority": 1})):
            host, port = party.address
            body = {"kind": "sip_trunk", "label": "out", "outbound": {"address": f"{host}:{port}"} | fields}
            made.append(ok(operator.post("/api/v1/providers", json=body), 201))
        try:
            call = dial(platform, number, login)
            assert call.final().status == 200
            call.bye()
            assert len(second.got("INVITE")) == len(first.got("INVITE")) == 1 and abroad.got("INVITE") == []
            row = home.call_with(number["e164"], "completed")
            assert [a["sip_status"] for a in row["attempts"]] == [503, 200]
            # A trunk for one country comes before those for all.
            home.settings(outbound_countries=["GB", "US"])
            call = dial(platform, number, login, "+442071838750")
            assert call.final().status == 200
            call.bye()
            assert len(abroad.got("INVITE")) == 1
            # Busy is an answer: nobody else is asked.
            second.how = "busy"
            assert dial(platform, number, login).final().status == 486
            assert len(first.got("INVITE")) == 1
        finally:
            home.settings(outbound_countries=None)
            for trunk in made:
                ok(operator.delete(f"/api/v1/providers/{trunk['id']}"))


def test_a_call_that_rings_is_given_up(home, platform):
    with Agent("ring") as carrier:
        number, login = calling_number(home, trunk_to(home, carrier, inbound="127.0.0.96"))
        call = dial(platform, number, login)
        call.response(lambda m: m.status == 180)
        assert call.cancel().status == 200
        assert call.final().status == 487
        carrier.wait("CANCEL")
        row = home.call_with(number["e164"], "cancelled")
        assert (row["direction"], row["sip_status"]) == ("outbound", 487)
        carrier.how = "busy"
        assert dial(platform, number, login).final().status == 486
        assert home.call_with(number["e164"], "busy")["reason"] == "Who was called was busy."


def test_sipp_is_the_carrier(home, platform, tmp_path):
    carrier = Sipp(tmp_path, "agent", calls=3)
    carrier.address = ("127.0.0.1", carrier.port)
    number, login = calling_number(home, trunk_to(home, carrier))
    for count in range(1, 4):
        call = dial(platform, number, login)
        assert call.final().status == 200
        carrier.acknowledged(count)
        call.bye()
    carrier.finish()


# --- Money, time, lists ------------------------------------------------------------------------------------------------------


def test_calls_out_are_metered_ended_and_listed(server, carrier, platform):
    tenant = server.tenant("metered", cents=10_000)
    tenant.settings(imports="open", rate_cents_per_minute=60, max_call_seconds=1)
    agent = tenant.agent()
    endpoint = tenant.endpoint("sip:agent@127.0.0.1:5060", agent=agent)
    number, login = calling_number(tenant, trunk_to(tenant, carrier), endpoint_id=endpoint["id"])
    before = tenant.balance()
    call = dial(platform, number, login)
    assert call.final().status == 200
    # The longest call is over: both sides are told.
    bye = platform.receive_until(lambda m: m.method == "BYE", 8, "a BYE at the agent")
    platform.send(bye.reply(200, "OK"), platform.peer)
    carrier.wait("BYE")
    row = tenant.call_with(number["e164"], "completed")
    assert (row["ended_by"], row["direction"], row["number"]) == ("max_duration", "outbound", number["e164"])
    wait_for(lambda: tenant.balance() < before, "the call is charged")
    tenant.settings(max_call_seconds=60)
    call = dial(platform, number, login)
    assert call.final().status == 200
    row = tenant.call_with(number["e164"], "answered")
    ok(tenant.admin.post(f"/api/v1/calls/{row['id']}/hangup"), 200)
    bye = platform.receive_until(lambda m: m.method == "BYE" and m.get("call-id") == call.id, 8, "a BYE at the agent")
    platform.send(bye.reply(200, "OK"), platform.peer)
    tenant.call_with(number["e164"], "completed")
    outbound = ok(tenant.admin.get("/api/v1/calls", params={"direction": "outbound"}), 200)["data"]
    inbound = ok(tenant.admin.get("/api/v1/calls", params={"direction": "inbound"}), 200)["data"]
    assert (len(outbound), inbound) == (2, [])
    listed = ok(tenant.krosai.get("/v1/calls", params={"direction": "outbound"}), 200)
    rows = listed.get("data", listed.get("calls"))
    assert len(rows) == 2 and {r["direction"] for r in rows} == {"outbound"}
    names = [e["name"] for e in tenant.pages("/api/v1/events") if e["subject"] == row["id"]]
    assert names.count("call.completed") == 1


def test_webhooks_are_told_of_calls_out(fresh):
    fresh.environment = {"TRUNKLINE_OUTGOING_PRIVATE": "allow"}
    tenant = fresh.start().tenant()
    tenant.settings(imports="open")
    with Receiver() as receiver, Agent() as carrier, Caller(fresh.sip, host=PLATFORM) as agent:
        ok(tenant.admin.post("/api/v1/webhooks", json={"url": receiver.url, "events": ["*"]}), 201)
        number, login = calling_number(tenant, trunk_to(tenant, carrier))
        call = dial(agent, number, login)
        assert call.final().status == 200
        call.bye()
        for event in ("call.started", "call.completed"):
            [told] = receiver.wait(event=event)
            assert told.json["data"]["call"]["direction"] == "outbound"


def test_an_agent_that_may_not_transfer_cannot_refer_its_call(home, carrier, platform):
    endpoint = home.endpoint("sip:agent@127.0.0.1:5060", allow_transfer=False)
    number, login = calling_number(home, trunk_to(home, carrier), endpoint_id=endpoint["id"])
    call = dial(platform, number, login)
    assert call.final().status == 200
    assert call.ask("REFER", headers=[("Refer-To", "<sip:+4912345@x>")]).status == 603
    assert carrier.got("REFER") == []
    call.bye()


# --- Crashes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["agent", "carrier"])
def test_a_call_out_outlives_kill_and_restart(fresh, who):
    tenant = fresh.start().tenant()
    tenant.settings(imports="open")
    with Challenging("gate", "sesame") as carrier, Caller(fresh.sip, host=PLATFORM) as agent:
        trunk = trunk_to(tenant, carrier, credentials={"username": "gate", "password": "sesame"})
        number, login = calling_number(tenant, trunk)
        call = dial(agent, number, login)
        assert call.final().status == 200
        carrier.wait("ACK")
        fresh.kill()
        fresh.start()
        if who == "agent":
            call.bye(repeats=5)
            [bye] = carrier.wait("BYE")
            assert cseq(bye) > cseq(carrier.got("INVITE")[-1])
        else:
            carrier.send_bye(fresh.sip)
            bye = agent.receive_until(lambda m: m.method == "BYE", 5, "the carrier's BYE")
            agent.send(bye.reply(200, "OK"), agent.peer)
        row = tenant.call_with(number["e164"], "completed")
        assert row["ended_by"] == {"agent": "caller", "carrier": "callee"}[who] and len(tenant.calls(number["e164"])) == 1


def test_a_days_calls_count_on_after_a_crash(fresh):
    tenant = fresh.start().tenant()
    tenant.settings(imports="open", outbound_number_calls_per_day=2)
    with Agent() as carrier, Caller(fresh.sip, host=PLATFORM) as agent:
        number, login = calling_number(tenant, trunk_to(tenant, carrier))
        dial(agent, number, login).final()
        call = dial(agent, number, login)
        assert call.final().status == 200
        fresh.kill()
        fresh.start()
        answer = dial(agent, number, login).final()
        assert answer.status == 503 and int(answer.get("retry-after")) > 1, answer
        call.bye(repeats=5)
        # Those that were refused count for nothing.
        tenant.settings(outbound_number_calls_per_day=3)
        assert dial(agent, number, login).final().status == 200


# --- The command line, and the simulation ------------------------------------------------------------------------------------


def run(*arguments, folder, seconds=30, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRUNKLINE_")}
    done = subprocess.run(
        [str(a) for a in (BINARY, *arguments)], cwd=folder, env=clean | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_call_out_by_the_command_line(home, tmp_path):
    port = free_port()
    with open(tmp_path / "echo", "wb") as out:
        echo = subprocess.Popen(
            [BINARY, "echo-agent", "--sip", f"udp:127.0.0.1:{port}"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        side = {"kind": "sip_trunk", "label": "echo", "outbound": {"address": f"127.0.0.1:{port}"}}
        number, (user, password) = calling_number(home, ok(home.admin.post("/api/v1/providers", json=side), 201))
        how = ("--via", f"127.0.0.1:{home.server.sip_port}", "--from", number["e164"], "--user", user, "--seconds", "0.2")
        code, out, err = run("call", CALLED, *how, folder=tmp_path, TRUNKLINE_SIP_PASSWORD=password)
        assert code == 0 and "407" in out and "200" in out, out + err
        code, out, _ = run("call", CALLED, *how, "--password", "wrong", folder=tmp_path)
        assert code == 3 and "407" in out, out
        key, url = home.key("native"), home.server.url
        code, out, err = run("explain", number["e164"], "--to", CALLED, "--url", url, "--key", key, folder=tmp_path)
        assert code == 0 and f"sip:{CALLED}@127.0.0.1:{port}" in out, out + err
        code, out, _ = run("explain", number["e164"], "--to", "911", "--url", url, "--key", key, folder=tmp_path)
        assert code == 8 and "mergency" in out
        wait_for(lambda: {c["status"] for c in home.calls(number["e164"])} == {"completed", "refused"}, "two rows")
    finally:
        echo.send_signal(signal.SIGTERM)
        assert echo.wait(15) == 0


def test_people_answer_in_a_simulation(tmp_path):
    server = Server(tmp_path, arguments=["--sim"]).start()
    try:
        tenant = server.tenant()
        stock = ok(server.admin.get("/api/v1/stock", params={"country": "US", "limit": 1}), 200)["data"][0]
        number = ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": stock["id"]}), 201)
        number = tenant.patch(number, allow_outbound=True)
        login = credentials_of(tenant, number)
        with Caller(server.sip, host=PLATFORM) as agent:
            for ending, status in (("123", 200), ("486", 486), ("404", 404), ("603", 603)):
                call = dial(agent, number, login, f"+12125550{ending}")
                assert call.final().status == status, ending
                if status == 200:
                    call.bye()
            call = dial(agent, number, login, "+12125550480")
            call.response(lambda m: m.status == 180)
            call.cancel()
            assert call.final().status == 487
        wait_for(lambda: len([c for c in tenant.calls(number["e164"]) if c["ended_at"]]) == 5, "five calls are over")
        assert {c["direction"] for c in tenant.calls(number["e164"])} == {"outbound"}
    finally:
        assert server.stop() == 0
