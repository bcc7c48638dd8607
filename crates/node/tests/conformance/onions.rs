//! Onion requests that arrive, layer by layer by hand.

use conclave_crypto::X25519Pair;
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_proto::{SnodeRecord, base64};
use rand_core::OsRng;
use serde_json::{Value, json};

use crate::wires::Way;
use crate::world::{Case, T, case};

const ONLY: &[Way] = &[Way::Onion];

pub const CASES: &[Case] = &[
    case!(
        ciphers,
        ONLY,
        [
            "6.1-aes-gcm",
            "6.1-xchacha",
            "6.1-aes-cbc",
            "6.1-default",
            "6.1-mixed",
            "6.1-unknown",
            "6.2-framing",
        ]
    ),
    case!(final_hops, ONLY, ["6.4-headers", "6.4-headers-first", "6.4-host-second"]),
    case!(
        replies,
        ONLY,
        ["6.6-double", "6.6-json", "6.6-text", "6.6-outer", "6.6-base64", "6.6-raw", "6.6-same-cipher",]
    ),
    case!(servers, ONLY, ["6.4-url-form", "6.4-url-protocol", "6.4-not-public"]),
    case!(inner_errors, ONLY, ["6.4-destination-form", "6.7-inner-json", "6.7-inner-errors"]),
];

/// One layer: what is posted or passed on for it, and what its reply is opened with.
pub struct Layer {
    blob: Vec<u8>,
    key: String,
    /// The name its cipher is called by.
    cipher: String,
    keys: ChannelKeys,
}

/// `u32le(length) || body || control`, as section 6.2 has it.
pub fn combined(body: &[u8], control: &str) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], body, control.as_bytes()].concat()
}

pub fn sealed(cipher: &str, to: &SnodeRecord, plaintext: &[u8]) -> Layer {
    let kind = match cipher {
        "aes-gcm" | "gcm" => EncType::AesGcm,
        "aes-cbc" | "cbc" => EncType::AesCbc,
        _ => EncType::XChaCha20,
    };
    let ephemeral = X25519Pair::generate(&mut OsRng);
    let keys = ChannelKeys::for_client(kind, &ephemeral, &to.x25519);
    let blob = keys.seal(plaintext, &mut OsRng);
    Layer { blob, key: ephemeral.public().to_hex(), cipher: cipher.to_owned(), keys }
}

pub fn layer(cipher: &str, to: &SnodeRecord, body: &[u8], control: &Value) -> Layer {
    sealed(cipher, to, &combined(body, &control.to_string()))
}

impl Layer {
    /// The guard's body.
    pub fn body(&self) -> Vec<u8> {
        combined(&self.blob, &json!({"ephemeral_key": self.key, "enc_type": self.cipher}).to_string())
    }

    /// The guard's body with other keys beside it.
    pub fn body_with(&self, control: Value) -> Vec<u8> {
        let control =
            crate::askers::with(json!({"ephemeral_key": self.key, "enc_type": self.cipher}), control);
        combined(&self.blob, &control.to_string())
    }

    /// This layer, as the plaintext of the hop before `next`, for which it is.
    pub fn for_hop(&self, cipher: &str, hop: &SnodeRecord, next: &SnodeRecord) -> Layer {
        let routing =
            json!({"destination": next.ed25519.to_hex(), "ephemeral_key": self.key, "enc_type": self.cipher});
        layer(cipher, hop, &self.blob, &routing)
    }

    pub fn open(&self, reply: &[u8]) -> Value {
        serde_json::from_slice(&self.keys.open(reply).unwrap()).unwrap()
    }
}

/// Posts to the guard of every onion in these cases, node 1.
pub async fn post(t: &T, body: Vec<u8>) -> (u16, Vec<u8>) {
    let response = t.world.swarm.post(1, "/onion_req/v2", body).await;
    (response.status, response.body.to_vec())
}

/// What comes back sealed, in base64.
async fn answer(t: &T, inner: &Layer, body: Vec<u8>) -> Value {
    let (status, reply) = post(t, body).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&reply));
    inner.open(&base64::decode(&reply).unwrap())
}

const INFO: &[u8] = br#"{"method":"info","params":{}}"#;

