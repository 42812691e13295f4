//! Challenges of a target, answered in the caller's place: departure (a) of a pure proxy (RFC 3261 section 22.3 has user agents do
//! it). Each answer to the first INVITE is a new branch with the next `CSeq` number; what was added so holds for the caller's
//! requests of the whole dialog, and stands in the cookie. Within the dialog the number cannot change any more: a challenged
//! request is sent again as it was, with credentials. Nothing is kept here that another process could not do without: the
//! sessions only spare round trips.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::Edge;
use super::api::{Cause, LoginAsk, Output};
use super::context::{Context, Extra, Work};
use super::respond::{self, Reply};
use crate::branch::{turn, with_shift};
use crate::edit;
use crate::keys;
use crate::login::{self, Asked, Login, Session};
use crate::message::{Core, Message, Method};

/// Calls whose nonces are remembered; of more, the oldest are forgotten.
const SESSIONS_MAX: usize = 8_192;
/// The most that two bits of the cookie can say.
const SHIFT_MAX: u8 = 3;
/// Answers to challenges of one request within a dialog.
const TRIES_MAX: u8 = 2;

/// Whose session: the call, and where its callee is.
pub(crate) type Key = (Uuid, SocketAddr);

/// Sessions of calls by their targets.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: HashMap<Key, Session>,
    order: VecDeque<Key>,
}

impl Sessions {
    /// Remembers a session, unless there is one: its nonces are counted further.
    fn put(&mut self, key: Key, session: impl FnOnce() -> Session) {
        if self.all.contains_key(&key) {
            return;
        }
        if self.order.len() >= SESSIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
        self.order.push_back(key);
        self.all.insert(key, session());
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.all.remove(&key);
    }
}

/// What a 401 or 407 is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenged {
    /// The caller's business.
    Foreign,
    /// It was answered: the answer to that is awaited.
    Answered,
    /// Ours, and there is no (further) answer to it.
    InVain,
}

impl Edge {
    /// A login that was asked for.
    pub(super) fn login(&mut self, ask: LoginAsk, login: Option<Arc<Login>>) {
        if let Some(login) = login {
            self.sessions.put((ask.call, ask.callee), || Session::new(login));
        }
    }

    /// Asks the shell for the login of a call whose session is not known here.
    pub(super) fn ask_login(&mut self, (call, callee): Key, owner: Uuid) {
        if !self.sessions.all.contains_key(&(call, callee)) {
            self.out.push_back(Output::Login(LoginAsk { call, callee, owner }));
        }
    }

    /// From its first provisional on, requests of the dialog may come: its session is known to them.
    pub(super) fn remember(&mut self, context: &Context, index: usize) {
        let (Work::Call(routing), Some(client)) = (&context.work, context.clients.get(index)) else { return };
        if let Some(session) = client.extra.as_ref().and_then(|extra| extra.session.as_ref()) {
            self.sessions.put((routing.ids.call, client.to.remote), || session.clone());
        }
    }

    /// Appends credentials to a request within a dialog, where a nonce is known. An ACK has those of its INVITE.
    pub(super) fn credentials(&mut self, key: Key, core: &Core<'_>, uri: &[u8], out: &mut Vec<u8>) {
        let Some(session) = self.sessions.all.get_mut(&key).filter(|session| session.ready()) else { return };
        if core.method == Method::Ack {
            return out.extend_from_slice(&session.invite);
        }
        let cnonce = cnonce(&self.ring, &[core.call_id, core.via.branch.unwrap_or_default()]);
        session.write(&Asked { method: core.method_text, uri, cnonce: &cnonce }, out);
    }

    /// The same for a BYE of our own.
    pub(super) fn credentials_bye(&mut self, key: Key, token: &[u8], uri: &[u8], out: &mut Vec<u8>) {
        let cnonce = cnonce(&self.ring, &[token]);
        if let Some(session) = self.sessions.all.get_mut(&key).filter(|session| session.ready()) {
            session.write(&Asked { method: b"BYE", uri, cnonce: &cnonce }, out);
        }
    }

    /// Answers a 401 or 407 to a client transaction, if it is for us to answer and can be.
    pub(super) fn challenged(
        &mut self,
        context: &mut Context,
        index: usize,
        message: &Message<'_>,
    ) -> Challenged {
        if !matches!(message.status(), Some(401 | 407)) {
            return Challenged::Foreign;
        }
        let extra = context.clients.get_mut(index).and_then(|client| client.extra.as_deref_mut());
        let Some(extra) = extra.filter(|extra| extra.session.is_some() || extra.key.is_some()) else {
            return Challenged::Foreign;
        };
        if context.cancelled {
            return Challenged::InVain;
        }
        let asked = login::challenges(message);
        if let Some(mut session) = extra.session.take() {
            if extra.shift >= SHIFT_MAX || !session.take(asked, false) {
                return Challenged::InVain;
            }
            let (shift, to, from) = (extra.shift + 1, extra.to.take(), extra.from.take());
            let next = Extra { shift, session: Some(session), to, from, key: None, tries: 0, ..*extra };
            return self.try_again(context, index, next);
        }
        let (Some(key), tries) = (extra.key, extra.tries) else { return Challenged::InVain };
        let next = Extra {
            shift: extra.shift,
            key: Some(key),
            tries: tries + 1,
            sdp_type: extra.sdp_type,
            ..Extra::default()
        };
        let Some(session) = self.sessions.all.get_mut(&key).filter(|_| tries < TRIES_MAX) else {
            return Challenged::InVain;
        };
        if !session.take(asked, tries == 0) {
            return Challenged::InVain;
        }
        self.send_again(context, index, key, next)
    }

