//! The words between the edge and its shell: settings, inputs, outputs. Data only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::onward::Leg;
use super::probe::Probed;
use crate::bridge::BridgeLeg;
use crate::cookie::{CallIds, Direction, Reach};
use crate::keys::Keys;
use crate::login::Login;
use crate::message::{Kept, Message, Name};
use crate::register::Register;
use crate::sdp::{Media, MediaRule};
use crate::text;
use crate::transport::{Flow, Hop, Listener};
use crate::uri::{Dialled, Uri};

/// What an [`crate::Edge`] is built with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sockets, in the order that [`Flow::listener`] counts them.
    pub listeners: Vec<Listener>,
    /// Number of this node in the cluster.
    pub node: u16,
    /// Generation of this process: another one than that of any process whose answers may still arrive.
    pub process: u32,
    /// The cluster's secret.
    pub keys: Keys,
    /// Durations.
    pub timers: Timers,
    /// Bounds.
    pub limits: Limits,
}

/// Durations of RFC 3261 section 17 and of this edge.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// T1, the round trip estimate (500 ms).
    pub t1: Duration,
    /// T2, the longest pause between repeats (4 s).
    pub t2: Duration,
    /// T4, how long a message may stay in the network (5 s).
    pub t4: Duration,
    /// No provisional answer in this time: the next target is tried.
    pub no_provisional: Duration,
    /// Timer C (RFC 3261 section 16.6), at least 3 minutes by the book.
    pub timer_c: Duration,
    /// A call that is not answered in this time gets a final answer.
    pub setup: Duration,
    /// The longest session interval (RFC 4028): asked for where the caller asks for none or for more. Zero: calls are left as
    /// they are.
    pub session: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            no_provisional: Duration::from_secs(2),
            timer_c: Duration::from_mins(3),
            setup: Duration::from_mins(2),
            session: Duration::from_mins(30),
        }
    }
}

/// Bounds on what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Transactions alive at once; above it new requests are refused with 503.
    pub transactions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { transactions_max: 100_000 }
    }
}

/// Names a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId(pub(crate) u64);

/// Names a [`Send`], so that its fault can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendId(pub(crate) u64);

impl SendId {
    /// One by its number: for tests of shells, which no edge gives any.
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

impl AskId {
    /// Which edge of the process asks.
    pub fn shard(self) -> u8 {
        shard_of(self.0)
    }
}

/// Both kinds of ids begin with the index of their context, and this with the edge's own number.
const fn shard_of(id: u64) -> u8 {
    let [first, ..] = id.to_be_bytes();
    first >> 2
}

impl SendId {
    /// Which edge of the process sends.
    pub fn shard(self) -> u8 {
        shard_of(self.0)
    }

    /// A send whose fault changes nothing.
    pub const NONE: Self = Self(0);
}

/// What the shell tells the edge.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram, or one framed message of a stream.
    Message {
        /// Where it came from.
        flow: Flow,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A message that was read already, to find out which edge it is for.
    Parsed {
        /// Where it came from.
        flow: Flow,
        /// The message.
        message: &'a Message<'a>,
    },
    /// The answer to an [`Ask`].
    Verdict {
        /// Which question.
        ask: AskId,
        /// The answer.
        verdict: Verdict,
    },
    /// The verdict of a known source takes longer: the caller is told 100 meanwhile.
    Trying {
        /// Which question.
        ask: AskId,
    },
    /// A send or its connection failed.
    Fault {
        /// Which send.
        send: SendId,
        /// Why.
        why: Fault,
    },
    /// The answer to an [`Output::Login`]; none where there is no such login any more.
    Login {
        /// Which question.
        ask: LoginAsk,
        /// The answer.
        login: Option<Arc<Login>>,
    },
    /// Time has passed: a deadline of [`crate::Edge::next_deadline`].
    Tick,
}

/// What the edge tells the shell, in this order: a [`Fact`] is journaled before the sends behind it leave.
#[derive(Debug)]
pub enum Output {
    /// Bytes to send.
    Send(Send),
    /// A question; boxed, since it is large and rare.
    Ask(Box<Ask>),
    /// Something for the call's record.
    Fact(Box<Fact>),
    /// The login that answers a target's challenges is needed for a call that this process did not set up.
    Login(LoginAsk),
    /// What came of a question of the shell's ([`crate::Edge::probe`]).
    Probed(Probed),
}

/// Asks for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginAsk {
    /// The call.
    pub call: Uuid,
    /// Where its callee is.
    pub callee: SocketAddr,
    /// [`Login::owner`].
    pub owner: Uuid,
}

