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
//! Time is an argument. Nothing here knows swarms, signatures or who may read what.

mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use conclave_crypto::AccountId;
use conclave_proto::rpc::answers::StoredMessage;
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use writer::Writer;

/// The largest answer to one `retrieve`, in accounted bytes. (storage-and-onion 2.8)
pub const MAX_RETRIEVE: u64 = 7_800_000;
/// What each message counts beside its data and hash. (storage-and-onion 2.8)
const MESSAGE_OVERHEAD: u64 = 100;
/// Connections kept for reading; more readers at once open one and close it again.
const READERS: usize = 4;
/// Ten GiB, the limit of current storage servers. (storage-and-onion 3)
pub const DEFAULT_MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// What can go wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The configured size, or the disk, is used up. Reading goes on; expiry makes room.
    #[error("the message store is full")]
    Full,
    /// The file is damaged. Stop the node, move the file away, and start it again: the swarm has copies.
    #[error("the message store {path} is damaged: {problem}")]
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
    /// For tests only, as the control that must lose data: commit without waiting for the disk.
    #[doc(hidden)]
    pub unsafe_synchronous_normal: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, vfs: None, unsafe_synchronous_normal: false }
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
    /// Accounts with messages.
    pub owners: u64,
    /// Bytes of the database file.
    pub bytes: u64,
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
    /// `None` for a database in memory, which only its one connection sees.
    readers: Option<Readers>,
}

#[derive(Debug)]
struct Readers {
    options: Options,
    idle: Mutex<Vec<Connection>>,
}

impl MessageStore {
    /// Opens or makes the database at `path`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Newer`], or what the disk says.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let connection =
            schema::open_for_writing(path, &options).map_err(|e| e.unwrap_or_store(path))?;
        let writer = Writer::start(connection, path.to_owned());
        let readers = Some(Readers { options, idle: Mutex::default() });
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), writer, readers }) })
    }

    /// The same store in memory.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        let path = PathBuf::from(":memory:");
        let connection = schema::open_for_writing(&path, &Options::default())
            .map_err(|e| e.unwrap_or_store(&path))?;
        let writer = Writer::start(connection, path.clone());
        Ok(Self { inner: Arc::new(Inner { path, writer, readers: None }) })
    }

    /// Keeps a message. Answers when it is durable. A message that is there already only lives longer; public outboxes
    /// keep the newest. (storage-and-onion 2.7, 2.21, 3)
    ///
    /// # Errors
    /// [`StoreError`]; nothing was kept then.
    pub async fn store(&self, message: NewMessage) -> Result<Stored, StoreError> {
        self.inner.writer.write(move |connection| insert(connection, &message)).await
    }

    /// Forgets what has expired at `now`, and accounts without messages. Returns how many messages went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.inner
            .writer
            .write(move |connection| {
                let gone = connection
                    .prepare_cached("DELETE FROM messages WHERE expiry <= ?1")?
                    .execute([to_sql(now)])?;
                if gone > 0 {
                    connection
                        .prepare_cached(
                            "DELETE FROM owners WHERE NOT EXISTS (SELECT 1 FROM messages WHERE owner = owners.id)",
                        )?
                        .execute([])?;
                }
                Ok(gone)
            })
            .await
    }

    /// Remembers a small value under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_meta(&self, name: &'static str, value: Vec<u8>) -> Result<(), StoreError> {
        self.inner
            .writer
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                    )?
                    .execute(params![name, value])
                    .map(|_| ())
            })
            .await
    }

    /// The value remembered under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection.query_row("SELECT value FROM meta WHERE name = ?1", [&name], |row| row.get(0)).optional()
        })
    }

    /// Reads a page of a mailbox. Blocks for the time of a few disk reads.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn retrieve(&self, query: &Query<'_>) -> Result<Page, StoreError> {
        let (owner, namespace, after) = (*query.owner, query.namespace, query.after);
        let (max_count, max_size) = (query.max_count.filter(|count| *count > 0), query.max_size);
        self.read(move |connection| page(connection, &owner, namespace, after, max_count, max_size))
    }

    /// How much lies here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stats(&self) -> Result<Stats, StoreError> {
        self.read(|connection| {
            connection.query_row(
                "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM owners),
                        (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)",
                [],
                |row| {
                    let count = |at| row.get(at).map(i64::unsigned_abs);
                    Ok(Stats { messages: count(0)?, owners: count(1)?, bytes: count(2)? })
                },
            )
        })
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = &self.inner;
        let Some(readers) = &inner.readers else { return inner.writer.read(work) };
        let connection = readers.lock().pop();
        let connection = match connection {
            Some(connection) => connection,
            None => schema::open_for_reading(&inner.path, &readers.options)
                .map_err(|e| StoreError::of(&inner.path, &e))?,
        };
        let result = work(&connection).map_err(|e| StoreError::of(&inner.path, &e));
        let mut idle = readers.lock();
        if idle.len() < READERS {
            idle.push(connection);
        }
        result
    }
}

