//! Sending: durable first, sent later, and never shown as further along than it is.
//!
//! A message waits here in up to two copies until a majority of each copy's swarm has signed for
//! it. A process killed between sending and noting it sends again; receivers know the message by
//! author and sent timestamp, which stay the same.

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::content::{Content, DataMessage};
use rusqlite::{OptionalExtension as _, Row, Transaction};

use super::chats::{self, id_bytes};
use super::error::Failure;
use super::files;
use super::meta::own_id;
use super::rows::state_code;
use super::work::{Changes, Work};
use super::{ClientStore, Copy, DueCopy, Others, StoreError, account_id, incoming, millis, page, timestamp};
use crate::said::sync_copy;
use crate::types::{MessageId, MessageState};

/// How long swarms keep a message. (client-messages 5.2)
pub(super) const MESSAGE_TTL: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The shortest life a node takes. (client-messages 5.1)
pub(super) const SHORTEST_TTL: Duration = Duration::from_secs(10);

/// Due copies from which those to be sent are chosen, of those for others and of those for the own swarm. If so many wait for
/// one recipient they come first until an attempt fails; then all of them wait.
const LOOKED_AT: usize = 512;

/// Copies that go to the same swarm as the copy ?2 of ?1: to the same recipient, or all to oneself.
const SAME_SWARM: &str = "copy = ?2 AND (?2 = 1 OR recipient =
    (SELECT recipient FROM outgoing WHERE id = ?1 AND copy = 0))";

/// The longest text kept as the reason of a failed attempt; it quotes what others say.
const MAX_REASON_CHARS: usize = 300;

/// Something to be sent.
pub(super) struct Outgoing<'a> {
    pub id: &'a MessageId,
    pub recipient: &'a AccountId,
    pub sent_at: Timestamp,
    pub content: &'a Content,
    /// How long the recipient's swarm is to keep it.
    pub ttl: Duration,
    /// The life of the copy for the account's own devices; `None` for no such copy.
    pub own_ttl: Option<Duration>,
    /// After this it is of no use.
    pub until: Option<Timestamp>,
}

impl Work<'_> {
    /// Puts something into the outbox, to be sent at once.
    pub(super) fn send(&mut self, new: &Outgoing<'_>) -> Result<(), Failure> {
        let to_self = *new.recipient == self.own;
        let content = new.content;
        let first = if to_self { sync_copy(content.clone(), new.recipient) } else { content.clone() };
        self.queue(new, Copy::Recipient, new.recipient, &first, new.ttl)?;
        if let Some(ttl) = new.own_ttl.filter(|_| !to_self) {
            let copy = sync_copy(content.clone(), new.recipient);
            let own = self.own;
            self.queue(new, Copy::OwnSync, &own, &copy, ttl)?;
        }
        self.changes.to_send = true;
        Ok(())
    }

    /// Puts a copy for the account's other devices into the outbox that has a sent timestamp of its own.
    pub(super) fn send_own_copy(
        &mut self,
        id: &MessageId,
        sent_at: Timestamp,
        content: &Content,
        ttl: Duration,
    ) -> Result<(), Failure> {
        let own = self.own;
        let new = Outgoing { id, recipient: &own, sent_at, content, ttl, own_ttl: None, until: None };
        self.queue(&new, Copy::OwnSync, &own, content, ttl)
    }

    fn queue(
        &self,
        new: &Outgoing<'_>,
        copy: Copy,
        recipient: &AccountId,
        content: &Content,
        ttl: Duration,
    ) -> Result<(), Failure> {
        let ttl = i64::try_from(ttl.clamp(SHORTEST_TTL, MESSAGE_TTL).as_millis()).unwrap_or(i64::MAX);
        self.tx
            .prepare_cached(
                "INSERT INTO outgoing (id, copy, recipient, sent_at, content, ttl, until, next_try)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                id_bytes(new.id),
                copy.code(),
                recipient.as_bytes(),
                millis(new.sent_at),
                content.to_bytes(),
                ttl,
                new.until.map(millis),
                millis(self.now),
            ))?;
        Ok(())
    }

    /// What never reached its recipient is not shown on other devices as sent: its copy for them does not go out any more,
    /// and where it may have, they are told that it is nothing.
    fn revoke(&mut self, id: &MessageId) -> Result<(), Failure> {
        let row = chats::find(self.tx, &self.own, id)?;
        let untried = self
            .tx
            .prepare_cached("SELECT 1 FROM outgoing WHERE id = ?1 AND copy = 1 AND attempts = 0")?
            .exists([id_bytes(id)])?;
        self.unqueue(id)?;
        for edit in self.edits_of(&row.quoted(), &row.chat)? {
            self.unqueue(&edit.id())?;
        }
        if row.chat == self.own || (untried && row.own_hash.is_none()) {
            return Ok(());
        }
        self.take_from_own_devices(&row)
    }

    /// Nothing of this is sent any more.
    pub(super) fn unqueue(&self, id: &MessageId) -> Result<(), Failure> {
        self.tx.prepare_cached("DELETE FROM outgoing WHERE id = ?1")?.execute([id_bytes(id)])?;
        Ok(())
    }
}

