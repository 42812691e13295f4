"""KrosAI's endpoints, calls and API keys over HTTP, and what they do to real calls."""

import datetime
import time
import uuid

import pytest
from harness import ok, wait_for
from sip import Agent, Caller

NOBODY = "0190b5b0-1111-7222-8333-444455556666"


@pytest.fixture(scope="module")
def carrier(tenant):
    """The tenant, with a trunk that 127.0.0.1 may use."""
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


@pytest.fixture(scope="module")
def other(server):
    return server.tenant("other")


@pytest.fixture
def caller(carrier):
    with Caller(carrier.server.sip) as party:
        yield party


@pytest.fixture
def answering():
    with Agent() as party:
        yield party


def refused(response, status, code=None):
    assert response.status_code == status, f"{response.status_code}, not {status}: {response.text[:400]}"
    body = response.json()
    assert isinstance(body["error"], str) and body["error"]
    assert code is None or body["code"] == code, body
    return body


def endpoint(tenant, kind="direct_sip", **fields):
    return ok(tenant.krosai.post("/v1/endpoints", json={"name": f"my {kind}", "type": kind} | fields), 201)


# --- Endpoints ---------------------------------------------------------------------------------------------------------------

ENDPOINT = {
    "id", "name", "type", "url", "status", "provider_config", "organization_id", "created_at", "updated_at",
}  # fmt: skip
TYPES = [
    ("webhook", {"url": "https://example.com/calls"}, "https://example.com/calls"),
    ("agent", {}, None),
    ("agent", {"provider_config": {"provider": "retell", "agent_id": "agent_9"}}, "sip:agent_9@sip.retellai.com;transport=tcp"),
    ("vapi", {"provider_config": {"assistant_id": "as-1"}}, "sip:as-1@sip.vapi.ai"),
    ("vapi", {"provider_config": {"assistant_id": "as-1", "credential_id": "cr-1"}}, "sip:cr-1.sip.vapi.ai"),
    ("retell", {"provider_config": {"agent_id": "agent_1"}}, "sip:agent_1@sip.retellai.com;transport=tcp"),
    ("livekit", {"provider_config": {"livekit_sip_uri": "p.sip.livekit.cloud", "livekit_sip_trunk_id": "ST_1"}}, "sip:p.sip.livekit.cloud"),
    ("elevenlabs", {"provider_config": {"elevenlabs_agent_id": "ag_1"}}, "sip:ag_1@sip.rtc.elevenlabs.io:5060;transport=tcp"),
    ("vogent", {"provider_config": {"anything": [1]}}, None),
    ("custom_sip", {"url": "sip:desk@sip.example.com"}, "sip:desk@sip.example.com"),
    ("direct_sip", {}, None),
    ("direct_sip", {"url": "sip:desk@sip.example.com;transport=tcp"}, "sip:desk@sip.example.com;transport=tcp"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "url"), TYPES)
def test_each_type_is_made_read_and_seen_by_the_native_api(carrier, kind, fields, url):
    made = endpoint(carrier, kind, **fields)
    assert set(made) == ENDPOINT and made["type"] == kind and made["status"] == "active" and made["url"] == url
    assert made["provider_config"] == fields.get("provider_config", {}) and made["organization_id"] == carrier.id
    assert ok(carrier.krosai.get(f"/v1/endpoints/{made['id']}"), 200) == made
    assert made in ok(carrier.krosai.get("/v1/endpoints"), 200)
    native = ok(carrier.native.get(f"/api/v1/endpoints/{made['id']}"), 200)
    assert native["kind"] == kind and native["config"] == made["provider_config"] and native["status"] == "active"
    assert [t["uri"] for t in native["targets"]] == ([url] if url and kind != "webhook" else [])
    # What was read is written back, through both: nothing changes.
    back = {k: made[k] for k in ("name", "url", "status", "provider_config", "type")}
    assert ok(carrier.krosai.patch(f"/v1/endpoints/{made['id']}", json=back), 200) == made
    back = {k: native[k] for k in ("name", "kind", "url", "status", "config", "targets")}
    assert ok(carrier.native.patch(f"/api/v1/endpoints/{made['id']}", json=back), 200) == native


