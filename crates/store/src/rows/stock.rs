//! The operator's stock.

use crate::db::{Db, Param, Value, params};
use domain::e164::{Country, E164, NumberType};
use domain::ids::{OrganizationId, StockId};
use domain::key::Mode;
use domain::number::Network;
use domain::stock::{Capabilities, Hold, StockQuery, StockState};
use domain::{Page, Paged, Start, Stock, Timestamp, What};
use std::sync::LazyLock;

use super::apply::Tx;
use super::index::{Pending, Text, row_of};
use super::list::{List, page_of_ids};
use super::search::{SHORT_SCAN, Sought, digits_of};
use super::sql::{Columns, Table, absent, all, blob, blob_of, corrupt, e164, int, one, time, time_of};
use crate::error::{CommitError, StoreError};

const COLUMNS: &str = "e164, country, kind, setup_cost, monthly_cost, voice, sms, fax, network, state, number_id, until, \
                       hold_by, hold_until, created_at, updated_at, version";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new("stock", COLUMNS, "id"));

fn read(mut row: Columns<'_, '_>) -> Result<Stock, StoreError> {
    let number = row.e164()?;
    let (country, kind) = (row.named(Country::parse)?, row.named(NumberType::parse)?);
    let (setup_cost, monthly_cost) = (row.micros()?, row.micros()?);
    let capabilities = Capabilities { voice: row.get()?, sms: row.get()?, fax: row.get()? };
    let network = row.named(Network::parse)?;
    let state: String = row.get()?;
    let (number_id, until) = (row.id_of()?, row.time_of()?);
    let state = match (state.as_str(), number_id, until) {
        ("available", ..) => StockState::Available,
        ("sold", Some(number), _) => StockState::Sold(number),
        ("quarantined", Some(number), Some(until)) => StockState::Quarantined { number, until },
        _ => return Err(corrupt("a stock's state", &state)),
    };
    let (hold_by, hold_until) = (row.id_of()?, row.time_of()?);
    let hold = hold_by.zip(hold_until).map(|(organization_id, until)| Hold { organization_id, until });
    let (created_at, updated_at, version) = (row.time()?, row.time()?, row.uint()?);
    Ok(Stock {
        id: row.id()?,
        e164: number,
        country,
        kind,
        setup_cost,
        monthly_cost,
        capabilities,
        network,
        state,
        hold,
        created_at,
        updated_at,
        version,
    })
}

pub(super) fn put(tx: &mut Tx<'_>, stock: &Stock) -> Result<(), CommitError> {
    let Stock {
        id,
        e164: number,
        country,
        kind,
        setup_cost,
        monthly_cost,
        capabilities,
        network,
        state,
        hold,
        created_at,
        updated_at,
        version,
    } = stock;
    let Capabilities { voice, sms, fax } = capabilities;
    let (state, number_id, until) = match state {
        StockState::Available => ("available", None, None),
        StockState::Sold(number) => ("sold", Some(*number), None),
        StockState::Quarantined { number, until } => ("quarantined", Some(*number), Some(*until)),
    };
    let (number_id, until, digits) = (blob_of(number_id), time_of(until), e164(*number));
    let (created, updated) = (time(*created_at), time(*updated_at));
    let (hold_by, hold_until) =
        (hold.map(|hold| blob(hold.organization_id)), hold.map(|hold| time(hold.until)));
    let row = params![
        digits,
        country.as_str(),
        kind.as_str(),
        setup_cost.0,
        monthly_cost.0,
        voice,
        sms,
        fax,
        network.as_str(),
        state,
        number_id,
        until,
        hold_by,
        hold_until,
        created,
        updated,
        int(*version),
        blob(*id)
    ];
    if *version == 1 && !super::number::is_unclaimed(tx.db, *number)? {
        return Err(CommitError::Exists(What::Stock));
    }
    TABLE.put(tx.db, What::Stock, *version, row).map_err(|f| f.about(What::Stock, What::Stock))?;
    if *version == 1 {
        // The table's own counter gave the row its serial; it stands for the row in the search index.
        let serial = serial(tx.db, *id)?.unwrap_or(0);
        let (digits, fours) = digits_of(number.as_u64(), None);
        tx.index.put(serial, false, Text::Stock(digits, fours));
    }
    tx.touch();
    Ok(())
}

