//! The tables, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use conclave_proto::MessageHash;
use rusqlite::{Connection, OpenFlags};

use super::{Options, StoreError};

/// Rises with every change of the tables.
const VERSION: i64 = 3;

/// Says in the file's header whose it is (`PRAGMA application_id`): "CnvN".
const APPLICATION: i64 = 0x436e_764e;

/// Bytes of a page of a new database. The messages of most people are a little over a kilobyte: seven of them fit into this,
/// only three into SQLite's 4,096.
const PAGE_BYTES: u32 = 8_192;

/// Pages of the log before they are carried over into the database. More than SQLite's 1,000: pages that change often are
/// carried over once, and 32 MiB are read again after a crash in a moment.
pub(super) const CHECKPOINT_PAGES: u32 = 4_000;

/// How large the file of the log may stay after a burst.
const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Page cache of the writing connection, in KiB: the inner pages of the indexes of some million messages.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Statements that a connection keeps compiled: all there are. With rusqlite's 16 they push each other out.
const STATEMENTS: usize = 80;

/// How long a connection waits for another one's lock before it fails.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// What has not changed since version 1.
const TABLES_1: &str = "
-- Accounts of whom anything is known here.
CREATE TABLE owners (
    id       INTEGER PRIMARY KEY,
    account  BLOB NOT NULL UNIQUE CHECK (length(account) = 33)   -- prefix byte and key
) STRICT;

-- Small values of this node: the last directory, for instance.
CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT;
";

const TABLES: &str = "
-- Every message of an account once. The id gives the order in which this node took them in, and is never used
-- again: it is what `last_hash` cursors stand for. What is short stands before what is long, so that it is read
-- without the pages of the latter.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    owner      INTEGER NOT NULL REFERENCES owners (id),
    namespace  INTEGER NOT NULL,
    stored_at  INTEGER NOT NULL,                                 -- ms: when a client stored it last
    timestamp  INTEGER NOT NULL,                                 -- ms, as its sender said then
    expiry     INTEGER NOT NULL,                                 -- ms: what the life comes to
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    life       BLOB,                                             -- raises and cuts; null: the store's raise alone
    data       BLOB NOT NULL
) STRICT;
-- A name is there once for its owner: the one thread that writes looks before it inserts. The times are in the index so that
-- everything can be compared with what another member has without touching the messages.
CREATE INDEX messages_by_name ON messages (owner, hash, expiry, stored_at, timestamp);
CREATE INDEX messages_by_mailbox ON messages (owner, namespace, id);
CREATE INDEX messages_by_expiry ON messages (expiry);

