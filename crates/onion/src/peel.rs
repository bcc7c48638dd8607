//! What a node does with an onion layer: decrypt, read what to do, and seal the reply
//! (storage-and-onion 6.4, 6.6, 6.7).
//!
//! Decides and says; passing on, answering and dialling servers is the node's. Every error has the
//! status and the words that clients match.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{CryptoRngCore, Ed25519Public, X25519Pair, X25519Public};
use conclave_proto::combined;
use conclave_proto::peer::MAX_HOPS;
use serde_json::{Map, Value};

/// The port of a server destination that names none.
const DEFAULT_PORT: u16 = 443;
/// The scheme of a server destination that names none.
const DEFAULT_PROTOCOL: &str = "https";

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
}

impl PeelError {
    /// The status it is told with.
    pub const fn status(&self) -> u16 {
        400
    }
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

/// A server destination, with a target that is allowed.
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

/// Reads what a guard gets: a combined payload whose JSON names the key and the cipher. Gives the
/// layer and the hop number the client starts from.
///
/// # Errors
/// [`PeelError::GuardBody`], [`PeelError::TooManyHops`].
pub fn parse_guard_body(body: &[u8]) -> Result<(Layer, u64), PeelError> {
    let wrong = |what: &str| PeelError::GuardBody(what.to_owned());
    let combined = combined::decode(body).map_err(|e| PeelError::GuardBody(e.to_string()))?;
    let layer = layer(&combined.control, combined.body).map_err(wrong)?;
    let hop_no = match combined.control.get("hop_no") {
        None | Some(Value::Null) => 0,
        Some(hop_no) => hop_no.as_u64().ok_or_else(|| wrong("hop_no is no number"))?,
    };
    if hop_no > MAX_HOPS {
        return Err(PeelError::TooManyHops);
    }
    Ok((layer, hop_no))
}

/// Opens a layer and reads what it asks for, in the order of section 6.4.
///
/// # Errors
/// [`PeelError::Ciphertext`]. Whatever is wrong inside is told sealed: [`Peeled::Refused`].
pub fn peel(own: &X25519Pair, layer: &Layer) -> Result<Peeled, PeelError> {
    let keys = ChannelKeys::for_server(layer.enc_type, own, &layer.ephemeral_key);
    let plaintext = keys.open(&layer.data).map_err(|_| PeelError::Ciphertext)?;
    Ok(dispatch(plaintext, keys))
}

/// Reads the plaintext of a layer. `keys` are those it was opened with.
pub fn dispatch(plaintext: Vec<u8>, keys: ChannelKeys) -> Peeled {
    let reply = ReplySealer { keys, json: false, base64: true };
    let refused = |text, reply| Peeled::Refused { status: 400, text, reply };
    let Ok(combined) = combined::decode(&plaintext) else { return refused("Invalid json", reply) };
    let control = &combined.control;
    if control.contains_key("headers") {
        let flag = |name: &str, default| control.get(name).and_then(Value::as_bool).unwrap_or(default);
        let reply = ReplySealer { json: flag("json", false), base64: flag("base64", true), ..reply };
        return Peeled::Final { body: combined.body.to_vec(), reply };
    }
    if control.contains_key("host") {
        return match server(control) {
            Ok(Some(server)) => Peeled::Proxy { server, plaintext, reply },
            Ok(None) => refused("Invalid url", reply),
            Err(()) => refused("Invalid json", reply),
        };
    }
    let next = control.get("destination").and_then(Value::as_str).map(Ed25519Public::from_hex);
    match (next, self::layer(control, combined.body)) {
        (Some(Ok(destination)), Ok(layer)) => Peeled::Relay { destination, layer },
        _ => refused("Invalid json", reply),
    }
}

/// `ephemeral_key` and `enc_type` of the layer in `data`.
fn layer(control: &Map<String, Value>, data: &[u8]) -> Result<Layer, &'static str> {
    let key = control.get("ephemeral_key").and_then(Value::as_str).ok_or("no ephemeral_key")?;
    let ephemeral_key = X25519Public::from_hex(key).map_err(|_| "the ephemeral_key cannot be used")?;
    let enc_type = match control.get("enc_type") {
        None | Some(Value::Null) => EncType::AesGcm,
        Some(name) => name.as_str().and_then(|name| name.parse().ok()).ok_or("unknown enc_type")?,
    };
    Ok(Layer { data: data.to_vec(), enc_type, ephemeral_key })
}

/// The server a layer is for; `None` for a URL that is not allowed, an error for one that cannot be read.
fn server(control: &Map<String, Value>) -> Result<Option<ServerTarget>, ()> {
    let text = |name: &str| match control.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(()),
    };
    let host = text("host")?.ok_or(())?.to_owned();
    let target = text("target")?.ok_or(())?.to_owned();
    let protocol = text("protocol")?.unwrap_or(DEFAULT_PROTOCOL);
    let port = match control.get("port") {
        None | Some(Value::Null) => DEFAULT_PORT,
        Some(port) => port.as_u64().and_then(|port| u16::try_from(port).ok()).ok_or(())?,
    };
    let allowed = matches!(protocol, "http" | "https") && is_allowed_target(&target);
    Ok(allowed.then(|| ServerTarget { host, port, https: protocol == "https", target }))
}

/// Whether a node passes requests on to this path of a server.
pub fn is_allowed_target(target: &str) -> bool {
    (target.starts_with("/loki/") || target.starts_with("/oxen/"))
        && target.ends_with("/lsrpc")
        && !target.contains('?')
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
            Value::String(text) => Value::String(text.clone()),
            structured if self.json => structured.clone(),
            structured => Value::String(structured.to_string()),
        };
        let plaintext = serde_json::json!({ "body": body, "status": status }).to_string();
        let sealed = self.keys.seal(plaintext.as_bytes(), rng);
        if self.base64 {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sealed).into_bytes()
        } else {
            sealed
        }
    }
}

impl std::fmt::Debug for ReplySealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplySealer(json {}, base64 {}, key hidden)", self.json, self.base64)
    }
}
