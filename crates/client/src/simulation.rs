//! People with several devices each, simulated: the real database, errands and judgements, under a clock, a network and
//! swarms that one number decides.
//!
//! `cargo test -p conclave-client --lib simulation` goes through some worlds, many more with `CONCLAVE_LONG=1`, one with
//! `CONCLAVE_SEED=n`, some with `CONCLAVE_SEED=n..m`. In each, people write, edit, delete, react, read and change settings on any of their devices; devices
//! are killed at any write, lose their network, are off for days, or begin with the phrase in the midst of it; clocks are off
//! by up to a minute and a half; members of swarms are down, hear of writes late, withhold, replay, boast and refuse. What
//! must hold is in [`checks`]:
//!
//! 1. A person's devices come to the same: chats, messages, contacts, positions read.
//! 2. What a sender was told is stored is there, for the other side and on the sender's devices.
//! 3. What was deleted never comes back, not even as the text that stands in for an edit.
//! 4. No state claims more than happened.
//! 5. Nothing is shown twice, and every chat has one order.
//! 6. Once all is said, nobody asks for anything any more: settings do not go back and forth.
//!
//! Only the loops around the rules are not the real ones: [`sending`] and [`receiving`] stand for `outbox` and `receive`. A
//! world that goes wrong says its seed and what happened last; the same seed does the same again.
#![allow(clippy::indexing_slicing, reason = "a simulation that trips over itself has failed")]

mod acts;
mod checks;
mod coverage;
mod device;
mod fate;
mod ledger;
mod receiving;
mod sending;
mod swarm;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coverage::{Coverage, Happened};
use world::{Violation, World};

/// Worlds of an ordinary run, and with `CONCLAVE_LONG=1`.
const SEEDS: u64 = 30;
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
    /// What was deleted is not remembered.
    TombstonesAreForgotten,
    /// One member's signature is taken for a majority's.
    StoredByMinority,
    /// A message leaves the outbox when it is sent, not when it is stored.
    SentBeforeItIsDurable,
    /// Conversations that were erased elsewhere come back with old messages.
    NoGuards,
    /// Copies for one's other devices get lost.
    OwnCopiesAreForgotten,
}

fn live(seed: u64, bug: Option<Bug>) -> Result<(Happened, u64), Violation> {
    let mut world = World::new(seed, bug, false);
    world.run()?;
    Ok((world.happened, world.acts))
}

/// The whole story of a world.
fn story(seed: u64, bug: Option<Bug>) -> Vec<String> {
    let mut world = World::new(seed, bug, true);
    if let Err(Violation(why)) = world.run() {
        world.say(|_| format!("VIOLATION {why}"));
    }
    world.into_trace()
}

/// `n` or `n..m`, if somebody asked for certain worlds.
fn asked_for() -> Option<Range<u64>> {
    let seeds = std::env::var("CONCLAVE_SEED").ok()?;
    match seeds.split_once("..") {
        Some((first, end)) => Some(first.parse().ok()?..end.parse().ok()?),
        None => seeds.parse().ok().map(|seed| seed..seed + 1),
    }
}

fn seeds() -> Range<u64> {
    if let Some(seeds) = asked_for() {
        return seeds;
    }
    let long = std::env::var_os("CONCLAVE_LONG").is_some_and(|value| value != "0");
    0..if long { LONG_SEEDS } else { SEEDS }
}

#[derive(Default)]
struct Sum {
    coverage: Coverage,
    acts: u64,
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
                        Ok((happened, acts)) => {
                            sum.coverage.add(&happened);
                            sum.acts += acts;
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
fn devices_agree_and_nothing_is_lost_whatever_happens() {
    let seeds = seeds();
    let began = std::time::Instant::now();
    let Sum { coverage, acts, wrong } = live_all(seeds.clone());
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
    if seeds.end - seeds.start == 1 {
        println!("{}", story(seeds.start, None).join("\n"));
    }
    println!("{}", coverage.table());
    println!("{} worlds, {acts} acts, {:.1?}", seeds.end - seeds.start, began.elapsed());
    if seeds.end - seeds.start >= ENOUGH {
        assert!(coverage.rare().is_empty(), "too rare: {:?}", coverage.rare());
    }
}

#[test]
fn the_same_seed_makes_the_same_world() {
    for seed in [2, 14] {
        let (one, other) = (story(seed, None), story(seed, None));
        assert!(one.len() > 200, "{}", one.len());
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
fn forgotten_tombstones_are_found() {
    found_within(20, Bug::TombstonesAreForgotten);
}

#[test]
fn a_minority_taken_for_a_majority_is_found() {
    found_within(20, Bug::StoredByMinority);
}

#[test]
fn sending_before_it_is_durable_is_found() {
    found_within(20, Bug::SentBeforeItIsDurable);
}

#[test]
fn conversations_that_come_back_are_found() {
    found_within(100, Bug::NoGuards);
}

#[test]
fn forgotten_copies_are_found() {
    found_within(20, Bug::OwnCopiesAreForgotten);
}
