//! What a node does with an onion layer: decrypt, read what to do, and seal the reply
//! (storage-and-onion 6.4, 6.6, 6.7).
//!
//! Decides and says; passing on, answering and dialling servers is the node's. Every error has the
//! status and the words that clients match. Peeling is a node's busiest work: the plaintext, and
//! what is passed on of it, stay in the buffer the layer came in.

use std::ops::Range;

use conclave_crypto::channel::{ChannelKeys, EncType, TAG_LENGTH};
use conclave_crypto::{CryptoRngCore, Ed25519Public, X25519Pair, X25519Public};
use conclave_proto::peer::MAX_HOPS;
use conclave_proto::{base64, combined};
use serde_json::{Map, Value};

/// The port of a server destination that names none.
const DEFAULT_PORT: u16 = 443;
/// The scheme of a server destination that names none.
const DEFAULT_PROTOCOL: &str = "https";

/// The longest name of a host (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// A sealed layer and what is needed to open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Layer {
    /// The ciphertext.
    pub data: Vec<u8>,
    /// Its cipher.
    pub enc_type: EncType,
    /// The client's key for it.
    pub ephemeral_key: X25519Public,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({} bytes, {})", self.data.len(), self.enc_type)
    }
}

/// Why a layer goes no further. Told to the previous hop in the clear, with [`Self::status`] and the
/// text of `Display`; the client's fault, or that of a hop before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeelError {
    /// The guard's body is no onion request.
    #[error("Error parsing onion request: {0}")]
    GuardBody(String),
    /// A relayed layer is none.
    #[error("Invalid internal onion request: {0}")]
    Relayed(String),
    /// The layer is not for this node, or was changed.
    #[error("Invalid ciphertext")]
    Ciphertext,
    /// More hops than allowed.
    #[error("onion request max path length exceeded")]
    TooManyHops,
    /// The next node is named by 32 bytes that are no node's key, so nobody can know it.
    #[error("Next node not found: {}", hex::encode(.0))]
    NoSuchNode([u8; 32]),
}

impl PeelError {
    /// The status it is told with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NoSuchNode(_) => 502,
            _ => 400,
        }
    }
}

/// The key of a layer's JSON that says how long the answer may be held back. Other programs ignore it.
pub const HOLD_FIELD: &str = "hold_ms";

/// What the JSON of a layer says to do with its blob (storage-and-onion 6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// It is a storage request for this node.
    Final {
        /// Embed a structured result in the reply, instead of its JSON text.
        json: bool,
        /// Encode the sealed reply in base64.
        base64: bool,
    },
    /// Pass the whole plaintext on to a server.
    Server(ServerTarget),
    /// Pass it on to another node.
    Snode {
        /// The next node's Ed25519 key, unchecked: it is only looked up.
        destination: [u8; 32],
        /// The client's key for the next layer.
        ephemeral_key: X25519Public,
        /// The cipher of the next layer.
        enc_type: EncType,
        /// See [`Peeled::Relay`].
        hold_ms: u64,
    },
}

/// What a layer turned out to ask for.
#[derive(Debug)]
pub enum Peeled {
    /// A storage request for this node.
    Final {
        /// The request.
        body: Vec<u8>,
        /// Seals the answer.
        reply: ReplySealer,
    },
    /// To be passed on to a server, whole.
    Proxy {
        /// Which server.
        server: ServerTarget,
        /// The plaintext of this layer, which the server reads itself.
        plaintext: Vec<u8>,
        /// Seals a refusal. The server's own answer passes through unsealed.
        reply: ReplySealer,
    },
    /// To be passed on to another node.
    Relay {
        /// Which node.
        destination: Ed25519Public,
        /// The layer for it.
        layer: Layer,
        /// The client says that the answer may be held back so long, in milliseconds: the request waits there and is no
        /// work meanwhile. 0 for all ordinary requests. Ours (docs/protocol/extensions).
        hold_ms: u64,
    },
    /// Nothing this node does. The client is told, sealed, with this status and text.
    Refused {
        /// The status inside the reply.
        status: u16,
        /// The text inside the reply.
        text: &'static str,
        /// Seals it.
        reply: ReplySealer,
    },
}

