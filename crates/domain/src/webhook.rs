//! Webhooks: where an organization's events are sent, what is sent, and when it is sent again.
//!
//! A webhook belongs to one API: its events have that API's names and its bodies that API's form. What makes a delivery is
//! named by the service's own event names ([`Webhook::topics`]). A delivery is one event on its way to one webhook, and the two
//! ids together name it: no event has two deliveries to one webhook.

use jiff::SignedDuration;

use crate::call::Call;
use crate::caller::Actor;
use crate::e164::{Country, E164, NumberType};
use crate::error::{Error, Result, What};
use crate::ids::{AgentId, EndpointId, EventId, NumberId, OrganizationId, WebhookId};
use crate::key::{Area, DialectName, Scope};
use crate::number::{Environment, Number, Status};
use crate::provider::Sealed;
use crate::target::host_and_port;
use crate::{Bag, Caller, Timestamp};

/// The most webhooks of one organization, those of all APIs together.
pub const WEBHOOKS_MAX: u32 = 20;
/// The longest address, in bytes.
pub const URL_MAX: usize = 2_048;
/// The most deliveries that wait for one webhook. One more gives up the oldest: a receiver that comes back learns the newest.
pub const WAITING_MAX: u64 = 10_000;
/// How long a delivery that is over is kept for its readers.
pub const KEPT_DAYS: i64 = 30;
/// The most that an event's own details may take in a delivery, in bytes of JSON; larger ones are left out.
pub const DETAILS_MAX: usize = 8_192;
/// How much is kept of why an attempt failed, in bytes.
pub const ERROR_MAX: usize = 200;
/// How long each attempt waits after the one before it: the first after the event itself. After the last one it is given up.
pub const WAITS: [SignedDuration; 5] = [
    SignedDuration::ZERO,
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
];
/// The longest of them: what is to wait for longer was written by a clock that was ahead.
pub const WAIT_MAX: SignedDuration = WAITS[WAITS.len() - 1];
/// How long a webhook rests whose receiver did not take a delivery: nothing is sent to it meanwhile.
pub const REST: SignedDuration = SignedDuration::from_mins(1);
/// The topic that stands for every event.
pub const EVERY: &str = "*";
/// What events are about, with the area whose right to read shows the same. All else is in the audit log alone.
const AREAS: [(&str, Area); 12] = [
    ("agent", Area::Agents),
    ("balance", Area::Billing),
    ("call", Area::Calls),
    ("endpoint", Area::Endpoints),
    ("key", Area::Keys),
    ("ledger", Area::Billing),
    ("number", Area::Numbers),
    ("organization", Area::Organization),
    ("provider", Area::Providers),
    ("rate", Area::Billing),
    ("stock", Area::Numbers),
    ("webhook", Area::Webhooks),
];

/// Where events are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose events.
    pub organization_id: OrganizationId,
    /// The API it was made in, which alone sees it, and whose form its bodies have.
    pub dialect: DialectName,
    /// Where to.
    pub url: String,
    /// The events it wants, as its API names them; given back as they are.
    pub events: Vec<String>,
    /// The same as the service names them: see [`is_wanted`].
    pub topics: Vec<String>,
    /// Whether events are sent. One that is switched off misses what happens meanwhile; what waits is sent once it is on again.
    pub active: bool,
    /// What bodies are signed with, encrypted.
    pub secret: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// Events by both names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As the API of the webhook names them.
    pub events: Vec<String>,
    /// As the service names them.
    pub topics: Vec<String>,
}

/// What a new webhook is made of, and what a change of one may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookPatch {
    /// Where to.
    pub url: Option<String>,
    /// What it wants.
    pub wanted: Option<Wanted>,
    /// Whether events are sent.
    pub active: Option<bool>,
}

impl Webhook {
    /// A new webhook. `id` and `secret` are made outside: they need randomness.
    pub fn create(
        organization_id: OrganizationId,
        dialect: DialectName,
        (id, secret): (WebhookId, Sealed),
        new: WebhookPatch,
        now: Timestamp,
    ) -> Result<Self> {
        let missing = |field| Err(Error::missing(What::Webhook, field));
        if new.url.is_none() {
            return missing("url");
        }
        if new.wanted.is_none() {
            return missing("events");
        }
        let blank = Self {
            id,
            organization_id,
            dialect,
            url: String::new(),
            events: Vec::new(),
            topics: Vec::new(),
            active: true,
            secret,
            created_at: now,
            updated_at: now,
            version: 0,
        };
        let made = blank.update(new, now)?;
        Ok(Self { version: 1, ..made })
    }

