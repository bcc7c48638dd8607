//! Who is in the network: the signed directory, and where a node gets it.
//!
//! From a file that the operator keeps, or, without one, from the seeds of the network file and from other nodes. What was
//! accepted last is kept in the store, so that the node starts and goes on when all of them are away; a lower height is
//! refused, whoever brings it. When to look is decided elsewhere (`follow`).

mod fetch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::{AccountId, Ed25519Public};
use conclave_proto::network::{Directory, DirectoryRejected, NetworkFile, SignedDirectory};
use conclave_proto::rpc::answers::SwarmMembers;
use conclave_proto::{SnodeRecord, SwarmId};
use tokio::sync::watch;

use crate::store::{MessageStore, StoreError};
use fetch::Fetcher;
pub(crate) use fetch::pick;

/// How often a node that is not listed yet looks again: a person waits for it.
const LISTED_EVERY: Duration = Duration::from_secs(3);
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
    /// Neither a seed nor a known node gave a directory that can be used. Worth trying again.
    #[error("no seed of the network gave its directory ({reasons})")]
    NoAnswer {
        /// What they said instead.
        reasons: String,
    },
    /// What another node gave is no newer directory of this network. Its fault.
    #[error("another node's directory cannot be used: {0}")]
    Given(DirectoryRejected),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This node's key is not in the directory.
    #[error("this node ({}) is not in the network's directory; ask its operator to add it", key.to_hex())]
    NotListed {
        /// The node's key.
        key: Ed25519Public,
    },
}

/// A node that waits until the operator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// The node's key.
    pub node: Ed25519Public,
    /// The height of the newest directory known, in which it is not. `None` if there is none yet.
    pub height: Option<u64>,
    /// Why there is no newer one, if that is so.
    pub trouble: Option<String>,
}

/// Who is told of [`Unlisted`], whenever something about it changes.
pub type OnUnlisted<'a> = &'a mut (dyn FnMut(&Unlisted) + Send);

/// The network as this node sees it at one moment. Never changes; a newer one takes its place.
#[derive(Debug)]
pub struct NetworkView {
    directory: Directory,
    signed: SignedDirectory,
    own: SnodeRecord,
    is_listed: bool,
}

impl NetworkView {
    /// How a node sees a directory. `last`: its entry when it was listed last. `None` if it never has been.
    pub(crate) fn of(
        directory: Directory,
        signed: SignedDirectory,
        own: Ed25519Public,
        last: Option<SnodeRecord>,
    ) -> Option<Self> {
        let listed = directory.node(&own).copied();
        let own = listed.or_else(|| Some(SnodeRecord { swarm: SwarmId::NONE, ..last? }))?;
        Some(Self { directory, signed, own, is_listed: listed.is_some() })
    }

    /// The verified directory.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// As it was signed, to be handed on.
    pub const fn signed(&self) -> &SignedDirectory {
        &self.signed
    }

    /// This node's own entry. Of one that has been removed: the last, in no swarm.
    pub const fn own(&self) -> &SnodeRecord {
        &self.own
    }

    /// Whether the node is in the directory. One that was removed while it ran keeps no account any more, and tells those
    /// who ask which swarm does.
    pub const fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether the account is kept by this node's swarm.
    pub fn is_ours(&self, account: &AccountId) -> bool {
        self.directory.swarm_of(account) == Some(self.own.swarm)
    }

    /// The other members of this node's swarm.
    pub fn others(&self) -> impl Iterator<Item = &SnodeRecord> {
        // Nodes that are in no swarm share nothing.
        let swarm = Some(self.own.swarm).filter(|swarm| *swarm != SwarmId::NONE);
        let members = swarm.into_iter().flat_map(|swarm| self.directory.members(swarm));
        members.filter(|node| node.ed25519 != self.own.ed25519)
    }

    /// The swarm of an account, as `get_swarm` and 421 answer it.
    pub fn swarm_members(&self, account: &AccountId) -> SwarmMembers {
        self.members_of(self.directory.swarm_of(account))
    }

    /// A swarm, as answers name it.
    pub(crate) fn members_of(&self, swarm: Option<SwarmId>) -> SwarmMembers {
        match swarm {
            Some(swarm) => SwarmMembers { swarm, snodes: self.directory.members(swarm).copied().collect() },
            None => SwarmMembers { swarm: SwarmId::NONE, snodes: Vec::new() },
        }
    }
}

/// The directory, and how to get a newer one.
#[derive(Debug)]
pub struct Registry {
    lists: Lists,
    current: watch::Sender<Arc<NetworkView>>,
    heard: watch::Sender<Option<(Ed25519Public, u64)>>,
}

