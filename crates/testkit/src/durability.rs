//! "Acknowledged means durable", as a scenario any store can be put through.
//!
//! One trial is one seed: a fresh [`CrashFs`], several lives of the store on it, each ended by a power cut
//! at a random write, and after each a check that everything acknowledged so far is there. The store is
//! given as two closures, so this module knows neither its types nor whether it is asynchronous.
//!
//! A store that passes proves little unless the scenario can fail: run it once more with the store's
//! `synchronous=NORMAL` and assert [`Report::lost`].

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rand_core::{RngCore, SeedableRng};

use crate::crashfs::CrashFs;

/// Power cuts in one trial: recovering from a recovery is where stores break.
const LIVES: u32 = 3;
/// Seeds of an ordinary test run: enough to catch `synchronous=NORMAL` many times over, in seconds.
const QUICK_SEEDS: u64 = 300;
/// Seeds with `CONCLAVE_LONG=1`.
const LONG_SEEDS: u64 = 5_000;

/// What a closure gets to work with in one life of the store.
pub struct Life<'a> {
    /// The seed of the trial.
    pub seed: u64,
    /// Which life, from 0: makes ids unique within the trial.
    pub number: u32,
    /// The disk; the power will be cut at some write.
    pub fs: &'a CrashFs,
    /// Randomness of this life.
    pub rng: rand_chacha::ChaCha20Rng,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Report {
    /// Trials.
    pub trials: u64,
    /// Writes that the store acknowledged.
    pub acknowledged: u64,
    /// Lives that ended in the middle of their work, not after it.
    pub killed: u64,
    /// Seeds after which something was wrong, with what it was.
    pub lost: Vec<(u64, String)>,
}

impl Report {
    /// Fails the test if anything was lost, naming the seeds.
    ///
    /// # Panics
    /// If [`lost`](Self::lost) is not empty, or nothing was acknowledged or killed, which would prove nothing.
    pub fn expect_nothing_lost(&self) {
        let shown = self.lost.get(..self.lost.len().min(5)).unwrap_or_default();
        assert!(
            self.lost.is_empty(),
            "{} of {} seeds lost something: {shown:#?}\nrepeat one with CONCLAVE_SEED=<seed>",
            self.lost.len(),
            self.trials
        );
        assert!(self.acknowledged > 0 && self.killed > 0, "the scenario proves nothing: {self:?}");
    }
}

/// The seeds of this run: a few hundred; 5,000 with `CONCLAVE_LONG=1`; one with `CONCLAVE_SEED=<seed>`.
pub fn seeds() -> Range<u64> {
    if let Some(seed) = std::env::var("CONCLAVE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return seed..seed + 1;
    }
    let long = std::env::var_os("CONCLAVE_LONG").is_some_and(|value| value != "0");
    0..if long { LONG_SEEDS } else { QUICK_SEEDS }
}

/// Puts a store through one trial per seed, on all cores.
///
/// * `live` opens the store on `life.fs`, writes until something fails or its work is done, and returns what was
///   acknowledged. `work` is roughly how many disk operations that takes; the kill falls into it evenly.
/// * `check` opens the store again and says what is wrong: an acknowledged thing missing or different, a half-written
///   one, a damaged database.
pub fn run<A: Send>(
    seeds: Range<u64>,
    work: u64,
    live: impl Fn(&mut Life<'_>) -> Vec<A> + Sync,
    check: impl Fn(&CrashFs, &[A]) -> Result<(), String> + Sync,
) -> Report {
    let next = AtomicU64::new(seeds.start);
    let report = Mutex::new(Report { trials: seeds.end - seeds.start, ..Report::default() });
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let trial = trial(seed, work, &live, &check);
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    report.acknowledged += trial.acknowledged;
                    report.killed += trial.killed;
                    report.lost.extend(trial.wrong.map(|wrong| (seed, wrong)));
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.lost.sort();
    report
}

#[derive(Default)]
struct Trial {
    acknowledged: u64,
    killed: u64,
    wrong: Option<String>,
}

fn trial<A>(
    seed: u64,
    work: u64,
    live: &impl Fn(&mut Life<'_>) -> Vec<A>,
    check: &impl Fn(&CrashFs, &[A]) -> Result<(), String>,
) -> Trial {
    let fs = CrashFs::new(seed);
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
    let mut trial = Trial::default();
    let mut acknowledged = Vec::new();
    for number in 0..LIVES {
        fs.kill_at_write(1 + rng.next_u64() % work);
        let mut life =
            Life { seed, number, fs: &fs, rng: rand_chacha::ChaCha20Rng::seed_from_u64(rng.next_u64()) };
        acknowledged.extend(live(&mut life));
        trial.killed += u64::from(fs.is_down());
        fs.crash();
        trial.acknowledged = acknowledged.len() as u64;
        if let Err(wrong) = check(&fs, &acknowledged) {
            trial.wrong = Some(format!("life {number}: {wrong}"));
            break;
        }
    }
    trial
}
