//! What arrives: deduplicated, put in its place, and acknowledged by the cursor in one transaction.

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::Transaction;

use super::chats::{self, NewMessage, id_bytes};
use super::error::Failure;
use super::meta::own_id;
use super::{
    ClientStore, Received, ReceivedBatch, ReceivedContent, ReceivedItem, ReceivedMessage, StoreError,
    contacts, cursors, millis,
};
use crate::types::MessageId;

/// No storage keeps a message longer than 30 days; beyond it (and a day for clocks) a hash need not
/// be remembered, whatever a member claims about its expiry.
const MAX_REMEMBERED: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Nor is it forgotten before the longest life in a public inbox ends: a member that claims less
/// would make us open its items again and again.
const MIN_REMEMBERED: Duration = Duration::from_secs(15 * 24 * 60 * 60);

/// Contents of unknown kinds that are kept; older ones make room. Each has at most 76,800 bytes, so
/// strangers can fill some 75 MiB with them.
const MAX_SET_ASIDE: i64 = 1_000;

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
    pub fn insert_received(&self, batch: &ReceivedBatch, now: Timestamp) -> Result<Received, StoreError> {
        self.write("store received messages", |tx| {
            let own = own_id(tx)?;
            forget_expired(tx, now)?;
            let mut received = Received::default();
            for item in &batch.items {
                insert_item(tx, &own, item, now, &mut received)?;
            }
            if let Some(last_hash) = &batch.last_hash {
                cursors::move_to(tx, batch, last_hash, now)?;
            }
            Ok(received)
        })
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
            Ok(connection.query_row("SELECT count(*) FROM set_aside", [], |row| row.get(0))?)
        })
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

/// Keeps a deleted message from coming back.
pub(super) fn remember_deleted(tx: &Transaction<'_>, id: &MessageId, now: Timestamp) -> Result<(), Failure> {
    tx.prepare_cached("INSERT INTO deleted (id, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((id_bytes(id), millis(now.plus(MAX_REMEMBERED))))?;
    Ok(())
}

fn forget_expired(tx: &Transaction<'_>, now: Timestamp) -> Result<(), Failure> {
    tx.prepare_cached("DELETE FROM seen WHERE expires_at < ?1")?.execute([millis(now)])?;
    tx.prepare_cached("DELETE FROM deleted WHERE expires_at < ?1")?.execute([millis(now)])?;
    Ok(())
}

fn insert_item(
    tx: &Transaction<'_>,
    own: &AccountId,
    item: &ReceivedItem,
    now: Timestamp,
    received: &mut Received,
) -> Result<(), Failure> {
    if !remember(tx, &item.hash, item.expires_at, now)? {
        received.known = received.known.saturating_add(1);
        return Ok(());
    }
    match &item.content {
        ReceivedContent::Message(message) => insert_message(tx, own, item, message, now, received),
        ReceivedContent::Unknown { author, sent_at, content } => {
            set_aside(tx, author, *sent_at, now, content)
        }
        ReceivedContent::Handled => Ok(()),
        ReceivedContent::Undecryptable => {
            received.undecryptable = received.undecryptable.saturating_add(1);
            Ok(())
        }
    }
}

fn insert_message(
    tx: &Transaction<'_>,
    own: &AccountId,
    item: &ReceivedItem,
    message: &ReceivedMessage,
    now: Timestamp,
    received: &mut Received,
) -> Result<(), Failure> {
    let id = MessageId::of(&message.author, message.sent_at);
    if is_known(tx, &id)? {
        received.known = received.known.saturating_add(1);
        if message.author == *own {
            tx.prepare_cached("UPDATE message SET own_hash = ?2 WHERE id = ?1 AND own_hash IS NULL")?
                .execute((id_bytes(&id), &item.hash))?;
        }
        return Ok(());
    }
    let outgoing = message.author == *own;
    // Only the account itself may say where a message of its own belongs.
    let chat = if outgoing { message.sync_target.unwrap_or(*own) } else { message.author };
    if outgoing {
        if chat != *own {
            contacts::approve(tx, &chat)?;
        }
    } else {
        contacts::meet(tx, &message.author, message.author_name.as_deref(), message.sent_at.min(now))?;
    }
    chats::insert(
        tx,
        &NewMessage {
            id: &id,
            chat: &chat,
            author: &message.author,
            sent_at: message.sent_at,
            arrived_at: now,
            text: &message.text,
            content: Some(&message.content),
            // How far a message of another device came, nobody has proved to us.
            state: None,
            printed: false,
        },
    )?;
    if outgoing {
        tx.prepare_cached("UPDATE message SET own_hash = ?2 WHERE id = ?1")?
            .execute((id_bytes(&id), &item.hash))?;
        // Whoever wrote on another device has read what came before (client-messages 4.16).
        chats::read_upto(tx, &chat, message.sent_at.min(now))?;
    }
    received.shown.push(chats::find(tx, own, &id)?);
    Ok(())
}

fn is_known(tx: &Transaction<'_>, id: &MessageId) -> Result<bool, Failure> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM message WHERE id = ?1 UNION ALL SELECT 1 FROM deleted WHERE id = ?1")?
        .exists([id_bytes(id)])?)
}

fn set_aside(
    tx: &Transaction<'_>,
    author: &AccountId,
    sent_at: Timestamp,
    now: Timestamp,
    content: &[u8],
) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO set_aside (author, sent_at, arrived_at, content) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((author.as_bytes(), millis(sent_at), millis(now), content))?;
    tx.prepare_cached("DELETE FROM set_aside WHERE row <= (SELECT max(row) FROM set_aside) - ?1")?
        .execute([MAX_SET_ASIDE])?;
    Ok(())
}