@pytest.mark.parametrize("body", [
    {}, {"name": "x"}, {"type": "agent"}, {"name": "x", "type": "webhook"}, {"name": "x", "type": "custom_sip"},
    {"name": "x", "type": "vapi"}, {"name": "x", "type": "elevenlabs", "provider_config": {}},
    {"name": "x", "type": "retell", "provider_config": {"agent": "y"}}, {"name": "x", "type": "livekit"},
])  # fmt: skip
def test_what_a_new_endpoint_lacks_is_said(carrier, body):
    refused(carrier.krosai.post("/v1/endpoints", json=body), 400, "MISSING_FIELDS")


@pytest.mark.parametrize("body", [
    {"type": "pigeon"}, {"type": 7}, {"type": "sip"}, {"type": "direct_sip", "name": ""}, {"type": "direct_sip", "name": "n" * 101},
    {"type": "webhook", "url": "sip:a@b"}, {"type": "custom_sip", "url": "https://example.com"}, {"type": "custom_sip", "url": 1},
    {"type": "elevenlabs", "provider_config": {"elevenlabs_agent_id": "a@b"}}, {"type": "vapi", "provider_config": "x"},
    {"type": "agent", "provider_config": {"provider": "pigeon"}}, {"type": "direct_sip", "provider_config": {"x": "y" * 9_000}},
    {"type": "direct_sip", "phone_number_id": "x"}, {"type": "direct_sip", "status": "error"},
])  # fmt: skip
def test_what_makes_no_endpoint_is_refused(carrier, body):
    refused(carrier.krosai.post("/v1/endpoints", json={"name": "x"} | body), 400, "INVALID_PARAMETER")


def test_each_field_of_a_change_is_absent_null_valid_or_wrong(carrier):
    made = endpoint(carrier, "elevenlabs", provider_config={"elevenlabs_agent_id": "one"})
    path = f"/v1/endpoints/{made['id']}"
    assert ok(carrier.krosai.patch(path, json={}), 200) == made
    for field, null, valid, wrong in (
        ("name", 400, "new name", 7), ("url", 200, "sip:own@example.com", ["x"]), ("status", 400, "inactive", "error"),
        ("provider_config", 400, {"elevenlabs_agent_id": "two"}, "x"),
    ):  # fmt: skip
        assert carrier.krosai.patch(path, json={field: wrong}).status_code == 400, field
        assert ok(carrier.krosai.patch(path, json={field: valid}), 200)[field] == valid
        assert carrier.krosai.patch(path, json={field: None}).status_code == null, field
    # Null gave way to the address made of the config, which had been replaced since.
    changed = ok(carrier.krosai.patch(path, json={"url": None}), 200)
    assert changed["url"] == "sip:two@sip.rtc.elevenlabs.io:5060;transport=tcp" and changed["status"] == "inactive"
    refused(carrier.krosai.patch(path, json={"provider_config": {}}), 400, "MISSING_FIELDS")


def test_endpoints_are_the_tenants_own(carrier, other):
    made = endpoint(carrier)
    path = f"/v1/endpoints/{made['id']}"
    for send in (other.krosai.get, other.krosai.delete, lambda p: other.krosai.patch(p, json={"name": "theirs"})):
        body = refused(send(path), 404, "ENDPOINT_NOT_FOUND")
        assert body == refused(send(f"/v1/endpoints/{NOBODY}"), 404)
    assert made["id"] not in other.krosai.get("/v1/endpoints").text
    number = carrier.number()
    body = {"name": "x", "type": "direct_sip", "phone_number_id": number["id"]}
    refused(other.krosai.post("/v1/endpoints", json=body), 404, "NUMBER_NOT_FOUND")
    assert ok(carrier.krosai.get(path), 200) == made


