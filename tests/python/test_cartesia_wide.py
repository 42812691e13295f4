"""Cartesia's numbers, SIP trunks, agents and calls over HTTP, held against contracts/full/cartesia.json, and the rules behind
them."""

import concurrent.futures
import uuid

import contract
import pytest
from harness import new_number, ok
from sip import Agent, Caller

FULL = "full/cartesia"
NOBODY = "0190b5b0-1111-7222-8333-444455556666"
NUMBERS, NUMBER = "/agents/phone-numbers", "/agents/phone-numbers/{id}"
PROVISION = "/agents/phone-numbers/provision"
PROVIDERS, PROVIDER = "/agents/phone-numbers/providers", "/agents/phone-numbers/providers/{id}"
AGENTS, AGENT, OF_AGENT = "/agents", "/agents/{agent_id}", "/agents/{agent_id}/phone-numbers"
CALLS, CALL = "/agents/calls", "/agents/calls/{call_id}"
OPERATIONS = [
    ("post", NUMBERS), ("post", PROVISION), ("get", NUMBER), ("patch", NUMBER), ("delete", NUMBER),
    ("get", PROVIDERS), ("post", PROVIDERS), ("get", PROVIDER), ("patch", PROVIDER), ("delete", PROVIDER),
    ("get", AGENTS), ("get", AGENT), ("patch", AGENT), ("delete", AGENT),
    ("get", CALLS), ("get", CALL), ("delete", CALL),
]  # fmt: skip
VERSIONS = ["2026-03-01", "2026-08-14"]
TRUNK = {"type": "sip_trunk", "label": "carrier", "inbound": {"allowed_addresses": ["192.0.2.7"]}}


def send(client, method, path, status, body=None, *, query=None, headers=None, **names):
    """One request; a good answer is held against the contract, a refusal against the vendor's form of errors."""
    url = path.format(**names) if names else path
    more = {} if body is None else {"json": body}
    response = client.request(method.upper(), url, params=query, headers=headers, **more)
    if status < 400:
        return contract.check(FULL, method, path, response, status)
    assert response.status_code == status, f"{method} {url}: {response.status_code} {response.text[:500]}"
    refused = response.json()
    assert set(refused) == {"error_code", "title", "message", "request_id"}, refused
    uuid.UUID(refused["request_id"])
    assert (response.headers.get("x-should-retry") == "false") == (status == 409)
    return refused


@pytest.fixture(scope="module", params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(scope="module")
def holder(server, version):
    """A tenant whose imports need nobody's consent, and its client in one version of the API."""
    tenant = server.tenant(f"wide {version}")
    tenant.settings(imports="open")
    tenant.api = tenant.client("cartesia", **{"cartesia-version": version})
    return tenant


@pytest.fixture(scope="module")
def trunk(holder):
    return send(holder.api, "post", PROVIDERS, 201, TRUNK)


def agent_with_endpoint(tenant, name="Ada", uri="sip:127.0.0.1:5999"):
    agent = tenant.agent(name)
    return agent, tenant.endpoint(uri, agent=agent)


def imported(holder, trunk, **fields):
    body = {"label": "line", "number": new_number(), "provider": {"id": trunk["id"]}} | fields
    return send(holder.api, "post", NUMBERS, 201, body)


# --- Numbers -----------------------------------------------------------------------------------------------------------------


def test_a_number_is_imported_once(holder, trunk):
    agent, endpoint = agent_with_endpoint(holder)
    number = imported(holder, trunk, label=" Front desk ", agent_id=agent["id"])
    assert number["id"].startswith("pn_") and number["label"] == "Front desk"
    assert number["agent"] == {"id": agent["id"], "name": "Ada"}
    assert number["provider"] == {"type": "sip_trunk", "id": trunk["id"], "label": "carrier"}
    assert send(holder.api, "get", NUMBER, 200, id=number["id"]) == number
    native = ok(holder.native.get(f"/api/v1/numbers/{number['number']}"), 200)
    assert native["endpoint_id"] == endpoint["id"] and native["status"] == "active"
    again = {"label": "x", "number": number["number"], "provider": {"id": trunk["id"]}}
    send(holder.api, "post", NUMBERS, 409, again)
    other = holder.server.tenant("importer")
    mine = send(other.cartesia, "post", PROVIDERS, 201, TRUNK | {"inbound": {"allowed_addresses": ["192.0.2.9"]}})
    send(other.cartesia, "post", NUMBERS, 409, again | {"provider": {"id": mine["id"]}})


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"label": None}, 400), ({"label": " "}, 400), ({"label": 7}, 400), ({"label": "x" * 201}, 400),
        ({"number": "911"}, 400), ({"number": "4155550100"}, 400), ({"number": None}, 400), ({"number": 14155550100}, 400),
        ({"provider": None}, 400), ({"provider": {}}, 400), ({"provider": "x"}, 400), ({"provider": {"id": 7}}, 400),
        ({"provider": {"type": "twilio"}}, 400), ({"provider": {"type": "twilio", "account_sid": "AC1"}}, 404),
        ({"provider": {"id": NOBODY}}, 404), ({"provider": {"id": "ata_1"}}, 404),
        ({"agent_id": NOBODY}, 404), ({"agent_id": "no id"}, 404), ({"agent_id": 7}, 400),
    ],
)  # fmt: skip
def test_an_import_is_refused_field_by_field(holder, trunk, change, status):
    body = {"label": "x", "number": new_number(), "provider": {"id": trunk["id"]}} | change
    send(holder.api, "post", NUMBERS, status, {k: v for k, v in body.items() if v is not None})
    assert not send(holder.api, "get", NUMBERS, 200, query={"q": body["number"] or "none"})["data"]