/// A server destination. [`Self::is_allowed`] before dialling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTarget {
    /// Its name or address, as the client wrote it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether to use TLS.
    pub https: bool,
    /// The path.
    pub target: String,
}

impl ServerTarget {
    /// Whether nodes pass requests on to this path, and the host is one: text that could end a
    /// header line or begin another part of a URL is none.
    pub fn is_allowed(&self) -> bool {
        let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let fits = !self.host.is_empty() && self.host.len() <= MAX_HOST;
        fits && self.host.chars().all(is_host) && is_allowed_target(&self.target)
    }
}

/// Reads what a guard gets: a combined payload whose JSON names the key and the cipher. Gives the
/// layer and the hop number the client starts from.
///
/// # Errors
/// [`PeelError::GuardBody`], [`PeelError::TooManyHops`].
pub fn parse_guard_body(body: &[u8]) -> Result<(Layer, u64), PeelError> {
    parse_guard_body_owned(body.to_vec())
}

/// [`parse_guard_body`] for a body that is not needed any more: the layer stays in its buffer.
///
/// # Errors
/// As [`parse_guard_body`].
pub fn parse_guard_body_owned(body: Vec<u8>) -> Result<(Layer, u64), PeelError> {
    let (sealed, enc_type, ephemeral_key, hop_no) = guard_body(&body)?;
    Ok((Layer { data: keep(body, &sealed), enc_type, ephemeral_key }, hop_no))
}

/// Where the sealed bytes of such a body are, and what is said of them.
fn guard_body(body: &[u8]) -> Result<(Range<usize>, EncType, X25519Public, u64), PeelError> {
    let wrong = |what: &str| PeelError::GuardBody(what.to_owned());
    let combined = combined::decode(body).map_err(|e| PeelError::GuardBody(e.to_string()))?;
    let (ephemeral_key, enc_type) = layer_key(&combined.control).map_err(wrong)?;
    let hop_no = match combined.control.get("hop_no") {
        None | Some(Value::Null) => 0,
        Some(hop_no) => hop_no.as_u64().ok_or_else(|| wrong("hop_no is no number"))?,
    };
    if hop_no > MAX_HOPS {
        return Err(PeelError::TooManyHops);
    }
    // They follow their length.
    let start = size_of::<u32>();
    Ok((start..start.saturating_add(combined.body.len()), enc_type, ephemeral_key, hop_no))
}

/// Opens a layer and reads what it asks for, in the order of section 6.4.
///
/// # Errors
/// [`PeelError::Ciphertext`], [`PeelError::NoSuchNode`]. Whatever else is wrong inside is told
/// sealed: [`Peeled::Refused`].
pub fn peel(own: &X25519Pair, layer: &Layer) -> Result<Peeled, PeelError> {
    peel_owned(own, layer.clone())
}

/// [`peel`] for a layer that is not needed any more, decrypted where it lies.
///
/// # Errors
/// As [`peel`].
pub fn peel_owned(own: &X25519Pair, mut layer: Layer) -> Result<Peeled, PeelError> {
    let keys = ChannelKeys::for_server(layer.enc_type, own, &layer.ephemeral_key);
    let length = keys.open_in_place(&mut layer.data).map_err(|_| PeelError::Ciphertext)?.len();
    dispatch(layer.data, layer.enc_type.plaintext_range(length), keys)
}

/// Opens a request posted to a server: gives its payload, and what seals the reply (with
/// [`ReplySealer::seal_raw`]).
///
/// # Errors
/// [`PeelError::GuardBody`], [`PeelError::Ciphertext`]: answer 400.
pub fn open_at_server(own: &X25519Pair, body: &[u8]) -> Result<(Vec<u8>, ReplySealer), PeelError> {
    open_at_server_owned(own, body.to_vec())
}

