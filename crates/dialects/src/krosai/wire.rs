//! The shapes on KrosAI's wire, as contracts/seed/krosai.json has them. The `…In` shapes describe bodies for OpenAPI; bodies
//! are read field by field, since absent, null and two spellings must be told apart.

use domain::money::Micros;
use domain::number::Status;
use domain::stock::Capabilities;
use domain::target::bracketed;
use domain::view::{NumberView, SipAccess};
use domain::{Number, Stock};
use serde::Serialize;
use utoipa::ToSchema;

use crate::json::time;

/// A number held by the organization.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumber)]
pub(super) struct NumberOut {
    #[schema(format = "uuid")]
    id: String,
    e164: String,
    country: String,
    r#type: TypeOut,
    status: StatusOut,
    #[schema(format = "uuid", required = true)]
    endpoint_id: Option<String>,
    allow_inbound: bool,
    allow_outbound: bool,
    sip_uri: String,
    #[schema(format = "uuid")]
    organization_id: String,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
}

/// The same with what only the holder may see.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumberDetail)]
pub(super) struct NumberDetailOut {
    #[serde(flatten)]
    number: NumberOut,
    sip_credentials: SipCredentialsOut,
    inventory: InventoryOut,
}

/// How a platform registers calls with the number.
#[derive(Serialize, ToSchema)]
#[schema(as = SipCredentials)]
#[expect(clippy::struct_field_names, reason = "the contract's names")]
pub(super) struct SipCredentialsOut {
    sip_domain: String,
    sip_port: u16,
    sip_username: String,
    /// Only for owners and admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sip_password: Option<String>,
}

/// What a number costs and carries.
#[derive(Serialize, ToSchema)]
#[schema(as = Inventory)]
pub(super) struct InventoryOut {
    monthly_cost_cents: i64,
    setup_cost_cents: i64,
    capabilities: CapabilitiesOut,
}

/// What a number carries.
#[derive(Serialize, ToSchema)]
#[schema(as = Capabilities)]
pub(super) struct CapabilitiesOut {
    voice: bool,
    sms: bool,
    fax: bool,
}

/// A number on sale. It has no holder yet, so it names no organization and no SIP address; it is `inactive`, since no call
/// goes anywhere, and its flags are those it will have once bought.
#[derive(Serialize, ToSchema)]
#[schema(as = AvailablePhoneNumber)]
pub(super) struct AvailableOut {
    /// The `inventory_id` to buy it by.
    #[schema(format = "uuid")]
    id: String,
    e164: String,
    country: String,
    r#type: TypeOut,
    status: StatusOut,
    #[schema(format = "uuid", required = true)]
    endpoint_id: Option<String>,
    allow_inbound: bool,
    allow_outbound: bool,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
    inventory: InventoryOut,
}

/// The types of numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumberType)]
#[serde(rename_all = "snake_case")]
pub(super) enum TypeOut {
    Local,
    Mobile,
    TollFree,
}

/// The states of numbers. Richer states of ours read as the nearest of these.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumberStatus)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusOut {
    Active,
    Inactive,
    Pending,
}

/// A soft release.
#[derive(Serialize, ToSchema)]
#[schema(as = Released)]
pub(super) struct ReleasedOut {
    pub(super) success: bool,
    pub(super) action: &'static str,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorOut {
    pub(super) error: String,
    pub(super) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) details: Option<DetailsOut>,
    /// With a 429: in how many seconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) retry_after: Option<u64>,
}

/// What is known of a refusal besides its code.
#[derive(Serialize, ToSchema)]
#[schema(as = ErrorDetails)]
pub(super) struct DetailsOut {
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) field: Option<&'static str>,
    /// What to quote to the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uuid")]
    pub(super) request_id: Option<String>,
}

/// A purchase: `inventory_id` alone, or `e164` with `country` and `type`. `inventory_id` decides where both are sent. Each
/// field is also read in its other spelling (`endpoint_id`, `inventoryId`).
#[derive(ToSchema)]
#[schema(as = PhoneNumberPurchase)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct PurchaseIn {
    #[schema(format = "uuid", nullable = false)]
    inventory_id: Option<String>,
    #[schema(nullable = false)]
    e164: Option<String>,
    #[schema(nullable = false)]
    country: Option<String>,
    #[schema(nullable = false)]
    r#type: Option<TypeOut>,
    #[schema(rename = "endpointId", format = "uuid", nullable = false)]
    endpoint_id: Option<String>,
    /// Setup and first month together; refused where the price is another.
    #[schema(rename = "totalCostCents", nullable = false)]
    total_cost_cents: Option<i64>,
    #[schema(rename = "setupCostCents", nullable = false)]
    setup_cost_cents: Option<i64>,
    #[schema(rename = "monthlyCostCents", nullable = false)]
    monthly_cost_cents: Option<i64>,
}

