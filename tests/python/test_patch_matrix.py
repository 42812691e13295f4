"""Every field that any API can change: absent, null, valid, and of a wrong type or value.

The fields come from the OpenAPI documents that the service gives, so a field or an operation that is added is missed here, and fails,
until it is added to the table below.
"""

import copy
import json

import pytest
from harness import DIALECTS, Server, new_number, ok, while_up
from jsonschema import Draft202012Validator

NOBODY = "0190b5b0-1111-7222-8333-444455556666"
# One of each type, for the places where another is wanted.
OTHERS = (7, -1, 1.5, True, "\x00", "", [], ["x", 7], {}, {"x": 7}, None)


class World:
    """A tenant with one of everything that can be changed."""

    def __init__(self, server):
        self.server, self.tenant = server, server.tenant("all fields")
        self.agent, self.other = self.tenant.agent("Ada")["id"], self.tenant.agent("Bob")["id"]
        self.endpoint = self.tenant.endpoint("sip:127.0.0.1:5999", agent=self.agent)["id"]
        self.second = self.tenant.endpoint("sip:127.0.0.1:5998", agent=self.agent)["id"]
        self.free = self.tenant.endpoint("sip:127.0.0.1:5997")["id"]
        self.trunk, self.trunk2 = self.tenant.trunk("198.51.100.1")["id"], self.tenant.trunk("198.51.100.2")["id"]
        outbound = {"outbound": {"address": "sip.example.com", "transport": "tcp"}}
        for trunk in (self.trunk, self.trunk2):
            ok(self.tenant.admin.patch(f"/api/v1/providers/{trunk}", json=outbound), 200)
        self.number = self.tenant.number(trunk={"id": self.trunk}, endpoint_id=self.endpoint, label="one", e164=new_number())
        self.platform = ok(self.tenant.krosai.post("/v1/endpoints", json={
            "name": "platform", "type": "elevenlabs", "provider_config": {"elevenlabs_agent_id": "one"}}), 201)["id"]  # fmt: skip
        body = {"name": "line", "targets": ["sip:127.0.0.1:5999"]}
        self.connector = ok(self.tenant.polyai.post(f"/v1/agents/{self.agent}/telephony/connectors", json=body), 201)["connectorId"]
        self.stock = server.stock()["id"]
        hook = {"url": "http://127.0.0.1:9/hook", "events": ["*"]}
        self.hook = ok(self.tenant.native.post("/api/v1/webhooks", json=hook), 201)["id"]
        hook["events"] = ["call.started"]
        self.kros_hook = ok(self.tenant.krosai.post("/v1/webhooks", json=hook), 201)["id"]

    def state(self):
        """Everything that a refused change could have touched, with its versions."""
        paths = [f"/api/v1/{kind}/{it}" for kind, it in (
            ("organizations", self.tenant.id), ("agents", self.agent), ("endpoints", self.endpoint), ("endpoints", self.platform),
            ("endpoints", self.connector), ("providers", self.trunk), ("webhooks", self.hook), ("numbers", self.number["id"]))]  # fmt: skip
        answers = [self.tenant.admin.get(path) for path in paths]
        return [(ok(answer, 200), answer.headers["etag"]) for answer in answers]