impl ClientStore {
    /// The copies to be sent at `now`, recipients' before those for other devices, of each those waiting longest first; at
    /// most `limit` or [`super::MAX_PAGE`], and at most `to_one` for the same recipient.
    ///
    /// # Errors
    /// What the disk says.
    pub fn due(&self, now: Timestamp, limit: usize, to_one: usize) -> Result<Vec<DueCopy>, StoreError> {
        self.read("read the outbox", |connection| {
            let mut statement = connection.prepare_cached(&due_sql())?;
            let due = statement
                .query_map((millis(now), page(limit), page(to_one)), due_row)?
                .collect::<Result<Vec<_>, _>>()?;
            due.into_iter().map(|(due, content)| with_content(connection, due, content)).collect()
        })
    }

    /// Puts a content into the outbox as it is. For tests that speak as other programs do.
    #[doc(hidden)]
    pub fn queue_content(
        &self,
        to: &AccountId,
        content: &Content,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("queue a content", now, |work| {
            let id = MessageId::of(&work.own, sent_at);
            let new = Outgoing {
                id: &id,
                recipient: to,
                sent_at,
                content,
                ttl: MESSAGE_TTL,
                own_ttl: None,
                until: None,
            };
            work.queue(&new, Copy::Recipient, to, content, MESSAGE_TTL)?;
            work.changes.to_send = true;
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Forgets what is of no use any more at `now`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn drop_overdue(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("clear the outbox", |tx| {
            tx.prepare_cached("DELETE FROM outgoing WHERE until < ?1")?.execute([millis(now)])?;
            Ok(())
        })
    }

    /// When the next copy becomes due after `now`; `None` if there is none that is not due already.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read("read the outbox", |connection| {
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(next_try) FROM outgoing WHERE next_try > ?1 AND held = 0")?
                .query_row([millis(now)], |row| row.get(0))?;
            Ok(next.map(timestamp))
        })
    }

    /// How many messages wait for a majority of their recipient's swarm, and have not arrived in another way.
    ///
    /// # Errors
    /// What the disk says.
    pub fn queued_count(&self) -> Result<u32, StoreError> {
        self.read("read the outbox", |connection| {
            Ok(connection.query_row(
                "SELECT count(*) FROM outgoing WHERE copy = 0 AND id IN (SELECT id FROM message WHERE state < ?1)",
                [state_code(MessageState::Delivered)],
                |row| row.get(0),
            )?)
        })
    }

    /// How much waits for a swarm: copies of messages and notices, documents with changes, deletions.
    ///
    /// # Errors
    /// What the disk says.
    pub fn waiting_count(&self, now: Timestamp) -> Result<u32, StoreError> {
        let documents = u32::from(self.documents_wait(now)?);
        let others: u32 = self.read("read the outbox", |connection| {
            Ok(connection.query_row(
                "SELECT (SELECT count(*) FROM outgoing) + (SELECT count(*) FROM own_swarm)",
                [],
                |row| row.get(0),
            )?)
        })?;
        Ok(others.saturating_add(documents))
    }

