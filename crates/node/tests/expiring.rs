//! Changing and asking how long messages live: `expire`, `expire_all`, `get_expiries`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::asking::{Asker, StandingClock, hashes_of, member, sorted, user, with_clock};
use common::{Swarm, now};
use conclave_proto::rpc::results::{Expiries, Outcome};
use conclave_proto::rpc::{ExpireMode, Rights, Scope};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Stores a text until an hour from now; its hash and expiry.
async fn stored(swarm: &Swarm, by: &Asker, namespace: i16, text: &str) -> (MessageHash, Timestamp) {
    let Outcome::Stored { hash, expiry, already: false } = swarm.done(0, &by.store(namespace, text)).await
    else {
        panic!("not new");
    };
    (hash, expiry)
}

fn expired(outcome: Outcome) -> (Expiries, Vec<MessageHash>, Option<BTreeMap<MessageHash, Timestamp>>) {
    match outcome {
        Outcome::Expired { expiry, updated, unchanged } => (expiry, updated, unchanged),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_move_expiries_in_their_direction_and_say_what_they_left() {
    let swarm = Swarm::start(2).await;
    let me = user(1);
    let (a, until) = stored(&swarm, &me, 0, "a").await;
    let (b, _) = stored(&swarm, &me, 0, "b").await;
    let never = me.hash(0, "never");
    let (sooner, later) = (until.minus(HOUR / 2), until.plus(HOUR));

    // Set: no matter what it was; those that exist are updated.
    let outcome = swarm.done(1, &me.expire(&[b, never, a], &[later], ExpireMode::Set)).await;
    assert_eq!(expired(outcome), (Expiries::One(later), sorted(vec![a, b]), None));
    // Extend: a is later already by then.
    swarm.done(1, &me.expire(&[b], &[sooner], ExpireMode::Set)).await;
    let outcome = swarm.done(0, &me.expire(&[a, b, never], &[until], ExpireMode::Extend)).await;
    let unchanged = Some(BTreeMap::from([(a, later)]));
    assert_eq!(expired(outcome), (Expiries::One(until), vec![b], unchanged));
    // Shorten.
    let outcome = swarm.done(0, &me.expire(&[a, b], &[until], ExpireMode::Shorten)).await;
    let unchanged = Some(BTreeMap::from([(b, until)]));
    assert_eq!(expired(outcome), (Expiries::One(until), vec![a], unchanged));
    assert_eq!(swarm.expiry(&me, a).await, Some(until.0));
    assert_eq!(swarm.expiry(&me, b).await, Some(until.0));
    assert_eq!(swarm.expiry(&me, never).await, None);
    let (_, page) = swarm.ask(0, &me.retrieve(0)).await;
    assert_eq!(page["messages"][0]["expiration"], until.0);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_expiries_are_answered_in_the_order_of_what_was_updated() {
    let swarm = Swarm::start(2).await;
    let me = user(1);
    let (a, until) = stored(&swarm, &me, 0, "a").await;
    let (b, _) = stored(&swarm, &me, 5, "b").await;
    let never = me.hash(0, "never");
    let times = BTreeMap::from([(a, until.plus(HOUR)), (b, until.minus(HOUR / 2)), (never, until)]);
    let mut named: Vec<MessageHash> = times.keys().copied().collect();
    named.reverse();
    let asked: Vec<Timestamp> = named.iter().map(|hash| times[hash]).collect();
    let outcome = swarm.done(0, &me.expire(&named, &asked, ExpireMode::Set)).await;
    let updated = sorted(vec![a, b]);
    let applied = updated.iter().map(|hash| times[hash]).collect();
    assert_eq!(expired(outcome), (Expiries::Each(applied), updated, None));
    let outcome = swarm.done(0, &me.expire(&[never, never], &[until, until], ExpireMode::Set)).await;
    assert_eq!(expired(outcome), (Expiries::Each(vec![]), vec![], None));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_lives_longer_than_thirty_days_in_whatever_namespace() {
    let time = Timestamp(1_700_000_000_000);
    let swarm = Swarm::with_hooks(&[0, 0], |_| with_clock(StandingClock(time.0.into()))).await;
    let me = user(1);
    let (status, _) = swarm.ask(0, &me.store_at(0, "public", time, 600_000)).await;
    assert_eq!(status, 200);
    let request = me.expire(&[me.hash(0, "public")], &[time.plus(DAY * 400)], ExpireMode::Extend);
    let outcome = swarm.done(0, &request).await;
    let most = time.plus(DAY * 30);
    assert_eq!(expired(outcome), (Expiries::One(most), vec![me.hash(0, "public")], Some(BTreeMap::new())));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_a_scope_is_shortened_at_once() {
    let swarm = Swarm::start(2).await;
    let me = user(1);
    let (a, until) = stored(&swarm, &me, 0, "a").await;
    let (b, _) = stored(&swarm, &me, 2, "b").await;
    let (short, _) = stored(&swarm, &me, 2, "short").await;
    let sooner = until.minus(HOUR / 2);
    swarm.done(0, &me.expire(&[short], &[sooner.minus(HOUR / 4)], ExpireMode::Shorten)).await;
    let outcome = swarm.done(1, &me.expire_all(Scope::One(Namespace(2)), sooner)).await;
    assert_eq!(hashes_of(outcome), [(None, vec![b])]);
    let outcome = swarm.done(1, &me.expire_all(Scope::All, sooner)).await;
    assert_eq!(hashes_of(outcome), [(Some(0), vec![a])]);
    assert_eq!(hashes_of(swarm.done(1, &me.expire_all(Scope::All, until)).await), []);
    for hash in [a, b] {
        assert_eq!(swarm.expiry(&me, hash).await, Some(sooner.0));
    }
    // At once means at once: they go with the next sweep, and no copy brings them back.
    let copies = swarm.nodes[0].store().copies(&me.account, &[a, b]).unwrap();
    assert_eq!(copies.len(), 2);
    swarm.done(0, &me.expire_all(Scope::All, now())).await;
    for node in &swarm.nodes {
        node.store().sweep_expired(now()).await.unwrap();
        assert_eq!(node.store().merge(copies.clone(), now()).await.unwrap(), 0);
    }
    assert!(swarm.mailbox(&me, 0).await.is_empty());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_the_right_to_delete_extends_only() {
    let swarm = Swarm::start(2).await;
    let writer = member(70, 71, Rights::READ.and(Rights::WRITE));
    let deleter = member(70, 72, Rights::READ.and(Rights::WRITE).and(Rights::DELETE));
    let reader = member(70, 73, Rights::READ);
    let (hash, until) = stored(&swarm, &writer, 11, "to the group").await;
    let (sooner, later) = (until.minus(HOUR / 2), until.plus(HOUR));

    let text = "expire: shorten parameter cannot be used with this subaccount token (missing delete access)";
    let request = writer.expire(&[hash], &[sooner], ExpireMode::Shorten);
    assert_eq!(swarm.refused(0, &request).await, (400, text.to_owned()));
    let refused = (401, "expire: signature verification failed".to_owned());
    assert_eq!(swarm.refused(0, &reader.expire(&[hash], &[later], ExpireMode::Extend)).await, refused);

    // Without a word it becomes an extension; nothing is said about what was left alone.
    let outcome = swarm.done(0, &writer.expire(&[hash], &[sooner], ExpireMode::Set)).await;
    assert_eq!(expired(outcome), (Expiries::One(sooner), vec![], None));
    assert_eq!(swarm.expiry(&writer, hash).await, Some(until.0));
    let outcome = swarm.done(0, &writer.expire(&[hash], &[later], ExpireMode::Set)).await;
    assert_eq!(expired(outcome), (Expiries::One(later), vec![hash], None));

    let outcome = swarm.done(0, &deleter.expire(&[hash], &[sooner], ExpireMode::Shorten)).await;
    assert_eq!(expired(outcome).1, [hash]);
    assert_eq!(swarm.expiry(&writer, hash).await, Some(sooner.0));
    let refused = (401, "expire_all signature verification failed".to_owned());
    assert_eq!(swarm.refused(0, &writer.expire_all(Scope::All, sooner)).await, refused);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_times_and_forms_are_refused_in_the_words_clients_know() {
    let swarm = Swarm::start(1).await;
    let me = user(1);
    let hash = me.hash(0, "a");
    let past = |seconds| now().minus(Duration::from_secs(seconds));
    let cases = [
        (
            me.expire(&[hash, hash], &[now(), past(62)], ExpireMode::Set),
            401,
            "expire: timestamp should be >= current time",
        ),
        (me.expire_all(Scope::All, past(62)), 406, "expire_all timestamp should be >= current time"),
        (me.expiries(&[hash], past(62)), 406, "get_expiries timestamp too far from current time"),
    ];
    for (request, status, text) in cases {
        assert_eq!(swarm.refused(0, &request).await, (status, text.to_owned()), "{request:?}");
    }
    swarm.done(0, &me.expire(&[hash], &[past(58)], ExpireMode::Set)).await;
    swarm.done(0, &me.expire_all(Scope::All, past(58))).await;

    let params = |change: serde_json::Value| {
        let mut params = me.expire(&[hash], &[now()], ExpireMode::Set).to_json();
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        json!({"method": "expire", "params": params})
    };
    let cases = [
        (params(json!({"shorten": true, "extend": true})), "cannot specify both 'shorten' and 'extend'"),
        (
            params(json!({"expiry": [now().0, now().0]})),
            "'expiry' must be a single expiry, or the same length as 'messages'",
        ),
        (params(json!({"messages": ["short"]})), "invalid message hash: short"),
        (params(json!({"expiry": null})), "Required field 'expiry' missing"),
    ];
    for (request, text) in cases {
        assert_eq!(swarm.rpc(0, &request).await, (400, format!("invalid request: {text}").into()));
    }
    // The defect of a deployed client: it signs `extend` and sends `extends`.
    let signed = me.expire(&[hash], &[now()], ExpireMode::Extend);
    let mut odd = signed.to_json();
    odd.as_object_mut().unwrap().remove("extend");
    odd["extends"] = true.into();
    let text = "expire: signature verification failed";
    assert_eq!(swarm.rpc(0, &json!({"method": "expire", "params": odd})).await, (401, text.into()));

    let (status, answer) = swarm.ask(0, &me.expiries(&[hash], now())).await;
    assert_eq!((status, answer), (200, json!({"expiries": {}})), "neither t nor hf");
    swarm.stop().await;
}
