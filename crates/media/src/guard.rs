//! Decoders that others wrote meet bytes that nobody has seen before.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::MediaError;

/// Runs a decoder. Where it breaks one of its own rules over a strange input (arithmetic that overflows, an index out of
/// bounds), that is said of the input, and the program goes on. Nothing of what it was doing is used afterwards.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, MediaError>) -> Result<T, MediaError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(MediaError::damaged("no decoder makes sense of it")))
}
