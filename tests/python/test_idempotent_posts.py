"""Every POST of every API that writes: sent twice with one Idempotency-Key it works once and answers the same, also when the process
was killed between the two; another body under the same key is refused.

The operations come from the OpenAPI documents that the service gives, so one that is added is missed here, and fails, until it is
added to the table.
"""

import uuid

import pytest
from harness import DIALECTS, Server, credential, new_number, ok, wait_for, while_up
from receiver import Receiver

CREATE = {"name": "Ada", "responseSettings": {"greeting": "Hello"}}
# Whom to call in a simulation: numbers that its plan keeps for fiction.
ONE, OTHER = "+12125550147", "+12125550148"
# POSTs that only read.
READS = {
    ("polyai", "/v1/agents/{agentId}/telephony/connectors/batch"),
    ("polyai", "/v1/agents/{agentId}/telephony/connectors/lookup"),
    ("polyai", "/v1/agents/{agentId}/telephony/phone-numbers/batch"),
}


def rate(prefix):
    return {"direction": "outbound", "prefix": prefix, "rate_per_minute_micros": 10_000}


# POSTs of people who sign in, whose tests have an issuer at hand.
ELSEWHERE = {("neo", "/public-api/api-keys"), ("neo", "/public-api/api-keys/{key_id}/rotate")}  # test_identity.py


