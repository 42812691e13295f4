//! Buying a number: claim and charge in one transaction, or neither. Where a carrier must be asked, the same transaction holds
//! what it is to be asked ([`Intent`]), the number is pending, and the carrier's answer is waited for a little.
//!
//! Order of checks: authentication and right (before this), fields, know-your-customer, availability, balance, slots, then
//! the commit. The stock's version makes one buyer win; the guard on the wallet is evaluated after the charge inside the
//! transaction, so that money for one number buys one, however many are asked for at once.

use domain::e164::Country;
use domain::ids::{IntentId, NumberId, OrganizationId};
use domain::intent::Progress;
use domain::key::Mode;
use domain::number::{Birth, Network, NumberSetup};
use domain::op::{Believed, Purchase};
use domain::provider::ProviderKind;
use domain::stock::StockRef;
use domain::{
    Change, Commit, Error, Guard, Intent, Kind, Micros, Number, Organization, Posting, Result, Stock, View,
    What,
};

use std::time::Duration;

use super::failure::of_read;
use super::stock::not_available;
use super::{App, Ask};
use crate::clock;

/// The most numbers for tests that an organization holds at once: they cost nothing, and others want some too.
const TESTS_MAX: u32 = 20;

/// How long a buyer waits for a carrier to take a number back that is on sale again.
const GIVEN_BACK_WAIT: Duration = Duration::from_secs(2);

/// A purchase that is committed.
enum Bought {
    /// With all there is to it.
    Whole(Box<View>),
    /// Its carrier is yet to be asked.
    Asked(IntentId),
}

impl App {
    pub(super) async fn number_buy(&self, ask: Ask<'_>, purchase: Purchase) -> Result<View> {
        if let Some(begun) = self.begun_before(ask)? {
            return self.delivered(ask, begun).await;
        }
        let organization = self.organization_get(ask, ask.organization()?)?;
        self.stock_tests(ask, None).await?;
        for _ in 0..super::RACES_MAX {
            match self.buy_once(ask, &organization, &purchase).await {
                Ok(Bought::Whole(view)) => return Ok(*view),
                Ok(Bought::Asked(intent)) => return self.delivered(ask, intent).await,
                // Its carrier is just taking it back: it can be bought when that is done.
                Err(error) if error.kind == Kind::Exists && error.what == What::Intent => {
                    self.wait_for_stock(ask, &purchase.stock).await?;
                }
                // The stock or the claim was taken between our read and our commit: look again, and find it sold.
                Err(error) if error.kind == Kind::Stale && error.what != What::Number => {}
                Err(error) if error.kind == Kind::Exists && error.what == What::Number => {
                    return Err(not_available());
                }
                Err(error) => return Err(self.churn_told(ask, &organization, error)),
            }
        }
        Err(not_available())
    }

    /// What an earlier process began for this same request and did not live to answer.
    pub(super) fn begun_before(&self, ask: Ask<'_>) -> Result<Option<IntentId>> {
        let Some(slot) = ask.slot else { return Ok(None) };
        let begun = self.store.intent_of_slot(&slot.key, ask.now).map_err(of_read)?;
        Ok(begun.map(|intent| intent.id))
    }

    /// The number that an intent is about, once its carrier has answered or is no longer waited for.
    async fn delivered(&self, ask: Ask<'_>, id: IntentId) -> Result<View> {
        self.carriage.settle(id).await;
        let gone = || Error::internal("an intent or its number is not there");
        let intent = self.store.intent_get(id).map_err(of_read)?.ok_or_else(gone)?;
        if intent.progress == Progress::Failed {
            let told = intent.told.as_deref().unwrap_or("no reason given");
            let words =
                format!("The carrier does not deliver the number: {told}. Nothing was charged for it.");
            return Err(Error::new(Kind::CarrierRefused, What::Number, words));
        }
        let number = intent.number_id.ok_or_else(gone)?;
        let number =
            self.store.number_get(intent.organization_id, number).map_err(of_read)?.ok_or_else(gone)?;
        Ok(View::Number(Box::new(self.number_view(ask, number)?)))
    }

    async fn wait_for_stock(&self, ask: Ask<'_>, wanted: &StockRef) -> Result<()> {
        let stock = self.stock_for_sale(ask, wanted)?;
        let settled = self.carriage.settle_number(stock.e164);
        if tokio::time::timeout(GIVEN_BACK_WAIT, settled).await.is_err() {
            // Its carrier does not answer: to the buyer it is not to be had, and not sixteen times over.
            return Err(not_available());
        }
        Ok(())
    }

    /// Buys what costs least of a country's numbers on sale. The turns are taken one after the other: buyers who came at once
    /// would all run for the same number.
    pub(super) async fn number_provision(
        &self,
        ask: Ask<'_>,
        country: Country,
        setup: NumberSetup,
    ) -> Result<View> {
        if let Some(begun) = self.begun_before(ask)? {
            return self.delivered(ask, begun).await;
        }
        match self.provision(ask, country, setup).await? {
            Bought::Whole(view) => Ok(*view),
            // Not in one's turn any more: a slow carrier holds up nobody else.
            Bought::Asked(intent) => self.delivered(ask, intent).await,
        }
    }

