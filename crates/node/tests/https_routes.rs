//! The HTTPS side of a node, route by route (storage-and-onion 1.1, 7.1), and the plain seed listener.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Swarm, account, b64, now, signed_retrieve, store_of};
use conclave_node::{Clock, Hooks, Node};
use conclave_proto::rpc::answers::SwarmAnswer;
use conclave_proto::rpc::{Auth, Lifetime, Request, Store, signing};
use conclave_proto::{Namespace, Timestamp, active_nodes};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn every_response_names_the_program_and_the_kind_of_its_body() {
    let swarm = Swarm::start(1).await;
    let rpc = |method: &str| json!({"method": method, "params": {}}).to_string().into_bytes();
    let cases = [
        ("/storage_rpc/v1", rpc("info"), 200, "application/json"),
        ("/storage_rpc/v1", rpc("active_nodes_bin"), 200, "application/octet-stream"),
        ("/storage_rpc/v1", rpc("nothing"), 400, "text/plain"),
        ("/onion_req/v2", Vec::new(), 400, "text/plain"),
        ("/json_rpc", b"?".to_vec(), 200, "application/json"),
        ("/elsewhere", Vec::new(), 404, "text/plain"),
    ];
    for (path, body, status, kind) in cases {
        let response = swarm.post(0, path, body).await;
        assert_eq!((response.status, response.content_type.as_deref()), (status, Some(kind)), "{path}");
        assert_eq!(response.headers["server"], "Oxen Storage Server/2.11.0", "{path}");
    }
    let response = swarm.get(0, "/get_stats/v1").await;
    assert_eq!((response.status, &response.body[..]), (200, &br#"{"version":"2.11.0"}"#[..]));
    let response = swarm.get(0, "/storage_rpc/v1").await;
    assert_eq!((response.status, &response.body[..]), (404, &b"GET /storage_rpc/v1 Not Found"[..]));
    let response = swarm.post(0, "/ping_test/v1", Vec::new()).await;
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.headers["x-oxen-snode-pubkey"], b64(swarm.listed[0].ed25519.as_bytes()).as_str());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_more_than_ten_mebibytes_is_refused() {
    let swarm = Swarm::start(1).await;
    let response = swarm.post(0, "/storage_rpc/v1", vec![b' '; 10_485_761]).await;
    assert_eq!((response.status, &response.body[..]), (413, &b"Request body too large"[..]));
    let response = swarm.post(0, "/storage_rpc/v1", vec![b' '; 10_485_760]).await;
    assert_eq!((response.status, &response.body[..]), (400, &b"invalid json"[..]));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_76800_bytes_is_stored_and_one_more_is_not() {
    let swarm = Swarm::start(1).await;
    let (status, _) = swarm.rpc_bytes(0, &store_of(1, &"x".repeat(76_800)).to_json_body()).await;
    assert_eq!(status, 200);
    let (status, text) = swarm.rpc_bytes(0, &store_of(1, &"x".repeat(76_801)).to_json_body()).await;
    assert_eq!(status, 400);
    assert_eq!(text, "invalid request: Message body exceeds maximum allowed length of 76800 bytes");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_answers_for_any_account_where_it_is_kept() {
    let swarm = Swarm::start_two_swarms().await;
    for number in 0..20 {
        let hex = account(number).id().to_hex();
        let mut answers = Vec::new();
        for (node, method, key) in
            [(0, "get_swarm", "pubkey"), (1, "get_swarm", "pubKey"), (1, "get_snodes_for_pubkey", "pubkey")]
        {
            let (status, answer) = swarm.rpc(node, &json!({"method": method, "params": {key: hex}})).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["snodes"][0]["port"].is_string(), "{answer}");
            answers.push((answer["snodes"].clone(), answer["swarm"].clone()));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_list_holds_the_active_nodes_by_swarm_and_key() {
    let swarm = Swarm::with_hooks(&[0, u64::MAX, 1 << 63, 0], |_| Hooks::default()).await;
    let body = json!({"method": "active_nodes_bin", "params": {}}).to_string();
    let response = swarm.post(0, "/storage_rpc/v1", body.into_bytes()).await;
    let nodes = active_nodes::decode(&response.body).unwrap();
    let mut expected: Vec<_> = swarm.listed.iter().filter(|node| node.swarm.0 != u64::MAX).copied().collect();
    expected.sort_by_key(|node| (node.swarm, node.ed25519));
    assert_eq!(nodes, expected);
    // In a batch it is base64.
    let batch =
        json!({"method": "batch", "params": {"requests": [{"method": "active_nodes_bin", "params": {}}]}});
    let (_, answer) = swarm.rpc(0, &batch).await;
    assert_eq!(answer["results"][0], json!({"code": 200, "body": b64(&response.body)}));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_swarm_sends_everybody_to_the_right_one() {
    let swarm = Swarm::with_hooks(&[0, u64::MAX], |_| Hooks::default()).await;
    let (status, answer) = swarm.rpc_bytes(1, &store_of(1, "x").to_json_body()).await;
    assert_eq!(status, 421);
    assert_eq!(answer["snodes"][0]["pubkey_ed25519"], swarm.listed[0].ed25519.to_hex());
    swarm.stop().await;
    let swarm = Swarm::with_hooks(&[u64::MAX], |_| Hooks::default()).await;
    let (status, text) = swarm.rpc_bytes(0, &store_of(1, "x").to_json_body()).await;
    assert_eq!((status, text), (500, json!("No swarms known!")));
    let (_, answer) =
        swarm.rpc(0, &json!({"method": "get_swarm", "params": {"pubkey": account(1).id().to_hex()}})).await;
    assert_eq!((&answer["snodes"], &answer["swarm"]), (&json!([]), &json!("ffffffffffffffff")));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_without_a_signature_is_refused_in_two_ways() {
    let swarm = Swarm::start(1).await;
    let hex = account(1).id().to_hex();
    for (params, status, text) in [
        (json!({"pubkey": hex}), 401, "retrieve: request signature required"),
        (json!({"pubkey": hex, "namespace": 0}), 400, "invalid request: Required field 'signature' missing"),
        (json!({"pubkey": hex, "namespace": 3}), 400, "invalid request: Required field 'signature' missing"),
        (
            json!({"pubkey": hex, "timestamp": now().0}),
            400,
            "invalid request: Required field 'signature' missing",
        ),
    ] {
        let (got, body) = swarm.rpc(0, &json!({"method": "retrieve", "params": params})).await;
        assert_eq!((got, body.as_str().unwrap_or_default()), (status, text), "{params}");
    }
    // Public outboxes and groups of the old kind are open.
    for namespace in [-10, -1, -21] {
        let (status, answer) = swarm
            .rpc(0, &json!({"method": "retrieve", "params": {"pubkey": hex, "namespace": namespace}}))
            .await;
        assert_eq!(
            (status, &answer["messages"]),
            (200, &json!([])),
            "an unknown account has an empty mailbox"
        );
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_store_is_checked_and_a_signature_on_a_public_one_is_ignored() {
    let swarm = Swarm::start(1).await;
    let store = |namespace: i16, signed_for: i16, off: i64, sig_timestamp: Option<Timestamp>| {
        let account = account(1);
        let timestamp = now();
        let signed_at = Timestamp(timestamp.0.saturating_add_signed(off));
        let signed = signing::store(Namespace(signed_for), sig_timestamp.unwrap_or(signed_at));
        Request::Store(Store {
            account: *account.id(),
            namespace: Namespace(namespace),
            timestamp,
            lifetime: Lifetime::Ttl(60_000),
            data: b"signed".to_vec(),
            auth: Some(Auth::by_account(account.ed25519(), &signed)),
            sig_timestamp: sig_timestamp.or((off != 0).then_some(signed_at)),
        })
    };
    for (request, status, text) in [
        (store(5, 5, 0, None), 200, ""),
        (store(5, 5, -55_000, None), 200, ""),
        (store(5, 5, -61_000, None), 406, "store signature timestamp too far from current time"),
        (store(5, 5, 65_000, None), 406, "store signature timestamp too far from current time"),
        (store(5, 4, 0, None), 401, "store signature verification failed"),
        (store(0, 4, 0, None), 200, ""),
        (store(20, 4, 0, Some(Timestamp(1_000_000_000_000))), 200, ""),
    ] {
        let (got, body) = swarm.rpc_bytes(0, &request.to_json_body()).await;
        assert_eq!((got, body.as_str().unwrap_or_default()), (status, text));
    }
    swarm.stop().await;
}

struct Ahead(u64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp(now().0 + self.0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_clock_is_off_refuses_and_says_its_time() {
    let swarm = Swarm::with_hooks(&[0, 0], |node| Hooks {
        clock: Arc::new(Ahead(if node == 1 { 120_000 } else { 0 })),
        ..Hooks::default()
    })
    .await;
    let request = store_of(1, "for a minute");
    let (status, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
    assert_eq!(status, 200, "one member did it");
    let refused = &answer["swarm"][swarm.listed[1].ed25519.to_hex()];
    assert_eq!(
        (&refused["failed"], &refused["code"], &refused["reason"]),
        (&json!(true), &json!("406"), &json!("Timestamp error: check your clock")),
        "{answer}"
    );
    let (status, text) = swarm.rpc(1, &signed_retrieve(1, &json!({}))).await;
    assert_eq!((status, text), (406, json!("retrieve timestamp too far from current time")));
    let (_, info) = swarm.rpc(1, &json!({"method": "info", "params": {}})).await;
    assert!(info["timestamp"].as_u64().unwrap().abs_diff(now().0) > 60_000);
    assert_eq!(
        (&info["timestamp"], &info["version"], &info["conclave"]),
        (
            &info["t"],
            &json!([2, 11, 0]),
            &json!([
                "conclave_directory",
                "conclave_wait",
                "conclave_chunk_store",
                "conclave_chunk_get",
                "conclave_chunk_renew",
                "conclave_chunk_delete"
            ])
        )
    );
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_nobody_did_is_500_with_everybodys_reason() {
    // The only member's store soon takes nothing more.
    let mut swarm = Swarm::listed(&[0]);
    let mut config = swarm.config(0);
    config.max_store_bytes = 1;
    swarm.nodes.push(Node::start(&config, Hooks::default()).await.unwrap());
    let mut refused = None;
    for number in 0..50 {
        let request = store_of(1, &format!("{number}{}", "x".repeat(70_000)));
        let (status, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
        if status != 200 {
            refused = Some((request, status, answer));
            break;
        }
    }
    let (request, status, answer) = refused.expect("three megabytes are more than one byte");
    let own = &answer["swarm"][swarm.listed[0].ed25519.to_hex()];
    assert_eq!(status, 500, "{answer}");
    assert_eq!((&own["failed"], &own["query_failure"]), (&json!(true), &json!(true)), "{answer}");
    assert!(SwarmAnswer::from_json(&request, &answer).is_some());
    let (status, _) = swarm.rpc(0, &signed_retrieve(1, &json!({}))).await;
    assert_eq!(status, 200, "reading goes on");
    swarm.stop().await;
}

/// One exchange over plain HTTP, as written.
async fn plain(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_listener_answers_the_seed_call_and_nothing_else() {
    let mut swarm = Swarm::listed(&[0, 0, u64::MAX]);
    let mut config = swarm.config(0);
    config.seed_http = Some(([127, 0, 0, 1], 0).into());
    swarm.nodes.push(Node::start(&config, Hooks::default()).await.unwrap());
    let address = swarm.nodes[0].addresses().seed_http.unwrap();
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: seed\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let call = json!({"jsonrpc": "2.0", "method": "get_service_nodes", "params": {
        "active_only": true, "limit": 1, "fields": ["public_ip", "swarm"]}});
    let answer = plain(address, &post("/json_rpc", &call.to_string())).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Oxen Storage Server"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    let states = body["result"]["service_node_states"].as_array().unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0], json!({"public_ip": swarm.listed[0].ip.to_string(), "swarm": "0"}));
    assert_eq!(body["result"]["status"], "OK");
    for (path, body) in [("/storage_rpc/v1", INFO), ("/onion_req/v2", ""), ("/ping_test/v1", "")] {
        let answer = plain(address, &post(path, body)).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let answer = plain(address, &post("/json_rpc", r#"{"method":"get_info"}"#)).await;
    assert!(answer.contains("Method not found"), "{answer}");
    swarm.stop().await;
}

const INFO: &str = r#"{"method":"info","params":{}}"#;
