//! Ours: the chunks of files, `conclave_chunk_*` (docs/protocol/files). Never inside batch, sequence or ifelse: answers of
//! several would not fit into one.

use std::collections::BTreeMap;

use conclave_crypto::{BadSignature, Ed25519Public, Ed25519Secret, Signature};

use super::answers::{Answer, Body, Failure, Stamp};
use super::fields::{Field, Fields, missing, wrong};
use super::{Dict, RpcError, Value, shown};
use crate::Timestamp;
use crate::chunk::{CHUNK_SIZE, ChunkHash};

/// Keeps a chunk.
pub const CHUNK_STORE: &str = "conclave_chunk_store";
/// Hands a chunk out.
pub const CHUNK_GET: &str = "conclave_chunk_get";
/// Lengthens lives.
pub const CHUNK_RENEW: &str = "conclave_chunk_renew";
/// Ends commitments.
pub const CHUNK_DELETE: &str = "conclave_chunk_delete";
/// In the list of what a node offers: it is a file server for programs of others, at the port that follows.
pub const FILE_SERVER: &str = "conclave_file_server:";
/// Chunks in one renewal or deletion.
pub const MAX_CHANGED: usize = 256;

/// A request about chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkRequest {
    /// [`CHUNK_STORE`]
    Store(ChunkStore),
    /// [`CHUNK_GET`]
    Get(ChunkHash),
    /// [`CHUNK_RENEW`] and [`CHUNK_DELETE`]
    Change(ChunkChange),
}

/// Keeps a chunk until `expiry` for whoever has the secret of `key`.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkStore {
    /// What the data must hash to; parsing has not compared them.
    pub hash: ChunkHash,
    /// 1 to [`CHUNK_SIZE`] bytes.
    pub data: Vec<u8>,
    /// The file key.
    pub key: Ed25519Public,
    /// When the commitment ends.
    pub expiry: Timestamp,
}

impl std::fmt::Debug for ChunkStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hash, data, key, expiry } = self;
        write!(f, "ChunkStore({hash:?}, {} bytes, {key:?}, {expiry})", data.len())
    }
}

/// Lengthens or ends commitments of one file key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkChange {
    /// Which chunks, all of one swarm: 1 to [`MAX_CHANGED`].
    pub hashes: Vec<ChunkHash>,
    /// The file key.
    pub key: Ed25519Public,
    /// The new end of the commitments; `None` ends them now.
    pub expiry: Option<Timestamp>,
    /// When it was signed; within a minute of the node's clock.
    pub timestamp: Timestamp,
    /// By the file key, over [`Self::signed_bytes`].
    pub signature: Signature,
}

impl ChunkChange {
    /// Signs a change; `expiry` of `None` deletes.
    pub fn signed(
        hashes: Vec<ChunkHash>,
        key: &Ed25519Secret,
        expiry: Option<Timestamp>,
        timestamp: Timestamp,
    ) -> Self {
        let signature = key.sign(&signed_by_key(&hashes, expiry, timestamp));
        Self { hashes, key: key.public(), expiry, timestamp, signature }
    }

    /// Checks that the file key asks for this.
    ///
    /// # Errors
    /// If it has not signed it.
    pub fn verify(&self) -> Result<(), BadSignature> {
        self.key.verify(&self.signed_bytes(), &self.signature)
    }

    /// The method's name, the hashes, the expiry of a renewal, and the time.
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_by_key(&self.hashes, self.expiry, self.timestamp)
    }

    const fn method(&self) -> &'static str {
        if self.expiry.is_some() { CHUNK_RENEW } else { CHUNK_DELETE }
    }
}

fn signed_by_key(hashes: &[ChunkHash], expiry: Option<Timestamp>, timestamp: Timestamp) -> Vec<u8> {
    let method = if expiry.is_some() { CHUNK_RENEW } else { CHUNK_DELETE };
    let mut bytes = with_hashes(method, hashes);
    if let Some(expiry) = expiry {
        bytes.extend_from_slice(expiry.to_string().as_bytes());
    }
    bytes.extend_from_slice(timestamp.to_string().as_bytes());
    bytes
}

fn with_hashes(method: &str, hashes: &[ChunkHash]) -> Vec<u8> {
    let mut bytes = method.as_bytes().to_vec();
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
    bytes
}

