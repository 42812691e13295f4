//! OpenAPI 3.1 documents: paths from a dialect's table, schemas from its wire structs. Knows no vendor.
//!
//! A dialect says what its table does not: summaries, parameters, bodies and answers. Every name that a schema refers to is
//! collected into `components`, so that each `$ref` can be resolved.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};

use crate::Endpoint;

/// The schema of a text that is one of these words; of a field that may also be null.
pub(crate) fn one_of_words(words: &[&'static str], null: bool) -> Object {
    let types = if null { SchemaType::from_iter([Type::String, Type::Null]) } else { Type::String.into() };
    let null = null.then_some(Value::Null);
    let words = words.iter().map(|word| Value::from(*word)).chain(null);
    ObjectBuilder::new().schema_type(types).enum_values(Some(words)).build()
}

/// The schema of a body or a parameter, with the named schemas that it refers to.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    schema: Value,
    named: Vec<(String, Value)>,
}

impl Shape {
    /// A wire struct, by reference.
    pub(crate) fn of<T: ToSchema>() -> Self {
        let mut named = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut named);
        // A schema is plain data with string keys: it can always be written.
        let written = |schema: RefOr<Schema>| serde_json::to_value(schema).unwrap_or_default();
        let named = named.into_iter().map(|(name, schema)| (name, written(schema))).collect();
        Self { schema: json!({ "$ref": format!("#/components/schemas/{}", T::name()) }), named }
    }

    /// An array of wire structs.
    pub(crate) fn list_of<T: ToSchema>() -> Self {
        Self::of::<T>().list()
    }

    /// An array of this.
    pub(crate) fn list(self) -> Self {
        let Self { schema, named } = self;
        Self { schema: json!({ "type": "array", "items": schema }), named }
    }

    /// A schema written out.
    pub(crate) fn inline(schema: Value) -> Self {
        Self { schema, named: Vec::new() }
    }

    /// Any text.
    pub(crate) fn text() -> Self {
        Self::inline(json!({ "type": "string" }))
    }

    /// One of these words.
    pub(crate) fn words(words: &[&str]) -> Self {
        Self::inline(json!({ "type": "string", "enum": words }))
    }

    /// A whole number within bounds.
    pub(crate) fn whole(min: i64, max: i64, default: i64) -> Self {
        Self::inline(json!({ "type": "integer", "minimum": min, "maximum": max, "default": default }))
    }

    /// A schema around this one.
    pub(crate) fn map(self, around: impl FnOnce(Value) -> Value) -> Self {
        Self { schema: around(self.schema), named: self.named }
    }

    /// One of several.
    pub(crate) fn one_of(shapes: impl IntoIterator<Item = Self>) -> Self {
        let (mut schemas, mut all) = (Vec::new(), Vec::new());
        for Self { schema, named } in shapes {
            schemas.push(schema);
            all.extend(named);
        }
        Self { schema: json!({ "oneOf": schemas }), named: all }
    }
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind the `?`.
    Query,
    /// Among the headers.
    Header,
}

