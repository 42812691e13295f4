"""Numbers in an organization's own Twilio account: providers, and numbers brought in, moved and given up."""

import json
import re
import threading

import httpx
import pytest
from harness import new_number, ok, wait_for
from twilio import (  # noqa: F401  (fixtures are found by name)
    CONTRACT,
    NEWER,
    NUMBERS,
    PROVIDERS,
    behaved,
    bring,
    import_body,
    link,
    native,
    provider_body,
    refused,
    server,
    sid,
    tenant,
    twilio,
)

# The simulated carrier itself


def held(kind, value):
    """Holds a value against a type of the contract."""
    if "one_of" in kind:
        return value in kind["one_of"]
    types = kind["type"] if isinstance(kind["type"], list) else [kind["type"]]
    fits = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
    named = ("null" in types and value is None) or any(
        isinstance(value, fits[t]) and (t != "integer" or not isinstance(value, bool)) for t in types if t in fits
    )
    return named and (value is None or "pattern" not in kind or re.search(kind["pattern"], value) is not None)


def check(fields, value):
    for name, inner in value.items():
        assert name in fields, f"{name} is not a field"
        kind = fields[name]
        if "list_of" in kind:
            for row in inner:
                check(CONTRACT["objects"][kind["list_of"]], row)
        elif "object" in kind:
            check(kind["object"], inner)
        else:
            assert held(kind, inner), (name, inner, kind)


def test_the_simulated_answers_are_of_the_contract(twilio):
    numbers = [new_number() for _ in range(3)]
    account = twilio.account(*numbers)
    login = (account["api_key_sid"], account["api_key_secret"])
    client = httpx.Client(base_url=twilio.server.url + "/sim/twilio/us1", auth=login)
    seen = {}

    def ask(name, path, **how):
        operation = next(o for o in CONTRACT["operations"] if o["name"] == name)
        template = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"({\w+})", operation["path"]))
        assert re.fullmatch(template, path), path
        form = set(how.get("data", {}))
        assert set(operation.get("form_required", [])) <= form <= set(operation.get("form", []))
        assert set(how.get("params", {})) <= set(operation["query"])
        response = client.request(operation["method"], path, **how)
        assert response.status_code == operation["status"], response.text
        seen[name] = True
        if "reply" in operation:
            fields = operation["reply"]
            check(CONTRACT["objects"][fields] if isinstance(fields, str) else fields, response.json())
            return response.json()
        assert not response.content
        return None

    listed = f"/2010-04-01/Accounts/{account['account_sid']}/IncomingPhoneNumbers.json"
    page = ask("numbers.list", listed, params={"PageSize": 2})
    assert len(page["incoming_phone_numbers"]) == 2
    rest = client.get(page["next_page_uri"]).json()
    assert len(rest["incoming_phone_numbers"]) == 1 and rest["next_page_uri"] is None
    found = ask("numbers.list", listed, params={"PhoneNumber": numbers[0]})["incoming_phone_numbers"]
    assert [row["phone_number"] for row in found] == [numbers[0]]
    trunk = ask("trunks.create", "/v1/Trunks", data={"FriendlyName": "one & only"})
    assert trunk["friendly_name"] == "one & only"
    trunks = f"/v1/Trunks/{trunk['sid']}"
    form = {"FriendlyName": "u", "SipUrl": "sip:h:5060", "Priority": "1", "Weight": "2", "Enabled": "true"}
    url = ask("origination_urls.create", f"{trunks}/OriginationUrls", data=form)
    assert (url["sip_url"], url["priority"], url["weight"], url["enabled"]) == ("sip:h:5060", 1, 2, True)
    assert len(ask("origination_urls.list", f"{trunks}/OriginationUrls")["origination_urls"]) == 1
    ask("numbers.attach", f"{trunks}/PhoneNumbers", data={"PhoneNumberSid": found[0]["sid"]})
    assert client.get(listed, params={"PhoneNumber": numbers[0]}).json()["incoming_phone_numbers"][0]["trunk_sid"] == trunk["sid"]
    ask("numbers.detach", f"{trunks}/PhoneNumbers/{found[0]['sid']}")
    assert len(ask("trunks.list", "/v1/Trunks")["trunks"]) == 1
    read = ask("trunks.get", trunks)
    assert (read["domain_name"], read["auth_type_set"]) == (None, [])
    assert client.post(trunks, data={"DomainName": "elsewhere.example"}).status_code == 400
    named = ask("trunks.update", trunks, data={"DomainName": "one.pstn.twilio.com"})
    assert named["domain_name"] == "one.pstn.twilio.com"
    lists = f"/2010-04-01/Accounts/{account['account_sid']}/SIP/CredentialLists"
    made = ask("credential_lists.create", f"{lists}.json", data={"FriendlyName": "ours"})
    assert [row["sid"] for row in ask("credential_lists.list", f"{lists}.json")["credential_lists"]] == [made["sid"]]
    names = f"{lists}/{made['sid']}/Credentials"
    assert client.post(f"{names}.json", data={"Username": "u", "Password": "weak"}).status_code == 400
    one = ask("credentials.create", f"{names}.json", data={"Username": "u", "Password": "Long3nough-for-them"})
    assert "password" not in one and client.post(f"{names}.json", data={"Username": "u", "Password": "Long3nough-for"}).status_code == 400
    ask("credentials.update", f"{names}/{one['sid']}.json", data={"Password": "Another-l0ng-one"})
    assert [row["username"] for row in ask("credentials.list", f"{names}.json")["credentials"]] == ["u"]
    ask("trunk_credential_lists.create", f"{trunks}/CredentialLists", data={"CredentialListSid": made["sid"]})
    assert ask("trunk_credential_lists.list", f"{trunks}/CredentialLists")["credential_lists"][0]["sid"] == made["sid"]
    assert client.get(trunks).json()["auth_type_set"] == ["CREDENTIAL_LIST"]
    ask("credential_lists.delete", f"{lists}/{made['sid']}.json")
    assert client.get(f"{trunks}/CredentialLists").json()["credential_lists"] == []
    ask("trunks.delete", trunks)
    assert set(seen) == {o["name"] for o in CONTRACT["operations"]}
    # Its refusals.
    for wrong in [None, (login[0], "x"), ("SKx", login[1])]:
        denied = httpx.get(f"{twilio.server.url}/sim/twilio/us1{listed}", auth=wrong)
        assert (denied.status_code, denied.json()["code"]) == (401, 20003)
    other_region = httpx.get(f"{twilio.server.url}/sim/twilio/ie1{listed}", auth=login)
    assert (other_region.status_code, other_region.json()["code"]) == (401, 20003)
    assert client.get("/v1/Trunks/TKx/OriginationUrls").json()["code"] == 20404
    assert account["api_key_secret"] not in twilio.admin.get("/sim/twilio").text
    assert twilio.server.anonymous.get("/sim/twilio").status_code == 401
    for wrong in [{}, {"operation": "x"}, {"operation": "all", "status": 200}, {"operation": "all", "more": 1}]:
        assert twilio.admin.post("/sim/twilio/behaviour", json=wrong).status_code == 422, wrong


