//! Carriers: who a number is bought from. The mirror of the dialects: one folder per carrier, pure; building a request and
//! reading a reply, no network. Who sends the request, how often and what is written before and after it, is the server's.
//!
//! What a carrier cannot do is said with [`Failure::Unsupported`], not with an empty success, and a state that is not known
//! reads as pending, never as done.
//!
//! Some carriers need no request at all: the operator's own stock, and a trunk that an organization brings. They answer at once.
#![warn(clippy::wildcard_enum_match_arm)]

use domain::E164;
use domain::number::Network;
use domain::provider::ProviderKind;

pub mod account;
pub mod simulated;
mod stock;
mod trunk;
mod twilio;

/// What can be asked of a carrier. Adding an operation: here; each carrier's folder says by the build where it must decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarrierOp {
    /// Make the number reach us. A repeat with the same reference is the same purchase.
    Acquire(E164),
    /// Let the number go.
    Release(E164),
    /// Whether the number is ours there.
    Find(E164),
    /// A page of the numbers that are ours there; from the start, or where the last page ended.
    List(Option<String>),
}

/// A question to a carrier: what to do, and in whose account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// What to do.
    pub op: CarrierOp,
    /// Names the piece of work, the same for every repeat of it.
    pub reference: String,
    /// In whose account.
    pub account: Account<'a>,
}

/// An account at a carrier. Its secret is in clear here, and nowhere printed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Account<'a> {
    /// Where the carrier's API is; empty: where the carrier says.
    pub base_url: &'a str,
    /// The user name, or the account's id.
    pub username: &'a str,
    /// The secret.
    pub secret: &'a str,
}

impl std::fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(…)")
    }
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The HTTP method.
    pub method: &'static str,
    /// Where to: `https://…`, or [`simulated::SCHEME`] for the carrier within this program.
    pub url: String,
    /// Headers besides Host and Content-Length. Those that carry a secret are never logged.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body, bounded by who received it.
    pub body: &'a [u8],
    /// For how many seconds it asks to wait before the next request.
    pub retry_after: Option<u64>,
}

/// What a carrier does with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody needs to be asked.
    Told(Told),
    /// Send this, and hand the reply to [`Carrier::read`].
    Send(Request),
}

/// What a carrier says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The number is ours there.
    Ours,
    /// It is under way; calls do not come yet.
    Pending,
    /// The number is not ours there: not any more, or it never was.
    NotOurs,
    /// Numbers that are ours or on their way to be, and where the next page begins, if there is one.
    Page(Vec<E164>, Option<String>),
}

/// Why a carrier did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This carrier cannot do that; what to do instead.
    Unsupported(&'static str),
    /// It will not do that; its words. Final.
    Refused(String),
    /// It could not say; try again. For the log.
    Unavailable(String),
}

/// A carrier.
pub trait Carrier: Sync {
    /// Its name in logs and records.
    fn name(&self) -> &'static str;

    /// What to send, or the answer where nobody needs to be asked.
    fn build(&self, ask: &Ask<'_>) -> Result<Step, Failure>;

    /// Reads the reply to what [`Self::build`] made of the same question.
    fn read(&self, ask: &Ask<'_>, reply: Reply<'_>) -> Result<Told, Failure>;
}

/// The carrier of the numbers of a network that come through a kind of provider.
pub fn of(network: Network, kind: ProviderKind) -> &'static dyn Carrier {
    match (network, kind) {
        (Network::Simulated | Network::Test, _) => &simulated::Simulated,
        (Network::Public, ProviderKind::Managed) => &stock::Stock,
        (Network::Public, ProviderKind::SipTrunk | ProviderKind::Twilio) => &trunk::Trunk,
    }
}

/// Whether work at a carrier must be written down before it is asked: its answer comes from elsewhere.
pub fn is_asked(network: Network, kind: ProviderKind) -> bool {
    match (network, kind) {
        (Network::Simulated | Network::Test, _) => true,
        (Network::Public, ProviderKind::Managed | ProviderKind::SipTrunk | ProviderKind::Twilio) => false,
    }
}

/// What the carriers say that need not be asked: the number is on the operator's trunks, or on one that an organization
/// brought. They keep no list.
fn told_at_once(op: &CarrierOp) -> Result<Step, Failure> {
    match op {
        CarrierOp::Acquire(_) | CarrierOp::Find(_) => Ok(Step::Told(Told::Ours)),
        CarrierOp::Release(_) => Ok(Step::Told(Told::NotOurs)),
        CarrierOp::List(_) => Err(Failure::Unsupported("Numbers on a trunk are listed by its carrier.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_asking_is_told_at_once_and_only_that() {
        let number = E164::from_u64(14_155_550_100).unwrap();
        for (kind, _) in ProviderKind::NAMES {
            for (network, _) in Network::NAMES {
                let carrier = of(network, kind);
                assert!(!carrier.name().is_empty());
                let ask = |op| Ask { op, reference: "r".to_owned(), account: Account::default() };
                let acquired = carrier.build(&ask(CarrierOp::Acquire(number))).unwrap();
                let released = carrier.build(&ask(CarrierOp::Release(number))).unwrap();
                if is_asked(network, kind) {
                    assert!(matches!((acquired, released), (Step::Send(_), Step::Send(_))));
                } else {
                    assert_eq!((acquired, released), (Step::Told(Told::Ours), Step::Told(Told::NotOurs)));
                    let list = carrier.build(&ask(CarrierOp::List(None)));
                    assert!(matches!(list, Err(Failure::Unsupported(_))));
                }
            }
        }
    }
}