    /// Notes an attempt that did not end the waiting: why, and when to try again. The message's
    /// state stays what it is. Does nothing if the copy is no longer waiting. With [`Others::WaitToo`] what waits for the
    /// same swarm is not tried before that time either.
    ///
    /// # Errors
    /// What the disk says.
    pub fn record_attempt(
        &self,
        id: &MessageId,
        copy: Copy,
        reason: &str,
        next_try: Timestamp,
        others: Others,
    ) -> Result<(), StoreError> {
        self.write("note an attempt", |tx| {
            if others == Others::WaitToo {
                tx.prepare_cached(&format!(
                    "UPDATE outgoing SET next_try = ?3 WHERE next_try < ?3 AND {SAME_SWARM}"
                ))?
                .execute((id_bytes(id), copy.code(), millis(next_try)))?;
            }
            let waiting = tx
                .prepare_cached(
                    "UPDATE outgoing SET attempts = attempts + 1, next_try = ?3 WHERE id = ?1 AND copy = ?2",
                )?
                .execute((id_bytes(id), copy.code(), millis(next_try)))?;
            if waiting > 0 && copy == Copy::Recipient {
                set_reason(tx, id, Some(reason))?;
            }
            Ok(())
        })
    }

    /// Makes what waits for the same swarm as this recipient's copies, or one's own, due at `now`: it answers again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn hurry(&self, recipient: &AccountId, copy: Copy, now: Timestamp) -> Result<(), StoreError> {
        self.write("hurry the outbox", |tx| {
            tx.prepare_cached(
                "UPDATE outgoing SET next_try = ?3 WHERE next_try > ?3 AND copy = ?2 AND recipient = ?1",
            )?
            .execute((recipient.as_bytes(), copy.code(), millis(now)))?;
            Ok(())
        })
    }

    /// Keeps a message from being tried before `until`, while its sender thinks about taking it back.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn hold(&self, id: &MessageId, until: Timestamp) -> Result<(), StoreError> {
        self.write("hold a message", |tx| {
            row_of(tx, id)?;
            tx.prepare_cached("UPDATE outgoing SET next_try = ?2 WHERE id = ?1")?
                .execute((id_bytes(id), millis(until)))?;
            Ok(())
        })
    }

    /// Makes every waiting copy due at once, because the network is back.
    ///
    /// # Errors
    /// What the disk says.
    pub fn retry_all(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write("hurry the outbox", |tx| {
            tx.execute("UPDATE outgoing SET next_try = ?1 WHERE next_try > ?1", [millis(now)])?;
            tx.execute("UPDATE own_swarm SET next_try = ?1 WHERE next_try > ?1", [millis(now)])?;
            Ok(())
        })
    }

    /// Notes that `signed` of the `swarm` members hold a copy under `hash` until `expires_at`, each signature
    /// verified. With a majority the copy no longer waits; with fewer it does (stored weakly), and
    /// the caller says with [`Self::record_attempt`] when to try again. Counts never fall: an
    /// attempt that reaches fewer members takes nothing back. What disappears after it was sent begins to now.
    ///
    /// Does nothing for what is deleted meanwhile, except that its copy in the own swarm is deleted, too.
    ///
    /// # Errors
    /// What the disk says.
    pub fn mark_stored(
        &self,
        id: &MessageId,
        copy: Copy,
        stored: &StoredCopy<'_>,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("note what was stored", now, |work| work.mark_stored(id, copy, stored))
            .map(|((), changes)| changes)
    }

    /// Ends the waiting of a copy for good. The message becomes *failed* if it was the recipient's
    /// copy and no member has signed for it; a message stored weakly stays that, with the reason
    /// beside it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn mark_failed(
        &self,
        id: &MessageId,
        copy: Copy,
        reason: &str,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("note a failure", now, |work| {
            let tx = work.tx;
            let waiting = tx
                .prepare_cached("DELETE FROM outgoing WHERE id = ?1 AND copy = ?2")?
                .execute((id_bytes(id), copy.code()))?;
            if waiting == 0 || copy == Copy::OwnSync {
                return Ok(());
            }
            if raise(tx, id, MessageState::Failed)? {
                work.revoke(id)?;
            }
            set_reason(tx, id, Some(reason))?;
            files::stop_sending(work, id)?;
            work.touch_state(id);
            Ok(())
        })
        .map(|((), changes)| changes)
    }
}

/// What swarm members signed for.
#[derive(Clone, Copy, Debug)]
pub struct StoredCopy<'a> {
    /// How many members.
    pub signed: u32,
    /// Of how many.
    pub swarm: u32,
    /// Under which hash.
    pub hash: &'a str,
    /// Until when they keep it.
    pub expires_at: Timestamp,
}

