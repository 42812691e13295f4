"""Metering: rates by prefix, what calls hold of a balance, and the stop where it ends."""

import threading
import time

from calls_kit import answering, bye_at, caller, carrier, line, one_record, up
from harness import Server, ok, wait_for
from sip import Agent, Caller


def set_rate(api, prefix, per_minute, **more):
    body = {"direction": "inbound", "prefix": prefix, "rate_per_minute_micros": per_minute} | more
    return ok(api.post("/api/v1/rates", json=body), 201)


def sums_to_zero(tenant):
    entries = tenant.pages(f"/api/v1/organizations/{tenant.id}/ledger")
    return sum(entry["amount_micros"] for entry in entries) == 0


def talk(caller, tenant, number, seconds):
    call, record = up(caller, tenant, number)
    time.sleep(seconds)
    call.bye()
    wait_for(lambda: tenant.calls(number["e164"])[-1]["status"] == "completed", "the call is over")
    return ok(tenant.native.get(f"/api/v1/calls/{record['id']}"), 200)


def test_the_longest_prefix_of_the_own_deck_decides_and_is_frozen(server, carrier, caller, answering):
    number = line(carrier, answering.uri)
    digits = number["e164"][1:]
    everybody = set_rate(server.admin, digits[:5], 6_000_000)
    try:
        assert everybody["organization_id"] is None
        assert talk(caller, carrier, number, 0)["receipt"]["price"]["per_minute_micros"] == 6_000_000
        # Own rates come first, however short their prefix; the longest of them wins.
        set_rate(carrier.admin, digits[0], 60_000)
        own = set_rate(carrier.admin, digits[:3], 120_000, minimum_seconds=30, increment_seconds=6, setup_micros=500)
        call, record = up(caller, carrier, number)
        # What changes during a call does not touch it.
        dearer = set_rate(carrier.admin, digits[:3], 9_000_000)
        assert carrier.admin.delete(f"/api/v1/rates/{own['id']}").status_code == 404, "it was replaced"
        call.bye()
        wait_for(lambda: carrier.calls(number["e164"])[-1]["status"] == "completed", "the call is over")
        told = ok(carrier.native.get(f"/api/v1/calls/{record['id']}"), 200)
        # Half a minute at 12 cents, and the fee.
        assert (told["cost_micros"], told["receipt"]["billed_seconds"]) == (60_500, 30)
        shown = carrier.pages("/api/v1/rates")
        assert {row["id"] for row in shown} >= {everybody["id"], dearer["id"]}
        ok(carrier.admin.delete(f"/api/v1/rates/{dearer['id']}"), 204)
        price = talk(caller, carrier, number, 0)["receipt"]["price"]
        assert price == {
            "per_minute_micros": 60_000, "setup_micros": 0, "minimum_seconds": 0, "increment_seconds": 1,
        }  # fmt: skip
        wait_for(lambda: sums_to_zero(carrier), "the ledger sums to zero")
    finally:
        for row in carrier.pages("/api/v1/rates"):
            owner = carrier.admin if row["organization_id"] else server.admin
            ok(owner.delete(f"/api/v1/rates/{row['id']}"), 204)


def test_only_the_operator_sets_rates(server, carrier):
    body = {"direction": "outbound", "prefix": "44", "rate_per_minute_micros": 0}
    assert carrier.native.post("/api/v1/rates", json=body).status_code == 403
    for field, value in {
        "prefix": "0", "rate_per_minute_micros": -1, "increment_seconds": 0, "minimum_seconds": 3_601, "direction": "in",
    }.items():  # fmt: skip
        refused = server.admin.post("/api/v1/rates", json=body | {field: value})
        assert refused.status_code == 422 and field in refused.json()["detail"], refused.text
    row = ok(server.admin.post("/api/v1/rates", json=body), 201)
    other = server.tenant("cheap")
    assert row["id"] in {one["id"] for one in other.pages("/api/v1/rates")}
    assert other.admin.delete(f"/api/v1/rates/{row['id']}").status_code == 404, "everybody's is not one tenant's"
    ok(server.admin.delete(f"/api/v1/rates/{row['id']}"), 204)
    assert server.admin.delete(f"/api/v1/rates/{row['id']}").status_code == 404


def test_many_calls_at_once_cannot_spend_one_balance(tmp_path):
    server = Server(tmp_path).start()
    try:
        tenant = server.tenant("races", cents=50)
        trunk = tenant.trunk("127.0.0.1")
        # Ten cents for each call, whatever it lasts.
        with Agent("ring") as agent:
            answer, invites = agent._answer, {}

            def each(request, source):
                if request.method == "INVITE":
                    invites[request.get("call-id")] = (request, source)
                elif request.method == "CANCEL":
                    agent.last = invites[request.get("call-id")]
                answer(request, source)

            agent._answer = each
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            set_rate(tenant.admin, "", 100_000, minimum_seconds=60, increment_seconds=60)
            statuses, lock = [], threading.Lock()

            def ring():
                with Caller(server.sip) as caller:
                    call = caller.invite(number["e164"])
                    status = call.response(lambda m: m.status >= 180, what="ringing or a refusal").status
                    with lock:
                        statuses.append(status)
                    done.wait(10)
                    if status == 180:
                        call.cancel()
                        call.final()

            done = threading.Event()
            threads = [threading.Thread(target=ring) for _ in range(12)]
            [thread.start() for thread in threads]
            wait_for(lambda: len(statuses) == 12, "every call is decided")
            assert sorted(statuses) == [180] * 5 + [402] * 7
            done.set()
            [thread.join(15) for thread in threads]
            # What rang holds nothing any more.
            with Caller(server.sip) as caller:
                agent.how = "answer"
                wait_for(lambda: caller.invite(number["e164"]).final().status == 200, "there is money again")
        assert tenant.balance() <= 50
    finally:
        server.stop()


def test_the_balance_ends_a_call_of_a_killed_process_before_it_is_overdrawn(tmp_path):
    server = Server(tmp_path).start()
    try:
        tenant = server.tenant("short", cents=60)
        trunk = tenant.trunk("127.0.0.1")
        tenant.settings(rate_cents_per_minute=600)
        with Agent() as agent, Caller(server.sip) as caller:
            number = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            call, _ = up(caller, tenant, number)
            server.kill()
            server.start()
            bye = bye_at(caller, call, 10)
            assert "Q.850;cause=16" in bye.get("reason")
            agent.wait("BYE")
            record = one_record(tenant, number, status="completed", ended_by="balance")
            assert record["duration_seconds"] == 6 and record["cost_micros"] == 600_000
            wait_for(lambda: tenant.balance() == 0, "the call is paid, and no more")
            assert sums_to_zero(tenant)
            told = ok(tenant.native.get(f"/api/v1/calls/{record['id']}"), 200)
            assert told["receipt"]["clock"] == "wall"
            rows = server.anonymous.get("/metrics").text.splitlines()
            assert any(row.startswith("trunkline_calls_stopped_total") and row.endswith(" 1") for row in rows), rows
    finally:
        server.stop()
