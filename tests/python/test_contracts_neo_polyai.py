"""Neo's and PolyAI's operations of contracts/seed over HTTP, and one number through all four APIs."""

import uuid

import contract
import pytest
from harness import credential, new_number, ok

NEO, POLYAI = "neo", "polyai"
SEED_POLYAI = "/v1/agents/{agentId}/telephony/phone-numbers/{phoneNumber}"
SEED_NEO = "/public-api/phone/numbers"


# --- Neo ---------------------------------------------------------------------------------------------------------------------


def neo(response, status=200):
    body = contract.check(NEO, "get", SEED_NEO, response, status)
    limit, remaining, reset = (int(response.headers[f"x-ratelimit-{part}"]) for part in ("limit", "remaining", "reset"))
    assert limit > 0 and 0 <= remaining <= limit and reset > 1_600_000_000
    return body


COUNTRIES = {
    "US": ["US", "+1", None, None],
    "CA": ["CA", "+1", None, None],
    "GB": ["GB", "+44", "BUd29cd8d0f57893ad3311964d784dc9a1", "AD231ece3809334da636dd351b9f2fdf60"],
    "NL": ["NL", "+31", None, "AD3e3f88b6d5277d90f9a5b3946c8f6b4c"],
    "AU": ["AU", "+61", None, "AD2959da1db1ac1fc0bd2019c9baa658dc"],
}


def test_neo_lists_all_numbers_in_its_envelope(server):
    holder = server.tenant("neo")
    assert neo(holder.neo.get(SEED_NEO))["data"] == []
    numbers = {}
    for country in COUNTRIES:
        row = server.stock(country=country)
        numbers[country] = ok(holder.admin.post("/api/v1/numbers", json={"stock_id": row["id"]}), 201)
    settings = {"missing_customer": {"action": "create", "depth": [1, 2.5, None, "é"]}}
    holder.patch(numbers["US"], psa_settings=settings, agent_settings={"voice": "calm", "nested": {"x": []}})
    holder.patch(numbers["CA"], status="inactive")
    body = neo(holder.neo.get(SEED_NEO))
    assert body["meta"]["pagination"] == {"next_cursor": None, "has_more": False}
    found = {item["number"]: item for item in body["data"]}
    assert set(found) == {n["e164"] for n in numbers.values()}
    for country, number in numbers.items():
        item = found[number["e164"]]
        assert item["country"] == COUNTRIES[country]
        assert item["status"] == ("INACTIVE" if country == "CA" else "ACTIVE")
        assert item["minutes_used_this_month"] in (0, None)
    assert found[numbers["US"]["e164"]]["psa_settings"] == settings
    assert found[numbers["US"]["e164"]]["agent_settings"] == {"voice": "calm", "nested": {"x": []}}
    assert found[numbers["NL"]["e164"]]["psa_settings"] == found[numbers["NL"]["e164"]]["agent_settings"] == {}
    # Integer ids are stable, differ, and the list keeps its order; a request has its own id.
    again = neo(holder.neo.get(SEED_NEO))
    assert again["data"] == body["data"] and len({n["id"] for n in body["data"]}) == 5
    assert again["meta"]["request_id"] != body["meta"]["request_id"]
    # What is released is not listed.
    ok(holder.admin.delete(f"/api/v1/numbers/{numbers['AU']['id']}"))
    assert numbers["AU"]["e164"] not in [n["number"] for n in neo(holder.neo.get(SEED_NEO))["data"]]


def test_neo_gives_other_countries_the_same_form(server):
    holder = server.tenant("neo abroad")
    number = holder.number(trunk=holder.trunk("127.0.0.10"), e164=new_number("DE"))
    response = holder.neo.get(SEED_NEO)
    assert response.status_code == 200
    [item] = response.json()["data"]
    assert item["number"] == number["e164"] and item["country"] == ["DE", "+49", None, None]
    contract.validate(NEO, "PublicPhoneNumber", item | {"country": COUNTRIES["US"]})


def test_neo_refusals_have_its_shape(server, tenant):
    assert tenant.key("neo").startswith("neo_sk_")

    def refused(response, status):
        body = contract.check(NEO, "get", SEED_NEO, response, status)
        assert body["error"]["code"].isupper() and body["error"]["message"]
        uuid.UUID(body["meta"]["request_id"])
        return body["error"]["code"]

    refused(server.anonymous.get(SEED_NEO), 401)
    refused(server.api({"authorization": "Bearer neo_sk_prod_nobody"}).get(SEED_NEO), 401)
    lacking = server.api(credential("neo", tenant.key("neo", scopes=["calls:read"])))
    assert refused(lacking.get(SEED_NEO), 403) == "FORBIDDEN"
    refused(tenant.neo.get("/public-api/phone/pigeons"), 404)


def test_neo_limits_a_tenant_to_1200_requests_a_minute(server):
    busy, other = server.tenant("neo busy"), server.tenant("neo other")
    # The allowance refills by 20 a second while we ask, so a few more than 1,200 get through.
    for asked in range(1, 2_400):
        response = busy.neo.get(SEED_NEO)
        if response.status_code != 200:
            break
    assert asked > 1_200, f"refused after {asked}"
    body = contract.check(NEO, "get", SEED_NEO, response, 429)
    assert body["meta"]["request_id"] == response.headers["x-request-id"]
    assert response.json()["error"]["code"] and int(response.headers["retry-after"]) >= 1
    assert response.headers["x-ratelimit-limit"] == "1200" and response.headers["x-ratelimit-remaining"] == "0"
    # The limit is the tenant's: another key of it finds the same allowance used up (but for what refilled meanwhile), while
    # another tenant has its own.
    again = server.api(credential("neo", busy.key("neo", role="viewer"))).get(SEED_NEO)
    assert int(again.headers["x-ratelimit-remaining"]) < 600
    assert int(other.neo.get(SEED_NEO).headers["x-ratelimit-remaining"]) == 1_199


