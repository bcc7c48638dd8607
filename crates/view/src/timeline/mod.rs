//! One conversation: a window of its messages as rows, which moves with the reader.
//!
//! `window` holds a run of messages without gaps, `rows` turns it into what is seen; both are pure. This module reads what
//! they need. The unread line is settled when the conversation is opened and stays where it was.

mod rows;
#[cfg(test)]
pub(crate) mod testing;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use conclave_client::types::{Event, FileProgress, Message, MessageId, Place, Timer};
use conclave_client::{Account, Error};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub use rows::{Can, MessageRow, QuoteLine, Row};
use rows::{Detail, Scene, UnreadLine};
use window::{MOST, Window};

use crate::file::Moved;
use crate::line::one_line;
use crate::live::{self, Heard, Opened, Screen};
use crate::sdk::{self, Facts};
use crate::typing::Typists;

/// How many messages are read at once.
const PAGE: usize = 100;
/// How many are shown above the unread line when a conversation is opened.
const CONTEXT: usize = 20;

/// Somebody who writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Person {
    /// Their account id.
    pub id: String,
    /// What one calls them, or what they call themselves; `null` if neither is known.
    pub name: Option<String>,
}

/// What a conversation shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Timeline {
    /// The rows are what the database holds; not so while the profile is locked.
    pub loaded: bool,
    /// The other side's account id.
    pub chat: String,
    /// What the other side calls itself.
    pub name: Option<String>,
    /// What its owner calls it.
    pub nickname: Option<String>,
    /// The notes to oneself.
    pub is_self: bool,
    /// A stranger's, not accepted yet.
    pub request: bool,
    /// Its owner wants nothing from them.
    pub blocked: bool,
    /// They have written, or accepted a request.
    pub approved_me: bool,
    /// How new messages disappear.
    pub timer: Timer,
    /// The other side is typing.
    pub typing: bool,
    /// Nothing is notified until then, milliseconds since the epoch.
    pub muted_until: Option<u64>,
    /// It stands above those that are not.
    pub pinned: bool,
    /// There are messages before the first row.
    pub has_older: bool,
    /// There are messages after the last row.
    pub has_newer: bool,
    /// Oldest first.
    pub rows: Vec<Row>,
}

/// What can be asked of a conversation that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineAct {
    /// Show what comes before.
    Older,
    /// Show what comes after.
    Newer,
    /// Show what surrounds a message; without one, the newest messages.
    Jump(Option<MessageId>),
}

/// Opens a conversation: at its newest messages (reaching back to the first unread one, if it is not too far), or around one.
///
/// # Errors
/// What the SDK says: that nobody can have this id, that the message is not in it, that the profile is locked.
pub async fn open(
    session: Arc<Account>,
    chat: String,
    around: Option<MessageId>,
    utc_offset_minutes: i32,
) -> Result<Opened<Timeline, TimelineAct>, Error> {
    let chat = if chat == "me" { sdk::account(&session).await?.account_id } else { chat.to_lowercase() };
    live::open(session, Conversation::new(chat, around, utc_offset_minutes)).await
}

/// Where the unread line is.
#[derive(Debug, PartialEq, Eq)]
enum Unread {
    /// Not looked for yet.
    Unknown,
    /// There is none.
    None,
    There(UnreadLine),
    /// Before the window: so many unread messages are older than it.
    Older {
        missing: u64,
        count: u64,
    },
}

struct Conversation {
    chat: String,
    utc_offset_minutes: i32,
    /// Where to read first.
    around: Option<MessageId>,
    loaded: bool,
    facts: Facts,
    /// What has to be read again; everything, if it is neither.
    facts_stale: bool,
    window_stale: bool,
    window: Window,
    quoted: BTreeMap<MessageId, Option<String>>,
    details: BTreeMap<MessageId, Detail>,
    /// How far files have come that are under way.
    moved: BTreeMap<(MessageId, u32), Moved>,
    unread: Unread,
    typists: Typists,
}

