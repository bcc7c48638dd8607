//! Known answers of onion requests: layers, routing, whole requests with their replies.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::hash::{blake2b_256, sha256};
use conclave_crypto::{
    CryptoRng, Ed25519Public, Ed25519Secret, RngCore, X25519Pair, X25519Public, X25519Secret,
};
use conclave_onion::peel::{self, Layer, Peeled, ReplySealer, Routing};
use conclave_onion::request::{Destination, LayerSecret, ReplyKey, Server, seal_with};
use conclave_proto::peer::OnionRelay;
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{SnodeRecord, SwarmId, Version, base64, combined};
use serde_json::{Value, json};

pub type Check = fn(&Value) -> Result<(), String>;

/// File, key, check.
pub const CHECKS: &[(&str, &str, Check)] = &[
    ("storage-onion.json", "onion_combined_payload", check_onion_combined_payload),
    ("storage-onion.json", "onion_inner_dispatch", check_onion_inner_dispatch),
    ("storage-onion.json", "onion_url_targets", check_onion_url_targets),
    ("storage-onion.json", "onion_request_full", check_onion_request_full),
    ("storage-onion.json", "sn_onion_request_bt", check_sn_onion_request_bt),
    ("storage-onion.json", "onion_v4_payload", check_onion_v4_payload),
    ("communities.json", "onion_request_parse", check_onion_request_parse),
    ("communities.json", "onion_v4_framing", check_onion_v4_framing),
    ("communities.json", "onion_v4_full", check_onion_v4_full),
    ("communities.json", "sogs_onion_end_to_end", check_sogs_onion_end_to_end),
    ("config-groups.json", "upstream/upstream-onion-parse", check_upstream_onion_parse),
];

pub fn check_onion_combined_payload(value: &Value) -> Result<(), String> {
    same("layout", text(value, "layout")?, "u32le(len) || ciphertext || json")?;
    let server = pair(value, "server_x25519_sec", "server_x25519_pub")?;
    let client = pair(value, "client_x25519_sec", "client_x25519_pub")?;
    let plaintext = text(value, "plaintext")?.as_bytes();
    let reply = text(value, "reply_plaintext")?;
    if reply != "Goodbye world" {
        return Err("reply_plaintext: of the two texts there, another one".into());
    }
    for (request, length, enc_type) in [
        ("aes_gcm_request", "reply_len_aes_gcm", EncType::AesGcm),
        ("xchacha20_request", "reply_len_xchacha20", EncType::XChaCha20),
    ] {
        let body = hex_of(value, request)?;
        let (layer, hop_no) = peel::parse_guard_body(&body).map_err(as_text)?;
        same("cipher", layer.enc_type, enc_type)?;
        same("ephemeral key", &layer.ephemeral_key, client.public())?;
        same("hop", hop_no, 0)?;
        let (opened, sealer) = peel::open_at_server(&server, &body).map_err(as_text)?;
        same("plaintext", &*opened, plaintext)?;
        // The client reads with the same key what the server seals with it.
        let sealed = sealer.seal_raw(reply.as_bytes(), &mut Fixed(7));
        same(length, Some(sealed.len() as u64), value[length].as_u64())?;
        let keys = ChannelKeys::for_client(enc_type, &client, server.public());
        same("reply", &*keys.open(&sealed).map_err(as_text)?, reply.as_bytes())?;
    }
    Ok(())
}

pub fn check_onion_request_parse(value: &Value) -> Result<(), String> {
    let server = pair(value, "server_sk", "server_pk")?;
    let payload = text(value, "payload_utf8")?;
    let client = x25519(value, "client_eph_pk")?;
    parses(value, "request_xchacha20", "request_aes_gcm", &server, payload, &client)
}

