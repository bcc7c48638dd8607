//! Saying something: what is written here is durable, with its final sent timestamp and its places in the outbox, when the
//! verb returns. Rules of client-messages 4, section by section.

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::content::{Content, Expiration};
use rusqlite::OptionalExtension as _;

use super::chats::{self, NewMessage, id_bytes};
use super::error::Failure;
use super::meta::settings;
use super::outgoing::{MESSAGE_TTL, Outgoing};
use super::turns::next_sent_timestamp;
use super::work::{Changes, Work};
use super::{
    ClientStore, MOST_AHEAD, MessageRow, OutgoingMessage, RowKind, StoreError, account_id, incoming, millis,
    timestamp,
};
use crate::said::{
    Details, MAX_WORDS, Profile, QuotedMessage, Reaction, Speech, Timer, is_one_emoji, sync_copy,
};
use crate::types::{MessageId, MessageState};

/// For how long a text may be edited after it was sent.
pub const EDIT_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks that the network sets differ by less, on machines and paths that are busy.
const HEARD_AHEAD: Duration = Duration::from_secs(10);
/// Devices whose clocks are behind answer, or edit, within so many milliseconds after what was said before.
const APART: u64 = 100;
/// How long a notice of typing is of use. (client-messages 5.2)
const TYPING_TTL: Duration = Duration::from_secs(20);
/// How long a swarm keeps a receipt: whoever was away longer learns it from nothing else either.
const RECEIPT_TTL: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Sent timestamps in one receipt.
const RECEIPTS_AT_ONCE: usize = 200;
/// The longest time, in seconds, after which messages of a chat disappear.
const LONGEST_TIMER: u32 = 366 * 24 * 60 * 60;
/// Reactions of this account within [`REACTIONS_WITHIN`]. (client-messages 4.5)
const MAX_REACTIONS: i64 = 20;
const REACTIONS_WITHIN: Duration = Duration::from_secs(60);

/// What is said, about to be put into the outbox.
pub(super) struct Utterance<'a> {
    speech: Speech<'a>,
    expiration: Expiration,
    with_profile: bool,
    /// Asks to be told that it has arrived.
    asks: bool,
}

impl<'a> Utterance<'a> {
    /// Of what never expires and carries no profile.
    pub(super) const fn plain(speech: Speech<'a>) -> Self {
        Self { speech, expiration: Expiration::Off, with_profile: false, asks: false }
    }
}

/// Lives of the two copies (client-messages 4.10, 5.2).
fn lives(expiration: Expiration) -> (Duration, Duration) {
    match expiration {
        Expiration::Off => (MESSAGE_TTL, MESSAGE_TTL),
        Expiration::AfterSend(seconds) => {
            let life = Duration::from_secs(seconds.into()).min(MESSAGE_TTL);
            (life, life)
        }
        Expiration::AfterRead(seconds) => (MESSAGE_TTL, Duration::from_secs(seconds.into()).min(MESSAGE_TTL)),
    }
}

