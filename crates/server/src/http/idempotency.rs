//! `Idempotency-Key`: a POST that is sent again gives the first answer, and the work is done once.
//!
//! A key is bound to organization, method and path, and the body's hash. While a first request runs in this process its slot
//! is in `running`; its answer is kept in the same transaction as its work, so there is no moment at which one is stored
//! without the other. Work at a carrier outlives its request: its intent holds the slot until there is an answer. Two nodes that run the same request at once are told apart by the store: one slot, one commit.

use dialects::Reply;
use domain::caller::Actor;
use domain::change::{KEPT_HOURS, KeptAnswer};
use domain::provider::Sealed;
use domain::{Caller, Error, Kind, Result, Timestamp, What};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::app::App;

/// The longest key, in bytes.
const KEY_MAX: usize = 255;

type Slot = [u8; 32];

/// The requests with a key that run now.
#[derive(Default)]
pub(super) struct Idempotency {
    running: Arc<Mutex<HashSet<Slot>>>,
}

/// Holds a slot while its request runs.
pub(super) struct Ticket {
    slot: Slot,
    body: [u8; 32],
    running: Arc<Mutex<HashSet<Slot>>>,
}

impl Ticket {
    /// Names the request among all repeats of it.
    pub(super) fn slot(&self) -> domain::intent::Slot {
        domain::intent::Slot { key: self.slot, body: self.body }
    }
}

impl Drop for Ticket {
    /// Also when the client hangs up in the middle: the slot is free, and what was committed is found by the next repeat.
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.slot);
    }
}

/// What a request is.
pub(super) enum Repeat {
    /// One without a key.
    None,
    /// The first with its key.
    First(Ticket),
    /// A repeat, with the first one's answer.
    Again(Reply),
}

impl Idempotency {
    /// Looks at a request before it is decoded.
    pub(super) fn begin(&self, app: &App, request: &dialects::Request<'_>) -> Result<Repeat> {
        let key = match request.context.headers.get("idempotency-key") {
            Some(key) if request.endpoint.method == Method::POST => key.as_bytes(),
            Some(_) | None => return Ok(Repeat::None),
        };
        if key.is_empty() || key.len() > KEY_MAX {
            let words = format!("`Idempotency-Key` must have 1 to {KEY_MAX} characters.");
            return Err(Error::new(Kind::Malformed, What::Request, words));
        }
        let organization = request.caller.organization_id.map(|id| id.to_string()).unwrap_or_default();
        let path: Vec<_> = request.path.iter().map(|(_, value)| value.as_str()).collect();
        let (route, path) = (request.endpoint.path, path.join("\n"));
        let slot =
            app.vault.mac(&[b"idempotency", organization.as_bytes(), route.as_bytes(), path.as_bytes(), key]);
        let query = format!("{:?}", request.query);
        let body =
            app.vault.mac(&[b"body", seen_as(request.caller).as_bytes(), query.as_bytes(), request.body]);
        if !self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(slot) {
            let words = "The first request with this `Idempotency-Key` is still running.";
            return Err(Error::new(Kind::Running, What::Request, words));
        }
        let ticket = Ticket { slot, body, running: Arc::clone(&self.running) };
        app.reachable()?;
        match app.answer_kept(&slot)? {
            Some(kept) if is_fresh(&kept, request.now) => again(app, &kept, &ticket).map(Repeat::Again),
            Some(_) | None => match app.begun(&slot, request.now)? {
                Some(begun) if begun.body != body => Err(reused()),
                // The first one's process died over it: its work is found by the same name, and answered from there.
                Some(_) | None => Ok(Repeat::First(ticket)),
            },
        }
    }

    /// Keeps an answer that was not kept with its work: an error, or a view that is read back after the commit.
    pub(super) async fn finish(
        &self,
        app: &App,
        ticket: &Ticket,
        reply: &Reply,
        now: Timestamp,
    ) -> Result<()> {
        let kept = app.answer_kept(&ticket.slot)?;
        if kept.is_some_and(|kept| is_fresh(&kept, now)) {
            return Ok(());
        }
        app.keep_later(self::kept(app, ticket, reply, now)).await
    }
}

/// What an answer may depend on besides the request: passwords are shown by role, and a mode decides the environment; what a
/// person was shown is that person's. Bound like the body, so that a repeat under another role neither sees the first one's
/// answer nor does the work again.
fn seen_as(caller: &Caller) -> String {
    let who = match &caller.actor {
        Actor::Person(person) => format!("{} {}", person.issuer(), person.subject()),
        Actor::Operator | Actor::Key(_) | Actor::Service => String::new(),
    };
    format!("{} {} {} {who}", caller.is_operator(), caller.role.as_str(), caller.mode.as_str())
}

fn is_fresh(kept: &KeptAnswer, now: Timestamp) -> bool {
    now.duration_since(kept.at) < jiff::SignedDuration::from_hours(KEPT_HOURS)
}

/// The first answer, opened; another body under the same key is refused.
fn again(app: &App, kept: &KeptAnswer, ticket: &Ticket) -> Result<Reply> {
    if kept.body != ticket.body {
        return Err(reused());
    }
    let opened = app.vault.open(&Sealed(kept.sealed.clone()), &ticket.slot);
    opened.as_deref().and_then(unpacked).ok_or_else(|| Error::internal("a kept answer does not open"))
}

fn reused() -> Error {
    let words = "This `Idempotency-Key` was used with another request; choose a new one.";
    Error::new(Kind::KeyReused, What::Request, words)
}

/// Which refusals are final answers. Those that a client mends and sends again under the same key are not kept, nor are
/// those that pass by themselves.
pub(super) fn keeps(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Exists
            | Kind::Conflict
            | Kind::NotFound
            | Kind::Balance
            | Kind::Slots
            | Kind::CarrierRefused
            | Kind::KycNotSubmitted
            | Kind::KycInitiated
            | Kind::KycPending
            | Kind::KycDeclined
    )
}

/// An answer as it is kept: encrypted, since it may show a secret.
pub(super) fn kept(app: &App, ticket: &Ticket, reply: &Reply, at: Timestamp) -> KeptAnswer {
    let Sealed(sealed) = app.vault.seal(&packed(reply), &ticket.slot);
    KeptAnswer { slot: ticket.slot, body: ticket.body, sealed, at }
}

/// Status, media type and headers as lines, an empty line, the body.
fn packed(reply: &Reply) -> Vec<u8> {
    let mut out = format!("{} {}\n", reply.status.as_u16(), reply.content_type).into_bytes();
    for (name, value) in &reply.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(&reply.body);
    out
}

fn unpacked(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = (&bytes[..end], &bytes[end + 2..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (status, content_type) = first.split_once(' ')?;
    let known = ["application/json", "application/problem+json"];
    let content_type = known.into_iter().find(|known| *known == content_type)?;
    let mut reply = Reply {
        content_type,
        body: body.to_vec(),
        ..Reply::empty(StatusCode::from_bytes(status.as_bytes()).ok()?)
    };
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        reply.headers.push((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?));
    }
    reply.headers.push((HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true")));
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_as_they_were_and_marked() {
        let reply =
            Reply::json(StatusCode::CREATED, &serde_json::json!({"a": "\n\n"})).with("location", "/x");
        let mut back = unpacked(&packed(&reply)).unwrap();
        assert_eq!(back.headers.pop().unwrap().0, "idempotent-replayed");
        assert_eq!(back, reply);
        let empty = Reply::empty(StatusCode::NO_CONTENT);
        assert_eq!(unpacked(&packed(&empty)).unwrap().status, StatusCode::NO_CONTENT);
    }
}
