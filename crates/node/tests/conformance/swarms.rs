//! Which nodes keep an account, and what all of them do together.

use serde_json::{Value, json};

use crate::askers::{Me, with, without};
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(wrong_swarm, ALL, ["2.5-status", "2.5-body", "2.5-first", "2.5-parts"]),
    case!(lookups, ALL, ["2.13-any-node", "2.13-any-account", "2.13-alias", "2.13-members"]),
    case!(nodes, ALL, ["2.13-fields", "2.13-address", "2.13-legacy", "2.13-swarm"]),
    case!(writes, ALL, ["2.6-members", "2.6-replicated", "2.6-reads-alone"]),
];

/// Every method that is bound to an account, with a request of it that is all right.
fn bound(t: &T, me: &Me) -> Vec<(&'static str, Value)> {
    let now = t.now();
    let hash = me.hash(0, "x");
    let token = me.member(1, 3, 3).token().bytes;
    let hex = hex::encode(token);
    let with_token = |name: &str| [format!("{name}{now}").as_bytes(), &token].concat();
    let timed = json!({"timestamp": now});
    let soon = now + 60_000;
    vec![
        ("store", t.storing(me, 0, "x")),
        ("retrieve", t.retrieving(me, 0)),
        ("delete", me.signed(format!("delete{hash}"), json!({"messages": [hash]}))),
        ("delete_all", me.signed(format!("delete_all{now}"), timed.clone())),
        ("delete_before", me.signed(format!("delete_before{now}"), json!({"before": now}))),
        ("expire", me.signed(format!("expire{soon}{hash}"), json!({"messages": [hash], "expiry": soon}))),
        ("expire_all", me.signed(format!("expire_all{soon}"), json!({"expiry": soon}))),
        (
            "get_expiries",
            me.signed(format!("get_expiries{now}{hash}"), json!({"messages": [hash], "timestamp": now})),
        ),
        (
            "revoke_subaccount",
            me.signed(with_token("revoke_subaccount"), json!({"revoke": hex, "timestamp": now})),
        ),
        (
            "unrevoke_subaccount",
            me.signed(with_token("unrevoke_subaccount"), json!({"unrevoke": hex, "timestamp": now})),
        ),
        ("revoked_subaccounts", me.signed(format!("revoked_subaccounts{now}"), timed)),
    ]
}

async fn wrong_swarm(t: T) {
    let stranger = t.stranger();
    let place = t.ok("get_swarm", &json!({"pubkey": stranger.hex()})).await;
    for (method, params) in bound(&t, &stranger) {
        let (status, answer) = t.rpc(method, &params).await;
        assert_eq!((status, &answer), (421, &place), "{method}");
        // However wrong the rest is, as long as it can be read.
        let mut bad = params.clone();
        if params.get("timestamp").is_some() {
            bad = with(bad, json!({"timestamp": 1_000_000_000}));
        }
        bad = with(bad, json!({"signature": crate::common::b64(&[7; 64])}));
        assert_eq!(t.rpc(method, &bad).await.0, 421, "{method}");
        let unreadable = with(
            without(params, "signature"),
            json!({"messages": 5, "data": 5, "timestamp": "x", "before": "x", "expiry": "x"}),
        );
        assert_eq!(t.rpc(method, &unreadable).await.0, 400, "{method}");
    }
    t.shows("2.5-status");
    t.shows("2.5-first");
    let names: Vec<&String> = place["snodes"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|node| node.as_object().unwrap().keys())
        .collect();
    assert!(!names.is_empty() && place["t"] == t.now() && place["hf"] == json!([19, 6]), "{place}");
    t.shows("2.5-body");
    let parts: Vec<Value> = bound(&t, &stranger)
        .into_iter()
        .map(|(method, params)| json!({"method": method, "params": params}))
        .collect();
    let batch = t.ok("batch", &json!({"requests": parts})).await;
    for part in batch["results"].as_array().unwrap() {
        assert_eq!(*part, json!({"code": 421, "body": place}));
    }
    t.shows("2.5-parts");
}