/// Bytes to send.
#[derive(Clone, Debug)]
pub struct Send {
    /// Names it in [`Input::Fault`].
    pub id: SendId,
    /// Where to. Without `connection` on a stream: any live one to `remote`, else a new one.
    pub to: Flow,
    /// For streams without `to.connection`: if a live connection to this hop exists, use it before connecting to
    /// `to.remote` (the hop of the dialog's cookie).
    pub prefer: Option<Hop>,
    /// For streams: who is to be at the other end of a new connection.
    pub whom: Whom,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Who is to be at the other end of a new connection: whom its certificate must name (RFC 5922), and where that is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Whom {
    /// The address itself.
    #[default]
    Address,
    /// This domain: of the target's URI.
    Domain(Arc<str>),
    /// This domain, of the next hop's URI in a dialog. Where no connection is left the name is looked up: what it leads to may
    /// listen where the dialog's hop does not.
    Named {
        /// The domain.
        host: Arc<str>,
        /// The port, where the URI has one.
        port: Option<u16>,
        /// Whose it is: the callee's hop is where we sent to, so it comes before what the name leads to.
        side: Side,
    },
    /// Somebody that a call of this organization goes to: within a dialog, where a peer names an address.
    Of(Uuid),
    /// Whoever is there already: no connection is made to an agent that made its own.
    Connected,
}

/// What no name ends in (RFC 2606): the hosts of browsers (RFC 7118 section 5.1).
const NOBODYS: &str = ".invalid";

impl Whom {
    /// Of a target's URI.
    pub(crate) fn of(uri: &[u8]) -> Self {
        named(uri).map_or(Self::Address, |(host, _)| Self::Domain(host))
    }

    /// Of the next hop's URI within a dialog, on this side; `whose` is the call's organization.
    pub(crate) fn within(uri: &[u8], whose: Option<Uuid>, side: Side) -> Self {
        match named(uri) {
            // whom we called we reached without its name, and reach again so
            Some((host, _)) if side == Side::Caller && host.ends_with(NOBODYS) => Self::Connected,
            Some((host, port)) => Self::Named { host, port, side },
            None => whose.map_or(Self::Address, Self::Of),
        }
    }
}

/// The host of a URI in lower case, where it is a name, and its port.
fn named(uri: &[u8]) -> Option<(Arc<str>, Option<u16>)> {
    let uri = Uri::parse(uri).filter(|uri| uri.address().is_none())?;
    let host = std::str::from_utf8(uri.host).ok().filter(|host| !host.is_empty())?;
    Some((host.to_ascii_lowercase().into(), uri.port))
}

/// What kind of request asks for a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskKind {
    /// A new call.
    Invite,
    /// OPTIONS outside a dialog.
    Options,
    /// Another method outside a dialog.
    Other(String),
    /// A request the edge would refuse: say `Refuse` with this status to a known source, `Drop` to others.
    Malformed {
        /// The status.
        status: u16,
        /// The phrase.
        reason: &'static str,
    },
}

/// A request for a verdict. Nothing was answered yet, not even 100.
#[derive(Clone, Debug)]
pub struct Ask {
    /// To be given back.
    pub id: AskId,
    /// What it is about.
    pub kind: AskKind,
    /// Where it came from.
    pub flow: Flow,
    /// Who was dialled.
    pub dialled: Dialled,
    /// User part of From.
    pub from: Dialled,
    /// The Call-ID.
    pub call_id: String,
    /// What the offer says of encryption.
    pub media: Media,
    /// Of a REGISTER: what it asks.
    pub register: Option<Box<Register>>,
    /// The request itself, which its transaction keeps too: what few verdicts need is read when it is asked for.
    pub(crate) request: Arc<Kept>,
}

