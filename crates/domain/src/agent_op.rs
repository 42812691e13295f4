//! What can be asked below one agent, where an agent owns its endpoints and its numbers. An agent, endpoint or number that is
//! another's is not found.

use crate::agent::AgentPatch;
use crate::e164::E164;
use crate::endpoint::EndpointPatch;
use crate::error::Result;
use crate::ids::{AgentId, CallId, EndpointId};
use crate::number::Environment;
use crate::originate::Originate;

/// One of many endpoints to be changed: its id as written, and what it stands for.
pub type EndpointChange = (String, Result<(EndpointId, EndpointPatch)>);

/// Numbers to be brought in on the organization's one SIP trunk, all or none.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentImport {
    /// The numbers as written.
    pub numbers: Vec<String>,
    /// The agent's endpoint that takes them; none: its default one of the environment, if it has one.
    pub endpoint_id: Option<EndpointId>,
    /// In which environment.
    pub environment: Option<Environment>,
}

/// What can be asked below one agent.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentOp {
    /// Makes another agent like this one, with an id of the client's choice if it has one. Endpoints and numbers stay.
    Duplicate(Option<AgentId>, AgentPatch),
    /// Removes the agent with its endpoints; its numbers are given back.
    Delete,

    /// Lists its endpoints, all of them.
    EndpointList,
    /// Reads an endpoint.
    EndpointGet(EndpointId),
    /// Reads those of many endpoints that are there, in the order of asking.
    EndpointGetMany(Vec<EndpointId>),
    /// Reads the endpoint that a number is on.
    EndpointOfNumber(E164),
    /// Changes an endpoint; its numbers follow.
    EndpointUpdate(EndpointId, EndpointPatch),
    /// Changes many, each for itself: a result for each.
    EndpointUpdateMany(Vec<EndpointChange>),
    /// Removes an endpoint; its numbers are given back.
    EndpointDelete(EndpointId),

    /// Lists its numbers, all of them, or those on one endpoint.
    NumberList(Option<EndpointId>),
    /// Reads those of many numbers that are there, in the order of asking.
    NumberGetMany(Vec<E164>),
    /// Brings numbers in, all or none.
    NumberImport(AgentImport),
    /// Puts a number on another endpoint of the agent.
    NumberMove(E164, EndpointId),
    /// Gives many numbers back, each for itself: a result for each.
    NumberRelease(Vec<(String, Result<E164>)>),

    /// Begins a call from one of its numbers.
    CallOriginate(Box<Originate>),
    /// Reads a call that was begun for it in an environment.
    CallOriginated(CallId, Environment),
}

impl AgentOp {
    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        match self {
            Self::EndpointList
            | Self::EndpointGet(_)
            | Self::EndpointGetMany(_)
            | Self::EndpointOfNumber(_)
            | Self::NumberList(_)
            | Self::NumberGetMany(_)
            | Self::CallOriginated(..) => true,
            Self::Duplicate(..)
            | Self::Delete
            | Self::EndpointUpdate(..)
            | Self::EndpointUpdateMany(_)
            | Self::EndpointDelete(_)
            | Self::NumberImport(_)
            | Self::NumberMove(..)
            | Self::NumberRelease(_)
            | Self::CallOriginate(_) => false,
        }
    }
}
