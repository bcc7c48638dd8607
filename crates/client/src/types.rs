//! What the SDK tells its callers: records and events, with exactly the JSON that scripts read.
//!
//! Every record that is a line of `--json` output carries its `event` key itself, so a face prints
//! `serde_json::to_string(&record)` and nothing else. More keys may come; those here stay.

use conclave_crypto::AccountId;
use serde::{Deserialize, Serialize};

use crate::said::{Invitation, LinkPreview, Timer};
use crate::store::{OutgoingMessage, SearchCursor, SearchKind};

/// What is hashed before author and sent timestamp, so that no other hash is ever a message id.
const MESSAGE_ID_LABEL: &[u8] = b"conclave message id v1";
/// The same for calls.
const CALL_ID_LABEL: &[u8] = b"conclave call id v1";

/// The name of a message, the same on every device of every participant: derived from its author
/// and sent timestamp (client-messages 0, rule 2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMessage {
    /// An account id, the name of a contact, or `me`.
    pub to: String,
    /// What it says; at most 2,000 characters. Empty only with an invitation.
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
}

impl NewMessage {
    /// Just a text.
    pub fn text(to: impl Into<String>, text: impl Into<String>) -> Self {
        Self { to: to.into(), text: text.into(), reply_to: None, preview: None, invitation: None }
    }

    /// With `to` found out.
    pub(crate) fn to(self, chat: AccountId) -> OutgoingMessage {
        OutgoingMessage {
            chat,
            text: self.text,
            reply_to: self.reply_to,
            preview: self.preview,
            invitation: self.invitation,
        }
    }
}

impl std::fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewMessage({} bytes)", self.text.len())
    }
}

/// What to look for in all messages. All that is given has to hold; at least one thing has to be given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Search {
    /// Words, in any order; the last may be a beginning. Nothing in it is syntax. At most 1,024 bytes.
    pub text: String,
    /// Only in this chat: an account id, the name of a contact, or `me`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// Only by this author, named as a chat is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Only messages that hold this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<SearchKind>,
    /// Not sent before this time, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Not sent after this time, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Go on where an earlier page ended ([`SearchResult::next`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<SearchCursor>,
    /// At most so many hits, and never more than 1,000; 0 is 50.
    pub limit: u32,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Search({} bytes, limit {})", self.text.len(), self.limit)
    }
}

/// A page of what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchResult {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// With this the next page begins; `null` after the last.
    pub next: Option<SearchCursor>,
    /// Old messages are still being indexed: some may be missing.
    pub incomplete: bool,
}

/// A message that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// What to mark in its text: begin and end, in bytes, in order. Empty if it was found by something else than its text.
    pub marks: Vec<(usize, usize)>,
}

/// How far a message that was sent from this account has come. Never shown further than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The name its sender gave it; `null` if none.
    pub name: Option<String>,
    /// Where it lies on this machine; `null` until it does.
    pub path: Option<String>,
    /// Bytes, as its sender says.
    pub size: u64,
    /// Its MIME type, as its sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// It is a voice message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
}

/// What a line of a chat is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Its id.
    pub id: MessageId,
    /// The account id of its author.
    pub from: String,
}

/// Who reacted with the same emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionInfo {
    /// The emoji.
    pub emoji: String,
    /// The account ids.
    pub from: Vec<String>,
}

/// One message of a chat, sent or received: `{"event":"message",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Files, in their order.
    pub attachments: Vec<Attachment>,
    /// From somebody this account has neither written to nor accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// For messages of this account: how far it has come. Absent for others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// The author's name for themself, if the message came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
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

/// A message is gone: deleted, or disappeared. `{"event":"deleted",…}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "deleted")]
pub struct Deleted {
    /// Which.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
}

/// Somebody types, or has stopped: `{"event":"typing",…}`. Worth showing for 15 seconds at most (client-messages 4.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "typing")]
pub struct Typing {
    /// In which chat.
    pub chat: String,
    /// They began; else they stopped.
    pub typing: bool,
}

