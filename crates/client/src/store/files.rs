//! Files of messages: where they are, how far they have come, and what is still to be done about them.
//!
//! Their bytes lie outside the database, encrypted, in the profile's folder for files; a name that stands nowhere in here is
//! rubbish. A message that speaks of files is held in the outbox until all of them are stored.

use std::time::Duration;

use conclave_crypto::CryptoRngCore;
use conclave_proto::Timestamp;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::file_url::FileUrl;
use rand_core::{OsRng, RngCore as _};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::chats::{self, id_bytes, message_id};
use super::error::Failure;
use super::file_lives::life_of;
use super::rows::{FileRow, FileState, NewFile};
use super::work::{Changes, Work};
use super::{ClientStore, Copy, MessageRow, RowKind, StoreError, millis, timestamp};
use crate::files::Life;
use crate::said::{FileKey, Pointer, Post, with_file_url};
use crate::types::MessageId;

/// How long a chunk may be on its way: a member that is told to forget it before it has it keeps it.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// The longest text kept as the reason of a failed attempt; it quotes what others say.
const MAX_REASON_CHARS: usize = 300;

/// Chunks that the swarms are to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneFile {
    /// Which, in this database.
    pub row: i64,
    /// The list of its chunks, if it is known here.
    pub manifest: Option<Vec<u8>>,
    /// The hash of the list, if that is all that is known.
    pub list: Option<ChunkHash>,
    /// What deletes them; `None` if it cannot be read.
    pub file_key: Option<FileKey>,
    /// How often it was tried.
    pub attempts: u32,
}

pub(super) const COLUMNS: &str =
    "row, message AS id, place, url, key, digest, size, state, path, blob, manifest, stored, file_key,
    sent_here, reason, attempts";

/// A message waits for the file; else it has been taken back, or failed.
const IS_HELD: &str = "EXISTS (SELECT 1 FROM outgoing WHERE outgoing.id = file.message AND held = 1)";

pub(super) fn file_row(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let size: i64 = row.get("size")?;
    Ok(FileRow {
        row: row.get("row")?,
        message: message_id(row)?,
        place: row.get("place")?,
        pointer: Pointer {
            url: row.get("url")?,
            key: row.get::<_, Option<Vec<u8>>>("key")?.unwrap_or_default(),
            digest: row.get("digest")?,
        },
        size: u64::try_from(size).unwrap_or(0),
        state: FileState::of_code(row.get("state")?),
        path: row.get("path")?,
        blob: row.get("blob")?,
        manifest: row.get("manifest")?,
        stored: row.get::<_, Option<Vec<u8>>>("stored")?.unwrap_or_default(),
        file_key: row.get::<_, Option<Vec<u8>>>("file_key")?.and_then(FileKey::of_bytes),
        sent_here: row.get("sent_here")?,
        reason: row.get("reason")?,
        attempts: row.get("attempts")?,
    })
}

/// Adds to messages how far their files have come.
pub(super) fn attach(connection: &Connection, rows: &mut [MessageRow]) -> Result<(), Failure> {
    let sql = format!("SELECT {COLUMNS} FROM file WHERE message = ?1 ORDER BY place");
    let mut statement = connection.prepare_cached(&sql)?;
    for row in rows.iter_mut().filter(|row| row.kind == RowKind::Post && !row.details.files.is_empty()) {
        row.files = statement.query_map([id_bytes(&row.id)], file_row)?.collect::<Result<_, _>>()?;
    }
    Ok(())
}

/// The files of a message of one's own that was not sent, for one that is sent in its place: they are encrypted already. Their
/// keys are others: wherever the first message goes, this one's files stay.
pub fn files_again(row: &MessageRow, rng: &mut impl CryptoRngCore) -> Vec<NewFile> {
    let mut again = |(file, known): (&crate::said::File, &FileRow)| {
        Some(NewFile {
            file: file.clone(),
            pointer: known.pointer.clone(),
            blob: known.blob.clone()?,
            manifest: known.manifest.clone(),
            file_key: known.file_key.as_ref().map(|_| FileKey::generate(rng))?,
        })
    };
    row.details.files.iter().zip(&row.files).filter_map(&mut again).collect()
}

