//! The list of conversations, and that of requests.

use std::sync::Arc;

use conclave_client::types::{ChatSummary, Event, Message, MessageId, MessageKind, MessageState, Timer};
use conclave_client::{Account, Error};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::file::FileKind;
use crate::line::one_line;
use crate::live::{self, Heard, Opened, Screen};
use crate::sdk;
use crate::typing::Typists;

/// What the list of conversations shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Chats {
    /// The rows are what the database holds; not so before it was read, and while the profile is locked.
    pub loaded: bool,
    /// Pinned ones first, then the newest.
    pub rows: Vec<ChatRow>,
    /// Requests nobody has looked at.
    pub requests: u64,
    /// Messages to read in conversations that are not muted; one that is only marked as unread counts one.
    pub unread: u64,
}

/// What the list of requests shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Requests {
    /// As [`Chats::loaded`].
    pub loaded: bool,
    /// The newest first.
    pub rows: Vec<ChatRow>,
}

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChatRow {
    /// The chat's id.
    pub key: String,
    /// The other side's account id.
    pub chat: String,
    /// What the other side calls itself; `null` if that is not known.
    pub name: Option<String>,
    /// What its owner calls it.
    pub nickname: Option<String>,
    /// The notes to oneself.
    pub is_self: bool,
    /// It stands above those that are not.
    pub pinned: bool,
    /// Nothing is notified of it at present.
    pub muted: bool,
    /// Its owner wants nothing from them.
    pub blocked: bool,
    /// The other side's profile picture is here; another text for each picture.
    pub picture: Option<String>,
    /// Messages to read.
    pub unread: u64,
    /// Its owner marked it as unread.
    pub marked_unread: bool,
    /// The beginning of what its owner has begun to write, on one line.
    pub draft: Option<String>,
    /// The other side is typing.
    pub typing: bool,
    /// The newest message.
    pub last: Option<LastMessage>,
    /// How new messages disappear.
    pub timer: Timer,
}

/// The newest message of a conversation, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LastMessage {
    /// Its id.
    pub id: MessageId,
    /// What it is.
    pub kind: MessageKind,
    /// Its beginning on one line, at most 200 characters.
    pub text: String,
    /// What its first file is, if it has any.
    pub file: Option<FileKind>,
    /// Written by this account.
    pub outgoing: bool,
    /// How far it has come, if it was.
    pub state: Option<MessageState>,
    /// The time by which it stands in its conversation, milliseconds since the epoch.
    pub stands_at: u64,
}

/// Opens the list of conversations.
///
/// # Errors
/// What the SDK says, for instance that the profile is locked.
pub async fn open_chats(session: Arc<Account>) -> Result<Opened<Chats, NoAct>, Error> {
    live::open(session, List { heard: Known::default(), which: Known::chats }).await
}

/// Opens the list of requests.
///
/// # Errors
/// As [`open_chats`].
pub async fn open_requests(session: Arc<Account>) -> Result<Opened<Requests, NoAct>, Error> {
    live::open(session, List { heard: Known::default(), which: Known::requests }).await
}

/// What can be asked of a screen that only shows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAct {}

/// What is known of the conversations, requests and others.
#[derive(Default)]
struct Known {
    loaded: bool,
    own: String,
    summaries: Vec<ChatSummary>,
    typists: Typists,
    clock_offset: i64,
}

impl Known {
    fn chats(&self, now: u64) -> Chats {
        let (requests, conversations): (Vec<_>, Vec<_>) =
            self.summaries.iter().partition(|chat| chat.request);
        let waiting = |chat: &ChatSummary| chat.unread.max(u64::from(chat.marked_unread));
        let counts = |chat: &&&ChatSummary| !chat.blocked && !muted(chat, now);
        Chats {
            loaded: self.loaded,
            requests: requests.iter().filter(|chat| !chat.blocked && waiting(chat) > 0).count() as u64,
            unread: conversations.iter().filter(counts).map(|chat| waiting(chat)).sum(),
            rows: conversations.into_iter().map(|chat| self.row(chat, now)).collect(),
        }
    }