def fields_of(world):
    """(API, path of its document) → (client, URL, its fields: two valid values each, and the URL where it is another)."""
    w, t = world, world.tenant
    sip = [{"uri": "sip:a@example.com", "priority": 1, "weight": 1, "enabled": True}]
    inbound = {
        "allowed_addresses": ["192.0.2.7"], "allowed_numbers": ["+14155550123"], "media_encryption": "allowed",
        "credentials": {"username": "in", "password": "in-pass-123"},
    }  # fmt: skip
    outbound = {
        "address": "sip.example.com", "transport": "tcp", "media_encryption": "allowed", "destination_country": "US",
        "credentials": {"username": "out", "password": "out-pass-123"},
    }  # fmt: skip
    # An address of RFC 5737: nobody is there.
    register = {"registrar": "192.0.2.9", "transport": "tcp", "credentials": {"username": "line", "password": "line-pass-123"}}
    return {
        ("native", "/api/v1/organizations/{id}"): (t.admin, f"/api/v1/organizations/{t.id}", {
            "name": ("one", "two"), "kyc": ("pending", "approved"), "number_slots": (7, 70),
            "settings": ({"max_call_seconds": 60}, {"max_call_seconds": 61}),
        }),
        ("native", "/api/v1/agents/{id}"): (t.native, f"/api/v1/agents/{w.agent}", {
            "name": ("one", "two"), "description": ("does", "does more"),
        }),
        ("native", "/api/v1/endpoints/{id}"): (t.native, f"/api/v1/endpoints/{w.free}", {
            "name": ("one", "two"), "allow_transfer": (False, True), "kind": ("direct_sip", "sip"), "status": ("inactive", "active"), "agent_id": (w.agent, w.other), "environment": ("sandbox", "live"),
            # An agent is never without a default where it has an endpoint: another one takes its place.
            "is_default": (True, True, f"/api/v1/endpoints/{w.second}"), "targets": (sip, [*sip, sip[0] | {"uri": "sip:b@example.com"}]),
            "source_addresses": (["203.0.113.9"], ["203.0.113.9", "203.0.113.0/29"]),
            "credentials": ({"username": "one", "password": "one-pass"}, {"username": "two", "password": "two-pass"}),
            "media_encryption": ("required", "allowed"), "headers": ({"X-A": "b"}, {"X-A": "c", "X-B": "{call_id}"}),
            "to_form": ("e164", "as_received"), "ring_seconds": (5, 900),
            "failover": ({"on": ["busy"]}, {"on": ["failed", "too_late"]}), "answer_seconds": (20, 25),
            "health": ({"enabled": True, "interval_seconds": 60}, {"enabled": False, "interval_seconds": 3600}),
            "fallback": ([{"on": ["busy"], "to": {"refuse": 486}}], [{"on": ["failed"], "to": {"endpoint_id": w.second}}]),
            # Plain SIP has neither of these.
            "url": ("sip:own@example.com", "sip:other@example.com", f"/api/v1/endpoints/{w.platform}"),
            "config": ({"elevenlabs_agent_id": "two"}, {"elevenlabs_agent_id": "one"}, f"/api/v1/endpoints/{w.platform}"),
        }),
        ("native", "/api/v1/providers/{id}"): (t.native, f"/api/v1/providers/{w.trunk}", {
            "label": ("one", "two"), "inbound": (inbound, inbound | {"allowed_numbers": []}),
            "outbound": (outbound, outbound | {"address": "sip2.example.com"}), "max_concurrent_calls": (7, 0),
            "register": (register, register | {"user": "+4930123", "expires_seconds": 60}),
        }),
        ("native", "/api/v1/webhooks/{id}"): (t.native, f"/api/v1/webhooks/{w.hook}", {
            "url": ("http://127.0.0.1:9/one", "https://example.com/two"), "events": (["balance.low"], ["*"]), "active": (False, True),
        }),
        ("krosai", "/v1/webhooks/{webhook_id}"): (t.krosai, f"/v1/webhooks/{w.kros_hook}", {
            "url": ("http://127.0.0.1:9/one", "https://example.com/two"), "events": (["call.failed"], ["call.started"]),
            "active": (False, True),
        }),
        ("native", "/api/v1/stock/{id}"): (w.server.admin, f"/api/v1/stock/{w.stock}", {
            "setup_cost_cents": (1, 2), "monthly_cost_cents": (3, 4), "type": ("mobile", "toll_free"),
            "capabilities": ({"voice": True, "sms": True, "fax": False}, {"voice": True, "sms": False, "fax": True}),
        }),
        ("native", "/api/v1/numbers/{number}"): (t.native, f"/api/v1/numbers/{w.number['id']}", {
            "label": ("two", "three"), "endpoint_id": (w.second, w.endpoint), "agent_id": (w.other, w.agent), "provider_id": (w.trunk2, w.trunk),
            "environment": ("live", "live"), "allow_inbound": (False, True), "allow_outbound": (True, False),
            "status": ("inactive", "active"), "psa_settings": ({"a": 1}, {}), "agent_settings": ({"a": 1}, {}),
            "caller_rules": ([{"from": "all", "action": "allow"}], [{"from": "+1900*", "action": "refuse", "status": 603}]),
            "schedule": ({"time_zone": "UTC", "windows": [], "dates": []}, {"time_zone": "Europe/Berlin", "windows": [], "dates": []}),
            "split": ([{"endpoint_id": w.second, "percent": 100}], [{"endpoint_id": w.second, "percent": 30}, {"endpoint_id": w.free, "percent": 70}]),
            "fallback": ([{"on": ["busy"], "to": {"refuse": 486}}], [{"on": ["closed"], "to": {"endpoint_id": w.second}}]),
            "max_concurrent_calls": (7, 0), "outbound_calls_per_minute": (5, 0), "outbound_calls_per_day": (9, 50),
        }),
        ("polyai", "/v1/agents/{agentId}/telephony/connectors/{connectorId}"): (
            t.polyai, f"/v1/agents/{w.agent}/telephony/connectors/{w.connector}", {
                "asrLangCode": ("fr-FR", "de-DE"), "variantId": ("VARIANT-1", "VARIANT-2"),
                "voiceName": ("fr-FR-Neural2-A", "de-DE-Wavenet-B"), "projectId": (w.agent, w.agent),
            }),
        ("polyai", "/v1/agents/{agentId}/telephony/phone-numbers/{phoneNumber}"): (
            t.polyai, f"/v1/agents/{w.agent}/telephony/phone-numbers/{w.number['e164']}", {"connectorId": (w.second, w.endpoint)}),
        ("cartesia", "/agents/phone-numbers/providers/{id}"): (t.cartesia, f"/agents/phone-numbers/providers/{w.trunk2}", {
            "label": ("one", "two"), "type": ("sip_trunk", "sip_trunk"), "inbound": (inbound, inbound | {"allowed_numbers": []}),
            "outbound": (
                {k: v for k, v in outbound.items() if k not in ("address", "transport")} | {"destination_country": "GB"},
                {"media_encryption": "disabled"},
            ),
        }),
        ("cartesia", "/agents/phone-numbers/{id}"): (t.cartesia, f"/agents/phone-numbers/pn_{w.number['id']}", {
            "label": ("two", "three"), "agent_id": (w.other, w.agent), "provider": ({"id": w.trunk2}, {"id": w.trunk}),
        }),
        ("cartesia", "/agents/{agent_id}"): (t.cartesia, f"/agents/{w.agent}", {
            "name": ("one", "two"), "description": ("does", "does more"), "tts_language": ("en", "fr"), "tts_voice": ("ann", "bob"),
        }),
        ("krosai", "/v1/endpoints/{endpoint_id}"): (t.krosai, f"/v1/endpoints/{w.platform}", {
            "name": ("one", "two"), "url": ("sip:own@example.com", "sip:other@example.com"), "status": ("inactive", "active"),
            "provider_config": ({"elevenlabs_agent_id": "two"}, {"elevenlabs_agent_id": "one"}),
        }),
        ("krosai", "/v1/phone-numbers/{id}"): (t.krosai, f"/v1/phone-numbers/{w.number['id']}", {
            "endpointId": (w.second, w.endpoint), "allowInbound": (False, True), "allowOutbound": (True, False),
            "status": ("inactive", "active"),
        }),
    }  # fmt: skip