async fn lookups(t: T) {
    for me in [t.user(), t.stranger(), t.group(), t.of_type(0x15), t.of_type(0)] {
        let params = json!({"pubkey": me.hex()});
        let answer = t.ok("get_swarm", &params).await;
        let body = json!({"method": "get_swarm", "params": params});
        for node in 0..4 {
            assert_eq!(t.world.swarm.rpc(node, &body).await, (200, answer.clone()));
        }
        assert_eq!(t.ok("get_snodes_for_pubkey", &params).await, answer);
        // Nearest by number, over the exclusive or of the key's four words; ties to the left.
        let words = me.id.as_bytes()[1..].chunks(8).map(|word| u64::from_be_bytes(word.try_into().unwrap()));
        let place = words.fold(0, |all, word| all ^ word);
        let right = 1u64 << 63;
        let nearest = if place <= right {
            if right - place < place { right } else { 0 }
        } else if 0u64.wrapping_sub(place) < place - right {
            0
        } else {
            right
        };
        let mut listed: Vec<&str> = answer["snodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["pubkey_ed25519"].as_str().unwrap())
            .collect();
        let all = &t.world.swarm.listed;
        let mut expected: Vec<String> =
            all.iter().filter(|node| node.swarm.0 == nearest).map(|node| node.ed25519.to_hex()).collect();
        listed.sort_unstable();
        expected.sort();
        assert_eq!(listed, expected);
    }
    t.shows("2.13-any-node");
    t.shows("2.13-any-account");
    t.shows("2.13-alias");
    t.shows("2.13-members");
}

async fn nodes(t: T) {
    let here = t.ok("get_swarm", &json!({"pubkey": t.user().hex()})).await;
    let there = t.ok("get_swarm", &json!({"pubkey": t.stranger().hex()})).await;
    assert_eq!((&here["swarm"], &there["swarm"]), (&json!("0"), &json!("8000000000000000")));
    t.shows("2.13-swarm");
    let node = t.node(0);
    let key = node.ed25519.to_hex();
    let listed = here["snodes"].as_array().unwrap();
    let found = listed.iter().find(|found| found["pubkey_ed25519"] == key).unwrap();
    let address = found["address"].as_str().unwrap();
    let expected = json!({
        "address": address, "pubkey_legacy": key, "pubkey_ed25519": key, "pubkey_x25519": node.x25519.to_hex(),
        "port": node.https_port.to_string(), "port_https": node.https_port, "port_omq": node.quic_port,
        "port_quic": node.quic_port, "ip": node.ip.to_string(),
    });
    assert_eq!(*found, expected);
    t.shows("2.13-fields");
    t.shows("2.13-legacy");
    let name = address.strip_suffix(".snode").unwrap();
    assert_eq!(name.len(), 52);
    // Five bits a letter, the most significant first.
    const LETTERS: &str = "ybndrfg8ejkmcpqxot1uwisza345h769";
    let bits: String = name.chars().map(|letter| format!("{:05b}", LETTERS.find(letter).unwrap())).collect();
    let bytes: Vec<u8> = (0..32).map(|byte| u8::from_str_radix(&bits[byte * 8..][..8], 2).unwrap()).collect();
    assert_eq!((bytes.as_slice(), &bits[256..]), (&node.ed25519.as_bytes()[..], "0000"));
    t.shows("2.13-address");
}

async fn writes(t: T) {
    let me = t.group();
    for (method, params) in bound(&t, &me) {
        let answer = t.ok(method, &params).await;
        let reads = matches!(method, "retrieve" | "get_expiries" | "revoked_subaccounts");
        assert_eq!(answer.get("swarm").is_none(), reads, "{method}: {answer}");
        if reads {
            continue;
        }
        let mut named: Vec<&String> = answer["swarm"].as_object().unwrap().keys().collect();
        let mut members: Vec<String> = t.members().iter().map(|node| node.ed25519.to_hex()).collect();
        named.sort();
        members.sort();
        assert_eq!(named, members.iter().collect::<Vec<_>>(), "{method}");
        for entry in answer["swarm"].as_object().unwrap().values() {
            assert!(entry["signature"].is_string() && entry.get("failed").is_none(), "{method}: {answer}");
        }
    }
    t.shows("2.6-members");
    t.shows("2.6-reads-alone");
    t.store(&me, 11, "for everybody").await;
    for node in 0..t.members().len() {
        let body = json!({"method": "retrieve", "params": t.retrieving(&me, 11)});
        let (_, page) = t.world.swarm.rpc(node, &body).await;
        assert_eq!(crate::common::texts(&page), ["for everybody"]);
    }
    t.shows("2.6-replicated");
}
