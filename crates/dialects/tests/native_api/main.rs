//! The native dialect as text, both directions. No server, no store: bytes in, `Op` out; `View` in, bytes out.

mod bulk;
mod errors;
mod exchanges;
mod fixtures;
mod openapi;
mod patches;
mod requests;
mod support;
