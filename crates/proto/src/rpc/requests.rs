//! The typed requests. What each field must satisfy on a node (sizes, clocks, signatures) is said
//! at the field; parsing has checked form and length, nothing that needs a key or a clock.

use conclave_crypto::AccountId;

use super::Request;
use super::auth::{Auth, SubaccountToken};
use crate::{MessageHash, Namespace, Timestamp};

/// How long a stored message is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Milliseconds after the message's timestamp. What clients send.
    Ttl(u64),
    /// A point in time. What nodes forward.
    Until(Timestamp),
}

/// Stores one message (storage-and-onion 2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The mailbox's owner.
    pub account: AccountId,
    /// The mailbox.
    pub namespace: Namespace,
    /// When the message says it was sent.
    pub timestamp: Timestamp,
    /// When it is to be forgotten.
    pub lifetime: Lifetime,
    /// The message, at most [`MAX_STORE_DATA`](super::MAX_STORE_DATA) bytes.
    pub data: Vec<u8>,
    /// Needed outside public inboxes, ignored in them.
    pub auth: Option<Auth>,
    /// When the request was signed, if not at `timestamp`.
    pub sig_timestamp: Option<Timestamp>,
}

impl Store {
    /// When the message is to be forgotten.
    pub fn expiry(&self) -> Timestamp {
        match self.lifetime {
            Lifetime::Ttl(ttl) => Timestamp(self.timestamp.0.saturating_add(ttl)),
            Lifetime::Until(expiry) => expiry,
        }
    }

    /// The time inside the signature.
    pub fn signed_at(&self) -> Timestamp {
        self.sig_timestamp.unwrap_or(self.timestamp)
    }

    /// As an entry node sends it to the others of its swarm: `expiry` absolute, `sig_timestamp`
    /// named when there is a signature (2.6).
    pub fn forwarded(&self) -> Self {
        Self {
            lifetime: Lifetime::Until(self.expiry()),
            sig_timestamp: self.auth.is_some().then(|| self.signed_at()),
            ..self.clone()
        }
    }
}

/// Credentials and the time they were made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedAuth {
    /// Who asks.
    pub auth: Auth,
    /// When; within a minute of the node's clock.
    pub timestamp: Timestamp,
}

/// Reads a mailbox (2.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retrieve {
    /// The mailbox's owner.
    pub account: AccountId,
    /// The mailbox.
    pub namespace: Namespace,
    /// Only what this node took in after this message.
    pub last_hash: Option<MessageHash>,
    /// At most this many; 0 is no limit.
    pub max_count: Option<u64>,
    /// At most this many bytes; −n is the n-th part of the largest answer; 0 is the default of −5.
    pub max_size: Option<i64>,
    /// Needed except in public outboxes and the namespace of old groups.
    pub auth: Option<TimedAuth>,
}

/// Which mailboxes a request covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One mailbox.
    One(Namespace),
    /// All mailboxes of the account.
    All,
}

impl Scope {
    /// As it is signed: nothing for namespace 0, its number, or `all` (2.4).
    pub fn signed_text(self) -> String {
        match self {
            Self::One(namespace) => namespace.signed_text(),
            Self::All => "all".to_owned(),
        }
    }
}

/// Deletes messages by hash (2.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The owner.
    pub account: AccountId,
    /// Which, at least one.
    pub messages: Vec<MessageHash>,
    /// Answer 404 if no node had any.
    pub required: bool,
    /// Needs the right to delete.
    pub auth: Auth,
}

/// Deletes everything in a scope (2.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteAll {
    /// The owner.
    pub account: AccountId,
    /// Where.
    pub scope: Scope,
    /// When it was asked; within a minute of the node's clock.
    pub timestamp: Timestamp,
    /// Needs the right to delete.
    pub auth: Auth,
}

/// Deletes what was sent at or before a time (2.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteBefore {
    /// The owner.
    pub account: AccountId,
    /// Where.
    pub scope: Scope,
    /// The last message timestamp to go; not more than a minute ahead.
    pub before: Timestamp,
    /// Needs the right to delete.
    pub auth: Auth,
}

