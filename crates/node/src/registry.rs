//! Who is in the network: the signed directory, followed while the node runs.
//!
//! The operator's file is read at the start and whenever it changes. What was accepted last is kept in the store, so that
//! the node starts and goes on when the file is away; a lower height is refused, whoever brings it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use conclave_crypto::{AccountId, Ed25519Public};
use conclave_proto::network::{Directory, DirectoryRejected, Freshness, NetworkFile, SignedDirectory};
use conclave_proto::rpc::answers::SwarmMembers;
use conclave_proto::{SnodeRecord, SwarmId, Timestamp};
use tokio::sync::watch;

use crate::store::{MessageStore, StoreError};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The store's name for the last accepted directory.
const META_DIRECTORY: &str = "directory";

/// Why there is no directory to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The network file names no registry key, so no list of nodes could be trusted.
    #[error("the network file names no registry_key; nodes cannot run in such a network yet")]
    NoRegistryKey,
    /// The file cannot be read, and none was accepted before.
    #[error("reading the directory {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no directory of this network, and none was accepted before.
    #[error("the directory {path} cannot be used: {source}")]
    Rejected {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DirectoryRejected,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This node's key is not in the directory.
    #[error("this node ({key:?}) is not in the network's directory; ask its operator to add it")]
    NotListed {
        /// The node's key.
        key: Ed25519Public,
    },
}

/// The network as this node sees it at one moment. Never changes; a newer one takes its place.
#[derive(Debug)]
pub struct NetworkView {
    directory: Directory,
    signed: SignedDirectory,
    own: SnodeRecord,
}

impl NetworkView {
    /// What a node sees in a directory.
    pub(crate) fn of(
        directory: Directory,
        signed: SignedDirectory,
        own: Ed25519Public,
    ) -> Result<Self, RegistryError> {
        let own = *directory.node(&own).ok_or(RegistryError::NotListed { key: own })?;
        Ok(Self { directory, signed, own })
    }

    /// The verified directory.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// As it was signed, to be handed on.
    pub const fn signed(&self) -> &SignedDirectory {
        &self.signed
    }

    /// This node's own entry.
    pub const fn own(&self) -> &SnodeRecord {
        &self.own
    }

    /// Whether the account is kept by this node's swarm.
    pub fn is_ours(&self, account: &AccountId) -> bool {
        self.directory.swarm_of(account) == Some(self.own.swarm)
    }

    /// The other members of this node's swarm.
    pub fn others(&self) -> impl Iterator<Item = &SnodeRecord> {
        self.directory.members(self.own.swarm).filter(|node| node.ed25519 != self.own.ed25519)
    }

    /// The swarm of an account, as `get_swarm` and 421 answer it.
    pub fn swarm_members(&self, account: &AccountId) -> SwarmMembers {
        match self.directory.swarm_of(account) {
            Some(swarm) => SwarmMembers { swarm, snodes: self.directory.members(swarm).copied().collect() },
            None => SwarmMembers { swarm: SwarmId::NONE, snodes: Vec::new() },
        }
    }
}

/// Follows the directory.
#[derive(Debug)]
pub struct Registry {
    network: NetworkFile,
    registry_key: Ed25519Public,
    own: Ed25519Public,
    path: PathBuf,
    store: MessageStore,
    current: watch::Sender<Arc<NetworkView>>,
}

impl Registry {
    /// Takes the newest of what the file and the store hold.
    ///
    /// # Errors
    /// [`RegistryError`] if neither holds a directory in which this node is listed.
    pub async fn open(
        network: NetworkFile,
        own: Ed25519Public,
        path: PathBuf,
        store: MessageStore,
    ) -> Result<Self, RegistryError> {
        let registry_key = network.registry_key.ok_or(RegistryError::NoRegistryKey)?;
        let verify = |bytes: &[u8]| {
            let signed = SignedDirectory::from_json(bytes)?;
            let directory = signed.verify(&registry_key, &network.network_id, 0)?;
            Ok((directory, signed))
        };
        // What was accepted once is verified again: the disk is no more trustworthy than the wire.
        let kept = store.meta(META_DIRECTORY)?.and_then(|bytes| verify(&bytes).ok());
        let read = std::fs::read(&path)
            .map_err(|source| RegistryError::Read { path: path.clone(), source })
            .and_then(|bytes| {
                verify(&bytes).map_err(|source| RegistryError::Rejected { path: path.clone(), source })
            });
        let (directory, signed) = match (read, kept) {
            (Ok(read), Some(kept)) if kept.0.height > read.0.height => {
                tracing::warn!(
                    file = read.0.height,
                    known = kept.0.height,
                    "the directory file is older than the one known"
                );
                kept
            }
            (Ok(read), _) => read,
            (Err(error), Some(kept)) => {
                tracing::warn!(%error, "living on the directory accepted last");
                kept
            }
            (Err(error), None) => return Err(error),
        };
        store.set_meta(META_DIRECTORY, signed.to_json().into_bytes()).await?;
        let view = NetworkView::of(directory, signed, own)?;
        Ok(Self { network, registry_key, own, path, store, current: watch::Sender::new(Arc::new(view)) })
    }

    /// The network as it is now.
    pub fn view(&self) -> Arc<NetworkView> {
        Arc::clone(&self.current.borrow())
    }

    /// The network now and after every change.
    pub fn views(&self) -> watch::Receiver<Arc<NetworkView>> {
        self.current.subscribe()
    }

    /// The network file.
    pub const fn network(&self) -> &NetworkFile {
        &self.network
    }

    /// Looks at the file again and again, and tells `changed` of every newer view; `now` is asked for the time.
    /// Never ends.
    pub(crate) async fn follow(&self, now: impl Fn() -> Timestamp, changed: impl Fn(&NetworkView)) {
        let mut seen = None;
        let mut said_stale = None;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let stamp: Option<(SystemTime, u64)> = std::fs::metadata(&self.path)
                .and_then(|metadata| Ok((metadata.modified()?, metadata.len())))
                .ok();
            if stamp.is_some() && stamp != seen {
                seen = stamp;
                match self.refresh().await {
                    Ok(true) => changed(&self.view()),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "the directory file was not taken over"),
                }
            }
            let view = self.view();
            let height = view.directory.height;
            if view.directory.freshness(now()) == Freshness::Stale && said_stale != Some(height) {
                said_stale = Some(height);
                tracing::warn!(height, "the directory is past its time; it is used until a newer one comes");
            }
        }
    }

    /// Whether there was a newer one.
    async fn refresh(&self) -> Result<bool, RegistryError> {
        let known = self.view().directory.height;
        let bytes = std::fs::read(&self.path)
            .map_err(|source| RegistryError::Read { path: self.path.clone(), source })?;
        let rejected = |source| RegistryError::Rejected { path: self.path.clone(), source };
        let signed = SignedDirectory::from_json(&bytes).map_err(rejected)?;
        let directory =
            signed.verify(&self.registry_key, &self.network.network_id, known).map_err(rejected)?;
        if directory.height == known {
            return Ok(false);
        }
        let height = directory.height;
        let kept = signed.to_json().into_bytes();
        let view = NetworkView::of(directory, signed, self.own)?;
        self.store.set_meta(META_DIRECTORY, kept).await?;
        self.current.send_replace(Arc::new(view));
        tracing::info!(height, "a newer directory");
        Ok(true)
    }
}
