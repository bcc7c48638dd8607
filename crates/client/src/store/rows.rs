//! What goes into the store and what comes out.

use std::time::Duration;

use conclave_crypto::{AccountId, Ed25519Public, RecoveryPhrase};
use conclave_proto::{Namespace, Timestamp};

use crate::said::{Details, File, FileKey, Invitation, LinkPreview, Pointer, QuotedMessage, Timer};
use crate::types::{MessageId, MessageState};
use crate::wire::Opened;

/// The account of a profile.
#[derive(Clone)]
pub struct StoredAccount {
    /// From which all its keys are made.
    pub phrase: RecoveryPhrase,
    /// Its id.
    pub id: AccountId,
    /// The display name.
    pub name: String,
}

impl std::fmt::Debug for StoredAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredAccount({:?}, hidden)", self.id)
    }
}

/// A message somebody wants to send.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// To whom; one's own id for a note to oneself.
    pub chat: AccountId,
    /// What it says.
    pub text: String,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// What a link in the text leads to. Making one is the caller's part: it shows the site the owner's address.
    pub preview: Option<LinkPreview>,
    /// A community to invite to.
    pub invitation: Option<Invitation>,
    /// Files, encrypted and on this disk already.
    pub files: Vec<NewFile>,
}

/// A file to be sent: what is said of it, and what is in the profile's folder.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    /// As it is told to others.
    pub file: File,
    /// As others find and open it.
    pub pointer: Pointer,
    /// The name of its encrypted bytes in the profile's folder for files.
    pub blob: String,
    /// The list of its chunks. `None` if it goes to a file server: where it is there is known only then.
    pub manifest: Option<Vec<u8>>,
    /// What deletes its chunks.
    pub file_key: FileKey,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileState {
    /// Elsewhere.
    #[default]
    Elsewhere,
    /// To be fetched.
    Wanted,
    /// Here.
    Here,
    /// Here, and to be stored in swarms.
    Sending,
    /// It could not be fetched, or stored.
    Failed,
}

impl FileState {
    const ALL: [Self; 5] = [Self::Elsewhere, Self::Wanted, Self::Here, Self::Sending, Self::Failed];

    pub(super) fn code(self) -> i64 {
        Self::ALL.iter().position(|state| *state == self).and_then(|at| i64::try_from(at).ok()).unwrap_or(0)
    }

    pub(super) fn of_code(code: i64) -> Self {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied().unwrap_or_default()
    }
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Which, in this database.
    pub row: i64,
    /// The message it belongs to.
    pub message: MessageId,
    /// Which of the message's files, from 0.
    pub place: u32,
    /// Where it is, and what opens it.
    pub pointer: Pointer,
    /// Bytes of the content, as its sender says.
    pub size: u64,
    /// How far it has come.
    pub state: FileState,
    /// Where its content was written to, if it was.
    pub path: Option<String>,
    /// The name of its encrypted bytes in the profile's folder for files.
    pub blob: Option<String>,
    /// The list of its chunks, once it is known.
    pub manifest: Option<Vec<u8>>,
    /// Which chunks a majority of their swarm has, a bit each; the manifest is behind the last.
    pub stored: Vec<u8>,
    /// What deletes its chunks, of one that was sent from this account.
    pub file_key: Option<FileKey>,
    /// It was, or is to be, stored from this device.
    pub sent_here: bool,
    /// What went wrong.
    pub reason: Option<String>,
    /// How often it did.
    pub attempts: u32,
}

impl OutgoingMessage {
    /// Just a text.
    pub fn text(chat: AccountId, text: impl Into<String>) -> Self {
        Self { chat, text: text.into(), reply_to: None, preview: None, invitation: None, files: Vec::new() }
    }
}

impl std::fmt::Debug for OutgoingMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutgoingMessage(to {:?}, {} bytes)", self.chat, self.text.len())
    }
}

