//! Chats and their messages: reading, printing, deleting.

use std::collections::BTreeSet;

use conclave_confsync::{ConversationId, ReadState};
use conclave_crypto::AccountId;
use conclave_proto::{Namespace, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::contacts::{timer_columns, timer_of};
use super::error::Failure;
use super::meta::own_id;
use super::rows::{state_code, state_of_code};
use super::work::{Work, foreign_at};
use super::{
    ChatRow, ClientStore, FUTURE_TOLERANCE, MOST_AHEAD, MessageRow, ReactionRow, RowKind, StoreError,
    account_id, drafts, files, history, incoming, millis, page, search, timestamp,
};
use crate::said::{Details, QuotedMessage, Timer};
use crate::types::{MessageId, MessageState};
use crate::visible::visible_name;

/// So many digits name a message, if no other begins with them.
const SHORTEST_ID: usize = 6;

impl ClientStore {
    /// The chats: pinned ones first, then that with the newest message; after them the requests, of which strangers can make
    /// any number, in the same order. At most `limit` or [`super::MAX_PAGE`]. Hidden ones are left out.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], or what the disk says.
    pub fn chats(&self, limit: usize) -> Result<Vec<ChatRow>, StoreError> {
        self.read("read the chats", |connection| {
            let own = own_id(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT chat.id AS id, chat.messages AS messages, chat.unread AS unread,
                        contact.name AS name,
                        coalesce(contact.approved, 0) AS approved,
                        chat.marked_unread AS marked_unread,
                        coalesce(contact.priority, 0) AS priority,
                        coalesce(contact.muted_until, 0) AS muted_until,
                        coalesce(contact.expire_kind, 0) AS expire_kind,
                        coalesce(contact.expire_seconds, 0) AS expire_seconds,
                        coalesce(contact.blocked, 0) AS blocked,
                        contact.nickname AS nickname, draft.text AS draft,
                        draft.reply_to AS draft_reply_to,
                        (SELECT substr(blob, 1, 16) FROM picture WHERE picture.account = chat.id) AS picture,
                        (SELECT sort_at FROM message WHERE chat = chat.id
                         ORDER BY sort_at DESC LIMIT 1) AS newest
                 FROM chat LEFT JOIN contact ON contact.id = chat.id LEFT JOIN draft ON draft.chat = chat.id
                 WHERE coalesce(contact.priority, 0) >= 0
                 ORDER BY coalesce(contact.approved, 0) = 0 AND chat.id <> (SELECT id FROM account),
                          priority DESC, newest DESC NULLS LAST, chat.id LIMIT ?1",
            )?;
            let mut chats = statement
                .query_map([page(limit)], |row| {
                    let id = account_id(row, "id")?;
                    let muted_until: i64 = row.get("muted_until")?;
                    Ok(ChatRow {
                        id,
                        name: visible_name(row.get_ref("name")?.as_str_or_null()?),
                        nickname: visible_name(row.get_ref("nickname")?.as_str_or_null()?),
                        is_self: id == own,
                        draft: drafts::draft_columns(row)?,
                        request: id != own && !row.get::<_, bool>("approved")?,
                        last: None,
                        messages: count(row.get("messages")?),
                        unread: count(row.get("unread")?),
                        marked_unread: row.get("marked_unread")?,
                        priority: row.get("priority")?,
                        muted_until: (muted_until > 0).then(|| timestamp(muted_until)),
                        timer: timer_of(row.get("expire_kind")?, row.get("expire_seconds")?),
                        blocked: row.get("blocked")?,
                        picture: row.get("picture")?,
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            for chat in &mut chats {
                chat.last = history::newest(connection, &own, &chat.id, 1)?.pop();
            }
            Ok(chats)
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

    /// The message whose id begins like this, if exactly one does.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMessage`] if none does, [`StoreError::SeveralMessages`], or [`StoreError::NoMessageId`] if the text is
    /// no beginning of an id or shorter than six digits.
    pub fn find_message(&self, beginning: &str) -> Result<MessageRow, StoreError> {
        self.read("look for a message", |connection| {
            let beginning = beginning.trim().to_ascii_lowercase();
            let is_id =
                beginning.len() <= MessageId::LENGTH && beginning.bytes().all(|b| b.is_ascii_hexdigit());
            if beginning.len() < SHORTEST_ID || !is_id {
                return Err(StoreError::NoMessageId(beginning.chars().take(40).collect()).into());
            }
            let pad = |digit: &str| {
                let missing = MessageId::LENGTH.saturating_sub(beginning.len());
                hex::decode(format!("{beginning}{}", digit.repeat(missing))).unwrap_or_default()
            };
            let (first, last) = (pad("0"), pad("f"));
            let ids: Vec<MessageId> = connection
                .prepare_cached("SELECT id FROM message WHERE id BETWEEN ?1 AND ?2 LIMIT 2")?
                .query_map((first, last), message_id)?
                .collect::<Result<_, _>>()?;
            match ids.as_slice() {
                [id] => find(connection, &own_id(connection)?, id),
                [] => Err(StoreError::NoSuchMessage(beginning).into()),
                _ => Err(StoreError::SeveralMessages(beginning).into()),
            }
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
            let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
            complete(connection, &mut rows)?;
            Ok(rows)
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
}

/// What [`message_row`] reads; `message` joined with `contact` of the author.
pub(super) const MESSAGE_COLUMNS: &str = "message.id, message.chat, message.author, message.sent_at,
    message.arrived_at, message.sort_at, message.outgoing, message.text, message.state, message.signed,
    message.swarm, message.reason, message.own_hash, message.kind, message.details, message.quote_author,
    message.quote_sent_at, message.edited_at, message.expire_kind, message.expire_seconds, message.expires_at,
    contact.name AS author_name, contact.nickname AS author_nickname, coalesce(contact.approved, 0) AS approved";

pub(super) fn unprinted_sql() -> String {
    format!(
        "SELECT {MESSAGE_COLUMNS} FROM message LEFT JOIN contact ON contact.id = message.author
         WHERE printed = 0 AND kind = 0 ORDER BY message.row LIMIT ?1"
    )
}

pub(super) fn message_row(row: &Row<'_>, own: &AccountId) -> rusqlite::Result<MessageRow> {
    let author = account_id(row, "author")?;
    let outgoing: bool = row.get("outgoing")?;
    let sent_at: i64 = row.get("sent_at")?;
    let sort_at: i64 = row.get("sort_at")?;
    let details = row.get_ref("details")?.as_str_or_null()?.map(serde_json::from_str::<Details>);
    let quote = match row.get_ref("quote_author")?.as_blob_or_null()?.map(AccountId::from_slice) {
        Some(Ok(author)) => {
            let sent_at: i64 = row.get("quote_sent_at")?;
            Some(QuotedMessage { author, sent_at: timestamp(sent_at) })
        }
        _ => None,
    };
    Ok(MessageRow {
        id: message_id(row)?,
        chat: account_id(row, "chat")?,
        author_name: visible_name(row.get_ref("author_name")?.as_str_or_null()?.filter(|_| author != *own)),
        author_nickname: visible_name(
            row.get_ref("author_nickname")?.as_str_or_null()?.filter(|_| author != *own),
        ),
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
        kind: RowKind::of_code(row.get("kind")?),
        // Written by a newer version, perhaps: the text is there all the same.
        details: details.and_then(Result::ok).unwrap_or_default(),
        quote,
        edited_at: row.get::<_, Option<i64>>("edited_at")?.map(timestamp),
        timer: timer_of(row.get("expire_kind")?, row.get("expire_seconds")?),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(timestamp),
        reactions: Vec::new(),
        files: Vec::new(),
    })
}

/// Adds who reacted how, and how far files have come. The emoji that was used first stands first.
pub(super) fn complete(connection: &Connection, rows: &mut [MessageRow]) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT emoji, author FROM reaction WHERE target = ?1 AND chat = ?2 AND removed = 0 ORDER BY sent_at, author",
    )?;
    files::attach(connection, rows)?;
    for row in rows.iter_mut().filter(|row| row.kind == RowKind::Post) {
        let found = statement.query_map((id_bytes(&row.id), row.chat.as_bytes()), |row| {
            Ok((row.get::<_, String>("emoji")?, account_id(row, "author")?))
        })?;
        for reaction in found {
            let (emoji, author) = reaction?;
            match row.reactions.iter_mut().find(|known| known.emoji == emoji) {
                Some(known) => known.authors.push(author),
                None => row.reactions.push(ReactionRow { emoji, authors: vec![author] }),
            }
        }
    }
    Ok(())
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
    pub kind: RowKind,
    pub details: &'a Details,
    pub quote: Option<QuotedMessage>,
    pub timer: Timer,
    pub expires_at: Option<Timestamp>,
    /// Unread, though the chat was read past its place.
    pub late: bool,
    /// The copy in the account's own swarm, and when it goes.
    pub own_hash: Option<&'a str>,
    pub swarm_expires_at: Option<Timestamp>,
}

/// Puts a message into its chat, which is made if there is none.
pub(super) fn insert(work: &mut Work<'_>, new: &NewMessage<'_>) -> Result<(), Failure> {
    let tx = work.tx;
    let outgoing = *new.author == work.own;
    let sort_at = millis(sort_time(new.sent_at, new.arrived_at));
    let details = if *new.details == Details::default() {
        None
    } else {
        Some(serde_json::to_string(new.details).map_err(|error| StoreError::Bug(error.to_string()))?)
    };
    work.open_chat(new.chat)?;
    tx.prepare_cached("UPDATE chat SET messages = messages + 1 WHERE id = ?1")?
        .execute([new.chat.as_bytes()])?;
    if !outgoing {
        tx.prepare_cached("UPDATE chat SET unread = unread + 1 WHERE id = ?1 AND (read_upto < ?2 OR ?3)")?
            .execute((new.chat.as_bytes(), sort_at, new.late))?;
    }
    let (expire_kind, expire_seconds) = timer_columns(new.timer);
    tx.prepare_cached(
        "INSERT INTO message (id, chat, author, sent_at, arrived_at, sort_at, outgoing, text, content, state, printed,
             kind, details, quote_author, quote_sent_at, expire_kind, expire_seconds, expires_at, own_hash,
             swarm_expires_at, late)
         VALUES (:id, :chat, :author, :sent_at, :arrived_at, :sort_at, :outgoing, :text, :content, :state, :printed,
             :kind, :details, :quote_author, :quote_sent_at, :expire_kind, :expire_seconds, :expires_at, :own_hash,
             :swarm_expires_at, :late)",
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
        ":kind": new.kind.code(),
        ":details": details,
        ":quote_author": new.quote.map(|quote| quote.author.as_bytes().to_vec()),
        ":quote_sent_at": new.quote.map(|quote| millis(quote.sent_at)),
        ":expire_kind": expire_kind,
        ":expire_seconds": expire_seconds,
        ":expires_at": new.expires_at.map(millis),
        ":own_hash": new.own_hash,
        ":swarm_expires_at": new.swarm_expires_at.map(millis),
        ":late": new.late,
    })?;
    search::take_in(work, new.id)
}

/// Takes a message out of its chat, and keeps it from coming back.
pub(super) fn remove(work: &mut Work<'_>, row: &MessageRow) -> Result<(), Failure> {
    incoming::remember_deleted(work.tx, &row.id, false, work.now)?;
    forget_what_belongs_to(work, &row.id, true)?;
    withdraw(work, row)
}

/// [`remove`] on this device only: the swarm keeps it for others.
pub(super) fn hide(work: &mut Work<'_>, row: &MessageRow) -> Result<(), Failure> {
    incoming::remember_hidden(work.tx, &row.id, work.now)?;
    forget_what_belongs_to(work, &row.id, false)?;
    withdraw(work, row)
}

/// Takes what only stood in for something else out of its chat.
pub(super) fn withdraw(work: &mut Work<'_>, row: &MessageRow) -> Result<(), Failure> {
    search::forget(work, &row.id)?;
    // Counted along: many can go at once, and counting all of them for each takes long.
    work.tx
        .prepare_cached(
            "UPDATE chat SET messages = messages - 1, unread = unread -
                    (SELECT count(*) FROM message
                     WHERE message.id = ?2 AND message.outgoing = 0
                       AND (message.sort_at > chat.read_upto OR message.late = 1))
             WHERE id = ?1",
        )?
        .execute((row.chat.as_bytes(), id_bytes(&row.id)))?;
    work.tx.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([id_bytes(&row.id)])?;
    // Of a message that only stood in for something else, they go with it.
    files::forget(work, &row.id, false)?;
    work.changes.deleted.push((row.chat, row.id.clone()));
    Ok(())
}

/// Leaves of a message only that it was deleted.
pub(super) fn blank(work: &mut Work<'_>, row: &MessageRow) -> Result<(), Failure> {
    incoming::remember_deleted(work.tx, &row.id, true, work.now)?;
    forget_what_belongs_to(work, &row.id, true)?;
    search::forget(work, &row.id)?;
    work.tx
        .prepare_cached(
            "UPDATE message SET kind = ?2, doc = NULL, text = '', content = NULL, details = NULL, quote_author = NULL,
                    quote_sent_at = NULL, edited_at = NULL, edit_id = NULL, own_hash = NULL, printed = 1
             WHERE id = ?1",
        )?
        .execute((id_bytes(&row.id), RowKind::Deleted.code()))?;
    work.touch(&row.id);
    Ok(())
}

/// Reactions to a message, edits of it, its files; with `in_swarm`, the edits are not sent any more, and swarms are to forget
/// them and the files as well.
fn forget_what_belongs_to(work: &mut Work<'_>, id: &MessageId, in_swarm: bool) -> Result<(), Failure> {
    let edits: Vec<(MessageId, Option<String>)> = work
        .tx
        .prepare_cached("DELETE FROM edit WHERE target = ?1 RETURNING id, own_hash")?
        .query_map([id_bytes(id)], |row| Ok((message_id(row)?, row.get("own_hash")?)))?
        .collect::<Result<_, _>>()?;
    for (edit, hash) in edits.into_iter().filter(|_| in_swarm) {
        // Nor is one sent that waits; and what is under way is deleted where it arrives.
        work.unqueue(&edit)?;
        incoming::remember_deleted(work.tx, &edit, false, work.now)?;
        if let Some(hash) = hash {
            work.delete_in_own_swarm(&hash)?;
        }
    }
    work.tx.prepare_cached("DELETE FROM reaction WHERE target = ?1")?.execute([id_bytes(id)])?;
    files::forget(work, id, in_swarm)
}

/// Takes a whole conversation away.
pub(super) fn erase(work: &mut Work<'_>, chat: &AccountId) -> Result<(), Failure> {
    loop {
        // Some at a time: a conversation can be larger than memory.
        let rows = history::newest(work.tx, &work.own, chat, super::MAX_PAGE)?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            if let Some(hash) = &row.own_hash {
                work.delete_in_own_swarm(hash)?;
            }
            work.unqueue(&row.id)?;
            incoming::remember_deleted(work.tx, &row.id, false, work.now)?;
            forget_what_belongs_to(work, &row.id, true)?;
            search::forget(work, &row.id)?;
            work.tx.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([id_bytes(&row.id)])?;
            work.changes.deleted.push((row.chat, row.id.clone()));
        }
    }
    work.tx.prepare_cached("DELETE FROM draft WHERE chat = ?1")?.execute([chat.as_bytes()])?;
    work.tx.prepare_cached("DELETE FROM chat WHERE id = ?1")?.execute([chat.as_bytes()])?;
    Ok(())
}

impl Work<'_> {
    /// The chat has been read up to `time`; never less far than before. Where it was seen on this device, `seen` says up to where
    /// ([`Self::seen_up_to`] makes `time` of it), and other devices are told. Returns the sent timestamps of others' messages
    /// that are newly read.
    pub(super) fn read_up_to(
        &mut self,
        chat: &AccountId,
        time: Timestamp,
        seen: Option<Timestamp>,
    ) -> Result<Vec<Timestamp>, Failure> {
        let before: i64 = self
            .tx
            .prepare_cached("SELECT read_upto FROM chat WHERE id = ?1")?
            .query_row([chat.as_bytes()], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let tell = seen.is_some();
        if tell {
            let conversation = ConversationId::Account(*chat);
            if let Err(error) = self.documents.conversations.mark_read(&conversation, time, self.now) {
                tracing::warn!(%error, "a read position cannot be shared with other devices");
            }
        }
        // A mark by hand is in the document, and goes with it.
        let moved = self
            .tx
            .prepare_cached(
                "UPDATE chat SET read_upto = max(read_upto, ?2), marked_unread = marked_unread AND NOT ?3
                 WHERE id = ?1 AND (read_upto < ?2 OR (marked_unread AND ?3))",
            )?
            .execute((chat.as_bytes(), millis(time), tell))?;
        if moved == 0 && !tell {
            return Ok(Vec::new());
        }
        // Of those that came late only what was seen is read; what other devices have seen of them, they cannot say.
        let late: Vec<(Timestamp, bool)> = self
            .tx
            .prepare_cached(
                "UPDATE message SET late = 0 WHERE chat = ?1 AND late = 1 AND sort_at <= ?2 RETURNING sent_at, kind",
            )?
            .query_map((chat.as_bytes(), millis(seen.unwrap_or(time))), |row| {
                Ok((timestamp(row.get(0)?), row.get::<_, i64>(1)? == 0))
            })?
            .collect::<Result<_, _>>()?;
        if moved == 0 && late.is_empty() {
            return Ok(Vec::new());
        }
        count_unread(self, chat)?;
        self.changes.chats.insert(*chat);
        self.begin_to_expire_read(chat, time)?;
        let mut newly: Vec<Timestamp> = self
            .tx
            .prepare_cached(
                "SELECT sent_at FROM message WHERE chat = ?1 AND sort_at > ?2 AND sort_at <= ?3 AND outgoing = 0
                 AND kind = 0",
            )?
            .query_map((chat.as_bytes(), before, millis(time)), |row| row.get::<_, i64>(0))?
            .map(|sent_at| sent_at.map(timestamp))
            .collect::<Result<_, _>>()?;
        newly.extend(late.into_iter().filter_map(|(sent_at, is_post)| is_post.then_some(sent_at)));
        Ok(newly)
    }

    /// How far a chat is read that was seen up to `time`: a little further than before, if that shows messages that came late.
    /// Other devices learn of nothing but how far was read. Not over a message that was not seen: its author would be told
    /// that it was.
    pub(super) fn seen_up_to(&self, chat: &AccountId, time: Timestamp) -> Result<Timestamp, Failure> {
        let late = self
            .tx
            .prepare_cached("SELECT 1 FROM message WHERE chat = ?1 AND late = 1 AND sort_at <= ?2")?
            .exists((chat.as_bytes(), millis(time)))?;
        if !late {
            return Ok(time);
        }
        let before: i64 = self
            .tx
            .prepare_cached("SELECT read_upto FROM chat WHERE id = ?1")?
            .query_row([chat.as_bytes()], |row| row.get(0))?;
        let further = time.max(timestamp(before.saturating_add(1)));
        let unseen = self
            .tx
            .prepare_cached(
                "SELECT 1 FROM message WHERE chat = ?1 AND sort_at > ?2 AND sort_at <= ?3 AND outgoing = 0",
            )?
            .exists((chat.as_bytes(), before.max(millis(time)), millis(further)))?;
        Ok(if unseen { time } else { further })
    }

    /// These messages of others stand where was read already, and are unread.
    pub(super) fn come_late<'a>(
        &mut self,
        chat: &AccountId,
        messages: impl Iterator<Item = &'a MessageId>,
    ) -> Result<(), Failure> {
        let mut any = false;
        for id in messages {
            any |= self
                .tx
                .prepare_cached("UPDATE message SET late = 1 WHERE id = ?1 AND outgoing = 0")?
                .execute([id_bytes(id)])?
                > 0;
        }
        if any {
            count_unread(self, chat)?;
            self.changes.chats.insert(*chat);
        }
        Ok(())
    }

    /// Another device said at `at` how far it has read a chat.
    pub(super) fn note_read_elsewhere(&self, chat: &AccountId, at: Timestamp) -> Result<(), Failure> {
        self.tx
            .prepare_cached("UPDATE chat SET read_elsewhere = ?2 WHERE id = ?1 AND read_elsewhere < ?2")?
            .execute((chat.as_bytes(), millis(at)))?;
        Ok(())
    }

    /// Makes a chat if there is none, read as far as other devices have read it.
    pub(super) fn open_chat(&mut self, chat: &AccountId) -> Result<(), Failure> {
        let conversation = ConversationId::Account(*chat);
        let known = self.documents.conversations.read_state(&conversation).unwrap_or_default();
        let last_read = if self.is_believable(known.last_read) { known.last_read } else { Timestamp(0) };
        let told = foreign_at(self.tx, Namespace::CONVO_INFO_VOLATILE)?;
        self.tx
            .prepare_cached(
                "INSERT INTO chat (id, read_upto, marked_unread, read_elsewhere) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((chat.as_bytes(), millis(last_read), known.unread, millis(told)))?;
        Ok(())
    }

    /// Whether a chat may have been read up to there. A message from the future stands where it came; who says to have read far
    /// beyond that, has another program that errs, and what is still to come would be read for ever.
    fn is_believable(&self, last_read: Timestamp) -> bool {
        last_read <= self.now.plus(MOST_AHEAD)
    }

    /// Whether there is something in a chat that the owner has not seen, or marked so.
    pub(super) fn has_unread(&self, chat: &AccountId) -> Result<bool, Failure> {
        Ok(self
            .tx
            .prepare_cached("SELECT 1 FROM chat WHERE id = ?1 AND (unread > 0 OR marked_unread = 1)")?
            .exists([chat.as_bytes()])?)
    }

    /// Of two devices that read a chat at one time, the document keeps what one says. Where this one has read further, and no
    /// message of ours tells others so, it says that once more.
    fn say_again_how_far(
        &mut self,
        conversation: &ConversationId,
        chat: &AccountId,
        known: ReadState,
    ) -> Result<(), Failure> {
        let further: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT max(sort_at) FROM message WHERE chat = ?1 AND outgoing = 0 AND sort_at > ?2
                 AND sort_at <= (SELECT read_upto FROM chat WHERE id = ?1)
                 AND sort_at > (SELECT ifnull(max(sort_at), 0) FROM message WHERE chat = ?1 AND outgoing = 1)",
            )?
            .query_row((chat.as_bytes(), millis(known.last_read)), |row| row.get(0))?;
        if let Some(further) = further {
            let state = ReadState { last_read: timestamp(further), ..known };
            if let Err(error) = self.documents.conversations.set_read_state(conversation, state, self.now) {
                tracing::warn!(%error, "a read position cannot be shared with other devices");
            }
        }
        Ok(())
    }

    /// Marks a conversation by hand.
    pub(super) fn mark_unread(&mut self, chat: &AccountId, unread: bool) -> Result<(), Failure> {
        self.documents
            .conversations
            .set_unread(&ConversationId::Account(*chat), unread, self.now)
            .map_err(|error| StoreError::Bug(error.to_string()))?;
        self.note_unread_mark(chat, unread)
    }

    /// A mark by hand, made on this device or another.
    pub(super) fn note_unread_mark(&mut self, chat: &AccountId, unread: bool) -> Result<(), Failure> {
        let changed = self
            .tx
            .prepare_cached("UPDATE chat SET marked_unread = ?2 WHERE id = ?1 AND marked_unread <> ?2")?
            .execute((chat.as_bytes(), unread))?;
        if changed > 0 {
            self.changes.chats.insert(*chat);
        }
        Ok(())
    }

    /// What the document of read positions says, into the tables; after a merge.
    pub(super) fn project_conversations(&mut self) -> Result<(), Failure> {
        let mut marked: BTreeSet<AccountId> = self
            .tx
            .prepare_cached("SELECT id FROM chat WHERE marked_unread = 1")?
            .query_map([], |row| account_id(row, "id"))?
            .collect::<Result<_, _>>()?;
        let told = foreign_at(self.tx, Namespace::CONVO_INFO_VOLATILE)?;
        let states: Vec<_> = self.documents.conversations.read_states().collect();
        for (conversation, state) in states {
            if let ConversationId::Account(chat) = conversation {
                if state.last_read.0 > 0 && self.is_believable(state.last_read) {
                    // Where it is further than what this device knew, another has read.
                    if !self.is_read(&chat, state.last_read)? {
                        self.note_read_elsewhere(&chat, told)?;
                    }
                    self.read_up_to(&chat, state.last_read, None)?;
                    self.say_again_how_far(&conversation, &chat, state)?;
                }
                self.note_unread_mark(&chat, state.unread)?;
                marked.remove(&chat);
            }
        }
        // Where nothing was read, or long ago, the document says nothing of a chat once its mark is taken back.
        for chat in marked {
            self.note_unread_mark(&chat, false)?;
        }
        Ok(())
    }
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
        .ok_or_else(|| StoreError::UnknownMessage(id.clone()))
        .map_err(Failure::from)
        .and_then(|mut row| {
            complete(connection, std::slice::from_mut(&mut row))?;
            Ok(row)
        })
}

/// An id as the database keeps it.
pub(super) fn id_bytes(id: &MessageId) -> Vec<u8> {
    hex::decode(id.as_str()).unwrap_or_default()
}

pub(super) fn message_id(row: &Row<'_>) -> rusqlite::Result<MessageId> {
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
pub(super) fn sort_time(sent_at: Timestamp, arrived_at: Timestamp) -> Timestamp {
    if sent_at > arrived_at.plus(FUTURE_TOLERANCE) { arrived_at } else { sent_at }
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

fn count_unread(work: &Work<'_>, chat: &AccountId) -> Result<(), Failure> {
    work.tx
        .prepare_cached(
            "UPDATE chat SET unread = (SELECT count(*) FROM message
             WHERE message.chat = ?1 AND sort_at > read_upto AND outgoing = 0)
             + (SELECT count(*) FROM message WHERE message.chat = ?1 AND late = 1 AND sort_at <= read_upto)
         WHERE id = ?1",
        )?
        .execute([chat.as_bytes()])?;
    Ok(())
}
