//! Requests that hold requests.

use conclave_proto::bt;
use serde_json::{Value, json};

use crate::wires::{ALL, Way};
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(parts, ALL, ["2.19-results", "2.19-text-bodies", "2.19-failures", "2.19-writes"]),
    case!(sequences, ALL, ["2.19-sequence-stops", "2.19-sequence-order"]),
    case!(
        forms,
        ALL,
        [
            "2.19-most",
            "2.19-none",
            "2.19-objects",
            "2.19-keys",
            "2.19-unknown",
            "2.19-meta",
            "2.19-all-or-nothing",
        ]
    ),
    case!(in_bt, &[Way::Quic], ["2.19-bt"]),
    case!(conditions, ALL, ["2.20-hf", "2.20-version", "2.20-height", "2.20-and", "2.20-one-needed"]),
    case!(branches, ALL, ["2.20-result", "2.20-no-branch", "2.20-nested"]),
];

fn part(method: &str, params: Value) -> Value {
    json!({"method": method, "params": params})
}

fn info() -> Value {
    part("info", json!({}))
}

async fn parts(t: T) {
    let me = t.user();
    let requests = [
        info(),
        part("retrieve", json!({"pubkey": me.hex()})),
        part("get_swarm", json!({"pubkey": me.hex()})),
        part("store", t.storing(&me, 0, "x")),
    ];
    let answer = t.ok("batch", &json!({"requests": requests})).await;
    let [first, second, third, fourth] = answer["results"].as_array().unwrap().as_slice() else {
        panic!("{answer}");
    };
    assert!(first["body"]["version"].is_array() && third["body"]["snodes"].is_array(), "{answer}");
    t.shows("2.19-results");
    assert_eq!(*second, json!({"code": 401, "body": "retrieve: request signature required"}));
    assert_eq!(first["body"], t.ok("info", &json!({})).await);
    t.shows("2.19-text-bodies");
    assert_eq!((&first["code"], &fourth["code"]), (&json!(200), &json!(200)));
    t.shows("2.19-failures");
    assert_eq!(fourth["body"]["hash"], me.hash(0, "x"));
    t.all_sign(&fourth["body"], |_| me.hash(0, "x"));
    t.shows("2.19-writes");
}

async fn sequences(t: T) {
    let me = t.user();
    let bad = part("retrieve", json!({"pubkey": me.hex()}));
    let never = part("store", t.storing(&me, 0, "never"));
    let answer = t.ok("sequence", &json!({"requests": [info(), bad, never]})).await;
    let codes: Vec<&Value> =
        answer["results"].as_array().unwrap().iter().map(|result| &result["code"]).collect();
    assert_eq!(codes, [200, 401]);
    assert!(t.texts(&me, 0).await.is_empty());
    t.shows("2.19-sequence-stops");
    let hash = me.hash(0, "x");
    let deleting = me.signed(format!("delete{hash}"), json!({"messages": [hash], "required": true}));
    let requests = [
        part("store", t.storing(&me, 0, "x")),
        part("retrieve", t.retrieving(&me, 0)),
        part("delete", deleting.clone()),
        part("retrieve", t.retrieving(&me, 0)),
        part("delete", deleting),
        info(),
    ];
    let answer = t.ok("sequence", &json!({"requests": requests})).await;
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 5, "the second delete finds nothing, which is 404: {answer}");
    let found = |result: &Value| result["body"]["messages"].as_array().unwrap().len();
    assert_eq!((found(&results[1]), found(&results[3]), &results[4]["code"]), (1, 0, &json!(404)));
    t.shows("2.19-sequence-order");
}

async fn forms(t: T) {
    let me = t.user();
    for method in ["batch", "sequence"] {
        let refuse = async |id, requests: Value, text: &str| {
            t.invalid(id, method, &json!({"requests": requests}), &format!("Invalid batch {text}")).await;
        };
        let answer = t.ok(method, &json!({"requests": vec![info(); 20]})).await;
        assert_eq!(answer["results"].as_array().unwrap().len(), 20);
        refuse("2.19-most", json!(vec![info(); 21]), "request: subrequest limit exceeded").await;
        for none in [json!([]), json!({}), json!("x"), Value::Null] {
            refuse("2.19-none", none, "request: no valid \"requests\" field").await;
        }
        for no_object in [json!([1]), json!([info(), "info"])] {
            refuse("2.19-objects", no_object, "request: requests must be objects").await;
        }
        for lacks in [json!({"method": "info"}), json!({"params": {}}), json!({"method": 1, "params": {}})] {
            refuse("2.19-keys", json!([lacks]), "request: subrequests must have method/params keys").await;
        }
        refuse("2.19-unknown", json!([part("x", json!({}))]), "subrequest: invalid method \"x\"").await;
        for meta in
            ["batch", "sequence", "ifelse", "conclave_wait", "conclave_chunk_get", "conclave_chunk_store"]
        {
            let text = "request: subrequests may not contain meta-requests";
            refuse("2.19-meta", json!([part(meta, json!({}))]), text).await;
        }
        let storing = part("store", t.storing(&me, 0, "x"));
        let broken = json!([storing, part("store", json!({"pubkey": me.hex()}))]);
        let text = "Required field 'timestamp' missing";
        t.invalid("2.19-all-or-nothing", method, &json!({"requests": broken}), text).await;
        assert!(t.texts(&me, 0).await.is_empty());
    }
}

