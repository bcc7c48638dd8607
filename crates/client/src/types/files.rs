//! Files of messages, and profile pictures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MessageId;
use crate::session::Secret;

/// A file to be sent. It is copied, encrypted, before the call returns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewAttachment {
    /// Where it is on this machine.
    pub path: String,
    /// What it is to be called; else as it is called on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its MIME type; else what its name suggests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// It is a voice message: MP3 and AAC in MP4 are sent without what they say beside the sound, other recordings become MP3.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// It is sent as it is. Else pictures are sent without what they say of who took them (places, times, cameras).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_file: bool,
    /// What lies there is encrypted: kept aside by a program that was handed the file piece by piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
}

/// What opens a file that was kept aside (in Rust: `StagedFile`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealed {
    /// The key, 32 bytes in hex.
    pub key: Secret,
    /// Bytes of the content.
    pub size: u64,
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// What its sender says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Of a picture or a video: how wide it is in pixels, as its sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// And how high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Of a voice message that was sent from this device: how long it is, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How far it has come.
    #[serde(default)]
    pub state: AttachmentState,
    /// Why it could not be fetched, or sent, at the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttachmentState {
    /// It is not on this machine; `fetch_file` fetches it.
    #[default]
    Remote,
    /// It is being fetched, or will be when the network is there.
    Fetching,
    /// It is on this machine, encrypted; `save_file` writes it where it is wanted.
    Here,
    /// It is being sent, or will be when the network is there. Its message waits for it.
    Sending,
    /// It could not be fetched, or sent; `reason` says why, and `fetch_file` tries again.
    Failed,
}

/// A file came further: `{"event":"file_progress",…}`. Some times a second at most; the message says when it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename = "file_progress")]
pub struct FileProgress {
    /// The message.
    pub id: MessageId,
    /// Which of its files, from 0.
    pub place: u32,
    /// Encrypted bytes that have been moved.
    pub done: u64,
    /// Encrypted bytes in all.
    pub total: u64,
}

/// A profile picture, made for whoever looks at it: no bytes of whoever sent it are in it, only what they look like.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PictureContent {
    /// `image/jpeg` or `image/png`.
    pub content_type: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The picture, in base64.
    pub data: String,
}

impl PictureContent {
    pub(crate) fn new(seen: conclave_media::Preview) -> Self {
        Self {
            content_type: seen.content_type.to_owned(),
            width: seen.width,
            height: seen.height,
            data: STANDARD.encode(seen.bytes),
        }
    }

    /// The picture's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.data).unwrap_or_default()
    }
}

impl std::fmt::Debug for PictureContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PictureContent({}x{})", self.width, self.height)
    }
}
