//! How many connections there may be, in total and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections; a [`Slot`] is one, and gives its place back when dropped.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    most_per_address: usize,
    taken: Mutex<Taken>,
    refused: AtomicU64,
}

/// How a listener's places stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Connections served now, those in their handshake included.
    pub taken: usize,
    /// Connections refused so far because there was no place.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_address, taken: Mutex::default(), refused: AtomicU64::new(0) })
    }

    /// A place for a connection from `address`, if there is one left.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let slot = self.find(address);
        if slot.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }

    pub(crate) fn places(&self) -> Places {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).total;
        Places { taken, refused: self.refused.load(Ordering::Relaxed) }
    }

    fn find(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let address = one_owner(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.most {
            return None;
        }
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.most_per_address {
            return None;
        }
        taken.by_address.insert(address, here + 1);
        taken.total += 1;
        Some(Slot { slots: Arc::clone(self), address })
    }

    /// Whether more than half of all places are taken: the time to become careful.
    pub(crate) fn is_crowded(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).total > self.most / 2
    }
}

impl Slot {
    /// Whether places are short: more than half of those for this address, or of all, are taken.
    pub(crate) fn is_crowded(&self) -> bool {
        let taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let here = taken.by_address.get(&self.address).copied().unwrap_or(0);
        here > self.slots.most_per_address / 2 || taken.total > self.slots.most / 2
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        match taken.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// The part of an address that one owner is given: all of IPv4, the first 64 bits of IPv6.
pub fn one_owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let slots = Slots::new(3, 2);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let first = slots.take(a).unwrap();
        let _second = slots.take(a).unwrap();
        assert!(slots.take(a).is_none(), "a third from the same address");
        let _other = slots.take(b).unwrap();
        assert!(slots.take(b).is_none(), "a fourth in total");
        assert_eq!(slots.places(), Places { taken: 3, refused: 2 });
        drop(first);
        assert!(slots.take(b).is_some());
    }

    #[test]
    fn one_ipv6_subnet_counts_as_one_address() {
        let slots = Slots::new(10, 1);
        let _first = slots.take("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert!(slots.take("2001:db8:1:2:ffff::9".parse().unwrap()).is_none());
        assert!(slots.take("2001:db8:1:3::1".parse().unwrap()).is_some());
    }

    #[test]
    fn nothing_is_remembered_about_addresses_that_left() {
        let slots = Slots::new(10, 2);
        drop([slots.take("192.0.2.1".parse().unwrap()), slots.take("192.0.2.1".parse().unwrap())]);
        assert!(slots.taken.lock().unwrap().by_address.is_empty());
    }
}