-- Messages that are not here, and by what their lives were cut: tombstones, and shortened lives that have ended.
CREATE TABLE marks (
    owner  INTEGER NOT NULL REFERENCES owners (id),
    hash   BLOB NOT NULL CHECK (length(hash) = 32),
    until  INTEGER NOT NULL,                                     -- ms: no copy can live longer
    life   BLOB NOT NULL,                                        -- cuts only
    PRIMARY KEY (owner, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_by_end ON marks (until);

-- Requests that took something away, for members who were not there. Those that cover a range are also rules for
-- messages that come later.
CREATE TABLE operations (
    owner      INTEGER NOT NULL REFERENCES owners (id),
    at         INTEGER NOT NULL,                                 -- ms: its place among the writes
    id         BLOB NOT NULL CHECK (length(id) = 32),
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),       -- by name; deletes a range; shortens a range
    namespace  INTEGER,                                          -- of a range; null: all
    bound      INTEGER,                                          -- ms: largest timestamp deleted; expiry; when signed
    request    BLOB NOT NULL,
    UNIQUE (owner, id)
) STRICT;
CREATE INDEX operations_by_owner ON operations (owner, at);
CREATE INDEX operations_by_age ON operations (at);

-- What members that were away have not been told: messages (0) and operations (1), by name.
CREATE TABLE pending (
    member  BLOB NOT NULL CHECK (length(member) = 32),
    owner   INTEGER NOT NULL REFERENCES owners (id) ON DELETE CASCADE,
    kind    INTEGER NOT NULL CHECK (kind IN (0, 1)),
    name    BLOB NOT NULL CHECK (length(name) = 32),
    PRIMARY KEY (member, owner, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_by_owner ON pending (owner);

-- The account's latest word about each of its subaccounts.
CREATE TABLE revocations (
    owner      INTEGER NOT NULL REFERENCES owners (id),
    token      BLOB NOT NULL CHECK (length(token) = 36),
    timestamp  INTEGER NOT NULL,                                 -- ms, as the account signed it
    revoked    INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    PRIMARY KEY (owner, token)
) STRICT, WITHOUT ROWID;
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
    if version == 0 {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
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

/// Carries the whole log over into the database, and syncs it, whatever others have counted as carried over: with the
/// database to itself, SQLite shares no counts and reads the log from its beginning. Fails if any other connection is open.
pub(super) fn carry_over_alone(path: &Path, options: &Options) -> rusqlite::Result<()> {
    let connection = open(path, options, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
    if is_busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(())
}

/// A commit that writes a page and changes nothing.
pub(super) fn commit_nothing(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", VERSION)
}

fn open(path: &Path, options: &Options, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str())?,
        None => Connection::open_with_flags(path, flags)?,
    };
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
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

/// Brings the tables from version `found` to [`VERSION`] in one transaction, so that a crash leaves a whole one.
fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    if found == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    if found >= 1 {
        tracing::info!("the message store is brought to a new form; this takes a moment");
    }
    match found {
        1 => from_version_1(&transaction)?,
        2 => from_version_2(&transaction)?,
        _ => {
            transaction.execute_batch(TABLES_1)?;
            transaction.execute_batch(TABLES)?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// In version 2 the index by name lacked the times of the last store. Revocations that were logged then are handed on for
/// their month, not for good.
fn from_version_2(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "DROP INDEX messages_by_name;
         CREATE INDEX messages_by_name ON messages (owner, hash, expiry, stored_at, timestamp);",
    )
}

/// Version 1 knew no times of its own: a message counts as stored when it says it was sent, so that whatever is said about
/// it from now on is later. Cursors stay valid.
fn from_version_1(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE messages RENAME TO messages_1;
         DROP INDEX messages_by_mailbox;
         DROP INDEX messages_by_expiry;",
    )?;
    transaction.execute_batch(TABLES)?;
    let mut old = transaction.prepare(
        "SELECT id, owner, namespace, timestamp, timestamp, expiry, hash, data FROM messages_1 ORDER BY id",
    )?;
    let mut insert = transaction.prepare(
        "INSERT INTO messages (id, owner, namespace, stored_at, timestamp, expiry, hash, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut rows = old.query([])?;
    while let Some(row) = rows.next()? {
        let number = |column| row.get::<_, i64>(column);
        // What no message can be called cannot be asked for either.
        let hash = MessageHash::from_text(row.get_ref(6)?.as_str().unwrap_or_default());
        let Some(hash) = hash.ok().and_then(|hash| hash.to_bytes()) else { continue };
        insert.execute(rusqlite::params![
            number(0)?,
            number(1)?,
            number(2)?,
            number(3)?,
            number(4)?,
            number(5)?,
            hash,
            row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?,
        ])?;
    }
    drop(rows);
    drop((old, insert));
    // The largest id ever used counts, not the largest that is there.
    transaction.execute_batch(
        "DELETE FROM sqlite_sequence WHERE name = 'messages';
         INSERT INTO sqlite_sequence (name, seq) SELECT 'messages', seq FROM sqlite_sequence WHERE name = 'messages_1';
         DROP TABLE messages_1;
         DELETE FROM owners WHERE id NOT IN (SELECT owner FROM messages);",
    )
}

#[cfg(test)]
mod tests;
