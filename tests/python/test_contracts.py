"""KrosAI's and Cartesia's operations of contracts/seed over HTTP: statuses, schemas, headers, paging, error codes, and the rules behind them."""

import uuid

import contract
import pytest
from harness import credential, new_number, ok

KROSAI, CARTESIA, AGENT_NUMBERS = "krosai", "cartesia-numbers", "cartesia-agent-numbers"
NUMBERS, NUMBER = "/phone-numbers", "/phone-numbers/{id}"
NOBODY = "0190b5b0-1111-7222-8333-444455556666"
PHONE_NUMBER = {
    "id", "e164", "country", "type", "status", "endpoint_id", "allow_inbound", "allow_outbound", "sip_uri",
    "organization_id", "created_at", "updated_at",
}  # fmt: skip


def krosai(response, method, path, status, code=None, *, closed=True):
    """An answer of KrosAI's API, held against its contract."""
    body = contract.check(KROSAI, method, path, response, status, closed=closed)
    if code:
        assert body["code"] == code, body
    return body


# --- KrosAI: lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(server):
    """A tenant with 25 numbers on its own trunk, in the order in which a list gives them."""
    holder = server.tenant("many numbers")
    trunk = holder.trunk("127.0.0.9")
    agent = holder.agent("Grace")
    endpoint = holder.endpoint("sip:127.0.0.1:5999", agent=agent)
    for index in range(25):
        holder.number(trunk=trunk, label=f"line {index:02}", endpoint_id=endpoint["id"] if index % 5 == 0 else None)
    holder.its_trunk, holder.its_agent = trunk, agent
    return holder


def test_krosai_lists_assigned_numbers_twenty_at_a_time(many):
    first = krosai(many.krosai.get("/v1/phone-numbers"), "get", NUMBERS, 200)
    assert len(first) == 20
    assert all(set(item) == PHONE_NUMBER and item["organization_id"] == many.id for item in first)
    rest = krosai(many.krosai.get("/v1/phone-numbers", params={"offset": 20}), "get", NUMBERS, 200)
    assert len(rest) == 5
    everything = krosai(many.krosai.get("/v1/phone-numbers", params={"limit": 100}), "get", NUMBERS, 200)
    assert [n["id"] for n in everything] == [n["id"] for n in first + rest]
    assert len({n["id"] for n in everything}) == 25
    same = krosai(many.krosai.get("/v1/phone-numbers", params={"action": "assigned", "limit": 1}), "get", NUMBERS, 200)
    assert same == first[:1]
    assert krosai(many.krosai.get("/v1/phone-numbers", params={"offset": 25}), "get", NUMBERS, 200) == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"limit": "many"}, {"offset": -1}, {"offset": "x"}, {"action": "stolen"},
     {"action": "available"}, {"action": "available", "country": "US", "type": "pager"},
     {"action": "available", "country": "Utopia"}],
)  # fmt: skip
def test_krosai_refuses_a_list_query_out_of_bounds(many, query):
    contract.check_schema(KROSAI, "Error", many.krosai.get("/v1/phone-numbers", params=query), 400)


def test_krosai_lists_available_numbers_of_a_country_and_type(server, tenant):
    local = server.stock(country="NL")
    mobile = server.stock(country="GB", kind="mobile")
    toll_free = server.stock(kind="toll_free")

    def available(**query):
        response = tenant.krosai.get("/v1/phone-numbers", params={"action": "available", "limit": 100} | query)
        # An item on sale may say more than the contract's PhoneNumber does: what it costs and can do.
        return krosai(response, "get", NUMBERS, 200, closed=False)

    assert [(n["id"], n["e164"], n["country"], n["type"]) for n in available(country="NL")] == [
        (local["id"], local["e164"], "NL", "local")
    ]
    assert [n["e164"] for n in available(country="GB", type="mobile")] == [mobile["e164"]]
    assert available(country="GB", type="local") == []
    assert toll_free["e164"] in [n["e164"] for n in available(country="US", type="toll_free")]
    assert available(country="FR") == []