    /// A new branch to the same place, while the call is being set up.
    fn try_again(&mut self, context: &mut Context, index: usize, next: Extra) -> Challenged {
        self.attempt_told(context, index, Some(407), Cause::Challenged);
        let Some((target, to)) = context.clients.get(index).map(|client| (client.target, client.to)) else {
            return Challenged::InVain;
        };
        if self.put(context, (target, to), Some(Box::new(next))) {
            Challenged::Answered
        } else {
            Challenged::InVain
        }
    }

    /// The same request with credentials. One of our own takes the next `CSeq` number.
    fn send_again(&mut self, context: &mut Context, index: usize, key: Key, next: Extra) -> Challenged {
        let (now, at, count) = (context.now, context.at, context.clients.len());
        let Some(client) = context.clients.get(index) else { return Challenged::InVain };
        let whom = client.whom.clone();
        let (Ok(sent), to, prefer) = (Message::parse(&client.sent), client.to, client.prefer) else {
            return Challenged::InVain;
        };
        let Ok(core) = Core::read(&sent) else { return Challenged::InVain };
        let own = u8::from(matches!(context.work, Work::Own));
        let place = with_shift(count, next.shift);
        let token = if own > 0 {
            self.token_own(at, place, core.call_id, core.cseq + 1)
        } else {
            let Some(request) = context.message() else { return Challenged::InVain };
            let Some(asked) = context.core() else { return Challenged::InVain };
            let seen = respond::seen(&context.source, &asked).shifted(next.shift);
            self.token(at, place, &seen, turn(request.request_uri()))
        };
        let mut top = Vec::with_capacity(512);
        self.via(&mut top, to.listener, &token);
        let cnonce = cnonce(&self.ring, &[&token]);
        let Some(session) = self.sessions.all.get_mut(&key) else { return Challenged::InVain };
        let asked = Asked { method: sent.method_text(), uri: sent.request_uri(), cnonce: &cnonce };
        session.write(&asked, &mut top);
        let bytes = edit::again(&sent, &top, own, |value| session.wrote(value));
        let mut again = self.client(now, to, token, bytes);
        let invite = context.method == Method::Invite;
        again.timer_c = invite.then(|| now + self.config.timers.timer_c);
        again.whom = whom;
        again.extra = Some(Box::new(next));
        self.launch(at, context, again, prefer);
        Challenged::Answered
    }

    /// What a caller is told where the target takes our password for a wrong one: nothing that it could answer itself.
    pub(super) fn not_let_in(&mut self, context: &Context) -> Vec<u8> {
        let tag = self.tag_of(context);
        let Some(request) = context.message() else { return Vec::new() };
        let lines = b"Reason: SIP;cause=503;text=\"target_auth: the target did not take the credentials that we have for it\"\r\n";
        let reply = Reply { status: 503, reason: "Target Refused Credentials", to_tag: &tag, lines };
        respond::reply(&request, &context.source, &reply)
    }
}

/// A text that only holders of the cluster's secret can foresee.
pub(super) fn cnonce(ring: &keys::Ring, parts: &[&[u8]]) -> Vec<u8> {
    let all: Vec<&[u8]> = std::iter::once(&b"cnonce"[..]).chain(parts.iter().copied()).collect();
    let mac = keys::mac(&ring.current().tag, &all);
    let mut text = Vec::with_capacity(16);
    keys::base64url(mac.get(..12).unwrap_or_default(), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_bounded_and_the_oldest_goes() {
        let login = Arc::new(Login { owner: Uuid::nil(), username: "u".into(), password: b"p".to_vec() });
        let key = |n: usize| (Uuid::from_u128(n as u128), SocketAddr::from(([192, 0, 2, 1], 5060)));
        let mut sessions = Sessions::default();
        for n in 0..SESSIONS_MAX + 10 {
            sessions.put(key(n), || Session::new(Arc::clone(&login)));
            if n % 2 == 0 {
                sessions.remove(key(n));
            }
        }
        assert!(sessions.order.len() <= SESSIONS_MAX && sessions.all.len() <= SESSIONS_MAX);
        assert!(!sessions.all.contains_key(&key(9)) && sessions.all.contains_key(&key(SESSIONS_MAX + 9)));
    }
}
