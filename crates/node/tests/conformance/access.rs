//! Whose signature counts for which account.

use serde_json::json;

use crate::askers::{Me, seed, with, without};
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(keys, ALL, ["2.2-user", "2.2-user-as-ed25519", "2.2-group", "2.2-other"]),
    case!(type_bytes, ALL, ["2.2-one-swarm", "2.2-two-mailboxes"]),
    case!(wrong_keys, ALL, ["2.3-other-key", "2.3-unusable-key"]),
    case!(
        tokens,
        ALL,
        [
            "2.3-prefix",
            "2.3-any-prefix",
            "2.3-rights",
            "2.3-token-signature",
            "2.3-member-key",
            "2.3-user-tokens"
        ]
    ),
    case!(revoked, ALL, ["2.3-revoked", "2.3-whole-token", "2.3-unrevocable"]),
    case!(
        rights,
        ALL,
        ["2.4-right-read", "2.4-right-write", "2.4-right-outbox", "2.4-right-delete", "2.4-right-none",]
    ),
];

const BAD: &str = "retrieve signature verification failed";

async fn keys(t: T) {
    t.ok("retrieve", &t.retrieving(&t.user(), 0)).await;
    t.shows("2.2-user");
    // The id is the Ed25519 key, as only tests have it.
    let odd = t.of_type(5);
    t.ok("retrieve", &t.retrieving(&odd, 0)).await;
    t.shows("2.2-user-as-ed25519");
    t.ok("retrieve", &t.retrieving(&t.group(), 11)).await;
    t.shows("2.2-group");
    for prefix in [0, 1, 7, 0x15, 0x25, 0xff] {
        let me = t.of_type(prefix);
        t.store(&me, 5, "of another type").await;
        assert_eq!(t.texts(&me, 5).await, ["of another type"]);
    }
    t.shows("2.2-other");
}

async fn type_bytes(t: T) {
    let group = t.group();
    let twin = group.with_type(7);
    let nodes = |me: &Me| json!({"pubkey": me.hex()});
    let (one, other) = (t.ok("get_swarm", &nodes(&group)).await, t.ok("get_swarm", &nodes(&twin)).await);
    assert_eq!(one["snodes"], other["snodes"]);
    let user = group.with_type(5);
    assert_eq!(one["swarm"], t.ok("get_swarm", &nodes(&user)).await["swarm"]);
    t.shows("2.2-one-swarm");
    t.store(&group, 0, "same").await;
    assert!(t.texts(&twin, 0).await.is_empty());
    t.store(&twin, 0, "same").await;
    assert_eq!((t.texts(&group, 0).await.len(), t.texts(&twin, 0).await.len()), (1, 1));
    assert_ne!(group.hash(0, "same"), twin.hash(0, "same"));
    t.shows("2.2-two-mailboxes");
}

async fn wrong_keys(t: T) {
    let me = t.user();
    let other = seed(12_345, 9);
    let good = t.retrieving(&me, 0);
    let text = format!("retrieve{}", t.now());
    let signature = crate::common::b64(other.sign(text.as_bytes()).as_bytes());
    let params = json!({"pubkey_ed25519": other.public().to_hex(), "signature": signature});
    t.refused("2.3-other-key", "retrieve", &with(good.clone(), params), 401, BAD).await;
    for no_key in ["00".repeat(32), "ff".repeat(32), format!("02{}", "00".repeat(31))] {
        let params = with(good.clone(), json!({"pubkey_ed25519": no_key}));
        t.refused("2.3-unusable-key", "retrieve", &params, 401, BAD).await;
    }
}

async fn tokens(t: T) {
    let group = t.group();
    let reading = |member: &Me| t.retrieving(member, 11);
    t.ok("retrieve", &reading(&group.member(1, 3, 1))).await;
    for prefix in [0, 5, 7] {
        let member = group.member(1, prefix, 7);
        t.refused("2.3-prefix", "retrieve", &reading(&member), 401, BAD).await;
        t.ok("retrieve", &reading(&group.member(1, prefix, 1 | 8))).await;
    }
    t.shows("2.3-any-prefix");
    for flags in [0, 2, 4, 6, 8] {
        t.refused("2.3-rights", "retrieve", &reading(&group.member(1, 3, flags)), 401, BAD).await;
    }
    let member = group.member(1, 3, 7);
    let elsewhere = t.group().member(1, 3, 7);
    assert_eq!(member.token().bytes, elsewhere.token().bytes);
    let stolen = with(reading(&member), json!({"subaccount_sig": elsewhere.token().signature}));
    t.refused("2.3-token-signature", "retrieve", &stolen, 401, BAD).await;
    let by_the_account = group.signature(format!("retrieve11{}", t.now()));
    let params = with(reading(&member), json!({"signature": by_the_account}));
    t.refused("2.3-member-key", "retrieve", &params, 401, BAD).await;
    // And a member's without the token, too.
    let bare = without(without(reading(&member), "subaccount"), "subaccount_sig");
    t.refused("2.3-member-key", "retrieve", &bare, 401, BAD).await;
    let user = t.user();
    t.ok("retrieve", &t.retrieving(&user.member(1, 5, 1), 0)).await;
    t.refused("2.3-prefix", "retrieve", &t.retrieving(&user.member(1, 3, 1), 0), 401, BAD).await;
    t.shows("2.3-user-tokens");
}

