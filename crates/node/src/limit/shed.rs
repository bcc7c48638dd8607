//! Which share of the requests to refuse so that the others are answered in time.
//!
//! The signal is how long work waits before it is begun: that grows without bound once more comes than can be done, and
//! then everybody waits, also those whose answer nobody wants any more. What lies within an answer (a slow disk of
//! another member, a held request) does not count. Short bursts are let through: it is the *least* wait of half a second
//! that counts, as in CoDel (RFC 8289).
//!
//! Does no IO, knows no clock and no randomness.

use std::collections::VecDeque;
use std::time::Duration;

/// How often the wait is measured.
pub(crate) const MEASURE_EVERY: Duration = Duration::from_millis(50);
/// Measurements of which the least counts: half a second.
const WINDOW: usize = 10;
/// Shares are counted in thousandths.
const WHOLE: u64 = 1_000;
/// However bad it is, some are let in: their answers are how one sees that it has become better.
const MOST: u64 = 950;

/// Decides who is shed.
#[derive(Debug)]
pub(crate) struct Shedder {
    bearable: Duration,
    waits: VecDeque<Duration>,
    /// Thousandths of requests to refuse.
    share: u64,
    /// Thousandths of a request that were not refused yet, so that the share is kept without dice.
    owed: u64,
}

impl Shedder {
    /// Refuses nobody while work waits no longer than `bearable`.
    pub(crate) fn new(bearable: Duration) -> Self {
        Self { bearable, waits: VecDeque::with_capacity(WINDOW), share: 0, owed: 0 }
    }

    /// Takes in how long work waits now; called every [`MEASURE_EVERY`].
    pub(crate) fn measured(&mut self, wait: Duration) {
        if self.waits.len() == WINDOW {
            self.waits.pop_front();
        }
        self.waits.push_back(wait);
        let standing = match self.waits.len() {
            WINDOW => self.waits.iter().min().copied().unwrap_or_default(),
            _ => Duration::ZERO,
        };
        // With n times the bearable wait, one of n requests is let in: where n times too much comes, that holds the wait.
        let let_in = self.bearable.as_nanos().saturating_mul(u128::from(WHOLE))
            / standing.max(self.bearable).as_nanos().max(1);
        self.share = WHOLE.saturating_sub(u64::try_from(let_in).unwrap_or(WHOLE)).min(MOST);
    }

    /// Whether the next request may come in.
    pub(crate) fn admits(&mut self) -> bool {
        self.owed += self.share;
        if self.owed < WHOLE {
            return true;
        }
        self.owed -= WHOLE;
        false
    }

    /// Thousandths of requests that are refused now.
    pub(crate) const fn share(&self) -> u64 {
        self.share
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEARABLE: Duration = Duration::from_millis(100);

    /// A machine that does a given number of requests a second, one after the other.
    struct Machine {
        shedder: Shedder,
        per_second: u64,
        waiting: u64,
        credit: u64,
        arrival: u64,
    }

    #[derive(Debug, Default)]
    struct Seen {
        done: u64,
        refused: u64,
        longest: Duration,
    }

    impl Machine {
        fn new(per_second: u64) -> Self {
            Self { shedder: Shedder::new(BEARABLE), per_second, waiting: 0, credit: 0, arrival: 0 }
        }

        fn wait(&self) -> Duration {
            Duration::from_micros(self.waiting * 1_000_000 / self.per_second)
        }

        /// Lets so many a second come for a while, a millisecond at a time.
        fn run(&mut self, arriving: u64, time: Duration) -> Seen {
            let mut seen = Seen::default();
            for ms in 0..time.as_millis() {
                self.arrival += arriving;
                while self.arrival >= 1_000 {
                    self.arrival -= 1_000;
                    if self.shedder.admits() { self.waiting += 1 } else { seen.refused += 1 }
                }
                self.credit += self.per_second;
                let done = (self.credit / 1_000).min(self.waiting);
                self.credit = if self.waiting == done { 0 } else { self.credit - done * 1_000 };
                self.waiting -= done;
                seen.done += done;
                seen.longest = seen.longest.max(self.wait());
                if ms.is_multiple_of(MEASURE_EVERY.as_millis()) {
                    self.shedder.measured(self.wait());
                }
            }
            seen
        }
    }

    #[test]
    fn a_short_burst_is_let_through() {
        let mut machine = Machine::new(10_000);
        let burst = machine.run(20_000, Duration::from_millis(300));
        let after = machine.run(1_000, Duration::from_secs(1));
        assert_eq!((burst.refused, after.refused), (0, 0));
    }

    proptest! {
        // Each case is a minute of a busy machine's life.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn nobody_is_refused_while_the_machine_keeps_up(per_second in 500u64..50_000, percent in 1u64..100) {
            let mut machine = Machine::new(per_second);
            let seen = machine.run(per_second * percent / 100, Duration::from_secs(10));
            prop_assert_eq!(seen.refused, 0);
        }

        #[test]
        fn with_too_much_to_do_the_wait_stays_bounded_the_machine_busy_and_afterwards_all_is_well(
            per_second in 500u64..50_000,
            times in 2u64..15,
        ) {
            let mut machine = Machine::new(per_second);
            machine.run(per_second * times, Duration::from_secs(20));
            let seen = machine.run(per_second * times, Duration::from_secs(20));
            // In balance the wait is `times` the bearable one; it swings around it.
            let bound = BEARABLE * u32::try_from(times * 3).unwrap() + Duration::from_millis(500);
            prop_assert!(seen.longest < bound, "{:?} at {} times the load", seen.longest, times);
            prop_assert!(seen.done >= per_second * 20 * 95 / 100, "{} of {}", seen.done, per_second * 20);
            machine.run(per_second / 2, Duration::from_secs(20));
            let calm = machine.run(per_second / 2, Duration::from_secs(10));
            prop_assert_eq!(calm.refused, 0);
        }

        #[test]
        fn the_share_is_kept_to_within_one_request(waits in proptest::collection::vec(0u64..1_000_000, 10..60), asks in 1u64..5_000) {
            let mut shedder = Shedder::new(BEARABLE);
            for wait in waits {
                shedder.measured(Duration::from_millis(wait));
            }
            let refused = (0..asks).filter(|_| !shedder.admits()).count() as u64;
            prop_assert!(shedder.share() <= MOST);
            prop_assert!((refused * WHOLE).abs_diff(asks * shedder.share()) <= WHOLE);
        }
    }
}
