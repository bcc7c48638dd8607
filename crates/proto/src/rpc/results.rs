//! What each member of a swarm answers to a write, signed with its own key (storage-and-onion
//! 2.6–2.15).
//!
//! A client counts a member only after [`NodeResult::verify`]: the entry node relays the others'
//! results and could invent them.

use std::collections::BTreeMap;

use conclave_crypto::{AccountId, BadSignature, Ed25519Public, Ed25519Secret, Signature};

use super::fields::{Field, Fields};
use super::{Dict, ExpireMode, Request, Scope, Value};
use crate::{MessageHash, Namespace, Timestamp, bt};

/// What one node did, and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeResult {
    /// What it did.
    pub outcome: Outcome,
    /// Over [`signed_bytes`].
    pub signature: Signature,
}

/// What one node did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answers `store`.
    Stored {
        /// The message's name.
        hash: MessageHash,
        /// Until when it is kept: later than asked if it was there already.
        expiry: Timestamp,
        /// Whether it was there already.
        already: bool,
    },
    /// Answers `delete`: those that existed, sorted.
    Deleted(Vec<MessageHash>),
    /// Answers `delete_all` and `delete_before`.
    DeletedIn(Affected),
    /// Answers `expire_all`: those whose life was shortened.
    UpdatedIn(Affected),
    /// Answers `expire`.
    Expired {
        /// The expiries that were applied.
        expiry: Expiries,
        /// Messages changed, sorted.
        updated: Vec<MessageHash>,
        /// Messages that exist and were left alone, with their expiry. `Some` when the request asked
        /// to extend or to shorten only.
        unchanged: Option<BTreeMap<MessageHash, Timestamp>>,
    },
    /// Answers `revoke_subaccount` and `unrevoke_subaccount`.
    Revoked {
        /// How many revocations were taken back.
        count: Option<u64>,
    },
}

/// Messages a request on a [`Scope`] touched, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// In the one namespace asked for.
    One(Vec<MessageHash>),
    /// In each namespace that had any.
    All(BTreeMap<Namespace, Vec<MessageHash>>),
}

impl Affected {
    fn sorted(&self) -> Vec<MessageHash> {
        let mut all: Vec<MessageHash> = match self {
            Self::One(hashes) => hashes.clone(),
            Self::All(spaces) => spaces.values().flatten().copied().collect(),
        };
        all.sort_unstable();
        all
    }
}

/// The applied expiries of [`Outcome::Expired`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiries {
    /// The request named one.
    One(Timestamp),
    /// The request named one for each message: here one for each updated message, in that order.
    Each(Vec<Timestamp>),
}

/// What a result cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResultRejected {
    /// The node answers another question: a hash that is not the stored message's, for instance.
    #[error("the node's result does not answer the request")]
    OtherRequest,
    /// The node did not sign this.
    #[error("the node's result carries a wrong signature")]
    Signature(#[from] BadSignature),
}

/// The bytes a node signs for `outcome` of `request`; `None` if that is no outcome of it.
pub fn signed_bytes(request: &Request, outcome: &Outcome) -> Option<Vec<u8>> {
    let account = request.account()?;
    Some(match (request, outcome) {
        // The hash covers the whole message; whether it is this one's is asked in `answers`.
        (Request::Store(_), Outcome::Stored { hash, .. }) => hash.as_bytes().to_vec(),
        (Request::Delete(r), Outcome::Deleted(deleted)) => {
            let mut deleted = deleted.clone();
            deleted.sort_unstable();
            start(account, "").hashes(&r.messages).hashes(&deleted).0
        }
        (Request::DeleteAll(r), Outcome::DeletedIn(affected)) => {
            start(account, r.timestamp).hashes(&affected.sorted()).0
        }
        (Request::DeleteBefore(r), Outcome::DeletedIn(affected)) => {
            start(account, r.before).hashes(&affected.sorted()).0
        }
        (Request::ExpireAll(r), Outcome::UpdatedIn(affected)) => {
            start(account, r.expiry).hashes(&affected.sorted()).0
        }
        (Request::Expire(r), Outcome::Expired { expiry, updated, unchanged }) => {
            let times = match expiry {
                Expiries::One(time) => time.to_string(),
                Expiries::Each(times) => times.iter().map(ToString::to_string).collect(),
            };
            let mut updated = updated.clone();
            updated.sort_unstable();
            let mut bytes = start(account, times).hashes(&r.messages).hashes(&updated).0;
            for (hash, expiry) in unchanged.iter().flatten() {
                bytes.extend_from_slice(hash.as_bytes());
                bytes.extend_from_slice(expiry.to_string().as_bytes());
            }
            bytes
        }
        (Request::RevokeSubaccount(r) | Request::UnrevokeSubaccount(r), Outcome::Revoked { .. }) => {
            let mut bytes = start(account, r.timestamp).0;
            r.tokens.iter().for_each(|token| bytes.extend_from_slice(&token.0));
            bytes
        }
        _ => return None,
    })
}

