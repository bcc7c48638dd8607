//! Full-text search over all messages, newest first, in any script.
//!
//! The index is SQLite's FTS5 over words that we cut ourselves (`words`, `letters`): its own tokenizers know no scripts
//! without spaces, and we have to mark what was found by the same rules. A document's number is made of the message's
//! place in time, so the newest hits come first without sorting, however common the word. Chat, author, direction and
//! kinds are words of the index too, in a column of their own; a search in a quiet chat for a common word jumps from one
//! message of the chat to the next.
//!
//! Invariant: a message in a row above the backlog is in the index if and only if it has a document number. Whoever
//! deletes or changes a text calls [`forget`] before and [`take_in`] after; words that no message has any more are then in
//! no page of the file (`scrub`).
//!
//! Conversations that are blocked or hidden are searched like others: what is on the device can be found by its owner,
//! as in Signal. Their messages say in which chat they are.

mod letters;
mod question;
mod scrub;
mod words;

use std::ops::Range;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::chats::{MESSAGE_COLUMNS, complete, id_bytes, message_row};
use super::error::Failure;
use super::meta::own_id;
use super::work::Work;
use super::{ClientStore, MAX_PAGE, MessageRow, StoreError, millis};
use crate::said::{Details, File};
use crate::types::MessageId;
use question::{Question, quoted};
pub(super) use scrub::scrub;
use words::Terms;

/// The longest text that can be looked for, in bytes.
pub const MAX_SEARCH_BYTES: usize = 1_024;
/// The most words in it.
pub const MAX_SEARCH_WORDS: usize = 32;

/// Document numbers for each millisecond.
const DOCS_PER_MILLI: i64 = 256;
/// Messages of the backlog that are taken in at once: some ten milliseconds of work.
const BACKLOG_AT_ONCE: i64 = 250;
/// Words that are gone are looked after when there are so many.
const SCRUB_AT: usize = 4_096;

/// What a message holds, for searching. One message can hold several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// A text.
    Text,
    /// An address of a web page.
    Link,
    /// Any file but a voice message.
    File,
    /// A picture.
    Picture,
    /// A video.
    Video,
    /// A voice message.
    Voice,
    /// An invitation to a community.
    Invitation,
}

impl SearchKind {
    const ALL: [Self; 7] =
        [Self::Text, Self::Link, Self::File, Self::Picture, Self::Video, Self::Voice, Self::Invitation];

    const fn word(self) -> &'static str {
        match self {
            Self::Text => "ktext",
            Self::Link => "klink",
            Self::File => "kfile",
            Self::Picture => "kpicture",
            Self::Video => "kvideo",
            Self::Voice => "kvoice",
            Self::Invitation => "kinvitation",
        }
    }

    fn is_in(self, text: &str, details: &Details) -> bool {
        let of_type = |prefix: &str| {
            let is = |file: &File| file.content_type.as_deref().is_some_and(|it| it.starts_with(prefix));
            details.files.iter().any(is)
        };
        match self {
            Self::Text => !text.trim().is_empty(),
            Self::Link => details.preview.is_some() || text.contains("http://") || text.contains("https://"),
            Self::File => details.files.iter().any(|file| !file.voice),
            Self::Picture => of_type("image/"),
            Self::Video => of_type("video/"),
            Self::Voice => details.files.iter().any(|file| file.voice),
            Self::Invitation => details.invitation.is_some(),
        }
    }
}

/// Where a page of hits ended. Stays of use when messages come or go.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct SearchCursor(
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    i64,
);

/// What to look for. All that is given has to hold; at least one thing has to be given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words, in any order; the last may be a beginning. Nothing in it is syntax. At most [`MAX_SEARCH_BYTES`].
    pub text: String,
    /// Only in this chat.
    pub chat: Option<AccountId>,
    /// Only by this author.
    pub author: Option<AccountId>,
    /// Only messages written by this account, or only others'.
    pub outgoing: Option<bool>,
    /// Only messages that hold this.
    pub kind: Option<SearchKind>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Not after this time.
    pub to: Option<Timestamp>,
    /// Go on after an earlier page ([`SearchPage::next`]).
    pub after: Option<SearchCursor>,
    /// At most so many hits, and never more than [`MAX_PAGE`].
    pub limit: usize,
}

