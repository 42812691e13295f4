//! Where a call goes, and why. Pure: memory in, decision out; the call path and `explain` run the same function. Files: `refusal`
//! why it goes nowhere, `routes` what is known of whom it concerns.

mod refusal;
mod routes;

use crate::Timestamp;
use crate::call::Direction;
use crate::e164::E164;
use crate::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use crate::money::Micros;
use crate::number::{Network, Status};
use crate::price::Price;
use crate::provider::{MediaEncryption, Offer};
use crate::rules::order::{self, Pick};
use crate::rules::{Cause, Chain, Entry, NumberRules, Schedule, Step, resolve, stands};
use crate::trail::{List, RuleName, Seen};
use std::sync::Arc;

pub use crate::trail::Rule;
pub use refusal::Refusal;
pub use routes::{EndpointMedia, EndpointRoute, Intake, NumberRoute, OrganizationRoute, TrunkRoute};

/// What the call path can look up. All of it is memory.
pub trait Table {
    /// A number, if somebody holds it.
    fn number(&self, e164: E164) -> Option<NumberRoute>;
    /// A tenant.
    fn organization(&self, id: OrganizationId) -> Option<OrganizationRoute>;
    /// How many calls of a tenant are in progress, those that ring too.
    fn calls(&self, organization: OrganizationId) -> u32;
    /// What a call of a tenant's costs: by its own rates, else by the operator's, else by the tenant's price of a minute.
    /// `far` is the number that decides: the called one.
    fn price(&self, organization: OrganizationId, direction: Direction, far: E164) -> Price;
    /// What calls of a tenant that are in progress hold of its balance.
    fn held(&self, organization: OrganizationId) -> Micros;
    /// An endpoint, if there is one.
    fn endpoint(&self, id: EndpointId) -> Option<EndpointRoute>;
    /// Whether a trunk takes calls of a caller; `None` is one that shows no number.
    fn admits(&self, trunk: ProviderId, caller: Option<E164>) -> bool;
    /// Whether the sound of calls from a trunk is encrypted.
    fn media(&self, trunk: ProviderId) -> MediaEncryption;
    /// What a number's holder has said of its calls.
    fn rules(&self, number: NumberId) -> Option<Arc<NumberRules>>;
    /// When the numbers of a tenant take calls that say nothing of it themselves.
    fn schedule(&self, organization: OrganizationId) -> Option<Arc<Schedule>>;
    /// The fallbacks of an endpoint.
    fn fallback(&self, id: EndpointId) -> Vec<Step>;
    /// How many calls to a number are in progress, those that ring too.
    fn number_calls(&self, number: NumberId) -> u32;
    /// How many calls through a trunk are in progress, those that ring too.
    fn trunk_calls(&self, trunk: ProviderId) -> u32;
    /// How many there may be; none: no limit.
    fn trunk_calls_max(&self, trunk: ProviderId) -> Option<u32>;
    /// The key of the draw by which callers are shared among endpoints: the same in every process.
    fn split_key(&self) -> &[u8; 32];
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct CallIn<'a> {
    /// The trunks that the call may have come from.
    pub trunks: &'a [TrunkRoute],
    /// What was dialled, read by [`E164::dialled`].
    pub dialled: Option<E164>,
    /// Who calls.
    pub caller: CallerShown,
    /// What the call's offer says of encryption; none: the question is not about one offer.
    pub offer: Option<Offer>,
    /// When.
    pub at: Timestamp,
    /// The call's own name (Call-ID): stands for a caller that shows none where callers are shared among endpoints.
    pub name: &'a str,
    /// Whether the call came by TLS; none: the question is not about that.
    pub tls: Option<bool>,
}

/// Who calls, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerShown {
    /// The question is not about one caller: any that may.
    Anyone,
    /// The number that the caller shows, if it is one.
    Number(Option<E164>),
}

/// A call that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The number.
    pub number: NumberRoute,
    /// The trunk it came through.
    pub trunk: TrunkRoute,
    /// Where it goes.
    pub endpoint_id: EndpointId,
    /// Where it goes on if it is not answered there; none: nowhere. Its first leg is [`Self::endpoint_id`].
    pub chain: Option<Chain>,
    /// What it costs.
    pub price: Price,
}

/// A call that is refused, with as much as was known by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// The number, if one was found that the trunk may reach.
    pub number: Option<NumberRoute>,
    /// The trunk, if the source is one.
    pub trunk: Option<TrunkRoute>,
    /// The status that a rule of the number's names for it.
    pub answer: Option<u16>,
}

