//! Chunks of files, asked for as clients do: over onion paths.

use std::path::PathBuf;
use std::time::Duration;

use conclave_crypto::Ed25519Secret;
use conclave_onion::request::{Destination, seal};
use conclave_proto::Timestamp;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::rpc::chunk::{ChunkAnswer, ChunkChange, ChunkStore, ChunkSwarmAnswer};
use conclave_proto::rpc::{ChunkRequest, Request};
use rand_core::OsRng;
use serde_json::Value;

use super::{Swarm, now};

pub const DAY: Duration = Duration::from_secs(86_400);

pub fn file_key(n: u8) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[n; 32])
}

pub fn in_days(days: u32) -> Timestamp {
    now().plus(DAY * days)
}

/// Bytes that no other number gives.
pub fn data(n: u8, size: usize) -> Vec<u8> {
    // The pieces of a large one differ too.
    (0..size).map(|at| (at * 31 + (at >> 8) * 7 + (at >> 16) * 13 + usize::from(n)) as u8).collect()
}

pub fn storing(data: &[u8], key: &Ed25519Secret, expiry: Timestamp) -> ChunkRequest {
    let store = ChunkStore { hash: ChunkHash::of(data), data: data.to_vec(), key: key.public(), expiry };
    ChunkRequest::Store(store)
}

pub fn renewing(hashes: &[ChunkHash], key: &Ed25519Secret, expiry: Timestamp) -> ChunkRequest {
    ChunkRequest::Change(ChunkChange::signed(hashes.to_vec(), key, Some(expiry), now()))
}

pub fn deleting(hashes: &[ChunkHash], key: &Ed25519Secret) -> ChunkRequest {
    ChunkRequest::Change(ChunkChange::signed(hashes.to_vec(), key, None, now()))
}

impl Swarm {
    /// Asks a running node through up to three others that run.
    pub async fn over_onions(&self, node: usize, request: &ChunkRequest) -> (u16, Value) {
        let records = self.records_by_node();
        let others: Vec<_> = (0..records.len()).filter(|other| *other != node).take(3).collect();
        let hops: Vec<_> = others.iter().map(|other| records[*other]).collect();
        let body = Request::ConclaveChunk(request.clone()).to_json_body();
        let destination = Destination::Snode { node: &records[node], body: &body };
        let sealed = seal(&hops, destination, &mut OsRng).unwrap();
        let reply = self.post(others[0], "/onion_req/v2", sealed.body).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        let reply = sealed.reply.open_snode(&reply.body).unwrap();
        (reply.status, reply.body)
    }

    /// How many members have done all of a write, by signatures that hold.
    pub async fn written(&self, node: usize, request: &ChunkRequest) -> usize {
        let (status, answer) = self.over_onions(node, request).await;
        assert_eq!(status, 200, "{answer}");
        let answer = ChunkSwarmAnswer::from_json(&answer).unwrap();
        answer.done_by(request, self.listed.iter().map(|node| node.ed25519)).count()
    }

    /// A chunk as a node hands it out.
    pub async fn chunk(&self, node: usize, hash: &ChunkHash) -> Option<ChunkAnswer> {
        let (status, answer) = self.over_onions(node, &ChunkRequest::Get(*hash)).await;
        match status {
            200 => {
                Some(ChunkAnswer::from_json(hash, &answer).unwrap_or_else(|| panic!("other bytes: {answer}")))
            }
            404 => None,
            _ => panic!("{status}: {answer}"),
        }
    }

    /// Where the node with that number keeps a chunk.
    pub fn chunk_file(&self, index: usize, hash: &ChunkHash) -> PathBuf {
        let name = hash.to_hex();
        self.config(index).data_dir.join("chunks").join(&name[..2]).join(name)
    }
}
