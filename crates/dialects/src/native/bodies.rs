//! The bodies of requests, as OpenAPI describes them. They are read field by field, since absent and null differ and an error
//! names its field; a test sends each property of these and refuses all others, so that the two cannot drift apart.
#![expect(dead_code, reason = "these describe requests to OpenAPI and are never built")]

use std::collections::BTreeMap;

use domain::Bag;
use utoipa::ToSchema;

use super::rules::{CallerRule, Failover, Fallback, HealthCheck, ScheduleShape, Share};
use super::words;

/// A new organization.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationCreate {
    /// Its name.
    name: String,
    /// How far the operator knows it.
    #[schema(schema_with = words::kyc, required = false)]
    kyc: String,
    /// How many numbers it may hold at once; null: no limit.
    number_slots: Option<u32>,
    /// Free settings. With a meaning: `imports`, `rate_cents_per_minute`, `max_call_seconds`, `quarantine_days`,
    /// `rental_unpaid`, `refund_hours`, `balance_low_cents`, `number_churn_max`, `outbound_countries`,
    /// `outbound_calls_per_minute`, `outbound_calls_per_day`, `outbound_number_calls_per_minute`, `outbound_number_calls_per_day`.
    #[schema(value_type = Object, required = false)]
    settings: (),
}

/// A change of an organization. All but the name is the operator's.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationUpdate {
    /// Its name.
    #[schema(required = false)]
    name: String,
    /// How far the operator knows it.
    #[schema(schema_with = words::kyc, required = false)]
    kyc: String,
    /// How many numbers it may hold at once; null: no limit.
    number_slots: Option<u32>,
    /// Settings to change; null removes one.
    #[schema(value_type = Object, required = false)]
    settings: (),
}

/// A new API key.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyCreate {
    /// A name for people.
    name: String,
    /// The one API it will work in.
    #[schema(schema_with = words::dialect)]
    dialect: String,
    /// What its holder is.
    #[schema(schema_with = words::role)]
    role: String,
    /// Its only rights; absent or null: all of its role.
    #[schema(min_items = 1)]
    scopes: Option<Vec<String>>,
    /// Live, or test: what it makes is in the sandbox.
    #[schema(schema_with = words::mode, required = false)]
    mode: String,
}

/// A new webhook.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookCreate {
    /// Where events are sent: `https://…` or `http://…`, without a user, a password or a fragment.
    #[schema(max_length = 2048)]
    url: String,
    /// What it wants; `*` is every event.
    #[schema(schema_with = words::wanted_events)]
    events: Vec<String>,
    /// Whether events are sent.
    #[schema(required = false, default = true)]
    active: bool,
}

/// A change of a webhook.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookUpdate {
    /// Where events are sent.
    #[schema(required = false, max_length = 2048)]
    url: String,
    /// What it wants; takes the place of the whole.
    #[schema(schema_with = words::wanted_events, required = false)]
    events: Vec<String>,
    /// Whether events are sent.
    #[schema(required = false)]
    active: bool,
}

/// Money in, or, negative, out.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerPost {
    /// Whole cents, not 0.
    #[schema(minimum = -10_000_000_000_i64, maximum = 10_000_000_000_i64)]
    amount_cents: i64,
    /// Why, for people.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// A new agent.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentCreate {
    /// A name for people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it does.
    #[schema(max_length = 2000)]
    description: Option<String>,
}

/// A change of an agent.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentUpdate {
    /// A name for people.
    #[schema(required = false, min_length = 1, max_length = 100)]
    name: String,
    /// What it does; null clears it.
    #[schema(max_length = 2000)]
    description: Option<String>,
}

/// One SIP target of an endpoint.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetIn {
    /// `sip:[user@]host[:port][;transport=udp|tcp|tls|ws|wss]` or `sips:…`; without a user part, the dialled number is put there.
    uri: String,
    /// Lower is tried first.
    #[schema(default = 10)]
    priority: Option<u16>,
    /// Share among targets of one priority.
    #[schema(default = 10)]
    weight: Option<u16>,
    /// Whether it is used at all.
    #[schema(default = true)]
    enabled: Option<bool>,
}

