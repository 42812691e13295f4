"""Who may do what: every operation of every API, as the served documents list them, by who asks.

{no key, a bad key, another API's keys, the operator's key} are 401; {a viewer on a write, a key with another right} 403; what is
another tenant's is 404, with the words of what nobody has, and stays as it is. Each refusal has the API's shape. A new operation is
covered by being in a table; a new kind of thing needs a line in `Owner` or `NOBODYS`, and the test says so.
"""

import pytest
from documents import NOBODY, Document
from harness import DIALECTS, Server, credential, ok, while_up

#: Operations that are the operator's: 403 for every tenant, whatever its key.
OPERATORS = {
    "organization_create", "ledger_post", "stock_create", "stock_update", "stock_delete",
    "rate_set", "rate_remove", "ban_list", "ban_delete", "carrier_reconcile",
}  # fmt: skip
#: What a path needs beside its ids.
QUERIES = {("polyai", "call_status"): "?environment=live"}
#: Things that a walk cannot own: what nobody has stands in for another tenant's.
NOBODYS = {"calls", "outbound-calls", "stock", "deliveries", "ledger", "events", "rates", "bans"}
#: What cannot be had is one to the buyer, whoever has it.
NOT_TO_BE_HAD = {"stock_hold": 409}
#: Neo's keys are made by people: its keys are refused before anything is looked up.
PEOPLE = {("neo", "key_create"), ("neo", "key_rotate")}
#: Bodies that the schema alone does not lead to.
BODIES = {
    ("native", "number_create"): {"stock_id": NOBODY},
    ("krosai", "number_buy"): {"inventory_id": NOBODY},
    ("native", "call_create"): {"from": NOBODY, "to": "+12125550147"},
    ("krosai", "call_create"): {"from_number": "+14155550199", "to_number": "+12125550147"},
    ("native", "key_create"): {"name": "k", "dialect": "native", "role": "viewer", "mode": "live"},
}


class Owner:
    """A tenant that has one of everything; `ids` by collection."""

    def __init__(self, server, name, address):
        self.tenant = tenant = server.tenant(name)
        agent = tenant.agent(f"agent of {name}")
        endpoint = tenant.endpoint("sip:127.0.0.1:5999", agent=agent)
        number = tenant.number(endpoint_id=endpoint["id"])
        self.ids = {
            "organizations": tenant.id, "accounts": tenant.id, "agents": agent["id"], "endpoints": endpoint["id"], "connectors": endpoint["id"],
            "providers": tenant.trunk(address)["id"], "numbers": number["id"], "phone-numbers": number["id"], "phoneNumber": number["e164"],
        }  # fmt: skip
        self.number = number
        self.keys = {dialect: self.key_of(dialect) for dialect in DIALECTS}
        # Keys and webhooks are seen only in the API that they were made for.
        self.hooks = {
            dialect: ok(client.post(path, json={"url": "http://127.0.0.1:9/hook", "events": ["call.completed"]}), 201)["id"]
            for dialect, client, path in (("native", tenant.admin, "/api/v1/webhooks"), ("krosai", tenant.krosai, "/v1/webhooks"))
        }

    def id_of(self, dialect, kind):
        """The id of what it has of a kind, as an API knows it; None where it has none."""
        own = {"keys": self.keys, "api-keys": self.keys, "webhooks": self.hooks}.get(kind)
        return own.get(dialect) if own else self.ids.get(kind)

    def key_of(self, dialect):
        """The id of a key that is not used for anything else."""
        body = {"name": "idle", "dialect": dialect, "role": "viewer", "mode": "live"}
        return ok(self.tenant.admin.post(f"/api/v1/organizations/{self.tenant.id}/keys", json=body), 201)["id"]

    def state(self):
        """Everything it has, as the operator reads it."""
        paths = ("agents", "endpoints", "providers", "numbers", f"organizations/{self.tenant.id}/keys", f"organizations/{self.tenant.id}")
        state = {path: ok(self.tenant.admin.get(f"/api/v1/{path}"), 200) for path in paths}
        # Those that the tests make to ask with are named by API and role.
        keys = state[f"organizations/{self.tenant.id}/keys"]
        keys["data"] = [key for key in keys["data"] if key["name"].split(" ")[0] not in DIALECTS]
        state["webhooks"] = ok(self.tenant.admin.get("/api/v1/webhooks"), 200), ok(self.tenant.krosai.get("/v1/webhooks"), 200)
        return state


