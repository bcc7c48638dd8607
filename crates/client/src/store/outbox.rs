//! Sending: durable first, sent later, and never shown as further along than it is.
//!
//! A message waits here in up to two copies until a majority of each copy's swarm has signed for
//! it. A process killed between sending and noting it sends again; receivers know the message by
//! author and sent timestamp, which stay the same.

use conclave_proto::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction};

use super::chats::{self, MESSAGE_COLUMNS, id_bytes, message_row};
use super::error::Failure;
use super::meta::{next_sent_timestamp, own_id};
use super::rows::state_code;
use super::{
    ClientStore, Copy, DueCopy, MessageRow, Others, OutgoingMessage, StoreError, contacts, incoming, millis,
    page, timestamp,
};
use crate::types::{MessageId, MessageState};

/// Due copies from which those to be sent are chosen. If so many wait for one recipient they come first until an attempt
/// fails; then all of them wait.
const LOOKED_AT: usize = 512;

/// Copies that go to the same swarm as the copy ?2 of message row ?1: to the same chat, or all to oneself.
const SAME_SWARM: &str = "copy = ?2 AND (?2 = 1 OR message IN
    (SELECT row FROM message WHERE chat = (SELECT chat FROM message WHERE row = ?1)))";

/// The longest text kept as the reason of a failed attempt; it quotes what others say.
const MAX_REASON_CHARS: usize = 300;