/// The files of a message that failed, or was taken back, are brought to swarms no further and renewed no more, and what has come
/// there is to be forgotten: when those on their way have arrived. Here they stay: whoever sends the message again sends them under
/// new keys.
pub(super) fn stop_sending(work: &mut Work<'_>, message: &MessageId) -> Result<(), Failure> {
    forget_in_swarms(work, message, "sent_here = 1", work.now.plus(UNDER_WAY))?;
    let stopped = work
        .tx
        .prepare_cached(
            "UPDATE file SET state = CASE state WHEN 3 THEN 2 ELSE state END, stored = NULL, renew_at = NULL
             WHERE message = ?1 AND sent_here = 1",
        )?
        .execute([id_bytes(message)])?;
    if stopped > 0 {
        work.changes.files = true;
        work.touch(message);
    }
    Ok(())
}

/// From `when` on the swarms are to forget those of a message's files that `which` holds for.
fn forget_in_swarms(
    work: &Work<'_>,
    message: &MessageId,
    which: &'static str,
    when: Timestamp,
) -> Result<(), Failure> {
    let files = work
        .tx
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM file WHERE message = ?1 AND file_key IS NOT NULL AND {which}"
        ))?
        .query_map([id_bytes(message)], file_row)?
        .collect::<Result<Vec<_>, _>>()?;
    for file in files {
        // Of what another device sent, only the address need be known.
        let list = file.list().filter(|_| file.manifest.is_none());
        if file.manifest.is_none() && list.is_none() {
            continue;
        }
        work.tx
            .prepare_cached(
                "INSERT INTO gone_file (manifest, list, file_key, next_try)
                 SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM gone_file WHERE file_key = ?3)",
            )?
            .execute((
                file.manifest.unwrap_or_default(),
                list.map(|list| list.0),
                file.file_key.as_ref().map(FileKey::as_bytes),
                millis(when),
            ))?;
    }
    Ok(())
}

/// A message's files are of no use any more. With `in_swarm`, swarms are to forget them as well.
pub(super) fn forget(work: &mut Work<'_>, message: &MessageId, in_swarm: bool) -> Result<(), Failure> {
    if in_swarm {
        forget_in_swarms(work, message, "true", work.now)?;
    }
    let gone = work.tx.prepare_cached("DELETE FROM file WHERE message = ?1")?.execute([id_bytes(message)])?;
    work.changes.files |= gone > 0;
    Ok(())
}

impl Work<'_> {
    /// Notes where the files of a message that was heard are. Of one's own, sent from another device at `sent_at`, also what
    /// deletes them and when they are to be renewed: they were stored after that.
    pub(super) fn take_pointers(
        &mut self,
        message: &MessageId,
        post: &Post,
        sent_at: Timestamp,
    ) -> Result<(), Failure> {
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO file (message, place, url, key, digest, size, file_key, stored_at, ends_at, renew_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO NOTHING",
        )?;
        let life = Life::first(sent_at.min(self.now));
        for (place, (file, pointer)) in (0_u32..).zip(post.details.files.iter().zip(&post.pointers)) {
            let key = post.file_keys.iter().find(|(of, _)| *of == place).map(|(_, key)| key);
            // Files elsewhere are not ours to delete, whatever is said.
            let key = key.filter(|_| list_in(pointer).is_some());
            statement.execute(rusqlite::params![
                id_bytes(message),
                place,
                &pointer.url,
                &pointer.key,
                &pointer.digest,
                i64::try_from(file.size).unwrap_or(i64::MAX),
                key.map(FileKey::as_bytes),
                key.map(|_| millis(life.began)),
                key.map(|_| millis(life.ends)),
                key.and_then(|_| life.renew_at(OsRng.next_u32())).map(millis),
            ])?;
            self.changes.files |= key.is_some();
        }
        Ok(())
    }

    /// Holds a message back until its files are stored.
    pub(super) fn hold_for(&mut self, message: &MessageId, files: &[NewFile]) -> Result<(), Failure> {
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO file (message, place, url, key, digest, size, state, blob, manifest, file_key, next_try,
                sent_here, stored_at, ends_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, ?12, ?13)",
        )?;
        // It is stored later than this.
        let life = Life::first(self.now);
        for (place, new) in (0_i64..).zip(files) {
            statement.execute(rusqlite::params![
                id_bytes(message),
                place,
                new.pointer.url,
                new.pointer.key,
                new.pointer.digest,
                i64::try_from(new.file.size).unwrap_or(i64::MAX),
                FileState::Sending.code(),
                new.blob,
                new.manifest,
                new.file_key.as_bytes(),
                millis(self.now),
                new.manifest.as_ref().map(|_| millis(life.began)),
                new.manifest.as_ref().map(|_| millis(life.ends)),
            ])?;
        }
        self.tx.prepare_cached("UPDATE outgoing SET held = 1 WHERE id = ?1")?.execute([id_bytes(message)])?;
        self.tell_own_devices(message, files)?;
        self.changes.files = true;
        Ok(())
    }
}