def test_viewers_and_strangers_do_not_write(carrier):
    made = endpoint(carrier)
    viewer, path = carrier.client("krosai", "viewer"), f"/v1/endpoints/{made['id']}"
    assert viewer.get(path).status_code == 200
    for send in (
        lambda c: c.post("/v1/endpoints", json={"name": "x", "type": "direct_sip"}), lambda c: c.patch(path, json={}),
        lambda c: c.delete(path), lambda c: c.delete(f"/v1/calls/{NOBODY}"), lambda c: c.post("/v1/api-keys", json={"name": "k"}),
        lambda c: c.delete(f"/v1/api-keys/{NOBODY}"),
    ):  # fmt: skip
        refused(send(viewer), 403, "INSUFFICIENT_SCOPE")
        refused(send(carrier.server.anonymous), 401, "MISSING_API_KEY")
        refused(send(carrier.server.api({"x-api-key": "kros_live_wrong"})), 401, "INVALID_API_KEY")
        refused(send(carrier.server.api({"x-api-key": carrier.key("native")})), 401, "INVALID_API_KEY")


def test_a_repeated_post_makes_one_endpoint(carrier):
    body, headers = {"name": "once", "type": "direct_sip"}, {"idempotency-key": uuid.uuid4().hex}
    first = ok(carrier.krosai.post("/v1/endpoints", json=body, headers=headers), 201)
    assert ok(carrier.krosai.post("/v1/endpoints", json=body, headers=headers), 201) == first
    refused(carrier.krosai.post("/v1/endpoints", json=body | {"name": "twice"}, headers=headers), 422)
    assert [e["name"] for e in ok(carrier.krosai.get("/v1/endpoints"), 200)].count("once") == 1


def test_lists_of_endpoints_have_pages(other):
    made = [endpoint(other)["id"] for _ in range(3)][::-1]
    path = "/v1/endpoints"
    assert [e["id"] for e in ok(other.krosai.get(path, params={"limit": 2}), 200)] == made[:2]
    assert [e["id"] for e in ok(other.krosai.get(path, params={"limit": 2, "offset": 2}), 200)] == made[2:]
    for bad in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        refused(other.krosai.get(path, params=bad), 400, "INVALID_PARAMETER")


# --- Endpoints and calls -----------------------------------------------------------------------------------------------------


def dialled(caller, number):
    return caller.invite(number["e164"]).final()


def test_a_platforms_endpoint_is_called_and_obeys_its_status(carrier, caller, answering):
    number = carrier.number(trunk=carrier.its_trunk)
    made = endpoint(
        carrier, "livekit", provider_config={"livekit_sip_uri": answering.uri}, phone_number_id=number["id"]
    )
    assert carrier.read(number)["endpoint_id"] == made["id"]
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    [invite] = answering.wait("INVITE")
    assert invite.uri.startswith(f"sip:{number['e164']}@127.0.0.1")
    call.bye()
    path = f"/v1/endpoints/{made['id']}"
    ok(carrier.krosai.patch(path, json={"status": "inactive"}), 200)
    answer = dialled(caller, number)
    assert answer.status == 480 and "inactive" in answer.get("reason", "")
    explained = carrier.explain(number)
    assert explained["outcome"] == "refuse" and explained["sip_status"] == 480 and "endpoint is inactive" in explained["reason"]
    ok(carrier.krosai.patch(path, json={"status": "active"}), 200)
    with Agent() as second:
        # The next call follows the change.
        ok(carrier.krosai.patch(path, json={"url": second.uri}), 200)
        call = caller.invite(number["e164"])
        assert call.final().status == 200 and second.wait("INVITE")
        call.bye()
    assert carrier.krosai.delete(path).status_code == 204
    assert carrier.read(number)["endpoint_id"] is None and carrier.krosai.get(path).status_code == 404
    assert dialled(caller, number).status == 480


