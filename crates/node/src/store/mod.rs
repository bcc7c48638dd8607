//! The messages this node keeps, in SQLite.
//!
//! *Acknowledged means durable*: a write is answered after its transaction has reached the disk
//! (`synchronous=FULL`). So that this is also fast, one thread owns the writing connection, takes
//! everything that waits, commits once, and answers everybody (group commit). Readers have
//! connections of their own and never wait for a commit (WAL).
//!
//! The database is not encrypted: what clients store is sealed already, and a node has nobody to
//! ask for a passphrase. It knows accounts, times and sizes, as every node of the swarm does.
//!
//! Members of a swarm come to the same state in whatever order they learn of writes, and however often
//! (docs/decisions/0007): [`MessageStore::merge`] adds other members' copies, which can only add;
//! [`MessageStore::apply`] does what deletes, shortens and revokes, fresh from a client or out of another member's log.
//!
//! Time is an argument. Nothing here knows swarms, signatures or who may read what.

mod checkpoint;
mod files;
mod groups;
mod life;
mod operation;
mod readers;
mod schema;
mod sql;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::{AccountId, Ed25519Public};
use conclave_proto::rpc::SubaccountToken;
use conclave_proto::rpc::answers::StoredMessage;
use conclave_proto::sync::{AccountKeys, Digests, Keys, Name};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::Connection;

use files::Files;
pub use life::{MEMORY, Raise};
pub use operation::{Action, Applied, Arrival, Operation, OperationId};
use readers::Readers;
use writer::Writer;

/// The largest answer to one `retrieve`, in accounted bytes. (storage-and-onion 2.8)
pub const MAX_RETRIEVE: u64 = 7_800_000;
/// Messages that one step of a sweep removes, so that the writes waiting behind it do not wait long.
const SWEEP_STEP: usize = 1_000;
/// How far the clocks of members may be apart: they refuse each other's requests beyond. (storage-and-onion 2.4)
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);
/// Ten GiB, the limit of current storage servers. (storage-and-onion 3)
pub const DEFAULT_MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// What can go wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The configured size, or the disk, is used up. Reading goes on; expiry makes room.
    #[error("the message store is full")]
    Full,
    /// The file is damaged. Retrying does not help.
    #[error(
        "the message store {path} is damaged: {problem}. Stop the node, move the file away, and start it again; the \
         other members of its swarm have the messages"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        problem: String,
    },
    /// A later version of this program wrote the file.
    #[error("the message store {path} was written by a newer version of this program")]
    Newer {
        /// The database.
        path: PathBuf,
    },
    /// The file is a database, but not one of these. Nothing in it was touched.
    #[error("{path} is not the message store of a node; name another file or move this one away")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// So many writes wait that a further one would only wait too long. Try again.
    #[error("the message store is busy")]
    Busy,
    /// Anything else: the machine's fault. Try again.
    #[error("the message store failed: {0}")]
    Failed(String),
}

impl StoreError {
    fn of(path: &Path, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt { path: path.to_owned(), problem: error.to_string() }
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most bytes of the database file. Writes beyond fail with [`StoreError::Full`].
    pub max_bytes: u64,
    /// A SQLite VFS by name, instead of the system's files.
    pub vfs: Option<String>,
    /// For tests: pages of the log before they are carried over into the database.
    #[doc(hidden)]
    pub checkpoint_pages: Option<u32>,
    /// For tests only, as the control that must lose data: commit without waiting for the disk.
    #[doc(hidden)]
    pub unsafe_synchronous_normal: bool,
    /// For tests under a clock of their own: everything is done on the thread that asks and by the time it is answered, each
    /// write in a transaction of its own, so that the same calls do the same in every run.
    #[doc(hidden)]
    pub inline: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: DEFAULT_MAX_BYTES,
            vfs: None,
            checkpoint_pages: None,
            unsafe_synchronous_normal: false,
            inline: false,
        }
    }
}

/// A message to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Whose mailbox.
    pub owner: AccountId,
    /// Which mailbox.
    pub namespace: Namespace,
    /// What it is stored under; the hash of the three fields around it.
    pub hash: MessageHash,
    /// When it says it was sent.
    pub timestamp: Timestamp,
    /// When it is forgotten.
    pub expiry: Timestamp,
    /// The message.
    pub data: Vec<u8>,
}

/// A message as one member hands it to another. What cut its life does not travel with it: nobody's word is needed for
/// taking something away, so that is told by [`Operation`]s, which carry their proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageCopy {
    /// Whose mailbox.
    pub owner: AccountId,
    /// Which mailbox.
    pub namespace: Namespace,
    /// When it says it was sent, in the latest store.
    pub timestamp: Timestamp,
    /// When a client last stored it.
    pub stored_at: Timestamp,
    /// Until when stores and extensions have asked to keep it. Nearly always one.
    pub raises: Vec<Raise>,
    /// The message.
    pub data: Vec<u8>,
}

