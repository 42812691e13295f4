"""Whole journeys on a simulation, offline and in seconds: a number is found, bought, bound, called, answered, metered, given back,
rests for ninety days and is sold again; carriers that refuse, are slow or leave it open; processes that die in the middle."""

import random
import threading
import time
import uuid

import pytest
from harness import Server, credential, ok, wait_for

DAY = 86_400


class Sim:
    """A server with `--sim`, and the operator's hand on it."""

    def __init__(self, folder):
        self.server = Server(folder, arguments=["--sim"])

    def start(self):
        self.server.start()
        self.about = ok(self.server.admin.get("/sim"), 200)
        return self

    def post(self, path, status=204, **body):
        return ok(self.server.admin.post(f"/sim/{path}", json=body), status)

    def advance(self, seconds):
        return self.post("clock", 200, advance_seconds=seconds)["now"]

    def agent(self, how="echo"):
        """The SIP address of an agent that answers in this way."""
        return f"sip:{how}@{self.about['agents']['address']}"

    def ring(self, to, state="completed", **how):
        """A simulated caller rings, and the call comes to this."""
        call = self.post("calls", 202, to=to, **how)["id"]
        path = f"/sim/calls/{call}"

        def ended():
            told = ok(self.server.admin.get(path), 200)
            return None if told["state"] == "under_way" else told

        told = wait_for(ended, f"the simulated call to {to} ends", 20)
        assert told["state"] == state, told
        return told

    def sold(self):
        """The numbers that the carrier believes to be ours, or on their way."""
        books = ok(self.server.admin.get("/sim/carrier"), 200)["numbers"]
        return {row["e164"]: row for row in books if row["state"] in ("sold", "pending")}

    def stock(self, country="US", count=1, kind="local", **prices):
        rows = self.post("stock", 201, country=country, type=kind, count=count, **prices)["data"]
        assert len(rows) == count
        return rows

    def doctor(self):
        return self.server.doctor()

    def tenants(self):
        """The operator, acting for each organization in turn."""
        for organization in pages(self.server.admin, "/api/v1/organizations"):
            headers = {"authorization": f"Bearer {self.server.admin_key}", "x-organization-id": organization["id"]}
            yield organization["id"], self.server.api(headers)

    def assert_sound(self):
        """Books of both sides: money, numbers and the carrier's list belong together."""
        server = self.server
        checked = self.doctor()
        assert checked.returncode == 0, checked.stdout + checked.stderr
        owned = {}
        for tenant, admin in self.tenants():
            entries = pages(admin, f"/api/v1/organizations/{tenant}/ledger")
            assert sum(entry["amount_cents"] for entry in entries) == 0
            held = pages(admin, "/api/v1/numbers")
            for number in held:
                assert number["e164"] not in owned, "held twice"
                owned[number["e164"]] = number
            paid = {}
            for entry in entries:
                if entry["account"] == "wallet" and entry["kind"] in ("purchase", "refund"):
                    paid[entry["number_id"]] = paid.get(entry["number_id"], 0) + entry["amount_cents"]
            # Those that were not delivered are deleted; so are some that were, which have cost what they cost.
            kept = {number["id"] for number in held + pages(admin, "/api/v1/numbers", status="released")}
            gone = {number["id"] for number in pages(admin, "/api/v1/numbers", status="deleted")}
            for number, cents in paid.items():
                assert number in kept | gone, f"{number} was paid for and is nowhere"
                assert cents < 0 or number not in kept, f"{number} was not paid for"
            failed = {e["subject"] for e in pages(admin, "/api/v1/events") if e["name"] == "number.purchase_failed"}
            assert all(paid.get(number, 0) == 0 for number in failed), "what was not delivered is paid back"
            assert not failed & kept
        stock = {row["e164"]: row for row in pages(server.admin, "/api/v1/stock")}
        for e164 in self.sold():
            resting = stock.get(e164, {}).get("status") == "quarantined"
            assert e164 in owned or resting, f"the carrier holds {e164}, which is nobody's"
        for e164, number in owned.items():
            if number["network"] != "public" and number["status"] == "active":
                assert e164 in self.sold(), f"{e164} is active, and the carrier knows nothing of it"


def pages(client, path, **query):
    rows, cursor = [], None
    while True:
        body = ok(client.get(path, params={"limit": 1000} | query | ({"cursor": cursor} if cursor else {})), 200)
        rows += body["data"]
        cursor = body["next_cursor"]
        if not cursor:
            return rows


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    world = Sim(tmp_path_factory.mktemp("journeys"))
    try:
        yield world.start()
        world.server.assert_up()
    finally:
        world.server.stop()


