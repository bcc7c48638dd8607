//! Known answers of requests to servers.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_onion::peel::{self, Routing};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{base64, combined};
use serde_json::{Value, json};

use super::read::*;

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