def test_a_platforms_address_is_where_explain_says_the_call_goes(carrier):
    number = carrier.number(trunk=carrier.its_trunk)
    endpoint(carrier, "elevenlabs", provider_config={"elevenlabs_agent_id": "ag_7"}, phone_number_id=number["id"])
    explained = carrier.explain(number)
    assert explained["outcome"] == "route" and "sip:ag_7@sip.rtc.elevenlabs.io" in str(explained)


def test_a_webhook_takes_no_calls_and_says_so(carrier, caller):
    number = carrier.number(trunk=carrier.its_trunk)
    endpoint(carrier, "webhook", url="https://example.com/x", phone_number_id=number["id"])
    answer = dialled(caller, number)
    assert answer.status == 480 and "webhook" in answer.get("reason", "")
    assert "webhook" in carrier.explain(number)["reason"]


def test_a_number_is_attached_only_with_the_right_to_numbers(carrier):
    number = carrier.number()
    key = ok(carrier.krosai.post("/v1/api-keys", json={"name": "e", "scopes": ["endpoints:write"]}), 201)["key"]
    narrow = carrier.server.api({"x-api-key": key})
    body = {"name": "x", "type": "direct_sip"}
    ok(narrow.post("/v1/endpoints", json=body), 201)
    refused(narrow.post("/v1/endpoints", json=body | {"phone_number_id": number["id"]}), 403, "INSUFFICIENT_SCOPE")
    assert carrier.read(number)["endpoint_id"] is None


# --- Calls -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def called(server):
    """A tenant with calls: three completed to one number, one refused to another."""
    tenant = server.tenant("called")
    trunk = tenant.trunk("127.0.0.31")
    tenant.settings(rate_cents_per_minute=6_000)
    with Agent() as agent, Caller(server.sip, host="127.0.0.31") as caller:
        tenant.busy_line = tenant.number(trunk=trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
        tenant.quiet_line = tenant.number(trunk=trunk)
        for _ in range(3):
            call = caller.invite(tenant.busy_line["e164"])
            assert call.final().status == 200
            tenant.call_with(tenant.busy_line["e164"], "answered")
            # A second of sound, so that the call costs something.
            time.sleep(1.1)
            call.bye()
        assert caller.invite(tenant.quiet_line["e164"]).final().status == 480
    tenant.call_with(tenant.quiet_line["e164"], "refused")
    wait_for(lambda: len([c for c in tenant.calls() if c["status"] == "completed"]) == 3, "three completed calls")
    return tenant


CALL = {
    "id", "from_number", "to_number", "direction", "status", "duration", "cost_cents", "endpoint_id", "phone_number_id",
    "organization_id", "hangup_cause", "recording_url", "transcript", "created_at", "answered_at", "completed_at",
}  # fmt: skip


def test_calls_are_listed_with_totals_and_filters(called):
    def page(**query):
        return ok(called.krosai.get("/v1/calls", params=query), 200)

    body = page()
    assert set(body) == {"data", "total", "page", "limit", "total_pages"}
    assert (body["total"], body["page"], body["limit"], body["total_pages"]) == (4, 1, 20, 1)
    assert all(set(c) == CALL for c in body["data"])
    assert [c["status"] for c in body["data"]] == ["failed", "completed", "completed", "completed"]
    assert body["data"][0]["hangup_cause"] == "rejected" and body["data"][1]["hangup_cause"] == "user_hangup"
    second = page(page=2, limit=3)
    assert second["data"] == body["data"][3:] and second["total_pages"] == 2 and second["total"] == 4
    assert page(page=9)["data"] == []
    assert page(status="completed")["total"] == 3 and page(status="failed")["total"] == 1
    assert page(status="initiated")["total"] == 0 and page(status="in_progress")["total"] == 0
    assert page(direction="inbound")["total"] == 4 and page(direction="outbound")["total"] == 0
    of_line = page(phone_number_id=called.quiet_line["id"])
    assert of_line["total"] == 1 and of_line["data"][0]["to_number"].endswith(called.quiet_line["e164"])
    assert page(end_date="2020-01-01")["total"] == 0
    for bad in (
        {"page": 0}, {"limit": 101}, {"status": "lost"}, {"direction": "up"}, {"phone_number_id": "x"}, {"action": "sum"},
        {"start_date": "yesterday"}, {"start_date": "2026-01-02", "end_date": "2026-01-01"},
        {"action": "trends", "start_date": "2020-01-01", "end_date": "2026-01-01"},
    ):  # fmt: skip
        refused(called.krosai.get("/v1/calls", params=bad), 400, "INVALID_PARAMETER")


def test_calls_are_counted_by_state_and_by_day(called):
    stats = ok(called.krosai.get("/v1/calls", params={"action": "stats"}), 200)
    assert stats["total"] == 4 and stats["by_status"]["completed"] == 3 and stats["by_status"]["failed"] == 1
    assert stats["total_duration"] >= 3 and stats["by_status"]["busy"] == 0
    days = ok(called.krosai.get("/v1/calls", params={"action": "trends"}), 200)
    today = datetime.datetime.now(datetime.UTC).date()
    assert len(days) == 30 and abs(datetime.date.fromisoformat(days[-1]["date"]) - today) <= datetime.timedelta(days=1)
    assert sum(day["count"] for day in days) == 4
    query = {"action": "trends", "start_date": "2024-02-27", "end_date": "2024-03-01"}
    days = ok(called.krosai.get("/v1/calls", params=query), 200)
    assert [d["date"] for d in days] == ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]
    assert {d["count"] for d in days} == {0}
    key = ok(called.krosai.post("/v1/api-keys", json={"name": "c", "scopes": ["calls:read"]}), 201)["key"]
    narrow = called.server.api({"x-api-key": key})
    assert narrow.get("/v1/calls").status_code == 200
    refused(narrow.get("/v1/calls", params={"action": "stats"}), 403, "INSUFFICIENT_SCOPE")


