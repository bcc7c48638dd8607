//! The chunks this node keeps: what is promised in SQLite (`chunks.sqlite`), the bytes in files (`chunks/ab/HASH`).
//!
//! *Promised means durable*: bytes are synced, then named, the name is synced, and only then the commitment is committed
//! (`synchronous=FULL`) and answered. One thread writes; it takes everything that waits and commits once. Bytes are brought
//! to the disk before they come to it, several at a time.
//!
//! What is read is hashed before it is handed out. A file that is not what its name says is set aside and counts as missing
//! until it is restored from another member.
//!
//! Knows neither swarms nor signatures. Time is an argument.

mod folder;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_crypto::hash::Blake2b;
use conclave_proto::Timestamp;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::chunk_sync::{Digests, MAX_NAMES, Name, Names};
use conclave_proto::rpc::chunk::ChunkChange;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::Semaphore;

use super::rules::{Claim, Commitment, Refused};
use super::schema;
use folder::Folder;
#[cfg(test)]
pub(super) use writer::Dies;
use writer::Writer;

/// Chunks that are written or read at once. Each blocks a thread.
const AT_ONCE: usize = 8;
/// Commitments that one step of a sweep ends, so that the writes waiting behind it do not wait long.
const SWEEP_STEP: usize = 500;
/// The database, in the node's data directory.
const DATABASE_FILE: &str = "chunks.sqlite";
/// The folder of the files.
const FOLDER: &str = "chunks";

/// What can go wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkStoreError {
    /// A file or folder cannot be used.
    #[error("the chunks of files in {path}: {problem}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        problem: String,
    },
    /// The database failed. The machine's fault; try again.
    #[error("the list of chunks failed: {0}")]
    Failed(String),
    /// A later version of this program wrote the database.
    #[error("the list of chunks {path} was written by a newer version of this program")]
    Newer {
        /// The database.
        path: PathBuf,
    },
    /// The file is a database, but not one of these. Nothing in it was touched.
    #[error("{path} is not a node's list of chunks; move this file away")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// So many writes wait that a further one would only wait too long. Try again.
    #[error("the store of chunks is busy")]
    Busy,
    /// The rules do not allow it.
    #[error("a chunk is not kept: {0}")]
    Refused(&'static str, RefusedChunk),
}

/// Why the rules do not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedChunk(pub(crate) Refused);

impl From<Refused> for ChunkStoreError {
    fn from(refused: Refused) -> Self {
        let why = match refused {
            Refused::Past => "its expiry is past",
            Refused::TooLong => "its expiry is more than 30 days ahead",
            Refused::TooOld => {
                "its expiry is more than 90 days after it was first stored under this file key"
            }
            Refused::Deleted => "its file key has deleted it",
            Refused::TooMany => "it is kept for as many file keys as may be",
            Refused::Full => "there is no room for it under the fairness rule",
        };
        Self::Refused(why, RefusedChunk(refused))
    }
}

impl From<rusqlite::Error> for ChunkStoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The most that files and what is known of them may take.
    pub(crate) max_bytes: u64,
    /// For tests: where the process dies.
    #[cfg(test)]
    pub(super) dies: Option<writer::Dies>,
}

impl Options {
    /// At most so many bytes.
    pub(crate) const fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            #[cfg(test)]
            dies: None,
        }
    }
}

/// Bytes that hash to their name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    hash: ChunkHash,
    data: Arc<Vec<u8>>,
}

impl Chunk {
    /// The only road to a chunk.
    pub(crate) fn check(hash: ChunkHash, data: Arc<Vec<u8>>) -> Option<Self> {
        (ChunkHash::of(&data) == hash).then_some(Self { hash, data })
    }

    pub(crate) const fn hash(&self) -> ChunkHash {
        self.hash
    }

    pub(crate) const fn data(&self) -> &Arc<Vec<u8>> {
        &self.data
    }

    /// Copied only if others still use them.
    pub(crate) fn into_bytes(self) -> Bytes {
        Arc::try_unwrap(self.data).map_or_else(|data| Bytes::copy_from_slice(&data), Bytes::from)
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({:?}, {} bytes)", self.hash, self.data.len())
    }
}

/// What there is of a chunk.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is here. Until when it is promised, if it is.
    Here(Chunk, Timestamp),
    /// It is promised until then, but its file is missing or damaged.
    Lost(Timestamp),
    /// Nobody is promised it here.
    Unknown,
}

