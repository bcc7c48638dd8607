//! How a client seals a request for a path, and reads the reply (storage-and-onion 6.3, 6.5, 6.6).
//!
//! The innermost layer is for the destination, the outermost for the guard. Every layer has an
//! ephemeral key of its own; only the innermost is needed to read the reply.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{CryptoRngCore, X25519Pair, X25519Public};
use conclave_proto::v4::{InvalidV4, V4Reply, V4Request};
use conclave_proto::{SnodeRecord, base64, combined};
use serde_json::{Value, json};

use crate::peel::HOLD_FIELD;

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// A service node, outside the path; `body` is a storage RPC request in JSON.
    Snode {
        /// Which one.
        node: &'a SnodeRecord,
        /// The request.
        body: &'a [u8],
    },
    /// A server, dialled by the last node of the path.
    Server {
        /// Which one.
        server: &'a Server,
        /// The request.
        request: &'a V4Request,
    },
    /// A server, and what to say to it in bytes: for payloads of other versions than 4.
    ServerPayload {
        /// Which one.
        server: &'a Server,
        /// The plaintext of its layer.
        payload: &'a [u8],
    },
}

/// A server that reads onion requests itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the last node uses TLS.
    pub https: bool,
    /// The path, `/oxen/v4/lsrpc`.
    pub target: String,
    /// The key requests are sealed to.
    pub x25519: X25519Public,
}

impl Server {
    fn routing(&self) -> Value {
        json!({
            "host": self.host, "target": self.target, "method": "POST", "port": self.port,
            "protocol": if self.https { "https" } else { "http" },
        })
    }
}

/// The key and nonce of one layer.
pub struct LayerSecret {
    /// Which cipher.
    pub enc_type: EncType,
    /// Ours for this layer alone.
    pub ephemeral: X25519Pair,
    /// Ours for this layer alone; ciphers with shorter nonces use its beginning.
    pub nonce: [u8; 24],
}

impl LayerSecret {
    /// A fresh one.
    pub fn generate(enc_type: EncType, rng: &mut impl CryptoRngCore) -> Self {
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);
        Self { enc_type, ephemeral: X25519Pair::generate(rng), nonce }
    }
}

impl std::fmt::Debug for LayerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerSecret({}, hidden)", self.enc_type)
    }
}

/// A request without nodes to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an onion request needs at least one hop")]
pub struct NoHops;

/// What the guard is sent, and what the reply is read with.
#[derive(Debug)]
pub struct SealedRequest {
    /// The body for the guard's `/onion_req/v2`.
    pub body: Vec<u8>,
    /// Reads the reply.
    pub reply: ReplyKey,
}

/// Seals a request for `hops`, guard first, with XChaCha20-Poly1305.
///
/// # Errors
/// [`NoHops`].
pub fn seal(
    hops: &[SnodeRecord],
    destination: Destination<'_>,
    rng: &mut impl CryptoRngCore,
) -> Result<SealedRequest, NoHops> {
    seal_with_cipher(EncType::XChaCha20, hops, destination, rng)
}

/// [`seal`] for a request whose answer may be held back for `hold_ms` milliseconds: every hop but the guard's own framing
/// is told, so that it does not count the request as work meanwhile.
///
/// # Errors
/// [`NoHops`].
pub fn seal_held(
    hops: &[SnodeRecord],
    destination: Destination<'_>,
    hold_ms: u64,
    rng: &mut impl CryptoRngCore,
) -> Result<SealedRequest, NoHops> {
    let innermost = LayerSecret::generate(EncType::XChaCha20, rng);
    let layers: Vec<LayerSecret> =
        hops.iter().map(|_| LayerSecret::generate(EncType::XChaCha20, rng)).collect();
    seal_layers(hops, destination, innermost, &layers, Some(hold_ms))
}

