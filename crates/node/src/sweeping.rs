//! When what has expired may be deleted: not while the clock cannot be believed.
//!
//! A machine whose clock leaps ahead (a wrong time server, a battery, somebody's hand) would delete messages that are
//! acknowledged and due for weeks to come, and deleting is the one thing that cannot be taken back. So the clock is held
//! against the time that has really passed, and after a leap nothing is deleted until it has stood for a while: a clock
//! that was set right goes on after that, and one that was set wrong gives its operator, and the machine's own time
//! service, the time to notice.
//!
//! Decides and does no IO.

use std::time::Duration;

use conclave_proto::Timestamp;

/// A clock may gain so much on the time that has passed since the last look: adjustments by a time service do.
const TOLERATED: Duration = Duration::from_secs(60);
/// How long nothing is deleted after a leap. Messages live from seconds to weeks; that some stay a little is no harm.
const HOLD: Duration = Duration::from_secs(15 * 60);

/// Watches the clock.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    last: Option<(Duration, Timestamp)>,
    held_until: Option<Duration>,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// Delete what has expired.
    Go,
    /// The clock has just leapt ahead by so much; delete nothing, and tell the operator.
    Leapt(Duration),
    /// It leapt not long ago.
    Hold,
}

impl ClockWatch {
    /// What may be done, `passed` after some fixed moment, when the clock says `now`.
    pub(crate) fn look(&mut self, passed: Duration, now: Timestamp) -> Sweep {
        let (then, said) = self.last.replace((passed, now)).unwrap_or((passed, now));
        let leap = now.since(said).saturating_sub(passed.saturating_sub(then));
        if leap > TOLERATED {
            self.held_until = Some(passed + HOLD);
            return Sweep::Leapt(leap);
        }
        match self.held_until {
            Some(until) if passed < until => Sweep::Hold,
            _ => Sweep::Go,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const START: Timestamp = Timestamp(1_700_000_000_000);

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_a_leap_nothing_is_deleted_for_a_quarter_of_an_hour() {
        let mut watch = ClockWatch::default();
        assert_eq!(watch.look(s(0), START), Sweep::Go);
        assert_eq!(watch.look(s(10), START.plus(s(10))), Sweep::Go);
        let ahead = |at: u64| START.plus(s(20 * DAY + at));
        assert_eq!(watch.look(s(20), ahead(20)), Sweep::Leapt(s(20 * DAY)));
        assert_eq!(watch.look(s(30), ahead(30)), Sweep::Hold);
        assert_eq!(watch.look(s(919), ahead(919)), Sweep::Hold);
        assert_eq!(watch.look(s(920), ahead(920)), Sweep::Go, "it seems to be right");
    }

    #[test]
    fn a_clock_that_is_set_back_right_had_no_effect_at_all() {
        let mut watch = ClockWatch::default();
        watch.look(s(0), START);
        assert!(matches!(watch.look(s(10), START.plus(s(30 * DAY))), Sweep::Leapt(_)));
        assert_eq!(watch.look(s(20), START.plus(s(20))), Sweep::Hold);
        assert_eq!(watch.look(s(910), START.plus(s(910))), Sweep::Go);
    }

    #[test]
    fn a_clock_that_is_behind_deletes_less_and_is_no_danger() {
        let mut watch = ClockWatch::default();
        watch.look(s(0), START);
        assert_eq!(watch.look(s(10), START.minus(s(30 * DAY))), Sweep::Go);
        assert!(
            matches!(watch.look(s(20), START.plus(s(20))), Sweep::Leapt(_)),
            "coming back is a leap like any other"
        );
    }

    proptest! {
        /// However the clock behaves: a message is deleted only when it has expired by a clock that has not leapt for a
        /// quarter of an hour.
        #[test]
        fn what_is_deleted_was_due_by_a_clock_that_had_stood(
            steps in proptest::collection::vec((1u64..40, -100_000i64..100_000, proptest::bool::weighted(0.1)), 1..300),
        ) {
            let mut watch = ClockWatch::default();
            let (mut passed, mut clock) = (s(0), START.0);
            watch.look(passed, START);
            let mut leapt_at = None;
            for (wait, jump, jumps) in steps {
                passed += s(wait);
                clock += wait * 1_000;
                if jumps {
                    clock = clock.saturating_add_signed(jump * 1_000);
                }
                let said = watch.look(passed, Timestamp(clock));
                if jumps && jump > 60 {
                    prop_assert!(matches!(said, Sweep::Leapt(_)));
                    leapt_at = Some(passed);
                }
                if said == Sweep::Go {
                    prop_assert!(leapt_at.is_none_or(|at| passed - at >= HOLD));
                }
            }
        }
    }
}
