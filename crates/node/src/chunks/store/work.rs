//! What is done to the list of chunks and their files, inside a transaction of the thread that writes.
//!
//! Sums are kept as things change: what is used in all, and of each file key the units it is promised and when they end.
//! Files are removed after the commit that ends their last promise.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::chunk_sync::Name;
use conclave_proto::rpc::chunk::ChunkChange;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::folder::{Folder, Staged};
use super::{ChunkStoreError, hash, key, signed, time};
use crate::chunks::rules::{self, Claim, Commitment, Refused, Shelf};

/// Files that are known as the heaviest, until they are looked for again.
const HEAVIEST: usize = 64;
/// How long they are believed to be that. Looking goes through all files.
const HEAVIEST_FOR: Duration = Duration::from_secs(10);

/// What lives from one transaction to the next.
#[derive(Debug)]
pub(super) struct Books {
    /// [`rules::units`] in use.
    pub(super) used: u64,
    pub(super) max: u64,
    heaviest: Vec<Ed25519Public>,
    looked_at: Option<Instant>,
}

impl Books {
    /// Counts everything.
    pub(super) fn open(db: &Connection, max_bytes: u64) -> rusqlite::Result<Self> {
        let used: i64 = db.query_row(
            "SELECT (SELECT count(*) FROM commitments) + (SELECT coalesce(sum((size + 1023) / 1024), 0) FROM chunks)",
            [],
            |row| row.get(0),
        )?;
        Ok(Self {
            used: u64::try_from(used).unwrap_or_default(),
            max: max_bytes / 1024,
            heaviest: Vec::new(),
            looked_at: None,
        })
    }
}

/// A transaction under way.
pub(super) struct Work<'a> {
    pub(super) db: &'a Connection,
    pub(super) folder: &'a Folder,
    pub(super) books: &'a mut Books,
    pub(super) done: Done,
}

/// What is to be done about files for what has been done to the list.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    /// Before the commit: folders with new names, by the first byte of the hash.
    pub(super) named: BTreeSet<u8>,
    /// After it: files without promise.
    pub(super) unpromised: BTreeSet<ChunkHash>,
    /// Commitments that had to give way.
    pub(super) evicted: u64,
}

