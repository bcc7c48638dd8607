//! A swarm of which one member is away.

use serde_json::json;

use crate::wires::ALL;
use crate::world::{Case, T, case, is_signed};

pub const CASES: &[Case] = &[case!(a_member_is_away, ALL, ["2.6-failed", "2.6-one-is-enough"])];

async fn a_member_is_away(t: T) {
    let me = t.user();
    let (own, away) = (t.node(0).ed25519, t.node(4).ed25519.to_hex());
    for text in ["first", "second"] {
        // With status 200, that is.
        let answer = t.store(&me, 0, text).await;
        assert!(is_signed(&own, &answer["swarm"][own.to_hex()], &me.hash(0, text)), "{answer}");
        let failed = &answer["swarm"][&away];
        assert_eq!(failed["failed"], true, "{answer}");
        assert!(failed["timeout"] == true || failed["reason"].is_string(), "{answer}");
        assert_eq!(answer["swarm"].as_object().unwrap().len(), 2);
    }
    t.shows("2.6-failed");
    assert_eq!(t.texts(&me, 0).await, ["first", "second"]);
    let hash = me.hash(0, "first");
    let answer = t.ok("delete", &me.signed(format!("delete{hash}"), json!({"messages": [hash]}))).await;
    assert_eq!(answer["swarm"][own.to_hex()]["deleted"], json!([hash]));
    t.shows("2.6-one-is-enough");
}