impl NodeResult {
    /// Signs what this node did; `None` if `outcome` is none of `request`.
    pub fn sign(request: &Request, outcome: Outcome, node: &Ed25519Secret) -> Option<Self> {
        let signature = node.sign(&signed_bytes(request, &outcome)?);
        Some(Self { outcome, signature })
    }

    /// Whether this is about what `request` asks; nothing is said about who says so.
    pub fn answers(&self, request: &Request) -> bool {
        match (request, &self.outcome) {
            (Request::Store(r), Outcome::Stored { hash, .. }) => {
                *hash == MessageHash::of(&r.account, r.namespace, &r.data)
            }
            // The others were read as answers to it.
            _ => true,
        }
    }

    /// Whether `node` says that it did this for `request`.
    ///
    /// # Errors
    /// If it answers something else, or the signature is not the node's.
    pub fn verify(&self, request: &Request, node: &Ed25519Public) -> Result<(), ResultRejected> {
        let signed = signed_bytes(request, &self.outcome).filter(|_| self.answers(request));
        let signed = signed.ok_or(ResultRejected::OtherRequest)?;
        Ok(node.verify(&signed, &self.signature)?)
    }

    /// Reads a member's entry of a `swarm` object in JSON. `None` if it is no result of `request`.
    pub fn from_json(request: &Request, entry: &serde_json::Value) -> Option<Self> {
        Self::read(request, Fields::Json(entry.as_object()?))
    }

    /// Reads what a member answers to a forwarded `request`. `None` if it is no result of it.
    pub fn from_bt(request: &Request, answer: &[u8]) -> Option<Self> {
        let value = bt::Value::decode_in_order(answer).ok()?;
        Self::read(request, Fields::Bt(value.as_dict()?))
    }

    /// The entry of this result, without `t`.
    pub fn to_dict(&self) -> Dict {
        let mut out = Dict::new();
        let mut set = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
        set("signature", self.signature.into());
        match &self.outcome {
            Outcome::Stored { hash, expiry, already } => {
                set("hash", (*hash).into());
                set("expiry", (*expiry).into());
                if *already {
                    set("already", true.into());
                }
            }
            Outcome::Deleted(hashes) => set("deleted", hashes.as_slice().into()),
            Outcome::DeletedIn(affected) => set("deleted", affected_value(affected)),
            Outcome::UpdatedIn(affected) => set("updated", affected_value(affected)),
            Outcome::Expired { expiry, updated, unchanged } => {
                set(
                    "expiry",
                    match expiry {
                        Expiries::One(time) => (*time).into(),
                        Expiries::Each(times) => times.as_slice().into(),
                    },
                );
                set("updated", updated.as_slice().into());
                if let Some(unchanged) = unchanged {
                    let entries = unchanged.iter().map(|(hash, time)| (hash.to_string(), (*time).into()));
                    set("unchanged", Value::Dict(entries.collect()));
                }
            }
            Outcome::Revoked { count } => {
                if let Some(count) = count {
                    set("count", (*count).into());
                }
            }
        }
        out
    }

