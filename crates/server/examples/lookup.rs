//! Look-ups in the live table's numbers at two sizes, and the bytes a number takes.
//!
//! `cargo run --release --example lookup [SMALL] [LARGE]` (default 10,000 and 10,000,000). Prints nanoseconds per look-up
//! (best of five rounds, one thread, one in ten a miss) and bytes per number, and their ratio.
#![expect(clippy::print_stdout, reason = "this program's output")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(dead_code, reason = "the table has more than a benchmark needs")]

#[path = "../src/live/numbers/mod.rs"]
mod numbers;

use domain::E164;
use domain::ids::NumberId;
use numbers::{Numbers, Slot};
use std::hint::black_box;
use std::time::Instant;
use uuid::Uuid;

const PROBES: usize = 2_000_000;
const ROUNDS: usize = 5;

/// A fixed scramble (splitmix64), so that every run probes the same numbers in the same order.
fn scramble(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn nth(n: u64) -> E164 {
    E164::from_u64(10_000_000_000 + scramble(n) % 80_000_000_000_000).expect("11 to 14 digits")
}

fn measure(count: u64) -> (f64, f64) {
    let table = Numbers::new();
    for n in 0..count {
        table.put(Slot::new(nth(n), NumberId(Uuid::from_u64_pair(n, n)), 0));
    }
    // The probes' numbers are made before the clock runs.
    let miss = |i: u64| i.is_multiple_of(10);
    let probe = |i: u64| nth(if miss(i) { count + scramble(i) % count } else { scramble(i) % count });
    let probes: Vec<E164> = (0..PROBES as u64).map(probe).collect();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found = probes.iter().filter(|&&number| black_box(table.get(number)).is_some()).count();
        let each = began.elapsed().as_nanos() as f64 / PROBES as f64;
        assert!(found >= PROBES * 8 / 10, "the table lost numbers");
        best = best.min(each);
    }
    (best, table.bytes() as f64 / table.len() as f64)
}

fn main() {
    let mut sizes = std::env::args().skip(1).map(|size| size.parse::<u64>().expect("a size is a number"));
    let (small, large) = (sizes.next().unwrap_or(10_000), sizes.next().unwrap_or(10_000_000));
    let (small_ns, small_bytes) = measure(small);
    let (large_ns, large_bytes) = measure(large);
    println!("{small} numbers: {small_ns:.1} ns a look-up, {small_bytes:.1} bytes a number");
    println!("{large} numbers: {large_ns:.1} ns a look-up, {large_bytes:.1} bytes a number");
    println!("ratio: {:.2}", large_ns / small_ns);
}
