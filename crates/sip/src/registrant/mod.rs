//! Registering with a carrier (RFC 3261 section 10.2, RFC 5626 section 4): one binding of ours, made, kept fresh and taken away.
//! **Sans-I/O** like [`crate::Edge`]: names are looked up by the shell ([`RegistrantOutput::Locate`]), time comes in with each input, and
//! what is drawn hangs on a seed.
//!
//! One Call-ID for its whole life, with a `CSeq` that rises. At most one request is under way. Whatever goes wrong, the next try
//! is bounded from below: after a failure by the back-off of RFC 5626 section 4.5, after a refusal by [`REFUSED_REST`], so that
//! a wrong password locks nobody out. Files: `request` what is sent, `answer` what is made of answers, `status` what is told.
#![warn(clippy::indexing_slicing)]

mod answer;
mod request;
mod status;

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::bridge::places;
use crate::edge::{Fault, Send, SendId, Timers, private};
use crate::keys;
use crate::login::{Login, Session};
use crate::message::{Core, Message, Method};
use crate::transport::{Flow, Hop, Listener};
use request::{Sent, branch, send_id};
pub use request::{owner, sender};
pub use status::{RegistrantState, RegistrantStatus, Trouble};

/// The shortest wait after the first failure is half of this (`base-time` of RFC 5626 section 4.5, all flows being down).
const BASE: Duration = Duration::from_secs(30);
/// The longest wait after failures (`max-time`).
const MOST: Duration = Duration::from_mins(30);
/// A binding that lasted so long was no failure (`min-regtime`).
const STOOD: Duration = Duration::from_mins(2);
/// The longest rest after a refusal; the shortest is half of it.
pub const REFUSED_REST: Duration = Duration::from_hours(1);
/// The longest rest that a `Retry-After` can ask for.
const RETRY_MOST: Duration = Duration::from_hours(1);
/// Hops that are tried one after the other.
const HOPS_MAX: usize = 4;
/// The shortest pause between two registrations that went well.
const REFRESH_MIN: Duration = Duration::from_secs(10);

/// What is registered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The Request-URI: the registrar's domain, without a user.
    pub registrar: String,
    /// The address of record, as a URI.
    pub aor: String,
    /// The user part of our Contact.
    pub user: String,
    /// The instance that registers (RFC 5626 section 4.1): the same over restarts.
    pub instance: Uuid,
    /// What answers challenges.
    pub login: Arc<Login>,
    /// How long the binding is to last, in seconds.
    pub expires: u32,
}

/// What a [`Registrant`] is built with.
#[derive(Clone)]
pub struct RegistrantConfig {
    /// Tells it from others of the process: its answers and faults name it.
    pub index: u32,
    /// What it registers.
    pub account: Account,
    /// The sockets, in the order that [`Flow::listener`] counts them.
    pub listeners: Arc<[Listener]>,
    /// T1 and T2.
    pub timers: Timers,
    /// Another one each time: Call-ID, tags, branches and waits are drawn from it.
    pub seed: [u8; 32],
}

/// What a [`Registrant`] gives.
#[derive(Debug)]
pub enum RegistrantOutput {
    /// Where is this URI (RFC 3263)? To be answered by [`Registrant::found`].
    Locate(String),
    /// Bytes to send.
    Send(Send),
}

/// A binding that the registrar has taken.
#[derive(Clone, Copy, Debug)]
struct Bound {
    flow: Flow,
    until: Instant,
    /// When it was taken, or taken again after a failure.
    since: Instant,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is under way; the next try is then.
    Waiting(Instant),
    /// The shell looks the registrar up.
    Locating,
    /// A request awaits its final answer.
    Asking(Box<Sent>),
    /// The binding is gone, and nothing more will be done.
    Over,
}

/// Where a registrar has sent us.
#[derive(Debug)]
struct Moved {
    uri: String,
    /// By which answer, and from where.
    by: (u16, IpAddr),
}

/// What was spent on one try.
#[derive(Debug, Default)]
struct Attempt {
    hops: VecDeque<Hop>,
    logins: u8,
    redirects: u8,
    /// 423 was obeyed already.
    brief: bool,
}

/// See the module's head.
pub struct Registrant {
    config: RegistrantConfig,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Of names that were drawn.
    count: u64,
    session: Session,
    /// How long is asked for, in seconds: 423 raises it.
    expires: u32,
    /// Where a 301 or 302 has led.
    moved: Option<Moved>,
    attempt: Attempt,
    stage: Stage,
    bound: Option<Bound>,
    failures: u32,
    trouble: Option<Trouble>,
    refused: bool,
    service_route: Vec<String>,
    leaving: bool,
    out: VecDeque<RegistrantOutput>,
}

