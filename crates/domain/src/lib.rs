//! Rules and types of Trunkline.
//!
//! Pure: no I/O, no clock, no randomness, no vendor word. Time and new ids are parameters; what is to be stored is returned
//! as [`Change`]s. Four dialects, the native API, the command line and the call path all speak these types:
//! an [`Op`] goes in, a [`View`] or an [`Error`] comes out, and a call is decided by [`routing::decide`] or [`outbound::decide`].
//!
//! Nothing here derives a serialization: each outer crate converts its own structs by full destructuring, so a new field
//! breaks the build wherever somebody must decide about it.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod agent;
pub mod agent_op;
pub mod bags;
pub mod call;
pub mod call_end;
pub mod caller;
pub mod carrier_account;
pub mod change;
pub mod claim;
pub mod e164;
pub mod emergency;
pub mod endpoint;
pub mod error;
pub mod event;
mod header;
pub mod ids;
pub mod intent;
pub mod key;
pub mod ledger;
pub mod manner;
pub mod money;
pub mod number;
pub mod op;
pub mod organization;
pub mod originate;
pub mod outbound;
pub mod page;
pub mod patch;
pub mod platform;
pub mod price;
pub mod provider;
pub mod rate;
pub mod reach;
pub mod reconciled;
pub mod routing;
pub mod rules;
pub mod stock;
pub mod target;
pub mod trace;
pub mod trail;
pub mod trunk_status;
pub mod view;
pub mod webhook;

pub use agent::Agent;
pub use call::{Call, Fact};
pub use call_end::CallEnd;
pub use caller::Caller;
pub use carrier_account::CarrierAccount;
pub use change::{Change, Commit, Generation, Guard};
pub use e164::E164;
pub use endpoint::Endpoint;
pub use error::{Error, Kind, Result, What};
pub use event::Event;
pub use intent::Intent;
pub use jiff::Timestamp;
pub use key::Key;
pub use ledger::Posting;
pub use money::Micros;
pub use number::Number;
pub use op::Op;
pub use organization::Organization;
pub use page::{Page, Paged, Start};
pub use patch::Patch;
pub use price::Price;
pub use provider::Provider;
pub use rate::Rate;
pub use stock::Stock;
pub use view::View;
pub use webhook::{Delivery, Webhook};

/// A free JSON object that is stored and given back unread.
pub type Bag = serde_json::Map<String, serde_json::Value>;