impl Refused {
    /// The SIP status that the caller gets.
    pub fn sip_status(&self) -> u16 {
        self.answer.unwrap_or_else(|| self.why.sip_status())
    }
}

/// One decision as it is made: what is told of each rule, and what a refusal would say by now.
struct Look<F> {
    see: F,
    refused: Refused,
}

impl<F: FnMut(Rule)> Look<F> {
    /// A rule: whether the call passed it, and why it is refused if it did not.
    fn look(&mut self, rule: Rule, why: Refusal) -> Result<(), Refused> {
        (self.see)(rule);
        self.refused.why = why;
        if rule.passed { Ok(()) } else { Err(self.refused) }
    }

    fn check(&mut self, name: RuleName, passed: bool, why: Refusal) -> Result<(), Refused> {
        self.look(name.is(passed), why)
    }

    fn refuse<T>(&mut self, why: Refusal, answer: Option<u16>) -> Result<T, Refused> {
        self.refused.why = why;
        self.refused.answer = answer;
        Err(self.refused)
    }
}

/// Decides an inbound call. `see` is told each rule in order: the call path keeps them for the call's receipt.
pub fn decide(table: &impl Table, call: CallIn<'_>, see: impl FnMut(Rule)) -> Result<Routed, Refused> {
    let refused = Refused { why: Refusal::UnknownSource, number: None, trunk: None, answer: None };
    let mut look = Look { see, refused };
    let (number, trunk) = reach(table, &call, &mut look)?;
    admit(table, &call, (&number, &trunk), &mut look)?;
    let owner = number.organization_id;
    let (balance, calls_max) =
        table.organization(owner).map_or((Micros::ZERO, None), |o| (o.balance, o.calls_max));
    // What is for tests costs nothing, its minutes too.
    let price = match call.dialled {
        Some(dialled) if number.network != Network::Test => table.price(owner, Direction::Inbound, dialled),
        Some(_) | None => Price::FREE,
    };
    look.look(RuleName::funds(&price, || balance - table.held(owner)), Refusal::Balance)?;
    let rules = if number.ruled { table.rules(number.id) } else { None };
    let (endpoint_id, chain) = place(table, (&call, &number), rules.as_deref(), &mut look)?;
    let there = table.endpoint(endpoint_id).map(|endpoint| endpoint.media);
    let unfit = call.offer.and_then(|offer| there?.refuses(offer, table.media(trunk.id), call.tls));
    look.check(RuleName::EndpointMedia, unfit.is_none(), unfit.unwrap_or(Refusal::EndpointMediaPlain))?;
    look.look(RuleName::room(calls_max.map(|most| (table.calls(owner), most))), Refusal::TooManyCalls)?;
    if let Some(most) = rules.as_ref().and_then(|rules| rules.calls_max) {
        let now = table.number_calls(number.id);
        look.look(RuleName::NumberRoom.of((now, most)), Refusal::NumberFull)?;
    }
    if let Some(most) = table.trunk_calls_max(trunk.id) {
        let now = table.trunk_calls(trunk.id);
        look.look(RuleName::TrunkRoom.of((now, most)), Refusal::TrunkFull)?;
    }
    Ok(Routed { number, trunk, endpoint_id, chain, price })
}

/// The number that was dialled, and the trunk that the call came through.
fn reach(
    table: &impl Table,
    call: &CallIn<'_>,
    look: &mut Look<impl FnMut(Rule)>,
) -> Result<(NumberRoute, TrunkRoute), Refused> {
    look.check(RuleName::SourceIsTrunk, !call.trunks.is_empty(), Refusal::UnknownSource)?;
    // Where several tenants share a carrier's address, a call to nobody's number is none of theirs in particular.
    look.refused.trunk = if let [only] = call.trunks { Some(*only) } else { None };
    look.check(RuleName::NumberDialled, call.dialled.is_some(), Refusal::NotANumber)?;
    // Several tenants behind one carrier address are told apart by the number: a trunk reaches its own numbers only, the
    // operator's trunk reaches those of the stock.
    let found = call.dialled.and_then(|e164| table.number(e164));
    let reached = found.and_then(|n| call.trunks.iter().find(|t| carries(t, &n)).map(|t| (n, *t)));
    look.check(RuleName::NumberOnTrunk, reached.is_some(), Refusal::UnknownNumber)?;
    let Some((number, trunk)) = reached else { return Err(look.refused) };
    (look.refused.number, look.refused.trunk) = (Some(number), Some(trunk));
    Ok((number, trunk))
}

