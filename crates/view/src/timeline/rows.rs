//! Messages as rows: day lines, the unread line, groups of one author, quotes, and what can be done with each.

use std::collections::{BTreeMap, BTreeSet};

use conclave_client::types::{EDIT_WITHIN, Message, MessageId, MessageKind, MessageState};
use schemars::JsonSchema;
use serde::Serialize;

use super::Person;
use crate::day::Day;
use crate::file::{self, FileLine, Moved};
use crate::line::one_line;

/// Messages of one author that follow each other within this time, in milliseconds, belong together.
const ONE_GROUP: u64 = 5 * 60 * 1_000;

/// A row of a timeline. Its key stays the same for as long as the row is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Row {
    /// A new day begins.
    Day {
        /// The row's name.
        key: String,
        /// `2026-11-29`, where the reader is.
        day: String,
    },
    /// What follows had not been read when the conversation was opened.
    Unread {
        /// The row's name.
        key: String,
        /// How many there were then.
        count: u64,
    },
    /// A message, or what stands for one.
    Message(Box<MessageRow>),
}

/// A message with what a reader sees around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MessageRow {
    /// The id of the message.
    pub key: String,
    /// The message.
    pub message: Message,
    /// Written by this account.
    pub outgoing: bool,
    /// Who wrote it.
    pub author: Person,
    /// The first of its author's in a row.
    pub begins_group: bool,
    /// The last of them.
    pub ends_group: bool,
    /// What it answers.
    pub quote: Option<QuoteLine>,
    /// How many members of the swarm signed for it, if that is known.
    pub signed: Option<u32>,
    /// How many members the swarm has.
    pub swarm: Option<u32>,
    /// Why it could not be sent.
    pub reason: Option<String>,
    /// Its files, in the order of the message's.
    pub files: Vec<FileLine>,
    /// What its reader can do with it.
    pub can: Can,
}

/// The message that another one answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QuoteLine {
    /// Its id.
    pub id: MessageId,
    /// Who wrote it.
    pub author: Person,
    /// Its beginning; `null` if it is not here.
    pub text: Option<String>,
}

/// What can be done with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Can {
    /// Replace its text.
    pub edit: bool,
    /// Take it back from everybody.
    pub delete_everywhere: bool,
    /// React to it.
    pub react: bool,
    /// Answer it.
    pub reply: bool,
}

/// How a sent message stands with the swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) signed: Option<u32>,
    pub(crate) swarm: Option<u32>,
    pub(crate) reason: Option<String>,
}

/// What had not been read when the conversation was opened: it stays where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadLine {
    pub(crate) before: MessageId,
    pub(crate) count: u64,
}

/// Everything the rows are made of.
pub(crate) struct Scene<'a> {
    pub(crate) messages: &'a [Message],
    /// This account's id.
    pub(crate) own: &'a str,
    /// What those are called who write here, by account id.
    pub(crate) names: &'a BTreeMap<String, String>,
    /// The texts of messages that are answered and not among these; `None` if they are not here at all.
    pub(crate) quoted: &'a BTreeMap<MessageId, Option<String>>,
    pub(crate) details: &'a BTreeMap<MessageId, Detail>,
    /// How far files have come, by message and place.
    pub(crate) moved: &'a BTreeMap<(MessageId, u32), Moved>,
    pub(crate) unread: Option<&'a UnreadLine>,
    /// Nothing is sent to somebody who is blocked.
    pub(crate) blocked: bool,
    /// A stranger's request: whoever answers has accepted it.
    pub(crate) request: bool,
    /// Network time, milliseconds since the epoch.
    pub(crate) now: u64,
    pub(crate) utc_offset_minutes: i32,
}

