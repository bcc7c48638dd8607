//! What each kind of message does (client-messages 4).

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::OptionalExtension as _;

use super::super::chats::{self, NewMessage, id_bytes};
use super::super::contacts::Standing;
use super::super::error::Failure;
use super::super::meta::settings;
use super::super::outgoing::raise;
use super::super::rows::{state_code, state_of_code};
use super::super::speak::EDIT_WITHIN;
use super::super::work::Work;
use super::super::{ReceivedItem, RowKind, StoreError, account_id, millis, search, timestamp};
use super::{MAX_REMEMBERED, bound, gone, is_deleted, remember_deleted};
use crate::said::{CallStep, Details, Heard, Post, Reaction, Said, Timer};
use crate::types::{MessageId, MessageState};

/// Different emoji of one author at one message.
const MAX_REACTIONS_OF_ONE: i64 = 20;
/// Edits of one message; further ones are shown as the replies that they are to others.
const MAX_EDITS: i64 = 100;
/// A receipt for an arrival goes out up to this much later, so that not everything can be tied to its receipt by time.
const RECEIPT_JITTER: u64 = 1_000;

/// An edit that came, or was made here.
pub(in super::super) struct Edit<'a> {
    /// Of the message that brought it.
    pub id: &'a MessageId,
    pub target: &'a MessageId,
    pub chat: &'a AccountId,
    pub sent_at: Timestamp,
    pub text: &'a str,
    pub own_hash: Option<&'a str>,
}

