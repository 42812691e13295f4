//! What a decision was: each rule that was looked at, in order, with what mattered to it. A receipt is rebuilt from it in
//! words when it is shown; the call path keeps a byte or a few for each rule.

use crate::money::Micros;
use crate::price::Price;

/// A rule of a decision. Its place in [`RuleName::ALL`] is its code in records: rules are appended, none is moved or given
/// another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleName {
    /// The call came from an address of a trunk, or its caller proved to be one's.
    SourceIsTrunk,
    /// What was dialled is a phone number.
    NumberDialled,
    /// Somebody holds the number, and the trunk carries it.
    NumberOnTrunk,
    /// The trunk's list of callers.
    CallerTaken,
    /// The trunk's rule for encrypted sound.
    MediaTaken,
    /// The number is not on its way.
    NumberReady,
    /// The number is switched on.
    NumberActive,
    /// The number is made for calls.
    NumberVoice,
    /// The number's holder takes calls.
    NumberIntake,
    /// The balance, less what calls in progress hold of it.
    Balance,
    /// The number has an endpoint.
    EndpointSet,
    /// The endpoint is switched on.
    EndpointActive,
    /// The endpoint is reached by SIP.
    EndpointSip,
    /// The endpoint has targets that are switched on.
    EndpointTarget,
    /// The organization's limit on calls at a time.
    CallsRoom,
    /// The caller knows the trunk's password.
    CallerProven,
    /// Who calls out is known to be an organization's.
    CallerKnown,
    /// The number that calls out is the organization's.
    CallerHeld,
    /// The credentials are those of the number that calls out.
    CallerOwn,
    /// The number's holder lets it call out.
    OutboundOn,
    /// A trunk takes calls out of the number.
    WayOut,
    /// The trunk takes calls for help.
    TrunkEmergency,
    /// What was dialled is not help.
    NoEmergency,
    /// The organization's list of countries.
    CountryOpen,
    /// The trunk's country.
    TrunkCountry,
    /// The number's limit on calls in a minute.
    NumberMinute,
    /// The number's limit on calls in a day.
    NumberDay,
    /// The organization's limit on calls in a minute.
    OrganizationMinute,
    /// The organization's limit on calls in a day.
    OrganizationDay,
    /// The trunk's calls in a second.
    TrunkPace,
    /// The call came from no trunk's address: what does, comes in.
    SourceNoTrunk,
    /// The caller proved to know the password of the number that calls.
    NumberProven,
    /// An agent is registered with the number's credentials.
    AgentRegistered,
    /// The number's rules by caller refuse nobody like this one.
    NotBlocked,
    /// The schedule says that the number takes calls now.
    Open,
    /// The number's rules by caller name the place.
    ByCaller,
    /// The schedule's window names the place.
    ByTime,
    /// The number's split names the place.
    BySplit,
    /// A fallback is for the cause why the place cannot be called.
    Fallback,
    /// No step of the fallbacks leads back to a place before it; those that do are left out.
    NoCircle,
    /// The number's limit on calls at a time.
    NumberRoom,
    /// The trunk's limit on calls at a time.
    TrunkRoom,
    /// The caller showed a certificate that the trunk names.
    CallerCertified,
    /// The endpoint's rule for encrypted sound.
    EndpointMedia,
    /// None of the endpoint's targets, which are asked, is known to be down. Those that are come last; it refuses nobody.
    TargetsUp,
    /// The caller calls what the trunk registered with its carrier.
    CallerAtContact,
}

