//! Reading mailboxes: whose, from where, how much.

use serde_json::{Value, json};

use crate::askers::{Me, with, without};
use crate::common::b64;
use crate::wires::{ALL, Way};
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(messages, ALL, ["2.8-fields", "2.8-unknown-account", "2.8-order"]),
    case!(
        signatures,
        ALL,
        ["2.8-unsigned", "2.8-unsigned-named", "2.8-half-signed", "2.8-no-time", "2.8-public-signed",]
    ),
    case!(
        cursors,
        ALL,
        [
            "2.8-cursor",
            "2.8-cursor-alias",
            "2.8-cursor-unknown",
            "2.8-cursor-empty",
            "2.8-cursor-length",
            "2.8-cursor-base64",
            "2.8-cursor-stays",
        ]
    ),
    case!(counts, ALL, ["2.8-max-count", "2.8-at-least-one"]),
    case!(sizes, ALL, ["2.8-max-size", "2.8-max-size-exact"]),
    case!(
        large_mailbox,
        ALL,
        ["2.8-negative", "2.8-default", "2.8-only-count", "2.8-cap", "2.8-cap-onion", "2.19-sizes",]
    ),
];

async fn messages(t: T) {
    let me = t.user();
    let empty = t.ok("retrieve", &t.retrieving(&me, 0)).await;
    assert_eq!(empty, json!({"messages": [], "more": false, "t": t.now(), "hf": [19, 6]}));
    t.shows("2.8-unknown-account");
    // The one sent last is stored first.
    for (text, ago) in [("first in", 1_000), ("second in", 3_000), ("third in", 2_000)] {
        let params = json!({"timestamp": t.now() - ago, "ttl": 60_000});
        t.ok("store", &with(t.storing(&me, 0, text), params)).await;
    }
    assert_eq!(t.texts(&me, 0).await, ["first in", "second in", "third in"]);
    t.shows("2.8-order");
    let page = t.ok("retrieve", &t.retrieving(&me, 0)).await;
    let expected = json!({"hash": me.hash(0, "second in"), "timestamp": t.now() - 3_000,
        "expiration": t.now() + 57_000, "data": "c2Vjb25kIGlu"});
    assert_eq!(page["messages"][1], expected);
    assert_eq!(page["messages"][0]["data"], "Zmlyc3QgaW4=", "padded");
    t.shows("2.8-fields");
}

async fn signatures(t: T) {
    let me = t.user();
    let hex = me.hex();
    let text = "retrieve: request signature required";
    t.refused("2.8-unsigned", "retrieve", &json!({"pubkey": hex}), 401, text).await;
    t.refused("2.8-unsigned", "retrieve", &json!({"pubkey": hex, "max_count": 1}), 401, text).await;
    let text = "Required field 'signature' missing";
    for namespace in [0, 3, 10, -2, -11] {
        let params = json!({"pubkey": hex, "namespace": namespace});
        t.invalid("2.8-unsigned-named", "retrieve", &params, text).await;
    }
    for half in [json!({"timestamp": t.now()}), json!({"pubkey_ed25519": me.key.public().to_hex()})] {
        t.invalid("2.8-half-signed", "retrieve", &with(half, json!({"pubkey": hex})), text).await;
    }
    let params = without(t.retrieving(&me, 0), "timestamp");
    t.invalid("2.8-no-time", "retrieve", &params, "Required field 'timestamp' missing").await;
    let params = with(t.retrieving(&me, -10), json!({"signature": b64(&[7; 64])}));
    t.refused("2.8-public-signed", "retrieve", &params, 401, "retrieve signature verification failed").await;
}

async fn cursors(t: T) {
    let me = t.user();
    for text in ["a", "b", "c"] {
        t.store(&me, 0, text).await;
    }
    t.store(&me, 10, "elsewhere").await;
    let after = async |changes: Value| {
        let params = with(t.retrieving(&me, 0), changes);
        crate::common::texts(&t.ok("retrieve", &params).await)
    };
    assert_eq!(after(json!({"last_hash": me.hash(0, "a")})).await, ["b", "c"]);
    assert!(after(json!({"last_hash": me.hash(0, "c")})).await.is_empty());
    t.shows("2.8-cursor");
    assert_eq!(after(json!({"lastHash": me.hash(0, "b")})).await, ["c"]);
    t.shows("2.8-cursor-alias");
    for unknown in [me.hash(0, "never"), me.hash(10, "elsewhere"), t.user().hash(0, "a")] {
        assert_eq!(after(json!({"last_hash": unknown})).await, ["a", "b", "c"]);
    }
    t.shows("2.8-cursor-unknown");
    for none in [json!(""), Value::Null] {
        assert_eq!(after(json!({"last_hash": none})).await.len(), 3);
    }
    t.shows("2.8-cursor-empty");
    let hash = me.hash(0, "a");
    for wrong in [&hash[..42], &format!("{hash}=")] {
        let params = with(t.retrieving(&me, 0), json!({"last_hash": wrong}));
        t.invalid("2.8-cursor-length", "retrieve", &params, "Invalid last_hash: expected base64 (43 chars)")
            .await;
    }
    let params = with(t.retrieving(&me, 0), json!({"last_hash": "?".repeat(43)}));
    t.invalid("2.8-cursor-base64", "retrieve", &params, "Invalid last_hash: not base64").await;
    t.store(&me, 0, "a").await;
    assert_eq!(after(json!({"last_hash": hash})).await, ["b", "c"]);
    t.shows("2.8-cursor-stays");
}