impl ChunkRequest {
    /// The method's name.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Store(_) => CHUNK_STORE,
            Self::Get(_) => CHUNK_GET,
            Self::Change(change) => change.method(),
        }
    }

    /// The chunks it is about, at least one.
    pub fn hashes(&self) -> &[ChunkHash] {
        match self {
            Self::Store(store) => std::slice::from_ref(&store.hash),
            Self::Get(hash) => std::slice::from_ref(hash),
            Self::Change(change) => &change.hashes,
        }
    }

    /// Whether it changes what nodes keep, so that every member of the swarm is asked.
    pub const fn is_write(&self) -> bool {
        !matches!(self, Self::Get(_))
    }

    pub(super) fn parse(method: &str, fields: Fields<'_>) -> Result<Self, RpcError> {
        Ok(match method {
            CHUNK_STORE => Self::Store(ChunkStore {
                hash: hash(fields.field("hash").ok_or_else(|| missing("hash"))?)?,
                data: data(fields)?,
                key: key(fields)?,
                expiry: fields.required_time("expiry")?,
            }),
            CHUNK_GET => Self::Get(hash(fields.field("hash").ok_or_else(|| missing("hash"))?)?),
            CHUNK_RENEW | CHUNK_DELETE => Self::Change(ChunkChange {
                hashes: hashes(fields)?,
                key: key(fields)?,
                expiry: (method == CHUNK_RENEW).then(|| fields.required_time("expiry")).transpose()?,
                timestamp: fields.required_time("timestamp")?,
                signature: fields.signature("signature")?.ok_or_else(|| missing("signature"))?,
            }),
            unknown => return Err(RpcError::no_method(unknown)),
        })
    }

    /// The parameters; `bytes` spells hashes and keys.
    pub(super) fn params(&self, bytes: impl Fn(&[u8; 32]) -> Value) -> Dict {
        let mut out = Dict::new();
        match self {
            Self::Store(r) => {
                out.insert("hash".to_owned(), bytes(&r.hash.0));
                out.insert("data".to_owned(), r.data.clone().into());
                out.insert("key".to_owned(), bytes(r.key.as_bytes()));
                out.insert("expiry".to_owned(), r.expiry.into());
            }
            Self::Get(hash) => drop(out.insert("hash".to_owned(), bytes(&hash.0))),
            Self::Change(r) => {
                let hashes: Vec<Value> = r.hashes.iter().map(|hash| bytes(&hash.0)).collect();
                out.insert("hashes".to_owned(), hashes.into());
                out.insert("key".to_owned(), bytes(r.key.as_bytes()));
                if let Some(expiry) = r.expiry {
                    out.insert("expiry".to_owned(), expiry.into());
                }
                out.insert("timestamp".to_owned(), r.timestamp.into());
                out.insert("signature".to_owned(), r.signature.into());
            }
        }
        out
    }
}

/// 32 bytes: hex in JSON, raw in bt.
fn bytes32(field: Field<'_>) -> Option<[u8; 32]> {
    match field {
        Field::Bt(value) => value.as_bytes()?.try_into().ok(),
        Field::Json(value) => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(value.as_str()?, &mut bytes).ok()?;
            Some(bytes)
        }
    }
}

fn hash(field: Field<'_>) -> Result<ChunkHash, RpcError> {
    bytes32(field).map(ChunkHash).ok_or_else(|| {
        RpcError::invalid(format_args!("invalid chunk hash: {}", shown(field.text().unwrap_or_default())))
    })
}

fn hashes(fields: Fields<'_>) -> Result<Vec<ChunkHash>, RpcError> {
    let list = fields.field("hashes").ok_or_else(|| missing("hashes"))?;
    let list = list.list().ok_or_else(|| wrong("hashes", "list of chunk hashes"))?;
    if list.is_empty() || list.len() > MAX_CHANGED {
        return Err(RpcError::invalid(format_args!("hashes must have 1 to {MAX_CHANGED} entries")));
    }
    list.into_iter().map(hash).collect()
}

fn key(fields: Fields<'_>) -> Result<Ed25519Public, RpcError> {
    let field = fields.field("key").ok_or_else(|| missing("key"))?;
    bytes32(field)
        .and_then(|bytes| Ed25519Public::from_bytes(bytes).ok())
        .ok_or_else(|| wrong("key", "Ed25519 public key"))
}