# What has to be sent along with a field, and the operations whose body is a list of changes, which have tests of their own.
def along(world, api, path):
    if (api, path) == ("cartesia", "/agents/phone-numbers/providers/{id}"):
        return {"type": "sip_trunk"}
    return {"connectorId": world.endpoint} if (api, path.rsplit("/", 1)[1]) == ("polyai", "{phoneNumber}") else {}


LISTS = {("polyai", "/v1/agents/{agentId}/telephony/connectors/batch")}
# Fields that take null without being cleared by it: what they read afterwards.
KEEP_ON_NULL = {("cartesia", "/agents/{agent_id}", "name")}
SHOWN_AS = {"endpointId": "endpoint_id", "allowInbound": "allow_inbound", "allowOutbound": "allow_outbound", "agent_id": "agent"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One whose webhooks may be at addresses of this machine."""
    running = Server(tmp_path_factory.mktemp("server"), environment={"TRUNKLINE_OUTGOING_PRIVATE": "allow"})
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def world(server):
    return World(server)


@pytest.fixture(scope="module")
def documents(server):
    """(API, path) → (the schema of its PATCH body with its definitions at hand)."""
    found = {}
    for api in DIALECTS:
        document = ok(server.anonymous.get(f"/openapi/{api}.json"), 200)
        for path, item in document["paths"].items():
            if "patch" in item:
                schema = item["patch"]["requestBody"]["content"]["application/json"]["schema"]
                found[api, path] = json.loads(json.dumps({"components": document.get("components", {}), "body": schema}))
    return found


# Of an account at a carrier, whose changes ask that carrier: test_twilio.py has them.
OF_ACCOUNTS = {("native", "/api/v1/providers/{id}"): {"api_key_sid", "api_key_secret", "region"}}


def whole(document):
    """The body; where it has several forms, that of a trunk."""
    return document["body"].get("oneOf", [document["body"]])[-1]


def validator(document, *at):
    node = whole(document)
    for name in at:
        while "$ref" in node:
            node = document["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]]
        node = node["properties"][name]
    return Draft202012Validator({"components": document["components"], **node})


def names(document):
    node = whole(document)
    while "$ref" in node:
        node = document["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]]
    return set(node["properties"])


def wrong(value, check):
    """Variants of a valid value with something of another type in each place, which the schema does not allow."""

    def places(node, at=()):
        yield at
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            yield from places(inner, (*at, key))

    for at in places(value):
        for other in OTHERS:
            changed = [copy.deepcopy(value)]
            node, key = changed, 0
            for step in at:
                node, key = node[key], step
            node[key] = other
            if not check.is_valid(changed[0]):
                yield changed[0]


def test_every_change_of_every_api_is_in_the_table(world, documents):
    table = fields_of(world)
    assert set(table) | LISTS == set(documents)
    for (api, path), (_, _, fields) in table.items():
        assert set(fields) == names(documents[api, path]) - OF_ACCOUNTS.get((api, path), set()), f"{api} {path}"


def test_each_field_is_absent_null_valid_or_wrong(world, documents):
    tried, faults = 0, []
    for (api, path), (client, url, fields) in fields_of(world).items():
        document, base = documents[api, path], along(world, api, path)

        shown = ok(client.patch(url, json=base), 200)
        assert ok(client.patch(url, json=base), 200) == shown, f"{api} {path}: nothing named, something changed"
        for field, (one, two, *elsewhere) in fields.items():

            def patch(body, client=client, url=(elsewhere or [url])[0], base=base):
                return client.patch(url, json=base | body)

            where, check = f"{api} {path} {field}", validator(document, field)
            name = SHOWN_AS.get(field, field) if api in ("krosai", "cartesia") else field
            # Of credentials only the name is shown.
            name = "username" if field == "credentials" else name
            for value in (one, two):
                before = ok(patch({}), 200)
                after = ok(patch({field: value}), 200)
                seen = value["username"] if field == "credentials" else value
                assert fits(after.get(name), seen), f"{where} = {value}: shows {after.get(name)}"
                others = [n for n in before if n in fields and n not in (field, *CARRIES.get((api, field), ()))]
                assert {n: after[n] for n in others} == {n: before[n] for n in others}, f"{where}: others changed"
            before = world.state()
            for value in wrong(one, check):
                answer, tried = patch({field: value}), tried + 1
                if answer.status_code not in (400, 404, 409, 422):
                    faults.append(f"{where} = {value!r}: {answer.status_code}")
                    before = world.state()
                assert answer.json() and world.state() == before, f"{where} = {value!r} was refused and changed something"
            nulled = patch({field: None})
            if not check.is_valid(None):
                if nulled.status_code not in (400, 422):
                    faults.append(f"{where} = null: {nulled.status_code}")
                continue
            shown = ok(nulled, 200).get(name)
            if (api, path, field) in KEEP_ON_NULL:
                assert shown == two, where
            else:
                assert not fits(shown, two), f"{where} = null: still {shown}"
            ok(patch({field: two}), 200)
    assert not faults, "\n".join(["taken, though the document says no:", *faults])
    assert tried > 300


# Fields that others follow by rule.
CARRIES = {
    ("native", "endpoint_id"): ("agent_id", "environment"),
    ("native", "agent_id"): ("endpoint_id", "environment", "is_default"),
    ("native", "environment"): ("is_default",),
    ("native", "kind"): ("targets",),
    ("native", "url"): ("targets",),
    ("native", "config"): ("targets",),
    ("krosai", "provider_config"): ("url",),
}


def fits(shown, written):
    """Whether what is shown is what was written; secrets are not shown, and what was not named may be there."""
    if isinstance(written, dict) and isinstance(shown, dict):
        return all(name in ("credentials",) or fits(shown.get(name), value) for name, value in written.items()) and (
            bool(written) or shown == {}
        )
    if isinstance(shown, dict) and "id" in shown:
        return shown["id"] == written
    return shown == written


@pytest.mark.parametrize("name", ["imports", "rate_cents_per_minute", "max_call_seconds", "quarantine_days"])
def test_each_setting_of_an_organization_in_four_ways(world, name):
    path = f"/api/v1/organizations/{world.tenant.id}"
    good = {"imports": "operator"}.get(name, 7)
    set_to = lambda value: world.tenant.admin.patch(path, json={"settings": {name: value}})  # noqa: E731
    assert ok(set_to(good), 200)["settings"][name] == good
    before = world.state()
    for bad in (-1, 1.5, True, "x", [], {}, 10**12):
        answer = set_to(bad)
        assert answer.status_code in (400, 422) and name in answer.text, f"{bad}: {answer.text}"
        assert world.state() == before
    assert name not in ok(set_to(None), 200)["settings"]
