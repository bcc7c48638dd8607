//! Worlds that one number decides, and the three tests that every kind of them is put through: what is promised holds in
//! all of them, the same seed makes the same world, and mistakes made on purpose are found.
//!
//! A world is a simulation of the product under one clock. What it is made of, what happens in it and what must hold
//! there, this module does not know; it goes through seeds, counts [what has happened](Coverage), and tells the story of a
//! world that went wrong. With `CONCLAVE_STORY=word`, all lines of that story with the word are told, not only the last.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;

use crate::seeds;

/// Worlds after which every kind of event has had its chance.
const ENOUGH: usize = 50;
/// Every kind of event must occur in at least so many of a hundred worlds.
const LEAST_PERCENT: usize = 5;
/// Lines of a failing world's story that are shown.
const STORY: usize = 120;
/// Asks for certain lines of it.
const WORD: &str = "CONCLAVE_STORY";

/// What is wrong with the product, if something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation(pub String);

/// What comes of something that happens in a world.
pub type Outcome<T = ()> = Result<T, Violation>;

/// A simulation.
pub trait World: Sized {
    /// What can happen in it.
    type Kind: Kind;
    /// A mistake that is made on purpose, to see that it is found.
    type Bug: Copy + Debug;

    /// The world of a seed, before anything has happened. Whoever reads its story wants it `traced`.
    fn new(seed: u64, bug: Option<Self::Bug>, traced: bool) -> Self;
    /// Everything that happens in it, up to the first violation.
    fn run(&mut self) -> Outcome;
    /// How often what happened.
    fn happened(&self) -> &Happened<Self::Kind>;
    /// How much people did.
    fn acts(&self) -> u64;
    /// Its story, if it was traced.
    fn into_trace(self) -> Vec<String>;
}

/// A kind of event, made by [`kinds!`](crate::kinds).
pub trait Kind: Copy + Ord + Send + Debug + 'static {
    /// All there are, each with what it is called in tables.
    const ALL: &'static [(Self, &'static str)];
}

/// Makes an enum of the events that are counted: `kinds! { pub enum Kind { Crash = "a node crashes", … } }`.
#[macro_export]
macro_rules! kinds {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident { $($kind:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $name { $($kind,)* }

        impl $crate::worlds::Kind for $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$kind, $text),)*];
        }
    };
}

/// How often what happened in one world.
#[derive(Clone, Debug)]
pub struct Happened<K>(BTreeMap<K, u64>);

impl<K> Default for Happened<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Kind> Happened<K> {
    /// It happened once more.
    pub fn note(&mut self, kind: K) {
        *self.0.entry(kind).or_default() += 1;
    }
}

/// What has happened in many worlds: an event that never occurs is not tested.
#[derive(Debug)]
pub struct Coverage<K> {
    worlds: usize,
    in_worlds: BTreeMap<K, usize>,
    times: BTreeMap<K, u64>,
}

impl<K> Default for Coverage<K> {
    fn default() -> Self {
        Self { worlds: 0, in_worlds: BTreeMap::new(), times: BTreeMap::new() }
    }
}

impl<K: Kind> Coverage<K> {
    /// Counts a world.
    pub fn add(&mut self, happened: &Happened<K>) {
        self.worlds += 1;
        for (kind, times) in &happened.0 {
            *self.in_worlds.entry(*kind).or_default() += 1;
            *self.times.entry(*kind).or_default() += times;
        }
    }

    /// A line for each kind.
    pub fn table(&self) -> String {
        let mut table = format!("{:55} {:>9} {:>10}\n", "event", "% worlds", "times");
        for (kind, text) in K::ALL {
            let times = self.times.get(kind).copied().unwrap_or(0);
            table += &format!("{text:55} {:>9} {times:>10}\n", self.percent(*kind));
        }
        table
    }

