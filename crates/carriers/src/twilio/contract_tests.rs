//! Every request that is built is of `contracts/carriers/twilio.json`: its path, its query, its form.

use serde_json::Value;

use super::wire::{self, Wanted};
use crate::Request;
use crate::account::Access;

fn contract() -> Value {
    serde_json::from_str(include_str!("../../../../contracts/carriers/twilio.json")).unwrap()
}

fn access() -> Access {
    Access {
        base_url: Some("b:".into()),
        account: format!("AC{}", "0".repeat(32)),
        key_id: "SK1".into(),
        key_secret: "s".into(),
        region: "us1".into(),
    }
}

fn named(text: &str) -> Vec<(&str, &str)> {
    text.split('&').filter_map(|pair| pair.split_once('=')).collect()
}

/// Whether a path has the form of a template.
fn fits(path: &str, template: &str) -> bool {
    let (path, template): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
    path.len() == template.len() && path.iter().zip(template).all(|(p, t)| t.starts_with('{') || *p == t)
}

fn hold(name: &str, request: &Request) {
    let contract = contract();
    let operation = contract["operations"].as_array().unwrap().iter().find(|o| o["name"] == name).unwrap();
    assert_eq!(request.method, operation["method"], "{name}");
    let (path, query) = request
        .url
        .strip_prefix("b:")
        .unwrap()
        .split_once('?')
        .unwrap_or_else(|| (request.url.strip_prefix("b:").unwrap(), ""));
    assert!(fits(path, operation["path"].as_str().unwrap()), "{name}: {path}");
    for (field, _) in named(query) {
        assert!(operation["query"].get(field).is_some(), "{name}: {field} is no parameter");
    }
    let body = String::from_utf8(request.body.clone()).unwrap();
    let form = named(&body);
    for (field, value) in &form {
        let kind = &operation["form"][field]["type"];
        assert!(!kind.is_null(), "{name}: {field} is no field");
        match kind.as_str().unwrap() {
            "integer" => assert!(value.parse::<i64>().is_ok(), "{name}: {field}"),
            "boolean" => assert!(["true", "false"].contains(value), "{name}: {field}"),
            _ => {}
        }
    }
    for required in operation["form_required"].as_array().into_iter().flatten() {
        assert!(form.iter().any(|(field, _)| required == *field), "{name}: {required} is missing");
    }
}

#[test]
fn every_request_is_of_the_contract() {
    let (access, number) = (access(), domain::E164::from_u64(14_155_550_100).unwrap());
    let (trunk, sid) = (format!("TK{}", "0".repeat(32)), format!("PN{}", "0".repeat(32)));
    for wanted in
        [Wanted::One(number), Wanted::Any, Wanted::First, Wanted::Page("PageSize=1&Page=1&PageToken=PT1")]
    {
        hold("numbers.list", &wire::numbers(&access, &wanted).unwrap());
    }
    hold("trunks.list", &wire::trunks(&access, None).unwrap());
    hold("trunks.create", &wire::trunk_create(&access, "ours").unwrap());
    hold("trunks.delete", &wire::trunk_delete(&access, &trunk).unwrap());
    hold("origination_urls.list", &wire::originations(&access, &trunk).unwrap());
    hold("origination_urls.create", &wire::origination_create(&access, &trunk, "sip:h:5060").unwrap());
    hold("numbers.attach", &wire::attach(&access, &trunk, &sid).unwrap());
    hold("numbers.detach", &wire::detach(&access, &trunk, &sid).unwrap());
    let list = format!("CL{}", "0".repeat(32));
    hold("trunks.get", &wire::trunk(&access, &trunk).unwrap());
    hold("trunks.update", &wire::trunk_domain(&access, &trunk, "a.pstn.twilio.com").unwrap());
    hold("credential_lists.list", &wire::lists(&access, None).unwrap());
    hold("credential_lists.create", &wire::list_create(&access, "ours").unwrap());
    hold("credential_lists.delete", &wire::list_delete(&access, &list).unwrap());
    hold("credentials.list", &wire::credentials(&access, &list).unwrap());
    hold("credentials.create", &wire::credential_create(&access, &list, ("u", "p")).unwrap());
    hold("credentials.update", &wire::credential_update(&access, &list, (&sid, "p")).unwrap());
    hold("trunk_credential_lists.list", &wire::trunk_lists(&access, &trunk).unwrap());
    hold("trunk_credential_lists.create", &wire::trunk_list_add(&access, &trunk, &list).unwrap());
}

/// What is read of the replies is there in the contract.
#[test]
fn every_field_that_is_read_is_of_the_contract() {
    let contract = contract();
    for (object, fields) in [
        ("number", &["sid", "phone_number", "trunk_sid"][..]),
        ("trunk", &["sid", "account_sid", "friendly_name", "domain_name"]),
        ("credential_list", &["sid", "friendly_name"]),
        ("trunk_credential_list", &["sid"]),
        ("credential", &["sid", "username"]),
        ("origination_url", &["sip_url", "enabled"]),
    ] {
        for field in fields {
            assert!(contract["objects"][object].get(field).is_some(), "{object}.{field}");
        }
    }
    let lists = contract["operations"].as_array().unwrap();
    let reply = |name: &str| &lists.iter().find(|o| o["name"] == name).unwrap()["reply"];
    assert_eq!(reply("numbers.list")["incoming_phone_numbers"]["list_of"], "number");
    assert!(reply("numbers.list").get("next_page_uri").is_some());
    assert!(reply("credential_lists.list").get("next_page_uri").is_some());
    assert!(reply("trunks.list")["meta"]["object"].get("next_page_url").is_some());
}