async fn counts(t: T) {
    let me = t.user();
    for text in ["a", "b", "c"] {
        t.store(&me, 0, text).await;
    }
    let page = async |changes: Value| {
        let page = t.ok("retrieve", &with(t.retrieving(&me, 0), changes)).await;
        (page["messages"].as_array().unwrap().len(), page["more"].as_bool().unwrap())
    };
    for (count, expected) in
        [(1, (1, true)), (2, (2, true)), (3, (3, false)), (4, (3, false)), (0, (3, false))]
    {
        assert_eq!(page(json!({"max_count": count})).await, expected);
    }
    let two = json!({"max_count": 2, "last_hash": me.hash(0, "a")});
    assert_eq!(page(two).await, (2, false));
    t.shows("2.8-max-count");
    assert_eq!(page(json!({"max_size": 1})).await, (1, true));
    assert_eq!(page(json!({"max_size": -7_800_001})).await, (1, true));
    t.shows("2.8-at-least-one");
}

async fn sizes(t: T) {
    let me = t.user();
    // Of 5, 7 and 10 bytes: 100 + 43 + 6, 9 and 13.
    let sizes = [149, 152, 156];
    for text in ["five.", "seven..", "ten......."] {
        t.store(&me, 0, text).await;
    }
    let count = async |size: i64| {
        let page = t.ok("retrieve", &with(t.retrieving(&me, 0), json!({"max_size": size}))).await;
        page["messages"].as_array().unwrap().len()
    };
    assert_eq!(count(sizes[0] + sizes[1] - 1).await, 1);
    assert_eq!(count(sizes[0] + sizes[1] + sizes[2] - 1).await, 2);
    t.shows("2.8-max-size");
    assert_eq!(count(sizes[0] + sizes[1]).await, 2);
    assert_eq!(count(sizes[0] + sizes[1] + sizes[2]).await, 3);
    t.shows("2.8-max-size-exact");
}

/// What each message of the large mailbox counts: 100 + 43 + 4/3 · 76,800.
const COUNTED: u64 = 102_543;
const WHOLE: u64 = 7_800_000;

async fn large_mailbox(t: T) {
    let me = t.user();
    // 80 messages, more than the largest page has; one after the other, so that nothing else has to wait long.
    fill(&t, &me, 80).await;
    let count = async |changes: Value| {
        let page = t.ok("retrieve", &with(t.retrieving(&me, 0), changes)).await;
        page["messages"].as_array().unwrap().len() as u64
    };
    for part in [2i64, 3, 10] {
        assert_eq!(count(json!({"max_size": -part})).await, WHOLE / part.unsigned_abs() / COUNTED);
    }
    t.shows("2.8-negative");
    for unset in
        [json!({}), json!({"max_size": 0}), json!({"max_size": 0, "max_count": 0}), json!({"max_size": -5})]
    {
        assert_eq!(count(unset).await, WHOLE / 5 / COUNTED);
    }
    t.shows("2.8-default");
    let whole = match t.wire.way() {
        Way::Onion => WHOLE / 16 * 15,
        _ => WHOLE,
    };
    let most = whole / COUNTED;
    assert!(most < 80);
    assert_eq!(count(json!({"max_count": 79})).await, most);
    t.shows("2.8-only-count");
    for size in [-1, 7_800_000, i64::MAX] {
        assert_eq!(count(json!({"max_size": size})).await, most);
    }
    t.shows(match t.wire.way() {
        Way::Onion => "2.8-cap-onion",
        _ => "2.8-cap",
    });
    // Each part may have what its share of the whole is.
    let part = json!({"method": "retrieve", "params": with(t.retrieving(&me, 0), json!({"max_size": -1}))});
    let batch = t.ok("batch", &json!({"requests": vec![part; 4]})).await;
    for result in batch["results"].as_array().unwrap() {
        assert_eq!(result["code"], 200);
        assert_eq!(result["body"]["messages"].as_array().unwrap().len() as u64, whole / 4 / COUNTED);
    }
    t.shows("2.19-sizes");
}

async fn fill(t: &T, me: &Me, messages: usize) {
    let storing = |number: usize| {
        let params = t.storing(me, 0, &format!("{number:03}{}", "x".repeat(76_797)));
        json!({"method": "store", "params": params})
    };
    let requests: Vec<Value> = (0..messages).map(storing).collect();
    for some in requests.chunks(20) {
        let batch = t.ok("batch", &json!({"requests": some})).await;
        assert!(batch["results"].as_array().unwrap().iter().all(|result| result["code"] == 200), "{batch}");
    }
}
