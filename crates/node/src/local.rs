//! This node's own part of a write: commit, then sign.

use conclave_crypto::Ed25519Secret;
use conclave_proto::MessageHash;
use conclave_proto::rpc::Request;
use conclave_proto::rpc::answers::{Failure, MemberResult};
use conclave_proto::rpc::results::{NodeResult, Outcome};

use crate::hooks::Misbehave;
use crate::node::Shared;
use crate::store::{NewMessage, StoreError};

/// Does `request`, which has been authorised, on this node alone. Signs only what is durable.
pub(crate) async fn apply(shared: &Shared, request: &Request) -> MemberResult {
    let Request::Store(store) = request else {
        return MemberResult::Failed(Failure::answered(400, format!("no method {}", request.method())));
    };
    let hash = MessageHash::of(&store.account, store.namespace, &store.data);
    let message = NewMessage {
        owner: store.account,
        namespace: store.namespace,
        hash,
        timestamp: store.timestamp,
        expiry: store.expiry(),
        data: store.data.clone(),
    };
    // Kept until it is durable, for those who want to hear of it.
    let news = (shared.hooks.misbehave != Misbehave::Forgets).then(|| message.clone());
    let stored = if shared.hooks.misbehave == Misbehave::Forgets {
        Ok(crate::store::Stored { already: false, expiry: message.expiry })
    } else {
        shared.store.store(message).await
    };
    match stored {
        Ok(stored) => {
            if let (false, Some(message)) = (stored.already, news) {
                shared.news.stored(&message, shared.now());
            }
            let outcome = Outcome::Stored { hash, expiry: stored.expiry, already: stored.already };
            let signed = match shared.hooks.misbehave {
                Misbehave::WrongKey => {
                    NodeResult::sign(request, outcome, &Ed25519Secret::from_seed(&[0x5a; 32]))
                }
                _ => NodeResult::sign(request, outcome, &shared.secret),
            };
            signed.map_or_else(
                || MemberResult::Failed(Failure::answered(500, "request failed")),
                MemberResult::Done,
            )
        }
        Err(error) => {
            tracing::warn!(%error, "a message was not stored");
            let reason = match error {
                StoreError::Full => "the message store is full",
                StoreError::Busy => "the message store is busy",
                _ => "the message store failed",
            };
            MemberResult::Failed(Failure {
                query_failure: true,
                reason: Some(reason.to_owned()),
                ..Failure::default()
            })
        }
    }
}