    /// The kinds that are too rare; none before there are enough worlds to say so.
    pub fn rare(&self) -> Vec<&'static str> {
        let rare = K::ALL.iter().filter(|(kind, _)| self.percent(*kind) < LEAST_PERCENT);
        rare.filter(|_| self.worlds >= ENOUGH).map(|(_, text)| *text).collect()
    }

    fn percent(&self, kind: K) -> usize {
        self.in_worlds.get(&kind).copied().unwrap_or(0) * 100 / self.worlds.max(1)
    }
}

fn live<W: World>(seed: u64, bug: Option<W::Bug>) -> Outcome<(Happened<W::Kind>, u64)> {
    let mut world = W::new(seed, bug, false);
    world.run()?;
    Ok((world.happened().clone(), world.acts()))
}

/// The whole story of a world.
fn story<W: World>(seed: u64) -> Vec<String> {
    let mut world = W::new(seed, None, true);
    let outcome = world.run();
    let mut story = world.into_trace();
    if let Err(Violation(why)) = outcome {
        story.push(format!("VIOLATION {why}"));
    }
    story
}

/// The part of a failing world's story that is shown.
fn told(mut story: Vec<String>) -> String {
    match std::env::var(WORD) {
        Ok(word) => story.retain(|line| line.contains(&word)),
        Err(_) => drop(story.drain(..story.len().saturating_sub(STORY))),
    }
    story.join("\n")
}

/// Lives through the first `quick` worlds, or `long` of them in a long run, or those that were asked for; prints what
/// happened. Of a single one that was asked for it prints the story.
///
/// # Panics
/// If something is wrong in one of them, or a kind of event is too rare.
pub fn promises_hold<W: World>(quick: u64, long: u64) {
    hold_in::<W>(seeds::of_run(quick, long));
}

fn hold_in<W: World>(seeds: Range<u64>) {
    let began = std::time::Instant::now();
    let (mut coverage, mut acts, mut wrong) = (Coverage::default(), 0, Vec::new());
    seeds::go_through(
        seeds.clone(),
        |seed| live::<W>(seed, None),
        |seed, lived| match lived {
            Ok((happened, acted)) => {
                coverage.add(&happened);
                acts += acted;
            }
            Err(Violation(why)) => wrong.push((seed, why)),
        },
    );
    wrong.sort();
    if let Some((seed, _)) = wrong.first() {
        println!("{}", told(story::<W>(*seed)));
    }
    let worlds = seeds.end - seeds.start;
    assert!(wrong.is_empty(), "{}", what_went_wrong(&wrong, worlds));
    if worlds == 1 {
        println!("{}", story::<W>(seeds.start).join("\n"));
    }
    println!("{}", coverage.table());
    println!("{worlds} worlds, {acts} acts, {:.1?}", began.elapsed());
    assert!(coverage.rare().is_empty(), "too rare: {:?}", coverage.rare());
}

fn what_went_wrong(wrong: &[(u64, String)], worlds: u64) -> String {
    let first = wrong.first().map(|(seed, _)| seeds::how_to_repeat(*seed)).unwrap_or_default();
    let all: Vec<String> = wrong.iter().map(|(seed, why)| format!("{seed}: {why}")).collect();
    format!("{} of {worlds} worlds went wrong; {first}\n{}", wrong.len(), all.join("\n"))
}

/// Lives through these worlds twice, each of which should have a story of at least so many lines.
///
/// # Panics
/// If something is different the second time.
pub fn the_same_seed_makes_the_same_world<W: World>(seeds: &[u64], least: usize) {
    for seed in seeds {
        let (one, other) = (story::<W>(*seed), story::<W>(*seed));
        assert!(one.len() >= least, "world {seed} has a story of only {} lines", one.len());
        let different = one.iter().zip(&other).find(|(a, b)| a != b);
        assert_eq!(different, None, "in world {seed}");
        assert_eq!(one.len(), other.len(), "in world {seed}");
    }
}

