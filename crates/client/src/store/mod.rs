//! The encrypted database of a profile: account, chats, outbox, what was received, cursors.
//!
//! Verbs of our domain, each one transaction. When a verb that writes returns, what it wrote has
//! reached the disk (`synchronous=FULL`: the commit is synced before the answer), or it has not
//! happened at all. Nothing here reads a clock or touches the network: time is an argument, always
//! network time.
//!
//! [`ClientStore`] is one SQLite connection behind a lock, cheap to clone. Its verbs block, for
//! microseconds to milliseconds; asynchronous callers go through [`ClientStore::run`], which moves
//! the work to a blocking thread. A verb under way is finished even if its caller loses interest.
//!
//! At rest: SQLCipher encrypts file and journal, `secure_delete` overwrites what is deleted,
//! temporary tables stay in memory, and after a deletion the journal is emptied.

mod chats;
mod contacts;
mod cursors;
mod deletion;
mod documents;
mod drafts;
mod error;
mod file_lives;
mod files;
mod history;
mod incoming;
#[cfg(test)]
mod inspect;
mod key;
mod meta;
mod migrations;
mod outgoing;
mod pictures;
mod recipients;
mod rows;
mod search;
mod speak;
mod timers;
mod turns;
mod work;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

pub use contacts::MAX_NAME_BYTES;
pub use deletion::Deletion;
pub use documents::{DocumentPush, ReceivedEntries};
pub use drafts::MAX_DRAFT_BYTES;
use error::Failure;
pub use error::StoreError;
pub(crate) use file_lives::Renewal;
pub use files::{GoneFile, files_again};
pub use history::Place;
pub use key::DatabaseKey;
pub use meta::{MAX_META_BYTES, Meta};
use migrations::SchemaVersion;
pub use outgoing::StoredCopy;
pub use pictures::{MAX_PICTURE_FETCHES, PictureRow, StoredPicture};
pub use recipients::{Candidate, RecipientError};
pub use rows::{
    ChatRow, Contact, Copy, DraftRow, DueCopy, FileRow, FileState, MessageRow, NewFile, Others,
    OutgoingMessage, ReactionRow, ReceivedBatch, ReceivedItem, RowKind, StoredAccount,
};
pub use search::{
    MAX_SEARCH_BYTES, MAX_SEARCH_WORDS, SearchCursor, SearchHit, SearchKind, SearchPage, SearchQuery,
};
pub use speak::EDIT_WITHIN;
pub use timers::OwnSwarmTask;
pub use work::{Changes, DOCUMENT_NAMESPACES};

pub use crate::wire::Opened;

/// The most rows one call returns, however many it asks for: a page is held in memory at once.
pub const MAX_PAGE: usize = 1_000;

/// A message whose sent time lies further than this after its arrival stands where it arrived and
/// is marked. Nodes allow a clock to be off by as much.
pub const FUTURE_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(60);

/// What members and other devices say happened later than this, from now, did not. A day, as clocks set to a wrong time zone are off.
const MOST_AHEAD: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Larger databases are not written anew by themselves: it takes a second for each hundred megabytes, and as much memory.
pub const COMPACTED_UP_TO: u64 = 64 * 1024 * 1024;
/// How often they are at most.
const COMPACTED_EVERY: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// Held from opening a connection until the first page has been read with its key.
static SETTING_UP: Mutex<()> = Mutex::new(());

/// How the file is opened beyond path and key.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The file.
    pub path: PathBuf,
    /// SQLite's name of another file layer, for tests that lose power.
    #[doc(hidden)]
    pub vfs: Option<String>,
    /// Wait for the disk before answering. Only the test that proves it matters turns it off.
    #[doc(hidden)]
    pub synced: bool,
}

impl StoreOptions {
    /// The usual way.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), vfs: None, synced: true }
    }
}

/// A handle to the database of a profile. Clones share one connection.
#[derive(Clone)]
pub struct ClientStore {
    inner: Arc<Inner>,
    /// Read-locked by verbs under way on other threads.
    under_way: Arc<tokio::sync::RwLock<()>>,
}

