//! Network time: what the service nodes' clocks say, learnt from their answers.
//!
//! Every timestamp this client sends or signs is network time; the machine's clock is only what it
//! is measured against. One node's word moves nothing far: the median of several counts.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;

/// Measurements that are kept; the median of them is the offset.
const SAMPLES: usize = 9;
/// So many nodes must have been heard before the offset moves further than [`UNCONFIRMED`]: one node that lies about the
/// time must not push this account's messages into the future, where they would stay.
const CONFIRMED_BY: usize = 3;
/// What fewer nodes may move the offset by, in milliseconds.
const UNCONFIRMED: u64 = 10_000;
/// What is kept for later runs is written anew when it is off by more, in milliseconds: not with every answer.
const WORTH_KEEPING: u64 = 1_000;
/// A round trip longer than this says too little about the clock at its other end.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(5);

/// Where the machine's time comes from.
pub trait Clock: Send + Sync {
    /// Now, as this machine believes.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The offset between the network's time and the machine's.
#[derive(Debug, Default)]
pub(crate) struct Offset {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// From an earlier run; holds until something is measured.
    remembered: i64,
    /// What the next run will remember.
    kept: i64,
    /// One for each node that was asked, newest last.
    samples: VecDeque<(Ed25519Public, i64)>,
}

impl Offset {
    /// Starting from what an earlier run knew, in milliseconds.
    pub(crate) fn remembering(millis: i64) -> Self {
        Self { state: Mutex::new(State { remembered: millis, kept: millis, samples: VecDeque::new() }) }
    }

    /// Network time minus machine time, in milliseconds.
    pub(crate) fn millis(&self) -> i64 {
        let state = self.lock();
        state.measured().unwrap_or(state.remembered)
    }

    /// Whether enough has been measured in this run to say how far off this machine is.
    pub(crate) fn is_measured(&self) -> bool {
        self.lock().measured().is_some()
    }

    /// Learns that `node` said it was `theirs` in answer to a request sent at `sent` that came back at `received`, both
    /// by the machine's clock.
    pub(crate) fn learn(&self, node: Ed25519Public, theirs: Timestamp, sent: Timestamp, received: Timestamp) {
        let round_trip = received.since(sent);
        if round_trip > MAX_ROUND_TRIP || received < sent {
            return;
        }
        let middle = sent.plus(round_trip / 2);
        let offset = i128::from(theirs.0) - i128::from(middle.0);
        let Ok(offset) = i64::try_from(offset) else { return };
        let mut state = self.lock();
        // A node has one vote, however often it answers.
        state.samples.retain(|(known, _)| *known != node);
        state.samples.push_back((node, offset));
        if state.samples.len() > SAMPLES {
            state.samples.pop_front();
        }
    }

    /// What was believed turned out to be wrong: it has to be measured again. What is only being collected stays.
    pub(crate) fn distrust(&self) {
        let mut state = self.lock();
        if let Some(believed) = state.measured() {
            state.remembered = believed;
            state.samples.clear();
        }
    }

    /// What has to be written for the next run, if it would begin with another time than is known by now; the caller writes it.
    /// Whatever request taught it: messages that a run takes in before it has measured are put in their places by this.
    pub(crate) fn take_news(&self) -> Option<i64> {
        let mut state = self.lock();
        let measured = state.measured()?;
        // What one node moves in this run, it does not move from run to run.
        if state.samples.len() < CONFIRMED_BY || measured.abs_diff(state.kept) <= WORTH_KEEPING {
            return None;
        }
        state.kept = measured;
        Some(measured)
    }

    /// Machine time as network time.
    pub(crate) fn apply(&self, machine: Timestamp) -> Timestamp {
        Timestamp(machine.0.saturating_add_signed(self.millis()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The median, if it may be believed.
    fn measured(&self) -> Option<i64> {
        let mut sorted: Vec<i64> = self.samples.iter().map(|(_, offset)| *offset).collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied()?;
        let confirmed = sorted.len() >= CONFIRMED_BY || median.abs_diff(self.remembered) <= UNCONFIRMED;
        confirmed.then_some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> Ed25519Public {
        conclave_crypto::Ed25519Secret::from_seed(&[number; 32]).public()
    }

    #[test]
    fn the_median_of_the_nodes_counts_and_each_has_one_vote() {
        let offset = Offset::remembering(-7);
        assert_eq!((offset.millis(), offset.is_measured()), (-7, false));
        let learn = |number, theirs| {
            offset.learn(node(number), Timestamp(theirs), Timestamp(1_000_000), Timestamp(1_000_200));
        };
        learn(1, 1_120_100);
        assert_eq!((offset.millis(), offset.is_measured()), (-7, false), "one node alone moves nothing far");
        learn(2, 1_120_110);
        // A liar with many answers is still one.
        for _ in 0..20 {
            learn(3, 9_000_000);
        }
        assert_eq!(offset.millis(), 120_010, "half the round trip is taken off");
        assert_eq!(offset.apply(Timestamp(1_000_000)), Timestamp(1_120_010));
    }

    #[test]
    fn small_differences_are_taken_from_the_first_node() {
        let offset = Offset::default();
        offset.learn(node(1), Timestamp(1_000_000), Timestamp(1_003_000), Timestamp(1_003_000));
        assert_eq!((offset.millis(), offset.is_measured()), (-3_000, true));
    }

    #[test]
    fn what_was_measured_is_kept_once_for_the_next_run() {
        let offset = Offset::remembering(-500);
        let learn = |number, theirs| {
            offset.learn(node(number), Timestamp(theirs), Timestamp(1_000_000), Timestamp(1_000_000));
        };
        learn(1, 1_000_900);
        learn(2, 1_000_900);
        assert_eq!(
            (offset.millis(), offset.take_news()),
            (900, None),
            "few nodes move nothing from run to run"
        );
        learn(3, 1_000_900);
        assert_eq!((offset.take_news(), offset.take_news()), (Some(900), None));
        learn(3, 1_001_000);
        assert_eq!(offset.take_news(), None, "the next run begins near enough");
        offset.distrust();
        learn(2, 919_000);
        learn(3, 919_000);
        assert_eq!(offset.take_news(), None);
        learn(4, 919_000);
        assert_eq!(offset.take_news(), Some(-81_000));
    }

    #[test]
    fn slow_answers_say_nothing() {
        let offset = Offset::default();
        offset.learn(node(1), Timestamp(500_000), Timestamp(0), Timestamp(10_000));
        offset.learn(node(1), Timestamp(500_000), Timestamp(10), Timestamp(0));
        assert!(!offset.is_measured());
    }
}