impl std::fmt::Debug for SearchQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SearchQuery({} bytes, limit {})", self.text.len(), self.limit)
    }
}

/// A message that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// The message.
    pub message: MessageRow,
    /// With this a page begins after it.
    pub at: SearchCursor,
    /// What to mark in its text: byte ranges, in order. Empty if it was found by a file's name or without words.
    pub ranges: Vec<Range<usize>>,
}

/// Some of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// Newest first.
    pub hits: Vec<SearchHit>,
    /// With this the next page begins; `None` after the last.
    pub next: Option<SearchCursor>,
    /// The index still takes in old messages ([`ClientStore::index_backlog`]): some may be missing.
    pub incomplete: bool,
}

impl ClientStore {
    /// Looks for messages, newest first.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for too long a text, [`StoreError::NotAllowed`] if nothing is looked for, or what the disk
    /// says.
    pub fn search(&self, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        let size = query.text.len();
        if size > MAX_SEARCH_BYTES {
            return Err(StoreError::TooLarge { what: "a search", size, limit: MAX_SEARCH_BYTES });
        }
        let question = Question::new(&query.text);
        let parts = question.parts();
        if parts > MAX_SEARCH_WORDS {
            let what = "a search, counted in words,";
            return Err(StoreError::TooLarge { what, size: parts, limit: MAX_SEARCH_WORDS });
        }
        let mut conditions: Vec<String> = question.conditions().collect();
        if conditions.is_empty() && !query.text.trim().is_empty() {
            // Only punctuation: there is no such word.
            return Ok(SearchPage::default());
        }
        conditions.extend(query.filters().map(|word| format!("about : {}", quoted(&word))));
        if conditions.is_empty() {
            return Err(StoreError::NotAllowed("a search needs a word, a chat, a sender or a kind"));
        }
        self.read("search", |connection| find(connection, query, &question, &conditions.join(" AND ")))
    }

    /// Takes some older messages into the index, the newest first; whether there are more. To be called until there are
    /// none: a database from before version 3, or one whose words were cut by other rules, is taken in this way while the
    /// program is at work. Killed in between, it goes on where it was.
    ///
    /// # Errors
    /// What the disk says.
    pub fn index_backlog(&self) -> Result<bool, StoreError> {
        if self.read("look for messages to index", backlog)? == 0 {
            return Ok(false);
        }
        self.write("index messages", |tx| {
            let upto = backlog(tx)?;
            let mut rows: Vec<(i64, i64)> = tx
                .prepare_cached(
                    "SELECT sort_at, row FROM message WHERE row <= ?1 AND kind = 0 ORDER BY row DESC LIMIT ?2",
                )?
                .query_map((upto, BACKLOG_AT_ONCE), |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let lowest = rows.last().map_or(0, |(_, row)| *row);
            let left = if i64::try_from(rows.len()).is_ok_and(|n| n < BACKLOG_AT_ONCE) { 0 } else { lowest - 1 };
            tx.prepare_cached("UPDATE search_state SET backlog = ?1")?.execute([left])?;
            // FTS5 likes rising numbers: each fall begins a segment of its own.
            rows.sort_unstable();
            for (_, row) in rows {
                if let Some(entry) = Entry::find(tx, "row = ?1", row)? {
                    entry.take_in(tx)?;
                }
            }
            Ok(left > 0)
        })
    }
}

impl SearchQuery {
    fn filters(&self) -> impl Iterator<Item = String> {
        let chat = self.chat.map(|id| chat_word(&id));
        let author = self.author.map(|id| author_word(&id));
        let direction = self.outgoing.map(|outgoing| direction_word(outgoing).to_owned());
        let kind = self.kind.map(|kind| kind.word().to_owned());
        [chat, author, direction, kind].into_iter().flatten()
    }

