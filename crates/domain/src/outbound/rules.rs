//! The rules of calls out, in their order.

use super::{
    CallOut, Caps, Countries, Destination, NumberCaps, NumberOut, OrganizationOut, Party, Placed, Refusal,
    Refused, Shown, Table, TrunkOut, Whose, Window, destination,
};
use crate::money::Micros;
use crate::number::{Network, Status};
use crate::price::Price;
use crate::provider::MediaEncryption;
use crate::trail::{Rule, RuleName};

/// Decides a call out. `see` is told each rule in order; the call path passes a function that does nothing.
pub fn decide(table: &impl Table, call: CallOut<'_>, see: impl FnMut(Rule)) -> Result<Placed, Refused> {
    let refused = Refused { why: Refusal::UnknownSource, number: None, to: None, retry_after: None };
    let mut rules = Rules { see, refused };
    let number = rules.caller(table, &call)?;
    let (to, trunks) = rules.way(table, &number, &call)?;
    let organization = table.organization(number.organization_id);
    let Destination::Number(far, _) = to else {
        return Ok(placed(number, to, trunks, Price::FREE));
    };
    // What is for tests costs nothing, its minutes too.
    let owner = number.organization_id;
    let price = if number.network == Network::Test { Price::FREE } else { table.price(owner, far) };
    let balance = organization.as_ref().map_or(Micros::ZERO, |o| o.balance);
    rules.look(RuleName::funds(&price, || balance - table.held(owner)), Refusal::Balance)?;
    let trunks = rules.room(table, &number, organization.as_ref(), trunks)?;
    Ok(placed(number, to, trunks, price))
}

fn placed(number: NumberOut, to: Destination, mut trunks: Vec<TrunkOut>, price: Price) -> Placed {
    // One that is for this country alone before those for all.
    trunks.sort_by_key(|trunk| (trunk.destination_country.is_none(), trunk.priority, trunk.id));
    let trunks = trunks.into_iter().map(|trunk| trunk.id).collect();
    Placed { number, to, trunks, price }
}

/// The rules as they are gone through.
struct Rules<S> {
    see: S,
    refused: Refused,
}

impl<S: FnMut(Rule)> Rules<S> {
    fn check(&mut self, name: RuleName, passed: bool, why: Refusal) -> Result<(), Refused> {
        self.look(name.is(passed), why)
    }

    fn look(&mut self, rule: Rule, why: Refusal) -> Result<(), Refused> {
        (self.see)(rule);
        self.refused.why = why;
        if rule.passed { Ok(()) } else { Err(self.refused) }
    }

    /// Who calls, and whether that number may.
    fn caller(&mut self, table: &impl Table, call: &CallOut<'_>) -> Result<NumberOut, Refused> {
        let proven = match call.party {
            Party::Unknown => false,
            Party::Number(_) => true,
            Party::Organizations(owners) => !owners.is_empty(),
        };
        self.check(RuleName::CallerKnown, proven, Refusal::UnknownSource)?;
        let e164 = match (call.party, call.shown) {
            (Party::Number(proven), _) => Some(proven),
            (_, Shown::Number(shown)) => Some(shown),
            (_, Shown::Nothing | Shown::Odd) => None,
        };
        let held = |number: &NumberOut| match call.party {
            Party::Organizations(owners) => owners.contains(&number.organization_id),
            Party::Number(_) => true,
            Party::Unknown => false,
        };
        let found = e164.and_then(|e164| table.number(e164)).filter(held);
        self.check(RuleName::CallerHeld, found.is_some(), Refusal::CallerNotHeld)?;
        let Some(number) = found else { return Err(self.refused) };
        self.refused.number = Some(number);
        if let Party::Number(proven) = call.party {
            let same = call.shown == Shown::Nothing || call.shown == Shown::Number(proven);
            self.check(RuleName::CallerOwn, same, Refusal::CallerNotProven)?;
        }
        let pending = matches!(number.status, Status::Pending | Status::PortIn);
        let active = matches!(number.status, Status::Active | Status::PortOut);
        let why_inactive = if number.unpaid { Refusal::Unpaid } else { Refusal::Inactive };
        self.check(RuleName::NumberReady, !pending, Refusal::Pending)?;
        self.check(RuleName::NumberActive, active, why_inactive)?;
        self.check(RuleName::NumberVoice, number.voice, Refusal::NoVoice)?;
        self.check(RuleName::OutboundOn, number.allow_outbound, Refusal::OutboundOff)?;
        Ok(number)
    }

