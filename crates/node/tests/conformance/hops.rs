//! Onion requests that do not arrive: what the client is told in the clear. And how far they may go.

use std::sync::{Arc, Mutex};

use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Endpoint, Lane, Options};
use serde_json::json;

use crate::common::node_secret;
use crate::onions::{combined, layer, post};
use crate::wires::Way;
use crate::world::{Case, PLAYED, STRANGE, T, case};

const ONLY: &[Way] = &[Way::Onion];

pub const CASES: &[Case] = &[
    case!(at_the_guard, ONLY, ["6.7-guard-parse", "6.2-bad", "6.8-guard-body"]),
    case!(in_between, ONLY, ["6.7-ciphertext", "6.7-not-found", "6.7-not-a-key", "6.7-unreachable",]),
    case!(from_the_next, ONLY, ["6.7-nonsense", "6.7-statuses", "6.7-unchanged"]),
    case!(far, ONLY, ["6.8-hops"]),
    case!(large, ONLY, ["6.8-largest-message"]),
];

const INFO: &[u8] = br#"{"method":"info","params":{}}"#;

/// Status and text in the clear.
async fn told(t: &T, body: Vec<u8>) -> (u16, String) {
    let (status, body) = post(t, body).await;
    (status, String::from_utf8(body).unwrap())
}

async fn at_the_guard(t: T) {
    let good = layer("gcm", &t.node(1), INFO, &json!({"headers": ""}));
    for (id, body) in [
        ("6.7-guard-parse", Vec::new()),
        ("6.7-guard-parse", good.body_with(json!({"ephemeral_key": null}))),
        ("6.7-guard-parse", good.body_with(json!({"ephemeral_key": "00".repeat(31)}))),
        ("6.7-guard-parse", good.body_with(json!({"ephemeral_key": "00".repeat(32)}))),
        ("6.7-guard-parse", good.body_with(json!({"enc_type": 5}))),
        ("6.7-guard-parse", good.body_with(json!({"hop_no": -1}))),
        ("6.7-guard-parse", good.body_with(json!({"hop_no": "x"}))),
        ("6.2-bad", b"\xff\xff\xff\xff{}".to_vec()),
        ("6.2-bad", b"\x03\0\0\0{}".to_vec()),
        ("6.2-bad", combined(b"x", "{")),
        ("6.2-bad", combined(b"x", "{} {}")),
        ("6.2-bad", combined(b"x", "")),
        ("6.2-bad", combined(b"x", "[]")),
    ] {
        let (status, text) = told(&t, body).await;
        assert!(status == 400 && text.starts_with("Error parsing onion request: "), "{status} {text}");
        t.shows(id);
    }
    let (status, text) = told(&t, vec![0; 10_485_761]).await;
    assert_eq!((status, text.as_str()), (413, "Request body too large"));
    t.shows("6.8-guard-body");
}

async fn in_between(t: T) {
    let (guard, relay, last) = (t.node(1), t.node(2), t.node(0));
    let inner = layer("gcm", &last, INFO, &json!({"headers": ""}));
    let invalid = (400, "Invalid ciphertext".to_owned());
    // Sealed for somebody else than it is passed to: at the guard, at the relay, at the end.
    assert_eq!(told(&t, inner.for_hop("gcm", &relay, &last).body()).await, invalid);
    let wrong = inner.for_hop("gcm", &last, &last).for_hop("gcm", &guard, &relay);
    assert_eq!(told(&t, wrong.body()).await, invalid);
    let wrong = layer("gcm", &guard, INFO, &json!({"headers": ""}));
    let wrong = wrong.for_hop("gcm", &relay, &last).for_hop("gcm", &guard, &relay);
    assert_eq!(told(&t, wrong.body()).await, invalid);
    assert_eq!(told(&t, inner.body_with(json!({"enc_type": "xchacha20"}))).await, invalid);
    t.shows("6.7-ciphertext");

    let mut unknown = last;
    unknown.ed25519 = t.user().key.public();
    let text = format!("Next node not found: {}", unknown.ed25519.to_hex());
    let at_guard = inner.for_hop("gcm", &guard, &unknown);
    assert_eq!(told(&t, at_guard.body()).await, (502, text.clone()));
    let at_relay = inner.for_hop("gcm", &relay, &unknown).for_hop("gcm", &guard, &relay);
    assert_eq!(told(&t, at_relay.body()).await, (502, text));
    t.shows("6.7-not-found");
    let no_key = format!("02{}", "00".repeat(31));
    let routing = json!({"destination": no_key, "ephemeral_key": "09".repeat(32)});
    let at_guard = layer("gcm", &guard, b"x", &routing);
    assert_eq!(told(&t, at_guard.body()).await, (502, format!("Next node not found: {no_key}")));
    t.shows("6.7-not-a-key");
    let silent = t.node(PLAYED);
    let body = layer("gcm", &silent, INFO, &json!({"headers": ""})).for_hop("gcm", &guard, &silent).body();
    let text = format!("Next node is currently unreachable: {}", silent.ed25519.to_hex());
    assert_eq!(told(&t, body).await, (502, text));
    t.shows("6.7-unreachable");
}

