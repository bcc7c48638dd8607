//! The folder of a node that its operator runs: made once, and asked for the signed requests by which the node comes into
//! a network and leaves it.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::network::{
    InvalidNetworkFile, JoinAddress, Membership, MembershipRequest, NetworkFile, RequestRejected, Seed,
    SignedMembershipRequest,
};
use conclave_proto::{Timestamp, Version};
use conclave_transport::https::{Address, split_url};
use rand_core::{OsRng, RngCore as _};

use crate::config::{ConfigError, KEY_FILE, NodeConfig};
use crate::node::{ADVERTISED_VERSION, NodeError, read_key};

/// The configuration in a node's folder.
pub const CONFIG_FILE: &str = "node.toml";
/// The request to be listed.
pub const JOIN_FILE: &str = "join.json";
/// The request to be listed no longer.
pub const LEAVE_FILE: &str = "leave.json";
/// The node's copy of the network file.
pub const NETWORK_FILE: &str = "network.json";
/// Where a node listens that is told nothing else, as the existing network's nodes do: HTTPS, then QUIC.
const USUAL_PORTS: (u16, u16) = (22021, 22020);

/// Why a folder cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is a node in it already. Its key is not overwritten: with it the node would be lost.
    #[error("{path} is there already: this folder has a node")]
    Occupied {
        /// What is there.
        path: PathBuf,
    },
    /// There is a network file of another network.
    #[error("{path} names the network {found:?}, not {asked:?}")]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network it names.
        found: String,
        /// The network that was asked for.
        asked: String,
    },
    /// Nodes need a network with a registry.
    #[error("the network {network_id:?} has no registry that could list a node")]
    NoRegistry {
        /// The network.
        network_id: String,
    },
    /// The network is not on this machine, so the node's address has to be named.
    #[error("this machine's public IPv4 address is not known")]
    NoAddress,
    /// No address is known from an earlier request.
    #[error("{path} names no address")]
    NoFormerAddress {
        /// The earlier request.
        path: PathBuf,
    },
    /// A file could not be used.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The network file is wrong.
    #[error("{path}: {source}")]
    Network {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: InvalidNetworkFile,
    },
    /// The address is none that a registry would take.
    #[error("{0}")]
    Request(#[from] RequestRejected),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] NodeError),
}

/// Where others are to find the node. What is `None` is chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Advertised {
    /// Public address.
    pub ip: Option<Ipv4Addr>,
    /// TCP port of HTTPS.
    pub https_port: Option<u16>,
    /// UDP port of QUIC.
    pub quic_port: Option<u16>,
}

/// A request that was signed and written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The node that asks.
    pub node: Ed25519Public,
    /// The network it asks.
    pub network_id: String,
    /// Where it wants to be listed, if it wants to join.
    pub address: Option<JoinAddress>,
    /// The file for the operator.
    pub file: PathBuf,
}

