//! The tables of `chunks.sqlite`, and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::store::ChunkStoreError;

/// Rises with every change of the tables. What has been published is brought to a new form by a step of its own.
const VERSION: i64 = 1;
/// Says in the file's header whose it is (`PRAGMA application_id`): "CnvC".
const APPLICATION: i64 = 0x436e_7643;
/// How long a connection waits for another one's lock before it fails.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How large the file of the log may stay after a burst.
const LOG_BYTES: i64 = 16 * 1024 * 1024;

const TABLES: &str = "
-- Chunks that somebody is promised. The bytes are in files.
CREATE TABLE chunks (
    hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),
    size     INTEGER NOT NULL,
    present  INTEGER NOT NULL CHECK (present IN (0, 1))          -- 0: the file was lost or damaged
) STRICT, WITHOUT ROWID;

-- Deletions as file keys signed them, for members that have missed them.
CREATE TABLE proofs (
    id       INTEGER PRIMARY KEY,
    request  BLOB NOT NULL
) STRICT;

-- What is promised, and what was and has been ended.
CREATE TABLE commitments (
    hash    BLOB NOT NULL CHECK (length(hash) = 32),
    key     BLOB NOT NULL CHECK (length(key) = 32),
    first   INTEGER NOT NULL,                                    -- ms
    expiry  INTEGER NOT NULL,                                    -- ms; of a deleted one: until when a copy could live
    units   INTEGER NOT NULL,                                    -- KiB it counts for its file
    proof   INTEGER REFERENCES proofs (id),                      -- deleted by this
    PRIMARY KEY (hash, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX commitments_by_key ON commitments (key, hash);
CREATE INDEX commitments_by_expiry ON commitments (expiry);
CREATE INDEX commitments_by_proof ON commitments (proof) WHERE proof IS NOT NULL;

-- Sums over the commitments of a file key, from which its weight at any time follows.
CREATE TABLE files (
    key     BLOB PRIMARY KEY CHECK (length(key) = 32),
    units   INTEGER NOT NULL,                                    -- KiB
    ends    INTEGER NOT NULL                                     -- KiB x seconds since 1970
) STRICT, WITHOUT ROWID;
";

/// Opens the database for the one thread that writes. What is left of the log is carried over and synced first: after a
/// failure of the disk nothing that was counted as carried over is believed.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, ChunkStoreError> {
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let empty: bool =
        connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    if application != APPLICATION && !empty {
        return Err(ChunkStoreError::Foreign { path: path.to_owned() });
    }
    if version > VERSION {
        return Err(ChunkStoreError::Newer { path: path.to_owned() });
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    if version == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}

pub(super) fn open_for_reading(path: &Path) -> Result<Connection, ChunkStoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