/// Figures for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkStats {
    pub(crate) chunks: u64,
    /// Bytes of their files.
    pub(crate) bytes: u64,
}

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ChunkStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // First, so that the thread that writes ends before anything else of the store goes.
    writer: Writer,
    folder: Arc<Folder>,
    reader: Arc<Reader>,
    turns: Semaphore,
    evicted: Arc<AtomicU64>,
}

/// The reading connection; none while the database is opened again.
#[derive(Debug)]
struct Reader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Reader {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ChunkStoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection =
            connection.as_ref().ok_or_else(|| ChunkStoreError::Failed("the disk has failed".into()))?;
        Ok(work(connection)?)
    }
}

impl ChunkStore {
    /// Opens the store in a node's data directory, or makes one. Removes what a crash has left behind.
    pub(crate) fn open(data_dir: &Path, options: &Options) -> Result<Self, ChunkStoreError> {
        let path = data_dir.join(DATABASE_FILE);
        let root = data_dir.join(FOLDER);
        let io =
            |error: std::io::Error| ChunkStoreError::Io { path: root.clone(), problem: error.to_string() };
        let folder = Arc::new(Folder::open(&root).map_err(io)?);
        let mut writing = schema::open_for_writing(&path)?;
        let known: HashMap<ChunkHash, u64> = writing
            .prepare("SELECT hash, size FROM chunks WHERE present = 1")?
            .query_map([], |row| Ok((hash(row, 0)?, count(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let missing = folder.sweep(&known).map_err(io)?;
        if !missing.is_empty() {
            tracing::warn!(
                count = missing.len(),
                "files of chunks are missing; other members will be asked for them"
            );
            let transaction = writing.transaction()?;
            for hash in &missing {
                transaction.execute("UPDATE chunks SET present = 0 WHERE hash = ?", [hash.0])?;
            }
            transaction.commit()?;
        }
        let reader =
            Arc::new(Reader { connection: Mutex::new(Some(schema::open_for_reading(&path)?)), path });
        let evicted = Arc::new(AtomicU64::new(0));
        let writer = Writer::start(writing, &folder, &reader, options, &evicted)?;
        Ok(Self {
            inner: Arc::new(Inner { writer, folder, reader, turns: Semaphore::new(AT_ONCE), evicted }),
        })
    }

    /// On a thread where it may take its time, when it is its turn.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ChunkStoreError> + Send + 'static,
    ) -> Result<T, ChunkStoreError> {
        let inner = Arc::clone(&self.inner);
        let _turn = self.inner.turns.acquire().await;
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .unwrap_or_else(|_| Err(ChunkStoreError::Failed("the thread ended".into())))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ChunkStoreError> {
        self.blocking(move |inner| inner.reader.read(work)).await
    }

    async fn stage(&self, chunk: &Chunk) -> Result<folder::Staged, ChunkStoreError> {
        let data = Arc::clone(&chunk.data);
        self.blocking(move |inner| inner.folder.stage(&data).map_err(|error| inner.io(&error))).await
    }

    /// Keeps a chunk. Durable when it returns.
    pub(crate) async fn put(
        &self,
        chunk: &Chunk,
        key: Ed25519Public,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Commitment, ChunkStoreError> {
        let (hash, size) = (chunk.hash, chunk.data.len() as u64);
        if self.read(move |db| work::is_present(db, &hash)).await? {
            let put = self.inner.writer.write(move |work| work.put(hash, size, &key, claim, now, None));
            if let Some(kept) = put.await? {
                return Ok(kept);
            }
            // It has gone meanwhile.
        }
        let staged = self.stage(chunk).await?;
        let put = self.inner.writer.write(move |work| work.put(hash, size, &key, claim, now, Some(staged)));
        put.await?.ok_or_else(|| ChunkStoreError::Failed("bug: a file was written and not taken".into()))
    }

    /// Does what a file key has signed, and `proof` is. Which of the chunks it was done to, and the earliest end of their
    /// commitments. Durable when it returns.
    pub(crate) async fn change(
        &self,
        change: ChunkChange,
        proof: Vec<u8>,
        now: Timestamp,
    ) -> Result<(Vec<ChunkHash>, Option<Timestamp>), ChunkStoreError> {
        self.inner.writer.write(move |work| work.change(&change, &proof, now)).await
    }

    /// Takes over a deletion that another member told of: `proof` is what the key of `name` has signed, and covers it.
    pub(crate) async fn take_deletion(
        &self,
        name: Name,
        proof: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), ChunkStoreError> {
        self.inner.writer.write(move |work| work.take_deletion(&name, &proof, now)).await
    }

    /// Lengthens a commitment, or makes one for a chunk that is here, because another member has it so. `false` if the file
    /// is needed.
    pub(crate) async fn take_name(&self, name: Name, now: Timestamp) -> Result<bool, ChunkStoreError> {
        let claim = Claim::Member { first: name.first, expiry: name.expiry };
        let hash = name.hash;
        let Some(size) = self.read(move |db| work::present_size(db, &hash)).await? else { return Ok(false) };
        let take = self.inner.writer.write(move |work| work.put(hash, size, &name.key, claim, now, None));
        Ok(take.await?.is_some())
    }

    /// Gives a chunk its file back, if somebody is promised it.
    pub(crate) async fn restore(&self, chunk: &Chunk) -> Result<(), ChunkStoreError> {
        let staged = self.stage(chunk).await?;
        let hash = chunk.hash;
        self.inner.writer.write(move |work| work.restore(&hash, &staged)).await
    }

    /// What there is of a chunk, hashed.
    pub(crate) async fn get(&self, hash: ChunkHash, now: Timestamp) -> Result<Found, ChunkStoreError> {
        let looked = self.blocking(move |inner| {
            let promised = inner.reader.read(|db| work::promised(db, &hash, now))?;
            let Some((present, until)) = promised else { return Ok(Ok(Found::Unknown)) };
            if !present {
                return Ok(Ok(Found::Lost(until)));
            }
            let data = inner.folder.read(&hash).map_err(|error| inner.io(&error))?;
            let chunk = data.and_then(|data| Chunk::check(hash, Arc::new(data)));
            Ok(chunk.map(|chunk| Found::Here(chunk, until)).ok_or(until))
        });
        match looked.await? {
            Ok(found) => Ok(found),
            Err(until) => {
                // Looked at again where nothing else changes it meanwhile.
                let lost = self.inner.writer.write(move |work| work.check_file(&hash)).await?;
                if lost {
                    tracing::warn!(?hash, "the file of a chunk is damaged or missing");
                    Ok(Found::Lost(until))
                } else {
                    Ok(Found::Unknown)
                }
            }
        }
    }

    /// What is promised to a key about a chunk.
    pub(crate) async fn commitment(
        &self,
        hash: ChunkHash,
        key: Ed25519Public,
    ) -> Result<Option<Commitment>, ChunkStoreError> {
        self.read(move |db| work::commitment(db, &hash, &key)).await
    }

    /// How many other keys are promised a chunk.
    pub(crate) async fn others(
        &self,
        hash: ChunkHash,
        key: Ed25519Public,
        now: Timestamp,
    ) -> Result<usize, ChunkStoreError> {
        self.read(move |db| work::others(db, &hash, &key, now)).await
    }

    /// When the next commitment ends, and with it perhaps a chunk.
    pub(crate) async fn next_end(&self) -> Result<Option<Timestamp>, ChunkStoreError> {
        let next: Option<i64> =
            self.read(|db| db.query_row("SELECT min(expiry) FROM commitments", [], |row| row.get(0))).await?;
        Ok(next.and_then(|next| u64::try_from(next).ok()).map(Timestamp))
    }

    /// Ends what has expired.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<(), ChunkStoreError> {
        while self.inner.writer.write(move |work| work.sweep(now, SWEEP_STEP)).await? == SWEEP_STEP {}
        Ok(())
    }

    /// Removes a chunk and everything that is known of it: others keep it now.
    pub(crate) async fn remove(&self, hash: ChunkHash) -> Result<(), ChunkStoreError> {
        self.inner.writer.write(move |work| work.remove(&hash)).await
    }

    /// A digest for each first byte of the hashes, over all names whose expiry is after the cutoff.
    pub(crate) async fn digests(&self, cutoff: Timestamp) -> Result<Digests, ChunkStoreError> {
        self.read(move |db| {
            let mut digests = Digests::default();
            let mut all = db.prepare_cached(&names_where("c.expiry > ?1"))?;
            let mut rows = all.query([signed(cutoff)])?;
            while let Some(row) = rows.next()? {
                let name = name(row)?;
                digests.add(&name.hash, digest(&name));
            }
            Ok(digests)
        })
        .await
    }

    /// The names in a bucket whose expiry is after the cutoff, after those of one hash and key.
    pub(crate) async fn names(
        &self,
        bucket: u8,
        cutoff: Timestamp,
        after: Option<(ChunkHash, Ed25519Public)>,
    ) -> Result<Names, ChunkStoreError> {
        self.read(move |db| {
            let (hash, key) = after.map_or_else(
                || (vec![bucket], Vec::new()),
                |(hash, key)| (hash.0.to_vec(), key.as_bytes().to_vec()),
            );
            // A bucket's hashes lie between its byte and the next one; behind the last there is nothing.
            let end = bucket.checked_add(1).map_or_else(|| vec![u8::MAX; 33], |next| vec![next]);
            let wanted = "c.expiry > ?1 AND (c.hash, c.key) > (?2, ?3) AND c.hash >= ?2 AND c.hash < ?4";
            let mut page = db.prepare_cached(&format!(
                "{} ORDER BY c.hash, c.key LIMIT {}",
                names_where(wanted),
                MAX_NAMES + 1
            ))?;
            let names = page.query_map(params![signed(cutoff), hash, key, end], name)?;
            let mut names: Vec<Name> = names.collect::<rusqlite::Result<_>>()?;
            let more = names.len() > MAX_NAMES;
            names.truncate(MAX_NAMES);
            Ok(Names { more, names })
        })
        .await
    }

    /// All names of a chunk, expired ones too.
    pub(crate) async fn names_of(&self, hash: ChunkHash) -> Result<Vec<Name>, ChunkStoreError> {
        self.read(move |db| {
            let mut all = db.prepare_cached(&names_where("c.hash = ?1"))?;
            all.query_map([hash.0], name)?.collect()
        })
        .await
    }

    /// Hashes of which something is known, after one, in order.
    pub(crate) async fn hashes(
        &self,
        after: Option<ChunkHash>,
        most: usize,
    ) -> Result<Vec<ChunkHash>, ChunkStoreError> {
        self.read(move |db| {
            let mut page = db.prepare_cached(
                "SELECT DISTINCT hash FROM commitments WHERE hash > ? ORDER BY hash LIMIT ?",
            )?;
            let after = after.map_or_else(Vec::new, |after| after.0.to_vec());
            page.query_map(params![after, most as i64], |row| hash(row, 0))?.collect()
        })
        .await
    }

    /// The request that deleted a chunk for a key.
    pub(crate) async fn proof(
        &self,
        hash: ChunkHash,
        key: Ed25519Public,
    ) -> Result<Option<Vec<u8>>, ChunkStoreError> {
        self.read(move |db| {
            let mut proof = db.prepare_cached(
                "SELECT request FROM commitments JOIN proofs ON id = proof WHERE hash = ? AND key = ?",
            )?;
            proof.query_row([hash.0, *key.as_bytes()], |row| row.get(0)).optional()
        })
        .await
    }

    /// Whether there is a file of the chunk.
    pub(crate) async fn is_present(&self, hash: ChunkHash) -> Result<bool, ChunkStoreError> {
        self.read(move |db| work::is_present(db, &hash)).await
    }

    /// Figures.
    pub(crate) async fn stats(&self) -> Result<ChunkStats, ChunkStoreError> {
        self.read(|db| {
            let figures = "SELECT count(*), coalesce(sum(size), 0) FROM chunks WHERE present = 1";
            db.query_row(figures, [], |row| Ok(ChunkStats { chunks: count(row, 0)?, bytes: count(row, 1)? }))
        })
        .await
    }

    /// Commitments that had to give way since the start.
    pub(crate) fn evicted(&self) -> u64 {
        self.inner.evicted.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn io(&self, error: &std::io::Error) -> ChunkStoreError {
        let path = self.reader.path.with_file_name(FOLDER);
        ChunkStoreError::Io { path, problem: error.to_string() }
    }
}

/// What is compared: promises whose files are there, and deletions.
fn names_where(condition: &str) -> String {
    format!(
        "SELECT c.hash, c.key, c.first, c.expiry, c.proof IS NOT NULL
         FROM commitments c LEFT JOIN chunks USING (hash)
         WHERE (c.proof IS NOT NULL OR present = 1) AND {condition}"
    )
}

fn name(row: &Row<'_>) -> rusqlite::Result<Name> {
    Ok(Name {
        hash: hash(row, 0)?,
        key: key(row, 1)?,
        first: time(row, 2)?,
        expiry: time(row, 3)?,
        deleted: row.get(4)?,
    })
}

/// What a name adds to the digest of its bucket. When it was first stored is each member's own knowledge and no part of it.
fn digest(name: &Name) -> [u8; 16] {
    let expiry = if name.deleted { 0 } else { name.expiry.0 };
    Blake2b::new().hash(&[
        &name.hash.0,
        name.key.as_bytes(),
        &expiry.to_be_bytes(),
        &[u8::from(name.deleted)],
    ])
}

fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<ChunkHash> {
    row.get(column).map(ChunkHash)
}

fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Ed25519Public> {
    Ed25519Public::from_bytes(row.get(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    count(row, column).map(Timestamp)
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

fn signed(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
