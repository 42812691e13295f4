//! Tenants, their keys and their money.

use domain::caller::Caller;
use domain::change::KEPT_HOURS;
use domain::ids::{KeyId, OrganizationId, PostingId};
use domain::key::{KeyNew, Minted, Mode};
use domain::ledger::Entry;
use domain::op::{Expect, OrganizationNew, Secret};
use domain::organization::OrganizationPatch;
use domain::{
    Change, Commit, Error, Key, Kind, Micros, Organization, Page, Paged, Posting, Result, Timestamp, View,
    What,
};

use super::failure::of_read;
use super::{App, Ask, again, expect, one};
use crate::{clock, vault};

/// How many characters of a key are shown to recognise it by.
const PREFIX: usize = 12;
/// The longest reason of a ledger entry, in characters.
const REASON_MAX: usize = 200;

impl App {
    pub(super) async fn organization_create(&self, ask: Ask<'_>, new: OrganizationNew) -> Result<View> {
        ask.caller.require_operator()?;
        let OrganizationNew { name, kyc, number_slots, settings } = new;
        let blank = Organization {
            id: OrganizationId(clock::id()),
            name: String::new(),
            kyc,
            number_slots,
            settings: domain::Bag::new(),
            created_at: ask.now,
            updated_at: ask.now,
            version: 0,
        };
        let patch =
            OrganizationPatch { name: Some(name), settings: Some(settings), ..OrganizationPatch::default() };
        let organization = blank.update(patch, ask.now)?;
        plans_named(&organization)?;
        let event = ask.event(organization.id, "organization.created", organization.id);
        let changes = vec![Change::Organization(organization.clone()), event];
        self.commit(ask, Commit { changes, ..Commit::default() }, View::Organization(organization)).await
    }

    pub(super) fn organization_list(&self, ask: Ask<'_>, page: &Page<OrganizationId>) -> Result<View> {
        if ask.caller.is_operator() && ask.caller.organization_id.is_none() {
            return self.store.organization_list(page).map(View::Organizations).map_err(of_read);
        }
        let own = self.organization_get(ask, ask.organization()?)?;
        let items = if page.start == domain::Start::First { vec![own] } else { Vec::new() };
        Ok(View::Organizations(Paged { items, more: false }))
    }

    /// A tenant that the caller may see: any to the operator, its own to a key.
    pub(super) fn organization_get(&self, ask: Ask<'_>, id: OrganizationId) -> Result<Organization> {
        let not_found = || Error::not_found(What::Organization);
        if !sees(ask.caller, id) {
            return Err(not_found());
        }
        self.store.organization_get(id).map_err(of_read)?.ok_or_else(not_found)
    }

    pub(super) async fn organization_update(
        &self,
        ask: Ask<'_>,
        id: OrganizationId,
        patch: OrganizationPatch,
        expected: Expect,
    ) -> Result<View> {
        let operators = patch.kyc.is_some() || patch.settings.is_some() || !patch.number_slots.is_keep();
        if operators {
            ask.caller.require_operator()?;
        }
        let done = again!(expected, {
            let before = self.organization_get(ask, id)?;
            expect(expected, before.version, What::Organization)?;
            let next = before.update(patch.clone(), ask.now)?;
            plans_named(&next)?;
            let event = ask.event(id, "organization.updated", id);
            let commit = one(before.version, next.clone(), next.version, Change::Organization, event);
            self.commit(ask, commit, View::Organization(next)).await
        });
        self.rents.notify_one();
        done
    }

    pub(super) async fn key_create(&self, ask: Ask<'_>, id: OrganizationId, new: KeyNew) -> Result<View> {
        self.organization_get(ask, id)?;
        let new = new.within(ask.caller, self.own_key(ask)?.as_ref())?;
        let dialect = dialects::by_name(&new.dialect.0);
        let dialect = dialect
            .ok_or_else(|| Error::invalid(What::Key, "dialect", "`dialect` is not one that is served."))?;
        let (secret, minted) = self.key_mint(dialect, new.mode);
        let key = Key::create(id, new, minted, ask.now)?;
        let changes = vec![Change::Key(key.clone()), ask.event(id, "key.created", key.id)];
        self.commit(ask, Commit { changes, ..Commit::default() }, View::KeyCreated(key, Secret(secret))).await
    }

    /// A secret in its dialect's form, and what is kept of it.
    pub(super) fn key_mint(&self, dialect: &dyn dialects::Dialect, mode: Mode) -> (String, Minted) {
        let secret = dialect.key(&vault::random_secret(), mode);
        let prefix = secret.chars().take(PREFIX).collect();
        let minted = Minted { id: KeyId(clock::id()), prefix, hash: self.vault.key_hash(&secret) };
        (secret, minted)
    }

    pub(super) fn key_list(&self, ask: Ask<'_>, id: OrganizationId, page: &Page<KeyId>) -> Result<View> {
        self.organization_get(ask, id)?;
        self.store.key_list(id, page).map(View::Keys).map_err(of_read)
    }

    pub(super) async fn key_delete(&self, ask: Ask<'_>, id: OrganizationId, key: KeyId) -> Result<View> {
        self.organization_get(ask, id)?;
        again!(None::<u64>, {
            let found = self.store.key_get(id, key).map_err(of_read)?.filter(|k| k.revoked_at.is_none());
            let mut key = found.ok_or_else(|| Error::not_found(What::Key))?;
            ask.caller.check_revoke(&key)?;
            key.revoked_at = Some(ask.now);
            key.version += 1;
            let event = ask.event(id, "key.revoked", key.id);
            let changes = vec![Change::Key(key), event];
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await
        })
    }

