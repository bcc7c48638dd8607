//! Networks of service nodes, simulated: the real store, coordinator, rules and encodings, under a clock and a network that
//! one number decides.
//!
//! `cargo test -p conclave-node simulation` goes through some worlds, thousands with `CONCLAVE_LONG=1`, one with
//! `CONCLAVE_SEED=n`. In each, people store, delete, expire and revoke; nodes crash at any write, lose their disks, join,
//! leave, and hear each other late, twice or not at all; clocks are off by up to half a minute, and days pass. What must hold
//! is in [`checks`]:
//!
//! 1. What a member has signed for can be read from its swarm while one disk with it lives.
//! 2. What was deleted later than it was stored, or has expired, never comes back, on no member.
//! 3. The members of a swarm have the same messages, expiries, revocations and logs.
//! 4. Nothing is served outside the account's swarm, or to a wrong signature.
//!
//! Only transports and the loops around the rules are not the real ones: [`nodes`] and [`background`] stand for them. A
//! world that goes wrong says its seed and what happened last; the same seed does the same again.

mod background;
mod checks;
mod clients;
mod coverage;
mod fate;
mod ledger;
mod nodes;
mod process;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coverage::{Coverage, Happened};
use world::{Violation, World};

/// Worlds of an ordinary run, and with `CONCLAVE_LONG=1`.
const SEEDS: u64 = 60;
const LONG_SEEDS: u64 = 2_000;
/// Worlds after which every kind of event has had its chance.
const ENOUGH: u64 = 50;
/// Lines of a failing world's story that are shown.
const STORY: usize = 120;
/// With `CONCLAVE_STORY=word`, of a failing world all lines with that word are shown.
const WORD: &str = "CONCLAVE_STORY";

/// A mistake that is made on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// Copies of what is not here count as stored now, whatever has been deleted.
    CopyBeatsTombstone,
    /// Members that missed something are not remembered, and nobody compares.
    DebtsAreForgotten,
    /// Accounts are moved without what was deleted and revoked.
    MovingSkipsOperations,
    /// Commits are answered before they have reached the disk.
    NotDurable,
}

fn live(seed: u64, bug: Option<Bug>) -> Result<(Happened, u64), Violation> {
    let mut world = World::new(seed, bug, false);
    world.run()?;
    Ok((world.happened, world.operations))
}

/// The whole story of a world.
fn story(seed: u64, bug: Option<Bug>) -> Vec<String> {
    let mut world = World::new(seed, bug, true);
    if let Err(Violation(why)) = world.run() {
        world.say(|_| format!("VIOLATION {why}"));
    }
    world.into_trace()
}

fn seeds() -> Range<u64> {
    if let Some(seed) = std::env::var("CONCLAVE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return seed..seed + 1;
    }
    let long = std::env::var_os("CONCLAVE_LONG").is_some_and(|value| value != "0");
    0..if long { LONG_SEEDS } else { SEEDS }
}

#[derive(Default)]
struct Sum {
    coverage: Coverage,
    operations: u64,
    wrong: Vec<(u64, String)>,
}

/// Lives through all worlds, on all cores.
fn live_all(seeds: Range<u64>) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let lived = live(seed, None);
                    let mut sum = sum.lock().unwrap();
                    match lived {
                        Ok((happened, operations)) => {
                            sum.coverage.add(&happened);
                            sum.operations += operations;
                        }
                        Err(Violation(why)) => sum.wrong.push((seed, why)),
                    }
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap();
    sum.wrong.sort();
    sum
}

#[test]
fn members_keep_their_promises_whatever_happens() {
    let seeds = seeds();
    let began = std::time::Instant::now();
    let Sum { coverage, operations, wrong } = live_all(seeds.clone());
    if let Some((seed, why)) = wrong.first() {
        let mut story = story(*seed, None);
        if let Ok(word) = std::env::var(WORD) {
            story.retain(|line| line.contains(&word));
        }
        let last = if std::env::var_os(WORD).is_some() { 0 } else { story.len().saturating_sub(STORY) };
        println!("{}", story[last..].join("\n"));
        let all: Vec<String> = wrong.iter().map(|(seed, why)| format!("{seed}: {why}")).collect();
        panic!(
            "{} of {} worlds went wrong; repeat one with CONCLAVE_SEED={seed}: {why}\n{}",
            wrong.len(),
            seeds.end - seeds.start,
            all.join("\n")
        );
    }
    println!("{}", coverage.table());
    println!("{} worlds, {operations} operations, {:.1?}", seeds.end - seeds.start, began.elapsed());
    if seeds.end - seeds.start >= ENOUGH {
        assert!(coverage.rare().is_empty(), "too rare: {:?}", coverage.rare());
    }
}

#[test]
fn the_same_seed_makes_the_same_world() {
    for seed in [3, 14] {
        let (one, other) = (story(seed, None), story(seed, None));
        assert!(one.len() > 500, "{}", one.len());
        if let Some((a, b)) = one.iter().zip(&other).find(|(a, b)| a != b) {
            panic!("seed {seed}: {a}\n{b}");
        }
        assert_eq!(one.len(), other.len());
    }
}

/// Says after how many worlds a mistake is found.
fn found_within(most: u64, bug: Bug) {
    let found = (0..most).find_map(|seed| live(seed, Some(bug)).err().map(|Violation(why)| (seed, why)));
    let (seed, why) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {most} worlds"));
    println!("{bug:?} is found in world {} (seed {seed}): {why}", seed + 1);
}

#[test]
fn a_copy_that_beats_a_tombstone_is_found() {
    found_within(10, Bug::CopyBeatsTombstone);
}

#[test]
fn forgotten_debts_are_found_where_nobody_compares() {
    found_within(10, Bug::DebtsAreForgotten);
}

#[test]
fn moving_without_operations_is_found() {
    found_within(20, Bug::MovingSkipsOperations);
}

#[test]
fn answering_before_it_is_durable_is_found() {
    found_within(20, Bug::NotDurable);
}
