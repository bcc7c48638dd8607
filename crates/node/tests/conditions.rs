//! `ifelse`, and what is answered in place of a ledger's daemon.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::Swarm;
use common::asking::user;
use serde_json::{Value, json};

async fn if_else(swarm: &Swarm, given: Value, then: Value, otherwise: Value) -> Value {
    let request = json!({"method": "ifelse", "params": {"if": given, "then": then, "else": otherwise}});
    let (status, answer) = swarm.rpc(0, &request).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_branch_whose_conditions_hold_is_answered_and_the_other_is_not() {
    let swarm = Swarm::start(1).await;
    let call = |method: &str| json!({"method": method, "params": {}});
    // This node: hardfork 19.6, version 2.11.0, and the test's directory has height 1.
    let cases = [
        (json!({"hf_at_least": [19]}), true),
        (json!({"hf_at_least": [19, 6]}), true),
        (json!({"hf_at_least": [19, 7]}), false),
        (json!({"hf_before": [20]}), true),
        (json!({"hf_before": [19, 6]}), false),
        (json!({"v_at_least": [2, 11]}), true),
        (json!({"v_at_least": [2, 11, 1]}), false),
        (json!({"v_before": [3]}), true),
        (json!({"v_before": [2, 11, 0]}), false),
        (json!({"height_at_least": 1}), true),
        (json!({"height_at_least": 2}), false),
        (json!({"height_before": 2}), true),
        (json!({"height_before": 1}), false),
        (json!({"height_before": 2, "v_at_least": [2, 12]}), false),
    ];
    for (given, holds) in cases {
        let answer = if_else(&swarm, given.clone(), call("info"), call("active_nodes_bin")).await;
        assert_eq!(answer["condition"], holds, "{given}");
        assert_eq!(answer["result"]["code"], 200);
        assert_eq!(answer["result"]["body"].is_object(), holds, "{given}");
        assert_eq!((&answer["hf"], &answer["v"]), (&json!([19, 6]), &json!([2, 11, 0])));
        assert_eq!(answer["height"], 1);
        assert!(answer.get("t").is_none());
    }
    let answer = if_else(&swarm, json!({"hf_before": [1]}), call("info"), Value::Null).await;
    assert_eq!((&answer["condition"], answer.get("result")), (&json!(false), None));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_may_write_be_batches_and_branch_again() {
    let swarm = Swarm::start(2).await;
    let me = user(1);
    let part = |request: &conclave_proto::rpc::Request| json!({"method": request.method(), "params": request.to_json()});
    let always = json!({"height_at_least": 0});
    let batch = json!({"method": "batch", "params": {"requests": [
        part(&me.store(0, "then")), {"method": "info", "params": {}}]}});
    let inner = json!({"method": "ifelse", "params": {"if": {"hf_before": [1]}, "then": part(&me.store(0, "never")), "else": batch}});
    let answer = if_else(&swarm, always.clone(), inner, part(&me.store(0, "never"))).await;
    let inner = &answer["result"]["body"];
    assert_eq!((&answer["result"]["code"], &inner["condition"]), (&json!(200), &json!(false)), "{answer}");
    let results = &inner["result"]["body"]["results"];
    assert_eq!((&results[0]["code"], &results[1]["code"]), (&json!(200), &json!(200)), "{answer}");
    assert_eq!(swarm.mailbox(&me, 0).await, ["then"]);

    // What a branch answers is the branch's: its error is no error of the whole.
    let bad = json!({"method": "retrieve", "params": {"pubkey": me.account.to_hex()}});
    let answer = if_else(&swarm, always.clone(), bad, Value::Null).await;
    assert_eq!(answer["result"], json!({"code": 401, "body": "retrieve: request signature required"}));

    // What cannot be read fails as a whole, and in a batch there are no conditions.
    for params in [
        json!({"if": {}, "then": {"method": "info", "params": {}}}),
        json!({"if": always, "then": {"method": "nothing", "params": {}}}),
        json!({"then": {"method": "info", "params": {}}}),
    ] {
        assert_eq!(swarm.rpc(0, &json!({"method": "ifelse", "params": params})).await.0, 400);
    }
    let nested = json!({"method": "batch", "params": {"requests": [{"method": "ifelse", "params": {}}]}});
    let text = "invalid request: Invalid batch request: subrequests may not contain meta-requests";
    assert_eq!(swarm.rpc(0, &nested).await, (400, text.into()));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_answers_where_others_ask_a_daemon() {
    let swarm = Swarm::with_hooks(&[0, u64::MAX], |_| conclave_node::Hooks::default()).await;
    let ask = async |params: Value| {
        let call =
            json!({"method": "oxend_request", "params": {"endpoint": "get_service_nodes", "params": params}});
        let (status, answer) = swarm.rpc(0, &call).await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer["t"].is_u64() && answer["hf"].is_array());
        answer["result"].clone()
    };
    // As a deployed client asks to renew its list.
    let fields = ["public_ip", "storage_port", "pubkey_x25519", "pubkey_ed25519"];
    let wanted: Value =
        fields.iter().map(|name| ((*name).to_owned(), json!(true))).collect::<serde_json::Map<_, _>>().into();
    let result = ask(json!({"active_only": true, "fields": wanted})).await;
    let states = result["service_node_states"].as_array().unwrap();
    assert_eq!(states.len(), 1, "a node without a swarm is not active");
    let node = &swarm.listed[0];
    assert_eq!(
        states[0],
        json!({"public_ip": node.ip.to_string(), "storage_port": node.https_port,
            "pubkey_x25519": node.x25519.to_hex(), "pubkey_ed25519": node.ed25519.to_hex()})
    );
    assert_eq!((&result["height"], &result["hardfork"]), (&json!(1), &json!(19)));
    assert!(result.get("conclave_directory").is_none());

    // As a storage server asks: everything, by a list of names.
    let fields = json!([
        "service_node_pubkey",
        "swarm_id",
        "storage_port",
        "public_ip",
        "height",
        "block_hash",
        "hardfork",
        "snode_revision",
        "funded",
        "pubkey_x25519",
        "pubkey_ed25519",
        "storage_lmq_port",
        "storage_server_version"
    ]);
    let result = ask(json!({"fields": fields, "active_only": false, "poll_block_hash": ""})).await;
    let states = result["service_node_states"].as_array().unwrap();
    assert_eq!(states.len(), 2);
    assert!(states.iter().all(|state| state["funded"] == true && state["swarm_id"].is_u64()));
    assert!(result["block_hash"].is_string() && result["snode_revision"].is_u64());
    assert_eq!(ask(Value::Null).await["service_node_states"].as_array().unwrap().len(), 2);
    assert_eq!(ask(json!({"limit": 1})).await["service_node_states"].as_array().unwrap().len(), 1);

    let call = |endpoint| json!({"method": "oxend_request", "params": {"endpoint": endpoint, "params": {"type": 0}}});
    let text = "this network has no name service; names cannot be resolved here";
    assert_eq!(swarm.rpc(0, &call("ons_resolve")).await, (400, text.into()));
    let text = "invalid request: Invalid oxend endpoint 'get_block'";
    assert_eq!(swarm.rpc(0, &call("get_block")).await, (400, text.into()));
    swarm.stop().await;
}
