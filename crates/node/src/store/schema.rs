//! The tables, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Options, StoreError};

/// Rises with every change of the tables.
const VERSION: i64 = 1;

/// How long a connection waits for another one's lock before it fails.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

const TABLES: &str = "
-- Whose mailboxes have messages here.
CREATE TABLE owners (
    id      INTEGER PRIMARY KEY,
    pubkey  BLOB NOT NULL UNIQUE CHECK (length(pubkey) = 33)    -- prefix byte and key
) STRICT;

-- Every message once. The id gives the order in which this node took them in, and is never used again:
-- it is what `last_hash` cursors stand for.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       TEXT NOT NULL UNIQUE CHECK (length(hash) = 43),
    owner      INTEGER NOT NULL REFERENCES owners (id),
    namespace  INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,                                 -- ms, as its sender says
    expiry     INTEGER NOT NULL,                                 -- ms
    data       BLOB NOT NULL
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
        }
    }
}

pub(super) fn open_for_writing(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = open(path, options, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: the commit has reached the disk before it is answered. NORMAL may lose the last commits with the power.
    let synchronous = if options.unsafe_synchronous_normal { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection)?;
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = i64::try_from(options.max_bytes).unwrap_or(i64::MAX) / page_size.max(1);
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

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > VERSION {
        return Err(OpenError::Newer);
    }
    if found < 1 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(())
}
