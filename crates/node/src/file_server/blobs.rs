//! Whole files, cut into chunks and brought to their swarms, and put together again.
//!
//! What is uploaded is in memory as a whole, where it came in; chunks on their way are a few at a time, in either direction.
//! Every byte that is handed out has been hashed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Secret;
use conclave_crypto::hash::Blake2b;
use conclave_proto::chunk::{BlobId, CHUNK_SIZE, ChunkHash, Manifest};
use conclave_proto::chunk_sync::{self as wire, ChunkPut};
use conclave_proto::peer::encode_storage_cc;
use conclave_proto::rpc::answers::read_error_frame;
use conclave_proto::rpc::chunk::{ChunkChange, ChunkResult, ChunkStore};
use conclave_proto::rpc::{ChunkRequest, Request};
use conclave_proto::{SnodeRecord, Timestamp};
use conclave_transport::quic::RequestError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::chunks::{self, Chunk};
use crate::node::Shared;

/// Chunks of one file that come at once.
const AT_ONCE: usize = 4;
/// What is held of a file that comes: those, and one that is handed on.
pub(super) const COMING: usize = (AT_ONCE + 2) * CHUNK_SIZE;
/// Chunks of one file that go to their swarms at once.
const PUT_AT_ONCE: usize = 2;
/// What is held beside a file while it goes: each of those as it is sent, and what connections to a swarm have taken of it.
pub(super) const UPLOADING: usize = PUT_AT_ONCE * 8 * CHUNK_SIZE;

/// Why a file was not stored, found or lengthened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody has it, or what there is was not uploaded here.
    NotFound,
    /// It is larger than this node hands out.
    TooLarge,
    /// Its swarms have no room for it.
    Full,
    /// Too few nodes answered. Worth trying again.
    Failed,
}

/// Brings a file to its swarms. Stored means that of each chunk's swarm a majority has signed for it.
pub(super) async fn upload(
    shared: &Arc<Shared>,
    data: Bytes,
    life: Duration,
) -> Result<(BlobId, Timestamp), Trouble> {
    let hashes: Vec<ChunkHash> = data.chunks(CHUNK_SIZE).map(ChunkHash::of).collect();
    let manifest = Manifest::new(data.len() as u64, hashes).ok_or(Trouble::TooLarge)?;
    let (id, list) = (manifest.id(), Bytes::from(manifest.encode()));
    let (key, expiry) = (file_key(shared, &id), shared.now().plus(life));
    let cuts = (0..data.len()).step_by(CHUNK_SIZE);
    let pieces: Vec<Bytes> =
        cuts.map(|at| data.slice(at..data.len().min(at.saturating_add(CHUNK_SIZE)))).collect();
    for some in pieces.chunks(PUT_AT_ONCE) {
        together(some.iter().cloned(), |piece| put(Arc::clone(shared), piece, key.clone(), expiry)).await?;
    }
    // The list comes last: who finds it finds everything.
    put(Arc::clone(shared), list, key, expiry).await?;
    Ok((id, expiry))
}

/// A file's size and until when it is kept, as the swarm of its list says.
pub(super) async fn look(shared: &Arc<Shared>, id: &BlobId) -> Result<(Manifest, Timestamp), Trouble> {
    let (list, expiry) = get(Arc::clone(shared), id.manifest()).await?;
    let manifest = Manifest::read(id, list.data()).map_err(|_| Trouble::NotFound)?;
    Ok((manifest, expiry))
}

/// A file's pieces in their order, as they come. They end early if one is not to be had, or is of another size than the list
/// says; of a file whose first piece is not to be had nothing comes at all.
pub(super) async fn pieces(
    shared: &Arc<Shared>,
    manifest: Manifest,
) -> Result<mpsc::Receiver<Bytes>, Trouble> {
    let first = manifest.chunks().first().copied().ok_or(Trouble::NotFound)?;
    let (first, _) = get(Arc::clone(shared), first).await?;
    let (tell, coming) = mpsc::channel(1);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let sizes = (0..manifest.chunks().len()).map(|place| manifest.chunk_size(place));
        let mut hashes = manifest.chunks().iter().skip(1).copied();
        let mut under_way = JoinQueue::default();
        let mut next = Some(first);
        for size in sizes {
            while under_way.len() < AT_ONCE
                && let Some(hash) = hashes.next()
            {
                under_way.push(tokio::spawn(get(Arc::clone(&shared), hash)));
            }
            let Some(chunk) = next.take().filter(|chunk| Some(chunk.data().len()) == size) else { break };
            if tell.send(chunk.into_bytes()).await.is_err() {
                break;
            }
            next = under_way.pop().await;
        }
    });
    Ok(coming)
}

/// Tasks whose results come in the order in which they began; those that are left end with it.
#[derive(Default)]
struct JoinQueue(VecDeque<JoinHandle<Result<(Chunk, Timestamp), Trouble>>>);

impl JoinQueue {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, task: JoinHandle<Result<(Chunk, Timestamp), Trouble>>) {
        self.0.push_back(task);
    }

    async fn pop(&mut self) -> Option<Chunk> {
        let (chunk, _) = self.0.pop_front()?.await.ok()?.ok()?;
        Some(chunk)
    }
}

