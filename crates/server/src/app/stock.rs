//! The stock: what the operator sells.

use domain::ids::{IntentId, OrganizationId, StockId};
use domain::op::Expect;
use domain::provider::ProviderKind;
use domain::stock::{StockNew, StockPatch, StockQuery, StockState};
use domain::view::RowResult;
use domain::{Change, Commit, Error, Guard, Intent, Kind, Page, Result, Stock, View, What};

use super::failure::of_read;
use super::{App, Ask, again, expect, one};
use crate::clock;

/// How many rows of a bulk request are written in one commit. A row refused by the store is found by splitting its batch.
pub(super) const BATCH: usize = 5_000;

/// Why a number cannot be put in stock.
const TAKEN: &str = "The number is in stock already, or an organization holds it.";

/// What the commits of a bulk request have in common.
pub(super) struct Bulk<P, E> {
    /// Writes a row.
    pub(super) put: P,
    /// The audit log's one entry of a commit, by its first row and how many there are.
    pub(super) event: E,
    /// What must hold after each commit.
    pub(super) guards: Vec<Guard>,
    /// What is said of a row that is there already.
    pub(super) taken: &'static str,
}

impl App {
    pub(super) async fn stock_add_one(&self, ask: Ask<'_>, new: StockNew) -> Result<View> {
        ask.caller.require_operator()?;
        let stock = Stock::create(StockId(clock::id()), new, ask.now)?;
        let event = ask.event(OrganizationId::NONE, "stock.added", stock.id);
        let changes = vec![Change::Stock(stock.clone()), event];
        let done = self.commit(ask, Commit { changes, ..Commit::default() }, View::Stock(stock)).await;
        done.map_err(|error| taken(error, TAKEN))
    }

    pub(super) async fn stock_add(&self, ask: Ask<'_>, rows: Vec<Result<StockNew>>) -> Result<View> {
        ask.caller.require_operator()?;
        let make = |row: Result<StockNew>| {
            let e164 = row.as_ref().map(|new| new.e164.clone()).unwrap_or_default();
            (e164, row.and_then(|new| Stock::create(StockId(clock::id()), new, ask.now)))
        };
        // Reading a hundred thousand numbers takes a second, in which calls go on on this thread's other tasks.
        let rows: Vec<_> = tokio::task::block_in_place(|| rows.into_iter().map(make).collect());
        let bulk = Bulk {
            put: |stock: &Stock| Change::Stock(stock.clone()),
            event: |first: &Stock, count| {
                ask.event_of_many(OrganizationId::NONE, "stock.added_many", first.id, count)
            },
            guards: Vec::new(),
            taken: TAKEN,
        };
        self.write_rows(rows, bulk, |stock| stock.id).await.map(View::StockAdded)
    }