def test_an_account_that_its_carrier_does_not_know_is_refused(holder):
    body = {"type": "twilio", "account_sid": "AC1", "api_key_sid": "SK1", "api_key_secret": "s"}
    assert "carrier" in send(holder.api, "post", PROVIDERS, 400, body)["message"]


def test_an_import_that_needs_consent_waits_for_the_operator(holder, trunk):
    holder.settings(imports="operator")
    number = imported(holder, trunk)
    holder.settings(imports="open")
    assert ok(holder.native.get(f"/api/v1/numbers/{number['number']}"), 200)["status"] == "pending"


@pytest.fixture
def shop(fresh):
    """A server whose stock no other test buys from."""
    return fresh.start()


def test_the_cheapest_number_of_the_us_is_provisioned(shop):
    buyer = shop.tenant("buyer", cents=1_000)
    agent, endpoint = agent_with_endpoint(buyer)
    dear = shop.stock(setup=0, monthly=500)
    shop.stock(setup=0, monthly=1, voice=False)
    cheap, second = shop.stock(setup=100, monthly=100), shop.stock(setup=50, monthly=150)
    shop.stock(country="CA", setup=0, monthly=0)
    got = send(buyer.cartesia, "post", PROVISION, 201, {"label": "main", "agent_id": agent["id"]})
    assert "provider" not in got and got["number"] == cheap["e164"] and got["label"] == "main"
    assert got["agent"] == {"id": agent["id"], "name": "Ada"} and buyer.balance() == 800
    assert send(buyer.cartesia, "get", NUMBER, 200, id=got["id"])["provider"] == {"type": "cartesia"}
    assert ok(buyer.native.get(f"/api/v1/numbers/{got['number']}"), 200)["endpoint_id"] == endpoint["id"]
    assert send(buyer.cartesia, "post", PROVISION, 201, {"label": "b"})["number"] == second["e164"]
    assert send(buyer.cartesia, "post", PROVISION, 201, {"label": "c"})["number"] == dear["e164"]
    assert buyer.balance() == 100
    # Nothing is left that can carry calls.
    send(buyer.cartesia, "post", PROVISION, 409, {"label": "d"})
    shop.stock(setup=0, monthly=101)
    assert send(buyer.cartesia, "post", PROVISION, 402, {"label": "d"})["error_code"] is None
    for body in ({}, {"label": ""}, {"label": "x", "agent_id": 7}):
        send(buyer.cartesia, "post", PROVISION, 400, body)
    send(buyer.cartesia, "post", PROVISION, 404, {"label": "x", "agent_id": NOBODY})
    buyer.set_kyc("pending")
    send(buyer.cartesia, "post", PROVISION, 403, {"label": "d"})
    assert buyer.balance() == 100