impl ClientStore {
    /// Takes a message for sending. When this returns, the message, its final sent timestamp and
    /// its places in the outbox are on the disk; before that, nothing may be sent. Writing to
    /// somebody approves them (client-messages 4.14).
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], [`StoreError::DiskFull`], …; the message is not taken then.
    pub fn enqueue(&self, message: &OutgoingMessage, now: Timestamp) -> Result<MessageRow, StoreError> {
        self.write("queue the message", |tx| {
            let own = own_id(tx)?;
            let sent_at = next_sent_timestamp(tx, now)?;
            let to_self = message.chat == own;
            if !to_self {
                contacts::approve(tx, &message.chat)?;
            }
            let id = MessageId::of(&own, sent_at);
            chats::insert(
                tx,
                &chats::NewMessage {
                    id: &id,
                    chat: &message.chat,
                    author: &own,
                    sent_at,
                    arrived_at: sent_at,
                    text: &message.text,
                    content: None,
                    state: Some(MessageState::Queued),
                    // A note to oneself has arrived; what one sends to others has not.
                    printed: !to_self,
                },
            )?;
            let row = tx.last_insert_rowid();
            let copies: &[Copy] =
                if to_self { &[Copy::Recipient] } else { &[Copy::Recipient, Copy::OwnSync] };
            for copy in copies {
                tx.prepare_cached("INSERT INTO outbox (message, copy, next_try) VALUES (?1, ?2, ?3)")?
                    .execute((row, copy.code(), millis(now)))?;
            }
            chats::find(tx, &own, &id)
        })
    }

    /// The copies to be sent at `now`, recipients' before those for other devices, of each those waiting longest first; at
    /// most `limit` or [`super::MAX_PAGE`], and at most `of_one_chat` for the same chat.
    ///
    /// # Errors
    /// What the disk says.
    pub fn due(&self, now: Timestamp, limit: usize, of_one_chat: usize) -> Result<Vec<DueCopy>, StoreError> {
        self.read("read the outbox", |connection| {
            let Some(own) = own_id_if_any(connection)? else { return Ok(Vec::new()) };
            let mut statement = connection.prepare_cached(&due_sql())?;
            let due = statement.query_map((millis(now), page(limit), page(of_one_chat)), |row| {
                Ok(DueCopy {
                    message: message_row(row, &own)?,
                    copy: if row.get::<_, i64>("copy")? == 0 { Copy::Recipient } else { Copy::OwnSync },
                    attempts: row.get("attempts")?,
                })
            })?;
            Ok(due.collect::<Result<_, _>>()?)
        })
    }

    /// When the next copy becomes due after `now`; `None` if there is none that is not due already.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read("read the outbox", |connection| {
            let next: Option<i64> = connection.query_row(
                "SELECT min(next_try) FROM outbox WHERE next_try > ?1",
                [millis(now)],
                |row| row.get(0),
            )?;
            Ok(next.map(timestamp))
        })
    }

    /// How many messages wait for a majority of their recipient's swarm.
    ///
    /// # Errors
    /// What the disk says.
    pub fn queued_count(&self) -> Result<u32, StoreError> {
        self.read("read the outbox", |connection| {
            Ok(connection.query_row("SELECT count(*) FROM outbox WHERE copy = 0", [], |row| row.get(0))?)
        })
    }

    /// Notes an attempt that did not end the waiting: why, and when to try again. The message's
    /// state stays what it is. Does nothing if the copy is no longer waiting. With [`Others::WaitToo`] what waits for the
    /// same swarm is not tried before that time either.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn record_attempt(
        &self,
        id: &MessageId,
        copy: Copy,
        reason: &str,
        next_try: Timestamp,
        others: Others,
    ) -> Result<(), StoreError> {
        self.write("note an attempt", |tx| {
            let row = row_of(tx, id)?;
            let waiting = tx
                .prepare_cached(
                    "UPDATE outbox SET attempts = attempts + 1, next_try = ?3 WHERE message = ?1 AND copy = ?2",
                )?
                .execute((row, copy.code(), millis(next_try)))?;
            if waiting > 0 && copy == Copy::Recipient {
                set_reason(tx, row, Some(reason))?;
            }
            if waiting > 0 && others == Others::WaitToo {
                tx.prepare_cached(&format!("UPDATE outbox SET next_try = ?3 WHERE next_try < ?3 AND {SAME_SWARM}"))?
                    .execute((row, copy.code(), millis(next_try)))?;
            }
            Ok(())
        })
    }

    /// Makes what waits for the same swarm as this copy due at `now`: it answers again.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn hurry(&self, id: &MessageId, copy: Copy, now: Timestamp) -> Result<(), StoreError> {
        self.write("hurry the outbox", |tx| {
            let row = row_of(tx, id)?;
            tx.prepare_cached(&format!(
                "UPDATE outbox SET next_try = ?3 WHERE next_try > ?3 AND {SAME_SWARM}"
            ))?
            .execute((row, copy.code(), millis(now)))?;
            Ok(())
        })
    }

    /// Keeps a message from being tried before `until`, while its sender thinks about taking it back.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn hold(&self, id: &MessageId, until: Timestamp) -> Result<(), StoreError> {
        self.write("hold a message", |tx| {
            let row = row_of(tx, id)?;
            tx.prepare_cached("UPDATE outbox SET next_try = ?2 WHERE message = ?1")?
                .execute((row, millis(until)))?;
            Ok(())
        })
    }

    /// Makes every waiting copy due at once, because the network is back.
    ///
    /// # Errors
    /// What the disk says.
    pub fn retry_all(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("hurry the outbox", |tx| {
            tx.execute("UPDATE outbox SET next_try = ?1 WHERE next_try > ?1", [millis(now)])?;
            Ok(())
        })
    }

    /// Notes that `signed` of the `swarm` members hold a copy under `hash`, each signature
    /// verified. With a majority the copy no longer waits; with fewer it does (stored weakly), and
    /// the caller says with [`Self::record_attempt`] when to try again. Counts never fall: an
    /// attempt that reaches fewer members takes nothing back.
    ///
    /// Returns the message if its state or counts changed.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn mark_stored(
        &self,
        id: &MessageId,
        copy: Copy,
        signed: u32,
        swarm: u32,
        hash: &str,
        expires_at: Timestamp,
    ) -> Result<Option<MessageRow>, StoreError> {
        self.write("note what was stored", |tx| {
            let own = own_id(tx)?;
            let row = row_of(tx, id)?;
            let signed = signed.min(swarm);
            if signed == 0 {
                return Ok(None);
            }
            let majority = signed.saturating_mul(2) > swarm;
            if majority {
                tx.prepare_cached("DELETE FROM outbox WHERE message = ?1 AND copy = ?2")?
                    .execute((row, copy.code()))?;
            }
            let before = chats::find(tx, &own, id)?;
            if copy == Copy::OwnSync || before.chat == own {
                // The receive loop will meet this copy: it is known.
                incoming::remember(tx, hash, expires_at, before.sent_at)?;
                tx.prepare_cached("UPDATE message SET own_hash = ?2 WHERE row = ?1")?.execute((row, hash))?;
            }
            if copy == Copy::Recipient {
                let state = if majority { MessageState::Stored } else { MessageState::StoredWeakly };
                raise(tx, row, state)?;
                tx.prepare_cached(
                    "UPDATE message SET signed = ?2, swarm = ?3, reason = NULL
                     WHERE row = ?1 AND (signed IS NULL OR signed < ?2)",
                )?
                .execute((row, signed, swarm))?;
            }
            let after = chats::find(tx, &own, id)?;
            let changed = (before.state, before.signed) != (after.state, after.signed);
            Ok(changed.then_some(after))
        })
    }

    /// Ends the waiting of a copy for good. The message becomes *failed* if it was the recipient's
    /// copy and no member has signed for it; a message stored weakly stays that, with the reason
    /// beside it. Returns the message as it is then.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn mark_failed(&self, id: &MessageId, copy: Copy, reason: &str) -> Result<MessageRow, StoreError> {
        self.write("note a failure", |tx| {
            let own = own_id(tx)?;
            let row = row_of(tx, id)?;
            let waiting = tx
                .prepare_cached("DELETE FROM outbox WHERE message = ?1 AND copy = ?2")?
                .execute((row, copy.code()))?;
            if waiting > 0 && copy == Copy::Recipient {
                raise(tx, row, MessageState::Failed)?;
                set_reason(tx, row, Some(reason))?;
                // What never reached the recipient is not shown on other devices as sent.
                tx.prepare_cached(
                    "DELETE FROM outbox WHERE message = ?1
                     AND (SELECT state FROM message WHERE row = ?1) = ?2",
                )?
                .execute((row, state_code(MessageState::Failed)))?;
            }
            chats::find(tx, &own, id)
        })
    }

    /// Notes a receipt: `state` is delivered or read. Returns the message if that is news.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn mark_receipt(
        &self,
        id: &MessageId,
        state: MessageState,
    ) -> Result<Option<MessageRow>, StoreError> {
        if !matches!(state, MessageState::Delivered | MessageState::Read) {
            return Err(StoreError::Bug(format!("{state:?} is no receipt")));
        }
        self.write("note a receipt", |tx| {
            let own = own_id(tx)?;
            let row = row_of(tx, id)?;
            let news = raise(tx, row, state)?;
            if news {
                // It has arrived, so nothing is left to bring to the recipient's swarm.
                tx.prepare_cached("DELETE FROM outbox WHERE message = ?1 AND copy = 0")?.execute([row])?;
                set_reason(tx, row, None)?;
            }
            Ok(if news { Some(chats::find(tx, &own, id)?) } else { None })
        })
    }
}

