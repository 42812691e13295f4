//! Buying a number: claim and charge in one transaction, or neither.
//!
//! Order of checks: authentication and right (before this), fields, know-your-customer, availability, balance, slots, then
//! the commit. The stock's version makes one buyer win; the guard on the wallet is evaluated after the charge inside the
//! transaction, so that money for one number buys one, however many are asked for at once.

use carriers::{CarrierOp, Outcome};
use domain::e164::Country;
use domain::ids::{NumberId, OrganizationId, PostingId};
use domain::number::{Birth, NumberSetup};
use domain::op::{Believed, Purchase};
use domain::provider::ProviderKind;
use domain::stock::StockRef;
use domain::{
    Change, Commit, Error, Guard, Kind, Micros, Number, Organization, Posting, Result, Stock, View, What,
};

use super::failure::of_read;
use super::stock::not_available;
use super::{App, Ask};
use crate::clock;

impl App {
    pub(super) async fn number_buy(&self, ask: Ask<'_>, purchase: Purchase) -> Result<View> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        for _ in 0..super::RACES_MAX {
            match self.buy_once(ask, &organization, &purchase).await {
                // The stock or the claim was taken between our read and our commit: look again, and find it sold.
                Err(error) if error.kind == Kind::Stale && error.what != What::Number => {}
                Err(error) if error.kind == Kind::Exists && error.what == What::Number => {
                    return Err(not_available());
                }
                outcome => return outcome,
            }
        }
        Err(not_available())
    }

    /// Buys what costs least of a country's numbers on sale. The turns are taken one after the other: buyers who came at once
    /// would all run for the same number.
    pub(super) async fn number_provision(
        &self,
        ask: Ask<'_>,
        country: Country,
        setup: NumberSetup,
    ) -> Result<View> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        self.wiring_of_setup(ask, &setup, ask.caller.environment())?;
        setup.check()?;
        let _turn = self.provisions.lock().await;
        for _ in 0..super::RACES_MAX {
            organization.kyc.check()?;
            if let Some(max) = organization.number_slots
                && self.store.number_held_count(organization.id).map_err(of_read)? >= u64::from(max)
            {
                return Err(slots(organization.id, max));
            }
            let found = self.store.stock_cheapest(country, ask.now).map_err(of_read)?;
            let stock = StockRef::Id(found.ok_or_else(|| out_of_stock(country))?.id);
            let purchase = Purchase { stock, setup: setup.clone(), believed: Believed::default() };
            match self.buy_once(ask, &organization, &purchase).await {
                // Somebody bought it by its name in this moment: look again.
                Err(error) if matches!(error.kind, Kind::Stale | Kind::Exists) => {}
                outcome => return outcome,
            }
        }
        Err(out_of_stock(country))
    }

    async fn buy_once(&self, ask: Ask<'_>, organization: &Organization, purchase: &Purchase) -> Result<View> {
        let Purchase { stock: wanted, setup, believed } = purchase;
        setup.check()?;
        let birth = self.birth(ask);
        let wiring = self.wiring_of_setup(ask, setup, birth.environment)?;
        organization.kyc.check()?;
        let stock = self.stock_for_sale(wanted, ask.now)?;
        check_belief(*believed, &stock)?;
        let price = stock.setup_cost + stock.monthly_cost;
        let balance = self.store.balance(organization.id).map_err(of_read)?;
        if price > Micros::ZERO && balance < price {
            return Err(super::failure::balance());
        }
        let provider = self.store.provider_managed_first(organization.id).map_err(of_read)?;
        let id = birth.id;
        let setup = (NumberSetup::clone(setup), wiring.as_wiring());
        let (number, sold) = Number::buy(organization.id, &stock, provider.map(|p| p.id), setup, birth)?;
        let carrier = carriers::of(ProviderKind::Managed);
        let number = match carrier.ask(CarrierOp::Acquire(number.e164)).map_err(super::failure::of_carrier)? {
            Outcome::Done => number.activate()?,
            Outcome::Pending => number,
        };
        let changes = vec![Change::Stock(sold), Change::Number(Box::new(number.clone()))];
        let mut commit = Commit { changes, ..Commit::default() };
        if price > Micros::ZERO {
            let reason = format!("number {} bought", number.e164);
            let posting = Posting::sale(PostingId(clock::id()), organization.id, price, reason, ask.now);
            commit.changes.push(Change::Posting(posting));
            commit.guards.push(Guard::WalletCovers(organization.id));
        }
        commit.guards.extend(organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max)));
        commit.changes.push(ask.event(organization.id, "number.purchased", id));
        let view = self.number_view(ask, number)?;
        self.commit(ask, commit, View::Number(Box::new(view))).await
    }

    /// What a new number needs from outside the rules.
    pub(super) fn birth(&self, ask: Ask<'_>) -> Birth {
        let id = NumberId(clock::id());
        let sip_credentials = self.vault.sip_credentials(id.0.as_bytes());
        Birth { now: ask.now, id, sip_credentials, environment: ask.caller.environment() }
    }
}

fn slots(organization: OrganizationId, max: u32) -> Error {
    super::failure::of_commit(store::CommitError::Guard(Guard::SlotsWithin(organization, max)))
}

fn out_of_stock(country: Country) -> Error {
    let words =
        format!("No number of {} is on sale; the operator has to put some in stock.", country.as_str());
    Error::new(Kind::Conflict, What::Stock, words)
}

/// Prices come from the stock; a client that believes in others is told so before it pays.
fn check_belief(believed: Believed, stock: &Stock) -> Result<()> {
    let Believed { total_cents, setup_cents, monthly_cents } = believed;
    let rows = [
        ("total_cost_cents", total_cents, stock.setup_cost + stock.monthly_cost),
        ("setup_cost_cents", setup_cents, stock.setup_cost),
        ("monthly_cost_cents", monthly_cents, stock.monthly_cost),
    ];
    for (field, cents, ours) in rows {
        if cents.is_some_and(|cents| cents != ours.cents_floor()) {
            let words = format!("`{field}` is not our price, which is {} cents.", ours.cents_floor());
            return Err(Error::invalid(What::Stock, field, words));
        }
    }
    Ok(())
}
