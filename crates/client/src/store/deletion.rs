//! Taking messages back: on this device, on all of one's own, everywhere (client-messages 4.12).

use conclave_proto::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chats::{self, id_bytes};
use super::error::Failure;
use super::outgoing::MESSAGE_TTL;
use super::speak::Utterance;
use super::work::{Changes, Work};
use super::{ClientStore, MessageRow, RowKind, StoreError, timestamp};
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
            if how != Deletion::ThisDevice {
                if let Some(hash) = &row.own_hash {
                    work.delete_in_own_swarm(hash)?;
                }
                if row.kind != RowKind::MissedCall {
                    let mut targets = vec![QuotedMessage { author: row.author, sent_at: row.sent_at }];
                    targets.extend(work.edits_of(&row)?);
                    let to_peer = how == Deletion::Everywhere && row.chat != work.own;
                    let to = if to_peer { row.chat } else { work.own };
                    for target in targets {
                        let without_trace = !to_peer;
                        let unsend = Utterance::plain(Speech::Unsend { target, without_trace });
                        work.say(&to, &unsend, MESSAGE_TTL, to_peer, None)?;
                    }
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
            let leaves_a_place = how == Deletion::Everywhere && row.chat != work.own;
            if leaves_a_place { chats::blank(work, &row) } else { chats::remove(work, &row) }
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
        let mut targets = vec![QuotedMessage { author: row.author, sent_at: row.sent_at }];
        targets.extend(self.edits_of(row)?);
        let own = self.own;
        for target in targets {
            let unsend = Utterance::plain(Speech::Unsend { target, without_trace: true });
            self.say(&own, &unsend, MESSAGE_TTL, false, None)?;
        }
        Ok(())
    }

    /// The messages that brought edits of this one, to be deleted with it.
    pub(super) fn edits_of(&self, row: &MessageRow) -> Result<Vec<QuotedMessage>, Failure> {
        let mut statement =
            self.tx.prepare_cached("SELECT sent_at FROM edit WHERE target = ?1 AND chat = ?2")?;
        let times =
            statement.query_map((id_bytes(&row.id), row.chat.as_bytes()), |row| row.get::<_, i64>(0))?;
        Ok(times
            .map(|time| time.map(|time| QuotedMessage { author: row.author, sent_at: timestamp(time) }))
            .collect::<Result<_, _>>()?)
    }
}