    /// Applies a patch; the same webhook back means that nothing changed.
    pub fn update(&self, patch: WebhookPatch, now: Timestamp) -> Result<Self> {
        let WebhookPatch { url, wanted, active } = patch;
        let mut next = self.clone();
        if let Some(url) = url {
            next.url = checked(url)?;
        }
        if let Some(Wanted { events, topics }) = wanted {
            if events.is_empty() {
                let words = "`events` must name at least one event.";
                return Err(Error::invalid(What::Webhook, "events", words));
            }
            (next.events, next.topics) = (events, topics);
        }
        next.active = active.unwrap_or(next.active);
        if next != *self {
            next.version += 1;
            next.updated_at = now;
        }
        Ok(next)
    }

    /// Refuses a caller who would have something sent that it may not read: all that the webhook wants at a new address, what it
    /// did not want before at the old one. `before` is the webhook before the change, if there was one.
    pub fn check_told(&self, before: Option<&Self>, caller: &Caller) -> Result<()> {
        let known = before.filter(|before| before.url == self.url).map_or(&[][..], |before| &before.topics);
        self.topics
            .iter()
            .filter(|topic| !known.contains(topic))
            .try_for_each(|topic| check_reads(caller, topic))
    }
}

/// Refuses a caller who may not read what a topic tells. For every event that is the audit log, which later versions' events stand
/// in too, and every area: an event tells more of its thing than the log does.
fn check_reads(caller: &Caller, topic: &str) -> Result<()> {
    let noun = topic.split('.').next().unwrap_or_default();
    let read = |area| caller.require(Scope::read(area));
    if topic == EVERY {
        AREAS.iter().try_for_each(|(_, area)| read(*area))?;
    }
    read(AREAS.iter().find(|(name, _)| *name == noun).map_or(Area::Events, |(_, area)| *area))
}

/// Whether one of these topics is about an event of this name (the service's). A topic can name the state of the number that the
/// event is about, behind a colon: `number.purchased:active`. See [`told_as`].
pub fn is_wanted(topics: &[String], name: &str, number: Option<Status>) -> bool {
    let in_state = |topic: &str| match topic.split_once(':') {
        Some((event, state)) => event == name && number.is_some_and(|status| status.as_str() == state),
        None => false,
    };
    topics.iter().any(|topic| topic == name || topic == EVERY || in_state(topic))
}

/// The state of a number that an event of this time tells: the number's own. One that had been given up before it was deleted
/// counts as released still, so that topics can tell apart what gave it up.
pub fn told_as(number: &Number, at: Timestamp) -> Status {
    match number.released_at {
        Some(given_up) if number.status == Status::Deleted && given_up < at => Status::Released,
        _ => number.status,
    }
}

/// An address that requests can be sent to. Whether it is one that they may be sent to is asked when they are: a name's address
/// is not known before.
fn checked(url: String) -> Result<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b));
    if url.len() > URL_MAX || !plain || host_and_port(authority).is_none() {
        let words = format!(
            "`url` must be an address of at most {URL_MAX} bytes that begins with https:// or http://, without a user, a password \
             or a fragment."
        );
        return Err(Error::invalid(What::Webhook, "url", words));
    }
    Ok(url)
}

/// What a delivery tells: one event, with the thing it is about as it was then.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// The event's id: the same in each attempt and for each webhook, so that receivers can tell a repeat.
    pub id: EventId,
    /// Whose.
    pub organization_id: OrganizationId,
    /// What happened, by the service's name.
    pub name: String,
    /// Who did it.
    pub actor: Actor,
    /// The id of the thing.
    pub subject: String,
    /// What the audit log tells besides.
    pub details: Bag,
    /// The thing.
    pub about: About,
    /// When.
    pub at: Timestamp,
}

/// The thing that an event is about, as it was when it happened.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// One that is told by its id alone.
    Other,
    /// A number.
    Number(Box<NumberBrief>),
    /// A call, without its attempts.
    Call(Box<Call>),
}

/// A number as told in events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberBrief {
    /// Its id.
    pub id: NumberId,
    /// The number.
    pub e164: E164,
    /// Its country.
    pub country: Country,
    /// Its type.
    pub kind: NumberType,
    /// Its state.
    pub status: Status,
    /// Where its calls go.
    pub endpoint_id: Option<EndpointId>,
    /// Who answers them.
    pub agent_id: Option<AgentId>,
    /// In which environment.
    pub environment: Environment,
}

/// An event on its way to a webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The event.
    pub happening: Happening,
    /// How often it was tried.
    pub attempts: u32,
    /// What is to become of it, or became.
    pub state: DeliveryState,
    /// The last attempt.
    pub last: Option<Tried>,
}

