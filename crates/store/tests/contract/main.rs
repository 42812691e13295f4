//! What every engine of the store must do. Each test has a store of its own.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod accounts;
mod agent_calls;
mod calls;
mod changes;
mod commits;
mod copies;
mod doctor;
mod files;
mod home;
mod intents;
mod lifecycle;
mod lists;
mod money;
mod webhooks;
mod world;
