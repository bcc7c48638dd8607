//! Whole answers: built by nodes, read by clients (storage-and-onion 1.3, 1.5, 2).
//!
//! Reading is tolerant of what deployed nodes send: base64 with or without padding, `true` or 1,
//! keys nobody knows. It trusts nothing: signatures are [`NodeResult::verify`]'s.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use conclave_crypto::{Ed25519Public, X25519Public};

use super::fields::Fields;
use super::results::{NodeResult, hash, number, time, truth};
use super::{Dict, Request, RpcError, Value, status};
use crate::btstream::Frame;
use crate::{MessageHash, SnodeRecord, SwarmId, Timestamp, Version, base32z};

/// Status and body of an answer, before a transport spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// See [`status`].
    pub code: u16,
    /// What is said.
    pub body: Body,
}

/// The three kinds of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Plain text: most errors.
    Text(String),
    /// A structured result.
    Value(Value),
    /// Raw bytes: `active_nodes_bin`.
    Binary(Vec<u8>),
}

impl From<RpcError> for Answer {
    fn from(error: RpcError) -> Self {
        Self { code: error.code, body: Body::Text(error.body) }
    }
}

impl Answer {
    /// 200 with a dictionary.
    pub fn ok(result: Dict) -> Self {
        Self { code: 200, body: Body::Value(Value::Dict(result)) }
    }

    /// An error with a text of its own.
    pub fn error(code: u16, text: impl Into<String>) -> Self {
        Self { code, body: Body::Text(text.into()) }
    }

    /// The body alone, in the encoding of the request.
    pub fn bytes(&self, as_bt: bool) -> Vec<u8> {
        match &self.body {
            Body::Text(text) => text.clone().into_bytes(),
            Body::Binary(bytes) => bytes.clone(),
            Body::Value(value) if as_bt => value.to_bt().encode(),
            Body::Value(value) => value.to_json().to_string().into_bytes(),
        }
    }

    /// The `Content-Type` of HTTPS (1.1).
    pub const fn content_type(&self) -> &'static str {
        match self.body {
            Body::Text(_) => "text/plain",
            Body::Value(_) => "application/json",
            Body::Binary(_) => "application/octet-stream",
        }
    }

    /// The frame that answers request `id` over QUIC (1.3): a reply `[200, result]`, raw bytes as they
    /// are, or an error `"<code> <reason>\n\n<body>"` with a structured body again as `[code, body]`.
    pub fn to_frame(&self, id: u64, as_bt: bool) -> Frame {
        let body = match &self.body {
            Body::Value(value) => {
                let pair = Value::List(vec![self.code.into(), value.clone()]);
                Self { code: self.code, body: Body::Value(pair) }.bytes(as_bt)
            }
            _ => self.bytes(as_bt),
        };
        if self.code == 200 {
            return Frame::Reply { id, body: body.into() };
        }
        let reason = status::reason(self.code).unwrap_or("Unknown");
        let mut error = format!("{} {reason}\n\n", self.code).into_bytes();
        error.extend(body);
        Frame::Error { id, body: error.into() }
    }

    /// The value inside the answer of a batch or of an onion reply: binary becomes base64 in JSON.
    pub fn to_value(&self) -> Value {
        match &self.body {
            Body::Text(text) => Value::Text(text.clone()),
            Body::Value(value) => value.clone(),
            Body::Binary(bytes) => Value::Binary(bytes.clone()),
        }
    }

    /// `{"code", "body"}`, as batches carry it (2.19).
    pub fn to_subresult(&self) -> Value {
        Value::Dict(Dict::from([("code".to_owned(), self.code.into()), ("body".to_owned(), self.to_value())]))
    }
}

/// Status and body of a QUIC error frame. `None` if it does not begin with a status.
pub fn read_error_frame(body: &[u8]) -> Option<(u16, &[u8])> {
    let line = body.iter().position(|&b| b == b'\n')?;
    let (head, rest) = body.split_at_checked(line)?;
    let code = std::str::from_utf8(head.get(..3)?).ok()?.parse().ok()?;
    Some((code, rest.strip_prefix(b"\n\n").unwrap_or_default()))
}

/// Status and result of a QUIC reply frame in JSON, `[200, result]`. `None` for anything else.
pub fn read_reply_frame(body: &[u8]) -> Option<(u16, serde_json::Value)> {
    let (code, result): (u16, serde_json::Value) = serde_json::from_slice(body).ok()?;
    Some((code, result))
}

/// What most answers add at their top level (1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The node's clock.
    pub t: Timestamp,
    /// Hardfork and revision.
    pub hf: [u64; 2],
}