/// The due copies that have waited longest.
pub(super) fn oldest_due_sql() -> String {
    format!("SELECT * FROM outbox WHERE next_try <= ?1 ORDER BY next_try, message, copy LIMIT {LOOKED_AT}")
}

fn due_sql() -> String {
    let oldest = oldest_due_sql();
    format!(
        "SELECT {MESSAGE_COLUMNS}, outbox.copy AS copy, outbox.attempts AS attempts
         FROM (
             SELECT outbox.*, row_number() OVER (
                 PARTITION BY outbox.copy, message.chat ORDER BY outbox.next_try, outbox.message
             ) AS place
             FROM ({oldest}) AS outbox JOIN message ON message.row = outbox.message
         ) AS outbox
         JOIN message ON message.row = outbox.message
         LEFT JOIN contact ON contact.id = message.author
         WHERE outbox.place <= ?3
         ORDER BY outbox.copy, outbox.next_try, outbox.message LIMIT ?2"
    )
}

fn own_id_if_any(connection: &rusqlite::Connection) -> Result<Option<conclave_crypto::AccountId>, Failure> {
    match own_id(connection) {
        Ok(id) => Ok(Some(id)),
        Err(Failure::Store(StoreError::NoAccount)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The row of an outgoing message.
fn row_of(tx: &Transaction<'_>, id: &MessageId) -> Result<i64, Failure> {
    tx.prepare_cached("SELECT row FROM message WHERE id = ?1 AND outgoing = 1")?
        .query_row([id_bytes(id)], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::UnknownMessage(id.clone()).into())
}

/// States climb; a lower one than the present is no news. Whether it climbed.
fn raise(tx: &Transaction<'_>, row: i64, state: MessageState) -> Result<bool, Failure> {
    let climbed = tx
        .prepare_cached(
            "UPDATE message SET state = ?2 WHERE row = ?1 AND outgoing = 1 AND coalesce(state, -1) < ?2",
        )?
        .execute((row, state_code(state)))?;
    Ok(climbed > 0)
}

fn set_reason(tx: &Transaction<'_>, row: i64, reason: Option<&str>) -> Result<(), Failure> {
    let bounded: Option<String> = reason.map(|text| text.chars().take(MAX_REASON_CHARS).collect());
    tx.prepare_cached("UPDATE message SET reason = ?2 WHERE row = ?1")?.execute((row, bounded))?;
    Ok(())
}
