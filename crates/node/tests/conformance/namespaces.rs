//! What the number of a mailbox means.

use serde_json::{Value, json};

use crate::askers::{Me, with, without};
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(inboxes, ALL, ["2.21-inbox", "2.21-private", "2.21-separate"]),
    case!(open_mailboxes, ALL, ["2.21-outbox-open", "2.21-legacy", "2.21-not-outbox"]),
    case!(outboxes, ALL, ["2.21-outbox-one", "2.21-outbox-newest"]),
];

fn unsigned(params: Value) -> Value {
    without(without(params, "signature"), "pubkey_ed25519")
}

async fn inboxes(t: T) {
    let me = t.user();
    for namespace in [0, 10, 20, 32_760, -10, -20, -32_760] {
        let text = namespace.to_string();
        t.ok("store", &unsigned(t.storing(&me, namespace, &text))).await;
        assert_eq!(t.texts(&me, namespace).await, [text]);
    }
    t.shows("2.21-inbox");
    t.shows("2.21-separate");
    for namespace in [1, 2, 5, 11, 15, 32_767, -1, -5, -11, -21, -32_768] {
        let text = format!("store: signature required to store to namespace {namespace}");
        let params = t.storing(&me, namespace, "x");
        t.refused("2.21-private", "store", &unsigned(params.clone()), 401, &text).await;
        t.ok("store", &params).await;
    }
}

async fn open_mailboxes(t: T) {
    let me = t.user();
    let reading = |namespace: i16| json!({"pubkey": me.hex(), "namespace": namespace});
    for namespace in [-1, -21, -41, -32_761] {
        t.store(&me, namespace, "for everybody").await;
        assert_eq!(crate::common::texts(&t.ok("retrieve", &reading(namespace)).await), ["for everybody"]);
        t.ok("retrieve", &t.retrieving(&me, namespace)).await;
    }
    t.shows("2.21-outbox-open");
    t.ok("store", &unsigned(t.storing(&me, -10, "old group"))).await;
    assert_eq!(crate::common::texts(&t.ok("retrieve", &reading(-10)).await), ["old group"]);
    t.shows("2.21-legacy");
    for namespace in [1, 21, -2, -11, -20, -31, 10] {
        let text = "Required field 'signature' missing";
        t.invalid("2.21-not-outbox", "retrieve", &reading(namespace), text).await;
    }
}

async fn outboxes(t: T) {
    let me = t.user();
    let sent = async |me: &Me, namespace: i16, text: &str, ago: u64| {
        let params = json!({"timestamp": t.now() - ago, "sig_timestamp": t.now()});
        t.ok("store", &with(t.storing(me, namespace, text), params)).await
    };
    sent(&me, -1, "first", 3_000).await;
    sent(&me, -1, "second", 2_000).await;
    assert_eq!(t.texts(&me, -1).await, ["second"]);
    sent(&me, -21, "elsewhere", 9_000).await;
    assert_eq!((t.texts(&me, -1).await.len(), t.texts(&me, -21).await.len()), (1, 1));
    // Not so where there is no outbox.
    for text in ["one", "two"] {
        sent(&me, -11, text, 1_000).await;
    }
    assert_eq!(t.texts(&me, -11).await.len(), 2);
    t.shows("2.21-outbox-one");
    let answer = sent(&me, -1, "older", 2_500).await;
    t.all_sign(&answer, |entry| entry["hash"].as_str().unwrap().to_owned());
    assert_eq!(answer["hash"], me.hash(-1, "older"));
    assert_eq!(t.texts(&me, -1).await, ["second"]);
    sent(&me, -1, "newest", 500).await;
    assert_eq!(t.texts(&me, -1).await, ["newest"]);
    t.shows("2.21-outbox-newest");
}