async fn in_bt(t: T) {
    let me = t.user();
    let asked = format!("d8:requestsld6:method9:get_swarm6:paramsd6:pubkey33:{}e", "#".repeat(33));
    let mut bytes = asked.into_bytes();
    let at = bytes.len() - 34;
    bytes[at..at + 33].copy_from_slice(me.id.as_bytes());
    bytes.extend(b"ed6:method8:retrieve6:paramsd6:pubkey33:");
    bytes.extend(me.id.as_bytes());
    bytes.extend(b"eeee");
    let answer = t.bt("batch", &bt::Value::decode(&bytes).unwrap()).await;
    let results = answer.field("results").unwrap().as_list().unwrap();
    let code = |result: &bt::Value| result.field("code").unwrap().as_u64();
    assert_eq!((code(&results[0]), code(&results[1])), (Some(200), Some(401)));
    assert_eq!(results[0].field("body").unwrap().field("snodes").unwrap().as_list().unwrap().len(), 2);
    assert_eq!(results[1].field("body").unwrap().as_text(), Some("retrieve: request signature required"));
    t.shows("2.19-bt");
}

async fn conditions(t: T) {
    let holds = async |given: Value| t.ok("ifelse", &json!({"if": given})).await["condition"].clone();
    // Hardfork 19.6, version 2.11.0, and the test's directory has height 1.
    for (id, given, expected) in [
        ("2.20-hf", json!({"hf_at_least": [19, 6]}), true),
        ("2.20-hf", json!({"hf_at_least": [19]}), true),
        ("2.20-hf", json!({"hf_at_least": [19, 7]}), false),
        ("2.20-hf", json!({"hf_at_least": [20]}), false),
        ("2.20-hf", json!({"hf_before": [19, 6]}), false),
        ("2.20-hf", json!({"hf_before": [19, 7]}), true),
        ("2.20-hf", json!({"hf_before": [19]}), false),
        ("2.20-version", json!({"v_at_least": [2, 11, 0]}), true),
        ("2.20-version", json!({"v_at_least": [2, 11, 1]}), false),
        ("2.20-version", json!({"v_before": [2, 11, 0]}), false),
        ("2.20-version", json!({"v_before": [2, 12, 0]}), true),
        ("2.20-height", json!({"height_at_least": 1}), true),
        ("2.20-height", json!({"height_at_least": 2}), false),
        ("2.20-height", json!({"height_before": 1}), false),
        ("2.20-height", json!({"height_before": 2}), true),
        ("2.20-and", json!({"height_before": 2, "height_at_least": 1}), true),
        ("2.20-and", json!({"height_before": 2, "v_at_least": [3]}), false),
        ("2.20-and", json!({"height_before": 1, "v_at_least": [2]}), false),
    ] {
        assert_eq!(holds(given.clone()).await, expected, "{given}");
        t.shows(id);
    }
    for none in [json!({"if": {}, "then": info()}), json!({"then": info()}), json!({"if": {"unknown": 1}})] {
        let (status, answer) = t.rpc("ifelse", &none).await;
        assert_eq!(status, 400, "{none}: {answer}");
    }
    t.shows("2.20-one-needed");
}

async fn branches(t: T) {
    let me = t.user();
    let (always, never) = (json!({"height_at_least": 0}), json!({"height_before": 0}));
    let storing = part("store", t.storing(&me, 0, "never"));
    let answer = t.ok("ifelse", &json!({"if": always, "then": info(), "else": storing})).await;
    let info = t.ok("info", &json!({})).await;
    let expected = json!({"hf": [19, 6], "v": [2, 11, 0], "height": 1, "condition": true,
        "result": {"code": 200, "body": info}});
    assert_eq!(answer, expected);
    let bad = part("retrieve", json!({"pubkey": me.hex()}));
    let answer = t.ok("ifelse", &json!({"if": never, "then": storing, "else": bad})).await;
    assert_eq!(answer["result"], json!({"code": 401, "body": "retrieve: request signature required"}));
    t.shows("2.20-result");
    let answer = t.ok("ifelse", &json!({"if": never, "then": storing})).await;
    assert_eq!((&answer["condition"], answer.get("result")), (&json!(false), None));
    let answer = t.ok("ifelse", &json!({"if": always, "then": null, "else": storing})).await;
    assert_eq!(answer.get("result"), None);
    t.shows("2.20-no-branch");
    let batch = part(
        "batch",
        json!({"requests": [part("store", t.storing(&me, 0, "inner")), part("info", json!({}))]}),
    );
    let inner = part("ifelse", json!({"if": never, "then": storing, "else": batch}));
    let answer = t.ok("ifelse", &json!({"if": always, "then": inner})).await;
    let results = &answer["result"]["body"]["result"]["body"]["results"];
    assert_eq!((&results[0]["code"], &results[1]["code"]), (&json!(200), &json!(200)), "{answer}");
    assert_eq!(t.texts(&me, 0).await, ["inner"]);
    t.shows("2.20-nested");
}