# Providers


def test_a_provider_is_shown_without_its_secret(twilio, tenant):
    account = twilio.account()
    made = link(tenant, account)
    key = account["api_key_sid"]
    masked = key[:4] + "*" * 26 + key[-4:]
    assert made == {
        "type": "twilio", "id": made["id"], "account_sid": account["account_sid"], "api_key_sid": masked, "region": "us1",
    }  # fmt: skip
    for headers in ({}, NEWER):
        read = ok(tenant.cartesia.get(f"{PROVIDERS}/{made['id']}", headers=headers), 200)
        listed = ok(tenant.cartesia.get(PROVIDERS, headers=headers), 200)
        assert listed == [read] and read["api_key_sid"] == masked
        assert ("label" in read) == bool(headers)
        assert account["api_key_secret"] not in json.dumps(listed) and key not in json.dumps(listed)
    shown = ok(tenant.native.get(f"/api/v1/providers/{made['id']}"), 200)
    assert (shown["kind"], shown["account_sid"], shown["api_key_sid"], shown["region"]) == (
        "twilio", account["account_sid"], masked, "us1",
    )  # fmt: skip
    assert account["api_key_secret"] not in json.dumps(shown) and shown["inbound"] is None


def test_the_list_is_filtered(twilio, tenant):
    one, two = twilio.account(), twilio.account()
    first, second = link(tenant, one), link(tenant, two)
    trunk = tenant.trunk("192.0.2.77")

    def listed(**query):
        return {row["id"] for row in ok(tenant.cartesia.get(PROVIDERS, params=query), 200)}

    assert listed() == {first["id"], second["id"], trunk["id"]}
    assert listed(type="twilio") == {first["id"], second["id"]}
    assert listed(type="sip_trunk") == {trunk["id"]}
    assert listed(account_sid=one["account_sid"]) == {first["id"]}
    assert listed(type="sip_trunk", account_sid=one["account_sid"]) == set()
    assert listed(account_sid="AC0") == set()
    assert tenant.cartesia.get(PROVIDERS, params={"type": "x"}).status_code == 400


