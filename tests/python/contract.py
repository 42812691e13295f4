"""Holds responses against the contracts in contracts/seed (or, named with their folder, in contracts/full): status, content type, schema, and no field beyond it."""

import copy
import functools
import json

from harness import ROOT
from jsonschema import Draft202012Validator, FormatChecker

_FORMATS = FormatChecker(("uuid", "date-time"))


def _schema31(node):
    """OpenAPI 3.0's `nullable`, said as JSON Schema says it."""
    if isinstance(node, list):
        return [_schema31(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _schema31(value) for key, value in node.items()}
    if node.pop("nullable", False):
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
        if isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
        else:
            node = {"anyOf": [node, {"type": "null"}]}
    return node


@functools.cache
def _load(name):
    document = json.loads((ROOT / "contracts" / (name if "/" in name else f"seed/{name}")).with_suffix(".json").read_text())
    return _schema31(document) if document["openapi"].startswith("3.0") else document


def _resolve(document, node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def operations(name):
    """(method, path, statuses) of each operation of a contract."""
    for path, item in _load(name)["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method, path, set(operation["responses"])


def _properties(document, schema):
    """All properties that a schema of an object names, or None where it names none."""
    schema = _resolve(document, schema)
    names = set(schema.get("properties", ()))
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        names |= _properties(document, part) or set()
    return names or None


def _unknown(document, schema, value, path="$"):
    """Fields of `value` that the schema does not name, where it names fields and is not open."""
    schema = _resolve(document, schema)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _unknown(document, schema["items"], item, f"{path}[{index}]")
    if isinstance(value, dict) and not schema.get("additionalProperties"):
        known = _properties(document, schema)
        if known is None:
            return
        for key, inner in value.items():
            if key not in known:
                yield f"{path}.{key}"
                continue
            for part in (schema, *schema.get("allOf", ())):
                sub = _resolve(document, part).get("properties", {}).get(key)
                if sub:
                    yield from _unknown(document, sub, inner, f"{path}.{key}")


def _validate(name, schema, value, *, closed=True):
    document = _load(name)
    whole = {"$schema": Draft202012Validator.META_SCHEMA["$id"], "components": document["components"], "allOf": [schema]}
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(whole, format_checker=_FORMATS).iter_errors(value)
    ]
    if closed:
        errors += [f"{path}: not in the contract" for path in _unknown(document, schema, value)]
    assert not errors, f"against {name}: {errors}\nbody: {json.dumps(value)[:800]}"


def check(name, method, path, response, status, *, closed=True):
    """The body, after holding a response against its declaration in the contract."""
    assert response.status_code == status, (
        f"{method} {response.request.url} answered {response.status_code}, not {status}: {response.text[:600]}"
    )
    document = _load(name)
    declared = document["paths"][path][method]["responses"]
    assert str(status) in declared, f"{name} declares no {status} for {method} {path}"
    content = _resolve(document, declared[str(status)]).get("content")
    if content is None:
        return response.json() if response.content else None
    _is_json(response)
    _validate(name, content["application/json"]["schema"], response.json(), closed=closed)
    return response.json()


def check_schema(name, schema, response, status):
    """The same for an answer that the contract leaves out of an operation but has a schema for."""
    assert response.status_code == status, f"{response.status_code}, not {status}: {response.text[:600]}"
    _is_json(response)
    _validate(name, {"$ref": f"#/components/schemas/{schema}"}, response.json())
    return response.json()


def validate(name, schema, value):
    """A value against a named schema of a contract."""
    _validate(name, {"$ref": f"#/components/schemas/{schema}"}, copy.deepcopy(value))


def _is_json(response):
    kind = response.headers.get("content-type", "")
    assert kind.split(";")[0].strip() == "application/json", f"content type {kind!r}: {response.text[:300]}"