def test_krosai_takes_both_credential_forms(tenant):
    key = tenant.key("krosai")
    assert key.startswith("kros_live_") and tenant.key("krosai", mode="test").startswith("kros_test_")
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        krosai(tenant.server.api(headers).get("/v1/phone-numbers"), "get", NUMBERS, 200)


def test_krosai_refuses_without_a_credential_and_with_a_wrong_one(tenant):
    anonymous = tenant.server.anonymous
    wrong = tenant.server.api({"authorization": "Bearer kros_live_nobodyhasthiskey000000000"})
    for client, code in ((anonymous, "MISSING_API_KEY"), (wrong, "INVALID_API_KEY")):
        krosai(client.get("/v1/phone-numbers"), "get", NUMBERS, 401, code)
        krosai(client.post("/v1/phone-numbers", json={"inventory_id": NOBODY}), "post", NUMBERS, 401, code)
        for method, body in (("get", None), ("patch", {"allowInbound": False}), ("delete", None)):
            response = client.request(method.upper(), f"/v1/phone-numbers/{NOBODY}", json=body)
            assert contract.check_schema(KROSAI, "Error", response, 401)["code"] == code


# --- KrosAI: purchase --------------------------------------------------------------------------------------------------------


def test_krosai_sells_by_inventory_id(server):
    buyer = server.tenant("buyer", cents=1_000)
    row = server.stock(country="CA", setup=150, monthly=250, sms=True)
    endpoint = buyer.endpoint("sip:127.0.0.1:5999")
    request = {"inventory_id": row["id"], "endpointId": endpoint["id"], "totalCostCents": 400}
    bought = krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 201)
    assert set(bought) == PHONE_NUMBER
    assert bought["e164"] == row["e164"] and bought["country"] == "CA" and bought["type"] == "local"
    assert bought["status"] == "active" and bought["endpoint_id"] == endpoint["id"]
    assert (bought["allow_inbound"], bought["allow_outbound"]) == (True, False)
    assert bought["organization_id"] == buyer.id and bought["sip_uri"].startswith("sip:")
    assert buyer.balance() == 600
    detail = krosai(buyer.krosai.get(f"/v1/phone-numbers/{bought['id']}"), "get", NUMBER, 200)
    assert {key: detail[key] for key in PHONE_NUMBER} == bought
    assert detail["inventory"] == {
        "monthly_cost_cents": 250,
        "setup_cost_cents": 150,
        "capabilities": {"voice": True, "sms": True, "fax": False},
    }
    on_sale = buyer.krosai.get("/v1/phone-numbers", params={"action": "available", "country": "CA", "limit": 100})
    assert row["e164"] not in [n["e164"] for n in ok(on_sale, 200)]


def test_krosai_sells_by_number_country_and_type(server):
    buyer = server.tenant("buyer", cents=1_000)
    row = server.stock(country="GB", kind="mobile", setup=0, monthly=300)
    request = {"e164": row["e164"], "country": "GB", "type": "mobile", "setupCostCents": 0, "monthlyCostCents": 300}
    bought = krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 201)
    assert bought["e164"] == row["e164"] and bought["endpoint_id"] is None
    assert buyer.balance() == 700
    [listed] = krosai(buyer.krosai.get("/v1/phone-numbers"), "get", NUMBERS, 200)
    assert listed == bought


def test_krosai_wants_all_fields_of_a_purchase(tenant):
    for request in ({}, {"e164": new_number()}, {"e164": new_number(), "country": "US"}, {"country": "US", "type": "local"}):
        krosai(tenant.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 400, "MISSING_FIELDS")