fn data(fields: Fields<'_>) -> Result<Vec<u8>, RpcError> {
    let field = fields.field("data").ok_or_else(|| missing("data"))?;
    let (length, most) = match field {
        Field::Json(value) => (value.as_str().map(str::len), CHUNK_SIZE.div_ceil(3) * 4),
        Field::Bt(value) => (value.as_bytes().map(<[u8]>::len), CHUNK_SIZE),
    };
    let refused = || RpcError::invalid(format_args!("a chunk has 1 to {CHUNK_SIZE} bytes"));
    if !(1..=most).contains(&length.ok_or_else(|| wrong("data", "string"))?) {
        return Err(refused());
    }
    let data = field.binary().ok_or_else(|| RpcError::invalid("Invalid 'data' value: not base64 encoded"))?;
    if (1..=CHUNK_SIZE).contains(&data.len()) { Ok(data) } else { Err(refused()) }
}

/// The answer to [`CHUNK_GET`].
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkAnswer {
    /// The chunk. Whoever asked hashes it before believing it.
    pub data: Vec<u8>,
    /// The latest end of its commitments, at the node that answers.
    pub expiry: Timestamp,
}

impl std::fmt::Debug for ChunkAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChunkAnswer({} bytes, {})", self.data.len(), self.expiry)
    }
}

impl ChunkAnswer {
    /// As an answer.
    pub fn to_answer(self, stamp: Stamp) -> Answer {
        let mut result =
            Dict::from([("data".to_owned(), self.data.into()), ("expiry".to_owned(), self.expiry.into())]);
        stamp.add_to(&mut result);
        Answer::ok(result)
    }

    /// Reads an answer to a request for `hash`. `None` if it is none, or the data is not that chunk.
    pub fn from_json(hash: &ChunkHash, answer: &serde_json::Value) -> Option<Self> {
        let fields = Fields::Json(answer.as_object()?);
        let data = data(fields).ok()?;
        let expiry = fields.required_time("expiry").ok()?;
        (ChunkHash::of(&data) == *hash).then_some(Self { data, expiry })
    }
}

/// What a member of the swarm has done, and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkResult {
    /// The chunks it was done to: of those asked for, the ones it keeps, in the order asked.
    pub hashes: Vec<ChunkHash>,
    /// The earliest end of their commitments now; `None` for deletions.
    pub expiry: Option<Timestamp>,
    /// By the member.
    pub signature: Signature,
}

impl ChunkResult {
    /// Signs what this node has done about `request`, whose file key is `key`.
    pub fn signed(
        request: &ChunkRequest,
        hashes: Vec<ChunkHash>,
        expiry: Option<Timestamp>,
        node: &Ed25519Secret,
    ) -> Option<Self> {
        let signature = node.sign(&signed_by_node(request, &hashes, expiry)?);
        Some(Self { hashes, expiry, signature })
    }

    /// Whether `node` says so about `request`, and it is about what was asked.
    pub fn verify(&self, request: &ChunkRequest, node: &Ed25519Public) -> bool {
        let asked = request.hashes();
        self.hashes.iter().all(|hash| asked.contains(hash))
            && signed_by_node(request, &self.hashes, self.expiry)
                .is_some_and(|bytes| node.verify(&bytes, &self.signature).is_ok())
    }

    fn to_dict(&self, bytes: impl Fn(&[u8; 32]) -> Value) -> Dict {
        let hashes: Vec<Value> = self.hashes.iter().map(|hash| bytes(&hash.0)).collect();
        let mut out =
            Dict::from([("done".to_owned(), hashes.into()), ("signature".to_owned(), self.signature.into())]);
        if let Some(expiry) = self.expiry {
            out.insert("expiry".to_owned(), expiry.into());
        }
        out
    }

    fn read(fields: Fields<'_>) -> Option<Self> {
        let hashes = fields.field("done")?.list()?;
        if hashes.len() > MAX_CHANGED {
            return None;
        }
        Some(Self {
            hashes: hashes.into_iter().map(|field| bytes32(field).map(ChunkHash)).collect::<Option<_>>()?,
            expiry: fields.time("expiry").ok()?,
            signature: fields.signature("signature").ok()??,
        })
    }

    /// As members answer each other.
    pub fn to_bt(&self) -> Vec<u8> {
        Value::Dict(self.to_dict(|bytes| bytes.to_vec().into())).to_bt().encode()
    }

