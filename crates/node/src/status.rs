//! `status.json` in the node's folder: what the running node last knew of its place in the network, for `conclave node
//! status` and for the operator's own tools. Public facts only; nothing of accounts or clients.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use conclave_crypto::Ed25519Public;
use conclave_proto::{SwarmId, Timestamp};
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Target};
use serde::{Deserialize, Serialize};

use crate::node::{Addresses, Shared};
use crate::registry::{NetworkView, Unlisted};

/// The file's name in the node's data directory.
pub const STATUS_FILE: &str = "status.json";
/// Longer than any node writes; a swarm has some ten members of a hundred bytes.
const MAX_BYTES: u64 = 1024 * 1024;
/// How long a node may take to answer a ping. (storage-and-onion 5.3)
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits until the operator lists it.
    Waiting,
    /// It is listed and serves.
    Listed,
    /// It was listed when it started and is not any more.
    Removed,
}

/// What the file says. It is written when something changes, so it tells the last state of a node that has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where the node stands.
    pub state: State,
    /// Its key, 64 hex digits.
    pub node: String,
    /// The network's id, once the node has a directory.
    pub network_id: Option<String>,
    /// The height of the directory.
    pub height: Option<u64>,
    /// Until when the directory claims to be current.
    pub valid_until: Option<Timestamp>,
    /// The node's swarm, in hex.
    pub swarm: Option<String>,
    /// Where HTTPS listens.
    pub https: Option<SocketAddr>,
    /// Where QUIC listens.
    pub quic: Option<SocketAddr>,
    /// The other members of the swarm.
    pub members: Vec<Member>,
    /// Why there is no newer directory, if a waiting node got none.
    pub trouble: Option<String>,
}

/// A node of the same swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its key, 64 hex digits.
    pub node: String,
    /// Its HTTPS address.
    pub https: SocketAddr,
}

impl Status {
    /// What the node of this data directory wrote last. `None` if it has never run.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(data_dir: &Path) -> std::io::Result<Option<Self>> {
        let path = data_dir.join(STATUS_FILE);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            metadata => {
                if metadata?.len() > MAX_BYTES {
                    return Err(std::io::Error::other("the file is too large to be a node's status"));
                }
            }
        }
        serde_json::from_slice(&std::fs::read(path)?).map(Some).map_err(std::io::Error::other)
    }

    pub(crate) fn waiting(unlisted: &Unlisted) -> Self {
        Self {
            state: State::Waiting,
            node: unlisted.node.to_hex(),
            network_id: None,
            height: unlisted.height,
            valid_until: None,
            swarm: None,
            https: None,
            quic: None,
            members: Vec::new(),
            trouble: unlisted.trouble.clone(),
        }
    }

    fn of(view: &NetworkView, addresses: Addresses) -> Self {
        let own = view.own();
        let directory = view.directory();
        let member = |node: &conclave_proto::SnodeRecord| Member {
            node: node.ed25519.to_hex(),
            https: (node.ip, node.https_port).into(),
        };
        Self {
            state: if view.is_listed() { State::Listed } else { State::Removed },
            node: own.ed25519.to_hex(),
            network_id: Some(directory.network_id.clone()),
            height: Some(directory.height),
            valid_until: Some(directory.valid_until),
            swarm: (own.swarm != SwarmId::NONE).then(|| own.swarm.to_hex()),
            https: Some(addresses.https),
            quic: Some(addresses.quic),
            members: view.others().map(member).collect(),
            trouble: None,
        }
    }

    /// Puts it where [`Self::read`] finds it. Not durable: it is written anew when the node starts.
    pub(crate) fn write(&self, data_dir: &Path) {
        let path = data_dir.join(STATUS_FILE);
        let unfinished = path.with_extension("new");
        let text = serde_json::to_string_pretty(self).expect("the status has string keys and plain values");
        if let Err(error) =
            std::fs::write(&unfinished, text + "\n").and_then(|()| std::fs::rename(&unfinished, &path))
        {
            tracing::warn!(%error, "the node's status could not be written");
        }
    }
}

/// Keeps the file current. Ends with the node.
pub(crate) async fn run(shared: Arc<Shared>, data_dir: std::path::PathBuf, addresses: Addresses) {
    let mut views = shared.registry.views();
    loop {
        let status = Status::of(&views.borrow_and_update().clone(), addresses);
        status.write(&data_dir);
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Whether the node with this key answers over HTTPS at this address.
pub async fn answers(address: SocketAddr, key: &Ed25519Public) -> bool {
    let (client, target) = (Client::new(), Target::node(address));
    let asked = client.post(&target, "/ping_test/v1", "", "", Deadline::after(PING_TIMEOUT));
    let Ok(response) = asked.await else { return false };
    let expected = base64::engine::general_purpose::STANDARD.encode(key.as_bytes());
    let said = response.headers.get("x-oxen-snode-pubkey").and_then(|value| value.to_str().ok());
    response.status == 200 && said == Some(expected.as_str())
}