struct Inner {
    connection: Mutex<Connection>,
    /// The config documents as they are on the disk, once they were needed. Locked after the connection.
    documents: Mutex<Option<conclave_confsync::AccountDocuments>>,
    path: PathBuf,
    /// The journal may hold something that was deleted: a run before this one, or a full disk, did not empty it.
    journal_to_empty: AtomicBool,
    /// The profile's lock. Below the connection, so that it is let go after the file is closed.
    lock: Option<File>,
}

impl ClientStore {
    /// Opens the database, making or upgrading its tables where needed. Before an upgrade the whole
    /// file is checked, so that damage is found while the old version can still be read.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`], [`StoreError::Corrupt`], [`StoreError::TooNew`],
    /// [`StoreError::Busy`], or what the disk says.
    pub fn open(options: &StoreOptions, key: &DatabaseKey) -> Result<Self, StoreError> {
        Self::open_with(options, key, None)
    }

    /// [`Self::open`] for a database that has its tables already, holding the profile's lock for as
    /// long as it is open. An empty file is damage here: making tables in it would hide that the
    /// messages are gone.
    pub(crate) fn open_holding(
        options: &StoreOptions,
        key: &DatabaseKey,
        lock: File,
    ) -> Result<Self, StoreError> {
        Self::open_with(options, key, Some(lock))
    }

