//! An OpenAPI document as plain facts, so that two of them can be compared: what an operation takes and answers, by name, type,
//! nullability, enum and whether it is required. Descriptions, formats, bounds and the names of schemas are no facts here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Facts of one operation: a place such as `200 $.data[].id`, and what is there.
pub(crate) type Facts = BTreeMap<String, Fact>;

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    types: String,
    null: bool,
    words: Option<String>,
    required: bool,
    /// An object of which no field is named: it holds anything.
    open: bool,
}

/// What a schema allows, with references resolved and its alternatives laid over each other.
#[derive(Clone, Debug, Default)]
struct Node {
    types: BTreeSet<String>,
    words: Option<BTreeSet<String>>,
    fields: BTreeMap<String, (Self, bool)>,
    items: Option<Box<Self>>,
    values: Option<Box<Self>>,
}

/// The operations of a document, as `METHOD /path` with `prefix` before each path.
pub(crate) fn operations(document: &Value, prefix: &str) -> BTreeMap<String, Facts> {
    let mut all = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in
            item.as_object().into_iter().flatten().filter(|(key, _)| *key != "parameters")
        {
            let shared = item["parameters"].as_array().into_iter().flatten();
            let parameters = shared.chain(operation["parameters"].as_array().into_iter().flatten());
            let name = format!("{} {prefix}{path}", method.to_ascii_uppercase());
            all.insert(name, facts(document, operation, parameters));
        }
    }
    all
}

fn facts<'a>(document: &Value, operation: &Value, parameters: impl Iterator<Item = &'a Value>) -> Facts {
    let mut facts = Facts::new();
    for parameter in parameters {
        let parameter = resolved(document, parameter);
        let place = parameter["in"].as_str().unwrap_or_default();
        let name = parameter["name"].as_str().unwrap_or_default();
        let name = if place == "header" { name.to_ascii_lowercase() } else { name.to_owned() };
        let node = node(document, &parameter["schema"], &mut Vec::new());
        let required = parameter["required"].as_bool().unwrap_or(false);
        facts.insert(format!("{place} {name}"), node.fact(required));
        node.tell(&format!("{place} {name}"), &mut facts);
    }
    if let Some(body) = operation.get("requestBody").map(|body| resolved(document, body)) {
        let node = node(document, &content(body), &mut Vec::new());
        facts.insert("body".into(), node.fact(body["required"].as_bool().unwrap_or(false)));
        node.tell("body $", &mut facts);
    }
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let schema = content(resolved(document, answer));
        let node = node(document, &schema, &mut Vec::new());
        let fact = node.fact(false);
        let types = if schema.is_null() { "no body".to_owned() } else { fact.types.clone() };
        facts.insert(status.clone(), Fact { types, open: schema.is_null() || fact.open, ..fact });
        node.tell(&format!("{status} $"), &mut facts);
    }
    facts
}

/// The schema of what is sent as JSON: a problem document counts, other media do not.
fn content(holder: &Value) -> Value {
    let json =
        |(media, content): (&String, &Value)| media.contains("json").then(|| content["schema"].clone());
    holder["content"].as_object().into_iter().flatten().find_map(json).unwrap_or_default()
}

fn resolved<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
        value = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
    }
    value
}

/// `seen` holds the references that led here: a schema that holds itself is told once.
fn node(document: &Value, schema: &Value, seen: &mut Vec<String>) -> Node {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        if seen.iter().any(|known| known == reference) {
            return Node::default();
        }
        seen.push(reference.to_owned());
        let found = node(document, resolved(document, schema), seen);
        seen.pop();
        // OpenAPI 3.0 says it beside the reference.
        let null = schema.get("nullable").and_then(Value::as_bool) == Some(true);
        return if null { found.or_null() } else { found };
    }
    let Value::Object(schema) = schema else { return Node::default() };
    let mut whole = own(document, schema, seen);
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        let part = node(document, part, seen);
        whole = whole.and(part);
    }
    for choice in ["oneOf", "anyOf"] {
        let Some(parts) = schema.get(choice).and_then(Value::as_array) else { continue };
        let parts = parts.iter().map(|part| node(document, part, seen));
        if let Some(either) = parts.reduce(Node::or) {
            whole = whole.and(either);
        }
    }
    whole
}