/// Somebody known: `{"event":"contact",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A message of this account came further: `{"event":"state",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "state")]
pub struct StateChange {
    /// Which message.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
    /// What is true of it now.
    pub state: MessageState,
    /// How many members of the recipient's swarm signed for it, every signature verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<u32>,
    /// How many members the swarm has by the node list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<u32>,
    /// Of a failure: why, and what happens next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What happens in a profile, in the order it happened.
///
/// Serialised, an event is the record itself; the record's `event` key says which it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Event {
    /// A message is in the database that was not there before, received or sent.
    Message(Message),
    /// A message is different: edited, reacted to, deleted by its author, about to disappear. Serialised, it is the message
    /// with `"event":"changed"`.
    Changed(#[serde(serialize_with = "changed")] Message),
    /// A message is gone.
    Deleted(Deleted),
    /// A message of this account came further.
    State(StateChange),
    /// Somebody types, or has stopped.
    Typing(Typing),
    /// Something about a chat is different that is not in its messages: name, approval, place, timer, how far it was read.
    #[serde(serialize_with = "chat_changed")]
    Chat {
        /// Which.
        chat: String,
    },
    /// The account's own profile is different.
    #[serde(serialize_with = "profile_changed")]
    Profile,
    /// The profile is locked: nothing happens until it is unlocked.
    #[serde(serialize_with = "locked")]
    Locked,
    /// The profile is unlocked.
    #[serde(serialize_with = "unlocked")]
    Unlocked,
}

fn tagged<S: serde::Serializer>(event: &str, record: impl Serialize, to: S) -> Result<S::Ok, S::Error> {
    use serde::ser::Error as _;
    let mut value = serde_json::to_value(record).map_err(S::Error::custom)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("event".to_owned(), event.into());
    }
    value.serialize(to)
}

fn changed<S: serde::Serializer>(message: &Message, to: S) -> Result<S::Ok, S::Error> {
    tagged("changed", message, to)
}

fn chat_changed<S: serde::Serializer>(chat: &str, to: S) -> Result<S::Ok, S::Error> {
    tagged("chat_changed", serde_json::json!({ "chat": chat }), to)
}

fn profile_changed<S: serde::Serializer>(to: S) -> Result<S::Ok, S::Error> {
    tagged("profile_changed", serde_json::json!({}), to)
}

fn locked<S: serde::Serializer>(to: S) -> Result<S::Ok, S::Error> {
    tagged("locked", serde_json::json!({}), to)
}

fn unlocked<S: serde::Serializer>(to: S) -> Result<S::Ok, S::Error> {
    tagged("unlocked", serde_json::json!({}), to)
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let mut value = serde_json::Value::deserialize(from)?;
        let kind = value.get("event").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "message" => serde_json::from_value(value).map(Self::Message),
            "changed" => {
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("event".to_owned(), "message".into());
                }
                serde_json::from_value(value).map(Self::Changed)
            }
            "deleted" => serde_json::from_value(value).map(Self::Deleted),
            "typing" => serde_json::from_value(value).map(Self::Typing),
            "chat_changed" => {
                let chat = value.get("chat").and_then(serde_json::Value::as_str).unwrap_or_default();
                Ok(Self::Chat { chat: chat.to_owned() })
            }
            "profile_changed" => Ok(Self::Profile),
            "locked" => Ok(Self::Locked),
            "unlocked" => Ok(Self::Unlocked),
            "state" => serde_json::from_value(value).map(Self::State),
            other => return Err(D::Error::custom(format_args!("no event {other:?} is known"))),
        }
        .map_err(D::Error::custom)
    }
}

/// `{"event":"queued","id":…}`: the message is durable on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "queued")]
pub struct Queued {
    /// The message.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
}

/// `{"event":"stored",…}`: a majority of the recipient's swarm signed for the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "stored")]
pub struct Stored {
    /// The message.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
    /// Members that signed, each signature verified with the node list's key. `null` in communities.
    pub signed: Option<u32>,
    /// Members of the swarm by the node list. `null` in communities.
    pub swarm: Option<u32>,
}

/// One line of the chat list: `{"event":"chat",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "chat")]
pub struct ChatSummary {
    /// The chat's id: the other side's account id.
    pub chat: String,
    /// The name the other side gives itself, if known.
    pub name: Option<String>,
    /// Somebody this account has neither written to nor accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// The newest message.
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
}

/// `{"event":"status",…}`: how the profile stands with the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The last failure to reach the network, if the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Who an account is: the line of `account create`, `restore` and `show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What a full round over the own swarm brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReport {
    /// Members of the own swarm by the node list.
    pub members: u32,
    /// Those that answered.
    pub answered: u32,
    /// Messages that were new.
    pub new_messages: u32,
}

/// What `wait_for` found out about a sent message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
