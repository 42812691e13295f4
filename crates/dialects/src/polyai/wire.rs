//! The shapes on PolyAI's wire, as contracts/full/polyai.json has them: `camelCase`, but for refusals. An organization is an
//! account, an agent a project (or an agent), an endpoint a connector, an environment a client environment.

use std::collections::BTreeMap;

use domain::ids::{AgentId, OrganizationId};
use domain::view::NumberView;
use domain::{Agent, Endpoint};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::voice::Voice;
use crate::json::time;

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

/// Numbers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GetPhoneNumbersResponse)]
pub(super) struct NumbersOut {
    pub(super) phone_numbers: Vec<NumberOut>,
}

/// Those of many numbers that are there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BatchGetPhoneNumbersResponse)]
pub(super) struct NumbersFoundOut {
    pub(super) found: Vec<NumberOut>,
    pub(super) not_found: Vec<String>,
}

/// Imported numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportPhoneNumbersResponse)]
pub(super) struct ImportedManyOut {
    pub(super) imported: Vec<String>,
}

/// An imported number.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportPhoneNumberResponse)]
pub(super) struct ImportedOut {
    pub(super) imported: String,
}

/// A number that was given back.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletePhoneNumberResponse)]
pub(super) struct DeletedOut {
    pub(super) deleted: String,
}

/// Numbers that were given back, and those that were not.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletePhoneNumbersResponse)]
pub(super) struct DeletedManyOut {
    pub(super) deleted: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) errors: Vec<DeleteErrorOut>,
}

/// Why a number was not given back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeletePhoneNumberErrorItem)]
pub(super) struct DeleteErrorOut {
    pub(super) phone_number: String,
    pub(super) error: String,
}

/// A connector.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectorResponse)]
pub(super) struct ConnectorOut {
    connector_id: String,
    name: String,
    account_id: String,
    project_id: String,
    client_env: &'static str,
    /// Empty while none is assigned.
    variant_id: String,
    asr_lang_code: String,
    /// The language with which the voice's name begins.
    tts_lang_code: String,
    voice_name: String,
    disable_handoff: bool,
}

/// Connectors.
#[derive(Serialize, ToSchema)]
#[schema(as = GetConnectorsResponse)]
pub(super) struct ConnectorsOut {
    pub(super) connectors: Vec<ConnectorOut>,
}

/// Those of many connectors that are there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BatchGetConnectorsResponse)]
pub(super) struct ConnectorsFoundOut {
    pub(super) found: Vec<ConnectorOut>,
    pub(super) not_found: Vec<String>,
}

/// What became of each connector of a batch.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchUpdateConnectorsResponse)]
pub(super) struct ConnectorResultsOut {
    pub(super) results: Vec<ConnectorResultOut>,
}

/// What became of one connector of a batch: `data` or `error`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BatchUpdateResultItem)]
pub(super) struct ConnectorResultOut {
    pub(super) connector_id: String,
    pub(super) success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) data: Option<ConnectorOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) error: Option<String>,
}

/// A connector that went, and the numbers given back with it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeleteConnectorResponse)]
pub(super) struct ConnectorDeletedOut {
    pub(super) deleted_connector: String,
    pub(super) deleted_phone_numbers: Vec<String>,
}

/// An agent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreateAgentResponse)]
pub(super) struct AgentOut {
    account_id: String,
    agent_id: String,
    agent_name: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// 0: branches are not served.
    branch_count: u32,
}

/// What answers in each environment that something answers in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActiveDeploymentsResponse)]
pub(super) struct ActiveOut {
    active_deployments: BTreeMap<&'static str, DeploymentOut>,
}

/// What answers in an environment: the agent's default connector there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeploymentResponse)]
pub(super) struct DeploymentOut {
    id: String,
    account_id: String,
    agent_id: String,
    environment: &'static str,
    artifact_version: String,
    version: String,
    created_by: String,
    created_at: String,
}

fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
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
    #[schema(required = true, schema_with = null)]
    pub(super) data: Option<()>,
}

fn project(id: Option<&AgentId>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn account(id: OrganizationId) -> String {
    id.to_string()
}

impl From<NumberView> for NumberOut {
    fn from(view: NumberView) -> Self {
        let number = view.number;
        Self {
            number: number.e164.to_string(),
            // Numbers are found below their agent, so each has one.
            project_id: project(number.agent_id.as_ref()),
            account_id: account(number.organization_id),
            client_env: number.environment.as_str(),
            connector_id: number.endpoint_id.map(|id| id.to_string()),
        }
    }
}

impl From<Endpoint> for ConnectorOut {
    fn from(endpoint: Endpoint) -> Self {
        let Voice { variant_id, asr_lang_code, tts_lang_code, name: voice_name, disable_handoff } =
            Voice::of(&endpoint);
        Self {
            connector_id: endpoint.id.to_string(),
            name: endpoint.name,
            account_id: account(endpoint.organization_id),
            // Connectors are found below their agent, so each has one.
            project_id: project(endpoint.agent_id.as_ref()),
            client_env: endpoint.environment.as_str(),
            variant_id,
            asr_lang_code,
            tts_lang_code,
            voice_name,
            disable_handoff,
        }
    }
}

impl From<Agent> for AgentOut {
    fn from(agent: Agent) -> Self {
        Self {
            account_id: account(agent.organization_id),
            agent_id: agent.id.to_string(),
            agent_name: agent.name,
            created_at: time(agent.created_at),
            updated_at: time(agent.updated_at),
            branch_count: 0,
        }
    }
}

impl From<Vec<Endpoint>> for ActiveOut {
    fn from(endpoints: Vec<Endpoint>) -> Self {
        let answering = endpoints.into_iter().filter(|endpoint| endpoint.is_default);
        let row = |endpoint: Endpoint| (endpoint.environment.as_str(), DeploymentOut::from(endpoint));
        Self { active_deployments: answering.map(row).collect() }
    }
}

impl From<Endpoint> for DeploymentOut {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            account_id: account(endpoint.organization_id),
            agent_id: project(endpoint.agent_id.as_ref()),
            environment: endpoint.environment.as_str(),
            artifact_version: endpoint.version.to_string(),
            version: endpoint.version.to_string(),
            created_by: "trunkline".to_owned(),
            created_at: time(endpoint.created_at),
        }
    }
}