/// What is to become of a delivery, or became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried at this time or as soon as possible after it.
    Waiting(Timestamp),
    /// The receiver took it.
    Delivered(Timestamp),
    /// It was tried as often as it may be, or others took its place.
    GivenUp(Timestamp),
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// When it ended.
    pub at: Timestamp,
    /// What came back.
    pub answer: Answer,
}

/// What came back of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer with this status, and the beginning of what it said where it was no success.
    Status(u16, Option<String>),
    /// None, for this reason.
    Failure(String),
}

impl Answer {
    /// Whether the receiver took the event: by any 2xx.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Status(200..=299, _))
    }
}

impl Delivery {
    /// What is to become of it after an attempt that ended now.
    #[must_use]
    pub fn tried(mut self, mut answer: Answer, now: Timestamp) -> Self {
        if let Answer::Status(_, Some(text)) | Answer::Failure(text) = &mut answer {
            text.truncate(text.floor_char_boundary(ERROR_MAX));
        }
        self.attempts += 1;
        let wait = usize::try_from(self.attempts).ok().and_then(|done| WAITS.get(done));
        let next = wait.and_then(|wait| now.checked_add(*wait).ok());
        self.state = match next {
            _ if answer.is_success() => DeliveryState::Delivered(now),
            Some(at) => DeliveryState::Waiting(at),
            None => DeliveryState::GivenUp(now),
        };
        self.last = Some(Tried { at: now, answer });
        self
    }

    /// Until when its webhook rests after this, an attempt's outcome: a receiver that failed is asked nothing for a while, so that
    /// those that hang hold up nobody else.
    pub fn rest(&self) -> Option<Timestamp> {
        let failed = match self.state {
            DeliveryState::Waiting(_) => self.attempts > 0,
            DeliveryState::GivenUp(_) => true,
            DeliveryState::Delivered(_) => false,
        };
        self.last.as_ref().filter(|_| failed).and_then(|tried| tried.at.checked_add(REST).ok())
    }

    /// The same from the beginning: it is sent at once, and tried as often as a new one.
    #[must_use]
    pub fn again(mut self, now: Timestamp) -> Self {
        self.attempts = 0;
        self.state = DeliveryState::Waiting(now);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn new(url: &str) -> WebhookPatch {
        let wanted = Wanted { events: vec!["made".into()], topics: vec!["number.purchased".into()] };
        WebhookPatch { url: Some(url.into()), wanted: Some(wanted), active: None }
    }

    fn made(patch: WebhookPatch) -> Result<Webhook> {
        let id = (WebhookId(Uuid::nil()), Sealed(vec![1]));
        Webhook::create(OrganizationId::NONE, DialectName("native".into()), id, patch, at(1))
    }

    fn delivery() -> Delivery {
        let happening = Happening {
            id: EventId(Uuid::nil()),
            organization_id: OrganizationId::NONE,
            name: "number.purchased".into(),
            actor: Actor::Service,
            subject: String::new(),
            details: Bag::new(),
            about: About::Other,
            at: at(0),
        };
        let (webhook_id, state) = (WebhookId(Uuid::nil()), DeliveryState::Waiting(at(0)));
        Delivery { webhook_id, happening, attempts: 0, state, last: None }
    }

    #[test]
    fn an_address_is_one_that_requests_can_be_sent_to() {
        for url in ["https://example.com/a?b=c", "http://127.0.0.1:8080", "http://[::1]:1/x", "https://a.b"] {
            assert_eq!(made(new(url)).unwrap().url, url);
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_MAX));
        for url in [
            "",
            "ftp://a.b",
            "example.com",
            "https://",
            "https:///x",
            "https://user:password@example.com",
            "https://@example.com",
            "https://example.com/#part",
            "https://example.com/a b",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://exa\u{6d}ple.com/\u{e9}",
            "HTTP://example.com",
            "http://ex_ample.com\\@evil.com/",
            &long,
        ] {
            assert_eq!(made(new(url)).unwrap_err().field, Some("url"), "{url}");
        }
    }