/// Puts stock into the search index that was copied: what is between two keys, which follow each other.
pub(crate) fn index_copied(db: Db<'_>, index: &mut Pending, keys: &[Value]) -> Result<(), StoreError> {
    let keys: Vec<&dyn Param> = keys.iter().map(|key| key as &dyn Param).collect();
    let found =
        all(db, "SELECT serial, e164 FROM stock WHERE serial >= $1 AND serial <= $2", &keys, |mut row| {
            Ok((row.uint()?, row.uint()?))
        })?;
    for (serial, number) in found {
        let (digits, fours) = digits_of(number, None);
        index.put(serial, false, Text::Stock(digits, fours));
    }
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, id: StockId, version: u64) -> Result<(), CommitError> {
    let sql = "DELETE FROM stock WHERE id = $1 AND version = $2 RETURNING serial";
    let serial = one(tx.db, sql, params![blob(id), int(version)], |mut row| row.uint())?;
    let serial = serial.ok_or(CommitError::Stale(What::Stock))?;
    tx.index.put(serial, true, Text::StockGone);
    tx.touch();
    Ok(())
}

pub(crate) fn get(db: Db<'_>, id: StockId) -> Result<Option<Stock>, StoreError> {
    one(db, &format!("{} AND id = $1", TABLE.select), params![blob(id)], read)
}

/// Whether a number is not in stock in any state, as is expected.
pub(super) fn is_not_here(db: Db<'_>, number: E164) -> Result<bool, StoreError> {
    absent(db, "SELECT 1 FROM stock WHERE e164 = $1", params![e164(number)])
}

pub(crate) fn find(db: Db<'_>, number: E164) -> Result<Option<Stock>, StoreError> {
    one(db, &format!("{} AND e164 = $1", TABLE.select), params![e164(number)], read)
}

/// How many numbers for tests anybody can buy in a country at a time, and how many there are.
pub(crate) fn count_for_tests(db: Db<'_>, country: Country, at: Timestamp) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT count(*) FILTER (WHERE state <> 'sold' AND coalesce(hold_until, 0) NOT BETWEEN $1 AND $2), count(*) \
               FROM stock WHERE network = 'test' AND country = $3";
    let (from, latest) = held_between(at);
    let row = params![from, latest, country.as_str()];
    let counted = one(db, sql, row, |mut row| Ok((row.uint()?, row.uint()?)))?;
    Ok(counted.unwrap_or_default())
}

/// Between which ends a reservation runs at a time (`Stock::held`).
fn held_between(at: Timestamp) -> (i64, i64) {
    (time(at).saturating_add(1), time(Hold::latest(at)))
}

/// Numbers of a carrier's whose rest is over.
pub(crate) fn rested(db: Db<'_>, at: Timestamp, limit: u32) -> Result<Vec<Stock>, StoreError> {
    let sql = format!(
        "{} AND state = 'quarantined' AND network <> 'public' AND until <= $1 ORDER BY until, id LIMIT $2",
        TABLE.select
    );
    all(db, &sql, params![time(at), limit], read)
}

/// What costs least of a country's numbers for calls that are on sale; among equals the one that came first.
pub(crate) fn cheapest(
    db: Db<'_>,
    country: Country,
    (buyer, mode): (OrganizationId, Mode),
    at: Timestamp,
) -> Result<Option<Stock>, StoreError> {
    // Condition and order name the index.
    let sql = format!(
        "{} AND country = $1 AND state <> 'sold' AND voice = 1 AND (network = 'test') = $2 AND coalesce(until, 0) <= $3 \
         AND (coalesce(hold_until, 0) NOT BETWEEN $4 AND $5 OR hold_by = $6) ORDER BY (setup_cost + monthly_cost), id LIMIT 1",
        TABLE.select
    );
    let (from, latest) = held_between(at);
    let row = params![country.as_str(), mode == Mode::Test, time(at), from, latest, blob(buyer)];
    one(db, &sql, row, read)
}

