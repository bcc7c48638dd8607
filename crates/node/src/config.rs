//! `node.toml`: every key with its meaning. Keys nobody knows are reported, not swallowed.

mod explained;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::proxy::AllowedServer;
use crate::store;

/// The node's Ed25519 seed inside its data directory: 64 hex digits, mode 0600.
pub const KEY_FILE: &str = "node.key";

/// What a service node is told about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Folder of the node's key, certificate and messages.
    pub data_dir: PathBuf,
    /// The network file.
    pub network: PathBuf,
    /// The signed directory, written by the network's operator and followed while the node runs. Without it the node gets
    /// it from the network's seeds and from other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Where HTTPS listens, instead of the address in the directory: for machines behind a translator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_https: Option<SocketAddr>,
    /// Where QUIC listens, instead of the address in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_quic: Option<SocketAddr>,
    /// Also answer the seed call over plain HTTP here, for existing clients. Off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_http: Option<SocketAddr>,
    /// Most bytes of the message database. 10 GiB unless given.
    #[serde(default = "default_max_bytes")]
    pub max_store_bytes: u64,
    /// Most bytes of the chunks of files, besides the messages. 10 GiB unless given; 0 keeps none.
    #[serde(default = "default_max_chunk_bytes")]
    pub max_chunk_bytes: u64,
    /// The answer to a client that waits for news goes out up to so many milliseconds later, at random, so that whoever
    /// sees only sizes and times cannot tell to the millisecond when something came. 10 unless given.
    #[serde(default = "default_wait_jitter_ms")]
    pub wait_jitter_ms: u64,
    /// Storage requests a second that one client's address (IPv4, or IPv6 /64) may go on with. 300 unless given; 0 is no
    /// limit, for networks where everybody comes from one address. (storage-and-onion 8.1)
    #[serde(default = "default_rate")]
    pub rate_per_second: u32,
    /// Storage requests of one address that may come at once. 600 unless given.
    #[serde(default = "default_burst")]
    pub rate_burst: u32,
    /// Clients are refused once work has waited longer than this for half a second, in milliseconds. 100 unless given; 0 is
    /// no limit.
    #[serde(default = "default_shed_above")]
    pub shed_above_ms: u32,
    /// Bytes a second of requests of more than 16 KiB that one client's address may go on with. 4 MiB unless given; 0 is no
    /// limit. (docs/protocol/files)
    #[serde(default = "default_upload_rate")]
    pub upload_bytes_per_second: u64,
    /// Bytes of such requests of one address that may come at once. 64 MiB unless given.
    #[serde(default = "default_upload_burst")]
    pub upload_burst_bytes: u64,
    /// Bytes a second of onion layers of more than 16 KiB that one other node may pass on. 32 MiB unless given; 0 is no limit.
    #[serde(default = "default_peer_rate")]
    pub peer_bytes_per_second: u64,
    /// Bytes of such layers of one node that may come at once. 256 MiB unless given.
    #[serde(default = "default_peer_burst")]
    pub peer_burst_bytes: u64,
    /// Also be a file server for programs of others over plain HTTP at this port, at the address of HTTPS. Off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_server_port: Option<u16>,
    /// Whether requests are passed on to servers. Yes unless given. (storage-and-onion 6.4)
    #[serde(default = "yes")]
    pub proxy: bool,
    /// Servers, as `host:port`, that requests are passed on to although their addresses are not public.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy_allow: Vec<AllowedServer>,
    /// A PEM file of authorities whose certificates are believed besides those that browsers trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_authorities: Option<PathBuf>,
    /// Where `/metrics` and `/health` are answered over plain HTTP: a loopback address. Off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
}

/// Why a configuration cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown or missing key, or a value that does not fit. The text names the place.
    #[error("the configuration {path}: {problem}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
}

impl NodeConfig {
    /// The usual configuration of a node that follows the operator's file.
    pub fn new(data_dir: PathBuf, network: PathBuf, directory: PathBuf) -> Self {
        Self {
            data_dir,
            network,
            directory: Some(directory),
            listen_https: None,
            listen_quic: None,
            seed_http: None,
            max_store_bytes: default_max_bytes(),
            max_chunk_bytes: default_max_chunk_bytes(),
            wait_jitter_ms: default_wait_jitter_ms(),
            rate_per_second: default_rate(),
            rate_burst: default_burst(),
            shed_above_ms: default_shed_above(),
            upload_bytes_per_second: default_upload_rate(),
            upload_burst_bytes: default_upload_burst(),
            peer_bytes_per_second: default_peer_rate(),
            peer_burst_bytes: default_peer_burst(),
            file_server_port: None,
            proxy: yes(),
            proxy_allow: Vec::new(),
            proxy_authorities: None,
            metrics: None,
        }
    }

    /// The same without any limit on how often and how much clients ask: for networks all of whose clients come from this
    /// machine.
    #[must_use]
    pub fn without_rate_limits(self) -> Self {
        Self {
            rate_per_second: 0,
            shed_above_ms: 0,
            upload_bytes_per_second: 0,
            peer_bytes_per_second: 0,
            ..self
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key, and for a key nobody knows the one that was probably meant.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let wrong = |problem: String| ConfigError::Wrong { path: path.to_owned(), problem };
        if let Some(problem) = text.parse::<toml::Table>().ok().and_then(|table| unknown_key(&table)) {
            return Err(wrong(problem));
        }
        toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))
    }

    /// The configuration as the text of a file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("paths, addresses and numbers have a TOML form")
    }

    /// The configuration as the text of a file for people: with every key explained.
    pub fn to_explained_toml(&self) -> String {
        explained::explained(self)
    }
}

