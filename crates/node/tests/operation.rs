//! What an operator relies on: limits for those who ask too much, figures, health (storage-and-onion 1.1, 8.1).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Swarm, account, store_of};
use conclave_crypto::Ed25519Secret;
use conclave_node::{Clock, Hooks, Node, NodeConfig, NodeError};
use conclave_onion::request::{Destination, seal};
use conclave_proto::Timestamp;
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane, RequestError};
use rand_core::OsRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const BURST: u32 = 20;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn info() -> Value {
    json!({"method": "info", "params": {}})
}

/// One node with a setting of its own.
async fn node_with(change: impl Fn(&mut NodeConfig)) -> Swarm {
    let mut swarm = Swarm::listed(&[0]);
    let mut config = swarm.config(0);
    change(&mut config);
    swarm.nodes.push(common::start(&config, Hooks::default()).await);
    swarm
}

async fn limited() -> Swarm {
    node_with(|config| (config.rate_per_second, config.rate_burst) = (1, BURST)).await
}

async fn connect(swarm: &Swarm, from: Ipv4Addr) -> (Endpoint, Connection) {
    let endpoint = Endpoint::dialler_at((from, 0).into(), &Ed25519Secret::generate(&mut OsRng)).unwrap();
    let node = swarm.listed[0];
    let connection =
        endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Client).await.unwrap();
    (endpoint, connection)
}

async fn quic(connection: &Connection, endpoint: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    match connection.request(Lane::Commands, endpoint, body, soon()).await {
        Ok(body) => Ok(body.to_vec()),
        Err(RequestError::Remote(body)) => Err(String::from_utf8_lossy(&body).into_owned()),
        Err(error) => panic!("{error}"),
    }
}

