//! Every operation of the contracts stands in the table of its dialect, and nothing else does.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;

use serde_json::Value;

/// Contract, dialect, and what stands before the contract's paths.
const CONTRACTS: &[(&str, &str, &str)] = &[
    ("seed/krosai", "krosai", "/v1"),
    ("seed/cartesia-numbers", "cartesia", ""),
    ("seed/cartesia-agent-numbers", "cartesia", ""),
    ("seed/neo", "neo", ""),
    ("seed/polyai", "polyai", ""),
    ("full/polyai", "polyai", ""),
    ("full/cartesia", "cartesia", ""),
];

/// Operations of the contracts that a dialect leaves out; PARITY.md says why.
const LEFT_OUT: &[(&str, &str)] = &[];

/// Operations of a dialect that stand in no contract here: ours, or an older spelling.
const BEYOND: &[(&str, &str)] = &[
    // KrosAI publishes no document of these; its reference pages name them.
    ("krosai", "GET /v1/endpoints"),
    ("krosai", "POST /v1/endpoints"),
    ("krosai", "GET /v1/endpoints/{endpoint_id}"),
    ("krosai", "PATCH /v1/endpoints/{endpoint_id}"),
    ("krosai", "DELETE /v1/endpoints/{endpoint_id}"),
    ("krosai", "POST /v1/outbound-calls"),
    ("krosai", "GET /v1/calls"),
    ("krosai", "GET /v1/calls/{call_id}"),
    ("krosai", "DELETE /v1/calls/{call_id}"),
    ("krosai", "GET /v1/api-keys"),
    ("krosai", "POST /v1/api-keys"),
    ("krosai", "GET /v1/api-keys/{key_id}"),
    ("krosai", "DELETE /v1/api-keys/{key_id}"),
    ("krosai", "GET /v1/webhooks"),
    ("krosai", "POST /v1/webhooks"),
    ("krosai", "GET /v1/webhooks/{webhook_id}"),
    ("krosai", "PATCH /v1/webhooks/{webhook_id}"),
    ("krosai", "DELETE /v1/webhooks/{webhook_id}"),
    ("krosai", "GET /v1/webhooks/{webhook_id}/deliveries"),
    ("krosai", "POST /v1/webhooks/{webhook_id}/deliveries/{event_id}/retry"),
    // Named on the vendor's pages, in no document here.
    ("neo", "POST /public-api/api-keys"),
    ("neo", "POST /public-api/api-keys/{key_id}/rotate"),
    ("neo", "GET /public-api/openapi.json"),
    ("polyai", "GET /v1/agents"),
    ("polyai", "POST /v1/agents"),
    ("polyai", "POST /v1/agents/{agentId}/telephony/connectors"),
];

fn of(list: &[(&str, &str)], dialect: &str) -> BTreeSet<String> {
    list.iter().filter(|(name, _)| *name == dialect).map(|(_, operation)| (*operation).to_owned()).collect()
}

/// Whether anybody may ask it.
fn is_open(dialect: &dyn dialects::Dialect, endpoint: &dialects::Endpoint) -> bool {
    let (request_id, headers) = (uuid::Uuid::nil(), http::HeaderMap::new());
    dialect.open(endpoint, &dialects::Context { request_id, headers, limits: None }).is_some()
}

fn operations(contract: &str, prefix: &str) -> BTreeSet<String> {
    let path = format!("{}/../../contracts/{contract}.json", env!("CARGO_MANIFEST_DIR"));
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let rows = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        methods.map(move |method| format!("{} {prefix}{path}", method.to_ascii_uppercase()))
    });
    rows.collect()
}

#[test]
fn tables_and_contracts_agree() {
    for dialect in dialects::all().into_iter().filter(|dialect| dialect.name() != "native") {
        let mine = CONTRACTS.iter().filter(|(_, name, _)| *name == dialect.name());
        let mut contract: BTreeSet<String> =
            mine.flat_map(|(file, _, prefix)| operations(file, prefix)).collect();
        for operation in of(LEFT_OUT, dialect.name()) {
            assert!(contract.remove(&operation), "{operation} stands in no contract");
        }
        for operation in of(BEYOND, dialect.name()) {
            assert!(contract.insert(operation.clone()), "{operation} stands in a contract");
        }
        let table: BTreeSet<String> =
            dialect.endpoints().iter().map(|e| format!("{} {}", e.method, e.path)).collect();
        assert!(!contract.is_empty());
        assert_eq!(table, contract, "{}", dialect.name());
    }
}

#[test]
fn every_file_of_the_contracts_is_covered() {
    let mut files = BTreeSet::new();
    for part in ["seed", "full"] {
        let folder = format!("{}/../../contracts/{part}", env!("CARGO_MANIFEST_DIR"));
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.extend(paths.map(|path| format!("{part}/{}", path.file_stem().unwrap().to_string_lossy())));
    }
    let known: BTreeSet<String> = CONTRACTS.iter().map(|(file, _, _)| (*file).to_owned()).collect();
    assert_eq!(files, known);
}

#[test]
fn each_row_belongs_to_its_dialect_and_has_a_name_and_a_right() {
    for dialect in dialects::all() {
        let mut verbs = BTreeSet::new();
        for endpoint in dialect.endpoints() {
            assert!(verbs.insert(endpoint.verb), "{}: {} twice", dialect.name(), endpoint.verb);
            let claims =
                dialects::all().into_iter().filter_map(|d| d.claims(endpoint.path).map(|n| (n, d.name())));
            assert_eq!(claims.max_by_key(|(depth, _)| *depth).map(|(_, name)| name), Some(dialect.name()));
            assert!(
                endpoint.scope.is_some() || dialect.name() == "native" || is_open(dialect, endpoint),
                "{} {}",
                dialect.name(),
                endpoint.path
            );
        }
    }
}

#[test]
fn each_document_has_each_row_with_its_parameters_and_statuses() {
    for dialect in dialects::all() {
        let document = dialect.openapi();
        for endpoint in dialect.endpoints() {
            let name = format!("{}: {} {}", dialect.name(), endpoint.method, endpoint.path);
            let entry = &document["paths"][endpoint.path][endpoint.method.as_str().to_ascii_lowercase()];
            let parameters = entry["parameters"].as_array().unwrap_or_else(|| panic!("{name}"));
            for part in endpoint.path.split('{').skip(1) {
                let parameter = part.split('}').next().unwrap();
                assert!(parameters.iter().any(|p| p["name"] == parameter && p["in"] == "path"), "{name}");
            }
            let statuses = entry["responses"].as_object().unwrap();
            assert!(statuses.keys().any(|status| status.starts_with('2')), "{name}");
            // What is open to all, its document says so: nobody is refused.
            assert_eq!(entry["security"] == serde_json::json!([]), is_open(dialect, endpoint), "{name}");
            for refusal in ["401", "403", "429", "500"] {
                if is_open(dialect, endpoint) {
                    continue;
                }
                assert!(statuses.contains_key(refusal) || dialect.name() == "native", "{name} {refusal}");
            }
        }
    }
}