pub fn check_upstream_onion_parse(value: &Value) -> Result<(), String> {
    let (given, expected) = (&value["in"], &value["out"]);
    let server = pair(given, "server_priv", "server_pub")?;
    let payload = text(expected, "payload")?;
    let client = x25519(expected, "client_pub")?;
    parses(given, "xchacha20_request", "aes_gcm_request", &server, payload, &client)
}

fn parses(
    value: &Value,
    xchacha20: &str,
    aes_gcm: &str,
    server: &X25519Pair,
    payload: &str,
    client: &X25519Public,
) -> Result<(), String> {
    for (name, enc_type) in [(xchacha20, EncType::XChaCha20), (aes_gcm, EncType::AesGcm)] {
        let body = hex_of(value, name)?;
        let (layer, _) = peel::parse_guard_body(&body).map_err(as_text)?;
        same("client", &layer.ephemeral_key, client)?;
        same("cipher", layer.enc_type, enc_type)?;
        let (opened, _) = peel::open_at_server(server, &body).map_err(as_text)?;
        same("payload", &*opened, payload.as_bytes())?;
    }
    Ok(())
}

pub fn check_onion_inner_dispatch(value: &Value) -> Result<(), String> {
    let blob = hex_of(value, "ciphertext_hex")?;
    let cases = list(value, "cases")?;
    same("number of cases", cases.len(), 4)?;
    for case in cases {
        let plaintext = hex_of(case, "plaintext_hex")?;
        let parts = combined::decode(&plaintext).map_err(as_text)?;
        same("blob", parts.body, &*blob)?;
        let routing = peel::routing(&parts.control)?;
        match (text(case, "kind")?, routing) {
            ("final", Routing::Final { json, base64 }) => {
                same("body", parts.body, text(case, "body")?.as_bytes())?;
                same("json", Some(json), case["json"].as_bool())?;
                same("base64", Some(base64), case["base64"].as_bool())?;
            }
            ("server", Routing::Server(server)) => {
                same("host", &*server.host, text(case, "host")?)?;
                same("port", Some(u64::from(server.port)), case["port"].as_u64())?;
                same("protocol", if server.https { "https" } else { "http" }, text(case, "protocol")?)?;
                same("target", &*server.target, text(case, "target")?)?;
                same("allowed", server.is_allowed(), false)?;
                if let Some(forwarded) = case.get("forwarded_payload") {
                    // Checked over sealed layers in `check_onion_request_full`.
                    same("forwarded", forwarded.as_str(), Some("the whole plaintext unchanged"))?;
                }
            }
            ("snode", Routing::Snode { destination, ephemeral_key, enc_type }) => {
                same("next", &*hex::encode(destination), text(case, "next_ed25519")?)?;
                same("ephemeral key", ephemeral_key, x25519(case, "ephemeral_key")?)?;
                same("cipher", enc_type.name(), text(case, "enc_type")?)?;
                // The vector names a node that cannot exist; that is said as of any unknown node.
                let layer = layer_of(&plaintext);
                let refused = peel::peel(&own(), &layer).err().ok_or("a node that cannot exist was found")?;
                same("status", refused.status(), 502)?;
                let expected = format!("Next node not found: {}", text(case, "next_ed25519")?);
                same("text", refused.to_string(), expected)?;
            }
            (kind, routing) => return Err(format!("{kind}: got {routing:?}")),
        }
    }
    Ok(())
}

pub fn check_onion_url_targets(value: &Value) -> Result<(), String> {
    // The lists are known by heart: a path changed a little may well be allowed as before.
    let (allowed, rejected) = (list(value, "allowed")?, list(value, "rejected")?);
    same("allowed", allowed, &json_list(&["/loki/v3/lsrpc", "/loki/oxen/v4/lsrpc", "/oxen/v3/lsrpc"]))?;
    same("rejected", rejected, &json_list(&["/not_loki/v3/lsrpc", "/loki/v3", "/loki/v3/lsrpc?foo=bar"]))?;
    for (targets, expected) in [(allowed, true), (rejected, false)] {
        for target in targets {
            let target = target.as_str().ok_or("no text")?;
            same(target, peel::is_allowed_target(target), expected)?;
            // The same over a sealed layer.
            let control = json!({"host": "example.org", "target": target});
            let peeled = peel::peel(&own(), &layer_of(&combined::encode(b"blob", &control)));
            match peeled.map_err(as_text)? {
                Peeled::Proxy { server, .. } if expected => same("target", &*server.target, target)?,
                Peeled::Refused { status: 400, text: "Invalid url", .. } if !expected => {}
                other => return Err(format!("{target}: {other:?}")),
            }
        }
    }
    Ok(())
}