impl RuleName {
    /// Every rule. Adding one, 1 of 2: at the end of this list. 2 of 2: its words.
    pub const ALL: [Self; 46] = [
        Self::SourceIsTrunk,
        Self::NumberDialled,
        Self::NumberOnTrunk,
        Self::CallerTaken,
        Self::MediaTaken,
        Self::NumberReady,
        Self::NumberActive,
        Self::NumberVoice,
        Self::NumberIntake,
        Self::Balance,
        Self::EndpointSet,
        Self::EndpointActive,
        Self::EndpointSip,
        Self::EndpointTarget,
        Self::CallsRoom,
        Self::CallerProven,
        Self::CallerKnown,
        Self::CallerHeld,
        Self::CallerOwn,
        Self::OutboundOn,
        Self::WayOut,
        Self::TrunkEmergency,
        Self::NoEmergency,
        Self::CountryOpen,
        Self::TrunkCountry,
        Self::NumberMinute,
        Self::NumberDay,
        Self::OrganizationMinute,
        Self::OrganizationDay,
        Self::TrunkPace,
        Self::SourceNoTrunk,
        Self::NumberProven,
        Self::AgentRegistered,
        Self::NotBlocked,
        Self::Open,
        Self::ByCaller,
        Self::ByTime,
        Self::BySplit,
        Self::Fallback,
        Self::NoCircle,
        Self::NumberRoom,
        Self::TrunkRoom,
        Self::CallerCertified,
        Self::EndpointMedia,
        Self::TargetsUp,
        Self::CallerAtContact,
    ];

    /// What it says, as people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::SourceIsTrunk => "the source is a trunk",
            Self::NumberDialled => "a phone number was dialled",
            Self::NumberOnTrunk => "the number is held and on this trunk",
            Self::CallerTaken => "the trunk takes this caller",
            Self::MediaTaken => "the trunk takes what was offered",
            Self::NumberReady => "the number is ready",
            Self::NumberActive => "the number is active",
            Self::NumberVoice => "the number carries calls",
            Self::NumberIntake => "the number accepts calls",
            Self::Balance => "the balance allows it",
            Self::EndpointSet => "the number has an endpoint",
            Self::EndpointActive => "the endpoint is active",
            Self::EndpointSip => "the endpoint takes calls by SIP",
            Self::EndpointTarget => "the endpoint has a target",
            Self::CallsRoom => "there is room for another call",
            Self::CallerProven => "the caller proves to know the trunk's password",
            Self::CallerKnown => "the call is known to be an organization's",
            Self::CallerHeld => "the organization holds the number that calls",
            Self::CallerOwn => "the credentials are of the number that calls",
            Self::OutboundOn => "the number may call out",
            Self::WayOut => "the number has a way out",
            Self::TrunkEmergency => "the trunk carries calls for help",
            Self::NoEmergency => "it is no emergency number",
            Self::CountryOpen => "the organization may call this country",
            Self::TrunkCountry => "the trunk is for this country",
            Self::NumberMinute => "the number has calls left this minute",
            Self::NumberDay => "the number has calls left today",
            Self::OrganizationMinute => "the organization has calls left this minute",
            Self::OrganizationDay => "the organization has calls left today",
            Self::TrunkPace => "the trunk takes another call now",
            Self::SourceNoTrunk => "the address is no trunk's",
            Self::NumberProven => "the caller proves to know the number's password",
            Self::AgentRegistered => "an agent is registered for the number",
            Self::NotBlocked => "no rule refuses this caller",
            Self::Open => "the number is open at this time",
            Self::ByCaller => "a rule for this caller names the place",
            Self::ByTime => "the schedule names the place",
            Self::BySplit => "the split names the place",
            Self::Fallback => "a fallback is there for it",
            Self::NoCircle => "no fallback leads back",
            Self::NumberRoom => "the number has room for another call",
            Self::TrunkRoom => "the trunk has room for another call",
            Self::CallerCertified => "the caller shows a certificate of the trunk",
            Self::EndpointMedia => "the endpoint takes what was offered",
            Self::TargetsUp => "no target is known to be down",
            Self::CallerAtContact => "the caller calls what the trunk registered",
        }
    }

    /// The rule, looked at.
    pub fn is(self, passed: bool) -> Rule {
        Rule { name: self, passed, seen: Seen::Nothing }
    }

    /// Whether what is free of a balance covers what a call may cost before anybody looks at it again. `free` is asked of calls
    /// that cost something.
    pub fn funds(price: &Price, free: impl FnOnce() -> Micros) -> Rule {
        if price.is_free() {
            return Self::Balance.is(true);
        }
        let (free, needed) = (free(), price.held());
        Self::Balance.is(free >= needed).seeing(Seen::Money { free: free.0, needed: needed.0 })
    }

    /// Whether there may be another call, where so many are in progress of so many; none: no limit.
    pub fn room(calls: Option<(u32, u32)>) -> Rule {
        calls.map_or_else(|| Self::CallsRoom.is(true), |calls| Self::CallsRoom.of(calls))
    }

    /// The same of one limit, by its rule.
    pub fn of(self, (now, most): (u32, u32)) -> Rule {
        self.is(now < most).seeing(Seen::Count { now, most })
    }

    fn code(self) -> u8 {
        // Fewer than 64 rules: a code and two marks share a byte.
        self as u8
    }
}

