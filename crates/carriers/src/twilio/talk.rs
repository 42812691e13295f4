//! The conversations: which request follows which reply.
//!
//! ```text
//! Attach:  find the number ─▶ trunk known? ─no─▶ list trunks ─▶ ours? ─no─▶ make one
//!                                │yes                │yes            │
//!                                ▼◀──────────────────┴───────────────┘
//!                   list origination URLs ─▶ ours? ─no─▶ make one
//!                                │yes            │
//!                                ▼◀──────────────┘
//!                    attached already? ─no─▶ attach
//! ```
//!
//! A trunk that is gone (somebody deleted it there) is made again, once.

use domain::E164;

use super::wire::{self, Number, Numbers, Originations, Trunk, Trunks, Wanted};
use crate::account::{Access, Outcome, Place, Talk, Task, Trouble, Turn};
use crate::{Reply, Request};

/// The most pages of a list that are read.
pub(super) const PAGES_MAX: u32 = 100;

/// See the module's head.
pub(super) struct Conversation {
    access: Access,
    task: Task,
    state: State,
    /// The number, once it is found.
    number: Option<Number>,
    pages: u32,
    /// Whether a trunk that was known turned out to be gone.
    lost: bool,
}

/// What was asked last.
enum State {
    Begin,
    Check,
    Find,
    /// The numbers that no page had so far.
    Missing(Vec<E164>),
    Trunks,
    TrunkCreate,
    Originations(String),
    OriginationCreate(String),
    Attach(String),
    Detach,
    Dismantle,
}

impl Talk for Conversation {
    fn turn(&mut self, reply: Option<Reply<'_>>) -> Result<Turn, Trouble> {
        let state = std::mem::replace(&mut self.state, State::Begin);
        match (state, reply) {
            (State::Begin, _) => self.begin(),
            (_, None) => Err(Trouble::Unavailable("a turn without its reply".to_owned(), None)),
            (State::Check, Some(reply)) => wire::read::<Numbers>(reply).map(|_| Turn::Done(Outcome::Fine)),
            (State::Find, Some(reply)) => self.found(reply),
            (State::Missing(left), Some(reply)) => self.page(left, reply),
            (State::Trunks, Some(reply)) => self.trunks(reply),
            (State::TrunkCreate, Some(reply)) => {
                let trunk = wire::read::<Trunk>(reply)?;
                self.check_account(&trunk)?;
                self.ask_originations(trunk.sid)
            }
            (State::Originations(trunk), Some(reply)) => self.originations(trunk, reply),
            (State::OriginationCreate(trunk), Some(reply)) => match reply.status {
                200 | 201 => self.attach(trunk),
                _ => Err(wire::trouble(reply)),
            },
            (State::Attach(trunk), Some(reply)) => match reply.status {
                200 | 201 => Ok(Turn::Done(Outcome::Attached(trunk))),
                _ => Err(wire::trouble(reply)),
            },
            (State::Detach | State::Dismantle, Some(reply)) => match reply.status {
                200..=204 | 404 => Ok(Turn::Done(Outcome::Fine)),
                _ => Err(wire::trouble(reply)),
            },
        }
    }
}

impl Conversation {
    pub(super) fn new(task: Task, access: Access) -> Self {
        Self { access, task, state: State::Begin, number: None, pages: 0, lost: false }
    }

    fn ask(&mut self, state: State, request: Request) -> Turn {
        self.state = state;
        Turn::Send(request)
    }

    fn begin(&mut self) -> Result<Turn, Trouble> {
        match self.task.clone() {
            Task::Check => {
                let request = wire::numbers(&self.access, &Wanted::Any)?;
                Ok(self.ask(State::Check, request))
            }
            Task::Find(number) | Task::Attach(number, _) | Task::Detach(number, Some(_)) => {
                let request = wire::numbers(&self.access, &Wanted::One(number))?;
                Ok(self.ask(State::Find, request))
            }
            Task::Missing(numbers) if numbers.is_empty() => Ok(Turn::Done(Outcome::Missing(numbers))),
            Task::Missing(numbers) => {
                let request = wire::numbers(&self.access, &Wanted::First)?;
                Ok(self.ask(State::Missing(numbers), request))
            }
            // Nothing was ever made there.
            Task::Detach(_, None) => Ok(Turn::Done(Outcome::Fine)),
            Task::Dismantle(trunk) => {
                let request = wire::trunk_delete(&self.access, &trunk)?;
                Ok(self.ask(State::Dismantle, request))
            }
            // Conversations of their own.
            Task::Open(_) | Task::Close(_) => {
                Err(Trouble::Unavailable("a task of another conversation".to_owned(), None))
            }
        }
    }

