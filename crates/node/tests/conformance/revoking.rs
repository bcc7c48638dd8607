//! Subaccounts that are let in no longer.

use serde_json::{Value, json};

use crate::askers::Me;
use crate::common::b64;
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(forms, ALL, ["2.15-revoke-forms", "2.15-revoke-most", "2.15-revoke-signature"]),
    case!(taking_back, ALL, ["2.15-unrevoke-count", "2.15-unrevoked", "2.15-list"]),
    case!(the_newest, ALL, ["2.15-newest"]),
    case!(empty_accounts, ALL, ["2.15-no-messages"]),
];

fn tokens(group: &Me, numbers: std::ops::Range<u32>) -> Vec<[u8; 36]> {
    numbers.map(|number| group.member(number, 3, 3).token().bytes).collect()
}

fn asking(group: &Me, method: &str, time: u64, tokens: &[[u8; 36]]) -> Value {
    let name = method.split('_').next().unwrap();
    let text = [format!("{method}{time}").as_bytes(), &tokens.concat()].concat();
    let tokens: Vec<String> = tokens.iter().map(|token| b64(token)).collect();
    group.signed(text, json!({name: tokens, "timestamp": time}))
}

async fn listed(t: &T, group: &Me) -> Vec<String> {
    let params = group.signed(format!("revoked_subaccounts{}", t.now()), json!({"timestamp": t.now()}));
    let answer = t.ok("revoked_subaccounts", &params).await;
    assert!(answer.get("swarm").is_none());
    answer["revoked_subaccounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token.as_str().unwrap().to_owned())
        .collect()
}

async fn forms(t: T) {
    let group = t.group();
    let now = t.now();
    let some = tokens(&group, 0..3);
    let text =
        |tokens: &[[u8; 36]]| [format!("revoke_subaccount{now}").as_bytes(), &tokens.concat()].concat();
    for (revoke, which) in [
        (json!(b64(&some[0])), &some[..1]),
        (json!(hex::encode(some[1])), &some[1..2]),
        (json!([hex::encode(some[0]), b64(&some[2])]), &[some[0], some[2]]),
    ] {
        let params = group.signed(text(which), json!({"revoke": revoke, "timestamp": now}));
        let answer = t.ok("revoke_subaccount", &params).await;
        for node in t.members() {
            let entry = &answer["swarm"][node.ed25519.to_hex()];
            let signature = conclave_proto::base64::decode(entry["signature"].as_str().unwrap()).unwrap();
            let signature = conclave_crypto::Signature::from_slice(&signature).unwrap();
            let signed = [format!("{}{now}", group.hex()).as_bytes(), &which.concat()].concat();
            node.ed25519.verify(&signed, &signature).unwrap();
            assert_eq!(entry.as_object().unwrap().len(), 1, "{entry}");
        }
    }
    assert_eq!(listed(&t, &group).await.len(), 3);
    t.shows("2.15-revoke-forms");
    t.shows("2.15-revoke-signature");
    t.ok("revoke_subaccount", &asking(&group, "revoke_subaccount", now, &tokens(&group, 0..50))).await;
    let text = "invalid revoke: cannot revoke more than 50 subaccounts at once";
    let many = asking(&group, "revoke_subaccount", now, &tokens(&group, 0..51));
    t.invalid("2.15-revoke-most", "revoke_subaccount", &many, text).await;
}

async fn taking_back(t: T) {
    let group = t.group();
    let now = t.now();
    let some = tokens(&group, 0..3);
    t.ok("revoke_subaccount", &asking(&group, "revoke_subaccount", now - 2, &some)).await;
    let mut expected: Vec<String> = some.iter().map(|token| b64(token)).collect();
    let mut found = listed(&t, &group).await;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    t.shows("2.15-list");
    let back = [some[0], some[2], tokens(&group, 9..10)[0]];
    let answer = t.ok("unrevoke_subaccount", &asking(&group, "unrevoke_subaccount", now - 1, &back)).await;
    for node in t.members() {
        let entry = &answer["swarm"][node.ed25519.to_hex()];
        assert_eq!(entry["count"], 2, "{answer}");
        let signature = conclave_proto::base64::decode(entry["signature"].as_str().unwrap()).unwrap();
        let signature = conclave_crypto::Signature::from_slice(&signature).unwrap();
        let signed = [format!("{}{}", group.hex(), now - 1).as_bytes(), &back.concat()].concat();
        node.ed25519.verify(&signed, &signature).unwrap();
    }
    t.shows("2.15-unrevoke-count");
    t.ok("retrieve", &t.retrieving(&group.member(0, 3, 3), 11)).await;
    let text = "retrieve signature verification failed";
    t.refused("2.15-unrevoked", "retrieve", &t.retrieving(&group.member(1, 3, 3), 11), 401, text).await;
    assert_eq!(listed(&t, &group).await, [b64(&some[1])]);
}

async fn the_newest(t: T) {
    let group = t.group();
    let now = t.now();
    t.store(&group, 11, "somebody lives here").await;
    t.ok("revoke_subaccount", &asking(&group, "revoke_subaccount", now - 9, &tokens(&group, 0..30))).await;
    t.ok("revoke_subaccount", &asking(&group, "revoke_subaccount", now - 5, &tokens(&group, 30..60))).await;
    // Named again, it is among the newest.
    let oldest = tokens(&group, 0..1);
    t.ok("revoke_subaccount", &asking(&group, "revoke_subaccount", now, &oldest)).await;
    let found = listed(&t, &group).await;
    assert_eq!(found.len(), 50);
    for token in tokens(&group, 30..60).iter().chain(&oldest) {
        assert!(found.contains(&b64(token)));
    }
    t.shows("2.15-newest");
}

async fn empty_accounts(t: T) {
    let group = t.group();
    let member = group.member(0, 3, 3);
    t.ok("retrieve", &t.retrieving(&member, 11)).await;
    t.ok("revoke_subaccount", &asking(&group, "revoke_subaccount", t.now(), &[member.token().bytes])).await;
    let text = "retrieve signature verification failed";
    t.refused("2.15-no-messages", "retrieve", &t.retrieving(&member, 11), 401, text).await;
    // Nor do they go with the last message.
    t.store(&group, 11, "x").await;
    let hash = group.hash(11, "x");
    t.ok("delete", &group.signed(format!("delete{hash}"), json!({"messages": [hash]}))).await;
    t.refused("2.15-no-messages", "retrieve", &t.retrieving(&member, 11), 401, text).await;
}
