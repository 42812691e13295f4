use super::*;
use crate::trail::RuleName;
use proptest::prelude::*;
use uuid::Uuid;

const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(9));
const OTHER: OrganizationId = OrganizationId(Uuid::from_u128(8));
const TRUNK: ProviderId = ProviderId(Uuid::from_u128(5));

/// A number of the owner's that may call anybody in its country, on a trunk.
#[derive(Clone, Debug)]
struct World {
    number: NumberOut,
    organization: OrganizationOut,
    ways: Result<Vec<TrunkOut>, Refusal>,
    price: Price,
    held: Micros,
    calls: u32,
    begun: u32,
    own: NumberCaps,
}

fn e164(text: &str) -> E164 {
    E164::parse(text).unwrap().0
}

fn country(text: &str) -> Country {
    Country::parse(text).unwrap()
}

fn trunk(n: u128) -> TrunkOut {
    TrunkOut {
        id: ProviderId(Uuid::from_u128(n)),
        destination_country: None,
        emergency: false,
        media: MediaEncryption::Allowed,
        tls: false,
        priority: 10,
        paced: true,
        calls: None,
    }
}

fn world() -> World {
    let number = NumberOut {
        e164: e164("+14155550100"),
        id: NumberId(Uuid::from_u128(1)),
        organization_id: OWNER,
        status: Status::Active,
        unpaid: false,
        voice: true,
        allow_outbound: true,
        trunk: Some(TRUNK),
        network: Network::Public,
        endpoint_id: None,
    };
    let organization = OrganizationOut {
        balance: Micros::ZERO,
        calls_max: None,
        caps: Caps::default(),
        countries: Countries::Own,
    };
    World {
        number,
        organization,
        ways: Ok(vec![trunk(5)]),
        price: Price::FREE,
        held: Micros::ZERO,
        calls: 0,
        begun: 0,
        own: NumberCaps::default(),
    }
}

impl Table for World {
    fn number(&self, e164: E164) -> Option<NumberOut> {
        (e164 == self.number.e164).then_some(self.number)
    }

    fn organization(&self, id: OrganizationId) -> Option<OrganizationOut> {
        (id == self.number.organization_id).then(|| self.organization.clone())
    }

    fn calls(&self, _: OrganizationId) -> u32 {
        self.calls
    }

    fn caps(&self, _: NumberId) -> NumberCaps {
        self.own
    }

    fn price(&self, _: OrganizationId, _: E164) -> Price {
        self.price
    }

    fn held(&self, _: OrganizationId) -> Micros {
        self.held
    }

    fn begun(&self, _: Whose, window: Window) -> Begun {
        Begun { calls: self.begun, fewer_in: if window == Window::Day { 3_600 } else { 20 } }
    }

    fn ways(&self, _: &NumberOut) -> Result<Vec<TrunkOut>, Refusal> {
        self.ways.clone()
    }
}

fn call(to: &str) -> CallOut<'_> {
    let party = Party::Organizations(&[OWNER]);
    CallOut { party, shown: Shown::Number(e164("+14155550100")), to, offer: Some(Offer::Plain), tls: None }
}

const TO: &str = "+12125550123";

fn why(world: &World, call: CallOut<'_>) -> Option<Refusal> {
    decide(world, call, |_| {}).err().map(|refused| refused.why)
}

#[test]
fn a_number_calls_out_by_its_trunk() {
    let placed = decide(&world(), call(TO), |_| {}).unwrap();
    assert_eq!(placed.to, Destination::Number(e164(TO), country("US")));
    assert_eq!((placed.number.e164, placed.trunks), (e164("+14155550100"), vec![TRUNK]));
    let national = decide(&world(), call("(212) 555-0123"), |_| {}).unwrap();
    assert_eq!(national.to, placed.to);
}

