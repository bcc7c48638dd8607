//! A chat's messages, a page at a time, in their one order: sent time, author, id (design: one order).

use conclave_crypto::AccountId;
use rusqlite::{Connection, OptionalExtension as _};

use super::chats::{MESSAGE_COLUMNS, complete, find, id_bytes, message_row};
use super::error::Failure;
use super::meta::own_id;
use super::{ClientStore, MAX_PAGE, MessageRow, StoreError, page};
use crate::types::MessageId;

/// Which part of a chat is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The newest messages.
    #[default]
    Newest,
    /// Those that stand directly before a message.
    Before(MessageId),
    /// Those that stand directly after it.
    After(MessageId),
    /// The message itself in the middle of what surrounds it.
    Around(MessageId),
}

impl ClientStore {
    /// The newest messages of a chat before the message `before` (or the very newest), oldest
    /// first; at most `limit` or [`MAX_PAGE`]. Empty for a chat nobody has written in.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`] if `before` is not here, or what the disk says.
    pub fn history(
        &self,
        chat: &AccountId,
        limit: usize,
        before: Option<&MessageId>,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let place = before.map_or(Place::Newest, |id| Place::Before(id.clone()));
        self.history_at(chat, limit, &place)
    }

    /// The messages of a chat at a place, oldest first; at most `limit` or [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`] if the message it is told by is not in this chat, or what the disk says.
    pub fn history_at(
        &self,
        chat: &AccountId,
        limit: usize,
        place: &Place,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.read("read the history", |connection| {
            let own = own_id(connection)?;
            let limit = limit.min(MAX_PAGE);
            let read = |key: &Key, direction, limit| read(connection, &own, chat, key, direction, limit);
            match place {
                Place::Newest => newest(connection, &own, chat, limit),
                Place::Before(id) => read(&key_of(connection, chat, id)?, Direction::Back, limit),
                Place::After(id) => read(&key_of(connection, chat, id)?, Direction::On, limit),
                Place::Around(id) => {
                    let key = key_of(connection, chat, id)?;
                    let mut rows = read(&key, Direction::Back, limit / 2)?;
                    if let Some(left) = limit.checked_sub(rows.len() + 1) {
                        rows.push(find(connection, &own, id)?);
                        rows.extend(read(&key, Direction::On, left)?);
                    }
                    Ok(rows)
                }
            }
        })
    }
}

/// The newest messages of a chat, oldest first.
pub(super) fn newest(
    connection: &Connection,
    own: &AccountId,
    chat: &AccountId,
    limit: usize,
) -> Result<Vec<MessageRow>, Failure> {
    // Above every author and every time there can be.
    let end = Key { sort_at: i64::MAX, author: vec![0xff; 34], id: Vec::new() };
    read(connection, own, chat, &end, Direction::Back, limit)
}

/// Where a message stands.
struct Key {
    sort_at: i64,
    author: Vec<u8>,
    id: Vec<u8>,
}

fn key_of(connection: &Connection, chat: &AccountId, id: &MessageId) -> Result<Key, Failure> {
    connection
        .prepare_cached("SELECT sort_at, author, id FROM message WHERE id = ?1 AND chat = ?2")?
        .query_row((id_bytes(id), chat.as_bytes()), |row| {
            Ok(Key { sort_at: row.get(0)?, author: row.get(1)?, id: row.get(2)? })
        })
        .optional()?
        .ok_or_else(|| StoreError::UnknownMessage(id.clone()).into())
}

#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// Older and older.
    Back,
    /// Newer and newer.
    On,
}

pub(super) fn history_sql(direction: Direction) -> String {
    let (beyond, order) = match direction {
        Direction::Back => ("<", "DESC"),
        Direction::On => (">", "ASC"),
    };
    format!(
        "SELECT {MESSAGE_COLUMNS} FROM message LEFT JOIN contact ON contact.id = message.author
         WHERE chat = ?1 AND (sort_at, author, message.id) {beyond} (?2, ?3, ?4)
         ORDER BY sort_at {order}, author {order}, message.id {order} LIMIT ?5"
    )
}

fn read(
    connection: &Connection,
    own: &AccountId,
    chat: &AccountId,
    key: &Key,
    direction: Direction,
    limit: usize,
) -> Result<Vec<MessageRow>, Failure> {
    let mut statement = connection.prepare_cached(&history_sql(direction))?;
    let values = (chat.as_bytes(), key.sort_at, &key.author, &key.id, page(limit));
    let rows = statement.query_map(values, |row| message_row(row, own))?;
    let mut messages = rows.collect::<Result<Vec<_>, _>>()?;
    complete(connection, &mut messages)?;
    if matches!(direction, Direction::Back) {
        messages.reverse();
    }
    Ok(messages)
}
