//! The shapes on PolyAI's wire, as contracts/seed/polyai.json has them: `camelCase`, but for refusals. An organization is an
//! account, an agent a project, an endpoint a connector, an environment a client environment.

use domain::view::NumberView;
use serde::Serialize;
use utoipa::ToSchema;

/// A number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PhoneNumberResponse)]
pub(super) struct NumberOut {
    number: String,
    project_id: String,
    account_id: String,
    client_env: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    connector_id: Option<String>,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorOut {
    /// Always false.
    pub(super) success: bool,
    pub(super) error: String,
    /// The same as the header `X-PolyAI-Correlation-Id`.
    pub(super) error_id: String,
    pub(super) error_code: &'static str,
    pub(super) error_message: String,
    /// Always null.
    #[schema(required = true, value_type = Option<Object>)]
    pub(super) data: Option<()>,
}

impl From<NumberView> for NumberOut {
    fn from(view: NumberView) -> Self {
        let NumberView { number, agent: _, provider: _, minutes_this_month: _, sip: _ } = view;
        Self {
            number: number.e164.to_string(),
            // Numbers are found below their agent, so each has one.
            project_id: number.agent_id.map(|id| id.to_string()).unwrap_or_default(),
            account_id: number.organization_id.to_string(),
            client_env: number.environment.as_str(),
            connector_id: number.endpoint_id.map(|id| id.to_string()),
        }
    }
}