pub fn check_sn_onion_request_bt(value: &Value) -> Result<(), String> {
    let fields = &value["fields"];
    same("ephemeral key", text(fields, "ephemeral_key")?, "32 bytes 00..1f")?;
    let relay = OnionRelay {
        data: text(fields, "data")?.as_bytes().to_vec(),
        enc_type: text(fields, "enc_type")?.to_owned(),
        ephemeral_key: std::array::from_fn(|at| at as u8),
        hop_no: fields["hop_no"].as_u64().ok_or("no hop_no")?,
    };
    let bytes = hex_of(value, "hex")?;
    same("bt", relay.encode(), bytes.clone())?;
    same("read", OnionRelay::decode(&bytes).map_err(as_text)?, relay)
}

pub fn check_onion_v4_payload(value: &Value) -> Result<(), String> {
    let request = |body: &[u8]| V4Request {
        method: "GET".into(),
        endpoint: "/room/x".into(),
        headers: [].into(),
        body: body.to_vec(),
    };
    for (name, body) in [("request_no_body", &b""[..]), ("request_with_body", b"hello")] {
        let encoded = text(value, name)?.as_bytes();
        same(name, &*request(body).encode(), encoded)?;
        same(name, V4Request::decode(encoded).map_err(as_text)?, request(body))?;
    }
    Ok(())
}

