"""Reads the service's own OpenAPI documents: operations, the right each needs, bodies that fit, and answers held against them."""

import dataclasses
import functools

import jsonschema
from harness import ok

METHODS = ("get", "post", "put", "patch", "delete")
NOBODY = "0190b5b0-1111-7222-8333-444455556666"


@dataclasses.dataclass(frozen=True)
class Operation:
    """One row of a document."""

    dialect: str
    method: str
    path: str
    name: str
    right: str | None
    is_open: bool

    def __str__(self):
        return f"{self.dialect}: {self.method.upper()} {self.path}"

    @property
    def parameters(self):
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def writes(self):
        return (self.right or "").endswith(":write")


class Whole:
    """An OpenAPI document."""

    def __init__(self, whole):
        self.whole = whole

    def resolve(self, node):
        while "$ref" in node:
            target = self.whole
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node


class Document(Whole):
    """An OpenAPI document as it is served."""

    def __init__(self, server, dialect):
        super().__init__(ok(server.anonymous.get(f"/openapi/{dialect}.json"), 200))
        self.dialect = dialect
        self.operations = [
            Operation(dialect, method, path, entry["operationId"], right(entry), entry.get("security") == [])
            for path, item in self.whole["paths"].items()
            for method, entry in item.items()
            if method in METHODS
        ]

    def entry(self, operation):
        return self.whole["paths"][operation.path][operation.method]

    def faults(self, operation, response):
        """What an answer has that the document does not say of it."""
        responses = self.entry(operation)["responses"]
        declared = responses.get(str(response.status_code))
        if declared is None:
            return [f"{response.status_code} is not among {sorted(responses)}"]
        content = declared.get("content")
        if content is None:
            return [f"a body where none is declared: {response.text[:80]}"] if response.content else []
        media = response.headers.get("content-type", "").split(";")[0]
        if media not in content:
            return [f"content type {media!r}, not {sorted(content)}"]
        validator = self.validator(operation, response.status_code, media)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(response.json())]

    @functools.cache  # noqa: B019 - a document lives as long as its test
    def validator(self, operation, status, media):
        schema = self.entry(operation)["responses"][str(status)]["content"][media]["schema"]
        whole = {"components": self.whole["components"], "allOf": [schema]}
        return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker(("uuid", "date-time")))

    def body(self, operation):
        """The smallest body that fits: required fields only. None where none is asked for."""
        body = self.entry(operation).get("requestBody")
        if body is None:
            return None
        content = body["content"].get("application/json")
        return example(self, content["schema"]) if content else {}


def right(entry):
    """The right that an operation says it needs."""
    words = entry.get("description", "")
    return words.removeprefix("Needs the right `").split("`")[0] if words.startswith("Needs the right `") else None


_TEXTS = {"uuid": NOBODY, "date-time": "2030-01-31T12:00:00Z", "uri": "http://127.0.0.1:9/hook", "date": "2030-01-31"}
_NAMES = {
    "e164": "+14155550123", "number": "+14155550123", "phoneNumber": "+14155550123", "phoneNumbers": "+14155550123", "country": "US", "url": "http://127.0.0.1:9/hook",
    "uri": "sip:127.0.0.1:5060", "address": "127.0.0.1:5060", "agent_id": NOBODY, "agentId": NOBODY,
}  # fmt: skip


def example(document, schema, name=""):
    """A value that fits a schema, as small as it can be."""
    schema = document.resolve(schema)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            parts = [part for part in schema[choice] if document.resolve(part).get("type") != "null"]
            return example(document, parts[0], name)
    if "allOf" in schema:
        parts = [example(document, part, name) for part in schema["allOf"]]
        return functools.reduce(lambda whole, part: whole | part, parts) if isinstance(parts[0], dict) else parts[0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((k for k in kind if k != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {})
        return {field: example(document, fields.get(field, {}), field) for field in schema.get("required", ())}
    if kind == "array":
        return [example(document, schema.get("items", {}), name)] * max(1, schema.get("minItems", 1))
    if kind == "string":
        text = _TEXTS.get(schema.get("format")) or _NAMES.get(name) or "x"
        return text + "x" * (schema.get("minLength", 0) - len(text))
    return {"integer": schema.get("minimum", 1), "number": 1.5, "boolean": True}.get(kind)
