//! What nodes ask of each other, asked by one that is listed and only played.

use std::time::Duration;

use conclave_onion::request::{Destination, seal_with_cipher};
use conclave_proto::peer::{PushedMessage, encode_push};
use conclave_proto::{Namespace, Timestamp, bt};
use conclave_transport::quic::Connection;
use serde_json::{Value, json};

use crate::askers::{Me, with};
use crate::raw::{self, Shows};
use crate::wires::{Way, ask};
use crate::world::{Case, T, case, played};

const ONLY: &[Way] = &[Way::Quic];

pub const CASES: &[Case] = &[
    case!(
        forwarding,
        ONLY,
        [
            "5.1-form",
            "5.1-refusal",
            "5.1-garbage",
            "2.6-forwarded-bare",
            "2.6-forwarded-verified",
            "2.6-not-forwardable",
            "2.6-forwarded-expiry",
        ]
    ),
    case!(patience, ONLY, ["2.6-forwarded-patience"]),
    case!(
        pushing,
        ONLY,
        [
            "4.5-six",
            "4.5-five",
            "4.5-ok",
            "4.5-old-version",
            "4.5-unknown-version",
            "4.5-raises",
            "4.5-outbox",
            "4.5-hash",
            "4.5-garbage",
            "4.4-not-ours",
            "4.6-ok",
        ]
    ),
    case!(
        relaying,
        ONLY,
        ["5.2-reply", "5.2-hop-number", "5.2-too-far", "5.2-malformed", "5.2-default-cipher",]
    ),
    case!(connections, ONLY, ["5.3-ping", "5.6-strangers", "5.6-closed", "5.6-not-for-clients"]),
];

fn int(number: u64) -> bt::Value {
    bt::Int::from(number).into()
}

/// `[method, params]`, from JSON: text is bytes, base64 of binary fields is decoded.
fn forwarded(method: &str, params: &Value) -> Vec<u8> {
    let mut dict = Vec::new();
    for (name, value) in params.as_object().unwrap() {
        let value = match (name.as_str(), value) {
            ("data" | "signature" | "subaccount_sig", Value::String(text)) => {
                conclave_proto::base64::decode(text).unwrap().as_slice().into()
            }
            ("pubkey" | "pubkey_ed25519" | "revoke" | "unrevoke", Value::String(text)) => {
                hex::decode(text).unwrap().as_slice().into()
            }
            (_, Value::String(text)) => text.as_str().into(),
            (_, Value::Array(items)) => {
                bt::Value::List(items.iter().map(|item| item.as_str().unwrap().into()).collect())
            }
            (_, number) => bt::Int::from(number.as_i64().unwrap()).into(),
        };
        dict.push((name.as_bytes().to_vec(), value));
    }
    let dict = bt::Value::Dict(dict.into_iter().collect()).encode();
    bt::Value::List(vec![method.into(), dict.as_slice().into()]).encode()
}