    fn requests(&self, now: u64) -> Requests {
        // Somebody who was blocked does not ask any more.
        let requests = self.summaries.iter().filter(|chat| chat.request && !chat.blocked);
        Requests { loaded: self.loaded, rows: requests.map(|chat| self.row(chat, now)).collect() }
    }

    fn row(&self, chat: &ChatSummary, now: u64) -> ChatRow {
        let draft = chat.draft.as_ref().map(|draft| one_line(&draft.text)).filter(|text| !text.is_empty());
        ChatRow {
            key: chat.chat.clone(),
            chat: chat.chat.clone(),
            name: chat.name.clone(),
            nickname: chat.nickname.clone(),
            is_self: chat.is_self,
            pinned: chat.pinned,
            muted: muted(chat, now),
            blocked: chat.blocked,
            picture: chat.picture.clone(),
            unread: chat.unread,
            marked_unread: chat.marked_unread,
            draft,
            typing: self.typists.is_typing(&chat.chat, now),
            last: chat.last.as_ref().map(|last| self.last(last)),
            timer: chat.timer,
        }
    }

    fn last(&self, message: &Message) -> LastMessage {
        LastMessage {
            id: message.id.clone(),
            kind: message.kind,
            text: one_line(&message.text),
            file: message
                .attachments
                .first()
                .map(|file| FileKind::of(file.content_type.as_deref(), file.voice)),
            outgoing: message.from == self.own,
            state: message.state,
            stands_at: message.stands_at(),
        }
    }

    fn hear(&mut self, event: &Event, now: u64) -> Heard {
        match event {
            Event::Typing(typing) => {
                self.typists.hear(&typing.chat, typing.typing, now);
                Heard::Shown
            }
            Event::State(change) => {
                let mut last = self.summaries.iter_mut().filter_map(|chat| chat.last.as_mut());
                match last.find(|last| last.id == change.id) {
                    Some(last) => {
                        last.state = Some(change.state);
                        Heard::Shown
                    }
                    None => Heard::Nothing,
                }
            }
            Event::Message(message) => {
                if message.from != self.own {
                    self.typists.wrote(&message.chat);
                }
                Heard::Stale
            }
            Event::Changed(_) | Event::Deleted(_) | Event::Chat { .. } | Event::Profile => Heard::Stale,
            _ => Heard::Nothing,
        }
    }

    fn next_change(&self, now: u64) -> Option<u64> {
        let unmuted = self.summaries.iter().filter_map(|chat| chat.muted_until).filter(|until| *until > now);
        unmuted.chain(self.typists.next_end(now)).min()
    }
}

fn muted(chat: &ChatSummary, now: u64) -> bool {
    chat.muted_until.is_some_and(|until| until > now)
}

/// One of the two lists.
struct List<S> {
    heard: Known,
    which: fn(&Known, u64) -> S,
}

impl<S: PartialEq + Send + Sync + 'static> Screen for List<S> {
    type State = S;
    type Act = NoAct;

    async fn read(&mut self, session: &Account) -> Result<(), Error> {
        self.heard.own = sdk::account(session).await?.account_id;
        self.heard.summaries = sdk::chats(session).await?;
        self.heard.clock_offset = sdk::status(session).await?.clock_offset_ms;
        self.heard.loaded = true;
        Ok(())
    }

    fn hear(&mut self, event: &Event, now: u64) -> Heard {
        self.heard.hear(event, now)
    }

    async fn act(&mut self, _: &Arc<Account>, act: NoAct) -> Result<Value, Error> {
        match act {}
    }

    fn state(&self, now: u64) -> S {
        (self.which)(&self.heard, now)
    }

    fn next_change(&self, now: u64) -> Option<u64> {
        self.heard.next_change(now)
    }

    async fn due(&mut self, _: &Account, _: u64) -> Heard {
        Heard::Shown
    }

    fn forget(&mut self) {
        self.heard = Known::default();
    }

    fn clock_offset(&self) -> i64 {
        self.heard.clock_offset
    }
}

