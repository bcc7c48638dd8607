//! A node: what outlives its process, and the process.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use conclave_crypto::{AccountId, Ed25519Public, Ed25519Secret};
use conclave_proto::rpc::Request;
use conclave_proto::sync::Copies;
use conclave_proto::{MessageHash, Timestamp};
use conclave_testkit::crashfs::CrashFs;

use super::world::steady;
use crate::order::WriteOrder;
use crate::registry::NetworkView;
use crate::replication::moving::Delivery;
use crate::replication::pulling::Rota;
use crate::replication::{Debts, KnownDigests};
use crate::store::{MessageStore, OperationKey, Options, Owed, StoreError};
use crate::swarm::reconcile::Pull;
use crate::swarm::{Coordinator, WriteId};

/// One node.
pub(super) struct SimNode {
    pub(super) secret: Ed25519Secret,
    pub(super) key: Ed25519Public,
    pub(super) disk: CrashFs,
    /// Of its clock, in milliseconds.
    pub(super) skew: i64,
    /// Counts starts.
    pub(super) life: u64,
    /// The network as it saw it last: on disk, too.
    pub(super) view: Option<Arc<NetworkView>>,
    /// `None` while it is down.
    pub(super) process: Option<Process>,
}

/// A running node.
pub(super) struct Process {
    pub(super) store: MessageStore,
    pub(super) coordinator: Coordinator,
    pub(super) order: WriteOrder,
    pub(super) digests: KnownDigests,
    pub(super) debts: Debts,
    pub(super) rota: Rota,
    /// Writes of clients that are under way.
    pub(super) writes: BTreeMap<WriteId, Waiting>,
    /// What has been taken on and is about to be committed.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// Requests to other nodes.
    pub(super) calls: BTreeMap<u64, Call>,
    pub(super) peers: BTreeMap<usize, Peer>,
    pub(super) comparing: Option<(usize, Pull)>,
    /// Counts comparisons, so that an old pause does not begin a new one.
    pub(super) comparison: u64,
    pub(super) paying: Option<Paying>,
    pub(super) moving: Option<Moving>,
}

/// A client's write at its entry node.
pub(super) struct Waiting {
    pub(super) request: Arc<Request>,
    pub(super) at: Timestamp,
    pub(super) forwarded: Arc<Vec<u8>>,
    /// What was known here of what it is about.
    pub(super) before: Known,
}

/// What a node knows of the messages that a write names, and of the account's operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) stored: BTreeMap<MessageHash, Timestamp>,
    pub(super) log: Vec<OperationKey>,
}

/// What waits for its commit.
#[derive(Debug)]
pub(super) enum Pending {
    OwnPart(WriteId),
    Forwarded { request: Box<Request>, at: Timestamp, asked: Asked },
    TakeIn { copies: Copies, asked: Asked },
}

/// A request of another node, to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) by: usize,
    /// Its life.
    pub(super) life: u64,
    pub(super) call: u64,
}

/// A request to another node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) to: usize,
    pub(super) purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Greet,
    Forward(WriteId),
    Compare,
    Pay,
    Move,
}

/// How another node stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    pub(super) connected: bool,
    pub(super) failures: u32,
    /// It is not asked before.
    pub(super) down_until: u64,
}

/// Paying debts, one member after the other.
pub(super) struct Paying {
    pub(super) creditors: VecDeque<[u8; 32]>,
    /// What was sent to the first of them.
    pub(super) sent: Vec<Owed>,
}

/// Bringing accounts to their swarms.
pub(super) struct Moving {
    pub(super) height: u64,
    /// Which members, the next one to try first; which accounts.
    pub(super) groups: VecDeque<(VecDeque<usize>, Vec<AccountId>)>,
    pub(super) delivery: Option<Delivery>,
    pub(super) failed: bool,
}

/// What travels between nodes.
#[derive(Clone)]
pub(super) enum Parcel {
    Ask { life: u64, call: u64, endpoint: &'static str, body: Arc<Vec<u8>> },
    Answer { life: u64, call: u64, answer: Result<Vec<u8>, Refusal> },
}

/// Why a node does not do what another one asks.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// It does not know it.
    Stranger,
    /// It says so.
    Said(Vec<u8>),
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ask { call, endpoint, body, .. } => {
                write!(f, "{endpoint} #{call} of {} bytes", body.len())
            }
            Self::Answer { call, answer: Ok(body), .. } => {
                write!(f, "answer #{call} of {} bytes", body.len())
            }
            Self::Answer { call, answer: Err(Refusal::Said(text)), .. } => {
                write!(f, "answer #{call}: {}", String::from_utf8_lossy(text).replace('\n', " "))
            }
            Self::Answer { call, answer: Err(Refusal::Stranger), .. } => {
                write!(f, "answer #{call}: not a node")
            }
        }
    }
}

/// What a process has to do at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Commit(u64),
    GiveUp,
    CallOver(u64),
    Sweep,
    Minute,
    LookForDebts,
    MemberIsBack,
    Compare(u64),
    Move,
}

impl SimNode {
    pub(super) fn new(index: usize, seed: u64) -> Self {
        let secret = Ed25519Secret::from_seed(&[100 + index as u8; 32]);
        Self {
            key: secret.public(),
            secret,
            disk: CrashFs::new(seed ^ index as u64),
            skew: 0,
            life: 0,
            view: None,
            process: None,
        }
    }

    pub(super) fn view(&self) -> Arc<NetworkView> {
        Arc::clone(self.view.as_ref().expect("whoever runs has seen a directory"))
    }

    pub(super) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it has been looked whether it runs")
    }

    pub(super) fn store(&self) -> Option<&MessageStore> {
        self.process.as_ref().map(|process| &process.store)
    }

    pub(super) fn open(&self, is_synced: bool) -> Result<Process, StoreError> {
        let options = Options {
            vfs: Some(self.disk.vfs_name().to_owned()),
            // Often, so that crashes also fall into the carrying over of the log.
            checkpoint_pages: Some(40),
            unsafe_synchronous_normal: !is_synced,
            inline: true,
            ..Options::default()
        };
        let store = MessageStore::open(Path::new(&self.disk.path("messages.sqlite")), options)?;
        let order = WriteOrder::behind(store.last_operation()?);
        Ok(Process {
            store,
            coordinator: Coordinator::new(),
            order,
            digests: KnownDigests::default(),
            debts: Debts::default(),
            rota: Rota::new(steady()),
            writes: BTreeMap::new(),
            pending: BTreeMap::new(),
            calls: BTreeMap::new(),
            peers: BTreeMap::new(),
            comparing: None,
            comparison: 0,
            paying: None,
            moving: None,
        })
    }
}
