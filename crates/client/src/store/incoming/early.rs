//! What came for something that is not here, or of a kind that is not known: kept in case that changes, and bounded.
//!
//! Strangers can make ids without end, so what they say is bounded for each of them and for all of them together, the oldest
//! makes room; and it never takes a place from what this account said, or the people it has written to.

use conclave_crypto::AccountId;
use rusqlite::{OptionalExtension as _, Transaction};

use super::super::chats::id_bytes;
use super::super::error::Failure;
use super::super::rows::{state_code, state_of_code};
use super::super::work::Work;
use super::super::{ReceivedItem, millis, timestamp};
use super::{MAX_REMEMBERED, MIN_REMEMBERED};
use crate::said::Heard;
use crate::types::{MessageId, MessageState};
use crate::wire::Opened;

/// Words of one author about messages that are not here, of each kind: deletions, edits, reactions, receipts.
const MAX_EARLY_OF_ONE: i64 = 1_000;
/// The same of all strangers together.
const MAX_EARLY_OF_STRANGERS: i64 = 20_000;
/// Contents of one author that are set aside.
const MAX_SET_ASIDE_OF_ONE: i64 = 200;
/// The same of all strangers together. Each has at most 76,800 bytes, so strangers can fill some 75 MiB with them; and of
/// this account's own devices.
const MAX_SET_ASIDE: i64 = 1_000;

/// Tables of words about messages that may not be here, and what names a row in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    Deletions,
    Edits,
    Reactions,
}

impl Early {
    const ALL: [Self; 3] = [Self::Deletions, Self::Edits, Self::Reactions];

    const fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Deletions => ("deleted", "id"),
            Self::Edits => ("edit", "id"),
            Self::Reactions => ("reaction", "target, author, emoji"),
        }
    }

    /// Keeps what one author says in a chat within bounds.
    pub(super) fn bound(self, tx: &Transaction<'_>, chat: &AccountId) -> Result<(), Failure> {
        let (table, key) = self.table();
        tx.prepare_cached(&format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE chat = ?1 AND waits IS NOT NULL
             ORDER BY since DESC LIMIT -1 OFFSET ?2)"
        ))?
        .execute((chat.as_bytes(), MAX_EARLY_OF_ONE))?;
        Ok(())
    }
}

/// Keeps what all strangers say within bounds. Once for many messages: it looks at all of it.
pub(super) fn bound_strangers(tx: &Transaction<'_>) -> Result<(), Failure> {
    for kind in Early::ALL {
        let (table, key) = kind.table();
        tx.prepare_cached(&format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE waits = 1
             ORDER BY since DESC LIMIT -1 OFFSET ?1)"
        ))?
        .execute([MAX_EARLY_OF_STRANGERS])?;
    }
    tx.prepare_cached(
        "DELETE FROM set_aside WHERE row IN (SELECT row FROM set_aside WHERE stranger = 1
         ORDER BY row DESC LIMIT -1 OFFSET ?1)",
    )?
    .execute([MAX_SET_ASIDE])?;
    Ok(())
}

/// The message is here that these were about: no bound counts them any more.
pub(super) fn has_come(tx: &Transaction<'_>, id: &MessageId, chat: &AccountId) -> Result<(), Failure> {
    for table in ["edit", "reaction"] {
        tx.prepare_cached(&format!(
            "UPDATE {table} SET waits = NULL WHERE target = ?1 AND chat = ?2 AND waits IS NOT NULL"
        ))?
        .execute((id_bytes(id), chat.as_bytes()))?;
    }
    Ok(())
}

/// Keeps a message from coming that its author deleted before it was here. With `unsent`, a placeholder stands where it
/// would.
pub(super) fn remember_unsent(
    work: &Work<'_>,
    id: &MessageId,
    author: &AccountId,
    unsent: bool,
) -> Result<(), Failure> {
    work.tx
        .prepare_cached(
            "INSERT INTO deleted (id, unsent, expires_at, chat, waits, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET unsent = min(unsent, excluded.unsent), here_only = 0,
                    waits = iif(excluded.waits IS NULL, NULL, waits)",
        )?
        .execute((
            id_bytes(id),
            unsent,
            millis(work.now.plus(MAX_REMEMBERED)),
            author.as_bytes(),
            work.waits_as(author),
            millis(work.now),
        ))?;
    Early::Deletions.bound(work.tx, author)
}

impl Work<'_> {
    /// How something waits that `author` said: not counted if it is one's own, else whether a stranger says it.
    pub(super) fn waits_as(&self, author: &AccountId) -> Option<bool> {
        (*author != self.own).then(|| !self.is_trusted(author))
    }

    /// A receipt for a message that another device sent and whose copy has not come yet.
    pub(super) fn keep_receipt(
        &self,
        id: &MessageId,
        chat: &AccountId,
        state: MessageState,
    ) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO early_receipt (chat, id, state, expires_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET state = max(state, excluded.state)",
            )?
            .execute((
                chat.as_bytes(),
                id_bytes(id),
                state_code(state),
                millis(self.now.plus(MAX_REMEMBERED)),
            ))?;
        Ok(())
    }

    /// Keeps those of one chat within bounds.
    pub(super) fn bound_receipts(&self, chat: &AccountId) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "DELETE FROM early_receipt WHERE chat = ?1 AND id IN (SELECT id FROM early_receipt WHERE chat = ?1
                 ORDER BY expires_at DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute((chat.as_bytes(), MAX_EARLY_OF_ONE))?;
        Ok(())
    }

    /// The receipt that came before its message, once.
    pub(super) fn early_receipt(
        &self,
        id: &MessageId,
        chat: &AccountId,
    ) -> Result<Option<MessageState>, Failure> {
        let state: Option<i64> = self
            .tx
            .prepare_cached("DELETE FROM early_receipt WHERE chat = ?1 AND id = ?2 RETURNING state")?
            .query_row((chat.as_bytes(), id_bytes(id)), |row| row.get(0))
            .optional()?;
        Ok(state.and_then(state_of_code))
    }

    /// Keeps a content of a kind this version does not know.
    pub(super) fn set_aside(&self, heard: &Heard) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO set_aside (author, sent_at, arrived_at, content, stranger) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                heard.author.as_bytes(),
                millis(heard.sent_at),
                millis(self.now),
                &heard.content,
                self.waits_as(&heard.author) == Some(true),
            ))?;
        self.bound_set_aside(&heard.author)
    }

    /// Keeps what came for a conversation that was erased after it, in case the contact comes back: another device may have
    /// said so without having seen it.
    pub(super) fn set_aside_for(
        &self,
        chat: &AccountId,
        item: &ReceivedItem,
        heard: &Heard,
    ) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO set_aside (author, sent_at, arrived_at, content, chat, hash, stored_at, expires_at,
                                        stranger)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
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
                self.waits_as(&heard.author) == Some(true),
            ))?;
        self.bound_set_aside(&heard.author)
    }

    fn bound_set_aside(&self, author: &AccountId) -> Result<(), Failure> {
        let limit = if *author == self.own { MAX_SET_ASIDE } else { MAX_SET_ASIDE_OF_ONE };
        self.tx
            .prepare_cached(
                "DELETE FROM set_aside WHERE row IN (SELECT row FROM set_aside WHERE author = ?1
                 ORDER BY row DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute((author.as_bytes(), limit))?;
        Ok(())
    }

    /// A contact is known (again): what was set aside for the conversation is heard after all.
    pub(in super::super) fn revive(&mut self, chat: &AccountId) -> Result<(), Failure> {
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