impl MessageCopy {
    /// What it is stored under.
    pub fn hash(&self) -> MessageHash {
        MessageHash::of(&self.owner, self.namespace, &self.data)
    }

    /// Its name in the whole swarm.
    pub fn key(&self) -> (AccountId, MessageHash) {
        (self.owner, self.hash())
    }

    /// Without what cannot be so at `now`, if anything is left: no time of a write is later than that, but for the
    /// differences of clocks, and no life is longer than thirty days.
    fn plausible(mut self, now: Timestamp) -> Option<Self> {
        let latest = now.plus(CLOCK_DIFFERENCE);
        self.raises.retain(|raise| raise.at <= latest && raise.expiry <= latest.plus(MEMORY));
        let lives = self.raises.iter().any(|raise| raise.expiry > now);
        (lives && self.stored_at <= latest).then_some(self)
    }
}

/// The name of an operation in the log of an account, with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationKey {
    /// Its time.
    pub at: Timestamp,
    /// Its name.
    pub id: OperationId,
}

/// An operation out of the log, to be handed to a member that has missed it: see [`Operation::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged(pub Vec<u8>);

/// Something a member has not been told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owed {
    /// A message, by name.
    Message(AccountId, Name),
    /// An operation, by name.
    Operation(AccountId, OperationId),
}

impl Owed {
    /// Whose.
    pub const fn account(&self) -> &AccountId {
        match self {
            Self::Message(account, _) | Self::Operation(account, _) => account,
        }
    }

    fn code(&self) -> (i64, Name) {
        match self {
            Self::Message(_, name) => (0, *name),
            Self::Operation(_, OperationId(name)) => (1, *name),
        }
    }

    fn of_code(account: AccountId, kind: i64, name: Name) -> Self {
        if kind == 0 { Self::Message(account, name) } else { Self::Operation(account, OperationId(name)) }
    }
}

/// What became of a stored message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// It was there before; at most its expiry has been raised.
    pub already: bool,
    /// Until when it is kept now.
    pub expiry: Timestamp,
}

/// Which messages of a mailbox are asked for. (storage-and-onion 2.8)
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Whose mailbox.
    pub owner: &'a AccountId,
    /// Which mailbox.
    pub namespace: Namespace,
    /// Only what was taken in after this message; from the beginning if it is not here.
    pub after: Option<MessageHash>,
    /// At most so many.
    pub max_count: Option<u64>,
    /// At most so many accounted bytes, but at least one message. See [`size_limit`].
    pub max_size: u64,
}

/// Messages in the order this node took them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages.
    pub messages: Vec<StoredMessage>,
    /// Whether more lie behind the last one.
    pub more: bool,
}

/// What lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Messages.
    pub messages: u64,
    /// Accounts of which anything is known.
    pub owners: u64,
    /// Messages that are gone, of which others may still have copies.
    pub tombstones: u64,
    /// Operations in the logs of all accounts.
    pub operations: u64,
    /// Bytes of the database file. It does not shrink; what is free in it is used first.
    pub bytes: u64,
    /// Bytes of it that are free.
    pub free_bytes: u64,
}

/// The limit in bytes that `max_count` and `max_size` of a `retrieve` ask for: positive as given, −n the n-th part of
/// [`MAX_RETRIEVE`], absent a fifth of it unless a count is given. (storage-and-onion 2.8)
pub fn size_limit(max_count: Option<u64>, max_size: Option<i64>) -> u64 {
    match max_size.unwrap_or(0) {
        0 if max_count.is_some_and(|count| count > 0) => MAX_RETRIEVE,
        0 => MAX_RETRIEVE / 5,
        part if part < 0 => MAX_RETRIEVE / part.unsigned_abs(),
        size => size.unsigned_abs().min(MAX_RETRIEVE),
    }
}

/// The store. Clones are handles to the same one; it closes with the last of them.
#[derive(Clone, Debug)]
pub struct MessageStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Writer,
    /// `None` for a database in memory, which only its one connection sees, and where everything is done inline.
    readers: Option<Arc<Readers>>,
}

