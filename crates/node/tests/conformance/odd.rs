//! A swarm with members that do not do what they should.

use serde_json::json;

use crate::wires::ALL;
use crate::world::{Case, T, case, is_signed};

pub const CASES: &[Case] = &[case!(odd_members, ALL, ["2.6-refused", "2.6-bad-peer"])];

async fn odd_members(t: T) {
    let me = t.user();
    let answer = t.store(&me, 0, "x").await;
    let entry = |index: usize| &answer["swarm"][t.node(index).ed25519.to_hex()];
    assert!(is_signed(&t.node(0).ed25519, entry(0), &me.hash(0, "x")));
    assert_eq!(*entry(5), json!({"failed": true, "bad_peer_response": true}), "{answer}");
    // Another key's signature is for the client to see.
    assert!(!is_signed(&t.node(4).ed25519, entry(4), &me.hash(0, "x")), "{answer}");
    t.shows("2.6-bad-peer");
    let now = t.now();
    let answer = t.ok("delete_all", &me.signed(format!("delete_all{now}"), json!({"timestamp": now}))).await;
    let text = "delete_all timestamp too far from current time";
    let refused = json!({"failed": true, "code": "406", "reason": text});
    assert_eq!(answer["swarm"][t.node(6).ed25519.to_hex()], refused);
    t.shows("2.6-refused");
}
