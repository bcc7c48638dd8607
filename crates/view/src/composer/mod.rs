//! Where a message is written: text, files, what it answers, what it replaces, and whether it can be sent.
//!
//! What was begun is a draft, kept by the SDK a moment after each change. A text that replaces another is no draft:
//! while it is being edited, the draft waits.

mod send;

use std::sync::Arc;

use conclave_client::preview;
use conclave_client::types::LinkPreview;
use conclave_client::types::{Draft, EDIT_WITHIN, Event, Message, MessageId};
use conclave_client::{Account, Error, MAX_TEXT_CHARS};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::line::one_line;
use crate::live::{self, Heard, Opened, Screen};
use crate::sdk::{self, Facts};
use crate::timeline::Person;
use crate::tray::{MOST_FILES, Tray, TrayFile};

/// A draft is kept so long after the first change that is not, in milliseconds.
const SAVE_AFTER: u64 = 500;
/// The other side is told this often that one is typing, in milliseconds. (client-messages 4.8)
const TELL_EVERY: u64 = 10_000;
/// How often it is looked whether files have been sent, in milliseconds.
const LOOK_EVERY: u64 = 200;
/// The longest text that is held; as much as a draft may have.
const MOST_BYTES: usize = 64 * 1024;

/// What the composer shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Composer {
    /// The other side's account id.
    pub chat: String,
    /// The text.
    pub text: String,
    /// What it answers.
    pub reply_to: Option<Answered>,
    /// What it replaces.
    pub editing: Option<Edited>,
    /// A link in it that a preview could be made of. Nobody is asked for one unless its writer wants it.
    pub link: Option<Link>,
    /// The preview that goes with it.
    pub preview: Option<LinkPreview>,
    /// Files that go with it, in their order. Not while something is edited.
    pub files: Vec<TrayFile>,
    /// How many files it may have.
    pub most_files: usize,
    /// The largest file that can be sent, in bytes.
    pub largest_file: u64,
    /// How many characters the text has.
    pub characters: usize,
    /// How many it may have.
    pub limit: usize,
    /// It can be sent.
    pub may_send: bool,
    /// Why not.
    pub why_not: Option<WhyNot>,
}

/// A message that is being answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Answered {
    /// Its id.
    pub id: MessageId,
    /// Who wrote it.
    pub author: Person,
    /// Its beginning; `null` if it is not here any more.
    pub text: Option<String>,
}

/// A message that is being edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Edited {
    /// Its id.
    pub id: MessageId,
    /// What it says now.
    pub text: String,
}

/// A link that a preview could be made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Link {
    /// The link.
    pub url: String,
    /// Whose site it is: it sees who asks for a preview.
    pub host: String,
}

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// There is nothing.
    Empty,
    /// More than a message can hold.
    TooLong,
    /// Its owner wants nothing from them.
    Blocked,
    /// The edited text is what it was.
    Unchanged,
    /// A text can be edited for a day.
    TooLate,
}

/// What can be asked of the composer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComposerAct {
    /// The text is this now.
    Set(String),
    /// It answers this message, or none.
    Reply(Option<MessageId>),
    /// It replaces the text of this message, or nothing any more.
    Edit(Option<MessageId>),
    /// This preview of a link in it goes with it, or none. Making one is the face's part, when its user asks for it.
    Preview(Option<LinkPreview>),
    /// Take this file out of the tray.
    Detach(String),
    /// Send this file of the tray as it is, with all that it says of whoever made it.
    AsFile(String),
    /// The tray is different: show it.
    Look,
    /// Send it. Gives the message; `null` after an edit, and with files, which take their time: the tray shows what becomes of them.
    Send,
    /// Send this file of the tray alone, as an answer if one is being written: what is written stays. Gives the message.
    SendFile(String),
    /// Keep the draft now, since the composer is about to be closed.
    Save,
}

/// Opens the composer of a chat, with the draft that was kept and with what is in the tray of that chat, by its account id.
///
/// # Errors
/// What the SDK says: that nobody can have this id, that the profile is locked.
pub async fn open(
    session: Arc<Account>,
    chat: String,
    tray: impl FnOnce(&str) -> Tray,
) -> Result<Opened<Composer, ComposerAct>, Error> {
    let chat = if chat == "me" { sdk::account(&session).await?.account_id } else { chat.to_lowercase() };
    let tray = tray(&chat);
    live::open(session, Writing { chat, tray, ..Writing::default() }).await
}

