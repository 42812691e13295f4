"""Two tenants walk every endpoint: of the vendors' contracts, and of the native API as its own OpenAPI document lists it."""

import re

import contract
import pytest
from harness import DIALECTS, credential, ok

MOUNT = {"krosai": "/v1"}  # where a contract's paths begin, if not at the root
CONTRACTS = {
    "krosai": "krosai", "cartesia-numbers": "cartesia", "cartesia-agent-numbers": "cartesia", "neo": "neo", "polyai": "polyai",
}  # fmt: skip
SEED = sorted(
    (dialect, method, MOUNT.get(dialect, "") + path)
    for name, dialect in CONTRACTS.items()
    for method, path, _ in contract.operations(name)
)
WRITES = ("post", "put", "patch", "delete")


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


def seed_path(path, ids):
    """A contract's path filled in with somebody's ids."""
    names = {"agentId": ids["agents"], "agent_id": ids["agents"], "phoneNumber": ids["e164"], "id": ids["numbers"]}
    return re.sub(r"\{(\w+)\}", lambda m: names[m[1]], path)


def native_path(path, ids):
    """A native path filled in: a parameter is named by the collection before it."""
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part.startswith("{"):
            # What no test of this file owns (a call, an event, a row of stock) has an id that nobody has.
            parts[at] = ids.get(parts[at - 1], "0190b5b0-1111-7222-8333-444455556666")
    return "/".join(parts)


# Bodies that are good as far as they go: what is refused is refused for whose it is.
BODIES = {
    "keys": {"name": "k", "dialect": "native", "role": "viewer", "mode": "live"},
    "ledger": {"amount_cents": 1, "reason": "r"},
    "restore": None,
    "sip-credentials": None,
}


def send(client, method, path):
    body = BODIES.get(path.rsplit("/", 1)[1], {}) if method in ("post", "put", "patch") else None
    return client.request(method.upper(), path, **({} if body is None else {"json": body}))


def native_operations(server):
    """(method, path) of each operation in the native OpenAPI document, but for what is open to all."""
    document = ok(server.anonymous.get("/openapi/native.json"), 200)
    operations = [
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", *WRITES) and path.startswith("/api/")
    ]
    assert all(path.startswith("/api/v1/") for _, path in operations), operations
    return operations


# The native API of ARCHITECTURE.md: the walk below reads the OpenAPI document, and this keeps the document honest.
NATIVE = """
get,post /organizations; get,patch /organizations/{}; get,post /organizations/{}/keys; delete /organizations/{}/keys/{};
get,post /organizations/{}/ledger; get /organizations/{}/balance; get,post /agents; get,patch,delete /agents/{};
get,post /endpoints; get,patch,delete /endpoints/{}; get,post /providers; get,patch,delete /providers/{};
get,post /stock; patch,delete /stock/{}; get,post /numbers; post /numbers/import; get,patch,delete /numbers/{};
post /numbers/{}/restore; post /numbers/{}/sip-credentials; get /numbers/{}/explain; get /calls; get /calls/{}; get /events
"""


def test_the_native_document_lists_the_native_api(server):
    listed = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in native_operations(server)}
    for line in NATIVE.replace("\n", " ").strip().split(";"):
        methods, path = line.split()
        for method in methods.split(","):
            assert (method, f"/api/v1{path}") in listed, f"{method} {path} is not in the OpenAPI document"


@pytest.mark.parametrize(("dialect", "method", "path"), SEED)
def test_seed_operations_want_a_key_of_their_own_dialect(two, dialect, method, path):
    mine, _ = two
    filled = seed_path(path, mine.ids)
    assert send(mine.server.anonymous, method, filled).status_code == 401
    for other in DIALECTS:
        if other == dialect:
            continue
        key = mine.key(other)
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
            response = send(mine.server.api(headers | {"cartesia-version": "2026-03-01"}), method, filled)
            assert response.status_code == 401, f"{other} key: {response.status_code} {response.text[:200]}"
    assert mine.read({"id": mine.ids["numbers"]})["status"] == "active"


@pytest.mark.parametrize(("dialect", "method", "path"), [row for row in SEED if "{" in row[2]])
def test_another_tenants_resource_is_not_there(two, dialect, method, path):
    mine, theirs = two
    before = theirs.read({"id": theirs.ids["numbers"]})
    response = send(mine.client(dialect), method, seed_path(path, theirs.ids))
    assert response.status_code == 404, f"{response.status_code}: {response.text[:300]}"
    # The same words as for what nobody has: nothing tells that it exists.
    nobody = dict.fromkeys(theirs.ids, "0190b5b0-1111-7222-8333-444455556666") | {"e164": "+14159999999"}
    unknown = send(mine.client(dialect), method, seed_path(path, nobody))
    assert unknown.status_code == 404
    if dialect == "krosai":
        assert unknown.json() == response.json()
    assert theirs.read({"id": theirs.ids["numbers"]}) == before