def test_slots_bound_what_is_provisioned_at_once(shop):
    buyer = shop.tenant("slots", cents=100_000)
    ok(shop.admin.patch(f"/api/v1/organizations/{buyer.id}", json={"number_slots": 3}), 200)
    for _ in range(8):
        shop.stock(setup=10, monthly=10)
    client = buyer.cartesia
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.post(PROVISION, json={"label": f"n{n}"}), range(8)))
    assert sorted(a.status_code for a in answers) == [201] * 3 + [402] * 5
    assert {a.json()["error_code"] for a in answers if a.status_code == 402} == {"quota_exceeded"}
    assert len({a.json()["number"] for a in answers if a.status_code == 201}) == 3
    assert buyer.balance() == 100_000 - 3 * 20
    [first, *_] = [a.json() for a in answers if a.status_code == 201]
    send(client, "delete", NUMBER, 204, id=first["id"])
    again = send(client, "post", PROVISION, 201, {"label": "free slot"}, headers={"idempotency-key": "once"})
    assert send(client, "post", PROVISION, 201, {"label": "free slot"}, headers={"idempotency-key": "once"}) == again
    assert buyer.balance() == 100_000 - 4 * 20


def test_each_field_of_a_number_is_absent_null_valid_or_wrong(holder, trunk):
    agent, _ = agent_with_endpoint(holder)
    number = imported(holder, trunk, agent_id=agent["id"], label="one")

    def patch(status, body):
        return send(holder.api, "patch", NUMBER, status, body, id=number["id"])

    assert patch(200, {}) == number
    assert patch(200, {"label": "two"})["label"] == "two"
    for wrong in (None, "", 7, ["x"]):
        patch(400, {"label": wrong})
    assert patch(200, {"agent_id": agent["id"]})["agent"]["id"] == agent["id"]
    cleared = patch(200, {"agent_id": None})
    assert cleared["agent"] is None and cleared["label"] == "two"
    assert ok(holder.native.get(f"/api/v1/numbers/{number['number']}"), 200)["endpoint_id"] is None
    assert patch(200, {"label": "three"})["agent"] is None
    patch(400, {"agent_id": 7})
    patch(404, {"agent_id": NOBODY})
    second = send(holder.api, "post", PROVIDERS, 201, TRUNK | {"label": "second", "outbound": {
        "address": "sip.example.com", "transport": "tcp"}})  # fmt: skip
    moved = patch(200, {"provider": {"id": second["id"]}})
    assert moved["provider"] == {"type": "sip_trunk", "id": second["id"], "label": "second"}
    for wrong, status in (
        (None, 400), ("x", 400), ({}, 400), ({"type": "twilio", "account_sid": "AC"}, 404), ({"id": NOBODY}, 404),
    ):  # fmt: skip
        patch(status, {"provider": wrong})
    assert send(holder.api, "get", NUMBER, 200, id=number["id"]) == moved
    send(holder.api, "patch", NUMBER, 404, {"label": "x"}, id=NOBODY)
    send(holder.api, "patch", NUMBER, 404, {"label": "x"}, id="pn_x")


def test_a_number_of_the_stock_stays_there(holder, trunk):
    number = holder.number()
    send(holder.api, "patch", NUMBER, 400, {"provider": {"id": trunk["id"]}}, id=f"pn_{number['id']}")
    assert send(holder.api, "get", NUMBER, 200, id=f"pn_{number['id']}")["provider"] == {"type": "cartesia"}


def test_a_number_is_deleted_once_it_has_no_agent(holder, trunk):
    agent, _ = agent_with_endpoint(holder)
    for number in (imported(holder, trunk, agent_id=agent["id"]), {"id": f"pn_{holder.number(agent_id=agent['id'])['id']}"}):
        assert "unassign" in send(holder.api, "delete", NUMBER, 400, id=number["id"])["message"]
        send(holder.api, "patch", NUMBER, 200, {"agent_id": None}, id=number["id"])
        assert send(holder.api, "delete", NUMBER, 204, id=number["id"]) is None
        for method in ("get", "delete"):
            send(holder.api, method, NUMBER, 404, id=number["id"])


def test_a_released_number_is_not_found(holder):
    number = holder.number()
    ok(holder.native.delete(f"/api/v1/numbers/{number['id']}"))
    for method, body in (("get", None), ("patch", {"label": "x"}), ("delete", None)):
        send(holder.api, method, NUMBER, 404, body, id=f"pn_{number['id']}")


# --- Providers ---------------------------------------------------------------------------------------------------------------


