//! Numbers of organizations' own accounts: attached, so that calls to them come here, and detached.

use carriers::account::{Outcome, Place, Task, Trouble};
use carriers::{Failure, Told};
use domain::ids::ProviderId;
use domain::intent::{Progress, Work};
use domain::number::Network;
use domain::{Change, Commit, E164, Intent, Provider};
use store::CommitError;

use super::outcome::Concluded;
use super::{Carriage, RACES_MAX};
use crate::clock;

/// How often it is tried to detach a number: nothing here depends on it.
pub(super) const DETACH_TRIES: u32 = 8;

/// Whether a piece of work is one in an organization's own account: such numbers are of no stock.
pub(crate) fn is_in_account(intent: &Intent) -> bool {
    intent.stock_id.is_none() && intent.network == Network::Public && intent.provider_id.is_some()
}

impl Carriage {
    /// Does a task in a provider's account, of those that change nothing here.
    pub(crate) async fn in_account(&self, provider: &Provider, task: Task) -> Result<Outcome, Trouble> {
        self.accounts.run(provider, task).await
    }

    /// Works on an intent in one's turn with the account: by then the work may be another's or nobody's, or another node may just
    /// have asked. The turn is the claim, and lasts until the outcome is written down.
    pub(super) async fn work_in_account(&self, id: ProviderId, intent: Intent) {
        let at_work = async {
            match self.store.intent_get(intent.id) {
                Ok(Some(now)) if now.progress == Progress::Open && now.version == intent.version => {
                    let told = self.ask_account(id, &now).await;
                    self.conclude(now, told).await
                }
                Ok(_) => Concluded::Fine,
                Err(error) => {
                    tracing::error!(error = %error, intent.id = %intent.id, "an intent could not be read");
                    Concluded::Fine
                }
            }
        };
        match self.in_turn(id, at_work).await {
            Some(Concluded::Overtaken) => self.take_off(&intent).await,
            Some(Concluded::Fine) => {}
            None => self.later(intent).await,
        }
    }

