//! `node.toml`: every key with its meaning. Keys nobody knows are reported, not swallowed.

mod explained;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    /// The answer to a client that waits for news goes out up to so many milliseconds later, at random, so that whoever
    /// sees only sizes and times cannot tell to the millisecond when something came. 10 unless given.
    #[serde(default = "default_wait_jitter_ms")]
    pub wait_jitter_ms: u64,
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
            wait_jitter_ms: default_wait_jitter_ms(),
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
const KEYS: [&str; 8] = [
    "data_dir",
    "network",
    "directory",
    "listen_https",
    "listen_quic",
    "seed_http",
    "max_store_bytes",
    "wait_jitter_ms",
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

fn default_max_bytes() -> u64 {
    store::DEFAULT_MAX_BYTES
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
        let table: toml::Table = config.to_toml().parse().unwrap();
        assert_eq!(table.keys().collect::<std::collections::BTreeSet<_>>().len(), KEYS.len());
        assert_eq!(unknown_key(&table), None);
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