    async fn provision(&self, ask: Ask<'_>, country: Country, setup: NumberSetup) -> Result<Bought> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        self.wiring_of_setup(ask, &setup, ask.caller.environment())?;
        setup.check()?;
        let mode = ask.caller.mode;
        self.stock_tests(ask, Some(country)).await?;
        let _turn = self.provisions.lock().await;
        for _ in 0..super::RACES_MAX {
            check_kyc(&organization, mode)?;
            if let Some(max) = organization.number_slots
                && mode == Mode::Live
                && self.store.number_slots_used(organization.id).map_err(of_read)? >= u64::from(max)
            {
                return Err(slots(organization.id, max));
            }
            let buyer = (organization.id, mode);
            let found = self.store.stock_cheapest(country, buyer, ask.now).map_err(of_read)?;
            let stock = StockRef::Id(found.ok_or_else(|| out_of_stock(country))?.id);
            let purchase = Purchase { stock, setup: setup.clone(), believed: Believed::default() };
            match self.buy_once(ask, &organization, &purchase).await {
                Err(error) if error.kind == Kind::Exists && error.what == What::Intent => {
                    self.wait_for_stock(ask, &purchase.stock).await?;
                }
                // Somebody bought it by its name in this moment: look again.
                Err(error) if matches!(error.kind, Kind::Stale | Kind::Exists) => {}
                outcome => return outcome,
            }
        }
        Err(out_of_stock(country))
    }

    async fn buy_once(
        &self,
        ask: Ask<'_>,
        organization: &Organization,
        purchase: &Purchase,
    ) -> Result<Bought> {
        let Purchase { stock: wanted, setup, believed } = purchase;
        setup.check()?;
        let birth = self.birth(ask);
        let wiring = self.wiring_of_setup(ask, setup, birth.environment)?;
        check_kyc(organization, ask.caller.mode)?;
        let stock = self.stock_for_sale(ask, wanted)?;
        check_belief(*believed, &stock)?;
        let price = stock.setup_cost + stock.monthly_cost;
        let balance = self.store.balance(organization.id).map_err(of_read)?;
        if price > Micros::ZERO && balance < price {
            return Err(super::failure::balance());
        }
        let limits = self.purchase_limits(ask, organization, &stock)?;
        let provider = self.store.provider_managed_first(organization.id).map_err(of_read)?;
        let id = birth.id;
        let setup = (NumberSetup::clone(setup), wiring.as_wiring());
        let (number, sold) = Number::buy(organization.id, &stock, provider.map(|p| p.id), setup, birth)?;
        let asked = carriers::is_asked(number.network, ProviderKind::Managed);
        let number = if asked { number } else { number.activate()? };
        let changes = vec![Change::Stock(sold), Change::Number(Box::new(number.clone()))];
        let mut commit = Commit { changes, ..Commit::default() };
        if let Some(posting) = Posting::purchase(&number, ask.now) {
            commit.changes.push(Change::Posting(posting));
            commit.guards.push(Guard::WalletCovers(organization.id));
        }
        commit.guards.extend(limits);
        commit.changes.push(ask.event(organization.id, "number.purchased", id));
        if asked {
            // The answer is not known yet: the intent stands for the request until it is.
            let intent = Intent::acquire(IntentId(clock::id()), &number, ask.slot, ask.now);
            let (id, intent) = (intent.id, self.carriage.in_hands(intent));
            commit.changes.push(Change::Intent(Box::new(intent)));
            self.commit(Ask { keep: None, ..ask }, commit, View::Done).await?;
            return Ok(Bought::Asked(id));
        }
        let view = self.number_view(ask, number)?;
        self.commit(ask, commit, View::Number(Box::new(view))).await.map(|view| Bought::Whole(Box::new(view)))
    }

    /// How many numbers there may be afterwards. What is for tests takes no slot and counts as no change.
    fn purchase_limits(
        &self,
        ask: Ask<'_>,
        organization: &Organization,
        stock: &Stock,
    ) -> Result<Vec<Guard>> {
        if stock.network == Network::Test {
            return Ok(vec![Guard::TestNumbersWithin(organization.id, TESTS_MAX)]);
        }
        let slots = organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max));
        Ok(self.churn(ask, organization, 1)?.into_iter().chain(slots).collect())
    }

    /// What a new number needs from outside the rules.
    pub(super) fn birth(&self, ask: Ask<'_>) -> Birth {
        let id = NumberId(clock::id());
        let sip_credentials = self.vault.sip_credentials(id.0.as_bytes());
        Birth { now: ask.now, id, sip_credentials, environment: ask.caller.environment() }
    }
}

/// Who buys must be known to the operator; who tries things out with numbers that are nobody's need not be.
pub(super) fn check_kyc(organization: &Organization, mode: Mode) -> Result<()> {
    if mode == Mode::Test { Ok(()) } else { organization.kyc.check() }
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
