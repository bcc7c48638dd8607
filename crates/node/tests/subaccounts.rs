//! What members of a group may do with the tokens their admins gave them, and what revoking takes from them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use base64::Engine as _;
use common::asking::{Asker, group, member, token_of, with_token};
use common::{Swarm, now};
use conclave_proto::rpc::results::Outcome;
use conclave_proto::rpc::{ExpireMode, Request, Rights, Scope, SubaccountToken};
use serde_json::{Value, json};

const GROUP: u8 = 70;
const READ_WRITE: Rights = Rights(3);
const ALL: Rights = Rights(7);

/// Whether a node refuses it as it refuses a wrong signature.
async fn is_unauthorised(swarm: &Swarm, node: usize, request: &Request) -> bool {
    let (status, answer) = swarm.ask(node, request).await;
    if status == 401 {
        let expected = request.bad_signature().body;
        assert_eq!(answer, Value::from(expected));
    } else {
        assert_eq!(status, 200, "{answer}");
    }
    status == 401
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_allows_what_it_says() {
    let swarm = Swarm::start(2).await;
    let admin = group(GROUP);
    let hash = admin.hash(11, "hello");
    let cases = [
        (Rights::READ, [true, false, false, false]),
        (Rights::WRITE, [false, true, false, false]),
        (Rights::DELETE, [false, false, true, false]),
        (READ_WRITE, [true, true, false, false]),
        (ALL, [true, true, true, true]),
    ];
    for (rights, [reads, writes, deletes, outbox]) in cases {
        let asker = member(GROUP, 71, rights);
        let allowed = [
            (asker.retrieve(11), reads),
            (asker.expiries(&[hash], now()), reads),
            (asker.store(11, "hello"), writes),
            (asker.expire(&[hash], &[now().plus(Duration::from_secs(60))], ExpireMode::Extend), writes),
            (asker.delete(&[hash], false), deletes),
            (asker.delete_all(Scope::All, now()), deletes),
            (asker.delete_before(Scope::All, now()), deletes),
            (asker.expire_all(Scope::All, now()), deletes),
            (asker.store(-21, "the group's face"), outbox),
        ];
        for (request, allowed) in allowed {
            let refused = is_unauthorised(&swarm, 0, &request).await;
            assert_eq!(refused, !allowed, "{rights:?} {}", request.method());
        }
    }
    // Tokens are the group's to give, and for groups only unless they say otherwise.
    let elsewhere = with_token(GROUP, 71, token_of(71, 5, ALL));
    assert!(is_unauthorised(&swarm, 0, &elsewhere.retrieve(11)).await);
    let anywhere = with_token(GROUP, 71, token_of(71, 5, ALL.and(Rights::ANY_PREFIX)));
    assert!(!is_unauthorised(&swarm, 0, &anywhere.retrieve(11)).await);
    let stolen = with_token(GROUP, 74, token_of(71, 3, ALL));
    assert!(is_unauthorised(&swarm, 0, &stolen.retrieve(11)).await, "somebody else's token");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_member_can_do_nothing_at_any_member_of_the_swarm_but_read_why() {
    let swarm = Swarm::start(2).await;
    let (admin, kicked, stays) = (group(GROUP), member(GROUP, 71, ALL), member(GROUP, 72, ALL));
    // A group without a single message, which the reference cannot revoke anything for.
    let outcome = swarm.done(0, &admin.revoke(&[token_of(71, 3, ALL)], now())).await;
    assert_eq!(outcome, Outcome::Revoked { count: None });
    swarm.done(0, &admin.store(-11, "you were removed")).await;
    for node in 0..2 {
        let hash = admin.hash(11, "x");
        for request in [
            kicked.retrieve(11),
            kicked.retrieve(12),
            kicked.store(11, "x"),
            kicked.store(-11, "x"),
            kicked.delete(&[hash], false),
            kicked.delete_all(Scope::All, now()),
            kicked.delete_before(Scope::All, now()),
            kicked.expire(&[hash], &[now()], ExpireMode::Set),
            kicked.expire(&[hash], &[now()], ExpireMode::Shorten),
            kicked.expire_all(Scope::All, now()),
            kicked.expiries(&[hash], now()),
        ] {
            assert!(is_unauthorised(&swarm, node, &request).await, "{request:?}");
        }
        assert!(!is_unauthorised(&swarm, node, &kicked.retrieve(-11)).await);
        assert!(!is_unauthorised(&swarm, node, &stays.retrieve(11)).await);
        // The whole token counts: the same person with other rights is another one.
        assert!(!is_unauthorised(&swarm, node, &member(GROUP, 71, READ_WRITE).retrieve(11)).await);
    }
    assert_eq!(swarm.mailbox(&kicked, -11).await, ["you were removed"]);

    let later = now().plus(Duration::from_secs(1));
    let tokens = [token_of(71, 3, ALL), token_of(72, 3, ALL)];
    let outcome = swarm.done(1, &admin.unrevoke(&tokens, later)).await;
    assert_eq!(outcome, Outcome::Revoked { count: Some(1) });
    for node in 0..2 {
        assert!(!is_unauthorised(&swarm, node, &kicked.retrieve(11)).await);
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_account_itself_revokes_and_sees_who_is_revoked() {
    let swarm = Swarm::start(1).await;
    let (admin, powerful) = (group(GROUP), member(GROUP, 71, Rights(15)));
    let token = token_of(72, 3, READ_WRITE);
    for request in
        [powerful.revoke(&[token], now()), powerful.unrevoke(&[token], now()), powerful.revoked(now())]
    {
        assert!(is_unauthorised(&swarm, 0, &request).await, "{request:?}");
    }
    let away = now().minus(Duration::from_secs(62));
    for request in [admin.revoke(&[token], away), admin.unrevoke(&[token], away), admin.revoked(away)] {
        let text = format!("{} timestamp too far from current time", request.method());
        assert_eq!(swarm.refused(0, &request).await, (406, text));
    }
    assert_eq!(revoked(&swarm, &admin).await, []);
    let many: Vec<SubaccountToken> = (0..51).map(|n| token_of(100 + n, 3, READ_WRITE)).collect();
    let text = "invalid request: invalid revoke: cannot revoke more than 50 subaccounts at once";
    assert_eq!(swarm.refused(0, &admin.revoke(&many, now())).await, (400, text.to_owned()));
    let start = now();
    swarm.done(0, &admin.revoke(&many[..50], start)).await;
    swarm.done(0, &admin.revoke(&[token], start.plus(Duration::from_secs(1)))).await;
    let kept = revoked(&swarm, &admin).await;
    assert_eq!((kept.len(), kept[0]), (50, token), "the newest fifty");
    assert_eq!(revoked(&swarm, &group(GROUP + 1)).await, [], "of another group");
    swarm.stop().await;
}

async fn revoked(swarm: &Swarm, asker: &Asker) -> Vec<SubaccountToken> {
    let (status, answer) = swarm.ask(0, &asker.revoked(now())).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["t"].is_u64() && answer["hf"].is_array());
    let token = |value: &Value| {
        let engine = base64::engine::general_purpose::STANDARD;
        SubaccountToken(engine.decode(value.as_str().unwrap()).unwrap().try_into().unwrap())
    };
    answer["revoked_subaccounts"].as_array().unwrap().iter().map(token).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_public_outbox_message_stays_and_it_is_the_newest() {
    let swarm = Swarm::start(2).await;
    let admin = group(GROUP);
    let at = |seconds| now().minus(Duration::from_secs(seconds));
    for (seconds, text) in [(30, "old"), (10, "new"), (20, "between")] {
        let outcome = swarm.done(0, &admin.store_at(-1, text, at(seconds), 3_600_000)).await;
        assert!(matches!(outcome, Outcome::Stored { already: false, .. }), "{text}: {outcome:?}");
    }
    // Anyone may read it.
    let read = json!({"method": "retrieve", "params": {"pubkey": admin.account.to_hex(), "namespace": -1}});
    for node in 0..2 {
        let (status, answer) = swarm.rpc(node, &read).await;
        assert_eq!((status, common::texts(&answer)), (200, vec!["new".to_owned()]));
    }
    // Other mailboxes are not meant.
    for text in ["one", "two"] {
        swarm.done(0, &admin.store(-11, text)).await;
    }
    assert_eq!(swarm.mailbox(&admin, -11).await, ["one", "two"]);
    swarm.stop().await;
}