/// What the table does not say of an operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operation {
    summary: &'static str,
    tag: Option<&'static str>,
    parameters: Vec<(Place, &'static str, &'static str, Shape)>,
    bodies: Vec<(&'static str, Shape)>,
    body_optional: bool,
    answers: Vec<(u16, &'static str, Option<Shape>)>,
    answer_headers: Vec<(&'static str, &'static str)>,
    answer_media: Vec<&'static str>,
    refusals: Vec<u16>,
    extension: bool,
    open: bool,
}

impl Operation {
    /// An operation with a short summary.
    pub(crate) fn new(summary: &'static str) -> Self {
        Self { summary, ..Self::default() }
    }

    /// Puts it in a group.
    pub(crate) fn tag(mut self, tag: &'static str) -> Self {
        self.tag = Some(tag);
        self
    }

    /// An optional query parameter.
    pub(crate) fn query(mut self, name: &'static str, about: &'static str, shape: Shape) -> Self {
        self.parameters.push((Place::Query, name, about, shape));
        self
    }

    /// An optional header.
    pub(crate) fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.parameters.push((Place::Header, name, about, Shape::text()));
        self
    }

    /// A JSON body.
    pub(crate) fn body(self, shape: Shape) -> Self {
        self.body_as("application/json", shape)
    }

    /// A body of another media type.
    pub(crate) fn body_as(mut self, media: &'static str, shape: Shape) -> Self {
        self.bodies.push((media, shape));
        self
    }

    /// The body may be left out.
    pub(crate) fn body_optional(mut self) -> Self {
        self.body_optional = true;
        self
    }

    /// A JSON answer.
    pub(crate) fn answer(mut self, status: u16, about: &'static str, shape: Shape) -> Self {
        self.answers.push((status, about, Some(shape)));
        self
    }

    /// An answer without a body.
    pub(crate) fn answer_empty(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push((status, about, None));
        self
    }

    /// A good answer that is not JSON: text or bytes of one of these media types.
    pub(crate) fn answer_as(mut self, about: &'static str, media: &[&'static str]) -> Self {
        self.answer_media.extend(media);
        self.answer_empty(200, about)
    }

    /// A header of the good answers.
    pub(crate) fn answer_header(mut self, name: &'static str, about: &'static str) -> Self {
        self.answer_headers.push((name, about));
        self
    }

    /// Marks it as ours: the vendor's own API has no such operation.
    pub(crate) fn extension(mut self) -> Self {
        self.extension = true;
        self
    }

    /// Nobody is asked for a key.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Statuses with which it refuses, in the document's error shape.
    pub(crate) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }
}

/// A document under construction.
#[derive(Debug)]
pub(crate) struct Document {
    info: Value,
    schemas: BTreeMap<String, Value>,
    security: Map<String, Value>,
    path_parameters: BTreeMap<&'static str, (&'static str, Value)>,
    refusal: Option<(&'static str, Value)>,
    paths: BTreeMap<&'static str, Map<String, Value>>,
}

impl Document {
    /// An empty document.
    pub(crate) fn new(title: &str, version: &str, description: &str) -> Self {
        Self {
            info: json!({ "title": title, "version": version, "description": description }),
            schemas: BTreeMap::new(),
            security: Map::new(),
            path_parameters: BTreeMap::new(),
            refusal: None,
            paths: BTreeMap::new(),
        }
    }

    /// A key as `Authorization: Bearer …` is accepted.
    pub(crate) fn bearer(mut self) -> Self {
        self.security.insert("bearer".into(), json!({ "type": "http", "scheme": "bearer" }));
        self
    }

    /// A key in a header of its own is accepted.
    pub(crate) fn api_key(mut self, header: &str) -> Self {
        self.security.insert("api_key".into(), json!({ "type": "apiKey", "in": "header", "name": header }));
        self
    }

    /// What a path parameter means, wherever it stands.
    pub(crate) fn path_parameter(mut self, name: &'static str, about: &'static str, shape: Shape) -> Self {
        let schema = self.collect(shape);
        self.path_parameters.insert(name, (about, schema));
        self
    }

    /// The shape of every refusal.
    pub(crate) fn refusal(mut self, media: &'static str, shape: Shape) -> Self {
        let schema = self.collect(shape);
        self.refusal = Some((media, schema));
        self
    }