/// What mattered to a rule, beside whether it was passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    #[default]
    Nothing,
    /// So many where so many may be.
    Count {
        /// How many there were.
        now: u32,
        /// How many there may be.
        most: u32,
    },
    /// An amount that is free, and what is needed, in micro-units.
    Money {
        /// What was free.
        free: i64,
        /// What the call may cost at first.
        needed: i64,
    },
    /// So many targets are down of so many.
    Down {
        /// How many are down.
        down: u32,
        /// How many are switched on.
        of: u32,
    },
    /// An entry of a list that was written by the number's holder.
    Entry {
        /// Which list.
        list: List,
        /// Which entry, from 0; none: one of several.
        at: Option<u16>,
        /// The status that it answers with, if it refuses.
        sip_status: Option<u16>,
    },
}

impl Seen {
    /// An entry that refuses.
    pub fn entry(list: List, at: Option<usize>, sip_status: u16) -> Self {
        Self::Entry { list, at: at.and_then(|at| u16::try_from(at).ok()), sip_status: Some(sip_status) }
    }

    /// An entry that names a place.
    pub fn place(list: List, at: Option<usize>) -> Self {
        Self::Entry { list, at: at.and_then(|at| u16::try_from(at).ok()), sip_status: None }
    }
}

/// Lists of rules that a number's holder writes. Their places are their codes in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// By who calls.
    Callers,
    /// By when.
    Schedule,
    /// In percent.
    Split,
    /// What comes after a place that failed.
    Fallback,
}

impl List {
    /// Every list, with its name.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Callers, "caller_rules"),
        (Self::Schedule, "schedule"),
        (Self::Split, "split"),
        (Self::Fallback, "fallback"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }
}

/// One rule that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which.
    pub name: RuleName,
    /// Whether the call passed it.
    pub passed: bool,
    /// What mattered.
    pub seen: Seen,
}

impl Rule {
    /// The same with what mattered.
    #[must_use]
    pub fn seeing(self, seen: Seen) -> Self {
        Self { seen, ..self }
    }

    /// What mattered, in words.
    pub fn detail(&self) -> Option<String> {
        match self.seen {
            Seen::Nothing => None,
            Seen::Count { now, most } => Some(format!("{now} in progress, at most {most}")),
            Seen::Money { free, needed } => {
                Some(format!("{} free, {} needed", main_units(free), main_units(needed)))
            }
            Seen::Down { down, of } if down == of => Some(format!("all {of} down")),
            Seen::Down { down, of } => Some(format!("{down} of {of} down, tried last")),
            Seen::Entry { list, at, sip_status } => {
                let at = at.map(|at| format!("[{at}]")).unwrap_or_default();
                let answer = sip_status.map(|status| format!(": refused with {status}")).unwrap_or_default();
                Some(format!("{}{at}{answer}", list.as_str()))
            }
        }
    }
}