/// Makes a node in `folder`: its key, its copy of the network file, `node.toml` and `join.json`. Nothing is overwritten.
///
/// # Errors
/// [`FolderError`].
pub fn init(
    folder: &Path,
    network: &NetworkFile,
    advertised: Advertised,
    now: Timestamp,
) -> Result<Written, FolderError> {
    if network.registry_key.is_none() {
        return Err(FolderError::NoRegistry { network_id: network.network_id.clone() });
    }
    for file in [KEY_FILE, CONFIG_FILE, JOIN_FILE] {
        let path = folder.join(file);
        if path.exists() {
            return Err(FolderError::Occupied { path });
        }
    }
    let network_file = folder.join(NETWORK_FILE);
    let has_network_file = network_file.exists();
    if has_network_file {
        let found = read_network(&network_file)?;
        if !found.same_network(network) {
            let (found, asked) = (found.network_id, network.network_id.clone());
            return Err(FolderError::OtherNetwork { path: network_file, found, asked });
        }
    }
    let address = choose(advertised, network)?;
    let secret = Ed25519Secret::generate(&mut OsRng);
    // Signed before anything is written, so that an address that is none leaves nothing behind.
    let request = MembershipRequest::sign(&network.network_id, Membership::Join(address), now, &secret)?;
    make_folder(folder)?;
    // The key first, and only if there is none: whoever comes second at the same moment fails here.
    write_new(&folder.join(KEY_FILE), hex::encode(secret.seed().as_ref()).as_bytes(), 0o600)?;
    if !has_network_file {
        write_new(&network_file, network.to_json().as_bytes(), 0o644)?;
    }
    let config =
        NodeConfig { directory: None, ..NodeConfig::new(folder.to_owned(), network_file, PathBuf::new()) };
    write_new(&folder.join(CONFIG_FILE), config.to_explained_toml().as_bytes(), 0o644)?;
    let file = folder.join(JOIN_FILE);
    write_new(&file, request.to_json().as_bytes(), 0o644)?;
    Ok(Written {
        node: secret.public(),
        network_id: network.network_id.clone(),
        address: Some(address),
        file,
    })
}

/// Writes a fresh `join.json` for the node of this configuration: the old one is too old, or the address is another. What
/// is not given stays as it was.
///
/// # Errors
/// [`FolderError`].
pub fn join(config: &NodeConfig, advertised: Advertised, now: Timestamp) -> Result<Written, FolderError> {
    let file = config.data_dir.join(JOIN_FILE);
    let former = match std::fs::read(&file) {
        Ok(bytes) => SignedMembershipRequest::from_json(&bytes)?.verify()?.wanted,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Membership::Leave,
        Err(source) => return Err(FolderError::Io { doing: "reading", path: file, source }),
    };
    let former = match former {
        Membership::Join(address) => Some(address),
        Membership::Leave => None,
    };
    let missing = || FolderError::NoFormerAddress { path: file.clone() };
    let address = JoinAddress {
        ip: advertised.ip.or(former.map(|f| f.ip)).ok_or_else(missing)?,
        https_port: advertised.https_port.or(former.map(|f| f.https_port)).ok_or_else(missing)?,
        quic_port: advertised.quic_port.or(former.map(|f| f.quic_port)).ok_or_else(missing)?,
        version: Version(ADVERTISED_VERSION),
    };
    request(config, Membership::Join(address), file, now)
}

/// Writes `leave.json` for the node of this configuration.
///
/// # Errors
/// [`FolderError`].
pub fn leave(config: &NodeConfig, now: Timestamp) -> Result<Written, FolderError> {
    request(config, Membership::Leave, config.data_dir.join(LEAVE_FILE), now)
}

/// The key of the node of this configuration.
///
/// # Errors
/// [`FolderError::Key`].
pub fn node_key(config: &NodeConfig) -> Result<Ed25519Public, FolderError> {
    Ok(read_key(&config.data_dir.join(KEY_FILE))?.public())
}

fn request(
    config: &NodeConfig,
    wanted: Membership,
    file: PathBuf,
    now: Timestamp,
) -> Result<Written, FolderError> {
    let secret = read_key(&config.data_dir.join(KEY_FILE))?;
    let network_id = read_network(&config.network)?.network_id;
    let signed = MembershipRequest::sign(&network_id, wanted, now, &secret)?;
    // A request is made anew whenever it is needed; only its being whole matters.
    let unfinished = file.with_extension("new");
    std::fs::write(&unfinished, signed.to_json())
        .and_then(|()| std::fs::rename(&unfinished, &file))
        .map_err(|source| FolderError::Io { doing: "writing", path: file.clone(), source })?;
    let address = match wanted {
        Membership::Join(address) => Some(address),
        Membership::Leave => None,
    };
    Ok(Written { node: secret.public(), network_id, address, file })
}

