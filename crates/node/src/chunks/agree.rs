//! How members come to keep the same chunks: each compares with the others in turn and gets what it lacks; what belongs to
//! another swarm is brought there.
//!
//! What is compared is names ([`wire::Name`]). Bytes are believed by their hash, deletions by the file key's signature, and
//! times only within what [`rules::take`] allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::chunk_sync::{
    self as wire, ChunkPut, Digests, DigestsRequest, FetchRequest, Name, Names, NamesRequest, Wanted,
};
use conclave_proto::rpc::chunk::{CHUNK_DELETE, ChunkChange};
use conclave_proto::rpc::{Answer, ChunkRequest, Request};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp};
use conclave_transport::quic::RequestError;
use rand_core::{OsRng, RngCore as _};
use tokio::sync::Mutex;

use super::rules::{self, Claim, Commitment, Refused, Take};
use super::serve::{Chunks, fetch_from};
use super::store::{Chunk, ChunkStore, ChunkStoreError, RefusedChunk};
use crate::node::Shared;
use crate::replication::{NotCompared, ask, cutoff, in_turn};

/// What was stored less long ago is on its way here, and not fetched yet.
const RIPE_AFTER: Duration = Duration::from_secs(3);
/// How far the clocks of members may be apart.
const CLOCKS: Duration = Duration::from_secs(60);
/// Pages of names in one comparison: more than any honest member has.
const MAX_PAGES: usize = 2_000;
/// Chunks that are brought to another swarm in one step.
const STEP: usize = 50;
/// How often the same chunks are offered to one node: once for their bytes, once for what else is promised of them.
const OFFERS: usize = 3;
/// The pause before what could not be brought is tried again, at first and at the most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));
/// Digests are used for so many times as long as it took to compute them: that bounds what computing costs.
const USED_FOR: u32 = 20;

/// The digests computed last, since members ask for the same.
#[derive(Debug, Default)]
pub(super) struct KnownDigests(Mutex<Option<(Timestamp, Digests, Instant)>>);

impl KnownDigests {
    /// Held while they are computed, so that those who ask together compute once.
    pub(super) async fn at(&self, store: &ChunkStore, cutoff: Timestamp) -> Result<Digests, ChunkStoreError> {
        let mut known = self.0.lock().await;
        let began = Instant::now();
        if let Some((at, digests, until)) = known.as_ref()
            && *at == cutoff
            && began < *until
        {
            return Ok(digests.clone());
        }
        let digests = store.digests(cutoff).await?;
        *known = Some((cutoff, digests.clone(), Instant::now() + began.elapsed() * USED_FOR));
        Ok(digests)
    }

    async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Compares with the members in turn. Never ends.
pub(crate) async fn compare_with_others(shared: Arc<Shared>) {
    if shared.chunks.is_none() {
        return;
    }
    in_turn(&shared, |shared, member| async move {
        let chunks = shared.chunks.as_ref().ok_or(NotCompared)?;
        let (own, listed) = (Own { shared: &shared, chunks }, Listed { shared: &shared, record: &member });
        let found = compare(&own, &listed).await.map_err(|error| {
            tracing::debug!(%error, "a member's chunks could not be compared with");
            NotCompared
        })?;
        if found.taken > 0 {
            chunks.digests.forget().await;
            tracing::info!(found.taken, "chunks of files were made as another member has them");
        }
        Ok(found.unripe)
    })
    .await;
}

#[derive(Debug, Default)]
pub(super) struct Found {
    /// Names that are now as the other member has them.
    pub(super) taken: usize,
    /// Something was left for later.
    unripe: bool,
}

/// Where what is taken over is kept, and by which clock.
pub(super) trait Keeper: Sync {
    /// What it keeps.
    fn store(&self) -> &ChunkStore;
    /// Its digests up to a time.
    fn digests(&self, cutoff: Timestamp) -> impl Future<Output = Result<Digests, ChunkStoreError>> + Send;
    /// Its clock.
    fn now(&self) -> Timestamp;
    /// Whether its swarm keeps the chunk.
    fn is_ours(&self, hash: &ChunkHash) -> bool;
}

/// Another node, whose names are taken over. It may lie.
pub(super) trait Other: Sync {
    /// Who it is, for logs.
    fn name(&self) -> String;
    /// What it answers at an endpoint, or why it does not.
    fn ask(&self, endpoint: &'static str, body: &[u8]) -> impl Future<Output = Result<Bytes, String>> + Send;
    /// The bytes it hands out under a name, if they are those.
    fn fetch(&self, hash: &ChunkHash) -> impl Future<Output = Option<Chunk>> + Send;
}

/// This node.
struct Own<'a> {
    shared: &'a Arc<Shared>,
    chunks: &'a Chunks,
}

impl Keeper for Own<'_> {
    fn store(&self) -> &ChunkStore {
        &self.chunks.store
    }