def test_the_key_is_tried_before_it_is_kept(twilio, tenant):
    account = twilio.account(region="ie1")
    for wrong in [{"api_key_secret": "nope"}, {"api_key_sid": sid("SK")}, {"account_sid": sid("AC")}, {"region": "us1"}]:
        refused(tenant.cartesia.post(PROVIDERS, json=provider_body(account | wrong)), 400)
    for wrong in [{"region": "xx1"}, {"account_sid": "a/b"}, {"api_key_secret": ""}, {"api_key_sid": 5}, {"account_sid": None}]:
        refused(tenant.cartesia.post(PROVIDERS, json=provider_body(account | wrong)), 400)
    assert ok(tenant.cartesia.get(PROVIDERS), 200) == []
    made = link(tenant, account)
    assert made["region"] == "ie1"
    again = tenant.cartesia.post(PROVIDERS, json=provider_body(account))
    refused(again, 409)
    assert again.headers["x-should-retry"] == "false"
    # Another region is another provider, and the same account is another organization's too.
    twilio.tell(account | {"region": "au1"})
    link(tenant, account | {"region": "au1"})
    link(tenant.server.tenant(), account)


def test_two_at_once_make_one_provider(twilio, tenant):
    account = twilio.account()
    twilio.behave("numbers.list", delay_ms=400)
    statuses = []

    def create():
        client = tenant.server.api(tenant.cartesia.headers)
        statuses.append(client.post(PROVIDERS, json=provider_body(account)).status_code)

    threads = [threading.Thread(target=create) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(statuses) == [201, 409, 409, 409]


def test_a_carrier_that_is_away_is_said_to_be(twilio, tenant):
    account = twilio.account()
    before = twilio.requests("numbers.list")
    twilio.behave("numbers.list", status=503)
    answer = tenant.cartesia.post(PROVIDERS, json=provider_body(account))
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    assert twilio.requests("numbers.list") - before == 3, "three tries"
    # One bad moment is not told of.
    twilio.behave("numbers.list", status=429, retry_after=1, times=1)
    link(tenant, account)


def test_a_new_key_must_reach_every_number(twilio, tenant):
    numbers = [new_number() for _ in range(3)]
    account = twilio.account(*numbers)
    provider = link(tenant, account)
    for number in numbers:
        bring(tenant, provider, number)
    path = f"{PROVIDERS}/{provider['id']}"
    key = {"type": "twilio", "api_key_sid": sid("SK"), "api_key_secret": "second secret"}
    refused(tenant.cartesia.patch(path, json=key), 400)
    login = {name: key[name] for name in ("api_key_sid", "api_key_secret")}
    twilio.tell(account | login, numbers[0])
    answer = refused(tenant.cartesia.patch(path, json=key), 400)
    assert sorted(answer["unreachable_numbers"]) == sorted(numbers[1:])
    assert ok(tenant.cartesia.get(path), 200)["api_key_sid"] == provider["api_key_sid"], "nothing was changed"
    problem = tenant.native.patch(f"/api/v1/providers/{provider['id']}", json=login)
    assert problem.status_code == 422 and sorted(problem.json()["numbers"]) == sorted(numbers[1:])
    twilio.tell(account | login, *numbers)
    changed = ok(tenant.cartesia.patch(path, json=key), 200)
    assert changed["api_key_sid"] == key["api_key_sid"][:4] + "*" * 26 + key["api_key_sid"][-4:]
    for wrong in [{"type": "twilio"}, {"type": "twilio", "api_key_sid": "SK1"}, {}, {"type": "sip_trunk", "label": "x"}]:
        refused(tenant.cartesia.patch(path, json=wrong), 400)


def test_a_key_of_another_region_attaches_every_number_there(twilio, tenant):
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    assert twilio.trunk_of(account, number)["region"] == "us1"
    moved = account | {"api_key_sid": sid("SK"), "region": "au1"}
    twilio.tell(moved, number)
    body = {"type": "twilio", "api_key_sid": moved["api_key_sid"], "api_key_secret": account["api_key_secret"]}
    refused(tenant.cartesia.patch(f"{PROVIDERS}/{provider['id']}", json=body | {"region": "ie1"}), 400)
    assert ok(tenant.cartesia.patch(f"{PROVIDERS}/{provider['id']}", json=body | {"region": "au1"}), 200)["region"] == "au1"
    wait_for(lambda: (twilio.trunk_of(account, number) or {}).get("region") == "au1", "the number is attached there")
    assert native(tenant, number)["status"] == "active"


def test_a_provider_in_use_stays(twilio, tenant):
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    made = bring(tenant, provider, number)
    path = f"{PROVIDERS}/{provider['id']}"
    answer = tenant.cartesia.delete(path)
    refused(answer, 409)
    assert answer.headers["x-should-retry"] == "false"
    assert tenant.native.delete(f"/api/v1/providers/{provider['id']}").status_code == 409
    ok(tenant.cartesia.delete(f"{NUMBERS}/{made['id']}"), 204)
    wait_for(lambda: twilio.trunk_of(account, number) is None, "the number is detached")
    ok(tenant.cartesia.delete(path), 204)
    refused(tenant.cartesia.get(path), 404)
    wait_for(lambda: twilio.books(account)["trunks"] == [], "the trunk is taken down")


def test_others_do_not_find_it_and_viewers_change_nothing(twilio, tenant):
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    other = tenant.server.tenant()
    path = f"{PROVIDERS}/{provider['id']}"
    body = {"type": "twilio", "api_key_sid": "SK1", "api_key_secret": "x"}
    for answer in [other.cartesia.get(path), other.cartesia.patch(path, json=body), other.cartesia.delete(path)]:
        refused(answer, 404)
    for named in [provider, {"type": "twilio", "account_sid": account["account_sid"]}]:
        refused(other.cartesia.post(NUMBERS, json=import_body(named, number)), 404)
    assert other.native.get(f"/api/v1/providers/{provider['id']}").status_code == 404
    assert ok(other.cartesia.get(PROVIDERS), 200) == []
    viewer = tenant.client("cartesia", "viewer")
    assert ok(viewer.get(path), 200)["id"] == provider["id"]
    for answer in [
        viewer.post(PROVIDERS, json=provider_body(account)), viewer.patch(path, json=body), viewer.delete(path),
        viewer.post(NUMBERS, json=import_body(provider, new_number())),
    ]:  # fmt: skip
        refused(answer, 403)


# Numbers


@pytest.mark.parametrize("headers", [{}, NEWER], ids=["2026-03-01", "2026-08-14"])
@pytest.mark.parametrize("by", ["id", "account"])
def test_a_number_of_the_account_is_brought_in(twilio, tenant, headers, by):
    number, agent = new_number(), tenant.agent()
    tenant.endpoint("sip:127.0.0.1:9", agent=agent)
    account = twilio.account(number)
    provider = link(tenant, account)
    named = provider if by == "id" else {"type": "twilio", "account_sid": account["account_sid"]}
    client = tenant.client("cartesia", **headers)
    body = import_body(named, number, agent_id=agent["id"])
    made = ok(client.post(NUMBERS, json=body), 201)
    assert (made["number"], made["agent"]) == (number, {"id": agent["id"], "name": "Ada"})
    assert made["provider"] == ok(client.get(f"{PROVIDERS}/{provider['id']}"), 200)
    trunk = twilio.trunk_of(account, number)
    assert trunk["sip_urls"] == [f"sip:127.0.0.1:{tenant.server.sip_port}"]
    again = client.post(NUMBERS, json=body)
    refused(again, 409)
    assert again.headers["x-should-retry"] == "false"
    listed = ok(client.get(NUMBERS, params={"type": "twilio"}), 200)["data"]
    assert [row["id"] for row in listed] == [made["id"]]
    assert ok(client.get(NUMBERS, params={"provider_id": provider["id"]}), 200)["data"] == listed
    assert ok(client.get(NUMBERS, params={"type": "sip_trunk"}), 200)["data"] == []
    of_agent = ok(client.get(f"/agents/{agent['id']}/phone-numbers"), 200)
    assert [(row["number"], row["is_cartesia_managed"]) for row in of_agent] == [(number, False)]


def test_who_has_the_account_needs_nobodys_consent(twilio, tenant):
    tenant.settings(imports="operator")
    tenant.server.tenant()
    number = new_number()
    provider = link(tenant, twilio.account(number))
    bring(tenant, provider, number)
    assert native(tenant, number)["status"] == "active"
    trunk = tenant.trunk("192.0.2.78")
    waits = ok(tenant.cartesia.post(NUMBERS, json=import_body(trunk, new_number())), 201)
    assert native(tenant, waits["number"])["status"] == "pending", "on a trunk the operator is asked"


def test_what_cannot_be_brought_in(twilio, tenant):
    here, elsewhere = new_number(), new_number()
    account = twilio.account(here)
    provider = link(tenant, account)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, elsewhere)), 400)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, here, agent_id="nobody")), 404)
    refused(tenant.cartesia.post(NUMBERS, json=import_body({"id": "0190b5b0-0000-7000-8000-000000000099"}, here)), 404)
    unknown = {"type": "twilio", "account_sid": account["account_sid"], "region": "au1"}
    refused(tenant.cartesia.post(NUMBERS, json=import_body(unknown, here)), 404)
    for wrong in [{"type": "sip_trunk"}, {"type": "twilio"}, {"type": "twilio", "account_sid": 1}, {}]:
        refused(tenant.cartesia.post(NUMBERS, json=import_body(wrong, here)), 400)
    twilio.behave("numbers.list", status=401, code=20003)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, here)), 400)
    twilio.behave("numbers.list", status=500)
    refused(tenant.cartesia.post(NUMBERS, json=import_body(provider, here)), 503)
    twilio.forget()
    many = {"provider_id": provider["id"], "numbers": [here]}
    assert tenant.native.post("/api/v1/numbers/import", json=many).status_code == 422
    port = {"provider_id": provider["id"], "e164": here, "port_in": True}
    assert tenant.native.post("/api/v1/numbers", json=port).status_code == 422
    assert ok(tenant.cartesia.get(NUMBERS), 200)["data"] == []
    assert twilio.trunk_of(account, here) is None