    /// Adds a row of the table.
    pub(crate) fn operation(mut self, endpoint: &'static Endpoint, operation: Operation) -> Self {
        let Operation {
            summary,
            tag,
            parameters,
            bodies,
            body_optional,
            answers,
            answer_headers,
            answer_media,
            refusals,
            extension,
            open,
        } = operation;
        let mut entry = json!({ "operationId": endpoint.verb, "summary": summary });
        if let Some(tag) = tag {
            entry["tags"] = json!([tag]);
        }
        if let Some(scope) = endpoint.scope {
            entry["description"] = json!(format!("Needs the right `{scope}`."));
        }
        if extension {
            entry["x-trunkline-extension"] = json!(true);
        }
        if open {
            entry["security"] = json!([]);
        }
        entry["parameters"] = self.parameters(endpoint.path, parameters);
        if !bodies.is_empty() {
            let content: Map<String, Value> = bodies
                .into_iter()
                .map(|(media, shape)| (media.to_owned(), json!({ "schema": self.collect(shape) })))
                .collect();
            entry["requestBody"] = json!({ "required": !body_optional, "content": content });
        }
        let headers: Map<String, Value> = answer_headers
            .into_iter()
            .map(|(name, about)| {
                (name.to_owned(), json!({ "description": about, "schema": { "type": "string" } }))
            })
            .collect();
        let mut responses = Map::new();
        for (status, about, body) in answers {
            let mut answer = json!({ "description": about });
            if !headers.is_empty() {
                answer["headers"] = Value::Object(headers.clone());
            }
            if let Some(shape) = body {
                answer["content"] = json!({ "application/json": { "schema": self.collect(shape) } });
            } else if !answer_media.is_empty() {
                let plain = json!({ "schema": { "type": "string" } });
                let content = answer_media.iter().map(|media| ((*media).to_owned(), plain.clone()));
                answer["content"] = Value::Object(content.collect());
            }
            responses.insert(status.to_string(), answer);
        }
        for status in refusals {
            let phrase =
                StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Refused");
            let mut answer = json!({ "description": phrase });
            if let Some((media, schema)) = &self.refusal {
                answer["content"] = json!({ *media: { "schema": schema } });
            }
            responses.insert(status.to_string(), answer);
        }
        entry["responses"] = Value::Object(responses);
        let method = endpoint.method.as_str().to_ascii_lowercase();
        self.paths.entry(endpoint.path).or_default().insert(method, entry);
        self
    }

    /// The document.
    pub(crate) fn build(self) -> Value {
        let Self { info, schemas, security, path_parameters: _, refusal: _, paths } = self;
        let alternatives: Vec<Value> = security.keys().map(|name| json!({ name: [] })).collect();
        json!({
            "openapi": "3.1.0",
            "info": info,
            "servers": [{ "url": "/" }],
            "security": alternatives,
            "paths": paths,
            "components": { "schemas": schemas, "securitySchemes": security },
        })
    }

    fn collect(&mut self, shape: Shape) -> Value {
        for (name, schema) in shape.named {
            self.schemas.entry(name).or_insert(schema);
        }
        shape.schema
    }

    fn parameters(&mut self, path: &str, others: Vec<(Place, &'static str, &'static str, Shape)>) -> Value {
        let mut all = Vec::new();
        for part in path.split('{').skip(1) {
            let name = part.split('}').next().unwrap_or("");
            let (about, schema) =
                self.path_parameters.get(name).cloned().unwrap_or_else(|| ("", json!({ "type": "string" })));
            let mut parameter = json!({ "name": name, "in": "path", "required": true, "schema": schema });
            if !about.is_empty() {
                parameter["description"] = json!(about);
            }
            all.push(parameter);
        }
        for (place, name, about, shape) in others {
            let place = match place {
                Place::Query => "query",
                Place::Header => "header",
            };
            let schema = self.collect(shape);
            all.push(json!({ "name": name, "in": place, "required": false, "description": about, "schema": schema }));
        }
        Value::Array(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_dialects_document_has_each_row_and_resolves_each_reference() {
        for dialect in crate::all() {
            let document = dialect.openapi();
            for endpoint in dialect.endpoints() {
                let method = endpoint.method.as_str().to_ascii_lowercase();
                let entry = &document["paths"][endpoint.path][&method];
                assert!(entry["summary"].is_string(), "{}: {method} {}", dialect.name(), endpoint.path);
                assert!(
                    entry["responses"].as_object().is_some_and(|r| !r.is_empty()),
                    "{method} {}",
                    endpoint.path
                );
            }
            let mut found = Vec::new();
            references(&document, &mut found);
            for reference in found {
                let path = reference.strip_prefix('#').unwrap_or("");
                assert!(document.pointer(path).is_some(), "{}: {reference} leads nowhere", dialect.name());
            }
        }
    }
}