impl Work<'_> {
    fn mark_stored(&mut self, id: &MessageId, copy: Copy, stored: &StoredCopy<'_>) -> Result<(), Failure> {
        let tx = self.tx;
        let signed = stored.signed.min(stored.swarm);
        if signed == 0 {
            return Ok(());
        }
        // Words to one's other devices about what was said have no row.
        let to_oneself = tx
            .prepare_cached("SELECT 1 FROM outgoing WHERE id = ?1 AND copy = ?2 AND recipient = ?3")?
            .exists((id_bytes(id), copy.code(), self.own.as_bytes()))?;
        let majority = signed.saturating_mul(2) > stored.swarm;
        if majority {
            tx.prepare_cached("DELETE FROM outgoing WHERE id = ?1 AND copy = ?2")?
                .execute((id_bytes(id), copy.code()))?;
        }
        let before = match chats::find(tx, &self.own, id) {
            Ok(row) => Some(row),
            Err(Failure::Store(StoreError::UnknownMessage(_))) => None,
            Err(other) => return Err(other),
        };
        // A note to oneself has one copy, and so has what edits it, which has no row.
        let edits_note = tx
            .prepare_cached("SELECT 1 FROM edit WHERE id = ?1 AND chat = ?2")?
            .exists((id_bytes(id), self.own.as_bytes()))?;
        let is_note = before.as_ref().is_some_and(|row| row.chat == self.own);
        let in_own_swarm = copy == Copy::OwnSync || to_oneself || is_note || edits_note;
        if in_own_swarm {
            // The receive loop will meet this copy: it is known.
            incoming::remember(tx, stored.hash, stored.expires_at, self.now)?;
            if incoming::gone(tx, id)?.is_some_and(|gone| !gone.here_only) {
                self.delete_in_own_swarm(stored.hash)?;
            }
            // It was under way when the message failed: other devices may have it by now.
            if let Some(row) = before.as_ref().filter(|row| row.state == Some(MessageState::Failed)) {
                self.delete_in_own_swarm(stored.hash)?;
                self.take_from_own_devices(row)?;
            }
            tx.prepare_cached("UPDATE message SET own_hash = ?2, swarm_expires_at = ?3 WHERE id = ?1")?
                .execute((id_bytes(id), stored.hash, millis(stored.expires_at)))?;
            tx.prepare_cached("UPDATE edit SET own_hash = ?2 WHERE id = ?1")?
                .execute((id_bytes(id), stored.hash))?;
        }
        // What brings an edit moves the row of the message it edits.
        if copy == Copy::Recipient && before.is_none() {
            let edited: Option<Vec<u8>> = tx
                .prepare_cached("SELECT id FROM message WHERE edit_id = ?1")?
                .query_row([id_bytes(id)], |row| row.get(0))
                .optional()?;
            if let Some(edited) = edited.and_then(|bytes| MessageId::parse(&hex::encode(bytes))) {
                self.touch(&edited);
            }
        }
        let Some(before) = before.filter(|row| copy == Copy::Recipient && row.state.is_some()) else {
            return Ok(());
        };
        let state = if majority { MessageState::Stored } else { MessageState::StoredWeakly };
        let climbed = raise(tx, id, state)?;
        // A swarm that has become smaller has its majority with fewer than had signed before.
        let counted = tx
            .prepare_cached(
                "UPDATE message SET signed = ?2, swarm = ?3, reason = NULL
                 WHERE id = ?1 AND (signed IS NULL OR (signed < ?2 AND (?4 OR signed * 2 <= swarm))
                                    OR (?4 AND signed * 2 <= swarm))",
            )?
            .execute((id_bytes(id), signed, stored.swarm, majority))?;
        if majority {
            self.begin_to_expire(&before)?;
        }
        if climbed || counted > 0 {
            self.touch_state(id);
        }
        Ok(())
    }

    /// The other side's program says how far a message of ours has come. Nothing if it is no news, or not of that chat.
    pub(super) fn mark_receipt(
        &mut self,
        id: &MessageId,
        chat: &AccountId,
        state: MessageState,
    ) -> Result<bool, Failure> {
        let tx = self.tx;
        let known = tx
            .prepare_cached("SELECT 1 FROM message WHERE id = ?1 AND chat = ?2 AND outgoing = 1")?
            .exists((id_bytes(id), chat.as_bytes()))?;
        if known && raise(tx, id, state)? {
            // It is still brought to a majority of the recipient's swarm, if it has not been: one of their devices has it, and
            // the member that gave it to that one may keep it from the others, or have left the swarm.
            set_reason(tx, id, None)?;
            let row = chats::find(tx, &self.own, id)?;
            self.begin_to_expire(&row)?;
            self.touch_state(id);
        }
        Ok(known)
    }
}

