//! Reservations of stock. They end by themselves, by comparing times: no job clears them, so they hold over a restart.
//!
//! The stock's version decides races: of two who reserve, or of one who reserves and one who buys, the second reads anew.

use domain::ids::StockId;
use domain::key::Mode;
use domain::stock::{Hold, StockRef};
use domain::{Change, Commit, Error, Guard, Kind, Result, Timestamp, View, What};
use std::time::Duration;

use super::failure::of_read;
use super::stock::not_available;
use super::{App, Ask, again};

impl App {
    pub(super) async fn stock_hold(&self, ask: Ask<'_>, id: StockId) -> Result<View> {
        if ask.caller.mode == Mode::Test {
            // They are for everybody's tests, and nobody waits for money or consent to buy one.
            return Err(Error::forbidden("Numbers for tests cannot be reserved; buy one."));
        }
        let organization = self.organization_get(ask, ask.organization()?)?;
        // Only who may buy takes numbers from those who may.
        super::purchase::check_kyc(&organization, ask.caller.mode)?;
        let guard = Guard::HoldsWithin(organization.id, Hold::MOST, ask.now);
        let outcome = again!(None::<u64>, {
            let before = self.stock_for_sale(ask, &StockRef::Id(id))?;
            let next = before.hold(organization.id, ask.now).ok_or_else(not_available)?;
            if next.version == before.version {
                return self.commit(ask, Commit::default(), View::Stock(next)).await;
            }
            let ends = self.store.stock_holds(organization.id, ask.now).map_err(of_read)?;
            if ends.len() >= Hold::MOST as usize {
                return Err(too_many(ends.first().copied(), ask.now));
            }
            let changes = vec![Change::Stock(next.clone()), ask.event(organization.id, "stock.held", id)];
            let commit = Commit { changes, guards: vec![guard], answer: None };
            self.commit(ask, commit, View::Stock(next)).await
        });
        outcome.map_err(|error| if error.kind == Kind::Stale { not_available() } else { error })
    }

    pub(super) async fn stock_unhold(&self, ask: Ask<'_>, id: StockId) -> Result<View> {
        let organization = self.tenant(ask)?;
        again!(None::<u64>, {
            let found = self.store.stock_get(id).map_err(of_read)?;
            // Another's reservation is none, as far as anybody else can tell.
            let next = found.and_then(|stock| stock.unhold(organization, ask.now)).ok_or_else(not_held)?;
            let changes = vec![Change::Stock(next), ask.event(organization, "stock.unheld", id)];
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await
        })
    }
}

fn not_held() -> Error {
    Error::not_found(What::Stock).say("You have no such number reserved.")
}

/// All reservations are in use; `first` is when the first of them ends.
pub(super) fn too_many(first: Option<Timestamp>, now: Timestamp) -> Error {
    let words =
        format!("At most {} numbers can be reserved at once; buy or give up one of them first.", Hold::MOST);
    let wait = first.and_then(|end| Duration::try_from(end.duration_since(now)).ok());
    Error::new(Kind::Limit, What::Stock, words).after(wait.unwrap_or(Duration::from_mins(1)))
}
