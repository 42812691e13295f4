"""What the tests of numbers in an organization's own Twilio account share: the simulated Twilio of `serve --sim`, a server of its own,
so that it lives on when the one under test is killed, and servers that look for Twilio there.
"""

import json
import secrets

import pytest
from harness import ROOT, Server, ok, while_up

CONTRACT = json.loads((ROOT / "contracts/carriers/twilio.json").read_text())
NEWER = {"cartesia-version": "2026-08-14"}
NUMBERS, PROVIDERS = "/agents/phone-numbers", "/agents/phone-numbers/providers"
CARRIER, STRANGER = "127.0.0.8", "127.0.0.9"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def sid(letters):
    return letters + secrets.token_hex(16)


class Twilio:
    """The simulated carrier."""

    def __init__(self, server):
        self.server, self.admin = server, server.admin

    def account(self, *numbers, region="us1", **fields):
        account = {"account_sid": sid("AC"), "api_key_sid": sid("SK"), "api_key_secret": secrets.token_urlsafe(24)}
        account |= {"region": region} | fields
        self.tell(account, *numbers)
        return account

    def tell(self, account, *numbers):
        ok(self.admin.post("/sim/twilio/accounts", json=account | {"numbers": list(numbers)}), 204)

    def behave(self, operation, **how):
        ok(self.admin.post("/sim/twilio/behaviour", json={"operation": operation} | how), 204)

    def forget(self):
        for operation in ["all"] + [o["name"] for o in CONTRACT["operations"]]:
            self.behave(operation, times=0)

    def books(self, account):
        rows = ok(self.admin.get("/sim/twilio"), 200)["accounts"]
        return next(row for row in rows if row["account_sid"] == account["account_sid"])

    def trunk_of(self, account, number):
        """The trunk that a number is attached to, or None."""
        books = self.books(account)
        attached = next(n["trunk_sid"] for n in books["numbers"] if n["phone_number"] == number)
        return next((t for t in books["trunks"] if t["sid"] == attached), None)

    def requests(self, operation):
        return ok(self.admin.get("/sim/twilio"), 200)["requests"].get(operation, 0)


@pytest.fixture(scope="module")
def twilio(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("twilio"), arguments=["--sim"])
    with while_up(running):
        yield Twilio(running)


def serve(folder, twilio, *arguments):
    environment = {
        "TRUNKLINE_TWILIO_URL": twilio.server.url + "/sim/twilio/{region}",
        "TRUNKLINE_TWILIO_SOURCES": CARRIER,
    }
    return Server(folder, arguments=list(arguments), environment=environment)


@pytest.fixture(scope="module")
def server(tmp_path_factory, twilio):
    running = serve(tmp_path_factory.mktemp("server"), twilio)
    with while_up(running):
        yield running


@pytest.fixture
def alone(tmp_path, twilio):
    """A server of one test alone, which may kill it."""
    running = serve(tmp_path, twilio)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def behaved(twilio):
    yield
    twilio.forget()


@pytest.fixture
def tenant(server):
    return server.tenant()


def provider_body(account, **more):
    fields = ("account_sid", "api_key_sid", "api_key_secret", "region")
    return {"type": "twilio"} | {name: account[name] for name in fields if name in account} | more


def link(tenant, account, **more):
    return ok(tenant.cartesia.post(PROVIDERS, json=provider_body(account, **more)), 201)


def import_body(provider, number, **more):
    named = {"id": provider["id"]} if "id" in provider else provider
    return {"label": "desk", "number": number, "provider": named} | more


def bring(tenant, provider, number, **more):
    return ok(tenant.cartesia.post(NUMBERS, json=import_body(provider, number, **more)), 201)


def native(tenant, number):
    return ok(tenant.admin.get(f"/api/v1/numbers/{number}"), 200)


def refused(response, status):
    assert response.status_code == status, response.text
    body = response.json()
    assert {"error_code", "title", "message", "request_id"} <= set(body)
    return body