impl FileRow {
    /// The hash of the list of its chunks, if it is kept in swarms.
    pub(crate) fn list(&self) -> Option<ChunkHash> {
        list_in(&self.pointer)
    }
}

fn list_in(pointer: &Pointer) -> Option<ChunkHash> {
    Some(FileUrl::parse(pointer.url.as_deref()?).ok()?.blob()?.manifest())
}

impl ClientStore {
    /// Files that are to be fetched, stored or written, and whose time has come; those waiting longest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn due_files(&self, now: Timestamp) -> Result<Vec<FileRow>, StoreError> {
        const AT_ONCE: usize = 32;
        self.read("look for files to be fetched or sent", |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM file WHERE row IN (
                     SELECT row FROM file WHERE state IN (1, 3) AND next_try <= ?1 AND (state = 1 OR {IS_HELD})
                     UNION ALL SELECT row FROM file WHERE state = 2 AND to_write = 1 AND next_try <= ?1)
                 ORDER BY next_try, row LIMIT {AT_ONCE}"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_map([millis(now)], file_row)?.collect::<Result<_, _>>()?)
        })
    }

    /// Chunks the swarms are to forget whose time has come.
    ///
    /// # Errors
    /// What the disk says.
    pub fn due_gone_files(&self, now: Timestamp) -> Result<Vec<GoneFile>, StoreError> {
        self.read("look for files to be deleted", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT row, manifest, list, file_key, attempts FROM gone_file WHERE next_try <= ?1 ORDER BY row LIMIT 8",
            )?;
            let gone = statement.query_map([millis(now)], |row| {
                Ok(GoneFile {
                    row: row.get("row")?,
                    manifest: Some(row.get("manifest")?).filter(|list: &Vec<u8>| !list.is_empty()),
                    list: row.get::<_, Option<[u8; 32]>>("list")?.map(ChunkHash),
                    file_key: FileKey::of_bytes(row.get("file_key")?),
                    attempts: row.get("attempts")?,
                })
            })?;
            Ok(gone.collect::<Result<_, _>>()?)
        })
    }

    /// When the next file is to be looked at after `now`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_file_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read("look for files", |connection| {
            let next: Option<i64> = connection
                .prepare_cached(&format!(
                    "SELECT min(next_try) FROM (
                         SELECT next_try FROM file
                         WHERE state IN (1, 3) AND next_try > ?1 AND (state = 1 OR {IS_HELD})
                         UNION ALL SELECT next_try FROM file WHERE state = 2 AND to_write = 1 AND next_try > ?1
                         UNION ALL SELECT next_try FROM gone_file WHERE next_try > ?1
                         UNION ALL SELECT renew_at FROM file WHERE renew_at > ?1)"
                ))?
                .query_row([millis(now)], |row| row.get(0))?;
            Ok(next.map(timestamp))
        })
    }

    /// A file of a message.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`] if there is no such message; [`StoreError::NotAllowed`] if it has no such file.
    pub fn file(&self, message: &MessageId, place: u32) -> Result<FileRow, StoreError> {
        self.read("look for a file", |connection| file_of(connection, message, place))
    }

    /// A file as it is now; `None` if its message is gone.
    ///
    /// # Errors
    /// What the disk says.
    pub fn file_by_row(&self, row: i64) -> Result<Option<FileRow>, StoreError> {
        self.read("look for a file", |connection| {
            let sql = format!("SELECT {COLUMNS} FROM file WHERE row = ?1");
            Ok(connection.prepare_cached(&sql)?.query_row([row], file_row).optional()?)
        })
    }

    /// The names in the folder for files that are in use, and the paths content was written to.
    ///
    /// # Errors
    /// What the disk says.
    pub fn blobs_in_use(&self) -> Result<(Vec<String>, Vec<String>), StoreError> {
        self.read("look for files", |connection| {
            let all = |sql: &str| -> Result<Vec<String>, Failure> {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
            };
            Ok((
                all("SELECT blob FROM file WHERE blob IS NOT NULL
                     UNION ALL SELECT blob FROM picture WHERE blob IS NOT NULL")?,
                all("SELECT path FROM file WHERE path IS NOT NULL")?,
            ))
        })
    }

    /// A file is to be fetched, now. Does nothing if it is here, or on its way. With `write` its content is also to be written to
    /// the profile's own folder once it is here, if it is not there yet.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn want_file(
        &self,
        message: &MessageId,
        place: u32,
        write: bool,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("ask for a file", now, |work| {
            let file = file_of(work.tx, message, place)?;
            if write {
                work.tx
                    .prepare_cached(
                        "UPDATE file SET to_write = 1, next_try = ?2,
                                reason = CASE state WHEN 2 THEN NULL ELSE reason END
                         WHERE row = ?1",
                    )?
                    .execute((file.row, millis(work.now)))?;
                work.changes.files = true;
                work.touch(message);
            }
            let state = match file.state {
                FileState::Elsewhere => FileState::Wanted,
                // What could not be stored is here, and is stored when its message is sent again.
                FileState::Failed if file.sent_here => FileState::Here,
                FileState::Failed => FileState::Wanted,
                FileState::Wanted | FileState::Here | FileState::Sending => return Ok(()),
            };
            work.tx
                .prepare_cached(
                    "UPDATE file SET state = ?2, reason = NULL, attempts = 0, next_try = ?3 WHERE row = ?1",
                )?
                .execute((file.row, state.code(), millis(work.now)))?;
            work.changes.files = true;
            work.touch(message);
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// A file is not to be fetched any more. Does nothing if it is here already.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn unwant_file(
        &self,
        message: &MessageId,
        place: u32,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("stop fetching a file", now, |work| {
            let file = file_of(work.tx, message, place)?;
            if file.state == FileState::Wanted {
                work.tx
                    .prepare_cached(
                        "UPDATE file SET state = 0, blob = NULL, reason = NULL, to_write = 0 WHERE row = ?1",
                    )?
                    .execute([file.row])?;
                work.changes.files = true;
                work.touch(message);
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Notes under which name the encrypted bytes of a file are gathered, and what they consist of.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_file_blob(&self, row: i64, blob: &str, manifest: Option<&[u8]>) -> Result<(), StoreError> {
        self.write("note where a file is", |tx| {
            tx.prepare_cached("UPDATE file SET blob = ?2, manifest = ?3 WHERE row = ?1")?
                .execute((row, blob, manifest))?;
            Ok(())
        })
    }

    /// Notes where a file of a message that waits for it is now, there and in what the message says.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_file_url(&self, row: i64, url: &str) -> Result<(), StoreError> {
        self.write("note where a file is", |tx| {
            let found = tx
                .prepare_cached("UPDATE file SET url = ?2 WHERE row = ?1 RETURNING message AS id, place")?
                .query_row((row, url), |row| Ok((message_id(row)?, row.get::<_, u32>("place")?)))
                .optional()?;
            let Some((message, place)) = found else { return Ok(()) };
            for (read, write) in [
                (
                    "SELECT rowid, content FROM outgoing WHERE id = ?1",
                    "UPDATE outgoing SET content = ?2 WHERE rowid = ?1",
                ),
                (
                    "SELECT row, content FROM message WHERE id = ?1",
                    "UPDATE message SET content = ?2 WHERE row = ?1",
                ),
            ] {
                let mut statement = tx.prepare_cached(read)?;
                let contents = statement
                    .query_map([id_bytes(&message)], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<Vec<(i64, Option<Vec<u8>>)>, _>>()?;
                for (at, content) in contents {
                    if let Some(content) = content.and_then(|content| with_file_url(&content, place, url)) {
                        tx.prepare_cached(write)?.execute((at, content))?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Notes which chunks of a file its swarms have.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_file_stored(&self, row: i64, stored: &[u8]) -> Result<(), StoreError> {
        self.write("note what is stored of a file", |tx| {
            tx.prepare_cached("UPDATE file SET stored = ?2 WHERE row = ?1")?.execute((row, stored))?;
            Ok(())
        })
    }

    /// A file is here, or stored: nothing is left to do about it. A message whose last file this was is sent.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish_file(&self, row: i64, begun: FileState, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("note that a file has come", now, |work| {
            let message = work
                .tx
                .prepare_cached(
                    "UPDATE file SET state = 2, stored = NULL, reason = NULL, attempts = 0
                     WHERE row = ?1 AND state = ?2 RETURNING message AS id, sent_here, stored_at, ends_at, renew_at",
                )?
                .query_row((row, begun.code()), |row| {
                    let is_new = row.get("sent_here")? && row.get::<_, Option<i64>>("renew_at")?.is_none();
                    Ok((message_id(row)?, life_of(row)?.filter(|_| is_new)))
                })
                .optional()?;
            let Some((message, life)) = message else { return Ok(()) };
            if let Some(life) = life {
                work.tx
                    .prepare_cached("UPDATE file SET renew_at = ?2 WHERE row = ?1")?
                    .execute((row, life.renew_at(OsRng.next_u32()).map(millis)))?;
            }
            let waits = work
                .tx
                .prepare_cached(
                    "SELECT 1 FROM file WHERE message = ?1 AND state IN (3, 4) AND sent_here = 1",
                )?
                .exists([id_bytes(&message)])?;
            if !waits {
                let freed = work
                    .tx
                    .prepare_cached("UPDATE outgoing SET held = 0, next_try = ?2 WHERE id = ?1 AND held = 1")?
                    .execute((id_bytes(&message), millis(work.now)))?;
                work.changes.to_send |= freed > 0;
            }
            work.touch(&message);
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Notes an attempt that went wrong: why, and when to try again; `None` gives it up, and with it a message that waits for
    /// it. An attempt at what the file is no longer in, as `begun` says, is nothing to note.
    ///
    /// # Errors
    /// What the disk says.
    pub fn note_file_trouble(
        &self,
        row: i64,
        begun: FileState,
        reason: &str,
        next_try: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let (found, mut changes) = self.work("note what became of a file", now, |work| {
            let found = work
                .tx
                .prepare_cached(
                    "UPDATE file SET reason = ?2, attempts = attempts + 1,
                            state = CASE WHEN ?3 IS NULL THEN 4 ELSE state END, next_try = coalesce(?3, 0),
                            to_write = CASE WHEN ?3 IS NULL THEN 0 ELSE to_write END
                     WHERE row = ?1 AND state = ?4 RETURNING message AS id, sent_here AS sending",
                )?
                .query_row((row, &reason, next_try.map(millis), begun.code()), |row| {
                    Ok((message_id(row)?, row.get::<_, bool>("sending")?))
                })
                .optional()?;
            if let Some((message, _)) = &found {
                work.touch(message);
            }
            Ok(found)
        })?;
        if let (Some((message, true)), None) = (found, next_try) {
            let failed = self.mark_failed(&message, Copy::Recipient, &reason, now)?;
            changes.states.extend(failed.states);
            changes.updated.extend(failed.updated);
            changes.to_send |= failed.to_send;
        }
        Ok(changes)
    }

    /// The content of a file is here and cannot be written: why. Whoever asks again begins anew.
    ///
    /// # Errors
    /// What the disk says.
    pub fn give_up_writing(&self, row: i64, reason: &str, now: Timestamp) -> Result<Changes, StoreError> {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        self.work("note that a file could not be written", now, |work| {
            let message = work
                .tx
                .prepare_cached(
                    "UPDATE file SET to_write = 0, reason = ?2 WHERE row = ?1 RETURNING message AS id",
                )?
                .query_row((row, reason), message_id)
                .optional()?;
            if let Some(message) = message {
                work.touch(&message);
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Notes where the content of a file was written to.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_file_path(&self, row: i64, path: &str, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("note where a file is", now, |work| {
            let message = work
                .tx
                .prepare_cached(
                    "UPDATE file SET path = ?2, to_write = 0 WHERE row = ?1 RETURNING message AS id",
                )?
                .query_row((row, path), message_id)
                .optional()?;
            if let Some(message) = message {
                work.touch(&message);
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// The swarms have forgotten a file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn forget_gone_file(&self, row: i64) -> Result<(), StoreError> {
        self.write("note that a file is deleted", |tx| {
            tx.prepare_cached("DELETE FROM gone_file WHERE row = ?1")?.execute([row])?;
            Ok(())
        })
    }

    /// Not all swarms have forgotten it: again later.
    ///
    /// # Errors
    /// What the disk says.
    pub fn postpone_gone_file(&self, row: i64, next_try: Timestamp) -> Result<(), StoreError> {
        self.write("note that a file is not deleted yet", |tx| {
            tx.prepare_cached("UPDATE gone_file SET attempts = attempts + 1, next_try = ?2 WHERE row = ?1")?
                .execute((row, millis(next_try)))?;
            Ok(())
        })
    }
}

fn file_of(connection: &Connection, message: &MessageId, place: u32) -> Result<FileRow, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM file WHERE message = ?1 AND place = ?2");
    let found =
        connection.prepare_cached(&sql)?.query_row((id_bytes(message), place), file_row).optional()?;
    if let Some(file) = found {
        return Ok(file);
    }
    chats::find(connection, &super::meta::own_id(connection)?, message)?;
    Err(StoreError::NotAllowed("the message has no such file").into())
}
