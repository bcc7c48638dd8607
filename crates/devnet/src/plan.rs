//! What a private network consists of: made the first time, read again every other time.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use conclave_crypto::Ed25519Secret;
use conclave_node::folder::free_port;
use conclave_proto::membership;
use conclave_proto::network::{Directory, NetworkFile};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp, Version};
use rand_core::{OsRng, RngCore as _};

use crate::DevnetError;
use crate::files::{create_dir, read_secret, write_atomically};
use crate::layout::Layout;
use crate::registry::Registry;

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

/// A private network as it is on disk: everything but the running processes. Nodes of other people may be in its directory;
/// they are kept there and not started. Nodes made here that have left are not started either.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    network: NetworkFile,
    directory: Directory,
    nodes: Vec<PlannedNode>,
}

impl Plan {
    /// The network in `layout` with `count` nodes of its own, made if it is not there. Ports that somebody else has taken
    /// since the last time are replaced, and the directory signed anew.
    ///
    /// # Errors
    /// If there is a network of another size, or its files are damaged or cannot be written.
    pub fn prepare(
        layout: Layout,
        count: usize,
        seed_http: Option<u16>,
        now: Timestamp,
    ) -> Result<Self, DevnetError> {
        let (mut registry, made, mut nodes) = if layout.directory().exists() {
            let registry = Registry::open(&layout)?;
            let (made, nodes) = own_nodes(&layout, registry.directory())?;
            (registry, made, nodes)
        } else {
            let registry = Registry::create(&layout)?;
            (registry, count, make_nodes(&layout, count)?)
        };
        if made != count {
            return Err(DevnetError::OtherSize { dir: layout.operator_dir(), existing: made, asked: count });
        }
        let foreign: Vec<SnodeRecord> = registry
            .directory()
            .map(Directory::nodes)
            .unwrap_or_default()
            .iter()
            .filter(|record| nodes.iter().all(|node| node.record.ed25519 != record.ed25519))
            .copied()
            .collect();
        replace_taken_ports(&mut nodes, &foreign)?;
        let all: Vec<SnodeRecord> = nodes.iter().map(|node| node.record).chain(foreign).collect();
        registry.set_seeds(all.get(..SEEDS).unwrap_or(&all))?;
        write_configs(&layout, made, seed_http)?;
        // The directory is written last and marks a complete network: until then, making starts over.
        registry.sign(all, now)?;
        let directory = registry
            .directory()
            .cloned()
            .ok_or_else(|| DevnetError::NoNetwork { dir: layout.operator_dir() })?;
        Ok(Self { network: registry.network().clone(), layout, directory, nodes })
    }

    /// Where its files are.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What clients are given.
    pub const fn network_file(&self) -> &NetworkFile {
        &self.network
    }

    /// The directory as it was when the network was prepared: also with nodes of other people.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The nodes to be started, by index: those made here that have not left.
    pub fn nodes(&self) -> &[PlannedNode] {
        &self.nodes
    }
}

/// How many nodes were made here, and those of them that are listed.
fn own_nodes(
    layout: &Layout,
    directory: Option<&Directory>,
) -> Result<(usize, Vec<PlannedNode>), DevnetError> {
    let damaged = |problem: String| DevnetError::Damaged { dir: layout.operator_dir(), problem };
    let mut nodes = Vec::new();
    let mut made = 0;
    while layout.node_dir(made + 1).exists() {
        made += 1;
        let key_file = layout.node_dir(made).join(conclave_node::KEY_FILE);
        let public = read_secret(&key_file).map_err(&damaged)?.public();
        if let Some(record) = directory.and_then(|directory| directory.node(&public)) {
            nodes.push(PlannedNode { index: made, record: *record });
        }
    }
    Ok((made, nodes))
}

fn make_nodes(layout: &Layout, count: usize) -> Result<Vec<PlannedNode>, DevnetError> {
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
    let params = conclave_proto::network::SwarmParams::DEVNET;
    let assigned = membership::initial_assignment(&params, &keys, OsRng.next_u64());
    for node in &mut nodes {
        node.record.swarm = assigned.get(&node.record.ed25519).copied().unwrap_or(SwarmId::NONE);
    }
    Ok(nodes)
}

fn replace_taken_ports(nodes: &mut [PlannedNode], foreign: &[SnodeRecord]) -> Result<(), DevnetError> {
    // All sockets are held until every node has its ports, or two nodes could be given the same one. Ports of foreign nodes
    // that do not run just now are theirs all the same.
    let mut held = Vec::new();
    for node in nodes {
        let (index, record) = (node.index, &mut node.record);
        let port_error = |source| DevnetError::Start { index, source };
        let others = || foreign.iter().filter(|other| other.ip == record.ip);
        let is_theirs = |port: u16, of: fn(&SnodeRecord) -> u16| others().any(|other| of(other) == port);
        let tcp = free(record.https_port, |port| {
            let socket = TcpListener::bind((record.ip, port))?;
            let port = socket.local_addr()?.port();
            Ok((!is_theirs(port, |other| other.https_port)).then_some((socket, port)))
        });
        let udp = free(record.quic_port, |port| {
            let socket = UdpSocket::bind((record.ip, port))?;
            let port = socket.local_addr()?.port();
            Ok((!is_theirs(port, |other| other.quic_port)).then_some((socket, port)))
        });
        let ((tcp, https_port), (udp, quic_port)) = (tcp.map_err(port_error)?, udp.map_err(port_error)?);
        (record.https_port, record.quic_port) = (https_port, quic_port);
        held.push((tcp, udp));
    }
    Ok(())
}

/// What `bind` makes of `port` or, if that is not to be had, of a free one.
fn free<T>(port: u16, bind: impl Fn(u16) -> std::io::Result<Option<T>>) -> std::io::Result<T> {
    let bind = |port| bind(port)?.ok_or_else(|| std::io::ErrorKind::AddrInUse.into());
    match bind(port) {
        Ok(bound) if port != 0 => Ok(bound),
        _ => free_port(bind),
    }
}

fn write_configs(layout: &Layout, made: usize, seed_http: Option<u16>) -> Result<(), DevnetError> {
    for index in 1..=made {
        let config = conclave_node::NodeConfig {
            seed_http: seed_http.filter(|_| index == 1).map(|port| (Ipv4Addr::LOCALHOST, port).into()),
            ..conclave_node::NodeConfig::new(
                layout.node_dir(index),
                layout.network_file(),
                layout.directory(),
            )
            // All clients of such a network are this machine, and would share one address's rate.
            .without_rate_limits()
        };
        write_atomically(&layout.node_config(index), config.to_toml().as_bytes(), false)?;
    }
    Ok(())
}