/// A change: what is absent stays. Each field is also read in its other spelling (`endpoint_id`).
#[derive(ToSchema)]
#[schema(as = PhoneNumberUpdate)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct NumberPatchIn {
    /// Null detaches.
    #[schema(rename = "endpointId", format = "uuid")]
    endpoint_id: Option<String>,
    #[schema(rename = "allowInbound", nullable = false)]
    allow_inbound: Option<bool>,
    #[schema(rename = "allowOutbound", nullable = false)]
    allow_outbound: Option<bool>,
    #[schema(nullable = false)]
    status: Option<SwitchIn>,
}

/// What a holder can set a status to.
#[derive(ToSchema)]
#[schema(as = PhoneNumberSwitch, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) enum SwitchIn {
    Active,
    Inactive,
}

impl From<domain::e164::NumberType> for TypeOut {
    fn from(kind: domain::e164::NumberType) -> Self {
        match kind {
            domain::e164::NumberType::Local => Self::Local,
            domain::e164::NumberType::Mobile => Self::Mobile,
            domain::e164::NumberType::TollFree => Self::TollFree,
        }
    }
}

impl From<Status> for StatusOut {
    fn from(status: Status) -> Self {
        match status {
            // A number on its way out still takes calls.
            Status::Active | Status::PortOut => Self::Active,
            Status::Pending | Status::PortIn => Self::Pending,
            Status::Inactive | Status::Released | Status::Deleted => Self::Inactive,
        }
    }
}

impl InventoryOut {
    fn new(setup: Micros, monthly: Micros, capabilities: Capabilities) -> Self {
        let Capabilities { voice, sms, fax } = capabilities;
        Self {
            monthly_cost_cents: monthly.cents_floor(),
            setup_cost_cents: setup.cents_floor(),
            capabilities: CapabilitiesOut { voice, sms, fax },
        }
    }
}

impl NumberOut {
    pub(super) fn new(view: &NumberView) -> Self {
        let number = &view.number;
        Self {
            id: number.id.to_string(),
            e164: number.e164.to_string(),
            country: number.country.as_str().to_owned(),
            r#type: number.kind.into(),
            status: number.status.into(),
            endpoint_id: number.endpoint_id.map(|id| id.to_string()),
            allow_inbound: number.allow_inbound,
            allow_outbound: number.allow_outbound,
            sip_uri: sip_uri(number, &view.sip),
            organization_id: number.organization_id.to_string(),
            created_at: time(number.created_at),
            updated_at: time(number.updated_at),
        }
    }
}

impl NumberDetailOut {
    pub(super) fn new(view: NumberView) -> Self {
        let out = NumberOut::new(&view);
        let NumberView { number, sip, agent: _, provider: _, minutes_this_month: _ } = view;
        let SipAccess { domain, port, username, password } = sip;
        Self {
            number: out,
            sip_credentials: SipCredentialsOut {
                sip_domain: domain,
                sip_port: port,
                sip_username: username,
                sip_password: password,
            },
            inventory: InventoryOut::new(number.setup_cost, number.monthly_cost, number.capabilities),
        }
    }
}

impl AvailableOut {
    pub(super) fn new(stock: &Stock) -> Self {
        let Stock { id, e164, country, kind, setup_cost, monthly_cost, capabilities, .. } = stock;
        Self {
            id: id.to_string(),
            e164: e164.to_string(),
            country: country.as_str().to_owned(),
            r#type: (*kind).into(),
            status: StatusOut::Inactive,
            endpoint_id: None,
            allow_inbound: true,
            allow_outbound: false,
            created_at: time(stock.created_at),
            updated_at: time(stock.updated_at),
            inventory: InventoryOut::new(*setup_cost, *monthly_cost, *capabilities),
        }
    }
}

/// Where a call to the number is sent by SIP: the number at our public address.
fn sip_uri(number: &Number, sip: &SipAccess) -> String {
    let SipAccess { domain, port, username: _, password: _ } = sip;
    format!("sip:{}@{}:{port}", number.e164, bracketed(domain))
}