impl fmt::Debug for Registrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrant").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Whether an address is one that somebody at another may name: who is on the public network names none that is not.
fn fit(named: IpAddr, by: IpAddr) -> bool {
    !private(named) || private(by)
}

impl Registrant {
    /// One that makes its first try at `at`.
    pub fn new(config: RegistrantConfig, at: Instant) -> Self {
        let session = Session::new(Arc::clone(&config.account.login));
        let expires = config.account.expires;
        let mut new = Self {
            config,
            call_id: String::new(),
            tag: String::new(),
            cseq: 0,
            count: 0,
            session,
            expires,
            moved: None,
            attempt: Attempt::default(),
            stage: Stage::Waiting(at),
            bound: None,
            failures: 0,
            trouble: None,
            refused: false,
            service_route: Vec::new(),
            leaving: false,
            out: VecDeque::new(),
        };
        (new.call_id, new.tag) = (new.token(), new.token());
        new
    }

    /// What it registers.
    pub fn account(&self) -> &Account {
        &self.config.account
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<RegistrantOutput> {
        self.out.pop_front()
    }

    /// When [`Registrant::tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Waiting(at) => Some(*at),
            Stage::Asking(sent) => Some(sent.repeat.map_or(sent.until, |(at, _)| at.min(sent.until))),
            Stage::Locating | Stage::Over => None,
        }
    }

    /// True when nothing more will be sent or awaited.
    pub fn finished(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Waiting(at) if *at <= now => self.begin(),
            Stage::Asking(sent) if sent.until <= now => self.next_hop(now, Trouble::Silent),
            Stage::Asking(sent) => {
                if let Some((_, pause)) = sent.repeat.filter(|(at, _)| *at <= now) {
                    // timer E (RFC 3261 section 17.1.2.2)
                    let pause = (pause * 2).min(self.config.timers.t2);
                    sent.repeat = Some((now + pause, pause));
                    self.out.push_back(RegistrantOutput::Send(sent.again()));
                }
            }
            Stage::Waiting(_) | Stage::Locating | Stage::Over => {}
        }
    }

    /// Begins a try.
    fn begin(&mut self) {
        self.attempt = Attempt::default();
        self.locate();
    }

    fn locate(&mut self) {
        self.stage = Stage::Locating;
        self.out.push_back(RegistrantOutput::Locate(self.uri().to_owned()));
    }

    /// The Request-URI.
    fn uri(&self) -> &str {
        self.moved.as_ref().map_or(&self.config.account.registrar, |moved| &moved.uri)
    }

    /// Where the registrar is, in the order of trying; empty: its name could not be looked up.
    pub fn found(&mut self, now: Instant, hops: &[Hop]) {
        if !matches!(self.stage, Stage::Locating) {
            return;
        }
        if hops.is_empty() {
            return self.fail(now, Trouble::Fault(Fault::Unresolved), None);
        }
        let good = |hop: &Hop| self.moved.as_ref().is_none_or(|moved| fit(hop.addr.ip(), moved.by.1));
        self.attempt.hops = hops.iter().copied().filter(good).take(HOPS_MAX).collect();
        if let (Some(Moved { by: (status, _), .. }), true) = (&self.moved, self.attempt.hops.is_empty()) {
            return self.fail(now, Trouble::Answer(*status), None);
        }
        self.next_hop(now, Trouble::Fault(Fault::Unspoken));
    }

    /// Tries the next hop; with none left the try has failed, for the reason of the last.
    fn next_hop(&mut self, now: Instant, why: Trouble) {
        if self.leaving {
            self.stage = Stage::Over;
            return;
        }
        let listeners = Arc::clone(&self.config.listeners);
        let mut flows = std::iter::from_fn(|| self.attempt.hops.pop_front())
            .map(|hop| places::flow_to(&listeners, hop, 0));
        match flows.find_map(|flow| flow) {
            Some(flow) => self.ask(now, flow),
            None => self.fail(now, why, None),
        }
    }

    /// Sends a REGISTER.
    fn ask(&mut self, now: Instant, to: Flow) {
        self.cseq += 1;
        let branch = branch(self.config.index, &self.token());
        let bytes = self.write(to, &branch);
        self.count += 1;
        let id = send_id(self.config.index, self.count);
        let t1 = self.config.timers.t1;
        let repeat = (!to.transport.stream()).then(|| (now + t1, t1));
        let whom = crate::Whom::of(self.uri().as_bytes());
        let sent = Sent { id, branch, to, whom, bytes, repeat, until: now + t1 * 64 };
        self.out.push_back(RegistrantOutput::Send(sent.again()));
        self.stage = Stage::Asking(Box::new(sent));
    }

    /// A message that [`owner`] says is this one's.
    pub fn handle(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        let Stage::Asking(sent) = &mut self.stage else { return };
        let ours = core.via.branch == Some(sent.branch.as_bytes()) && core.method == Method::Register;
        let Some(status) = message.status().filter(|_| ours) else { return };
        if status < 200 {
            // RFC 3261 section 17.1.2.2, "Proceeding"
            let t2 = self.config.timers.t2;
            sent.repeat = sent.repeat.map(|_| (now + t2, t2));
            return;
        }
        let to = Flow { connection: flow.connection, ..sent.to };
        self.answered(now, to, (status, &message));
    }

    /// A send failed.
    pub fn fault(&mut self, now: Instant, failed: SendId, why: Fault) {
        if matches!(&self.stage, Stage::Asking(sent) if sent.id == failed) {
            self.next_hop(now, Trouble::Fault(why));
        }
    }

    /// The connection by which calls come, if they come by one.
    pub fn connection(&self) -> Option<u64> {
        self.bound.and_then(|bound| bound.flow.connection)
    }

    /// A connection has ended, and with it the flow that calls would have come by (RFC 5626 section 4.4).
    pub fn lost(&mut self, now: Instant, connection: u64) {
        if self.connection() != Some(connection) {
            return;
        }
        // A try that is under way hears of its own fault.
        if matches!(self.stage, Stage::Waiting(_)) {
            self.fail(now, Trouble::Fault(Fault::Broken), None);
        }
        self.bound = None;
    }

    /// Takes the binding away; then it is over.
    pub fn leave(&mut self, now: Instant) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        // What is under way may bind us yet.
        let asking = match &self.stage {
            Stage::Asking(sent) => Some(sent.to),
            Stage::Waiting(_) | Stage::Locating | Stage::Over => None,
        };
        match self.bound.map(|bound| bound.flow).or(asking) {
            Some(flow) => {
                self.attempt = Attempt::default();
                self.ask(now, flow);
            }
            None => self.stage = Stage::Over,
        }
    }

    /// Tries again later: RFC 5626 section 4.5.
    fn fail(&mut self, now: Instant, why: Trouble, retry_after: Option<Duration>) {
        let most = BASE.saturating_mul(1 << self.failed(now).min(16)).min(MOST);
        let wait = self.half_to(most).max(retry_after.unwrap_or_default().min(RETRY_MOST));
        // The next binding is counted from its own beginning.
        if let Some(bound) = &mut self.bound {
            bound.since = now;
        }
        self.moved = None;
        self.rest(now, why, wait);
    }

    /// Counts a try that came to nothing; how many did before it in a row.
    fn failed(&mut self, now: Instant) -> u32 {
        let stood = self.bound.is_some_and(|bound| now.duration_since(bound.since) >= STOOD);
        let before = if stood { 0 } else { self.failures };
        self.failures = before.saturating_add(1);
        before
    }

    /// Does not try again for long: the registrar has said no, and would say so again.
    fn refuse(&mut self, now: Instant, why: Trouble) {
        self.failed(now);
        let wait = self.half_to(REFUSED_REST);
        self.session = Session::new(Arc::clone(&self.config.account.login));
        (self.bound, self.moved) = (None, None);
        self.rest(now, why, wait);
        self.refused = true;
    }

    fn rest(&mut self, now: Instant, why: Trouble, wait: Duration) {
        (self.trouble, self.refused) = (Some(why), false);
        self.stage = if self.leaving { Stage::Over } else { Stage::Waiting(now + wait) };
    }

    /// A time drawn between the half and the whole.
    fn half_to(&mut self, most: Duration) -> Duration {
        let half = most / 2;
        half + Duration::from_millis(self.draw(u64::try_from(half.as_millis()).unwrap_or(u64::MAX)))
    }

    fn mac(&mut self) -> [u8; 32] {
        self.count += 1;
        keys::mac(&self.config.seed, &[b"registrant", &self.count.to_be_bytes()])
    }

    /// A number of at most `most`, another each time.
    fn draw(&mut self, most: u64) -> u64 {
        self.mac().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) % most.saturating_add(1)
    }

    /// A Call-ID, a tag, what makes a branch another's.
    fn token(&mut self) -> String {
        let mut text = Vec::new();
        keys::base64url(self.mac().get(..15).unwrap_or_default(), &mut text);
        crate::text::owned(&text)
    }
}