impl Work<'_> {
    /// Does something as a whole or not at all.
    pub(super) fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ChunkStoreError>,
    ) -> Result<T, ChunkStoreError> {
        let (done, used) = (self.done.clone(), self.books.used);
        self.db.execute_batch("SAVEPOINT one")?;
        let result = work(self);
        if result.is_ok() {
            self.db.execute_batch("RELEASE one")?;
        } else {
            (self.done, self.books.used) = (done, used);
            self.db.execute_batch("ROLLBACK TO one; RELEASE one")?;
        }
        result
    }

    /// Keeps a chunk for a key. `None` if its file is needed and was not given.
    pub(super) fn put(
        &mut self,
        hash: ChunkHash,
        size: u64,
        key: &Ed25519Public,
        claim: Claim,
        now: Timestamp,
        staged: Option<Staged>,
    ) -> Result<Option<Commitment>, ChunkStoreError> {
        if staged.is_none() && !is_present(self.db, &hash)? {
            return Ok(None);
        }
        let mut kept = commitment(self.db, &hash, key)?;
        if kept.is_some_and(|kept| kept.expiry <= now) {
            self.end(&hash, key)?;
            kept = None;
        }
        let others = others(self.db, &hash, key, now)?;
        let after = rules::store(kept, others, claim, now)?;
        let units = rules::units(size);
        if kept.is_none() {
            let own = if is_known(self.db, &hash)? { 0 } else { units };
            let with_it = self.weight(key, now)? + rules::weight(units + 1, after.expiry, now);
            let mut shelf = Full { work: self, now };
            if !rules::make_room(&mut shelf, own + 1, key, with_it)? {
                return Err(Refused::Full.into());
            }
        }
        self.write(&hash, key, after, units + 1)?;
        if !is_known(self.db, &hash)? {
            self.db
                .prepare_cached("INSERT INTO chunks (hash, size, present) VALUES (?, ?, 0)")?
                .execute(params![hash.0, size as i64])?;
            self.books.used += units;
        }
        if let Some(staged) = staged
            && !is_present(self.db, &hash)?
        {
            self.place(&hash, &staged)?;
        }
        // Its last promise may have given way to this one.
        self.done.unpromised.remove(&hash);
        Ok(Some(after))
    }

    /// Lengthens or ends commitments.
    pub(super) fn change(
        &mut self,
        change: &ChunkChange,
        proof: &[u8],
        now: Timestamp,
    ) -> Result<(Vec<ChunkHash>, Option<Timestamp>), ChunkStoreError> {
        let (mut done, mut earliest, mut written) = (Vec::new(), None, None);
        for hash in &change.hashes {
            let Some(kept) = commitment(self.db, hash, &change.key)? else { continue };
            let after = match change.expiry {
                Some(expiry) => rules::renew(kept, expiry, now),
                None => rules::delete(kept, now),
            };
            let Some(after) = after else { continue };
            if after.deleted {
                if !kept.deleted {
                    let proof = self.proof(&mut written, proof)?;
                    self.bury(hash, &change.key, after, proof)?;
                }
            } else {
                let units = self.units_of(hash, &change.key)?;
                self.write(hash, &change.key, after, units)?;
                earliest = Some(earliest.map_or(after.expiry, |e: Timestamp| e.min(after.expiry)));
            }
            done.push(*hash);
        }
        Ok((done, earliest))
    }

    /// Takes over a deletion that has been proven.
    pub(super) fn take_deletion(
        &mut self,
        name: &Name,
        proof: &[u8],
        now: Timestamp,
    ) -> Result<(), ChunkStoreError> {
        let kept = commitment(self.db, &name.hash, &name.key)?;
        let after = match kept {
            Some(kept) if kept.deleted => return Ok(()),
            Some(kept) => rules::deleted(kept.first),
            None => rules::deleted(name.first),
        };
        if after.expiry <= now {
            return Ok(());
        }
        if kept.is_none() && self.books.used >= self.books.max {
            return Err(Refused::Full.into());
        }
        // One proof covers many chunks, and comes with each of them.
        let mut known = self
            .db
            .prepare_cached(
                "SELECT id FROM commitments JOIN proofs ON id = proof WHERE key = ? AND request = ? LIMIT 1",
            )?
            .query_row(params![name.key.as_bytes(), proof], |row| row.get(0))
            .optional()?;
        let proof = self.proof(&mut known, proof)?;
        self.bury(&name.hash, &name.key, after, proof)
    }

    /// Gives a chunk its file back.
    pub(super) fn restore(&mut self, hash: &ChunkHash, staged: &Staged) -> Result<(), ChunkStoreError> {
        if is_known(self.db, hash)? && !is_present(self.db, hash)? {
            self.place(hash, staged)?;
        }
        Ok(())
    }

    /// Whether a chunk's file is damaged or missing; it is set aside then. `false` also if nobody is promised the chunk.
    pub(super) fn check_file(&mut self, hash: &ChunkHash) -> Result<bool, ChunkStoreError> {
        if !is_known(self.db, hash)? {
            return Ok(false);
        }
        // If it cannot be read it is of no use either.
        let whole = self.folder.read(hash).ok().flatten().is_some_and(|data| ChunkHash::of(&data) == *hash);
        if !whole {
            self.folder.set_aside(hash);
            self.db.prepare_cached("UPDATE chunks SET present = 0 WHERE hash = ?")?.execute([hash.0])?;
        }
        Ok(!whole)
    }

    /// Ends what has expired, at most so many.
    pub(super) fn sweep(&mut self, now: Timestamp, most: usize) -> Result<usize, ChunkStoreError> {
        let expired: Vec<(ChunkHash, Ed25519Public)> = self
            .db
            .prepare_cached("SELECT hash, key FROM commitments WHERE expiry <= ? LIMIT ?")?
            .query_map(params![signed(now), most as i64], |row| Ok((hash(row, 0)?, key(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (hash, key) in &expired {
            self.end(hash, key)?;
        }
        Ok(expired.len())
    }

    /// Forgets everything about a chunk.
    pub(super) fn remove(&mut self, hash: &ChunkHash) -> Result<(), ChunkStoreError> {
        let keys: Vec<Ed25519Public> = self
            .db
            .prepare_cached("SELECT key FROM commitments WHERE hash = ?")?
            .query_map([hash.0], |row| key(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        for key in &keys {
            self.end(hash, key)?;
        }
        Ok(())
    }

    fn place(&mut self, hash: &ChunkHash, staged: &Staged) -> Result<(), ChunkStoreError> {
        let io = |error: std::io::Error| ChunkStoreError::Io {
            path: self.folder.path(hash),
            problem: error.to_string(),
        };
        self.db.prepare_cached("UPDATE chunks SET present = 1 WHERE hash = ?")?.execute([hash.0])?;
        self.folder.place(staged, hash).map_err(io)?;
        let [first, ..] = hash.0;
        self.done.named.insert(first);
        self.done.unpromised.remove(hash);
        Ok(())
    }

    /// Writes a commitment and keeps the sums.
    fn write(
        &mut self,
        hash: &ChunkHash,
        key: &Ed25519Public,
        after: Commitment,
        units: u64,
    ) -> rusqlite::Result<()> {
        let was: Option<(i64, i64)> = self
            .db
            .prepare_cached("SELECT units, expiry FROM commitments WHERE hash = ? AND key = ?")?
            .query_row([hash.0, *key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let (was_units, was_ends) =
            was.map_or((0, 0), |(units, expiry)| (units, units.saturating_mul(expiry / 1000)));
        self.add(key, units - was_units, units.saturating_mul(signed(after.expiry) / 1000) - was_ends)?;
        self.db
            .prepare_cached(
                "INSERT INTO commitments (hash, key, first, expiry, units) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET first = ?3, expiry = ?4, units = ?5",
            )?
            .execute(params![hash.0, key.as_bytes(), signed(after.first), signed(after.expiry), units])?;
        if was.is_none() {
            self.books.used += 1;
        }
        Ok(())
    }

    /// Puts a deletion in the place of a commitment.
    fn bury(
        &mut self,
        hash: &ChunkHash,
        key: &Ed25519Public,
        after: Commitment,
        proof: i64,
    ) -> Result<(), ChunkStoreError> {
        self.write(hash, key, after, 1)?;
        self.db
            .prepare_cached("UPDATE commitments SET proof = ? WHERE hash = ? AND key = ?")?
            .execute(params![proof, hash.0, key.as_bytes()])?;
        self.drop_unpromised(hash)?;
        Ok(())
    }

    fn proof(&self, written: &mut Option<i64>, request: &[u8]) -> rusqlite::Result<i64> {
        if let Some(id) = *written {
            return Ok(id);
        }
        self.db.prepare_cached("INSERT INTO proofs (request) VALUES (?)")?.execute([request])?;
        let id = self.db.last_insert_rowid();
        *written = Some(id);
        Ok(id)
    }

    /// Ends a commitment without a trace; with the last of a chunk, the chunk.
    fn end(&mut self, hash: &ChunkHash, key: &Ed25519Public) -> rusqlite::Result<()> {
        let ended: Option<(i64, i64, Option<i64>)> = self
            .db
            .prepare_cached(
                "DELETE FROM commitments WHERE hash = ? AND key = ? RETURNING units, expiry, proof",
            )?
            .query_row([hash.0, *key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((units, expiry, proof)) = ended else { return Ok(()) };
        self.books.used = self.books.used.saturating_sub(1);
        self.add(key, -units, -units.saturating_mul(expiry / 1000))?;
        if let Some(proof) = proof {
            self.db
                .prepare_cached(
                    "DELETE FROM proofs WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM commitments WHERE proof = ?1)",
                )?
                .execute([proof])?;
        }
        self.drop_unpromised(hash)
    }

    /// Forgets a chunk that nobody is promised any more.
    fn drop_unpromised(&mut self, hash: &ChunkHash) -> rusqlite::Result<()> {
        let size: Option<i64> = self
            .db
            .prepare_cached(
                "DELETE FROM chunks WHERE hash = ?1
                 AND NOT EXISTS (SELECT 1 FROM commitments WHERE hash = ?1 AND proof IS NULL) RETURNING size",
            )?
            .query_row([hash.0], |row| row.get(0))
            .optional()?;
        if let Some(size) = size {
            let units = rules::units(u64::try_from(size).unwrap_or_default());
            self.books.used = self.books.used.saturating_sub(units);
            self.done.unpromised.insert(*hash);
        }
        Ok(())
    }

    /// Adds to the sums of a file.
    fn add(&self, key: &Ed25519Public, units: i64, ends: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO files (key, units, ends) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET units = units + ?2, ends = ends + ?3",
            )?
            .execute(params![key.as_bytes(), units, ends])?;
        self.db
            .prepare_cached("DELETE FROM files WHERE key = ? AND units <= 0")?
            .execute([key.as_bytes()])?;
        Ok(())
    }

    fn units_of(&self, hash: &ChunkHash, key: &Ed25519Public) -> rusqlite::Result<u64> {
        let units: i64 = self
            .db
            .prepare_cached("SELECT units FROM commitments WHERE hash = ? AND key = ?")?
            .query_row([hash.0, *key.as_bytes()], |row| row.get(0))?;
        Ok(u64::try_from(units).unwrap_or_default())
    }

    /// What a file weighs.
    fn weight(&self, key: &Ed25519Public, now: Timestamp) -> rusqlite::Result<u128> {
        let sums: Option<(i64, i64)> = self
            .db
            .prepare_cached("SELECT units, ends FROM files WHERE key = ?")?
            .query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (units, ends) = sums.unwrap_or_default();
        let passed = i128::from(units) * i128::from(signed(now) / 1000);
        Ok(u128::try_from(i128::from(ends) - passed).unwrap_or_default())
    }
}

/// The disk when a newcomer comes.
struct Full<'a, 'b> {
    work: &'a mut Work<'b>,
    now: Timestamp,
}

impl Shelf for Full<'_, '_> {
    type Error = ChunkStoreError;
    type Piece = (ChunkHash, Ed25519Public);

    fn free(&self) -> Result<u64, ChunkStoreError> {
        Ok(self.work.books.max.saturating_sub(self.work.books.used))
    }

    /// Of those that were the heaviest when all were looked through; that is done again after a while.
    fn heaviest(&mut self) -> Result<Option<(Ed25519Public, u128)>, ChunkStoreError> {
        for looked_again in [false, true] {
            let books = &mut *self.work.books;
            let old = books.looked_at.is_none_or(|at| at.elapsed() >= HEAVIEST_FOR);
            if old || looked_again {
                let mut all = self
                    .work
                    .db
                    .prepare_cached("SELECT key FROM files ORDER BY ends - units * ? DESC LIMIT ?")?;
                let keys =
                    all.query_map(params![signed(self.now) / 1000, HEAVIEST as i64], |row| key(row, 0))?;
                books.heaviest = keys.collect::<rusqlite::Result<_>>()?;
                books.looked_at = Some(Instant::now());
            }
            let mut heaviest = None;
            for key in &self.work.books.heaviest {
                let weight = self.work.weight(key, self.now)?;
                if weight > 0 && heaviest.is_none_or(|(_, most)| weight > most) {
                    heaviest = Some((*key, weight));
                }
            }
            if heaviest.is_some() {
                return Ok(heaviest);
            }
        }
        Ok(None)
    }

    fn piece_of(&mut self, file: &Ed25519Public) -> Result<Option<(Self::Piece, u128)>, ChunkStoreError> {
        let mut any = self
            .work
            .db
            .prepare_cached("SELECT hash, units, expiry FROM commitments WHERE key = ? LIMIT 1")?;
        let piece = any.query_row([file.as_bytes()], |row| {
            let units = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            Ok(((hash(row, 0)?, *file), rules::weight(units, time(row, 2)?, self.now)))
        });
        Ok(piece.optional()?)
    }

    fn push_out(&mut self, (hash, key): Self::Piece) -> Result<(), ChunkStoreError> {
        self.work.end(&hash, &key)?;
        self.work.done.evicted += 1;
        Ok(())
    }
}

pub(super) fn commitment(
    db: &Connection,
    hash: &ChunkHash,
    key: &Ed25519Public,
) -> rusqlite::Result<Option<Commitment>> {
    db.prepare_cached("SELECT first, expiry, proof IS NOT NULL FROM commitments WHERE hash = ? AND key = ?")?
        .query_row([hash.0, *key.as_bytes()], |row| {
            Ok(Commitment { first: time(row, 0)?, expiry: time(row, 1)?, deleted: row.get(2)? })
        })
        .optional()
}

/// Living commitments of other keys.
pub(super) fn others(
    db: &Connection,
    hash: &ChunkHash,
    key: &Ed25519Public,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM commitments WHERE hash = ? AND key <> ? AND proof IS NULL AND expiry > ?",
        )?
        .query_row(params![hash.0, key.as_bytes(), signed(now)], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn is_known(db: &Connection, hash: &ChunkHash) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM chunks WHERE hash = ?")?.exists([hash.0])
}

pub(super) fn is_present(db: &Connection, hash: &ChunkHash) -> rusqlite::Result<bool> {
    present_size(db, hash).map(|size| size.is_some())
}

/// The size of a chunk whose file is there.
pub(super) fn present_size(db: &Connection, hash: &ChunkHash) -> rusqlite::Result<Option<u64>> {
    let size: Option<i64> = db
        .prepare_cached("SELECT size FROM chunks WHERE hash = ? AND present = 1")?
        .query_row([hash.0], |row| row.get(0))
        .optional()?;
    Ok(size.and_then(|size| u64::try_from(size).ok()))
}

/// Whether the file of a chunk is there, and until when the chunk is promised; `None` if it is not.
pub(super) fn promised(
    db: &Connection,
    hash: &ChunkHash,
    now: Timestamp,
) -> rusqlite::Result<Option<(bool, Timestamp)>> {
    db.prepare_cached(
        "SELECT present, (SELECT max(expiry) FROM commitments c
                          WHERE c.hash = ?1 AND proof IS NULL AND expiry > ?2) AS latest
         FROM chunks WHERE hash = ?1 AND latest IS NOT NULL",
    )?
    .query_row(params![hash.0, signed(now)], |row| Ok((row.get(0)?, time(row, 1)?)))
    .optional()
}
