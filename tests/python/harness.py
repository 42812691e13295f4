"""Starts the built binary on free ports, and talks to its HTTP side.

Nothing here knows how the service is written: only its command line, its native API and the vendors' headers.
"""

import contextlib
import itertools
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import time
import uuid

import httpx
from stores import BINARY, ROOT, store_of

# Below the range from which the system takes the ports of outgoing connections. Of several workers (pytest-xdist) none has another's.
_WORKER, _WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS = range(20_000 + _WORKER, 30_000, _WORKERS)
_NEXT_PORT = iter(random.Random(os.getpid()).sample(_PORTS, len(_PORTS)))


def free_port(host="127.0.0.1"):
    """A port that is free for UDP and TCP; none is given out twice in one run."""
    for port in _NEXT_PORT:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind((host, port))
                tcp.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port left")


def wait_for(ask, what, seconds=10.0):
    """Asks until the answer is truthy, and gives it; fails with `what` when the time is over."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


_COUNTERS = {}
_PREFIXES = {
    ("US", "local"): ("+1415", 2_000_000),
    ("US", "toll_free"): ("+1800", 2_000_000),
    ("CA", "local"): ("+1416", 2_000_000),
    ("GB", "local"): ("+4420", 79_460_000),
    ("GB", "mobile"): ("+447400", 100_000),
    ("NL", "local"): ("+3120", 5_550_000),
    ("AU", "local"): ("+612", 70_100_000),
    ("DE", "local"): ("+4930", 12_340_000),
}


def new_number(country="US", kind="local"):
    """A valid E.164 number of a country and type that no test has had yet."""
    prefix, start = _PREFIXES[country, kind]
    count = _COUNTERS.setdefault((country, kind), itertools.count(start))
    return f"{prefix}{next(count)}"


class Api:
    """Requests with fixed headers. Methods are those of httpx."""

    def __init__(self, base, headers):
        self.headers = headers
        self.http = httpx.Client(base_url=base, headers=headers, timeout=15)

    def __getattr__(self, method):
        return getattr(self.http, method)


def ok(response, status=None):
    """The JSON body of a good answer; the test fails with the whole answer otherwise."""
    good = response.status_code == status if status else response.is_success
    assert good, (
        f"{response.request.method} {response.request.url} answered {response.status_code}, "
        f"not {status or '2xx'}: {response.text[:600]}"
    )
    return response.json() if response.content else None


@contextlib.contextmanager
def while_up(server, seconds=15):
    """A server that runs for as long as this lasts, and ends in order: within so many seconds, with nothing gone wrong."""
    try:
        yield server.start()
        server.assert_up()
    finally:
        code = server.stop(seconds) if server.process else None
    assert code == 0, server.last_log()


class Server:
    """One `trunkline serve` with a store of its own."""

    def __init__(self, folder, *, environment=None, arguments=(), store=None):
        self.folder = pathlib.Path(folder)
        self.admin_key = "admin_" + secrets.token_hex(20)
        self.http_port, self.sip_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.sip = ("127.0.0.1", self.sip_port)
        self.store = store or store_of(self.folder)
        self.log = self.folder / "trunkline.log"
        self.environment, self.arguments = environment or {}, list(arguments)
        self.process = None
        self._admin = None

    def start(self, seconds=20):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRUNKLINE_")}
        environment["TRUNKLINE_ADMIN_KEY"] = self.admin_key
        if "--sim" not in self.arguments:
            # No test asks a carrier outside this machine: here nobody knows any account.
            environment["TRUNKLINE_TWILIO_URL"] = f"{self.url}/no-carrier/{{region}}"
        environment |= {"TRUNKLINE_STORE": self.store.url} | self.store.environment | self.environment
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [
                    BINARY, "serve",
                    "--http", f"127.0.0.1:{self.http_port}",
                    "--sip", f"udp:127.0.0.1:{self.sip_port}",
                    "--sip", f"tcp:127.0.0.1:{self.sip_port}",
                    *self.store.arguments, *self.arguments,
                ],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(self.ready, "the server answers /health/ready with 200", seconds)
        return self

    def ready(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.last_log()}"
        return self.health() == 200

    def health(self):
        """The status of /health/ready; None when nobody answers."""
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code
        except httpx.TransportError:
            return None

    def own(self, ending):
        """A file of the node's own."""
        return self.store.stem.with_name(self.store.stem.name + ending)

    def doctor(self):
        """What the store's own checks find, on a server that is running or not."""
        environment = {"TRUNKLINE_STORE": self.store.url}
        return subprocess.run([BINARY, "doctor"], env=environment, capture_output=True, text=True, timeout=60)

    def last_log(self):
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def assert_up(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.last_log()}"
        assert self.health() == 200

    def stop(self, seconds=15):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"SIGTERM did not end the server in {seconds} s:\n{self.last_log()}") from None
        return self.process.returncode

    def kill(self):
        """SIGKILL: no handler of the server runs."""
        self.process.kill()
        self.process.wait()

    def api(self, headers):
        return Api(self.url, headers)

    @property
    def anonymous(self):
        return self.api({})

    @property
    def admin(self):
        """The operator, acting for no organization."""
        if self._admin is None:
            self._admin = self.api({"authorization": f"Bearer {self.admin_key}"})
        return self._admin

    def tenant(self, name="acme", **how):
        return Tenant(self, name, **how)

    def stock(self, *, country="US", kind="local", setup=100, monthly=200, e164=None, **capabilities):
        """Puts one number on sale; gives the stock row."""
        row = {
            "e164": e164 or new_number(country, kind),
            "country": country,
            "type": kind,
            "setup_cost_cents": setup,
            "monthly_cost_cents": monthly,
            "capabilities": {"voice": True, "sms": False, "fax": False} | capabilities,
        }
        return ok(self.admin.post("/api/v1/stock", json=row), 201)

    def operator_trunk(self, *addresses):
        """The operator's own trunk: carries managed numbers of all organizations."""
        body = {"kind": "sip_trunk", "label": "carrier", "inbound": {"allowed_addresses": list(addresses)}}
        return ok(self.admin.post("/api/v1/providers", json=body), 201)