WHOLE = {
    "type": "sip_trunk",
    "label": "both ways",
    "inbound": {
        "credentials": {"username": "in", "password": "hush-in"}, "allowed_addresses": ["192.0.2.0/28", "2001:db8::7"],
        "allowed_numbers": ["+1 212 555 0100"], "media_encryption": "disabled",
    },
    "outbound": {
        "address": "sip.example.com:5061", "transport": "tls", "destination_country": "us", "media_encryption": "allowed",
        "credentials": {"username": "out", "password": "hush-out"},
    },
}  # fmt: skip


def test_a_trunk_is_made_read_and_merged(holder):
    made = send(holder.api, "post", PROVIDERS, 201, WHOLE)
    assert made["inbound"] == {
        "allowed_addresses": ["192.0.2.0/28", "2001:db8::7"], "allowed_numbers": ["+12125550100"], "auth_username": "in",
        "media_encryption": "disabled",
    }  # fmt: skip
    assert made["outbound"] == {
        "address": "sip.example.com:5061", "transport": "tls", "destination_country": "US", "auth_username": "out",
        "media_encryption": "allowed",
    }  # fmt: skip

    def patch(status, **body):
        return send(holder.api, "patch", PROVIDER, status, {"type": "sip_trunk"} | body, id=made["id"])

    assert patch(200) == made
    assert patch(200, inbound={}, outbound={}) == made
    assert patch(200, label="new")["label"] == "new"
    # Each part of a side by itself; the rest stays.
    changed = patch(200, inbound={"allowed_numbers": [], "credentials": {"username": "renamed"}})
    assert changed["inbound"] == made["inbound"] | {"allowed_numbers": [], "auth_username": "renamed"}
    assert patch(200, inbound={"credentials": None})["inbound"]["auth_username"] == ""
    assert patch(200, inbound={"allowed_addresses": [], "media_encryption": "allowed"})["inbound"]["allowed_addresses"] == []
    same = {"address": "sip.example.com:5061", "transport": "tls"}
    assert "destination_country" not in patch(200, outbound=same | {"destination_country": None})["outbound"]
    for moved in ({"address": "other.example.com"}, {"transport": "tcp"}):
        patch(400, outbound=moved)
    patch(400, inbound={"credentials": {"username": "nobody", "password": ""}})
    patch(400, inbound={"credentials": {"username": "x"}})  # there is no password left to keep
    last = send(holder.api, "get", PROVIDER, 200, id=made["id"])
    assert last in send(holder.api, "get", PROVIDERS, 200)
    text = holder.api.get(PROVIDERS).text + holder.api.get(f"{PROVIDERS}/{made['id']}").text
    assert "hush" not in text and "password" not in text
    assert "hush" not in holder.server.log.read_text(errors="replace")


def test_a_side_is_added_whole(holder):
    made = send(holder.api, "post", PROVIDERS, 201, TRUNK | {"label": "one way"})
    assert "outbound" not in made and made["inbound"]["media_encryption"] == "allowed"
    for part in ({"address": "sip.example.com"}, {"transport": "tcp"}, {}):
        send(holder.api, "patch", PROVIDER, 400, {"type": "sip_trunk", "outbound": part}, id=made["id"])
    side = {"address": "sip.example.com", "transport": "tcp"}
    grown = send(holder.api, "patch", PROVIDER, 200, {"type": "sip_trunk", "outbound": side}, id=made["id"])
    assert grown["outbound"] == side | {"media_encryption": "disabled", "auth_username": ""}
    assert grown["inbound"] == made["inbound"]


@pytest.mark.parametrize(
    "change",
    [
        {"type": None}, {"type": "pigeon"}, {"type": 7}, {"label": None}, {"label": ""}, {"label": 7}, {"inbound": None},
        {"inbound": "x"}, {"inbound": {"allowed_addresses": ["0.0.0.0/0"]}}, {"inbound": {"allowed_addresses": ["home"]}},
        {"inbound": {"allowed_addresses": "192.0.2.1"}}, {"inbound": {"allowed_addresses": [f"10.0.{n // 256}.{n % 256}" for n in range(257)]}},
        {"inbound": {"allowed_numbers": ["12"]}}, {"inbound": {"allowed_numbers": [7]}},
        {"inbound": {"media_encryption": "REQUIRED"}}, {"inbound": {"media_encryption": "maybe"}},
        {"inbound": {"credentials": {"username": "x"}}}, {"inbound": {"credentials": {"username": "", "password": "y"}}},
        {"outbound": {"address": "sip.example.com"}}, {"outbound": {"transport": "tcp"}},
        {"outbound": {"address": "sip.example.com", "transport": "udp"}},
        {"outbound": {"address": "not a host", "transport": "tcp"}},
        {"outbound": {"address": "sip.example.com", "transport": "tcp", "destination_country": "USA"}},
        {"outbound": {"address": "sip.example.com", "transport": "tcp", "destination_country": "XX"}},
        {"outbound": {"address": "sip.example.com", "transport": "tcp", "media_encryption": "none"}},
    ],
)  # fmt: skip
def test_a_trunk_is_refused_field_by_field(holder, change):
    before = send(holder.api, "get", PROVIDERS, 200)
    send(holder.api, "post", PROVIDERS, 400, {k: v for k, v in (TRUNK | change).items() if v is not None})
    assert send(holder.api, "get", PROVIDERS, 200) == before


