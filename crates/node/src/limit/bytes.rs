//! A bucket of bytes for each asker (docs/protocol/files, "A price for abuse").
//!
//! Does no IO and knows no clock: `now` is the time since some fixed moment. Should it go back, nothing is refilled.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Requests of up to so many bytes count for nobody: talking is never refused because of files.
pub(crate) const FREE: usize = 16 * 1024;
/// Askers that are remembered at one time.
const MAX_ASKERS: usize = 10_000;
/// How often full buckets are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// How often at most when there is no place for a new asker: looking through all of them takes a while.
const PRUNE_AT_MOST_EVERY: Duration = Duration::from_millis(100);
/// What somebody is told for whom there is no place.
const NO_PLACE: Duration = Duration::from_secs(1);
/// Parts of a byte: a rate of n bytes a second is n parts a nanosecond, so no time is too short to be counted.
const BYTE: u64 = 1_000_000_000;
/// The largest bucket, so that its parts can be counted.
const MAX_BURST: u64 = 1 << 33;

/// The buckets of all who have sent much lately.
#[derive(Debug)]
pub(crate) struct ByteBuckets<K> {
    rate: u64,
    burst: u64,
    by_asker: HashMap<K, Bucket>,
    pruned_at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In parts of a byte, as they were `at` that time.
    parts: u64,
    at: Duration,
}

impl<K: Eq + Hash> ByteBuckets<K> {
    /// `rate` bytes a second go on for ever; `burst` of them may come at once. `None` if the rate is 0, which is no limit.
    pub(crate) fn new(rate: u64, burst: u64) -> Option<Self> {
        let buckets = || Self {
            rate,
            burst: burst.clamp(1, MAX_BURST),
            by_asker: HashMap::new(),
            pruned_at: Duration::ZERO,
        };
        (rate > 0).then(buckets)
    }

    /// Takes the bytes of a request, or says when it would be let in. What is larger than a whole bucket takes a whole one.
    pub(crate) fn take(&mut self, now: Duration, asker: K, bytes: usize) -> Result<(), Duration> {
        if bytes <= FREE {
            return Ok(());
        }
        if now.saturating_sub(self.pruned_at) >= PRUNE_EVERY {
            self.prune(now);
        }
        let full = self.burst * BYTE;
        let needed = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.burst) * BYTE;
        let rate = self.rate;
        if !self.by_asker.contains_key(&asker) {
            if self.by_asker.len() >= MAX_ASKERS && now.saturating_sub(self.pruned_at) >= PRUNE_AT_MOST_EVERY
            {
                self.prune(now);
            }
            if self.by_asker.len() >= MAX_ASKERS {
                return Err(NO_PLACE);
            }
        }
        let bucket = self.by_asker.entry(asker).or_insert(Bucket { parts: full, at: now });
        *bucket = bucket.refilled(now, rate, full);
        match bucket.parts.checked_sub(needed) {
            Some(left) => {
                bucket.parts = left;
                Ok(())
            }
            None => Err(Duration::from_nanos((needed - bucket.parts).div_ceil(rate))),
        }
    }

    /// A full bucket says no more than none.
    fn prune(&mut self, now: Duration) {
        let (rate, full) = (self.rate, self.burst * BYTE);
        self.by_asker.retain(|_, bucket| bucket.refilled(now, rate, full).parts < full);
        self.pruned_at = now;
    }
}

impl Bucket {
    fn refilled(self, now: Duration, rate: u64, full: u64) -> Self {
        let passed = u64::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(u64::MAX);
        let parts = self.parts.saturating_add(passed.saturating_mul(rate)).min(full);
        Self { parts, at: self.at.max(now) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn what_is_refused_is_let_in_when_it_was_told_and_not_before() {
        let mut buckets = ByteBuckets::new(MIB as u64, 4 * MIB as u64).unwrap();
        let now = Duration::from_secs(5);
        for _ in 0..4 {
            assert_eq!(buckets.take(now, 1, MIB), Ok(()));
        }
        let wait = buckets.take(now, 1, MIB).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        assert!(buckets.take(now + wait - Duration::from_micros(1), 1, MIB).is_err());
        assert_eq!(buckets.take(now + wait, 1, MIB), Ok(()));
        assert_eq!(buckets.take(now, 2, 4 * MIB), Ok(()), "somebody else");
    }

    #[test]
    fn small_requests_are_free_and_larger_ones_than_a_bucket_take_all_of_it() {
        let mut buckets = ByteBuckets::new(1, MIB as u64).unwrap();
        assert_eq!(buckets.take(Duration::ZERO, 1, 10 * MIB), Ok(()));
        assert!(buckets.take(Duration::ZERO, 1, FREE + 1).is_err());
        assert!((0..1000).all(|_| buckets.take(Duration::ZERO, 1, FREE).is_ok()));
        assert!(ByteBuckets::<u8>::new(0, 5).is_none(), "no limit");
    }

    #[test]
    fn nobody_makes_the_node_remember_without_bound_and_who_is_quiet_is_forgotten() {
        let mut buckets = ByteBuckets::new(MIB as u64, MIB as u64).unwrap();
        for asker in 0..MAX_ASKERS {
            assert_eq!(buckets.take(Duration::ZERO, asker, MIB), Ok(()));
        }
        assert_eq!(buckets.take(Duration::ZERO, MAX_ASKERS, MIB), Err(NO_PLACE));
        assert_eq!(buckets.take(NO_PLACE, MAX_ASKERS, MIB), Ok(()));
        assert_eq!(buckets.by_asker.len(), 1);
    }

    proptest! {
        /// However somebody asks: no more than a burst and what was refilled, and never refused within that.
        #[test]
        fn everybody_gets_their_share_and_no_more(
            rate in 1u64..100_000_000, burst in 100_000u64..1_000_000_000,
            steps in proptest::collection::vec((0u64..3_000_000_000, FREE + 1..10_000_000), 1..60),
        ) {
            let mut buckets = ByteBuckets::new(rate, burst).unwrap();
            let (mut now, mut at, mut owed) = (Duration::ZERO, Duration::ZERO, u128::from(burst) * u128::from(BYTE));
            for (wait, bytes) in steps {
                now += Duration::from_nanos(wait);
                owed = (owed + (now - at).as_nanos() * u128::from(rate)).min(u128::from(burst) * u128::from(BYTE));
                at = now;
                let needed = u128::from((bytes as u64).min(burst)) * u128::from(BYTE);
                let let_in = buckets.take(now, (), bytes).is_ok();
                prop_assert_eq!(let_in, owed >= needed);
                if let_in {
                    owed -= needed;
                }
            }
        }
    }
}