def test_a_number_moves_between_accounts_only(twilio, tenant):
    number = new_number()
    one, two = twilio.account(number), twilio.account()
    first, second = link(tenant, one), link(tenant, two)
    trunk = tenant.trunk("192.0.2.79")
    made = bring(tenant, first, number)
    path = f"{NUMBERS}/{made['id']}"
    to = {"provider": {"type": "twilio", "account_sid": two["account_sid"]}}
    refused(tenant.cartesia.patch(path, json=to), 400)
    refused(tenant.cartesia.patch(path, json={"provider": {"id": trunk["id"]}}), 400)
    refused(tenant.cartesia.patch(path, json={"provider": {"type": "twilio", "account_sid": sid("AC")}}), 404)
    on_trunk = ok(tenant.admin.post("/api/v1/numbers", json={"e164": new_number(), "provider_id": trunk["id"]}), 201)
    refused(tenant.cartesia.patch(f"{NUMBERS}/{on_trunk['id']}", json={"provider": {"id": first["id"]}}), 400)
    managed = tenant.number()
    refused(tenant.cartesia.patch(f"{NUMBERS}/{managed['id']}", json={"provider": {"id": first["id"]}}), 400)
    assert native(tenant, number)["provider_id"] == first["id"]
    twilio.tell(two, number)
    twilio.behave("numbers.attach", status=400)
    refused(tenant.cartesia.patch(path, json=to | {"label": "moved"}), 400)
    assert (native(tenant, number)["provider_id"], native(tenant, number)["label"]) == (first["id"], "desk")
    twilio.forget()
    moved = ok(tenant.cartesia.patch(path, json=to | {"label": "moved"}), 200)
    assert (moved["provider"]["id"], moved["label"]) == (second["id"], "moved")
    assert twilio.trunk_of(two, number)
    wait_for(lambda: twilio.trunk_of(one, number) is None, "it is detached in the old account")
    # The provider that it is on already asks the carrier nothing.
    before = twilio.requests("numbers.list")
    ok(tenant.cartesia.patch(path, json=to), 200)
    assert twilio.requests("numbers.list") == before