/// The rows of a scene.
pub(crate) fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(scene.messages.len() + 8);
    let mut days = BTreeSet::new();
    let mut before: Option<(&Message, Day)> = None;
    for (place, message) in scene.messages.iter().enumerate() {
        let day = Day::of(message.stands_at(), scene.utc_offset_minutes);
        if before.is_none_or(|(_, previous)| previous != day) {
            // A clock that is wrong can bring a day twice.
            let key =
                if days.insert(day) { format!("day-{day}") } else { format!("day-{day}-{}", message.id) };
            rows.push(Row::Day { key, day: day.to_string() });
        }
        if let Some(unread) = scene.unread_before(message) {
            rows.push(Row::Unread { key: "unread".to_owned(), count: unread.count });
        }
        let next = scene.messages.get(place + 1);
        rows.push(Row::Message(Box::new(MessageRow {
            begins_group: before.is_none_or(|(previous, _)| !scene.together(previous, message)),
            ends_group: next.is_none_or(|next| !scene.together(message, next)),
            ..scene.row(message)
        })));
        before = Some((message, day));
    }
    rows
}

/// When the rows are different although nothing happens: the next text that cannot be edited any more.
pub(crate) fn next_change(messages: &[Message], own: &str, now: u64) -> Option<u64> {
    let own = messages.iter().filter(|message| message.from == own && has_text(message));
    own.map(|message| editable_until(message).saturating_add(1)).filter(|until| *until > now).min()
}

/// Which message the unread line stands before: the first of the last `unread` that others wrote. `None` if it is not
/// among these, with how many are still to be found in older ones.
pub(crate) fn first_unread<'a>(
    messages: &'a [Message],
    own: &str,
    unread: u64,
) -> Result<&'a MessageId, u64> {
    let mut missing = unread;
    for message in messages.iter().rev().filter(|message| message.from != own) {
        missing = missing.saturating_sub(1);
        if missing == 0 {
            return Ok(&message.id);
        }
    }
    Err(missing)
}

/// A text that is there: neither a notice nor what is left of a deleted message.
fn has_text(message: &Message) -> bool {
    message.kind == MessageKind::Text && !message.text.is_empty()
}

fn editable_until(message: &Message) -> u64 {
    message.sent_at.saturating_add(u64::try_from(EDIT_WITHIN.as_millis()).unwrap_or(u64::MAX))
}