def collection(path, parameter):
    parts = path.split("/")
    return parts[parts.index(f"{{{parameter}}}") - 1]


def filled(operation, owner=None):
    """The path with somebody's ids, or with ids that nobody has."""
    path = operation.path
    for parameter in operation.parameters:
        kind = "phoneNumber" if parameter == "phoneNumber" else collection(path, parameter)
        value = {"phoneNumber": "+14155550199", "bans": "192.0.2.99"}.get(kind, NOBODY)
        if owner and kind not in NOBODYS:
            value = owner.id_of(operation.dialect, kind)
            assert value, f"{operation}: say in `Owner` or `NOBODYS` what a tenant has of {kind}"
        prefix = "pn_" if (operation.dialect, kind, parameter) == ("cartesia", "phone-numbers", "id") else ""
        path = path.replace(f"{{{parameter}}}", prefix + value)
    return path + QUERIES.get((operation.dialect, operation.name), "")


class Walk:
    """One document, two tenants, and what was found wrong."""

    def __init__(self, server, dialect, mine, theirs):
        self.server, self.document, self.mine, self.theirs = server, Document(server, dialect), mine, theirs
        self.dialect, self.faults, self.http = dialect, [], server.anonymous
        self.operations = [o for o in self.document.operations if not o.is_open]
        assert self.operations

    def send(self, operation, headers, path):
        body = BODIES.get((self.dialect, operation.name))
        body = self.document.body(operation) if body is None else body
        if self.dialect == "cartesia":
            headers = headers | {"cartesia-version": "2026-03-01"}
        return self.http.request(operation.method.upper(), path, headers=headers, **({} if body is None else {"json": body}))

    def expect(self, operation, who, response, status):
        if response.status_code != status:
            self.faults.append(f"{operation} with {who}: {response.status_code}, not {status}: {response.text[:160]}")
        else:
            self.faults += [f"{operation} with {who}: {fault}" for fault in self.document.faults(operation, response)]
        if "x-request-id" not in response.headers:
            self.faults.append(f"{operation} with {who}: no x-request-id")

    def done(self):
        assert not self.faults, f"{len(self.faults)}:\n" + "\n".join(self.faults)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # A webhook of each owner's is at an address of this machine where nobody listens.
    running = Server(tmp_path_factory.mktemp("matrix"), environment={"TRUNKLINE_OUTGOING_PRIVATE": "allow"})
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def two(server):
    return Owner(server, "mine", "127.0.0.21"), Owner(server, "theirs", "127.0.0.22")


@pytest.fixture
def walk(server, two, request):
    walk = Walk(server, request.param, *two)
    before = [owner.state() for owner in two]
    yield walk
    assert [owner.state() for owner in two] == before, "a refused request changed something"
    walk.done()


each_dialect = pytest.mark.parametrize("walk", DIALECTS, indirect=True)


@each_dialect
def test_strangers_are_401_everywhere(walk):
    tenant = walk.mine.tenant
    strangers = {"no key": {}, "a wrong scheme": {"authorization": "Basic eDp5"}, "no secret": {"authorization": "Bearer"}}
    for dialect in DIALECTS:
        if dialect != walk.dialect:
            strangers[f"a {dialect} key"] = credential(dialect, tenant.key(dialect))
            strangers[f"a {dialect} key in this API's form"] = credential(walk.dialect, tenant.key(dialect))
    form = tenant.key(walk.dialect)
    strangers["a bad key"] = credential(walk.dialect, form[:-6] + "AAAAAA")
    strangers["a key and more"] = credential(walk.dialect, form + "A")
    if walk.dialect != "native":
        strangers["the operator's key"] = credential(walk.dialect, walk.server.admin_key)
    for operation in walk.operations:
        for who, headers in strangers.items():
            walk.expect(operation, who, walk.send(operation, headers, filled(operation, walk.mine)), 401)


