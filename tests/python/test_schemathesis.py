"""Requests that schemathesis makes of the documents, ours and the vendors', against the running server: no fault of ours (5xx), and
no answer that its document does not allow.

Each operation gets a fixed number of requests from a fixed seed, most of them about things that are there. Our own documents are
held to the letter: status, content type, schema; and once more with requests that break the document, which must not break us. Of the contracts the schemas of the answers that they have are held; the statuses
that they leave out are compared, and listed, in `contracts/differences.json`.
"""

import contextlib
import json
import os

import hypothesis
import pytest
import schemathesis
from documents import NOBODY, Whole, example
from harness import DIALECTS, ROOT, Server, credential, while_up
from hypothesis import strategies
from schemathesis.checks import not_a_server_error
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks
from issuers import SigningKey, claims_of, key_set
from test_access_matrix import BODIES, NOBODYS, OPERATORS, PEOPLE, Owner, collection

#: Requests per operation. More for a night: TRUNKLINE_EXAMPLES=200.
EXAMPLES = int(os.environ.get("TRUNKLINE_EXAMPLES", "12"))
OURS = [not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
BROKEN = [not_a_server_error]
CONTRACTS = [not_a_server_error, checks.content_type_conformance, checks.response_schema_conformance]
#: What a request says of who asks, for whom and in which version: said by the test.
SETTLED = ("authorization", "x-api-key", "x-organization-id", "cartesia-version")
#: Contract → API, and what stands before its paths.
VENDORS = {
    "seed/krosai": ("krosai", "/v1"), "seed/cartesia-numbers": ("cartesia", ""), "seed/cartesia-agent-numbers": ("cartesia", ""),
    "seed/neo": ("neo", ""), "seed/polyai": ("polyai", ""), "full/polyai": ("polyai", ""), "full/cartesia": ("cartesia", ""),
}  # fmt: skip


class Desk:
    """A server, and tenants that have one of everything: a fresh one after each operation that removes."""

    def __init__(self, folder):
        self.key = SigningKey("k", "EdDSA")
        (folder / "keys.json").write_text(key_set(self.key))
        issuer = {
            "name": "people", "dialects": ["neo"], "issuer": "https://people.example", "audience": "trunkline", "jwks": "keys.json",
            "organization_claim": "org", "default_role": "owner",
        }  # fmt: skip
        # With carriers of its own, so that nothing is asked of real ones.
        self.server = Server(folder, arguments=["--sim"], environment={"TRUNKLINE_ISSUER": json.dumps(issuer)})
        self.owner, self.count, self.used = None, 0, True

    def of(self, operation):
        used, self.used = self.used, operation.method.upper() != "GET"
        if used or self.used:
            self.count += 1
            self.owner = Owner(self.server, f"tenant {self.count}", f"127.1.{self.count // 250}.{self.count % 250 + 1}")
            self.owner.stock = [self.server.stock(country="GB", kind=kind)["id"] for kind in ("local", "mobile")][0]
        return self.owner

    def headers(self, dialect, operation):
        """Whoever may do it: an owner's key, the operator, or, for Neo's keys, a person."""
        name = operation.definition.raw.get("operationId")
        if dialect == "native" and name in OPERATORS:
            return credential(dialect, self.server.admin_key) | {"x-organization-id": self.owner.tenant.id}
        if (dialect, name) in PEOPLE:
            claims = claims_of("https://people.example", "trunkline", seconds=3_600) | {"org": self.owner.tenant.id}
            return credential(dialect, self.key.token(claims))
        version = {"cartesia-version": "2026-03-01"} if dialect == "cartesia" else {}
        return credential(dialect, self.owner.tenant.key(dialect)) | version


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("schemathesis"))
    with while_up(desk.server):
        yield desk


def real(operation, owner, dialect):
    """Path parameters that are there, by name."""
    ids = {}
    for part in operation.path.split("/"):
        if part.startswith("{"):
            name = part[1:-1]
            kind = "phoneNumber" if name == "phoneNumber" else collection(operation.path, name)
            value = owner.stock if kind == "stock" else NOBODY if kind in NOBODYS else owner.id_of(dialect, kind) or NOBODY
            ids[name] = f"pn_{value}" if (dialect, kind, name) == ("cartesia", "phone-numbers", "id") else value
    return ids