impl Registry {
    /// Takes the newest of what the store holds and what `file` or, without one, the network gives. If the node is not in
    /// it and `waiting` is given, tells it so and looks again until it is.
    ///
    /// # Errors
    /// [`RegistryError`] if there is no directory, or none with this node and nobody to wait.
    pub async fn open(
        network: NetworkFile,
        own: Ed25519Public,
        file: Option<PathBuf>,
        store: MessageStore,
        mut waiting: Option<OnUnlisted<'_>>,
    ) -> Result<Self, RegistryError> {
        let registry_key = network.registry_key.ok_or(RegistryError::NoRegistryKey)?;
        let lists = Lists { network, registry_key, own, file, store, fetcher: Fetcher::default() };
        // What was accepted once is verified again: the disk is no more trustworthy than the wire.
        let kept = lists.store.meta(META_DIRECTORY)?;
        let mut newest = kept.and_then(|bytes| SignedDirectory::from_json(&bytes).ok()).and_then(|signed| {
            Some((signed.verify(&registry_key, &lists.network.network_id, 0).ok()?, signed))
        });
        let mut told = None;
        loop {
            let trouble = match (lists.newer(newest.as_ref().map(|(directory, _)| directory)).await, &newest)
            {
                (Ok(Some(newer)), _) => {
                    lists.keep(&newer.1).await?;
                    newest = Some(newer);
                    None
                }
                (Ok(None), _) => None,
                (Err(error), Some(_)) => Some(error.to_string()),
                (Err(error @ RegistryError::NoAnswer { .. }), None) if waiting.is_some() => {
                    Some(error.to_string())
                }
                (Err(error), None) => return Err(error),
            };
            if let Some((directory, signed)) = newest.take_if(|(directory, _)| directory.node(&own).is_some())
            {
                if let Some(error) = trouble {
                    tracing::warn!(%error, "living on the directory accepted last");
                }
                let view = NetworkView::of(directory, signed, own, None)
                    .ok_or(RegistryError::NotListed { key: own })?;
                let current = watch::Sender::new(Arc::new(view));
                return Ok(Self { lists, current, heard: watch::Sender::new(None) });
            }
            let Some(tell) = waiting.as_mut() else { return Err(RegistryError::NotListed { key: own }) };
            let height = newest.as_ref().map(|(directory, _)| directory.height);
            let unlisted = Some(Unlisted { node: own, height, trouble });
            if unlisted != told
                && let Some(unlisted) = &unlisted
            {
                tell(unlisted);
            }
            told = unlisted;
            tokio::time::sleep(LISTED_EVERY).await;
        }
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
        &self.lists.network
    }

    /// The operator's file, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.lists.file.as_deref()
    }

    /// A listed node says that it has a directory of that height.
    pub(crate) fn hear(&self, of: Ed25519Public, height: u64) {
        if height > self.view().directory.height {
            self.heard.send_replace(Some((of, height)));
        }
    }

    /// Who said last that there is a newer directory, and of which height.
    pub(crate) fn heard(&self) -> watch::Receiver<Option<(Ed25519Public, u64)>> {
        self.heard.subscribe()
    }

    /// Looks where directories come from; whether there was a newer one.
    pub(crate) async fn refresh(&self) -> Result<bool, RegistryError> {
        let view = self.view();
        match self.lists.newer(Some(&view.directory)).await? {
            Some(newer) => self.replace(newer).await,
            None => Ok(false),
        }
    }

    /// Takes over what somebody gave, if it is newer.
    ///
    /// # Errors
    /// If it is not the registry's, or older than the one known: whoever gave it lies or lags behind.
    pub(crate) async fn take(&self, signed: SignedDirectory) -> Result<bool, RegistryError> {
        let known = self.view().directory.height;
        let directory = self.lists.verify(&signed, known).map_err(RegistryError::Given)?;
        if directory.height == known {
            return Ok(false);
        }
        self.replace((directory, signed)).await
    }

    async fn replace(
        &self,
        (directory, signed): (Directory, SignedDirectory),
    ) -> Result<bool, RegistryError> {
        let height = directory.height;
        self.lists.keep(&signed).await?;
        let mut taken = false;
        self.current.send_if_modified(|current| {
            // Two may come at once; the higher stays.
            if height > current.directory.height
                && let Some(newer) = NetworkView::of(directory, signed, self.lists.own, Some(current.own))
            {
                *current = Arc::new(newer);
                taken = true;
            }
            taken
        });
        if taken {
            tracing::info!(height, "a newer directory");
        }
        Ok(taken)
    }
}

/// Where lists come from and what makes them good.
#[derive(Debug)]
struct Lists {
    network: NetworkFile,
    registry_key: Ed25519Public,
    own: Ed25519Public,
    file: Option<PathBuf>,
    store: MessageStore,
    fetcher: Fetcher,
}

impl Lists {
    fn verify(&self, signed: &SignedDirectory, known: u64) -> Result<Directory, DirectoryRejected> {
        signed.verify(&self.registry_key, &self.network.network_id, known)
    }

    async fn keep(&self, signed: &SignedDirectory) -> Result<(), StoreError> {
        self.store.set_meta(META_DIRECTORY, signed.to_json().into_bytes()).await
    }

    /// A directory that is newer than `known`.
    async fn newer(
        &self,
        known: Option<&Directory>,
    ) -> Result<Option<(Directory, SignedDirectory)>, RegistryError> {
        let height = known.map_or(0, |directory| directory.height);
        let (directory, signed) = match &self.file {
            Some(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|source| RegistryError::Read { path: path.clone(), source })?;
                let rejected = |source| RegistryError::Rejected { path: path.clone(), source };
                let signed = SignedDirectory::from_json(&bytes).map_err(rejected)?;
                (self.verify(&signed, height).map_err(rejected)?, signed)
            }
            None => {
                let nodes: Vec<SnodeRecord> = known
                    .map(Directory::nodes)
                    .unwrap_or_default()
                    .iter()
                    .filter(|node| node.ed25519 != self.own)
                    .copied()
                    .collect();
                let take = |signed: SignedDirectory| match self.verify(&signed, height) {
                    Ok(directory) => Ok((directory, signed)),
                    Err(error) => Err(error.to_string()),
                };
                let fetched = self.fetcher.fetch(&nodes, &self.network.seeds, take).await;
                fetched.map_err(|reasons| RegistryError::NoAnswer { reasons })?
            }
        };
        Ok(known.is_none_or(|known| directory.height > known.height).then_some((directory, signed)))
    }
}