async fn revoked(t: T) {
    let group = t.group();
    let (member, more) = (group.member(1, 3, 3), group.member(1, 3, 7));
    let text = [format!("revoke_subaccount{}", t.now()).as_bytes(), &member.token().bytes].concat();
    let token = hex::encode(member.token().bytes);
    t.ok("revoke_subaccount", &group.signed(text, json!({"revoke": token, "timestamp": t.now()}))).await;
    t.refused("2.3-revoked", "retrieve", &t.retrieving(&member, 11), 401, BAD).await;
    let storing = t.storing(&member, 11, "let me in");
    t.refused("2.3-revoked", "store", &storing, 401, "store signature verification failed").await;
    t.ok("retrieve", &t.retrieving(&more, 11)).await;
    t.shows("2.3-whole-token");
    t.ok("retrieve", &t.retrieving(&member, -11)).await;
    t.ok("retrieve", &t.retrieving(&member, -111)).await;
    t.refused("2.3-unrevocable", "retrieve", &t.retrieving(&member, -12), 401, BAD).await;
    let storing = t.storing(&member, -11, "let me in");
    t.refused("2.3-unrevocable", "store", &storing, 401, "store signature verification failed").await;
}

async fn rights(t: T) {
    let group = t.group();
    let now = t.now();
    let hash = group.hash(11, "x");
    let bad = |method: &str| {
        let name = match method {
            "delete" => "delete_msgs",
            "expire" => "expire:",
            other => other,
        };
        format!("{name} signature verification failed")
    };
    // Each method with the flags it needs, and all others without one of these.
    let in_time = now + 60_000;
    let cases = [
        (
            "2.4-right-read",
            1,
            "retrieve",
            format!("retrieve11{now}"),
            json!({"namespace": 11, "timestamp": now}),
        ),
        (
            "2.4-right-read",
            1,
            "get_expiries",
            format!("get_expiries{now}{hash}"),
            json!({"messages": [hash], "timestamp": now}),
        ),
        (
            "2.4-right-write",
            2,
            "store",
            format!("store11{now}"),
            json!({"namespace": 11, "timestamp": now, "ttl": 60_000, "data": ""}),
        ),
        (
            "2.4-right-write",
            2,
            "expire",
            format!("expireextend{in_time}{hash}"),
            json!({"messages": [hash], "expiry": in_time, "extend": true}),
        ),
        (
            "2.4-right-outbox",
            6,
            "store",
            format!("store-21{now}"),
            json!({"namespace": -21, "timestamp": now, "ttl": 60_000, "data": ""}),
        ),
        ("2.4-right-delete", 4, "delete", format!("delete{hash}"), json!({"messages": [hash]})),
        ("2.4-right-delete", 4, "delete_all", format!("delete_all{now}"), json!({"timestamp": now})),
        ("2.4-right-delete", 4, "delete_before", format!("delete_before{now}"), json!({"before": now})),
        ("2.4-right-delete", 4, "expire_all", format!("expire_all{in_time}"), json!({"expiry": in_time})),
    ];
    for (id, needed, method, text, params) in cases {
        for flags in 0..8u8 {
            let params = group.member(1, 3, flags).signed(&text, params.clone());
            if flags & needed == needed {
                t.ok(method, &params).await;
            } else {
                t.refused(id, method, &params, 401, &bad(method)).await;
            }
        }
    }
    let member = group.member(1, 3, 15);
    let token = member.token().bytes;
    let listing = format!("revoked_subaccounts{now}").into_bytes();
    for (method, name, text) in [
        ("revoke_subaccount", "revoke", [format!("revoke_subaccount{now}").as_bytes(), &token].concat()),
        (
            "unrevoke_subaccount",
            "unrevoke",
            [format!("unrevoke_subaccount{now}").as_bytes(), &token].concat(),
        ),
        ("revoked_subaccounts", "unused", listing),
    ] {
        let params = member.signed(text, json!({name: hex::encode(token), "timestamp": now}));
        t.refused("2.4-right-none", method, &params, 401, &bad(method)).await;
    }
}
