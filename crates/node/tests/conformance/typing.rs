//! The form of parameters: types, names, lengths, encodings.

use std::collections::BTreeMap;

use conclave_proto::bt;
use serde_json::{Value, json};

use crate::askers::{with, without};
use crate::common::b64;
use crate::wires::{ALL, Way, ask};
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(
        types,
        ALL,
        [
            "2.1-boolean",
            "2.1-positive",
            "2.1-integer",
            "2.1-sixteen-bit",
            "2.1-integer-or-all",
            "2.1-time",
            "2.1-strings",
            "2.1-integers",
            "2.1-times",
            "2.1-string",
            "2.1-namespace-range",
        ]
    ),
    case!(
        presence,
        ALL,
        [
            "2.1-null",
            "2.1-unknown-fields",
            "2.1-missing",
            "2.1-missing-either",
            "2.1-both",
            "2.1-alias",
            "2.1-no-alias",
        ]
    ),
    case!(times, ALL, ["2.1-seconds", "2.1-seconds-elsewhere"]),
    case!(one_for_many, ALL, ["2.1-single", "2.1-single-number"]),
    case!(
        accounts,
        ALL,
        [
            "2.1-pubkey-form",
            "2.1-no-testnet",
            "2.1-ed25519-other-types",
            "2.1-ed25519-hex",
            "2.1-ed25519-length",
        ]
    ),
    case!(
        credentials,
        ALL,
        [
            "2.1-signature-padding",
            "2.1-signature-form",
            "2.1-token-forms",
            "2.1-token-form",
            "2.1-token-signature",
            "2.1-hash-form",
        ]
    ),
    case!(
        raw_bytes,
        &[Way::Quic],
        [
            "2.1-bt-raw",
            "2.1-bt-hex",
            "2.1-bt-signature",
            "2.1-bt-token",
            "2.1-bt-seconds",
            "2.1-bt-types",
            "1.6-flags",
            "1.6-integers",
        ]
    ),
    case!(dictionaries, &[Way::Quic], ["1.6-order", "1.6-unknown"]),
];

async fn types(t: T) {
    let me = t.user();
    let base = |params: Value| me.signed("", params);
    let wrong =
        |field: &str, expected: &str| format!("Invalid value given for '{field}': expected {expected}");
    let now = t.now();
    let hash = me.hash(0, "x");
    let cases = [
        ("2.1-boolean", "delete", json!({"messages": [hash], "required": 1}), wrong("required", "boolean")),
        (
            "2.1-boolean",
            "delete",
            json!({"messages": [hash], "required": "true"}),
            wrong("required", "boolean"),
        ),
        (
            "2.1-positive",
            "retrieve",
            json!({"timestamp": now, "max_count": "5"}),
            wrong("max_count", "positive integer"),
        ),
        (
            "2.1-positive",
            "retrieve",
            json!({"timestamp": now, "max_count": -1}),
            wrong("max_count", "positive integer"),
        ),
        (
            "2.1-positive",
            "store",
            json!({"timestamp": now, "ttl": 0.5, "data": ""}),
            wrong("ttl", "positive integer"),
        ),
        (
            "2.1-integer",
            "retrieve",
            json!({"timestamp": now, "max_size": true}),
            wrong("max_size", "integer"),
        ),
        ("2.1-sixteen-bit", "retrieve", json!({"namespace": "0"}), wrong("namespace", "16-bit integer")),
        ("2.1-sixteen-bit", "retrieve", json!({"namespace": 1.0}), wrong("namespace", "16-bit integer")),
        (
            "2.1-integer-or-all",
            "delete_all",
            json!({"namespace": "every"}),
            wrong("namespace", "integer or \"all\""),
        ),
        (
            "2.1-integer-or-all",
            "expire_all",
            json!({"namespace": []}),
            wrong("namespace", "integer or \"all\""),
        ),
        (
            "2.1-time",
            "delete_all",
            json!({"timestamp": now.to_string()}),
            wrong("timestamp", "integer timestamp (in milliseconds)"),
        ),
        (
            "2.1-time",
            "delete_before",
            json!({"before": -1}),
            wrong("before", "integer timestamp (in milliseconds)"),
        ),
        ("2.1-strings", "delete", json!({"messages": [hash, 1]}), wrong("messages", "string array")),
        ("2.1-strings", "delete", json!({"messages": {}}), wrong("messages", "string array")),
        (
            "2.1-times",
            "expire",
            json!({"messages": [hash], "expiry": ["x"]}),
            wrong("expiry", "timestamp array"),
        ),
        ("2.1-string", "retrieve", json!({"timestamp": now, "last_hash": 1}), wrong("last_hash", "string")),
        (
            "2.1-string",
            "store",
            json!({"timestamp": now, "ttl": 60_000, "data": []}),
            wrong("data", "string"),
        ),
        ("2.1-string", "retrieve", json!({"pubkey": 5}), wrong("pubkey", "string")),
        ("2.1-string", "retrieve", json!({"signature": 5}), wrong("signature", "string")),
        (
            "2.1-namespace-range",
            "retrieve",
            json!({"namespace": 32_768}),
            wrong("namespace", "").replace("expected ", "value out of range"),
        ),
        (
            "2.1-namespace-range",
            "delete_all",
            json!({"namespace": -32_769}),
            wrong("namespace", "").replace("expected ", "value out of range"),
        ),
    ];
    for (id, method, params, text) in cases {
        t.invalid(id, method, &base(params), &text).await;
    }
    let text = wrong("hf_at_least", "integer array");
    for version in [json!("19"), json!([19, "6"])] {
        t.invalid("2.1-integers", "ifelse", &json!({"if": {"hf_at_least": version}}), &text).await;
    }
}