/// Micro-units as the currency's main unit, with as many decimals as there are, at least two.
fn main_units(micros: i64) -> String {
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let mut decimals = format!("{rest:06}");
    while decimals.len() > 2 && decimals.ends_with('0') {
        decimals.pop();
    }
    format!("{}{whole}.{decimals}", if micros < 0 { "-" } else { "" })
}

/// Bytes of a trail: every rule with some values; what is beyond them is not kept.
pub const TRAIL_MAX: usize = 95;
/// Bit of a step's first byte: the rule was passed.
const PASSED: u8 = 0x80;
/// Bit of a step's first byte: values follow.
const VALUES: u8 = 0x40;
const CODE: u8 = 0x3f;
const COUNT: u8 = 1;
const MONEY: u8 = 2;
const ENTRY: u8 = 3;
const DOWN: u8 = 4;

/// The rules of one decision, in order. Without allocation; a step without values is one byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trail {
    len: u8,
    bytes: [u8; TRAIL_MAX],
}

impl Default for Trail {
    fn default() -> Self {
        Self { len: 0, bytes: [0; TRAIL_MAX] }
    }
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.steps()).finish()
    }
}

impl Trail {
    /// A rule was looked at.
    pub fn see(&mut self, rule: Rule) {
        let before = self.len;
        let mark = if rule.passed { PASSED } else { 0 };
        let fits = match rule.seen {
            Seen::Nothing => self.push(rule.name.code() | mark),
            Seen::Count { now, most } => {
                self.push(rule.name.code() | mark | VALUES)
                    && self.push(COUNT)
                    && self.push_number(u64::from(now))
                    && self.push_number(u64::from(most))
            }
            Seen::Money { free, needed } => {
                self.push(rule.name.code() | mark | VALUES)
                    && self.push(MONEY)
                    && self.push_number(zigzag(free))
                    && self.push_number(zigzag(needed))
            }
            Seen::Down { down, of } => {
                self.push(rule.name.code() | mark | VALUES)
                    && self.push(DOWN)
                    && self.push_number(u64::from(down))
                    && self.push_number(u64::from(of))
            }
            Seen::Entry { list, at, sip_status } => {
                // 0 stands for none.
                let place = u64::from(at.map_or(0, |at| u32::from(at) + 1));
                self.push(rule.name.code() | mark | VALUES)
                    && self.push(ENTRY)
                    && self.push_number(place << 2 | list as u64)
                    && self.push_number(u64::from(sip_status.unwrap_or(0)))
            }
        };
        if !fits {
            self.len = before;
        }
    }

    fn push(&mut self, byte: u8) -> bool {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = byte;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Seven bits a byte, the lowest first; a byte's highest bit says that more follow.
    fn push_number(&mut self, mut number: u64) -> bool {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.push(low & 0x7f);
            }
            if !self.push(low | 0x80) {
                return false;
            }
        }
    }

    /// The rules, in order. Codes of a later version end the list.
    pub fn steps(&self) -> impl Iterator<Item = Rule> + '_ {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || {
            let (rule, behind) = step(rest)?;
            rest = behind;
            Some(rule)
        })
    }

    /// True where no rule was recorded, as in records of earlier versions.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// As it stands in a record.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// From a record; none where it is longer than any.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut trail = Self::default();
        trail.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        trail.len = u8::try_from(bytes.len()).ok()?;
        Some(trail)
    }
}