/// A new endpoint.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointCreate {
    /// A name for people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What stands behind it; absent: `sip`.
    #[schema(schema_with = words::endpoint_kind, required = false)]
    kind: String,
    /// Whether it is in use; calls to the numbers of an inactive one are refused.
    #[schema(schema_with = words::endpoint_status, required = false)]
    status: String,
    /// Its own address: of a webhook by HTTP, of any other kind by SIP (of plain SIP its one target).
    url: Option<String>,
    /// What its platform needs to know, such as `elevenlabs_agent_id`.
    #[schema(required = false, value_type = Object)]
    config: Bag,
    /// The agent that answers here.
    agent_id: Option<String>,
    /// Where in the agent's life; absent: by the key's mode.
    #[schema(schema_with = words::environment, required = false)]
    environment: String,
    /// Whether a number that is given this agent lands here. The first of an agent and environment becomes it.
    #[schema(required = false)]
    is_default: bool,
    /// Where it answers.
    #[schema(required = false, max_items = 16)]
    targets: Vec<TargetIn>,
    /// Addresses and ranges it may place calls from without a password.
    #[schema(required = false, max_items = 256)]
    source_addresses: Vec<String>,
    /// Whether its agent may hand a call to somebody else (REFER).
    #[schema(required = false)]
    allow_transfer: bool,
    /// What answers where its targets ask for a password. Absent keeps what is there, null clears it.
    credentials: Option<CredentialsIn>,
    /// Whether its sound may or must be encrypted; absent in a new one: as its kind wants it.
    #[schema(schema_with = words::media_encryption, required = false)]
    media_encryption: String,
    /// Lines that calls get on their way, by their names; `{call_id}`, `{caller}` and `{number}` are filled in. Absent in a new
    /// one: as its kind wants them. Null: none.
    headers: Option<BTreeMap<String, String>>,
    /// What stands in an INVITE's To; absent in a new one: as its kind wants it.
    #[schema(schema_with = words::to_form, required = false)]
    to_form: String,
    /// How long a target may ring, in seconds; null: 120.
    #[schema(minimum = 5, maximum = 900)]
    ring_seconds: Option<u16>,
    /// After which causes its next target is tried; null: after `no_answer`, `failed` and `too_late`.
    failover: Option<Failover>,
    /// How many seconds a target may ring before the call goes on; null: as long as a call may be set up.
    #[schema(minimum = 1, maximum = 110)]
    answer_seconds: Option<u16>,
    /// Whether its targets are asked whether they are there, so that calls try those last that are not. Null: they are not asked.
    health: Option<HealthCheck>,
    /// Where calls go on that it does not answer, before the number's own fallbacks. Null: nowhere.
    #[schema(max_items = 8)]
    fallback: Option<Vec<Fallback>>,
}

/// A change of an endpoint.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointUpdate {
    /// A name for people.
    #[schema(required = false, min_length = 1, max_length = 100)]
    name: String,
    /// What stands behind it.
    #[schema(schema_with = words::endpoint_kind, required = false)]
    kind: String,
    /// Whether it is in use; calls to the numbers of an inactive one are refused.
    #[schema(schema_with = words::endpoint_status, required = false)]
    status: String,
    /// Its own address: of a webhook by HTTP, of any other kind by SIP (of plain SIP its one target); null: none of its own.
    url: Option<String>,
    /// All that its platform needs to know, such as `elevenlabs_agent_id`.
    #[schema(required = false, value_type = Object)]
    config: Bag,
    /// The agent that answers here; null: none.
    agent_id: Option<String>,
    /// Where in the agent's life.
    #[schema(schema_with = words::environment, required = false)]
    environment: String,
    /// Whether a number that is given this agent lands here.
    #[schema(required = false)]
    is_default: bool,
    /// All targets.
    #[schema(required = false, max_items = 16)]
    targets: Vec<TargetIn>,
    /// All addresses and ranges it may place calls from without a password.
    #[schema(required = false, max_items = 256)]
    source_addresses: Vec<String>,
    /// Whether its agent may hand a call to somebody else (REFER).
    #[schema(required = false)]
    allow_transfer: bool,
    /// What answers where its targets ask for a password. Absent keeps what is there, null clears it.
    credentials: Option<CredentialsIn>,
    /// Whether its sound may or must be encrypted; absent in a new one: as its kind wants it.
    #[schema(schema_with = words::media_encryption, required = false)]
    media_encryption: String,
    /// Lines that calls get on their way, by their names; `{call_id}`, `{caller}` and `{number}` are filled in. Absent in a new
    /// one: as its kind wants them. Null: none.
    headers: Option<BTreeMap<String, String>>,
    /// What stands in an INVITE's To; absent in a new one: as its kind wants it.
    #[schema(schema_with = words::to_form, required = false)]
    to_form: String,
    /// How long a target may ring, in seconds; null: 120.
    #[schema(minimum = 5, maximum = 900)]
    ring_seconds: Option<u16>,
    /// After which causes its next target is tried; null: after `no_answer`, `failed` and `too_late`.
    failover: Option<Failover>,
    /// How many seconds a target may ring before the call goes on; null: as long as a call may be set up.
    #[schema(minimum = 1, maximum = 110)]
    answer_seconds: Option<u16>,
    /// Whether its targets are asked whether they are there, so that calls try those last that are not. Null: they are not asked.
    health: Option<HealthCheck>,
    /// Where calls go on that it does not answer, before the number's own fallbacks. Null: nowhere.
    #[schema(max_items = 8)]
    fallback: Option<Vec<Fallback>>,
}