    /// Writes the good rows of a bulk request and says of each row what became of it. Rows stand for themselves: one that
    /// the store refuses takes no other with it.
    pub(super) async fn write_rows<T, K>(
        &self,
        rows: Vec<(String, Result<T>)>,
        bulk: Bulk<impl Fn(&T) -> Change, impl Fn(&T, usize) -> Change>,
        id: impl Fn(&T) -> K,
    ) -> Result<Vec<RowResult<K>>> {
        let mut results: Vec<RowResult<K>> = Vec::with_capacity(rows.len());
        let mut good: Vec<(usize, T)> = Vec::new();
        for (index, (e164, row)) in rows.into_iter().enumerate() {
            match row {
                Ok(value) => {
                    results.push(RowResult { e164, result: Ok(id(&value)) });
                    good.push((index, value));
                }
                Err(error) => results.push(RowResult { e164, result: Err(error) }),
            }
        }
        // Batches that wait to be tried; a refused one is halved until the row at fault stands alone.
        let mut waiting: Vec<&[(usize, T)]> = good.chunks(BATCH).rev().collect();
        let mut last = None;
        while let Some(batch) = waiting.pop() {
            let Some((_, first)) = batch.first() else { continue };
            let mut changes: Vec<_> = batch.iter().map(|(_, value)| (bulk.put)(value)).collect();
            changes.push((bulk.event)(first, batch.len()));
            match self
                .store
                .commit(Commit { changes, guards: bulk.guards.clone(), answer: None })
                .await
                .map_err(super::failure::of_commit)
            {
                Ok(generation) => last = Some(generation),
                Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Internal) => return Err(error),
                // Nobody's row is at fault: there is no room for all, and halves of it would be a matter of luck.
                Err(error) if matches!(error.kind, Kind::Slots | Kind::Limit) => {
                    for (index, _) in batch {
                        results[*index].result = Err(error.clone());
                    }
                }
                Err(error) => {
                    if let [(index, _)] = batch {
                        results[*index].result = Err(taken(error, bulk.taken));
                    } else {
                        let (left, right) = batch.split_at(batch.len() / 2);
                        waiting.push(right);
                        waiting.push(left);
                    }
                }
            }
        }
        if let Some(generation) = last {
            self.live.follow(generation).await;
        }
        Ok(results)
    }

    pub(super) async fn stock_list(
        &self,
        ask: Ask<'_>,
        query: StockQuery,
        page: Page<StockId>,
    ) -> Result<View> {
        self.stock_tests(ask, query.country).await?;
        // Tenants see what they can buy; who bought what is the operator's to know.
        let available_at = if ask.caller.is_operator() { query.available_at } else { Some(ask.now) };
        let mode = (!ask.caller.is_operator()).then_some(ask.caller.mode);
        let buyer = ask.caller.organization_id;
        self.store
            .stock_list(&StockQuery { available_at, buyer, mode, ..query }, &page)
            .map(View::Stocks)
            .map_err(of_read)
    }

    pub(super) async fn stock_update(
        &self,
        ask: Ask<'_>,
        id: StockId,
        patch: StockPatch,
        expected: Expect,
    ) -> Result<View> {
        ask.caller.require_operator()?;
        again!(expected, {
            let before = self.stock_get(id)?;
            expect(expected, before.version, What::Stock)?;
            let next = before.update(patch, ask.now)?;
            let event = ask.event(OrganizationId::NONE, "stock.updated", id);
            let commit = one(before.version, next.clone(), next.version, Change::Stock, event);
            self.commit(ask, commit, View::Stock(next)).await
        })
    }

    pub(super) async fn stock_delete(&self, ask: Ask<'_>, id: StockId, expected: Expect) -> Result<View> {
        ask.caller.require_operator()?;
        again!(expected, {
            let before = self.stock_get(id)?;
            expect(expected, before.version, What::Stock)?;
            before.check_removable(ask.now)?;
            let event = ask.event(OrganizationId::NONE, "stock.deleted", id);
            let mut changes = vec![Change::StockDelete(id, before.version), event];
            if before.state != StockState::Available
                && carriers::is_asked(before.network, ProviderKind::Managed)
            {
                // It rested for a restore that cannot come any more.
                let intent = Intent::release_stock(IntentId(clock::id()), &before, ask.now);
                changes.push(Change::Intent(Box::new(self.carriage.in_hands(intent))));
            }
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await
        })
    }

    fn stock_get(&self, id: StockId) -> Result<Stock> {
        self.store.stock_get(id).map_err(of_read)?.ok_or_else(|| Error::not_found(What::Stock))
    }

    /// The stock that a buyer names, if it can be bought at this moment: it is on sale, and nobody else has it reserved.
    pub(super) fn stock_for_sale(&self, ask: Ask<'_>, wanted: &domain::stock::StockRef) -> Result<Stock> {
        let buyer = ask.caller.organization_id;
        let (found, fits) = match wanted {
            domain::stock::StockRef::Id(id) => (self.store.stock_get(*id).map_err(of_read)?, true),
            domain::stock::StockRef::Number { e164, country, kind } => {
                let (e164, _) = domain::E164::parse(e164)?;
                let found = self.store.stock_find(e164).map_err(of_read)?;
                let same =
                    |s: &Stock| country.is_none_or(|c| c == s.country) && kind.is_none_or(|k| k == s.kind);
                let fits = found.as_ref().is_some_and(same);
                (found, fits)
            }
        };
        let seen = |stock: &Stock| fits && stock.network.is_for(ask.caller.mode);
        found.filter(|stock| seen(stock) && stock.is_available_to(buyer, ask.now)).ok_or_else(not_available)
    }
}

/// The number cannot be bought: not there, sold, resting, or reserved. Which of them is nobody else's business.
pub(super) fn not_available() -> Error {
    Error::new(Kind::Exists, What::Stock, "The number is not available.")
}

/// Gives an `Exists` its own words.
pub(super) fn taken(error: Error, words: &str) -> Error {
    if error.kind == Kind::Exists { error.say(words).at("e164") } else { error }
}
