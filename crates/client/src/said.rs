//! What a message says: the kinds of client-messages 4, read from a `Content` and written into one.
//!
//! Pure: no network, no database, no clock. Reading follows the rules that need nothing but the message itself (which
//! kind it is, what makes it valid, whom one may speak for); what depends on what is known here is decided by the store.

mod compose;
mod files;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::content::{
    AttachmentPointer, CallMessage, ConclaveExtension, Content, DataMessage, Expiration, attachment_pointer,
    call_message, data_extraction_notification, data_message, receipt_message, typing_message,
};
use conclave_proto::file_url::FileUrl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation as _;

pub(crate) use compose::{Profile, Speech, sync_copy};
pub use files::FileKey;
use files::number_of;
pub(crate) use files::{OTHERS_TAKE, with_file_keys, with_file_url};

/// Receivers cut longer texts (client-messages 4.1).
const MAX_RECEIVED_CHARS: usize = 10_000;
/// Attachments of one message (client-messages 4.6); more make it invalid.
const MAX_ATTACHMENTS: usize = 32;
/// The longest emoji of a reaction: families with skin tones have some 40 bytes.
const MAX_EMOJI_BYTES: usize = 64;
/// Of one receipt.
const MAX_RECEIPTS: usize = 1_000;
/// Words of strangers that are kept beside a text: names, titles, addresses.
pub(crate) const MAX_WORDS: usize = 2_000;
/// Addresses of files, in bytes.
const MAX_FILE_URL: usize = 1_024;
/// Names and types of files, in bytes: as long as a file system takes.
const MAX_FILE_NAME: usize = 255;

/// A message that has been opened: who says it, when, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The authenticated sender.
    pub author: AccountId,
    /// The envelope's time.
    pub sent_at: Timestamp,
    /// Of one's own sync copies: whom it was sent to.
    pub sync_target: Option<AccountId>,
    /// What it says.
    pub said: Said,
    /// What it says about its own disappearance.
    pub expiration: Expiration,
    /// Name and picture of the author, if the message carries them.
    pub profile: Option<HeardProfile>,
    /// The author would like to know that it arrived.
    pub wants_delivered: bool,
    /// The decrypted `Content`, unpadded.
    pub content: Vec<u8>,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// Something shown: a text, files, an invitation.
    Post(Post),
    /// A text that replaces an earlier one of its author; for programs that do not know it, a text that quotes it.
    Edit {
        /// When the earlier one was sent.
        target: Timestamp,
        /// The new text.
        post: Post,
    },
    /// A reaction to a message, or taking one back.
    Reaction(Reaction),
    /// The author uses another timer from now on (client-messages 4.10); the new one is the message's own.
    TimerChanged,
    /// Messages arrived, or were read.
    Receipt {
        /// They were read; else they only arrived.
        read: bool,
        /// When they were sent.
        sent_at: Vec<Timestamp>,
    },
    /// The author types, or has stopped.
    Typing {
        /// Began.
        started: bool,
    },
    /// The author kept something of ours.
    Extraction {
        /// It was a picture of the screen; else a file was saved.
        screenshot: bool,
    },
    /// A message is to be deleted everywhere.
    Unsend {
        /// Its author.
        author: AccountId,
        /// When it was sent.
        sent_at: Timestamp,
        /// Nothing is to stand where it was.
        without_trace: bool,
    },
    /// Our request was accepted. (A refusal is never sent, and ignored.)
    Accepted,
    /// A call.
    Call {
        /// What happens in it.
        step: CallStep,
        /// Which call.
        uuid: String,
    },
    /// Of use to nobody here: kinds that are over (shared configs), refusals, provisional answers.
    Nothing,
    /// A kind this version does not know, or one that is not valid.
    Unknown,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Post(_) => "Post",
            Self::Edit { .. } => "Edit",
            Self::Reaction(_) => "Reaction",
            Self::TimerChanged => "TimerChanged",
            Self::Receipt { read: true, .. } => "Receipt(read)",
            Self::Receipt { .. } => "Receipt(delivered)",
            Self::Typing { .. } => "Typing",
            Self::Extraction { .. } => "Extraction",
            Self::Unsend { .. } => "Unsend",
            Self::Accepted => "Accepted",
            Self::Call { .. } => "Call",
            Self::Nothing => "Nothing",
            Self::Unknown => "Unknown",
        })
    }
}

/// Something shown in a chat.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Post {
    /// The text; empty if there are only files or an invitation.
    pub text: String,
    /// What it answers.
    pub quote: Option<QuotedMessage>,
    /// What comes with it.
    pub details: Details,
    /// Where its files are, in the order of [`Details::files`].
    pub pointers: Vec<Pointer>,
    /// What deletes them, and which of them each; only ever from one's own devices.
    pub file_keys: Vec<(u32, FileKey)>,
}