DIALECTS = ("native", "polyai", "cartesia", "krosai", "neo")


class Tenant:
    """An organization and the keys made for it."""

    def __init__(self, server, name="acme", *, kyc="approved", cents=1_000_000):
        self.server, self.name = server, name
        self.id = ok(server.admin.post("/api/v1/organizations", json={"name": name}), 201)["id"]
        uuid.UUID(self.id)
        # The operator, acting for this organization.
        self.admin = server.api(
            {"authorization": f"Bearer {server.admin_key}", "x-organization-id": self.id}
        )
        if kyc:
            self.set_kyc(kyc)
        if cents:
            self.credit(cents)
        self._keys, self._clients = {}, {}

    def set_kyc(self, state):
        ok(self.server.admin.patch(f"/api/v1/organizations/{self.id}", json={"kyc": state}), 200)

    def settings(self, **values):
        ok(self.server.admin.patch(f"/api/v1/organizations/{self.id}", json={"settings": values}), 200)

    def credit(self, cents):
        body = {"amount_cents": cents, "reason": "test credit"}
        ok(self.server.admin.post(f"/api/v1/organizations/{self.id}/ledger", json=body), 201)

    def balance(self):
        body = ok(self.server.admin.get(f"/api/v1/organizations/{self.id}/balance"), 200)
        assert body["currency"] and isinstance(body["balance_cents"], int)
        return body["balance_cents"]

    def key(self, dialect, role="owner", scopes=None, mode="live"):
        """The secret of a key; made at first need."""
        how = (dialect, role, tuple(scopes or ()), mode)
        if how not in self._keys:
            body = {"name": f"{dialect} {role}", "dialect": dialect, "role": role, "mode": mode}
            if scopes:
                body["scopes"] = list(scopes)
            made = ok(self.server.admin.post(f"/api/v1/organizations/{self.id}/keys", json=body), 201)
            self._keys[how] = made["key"]
        return self._keys[how]

    def client(self, dialect, role="owner", **headers):
        """Requests as a client of that vendor sends them."""
        how = (dialect, role, tuple(sorted(headers.items())))
        if how not in self._clients:
            self._clients[how] = self.server.api(credential(dialect, self.key(dialect, role)) | headers)
        return self._clients[how]

    native = property(lambda self: self.client("native"))
    krosai = property(lambda self: self.client("krosai"))
    cartesia = property(lambda self: self.client("cartesia"))
    neo = property(lambda self: self.client("neo"))
    polyai = property(lambda self: self.client("polyai"))

    def agent(self, name="Ada"):
        return ok(self.admin.post("/api/v1/agents", json={"name": name, "description": "answers"}), 201)

    def endpoint(self, *targets, agent=None, name="agents", environment="live", **more):
        """An endpoint. A target is a SIP URI, or a tuple (URI, priority, weight)."""
        rows = []
        for target in targets:
            uri, priority, weight = (target, 1, 1) if isinstance(target, str) else target
            rows.append({"uri": uri, "priority": priority, "weight": weight, "enabled": True})
        body = {"name": name, "kind": "sip", "environment": environment, "targets": rows} | more
        if agent:
            body["agent_id"] = agent["id"] if isinstance(agent, dict) else agent
        return ok(self.admin.post("/api/v1/endpoints", json=body), 201)

    def trunk(self, *addresses, label="carrier"):
        body = {"kind": "sip_trunk", "label": label, "inbound": {"allowed_addresses": list(addresses)}}
        return ok(self.admin.post("/api/v1/providers", json=body), 201)

    def number(self, *, trunk=None, e164=None, **fields):
        """A number: on a trunk if one is given, else bought from stock. Active at once, since the operator asks."""
        if trunk:
            body = {"e164": e164 or new_number(), "provider_id": trunk["id"]}
        else:
            body = {"stock_id": self.server.stock(e164=e164)["id"]}
        return ok(self.admin.post("/api/v1/numbers", json=body | fields), 201)

    def patch(self, number, **fields):
        return ok(self.admin.patch(f"/api/v1/numbers/{number['id']}", json=fields), 200)

    def read(self, number):
        return ok(self.admin.get(f"/api/v1/numbers/{number['id']}"), 200)

    def explain(self, number):
        return ok(self.admin.get(f"/api/v1/numbers/{number['e164']}/explain"), 200)

    def calls(self, e164=None):
        """The calls of the organization, of one number if it is named; oldest first."""
        rows = self.pages("/api/v1/calls")
        return [c for c in reversed(rows) if e164 is None or c["number"] == e164]

    def pages(self, path):
        rows, cursor = [], None
        while True:
            query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
            body = ok(self.admin.get(path, params=query), 200)
            rows += body["data"]
            cursor = body["next_cursor"]
            if not cursor:
                return rows

    def call_with(self, e164, status, seconds=8):
        """Waits until the last call of a number has this status, and gives it."""

        def found():
            rows = self.calls(e164)
            return rows[-1] if rows and rows[-1]["status"] == status else None

        try:
            return wait_for(found, f"the call to {e164} is {status}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.calls(e164)}") from None


def credential(dialect, key):
    """The vendor's header form (the one its own documentation shows first)."""
    if dialect == "polyai":
        return {"x-api-key": key}
    if dialect == "cartesia":
        return {"authorization": f"Bearer {key}", "cartesia-version": "2026-03-01"}
    return {"authorization": f"Bearer {key}"}
