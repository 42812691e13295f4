//! What every engine of the store must do, on PostgreSQL: the tests of `contract`, each with a database of its own; and what only
//! several nodes and a server of its own can show.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

#[path = "../contract/accounts.rs"]
mod accounts;
#[path = "../contract/agent_calls.rs"]
mod agent_calls;
#[path = "../contract/calls.rs"]
mod calls;
#[path = "../contract/changes.rs"]
mod changes;
#[path = "../contract/commits.rs"]
mod commits;
#[path = "../contract/copies.rs"]
mod copies;
#[path = "../contract/doctor.rs"]
mod doctor;
#[path = "../contract/intents.rs"]
mod intents;
#[path = "../contract/lifecycle.rs"]
mod lifecycle;
#[path = "../contract/lists.rs"]
mod lists;
#[path = "../contract/money.rs"]
mod money;
#[path = "../contract/webhooks.rs"]
mod webhooks;
#[path = "../contract/world.rs"]
mod world;

mod broken;
mod engines;
mod home;
mod nodes;
mod scale;
mod schema;
mod server;
mod servers;
mod statistics;