def test_lists_show_only_the_own_numbers(two):
    for tenant, other in (two, two[::-1]):
        for dialect, path in (
            ("krosai", "/v1/phone-numbers"), ("cartesia", "/agents/phone-numbers"), ("neo", "/public-api/phone/numbers"),
            ("native", "/api/v1/numbers"),
        ):  # fmt: skip
            response = tenant.client(dialect).get(path)
            assert response.status_code == 200
            assert tenant.ids["e164"] in response.text and other.ids["e164"] not in response.text, path


def test_read_only_keys_do_not_write_through_krosai(two):
    mine, _ = two
    path = f"/v1/phone-numbers/{mine.ids['numbers']}"
    clients = (
        mine.client("krosai", "viewer"),
        mine.server.api(credential("krosai", mine.key("krosai", scopes=["numbers:read"]))),
    )
    for client in clients:
        assert client.get(path).status_code == 200
        assert client.get("/v1/phone-numbers").status_code == 200
        for method, target in (("post", "/v1/phone-numbers"), ("patch", path), ("delete", path)):
            response = send(client, method, target)
            body = contract.check_schema("krosai", "Error", response, 403)
            assert body["code"] == "INSUFFICIENT_SCOPE"
    assert mine.read({"id": mine.ids["numbers"]})["status"] == "active"


def test_a_header_that_names_another_organization_is_refused(two):
    mine, theirs = two
    for dialect, path in (("krosai", "/v1/phone-numbers"), ("native", "/api/v1/numbers")):
        foreign = mine.client(dialect, **{"x-organization-id": theirs.id}).get(path)
        assert foreign.status_code == 403, f"{dialect}: {foreign.status_code} {foreign.text[:200]}"
        assert theirs.ids["e164"] not in foreign.text
        own = mine.client(dialect, **{"x-organization-id": mine.id}).get(path)
        assert own.status_code == 200 and mine.ids["e164"] in own.text


# --- The native API, operation by operation ----------------------------------------------------------------------------------


def test_every_native_operation_wants_a_native_key(two):
    mine, _ = two
    for method, path in native_operations(mine.server):
        filled = native_path(path, mine.ids)
        response = send(mine.server.anonymous, method, filled)
        assert response.status_code == 401, f"{method} {path}: {response.status_code}"
        assert response.headers["content-type"].startswith("application/problem+json"), f"{method} {path}"
        for other in DIALECTS[1:]:
            response = send(mine.server.api({"x-api-key": mine.key(other)}), method, filled)
            assert response.status_code == 401, f"{method} {path} with a {other} key: {response.status_code}"


def test_every_native_operation_hides_another_tenants_resources(two):
    mine, theirs = two
    walked = set()
    for method, path in native_operations(mine.server):
        if "{" not in path or path.endswith("/explain"):
            continue
        # Rows of stock belong to the operator: a tenant's key may not write there at all.
        wanted = (403,) if "/stock/" in path else (404,)
        if path.startswith("/api/v1/organizations/") and method in WRITES:
            wanted = (403, 404)  # some of these are the operator's alone, and say so before they look
        response = send(mine.native, method, native_path(path, theirs.ids))
        assert response.status_code in wanted, f"{method} {path}: {response.status_code} {response.text[:200]}"
        walked.add(path)
    assert len(walked) >= 12
    for collection in ("agents", "endpoints", "providers", "numbers"):
        assert ok(theirs.admin.get(f"/api/v1/{collection}/{theirs.ids[collection]}"), 200)


def test_another_tenants_number_is_explained_like_one_that_nobody_holds(two):
    mine, theirs = two
    answers = [mine.native.get(f"/api/v1/numbers/{n}/explain") for n in (theirs.ids["e164"], "+14159999999")]
    told, unknown = (ok(answer, 200) for answer in answers)
    assert told.pop("number") == theirs.ids["e164"] and unknown.pop("number") == "+14159999999"
    assert told == unknown and (told["outcome"], told["sip_status"]) == ("refuse", 404)


def test_every_native_write_is_closed_to_a_viewer(two):
    mine, _ = two
    viewer = mine.client("native", "viewer")
    reader = mine.server.api(credential("native", mine.key("native", scopes=["numbers:read"])))
    writes = [(method, path) for method, path in native_operations(mine.server) if method in WRITES]
    assert len(writes) >= 20
    for method, path in writes:
        for client in (viewer, reader):
            response = send(client, method, native_path(path, mine.ids))
            assert response.status_code == 403, f"{method} {path}: {response.status_code} {response.text[:200]}"
    assert viewer.get("/api/v1/numbers").status_code == 200
    assert mine.read({"id": mine.ids["numbers"]})["status"] == "active"


def test_what_is_the_operators_is_closed_to_a_tenant(two):
    mine, theirs = two
    owner = mine.native
    assert send(owner, "post", "/api/v1/stock").status_code == 403
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