    pub(super) async fn ledger_post(
        &self,
        ask: Ask<'_>,
        id: OrganizationId,
        cents: i64,
        reason: String,
    ) -> Result<View> {
        ask.caller.require_operator()?;
        self.organization_get(ask, id)?;
        let amount = Micros::from_cents(cents).filter(|m| *m != Micros::ZERO).ok_or_else(|| {
            let words =
                format!("`amount_cents` must be a whole number other than 0, at most {}.", Micros::MAX_CENTS);
            Error::invalid(What::Ledger, "amount_cents", words)
        })?;
        if reason.trim().is_empty() || reason.chars().count() > REASON_MAX {
            let words = format!("`reason` must have 1 to {REASON_MAX} characters.");
            return Err(Error::invalid(What::Ledger, "reason", words));
        }
        // The entry's number and balance are the store's to give, so the view is read back after the commit and its answer is
        // kept by a commit of its own. Should we die between the two, the repeat has the same posting id, is refused as there
        // already, and reads the same entry back: money moves once.
        for use_of_key in 0_u64.. {
            let posting_id =
                PostingId(ask.slot.map_or_else(clock::id, |slot| self.posting_of(&slot.key, use_of_key)));
            let posting = Posting::funding(posting_id, id, amount, reason.clone(), ask.now);
            let changes = vec![Change::Posting(posting), ask.event(id, "ledger.posted", posting_id)];
            let unkept = Ask { keep: None, ..ask };
            let done = self.commit(unkept, Commit { changes, ..Commit::default() }, View::Done).await;
            self.rents.notify_one();
            let is_new = match done {
                Err(error) if error.kind == Kind::Exists && ask.slot.is_some() => false,
                outcome => outcome.map(|_| true)?,
            };
            let entry = self.store.wallet_entry(id, posting_id).map_err(of_read)?;
            let entry =
                entry.ok_or_else(|| Error::internal("a posting that is there has no wallet entry"))?;
            if is_new
                || (entry.amount, entry.reason.as_str()) == (amount, reason.as_str())
                    && is_kept(&entry, ask.now)
            {
                return Ok(View::Entry(entry));
            }
            if is_kept(&entry, ask.now) {
                let words = "This `Idempotency-Key` was used with another request; choose a new one.";
                return Err(Error::new(Kind::KeyReused, What::Request, words));
            }
            // The key's former use is over: this is a new request, and the next id is its own.
        }
        Err(Error::internal("a key was used more often than can be counted"))
    }

    /// The id of what a request with this slot posts, when its key is used for the n-th time.
    fn posting_of(&self, slot: &[u8; 32], use_of_key: u64) -> uuid::Uuid {
        let mac = self.vault.mac(&[b"posting", slot, &use_of_key.to_le_bytes()]);
        uuid::Uuid::from_bytes(std::array::from_fn(|i| mac[i]))
    }

    pub(super) fn ledger_list(&self, ask: Ask<'_>, id: OrganizationId, page: &Page<u64>) -> Result<View> {
        self.organization_get(ask, id)?;
        self.store.ledger_list(id, page).map(View::Ledger).map_err(of_read)
    }

    pub(super) fn balance_get(&self, ask: Ask<'_>, id: OrganizationId) -> Result<View> {
        self.organization_get(ask, id)?;
        self.store.balance(id).map(View::Balance).map_err(of_read)
    }

    /// The answer kept for a repeat, fresh or not. A store that is away is said to be away, as to every other read.
    pub(crate) fn answer_kept(&self, slot: &[u8; 32]) -> Result<Option<domain::change::KeptAnswer>> {
        self.store.answer_find(slot).map_err(of_read)
    }

    /// The work at a carrier that a request began which was not answered.
    pub(crate) fn begun(&self, slot: &[u8; 32], now: Timestamp) -> Result<Option<domain::intent::Slot>> {
        Ok(self.store.intent_of_slot(slot, now).map_err(of_read)?.and_then(|intent| intent.slot))
    }

    /// Adds an answer to be kept for an operation that could not keep it in its own commit, or that failed.
    pub(crate) async fn keep_later(&self, answer: domain::change::KeptAnswer) -> Result<()> {
        let commit = Commit { answer: Some(answer), ..Commit::default() };
        match self.store.commit(commit).await.map_err(super::failure::of_commit) {
            // Somebody kept it already: the first answer stands.
            Err(error) if error.kind == Kind::Exists => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }
}

/// Checks the settings that name an organization's plan in a vendor's API: which plans there are is known to the dialects.
fn plans_named(organization: &Organization) -> Result<()> {
    let mut plans = dialects::all().into_iter().filter_map(dialects::Dialect::plans);
    plans.try_for_each(|plans| plans.of(&organization.settings).map(drop))
}

/// Whether an entry is young enough for a repeat of its request to mean it.
fn is_kept(entry: &Entry, now: Timestamp) -> bool {
    now.duration_since(entry.at) < jiff::SignedDuration::from_hours(KEPT_HOURS)
}

fn sees(caller: &Caller, id: OrganizationId) -> bool {
    match caller.organization_id {
        Some(own) => own == id,
        None => caller.is_operator(),
    }
}
