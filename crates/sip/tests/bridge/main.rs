//! Calls of our own on invented time: an agent, who is called, and the bridge between them, over a network that loses, repeats
//! and delays datagrams from a seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod replaced;
mod session;
#[path = "../settings/mod.rs"]
mod settings;
mod setup;
mod world;
