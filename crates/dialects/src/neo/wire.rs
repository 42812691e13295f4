//! The shapes on Neo's wire, as contracts/seed/neo.json has them.

use std::collections::BTreeMap;

use domain::Bag;
use domain::number::Status;
use domain::view::NumberView;
use serde::Serialize;
use utoipa::ToSchema;

use super::country::CountryOut;
use crate::Context;
use crate::json::time;

/// The numbers in their envelope.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumbersResponse)]
pub(super) struct NumbersOut {
    pub(super) data: Vec<NumberOut>,
    pub(super) meta: MetaOut,
}

/// A number.
#[derive(Serialize, ToSchema)]
#[schema(as = PublicPhoneNumber)]
pub(super) struct NumberOut {
    id: u64,
    number: String,
    /// ISO code, dial prefix, regulatory bundle, address.
    #[schema(value_type = Vec<Option<String>>, min_items = 4, max_items = 4)]
    country: CountryOut,
    status: StatusOut,
    /// Whole minutes since the month began (UTC); every begun minute of a call counts.
    minutes_used_this_month: u64,
    #[schema(value_type = Object, additional_properties = true)]
    psa_settings: Bag,
    #[schema(value_type = Object, additional_properties = true)]
    agent_settings: Bag,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
}

/// Whether calls are taken.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = PhoneNumberStatus)]
pub(super) enum StatusOut {
    Active,
    Inactive,
}

/// What belongs to the answer and not to the data.
#[derive(Serialize, ToSchema)]
#[schema(as = SuccessMeta)]
pub(super) struct MetaOut {
    #[schema(format = "uuid")]
    pub(super) request_id: String,
    /// Always there; nothing is measured yet.
    pub(super) timings_ms: BTreeMap<&'static str, f64>,
    /// Only beside lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) pagination: Option<PaginationOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) warnings: Vec<String>,
}

/// The list is whole: there is no next page.
#[derive(Serialize, ToSchema)]
#[schema(as = Pagination)]
pub(super) struct PaginationOut {
    #[schema(required = true)]
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = ErrorEnvelope)]
pub(super) struct ErrorEnvelopeOut {
    pub(super) error: ErrorOut,
    pub(super) meta: ErrorMetaOut,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorOut {
    pub(super) code: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) details: Option<DetailsOut>,
}

/// Where it is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = ErrorDetails)]
pub(super) struct DetailsOut {
    pub(super) field: &'static str,
}

/// What to quote to the operator.
#[derive(Serialize, ToSchema)]
#[schema(as = ErrorMeta)]
pub(super) struct ErrorMetaOut {
    #[schema(format = "uuid")]
    pub(super) request_id: String,
}

impl MetaOut {
    pub(super) fn new(context: &Context, pagination: Option<PaginationOut>) -> Self {
        let request_id = context.request_id.to_string();
        Self { request_id, timings_ms: BTreeMap::new(), pagination, warnings: Vec::new() }
    }
}

impl From<Status> for StatusOut {
    fn from(status: Status) -> Self {
        match status {
            // A number on its way out still takes calls.
            Status::Active | Status::PortOut => Self::Active,
            Status::Pending | Status::Inactive | Status::Released | Status::PortIn | Status::Deleted => {
                Self::Inactive
            }
        }
    }
}

impl From<NumberView> for NumberOut {
    fn from(view: NumberView) -> Self {
        let NumberView { number, agent: _, provider: _, minutes_this_month, sip: _ } = view;
        Self {
            id: number.alias,
            number: number.e164.to_string(),
            country: CountryOut::of(number.country, number.e164),
            status: number.status.into(),
            minutes_used_this_month: minutes_this_month,
            psa_settings: number.psa_settings,
            agent_settings: number.agent_settings,
            created_at: time(number.created_at),
            updated_at: time(number.updated_at),
        }
    }
}
