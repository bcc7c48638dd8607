//! What happens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FileProgress, Message, MessageId, MessageState};

/// A message is gone: deleted, or disappeared. `{"event":"deleted",…}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "deleted")]
pub struct Deleted {
    /// Which.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
}

/// Somebody types, or has stopped: `{"event":"typing",…}`. Worth showing for 15 seconds at most (client-messages 4.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "typing")]
pub struct Typing {
    /// In which chat.
    pub chat: String,
    /// They began; else they stopped.
    pub typing: bool,
}

/// A message of this account came further: `{"event":"state",…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// A file came further.
    FileProgress(FileProgress),
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
    /// The listener was too slow, and events were left out: what it shows has to be read again.
    #[serde(serialize_with = "missed")]
    Missed,
}

impl JsonSchema for Event {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        /// A record under another name of the event.
        fn named(record: schemars::Schema, event: &str) -> serde_json::Value {
            let mut record = record.to_value();
            if let Some(tag) = record.pointer_mut("/properties/event") {
                *tag = serde_json::json!({"type": "string", "const": event});
            }
            record
        }
        let bare = |event: &str| {
            serde_json::json!({
                "type": "object",
                "properties": {"event": {"type": "string", "const": event}},
                "required": ["event"],
            })
        };
        let chat = serde_json::json!({
            "type": "object",
            "properties": {
                "event": {"type": "string", "const": "chat_changed"},
                "chat": {"type": "string", "description": "Which."},
            },
            "required": ["event", "chat"],
        });
        let changed = named(Message::json_schema(generator), "changed");
        schemars::json_schema!({
            "description": "Something that happened in a profile; `event` says what.",
            "oneOf": [
                generator.subschema_for::<Message>(),
                changed,
                generator.subschema_for::<Deleted>(),
                generator.subschema_for::<StateChange>(),
                generator.subschema_for::<FileProgress>(),
                generator.subschema_for::<Typing>(),
                chat,
                bare("profile_changed"),
                bare("locked"),
                bare("unlocked"),
                bare("missed"),
            ],
        })
    }
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
            "file_progress" => serde_json::from_value(value).map(Self::FileProgress),
            "typing" => serde_json::from_value(value).map(Self::Typing),
            "chat_changed" => {
                let chat = value.get("chat").and_then(serde_json::Value::as_str).unwrap_or_default();
                Ok(Self::Chat { chat: chat.to_owned() })
            }
            "profile_changed" => Ok(Self::Profile),
            "locked" => Ok(Self::Locked),
            "unlocked" => Ok(Self::Unlocked),
            "missed" => Ok(Self::Missed),
            "state" => serde_json::from_value(value).map(Self::State),
            other => return Err(D::Error::custom(format_args!("no event {other:?} is known"))),
        }
        .map_err(D::Error::custom)
    }
}

/// `{"event":"queued","id":…}`: the message is durable on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "queued")]
pub struct Queued {
    /// The message.
    pub id: MessageId,
    /// Its chat.
    pub chat: String,
}

/// `{"event":"stored",…}`: a majority of the recipient's swarm signed for the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

fn missed<S: serde::Serializer>(to: S) -> Result<S::Ok, S::Error> {
    tagged("missed", serde_json::json!({}), to)
}
