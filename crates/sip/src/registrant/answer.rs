//! What a registrant makes of final answers.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Bound, Moved, REFRESH_MIN, Registrant, Stage, Trouble, fit};
use crate::login::challenges;
use crate::message::{Message, Name};
use crate::text;
use crate::transport::{Flow, Transport};
use crate::uri::{Scheme, Uri};

/// Challenges answered in one try: a realm, a stale nonce, a second realm.
const LOGINS_MAX: u8 = 3;
/// Redirections followed in one try.
const REDIRECTS_MAX: u8 = 3;
/// The longest time that a registrar can ask for or grant, in seconds: a week.
const EXPIRES_MOST: u32 = 7 * 86_400;
/// Routes of `Service-Route` that are kept, and the longest of them.
const ROUTES_MAX: usize = 8;
const ROUTE_MAX: usize = 255;

impl Registrant {
    pub(super) fn answered(&mut self, now: Instant, to: Flow, (status, message): (u16, &Message<'_>)) {
        let retry_after = || {
            let value = message.other("Retry-After")?;
            let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
            text::number(value.get(..digits)?).map(|seconds| Duration::from_secs(seconds.into()))
        };
        match status {
            401 | 407 => self.challenged(now, to, (status, message)),
            _ if self.leaving => self.stage = Stage::Over,
            200..=299 => self.accepted(now, to, message),
            301 | 302 => self.redirected(now, to, (status, message)),
            423 => self.too_brief(now, to, message),
            // Another try would say the same: who we are, or what we ask, is wrong.
            403 | 404 | 410 | 416 | 420 | 604 => self.refuse(now, Trouble::Refused(status)),
            // Somebody else may take it: this node of the registrar's cannot (RFC 3263 section 4.3).
            503 if !self.attempt.hops.is_empty() => self.next_hop(now, Trouble::Answer(status)),
            _ => self.fail(now, Trouble::Answer(status), retry_after()),
        }
    }

    fn challenged(&mut self, now: Instant, to: Flow, (status, message): (u16, &Message<'_>)) {
        // The first challenge of a try may be for a nonce of the last one that has aged.
        let fresh = self.attempt.logins == 0;
        let news = self.attempt.logins < LOGINS_MAX && self.session.take(challenges(message), fresh);
        if news {
            self.attempt.logins += 1;
            return self.ask(now, to);
        }
        let why = if fresh { Trouble::Challenge(status) } else { Trouble::Credentials(status) };
        self.refuse(now, why);
    }

    fn too_brief(&mut self, now: Instant, to: Flow, message: &Message<'_>) {
        let least = message.other("Min-Expires").map(text::trim).and_then(text::number);
        match least.filter(|least| (self.expires + 1..=EXPIRES_MOST).contains(least)) {
            Some(least) if !self.attempt.brief => {
                (self.expires, self.attempt.brief) = (least, true);
                self.ask(now, to);
            }
            Some(_) | None => self.fail(now, Trouble::Answer(423), None),
        }
    }

    /// Goes where the registrar says, until that fails; what began under TLS stays so.
    fn redirected(&mut self, now: Instant, to: Flow, (status, message): (u16, &Message<'_>)) {
        let secure = secure(self.uri());
        let next = message
            .values(Name::Contact)
            .filter_map(|value| place(text::name_addr(value)?.uri))
            .find(|uri| !secure || self::secure(uri));
        match next {
            Some(uri) if self.attempt.redirects < REDIRECTS_MAX => {
                self.attempt.redirects += 1;
                self.moved = Some(Moved { uri, by: (status, to.remote.ip()) });
                self.locate();
            }
            Some(_) | None => self.fail(now, Trouble::Answer(status), None),
        }
    }

    fn accepted(&mut self, now: Instant, to: Flow, message: &Message<'_>) {
        let granted = self.granted(message).min(EXPIRES_MOST);
        if granted == 0 {
            return self.fail(now, Trouble::Unbound, None);
        }
        let lasts = Duration::from_secs(granted.into());
        let since = self.bound.filter(|bound| bound.until > now).map_or(now, |bound| bound.since);
        self.bound = Some(Bound { flow: to, until: now + lasts, since });
        if now.duration_since(since) >= super::STOOD {
            self.failures = 0;
        }
        self.service_route = service_route(message, to.remote.ip());
        (self.trouble, self.refused) = (None, false);
        // Well before its end, so that there is time for another try, and not all at one time (three to four fifths of it).
        let fifth = lasts / 5;
        let drawn = self.draw(u64::try_from(fifth.as_millis()).unwrap_or(u64::MAX));
        let wait = (fifth * 3 + Duration::from_millis(drawn)).max(REFRESH_MIN);
        self.stage = Stage::Waiting(now + wait);
    }

    /// How long our binding lasts, in seconds: as its Contact says, else the answer, else as it was asked for.
    fn granted(&self, message: &Message<'_>) -> u32 {
        let contacts: Vec<_> = message.values(Name::Contact).filter_map(text::name_addr).collect();
        let own = |uri: &[u8]| {
            Uri::parse(uri).is_some_and(|uri| uri.user == Some(self.config.account.user.as_bytes()))
        };
        // A registrar that writes our Contact anew shows one.
        let ours = contacts.iter().find(|contact| own(contact.uri)).or(match &contacts[..] {
            [one] => Some(one),
            _ => None,
        });
        let said = ours.and_then(|contact| text::param_value(contact.params, b"expires"));
        let header = || message.other("Expires").map(text::trim);
        said.or_else(header).and_then(text::number).unwrap_or(self.expires)
    }
}

/// Where a redirection leads, as a Request-URI of REGISTER: without user and headers.
fn place(uri: &[u8]) -> Option<String> {
    let uri = Uri::parse(uri)?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let transport = match (uri.scheme, uri.param(b"transport")) {
        (Scheme::Sips, _) => Some(Transport::Tls),
        (Scheme::Sip, Some(named)) => Some(Transport::read(named)?),
        (Scheme::Sip, None) => None,
        _ => return None,
    };
    let host = text(uri.host).filter(|host| !host.is_empty())?;
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let port = uri.port.map(|port| format!(":{port}")).unwrap_or_default();
    let parameter = transport.map(|one| format!(";transport={}", one.param())).unwrap_or_default();
    Some(format!("sip:{host}{port}{parameter}"))
}

fn secure(uri: &str) -> bool {
    let transport = Uri::parse(uri.as_bytes()).and_then(|uri| uri.param(b"transport"));
    transport.and_then(Transport::read).is_some_and(Transport::secure)
}

/// The routes that calls out are to take (RFC 3608), as a registrar at an address names them; all or none.
fn service_route(message: &Message<'_>, by: IpAddr) -> Vec<String> {
    let values = message.every("Service-Route").flat_map(text::List);
    let read = |value: &[u8]| {
        let uri = Uri::parse(text::name_addr(value)?.uri)?;
        let fits = uri.loose() && value.len() <= ROUTE_MAX && !value.iter().any(u8::is_ascii_control);
        let fits = fits && uri.address().is_none_or(|named| fit(named, by));
        fits.then(|| text::owned(text::trim(value)))
    };
    let routes: Option<Vec<String>> = values.take(ROUTES_MAX + 1).map(read).collect();
    routes.filter(|routes| routes.len() <= ROUTES_MAX).unwrap_or_default()
}
