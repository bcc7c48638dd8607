//! A network without a swarm.

use serde_json::json;

use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[case!(no_swarms, ALL, ["2.5-no-swarms", "2.13-no-swarms", "4.3-hops"])];

async fn no_swarms(t: T) {
    let me = crate::askers::Me::user(1);
    for (method, params) in [("store", t.storing(&me, 0, "x")), ("retrieve", t.retrieving(&me, 0))] {
        t.refused("2.5-no-swarms", method, &params, 500, "No swarms known!").await;
    }
    let answer = t.ok("get_swarm", &json!({"pubkey": me.hex()})).await;
    assert_eq!((&answer["snodes"], &answer["swarm"]), (&json!([]), &json!("ffffffffffffffff")));
    t.shows("2.13-no-swarms");
    // All this has come by three of them, over onion paths.
    assert_eq!(t.ok("info", &json!({})).await["version"], json!([2, 11, 0]));
    t.shows("4.3-hops");
}