async fn ciphers(t: T) {
    let (guard, relay, last) = (t.node(1), t.node(2), t.node(0));
    for (id, name) in [
        ("6.1-aes-gcm", "aes-gcm"),
        ("6.1-aes-gcm", "gcm"),
        ("6.1-xchacha", "xchacha20"),
        ("6.1-xchacha", "xchacha20-poly1305"),
        ("6.1-aes-cbc", "aes-cbc"),
        ("6.1-aes-cbc", "cbc"),
    ] {
        let inner = layer(name, &last, INFO, &json!({"headers": ""}));
        let outer = inner.for_hop(name, &relay, &last).for_hop(name, &guard, &relay);
        assert_eq!(answer(&t, &inner, outer.body()).await["status"], 200, "{name}");
        t.shows(id);
    }
    t.shows("6.2-framing");
    for (a, b, c) in [("gcm", "cbc", "xchacha20"), ("xchacha20", "gcm", "cbc"), ("cbc", "xchacha20", "gcm")] {
        let inner = layer(c, &last, INFO, &json!({"headers": ""}));
        let outer = inner.for_hop(b, &relay, &last).for_hop(a, &guard, &relay);
        assert_eq!(answer(&t, &inner, outer.body()).await["status"], 200);
    }
    t.shows("6.1-mixed");
    // As clients write it that only know one cipher.
    let inner = layer("gcm", &last, INFO, &json!({"headers": ""}));
    let routing = json!({"destination": last.ed25519.to_hex(), "ephemeral_key": inner.key});
    let outer = layer("gcm", &guard, &inner.blob, &routing);
    let body = combined(&outer.blob, &json!({"ephemeral_key": outer.key}).to_string());
    assert_eq!(answer(&t, &inner, body).await["status"], 200);
    t.shows("6.1-default");
    let (status, text) = post(&t, inner.body_with(json!({"enc_type": "rot13"}))).await;
    let text = String::from_utf8(text).unwrap();
    assert!(status == 400 && text.starts_with("Error parsing onion request: "), "{status} {text}");
    t.shows("6.1-unknown");
}

async fn final_hops(t: T) {
    let guard = t.node(1);
    let ask = async |control: Value| {
        let only = layer("xchacha20", &guard, INFO, &control);
        answer(&t, &only, only.body()).await
    };
    for headers in [json!(""), json!(null), json!({"body": null}), json!([1])] {
        assert_eq!(ask(json!({"headers": headers})).await["status"], 200);
    }
    t.shows("6.4-headers");
    let other = t.node(2).ed25519.to_hex();
    let all = json!({"headers": "", "host": "example.org", "target": "/admin", "destination": other, "ephemeral_key": "00"});
    assert_eq!(ask(all.clone()).await["status"], 200);
    t.shows("6.4-headers-first");
    let answered = ask(crate::askers::without(all, "headers")).await;
    assert_eq!(answered, json!({"status": 400, "body": "Invalid url"}));
    t.shows("6.4-host-second");
}

