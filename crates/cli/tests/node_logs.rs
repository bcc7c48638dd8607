//! What nodes write when everything is to be written: nothing about people.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use conclave_crypto::{Account, Ed25519Secret, X25519Pair};
use conclave_devnet::{Layout, Plan};
use conclave_node::{Clock as _, SystemClock};
use conclave_onion::request::{Destination, Server, seal};
use conclave_proto::rpc::{Lifetime, Request, Store, signing};
use conclave_proto::v4::V4Request;
use conclave_proto::{Namespace, SnodeRecord};
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Target};
use conclave_transport::quic::{Alpn, Endpoint, Lane};
use rand_core::OsRng;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

const NODES: usize = 4;
const TEXT: &str = "nobody else is to read this";
const HOST: &str = "chat.somebody.invalid";

/// A node process and what it writes to standard error.
struct Running {
    child: Child,
    stderr: JoinHandle<String>,
}

fn start(config: &std::path::Path, format: &str) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_conclave"))
        .args(["node", "run", "--json", "--stop-with-stdin", "--config"])
        .arg(config)
        .env("RUST_LOG", "trace")
        .env("CONCLAVE_LOG_FORMAT", format)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let stderr = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.contains("\"event\":\"ready\""), "{ready}");
    Running { child, stderr }
}

fn account() -> Account {
    Account::from_secret(Ed25519Secret::from_seed(&[42; 32]))
}

fn b64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn store() -> Request {
    Request::Store(Store {
        account: *account().id(),
        namespace: Namespace::DIRECT,
        timestamp: SystemClock.now(),
        lifetime: Lifetime::Ttl(60_000),
        data: TEXT.as_bytes().to_vec(),
        auth: None,
        sig_timestamp: None,
    })
}

/// A signed `retrieve`, and the signature as it is written.
fn retrieve() -> (Value, String) {
    let (account, timestamp) = (account(), SystemClock.now());
    let signature = account.ed25519().sign(&signing::retrieve(Namespace::DIRECT, timestamp));
    let signature = b64(signature.as_bytes());
    let params = json!({
        "pubkey": account.id().to_hex(), "pubkey_ed25519": account.ed25519_public().to_hex(),
        "timestamp": timestamp.0, "signature": signature, "namespace": 0,
    });
    (json!({"method": "retrieve", "params": params}), signature)
}

/// Asks every node for everything, rightly and wrongly, on every way there is.
async fn talk(nodes: &[SnodeRecord]) -> Vec<String> {
    let client = Client::new();
    let soon = || Deadline::after(Duration::from_secs(60));
    let (retrieve, signature) = retrieve();
    let mut forged = retrieve.clone();
    forged["params"]["signature"] = json!(b64(&[7; 64]));
    let mut answered = Vec::new();
    for node in nodes {
        let target = Target::node((node.ip, node.https_port).into());
        let bodies = [
            store().to_json_body(),
            retrieve.to_string().into_bytes(),
            forged.to_string().into_bytes(),
            b"{".to_vec(),
            json!({"method": account().id().to_hex(), "params": {}}).to_string().into_bytes(),
            vec![b' '; 10_485_761],
        ];
        for body in bodies {
            // An upload that is refused half-way may end in a broken connection.
            let answer = client.post(&target, "/storage_rpc/v1", "application/json", body, soon()).await;
            answered.extend(answer.map(|answer| answer.status));
        }
        let path = format!("/{}?text={TEXT}", account().id().to_hex()).replace(' ', "+");
        client.get(&target, &path, soon()).await.unwrap();

        let endpoint = Endpoint::client().unwrap();
        let connection =
            endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Client).await.unwrap();
        let params = retrieve["params"].to_string();
        for (command, body) in [("retrieve", params.as_bytes()), (TEXT, b"{}"), ("store", TEXT.as_bytes())] {
            let _ = connection.request(Lane::Commands, command, body, soon()).await;
        }
        connection.close();
        // Somebody with the wrong key in mind, somebody who speaks no TLS, and somebody who just goes.
        let other = Ed25519Secret::from_seed(&[1; 32]).public();
        let _ = endpoint.dial((node.ip, node.quic_port).into(), other, Alpn::Client).await;
        let mut raw = tokio::net::TcpStream::connect((node.ip, node.https_port)).await.unwrap();
        raw.write_all(TEXT.as_bytes()).await.unwrap();
        drop(raw);
    }
    let (path, last) = (&nodes[..3], &nodes[3]);
    let place = |host: &str| Server {
        host: host.to_owned(),
        port: 443,
        https: true,
        target: "/oxen/v4/lsrpc".to_owned(),
        x25519: *X25519Pair::generate(&mut OsRng).public(),
    };
    let request =
        V4Request { method: "GET".into(), endpoint: "/".into(), headers: [].into(), body: TEXT.into() };
    let (named, local) = (place(HOST), place("127.0.0.1"));
    let (stored, read) = (store().to_json_body(), retrieve.to_string());
    for destination in [
        Destination::Snode { node: last, body: &stored },
        Destination::Snode { node: last, body: read.as_bytes() },
        Destination::Server { server: &named, request: &request },
        Destination::Server { server: &local, request: &request },
    ] {
        let sealed = seal(path, destination, &mut OsRng).unwrap();
        let guard = Target::node((path[0].ip, path[0].https_port).into());
        client.post(&guard, "/onion_req/v2", "", sealed.body, soon()).await.unwrap();
    }
    assert!(answered.contains(&200) && answered.contains(&401) && answered.contains(&400), "{answered:?}");
    vec![signature]
}

#[test]
fn with_everything_logged_nobody_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::in_data_dir(dir.path());
    let plan = Plan::prepare(layout, NODES, None, SystemClock.now()).unwrap();
    let running: Vec<_> = plan
        .nodes()
        .iter()
        .map(|node| {
            let format = if node.index % 2 == 0 { "json" } else { "text" };
            start(&plan.layout().node_config(node.index), format)
        })
        .collect();
    let nodes: Vec<_> = plan.nodes().iter().map(|node| node.record).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut secrets = runtime.block_on(talk(&nodes));
    drop(runtime);

    let person = account();
    secrets.extend([
        person.id().to_hex(),
        person.id().to_hex()[2..].to_owned(),
        // Not even the beginning.
        person.id().to_hex()[2..14].to_owned(),
        person.ed25519_public().to_hex()[..12].to_owned(),
        b64(&person.id().as_bytes()[1..]),
        "127.0.0.1".to_owned(),
        TEXT.to_owned(),
        TEXT.replace(' ', "+"),
        b64(TEXT.as_bytes()),
        HOST.to_owned(),
        "somebody".to_owned(),
    ]);
    for (index, mut node) in running.into_iter().enumerate() {
        drop(node.child.stdin.take());
        assert!(node.child.wait().unwrap().success());
        let log = node.stderr.join().unwrap();
        assert!(log.contains("the node answers"), "there is something to look at: {log}");
        assert!(log.contains("a request was not authorised"), "down to the details: {log}");
        for secret in &secrets {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in the log of node {}", index + 1);
        }
        if index % 2 == 1 {
            for line in log.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                assert!(event["level"].is_string() && event["fields"]["message"].is_string(), "{line}");
            }
        }
    }
}
