//! Request bodies as the OpenAPI document describes them, with the contract's names. What is read of them is in `read`, `voice`
//! and `agents`. Those of agents are closed, as the contract has them.

use serde::Deserialize;
use utoipa::ToSchema;

/// Numbers to be imported, all or none.
#[derive(ToSchema)]
#[schema(as = ImportPhoneNumbersBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct ImportManyIn {
    #[schema(min_items = 1, max_items = 1000)]
    phone_numbers: Vec<String>,
    /// sandbox, pre-release or live; without it live, or sandbox for a test key.
    client_env: Option<String>,
    /// The connector that takes them; without it the agent's default one of the environment.
    connector_id: Option<String>,
}

/// What an imported number is given.
#[derive(ToSchema)]
#[schema(as = ImportPhoneNumberBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct ImportIn {
    /// sandbox, pre-release or live; without it live, or sandbox for a test key.
    client_env: Option<String>,
    /// The connector that takes it; without it the agent's default one of the environment.
    connector_id: Option<String>,
}

/// Numbers to be given back.
#[derive(ToSchema)]
#[schema(as = DeletePhoneNumbersBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct DeleteManyIn {
    #[schema(min_items = 1, max_items = 1000)]
    phone_numbers: Vec<String>,
}

/// Numbers to be read.
#[derive(ToSchema)]
#[schema(as = BatchGetPhoneNumbersBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct NumberGetManyIn {
    #[schema(min_items = 1, max_items = 1000)]
    phone_numbers: Vec<String>,
}

/// The connector that takes the number.
#[derive(ToSchema)]
#[schema(as = ReassignPhoneNumberBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct MoveIn {
    connector_id: String,
}

/// Connectors to be read.
#[derive(ToSchema)]
#[schema(as = BatchGetConnectorsBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct ConnectorGetManyIn {
    #[schema(min_items = 1, max_items = 1000)]
    connector_ids: Vec<String>,
}

/// The number whose connector is wanted.
#[derive(ToSchema)]
#[schema(as = LookupConnectorBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct LookupIn {
    phone_number: String,
}

/// A change of a connector; null or an empty text unsets.
#[derive(ToSchema)]
#[schema(as = UpdateConnectorBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct ConnectorPatchIn {
    variant_id: Option<String>,
    asr_lang_code: Option<String>,
    voice_name: Option<String>,
    /// Moves the connector and its numbers to another agent.
    #[schema(nullable = false)]
    project_id: Option<String>,
}

/// Changes of connectors.
#[derive(ToSchema)]
#[schema(as = BatchUpdateConnectorsBody)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ConnectorPatchManyIn {
    #[schema(min_items = 1, max_items = 1000)]
    updates: Vec<ConnectorPatchItemIn>,
}

/// A change of one connector of many; null or an empty text unsets.
#[derive(ToSchema)]
#[schema(as = BatchUpdateConnectorItem, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct ConnectorPatchItemIn {
    connector_id: String,
    variant_id: Option<String>,
    asr_lang_code: Option<String>,
    voice_name: Option<String>,
    /// Moves the connector and its numbers to another agent.
    #[schema(nullable = false)]
    project_id: Option<String>,
}

/// A new connector.
#[derive(ToSchema)]
#[schema(as = CreateConnectorBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct ConnectorIn {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// sandbox, pre-release or live; without it live, or sandbox for a test key.
    client_env: Option<String>,
    variant_id: Option<String>,
    asr_lang_code: Option<String>,
    voice_name: Option<String>,
    disable_handoff: Option<bool>,
    /// SIP URIs where the agent answers, in the order of trying.
    #[schema(min_items = 1, max_items = 16)]
    targets: Option<Vec<String>>,
}

/// A copy of an agent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DuplicateAgentBody)]
#[expect(dead_code, reason = "only described")]
pub(super) struct DuplicateIn {
    #[schema(min_length = 1, max_length = 100)]
    new_agent_name: String,
    #[schema(pattern = "^[a-zA-Z0-9-]+$")]
    new_agent_id: Option<String>,
}

/// A new agent. What it says of behaviour is checked and not kept.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CreateAgentBody)]
#[expect(dead_code, reason = "only described")]
pub(super) struct AgentIn {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(pattern = "^[a-zA-Z0-9-]+$")]
    agent_id: Option<String>,
    response_settings: ResponseIn,
    voice_settings: Option<VoiceIn>,
    llm_settings: Option<ModelIn>,
    experimental_config: Option<ExperimentsIn>,
}

/// How an agent answers.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ResponseSettings)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ResponseIn {
    #[schema(min_length = 1)]
    greeting: String,
    #[schema(min_length = 1)]
    language_code: Option<String>,
}

/// An agent's voice.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = VoiceSettings)]
#[expect(dead_code, reason = "only described")]
pub(super) struct VoiceIn {
    #[schema(min_length = 1)]
    voice_id: String,
}

/// An agent's model.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = LlmSettings)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ModelIn {
    model_id: Option<String>,
}

/// Experiments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExperimentalConfig)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ExperimentsIn {
    configs: Vec<ExperimentIn>,
}

/// An experiment.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ExperimentalConfigItem)]
#[expect(dead_code, reason = "only described")]
pub(super) struct ExperimentIn {
    id: String,
    #[schema(value_type = Object)]
    features: domain::Bag,
    created_at: String,
    created_by: String,
    updated_at: String,
    updated_by: String,
    active: bool,
}
