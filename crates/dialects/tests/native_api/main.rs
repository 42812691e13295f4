//! The native dialect as text, both directions. No server, no store: bytes in, `Op` out; `View` in, bytes out.
#![expect(clippy::unwrap_used, reason = "a fixture that does not fit fails its test")]
#![expect(clippy::too_many_lines, reason = "snapshots stand in their tests")]

mod bulk;
mod errors;
mod exchanges;
mod fixtures;
mod openapi;
mod patches;
mod requests;
mod support;
