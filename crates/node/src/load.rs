//! How much this node works on at once: the bound on what strangers can make it hold.
//!
//! Work goes on when its asker goes away (a write that began is finished), so connections do not bound it; tickets do. One
//! is taken before a request is looked at and given back when its answer has been written, and it counts the bytes of
//! both. Who finds no place is told at once and politely: waiting would only move the queue.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Storage requests of clients. As many as the writes that may run; a write waits for others up to five seconds.
const CLIENT_PLACES: usize = crate::swarm::MAX_RUNNING;
/// Writes that other members of the swarm forward. As many as they may have running.
const MEMBER_PLACES: usize = crate::swarm::MAX_RUNNING;
/// Onion requests in passing. Each waits for the next hop up to thirty seconds and holds little while it does, so there
/// are more of them.
const ONION_PLACES: usize = 16_384;
/// What other members ask about chunks of files. Apart, so that files take no place from messages.
const CHUNK_PLACES: usize = 256;
/// Bytes of these requests and answers: as much as two hundred chunks.
const CHUNK_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of requests and finished answers, for each kind of work: twenty-five of the largest requests at once.
const BYTES: usize = 256 * 1024 * 1024;

/// The work of one kind.
#[derive(Debug)]
pub(crate) struct Load {
    all_places: usize,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A place at work, and the bytes it holds.
#[derive(Debug)]
pub(crate) struct Ticket {
    all_bytes: Arc<Semaphore>,
    bytes: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Load {
    pub(crate) fn of_clients() -> Self {
        Self::new(CLIENT_PLACES, BYTES)
    }

    pub(crate) fn of_members() -> Self {
        Self::new(MEMBER_PLACES, BYTES)
    }

    pub(crate) fn of_onions() -> Self {
        Self::new(ONION_PLACES, BYTES)
    }

    pub(crate) fn of_chunks() -> Self {
        Self::new(CHUNK_PLACES, CHUNK_BYTES)
    }

    pub(crate) fn new(places: usize, bytes: usize) -> Self {
        Self {
            all_places: places,
            places: Arc::new(Semaphore::new(places)),
            bytes: Arc::new(Semaphore::new(bytes)),
        }
    }

    /// Waits until no work is left. The caller sees to it that none is added.
    pub(crate) async fn drained(&self) {
        let all = u32::try_from(self.all_places).unwrap_or(u32::MAX);
        // An error would mean that the semaphore is closed, which it never is.
        drop(self.places.acquire_many(all).await);
    }

    /// A place for a request of so many bytes, if there is one.
    pub(crate) fn enter(&self, request: usize) -> Option<Ticket> {
        Some(Ticket {
            _place: Arc::clone(&self.places).try_acquire_owned().ok()?,
            bytes: take(&self.bytes, request)?,
            all_bytes: Arc::clone(&self.bytes),
        })
    }
}

impl Ticket {
    /// Ends the work: what is held for the request is given back, and the place stays taken as long as what comes back is
    /// kept, which is as long as the answer of so many bytes. `None` if so many cannot be held now.
    pub(crate) fn hold(self, answer: usize) -> Option<Claim> {
        let Self { all_bytes, bytes, _place: place } = self;
        drop(bytes);
        let bytes = take(&all_bytes, answer)?;
        Some(Claim { _place: place, _bytes: bytes })
    }
}

/// What an answer takes while it waits to be written.
#[derive(Debug)]
pub(crate) struct Claim {
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Claim {
    /// The answer, which keeps this until its last clone is dropped.
    pub(crate) fn kept_by(self, answer: Bytes) -> Bytes {
        Bytes::from_owner(Answer { answer, _claim: self })
    }
}

struct Answer {
    answer: Bytes,
    _claim: Claim,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

fn take(all: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(all).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_run_out_and_come_back() {
        let load = Load::new(2, 100);
        let first = load.enter(60).unwrap();
        assert!(load.enter(41).is_none(), "too many bytes");
        let second = load.enter(40).unwrap();
        assert!(load.enter(0).is_none(), "too many at once");
        drop(first);
        let third = load.enter(60).unwrap();
        drop((second, third));
        assert!(load.enter(100).is_some());
    }

    #[test]
    fn an_answer_keeps_its_place_until_it_is_written() {
        let load = Load::new(1, 100);
        let answer = load.enter(90).unwrap().hold(80).unwrap().kept_by(Bytes::from(vec![7; 80]));
        assert_eq!(answer, vec![7; 80]);
        assert!(load.enter(1).is_none());
        drop(answer);
        assert!(load.enter(100).unwrap().hold(101).is_none(), "more than there is");
        assert!(load.enter(100).is_some(), "and the place is free again");
    }
}
