//! What the network and its clients put on the wire: bt-encoding, protobuf content, storage RPC,
//! the bytes that are signed, namespaces, swarm mapping, and the network file.
//!
//! Pure: no clock, no randomness, no IO. Time is a [`Timestamp`] argument.

pub mod base32z;
pub mod base64;
pub mod bt;
pub mod btstream;
pub mod membership;
mod message_hash;
mod namespace;
pub mod network;
pub mod rpc;
mod snode;
pub mod swarm;
mod time;

pub use message_hash::{InvalidMessageHash, MessageHash};
pub use namespace::Namespace;
pub use snode::{SnodeRecord, Version};
pub use swarm::SwarmId;
pub use time::Timestamp;