@pytest.fixture
def alone(tmp_path):
    """A simulation of one test alone, which may kill it."""
    world = Sim(tmp_path)
    try:
        yield world.start()
    finally:
        if world.server.process:
            world.server.stop()


@pytest.fixture(autouse=True)
def as_usual(request):
    """Each test of the shared simulation begins with a carrier that sells."""
    if "sim" in request.fixturenames:
        request.getfixturevalue("sim").post("purchases", all=True, outcome="ok")


def metered(tenant, e164, seconds=1):
    call = tenant.call_with(e164, "completed")
    assert call["direction"] == "inbound" and call["duration_seconds"] >= seconds, call
    return call


def ninety_days_later(sim, tenant, number, restorable=True):
    """A released number rests, can be restored, rests again, and is for sale again after ninety days; a deleted one only rests."""
    path = f"/api/v1/numbers/{number['id']}"
    assert number["e164"] in sim.sold(), "it stays at the carrier while it can be restored"
    sim.advance(60 * DAY)
    if restorable:
        ok(tenant.admin.post(f"{path}/restore"), 200)
        sim.ring(number["e164"], hold_seconds=1)
        ok(tenant.admin.delete(path), 200)
    sim.ring(number["e164"], "refused")
    sim.advance(91 * DAY)
    wait_for(lambda: number["e164"] not in sim.sold(), "the carrier has the number back")
    assert tenant.admin.post(f"{path}/restore").status_code == (409 if restorable else 404)
    other = sim.server.tenant("the next")
    [row] = [row for row in pages(sim.server.admin, "/api/v1/stock") if row["e164"] == number["e164"]]
    again = ok(other.native.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
    assert again["status"] == "active" and sim.sold()[number["e164"]]["times_sold"] == 2


def test_krosai_from_search_to_resale(sim):
    tenant = sim.server.tenant("krosai")
    query = {"action": "available", "country": "GB", "type": "local"}
    found = ok(tenant.krosai.get("/v1/phone-numbers", params=query), 200)
    assert found, "the simulated carrier has British numbers"
    bought = ok(tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": found[0]["id"]}), 201)
    assert bought["status"] == "active" and tenant.balance() == 1_000_000 - 225
    endpoint = ok(
        tenant.krosai.post("/v1/endpoints", json={"name": "echo", "type": "direct_sip", "url": sim.agent()}), 201
    )
    ok(tenant.krosai.patch(f"/v1/phone-numbers/{bought['id']}", json={"endpointId": endpoint["id"]}), 200)
    told = sim.ring(bought["e164"], hold_seconds=1)
    assert told["packets_back"] > 0, "the agent echoes"
    metered(tenant, bought["e164"])
    ok(tenant.krosai.delete(f"/v1/phone-numbers/{bought['id']}"))
    ninety_days_later(sim, tenant, {"id": bought["id"], "e164": bought["e164"]}, restorable=False)


def test_cartesia_from_provision_to_resale(sim):
    tenant = sim.server.tenant("cartesia")
    agent = tenant.agent()
    tenant.endpoint(sim.agent("slow-300"), agent=agent)
    bought = ok(tenant.cartesia.post("/agents/phone-numbers/provision", json={"label": "desk", "agent_id": agent["id"]}), 201)
    e164, number = bought["number"], bought["id"].removeprefix("pn_")
    told = sim.ring(e164, hold_seconds=1)
    assert told["answered_after_ms"] >= 300
    metered(tenant, e164)
    assert ok(tenant.cartesia.get("/agents/calls", params={"agent_id": agent["id"]}), 200)["data"]
    ok(tenant.cartesia.patch(f"/agents/phone-numbers/{bought['id']}", json={"agent_id": None}), 200)
    sim.ring(e164, "refused")
    ok(tenant.cartesia.patch(f"/agents/phone-numbers/{bought['id']}", json={"agent_id": agent["id"]}), 200)
    ok(tenant.admin.delete(f"/api/v1/numbers/{number}"), 200)
    ninety_days_later(sim, tenant, {"id": number, "e164": e164})


def test_polyai_from_import_to_another_import(sim):
    tenant = sim.server.tenant("polyai")
    # Numbers are on the tenant's own trunk, whose carrier is the simulated network.
    if not sim.about["network"]["address"]:
        pytest.skip("this machine has no address for the simulated network")
    tenant.trunk(sim.about["network"]["address"])
    tenant.settings(imports="open")
    agent = tenant.agent()
    endpoint = tenant.endpoint(sim.agent("hangup-1"), agent=agent)
    e164 = "+14155550199"
    numbers = f"/v1/agents/{agent['id']}/telephony/phone-numbers"
    ok(tenant.polyai.post(numbers, json={"connectorId": endpoint["id"], "phoneNumbers": [e164]}), 201)
    sim.ring(e164, hold_seconds=30)
    metered(tenant, e164)
    ok(tenant.polyai.request("DELETE", numbers, json={"phoneNumbers": [e164]}))
    sim.ring(e164, "refused")
    ok(tenant.polyai.post(numbers, json={"connectorId": endpoint["id"], "phoneNumbers": [e164]}), 201)
    assert e164 not in sim.sold(), "an own trunk's carrier is asked nothing"


def test_neo_sees_the_minutes_of_a_number_that_rang(sim):
    tenant = sim.server.tenant("neo")
    [row] = sim.stock("GB")
    endpoint = tenant.endpoint(sim.agent(), agent=tenant.agent())
    body = {"stock_id": row["id"], "endpoint_id": endpoint["id"]}
    number = ok(tenant.native.post("/api/v1/numbers", json=body), 201)
    sim.ring(number["e164"], hold_seconds=2, via="tcp")
    metered(tenant, number["e164"], 2)
    shown = ok(tenant.neo.get("/public-api/phone/numbers"), 200)
    assert number["e164"] in str(shown) and shown["data"][0]["minutes_used_this_month"] == 1
    ok(tenant.native.delete(f"/api/v1/numbers/{number['id']}"), 200)
    ninety_days_later(sim, tenant, number)


def test_the_simulated_network_reaches_no_number_of_the_world(sim):
    tenant = sim.server.tenant("world")
    number = tenant.number(endpoint_id=tenant.endpoint(sim.agent())["id"])
    assert number["network"] == "public"
    assert sim.ring(number["e164"], "refused")["sip_status"] == 404


@pytest.mark.parametrize(
    ("how", "state", "status"),
    [("busy", "refused", 486), ("reject-503", "refused", 500), ("reject", "refused", 603), ("no-answer", "cancelled", None)],
)
def test_agents_that_do_not_answer(sim, how, state, status):
    tenant = sim.server.tenant(how)
    [row] = sim.stock()
    endpoint = tenant.endpoint(sim.agent(how))
    number = ok(tenant.native.post("/api/v1/numbers", json={"stock_id": row["id"], "endpoint_id": endpoint["id"]}), 201)
    told = sim.ring(number["e164"], state, ring_seconds=1)
    assert told["sip_status"] == status, told


def test_who_a_tenant_is_decides_what_it_buys(sim):
    tenant = sim.server.tenant("kyc", kyc=None)
    [row] = sim.stock()

    def buy():
        return tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]})

    assert buy().json()["code"] == "KYC_NOT_SUBMITTED"
    sim.post("kyc", organization_id=tenant.id, decision="declined", after_seconds=DAY)
    assert buy().json()["code"] == "KYC_PENDING"
    sim.advance(DAY)
    wait_for(lambda: buy().json()["code"] == "KYC_DECLINED", "the decision is taken when its time has come")
    sim.post("kyc", organization_id=tenant.id, decision="approved")
    assert buy().status_code == 201
    assert sim.server.admin.post("/sim/kyc", json={"organization_id": tenant.id, "decision": "maybe"}).status_code == 422
    assert sim.server.admin.post("/sim/kyc", json={"organization_id": str(uuid.uuid4()), "decision": "approved"}).status_code == 404


