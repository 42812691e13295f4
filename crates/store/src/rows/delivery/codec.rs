//! How what a delivery tells stands in its row: JSON, and for a call the lines of its facts, in the one codec of facts.

use domain::call::FactKind;
use domain::e164::{Country, E164, NumberType};
use domain::ids::{AgentId, CallId, EndpointId, NumberId, OrganizationId};
use domain::number::{Environment, Status};
use domain::webhook::{About, Answer, NumberBrief, Tried};
use domain::{Call, Fact};
use serde::{Deserialize, Serialize};

use super::super::sql::{corrupt, time, time_from};
use crate::error::StoreError;
use crate::fact::{line_read, line_write};

/// The thing that an event is about.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AboutRow {
    Other,
    Number(Box<NumberRow>),
    Call(CallRow),
}

#[derive(Serialize, Deserialize)]
pub(super) struct NumberRow {
    id: String,
    e164: u64,
    country: String,
    kind: String,
    status: String,
    endpoint_id: Option<String>,
    agent_id: Option<String>,
    environment: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CallRow {
    id: String,
    facts: Vec<String>,
}

impl AboutRow {
    pub(super) fn of_number(number: &domain::Number) -> Self {
        Self::Number(Box::new(NumberRow {
            id: number.id.to_string(),
            e164: number.e164.as_u64(),
            country: number.country.as_str().to_owned(),
            kind: number.kind.as_str().to_owned(),
            status: number.status.as_str().to_owned(),
            endpoint_id: number.endpoint_id.map(|id| id.to_string()),
            agent_id: number.agent_id.as_ref().map(|id| id.as_str().to_owned()),
            environment: number.environment.as_str().to_owned(),
        }))
    }

    /// Of a call, what is told of it: neither where its sides are nor which targets were tried.
    pub(super) fn of_call(id: CallId, facts: &[Fact]) -> Self {
        let is_told = |fact: &&Fact| match fact.kind {
            FactKind::Started(_)
            | FactKind::Answered(_)
            | FactKind::Ended(_)
            | FactKind::Unanswered(_)
            | FactKind::Origin(_)
            | FactKind::Note(_) => true,
            FactKind::Attempt(_) | FactKind::Step(..) | FactKind::Refreshed(_) | FactKind::Leg(_) => false,
        };
        let told = facts.iter().filter(is_told).map(|fact| {
            let mut fact = fact.clone();
            match &mut fact.kind {
                FactKind::Answered(dialog) => *dialog = None,
                FactKind::Started(started) => started.source = None,
                FactKind::Attempt(_)
                | FactKind::Step(..)
                | FactKind::Refreshed(_)
                | FactKind::Origin(_)
                | FactKind::Leg(_)
                | FactKind::Ended(_)
                | FactKind::Unanswered(_)
                | FactKind::Note(_) => {}
            }
            line(&fact)
        });
        Self::Call(CallRow { id: id.to_string(), facts: told.collect() })
    }

    /// The same without what is private.
    pub(super) fn redacted(self, organization: OrganizationId) -> Result<Self, StoreError> {
        let Self::Call(row) = self else { return Ok(self) };
        let (id, facts) = row.facts(organization)?;
        let facts = facts.into_iter().map(|fact| line(&fact.redacted())).collect();
        Ok(Self::Call(CallRow { id: id.to_string(), facts }))
    }

    pub(super) fn read(self, organization: OrganizationId) -> Result<About, StoreError> {
        Ok(match self {
            Self::Other => About::Other,
            Self::Number(row) => {
                let id = row.id.clone();
                let brief = row.read().ok_or_else(|| corrupt("the number of a delivery", &id))?;
                About::Number(Box::new(brief))
            }
            Self::Call(row) => {
                let (id, facts) = row.facts(organization)?;
                let call = Call::fold(&facts);
                About::Call(Box::new(call.ok_or_else(|| corrupt("the call of a delivery", &id.to_string()))?))
            }
        })
    }
}

fn line(fact: &Fact) -> String {
    let mut text = String::new();
    line_write(fact, &mut text);
    text
}

impl NumberRow {
    fn read(self) -> Option<NumberBrief> {
        let Self { id, e164, country, kind, status, endpoint_id, agent_id, environment } = self;
        Some(NumberBrief {
            id: NumberId::parse(&id)?,
            e164: E164::from_u64(e164)?,
            country: Country::parse(&country)?,
            kind: NumberType::parse(&kind)?,
            status: Status::parse(&status)?,
            endpoint_id: endpoint_id.as_deref().and_then(EndpointId::parse),
            agent_id: agent_id.as_deref().and_then(AgentId::parse),
            environment: Environment::parse(&environment)?,
        })
    }
}

impl CallRow {
    fn facts(&self, organization: OrganizationId) -> Result<(CallId, Vec<Fact>), StoreError> {
        let bad = || corrupt("the call of a delivery", &self.id);
        let id = CallId::parse(&self.id).ok_or_else(bad)?;
        let facts: Option<Vec<Fact>> =
            self.facts.iter().map(|text| line_read(organization, id, text)).collect();
        Ok((id, facts.ok_or_else(bad)?))
    }
}

/// The last attempt.
#[derive(Serialize, Deserialize)]
pub(super) struct LastRow {
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl From<&Tried> for LastRow {
    fn from(tried: &Tried) -> Self {
        let Tried { at, answer } = tried;
        let (status, text) = match answer {
            Answer::Status(status, text) => (Some(*status), text.clone()),
            Answer::Failure(text) => (None, Some(text.clone())),
        };
        Self { at: time(*at), status, text }
    }
}

impl LastRow {
    pub(super) fn read(text: &str) -> Result<Tried, StoreError> {
        let row: Self = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let answer = match row.status {
            Some(status) => Answer::Status(status, row.text),
            None => Answer::Failure(row.text.unwrap_or_default()),
        };
        Ok(Tried { at: time_from(row.at)?, answer })
    }
}
