//! What a private network consists of: made the first time, read again every other time.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;

use conclave_crypto::Ed25519Secret;
use conclave_proto::membership;
use conclave_proto::network::{Directory, NetworkFile, Seed, SignedDirectory, SwarmParams};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp, Version};
use rand_core::{OsRng, RngCore as _};

use crate::layout::Layout;
use crate::{DIRECTORY_LIFETIME, DevnetError};

/// How many nodes are named as seeds in the network file. One honest answer is enough; some may be down.
const SEEDS: usize = 4;

/// One node of the plan.
#[derive(Debug, Clone)]
pub struct PlannedNode {
    /// Counted from 1; names its folder.
    pub index: usize,
    /// What the directory says of it.
    pub record: SnodeRecord,
}

/// A private network as it is on disk: everything but the running processes.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    registry: Ed25519Secret,
    network: NetworkFile,
    nodes: Vec<PlannedNode>,
    height: u64,
}

impl Plan {
    /// The network in `layout` with `count` nodes, made if it is not there. Ports that somebody else has taken since
    /// the last time are replaced, and the directory signed anew.
    ///
    /// # Errors
    /// If there is a network of another size, or its files are damaged or cannot be written.
    pub fn prepare(
        layout: Layout,
        count: usize,
        seed_http: Option<u16>,
        now: Timestamp,
    ) -> Result<Self, DevnetError> {
        let mut plan =
            if layout.directory().exists() { Self::read(layout)? } else { Self::make(layout, count)? };
        if plan.nodes.len() != count {
            return Err(DevnetError::OtherSize {
                dir: plan.layout.operator_dir(),
                existing: plan.nodes.len(),
                asked: count,
            });
        }
        plan.replace_taken_ports()?;
        plan.write(seed_http)?;
        plan.sign_directory(now)?;
        Ok(plan)
    }

    /// Where its files are.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What clients are given.
    pub const fn network_file(&self) -> &NetworkFile {
        &self.network
    }

    /// All nodes, by index.
    pub fn nodes(&self) -> &[PlannedNode] {
        &self.nodes
    }