/// A message that is quoted: it may be unknown here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedMessage {
    /// Who wrote it.
    pub author: AccountId,
    /// When it was sent.
    pub sent_at: Timestamp,
}

impl QuotedMessage {
    /// Its id.
    pub fn id(&self) -> crate::types::MessageId {
        crate::types::MessageId::of(&self.author, self.sent_at)
    }
}

/// What comes with a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Files, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// What a link leads to, as the author's program saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<LinkPreview>,
    /// A community the author invites to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
    /// Of a notice that the timer was changed: the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
}

/// A file of a message, as its sender describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its MIME type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Bytes.
    pub size: u64,
    /// It is a voice message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
    /// Pixels across.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// What its sender says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Of a voice message that was sent from here, how long it is, in milliseconds. Nobody else is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Where a file is, and what opens it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pointer {
    /// Its address; `None` if its sender does not say, or says too much.
    pub url: Option<String>,
    /// The key, 64 bytes or 32.
    pub key: Vec<u8>,
    /// The digest of the encrypted file; none of files in the newer format.
    pub digest: Option<Vec<u8>>,
}

impl std::fmt::Debug for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pointer(hidden)")
    }
}

impl Drop for Pointer {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkPreview {
    /// The address; it stands in the text, too.
    pub url: String,
    /// The title of the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// An invitation to a community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invitation {
    /// The address to join at, with the server's public key.
    pub url: String,
    /// The room's name.
    pub name: String,
}

/// How messages of a chat disappear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "mode", content = "seconds")]
pub enum Timer {
    /// They stay.
    #[default]
    Off,
    /// They go so many seconds after they were read.
    AfterRead(u32),
    /// They go so many seconds after they were sent.
    AfterSend(u32),
}

impl Timer {
    /// Whether messages stay.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl From<Expiration> for Timer {
    fn from(expiration: Expiration) -> Self {
        match expiration {
            Expiration::Off | Expiration::AfterRead(0) | Expiration::AfterSend(0) => Self::Off,
            Expiration::AfterRead(seconds) => Self::AfterRead(seconds),
            Expiration::AfterSend(seconds) => Self::AfterSend(seconds),
        }
    }
}

impl From<Timer> for Expiration {
    fn from(timer: Timer) -> Self {
        match timer {
            Timer::Off | Timer::AfterRead(0) | Timer::AfterSend(0) => Self::Off,
            Timer::AfterRead(seconds) => Self::AfterRead(seconds),
            Timer::AfterSend(seconds) => Self::AfterSend(seconds),
        }
    }
}

/// A reaction to a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The message.
    pub target: QuotedMessage,
    /// The reaction.
    pub emoji: String,
    /// It is taken back.
    pub remove: bool,
}

/// What happens in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStep {
    /// Somebody calls.
    Ringing,
    /// It was answered.
    Answered,
    /// It is over.
    Ended,
    /// Technical.
    Other,
}

/// Name and picture of an author.
#[derive(Clone, PartialEq, Eq)]
pub struct HeardProfile {
    /// The name.
    pub name: Option<String>,
    /// The picture: `Some(None)` says that there is none.
    pub picture: Option<Option<(String, Vec<u8>)>>,
    /// When the author set them, seconds since the epoch; 0 if the message does not say.
    pub updated: u64,
}

impl std::fmt::Debug for HeardProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeardProfile(hidden)")
    }
}

impl Heard {
    /// Reads what `author` says to the owner of the account `own`. `None` if it is one's own and not valid from oneself
    /// (client-messages 4.0, step 6): such copies are ignored.
    pub(crate) fn read(
        own: &AccountId,
        author: AccountId,
        sent_at: Timestamp,
        content: &Content,
        plain: &[u8],
    ) -> Option<Self> {
        let mut said = Said::read(content, sent_at);
        let data = content.data_message.as_ref();
        let claimed = data.and_then(|data| data.sync_target.as_deref());
        let mut sync_target = None;
        if author == *own {
            match &said {
                Said::Post(_) | Said::Edit { .. } | Said::Reaction(_) | Said::TimerChanged => {
                    // From oneself, only what says for whom it was is of use.
                    sync_target = Some(AccountId::from_hex(claimed?).ok()?);
                }
                Said::Unsend { .. } | Said::Accepted | Said::Unknown => {}
                Said::Call { step: CallStep::Answered | CallStep::Ended, .. } => {}
                _ => return None,
            }
            if let Said::Post(post) = &mut said {
                post.file_keys = files::keys_in(content.conclave.as_ref());
            }
        }
        let extension = content.conclave.as_ref();
        Some(Self {
            author,
            sent_at,
            sync_target,
            said,
            expiration: coerced(content.expiration(), sync_target.unwrap_or(author) == *own),
            profile: HeardProfile::read(content),
            wants_delivered: extension.is_some_and(|ours| ours.wants_delivered()),
            content: plain.to_vec(),
        })
    }
}