@pytest.mark.parametrize(
    ("state", "code"),
    [("not_submitted", "KYC_NOT_SUBMITTED"), ("initiated", "KYC_INITIATED"), ("pending", "KYC_PENDING"),
     ("declined", "KYC_DECLINED")],
)  # fmt: skip
def test_krosai_sells_only_to_those_who_are_known(server, state, code):
    row = server.stock()
    buyer = server.tenant("unknown", kyc=None)
    if state != "not_submitted":  # the state of a new organization
        buyer.set_kyc(state)
    request = {"inventory_id": row["id"]}
    krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 400, code)
    # Fields come before KYC, and KYC before availability and balance.
    krosai(buyer.krosai.post("/v1/phone-numbers", json={}), "post", NUMBERS, 400, "MISSING_FIELDS")
    krosai(buyer.krosai.post("/v1/phone-numbers", json={"inventory_id": NOBODY}), "post", NUMBERS, 400, code)
    assert buyer.balance() == 1_000_000
    buyer.set_kyc("approved")
    krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 201)


def test_krosai_does_not_sell_what_is_not_there(server):
    buyer, other = server.tenant("buyer"), server.tenant("other")
    row = server.stock()
    krosai(other.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}), "post", NUMBERS, 201)
    gone = [
        {"inventory_id": row["id"]},
        {"inventory_id": NOBODY},
        {"e164": row["e164"], "country": "US", "type": "local"},
        {"e164": new_number("DE"), "country": "DE", "type": "local"},
    ]
    for request in gone:
        krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 400, "NUMBER_NOT_AVAILABLE")
    # A repeat without an idempotency key is a new request, also for the one who holds the number.
    again = other.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]})
    krosai(again, "post", NUMBERS, 400, "NUMBER_NOT_AVAILABLE")
    assert buyer.balance() == 1_000_000


def test_krosai_sells_only_for_money_that_is_there(server):
    buyer = server.tenant("poor", cents=299)
    row = server.stock(setup=100, monthly=200)
    request = {"inventory_id": row["id"]}
    krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 402, "INSUFFICIENT_BALANCE")
    # Availability comes before balance.
    krosai(buyer.krosai.post("/v1/phone-numbers", json={"inventory_id": NOBODY}), "post", NUMBERS, 400, "NUMBER_NOT_AVAILABLE")
    assert buyer.balance() == 299
    buyer.credit(1)
    krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 201)
    assert buyer.balance() == 0


@pytest.mark.parametrize("field", ["totalCostCents", "setupCostCents", "monthlyCostCents"])
def test_krosai_prices_come_from_stock(server, tenant, field):
    row = server.stock(setup=100, monthly=200)
    before = tenant.balance()
    response = tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"], field: 1})
    krosai(response, "post", NUMBERS, 400)
    assert tenant.balance() == before


def test_krosai_binds_only_to_an_own_endpoint(server, tenant):
    row = server.stock()
    foreign = server.tenant("other").endpoint("sip:127.0.0.1:5999")
    before = tenant.balance()
    for endpoint in (foreign["id"], NOBODY):
        response = tenant.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"], "endpointId": endpoint})
        assert response.status_code in (400, 404), response.text
        contract.check_schema(KROSAI, "Error", response, response.status_code)
    assert tenant.balance() == before


def test_krosai_sells_only_to_those_who_may_buy(server, tenant):
    row = server.stock()
    viewer = tenant.client("krosai", "viewer")
    reader = server.api(credential("krosai", tenant.key("krosai", scopes=["numbers:read"])))
    elsewhere = tenant.client("krosai", **{"x-organization-id": server.tenant("other").id})
    for client, code in ((viewer, "INSUFFICIENT_SCOPE"), (reader, "INSUFFICIENT_SCOPE"), (elsewhere, None)):
        krosai(client.post("/v1/phone-numbers", json={"inventory_id": row["id"]}), "post", NUMBERS, 403, code)
    own = tenant.client("krosai", **{"x-organization-id": tenant.id})
    krosai(own.post("/v1/phone-numbers", json={"inventory_id": row["id"]}), "post", NUMBERS, 201)


# --- KrosAI: one number ------------------------------------------------------------------------------------------------------