    /// Signs a new directory, one higher than the last, and puts it where the nodes look.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn sign_directory(&mut self, now: Timestamp) -> Result<(), DevnetError> {
        self.height += 1;
        let records = self.nodes.iter().map(|node| node.record).collect();
        let directory = Directory::new(
            self.network.network_id.clone(),
            self.height,
            now,
            now.plus(DIRECTORY_LIFETIME),
            records,
        )
        .map_err(|e| self.damaged(&e.to_string()))?;
        write_atomically(&self.layout.directory(), directory.sign(&self.registry).to_json().as_bytes(), false)
    }

    fn make(layout: Layout, count: usize) -> Result<Self, DevnetError> {
        let registry = Ed25519Secret::generate(&mut OsRng);
        create_dir(&layout.operator_dir())?;
        write_atomically(&layout.registry_key(), hex::encode(registry.seed().as_ref()).as_bytes(), true)?;
        let mut nodes = Vec::with_capacity(count);
        for index in 1..=count {
            let secret = Ed25519Secret::generate(&mut OsRng);
            create_dir(&layout.node_dir(index))?;
            let key_file = layout.node_dir(index).join(conclave_node::KEY_FILE);
            write_atomically(&key_file, hex::encode(secret.seed().as_ref()).as_bytes(), true)?;
            let ed25519 = secret.public();
            let record = SnodeRecord {
                ed25519,
                x25519: ed25519.to_x25519(),
                ip: Ipv4Addr::LOCALHOST,
                https_port: 0,
                quic_port: 0,
                swarm: SwarmId::NONE,
                version: Version(conclave_node::ADVERTISED_VERSION),
            };
            nodes.push(PlannedNode { index, record });
        }
        let keys: Vec<_> = nodes.iter().map(|node| node.record.ed25519).collect();
        let assigned = membership::initial_assignment(&SwarmParams::DEVNET, &keys, OsRng.next_u64());
        for node in &mut nodes {
            node.record.swarm = assigned.get(&node.record.ed25519).copied().unwrap_or(SwarmId::NONE);
        }
        let registry_key = registry.public();
        let network = NetworkFile {
            network_id: format!("devnet-{}", registry_key.to_hex().get(..8).unwrap_or_default()),
            registry_key: Some(registry_key),
            swarm_params: SwarmParams::DEVNET,
            seeds: Vec::new(),
            other: serde_json::Map::new(),
        };
        // The directory is written last and marks a complete network: until then, making starts over.
        Ok(Self { layout, registry, network, nodes, height: 0 })
    }

    fn read(layout: Layout) -> Result<Self, DevnetError> {
        let damaged = |problem: String| DevnetError::Damaged { dir: layout.operator_dir(), problem };
        let registry = read_secret(&layout.registry_key()).map_err(&damaged)?;
        let network = NetworkFile::from_json(&read(&layout.network_file())?)
            .map_err(|e| damaged(format!("network.json: {e}")))?;
        let directory = SignedDirectory::from_json(&read(&layout.directory())?)
            .and_then(|signed| signed.verify(&registry.public(), &network.network_id, 0))
            .map_err(|e| damaged(e.to_string()))?;
        let mut nodes = Vec::with_capacity(directory.nodes().len());
        for index in 1..=directory.nodes().len() {
            let key_file = layout.node_dir(index).join(conclave_node::KEY_FILE);
            let public = read_secret(&key_file).map_err(&damaged)?.public();
            let record = *directory
                .node(&public)
                .ok_or_else(|| damaged(format!("node {index} is not in the directory")))?;
            nodes.push(PlannedNode { index, record });
        }
        Ok(Self { height: directory.height, layout, registry, network, nodes })
    }

    fn replace_taken_ports(&mut self) -> Result<(), DevnetError> {
        // All sockets are held until every node has its ports, or two nodes could be given the same one.
        let mut held = Vec::new();
        for node in &mut self.nodes {
            let record = &mut node.record;
            let port_error = |source| DevnetError::Start { index: node.index, source };
            let tcp = TcpListener::bind((record.ip, record.https_port))
                .or_else(|_| TcpListener::bind((record.ip, 0)))
                .map_err(port_error)?;
            let udp = UdpSocket::bind((record.ip, record.quic_port))
                .or_else(|_| UdpSocket::bind((record.ip, 0)))
                .map_err(port_error)?;
            record.https_port = tcp.local_addr().map_err(port_error)?.port();
            record.quic_port = udp.local_addr().map_err(port_error)?.port();
            held.push((tcp, udp));
        }
        Ok(())
    }

    fn write(&mut self, seed_http: Option<u16>) -> Result<(), DevnetError> {
        let registry_key = self.registry.public();
        self.network.seeds = self
            .nodes
            .iter()
            .take(SEEDS)
            .map(|node| Seed::SignedList {
                url: format!("https://{}:{}/json_rpc", node.record.ip, node.record.https_port),
                pubkey_ed25519: registry_key,
            })
            .collect();
        write_atomically(&self.layout.network_file(), self.network.to_json().as_bytes(), false)?;
        for node in &self.nodes {
            let config = conclave_node::NodeConfig {
                seed_http: seed_http
                    .filter(|_| node.index == 1)
                    .map(|port| (Ipv4Addr::LOCALHOST, port).into()),
                ..conclave_node::NodeConfig::new(
                    self.layout.node_dir(node.index),
                    self.layout.network_file(),
                    self.layout.directory(),
                )
                // All clients of such a network are this machine, and would share one address's rate.
                .without_rate_limits()
            };
            write_atomically(&self.layout.node_config(node.index), config.to_toml().as_bytes(), false)?;
        }
        Ok(())
    }

    fn damaged(&self, problem: &str) -> DevnetError {
        DevnetError::Damaged { dir: self.layout.operator_dir(), problem: problem.to_owned() }
    }
}

/// Makes a folder that only its user can look into.
pub(crate) fn create_dir(path: &Path) -> Result<(), DevnetError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| DevnetError::Io { doing: "making", path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, DevnetError> {
    std::fs::read(path).map_err(|source| DevnetError::Io { doing: "reading", path: path.to_owned(), source })
}

fn read_secret(path: &Path) -> Result<Ed25519Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let seed: [u8; 32] = hex::decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("{} does not hold 64 hex digits", path.display()))?;
    Ok(Ed25519Secret::from_seed(&seed))
}

/// Writes a file so that a reader sees the old or the new content, never half of it.
fn write_atomically(path: &Path, content: &[u8], secret: bool) -> Result<(), DevnetError> {
    use std::io::Write as _;
    let io = |source| DevnetError::Io { doing: "writing", path: path.to_owned(), source };
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    let unfinished = path.with_extension("new");
    let mut file = options.open(&unfinished).map_err(io)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io)?;
    drop(file);
    std::fs::rename(&unfinished, path).map_err(io)
}
