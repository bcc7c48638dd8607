//! One moment by which an operation with several steps has to be over.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// The moment at which the caller stops waiting. Passed down unchanged, so that connecting,
/// shaking hands, sending and receiving share one allowance instead of getting one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline passed before the operation was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

impl Deadline {
    /// That long from now.
    pub fn after(allowance: Duration) -> Self {
        Self(Instant::now() + allowance)
    }

    /// That moment.
    pub const fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// The moment.
    pub const fn moment(self) -> Instant {
        self.0
    }

    /// This deadline, or that long from now if that is sooner.
    #[must_use]
    pub fn at_most(self, allowance: Duration) -> Self {
        self.min(Self::after(allowance))
    }

    /// How long there is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Runs `work` until it is done or the deadline passes; then `work` is dropped.
    ///
    /// # Errors
    /// [`Elapsed`] when the deadline came first.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::time::timeout_at(self.0, work).await.map_err(|_| Elapsed)
    }
}