/// Digest credentials.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialsIn {
    /// The user name.
    #[schema(min_length = 1, max_length = 255)]
    username: String,
    /// The password; kept encrypted and never shown.
    #[schema(min_length = 1, max_length = 255)]
    password: String,
}

/// What may come in from a trunk.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundIn {
    /// All addresses, ranges and host names it may send from; may be empty.
    #[schema(max_items = 256)]
    allowed_addresses: Vec<String>,
    /// The only callers it may bring, in E.164; empty: all. Absent keeps what is there.
    #[schema(required = false, max_items = 1000)]
    allowed_numbers: Vec<String>,
    /// Whether its sound may or must be encrypted. Absent keeps what is there.
    #[schema(schema_with = words::media_encryption, required = false)]
    media_encryption: String,
    /// Absent keeps what is there, null clears it.
    credentials: Option<CredentialsIn>,
    /// Domains whose certificate, shown over TLS, proves a call to be its: `sip.carrier.example` or `sip:carrier.example`. Absent keeps what is there.
    #[schema(required = false, max_items = 64)]
    certificate_names: Vec<String>,
}

/// Where calls out to the phone network go.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutboundIn {
    /// `host` or `host:port`.
    address: String,
    /// How; absent: `udp`.
    #[schema(schema_with = words::transport, required = false)]
    transport: String,
    /// The country that its calls are for. Absent keeps what is there, null clears it.
    #[schema(min_length = 2, max_length = 2)]
    destination_country: Option<String>,
    /// Whether its sound may or must be encrypted. Absent keeps what is there.
    #[schema(schema_with = words::media_encryption, required = false)]
    media_encryption: String,
    /// Absent keeps what is there, null clears it.
    credentials: Option<CredentialsIn>,
    /// How numbers are written in calls to it. Absent keeps what is there.
    #[schema(schema_with = words::number_format, required = false)]
    number_format: String,
    /// What stands before the number: digits, * and +. Absent keeps what is there, null clears it.
    #[schema(max_length = 16, pattern = "^[0-9*+]*$")]
    prefix: Option<String>,
    /// Headers that are added to each call, by name. Absent keeps what is there, null clears it.
    headers: Option<BTreeMap<String, String>>,
    /// What From shows: what the agent wrote, or the number that calls. Absent keeps what is there.
    #[schema(schema_with = words::from_form, required = false)]
    from: String,
    /// Whether it carries calls to emergency numbers. Absent keeps what is there.
    #[schema(required = false)]
    emergency: bool,
    /// How many calls it takes in a second. Absent keeps what is there, null clears it.
    #[schema(minimum = 1, maximum = 100_000)]
    calls_per_second: Option<u32>,
    /// Of the operator's trunks: which is tried first, the lowest; 10 at first. Absent keeps what is there.
    #[schema(required = false)]
    priority: u16,
}

