//! The vendors' dialects as text: what is read, what is written, what is refused, each answer held against its contract.

mod cartesia;
mod cartesia_twilio;
mod cartesia_wide;
mod kit;
mod krosai;
mod krosai_webhooks;
mod krosai_wide;
mod neo;
mod polyai;
mod polyai_wide;
