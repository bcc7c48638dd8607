//! Cryptography of the Session protocol: keys, the ids made of keys, and every operation the
//! wire needs on them.
//!
//! This is the only crate of the workspace that names primitive crates; everyone above it works
//! with the types here. It is pure: randomness comes in as an argument, nothing reads a clock.
//!
//! Secrets are zeroised when dropped, never printed, and compared in constant time. Public keys
//! are checked when they are made: a value of [`Ed25519Public`] or [`X25519Public`] is canonical
//! and not of small order, so later code cannot forget to ask.

pub mod account;
mod aead;
pub mod attachment;
#[doc(hidden)]
pub mod bare;
pub mod blinded_message;
pub mod blinding;
mod bt;
pub mod channel;
pub mod compression;
pub mod config_encryption;
pub mod group;
pub mod hash;
mod id;
mod keys;
pub mod message_hash;
pub mod multi_encrypt;
pub mod ons;
pub mod padding;
pub mod password;
pub mod pro;
pub mod push;
pub mod recovery_phrase;
mod scalar;
pub mod session_protocol;
pub mod xed25519;

pub use account::Account;
pub use aead::OpenError;
pub use id::{AccountId, IdPrefix, InvalidAccountId};
pub use keys::{
    BadSignature, Ed25519Public, Ed25519Secret, InvalidKey, SharedSecret, Signature, X25519Pair,
    X25519Public, X25519Secret,
};
pub use rand_core::{CryptoRng, CryptoRngCore, RngCore};
pub use recovery_phrase::RecoveryPhrase;
pub use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};
