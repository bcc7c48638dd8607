//! What the simulation looks at, and what it breaks on purpose. Not in the program.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::OptionalExtension as _;

use super::chats::message_id;
use super::{ClientStore, StoreError, timestamp};
use crate::types::MessageId;

impl ClientStore {
    /// How far a chat has been read, and whether it is marked as unread by hand.
    pub(crate) fn read_position(&self, chat: &AccountId) -> Result<(Timestamp, bool), StoreError> {
        self.read("read a position", |connection| {
            let found = connection
                .prepare_cached("SELECT read_upto, marked_unread FROM chat WHERE id = ?1")?
                .query_row([chat.as_bytes()], |row| Ok((timestamp(row.get(0)?), row.get(1)?)))
                .optional()?;
            Ok(found.unwrap_or((Timestamp(0), false)))
        })
    }

    /// Messages of a chat that are unread though it was read past their place.
    pub(crate) fn late(&self, chat: &AccountId) -> Result<Vec<MessageId>, StoreError> {
        self.read("read what came late", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM message WHERE chat = ?1 AND late = 1")?;
            let rows = statement.query_map([chat.as_bytes()], message_id)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How many items of a chat wait until it is there again.
    pub(crate) fn set_aside_of(&self, chat: &AccountId) -> Result<usize, StoreError> {
        self.read("count what was set aside", |connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM set_aside WHERE chat = ?1")?
                .query_row([chat.as_bytes()], |row| row.get(0))?;
            Ok(usize::try_from(count).unwrap_or(0))
        })
    }

    /// The chat's messages as they are sorted, and by what.
    pub(crate) fn sorted_by(&self, chat: &AccountId) -> Result<Vec<(Timestamp, MessageId)>, StoreError> {
        self.read("read the order", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sort_at, id FROM message WHERE chat = ?1 ORDER BY sort_at, author, id",
            )?;
            let rows = statement
                .query_map([chat.as_bytes()], |row| Ok((timestamp(row.get(0)?), message_id(row)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How much waits: things to be sent, tasks of the own swarm, receipts.
    pub(crate) fn waiting(&self) -> Result<(u32, u32, u32), StoreError> {
        self.read("count what waits", |connection| {
            let count = |table: &str| {
                connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            };
            Ok((count("outgoing")?, count("own_swarm")?, count("owed_receipt")?))
        })
    }

    /// When something disappears next, after `now`.
    pub(crate) fn disappears(&self) -> Result<bool, StoreError> {
        self.read("look for what disappears", |connection| {
            Ok(connection.query_row(
                "SELECT count(*) FROM message WHERE expires_at IS NOT NULL",
                [],
                |row| row.get::<_, i64>(0),
            )? > 0)
        })
    }

    /// Breaks something on purpose.
    pub(crate) fn tamper(&self, sql: &str) -> Result<(), StoreError> {
        self.write("break something", |tx| Ok(tx.execute_batch(sql)?))
    }
}