/// What a row of a chat is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowKind {
    /// A text and all that comes with it.
    #[default]
    Post,
    /// Somebody changed how messages disappear; [`Details::timer`] says to what.
    TimerChanged,
    /// Somebody called.
    MissedCall,
    /// Somebody saved a file.
    MediaSaved,
    /// Somebody took a picture of the screen.
    Screenshot,
    /// The other side accepted the request.
    Accepted,
    /// Its author deleted it.
    Deleted,
}

impl RowKind {
    const ALL: [Self; 7] = [
        Self::Post,
        Self::TimerChanged,
        Self::MissedCall,
        Self::MediaSaved,
        Self::Screenshot,
        Self::Accepted,
        Self::Deleted,
    ];

    pub(super) fn code(self) -> i64 {
        Self::ALL.iter().position(|kind| *kind == self).and_then(|at| i64::try_from(at).ok()).unwrap_or(0)
    }

    pub(super) fn of_code(code: i64) -> Self {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied().unwrap_or_default()
    }
}

/// Who reacted with the same emoji.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionRow {
    /// The emoji.
    pub emoji: String,
    /// Who, in the order in which they did.
    pub authors: Vec<AccountId>,
}

/// A message of a chat.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// The same on all devices.
    pub id: MessageId,
    /// The other side's id; one's own for notes to oneself.
    pub chat: AccountId,
    /// Who wrote it.
    pub author: AccountId,
    /// The name the author gives themself, if known.
    pub author_name: Option<String>,
    /// The name we gave the author.
    pub author_nickname: Option<String>,
    /// What it says.
    pub text: String,
    /// When it was written, as its author says.
    pub sent_at: Timestamp,
    /// When it reached this device.
    pub arrived_at: Timestamp,
    /// It claims to have been sent later than it arrived, so it stands where it arrived.
    pub from_the_future: bool,
    /// Written by this account, on this device or another.
    pub outgoing: bool,
    /// From somebody this account has not written to.
    pub request: bool,
    /// Of outgoing messages: how far it has come. `None` if another device sent it.
    pub state: Option<MessageState>,
    /// Verified signatures of the recipient's swarm; `None` before the first answer.
    pub signed: Option<u32>,
    /// Size of the recipient's swarm by the node list.
    pub swarm: Option<u32>,
    /// What went wrong at the last attempt, or for good.
    pub reason: Option<String>,
    /// The hash of the copy in the account's own swarm, if one is known.
    pub own_hash: Option<String>,
    /// What it is.
    pub kind: RowKind,
    /// What comes with it.
    pub details: Details,
    /// What it answers.
    pub quote: Option<QuotedMessage>,
    /// When its newest edit was sent.
    pub edited_at: Option<Timestamp>,
    /// How it disappears.
    pub timer: Timer,
    /// When, once that is known.
    pub expires_at: Option<Timestamp>,
    /// Reactions, by emoji.
    pub reactions: Vec<ReactionRow>,
    /// Its files, in the order of [`Details::files`].
    pub files: Vec<FileRow>,
}

impl MessageRow {
    /// The message, as others name it.
    pub(crate) fn quoted(&self) -> QuotedMessage {
        QuotedMessage { author: self.author, sent_at: self.sent_at }
    }
}

impl std::fmt::Debug for MessageRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageRow")
            .field("id", &self.id)
            .field("chat", &self.chat)
            .field("outgoing", &self.outgoing)
            .field("state", &self.state)
            .field("text", &format_args!("{} bytes, hidden", self.text.len()))
            .finish_non_exhaustive()
    }
}

/// One of the two copies of a sent message (client-messages 0, rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Copy {
    /// In the recipient's swarm. The only one of a note to oneself.
    Recipient,
    /// In the account's own swarm, for its other devices.
    OwnSync,
}

impl Copy {
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Recipient => 0,
            Self::OwnSync => 1,
        }
    }
}

/// What a failed attempt says about the other copies for the same swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nothing: the message was at fault.
    Alone,
    /// The swarm does not answer: they need not be tried sooner.
    WaitToo,
}

