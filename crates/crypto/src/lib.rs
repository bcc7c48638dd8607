//! Cryptography of the Session protocol: keys, the ids made of keys, and every operation the
//! wire needs on them.
//!
//! This is the only crate of the workspace that names primitive crates; everyone above it works
//! with the types here. It is pure: randomness comes in as an argument, nothing reads a clock.
//!
//! Secrets are zeroised when dropped, never printed, and compared in constant time. Public keys
//! are checked when they are made: a value of [`Ed25519Public`] or [`X25519Public`] is canonical
//! and not of small order, so later code cannot forget to ask.

mod id;
mod keys;

pub use id::{AccountId, IdPrefix, InvalidAccountId};
pub use keys::{
    BadSignature, Ed25519Public, Ed25519Secret, InvalidKey, SharedSecret, Signature, X25519Public,
    X25519Secret,
};
