//! Numbers for tests: a small stock of the simulated carrier's, made when a test key first looks for some, and filled up while
//! it is bounded. Only of ranges that their plans keep for fiction: an operator can hold any other number in the world.

use carriers::simulated::numbers::{self, Offer};
use domain::e164::{Country, NumberType};
use domain::ids::StockId;
use domain::key::Mode;
use domain::number::Network;
use domain::stock::{Capabilities, StockNew, StockPatch};
use domain::{Change, Commit, Kind, Result, Stock, Timestamp};

use super::failure::{of_commit, of_read};
use super::{App, Ask};
use crate::clock;

/// How many numbers of a country and type are put in stock at a time.
const BATCH: usize = 20;
/// A country with fewer on sale gets more.
const LOW: u64 = 10;
/// The most of a country: test keys of all organizations together hold no more.
const MOST: u64 = 400;
/// Numbers for tests are the same in every installation.
const SEED: u64 = 0;

impl App {
    /// Sees to it that a test key finds numbers: of one country, or of all.
    pub(super) async fn stock_tests(&self, ask: Ask<'_>, country: Option<Country>) -> Result<()> {
        if ask.caller.mode != Mode::Test {
            return Ok(());
        }
        for here in numbers::countries_of_fiction().filter(|here| country.is_none_or(|c| c == *here)) {
            let (on_sale, all) = self.store.stock_for_tests(here, ask.now).map_err(of_read)?;
            if on_sale < LOW && all < MOST {
                let kinds = numbers::kinds_of_fiction().filter(|(of, _)| *of == here).map(|(_, kind)| kind);
                for kind in kinds {
                    self.stock_offers((here, kind), (Network::Test, SEED, BATCH), ask.now).await?;
                }
            }
        }
        Ok(())
    }

    /// Puts numbers of the simulated carrier's in stock that are not there yet. Gives them.
    pub(crate) async fn stock_offers(
        &self,
        (country, kind): (Country, NumberType),
        (network, seed, count): (Network, u64, usize),
        now: Timestamp,
    ) -> Result<Vec<Stock>> {
        let mut made = Vec::new();
        for offer in numbers::offers(country, kind, seed) {
            if made.len() == count {
                break;
            }
            let known = self.store.stock_find(offer.e164).map_err(of_read)?.is_some()
                || self.store.number_holder(offer.e164).map_err(of_read)?.is_some();
            if !known {
                made.push(stock_of(offer, network, now)?);
            }
        }
        self.stock_put(made).await
    }

    /// Gives stock another price.
    pub(crate) async fn stock_priced(&self, stock: Stock, price: StockPatch) -> Result<Stock> {
        let next = stock.update(price, stock.updated_at)?;
        if next.version != stock.version {
            let changes = vec![Change::Stock(next.clone())];
            self.store.commit(Commit { changes, ..Commit::default() }).await.map_err(of_commit)?;
        }
        Ok(next)
    }

    /// Puts made stock in stock; none of it where another node was faster.
    pub(crate) async fn stock_put(&self, made: Vec<Stock>) -> Result<Vec<Stock>> {
        let changes = made.iter().cloned().map(Change::Stock).collect();
        match self.store.commit(Commit { changes, ..Commit::default() }).await.map_err(of_commit) {
            Ok(_) => Ok(made),
            Err(error) if error.kind == Kind::Exists => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn stock_of(offer: Offer, network: Network, now: Timestamp) -> Result<Stock> {
    let Offer { e164, kind, setup_cents, monthly_cents } = offer;
    let new = StockNew {
        e164: e164.to_string(),
        country: None,
        kind: Some(kind),
        setup_cost_cents: setup_cents,
        monthly_cost_cents: monthly_cents,
        capabilities: Capabilities::default(),
    };
    Ok(Stock::create(StockId(clock::id()), new, now)?.of_network(network))
}
