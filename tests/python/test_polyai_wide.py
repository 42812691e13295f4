"""PolyAI's agents, connectors and numbers over HTTP, held against contracts/full/polyai.json, and the rules behind them."""

import concurrent.futures
import uuid

import contract
import pytest
from harness import credential, new_number, ok
from sip import Agent, Caller

FULL = "full/polyai"
NOBODY = "0190b5b0-1111-7222-8333-444455556666"
A = "/v1/agents/{agentId}"
ACCOUNT = "/v1/accounts/{accountId}/agents"
CONNECTORS, NUMBERS = f"{A}/telephony/connectors", f"{A}/telephony/phone-numbers"
CONNECTOR, NUMBER = CONNECTORS + "/{connectorId}", NUMBERS + "/{phoneNumber}"
CREATE = {"name": "Ada", "responseSettings": {"greeting": "Hello"}}
BEYOND = [("get", "/v1/agents"), ("post", "/v1/agents"), ("post", CONNECTORS)]


def fill(path, agent="", connector="", number="", account=""):
    parts = {"agentId": agent, "connectorId": connector, "phoneNumber": number, "accountId": account}
    for name, value in parts.items():
        path = path.replace(f"{{{name}}}", str(value))
    return path


class Poly:
    """PolyAI's client of a tenant: each answer is held against the contract."""

    def __init__(self, tenant, client=None):
        self.tenant, self.client = tenant, client or tenant.polyai

    def send(self, method, path, status, body=None, *, query=None, headers=None, **names):
        url = fill(path, account=names.pop("account", self.tenant.id), **names)
        more = {} if body is None else {"json": body}
        response = self.client.request(method.upper(), url, params=query, headers=headers, **more)
        if status >= 400 or (method, path) in BEYOND:
            assert response.status_code == status, f"{method} {url}: {response.status_code} {response.text[:400]}"
            if status >= 400:
                contract.check_schema(FULL, "Error", response, status)
                assert response.json()["error_id"] == response.headers["x-polyai-correlation-id"]
            return response.json()
        return contract.check(FULL, method, path, response, status)

    def code(self, *request, **how):
        return self.send(*request, **how)["error_code"]

    def agent(self, **fields):
        return self.send("post", ACCOUNT, 200, CREATE | fields)["agentId"]

    def connector(self, agent, **fields):
        made = self.send("post", CONNECTORS, 201, {"name": "line"} | fields, agent=agent)
        contract.validate(FULL, "ConnectorResponse", made)
        return made

    def imported(self, agent, connector=None, count=1, **fields):
        body = {"phoneNumbers": [new_number() for _ in range(count)]} | fields
        if connector:
            body["connectorId"] = connector["connectorId"]
        assert self.send("post", NUMBERS, 201, body, agent=agent) == {"imported": body["phoneNumbers"]}
        return body["phoneNumbers"] if count > 1 else body["phoneNumbers"][0]

    def numbers(self, agent, **query):
        return {n["number"]: n for n in self.send("get", NUMBERS, 200, agent=agent, query=query)["phoneNumbers"]}

    def connectors(self, agent):
        return {c["connectorId"]: c for c in self.send("get", CONNECTORS, 200, agent=agent)["connectors"]}


@pytest.fixture(scope="module")
def carrier(server):
    """A tenant with one trunk, whose imports need nobody's consent."""
    tenant = server.tenant("poly")
    tenant.settings(imports="open")
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


@pytest.fixture(scope="module")
def poly(carrier):
    return Poly(carrier)


# --- Agents ------------------------------------------------------------------------------------------------------------------