def test_the_lists_of_trunks_know_no_twilio(holder, trunk):
    everything = send(holder.api, "get", PROVIDERS, 200)
    assert trunk["id"] in [p["id"] for p in everything]
    assert send(holder.api, "get", PROVIDERS, 200, query={"type": "sip_trunk"}) == everything
    for query in ({"type": "twilio"}, {"account_sid": "AC1"}):
        assert send(holder.api, "get", PROVIDERS, 200, query=query) == []
    send(holder.api, "get", PROVIDERS, 400, query={"type": "cartesia"})
    managed = ok(holder.native.post("/api/v1/providers", json={"kind": "managed", "label": "m"}), 201)
    assert send(holder.api, "get", PROVIDERS, 200) == everything
    for method, body in (("get", None), ("patch", {"type": "sip_trunk", "label": "x"}), ("delete", None)):
        send(holder.api, method, PROVIDER, 404, body, id=managed["id"])


def test_a_trunk_goes_when_its_numbers_are_gone(holder):
    made = send(holder.api, "post", PROVIDERS, 201, TRUNK)
    number = imported(holder, made)
    assert "number" in send(holder.api, "delete", PROVIDER, 409, id=made["id"])["message"]
    send(holder.api, "delete", NUMBER, 204, id=number["id"])
    send(holder.api, "delete", PROVIDER, 204, id=made["id"])
    send(holder.api, "delete", PROVIDER, 404, id=made["id"])
    send(holder.api, "patch", PROVIDER, 404, {"type": "sip_trunk"}, id=made["id"])


# --- Agents ------------------------------------------------------------------------------------------------------------------


def test_agents_are_listed_changed_and_given_back_unread(holder, trunk):
    agent, _ = agent_with_endpoint(holder, "Grace")
    number = imported(holder, trunk, agent_id=agent["id"])
    one = send(holder.api, "get", AGENT, 200, agent_id=agent["id"])
    assert one in send(holder.api, "get", AGENTS, 200)["summaries"]
    assert one["phone_numbers"] == [{"id": number["id"], "number": number["number"]}]
    assert (one["tts_voice"], one["tts_language"], one["description"]) == ("", "en", "answers")

    def patch(status, body):
        return send(holder.api, "patch", AGENT, status, body, agent_id=agent["id"])

    assert patch(200, {}) == one and patch(200, {"name": None}) == one
    assert patch(200, {"name": "Joan"})["name"] == "Joan"
    assert patch(200, {"description": "new"})["description"] == "new" and patch(200, {"description": None})["description"] is None
    voiced = patch(200, {"tts_voice": "v1", "tts_language": "de"})
    assert (voiced["tts_voice"], voiced["tts_language"], voiced["name"]) == ("v1", "de", "Joan")
    assert patch(200, {"tts_voice": None})["tts_voice"] == "" and patch(200, {})["tts_language"] == "de"
    for wrong in ({"name": ""}, {"name": 7}, {"description": 7}, {"tts_voice": 7}, {"tts_language": "x" * 201}, {"webhook_id": "w"}):
        patch(400, wrong)
    # A change by another API keeps what only this one knows.
    ok(holder.native.patch(f"/api/v1/agents/{agent['id']}", json={"description": "by another"}), 200)
    assert send(holder.api, "get", AGENT, 200, agent_id=agent["id"])["tts_language"] == "de"


