"""Purchases at the same moment: nothing is sold twice, and nothing for money that is not there."""

import collections
import threading

from harness import new_number, ok


def all_at_once(requests, path="/v1/phone-numbers"):
    """Sends each request from a thread of its own, all released together; gives the answers in order."""
    barrier, answers = threading.Barrier(len(requests)), [None] * len(requests)

    def one(at, client, body):
        client.get("/health/live")  # the connection is open before the start
        barrier.wait()
        answers[at] = client.post(path, json=body)

    threads = [threading.Thread(target=one, args=(at, client, body)) for at, (client, body) in enumerate(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(answers), "a request got no answer"
    return answers


def codes(answers):
    return collections.Counter((a.status_code, a.json().get("code")) for a in answers)


def assert_ledger(tenant, balance):
    """The postings of a ledger sum to zero, and its balance is the last one it shows."""
    entries = tenant.pages(f"/api/v1/organizations/{tenant.id}/ledger")
    assert entries
    assert sum(entry["amount_cents"] for entry in entries) == 0, entries
    own = [entry for entry in entries if entry["account"] == "wallet"]
    assert sum(entry["amount_cents"] for entry in own) == tenant.balance() == balance, entries
    assert own[0]["balance_after_cents"] == balance, "lists are newest first"


def test_twenty_buyers_and_one_number(server):
    buyers = [server.tenant(f"buyer {n}", cents=1_000) for n in range(20)]
    for _ in range(5):
        row = server.stock(setup=100, monthly=100)
        answers = all_at_once([(b.krosai, {"inventory_id": row["id"]}) for b in buyers])
        assert codes(answers) == {(201, None): 1, (400, "NUMBER_NOT_AVAILABLE"): 19}
        [winner] = [b for b, a in zip(buyers, answers, strict=True) if a.status_code == 201]
        held = [n["e164"] for b in buyers for n in ok(b.krosai.get("/v1/phone-numbers"), 200) if n["e164"] == row["e164"]]
        assert held == [row["e164"]]
        assert row["e164"] in [n["e164"] for n in ok(winner.krosai.get("/v1/phone-numbers"), 200)]
    spent = [(1_000 - b.balance()) // 200 for b in buyers]
    assert sum(spent) == 5
    for buyer, count in zip(buyers, spent, strict=True):
        assert_ledger(buyer, 1_000 - 200 * count)


def test_twenty_numbers_and_money_for_one(server):
    for _ in range(5):
        buyer = server.tenant("thrifty", cents=300)
        rows = [server.stock(setup=100, monthly=200) for _ in range(20)]
        answers = all_at_once([(buyer.krosai, {"inventory_id": row["id"]}) for row in rows])
        assert codes(answers) == {(201, None): 1, (402, "INSUFFICIENT_BALANCE"): 19}
        [held] = ok(buyer.krosai.get("/v1/phone-numbers", params={"limit": 100}), 200)
        assert held["e164"] in [row["e164"] for row in rows]
        assert_ledger(buyer, 0)


def test_twenty_times_the_same_idempotency_key(server):
    buyer = server.tenant("repeating", cents=10_000)
    row = server.stock(setup=100, monthly=100)
    client = buyer.client("krosai", **{"idempotency-key": "one purchase"})
    answers = all_at_once([(client, {"inventory_id": row["id"]})] * 20)
    # The first is carried out; the others get its answer, or are told that it still runs.
    assert {a.status_code for a in answers} <= {201, 409, 400}
    done = [a for a in answers if a.status_code == 201]
    assert done and all(a.json() == done[0].json() for a in done)
    assert all(a.json().get("code") != "NUMBER_NOT_AVAILABLE" for a in answers)
    assert client.post("/v1/phone-numbers", json={"inventory_id": row["id"]}).json() == done[0].json()
    assert_ledger(buyer, 10_000 - 200)


def test_slots_are_not_overdrawn(server):
    buyer = server.tenant("slots", cents=100_000)
    ok(server.admin.patch(f"/api/v1/organizations/{buyer.id}", json={"number_slots": 3}), 200)
    rows = [server.stock(setup=0, monthly=10) for _ in range(20)]
    answers = all_at_once([(buyer.krosai, {"inventory_id": row["id"]}) for row in rows])
    assert [a.status_code for a in answers].count(201) == 3
    assert len(ok(buyer.krosai.get("/v1/phone-numbers"), 200)) == 3
    assert_ledger(buyer, 100_000 - 30)


def test_imports_at_once_stay_within_the_slots(server):
    tenant = server.tenant("bulk")
    trunk, slots = tenant.trunk("198.51.100.9"), 300
    ok(server.admin.patch(f"/api/v1/organizations/{tenant.id}", json={"number_slots": slots}), 200)
    bodies = [{"provider_id": trunk["id"], "numbers": [{"e164": new_number()} for _ in range(slots)]} for _ in range(4)]
    answers = all_at_once([(tenant.server.api(tenant.admin.headers), body) for body in bodies], "/api/v1/numbers/import")
    created = sum(ok(a, 200)["created"] for a in answers if a.status_code != 402)
    assert created == len(tenant.pages("/api/v1/numbers")) == slots
    told = [e for e in tenant.pages("/api/v1/events") if e["name"] == "number.imported_many"]
    assert sum(event["data"]["count"] for event in told) == slots