impl Work<'_> {
    fn profile(&self) -> Profile {
        let shared = &self.documents.profile;
        let name = shared.name();
        let own_name =
            || -> Option<String> { self.tx.query_row("SELECT name FROM account", [], |row| row.get(0)).ok() };
        Profile {
            name: if name.is_empty() { own_name().unwrap_or_default() } else { name },
            picture: shared.picture().map(|picture| (picture.url, picture.key.to_vec())),
            updated: shared.updated_at().map_or(0, |at| at.0 / 1_000),
        }
    }

    /// When a change of the profile is said to be made. Others compare whole seconds (client-messages 4.7): a second change within
    /// one would be none to them, for ever.
    pub(super) fn profile_changes_at(&self) -> Timestamp {
        let last = self.documents.profile.updated_at();
        last.map_or(self.now, |last| self.now.max(last.plus(Duration::from_secs(1))))
    }

    /// Fixes the sent timestamp and writes the content.
    fn utter(&mut self, utterance: &Utterance<'_>) -> Result<(MessageId, Timestamp, Content), Failure> {
        self.utter_after(Timestamp(0), utterance)
    }

    /// [`Self::utter`], later than what it is about, whatever the clock says: the later word counts.
    fn utter_after(
        &mut self,
        earlier: Timestamp,
        utterance: &Utterance<'_>,
    ) -> Result<(MessageId, Timestamp, Content), Failure> {
        if earlier > self.now.plus(MOST_AHEAD) {
            // Following it would take all later messages there as well.
            return Err(StoreError::NotAllowed(
                "a device of this account whose clock is far ahead has said something later",
            )
            .into());
        }
        let sent_at = next_sent_timestamp(self.tx, self.now.max(earlier.plus(Duration::from_millis(1))))?;
        let profile = utterance.with_profile.then(|| self.profile());
        let asks = utterance.asks && settings(self.tx)?.delivery_receipts;
        let content = utterance.speech.content(sent_at, utterance.expiration, profile.as_ref(), asks);
        Ok((MessageId::of(&self.own, sent_at), sent_at, content))
    }

    /// Says something that is shown in no chat, to `to`. With `own_copy` the account's other devices hear it, too.
    pub(super) fn say(
        &mut self,
        to: &AccountId,
        utterance: &Utterance<'_>,
        ttl: Duration,
        own_copy: bool,
        until: Option<Timestamp>,
    ) -> Result<MessageId, Failure> {
        let (id, sent_at, content) = self.utter(utterance)?;
        let own_ttl = own_copy.then_some(ttl);
        self.send(&Outgoing { id: &id, recipient: to, sent_at, content: &content, ttl, own_ttl, until })?;
        Ok(id)
    }

    /// Says something that is a row of its chat.
    fn post(
        &mut self,
        chat: &AccountId,
        utterance: &Utterance<'_>,
        row: Row<'_>,
    ) -> Result<MessageId, Failure> {
        let earlier = self.heard_in(chat)?;
        let (id, sent_at, content) = self.utter_after(earlier, utterance)?;
        let to_self = *chat == self.own;
        let kept = if to_self { sync_copy(content.clone(), chat) } else { content.clone() };
        chats::insert(
            self,
            &NewMessage {
                id: &id,
                chat,
                author: &self.own.clone(),
                sent_at,
                arrived_at: sent_at,
                text: row.text,
                content: Some(&kept.to_bytes()),
                state: Some(MessageState::Queued),
                // A note to oneself has arrived; what one sends to others has not.
                printed: !to_self || row.kind != RowKind::Post,
                kind: row.kind,
                details: row.details,
                quote: row.quote,
                timer: utterance.expiration.into(),
                expires_at: None,
                late: false,
                own_hash: None,
                swarm_expires_at: None,
            },
        )?;
        // Whoever writes has read what came before: other devices take that from their copy (client-messages 4.16).
        if self.has_unread(chat)? {
            self.see(chat, sent_at)?;
        } else {
            self.read_up_to(chat, sent_at, None)?;
        }
        let (ttl, own_ttl) = lives(utterance.expiration);
        self.send(&Outgoing {
            id: &id,
            recipient: chat,
            sent_at,
            content: &content,
            ttl,
            own_ttl: Some(own_ttl),
            until: None,
        })?;
        Ok(id)
    }

    /// What is said now in a chat is said after this, whatever the clock says: where the newest message stands.
    fn heard_in(&self, chat: &AccountId) -> Result<Timestamp, Failure> {
        let newest: Option<(i64, i64)> = self
            .tx
            .prepare_cached(
                "SELECT sort_at, sent_at FROM message WHERE chat = ?1 ORDER BY sort_at DESC LIMIT 1",
            )?
            .query_row([chat.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((newest, sent_at)) = newest.map(|(at, sent)| (timestamp(at), timestamp(sent))) else {
            return Ok(Timestamp(0));
        };
        // Ahead of this clock, but not by much: further ahead, a clock is wrong, and following it would carry the mistake on.
        if !(self.now..=self.now.plus(HEARD_AHEAD)).contains(&newest) {
            return Ok(Timestamp(0));
        }
        Ok(newest.plus(self.apart(sent_at)?))
    }

    /// How much later than the very next millisecond this device says what is to stand after `time`, at which something was said.
    fn apart(&self, time: Timestamp) -> Result<Duration, Failure> {
        let last: i64 =
            self.tx.prepare_cached("SELECT last_sent_at FROM account")?.query_row([], |row| row.get(0))?;
        // This device said something since; nobody else takes its next millisecond.
        if millis(time) <= last {
            return Ok(Duration::ZERO);
        }
        // Another device of this account would take the next millisecond as well, and two messages of one author and time are
        // one message to every program. Their clocks read differently, and so are the times they take apart.
        Ok(Duration::from_millis(self.now.as_millis() % APART))
    }

    /// The owner has seen a chat up to `time`, on this device: others are told, and the authors if the setting says so.
    fn see(&mut self, chat: &AccountId, time: Timestamp) -> Result<(), Failure> {
        // What this very act brings to light, as writing to somebody who was erased does, nobody can have seen.
        let brought: Vec<(MessageId, Timestamp)> = self
            .changes
            .shown
            .iter()
            .filter(|row| row.chat == *chat && !row.outgoing)
            .map(|row| (row.id.clone(), row.sent_at))
            .collect();
        let mut newly = self.read_up_to(chat, self.seen_up_to(chat, time)?, Some(time))?;
        newly.retain(|read| !brought.iter().any(|(_, sent_at)| sent_at == read));
        self.come_late(chat, brought.iter().map(|(id, _)| id))?;
        if settings(self.tx)?.read_receipts && self.is_trusted(chat) {
            self.acknowledge(chat, true, &newly)?;
        }
        Ok(())
    }

    /// Whoever one writes to is a contact one wants to hear of; and is told so, if they asked (client-messages 4.14).
    fn address(&mut self, chat: &AccountId) -> Result<(), Failure> {
        if *chat != self.own {
            let before = self.contact(chat)?;
            if !before.approved {
                self.approve(chat)?;
                if before.approved_me {
                    self.answer_request(chat)?;
                }
            }
        }
        self.unhide(chat)
    }

    /// Tells somebody that their request was accepted.
    fn answer_request(&mut self, chat: &AccountId) -> Result<(), Failure> {
        let response = Utterance { with_profile: true, ..Utterance::plain(Speech::Accepted) };
        self.say(chat, &response, MESSAGE_TTL, false, None).map(drop)
    }

    fn own_message(&self, id: &MessageId) -> Result<MessageRow, Failure> {
        let row = chats::find(self.tx, &self.own, id)?;
        if row.author != self.own || row.kind != RowKind::Post {
            return Err(
                StoreError::NotAllowed("only texts of one's own that are there can be changed").into()
            );
        }
        Ok(row)
    }

    /// Tells the sender of messages that they have arrived or were read, a few hundred at a time.
    fn acknowledge(&mut self, chat: &AccountId, read: bool, sent_at: &[Timestamp]) -> Result<(), Failure> {
        for sent_at in sent_at.chunks(RECEIPTS_AT_ONCE) {
            let receipt = Utterance::plain(Speech::Receipt { read, sent_at });
            self.say(chat, &receipt, RECEIPT_TTL, false, Some(self.now.plus(RECEIPT_TTL)))?;
        }
        Ok(())
    }

    /// Whether receipts and the like go to somebody: contacts only, no requests, nobody blocked, not oneself.
    pub(super) fn is_trusted(&self, chat: &AccountId) -> bool {
        *chat != self.own
            && self
                .documents
                .contacts
                .contact(chat)
                .is_some_and(|contact| contact.approved && !contact.blocked)
    }
}

/// Whether preview and invitation are what receivers take as they are (client-messages 4.4, 4.18).
fn fits(message: &OutgoingMessage) -> Result<(), StoreError> {
    let mut words = Vec::new();
    if let Some(preview) = &message.preview {
        words.push(("the address of the preview", preview.url.len()));
        words.push(("the title of the preview", preview.title.as_ref().map_or(0, String::len)));
        if !message.text.contains(&preview.url) {
            return Err(StoreError::NotAllowed("a preview is of a link that stands in the text"));
        }
    }
    if let Some(invitation) = &message.invitation {
        words.push(("the address of the invitation", invitation.url.len()));
        words.push(("the name in the invitation", invitation.name.len()));
    }
    let limit = MAX_WORDS;
    match words.into_iter().find(|(_, size)| *size > limit) {
        Some((what, size)) => Err(StoreError::TooLarge { what, size, limit }),
        None => Ok(()),
    }
}

/// What of a row is not in its content.
struct Row<'a> {
    kind: RowKind,
    text: &'a str,
    details: &'a Details,
    quote: Option<QuotedMessage>,
}