fn step(bytes: &[u8]) -> Option<(Rule, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let name = *RuleName::ALL.get(usize::from(first & CODE))?;
    let mut rule = name.is(first & PASSED != 0);
    if first & VALUES != 0 {
        let (&kind, behind) = rest.split_first()?;
        let (one, behind) = number(behind)?;
        let (two, behind) = number(behind)?;
        rest = behind;
        rule.seen = match kind {
            COUNT => Seen::Count { now: u32::try_from(one).ok()?, most: u32::try_from(two).ok()? },
            MONEY => Seen::Money { free: unzigzag(one), needed: unzigzag(two) },
            DOWN => Seen::Down { down: u32::try_from(one).ok()?, of: u32::try_from(two).ok()? },
            ENTRY => Seen::Entry {
                list: List::NAMES.get(usize::from(one.to_le_bytes()[0] & 3))?.0,
                at: (one >> 2).checked_sub(1).and_then(|at| u16::try_from(at).ok()),
                sip_status: u16::try_from(two).ok().filter(|status| *status != 0),
            },
            _ => Seen::Nothing,
        };
    }
    Some((rule, rest))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

/// Small numbers of either sign as small numbers.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_of_rules_are_their_places_and_stay_below_the_marks() {
        for (place, name) in RuleName::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(name.code()), place, "{name:?}");
            assert!(name.code() <= CODE && !name.words().is_empty());
        }
    }

    #[test]
    fn a_trail_that_is_full_keeps_what_it_has() {
        let mut trail = Trail::default();
        for _ in 0..2 * TRAIL_MAX {
            trail.see(RuleName::Balance.is(true).seeing(Seen::Money { free: i64::MIN, needed: i64::MAX }));
        }
        let kept = trail.steps().count();
        assert_eq!(kept, TRAIL_MAX / 22);
        trail.see(RuleName::CallsRoom.is(false));
        assert_eq!(trail.steps().last(), Some(RuleName::CallsRoom.is(false)));
    }

    #[test]
    fn what_a_later_version_wrote_ends_the_list() {
        let trail = Trail::from_bytes(&[PASSED, PASSED | 1, CODE, PASSED]).unwrap();
        assert_eq!(trail.steps().count(), 2);
        assert_eq!(Trail::from_bytes(&[0; TRAIL_MAX + 1]), None);
        assert_eq!(Trail::from_bytes(&[VALUES, COUNT, 0xff]).unwrap().steps().count(), 0, "cut short");
    }

    #[test]
    fn amounts_are_told_in_main_units() {
        let told = |micros| main_units(micros);
        assert_eq!(told(0), "0.00");
        assert_eq!(told(1_230_000), "1.23");
        assert_eq!(told(-12_345), "-0.012345");
        assert_eq!(told(100_100), "0.1001");
        let rule = RuleName::Balance.is(false).seeing(Seen::Money { free: 10_000, needed: 20_000 });
        assert_eq!(rule.detail().as_deref(), Some("0.01 free, 0.02 needed"));
    }

    proptest! {
        #[test]
        fn a_trail_is_read_as_it_was_seen(
            seen in prop::collection::vec((0..RuleName::ALL.len(), any::<bool>(), 0_u8..5, any::<i64>(), any::<i64>()), 0..4),
        ) {
            let rules: Vec<_> = seen.into_iter().map(|(name, passed, kind, a, b)| {
                let seen = match kind {
                    0 => Seen::Nothing,
                    3 => Seen::Entry {
                        list: List::NAMES[usize::from(a.to_le_bytes()[0] & 3)].0,
                        at: Some(u16::from(a.to_le_bytes()[1])).filter(|at| *at != 7),
                        sip_status: Some(u16::from(b.to_le_bytes()[0])).filter(|status| *status != 0),
                    },
                    4 => Seen::Down { down: u32::from(a.to_le_bytes()[0]), of: u32::MAX },
                    1 => Seen::Count { now: u32::from(a.to_le_bytes()[0]), most: u32::MAX },
                    _ => Seen::Money { free: a, needed: b },
                };
                RuleName::ALL[name].is(passed).seeing(seen)
            }).collect();
            let mut trail = Trail::default();
            for rule in &rules {
                trail.see(*rule);
            }
            prop_assert_eq!(trail.steps().collect::<Vec<_>>(), rules);
            prop_assert_eq!(Trail::from_bytes(trail.as_bytes()), Some(trail));
        }

        #[test]
        fn no_bytes_stop_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..=TRAIL_MAX)) {
            if let Some(trail) = Trail::from_bytes(&bytes) {
                prop_assert!(trail.steps().count() <= bytes.len());
            }
        }
    }
}