    fn open_with(options: &StoreOptions, key: &DatabaseKey, lock: Option<File>) -> Result<Self, StoreError> {
        const DOING: &str = "open the database";
        let fail = |error| StoreError::of(error, DOING, &options.path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // SQLCipher sets up its cryptography with the first keyed connections of a process, and does not take several of
        // them at once: rarely, one was told that its key is empty.
        let setting_up = SETTING_UP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut connection = match &options.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&options.path, flags, vfs.as_str()),
            None => Connection::open_with_flags(&options.path, flags),
        }
        .map_err(fail)?;
        // Nobody else is to have it open, so there is nothing to wait for.
        connection.busy_timeout(std::time::Duration::ZERO).map_err(fail)?;
        // SQLCipher would write its own lines to stderr; its errors reach us as results anyway.
        connection.execute_batch("PRAGMA cipher_log_level = NONE").map_err(fail)?;
        connection.execute_batch(&key.statement()).map_err(fail)?;
        prepare(&connection, options.synced).map_err(fail)?;
        let version = migrations::version(&connection).map_err(fail)?;
        drop(setting_up);
        match version {
            SchemaVersion::Current => {}
            SchemaVersion::Older { from: 0 } if lock.is_some() => {
                let detail = "it is empty".to_owned();
                return Err(StoreError::Corrupt { doing: DOING, path: options.path.clone(), detail });
            }
            SchemaVersion::Older { from } => {
                if from > 0 {
                    check(&connection, &options.path)?;
                }
                migrations::migrate(&mut connection, from)
                    .map_err(|e| StoreError::of(e, "make the tables", &options.path))?;
            }
            SchemaVersion::Newer { found } => {
                return Err(StoreError::TooNew {
                    path: options.path.clone(),
                    found,
                    known: migrations::NEWEST,
                });
            }
        }
        search::prepare(&mut connection)
            .map_err(|e| StoreError::of(e, "prepare the search", &options.path))?;
        let path = options.path.clone();
        Ok(Self {
            inner: Arc::new(Inner {
                connection: Mutex::new(connection),
                documents: Mutex::default(),
                path,
                journal_to_empty: AtomicBool::new(true),
                lock,
            }),
            under_way: Arc::default(),
        })
    }

    /// Encrypts the whole database anew: afterwards `old` opens nothing, neither the file nor what is left of its journal.
    /// Nobody may have it open. Takes some seconds per gigabyte, and as much room on the disk as the database has.
    ///
    /// It is one transaction: after a crash at any point exactly one of the two keys opens the database, with everything
    /// in it. Which, only opening shows, so both have to be kept until this returns.
    ///
    /// # Errors
    /// [`StoreError::NotRekeyed`] if `old` still is the key; else as [`Self::open`].
    pub fn rekey(options: &StoreOptions, old: &DatabaseKey, new: &DatabaseKey) -> Result<(), StoreError> {
        let fail = |error| StoreError::of(error, "encrypt the database anew", &options.path);
        let store = Self::open(options, old)?;
        // Before: what waits in the journal would else be there twice, and room is short enough.
        store.empty_journal()?;
        // SQLCipher says yes whether or not it could, and after a failure the connection would mix the keys. So this
        // connection does nothing more, and a new one shows what is true.
        store.connection().execute_batch(&new.rekey_statement()).map_err(fail)?;
        drop(store);
        match Self::open(options, new) {
            // The pages with the old key in the file itself are replaced by those in the journal.
            Ok(store) => store.empty_journal(),
            Err(StoreError::WrongKey { path }) => Err(StoreError::NotRekeyed { path }),
            Err(other) => Err(other),
        }
    }

    /// An empty database in memory.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        Self::open(&StoreOptions::new(":memory:"), &DatabaseKey::from_bytes([0; 32]))
    }

    /// Does `work` on a blocking thread.
    ///
    /// ```no_run
    /// # use conclave_client::store::{ClientStore, StoreError};
    /// # async fn example(store: ClientStore, now: conclave_proto::Timestamp) -> Result<(), StoreError> {
    /// let due = store.run(move |store| store.due(now, 16, 4)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        let under_way = Arc::clone(&self.under_way).read_owned().await;
        let verb = move || {
            let done = work(&store);
            // In this order: whoever waits for the end may count on the handle being gone.
            drop(store);
            drop(under_way);
            done
        };
        tokio::task::spawn_blocking(verb).await.unwrap_or_else(|stopped| {
            Err(StoreError::Bug(format!("database work did not finish: {stopped}")))
        })
    }

    /// Waits until no verb that [`Self::run`] began is under way: those whose callers lost interest go on for a moment, and
    /// keep the profile owned.
    pub(crate) async fn settled(&self) {
        drop(self.under_way.write().await);
    }

    /// The profile's lock once more, which keeps the profile owned after the database is closed.
    pub(crate) fn lock_handle(&self) -> std::io::Result<File> {
        match &self.inner.lock {
            Some(lock) => lock.try_clone(),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Reads every page in use: its authentication code and SQLite's own structure. Takes as
    /// long as reading the file.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with the first finding.
    pub fn check(&self) -> Result<(), StoreError> {
        check(&self.connection(), &self.inner.path)
    }

    /// Writes the journal into the database file and empties it, so that old content in it is gone.
    /// Deleting verbs do this themselves.
    ///
    /// # Errors
    /// What the disk says.
    pub fn empty_journal(&self) -> Result<(), StoreError> {
        self.connection()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|e| StoreError::of(e, "empty the journal", &self.inner.path))
    }

    /// Writes the database anew if something was deleted since that was last done, an hour ago at least, and the file is
    /// small enough for it to go unnoticed ([`COMPACTED_UP_TO`]): what a deletion leaves in unused parts of pages, which is
    /// beginnings of words the search is ordered by, is gone then.
    ///
    /// # Errors
    /// What the disk says; nothing has changed then.
    pub fn compact_if_due(&self, now: Timestamp) -> Result<bool, StoreError> {
        if self.meta(Meta::Deleted)?.is_none() {
            return Ok(false);
        }
        let last = self.meta(Meta::CompactedAt)?.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let last = last.map_or(Timestamp(0), |bytes| Timestamp(u64::from_be_bytes(bytes)));
        let small = std::fs::metadata(&self.inner.path).is_ok_and(|file| file.len() <= COMPACTED_UP_TO);
        if now.since(last) < COMPACTED_EVERY || !small {
            return Ok(false);
        }
        self.compact(now)?;
        Ok(true)
    }

    /// Writes the database anew. Takes as long as copying it, and as much memory.
    ///
    /// # Errors
    /// What the disk says; nothing has changed then.
    pub fn compact(&self, now: Timestamp) -> Result<(), StoreError> {
        // Before, so that what is deleted meanwhile is looked after the next time.
        self.write("begin to write it anew", |tx| {
            tx.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([Meta::Deleted.name()])?;
            Ok(())
        })?;
        let done = self.connection().execute_batch("VACUUM");
        if let Err(error) = done {
            self.set_meta(Meta::Deleted, &[1])?;
            return Err(StoreError::of(error, "write it anew", &self.inner.path));
        }
        self.set_meta(Meta::CompactedAt, &now.0.to_be_bytes())?;
        self.empty_journal()
    }

    /// [`Self::empty_journal`] after a deletion. That is committed by then, and its verb has to tell what it changed: what
    /// cannot be emptied now, on a full disk for instance, is emptied when the database is next [tidied](Self::tidy).
    fn clear_journal(&self) {
        let failed = self.empty_journal().inspect_err(|error| {
            tracing::warn!(%error, "what was deleted is not yet gone from the journal");
        });
        self.inner.journal_to_empty.store(failed.is_err(), Ordering::Relaxed);
    }

    /// Keeps the file from growing beyond what it has, as a full disk does; or lets it grow again. For tests.
    pub(crate) fn fill_up(&self, full: bool) -> Result<(), StoreError> {
        // Less than the file has is as much as it has.
        let pages = if full { 1 } else { u32::MAX - 1 };
        self.connection()
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(|e| StoreError::of(e, "limit the database", &self.inner.path))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere has rolled its transaction back when it dropped it, so what is behind a
        // poisoned lock is as sound as before.
        self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction that writes. Committed, and on the disk, if this returns `Ok`.
    fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        let done = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Failure::from)
            .and_then(|transaction| {
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
        self.sort(doing, done)
    }

    /// Reads that belong together.
    fn read<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let connection = self.connection();
        self.sort(doing, work(&connection))
    }

    fn sort<T>(&self, doing: &'static str, done: Result<T, Failure>) -> Result<T, StoreError> {
        done.map_err(|failure| match failure {
            // The key has opened the file, so whatever is wrong now is damage.
            Failure::Sqlite(error) => match StoreError::of(error, doing, &self.inner.path) {
                StoreError::WrongKey { path } => {
                    StoreError::Corrupt { doing, path, detail: "a page does not belong to it".to_owned() }
                }
                sorted => sorted,
            },
            Failure::Store(error) => error,
        })
    }
}