/// [`open_at_server`] for a body that is not needed any more: the payload stays in its buffer.
///
/// # Errors
/// As [`open_at_server`].
pub fn open_at_server_owned(own: &X25519Pair, body: Vec<u8>) -> Result<(Vec<u8>, ReplySealer), PeelError> {
    let (sealed, enc_type, ephemeral_key, _) = guard_body(&body)?;
    let mut data = keep(body, &sealed);
    let keys = ChannelKeys::for_server(enc_type, own, &ephemeral_key);
    let length = keys.open_in_place(&mut data).map_err(|_| PeelError::Ciphertext)?.len();
    let payload = keep(data, &enc_type.plaintext_range(length));
    Ok((payload, ReplySealer { keys, json: false, base64: false }))
}

/// What the JSON of a layer says to do.
///
/// # Errors
/// The text of the sealed refusal: the JSON lacks something, or says what cannot be.
pub fn routing(control: &Map<String, Value>) -> Result<Routing, &'static str> {
    const INVALID: &str = "Invalid json";
    if control.contains_key("headers") {
        let flag = |name: &str, default| control.get(name).and_then(Value::as_bool).unwrap_or(default);
        return Ok(Routing::Final { json: flag("json", false), base64: flag("base64", true) });
    }
    if control.contains_key("host") {
        return server(control).map(Routing::Server);
    }
    let destination = control.get("destination").and_then(Value::as_str).ok_or(INVALID)?;
    let (ephemeral_key, enc_type) = layer_key(control).map_err(|_| INVALID)?;
    // Not ours to refuse a request for: what is no number is as if it were not there.
    let hold_ms = control.get(HOLD_FIELD).and_then(Value::as_u64).unwrap_or_default();
    Ok(Routing::Snode {
        destination: key_bytes(destination).ok_or(INVALID)?,
        ephemeral_key,
        enc_type,
        hold_ms,
    })
}

/// Whether a node passes requests on to this path of a server.
pub fn is_allowed_target(target: &str) -> bool {
    (target.starts_with("/loki/") || target.starts_with("/oxen/"))
        && target.ends_with("/lsrpc")
        && target.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}

/// Seals the answer of the last node for the client.
#[derive(Clone)]
pub struct ReplySealer {
    keys: ChannelKeys,
    json: bool,
    base64: bool,
}

impl ReplySealer {
    /// Whether a structured answer is embedded as an object instead of as JSON text.
    pub const fn embeds_json(&self) -> bool {
        self.json
    }

    /// Whether the sealed reply is base64.
    pub const fn is_base64(&self) -> bool {
        self.base64
    }

    /// `{"body", "status"}`, sealed. `body` is text, or JSON to be embedded or turned into text as the client wants.
    pub fn seal(&self, status: u16, body: &Value, rng: &mut impl CryptoRngCore) -> Vec<u8> {
        let body = match body {
            structured if self.json || structured.is_string() => structured.to_string(),
            structured => Value::String(structured.to_string()).to_string(),
        };
        // Written by hand: a tree would copy the largest thing a node sends once more.
        let sealed = self.seal_raw(format!(r#"{{"body":{body},"status":{status}}}"#).as_bytes(), rng);
        if self.base64 { base64::encode(sealed).into_bytes() } else { sealed }
    }

    /// Bytes as they are, sealed and not encoded: the reply of a server.
    pub fn seal_raw(&self, reply: &[u8], rng: &mut impl CryptoRngCore) -> Vec<u8> {
        self.keys.seal(reply, rng)
    }

    /// How many bytes [`Self::seal_in_place`] needs in front of a reply, and how many behind it so that nothing is moved.
    pub fn room(&self) -> (usize, usize) {
        (self.keys.enc_type().plaintext_range(0).start, TAG_LENGTH)
    }

    /// [`Self::seal_raw`] of the reply in `buffer` behind the free bytes of [`Self::room`], without a copy.
    pub fn seal_in_place(&self, buffer: Vec<u8>, rng: &mut impl CryptoRngCore) -> Vec<u8> {
        self.keys.seal_in_place(buffer, rng)
    }
}

impl std::fmt::Debug for ReplySealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplySealer(json {}, base64 {}, key hidden)", self.json, self.base64)
    }
}

