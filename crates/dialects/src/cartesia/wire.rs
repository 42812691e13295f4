//! The shapes on Cartesia's wire, as contracts/seed/cartesia-*.json have them.

use domain::carrier_account::AccountBrief;
use domain::ids::{NumberId, ProviderId};
use domain::provider::ProviderKind;
use domain::view::{AgentBrief, NumberView, ProviderBrief};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::account::REGIONS;
use crate::json::time;

/// A page of numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumberPage)]
pub(super) struct PageOut {
    pub(super) data: Vec<NumberOut>,
    /// Whether there is more in the direction of paging.
    pub(super) has_more: bool,
}

/// A number.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumberResponse)]
pub(super) struct NumberOut {
    id: String,
    label: Option<String>,
    number: String,
    #[schema(required = true)]
    agent: Option<AgentOut>,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
    provider: ProviderOut,
}

/// A number just provisioned, which is shown without its provider.
#[derive(Serialize, ToSchema)]
#[schema(as = ProvisionPhoneNumberResponse)]
pub(super) struct NumberBaseOut {
    id: String,
    label: Option<String>,
    number: String,
    #[schema(required = true)]
    agent: Option<AgentOut>,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
}

/// Who answers.
#[derive(Serialize, ToSchema)]
#[schema(as = Agent)]
pub(super) struct AgentOut {
    id: String,
    name: String,
}

/// How the number reaches the phone network. An own trunk shows as `sip_trunk` in every version.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ProviderResponse)]
pub(super) enum ProviderOut {
    Twilio(TwilioOut),
    Cartesia,
    SipTrunk { id: String, label: Option<String> },
}

/// An account at Twilio. The key's secret is never shown, its id in part.
#[derive(Serialize, ToSchema)]
#[schema(as = TwilioProviderResponse)]
pub(super) struct TwilioOut {
    id: String,
    account_sid: String,
    api_key_sid: String,
    #[schema(schema_with = region)]
    region: String,
    /// Of the newer version.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

fn region() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(REGIONS)).build()
}

impl TwilioOut {
    pub(super) fn of(id: ProviderId, label: String, account: AccountBrief) -> Self {
        let AccountBrief { id: account_sid, key_id: api_key_sid, region } = account;
        Self { id: id.to_string(), account_sid, api_key_sid, region, label: Some(label) }
    }

    /// As a version shows it: the older one has no label.
    pub(super) fn seen(&mut self, newer: bool) {
        if !newer {
            self.label = None;
        }
    }
}

/// A number in the list of one agent.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumber)]
pub(super) struct AgentNumberOut {
    agent_id: String,
    number: String,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
    is_cartesia_managed: bool,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorOut {
    #[schema(required = true)]
    pub(super) error_code: Option<&'static str>,
    pub(super) title: &'static str,
    pub(super) message: String,
    #[schema(format = "uuid")]
    pub(super) request_id: String,
    /// The provider's numbers that its new key does not reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) unreachable_numbers: Vec<String>,
}

/// A number's id as printed here.
pub(super) const ID_PREFIX: &str = "pn_";

/// Reads an id with or without its prefix.
pub(super) fn id(text: &str) -> Option<NumberId> {
    NumberId::parse(text.strip_prefix(ID_PREFIX).unwrap_or(text))
}

impl From<Option<ProviderBrief>> for ProviderOut {
    fn from(provider: Option<ProviderBrief>) -> Self {
        let Some(ProviderBrief { id, kind, label, account }) = provider else { return Self::Cartesia };
        match (kind, account) {
            // An account's provider has its account: the store keeps them in one row.
            (ProviderKind::Twilio, Some(account)) => Self::Twilio(TwilioOut::of(id, label, account)),
            (ProviderKind::SipTrunk | ProviderKind::Twilio, _) => {
                Self::SipTrunk { id: id.to_string(), label: Some(label) }
            }
            (ProviderKind::Managed, _) => Self::Cartesia,
        }
    }
}

impl NumberOut {
    /// As a version shows it.
    pub(super) fn of(view: NumberView, newer: bool) -> Self {
        let mut out = Self::from(view);
        if let ProviderOut::Twilio(account) = &mut out.provider {
            account.seen(newer);
        }
        out
    }
}

impl From<NumberView> for NumberOut {
    fn from(view: NumberView) -> Self {
        let NumberView { number, agent, provider, minutes_this_month: _, sip: _ } = view;
        Self {
            id: format!("{ID_PREFIX}{}", number.id),
            label: number.label,
            number: number.e164.to_string(),
            agent: agent.map(|AgentBrief { id, name }| AgentOut { id: id.to_string(), name }),
            created_at: time(number.created_at),
            updated_at: time(number.updated_at),
            provider: provider.into(),
        }
    }
}

impl From<NumberView> for NumberBaseOut {
    fn from(view: NumberView) -> Self {
        let NumberOut { id, label, number, agent, created_at, updated_at, provider: _ } = view.into();
        Self { id, label, number, agent, created_at, updated_at }
    }
}

impl From<NumberView> for AgentNumberOut {
    fn from(view: NumberView) -> Self {
        let NumberView { number, agent: _, provider, minutes_this_month: _, sip: _ } = view;
        Self {
            // The list holds the numbers of one agent, so each has it.
            agent_id: number.agent_id.map(|id| id.to_string()).unwrap_or_default(),
            number: number.e164.to_string(),
            created_at: time(number.created_at),
            updated_at: time(number.updated_at),
            is_cartesia_managed: provider.is_none_or(|provider| provider.kind == ProviderKind::Managed),
        }
    }
}