/// Whether the trunk and the number take calls like this one.
fn admit(
    table: &impl Table,
    call: &CallIn<'_>,
    (number, trunk): (&NumberRoute, &TrunkRoute),
    look: &mut Look<impl FnMut(Rule)>,
) -> Result<(), Refused> {
    let admitted = match call.caller {
        CallerShown::Anyone => true,
        CallerShown::Number(caller) => table.admits(trunk.id, caller),
    };
    let media = table.media(trunk.id);
    let takes = call.offer.is_none_or(|offer| !media.refuses(offer));
    let unfit = if media == MediaEncryption::Required { Refusal::MediaPlain } else { Refusal::MediaSecure };
    let pending = matches!(number.status, Status::Pending | Status::PortIn);
    let why_pending = if number.status == Status::PortIn { Refusal::PortIn } else { Refusal::Pending };
    let why_inactive = if number.unpaid { Refusal::Unpaid } else { Refusal::Inactive };
    let active = matches!(number.status, Status::Active | Status::PortOut);
    look.check(RuleName::CallerTaken, admitted, Refusal::CallerNotAllowed)?;
    look.check(RuleName::MediaTaken, takes, unfit)?;
    look.check(RuleName::NumberReady, !pending, why_pending)?;
    look.check(RuleName::NumberActive, active, why_inactive)?;
    look.check(RuleName::NumberVoice, number.intake != Intake::NoVoice, Refusal::NoVoice)?;
    look.check(RuleName::NumberIntake, number.intake != Intake::Off, Refusal::InboundOff)
}

