//! The literal text that each method signs, and the times it may carry.

use serde_json::{Value, json};

use crate::askers::{Me, with};
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(
        texts,
        ALL,
        [
            "2.4-store",
            "2.4-store-default",
            "2.4-retrieve",
            "2.4-namespace-zero",
            "2.4-delete",
            "2.4-delete-all",
            "2.4-delete-before",
            "2.4-expire-all",
            "2.4-expire",
            "2.4-get-expiries",
            "2.4-revoke",
            "2.4-unrevoke",
            "2.4-revoked",
            "2.4-bad-store",
            "2.4-bad-retrieve",
            "2.4-bad-delete",
            "2.4-bad-delete-all",
            "2.4-bad-delete-before",
            "2.4-bad-expire-all",
            "2.4-bad-expire",
            "2.4-bad-get-expiries",
            "2.4-bad-revoke",
            "2.4-bad-revoked",
        ]
    ),
    case!(
        times,
        ALL,
        [
            "2.4-time-store",
            "2.4-time-retrieve",
            "2.4-time-delete-all",
            "2.4-time-get-expiries",
            "2.4-time-revoke",
            "2.4-time-revoked",
            "2.4-time-expire-all",
            "2.4-time-delete-before",
            "2.4-time-expire",
            "2.4-time-first",
        ]
    ),
];

/// A request that is all right: the sentence about its text, the one about its refusal, method, text, parameters.
struct Signed {
    id: &'static str,
    bad: &'static str,
    method: &'static str,
    text: Vec<u8>,
    params: Value,
}

fn signed(
    id: &'static str,
    bad: &'static str,
    method: &'static str,
    text: impl Into<Vec<u8>>,
    params: Value,
) -> Signed {
    Signed { id, bad, method, text: text.into(), params }
}

