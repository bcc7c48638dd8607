//! What guards, hops, servers and clients read of onion requests.
//!
//! Layers and replies are sealed here with the right keys, so that inputs reach what is behind the
//! ciphers.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{Ed25519Secret, X25519Pair, X25519Secret};
use conclave_onion::peel::{self as node, Layer, Peeled};
use conclave_onion::request::{Destination, LayerSecret, ReplyKey, Server, seal_with};
use conclave_onion::{GuardState, Outcome};
use conclave_proto::v4::V4Request;
use conclave_proto::{SnodeRecord, SwarmId, Version};

use super::{choice, flipped};

const NONCE: [u8; 24] = [9; 24];

fn server() -> X25519Pair {
    X25519Pair::new(Ed25519Secret::from_seed(&[0x5e; 32]).to_x25519())
}

fn client() -> X25519Pair {
    X25519Pair::new(X25519Secret::from_bytes([0xc1; 32]))
}

fn cipher(bytes: &[u8]) -> EncType {
    [EncType::AesGcm, EncType::XChaCha20][bytes.len() % 2]
}

pub fn guard_body(bytes: &[u8]) {
    if let Ok((layer, hop_no)) = node::parse_guard_body(bytes) {
        assert!(hop_no <= conclave_proto::peer::MAX_HOPS);
        assert!(layer.data.len() < bytes.len());
        let _ = node::peel(&server(), &layer);
    }
}

/// The plaintext of a layer, from a client who made it by hand.
pub fn peel(bytes: &[u8]) {
    let (client, own, enc_type) = (client(), server(), cipher(bytes));
    let data = ChannelKeys::for_client(enc_type, &client, own.public()).seal_with_nonce(bytes, &NONCE);
    let layer = |data| Layer { data, enc_type, ephemeral_key: *client.public() };
    assert!(node::peel(&own, &layer(flipped(&data, choice(bytes)))).is_err());
    match node::peel(&own, &layer(data)) {
        Ok(Peeled::Final { body, .. }) => {
            assert!(bytes.windows(body.len().max(1)).any(|part| part == body) || body.is_empty())
        }
        Ok(Peeled::Proxy { server, plaintext, .. }) => {
            assert!(server.is_allowed(), "what is not allowed is refused before");
            assert_eq!(plaintext, bytes, "a server gets the whole plaintext");
        }
        Ok(Peeled::Relay { layer, .. }) => assert!(layer.data.len() < bytes.len()),
        Ok(Peeled::Refused { status, .. }) => assert_eq!(status, 400),
        Err(error) => assert!(matches!(error.status(), 400 | 502)),
    }
}

/// What is posted to a server.
pub fn server_body(bytes: &[u8]) {
    if let Ok((payload, _)) = node::open_at_server(&server(), bytes) {
        assert!(payload.len() < bytes.len());
        let _ = V4Request::decode(&payload);
    }
}

fn destination() -> SnodeRecord {
    let key = Ed25519Secret::from_seed(&[0x5e; 32]).public();
    SnodeRecord {
        ed25519: key,
        x25519: key.to_x25519(),
        ip: [127, 0, 0, 1].into(),
        https_port: 1,
        quic_port: 1,
        swarm: SwarmId(0),
        version: Version([2, 11, 3]),
    }
}

/// The key for the reply to a request, and the node's end of the same channel.
fn channel(to: Destination<'_>, enc_type: EncType) -> (ReplyKey, ChannelKeys) {
    let secret = || LayerSecret { enc_type, ephemeral: client(), nonce: NONCE };
    let sealed = seal_with(&[destination()], to, secret(), &[secret()]).unwrap();
    (sealed.reply, ChannelKeys::for_server(enc_type, &server(), client().public()))
}

pub fn snode_reply(bytes: &[u8]) {
    let to = destination();
    let (key, node) = channel(Destination::Snode { node: &to, body: b"" }, cipher(bytes));
    let _ = key.open_snode(bytes);
    let sealed = node.seal_with_nonce(bytes, &NONCE);
    let raw = key.open_snode(&sealed);
    assert_eq!(key.open_snode(conclave_proto::base64::encode(&sealed).as_bytes()), raw, "base64 or not");
    assert!(key.open_snode(&flipped(&sealed, choice(bytes))).is_err());
}

pub fn server_reply(bytes: &[u8]) {
    let server = Server {
        host: "example.org".to_owned(),
        port: 80,
        https: false,
        target: "/oxen/v4/lsrpc".to_owned(),
        x25519: destination().x25519,
    };
    let (key, node) = channel(Destination::ServerPayload { server: &server, payload: b"" }, cipher(bytes));
    let _ = key.open_server(bytes);
    let sealed = node.seal_with_nonce(bytes, &NONCE);
    let expected = conclave_proto::v4::V4Reply::decode(bytes).ok();
    assert_eq!(key.open_server(&sealed).ok(), expected);
    assert!(key.open_server(&flipped(&sealed, choice(bytes))).is_err());
}

/// Two bytes of status, then the body.
pub fn onion_outcome(bytes: &[u8]) {
    let Some((status, body)) = bytes.split_first_chunk() else { return };
    let status = u16::from_be_bytes(*status);
    for outcome in [Outcome::from_http(status, body), Outcome::from_reply(status, body)] {
        let _ = (outcome.retry(0), outcome.retry(u32::MAX));
    }
    assert_eq!(Outcome::from_http(200, body), Outcome::Worked);
}

/// What was kept of the guards on disk.
pub fn guard_state(bytes: &[u8]) {
    if let Ok(state) = serde_json::from_slice::<GuardState>(bytes) {
        let written = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<GuardState>(&written).unwrap(), state);
    }
}