impl Readers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert(connection: &Connection, message: &NewMessage) -> rusqlite::Result<Stored> {
    let known: Option<i64> = connection
        .prepare_cached("SELECT expiry FROM messages WHERE hash = ?1")?
        .query_row([message.hash.as_str()], |row| row.get(0))
        .optional()?;
    let asked = to_sql(message.expiry);
    if let Some(known) = known {
        if known < asked {
            connection
                .prepare_cached("UPDATE messages SET expiry = ?2 WHERE hash = ?1")?
                .execute(params![message.hash.as_str(), asked])?;
        }
        return Ok(Stored { already: true, expiry: from_sql(known.max(asked)) });
    }
    let owner: i64 = connection
        .prepare_cached(
            "INSERT INTO owners (pubkey) VALUES (?1) ON CONFLICT (pubkey) DO UPDATE SET pubkey = pubkey RETURNING id",
        )?
        .query_row([message.owner.as_bytes().as_slice()], |row| row.get(0))?;
    if message.namespace.is_public_outbox() {
        let newest: Option<i64> = connection
            .prepare_cached("SELECT max(timestamp) FROM messages WHERE owner = ?1 AND namespace = ?2")?
            .query_row(params![owner, message.namespace.0], |row| row.get(0))?;
        // An older one is obsolete: reported as stored, since keeping it would change nothing that is read.
        if newest.is_some_and(|newest| newest > to_sql(message.timestamp)) {
            return Ok(Stored { already: false, expiry: message.expiry });
        }
        connection
            .prepare_cached("DELETE FROM messages WHERE owner = ?1 AND namespace = ?2")?
            .execute(params![owner, message.namespace.0])?;
    }
    connection
        .prepare_cached(
            "INSERT INTO messages (hash, owner, namespace, timestamp, expiry, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            message.hash.as_str(),
            owner,
            message.namespace.0,
            to_sql(message.timestamp),
            asked,
            message.data
        ])?;
    Ok(Stored { already: false, expiry: message.expiry })
}

fn page(
    connection: &Connection,
    owner: &AccountId,
    namespace: Namespace,
    after: Option<MessageHash>,
    max_count: Option<u64>,
    max_size: u64,
) -> rusqlite::Result<Page> {
    let owner: Option<i64> = connection
        .prepare_cached("SELECT id FROM owners WHERE pubkey = ?1")?
        .query_row([owner.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    let Some(owner) = owner else { return Ok(Page::default()) };
    let start: i64 = match after {
        Some(hash) => connection
            .prepare_cached("SELECT id FROM messages WHERE hash = ?1 AND owner = ?2 AND namespace = ?3")?
            .query_row(params![hash.as_str(), owner, namespace.0], |row| row.get(0))
            .optional()?
            .unwrap_or(0),
        None => 0,
    };
    let mut statement = connection.prepare_cached(
        "SELECT hash, timestamp, expiry, data FROM messages WHERE owner = ?1 AND namespace = ?2 AND id > ?3 ORDER BY id",
    )?;
    let mut rows = statement.query(params![owner, namespace.0, start])?;
    let mut page = Page::default();
    let mut size = 0u64;
    while let Some(row) = rows.next()? {
        let data = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let accounted = MESSAGE_OVERHEAD + MessageHash::LENGTH as u64 + length.saturating_mul(4) / 3;
        let full = size.saturating_add(accounted) > max_size
            || max_count.is_some_and(|most| page.messages.len() as u64 >= most);
        if full && !page.messages.is_empty() {
            page.more = true;
            break;
        }
        size = size.saturating_add(accounted);
        let hash: String = row.get(0)?;
        let hash = hash.parse().map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
        })?;
        page.messages.push(StoredMessage {
            hash,
            timestamp: from_sql(row.get(1)?),
            expiration: from_sql(row.get(2)?),
            data: data.to_vec(),
        });
    }
    Ok(page)
}

/// Times beyond the year 292 million are stored as that year.
fn to_sql(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn from_sql(time: i64) -> Timestamp {
    Timestamp(u64::try_from(time).unwrap_or(0))
}

#[cfg(test)]
mod tests;