async fn replies(t: T) {
    let guard = t.node(1);
    let plain = layer("xchacha20", &guard, INFO, &json!({"headers": ""}));
    let (status, reply) = post(&t, plain.body()).await;
    let text = String::from_utf8(reply).unwrap();
    assert!(text.len().is_multiple_of(4) && base64::encode(base64::decode(&text).unwrap()) == text, "{text}");
    t.shows("6.6-base64");
    let opened = plain.open(&base64::decode(&text).unwrap());
    let body: Value = serde_json::from_str(opened["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["version"], opened.as_object().unwrap().len()), (&json!([2, 11, 0]), 2));
    t.shows("6.6-double");
    for (cipher, flags) in [("gcm", json!({"json": true})), ("cbc", json!({"json": true, "base64": true}))] {
        let control = crate::askers::with(json!({"headers": ""}), flags);
        let embedded = layer(cipher, &guard, INFO, &control);
        assert_eq!(answer(&t, &embedded, embedded.body()).await["body"], body);
    }
    t.shows("6.6-json");
    t.shows("6.6-same-cipher");
    let bad = br#"{"method":"nothing","params":{}}"#;
    for json in [false, true] {
        let inner = layer("gcm", &guard, bad, &json!({"headers": "", "json": json}));
        let (outer, reply) = post(&t, inner.body()).await;
        let opened = inner.open(&base64::decode(&reply).unwrap());
        assert_eq!(opened, json!({"status": 400, "body": "no method nothing"}));
        assert_eq!((outer, status), (200, 200));
    }
    t.shows("6.6-text");
    t.shows("6.6-outer");
    let raw = layer("xchacha20", &guard, INFO, &json!({"headers": "", "base64": false}));
    let (_, reply) = post(&t, raw.body()).await;
    assert_eq!(raw.open(&reply)["status"], 200);
    t.shows("6.6-raw");
}

async fn servers(t: T) {
    let guard = t.node(1);
    let ask = async |changes: Value| {
        let control = json!({"host": "example.org", "target": "/oxen/v4/lsrpc", "method": "POST", "ephemeral_key": "0".repeat(64)});
        let only = layer("gcm", &guard, b"for the server", &crate::askers::with(control, changes));
        answer(&t, &only, only.body()).await
    };
    let refused = |status: u16, text: &str| json!({"status": status, "body": text});
    for target in [
        "/",
        "/lsrpc",
        "/oxen",
        "/admin/lsrpc",
        "/oxen/v4/lsrpc/",
        "/loki/v3/lsrpc?x",
        "/oxen/?/lsrpc",
        "oxen/v4/lsrpc",
        "",
    ] {
        assert_eq!(ask(json!({"target": target})).await, refused(400, "Invalid url"), "{target}");
    }
    t.shows("6.4-url-form");
    for protocol in ["ftp", "HTTPS", "file", ""] {
        assert_eq!(ask(json!({"protocol": protocol})).await, refused(400, "Invalid url"), "{protocol}");
    }
    t.shows("6.4-url-protocol");
    for host in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        assert_eq!(ask(json!({"host": host})).await, refused(400, "Invalid url"), "{host}");
    }
    t.shows("6.4-not-public");
}

async fn inner_errors(t: T) {
    let guard = t.node(1);
    let node = t.node(2).ed25519.to_hex();
    let key = "09".repeat(32);
    for control in [
        json!({}),
        json!({"destination": node}),
        json!({"destination": node, "ephemeral_key": &key[2..]}),
        json!({"destination": &node[1..], "ephemeral_key": key}),
        json!({"destination": "zz".repeat(32), "ephemeral_key": key}),
        json!({"destination": 5, "ephemeral_key": key}),
    ] {
        let only = layer("gcm", &guard, b"x", &control);
        let expected = json!({"status": 400, "body": "Invalid json"});
        assert_eq!(answer(&t, &only, only.body()).await, expected, "{control}");
    }
    t.shows("6.4-destination-form");
    for plaintext in [&b""[..], b"\x05\0\0\0abc", b"\0\0\0\0{", b"\0\0\0\0[]", b"\0\0\0\0{}x"] {
        let only = sealed("gcm", &guard, plaintext);
        let expected = json!({"status": 400, "body": "Invalid json"});
        assert_eq!(answer(&t, &only, only.body()).await, expected, "{plaintext:?}");
    }
    t.shows("6.7-inner-json");
    let me = t.user();
    let storing = |ttl: u64| {
        let params = crate::askers::with(t.storing(&me, 0, "x"), json!({"ttl": ttl}));
        json!({"method": "store", "params": params}).to_string()
    };
    for (body, status, text) in [
        ("{".to_owned(), 400, "invalid json"),
        (r#"{"method":"info"}"#.to_owned(), 400, "invalid json: no `params` field"),
        (storing(1), 403, "Provided expiry/TTL is not valid."),
        (
            json!({"method": "retrieve", "params": {"pubkey": me.hex()}}).to_string(),
            401,
            "retrieve: request signature required",
        ),
    ] {
        let only = layer("xchacha20", &t.node(0), body.as_bytes(), &json!({"headers": ""}));
        let outer = only.for_hop("gcm", &guard, &t.node(0));
        assert_eq!(answer(&t, &only, outer.body()).await, json!({"status": status, "body": text}));
    }
    t.shows("6.7-inner-errors");
}
