"""What the tests of webhooks and plans share: servers, tenants, a receiver, and how webhooks are made and looked at."""

import pytest
from harness import Server, ok, while_up
from receiver import Receiver

NOBODY = "0190b5b0-1111-7222-8333-444455556666"
MINUTE = 60
#: How long each attempt waits after the one before it, in seconds.
WAITS = [MINUTE, 5 * MINUTE, 30 * MINUTE, 120 * MINUTE]
EVENTS = {
    "call.started", "call.completed", "call.failed", "call.recording.ready", "transcription.completed", "number.provisioned",
    "number.released", "balance.low",
}  # fmt: skip


#: The receivers stand on this machine, which only an operator can allow.
ALLOWED = {"TRUNKLINE_OUTGOING_PRIVATE": "allow"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"), environment=ALLOWED)
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def carrier(tenant):
    """The tenant, with a trunk that 127.0.0.1 may use."""
    tenant.its_trunk = tenant.trunk("127.0.0.1")
    return tenant


@pytest.fixture(scope="module")
def other(server):
    return server.tenant("other")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A server whose clock can be moved."""
    running = Server(tmp_path_factory.mktemp("sim"), arguments=["--sim"])
    with while_up(running):
        yield running


@pytest.fixture
def receiver():
    with Receiver() as party:
        yield party


def advance(server, seconds):
    ok(server.admin.post("/sim/clock", json={"advance_seconds": seconds}), 200)


def krosai_hook(tenant, url, *events, **fields):
    body = {"url": url} | ({"events": list(events)} if events else {}) | fields
    return ok(tenant.krosai.post("/v1/webhooks", json=body), 201)


def native_hook(tenant, url, *events, **fields):
    return ok(tenant.native.post("/api/v1/webhooks", json={"url": url, "events": list(events) or ["*"]} | fields), 201)


def log_of(tenant, hook):
    """What was sent to a webhook of the native API, the oldest first."""
    return tenant.pages(f"/api/v1/webhooks/{hook['id']}/deliveries")[::-1]


def gone(tenant, hook):
    path = "/api/v1/webhooks" if "organization_id" not in hook else "/v1/webhooks"
    client = tenant.native if path.startswith("/api") else tenant.krosai
    assert client.delete(f"{path}/{hook['id']}").status_code == 204


def refused(response, status, code=None):
    assert response.status_code == status, f"{response.status_code}, not {status}: {response.text[:400]}"
    body = response.json()
    assert code is None or body["code"] == code, body
    return body