def test_a_deleted_agent_leaves_its_numbers_and_endpoints(holder, trunk):
    agent, endpoint = agent_with_endpoint(holder, "Gone")
    number = imported(holder, trunk, agent_id=agent["id"])
    send(holder.api, "delete", AGENT, 204, agent_id=agent["id"])
    assert send(holder.api, "get", NUMBER, 200, id=number["id"])["agent"] is None
    left = ok(holder.native.get(f"/api/v1/endpoints/{endpoint['id']}"), 200)
    assert left["agent_id"] is None and left["is_default"] is False
    explained = ok(holder.native.get(f"/api/v1/numbers/{number['number']}/explain"), 200)
    assert explained["outcome"] == "refuse" and explained["sip_status"] == 480
    for method, path in (("get", AGENT), ("delete", AGENT), ("get", OF_AGENT)):
        send(holder.api, method, path, 404, agent_id=agent["id"])
    assert send(holder.api, "delete", NUMBER, 204, id=number["id"]) is None


# --- Calls -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def line(holder):
    """A number whose calls come from 127.0.0.1 through a trunk of its own, an agent behind it, and a caller."""
    inbound = {"allowed_addresses": ["127.0.0.1"], "allowed_numbers": ["+12125550100"]}
    holder.its_trunk = send(holder.api, "post", PROVIDERS, 201, TRUNK | {"inbound": inbound})
    with Agent() as answering, Caller(holder.server.sip) as caller:
        holder.its_agent, _ = agent_with_endpoint(holder, "Phone", answering.uri)
        holder.line = imported(holder, holder.its_trunk, agent_id=holder.its_agent["id"])
        yield caller
    send(holder.api, "patch", PROVIDER, 200, {"type": "sip_trunk", "inbound": {"allowed_addresses": []}}, id=holder.its_trunk["id"])


@pytest.fixture(scope="module")
def calls(holder, line):
    """The calls of the agent, at least one of them ended."""
    call = line.invite(holder.line["number"])
    assert call.final().status == 200
    call.bye()
    holder.call_with(holder.line["number"], "completed")
    return send(holder.api, "get", CALLS, 200, query={"agent_id": holder.its_agent["id"]})["data"]


def test_a_trunk_takes_the_callers_it_names(holder, line):
    number = holder.line["number"]
    for caller, status in (("+13125550100", 403), ("anonymous", 403), ("+12125550100", 200)):
        call = line.invite(number, from_user=caller)
        assert call.final().status == status, caller
        if status == 200:
            call.bye()
    explain = f"/api/v1/numbers/{number}/explain"
    refused = ok(holder.native.get(explain, params={"caller": "+13125550100"}), 200)
    assert (refused["outcome"], refused["sip_status"]) == ("refuse", 403) and "allowed_numbers" in refused["reason"]
    assert refused["steps"][-1] == {"rule": "the trunk takes this caller", "passed": False}
    for query in ({"caller": "+12125550100"}, {}):
        assert ok(holder.native.get(explain, params=query), 200)["outcome"] == "route"
    send(holder.api, "patch", PROVIDER, 200, {"type": "sip_trunk", "inbound": {"allowed_numbers": []}}, id=holder.its_trunk["id"])
    call = line.invite(number, from_user="+13125550100")
    assert call.final().status == 200
    call.bye()
    allowed = {"allowed_numbers": ["+12125550100"]}
    send(holder.api, "patch", PROVIDER, 200, {"type": "sip_trunk", "inbound": allowed}, id=holder.its_trunk["id"])


@pytest.fixture(scope="module")
def other_agent_calls(server, version):
    """Calls of a tenant of their own, so that no other test adds to them."""
    tenant = server.tenant(f"caller {version}")
    tenant.api = tenant.client("cartesia", **{"cartesia-version": version})
    address = f"127.0.1.{VERSIONS.index(version) + 1}"
    trunk = tenant.trunk(address)
    with Agent() as answering, Caller(server.sip, address) as caller:
        tenant.its_agent, _ = agent_with_endpoint(tenant, "Phone", answering.uri)
        number = tenant.number(trunk=trunk, agent_id=tenant.its_agent["id"])
        tenant.line = number
        for _ in range(5):
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            call.bye()
        tenant.patch(number, allow_inbound=False)
        assert caller.invite(number["e164"]).final().status == 403
        tenant.call_with(number["e164"], "refused")
        tenant.patch(number, allow_inbound=True)
        live = caller.invite(number["e164"])
        assert live.final().status == 200
        tenant.call_with(number["e164"], "answered")
        yield tenant
        live.bye()