async fn forwarding(t: T) {
    let (_endpoint, node) = played(&t.world).await;
    let me = t.user();
    let now = t.now();
    let params = |changes: Value| {
        let data = crate::common::b64(b"forwarded");
        let base = json!({"namespace": 3, "timestamp": now, "expiry": now + 60_000, "sig_timestamp": now, "data": data});
        with(me.signed(format!("store3{now}"), base), changes)
    };
    let hash = me.hash(3, "forwarded");
    for already in [None, Some(1)] {
        let (status, answer) = ask(&node, "storage_cc", &forwarded("store", &params(json!({})))).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        let result = bt::Value::decode(&answer).unwrap();
        let field = |name: &str| result.field(name);
        assert_eq!(field("hash").unwrap().as_text(), Some(hash.as_str()));
        assert_eq!(field("expiry").unwrap().as_u64(), Some(now + 60_000));
        assert_eq!(field("already").and_then(bt::Value::as_u64), already);
        let signature =
            conclave_crypto::Signature::from_slice(field("signature").unwrap().as_bytes().unwrap());
        t.node(0).ed25519.verify(hash.as_bytes(), &signature.unwrap()).unwrap();
        assert!(field("swarm").is_none() && field("t").is_none() && field("hf").is_none());
    }
    t.shows("5.1-form");
    t.shows("2.6-forwarded-bare");
    t.shows("2.6-forwarded-expiry");
    let stranger = t.stranger();
    let refuse = async |id, method: &str, params: &Value, status: u16, text: &str| {
        let (found, answer) = ask(&node, "storage_cc", &forwarded(method, params)).await;
        assert_eq!((found, String::from_utf8_lossy(&answer).as_ref()), (status, text), "{method}");
        t.shows(id);
    };
    let bad = params(json!({"signature": crate::common::b64(&[7; 64])}));
    let id = "2.6-forwarded-verified";
    refuse(id, "store", &bad, 401, "store signature verification failed").await;
    let late = params(json!({"timestamp": now + 10_001, "expiry": now + 60_000}));
    refuse(id, "store", &late, 406, "Timestamp error: check your clock").await;
    let long = params(json!({"expiry": now + 31 * 24 * 60 * 60 * 1_000}));
    refuse("5.1-refusal", "store", &long, 403, "Provided expiry/TTL is not valid.").await;
    let theirs = json!({"pubkey": stranger.hex(), "timestamp": now, "expiry": now + 60_000, "data": ""});
    let (status, answer) = ask(&node, "storage_cc", &forwarded("store", &theirs)).await;
    assert_eq!(status, 421);
    assert_eq!(bt::Value::decode(&answer).unwrap().as_list().unwrap()[0].as_u64(), Some(421));
    let text = "invalid request: received invalid forwarded non-forwardable request";
    let id = "2.6-not-forwardable";
    let reading = me.signed(format!("retrieve{now}"), json!({"timestamp": now}));
    for (method, params) in
        [("info", json!({})), ("get_swarm", json!({"pubkey": me.hex()})), ("retrieve", reading)]
    {
        refuse(id, method, &params, 400, text).await;
    }
    for garbage in [&b""[..], b"le", b"l5:storee", b"d1:ai1ee", b"\xff"] {
        let (status, answer) = ask(&node, "storage_cc", garbage).await;
        assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
    }
    t.shows("5.1-garbage");
}

async fn patience(t: T) {
    let (_endpoint, node) = played(&t.world).await;
    let me = t.group();
    let now = t.now();
    let token = me.member(1, 3, 3).token().bytes;
    let with_token = |text: &str, time: u64| [format!("{text}{time}").as_bytes(), &token].concat();
    let hex = hex::encode(token);
    for (method, latest) in [
        ("delete_all", 70_000),
        ("expire_all", 70_000),
        ("revoke_subaccount", 60_000),
        ("unrevoke_subaccount", 60_000),
        ("store", 60_000),
    ] {
        for (ago, allowed) in [(latest, true), (latest + 1, false)] {
            let time = now - ago;
            let (text, params): (Vec<u8>, Value) = match method {
                "delete_all" => {
                    (format!("delete_allall{time}").into(), json!({"timestamp": time, "namespace": "all"}))
                }
                "expire_all" => (format!("expire_all{time}").into(), json!({"expiry": time, "namespace": 0})),
                "store" => (
                    format!("store5{time}").into(),
                    json!({"namespace": 5, "timestamp": now, "sig_timestamp": time, "expiry": now + 60_000, "data": ""}),
                ),
                "revoke_subaccount" => (with_token(method, time), json!({"revoke": hex, "timestamp": time})),
                _ => (with_token(method, time), json!({"unrevoke": hex, "timestamp": time})),
            };
            let (status, answer) =
                ask(&node, "storage_cc", &forwarded(method, &me.signed(text, params))).await;
            let expected = if allowed { 200 } else { 406 };
            assert_eq!(status, expected, "{method} {ago}: {}", String::from_utf8_lossy(&answer));
        }
    }
    t.shows("2.6-forwarded-patience");
}

fn pushed(me: &Me, now: u64, namespace: i16, text: &str) -> PushedMessage {
    PushedMessage {
        account: me.id,
        hash: me.hash(namespace, text).into_bytes(),
        timestamp: Timestamp(now),
        expiry: Timestamp(now + 60_000),
        data: text.as_bytes().to_vec(),
        namespace: Namespace(namespace),
    }
}

/// Pushes; what is answered.
async fn push(node: &Connection, body: &[u8]) -> (u16, String) {
    let (status, answer) = ask(node, "data", body).await;
    (status, String::from_utf8_lossy(&answer).into_owned())
}