    fn found(&mut self, reply: Reply<'_>) -> Result<Turn, Trouble> {
        let page = wire::read::<Numbers>(reply)?;
        let wanted = match &self.task {
            Task::Find(number) | Task::Attach(number, _) | Task::Detach(number, _) => number.to_string(),
            Task::Check | Task::Missing(_) | Task::Dismantle(_) | Task::Open(_) | Task::Close(_) => {
                String::new()
            }
        };
        // The filter matches parts of a number too.
        let found = page.incoming_phone_numbers.into_iter().find(|number| number.e164 == wanted);
        match (self.task.clone(), found) {
            (Task::Attach(_, place), Some(number)) => {
                self.number = Some(number);
                match place.attachment {
                    Some(trunk) => self.ask_originations(trunk),
                    None => self.ask_trunks(None),
                }
            }
            // Only from our own trunk: whoever took it off that meanwhile wants it where it is.
            (Task::Detach(_, Some(trunk)), Some(number)) if number.trunk_sid.as_deref() == Some(&trunk) => {
                let request = wire::detach(&self.access, &trunk, &number.sid)?;
                Ok(self.ask(State::Detach, request))
            }
            (Task::Find(_), Some(_)) | (Task::Detach(..), _) => Ok(Turn::Done(Outcome::Fine)),
            (_, _) => Err(Trouble::NotOwned),
        }
    }

    fn page(&mut self, mut left: Vec<E164>, reply: Reply<'_>) -> Result<Turn, Trouble> {
        let page = wire::read::<Numbers>(reply)?;
        let read = |number: &Number| E164::from_digits(number.e164.trim_start_matches('+'));
        let here: std::collections::BTreeSet<E164> =
            page.incoming_phone_numbers.iter().filter_map(read).collect();
        left.retain(|number| !here.contains(number));
        match page.next() {
            Some(next) if !left.is_empty() => {
                self.count_page()?;
                let request = wire::numbers(&self.access, &Wanted::Page(&next))?;
                Ok(self.ask(State::Missing(left), request))
            }
            _ => Ok(Turn::Done(Outcome::Missing(left))),
        }
    }

    fn count_page(&mut self) -> Result<(), Trouble> {
        self.pages += 1;
        if self.pages < PAGES_MAX {
            return Ok(());
        }
        Err(Trouble::Refused("the account's lists are longer than this service reads".to_owned()))
    }

    fn ask_trunks(&mut self, page: Option<&str>) -> Result<Turn, Trouble> {
        let request = wire::trunks(&self.access, page)?;
        Ok(self.ask(State::Trunks, request))
    }

    fn ask_originations(&mut self, trunk: String) -> Result<Turn, Trouble> {
        let request = wire::originations(&self.access, &trunk)?;
        Ok(self.ask(State::Originations(trunk), request))
    }

    fn place(&self) -> Result<&Place, Trouble> {
        match &self.task {
            Task::Attach(_, place) => Ok(place),
            Task::Check
            | Task::Find(_)
            | Task::Missing(_)
            | Task::Detach(..)
            | Task::Dismantle(_)
            | Task::Open(_)
            | Task::Close(_) => Err(Trouble::Unavailable("a trunk without a place".to_owned(), None)),
        }
    }

    /// A key opens its own account only, also where it may read another's numbers: a trunk in the wrong account takes none of
    /// this one's.
    fn check_account(&self, trunk: &Trunk) -> Result<(), Trouble> {
        match &trunk.account_sid {
            Some(other) if *other != self.access.account => Err(Trouble::Refused(
                "the key is another account's; use one of the account itself".to_owned(),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn trunks(&mut self, reply: Reply<'_>) -> Result<Turn, Trouble> {
        let page = wire::read::<Trunks>(reply)?;
        let next = page.next();
        let name = self.place()?.name.clone();
        for trunk in page.trunks {
            self.check_account(&trunk)?;
            if trunk.friendly_name.as_deref() == Some(&name) {
                return self.ask_originations(trunk.sid);
            }
        }
        if let Some(next) = next {
            self.count_page()?;
            return self.ask_trunks(Some(&next));
        }
        let request = wire::trunk_create(&self.access, &name)?;
        Ok(self.ask(State::TrunkCreate, request))
    }

    fn originations(&mut self, trunk: String, reply: Reply<'_>) -> Result<Turn, Trouble> {
        if wire::is_gone(reply) && !self.lost {
            self.lost = true;
            return self.ask_trunks(None);
        }
        let page = wire::read::<Originations>(reply)?;
        let ours = self.place()?.sip_url.clone();
        let is_ours = |at: &wire::Origination| at.enabled && at.sip_url.as_deref() == Some(&ours);
        if page.origination_urls.iter().any(is_ours) {
            return self.attach(trunk);
        }
        let request = wire::origination_create(&self.access, &trunk, &ours)?;
        Ok(self.ask(State::OriginationCreate(trunk), request))
    }

    fn attach(&mut self, trunk: String) -> Result<Turn, Trouble> {
        let number = self.number.as_ref().ok_or(Trouble::NotOwned)?;
        if number.trunk_sid.as_deref() == Some(&trunk) {
            return Ok(Turn::Done(Outcome::Attached(trunk)));
        }
        let request = wire::attach(&self.access, &trunk, &number.sid)?;
        Ok(self.ask(State::Attach(trunk), request))
    }
}

#[cfg(test)]
#[path = "talk_tests.rs"]
mod tests;
