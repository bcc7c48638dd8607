//! The routes of HTTPS.

use serde_json::json;

use crate::common::b64;
use crate::raw;
use crate::wires::Way;
use crate::world::{Case, T, case};

const ONLY: &[Way] = &[Way::Https];

pub const CASES: &[Case] = &[
    case!(routes, ONLY, ["1.1-ping", "1.1-stats", "1.1-not-found", "1.1-seed-call"]),
    case!(headers, ONLY, ["1.1-server-header", "1.1-json-type", "1.1-text-type", "1.1-binary-type"]),
    case!(long_polling, ONLY, ["1.1-long-poll"]),
    case!(lengths, ONLY, ["1.1-too-large", "1.1-bad-length"]),
    case!(versions, ONLY, ["1.1-tls"]),
];

const INFO: &str = r#"{"method":"info","params":{}}"#;

fn request(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

async fn routes(t: T) {
    let swarm = &t.world.swarm;
    let response = swarm.post(0, "/ping_test/v1", Vec::new()).await;
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.headers["x-oxen-snode-pubkey"], b64(t.node(0).ed25519.as_bytes()).as_str());
    t.shows("1.1-ping");
    let response = swarm.get(0, "/get_stats/v1").await;
    assert_eq!((response.status, &response.body[..]), (200, &br#"{"version":"2.11.0"}"#[..]));
    t.shows("1.1-stats");
    for path in ["/", "/storage_rpc/v2", "/storage_rpc/v1/", "/onion_req/v1", "/get_stats/v1"] {
        let response = swarm.post(0, path, Vec::new()).await;
        assert_eq!((response.status, &response.body[..]), (404, format!("POST {path} Not Found").as_bytes()));
    }
    for path in ["/storage_rpc/v1", "/onion_req/v2", "/ping_test/v1"] {
        let response = swarm.get(0, path).await;
        assert_eq!((response.status, &response.body[..]), (404, format!("GET {path} Not Found").as_bytes()));
    }
    t.shows("1.1-not-found");
    let call =
        json!({"jsonrpc": "2.0", "id": 7, "method": "get_n_service_nodes", "params": {"active_only": true}});
    let response = swarm.post(0, "/json_rpc", call.to_string().into()).await;
    let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(answer["result"]["service_node_states"].as_array().unwrap().len(), 4);
    t.shows("1.1-seed-call");
}

async fn headers(t: T) {
    let rpc = |method: &str| json!({"method": method, "params": {}}).to_string().into_bytes();
    for (id, path, body, kind) in [
        ("1.1-json-type", "/storage_rpc/v1", rpc("info"), "application/json"),
        ("1.1-binary-type", "/storage_rpc/v1", rpc("active_nodes_bin"), "application/octet-stream"),
        ("1.1-text-type", "/storage_rpc/v1", rpc("nothing"), "text/plain"),
        ("1.1-text-type", "/onion_req/v2", Vec::new(), "text/plain"),
        ("1.1-text-type", "/nowhere", Vec::new(), "text/plain"),
    ] {
        let response = t.world.swarm.post(0, path, body).await;
        assert_eq!(response.headers["server"], "Oxen Storage Server/2.11.0");
        assert_eq!(response.content_type.as_deref(), Some(kind));
        t.shows(id);
    }
    t.shows("1.1-server-header");
}

async fn long_polling(t: T) {
    let to = t.world.swarm.nodes[0].addresses().https;
    let ask = async |headers: &str| {
        let headers = format!("{headers}connection: close\r\n");
        let request = request("/storage_rpc/v1", &headers, INFO);
        raw::https(to, &rustls::version::TLS13, request.as_bytes(), None).await
    };
    let gone = ask("x-loki-long-poll: 1\r\n").await;
    assert!(gone.starts_with("HTTP/1.1 410 "), "{gone}");
    assert!(gone.ends_with("\r\n\r\nlong polling is no longer supported, client upgrade required"), "{gone}");
    let empty = ask("x-loki-long-poll:\r\n").await;
    assert!(empty.starts_with("HTTP/1.1 200 "), "{empty}");
    t.shows("1.1-long-poll");
}

async fn lengths(t: T) {
    let to = t.world.swarm.nodes[0].addresses().https;
    let head = "POST /storage_rpc/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 10485761\r\n\r\n";
    // Nothing of the body is sent, and it is the node that closes.
    let refused = raw::https(to, &rustls::version::TLS13, head.as_bytes(), None).await;
    assert!(
        refused.starts_with("HTTP/1.1 413 ") && refused.ends_with("\r\n\r\nRequest body too large"),
        "{refused}"
    );
    let most = t.world.swarm.post(0, "/storage_rpc/v1", vec![b' '; 10_485_760]).await;
    assert_eq!((most.status, &most.body[..]), (400, &b"invalid json"[..]));
    t.shows("1.1-too-large");
    let head = "POST /storage_rpc/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n";
    let refused = raw::https(to, &rustls::version::TLS13, head.as_bytes(), None).await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    t.shows("1.1-bad-length");
}

async fn versions(t: T) {
    let to = t.world.swarm.nodes[0].addresses().https;
    let request = request("/storage_rpc/v1", "connection: close\r\n", INFO);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = raw::https(to, version, request.as_bytes(), None).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    t.shows("1.1-tls");
}