    async fn digests(&self, cutoff: Timestamp) -> Result<Digests, ChunkStoreError> {
        self.chunks.digests.at(&self.chunks.store, cutoff).await
    }

    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    fn is_ours(&self, hash: &ChunkHash) -> bool {
        self.shared.view().is_our_chunk(hash)
    }
}

/// A node of the list.
struct Listed<'a> {
    shared: &'a Arc<Shared>,
    record: &'a SnodeRecord,
}

impl Other for Listed<'_> {
    fn name(&self) -> String {
        format!("{:?}", self.record.ed25519)
    }

    async fn ask(&self, endpoint: &'static str, body: &[u8]) -> Result<Bytes, String> {
        ask(self.shared, self.record, endpoint, body).await.map_err(|error| error.to_string())
    }

    async fn fetch(&self, hash: &ChunkHash) -> Option<Chunk> {
        fetch_from(self.shared, self.record, hash).await.map(|(chunk, _)| chunk)
    }
}

/// One comparison.
pub(super) async fn compare(own: &impl Keeper, member: &impl Other) -> Result<Found, String> {
    let cutoff = cutoff(own.now());
    let request = DigestsRequest { cutoff };
    let theirs = member.ask(wire::DIGESTS, &request.encode()).await?;
    let theirs = Digests::decode(&theirs).map_err(|e| e.to_string())?;
    let digests = own.digests(cutoff).await.map_err(|e| e.to_string())?;
    let mut found = Found::default();
    let mut taking = Taking { own, from: member, proof: None, is_full: false };
    let mut pages = 0;
    for bucket in digests.differing(&theirs) {
        let mut after: Option<(ChunkHash, Ed25519Public)> = None;
        loop {
            pages += 1;
            if pages > MAX_PAGES {
                return Err("the member names more than there can be".to_owned());
            }
            let request = NamesRequest { after, bucket, cutoff };
            let page = member.ask(wire::NAMES, &request.encode()).await?;
            let Names { more, names } = Names::decode(&page).map_err(|e| e.to_string())?;
            for name in names {
                let place = Some((name.hash, name.key));
                let [first, ..] = name.hash.0;
                if first != bucket || place <= after {
                    return Err("the member's names are in no order".to_owned());
                }
                after = place;
                match taking.take(name).await? {
                    Outcome::Taken => found.taken += 1,
                    Outcome::Later => found.unripe = true,
                    Outcome::Nothing => {}
                }
            }
            if !more {
                break;
            }
        }
    }
    Ok(found)
}

/// What came of another node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is here now as it is there.
    Taken,
    /// Perhaps another time.
    Later,
    /// There is nothing to be taken.
    Nothing,
}

/// Taking over what another node names.
struct Taking<'a, K, O> {
    own: &'a K,
    from: &'a O,
    /// The last proof it gave: one covers many names.
    proof: Option<(ChunkChange, Vec<u8>)>,
    /// There was no room for something, so nothing more is fetched.
    is_full: bool,
}

