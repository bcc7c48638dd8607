//! Onion requests layer by layer, written by hand: what each hop says, in the clear or sealed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Swarm, node_secret, signed_retrieve, store_of, texts};
use conclave_crypto::X25519Pair;
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_node::Hooks;
use conclave_onion::request::{Destination, seal, seal_with_cipher};
use conclave_proto::{SnodeRecord, combined};
use conclave_transport::https::Response;
use rand_core::OsRng;
use serde_json::{Value, json};

/// One layer: what is posted for it, and the key its reply is sealed with.
struct ByHand {
    blob: Vec<u8>,
    ephemeral: String,
    enc_type: EncType,
    keys: ChannelKeys,
}

fn layer(enc_type: EncType, to: &SnodeRecord, body: &[u8], control: &Value) -> ByHand {
    let ephemeral = X25519Pair::generate(&mut OsRng);
    let keys = ChannelKeys::for_client(enc_type, &ephemeral, &to.x25519);
    let blob = keys.seal(&combined::encode(body, control), &mut OsRng);
    ByHand { blob, ephemeral: ephemeral.public().to_hex(), enc_type, keys }
}

impl ByHand {
    /// The body for a guard, with more keys beside.
    fn for_guard(&self, extra: &Value) -> Vec<u8> {
        let mut control = json!({"ephemeral_key": self.ephemeral, "enc_type": self.enc_type.name()});
        for (name, value) in extra.as_object().unwrap() {
            control[name] = value.clone();
        }
        combined::encode(&self.blob, &control)
    }

    /// The routing of a hop that passes this layer on to `next`.
    fn routing(&self, next: &SnodeRecord) -> Value {
        json!({"destination": next.ed25519.to_hex(), "ephemeral_key": self.ephemeral, "enc_type": self.enc_type.name()})
    }

    fn open(&self, sealed: &[u8]) -> Value {
        serde_json::from_slice(&self.keys.open(sealed).unwrap()).unwrap()
    }

    fn open_base64(&self, reply: &Response) -> Value {
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        self.open(&conclave_proto::base64::decode(&reply.body[..]).unwrap())
    }
}

