//! A swarm of real nodes in this process, on real loopback sockets, asked as clients ask.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Swarm, account, b64, now, signed_retrieve, store_of, texts};
use conclave_onion::request::{Destination, seal};
use conclave_proto::rpc::answers::SwarmAnswer;
use conclave_proto::{MessageHash, Namespace};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Endpoint, Lane, RequestError};
use rand_core::OsRng;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_comes_back_with_the_signature_of_every_member_and_is_on_every_member() {
    let swarm = Swarm::start(3).await;
    let request = store_of(1, "hello");
    let (status, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
    assert_eq!(status, 200, "{answer}");
    let signed = SwarmAnswer::from_json(&request, &answer).unwrap();
    assert_eq!(signed.verified(&request, &swarm.records()).len(), 3, "{answer}");
    let hash = MessageHash::of(account(1).id(), Namespace::DIRECT, b"hello");
    assert_eq!(answer["hash"], hash.as_str());
    for node in 0..3 {
        let (status, answer) = swarm.rpc(node, &signed_retrieve(1, &json!({}))).await;
        assert_eq!(status, 200);
        assert_eq!(texts(&answer), ["hello"], "node {node}");
    }
    // Again: `already`, and nothing twice.
    let (_, answer) = swarm.rpc_bytes(1, &request.to_json_body()).await;
    let entries = answer["swarm"].as_object().unwrap();
    assert!(entries.values().all(|entry| entry["already"] == true || entry["already"] == 1), "{answer}");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_parameters_of_real_clients_are_taken() {
    let swarm = Swarm::start(1).await;
    let hex = account(1).id().to_hex();
    let stored = json!({"jsonrpc": "2.0", "id": 7, "method": "store", "params": {
        "pubKey": hex, "timestamp": now().0.to_string(), "ttl": "60000", "data": b64(b"odd"), "isDurable": true, "namespace": null,
    }});
    let (status, answer) = swarm.rpc(0, &stored).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) =
        swarm.rpc(0, &signed_retrieve(1, &json!({"lastHash": "", "extra": {"a": 1}}))).await;
    assert_eq!((status, texts(&answer)), (200, vec!["odd".to_owned()]));
    let (_, answer) =
        swarm.rpc(0, &signed_retrieve(1, &json!({"last_hash": answer["messages"][0]["hash"]}))).await;
    assert_eq!(texts(&answer).len(), 0, "nothing lies behind the cursor");
    assert_eq!(answer["more"], false);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_in_the_words_clients_know() {
    let swarm = Swarm::start(1).await;
    let hex = account(1).id().to_hex();
    let store = |change: Value| {
        let mut params = json!({"pubkey": hex, "timestamp": now().0, "ttl": 60_000, "data": b64(b"x")});
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        json!({"method": "store", "params": params})
    };
    let day: u64 = 24 * 60 * 60 * 1000;
    let cases = [
        (store(json!({"ttl": 9_999})), 403, "Provided expiry/TTL is not valid."),
        (store(json!({"ttl": 14 * day + 1})), 403, "Provided expiry/TTL is not valid."),
        (store(json!({"timestamp": now().0 + 11_500})), 406, "Timestamp error: check your clock"),
        (store(json!({"timestamp": now().0 - 90_000})), 406, "Timestamp error: check your clock"),
        (store(json!({"namespace": 2})), 401, "store: signature required to store to namespace 2"),
        (
            store(json!({"namespace": 40_000})),
            400,
            "invalid request: Invalid value given for 'namespace': value out of range",
        ),
        (store(json!({"data": "?"})), 400, "invalid request: Invalid 'data' value: not base64 encoded"),
        (
            store(json!({"pubkey": "05"})),
            400,
            "invalid request: Pubkey must be 66 hex digits (33 bytes) long",
        ),
        (json!({"method": "nothing", "params": {}}), 400, "no method nothing"),
        (json!({"method": "info"}), 400, "invalid json: no `params` field"),
        (json!({"params": {}}), 400, "invalid json: no `method` field"),
        (
            signed_retrieve(1, &json!({"timestamp": now().0 - 61_000})),
            406,
            "retrieve timestamp too far from current time",
        ),
        (signed_retrieve(1, &json!({"namespace": 3})), 401, "retrieve signature verification failed"),
    ];
    for (request, status, text) in cases {
        let (got, body) = swarm.rpc(0, &request).await;
        assert_eq!((got, body.as_str().unwrap_or_default()), (status, text), "{request}");
    }
    let (status, body) = swarm.rpc_bytes(0, b"{").await;
    assert_eq!((status, body.as_str().unwrap()), (400, "invalid json"));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_swarm_gets_421_with_its_nodes() {
    let swarm = Swarm::start_two_swarms().await;
    let view = swarm.nodes[0].view();
    let foreign = (0..=255).map(account).find(|a| !view.is_ours(a.id())).unwrap();
    let request = json!({"method": "store", "params": {
        "pubkey": foreign.id().to_hex(), "timestamp": now().0, "ttl": 60_000, "data": b64(b"x")}});
    let (status, answer) = swarm.rpc(0, &request).await;
    assert_eq!(status, 421);
    let expected = swarm.nodes[1].view().own().ed25519.to_hex();
    assert_eq!(answer["snodes"][0]["pubkey_ed25519"], expected.as_str());
    assert!(answer["t"].is_u64() && answer["hf"].is_array());
    let (status, same) =
        swarm.rpc(0, &json!({"method": "get_swarm", "params": {"pubkey": foreign.id().to_hex()}})).await;
    assert_eq!((status, &same["snodes"], &same["swarm"]), (200, &answer["snodes"], &answer["swarm"]));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_answer_each_part_and_sequences_stop_at_the_first_failure() {
    let swarm = Swarm::start(1).await;
    let bad = json!({"method": "store", "params": {
        "pubkey": account(1).id().to_hex(), "timestamp": now().0, "ttl": 1, "data": ""}});
    let info = json!({"method": "info", "params": {}});
    for (method, expected) in [("batch", vec![200, 403, 200]), ("sequence", vec![200, 403])] {
        let (status, answer) =
            swarm.rpc(0, &json!({"method": method, "params": {"requests": [info, bad, info]}})).await;
        let codes: Vec<u64> =
            answer["results"].as_array().unwrap().iter().map(|r| r["code"].as_u64().unwrap()).collect();
        assert_eq!((status, codes), (200, expected));
        assert!(answer["results"][0]["body"]["version"].is_array());
    }
    let too_many = vec![info; 21];
    let (status, _) = swarm.rpc(0, &json!({"method": "batch", "params": {"requests": too_many}})).await;
    assert_eq!(status, 400);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_is_reported_and_the_others_sign() {
    let mut swarm = Swarm::start(4).await;
    let dead = swarm.nodes.pop().unwrap();
    let dead_key = dead.view().own().ed25519;
    dead.shutdown().await;
    for text in ["first", "second"] {
        let request = store_of(1, text);
        let (status, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
        assert_eq!(status, 200);
        let signed = SwarmAnswer::from_json(&request, &answer).unwrap();
        assert_eq!(signed.verified(&request, &swarm.records()).len(), 3, "{answer}");
        assert_eq!(answer["swarm"][dead_key.to_hex()]["failed"], true, "{answer}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_onion_request_goes_through_three_hops_and_its_reply_opens() {
    let swarm = Swarm::start(4).await;
    let records = swarm.records_by_node();
    let request = store_of(1, "through the onion");
    let body = request.to_json_body();
    let destination = Destination::Snode { node: &records[3], body: &body };
    let sealed = seal(&records[..3], destination, &mut OsRng).unwrap();
    let response = swarm.post(0, "/onion_req/v2", sealed.body).await;
    assert_eq!(response.status, 200);
    let reply = sealed.reply.open_snode(&response.body).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let signed = SwarmAnswer::from_json(&request, &reply.body).unwrap();
    assert_eq!(signed.verified(&request, &records).len(), 4);

    // A destination nobody knows: the last hop names it, in the clear.
    let mut stranger = records[3];
    stranger.ed25519 = account(9).ed25519_public();
    let sealed =
        seal(&records[..3], Destination::Snode { node: &stranger, body: &body }, &mut OsRng).unwrap();
    let response = swarm.post(0, "/onion_req/v2", sealed.body).await;
    assert_eq!(response.status, 502);
    assert_eq!(response.body, format!("Next node not found: {}", stranger.ed25519.to_hex()));

    // Layers that were cut, doubled or swapped end in an error at some hop.
    let sealed = seal(&records[..3], destination, &mut OsRng).unwrap();
    let cut = sealed.body[..sealed.body.len() / 2].to_vec();
    let doubled = [&sealed.body[..], &sealed.body[..]].concat();
    let swapped = seal(&[records[1], records[0], records[2]], destination, &mut OsRng).unwrap().body;
    for (what, body) in [("cut", cut), ("doubled", doubled), ("swapped", swapped), ("empty", Vec::new())] {
        let response = swarm.post(0, "/onion_req/v2", body).await;
        assert_eq!(response.status, 400, "{what}: {:?}", response.body);
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert!(
            text.starts_with("Error parsing onion request") || text == "Invalid ciphertext",
            "{what}: {text}"
        );
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_served_over_quic_and_strangers_are_no_nodes() {
    let swarm = Swarm::start(1).await;
    let key = swarm.records()[0].ed25519;
    let address = swarm.nodes[0].addresses().quic;
    let client = Endpoint::dialler(account(3).ed25519()).unwrap();
    let soon = || Deadline::after(Duration::from_secs(20));
    let connection = client.dial(address, key, Alpn::Client).await.unwrap();
    let answer = connection.request(Lane::Commands, "info", b"{}", soon()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer[0], 200);
    assert!(answer[1]["version"].is_array());
    let pong = connection.request(Lane::Commands, "snode_ping", b"", soon()).await.unwrap();
    assert_eq!(pong, "pong");
    let list = connection.request(Lane::Commands, "active_nodes_bin", b"", soon()).await.unwrap();
    assert_eq!(list.len(), 51);
    let Err(RequestError::Remote(error)) = connection.request(Lane::Commands, "nothing", b"", soon()).await
    else {
        panic!("an endpoint that is none");
    };
    assert_eq!(error, "Invalid endpoint 'nothing'");
    let refused = match client.dial(address, key, Alpn::Node).await {
        Ok(connection) => connection.request(Lane::Commands, "snode_ping", b"", soon()).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "a key that is not in the directory");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_call_gives_the_fields_asked_for_and_the_signed_directory() {
    let swarm = Swarm::start(2).await;
    let call = json!({"jsonrpc": "2.0", "id": 3, "method": "get_n_service_nodes", "params": {
        "active_only": true, "fields": {"public_ip": true, "storage_port": true, "pubkey_x25519": true, "pubkey_ed25519": true}}});
    let response = swarm.post(0, "/json_rpc", call.to_string().into_bytes()).await;
    assert_eq!(response.content_type.as_deref(), Some("application/json"));
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    let states = answer["result"]["service_node_states"].as_array().unwrap();
    assert_eq!((states.len(), answer["id"].as_u64()), (2, Some(3)));
    assert_eq!(states[0].as_object().unwrap().len(), 4);
    let directory = answer["result"]["conclave_directory"].to_string();
    let signed = conclave_proto::network::SignedDirectory::from_json(directory.as_bytes()).unwrap();
    signed.verify(&swarm.registry_key(), "test", 1).unwrap();
    let response = swarm.post(0, "/ping_test/v1", Vec::new()).await;
    assert_eq!(
        response.headers["x-oxen-snode-pubkey"],
        b64(swarm.nodes[0].view().own().ed25519.as_bytes()).as_str()
    );
    let response = swarm.post(0, "/nowhere", Vec::new()).await;
    assert_eq!((response.status, &response.body[..]), (404, &b"POST /nowhere Not Found"[..]));
    swarm.stop().await;
}
