//! What arrives: deduplicated, judged, put in its place, and acknowledged by the cursor in one transaction.
//!
//! The pipeline of client-messages 4.0: here are the steps that are the same for all kinds; `hear` does what each kind
//! says.

mod about;
mod early;
mod hear;

use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_proto::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction};

use super::chats::id_bytes;
use super::error::Failure;
use super::work::{Changes, Work};
use super::{ClientStore, ReceivedBatch, ReceivedItem, StoreError, cursors, millis};
use crate::types::MessageId;
use crate::wire::Opened;
pub(super) use about::Edit;

/// No storage keeps a message longer than 30 days; beyond it (and a day for clocks) a hash need not
/// be remembered, whatever a member claims about its expiry.
const MAX_REMEMBERED: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Nor is it forgotten before the longest life in a public inbox ends: a member that claims less
/// would make us open its items again and again.
const MIN_REMEMBERED: Duration = Duration::from_secs(15 * 24 * 60 * 60);

impl ClientStore {
    /// Takes in what a swarm member returned and moves its cursor, in one transaction: after a kill
    /// either everything is here, or the member is read again.
    ///
    /// Items whose hash has been seen are skipped (first layer); messages that are here under the
    /// same author and sent timestamp, or were deleted here, are skipped as well (second layer).
    /// Sync copies of this account become outgoing messages in the chat they were sent to. Items
    /// nobody can open are remembered by their hash and counted.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], [`StoreError::DiskFull`], …; nothing of the batch is here then.
    pub fn insert_received(&self, batch: &ReceivedBatch, now: Timestamp) -> Result<Changes, StoreError> {
        let ((), changes) = self.work("store received messages", now, |work| {
            for item in &batch.items {
                work.take_in(item)?;
            }
            early::bound_strangers(work.tx)?;
            if let Some(last_hash) = &batch.last_hash {
                cursors::move_to(work.tx, batch, last_hash, now)?;
            }
            Ok(())
        })?;
        // A text that was deleted by its author is to be gone from the disk, too.
        if !changes.deleted.is_empty() || changes.updated.iter().any(|row| row.text.is_empty()) {
            self.clear_journal();
        }
        Ok(changes)
    }

    /// Which of these hashes have not been seen, in the same order: only they need opening.
    ///
    /// # Errors
    /// What the disk says.
    pub fn unseen(&self, hashes: &[String]) -> Result<Vec<String>, StoreError> {
        self.read("look for new messages", |connection| {
            let mut seen = connection.prepare_cached("SELECT 1 FROM seen WHERE hash = ?1")?;
            let mut new = Vec::new();
            for hash in hashes {
                if !seen.exists([hash])? {
                    new.push(hash.clone());
                }
            }
            Ok(new)
        })
    }

    /// How many items of unknown kinds are kept for a later version.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_aside_count(&self) -> Result<u32, StoreError> {
        self.read("count unknown items", |connection| {
            Ok(connection
                .query_row("SELECT count(*) FROM set_aside WHERE chat IS NULL", [], |row| row.get(0))?)
        })
    }

    /// Forgets what can be of no use any more: hashes no node has, how far members have been read that have left or have had
    /// nothing since, deletions and reactions of messages that can no longer come. Worth doing now and then.
    ///
    /// # Errors
    /// What the disk says.
    pub fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("tidy up", |tx| {
            let (now, long_ago) = (millis(now), millis(now.minus(MAX_REMEMBERED)));
            tx.execute("DELETE FROM seen WHERE expires_at < ?1", [now])?;
            tx.execute("DELETE FROM deleted WHERE expires_at < ?1", [now])?;
            tx.execute("DELETE FROM early_receipt WHERE expires_at < ?1", [now])?;
            tx.execute("DELETE FROM set_aside WHERE chat IS NOT NULL AND expires_at < ?1", [now])?;
            tx.execute("DELETE FROM outgoing WHERE until < ?1", [now])?;
            tx.execute("DELETE FROM cursor WHERE updated_at < ?1", [long_ago])?;
            for table in ["reaction", "edit"] {
                tx.execute(
                    &format!(
                        "DELETE FROM {table} WHERE since < ?1
                         AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = {table}.target)"
                    ),
                    [long_ago],
                )?;
            }
            Ok(())
        })?;
        if self.inner.journal_to_empty.load(Ordering::Relaxed) {
            self.clear_journal();
        }
        Ok(())
    }
}

/// Puts a hash on the list of those that need no second look.
pub(super) fn remember(
    tx: &Transaction<'_>,
    hash: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, Failure> {
    let until = expires_at.clamp(now.plus(MIN_REMEMBERED), now.plus(MAX_REMEMBERED));
    let new = tx
        .prepare_cached("INSERT INTO seen (hash, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((hash, millis(until)))?;
    Ok(new > 0)
}

/// Keeps a deleted message from coming back. With `unsent`, a placeholder stands where it would.
pub(super) fn remember_deleted(
    tx: &Transaction<'_>,
    id: &MessageId,
    unsent: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO deleted (id, unsent, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET unsent = min(unsent, excluded.unsent), here_only = 0, waits = NULL",
    )?
    .execute((id_bytes(id), unsent, millis(now.plus(MAX_REMEMBERED))))?;
    Ok(())
}

/// Keeps a message from coming back that was deleted on this device only.
pub(super) fn remember_hidden(tx: &Transaction<'_>, id: &MessageId, now: Timestamp) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO deleted (id, here_only, expires_at) VALUES (?1, 1, ?2)
         ON CONFLICT DO UPDATE SET waits = NULL",
    )?
    .execute((id_bytes(id), millis(now.plus(MAX_REMEMBERED))))?;
    Ok(())
}

/// How a message was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// By its author: a placeholder stands where it would.
    pub unsent: bool,
    /// On this device only: others want it still.
    pub here_only: bool,
}

/// Whether a message was deleted, here or by its author, and how.
pub(super) fn gone(tx: &Transaction<'_>, id: &MessageId) -> Result<Option<Gone>, Failure> {
    Ok(tx
        .prepare_cached("SELECT unsent, here_only FROM deleted WHERE id = ?1")?
        .query_row([id_bytes(id)], |row| Ok(Gone { unsent: row.get(0)?, here_only: row.get(1)? }))
        .optional()?)
}

/// Whether a message was deleted, here or by its author.
pub(super) fn is_deleted(tx: &Transaction<'_>, id: &MessageId) -> Result<bool, Failure> {
    Ok(gone(tx, id)?.is_some())
}

impl Work<'_> {
    fn take_in(&mut self, item: &ReceivedItem) -> Result<(), Failure> {
        if !remember(self.tx, &item.hash, item.expires_at, self.now)? {
            self.changes.known = self.changes.known.saturating_add(1);
            return Ok(());
        }
        match &item.content {
            Opened::Heard(heard) => self.hear(item, heard),
            Opened::Own => Ok(()),
            Opened::Undecryptable => {
                self.changes.undecryptable = self.changes.undecryptable.saturating_add(1);
                Ok(())
            }
        }
    }
}