async fn from_the_next(t: T) {
    // A node that says what it is told to say.
    let says = Arc::new(Mutex::new(Vec::new()));
    let saying = Arc::clone(&says);
    let options = Options {
        is_node: Arc::new(|_| true),
        ..Options::new(Arc::new(move |_| {
            let said: Vec<u8> = saying.lock().unwrap().clone();
            Box::pin(async move { Ok(said.into()) })
        }))
    };
    let (guard, strange) = (t.node(1), t.node(STRANGE));
    let address = (strange.ip, strange.quic_port).into();
    let endpoint = Endpoint::listen(address, &node_secret(STRANGE), options).unwrap();
    // The guard may have tried to reach it before and leave it alone for a while; one that calls is there.
    let to_guard = (guard.ip, guard.quic_port).into();
    let calls = endpoint.dial(to_guard, guard.ed25519, Alpn::Node).await.unwrap();
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    calls.request(Lane::Commands, "snode_ping", b"", deadline).await.unwrap();
    let inner = layer("gcm", &strange, INFO, &json!({"headers": ""}));
    let body = inner.for_hop("gcm", &guard, &strange).body();
    for nonsense in [&b"le"[..], b"", b"de", b"l3:200e", b"li200ee"] {
        *says.lock().unwrap() = nonsense.to_vec();
        assert_eq!(
            told(&t, body.clone()).await,
            (500, "Invalid response from snode".to_owned()),
            "{nonsense:?}"
        );
    }
    t.shows("6.7-nonsense");
    for (code, relayed) in [
        (200, 200),
        (401, 401),
        (403, 403),
        (404, 404),
        (406, 406),
        (421, 421),
        (429, 429),
        (502, 502),
        (503, 503),
        (504, 504),
        (201, 500),
        (302, 500),
        (418, 500),
        (425, 500),
        (599, 500),
    ] {
        *says.lock().unwrap() = format!("li{code}e12:what I said.e").into_bytes();
        assert_eq!(told(&t, body.clone()).await, (relayed, "what I said.".to_owned()), "{code}");
    }
    t.shows("6.7-statuses");
    *says.lock().unwrap() = [&b"li200e256:"[..], &(0..=255).collect::<Vec<u8>>(), b"e"].concat();
    assert_eq!(post(&t, body).await, (200, (0..=255).collect()));
    t.shows("6.7-unchanged");
}

async fn far(t: T) {
    // To and fro between nodes; `hops` nodes see it before the last one.
    let path = |hops: usize| {
        let nodes: Vec<_> = (0..=hops).map(|hop| t.node(if hop % 2 == 0 { 1 } else { 2 })).collect();
        let inner = layer("gcm", &nodes[hops], INFO, &json!({"headers": ""}));
        let onion = (0..hops).rev().fold(None, |onion: Option<crate::onions::Layer>, hop| {
            Some(onion.as_ref().unwrap_or(&inner).for_hop("gcm", &nodes[hop], &nodes[hop + 1]))
        });
        (inner, onion.unwrap())
    };
    let too_far = (400, "onion request max path length exceeded".to_owned());
    let (_, onion) = path(15);
    let (status, reply) = told(&t, onion.body()).await;
    assert_eq!(status, 200, "{reply}");
    let (_, onion) = path(16);
    assert_eq!(told(&t, onion.body()).await, too_far);
    let (_, onion) = path(1);
    assert_eq!(told(&t, onion.body_with(json!({"hop_no": 14}))).await.0, 200);
    assert_eq!(told(&t, onion.body_with(json!({"hop_no": 15}))).await, too_far);
    assert_eq!(told(&t, onion.body_with(json!({"hop_no": 16}))).await, too_far);
    t.shows("6.8-hops");
}

async fn large(t: T) {
    let me = t.user();
    let text = "x".repeat(76_800);
    assert_eq!(t.store(&me, 0, &text).await["hash"], me.hash(0, &text));
    assert_eq!(t.texts(&me, 0).await, [text]);
    t.shows("6.8-largest-message");
}
