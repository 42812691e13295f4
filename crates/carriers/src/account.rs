//! An organization's own account at a carrier: the numbers in it stay its own, and calls to them are directed to us. The other
//! half of the mirror: a carrier that sells us numbers is a [`crate::Carrier`].
//!
//! A task takes several requests, each made of the last one's reply: a [`Talk`] says what to send next, and takes what came
//! back. It looks before it changes anything, so a talk that broke off anywhere is simply begun again.

use std::time::Duration;

use domain::E164;
use domain::provider::{AddressRule, ProviderKind};

use crate::{Reply, Request, twilio};

/// What is to be done in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// See whether the key opens the account.
    Check,
    /// See whether the number is in the account.
    Find(E164),
    /// See which of these numbers are not in the account.
    Missing(Vec<E164>),
    /// Have calls to the number sent to us.
    Attach(E164, Place),
    /// No longer have them sent to us, if they are. The number stays in the account.
    Detach(E164, Option<String>),
    /// Take down what was made for us, once no number needs it.
    Dismantle(String),
    /// Have calls of ours let out to the phone network, by what was made for us.
    Open(WayOut),
    /// Let them out no longer: take down what [`Self::Open`] made beside, which is called so.
    Close(String),
}

/// By which name and password calls of ours are let out.
#[derive(Clone, PartialEq, Eq)]
pub struct WayOut {
    /// The carrier's id of what was made for us.
    pub attachment: String,
    /// What is made for it is called so, the same for every repeat.
    pub name: String,
    /// The first label of the domain that is asked for; one that is there already is kept.
    pub domain: String,
    /// Who we say we are.
    pub username: String,
    /// In clear here, and nowhere printed. The same for every repeat.
    pub password: String,
}

impl std::fmt::Debug for WayOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WayOut(…)")
    }
}

/// Where calls are to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is called there, the same for every repeat: it is found by this name.
    pub name: String,
    /// Our SIP address.
    pub sip_url: String,
    /// The carrier's id of it, where it was made before.
    pub attachment: Option<String>,
}

/// An account and its key. The secret is in clear here, and nowhere printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Where the carrier's API is, with `{region}` for the key's region; none: where the carrier says.
    pub base_url: Option<String>,
    /// The carrier's id of the account.
    pub account: String,
    /// The id of the key.
    pub key_id: String,
    /// Its secret.
    pub key_secret: String,
    /// Its region.
    pub region: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access(…)")
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send this, and hand over the reply.
    Send(Request),
    /// The task is done.
    Done(Outcome),
}

/// What a task came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so, or it is done.
    Fine,
    /// These numbers are not in the account.
    Missing(Vec<E164>),
    /// Calls are sent to us, through what has this id there.
    Attached(String),
    /// Calls of ours are let out at this host.
    Opened(String),
}

/// Why a task is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The key does not open the account.
    Credentials,
    /// The number is not in the account.
    NotOwned,
    /// The carrier will not do it; its words. Final.
    Refused(String),
    /// The carrier could not say; for the log, and how long it asks to wait.
    Unavailable(String, Option<Duration>),
}

/// A task under way.
pub trait Talk: Send {
    /// What comes next, given the reply to what was sent last; none at the beginning.
    fn turn(&mut self, reply: Option<Reply<'_>>) -> Result<Turn, Trouble>;
}

/// A carrier at which organizations have accounts.
pub trait AccountCarrier: Sync {
    /// Its name in logs and records.
    fn name(&self) -> &'static str;

    /// From where it sends calls.
    fn sources(&self) -> Vec<AddressRule>;

    /// Whether it lets calls out at a host.
    fn lets_out_at(&self, host: &str) -> bool;

    /// Begins a task.
    fn begin(&self, task: Task, access: Access) -> Box<dyn Talk>;
}

/// The carrier of a kind of account.
pub fn carrier(kind: ProviderKind) -> Option<&'static dyn AccountCarrier> {
    match kind {
        ProviderKind::Twilio => Some(&twilio::Twilio),
        ProviderKind::Managed | ProviderKind::SipTrunk => None,
    }
}
