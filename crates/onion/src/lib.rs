//! Onion requests: which nodes a request goes through, how it is sealed for them, what each of
//! them does with it, and how the reply comes back (storage-and-onion 6).
//!
//! One code for clients and nodes. Pure: no sockets, no clock, no randomness of its own.

pub mod outcome;
pub mod path;
pub mod peel;
pub mod request;

pub use outcome::{Outcome, Retry};
pub use path::{GuardState, NoPath, Path, PathConfig, PathEvent, PathManager, Target};
