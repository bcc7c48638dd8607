//! Making and wrapping messages the way current clients do, and taking the wrapping off again.

use prost::Message as _;

use super::{
    Content, ContentError, DataMessage, Decoded, Envelope, LokiProfile, WebSocketMessage,
    WebSocketRequestMessage, content, envelope, web_socket_message,
};
use crate::Timestamp;

/// What a message says about its own disappearance (client-messages 4.10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiration {
    /// It stays.
    #[default]
    Off,
    /// It goes this many seconds after it was read.
    AfterRead(u32),
    /// It goes this many seconds after it was sent.
    AfterSend(u32),
}

impl DataMessage {
    /// A text. `sync_target` is set in the copy its sender stores for itself: whom it was sent to.
    pub fn text(text: &str, sync_target: Option<String>) -> Self {
        Self { body: Some(text.to_owned()), sync_target, ..Self::default() }
    }

    /// With the sender's name for themself. Left out of sync copies: one's own devices know it.
    #[must_use]
    pub fn with_profile_name(mut self, name: &str) -> Self {
        self.profile = Some(LokiProfile { display_name: Some(name.to_owned()), ..LokiProfile::default() });
        self
    }

    /// The sender's name for themself, if the message says it.
    pub fn profile_name(&self) -> Option<&str> {
        self.profile.as_ref()?.display_name.as_deref()
    }
}

impl Content {
    /// A message without anything in it yet: its time is always named and so is its expiration, even
    /// though that is off (3.3). Set exactly one of the message fields.
    pub fn at(sent_at: Timestamp) -> Self {
        Self { sig_timestamp: Some(sent_at.0), ..Self::default() }.expiring(Expiration::Off)
    }

    /// A data message.
    pub fn with_data(data: DataMessage, sent_at: Timestamp) -> Self {
        Self { data_message: Some(data), ..Self::at(sent_at) }
    }

    /// With an expiration.
    #[must_use]
    pub fn expiring(mut self, expiration: Expiration) -> Self {
        let (kind, seconds) = match expiration {
            Expiration::Off => (content::ExpirationType::Unknown, 0),
            Expiration::AfterRead(seconds) => (content::ExpirationType::DeleteAfterRead, seconds),
            Expiration::AfterSend(seconds) => (content::ExpirationType::DeleteAfterSend, seconds),
        };
        self.expiration_type = Some(kind.into());
        self.expiration_timer = Some(seconds);
        self
    }

    /// What it says about its own disappearance. A type nobody knows is off.
    pub fn expiration(&self) -> Expiration {
        match (self.expiration_type(), self.expiration_timer()) {
            (_, 0) | (content::ExpirationType::Unknown, _) => Expiration::Off,
            (content::ExpirationType::DeleteAfterRead, seconds) => Expiration::AfterRead(seconds),
            (content::ExpirationType::DeleteAfterSend, seconds) => Expiration::AfterSend(seconds),
        }
    }

    /// Serialized, before padding.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Reads what was sealed, after padding is off. Use [`Decoded::decode`] where unknown fields are to
    /// be kept.
    ///
    /// # Errors
    /// [`ContentError`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContentError> {
        Decoded::decode(bytes).map(|decoded| decoded.message)
    }
}

impl Envelope {
    /// Around what was sealed for one account. `pro_sig` is a decoy, unless there is something to
    /// prove (3.9): 64 bytes that look like a signature are always there.
    pub fn one_to_one(sent_at: Timestamp, sealed: Vec<u8>, pro_sig: [u8; 64]) -> Self {
        Self::around(envelope::Type::SessionMessage, sent_at, sealed, pro_sig)
    }

    /// Around the plain [`Content`] of a group message (3.4).
    pub fn group(sent_at: Timestamp, content: Vec<u8>, pro_sig: [u8; 64]) -> Self {
        Self::around(envelope::Type::ClosedGroupMessage, sent_at, content, pro_sig)
    }

    fn around(kind: envelope::Type, sent_at: Timestamp, content: Vec<u8>, pro_sig: [u8; 64]) -> Self {
        Self {
            r#type: kind.into(),
            timestamp: sent_at.0,
            source_device: Some(1),
            content: Some(content),
            pro_sig: Some(pro_sig.to_vec()),
            ..Self::default()
        }
    }

    /// Serialized: what a group message encrypts.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// The bytes that a 1:1 message is stored as (3.3, before base64): this, in a [`WebSocketMessage`].
    pub fn wrap(&self) -> Vec<u8> {
        WebSocketMessage {
            r#type: Some(web_socket_message::Type::Request.into()),
            request: Some(WebSocketRequestMessage {
                verb: Some(String::new()),
                path: Some(String::new()),
                body: Some(self.to_bytes()),
                request_id: Some(0),
                headers: Vec::new(),
            }),
            response: None,
        }
        .encode_to_vec()
    }
}

/// An envelope as a receiver needs it: with everything it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEnvelope {
    /// When it says it was sent; the content must say the same.
    pub timestamp: Timestamp,
    /// What is inside: sealed in 1:1 messages, plain in a group's.
    pub content: Vec<u8>,
    /// A signature or a decoy.
    pub pro_sig: Option<[u8; 64]>,
}

impl ReceivedEnvelope {
    /// Reads a serialized envelope. Its type, source and server timestamp are not looked at (2.2).
    ///
    /// # Errors
    /// If a required field, or the content, is missing, or `proSig` has another length than 64 (3.9).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContentError> {
        let envelope = Decoded::<Envelope>::decode(bytes)?.message;
        Ok(Self {
            timestamp: Timestamp(envelope.timestamp),
            content: envelope
                .content
                .ok_or(ContentError::Missing { message: "Envelope", field: "content" })?,
            pro_sig: match envelope.pro_sig.as_deref().map(<[u8; 64]>::try_from) {
                None => None,
                Some(Ok(signature)) => Some(signature),
                Some(Err(_)) => return Err(ContentError::ProSig),
            },
        })
    }
}

/// The envelope in the bytes that a 1:1 message is stored as. Bytes that begin with 0 are of another
/// generation (client-messages 10) and no message here.
///
/// # Errors
/// If there is no request with a body, or no good envelope in it.
pub fn unwrap(data: &[u8]) -> Result<ReceivedEnvelope, ContentError> {
    let outer = Decoded::<WebSocketMessage>::decode(data)?.message;
    let body = outer
        .request
        .and_then(|request| request.body)
        .ok_or(ContentError::Missing { message: "WebSocketRequestMessage", field: "body" })?;
    ReceivedEnvelope::from_bytes(&body)
}
