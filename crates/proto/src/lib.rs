//! What the network and its clients put on the wire: bt-encoding, protobuf content, storage RPC,
//! the bytes that are signed, namespaces, swarm mapping, and the network file.
//!
//! Pure: no clock, no randomness, no IO. Time is a [`Timestamp`] argument.

pub mod active_nodes;
pub mod base32z;
pub mod base64;
pub mod bt;
pub mod btstream;
pub mod chunk;
pub mod chunk_sync;
pub mod combined;
pub mod community_url;
pub mod content;
pub mod file_url;
pub mod membership;
mod message_hash;
pub mod monitor;
mod namespace;
pub mod network;
pub mod peer;
pub mod rpc;
pub mod seed;
mod snode;
pub mod swarm;
pub mod sync;
mod time;
pub mod v4;

pub use message_hash::{InvalidMessageHash, MessageHash};
pub use namespace::Namespace;
pub use snode::{SnodeRecord, Version};
pub use swarm::SwarmId;
pub use time::Timestamp;
