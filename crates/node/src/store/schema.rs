//! The tables, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Options, StoreError};

/// Rises with every change of the tables.
const VERSION: i64 = 1;

/// Says in the file's header whose it is (`PRAGMA application_id`): "CnvN".
const APPLICATION: i64 = 0x436e_764e;

/// Pages of the log before they are carried over into the database. More than SQLite's 1,000, because each time costs
/// two syncs in the middle of somebody's commit; 16 MiB are read again after a crash in a moment.
const CHECKPOINT_PAGES: u32 = 4_000;

/// How large the file of the log may stay after a burst.
const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Page cache of the writing connection, in KiB: the inner pages of the indexes of some million messages.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// How long a connection waits for another one's lock before it fails.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

const TABLES: &str = "
-- Whose mailboxes have messages here.
CREATE TABLE owners (
    id       INTEGER PRIMARY KEY,
    account  BLOB NOT NULL UNIQUE CHECK (length(account) = 33)   -- prefix byte and key
) STRICT;

-- Every message of an account once. The id gives the order in which this node took them in, and is never used
-- again: it is what `last_hash` cursors stand for. The hash is unique for its owner, not for the node: peers push
-- messages under hashes nobody recomputes, and one of them must not be able to keep another account's message out.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       TEXT NOT NULL CHECK (length(hash) = 43),
    owner      INTEGER NOT NULL REFERENCES owners (id),
    namespace  INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,                                 -- ms, as its sender says
    expiry     INTEGER NOT NULL,                                 -- ms
    data       BLOB NOT NULL,
    UNIQUE (owner, hash)
) STRICT;
CREATE INDEX messages_by_mailbox ON messages (owner, namespace, id);
CREATE INDEX messages_by_expiry ON messages (expiry);

-- Small values of this node: the last directory, for instance.
CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT;
";

/// Why a database cannot be opened.
pub(super) enum OpenError {
    Sqlite(rusqlite::Error),
    Newer,
    Foreign,
    NoLog,
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl OpenError {
    pub(super) fn unwrap_or_store(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => StoreError::of(path, &error),
            Self::Newer => StoreError::Newer { path: path.to_owned() },
            Self::Foreign => StoreError::Foreign { path: path.to_owned() },
            Self::NoLog => StoreError::Failed(
                "the file system has no shared memory for a write-ahead log; use a local disk".into(),
            ),
        }
    }
}

pub(super) fn open_for_writing(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = open(path, options, flags)?;
    let version = version(&connection)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !matches!(mode.as_str(), "wal" | "memory") {
        // Readers would wait for writers, and `FULL` promises less there.
        return Err(OpenError::NoLog);
    }
    // FULL: the commit has reached the disk before it is answered. NORMAL may lose the last commits with the power.
    let synchronous = if options.unsafe_synchronous_normal { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    let checkpoint = options.checkpoint_pages.unwrap_or(CHECKPOINT_PAGES);
    connection.pragma_update(None, "wal_autocheckpoint", checkpoint)?;
    migrate(&mut connection, version)?;
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = i64::try_from(options.max_bytes).unwrap_or(i64::MAX) / page_size.max(1);
    // Zero would mean no limit at all; a limit below what is there leaves it as it is.
    let pages = pages.max(1);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    Ok(connection)
}

pub(super) fn open_for_reading(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let connection = open(path, options, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn open(path: &Path, options: &Options, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str())?,
        None => Connection::open_with_flags(path, flags)?,
    };
    connection.busy_timeout(LOCK_TIMEOUT)?;
    Ok(connection)
}

/// The version of the tables in the file, 0 if there are none. Changes nothing.
fn version(connection: &Connection) -> Result<i64, OpenError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let empty: bool =
        connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    match found {
        _ if application != APPLICATION && !empty => Err(OpenError::Foreign),
        found if found > VERSION => Err(OpenError::Newer),
        found => Ok(found),
    }
}

/// Brings the tables from version `found` to [`VERSION`], one transaction for each step, so that a crash leaves a
/// whole one.
fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    if found < 1 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", 1)?;
        transaction.commit()?;
    }
    Ok(())
}