def test_a_call_is_read_with_its_events_and_removed_for_good(called, other):
    balance = called.balance()
    [call] = ok(called.krosai.get("/v1/calls", params={"status": "completed", "limit": 1}), 200)["data"]
    path = f"/v1/calls/{call['id']}"
    detail = ok(called.krosai.get(path), 200)
    events = [e["event"] for e in detail.pop("events")]
    assert detail == call and events == ["call.initiated", "call.ringing", "call.answered", "call.completed"]
    for send in (other.krosai.get, other.krosai.delete):
        assert refused(send(path), 404, "CALL_NOT_FOUND") == refused(send(f"/v1/calls/{NOBODY}"), 404)
    before = [n for n in ok(called.neo.get("/public-api/phone/numbers"), 200)["data"] if n["number"] == called.busy_line["e164"]]
    assert before[0]["minutes_used_this_month"] == 3 and balance < 1_000_000
    assert called.krosai.delete(path).status_code == 204
    refused(called.krosai.get(path), 404, "CALL_NOT_FOUND")
    refused(called.krosai.delete(path), 404, "CALL_NOT_FOUND")
    assert ok(called.krosai.get("/v1/calls", params={"status": "completed"}), 200)["total"] == 2
    assert called.native.get(f"/api/v1/calls/{call['id']}").status_code == 404
    # Minutes and money stay.
    after = [n for n in ok(called.neo.get("/public-api/phone/numbers"), 200)["data"] if n["number"] == called.busy_line["e164"]]
    assert after[0]["minutes_used_this_month"] == 3 and called.balance() == balance


def test_a_call_in_progress_keeps_its_record(carrier, caller, answering):
    number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(answering.uri)["id"])
    call = caller.invite(number["e164"])
    assert call.final().status == 200
    row = carrier.call_with(number["e164"], "answered")
    refused(carrier.krosai.delete(f"/v1/calls/{row['id']}"), 400, "CONFLICT")
    call.bye()
    carrier.call_with(number["e164"], "completed")
    assert carrier.krosai.delete(f"/v1/calls/{row['id']}").status_code == 204