    /// Reads what a member answered. `None` if it is no such answer.
    pub fn from_bt(bytes: &[u8]) -> Option<Self> {
        match crate::bt::Value::decode_in_order(bytes) {
            Ok(crate::bt::Value::Dict(entries)) => Self::read(Fields::Bt(&entries)),
            _ => None,
        }
    }
}

/// The method, the hashes done, the file key, and the expiry if there is one.
fn signed_by_node(request: &ChunkRequest, done: &[ChunkHash], expiry: Option<Timestamp>) -> Option<Vec<u8>> {
    let key = match request {
        ChunkRequest::Store(store) => &store.key,
        ChunkRequest::Change(change) => &change.key,
        ChunkRequest::Get(_) => return None,
    };
    let mut bytes = with_hashes(request.method(), done);
    bytes.extend_from_slice(key.as_bytes());
    if let Some(expiry) = expiry {
        bytes.extend_from_slice(expiry.to_string().as_bytes());
    }
    Some(bytes)
}

/// The answer to a write: what became of it at each member of the swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkSwarmAnswer(pub BTreeMap<[u8; 32], Result<ChunkResult, Failure>>);

impl ChunkSwarmAnswer {
    /// As the entry node answers it: 200 if at least one member did it, else 500.
    pub fn to_answer(&self, stamp: Stamp) -> Answer {
        let entry = |(node, result): (&[u8; 32], &Result<ChunkResult, Failure>)| {
            let entry = match result {
                Ok(result) => result.to_dict(|bytes| hex::encode(bytes).into()),
                Err(failure) => failure.to_dict(),
            };
            (hex::encode(node), entry.into())
        };
        let swarm: Dict = self.0.iter().map(entry).collect();
        let mut result = Dict::from([("swarm".to_owned(), swarm.into())]);
        stamp.add_to(&mut result);
        let code = if self.0.values().any(Result::is_ok) { 200 } else { 500 };
        Answer { code, body: Body::Value(Value::Dict(result)) }
    }

    /// Reads the entry node's answer. Entries that are no result count as failed; names that are no keys are left out.
    /// `None` if there is no `swarm`.
    pub fn from_json(answer: &serde_json::Value) -> Option<Self> {
        let member = |(name, entry): (&String, &serde_json::Value)| {
            let mut key = [0; 32];
            hex::decode_to_slice(name, &mut key).ok()?;
            let fields = Fields::Json(entry.as_object()?);
            let failed = fields.field("failed").is_some_and(super::results::truth);
            let result = match ChunkResult::read(fields) {
                Some(result) if !failed => Ok(result),
                _ if failed => Err(Failure::read(fields)),
                _ => Err(Failure { bad_peer_response: true, ..Failure::default() }),
            };
            Some((key, result))
        };
        Some(Self(answer.get("swarm")?.as_object()?.iter().filter_map(member).collect()))
    }