fn read_network(path: &Path) -> Result<NetworkFile, FolderError> {
    let bytes = std::fs::read(path).map_err(|source| FolderError::Io {
        doing: "reading",
        path: path.to_owned(),
        source,
    })?;
    NetworkFile::from_json(&bytes).map_err(|source| FolderError::Network { path: path.to_owned(), source })
}

/// In a network on this machine: here, on ports that are free. Elsewhere the address has to be given, and the ports are the
/// usual ones.
fn choose(advertised: Advertised, network: &NetworkFile) -> Result<JoinAddress, FolderError> {
    let ip = match advertised.ip {
        Some(ip) => ip,
        None if is_on_this_machine(network) => Ipv4Addr::LOCALHOST,
        None => return Err(FolderError::NoAddress),
    };
    let (https, quic) = if ip.is_loopback() { free_ports(ip)? } else { USUAL_PORTS };
    Ok(JoinAddress {
        ip,
        https_port: advertised.https_port.unwrap_or(https),
        quic_port: advertised.quic_port.unwrap_or(quic),
        version: Version(ADVERTISED_VERSION),
    })
}

fn is_on_this_machine(network: &NetworkFile) -> bool {
    network.seeds.iter().all(|seed| match seed {
        Seed::Quic { address, .. } => address.ip().is_loopback(),
        Seed::SignedList { url, .. } | Seed::PinnedCertificate { url, .. } => {
            matches!(split_url(url), Some((Address::Ip(address), _)) if matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()))
        }
        _ => false,
    })
}

fn free_ports(ip: Ipv4Addr) -> Result<(u16, u16), FolderError> {
    let ports = || -> std::io::Result<(u16, u16)> {
        let tcp = free_port(|port| TcpListener::bind((ip, port)))?;
        let udp = free_port(|port| UdpSocket::bind((ip, port)))?;
        Ok((tcp.local_addr()?.port(), udp.local_addr()?.port()))
    };
    ports().map_err(|source| FolderError::Io {
        doing: "finding a free port at",
        path: ip.to_string().into(),
        source,
    })
}

/// What `bind` makes of a port that nobody has now, nor is likely to have when a node listens there later: chosen at random from those
/// that operating systems do not give to outgoing connections. Where none of many is free, the operating system chooses.
///
/// # Errors
/// What `bind` says of port 0.
pub fn free_port<T>(bind: impl Fn(u16) -> std::io::Result<T>) -> std::io::Result<T> {
    /// Linux gives out ports from 32768 on, others from 49152.
    const LASTING: std::ops::Range<u16> = 10_240..32_768;
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let place = OsRng.next_u32() % u32::from(LASTING.end - LASTING.start);
        let port = LASTING.start.saturating_add(u16::try_from(place).unwrap_or_default());
        if let Ok(bound) = bind(port) {
            return Ok(bound);
        }
    }
    bind(0)
}

fn make_folder(path: &Path) -> Result<(), FolderError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| FolderError::Io { doing: "making", path: path.to_owned(), source })
}