impl Stamp {
    /// Adds `t` and `hf`.
    pub fn add_to(self, result: &mut Dict) {
        result.insert("t".to_owned(), self.t.into());
        result.insert("hf".to_owned(), self.hf.as_slice().into());
    }

    /// Reads `t` and `hf`; `None` if there is no `t`.
    pub fn read(answer: &serde_json::Value) -> Option<Self> {
        let fields = Fields::Json(answer.as_object()?);
        let t = time(fields.field("t")?)?;
        let numbers = fields.field("hf").and_then(super::fields::Field::list).unwrap_or_default();
        let mut numbers = numbers.into_iter().filter_map(number);
        let mut next = || numbers.next().unwrap_or_default();
        Some(Self { t, hf: [next(), next()] })
    }
}

/// Why a member of the swarm did not do what was asked (2.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// It did not answer in time.
    pub timeout: bool,
    /// The status it answered.
    pub code: Option<String>,
    /// Its words.
    pub reason: Option<String>,
    /// Its answer made no sense.
    pub bad_peer_response: bool,
    /// Its database failed, or is full.
    pub query_failure: bool,
}

/// What became of a write at one member of the swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberResult {
    /// It says it did it. Not yet verified.
    Done(NodeResult),
    /// It did not.
    Failed(Failure),
}

/// The answer to a write: what became of it at each member of the swarm (2.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwarmAnswer(pub BTreeMap<[u8; 32], MemberResult>);

impl SwarmAnswer {
    /// As the entry node answers it: 200 if at least one member did it, else 500; for `delete` with
    /// `required`, 404 if none had anything. `own` is the entry node's key, whose entry has `t`.
    pub fn to_answer(&self, request: &Request, own: &[u8; 32], stamp: Stamp) -> Answer {
        let mut swarm = Dict::new();
        for (node, result) in &self.0 {
            let mut entry = match result {
                MemberResult::Done(result) => result.to_dict(),
                MemberResult::Failed(failure) => failure.to_dict(),
            };
            if node == own && matches!(request, Request::Store(_)) {
                entry.insert("t".to_owned(), stamp.t.into());
            }
            swarm.insert(hex::encode(node), entry.into());
        }
        let mut result = Dict::from([("swarm".to_owned(), swarm.into())]);
        if let Request::Store(store) = request {
            let hash = MessageHash::of(&store.account, store.namespace, &store.data);
            result.insert("hash".to_owned(), hash.into());
        }
        stamp.add_to(&mut result);
        let done = || {
            self.0.values().filter_map(|member| match member {
                MemberResult::Done(result) => Some(&result.outcome),
                MemberResult::Failed(_) => None,
            })
        };
        let nothing = |outcome: &super::results::Outcome| matches!(outcome, super::results::Outcome::Deleted(hashes) if hashes.is_empty());
        let code = match request {
            _ if done().next().is_none() => 500,
            Request::Delete(delete) if delete.required && done().all(nothing) => 404,
            _ => 200,
        };
        Answer { code, body: Body::Value(Value::Dict(result)) }
    }

    /// Reads the entry node's answer to `request`. Entries that are no result of it count as failed;
    /// names that are no keys are left out. `None` if there is no `swarm`.
    pub fn from_json(request: &Request, answer: &serde_json::Value) -> Option<Self> {
        let swarm = answer.get("swarm")?.as_object()?;
        let member = |(name, entry): (&String, &serde_json::Value)| {
            let mut key = [0; 32];
            hex::decode_to_slice(name, &mut key).ok()?;
            let fields = Fields::Json(entry.as_object()?);
            let failure = || Failure { bad_peer_response: true, ..Failure::default() };
            let result = if fields.field("failed").is_some_and(truth) {
                MemberResult::Failed(Failure::read(fields))
            } else {
                NodeResult::read(request, fields)
                    .map_or_else(|| MemberResult::Failed(failure()), MemberResult::Done)
            };
            Some((key, result))
        };
        Some(Self(swarm.iter().filter_map(member).collect()))
    }

    /// The members whose signature holds, among `swarm`.
    pub fn verified<'a>(&self, request: &Request, swarm: &'a [SnodeRecord]) -> Vec<&'a SnodeRecord> {
        let holds = |node: &&SnodeRecord| match self.0.get(node.ed25519.as_bytes()) {
            Some(MemberResult::Done(result)) => result.verify(request, &node.ed25519).is_ok(),
            _ => false,
        };
        swarm.iter().filter(holds).collect()
    }
}

impl Failure {
    /// The member answered `code` with `reason`.
    pub fn answered(code: u16, reason: impl Into<String>) -> Self {
        Self { code: Some(code.to_string()), reason: Some(reason.into()), ..Self::default() }
    }