    /// The members among `swarm` that have done all of `request`, by signatures that hold.
    pub fn done_by<'a>(
        &'a self,
        request: &'a ChunkRequest,
        swarm: impl Iterator<Item = Ed25519Public> + 'a,
    ) -> impl Iterator<Item = Ed25519Public> + 'a {
        swarm.filter(move |node| match self.0.get(node.as_bytes()) {
            Some(Ok(result)) => result.hashes.len() == request.hashes().len() && result.verify(request, node),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Request;

    fn secret(n: u8) -> Ed25519Secret {
        Ed25519Secret::from_seed(&[n; 32])
    }

    fn requests() -> Vec<ChunkRequest> {
        let data = vec![7; 1000];
        let hash = ChunkHash::of(&data);
        let (key, expiry, now) = (secret(1), Timestamp(1_800_000_000_000), Timestamp(1_700_000_000_000));
        vec![
            ChunkRequest::Store(ChunkStore { hash, data, key: key.public(), expiry }),
            ChunkRequest::Get(hash),
            ChunkRequest::Change(ChunkChange::signed(vec![hash], &key, Some(expiry), now)),
            ChunkRequest::Change(ChunkChange::signed(vec![hash, ChunkHash([9; 32])], &key, None, now)),
        ]
    }

    #[test]
    fn requests_come_back_from_json_and_bt() {
        for request in requests() {
            let request = Request::ConclaveChunk(request);
            assert_eq!(Request::from_json_body(&request.to_json_body()).unwrap(), request);
            assert_eq!(Request::from_either(request.method(), &request.to_bt()).unwrap(), request);
        }
    }

    #[test]
    fn a_batch_holds_none_of_them() {
        for request in requests() {
            let batch = Request::Batch(vec![Request::ConclaveChunk(request)]);
            let refused = Request::from_json_body(&batch.to_json_body()).unwrap_err();
            assert!(refused.body.contains("meta-requests"), "{refused}");
        }
    }

    #[test]
    fn a_chunk_of_a_wrong_size_is_refused() {
        for size in [0, CHUNK_SIZE + 1, CHUNK_SIZE + 3] {
            let [ChunkRequest::Store(store), ..] = &requests()[..] else { unreachable!() };
            let store = ChunkStore { data: vec![0; size], ..store.clone() };
            let request = Request::ConclaveChunk(ChunkRequest::Store(store));
            assert_eq!(Request::from_json_body(&request.to_json_body()).unwrap_err().code, 400, "{size}");
            assert_eq!(
                Request::from_either(request.method(), &request.to_bt()).unwrap_err().code,
                400,
                "{size}"
            );
        }
    }

    #[test]
    fn the_file_key_signs_what_kind_of_change_it_is_to_what_and_when() {
        let [.., ChunkRequest::Change(renew), ChunkRequest::Change(delete)] = &requests()[..] else {
            unreachable!()
        };
        assert!(renew.verify().is_ok() && delete.verify().is_ok());
        let later = Timestamp(1_800_000_000_001);
        for forged in [
            ChunkChange { expiry: None, ..renew.clone() },
            ChunkChange { expiry: Some(later), ..renew.clone() },
            ChunkChange { expiry: Some(later), ..delete.clone() },
            ChunkChange { hashes: vec![ChunkHash([3; 32])], ..renew.clone() },
            ChunkChange { timestamp: later, ..delete.clone() },
            ChunkChange { key: secret(2).public(), ..delete.clone() },
        ] {
            assert!(forged.verify().is_err(), "{forged:?}");
        }
    }

    #[test]
    fn members_count_when_they_have_signed_that_they_did_all_of_it() {
        let members: Vec<Ed25519Secret> = (10..15).map(secret).collect();
        for request in requests().into_iter().filter(ChunkRequest::is_write) {
            let expiry = match &request {
                ChunkRequest::Change(change) => change.expiry,
                _ => Some(Timestamp(1_800_000_000_000)),
            };
            let all = request.hashes().to_vec();
            let result = |n: usize, hashes: &[ChunkHash]| {
                ChunkResult::signed(&request, hashes.to_vec(), expiry, &members[n]).unwrap()
            };
            let forged = ChunkResult { signature: result(0, &all).signature, ..result(3, &all) };
            let answer = ChunkSwarmAnswer(BTreeMap::from([
                (*members[0].public().as_bytes(), Ok(result(0, &all))),
                (*members[1].public().as_bytes(), Ok(result(1, &all))),
                (*members[2].public().as_bytes(), Ok(result(2, &[]))),
                (*members[3].public().as_bytes(), Ok(forged)),
                (*members[4].public().as_bytes(), Err(Failure::answered(507, "full"))),
            ]));
            let answer = answer.to_answer(Stamp { t: Timestamp(1), hf: [1, 2] }).to_value().to_json();
            let answer = ChunkSwarmAnswer::from_json(&answer).unwrap();
            let done: Vec<_> = answer.done_by(&request, members.iter().map(Ed25519Secret::public)).collect();
            assert_eq!(done, [members[0].public(), members[1].public()]);
            let bt = result(1, &all).to_bt();
            assert_eq!(ChunkResult::from_bt(&bt), Some(result(1, &all)));
        }
    }

    #[test]
    fn other_data_is_no_answer() {
        let data = b"chunk".to_vec();
        let answer = ChunkAnswer { data: data.clone(), expiry: Timestamp(1_800_000_000_000) };
        let json = answer.to_answer(Stamp { t: Timestamp(1), hf: [1, 2] }).to_value().to_json();
        assert!(ChunkAnswer::from_json(&ChunkHash::of(&data), &json).is_some());
        assert!(ChunkAnswer::from_json(&ChunkHash::of(b"other"), &json).is_none());
    }
}