/// [`seal`] with another cipher for all layers, for destinations and hops that know only AES-GCM.
///
/// # Errors
/// [`NoHops`].
pub fn seal_with_cipher(
    enc_type: EncType,
    hops: &[SnodeRecord],
    destination: Destination<'_>,
    rng: &mut impl CryptoRngCore,
) -> Result<SealedRequest, NoHops> {
    let innermost = LayerSecret::generate(enc_type, rng);
    let layers: Vec<LayerSecret> = hops.iter().map(|_| LayerSecret::generate(enc_type, rng)).collect();
    seal_with(hops, destination, innermost, &layers)
}

/// [`seal`] with given secrets: `innermost` for the destination, `layers` for the hops in their
/// order. For known answers; secrets used twice give the request away.
///
/// # Errors
/// [`NoHops`], also if there are not as many layers as hops.
pub fn seal_with(
    hops: &[SnodeRecord],
    destination: Destination<'_>,
    innermost: LayerSecret,
    layers: &[LayerSecret],
) -> Result<SealedRequest, NoHops> {
    seal_layers(hops, destination, innermost, layers, None)
}

fn seal_layers(
    hops: &[SnodeRecord],
    destination: Destination<'_>,
    innermost: LayerSecret,
    layers: &[LayerSecret],
    hold_ms: Option<u64>,
) -> Result<SealedRequest, NoHops> {
    if hops.is_empty() || hops.len() != layers.len() {
        return Err(NoHops);
    }
    let (plaintext, key, mut routing) = match destination {
        Destination::Snode { node, body } => (
            combined::encode(body, &json!({ "headers": "" })),
            node.x25519,
            json!({ "destination": node.ed25519.to_hex() }),
        ),
        Destination::Server { server, request } => (request.encode(), server.x25519, server.routing()),
        Destination::ServerPayload { server, payload } => (payload.to_vec(), server.x25519, server.routing()),
    };
    let keys = ChannelKeys::for_client(innermost.enc_type, &innermost.ephemeral, &key);
    let mut blob = keys.seal_with_nonce(&plaintext, &innermost.nonce);
    name_layer(&mut routing, &innermost);
    // Some servers answer with AES-GCM whatever they were asked with (storage-and-onion 6.1).
    let fallback = (innermost.enc_type == EncType::XChaCha20).then_some((innermost.ephemeral, key));
    let mut reply = ReplyKey { keys, fallback, exit: None };
    let is_server = !matches!(destination, Destination::Snode { .. });
    for (hop, layer) in hops.iter().zip(layers).rev() {
        if let (Some(hold_ms), Value::Object(fields)) = (hold_ms, &mut routing) {
            fields.insert(HOLD_FIELD.to_owned(), hold_ms.into());
        }
        let plaintext = combined::encode(&blob, &routing);
        let keys = ChannelKeys::for_client(layer.enc_type, &layer.ephemeral, &hop.x25519);
        blob = keys.seal_with_nonce(&plaintext, &layer.nonce);
        if is_server && reply.exit.is_none() {
            reply.exit = Some(keys);
        }
        routing = json!({ "destination": hop.ed25519.to_hex() });
        name_layer(&mut routing, layer);
    }
    // For the guard the outermost layer is named, not where it goes: it is there.
    if let Value::Object(fields) = &mut routing {
        fields.remove("destination");
    }
    Ok(SealedRequest { body: combined::encode(&blob, &routing), reply })
}

fn name_layer(routing: &mut Value, layer: &LayerSecret) {
    if let Value::Object(fields) = routing {
        fields.insert("ephemeral_key".to_owned(), layer.ephemeral.public().to_hex().into());
        fields.insert("enc_type".to_owned(), layer.enc_type.name().into());
    }
}

/// Reads the reply to one request.
#[derive(Clone)]
pub struct ReplyKey {
    keys: ChannelKeys,
    /// What an AES-GCM key is made of, should the reply need one.
    fallback: Option<(X25519Pair, X25519Public)>,
    /// Of requests to servers: the last hop's, which seals its own refusal to pass them on.
    exit: Option<ChannelKeys>,
}

