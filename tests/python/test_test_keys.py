"""Test keys, on a server without a simulation: numbers of their own, which cost nothing and which only the simulated network calls."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import credential, new_number, ok, wait_for
from sip import Agent, Caller

STOCK, NUMBERS = "/api/v1/stock", "/api/v1/numbers"


class Trial:
    """A tenant that nobody knows and that has no money, with a test key for each API."""

    def __init__(self, server, name):
        self.tenant = server.tenant(name, kyc=None, cents=0)
        self.server = server

    def __getattr__(self, dialect):
        return self.server.api(credential(dialect, self.tenant.key(dialect, mode="test")))

    def buy(self, **fields):
        row = ok(self.native.get(STOCK, params={"country": "US", "limit": 1}), 200)["data"][0]
        return ok(self.native.post(NUMBERS, json={"stock_id": row["id"]} | fields), 201)

    def ring(self, number, **body):
        return self.native.post(f"{NUMBERS}/{number['id']}/simulate-call", json=body)


@pytest.fixture
def tester(server, request):
    return Trial(server, request.node.name)


def test_each_mode_sees_and_buys_its_own(server, tester):
    real = server.stock()
    seen = ok(tester.native.get(STOCK, params={"limit": 1000}), 200)["data"]
    assert seen and {row["network"] for row in seen} == {"test"}
    assert {row["setup_cost_cents"] + row["monthly_cost_cents"] for row in seen} == {0}
    assert {"US", "CA", "GB", "DE", "FR", "AU"} == {row["country"] for row in seen}
    known = server.tenant("known")
    live = ok(known.native.get(STOCK, params={"limit": 1000}), 200)["data"]
    assert real["id"] in {row["id"] for row in live} and "test" not in {row["network"] for row in live}
    # By id as by search: the other mode's is not available, also where money would be there.
    for client, row in ((tester.native, real), (known.native, seen[0])):
        assert client.post(NUMBERS, json={"stock_id": row["id"]}).status_code == 409
    rich = Trial(server, "rich")
    rich.tenant.set_kyc("approved")
    rich.tenant.credit(100_000)
    assert rich.native.post(NUMBERS, json={"stock_id": real["id"]}).status_code == 409
    assert rich.tenant.balance() == 100_000
    shown = ok(server.admin.get(STOCK, params={"limit": 1000}), 200)["data"]
    assert {"test", "public"} <= {row["network"] for row in shown}, "the operator sees all"


def test_a_kros_test_key_from_search_to_release(tester):
    key = tester.tenant.key("krosai", mode="test")
    assert key.startswith("kros_test_")
    query = {"action": "available", "country": "GB", "type": "local"}
    found = ok(tester.krosai.get("/v1/phone-numbers", params=query), 200)
    bought = ok(tester.krosai.post("/v1/phone-numbers", json={"inventory_id": found[0]["id"]}), 201)
    assert bought["status"] == "active" and bought["e164"].startswith("+44")
    native = tester.tenant.read(bought)
    assert (native["network"], native["environment"]) == ("test", "sandbox")
    ok(tester.krosai.delete(f"/v1/phone-numbers/{bought['id']}"))
    again = ok(tester.krosai.get("/v1/phone-numbers", params=query | {"limit": 100}), 200)
    assert bought["e164"] in {row["e164"] for row in again}, "it does not rest"
    assert tester.tenant.balance() == 0 and not tester.tenant.pages(f"/api/v1/organizations/{tester.tenant.id}/ledger")


def test_cartesia_provisions_a_number_for_tests(tester):
    ok(tester.server.admin.patch(f"/api/v1/organizations/{tester.tenant.id}", json={"number_slots": 0}), 200)
    made = ok(tester.cartesia.post("/agents/phone-numbers/provision", json={"label": "try"}), 201)
    assert tester.tenant.read({"id": made["id"].removeprefix("pn_")})["network"] == "test"
    live = tester.tenant.cartesia.post("/agents/phone-numbers/provision", json={"label": "real"})
    assert live.status_code in (402, 403), live.text


def test_only_the_simulated_network_calls_a_number_for_tests(server, tester):
    server.operator_trunk("127.0.0.1")
    with Agent() as agent:
        endpoint = tester.tenant.endpoint(agent.uri, environment="sandbox")
        number = tester.buy(endpoint_id=endpoint["id"])
        with Caller(server.sip) as caller:
            refused = caller.invite(number["e164"])
            assert refused.final(8).status == 404
        told = ok(tester.ring(number, hold_seconds=1), 200)
        assert (told["outcome"], told["sip_status"], told["talked_seconds"]) == ("completed", 200, 1), told
        assert any("INVITE" in line for line in told["timeline"])
        call = tester.tenant.call_with(number["e164"], "completed")
        assert call["from"] == "+12125550199" and call["duration_seconds"] >= 1
        explained = tester.tenant.explain(number)
        assert explained["outcome"] == "route"
        real = ok(server.admin.get(f"{NUMBERS}/{number['e164']}/explain?from=127.0.0.1", headers={"x-organization-id": tester.tenant.id}))
        assert real["sip_status"] == 404


def test_a_simulated_call_says_why_it_was_refused(tester):
    number = tester.buy()
    told = ok(tester.ring(number), 200)
    assert (told["outcome"], told["sip_status"]) == ("refused", 480) and "endpoint" in told["reason"]
    for wrong in ({"hold_seconds": 61}, {"ring_seconds": 0}, {"from": "a b"}, {"to": "+1"}, {"hold_seconds": "1"}):
        assert tester.ring(number, **wrong).status_code == 422, wrong
    other = Trial(tester.server, "somebody else")
    assert other.ring(number).status_code == 404


def test_real_numbers_are_not_rung(server):
    tenant = server.tenant("real")
    number = tenant.number()
    refused = tenant.native.post(f"{NUMBERS}/{number['id']}/simulate-call", json={})
    assert refused.status_code == 409 and refused.json()["code"] == "conflict"


def test_an_organization_holds_at_most_twenty(tester):
    held = [tester.buy() for _ in range(20)]
    row = ok(tester.native.get(STOCK, params={"country": "US", "limit": 1}), 200)["data"][0]
    refused = tester.native.post(NUMBERS, json={"stock_id": row["id"]})
    assert refused.status_code == 402 and "20" in refused.json()["detail"], refused.text
    ok(tester.native.delete(f"{NUMBERS}/{held[0]['id']}"), 200)
    tester.buy()
    # There are always some left for others.
    assert len(ok(tester.native.get(STOCK, params={"country": "US"}), 200)["data"]) >= 10


def test_numbers_for_tests_stay_free_and_take_no_place(server, tester):
    tester.tenant.settings(rate_cents_per_minute=6_000, number_churn_max=1)
    tester.buy()
    with Agent() as agent:
        number = tester.buy(endpoint_id=tester.tenant.endpoint(agent.uri, environment="sandbox")["id"])
        # No balance is needed, and no minute is paid.
        told = ok(tester.ring(number, hold_seconds=1), 200)
        assert told["outcome"] == "completed", told
        assert tester.tenant.call_with(number["e164"], "completed")["cost_micros"] == 0
    tester.tenant.set_kyc("approved")
    tester.tenant.credit(1_000)
    ok(server.admin.patch(f"/api/v1/organizations/{tester.tenant.id}", json={"number_slots": 1}), 200)
    row = server.stock(setup=100, monthly=100)
    ok(tester.tenant.native.post(NUMBERS, json={"stock_id": row["id"]}), 201)
    assert tester.tenant.balance() == 800
    more = tester.tenant.native.post(NUMBERS, json={"stock_id": server.stock()["id"]})
    assert more.status_code in (402, 429)


def test_numbers_for_tests_cannot_be_brought_in_by_others(server, tester):
    taken = ok(tester.native.get(STOCK, params={"country": "GB", "limit": 1}), 200)["data"][0]["e164"]
    tenant = server.tenant("importer")
    trunk = tenant.trunk("198.51.100.9")
    refused = tenant.admin.post(NUMBERS, json={"e164": taken, "provider_id": trunk["id"]})
    assert refused.status_code == 409
    ok(tenant.admin.post(NUMBERS, json={"e164": new_number(), "provider_id": trunk["id"]}), 201)


def test_they_outlive_a_restart(fresh):
    fresh.start()
    tester = Trial(fresh, "lasting")
    number = tester.buy()
    fresh.kill()
    fresh.start()
    wait_for(lambda: tester.tenant.read(number)["status"] == "active", "the number is there")
    ok(tester.native.delete(f"{NUMBERS}/{number['id']}"), 200)
    assert tester.buy()["network"] == "test"


def test_a_test_key_does_not_see_what_is_live(server):
    trial = Trial(server, "both")
    trial.tenant.set_kyc("approved")
    trial.tenant.credit(1_000)
    live, tried = trial.tenant.number(), trial.buy()
    assert [n["id"] for n in ok(trial.native.get(NUMBERS), 200)["data"]] == [tried["id"]]
    assert [n["id"] for n in ok(trial.krosai.get("/v1/phone-numbers"), 200)] == [tried["id"]]
    for send in (trial.native.get, trial.native.delete, lambda path: trial.native.patch(path, json={"label": "x"})):
        assert send(f"{NUMBERS}/{live['id']}").status_code == 404
        assert send(f"{NUMBERS}/{live['e164']}").status_code == 404
    assert trial.krosai.delete(f"/v1/phone-numbers/{live['id']}").status_code == 404
    assert {n["id"] for n in ok(trial.tenant.native.get(NUMBERS), 200)["data"]} == {live["id"], tried["id"]}


def test_a_test_key_changes_nothing_that_live_calls_depend_on(server):
    """Whatever role it has. What is for tests it does change."""
    live = server.tenant("two modes")
    trial = Trial.__new__(Trial)
    trial.tenant, trial.server = live, server
    agent, other = live.agent("Ada")["id"], live.agent("Bob")["id"]
    endpoint = live.endpoint("sip:127.0.0.1:5999", agent=agent)["id"]
    trunk = live.trunk("198.51.100.7")["id"]
    number = live.number(trunk={"id": trunk}, endpoint_id=endpoint)
    secret = live.key("native", role="viewer")
    rows = ok(live.admin.get(f"/api/v1/organizations/{live.id}/keys"), 200)["data"]
    viewer = next(row["id"] for row in rows if row["role"] == "viewer")
    hook = {"url": "https://example.com/hook", "events": ["*"]}
    paths = [f"/api/v1/{path}" for path in (
        f"agents/{agent}", f"endpoints/{endpoint}", f"providers/{trunk}", f"numbers/{number['id']}", f"organizations/{live.id}")]  # fmt: skip
    before = [(ok(live.admin.get(path), 200), live.admin.get(path).headers["etag"]) for path in paths]
    for method, path, body in (
        ("patch", paths[0], {"name": "x"}), ("patch", paths[1], {"name": "x"}),
        ("patch", paths[1], {"environment": "sandbox"}), ("delete", paths[1], None), ("patch", paths[2], {"label": "x"}),
        ("delete", paths[2], None), ("patch", paths[4], {"name": "x"}), ("delete", f"{paths[4]}/keys/{viewer}", None),
        ("post", "/api/v1/webhooks", hook), ("get", "/api/v1/events", None),
        ("post", "/api/v1/providers", {"kind": "managed", "label": "x"}),
        ("post", "/api/v1/endpoints", {"name": "x", "environment": "live"}),
    ):  # fmt: skip
        answer = trial.native.request(method, path, json=body)
        assert answer.status_code == 403 and answer.json()["detail"], f"{method} {path}: {answer.status_code} {answer.text[:200]}"
    for method, body in (("patch", {"label": "x"}), ("delete", None), ("get", None)):
        assert trial.native.request(method, paths[3], json=body).status_code == 404
    krosai = trial.krosai.patch(f"/v1/endpoints/{endpoint}", json={"name": "x"})
    assert krosai.status_code == 403 and krosai.json()["code"] == "INSUFFICIENT_SCOPE"
    assert trial.cartesia.delete(f"/agents/{agent}").status_code == 403
    connector = f"/v1/agents/{agent}/telephony/connectors/{endpoint}"
    assert trial.polyai.patch(connector, json={"asrLangCode": "fr-FR"}).status_code == 403
    assert trial.polyai.delete(connector).status_code == 403
    assert [(ok(live.admin.get(path), 200), live.admin.get(path).headers["etag"]) for path in paths] == before
    assert server.api(credential("native", secret)).get(paths[3]).status_code == 200
    tried = ok(trial.native.post("/api/v1/endpoints", json={"name": "tried", "agent_id": other}), 201)
    assert tried["environment"] == "sandbox"
    ok(trial.native.patch(f"/api/v1/endpoints/{tried['id']}", json={"name": "again"}), 200)
    ok(trial.native.patch(f"/api/v1/agents/{other}", json={"name": "Eve"}), 200)
    assert trial.native.delete(f"/api/v1/endpoints/{tried['id']}").status_code == 204


def test_a_test_key_changes_no_number_that_costs(server):
    """Whatever environment it is in. Its own on an own trunk in the sandbox it does change."""
    live = server.tenant("pays")
    live.settings(imports="open")
    trial = Trial.__new__(Trial)
    trial.tenant, trial.server = live, server
    rows = [server.stock(setup=100, monthly=200) for _ in range(2)]
    paid, gone = [
        ok(live.native.post(NUMBERS, json={"stock_id": row["id"], "environment": "sandbox"}), 201) for row in rows
    ]
    ok(live.native.delete(f"{NUMBERS}/{gone['id']}"), 200)
    balance, before = live.balance(), [live.read(paid), live.read(gone)]
    ok(trial.native.get(f"{NUMBERS}/{paid['id']}"), 200)
    for method, path, body in (
        ("patch", paid["id"], {"label": "x"}), ("patch", paid["id"], {"status": "inactive"}), ("delete", paid["id"], None),
        ("delete", f"{paid['id']}?permanent=true", None), ("post", f"{paid['id']}/port-out", None),
        ("post", f"{gone['id']}/restore", None), ("delete", f"{gone['id']}?permanent=true", None),
    ):  # fmt: skip
        answer = trial.native.request(method, f"{NUMBERS}/{path}", json=body)
        assert answer.status_code == 403 and answer.json()["detail"], f"{method} {path}: {answer.status_code} {answer.text}"
    assert (live.balance(), [live.read(paid), live.read(gone)]) == (balance, before)
    trunk = live.trunk("198.51.100.17")["id"]
    own = ok(trial.native.post(NUMBERS, json={"e164": new_number(), "provider_id": trunk}), 201)
    ok(trial.native.patch(f"{NUMBERS}/{own['id']}", json={"label": "x"}), 200)
    for environment in ("live", "pre-release"):
        moved = trial.native.patch(f"{NUMBERS}/{own['id']}", json={"environment": environment})
        assert moved.status_code == 403, moved.text
        one = {"e164": new_number(), "environment": environment}
        assert trial.native.post(NUMBERS, json=one | {"provider_id": trunk}).status_code == 403
        many = trial.native.post(f"{NUMBERS}/import", json={"provider_id": trunk, "numbers": [one]})
        assert "use a live key" in many.text, many.text
    ok(trial.native.delete(f"{NUMBERS}/{own['id']}"), 200)
    ok(trial.native.post(f"{NUMBERS}/{own['id']}/restore"), 200)


def test_numbers_for_tests_are_not_reserved_nor_priced(server, tester):
    row = ok(tester.native.get(STOCK, params={"country": "CA", "limit": 1}), 200)["data"][0]
    refused = tester.native.post(f"{STOCK}/{row['id']}/hold")
    assert refused.status_code == 403 and "reserved" in refused.json()["detail"], refused.text
    for field in ("setup_cost_cents", "monthly_cost_cents"):
        priced = server.admin.patch(f"{STOCK}/{row['id']}", json={field: 500})
        assert (priced.status_code, priced.json()["field"]) == (422, field), priced.text
    ok(tester.native.post(NUMBERS, json={"stock_id": row["id"]}), 201)


def test_a_test_key_sees_the_calls_of_its_numbers_alone(server):
    live = server.tenant("calls of two modes")
    trial = Trial.__new__(Trial)
    trial.tenant, trial.server = live, server
    with Agent() as answering:
        endpoint = live.endpoint(answering.uri, agent=live.agent()["id"])
        trunk = live.trunk("127.0.0.21")
        number = live.number(trunk=trunk, endpoint_id=endpoint["id"])
        with Caller(server.sip, host="127.0.0.21") as caller:
            call = caller.invite(number["e164"])
            assert call.final(8).status == 200
            call.ack()
            call.bye()
    record = live.call_with(number["e164"], "completed")
    assert trial.native.get(f"/api/v1/calls/{record['id']}").status_code == 404
    assert trial.krosai.get(f"/v1/calls/{record['id']}").status_code == 404
    assert trial.krosai.delete(f"/v1/calls/{record['id']}").status_code == 404
    assert trial.native.post(f"/api/v1/calls/{record['id']}/hangup").status_code == 404
    assert trial.cartesia.get(f"/agents/calls/{record['id']}").status_code == 404
    assert ok(trial.cartesia.get("/agents/calls", params={"agent_id": number["agent_id"]}), 200)["data"] == []
    assert ok(trial.krosai.get("/v1/calls"), 200)["total"] == 0
    assert ok(trial.native.get("/api/v1/calls"), 200)["data"] == []
    bought = trial.buy()
    ok(trial.ring(bought, ring_seconds=1))
    wait_for(lambda: ok(trial.native.get("/api/v1/calls"), 200)["data"], "the test number's call is seen")
    assert {row["number"] for row in ok(trial.native.get("/api/v1/calls"), 200)["data"]} == {bought["e164"]}


def test_one_tenants_simulated_calls_leave_room_for_the_others(server):
    many, other = Trial(server, "many"), Trial(server, "other")
    with Agent() as busy, Agent() as agent:
        endpoint = many.tenant.endpoint(busy.uri, environment="sandbox")
        number = many.buy(endpoint_id=endpoint["id"])
        theirs = other.buy(endpoint_id=other.tenant.endpoint(agent.uri, environment="sandbox")["id"])
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(lambda: many.ring(number, hold_seconds=4)) for _ in range(8)]
            wait_for(lambda: len(busy.got("ACK")) == 5, "five talk")
            refused = many.ring(number)
            assert refused.status_code == 429 and "at most 5" in refused.json()["detail"], refused.text
            assert ok(other.ring(theirs), 200)["outcome"] == "completed"
            codes = sorted(answer.result().status_code for answer in answers)
        assert codes == [200] * 5 + [429] * 3
        assert ok(many.ring(number), 200)["outcome"] == "completed", "those that ended left their place"
