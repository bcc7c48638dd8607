//! What is said about another message: edits, reactions, deletions. The message may come later, or never.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::OptionalExtension as _;

use super::super::chats::{self, id_bytes};
use super::super::error::Failure;
use super::super::speak::EDIT_WITHIN;
use super::super::work::Work;
use super::super::{MessageRow, ReceivedItem, RowKind, StoreError, account_id, millis, search, timestamp};
use super::early::{Early, remember_unsent};
use super::{gone, is_deleted};
use crate::said::{Heard, Post, Reaction};
use crate::types::{MessageId, MessageState};

/// Different emoji of one author at one message.
const MAX_REACTIONS_OF_ONE: i64 = 20;
/// Edits of one message; further ones are shown as the replies that they are to others.
const MAX_EDITS: i64 = 100;
/// An edit that came, or was made here.
pub(in super::super) struct Edit<'a> {
    /// Of the message that brought it.
    pub id: &'a MessageId,
    pub target: &'a MessageId,
    pub chat: &'a AccountId,
    pub author: &'a AccountId,
    pub sent_at: Timestamp,
    pub text: &'a str,
    pub own_hash: Option<&'a str>,
}

impl Work<'_> {
    /// A new text for an earlier message.
    pub(super) fn hear_edit(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        target: Timestamp,
        post: &Post,
        fresh: bool,
    ) -> Result<(), Failure> {
        let (id, target) =
            (MessageId::of(&heard.author, heard.sent_at), MessageId::of(&heard.author, target));
        match (gone(self.tx, &id)?, gone(self.tx, &target)?) {
            (None, None) => {}
            (itself, target) if itself.iter().chain(&target).all(|how| how.here_only) => return Ok(()),
            _ => return self.delete_in_own_swarm(&item.hash),
        }
        self.hear_profile_of_known(heard, chat, fresh)?;
        let edit = Edit {
            id: &id,
            target: &target,
            chat,
            author: &heard.author,
            sent_at: heard.sent_at,
            text: &post.text,
            own_hash: Some(&item.hash),
        };
        if !self.take_edit(&edit)? {
            // Not (or no longer) possible, or the message is not here: then it is what others see, too.
            return self.hear_post(item, heard, chat, post, fresh);
        }
        Ok(())
    }

    /// Notes an edit, and applies it if its message is here. Whether nothing is left to be shown for it.
    pub(in super::super) fn take_edit(&mut self, edit: &Edit<'_>) -> Result<bool, Failure> {
        let target: Option<(i64, bool, i64)> = self
            .tx
            .prepare_cached("SELECT sent_at, text <> '', kind FROM message WHERE id = ?1 AND chat = ?2")?
            .query_row((id_bytes(edit.target), edit.chat.as_bytes()), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        if let Some((sent_at, is_text, kind)) = target
            && (!is_text
                || kind != RowKind::Post.code()
                || edit.sent_at.since(timestamp(sent_at)) > EDIT_WITHIN
                || edit.sent_at < timestamp(sent_at))
        {
            return Ok(false);
        }
        let edits: i64 = self
            .tx
            .prepare_cached("SELECT count(*) FROM edit WHERE target = ?1")?
            .query_row([id_bytes(edit.target)], |row| row.get(0))?;
        if edits >= MAX_EDITS {
            return Ok(false);
        }
        self.tx
            .prepare_cached(
                "INSERT INTO edit (id, target, chat, sent_at, text, own_hash, waits, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            )?
            .execute((
                id_bytes(edit.id),
                id_bytes(edit.target),
                edit.chat.as_bytes(),
                millis(edit.sent_at),
                edit.text,
                edit.own_hash,
                if target.is_some() { None } else { self.waits_as(edit.author) },
                millis(self.now),
            ))?;
        if target.is_none() {
            Early::Edits.bound(self.tx, edit.chat)?;
            return Ok(false);
        }
        self.apply_edits(edit.target)?;
        Ok(true)
    }

    /// Whether an edit has become part of its message, so that nothing is to stand in for it.
    pub(super) fn is_applied(&self, id: &MessageId) -> Result<bool, Failure> {
        let within = i64::try_from(EDIT_WITHIN.as_millis()).unwrap_or(i64::MAX);
        Ok(self
            .tx
            .prepare_cached(
                "SELECT 1 FROM edit JOIN message ON message.id = edit.target AND message.chat = edit.chat
                 WHERE edit.id = ?1 AND message.kind = ?2 AND message.text <> ''
                   AND edit.sent_at BETWEEN message.sent_at AND message.sent_at + ?3",
            )?
            .exists((id_bytes(id), RowKind::Post.code(), within))?)
    }

    /// The newest edit of a message that is here becomes its text; what stood in for edits that came first goes, and so do
    /// the texts that were replaced.
    pub(super) fn apply_edits(&mut self, target: &MessageId) -> Result<(), Failure> {
        let row = chats::find(self.tx, &self.own, target)?;
        if row.text.is_empty() || row.kind != RowKind::Post {
            return Ok(());
        }
        let valid = (
            id_bytes(target),
            row.chat.as_bytes(),
            millis(row.sent_at),
            millis(row.sent_at.plus(EDIT_WITHIN)),
        );
        let newest: Option<(MessageId, i64, String)> = self
            .tx
            .prepare_cached(
                "SELECT id, sent_at, text FROM edit WHERE target = ?1 AND chat = ?2 AND sent_at BETWEEN ?3 AND ?4
                 ORDER BY sent_at DESC, id DESC LIMIT 1",
            )?
            .query_row(valid.clone(), |row| {
                Ok((chats::message_id(row)?, row.get("sent_at")?, row.get("text")?))
            })
            .optional()?;
        // One that was replaced has no text any more, and the one that replaced it is gone: then the text stays.
        let Some((newest, edited_at, text)) = newest.filter(|(_, _, text)| !text.is_empty()) else {
            return Ok(());
        };
        let standing_in: Vec<MessageId> = self
            .tx
            .prepare_cached(
                "SELECT edit.id AS id FROM edit JOIN message ON message.id = edit.id
                 WHERE edit.target = ?1 AND edit.chat = ?2 AND edit.sent_at BETWEEN ?3 AND ?4",
            )?
            .query_map(valid, chats::message_id)?
            .collect::<Result<_, _>>()?;
        for id in standing_in {
            let standing_in = chats::find(self.tx, &self.own, &id)?;
            chats::withdraw(self, &standing_in)?;
        }
        self.tx
            .prepare_cached(
                "UPDATE edit SET text = '' WHERE target = ?1 AND chat = ?2 AND id <> ?3 AND text <> ''",
            )?
            .execute((id_bytes(target), row.chat.as_bytes(), id_bytes(&newest)))?;
        let is_new = self
            .tx
            .prepare_cached("SELECT 1 FROM message WHERE id = ?1 AND edit_id IS NOT ?2")?
            .exists((id_bytes(target), id_bytes(&newest)))?;
        if is_new {
            search::forget(self, target)?;
            // The content that came holds the old text. It goes, unless it says where files are.
            self.tx
                .prepare_cached(
                    "UPDATE message SET text = ?2, edited_at = ?3, edit_id = ?4, content = iif(?5, content, NULL)
                     WHERE id = ?1",
                )?
                .execute((
                    id_bytes(target),
                    text,
                    edited_at,
                    id_bytes(&newest),
                    !row.details.files.is_empty(),
                ))?;
            search::take_in(self, target)?;
            self.touch(target);
        }
        Ok(())
    }

    /// A reaction, or its end. The later word of an author about an emoji counts, in whatever order they come.
    pub(in super::super) fn take_reaction(
        &mut self,
        author: &AccountId,
        chat: &AccountId,
        reaction: &Reaction,
        sent_at: Timestamp,
    ) -> Result<(), Failure> {
        let target = MessageId::of(&reaction.target.author, reaction.target.sent_at);
        if is_deleted(self.tx, &target)? {
            return Ok(());
        }
        let place: Option<AccountId> = self
            .tx
            .prepare_cached("SELECT chat FROM message WHERE id = ?1")?
            .query_row([id_bytes(&target)], |row| account_id(row, "chat"))
            .optional()?;
        // What is said in one chat is nothing to another.
        if place.is_some_and(|place| place != *chat) {
            return Ok(());
        }
        let waits = if place.is_some() { None } else { self.waits_as(author) };
        let (of_author, known): (i64, bool) = self
            .tx
            .prepare_cached(
                "SELECT count(*), coalesce(max(emoji = ?3), 0) FROM reaction WHERE target = ?1 AND author = ?2",
            )?
            .query_row((id_bytes(&target), author.as_bytes(), &reaction.emoji), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if of_author >= MAX_REACTIONS_OF_ONE && !known {
            return Ok(());
        }
        let changed = self
            .tx
            .prepare_cached(
                "INSERT INTO reaction (target, author, emoji, chat, sent_at, removed, waits, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO UPDATE SET sent_at = excluded.sent_at, removed = excluded.removed
                 WHERE (excluded.sent_at, excluded.removed) > (reaction.sent_at, reaction.removed)",
            )?
            .execute((
                id_bytes(&target),
                author.as_bytes(),
                &reaction.emoji,
                chat.as_bytes(),
                millis(sent_at),
                reaction.remove,
                waits,
                millis(self.now),
            ))?;
        if changed > 0 {
            self.touch(&target);
        }
        if waits.is_some() { Early::Reactions.bound(self.tx, chat) } else { Ok(()) }
    }

    /// A message is to be gone everywhere: its author says so, or this account says so to itself (client-messages 4.12).
    pub(super) fn hear_unsend(
        &mut self,
        heard: &Heard,
        author: &AccountId,
        sent_at: Timestamp,
        without_trace: bool,
    ) -> Result<(), Failure> {
        let from_self = heard.author == self.own;
        if heard.author != *author && !from_self {
            return Ok(());
        }
        let id = MessageId::of(author, sent_at);
        // One's own note about another's message only takes it away here, and so does one that says so.
        let leaves_a_place = heard.author == *author && !(from_self && without_trace);
        let row = match chats::find(self.tx, &self.own, &id) {
            Ok(row) => row,
            Err(Failure::Store(StoreError::UnknownMessage(_))) => {
                remember_unsent(self, &id, &heard.author, leaves_a_place)?;
                self.tx.prepare_cached("DELETE FROM reaction WHERE target = ?1")?.execute([id_bytes(&id)])?;
                self.withdraw_stand_ins(&id, &heard.author)?;
                return self.unedit(&id);
            }
            Err(other) => return Err(other),
        };
        if !from_self && row.chat != heard.author {
            return Ok(());
        }
        if from_self && row.state == Some(MessageState::Failed) {
            // So this device told the others, which may have had a copy. Here it is shown as what it is.
            return Ok(());
        }
        if let Some(hash) = &row.own_hash {
            self.delete_in_own_swarm(hash)?;
        }
        self.unqueue(&id)?;
        // What stands in for an edit whose message is not here goes without a trace, as the edit would have.
        let stands_in =
            self.tx.prepare_cached("SELECT 1 FROM edit WHERE id = ?1")?.exists([id_bytes(&id)])?;
        if stands_in {
            self.unedit(&id)?;
            return chats::remove(self, &row);
        }
        if leaves_a_place && row.chat != self.own {
            if row.kind == RowKind::Deleted { Ok(()) } else { chats::blank(self, &row) }
        } else {
            chats::remove(self, &row)
        }
    }

    /// A message that is not here was deleted by `whom`: so are the edits of it that stand in for it. Whoever deleted it need
    /// not have known them.
    pub(in super::super) fn withdraw_stand_ins(
        &mut self,
        target: &MessageId,
        whom: &AccountId,
    ) -> Result<(), Failure> {
        for row in self.stand_ins(target)? {
            if *whom != self.own && row.chat != *whom {
                continue;
            }
            if let Some(hash) = &row.own_hash {
                self.delete_in_own_swarm(hash)?;
            }
            self.unedit(&row.id)?;
            chats::remove(self, &row)?;
        }
        Ok(())
    }

    /// The edits that stand in for a message that is not here.
    pub(in super::super) fn stand_ins(&self, target: &MessageId) -> Result<Vec<MessageRow>, Failure> {
        let ids: Vec<MessageId> = self
            .tx
            .prepare_cached(
                "SELECT edit.id AS id FROM edit JOIN message ON message.id = edit.id WHERE edit.target = ?1",
            )?
            .query_map([id_bytes(target)], chats::message_id)?
            .collect::<Result<_, _>>()?;
        ids.iter().map(|id| chats::find(self.tx, &self.own, id)).collect()
    }

    /// The message that brought an edit was deleted; it goes with the message it edits, which is deleted as well.
    fn unedit(&mut self, id: &MessageId) -> Result<(), Failure> {
        let hash: Option<Option<String>> = self
            .tx
            .prepare_cached("DELETE FROM edit WHERE id = ?1 RETURNING own_hash")?
            .query_row([id_bytes(id)], |row| row.get(0))
            .optional()?;
        match hash.flatten() {
            Some(hash) => self.delete_in_own_swarm(&hash),
            None => Ok(()),
        }
    }
}