def test_a_purchase_that_the_carrier_refuses_costs_nothing(sim):
    tenant = sim.server.tenant("refused")
    [row] = sim.stock(setup_cost_cents=300, monthly_cost_cents=200)
    sim.post("purchases", e164=row["e164"], outcome="fail", times=1)
    key = {"idempotency-key": str(uuid.uuid4())}
    refused = tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (400, "CARRIER_REFUSED"), refused.text
    assert tenant.balance() == 1_000_000 and not ok(tenant.krosai.get("/v1/phone-numbers"), 200)
    kinds = [entry["kind"] for entry in tenant.pages(f"/api/v1/organizations/{tenant.id}/ledger") if entry["account"] == "wallet"]
    assert kinds == ["refund", "purchase", "funding"]
    # A repeat of the request has the same answer; a new request finds the number on sale again.
    again = tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}, headers=key)
    assert again.status_code == 400 and row["e164"] not in sim.sold()
    ok(tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}), 201)
    assert tenant.balance() == 1_000_000 - 500
    sim.assert_sound()


@pytest.mark.parametrize("outcome", ["ok", "fail"])
def test_a_purchase_that_stays_open_is_pending_until_the_carrier_decides(sim, outcome):
    tenant = sim.server.tenant("pending")
    [row] = sim.stock("CA", setup_cost_cents=300, monthly_cost_cents=200)
    sim.post("purchases", e164=row["e164"], outcome="pending")
    endpoint = tenant.endpoint(sim.agent())
    body = {"stock_id": row["id"], "endpoint_id": endpoint["id"]}
    number = ok(tenant.native.post("/api/v1/numbers", json=body), 201)
    path = f"/api/v1/numbers/{number['id']}"
    assert number["status"] == "pending" and tenant.balance() == 1_000_000 - 500
    assert sim.ring(number["e164"], "refused")["sip_status"] == 480
    # Neither a switch nor time makes it more than it is, and it is not given up while nobody knows what it is.
    assert tenant.admin.patch(path, json={"status": "active"}).status_code == 409
    assert tenant.admin.delete(path).status_code == 409
    sim.advance(DAY)
    assert tenant.read(number)["status"] == "pending"
    sim.post(f"purchases/{number['e164']}/settle", outcome=outcome)
    if outcome == "ok":
        wait_for(lambda: tenant.read(number)["status"] == "active", "the number is delivered")
        sim.ring(number["e164"])
        assert tenant.balance() == 1_000_000 - 500
    else:
        wait_for(lambda: tenant.admin.get(path).status_code == 404, "the number is not delivered")
        assert tenant.balance() == 1_000_000 and number["e164"] not in sim.sold()
    assert sim.server.admin.post(f"/sim/purchases/{number['e164']}/settle", json={"outcome": "ok"}).status_code == 404
    sim.assert_sound()