    /// Work for which no turn was long enough waits, unless another node has got on with it. What it may have attached for work that
    /// something else took the place of is taken off.
    async fn later(&self, intent: Intent) {
        match self.store.intent_get(intent.id) {
            Ok(Some(now)) if now.version == intent.version => {
                let told = Failure::Unavailable("no turn with the account was long enough".to_owned());
                self.conclude(intent, Err(told)).await;
            }
            Ok(Some(now)) if now.progress != Progress::Open && intent.work == Work::Acquire => {
                self.take_off(&intent).await;
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Does what an intent asks for.
    async fn ask_account(&self, id: ProviderId, intent: &Intent) -> Result<Told, Failure> {
        let provider = self.provider(id)?;
        let attachment = provider.account.as_ref().and_then(|account| account.attachment.clone());
        match intent.work {
            // Only the operator's carriers are compared: nothing of an account is ever to be recovered.
            Work::Recover => Err(Failure::Unsupported("Numbers of accounts are attached, not recovered.")),
            Work::Acquire => {
                // Who gave it up meanwhile, in whatever order the two were written, wants it attached no longer.
                if !self.is_held(intent)? {
                    return Err(Failure::Refused("the number was given up".to_owned()));
                }
                let place = Place { name: name(id), sip_url: self.accounts.sip_url().to_owned(), attachment };
                match self.accounts.run(&provider, Task::Attach(intent.e164, place)).await {
                    Ok(Outcome::Attached(made)) => {
                        let kept = self.keep(provider, |p| p.attached(made.clone(), clock::now())).await?;
                        self.open_for(intent, kept).await;
                        Ok(Told::Ours)
                    }
                    Ok(Outcome::Fine | Outcome::Missing(_) | Outcome::Opened(_)) => Ok(Told::Pending),
                    Err(trouble) => Err(failure(trouble)),
                }
            }
            Work::Release => {
                // Whoever has it again wants it attached.
                if self.is_anybodys(intent.e164)? {
                    return Ok(Told::NotOurs);
                }
                match self.accounts.run(&provider, Task::Detach(intent.e164, attachment)).await {
                    Ok(_) => Ok(Told::NotOurs),
                    Err(trouble @ Trouble::Unavailable(..)) if intent.attempts < DETACH_TRIES => {
                        Err(failure(trouble))
                    }
                    Err(trouble) => Err(Failure::Refused(words(&trouble))),
                }
            }
        }
    }

    /// Whether somebody holds a number.
    pub(super) fn is_anybodys(&self, e164: E164) -> Result<bool, Failure> {
        let holder = self.store.number_holder(e164);
        holder.map(|holder| holder.is_some()).map_err(|error| Failure::Unavailable(error.to_string()))
    }

    /// Whether the number that an intent is about is still its holder's.
    pub(super) fn is_held(&self, intent: &Intent) -> Result<bool, Failure> {
        let Some(id) = intent.number_id else { return Ok(false) };
        let found = self.store.number_get(intent.organization_id, id);
        let found = found.map_err(|error| Failure::Unavailable(error.to_string()))?;
        Ok(found.is_some_and(|number| number.status.is_held() && number.e164 == intent.e164))
    }

    /// Takes back what was attached for an intent that something else took the place of in the meantime: a number that was given
    /// up during its move would stay attached in an account that nothing here tells of. In one's turn with the account, so that
    /// whatever wants the number there is written down before, or attaches it after.
    async fn take_off(&self, intent: &Intent) {
        if let Some(id) = intent.provider_id {
            // What went wrong is in the log already.
            self.in_turn(id, self.take_off_unwanted(id, intent)).await.unwrap_or_default();
        }
    }

    async fn take_off_unwanted(&self, id: ProviderId, intent: &Intent) {
        let (holder, open) = (self.store.number_holder(intent.e164), self.store.intent_open(intent.e164));
        let (Ok(holder), Ok(open)) = (holder, open) else { return };
        let is_there = holder.is_some_and(|(organization, number)| {
            let found = self.store.number_get(organization, number);
            // One that cannot be read is let be.
            found.map_or(true, |found| found.is_some_and(|number| number.provider_id == Some(id)))
        });
        let comes = open.is_some_and(|open| open.work == Work::Acquire && open.provider_id == Some(id));
        if is_there || comes {
            return;
        }
        if let Ok(provider) = self.provider(id) {
            let attachment = provider.account.as_ref().and_then(|account| account.attachment.clone());
            // What went wrong is in the log already.
            drop(self.accounts.run(&provider, Task::Detach(intent.e164, attachment)).await);
        }
    }

    /// Takes a number off what was made in an account that it has left, and says nothing of it if that cannot be done.
    pub(crate) async fn detach(&self, provider: &Provider, number: E164) {
        let attachment = provider.account.as_ref().and_then(|account| account.attachment.clone());
        let detaching = self.accounts.run(provider, Task::Detach(number, attachment));
        // What went wrong is in the log already.
        drop(self.in_turn(provider.id, detaching).await);
    }

    /// Takes down what was made in the account of a provider that is gone, likewise.
    pub(crate) async fn dismantle(&self, provider: &Provider) {
        let Some(made) = provider.account.as_ref().and_then(|account| account.attachment.clone()) else {
            return;
        };
        let dismantling = async {
            drop(self.accounts.run(provider, Task::Dismantle(made)).await);
            if self.is_opened(provider) {
                drop(self.accounts.run(provider, Task::Close(name(provider.id))).await);
            }
        };
        self.in_turn(provider.id, dismantling).await.unwrap_or_default();
    }

    pub(super) fn provider(&self, id: ProviderId) -> Result<Provider, Failure> {
        let found = self.store.provider_get(id).map_err(|error| Failure::Unavailable(error.to_string()))?;
        found.filter(|provider| provider.account.is_some()).ok_or_else(gone)
    }

    /// Writes down what was made in the account; the provider as it is then. Should we die before: it is found there by its
    /// name.
    pub(super) async fn keep(
        &self,
        mut provider: Provider,
        change: impl Fn(&Provider) -> Provider,
    ) -> Result<Provider, Failure> {
        for _ in 0..RACES_MAX {
            let next = change(&provider);
            if next.version == provider.version {
                return Ok(provider);
            }
            let changes = vec![Change::Provider(next.clone())];
            match self.store.commit(Commit { changes, ..Commit::default() }).await {
                Ok(generation) => {
                    self.live.follow(generation).await;
                    return Ok(next);
                }
                Err(CommitError::Stale(_)) => provider = self.provider(provider.id)?,
                Err(error) => return Err(Failure::Unavailable(format!("{error:?}"))),
            }
        }
        Err(Failure::Unavailable("the provider changes all the time".to_owned()))
    }
}

/// What is made in an account is called by its provider here, so that it is found again and two providers never share one.
pub(super) fn name(id: ProviderId) -> String {
    format!("Trunkline {id}")
}

fn gone() -> Failure {
    Failure::Refused("the provider is gone".to_owned())
}

/// A trouble in words for people.
pub(crate) fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Credentials => "the carrier does not accept the key".to_owned(),
        Trouble::NotOwned => "the number is not in the account".to_owned(),
        Trouble::Refused(words) => words.clone(),
        Trouble::Unavailable(..) => "the carrier cannot be reached".to_owned(),
    }
}

fn failure(trouble: Trouble) -> Failure {
    match trouble {
        // Its cause goes to the log.
        Trouble::Unavailable(..) => Failure::Unavailable(super::loggable(&trouble)),
        trouble @ (Trouble::Credentials | Trouble::NotOwned | Trouble::Refused(_)) => {
            Failure::Refused(words(&trouble))
        }
    }
}