impl Ask {
    /// The Request-URI as written.
    pub fn request_uri(&self) -> String {
        text::owned(self.request.message().request_uri())
    }

    /// User part of To.
    pub fn to(&self) -> Dialled {
        Dialled::of(party(&self.request.message(), Name::To))
    }

    /// The URI of From.
    pub fn from_uri(&self) -> String {
        text::owned(party(&self.request.message(), Name::From))
    }

    /// User part of the identity that the caller asserts, else of the one it prefers (RFC 3325).
    pub fn identity(&self) -> Dialled {
        let message = self.request.message();
        let asserts = message.value(Name::AssertedIdentity).is_some();
        Dialled::of(party(&message, if asserts { Name::AssertedIdentity } else { Name::PreferredIdentity }))
    }

    /// Authorization and Proxy-Authorization values, as written.
    pub fn credentials(&self) -> Vec<String> {
        let message = self.request.message();
        let all = |name| message.all(name).map(|header| text::owned(header.value.of(message.bytes)));
        all(Name::Authorization).chain(all(Name::ProxyAuthorization)).collect()
    }
}

/// The URI of a From, a To or the like; empty where there is none.
pub(super) fn party<'a>(message: &Message<'a>, name: Name) -> &'a [u8] {
    message.value(name).and_then(text::name_addr).map(|read| read.uri).unwrap_or_default()
}

/// Whether the source's identity headers are believed (RFC 3325).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID and Diversion go on.
    Trusted,
    /// They are removed.
    #[default]
    Untrusted,
}

/// Whether the agent may hand its call to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transfer {
    /// A REFER goes on.
    #[default]
    Allowed,
    /// The agent's REFER, and its INVITE with `Replaces`, are refused with 603 for the whole of the call.
    Refused,
}

/// The shell's answer to an [`Ask`].
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Silence.
    Drop,
    /// A final answer.
    Refuse {
        /// Status, 300 to 699.
        status: u16,
        /// Phrase.
        reason: &'static str,
        /// Value of a `Reason` header (RFC 3326).
        reason_header: Option<String>,
        /// Seconds for `Retry-After`.
        retry_after: Option<u32>,
        /// The call whose record hears of it, as [`Fact::Failed`].
        fact_call: Option<CallIds>,
    },
    /// 200, to OPTIONS; any method here that is answered by the edge itself.
    Answer {
        /// Header lines to add, each without its line break.
        headers: Vec<String>,
    },
    /// 407, with these values of `Proxy-Authenticate`; to a REGISTER 401, with `WWW-Authenticate`.
    Challenge {
        /// Values, in the order of their headers; an empty one is left out.
        values: [String; 2],
    },
    /// The call goes on to these targets, in this order.
    Route {
        /// Its ids.
        call: CallIds,
        /// Its direction.
        direction: Direction,
        /// Whether identity headers go on.
        trust: Trust,
        /// Whether the agent may transfer it.
        transfer: Transfer,
        /// Where to; tried one after the other.
        targets: Vec<Target>,
        /// Which targets belong together, and what comes after them. Empty: all are one leg, by the default table.
        legs: Vec<Leg>,
    },
}

/// What a target needs beyond the ordinary: the same for all of its calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Answers its challenges.
    pub login: Option<Arc<Login>>,
    /// Its answers carry SDP without a type: they get one.
    pub sdp_type: bool,
    /// What one of its addresses refuses, none of its host is asked again: it would only repeat itself.
    pub once: bool,
    /// How long it may ring ([`Cause::TooLate`]), in place of [`Timers::setup`].
    pub ring: Option<Duration>,
}

