//! What the SDK tells its callers: records and events, with exactly the JSON that scripts read.
//!
//! Every record that is a line of `--json` output carries its `event` key itself, so a face prints
//! `serde_json::to_string(&record)` and nothing else. More keys may come; those here stay.

use conclave_crypto::AccountId;
use serde::{Deserialize, Serialize};

/// What is hashed before author and sent timestamp, so that no other hash is ever a message id.
const MESSAGE_ID_LABEL: &[u8] = b"conclave message id v1";

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
    /// A message of this account came further.
    State(StateChange),
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = serde_json::Value::deserialize(from)?;
        let kind = value.get("event").and_then(serde_json::Value::as_str).unwrap_or_default();
        match kind {
            "message" => serde_json::from_value(value).map(Self::Message),
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