/// A hop's refusal is short.
const MAX_REFUSAL: usize = 4 * 1024;

/// Why a reply cannot be read. Some hop's or the destination's fault; ask again over another path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableReply {
    /// Not sealed for this request, or changed on the way.
    #[error("the reply is not sealed for this request")]
    NotAuthentic,
    /// Sealed, but not what a reply is.
    #[error("the reply is malformed: {0}")]
    Malformed(String),
    /// The last node of the path does not pass requests on to this server. Another may.
    #[error("the last node of the path does not pass this on: {status} {text}")]
    ExitRefused {
        /// Its status.
        status: u16,
        /// Its words.
        text: String,
    },
}

/// What a service node answered.
#[derive(Clone, Debug, PartialEq)]
pub struct SnodeReply {
    /// The status of the storage request.
    pub status: u16,
    /// Its body: JSON where the node sent JSON, as text or embedded; else text.
    pub body: Value,
}

impl ReplyKey {
    /// Reads a service node's reply: base64 or raw, structured or text.
    ///
    /// # Errors
    /// [`UnreadableReply`].
    pub fn open_snode(&self, reply: &[u8]) -> Result<SnodeReply, UnreadableReply> {
        let decoded = base64::decode(reply.trim_ascii());
        let plaintext = match decoded.map(|blob| self.open(&blob)) {
            Some(Ok(plaintext)) => plaintext,
            // Raw bytes may happen to be base64 letters.
            _ => self.open(reply)?,
        };
        let malformed = |what: &str| UnreadableReply::Malformed(what.to_owned());
        let mut reply: Value = serde_json::from_slice(&plaintext).map_err(|e| malformed(&e.to_string()))?;
        let status = reply
            .get("status")
            .and_then(Value::as_u64)
            .and_then(|status| u16::try_from(status).ok())
            .ok_or_else(|| malformed("no status"))?;
        let body = reply.get_mut("body").map(Value::take).ok_or_else(|| malformed("no body"))?;
        let body = match body {
            // Structured results come as JSON text unless embedding was asked for.
            Value::String(text) => match serde_json::from_str::<Value>(&text) {
                Ok(structured @ (Value::Object(_) | Value::Array(_))) => structured,
                _ => Value::String(text),
            },
            structured => structured,
        };
        Ok(SnodeReply { status, body })
    }

    /// Reads a server's reply, which is raw.
    ///
    /// # Errors
    /// [`UnreadableReply`]; also if it is not the server's, but the last hop's refusal.
    pub fn open_server(&self, reply: &[u8]) -> Result<V4Reply, UnreadableReply> {
        let plaintext = match self.open(reply) {
            Ok(plaintext) => plaintext,
            Err(error) => return Err(self.exit_refusal(reply).unwrap_or(error)),
        };
        V4Reply::decode(&plaintext).map_err(|e: InvalidV4| UnreadableReply::Malformed(e.to_string()))
    }

    fn exit_refusal(&self, reply: &[u8]) -> Option<UnreadableReply> {
        let keys = self.exit.clone().filter(|_| reply.len() <= MAX_REFUSAL)?;
        let SnodeReply { status, body } = Self { keys, fallback: None, exit: None }.open_snode(reply).ok()?;
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        Some(UnreadableReply::ExitRefused { status, text })
    }

    fn open(&self, blob: &[u8]) -> Result<Vec<u8>, UnreadableReply> {
        if let Ok(plaintext) = self.keys.open(blob) {
            return Ok(plaintext);
        }
        let (ephemeral, server) = self.fallback.as_ref().ok_or(UnreadableReply::NotAuthentic)?;
        let keys = ChannelKeys::for_client(EncType::AesGcm, ephemeral, server);
        keys.open(blob).map_err(|_| UnreadableReply::NotAuthentic)
    }
}

impl std::fmt::Debug for ReplyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyKey(hidden)")
    }
}