# --- PolyAI ------------------------------------------------------------------------------------------------------------------


def polyai_path(agent, number):
    return f"/v1/agents/{agent}/telephony/phone-numbers/{number}"


def polyai_error(response, status, code):
    contract.check(POLYAI, "get", SEED_POLYAI, response, status)
    body = response.json()
    assert set(body) == {"success", "error", "error_id", "error_code", "error_message", "data"}, body
    assert body["success"] is False and body["data"] is None and body["error_code"] == code
    assert body["error"] and body["error_message"]
    assert body["error_id"] == response.headers["x-polyai-correlation-id"]
    return body


@pytest.fixture(scope="module")
def connected(tenant):
    """A number behind an agent's endpoint."""
    agent = tenant.agent("Mary")
    endpoint = tenant.endpoint("sip:127.0.0.1:5999", agent=agent, environment="pre-release")
    return tenant.number(endpoint_id=endpoint["id"])


def test_polyai_shows_a_number_by_raw_and_encoded_plus(tenant, connected):
    for spelled in (connected["e164"], connected["e164"].replace("+", "%2B"), connected["e164"].replace("+", "%2b")):
        response = tenant.polyai.get(polyai_path(connected["agent_id"], spelled))
        assert contract.check(POLYAI, "get", SEED_POLYAI, response, 200) == {
            "number": connected["e164"],
            "projectId": connected["agent_id"],
            "accountId": tenant.id,
            "clientEnv": "pre-release",
            "connectorId": connected["endpoint_id"],
        }


def test_polyai_leaves_out_the_connector_where_there_is_none(tenant):
    agent = tenant.agent("Lone")
    number = tenant.number(agent_id=agent["id"])
    assert number["endpoint_id"] is None
    body = contract.check(POLYAI, "get", SEED_POLYAI, tenant.polyai.get(polyai_path(agent["id"], number["e164"])), 200)
    assert "connectorId" not in body and body["projectId"] == agent["id"] and body["clientEnv"] == "live"


def test_polyai_echoes_the_correlation_id(tenant, connected):
    good = polyai_path(connected["agent_id"], connected["e164"])
    mine = {"x-polyai-correlation-id": "adk-123e4567"}
    assert tenant.polyai.get(good, headers=mine).headers["x-polyai-correlation-id"] == "adk-123e4567"
    made = {tenant.polyai.get(good).headers["x-polyai-correlation-id"] for _ in range(2)}
    assert len(made) == 2 and all(made)
    refused = tenant.polyai.get(polyai_path(connected["agent_id"], new_number()), headers=mine)
    assert polyai_error(refused, 404, "PHONE_NUMBERS_NOT_FOUND")["error_id"] == "adk-123e4567"


def test_polyai_refusals_have_its_shape(server, tenant, connected):
    good = polyai_path(connected["agent_id"], connected["e164"])
    polyai_error(server.anonymous.get(good), 401, "AUTH_USER_UNAUTHORISED")
    assert server.api({"x-api-key": "nobody"}).get(good).json()["error_code"].startswith("AUTH_USER_")
    lacking = server.api(credential("polyai", tenant.key("polyai", scopes=["calls:read"])))
    polyai_error(lacking.get(good), 403, "USER_ACCESS_FORBIDDEN")
    polyai_error(tenant.polyai.get(polyai_path(connected["agent_id"], new_number())), 404, "PHONE_NUMBERS_NOT_FOUND")
    # A number of another agent is not this agent's.
    polyai_error(tenant.polyai.get(polyai_path(tenant.agent("Else")["id"], connected["e164"])), 404, "PHONE_NUMBERS_NOT_FOUND")


# --- All four ----------------------------------------------------------------------------------------------------------------


def test_a_number_written_through_one_api_is_seen_through_all(server):
    holder = server.tenant("one number")
    agent = holder.agent("Emmy")
    endpoint = holder.endpoint("sip:127.0.0.1:5999", agent=agent)
    row = server.stock()
    bought = ok(holder.krosai.post("/v1/phone-numbers", json={"inventory_id": row["id"]}), 201)
    ok(holder.krosai.patch(f"/v1/phone-numbers/{bought['id']}", json={"endpointId": endpoint["id"]}), 200)
    native = ok(holder.native.get(f"/api/v1/numbers/{row['e164']}"), 200)
    assert native["id"] == bought["id"] and native["agent_id"] == agent["id"] and native["environment"] == "live"
    assert ok(holder.native.get(f"/api/v1/numbers/{row['e164'].replace('+', '%2B')}"), 200) == native
    [cartesia] = ok(holder.cartesia.get("/agents/phone-numbers"), 200)["data"]
    assert cartesia["number"] == row["e164"] and cartesia["agent"] == {"id": agent["id"], "name": "Emmy"}
    [of_agent] = ok(holder.cartesia.get(f"/agents/{agent['id']}/phone-numbers"), 200)
    assert of_agent["number"] == row["e164"]
    [neo_item] = neo(holder.neo.get(SEED_NEO))["data"]
    assert neo_item["number"] == row["e164"] and neo_item["status"] == "ACTIVE"
    polyai = ok(holder.polyai.get(polyai_path(agent["id"], row["e164"])), 200)
    assert polyai["connectorId"] == endpoint["id"] and polyai["clientEnv"] == "live"
    ok(holder.krosai.patch(f"/v1/phone-numbers/{bought['id']}", json={"status": "inactive"}), 200)
    assert neo(holder.neo.get(SEED_NEO))["data"][0]["status"] == "INACTIVE"
