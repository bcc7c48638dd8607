//! What the SDK tells its callers: records and events, with exactly the JSON that scripts read.
//!
//! Every record that is a line of `--json` output carries its `event` key itself, so a face prints
//! `serde_json::to_string(&record)` and nothing else. More keys may come; those here stay.

mod events;
mod files;
mod search;

use conclave_crypto::AccountId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use events::{Deleted, Event, Queued, StateChange, Stored, Typing};
pub use files::{Attachment, AttachmentState, FileProgress, NewAttachment, PictureContent, Sealed};
pub use search::{Hit, Search, SearchResult};

pub use crate::said::{Invitation, LinkPreview, Timer};
use crate::store::OutgoingMessage;
pub use crate::store::{Deletion, EDIT_WITHIN, Place, SearchCursor, SearchKind};

/// What is hashed before author and sent timestamp, so that no other hash is ever a message id.
const MESSAGE_ID_LABEL: &[u8] = b"conclave message id v1";
/// The same for calls.
const CALL_ID_LABEL: &[u8] = b"conclave call id v1";

/// The name of a message, the same on every device of every participant: derived from its author
/// and sent timestamp (client-messages 0, rule 2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// Length of an id's text, so that what a stranger gives as one can be bounded.
    pub const LENGTH: usize = 32;

    /// The id of the message `author` sent at `sent_at` (milliseconds, network time).
    pub fn of(author: &AccountId, sent_at: conclave_proto::Timestamp) -> Self {
        let digest = conclave_crypto::hash::blake2b_256(&[
            MESSAGE_ID_LABEL,
            author.as_bytes(),
            &sent_at.as_millis().to_be_bytes(),
        ]);
        let mut id = hex::encode(digest);
        id.truncate(Self::LENGTH);
        Self(id)
    }

    /// The id of the line that a missed call leaves: the same whichever of its messages comes first.
    pub fn of_call(uuid: &str) -> Self {
        let digest = conclave_crypto::hash::blake2b_256(&[CALL_ID_LABEL, uuid.as_bytes()]);
        let mut id = hex::encode(digest);
        id.truncate(Self::LENGTH);
        Self(id)
    }

    /// Reads what [`std::fmt::Display`] wrote: 32 lowercase hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == Self::LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message somebody wants to send.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewMessage {
    /// An account id, the name of a contact, or `me`.
    pub to: String,
    /// What it says; at most 2,000 characters. Empty only with an invitation or with files.
    #[serde(default)]
    pub text: String,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// What a link in the text leads to. Making one is the caller's part: it shows the site the owner's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<LinkPreview>,
    /// A community to invite to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
    /// Files, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<NewAttachment>,
}

impl NewMessage {
    /// Just a text.
    pub fn text(to: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            to: to.into(),
            text: text.into(),
            reply_to: None,
            preview: None,
            invitation: None,
            attachments: Vec::new(),
        }
    }

    /// With `to` found out.
    pub(crate) fn to(self, chat: AccountId) -> OutgoingMessage {
        OutgoingMessage {
            chat,
            text: self.text,
            reply_to: self.reply_to,
            preview: self.preview,
            invitation: self.invitation,
            files: Vec::new(),
        }
    }
}

impl std::fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewMessage({} bytes)", self.text.len())
    }
}

/// How far a message that was sent from this account has come. Never shown further than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageState {
    /// In this profile's own database, on no node that proved it.
    Queued,
    /// Refused for good; `reason` of the state record says why.
    Failed,
    /// Some swarm members signed for it, but no majority of the swarm.
    StoredWeakly,
    /// A majority of the recipient's swarm signed for it.
    Stored,
    /// The other side's client said it has it.
    Delivered,
    /// The other side's client said it was read.
    Read,
}

/// What a line of a chat is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageKind {
    /// A text, and what comes with it.
    #[default]
    Text,
    /// Its author changed how their messages disappear; `timer` says to what.
    TimerChanged,
    /// Its author called.
    MissedCall,
    /// Its author saved a file.
    MediaSaved,
    /// Its author took a picture of the screen.
    Screenshot,
    /// Its author accepted the request.
    Accepted,
    /// Its author deleted it.
    Deleted,
}

impl MessageKind {
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// A message that another one answers. It may not be here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// Its id.
    pub id: MessageId,
    /// The account id of its author.
    pub from: String,
}

/// Who reacted with the same emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReactionInfo {
    /// The emoji.
    pub emoji: String,
    /// The account ids.
    pub from: Vec<String>,
}

/// One message of a chat, sent or received: `{"event":"message",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "message")]
pub struct Message {
    /// The same on all devices.
    pub id: MessageId,
    /// The chat it belongs to: the other side's account id, or one's own for notes to oneself.
    pub chat: String,
    /// The account id of its author.
    pub from: String,
    /// What it says.
    pub text: String,
    /// Milliseconds since the Unix epoch, network time, as its author's client says.
    pub sent_at: u64,
    /// When it came to this device, milliseconds since the epoch; there only where it claims to have been sent more than a
    /// minute later than that. Then it stands where it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<u64>,
    /// Files, in their order.
    pub attachments: Vec<Attachment>,
    /// Written by this account, on this device or another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outgoing: bool,
    /// From somebody this account has neither written to nor accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// For messages of this account: how far it has come. Absent for others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// The author's name for themself, if the message came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
    /// This account's own name for the author, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_nickname: Option<String>,
    /// What it is; absent for texts.
    #[serde(default, skip_serializing_if = "MessageKind::is_text")]
    pub kind: MessageKind,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Quote>,
    /// Reactions, in the order they were first used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionInfo>,
    /// When its text was last edited, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<u64>,
    /// When it disappears, milliseconds since the epoch, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// How it disappears; of a notice about the timer, the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// What a link in it leads to, as its author's program saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<LinkPreview>,
    /// A community its author invites to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
}