/// The due copies of a kind that have waited longest.
pub(super) fn oldest_due_sql(copy: Copy) -> String {
    let copy = copy.code();
    format!(
        "SELECT * FROM outgoing WHERE next_try <= ?1 AND copy = {copy} AND held = 0 ORDER BY next_try, sent_at LIMIT {LOOKED_AT}"
    )
}

fn due_sql() -> String {
    // Each kind by itself: the own swarm is asked for one thing at a time, and what waits for that must not hide what others
    // are to receive.
    let (to_others, to_own) = (oldest_due_sql(Copy::Recipient), oldest_due_sql(Copy::OwnSync));
    format!(
        "SELECT * FROM (
             SELECT due.*, row_number() OVER (PARTITION BY copy, recipient ORDER BY sent_at) AS place
             FROM (SELECT * FROM ({to_others}) UNION ALL SELECT * FROM ({to_own})) AS due
         )
         WHERE place <= ?3 ORDER BY copy, next_try, sent_at LIMIT ?2"
    )
}

/// A due copy, and its content if it has one.
fn due_row(row: &Row<'_>) -> rusqlite::Result<(DueCopy, Option<Vec<u8>>)> {
    let ttl: i64 = row.get("ttl")?;
    let due = DueCopy {
        id: chats::message_id(row)?,
        copy: if row.get::<_, i64>("copy")? == 0 { Copy::Recipient } else { Copy::OwnSync },
        recipient: account_id(row, "recipient")?,
        sent_at: timestamp(row.get("sent_at")?),
        content: Vec::new(),
        ttl: Duration::from_millis(u64::try_from(ttl).unwrap_or(0)),
        attempts: row.get("attempts")?,
    };
    Ok((due, row.get("content")?))
}

/// What version 1 queued was a text and nothing else, kept with its message.
fn with_content(
    connection: &rusqlite::Connection,
    due: DueCopy,
    content: Option<Vec<u8>>,
) -> Result<DueCopy, Failure> {
    if let Some(content) = content {
        return Ok(DueCopy { content, ..due });
    }
    let (text, chat): (String, AccountId) = connection
        .prepare_cached("SELECT text, chat FROM message WHERE id = ?1")?
        .query_row([id_bytes(&due.id)], |row| Ok((row.get("text")?, account_id(row, "chat")?)))?;
    let own = own_id(connection)?;
    let name: String = connection.query_row("SELECT name FROM account", [], |row| row.get(0))?;
    let data = DataMessage::text(&text, None).with_profile_name(&name);
    let content = Content::with_data(data, due.sent_at);
    let content = if due.copy == Copy::OwnSync || chat == own { sync_copy(content, &chat) } else { content };
    Ok(DueCopy { content: content.to_bytes(), ..due })
}

/// The row of an outgoing message.
fn row_of(tx: &Transaction<'_>, id: &MessageId) -> Result<i64, Failure> {
    tx.prepare_cached("SELECT row FROM message WHERE id = ?1 AND outgoing = 1")?
        .query_row([id_bytes(id)], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::UnknownMessage(id.clone()).into())
}

/// States climb; a lower one than the present is no news. Whether it climbed.
pub(super) fn raise(tx: &Transaction<'_>, id: &MessageId, state: MessageState) -> Result<bool, Failure> {
    let climbed = tx
        .prepare_cached(
            "UPDATE message SET state = ?2 WHERE id = ?1 AND outgoing = 1 AND coalesce(state, -1) < ?2",
        )?
        .execute((id_bytes(id), state_code(state)))?;
    Ok(climbed > 0)
}

fn set_reason(tx: &Transaction<'_>, id: &MessageId, reason: Option<&str>) -> Result<(), Failure> {
    let bounded: Option<String> = reason.map(|text| text.chars().take(MAX_REASON_CHARS).collect());
    // What has arrived is in no trouble, whatever becomes of further attempts.
    tx.prepare_cached(
        "UPDATE message SET reason = ?2 WHERE id = ?1 AND (?2 IS NULL OR state IS NULL OR state < ?3)",
    )?
    .execute((id_bytes(id), bounded, state_code(MessageState::Delivered)))?;
    Ok(())
}