/// Where the call goes, and where it goes on from there: the number's rules in their [order](crate::rules::order).
fn place(
    table: &impl Table,
    (call, number): (&CallIn<'_>, &NumberRoute),
    rules: Option<&NumberRules>,
    look: &mut Look<impl FnMut(Rule)>,
) -> Result<(EndpointId, Option<Chain>), Refused> {
    let picked = match order::pick(table, (call, number), rules, &mut look.see) {
        Pick::Refused(status) => return look.refuse(Refusal::CallerRefused, Some(status)),
        Pick::Place(picked) => picked,
    };
    let first = picked.and_then(|endpoint| can_be_called(table, endpoint, &mut look.see));
    told_of_targets(table, first.ok(), &mut look.see);
    let steps = rules.map(|rules| rules.fallback.as_slice()).unwrap_or_default();
    let own = |id| table.endpoint(id).is_some_and(|endpoint| endpoint.has_fallback);
    let named = picked.ok().flatten();
    if steps.is_empty() && !named.is_some_and(own) {
        return match first {
            Ok(id) => Ok((id, None)),
            Err(cause) => look.refuse(of_cause(cause), None),
        };
    }
    // An endpoint that is there but cannot be called has its own steps too.
    let (entry, looped) = resolve(table, number.organization_id, named.ok_or_else(|| of_none(first)), steps);
    if looped {
        (look.see)(RuleName::NoCircle.is(false));
    }
    let cause = first.err().unwrap_or(Cause::AllDown);
    match entry {
        Entry::Chain(chain) => {
            let to = chain.legs[0].endpoint_id;
            if first != Ok(to) {
                (look.see)(RuleName::Fallback.is(true));
                told_of_targets(table, Some(to), &mut look.see);
            }
            Ok((to, Some(chain).filter(|chain| chain.legs.len() > 1 || !chain.legs[0].exits.is_empty())))
        }
        Entry::Refuse(status) => {
            (look.see)(RuleName::Fallback.is(true).seeing(Seen::entry(List::Fallback, None, status)));
            look.refuse(of_cause(cause), Some(status))
        }
        Entry::Nowhere => {
            (look.see)(RuleName::Fallback.is(false));
            look.refuse(of_cause(cause), None)
        }
    }
}

/// What is known of the targets of a place, where they are asked.
fn told_of_targets(table: &impl Table, place: Option<EndpointId>, see: &mut impl FnMut(Rule)) {
    if let Some(rule) = place.and_then(|id| table.endpoint(id)).and_then(|endpoint| endpoint.health()) {
        see(rule);
    }
}

fn of_none(first: Result<EndpointId, Cause>) -> Cause {
    first.err().unwrap_or(Cause::NoEndpoint)
}

/// Whether the place that was chosen can be called, told rule by rule.
fn can_be_called(
    table: &impl Table,
    endpoint: Option<EndpointId>,
    see: &mut impl FnMut(Rule),
) -> Result<EndpointId, Cause> {
    const RULES: [(RuleName, Cause); 4] = [
        (RuleName::EndpointSet, Cause::NoEndpoint),
        (RuleName::EndpointActive, Cause::EndpointInactive),
        (RuleName::EndpointSip, Cause::EndpointNotSip),
        (RuleName::EndpointTarget, Cause::NoTarget),
    ];
    let stands = endpoint.ok_or(Cause::NoEndpoint).and_then(|id| stands(table, id).map(|()| id));
    for (name, cause) in RULES {
        let passed = stands != Err(cause);
        see(name.is(passed));
        if !passed {
            break;
        }
    }
    stands
}

/// What a cause that comes up before anything is tried means for the call.
fn of_cause(cause: Cause) -> Refusal {
    match cause {
        Cause::EndpointInactive => Refusal::EndpointInactive,
        Cause::EndpointNotSip => Refusal::EndpointNotSip,
        Cause::Closed => Refusal::Closed,
        Cause::NoTarget | Cause::AllDown => Refusal::NoTarget,
        Cause::NoEndpoint
        | Cause::Busy
        | Cause::Declined
        | Cause::NotFound
        | Cause::NoAnswer
        | Cause::Refused
        | Cause::Failed
        | Cause::TooLate => Refusal::NoEndpoint,
    }
}

/// Whether calls to a number may come through a trunk.
pub fn carries(trunk: &TrunkRoute, number: &NumberRoute) -> bool {
    match (trunk.organization_id, number.trunk) {
        (Some(_), own) => own == Some(trunk.id),
        (None, Some(own)) => own == trunk.id,
        (None, None) => number.network.is_reached(trunk.network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_of_media_has_its_answer() {
        use MediaEncryption::{Allowed, Disabled, Required};
        use Offer::{Absent, Dtls, Mixed, Plain, Secure, Unreadable};
        use Refusal as R;
        for (offer, endpoint, (dtls, tls), trunk, wanted) in [
            // what the carrier offers, what the endpoint takes, whether with DTLS and by TLS, what the trunk takes
            (Plain, Disabled, (false, true), Allowed, None),
            (Plain, Allowed, (false, true), Allowed, None),
            (Plain, Required, (false, true), Allowed, Some(R::EndpointMediaPlain)),
            (Mixed, Required, (false, true), Allowed, Some(R::EndpointMediaPlain)),
            (Unreadable, Required, (false, true), Allowed, Some(R::EndpointMediaPlain)),
            (Secure, Required, (false, true), Allowed, None),
            (Secure, Allowed, (false, true), Allowed, None),
            (Secure, Allowed, (false, false), Allowed, None),
            (Secure, Required, (false, false), Allowed, Some(R::MediaKeysOpen)),
            (Secure, Allowed, (false, false), Required, Some(R::MediaKeysOpen)),
            (Secure, Disabled, (false, true), Allowed, Some(R::EndpointMediaSecure)),
            (Dtls, Disabled, (true, true), Allowed, Some(R::EndpointMediaSecure)),
            (Dtls, Allowed, (false, true), Allowed, Some(R::EndpointMediaDtls)),
            (Dtls, Required, (false, true), Allowed, Some(R::EndpointMediaDtls)),
            (Dtls, Required, (true, false), Required, None),
            (Mixed, Disabled, (false, true), Allowed, None),
            (Absent, Disabled, (false, false), Allowed, None),
            (Absent, Required, (false, true), Required, None),
        ] {
            let media = EndpointMedia { encryption: endpoint, dtls, tls };
            let row = format!("{offer:?} to {endpoint:?} {dtls} {tls} from {trunk:?}");
            assert_eq!(media.refuses(offer, trunk, Some(true)), wanted, "{row}");
            assert_eq!(media.refuses(offer, trunk, None), wanted, "{row}");
        }
        let media = EndpointMedia { encryption: Required, dtls: false, tls: true };
        assert_eq!(media.refuses(Secure, Allowed, Some(false)), Some(R::MediaKeysOpen));
    }
}