impl std::fmt::Debug for ClientStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientStore({})", self.inner.path.display())
    }
}

fn prepare(connection: &Connection, synced: bool) -> rusqlite::Result<()> {
    // The owner of a profile is the only one to open its database; with exclusive locking SQLite
    // needs no shared-memory file beside it.
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
    // A first read, so that a wrong key shows before anything is written.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA cache_size = -16384;
         PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;",
    )?;
    connection.execute_batch(if synced {
        "PRAGMA synchronous = FULL"
    } else {
        "PRAGMA synchronous = NORMAL"
    })?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(())
}

fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    const DOING: &str = "check the database";
    // Reading a page checks its authentication code (SQLCipher); this reads every page in use.
    let findings = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match findings {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(detail) => Err(StoreError::Corrupt { doing: DOING, path: path.to_owned(), detail }),
        Err(error) => Err(match StoreError::of(error, DOING, path) {
            StoreError::WrongKey { path } => {
                StoreError::Corrupt { doing: DOING, path, detail: "a page does not belong to it".to_owned() }
            }
            sorted => sorted,
        }),
    }
}

/// As SQLite keeps it: signed. Times a stranger puts beyond that are cut, which orders them the same.
fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp(u64::try_from(millis).unwrap_or(0))
}

/// An account id out of a column.
fn account_id(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<AccountId> {
    AccountId::from_slice(row.get_ref(column)?.as_blob()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into())
    })
}

/// `limit` as SQLite wants it, at most [`MAX_PAGE`].
fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
