//! What each kind of message does (client-messages 4).

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_crypto::hash::blake2b_256_keyed;
use conclave_proto::Timestamp;
use rusqlite::OptionalExtension as _;

use super::super::chats::{self, NewMessage, id_bytes};
use super::super::contacts::Standing;
use super::super::error::Failure;
use super::super::meta::{phrase, settings, takes_part_since};
use super::super::outgoing::raise;
use super::super::work::Work;
use super::super::{MOST_AHEAD, ReceivedItem, RowKind, account_id, millis, timestamp};
use super::early::has_come;
use super::{gone, is_deleted, remember_deleted};
use crate::said::{CallStep, Details, Heard, Post, Said, Timer};
use crate::types::{MessageId, MessageState};

/// A receipt for an arrival goes out up to this much later, so that not everything can be tied to its receipt by time.
const RECEIPT_JITTER: u64 = 1_000;
/// Times by the clocks of two nodes that lie no further apart say nothing about what came first.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);
/// What is hashed with the account's secret before the id.
const RECEIPT_JITTER_LABEL: &[u8] = b"conclave receipt jitter v1";

impl Work<'_> {
    pub(super) fn hear(&mut self, item: &ReceivedItem, heard: &Heard) -> Result<(), Failure> {
        let own = heard.author == self.own;
        if own {
            self.keep_apart(heard.sent_at)?;
        }
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
                let standing = self.standing(&chat, self.stored_at(item, heard))?;
                if standing == Standing::Outdated {
                    return self.set_aside_for(&chat, item, heard);
                }
                let fresh = standing == Standing::Fresh;
                match &heard.said {
                    Said::Post(post) => self.hear_post(item, heard, &chat, post, fresh),
                    Said::Edit { target, post } => self.hear_edit(item, heard, &chat, *target, post, fresh),
                    Said::Reaction(reaction) => {
                        self.hear_profile_of_known(heard, &chat, fresh)?;
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
    pub(super) fn hear_post(
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
        let own = heard.author == self.own;
        let is_over = self.is_over(item, heard);
        if !own && (is_over || gone(self.tx, &id)?.is_some_and(|how| !how.unsent)) {
            // Nothing is shown, so nobody becomes a contact by it.
            self.hear_profile_of_known(heard, chat, false)?;
        } else {
            self.hear_profile(heard, chat, fresh)?;
            if fresh {
                self.unhide(chat)?;
            }
        }
        // The contact may have brought back what was set aside, another copy of this among it, or the message that this edits.
        if self.is_here(&id, item, heard)? || self.is_applied(&id)? {
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
        has_come(self.tx, &id, chat)?;
        if self.put(item, heard, chat, &id, RowKind::Post, post)? {
            if let Some(state) = self.early_receipt(&id, chat)? {
                raise(self.tx, &id, state)?;
            }
            self.apply_edits(&id)?;
        }
        if heard.author == self.own {
            // Whoever wrote on another device has read what came before (client-messages 4.16). Of an edit that is not said:
            // where its message is here it moves nothing, and whether it is here is chance.
            if !matches!(heard.said, Said::Edit { .. }) {
                self.note_read_elsewhere(chat, self.stored_at(item, heard))?;
                self.read_up_to(chat, chats::sort_time(heard.sent_at, self.now), None)?;
            }
        } else if !is_over {
            self.changes.typing.push((*chat, false));
            if heard.wants_delivered {
                self.owe_receipt(&id, chat, item, heard)?;
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
        } else if *chat != self.own && fresh {
            self.approve(chat)?;
        }
        Ok(())
    }

    /// [`Self::hear_profile`] for what is not shown by itself: it makes nobody a contact of whom there is nothing to see.
    pub(super) fn hear_profile_of_known(
        &mut self,
        heard: &Heard,
        chat: &AccountId,
        fresh: bool,
    ) -> Result<(), Failure> {
        if heard.author == self.own || self.is_trusted(chat) || self.has_chat(chat)? {
            self.hear_profile(heard, chat, fresh)?;
        }
        Ok(())
    }

    /// A row for what was heard; whether there is one: what has disappeared before it came is not shown for a moment.
    fn put(
        &mut self,
        item: &ReceivedItem,
        heard: &Heard,
        chat: &AccountId,
        id: &MessageId,
        kind: RowKind,
        post: &Post,
    ) -> Result<bool, Failure> {
        if kind != RowKind::Deleted && self.is_over(item, heard) {
            remember_deleted(self.tx, id, false, self.now)?;
            self.withdraw_stand_ins(id, &heard.author)?;
            self.tx.prepare_cached("DELETE FROM reaction WHERE target = ?1")?.execute([id_bytes(id)])?;
            return Ok(false);
        }
        let timer: Timer = if kind == RowKind::Deleted { Timer::Off } else { heard.expiration.into() };
        let outgoing = heard.author == self.own;
        let sent_at = heard.sent_at;
        self.open_chat(chat)?;
        let arrived_at = self.arrival(chat, sent_at)?;
        let stands_at = chats::sort_time(sent_at, arrived_at);
        let read = self.is_read(chat, stands_at)?;
        let expires_at = self.ends(item, heard).filter(|_| timer != Timer::Off);
        let new = NewMessage {
            id,
            chat,
            author: &heard.author,
            sent_at,
            arrived_at,
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
            late: read && !outgoing && self.is_late(chat, item, heard)?,
            own_hash: Some(&item.hash),
            swarm_expires_at: Some(item.expires_at),
        };
        chats::insert(self, &new)?;
        if kind == RowKind::Post {
            self.take_pointers(id, post, sent_at)?;
        }
        self.changes.to_expire |= expires_at.is_some();
        if read && let (Timer::AfterRead(_), false) = (timer, outgoing) {
            // Read on another device before it came to this one.
            self.begin_to_expire_read(chat, stands_at)?;
        }
        let row = chats::find(self.tx, &self.own, id)?;
        self.changes.shown.push(row);
        Ok(true)
    }

    /// When a message disappears, if that is known when it comes.
    fn ends(&self, item: &ReceivedItem, heard: &Heard) -> Option<Timestamp> {
        let seconds = match heard.expiration.into() {
            Timer::AfterSend(seconds) => seconds,
            // Our own copy lives as long as the timer, from when it was sent.
            Timer::AfterRead(seconds) if heard.author == self.own => seconds,
            Timer::Off | Timer::AfterRead(_) => return None,
        };
        let life = Duration::from_secs(seconds.into());
        // It was stored no earlier than it was sent, and lives from then on as long as its timer says.
        let latest = self.stored_at(item, heard).min(self.now).plus(life);
        Some(item.expires_at.clamp(heard.sent_at.min(self.now).plus(life), latest))
    }

    fn is_over(&self, item: &ReceivedItem, heard: &Heard) -> bool {
        self.ends(item, heard).is_some_and(|end| end <= self.now)
    }

    /// When a message came that claims to be of `sent_at`. Those of the future that come at once keep the order they come in.
    fn arrival(&self, chat: &AccountId, sent_at: Timestamp) -> Result<Timestamp, Failure> {
        if chats::sort_time(sent_at, self.now) == sent_at {
            return Ok(self.now);
        }
        let before: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT max(sort_at) FROM message WHERE chat = ?1 AND sort_at >= ?2 AND sent_at > sort_at",
            )?
            .query_row((chat.as_bytes(), millis(self.now)), |row| row.get(0))?;
        Ok(before.map_or(self.now, |before| timestamp(before.saturating_add(1))))
    }

    pub(in super::super) fn is_read(&self, chat: &AccountId, sort_at: Timestamp) -> Result<bool, Failure> {
        Ok(self
            .tx
            .prepare_cached("SELECT 1 FROM chat WHERE id = ?1 AND read_upto >= ?2")?
            .exists((chat.as_bytes(), millis(sort_at)))?)
    }

    /// Whether a message for a place in the chat that was read past came after that, so that nobody has seen it: it was stored
    /// after another device last said how far it has read, and after this one took part. Its time runs nevertheless, if it
    /// disappears after it was read: a device where it came in time may have read it, and need not be able to say so.
    fn is_late(&self, chat: &AccountId, item: &ReceivedItem, heard: &Heard) -> Result<bool, Failure> {
        let stored_at = self.stored_at(item, heard);
        let seen_elsewhere = self
            .tx
            .prepare_cached("SELECT 1 FROM chat WHERE id = ?1 AND read_elsewhere >= ?2")?
            .exists((chat.as_bytes(), millis(stored_at.minus(CLOCKS_DIFFER))))?;
        Ok(!seen_elsewhere && takes_part_since(self.tx)?.is_some_and(|since| stored_at >= since))
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
        let shown = self.put(item, heard, chat, &id, kind, &post)?;
        if heard.author == self.own {
            self.note_read_elsewhere(chat, self.stored_at(item, heard))?;
            self.read_up_to(chat, chats::sort_time(heard.sent_at, self.now), None)?;
        }
        Ok(shown)
    }

    fn has_chat(&self, chat: &AccountId) -> Result<bool, Failure> {
        Ok(self.tx.prepare_cached("SELECT 1 FROM chat WHERE id = ?1")?.exists([chat.as_bytes()])?)
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
        self.hear_profile_of_known(heard, chat, fresh)?;
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
            self.keep_receipt(&id, chat, state)?;
        }
        self.bound_receipts(chat)
    }

    /// A message of theirs has arrived, and they would like to know. Not of one that was in the swarm before this device took
    /// part: when it arrived, others have said, or nobody can.
    fn owe_receipt(
        &mut self,
        id: &MessageId,
        chat: &AccountId,
        item: &ReceivedItem,
        heard: &Heard,
    ) -> Result<(), Failure> {
        if !settings(self.tx)?.delivery_receipts || !self.is_trusted(chat) {
            return Ok(());
        }
        if takes_part_since(self.tx)?.is_none_or(|since| self.stored_at(item, heard) < since) {
            return Ok(());
        }
        let due_at = self.now.plus(self.jitter(id)?);
        self.tx
            .prepare_cached(
                "INSERT INTO owed_receipt (chat, sent_at, due_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((chat.as_bytes(), millis(heard.sent_at), millis(due_at)))?;
        self.changes.to_send = true;
        Ok(())
    }

    /// By how much the receipt for a message is late. Made with the account's secret, so that nobody else can take it off
    /// again: ids of messages are no secret.
    fn jitter(&self, id: &MessageId) -> Result<Duration, Failure> {
        let phrase = phrase(self.tx)?;
        let [a, b, c, d, ..] =
            blake2b_256_keyed(phrase.seed(), &[RECEIPT_JITTER_LABEL, id.as_str().as_bytes()]);
        let random = u64::from(u32::from_be_bytes([a, b, c, d]));
        Ok(Duration::from_millis(random % RECEIPT_JITTER))
    }

    /// When an item was stored, as the member says that had it. It cannot be before it was sent, which its author has signed, nor
    /// far from now: what is known by it would be known for ever.
    fn stored_at(&self, item: &ReceivedItem, heard: &Heard) -> Timestamp {
        item.stored_at.min(self.now.plus(MOST_AHEAD)).max(heard.sent_at.min(self.now))
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
                self.put(item, heard, chat, &id, RowKind::MissedCall, &Post::default()).map(drop)
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
