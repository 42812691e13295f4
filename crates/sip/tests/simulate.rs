//! Calls over a bad network from many seeds: a caller, the edge, agents, some of them forks, on invented time; loss, reordering,
//! duplication, CANCEL at any time, late 2xx, requests within the dialog from both sides, ends of ours, and an edge that dies and
//! is replaced in the middle. How many seeds: `TRUNKLINE_SEEDS` (the step `simulate` runs 100,000); one alone, with its trace:
//! `TRUNKLINE_SEED`.

mod world;

use sip::*;
use world::*;

/// Seeds without a word of the environment: a part of the unit tests.
const SEEDS: u64 = 2000;

#[expect(clippy::disallowed_methods, reason = "which seeds are run is asked for from outside")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one seed; its trace if it failed.
fn run(seed: u64) -> Result<World, String> {
    let mut world = bad_world(seed);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.run();
        check(&world);
    }));
    match caught {
        Ok(()) => Ok(world),
        Err(_) => Err(world.trace.join("\n")),
    }
}

#[test]
fn calls_over_a_bad_network_always_end_as_one_call() {
    if let Some(seed) = asked("TRUNKLINE_SEED") {
        let trace = run(seed).map_or_else(|trace| trace, |world| world.trace.join("\n"));
        eprintln!("{trace}");
        assert!(run(seed).is_ok(), "seed {seed}");
        return;
    }
    let seeds = asked("TRUNKLINE_SEEDS").unwrap_or(SEEDS);
    let halves: Vec<_> = (0..2)
        .map(|half| {
            std::thread::spawn(move || {
                let mut seen = Seen::default();
                for seed in (1..=seeds).filter(|seed| seed % 2 == half) {
                    match run(seed) {
                        Ok(world) => seen.take(&world),
                        Err(trace) => panic!("{trace}\nseed {seed}: TRUNKLINE_SEED={seed} shows it alone"),
                    }
                }
                seen
            })
        })
        .collect();
    let mut all = Seen::default();
    for half in halves {
        match half.join() {
            Ok(seen) => all.add(&seen),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    eprintln!("{seeds} seeds: {all:?}");
    // a world in which nothing of this happens would show nothing
    let Seen {
        answered,
        failed,
        replaced,
        ended_late,
        crossed,
        within,
        shifted,
        challenged_within,
        vain,
        asked,
        replayed,
    } = all;
    for (what, count) in [
        ("answered", answered),
        ("failed", failed),
        ("replaced", replaced),
        ("ended late", ended_late),
        ("crossed", crossed),
        ("within", within),
        ("shifted", shifted),
        ("challenged within", challenged_within),
        ("in vain", vain),
        ("asked", asked),
        ("replayed", replayed),
    ] {
        assert!(count * 1000 >= seeds, "{what}: {count} of {seeds}");
    }
}

/// How often what is looked for happened.
#[derive(Debug, Default)]
struct Seen {
    answered: u64,
    failed: u64,
    replaced: u64,
    /// A dialog that answered too late was ended by the edge.
    ended_late: u64,
    /// An answer crossed a CANCEL.
    crossed: u64,
    /// Something beside INVITE and BYE went on within a dialog.
    within: u64,
    /// A call was answered whose target asked for a password.
    shifted: u64,
    /// A target asked within the dialog.
    challenged_within: u64,
    /// A target took our password for a wrong one.
    vain: u64,
    /// A call was answered whose caller was asked.
    asked: u64,
    /// An answer to us was given a second time.
    replayed: u64,
}

impl Seen {
    fn take(&mut self, world: &World) {
        let answered = world.answered() > 0;
        let late = world.own_byes() > 2 * world.hung_up.iter().filter(|(_, sides)| *sides > 0).count();
        let crossed = |fact: &Fact| matches!(fact, Fact::Answered { dialog, .. } if dialog.crossed);
        self.answered += u64::from(answered);
        self.failed += u64::from(world.failed().is_some());
        self.replaced += u64::from(world.replacements() > 0);
        self.ended_late += u64::from(late);
        self.crossed += u64::from(world.facts.iter().any(crossed));
        self.within += u64::from(world.carried() > 0);
        let challenged = world.doors.values().any(|door| door.challenged > 0);
        self.shifted += u64::from(answered && challenged);
        self.challenged_within += u64::from(world.doors.values().any(|door| door.challenged_within > 0));
        self.vain += u64::from(world.attempts().iter().any(|(.., cause)| *cause == Cause::Auth));
        self.asked += u64::from(answered && world.gate.as_ref().is_some_and(|gate| gate.asked > 0));
        self.replayed += u64::from(world.gate.as_ref().is_some_and(|gate| gate.replayed > 0));
    }

    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.replaced += other.replaced;
        self.ended_late += other.ended_late;
        self.crossed += other.crossed;
        self.within += other.within;
        self.shifted += other.shifted;
        self.challenged_within += other.challenged_within;
        self.vain += other.vain;
        self.asked += other.asked;
        self.replayed += other.replayed;
    }
}

fn index_of(roll: u64) -> usize {
    usize::try_from(roll).expect("a small number")
}

fn some_agents(roll: &mut impl FnMut(u64) -> u64) -> Vec<AnswererConfig> {
    let mut agents = Vec::new();
    for index in 0..=roll(3) {
        let answering = match roll(6) {
            0 => Answering::Refuse { status: [503, 480, 408, 486, 404, 603, 302][index_of(roll(7))] },
            1 => Answering::Silent,
            _ => Answering::Accept { ring: ms(roll(4) * 700) },
        };
        let mut one = agent(index_of(index), answering);
        // stands for a session timer: a BYE on a stream may die with its edge (the shell sends it at replay)
        one.hang_up_after = Some(ms(60_000));
        if roll(4) == 0 {
            one.hang_up_after = Some(ms(roll(4000)));
        }
        if roll(4) == 0 {
            one.reinvite_after = Some(ms(roll(4000)));
        }
        agents.push(one);
    }
    agents
}

/// Who asks for a password: we the caller, and some of the targets us.
fn some_passwords(world: &mut World, gated: bool, roll: &mut impl FnMut(u64) -> u64) {
    if gated {
        world.gate();
        world.replay_at.extend((0..roll(3)).map(|n| ms(n * 2000 + roll(2000))));
    }
    for index in 0..world.targets.len() {
        if roll(4) == 0 {
            let (sha256, qop, server) = (roll(2) == 0, roll(4) > 0, roll(2) == 0);
            let (stale, within, never) = (index_of(roll(3)) / 2, roll(3) == 0, roll(8) == 0);
            world.door(index, Asking { sha256, qop, server, stale, within, never });
        }
    }
}

fn bad_world(seed: u64) -> World {
    let mut dice = seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x9E37_79B9;
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 5) % sides
    };
    let transport = if roll(5) == 0 { Transport::Tcp } else { Transport::Udp };
    let mut settings = caller(seed, transport);
    if roll(4) == 0 {
        settings.cancel_after = Some(ms(roll(3000)));
    }
    if roll(3) == 0 {
        settings.reinvite_after = Some(ms(roll(3000)));
    }
    if roll(3) == 0 {
        settings.headers.push("Supported: timer".into());
    }
    let gated = roll(6) == 0;
    if gated {
        settings.login =
            Some(Login { owner: uuid::Uuid::nil(), username: USER.into(), password: PASSWORD.into() });
    }
    let agents = some_agents(&mut roll);
    let twin = (roll(5) == 0).then(|| {
        let answering = match roll(4) {
            0 => Answering::Refuse { status: [486, 603, 480][index_of(roll(3))] },
            _ => Answering::Accept { ring: ms(roll(6) * 500) },
        };
        let mut one = agent(0, answering);
        (one.seed, one.hang_up_after) = (seed + 77, Some(ms(60_000)));
        one
    });
    let mut world = World::new(seed, settings, agents);
    if let Some(twin) = twin {
        world.fork(twin);
    }
    world.net = Net { loss: roll(150), twice: roll(100), late: roll(100) };
    if roll(4) == 0 {
        world.hold.insert(agent_addr(0), ms(roll(6000)));
    }
    if roll(8) == 0 {
        world.faulty.insert(agent_addr(0));
    }
    if roll(4) == 0 {
        world.hang_up_at.push(ms(roll(8000)));
    }
    match roll(8) {
        0 => world.replace_at.push(ms(4200 + roll(3000))),
        1 => world.replace_at.push(ms(roll(8000))),
        _ => {}
    }
    for _ in 0..roll(4) {
        let method = ["UPDATE", "INFO", "PRACK", "MESSAGE", "NOTIFY"][index_of(roll(5))];
        let side = if roll(2) == 0 { Side::Caller } else { Side::Callee };
        world.within_at.push((ms(1000 + roll(5000)), side, method));
    }
    world.within_at.sort_by_key(|(at, ..)| *at);
    some_passwords(&mut world, gated, &mut roll);
    world
}

