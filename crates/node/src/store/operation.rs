//! Writes that take something away, or revoke: what is done to the store, and kept as the proof others can check.

use std::collections::BTreeMap;
use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_crypto::message_hash::message_hash_bytes;
use conclave_proto::peer;
use conclave_proto::rpc::{
    ExpireMode, Forwarded, Request, Revocation, Rights, RpcError, Scope, SubaccountToken,
};
use conclave_proto::{MessageHash, Namespace, Timestamp};

/// The longest life an `expire` can ask for. (storage-and-onion 2.12)
const MAX_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name of an operation within its account: a hash of the request and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub [u8; 32]);

/// One write other than a store, authorised, with the time its entry node gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose mailboxes.
    pub owner: AccountId,
    /// Its place in the order of writes.
    pub at: Timestamp,
    /// What is done.
    pub action: Action,
    /// The signed request and the time, as one node sends them to another: the body of `storage_cc`.
    pub request: Vec<u8>,
}

/// What an [`Operation`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Deletes messages by name.
    Delete(Vec<MessageHash>),
    /// Deletes what has been stored until now in a scope, up to a message timestamp if one is given.
    DeleteRange {
        /// Where.
        scope: Scope,
        /// The largest message timestamp covered.
        before: Option<Timestamp>,
    },
    /// Changes the expiries of messages by name.
    Expire {
        /// Which, and to what.
        messages: Vec<(MessageHash, Timestamp)>,
        /// In which direction.
        mode: ExpireMode,
    },
    /// Shortens the lives of everything in a scope.
    ExpireRange {
        /// Where.
        scope: Scope,
        /// The latest expiry left.
        expiry: Timestamp,
    },
    /// Revokes tokens, or takes that back.
    Revoke {
        /// Which.
        tokens: Vec<SubaccountToken>,
        /// The time the account signed, by which revocations are ordered.
        timestamp: Timestamp,
        /// Revoked, or not any more.
        revoked: bool,
    },
}

/// How an operation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Just asked by a client, here or at another member.
    Direct,
    /// Out of another member's log: that member found it worth remembering.
    Late,
}

/// What an operation did here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Messages that existed and do no more.
    Deleted(BTreeMap<Namespace, Vec<MessageHash>>),
    /// Messages whose expiry was set, with what was asked for.
    Expired {
        /// Set as asked.
        updated: BTreeMap<MessageHash, Timestamp>,
        /// Exist and were left alone, with their expiry.
        unchanged: BTreeMap<MessageHash, Timestamp>,
    },
    /// Messages whose lives were shortened.
    Shortened(BTreeMap<Namespace, Vec<MessageHash>>),
    /// How many tokens changed their state.
    Revoked(u64),
}

impl Operation {
    /// The operation that `request` is, at `at`. `None` for requests that are none: stores and readings.
    ///
    /// A subaccount without the right to delete can only extend lives. (storage-and-onion 2.12)
    pub fn of(request: &Request, at: Timestamp) -> Option<Self> {
        let action = match request {
            Request::Delete(r) => Action::Delete(r.messages.clone()),
            Request::DeleteAll(r) => Action::DeleteRange { scope: r.scope, before: None },
            Request::DeleteBefore(r) => Action::DeleteRange { scope: r.scope, before: Some(r.before) },
            Request::Expire(r) => {
                let may_shorten =
                    r.auth.subaccount.is_none_or(|by| by.token.rights().contain(Rights::DELETE));
                let expiry =
                    |index: usize| r.expiry.get(index).or(r.expiry.first()).copied().unwrap_or_default();
                let messages = r.messages.iter().enumerate();
                Action::Expire {
                    messages: messages
                        .map(|(index, hash)| (*hash, Self::capped(expiry(index), at)))
                        .collect(),
                    mode: if may_shorten { r.mode } else { ExpireMode::Extend },
                }
            }
            Request::ExpireAll(r) => Action::ExpireRange { scope: r.scope, expiry: r.expiry },
            Request::RevokeSubaccount(r) => revoke(r, true),
            Request::UnrevokeSubaccount(r) => revoke(r, false),
            _ => return None,
        };
        let owner = *request.account()?;
        let forwarded = Forwarded { request: request.clone(), at: Some(at) };
        let body = peer::encode_storage_cc(request.method(), &forwarded.to_bt());
        Some(Self { owner, at, action, request: body })
    }

    /// Reads the request of an operation out of a log, unverified: whether it was allowed at its time is for the caller to
    /// check, by the request that is returned with it.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(body: &[u8]) -> Result<(Request, Self), RpcError> {
        let (method, params) =
            peer::decode_storage_cc(body).map_err(|error| RpcError::invalid(error.to_string()))?;
        let Forwarded { request, at } = Forwarded::from_bt(method, params)?;
        let operation = at.and_then(|at| Self::of(&request, at));
        let operation =
            operation.ok_or_else(|| RpcError::invalid("not a request that a log of operations holds"))?;
        Ok((request, operation))
    }

    /// The expiry that an `expire` at `at` really sets: not more than thirty days later. (storage-and-onion 2.12)
    pub fn capped(expiry: Timestamp, at: Timestamp) -> Timestamp {
        expiry.min(at.plus(MAX_LIFE))
    }

    /// Whether it matters for as long as the account does, and not only for as long as a message lives.
    pub const fn is_kept_for_good(&self) -> bool {
        matches!(self.action, Action::Revoke { .. })
    }

    /// Its name.
    pub fn id(&self) -> OperationId {
        OperationId(message_hash_bytes(&self.owner, 0, &self.request))
    }
}

fn revoke(request: &Revocation, revoked: bool) -> Action {
    Action::Revoke { tokens: request.tokens.clone(), timestamp: request.timestamp, revoked }
}