impl Work<'_> {
    pub(super) fn hear(&mut self, item: &ReceivedItem, heard: &Heard) -> Result<(), Failure> {
        let own = heard.author == self.own;
        let chat = if own { heard.sync_target.unwrap_or(self.own) } else { heard.author };
        // Nothing is wanted from those who are blocked, except that they take something back; what was said to them from
        // another device is one's own.
        let takes_back = matches!(heard.said, Said::Unsend { .. });
        if !own && !takes_back && self.contact(&chat)?.blocked {
            return Ok(());
        }
        match &heard.said {
            Said::Nothing => Ok(()),
            Said::Unknown => self.set_aside(heard),
            Said::Receipt { read, sent_at } => self.hear_receipt(&chat, *read, sent_at),
            Said::Typing { started } => {
                if settings(self.tx)?.typing && self.is_trusted(&chat) {
                    self.changes.typing.push((chat, *started));
                }
                Ok(())
            }
            Said::Unsend { author, sent_at, without_trace } => {
                self.hear_unsend(heard, author, *sent_at, *without_trace)
            }
            Said::Accepted if own => Ok(()),
            Said::Call { step, uuid } => self.hear_call(item, heard, &chat, *step, uuid),
            _ => {
                // When it was stored is a member's word; it cannot be before it was sent, which its author has signed.
                let stored_at = item.stored_at.max(heard.sent_at.min(self.now));
                let standing = self.standing(&chat, stored_at)?;
                if standing == Standing::Outdated {
                    return self.set_aside_for(&chat, item, heard);
                }
                let fresh = standing == Standing::Fresh;
                match &heard.said {
                    Said::Post(post) => self.hear_post(item, heard, &chat, post, fresh),
                    Said::Edit { target, post } => self.hear_edit(item, heard, &chat, *target, post, fresh),
                    Said::Reaction(reaction) => {
                        self.hear_profile(heard, &chat, fresh)?;
                        self.take_reaction(&heard.author, &chat, reaction, heard.sent_at)
                    }
                    Said::TimerChanged => self.hear_timer(item, heard, &chat, fresh),
                    Said::Extraction { screenshot } => {
                        let kind = if *screenshot { RowKind::Screenshot } else { RowKind::MediaSaved };
                        self.notice(item, heard, &chat, kind, &Details::default()).map(drop)
                    }
                    _ => self.hear_acceptance(item, heard, &chat, fresh),
                }
            }
        }
    }

    /// A text, files, an invitation.
    fn hear_post(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        post: &Post,
        fresh: bool,
    ) -> Result<(), Failure> {
        let id = MessageId::of(&heard.author, heard.sent_at);
        if self.is_here(&id, item, heard)? {
            return Ok(());
        }
        self.hear_profile(heard, chat, fresh)?;
        if fresh {
            self.unhide(chat)?;
        }
        // The contact may have brought back what was set aside, another copy of this among it.
        if self.is_here(&id, item, heard)? {
            return Ok(());
        }
        if let Some(how) = gone(self.tx, &id)? {
            if how.unsent {
                let blank = Post::default();
                self.put(item, heard, chat, &id, RowKind::Deleted, &blank)?;
            }
            // It is here after all, in the swarm: there it goes as well.
            return if how.here_only { Ok(()) } else { self.delete_in_own_swarm(&item.hash) };
        }
        self.put(item, heard, chat, &id, RowKind::Post, post)?;
        let early: Option<i64> = self
            .tx
            .prepare_cached("DELETE FROM early_receipt WHERE id = ?1 AND chat = ?2 RETURNING state")?
            .query_row((id_bytes(&id), chat.as_bytes()), |row| row.get(0))
            .optional()?;
        if let Some(state) = early.and_then(state_of_code) {
            raise(self.tx, &id, state)?;
        }
        self.apply_edits(&id)?;
        if heard.author == self.own {
            // Whoever wrote on another device has read what came before (client-messages 4.16).
            self.read_up_to(chat, chats::sort_time(heard.sent_at, self.now), false)?;
        } else {
            self.changes.typing.push((*chat, false));
            if heard.wants_delivered {
                self.owe_receipt(&id, chat, heard.sent_at)?;
            }
        }
        Ok(())
    }

    /// Whether a message is here already; notes where its copy in the own swarm lies.
    fn is_here(&mut self, id: &MessageId, item: &ReceivedItem, heard: &Heard) -> Result<bool, Failure> {
        let here = self.tx.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?.exists([id_bytes(id)])?;
        if here {
            self.changes.known = self.changes.known.saturating_add(1);
            if heard.author == self.own {
                self.tx
                    .prepare_cached("UPDATE message SET own_hash = ?2 WHERE id = ?1 AND own_hash IS NULL")?
                    .execute((id_bytes(id), &item.hash))?;
            }
        }
        Ok(here)
    }

    /// Who speaks, and what follows for the contact.
    fn hear_profile(&mut self, heard: &Heard, chat: &AccountId, fresh: bool) -> Result<(), Failure> {
        if heard.author != self.own {
            self.meet(chat, heard.profile.as_ref(), heard.sent_at.min(self.now), fresh)?;
            self.tx
                .prepare_cached("UPDATE contact SET wants_delivered = ?2 WHERE id = ?1")?
                .execute((chat.as_bytes(), heard.wants_delivered))?;
        } else if *chat != self.own && fresh {
            self.approve(chat)?;
        }
        Ok(())
    }

    /// A row for what was heard.
    fn put(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        id: &MessageId,
        kind: RowKind,
        post: &Post,
    ) -> Result<(), Failure> {
        let timer: Timer = if kind == RowKind::Deleted { Timer::Off } else { heard.expiration.into() };
        let outgoing = heard.author == self.own;
        let sent_at = heard.sent_at;
        self.open_chat(chat)?;
        let read = self.is_read(chat, chats::sort_time(sent_at, self.now))?;
        let life = |seconds: u32| Duration::from_secs(seconds.into());
        let expires_at = match timer {
            Timer::Off => None,
            // It was stored no earlier than it was sent, and lives as long as its timer says.
            Timer::AfterSend(seconds) => {
                let earliest = sent_at.min(self.now).plus(life(seconds));
                Some(item.expires_at.clamp(earliest, self.now.plus(life(seconds))))
            }
            // Our own copy lives as long as the timer, from when it was sent.
            Timer::AfterRead(seconds) if outgoing => {
                let earliest = sent_at.min(self.now).plus(life(seconds));
                Some(item.expires_at.clamp(earliest, self.now.plus(life(seconds))))
            }
            Timer::AfterRead(_) => None,
        };
        let new = NewMessage {
            id,
            chat,
            author: &heard.author,
            sent_at,
            arrived_at: self.now,
            text: &post.text,
            content: (kind != RowKind::Deleted).then_some(heard.content.as_slice()),
            // How far a message of another device came, nobody has proved to us.
            state: None,
            printed: kind != RowKind::Post,
            kind,
            details: &post.details,
            quote: post.quote,
            timer,
            expires_at,
            own_hash: Some(&item.hash),
            swarm_expires_at: Some(item.expires_at),
        };
        chats::insert(self, &new)?;
        self.changes.to_expire |= expires_at.is_some();
        if read && let (Timer::AfterRead(_), false) = (timer, outgoing) {
            // Read on another device before it came to this one.
            self.begin_to_expire_read(chat, chats::sort_time(sent_at, self.now))?;
        }
        let row = chats::find(self.tx, &self.own, id)?;
        self.changes.shown.push(row);
        Ok(())
    }

    fn is_read(&self, chat: &AccountId, sort_at: Timestamp) -> Result<bool, Failure> {
        Ok(self
            .tx
            .prepare_cached("SELECT 1 FROM chat WHERE id = ?1 AND read_upto >= ?2")?
            .exists((chat.as_bytes(), millis(sort_at)))?)
    }

    /// A row that is no message. Those of a stranger wait until one has written to them: another device may have done so
    /// already, and whether a chat was made before or after is chance.
    fn notice(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        kind: RowKind,
        details: &Details,
    ) -> Result<bool, Failure> {
        let id = MessageId::of(&heard.author, heard.sent_at);
        if self.is_here(&id, item, heard)? || is_deleted(self.tx, &id)? {
            return Ok(false);
        }
        if heard.author != self.own && !self.is_trusted(chat) {
            return self.set_aside_for(chat, item, heard).map(|()| false);
        }
        let post = Post { details: details.clone(), ..Post::default() };
        self.put(item, heard, chat, &id, kind, &post)?;
        if heard.author == self.own {
            self.read_up_to(chat, chats::sort_time(heard.sent_at, self.now), false)?;
        }
        Ok(true)
    }

    fn has_chat(&self, chat: &AccountId) -> Result<bool, Failure> {
        Ok(self.tx.prepare_cached("SELECT 1 FROM chat WHERE id = ?1")?.exists([chat.as_bytes()])?)
    }

    /// A new text for an earlier message.
    fn hear_edit(
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
        self.hear_profile(heard, chat, fresh)?;
        let edit = Edit {
            id: &id,
            target: &target,
            chat,
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
                "INSERT INTO edit (id, target, chat, sent_at, text, own_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((
                id_bytes(edit.id),
                id_bytes(edit.target),
                edit.chat.as_bytes(),
                millis(edit.sent_at),
                edit.text,
                edit.own_hash,
            ))?;
        if target.is_none() {
            bound(self.tx, "edit", "sent_at")?;
            return Ok(false);
        }
        self.apply_edits(edit.target)?;
        Ok(true)
    }

    /// The newest edit of a message that is here becomes its text; what stood in for edits that came first goes.
    fn apply_edits(&mut self, target: &MessageId) -> Result<(), Failure> {
        let row = chats::find(self.tx, &self.own, target)?;
        if row.text.is_empty() || row.kind != RowKind::Post {
            return Ok(());
        }
        let until = millis(row.sent_at.plus(EDIT_WITHIN));
        let edits: Vec<(MessageId, i64, String)> = self
            .tx
            .prepare_cached(
                "SELECT id, sent_at, text FROM edit WHERE target = ?1 AND chat = ?2 AND sent_at BETWEEN ?3 AND ?4
                 ORDER BY sent_at, id",
            )?
            .query_map((id_bytes(target), row.chat.as_bytes(), millis(row.sent_at), until), |row| {
                Ok((chats::message_id(row)?, row.get("sent_at")?, row.get("text")?))
            })?
            .collect::<Result<_, _>>()?;
        let Some((newest, edited_at, text)) = edits.last() else { return Ok(()) };
        for (id, ..) in &edits {
            match chats::find(self.tx, &self.own, id) {
                Ok(standing_in) => chats::withdraw(self, &standing_in)?,
                Err(Failure::Store(StoreError::UnknownMessage(_))) => {}
                Err(other) => return Err(other),
            }
        }
        let is_new = self
            .tx
            .prepare_cached("SELECT 1 FROM message WHERE id = ?1 AND edit_id IS NOT ?2")?
            .exists((id_bytes(target), id_bytes(newest)))?;
        if is_new {
            search::forget(self, target)?;
            self.tx
                .prepare_cached("UPDATE message SET text = ?2, edited_at = ?3, edit_id = ?4 WHERE id = ?1")?
                .execute((id_bytes(target), text, edited_at, id_bytes(newest)))?;
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
                "INSERT INTO reaction (target, author, emoji, chat, sent_at, removed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
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
            ))?;
        if changed > 0 {
            self.touch(&target);
        }
        Ok(())
    }

    /// Another way of disappearing: for oneself, if another of one's devices says so; else only told (client-messages 4.10).
    fn hear_timer(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        fresh: bool,
    ) -> Result<(), Failure> {
        let timer: Timer = heard.expiration.into();
        let details = Details { timer: Some(timer), ..Details::default() };
        self.hear_profile(heard, chat, fresh)?;
        self.notice(item, heard, chat, RowKind::TimerChanged, &details)?;
        // What other devices set, they say in the documents: in which order settings were made, only those know.
        Ok(())
    }

    /// They accepted our request.
    fn hear_acceptance(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        fresh: bool,
    ) -> Result<(), Failure> {
        // Only an answer: whoever was asked nothing accepts nothing. But another device may have asked.
        if !self.contact(chat)?.approved {
            return self.set_aside_for(chat, item, heard);
        }
        self.hear_profile(heard, chat, fresh)?;
        // Of several the earliest is shown, so that all devices show the same.
        let shown: Option<MessageId> = self
            .tx
            .prepare_cached("SELECT id FROM message WHERE chat = ?1 AND kind = ?2")?
            .query_row((chat.as_bytes(), RowKind::Accepted.code()), chats::message_id)
            .optional()?;
        if let Some(id) = shown {
            let row = chats::find(self.tx, &self.own, &id)?;
            if row.sent_at <= heard.sent_at {
                return Ok(());
            }
            chats::withdraw(self, &row)?;
        }
        self.notice(item, heard, chat, RowKind::Accepted, &Details::default()).map(drop)
    }

    /// How far messages of ours have come.
    fn hear_receipt(&mut self, chat: &AccountId, read: bool, sent_at: &[Timestamp]) -> Result<(), Failure> {
        let settings = settings(self.tx)?;
        let wanted = if read { settings.read_receipts } else { settings.delivery_receipts };
        if !wanted || !self.is_trusted(chat) {
            return Ok(());
        }
        let state = if read { MessageState::Read } else { MessageState::Delivered };
        for sent_at in sent_at {
            let id = MessageId::of(&self.own, *sent_at);
            if self.mark_receipt(&id, chat, state)? || is_deleted(self.tx, &id)? {
                continue;
            }
            // Another device sent it, and its copy has not come yet.
            self.tx
                .prepare_cached(
                    "INSERT INTO early_receipt (id, chat, state, expires_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET state = max(state, excluded.state)",
                )?
                .execute((
                    id_bytes(&id),
                    chat.as_bytes(),
                    state_code(state),
                    millis(self.now.plus(MAX_REMEMBERED)),
                ))?;
        }
        bound(self.tx, "early_receipt", "expires_at")
    }

    /// A message of theirs has arrived, and they would like to know.
    fn owe_receipt(&mut self, id: &MessageId, chat: &AccountId, sent_at: Timestamp) -> Result<(), Failure> {
        if !settings(self.tx)?.delivery_receipts || !self.is_trusted(chat) {
            return Ok(());
        }
        // Of the id, which nobody between the two knows: this needs no randomness of its own.
        let jitter = u64::from_str_radix(id.as_str().get(..8).unwrap_or_default(), 16).unwrap_or(0);
        let due_at = self.now.plus(Duration::from_millis(jitter % RECEIPT_JITTER));
        self.tx
            .prepare_cached(
                "INSERT INTO owed_receipt (chat, sent_at, due_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((chat.as_bytes(), millis(sent_at), millis(due_at)))?;
        self.changes.to_send = true;
        Ok(())
    }

    /// A message is to be gone everywhere: its author says so, or this account says so to itself (client-messages 4.12).
    fn hear_unsend(
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
                remember_deleted(self.tx, &id, leaves_a_place, self.now)?;
                bound(self.tx, "deleted", "expires_at")?;
                self.tx.prepare_cached("DELETE FROM reaction WHERE target = ?1")?.execute([id_bytes(&id)])?;
                return self.unedit(&id);
            }
            Err(other) => return Err(other),
        };
        if !from_self && row.chat != heard.author {
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

    /// Calls are not taken here: one that comes is a missed one, unless another device took it.
    fn hear_call(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        step: CallStep,
        uuid: &str,
    ) -> Result<(), Failure> {
        let own = heard.author == self.own;
        let id = MessageId::of_call(uuid);
        match step {
            CallStep::Ringing if !own => {
                let here =
                    self.tx.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?.exists([id_bytes(&id)])?;
                if here || is_deleted(self.tx, &id)? || !self.has_chat(chat)? {
                    return Ok(());
                }
                self.put(item, heard, chat, &id, RowKind::MissedCall, &Post::default())
            }
            CallStep::Answered if own => {
                let author: Option<AccountId> = self
                    .tx
                    .prepare_cached("SELECT author FROM message WHERE id = ?1 AND kind = ?2")?
                    .query_row((id_bytes(&id), RowKind::MissedCall.code()), |row| account_id(row, "author"))
                    .optional()?;
                if author.is_some() {
                    let row = chats::find(self.tx, &self.own, &id)?;
                    return chats::remove(self, &row);
                }
                remember_deleted(self.tx, &id, false, self.now)
            }
            _ => Ok(()),
        }
    }
}
