//! The guards, on disk: one small file that all profiles of a data directory share
//! (docs/decisions/0006).
//!
//! Losing it costs nothing but new guards, so it is never a reason to fail.

use std::path::PathBuf;

use conclave_onion::GuardState;

/// A file with a few guards has some hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the guards are kept.
pub(super) struct GuardFile {
    path: PathBuf,
}

impl GuardFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The guards of earlier runs; none if the file is not there or cannot be read.
    pub(super) fn read(&self) -> GuardState {
        let fits = std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() <= MAX_BYTES);
        if !fits {
            return GuardState::default();
        }
        std::fs::read(&self.path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Keeps the guards for later runs.
    pub(super) fn write(&self, state: &GuardState) {
        if let Err(error) =
            crate::profile::write_private(&self.path, &serde_json::to_vec(state).unwrap_or_default())
        {
            tracing::warn!(%error, "the guards could not be kept; another run may choose others");
        }
    }
}