# --- API keys ----------------------------------------------------------------------------------------------------------------

KEY = {
    "id", "name", "key_prefix", "scopes", "allowed_ips", "requests_24h", "requests_30d", "expires_at", "last_used_at",
    "revoked_at", "organization_id", "created_at",
}  # fmt: skip


def key(tenant, **fields):
    return ok(tenant.krosai.post("/v1/api-keys", json={"name": "a key"} | fields), 201)


def holder(tenant, made):
    return tenant.server.api({"authorization": f"Bearer {made['key']}"})


def in_seconds(seconds):
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_key_is_shown_once_used_counted_and_revoked(carrier):
    made = key(carrier)
    assert set(made) == KEY | {"key"} and made["key"].startswith("kros_live_") and made["key_prefix"] == made["key"][:12]
    path = f"/v1/api-keys/{made['id']}"
    read = ok(carrier.krosai.get(path), 200)
    assert set(read) == KEY and read["last_used_at"] is None and read["requests_24h"] == 0 and read["revoked_at"] is None
    mine = holder(carrier, made)
    for _ in range(3):
        assert mine.get("/v1/phone-numbers").status_code == 200
    read = ok(carrier.krosai.get(path), 200)
    assert (read["requests_24h"], read["requests_30d"]) == (3, 3) and read["last_used_at"] >= made["created_at"]
    listed = carrier.krosai.get("/v1/api-keys")
    assert made["key"] not in listed.text and made["id"] in [k["id"] for k in ok(listed, 200)]
    assert carrier.krosai.delete(path).status_code == 204
    refused(mine.get("/v1/phone-numbers"), 401, "INVALID_API_KEY")
    assert ok(carrier.krosai.get(path), 200)["revoked_at"] and carrier.krosai.delete(path).status_code == 404


def test_counts_outlive_a_restart(fresh):
    tenant = fresh.start().tenant()
    made = key(tenant)
    for _ in range(4):
        assert holder(tenant, made).get("/v1/calls").status_code == 200
    assert fresh.stop() == 0
    fresh.start()
    read = ok(tenant.krosai.get(f"/v1/api-keys/{made['id']}"), 200)
    assert read["requests_24h"] == 4 and read["requests_30d"] == 4 and read["last_used_at"]


def test_a_key_expires(carrier):
    made = key(carrier, expires_at=in_seconds(2))
    mine = holder(carrier, made)
    assert mine.get("/v1/phone-numbers").status_code == 200
    wait_for(lambda: mine.get("/v1/phone-numbers").status_code == 401, "the key expires", 5)
    refused(mine.get("/v1/phone-numbers"), 401, "KEY_EXPIRED")
    for bad in (in_seconds(-5), "soon", 7):
        refused(carrier.krosai.post("/v1/api-keys", json={"name": "k", "expires_at": bad}), 400, "INVALID_PARAMETER")


def test_a_key_works_from_its_addresses_only(carrier):
    here = key(carrier, allowed_ips=["127.0.0.0/8", "2001:db8::1"])
    assert here["allowed_ips"] == ["127.0.0.0/8", "2001:db8::1"]
    assert holder(carrier, here).get("/v1/phone-numbers").status_code == 200
    there = holder(carrier, key(carrier, allowed_ips=["192.0.2.0/24"]))
    refused(there.get("/v1/phone-numbers"), 403, "IP_NOT_ALLOWED")
    # A header is nobody's word.
    refused(there.get("/v1/phone-numbers", headers={"x-forwarded-for": "192.0.2.7"}), 403, "IP_NOT_ALLOWED")
    for bad in (["nowhere"], "127.0.0.1", ["0.0.0.0/0"], [7]):
        refused(carrier.krosai.post("/v1/api-keys", json={"name": "k", "allowed_ips": bad}), 400, "INVALID_PARAMETER")


