//! Keeping messages.

use serde_json::{Value, json};

use crate::askers::{with, without};
use crate::common::b64;
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(
        lifetimes,
        ALL,
        [
            "2.7-ttl",
            "2.7-expiry",
            "2.7-decimal-text",
            "2.7-shortest",
            "2.7-longest-public",
            "2.7-longest-private",
            "2.7-expiry-first",
        ]
    ),
    case!(
        clocks,
        ALL,
        [
            "2.7-clock-ahead",
            "2.7-clock-behind",
            "2.7-life-before-clock",
            "2.7-clock-before-signature",
            "2.7-needs-signature",
            "2.7-public-ignores",
        ]
    ),
    case!(data, ALL, ["2.7-size", "2.7-size-text", "2.7-not-base64", "2.7-base64-padding", "2.7-empty"]),
    case!(results, ALL, ["2.7-result", "2.7-top", "2.6-entry-time", "2.7-not-already"]),
    case!(again, ALL, ["2.7-already", "2.7-already-members", "3-same-content", "3-one-row"]),
    case!(hashes, ALL, ["3-hash", "3-namespace-counts"]),
];

const DAY: u64 = 24 * 60 * 60 * 1_000;
const TTL: &str = "Provided expiry/TTL is not valid.";
const CLOCK: &str = "Timestamp error: check your clock";

async fn lifetimes(t: T) {
    let me = t.user();
    let now = t.now();
    let own = t.node(0).ed25519.to_hex();
    let storing = |changes: Value| with(without(t.storing(&me, 0, &changes.to_string()), "ttl"), changes);
    let answer = t.ok("store", &storing(json!({"timestamp": now - 1_000, "ttl": 60_000}))).await;
    assert_eq!(answer["swarm"][&own]["expiry"], now + 59_000);
    t.shows("2.7-ttl");
    let answer = t.ok("store", &storing(json!({"expiry": now + 77_777}))).await;
    assert_eq!(answer["swarm"][&own]["expiry"], now + 77_777);
    t.shows("2.7-expiry");
    let text = storing(json!({"timestamp": now.to_string(), "ttl": "60000"}));
    assert_eq!(t.ok("store", &text).await["swarm"][&own]["expiry"], now + 60_000);
    let text = "Invalid value given for 'expiry': expected integer timestamp (in milliseconds)";
    t.invalid("2.7-decimal-text", "store", &storing(json!({"expiry": (now + 60_000).to_string()})), text)
        .await;
    let text = "Invalid value given for 'ttl': expected positive integer";
    t.invalid("2.7-decimal-text", "store", &storing(json!({"ttl": "-60000"})), text).await;

    t.ok("store", &storing(json!({"ttl": 10_000}))).await;
    t.ok("store", &storing(json!({"expiry": now + 10_000}))).await;
    for short in [json!({"ttl": 9_999}), json!({"ttl": 0}), json!({"expiry": now + 9_999})] {
        t.refused("2.7-shortest", "store", &storing(short), 403, TTL).await;
    }
    for namespace in [0, 10, -10, -30] {
        let long = |ttl| with(t.storing(&me, namespace, "long"), json!({"ttl": ttl}));
        t.ok("store", &long(14 * DAY)).await;
        t.refused("2.7-longest-public", "store", &long(14 * DAY + 1), 403, TTL).await;
    }
    for namespace in [1, 5, -1, -11] {
        let long = |ttl| with(t.storing(&me, namespace, "long"), json!({"ttl": ttl}));
        t.ok("store", &long(30 * DAY)).await;
        t.refused("2.7-longest-private", "store", &long(30 * DAY + 1), 403, TTL).await;
    }
    t.refused("2.7-expiry-first", "store", &storing(json!({"expiry": now - 60_000})), 403, TTL).await;
}

async fn clocks(t: T) {
    let me = t.user();
    let now = t.now();
    let storing = |namespace: i16, changes: Value| with(t.storing(&me, namespace, "x"), changes);
    t.ok("store", &storing(0, json!({"timestamp": now + 10_000}))).await;
    t.refused("2.7-clock-ahead", "store", &storing(0, json!({"timestamp": now + 10_001})), 406, CLOCK).await;
    let ended = |ago: u64| json!({"timestamp": now - 60_000, "ttl": 60_000 - ago});
    t.ok("store", &storing(0, ended(10_000))).await;
    t.refused("2.7-clock-behind", "store", &storing(0, ended(10_001)), 406, CLOCK).await;

    let both = json!({"timestamp": now + 60_000, "ttl": 1});
    t.refused("2.7-life-before-clock", "store", &storing(0, both), 403, TTL).await;
    let unsigned = |changes: Value| {
        let params = without(storing(5, changes), "signature");
        without(params, "pubkey_ed25519")
    };
    let late = unsigned(json!({"timestamp": now + 60_000}));
    t.refused("2.7-clock-before-signature", "store", &late, 406, CLOCK).await;
    for namespace in [5, 1, -1, -11, 32_767] {
        let text = format!("store: signature required to store to namespace {namespace}");
        let params = unsigned(json!({"namespace": namespace}));
        t.refused("2.7-needs-signature", "store", &params, 401, &text).await;
    }
    let bad = b64(&[7; 64]);
    for ignored in [
        json!({"signature": bad}),
        json!({"signature": "no signature at all"}),
        json!({"sig_timestamp": 1_000_000_000_000u64}),
        json!({"sig_timestamp": "yesterday"}),
        json!({"pubkey_ed25519": "no key"}),
        json!({"subaccount": "no token"}),
    ] {
        t.ok("store", &storing(0, ignored)).await;
    }
    t.shows("2.7-public-ignores");
}