#[cfg(test)]
mod tests {
    use conclave_client::types::{Draft, StateChange, Typing};

    use super::*;
    use crate::timeline::testing::message;

    fn chat(name: &str, unread: u64) -> ChatSummary {
        let last = Message { chat: name.to_owned(), ..message(name, 1_000, "last\nwords") };
        let summary = serde_json::json!({
            "event": "chat", "chat": name, "name": name, "last": last, "messages": 1, "unread": unread,
        });
        serde_json::from_value(summary).unwrap()
    }

    fn known(summaries: Vec<ChatSummary>) -> Known {
        Known { loaded: true, own: "alice".to_owned(), summaries, ..Known::default() }
    }

    #[test]
    fn requests_stand_apart_and_only_unread_ones_are_counted() {
        let request = |name: &str, unread| ChatSummary { request: true, ..chat(name, unread) };
        let blocked = ChatSummary { blocked: true, ..request("mallory", 9) };
        let known = known(vec![chat("bob", 2), request("carol", 3), request("dave", 0), blocked]);
        let chats = known.chats(0);
        assert_eq!((chats.requests, chats.unread, chats.rows.len()), (1, 2, 1));
        let keys: Vec<_> = known.requests(0).rows.into_iter().map(|row| row.key).collect();
        assert_eq!(keys, ["carol", "dave"]);
    }

    #[test]
    fn muted_and_blocked_conversations_do_not_ask_for_attention() {
        let muted = ChatSummary { muted_until: Some(500), ..chat("bob", 2) };
        let blocked = ChatSummary { blocked: true, ..chat("mallory", 4) };
        let marked = ChatSummary { marked_unread: true, ..chat("carol", 0) };
        let known = known(vec![muted, blocked, marked]);
        assert_eq!(known.chats(499).unread, 1);
        assert_eq!(known.next_change(499), Some(500));
        assert_eq!(known.chats(500).unread, 3, "the time of being muted is over");
        assert!(known.chats(499).rows[0].muted && !known.chats(500).rows[0].muted);
    }

    #[test]
    fn a_row_shows_one_line_of_draft_and_message() {
        let draft = Draft { text: "half a\nthought".to_owned(), reply_to: None };
        let known = known(vec![ChatSummary { draft: Some(draft), ..chat("bob", 0) }]);
        let row = known.chats(0).rows.remove(0);
        assert_eq!(row.draft.as_deref(), Some("half a thought"));
        assert_eq!(row.last.unwrap().text, "last words");
    }

    #[test]
    fn typing_and_states_are_shown_without_reading_and_messages_are_read() {
        let mut known = known(vec![chat("bob", 0)]);
        let typing = Event::Typing(Typing { chat: "bob".to_owned(), typing: true });
        assert_eq!(known.hear(&typing, 0), Heard::Shown);
        assert!(known.chats(14_999).rows[0].typing && !known.chats(15_000).rows[0].typing);
        let change = |id: MessageId| {
            let state = MessageState::Stored;
            Event::State(StateChange {
                id,
                chat: "bob".into(),
                state,
                signed: None,
                swarm: None,
                reason: None,
            })
        };
        let last = known.summaries[0].last.clone().unwrap();
        assert_eq!(known.hear(&change(last.id.clone()), 0), Heard::Shown);
        assert_eq!(known.chats(0).rows[0].last.as_ref().unwrap().state, Some(MessageState::Stored));
        assert_eq!(known.hear(&change(message("x", 1, "x").id), 0), Heard::Nothing);
        assert_eq!(known.hear(&Event::Message(last), 0), Heard::Stale);
        assert!(!known.chats(1).rows[0].typing, "what was being typed has come");
    }
}
