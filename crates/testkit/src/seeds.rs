//! Which seeds a run goes through, and going through them.
//!
//! Environment: `CONCLAVE_LONG` (anything but `0`) makes a run long; `CONCLAVE_SEED=n` or `n..m` asks for certain seeds.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const LONG: &str = "CONCLAVE_LONG";
const SEED: &str = "CONCLAVE_SEED";

/// Whether the run may take long.
pub fn is_long() -> bool {
    std::env::var_os(LONG).is_some_and(|value| !value.is_empty() && value != "0")
}

/// The seeds somebody asked for.
///
/// # Panics
/// If what was asked for is not `n` or `n..m`: who misspells a seed should not believe to have repeated it.
pub fn asked_for() -> Option<Range<u64>> {
    let asked = std::env::var_os(SEED)?;
    let seeds = asked.to_str().and_then(parse);
    assert!(seeds.is_some(), "{SEED} is {}, and has to be n or n..m", asked.display());
    seeds
}

/// The seeds of this run: those that were asked for, or the first so many.
pub fn of_run(quick: u64, long: u64) -> Range<u64> {
    asked_for().unwrap_or(0..if is_long() { long } else { quick })
}

fn parse(asked: &str) -> Option<Range<u64>> {
    match asked.split_once("..") {
        Some((first, end)) => Some(first.parse().ok()?..end.parse().ok()?).filter(|seeds| !seeds.is_empty()),
        None => asked.parse().ok().map(|seed: u64| seed..seed.saturating_add(1)),
    }
}

/// Does `work` for every seed, on all cores, and gives what comes of it to `take`: one after the other, in no certain order.
///
/// # Panics
/// If `work` does; its seed is printed.
pub fn go_through<T: Send>(
    seeds: Range<u64>,
    work: impl Fn(u64) -> T + Sync,
    take: impl FnMut(u64, T) + Send,
) {
    let next = AtomicU64::new(seeds.start);
    let take = Mutex::new(take);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let named = NamedInPanic(seed);
                    let done = work(seed);
                    let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
                    take(seed, done);
                    drop(named);
                }
            });
        }
    });
}

/// Says which seed it was when a panic passes by.
struct NamedInPanic(u64);

impl Drop for NamedInPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", how_to_repeat(self.0));
        }
    }
}

/// How a seed is asked for.
pub fn how_to_repeat(seed: u64) -> String {
    format!("repeat it with {SEED}={seed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_or_a_range_of_seeds_can_be_asked_for() {
        assert_eq!(parse("7"), Some(7..8));
        assert_eq!(parse("300..800"), Some(300..800));
        for nonsense in ["", "x", "7..", "..7", "7..7", "9..7", "1..2..3", "-1"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_seed_is_gone_through_once() {
        let mut done = Vec::new();
        go_through(10..200, |seed| 2 * seed, |seed, double| done.push((seed, double)));
        done.sort_unstable();
        assert_eq!(done, (10..200).map(|seed| (seed, 2 * seed)).collect::<Vec<_>>());
    }
}