#[test]
fn each_rule_refuses_with_its_own_reason() {
    let of = |change: fn(&mut World)| {
        let mut world = world();
        change(&mut world);
        why(&world, call(TO))
    };
    assert_eq!(of(|_| {}), None);
    assert_eq!(of(|w| w.number.organization_id = OTHER), Some(Refusal::CallerNotHeld));
    assert_eq!(of(|w| w.number.status = Status::Pending), Some(Refusal::Pending));
    assert_eq!(of(|w| w.number.status = Status::PortIn), Some(Refusal::Pending));
    assert_eq!(of(|w| w.number.status = Status::PortOut), None);
    assert_eq!(of(|w| w.number.status = Status::Inactive), Some(Refusal::Inactive));
    let unpaid = |w: &mut World| (w.number.status, w.number.unpaid) = (Status::Inactive, true);
    assert_eq!(of(unpaid), Some(Refusal::Unpaid));
    assert_eq!(of(|w| w.number.voice = false), Some(Refusal::NoVoice));
    assert_eq!(of(|w| w.number.allow_outbound = false), Some(Refusal::OutboundOff));
    assert_eq!(of(|w| w.ways = Err(Refusal::TrunkOneWay)), Some(Refusal::TrunkOneWay));
    assert_eq!(of(|w| w.ways = Ok(vec![])), Some(Refusal::NoTrunk));
    let other = |w: &mut World| w.organization.countries = Countries::Named([country("GB")].into());
    assert_eq!(of(other), Some(Refusal::CountryClosed));
    let elsewhere = |w: &mut World| {
        w.ways = Ok(vec![TrunkOut { destination_country: Some(country("GB")), ..trunk(5) }]);
    };
    assert_eq!(of(elsewhere), Some(Refusal::TrunkCountry));
    let secure = |w: &mut World| w.ways = Ok(vec![TrunkOut { media: MediaEncryption::Required, ..trunk(5) }]);
    assert_eq!(of(secure), Some(Refusal::MediaPlain));
    for (offer, there, here, wanted) in [
        (Offer::Secure, true, Some(true), None),
        (Offer::Secure, true, None, None),
        (Offer::Secure, true, Some(false), Some(Refusal::MediaKeysOpen)),
        (Offer::Secure, false, Some(true), Some(Refusal::MediaKeysOpen)),
        (Offer::Dtls, false, Some(false), None),
    ] {
        let mut world = world();
        world.ways = Ok(vec![TrunkOut { media: MediaEncryption::Required, tls: there, ..trunk(5) }]);
        let call = CallOut { offer: Some(offer), tls: here, ..call(TO) };
        assert_eq!(why(&world, call), wanted, "{offer:?} {there} {here:?}");
    }
    assert_eq!(of(|w| w.price = Price::by_minute(Micros(1))), Some(Refusal::Balance));
    let held = |w: &mut World| {
        (w.price, w.organization.balance, w.held) = (Price::by_minute(Micros(60)), Micros(10), Micros(9));
    };
    assert_eq!(of(held), Some(Refusal::Balance), "what calls in progress hold is not free");
    let test = |w: &mut World| {
        (w.price, w.number.network) = (Price::by_minute(Micros(1)), Network::Test);
    };
    assert_eq!(of(test), None, "what is for tests costs nothing");
    assert_eq!(of(|w| (w.organization.calls_max, w.calls) = (Some(1), 1)), Some(Refusal::TooManyCalls));
    assert_eq!(of(|w| w.own.calls = Some((1, 1))), Some(Refusal::NumberFull));
    assert_eq!(of(|w| w.own.calls = Some((0, 1))), None);
    let full = |w: &mut World| w.ways = Ok(vec![TrunkOut { calls: Some((3, 3)), ..trunk(5) }]);
    assert_eq!(of(full), Some(Refusal::TrunkFull));
    let other = |w: &mut World| w.ways = Ok(vec![TrunkOut { calls: Some((3, 3)), ..trunk(5) }, trunk(6)]);
    assert_eq!(of(other), None, "another way has room");
    let slow = |w: &mut World| w.ways = Ok(vec![TrunkOut { paced: false, ..trunk(5) }]);
    assert_eq!(of(slow), Some(Refusal::TrunkPace));
    for to in ["", "alice", "12", "+1415", "+999123456789"] {
        assert_eq!(why(&world(), call(to)), Some(Refusal::NotANumber), "{to}");
    }
    assert_eq!(why(&world(), CallOut { party: Party::Unknown, ..call(TO) }), Some(Refusal::UnknownSource));
    let nobody = CallOut { party: Party::Organizations(&[]), ..call(TO) };
    assert_eq!(why(&world(), nobody), Some(Refusal::UnknownSource));
}