    #[test]
    fn nobody_has_sent_what_he_may_not_read() {
        let holder = |rights: &[&str]| {
            let scopes = rights.iter().map(|right| Scope::parse(right).unwrap()).collect();
            Caller { scopes: Some(scopes), ..Caller::operator(None) }
        };
        let hook = |url: &str, topics: &[&str]| {
            let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
            let wanted = Some(Wanted { events: topics.clone(), topics });
            made(WebhookPatch { wanted, ..new(url) }).unwrap()
        };
        let may = |rights: &[&str], topics: &[&str]| {
            hook("https://a.b", topics).check_told(None, &holder(rights)).map_err(|error| error.public)
        };
        for (topic, right) in [
            ("call.completed", "calls:read"),
            ("number.purchased:active", "numbers:read"),
            ("balance.low", "billing:read"),
            ("key.created", "api-keys:read"),
            ("later.added", "events:read"),
        ] {
            assert!(may(&[right], &[topic]).is_ok(), "{topic}");
            let refused = may(&["webhooks:write"], &[topic]).unwrap_err();
            assert!(refused.contains(right), "{topic}: {refused}");
        }
        assert!(may(&["calls:write"], &["call.started"]).is_ok(), "to write is to read");
        assert!(may(&["calls:read"], &["call.started", "agent.created"]).is_err());
        let all: Vec<_> = Area::NAMES.iter().map(|(_, area)| format!("{area}:read")).collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        assert!(may(&all, &[EVERY]).is_ok());
        for without in ["events:read", "calls:read", "numbers:read", "api-keys:read"] {
            let rest: Vec<_> = all.iter().copied().filter(|right| *right != without).collect();
            assert!(may(&rest, &[EVERY]).is_err(), "{without}");
        }
        // A change: what is told already at the same address may go on.
        let before = hook("https://a.b", &["call.started"]);
        let writer = holder(&["webhooks:write", "numbers:read"]);
        let told = |url: &str, topics: &[&str]| hook(url, topics).check_told(Some(&before), &writer).is_ok();
        assert!(told("https://a.b", &["call.started", "number.updated"]));
        assert!(!told("https://a.b", &["call.started", "call.failed"]));
        assert!(!told("https://c.d", &["call.started"]));
        assert!(told("https://c.d", &["number.updated"]));
    }

    #[test]
    fn every_event_is_about_something_that_has_an_area() {
        for name in crate::event::NAMES {
            assert!(AREAS.iter().any(|(noun, _)| name.split('.').next() == Some(noun)), "{name}");
        }
    }

    #[test]
    fn what_a_new_webhook_lacks_is_said() {
        let without_url = WebhookPatch { url: None, ..new("https://a.b") };
        assert_eq!(made(without_url).unwrap_err().field, Some("url"));
        let nothing = WebhookPatch { wanted: Some(Wanted::default()), ..new("https://a.b") };
        assert_eq!(made(nothing).unwrap_err().field, Some("events"));
        let webhook = made(new("https://a.b")).unwrap();
        assert_eq!((webhook.version, webhook.active), (1, true));
        let same = webhook.update(new("https://a.b"), at(9)).unwrap();
        assert_eq!(same, webhook);
        let off =
            webhook.update(WebhookPatch { active: Some(false), ..WebhookPatch::default() }, at(9)).unwrap();
        assert_eq!((off.version, off.updated_at), (2, at(9)));
    }

    #[test]
    fn a_topic_is_an_event_every_event_or_an_event_of_a_number_in_a_state() {
        let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (active, pending) = (Some(Status::Active), Some(Status::Pending));
        let plain = topics(&["call.busy", "number.purchased"]);
        assert!(is_wanted(&plain, "number.purchased", pending) && is_wanted(&plain, "call.busy", None));
        assert!(!is_wanted(&plain, "number.released", active));
        let every = topics(&[EVERY]);
        assert!(is_wanted(&every, "number.purchased", pending) && is_wanted(&every, "agent.created", None));
        let in_state = topics(&["number.purchased:active"]);
        assert!(is_wanted(&in_state, "number.purchased", active));
        for (name, status) in
            [("number.purchased", pending), ("number.purchased", None), ("number.updated", active)]
        {
            assert!(!is_wanted(&in_state, name, status), "{name} {status:?}");
        }
    }

    #[test]
    fn attempts_come_after_nothing_a_minute_five_thirty_and_two_hours() {
        let (mut waiting, mut now) = (delivery(), at(0));
        for seconds in [60, 300, 1_800, 7_200] {
            waiting = waiting.tried(Answer::Status(500, None), now);
            let next = now + SignedDuration::from_secs(seconds);
            assert_eq!((waiting.state, waiting.rest()), (DeliveryState::Waiting(next), Some(now + REST)));
            now = next;
        }
        let over = waiting.clone().tried(Answer::Failure("x".repeat(ERROR_MAX * 2)), now);
        assert_eq!((over.attempts, over.state), (5, DeliveryState::GivenUp(now)));
        assert_eq!(over.last.clone().unwrap().answer, Answer::Failure("x".repeat(ERROR_MAX)));
        assert_eq!(over.rest(), Some(now + REST));
        let taken = waiting.tried(Answer::Status(204, None), now);
        assert_eq!((taken.state, taken.rest()), (DeliveryState::Delivered(now), None));
        let again = over.again(now);
        assert_eq!((again.state, again.rest()), (DeliveryState::Waiting(now), None));
        for status in [199, 300, 302, 404, 500] {
            assert!(!Answer::Status(status, None).is_success(), "{status}");
        }
    }
}
