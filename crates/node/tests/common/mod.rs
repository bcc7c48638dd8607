//! Nodes in this process, on loopback.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use conclave_crypto::{Account, Ed25519Public, Ed25519Secret};
use conclave_node::{ADVERTISED_VERSION, Clock as _, Hooks, KEY_FILE, Node, NodeConfig, SystemClock};
use conclave_proto::network::{Directory, NetworkFile, Seed, SwarmParams};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp, Version};
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Response, Target};
use serde_json::Value;

pub fn now() -> Timestamp {
    SystemClock.now()
}

pub fn account(number: u8) -> Account {
    Account::from_secret(Ed25519Secret::from_seed(&[number; 32]))
}

pub struct Swarm {
    pub nodes: Vec<Node>,
    client: Client,
    registry: Ed25519Secret,
    _dir: tempfile::TempDir,
}

impl Swarm {
    pub async fn start(count: usize) -> Self {
        Self::with_hooks(&vec![0; count], |_| Hooks::default()).await
    }

    /// Two nodes, each the only one of its swarm.
    pub async fn start_two_swarms() -> Self {
        Self::with_hooks(&[0, 1 << 63], |_| Hooks::default()).await
    }

    /// A node for each swarm id.
    pub async fn with_hooks(swarms: &[u64], hooks: impl Fn(usize) -> Hooks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = Ed25519Secret::from_seed(&[200; 32]);
        let mut held = Vec::new();
        let mut records = Vec::new();
        for (index, swarm) in swarms.iter().enumerate() {
            let secret = Ed25519Secret::from_seed(&[100 + index as u8; 32]);
            let node_dir = dir.path().join(index.to_string());
            std::fs::create_dir(&node_dir).unwrap();
            std::fs::write(node_dir.join(KEY_FILE), hex::encode(secret.seed().as_ref())).unwrap();
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let ed25519 = secret.public();
            records.push(SnodeRecord {
                ed25519,
                x25519: ed25519.to_x25519(),
                ip: Ipv4Addr::LOCALHOST,
                https_port: tcp.local_addr().unwrap().port(),
                quic_port: udp.local_addr().unwrap().port(),
                swarm: SwarmId(*swarm),
                version: Version(ADVERTISED_VERSION),
            });
            held.push((tcp, udp));
        }
        drop(held);
        let network = NetworkFile {
            network_id: "test".into(),
            registry_key: Some(registry.public()),
            swarm_params: SwarmParams::DEVNET,
            seeds: vec![Seed::Quic { address: "127.0.0.1:1".parse().unwrap(), ed25519: registry.public() }],
            other: serde_json::Map::new(),
        };
        std::fs::write(dir.path().join("network.json"), network.to_json()).unwrap();
        let directory =
            Directory::new("test".into(), 1, now(), now().plus(Duration::from_secs(600)), records).unwrap();
        std::fs::write(dir.path().join("directory.json"), directory.sign(&registry).to_json()).unwrap();
        let mut nodes = Vec::new();
        for index in 0..swarms.len() {
            let config = NodeConfig::new(
                dir.path().join(index.to_string()),
                dir.path().join("network.json"),
                dir.path().join("directory.json"),
            );
            nodes.push(Node::start(&config, hooks(index)).await.unwrap());
        }
        Self { nodes, client: Client::new(), registry, _dir: dir }
    }

    pub fn registry_key(&self) -> Ed25519Public {
        self.registry.public()
    }

    /// All nodes of the directory, in its order.
    pub fn records(&self) -> Vec<SnodeRecord> {
        self.nodes[0].view().directory().nodes().to_vec()
    }

    /// The running nodes' records, in the order they were started.
    pub fn records_by_node(&self) -> Vec<SnodeRecord> {
        self.nodes.iter().map(|node| *node.view().own()).collect()
    }

    pub async fn post(&self, node: usize, path: &str, body: Vec<u8>) -> Response {
        let target = Target::node(self.nodes[node].addresses().https);
        let deadline = Deadline::after(Duration::from_secs(60));
        self.client.post(&target, path, "application/json", body, deadline).await.unwrap()
    }

    /// A storage request; a text answer is given as a JSON string.
    pub async fn rpc_bytes(&self, node: usize, body: &[u8]) -> (u16, Value) {
        let response = self.post(node, "/storage_rpc/v1", body.to_vec()).await;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::String(text)))
    }

    pub async fn rpc(&self, node: usize, request: &Value) -> (u16, Value) {
        self.rpc_bytes(node, request.to_string().as_bytes()).await
    }

    pub async fn stop(self) {
        for node in self.nodes {
            node.shutdown().await;
        }
    }
}
