//! Chats and their messages: reading, printing, deleting.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::error::Failure;
use super::meta::own_id;
use super::rows::{state_code, state_of_code};
use super::{
    ChatRow, ClientStore, FUTURE_TOLERANCE, MessageRow, StoreError, account_id, incoming, millis, page,
    timestamp,
};
use crate::types::{MessageId, MessageState};

impl ClientStore {
    /// The chats, that with the newest message first; at most `limit` or [`super::MAX_PAGE`].
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], or what the disk says.
    pub fn chats(&self, limit: usize) -> Result<Vec<ChatRow>, StoreError> {
        self.read("read the chats", |connection| {
            let own = own_id(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT chat.id AS id, chat.messages AS messages, chat.unread AS unread,
                        coalesce(contact.nickname, contact.name) AS name,
                        coalesce(contact.approved, 0) AS approved,
                        (SELECT sort_at FROM message WHERE chat = chat.id
                         ORDER BY sort_at DESC LIMIT 1) AS newest
                 FROM chat LEFT JOIN contact ON contact.id = chat.id
                 ORDER BY newest DESC NULLS LAST, chat.id LIMIT ?1",
            )?;
            let mut chats = statement
                .query_map([page(limit)], |row| {
                    let id = account_id(row, "id")?;
                    Ok(ChatRow {
                        id,
                        name: row.get("name")?,
                        request: id != own && !row.get::<_, bool>("approved")?,
                        last: None,
                        messages: count(row.get("messages")?),
                        unread: count(row.get("unread")?),
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            for chat in &mut chats {
                chat.last = history(connection, &own, &chat.id, 1, None)?.pop();
            }
            Ok(chats)
        })
    }

    /// The newest messages of a chat before the message `before` (or the very newest), oldest
    /// first; at most `limit` or [`super::MAX_PAGE`]. Empty for a chat nobody has written in.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`] if `before` is not here, or what the disk says.
    pub fn history(
        &self,
        chat: &AccountId,
        limit: usize,
        before: Option<&MessageId>,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.read("read the history", |connection| {
            history(connection, &own_id(connection)?, chat, limit, before)
        })
    }

    /// A message by its id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn message(&self, id: &MessageId) -> Result<Option<MessageRow>, StoreError> {
        self.read("read a message", |connection| match find(connection, &own_id(connection)?, id) {
            Ok(message) => Ok(Some(message)),
            Err(Failure::Store(StoreError::UnknownMessage(_))) => Ok(None),
            Err(other) => Err(other),
        })
    }

    /// The decrypted `Content` of a received message, as it came.
    ///
    /// # Errors
    /// What the disk says.
    pub fn message_content(&self, id: &MessageId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("read a message", |connection| {
            let found: Option<Option<Vec<u8>>> = connection
                .prepare_cached("SELECT content FROM message WHERE id = ?1")?
                .query_row([id_bytes(id)], |row| row.get(0))
                .optional()?;
            Ok(found.flatten())
        })
    }

    /// Messages that arrived on this device and that no `listen` has printed yet, in the order they
    /// arrived; at most `limit` or [`super::MAX_PAGE`]. Of the account's own messages these are
    /// those from other devices and the notes to oneself.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], or what the disk says.
    pub fn unprinted(&self, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        self.read("read new messages", |connection| {
            let own = own_id(connection)?;
            let mut statement = connection.prepare_cached(&unprinted_sql())?;
            let rows = statement.query_map([page(limit)], |row| message_row(row, &own))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Notes that a `listen` has printed these. Unknown ids are ignored.
    ///
    /// # Errors
    /// What the disk says.
    pub fn mark_printed(&self, ids: &[MessageId]) -> Result<(), StoreError> {
        self.write("note what was printed", |tx| {
            let mut statement = tx.prepare_cached("UPDATE message SET printed = 1 WHERE id = ?1")?;
            for id in ids {
                statement.execute([id_bytes(id)])?;
            }
            Ok(())
        })
    }

    /// Notes that the owner has seen a chat up to this message.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`], or what the disk says.
    pub fn mark_read(&self, id: &MessageId) -> Result<(), StoreError> {
        self.write("note what was read", |tx| {
            let message = find(tx, &own_id(tx)?, id)?;
            read_upto(tx, &message.chat, sort_time(message.sent_at, message.arrived_at))
        })
    }

    /// Deletes a message on this device, its text overwritten on the disk, and keeps it from coming
    /// back. Waiting copies are no longer sent. Returns the hash of its copy in the account's own
    /// swarm, if one is known.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`], or what the disk says.
    pub fn delete_message(&self, id: &MessageId, now: Timestamp) -> Result<Option<String>, StoreError> {
        let hash = self.write("delete the message", |tx| {
            let message = find(tx, &own_id(tx)?, id)?;
            incoming::remember_deleted(tx, id, now)?;
            tx.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([id_bytes(id)])?;
            tx.prepare_cached("UPDATE chat SET messages = messages - 1 WHERE id = ?1")?
                .execute([message.chat.as_bytes()])?;
            count_unread(tx, &message.chat)?;
            Ok(message.own_hash)
        })?;
        self.empty_journal()?;
        Ok(hash)
    }
}

/// What [`message_row`] reads; `message` joined with `contact` of the author.
pub(super) const MESSAGE_COLUMNS: &str = "message.id, message.chat, message.author, message.sent_at,
    message.arrived_at, message.sort_at, message.outgoing, message.text, message.state, message.signed,
    message.swarm, message.reason, message.own_hash, contact.name AS author_name,
    coalesce(contact.approved, 0) AS approved";

pub(super) fn history_sql() -> String {
    format!(
        "SELECT {MESSAGE_COLUMNS} FROM message LEFT JOIN contact ON contact.id = message.author
         WHERE chat = ?1 AND (sort_at, author, message.id) < (?2, ?3, ?4)
         ORDER BY sort_at DESC, author DESC, message.id DESC LIMIT ?5"
    )
}

pub(super) fn unprinted_sql() -> String {
    format!(
        "SELECT {MESSAGE_COLUMNS} FROM message LEFT JOIN contact ON contact.id = message.author
         WHERE printed = 0 ORDER BY message.row LIMIT ?1"
    )
}

pub(super) fn message_row(row: &Row<'_>, own: &AccountId) -> rusqlite::Result<MessageRow> {
    let author = account_id(row, "author")?;
    let outgoing: bool = row.get("outgoing")?;
    let sent_at: i64 = row.get("sent_at")?;
    let sort_at: i64 = row.get("sort_at")?;
    Ok(MessageRow {
        id: message_id(row)?,
        chat: account_id(row, "chat")?,
        author_name: if author == *own { None } else { row.get("author_name")? },
        author,
        text: row.get("text")?,
        sent_at: timestamp(sent_at),
        arrived_at: timestamp(row.get("arrived_at")?),
        from_the_future: sort_at < sent_at,
        outgoing,
        request: !outgoing && !row.get::<_, bool>("approved")?,
        state: row.get::<_, Option<i64>>("state")?.and_then(state_of_code),
        signed: row.get("signed")?,
        swarm: row.get("swarm")?,
        reason: row.get("reason")?,
        own_hash: row.get("own_hash")?,
    })
}

/// A message to be put into its chat.
pub(super) struct NewMessage<'a> {
    pub id: &'a MessageId,
    pub chat: &'a AccountId,
    pub author: &'a AccountId,
    pub sent_at: Timestamp,
    pub arrived_at: Timestamp,
    pub text: &'a str,
    pub content: Option<&'a [u8]>,
    /// Of messages written here.
    pub state: Option<MessageState>,
    pub printed: bool,
}

/// Puts a message into its chat, which is made if there is none.
pub(super) fn insert(tx: &Transaction<'_>, new: &NewMessage<'_>) -> Result<(), Failure> {
    let own = own_id(tx)?;
    let outgoing = *new.author == own;
    let sort_at = millis(sort_time(new.sent_at, new.arrived_at));
    tx.prepare_cached(
        "INSERT INTO chat (id, messages) VALUES (?1, 1) ON CONFLICT DO UPDATE SET messages = messages + 1",
    )?
    .execute([new.chat.as_bytes()])?;
    if !outgoing {
        tx.prepare_cached("UPDATE chat SET unread = unread + 1 WHERE id = ?1 AND read_upto < ?2")?
            .execute((new.chat.as_bytes(), sort_at))?;
    }
    tx.prepare_cached(
        "INSERT INTO message (id, chat, author, sent_at, arrived_at, sort_at, outgoing, text, content, state, printed)
         VALUES (:id, :chat, :author, :sent_at, :arrived_at, :sort_at, :outgoing, :text, :content, :state, :printed)",
    )?
    .execute(rusqlite::named_params! {
        ":id": id_bytes(new.id),
        ":chat": new.chat.as_bytes(),
        ":author": new.author.as_bytes(),
        ":sent_at": millis(new.sent_at),
        ":arrived_at": millis(new.arrived_at),
        ":sort_at": sort_at,
        ":outgoing": outgoing,
        ":text": new.text,
        ":content": new.content,
        ":state": new.state.map(state_code),
        ":printed": new.printed,
    })?;
    Ok(())
}

/// A message by its id.
pub(super) fn find(connection: &Connection, own: &AccountId, id: &MessageId) -> Result<MessageRow, Failure> {
    connection
        .prepare_cached(&format!(
            "SELECT {MESSAGE_COLUMNS} FROM message LEFT JOIN contact ON contact.id = message.author
             WHERE message.id = ?1"
        ))?
        .query_row([id_bytes(id)], |row| message_row(row, own))
        .optional()?
        .ok_or_else(|| StoreError::UnknownMessage(id.clone()).into())
}

/// The chat has been seen up to `time`; never less far than before.
pub(super) fn read_upto(tx: &Transaction<'_>, chat: &AccountId, time: Timestamp) -> Result<(), Failure> {
    let moved = tx
        .prepare_cached("UPDATE chat SET read_upto = ?2 WHERE id = ?1 AND read_upto < ?2")?
        .execute((chat.as_bytes(), millis(time)))?;
    if moved > 0 {
        count_unread(tx, chat)?;
    }
    Ok(())
}

/// An id as the database keeps it.
pub(super) fn id_bytes(id: &MessageId) -> Vec<u8> {
    hex::decode(id.as_str()).unwrap_or_default()
}

fn message_id(row: &Row<'_>) -> rusqlite::Result<MessageId> {
    let text = hex::encode(row.get_ref("id")?.as_blob()?);
    MessageId::parse(&text).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Blob,
            "a message id of a wrong length".into(),
        )
    })
}

/// Where a message stands in its chat.
fn sort_time(sent_at: Timestamp, arrived_at: Timestamp) -> Timestamp {
    if sent_at > arrived_at.plus(FUTURE_TOLERANCE) { arrived_at } else { sent_at }
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

fn count_unread(tx: &Transaction<'_>, chat: &AccountId) -> Result<(), Failure> {
    tx.prepare_cached(
        "UPDATE chat SET unread = (SELECT count(*) FROM message
             WHERE message.chat = ?1 AND sort_at > read_upto AND outgoing = 0)
         WHERE id = ?1",
    )?
    .execute([chat.as_bytes()])?;
    Ok(())
}

fn history(
    connection: &Connection,
    own: &AccountId,
    chat: &AccountId,
    limit: usize,
    before: Option<&MessageId>,
) -> Result<Vec<MessageRow>, Failure> {
    let (sort_at, author, id) = match before {
        None => (i64::MAX, vec![0xff; 34], Vec::new()),
        Some(id) => connection
            .prepare_cached("SELECT sort_at, author, id FROM message WHERE id = ?1 AND chat = ?2")?
            .query_row((id_bytes(id), chat.as_bytes()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?
            .ok_or_else(|| StoreError::UnknownMessage(id.clone()))?,
    };
    let mut statement = connection.prepare_cached(&history_sql())?;
    let rows = statement
        .query_map((chat.as_bytes(), sort_at, author, id, page(limit)), |row| message_row(row, own))?;
    let mut messages = rows.collect::<Result<Vec<_>, _>>()?;
    messages.reverse();
    Ok(messages)
}