impl Conversation {
    fn new(chat: String, around: Option<MessageId>, utc_offset_minutes: i32) -> Self {
        Self {
            chat,
            utc_offset_minutes,
            around,
            loaded: false,
            facts: Facts::default(),
            facts_stale: false,
            window_stale: false,
            window: Window::default(),
            quoted: BTreeMap::new(),
            details: BTreeMap::new(),
            moved: BTreeMap::new(),
            unread: Unread::Unknown,
            typists: Typists::default(),
        }
    }

    /// Reads the messages where the reader is.
    async fn read_window(&mut self, session: &Account) -> Result<(), Error> {
        let place = match (&self.around, self.window.has_newer()) {
            (Some(id), _) => Some(id.clone()),
            (None, true) => middle(self.window.messages()).map(|message| message.id.clone()),
            (None, false) => None,
        };
        let limit = self.window.messages().len().clamp(PAGE, MOST);
        let first = self.unread == Unread::Unknown;
        let around = match place {
            Some(id) => match sdk::around(session, &self.chat, limit, &id).await {
                Ok(around) => Some(around),
                // What the reader looked at is gone meanwhile.
                Err(error) if !first && error.kind() == "unknown_message" => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        self.window = match around {
            Some((messages, older, newer)) => Window::new(messages, older, newer),
            None => {
                let unread = usize::try_from(self.facts.summary.as_ref().map_or(0, |it| it.unread));
                let wanted = unread.map_or(MOST, |unread| unread.saturating_add(CONTEXT));
                let limit = if first { wanted.clamp(PAGE, MOST) } else { limit };
                let (messages, older) = sdk::history(session, &self.chat, limit, Place::Newest).await?;
                Window::new(messages, older, false)
            }
        };
        if first {
            self.find_unread();
        }
        self.around = None;
        self.read_around_rows(session).await
    }

    /// Settles the unread line when the conversation is opened.
    fn find_unread(&mut self) {
        let count = self.facts.summary.as_ref().map_or(0, |summary| summary.unread);
        self.unread = if count == 0 || self.window.has_newer() {
            Unread::None
        } else {
            self.unread_in(self.window.messages(), count, count)
        };
    }

    fn unread_in(&self, messages: &[Message], missing: u64, count: u64) -> Unread {
        match rows::first_unread(messages, &self.facts.own, missing) {
            Ok(before) => Unread::There(UnreadLine { before: before.clone(), count }),
            Err(missing) if self.window.has_older() => Unread::Older { missing, count },
            // More are unread than are here: some were deleted meanwhile.
            Err(_) => Unread::None,
        }
    }

    /// Reads what the rows show beside the messages themselves.
    async fn read_around_rows(&mut self, session: &Account) -> Result<(), Error> {
        let mut details = std::mem::take(&mut self.details);
        let mut quoted = std::mem::take(&mut self.quoted);
        for message in self.window.messages() {
            if message.from == self.facts.own && message.state.is_some() {
                let detail = match details.remove(&message.id) {
                    Some(known) => known,
                    None => match sdk::sent(session, &message.id).await {
                        Ok(sent) => Detail { signed: sent.signed, swarm: sent.swarm, reason: sent.reason },
                        Err(error) if error.kind() == "unknown_message" => continue,
                        Err(error) => return Err(error),
                    },
                };
                self.details.insert(message.id.clone(), detail);
            }
            let quote = message.reply_to.as_ref().map(|quote| &quote.id);
            if let Some(id) = quote.filter(|id| self.window.find(id.as_str()).is_none()) {
                let text = match quoted.remove(id).or_else(|| self.quoted.get(id).cloned()) {
                    Some(known) => known,
                    None => quoted_text(session, &self.chat, id).await?,
                };
                self.quoted.insert(id.clone(), text);
            }
        }
        Ok(())
    }

    /// Keeps the unread line when the message below it is deleted.
    fn move_unread_off(&mut self, id: &MessageId) {
        let Unread::There(line) = &mut self.unread else { return };
        if line.before != *id {
            return;
        }
        let mut after = self.window.messages().iter().skip_while(|message| message.id != *id).skip(1);
        match after.next() {
            Some(next) => line.before = next.id.clone(),
            None => self.unread = Unread::None,
        }
    }

    fn hear_here(&mut self, event: &Event, now: u64) -> Heard {
        match event {
            Event::Typing(typing) => {
                self.typists.hear(&self.chat, typing.typing, now);
                return Heard::Shown;
            }
            Event::Chat { .. } => {
                self.facts_stale = true;
                return Heard::Stale;
            }
            Event::State(change) => {
                let (signed, swarm, reason) = (change.signed, change.swarm, change.reason.clone());
                if self.window.find(change.id.as_str()).is_some() {
                    self.details.insert(change.id.clone(), Detail { signed, swarm, reason });
                }
            }
            Event::Deleted(deleted) => self.move_unread_off(&deleted.id),
            Event::Message(message) if message.from != self.facts.own => self.typists.wrote(&self.chat),
            _ => {}
        }
        let answers_something_else = match event {
            Event::Message(message) | Event::Changed(message) => {
                let elsewhere = |id: &MessageId| self.window.find(id.as_str()).is_none();
                message.reply_to.as_ref().is_some_and(|quote| elsewhere(&quote.id))
            }
            _ => false,
        };
        match self.window.hear(event) {
            window::Heard::Nothing => Heard::Nothing,
            window::Heard::Changed if !answers_something_else => Heard::Shown,
            window::Heard::Changed | window::Heard::Unplaced => {
                self.window_stale = true;
                Heard::Stale
            }
        }
    }

    /// A file came further. Those of messages that are not here are another window's.
    fn hear_progress(&mut self, progress: &FileProgress) -> Heard {
        let messages = &self.window;
        if messages.find(progress.id.as_str()).is_none() {
            return Heard::Nothing;
        }
        // Bounded by what is under way, and by the window.
        self.moved.retain(|(id, _), moved| moved.done < moved.total && messages.find(id.as_str()).is_some());
        let moved = Moved { done: progress.done, total: progress.total };
        self.moved.insert((progress.id.clone(), progress.place), moved);
        Heard::Shown
    }

    /// A message that is quoted here changed, or is gone.
    fn hear_quoted(&mut self, event: &Event) -> bool {
        let (id, text) = match event {
            Event::Changed(message) => (&message.id, Some(one_line(&message.text))),
            Event::Deleted(deleted) => (&deleted.id, None),
            _ => return false,
        };
        match self.quoted.get_mut(id) {
            Some(quoted) => {
                *quoted = text;
                true
            }
            None => false,
        }
    }
}

fn middle(messages: &[Message]) -> Option<&Message> {
    messages.get(messages.len() / 2)
}

/// What a quoted message says. A quote from another chat shows nothing: its author claims it, and what is deleted there would stay
/// here.
async fn quoted_text(session: &Account, chat: &str, id: &MessageId) -> Result<Option<String>, Error> {
    match sdk::message(session, id).await {
        Ok(message) if message.chat != chat => Ok(None),
        Ok(message) => Ok(Some(one_line(&message.text))),
        Err(error) if error.kind() == "unknown_message" => Ok(None),
        Err(error) => Err(error),
    }
}

/// The chat an event is about.
fn chat_of(event: &Event) -> Option<&str> {
    Some(match event {
        Event::Message(message) | Event::Changed(message) => &message.chat,
        Event::Deleted(deleted) => &deleted.chat,
        Event::State(change) => &change.chat,
        Event::Typing(typing) => &typing.chat,
        Event::Chat { chat } => chat,
        _ => return None,
    })
}

impl Screen for Conversation {
    type State = Timeline;
    type Act = TimelineAct;

    async fn read(&mut self, session: &Account) -> Result<(), Error> {
        let only_facts = self.loaded && self.facts_stale && !self.window_stale;
        // Until all is read, all is stale.
        self.window_stale = true;
        self.facts = Facts::read(session, &self.chat).await?;
        if !only_facts {
            self.read_window(session).await?;
        }
        (self.loaded, self.facts_stale, self.window_stale) = (true, false, false);
        Ok(())
    }

    fn missed(&mut self) {
        self.window_stale = true;
    }

    fn hear(&mut self, event: &Event, now: u64) -> Heard {
        if let Event::FileProgress(progress) = event {
            return self.hear_progress(progress);
        }
        if chat_of(event) == Some(self.chat.as_str()) {
            let quoted = self.hear_quoted(event);
            match self.hear_here(event, now) {
                Heard::Nothing if quoted => Heard::Shown,
                heard => heard,
            }
        } else if matches!(event, Event::Profile) {
            self.facts_stale = true;
            Heard::Stale
        } else {
            Heard::Nothing
        }
    }

    async fn act(&mut self, session: &Arc<Account>, act: TimelineAct) -> Result<Value, Error> {
        match act {
            TimelineAct::Older => {
                let Some(first) = self.window.messages().first().filter(|_| self.window.has_older()) else {
                    return Ok(Value::Null);
                };
                let place = Place::Before(first.id.clone());
                let (page, more) = sdk::history(session, &self.chat, PAGE, place).await?;
                let read = page.len();
                self.window.put_before(page, more);
                if let Unread::Older { missing, count } = self.unread {
                    let older = self.window.messages().get(..read).unwrap_or_default();
                    self.unread = self.unread_in(older, missing, count);
                }
            }
            TimelineAct::Newer => {
                let Some(last) = self.window.messages().last().filter(|_| self.window.has_newer()) else {
                    return Ok(Value::Null);
                };
                let place = Place::After(last.id.clone());
                let (page, more) = sdk::history(session, &self.chat, PAGE, place).await?;
                self.window.put_after(page, more);
            }
            TimelineAct::Jump(Some(id)) if self.window.find(id.as_str()).is_some() => {}
            TimelineAct::Jump(Some(id)) => {
                let (messages, older, newer) = sdk::around(session, &self.chat, PAGE, &id).await?;
                self.window = Window::new(messages, older, newer);
            }
            TimelineAct::Jump(None) if !self.window.has_newer() => {}
            TimelineAct::Jump(None) => {
                let (messages, older) = sdk::history(session, &self.chat, PAGE, Place::Newest).await?;
                self.window = Window::new(messages, older, false);
            }
        }
        self.read_around_rows(session).await?;
        Ok(Value::Null)
    }

    fn state(&self, now: u64) -> Timeline {
        let (summary, contact) = (self.facts.summary.as_ref(), self.facts.contact.as_ref());
        let unread = if let Unread::There(line) = &self.unread { Some(line) } else { None };
        let request = summary.is_some_and(|summary| summary.request);
        let scene = Scene {
            messages: self.window.messages(),
            own: &self.facts.own,
            names: &self.facts.names(&self.chat),
            quoted: &self.quoted,
            details: &self.details,
            moved: &self.moved,
            unread,
            blocked: self.facts.blocked(),
            request,
            now,
            utc_offset_minutes: self.utc_offset_minutes,
        };
        Timeline {
            loaded: self.loaded,
            chat: self.chat.clone(),
            name: self.facts.name(),
            nickname: self.facts.nickname(),
            is_self: self.chat == self.facts.own,
            request,
            blocked: self.facts.blocked(),
            approved_me: contact.is_some_and(|contact| contact.approved_me),
            timer: summary.map(|summary| summary.timer).unwrap_or_default(),
            typing: self.typists.is_typing(&self.chat, now),
            muted_until: summary.and_then(|summary| summary.muted_until),
            pinned: summary.is_some_and(|summary| summary.pinned),
            has_older: self.window.has_older(),
            has_newer: self.window.has_newer(),
            rows: rows::rows(&scene),
        }
    }

    fn next_change(&self, now: u64) -> Option<u64> {
        let edit = rows::next_change(self.window.messages(), &self.facts.own, now);
        edit.into_iter().chain(self.typists.next_end(now)).min()
    }

    async fn due(&mut self, _: &Account, _: u64) -> Heard {
        Heard::Shown
    }

    fn forget(&mut self) {
        let chat = std::mem::take(&mut self.chat);
        *self = Self::new(chat, None, self.utc_offset_minutes);
        // What was new when the conversation was opened has been seen.
        self.unread = Unread::None;
    }

    fn clock_offset(&self) -> i64 {
        self.facts.clock_offset
    }
}