def test_agents_are_made_listed_copied_and_removed_under_both_spellings(carrier, poly):
    mine = f"SHOP-{uuid.uuid4().hex[:8]}"
    whole = CREATE | {
        "agentId": mine,
        "responseSettings": {"greeting": "Hi", "languageCode": "en-US"},
        "voiceSettings": {"voiceId": "v"},
        "llmSettings": {"modelId": "m"},
        "experimentalConfig": {
            "configs": [
                {"id": "x", "features": {"a": 1}, "createdAt": "c", "createdBy": "b", "updatedAt": "u", "updatedBy": "b", "active": True}
            ]
        },
    }
    made = poly.send("post", ACCOUNT, 200, whole)
    assert (made["agentId"], made["agentName"], made["accountId"], made["branchCount"]) == (mine, "Ada", carrier.id, 0)
    assert poly.code("post", ACCOUNT, 409, whole) == "PROJECT_ID_ALREADY_EXISTS"
    older = poly.send("post", "/v1/agents", 200, CREATE | {"name": "Older"})
    listed = poly.send("get", ACCOUNT, 200)
    assert poly.send("get", "/v1/agents", 200) == listed and made in listed and older in listed
    copied = poly.send("post", f"{A}/duplicate", 200, {"newAgentName": "Copy", "newAgentId": mine + "-2"}, agent=mine)
    assert (copied["agentId"], copied["agentName"]) == (mine + "-2", "Copy")
    assert poly.connectors(mine + "-2") == {} and poly.numbers(mine + "-2") == {}
    assert poly.code("post", f"{A}/duplicate", 404, {"newAgentName": "Copy"}, agent="nobody") == "PROJECT_NOT_FOUND"
    gone = poly.client.delete(fill(A, mine))
    assert (gone.status_code, gone.content) == (204, b"")
    assert poly.code("delete", A, 404, agent=mine) == "PROJECT_NOT_FOUND"
    assert carrier.admin.get(f"/api/v1/agents/{mine}-2").status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"extra": 1}, "SCHEMA_VALIDATION_FAILED"),
        ({"responseSettings": {"greeting": "Hi", "extra": 1}}, "SCHEMA_VALIDATION_FAILED"),
        ({"responseSettings": {"greeting": ""}}, "SCHEMA_VALIDATION_FAILED"),
        ({"responseSettings": None}, "SCHEMA_VALIDATION_FAILED"),
        ({"voiceSettings": {}}, "SCHEMA_VALIDATION_FAILED"),
        ({"llmSettings": {"model": "m"}}, "SCHEMA_VALIDATION_FAILED"),
        ({"experimentalConfig": {"configs": [{"id": "x"}]}}, "SCHEMA_VALIDATION_FAILED"),
        ({"name": ""}, "SCHEMA_VALIDATION_FAILED"),
        ({"name": "x" * 101}, "SCHEMA_VALIDATION_FAILED"),
        ({"name": 1}, "SCHEMA_VALIDATION_FAILED"),
        ({"name": None}, "SCHEMA_VALIDATION_FAILED"),
        ({"agentId": "under_score"}, "PROJECT_ID_INVALID"),
        ({"agentId": "a b"}, "PROJECT_ID_INVALID"),
        ({"agentId": ""}, "PROJECT_ID_INVALID"),
        ({"agentId": 7}, "PROJECT_ID_INVALID"),
    ],
)
def test_an_agents_body_is_closed_and_checked(poly, change, code):
    assert poly.code("post", ACCOUNT, 400, CREATE | change) == code
    if set(change) == {"extra"}:
        agent = poly.agent()
        assert poly.code("post", f"{A}/duplicate", 400, {"newAgentName": "x", "extra": 1}, agent=agent) == code


def test_removing_an_agent_gives_its_numbers_back(carrier, poly):
    agent = poly.agent()
    connector = poly.connector(agent)
    on, off = poly.imported(agent, connector), new_number()
    ok(carrier.admin.post("/api/v1/numbers", json={"e164": off, "provider_id": carrier.its_trunk["id"], "agent_id": agent}), 201)
    assert set(poly.numbers(agent)) == {on, off}
    assert poly.client.delete(fill(A, agent)).status_code == 204
    for number in (on, off):
        assert ok(carrier.admin.get(f"/api/v1/numbers/{number}"), 200)["status"] == "released"
    assert carrier.admin.get(f"/api/v1/endpoints/{connector['connectorId']}").status_code == 404
    again = poly.agent()
    poly.send("post", NUMBER, 201, {}, agent=again, number=on)


def test_what_is_active_is_told_by_the_default_connectors(poly):
    agent = poly.agent()
    active = f"{A}/deployments/active"
    assert poly.send("get", active, 200, agent=agent) == {"activeDeployments": {}}
    live, rehearsal = poly.connector(agent), poly.connector(agent, clientEnv="pre-release")
    poly.connector(agent)
    shown = poly.send("get", active, 200, agent=agent)["activeDeployments"]
    assert {env: d["id"] for env, d in shown.items()} == {"live": live["connectorId"], "pre-release": rehearsal["connectorId"]}
    assert shown["live"]["agentId"] == agent and shown["live"]["environment"] == "live"
    assert poly.code("get", active, 404, agent="nobody") == "PROJECT_NOT_FOUND"


# --- Connectors --------------------------------------------------------------------------------------------------------------


