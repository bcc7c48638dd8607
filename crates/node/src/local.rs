//! This node's own part of a write: commit, then sign.

use std::collections::BTreeMap;

use conclave_crypto::Ed25519Secret;
use conclave_proto::rpc::answers::{Failure, MemberResult};
use conclave_proto::rpc::results::{Affected, Expiries, NodeResult, Outcome};
use conclave_proto::rpc::{Expire, ExpireMode, Request, Scope, Store};
use conclave_proto::{MessageHash, Namespace, Timestamp};

use crate::hooks::Misbehave;
use crate::node::Shared;
use crate::store::{Applied, Arrival, MessageStore, NewMessage, Operation, StoreError, Stored};

/// Does `request`, which has been authorised and given its time, on this node alone, and tells whoever waits for it. Signs
/// only what is durable.
pub(crate) async fn apply(shared: &Shared, request: &Request, at: Timestamp) -> MemberResult {
    let (result, new) = perform(&shared.store, &shared.secret, shared.hooks.misbehave, request, at).await;
    if let Some(message) = new {
        shared.news.stored(&message, shared.now());
    }
    result
}

/// Does `request` in a store and signs it with the node's key. Also gives the message that was not there before.
pub(crate) async fn perform(
    store: &MessageStore,
    secret: &Ed25519Secret,
    misbehave: Misbehave,
    request: &Request,
    at: Timestamp,
) -> (MemberResult, Option<NewMessage>) {
    let done = match request {
        Request::Store(request) => {
            keep(store, misbehave, request, at).await.map(|(outcome, new)| (Some(outcome), new))
        }
        _ => match Operation::of(request, at) {
            Some(operation) => store
                .apply(operation, Arrival::Direct)
                .await
                .map(|applied| (outcome_of(request, applied, at), None)),
            None => Ok((None, None)),
        },
    };
    match done {
        Ok((outcome, new)) => {
            let signed = outcome.and_then(|outcome| sign(secret, misbehave, request, outcome));
            let failed = || MemberResult::Failed(Failure::answered(500, "request failed"));
            (signed.map_or_else(failed, MemberResult::Done), new)
        }
        Err(error) => {
            tracing::warn!(%error, method = request.method(), "a write was not done");
            let reason = match error {
                StoreError::Full => "the message store is full",
                StoreError::Busy => "the message store is busy",
                _ => "the message store failed",
            };
            let failure =
                Failure { query_failure: true, reason: Some(reason.to_owned()), ..Failure::default() };
            (MemberResult::Failed(failure), None)
        }
    }
}

async fn keep(
    store: &MessageStore,
    misbehave: Misbehave,
    request: &Store,
    at: Timestamp,
) -> Result<(Outcome, Option<NewMessage>), StoreError> {
    let hash = MessageHash::of(&request.account, request.namespace, &request.data);
    let message = NewMessage {
        owner: request.account,
        namespace: request.namespace,
        hash,
        timestamp: request.timestamp,
        expiry: request.expiry(),
        data: request.data.clone(),
    };
    if misbehave == Misbehave::Forgets {
        return Ok((Outcome::Stored { hash, expiry: message.expiry, already: false }, None));
    }
    let Stored { already, expiry } = store.store(message.clone(), at).await?;
    Ok((Outcome::Stored { hash, expiry, already }, (!already).then_some(message)))
}

/// What is answered about what was done. `None` if it is not what was asked.
fn outcome_of(request: &Request, applied: Applied, at: Timestamp) -> Option<Outcome> {
    Some(match (request, applied) {
        (Request::Delete(_), Applied::Deleted(deleted)) => Outcome::Deleted(flat(deleted)),
        (Request::DeleteAll(r), Applied::Deleted(deleted)) => Outcome::DeletedIn(affected(r.scope, deleted)),
        (Request::DeleteBefore(r), Applied::Deleted(deleted)) => {
            Outcome::DeletedIn(affected(r.scope, deleted))
        }
        (Request::ExpireAll(r), Applied::Shortened(updated)) => {
            Outcome::UpdatedIn(affected(r.scope, updated))
        }
        (Request::Expire(r), Applied::Expired { updated, unchanged }) => expired(r, updated, unchanged, at),
        (Request::RevokeSubaccount(_), Applied::Revoked(_)) => Outcome::Revoked { count: None },
        (Request::UnrevokeSubaccount(_), Applied::Revoked(count)) => Outcome::Revoked { count: Some(count) },
        _ => return None,
    })
}

/// The expiry that was applied, or, where each message had its own, one for each that was updated. (storage-and-onion 2.12)
fn expired(
    request: &Expire,
    updated: BTreeMap<MessageHash, Timestamp>,
    unchanged: BTreeMap<MessageHash, Timestamp>,
    at: Timestamp,
) -> Outcome {
    let expiry = match request.expiry.as_slice() {
        [one] => Expiries::One(Operation::capped(*one, at)),
        _ => Expiries::Each(updated.values().copied().collect()),
    };
    Outcome::Expired {
        expiry,
        updated: updated.into_keys().collect(),
        unchanged: (request.mode != ExpireMode::Set).then_some(unchanged),
    }
}

fn affected(scope: Scope, found: BTreeMap<Namespace, Vec<MessageHash>>) -> Affected {
    match scope {
        Scope::One(_) => Affected::One(flat(found)),
        Scope::All => Affected::All(found),
    }
}

fn flat(found: BTreeMap<Namespace, Vec<MessageHash>>) -> Vec<MessageHash> {
    let mut hashes: Vec<MessageHash> = found.into_values().flatten().collect();
    hashes.sort_unstable();
    hashes
}

fn sign(
    secret: &Ed25519Secret,
    misbehave: Misbehave,
    request: &Request,
    outcome: Outcome,
) -> Option<NodeResult> {
    match misbehave {
        Misbehave::WrongKey => NodeResult::sign(request, outcome, &Ed25519Secret::from_seed(&[0x5a; 32])),
        _ => NodeResult::sign(request, outcome, secret),
    }
}