    pub(super) fn read(request: &Request, fields: Fields<'_>) -> Option<Self> {
        let signature = Signature::from_slice(&fields.field("signature")?.binary()?)?;
        let outcome = match request {
            Request::Store(_) => Outcome::Stored {
                hash: hash(fields.field("hash")?)?,
                expiry: time(fields.field("expiry")?)?,
                already: fields.field("already").is_some_and(truth),
            },
            Request::Delete(_) => Outcome::Deleted(hashes(fields.field("deleted")?)?),
            Request::DeleteAll(r) => Outcome::DeletedIn(affected(fields.field("deleted")?, r.scope)?),
            Request::DeleteBefore(r) => Outcome::DeletedIn(affected(fields.field("deleted")?, r.scope)?),
            Request::ExpireAll(r) => Outcome::UpdatedIn(affected(fields.field("updated")?, r.scope)?),
            Request::Expire(r) => {
                let expiry = fields.field("expiry")?;
                Outcome::Expired {
                    expiry: match expiry.list() {
                        None => Expiries::One(time(expiry)?),
                        Some(items) => Expiries::Each(items.into_iter().map(time).collect::<Option<_>>()?),
                    },
                    updated: hashes(fields.field("updated")?)?,
                    unchanged: match fields.field("unchanged") {
                        Some(field) => Some(times_by_hash(field.fields()?)?),
                        None if r.mode == ExpireMode::Set => None,
                        None => Some(BTreeMap::new()),
                    },
                }
            }
            Request::RevokeSubaccount(_) | Request::UnrevokeSubaccount(_) => {
                Outcome::Revoked { count: fields.field("count").and_then(number) }
            }
            _ => return None,
        };
        Some(Self { outcome, signature })
    }
}

struct Signed(Vec<u8>);

fn start(account: &AccountId, text: impl ToString) -> Signed {
    Signed((account.to_hex() + &text.to_string()).into_bytes())
}

impl Signed {
    fn hashes(mut self, hashes: &[MessageHash]) -> Self {
        hashes.iter().for_each(|hash| self.0.extend_from_slice(hash.as_bytes()));
        self
    }
}

fn affected_value(affected: &Affected) -> Value {
    match affected {
        Affected::One(hashes) => hashes.as_slice().into(),
        Affected::All(spaces) => Value::Dict(
            spaces.iter().map(|(space, hashes)| (space.to_string(), hashes.as_slice().into())).collect(),
        ),
    }
}

fn affected(field: Field<'_>, scope: Scope) -> Option<Affected> {
    match scope {
        Scope::One(_) => hashes(field).map(Affected::One),
        Scope::All => field
            .fields()?
            .entries()
            .into_iter()
            .map(|(space, list)| Some((Namespace(space.parse().ok()?), hashes(list)?)))
            .collect::<Option<_>>()
            .map(Affected::All),
    }
}

fn times_by_hash(fields: Fields<'_>) -> Option<BTreeMap<MessageHash, Timestamp>> {
    let entry = |(name, value)| Some((MessageHash::from_text(name).ok()?, time(value)?));
    fields.entries().into_iter().map(entry).collect()
}

pub(super) fn hash(field: Field<'_>) -> Option<MessageHash> {
    MessageHash::from_text(field.text()?).ok()
}

fn hashes(field: Field<'_>) -> Option<Vec<MessageHash>> {
    field.list()?.into_iter().map(hash).collect()
}

pub(super) fn number(field: Field<'_>) -> Option<u64> {
    field.int()?.as_u64()
}

pub(super) fn time(field: Field<'_>) -> Option<Timestamp> {
    number(field).map(Timestamp)
}

/// `true`, or 1 where the value has crossed bt.
pub(super) fn truth(field: Field<'_>) -> bool {
    match field {
        Field::Json(serde_json::Value::Bool(flag)) => *flag,
        other => number(other) == Some(1),
    }
}
