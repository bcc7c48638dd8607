//! A request's claim on this node: a ticket while it is worked on, a smaller claim while it only waits.
//!
//! Requests that wait (`conclave_wait`, and onion layers whose answer is held back) cost a few KiB each and no work, so
//! there may be many more of them than requests at work; they are counted apart, per asker and in total, and refused
//! early. (docs/protocol/extensions)

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use conclave_crypto::Ed25519Public;
use conclave_transport::one_owner;
use conclave_transport::quic::{Alpn, Peer, Place};

use crate::load::{Claim, Load, Ticket};

/// Requests that wait here, of all kinds: at 10 KiB each a little over one GiB.
const MAX_HELD: usize = 131_072;
/// Of these from one client's address. Behind one may be many people, each with a few.
const MAX_HELD_OF_CLIENT: usize = 256;
/// Of these from one node, which passes on those of many clients.
const MAX_HELD_OF_NODE: usize = 16_384;

/// Who asks, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// A client's IPv4 address or IPv6 /64.
    Client(IpAddr),
    /// Another node.
    Node(Ed25519Public),
}

impl Asker {
    pub(crate) fn client(address: IpAddr) -> Self {
        Self::Client(one_owner(address))
    }

    pub(crate) fn of(peer: &Peer) -> Self {
        match peer.alpn {
            Alpn::Client => Self::client(peer.address.ip()),
            Alpn::Node => Self::Node(peer.key),
        }
    }

    const fn most(self) -> usize {
        match self {
            Self::Client(_) => MAX_HELD_OF_CLIENT,
            Self::Node(_) => MAX_HELD_OF_NODE,
        }
    }
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Held {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_asker: HashMap<Asker, usize>,
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct Hold {
    counts: Arc<Mutex<Counts>>,
    asker: Asker,
}

impl Held {
    fn take(&self, asker: Asker) -> Option<Hold> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_asker.get(&asker).copied().unwrap_or(0);
        if counts.total >= MAX_HELD || here >= asker.most() {
            return None;
        }
        counts.total += 1;
        counts.by_asker.insert(asker, here + 1);
        Some(Hold { counts: Arc::clone(&self.counts), asker })
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        match counts.by_asker.get_mut(&self.asker) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.by_asker.remove(&self.asker);
            }
        }
    }
}

/// One request, from when it has come until its answer is written.
#[derive(Debug)]
pub(crate) struct Work {
    asker: Asker,
    ticket: Mutex<Option<Ticket>>,
    /// Its place on its QUIC connection.
    place: Option<Place>,
}

impl Work {
    pub(crate) const fn new(asker: Asker, ticket: Ticket, place: Option<Place>) -> Self {
        Self { asker, ticket: Mutex::new(Some(ticket)), place }
    }

    /// The node that asks, if it is one.
    pub(crate) const fn node(&self) -> Option<Ed25519Public> {
        match self.asker {
            Asker::Node(key) => Some(key),
            Asker::Client(_) => None,
        }
    }

    /// Turns work into waiting, if there is room for one more that waits. It is waiting until its answer is written.
    pub(crate) fn rest(&self, held: &Held) -> Option<Hold> {
        let hold = held.take(self.asker)?;
        drop(self.ticket.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(place) = &self.place {
            place.give_back();
        }
        Some(hold)
    }

    /// Whether it has waited. How long it took says nothing then.
    pub(crate) fn has_rested(&self) -> bool {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The claim of an answer of so many bytes, to be kept until it is written. `None` if there is no room for it.
    pub(crate) fn finish(self, load: &Load, answer: usize) -> Option<Claim> {
        let ticket = self.ticket.into_inner().unwrap_or_else(PoisonError::into_inner);
        ticket.or_else(|| load.enter(0))?.hold(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asker_cannot_take_every_place_to_wait_and_places_come_back() {
        let held = Held::default();
        let asker = Asker::client("2001:db8::1".parse().unwrap());
        let neighbour = Asker::client("2001:db8::ffff".parse().unwrap());
        let holds: Vec<Hold> = (0..MAX_HELD_OF_CLIENT).map(|_| held.take(asker).unwrap()).collect();
        assert!(held.take(neighbour).is_none(), "the same /64");
        assert!(held.take(Asker::client("192.0.2.1".parse().unwrap())).is_some());
        drop(holds);
        assert_eq!(held.count(), 0);
        assert!(held.counts.lock().unwrap().by_asker.is_empty(), "nothing is remembered about who left");
    }

    #[test]
    fn who_waits_does_no_work() {
        let (held, load) = (Held::default(), Load::new(1, 100));
        let asker = Asker::client("192.0.2.1".parse().unwrap());
        let work = Work::new(asker, load.enter(90).unwrap(), None);
        assert!(load.enter(1).is_none());
        let hold = work.rest(&held).unwrap();
        let other = load.enter(90).unwrap();
        assert!(work.finish(&load, 6).is_none(), "no room for the answer now");
        drop((other, hold));
        assert_eq!(held.count(), 0);
    }
}