/// A place a call can go to.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// As it is written in the request line.
    pub request_uri: String,
    /// Resolved addresses, in order.
    pub hops: Vec<Hop>,
    /// Hops over TCP that the target lists beside UDP: tried first where a request may be too large for a datagram (RFC 3261
    /// section 18.1.1).
    pub large: Vec<Hop>,
    /// An agent that registered is reached by the flow it came by, and nothing else: then `hops` has its hop alone.
    pub flow: Option<Flow>,
    /// The shell's own mark, given back in [`Fact::Attempt`].
    pub tag: u64,
    /// Header lines to add, each without its line break.
    pub headers: Vec<String>,
    /// The URI that stands in To in place of what the caller wrote; the caller finds its own in the answers.
    pub to: Option<String>,
    /// The URI that stands in From in place of what the caller wrote, with its tag; the caller finds its own in the answers.
    pub from: Option<String>,
    /// Which offers are refused within the call. The first one is judged by the shell, unless it comes with the answer.
    pub media: MediaRule,
    /// What it needs beyond the ordinary.
    pub manner: Option<Arc<Manner>>,
}

impl Target {
    /// The URI of the next hop: the first route that is added, or else the target's own.
    pub(crate) fn next(&self) -> &[u8] {
        let route = self.headers.iter().find_map(|line| line.strip_prefix("Route: "));
        let uri = route.and_then(|route| text::name_addr(route.as_bytes())).map(|read| read.uri);
        uri.unwrap_or(self.request_uri.as_bytes())
    }
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one who sent the INVITE.
    Caller,
    /// The one who got it.
    Callee,
}

/// Why nothing could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A connection that was up ended before the answer.
    Broken,
    /// The place cannot be reached, or refuses.
    Unreachable,
    /// No listener speaks the target's transport or its address family.
    Unspoken,
    /// Its name has no address.
    Unresolved,
    /// Its certificate is for another name.
    TlsName,
    /// Its certificate is no more, or not yet, valid.
    TlsExpired,
    /// Its certificate is of no authority that is known here.
    TlsUntrusted,
    /// TLS could not be agreed.
    Handshake,
    /// It does not take WebSocket, or not SIP in it.
    Upgrade,
    /// More waits for it than may.
    Full,
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It answered the call.
    Answered,
    /// It gave a final status.
    Refused,
    /// It asked for credentials, and got them in the next attempt.
    Challenged,
    /// It did not take our credentials.
    Auth,
    /// What it offered is refused: the call's sound would not be encrypted as it has to be.
    Media,
    /// No provisional answer in time; the next target was tried.
    Silent,
    /// Timer B or C, or the setup bound.
    Timeout,
    /// It rang longer than its leg allows.
    TooLate,
    /// The transport failed.
    Fault(Fault),
    /// The caller gave up.
    Cancelled,
    /// The shell ended it: [`crate::Edge::stop`].
    Stopped,
}

/// One attempt at a target.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The call.
    pub ids: CallIds,
    /// Counts from 0 within the call.
    pub n: u16,
    /// The Request-URI.
    pub target: String,
    /// The shell's mark on the target.
    pub tag: u64,
    /// Where it was sent.
    pub hop: Hop,
    /// Its final status, if there was one.
    pub status: Option<u16>,
    /// Why it ended.
    pub cause: Cause,
    /// When it was sent.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// When its first 180 to 199 came.
    pub ringing: Option<Instant>,
    /// The `Reason` header of its final answer, as written (RFC 3326).
    pub reason: Option<String>,
}