/// Says in which of the first worlds a mistake is found.
///
/// # Panics
/// If it is not found in the first `most`.
pub fn is_found_within<W: World>(most: u64, bug: W::Bug) {
    let found = (0..most).find_map(|seed| live::<W>(seed, Some(bug)).err().map(|Violation(why)| (seed, why)));
    assert!(found.is_some(), "{bug:?} is not found in {most} worlds");
    if let Some((seed, why)) = found {
        println!("{bug:?} is found in world {} (seed {seed}): {why}", seed + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::RngCore as _;

    kinds! {
        /// What happens when a coin is tossed.
        enum Toss {
            Head = "head",
            Tail = "tail",
            Edge = "it stands on its edge",
        }
    }

    #[derive(Clone, Copy, Debug)]
    struct Loaded;

    /// Coins, of which more than nine heads in a row are impossible.
    struct Coins {
        rng: crate::SeededRng,
        happened: Happened<Toss>,
        loaded: bool,
        trace: Vec<String>,
    }

    impl World for Coins {
        type Kind = Toss;
        type Bug = Loaded;

        fn new(seed: u64, bug: Option<Loaded>, _traced: bool) -> Self {
            let (rng, happened, trace) = (crate::rng(seed), Happened::default(), Vec::new());
            Self { rng, happened, loaded: bug.is_some(), trace }
        }

        fn run(&mut self) -> Outcome {
            for _ in 0..10 {
                let toss = if self.loaded || self.rng.next_u32().is_multiple_of(2) {
                    Toss::Head
                } else {
                    Toss::Tail
                };
                self.happened.note(toss);
                self.trace.push(format!("{toss:?}"));
            }
            let wrong = self.happened.0.get(&Toss::Head) == Some(&10);
            if wrong { Err(Violation("ten heads".to_owned())) } else { Ok(()) }
        }

        fn happened(&self) -> &Happened<Toss> {
            &self.happened
        }

        fn acts(&self) -> u64 {
            10
        }

        fn into_trace(self) -> Vec<String> {
            self.trace
        }
    }

    fn panics(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(test).expect_err("it passes");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn what_never_happens_is_found_once_there_are_enough_worlds() {
        assert!(panics(|| hold_in::<Coins>(0..60)).contains("it stands on its edge"));
        hold_in::<Coins>(0..ENOUGH as u64 - 1);
    }

    #[test]
    fn a_world_that_goes_wrong_says_its_seed() {
        // One of a thousand is wrong by chance.
        let (seed, _) = (0..20_000)
            .find_map(|seed| live::<Coins>(seed, None).err().map(|wrong| (seed, wrong)))
            .expect("some world is wrong");
        let why = panics(move || hold_in::<Coins>(0..seed + 1));
        assert!(why.contains(&format!("CONCLAVE_SEED={seed}\n")) && why.contains("ten heads"), "{why}");
    }

    #[test]
    fn mistakes_are_found_or_missed() {
        is_found_within::<Coins>(1, Loaded);
        let why = panics(|| is_found_within::<Coins>(0, Loaded));
        assert_eq!(why, "Loaded is not found in 0 worlds");
    }

    #[test]
    fn a_world_that_is_another_one_the_second_time_is_found() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static TIMES: AtomicU64 = AtomicU64::new(0);
        struct Fickle(Coins);
        impl World for Fickle {
            type Kind = Toss;
            type Bug = Loaded;
            fn new(_seed: u64, bug: Option<Loaded>, traced: bool) -> Self {
                Self(Coins::new(TIMES.fetch_add(1, Ordering::Relaxed), bug, traced))
            }
            fn run(&mut self) -> Outcome {
                self.0.run()
            }
            fn happened(&self) -> &Happened<Toss> {
                self.0.happened()
            }
            fn acts(&self) -> u64 {
                self.0.acts()
            }
            fn into_trace(self) -> Vec<String> {
                self.0.into_trace()
            }
        }
        the_same_seed_makes_the_same_world::<Coins>(&[1, 2, 3], 10);
        assert!(panics(|| the_same_seed_makes_the_same_world::<Fickle>(&[1], 10)).contains("in world 1"));
        assert!(panics(|| the_same_seed_makes_the_same_world::<Coins>(&[1], 11)).contains("only 10 lines"));
    }
}