async fn presence(t: T) {
    let me = t.user();
    let storing = without(t.storing(&me, 0, "x"), "namespace");
    t.ok("store", &with(storing.clone(), json!({"namespace": null, "expiry": null, "sig_timestamp": null})))
        .await;
    t.shows("2.1-null");
    t.ok("store", &with(storing.clone(), json!({"isDurable": true, "extra": {"a": [null, 1.5]}}))).await;
    t.shows("2.1-unknown-fields");

    let missing = |name: &str| format!("Required field '{name}' missing");
    t.invalid("2.1-missing", "store", &without(storing.clone(), "data"), &missing("data")).await;
    t.invalid("2.1-missing", "store", &without(storing.clone(), "timestamp"), &missing("timestamp")).await;
    t.invalid("2.1-missing", "delete", &me.signed("", json!({})), &missing("messages")).await;
    t.invalid("2.1-missing", "get_expiries", &json!({"messages": null}), &missing("pubkey")).await;
    t.invalid(
        "2.1-missing",
        "delete_all",
        &json!({"pubkey": me.hex(), "timestamp": t.now()}),
        &missing("signature"),
    )
    .await;
    let neither = without(storing.clone(), "ttl");
    t.invalid("2.1-missing-either", "store", &neither, "Required field 'expiry' or 'ttl' missing").await;
    let both = with(storing.clone(), json!({"expiry": t.now() + 60_000}));
    t.invalid("2.1-both", "store", &both, "Cannot specify both 'expiry' and 'ttl'").await;

    let renamed = |params: Value| with(without(params, "pubkey"), json!({"pubKey": me.hex()}));
    for (method, params) in [
        ("store", storing),
        ("retrieve", t.retrieving(&me, 0)),
        ("get_swarm", json!({"pubkey": me.hex()})),
        ("get_snodes_for_pubkey", json!({"pubkey": me.hex()})),
    ] {
        t.ok(method, &renamed(params.clone())).await;
        let both = with(params, json!({"pubKey": me.hex()}));
        t.invalid("2.1-alias", method, &both, "Cannot specify both 'pubKey' and 'pubkey'").await;
    }
    let deleting = renamed(me.signed("", json!({"messages": [me.hash(0, "x")]})));
    t.invalid("2.1-no-alias", "delete", &deleting, &missing("pubkey")).await;
}