def test_deleting_follows_the_version(twilio, tenant):
    numbers, agent = [new_number(), new_number()], tenant.agent()
    account = twilio.account(*numbers)
    provider = link(tenant, account)
    older, newer = (bring(tenant, provider, number, agent_id=agent["id"]) for number in numbers)
    refused(tenant.cartesia.delete(f"{NUMBERS}/{older['id']}"), 400)
    ok(tenant.cartesia.patch(f"{NUMBERS}/{older['id']}", json={"agent_id": None}), 200)
    ok(tenant.cartesia.delete(f"{NUMBERS}/{older['id']}"), 204)
    ok(tenant.cartesia.delete(f"{NUMBERS}/{newer['id']}", headers=NEWER), 204)
    refused(tenant.cartesia.get(f"{NUMBERS}/{newer['id']}", headers=NEWER), 404)
    trunk = tenant.trunk("192.0.2.80")
    for held in [tenant.number(agent_id=agent["id"]), tenant.number(trunk=trunk, agent_id=agent["id"])]:
        refused(tenant.cartesia.delete(f"{NUMBERS}/{held['id']}", headers=NEWER), 400)
    for number in numbers:
        wait_for(lambda number=number: twilio.trunk_of(account, number) is None, "it is detached")
    # It stayed in the account, and comes in again.
    bring(tenant, provider, numbers[1])
    assert twilio.trunk_of(account, numbers[1])