class World:
    """A tenant of a simulation, and for each POST a request that can be made anew as often as wanted."""

    def __init__(self, server, receiver):
        self.server, self.tenant, self.receiver = server, server.tenant("repeats"), receiver
        t = self.tenant
        self.agent = t.agent("Ada")["id"]
        self.trunk = t.trunk("198.51.100.7")["id"]
        agents = ok(server.admin.get("/sim"), 200)["agents"]["address"]
        self.endpoint = t.endpoint(f"sip:echo@{agents}", agent=self.agent)["id"]
        self.trial = server.api(credential("native", t.key("native", mode="test")))
        [self.line] = ok(server.admin.post("/sim/stock", json={"country": "US", "type": "local", "count": 1}), 201)["data"]
        ok(t.admin.post("/api/v1/numbers", json={"stock_id": self.line["id"], "endpoint_id": self.endpoint}), 201)

    def trial_number(self):
        """A number for tests, where nothing but a simulated call arrives."""
        stock = ok(self.trial.get("/api/v1/stock", params={"limit": 1}), 200)["data"][0]
        return ok(self.trial.post("/api/v1/numbers", json={"stock_id": stock["id"]}), 201)["id"]

    def call(self):
        """A call that is up."""
        ok(self.server.admin.post("/sim/calls", json={"to": self.line["e164"], "hold_seconds": 60}), 202)
        return self.tenant.call_with(self.line["e164"], "answered")["id"]

    def out(self):
        """A number that calls out."""
        t = self.tenant
        number = ok(t.admin.get(f"/api/v1/numbers/{self.line['e164']}"), 200)
        return t.patch(number, allow_outbound=True)["e164"]

    def several(self, to):
        number = ok(self.tenant.admin.get(f"/api/v1/numbers/{self.out()}"), 200)
        return {"from_number_id": f"pn_{number['id']}", "agent_id": self.agent, "outbound_calls": [{"to_number": to}]}

    def delivery(self, client, hooks):
        """(webhook, event) of a delivery that was made."""
        made = ok(client.post(hooks, json={"url": self.receiver.url, "events": ["number.released"]}), 201)["id"]
        self.release()

        def found():
            answer = ok(client.get(f"{hooks}/{made}/deliveries"), 200)
            rows = answer["data"] if isinstance(answer, dict) else answer
            return rows and rows[0]

        event = wait_for(found, "a delivery is in the log")
        return f"{hooks}/{made}/deliveries/{event.get('event_id') or event['id']}/retry"

    def release(self):
        number = self.tenant.number()
        ok(self.tenant.admin.delete(f"/api/v1/numbers/{number['id']}"), 200)
        return number["id"]

    def table(self):
        """(API, path of its document) → () → (client, URL, body, another body)."""
        t, s = self.tenant, self.server
        org = f"/api/v1/organizations/{t.id}"
        polyai = f"/v1/agents/{self.agent}"
        imported = {"label": "x", "number": new_number(), "provider": {"id": self.trunk}}
        return {
            ("native", "/api/v1/organizations"): lambda: (s.admin, "/api/v1/organizations", {"name": "a"}, {"name": "b"}),
            ("native", "/api/v1/organizations/{id}/keys"): lambda: (
                t.admin, f"{org}/keys", {"name": "k", "dialect": "native", "role": "viewer", "mode": "live"},
                {"name": "l", "dialect": "native", "role": "viewer", "mode": "live"},
            ),
            ("native", "/api/v1/organizations/{id}/ledger"): lambda: (
                s.admin, f"{org}/ledger", {"amount_cents": 7, "reason": "r"}, {"amount_cents": 8, "reason": "r"}),
            ("native", "/api/v1/agents"): lambda: (t.native, "/api/v1/agents", {"name": "a"}, {"name": "b"}),
            ("native", "/api/v1/endpoints"): lambda: (t.native, "/api/v1/endpoints", {"name": "a"}, {"name": "b"}),
            ("native", "/api/v1/providers"): lambda: (
                t.native, "/api/v1/providers", {"kind": "managed", "label": "a"}, {"kind": "managed", "label": "b"}),
            ("native", "/api/v1/stock"): lambda: (
                s.admin, "/api/v1/stock", {"e164": new_number(), "setup_cost_cents": 1, "monthly_cost_cents": 1},
                {"e164": new_number(), "setup_cost_cents": 1, "monthly_cost_cents": 1},
            ),
            ("native", "/api/v1/numbers"): lambda: (
                t.admin, "/api/v1/numbers", {"stock_id": s.stock()["id"]}, {"stock_id": s.stock()["id"]}),
            ("native", "/api/v1/numbers/import"): lambda: (
                t.admin, "/api/v1/numbers/import", {"provider_id": self.trunk, "numbers": [{"e164": new_number()}]},
                {"provider_id": self.trunk, "numbers": [{"e164": new_number()}]},
            ),
            ("native", "/api/v1/numbers/{number}/restore"): lambda: (t.admin, f"/api/v1/numbers/{self.release()}/restore", None, None),
            ("native", "/api/v1/numbers/{number}/sip-credentials"): lambda: (
                t.admin, f"/api/v1/numbers/{t.number()['id']}/sip-credentials", None, None),
            ("native", "/api/v1/numbers/{number}/port-out"): lambda: (
                t.admin, f"/api/v1/numbers/{t.number(trunk={'id': self.trunk})['id']}/port-out", None, None),
            ("native", "/api/v1/numbers/{number}/simulate-call"): lambda: (
                self.trial, f"/api/v1/numbers/{self.trial_number()}/simulate-call", {}, {"hold_seconds": 1}),
            ("native", "/api/v1/numbers/{number}/trace"): lambda: (
                t.admin, f"/api/v1/numbers/{t.number()['id']}/trace", {"minutes": 5}, {"minutes": 6}),
            ("native", "/api/v1/rates"): lambda: (s.admin, "/api/v1/rates", rate("44"), rate("49")),
            ("native", "/api/v1/calls/{id}/hangup"): lambda: (t.admin, f"/api/v1/calls/{self.call()}/hangup", None, None),
            ("native", "/api/v1/calls"): lambda: (t.admin, "/api/v1/calls", {"from": self.out(), "to": ONE}, {"from": self.out(), "to": OTHER}),
            ("krosai", "/v1/outbound-calls"): lambda: (
                t.krosai, "/v1/outbound-calls", {"from_number": self.out(), "to_number": ONE}, {"from_number": self.out(), "to_number": OTHER}),
            ("cartesia", "/agents/calls"): lambda: (t.cartesia, "/agents/calls", self.several(ONE), self.several(OTHER)),
            ("polyai", "/v1/agents/{agentId}/telephony/outbound-calls"): lambda: (
                self.out() and t.polyai, f"{polyai}/telephony/outbound-calls",
                {"toNumber": ONE, "environment": "live"}, {"toNumber": OTHER, "environment": "live"},
            ),
            ("native", "/api/v1/carriers/reconcile"): lambda: (
                s.admin, "/api/v1/carriers/reconcile", {"dry_run": False}, {"dry_run": True}),
            ("native", "/api/v1/stock/{id}/hold"): lambda: (t.admin, f"/api/v1/stock/{s.stock()['id']}/hold", None, None),
            ("native", "/api/v1/webhooks"): lambda: (
                t.native, "/api/v1/webhooks", {"url": self.receiver.url, "events": ["*"]},
                {"url": self.receiver.url, "events": ["balance.low"]},
            ),
            ("native", "/api/v1/webhooks/{id}/deliveries/{event_id}/retry"): lambda: (
                t.native, self.delivery(t.native, "/api/v1/webhooks"), None, None),
            ("polyai", "/v1/accounts/{accountId}/agents"): lambda: (
                t.polyai, f"/v1/accounts/{t.id}/agents", CREATE, CREATE | {"name": "Bob"}),
            ("polyai", "/v1/agents"): lambda: (t.polyai, "/v1/agents", CREATE, CREATE | {"name": "Bob"}),
            ("polyai", "/v1/agents/{agentId}/duplicate"): lambda: (
                t.polyai, f"{polyai}/duplicate", {"newAgentName": "copy"}, {"newAgentName": "another"}),
            ("polyai", "/v1/agents/{agentId}/telephony/connectors"): lambda: (
                t.polyai, f"{polyai}/telephony/connectors", {"name": "a"}, {"name": "b"}),
            ("polyai", "/v1/agents/{agentId}/telephony/phone-numbers"): lambda: (
                t.polyai, f"{polyai}/telephony/phone-numbers", {"phoneNumbers": [new_number()]}, {"phoneNumbers": [new_number()]}),
            ("polyai", "/v1/agents/{agentId}/telephony/phone-numbers/{phoneNumber}"): lambda: (
                t.polyai, f"{polyai}/telephony/phone-numbers/{new_number()}", {"clientEnv": "live"}, {"clientEnv": "sandbox"}),
            ("cartesia", "/agents/phone-numbers"): lambda: (
                t.cartesia, "/agents/phone-numbers", imported | {"number": new_number()}, imported),
            ("cartesia", "/agents/phone-numbers/provision"): lambda: (
                s.stock() and t.cartesia, "/agents/phone-numbers/provision", {"label": "a"}, {"label": "b"}),
            ("cartesia", "/agents/phone-numbers/providers"): lambda: (
                t.cartesia, "/agents/phone-numbers/providers",
                {"type": "sip_trunk", "label": "a", "inbound": {"allowed_addresses": ["198.51.100.8"]}},
                {"type": "sip_trunk", "label": "b", "inbound": {"allowed_addresses": ["198.51.100.9"]}},
            ),
            ("cartesia", "/agents/calls/{call_id}/cancel"): lambda: (t.cartesia, f"/agents/calls/{self.call()}/cancel", None, None),
            ("krosai", "/v1/webhooks"): lambda: (
                t.krosai, "/v1/webhooks", {"url": self.receiver.url, "events": ["call.started"]},
                {"url": self.receiver.url, "events": ["call.failed"]},
            ),
            ("krosai", "/v1/webhooks/{webhook_id}/deliveries/{event_id}/retry"): lambda: (
                t.krosai, self.delivery(t.krosai, "/v1/webhooks"), None, None),
            ("krosai", "/v1/phone-numbers"): lambda: (
                t.krosai, "/v1/phone-numbers", {"inventory_id": s.stock()["id"]}, {"inventory_id": s.stock()["id"]}),
            ("krosai", "/v1/endpoints"): lambda: (
                t.krosai, "/v1/endpoints", {"name": "a", "type": "direct_sip"}, {"name": "b", "type": "direct_sip"}),
            ("krosai", "/v1/api-keys"): lambda: (
                t.krosai, "/v1/api-keys", {"name": "a", "scopes": ["numbers:read"]}, {"name": "b", "scopes": ["numbers:read"]}),
        }  # fmt: skip

    def end_calls(self):
        """Ends what is up: simulated agents go with their process, and the next one would find out."""
        def up():
            return [call for call in self.tenant.pages("/api/v1/calls") if call["ended_at"] is None]

        for call in up():
            self.tenant.admin.post(f"/api/v1/calls/{call['id']}/hangup")
        wait_for(lambda: not up(), "no call is up")

    def effect(self):
        """What counts the work that was done: the audit log."""
        rows = self.tenant.pages("/api/v1/events")
        operator = ok(self.server.admin.get("/api/v1/events", params={"limit": 1000}), 200)["data"]
        return len(rows), len(operator)


