//! Promises about pictures and recordings, kept with what other programs made, and with bytes that nobody has seen before.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, unreachable_pub)]

mod arbitrary;
mod pictures;
mod sounds;
mod support;