def test_a_slow_carrier_is_waited_for_and_holds_up_nobody_else(sim):
    tenant = sim.server.tenant("slow")
    slow, quick = sim.stock(count=2)
    sim.post("purchases", e164=slow["e164"], outcome="slow", delay_ms=2_500)
    began, answers = time.monotonic(), []
    thread = threading.Thread(
        target=lambda: answers.append(tenant.native.post("/api/v1/numbers", json={"stock_id": slow["id"]}))
    )
    tenant.native.get("/api/v1/numbers")
    thread.start()
    ok(tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": quick["id"]}), 201)
    assert not answers and time.monotonic() - began < 2.4
    thread.join(20)
    assert ok(answers[0], 201)["status"] == "active" and time.monotonic() - began >= 2.4


def test_a_number_that_does_not_rest_goes_back_at_once_and_can_be_bought_again(sim):
    tenant = sim.server.tenant("restless")
    tenant.settings(quarantine_days=0)
    [row] = sim.stock()
    for times in (1, 2):
        number = ok(tenant.native.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
        assert number["status"] == "active" and sim.sold()[row["e164"]]["times_sold"] == times
        ok(tenant.native.delete(f"/api/v1/numbers/{number['id']}"), 200)
    wait_for(lambda: row["e164"] not in sim.sold(), "the carrier has the number back")


@pytest.mark.parametrize("dialect", ["native", "krosai", "cartesia"])
def test_a_request_that_died_between_carrier_and_commit_is_answered_by_its_repeat(alone, dialect):
    """The carrier has sold; the process dies before it heard so. Another with the same key gets the number, bought once."""
    tenant = alone.server.tenant("crash")
    alone.post("purchases", all=True, outcome="slow", delay_ms=4_000)
    headers = credential(dialect, tenant.key(dialect)) | {"idempotency-key": "the-same"}
    [row] = alone.stock(setup_cost_cents=0, monthly_cost_cents=1)
    path, body, changed = {
        "native": ("/api/v1/numbers", {"stock_id": row["id"]}, {"label": "another body"}),
        "krosai": ("/v1/phone-numbers", {"inventory_id": row["id"]}, {"total_cost_cents": 1}),
        "cartesia": ("/agents/phone-numbers/provision", {"label": "desk"}, {"label": "another body"}),
    }[dialect]
    client = alone.server.api(headers)

    def first():
        try:
            client.post(path, json=body)
        except Exception:
            pass

    thread = threading.Thread(target=first)
    thread.start()
    wait_for(lambda: row["e164"] in alone.sold(), "the carrier has sold", 10)
    alone.server.kill()
    thread.join(10)
    alone.start()
    again = alone.server.api(headers)
    other = again.post(path, json=body | changed)
    assert other.status_code == (400 if dialect == "cartesia" else 422) and "Idempotency-Key" in other.text
    number = ok(again.post(path, json=body), 201)
    assert row["e164"] in (number.get("e164"), number.get("number"))
    assert ok(again.post(path, json=body), 201) == number
    assert alone.sold()[row["e164"]]["times_sold"] == 1
    [held] = tenant.pages("/api/v1/numbers")
    assert held["status"] == "active" and tenant.balance() == 1_000_000 - 1
    alone.assert_sound()


def test_a_number_at_the_carrier_that_is_nobodys_goes_back(alone):
    """A store from before the purchase: what it does not know of is given back by itself."""
    tenant = alone.server.tenant("old copy")
    [row] = alone.stock()
    alone.server.stop()
    saved = alone.server.store.save()
    alone.start()
    ok(tenant.native.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
    alone.server.stop()
    alone.server.store.restore(saved)
    alone.start()
    wait_for(lambda: row["e164"] not in alone.sold(), "the carrier has the stray back")
    alone.assert_sound()


def test_thirty_deaths_in_the_middle_of_purchases_and_releases(alone):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    tenants = [alone.server.tenant(f"t{n}", cents=100_000) for n in range(3)]
    for tenant in tenants:
        tenant.settings(quarantine_days=chance.choice([0, 0, 1]))
        tenant.key("native")
    alone.stock("US", 60, setup_cost_cents=100, monthly_cost_cents=150)
    kills, keys, ended = 30, {}, threading.Event()

    def one(tenant, pick):
        """One purchase, release or restore by chance. The server may be gone at any point."""
        client = alone.server.api(credential("native", tenant.key("native")))
        what = pick.random()
        if what < 0.65:
            rows = ok(client.get("/api/v1/stock", params={"country": "US", "limit": 50}), 200)["data"]
            key = str(uuid.uuid4())
            keys[key] = (tenant, {"stock_id": pick.choice(rows)["id"]})
            client.post("/api/v1/numbers", json=keys[key][1], headers={"idempotency-key": key})
            keys.pop(key)
        else:
            held = ok(client.get("/api/v1/numbers"), 200)["data"]
            if held:
                client.delete(f"/api/v1/numbers/{pick.choice(held)['id']}")

    def walk(tenant, number):
        pick = random.Random(number)
        while not ended.is_set():
            try:
                one(tenant, pick)
            except Exception:  # the server was killed; the next turn finds it again
                time.sleep(0.02)

    threads = [threading.Thread(target=walk, args=(t, chance.random())) for t in tenants for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(kills):
            alone.post("purchases", all=True, outcome="slow", delay_ms=chance.choice([0, 20, 100]))
            alone.post("purchases", all=True, outcome=chance.choice(["ok", "fail", "pending"]), times=2)
            if turn % 5 == 4:
                alone.advance(2 * DAY)
            time.sleep(chance.random() * 0.25)
            alone.server.kill()
            alone.start()
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    repeated(alone, keys)
    settled(alone)
    alone.assert_sound()
    happened = [e["name"] for t in tenants for e in t.pages("/api/v1/events")]
    counts = {name: happened.count(name) for name in ("number.purchased", "number.purchase_failed", "number.released")}
    print(counts)
    assert all(counts.values()) and counts["number.purchased"] >= 20, f"too little happened: {counts}"


def repeated(alone, keys):
    """Every purchase whose answer was lost is sent again: it is answered, and the second time as the first."""
    alone.post("purchases", all=True, outcome="ok")
    for key, (tenant, body) in list(keys.items()):
        client = alone.server.api(credential("native", tenant.key("native")) | {"idempotency-key": key})
        first, second = (client.post("/api/v1/numbers", json=body) for _ in range(2))
        assert first.status_code in (201, 402, 409, 422), first.text
        assert (second.status_code, second.json().get("id")) == (first.status_code, first.json().get("id"))


def settled(alone):
    """Everything that is open ends: pending purchases are delivered, what is to go back is back."""
    def open_ones():
        pending = [e164 for e164, row in alone.sold().items() if row["state"] == "pending"]
        for e164 in pending:
            alone.server.admin.post(f"/sim/purchases/{e164}/settle", json={"outcome": "ok"})
        return pending

    wait_for(lambda: not open_ones(), "no purchase is pending at the carrier", 20)
    alone.advance(600)

    def at_rest():
        alone.advance(300)
        return not alone.doctor().stdout.count("waits") and orphans(alone) == []

    wait_for(at_rest, "both sides hold the same", 20)


def orphans(alone):
    held = {n["e164"] for _, admin in alone.tenants() for n in pages(admin, "/api/v1/numbers") if n["status"] != "pending"}
    resting = {r["e164"] for r in pages(alone.server.admin, "/api/v1/stock") if r["status"] == "quarantined"}
    return [e164 for e164 in alone.sold() if e164 not in held | resting]
