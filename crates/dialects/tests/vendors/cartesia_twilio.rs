//! Cartesia's accounts at Twilio: what is read, and each answer held against contracts/seed (the older version) or
//! contracts/full (the newer).
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use dialects::Dialect;
use dialects::cartesia::Cartesia;
use domain::carrier_account::AccountPatch;
use domain::error::{Error, Kind, What};
use domain::ids::OrganizationId;
use domain::provider::{ProviderKind, ProviderPatch, Sealed};
use domain::view::ProviderBrief;
use domain::{E164, Paged, Provider, View};
use serde_json::{Value, json};

use crate::kit::{NUMBER, PROVIDER, Text, body, context, contract, hold, now, number, provider};

const PROVIDERS: &str = "/agents/phone-numbers/providers";
const NEWER: &str = "cartesia-version: 2026-08-14";

fn op(line: &str, body: &Value) -> String {
    format!("{:?}", Text(&format!("{line}\n\n{body}")).decode(&Cartesia).map_err(|error| error.public))
}

#[test]
fn accounts_become_operations() {
    let number = format!("/agents/phone-numbers/pn_{NUMBER}");
    let create =
        json!({"type": "twilio", "account_sid": "AC1", "api_key_sid": "SK1", "api_key_secret": "hush"});
    let account = json!({"type": "twilio", "account_sid": "AC1", "region": "ie1"});
    let import = json!({"label": "a", "number": "+14155550100", "provider": account});
    let named = r#"AccountRef { kind: Twilio, id: "AC1", region: "ie1" }"#;
    let rows = [
        (
            format!("POST {PROVIDERS}"),
            create,
            r#"ProviderCreate(Twilio, ProviderIn { label: Some("Twilio AC1"), inbound: Keep, outbound: Keep, register: Keep, account: Some(AccountIn { id: Some("AC1"), key_id: Some("SK1"), key_secret: Some(Secret(…)), region: Some("us1") }), calls_max: Keep })"#,
        ),
        (
            format!("PATCH {PROVIDERS}/{PROVIDER}"),
            json!({"type": "twilio", "api_key_sid": "SK2", "api_key_secret": "x"}),
            r#"Twilio, ProviderIn { label: None, inbound: Keep, outbound: Keep, register: Keep, account: Some(AccountIn { id: None, key_id: Some("SK2"), key_secret: Some(Secret(…)), region: None }), calls_max: Keep })"#,
        ),
        (
            format!("GET {PROVIDERS}?account_sid=AC1"),
            json!({}),
            r#"TrunkList(TrunkQuery { kind: None, account_id: Some("AC1") }"#,
        ),
        ("POST /agents/phone-numbers".into(), import, &format!("NumberImportInAccount({named}")),
        (format!("PATCH {number}"), json!({"provider": account}), named),
        (format!("DELETE {number}"), json!({}), "NumberDeleteUnassigned("),
        (format!("DELETE {number}\n{NEWER}"), json!({}), "NumberUnlink("),
        ("GET /agents/phone-numbers?type=twilio".into(), json!({}), "provider_kind: Some(Twilio)"),
    ];
    for (line, body, wanted) in rows {
        let op = op(&line, &body);
        assert!(op.starts_with("Ok(") && op.contains(wanted), "{line}: {op}");
    }
}

#[test]
fn halves_of_accounts_are_refused() {
    let rows = [
        (format!("POST {PROVIDERS}"), json!({"type": "twilio", "account_sid": "AC1", "api_key_sid": "SK1"})),
        (format!("PATCH {PROVIDERS}/{PROVIDER}"), json!({"type": "twilio", "api_key_sid": "SK1"})),
        (format!("PATCH {PROVIDERS}/{PROVIDER}"), json!({"type": "twilio", "api_key_secret": "x"})),
        (
            "POST /agents/phone-numbers".into(),
            json!({"label": "a", "number": "+14155550100", "provider": {"type": "cartesia"}}),
        ),
        (
            "POST /agents/phone-numbers".into(),
            json!({"label": "a", "number": "+14155550100", "provider": {"type": "twilio", "account_sid": "AC1", "region": "eu1"}}),
        ),
    ];
    for (line, body) in rows {
        let error = Text(&format!("{line}\n\n{body}")).refusal(&Cartesia);
        assert_eq!(error.status.as_u16(), 400, "{line} {body}");
    }
}

fn account() -> Provider {
    let new = ProviderPatch {
        label: Some("ours".into()),
        account: Some(AccountPatch {
            id: Some("AC1".into()),
            key_id: Some("SK0123456789abcdef".into()),
            key_secret: Some(Sealed(b"sealed".to_vec())),
            region: Some("au1".into()),
        }),
        ..ProviderPatch::default()
    };
    Provider::create(Some(OrganizationId::NONE), provider(), ProviderKind::Twilio, new, now()).unwrap()
}

#[test]
fn accounts_are_written_without_their_secret_and_by_version() {
    let older = json!({
        "type": "twilio", "id": PROVIDER, "account_sid": "AC1", "api_key_sid": "SK01**********cdef", "region": "au1",
    });
    let mut newer = older.clone();
    newer["label"] = "ours".into();
    for (version, wanted) in [("", &older), (NEWER, &newer)] {
        let one = format!("GET {PROVIDERS}/{PROVIDER}\n{version}");
        let reply = Text(&one).encode(&Cartesia, View::Provider(account()));
        hold(&contract("full/cartesia"), ("get", "/agents/phone-numbers/providers/{id}"), &reply, None);
        hold(&Cartesia.openapi(), ("get", "/agents/phone-numbers/providers/{id}"), &reply, None);
        assert_eq!(body(&reply), *wanted);
        let mut view = number();
        view.provider = Some(ProviderBrief::from(account()));
        let page = View::Numbers(Paged { items: vec![view], more: false });
        let reply = Text(&format!("GET /agents/phone-numbers\n{version}")).encode(&Cartesia, page);
        let law = if version.is_empty() { "cartesia-numbers" } else { "full/cartesia" };
        hold(&contract(law), ("get", "/agents/phone-numbers"), &reply, None);
        hold(&Cartesia.openapi(), ("get", "/agents/phone-numbers"), &reply, None);
        assert_eq!(body(&reply)["data"][0]["provider"], *wanted);
    }
}

#[test]
fn what_a_new_key_does_not_reach_is_listed() {
    let number = E164::from_u64(14_155_550_100).unwrap();
    let error = Error::new(Kind::CarrierRefused, What::Provider, "Words.").listing(vec![number]);
    let reply = Cartesia.refuse(&context(&[]), &error);
    assert_eq!(
        (reply.status.as_u16(), &body(&reply)["unreachable_numbers"]),
        (400, &json!(["+14155550100"]))
    );
    let plain = Cartesia.refuse(&context(&[]), &Error::not_found(What::Provider));
    assert!(body(&plain).get("unreachable_numbers").is_none());
}