impl Drop for JoinQueue {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// Lengthens the life of a file that was uploaded here.
pub(super) async fn extend(
    shared: &Arc<Shared>,
    id: &BlobId,
    life: Duration,
) -> Result<(Manifest, Timestamp), Trouble> {
    let (manifest, _) = look(shared, id).await?;
    let view = shared.view();
    let mut by_swarm: BTreeMap<_, Vec<ChunkHash>> = BTreeMap::new();
    let list = id.manifest();
    for hash in manifest.chunks().iter().chain([&list]) {
        let hashes = by_swarm.entry(hash.swarm(view.directory().swarms())).or_default();
        if !hashes.contains(hash) {
            hashes.push(*hash);
        }
    }
    let (key, now) = (file_key(shared, id), shared.now());
    for hashes in by_swarm.into_values() {
        let first = hashes.first().copied().ok_or(Trouble::Failed)?;
        let change = ChunkChange::signed(hashes, &key, Some(now.plus(life)), now);
        let whole = Request::ConclaveChunk(ChunkRequest::Change(change));
        let body = encode_storage_cc(whole.method(), &whole.to_bt());
        let Request::ConclaveChunk(request) = whole else { return Err(Trouble::Failed) };
        write(shared, &first, &request, wire::CHANGE, body.into()).await?;
    }
    look(shared, id).await
}

/// The key under which a file is kept that was uploaded here: only this node can make it.
fn file_key(shared: &Shared, id: &BlobId) -> Ed25519Secret {
    let seed = shared.secret.seed();
    let own = Blake2b::new().key(seed.as_ref()).personal(b"ConclaveFileKeys").hash(&[&id.manifest().0]);
    Ed25519Secret::from_seed(&own)
}

/// Does something with each at once; all that comes of it, in their order.
async fn together<T, R: Send + 'static, F>(
    all: impl Iterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>, Trouble>
where
    F: Future<Output = Result<R, Trouble>> + Send + 'static,
{
    let tasks: Vec<_> = all.map(|one| tokio::spawn(work(one))).collect();
    let mut done = Vec::new();
    let mut trouble = None;
    for task in tasks {
        match task.await.unwrap_or(Err(Trouble::Failed)) {
            Ok(one) => done.push(one),
            Err(why) => trouble = Some(why),
        }
    }
    trouble.map_or(Ok(done), Err)
}

async fn put(shared: Arc<Shared>, data: Bytes, key: Ed25519Secret, expiry: Timestamp) -> Result<(), Trouble> {
    let (hash, key) = (ChunkHash::of(&data), key.public());
    let body = ChunkPut::encode_parts(&data, expiry, shared.now(), &hash, &key);
    let request = ChunkRequest::Store(ChunkStore { hash, data: Vec::new(), key, expiry });
    write(&shared, &hash, &request, wire::PUT, body.into()).await
}

/// Has every member of a chunk's swarm do something; done means that a majority has signed for all of it.
async fn write(
    shared: &Arc<Shared>,
    hash: &ChunkHash,
    request: &ChunkRequest,
    endpoint: &'static str,
    body: Bytes,
) -> Result<(), Trouble> {
    let members = members(shared, hash);
    let asked: Vec<_> = members
        .iter()
        .map(|member| {
            let (shared, member, body) = (Arc::clone(shared), *member, body.clone());
            (member, tokio::spawn(async move { ask(&shared, &member, endpoint, &body).await }))
        })
        .collect();
    let (mut done, mut full, mut without) = (0, 0, 0);
    for (member, asking) in asked {
        match asking.await.unwrap_or(Err(0)) {
            Ok(answer) => {
                let result = ChunkResult::from_bt(&answer);
                let signed = result.filter(|result| result.verify(request, &member.ed25519));
                match signed {
                    Some(result) if result.hashes.len() == request.hashes().len() => done += 1,
                    Some(_) => without += 1,
                    None => {}
                }
            }
            Err(507) => full += 1,
            Err(_) => {}
        }
    }
    match () {
        () if done * 2 > members.len() => Ok(()),
        () if full > 0 => Err(Trouble::Full),
        () if without * 2 > members.len() => Err(Trouble::NotFound),
        () => Err(Trouble::Failed),
    }
}

/// A chunk from whichever member of its swarm has it.
async fn get(shared: Arc<Shared>, hash: ChunkHash) -> Result<(Chunk, Timestamp), Trouble> {
    chunks::fetch_among(&shared, members(&shared, &hash), &hash).await.ok_or(Trouble::NotFound)
}

fn members(shared: &Shared, hash: &ChunkHash) -> Vec<SnodeRecord> {
    shared.view().chunk_members(hash).snodes
}

/// What a node answers, this one included; or with which status it refuses, 0 if it does not answer.
async fn ask(
    shared: &Arc<Shared>,
    member: &SnodeRecord,
    endpoint: &'static str,
    body: &Bytes,
) -> Result<Bytes, u16> {
    let own = shared.secret.public();
    if member.ed25519 == own {
        return chunks::answer_member(shared, endpoint, body, Some(own))
            .await
            .map_err(|refused| refused.code);
    }
    chunks::ask(shared, member, endpoint, body).await.map_err(|error| match error {
        RequestError::Remote(words) => read_error_frame(&words).map_or(0, |(code, _)| code),
        _ => 0,
    })
}
