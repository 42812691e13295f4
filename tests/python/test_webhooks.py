"""Webhooks through both APIs that have them, against a real receiver: what is sent, signed, sent again, and what is not sent."""

import re
import time
import uuid
from datetime import datetime

import pytest
from harness import Server, credential, free_port, new_number, ok, wait_for
from receiver import Receiver
from sip import Agent, Caller
from stores import tells
from webhooks_kit import (
    ALLOWED, EVENTS, MINUTE, NOBODY, WAITS, advance, carrier, gone, krosai_hook, log_of, native_hook, other, receiver, refused, server, simulated,
)


# --- What is sent ------------------------------------------------------------------------------------------------------------


def test_a_purchase_and_a_release_are_told_in_the_vendors_form(carrier, receiver):
    hook = krosai_hook(carrier, receiver.url, "number.provisioned", "number.released")
    number = carrier.number()
    [told] = receiver.wait(1)
    told.assert_signed(hook["secret"])
    body = told.json
    assert set(body) == {"id", "event", "timestamp", "data"} and body["event"] == "number.provisioned"
    uuid.UUID(body["id"])
    assert datetime.fromisoformat(body["timestamp"]).tzinfo
    assert body["data"]["phone_number_id"] == number["id"] and body["data"]["e164"] == number["e164"]
    ok(carrier.krosai.delete(f"/v1/phone-numbers/{number['id']}", params={"action": "release"}), 200)
    assert receiver.wait(2)[1].json["event"] == "number.released"
    [last, first] = ok(carrier.krosai.get(f"/v1/webhooks/{hook['id']}/deliveries"), 200)
    assert (first["id"], first["event"], first["status"], first["attempts"]) == (body["id"], "number.provisioned", "delivered", 1)
    assert first["response_status"] == 200 and first["error"] is None and first["next_attempt_at"] is None
    assert last["event"] == "number.released"
    gone(carrier, hook)


def test_a_number_that_can_be_used_again_is_provisioned_and_one_given_up_is_released_once(carrier, other, receiver):
    assert other.id != carrier.id, "where there are several tenants the operator agrees to what is brought in"
    hook = krosai_hook(carrier, receiver.url, "number.provisioned", "number.released")
    told = lambda: [r.json["event"] for r in receiver.quiet()]
    endpoint = carrier.endpoint("sip:127.0.0.1:9")
    body = {"e164": new_number(), "provider_id": carrier.its_trunk["id"], "endpoint_id": endpoint["id"]}
    waiting = ok(carrier.native.post("/api/v1/numbers", json=body), 201)
    assert (waiting["status"], told()) == ("pending", [])
    assert carrier.patch(waiting, status="active")["status"] == "active"
    assert told() == ["number.provisioned"]
    carrier.patch(waiting, status="inactive")
    carrier.patch(waiting, status="active")
    assert told() == ["number.provisioned"], "it was provisioned before"
    ported = ok(carrier.native.post("/api/v1/numbers", json=body | {"e164": new_number(), "port_in": True}), 201)
    assert ported["status"] == "port_in"
    carrier.patch(ported, status="active")
    assert told() == ["number.provisioned"] * 2
    bought = carrier.number()
    path = f"/api/v1/numbers/{bought['id']}"
    ok(carrier.native.delete(path), 200)
    ok(carrier.native.post(f"{path}/restore"), 200)
    assert told()[2:] == ["number.provisioned", "number.released", "number.provisioned"]
    ok(carrier.native.delete(path), 200)
    ok(carrier.native.delete(path, params={"permanent": "true"}), 204)
    assert told()[5:] == ["number.released"], "what was released is not released once more"
    ok(carrier.native.delete(f"/api/v1/numbers/{waiting['id']}", params={"permanent": "true"}), 204)
    assert told()[6:] == ["number.released"], "what was held is"
    gone(carrier, hook)


