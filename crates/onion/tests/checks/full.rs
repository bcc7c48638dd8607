//! Known answers of whole requests: every layer sealed, every layer peeled, the reply both ways.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{Ed25519Secret, X25519Pair};
use conclave_onion::peel::{self, Layer, Peeled, ReplySealer};
use conclave_onion::request::{Destination, LayerSecret, seal_with};
use conclave_proto::peer::OnionRelay;
use conclave_proto::v4::V4Request;
use conclave_proto::{SnodeRecord, base64, combined};
use serde_json::Value;

use super::read::*;

pub fn check_onion_request_full(value: &Value) -> Result<(), String> {
    const NAMES: [&str; 5] = [
        "snode destination, xchacha20 throughout, enc_type always named",
        "snode destination, aes-gcm throughout, enc_type left out",
        "snode destination, mixed ciphers",
        "server destination (v4, GET without body), xchacha20",
        "server destination (v4, POST with body, plain http), aes-gcm, enc_type left out",
    ];
    let nodes: Vec<FullNode> = ["n1", "n2", "n3", "D"]
        .iter()
        .map(|name| full_node(&value["nodes"][name]))
        .collect::<Result<_, _>>()?;
    let server = pair(&value["server"], "x25519_sk", "x25519_pk")?;
    let cases = list(value, "cases")?;
    same("number of cases", cases.len(), NAMES.len())?;
    for (case, name) in cases.iter().zip(NAMES) {
        same("name", text(case, "name")?, name)?;
        full_case(case, &nodes, &server).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

struct FullNode {
    record: SnodeRecord,
    x25519: X25519Pair,
}

fn full_node(value: &Value) -> Result<FullNode, String> {
    let secret = Ed25519Secret::from_seed(&key_of(value, "ed25519_seed")?);
    same("ed25519_pk", secret.public().to_hex(), text(value, "ed25519_pk")?.to_owned())?;
    let x25519 = pair(value, "x25519_sk", "x25519_pk")?;
    same("x25519_sk", secret.to_x25519().public(), *x25519.public())?;
    same("x25519_pk", secret.public().to_x25519(), *x25519.public())?;
    Ok(FullNode { record: record(secret.public()), x25519 })
}

/// One request: every layer made, every layer peeled, and the reply both ways.
fn full_case(case: &Value, nodes: &[FullNode], server: &X25519Pair) -> Result<(), String> {
    let to_server = match text(case, "destination")? {
        "server" => true,
        "node D" => false,
        other => return Err(format!("destination {other}")),
    };
    let destination = if to_server { server } else { &nodes[3].x25519 };
    let payload = hex_of(case, "destination_plaintext_hex")?;
    if to_server {
        same("v4 payload", hex_of(case, "v4_plaintext_hex")?, payload.clone())?;
        V4Request::decode(&payload).map_err(as_text)?;
    } else {
        let control = text(case, "control_json")?;
        let rpc_body = text(case, "rpc_body")?.as_bytes();
        same("payload", combined::encode_text(rpc_body, control), payload.clone())?;
    }

    // Sealing, from the inside out.
    let layers = list(case, "layers_inner_to_outer")?;
    same("number of layers", layers.len(), 4)?;
    let mut secrets = Vec::new();
    let mut blobs: Vec<Vec<u8>> = Vec::new();
    let readers = [
        ("destination", destination),
        ("n3", &nodes[2].x25519),
        ("n2", &nodes[1].x25519),
        ("n1", &nodes[0].x25519),
    ];
    for (layer, (reader, key)) in layers.iter().zip(readers) {
        same("readable_by", text(layer, "readable_by")?, reader)?;
        let enc_type: EncType = text(layer, "enc_type")?.parse().map_err(as_text)?;
        same("enc_type", enc_type.name(), text(layer, "enc_type")?)?;
        let ephemeral = pair(layer, "ephemeral_sk", "ephemeral_pk")?;
        let shared = ephemeral.secret().diffie_hellman(key.public());
        same("shared", *shared.as_bytes(), key_of(layer, "x25519_shared")?)?;
        same("key", derived(enc_type, &ephemeral, key.public()), key_of(layer, "key")?)?;
        let plaintext = match blobs.last() {
            None => payload.clone(),
            Some(inner) => combined::encode_text(inner, text(layer, "routing_json")?),
        };
        let nonce = nonce(layer)?;
        let keys = ChannelKeys::for_client(enc_type, &ephemeral, key.public());
        let blob = keys.seal_with_nonce(&plaintext, &nonce);
        same("blob", &blob, &hex_of(layer, "blob")?)?;
        blobs.push(blob);
        secrets.push(LayerSecret { enc_type, ephemeral, nonce });
    }
    let guard_body = hex_of(case, "guard_body")?;
    same("guard body", combined::encode_text(&blobs[3], text(case, "guard_json")?), guard_body.clone())?;

    // Peeling, from the outside in.
    let (mut layer, mut hop_no) = peel::parse_guard_body(&guard_body).map_err(as_text)?;
    let mut frames = Vec::new();
    for at in 0..3 {
        same("layer", &layer.data, &blobs[3 - at])?;
        match peel::peel(&nodes[at].x25519, &layer).map_err(as_text)? {
            Peeled::Relay { destination, layer: next, .. } => {
                same("next", destination, nodes[at + 1].record.ed25519)?;
                hop_no += 1;
                frames.push((hop_no, relay_frame(&next, hop_no)));
                layer = next;
            }
            Peeled::Proxy { server: target, plaintext, .. } if to_server && at == 2 => {
                same("host", &*target.host, "sogs.example.org")?;
                same("path", &*target.target, "/oxen/v4/lsrpc")?;
                same("port", target.port, if target.https { 443 } else { 80 })?;
                same("posted", &plaintext, &hex_of(case, "http_body_posted_to_server")?)?;
                let (opened, sealer) = peel::open_at_server(server, &plaintext).map_err(as_text)?;
                same("payload", opened, payload.clone())?;
                return server_reply(case, nodes, server, secrets, &payload, &guard_body, &sealer);
            }
            other => return Err(format!("hop {at}: {other:?}")),
        }
    }
    if let Some(expected) = case.get("sn_onion_request_parts") {
        relay_frames(expected.as_array().ok_or("no list")?, &frames)?;
    }
    match peel::peel(&nodes[3].x25519, &layer).map_err(as_text)? {
        Peeled::Final { body, reply } => {
            same("body", &*body, text(case, "rpc_body")?.as_bytes())?;
            snode_reply(case, nodes, secrets, &guard_body, &reply)
        }
        other => Err(format!("destination: {other:?}")),
    }
}

fn relay_frame(layer: &Layer, hop_no: u64) -> Vec<u8> {
    let enc_type = layer.enc_type.name().to_owned();
    let ephemeral_key = *layer.ephemeral_key.as_bytes();
    OnionRelay { data: layer.data.clone(), enc_type, ephemeral_key, hop_no }.encode()
}

fn relay_frames(expected: &[Value], frames: &[(u64, Vec<u8>)]) -> Result<(), String> {
    same("number of frames", expected.len(), frames.len())?;
    let ways = [("n1", "n2"), ("n2", "n3"), ("n3", "D")];
    for ((expected, (hop_no, frame)), (from, to)) in expected.iter().zip(frames).zip(ways) {
        same("from", text(expected, "from")?, from)?;
        same("to", text(expected, "to")?, to)?;
        same("hop_no", expected["hop_no"].as_u64(), Some(*hop_no))?;
        same("frame", frame, &hex_of(expected, "bt_hex")?)?;
    }
    Ok(())
}

fn snode_reply(
    case: &Value,
    nodes: &[FullNode],
    mut secrets: Vec<LayerSecret>,
    guard_body: &[u8],
    sealer: &ReplySealer,
) -> Result<(), String> {
    let hops: Vec<SnodeRecord> = nodes[..3].iter().map(|node| node.record).collect();
    let innermost = secrets.remove(0);
    let cipher = innermost.enc_type;
    secrets.reverse();
    let body = text(case, "rpc_body")?.as_bytes();
    let sealed = seal_with(&hops, Destination::Snode { node: &nodes[3].record, body }, innermost, &secrets)
        .map_err(as_text)?;
    // Ours is the first case: the others leave things out, or ask for another kind of reply.
    let is_ours = text(case, "control_json")? == r#"{"headers":""}"#;
    same("our request is the vector's", sealed.body == guard_body, is_ours)?;

    let reply = &case["reply"];
    let plaintext = text(reply, "plaintext")?;
    let expected: Value = serde_json::from_str(plaintext).map_err(as_text)?;
    let (json, base64) = match &expected["body"] {
        Value::String(_) => (false, true),
        _ => (true, false),
    };
    same("json", sealer.embeds_json(), json)?;
    same("base64", sealer.is_base64(), base64)?;
    let received = match reply.get("http_body_base64") {
        Some(text) => text.as_str().ok_or("no text")?.as_bytes().to_vec(),
        None => hex_of(reply, "http_body_hex")?,
    };
    let nonce = nonce(reply)?;
    same("nonce", nonce.iter().all(|byte| *byte == 0xc0 || *byte == 0), true)?;
    let raw = sealer.seal_raw(plaintext.as_bytes(), &mut Bytes(nonce));
    let raw = if base64 { base64::encode(raw).into_bytes() } else { raw };
    same("sealed reply", &*raw, &*received)?;
    let body = match &expected["body"] {
        Value::String(text) => serde_json::from_str(text).map_err(as_text)?,
        structured => structured.clone(),
    };
    for received in [received, sealer.seal(200, &body, &mut Fixed(9))] {
        let opened = sealed.reply.open_snode(&received).map_err(as_text)?;
        same("status", u64::from(opened.status), expected["status"].as_u64().ok_or("no status")?)?;
        same("body", &opened.body, &body)?;
    }
    same("nonce length", text(reply, "nonce")?.len(), nonce_digits(cipher))
}

fn server_reply(
    case: &Value,
    nodes: &[FullNode],
    server: &X25519Pair,
    mut secrets: Vec<LayerSecret>,
    payload: &[u8],
    guard_body: &[u8],
    sealer: &ReplySealer,
) -> Result<(), String> {
    let hops: Vec<SnodeRecord> = nodes[..3].iter().map(|node| node.record).collect();
    let innermost = secrets.remove(0);
    let cipher = innermost.enc_type;
    secrets.reverse();
    let target = sogs(server, cipher == EncType::XChaCha20);
    let destination = Destination::ServerPayload { server: &target, payload };
    let sealed = seal_with(&hops, destination, innermost, &secrets).map_err(as_text)?;
    same("our request is the vector's", sealed.body == guard_body, cipher == EncType::XChaCha20)?;
    let reply = &case["reply"];
    let plaintext = text(reply, "plaintext_utf8")?.as_bytes();
    let received = hex_of(reply, "http_body_hex")?;
    same("sealed reply", sealer.seal_raw(plaintext, &mut Bytes(nonce(reply)?)), received.clone())?;
    let opened = sealed.reply.open_server(&received).map_err(as_text)?;
    same("reply", opened.encode(), plaintext.to_vec())?;
    same("nonce length", text(reply, "nonce")?.len(), nonce_digits(cipher))
}
