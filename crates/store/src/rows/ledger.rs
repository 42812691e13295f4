//! The ledger. Entries are only ever added; an account's balance is the `balance_after` of its last one.

use crate::db::Value;
use crate::db::{Db, params};
use domain::caller::Actor;
use domain::ids::{EventId, OrganizationId, PostingId};
use domain::ledger::{Account, Entry, Subject};
use domain::organization::Settings;
use domain::{Event, Micros, Page, Paged, Posting, What};
use uuid::Uuid;

use super::apply::Tx;
use super::change_log::Topic;
use super::list::{List, page_of};
use super::sql::{Columns, blob, blob_of, corrupt, int, one, time, write};
use super::{event, organization};
use crate::error::{CommitError, StoreError};

const SELECT: &str = "SELECT e.id, e.posting_id, e.account, e.amount, e.balance_after, p.kind, p.number_id, p.call_id, \
                      p.period, p.reason, p.at FROM entries e \
                      JOIN postings p ON p.organization_id = e.organization_id AND p.id = e.posting_id WHERE true";

fn read(mut row: Columns<'_, '_>) -> Result<Entry, StoreError> {
    let (id, posting_id, account) = (row.uint()?, row.id()?, row.named(Account::parse)?);
    let (amount, balance_after) = (row.micros()?, row.micros()?);
    let kind: String = row.get()?;
    let (number, call, period) = (row.id_of()?, row.id_of()?, row.get()?);
    let subject =
        Subject::of(&kind, number, call, period).ok_or_else(|| corrupt("a posting's kind", &kind))?;
    let (reason, at) = (row.get()?, row.time()?);
    Ok(Entry { id, posting_id, subject, account, amount, balance_after, reason, at })
}

pub(super) fn post(tx: &mut Tx<'_>, posting: &Posting) -> Result<(), CommitError> {
    let owner = blob(posting.organization_id);
    let first = tx.counters.next_entry();
    let sql = "INSERT INTO postings (organization_id, id, reason, at, entry, kind, number_id, call_id, period) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let Posting { id, organization_id: _, subject, reason, at, .. } = posting;
    let (number, call) = (blob_of(subject.number()), blob_of(subject.call()));
    let row = params![
        owner,
        blob(*id),
        reason,
        time(*at),
        int(first),
        subject.kind(),
        number,
        call,
        subject.period()
    ];
    write(tx.db, sql, row).map_err(|f| f.about(What::Ledger, What::Organization))?;
    for (n, (account, amount)) in posting.entries().iter().enumerate() {
        let id = if n == 0 { first } else { tx.counters.next_entry() };
        // Read in this transaction, or written by it: no other posting can stand between.
        let whose = (posting.organization_id, *account);
        let before = match tx.balances.get(&whose) {
            Some(balance) => *balance,
            None => account_balance(tx.db, posting.organization_id, *account)?,
        };
        let overflow =
            || CommitError::Unavailable("an account would hold more than can be counted".to_owned());
        let after = before.0.checked_add(amount.0).ok_or_else(overflow)?;
        let sql = "INSERT INTO entries (organization_id, id, posting_id, account, amount, balance_after) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let row = params![owner, int(id), blob(posting.id), account.as_str(), amount.0, after];
        write(tx.db, sql, row).map_err(|f| f.about(What::Ledger, What::Ledger))?;
        tx.balances.insert(whose, Micros(after));
        if *account == Account::Wallet && *amount < Micros::ZERO {
            tell_low(tx, posting, (before, Micros(after)))?;
        }
    }
    tx.log(Topic::Balance, posting.organization_id, &owner)
}

/// Writes the event `balance.low` where a posting takes the wallet from at or above the organization's threshold to below it: in
/// the posting's transaction, so that each crossing is told once, whoever posts.
fn tell_low(
    tx: &mut Tx<'_>,
    posting: &Posting,
    (before, after): (Micros, Micros),
) -> Result<(), CommitError> {
    let Some(organization) = organization::get(tx.db, posting.organization_id)? else { return Ok(()) };
    // Settings were read before they were stored; ones that cannot be read set no threshold.
    let threshold =
        Settings::read(&organization.settings).ok().and_then(|settings| settings.balance_low_cents);
    let Some((cents, limit)) = threshold.and_then(|cents| Some((cents, Micros::from_cents(cents)?))) else {
        return Ok(());
    };
    if before < limit || after >= limit {
        return Ok(());
    }
    let data = [
        ("balance_cents".to_owned(), after.cents_floor().into()),
        ("threshold_cents".to_owned(), cents.into()),
    ];
    let event = Event {
        // Made of the posting's, as that of a call's end is made of the call's, and never the same as that.
        id: EventId(event::stamped(Uuid::from_u128(!posting.id.0.as_u128()), posting.at)),
        organization_id: posting.organization_id,
        name: "balance.low",
        actor: Actor::Service,
        subject: posting.organization_id.to_string(),
        data: data.into_iter().collect(),
        at: posting.at,
    };
    event::put(tx, &event)
}

fn account_balance(db: Db<'_>, organization: OrganizationId, account: Account) -> Result<Micros, StoreError> {
    let sql = "SELECT balance_after FROM entries WHERE organization_id = $1 AND account = $2 ORDER BY id DESC LIMIT 1";
    let last = one(db, sql, params![blob(organization), account.as_str()], |mut row| row.micros())?;
    Ok(last.unwrap_or_default())
}

pub(crate) fn balance(db: Db<'_>, organization: OrganizationId) -> Result<Micros, StoreError> {
    account_balance(db, organization, Account::Wallet)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<u64>,
) -> Result<Paged<Entry>, StoreError> {
    let list = List::new(SELECT, Vec::new()).and("e.organization_id =", blob(organization).to_vec());
    list.page(db, "e.id", page_of(page, |id| Value::Integer(int(*id))), read)
}

pub(crate) fn wallet_entry(
    db: Db<'_>,
    organization: OrganizationId,
    posting: PostingId,
) -> Result<Option<Entry>, StoreError> {
    let sql = format!(
        "{SELECT} AND p.organization_id = $1 AND p.id = $2 AND e.id >= p.entry AND e.account = 'wallet' ORDER BY e.id LIMIT 1"
    );
    one(db, &sql, params![blob(organization), blob(posting)], read)
}
