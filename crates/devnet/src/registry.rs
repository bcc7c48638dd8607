//! The operator's side of a network: its key, its signed directory, and the acts that change it.
//!
//! Several programs may act on one network: a running `up` that signs anew every day, and the operator's commands. So
//! each act holds a lock from reading to writing, and nothing is remembered between acts but what is in the files.
//! A directory is durable before anybody sees it: its height must not be given away twice.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::network::{
    Directory, NetworkFile, Seed, SignedDirectory, SignedMembershipRequest, SwarmParams,
};
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::{OsRng, RngCore as _};

use crate::files::{create_dir, read, read_secret, write_atomically};
use crate::layout::Layout;
use crate::{DIRECTORY_LIFETIME, DevnetError};
pub use rules::{Applied, Change, Refused};
use rules::{Last, Members};

/// How long an act waits for another one, which takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The files of the network.
    #[error(transparent)]
    Files(#[from] DevnetError),
    /// What was asked for is refused, and nothing was changed.
    #[error("{source}")]
    Refused {
        /// Which of the requests given, from 0.
        request: usize,
        /// Why.
        #[source]
        source: Refused,
    },
}

/// A network's registry, held as long as this value lives.
#[derive(Debug)]
pub struct Registry {
    layout: Layout,
    secret: Ed25519Secret,
    network: NetworkFile,
    /// `None` in a network that is just being made.
    directory: Option<Directory>,
    last: BTreeMap<Ed25519Public, Last>,
    /// Given back when dropped.
    _lock: std::fs::File,
}

impl Registry {
    /// The registry of the network in `layout`, when nobody else is acting on it any more. Blocks for seconds at most.
    ///
    /// # Errors
    /// If there is no network, its files are damaged, or somebody else keeps the registry.
    pub fn open(layout: &Layout) -> Result<Self, DevnetError> {
        if !layout.directory().exists() {
            return Err(DevnetError::NoNetwork { dir: layout.operator_dir() });
        }
        let lock = lock(layout)?;
        let damaged = |problem: String| DevnetError::Damaged { dir: layout.operator_dir(), problem };
        let secret = read_secret(&layout.registry_key()).map_err(&damaged)?;
        let network = NetworkFile::from_json(&read(&layout.network_file())?)
            .map_err(|e| damaged(format!("network.json: {e}")))?;
        let directory = SignedDirectory::from_json(&read(&layout.directory())?)
            .and_then(|signed| signed.verify(&secret.public(), &network.network_id, 0))
            .map_err(|e| damaged(e.to_string()))?;
        let last = if layout.last_requests().exists() {
            let texts: BTreeMap<String, Last> = serde_json::from_slice(&read(&layout.last_requests())?)
                .map_err(|e| damaged(format!("requests.json: {e}")))?;
            let key = |(text, last): (String, Last)| Ok((Ed25519Public::from_hex(&text)?, last));
            texts
                .into_iter()
                .map(key)
                .collect::<Result<_, conclave_crypto::InvalidKey>>()
                .map_err(|e| damaged(format!("requests.json: {e}")))?
        } else {
            BTreeMap::new()
        };
        Ok(Self { layout: layout.clone(), secret, network, directory: Some(directory), last, _lock: lock })
    }

    /// The registry of a new network: a fresh key, and no nodes yet. It exists once a directory is signed.
    pub(crate) fn create(layout: &Layout) -> Result<Self, DevnetError> {
        create_dir(&layout.operator_dir())?;
        let lock = lock(layout)?;
        let secret = Ed25519Secret::generate(&mut OsRng);
        write_atomically(&layout.registry_key(), hex::encode(secret.seed().as_ref()).as_bytes(), true)?;
        let registry_key = secret.public();
        let network = NetworkFile {
            network_id: format!("devnet-{}", registry_key.to_hex().get(..8).unwrap_or_default()),
            registry_key: Some(registry_key),
            swarm_params: SwarmParams::DEVNET,
            seeds: Vec::new(),
            file_server: None,
            max_file_bytes: None,
            other: serde_json::Map::new(),
        };
        let (layout, last) = (layout.clone(), BTreeMap::new());
        Ok(Self { layout, secret, network, directory: None, last, _lock: lock })
    }

    /// What clients and nodes are given.
    pub const fn network(&self) -> &NetworkFile {
        &self.network
    }