async fn pushing(t: T) {
    let (_endpoint, node) = played(&t.world).await;
    let me = t.user();
    let now = t.now();
    let ok = (200, "OK".to_owned());
    assert_eq!(
        push(&node, &encode_push(&[pushed(&me, now, 5, "six"), pushed(&me, now, 0, "too")])).await,
        ok
    );
    assert_eq!(
        (t.texts(&me, 5).await, t.texts(&me, 0).await),
        (vec!["six".to_owned()], vec!["too".to_owned()])
    );
    t.shows("4.5-six");
    t.shows("4.5-ok");
    let hash = me.hash(0, "five");
    let five = bt::Value::List(vec![bt::Value::List(vec![
        me.id.as_bytes().as_slice().into(),
        hash.as_str().into(),
        int(now),
        int(now + 60_000),
        "five".into(),
    ])]);
    assert_eq!(push(&node, &[&[1][..], &five.encode()].concat()).await, ok);
    assert_eq!(t.texts(&me, 0).await, ["too", "five"]);
    t.shows("4.5-five");
    for (id, first) in [
        ("4.5-old-version", 0),
        ("4.5-old-version", b'0'),
        ("4.5-unknown-version", 2),
        ("4.5-unknown-version", 0xff),
    ] {
        let mut body = encode_push(&[pushed(&me, now, 0, "of another version")]);
        body[0] = first;
        assert_eq!(push(&node, &body).await, ok);
        assert_eq!(t.texts(&me, 0).await.len(), 2);
        t.shows(id);
    }
    for (expiry, expected) in [(now + 90_000, now + 90_000), (now + 30_000, now + 90_000)] {
        let message = PushedMessage { expiry: Timestamp(expiry), ..pushed(&me, now, 0, "too") };
        assert_eq!(push(&node, &encode_push(&[message])).await, ok);
        let hash = me.hash(0, "too");
        assert_eq!(t.expiries(&me, &[&hash]).await, json!({&hash: expected}));
    }
    t.shows("4.5-raises");
    for (text, ago, stays) in [("b", 2, "b"), ("c", 1, "c"), ("a", 3, "c")] {
        let message = PushedMessage { timestamp: Timestamp(now - ago), ..pushed(&me, now, -1, text) };
        assert_eq!(push(&node, &encode_push(&[message])).await, ok);
        assert_eq!(t.texts(&me, -1).await, [stays]);
    }
    t.shows("4.5-outbox");
    let lie = PushedMessage { hash: me.hash(0, "something else").into_bytes(), ..pushed(&me, now, 0, "lie") };
    assert_eq!(push(&node, &encode_push(&[lie])).await, ok);
    let (named, own) = (me.hash(0, "something else"), me.hash(0, "lie"));
    assert_eq!(t.expiries(&me, &[&named, &own]).await, json!({&own: now + 60_000}));
    t.shows("4.5-hash");
    let stranger = t.stranger();
    assert_ne!(push(&node, &encode_push(&[pushed(&stranger, now, 0, "not here")])).await, ok);
    assert!(t.world.swarm.nodes[0].store().hashes(&stranger.id).unwrap().is_empty());
    t.shows("4.4-not-ours");
    let whole = encode_push(&[pushed(&me, now, 0, "cut")]);
    for garbage in [&b""[..], &[1], &whole[..whole.len() - 2], b"\x01li1ee", b"\x01lleee"] {
        let (status, answer) = push(&node, garbage).await;
        assert_ne!((status, answer.as_str()), (200, "OK"), "{garbage:?}");
    }
    assert_eq!(t.texts(&me, 0).await.len(), 3);
    t.shows("4.5-garbage");
    for body in [&b""[..], b"d1:#i21200e1:ti1ee", b"?"] {
        assert_eq!(ask(&node, "data_ready", body).await, (200, b"OK".to_vec()));
    }
    t.shows("4.6-ok");
}

/// An onion layer for node 0 that asks for `info`: its control and its blob, taken out of a guard's body.
fn layer(t: &T, cipher: &str) -> (Value, Vec<u8>) {
    let hops = [t.node(0)];
    let body = br#"{"method":"info","params":{}}"#;
    let destination = Destination::Snode { node: &t.node(1), body };
    let sealed =
        seal_with_cipher(cipher.parse().unwrap(), &hops, destination, &mut rand_core::OsRng).unwrap();
    let combined = conclave_proto::combined::decode(&sealed.body).unwrap();
    (Value::Object(combined.control.clone()), combined.body.to_vec())
}

