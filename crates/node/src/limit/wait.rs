//! How long one queue makes wait, told by somebody who stands in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest wait since it was last asked for, the one under way included.
#[derive(Debug)]
pub(crate) struct Wait {
    origin: Instant,
    /// Since when somebody waits, in microseconds after the origin and one more; 0 for nobody.
    since: AtomicU64,
    /// In microseconds.
    worst: AtomicU64,
}

/// Somebody waits until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Wait);

impl Default for Wait {
    fn default() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0), worst: AtomicU64::new(0) }
    }
}

impl Wait {
    /// Somebody begins to wait.
    pub(crate) fn begin(&self) -> Waiting<'_> {
        self.begin_at(Instant::now())
    }

    fn begin_at(&self, began: Instant) -> Waiting<'_> {
        self.since.store(micros(began.saturating_duration_since(self.origin)) + 1, Ordering::Relaxed);
        Waiting(self)
    }

    /// The longest wait since this was last called.
    pub(crate) fn take(&self) -> Duration {
        let over = self.worst.swap(0, Ordering::Relaxed);
        Duration::from_micros(over.max(self.under_way()))
    }

    fn under_way(&self) -> u64 {
        match self.since.load(Ordering::Relaxed) {
            0 => 0,
            since => micros(self.origin.elapsed()).saturating_sub(since - 1),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.worst.fetch_max(self.0.under_way(), Ordering::Relaxed);
        self.0.since.store(0, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_told_once_and_the_one_under_way_always() {
        let wait = Wait::default();
        assert_eq!(wait.take(), Duration::ZERO);
        let long_ago = Instant::now() - Duration::from_secs(5);
        let waiting = Wait { origin: long_ago, ..Wait::default() };
        let under_way = waiting.begin_at(long_ago + Duration::from_secs(1));
        assert!(waiting.take() >= Duration::from_secs(4));
        assert!(waiting.take() >= Duration::from_secs(4), "it still waits");
        drop(under_way);
        assert!(waiting.take() >= Duration::from_secs(4));
        assert_eq!(waiting.take(), Duration::ZERO);
    }
}