/// Where a trunk registers, so that its carrier sends calls.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterIn {
    /// The carrier's registrar: `host` or `host:port`.
    registrar: String,
    /// How; absent: `udp`.
    #[schema(schema_with = words::transport, required = false)]
    transport: String,
    /// The domain of what is registered, where it is not the registrar's host. Absent keeps what is there, null clears it.
    #[schema(max_length = 253)]
    domain: Option<String>,
    /// The user of what is registered, where it is not the user name. Absent keeps what is there, null clears it.
    #[schema(min_length = 1, max_length = 64)]
    user: Option<String>,
    /// Required at first; absent keeps what is there.
    #[schema(required = false)]
    credentials: CredentialsIn,
    /// How long it is asked to last; 3600 at first. Absent keeps what is there.
    #[schema(required = false, minimum = 60, maximum = 86_400)]
    expires_seconds: u32,
}

/// A new provider.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderCreate {
    /// What kind of way it is.
    #[schema(schema_with = words::provider_kind)]
    kind: String,
    /// A name for people.
    #[schema(min_length = 1, max_length = 100)]
    label: String,
    /// What may come in (trunks only).
    inbound: Option<InboundIn>,
    /// Where calls go out (trunks only).
    outbound: Option<OutboundIn>,
    /// Where it registers, so that its carrier sends calls (trunks only).
    register: Option<RegisterIn>,
    /// The account at Twilio; required for that kind, as are the next two.
    #[schema(required = false, min_length = 1, max_length = 64)]
    account_sid: String,
    /// The id of a key of the account.
    #[schema(required = false, min_length = 1, max_length = 64)]
    api_key_sid: String,
    /// The key's secret; never shown.
    #[schema(required = false, min_length = 1, max_length = 255, write_only)]
    api_key_secret: String,
    /// The region of the key.
    #[schema(schema_with = words::region, required = false)]
    region: String,
    /// How many calls of it may be in progress, in and out, those that ring too; null: no limit.
    #[schema(maximum = 1_000_000)]
    max_concurrent_calls: Option<u32>,
}

/// A change of a provider.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderUpdate {
    /// A name for people.
    #[schema(required = false, min_length = 1, max_length = 100)]
    label: String,
    /// What may come in; null: nothing.
    inbound: Option<InboundIn>,
    /// Where calls go out; null: nowhere.
    outbound: Option<OutboundIn>,
    /// Where it registers; null: nowhere.
    register: Option<RegisterIn>,
    /// The id of another key of the account (Twilio only).
    #[schema(required = false, min_length = 1, max_length = 64)]
    api_key_sid: String,
    /// The key's secret; never shown.
    #[schema(required = false, min_length = 1, max_length = 255, write_only)]
    api_key_secret: String,
    /// The region of the key.
    #[schema(schema_with = words::region, required = false)]
    region: String,
    /// How many calls of it may be in progress, in and out, those that ring too; null: no limit.
    #[schema(maximum = 1_000_000)]
    max_concurrent_calls: Option<u32>,
}

/// What a number can carry.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CapabilitiesIn {
    /// Calls.
    #[schema(required = false, default = true)]
    voice: bool,
    /// Text messages.
    #[schema(required = false, default = false)]
    sms: bool,
    /// Fax.
    #[schema(required = false, default = false)]
    fax: bool,
}

/// A number to be put in stock.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StockCreate {
    /// The number in international form.
    e164: String,
    /// Its country; must fit the number. Absent: by the numbering plan.
    country: Option<String>,
    /// Its type; absent: by the numbering plan.
    #[serde(rename = "type")]
    #[schema(schema_with = words::number_type, required = false)]
    kind: String,
    /// Paid once.
    #[schema(minimum = 0)]
    setup_cost_cents: i64,
    /// Paid per month, the first at purchase.
    #[schema(minimum = 0)]
    monthly_cost_cents: i64,
    /// What it carries.
    capabilities: Option<CapabilitiesIn>,
}

/// What a number in stock carries, as a whole.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CapabilitiesUpdate {
    /// Calls.
    voice: bool,
    /// Text messages.
    sms: bool,
    /// Fax.
    fax: bool,
}

