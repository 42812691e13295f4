//! The document: that each row is there and each reference resolves is tested beside the builder, for all dialects.

use dialects::Dialect as _;
use dialects::native::Native;

#[test]
fn the_document_has_what_clients_need() {
    let document = Native.openapi();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"].as_object().unwrap().len(), 2);
    let operations: usize = document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
    assert_eq!(operations, Native.endpoints().len());
    for endpoint in Native.endpoints() {
        let entry = &document["paths"][endpoint.path][endpoint.method.as_str().to_ascii_lowercase()];
        let at = format!("{} {}", endpoint.method, endpoint.path);
        assert_ne!(entry["summary"], "", "{at}");
        let responses = entry["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
        for status in ["401", "403", "404", "422", "500"] {
            let content = responses[status]["content"].as_object().unwrap();
            assert!(content.contains_key("application/problem+json"), "{at}: {status}");
        }
        for parameter in entry["parameters"].as_array().unwrap() {
            assert!(parameter["description"].as_str().is_some_and(|words| !words.is_empty()), "{at}: {parameter}");
        }
    }
}

#[test]
fn one_operation_in_full() {
    let entry = &Native.openapi()["paths"]["/api/v1/agents/{id}"]["patch"];
    insta::assert_snapshot!(serde_json::to_string_pretty(entry).unwrap(), @"");
}

#[test]
fn bodies_as_described() {
    let document = Native.openapi();
    let of = |name: &str| serde_json::to_string_pretty(&document["components"]["schemas"][name]).unwrap();
    insta::assert_snapshot!([of("AgentUpdate"), of("NumberImport"), of("Attempt"), of("KeyCreated")].join("\n"), @"");
}
