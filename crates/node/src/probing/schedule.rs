//! Which node is to be tested next, and when one that failed is tested again (storage-and-onion 5.3).
//!
//! Performs no IO: call [`Schedule::tick`] about every [`TICK`], test the nodes it gives, and report each with
//! [`Schedule::finished`]. Bounded by the node list: who leaves it is forgotten with the next tick.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;
use rand_core::RngCore;

/// How often the schedule is looked at.
pub(super) const TICK: Duration = Duration::from_millis(200);
/// The mean and the spread of the pauses between tests of nodes that are well, in seconds.
const PAUSE_MEAN: f64 = 10.0;
const PAUSE_SPREAD: f64 = 3.0;
/// A node that failed is tested again after so long for each earlier failure, and one pause.
const RETEST_STEP: Duration = Duration::from_secs(10);
/// And at the latest after this.
const RETEST_MAX: Duration = Duration::from_secs(120);
/// Nodes that failed and are tested again in one tick.
const RETESTS_PER_TICK: usize = 4;

/// What is known of a node that failed its last test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failing {
    /// Failed tests in a row.
    failures: u32,
    /// When it is tested again.
    next: Timestamp,
}

/// The tests that one node makes of the others.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Nodes still to be tested in this round, in random order.
    queue: Vec<Ed25519Public>,
    failing: BTreeMap<Ed25519Public, Failing>,
    running: BTreeSet<Ed25519Public>,
    next: Timestamp,
}

impl Schedule {
    /// Which nodes are to be tested now. `others` are all nodes but this one.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        others: &[Ed25519Public],
        rng: &mut impl RngCore,
    ) -> Vec<Ed25519Public> {
        let listed: BTreeSet<&Ed25519Public> = others.iter().collect();
        self.failing.retain(|node, _| listed.contains(node));
        let due = self
            .failing
            .iter()
            .filter(|(node, failing)| failing.next <= now && !self.running.contains(node))
            .map(|(node, _)| *node);
        let mut tests: Vec<Ed25519Public> = due.take(RETESTS_PER_TICK).collect();
        if self.next <= now {
            self.next = now.plus(pause(rng));
            tests.extend(self.next_in_queue(others, &listed, rng));
        }
        self.running.extend(&tests);
        tests
    }

    /// What came of a test.
    pub(super) fn finished(
        &mut self,
        now: Timestamp,
        node: Ed25519Public,
        passed: bool,
        rng: &mut impl RngCore,
    ) {
        self.running.remove(&node);
        if passed {
            self.failing.remove(&node);
            return;
        }
        let failing = self.failing.entry(node).or_insert(Failing { failures: 0, next: now });
        let wait = RETEST_STEP.saturating_mul(failing.failures) + pause(rng);
        failing.failures = failing.failures.saturating_add(1);
        failing.next = now.plus(wait.min(RETEST_MAX));
    }

    fn next_in_queue(
        &mut self,
        others: &[Ed25519Public],
        listed: &BTreeSet<&Ed25519Public>,
        rng: &mut impl RngCore,
    ) -> Option<Ed25519Public> {
        if self.queue.is_empty() {
            self.queue = others.to_vec();
            shuffle(&mut self.queue, rng);
        }
        while let Some(node) = self.queue.pop() {
            if listed.contains(&node) && !self.failing.contains_key(&node) && !self.running.contains(&node) {
                return Some(node);
            }
        }
        None
    }
}

/// A normally distributed pause, at least a second: twelve uniform numbers add up to one closely enough.
fn pause(rng: &mut impl RngCore) -> Duration {
    let sum: f64 = (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum();
    Duration::from_secs_f64((PAUSE_MEAN + PAUSE_SPREAD * (sum - 6.0)).max(1.0))
}

/// Fisher and Yates. Who is tested when is no secret, so a remainder is even enough.
fn shuffle(nodes: &mut [Ed25519Public], rng: &mut impl RngCore) {
    for upper in (1..nodes.len()).rev() {
        let other = usize::try_from(rng.next_u64() % (upper as u64 + 1)).unwrap_or(0);
        nodes.swap(upper, other);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use conclave_crypto::Ed25519Secret;
    use proptest::prelude::*;

    use super::*;

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    fn nodes(count: u8) -> Vec<Ed25519Public> {
        (0..count).map(|number| Ed25519Secret::from_seed(&[number; 32]).public()).collect()
    }

    /// Tests as the schedule says for so many ticks; `passes` decides.
    fn run(
        others: &[Ed25519Public],
        ticks: u32,
        seed: u64,
        passes: impl Fn(&Ed25519Public) -> bool,
    ) -> BTreeMap<Ed25519Public, Vec<Timestamp>> {
        let mut rng = conclave_testkit::rng(seed);
        let mut schedule = Schedule::default();
        let mut tested: BTreeMap<Ed25519Public, Vec<Timestamp>> = BTreeMap::new();
        for tick in 0..ticks {
            let now = T0.plus(TICK * tick);
            let due = schedule.tick(now, others, &mut rng);
            assert!(due.len() <= RETESTS_PER_TICK + 1);
            for node in due {
                tested.entry(node).or_default().push(now);
                schedule.finished(now, node, passes(&node), &mut rng);
            }
        }
        tested
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_node_is_tested_before_any_is_tested_twice(seed: u64, count in 2u8..20) {
            let others = nodes(count);
            let mut rng = conclave_testkit::rng(seed);
            let mut schedule = Schedule::default();
            let (mut tested, mut now) = (Vec::new(), T0);
            while tested.len() < others.len() {
                for node in schedule.tick(now, &others, &mut rng) {
                    prop_assert!(!tested.contains(&node));
                    tested.push(node);
                    schedule.finished(now, node, true, &mut rng);
                }
                now = now.plus(TICK);
            }
        }

        #[test]
        fn one_that_fails_is_tested_again_ever_more_rarely_and_then_every_two_minutes(seed: u64) {
            let others = nodes(3);
            let dead = others[1];
            let tested = run(&others, 60 * 60 * 5, seed, |node| *node != dead);
            let pauses: Vec<u64> =
                tested[&dead].windows(2).map(|two| two[1].since(two[0]).as_secs()).collect();
            prop_assert!(pauses[0] <= 25 && pauses[0] >= 1, "{pauses:?}");
            prop_assert!(pauses.iter().all(|pause| *pause <= 121), "{pauses:?}");
            prop_assert!(pauses.iter().rev().take(5).all(|pause| *pause >= 119), "{pauses:?}");
        }
    }

    #[test]
    fn tests_come_every_ten_seconds_or_so() {
        let tested = run(&nodes(5), 60 * 60 * 5, 7, |_| true);
        let count: usize = tested.values().map(Vec::len).sum();
        assert!((320..=400).contains(&count), "{count} in an hour");
    }

    #[test]
    fn a_success_clears_and_who_leaves_the_list_is_forgotten() {
        let others = nodes(3);
        let mut rng = conclave_testkit::rng(1);
        let mut schedule = Schedule::default();
        schedule.finished(T0, others[0], false, &mut rng);
        schedule.finished(T0, others[1], false, &mut rng);
        schedule.finished(T0, others[0], true, &mut rng);
        assert_eq!(schedule.failing.len(), 1);
        schedule.tick(T0, &others[2..], &mut rng);
        assert!(schedule.failing.is_empty());
    }
}
