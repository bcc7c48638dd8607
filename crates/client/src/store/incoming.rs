//! What arrives: deduplicated, judged, put in its place, and acknowledged by the cursor in one transaction.
//!
//! The pipeline of client-messages 4.0: here are the steps that are the same for all kinds; `hear` does what each kind
//! says.

mod hear;

use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction};

use super::chats::id_bytes;
use super::error::Failure;
use super::work::{Changes, Work};
use super::{ClientStore, ReceivedBatch, ReceivedItem, StoreError, cursors, millis, timestamp};
use crate::said::Heard;
use crate::types::MessageId;
use crate::wire::Opened;
pub(super) use hear::Edit;

/// No storage keeps a message longer than 30 days; beyond it (and a day for clocks) a hash need not
/// be remembered, whatever a member claims about its expiry.
const MAX_REMEMBERED: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Nor is it forgotten before the longest life in a public inbox ends: a member that claims less
/// would make us open its items again and again.
const MIN_REMEMBERED: Duration = Duration::from_secs(15 * 24 * 60 * 60);

/// Contents of unknown kinds that are kept; older ones make room. Each has at most 76,800 bytes, so
/// strangers can fill some 75 MiB with them.
const MAX_SET_ASIDE: i64 = 1_000;

/// Deletions, receipts and edits of messages that are not here (yet): so many of each are kept, the oldest make room.
const MAX_EARLY: i64 = 20_000;

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

    /// Forgets what can be of no use any more: hashes no node has, deletions and reactions of messages that can no longer
    /// come. Worth doing now and then.
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
            for table in ["reaction", "edit"] {
                tx.execute(
                    &format!(
                        "DELETE FROM {table} WHERE sent_at < ?1
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
         ON CONFLICT DO UPDATE SET unsent = min(unsent, excluded.unsent), here_only = 0",
    )?
    .execute((id_bytes(id), unsent, millis(now.plus(MAX_REMEMBERED))))?;
    Ok(())
}

/// Keeps a message from coming back that was deleted on this device only.
pub(super) fn remember_hidden(tx: &Transaction<'_>, id: &MessageId, now: Timestamp) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO deleted (id, here_only, expires_at) VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING",
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
    Ok(tx.prepare_cached("SELECT 1 FROM deleted WHERE id = ?1")?.exists([id_bytes(id)])?)
}

/// Keeps a table of things that wait for something else from growing without end.
fn bound(tx: &Transaction<'_>, table: &str, oldest_first: &str) -> Result<(), Failure> {
    let count: i64 =
        tx.prepare_cached(&format!("SELECT count(*) FROM {table}"))?.query_row([], |row| row.get(0))?;
    if count > MAX_EARLY {
        tx.prepare_cached(&format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY {oldest_first} LIMIT ?1)"
        ))?
        .execute([count - MAX_EARLY])?;
    }
    Ok(())
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

    /// Keeps a content of a kind this version does not know.
    fn set_aside(&self, heard: &Heard) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO set_aside (author, sent_at, arrived_at, content) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((heard.author.as_bytes(), millis(heard.sent_at), millis(self.now), &heard.content))?;
        self.bound_set_aside()
    }

    /// Keeps what came for a conversation that was erased after it, in case the contact comes back: another device may have
    /// said so without having seen it.
    fn set_aside_for(&self, chat: &AccountId, item: &ReceivedItem, heard: &Heard) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO set_aside (author, sent_at, arrived_at, content, chat, hash, stored_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                heard.author.as_bytes(),
                millis(heard.sent_at),
                millis(self.now),
                &heard.content,
                chat.as_bytes(),
                &item.hash,
                millis(item.stored_at),
                millis(item.expires_at.clamp(self.now.plus(MIN_REMEMBERED), self.now.plus(MAX_REMEMBERED))),
            ))?;
        self.bound_set_aside()
    }

    fn bound_set_aside(&self) -> Result<(), Failure> {
        self.tx
            .prepare_cached("DELETE FROM set_aside WHERE row <= (SELECT max(row) FROM set_aside) - ?1")?
            .execute([MAX_SET_ASIDE])?;
        Ok(())
    }

    /// A contact is known (again): what was set aside for the conversation is heard after all.
    pub(super) fn revive(&mut self, chat: &AccountId) -> Result<(), Failure> {
        type Kept = (Vec<u8>, i64, Vec<u8>, String, i64, i64);
        let kept: Vec<Kept> = self
            .tx
            .prepare_cached(
                "DELETE FROM set_aside WHERE chat = ?1
                 RETURNING author, sent_at, content, hash, stored_at, expires_at",
            )?
            .query_map([chat.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })?
            .collect::<Result<_, _>>()?;
        for (author, sent_at, content, hash, stored_at, expires_at) in kept {
            let (Ok(author), Ok(parsed)) =
                (AccountId::from_slice(&author), conclave_proto::content::Content::from_bytes(&content))
            else {
                continue;
            };
            let heard = Heard::read(&self.own, author, timestamp(sent_at), &parsed, &content);
            if let Some(heard) = heard {
                let item = ReceivedItem {
                    hash,
                    stored_at: timestamp(stored_at),
                    expires_at: timestamp(expires_at),
                    content: Opened::Own,
                };
                self.hear(&item, &heard)?;
            }
        }
        Ok(())
    }
}