#[test]
fn what_is_told_of_trunks_is_of_one_that_has_room() {
    for (limits, passed, calls) in [
        ([Some((3, 3)), None], true, None),
        ([Some((3, 3)), Some((1, 2))], true, Some((1, 2))),
        ([Some((3, 3)), Some((2, 2))], false, Some((3, 3))),
    ] {
        let mut world = world();
        let ways = (5..).zip(limits).map(|(n, calls)| TrunkOut { calls, ..trunk(n) });
        world.ways = Ok(ways.collect());
        let mut told = Vec::new();
        assert_eq!(decide(&world, call(TO), |rule| told.push(rule)).is_ok(), passed);
        told.retain(|rule| rule.name == RuleName::TrunkRoom);
        let wanted =
            calls.map_or_else(|| RuleName::TrunkRoom.is(true), |calls| RuleName::TrunkRoom.of(calls));
        assert_eq!(told, [wanted], "{limits:?}");
    }
}

#[test]
fn caps_say_when_to_try_again() {
    let of = |caps: Caps| {
        let mut world = world();
        (world.organization.caps, world.begun) = (caps, 3);
        decide(&world, call(TO), |_| {}).err().map(|refused| (refused.why, refused.retry_after))
    };
    let (four, three) = (Some(4), Some(3));
    let all =
        Caps { number_minute: four, number_day: four, organization_minute: four, organization_day: four };
    assert_eq!(of(all), None);
    let refused = |why, seconds| Some((why, Some(seconds)));
    assert_eq!(of(Caps { number_minute: three, ..all }), refused(Refusal::NumberMinute, 20));
    assert_eq!(of(Caps { number_day: three, ..all }), refused(Refusal::NumberDay, 3_600));
    assert_eq!(of(Caps { organization_minute: three, ..all }), refused(Refusal::OrganizationMinute, 20));
    let own = |own: NumberCaps| {
        let mut world = world();
        (world.organization.caps, world.begun, world.own) = (all, 3, own);
        why(&world, call(TO))
    };
    let (two, five) = (Some(2), Some(5));
    assert_eq!(own(NumberCaps { minute: two, ..NumberCaps::default() }), Some(Refusal::NumberMinute));
    assert_eq!(own(NumberCaps { day: two, ..NumberCaps::default() }), Some(Refusal::NumberDay));
    let wide = NumberCaps { minute: five, day: five, ..NumberCaps::default() };
    let mut world = world();
    (world.organization.caps, world.begun, world.own) = (Caps { number_minute: three, ..all }, 3, wide);
    assert_eq!(
        why(&world, call(TO)),
        Some(Refusal::NumberMinute),
        "a number does not widen its organization's"
    );
    assert_eq!(of(Caps { organization_day: Some(0), ..all }), refused(Refusal::OrganizationDay, 3_600));
}

#[test]
fn credentials_speak_for_their_number_alone() {
    let world = world();
    let own = e164("+14155550100");
    let with = |shown| why(&world, CallOut { party: Party::Number(own), shown, ..call(TO) });
    assert_eq!(with(Shown::Nothing), None);
    assert_eq!(with(Shown::Number(own)), None);
    assert_eq!(with(Shown::Number(e164("+14155550101"))), Some(Refusal::CallerNotProven));
    assert_eq!(with(Shown::Odd), Some(Refusal::CallerNotProven));
    let by_address = |shown| why(&world, CallOut { shown, ..call(TO) });
    assert_eq!(by_address(Shown::Nothing), Some(Refusal::CallerNotHeld));
    assert_eq!(by_address(Shown::Odd), Some(Refusal::CallerNotHeld));
}

#[test]
fn what_could_be_read_as_a_number_is_one_or_odd() {
    let own = e164("+14155550100");
    for (user, shown) in [
        ("+14155550100", Shown::Number(own)),
        ("14155550100", Shown::Number(own)),
        ("tl0123456789ab", Shown::Nothing),
        ("anonymous", Shown::Nothing),
        ("", Shown::Nothing),
        ("+1415555010x", Shown::Odd),
        ("04155550100", Shown::Odd),
        ("%14155550100", Shown::Odd),
        (" 14155550199x", Shown::Odd),
    ] {
        assert_eq!(Shown::of(user, None), shown, "{user}");
    }
    assert_eq!(Shown::Nothing.or(Shown::Number(own)), Shown::Number(own));
    assert_eq!(Shown::Odd.or(Shown::Number(own)), Shown::Odd);
}