async fn times(t: T) {
    let me = t.user();
    let text = |field: &str| format!("Invalid timestamp for '{field}': timestamp must be in milliseconds");
    for (method, field) in [
        ("retrieve", "timestamp"),
        ("delete_all", "timestamp"),
        ("delete_before", "before"),
        ("expire_all", "expiry"),
        ("revoked_subaccounts", "timestamp"),
    ] {
        let params = me.signed("", json!({field: 999_999_999}));
        t.invalid("2.1-seconds", method, &params, &text(field)).await;
        let (_, answer) = t.rpc(method, &me.signed("", json!({field: 1_000_000_000}))).await;
        assert!(!answer.as_str().unwrap_or_default().contains("must be in milliseconds"), "{answer}");
    }
    let early = me.signed("", json!({"timestamp": 1_000, "ttl": 60_000, "data": ""}));
    t.refused("2.1-seconds-elsewhere", "store", &early, 406, "Timestamp error: check your clock").await;
    let list = me.signed("", json!({"messages": [me.hash(0, "x")], "expiry": [1_000]}));
    let past = "expire: timestamp should be >= current time";
    t.refused("2.1-seconds-elsewhere", "expire", &list, 401, past).await;
}

async fn one_for_many(t: T) {
    let me = t.user();
    t.store(&me, 0, "x").await;
    let hash = me.hash(0, "x");
    let params = me.signed(format!("delete{hash}"), json!({"messages": hash}));
    let answer = t.ok("delete", &params).await;
    assert_eq!(answer["swarm"][t.node(0).ed25519.to_hex()]["deleted"], json!([hash]));
    t.shows("2.1-single");
    let answer = t.ok("ifelse", &json!({"if": {"hf_at_least": 19}})).await;
    assert_eq!(answer["condition"], true);
    t.shows("2.1-single-number");
}

async fn accounts(t: T) {
    let me = t.user();
    let text = "Pubkey must be 66 hex digits (33 bytes) long";
    let hex = me.hex();
    for wrong in ["", "05", &hex[..65], &format!("{hex}0"), &hex.replacen("05", "zz", 1)] {
        t.invalid("2.1-pubkey-form", "get_swarm", &json!({"pubkey": wrong}), text).await;
    }
    t.ok("get_swarm", &json!({"pubkey": hex.to_uppercase()})).await;
    t.invalid("2.1-no-testnet", "get_swarm", &json!({"pubkey": hex[2..]}), text).await;

    let group = t.group();
    let key = me.key.public().to_hex();
    let of_group = with(t.retrieving(&group, 11), json!({"pubkey_ed25519": key}));
    let text = "pubkey_ed25519 is only permitted for 05[...] pubkeys";
    t.invalid("2.1-ed25519-other-types", "retrieve", &of_group, text).await;
    let own = |key: &str| with(t.retrieving(&me, 0), json!({"pubkey_ed25519": key}));
    let text = "invalid pubkey_ed25519: value is not hex";
    t.invalid("2.1-ed25519-hex", "retrieve", &own(&"x".repeat(64)), text).await;
    for wrong in ["", &key[..63], &format!("{key}00")] {
        let text = "Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey";
        t.invalid("2.1-ed25519-length", "retrieve", &own(wrong), text).await;
    }
}