def test_krosai_shows_the_sip_password_to_owners_and_admins(tenant):
    number = tenant.number()
    path = f"/v1/phone-numbers/{number['id']}"
    seen = {}
    for role in ("owner", "admin", "member", "viewer"):
        detail = krosai(tenant.client("krosai", role).get(path), "get", NUMBER, 200)
        seen[role] = detail["sip_credentials"]
        assert {"sip_domain", "sip_port", "sip_username"} <= set(seen[role])
        assert ("sip_password" in seen[role]) == (role in ("owner", "admin")), role
    assert len(seen["owner"]["sip_password"]) >= 16
    assert seen["owner"] == seen["admin"]
    assert krosai(tenant.krosai.get(path), "get", NUMBER, 200)["sip_credentials"] == seen["owner"]
    ok(tenant.admin.post(f"/api/v1/numbers/{number['id']}/sip-credentials"))
    renewed = krosai(tenant.krosai.get(path), "get", NUMBER, 200)["sip_credentials"]
    assert renewed["sip_password"] != seen["owner"]["sip_password"]


def test_krosai_answers_404_for_what_is_not_there(tenant):
    for name in (NOBODY, "not-a-uuid", "%00", "..%2f..%2fetc"):
        path = f"/v1/phone-numbers/{name}"
        krosai(tenant.krosai.get(path), "get", NUMBER, 404)
        krosai(tenant.krosai.patch(path, json={"allowInbound": True}), "patch", NUMBER, 404)
        krosai(tenant.krosai.delete(path), "delete", NUMBER, 404)
        krosai(tenant.krosai.delete(path, params={"action": "release"}), "delete", NUMBER, 404)
    contract.check_schema(KROSAI, "Error", tenant.krosai.get("/v1/no-such-thing"), 404)


@pytest.fixture
def bound(tenant):
    """A number with an endpoint, and a second endpoint."""
    number = tenant.number(endpoint_id=tenant.endpoint("sip:127.0.0.1:5998")["id"])
    number["path"], number["other"] = f"/v1/phone-numbers/{number['id']}", tenant.endpoint("sip:127.0.0.1:5999")["id"]
    return number


def test_krosai_patch_leaves_what_is_absent(tenant, bound):
    before = krosai(tenant.krosai.get(bound["path"]), "get", NUMBER, 200)
    for request in ({}, {"allowInbound": True}):
        after = krosai(tenant.krosai.patch(bound["path"], json=request), "patch", NUMBER, 200)
        assert set(after) == PHONE_NUMBER
        assert {k: v for k, v in after.items() if k != "updated_at"} == {
            k: before[k] for k in PHONE_NUMBER - {"updated_at"}
        }


@pytest.mark.parametrize("name", ["endpointId", "endpoint_id"])
def test_krosai_patch_moves_and_detaches_the_endpoint(tenant, bound, name):
    moved = krosai(tenant.krosai.patch(bound["path"], json={name: bound["other"]}), "patch", NUMBER, 200)
    assert moved["endpoint_id"] == bound["other"]
    detached = krosai(tenant.krosai.patch(bound["path"], json={name: None}), "patch", NUMBER, 200)
    assert detached["endpoint_id"] is None
    assert krosai(tenant.krosai.get(bound["path"]), "get", NUMBER, 200)["endpoint_id"] is None


@pytest.mark.parametrize(
    ("camel", "snake", "field"),
    [("allowInbound", "allow_inbound", "allow_inbound"), ("allowOutbound", "allow_outbound", "allow_outbound")],
)
def test_krosai_patch_takes_flags_in_both_spellings(tenant, bound, camel, snake, field):
    for name in (camel, snake):
        for value in (True, False):
            after = krosai(tenant.krosai.patch(bound["path"], json={name: value}), "patch", NUMBER, 200)
            assert after[field] is value
    same = krosai(tenant.krosai.patch(bound["path"], json={camel: True, snake: True}), "patch", NUMBER, 200)
    assert same[field] is True
    krosai(tenant.krosai.patch(bound["path"], json={camel: True, snake: False}), "patch", NUMBER, 400)
    assert krosai(tenant.krosai.get(bound["path"]), "get", NUMBER, 200)[field] is True


