//! What is to be known from outside about group commits: how large they are, how long they take, whether they keep up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Told of every commit: how many writes, and how long it took.
type Observer = Box<dyn Fn(usize, Duration) + Send + Sync>;

/// Shared by the writing thread and those who look.
#[derive(Default)]
pub(super) struct Groups {
    /// In microseconds.
    behind: AtomicU64,
    observer: OnceLock<Observer>,
}

impl Groups {
    /// A group begins. `left_behind` is since when its first write has been waiting, if the group before did not take it
    /// although it was there: then more comes than the disk takes. Waiting for one commit is no backlog but the way of
    /// things.
    pub(super) fn begin(&self, left_behind: Option<Instant>) {
        let behind = left_behind.map_or(Duration::ZERO, |since| since.elapsed());
        self.behind.store(u64::try_from(behind.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn committed(&self, writes: usize, took: Duration) {
        if let Some(observer) = self.observer.get() {
            observer(writes, took);
        }
    }

    /// How long writes are left behind now.
    pub(super) fn behind(&self) -> Duration {
        Duration::from_micros(self.behind.load(Ordering::Relaxed))
    }

    /// Sets who is told of commits; the first one stays.
    pub(super) fn observe(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Groups({:?} behind)", self.behind())
    }
}