fn check(world: &World) {
    let replaced = world.replacements() > 0;
    let up = world.events.iter().any(|event| matches!(event, AgentEvent::Answered { .. }));
    let refused = world.events.iter().filter(|event| matches!(event, AgentEvent::Refused { .. })).count();
    assert!(refused <= 1 && (refused == 1 || up), "the caller has one outcome: {:?}", world.events);
    world.check_repeats();
    let facts = world.answered();
    if replaced {
        return;
    }
    assert!(facts <= 1, "{facts} answers");
    assert!(!up || facts == 1, "the caller was answered and nobody was told");
    assert!(facts == 0 || world.failed().is_none(), "answered and failed");
    assert!(world.routed <= 1, "let in {} times", world.routed);
    assert!(facts == 1 || world.failed().is_some() || world.routed == 0, "neither answered nor failed");
    assert!(world.ended().is_none() || facts == 1, "an end without an answer");
    let hung_up = world.facts.iter().any(|fact| matches!(fact, Fact::HungUp { mark: 7, .. }));
    assert!(facts == 0 || world.ended().is_some() || hung_up, "an answer without an end");
    for door in world.doors.values() {
        let rises = door.first.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(rises, "each answer to a challenge has the next number: {:?}", door.first);
        assert!(door.first.first().is_none_or(|first| *first == 1 + u32::from(world.gate.is_some())));
    }
    if world.gate.is_none() {
        assert_eq!(world.asks, 1);
    }
}