@pytest.mark.parametrize("outcome", ["ok", "fail"])
def test_a_number_is_provisioned_once_it_can_be_used(simulated, receiver, outcome):
    tenant, admin = simulated.tenant("provisioned"), simulated.admin
    krosai, native = krosai_hook(tenant, receiver.url + "/krosai"), native_hook(tenant, receiver.url + "/native")
    [row] = ok(admin.post("/sim/stock", json={"country": "CA", "type": "local", "count": 1}), 201)["data"]
    ok(admin.post("/sim/purchases", json={"e164": row["e164"], "outcome": "pending"}), 204)
    number = ok(tenant.native.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
    assert number["status"] == "pending"
    receiver.wait(1, event="number.purchased")
    ok(admin.post(f"/sim/purchases/{row['e164']}/settle", json={"outcome": outcome}), 204)
    receiver.wait(1, event="number.activated" if outcome == "ok" else "number.purchase_failed")
    told = [r for r in receiver.quiet() if r.path == "/hook/krosai"]
    assert [r.json["event"] for r in told] == (["number.provisioned"] if outcome == "ok" else [])
    for one in told:
        one.assert_signed(krosai["secret"])
        assert one.json["data"]["e164"] == number["e164"]
    assert native["secret"] != krosai["secret"]


def test_the_native_api_tells_every_event_of_the_log(carrier, receiver):
    hook = native_hook(carrier, receiver.url)
    agent = ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
    number = ok(carrier.native.post("/api/v1/numbers", json={"stock_id": carrier.server.stock()["id"]}), 201)
    ok(carrier.native.patch(f"/api/v1/numbers/{number['id']}", json={"label": "front"}), 200)
    told = receiver.wait(4)
    for one in told:
        one.assert_signed(hook["secret"])
    # The first thing that one which wants everything hears of is its own making.
    assert [t.json["event"] for t in told] == ["webhook.created", "agent.created", "number.purchased", "number.updated"]
    made = next(t.json for t in told if t.json["event"] == "agent.created")
    assert made["data"]["subject"] == agent["id"] and made["data"]["actor"] == "key" and made["data"]["number"] is None
    bought = next(t.json for t in told if t.json["event"] == "number.purchased")["data"]
    assert bought["number"]["e164"] == number["e164"] and bought["organization_id"] == carrier.id
    logged = {e["id"]: e["name"] for e in carrier.pages("/api/v1/events")}
    for one in told:
        assert logged[one.json["id"]] == one.json["event"], "an event is sent under the id that it has in the log"
    gone(carrier, hook)


@pytest.mark.parametrize("how", ["answer", "busy"])
def test_a_call_is_told_to_begin_and_to_end_once(carrier, receiver, how):
    hooks = [krosai_hook(carrier, receiver.url + "/krosai"), native_hook(carrier, receiver.url + "/native", "call.started", "call.completed", "call.busy")]
    with Agent(how) as agent, Caller(carrier.server.sip) as caller:
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        call = caller.invite(number["e164"])
        status = call.final().status
        if how == "answer":
            assert status == 200
            receiver.wait(2, event="call.started")
            call.bye()
        else:
            assert status == 486
    row = carrier.call_with(number["e164"], "completed" if how == "answer" else "busy")
    receiver.wait(5)
    calls = [r for r in receiver.quiet() if r.json["event"].startswith("call.")]
    by_path = {path: [r.json for r in calls if r.path == f"/hook/{path}"] for path in ("krosai", "native")}
    end = "call.completed" if how == "answer" else "call.failed"
    assert [b["event"] for b in by_path["krosai"]] == ["call.started", end]
    started, ended = (b["data"] for b in by_path["krosai"])
    assert set(ended) >= {
        "call_id", "direction", "from_number", "to_number", "duration", "cost_cents", "hangup_cause", "recording_url", "transcript", "metadata",
    }  # fmt: skip
    assert started["call_id"] == ended["call_id"] == row["id"] and started["hangup_cause"] is None
    assert ended["hangup_cause"] == ("user_hangup" if how == "answer" else "busy")
    assert ended["to_number"] == number["e164"] and "+12125550100" in ended["from_number"]
    assert ended["recording_url"] is None and ended["transcript"] is None
    assert [b["event"] for b in by_path["native"]] == ["call.started", "call.completed" if how == "answer" else "call.busy"]
    told = by_path["native"][1]["data"]["call"]
    assert told["id"] == row["id"] and told["status"] == row["status"] and told["duration_seconds"] == row["duration_seconds"]
    assert {b["id"] for b in by_path["native"]} == {b["id"] for b in by_path["krosai"]}, "one event, one id"
    for hook in hooks:
        gone(carrier, hook)


def test_a_call_that_reached_no_number_is_told_to_nobody(carrier, receiver):
    hook = native_hook(carrier, receiver.url, "call.started", "call.refused")
    with Caller(carrier.server.sip) as caller:
        assert caller.invite("+14155559999").final().status == 404
        number = carrier.number(trunk=carrier.its_trunk)
        assert caller.invite(number["e164"]).final().status == 480
    told = receiver.wait(2)
    told = receiver.quiet()
    assert [(t.json["event"], t.json["data"]["call"]["number"]) for t in told] == [
        ("call.started", number["e164"]), ("call.refused", number["e164"]),
    ]  # fmt: skip
    gone(carrier, hook)


def test_only_what_is_wanted_is_sent_and_nothing_while_it_is_off(carrier, receiver):
    hook = native_hook(carrier, receiver.url, "agent.deleted", active=False)
    path = f"/api/v1/webhooks/{hook['id']}"

    def dissolved():
        agent = ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        assert carrier.native.delete(f"/api/v1/agents/{agent['id']}").status_code == 204
        return agent["id"]

    dissolved()
    assert ok(carrier.native.patch(path, json={"active": True}), 200)["active"] is True
    seen = dissolved()
    assert [t.json["data"]["subject"] for t in receiver.wait(1)] == [seen]
    ok(carrier.native.patch(path, json={"events": ["agent.created"]}), 200)
    dissolved()
    assert [t.json["event"] for t in receiver.wait(2)][1] == "agent.created"
    assert len(receiver.quiet()) == 2
    gone(carrier, hook)
    dissolved()
    assert len(receiver.quiet()) == 2


def test_a_low_balance_is_told(server, receiver):
    tenant = server.tenant("poor", cents=1_000)
    tenant.settings(balance_low_cents=500)
    hook = krosai_hook(tenant, receiver.url, "balance.low")
    ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": server.stock(setup=400, monthly=300)["id"]}), 201)
    [told] = receiver.wait(1)
    told.assert_signed(hook["secret"])
    assert told.json["event"] == "balance.low" and told.json["data"]["balance_cents"] == 300


# --- Sent again --------------------------------------------------------------------------------------------------------------


def test_what_is_refused_is_sent_again_by_the_schedule_and_then_given_up(simulated):
    tenant = simulated.tenant("patient")
    with Receiver(500) as receiver:
        hook = native_hook(tenant, receiver.url, "agent.created")
        ok(tenant.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        for count, wait in enumerate(WAITS, start=1):
            receiver.wait(count)
            waiting = wait_for(lambda c=count: log_of(tenant, hook)[0]["attempts"] == c and log_of(tenant, hook)[0], "it is written")
            assert waiting["status"] == "waiting" and waiting["response_status"] == 500
            assert waiting["error"] == "the receiver said no"
            due, last = (datetime.fromisoformat(waiting[f]) for f in ("next_attempt_at", "last_attempt_at"))
            assert (due - last).total_seconds() == wait
            advance(simulated, wait - 25)
            assert len(receiver.quiet()) == count, "too early"
            advance(simulated, 26)
        receiver.wait(5)
        over = wait_for(lambda: log_of(tenant, hook)[0]["status"] == "given_up" and log_of(tenant, hook)[0], "it is given up")
        assert (over["attempts"], over["next_attempt_at"]) == (5, None) and over["over_at"]
        advance(simulated, 24 * 60 * MINUTE)
        told = receiver.quiet()
        assert len(told) == 5 and len({t.body for t in told}) == 1, "the same body each time"
        # Asked for again, it goes at once, under the same id.
        receiver.answer = 204
        again = ok(tenant.native.post(f"/api/v1/webhooks/{hook['id']}/deliveries/{over['id']}/retry"), 202)
        assert again["status"] == "waiting" and again["attempts"] == 0
        assert receiver.wait(6)[5].body == told[0].body
        wait_for(lambda: log_of(tenant, hook)[0]["status"] == "delivered", "it is delivered")


def test_what_was_sent_is_kept_for_thirty_days(simulated):
    tenant = simulated.tenant("old")
    with Receiver() as receiver:
        hook = native_hook(tenant, receiver.url, "agent.created")
        ok(tenant.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        wait_for(lambda: [d["status"] for d in log_of(tenant, hook)] == ["delivered"], "it is delivered")
        advance(simulated, 29 * 24 * 60 * MINUTE)
        ok(tenant.native.post("/api/v1/agents", json={"name": "Eve"}), 201)
        wait_for(lambda: [d["status"] for d in log_of(tenant, hook)] == ["delivered"] * 2, "both are there")
        advance(simulated, 24 * 60 * MINUTE + 61)
        wait_for(lambda: len(log_of(tenant, hook)) == 1, "the first is gone, the second is not")


def test_nothing_is_lost_when_the_process_is_killed(tmp_path):
    server = Server(tmp_path, arguments=["--sim"]).start()
    try:
        tenant = server.tenant()
        with Receiver(503) as receiver:
            hook = native_hook(tenant, receiver.url, "agent.created")
            ok(tenant.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
            receiver.wait(1)
            wait_for(lambda: log_of(tenant, hook)[0]["attempts"] == 1, "the attempt is written")
        # Now nobody listens, and the process is killed between two attempts, and with an event that was not tried.
        ok(tenant.native.post("/api/v1/agents", json={"name": "Eve"}), 201)
        server.kill()
        server.start()
        with Receiver(port=receiver.port) as receiver:
            advance(server, 2 * MINUTE)
            told = receiver.wait(2)
            assert {t.json["data"]["subject"] for t in told} == {a["id"] for a in tenant.pages("/api/v1/agents")}
            for one in told:
                one.assert_signed(hook["secret"])
            wait_for(lambda: {d["status"] for d in log_of(tenant, hook)} == {"delivered"}, "both are delivered")
            assert len(receiver.quiet()) == 2
    finally:
        server.stop()


def test_killed_while_it_sends_it_sends_again_under_the_same_id(tmp_path):
    server = Server(tmp_path, environment=ALLOWED).start()
    try:
        tenant = server.tenant()
        with Receiver(lambda _: None) as receiver:
            native_hook(tenant, receiver.url, "agent.created")
            ok(tenant.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
            [first] = receiver.wait(1)
            server.kill()
        with Receiver(port=receiver.port) as receiver:
            server.start()
            [second] = receiver.wait(1)
            assert second.body == first.body
            assert len(receiver.quiet()) == 1
    finally:
        server.stop()


def test_a_call_over_a_killed_process_is_told_once(fresh):
    fresh.environment = ALLOWED
    fresh.start()
    tenant = fresh.tenant()
    trunk = tenant.trunk("127.0.0.1")
    with Receiver() as receiver, Agent() as agent, Caller(fresh.sip) as caller:
        krosai_hook(tenant, receiver.url)
        number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        # What was not in the store yet is in the journal, and is told when it is brought there.
        fresh.kill()
        fresh.start()
        call.bye()
        tenant.call_with(number["e164"], "completed")
        receiver.wait(3)
        told = [r.json for r in receiver.quiet()]
        by_id = {t["id"]: t["event"] for t in told}
        # A delivery that was under way when the process was killed may come twice, under one id.
        assert sorted(e for e in by_id.values() if e.startswith("call.")) == ["call.completed", "call.started"]


def test_a_slow_receiver_holds_up_nobody_else(carrier, other):
    with Receiver(lambda _: None) as slow, Receiver() as quick:
        slow_hooks = [native_hook(carrier, slow.url, "agent.created") for _ in range(6)]
        quick_hook = native_hook(other, quick.url, "agent.created")
        ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        slow.wait(4)
        ok(other.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        assert quick.wait(1, seconds=3)
        # Of one organization's only a few are under way, so that others have room.
        assert len(slow.quiet()) == 4
        failed = wait_for(lambda: next((d for h in slow_hooks for d in log_of(carrier, h) if d["attempts"]), None), "the deadline", 14)
        assert failed["status"] == "waiting" and failed["response_status"] is None and "10 s" in failed["error"]
        for hook in slow_hooks:
            gone(carrier, hook)
        gone(other, quick_hook)


def test_receivers_that_hang_hold_up_no_other_tenant(server):
    """As many as there are places for those of one organization, in more organizations than there are places in all for those that hang."""
    with Receiver(lambda _: None) as hanging, Receiver() as quick:
        bad = [server.tenant(f"hangs {n}") for n in range(20)]
        for tenant in bad:
            for _ in range(4):
                native_hook(tenant, hanging.url, "agent.created")
        good = server.tenant("good")
        native_hook(good, quick.url, "agent.created")
        for tenant in bad:
            tenant.agent("Ada")
            tenant.agent("Eve")
        hanging.wait(4 * 15, seconds=10)
        # At once, while all of them hang, and after all of them have failed.
        for count in range(1, 4):
            good.agent(f"A{count}")
            quick.wait(count, seconds=3)
            time.sleep(4)
        for tenant in bad:
            for hook in tenant.pages("/api/v1/webhooks"):
                gone(tenant, hook)


def test_a_receiver_that_hangs_holds_up_no_other_of_its_tenant_for_long(simulated):
    tenant = simulated.tenant("one")
    with Receiver(lambda _: None) as hanging, Receiver() as quick:
        hooks = [native_hook(tenant, hanging.url, "agent.created") for _ in range(4)]
        native_hook(tenant, quick.url, "agent.created")
        for count in range(8):
            tenant.agent(f"A{count}")
        quick.wait(8, seconds=14)
        assert [log_of(tenant, hook)[0]["attempts"] for hook in hooks] == [1] * 4
        assert len(hanging.quiet()) == 4, "those that failed rest whole"
        # A change is tried at once.
        with Receiver() as moved:
            ok(tenant.native.patch(f"/api/v1/webhooks/{hooks[0]['id']}", json={"url": moved.url}), 200)
            moved.wait(7, seconds=3)
        # When they are tried again there is room beside them.
        advance(simulated, MINUTE)
        hanging.wait(6)
        tenant.agent("late")
        quick.wait(9, seconds=3)
        assert len(hanging.requests) == 6


def test_after_a_rest_what_was_not_tried_yet_comes_in_order(simulated):
    tenant = simulated.tenant("rests")
    with Receiver(lambda count: 500 if count == 1 else 200) as receiver:
        native_hook(tenant, receiver.url, "agent.created")
        first = tenant.agent("first")["id"]
        receiver.wait(1)
        later = [tenant.agent(f"A{n}")["id"] for n in range(3)]
        assert len(receiver.quiet()) == 1, "nothing passes the one that failed while it rests"
        advance(simulated, MINUTE)
        assert [r.json["data"]["subject"] for r in receiver.wait(5)] == [first, *later, first]


def test_a_redirect_is_not_followed(carrier, receiver):
    with Receiver(lambda _: (302, {"location": receiver.url})) as elsewhere:
        hook = native_hook(carrier, elsewhere.url, "agent.created")
        ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        elsewhere.wait(1)
        failed = wait_for(lambda: next((d for d in log_of(carrier, hook) if d["attempts"]), None), "the attempt is written")
        assert (failed["status"], failed["response_status"]) == ("waiting", 302)
        assert receiver.quiet() == []
        gone(carrier, hook)


def test_of_an_answer_only_the_beginning_is_read(carrier):
    with Receiver(lambda _: (500, {}, b"no\r\n\x00" + "ä".encode() * 20_000_000)) as wordy:
        hook = native_hook(carrier, wordy.url, "agent.created")
        ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
        failed = wait_for(lambda: next((d for d in log_of(carrier, hook) if d["attempts"]), None), "the attempt is written")
        assert failed["error"].startswith("no   ä") and len(failed["error"].encode()) <= 200
        gone(carrier, hook)


def test_nobody_listening_is_told_in_the_log(carrier):
    hook = native_hook(carrier, f"http://127.0.0.1:{free_port()}/", "agent.created")
    ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
    failed = wait_for(lambda: next((d for d in log_of(carrier, hook) if d["attempts"]), None), "the attempt is written")
    assert failed["status"] == "waiting" and failed["error"].startswith("No connection")
    gone(carrier, hook)


# --- Where to ----------------------------------------------------------------------------------------------------------------


def test_a_tenant_does_not_reach_the_operators_own_network(tmp_path):
    server = Server(tmp_path, environment=ALLOWED).start()
    try:
        tenant = server.tenant()
        with Receiver() as receiver:
            hook = native_hook(tenant, receiver.url, "agent.created")
            server.stop()
            # Nothing is said: also a service that listens on loopback alone has tenants who are not its operator.
            server.environment = {}
            server.start()
            # One that was made before is held against the rule when something is sent.
            ok(tenant.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
            failed = wait_for(lambda: next((d for d in log_of(tenant, hook) if d["attempts"]), None), "the attempt is written")
            assert failed["response_status"] is None and "public address" in failed["error"]
            for url in (
                receiver.url, f"http://localhost:{receiver.port}/", f"http://[::1]:{receiver.port}/", "http://10.0.0.1/",
                f"http://[::ffff:127.0.0.1]:{receiver.port}/", f"http://2130706433:{receiver.port}/", "http://169.254.169.254/latest/meta-data",
                f"http://127.1:{receiver.port}/", f"http://0x7f000001:{receiver.port}/",
            ):  # fmt: skip
                body = refused(tenant.native.post("/api/v1/webhooks", json={"url": url, "events": ["*"]}), 422, "invalid")
                assert body["field"] == "url", url
                refused(tenant.krosai.post("/v1/webhooks", json={"url": url}), 400, "INVALID_PARAMETER")
                refused(tenant.native.patch(f"/api/v1/webhooks/{hook['id']}", json={"url": url}), 422, "invalid")
            assert receiver.quiet() == []
            native_hook(tenant, "https://example.com/hook", "agent.updated")
    finally:
        server.stop()


def test_a_key_has_nothing_sent_that_it_may_not_read(server, tenant, receiver):
    def holder(*rights, dialect="native", role="owner"):
        return server.api(credential(dialect, tenant.key(dialect, role, scopes=rights)))

    own, kros = "/api/v1/webhooks", "/v1/webhooks"
    narrow, kros_narrow = holder("webhooks:write"), holder("webhooks:write", dialect="krosai")
    for events, right in ((["call.completed"], "calls:read"), (["number.updated"], "numbers:read"), (["balance.low"], "billing:read"),
                          (["key.created"], "api-keys:read"), (["*"], ":read")):  # fmt: skip
        body = refused(narrow.post(own, json={"url": receiver.url, "events": events}), 403, "forbidden")
        assert right in body["detail"], body
    for body in ({}, {"events": ["call.started"]}, {"events": ["number.provisioned"]}, {"events": ["balance.low"]}):
        refused(kros_narrow.post(kros, json={"url": receiver.url} | body), 403, "INSUFFICIENT_SCOPE")
    calls, kros_calls = holder("webhooks:write", "calls:read"), holder("webhooks:write", "calls:read", dialect="krosai")
    mine = ok(calls.post(own, json={"url": receiver.url, "events": ["call.completed"]}), 201)
    refused(calls.post(own, json={"url": receiver.url, "events": ["*"]}), 403)
    gone(tenant, ok(kros_calls.post(kros, json={"url": receiver.url, "events": ["call.started", "call.failed"]}), 201))
    # No more by a change than by a new one, be it another address for what others wanted.
    full = native_hook(tenant, receiver.url, "call.completed", "agent.created")
    kros_full = krosai_hook(tenant, receiver.url, "number.provisioned")
    for change in ({"events": ["agent.created"]}, {"events": ["*"]}):
        refused(calls.patch(f"{own}/{mine['id']}", json=change), 403)
    refused(narrow.patch(f"{own}/{full['id']}", json={"url": receiver.url + "/mine"}), 403)
    refused(kros_narrow.patch(f"{kros}/{kros_full['id']}", json={"url": receiver.url + "/mine"}), 403, "INSUFFICIENT_SCOPE")
    assert ok(tenant.native.get(f"{own}/{full['id']}"), 200) == full
    ok(narrow.patch(f"{own}/{full['id']}", json={"active": False}), 200)
    ok(calls.patch(f"{own}/{mine['id']}", json={"url": receiver.url + "/mine"}), 200)
    # What bodies are signed with is for those who write webhooks.
    reader = holder("webhooks:read", "calls:read", "numbers:read")
    assert "secret" not in ok(reader.get(f"{own}/{full['id']}"), 200)
    kros_reader = holder("webhooks:read", dialect="krosai")
    assert "secret" not in ok(kros_reader.get(f"{kros}/{kros_full['id']}"), 200)
    assert ok(narrow.get(f"{own}/{full['id']}"), 200)["secret"] == full["secret"]
    for hook in (mine, full, kros_full):
        gone(tenant, hook)


def test_secrets_and_callers_are_in_no_log_and_in_no_other_answer(fresh):
    fresh.environment = {"RUST_LOG": "debug,hyper=info,h2=info,reqwest=debug"} | ALLOWED
    fresh.start()
    tenant = fresh.tenant()
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    # One that fails rests, so the first event is taken: then the call's comes at once.
    with Receiver(lambda count: 200 if count == 1 else 500) as receiver, Agent() as agent, Caller(fresh.sip) as caller:
        url = receiver.url + "/token-in-the-path"
        hook = krosai_hook(tenant, url)
        number = tenant.number(trunk=tenant.its_trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        receiver.wait(2)
        assert hook["secret"].startswith("whsec_") and len(hook["secret"]) > 40
        # Shown to owners and admins, one at a time; to nobody else.
        path = f"/v1/webhooks/{hook['id']}"
        for role in ("owner", "admin"):
            assert ok(tenant.client("krosai", role).get(path), 200)["secret"] == hook["secret"]
        for role in ("member", "viewer"):
            assert "secret" not in ok(tenant.client("krosai", role).get(path), 200)
        for answer in (tenant.krosai.get("/v1/webhooks"), tenant.admin.get("/api/v1/events"), tenant.krosai.get(path + "/deliveries")):
            assert hook["secret"] not in answer.text
    fresh.stop()
    log = fresh.log.read_text(errors="replace")
    assert "whsec_" not in log and "token-in-the-path" not in log and "+12125550100" not in log
    assert not tells(fresh.store.contents(), hook["secret"]), "the secret is sealed in the store"


# --- The contracts -----------------------------------------------------------------------------------------------------------


def test_a_webhook_of_krosai_is_made_read_changed_and_removed(carrier):
    made = krosai_hook(carrier, "https://example.com/hook", "call.completed", "call.recording.ready")
    assert set(made) == {"id", "url", "secret", "events", "active", "organization_id", "created_at", "updated_at"}
    assert made["active"] is True and made["organization_id"] == carrier.id
    assert made["events"] == ["call.completed", "call.recording.ready"]
    path = f"/v1/webhooks/{made['id']}"
    assert ok(carrier.krosai.get(path), 200) == made
    listed = {k: v for k, v in made.items() if k != "secret"}
    assert listed in ok(carrier.krosai.get("/v1/webhooks"), 200)
    assert ok(carrier.krosai.patch(path, json={k: made[k] for k in ("url", "events", "active")}), 200) == made
    changed = ok(carrier.krosai.patch(path, json={"active": False, "url": "https://example.com/b", "events": ["balance.low"]}), 200)
    assert (changed["active"], changed["url"], changed["events"]) == (False, "https://example.com/b", ["balance.low"])
    assert changed["secret"] == made["secret"] and changed["updated_at"] > made["updated_at"]
    assert set(krosai_hook(carrier, "https://example.com/all")["events"]) == EVENTS
    # The native API has its own.
    assert carrier.native.get(f"/api/v1/webhooks/{made['id']}").status_code == 404
    assert made["id"] not in carrier.native.get("/api/v1/webhooks").text
    assert carrier.krosai.delete(path).status_code == 204
    refused(carrier.krosai.get(path), 404, "WEBHOOK_NOT_FOUND")
    refused(carrier.krosai.delete(path), 404, "WEBHOOK_NOT_FOUND")
    refused(carrier.krosai.get(path + "/deliveries"), 404, "WEBHOOK_NOT_FOUND")
    for hook in ok(carrier.krosai.get("/v1/webhooks"), 200):
        gone(carrier, hook)


def test_lists_of_krosai_page_by_limit_and_offset(other):
    made = [krosai_hook(other, f"https://example.com/{n}")["id"] for n in range(3)]
    ids = lambda **query: [h["id"] for h in ok(other.krosai.get("/v1/webhooks", params=query), 200)]
    assert ids() == made[::-1] and ids(limit=1) == made[:1:-1] and ids(limit=2, offset=1) == made[1::-1] and ids(offset=9) == []
    for wrong in ({"limit": 0}, {"limit": 101}, {"offset": -1}, {"limit": "x"}):
        refused(other.krosai.get("/v1/webhooks", params=wrong), 400, "INVALID_PARAMETER")
    for hook in ok(other.krosai.get("/v1/webhooks"), 200):
        gone(other, hook)


def test_a_native_webhook_has_a_version(carrier):
    answer = carrier.native.post("/api/v1/webhooks", json={"url": "https://example.com/hook", "events": ["*"]})
    made, tag = ok(answer, 201), answer.headers["etag"]
    assert answer.headers["location"] == f"/api/v1/webhooks/{made['id']}" and answer.headers["cache-control"] == "no-store"
    path = f"/api/v1/webhooks/{made['id']}"
    changed = carrier.native.patch(path, json={"active": False}, headers={"if-match": tag})
    assert ok(changed, 200)["active"] is False and changed.headers["etag"] != tag
    refused(carrier.native.patch(path, json={"active": True}, headers={"if-match": tag}), 412, "stale")
    refused(carrier.native.delete(path, headers={"if-match": tag}), 412, "stale")
    same = carrier.native.patch(path, json={"active": False})
    assert same.headers["etag"] == changed.headers["etag"], "nothing changed"
    assert carrier.native.delete(path, headers={"if-match": changed.headers["etag"]}).status_code == 204
    # The operator acts for an organization that it names, and for none otherwise.
    body = refused(carrier.server.admin.get("/api/v1/webhooks"), 422, "missing")
    assert "x-organization-id" in body["detail"]
    refused(carrier.server.admin.post("/api/v1/webhooks", json={"url": "https://a.b", "events": ["*"]}), 422, "missing")
    assert ok(carrier.admin.get("/api/v1/webhooks"), 200)["data"] == ok(carrier.native.get("/api/v1/webhooks"), 200)["data"]


@pytest.mark.parametrize("api", ["krosai", "native"])
def test_each_field_of_a_change_is_absent_null_valid_or_wrong(carrier, api):
    make, base = (krosai_hook, "/v1/webhooks") if api == "krosai" else (native_hook, "/api/v1/webhooks")
    client, status = carrier.client(api), 400 if api == "krosai" else 422
    hook = make(carrier, "https://example.com/a", "call.completed")
    path = f"{base}/{hook['id']}"
    assert ok(client.patch(path, json={}), 200) == hook
    for field, valid, wrong in (
        ("url", "https://example.com/b", [7, "", "ftp://a.b", "https://u:p@a.b", "x" * 3_000, "https://a.b/#c"]),
        ("events", ["call.started"], ["call.started", [], ["call.ringing"], [7], {"a": 1}]),
        ("active", False, ["no", 1, {}]),
    ):  # fmt: skip
        for bad in [*wrong, None]:
            refused(client.patch(path, json={field: bad}), status)
        assert ok(client.patch(path, json={field: valid}), 200)[field] == valid
    gone(carrier, hook)
    for missing in ({}, {"events": ["call.started"]}, {"url": None, "events": ["call.started"]}):
        refused(client.post(base, json=missing), status, "MISSING_FIELDS" if api == "krosai" else "missing")


def test_webhooks_are_the_tenants_own_and_need_the_right(carrier, other):
    for api, make, base in (("krosai", krosai_hook, "/v1/webhooks"), ("native", native_hook, "/api/v1/webhooks")):
        hook = make(carrier, "https://example.com/hook", "call.completed")
        path = f"{base}/{hook['id']}"
        theirs = other.client(api)
        for send in (theirs.get, theirs.delete, lambda p, c=theirs: c.patch(p, json={"active": False})):
            answer = send(path)
            assert answer.status_code == 404, answer.text
        assert theirs.get(path + "/deliveries").status_code == 404
        assert theirs.post(f"{path}/deliveries/{NOBODY}/retry").status_code == 404
        assert carrier.client(api).post(f"{path}/deliveries/{NOBODY}/retry").status_code == 404
        viewer = carrier.client(api, "viewer")
        assert viewer.get(path).status_code == 200
        reader = carrier.server.api({"authorization": f"Bearer {carrier.key(api, scopes=['webhooks:read'])}"})
        for client in (viewer, reader):
            assert client.get(path + "/deliveries").status_code == 200
            for answer in (
                client.delete(path), client.patch(path, json={"active": False}), client.post(f"{path}/deliveries/{NOBODY}/retry"),
                client.post(base, json={"url": "https://a.b", "events": ["call.completed"]}),
            ):  # fmt: skip
                assert answer.status_code == 403, answer.text
        stranger = carrier.server.api({"authorization": f"Bearer {carrier.key(api, scopes=['numbers:write'])}"})
        assert stranger.get(base).status_code == 403
        assert carrier.server.anonymous.get(path).status_code == 401
        gone(carrier, hook)


def test_an_organization_has_at_most_twenty(server):
    tenant = server.tenant("many")
    for n in range(20):
        (krosai_hook if n % 2 else native_hook)(tenant, "https://example.com/hook", "call.completed")
    body = refused(tenant.native.post("/api/v1/webhooks", json={"url": "https://a.b", "events": ["*"]}), 409, "conflict")
    assert "20" in body["detail"]
    refused(tenant.krosai.post("/v1/webhooks", json={"url": "https://a.b"}), 400, "CONFLICT")
    [hook, *_] = ok(tenant.krosai.get("/v1/webhooks"), 200)
    gone(tenant, hook)
    native_hook(tenant, "https://example.com/hook")


def test_a_repeat_of_a_creation_makes_one_webhook(carrier):
    key = {"idempotency-key": uuid.uuid4().hex}
    body = {"url": "https://example.com/once", "events": ["call.completed"]}
    first, second = (carrier.krosai.post("/v1/webhooks", json=body, headers=key) for _ in range(2))
    assert ok(first, 201) == ok(second, 201)
    assert len([h for h in ok(carrier.krosai.get("/v1/webhooks"), 200) if h["url"] == body["url"]]) == 1
    gone(carrier, first.json())


def test_attempts_are_counted_by_outcome(carrier, receiver):
    def counted():
        text = carrier.server.anonymous.get("/metrics").text
        found = dict(re.findall(r'trunkline_webhook_attempts_total\{outcome="(\w+)"\} (\d+)', text))
        assert "trunkline_webhook_oldest_seconds" in text
        return int(found.get("delivered", 0))

    hook, before = native_hook(carrier, receiver.url, "agent.created"), counted()
    ok(carrier.native.post("/api/v1/agents", json={"name": "Ada"}), 201)
    receiver.wait(1)
    wait_for(lambda: counted() == before + 1, "the delivery is counted")
    gone(carrier, hook)