/// Notes to oneself know only one way of disappearing (client-messages 4.10).
fn coerced(expiration: Expiration, to_self: bool) -> Expiration {
    match expiration {
        Expiration::AfterRead(seconds) if to_self => Expiration::AfterSend(seconds),
        other => other,
    }
}

impl Said {
    fn read(content: &Content, sent_at: Timestamp) -> Self {
        if let Some(data) = &content.data_message {
            return Self::read_data(content, data, sent_at);
        }
        if let Some(receipt) = &content.receipt_message {
            let sent_at = receipt.timestamp.iter().copied().take(MAX_RECEIPTS).map(Timestamp).collect();
            return match receipt.r#type() {
                receipt_message::Type::Read => Self::Receipt { read: true, sent_at },
                receipt_message::Type::Delivery => Self::Receipt { read: false, sent_at },
            };
        }
        if let Some(typing) = &content.typing_message {
            // Desktop checks the same.
            if typing.timestamp != sent_at.0 {
                return Self::Nothing;
            }
            return Self::Typing { started: typing.action() == typing_message::Action::Started };
        }
        if let Some(notice) = &content.data_extraction_notification {
            let screenshot = notice.r#type() == data_extraction_notification::Type::Screenshot;
            return Self::Extraction { screenshot };
        }
        if let Some(unsend) = &content.unsend_request {
            return match AccountId::from_hex(&unsend.author) {
                Ok(author) => Self::Unsend {
                    author,
                    sent_at: Timestamp(unsend.timestamp),
                    without_trace: content.conclave.as_ref().is_some_and(ConclaveExtension::without_trace),
                },
                Err(_) => Self::Unknown,
            };
        }
        if let Some(call) = &content.call_message {
            return Self::read_call(call);
        }
        if let Some(response) = &content.message_request_response {
            return if response.is_approved { Self::Accepted } else { Self::Nothing };
        }
        if content.shared_config_message.is_some() {
            return Self::Nothing;
        }
        Self::Unknown
    }

    fn read_data(content: &Content, data: &DataMessage, sent_at: Timestamp) -> Self {
        match data.flags() {
            0 => {}
            flag if flag == data_message::Flags::ExpirationTimerUpdate as u32 => return Self::TimerChanged,
            _ => return Self::Unknown,
        }
        if let Some(reaction) = &data.reaction {
            return Reaction::read(reaction).map_or(Self::Unknown, Self::Reaction);
        }
        // Updates of groups come with groups.
        let ours = content.conclave.as_ref();
        let Some(attached) =
            files::read(&data.attachments, ours).filter(|_| data.group_update_message.is_none())
        else {
            return Self::Unknown;
        };
        let body = files::own_part(data.body.as_deref().unwrap_or_default(), ours);
        let text: String = body.chars().take(MAX_RECEIVED_CHARS).collect();
        let invitation = data
            .open_group_invitation
            .as_ref()
            .map(|invitation| Invitation { url: words(&invitation.url), name: words(&invitation.name) });
        let preview = data.preview.first().filter(|preview| text.contains(&preview.url)).map(|preview| {
            LinkPreview { url: words(&preview.url), title: preview.title.as_deref().map(words) }
        });
        let files: Vec<File> = attached.iter().map(|pointer| File::read(pointer)).collect();
        let pointers: Vec<Pointer> = attached.iter().map(|pointer| Pointer::read(pointer)).collect();
        if text.trim().is_empty() && files.is_empty() && invitation.is_none() {
            return Self::Unknown;
        }
        let quote = data.quote.as_ref().and_then(|quote| {
            Some(QuotedMessage {
                author: AccountId::from_hex(&quote.author).ok()?,
                sent_at: Timestamp(quote.id),
            })
        });
        let details = Details { files, preview, invitation, timer: None };
        let post = Post { text, quote, details, pointers, file_keys: Vec::new() };
        match ours.and_then(|ours| ours.edit.as_ref()) {
            // An edit is always a text, and of another message.
            Some(edit) if !post.text.trim().is_empty() && edit.id != sent_at.0 => {
                Self::Edit { target: Timestamp(edit.id), post }
            }
            _ => Self::Post(post),
        }
    }

    fn read_call(call: &CallMessage) -> Self {
        let step = match call.r#type() {
            call_message::Type::PreOffer | call_message::Type::Offer => CallStep::Ringing,
            call_message::Type::Answer => CallStep::Answered,
            call_message::Type::EndCall => CallStep::Ended,
            call_message::Type::ProvisionalAnswer | call_message::Type::IceCandidates => CallStep::Other,
        };
        Self::Call { step, uuid: words(&call.uuid) }
    }
}

