//! One chunk at a time: to the swarm it belongs to, from there, and out of it.

use std::time::Duration;

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::chunk::{ChunkHash, Manifest};
use conclave_proto::rpc::chunk::{ChunkAnswer, ChunkChange, ChunkStore, ChunkSwarmAnswer, MAX_CHANGED};
use conclave_proto::rpc::{ChunkRequest, Request};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp};

use crate::network::{Network, NetworkError, Reply, shuffle};

/// Members asked to take a chunk in one attempt.
const MEMBERS_PER_ATTEMPT: usize = 3;
/// No node on the way, which may lie, makes us wait longer.
const LONGEST_METERED: Duration = Duration::from_secs(60);
/// Nobody makes us wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Why a chunk was not stored, fetched or deleted.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChunkError {
    /// The network was not reached. Try again.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The nodes have no room, or this client has sent too much lately. Try again then.
    #[error("the service nodes ask to wait: {reason}")]
    Wait {
        /// How long.
        after: Duration,
        /// Their words.
        reason: String,
    },
    /// Too few members of the swarm have it. Try again.
    #[error("{have} of {members} service nodes have a part of the file, more than half are needed")]
    Minority {
        /// How many have.
        have: usize,
        /// How many there are.
        members: usize,
    },
    /// No member of the swarm has the chunk. Trying again helps if they come back.
    #[error("no service node has a part of the file; it may have expired")]
    Missing,
    /// The nodes keep no files. Trying again does not help.
    #[error("the service nodes of this network keep no files")]
    NotOffered,
    /// The nodes refuse the chunk for good.
    #[error("the service nodes refuse a part of the file: {0}")]
    Refused(String),
}

/// The members of the swarm that keeps a chunk, in an order that is another each time, with those that lately failed last.
async fn swarm(network: &Network, hash: &ChunkHash) -> Result<Vec<SnodeRecord>, ChunkError> {
    let directory = network.directory().await?;
    let swarm = hash.swarm(directory.swarms()).unwrap_or(SwarmId::NONE);
    let mut members: Vec<SnodeRecord> = directory.members(swarm).copied().collect();
    shuffle(&mut members);
    members.sort_by_key(|member| network.is_avoided(&member.ed25519));
    Ok(members)
}

/// Brings a chunk to a majority of its swarm.
pub(super) async fn put(
    network: &Network,
    hash: ChunkHash,
    data: Vec<u8>,
    key: Ed25519Public,
    expiry: Timestamp,
) -> Result<(), ChunkError> {
    let members = swarm(network, &hash).await?;
    let request = Request::ConclaveChunk(ChunkRequest::Store(ChunkStore { hash, data, key, expiry }));
    write(network, &members, &request).await
}

/// Deletes all chunks of a file from their swarms, or, with `until`, lengthens their lives; as many at once as a request takes.
pub(super) async fn change(
    network: &Network,
    manifest: &Manifest,
    key: &Ed25519Secret,
    until: Option<Timestamp>,
) -> Result<(), ChunkError> {
    let directory = network.directory().await?;
    let mut hashes: Vec<ChunkHash> = manifest.chunks().to_vec();
    hashes.push(manifest.id().manifest());
    hashes.sort_by_key(|hash| (hash.swarm(directory.swarms()), *hash));
    // A file may have the same chunk twice.
    hashes.dedup();
    let of_one_swarm = hashes.chunk_by(|a, b| a.swarm(directory.swarms()) == b.swarm(directory.swarms()));
    for hashes in of_one_swarm.flat_map(|hashes| hashes.chunks(MAX_CHANGED)) {
        let Some(first) = hashes.first() else { continue };
        let members = swarm(network, first).await?;
        let change = ChunkChange::signed(hashes.to_vec(), key, until, network.now());
        let request = Request::ConclaveChunk(ChunkRequest::Change(change));
        match write(network, &members, &request).await {
            // Those that never had it have done nothing, which is as good.
            Ok(()) => {}
            Err(ChunkError::Minority { .. }) if until.is_none() => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

async fn write(network: &Network, members: &[SnodeRecord], request: &Request) -> Result<(), ChunkError> {
    let Request::ConclaveChunk(asked) = request else { return Err(ChunkError::NotOffered) };
    let mut last = ChunkError::Minority { have: 0, members: members.len() };
    for member in members.iter().take(MEMBERS_PER_ATTEMPT) {
        let reply = match network.ask(member, request).await {
            Ok(reply) => reply,
            Err(error) => {
                last = error.into();
                continue;
            }
        };
        match ChunkSwarmAnswer::from_json(&reply.body).filter(|_| matches!(reply.status, 200 | 500)) {
            Some(answer) => {
                let have = answer.done_by(asked, members.iter().map(|member| member.ed25519)).count();
                if have * 2 > members.len() {
                    return Ok(());
                }
                last = ChunkError::Minority { have, members: members.len() };
            }
            None => last = refusal(&reply),
        }
    }
    Err(last)
}

/// Fetches a chunk, and believes nobody: it is hashed.
pub(super) async fn get(network: &Network, hash: ChunkHash) -> Result<Vec<u8>, ChunkError> {
    let members = swarm(network, &hash).await?;
    let request = Request::ConclaveChunk(ChunkRequest::Get(hash));
    let mut last = ChunkError::Missing;
    for member in &members {
        match network.ask(member, &request).await {
            Ok(reply) if reply.status == 200 => match ChunkAnswer::from_json(&hash, &reply.body) {
                Some(answer) => return Ok(answer.data),
                // A lie, or damage on the way. Another one may have it.
                None => {
                    tracing::debug!(member = ?member.ed25519, "a node handed out something else than was asked for")
                }
            },
            Ok(reply) if reply.status == 404 => {}
            Ok(reply) => last = refusal(&reply),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

fn refusal(reply: &Reply) -> ChunkError {
    let text = match &reply.body {
        serde_json::Value::String(text) => text.clone(),
        body => body.get("error").and_then(|error| error.as_str()).unwrap_or_default().to_owned(),
    };
    let reason: String = text.chars().take(200).collect();
    match reply.status {
        429 | 503 | 507 => {
            let asked = reply.body.get("retry_after_ms").and_then(serde_json::Value::as_u64);
            let after = asked.map_or(Duration::from_secs(10), Duration::from_millis).min(LONGEST_WAIT);
            ChunkError::Wait { after, reason }
        }
        400 if text.contains("no method") => ChunkError::NotOffered,
        501 => ChunkError::NotOffered,
        404 => ChunkError::Missing,
        400 | 405 | 406 | 410 | 413 => ChunkError::Refused(reason),
        status => ChunkError::Network(NetworkError::Unreadable(format!("{status} {reason}"))),
    }
}

impl From<ChunkError> for super::Trouble {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::NotOffered | ChunkError::Refused(_) => Self::Never(error.to_string()),
            ChunkError::Wait { after, .. } => Self::Later(error.to_string(), Some(after)),
            // Another path may take it sooner.
            ChunkError::Network(NetworkError::Metered(after)) => {
                Self::Later(error.to_string(), Some(after.min(LONGEST_METERED)))
            }
            _ => Self::Later(error.to_string(), None),
        }
    }
}