def test_krosai_patch_refuses_two_different_endpoints(tenant, bound):
    request = {"endpointId": bound["other"], "endpoint_id": None}
    krosai(tenant.krosai.patch(bound["path"], json=request), "patch", NUMBER, 400)
    assert krosai(tenant.krosai.get(bound["path"]), "get", NUMBER, 200)["endpoint_id"] == bound["endpoint_id"]


def test_krosai_patch_sets_the_status(tenant, bound):
    for status in ("inactive", "active", "active"):
        assert krosai(tenant.krosai.patch(bound["path"], json={"status": status}), "patch", NUMBER, 200)["status"] == status


@pytest.mark.parametrize(
    "request_body",
    [{"status": "pending"}, {"status": "released"}, {"status": None}, {"status": 1}, {"allowInbound": "yes"},
     {"allowInbound": None}, {"allowOutbound": 1}, {"endpointId": 7}, {"endpointId": "not-a-uuid"}, {"endpointId": ""}],
)  # fmt: skip
def test_krosai_patch_refuses_wrong_values(tenant, bound, request_body):
    krosai(tenant.krosai.patch(bound["path"], json=request_body), "patch", NUMBER, 400)
    assert tenant.read(bound)["updated_at"] == bound["updated_at"]


def test_krosai_patch_refuses_a_foreign_endpoint_like_an_unknown_one(server, tenant, bound):
    foreign = server.tenant("other").endpoint("sip:127.0.0.1:5999")
    answers = [tenant.krosai.patch(bound["path"], json={"endpointId": e}) for e in (foreign["id"], NOBODY)]
    assert answers[0].status_code == answers[1].status_code
    for answer in answers:
        krosai(answer, "patch", NUMBER, answer.status_code)  # the contract has 400 and 404
        assert answer.status_code >= 400
    assert tenant.read(bound)["endpoint_id"] == bound["endpoint_id"]


def test_krosai_release_keeps_the_row_and_frees_the_number(server):
    holder = server.tenant("holder")
    holder.settings(quarantine_days=0)
    number = holder.number()
    path = f"/v1/phone-numbers/{number['id']}"
    body = krosai(holder.krosai.delete(path, params={"action": "release"}), "delete", NUMBER, 200)
    assert body == {"success": True, "action": "release"}
    kept = holder.read(number)
    assert kept["status"] == "released" and kept["released_at"] and kept["e164"] == number["e164"]
    # A released row is not woken up by a PATCH, and is not listed among those that are held.
    assert holder.krosai.patch(path, json={"status": "active"}).status_code in (400, 404)
    assert krosai(holder.krosai.get("/v1/phone-numbers"), "get", NUMBERS, 200) == []
    request = {"e164": number["e164"], "country": "US", "type": "local"}
    buyer = server.tenant("next")
    krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 201)
    assert holder.read(number)["status"] == "released"


def test_a_released_number_rests_before_it_is_sold_again_and_can_be_restored(server):
    holder, buyer = server.tenant("holder"), server.tenant("buyer")
    number = holder.number()
    path = f"/v1/phone-numbers/{number['id']}"
    krosai(holder.krosai.delete(path, params={"action": "release"}), "delete", NUMBER, 200)
    assert holder.read(number)["quarantined_until"]
    request = {"e164": number["e164"], "country": "US", "type": "local"}
    krosai(buyer.krosai.post("/v1/phone-numbers", json=request), "post", NUMBERS, 400, "NUMBER_NOT_AVAILABLE")
    restored = ok(holder.admin.post(f"/api/v1/numbers/{number['id']}/restore"), 200)
    assert restored["status"] == "active" and restored["released_at"] is None
    assert krosai(holder.krosai.get(path), "get", NUMBER, 200)["status"] == "active"


def test_krosai_hard_delete_leaves_nothing_to_get(tenant):
    number = tenant.number()
    path = f"/v1/phone-numbers/{number['id']}"
    response = tenant.krosai.delete(path)
    krosai(response, "delete", NUMBER, 204)
    assert response.content == b""
    krosai(tenant.krosai.get(path), "get", NUMBER, 404)
    krosai(tenant.krosai.delete(path), "delete", NUMBER, 404)
    krosai(tenant.krosai.delete(path, params={"action": "release"}), "delete", NUMBER, 404)