@each_dialect
def test_a_viewer_writes_nothing_and_reads_on(walk):
    viewer = credential(walk.dialect, walk.mine.tenant.key(walk.dialect, "viewer"))
    for operation in walk.operations:
        if operation.writes or operation.name in OPERATORS:
            walk.expect(operation, "a viewer", walk.send(operation, viewer, filled(operation, walk.mine)), 403)
        else:
            response = walk.send(operation, viewer, filled(operation))
            if response.status_code in (401, 403) or response.status_code >= 500:
                walk.faults.append(f"{operation} with a viewer: {response.status_code}: {response.text[:160]}")
    assert any(operation.writes for operation in walk.operations)


@each_dialect
def test_a_key_with_other_rights_is_403(walk):
    """Each operation needs the right that its row names: a key with every other right does not do."""
    areas = ("numbers", "calls", "endpoints", "agents", "providers", "billing", "api-keys", "events", "organization", "webhooks")
    rights = [f"{area}:write" for area in areas]
    for operation in walk.operations:
        if operation.right is None:
            continue
        area = operation.right.split(":")[0]
        # A right to write a thing is a right to read it, so for a read the whole area is left out.
        others = [r for r in rights if r != f"{area}:write"] + ([f"{area}:read"] if operation.writes else [])
        key = walk.mine.tenant.key(walk.dialect, "owner", scopes=others)
        walk.expect(operation, f"all but {operation.right}", walk.send(operation, credential(walk.dialect, key), filled(operation, walk.mine)), 403)


@each_dialect
def test_what_is_another_tenants_is_not_there(walk):
    owner = credential(walk.dialect, walk.mine.tenant.key(walk.dialect))
    for operation in walk.operations:
        if not operation.parameters or operation.name == "number_explain":
            continue
        theirs = walk.send(operation, owner, filled(operation, walk.theirs))
        nobodys = walk.send(operation, owner, filled(operation))
        forbidden = operation.name in OPERATORS or (walk.dialect, operation.name) in PEOPLE
        wanted = 403 if forbidden else NOT_TO_BE_HAD.get(operation.name, 404)
        walk.expect(operation, "another tenant's id", theirs, wanted)
        walk.expect(operation, "nobody's id", nobodys, wanted)
        if told(theirs) != told(nobodys):
            walk.faults.append(f"{operation}: {theirs.text[:160]} tells more than {nobodys.text[:160]}")


def told(response):
    """An answer without what names the request."""
    text = response.text
    for value in (response.headers.get("x-request-id"), response.headers.get("x-polyai-correlation-id")):
        text = text.replace(value, "") if value else text
    return response.status_code, text


@each_dialect
def test_every_answer_names_its_request(walk):
    """Also those that no operation gives: unknown paths and methods, bodies that are too large or no JSON."""
    prefix = {"native": "/api/v1", "polyai": "/v1/agents", "cartesia": "/agents", "krosai": "/v1", "neo": "/public-api"}[walk.dialect]
    own = credential(walk.dialect, walk.mine.tenant.key(walk.dialect))
    http, seen = walk.http, set()
    post = next(o for o in walk.operations if o.method == "post")
    answers = [
        http.get(f"{prefix}/no/such/path/at/all", headers=own),
        http.get(f"{prefix}/no/such/path/at/all"),
        http.request("PUT", filled(walk.operations[0], walk.mine), headers=own),
        http.post(filled(post, walk.mine), headers=own, content=b"{", ),
        http.post(filled(post, walk.mine), headers=own, content=b" " * ((1 << 20) + 1)),
        *(walk.send(o, own, filled(o)) for o in walk.operations if o.method == "get" and o.name not in OPERATORS),
    ]  # fmt: skip
    assert {404, 401, 405} <= {answer.status_code for answer in answers}, [answer.status_code for answer in answers]
    for answer in answers:
        request_id = answer.headers["x-request-id"]
        assert request_id not in seen, "two requests, one id"
        seen.add(request_id)
        assert answer.status_code < 500, answer.text
        if walk.dialect == "neo":
            assert answer.json()["meta"]["request_id"] == request_id
        if walk.dialect == "polyai":
            assert answer.headers["x-polyai-correlation-id"] == request_id
        if walk.dialect in ("cartesia", "native") and answer.status_code >= 400:
            assert answer.json()["request_id"] == request_id
    if walk.dialect == "polyai":
        named = http.get(f"{prefix}/none", headers=own | {"x-polyai-correlation-id": "mine-1"})
        assert named.headers["x-polyai-correlation-id"] == "mine-1" != named.headers["x-request-id"]
