"""What a tenant sees of another, and what is the operator's. Every operation by who asks: test_access_matrix.py."""

import re

import pytest
from documents import METHODS
from harness import ok


@pytest.fixture(scope="module")
def two(server):
    """Two tenants that own one of everything."""
    return owner_of_all(server, "mine", "127.0.0.21"), owner_of_all(server, "theirs", "127.0.0.22")


def owner_of_all(server, name, address):
    tenant = server.tenant(name)
    agent = tenant.agent(f"agent of {name}")
    endpoint = tenant.endpoint("sip:127.0.0.1:5999", agent=agent)
    number = tenant.number(endpoint_id=endpoint["id"])
    tenant.ids = {
        "agents": agent["id"],
        "endpoints": endpoint["id"],
        "providers": tenant.trunk(address)["id"],
        "numbers": number["id"],
        "organizations": tenant.id,
        "e164": number["e164"],
    }
    tenant.key("native")
    [key, *_] = ok(server.admin.get(f"/api/v1/organizations/{tenant.id}/keys"), 200)["data"]
    tenant.ids["keys"] = key["id"]
    return tenant


def native_operations(server):
    """(method, path) of each operation in the native OpenAPI document, but for what is open to all."""
    document = ok(server.anonymous.get("/openapi/native.json"), 200)
    operations = [
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method in METHODS and path.startswith("/api/")
    ]
    assert all(path.startswith("/api/v1/") for _, path in operations), operations
    return operations


# The native API of ARCHITECTURE.md: other tests walk its OpenAPI document, and this keeps the document honest.
NATIVE = """
get,post /organizations; get,patch /organizations/{}; get,post /organizations/{}/keys; delete /organizations/{}/keys/{};
get,post /organizations/{}/ledger; get /organizations/{}/balance; get,post /agents; get,patch,delete /agents/{};
get,post /endpoints; get,patch,delete /endpoints/{}; get,post /providers; get,patch,delete /providers/{};
get,post /stock; patch,delete /stock/{}; get,post /numbers; post /numbers/import; get,patch,delete /numbers/{};
post /numbers/{}/restore; post /numbers/{}/sip-credentials; get /numbers/{}/explain; get /calls; get /calls/{}; get /events; get,post /webhooks;
get,patch,delete /webhooks/{}; get /webhooks/{}/deliveries; post /webhooks/{}/deliveries/{}/retry
"""


def test_the_native_document_lists_the_native_api(server):
    listed = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in native_operations(server)}
    for line in NATIVE.replace("\n", " ").strip().split(";"):
        methods, path = line.split()
        for method in methods.split(","):
            assert (method, f"/api/v1{path}") in listed, f"{method} {path} is not in the OpenAPI document"


def test_lists_show_only_the_own_numbers(two):
    for tenant, other in (two, two[::-1]):
        for dialect, path in (
            ("krosai", "/v1/phone-numbers"), ("cartesia", "/agents/phone-numbers"), ("neo", "/public-api/phone/numbers"),
            ("native", "/api/v1/numbers"),
        ):  # fmt: skip
            response = tenant.client(dialect).get(path)
            assert response.status_code == 200
            assert tenant.ids["e164"] in response.text and other.ids["e164"] not in response.text, path


def test_a_header_that_names_another_organization_is_refused(two):
    mine, theirs = two
    for dialect, path in (("krosai", "/v1/phone-numbers"), ("native", "/api/v1/numbers")):
        foreign = mine.client(dialect, **{"x-organization-id": theirs.id}).get(path)
        assert foreign.status_code == 403, f"{dialect}: {foreign.status_code} {foreign.text[:200]}"
        assert theirs.ids["e164"] not in foreign.text
        own = mine.client(dialect, **{"x-organization-id": mine.id}).get(path)
        assert own.status_code == 200 and mine.ids["e164"] in own.text


def test_another_tenants_number_is_explained_like_one_that_nobody_holds(two):
    mine, theirs = two
    answers = [mine.native.get(f"/api/v1/numbers/{n}/explain") for n in (theirs.ids["e164"], "+14159999999")]
    told, unknown = (ok(answer, 200) for answer in answers)
    assert told.pop("number") == theirs.ids["e164"] and unknown.pop("number") == "+14159999999"
    assert told == unknown and (told["outcome"], told["sip_status"]) == ("refuse", 404)


def test_what_is_the_operators_is_closed_to_a_tenant(two):
    mine, theirs = two
    owner = mine.native
    assert owner.post("/api/v1/stock", json={}).status_code == 403
    assert owner.post("/api/v1/organizations", json={"name": "mine too"}).status_code == 403
    for body in ({"kyc": "approved"}, {"number_slots": 10_000}):
        assert owner.patch(f"/api/v1/organizations/{mine.id}", json=body).status_code == 403, body
    before = mine.balance()
    response = owner.post(f"/api/v1/organizations/{mine.id}/ledger", json={"amount_cents": 1, "reason": "gift"})
    assert response.status_code == 403
    assert mine.balance() == before


def test_a_revoked_key_is_dead_at_once(server):
    tenant = server.tenant("revoking")
    body = {"name": "short", "dialect": "native", "role": "owner", "mode": "live"}
    made = ok(server.admin.post(f"/api/v1/organizations/{tenant.id}/keys", json=body), 201)
    client = server.api({"authorization": f"Bearer {made['key']}"})
    assert client.get("/api/v1/numbers").status_code == 200
    listed = ok(server.admin.get(f"/api/v1/organizations/{tenant.id}/keys"), 200)["data"]
    assert made["id"] in [k["id"] for k in listed] and made["key"] not in str(listed)
    ok(server.admin.delete(f"/api/v1/organizations/{tenant.id}/keys/{made['id']}"))
    assert client.get("/api/v1/numbers").status_code == 401