    pub(super) fn to_dict(&self) -> Dict {
        let mut out = Dict::from([("failed".to_owned(), true.into())]);
        for (name, given) in [
            ("timeout", self.timeout),
            ("bad_peer_response", self.bad_peer_response),
            ("query_failure", self.query_failure),
        ] {
            if given {
                out.insert(name.to_owned(), true.into());
            }
        }
        for (name, text) in [("code", &self.code), ("reason", &self.reason)] {
            if let Some(text) = text {
                out.insert(name.to_owned(), text.as_str().into());
            }
        }
        out
    }

    pub(super) fn read(fields: Fields<'_>) -> Self {
        let flag = |name| fields.field(name).is_some_and(truth);
        let text = |name| {
            let field = fields.field(name)?;
            field.text().map(str::to_owned).or_else(|| field.int().map(|number| number.to_string()))
        };
        Self {
            timeout: flag("timeout"),
            code: text("code"),
            reason: text("reason"),
            bad_peer_response: flag("bad_peer_response"),
            query_failure: flag("query_failure"),
        }
    }
}

/// A message as it lies in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its name, and the cursor behind it.
    pub hash: MessageHash,
    /// When it says it was sent.
    pub timestamp: Timestamp,
    /// When it is forgotten.
    pub expiration: Timestamp,
    /// What was stored.
    pub data: Vec<u8>,
}

/// The answer to `retrieve` (2.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetrieveAnswer {
    /// In the order the node took them in.
    pub messages: Vec<StoredMessage>,
    /// Whether more lie behind the last one.
    pub more: bool,
}

impl RetrieveAnswer {
    /// As an answer.
    pub fn to_answer(&self, stamp: Stamp) -> Answer {
        let mut result = self.to_dict();
        stamp.add_to(&mut result);
        Answer::ok(result)
    }

    pub(super) fn to_dict(&self) -> Dict {
        let message = |message: &StoredMessage| {
            Value::Dict(Dict::from([
                ("hash".to_owned(), message.hash.into()),
                ("timestamp".to_owned(), message.timestamp.into()),
                ("expiration".to_owned(), message.expiration.into()),
                ("data".to_owned(), message.data.clone().into()),
            ]))
        };
        Dict::from([
            ("messages".to_owned(), self.messages.iter().map(message).collect::<Vec<_>>().into()),
            ("more".to_owned(), self.more.into()),
        ])
    }

    /// Reads an answer. `None` if any message in it cannot be read: a cursor must not step over one.
    pub fn from_json(answer: &serde_json::Value) -> Option<Self> {
        Self::from_fields(answer.as_object()?)
    }

    pub(super) fn from_fields(answer: &serde_json::Map<String, serde_json::Value>) -> Option<Self> {
        let fields = Fields::Json(answer);
        let message = |field: super::fields::Field<'_>| {
            let fields = field.fields()?;
            Some(StoredMessage {
                hash: hash(fields.field("hash")?)?,
                timestamp: time(fields.field("timestamp")?)?,
                expiration: time(fields.field("expiration")?)?,
                data: fields.field("data")?.binary()?,
            })
        };
        let messages = fields.field("messages")?.list()?.into_iter().map(message).collect::<Option<_>>()?;
        Some(Self { messages, more: fields.field("more").is_some_and(truth) })
    }
}

/// The answer to `get_swarm`, and the body of 421 (2.5, 2.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmMembers {
    /// The swarm, or [`SwarmId::NONE`] if there are none.
    pub swarm: SwarmId,
    /// Its nodes. Read from an answer, their version is 0.0.0: it does not say.
    pub snodes: Vec<SnodeRecord>,
}

impl SwarmMembers {
    /// The answer, `code` being 200 or 421.
    pub fn to_answer(&self, code: u16, stamp: Stamp) -> Answer {
        let snode = |node: &SnodeRecord| {
            let key = node.ed25519.to_hex();
            Value::Dict(Dict::from([
                ("address".to_owned(), (base32z::encode(node.ed25519.as_bytes()) + ".snode").into()),
                ("pubkey_legacy".to_owned(), key.clone().into()),
                ("pubkey_ed25519".to_owned(), key.into()),
                ("pubkey_x25519".to_owned(), node.x25519.to_hex().into()),
                ("port".to_owned(), node.https_port.to_string().into()),
                ("port_https".to_owned(), node.https_port.into()),
                ("port_omq".to_owned(), node.quic_port.into()),
                ("port_quic".to_owned(), node.quic_port.into()),
                ("ip".to_owned(), node.ip.to_string().into()),
            ]))
        };
        let mut result = Dict::from([
            ("snodes".to_owned(), self.snodes.iter().map(snode).collect::<Vec<_>>().into()),
            ("swarm".to_owned(), self.swarm.to_hex().into()),
        ]);
        stamp.add_to(&mut result);
        Answer { code, body: Body::Value(Value::Dict(result)) }
    }