async fn credentials(t: T) {
    let me = t.user();
    let good = t.retrieving(&me, 0);
    let signature = good["signature"].as_str().unwrap().to_owned();
    assert_eq!(signature.len(), 88);
    t.ok("retrieve", &with(good.clone(), json!({"signature": signature[..86]}))).await;
    t.ok("retrieve", &good).await;
    t.shows("2.1-signature-padding");
    let text = "invalid signature: expected base64 encoded Ed25519 signature";
    let url_safe = format!("-_{}", &signature[2..]);
    for wrong in ["", &signature[..87], &signature[..85], &url_safe, &"?".repeat(88), &hex::encode([7; 64])] {
        let params = with(good.clone(), json!({"signature": wrong}));
        t.invalid("2.1-signature-form", "retrieve", &params, text).await;
    }

    let group = t.group();
    let member = group.member(1, 3, 7);
    let good = t.retrieving(&member, 11);
    t.ok("retrieve", &good).await;
    let in_hex = hex::encode(member.token().bytes);
    t.ok("retrieve", &with(good.clone(), json!({"subaccount": in_hex}))).await;
    t.shows("2.1-token-forms");
    let text = "invalid subaccount: expected base64 or hex-encoded subaccount token";
    let base64 = b64(&member.token().bytes);
    for wrong in ["", &base64[..47], &in_hex[..71], &"?".repeat(48), &"x".repeat(72)] {
        let params = with(good.clone(), json!({"subaccount": wrong}));
        t.invalid("2.1-token-form", "retrieve", &params, text).await;
    }
    let text = "invalid subaccount: subaccount_sig is required when using subaccount";
    t.invalid("2.1-token-signature", "retrieve", &without(good, "subaccount_sig"), text).await;

    let hash = me.hash(0, "x");
    for wrong in [
        "",
        "short",
        &hash[..42],
        &format!("{hash}="),
        &hash.replacen(&hash[..1], "-", 1),
        &hash.replacen(&hash[..1], "é", 1),
    ] {
        let params = me.signed("", json!({"messages": [hash, wrong]}));
        t.invalid("2.1-hash-form", "delete", &params, &format!("invalid message hash: {wrong}")).await;
    }
}

type Dict = BTreeMap<Vec<u8>, bt::Value>;