fn relayed(control: &Value, blob: &[u8], hop: Option<i64>, cipher: Option<&str>) -> Vec<u8> {
    let key = hex::decode(control["ephemeral_key"].as_str().unwrap()).unwrap();
    let mut dict =
        vec![(b"data".to_vec(), bt::Value::from(blob)), (b"ephemeral_key".to_vec(), key.as_slice().into())];
    dict.extend(hop.map(|hop| (b"hop_no".to_vec(), bt::Int::from(hop).into())));
    dict.extend(cipher.map(|cipher| (b"enc_type".to_vec(), cipher.into())));
    bt::Value::Dict(dict.into_iter().collect()).encode()
}

async fn relaying(t: T) {
    let (_endpoint, node) = played(&t.world).await;
    let relay = async |body: &[u8]| {
        let (status, answer) = ask(&node, "onion_request", body).await;
        assert_eq!(status, 200);
        let list = bt::Value::decode(&answer).unwrap();
        let [code, body] = list.as_list().unwrap() else { panic!("{list:?}") };
        (code.as_u64().unwrap(), String::from_utf8_lossy(body.as_bytes().unwrap()).into_owned())
    };
    let (control, blob) = layer(&t, "xchacha20");
    let (code, reply) = relay(&relayed(&control, &blob, Some(1), Some("xchacha20"))).await;
    assert!(code == 200 && conclave_proto::base64::decode(&reply).is_some(), "{code} {reply}");
    t.shows("5.2-reply");
    for hop in [0, -3, i64::MIN, 14] {
        assert_eq!(relay(&relayed(&control, &blob, Some(hop), Some("xchacha20"))).await.0, 200, "{hop}");
    }
    t.shows("5.2-hop-number");
    for hop in [16, 1_000, i64::MAX] {
        let (code, text) = relay(&relayed(&control, &blob, Some(hop), Some("xchacha20"))).await;
        assert_eq!((code, text.as_str()), (400, "onion request max path length exceeded"));
    }
    t.shows("5.2-too-far");
    for bad in [
        b"not bt".to_vec(),
        b"de".to_vec(),
        b"le".to_vec(),
        relayed(&json!({"ephemeral_key": "00"}), &blob, Some(1), None),
        relayed(&control, &blob, Some(1), Some("rot13")),
    ] {
        let (code, text) = relay(&bad).await;
        assert!(code == 400 && text.starts_with("Invalid internal onion request: "), "{code} {text}");
    }
    t.shows("5.2-malformed");
    let (control, blob) = layer(&t, "aes-gcm");
    assert_eq!(relay(&relayed(&control, &blob, Some(1), None)).await.0, 200);
    let (control, blob) = layer(&t, "xchacha20");
    assert_eq!(relay(&relayed(&control, &blob, Some(1), None)).await, (400, "Invalid ciphertext".to_owned()));
    t.shows("5.2-default-cipher");
}

async fn connections(t: T) {
    let (_endpoint, node) = played(&t.world).await;
    assert_eq!(ask(&node, "snode_ping", b"x").await, (200, b"pong".to_vec()));
    assert_eq!(ask(&t.world.quic, "snode_ping", b"x").await, (200, b"pong".to_vec()));
    t.shows("5.3-ping");
    for client_only in ["store", "info", "monitor", "onion_req"] {
        let expected = format!("Invalid endpoint '{client_only}'").into_bytes();
        assert_eq!(ask(&node, client_only, b"{}").await, (0, expected));
    }
    for node_only in ["storage_cc", "onion_request", "data", "data_ready"] {
        let expected = format!("Invalid endpoint '{node_only}'").into_bytes();
        assert_eq!(ask(&t.world.quic, node_only, b"").await, (0, expected));
    }
    t.shows("5.6-not-for-clients");
    let address = (t.node(0).ip, t.node(0).quic_port).into();
    let refused = raw::quic(address, Shows::RawKey, b"oxenstorage-sn");
    let refused = tokio::time::timeout(Duration::from_secs(60), refused).await.unwrap().unwrap_err();
    t.shows("5.6-strangers");
    let quinn::ConnectionError::ApplicationClosed(close) = refused else { panic!("{refused:?}") };
    assert_eq!(close.error_code, 7u32.into());
    t.shows("5.6-closed");
}