fn every_method(me: &Me, now: u64, token: [u8; 36]) -> Vec<Signed> {
    let (a, b) = (me.hash(0, "a"), me.hash(0, "b"));
    // In an order that is not theirs.
    let hashes = if a < b { [b, a] } else { [a, b] };
    let both = hashes.concat();
    let (soon, later) = (now + 70_000, now + 80_000);
    let token_b64 = crate::common::b64(&token);
    let with_token = |text: &str| [format!("{text}{now}").as_bytes(), &token].concat();
    let kept = json!({"timestamp": now, "ttl": 60_000, "data": ""});
    vec![
        signed(
            "2.4-store",
            "2.4-bad-store",
            "store",
            format!("store5{}", now - 7),
            with(kept.clone(), json!({"namespace": 5, "sig_timestamp": now - 7})),
        ),
        signed(
            "2.4-store",
            "2.4-bad-store",
            "store",
            format!("store-12{now}"),
            with(kept.clone(), json!({"namespace": -12, "sig_timestamp": now})),
        ),
        signed(
            "2.4-store-default",
            "2.4-bad-store",
            "store",
            format!("store5{now}"),
            with(kept, json!({"namespace": 5})),
        ),
        signed(
            "2.4-retrieve",
            "2.4-bad-retrieve",
            "retrieve",
            format!("retrieve-12{now}"),
            json!({"namespace": -12, "timestamp": now}),
        ),
        signed(
            "2.4-retrieve",
            "2.4-bad-retrieve",
            "retrieve",
            format!("retrieve{now}"),
            json!({"timestamp": now}),
        ),
        signed(
            "2.4-namespace-zero",
            "2.4-bad-retrieve",
            "retrieve",
            format!("retrieve{now}"),
            json!({"namespace": 0, "timestamp": now}),
        ),
        signed(
            "2.4-delete",
            "2.4-bad-delete",
            "delete",
            format!("delete{both}"),
            json!({"messages": hashes}),
        ),
        signed(
            "2.4-delete-all",
            "2.4-bad-delete-all",
            "delete_all",
            format!("delete_all{now}"),
            json!({"timestamp": now}),
        ),
        signed(
            "2.4-namespace-zero",
            "2.4-bad-delete-all",
            "delete_all",
            format!("delete_all{now}"),
            json!({"namespace": 0, "timestamp": now}),
        ),
        signed(
            "2.4-delete-all",
            "2.4-bad-delete-all",
            "delete_all",
            format!("delete_all42{now}"),
            json!({"namespace": 42, "timestamp": now}),
        ),
        signed(
            "2.4-delete-all",
            "2.4-bad-delete-all",
            "delete_all",
            format!("delete_allall{now}"),
            json!({"namespace": "all", "timestamp": now}),
        ),
        signed(
            "2.4-delete-before",
            "2.4-bad-delete-before",
            "delete_before",
            format!("delete_before-1{now}"),
            json!({"namespace": -1, "before": now}),
        ),
        signed(
            "2.4-delete-before",
            "2.4-bad-delete-before",
            "delete_before",
            format!("delete_beforeall{now}"),
            json!({"namespace": "all", "before": now}),
        ),
        signed(
            "2.4-expire-all",
            "2.4-bad-expire-all",
            "expire_all",
            format!("expire_all3{soon}"),
            json!({"namespace": 3, "expiry": soon}),
        ),
        signed(
            "2.4-expire-all",
            "2.4-bad-expire-all",
            "expire_all",
            format!("expire_allall{soon}"),
            json!({"namespace": "all", "expiry": soon}),
        ),
        signed(
            "2.4-expire",
            "2.4-bad-expire",
            "expire",
            format!("expire{soon}{both}"),
            json!({"messages": hashes, "expiry": soon}),
        ),
        signed(
            "2.4-expire",
            "2.4-bad-expire",
            "expire",
            format!("expire{soon}{later}{both}"),
            json!({"messages": hashes, "expiry": [soon, later]}),
        ),
        signed(
            "2.4-expire",
            "2.4-bad-expire",
            "expire",
            format!("expireextend{soon}{both}"),
            json!({"messages": hashes, "expiry": soon, "extend": true}),
        ),
        signed(
            "2.4-expire",
            "2.4-bad-expire",
            "expire",
            format!("expireshorten{soon}{both}"),
            json!({"messages": hashes, "expiry": [soon], "shorten": true}),
        ),
        signed(
            "2.4-get-expiries",
            "2.4-bad-get-expiries",
            "get_expiries",
            format!("get_expiries{now}{both}"),
            json!({"messages": hashes, "timestamp": now}),
        ),
        signed(
            "2.4-revoke",
            "2.4-bad-revoke",
            "revoke_subaccount",
            with_token("revoke_subaccount"),
            json!({"revoke": [token_b64], "timestamp": now}),
        ),
        signed(
            "2.4-unrevoke",
            "2.4-bad-revoke",
            "unrevoke_subaccount",
            with_token("unrevoke_subaccount"),
            json!({"unrevoke": [token_b64], "timestamp": now}),
        ),
        signed(
            "2.4-revoked",
            "2.4-bad-revoked",
            "revoked_subaccounts",
            format!("revoked_subaccounts{now}"),
            json!({"timestamp": now}),
        ),
    ]
}

fn refusal(method: &str) -> String {
    let name = match method {
        "delete" => "delete_msgs",
        "expire" => "expire:",
        other => other,
    };
    format!("{name} signature verification failed")
}

async fn texts(t: T) {
    let me = t.group();
    let all = every_method(&me, t.now(), me.member(1, 3, 3).token().bytes);
    for request in &all {
        t.ok(request.method, &me.signed(&request.text, request.params.clone())).await;
        t.shows(request.id);
        let mut other = request.text.clone();
        other.push(b'0');
        let params = me.signed(other, request.params.clone());
        t.refused(request.bad, request.method, &params, 401, &refusal(request.method)).await;
    }
    // No text serves for a request that says something else.
    for request in &all {
        for other in all.iter().filter(|other| other.text != request.text) {
            let params = me.signed(&other.text, request.params.clone());
            let (status, answer) = t.rpc(request.method, &params).await;
            assert_eq!(status, 401, "{} with the text of {}: {answer}", request.method, other.method);
        }
    }
}

