//! What clients and other members ask about chunks, answered.
//!
//! A write is this node's own and every other member's at once; each answers when it is on its disk, and is named in the
//! answer with its own signature. What a member has missed it gets by comparing ([`super::agree`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::chunk::{ChunkHash, MAX_CHUNK_LIFE_MS};
use conclave_proto::chunk_sync::{self as wire, ChunkPut, FetchRequest, Fetched};
use conclave_proto::peer::{decode_storage_cc, encode_storage_cc};
use conclave_proto::rpc::answers::{Failure, read_error_frame};
use conclave_proto::rpc::chunk::{
    CHUNK_DELETE, CHUNK_GET, CHUNK_RENEW, CHUNK_STORE, ChunkAnswer, ChunkChange, ChunkResult,
    ChunkStore as Store, ChunkSwarmAnswer,
};
use conclave_proto::rpc::{Answer, Body, ChunkRequest, Dict, Request, RpcError, Value};
use conclave_proto::{SnodeRecord, Timestamp};
use conclave_transport::Deadline;
use conclave_transport::quic::{DialError, Lane, RequestError};
use rand_core::{OsRng, RngCore as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::agree::{self, KnownDigests};
use super::rules::{self, Claim, Refused};
use super::store::{Chunk, ChunkStore, ChunkStoreError, Found, RefusedChunk};
use crate::hooks::Misbehave;
use crate::node::Shared;
use crate::peer::{self, BUSY};
use crate::registry::NetworkView;
use crate::swarm::MEMBER_TIMEOUT;

/// The methods that a node which keeps chunks answers.
pub(crate) const METHODS: [&str; 4] = [CHUNK_STORE, CHUNK_GET, CHUNK_RENEW, CHUNK_DELETE];
/// Requests of clients about chunks that are worked on at once. With the largest chunks they hold some 100 MiB.
const CLIENTS_AT_ONCE: usize = 128;
/// How long a client's request may wait for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How far the time of a signature may be from this node's; and when another member has checked it, and it has been on
/// the way since.
const FROM_CLIENT: Duration = Duration::from_secs(60);
const FROM_MEMBER: Duration = Duration::from_secs(70);
/// When somebody who finds no room may ask again, at the least and at the most: when the next commitment ends, in between.
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// The chunks of a node that keeps some.
#[derive(Debug)]
pub(crate) struct Chunks {
    pub(crate) store: ChunkStore,
    pub(super) digests: KnownDigests,
    turns: Semaphore,
}

impl Chunks {
    pub(crate) fn new(store: ChunkStore) -> Self {
        Self { store, digests: KnownDigests::default(), turns: Semaphore::new(CLIENTS_AT_ONCE) }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Answer> {
        match tokio::time::timeout(TURN, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Answer::error(503, BUSY)),
        }
    }
}

/// Answers a client.
pub(crate) async fn answer(shared: &Arc<Shared>, request: ChunkRequest) -> Answer {
    let answered = async {
        let chunks = shared.chunks.as_ref().ok_or_else(switched_off)?;
        belongs_here(shared, request.hashes())?;
        let _turn = chunks.turn().await?;
        match request {
            ChunkRequest::Store(request) => store(shared, chunks, request).await,
            ChunkRequest::Get(hash) => get(shared, chunks, hash).await,
            ChunkRequest::Change(request) => change(shared, chunks, request).await,
        }
    };
    let answer = answered.await.unwrap_or_else(|refused| refused);
    if answer.code != 200 {
        shared.metrics.chunk_refused(answer.code);
    }
    answer
}

fn switched_off() -> Answer {
    Answer::error(501, "this node keeps no chunks of files")
}

/// Whether all of these are kept by this node's swarm.
pub(super) fn belongs_here(shared: &Shared, hashes: &[ChunkHash]) -> Result<(), Answer> {
    let view = shared.view();
    if view.directory().swarms().is_empty() {
        return Err(Answer::error(500, "No swarms known!"));
    }
    match hashes.iter().find(|hash| !view.is_our_chunk(hash)) {
        Some(hash) => Err(view.chunk_members(hash).to_answer(421, shared.stamp())),
        None => Ok(()),
    }
}

async fn store(shared: &Arc<Shared>, chunks: &Chunks, mut request: Store) -> Result<Answer, Answer> {
    let (hash, key, expiry) = (request.hash, request.key, request.expiry);
    let data = Arc::new(std::mem::take(&mut request.data));
    let chunk = Chunk::check(hash, data).ok_or_else(wrong_hash)?;
    let now = shared.now();
    // What the rules do not allow is asked of nobody.
    let kept = chunks.store.commitment(hash, key).await.map_err(failed)?;
    let others = chunks.store.others(hash, key, now).await.map_err(failed)?;
    let first = match rules::store(kept, others, Claim::Client(expiry), now) {
        Ok(after) => after.first,
        Err(refused) => return Err(refusal(chunks, refused, now).await),
    };
    let body = ChunkPut::encode_parts(chunk.data(), expiry, first, &hash, &key);
    let request = ChunkRequest::Store(request);
    let own = own_store(shared, chunks, &request, &chunk, Claim::Client(expiry));
    let (own, members) = tokio::join!(own, ask_others(shared, &request, wire::PUT, body));
    let full = matches!(own, Err(NotDone::Refused(Refused::Full)));
    let answer = swarm_answer(shared, own.map_err(NotDone::failure), members);
    if full && !answer.0.values().any(Result::is_ok) {
        let Answer { body, .. } = answer.to_answer(shared.stamp());
        return Err(with_retry(507, body, retry_after(chunks, now).await));
    }
    Ok(answer.to_answer(shared.stamp()))
}

/// This node's own part of a store: commit, then sign.
async fn own_store(
    shared: &Shared,
    chunks: &Chunks,
    request: &ChunkRequest,
    chunk: &Chunk,
    claim: Claim,
) -> Result<ChunkResult, NotDone> {
    let ChunkRequest::Store(store) = request else { return Err(NotDone::Failed("request failed")) };
    let expiry = if shared.hooks.misbehave == Misbehave::Forgets {
        store.expiry
    } else {
        chunks.store.put(chunk, store.key, claim, shared.now()).await?.expiry
    };
    signed(shared, request, vec![chunk.hash()], Some(expiry))
}

async fn change(shared: &Arc<Shared>, chunks: &Chunks, change: ChunkChange) -> Result<Answer, Answer> {
    allowed(&change, shared.now(), FROM_CLIENT)?;
    let whole = Request::ConclaveChunk(ChunkRequest::Change(change));
    let params = whole.to_bt();
    let body = encode_storage_cc(whole.method(), &params);
    let Request::ConclaveChunk(request) = whole else { return Err(Answer::error(500, "request failed")) };
    let (own, members) = tokio::join!(
        own_change(shared, chunks, &request, params),
        ask_others(shared, &request, wire::CHANGE, body)
    );
    Ok(swarm_answer(shared, own.map_err(NotDone::failure), members).to_answer(shared.stamp()))
}

async fn own_change(
    shared: &Shared,
    chunks: &Chunks,
    request: &ChunkRequest,
    params: Vec<u8>,
) -> Result<ChunkResult, NotDone> {
    let ChunkRequest::Change(change) = request else { return Err(NotDone::Failed("request failed")) };
    let (done, expiry) = if shared.hooks.misbehave == Misbehave::Forgets {
        (change.hashes.clone(), change.expiry)
    } else {
        chunks.store.change(change.clone(), params, shared.now()).await?
    };
    signed(shared, request, done, expiry)
}

/// Whether the file key asks for this, and now.
fn allowed(change: &ChunkChange, now: Timestamp, patience: Duration) -> Result<(), Answer> {
    if now.distance(change.timestamp) > patience {
        let method = if change.expiry.is_some() { CHUNK_RENEW } else { CHUNK_DELETE };
        return Err(Answer::error(406, format!("{method} timestamp too far from current time")));
    }
    change.verify().map_err(|_| Answer::error(401, "the signature of the file key does not hold"))
}

fn signed(
    shared: &Shared,
    request: &ChunkRequest,
    done: Vec<ChunkHash>,
    expiry: Option<Timestamp>,
) -> Result<ChunkResult, NotDone> {
    let result = match shared.hooks.misbehave {
        Misbehave::WrongKey => {
            ChunkResult::signed(request, done, expiry, &Ed25519Secret::from_seed(&[0x5a; 32]))
        }
        _ => ChunkResult::signed(request, done, expiry, &shared.secret),
    };
    result.ok_or(NotDone::Failed("request failed"))
}

type Members = Vec<(Ed25519Public, Result<ChunkResult, Failure>)>;

/// Asks every other member at once.
async fn ask_others(
    shared: &Arc<Shared>,
    request: &ChunkRequest,
    endpoint: &'static str,
    body: Vec<u8>,
) -> Members {
    let body = Bytes::from(body);
    let asked: Vec<_> = others(shared)
        .into_iter()
        .map(|node| {
            let (shared, body) = (Arc::clone(shared), body.clone());
            let asking = tokio::spawn(async move { ask(&shared, &node, endpoint, &body).await });
            (node.ed25519, asking)
        })
        .collect();
    let mut members = Vec::new();
    for (key, asking) in asked {
        let result = match asking.await {
            Ok(asked) => member_result(request, asked),
            Err(_) => Err(Failure { reason: Some("request failed".to_owned()), ..Failure::default() }),
        };
        members.push((key, result));
    }
    members
}

fn others(shared: &Shared) -> Vec<SnodeRecord> {
    shared.view().others().copied().collect()
}

/// Asks another node something about chunks.
pub(crate) async fn ask(
    shared: &Shared,
    node: &SnodeRecord,
    endpoint: &'static str,
    body: &[u8],
) -> Result<Bytes, RequestError> {
    if shared.peers.is_down(&node.ed25519) {
        return Err(RequestError::Dial(DialError::Down));
    }
    let deadline = Deadline::after(MEMBER_TIMEOUT);
    let mut asked = peer::ask(shared, node, Lane::Bulk, (endpoint, body), deadline).await;
    if let Err(RequestError::Closed(_)) = asked {
        // A member that has restarted ends old connections with the first thing it hears on them.
        asked = peer::ask(shared, node, Lane::Bulk, (endpoint, body), deadline).await;
    }
    asked
}

fn member_result(request: &ChunkRequest, asked: Result<Bytes, RequestError>) -> Result<ChunkResult, Failure> {
    let nonsense = || Failure { bad_peer_response: true, ..Failure::default() };
    match asked {
        // The signature is for the client, who checks it.
        Ok(answer) => ChunkResult::from_bt(&answer)
            .filter(|result| result.hashes.iter().all(|hash| request.hashes().contains(hash)))
            .ok_or_else(nonsense),
        Err(RequestError::Remote(body)) => match read_error_frame(&body) {
            Some((code, text)) => Err(Failure::answered(code, String::from_utf8_lossy(text))),
            None => Err(nonsense()),
        },
        Err(RequestError::Timeout | RequestError::Dial(DialError::Timeout | DialError::Down)) => {
            Err(Failure { timeout: true, ..Failure::default() })
        }
        Err(error) => Err(Failure { reason: Some(error.to_string()), ..Failure::default() }),
    }
}

fn swarm_answer(shared: &Shared, own: Result<ChunkResult, Failure>, members: Members) -> ChunkSwarmAnswer {
    let mut all: BTreeMap<[u8; 32], _> =
        members.into_iter().map(|(key, result)| (*key.as_bytes(), result)).collect();
    all.insert(*shared.secret.public().as_bytes(), own);
    ChunkSwarmAnswer(all)
}

async fn get(shared: &Arc<Shared>, chunks: &Chunks, hash: ChunkHash) -> Result<Answer, Answer> {
    let found = chunks.store.get(hash, shared.now()).await.map_err(failed)?;
    let promised = match &found {
        Found::Here(_, until) | Found::Lost(until) => Some(*until),
        Found::Unknown => None,
    };
    let (chunk, until) = match found {
        Found::Here(chunk, until) => (chunk, until),
        Found::Lost(_) | Found::Unknown => {
            let (chunk, there) = fetch(shared, &hash).await.ok_or_else(not_here)?;
            if promised.is_some()
                && let Err(error) = chunks.store.restore(&chunk).await
            {
                tracing::warn!(%error, "a chunk could not be restored from another member's copy");
            }
            (chunk, promised.unwrap_or(there))
        }
    };
    let data = handed_out(shared, &chunk);
    Ok(ChunkAnswer { data, expiry: until }.to_answer(shared.stamp()))
}

fn handed_out(shared: &Shared, chunk: &Chunk) -> Vec<u8> {
    let mut data = chunk.data().to_vec();
    if shared.hooks.misbehave == Misbehave::OtherData {
        data.iter_mut().for_each(|byte| *byte = !*byte);
    }
    data
}

/// A chunk from another member, whichever has it, and until when it is promised there.
async fn fetch(shared: &Arc<Shared>, hash: &ChunkHash) -> Option<(Chunk, Timestamp)> {
    fetch_among(shared, others(shared), hash).await
}

/// A chunk from one of these nodes, whichever has it, and until when it is promised there. This node may be one of them.
pub(crate) async fn fetch_among(
    shared: &Arc<Shared>,
    members: Vec<SnodeRecord>,
    hash: &ChunkHash,
) -> Option<(Chunk, Timestamp)> {
    if let Some(chunks) = shared.chunks.as_ref().filter(|_| shared.view().is_our_chunk(hash))
        && let Ok(Found::Here(chunk, until)) = chunks.store.get(*hash, shared.now()).await
    {
        return Some((chunk, until));
    }
    let own = shared.secret.public();
    let members: Vec<SnodeRecord> = members.into_iter().filter(|node| node.ed25519 != own).collect();
    let start = usize::try_from(OsRng.next_u32()).unwrap_or(0);
    for turn in 0..members.len() {
        let member = members.get(start.wrapping_add(turn) % members.len())?;
        if let Some(fetched) = fetch_from(shared, member, hash).await {
            return Some(fetched);
        }
    }
    None
}

/// A chunk from this member, if it gives that and nothing else.
pub(super) async fn fetch_from(
    shared: &Arc<Shared>,
    member: &SnodeRecord,
    hash: &ChunkHash,
) -> Option<(Chunk, Timestamp)> {
    let request = FetchRequest { hash: *hash, deleted_by: None };
    let answer = ask(shared, member, wire::FETCH, &request.encode()).await.ok()?;
    let Fetched { data, expiry } = Fetched::decode(&answer).ok()?;
    let chunk = Chunk::check(*hash, Arc::new(data));
    if chunk.is_none() {
        tracing::warn!(member = ?member.ed25519, "a member gave other bytes than those of a chunk");
    }
    // No honest node promises more; what is said of it goes to clients.
    let latest = shared.now().plus(Duration::from_millis(MAX_CHUNK_LIFE_MS) + 2 * FROM_CLIENT);
    Some((chunk?, expiry.min(latest)))
}

/// Answers another node at an endpoint that [`is_ours`].
pub(crate) async fn answer_member(
    shared: &Arc<Shared>,
    endpoint: &str,
    body: &[u8],
    from: Option<Ed25519Public>,
) -> Result<Bytes, Answer> {
    if shared.hooks.misbehave == Misbehave::Rubbish {
        return Ok(Bytes::from_static(b"rubbish"));
    }
    let chunks = shared.chunks.as_ref().ok_or_else(switched_off)?;
    match endpoint {
        wire::PUT => put(shared, chunks, body).await,
        wire::CHANGE => changed(shared, chunks, body).await,
        wire::FETCH => give(shared, chunks, body).await,
        _ => agree::answer(shared, chunks, endpoint, body, from).await,
    }
}

/// Whether an endpoint between nodes is about chunks.
pub(crate) fn is_ours(endpoint: &str) -> bool {
    matches!(endpoint, wire::PUT | wire::CHANGE | wire::FETCH | wire::DIGESTS | wire::NAMES | wire::OFFER)
}

async fn put(shared: &Arc<Shared>, chunks: &Chunks, body: &[u8]) -> Result<Bytes, Answer> {
    let ChunkPut { data, expiry, first, hash, key } = ChunkPut::decode(body).map_err(invalid)?;
    belongs_here(shared, &[hash])?;
    let chunk = Chunk::check(hash, Arc::new(data)).ok_or_else(wrong_hash)?;
    let request = ChunkRequest::Store(Store { hash, data: Vec::new(), key, expiry });
    match own_store(shared, chunks, &request, &chunk, Claim::Member { first, expiry }).await {
        Ok(result) => Ok(result.to_bt().into()),
        Err(NotDone::Refused(refused)) => Err(refusal(chunks, refused, shared.now()).await),
        Err(NotDone::Failed(why)) => Err(Answer::error(500, why)),
    }
}

async fn changed(shared: &Arc<Shared>, chunks: &Chunks, body: &[u8]) -> Result<Bytes, Answer> {
    let (method, params) = decode_storage_cc(body).map_err(invalid)?;
    let request = match Request::from_either(method, params)? {
        Request::ConclaveChunk(request @ ChunkRequest::Change(_)) => request,
        _ => return Err(RpcError::no_method(method).into()),
    };
    let ChunkRequest::Change(change) = &request else { return Err(Answer::error(500, "request failed")) };
    allowed(change, shared.now(), FROM_MEMBER)?;
    belongs_here(shared, &change.hashes)?;
    match own_change(shared, chunks, &request, params.to_vec()).await {
        Ok(result) => Ok(result.to_bt().into()),
        Err(not_done) => Err(Answer::error(500, not_done.text())),
    }
}

async fn give(shared: &Arc<Shared>, chunks: &Chunks, body: &[u8]) -> Result<Bytes, Answer> {
    let FetchRequest { hash, deleted_by } = FetchRequest::decode(body).map_err(invalid)?;
    if let Some(key) = deleted_by {
        let proof = chunks.store.proof(hash, key).await.map_err(failed)?;
        return proof.map(Bytes::from).ok_or_else(not_here);
    }
    match chunks.store.get(hash, shared.now()).await.map_err(failed)? {
        Found::Here(chunk, until) => Ok(Fetched::encode(&handed_out(shared, &chunk), until).into()),
        Found::Lost(_) | Found::Unknown => Err(not_here()),
    }
}

/// Why this node has not done its part.
enum NotDone {
    Refused(Refused),
    Failed(&'static str),
}

impl From<ChunkStoreError> for NotDone {
    fn from(error: ChunkStoreError) -> Self {
        match error {
            ChunkStoreError::Refused(_, RefusedChunk(refused)) => Self::Refused(refused),
            error => {
                tracing::warn!(%error, "a write of chunks was not done");
                Self::Failed("the store of chunks failed")
            }
        }
    }
}

impl NotDone {
    fn text(&self) -> String {
        match self {
            Self::Refused(refused) => ChunkStoreError::from(*refused).to_string(),
            Self::Failed(why) => (*why).to_owned(),
        }
    }

    fn failure(self) -> Failure {
        match self {
            Self::Refused(refused) => Failure::answered(status_of(refused), self.text()),
            Self::Failed(why) => {
                Failure { query_failure: true, reason: Some(why.to_owned()), ..Failure::default() }
            }
        }
    }
}

const fn status_of(refused: Refused) -> u16 {
    match refused {
        Refused::Past | Refused::TooLong | Refused::TooOld => 406,
        Refused::Deleted => 410,
        Refused::TooMany | Refused::Full => 507,
    }
}

async fn refusal(chunks: &Chunks, refused: Refused, now: Timestamp) -> Answer {
    let (code, text) = (status_of(refused), ChunkStoreError::from(refused).to_string());
    if code == 507 {
        with_retry(code, Body::Text(text), retry_after(chunks, now).await)
    } else {
        Answer::error(code, text)
    }
}

/// When there may be room again.
async fn retry_after(chunks: &Chunks, now: Timestamp) -> Duration {
    let next = chunks.store.next_end().await.ok().flatten().unwrap_or(now);
    next.since(now).clamp(AGAIN.0, AGAIN.1)
}

/// A refusal that says when to ask again.
pub(crate) fn with_retry(code: u16, body: Body, after: Duration) -> Answer {
    let mut fields = match body {
        Body::Value(Value::Dict(fields)) => fields,
        Body::Text(text) => Dict::from([("reason".to_owned(), text.into())]),
        _ => Dict::new(),
    };
    let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    fields.insert("retry_after_ms".to_owned(), ms.into());
    Answer { code, body: Body::Value(Value::Dict(fields)) }
}

fn wrong_hash() -> Answer {
    RpcError::invalid("the data does not hash to 'hash'").into()
}

fn not_here() -> Answer {
    Answer::error(404, "nobody in the swarm has this chunk")
}

fn invalid(error: impl std::fmt::Display) -> Answer {
    RpcError::invalid(error.to_string()).into()
}

fn failed(error: ChunkStoreError) -> Answer {
    tracing::error!(%error, "the store of chunks failed");
    Answer::error(500, "request failed")
}

impl NetworkView {
    /// Whether the chunk is kept by this node's swarm.
    pub(crate) fn is_our_chunk(&self, hash: &ChunkHash) -> bool {
        hash.swarm(self.directory().swarms()) == Some(self.own().swarm)
    }

    /// The swarm of a chunk, as 421 answers it.
    pub(crate) fn chunk_members(&self, hash: &ChunkHash) -> conclave_proto::rpc::answers::SwarmMembers {
        self.members_of(hash.swarm(self.directory().swarms()))
    }
}
