//! Closed lists of words: as OpenAPI schemas, and in sentences.

use serde_json::Value;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use domain::call::{CallStatus, Direction, EndedBy};
use domain::e164::NumberType;
use domain::endpoint::EndpointKind;
use domain::error::Kind;
use domain::key::{Mode, Role};
use domain::ledger::Account;
use domain::number::{Environment, Network, Status};
use domain::organization::Kyc;
use domain::provider::ProviderKind;
use domain::rules::{Cause, Rank, TargetState};
use domain::target::Transport;

/// "one of `a`, `b`", for the sentence "`field` must be …".
pub(super) fn one_of<T>(names: &[(T, &'static str)]) -> String {
    let words: Vec<String> = names.iter().map(|(_, name)| format!("`{name}`")).collect();
    format!("one of {}", words.join(", "))
}

/// The names of a closed list.
pub(super) fn names<T>(names: &[(T, &'static str)]) -> Vec<&'static str> {
    names.iter().map(|(_, name)| *name).collect()
}

fn schema(words: &[&'static str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())).build()
}

macro_rules! schemas {
    ($($name:ident: $words:expr;)+) => {$(
        pub(super) fn $name() -> Object {
            schema(&$words)
        }
    )+};
}

schemas! {
    account: names(&Account::NAMES);
    caller_action: CALLER_ACTIONS;
    actor: ACTORS;
    call_status: names(&CallStatus::NAMES);
    code: Kind::ALL.map(|kind| super::error::column(kind).1);
    currency: ["USD"];
    dialect: crate::all().map(crate::Dialect::name);
    endpoint_status: names(&domain::endpoint::EndpointStatus::NAMES);
    delivery_status: DELIVERY_STATES;
    direction: names(&Direction::NAMES);
    endpoint_kind: names(&EndpointKind::NAMES);
    environment: names(&Environment::NAMES);
    kyc: names(&Kyc::NAMES);
    mode: names(&Mode::NAMES);
    network: names(&Network::NAMES);
    number_type: names(&NumberType::NAMES);
    outcome: OUTCOMES;
    posting: domain::ledger::Subject::KINDS;
    provider_kind: names(&ProviderKind::NAMES);
    region: crate::account::REGIONS;
    registration_state: names(&domain::trunk_status::RegistrationState::NAMES);
    role: names(&Role::NAMES);
    status: names(&Status::NAMES);
    stock_status: STOCK_STATES;
    switch: SWITCH;
    target_state: names(&TargetState::NAMES);
    to_form: names(&domain::manner::ToForm::NAMES);
    transport: names(&Transport::NAMES);
    media_encryption: names(&domain::provider::MediaEncryption::NAMES);
    from_form: names(&domain::provider::FromForm::NAMES);
    number_format: names(&domain::provider::NumberFormat::NAMES);
}

/// What a rule does with a caller.
pub(super) const CALLER_ACTIONS: [&str; 3] = ["allow", "refuse", "endpoint"];

fn some_of(words: &[&'static str]) -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new().items(schema(words)).min_items(Some(1)).build()
}

/// Causes that a fallback can be for.
pub(super) fn causes() -> utoipa::openapi::schema::Array {
    some_of(&Cause::names(|_| true))
}

/// Causes after which the next target can be tried.
pub(super) fn failover_causes() -> utoipa::openapi::schema::Array {
    let words = Cause::names(|rank| matches!(rank, Rank::MovesOn | Rank::MayMoveOn));
    utoipa::openapi::schema::ArrayBuilder::new().items(schema(&words)).build()
}

/// How each of several targets is.
pub(super) fn target_states() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new().items(target_state()).build()
}

/// Days of the week.
pub(super) fn days() -> utoipa::openapi::schema::Array {
    some_of(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
}

/// What is to become of a delivery, or became.
pub(super) const DELIVERY_STATES: [&str; 3] = ["waiting", "delivered", "given_up"];

/// The events that a webhook can want.
pub(super) fn wanted_events() -> utoipa::openapi::schema::Array {
    let names: Vec<&'static str> =
        std::iter::once(domain::webhook::EVERY).chain(domain::event::NAMES).collect();
    utoipa::openapi::schema::ArrayBuilder::new().items(schema(&names)).min_items(Some(1)).build()
}

/// Who acts, as told in events.
pub(super) const ACTORS: [&str; 4] = ["operator", "key", "service", "person"];
/// What `explain` comes to.
pub(super) const OUTCOMES: [&str; 2] = ["route", "refuse"];
/// The states of a number in stock.
pub(super) const STOCK_STATES: [&str; 4] = ["available", "sold", "quarantined", "held"];
/// What a number's status can be set to.
pub(super) const SWITCH: [&str; 2] = ["active", "inactive"];

/// Who ended a call, or null.
pub(super) fn ended_by() -> Object {
    let words = names(&EndedBy::NAMES).into_iter().map(Value::from).chain([Value::Null]);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words))
        .build()
}