/// Asks until there is nothing left to take, and checks how much there was.
async fn exhaust(mut ask: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    let mut taken = 0;
    while ask().await {
        taken += 1;
    }
    let refilled = u32::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((BURST..=BURST + refilled).contains(&taken), "{taken} and at most {refilled} refilled");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_an_address_that_asks_too_much_is_refused_and_only_for_storage_requests() {
    let swarm = limited().await;
    exhaust(async || swarm.rpc(0, &info()).await.0 == 200).await;
    let mut refused = swarm.post(0, "/storage_rpc/v1", info().to_string().into_bytes()).await;
    while refused.status == 200 {
        refused = swarm.post(0, "/storage_rpc/v1", info().to_string().into_bytes()).await;
    }
    assert_eq!((refused.status, &refused.body[..]), (429, &b"Too Many Requests\n"[..]));
    assert_eq!(refused.content_type.as_deref(), Some("text/plain"));
    assert_eq!(refused.headers["server"], "Oxen Storage Server/2.11.0");
    // What is not limited: onion requests, pings, the seed call, and the rest.
    for _ in 0..BURST * 2 {
        let sealed = seal(
            &swarm.listed,
            Destination::Snode { node: &swarm.listed[0], body: info().to_string().as_bytes() },
            &mut OsRng,
        )
        .unwrap();
        assert_eq!(swarm.post(0, "/onion_req/v2", sealed.body).await.status, 200);
        assert_eq!(swarm.post(0, "/ping_test/v1", Vec::new()).await.status, 200);
        assert_eq!(swarm.get(0, "/get_stats/v1").await.status, 200);
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quic_too_and_both_count_together() {
    let swarm = limited().await;
    let (_endpoint, connection) = connect(&swarm, Ipv4Addr::LOCALHOST).await;
    exhaust(async || quic(&connection, "info", b"").await.is_ok()).await;
    let mut refused = quic(&connection, "info", b"").await;
    while refused.is_ok() {
        refused = quic(&connection, "info", b"").await;
    }
    assert_eq!(refused.unwrap_err(), "429 Too Many Requests\n\nToo many requests, try again later");
    // Nothing is left over HTTPS either, but what comes back in the meantime.
    let began = Instant::now();
    let mut taken = 0;
    while swarm.rpc(0, &info()).await.0 == 200 {
        taken += 1;
    }
    assert!(taken <= began.elapsed().as_secs() + 2, "{taken}");
    for _ in 0..BURST * 2 {
        assert_eq!(quic(&connection, "snode_ping", b"").await.unwrap(), b"pong");
        let body = info().to_string();
        let destination = Destination::Snode { node: &swarm.listed[0], body: body.as_bytes() };
        let sealed = seal(&swarm.listed, destination, &mut OsRng).unwrap();
        assert!(quic(&connection, "onion_req", &sealed.body).await.is_ok());
    }
    swarm.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn another_address_has_its_own_limit() {
    let swarm = limited().await;
    for from in [Ipv4Addr::new(127, 9, 9, 1), Ipv4Addr::new(127, 9, 9, 2)] {
        let (_endpoint, connection) = connect(&swarm, from).await;
        exhaust(async || quic(&connection, "info", b"").await.is_ok()).await;
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_is_no_limit() {
    let swarm = node_with(|config| (config.rate_per_second, config.rate_burst) = (0, 1)).await;
    for _ in 0..50 {
        assert_eq!(swarm.rpc(0, &info()).await.0, 200);
    }
    swarm.stop().await;
}

/// A clock that keeps its thread busy, as too much work would.
#[derive(Default)]
struct SlowClock(AtomicBool);

impl Clock for SlowClock {
    fn now(&self) -> Timestamp {
        if self.0.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        common::now()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_more_to_do_than_can_be_done_some_are_refused_and_afterwards_nobody_is() {
    let clock = Arc::new(SlowClock::default());
    let mut swarm = Swarm::listed(&[0]);
    let mut config = swarm.config(0);
    (config.shed_above_ms, config.metrics) = (100, Some(loopback()));
    let hooks = Hooks { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Hooks::default() };
    swarm.nodes.push(common::start(&config, hooks).await);
    let swarm = Arc::new(swarm);
    assert_eq!(swarm.rpc(0, &info()).await.0, 200);

    clock.0.store(true, Ordering::Relaxed);
    let refused = Arc::new(AtomicBool::new(false));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (swarm, refused) = (Arc::clone(&swarm), Arc::clone(&refused));
        crowd.spawn(async move {
            while !refused.load(Ordering::Relaxed) {
                let answer = swarm.post(0, "/storage_rpc/v1", info().to_string().into_bytes()).await;
                if answer.status == 429 {
                    assert_eq!(&answer.body[..], b"Too Many Requests\n");
                    refused.store(true, Ordering::Relaxed);
                }
            }
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    clock.0.store(false, Ordering::Relaxed);
    // What had been measured is forgotten soon.
    while ask_operator(&swarm, "GET /metrics")
        .await
        .2
        .lines()
        .all(|line| line != "conclave_shed_thousandths 0")
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..100 {
        assert_eq!(swarm.rpc(0, &info()).await.0, 200);
    }
    let metrics = ask_operator(&swarm, "GET /metrics").await.2;
    assert!(value(&metrics, "conclave_shed_total{reason=\"overload\"}") >= 1.0);
    Arc::into_inner(swarm).unwrap().stop().await;
}

async fn ask_operator(swarm: &Swarm, request: &str) -> (u16, String, String) {
    let address = swarm.nodes[0].addresses().metrics.unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// The value of a line of `/metrics`.
fn value(metrics: &str, line: &str) -> f64 {
    let found = metrics.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in\n{metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_figures_and_nobody_in_them() {
    let swarm = node_with(|config| config.metrics = Some(loopback())).await;
    let body = store_of(1, "figures").to_json_body();
    for _ in 0..3 {
        assert_eq!(swarm.rpc_bytes(0, &body).await.0, 200);
    }
    swarm.rpc(0, &json!({"method": "own-invention", "params": {}})).await;
    let (_endpoint, connection) = connect(&swarm, Ipv4Addr::LOCALHOST).await;
    quic(&connection, "info", b"").await.unwrap();
    quic(&connection, "another-invention", b"").await.unwrap_err();
    let inner = info().to_string();
    let destination = Destination::Snode { node: &swarm.listed[0], body: inner.as_bytes() };
    let sealed = seal(&swarm.listed, destination, &mut OsRng).unwrap();
    swarm.post(0, "/onion_req/v2", sealed.body).await;
    swarm.post(0, "/onion_req/v2", Vec::new()).await;

    let (status, head, metrics) = ask_operator(&swarm, "GET /metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(metrics.ends_with("# EOF\n"));
    let requests = |transport: &str, method: &str, code: u16| {
        let labels = format!("transport=\"{transport}\",method=\"{method}\",code=\"{code}\"");
        value(&metrics, &format!("conclave_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("https", "store", 200), 3.0);
    assert_eq!(requests("https", "unknown", 400), 1.0);
    assert_eq!(requests("quic", "info", 200), 1.0);
    assert_eq!(requests("quic", "unknown", 500), 1.0);
    assert_eq!(requests("https", "onion_req", 200), 1.0);
    assert_eq!(requests("https", "onion_req", 400), 1.0);
    assert_eq!(requests("onion", "info", 200), 1.0);
    assert_eq!(value(&metrics, "conclave_onion_layers_total{role=\"relay\",code=\"200\"}"), 1.0);
    assert_eq!(value(&metrics, "conclave_onion_layers_total{role=\"destination\",code=\"200\"}"), 1.0);
    assert_eq!(value(&metrics, "conclave_messages"), 1.0);
    assert_eq!(value(&metrics, "conclave_accounts"), 1.0);
    assert!(value(&metrics, "conclave_store_bytes") > 0.0);
    assert_eq!(value(&metrics, "conclave_ready"), 1.0);
    assert!(value(&metrics, "conclave_commit_writes_count") >= 3.0);
    assert_eq!(value(&metrics, "conclave_request_seconds_count{transport=\"quic\"}"), 2.0);
    assert!(value(&metrics, "conclave_received_bytes_total{transport=\"https\"}") >= 3.0 * body.len() as f64);
    // The client, and the node itself, to which it passed a layer on.
    assert_eq!(value(&metrics, "conclave_connections{transport=\"quic\"}"), 2.0);
    assert!(value(&metrics, "conclave_connections{transport=\"https\"}") >= 1.0);

    let person = account(1);
    for secret in [
        person.id().to_hex(),
        person.ed25519_public().to_hex(),
        "127.0.0.1".to_owned(),
        swarm.listed[0].ip.to_string(),
        "invention".to_owned(),
        "figures".to_owned(),
    ] {
        assert!(!metrics.contains(&secret), "{secret} is in the figures");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_the_node_is_of_use_and_why_not() {
    let swarm = node_with(|config| config.metrics = Some(loopback())).await;
    let (status, head, body) = ask_operator(&swarm, "GET /health").await;
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &health["ready"], &health["reasons"]), (200, &json!(true), &json!([])), "{health}");
    assert!(head.contains("application/json"));
    assert_eq!(health["swarm"], swarm.listed[0].swarm.to_hex());
    assert_eq!(health["peers"], json!({"connected": 0, "down": 0, "unknown": 0}));
    assert_eq!(health["store"]["messages"], 0);
    for request in ["GET /", "POST /metrics", "GET /metrics/", "DELETE /health"] {
        assert_eq!(ask_operator(&swarm, request).await.0, 404, "{request}");
    }
    swarm.stop().await;

    let mut swarm = Swarm::listed(&[u64::MAX, 0]);
    let mut config = swarm.config(0);
    config.metrics = Some(loopback());
    swarm.nodes.push(common::start(&config, Hooks::default()).await);
    let (status, _, body) = ask_operator(&swarm, "GET /health").await;
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &health["reasons"]), (503, &json!(["not in any swarm"])), "{health}");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_this_machine_alone() {
    let swarm = Swarm::listed(&[0]);
    for address in ["0.0.0.0:0", "192.0.2.1:9100", "[::]:9100", "[2001:db8::1]:9100"] {
        let mut config = swarm.config(0);
        config.metrics = Some(address.parse().unwrap());
        let refused = Node::start(&config, Hooks::default()).await;
        assert!(matches!(refused, Err(NodeError::PublicMetrics(_))), "{address}");
    }
    let mut config = swarm.config(0);
    config.proxy_authorities = Some("/nowhere.pem".into());
    let refused = Node::start(&config, Hooks::default()).await;
    assert!(matches!(refused, Err(NodeError::Io { .. })), "{refused:?}");
}