    /// The document numbers that can be meant, both included.
    fn docs(&self) -> (i64, i64) {
        let lowest = self.from.map_or(0, |from| base(millis(from)));
        let highest = self.to.map_or(i64::MAX, |to| base(millis(to)).saturating_add(DOCS_PER_MILLI - 1));
        let before = self.after.map_or(i64::MAX, |after| after.0.saturating_sub(1));
        (lowest, highest.min(before))
    }
}

/// The statement of a search. `CROSS JOIN` fixes the order: first the index, then what it names.
pub(super) fn search_sql() -> String {
    format!(
        "SELECT {MESSAGE_COLUMNS}, message.doc FROM search
         CROSS JOIN message ON message.doc = search.rowid
         LEFT JOIN contact ON contact.id = message.author
         WHERE search MATCH ?1 AND search.rowid BETWEEN ?2 AND ?3 ORDER BY search.rowid DESC LIMIT ?4"
    )
}

fn find(
    connection: &Connection,
    query: &SearchQuery,
    question: &Question,
    condition: &str,
) -> Result<SearchPage, Failure> {
    let own = own_id(connection)?;
    let limit = query.limit.clamp(1, MAX_PAGE);
    let (lowest, highest) = query.docs();
    // One more tells whether there is a next page.
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = connection.prepare_cached(&search_sql())?;
    let found = statement.query_map((condition, lowest, highest, one_more), |row| {
        Ok((row.get::<_, i64>("doc")?, message_row(row, &own)?))
    })?;
    let mut found: Vec<(i64, MessageRow)> = found.collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(doc, _)| SearchCursor(*doc));
    let (docs, mut rows): (Vec<i64>, Vec<MessageRow>) = found.into_iter().unzip();
    complete(connection, &mut rows)?;
    let hits = docs
        .into_iter()
        .zip(rows)
        .map(|(doc, message)| SearchHit {
            at: SearchCursor(doc),
            ranges: question.places(&message.text),
            message,
        })
        .collect();
    Ok(SearchPage { hits, next, incomplete: backlog(connection)? > 0 })
}

/// After opening: an index whose words were cut by other rules begins anew.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    let rules = letters::rules();
    let kept: String = connection.query_row("SELECT rules FROM search_state", [], |row| row.get(0))?;
    if kept == rules {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if !kept.is_empty() {
        tx.execute("INSERT INTO search (search) VALUES ('delete-all')", [])?;
        tx.execute("UPDATE search_state SET backlog = (SELECT coalesce(max(row), 0) FROM message)", [])?;
    }
    tx.execute("UPDATE search_state SET rules = ?1", [rules])?;
    tx.commit()
}

/// A message is new, or its text is: it can be found from now on.
pub(super) fn take_in(work: &Work<'_>, id: &MessageId) -> Result<(), Failure> {
    match Entry::find(work.tx, "id = ?1 AND kind = 0", id_bytes(id))? {
        Some(entry) if entry.row > backlog(work.tx)? => entry.take_in(work.tx),
        // In its turn.
        _ => Ok(()),
    }
}

/// A message, or its text, is about to go: it can be found no more. Before the row changes, since the index is told what to
/// take out.
pub(super) fn forget(work: &mut Work<'_>, id: &MessageId) -> Result<(), Failure> {
    let Some(entry) = Entry::find(work.tx, "id = ?1 AND doc IS NOT NULL", id_bytes(id))? else {
        return Ok(());
    };
    if entry.row <= backlog(work.tx)? {
        return Ok(());
    }
    let terms = entry.take_out(work.tx)?;
    work.gone_words.extend(terms.words.split(' ').map(str::to_owned));
    work.gone_words.extend(terms.singles.split(' ').map(str::to_owned));
    if work.gone_words.len() >= SCRUB_AT {
        let words = std::mem::take(&mut work.gone_words);
        scrub(work.tx, &words)?;
    }
    Ok(())
}