/// A copy of something that is to be sent now.
#[derive(Clone, PartialEq, Eq)]
pub struct DueCopy {
    /// What: the id of a message, or of something that is not shown (a receipt).
    pub id: MessageId,
    /// Which copy of it.
    pub copy: Copy,
    /// Whose swarm it goes to.
    pub recipient: AccountId,
    /// When it was sent, as it says itself.
    pub sent_at: Timestamp,
    /// The serialized `Content`.
    pub content: Vec<u8>,
    /// How long its swarm is to keep it.
    pub ttl: Duration,
    /// How often it was tried.
    pub attempts: u32,
}

impl std::fmt::Debug for DueCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DueCopy({}, {:?}, tried {} times)", self.id, self.copy, self.attempts)
    }
}

/// Everything one swarm member returned for one namespace, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedBatch {
    /// The member.
    pub snode: Ed25519Public,
    /// The mailbox's owner.
    pub account: AccountId,
    /// The mailbox.
    pub namespace: Namespace,
    /// The hash of the last item as the member returned them: its next cursor. `None` leaves the
    /// cursor as it is.
    pub last_hash: Option<String>,
    /// In the order the member returned them.
    pub items: Vec<ReceivedItem>,
}

/// One stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedItem {
    /// What the swarm calls it.
    pub hash: String,
    /// When it was stored, as the member says.
    pub stored_at: Timestamp,
    /// When its swarm forgets it, as the member says.
    pub expires_at: Timestamp,
    /// What was in it.
    pub content: Opened,
}

/// One line of the chat list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRow {
    /// The other side's id.
    pub id: AccountId,
    /// What they call themselves.
    pub name: Option<String>,
    /// What we call them.
    pub nickname: Option<String>,
    /// The notes to oneself.
    pub is_self: bool,
    /// What was begun to be written.
    pub draft: Option<DraftRow>,
    /// Somebody this account has not written to.
    pub request: bool,
    /// The newest message; `None` if all were deleted.
    pub last: Option<MessageRow>,
    /// How many messages it holds here.
    pub messages: u64,
    /// How many of them the owner has not seen.
    pub unread: u64,
    /// The owner marked it as unread.
    pub marked_unread: bool,
    /// Below 0 hidden, above pinned: higher is further up.
    pub priority: i32,
    /// Nothing is notified until then.
    pub muted_until: Option<Timestamp>,
    /// How new messages disappear.
    pub timer: Timer,
    /// The owner wants nothing from them.
    pub blocked: bool,
    /// What tells their picture from others, if it is here.
    pub picture: Option<String>,
}

/// What the owner has begun to write in a chat.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DraftRow {
    /// The text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
}

impl std::fmt::Debug for DraftRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DraftRow({} bytes)", self.text.len())
    }
}

/// Somebody this account has exchanged a message with.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Their account id.
    pub id: AccountId,
    /// What they call themselves.
    pub name: Option<String>,
    /// What we call them.
    pub nickname: Option<String>,
    /// We have written to them, or accepted their request.
    pub approved: bool,
    /// They have written to us, or accepted our request.
    pub approved_me: bool,
    /// We want nothing from them.
    pub blocked: bool,
    /// The conversation's place: below 0 hidden, above pinned.
    pub priority: i32,
    /// How our messages to them disappear.
    pub timer: Timer,
    /// Nothing is notified until then.
    pub muted_until: Option<Timestamp>,
    /// What tells their picture from others, if it is here.
    pub picture: Option<String>,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contact({:?}, approved: {})", self.id, self.approved)
    }
}

/// The code of a state in the database: its place in the order states only ever climb.
pub(super) const fn state_code(state: MessageState) -> i64 {
    match state {
        MessageState::Queued => 0,
        MessageState::Failed => 1,
        MessageState::StoredWeakly => 2,
        MessageState::Stored => 3,
        MessageState::Delivered => 4,
        MessageState::Read => 5,
    }
}

pub(super) const fn state_of_code(code: i64) -> Option<MessageState> {
    Some(match code {
        0 => MessageState::Queued,
        1 => MessageState::Failed,
        2 => MessageState::StoredWeakly,
        3 => MessageState::Stored,
        4 => MessageState::Delivered,
        5 => MessageState::Read,
        _ => return None,
    })
}