#: Bodies that make sense and that a schema alone does not lead to; "stock" stands for a number on sale.
GOOD = {
    ("native", "number_create"): {"stock_id": "stock"},
    ("krosai", "number_buy"): {"inventory_id": "stock"},
    ("krosai", "endpoint_create"): {"name": "desk", "type": "custom_sip", "url": "sip:127.0.0.1:5999"},
    ("cartesia", "provider_create"): {"type": "sip_trunk", "label": "carrier", "inbound": {"allowed_addresses": ["127.0.0.77"]}},
    ("cartesia", "provider_update"): {"type": "sip_trunk", "label": "other carrier"},
}  # fmt: skip


def sensible(document, dialect, operation, owner):
    """A body that fits and makes sense, where JSON is asked for; None where none is."""
    entry = document["paths"][operation.path][operation.method.lower()]
    schema = entry.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    name = (dialect, entry.get("operationId"))
    if name in GOOD:
        return {field: owner.stock if value == "stock" else value for field, value in GOOD[name].items()}
    return BODIES.get(name) or (example(Whole(document), schema) if schema else None)


def ask(desk, document, dialect, prefix, held, left_out=()):
    """Sends each operation's requests; gives what was wrong, one text per operation and status."""
    schema, faults, asked = schemathesis.openapi.from_dict(document), {}, 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if (operation.method.upper(), operation.path) not in left_out:
            owner = desk.of(operation)
            ids = real(operation, owner, dialect)
            body = sensible(document, dialect, operation, owner)
            known = (ids, desk.headers(dialect, operation), body)
            asked += send(operation, desk.server.url + prefix, known, held, faults)
            if held is OURS:
                asked += send(operation, desk.server.url + prefix, known, BROKEN, faults, GenerationMode.NEGATIVE)
    assert asked > 0
    return faults


def send(operation, url, known, held, faults, mode=GenerationMode.POSITIVE):
    """Sends one operation's requests, notes what was wrong, and says how many there were. A third of them is about nothing that is
    there, a third about what is there, and a third also has a body that makes sense."""
    ids, headers, body = known
    body = body if mode == GenerationMode.POSITIVE else None
    asked = 0

    @hypothesis.seed(20261122)
    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), there=strategies.sampled_from(("wholly", "there", "")))
    def one(case, there):
        nonlocal asked
        asked += 1
        if there and ids:
            case.path_parameters = {**case.path_parameters, **ids}
        if there == "wholly" and body is not None:
            case.body = body
        for name in [name for name in case.headers or () if name.lower() in SETTLED]:
            del case.headers[name]
        response = case.call(base_url=url, headers=headers)
        try:
            case.validate_response(response, checks=held)
        except FailureGroup as group:
            request = response.request
            told = f"{request.method} {request.url} {str(request.body)[:300]} → {response.status_code} {response.text[:300]}"
            reasons = "; ".join(f"{failure.title}: {failure.message[:400]}" for failure in group.exceptions)
            faults.setdefault(f"{operation.method.upper()} {operation.path} {response.status_code}", f"{told}\n{reasons}")

    # What takes neither parameters nor a body cannot be asked wrongly.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        one()
    return asked


def told(faults):
    return f"{len(faults)} kinds of fault:\n\n" + "\n\n".join(f"{where}\n{what}" for where, what in faults.items())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_our_documents_are_kept(desk, dialect):
    document = desk.server.anonymous.get(f"/openapi/{dialect}.json").json()
    faults = ask(desk, document, dialect, "", OURS)
    assert not faults, told(faults)


@pytest.mark.parametrize("contract", VENDORS)
def test_the_contracts_are_kept(desk, contract):
    dialect, prefix = VENDORS[contract]
    document = json.loads((ROOT / "contracts" / f"{contract}.json").read_text())
    served = desk.server.anonymous.get(f"/openapi/{dialect}.json").json()["paths"]
    missing = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters" and method not in served.get(prefix + path, {})
    }
    faults = ask(desk, document, dialect, prefix, CONTRACTS, missing)
    assert not faults, told(faults)


def test_a_document_that_says_something_else_is_caught(desk):
    """What the tests above would say, were a field of another type and a status left out."""
    document = desk.server.anonymous.get("/openapi/krosai.json").json()
    path = "/v1/phone-numbers/{id}"
    operation = document["paths"][path]["get"]
    del operation["responses"]["404"]
    document["paths"] = {path: {"get": operation}}
    document["components"]["schemas"]["PhoneNumber"]["properties"]["status"] = {"type": "integer"}
    faults = ask(desk, document, "krosai", "", OURS)
    assert {f"GET {path} 404", f"GET {path} 200"} <= set(faults), told(faults)