impl Reaction {
    fn read(reaction: &data_message::Reaction) -> Option<Self> {
        let emoji = reaction.emoji.clone().filter(|emoji| is_emoji_like(emoji))?;
        let author = AccountId::from_hex(&reaction.author).ok()?;
        Some(Self {
            target: QuotedMessage { author, sent_at: Timestamp(reaction.id) },
            emoji,
            remove: reaction.action() == data_message::reaction::Action::Remove,
        })
    }
}

/// Short, visible, and no text: a reaction is shown in the space of a letter.
pub(crate) fn is_emoji_like(text: &str) -> bool {
    // Letters that are emoji as well: ℹ️ Ⓜ️ 🅰️ 🅱️ 🅾️ 🅿️.
    let is_emoji = |c| matches!(c, 'ℹ' | 'Ⓜ' | '🅰' | '🅱' | '🅾' | '🅿');
    !text.is_empty()
        && text.len() <= MAX_EMOJI_BYTES
        && crate::is_visible(text)
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || (c.is_alphabetic() && !is_emoji(c)))
}

/// Whether it is a single emoji, as one gives it oneself. Others are believed more: their programs may know newer ones.
pub(crate) fn is_one_emoji(text: &str) -> bool {
    // Digits are emoji with the sign of a key around them alone.
    is_emoji_like(text) && !text.is_ascii() && text.graphemes(true).count() == 1
}

impl File {
    fn read(pointer: &AttachmentPointer) -> Self {
        Self {
            name: pointer.file_name.as_deref().map(file_name),
            content_type: pointer.content_type.as_deref().map(file_name),
            size: pointer.size().into(),
            voice: pointer.flags() & attachment_pointer::Flags::VoiceMessage as u32 != 0,
            width: pointer.width,
            height: pointer.height,
            caption: pointer.caption.as_deref().map(words),
            duration_ms: None,
        }
    }
}

impl Pointer {
    fn read(pointer: &AttachmentPointer) -> Self {
        let key = pointer.key.clone().unwrap_or_default();
        let fits = |url: &&str| url.len() <= MAX_FILE_URL;
        let by_number = || (pointer.id != 0).then(|| FileUrl::of_number(pointer.id).to_string());
        Self {
            url: match pointer.url.as_deref().filter(|url| !url.is_empty()) {
                Some(url) => Some(url).filter(fits).map(str::to_owned),
                None => by_number(),
            },
            key: if matches!(key.len(), 32 | 64) { key } else { Vec::new() },
            digest: pointer.digest.clone().filter(|digest| digest.len() == 32),
        }
    }

    /// With what is said of the file.
    pub(crate) fn to_content(&self, file: &File) -> AttachmentPointer {
        AttachmentPointer {
            id: number_of(self.url.as_deref()),
            content_type: file.content_type.clone(),
            key: Some(self.key.clone()),
            size: u32::try_from(file.size).ok(),
            digest: self.digest.clone(),
            file_name: file.name.clone(),
            flags: file.voice.then_some(attachment_pointer::Flags::VoiceMessage as u32),
            width: file.width,
            height: file.height,
            caption: file.caption.clone(),
            url: self.url.clone(),
        }
    }
}

impl HeardProfile {
    fn read(content: &Content) -> Option<Self> {
        let data = content.data_message.as_ref();
        let response = content.message_request_response.as_ref();
        let profile = data
            .and_then(|data| data.profile.as_ref())
            .or_else(|| response.and_then(|response| response.profile.as_ref()))?;
        let key = data
            .and_then(|data| data.profile_key.as_deref())
            .or_else(|| response.and_then(|response| response.profile_key.as_deref()));
        let picture = profile.profile_picture.as_deref().map(|url| {
            // Blank, or with a key nobody can use: there is none (client-messages 4.7).
            let key = key.filter(|key| matches!(key.len(), 16 | 32));
            key.filter(|_| !url.trim().is_empty()).map(|key| (words(url), key.to_vec()))
        });
        Some(Self {
            name: profile
                .display_name
                .clone()
                .filter(|name| !name.trim().is_empty())
                .map(|name| words(&name)),
            picture,
            updated: profile.last_update_seconds(),
        })
    }
}

/// A name of a file or of its type, cut to [`MAX_FILE_NAME`] bytes between characters.
fn file_name(text: &str) -> String {
    let mut end = text.len().min(MAX_FILE_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// Words of others, cut to a bearable length.
fn words(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests;