/// The text that is being written, apart from everything else.
#[derive(Debug, Default)]
struct Writing {
    chat: String,
    tray: Tray,
    facts: Facts,
    text: String,
    reply_to: Option<Answered>,
    editing: Option<(Edited, u64)>,
    preview: Option<LinkPreview>,
    /// The draft that waits while something is edited.
    waiting: Draft,
    /// What the SDK keeps.
    kept: Draft,
    save_at: Option<u64>,
    /// When the other side was last told that one is typing.
    told_at: Option<u64>,
    now: u64,
}

impl Writing {
    fn why_not(&self, now: u64) -> Option<WhyNot> {
        if self.facts.blocked() {
            return Some(WhyNot::Blocked);
        }
        if let Some((edited, sent_at)) = &self.editing {
            if now.saturating_sub(*sent_at) > day() {
                return Some(WhyNot::TooLate);
            }
            if edited.text == self.text {
                return Some(WhyNot::Unchanged);
            }
        }
        let goes_along = self.editing.is_none() && !self.tray.next().is_empty();
        if !conclave_client::is_visible(&self.text) && !goes_along {
            return Some(WhyNot::Empty);
        }
        (self.text.chars().count() > MAX_TEXT_CHARS).then_some(WhyNot::TooLong)
    }

    /// The link a preview is offered for: not while an edit goes on, which changes the text alone.
    fn link(&self) -> Option<Link> {
        let url =
            preview::first_link(&self.text).filter(|_| self.editing.is_none() && self.preview.is_none())?;
        Some(Link { url: url.to_owned(), host: preview::host(url)? })
    }

    fn set_preview(&mut self, preview: Option<LinkPreview>) -> Result<(), Error> {
        if preview.as_ref().is_some_and(|preview| !self.text.contains(&preview.url)) {
            return Err(Error::refused("a preview is of a link that stands in the text"));
        }
        self.preview = preview;
        Ok(())
    }

    fn set(&mut self, text: String) {
        self.preview.take_if(|preview| !text.contains(&preview.url));
        self.text = text;
    }

    /// What is to be kept: what is written, or what waits until an edit ends.
    fn draft(&self) -> Draft {
        if self.editing.is_some() {
            return self.waiting.clone();
        }
        Draft { text: self.text.clone(), reply_to: self.reply_to.as_ref().map(|it| it.id.clone()) }
    }

    fn changed(&mut self, now: u64) {
        self.save_at = (self.draft() != self.kept).then(|| self.save_at.unwrap_or(now + SAVE_AFTER));
    }

    /// Whether the other side is to be told something: that one is typing, or not any more.
    fn tell(&mut self, now: u64) -> Option<bool> {
        let typing = self.editing.is_none() && conclave_client::is_visible(&self.text);
        match self.told_at {
            None if typing => {}
            Some(at) if typing && now.saturating_sub(at) >= TELL_EVERY => {}
            Some(_) if !typing => {
                self.told_at = None;
                return Some(false);
            }
            _ => return None,
        }
        self.told_at = Some(now);
        Some(true)
    }

    fn answered(&self, message: &Message) -> Answered {
        let name = self.facts.names(&self.chat).remove(&message.from).or_else(|| message.from_name.clone());
        let author = Person { id: message.from.clone(), name };
        Answered { id: message.id.clone(), author, text: Some(one_line(&message.text)) }
    }

