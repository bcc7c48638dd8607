//! The registry's list of nodes, signed.
//!
//! What is signed is the payload's text exactly as it stands, behind a label, so that nothing
//! depends on a canonical form of JSON.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conclave_crypto::{AccountId, Ed25519Public, Ed25519Secret, Signature};
use serde::{Deserialize, Serialize};

use crate::swarm::{self, SwarmId};
use crate::{SnodeRecord, Timestamp, Version};

/// Signed in front of the payload, so that the signature means nothing elsewhere.
const LABEL: &str = "conclave directory v1\n";

/// More nodes than any network has; a longer list is hostile.
pub const MAX_NODES: usize = 10_000;

/// Bound on a directory's text: 10,000 nodes of under 400 bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why a directory is not accepted. None of these is a reason to ask the same place again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryRejected {
    /// Not the JSON of a directory.
    #[error("the directory cannot be read: {0}")]
    Malformed(String),
    /// Not signed by the network's registry.
    #[error("the directory is not signed by this network's registry")]
    BadSignature,
    /// A directory of a different network.
    #[error("the directory is of network {found:?}, not of {expected:?}")]
    OtherNetwork {
        /// The network we are in.
        expected: String,
        /// The network it names.
        found: String,
    },
    /// Older than one already known.
    #[error("the directory has height {found}, a newer one of height {known} is known")]
    Old {
        /// Its height.
        found: u64,
        /// The height known.
        known: u64,
    },
    /// A list that contradicts itself, or holds keys that cannot be used.
    #[error("the directory's list of nodes is wrong: {0}")]
    BadList(String),
}

/// Whether a directory is within its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Before its `valid_until`.
    Current,
    /// After it: still used while the registry is away, and said to be stale.
    Stale,
}

/// A directory as it travels. Nobody has looked at the signature yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDirectory {
    payload: String,
    signature: String,
}

impl SignedDirectory {
    /// Reads the JSON object.
    ///
    /// # Errors
    /// If it is none, or larger than a directory can be.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DirectoryRejected> {
        if bytes.len() > MAX_BYTES {
            return Err(DirectoryRejected::Malformed(format!("{} bytes are too many", bytes.len())));
        }
        serde_json::from_slice(bytes).map_err(|e| DirectoryRejected::Malformed(e.to_string()))
    }

    /// The JSON object, to be kept or passed on.
    pub fn to_json(&self) -> String {
        serde_json::json!({"payload": self.payload, "signature": self.signature}).to_string()
    }

    /// The only road to a [`Directory`]. `known_height` is that of the newest directory accepted so
    /// far (0 if none); the same height is accepted again.
    ///
    /// # Errors
    /// [`DirectoryRejected`] says which check failed. The signature is checked before anything is parsed.
    pub fn verify(
        &self,
        registry_key: &Ed25519Public,
        network_id: &str,
        known_height: u64,
    ) -> Result<Directory, DirectoryRejected> {
        let signature = STANDARD
            .decode(&self.signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes))
            .ok_or(DirectoryRejected::BadSignature)?;
        registry_key
            .verify(&signed_bytes(&self.payload), &signature)
            .map_err(|_| DirectoryRejected::BadSignature)?;
        let payload: Payload =
            serde_json::from_str(&self.payload).map_err(|e| DirectoryRejected::Malformed(e.to_string()))?;
        if payload.network_id != network_id {
            return Err(DirectoryRejected::OtherNetwork {
                expected: network_id.to_owned(),
                found: payload.network_id,
            });
        }
        if payload.height < known_height {
            return Err(DirectoryRejected::Old { found: payload.height, known: known_height });
        }
        Directory::from_payload(payload)
    }
}

/// One node as the registry writes it. Keys are given once: a node's X25519 key is the image of its Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryNode {
    /// 64 hex digits.
    pub ed25519: String,
    /// Advertised IPv4 address.
    pub ip: Ipv4Addr,
    /// TCP port of HTTPS.
    pub https_port: u16,
    /// UDP port of QUIC.
    pub quic_port: u16,
    /// The swarm's number in hex, or absent for nodes in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<String>,
    /// The node's program version.
    pub version: [u16; 3],
}