def test_the_calls_of_an_agent_are_listed_both_ways(other_agent_calls):
    tenant = other_agent_calls
    agent = {"agent_id": tenant.its_agent["id"]}
    rows = send(tenant.api, "get", CALLS, 200, query=agent | {"limit": 100, "expand": "transcript"})["data"]
    assert [r["status"] for r in rows] == ["started", "failed"] + ["completed"] * 5
    assert [r["start_time"] for r in rows] == sorted((r["start_time"] for r in rows), reverse=True)
    for row in rows:
        assert row["agent_name"] == "Phone" and row["telephony_account_type"] == "sip_trunk"
        params = row["telephony_params"]
        assert params["from"] == tenant.line["e164"] and params["to"] == "+12125550100" and params["direction"] == "inbound"
        assert send(tenant.api, "get", CALL, 200, call_id=row["id"]) == row
    assert [r.get("end_reason") for r in rows] == [None, "error"] + ["client_hangup"] * 5
    assert "allow_inbound" in rows[1]["error_message"] and rows[2]["error_message"] is None
    seen, cursor = [], None
    while True:
        page = send(tenant.api, "get", CALLS, 200, query=agent | {"limit": 3} | ({"starting_after": cursor} if cursor else {}))
        assert page["has_more"] == (page["next_page"] is not None)
        if not page["data"]:
            break
        seen += page["data"]
        cursor = page["data"][-1]["id"]
    assert seen == rows
    back = send(tenant.api, "get", CALLS, 200, query=agent | {"limit": 2, "ending_before": rows[4]["id"]})
    assert back["data"] == rows[2:4] and back["has_more"] is True and back["next_page"] == rows[2]["id"]
    middle = rows[3]["start_time"]
    for query, wanted in (
        ({"start_time_lte": middle}, [r for r in rows if r["start_time"] <= middle]),
        ({"start_time_gte": middle, "start_time_lte": rows[0]["start_time"]}, [r for r in rows if r["start_time"] >= middle]),
        ({"start_time_gte": "2099-01-01T00:00:00Z"}, []),
    ):  # fmt: skip
        found = send(tenant.api, "get", CALLS, 200, query=agent | query)["data"]
        # Times are shown in milliseconds and kept more finely: the bound itself may fall on either side.
        bounds = {r["id"] for r in rows if r["start_time"] in (middle, rows[0]["start_time"])}
        assert {r["id"] for r in found} ^ {r["id"] for r in wanted} <= bounds


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"agent_id": None}, 400), ({"batch_id": "acb_1"}, 400), ({"agent_id": NOBODY}, 404), ({"agent_id": "no id"}, 404),
        ({"limit": 0}, 400), ({"limit": 101}, 400), ({"limit": "x"}, 400), ({"starting_after": "x"}, 400),
        ({"starting_after": NOBODY, "ending_before": NOBODY}, 400), ({"start_time_gte": "yesterday"}, 400),
        ({"start_time_gte": "2026-03-02T00:00:00Z", "start_time_lte": "2026-03-01T00:00:00Z"}, 400),
    ],
)  # fmt: skip
def test_a_list_of_calls_out_of_bounds_is_refused(holder, query, status):
    agent = holder.agent()
    whole = {"agent_id": agent["id"]} | query
    send(holder.api, "get", CALLS, status, query={k: v for k, v in whole.items() if v is not None})


def test_a_deleted_call_keeps_its_minutes_and_loses_its_people(other_agent_calls):
    tenant = other_agent_calls
    rows = send(tenant.api, "get", CALLS, 200, query={"agent_id": tenant.its_agent["id"]})["data"]
    assert "not ended" in send(tenant.api, "delete", CALL, 400, call_id=rows[0]["id"])["message"]
    ended = rows[-1]
    gone = send(tenant.api, "delete", CALL, 200, call_id=ended["id"])
    assert gone["redacted_at"] and gone["telephony_params"] is None
    assert {k: v for k, v in gone.items() if k not in ("redacted_at", "telephony_params")} == {
        k: v for k, v in ended.items() if k not in ("redacted_at", "telephony_params")
    }
    assert send(tenant.api, "delete", CALL, 200, call_id=ended["id"]) == gone
    assert send(tenant.api, "get", CALL, 200, call_id=ended["id"]) == gone
    text = tenant.admin.get(f"/api/v1/calls/{ended['id']}").text
    assert "12125550100" not in text and "127.0.1." not in text
    # A refused call says no more why it was.
    refused = next(r for r in rows if r["status"] == "failed")
    assert send(tenant.api, "delete", CALL, 200, call_id=refused["id"])["error_message"] is None