    async fn answering(&self, session: &Account, id: Option<MessageId>) -> Result<Option<Answered>, Error> {
        let Some(id) = id else { return Ok(None) };
        match sdk::message(session, &id).await {
            Ok(message) if message.chat == self.chat => Ok(Some(self.answered(&message))),
            Ok(_) => Err(Error::UnknownMessage(id)),
            // A draft outlives what it answers.
            Err(error) if error.kind() == "unknown_message" => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn edit(&mut self, session: &Account, id: Option<MessageId>) -> Result<(), Error> {
        let Some(id) = id else { return self.end_edit(session).await };
        let message = sdk::message(session, &id).await?;
        if message.from != self.facts.own || message.chat != self.chat || message.text.is_empty() {
            return Err(Error::refused("only one's own texts can be edited"));
        }
        self.waiting = self.draft();
        self.reply_to = None;
        self.preview = None;
        self.text = message.text.clone();
        self.editing = Some((Edited { id, text: message.text }, message.sent_at));
        Ok(())
    }

    /// Takes up again what was being written before.
    async fn end_edit(&mut self, session: &Account) -> Result<(), Error> {
        if self.editing.take().is_some() {
            let waiting = std::mem::take(&mut self.waiting);
            self.set(waiting.text);
            self.reply_to = self.answering(session, waiting.reply_to).await?;
        }
        Ok(())
    }

    async fn save(&mut self, session: &Account) -> Result<(), Error> {
        let draft = self.draft();
        self.save_at = None;
        if draft != self.kept {
            session.set_draft(&self.chat, draft.clone()).await?;
            self.kept = draft;
        }
        Ok(())
    }
}

/// For how long a text can be edited, in milliseconds.
fn day() -> u64 {
    u64::try_from(EDIT_WITHIN.as_millis()).unwrap_or(u64::MAX)
}

/// Tells the other side beside everything else: it may take seconds, and nothing depends on it.
fn tell_typing(session: &Arc<Account>, chat: &str, typing: bool) {
    let (session, chat) = (Arc::clone(session), chat.to_owned());
    tokio::spawn(async move {
        if let Err(error) = session.set_typing(&chat, typing).await {
            tracing::debug!(kind = error.kind(), "that one is typing could not be told");
        }
    });
}

impl Screen for Writing {
    type State = Composer;
    type Act = ComposerAct;

    async fn read(&mut self, session: &Account) -> Result<(), Error> {
        self.facts = Facts::read(session, &self.chat).await?;
        let kept = sdk::draft(session, &self.chat).await?;
        // Written in another place (another tab), unless something newer is written here.
        if kept != self.kept && self.save_at.is_none() {
            self.kept = kept.clone();
            if self.editing.is_some() {
                self.waiting = kept;
            } else {
                self.set(kept.text);
                self.reply_to = self.answering(session, kept.reply_to).await?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, event: &Event, _: u64) -> Heard {
        match event {
            Event::Chat { chat } if *chat == self.chat => Heard::Stale,
            Event::Deleted(deleted) => {
                let answered = self.reply_to.take_if(|answered| answered.id == deleted.id);
                if answered.is_some() { Heard::Shown } else { Heard::Nothing }
            }
            _ => Heard::Nothing,
        }
    }

    async fn act(&mut self, session: &Arc<Account>, act: ComposerAct) -> Result<Value, Error> {
        self.now = sdk::now(self.facts.clock_offset);
        let now = self.now;
        let result = match act {
            ComposerAct::Set(text) if text.len() > MOST_BYTES => {
                let size = text.len();
                return Err(Error::too_large("a draft", size, MOST_BYTES));
            }
            ComposerAct::Set(text) => {
                self.set(text);
                if let Some(typing) = self.tell(now) {
                    tell_typing(session, &self.chat, typing);
                }
                Ok(Value::Null)
            }
            ComposerAct::Reply(id) => {
                self.end_edit(session).await?;
                self.reply_to = self.answering(session, id).await?;
                Ok(Value::Null)
            }
            ComposerAct::Edit(id) => self.edit(session, id).await.map(|()| Value::Null),
            ComposerAct::Preview(preview) => self.set_preview(preview).map(|()| Value::Null),
            ComposerAct::Detach(id) => {
                self.tray.remove(&id);
                Ok(Value::Null)
            }
            ComposerAct::AsFile(id) => {
                self.tray.send_as_file(&id);
                Ok(Value::Null)
            }
            ComposerAct::Look => Ok(Value::Null),
            ComposerAct::SendFile(id) => self.send_file(session, &id).await,
            ComposerAct::Send => self.send(session).await,
            ComposerAct::Save => self.save(session).await.map(|()| Value::Null),
        };
        self.changed(now);
        result
    }

    fn state(&self, now: u64) -> Composer {
        let why_not = self.why_not(now);
        Composer {
            chat: self.chat.clone(),
            text: self.text.clone(),
            reply_to: self.reply_to.clone(),
            editing: self.editing.as_ref().map(|(edited, _)| edited.clone()),
            link: self.link(),
            preview: self.preview.clone(),
            files: if self.editing.is_some() { Vec::new() } else { self.tray.shown() },
            most_files: MOST_FILES,
            largest_file: self.facts.largest_file,
            characters: self.text.chars().count(),
            limit: MAX_TEXT_CHARS,
            may_send: why_not.is_none(),
            why_not,
        }
    }

    fn next_change(&self, now: u64) -> Option<u64> {
        let edit = self.editing.as_ref().map(|(_, sent_at)| sent_at.saturating_add(day()).saturating_add(1));
        // What becomes of files that are being sent is seen soon after.
        let look = self.tray.is_busy().then(|| now + LOOK_EVERY);
        edit.filter(|until| *until > now).into_iter().chain(self.save_at).chain(look).min()
    }

    async fn due(&mut self, session: &Account, now: u64) -> Heard {
        if self.save_at.is_some_and(|at| at <= now)
            && let Err(error) = self.save(session).await
        {
            tracing::warn!(kind = error.kind(), "a draft could not be kept; the next change tries again");
        }
        Heard::Shown
    }

    fn forget(&mut self) {
        let (chat, tray) = (std::mem::take(&mut self.chat), self.tray.clone());
        // What lies there is the profile's, too.
        tray.clear();
        *self = Self { chat, tray, ..Self::default() };
    }

    fn clock_offset(&self) -> i64 {
        self.facts.clock_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writing(text: &str) -> Writing {
        Writing { chat: "bob".to_owned(), text: text.to_owned(), ..Writing::default() }
    }

    fn editing(text: &str, sent_at: u64) -> (Edited, u64) {
        let id = crate::timeline::testing::message("alice", sent_at, text).id;
        (Edited { id, text: text.to_owned() }, sent_at)
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        assert_eq!(writing("hi").why_not(0), None);
        assert_eq!(writing(" \n").why_not(0), Some(WhyNot::Empty));
        assert_eq!(writing(&"\u{1F980}".repeat(2_000)).why_not(0), None, "characters are counted, not bytes");
        assert_eq!(writing(&"x".repeat(2_001)).why_not(0), Some(WhyNot::TooLong));
        let edited = Writing { editing: Some(editing("was", 1_000)), ..writing("was") };
        assert_eq!(edited.why_not(1_000), Some(WhyNot::Unchanged));
        let edited = Writing { editing: Some(editing("was", 1_000)), ..writing("is") };
        assert_eq!(edited.why_not(1_000 + day()), None);
        assert_eq!(edited.why_not(1_001 + day()), Some(WhyNot::TooLate));
    }

    #[test]
    fn a_draft_is_kept_half_a_second_after_the_first_change_however_fast_one_types() {
        let mut writing = writing("h");
        writing.changed(1_000);
        writing.text.push('i');
        writing.changed(1_400);
        assert_eq!(writing.save_at, Some(1_500));
        writing.kept = writing.draft();
        writing.changed(1_600);
        assert_eq!(writing.save_at, None, "nothing is different");
    }

    #[test]
    fn an_edited_text_is_no_draft() {
        let waiting = Draft { text: "half".to_owned(), reply_to: None };
        let writing = Writing { editing: Some(editing("was", 0)), waiting: waiting.clone(), ..writing("is") };
        assert_eq!(writing.draft(), waiting);
    }

    #[test]
    fn a_preview_is_offered_for_a_link_and_goes_when_its_link_does() {
        let mut writing = writing("see https://example.org/a.");
        let url = "https://example.org/a".to_owned();
        assert_eq!(writing.link(), Some(Link { url: url.clone(), host: "example.org".to_owned() }));
        let preview = LinkPreview { url, title: Some("A".to_owned()) };
        writing.set_preview(Some(preview.clone())).unwrap();
        assert_eq!(writing.link(), None, "there is one");
        writing.set("look: https://example.org/a and so on".to_owned());
        assert_eq!(writing.preview, Some(preview.clone()));
        writing.set("look: https://example.org/".to_owned());
        assert_eq!(writing.preview, None);
        assert!(writing.set_preview(Some(preview)).is_err(), "of a link that is not there");
        writing.editing = Some(editing("was", 0));
        assert_eq!(writing.link(), None, "an edit changes the text alone");
        assert_eq!(
            super::Writing { text: "http://example.org".to_owned(), ..Writing::default() }.link(),
            None
        );
    }

    #[test]
    fn typing_is_told_at_once_then_every_ten_seconds_and_its_end_once() {
        let mut writing = writing("h");
        let told: Vec<_> = [0, 5_000, 9_999, 10_000, 15_000].map(|now| writing.tell(now)).to_vec();
        assert_eq!(told, [Some(true), None, None, Some(true), None]);
        writing.text.clear();
        assert_eq!([writing.tell(16_000), writing.tell(17_000)], [Some(false), None]);
    }
}