impl ClientStore {
    /// Takes a message for sending. When this returns, the message, its final sent timestamp and
    /// its places in the outbox are on the disk; before that, nothing may be sent. Writing to
    /// somebody approves them (client-messages 4.14).
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`] if it answers one that is not here, [`StoreError::TooLarge`] and
    /// [`StoreError::NotAllowed`] if others could not show what comes with it, [`StoreError::NoAccount`],
    /// [`StoreError::DiskFull`], …; the message is not taken then.
    pub fn enqueue(
        &self,
        message: &OutgoingMessage,
        now: Timestamp,
    ) -> Result<(MessageRow, Changes), StoreError> {
        fits(message)?;
        self.work("queue the message", now, |work| {
            let quote = match &message.reply_to {
                Some(id) => {
                    let quoted = chats::find(work.tx, &work.own, id)?;
                    if quoted.chat != message.chat {
                        return Err(
                            StoreError::NotAllowed("a reply goes to the chat of what it answers").into()
                        );
                    }
                    Some(QuotedMessage { author: quoted.author, sent_at: quoted.sent_at })
                }
                None => None,
            };
            let expiration = work.timer(&message.chat).into();
            work.address(&message.chat)?;
            let files: Vec<_> =
                message.files.iter().map(|new| (new.file.clone(), new.pointer.clone())).collect();
            let speech = Speech::Post {
                text: &message.text,
                quote,
                preview: message.preview.as_ref(),
                invitation: message.invitation.as_ref(),
                files: &files,
            };
            let details = Details {
                files: files.iter().map(|(file, _)| file.clone()).collect(),
                preview: message.preview.clone(),
                invitation: message.invitation.clone(),
                ..Details::default()
            };
            let utterance = Utterance { speech, expiration, with_profile: true, asks: true };
            let row = Row { kind: RowKind::Post, text: &message.text, details: &details, quote };
            let id = work.post(&message.chat, &utterance, row)?;
            if !message.files.is_empty() {
                work.hold_for(&id, &message.files)?;
            }
            let row = chats::find(work.tx, &work.own, &id)?;
            work.changes.shown.push(row.clone());
            Ok(row)
        })
    }

    /// Replaces the text of a message of one's own, for [`EDIT_WITHIN`] after it was sent. Other programs show a text that
    /// quotes the old one.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`], [`StoreError::UnknownMessage`], …
    pub fn edit(&self, id: &MessageId, text: &str, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("edit a message", now, |work| {
            let row = work.own_message(id)?;
            if now.since(row.sent_at) > EDIT_WITHIN {
                return Err(StoreError::NotAllowed("a text can be edited for a day after it was sent").into());
            }
            if row.text.is_empty() {
                return Err(StoreError::NotAllowed("only texts can be edited").into());
            }
            if row.state == Some(MessageState::Failed) {
                let why = "the message was not sent, so nobody has what would be edited; send it anew";
                return Err(StoreError::NotAllowed(why).into());
            }
            let target = QuotedMessage { author: work.own, sent_at: row.sent_at };
            let expiration: Expiration = row.timer.into();
            let utterance = Utterance {
                speech: Speech::Edit { target, text },
                expiration,
                with_profile: true,
                asks: false,
            };
            let earlier = row.edited_at.map_or(row.sent_at, |edited_at| edited_at.max(row.sent_at));
            // A clock that is ahead of it takes its own time.
            let earlier = if earlier < now { earlier } else { earlier.plus(work.apart(earlier)?) };
            let (edit, sent_at, content) = work.utter_after(earlier, &utterance)?;
            let (ttl, own_ttl) = lives(expiration);
            work.send(&Outgoing {
                id: &edit,
                recipient: &row.chat,
                sent_at,
                content: &content,
                ttl,
                own_ttl: Some(own_ttl),
                until: None,
            })?;
            let edit = incoming::Edit {
                id: &edit,
                target: id,
                chat: &row.chat,
                author: &work.own.clone(),
                sent_at,
                text,
                own_hash: None,
            };
            // The sent timestamp can lie further on than the clock, if the clock was put back.
            if !work.take_edit(&edit)? {
                return Err(StoreError::NotAllowed("a text can be edited for a day after it was sent").into());
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Reacts to a message, or takes a reaction back.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] if it is no emoji, too many come at once, or the message is deleted.
    pub fn react(
        &self,
        id: &MessageId,
        emoji: &str,
        remove: bool,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("react", now, |work| {
            if !is_one_emoji(emoji) {
                return Err(StoreError::NotAllowed("a reaction is one emoji").into());
            }
            let row = chats::find(work.tx, &work.own, id)?;
            if row.kind != RowKind::Post {
                return Err(StoreError::NotAllowed("there is nothing left to react to").into());
            }
            let (since, until) = (millis(now.minus(REACTIONS_WITHIN)), millis(now.plus(REACTIONS_WITHIN)));
            let lately: i64 = work
                .tx
                .prepare_cached(
                    "SELECT count(*) FROM reaction WHERE author = ?1 AND sent_at > ?2 AND sent_at < ?3",
                )?
                .query_row((work.own.as_bytes(), since, until), |row| row.get(0))?;
            if lately >= MAX_REACTIONS && !remove {
                return Err(StoreError::NotAllowed("20 reactions a minute are the limit").into());
            }
            let target = QuotedMessage { author: row.author, sent_at: row.sent_at };
            let reaction = Reaction { target, emoji: emoji.to_owned(), remove };
            let expiration = work.timer(&row.chat).into();
            work.address(&row.chat)?;
            let utterance = Utterance {
                speech: Speech::Reaction(&reaction),
                expiration,
                with_profile: true,
                asks: false,
            };
            let (ttl, own_ttl) = lives(expiration);
            let earlier = work.reacted_at(&row.id, emoji)?;
            let (first, sent_at, content) = work.utter_after(earlier, &utterance)?;
            let outgoing = Outgoing {
                id: &first,
                recipient: &row.chat,
                sent_at,
                content: &content,
                ttl,
                own_ttl: None,
                until: None,
            };
            work.send(&outgoing)?;
            // Its sync copy has a time of its own, or Android drops it (client-messages 4.5). That time counts here as well:
            // what another device said about the same message meanwhile is to come before or after it on all of them.
            let mut counts_from = sent_at;
            if row.chat != work.own {
                let (copy, copied_at, content) = work.utter(&utterance)?;
                let content = sync_copy(content, &row.chat);
                work.send_own_copy(&copy, copied_at, &content, own_ttl)?;
                counts_from = copied_at;
            }
            let own = work.own;
            work.take_reaction(&own, &row.chat, &reaction, counts_from)
        })
        .map(|((), changes)| changes)
    }

    /// Accepts a request: their messages are no requests any more, and they are told.
    ///
    /// # Errors
    /// What the disk says.
    pub fn accept(&self, chat: &AccountId, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("accept a request", now, |work| {
            work.is_another(chat)?;
            if work.contact(chat)?.approved {
                return Ok(());
            }
            work.approve(chat)?;
            work.answer_request(chat)
        })
        .map(|((), changes)| changes)
    }

    /// Changes how messages of a chat disappear, on all devices of this account. The other side is told, and decides for
    /// itself (client-messages 4.10).
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] for a way the chat does not know.
    pub fn set_timer(&self, chat: &AccountId, timer: Timer, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("set a timer", now, |work| {
            if *chat == work.own && matches!(timer, Timer::AfterRead(_)) {
                return Err(StoreError::NotAllowed("notes to oneself disappear after they were sent").into());
            }
            if let Timer::AfterRead(seconds) | Timer::AfterSend(seconds) = timer
                && !(1..=LONGEST_TIMER).contains(&seconds)
            {
                return Err(StoreError::NotAllowed("messages stay between a second and a year").into());
            }
            if work.timer(chat) == timer {
                return Ok(());
            }
            work.address(chat)?;
            work.set_timer(chat, timer)?;
            let utterance = Utterance {
                speech: Speech::TimerChanged,
                expiration: timer.into(),
                with_profile: true,
                asks: false,
            };
            let details = Details { timer: Some(timer), ..Details::default() };
            let row = Row { kind: RowKind::TimerChanged, text: "", details: &details, quote: None };
            let id = work.post(chat, &utterance, row)?;
            let row = chats::find(work.tx, &work.own, &id)?;
            work.changes.shown.push(row);
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Tells somebody that one is typing, or has stopped; if the setting says so, and to contacts only.
    ///
    /// # Errors
    /// What the disk says.
    pub fn type_to(&self, chat: &AccountId, started: bool, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("say that one types", now, |work| {
            if settings(work.tx)?.typing && work.is_trusted(chat) {
                let typing = Utterance::plain(Speech::Typing { started });
                work.say(chat, &typing, TYPING_TTL, false, Some(now.plus(TYPING_TTL)))?;
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// Tells the author of a message that a file of it was saved (client-messages 4.11).
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub fn tell_saved(&self, id: &MessageId, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("say that a file was saved", now, |work| {
            let row = chats::find(work.tx, &work.own, id)?;
            if row.author == work.own || !work.is_trusted(&row.chat) {
                return Ok(());
            }
            // In a chat whose messages go after they were sent, it goes after it was read.
            let expiration = match work.timer(&row.chat) {
                Timer::AfterSend(seconds) => Expiration::AfterRead(seconds),
                other => other.into(),
            };
            let saved =
                Utterance { expiration, ..Utterance::plain(Speech::MediaSaved { sent_at: row.sent_at }) };
            work.say(&row.chat, &saved, MESSAGE_TTL, false, None).map(drop)
        })
        .map(|((), changes)| changes)
    }

    /// Notes that the owner has seen a chat up to this message, on all devices; tells its authors, if the setting says so.
    /// What disappears after it was read begins to.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`], or what the disk says.
    pub fn mark_read(&self, id: &MessageId, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("note what was read", now, |work| {
            let message = chats::find(work.tx, &work.own, id)?;
            let up_to = chats::sort_time(message.sent_at, message.arrived_at);
            work.see(&message.chat, up_to)
        })
        .map(|((), changes)| changes)
    }

    /// Marks a conversation as unread by hand, or takes the mark away; on all devices.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_unread(&self, chat: &AccountId, unread: bool, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("mark a chat", now, |work| work.mark_unread(chat, unread)).map(|((), changes)| changes)
    }

    /// Queues the receipts that are due: for each chat one that names all messages that have arrived.
    ///
    /// # Errors
    /// What the disk says.
    pub fn queue_receipts(&self, now: Timestamp) -> Result<Changes, StoreError> {
        let due = self.read("look for receipts", |connection| {
            let mut due =
                connection.prepare_cached("SELECT DISTINCT chat FROM owed_receipt WHERE due_at <= ?1")?;
            let chats = due.query_map([millis(now)], |row| account_id(row, "chat"))?;
            Ok(chats.collect::<Result<Vec<_>, _>>()?)
        })?;
        if due.is_empty() {
            return Ok(Changes::default());
        }
        self.work("queue receipts", now, |work| {
            for chat in due {
                let sent_at: Vec<i64> = work
                    .tx
                    .prepare_cached("DELETE FROM owed_receipt WHERE chat = ?1 RETURNING sent_at")?
                    .query_map([chat.as_bytes()], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                let sent_at: Vec<Timestamp> = sent_at.into_iter().map(timestamp).collect();
                if settings(work.tx)?.delivery_receipts && work.is_trusted(&chat) {
                    work.acknowledge(&chat, false, &sent_at)?;
                }
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// When receipts become due next.
    pub(super) fn next_receipt(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("look for receipts", |connection| {
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(due_at) FROM owed_receipt")?
                .query_row([], |row| row.get(0))?;
            Ok(next.map(timestamp))
        })
    }

    /// Changes the display name, on all devices.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`].
    pub fn set_display_name(&self, name: &str, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("store the display name", now, |work| {
            let at = work.profile_changes_at();
            work.documents.profile.set_name(name, at).map_err(|error| StoreError::Bug(error.to_string()))?;
            work.project_profile()
        })
        .map(|((), changes)| changes)
    }
}

impl Work<'_> {
    /// When this account last said something with this emoji about a message.
    fn reacted_at(&self, target: &MessageId, emoji: &str) -> Result<Timestamp, Failure> {
        let at: Option<i64> = self
            .tx
            .prepare_cached("SELECT sent_at FROM reaction WHERE target = ?1 AND author = ?2 AND emoji = ?3")?
            .query_row((id_bytes(target), self.own.as_bytes(), emoji), |row| row.get(0))
            .optional()?;
        Ok(at.map_or(Timestamp(0), timestamp))
    }
}