impl Scene<'_> {
    fn unread_before(&self, message: &Message) -> Option<&UnreadLine> {
        self.unread.filter(|unread| unread.before == message.id)
    }

    /// Whether two messages that follow each other are one group.
    fn together(&self, first: &Message, second: &Message) -> bool {
        let day = |message: &Message| Day::of(message.stands_at(), self.utc_offset_minutes);
        let speaks = |message: &Message| matches!(message.kind, MessageKind::Text | MessageKind::Deleted);
        first.from == second.from
            && speaks(first)
            && speaks(second)
            && first.stands_at().abs_diff(second.stands_at()) <= ONE_GROUP
            && day(first) == day(second)
            && self.unread_before(second).is_none()
    }

    fn row(&self, message: &Message) -> MessageRow {
        let detail = self.details.get(&message.id).cloned().unwrap_or_default();
        MessageRow {
            key: message.id.to_string(),
            outgoing: message.from == self.own,
            author: self.person(&message.from, message.from_name.as_deref()),
            begins_group: true,
            ends_group: true,
            quote: self.quote(message),
            signed: detail.signed,
            swarm: detail.swarm,
            reason: detail.reason,
            files: self.files(message),
            can: self.can(message),
            message: message.clone(),
        }
    }

    fn files(&self, message: &Message) -> Vec<FileLine> {
        let trusted = !self.request && !message.request && !self.blocked;
        let age = self.now.saturating_sub(message.stands_at());
        let moved = |place| self.moved.get(&(message.id.clone(), place)).copied();
        (0..)
            .zip(&message.attachments)
            .map(|(place, one)| file::line(one, trusted, age, moved(place)))
            .collect()
    }

    fn person(&self, id: &str, own_word: Option<&str>) -> Person {
        let name = self.names.get(id).map(String::as_str).or(own_word);
        Person { id: id.to_owned(), name: name.map(str::to_owned) }
    }

    fn quote(&self, message: &Message) -> Option<QuoteLine> {
        let quote = message.reply_to.as_ref()?;
        let here = self.messages.iter().find(|message| message.id == quote.id);
        let text = match here {
            Some(quoted) => Some(one_line(&quoted.text)),
            None => self.quoted.get(&quote.id).cloned().flatten(),
        };
        Some(QuoteLine { id: quote.id.clone(), author: self.person(&quote.from, None), text })
    }

    fn can(&self, message: &Message) -> Can {
        let own = message.from == self.own;
        let failed = message.state == Some(MessageState::Failed);
        let lives = message.kind == MessageKind::Text;
        let answered = lives && !failed && !self.blocked;
        Can {
            edit: own && has_text(message) && !failed && !self.blocked && self.now <= editable_until(message),
            delete_everywhere: own && lives && !failed,
            react: answered && !self.request,
            reply: answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::testing::{message, quote};

    const NOON: u64 = 1_700_000_000_000 - 1_700_000_000_000 % 86_400_000 + 43_200_000;
    const MINUTE: u64 = 60_000;

    struct Stage {
        messages: Vec<Message>,
        unread: Option<UnreadLine>,
        quoted: BTreeMap<MessageId, Option<String>>,
        blocked: bool,
        now: u64,
        offset: i32,
    }

    impl Stage {
        fn new(messages: Vec<Message>) -> Self {
            Self { messages, unread: None, quoted: BTreeMap::new(), blocked: false, now: NOON, offset: 0 }
        }

        fn rows(&self) -> Vec<Row> {
            rows(&Scene {
                messages: &self.messages,
                own: "alice",
                names: &BTreeMap::from([("bob".to_owned(), "Bob".to_owned())]),
                quoted: &self.quoted,
                details: &BTreeMap::new(),
                moved: &BTreeMap::new(),
                unread: self.unread.as_ref(),
                blocked: self.blocked,
                request: false,
                now: self.now,
                utc_offset_minutes: self.offset,
            })
        }

        fn messages(&self) -> Vec<MessageRow> {
            let only = |row| if let Row::Message(row) = row { Some(*row) } else { None };
            self.rows().into_iter().filter_map(only).collect()
        }

        /// `[` begins a group, `]` ends one, `|` is a day, `!` the unread line.
        fn drawn(&self) -> String {
            let draw = |row: Row| match row {
                Row::Day { .. } => "|".to_owned(),
                Row::Unread { .. } => "!".to_owned(),
                Row::Message(row) => {
                    let (begin, end) = (row.begins_group, row.ends_group);
                    format!(
                        "{}{}{}",
                        if begin { "[" } else { "" },
                        row.message.text,
                        if end { "]" } else { "" }
                    )
                }
            };
            self.rows().into_iter().map(draw).collect()
        }
    }

    #[test]
    fn messages_of_one_author_within_five_minutes_are_a_group() {
        let stage = Stage::new(vec![
            message("bob", NOON, "a"),
            message("bob", NOON + 5 * MINUTE, "b"),
            message("bob", NOON + 10 * MINUTE + 1, "c"),
            message("alice", NOON + 11 * MINUTE, "d"),
            message("alice", NOON + 12 * MINUTE, "e"),
        ]);
        assert_eq!(stage.drawn(), "|[ab][c][de]");
    }

    #[test]
    fn a_notice_and_a_new_day_end_a_group() {
        let mut notice = message("bob", NOON + 1, "n");
        notice.kind = MessageKind::TimerChanged;
        let stage = Stage::new(vec![message("bob", NOON, "a"), notice, message("bob", NOON + 2, "b")]);
        assert_eq!(stage.drawn(), "|[a][n][b]");
        let midnight = NOON + 12 * 60 * MINUTE;
        let mut stage = Stage::new(vec![message("bob", midnight - 1, "a"), message("bob", midnight, "b")]);
        assert_eq!(stage.drawn(), "|[a]|[b]");
        stage.offset = 60;
        assert_eq!(stage.drawn(), "|[ab]", "days are the reader's");
    }

    #[test]
    fn the_unread_line_stands_before_the_first_that_others_wrote_and_stays() {
        let mut stage = Stage::new(vec![
            message("bob", NOON, "a"),
            message("bob", NOON + 1, "b"),
            message("bob", NOON + 2, "c"),
        ]);
        let before = first_unread(&stage.messages, "alice", 2).unwrap().clone();
        stage.unread = Some(UnreadLine { before, count: 2 });
        assert_eq!(stage.drawn(), "|[a]![bc]");
        stage.messages.push(message("alice", NOON + 3, "d"));
        assert_eq!(stage.drawn(), "|[a]![bc][d]");
    }

    #[test]
    fn own_messages_are_never_unread_and_what_lies_further_back_is_counted() {
        let messages = [message("bob", 1, "a"), message("alice", 2, "b"), message("bob", 3, "c")];
        assert_eq!(first_unread(&messages, "alice", 2).unwrap(), &messages[0].id);
        assert_eq!(first_unread(&messages, "alice", 5), Err(3));
        assert_eq!(first_unread(&messages[..0], "alice", 5), Err(5));
    }

    #[test]
    fn keys_are_unique_also_when_a_day_comes_twice() {
        let day = 24 * 60 * MINUTE;
        let stage = Stage::new(vec![
            message("bob", NOON, "a"),
            message("bob", NOON + day, "ahead"),
            message("bob", NOON + 1, "b"),
        ]);
        assert_eq!(stage.drawn(), "|[a]|[ahead]|[b]");
        let key = |row: &Row| match row {
            Row::Day { key, .. } | Row::Unread { key, .. } => key.clone(),
            Row::Message(row) => row.key.clone(),
        };
        let keys: BTreeSet<String> = stage.rows().iter().map(key).collect();
        assert_eq!(keys.len(), stage.rows().len());
    }

    #[test]
    fn only_an_own_text_can_be_edited_and_for_a_day() {
        let day = 24 * 60 * MINUTE;
        let mut placeholder = message("alice", NOON, "");
        placeholder.kind = MessageKind::Deleted;
        let own = message("alice", NOON, "own");
        let mut stage = Stage::new(vec![message("bob", NOON, "other"), own, placeholder]);
        for (now, editable) in [(NOON, true), (NOON + day, true), (NOON + day + 1, false)] {
            stage.now = now;
            let can: Vec<bool> = stage.messages().iter().map(|row| row.can.edit).collect();
            assert_eq!(can, [false, editable, false], "{now}");
        }
        assert_eq!(next_change(&stage.messages, "alice", NOON), Some(NOON + day + 1));
        assert_eq!(next_change(&stage.messages, "alice", NOON + day + 1), None);
    }

    #[test]
    fn what_is_deleted_failed_or_from_somebody_blocked_cannot_be_answered() {
        let mut failed = message("alice", NOON, "failed");
        failed.state = Some(MessageState::Failed);
        let mut placeholder = message("bob", NOON + 1, "");
        placeholder.kind = MessageKind::Deleted;
        let mut stage = Stage::new(vec![failed, placeholder, message("bob", NOON + 2, "there")]);
        let can = |stage: &Stage| stage.messages().iter().map(|row| row.can.reply).collect::<Vec<_>>();
        assert_eq!(can(&stage), [false, false, true]);
        assert!(!stage.messages()[0].can.delete_everywhere, "nobody else has it");
        stage.blocked = true;
        assert_eq!(can(&stage), [false, false, false]);
    }

    #[test]
    fn a_quote_says_what_was_answered_or_that_it_is_not_here() {
        let first = message("bob", NOON, "two\nlines");
        let far = message("bob", NOON - 1, "far away");
        let lost = message("carol", NOON - 2, "lost");
        let answers =
            [&first, &far, &lost].map(|to| quote(message("alice", NOON + to.sent_at % 7 + 1, "re"), to));
        let mut stage = Stage::new([vec![first.clone()], answers.to_vec()].concat());
        stage.quoted = BTreeMap::from([(far.id, Some("far away".to_owned()))]);
        let quotes: Vec<_> = stage.messages().into_iter().filter_map(|row| row.quote).collect();
        let texts: Vec<_> = quotes.iter().map(|quote| quote.text.as_deref()).collect();
        assert_eq!(texts, [Some("two lines"), Some("far away"), None]);
        assert_eq!(quotes[0].author.name.as_deref(), Some("Bob"));
        assert_eq!(quotes[2].author.name, None, "no name is made up");
    }
}