const INFO: &[u8] = br#"{"method":"info","params":{}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_text_in_base64_unless_asked_otherwise() {
    let swarm = Swarm::start(1).await;
    let node = swarm.listed[0];
    // Desktop's form of `headers`, and the two flags.
    let plain = layer(EncType::XChaCha20, &node, INFO, &json!({"headers": {"body": null}}));
    let reply = swarm.post(0, "/onion_req/v2", plain.for_guard(&json!({}))).await;
    assert_eq!(reply.content_type.as_deref(), Some("text/plain"));
    let reply = plain.open_base64(&reply);
    assert_eq!(reply["status"], 200);
    let body: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    assert!(body["version"].is_array() && body["conclave"].is_array());

    let embedded = layer(EncType::XChaCha20, &node, INFO, &json!({"headers": "", "json": true}));
    let reply = swarm.post(0, "/onion_req/v2", embedded.for_guard(&json!({}))).await;
    assert!(embedded.open_base64(&reply)["body"]["version"].is_array());

    let raw = layer(EncType::XChaCha20, &node, INFO, &json!({"headers": "", "base64": false}));
    let reply = swarm.post(0, "/onion_req/v2", raw.for_guard(&json!({}))).await;
    assert_eq!(reply.content_type.as_deref(), Some("application/octet-stream"));
    assert_eq!(raw.open(&reply.body)["status"], 200);

    let list = br#"{"method":"active_nodes_bin","params":{}}"#;
    let binary = layer(EncType::XChaCha20, &node, list, &json!({"headers": ""}));
    let reply = binary.open_base64(&swarm.post(0, "/onion_req/v2", binary.for_guard(&json!({}))).await);
    let list = conclave_proto::base64::decode(reply["body"].as_str().unwrap()).unwrap();
    assert_eq!(list.len(), 51, "binary results are a base64 string");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cipher_is_read_at_every_hop_and_none_named_is_aes_gcm() {
    let swarm = Swarm::start(3).await;
    let [guard, relay, last] = swarm.listed[..] else { panic!() };
    for (a, b, c) in [
        (EncType::AesGcm, EncType::AesGcm, EncType::AesGcm),
        (EncType::XChaCha20, EncType::AesCbc, EncType::AesGcm),
        (EncType::AesCbc, EncType::AesGcm, EncType::XChaCha20),
    ] {
        let inner = layer(c, &last, INFO, &json!({"headers": ""}));
        let middle = layer(b, &relay, &inner.blob, &inner.routing(&last));
        let outer = layer(a, &guard, &middle.blob, &middle.routing(&relay));
        let reply = swarm.post(0, "/onion_req/v2", outer.for_guard(&json!({}))).await;
        assert_eq!(inner.open_base64(&reply)["status"], 200, "{a} {b} {c}");
    }
    // As Desktop and Android write it.
    let inner = layer(EncType::AesGcm, &last, INFO, &json!({"headers": ""}));
    let mut routing = inner.routing(&last);
    routing.as_object_mut().unwrap().remove("enc_type");
    let outer = layer(EncType::AesGcm, &guard, &inner.blob, &routing);
    let body = combined::encode(&outer.blob, &json!({"ephemeral_key": outer.ephemeral}));
    let reply = swarm.post(0, "/onion_req/v2", body).await;
    assert_eq!(inner.open_base64(&reply)["status"], 200);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_refuse_in_the_clear_what_is_no_onion_request() {
    let swarm = Swarm::start(1).await;
    let good = layer(EncType::XChaCha20, &swarm.listed[0], INFO, &json!({"headers": ""}));
    let key = json!({"ephemeral_key": good.ephemeral});
    let cases = [
        (Vec::new(), "Error parsing onion request: "),
        (b"\xff\xff\xff\xffabc".to_vec(), "Error parsing onion request: "),
        (b"\x00\x00\x00\x00not json".to_vec(), "Error parsing onion request: "),
        (combined::encode(&good.blob, &json!({})), "Error parsing onion request: "),
        (combined::encode(&good.blob, &json!({"ephemeral_key": "00"})), "Error parsing onion request: "),
        (good.for_guard(&json!({"enc_type": "rot13"})), "Error parsing onion request: "),
        (good.for_guard(&json!({"hop_no": -1})), "Error parsing onion request: "),
        (good.for_guard(&json!({"enc_type": "aes-gcm"})), "Invalid ciphertext"),
        (combined::encode(b"", &key), "Invalid ciphertext"),
        (good.for_guard(&json!({"hop_no": 16})), "onion request max path length exceeded"),
    ];
    for (body, expected) in cases {
        let reply = swarm.post(0, "/onion_req/v2", body).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 400, "{text}");
        assert!(text.starts_with(expected), "{text} instead of {expected}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_inside_a_layer_is_told_sealed() {
    let swarm = Swarm::start(1).await;
    let node = swarm.listed[0];
    let server = |target: &str| json!({"host": "127.0.0.1", "target": target, "method": "POST", "ephemeral_key": "0".repeat(64)});
    let cases = [
        (json!({}), 400, "Invalid json"),
        (json!({"destination": "zz", "ephemeral_key": "00"}), 400, "Invalid json"),
        (json!({"host": "example.org"}), 400, "Invalid json"),
        (server("/admin"), 400, "Invalid url"),
        (server("/loki/../lsrpc?x"), 400, "Invalid url"),
        (server("/oxen/v4/lsrpc"), 400, "Invalid url"),
    ];
    for (control, status, text) in cases {
        let sealed = layer(EncType::XChaCha20, &node, b"x", &control);
        let reply = swarm.post(0, "/onion_req/v2", sealed.for_guard(&json!({}))).await;
        let reply = sealed.open_base64(&reply);
        assert_eq!((&reply["status"], &reply["body"]), (&json!(status), &json!(text)), "{control}");
    }
    // The storage request's own errors too.
    for (body, status, text) in [
        (&b"{"[..], 400, "invalid json"),
        (br#"{"method":"delete_everything","params":{}}"#, 400, "no method delete_everything"),
    ] {
        let sealed = layer(EncType::XChaCha20, &node, body, &json!({"headers": ""}));
        let reply = swarm.post(0, "/onion_req/v2", sealed.for_guard(&json!({}))).await;
        let reply = sealed.open_base64(&reply);
        assert_eq!((&reply["status"], &reply["body"]), (&json!(status), &json!(text)));
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hops_are_counted_from_where_the_client_says() {
    let swarm = Swarm::start(2).await;
    let [guard, last] = swarm.listed[..] else { panic!() };
    let inner = layer(EncType::XChaCha20, &last, INFO, &json!({"headers": ""}));
    let outer = layer(EncType::XChaCha20, &guard, &inner.blob, &inner.routing(&last));
    let reply = swarm.post(0, "/onion_req/v2", outer.for_guard(&json!({"hop_no": 14}))).await;
    assert_eq!(inner.open_base64(&reply)["status"], 200, "the last is number 15");
    let reply = swarm.post(0, "/onion_req/v2", outer.for_guard(&json!({"hop_no": 15}))).await;
    assert_eq!((reply.status, &reply.body[..]), (400, &b"onion request max path length exceeded"[..]));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_is_listed_and_silent_is_named_in_the_clear() {
    let mut swarm = Swarm::listed(&[0, 0]);
    swarm.run(0, Hooks::default()).await;
    let [guard, silent] = swarm.listed[..] else { panic!() };
    let sealed = seal(&[guard], Destination::Snode { node: &silent, body: INFO }, &mut OsRng).unwrap();
    let reply = swarm.post(0, "/onion_req/v2", sealed.body).await;
    let expected = format!("Next node is currently unreachable: {}", silent.ed25519.to_hex());
    assert_eq!((reply.status, &reply.body[..]), (502, expected.as_bytes()));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_answers_nonsense_is_an_invalid_response() {
    use std::sync::Arc;

    use conclave_transport::quic::{Endpoint, Options};

    let mut swarm = Swarm::listed(&[0, 0]);
    swarm.run(0, Hooks::default()).await;
    let [guard, strange] = swarm.listed[..] else { panic!() };
    let options = Options {
        is_node: Arc::new(|_| true),
        ..Options::new(Arc::new(|_| Box::pin(async { Ok(b"le".as_slice().into()) })))
    };
    let address = (strange.ip, strange.quic_port).into();
    let _endpoint = Endpoint::listen(address, &node_secret(1), options).unwrap();
    let sealed = seal(&[guard], Destination::Snode { node: &strange, body: INFO }, &mut OsRng).unwrap();
    let reply = swarm.post(0, "/onion_req/v2", sealed.body).await;
    assert_eq!((reply.status, &reply.body[..]), (500, &b"Invalid response from snode"[..]));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_comes_through_three_hops_in_pages_that_fit() {
    let swarm = Swarm::start(4).await;
    // 120 messages of the largest size: 12 MB in base64.
    const MESSAGES: usize = 120;
    let mut stores = Vec::new();
    let big = |n: usize| format!("{n:03}{}", "x".repeat(76_797));
    for n in 0..MESSAGES {
        let request = store_of(1, &big(n));
        let store = swarm.post(n % 4, "/storage_rpc/v1", request.to_json_body()).await;
        stores.push(store.status);
    }
    assert_eq!(stores, vec![200; MESSAGES]);
    let destination = swarm.listed[3];
    let mut after = json!("");
    let (mut got, mut pages) = (Vec::new(), 0);
    loop {
        // The most that can be asked for, seven times in one batch.
        let retrieve = signed_retrieve(1, &json!({"max_size": -1, "last_hash": after}));
        let one = json!({"method": "batch", "params": {"requests": [retrieve]}});
        let many = json!({"method": "batch", "params": {"requests": vec![retrieve; 7]}});
        for request in [many, one] {
            let body = request.to_string();
            let destination = Destination::Snode { node: &destination, body: body.as_bytes() };
            let sealed =
                seal_with_cipher(EncType::AesGcm, &swarm.listed[..3], destination, &mut OsRng).unwrap();
            let response = swarm.post(0, "/onion_req/v2", sealed.body).await;
            let reply = sealed.reply.open_snode(&response.body).unwrap();
            assert_eq!(reply.status, 200, "{:?}", reply.body);
            let results = reply.body["results"].as_array().unwrap();
            assert!(results.iter().all(|result| result["code"] == 200));
            if results.len() == 1 {
                let page = &results[0]["body"];
                got.extend(texts(page));
                pages += 1;
                after = page["messages"].as_array().unwrap().last().unwrap()["hash"].clone();
                if page["more"] == false {
                    assert_eq!(got.len(), MESSAGES);
                    assert_eq!(pages, 2, "a page has more than half of it");
                    got.sort();
                    assert!(got.iter().enumerate().all(|(n, text)| *text == big(n)));
                    swarm.stop().await;
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_onion_request_over_quic_is_the_same_as_over_https() {
    use conclave_transport::Deadline;
    use conclave_transport::quic::{Alpn, Endpoint, Lane, RequestError};

    let swarm = Swarm::start(2).await;
    let [guard, last] = swarm.listed[..] else { panic!() };
    let client = Endpoint::client().unwrap();
    let connection =
        client.dial((guard.ip, guard.quic_port).into(), guard.ed25519, Alpn::Client).await.unwrap();
    let deadline = || Deadline::after(Duration::from_secs(60));
    let sealed = seal(&[guard], Destination::Snode { node: &last, body: INFO }, &mut OsRng).unwrap();
    let reply = connection.request(Lane::Onion(0), "onion_req", &sealed.body, deadline()).await.unwrap();
    assert_eq!(sealed.reply.open_snode(&reply).unwrap().status, 200);
    let refused = connection.request(Lane::Onion(0), "onion_req", b"", deadline()).await;
    let Err(RequestError::Remote(error)) = refused else { panic!("{refused:?}") };
    assert!(error.starts_with(b"400 Bad Request\n\nError parsing onion request: "), "{error:?}");
    swarm.stop().await;
}