/// Reads the plaintext of a layer, which is `range` of `buffer`. `keys` are those it was opened with.
fn dispatch(buffer: Vec<u8>, range: Range<usize>, keys: ChannelKeys) -> Result<Peeled, PeelError> {
    let reply = ReplySealer { keys, json: false, base64: true };
    let refused = |text, reply| Ok(Peeled::Refused { status: 400, text, reply });
    let plaintext = buffer.get(range.clone()).unwrap_or_default();
    let Ok(combined) = combined::decode(plaintext) else { return refused("Invalid json", reply) };
    let routing = match routing(&combined.control) {
        Ok(routing) => routing,
        Err(text) => return refused(text, reply),
    };
    // The body follows its length.
    let body_start = range.start.saturating_add(size_of::<u32>());
    let body = body_start..body_start.saturating_add(combined.body.len());
    Ok(match routing {
        Routing::Final { json, base64 } => {
            Peeled::Final { body: keep(buffer, &body), reply: ReplySealer { json, base64, ..reply } }
        }
        Routing::Server(server) if server.is_allowed() => {
            Peeled::Proxy { server, plaintext: keep(buffer, &range), reply }
        }
        Routing::Server(_) => return refused("Invalid url", reply),
        Routing::Snode { destination, ephemeral_key, enc_type, hold_ms } => {
            let destination =
                Ed25519Public::from_bytes(destination).map_err(|_| PeelError::NoSuchNode(destination))?;
            let layer = Layer { data: keep(buffer, &body), enc_type, ephemeral_key };
            Peeled::Relay { destination, layer, hold_ms }
        }
    })
}

/// Nothing but `range` of `buffer`, moved to its front.
fn keep(mut buffer: Vec<u8>, range: &Range<usize>) -> Vec<u8> {
    buffer.truncate(range.end);
    buffer.drain(..range.start.min(buffer.len()));
    buffer
}

/// `ephemeral_key` and `enc_type` of a layer.
fn layer_key(control: &Map<String, Value>) -> Result<(X25519Public, EncType), &'static str> {
    let key = control.get("ephemeral_key").and_then(Value::as_str).ok_or("no ephemeral_key")?;
    let ephemeral_key = key_bytes(key)
        .and_then(|bytes| X25519Public::from_bytes(bytes).ok())
        .ok_or("the ephemeral_key cannot be used")?;
    let enc_type = match control.get("enc_type") {
        None | Some(Value::Null) => EncType::AesGcm,
        Some(name) => name.as_str().and_then(|name| name.parse().ok()).ok_or("unknown enc_type")?,
    };
    Ok((ephemeral_key, enc_type))
}

/// 64 hex digits.
fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The server a layer is for, whether allowed or not.
fn server(control: &Map<String, Value>) -> Result<ServerTarget, &'static str> {
    const INVALID: &str = "Invalid json";
    let text = |name: &str| match control.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(INVALID),
    };
    let host = text("host")?.ok_or(INVALID)?.to_owned();
    let target = text("target")?.ok_or(INVALID)?.to_owned();
    let https = match text("protocol")?.unwrap_or(DEFAULT_PROTOCOL) {
        "https" => true,
        "http" => false,
        _ => return Err("Invalid url"),
    };
    let port = match control.get("port") {
        None | Some(Value::Null) => DEFAULT_PORT,
        Some(port) => port.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or(INVALID)?,
    };
    Ok(ServerTarget { host, port, https, target })
}