def test_a_connector_is_made_read_changed_and_removed(carrier, poly):
    agent = poly.agent()
    made = poly.connector(
        agent, name="Front desk", clientEnv="pre-release", variantId="V1", asrLangCode="en-GB", voiceName="en-US-Neural2-A",
        disableHandoff=True, targets=["sip:127.0.0.1:5999"], unknown="passed over",
    )  # fmt: skip
    assert made == {
        "connectorId": made["connectorId"], "name": "Front desk", "accountId": carrier.id, "projectId": agent,
        "clientEnv": "pre-release", "variantId": "V1", "asrLangCode": "en-GB", "ttsLangCode": "en-US",
        "voiceName": "en-US-Neural2-A", "disableHandoff": True,
    }  # fmt: skip
    where = {"agent": agent, "connector": made["connectorId"]}
    assert poly.send("get", CONNECTOR, 200, **where) == made
    assert poly.connectors(agent) == {made["connectorId"]: made}
    endpoint = ok(carrier.admin.get(f"/api/v1/endpoints/{made['connectorId']}"), 200)
    assert [t["uri"] for t in endpoint["targets"]] == ["sip:127.0.0.1:5999"] and endpoint["is_default"]
    changed = poly.send("patch", CONNECTOR, 200, {"voiceName": "de-DE-Wavenet-B", "variantId": None, "unknown": 1}, **where)
    assert changed == made | {"voiceName": "de-DE-Wavenet-B", "ttsLangCode": "de-DE", "variantId": ""}
    assert poly.send("patch", CONNECTOR, 200, {}, **where) == changed
    # What is read can be written back.
    same = {k: changed[k] for k in ("variantId", "asrLangCode", "voiceName", "projectId")}
    before = ok(carrier.admin.get(f"/api/v1/endpoints/{made['connectorId']}"), 200)
    assert poly.send("patch", CONNECTOR, 200, same, **where) == changed
    assert ok(carrier.admin.get(f"/api/v1/endpoints/{made['connectorId']}"), 200) == before
    gone = poly.send("delete", CONNECTOR, 200, **where)
    assert gone == {"deletedConnector": made["connectorId"], "deletedPhoneNumbers": []}
    for method, body in (("get", None), ("patch", {}), ("delete", None)):
        assert poly.code(method, CONNECTOR, 404, body, **where) == "CONNECTORS_NOT_FOUND"


@pytest.mark.parametrize("field", ["variantId", "asrLangCode", "voiceName"])
def test_each_field_of_a_connector_in_four_ways(poly, field):
    agent = poly.agent()
    good = {"variantId": "VARIANT-1", "asrLangCode": "fr-FR", "voiceName": "fr-FR-Neural2-A"}[field]
    bad = {"variantId": "two words", "asrLangCode": "french!", "voiceName": "alloy"}[field]
    where = {"agent": agent, "connector": poly.connector(agent, **{field: good})["connectorId"]}
    assert poly.send("patch", CONNECTOR, 200, {}, **where)[field] == good
    for wrong in (7, True, [], {}, bad, "x" * 200):
        assert poly.code("patch", CONNECTOR, 400, {field: wrong}, **where) == "CONNECTORS_VALIDATION_FAILED", wrong
    assert poly.send("get", CONNECTOR, 200, **where)[field] == good
    for unset in (None, ""):
        assert poly.send("patch", CONNECTOR, 200, {field: good}, **where)[field] == good
        assert poly.send("patch", CONNECTOR, 200, {field: unset}, **where)[field] == ""
    assert poly.send("get", CONNECTOR, 200, **where)["ttsLangCode"] == ""


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": None}, {"name": ""}, {"name": 1}, {"clientEnv": "production"}, {"disableHandoff": "yes"}, {"targets": "sip:a@b"},
        {"targets": []}, {"targets": ["http://x"]}, {"targets": ["sip:127.0.0.1"] * 17}, {"voiceName": "x"},
    ],
)  # fmt: skip
def test_a_new_connector_is_checked(poly, body):
    agent = poly.agent()
    code = poly.code("post", CONNECTORS, 400, body if not body or "name" in body else body | {"name": "x"}, agent=agent)
    assert code in ("CONNECTORS_VALIDATION_FAILED", "SCHEMA_VALIDATION_FAILED")
    assert poly.connectors(agent) == {}


