//! What another program sent through another storage server.

use conclave_crypto::{Account, Ed25519Secret, padding, session_protocol};
use conclave_proto::content::{self, AttachmentPointer, Content, DataMessage, LokiProfile, data_message};
use conclave_proto::{MessageHash, Namespace};
use serde_json::{Map, Value, json};

use super::util::*;

pub fn check_session_js_interop(value: &Value) -> Outcome {
    let (sender, recipient) = (person(at(value, "sender")?)?, person(at(value, "recipient")?)?);
    let messages = list(value, "messages")?;
    for message in messages {
        let name = text(message, "name")?;
        let owner = match text(message, "stored_for")? {
            "recipient" => &recipient,
            "own" => &sender,
            unknown => return Err(format!("{name}: stored for {unknown}?")),
        };
        let data = base64(message, "data_base64")?;
        let hash = MessageHash::of(owner.id(), Namespace::DIRECT, &data);
        same(name, hash.as_str(), text(message, "storage_hash")?)?;
        let envelope = content::unwrap(&data).map_err(|error| format!("{name}: {error}"))?;
        same(name, envelope.timestamp.0, number(message, "timestamp_ms")?)?;
        same(name, envelope.pro_sig, None)?;
        let opened = session_protocol::open(owner.x25519(), &envelope.content).map_err(err)?;
        same(name, &opened.sender, sender.id())?;
        same(name, Some(opened.message.len()), number(message, "padded_len")?.try_into().ok())?;
        let plain = padding::unpad_content(&opened.message);
        same(name, plain, &bytes(message, "content")?)?;
        let decoded = content::Decoded::<Content>::decode(plain).map_err(err)?;
        same(name, &named(&decoded.message), at(message, "decode")?)?;
        same(name, decoded.encode().len(), plain.len())?;
    }
    same("messages", messages.len(), 15)
}

fn person(value: &Value) -> Result<Account, String> {
    let mut seed = [0; 32];
    seed.split_at_mut(16).0.copy_from_slice(&array::<16>(value, "seed16")?);
    let account = Account::from_secret(Ed25519Secret::from_seed(&seed));
    same("account", &*account.id().to_hex(), text(value, "account_id")?)?;
    Ok(account)
}

/// Collects what is there under its name.
#[derive(Default)]
struct Named(Map<String, Value>);

impl Named {
    fn set(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    fn hex(self, name: &str, value: Option<&Vec<u8>>) -> Self {
        self.set(name, value.map(hex::encode))
    }

    fn end(self) -> Value {
        Value::Object(self.0)
    }
}

fn named(content: &Content) -> Value {
    Named::default()
        .set("dataMessage", content.data_message.as_ref().map(data))
        .set(
            "typingMessage",
            content.typing_message.map(|m| json!({"timestamp": m.timestamp, "action": m.action})),
        )
        .set(
            "receiptMessage",
            content.receipt_message.as_ref().map(|m| json!({"type": m.r#type, "timestamp": m.timestamp})),
        )
        .set(
            "unsendRequest",
            content.unsend_request.as_ref().map(|m| json!({"timestamp": m.timestamp, "author": m.author})),
        )
        .set(
            "messageRequestResponse",
            content.message_request_response.as_ref().map(|m| {
                Named::default()
                    .set("isApproved", Some(m.is_approved))
                    .hex("profileKey", m.profile_key.as_ref())
                    .set("profile", m.profile.as_ref().map(profile))
                    .end()
            }),
        )
        .set(
            "dataExtractionNotification",
            content
                .data_extraction_notification
                .map(|m| Named::default().set("type", Some(m.r#type)).set("timestamp", m.timestamp).end()),
        )
        .set("expirationType", content.expiration_type)
        .set("expirationTimer", content.expiration_timer)
        .set("sigTimestamp", content.sig_timestamp)
        .end()
}

fn data(message: &DataMessage) -> Value {
    let attachments: Vec<Value> = message.attachments.iter().map(attachment).collect();
    Named::default()
        .set("body", message.body.clone())
        .set("attachments", (!attachments.is_empty()).then_some(attachments))
        .set("flags", message.flags)
        .hex("profileKey", message.profile_key.as_ref())
        .set("timestamp", message.timestamp)
        .set("quote", message.quote.as_ref().map(quote))
        .set(
            "reaction",
            message.reaction.as_ref().map(|m| {
                Named::default()
                    .set("id", Some(m.id))
                    .set("author", Some(m.author.clone()))
                    .set("emoji", m.emoji.clone())
                    .set("action", Some(m.action))
                    .end()
            }),
        )
        .set("profile", message.profile.as_ref().map(profile))
        .set("syncTarget", message.sync_target.clone())
        .end()
}

fn quote(quote: &data_message::Quote) -> Value {
    let attachments: Vec<Value> = quote
        .attachments
        .iter()
        .map(|m| {
            Named::default()
                .set("contentType", m.content_type.clone())
                .set("fileName", m.file_name.clone())
                .set("flags", m.flags)
                .end()
        })
        .collect();
    Named::default()
        .set("id", Some(quote.id))
        .set("author", Some(quote.author.clone()))
        .set("text", quote.text.clone())
        .set("attachments", (!attachments.is_empty()).then_some(attachments))
        .end()
}

fn profile(profile: &LokiProfile) -> Value {
    Named::default()
        .set("displayName", profile.display_name.clone())
        .set("profilePicture", profile.profile_picture.clone())
        .set("lastUpdateSeconds", profile.last_update_seconds)
        .end()
}

fn attachment(attachment: &AttachmentPointer) -> Value {
    Named::default()
        .set("id", Some(attachment.id))
        .set("contentType", attachment.content_type.clone())
        .hex("key", attachment.key.as_ref())
        .set("size", attachment.size)
        .hex("digest", attachment.digest.as_ref())
        .set("fileName", attachment.file_name.clone())
        .set("flags", attachment.flags)
        .set("width", attachment.width)
        .set("height", attachment.height)
        .set("caption", attachment.caption.clone())
        .set("url", attachment.url.clone())
        .end()
}
