//! PolyAI's operations: those of the contract, the older spelling of two of them, and one of our own.

use domain::key::{Area, Scope};
use http::Method;

use crate::Endpoint;

const NUMBERS: &str = "/v1/agents/{agentId}/telephony/phone-numbers";
const NUMBERS_BATCH: &str = "/v1/agents/{agentId}/telephony/phone-numbers/batch";
const NUMBER: &str = "/v1/agents/{agentId}/telephony/phone-numbers/{phoneNumber}";
const CONNECTORS: &str = "/v1/agents/{agentId}/telephony/connectors";
const CONNECTORS_BATCH: &str = "/v1/agents/{agentId}/telephony/connectors/batch";
const CONNECTORS_LOOKUP: &str = "/v1/agents/{agentId}/telephony/connectors/lookup";
const CONNECTOR: &str = "/v1/agents/{agentId}/telephony/connectors/{connectorId}";
const CALLS: &str = "/v1/agents/{agentId}/telephony/outbound-calls";
const CALL_STATUS: &str = "/v1/agents/{agentId}/telephony/outbound-calls/{callSid}/status";
const ACCOUNT_AGENTS: &str = "/v1/accounts/{accountId}/agents";
const AGENTS: &str = "/v1/agents";
const AGENT: &str = "/v1/agents/{agentId}";
const DUPLICATE: &str = "/v1/agents/{agentId}/duplicate";
const ACTIVE: &str = "/v1/agents/{agentId}/deployments/active";

const fn read(method: Method, path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    Endpoint { method, path, verb, scope: Some(Scope::read(area)) }
}

const fn write(method: Method, path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    Endpoint { method, path, verb, scope: Some(Scope::write(area)) }
}

pub(super) static ENDPOINTS: [Endpoint; 25] = [
    read(Method::GET, NUMBER, "number_get", Area::Numbers),
    read(Method::GET, NUMBERS, "number_list", Area::Numbers),
    write(Method::POST, NUMBERS, "number_import_many", Area::Numbers),
    write(Method::DELETE, NUMBERS, "number_delete_many", Area::Numbers),
    read(Method::POST, NUMBERS_BATCH, "number_get_many", Area::Numbers),
    write(Method::POST, NUMBER, "number_import", Area::Numbers),
    write(Method::PATCH, NUMBER, "number_move", Area::Numbers),
    write(Method::DELETE, NUMBER, "number_delete", Area::Numbers),
    read(Method::GET, CONNECTORS, "connector_list", Area::Endpoints),
    write(Method::POST, CONNECTORS, "connector_create", Area::Endpoints),
    read(Method::POST, CONNECTORS_BATCH, "connector_get_many", Area::Endpoints),
    write(Method::PATCH, CONNECTORS_BATCH, "connector_update_many", Area::Endpoints),
    read(Method::POST, CONNECTORS_LOOKUP, "connector_lookup", Area::Endpoints),
    read(Method::GET, CONNECTOR, "connector_get", Area::Endpoints),
    write(Method::PATCH, CONNECTOR, "connector_update", Area::Endpoints),
    write(Method::DELETE, CONNECTOR, "connector_delete", Area::Endpoints),
    read(Method::GET, ACCOUNT_AGENTS, "agent_list", Area::Agents),
    write(Method::POST, ACCOUNT_AGENTS, "agent_create", Area::Agents),
    read(Method::GET, AGENTS, "agent_list_older", Area::Agents),
    write(Method::POST, AGENTS, "agent_create_older", Area::Agents),
    write(Method::POST, DUPLICATE, "agent_duplicate", Area::Agents),
    write(Method::DELETE, AGENT, "agent_delete", Area::Agents),
    write(Method::POST, CALLS, "call_create", Area::Calls),
    read(Method::GET, CALL_STATUS, "call_status", Area::Calls),
    read(Method::GET, ACTIVE, "deployment_active", Area::Agents),
];