/// Rows up to this one are not in the index yet.
fn backlog(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection
        .prepare_cached("SELECT backlog FROM search_state")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

/// What the index is told of a message. Read from its row, so that it is the same when it comes and when it goes.
struct Entry {
    row: i64,
    doc: Option<i64>,
    sort_at: i64,
    terms: Terms,
    about: String,
}

impl Entry {
    fn find(
        tx: &Transaction<'_>,
        which: &'static str,
        key: impl rusqlite::ToSql,
    ) -> Result<Option<Self>, Failure> {
        Ok(tx
            .prepare_cached(&format!(
                "SELECT row, doc, sort_at, chat, author, outgoing, text, details FROM message WHERE {which}"
            ))?
            .query_row([key], Self::read)
            .optional()?)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = row.get_ref("text")?.as_str()?;
        let details = row.get_ref("details")?.as_str_or_null()?;
        let details: Details = details.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let mut texts = vec![text];
        for file in &details.files {
            texts.extend([&file.name, &file.caption].into_iter().flatten().map(String::as_str));
        }
        texts.extend(details.preview.iter().filter_map(|preview| preview.title.as_deref()));
        texts.extend(details.invitation.iter().map(|invitation| invitation.name.as_str()));
        let mut about = vec![
            chat_word(&super::account_id(row, "chat")?),
            author_word(&super::account_id(row, "author")?),
            direction_word(row.get("outgoing")?).to_owned(),
        ];
        let kinds = SearchKind::ALL.into_iter().filter(|kind| kind.is_in(text, &details));
        about.extend(kinds.map(|kind| kind.word().to_owned()));
        Ok(Self {
            row: row.get("row")?,
            doc: row.get("doc")?,
            sort_at: row.get("sort_at")?,
            terms: Terms::of(texts),
            about: about.join(" "),
        })
    }

    fn take_in(self, tx: &Transaction<'_>) -> Result<(), Failure> {
        let doc = match self.doc {
            Some(doc) => doc,
            None => {
                let doc = free_doc(tx, self.sort_at)?;
                tx.prepare_cached("UPDATE message SET doc = ?2 WHERE row = ?1")?.execute((self.row, doc))?;
                doc
            }
        };
        tx.prepare_cached("INSERT INTO search (rowid, words, singles, about) VALUES (?1, ?2, ?3, ?4)")?
            .execute((doc, self.terms.words, self.terms.singles, self.about))?;
        Ok(())
    }

    fn take_out(self, tx: &Transaction<'_>) -> Result<Terms, Failure> {
        tx.prepare_cached(
            "INSERT INTO search (search, rowid, words, singles, about) VALUES ('delete', ?1, ?2, ?3, ?4)",
        )?
        .execute((self.doc, &self.terms.words, &self.terms.singles, self.about))?;
        Ok(self.terms)
    }
}

/// The lowest document number of a millisecond.
fn base(sort_at: i64) -> i64 {
    sort_at.clamp(0, i64::MAX / DOCS_PER_MILLI - 1) * DOCS_PER_MILLI
}

/// A document number for a message that stands here. Where more messages than there are numbers stand at one millisecond,
/// the next one lends some.
fn free_doc(tx: &Transaction<'_>, sort_at: i64) -> Result<i64, Failure> {
    let mut from = base(sort_at);
    loop {
        let until = from.saturating_add(DOCS_PER_MILLI);
        let taken: Option<i64> = tx
            .prepare_cached("SELECT max(doc) FROM message WHERE doc >= ?1 AND doc < ?2")?
            .query_row((from, until), |row| row.get(0))?;
        match taken.map_or(from, |taken| taken.saturating_add(1)) {
            free if free < until => return Ok(free),
            full => from = full,
        }
    }
}

fn chat_word(chat: &AccountId) -> String {
    format!("c{}", chat.to_hex())
}

fn author_word(author: &AccountId) -> String {
    format!("a{}", author.to_hex())
}

const fn direction_word(outgoing: bool) -> &'static str {
    if outgoing { "out" } else { "in" }
}

/// A cursor is longer than the numbers JavaScript can hold.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(number: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