fn dict<const N: usize>(entries: [(&str, bt::Value); N]) -> Dict {
    entries.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

async fn raw_bytes(t: T) {
    let me = t.user();
    let now = t.now();
    let data = b"\x00\xff raw \x80";
    let storing = dict([
        ("pubkey", me.id.as_bytes().as_slice().into()),
        ("timestamp", bt::Int::from(now).into()),
        ("ttl", bt::Int::from(3_600_000u64).into()),
        ("data", data.as_slice().into()),
    ]);
    let answer = t.bt("store", &bt::Value::Dict(storing)).await;
    let own = answer.field("swarm").unwrap().field(t.node(0).ed25519.to_hex()).unwrap();
    assert_eq!(own.field("signature").unwrap().as_bytes().unwrap().len(), 64);
    let signed = me.key.sign(format!("retrieve{now}").as_bytes());
    let reading = dict([
        ("pubkey", me.id.as_bytes().as_slice().into()),
        ("pubkey_ed25519", me.key.public().as_bytes().as_slice().into()),
        ("timestamp", bt::Int::from(now).into()),
        ("signature", signed.as_bytes().as_slice().into()),
    ]);
    let read = t.bt("retrieve", &bt::Value::Dict(reading.clone())).await;
    let message = &read.field("messages").unwrap().as_list().unwrap()[0];
    assert_eq!(message.field("data").unwrap().as_bytes(), Some(&data[..]));
    let group = t.group();
    let member = group.member(1, 3, 7);
    let token_signature = conclave_proto::base64::decode(&member.token().signature).unwrap();
    let of_member = dict([
        ("pubkey", group.id.as_bytes().as_slice().into()),
        ("namespace", bt::Int::from(11i64).into()),
        ("timestamp", bt::Int::from(now).into()),
        ("signature", member.key.sign(format!("retrieve11{now}").as_bytes()).as_bytes().as_slice().into()),
        ("subaccount", member.token().bytes.as_slice().into()),
        ("subaccount_sig", token_signature.as_slice().into()),
    ]);
    t.bt("retrieve", &bt::Value::Dict(of_member.clone())).await;
    t.shows("2.1-bt-raw");

    let mut in_hex = reading.clone();
    in_hex.insert("pubkey".into(), me.hex().as_str().into());
    in_hex.insert("pubkey_ed25519".into(), me.key.public().to_hex().as_str().into());
    t.bt("retrieve", &bt::Value::Dict(in_hex)).await;
    t.shows("2.1-bt-hex");

    // Once more the same, as it is already there.
    let again = dict([
        ("pubkey", me.id.as_bytes().as_slice().into()),
        ("timestamp", bt::Int::from(now).into()),
        ("ttl", bt::Int::from(3_600_000u64).into()),
        ("data", data.as_slice().into()),
    ]);
    let answer = t.bt("store", &bt::Value::Dict(again)).await;
    let own = answer.field("swarm").unwrap().field(t.node(0).ed25519.to_hex()).unwrap();
    assert_eq!(own.field("already").unwrap().as_u64(), Some(1));
    assert_eq!(read.field("more").unwrap().as_u64(), Some(0));

    let changed = |from: &Dict, name: &str, value: bt::Value| {
        let mut params = from.clone();
        params.insert(name.into(), value);
        bt::Value::Dict(params)
    };
    let deleting = dict([
        ("pubkey", me.id.as_bytes().as_slice().into()),
        ("messages", bt::Value::List(vec![me.hash(0, "x").as_str().into()])),
        ("signature", signed.as_bytes().as_slice().into()),
    ]);
    let int = |number: i64| bt::Value::from(bt::Int::from(number));
    let signed = me.key.sign(format!("delete{}", me.hash(0, "x")).as_bytes());
    let mut found_nothing = deleting.clone();
    found_nothing.insert("pubkey_ed25519".into(), me.key.public().as_bytes().as_slice().into());
    found_nothing.insert("signature".into(), signed.as_bytes().as_slice().into());
    t.bt("delete", &changed(&found_nothing, "required", int(0))).await;
    let (status, answer) =
        ask(&t.world.quic, "delete", &changed(&found_nothing, "required", int(1)).encode()).await;
    assert_eq!((status, answer.starts_with(b"li404ed")), (404, true));
    let most = bt::Value::from(bt::Int::from(u64::MAX));
    let of = |field: &str, expected: &str| format!("Invalid value given for '{field}': expected {expected}");
    for (id, method, params, text) in [
        (
            "2.1-bt-signature",
            "retrieve",
            changed(&reading, "signature", "x".repeat(88).as_str().into()),
            "invalid signature: expected 64-byte Ed25519 signature".to_owned(),
        ),
        (
            "2.1-bt-token",
            "retrieve",
            changed(&of_member, "subaccount", "x".repeat(48).as_str().into()),
            "invalid subaccount: expected 36-byte subaccount token".to_owned(),
        ),
        ("1.6-flags", "delete", changed(&deleting, "required", int(2)), of("required", "boolean")),
        (
            "2.1-bt-types",
            "retrieve",
            changed(&reading, "namespace", "0".into()),
            of("namespace", "16-bit integer"),
        ),
        ("2.1-bt-types", "delete", changed(&deleting, "messages", int(1)), of("messages", "string array")),
        (
            "2.1-bt-types",
            "retrieve",
            changed(&reading, "timestamp", "1".into()),
            of("timestamp", "integer timestamp (in milliseconds)"),
        ),
        ("1.6-integers", "retrieve", changed(&reading, "max_size", most.clone()), of("max_size", "integer")),
        (
            "1.6-integers",
            "retrieve",
            changed(&reading, "namespace", int(i64::MIN)),
            "Invalid value given for 'namespace': value out of range".to_owned(),
        ),
    ] {
        assert_eq!(t.bt_refused(method, &params).await, (400, format!("invalid request: {text}")), "{id}");
        t.shows(id);
    }
    t.bt("retrieve", &changed(&reading, "max_count", most)).await;
    let text = "retrieve timestamp too far from current time".to_owned();
    assert_eq!(t.bt_refused("retrieve", &changed(&reading, "timestamp", int(5))).await, (406, text));
    t.shows("2.1-bt-seconds");
}

async fn dictionaries(t: T) {
    let me = t.user();
    let account = format!("6:pubkey66:{}", me.hex());
    let unknown = format!("d3:abcd1:xli1e1:yee{account}3:zzzi-5ee");
    let (status, _) = ask(&t.world.quic, "get_swarm", unknown.as_bytes()).await;
    assert_eq!(status, 200);
    t.shows("1.6-unknown");
    let misplaced = format!("d3:zzzi1e{account}e");
    let (status, text) = ask(&t.world.quic, "get_swarm", misplaced.as_bytes()).await;
    let text = String::from_utf8(text).unwrap();
    let missing = "invalid request: Required field 'pubKey' or 'pubkey' missing".to_owned();
    assert_eq!((status, text), (400, missing));
    t.shows("1.6-order");
}