def test_a_connector_moves_with_its_numbers(carrier, poly):
    old, new = poly.agent(), poly.agent()
    kept = poly.connector(new, name="new agent's own")
    moving = poly.connector(old, variantId="V1", asrLangCode="en-US")
    numbers = poly.imported(old, moving, count=3)
    stays = poly.imported(old, poly.connector(old, name="stays"))
    where = {"connector": moving["connectorId"]}
    assert poly.code("patch", CONNECTOR, 404, {"projectId": "nobody"}, agent=old, **where) == "PROJECT_NOT_FOUND"
    for wrong in (None, 5):
        assert poly.code("patch", CONNECTOR, 400, {"projectId": wrong}, agent=old, **where) == "CONNECTORS_VALIDATION_FAILED"
    moved = poly.send("patch", CONNECTOR, 200, {"projectId": new}, agent=old, **where)
    assert moved == moving | {"projectId": new, "variantId": ""}
    assert set(poly.numbers(old)) == {stays} and set(poly.numbers(new)) == set(numbers)
    assert all(n["projectId"] == new and n["connectorId"] == moving["connectorId"] for n in poly.numbers(new).values())
    assert poly.code("get", CONNECTOR, 404, agent=old, **where) == "CONNECTORS_NOT_FOUND"
    # The new agent's own default stays its default.
    assert ok(carrier.admin.get(f"/api/v1/endpoints/{kept['connectorId']}"), 200)["is_default"]
    assert not ok(carrier.admin.get(f"/api/v1/endpoints/{moving['connectorId']}"), 200)["is_default"]
    back = poly.send("patch", CONNECTOR, 200, {"projectId": old, "variantId": "V2"}, agent=new, **where)
    assert back["variantId"] == "V2" and set(poly.numbers(old)) == {*numbers, stays}


def test_a_move_and_a_reassign_at_once_leave_no_number_between_agents(poly):
    here, there = poly.agent(), poly.agent()
    home, moving = poly.connector(here, name="home"), poly.connector(here, name="moving")
    number = poly.imported(here, home)
    for _ in range(12):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            path = fill(NUMBER, here, number=number)
            move = pool.submit(poly.client.patch, fill(CONNECTOR, here, moving["connectorId"]), json={"projectId": there})
            put = pool.submit(poly.client.patch, path, json={"connectorId": moving["connectorId"]})
            assert move.result().status_code == 200 and put.result().status_code in (200, 404), put.result().text
        place = {n: row for agent in (here, there) for n, row in poly.numbers(agent).items()}[number]
        owner = there if place["connectorId"] == moving["connectorId"] else here
        assert place["projectId"] == owner, place
        poly.send("patch", CONNECTOR, 200, {"projectId": here}, agent=there, connector=moving["connectorId"])
        poly.send("patch", NUMBER, 200, {"connectorId": home["connectorId"]}, agent=here, number=number)


def test_connectors_in_batches(poly):
    agent, other = poly.agent(), poly.agent()
    one, two, foreign = poly.connector(agent, name="1"), poly.connector(agent, name="2"), poly.connector(other)
    batch = CONNECTORS + "/batch"
    ids = [two["connectorId"], NOBODY, "conn_x", foreign["connectorId"], one["connectorId"]]
    shown = poly.send("post", batch, 200, {"connectorIds": ids}, agent=agent)
    assert shown == {"found": [two, one], "notFound": [NOBODY, "conn_x", foreign["connectorId"]]}
    updates = [
        {"connectorId": one["connectorId"], "asrLangCode": "en-AU"},
        {"connectorId": NOBODY, "asrLangCode": "en-AU"},
        {"connectorId": two["connectorId"], "voiceName": "alloy"},
        {"connectorId": foreign["connectorId"], "variantId": "V"},
        {"connectorId": two["connectorId"], "projectId": other},
    ]
    results = poly.send("patch", batch, 200, {"updates": updates}, agent=agent)["results"]
    assert [r["connectorId"] for r in results] == [u["connectorId"] for u in updates]
    assert [r["success"] for r in results] == [True, False, False, False, True]
    assert all(("data" in r) == r["success"] and ("error" in r) != r["success"] for r in results)
    assert results[0]["data"]["asrLangCode"] == "en-AU" and results[4]["data"]["projectId"] == other
    assert poly.connectors(other)[foreign["connectorId"]]["variantId"] == ""
    for method, bodies in (
        ("post", [{}, {"connectorIds": []}, {"connectorIds": "x"}, {"connectorIds": [1]}, {"connectorIds": ["x"] * 1001}]),
        ("patch", [{}, {"updates": []}, {"updates": [1]}, {"updates": [{}]}, {"updates": [{"connectorId": 1}]}]),
    ):
        for body in bodies:
            assert poly.code(method, batch, 400, body, agent=agent) == "SCHEMA_VALIDATION_FAILED", body
    # A literal segment wins over a parameter, also where it takes other methods.
    assert poly.code("get", batch, 405, agent=agent) == "METHOD_NOT_ALLOWED"
    assert poly.code("delete", NUMBERS + "/batch", 405, agent=agent) == "METHOD_NOT_ALLOWED"


