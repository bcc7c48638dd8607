//! How many bytes of files this server has in memory at once. Counted where they are taken, before they are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for bytes, shared by all requests.
#[derive(Debug)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    total: usize,
    held: AtomicUsize,
    most: AtomicUsize,
    largest: AtomicUsize,
}

/// A request's share. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _room: OwnedSemaphorePermit,
    bytes: usize,
    of: Arc<Budget>,
}

impl Budget {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        let total = total.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            room: Arc::new(Semaphore::new(total)),
            total,
            held: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            largest: AtomicUsize::new(0),
        })
    }

    /// A share of so many bytes, as soon as there is room; `None` if there is none within `patience`, or never.
    pub(super) async fn take(self: &Arc<Self>, bytes: usize, patience: Duration) -> Option<Share> {
        let wanted = u32::try_from(bytes).ok().filter(|_| bytes <= self.total)?;
        let waiting = Arc::clone(&self.room).acquire_many_owned(wanted);
        let room = tokio::time::timeout(patience, waiting).await.ok()?.ok()?;
        let held = self.held.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        self.most.fetch_max(held, Ordering::AcqRel);
        self.largest.fetch_max(bytes, Ordering::AcqRel);
        Some(Share { _room: room, bytes, of: Arc::clone(self) })
    }

    /// The most that was ever held at once, and the largest share of it.
    pub(crate) fn peaks(&self) -> (usize, usize) {
        (self.most.load(Ordering::Acquire), self.largest.load(Ordering::Acquire))
    }
}

impl Share {
    /// Whether what is held is no more than what was taken. What is held twice while it is copied counts twice.
    pub(super) fn covers(&self, held: &[usize]) -> bool {
        held.iter().fold(0, |sum: usize, bytes| sum.saturating_add(*bytes)) <= self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[tokio::test]
    async fn no_more_is_held_than_there_is_room_for_and_what_is_given_back_can_be_taken_again() {
        let budget = Budget::new(100);
        let first = budget.take(60, NOW).await.unwrap();
        let second = budget.take(40, NOW).await.unwrap();
        assert!(budget.take(1, NOW).await.is_none());
        drop(first);
        let third = budget.take(50, NOW).await.unwrap();
        assert_eq!(budget.peaks(), (100, 60));
        assert!(budget.take(101, NOW).await.is_none(), "there is never so much");
        assert!(second.covers(&[30, 10]) && !second.covers(&[30, 11]));
        drop((second, third));
        assert_eq!(budget.held.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let budget = Budget::new(10);
        let first = budget.take(10, NOW).await.unwrap();
        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.take(10, Duration::from_secs(60)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
    }
}