    /// Reads an answer; nodes without a usable key or address are left out, as are those whose
    /// X25519 key is not that of their Ed25519 key. `None` if it is no such answer.
    pub fn from_json(answer: &serde_json::Value) -> Option<Self> {
        let swarm = SwarmId(u64::from_str_radix(answer.get("swarm")?.as_str()?, 16).ok()?);
        let snode = |entry: &serde_json::Value| {
            let text = |name: &str| entry.get(name)?.as_str();
            let port = |name: &str| u16::try_from(entry.get(name)?.as_u64()?).ok();
            let ed25519 = Ed25519Public::from_hex(text("pubkey_ed25519")?).ok()?;
            let x25519 = X25519Public::from_hex(text("pubkey_x25519")?).ok()?;
            let ip: Ipv4Addr = text("ip")?.parse().ok()?;
            (x25519 == ed25519.to_x25519() && !ip.is_unspecified()).then_some(SnodeRecord {
                ed25519,
                x25519,
                ip,
                https_port: port("port_https").or_else(|| text("port")?.parse().ok())?,
                quic_port: port("port_quic").or_else(|| port("port_omq"))?,
                swarm,
                version: Version([0; 3]),
            })
        };
        let snodes = answer.get("snodes")?.as_array()?.iter().filter_map(snode).collect();
        Some(Self { swarm, snodes })
    }
}

/// The extensions that a node announces in its answer to `info` (docs/protocol/extensions); none if it is no node of ours.
pub fn extensions(info: &serde_json::Value) -> Vec<String> {
    let list = info.get("conclave").and_then(serde_json::Value::as_array);
    list.into_iter().flatten().filter_map(serde_json::Value::as_str).map(str::to_owned).collect()
}

/// The answer to `info` (2.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoAnswer {
    /// The node's program.
    pub version: Version,
    /// The node's clock.
    pub timestamp: Timestamp,
}

impl InfoAnswer {
    /// As an answer.
    pub fn to_answer(self, stamp: Stamp) -> Answer {
        let mut result = Dict::from([
            ("version".to_owned(), self.version.0.as_slice().into()),
            ("timestamp".to_owned(), self.timestamp.into()),
        ]);
        stamp.add_to(&mut result);
        Answer::ok(result)
    }

    /// Reads an answer.
    pub fn from_json(answer: &serde_json::Value) -> Option<Self> {
        let fields = Fields::Json(answer.as_object()?);
        let version: Vec<u16> = fields
            .field("version")?
            .list()?
            .into_iter()
            .map(|part| u16::try_from(number(part)?).ok())
            .collect::<Option<_>>()?;
        Some(Self {
            version: Version(version.try_into().ok()?),
            timestamp: time(fields.field("timestamp").or_else(|| fields.field("t"))?)?,
        })
    }
}

/// `{"results": […]}`, the answer to `batch` and `sequence` (2.19).
pub fn batch_answer(results: &[Answer]) -> Answer {
    let results: Vec<Value> = results.iter().map(Answer::to_subresult).collect();
    Answer::ok(Dict::from([("results".to_owned(), results.into())]))
}

/// Statuses and bodies of a batch's answers, in the order of its requests; shorter after a sequence
/// that stopped. `None` if it is no such answer.
pub fn read_batch_answer(answer: &serde_json::Value) -> Option<Vec<(u16, serde_json::Value)>> {
    let results = answer.get("results")?.as_array()?;
    let result = |entry: &serde_json::Value| {
        let code = u16::try_from(entry.get("code")?.as_u64()?).ok()?;
        Some((code, entry.get("body").cloned().unwrap_or_default()))
    };
    results.iter().map(result).collect()
}

/// Reads the answer to `get_expiries`: expiry by hash of those that exist (2.14).
pub fn read_expiries(answer: &serde_json::Value) -> Option<BTreeMap<MessageHash, Timestamp>> {
    let entries = answer.get("expiries")?.as_object()?;
    let entry = |(name, value): (&String, &serde_json::Value)| {
        Some((MessageHash::from_text(name).ok()?, Timestamp(value.as_u64()?)))
    };
    entries.iter().map(entry).collect()
}

/// The bt dictionary a member answers to a forwarded request (2.6).
pub fn member_answer(result: &NodeResult) -> Vec<u8> {
    Value::Dict(result.to_dict()).to_bt().encode()
}