def test_a_number_leads_to_its_connector(carrier, poly):
    agent, other = poly.agent(), poly.agent()
    connector = poly.connector(agent, name="found")
    number, lookup = poly.imported(agent, connector), CONNECTORS + "/lookup"
    assert poly.send("post", lookup, 200, {"phoneNumber": number}, agent=agent) == connector
    assert poly.code("post", lookup, 404, {"phoneNumber": number}, agent=other) == "PHONE_NUMBERS_NOT_FOUND"
    assert poly.code("post", lookup, 404, {"phoneNumber": new_number()}, agent=agent) == "PHONE_NUMBERS_NOT_FOUND"
    bare = poly.imported(other)
    assert "connectorId" not in poly.numbers(other)[bare]
    assert poly.code("post", lookup, 404, {"phoneNumber": bare}, agent=other) == "CONNECTORS_NOT_FOUND"
    assert poly.code("post", lookup, 400, {"phoneNumber": "hello"}, agent=agent) == "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"
    assert poly.code("post", lookup, 400, {}, agent=agent) == "SCHEMA_VALIDATION_FAILED"


def test_removing_a_connector_gives_its_numbers_back(carrier, poly):
    agent = poly.agent()
    connector = poly.connector(agent)
    numbers = poly.imported(agent, connector, count=3)
    gone = poly.send("delete", CONNECTOR, 200, agent=agent, connector=connector["connectorId"])
    assert gone["deletedConnector"] == connector["connectorId"] and sorted(gone["deletedPhoneNumbers"]) == sorted(numbers)
    assert poly.numbers(agent) == {}
    assert {carrier.read({"id": n})["status"] for n in numbers} == {"released"}


# --- Numbers -----------------------------------------------------------------------------------------------------------------


def test_numbers_are_imported_all_or_none(carrier, poly):
    agent = poly.agent()
    connector = poly.connector(agent)
    first = poly.imported(agent)
    assert poly.numbers(agent)[first] == {
        "number": first, "projectId": agent, "accountId": carrier.id, "clientEnv": "live", "connectorId": connector["connectorId"],
    }  # fmt: skip
    fresh = new_number()
    for bad, status, code in (
        ("+1", 400, "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"),
        ("hello", 400, "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"),
        (fresh, 400, "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"),
        (first, 409, "PHONE_NUMBERS_ALREADY_EXISTS"),
    ):
        assert poly.code("post", NUMBERS, status, {"phoneNumbers": [fresh, bad]}, agent=agent) == code, bad
    assert set(poly.numbers(agent)) == {first}
    for body in ({}, {"phoneNumbers": []}, {"phoneNumbers": [1]}, {"phoneNumbers": fresh}, {"phoneNumbers": [fresh], "clientEnv": "x"}):
        assert poly.code("post", NUMBERS, 400, body, agent=agent) == "SCHEMA_VALIDATION_FAILED", body
    code = poly.code("post", NUMBERS, 404, {"phoneNumbers": [fresh], "connectorId": NOBODY}, agent=agent)
    assert code == "PHONE_NUMBERS_CONNECTOR_DOES_NOT_EXIST"
    assert set(poly.numbers(agent)) == {first}


def test_one_number_is_imported_with_and_without_a_body(poly):
    agent = poly.agent()
    plain, onto, sandbox = new_number(), new_number(), new_number()
    rehearsal = poly.connector(agent, clientEnv="pre-release")
    assert poly.send("post", NUMBER, 201, agent=agent, number=plain) == {"imported": plain}
    assert poly.send("post", NUMBER, 201, {"clientEnv": "sandbox"}, agent=agent, number=sandbox) == {"imported": sandbox}
    body = {"connectorId": rehearsal["connectorId"]}
    assert poly.send("post", NUMBER, 201, body, agent=agent, number=onto.replace("+", "%2B")) == {"imported": onto}
    shown = poly.numbers(agent)
    assert {n: (row["clientEnv"], row.get("connectorId")) for n, row in shown.items()} == {
        plain: ("live", None), sandbox: ("sandbox", None), onto: ("pre-release", rehearsal["connectorId"]),
    }  # fmt: skip
    assert poly.code("post", NUMBER, 409, agent=agent, number=plain) == "PHONE_NUMBERS_ALREADY_EXISTS"
    clash = body | {"clientEnv": "live"}
    assert poly.code("post", NUMBER, 400, clash, agent=agent, number=new_number()) == "SCHEMA_VALIDATION_FAILED"
    assert set(poly.numbers(agent, connectorId=rehearsal["connectorId"])) == {onto}
    assert poly.numbers(agent, connectorId=NOBODY) == poly.numbers(agent, connectorId="conn_x") == {}