async fn times(t: T) {
    let me = t.group();
    let now = t.now();
    let hash = me.hash(0, "x");
    let token = me.member(1, 3, 3).token().bytes;
    let token_hex = hex::encode(token);
    let with_token = |text: &str, time: u64| [format!("{text}{time}").as_bytes(), &token].concat();
    let request = |method: &str, time: u64| -> (Vec<u8>, Value) {
        match method {
            "store" => (
                format!("store5{time}").into(),
                json!({"namespace": 5, "timestamp": now, "sig_timestamp": time, "ttl": 60_000, "data": ""}),
            ),
            "retrieve" => (format!("retrieve{time}").into(), json!({"timestamp": time})),
            "delete_all" => (format!("delete_all{time}").into(), json!({"timestamp": time})),
            "get_expiries" => {
                (format!("get_expiries{time}{hash}").into(), json!({"messages": [hash], "timestamp": time}))
            }
            "revoke_subaccount" => {
                (with_token(method, time), json!({"revoke": token_hex, "timestamp": time}))
            }
            "unrevoke_subaccount" => {
                (with_token(method, time), json!({"unrevoke": token_hex, "timestamp": time}))
            }
            "revoked_subaccounts" => (format!("{method}{time}").into(), json!({"timestamp": time})),
            "expire_all" => (format!("expire_all{time}").into(), json!({"expiry": time})),
            "delete_before" => (format!("delete_before{time}").into(), json!({"before": time})),
            "expire" => (
                format!("expire{}{time}{hash}{hash}", now + 99).into(),
                json!({"messages": [hash, hash], "expiry": [now + 99, time]}),
            ),
            other => panic!("{other}"),
        }
    };
    let far = |name: &str| format!("{name} timestamp too far from current time");
    let (either, past, future): (&[i64], &[i64], &[i64]) = (&[-1, 1], &[-1], &[1]);
    for (id, method, signs, status, text) in [
        ("2.4-time-store", "store", either, 406, far("store signature")),
        ("2.4-time-retrieve", "retrieve", either, 406, far("retrieve")),
        ("2.4-time-delete-all", "delete_all", either, 406, far("delete_all")),
        ("2.4-time-get-expiries", "get_expiries", either, 406, far("get_expiries")),
        ("2.4-time-revoke", "revoke_subaccount", either, 406, far("revoke_subaccount")),
        ("2.4-time-revoke", "unrevoke_subaccount", either, 406, far("unrevoke_subaccount")),
        ("2.4-time-revoked", "revoked_subaccounts", either, 406, far("revoked_subaccounts")),
        (
            "2.4-time-expire-all",
            "expire_all",
            past,
            406,
            "expire_all timestamp should be >= current time".to_owned(),
        ),
        (
            "2.4-time-delete-before",
            "delete_before",
            future,
            401,
            "delete_before timestamp too far in the future".to_owned(),
        ),
        ("2.4-time-expire", "expire", past, 401, "expire: timestamp should be >= current time".to_owned()),
    ] {
        for sign in signs {
            let (signed, params) = request(method, now.saturating_add_signed(sign * 60_000));
            t.ok(method, &me.signed(signed, params)).await;
            let (signed, params) = request(method, now.saturating_add_signed(sign * 60_001));
            t.refused(id, method, &me.signed(signed, params.clone()), status, &text).await;
            t.refused("2.4-time-first", method, &me.signed("", params), status, &text).await;
        }
        for sign in [-1i64, 1].iter().filter(|sign| !signs.contains(sign)) {
            let (signed, params) = request(method, now.saturating_add_signed(sign * 3_600_000));
            t.ok(method, &me.signed(signed, params)).await;
        }
    }
}