def test_krosai_delete_knows_one_action(tenant):
    number = tenant.number()
    response = tenant.krosai.delete(f"/v1/phone-numbers/{number['id']}", params={"action": "burn"})
    contract.check_schema(KROSAI, "Error", response, 400)
    assert tenant.read(number)["status"] == "active"


# --- Cartesia ----------------------------------------------------------------------------------------------------------------

LIST, OF_AGENT = "/agents/phone-numbers", "/agents/{agent_id}/phone-numbers"


def page(client, **query):
    response = client.get(LIST, params=query)
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {"data", "has_more"}
    return body


def cartesia_error(response, status):
    assert response.status_code == status, f"{response.status_code}, not {status}: {response.text[:400]}"
    body = response.json()
    assert set(body) - {"doc_url"} == {"error_code", "title", "message", "request_id"}, body
    uuid.UUID(body["request_id"])
    assert body["title"] and body["message"] and (body["error_code"] is None or body["error_code"])
    return body


@pytest.fixture(scope="module")
def managed(server):
    """A tenant with 25 numbers from stock, every third with an agent."""
    holder = server.tenant("managed numbers")
    holder.its_agent = holder.agent("Katherine")
    endpoint = holder.endpoint("sip:127.0.0.1:5999", agent=holder.its_agent)
    for index in range(25):
        fields = {"endpoint_id": endpoint["id"]} if index % 3 == 0 else {}
        holder.number(label=f"desk {index:02}", **fields)
    return holder


@pytest.mark.parametrize("version", ["2026-03-01", "2026-08-14"])
@pytest.mark.parametrize("form", ["bearer", "x-api-key"])
def test_cartesia_lists_numbers_in_both_versions_with_both_credentials(managed, version, form):
    key = managed.key("cartesia")
    assert key.startswith("sk_car_")
    secret = {"authorization": f"Bearer {key}"} if form == "bearer" else {"x-api-key": key}
    client = managed.server.api(secret | {"cartesia-version": version})
    body = contract.check(CARTESIA, "get", LIST, client.get(LIST), 200)
    assert len(body["data"]) == 10 and body["has_more"] is True
    for item in body["data"]:
        assert item["id"].startswith("pn_") and item["provider"] == {"type": "cartesia"}
        assert item["label"].startswith("desk ")
        assert item["agent"] in (None, {"id": managed.its_agent["id"], "name": "Katherine"})
    mine = contract.check(AGENT_NUMBERS, "get", OF_AGENT, client.get(f"/agents/{managed.its_agent['id']}/phone-numbers"), 200)
    assert len(mine) == 9
    assert all(n["agent_id"] == managed.its_agent["id"] and n["is_cartesia_managed"] is True for n in mine)


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 25, 100])
def test_cartesia_pages_have_the_same_order_in_both_directions(managed, limit):
    client = managed.cartesia
    everything = [n["id"] for n in page(client, limit=100)["data"]]
    assert len(everything) == len(set(everything)) == 25
    forward, cursor = [], {}
    while True:
        body = page(client, limit=limit, **cursor)
        ids = [n["id"] for n in body["data"]]
        forward += ids
        assert body["has_more"] == (len(forward) < 25)
        if not ids:
            break
        cursor = {"starting_after": ids[-1]}
        assert len(forward) <= 25, "a page repeats what an earlier one had"
    assert forward == everything
    backward, cursor = [], {"ending_before": everything[-1]}
    while True:
        body = page(client, limit=limit, **cursor)
        ids = [n["id"] for n in body["data"]]
        backward = ids + backward
        assert body["has_more"] == (len(backward) < 24)
        if not ids:
            break
        cursor = {"ending_before": ids[0]}
        assert len(backward) <= 24, "a page repeats what an earlier one had"
    assert backward == everything[:-1]