impl Message {
    /// The time by which it stands in its conversation, milliseconds since the epoch: when it was sent, unless that cannot be.
    pub fn stands_at(&self) -> u64 {
        self.arrived_at.unwrap_or(self.sent_at)
    }
}

/// Somebody known: `{"event":"contact",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "contact")]
pub struct ContactInfo {
    /// Their account id.
    pub account_id: String,
    /// What they call themselves.
    pub name: Option<String>,
    /// What one calls them.
    pub nickname: Option<String>,
    /// One has written to them or accepted their request.
    pub approved: bool,
    /// They have written, or accepted a request.
    pub approved_me: bool,
    /// One wants nothing from them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    /// Their profile picture is here: `picture` gives it. The text is another one for each picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// One line of the chat list: `{"event":"chat",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "chat")]
pub struct ChatSummary {
    /// The chat's id: the other side's account id.
    pub chat: String,
    /// The name the other side gives itself, if known.
    pub name: Option<String>,
    /// What its owner calls the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// The notes to oneself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_self: bool,
    /// What its owner has begun to write on this device; of a long one, the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
    /// Somebody this account has neither written to nor accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// The newest message; of one that is very large the beginning, with one file at most.
    pub last: Option<Message>,
    /// How many messages it holds here.
    pub messages: u64,
    /// How many of them have not been read.
    #[serde(default)]
    pub unread: u64,
    /// The owner marked it as unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marked_unread: bool,
    /// It stands above those that are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Nothing is notified until then, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<u64>,
    /// How new messages disappear.
    #[serde(default, skip_serializing_if = "Timer::is_off")]
    pub timer: Timer,
    /// The owner wants nothing from them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    /// The other side's profile picture is here: `picture` gives it. The text is another one for each picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

impl ChatSummary {
    /// What to call the other side: what its owner calls it, or else what it calls itself.
    pub fn title(&self) -> Option<&str> {
        self.nickname.as_deref().or(self.name.as_deref())
    }
}

/// What its owner has begun to write in a chat.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    /// The text; at most 64 KiB.
    pub text: String,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draft({} bytes)", self.text.len())
    }
}

/// `{"event":"status",…}`: how the profile stands with the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "status")]
pub struct Status {
    /// The network of the profile; `null` if it has none.
    pub network_id: Option<String>,
    /// Nodes in the list in use.
    pub nodes: u32,
    /// The Ed25519 key (hex) of the first hop in use.
    pub guard: Option<String>,
    /// The onion paths in use, each from the guard on, Ed25519 keys in hex.
    pub paths: Vec<Vec<String>>,
    /// Network time minus this machine's time, milliseconds.
    pub clock_offset_ms: i64,
    /// Messages no majority has signed for yet.
    pub queued: u32,
    /// When a node last answered, milliseconds since the epoch (network time); `null` if none has yet.
    pub last_contact: Option<u64>,
    /// The profile is locked; nothing else of this is known then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Bytes of requests to guards since the owner started, without what QUIC or TLS adds.
    #[serde(default)]
    pub bytes_sent: u64,
    /// Bytes of the answers to them.
    #[serde(default)]
    pub bytes_received: u64,
    /// Bytes of the largest file that the network takes.
    #[serde(default)]
    pub largest_file: u64,
    /// The last failure to reach the network, if the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Who an account is: the line of `account create`, `restore` and `show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountInfo {
    /// The account id, 66 hex digits.
    pub account_id: String,
    /// The display name.
    pub name: String,
    /// The profile it lives in.
    pub profile: String,
    /// The network the profile belongs to; `null` if it was made without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_id: Option<String>,
    /// The account's profile picture is here: `picture` gives it. The text is another one for each picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// What a full round over the own swarm brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FetchReport {
    /// Members of the own swarm by the node list.
    pub members: u32,
    /// Those that answered.
    pub answered: u32,
    /// Messages that were new.
    pub new_messages: u32,
}

/// What `wait_for` found out about a sent message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SentState {
    /// The message.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
    /// How far it has come.
    pub state: MessageState,
    /// Verified signatures of the recipient's swarm.
    pub signed: Option<u32>,
    /// Size of the recipient's swarm by the node list.
    pub swarm: Option<u32>,
    /// Of a failure: why.
    pub reason: Option<String>,
}

impl SentState {
    /// The line a script reads, if a majority signed.
    pub fn stored(&self) -> Option<Stored> {
        matches!(self.state, MessageState::Stored | MessageState::Delivered | MessageState::Read).then(|| {
            Stored { id: self.id.clone(), chat: self.chat.clone(), signed: self.signed, swarm: self.swarm }
        })
    }
}