impl<K: Keeper, O: Other> Taking<'_, K, O> {
    async fn take(&mut self, name: Name) -> Result<Outcome, String> {
        if !self.own.is_ours(&name.hash) {
            return Ok(Outcome::Nothing);
        }
        let (store, now) = (self.own.store(), self.own.now());
        let wanted = wanted(store, name, now).await.map_err(|e| e.to_string())?;
        let expiry = match wanted {
            Want::Nothing => return Ok(Outcome::Nothing),
            Want::Proof => return self.take_deletion(name, now).await,
            Want::Name(expiry) => {
                let taken = store.take_name(Name { expiry, ..name }, now).await.map_err(|e| e.to_string())?;
                return Ok(if taken { Outcome::Taken } else { Outcome::Later });
            }
            Want::Bytes(expiry) => expiry,
        };
        if self.is_full {
            return Ok(Outcome::Nothing);
        }
        if now.since(name.first) < RIPE_AFTER {
            return Ok(Outcome::Later);
        }
        let Some(chunk) = self.from.fetch(&name.hash).await else { return Ok(Outcome::Nothing) };
        let claim = Claim::Member { first: name.first, expiry };
        match store.put(&chunk, name.key, claim, now).await {
            Ok(_) => Ok(Outcome::Taken),
            Err(ChunkStoreError::Refused(_, RefusedChunk(refused))) => {
                self.is_full |= refused == Refused::Full;
                Ok(Outcome::Nothing)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn take_deletion(&mut self, name: Name, now: Timestamp) -> Result<Outcome, String> {
        let covers = |change: &ChunkChange| change.key == name.key && change.hashes.contains(&name.hash);
        if !self.proof.as_ref().is_some_and(|(change, _)| covers(change)) {
            let request = FetchRequest { hash: name.hash, deleted_by: Some(name.key) };
            let Ok(bytes) = self.from.ask(wire::FETCH, &request.encode()).await else {
                return Ok(Outcome::Nothing);
            };
            let Some(change) = read_proof(&bytes).filter(covers) else {
                let member = self.from.name();
                tracing::warn!(member, "a member says that a chunk was deleted and cannot prove it");
                return Ok(Outcome::Nothing);
            };
            self.proof = Some((change, bytes.to_vec()));
        }
        let Some((change, proof)) = &self.proof else { return Ok(Outcome::Nothing) };
        let store = self.own.store();
        let kept = store.commitment(name.hash, name.key).await.map_err(|e| e.to_string())?;
        let began = kept.filter(|kept| kept.expiry > now).map_or(name.first, |kept| kept.first);
        if !ends(change, began, now) {
            return Ok(Outcome::Nothing);
        }
        match store.take_deletion(name, proof.clone(), now).await {
            Ok(()) => Ok(Outcome::Taken),
            Err(ChunkStoreError::Refused(..)) => Ok(Outcome::Nothing),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What a file key has signed to end commitments, if it has.
fn read_proof(bytes: &[u8]) -> Option<ChunkChange> {
    match Request::from_either(CHUNK_DELETE, bytes) {
        Ok(Request::ConclaveChunk(ChunkRequest::Change(change))) if change.expiry.is_none() => {
            change.verify().ok().map(|()| change)
        }
        _ => None,
    }
}

/// Whether a deletion concerns a commitment that began then: one from before does not, and none is of the future.
fn ends(deletion: &ChunkChange, began: Timestamp, now: Timestamp) -> bool {
    deletion.timestamp.plus(CLOCKS) >= began && deletion.timestamp <= now.plus(2 * CLOCKS)
}

/// What is lacking here of another node's name.
enum Want {
    Nothing,
    /// The proof of its deletion.
    Proof,
    /// The bytes, to be kept until then.
    Bytes(Timestamp),
    /// The bytes are here; they are to be kept until then.
    Name(Timestamp),
}

async fn wanted(store: &ChunkStore, name: Name, now: Timestamp) -> Result<Want, ChunkStoreError> {
    let kept = store.commitment(name.hash, name.key).await?;
    let others = store.others(name.hash, name.key, now).await?;
    let told = Commitment { first: name.first, expiry: name.expiry, deleted: name.deleted };
    let take = rules::take(kept, others, told, now);
    let expiry = match take {
        Take::Proof => return Ok(Want::Proof),
        Take::Lengthen(longer) => Some(longer.expiry),
        Take::Keep => Some(name.expiry),
        Take::Nothing => None,
    };
    let is_present = store.is_present(name.hash).await?;
    let lives = kept.filter(|kept| !kept.deleted && kept.expiry > now);
    Ok(match (expiry, lives) {
        (Some(expiry), _) if is_present => Want::Name(expiry),
        (Some(expiry), _) => Want::Bytes(expiry),
        // Its file was lost or damaged.
        (None, Some(kept)) if !is_present && !name.deleted => Want::Bytes(kept.expiry),
        (None, _) => Want::Nothing,
    })
}

/// Answers another node that asks for digests or names, or offers some.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    chunks: &Chunks,
    endpoint: &str,
    body: &[u8],
    from: Option<Ed25519Public>,
) -> Result<Bytes, Answer> {
    let invalid = |error: wire::InvalidChunkSync| Answer::error(400, format!("invalid request: {error}"));
    let failed = |error: ChunkStoreError| {
        tracing::error!(%error, "the store of chunks failed");
        Answer::error(500, "request failed")
    };
    match endpoint {
        wire::DIGESTS => {
            let DigestsRequest { cutoff } = DigestsRequest::decode(body).map_err(invalid)?;
            let digests = chunks.digests.at(&chunks.store, cutoff).await.map_err(failed)?;
            Ok(digests.encode().into())
        }
        wire::NAMES => {
            let NamesRequest { after, bucket, cutoff } = NamesRequest::decode(body).map_err(invalid)?;
            Ok(chunks.store.names(bucket, cutoff, after).await.map_err(failed)?.encode().into())
        }
        _ => {
            let Names { names, .. } = Names::decode(body).map_err(invalid)?;
            super::serve::belongs_here(shared, &names.iter().map(|name| name.hash).collect::<Vec<_>>())?;
            let view = shared.view();
            let from = from.and_then(|from| view.directory().node(&from).copied());
            let from = from.ok_or_else(|| Answer::error(403, "only nodes of the list may offer"))?;
            offered(shared, chunks, &from, names).await
        }
    }
}

/// Takes over of an offer what needs no bytes, and says whose bytes are wanted.
async fn offered(
    shared: &Arc<Shared>,
    chunks: &Chunks,
    from: &SnodeRecord,
    names: Vec<Name>,
) -> Result<Bytes, Answer> {
    let failed = |error: String| {
        tracing::debug!(%error, "an offer of chunks was not taken");
        Answer::error(500, "request failed")
    };
    let (mut lacking, now) = (Wanted::default(), shared.now());
    let (own, listed) = (Own { shared, chunks }, Listed { shared, record: from });
    let mut taking = Taking { own: &own, from: &listed, proof: None, is_full: false };
    for name in names {
        match wanted(&chunks.store, name, now).await.map_err(|e| failed(e.to_string()))? {
            Want::Bytes(_) if lacking.hashes.last() != Some(&name.hash) => lacking.hashes.push(name.hash),
            Want::Bytes(_) | Want::Nothing => {}
            Want::Proof | Want::Name(_) => drop(taking.take(name).await.map_err(failed)?),
        }
    }
    chunks.digests.forget().await;
    Ok(lacking.encode().into())
}

/// Brings chunks that belong elsewhere there, after each change of the directory, and removes the own copy when a majority
/// of the swarm they belong to has them. Never ends.
pub(crate) async fn move_what_belongs_elsewhere(shared: Arc<Shared>) {
    let Some(chunks) = &shared.chunks else { return };
    let mut views = shared.registry.views();
    let mut pause = AGAIN.0;
    loop {
        views.borrow_and_update();
        let left = match everything(&shared, chunks).await {
            Ok(0) => {
                pause = AGAIN.0;
                None
            }
            Ok(left) => Some(format!("{left} could not be brought yet")),
            Err(error) => Some(error.to_string()),
        };
        let again = left.map(|error| {
            tracing::debug!(error, "chunks that belong elsewhere are still here");
            let now = pause;
            pause = (pause * 2).min(AGAIN.1);
            now
        });
        tokio::select! {
            () = tokio::time::sleep(again.unwrap_or(Duration::MAX / 4)), if again.is_some() => {}
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                pause = AGAIN.0;
            }
        }
    }
}

/// Goes through all chunks once; how many are left that belong elsewhere.
async fn everything(shared: &Arc<Shared>, chunks: &Chunks) -> Result<usize, ChunkStoreError> {
    let (mut after, mut moved, mut left) = (None, 0, 0);
    loop {
        let hashes = chunks.store.hashes(after, STEP).await?;
        let Some(last) = hashes.last() else { break };
        after = Some(*last);
        let view = shared.view();
        let mut elsewhere: BTreeMap<SwarmId, Vec<ChunkHash>> = BTreeMap::new();
        for hash in hashes.into_iter().filter(|hash| !view.is_our_chunk(hash)) {
            if let Some(swarm) = hash.swarm(view.directory().swarms()) {
                elsewhere.entry(swarm).or_default().push(hash);
            }
        }
        for (swarm, hashes) in elsewhere {
            let members: Vec<SnodeRecord> = view.directory().members(swarm).copied().collect();
            let count = hashes.len();
            let gone = bring(shared, chunks, &members, hashes).await?;
            moved += gone;
            left += count - gone;
        }
    }
    if moved > 0 {
        chunks.digests.forget().await;
        tracing::info!(moved, "chunks of files were brought to the swarms that keep them now");
    }
    Ok(left)
}

/// Brings chunks to the members of a swarm; how many a majority of them has now, so that they are gone here.
async fn bring(
    shared: &Arc<Shared>,
    chunks: &Chunks,
    members: &[SnodeRecord],
    hashes: Vec<ChunkHash>,
) -> Result<usize, ChunkStoreError> {
    let mut names = Vec::new();
    for hash in &hashes {
        names.extend(chunks.store.names_of(*hash).await?);
    }
    names.truncate(wire::MAX_NAMES);
    let mut there: BTreeMap<ChunkHash, usize> = hashes.iter().map(|hash| (*hash, 0)).collect();
    let start = usize::try_from(OsRng.next_u32()).unwrap_or(0);
    for turn in 0..members.len() {
        let Some(member) = members.get(start.wrapping_add(turn) % members.len()) else { break };
        match bring_to(shared, chunks, member, &names).await {
            Ok(lacking) => {
                let has = there.iter_mut().filter(|(hash, _)| !lacking.contains(hash));
                has.for_each(|(_, count)| *count += 1);
            }
            Err(error) => tracing::debug!(%error, "chunks could not be brought to a member"),
        }
    }
    let mut gone = 0;
    for (hash, count) in there {
        if count * 2 > members.len() {
            chunks.store.remove(hash).await?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// Brings names and their bytes to one node; what it still lacks then.
async fn bring_to(
    shared: &Arc<Shared>,
    chunks: &Chunks,
    member: &SnodeRecord,
    names: &[Name],
) -> Result<Vec<ChunkHash>, RequestError> {
    let offer = Names { more: false, names: names.to_vec() }.encode();
    let mut lacking = Vec::new();
    for _ in 0..OFFERS {
        let answer = ask(shared, member, wire::OFFER, &offer).await?;
        let Ok(Wanted { hashes }) = Wanted::decode(&answer) else { break };
        // Nothing but what was offered is given.
        lacking = hashes.into_iter().filter(|hash| names.iter().any(|name| name.hash == *hash)).collect();
        if lacking.is_empty() {
            break;
        }
        for hash in &lacking {
            let lives = |name: &&Name| name.hash == *hash && !name.deleted;
            let Some(name) = names.iter().filter(lives).max_by_key(|name| name.expiry) else { continue };
            let Ok(super::store::Found::Here(chunk, _)) = chunks.store.get(*hash, shared.now()).await else {
                continue;
            };
            let Name { expiry, first, key, .. } = name;
            let put = ChunkPut::encode_parts(chunk.data(), *expiry, *first, hash, key);
            match ask(shared, member, wire::PUT, &put).await {
                // It says why not; the next offer tells that it still lacks it.
                Ok(_) | Err(RequestError::Remote(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(lacking)
}