/// What it takes to write a BYE to either side (RFC 3261 section 12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: String,
    /// Tag of the caller.
    pub from_tag: String,
    /// Tag of the callee.
    pub to_tag: String,
    /// From value of the INVITE, tag included.
    pub from: String,
    /// To value of the 2xx, tag included.
    pub to: String,
    /// Contact URI of the caller; unknown when the INVITE was seen by another process.
    pub caller_contact: Option<String>,
    /// Contact URI of the callee.
    pub callee_contact: Option<String>,
    /// Route values from here to the caller, nearest first.
    pub caller_routes: Vec<String>,
    /// Route values from here to the callee, nearest first.
    pub callee_routes: Vec<String>,
    /// Where the caller is.
    pub caller_hop: Option<Hop>,
    /// Where the callee is.
    pub callee_hop: Option<Hop>,
    /// How it is reached there.
    pub callee_reach: Reach,
    /// Our listener on the caller's side, as its public `host:port`; not known in records of earlier versions.
    pub caller_listener: Option<String>,
    /// Our listener on the callee's side.
    pub callee_listener: Option<String>,
    /// The highest `CSeq` number of the caller that is known; of the INVITE, at first.
    pub cseq: u32,
    /// The highest `CSeq` number of the callee that is known; 0 while it sent no request.
    pub callee_cseq: u32,
    /// Session-Expires of the 2xx as written (RFC 4028).
    pub session_expires: Option<String>,
    /// Whose login answers the callee's challenges.
    pub login: Option<Uuid>,
    /// False when the 2xx lacks our Record-Route: in-dialog requests will not pass here.
    pub record_routed: bool,
    /// The caller had sent its CANCEL before the 2xx came.
    pub crossed: bool,
    /// A side asks for its sound at an address of its own network, and the other side is on the public one.
    pub unreachable: bool,
    /// Of a bridged call: the caller's dialog, which is another one than the callee's.
    pub bridged: Option<Box<BridgeLeg>>,
}

/// `CSeq` numbers of up to so many bits need no [`Fact::Step`]: our BYE is numbered above all of them anyway.
pub const STEP_FIRST: u8 = 10;

/// How much was known at the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The process that saw the INVITE saw the answer.
    Transaction,
    /// Only the cookie told of the call.
    CookieOnly,
}

/// What a call's record needs. Facts may repeat: they are unique on (call, kind).
#[derive(Clone, Debug)]
pub enum Fact {
    /// An attempt at a target ended.
    Attempt(Attempt),
    /// The first 2xx, before it goes to the caller.
    Answered {
        /// The call.
        ids: CallIds,
        /// Enough to end it.
        dialog: Box<Dialog>,
        /// How much was known.
        known: Known,
    },
    /// A BYE, before it goes on.
    Ended {
        /// The call.
        ids: CallIds,
        /// Who hung up.
        by: Side,
        /// Tag of the callee: the end counts only for the dialog whose [`Fact::Answered`] has this `to_tag`. A target
        /// that was passed over may answer and hang up before the edge ends it itself.
        callee_tag: String,
        /// `Reason` header as written.
        reason: Option<String>,
    },
    /// We end the call ([`crate::Edge::hang_up`]), before our BYEs leave.
    HungUp {
        /// The call.
        ids: CallIds,
        /// The shell's own mark: why.
        mark: u64,
    },
    /// A request in the dialog with a `CSeq` number of more bits than [`STEP_FIRST`], before it goes on: our own BYE must
    /// be numbered above it. At most one for each number of bits counts; the rest may be forgotten.
    Step {
        /// The call.
        ids: CallIds,
        /// Whose request.
        by: Side,
        /// How many bits the number has, up to 31.
        bits: u8,
    },
    /// Setup ended without an answer, before the final answer goes to the caller.
    Failed {
        /// The call.
        ids: CallIds,
        /// The final status.
        status: u16,
        /// How it ended.
        cause: Cause,
    },
    /// One leg of a call that we place, before its INVITE goes, and again before its 2xx is acknowledged while the other side is
    /// still to be called: what ending it needs.
    Leg {
        /// The call.
        ids: CallIds,
        /// Which side it is.
        side: Side,
        /// The leg so far.
        leg: Box<BridgeLeg>,
    },
    /// A call that we place was not set up, before its legs are ended.
    Unplaced {
        /// The call.
        ids: CallIds,
        /// The side that did not take it, or gave it up.
        side: Side,
        /// The final status.
        status: u16,
        /// How it ended.
        cause: Cause,
    },
    /// A 2xx to a re-INVITE or UPDATE (RFC 4028), before it goes on. Of `ids` the number is not told.
    Refreshed {
        /// The call.
        ids: CallIds,
        /// The interval from now on; without one the session has no timer any more.
        seconds: Option<u32>,
    },
}
