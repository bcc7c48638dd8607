//! From a text to the bytes that are stored, and from stored bytes to what they say
//! (client-messages 3.3, 4.0).
//!
//! Pure: no network, no database. Everything that comes in here may be from anyone.

use conclave_crypto::{Account, AccountId, X25519Public, padding, pro, session_protocol};
use conclave_proto::Timestamp;
use conclave_proto::content::{self, Content, DataMessage, Envelope};
use rand_core::CryptoRngCore;

use crate::store::{ReceivedContent, ReceivedMessage};

/// Receivers cut longer texts (client-messages 4.1).
const MAX_RECEIVED_CHARS: usize = 10_000;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// The sender's name for themself.
    pub(crate) name: &'a str,
    /// The sent timestamp: kept for every retry.
    pub(crate) sent_at: Timestamp,
    /// Set in sync copies and notes to oneself: whom the message is for.
    pub(crate) sync_target: Option<&'a AccountId>,
}

/// Seals a text for `recipient`; gives the bytes to be stored in namespace 0 of its swarm.
pub(crate) fn seal(
    sender: &Account,
    recipient: &X25519Public,
    message: Outgoing<'_>,
    rng: &mut impl CryptoRngCore,
) -> Vec<u8> {
    let data = DataMessage::text(message.text, message.sync_target.map(AccountId::to_hex));
    // Sync copies carry no profile: one's own devices know it.
    let data = if message.sync_target.is_none() { data.with_profile_name(message.name) } else { data };
    let content = Content::with_data(data, message.sent_at).to_bytes();
    let sealed = session_protocol::seal(sender.ed25519(), recipient, &padding::pad_content(&content), rng);
    // Whoever has no Pro key attaches 64 bytes that nobody can tell from a signature (client-messages 3.9).
    let decoy = pro::decoy_signature(rng);
    Envelope::one_to_one(message.sent_at, sealed, *decoy.as_bytes()).wrap()
}

/// What stored bytes say, to the owner of `account`.
pub(crate) fn open(account: &Account, data: &[u8]) -> ReceivedContent {
    try_open(account, data).unwrap_or(ReceivedContent::Undecryptable)
}

fn try_open(account: &Account, data: &[u8]) -> Option<ReceivedContent> {
    let envelope = content::unwrap(data).ok()?;
    let opened = session_protocol::open(account.x25519(), &envelope.content).ok()?;
    let plain = padding::unpad_content(&opened.message);
    let content = Content::from_bytes(plain).ok()?;
    // Present and different: somebody replays a sealed content under another time (client-messages 0, rule 1).
    if content.sig_timestamp.is_some_and(|signed| signed != envelope.timestamp.0) {
        return None;
    }
    let author = opened.sender;
    let is_own = author == *account.id();
    let unknown =
        || ReceivedContent::Unknown { author, sent_at: envelope.timestamp, content: plain.to_vec() };
    let Some(data) = &content.data_message else { return Some(unknown()) };
    let sync_target = match &data.sync_target {
        Some(target) if is_own => match AccountId::from_hex(target) {
            Ok(target) => Some(target),
            Err(_) => return Some(ReceivedContent::Handled),
        },
        _ => None,
    };
    // From oneself, only what says for whom it was is of use (client-messages 4.0, step 6).
    if is_own && sync_target.is_none() {
        return Some(ReceivedContent::Handled);
    }
    let Some(text) = data.body.as_deref().filter(|text| !text.trim().is_empty()) else {
        return Some(unknown());
    };
    Some(ReceivedContent::Message(ReceivedMessage {
        author,
        sent_at: envelope.timestamp,
        text: text.chars().take(MAX_RECEIVED_CHARS).collect(),
        content: plain.to_vec(),
        sync_target,
        author_name: data.profile_name().map(str::to_owned),
    }))
}