    /// The directory that was signed last.
    pub const fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// Follows the requests of nodes: all of them, or none if one is refused. A new directory is signed if that changes the
    /// list. Doing it again does nothing.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn apply(
        &mut self,
        requests: &[SignedMembershipRequest],
        now: Timestamp,
    ) -> Result<Vec<Applied>, RegistryError> {
        let refused = |(request, source)| RegistryError::Refused { request, source };
        let verified = requests
            .iter()
            .enumerate()
            .map(|(index, request)| request.verify().map_err(|e| refused((index, e.into()))))
            .collect::<Result<Vec<_>, _>>()?;
        let before = self.members();
        let network = (self.network.network_id.as_str(), &self.network.swarm_params);
        let (next, applied) = before.apply(network, &verified, now, OsRng.next_u64()).map_err(refused)?;
        self.commit(&before, next, now)?;
        Ok(applied)
    }

    /// Takes a node off the list without its asking, and refuses what it has signed until now.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn remove(&mut self, node: Ed25519Public, now: Timestamp) -> Result<(), RegistryError> {
        let before = self.members();
        let next = before
            .remove(&self.network.swarm_params, node, now, OsRng.next_u64())
            .map_err(|source| RegistryError::Refused { request: 0, source })?;
        Ok(self.commit(&before, next, now)?)
    }

    /// Signs the same list anew, so that it does not become stale.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn renew(&mut self, now: Timestamp) -> Result<(), DevnetError> {
        self.sign(self.members().nodes, now)
    }

    /// Signs this list of nodes, one higher than the last, and puts it where the nodes look.
    pub(crate) fn sign(&mut self, nodes: Vec<SnodeRecord>, now: Timestamp) -> Result<(), DevnetError> {
        let height = self.directory.as_ref().map_or(0, |directory| directory.height) + 1;
        let valid_until = now.plus(DIRECTORY_LIFETIME);
        let directory = Directory::new(self.network.network_id.clone(), height, now, valid_until, nodes)
            .map_err(|e| DevnetError::Damaged { dir: self.layout.operator_dir(), problem: e.to_string() })?;
        let signed = directory.sign(&self.secret).to_json();
        write_atomically(&self.layout.directory(), signed.as_bytes(), false)?;
        self.directory = Some(directory);
        Ok(())
    }

    /// Writes the network file with these seeds.
    pub(crate) fn set_seeds(&mut self, nodes: &[SnodeRecord]) -> Result<(), DevnetError> {
        let pubkey_ed25519 = self.secret.public();
        self.network.seeds =
            nodes.iter().map(|node| Seed::SignedList { url: seed_url(node), pubkey_ed25519 }).collect();
        write_atomically(&self.layout.network_file(), self.network.to_json().as_bytes(), false)
    }

    fn members(&self) -> Members {
        let nodes = self.directory.as_ref().map(|directory| directory.nodes().to_vec()).unwrap_or_default();
        Members { nodes, last: self.last.clone() }
    }

    /// What is remembered is written first: a request that was done must not be done again after the node has left.
    fn commit(&mut self, before: &Members, next: Members, now: Timestamp) -> Result<(), DevnetError> {
        if next.last != before.last {
            let texts: BTreeMap<String, Last> =
                next.last.iter().map(|(key, last)| (key.to_hex(), *last)).collect();
            let text = serde_json::to_string_pretty(&texts).expect("keys are text, values are plain");
            write_atomically(&self.layout.last_requests(), text.as_bytes(), false)?;
            self.last = next.last;
        }
        let changed = next.nodes != before.nodes;
        if changed {
            self.sign(next.nodes.clone(), now)?;
            self.replace_seeds(&before.nodes, &next.nodes)?;
        }
        Ok(())
    }

    /// Names other seeds for those that are not where they were, so that new clients find somebody.
    fn replace_seeds(&mut self, before: &[SnodeRecord], after: &[SnodeRecord]) -> Result<(), DevnetError> {
        let urls = |nodes: &[SnodeRecord]| nodes.iter().map(seed_url).collect::<BTreeSet<_>>();
        let (were, are) = (urls(before), urls(after));
        let is_gone = |seed: &Seed| matches!(seed, Seed::SignedList { url, .. } if were.contains(url) && !are.contains(url));
        let gone = self.network.seeds.iter().filter(|seed| is_gone(seed)).count();
        if gone == 0 {
            return Ok(());
        }
        let pubkey_ed25519 = self.secret.public();
        let mut seeds: Vec<Seed> = self.network.seeds.iter().filter(|seed| !is_gone(seed)).cloned().collect();
        let fresh: Vec<Seed> = are
            .into_iter()
            .map(|url| Seed::SignedList { url, pubkey_ed25519 })
            .filter(|seed| !seeds.contains(seed))
            .take(gone)
            .collect();
        seeds.extend(fresh);
        self.network.seeds = seeds;
        write_atomically(&self.layout.network_file(), self.network.to_json().as_bytes(), false)
    }
}

fn seed_url(node: &SnodeRecord) -> String {
    format!("https://{}:{}/json_rpc", node.ip, node.https_port)
}

fn lock(layout: &Layout) -> Result<std::fs::File, DevnetError> {
    let path = layout.registry_lock();
    let io = |source| DevnetError::Io { doing: "locking", path: path.clone(), source };
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if started.elapsed() < PATIENCE => {
                // The operating system would wait for ever, also for a program that was stopped.
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(DevnetError::Busy { path }),
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
    }
}
