//! A node against the known answers of the specification: requests whose signatures are given, asked at their time, and
//! the signatures that a node with a given key makes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::Swarm;
use common::asking::{StandingClock, with_clock};
use conclave_crypto::{Ed25519Secret, Signature};
use conclave_node::Hooks;
use conclave_proto::bt;
use conclave_proto::peer::encode_storage_cc;
use conclave_proto::rpc::Request;
use conclave_testkit::vectors;
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Endpoint, Lane};
use serde_json::{Value, json};

const TIME: u64 = 1_700_000_000_000;

fn at(time: u64) -> Hooks {
    with_clock(StandingClock(time.into()))
}

async fn node_at(time: u64) -> Swarm {
    Swarm::with_hooks(&[0], |_| at(time)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_specification_is_allowed_at_its_time_in_json_and_bt() {
    let swarm = node_at(TIME).await;
    let client = Endpoint::dialler(&Ed25519Secret::from_seed(&[9; 32])).unwrap();
    let key = swarm.listed[0].ed25519;
    let connection = client.dial(swarm.nodes[0].addresses().quic, key, Alpn::Client).await.unwrap();
    for case in vectors::entry("storage-onion", "rpc_requests")["cases"].as_array().unwrap() {
        let (method, params) = (case["method"].as_str().unwrap(), &case["params"]);
        let call = json!({"method": method, "params": params});
        let (status, answer) = swarm.rpc(0, &call).await;
        assert_eq!(status, 200, "{}: {answer}", case["name"]);
        let body = hex::decode(case["bt_params_hex"].as_str().unwrap()).unwrap();
        let deadline = Deadline::after(Duration::from_secs(60));
        let answer = connection.request(Lane::Commands, method, &body, deadline).await.unwrap();
        let answer = bt::Value::decode(&answer).unwrap();
        assert_eq!(answer.as_list().unwrap()[0].as_u64(), Some(200), "{}: in bt", case["name"]);
        if params.get("signature").is_some() {
            let mut params = params.clone();
            params["signature"] = base64_of([7; 64]);
            let (status, answer) = swarm.rpc(0, &json!({"method": method, "params": params})).await;
            assert_eq!(status, 401, "{}: {answer}", case["name"]);
        }
    }
    swarm.stop().await;
}

fn base64_of(bytes: [u8; 64]) -> Value {
    common::b64(&bytes).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signature_of_the_specification_is_taken_for_its_request_and_no_other() {
    let swarm = node_at(TIME).await;
    let vectors = vectors::entry("storage-onion", "request_signatures");
    let (user, group) = (&vectors["user"], &vectors["group"]);
    let token = &vectors["subaccount"]["token_b64"];
    let hashes = vectors["hashes"].as_array().unwrap();
    let one = &hashes[..1];
    let signature_of = |name: &str| {
        let case = vectors["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
        case["signature_b64"].clone()
    };
    let of_user = json!({"pubkey": user["session_id"], "pubkey_ed25519": user["ed25519_pub"]});
    let of_group = json!({"pubkey": group["id"]});
    let subaccount_sig = signature_of("subaccount token authorisation (group key signs token)");
    let of_member = json!({"pubkey": group["id"], "subaccount": token, "subaccount_sig": subaccount_sig});
    let stored =
        |namespace: i64| json!({"namespace": namespace, "timestamp": TIME, "ttl": 60_000, "data": ""});
    let cases = [
        ("store ns 2", "store", &of_user, stored(2)),
        ("retrieve ns 0", "retrieve", &of_user, json!({"timestamp": TIME})),
        ("retrieve ns 11", "retrieve", &of_user, json!({"namespace": 11, "timestamp": TIME})),
        ("delete two hashes", "delete", &of_user, json!({"messages": hashes})),
        ("delete_all default ns", "delete_all", &of_user, json!({"timestamp": TIME})),
        ("delete_all all", "delete_all", &of_user, json!({"namespace": "all", "timestamp": TIME})),
        ("delete_all ns 5", "delete_all", &of_user, json!({"namespace": 5, "timestamp": TIME})),
        ("delete_before default ns", "delete_before", &of_user, json!({"before": TIME})),
        ("delete_before ns -42", "delete_before", &of_user, json!({"namespace": -42, "before": TIME})),
        ("expire_all all", "expire_all", &of_user, json!({"namespace": "all", "expiry": TIME})),
        ("expire plain", "expire", &of_user, json!({"messages": one, "expiry": TIME})),
        ("expire extend", "expire", &of_user, json!({"messages": one, "expiry": TIME, "extend": true})),
        ("expire shorten", "expire", &of_user, json!({"messages": one, "expiry": TIME, "shorten": true})),
        ("expire multi", "expire", &of_user, json!({"messages": hashes, "expiry": [TIME, TIME + 1]})),
        ("get_expiries", "get_expiries", &of_user, json!({"messages": hashes, "timestamp": TIME})),
        // After revoking the member's token, so that its reading is refused; then taken back.
        (
            "revoke_subaccount (group key)",
            "revoke_subaccount",
            &of_group,
            json!({"revoke": [token], "timestamp": TIME}),
        ),
        ("revoked_subaccounts (group key)", "revoked_subaccounts", &of_group, json!({"timestamp": TIME})),
    ];
    for (name, method, who, params) in &cases {
        let mut all = (*who).clone();
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        for (other, ..) in &cases {
            all["signature"] = signature_of(other);
            let (status, answer) = swarm.rpc(0, &json!({"method": method, "params": all})).await;
            assert_eq!(status, if other == name { 200 } else { 401 }, "{name} with {other}: {answer}");
        }
    }
    let mut reading = of_member.clone();
    let signature = signature_of("retrieve ns 11 signed by subaccount key");
    let more = json!({"namespace": 11, "timestamp": TIME, "signature": signature});
    reading.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reading = json!({"method": "retrieve", "params": reading});
    assert_eq!(swarm.rpc(0, &reading).await.0, 401, "revoked");
    swarm.stop().await;

    let swarm = node_at(TIME).await;
    assert_eq!(swarm.rpc(0, &reading).await.0, 200);
    let mut taken_back = of_group;
    let signature = signature_of("unrevoke_subaccount (group key)");
    let more = json!({"unrevoke": token, "timestamp": TIME, "signature": signature});
    taken_back.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, _) = swarm.rpc(0, &json!({"method": "unrevoke_subaccount", "params": taken_back})).await;
    assert_eq!(status, 200);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_specifications_key_signs_what_the_specification_says() {
    let all = vectors::file("storage-onion");
    let seed = all["onion_request_full"]["nodes"]["D"]["ed25519_seed"].as_str().unwrap();
    let seed: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
    let mut swarm = Swarm::listed_as(&[0], |_| Ed25519Secret::from_seed(&seed));
    swarm.run(0, at(TIME)).await;
    let node = swarm.listed[0].ed25519.to_hex();
    let results = &all["node_result_signatures"];
    let expected = |name: &str| {
        let case = results["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
        case["signature_b64"].clone()
    };
    let user = Ed25519Secret::from_seed(
        &hex::decode("0123456789abcdef0123456789abcdeffedcba9876543210fedcba9876543210")
            .unwrap()
            .try_into()
            .unwrap(),
    );
    let sign = |text: String| common::b64(user.sign(text.as_bytes()).as_bytes());
    let who = json!({"pubkey": results["account"], "pubkey_ed25519": user.public().to_hex()});
    let (h1, e1) = (results["h1"].as_str().unwrap(), results["e1"].as_u64().unwrap());

    let stored = &all["message_hash"]["cases"][0];
    let store =
        json!({"pubkey": stored["pubkey"], "data": stored["data_b64"], "timestamp": TIME, "ttl": 60_000});
    let deletion = json!({"messages": [h1], "signature": sign(format!("delete{h1}"))});
    for (method, who, params, name) in
        [("store", &json!({}), store, "store"), ("delete", &who, deletion, "delete (nothing existed)")]
    {
        let mut all = who.clone();
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        let (status, answer) = swarm.rpc(0, &json!({"method": method, "params": all})).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["swarm"][&node]["signature"], expected(name), "{name}");
    }

    // With nothing there, the signed bytes are the account, the time and the request's hashes.
    let nothing =
        |text: String| common::b64(Ed25519Secret::from_seed(&seed).sign(text.as_bytes()).as_bytes());
    let hex = results["account"].as_str().unwrap();
    for (method, params, text) in [
        (
            "delete_all",
            json!({"namespace": "all", "timestamp": TIME, "signature": sign(format!("delete_allall{TIME}"))}),
            format!("{hex}{TIME}"),
        ),
        (
            "delete_before",
            json!({"namespace": 2, "before": TIME, "signature": sign(format!("delete_before2{TIME}"))}),
            format!("{hex}{TIME}"),
        ),
        (
            "expire_all",
            json!({"expiry": e1, "signature": sign(format!("expire_all{e1}"))}),
            format!("{hex}{e1}"),
        ),
        (
            "expire",
            json!({"messages": [h1], "expiry": e1, "signature": sign(format!("expire{e1}{h1}"))}),
            format!("{hex}{e1}{h1}"),
        ),
        (
            "expire",
            json!({"messages": [h1, h1], "expiry": [e1, e1], "signature": sign(format!("expire{e1}{e1}{h1}{h1}"))}),
            format!("{hex}{h1}{h1}"),
        ),
    ] {
        let mut all = who.clone();
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        let (status, answer) = swarm.rpc(0, &json!({"method": method, "params": all})).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["swarm"][&node]["signature"], nothing(text).as_str(), "{method}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_specifications_forwarded_store_is_taken_from_a_node_that_names_no_time() {
    let mut swarm = Swarm::listed(&[0, 0]);
    swarm.run(0, at(TIME)).await;
    let endpoint = Endpoint::dialler(&common::node_secret(1)).unwrap();
    let node = swarm.listed[0];
    let connection = endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Node).await.unwrap();
    let vectors = vectors::entry("storage-onion", "rpc_requests");
    for case in ["case_0_bt_hex", "case_2_bt_hex"] {
        let params = hex::decode(vectors["storage_cc_forwarded_store"][case].as_str().unwrap()).unwrap();
        let Request::Store(store) = Request::from_forwarded("store", &params).unwrap() else { panic!() };
        let deadline = Deadline::after(Duration::from_secs(60));
        let body = encode_storage_cc("store", &params);
        let answer = connection.request(Lane::Data, "storage_cc", &body, deadline).await.unwrap();
        let answer = bt::Value::decode(&answer).unwrap();
        let hash = answer.field("hash").unwrap().as_text().unwrap().to_owned();
        let signature =
            Signature::from_slice(answer.field("signature").unwrap().as_bytes().unwrap()).unwrap();
        node.ed25519.verify(hash.as_bytes(), &signature).unwrap();
        let copies = swarm.nodes[0].store().copies(&store.account, &[hash.parse().unwrap()]).unwrap();
        assert_eq!(copies[0].stored_at.0, TIME, "the receiver's clock counts");
    }
    swarm.stop().await;
}