def test_cartesia_cursor_at_either_end_gives_an_empty_page(managed):
    everything = [n["id"] for n in page(managed.cartesia, limit=100)["data"]]
    assert page(managed.cartesia, starting_after=everything[-1]) == {"data": [], "has_more": False}
    assert page(managed.cartesia, ending_before=everything[0]) == {"data": [], "has_more": False}


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"limit": -5}, {"limit": "ten"}, {"starting_after": "pn_nowhere"},
     {"ending_before": "%%%"}, {"starting_after": "' OR 1=1 --"}, {"type": "pigeon"}],
)  # fmt: skip
def test_cartesia_refuses_a_bad_page(managed, query):
    cartesia_error(managed.cartesia.get(LIST, params=query), 400)


def test_cartesia_refuses_two_cursors_at_once(managed):
    ids = [n["id"] for n in page(managed.cartesia, limit=2)["data"]]
    cartesia_error(managed.cartesia.get(LIST, params={"starting_after": ids[0], "ending_before": ids[1]}), 400)


def test_cartesia_filters(managed, many):
    client = managed.cartesia
    everything = page(client, limit=100)["data"]
    of_agent = [n for n in everything if n["agent"]]
    assert page(client, limit=100, agent_id=managed.its_agent["id"])["data"] == of_agent
    assert page(client, limit=100, agent_id="agent_nobody")["data"] == []
    assert page(client, limit=100, type="cartesia")["data"] == everything
    assert page(client, limit=100, type="twilio")["data"] == []
    one = everything[7]
    assert page(client, q=one["number"])["data"] == [one]
    assert page(client, q=one["number"][-7:])["data"] == [one]
    assert page(client, q=one["label"].upper())["data"] == [one]
    assert page(client, q="katherine", limit=100)["data"] == of_agent
    assert page(client, q="nothing like this")["data"] == []
    assert page(client, q="%")["data"] == []
    # Filters and cursors together.
    first = page(client, limit=4, q="katherine")
    second = page(client, limit=4, q="katherine", starting_after=first["data"][-1]["id"])
    assert first["data"] + second["data"] == of_agent[:8] and second["has_more"] is True
    # By provider: an own trunk has an id.
    assert len(page(many.cartesia, limit=100, provider_id=many.its_trunk["id"])["data"]) == 25
    assert page(many.cartesia, limit=100, provider_id=NOBODY)["data"] == []


@pytest.mark.parametrize("version", ["2026-03-01", "2026-08-14"])
def test_cartesia_shows_an_own_trunk_as_sip_trunk(many, version):
    client = many.client("cartesia", **{"cartesia-version": version})
    body = page(client, limit=100)
    assert len(body["data"]) == 25
    for item in body["data"]:
        assert item["provider"] == {"type": "sip_trunk", "id": many.its_trunk["id"], "label": "carrier"}
        contract.validate(CARTESIA, "PhoneNumberBaseResponse", {k: v for k, v in item.items() if k != "provider"})
    mine = client.get(f"/agents/{many.its_agent['id']}/phone-numbers")
    assert [n["is_cartesia_managed"] for n in contract.check(AGENT_NUMBERS, "get", OF_AGENT, mine, 200)] == [False] * 5


def test_cartesia_refusals_have_its_shape(server, tenant):
    cartesia_error(server.anonymous.get(LIST), 401)
    cartesia_error(server.api({"authorization": "Bearer sk_car_nobody", "cartesia-version": "2026-03-01"}).get(LIST), 401)
    cartesia_error(tenant.cartesia.get("/agents/agent_nobody/phone-numbers"), 404)
    cartesia_error(tenant.cartesia.get("/agents/phone-numbers/pn_x/no/such/path"), 404)
    unknown = tenant.client("cartesia", **{"cartesia-version": "1999-01-01"}).get(LIST)
    assert "version" in cartesia_error(unknown, 404)["title"].lower()
    lacking = server.api(credential("cartesia", tenant.key("cartesia", scopes=["calls:read"])))
    cartesia_error(lacking.get(LIST), 403)