def test_an_import_needs_exactly_one_trunk(server):
    tenant = server.tenant("trunks")
    poly, number = Poly(tenant), new_number()
    agent = poly.agent()
    none = poly.send("post", NUMBER, 400, agent=agent, number=number)
    assert "SIP trunk" in none["error"], none
    tenant.trunk("127.0.0.21")
    poly.send("post", NUMBER, 201, agent=agent, number=number)
    # Several organizations share this server, so a live import waits for the operator; one for the sandbox does not.
    assert tenant.read({"id": number})["status"] == "pending"
    tried = new_number()
    poly.send("post", NUMBER, 201, {"clientEnv": "sandbox"}, agent=agent, number=tried)
    assert tenant.read({"id": tried})["status"] == "active"
    tenant.trunk("127.0.0.22")
    several = poly.send("post", NUMBERS, 400, {"phoneNumbers": [new_number()]}, agent=agent)
    assert "several" in several["error"]


def test_slots_hold_for_an_import_of_many(server):
    tenant = server.tenant("slots")
    tenant.trunk("127.0.0.23")
    poly = Poly(tenant)
    agent = poly.agent()
    ok(server.admin.patch(f"/api/v1/organizations/{tenant.id}", json={"number_slots": 2}), 200)
    body = {"phoneNumbers": [new_number() for _ in range(3)]}
    assert poly.code("post", NUMBERS, 403, body, agent=agent) == "ACCOUNT_INSUFFICIENT_PERMISSIONS"
    assert poly.numbers(agent) == {}
    poly.send("post", NUMBERS, 201, {"phoneNumbers": body["phoneNumbers"][:2]}, agent=agent)


def test_numbers_in_batches(poly):
    agent, other = poly.agent(), poly.agent()
    one, two, foreign = poly.imported(agent), poly.imported(agent), poly.imported(other)
    absent = new_number()
    shown = poly.send("post", NUMBERS + "/batch", 200, {"phoneNumbers": [two, absent, foreign, one]}, agent=agent)
    assert [n["number"] for n in shown["found"]] == [two, one] and shown["notFound"] == [absent, foreign]
    bad = poly.code("post", NUMBERS + "/batch", 400, {"phoneNumbers": [one, "x"]}, agent=agent)
    assert bad == "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"
    gone = poly.send("delete", NUMBERS, 200, {"phoneNumbers": [one, absent, "x", foreign]}, agent=agent)
    assert gone["deleted"] == [one] and [e["phoneNumber"] for e in gone["errors"]] == [absent, "x", foreign]
    assert poly.send("delete", NUMBERS, 200, {"phoneNumbers": [two]}, agent=agent) == {"deleted": [two]}
    assert poly.numbers(agent) == {} and set(poly.numbers(other)) == {foreign}
    for body in ({}, {"phoneNumbers": []}, {"phoneNumbers": [None]}):
        assert poly.code("delete", NUMBERS, 400, body, agent=agent) == "SCHEMA_VALIDATION_FAILED", body
    assert poly.send("delete", NUMBER, 200, agent=other, number=foreign) == {"deleted": foreign}
    assert poly.code("delete", NUMBER, 404, agent=other, number=foreign) == "PHONE_NUMBERS_NOT_FOUND"


def test_a_number_is_reassigned(poly):
    agent, other = poly.agent(), poly.agent()
    live, rehearsal, foreign = poly.connector(agent), poly.connector(agent, clientEnv="pre-release"), poly.connector(other)
    number = poly.imported(agent, live)
    where = {"agent": agent, "number": number}
    moved = poly.send("patch", NUMBER, 200, {"connectorId": rehearsal["connectorId"]}, **where)
    assert (moved["connectorId"], moved["clientEnv"]) == (rehearsal["connectorId"], "pre-release")
    assert poly.send("patch", NUMBER, 200, {"connectorId": rehearsal["connectorId"], "unknown": 1}, **where) == moved
    for target in (NOBODY, "conn_x", foreign["connectorId"]):
        code = poly.code("patch", NUMBER, 404, {"connectorId": target}, **where)
        assert code == "PHONE_NUMBERS_CONNECTOR_DOES_NOT_EXIST", target
    for body in ({}, {"connectorId": None}, {"connectorId": 1}):
        assert poly.code("patch", NUMBER, 400, body, **where) == "SCHEMA_VALIDATION_FAILED", body
    absent = {"connectorId": live["connectorId"]}
    assert poly.code("patch", NUMBER, 404, absent, agent=agent, number=new_number()) == "PHONE_NUMBERS_NOT_FOUND"
    assert poly.code("patch", NUMBER, 404, absent, agent=other, number=number) == "PHONE_NUMBERS_NOT_FOUND"
    bad = poly.code("patch", NUMBER, 400, absent, agent=agent, number="hello")
    assert bad == "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"
    assert poly.send("get", NUMBER, 200, **where) == moved