/// A change of a number in stock.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StockUpdate {
    /// Paid once.
    #[schema(required = false, minimum = 0)]
    setup_cost_cents: i64,
    /// Paid per month.
    #[schema(required = false, minimum = 0)]
    monthly_cost_cents: i64,
    /// What it carries.
    #[schema(required = false)]
    capabilities: CapabilitiesUpdate,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(schema_with = words::number_type, required = false)]
    kind: String,
}

/// A number to buy, by `stock_id`, or to bring in on a trunk, by `e164` and `provider_id`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberCreate {
    /// The number of the stock to buy.
    #[schema(format = "uuid")]
    stock_id: Option<String>,
    /// The number to bring in, in international form.
    e164: Option<String>,
    /// The trunk to bring it in on.
    #[schema(format = "uuid")]
    provider_id: Option<String>,
    /// Whether another carrier still has the number to bring in: it is `port_in` until the operator activates it.
    port_in: Option<bool>,
    /// Where its calls go.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// Who answers them.
    agent_id: Option<String>,
    /// A name for people.
    #[schema(min_length = 1, max_length = 200)]
    label: Option<String>,
    /// In which environment; absent: by the key's mode.
    #[schema(schema_with = words::environment, required = false)]
    environment: String,
}

/// A change of a number.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberUpdate {
    /// Where its calls go; null detaches.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// Who answers them; null clears agent and endpoint.
    agent_id: Option<String>,
    /// The provider that brings its calls from now on: another of the same kind.
    #[schema(format = "uuid", required = false)]
    provider_id: String,
    /// In which environment.
    #[schema(schema_with = words::environment, required = false)]
    environment: String,
    /// A name for people; null clears it.
    #[schema(min_length = 1, max_length = 200)]
    label: Option<String>,
    /// Whether calls may come in.
    #[schema(required = false)]
    allow_inbound: bool,
    /// Whether calls may go out.
    #[schema(required = false)]
    allow_outbound: bool,
    /// On or off.
    #[schema(schema_with = words::switch, required = false)]
    status: String,
    /// Replaces the service desk's settings.
    #[schema(value_type = Object, required = false)]
    psa_settings: (),
    /// Replaces the agent's settings.
    #[schema(value_type = Object, required = false)]
    agent_settings: (),
    /// By who calls; the first rule that fits counts. Null: none.
    #[schema(max_items = 200)]
    caller_rules: Option<Vec<CallerRule>>,
    /// When it takes calls; null: as its organization's settings say, else always.
    schedule: Option<ScheduleShape>,
    /// Places that share its calls, in place of `endpoint_id`; a caller stays with its place. Null: none.
    #[schema(min_items = 1, max_items = 16)]
    split: Option<Vec<Share>>,
    /// Where calls go on that its place does not answer, in order. Null: nowhere.
    #[schema(max_items = 8)]
    fallback: Option<Vec<Fallback>>,
    /// How many calls of it may be in progress, in and out, those that ring too; null: no limit.
    #[schema(maximum = 1_000_000)]
    max_concurrent_calls: Option<u32>,
    /// How many calls out it may begin in a minute; null: as its organization's settings say, whose limit holds too.
    #[schema(maximum = 10_000_000)]
    outbound_calls_per_minute: Option<u32>,
    /// How many calls out it may begin in a day by UTC, likewise.
    #[schema(maximum = 10_000_000)]
    outbound_calls_per_day: Option<u32>,
}

/// A row of an import; what it leaves out comes from around it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportRow {
    /// The number in international form.
    e164: String,
    /// A name for people.
    label: Option<String>,
    /// Where its calls go.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// Who answers them.
    agent_id: Option<String>,
    /// In which environment.
    #[schema(schema_with = words::environment, required = false)]
    environment: String,
    /// The trunk; one for all rows.
    #[schema(format = "uuid")]
    provider_id: Option<String>,
}

/// Numbers to bring in on a trunk, with what all of them are to be given.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberImport {
    /// The trunk.
    #[schema(format = "uuid")]
    provider_id: Option<String>,
    /// Where their calls go.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// Who answers them.
    agent_id: Option<String>,
    /// A name for people.
    label: Option<String>,
    /// In which environment.
    #[schema(schema_with = words::environment, required = false)]
    environment: String,
    /// The numbers: texts, or rows.
    #[schema(schema_with = super::openapi::rows)]
    numbers: (),
}

/// Nothing.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}