def test_released_and_restored(twilio, tenant):
    number = new_number()
    account = twilio.account(number)
    provider = link(tenant, account)
    bring(tenant, provider, number)
    released = ok(tenant.native.delete(f"/api/v1/numbers/{number}"))
    assert released is None or released["status"] == "released"
    wait_for(lambda: twilio.trunk_of(account, number) is None, "it is detached")
    ok(tenant.native.post(f"/api/v1/numbers/{number}/restore"), 200)
    wait_for(lambda: native(tenant, number)["status"] == "active", "it is attached again")
    assert twilio.trunk_of(account, number)


def test_every_api_shows_it(twilio, tenant):
    number, agent = new_number(), tenant.agent()
    tenant.endpoint("sip:127.0.0.1:9", agent=agent)
    provider = link(tenant, twilio.account(number))
    bring(tenant, provider, number, agent_id=agent["id"])
    assert [n["e164"] for n in ok(tenant.krosai.get("/v1/phone-numbers"), 200)] == [number]
    assert [n["number"] for n in ok(tenant.neo.get("/public-api/phone/numbers"), 200)["data"]] == [number]
    shown = ok(tenant.polyai.get(f"/v1/agents/{agent['id']}/telephony/phone-numbers/{number}"), 200)
    assert shown["number"] == number


def test_the_native_api_does_the_same(twilio, tenant):
    number, agent = new_number(), tenant.agent()
    endpoint = tenant.endpoint("sip:127.0.0.1:9", agent=agent)
    account = twilio.account(number)
    body = {"kind": "twilio", "label": "ours"} | {k: account[k] for k in ("account_sid", "api_key_sid", "api_key_secret")}
    for wrong in [{"account_sid": None}, {"region": "x"}, {"inbound": {"allowed_addresses": []}}, {"api_key_secret": ""}]:
        assert tenant.native.post("/api/v1/providers", json=body | wrong).status_code == 422, wrong
    bad = tenant.native.post("/api/v1/providers", json=body | {"api_key_secret": "wrong"})
    assert (bad.status_code, bad.json()["code"]) == (422, "carrier_refused")
    provider = ok(tenant.native.post("/api/v1/providers", json=body), 201)
    assert tenant.native.post("/api/v1/providers", json=body).status_code == 409
    path = f"/api/v1/providers/{provider['id']}"
    assert tenant.native.patch(path, json={"account_sid": sid("AC")}).status_code == 422
    assert ok(tenant.native.patch(path, json={"label": "renamed"}), 200)["label"] == "renamed"
    missing = tenant.native.post("/api/v1/numbers", json={"e164": new_number(), "provider_id": provider["id"]})
    assert (missing.status_code, missing.json()["field"]) == (422, "e164")
    wanted = {"e164": number, "provider_id": provider["id"], "endpoint_id": endpoint["id"], "label": "front"}
    made = ok(tenant.native.post("/api/v1/numbers", json=wanted), 201)
    assert (made["status"], made["endpoint_id"], made["agent_id"], made["label"]) == (
        "active", endpoint["id"], agent["id"], "front",
    )  # fmt: skip
    assert tenant.server.admin.post("/api/v1/providers", json=body).status_code == 422, "nobody's account"