    /// Who is called, and by which ways.
    fn way(
        &mut self,
        table: &impl Table,
        number: &NumberOut,
        call: &CallOut<'_>,
    ) -> Result<(Destination, Vec<TrunkOut>), Refused> {
        let home = number.e164.plan().map(|plan| plan.country);
        let to = home.and_then(|home| destination(call.to, home));
        if let Some(Destination::Number(e164, _)) = to {
            self.refused.to = Some(e164);
        }
        self.check(RuleName::NumberDialled, to.is_some(), Refusal::NotANumber)?;
        let Some(to) = to else { return Err(self.refused) };
        let (mut trunks, why) = match table.ways(number) {
            Ok(trunks) => (trunks, Refusal::NoTrunk),
            Err(why) => (Vec::new(), why),
        };
        self.check(RuleName::WayOut, !trunks.is_empty(), why)?;
        let Destination::Number(_, country) = to else {
            trunks.retain(|trunk| trunk.emergency);
            self.check(RuleName::TrunkEmergency, !trunks.is_empty(), Refusal::Emergency)?;
            return Ok((to, trunks));
        };
        self.check(RuleName::NoEmergency, true, Refusal::Emergency)?;
        let open = match table.organization(number.organization_id).map(|o| o.countries).unwrap_or_default() {
            Countries::All => true,
            Countries::Named(named) => named.contains(&country),
            Countries::Own => {
                home == Some(country) || trunks.iter().any(|trunk| trunk.destination_country == Some(country))
            }
        };
        self.check(RuleName::CountryOpen, open, Refusal::CountryClosed)?;
        trunks.retain(|trunk| trunk.destination_country.is_none_or(|only| only == country));
        self.check(RuleName::TrunkCountry, !trunks.is_empty(), Refusal::TrunkCountry)?;
        let unfit = if trunks.iter().any(|trunk| trunk.media == MediaEncryption::Required) {
            Refusal::MediaPlain
        } else {
            Refusal::MediaSecure
        };
        trunks.retain(|trunk| call.offer.is_none_or(|offer| !trunk.media.refuses(offer)));
        let unfit = if trunks.is_empty() { unfit } else { Refusal::MediaKeysOpen };
        trunks.retain(|trunk| !call.opens_keys(trunk));
        self.check(RuleName::MediaTaken, !trunks.is_empty(), unfit)?;
        Ok((to, trunks))
    }

    /// Whether there is room for one more call: what is refused here is refused for now.
    fn room(
        &mut self,
        table: &impl Table,
        number: &NumberOut,
        organization: Option<&OrganizationOut>,
        mut trunks: Vec<TrunkOut>,
    ) -> Result<Vec<TrunkOut>, Refused> {
        let calls_max = organization.and_then(|o| o.calls_max);
        let room = calls_max.map(|most| (table.calls(number.organization_id), most));
        self.look(RuleName::room(room), Refusal::TooManyCalls)?;
        let own = table.caps(number.id);
        if let Some(calls) = own.calls {
            self.look(RuleName::NumberRoom.of(calls), Refusal::NumberFull)?;
        }
        let limited = |trunks: &[TrunkOut]| trunks.iter().find_map(|trunk| trunk.calls);
        if let Some(first) = limited(&trunks) {
            trunks.retain(|trunk| trunk.calls.is_none_or(|(now, most)| now < most));
            // what is told is of a trunk that has room, if one has
            let room = match limited(&trunks) {
                Some(calls) => RuleName::TrunkRoom.of(calls),
                None if trunks.is_empty() => RuleName::TrunkRoom.of(first),
                None => RuleName::TrunkRoom.is(true),
            };
            self.look(room, Refusal::TrunkFull)?;
        }
        for (name, cap, whose, window, why) in caps(number, &own, organization) {
            let begun = cap.map(|_| table.begun(whose, window)).unwrap_or_default();
            self.refused.retry_after = Some(begun.fewer_in.max(1));
            self.check(name, cap.is_none_or(|cap| begun.calls < cap), why)?;
        }
        self.refused.retry_after = Some(1);
        trunks.retain(|trunk| trunk.paced);
        self.check(RuleName::TrunkPace, !trunks.is_empty(), Refusal::TrunkPace)?;
        Ok(trunks)
    }
}

/// A rule about how many calls are begun: its name, the most there may be, whose, in which time, and what it is refused with.
type Cap = (RuleName, Option<u32>, Whose, Window, Refusal);

/// What a number says of itself and what its organization says of each number hold both: the lower counts.
fn caps(number: &NumberOut, own: &NumberCaps, organization: Option<&OrganizationOut>) -> [Cap; 4] {
    let Caps { number_minute, number_day, organization_minute, organization_day } =
        organization.map(|o| o.caps).unwrap_or_default();
    let lower = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
    let (number_minute, number_day) = (lower(number_minute, own.minute), lower(number_day, own.day));
    let (one, all) = (Whose::Number(number.id), Whose::Organization(number.organization_id));
    let (minute, day) = (Window::Minute, Window::Day);
    [
        (RuleName::NumberMinute, number_minute, one, minute, Refusal::NumberMinute),
        (RuleName::NumberDay, number_day, one, day, Refusal::NumberDay),
        (RuleName::OrganizationMinute, organization_minute, all, minute, Refusal::OrganizationMinute),
        (RuleName::OrganizationDay, organization_day, all, day, Refusal::OrganizationDay),
    ]
}