/// When the reservations end that an organization has at a time, the first first; one more than it may have at most.
pub(crate) fn holds(
    db: Db<'_>,
    organization: OrganizationId,
    at: Timestamp,
) -> Result<Vec<Timestamp>, StoreError> {
    let sql = "SELECT hold_until FROM stock WHERE hold_by = $1 AND hold_until BETWEEN $2 AND $3 ORDER BY hold_until LIMIT $4";
    let (from, latest) = held_between(at);
    all(db, sql, params![blob(organization), from, latest, Hold::MOST + 1], |mut row| row.time())
}

pub(crate) fn list(db: Db<'_>, query: &StockQuery, page: &Page<StockId>) -> Result<Paged<Stock>, StoreError> {
    let StockQuery { country, kind, available_at, buyer, mode, q } = query;
    let filtered = |list: List| {
        let list = list.and_some("country =", country.map(|c| c.as_str().to_owned()));
        let list = list.and_some("kind =", kind.map(|k| k.as_str().to_owned()));
        let list = match mode {
            None => list,
            // Each key sees what its mode can buy (`Network::is_for`).
            Some(Mode::Test) => list.literally("network = 'test'"),
            Some(Mode::Live) => list.literally("network <> 'test'"),
        };
        match available_at {
            // The first condition names the partial indexes; a quarantine that has ended counts as on sale.
            Some(at) => {
                let list = list.literally("state <> 'sold'").and("coalesce(until, 0) <=", time(*at));
                let (from, latest) = held_between(*at);
                let list =
                    list.and("(coalesce(hold_until, 0) <", from).or("coalesce(hold_until, 0) >", latest);
                // What is reserved for nobody known is nobody's own.
                let buyer = buyer.map_or(Value::Null, |buyer| Value::Blob(blob(buyer).to_vec()));
                list.or("hold_by =", buyer).literally_closed(")")
            }
            None => list,
        }
    };
    match q.as_deref().map(Sought::read) {
        None | Some(None) => {
            filtered(List::new(&TABLE.select, Vec::new())).page(db, "id", page_of_ids(page), read)
        }
        Some(Some(sought)) => match &sought.digits {
            // A text that is no part of a number is part of none.
            None => Ok(Paged { items: Vec::new(), more: false }),
            Some(digits) if sought.is_indexed() => indexed(db, digits, page, filtered),
            Some(digits) => {
                // Short: the newest rows only.
                let scan = format!(
                    "SELECT {COLUMNS}, id FROM (SELECT * FROM stock ORDER BY id DESC LIMIT {SHORT_SCAN}) AS newest WHERE true"
                );
                let list = List::new(&scan, Vec::new()).and("CAST(e164 AS TEXT) LIKE", format!("%{digits}%"));
                filtered(list).page(db, "id", page_of_ids(page), read)
            }
        },
    }
}

/// The number that stands for a row in the search index.
fn serial(db: Db<'_>, id: StockId) -> Result<Option<u64>, StoreError> {
    one(db, "SELECT serial FROM stock WHERE id = $1", params![blob(id)], |mut row| row.uint())
}

/// A page of what the index finds, in the order in which the rows were put in stock.
fn indexed(
    db: Db<'_>,
    digits: &str,
    page: &Page<StockId>,
    filtered: impl Fn(List) -> List,
) -> Result<Paged<Stock>, StoreError> {
    let columns = COLUMNS.split(", ").chain(["id"]).map(|c| format!("stock.{}", c.trim()));
    // A row that has left the stock leaves no place behind: the page is empty, and the reader starts anew.
    let start = match &page.start {
        Start::First => Start::First,
        Start::Offset(rows) => Start::Offset(*rows),
        Start::After(id) => Start::After(Value::Integer(serial(db, *id)?.map_or(i64::MAX, row_of))),
        Start::Before(id) => Start::Before(Value::Integer(serial(db, *id)?.map_or(0, row_of))),
    };
    let (list, key) = db.stock_sought(&columns.collect::<Vec<_>>().join(", "), digits);
    filtered(list).page_ascending(db, key, Page { limit: page.limit, start }, read)
}
