//! Taking messages back: on this device, on all of one's own, everywhere (client-messages 4.12).

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chats::{self, id_bytes};
use super::error::Failure;
use super::outgoing::MESSAGE_TTL;
use super::speak::{EDIT_WITHIN, Utterance};
use super::work::{Changes, Work};
use super::{ClientStore, MessageRow, RowKind, StoreError, incoming, timestamp};
use crate::said::{QuotedMessage, Speech};
use crate::types::{MessageId, MessageState};

/// How far a message is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    /// On this device. A restored account gets it back as long as the swarm has it.
    ThisDevice,
    /// On all devices of this account, and in its swarm.
    MyDevices,
    /// Everywhere. Only of one's own messages.
    Everywhere,
}

impl ClientStore {
    /// Deletes a message.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] if it is another's and everywhere was asked for; [`StoreError::UnknownMessage`].
    pub fn delete(&self, id: &MessageId, how: Deletion, now: Timestamp) -> Result<Changes, StoreError> {
        let ((), changes) = self.work("delete a message", now, |work| {
            let row = chats::find(work.tx, &work.own, id)?;
            let own_row = row.author == work.own;
            if how == Deletion::Everywhere && (!own_row || row.kind != RowKind::Post) && row.chat != work.own
            {
                return Err(
                    StoreError::NotAllowed("only messages of one's own can be deleted everywhere").into()
                );
            }
            let to_peer = how == Deletion::Everywhere && row.chat != work.own;
            if let Some(message) = work.stands_in_for(&row)? {
                return work.delete_what_has_not_come(&row.chat, &message, how, to_peer);
            }
            if how != Deletion::ThisDevice {
                if let Some(hash) = &row.own_hash {
                    work.delete_in_own_swarm(hash)?;
                }
                if row.kind != RowKind::MissedCall {
                    work.tell_deleted(&row.chat, &row.quoted(), to_peer)?;
                }
            }
            // What others have by now, one's other devices are to have as well.
            let is_out = row.state.is_none_or(|state| state >= MessageState::StoredWeakly);
            if how == Deletion::ThisDevice && is_out {
                return chats::hide(work, &row);
            }
            // What waits is not sent any more; what is under way is followed by its revocation, also where it has come already.
            if how == Deletion::ThisDevice && row.state == Some(MessageState::Queued) {
                work.take_from_own_devices(&row)?;
            }
            work.unqueue(id)?;
            if to_peer { chats::blank(work, &row) } else { chats::remove(work, &row) }
        })?;
        self.clear_journal();
        Ok(changes)
    }
}

impl Work<'_> {
    /// One's other devices are not to have this message of ours, nor its edits.
    pub(super) fn take_from_own_devices(&mut self, row: &MessageRow) -> Result<(), Failure> {
        if let Some(hash) = &row.own_hash {
            self.delete_in_own_swarm(hash)?;
        }
        let chat = row.chat;
        self.tell_deleted(&chat, &row.quoted(), false)
    }

    /// Tells one's other devices, or everybody, that a message is deleted, and the edits of it.
    fn tell_deleted(
        &mut self,
        chat: &AccountId,
        message: &QuotedMessage,
        everybody: bool,
    ) -> Result<(), Failure> {
        let to = if everybody { *chat } else { self.own };
        for target in std::iter::once(*message).chain(self.edits_of(message, chat)?) {
            let unsend = Utterance::plain(Speech::Unsend { target, without_trace: !everybody });
            self.say(&to, &unsend, MESSAGE_TTL, everybody, None)?;
        }
        Ok(())
    }

    /// The messages that brought edits of this one, to be deleted with it.
    pub(super) fn edits_of(
        &self,
        message: &QuotedMessage,
        chat: &AccountId,
    ) -> Result<Vec<QuotedMessage>, Failure> {
        let id = message.id();
        let mut statement =
            self.tx.prepare_cached("SELECT sent_at FROM edit WHERE target = ?1 AND chat = ?2")?;
        let times = statement.query_map((id_bytes(&id), chat.as_bytes()), |row| row.get::<_, i64>(0))?;
        Ok(times
            .map(|time| time.map(|time| QuotedMessage { author: message.author, sent_at: timestamp(time) }))
            .collect::<Result<_, _>>()?)
    }

    /// The message that `row` stands in for: an edit of one that has not come, and may.
    fn stands_in_for(&self, row: &MessageRow) -> Result<Option<QuotedMessage>, Failure> {
        // An edit quotes what it edits.
        let Some(message) = row.quote.filter(|quote| quote.author == row.author) else { return Ok(None) };
        if row.sent_at < message.sent_at || row.sent_at.since(message.sent_at) > EDIT_WITHIN {
            return Ok(None);
        }
        let target = message.id();
        let stands_in = self
            .tx
            .prepare_cached(
                "SELECT 1 FROM edit WHERE id = ?1 AND target = ?2 AND chat = ?3
                 AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = ?2)",
            )?
            .exists((id_bytes(&row.id), id_bytes(&target), row.chat.as_bytes()))?;
        Ok(stands_in.then_some(message))
    }

    /// Whoever deletes an edit that stands in for its message means what it says: the message is deleted, wherever it is, and
    /// all edits of it.
    fn delete_what_has_not_come(
        &mut self,
        chat: &AccountId,
        message: &QuotedMessage,
        how: Deletion,
        to_peer: bool,
    ) -> Result<(), Failure> {
        let id = message.id();
        if how == Deletion::ThisDevice {
            incoming::remember_hidden(self.tx, &id, self.now)?;
            for edit in self.stand_ins(&id)? {
                chats::hide(self, &edit)?;
            }
            // Their texts lie there as well.
            self.tx.prepare_cached("DELETE FROM edit WHERE target = ?1")?.execute([id_bytes(&id)])?;
            return Ok(());
        }
        self.tell_deleted(chat, message, to_peer)?;
        incoming::remember_deleted(self.tx, &id, to_peer, self.now)?;
        let own = self.own;
        self.withdraw_stand_ins(&id, &own)
    }
}