async fn data(t: T) {
    let me = t.user();
    let storing = |data: &str| with(t.storing(&me, 0, ""), json!({"data": data}));
    let text = "Message body exceeds maximum allowed length of 76800 bytes";
    assert_eq!(b64(&[1; 76_800]).len(), 102_400);
    t.ok("store", &storing(&b64(&[1; 76_800]))).await;
    // Not even a multiple of three: the text is short enough, what is in it is not.
    t.invalid("2.7-size", "store", &storing(&b64(&[1; 76_801])), text).await;
    t.invalid("2.7-size-text", "store", &storing(&"?".repeat(102_401)), text).await;
    for wrong in ["?", "abc=d", "-_-_", "YWJj\n", "YWJjZA===", "é"] {
        t.invalid("2.7-not-base64", "store", &storing(wrong), "Invalid 'data' value: not base64 encoded")
            .await;
    }
    let padded = t.ok("store", &storing("YWJjZA==")).await;
    let bare = t.ok("store", &storing("YWJjZA")).await;
    assert_eq!(padded["hash"], bare["hash"]);
    t.shows("2.7-base64-padding");
    assert_eq!(t.ok("store", &storing("")).await["hash"], me.hash(0, ""));
    t.shows("2.7-empty");
}

async fn results(t: T) {
    let me = t.user();
    let answer = t.store(&me, 0, "x").await;
    let hash = me.hash(0, "x");
    for node in t.members() {
        let entry = &answer["swarm"][node.ed25519.to_hex()];
        assert_eq!((&entry["hash"], &entry["expiry"]), (&json!(hash), &json!(t.now() + 3_600_000)));
        let is_entry_node = node == t.node(0);
        let time = is_entry_node.then(|| json!(t.now()));
        assert_eq!(entry.get("t"), time.as_ref());
        assert_eq!(entry.get("already"), None);
    }
    t.all_sign(&answer, |_| hash.clone());
    t.shows("2.7-result");
    t.shows("2.6-entry-time");
    t.shows("2.7-not-already");
    assert_eq!((&answer["hash"], &answer["t"]), (&json!(hash), &json!(t.now())));
    assert_eq!(answer.as_object().unwrap().len(), 4, "{answer}");
    t.shows("2.7-top");
}

async fn again(t: T) {
    let me = t.user();
    let storing = |ttl: u64, ago: u64| {
        with(t.storing(&me, 0, "x"), json!({"ttl": ttl + ago, "timestamp": t.now() - ago}))
    };
    t.ok("store", &storing(60_000, 0)).await;
    for (ttl, ago, expiry) in [(30_000, 0, 60_000), (90_000, 5_000, 90_000), (60_000, 9_000, 90_000)] {
        let answer = t.ok("store", &storing(ttl, ago)).await;
        for node in t.members() {
            let entry = &answer["swarm"][node.ed25519.to_hex()];
            assert_eq!(entry["expiry"], t.now() + expiry, "{answer}");
            if node == t.node(0) {
                assert_eq!(entry["already"], true);
            } else {
                assert!(entry["already"] == true || entry["already"] == 1, "{answer}");
                t.shows("2.7-already-members");
            }
        }
        assert_eq!(answer["hash"], me.hash(0, "x"));
    }
    t.shows("2.7-already");
    t.shows("3-same-content");
    assert_eq!(t.texts(&me, 0).await, ["x"]);
    t.shows("3-one-row");
}

async fn hashes(t: T) {
    // Computed elsewhere: BLAKE2b-256 over 05 || key || namespace || data.
    let vectors = conclave_testkit::vectors::entry("storage-onion", "message_hash");
    let view = t.world.swarm.nodes[0].view();
    let mut kept = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let account = conclave_crypto::AccountId::from_hex(case["pubkey"].as_str().unwrap()).unwrap();
        let namespace = case["namespace"].as_i64().unwrap_or_default();
        if namespace % 10 != 0 || !view.is_ours(&account) {
            continue;
        }
        kept += 1;
        let params = json!({"pubkey": case["pubkey"], "namespace": namespace, "timestamp": t.now(), "ttl": 60_000,
            "data": case["data_b64"]});
        assert_eq!(t.ok("store", &params).await["hash"], case["hash"], "{case}");
    }
    let me = t.group();
    for namespace in [0, 10, -30] {
        let mut bytes = me.id.as_bytes().to_vec();
        bytes.extend(crate::askers::ns(namespace).bytes());
        bytes.extend(b"content");
        let hash = conclave_crypto::hash::blake2b_256(&[&bytes]);
        let expected = b64(&hash).trim_end_matches('=').to_owned();
        assert_eq!(t.store(&me, namespace, "content").await["hash"], expected, "after {kept} known answers");
        assert_eq!(expected.len(), 43);
    }
    t.shows("3-hash");
    assert_ne!(me.hash(0, "content"), me.hash(10, "content"));
    assert_eq!(
        (t.texts(&me, 0).await, t.texts(&me, 10).await),
        (vec!["content".to_owned()], vec!["content".to_owned()])
    );
    t.shows("3-namespace-counts");
}