/// Every key there is.
const KEYS: [&str; 21] = [
    "data_dir",
    "network",
    "directory",
    "listen_https",
    "listen_quic",
    "seed_http",
    "max_store_bytes",
    "max_chunk_bytes",
    "wait_jitter_ms",
    "rate_per_second",
    "rate_burst",
    "shed_above_ms",
    "upload_bytes_per_second",
    "upload_burst_bytes",
    "peer_bytes_per_second",
    "peer_burst_bytes",
    "file_server_port",
    "proxy",
    "proxy_allow",
    "proxy_authorities",
    "metrics",
];
/// A key that needs more changes than this is a different word.
const MISSPELT: usize = 3;

/// What is to be said about the first key that is none.
fn unknown_key(table: &toml::Table) -> Option<String> {
    let key = table.keys().find(|key| !KEYS.contains(&key.as_str()))?;
    let nearest = KEYS.iter().map(|known| (distance(key, known), known)).min();
    Some(match nearest {
        Some((changes, known)) if changes <= MISSPELT => {
            format!("there is no key `{key}`; `{known}` was probably meant")
        }
        _ => format!("there is no key `{key}`; the keys are {}", KEYS.join(", ")),
    })
}

/// How many letters are to be added, left out or replaced to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let here = (diagonal + usize::from(a != b)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

const fn default_wait_jitter_ms() -> u64 {
    10
}

const fn default_max_bytes() -> u64 {
    store::DEFAULT_MAX_BYTES
}

const fn default_max_chunk_bytes() -> u64 {
    10 * 1024 * 1024 * 1024
}

const fn default_rate() -> u32 {
    300
}

const fn default_burst() -> u32 {
    600
}

const fn default_shed_above() -> u32 {
    100
}

const fn default_upload_rate() -> u64 {
    4 * 1024 * 1024
}

const fn default_upload_burst() -> u64 {
    64 * 1024 * 1024
}

const fn default_peer_rate() -> u64 {
    32 * 1024 * 1024
}

const fn default_peer_burst() -> u64 {
    256 * 1024 * 1024
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_as_it_was_written_and_unknown_keys_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let mut config = NodeConfig::new("a".into(), "b".into(), "c".into());
        config.seed_http = Some("127.0.0.1:22023".parse().unwrap());
        std::fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(NodeConfig::read(&path).unwrap(), config);
        std::fs::write(&path, config.to_toml() + "max_stor_bytes = 3\n").unwrap();
        let error = NodeConfig::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("there is no key `max_stor_bytes`; `max_store_bytes` was probably meant"),
            "{error}"
        );
        std::fs::write(&path, config.to_toml() + "colour = 3\n").unwrap();
        let error = NodeConfig::read(&path).unwrap_err().to_string();
        assert!(error.contains("`colour`; the keys are data_dir, network"), "{error}");
        std::fs::write(&path, config.to_toml().replace("max_store_bytes = ", "max_store_bytes = -")).unwrap();
        let error = NodeConfig::read(&path).unwrap_err().to_string();
        assert!(error.contains("max_store_bytes") && error.contains("node.toml"), "{error}");
    }

    #[test]
    fn the_list_of_keys_names_every_key() {
        let mut config = NodeConfig::new("a".into(), "b".into(), "c".into());
        let address = Some("127.0.0.1:1".parse().unwrap());
        (config.listen_https, config.listen_quic, config.seed_http) = (address, address, address);
        (config.metrics, config.proxy_authorities) = (address, Some("d".into()));
        config.file_server_port = Some(1);
        config.proxy_allow = vec!["localhost:443".parse().unwrap()];
        let table: toml::Table = config.to_toml().parse().unwrap();
        assert_eq!(table.keys().collect::<std::collections::BTreeSet<_>>().len(), KEYS.len());
        assert_eq!(unknown_key(&table), None);
    }

    /// The rows of a table of keys, as `| \`key\` | … |`.
    fn documented(file: &str) -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        text.lines().skip_while(|line| !line.starts_with("| key |")).skip(2).map_while(row).collect()
    }

    #[test]
    fn every_key_is_documented_once_in_the_order_of_the_list() {
        assert_eq!(documented("operating-a-node.md"), KEYS);
    }

    #[test]
    fn an_unusable_server_in_the_list_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let config = NodeConfig::new("a".into(), "b".into(), "c".into());
        std::fs::write(&path, config.to_toml() + "proxy_allow = [\"fine:1\", \"https://wrong\"]\n").unwrap();
        let error = NodeConfig::read(&path).unwrap_err().to_string();
        assert!(error.contains("`https://wrong` is no host and port"), "{error}");
    }

    #[test]
    fn distances_count_changes_of_letters() {
        let cases = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("ab", "abc", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ];
        for (one, other, changes) in cases {
            assert_eq!((distance(one, other), distance(other, one)), (changes, changes), "{one} {other}");
        }
    }
}