impl MessageStore {
    /// Opens or makes the database at `path`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Newer`], or what the disk says.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let connection = schema::open_for_writing(path, &options).map_err(|e| e.unwrap_or_store(path))?;
        let (writer, readers) = if options.inline {
            (Writer::inline(connection, path.to_owned()), None)
        } else {
            let files = Files::new(path, options, &connection).map_err(|e| StoreError::of(path, &e))?;
            let readers = files.readers();
            (Writer::start(connection, path.to_owned(), Some(files)), Some(readers))
        };
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), writer, readers }) })
    }

    /// The same store in memory.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        let path = PathBuf::from(":memory:");
        let connection =
            schema::open_for_writing(&path, &Options::default()).map_err(|e| e.unwrap_or_store(&path))?;
        let writer = Writer::start(connection, path.clone(), None);
        Ok(Self { inner: Arc::new(Inner { path, writer, readers: None }) })
    }

    /// Keeps a message that a client stores at `at`. Answers when it is durable. A message that is there already only lives
    /// longer; public outboxes keep the newest; what was deleted after `at` is answered as stored and is not.
    /// (storage-and-onion 2.7, 2.21, 3)
    ///
    /// # Errors
    /// [`StoreError`]; nothing was kept then.
    pub async fn store(&self, message: NewMessage, at: Timestamp) -> Result<Stored, StoreError> {
        self.write(move |connection| sql::messages::insert(connection, &message, at)).await
    }

    /// Adds what other members have, all in one commit. Their hashes are computed again. A copy never brings back what has
    /// been deleted after it was stored, and never shortens a life. Returns how many were not here before and are now.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn merge(&self, copies: Vec<MessageCopy>, now: Timestamp) -> Result<usize, StoreError> {
        let copies: Vec<MessageCopy> = copies.into_iter().filter_map(|copy| copy.plausible(now)).collect();
        self.write(move |connection| {
            let mut new = 0;
            for copy in &copies {
                new += usize::from(sql::messages::merge(connection, copy, now)?);
            }
            Ok(new)
        })
        .await
    }

    /// Does what deletes, shortens, extends or revokes; answers when it is durable. The same code for what a client asks now
    /// and for what another member remembers; doing it again, or in another order, comes to the same. The caller has checked
    /// that it is allowed.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn apply(&self, operation: Operation, arrival: Arrival) -> Result<Applied, StoreError> {
        self.write(move |connection| sql::operations::apply(connection, &operation, arrival)).await
    }

    /// Forgets what has expired at `now`, tombstones and operations that nothing can need any more, and accounts of which
    /// nothing is known then. Returns how many messages went. Done in steps, each durable by itself, with other writes
    /// between them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut gone = 0;
        loop {
            let (step, all) = self.write(move |connection| sql::sweep(connection, now, SWEEP_STEP)).await?;
            gone += step;
            if all {
                return Ok(gone);
            }
        }
    }

    /// Remembers a small value under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_meta(&self, name: &'static str, value: Vec<u8>) -> Result<(), StoreError> {
        self.write(move |connection| sql::set_meta(connection, name, &value)).await
    }

    /// The value remembered under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| sql::meta(connection, name))
    }

    /// Reads a page of a mailbox: in the order this node took the messages in, after the message of the cursor or, where
    /// that is not here, from the beginning; what has expired may appear until it is swept. Blocks for the time of a few
    /// disk reads. (storage-and-onion 2.8)
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn retrieve(&self, query: &Query<'_>) -> Result<Page, StoreError> {
        self.read(|connection| sql::messages::page(connection, query))
    }

    /// Until when messages of an account are kept; those that are not here are left out. (storage-and-onion 2.14)
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn expiries(
        &self,
        owner: &AccountId,
        hashes: &[MessageHash],
    ) -> Result<BTreeMap<MessageHash, Timestamp>, StoreError> {
        self.read(|connection| sql::messages::expiries(connection, owner, hashes))
    }

    /// Copies of messages of an account, to be handed to another member; those that are not here are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copies(&self, owner: &AccountId, hashes: &[MessageHash]) -> Result<Vec<MessageCopy>, StoreError> {
        self.read(|connection| sql::messages::copies(connection, owner, hashes))
    }

    /// The names of all messages of an account here, sorted by their bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn hashes(&self, owner: &AccountId) -> Result<Vec<MessageHash>, StoreError> {
        self.read(|connection| sql::messages::hashes(connection, owner))
    }

    /// The log of an account, the oldest first: what took something away in the last [`MEMORY`], as much of it as is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn operations(&self, owner: &AccountId) -> Result<Vec<Logged>, StoreError> {
        self.read(|connection| sql::operations::logged(connection, owner, None))
    }

    /// Those of the log with these names; unknown ones are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn operations_named(
        &self,
        owner: &AccountId,
        ids: &[OperationId],
    ) -> Result<Vec<Logged>, StoreError> {
        self.read(|connection| sql::operations::logged(connection, owner, Some(ids)))
    }

    /// The names of what is in the log of an account, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn operation_keys(&self, owner: &AccountId) -> Result<Vec<OperationKey>, StoreError> {
        self.read(|connection| sql::operations::names(connection, owner))
    }

    /// When something was last added to what `operation` is about: stored, or made to live longer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_addition(&self, operation: &Operation) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| sql::operations::last_addition(connection, operation))
    }

    /// The time of the latest operation in all logs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_operation(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(sql::operations::last)
    }

    /// Since when the account has revoked a subaccount, if it has. (storage-and-onion 2.15)
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revoked_since(
        &self,
        owner: &AccountId,
        token: &SubaccountToken,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| sql::revocations::revoked_since(connection, owner, token))
    }

    /// The revoked subaccounts of an account, the latest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revoked(&self, owner: &AccountId) -> Result<Vec<SubaccountToken>, StoreError> {
        self.read(|connection| sql::revocations::revoked(connection, owner))
    }

    /// Digests of everything that is still there at `cutoff`, to be compared with another member's: messages up to the one
    /// that was the [`Self::newest`] at some time, and operations up to `operations_until`. Reads all names: half a second for
    /// a million messages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn digests(
        &self,
        cutoff: Timestamp,
        newest: Option<i64>,
        operations_until: Timestamp,
    ) -> Result<Digests, StoreError> {
        self.read(|connection| sql::sync::digests(connection, cutoff, newest, operations_until))
    }

    /// How far the store has come: a number that grows with each message taken in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn newest(&self) -> Result<i64, StoreError> {
        self.read(sql::sync::newest)
    }

    /// The names in a bucket, behind a message of an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keys(
        &self,
        bucket: usize,
        cutoff: Timestamp,
        after: Option<&(AccountId, Name)>,
    ) -> Result<Keys, StoreError> {
        self.read(|connection| sql::sync::keys(connection, bucket, cutoff, after))
    }

    /// The names of what is here of an account and still there at `cutoff`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keys_of(&self, account: &AccountId, cutoff: Timestamp) -> Result<AccountKeys, StoreError> {
        self.read(|connection| sql::sync::keys_of(connection, account, cutoff))
    }

    /// Of what somebody else has, what is not here, or lives longer or shorter here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lacking(&self, keys: &AccountKeys) -> Result<AccountKeys, StoreError> {
        self.read(|connection| sql::sync::lacking(connection, keys))
    }

    /// At most `most` accounts of which anything is known here, behind `after`, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accounts(&self, after: Option<&AccountId>, most: usize) -> Result<Vec<AccountId>, StoreError> {
        self.read(|connection| sql::sync::accounts(connection, after, most))
    }

    /// Notes that a member has not been told of something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owe(&self, members: Vec<Ed25519Public>, owed: Owed) -> Result<(), StoreError> {
        self.write(move |connection| {
            members.iter().try_for_each(|member| sql::sync::owe(connection, member, &owed))
        })
        .await
    }

    /// What is owed to a member, at most `most` of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn owed(&self, member: &Ed25519Public, most: usize) -> Result<Vec<Owed>, StoreError> {
        self.read(|connection| sql::sync::owed(connection, member, most))
    }

    /// Notes that a member has been told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle(&self, member: Ed25519Public, settled: Vec<Owed>) -> Result<(), StoreError> {
        self.write(move |connection| sql::sync::settle(connection, &member, &settled)).await
    }

    /// The keys of those to whom something is owed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn creditors(&self) -> Result<BTreeSet<[u8; 32]>, StoreError> {
        self.read(sql::sync::creditors)
    }

    /// Forgets what is owed to a member: it has left, or will find out by comparing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_off(&self, member: [u8; 32]) -> Result<(), StoreError> {
        self.write(move |connection| sql::sync::write_off(connection, &member)).await
    }

    /// How long writes are left behind because more come than the disk takes; zero while it keeps up.
    pub fn behind(&self) -> std::time::Duration {
        self.inner.writer.groups().behind()
    }

    /// Has `observer` told of every commit: how many writes, and how long it took. Called once; it is called on the writing
    /// thread, before the callers are answered.
    pub fn observe_commits(&self, observer: impl Fn(usize, std::time::Duration) + Send + Sync + 'static) {
        self.inner.writer.groups().observe(Box::new(observer));
    }

    /// How much lies here. Counts, so takes a second for some million messages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stats(&self) -> Result<Stats, StoreError> {
        self.read(sql::stats)
    }

    /// Reads the whole database and looks for damage. Takes as long as that takes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first problem found.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.read(sql::problem)? {
            None => Ok(()),
            Some(problem) => Err(StoreError::Corrupt { path: self.inner.path.clone(), problem }),
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.write(work).await
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let inner = &self.inner;
        match &inner.readers {
            Some(readers) => readers.read(work),
            None => inner.writer.with_connection(work),
        }
        .map_err(|e| StoreError::of(&inner.path, &e))
    }
}

#[cfg(test)]
mod tests;