#[test]
fn help_is_called_only_where_the_trunk_carries_it_and_then_whatever_the_caps_say() {
    let mut world = world();
    assert_eq!(why(&world, call("911")), Some(Refusal::Emergency));
    assert_eq!(Refusal::Emergency.sip_status(), 403);
    (world.price, world.organization.calls_max) = (Price::by_minute(Micros(5)), Some(0));
    world.organization.countries = Countries::Named([].into());
    world.ways = Ok(vec![trunk(4), TrunkOut { emergency: true, ..trunk(5) }]);
    let placed = decide(&world, call("911"), |_| {}).unwrap();
    assert_eq!((placed.trunks, placed.price), (vec![TRUNK], Price::FREE));
    world.number.allow_outbound = false;
    assert_eq!(why(&world, call("911")), Some(Refusal::OutboundOff));
}

#[test]
fn the_operators_trunks_are_tried_by_country_and_priority() {
    let mut world = world();
    let only = Some(country("US"));
    world.ways = Ok(vec![
        TrunkOut { priority: 1, ..trunk(1) },
        TrunkOut { priority: 20, destination_country: only, ..trunk(2) },
        TrunkOut { priority: 5, destination_country: only, ..trunk(3) },
        TrunkOut { destination_country: Some(country("GB")), ..trunk(4) },
        TrunkOut { paced: false, ..trunk(6) },
    ]);
    let order: Vec<_> = decide(&world, call(TO), |_| {}).unwrap().trunks;
    assert_eq!(order, [3, 2, 1].map(|n| ProviderId(Uuid::from_u128(n))));
}

#[test]
fn countries_are_closed_unless_they_are_named() {
    let gb = "+442071838750";
    let mut world = world();
    assert_eq!(why(&world, call(gb)), Some(Refusal::CountryClosed));
    world.organization.countries = Countries::Named([country("GB"), country("US")].into());
    assert_eq!(why(&world, call(gb)), None);
    world.organization.countries = Countries::All;
    assert_eq!(why(&world, call(gb)), None);
    world.organization.countries = Countries::Own;
    world.ways = Ok(vec![TrunkOut { destination_country: Some(country("GB")), ..trunk(5) }]);
    assert_eq!(why(&world, call(gb)), None, "a trunk that is for a country opens it");
}

#[test]
fn every_refusal_has_its_own_name_and_a_sentence() {
    for (at, one) in Refusal::ALL.iter().enumerate() {
        assert!(one.words().ends_with('.') && (400..600).contains(&one.sip_status()), "{one:?}");
        assert!(!one.words().contains(['"', '\\']), "{one:?}: it stands in quotes on the wire");
        assert!(Refusal::ALL[..at].iter().all(|other| other.code() != one.code()), "{one:?}");
    }
}

proptest! {
    /// The rules are told in one order, the last one decides, and everything before it passed.
    #[test]
    fn the_last_rule_told_decides(
        (voice, out, paced, funded) in any::<(bool, bool, bool, bool)>(),
        status in 0..3_usize,
        to in prop::sample::select(vec![TO, "911", "alice", "+442071838750"]),
        begun in 0..3_u32,
    ) {
        let mut world = world();
        (world.number.voice, world.number.allow_outbound) = (voice, out);
        world.number.status = [Status::Active, Status::Pending, Status::Inactive][status];
        world.ways = Ok(vec![TrunkOut { paced, ..trunk(5) }]);
        world.price = Price::by_minute(Micros(1));
        world.organization.balance = Micros(i64::from(funded));
        world.organization.caps = Caps { number_day: Some(2), ..Caps::default() };
        world.begun = begun;
        let mut told = Vec::new();
        let decided = decide(&world, call(to), |rule| told.push(rule));
        let (last, before) = told.split_last().unwrap();
        prop_assert_eq!(last.passed, decided.is_ok());
        prop_assert!(before.iter().all(|rule| rule.passed));
    }
}
