//! The binary list of active nodes (storage-and-onion 2.18): 51 bytes each.

use std::net::Ipv4Addr;

use conclave_crypto::Ed25519Public;

use crate::{SnodeRecord, SwarmId, Version};

/// Bytes of one node.
pub const RECORD_LENGTH: usize = 51;

/// More nodes than any network has (design: directories are bounded alike).
pub const MAX_NODES: usize = 10_000;

/// Why bytes are no list of nodes. The answering node's fault; ask another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNodeList {
    /// Not whole records.
    #[error("a node list of {0} bytes does not consist of records of {RECORD_LENGTH}")]
    Length(usize),
    /// More than [`MAX_NODES`].
    #[error("a node list may name {MAX_NODES} nodes")]
    TooMany,
    /// A node's key cannot be used.
    #[error("node {0} of the list has a key that cannot be used")]
    Key(usize),
}

/// The list. Order and which nodes are active are the caller's: by swarm, then by key.
pub fn encode(nodes: &[SnodeRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nodes.len().saturating_mul(RECORD_LENGTH));
    for node in nodes {
        out.extend_from_slice(node.ed25519.as_bytes());
        out.extend_from_slice(&node.swarm.0.to_be_bytes());
        out.extend_from_slice(&node.ip.octets());
        out.extend_from_slice(&node.https_port.to_be_bytes());
        out.extend_from_slice(&node.quic_port.to_be_bytes());
        out.extend(node.version.0.map(|part| u8::try_from(part).unwrap_or(u8::MAX)));
    }
    out
}

/// Reads the list; the X25519 keys are derived.
///
/// # Errors
/// If any of it is wrong.
pub fn decode(bytes: &[u8]) -> Result<Vec<SnodeRecord>, InvalidNodeList> {
    let (records, []) = bytes.as_chunks::<RECORD_LENGTH>() else {
        return Err(InvalidNodeList::Length(bytes.len()));
    };
    if records.len() > MAX_NODES {
        return Err(InvalidNodeList::TooMany);
    }
    let node = |(position, record): (usize, &[u8; RECORD_LENGTH])| {
        let mut rest = record.as_slice();
        let ed25519 =
            Ed25519Public::from_bytes(take(&mut rest)).map_err(|_| InvalidNodeList::Key(position))?;
        Ok(SnodeRecord {
            ed25519,
            x25519: ed25519.to_x25519(),
            swarm: SwarmId(u64::from_be_bytes(take(&mut rest))),
            ip: Ipv4Addr::from(take::<4>(&mut rest)),
            https_port: u16::from_be_bytes(take(&mut rest)),
            quic_port: u16::from_be_bytes(take(&mut rest)),
            version: Version(take::<3>(&mut rest).map(u16::from)),
        })
    };
    records.iter().enumerate().map(node).collect()
}

/// The next `N` bytes of a record, whose parts add up to its length.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let Some((head, tail)) = rest.split_first_chunk() else { return [0; N] };
    *rest = tail;
    *head
}