/// Writes a file that must not be there yet, to the disk.
fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), FolderError> {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written =
        options.open(path).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => FolderError::Occupied { path: path.to_owned() },
        _ => FolderError::Io { doing: "writing", path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use conclave_proto::network::SwarmParams;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn network(seed: &str) -> NetworkFile {
        let key = Ed25519Secret::from_seed(&[1; 32]).public();
        NetworkFile {
            network_id: "net".into(),
            registry_key: Some(key),
            swarm_params: SwarmParams::DEVNET,
            seeds: vec![Seed::SignedList { url: seed.into(), pubkey_ed25519: key }],
            file_server: None,
            max_file_bytes: None,
            other: serde_json::Map::new(),
        }
    }

    fn read_request(path: &Path) -> MembershipRequest {
        SignedMembershipRequest::from_json(&std::fs::read(path).unwrap()).unwrap().verify().unwrap()
    }

    #[test]
    fn a_new_folder_has_all_a_node_needs_and_is_not_made_twice() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a").join("node");
        let local = network("https://127.0.0.1:1/json_rpc");
        let written = init(&folder, &local, Advertised::default(), NOW).unwrap();
        let config = NodeConfig::read(&folder.join(CONFIG_FILE)).unwrap();
        assert_eq!((&config.data_dir, &config.directory), (&folder, &None));
        assert_eq!(read_network(&config.network).unwrap(), local);
        assert_eq!(node_key(&config).unwrap(), written.node);
        let address = written.address.unwrap();
        assert!(address.ip.is_loopback() && address.https_port != 0 && address.quic_port != 0);
        let request = read_request(&written.file);
        assert_eq!((request.node, request.wanted), (written.node, Membership::Join(address)));
        #[cfg(unix)]
        for (path, mode) in [(folder.join(KEY_FILE), 0o600), (folder.clone(), 0o700)] {
            let metadata = std::fs::metadata(path).unwrap();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, mode);
        }
        assert!(matches!(
            init(&folder, &local, Advertised::default(), NOW),
            Err(FolderError::Occupied { .. })
        ));
        assert_eq!(node_key(&config).unwrap(), written.node, "the key is still there");
    }

    #[test]
    fn a_node_that_others_are_to_find_has_to_say_where() {
        let dir = tempfile::tempdir().unwrap();
        let public = network("https://seed.example.org/json_rpc");
        let init = |advertised| init(dir.path(), &public, advertised, NOW);
        assert!(matches!(init(Advertised::default()), Err(FolderError::NoAddress)));
        let nowhere = Advertised { ip: Some(Ipv4Addr::UNSPECIFIED), ..Advertised::default() };
        assert!(matches!(init(nowhere), Err(FolderError::Request(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of what failed");
        let ip = Some(Ipv4Addr::new(203, 0, 113, 7));
        let written = init(Advertised { ip, quic_port: Some(9), ..Advertised::default() }).unwrap();
        let address = written.address.unwrap();
        assert_eq!((Some(address.ip), address.https_port, address.quic_port), (ip, USUAL_PORTS.0, 9));
    }

    #[test]
    fn networks_are_not_mixed_up() {
        let dir = tempfile::tempdir().unwrap();
        let local = network("https://127.0.0.1:1/json_rpc");
        let other = NetworkFile { network_id: "other".into(), ..local.clone() };
        std::fs::write(dir.path().join(NETWORK_FILE), other.to_json()).unwrap();
        let made = init(dir.path(), &local, Advertised::default(), NOW);
        assert!(matches!(made, Err(FolderError::OtherNetwork { .. })));
        let none = NetworkFile { registry_key: None, ..local };
        assert!(matches!(
            init(dir.path(), &none, Advertised::default(), NOW),
            Err(FolderError::NoRegistry { .. })
        ));
    }

    #[test]
    fn requests_are_made_anew_and_keep_the_address() {
        let dir = tempfile::tempdir().unwrap();
        let local = network("https://127.0.0.1:1/json_rpc");
        let first = init(dir.path(), &local, Advertised::default(), NOW).unwrap();
        let config = NodeConfig::read(&dir.path().join(CONFIG_FILE)).unwrap();
        let left = leave(&config, Timestamp(NOW.0 + 1)).unwrap();
        assert_eq!(read_request(&left.file).wanted, Membership::Leave);
        let moved = Advertised { quic_port: Some(7), ..Advertised::default() };
        let again = join(&config, moved, Timestamp(NOW.0 + 2)).unwrap();
        let address = JoinAddress { quic_port: 7, ..first.address.unwrap() };
        let request = read_request(&again.file);
        assert_eq!((request.wanted, request.issued_at), (Membership::Join(address), Timestamp(NOW.0 + 2)));
        std::fs::remove_file(&again.file).unwrap();
        assert!(matches!(join(&config, moved, NOW), Err(FolderError::NoFormerAddress { .. })));
    }
}
