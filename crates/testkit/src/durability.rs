//! "Acknowledged means durable", as a scenario any store can be put through.
//!
//! One trial is one seed: a fresh [`CrashFs`], several lives of the store on it, each ended by a power cut
//! at a random write, and after each a check that everything acknowledged so far is there. The store is
//! given as two closures, so this module knows neither its types nor whether it is asynchronous.
//!
//! A store that passes proves little unless the scenario can fail: run it once more with the store's
//! `synchronous=NORMAL` and assert [`Report::lost`].

use std::ops::Range;

use rand_core::RngCore;

use crate::SeededRng;
use crate::crashfs::CrashFs;
use crate::seeds;

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
    pub rng: SeededRng,
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

/// The seeds of this run: a few hundred; 5,000 with `CONCLAVE_LONG=1`; those of `CONCLAVE_SEED`.
pub fn seeds() -> Range<u64> {
    seeds::of_run(QUICK_SEEDS, LONG_SEEDS)
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
    let mut report = Report { trials: seeds.end - seeds.start, ..Report::default() };
    seeds::go_through(
        seeds,
        |seed| trial(seed, work, &live, &check),
        |seed, trial| {
            report.acknowledged += trial.acknowledged;
            report.killed += trial.killed;
            report.lost.extend(trial.wrong.map(|wrong| (seed, wrong)));
        },
    );
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
    let mut rng = crate::rng(seed);
    let mut trial = Trial::default();
    let mut acknowledged = Vec::new();
    for number in 0..LIVES {
        fs.kill_at_write(1 + rng.next_u64() % work);
        let mut life = Life { seed, number, fs: &fs, rng: crate::rng(rng.next_u64()) };
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
