//! Taking messages away.

use serde_json::{Value, json};

use crate::askers::{Me, ns, with};
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(
        by_hash,
        ALL,
        [
            "2.9-deleted",
            "2.9-signature",
            "2.9-no-time",
            "2.9-lower-case",
            "2.9-none-named",
            "2.9-others",
            "2.9-gone",
        ]
    ),
    case!(required, ALL, ["2.9-required", "2.9-required-found"]),
    case!(scopes, ALL, ["2.10-default", "2.10-one", "2.10-all", "2.10-signature"]),
    case!(before, ALL, ["2.10-before", "2.10-before-all"]),
];

fn deleting(me: &Me, hashes: &[String]) -> Value {
    me.signed(format!("delete{}", hashes.concat()), json!({"messages": hashes}))
}

/// What each running member says under a name; all say the same.
fn said(t: &T, answer: &Value, name: &str) -> Value {
    let mut all: Vec<Value> =
        t.members().iter().map(|node| answer["swarm"][node.ed25519.to_hex()][name].clone()).collect();
    all.dedup();
    assert_eq!(all.len(), 1, "members differ: {answer}");
    all.remove(0)
}

fn sorted(mut hashes: Vec<String>) -> Vec<String> {
    hashes.sort();
    hashes
}

async fn by_hash(t: T) {
    let (me, other) = (t.user(), t.user());
    for text in ["a", "b", "c"] {
        t.store(&me, 0, text).await;
    }
    t.store(&other, 0, "a").await;
    // In the opposite of their order, and with some that are not there.
    let (a, b, never, theirs) = (me.hash(0, "a"), me.hash(0, "b"), me.hash(0, "never"), other.hash(0, "a"));
    let mut asked = sorted(vec![a.clone(), b.clone(), never, theirs]);
    asked.reverse();
    let answer = t.ok("delete", &deleting(&me, &asked)).await;
    let deleted = sorted(vec![a, b]);
    assert_eq!(said(&t, &answer, "deleted"), json!(deleted));
    t.shows("2.9-deleted");
    t.all_sign(&answer, |_| me.hex() + &asked.concat() + &deleted.concat());
    t.shows("2.9-signature");
    assert_eq!(t.texts(&other, 0).await, ["a"]);
    t.shows("2.9-others");
    for node in 0..t.members().len() {
        let body = json!({"method": "retrieve", "params": t.retrieving(&me, 0)});
        let (_, page) = t.world.swarm.rpc(node, &body).await;
        assert_eq!(crate::common::texts(&page), ["c"]);
    }
    t.shows("2.9-gone");
    let answer = t.ok("delete", &deleting(&me, &asked)).await;
    assert_eq!(said(&t, &answer, "deleted"), json!([]));
    t.all_sign(&answer, |_| me.hex() + &asked.concat());
    t.shows("2.9-no-time");
    let shouting = with(deleting(&me, &asked), json!({"pubkey": me.hex().to_uppercase()}));
    t.all_sign(&t.ok("delete", &shouting).await, |_| me.hex() + &asked.concat());
    t.shows("2.9-lower-case");
    let text = "messages does not contain any message hashes";
    t.invalid("2.9-none-named", "delete", &deleting(&me, &[]), text).await;
}

async fn required(t: T) {
    let me = t.user();
    t.store(&me, 0, "a").await;
    let asked = [me.hash(0, "never")];
    let params = with(deleting(&me, &asked), json!({"required": true}));
    let (status, answer) = t.rpc("delete", &params).await;
    assert_eq!((status, said(&t, &answer, "deleted")), (404, json!([])));
    t.all_sign(&answer, |_| me.hex() + &asked.concat());
    t.shows("2.9-required");
    let asked = [me.hash(0, "never"), me.hash(0, "a")];
    t.ok("delete", &with(deleting(&me, &asked), json!({"required": true}))).await;
    t.shows("2.9-required-found");
    t.ok("delete", &with(deleting(&me, &asked), json!({"required": false}))).await;
}

async fn scopes(t: T) {
    let me = t.user();
    let now = t.now();
    let fill = async || {
        for (namespace, text) in [(0, "a"), (0, "b"), (2, "c"), (-11, "d")] {
            t.store(&me, namespace, text).await;
        }
    };
    fill().await;
    let in_zero = sorted(vec![me.hash(0, "a"), me.hash(0, "b")]);
    let answer = t.ok("delete_all", &me.signed(format!("delete_all{now}"), json!({"timestamp": now}))).await;
    assert_eq!(said(&t, &answer, "deleted"), json!(in_zero));
    assert_eq!(t.texts(&me, 2).await, ["c"]);
    t.shows("2.10-default");
    t.all_sign(&answer, |_| format!("{}{now}{}", me.hex(), in_zero.concat()));
    let params = me.signed(format!("delete_all2{now}"), json!({"timestamp": now, "namespace": 2}));
    let answer = t.ok("delete_all", &params).await;
    assert_eq!(said(&t, &answer, "deleted"), json!([me.hash(2, "c")]));
    t.shows("2.10-one");
    fill().await;
    let params = me.signed(format!("delete_allall{now}"), json!({"timestamp": now, "namespace": "all"}));
    let answer = t.ok("delete_all", &params).await;
    let expected = json!({"0": in_zero, "2": [me.hash(2, "c")], "-11": [me.hash(-11, "d")]});
    assert_eq!(said(&t, &answer, "deleted"), expected);
    t.shows("2.10-all");
    let all = sorted([&in_zero[..], &[me.hash(2, "c"), me.hash(-11, "d")]].concat());
    t.all_sign(&answer, |_| format!("{}{now}{}", me.hex(), all.concat()));
    t.shows("2.10-signature");
    for namespace in [0, 2, -11] {
        assert!(t.texts(&me, namespace).await.is_empty());
    }
}

async fn before(t: T) {
    let me = t.user();
    let now = t.now();
    let fill = async || {
        for namespace in [0, 2] {
            for ago in [3_000, 2_000, 1_000] {
                let params = json!({"timestamp": now - ago, "sig_timestamp": now});
                let text = format!("{ago} ago");
                t.ok("store", &with(t.storing(&me, namespace, &text), params)).await;
            }
        }
    };
    fill().await;
    let asking = |namespace: &str, signed: &str| {
        let before = now - 2_000;
        let params =
            json!({"before": before, "namespace": serde_json::from_str::<Value>(namespace).unwrap()});
        me.signed(format!("delete_before{signed}{before}"), params)
    };
    let gone = |namespace: i16| sorted(["3000 ago", "2000 ago"].map(|text| me.hash(namespace, text)).into());
    let answer = t.ok("delete_before", &asking("2", &ns(2))).await;
    assert_eq!(said(&t, &answer, "deleted"), json!(gone(2)));
    assert_eq!((t.texts(&me, 2).await.len(), t.texts(&me, 0).await.len()), (1, 3));
    t.shows("2.10-before");
    fill().await;
    let answer = t.ok("delete_before", &asking("\"all\"", "all")).await;
    assert_eq!(said(&t, &answer, "deleted"), json!({"0": gone(0), "2": gone(2)}));
    t.all_sign(&answer, |_| {
        format!("{}{}{}", me.hex(), now - 2_000, sorted([gone(0), gone(2)].concat()).concat())
    });
    assert_eq!(
        (t.texts(&me, 2).await, t.texts(&me, 0).await),
        (vec!["1000 ago".to_owned()], vec!["1000 ago".to_owned()])
    );
    t.shows("2.10-before-all");
}