def test_a_call_stays_with_the_agent_that_had_its_number(other_agent_calls):
    tenant = other_agent_calls
    other = tenant.agent("Second")
    before = send(tenant.api, "get", CALLS, 200, query={"agent_id": tenant.its_agent["id"]})
    send(tenant.api, "patch", NUMBER, 200, {"agent_id": other["id"]}, id=f"pn_{tenant.line['id']}")
    assert send(tenant.api, "get", CALLS, 200, query={"agent_id": tenant.its_agent["id"]}) == before
    assert send(tenant.api, "get", CALLS, 200, query={"agent_id": other["id"]})["data"] == []
    send(tenant.api, "patch", NUMBER, 200, {"agent_id": tenant.its_agent["id"]}, id=f"pn_{tenant.line['id']}")


# --- Rights and tenants ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names(holder, trunk, calls):
    agent = holder.agent("Mine")
    return {"id": imported(holder, trunk)["id"], "agent_id": agent["id"], "call_id": calls[0]["id"], "trunk": trunk["id"]}


def filled(method, path, names):
    names = names | ({"id": names["trunk"]} if path == PROVIDER else {})
    query = {"agent_id": names["agent_id"]} if path == CALLS else None
    bodies = {
        NUMBERS: {"label": "x", "number": new_number(), "provider": {"id": names["trunk"]}}, PROVISION: {"label": "x"},
        NUMBER: {"label": "x"}, PROVIDERS: TRUNK, PROVIDER: {"type": "sip_trunk", "label": "x"}, AGENT: {"name": "x"},
    }  # fmt: skip
    return path.format(**names), query, bodies.get(path) if method in ("post", "patch") else None


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_keys_and_tenants_are_kept_apart(holder, names, method, path):
    url, query, body = filled(method, path, names)
    other = holder.server.tenant("stranger")
    viewer = holder.client("cartesia", role="viewer")
    wrong = holder.server.api({"authorization": "Bearer sk_car_nobodyhasthiskey"})
    for client in (holder.server.anonymous, wrong, holder.server.api({"authorization": f"Bearer {holder.key('krosai')}"})):
        send(client, method, url, 401, body, query=query)
    if method != "get":
        send(viewer, method, url, 403, body, query=query)
    else:
        assert viewer.request(method, url, params=query).status_code == 200
    if "{" in path or path == CALLS:
        send(other.cartesia, method, url, 404, body, query=query)
    elif path == NUMBERS:
        send(other.cartesia, method, url, 404, body)  # the trunk is not theirs
    elif method == "get":
        shown = other.cartesia.get(url).text
        assert names["trunk"] not in shown and names["agent_id"] not in shown


def test_another_tenants_things_cannot_be_given(holder, names, trunk):
    other = holder.server.tenant("foreign")
    mine = {"agent_id": names["agent_id"]}
    theirs = other.number()
    send(other.cartesia, "patch", NUMBER, 404, mine, id=f"pn_{theirs['id']}")
    send(other.cartesia, "patch", NUMBER, 404, {"provider": {"id": trunk["id"]}}, id=f"pn_{theirs['id']}")
    send(other.cartesia, "post", PROVISION, 404, {"label": "x"} | mine)


@pytest.mark.parametrize("path", ["/agents/templates", "/agents/calls/batches", "/agents/webhooks"])
def test_what_is_not_served_is_not_found(holder, path):
    send(holder.api, "get", path, 404)


@pytest.mark.parametrize(("method", "path"), [("put", CALLS), ("put", NUMBER), ("post", AGENTS)])
def test_methods_that_are_not_served_are_refused(holder, method, path):
    send(holder.api, method, path, 405, {}, id=NOBODY)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"null"])
def test_bodies_that_are_no_objects_are_refused(holder, names, body):
    for method, path in OPERATIONS:
        if method in ("post", "patch"):
            url, _, _ = filled(method, path, names)
            response = holder.api.request(method.upper(), url, content=body, headers={"content-type": "application/json"})
            assert response.status_code == 400, f"{method} {url} {body}: {response.text[:300]}"
