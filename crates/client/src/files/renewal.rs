//! How long swarms are to keep a file, and when its sender lengthens that (docs/protocol/files, "Renewal"). Decides only: no
//! network, no disk, no clock.

use std::time::Duration;

use conclave_proto::Timestamp;
use conclave_proto::chunk::{MAX_CHUNK_AGE_MS, MAX_CHUNK_LIFE_MS};

/// The first life: a day longer than a message that speaks of the file lies in a swarm.
pub(crate) const FIRST_LIFE: Duration = Duration::from_secs(15 * DAY);
/// What a renewal asks for: as long as nodes allow.
const RENEWED_FOR: Duration = Duration::from_millis(MAX_CHUNK_LIFE_MS);
/// How long swarms keep a file at the very most: no renewal leads further than this after the first store.
pub const LONGEST: Duration = Duration::from_millis(MAX_CHUNK_AGE_MS);
/// So long before a life ends it is lengthened: time for a machine that is off for some days.
const BEFORE_END: Duration = Duration::from_secs(5 * DAY);
/// Files that were sent together, and devices of one account, do not renew all at once.
const SPREAD: Duration = Duration::from_secs(2 * DAY);
/// What is gained by less is not worth asking for.
const WORTH_IT: Duration = Duration::from_secs(DAY);
/// Pauses between attempts: the first, and the longest, to which they double.
const PAUSES: (Duration, Duration) = (Duration::from_secs(30 * 60), Duration::from_secs(12 * 60 * 60));

const DAY: u64 = 24 * 60 * 60;

/// How long a file has been and will be in its swarms, as far as is known here: it may have been stored later, and be kept
/// longer, never the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// When it was first stored.
    pub(crate) began: Timestamp,
    /// Until when it is kept.
    pub(crate) ends: Timestamp,
}

impl Life {
    /// Of a file that is stored at `began` or later.
    pub(crate) fn first(began: Timestamp) -> Self {
        Self { began, ends: began.plus(FIRST_LIFE) }
    }

    /// When it is to be lengthened, spread by a random number; `None` if it cannot get longer.
    pub(crate) fn renew_at(self, spread: u32) -> Option<Timestamp> {
        let spread = SPREAD.mul_f64(f64::from(spread) / f64::from(u32::MAX));
        let worth = self.ends.plus(WORTH_IT) <= self.began.plus(LONGEST);
        worth.then(|| self.ends.minus(BEFORE_END + spread).max(self.began))
    }

    /// What a renewal now asks for. `None` if it would come too late, or gain nothing.
    pub(crate) fn renewed(self, now: Timestamp) -> Option<Self> {
        let ends = now.plus(RENEWED_FOR).min(self.began.plus(LONGEST));
        (now < self.ends && ends > self.ends).then_some(Self { ends, ..self })
    }

    /// When it is tried again after `attempts` failures before this one; `None` once it is over.
    pub(crate) fn retry_at(self, attempts: u32, now: Timestamp) -> Option<Timestamp> {
        let (first, longest) = PAUSES;
        let pause = first.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(longest);
        let next = now.plus(pause);
        // The last attempt may as well be made just before the end.
        (now < self.ends).then(|| next.min(self.ends.minus(Duration::from_secs(60)).max(now.plus(first))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    const fn days(n: u64) -> Duration {
        Duration::from_secs(n * DAY)
    }

    #[test]
    fn a_file_is_renewed_in_time_for_thirty_days_each_until_it_is_ninety_days_old_and_then_no_more() {
        for spread in [0, u32::MAX / 2, u32::MAX] {
            let mut life = Life::first(START);
            let mut renewals = 0;
            while let Some(at) = life.renew_at(spread) {
                let left = life.ends.since(at);
                assert!((days(5)..=days(7)).contains(&left), "{left:?}");
                let renewed = life.renewed(at).unwrap();
                assert!(renewed.ends <= at.plus(days(30)), "nodes allow no more");
                assert!(renewed.ends > life.ends && renewed.began == life.began);
                life = renewed;
                renewals += 1;
                assert!(renewals < 10);
            }
            let age = life.ends.since(life.began);
            assert!(age > days(89) && age <= days(90), "{age:?}");
        }
    }

    #[test]
    fn who_was_away_renews_what_still_lives_and_nothing_else() {
        let life = Life::first(START);
        assert_eq!(life.renewed(START.plus(days(14))).unwrap().ends, START.plus(days(44)));
        assert_eq!(life.renewed(START.plus(days(15))), None, "it is gone");
        assert_eq!(life.renewed(START.plus(days(300))), None);
        let old = Life { began: START, ends: START.plus(days(80)) };
        assert_eq!(old.renewed(START.plus(days(79))).unwrap().ends, START.plus(days(90)));
        // With a clock that was put back nothing is lost either.
        assert_eq!(life.renewed(START.minus(days(40))), None);
    }

    #[test]
    fn what_fails_is_tried_again_ever_more_rarely_until_its_end_and_no_longer() {
        let life = Life::first(START);
        let (mut now, mut attempts) = (life.renew_at(0).unwrap(), 0);
        while let Some(next) = life.retry_at(attempts, now) {
            assert!(next.since(now) >= Duration::from_secs(30 * 60) && next.since(now) <= days(1));
            (now, attempts) = (next, attempts + 1);
        }
        assert!((10..25).contains(&attempts), "{attempts}");
        assert!(now >= life.ends.minus(Duration::from_secs(60)) && now < life.ends.plus(days(1)));
    }
}
