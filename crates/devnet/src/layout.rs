//! Where a private network keeps its files.

use std::path::{Path, PathBuf};

/// The folder of one private network: its registry key, directory and nodes.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The network inside `data_dir`.
    pub fn in_data_dir(data_dir: &Path) -> Self {
        Self { root: data_dir.to_owned() }
    }

    /// `DIR/network.json`: what clients are given.
    pub fn network_file(&self) -> PathBuf {
        self.root.join("network.json")
    }

    /// `DIR/network`: what only the operator needs.
    pub fn operator_dir(&self) -> PathBuf {
        self.root.join("network")
    }

    /// The registry's secret seed, 64 hex digits, mode 0600.
    pub fn registry_key(&self) -> PathBuf {
        self.operator_dir().join("registry.key")
    }

    /// The signed directory that all nodes follow.
    pub fn directory(&self) -> PathBuf {
        self.operator_dir().join("directory.json")
    }

    /// Held by the process that runs the network, so that no second one starts the same nodes.
    pub fn lock(&self) -> PathBuf {
        self.operator_dir().join("lock")
    }

    /// Held during each act on the directory, so that two never make the same height.
    pub fn registry_lock(&self) -> PathBuf {
        self.operator_dir().join("registry.lock")
    }

    /// When each node's last request was signed, so that an older one is not followed again.
    pub fn last_requests(&self) -> PathBuf {
        self.operator_dir().join("requests.json")
    }

    /// The folder of node `index`, counted from 1.
    pub fn node_dir(&self, index: usize) -> PathBuf {
        self.operator_dir().join("nodes").join(format!("node-{index:02}"))
    }

    /// The configuration of node `index`.
    pub fn node_config(&self, index: usize) -> PathBuf {
        self.node_dir(index).join("node.toml")
    }

    /// What node `index` said.
    pub fn node_log(&self, index: usize) -> PathBuf {
        self.node_dir(index).join("log")
    }
}
