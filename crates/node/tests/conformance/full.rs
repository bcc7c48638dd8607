//! A swarm whose only member has no room.

use serde_json::Value;

use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[case!(the_store_is_full, ALL, ["2.6-none-is-not", "2.7-full"])];

async fn the_store_is_full(t: T) {
    let me = t.user();
    let own = t.node(0).ed25519.to_hex();
    let mut kept = 0;
    let refused: Value = loop {
        assert!(kept < 50, "three megabytes are more than one byte");
        let (status, answer) =
            t.rpc("store", &t.storing(&me, 0, &format!("{kept}{}", "x".repeat(70_000)))).await;
        if status == 500 {
            break answer;
        }
        assert_eq!(status, 200, "{answer}");
        kept += 1;
    };
    assert_eq!(
        (&refused["t"], refused["swarm"].as_object().unwrap().len()),
        (&t.now().into(), 1),
        "{refused}"
    );
    t.shows("2.6-none-is-not");
    let entry = &refused["swarm"][&own];
    assert_eq!((&entry["failed"], &entry["query_failure"]), (&true.into(), &true.into()), "{refused}");
    assert_eq!(t.texts(&me, 0).await.len(), kept);
    t.shows("2.7-full");
}