fn own(document: &Value, schema: &Map<String, Value>, seen: &mut Vec<String>) -> Node {
    let mut node_of = |part: &Value| node(document, part, seen);
    let mut types: BTreeSet<String> = match schema.get("type") {
        Some(Value::String(one)) => [one.clone()].into(),
        Some(Value::Array(many)) => many.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect(),
        _ => BTreeSet::new(),
    };
    if schema.get("nullable").and_then(Value::as_bool) == Some(true) {
        types.insert("null".into());
    }
    let listed = schema.get("enum").and_then(Value::as_array).cloned();
    let words = listed.or_else(|| schema.get("const").map(|word| vec![word.clone()])).map(|words| {
        if types.is_empty() {
            types.extend(words.iter().map(|word| type_of(word).to_owned()));
        }
        words.iter().filter(|word| !word.is_null()).map(Value::to_string).collect()
    });
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let fields: BTreeMap<_, _> = fields
        .map(|(name, field)| (name.clone(), (node_of(field), required.contains(&name.as_str()))))
        .collect();
    if types.is_empty() && !fields.is_empty() {
        types.insert("object".into());
    }
    let items = schema.get("items").map(|items| Box::new(node_of(items)));
    let values = schema
        .get("additionalProperties")
        .filter(|more| more.as_object().is_some_and(|more| !more.is_empty()));
    let values = values.map(|values| Box::new(node_of(values)));
    Node { types, words, fields, items, values }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Node {
    /// Both hold.
    fn and(mut self, other: Self) -> Self {
        self.types.extend(other.types);
        self.words = self.words.or(other.words);
        for (name, (field, required)) in other.fields {
            let merged = match self.fields.remove(&name) {
                None => (field, required),
                Some((mine, was)) => (mine.and(field), was || required),
            };
            self.fields.insert(name, merged);
        }
        self.items = self.items.or(other.items);
        self.values = self.values.or(other.values);
        self
    }

    /// One of them holds. A field is required where each form that has fields requires it.
    fn or(mut self, other: Self) -> Self {
        let forms = [&self, &other].map(|node| node.types.contains("object"));
        let words = match (self.words.take(), other.words.clone()) {
            (Some(mut mine), Some(theirs)) => {
                mine.extend(theirs);
                Some(mine)
            }
            // Null beside a list of words takes no word away.
            (Some(words), None) if other.is_null() => Some(words),
            (None, Some(words)) if self.is_null() => Some(words),
            _ => None,
        };
        let mut fields = BTreeMap::new();
        let names: BTreeSet<String> = self.fields.keys().chain(other.fields.keys()).cloned().collect();
        for name in names {
            let (mine, theirs) = (self.fields.remove(&name), other.fields.get(&name).cloned());
            let merged = match (mine, theirs) {
                (Some((a, x)), Some((b, y))) => (a.or(b), x && y),
                (Some((one, required)), None) => (one, required && !forms[1]),
                (None, Some((one, required))) => (one, required && !forms[0]),
                (None, None) => continue,
            };
            fields.insert(name, merged);
        }
        self.types.extend(other.types);
        let items = match (self.items, other.items) {
            (Some(mine), Some(theirs)) => Some(Box::new(mine.or(*theirs))),
            (one, other) => one.or(other),
        };
        Self { types: self.types, words, fields, items, values: self.values.or(other.values) }
    }

    fn or_null(mut self) -> Self {
        self.types.insert("null".to_owned());
        self
    }

    fn is_null(&self) -> bool {
        self.types.len() == 1 && self.types.contains("null")
    }

    fn fact(&self, required: bool) -> Fact {
        let types: Vec<&str> = self.types.iter().map(String::as_str).filter(|t| *t != "null").collect();
        Fact {
            types: if types.is_empty() { "any".to_owned() } else { types.join("|") },
            null: self.types.contains("null"),
            words: self.words.as_ref().map(|words| words.iter().cloned().collect::<Vec<_>>().join(" ")),
            required,
            open: self.fields.is_empty() && self.values.is_none() && self.types.contains("object"),
        }
    }

    /// Tells each part below a place.
    fn tell(&self, place: &str, facts: &mut Facts) {
        for (name, (field, required)) in &self.fields {
            let place = format!("{place}.{name}");
            facts.insert(place.clone(), field.fact(*required));
            field.tell(&place, facts);
        }
        for (part, ending) in [(&self.items, "[]"), (&self.values, ".*")] {
            if let Some(part) = part {
                let place = format!("{place}{ending}");
                facts.insert(place.clone(), part.fact(false));
                part.tell(&place, facts);
            }
        }
    }
}

/// Where two operations differ, one line for each aspect: `place type: ours …, contract …`. What is below a place that one side
/// lacks is not told: the place says it. Nor is what we name within an object that the contract leaves open.
pub(crate) fn differences(ours: &Facts, contract: &Facts) -> Vec<String> {
    let places: BTreeSet<&String> = ours.keys().chain(contract.keys()).collect();
    let above = |place: &str| {
        let ends =
            place.match_indices(['.', '[', ' ']).map(|(at, _)| place[..at].trim_end_matches(" $").to_owned());
        ends.filter(|above| ours.contains_key(above) || contract.contains_key(above)).collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for place in places {
        let above = above(place);
        match (ours.get(place), contract.get(place)) {
            (Some(mine), Some(theirs)) => mine.differs(theirs, place, &mut lines),
            (Some(_), None) => {
                let is_free = |above: &String| contract.get(above).is_none_or(|fact| fact.open);
                if !above.iter().any(is_free) {
                    lines.push(format!("{place}: contract absent"));
                }
            }
            (None, _) => {
                if !above.iter().any(|above| !ours.contains_key(above)) {
                    lines.push(format!("{place}: ours absent"));
                }
            }
        }
    }
    lines
}

impl Fact {
    fn differs(&self, contract: &Self, place: &str, lines: &mut Vec<String>) {
        let mut tell = |aspect: &str, ours: &str, theirs: &str| {
            if ours != theirs {
                lines.push(format!("{place} {aspect}: ours {ours}, contract {theirs}"));
            }
        };
        let yes = |value: bool| if value { "yes" } else { "no" };
        tell("type", &self.types, &contract.types);
        tell("null", yes(self.null), yes(contract.null));
        tell("required", yes(self.required), yes(contract.required));
        let words = |words: &Option<String>| words.clone().unwrap_or_else(|| "any".to_owned());
        tell("words", &words(&self.words), &words(&contract.words));
    }
}
