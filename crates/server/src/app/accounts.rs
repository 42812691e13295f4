//! Providers that are an organization's own account at a carrier: the key is tried at the carrier before it is kept, and before
//! one takes the place of another it must reach every number that is on the provider.

use carriers::account::{Outcome, Task, Trouble};
use domain::carrier_account::{AccountPatch, AccountRef, NUMBERS_MAX};
use domain::ids::{IntentId, OrganizationId, ProviderId};
use domain::number::{NumberQuery, Status};
use domain::op::AccountIn;
use domain::{Change, E164, Error, Intent, Kind, Number, Page, Provider, Result, What};
use std::time::Duration;

use super::failure::of_read;
use super::{App, Ask};
use crate::{carriage, clock};

/// How long a client waits before it asks again for something of a carrier that could not be reached, unless that says.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl App {
    /// The same patch with its secret encrypted for this provider.
    pub(super) fn account_sealed(&self, id: ProviderId, account: Option<AccountIn>) -> Option<AccountPatch> {
        let AccountIn { id: account_id, key_id, key_secret, region } = account?;
        let key_secret = key_secret.map(|secret| self.vault.seal(secret.0.as_bytes(), id.0.as_bytes()));
        Some(AccountPatch { id: account_id, key_id, key_secret, region })
    }

    /// What must hold of a provider before it is stored as `next`; nothing of one that is no account.
    pub(super) async fn account_check(&self, before: Option<&Provider>, next: &Provider) -> Result<()> {
        let Some(account) = &next.account else { return Ok(()) };
        if before.is_some_and(|before| before.account == next.account) {
            return Ok(());
        }
        let Some(organization) = next.organization_id else {
            let words = "An account at a carrier is an organization's own; name it with `x-organization-id`.";
            return Err(Error::invalid(What::Provider, "kind", words));
        };
        let named = AccountRef { kind: next.kind, id: account.id.clone(), region: account.region.clone() };
        let same = self.store.provider_of_account(organization, &named).map_err(of_read)?;
        if same.is_some_and(|same| same.id != next.id) {
            let words = "There is a provider of this account and region already; change that one.";
            return Err(Error::new(Kind::Exists, What::Provider, words));
        }
        self.in_account(next, Task::Check).await?;
        if before.is_none() {
            return Ok(());
        }
        let numbers = self.account_numbers(organization, next.id)?;
        match self.in_account(next, Task::Missing(numbers)).await? {
            Outcome::Missing(missing) if !missing.is_empty() => {
                let words = format!(
                    "The new key does not reach {} of the provider's numbers; nothing was changed.",
                    missing.len()
                );
                Err(Error::new(Kind::CarrierRefused, What::Provider, words).listing(missing))
            }
            Outcome::Missing(_) | Outcome::Fine | Outcome::Attached(_) | Outcome::Opened(_) => Ok(()),
        }
    }

    /// The work that a changed account brings: in another region nothing is made yet, so that every number is to be attached
    /// there; with another key those are tried again that the last one could not attach.
    pub(super) fn account_moves(&self, before: &Provider, next: &Provider) -> Result<Vec<Change>> {
        let region = |provider: &Provider| provider.account.as_ref().map(|account| account.region.clone());
        let Some(organization) = next.organization_id.filter(|_| before.account != next.account) else {
            return Ok(Vec::new());
        };
        let moves = region(before) != region(next);
        let mut changes = Vec::new();
        for e164 in self.account_numbers(organization, next.id)? {
            let number = self.store.number_find(organization, e164).map_err(of_read)?;
            let wanted = |number: &Number| {
                number.provider_id == Some(next.id) && (moves || number.status == Status::Pending)
            };
            if let Some(number) = number.filter(wanted)
                && self.store.intent_open(e164).map_err(of_read)?.is_none()
            {
                let intent = Intent::acquire(IntentId(clock::id()), &number, None, clock::now());
                changes.push(Change::Intent(Box::new(intent)));
            }
        }
        Ok(changes)
    }

    /// The numbers that are held on a provider.
    fn account_numbers(&self, organization: OrganizationId, id: ProviderId) -> Result<Vec<E164>> {
        let query = NumberQuery { provider_id: Some(id), ..NumberQuery::default() };
        let found =
            self.store.number_list(organization, &query, &Page::first(NUMBERS_MAX)).map_err(of_read)?;
        if found.more {
            let words =
                format!("The provider has more than {NUMBERS_MAX} numbers; its key cannot be changed.");
            return Err(Error::new(Kind::Conflict, What::Provider, words));
        }
        Ok(found.items.into_iter().map(|number| number.e164).collect())
    }

    /// The tenant's provider of an account.
    pub(super) fn account_find(&self, ask: Ask<'_>, account: &AccountRef) -> Result<ProviderId> {
        let found = self.store.provider_of_account(ask.organization()?, account).map_err(of_read)?;
        let found = found.ok_or_else(|| Error::not_found(What::Provider).at("provider_id"))?;
        Ok(found.id)
    }

    /// Does a task in a provider's account that changes nothing here.
    pub(super) async fn in_account(&self, provider: &Provider, task: Task) -> Result<Outcome> {
        self.carriage.in_account(provider, task).await.map_err(|trouble| of_trouble(&trouble))
    }
}

/// What a carrier's no means to whoever asked for something in an own account.
pub(super) fn of_trouble(trouble: &Trouble) -> Error {
    let refused = |words: String| Error::new(Kind::CarrierRefused, What::Provider, words);
    match trouble {
        Trouble::Credentials => refused(
            "The carrier does not accept the key; check the account, both halves of the key and its region."
                .to_owned(),
        ),
        Trouble::NotOwned => {
            let words = "The number is not in the provider's account; bring in one that is.";
            Error::invalid(What::Number, "e164", words)
        }
        Trouble::Refused(_) => refused(format!("The carrier refuses: {}.", carriage::words(trouble))),
        Trouble::Unavailable(_, after) => {
            let words = "The carrier cannot be reached; nothing was changed, try again.";
            let wait = after.unwrap_or(RETRY_AFTER);
            Error::new(Kind::Unavailable, What::Provider, words)
                .after(wait)
                .because(carriage::loggable(trouble))
        }
    }
}
