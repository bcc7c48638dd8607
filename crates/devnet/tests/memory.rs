//! How much memory files take, however large they are: in the hops of a path, through which programs of others fetch and send
//! theirs whole, and in the clients at both ends.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use common::{Home, Net, Running, memory};
use conclave_crypto::X25519Pair;
use conclave_devnet::Devnet;
use conclave_node::NodeConfig;
use conclave_onion::request::{Destination, Server as Place, seal};
use conclave_proto::SnodeRecord;
use conclave_proto::v4::V4Request;
use conclave_transport::Deadline;
use conclave_transport::http::{self, Incoming, Options, Reply};
use conclave_transport::https::{Client, Target};
use rand_core::OsRng;
use serde_json::{Value, json};

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HOPS: usize = 3;
/// As much as fits between hops.
const LARGE: usize = 9_900_000;
/// What a hop may need for it, and what a client may for a file of any size.
const MOST: u64 = 16_000_000;

/// Fails if a process has had much more than `before`.
fn counted(what: &str, pid: u32, before: u64) {
    let more = memory(pid, "VmHWM").unwrap().saturating_sub(before);
    let [more_mb, before_mb] = [more, before].map(|bytes| bytes as f64 / 1e6);
    println!("{what}: {more_mb:.1} MB more than the {before_mb:.1} before");
    assert!(more <= MOST, "{what}: {more} bytes");
}

/// What a process has now; the most it has is counted from here.
fn begin_counting(pid: u32) -> u64 {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    memory(pid, "VmRSS").unwrap()
}

/// A network whose nodes pass requests on to that server.
async fn network(folder: &Path, server: SocketAddr) -> Devnet {
    let mut net = Devnet::start(folder, HOPS, common::conclave(), None, |_| {}).await.unwrap();
    for index in 1..=HOPS {
        net.kill(index).await.unwrap();
        let file = net.plan().layout().node_config(index);
        let mut config = NodeConfig::read(&file).unwrap();
        config.proxy_allow = vec![server.to_string().parse().unwrap()];
        std::fs::write(&file, config.to_toml()).unwrap();
        net.restart(index).await.unwrap();
    }
    net
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_holds_what_passes_through_it_once() {
    // It says so much to whoever asks for nothing, and little to whoever sends it so much.
    let options =
        Options { max_request_body: 2 * LARGE, max_buffered_bodies: 4 * LARGE, ..Options::default() };
    let body = Bytes::from(vec![0x5a; LARGE]);
    let server = http::listen(LOOPBACK, options, move |incoming: Incoming| {
        let reply =
            if incoming.body.len() < LARGE / 2 { body.clone() } else { Bytes::from_static(b"thanks") };
        async move { Reply::new(200, "application/octet-stream", reply) }
    })
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut net = network(folder.path(), server.local_addr()).await;
    let path: Vec<SnodeRecord> = net.plan().nodes().iter().map(|node| node.record).collect();
    let pids: Vec<u32> = net.processes().iter().map(|process| process.pid().unwrap()).collect();
    let order: Vec<usize> = net.processes().iter().map(|process| process.index()).collect();
    assert_eq!(order, [1, 2, 3], "in the order of the path");

    let place = Place {
        host: server.local_addr().ip().to_string(),
        port: server.local_addr().port(),
        https: false,
        target: "/oxen/v4/lsrpc".to_owned(),
        x25519: *X25519Pair::generate(&mut OsRng).public(),
    };
    let ask = async |length: usize| {
        let body = vec![0xa5; length];
        let request = V4Request { method: "POST".into(), endpoint: "/file".into(), headers: [].into(), body };
        let destination = Destination::Server { server: &place, request: &request };
        let sealed = seal(&path, destination, &mut OsRng).unwrap();
        let guard = Target::node((path[0].ip, path[0].https_port).into());
        let deadline = Deadline::after(Duration::from_secs(60));
        let answer = Client::new().post(&guard, "/onion_req/v2", "", sealed.body, deadline).await.unwrap();
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body.len()
    };
    // Connections, keys and code are there before anything is counted.
    assert_eq!(ask(LARGE / 2).await, 6);
    for (what, length, answered) in [("fetching", 0, LARGE), ("sending", LARGE - 10_000, 6)] {
        let before: Vec<u64> = pids.iter().map(|pid| begin_counting(*pid)).collect();
        assert_eq!(ask(length).await, answered);
        for (hop, (pid, before)) in pids.iter().zip(before).enumerate() {
            counted(&format!("{what}, hop {hop}"), *pid, before);
        }
    }
    net.stop().await;
}

/// Sends a message and waits until it is stored.
fn send(rpc: &mut Running, message: Value) -> String {
    let id = rpc.ask("send", message)["id"].as_str().unwrap().to_owned();
    rpc.ask("wait_for", json!({"id": id, "state": "stored", "timeout_ms": 170_000}));
    id
}

/// Waits until a message has come and has all of its files.
fn until_here(rpc: &mut Running, id: &str) {
    loop {
        let line = rpc.next();
        let message = &line["params"];
        let is_here = |file: &Value| file["state"] == "here";
        if message["id"] == id
            && message["attachments"].as_array().is_some_and(|files| files.iter().all(is_here))
        {
            return;
        }
    }
}

#[test]
fn clients_hold_some_pieces_of_a_file_and_not_the_file() {
    let home = Home::new();
    let net = Net::start(&home, 5);
    let (_, bob) = home.acquainted();
    let [mut sender, mut recipient] = ["alice", "bob"].map(|name| home.start(&["rpc", "--profile", name]));
    recipient.ask("subscribe", json!({}));
    let source = home.path().join("film.bin");
    // Connections, keys and code are there before anything is counted.
    for (size, counts) in [(1_000_000, false), (48_000_000, true)] {
        let content: Vec<u8> =
            (0_u32..size / 4).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
        std::fs::write(&source, content).unwrap();
        let before = [&sender, &recipient].map(|rpc| begin_counting(rpc.pid()));
        let id = send(&mut sender, json!({"to": bob, "attachments": [{"path": source}]}));
        recipient.ask("fetch", json!({}));
        recipient.ask("fetch_file", json!({"id": id}));
        until_here(&mut recipient, &id);
        if counts {
            counted("who sends", sender.pid(), before[0]);
            counted("who fetches", recipient.pid(), before[1]);
        }
    }
    assert_eq!((sender.end_of_input(), recipient.end_of_input()), (Some(0), Some(0)));
    net.stop();
}
