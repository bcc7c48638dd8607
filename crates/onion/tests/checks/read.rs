//! Reading the JSON of known answers, comparing, and what several checks need.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::hash::{blake2b_256, sha256};
use conclave_crypto::{
    CryptoRng, Ed25519Public, Ed25519Secret, RngCore, X25519Pair, X25519Public, X25519Secret,
};
use conclave_onion::peel::Layer;
use conclave_onion::request::{Destination, LayerSecret, ReplyKey, Server, seal_with};
use conclave_proto::{SnodeRecord, SwarmId, Version};
use serde_json::Value;

/// The reading end of a request to a server over one hop.
pub fn reply_key(
    server: &X25519Pair,
    enc_type: EncType,
    ephemeral: X25519Pair,
    payload: &[u8],
) -> Result<ReplyKey, String> {
    let layer = |ephemeral| LayerSecret { enc_type, ephemeral, nonce: [1; 24] };
    let hop = record(Ed25519Secret::from_seed(&[1; 32]).public());
    let target = sogs(server, true);
    let destination = Destination::ServerPayload { server: &target, payload };
    let sealed = seal_with(&[hop], destination, layer(ephemeral), &[layer(own())]).map_err(as_text)?;
    Ok(sealed.reply)
}

pub fn sogs(server: &X25519Pair, https: bool) -> Server {
    Server {
        host: "sogs.example.org".into(),
        port: if https { 443 } else { 80 },
        https,
        target: "/oxen/v4/lsrpc".into(),
        x25519: *server.public(),
    }
}

pub fn record(ed25519: Ed25519Public) -> SnodeRecord {
    SnodeRecord {
        ed25519,
        x25519: ed25519.to_x25519(),
        ip: [127, 0, 0, 1].into(),
        https_port: 1,
        quic_port: 1,
        swarm: SwarmId(0),
        version: Version([2, 11, 3]),
    }
}

/// Some node's key, where a vector gives none.
pub fn own() -> X25519Pair {
    X25519Pair::new(X25519Secret::from_bytes([5; 32]))
}

/// A plaintext sealed for [`own`].
pub fn layer_of(plaintext: &[u8]) -> Layer {
    let client = X25519Pair::new(X25519Secret::from_bytes([6; 32]));
    let keys = ChannelKeys::for_client(EncType::XChaCha20, &client, own().public());
    let data = keys.seal_with_nonce(plaintext, &[2; 24]);
    Layer { data, enc_type: EncType::XChaCha20, ephemeral_key: *client.public() }
}

/// The key of a layer by the words of section 6.1, beside the implementation.
pub fn derived(enc_type: EncType, client: &X25519Pair, server: &X25519Public) -> [u8; 32] {
    let shared = client.secret().diffie_hellman(server);
    match enc_type {
        EncType::AesGcm => {
            // HMAC by its definition (RFC 2104).
            let pad = |with: u8| {
                let mut block = [with; 64];
                for (to, key) in block.iter_mut().zip(b"LOKI") {
                    *to ^= key;
                }
                block
            };
            sha256(&[&pad(0x5c), &sha256(&[&pad(0x36), shared.as_bytes()])])
        }
        EncType::XChaCha20 => {
            blake2b_256(&[shared.as_bytes(), client.public().as_bytes(), server.as_bytes()])
        }
        EncType::AesCbc => *shared.as_bytes(),
    }
}

pub const fn nonce_digits(enc_type: EncType) -> usize {
    match enc_type {
        EncType::AesGcm => 24,
        EncType::XChaCha20 => 48,
        EncType::AesCbc => 32,
    }
}

pub fn nonce(value: &Value) -> Result<[u8; 24], String> {
    let bytes = hex_of(value, "nonce")?;
    let mut nonce = [0; 24];
    nonce.get_mut(..bytes.len()).ok_or("a long nonce")?.copy_from_slice(&bytes);
    Ok(nonce)
}

pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, expected {expected:?}")) }
}

pub fn as_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("{key} is no text"))
}

pub fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    value[key].as_array().ok_or_else(|| format!("{key} is no list"))
}

pub fn json_list(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(*text)).collect()
}

pub fn hex_of(value: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(value, key)?).map_err(|error| format!("{key}: {error}"))
}

pub fn key_of(value: &Value, key: &str) -> Result<[u8; 32], String> {
    hex_of(value, key)?.try_into().map_err(|_| format!("{key} has not 32 bytes"))
}

pub fn x25519(value: &Value, key: &str) -> Result<X25519Public, String> {
    X25519Public::from_bytes(key_of(value, key)?).map_err(as_text)
}

/// A secret key and the public key that has to belong to it.
pub fn pair(value: &Value, secret: &str, public: &str) -> Result<X25519Pair, String> {
    let pair = X25519Pair::new(X25519Secret::from_bytes(key_of(value, secret)?));
    same(public, *pair.public(), x25519(value, public)?)?;
    Ok(pair)
}

/// "Randomness" that is known: one byte over and over, counting up, or given bytes.
pub struct Fixed(pub u8);
pub struct Counting(pub u8);
pub struct Bytes(pub [u8; 24]);

macro_rules! known_randomness {
    ($name:ty, |$self:ident, $to:ident| $fill:expr) => {
        impl RngCore for $name {
            fn next_u32(&mut self) -> u32 {
                0
            }
            fn next_u64(&mut self) -> u64 {
                0
            }
            fn fill_bytes(&mut $self, $to: &mut [u8]) {
                $fill
            }
            fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
                self.fill_bytes(to);
                Ok(())
            }
        }
        impl CryptoRng for $name {}
    };
}
known_randomness!(Fixed, |self, to| to.fill(self.0));
known_randomness!(Counting, |self, to| to.iter_mut().zip(self.0..).for_each(|(to, byte)| *to = byte));
known_randomness!(Bytes, |self, to| to.iter_mut().zip(self.0).for_each(|(to, byte)| *to = byte));