def writing_posts(server):
    found = set()
    for api in DIALECTS:
        document = ok(server.anonymous.get(f"/openapi/{api}.json"), 200)
        found |= {(api, path) for path, item in document["paths"].items() if "post" in item}
    return found - READS - ELSEWHERE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # What a kill leaves of simulated calls is not waited for at the end.
    running = Server(tmp_path_factory.mktemp("server"), arguments=["--sim", "--drain-seconds", "1"])
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as hook:
        yield hook


def test_every_post_works_once_and_answers_the_same_also_after_a_kill(server, receiver):
    world = World(server, receiver)
    table = world.table()
    assert set(table) == writing_posts(server)
    sent = []
    for where, make in table.items():
        client, url, body, other = make()
        headers = {"idempotency-key": str(uuid.uuid4())}
        first = client.post(url, json=body, headers=headers)
        assert first.status_code in (200, 201, 202), f"{where}: {first.status_code} {first.text[:300]}"
        if where[1].endswith("simulate-call"):
            # Its end is on record a moment after it is answered for.
            wait_for(lambda: (rows := world.tenant.pages("/api/v1/calls")) and all(row["ended_at"] for row in rows), "it is on record")
        worked = world.effect()
        assert repeated(client.post(url, json=body, headers=headers)) == repeated(first), where
        if other is not None:
            refused = client.post(url, json=other, headers=headers)
            assert 400 <= refused.status_code < 500 and refused.json(), f"{where}: {refused.status_code} {refused.text[:300]}"
            assert where[0] == "polyai" or where[0] == "cartesia" or refused.status_code == 422, f"{where}: {refused.status_code}"
        assert world.effect() == worked, f"{where}: a repeat worked again"
        sent.append((where, client, url, body, headers, first))
    world.end_calls()
    before, balance = world.effect(), world.tenant.balance()
    server.kill()
    server.start()
    for where, client, url, body, headers, first in sent:
        assert repeated(client.post(url, json=body, headers=headers)) == repeated(first), f"{where}, after the kill"
    assert (world.effect(), world.tenant.balance()) == (before, balance)


def repeated(answer):
    """What of an answer a repeat gives again."""
    return answer.status_code, answer.content, answer.headers.get("etag"), answer.headers.get("location")


def test_a_final_refusal_is_kept_and_one_to_be_mended_is_not(server):
    poor, row = server.tenant("poor", cents=0), server.stock()

    def buy(key, **body):
        return poor.krosai.post("/v1/phone-numbers", json=body, headers={"idempotency-key": key})

    first = buy("final", inventory_id=row["id"])
    assert first.status_code == 402
    poor.credit(10_000)
    assert repeated(buy("final", inventory_id=row["id"])) == repeated(first)
    assert buy("mended", inventory_id="x").status_code == 400
    ok(buy("mended", inventory_id=row["id"]), 201)
    assert poor.balance() == 10_000 - row["setup_cost_cents"] - row["monthly_cost_cents"]