impl DirectoryNode {
    /// The entry of a node.
    pub fn of(record: &SnodeRecord) -> Self {
        Self {
            ed25519: record.ed25519.to_hex(),
            ip: record.ip,
            https_port: record.https_port,
            quic_port: record.quic_port,
            swarm: (record.swarm != SwarmId::NONE).then(|| record.swarm.to_hex()),
            version: record.version.0,
        }
    }

    fn to_record(&self) -> Result<SnodeRecord, DirectoryRejected> {
        let bad = |what: &str| DirectoryRejected::BadList(format!("{what} of node {:.8}…", self.ed25519));
        let ed25519 = Ed25519Public::from_hex(&self.ed25519).map_err(|_| bad("the key"))?;
        let swarm = match &self.swarm {
            None => SwarmId::NONE,
            Some(hex) => SwarmId(u64::from_str_radix(hex, 16).map_err(|_| bad("the swarm"))?),
        };
        if self.https_port == 0 || self.quic_port == 0 || self.ip.is_unspecified() {
            return Err(bad("the address"));
        }
        Ok(SnodeRecord {
            ed25519,
            x25519: ed25519.to_x25519(),
            ip: self.ip,
            https_port: self.https_port,
            quic_port: self.quic_port,
            swarm,
            version: Version(self.version),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    network_id: String,
    height: u64,
    issued_at: Timestamp,
    valid_until: Timestamp,
    nodes: Vec<DirectoryNode>,
}

/// A directory the registry has signed: who is in the network, at which address, in which swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The network it is of.
    pub network_id: String,
    /// Grows with every change, never shrinks.
    pub height: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// Until when it claims to be current.
    pub valid_until: Timestamp,
    nodes: Vec<SnodeRecord>,
    swarms: Vec<SwarmId>,
}

impl Directory {
    /// A directory to be signed.
    ///
    /// # Errors
    /// [`DirectoryRejected::BadList`] if a key occurs twice or there are too many nodes.
    pub fn new(
        network_id: String,
        height: u64,
        issued_at: Timestamp,
        valid_until: Timestamp,
        mut nodes: Vec<SnodeRecord>,
    ) -> Result<Self, DirectoryRejected> {
        if nodes.len() > MAX_NODES {
            return Err(DirectoryRejected::BadList(format!(
                "{} nodes, at most {MAX_NODES} are read",
                nodes.len()
            )));
        }
        // The order of `active_nodes_bin` (storage-and-onion 2.18).
        nodes.sort_by_key(|node| (node.swarm, node.ed25519));
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = nodes.iter().find(|node| !seen.insert(node.ed25519)) {
            return Err(DirectoryRejected::BadList(format!("{:?} occurs twice", twice.ed25519)));
        }
        let mut swarms: Vec<SwarmId> =
            nodes.iter().map(|n| n.swarm).filter(|s| *s != SwarmId::NONE).collect();
        swarms.dedup();
        Ok(Self { network_id, height, issued_at, valid_until, nodes, swarms })
    }

    fn from_payload(payload: Payload) -> Result<Self, DirectoryRejected> {
        if payload.nodes.len() > MAX_NODES {
            return Err(DirectoryRejected::BadList(format!("{} nodes are too many", payload.nodes.len())));
        }
        let nodes = payload.nodes.iter().map(DirectoryNode::to_record).collect::<Result<_, _>>()?;
        Self::new(payload.network_id, payload.height, payload.issued_at, payload.valid_until, nodes)
    }

    /// Signs with the registry's key.
    pub fn sign(&self, registry: &Ed25519Secret) -> SignedDirectory {
        let payload = Payload {
            network_id: self.network_id.clone(),
            height: self.height,
            issued_at: self.issued_at,
            valid_until: self.valid_until,
            nodes: self.nodes.iter().map(DirectoryNode::of).collect(),
        };
        let payload = serde_json::to_string(&payload).expect("the payload has string keys and plain values");
        let signature = STANDARD.encode(registry.sign(&signed_bytes(&payload)).as_bytes());
        SignedDirectory { payload, signature }
    }

    /// Whether it is within its time at `now`.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if now < self.valid_until { Freshness::Current } else { Freshness::Stale }
    }

    /// All nodes, by swarm and then key.
    pub fn nodes(&self) -> &[SnodeRecord] {
        &self.nodes
    }

    /// The node with this key.
    pub fn node(&self, ed25519: &Ed25519Public) -> Option<&SnodeRecord> {
        self.nodes.iter().find(|node| node.ed25519 == *ed25519)
    }

    /// All swarms, ascending.
    pub fn swarms(&self) -> &[SwarmId] {
        &self.swarms
    }

    /// The swarm of an account. `None` if the network has no swarms.
    pub fn swarm_of(&self, account: &AccountId) -> Option<SwarmId> {
        swarm::swarm_of(swarm::swarm_space(account.key_bytes()), &self.swarms)
    }

    /// The nodes of a swarm, by key.
    pub fn members(&self, swarm: SwarmId) -> impl Iterator<Item = &SnodeRecord> {
        let start = self.nodes.partition_point(|node| node.swarm < swarm);
        self.nodes.iter().skip(start).take_while(move |node| node.swarm == swarm)
    }

    /// How many nodes each swarm has.
    pub fn swarm_sizes(&self) -> BTreeMap<SwarmId, usize> {
        self.swarms.iter().map(|swarm| (*swarm, self.members(*swarm).count())).collect()
    }
}

fn signed_bytes(payload: &str) -> Vec<u8> {
    [LABEL.as_bytes(), payload.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8, swarm: u64) -> SnodeRecord {
        let ed25519 = Ed25519Secret::from_seed(&[number; 32]).public();
        SnodeRecord {
            ed25519,
            x25519: ed25519.to_x25519(),
            ip: Ipv4Addr::new(10, 0, number, 1),
            https_port: 22021,
            quic_port: 22020,
            swarm: SwarmId(swarm),
            version: Version([2, 11, 0]),
        }
    }

    fn registry() -> Ed25519Secret {
        Ed25519Secret::from_seed(&[99; 32])
    }

    fn directory(height: u64) -> Directory {
        let nodes = vec![node(1, 0), node(2, u64::MAX), node(3, 7 << 60), node(4, 0)];
        Directory::new("net".into(), height, Timestamp(1_000), Timestamp(2_000), nodes).unwrap()
    }

    #[test]
    fn a_signed_directory_comes_back_as_it_was() {
        let signed = directory(3).sign(&registry());
        let read = SignedDirectory::from_json(signed.to_json().as_bytes()).unwrap();
        let verified = read.verify(&registry().public(), "net", 3).unwrap();
        assert_eq!(verified, directory(3));
        assert_eq!(verified.swarms(), [SwarmId(0), SwarmId(7 << 60)]);
        assert_eq!(verified.members(SwarmId(0)).count(), 2);
        assert_eq!(verified.members(SwarmId(1)).count(), 0);
        assert_eq!(verified.freshness(Timestamp(1_999)), Freshness::Current);
        assert_eq!(verified.freshness(Timestamp(2_000)), Freshness::Stale);
    }

    #[test]
    fn another_signer_another_network_and_an_older_height_are_refused() {
        let signed = directory(3).sign(&registry());
        let stranger = Ed25519Secret::from_seed(&[98; 32]);
        assert_eq!(signed.verify(&stranger.public(), "net", 0), Err(DirectoryRejected::BadSignature));
        assert!(matches!(
            signed.verify(&registry().public(), "other", 0),
            Err(DirectoryRejected::OtherNetwork { .. })
        ));
        assert_eq!(
            signed.verify(&registry().public(), "net", 4),
            Err(DirectoryRejected::Old { found: 3, known: 4 })
        );
    }

    #[test]
    fn any_changed_byte_of_the_payload_is_noticed() {
        let signed = directory(3).sign(&registry());
        for at in 0..signed.payload.len() {
            let mut bytes = signed.payload.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(payload) = String::from_utf8(bytes) else { continue };
            let changed = SignedDirectory { payload, signature: signed.signature.clone() };
            assert_eq!(changed.verify(&registry().public(), "net", 0), Err(DirectoryRejected::BadSignature));
        }
    }

    #[test]
    fn a_key_cannot_occur_twice() {
        let twice = Directory::new("n".into(), 1, Timestamp(0), Timestamp(1), vec![node(1, 0), node(1, 5)]);
        assert!(matches!(twice, Err(DirectoryRejected::BadList(_))));
    }
}
