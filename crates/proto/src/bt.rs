//! The bencode dialect of service nodes, groups and configs (storage-and-onion 1.6): sorted keys,
//! integers from the union of `i64` and `u64`, no floats, booleans as 0 and 1.
//!
//! Written here rather than taken from a crate: the bencode crates on offer stop at 64-bit signed
//! integers or keep insertion order, and none reads the way the network does. Its readers walk a
//! dictionary forward and never back, so a key out of order is *not found* instead of being an
//! error; [`DictReader`] and [`Value::decode_in_order`] behave so. Where exactly one spelling may
//! be accepted, [`Value::decode`] refuses every other.
//!
//! Writers are canonical by construction: keys are sorted, unique, and numbers have one spelling.
//! Readers borrow from their input, allocate nothing larger than it, and refuse more than
//! [`MAX_DEPTH`] levels. This module knows nothing of what the values mean.

mod reader;
mod scan;
mod value;
mod writer;

pub use reader::{DictReader, ListReader};
pub use value::{Int, Value, write_bytes, write_int};
pub use writer::{DictWriter, ListWriter};

/// Levels of lists and dictionaries one inside the other. What the protocol speaks needs fewer than
/// ten; the bound keeps recursion over a stranger's value shallow.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not the bt value that was asked for. Always the fault of whoever wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtError {
    /// The input ends inside a value.
    #[error("bt data ends early, at byte {0}")]
    Truncated(usize),
    /// A byte that cannot stand where it stands.
    #[error("bt data has an unexpected byte at {0}")]
    Unexpected(usize),
    /// An integer or a length with a leading zero, as `-0`, or beyond 64 bits.
    #[error("bt data has a malformed number at byte {0}")]
    Number(usize),
    /// More than [`MAX_DEPTH`] levels.
    #[error("bt data is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Bytes behind the end of the value.
    #[error("bt data goes on after its end, at byte {0}")]
    Trailing(usize),
    /// A key not greater than the one before it.
    #[error("bt dictionary keys are not strictly ascending at byte {0}")]
    KeyOrder(usize),
    /// A required key that is missing, or hidden behind a greater one.
    #[error("bt dictionary lacks {0:?}")]
    Missing(String),
    /// A value of another type or range than the key or place requires.
    #[error("bt value of {key:?} is not {expected}")]
    WrongType {
        /// The key, or `[n]` for the element of a list.
        key: String,
        /// What should stand there.
        expected: &'static str,
    },
}
