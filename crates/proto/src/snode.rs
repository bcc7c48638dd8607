//! What the node list says about one service node.

use std::net::Ipv4Addr;

use conclave_crypto::{Ed25519Public, X25519Public};

use crate::swarm::SwarmId;

/// A storage server's version, as nodes advertise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u16; 3]);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// One entry of the node list: the keys, addresses and swarm of a service node
/// (storage-and-onion 2.18, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnodeRecord {
    /// Names the node, signs its answers, authenticates its QUIC connections.
    pub ed25519: Ed25519Public,
    /// Onion layers for the node are sealed to this key; always the X25519 form of `ed25519`.
    pub x25519: X25519Public,
    /// Advertised address. The protocol carries IPv4 only.
    pub ip: Ipv4Addr,
    /// TCP port of HTTPS.
    pub https_port: u16,
    /// UDP port of QUIC (and TCP port of OxenMQ).
    pub quic_port: u16,
    /// The node's swarm, or [`SwarmId::NONE`].
    pub swarm: SwarmId,
    /// What the node's program announced.
    pub version: Version,
}
