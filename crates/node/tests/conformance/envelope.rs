//! What is around requests and results, and the methods that tell about the node itself.

use conclave_proto::{active_nodes, bt};
use serde_json::{Value, json};

use crate::common::b64;
use crate::wires::{ALL, Way, ask};
use crate::world::{Case, T, case, read};

pub const CASES: &[Case] = &[
    case!(
        bodies,
        &[Way::Https, Way::Onion],
        [
            "2.1-invalid-json",
            "2.1-no-method",
            "2.1-no-params",
            "2.1-unknown-method",
            "2.1-long-names",
            "2.1-extra-keys",
        ]
    ),
    case!(stamps, ALL, ["1.5-stamp", "1.5-no-stamp-batch", "1.5-no-stamp-expiries", "1.5-no-stamp-ifelse"]),
    case!(info, ALL, ["2.16-version", "2.16-time", "2.16-extensions"]),
    case!(daemon, ALL, ["2.17-nodes", "2.17-names", "2.17-other"]),
    case!(daemon_in_bt, &[Way::Quic], ["2.17-bt-params"]),
    case!(binary_list, ALL, ["2.18-raw", "2.18-base64", "2.18-record", "2.18-order", "2.18-in-batch"]),
];

async fn bodies(t: T) {
    for (id, body, text) in [
        ("2.1-invalid-json", "{", "invalid json"),
        ("2.1-invalid-json", "", "invalid json"),
        ("2.1-no-method", r#"{"params":{}}"#, "invalid json: no `method` field"),
        ("2.1-no-method", r#"{"method":7,"params":{}}"#, "invalid json: no `method` field"),
        ("2.1-no-method", "[]", "invalid json: no `method` field"),
        ("2.1-no-params", r#"{"method":"info"}"#, "invalid json: no `params` field"),
        ("2.1-no-params", r#"{"method":"info","params":[]}"#, "invalid json: no `params` field"),
        ("2.1-unknown-method", r#"{"method":"Info","params":{}}"#, "no method Info"),
    ] {
        let (status, answer) = t.wire.post(body.into()).await;
        assert_eq!((status, String::from_utf8(answer).unwrap()), (400, text.to_owned()), "{body}");
        t.shows(id);
    }
    let long = json!({"method": "é".repeat(200), "params": {}}).to_string();
    let (status, answer) = t.wire.post(long.into()).await;
    let text = format!("no method {}", "é".repeat(80));
    assert_eq!((status, String::from_utf8(answer).unwrap()), (400, text));
    t.shows("2.1-long-names");
    let extra = r#"{"jsonrpc":"2.0","id":[1],"method":"info","params":{},"more":null}"#;
    assert_eq!(t.wire.post(extra.into()).await.0, 200);
    t.shows("2.1-extra-keys");
}

async fn stamps(t: T) {
    let me = t.user();
    let hf = json!([19, 6]);
    let stamped = |answer: &Value| answer["t"] == t.now() && answer["hf"] == hf;
    let stored = t.store(&me, 0, "x").await;
    for answer in [
        &stored,
        &t.ok("retrieve", &t.retrieving(&me, 0)).await,
        &t.ok("get_swarm", &json!({"pubkey": me.hex()})).await,
        &t.ok("info", &json!({})).await,
    ] {
        assert!(stamped(answer), "{answer}");
    }
    t.shows("1.5-stamp");
    let info = json!({"method": "info", "params": {}});
    let batch = t.ok("batch", &json!({"requests": [info]})).await;
    assert_eq!(batch.as_object().unwrap().len(), 1, "{batch}");
    assert!(stamped(&batch["results"][0]["body"]));
    t.shows("1.5-no-stamp-batch");
    let text = format!("get_expiries{}{}", t.now(), me.hash(0, "x"));
    let params = me.signed(text, json!({"messages": [me.hash(0, "x")], "timestamp": t.now()}));
    let expiries = t.ok("get_expiries", &params).await;
    assert_eq!(expiries, json!({"expiries": {me.hash(0, "x"): t.now() + 3_600_000}}));
    t.shows("1.5-no-stamp-expiries");
    let branched = t.ok("ifelse", &json!({"if": {"height_at_least": 0}, "then": info})).await;
    assert_eq!((&branched["hf"], branched.get("t")), (&hf, None));
    t.shows("1.5-no-stamp-ifelse");
}

async fn info(t: T) {
    let info = t.ok("info", &json!({})).await;
    assert_eq!(info["version"], json!([2, 11, 0]));
    t.shows("2.16-version");
    assert_eq!((&info["timestamp"], &info["t"]), (&json!(t.now()), &json!(t.now())));
    t.shows("2.16-time");
    for method in info["conclave"].as_array().unwrap() {
        let (_, answer) = t.rpc(method.as_str().unwrap(), &json!({})).await;
        let text = answer.as_str().unwrap_or_default();
        assert!(
            !text.starts_with("no method") && !text.starts_with("Invalid endpoint"),
            "{method}: {answer}"
        );
    }
    t.shows("2.16-extensions");
}

async fn daemon(t: T) {
    let fields = json!({"public_ip": true, "storage_port": true});
    let params = json!({"endpoint": "get_service_nodes", "params": {"active_only": true, "fields": fields}});
    let answer = t.ok("oxend_request", &params).await;
    let states = answer["result"]["service_node_states"].as_array().unwrap();
    let node = t.node(0);
    let expected = json!({"public_ip": node.ip.to_string(), "storage_port": node.https_port});
    assert!(states.len() == 4 && states.contains(&expected), "{answer}");
    t.shows("2.17-nodes");
    let asking = |endpoint: &str| json!({"endpoint": endpoint, "params": {"type": 0}});
    let text = "this network has no name service; names cannot be resolved here";
    t.refused("2.17-names", "oxend_request", &asking("ons_resolve"), 400, text).await;
    let text = "Invalid oxend endpoint 'get_info'";
    t.invalid("2.17-other", "oxend_request", &asking("get_info"), text).await;
}

async fn daemon_in_bt(t: T) {
    let params: bt::Value = bt::Value::Dict(
        [("endpoint", "get_service_nodes"), ("params", r#"{"limit":1}"#)]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
    );
    let answer = t.bt("oxend_request", &params).await;
    let result: Value = serde_json::from_str(answer.field("result").unwrap().as_text().unwrap()).unwrap();
    assert_eq!(result["service_node_states"].as_array().unwrap().len(), 1);
    t.shows("2.17-bt-params");
}

async fn binary_list(t: T) {
    let (status, body) = t.wire.send("active_nodes_bin", "{}").await;
    assert_eq!(status, 200);
    let raw = match t.wire.way() {
        Way::Onion => {
            let raw = conclave_proto::base64::decode(&body).unwrap();
            t.shows("2.18-base64");
            raw
        }
        _ => {
            t.shows("2.18-raw");
            body
        }
    };
    let mut expected: Vec<_> = t.world.swarm.listed[..4].to_vec();
    expected.sort_by_key(|node| (node.swarm, node.ed25519));
    let first = &expected[0];
    let record = [
        &first.ed25519.as_bytes()[..],
        &first.swarm.0.to_be_bytes(),
        &first.ip.octets(),
        &first.https_port.to_be_bytes(),
        &first.quic_port.to_be_bytes(),
        &[2, 11, 0],
    ]
    .concat();
    assert_eq!((raw.len(), &raw[..51]), (4 * 51, &record[..]));
    t.shows("2.18-record");
    assert_eq!(active_nodes::decode(&raw).unwrap(), expected);
    t.shows("2.18-order");
    let request = json!({"requests": [{"method": "active_nodes_bin", "params": {}}]});
    let batch = t.ok("batch", &request).await;
    assert_eq!(batch["results"][0], json!({"code": 200, "body": b64(&raw)}));
    t.shows("2.18-in-batch");
    if t.wire.way() == Way::Quic {
        // Also alone there is no list around it.
        assert_ne!(read(ask(&t.world.quic, "active_nodes_bin", b"").await.1)[0], 200);
    }
}