pub fn check_onion_v4_framing(value: &Value) -> Result<(), String> {
    let items = list(value, "items")?;
    same("number of items", items.len(), 3)?;
    for item in items {
        let encoded = text(item, "encoded_utf8")?.as_bytes();
        let header = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        let again = match text(item, "name")? {
            "get_no_body" => {
                let request = V4Request::decode(encoded).map_err(as_text)?;
                same("headers", &request.headers, &header("Some-Header", "12345"))?;
                request.encode()
            }
            "post_with_body" => {
                let request = V4Request::decode(encoded).map_err(as_text)?;
                same("body", &*request.body, b"post body here")?;
                same("endpoint", &*request.endpoint, "/some/thing")?;
                same("headers", &request.headers, &header("Some-Header", "a"))?;
                request.encode()
            }
            "response" => {
                let reply = V4Reply::decode(encoded).map_err(as_text)?;
                same("code", reply.code, 200)?;
                same("headers", &reply.headers, &header("content-type", "application/json"))?;
                same("body", &*reply.body, br#"{"id": 123}"#)?;
                reply.encode()
            }
            other => return Err(format!("an item called {other}")),
        };
        same("encoded", &*again, encoded)?;
    }
    // What the first item says, in full: its headers alone were compared above.
    let first = text(&items[0], "encoded_utf8")?;
    same(
        "first",
        first,
        r#"l79:{"method":"GET","endpoint":"/room/some-room","headers":{"Some-Header":"12345"}}e"#,
    )
}

pub fn check_onion_v4_full(value: &Value) -> Result<(), String> {
    let server = pair(value, "server_sk", "server_pk")?;
    let client = pair(value, "client_eph_sk", "client_eph_pk")?;
    let inner = text(value, "inner_utf8")?.as_bytes();
    let posted = hex_of(value, "http_body_posted_to_oxen_v4_lsrpc")?;
    same("key", derived(EncType::XChaCha20, &client, server.public()), key_of(value, "shared_key")?)?;
    let (layer, _) = peel::parse_guard_body(&posted).map_err(as_text)?;
    same("ephemeral key", &layer.ephemeral_key, client.public())?;
    same("cipher", layer.enc_type, EncType::XChaCha20)?;
    let (payload, sealer) = peel::open_at_server(&server, &posted).map_err(as_text)?;
    same("payload", &*payload, inner)?;
    let request = V4Request::decode(&payload).map_err(as_text)?;
    same("request", request.encode(), payload)?;
    // The same again, sealed by us. The exit's JSON goes through to the server as the client wrote it.
    let keys = ChannelKeys::for_client(EncType::XChaCha20, &client, server.public());
    let nonce: [u8; 24] = std::array::from_fn(|at| at as u8);
    same("sealed", &*keys.seal_with_nonce(inner, &nonce), &*layer.data)?;
    let control = combined::decode(&posted).map_err(as_text)?.control;
    let expected = json!({
        "ephemeral_key": client.public().to_hex(), "enc_type": "xchacha20", "host": "sogs.example.org",
        "target": "/oxen/v4/lsrpc", "method": "POST", "protocol": "http", "port": 80,
    });
    same("routing", Value::Object(control), expected)?;
    let reply = text(value, "response_plain_utf8")?.as_bytes();
    let sealed = hex_of(value, "response_body")?;
    same("sealed reply", sealer.seal_raw(reply, &mut Counting(24)), sealed.clone())?;
    let key = reply_key(&server, EncType::XChaCha20, client, inner)?;
    same("reply", key.open_server(&sealed).map_err(as_text)?.encode(), reply.to_vec())
}

/// The onion part: the signature of the request inside is another crate's matter, and what is
/// checked of it here is that the sealed request holds it.
pub fn check_sogs_onion_end_to_end(value: &Value) -> Result<(), String> {
    let server = pair(value, "server_sk", "server_pk")?;
    let client = pair(value, "ephemeral_sk", "ephemeral_pk")?;
    same("identity", text(value, "identity")?, "id2")?;
    let plaintext = hex_of(value, "v4_plaintext_hex")?;
    let request = V4Request::decode(&plaintext).map_err(as_text)?;
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    same("method", &*request.method, "POST")?;
    same("endpoint", &*request.endpoint, "/batch")?;
    let body = text(value, "body_utf8")?.as_bytes();
    same("body", &*request.body, body)?;
    same("account", header("X-SOGS-Pubkey"), Some(text(value, "blinded_id")?))?;
    let timestamp = value["timestamp"].as_u64().ok_or("no timestamp")?.to_string();
    same("timestamp", header("X-SOGS-Timestamp"), Some(&*timestamp))?;
    let nonce = hex_of(value, "nonce")?;
    same("nonce", header("X-SOGS-Nonce"), Some(&*base64::encode(&nonce)))?;
    same("signature", header("X-SOGS-Signature"), Some(text(value, "signature_b64")?))?;
    let hash = conclave_crypto::hash::blake2b_512(&[body]);
    same("hash of the body", &hash[..], &*hex_of(value, "body_blake2b64")?)?;
    let signed =
        [server.public().as_bytes(), &*nonce, timestamp.as_bytes(), b"POST", b"/batch", &hash].concat();
    same("signed bytes", signed, hex_of(value, "signed_bytes")?)?;

    same("key", derived(EncType::AesGcm, &client, server.public()), key_of(value, "key")?)?;
    let posted = hex_of(value, "http_body_posted_to_oxen_v4_lsrpc")?;
    let (layer, _) = peel::parse_guard_body(&posted).map_err(as_text)?;
    same("ephemeral key", &layer.ephemeral_key, client.public())?;
    same("cipher left out", layer.enc_type, EncType::AesGcm)?;
    let keys = ChannelKeys::for_client(EncType::AesGcm, &client, server.public());
    same("sealed", &*keys.seal_with_nonce(&plaintext, &[0xb0; 24]), &*layer.data)?;
    let routing = peel::routing(&combined::decode(&posted).map_err(as_text)?.control)?;
    if !matches!(&routing, Routing::Server(server) if server.is_allowed()) {
        return Err(format!("routing: {routing:?}"));
    }
    let (payload, sealer) = peel::open_at_server(&server, &posted).map_err(as_text)?;
    same("payload", payload, plaintext.clone())?;
    let reply = text(value, "reply_plaintext_utf8")?.as_bytes();
    let sealed = hex_of(value, "reply_http_body")?;
    same("sealed reply", sealer.seal_raw(reply, &mut Fixed(0xc0)), sealed.clone())?;
    let key = reply_key(&server, EncType::AesGcm, client, &plaintext)?;
    same("reply", key.open_server(&sealed).map_err(as_text)?.encode(), reply.to_vec())
}

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
            Peeled::Relay { destination, layer: next } => {
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

/// The reading end of a request to a server over one hop.
fn reply_key(
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

fn sogs(server: &X25519Pair, https: bool) -> Server {
    Server {
        host: "sogs.example.org".into(),
        port: if https { 443 } else { 80 },
        https,
        target: "/oxen/v4/lsrpc".into(),
        x25519: *server.public(),
    }
}

fn record(ed25519: Ed25519Public) -> SnodeRecord {
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
fn own() -> X25519Pair {
    X25519Pair::new(X25519Secret::from_bytes([5; 32]))
}

/// A plaintext sealed for [`own`].
fn layer_of(plaintext: &[u8]) -> Layer {
    let client = X25519Pair::new(X25519Secret::from_bytes([6; 32]));
    let keys = ChannelKeys::for_client(EncType::XChaCha20, &client, own().public());
    let data = keys.seal_with_nonce(plaintext, &[2; 24]);
    Layer { data, enc_type: EncType::XChaCha20, ephemeral_key: *client.public() }
}

/// The key of a layer by the words of section 6.1, beside the implementation.
fn derived(enc_type: EncType, client: &X25519Pair, server: &X25519Public) -> [u8; 32] {
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

const fn nonce_digits(enc_type: EncType) -> usize {
    match enc_type {
        EncType::AesGcm => 24,
        EncType::XChaCha20 => 48,
        EncType::AesCbc => 32,
    }
}

fn nonce(value: &Value) -> Result<[u8; 24], String> {
    let bytes = hex_of(value, "nonce")?;
    let mut nonce = [0; 24];
    nonce.get_mut(..bytes.len()).ok_or("a long nonce")?.copy_from_slice(&bytes);
    Ok(nonce)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, expected {expected:?}")) }
}

fn as_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("{key} is no text"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    value[key].as_array().ok_or_else(|| format!("{key} is no list"))
}

fn json_list(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(*text)).collect()
}

fn hex_of(value: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(value, key)?).map_err(|error| format!("{key}: {error}"))
}

fn key_of(value: &Value, key: &str) -> Result<[u8; 32], String> {
    hex_of(value, key)?.try_into().map_err(|_| format!("{key} has not 32 bytes"))
}

fn x25519(value: &Value, key: &str) -> Result<X25519Public, String> {
    X25519Public::from_bytes(key_of(value, key)?).map_err(as_text)
}

/// A secret key and the public key that has to belong to it.
fn pair(value: &Value, secret: &str, public: &str) -> Result<X25519Pair, String> {
    let pair = X25519Pair::new(X25519Secret::from_bytes(key_of(value, secret)?));
    same(public, *pair.public(), x25519(value, public)?)?;
    Ok(pair)
}

/// "Randomness" that is known: one byte over and over, counting up, or given bytes.
struct Fixed(u8);
struct Counting(u8);
struct Bytes([u8; 24]);

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
