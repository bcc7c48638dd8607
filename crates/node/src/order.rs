//! The times by which the members of a swarm order the writes of their mailboxes (docs/decisions/0007).
//!
//! The node that takes a write gives it its clock's time, but makes what adds later than anything that takes away that it
//! has seen, and the other way round. So a client who sees its message and deletes it, or deletes a message and stores it
//! again, is obeyed also where clocks differ and where both happen within a millisecond. Writes of one kind need no order:
//! their effects do not depend on it.
//!
//! Seen is what this node was asked or told to do since it runs, what other members gave it, what its log holds, and of what
//! is to be taken away, what lies in the store: the caller looks there, since that is rare, and stores are not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conclave_proto::Timestamp;
use conclave_proto::rpc::{ExpireMode, Request};

use crate::store::CLOCK_DIFFERENCE;

/// How far the order may run ahead of this node's clock: as far as it follows others.
const AHEAD: Duration = CLOCK_DIFFERENCE;

/// The latest times this node knows of.
#[derive(Debug, Default)]
pub(crate) struct WriteOrder {
    adding: AtomicU64,
    taking: AtomicU64,
}

impl WriteOrder {
    /// Of a node that starts with a store whose log ends with an operation of that time.
    pub(crate) fn behind(last_operation: Option<Timestamp>) -> Self {
        let order = Self::default();
        last_operation.into_iter().for_each(|at| order.taken_away(at));
        order
    }

    /// The time of a client's write, `now` by this node's clock; later than `last_addition` to what it takes away.
    pub(crate) fn new_time(
        &self,
        request: &Request,
        last_addition: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        last_addition.into_iter().for_each(|at| self.added(at));
        self.time_of(request, None, now)
    }

    /// The time of a write, `now` by this node's clock: the time the entry node gave it, or a new one if this is the entry
    /// node, if it gave none, or if that is further from `now` than clocks can be apart.
    pub(crate) fn time_of(&self, request: &Request, given: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let (own, other) =
            if adds(request) { (&self.adding, &self.taking) } else { (&self.taking, &self.adding) };
        let at = given.filter(|at| at.distance(now) <= CLOCK_DIFFERENCE).unwrap_or_else(|| {
            let after = Timestamp(other.load(Ordering::Relaxed).saturating_add(1));
            after.clamp(now, now.plus(AHEAD))
        });
        own.fetch_max(at.0, Ordering::Relaxed);
        at
    }

    /// Something of that time was added here.
    pub(crate) fn added(&self, at: Timestamp) {
        self.adding.fetch_max(at.0, Ordering::Relaxed);
    }

    /// Something was taken away here by a write of that time.
    pub(crate) fn taken_away(&self, at: Timestamp) {
        self.taking.fetch_max(at.0, Ordering::Relaxed);
    }
}

/// Whether a write prolongs lives or begins them.
pub(crate) fn adds(request: &Request) -> bool {
    match request {
        Request::Store(_) => true,
        Request::Expire(expire) => expire.mode == ExpireMode::Extend,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use conclave_crypto::{AccountId, Ed25519Secret, IdPrefix};
    use conclave_proto::Namespace;
    use conclave_proto::rpc::{Auth, DeleteAll, Lifetime, Scope, Store};

    use super::*;

    fn account() -> AccountId {
        AccountId::new(IdPrefix::Account, &[7; 32])
    }

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn store() -> Request {
        Request::Store(Store {
            account: account(),
            namespace: Namespace::DIRECT,
            timestamp: NOW,
            lifetime: Lifetime::Ttl(60_000),
            data: Vec::new(),
            auth: None,
            sig_timestamp: None,
        })
    }

    fn delete() -> Request {
        let auth = Auth::by_account(&Ed25519Secret::from_seed(&[7; 32]), b"");
        Request::DeleteAll(DeleteAll { account: account(), scope: Scope::All, timestamp: NOW, auth })
    }

    #[test]
    fn what_takes_away_is_later_than_what_was_there_and_the_other_way_round() {
        let order = WriteOrder::default();
        let mut last = order.time_of(&store(), None, NOW);
        assert_eq!(last, NOW);
        for _ in 0..3 {
            for request in [delete(), store()] {
                let at = order.time_of(&request, None, NOW);
                assert!(at > last);
                last = at;
            }
        }
        assert_eq!(order.time_of(&store(), None, NOW.plus(AHEAD)), NOW.plus(AHEAD), "the clock catches up");
    }

    #[test]
    fn what_was_done_before_the_start_and_by_others_counts() {
        let ahead = |seconds| NOW.plus(Duration::from_secs(seconds));
        let order = WriteOrder::behind(Some(ahead(5)));
        assert!(order.time_of(&store(), None, NOW) > ahead(5));
        assert!(order.new_time(&delete(), Some(ahead(20)), NOW) > ahead(20), "it is deleted as it is seen");
        order.taken_away(ahead(30));
        assert!(order.new_time(&store(), None, NOW) > ahead(30));
        order.added(ahead(40));
        assert!(order.new_time(&delete(), None, NOW) > ahead(40));
    }

    #[test]
    fn a_member_whose_clock_is_ahead_is_followed_but_not_far() {
        let order = WriteOrder::default();
        let ahead = NOW.plus(Duration::from_secs(10));
        assert_eq!(order.time_of(&store(), Some(ahead), NOW), ahead);
        assert!(order.time_of(&delete(), None, NOW) > ahead, "it was stored before, whatever the clock says");
        let lie = NOW.plus(Duration::from_secs(61));
        assert_eq!(order.time_of(&store(), Some(lie), NOW), Timestamp(ahead.0 + 2));
        assert_eq!(order.time_of(&store(), Some(NOW.minus(Duration::from_secs(61))), NOW).0, ahead.0 + 2);
        let furthest = NOW.plus(CLOCK_DIFFERENCE);
        assert_eq!(order.time_of(&store(), Some(furthest), NOW), furthest);
        assert_eq!(order.time_of(&delete(), None, NOW), NOW.plus(AHEAD), "and nobody drives it on for ever");
    }
}