def test_scopes_are_obeyed_and_never_more_than_the_makers(carrier):
    made = key(carrier, scopes=["numbers:read", "api-keys:write"])
    assert set(made["scopes"]) == {"numbers:read", "api-keys:read", "api-keys:write"}
    mine = holder(carrier, made)
    assert mine.get("/v1/phone-numbers").status_code == 200
    for path in ("/v1/endpoints", "/v1/calls"):
        refused(mine.get(path), 403, "INSUFFICIENT_SCOPE")
    refused(mine.post("/v1/api-keys", json={"name": "k", "scopes": ["numbers:write"]}), 403, "INSUFFICIENT_SCOPE")
    inherited = ok(mine.post("/v1/api-keys", json={"name": "k"}), 201)
    assert set(inherited["scopes"]) == set(made["scopes"])
    for bad in (["pigeons:read"], [], "numbers:read", ["organization:write"]):
        refused(carrier.krosai.post("/v1/api-keys", json={"name": "k", "scopes": bad}), 400, "INVALID_PARAMETER")
    refused(carrier.krosai.post("/v1/api-keys", json={}), 400, "MISSING_FIELDS")


def test_a_key_makes_none_that_outlives_or_outreaches_it(carrier):
    end = in_seconds(3_600)
    mine = holder(carrier, key(carrier, expires_at=end, allowed_ips=["127.0.0.0/8"]))
    heir = ok(mine.post("/v1/api-keys", json={"name": "heir"}), 201)
    assert heir["allowed_ips"] == ["127.0.0.0/8"] and heir["expires_at"][:19] == end[:19]
    refused(mine.post("/v1/api-keys", json={"name": "k", "expires_at": in_seconds(7_200)}), 403, "INSUFFICIENT_SCOPE")
    refused(mine.post("/v1/api-keys", json={"name": "k", "allowed_ips": ["10.0.0.0/8"]}), 403)
    ok(mine.post("/v1/api-keys", json={"name": "k", "allowed_ips": ["127.0.0.1"]}), 201)


def test_a_test_key_makes_test_keys(carrier):
    mine = carrier.server.api({"x-api-key": carrier.key("krosai", mode="test")})
    assert ok(mine.post("/v1/api-keys", json={"name": "k"}), 201)["key"].startswith("kros_test_")


def test_keys_are_the_tenants_and_the_apis_own(carrier, other):
    made = key(carrier)
    path = f"/v1/api-keys/{made['id']}"
    for send in (other.krosai.get, other.krosai.delete):
        assert refused(send(path), 404) == refused(send(f"/v1/api-keys/{NOBODY}"), 404)
    carrier.key("native")
    rows = ok(carrier.server.admin.get(f"/api/v1/organizations/{carrier.id}/keys"), 200)["data"]
    native = next(k for k in rows if k["dialect"] == "native")
    assert native["id"] not in carrier.krosai.get("/v1/api-keys", params={"limit": 100}).text
    refused(carrier.krosai.get(f"/v1/api-keys/{native['id']}"), 404)
    refused(carrier.krosai.delete(f"/v1/api-keys/{native['id']}"), 404)
    assert carrier.native.get("/api/v1/numbers").status_code == 200
    assert holder(carrier, made).get("/v1/phone-numbers").status_code == 200


def test_the_rules_hold_for_keys_of_other_apis(carrier):
    body = {"name": "n", "dialect": "native", "role": "viewer", "allowed_addresses": ["192.0.2.7"]}
    made = ok(carrier.server.admin.post(f"/api/v1/organizations/{carrier.id}/keys", json=body), 201)
    assert made["allowed_addresses"] == ["192.0.2.7"] and made["expires_at"] is None
    response = carrier.server.api({"x-api-key": made["key"]}).get("/api/v1/numbers")
    assert response.status_code == 403