def test_after_a_reassign_the_next_call_goes_elsewhere(carrier, poly):
    agent = poly.agent()
    with Agent() as first, Agent() as second, Caller(carrier.server.sip) as caller:
        one = poly.connector(agent, name="one", targets=[first.uri])
        two = poly.connector(agent, name="two", targets=[second.uri])
        number = poly.imported(agent, one)
        for count, (connector, party) in enumerate([(one, first), (two, second)] * 3):
            poly.send("patch", NUMBER, 200, {"connectorId": connector["connectorId"]}, agent=agent, number=number)
            call = caller.invite(number)
            assert call.final().status == 200
            party.wait("INVITE", count // 2 + 1)
            call.bye()
        assert len(first.got("INVITE")) == len(second.got("INVITE")) == 3
        poly.send("delete", CONNECTOR, 200, agent=agent, connector=two["connectorId"])
        assert caller.invite(number).final().status == 404
        assert len(second.got("INVITE")) == 3


def test_after_a_connectors_move_calls_find_it_still(carrier, poly):
    old, new = poly.agent(), poly.agent()
    with Agent() as party, Caller(carrier.server.sip) as caller:
        connector = poly.connector(old, targets=[party.uri])
        number = poly.imported(old, connector)
        poly.send("patch", CONNECTOR, 200, {"projectId": new}, agent=old, connector=connector["connectorId"])
        call = caller.invite(number)
        assert call.final().status == 200
        call.bye()
        assert poly.client.delete(fill(A, new)).status_code == 204
        assert caller.invite(number).final().status == 404


# --- Rights, tenants, repeats ------------------------------------------------------------------------------------------------


BODIES = {
    ("post", ACCOUNT): CREATE,
    ("post", "/v1/agents"): CREATE,
    ("post", f"{A}/duplicate"): {"newAgentName": "x"},
    ("post", CONNECTORS): {"name": "x"},
    ("post", CONNECTORS + "/batch"): {"connectorIds": [NOBODY]},
    ("patch", CONNECTORS + "/batch"): {"updates": [{"connectorId": NOBODY, "variantId": "V"}]},
    ("post", CONNECTORS + "/lookup"): {"phoneNumber": "+14155550199"},
    ("patch", CONNECTOR): {"variantId": "V"},
    ("post", NUMBERS): {"phoneNumbers": ["+14155550199"]},
    ("delete", NUMBERS): {"phoneNumbers": ["+14155550199"]},
    ("post", NUMBERS + "/batch"): {"phoneNumbers": ["+14155550199"]},
    ("post", NUMBER): {},
    ("patch", NUMBER): {"connectorId": NOBODY},
}
READS = {("post", CONNECTORS + "/batch"), ("post", CONNECTORS + "/lookup"), ("post", NUMBERS + "/batch")}


def operations():
    served = [(m, p) for m, p, _ in contract.operations(FULL) if "outbound-calls" not in p]
    return served + BEYOND


def test_every_operation_asks_for_a_key_and_a_right(server, carrier, poly):
    agent = poly.agent()
    names = {"agent": agent, "connector": poly.connector(agent)["connectorId"], "number": poly.imported(agent)}
    viewer = Poly(carrier, carrier.client("polyai", "viewer"))
    lacking = Poly(carrier, server.api(credential("polyai", carrier.key("polyai", scopes=["calls:read"]))))
    foreign = Poly(carrier, server.api({"x-api-key": carrier.key("krosai")}))
    stranger, nobody = Poly(carrier, server.api({"x-api-key": "nobody"})), Poly(carrier, server.anonymous)
    assert len(operations()) == 23
    for method, path in operations():
        body = BODIES.get((method, path))
        assert nobody.code(method, path, 401, body, **names) == "AUTH_USER_UNAUTHORISED"
        for client in (stranger, foreign):
            assert client.code(method, path, 401, body, **names) == "AUTH_USER_INVALID_TOKEN"
        assert lacking.code(method, path, 403, body, **names) == "USER_ACCESS_FORBIDDEN"
        if method != "get" and (method, path) not in READS:
            assert viewer.code(method, path, 403, body, **names) == "USER_ACCESS_FORBIDDEN", (method, path)
    assert names["number"] in viewer.numbers(agent) and names["connector"] in viewer.connectors(agent)
    # What takes numbers along needs the right to them.
    narrow = Poly(carrier, server.api(credential("polyai", carrier.key("polyai", scopes=["endpoints:write", "agents:write"]))))
    assert narrow.code("delete", CONNECTOR, 403, **names) == "USER_ACCESS_FORBIDDEN"
    assert narrow.code("delete", A, 403, agent=agent) == "USER_ACCESS_FORBIDDEN"


def test_another_tenants_agent_is_not_there(server, poly):
    agent = poly.agent()
    names = {"agent": agent, "connector": poly.connector(agent)["connectorId"], "number": poly.imported(agent)}
    other = Poly(server.tenant("other poly"))
    other.tenant.trunk("127.0.0.24")
    for method, path in operations():
        if "{agentId}" in path:
            code = other.code(method, path, 404, BODIES.get((method, path)), **names)
            assert code in ("PROJECT_NOT_FOUND", "PHONE_NUMBERS_NOT_FOUND"), (method, path, code)
    for method in ("get", "post"):
        assert other.code(method, ACCOUNT, 404, CREATE if method == "post" else None, account=poly.tenant.id) == "ACCOUNT_NOT_FOUND"
    own = other.agent()
    code = other.code("get", CONNECTOR, 404, agent=own, connector=names["connector"])
    assert code == "CONNECTORS_NOT_FOUND"
    mine = other.connector(own)["connectorId"]
    assert other.code("patch", CONNECTOR, 404, {"projectId": agent}, agent=own, connector=mine) == "PROJECT_NOT_FOUND"
    number = other.imported(own)
    code = other.code("patch", NUMBER, 404, {"connectorId": names["connector"]}, agent=own, number=number)
    assert code == "PHONE_NUMBERS_CONNECTOR_DOES_NOT_EXIST"
    # Held is held, whoever asks.
    assert other.code("post", NUMBER, 409, agent=own, number=names["number"]) == "PHONE_NUMBERS_ALREADY_EXISTS"
    shown = other.send("post", CONNECTORS + "/batch", 200, {"connectorIds": [names["connector"]]}, agent=own)
    assert shown == {"found": [], "notFound": [names["connector"]]}
    assert names["number"] in poly.numbers(agent) and names["connector"] in poly.connectors(agent)


def test_a_repeat_with_its_key_gives_the_first_answer(poly):
    agent = poly.agent()
    numbers = [new_number(), new_number()]
    for path, status, body, names in (
        (ACCOUNT, 200, CREATE, {}),
        (f"{A}/duplicate", 200, {"newAgentName": "Copy"}, {"agent": agent}),
        (CONNECTORS, 201, {"name": "once"}, {"agent": agent}),
        (NUMBERS, 201, {"phoneNumbers": numbers}, {"agent": agent}),
        (NUMBER, 201, {}, {"agent": agent, "number": new_number()}),
        (NUMBERS + "/batch", 200, {"phoneNumbers": numbers}, {"agent": agent}),
    ):
        key = {"idempotency-key": uuid.uuid4().hex}
        first = poly.send("post", path, status, body, headers=key, **names)
        assert poly.send("post", path, status, body, headers=key, **names) == first, path
        other = poly.code("post", path, 422, body | {"other": 1}, headers=key, **names)
        assert other == "IDEMPOTENCY_KEY_REUSED"
    assert len(poly.connectors(agent)) == 1 and len(poly.numbers(agent)) == 3


def test_other_apis_leave_a_connectors_own_fields_alone(carrier, poly):
    agent = poly.agent()
    made = poly.connector(agent, variantId="V1", voiceName="en-US-Neural2-A", disableHandoff=True)
    path = f"/api/v1/endpoints/{made['connectorId']}"
    assert not {"bags", "variantId", "polyai"} & set(ok(carrier.admin.get(path), 200))
    ok(carrier.admin.patch(path, json={"name": "renamed", "environment": "sandbox"}), 200)
    shown = poly.send("get", CONNECTOR, 200, agent=agent, connector=made["connectorId"])
    assert shown == made | {"name": "renamed", "clientEnv": "sandbox"}
    plain = carrier.endpoint("sip:127.0.0.1:5999", agent=agent)
    shown = poly.send("get", CONNECTOR, 200, agent=agent, connector=plain["id"])
    unset = {"variantId": "", "asrLangCode": "", "ttsLangCode": "", "voiceName": "", "disableHandoff": False}
    assert {k: shown[k] for k in unset} == unset


def test_our_operation_is_marked(carrier):
    document = ok(carrier.server.anonymous.get("/openapi/polyai.json"), 200)
    marked = [(m, p) for p, item in document["paths"].items() for m, o in item.items() if o.get("x-trunkline-extension")]
    assert marked == [("post", CONNECTORS)]
