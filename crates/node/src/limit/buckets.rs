//! A token bucket for each client's address (storage-and-onion 8.1).
//!
//! Does no IO and knows no clock: `now` is the time since some fixed moment. Should it go back, nothing is refilled.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use conclave_transport::one_owner;

/// Addresses that are remembered at one time. (storage-and-onion 8.1)
pub(crate) const MAX_ADDRESSES: usize = 10_000;
/// How often full buckets are forgotten. (storage-and-onion 8.1)
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// How often at most when there is no place for a new address: looking through all of them takes a while.
const PRUNE_AT_MOST_EVERY: Duration = Duration::from_millis(100);
/// Parts of a token: a rate of n tokens a second is n parts a nanosecond, so no time is too short to be counted.
const TOKEN: u64 = 1_000_000_000;

/// The buckets of all addresses that have asked lately.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: u32,
    burst: u32,
    by_address: HashMap<IpAddr, Bucket>,
    pruned_at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In parts of a token, as they were `at` that time.
    parts: u64,
    at: Duration,
}

impl Buckets {
    /// `rate` requests a second go on for ever; `burst` of them may come at once, at least one.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst: burst.max(1), by_address: HashMap::new(), pruned_at: Duration::ZERO }
    }

    /// Whether a request from `address` may come in now; it takes a token then.
    pub(crate) fn take(&mut self, now: Duration, address: IpAddr) -> bool {
        let owner = one_owner(address);
        if now.saturating_sub(self.pruned_at) >= PRUNE_EVERY {
            self.prune(now);
        }
        let full = self.full();
        if let Some(bucket) = self.by_address.get_mut(&owner) {
            *bucket = bucket.refilled(now, self.rate, full);
            let Some(left) = bucket.parts.checked_sub(TOKEN) else { return false };
            bucket.parts = left;
            return true;
        }
        if self.by_address.len() >= MAX_ADDRESSES {
            if now.saturating_sub(self.pruned_at) >= PRUNE_AT_MOST_EVERY {
                self.prune(now);
            }
            if self.by_address.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        self.by_address.insert(owner, Bucket { parts: full - TOKEN, at: now });
        true
    }

    /// Addresses that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// A full bucket says no more than none.
    fn prune(&mut self, now: Duration) {
        let (rate, full) = (self.rate, self.full());
        self.by_address.retain(|_, bucket| bucket.refilled(now, rate, full).parts < full);
        self.pruned_at = now;
    }

    fn full(&self) -> u64 {
        u64::from(self.burst) * TOKEN
    }
}

impl Bucket {
    fn refilled(self, now: Duration, rate: u32, full: u64) -> Self {
        let passed = u64::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(u64::MAX);
        let parts = self.parts.saturating_add(passed.saturating_mul(u64::from(rate))).min(full);
        Self { parts, at: self.at.max(now) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0b00_0000 + number).into()
    }

    #[test]
    fn six_hundred_at_once_and_three_hundred_a_second_afterwards() {
        let mut buckets = Buckets::new(300, 600);
        let taken = |buckets: &mut Buckets, now| (0..2_000).filter(|_| buckets.take(now, v4(1))).count();
        assert_eq!(taken(&mut buckets, ms(5)), 600);
        assert_eq!(taken(&mut buckets, ms(5)), 0);
        assert_eq!(taken(&mut buckets, ms(1_005)), 300);
        assert_eq!(taken(&mut buckets, ms(1_008)), 0, "0.9 of a token");
        assert_eq!(taken(&mut buckets, ms(1_009)), 1);
        assert_eq!(taken(&mut buckets, ms(500_000)), 600, "never more than there is room for");
    }

    #[test]
    fn an_ipv6_network_of_one_owner_is_one_address_and_a_mapped_one_is_ipv4() {
        let mut buckets = Buckets::new(1, 1);
        let first: Ipv6Addr = "2001:db8:1:2::1".parse().unwrap();
        assert!(buckets.take(ms(0), first.into()));
        assert!(!buckets.take(ms(0), "2001:db8:1:2:ffff::9".parse().unwrap()));
        assert!(buckets.take(ms(0), "2001:db8:1:3::1".parse().unwrap()));
        assert!(buckets.take(ms(0), "192.0.2.1".parse().unwrap()));
        assert!(!buckets.take(ms(0), "::ffff:192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn when_all_places_are_taken_new_addresses_wait_until_others_have_been_quiet() {
        let mut buckets = Buckets::new(300, 600);
        for number in 0..MAX_ADDRESSES as u32 {
            assert!(buckets.take(ms(0), v4(number)));
        }
        assert!(!buckets.take(ms(1), v4(99_999)), "none of them is full again");
        assert!(buckets.take(ms(1), v4(5)), "those that are known go on");
        // A token is back after 3.4 ms, but the places are looked through only now and then.
        assert!(!buckets.take(ms(50), v4(99_999)));
        assert!(buckets.take(ms(101), v4(99_999)));
        assert_eq!(buckets.len(), 1);
    }

    #[test]
    fn who_has_been_quiet_is_forgotten() {
        let mut buckets = Buckets::new(300, 600);
        buckets.take(ms(0), v4(1));
        buckets.take(ms(9_999), v4(2));
        assert_eq!(buckets.len(), 2);
        buckets.take(ms(10_000), v4(3));
        assert_eq!(buckets.len(), 2, "of the second a third of a token is missing");
    }

    proptest! {
        /// In any stretch of time: no more than a burst and what was refilled, and no less if it is asked for.
        #[test]
        fn nobody_gets_more_than_their_share_and_everybody_gets_it(
            rate in 1u32..1_000,
            burst in 1u32..1_000,
            steps in proptest::collection::vec((0u64..3_000, 0u32..3, 1usize..400), 1..60),
        ) {
            let mut buckets = Buckets::new(rate, burst);
            let mut now = Duration::ZERO;
            // What an address that asks all the time is owed, in parts of a token.
            let mut owed = HashMap::<u32, (u128, Duration)>::new();
            for (wait, who, asks) in steps {
                now += Duration::from_micros(wait * 100);
                let full = u128::from(burst) * u128::from(TOKEN);
                let (before, at) = owed.get(&who).copied().unwrap_or((full, now));
                let refilled = (before + (now - at).as_nanos() * u128::from(rate)).min(full);
                let expected = ((refilled / u128::from(TOKEN)) as usize).min(asks);
                let got = (0..asks).filter(|_| buckets.take(now, v4(who))).count();
                prop_assert_eq!(got, expected);
                owed.insert(who, (refilled - got as u128 * u128::from(TOKEN), now));
            }
        }

        /// Whatever addresses come and however time jumps: bounded, and no panic.
        #[test]
        fn the_memory_is_bounded_under_any_addresses_and_clocks(
            steps in proptest::collection::vec((any::<u64>(), any::<u128>()), 1..200),
            flood in 0u32..12_000,
        ) {
            let mut buckets = Buckets::new(u32::MAX, u32::MAX);
            for number in 0..flood {
                buckets.take(Duration::ZERO, v4(number));
            }
            for (nanos, address) in steps {
                buckets.take(Duration::from_nanos(nanos), IpAddr::V6(Ipv6Addr::from_bits(address)));
                prop_assert!(buckets.len() <= MAX_ADDRESSES);
            }
        }
    }
}
