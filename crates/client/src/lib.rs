//! The messenger SDK: one account, its encrypted database, and the network it talks through.
//!
//! [`Session`] is what every face uses: it owns a profile, or attaches to the process that does.
//! [`Client`] is the owner itself, for programs that embed one.

pub mod accounts;
mod client;
mod clock;
#[doc(hidden)]
pub mod doors;
mod error;
pub mod network;
mod outbox;
pub mod preview;
pub mod profile;
mod receive;
pub mod said;
pub mod session;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod types;
mod wake;
mod wire;

pub use client::{Client, ClientOptions};
pub use clock::{Clock, SystemClock};
pub use conclave_onion::PathConfig;
pub use error::{Error, ErrorRecord, ExitClass, MAX_TEXT_CHARS};
pub use session::Session;
