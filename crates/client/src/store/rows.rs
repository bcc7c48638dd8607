//! What goes into the store and what comes out.

use conclave_crypto::{AccountId, Ed25519Public, RecoveryPhrase};
use conclave_proto::{Namespace, Timestamp};

use crate::types::{MessageId, MessageState};

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
}

impl std::fmt::Debug for OutgoingMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutgoingMessage(to {:?}, {} bytes)", self.chat, self.text.len())
    }
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

/// A copy that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCopy {
    /// The message.
    pub message: MessageRow,
    /// Which copy of it.
    pub copy: Copy,
    /// How often it was tried.
    pub attempts: u32,
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
    /// When its swarm forgets it, as the member says.
    pub expires_at: Timestamp,
    /// What was in it.
    pub content: ReceivedContent,
}

/// What a stored message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedContent {
    /// Something that is shown in a chat.
    Message(ReceivedMessage),
    /// Decrypted, but of a kind this version does not know: kept as it is for a later one.
    Unknown {
        /// The authenticated sender.
        author: AccountId,
        /// The envelope's time.
        sent_at: Timestamp,
        /// The decrypted `Content`.
        content: Vec<u8>,
    },
    /// Handled elsewhere, or of no use (receipts, typing notices): only its hash is remembered.
    Handled,
    /// Not for us, damaged, or not of this format.
    Undecryptable,
}

/// A message with a text.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The authenticated sender.
    pub author: AccountId,
    /// The envelope's time.
    pub sent_at: Timestamp,
    /// What it says.
    pub text: String,
    /// The decrypted `Content`, unpadded.
    pub content: Vec<u8>,
    /// Of a sync copy: whom it was sent to. Ignored unless the author is this account.
    pub sync_target: Option<AccountId>,
    /// The name its author gives themself.
    pub author_name: Option<String>,
}

impl std::fmt::Debug for ReceivedMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceivedMessage(from {:?}, {} bytes)", self.author, self.text.len())
    }
}

/// What [`super::ClientStore::insert_received`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Messages that were not here before, in the order they came.
    pub shown: Vec<MessageRow>,
    /// Items that were here already.
    pub known: u32,
    /// Items nobody could open.
    pub undecryptable: u32,
}

/// One line of the chat list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRow {
    /// The other side's id.
    pub id: AccountId,
    /// Our name for them, or else theirs.
    pub name: Option<String>,
    /// Somebody this account has not written to.
    pub request: bool,
    /// The newest message; `None` if all were deleted.
    pub last: Option<MessageRow>,
    /// How many messages it holds here.
    pub messages: u64,
    /// How many of them the owner has not seen.
    pub unread: u64,
}

/// Somebody this account has exchanged a message with.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Their account id.
    pub id: AccountId,
    /// What they call themselves.
    pub name: Option<String>,
    /// What we call them, on this device.
    pub nickname: Option<String>,
    /// We have written to them.
    pub approved: bool,
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
