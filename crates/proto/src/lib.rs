//! What the network and its clients put on the wire: bt-encoding, protobuf content, storage RPC,
//! the bytes that are signed, namespaces, swarm mapping, and the network file.
//!
//! Pure: no clock, no randomness, no IO. Time is a [`Timestamp`] argument.

pub mod membership;
pub mod bt;
pub mod btstream;
mod namespace;
pub mod network;
mod snode;
pub mod swarm;
mod time;

pub use namespace::Namespace;
pub use snode::{SnodeRecord, Version};
pub use swarm::SwarmId;
pub use time::Timestamp;
