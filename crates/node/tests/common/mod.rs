//! Nodes in this process, on loopback.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

pub mod asking;
pub mod chunks;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base64::Engine as _;
use conclave_crypto::{Account, Ed25519Public, Ed25519Secret};
use conclave_node::{
    ADVERTISED_VERSION, Clock as _, Hooks, KEY_FILE, Node, NodeConfig, NodeError, Observer, Received,
    SystemClock,
};
use conclave_proto::network::{Directory, NetworkFile, Seed, SwarmParams};
use conclave_proto::rpc::{Lifetime, Request, Store, signing};
use conclave_proto::{Namespace, SnodeRecord, SwarmId, Timestamp, Version};
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Response, Target};
use serde_json::{Value, json};
use tokio::sync::watch;

pub fn now() -> Timestamp {
    SystemClock.now()
}

pub fn account(number: u8) -> Account {
    Account::from_secret(Ed25519Secret::from_seed(&[number; 32]))
}

pub fn b64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub fn store_of(number: u8, text: &str) -> Request {
    Request::Store(Store {
        account: *account(number).id(),
        namespace: Namespace::DIRECT,
        timestamp: now(),
        lifetime: Lifetime::Ttl(60_000),
        data: text.as_bytes().to_vec(),
        auth: None,
        sig_timestamp: None,
    })
}

pub fn signed_retrieve(number: u8, extra: &Value) -> Value {
    let account = account(number);
    let timestamp = now();
    let signature = account.ed25519().sign(&signing::retrieve(Namespace::DIRECT, timestamp));
    let mut params = json!({
        "pubkey": account.id().to_hex(), "pubkey_ed25519": account.ed25519_public().to_hex(),
        "timestamp": timestamp.0, "signature": b64(signature.as_bytes()), "namespace": 0,
    });
    for (name, value) in extra.as_object().unwrap() {
        params[name] = value.clone();
    }
    json!({"method": "retrieve", "params": params})
}

pub fn texts(answer: &Value) -> Vec<String> {
    let decode = |m: &Value| {
        let data = base64::engine::general_purpose::STANDARD.decode(m["data"].as_str().unwrap()).unwrap();
        String::from_utf8(data).unwrap()
    };
    answer["messages"].as_array().unwrap().iter().map(decode).collect()
}

/// Counts the greetings of other nodes.
pub struct Greetings(watch::Sender<Vec<Ed25519Public>>);

impl Default for Greetings {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Observer for Greetings {
    fn received(&self, what: Received<'_>) {
        if let Received::Quic { key, is_node: true, endpoint: "snode_ping", .. } = what {
            self.0.send_modify(|seen| seen.push(key));
        }
    }
}

impl Greetings {
    /// Waits until so many have come from one node.
    pub async fn of(&self, key: Ed25519Public, count: usize) {
        let enough = |seen: &Vec<_>| seen.iter().filter(|other| **other == key).count() >= count;
        self.0.subscribe().wait_for(enough).await.unwrap();
    }
}

/// Nodes with a directory of their own. Not all that are listed need to run.
pub struct Swarm {
    pub nodes: Vec<Node>,
    client: Client,
    registry: Ed25519Secret,
    /// Everybody in the first directory, in the order of their numbers.
    pub listed: Vec<SnodeRecord>,
    dir: tempfile::TempDir,
}

/// The key of the node with that number.
pub fn node_secret(index: usize) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[100 + index as u8; 32])
}