/// Shortens the life of everything in a scope (2.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireAll {
    /// The owner.
    pub account: AccountId,
    /// Where.
    pub scope: Scope,
    /// The latest expiry left; not more than a minute ago.
    pub expiry: Timestamp,
    /// Needs the right to delete.
    pub auth: Auth,
}

/// How [`Expire`] treats messages that already have an expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpireMode {
    /// Whatever it was.
    #[default]
    Set,
    /// Only if the new one is later.
    Extend,
    /// Only if the new one is earlier.
    Shorten,
}

impl ExpireMode {
    /// As it is signed (2.4).
    pub const fn signed_text(self) -> &'static str {
        match self {
            Self::Set => "",
            Self::Extend => "extend",
            Self::Shorten => "shorten",
        }
    }
}

/// Changes when messages expire (2.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expire {
    /// The owner.
    pub account: AccountId,
    /// Which, at least one.
    pub messages: Vec<MessageHash>,
    /// One for all, or one for each message.
    pub expiry: Vec<Timestamp>,
    /// Which changes are wanted.
    pub mode: ExpireMode,
    /// Needs the right to write; without the right to delete it can only extend.
    pub auth: Auth,
}

/// Asks when messages expire (2.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetExpiries {
    /// The owner.
    pub account: AccountId,
    /// Which, at least one.
    pub messages: Vec<MessageHash>,
    /// When it was asked.
    pub timestamp: Timestamp,
    /// Needs the right to read.
    pub auth: Auth,
}

/// Revokes subaccounts, or takes that back (2.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The owner.
    pub account: AccountId,
    /// Whole tokens: the same member with other rights is another token.
    pub tokens: Vec<SubaccountToken>,
    /// When it was asked.
    pub timestamp: Timestamp,
    /// By the account itself; subaccounts are ignored.
    pub auth: Auth,
}

/// Lists revoked subaccounts (2.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedSubaccounts {
    /// The owner.
    pub account: AccountId,
    /// When it was asked.
    pub timestamp: Timestamp,
    /// By the account itself.
    pub auth: Auth,
}

/// Asks the ledger's daemon behind a node (2.17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OxendRequest {
    /// One of [`OXEND_ENDPOINTS`](super::OXEND_ENDPOINTS).
    pub endpoint: String,
    /// Its parameters.
    pub params: Option<serde_json::Value>,
}

/// What must hold for the first branch of [`IfElse`]; all that are given (2.20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Hardfork and revision at least.
    pub hf_at_least: Option<[u64; 2]>,
    /// Hardfork and revision below.
    pub hf_before: Option<[u64; 2]>,
    /// Program version at least.
    pub v_at_least: Option<[u64; 3]>,
    /// Program version below.
    pub v_before: Option<[u64; 3]>,
    /// Ledger height at least.
    pub height_at_least: Option<u64>,
    /// Ledger height below.
    pub height_before: Option<u64>,
}

/// What a node is, for [`Conditions::hold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Hardfork and revision.
    pub hf: [u64; 2],
    /// Program version.
    pub version: [u64; 3],
    /// Ledger height.
    pub height: u64,
}

impl Conditions {
    /// Whether the node fulfils all.
    pub fn hold(&self, node: &NodeState) -> bool {
        self.hf_at_least.is_none_or(|least| node.hf >= least)
            && self.hf_before.is_none_or(|bound| node.hf < bound)
            && self.v_at_least.is_none_or(|least| node.version >= least)
            && self.v_before.is_none_or(|bound| node.version < bound)
            && self.height_at_least.is_none_or(|least| node.height >= least)
            && self.height_before.is_none_or(|bound| node.height < bound)
    }
}

/// Runs one of two requests (2.20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfElse {
    /// At least one.
    pub conditions: Conditions,
    /// If they hold.
    pub then: Option<Request>,
    /// If not.
    pub otherwise: Option<Request>,
}