/// Where the nodes of one swarm listen: where all of 127/8 is this machine, at an address and on ports nobody else is
/// given; elsewhere on ports that are free now.
fn addresses(count: usize) -> Vec<(Ipv4Addr, u16, u16)> {
    static SWARMS: AtomicU8 = AtomicU8::new(1);
    if cfg!(target_os = "linux") {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, high, low, SWARMS.fetch_add(1, Ordering::Relaxed));
        return (0..count as u16).map(|index| (ip, 21_000 + index, 20_000 + index)).collect();
    }
    let held: Vec<_> = (0..count)
        .map(|_| {
            let address = (Ipv4Addr::LOCALHOST, 0);
            (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap())
        })
        .collect();
    held.iter()
        .map(|(tcp, udp)| {
            (Ipv4Addr::LOCALHOST, tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port())
        })
        .collect()
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
        let mut swarm = Self::listed(swarms);
        for index in 0..swarms.len() {
            swarm.run(index, hooks(index)).await;
        }
        swarm
    }

    /// A node for each swarm id, none of which runs.
    pub fn listed(swarms: &[u64]) -> Self {
        Self::listed_as(swarms, node_secret)
    }

    /// The same with other keys than those of [`node_secret`].
    pub fn listed_as(swarms: &[u64], secret: impl Fn(usize) -> Ed25519Secret) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = Ed25519Secret::from_seed(&[200; 32]);
        let mut listed = Vec::new();
        for (index, (ip, https_port, quic_port)) in addresses(swarms.len()).into_iter().enumerate() {
            let secret = secret(index);
            let node_dir = dir.path().join(index.to_string());
            std::fs::create_dir(&node_dir).unwrap();
            std::fs::write(node_dir.join(KEY_FILE), hex::encode(secret.seed().as_ref())).unwrap();
            let ed25519 = secret.public();
            listed.push(SnodeRecord {
                ed25519,
                x25519: ed25519.to_x25519(),
                ip,
                https_port,
                quic_port,
                swarm: SwarmId(swarms[index]),
                version: Version(ADVERTISED_VERSION),
            });
        }
        let network = NetworkFile {
            network_id: "test".into(),
            registry_key: Some(registry.public()),
            swarm_params: SwarmParams::DEVNET,
            seeds: vec![Seed::Quic { address: "127.0.0.1:1".parse().unwrap(), ed25519: registry.public() }],
            file_server: None,
            max_file_bytes: None,
            other: serde_json::Map::new(),
        };
        std::fs::write(dir.path().join("network.json"), network.to_json()).unwrap();
        let swarm = Self { nodes: Vec::new(), client: Client::new(), registry, listed, dir };
        swarm.write_directory(1, &swarm.listed);
        swarm
    }

    /// Puts a directory where the nodes look for it.
    pub fn write_directory(&self, height: u64, records: &[SnodeRecord]) {
        let valid_until = now().plus(Duration::from_secs(600));
        let directory = Directory::new("test".into(), height, now(), valid_until, records.to_vec()).unwrap();
        let new = self.dir.path().join("directory.new");
        std::fs::write(&new, directory.sign(&self.registry).to_json()).unwrap();
        std::fs::rename(new, self.directory_file()).unwrap();
    }

    pub fn directory_file(&self) -> PathBuf {
        self.dir.path().join("directory.json")
    }

    pub fn config(&self, index: usize) -> NodeConfig {
        let config = NodeConfig::new(
            self.dir.path().join(index.to_string()),
            self.dir.path().join("network.json"),
            self.directory_file(),
        );
        // Everybody in these tests has the same address, and asks as fast as they can.
        config.without_rate_limits()
    }

    /// Starts the node with that number; it becomes the last of `nodes`.
    pub async fn run(&mut self, index: usize, hooks: Hooks) {
        self.nodes.push(start(&self.config(index), hooks).await);
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

    pub async fn get(&self, node: usize, path: &str) -> Response {
        let target = Target::node(self.nodes[node].addresses().https);
        self.client.get(&target, path, Deadline::after(Duration::from_secs(60))).await.unwrap()
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
        let stops: Vec<_> = self.nodes.into_iter().map(|node| tokio::spawn(node.shutdown())).collect();
        for stop in stops {
            stop.await.unwrap();
        }
    }
}

/// Starts a node, as soon as one that was stopped in this process has freed the addresses (see [`Node::shutdown`]).
pub async fn start(config: &NodeConfig, hooks: Hooks) -> Node {
    let started = tokio::time::Instant::now();
    loop {
        match Node::start(config, hooks.clone()).await {
            Err(NodeError::Listen { source, .. })
                if source.kind() == std::io::ErrorKind::AddrInUse
                    && started.elapsed() < Duration::from_secs(30) =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            started => return started.unwrap(),
        }
    }
}
