//! `monitor`: push servers that want to hear of new messages (storage-and-onion 8.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::AccountId;
use conclave_proto::bt::{self, DictWriter};
use conclave_proto::monitor::{self, MonitorError, MonitorRequest, Subscription};
use conclave_proto::rpc::Body;
use conclave_transport::quic::Notifier;

use crate::node::Shared;

/// How old a subscription's signature may be, and how far ahead. (storage-and-onion 8.2)
const OLDEST: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const NEWEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Answers one `monitor` command: a dictionary, or a list of them.
pub(crate) fn answer(shared: &Arc<Shared>, body: &[u8], connection: &Notifier) -> Bytes {
    let request = match MonitorRequest::decode(body) {
        Ok(request) => request,
        Err(error) => return monitor::reply(Err(error)).finish().into(),
    };
    let results = request.subscriptions.into_iter().map(|subscription| {
        let subscription = subscription.map_err(|error| (error, None))?;
        subscribe(shared, &subscription, connection)
            .map_err(|error| (error, Some(subscription.watched.account())))
    });
    let replies: Vec<DictWriter> = results
        .map(|result| match result {
            Ok(()) => monitor::reply(Ok(())),
            Err((MonitorError::WrongSwarm, Some(account))) => wrong_swarm(shared, &account),
            Err((error, _)) => monitor::reply(Err(error)),
        })
        .collect();
    if request.many {
        let mut list = bt::ListWriter::new();
        for reply in replies {
            list.dict(reply);
        }
        list.finish().into()
    } else {
        replies.into_iter().next().map(|reply| reply.finish().into()).unwrap_or_default()
    }
}

fn subscribe(
    shared: &Shared,
    subscription: &Subscription,
    connection: &Notifier,
) -> Result<(), MonitorError> {
    let now = shared.now();
    let signed_at = conclave_proto::Timestamp(subscription.signed_at.saturating_mul(1_000));
    if signed_at < now.minus(OLDEST) || signed_at > now.plus(NEWEST) {
        return Err(MonitorError::Timestamp);
    }
    subscription.verify().map_err(|_| MonitorError::Signature)?;
    let account = subscription.watched.account();
    if !shared.view().is_ours(&account) {
        return Err(MonitorError::WrongSwarm);
    }
    shared
        .news
        .watch(account, &subscription.namespaces, subscription.with_data, connection, now)
        .map_err(|_| MonitorError::Arguments)
}

/// What a subscriber to an account is told that is not, or no longer, kept here: where it is.
fn wrong_swarm(shared: &Shared, account: &AccountId) -> DictWriter {
    let mut reply = monitor::reply(Err(MonitorError::WrongSwarm));
    let members = shared.view().swarm_members(account).to_answer(421, shared.stamp());
    if let Body::Value(conclave_proto::rpc::Value::Dict(mut fields)) = members.body {
        for name in ["snodes", "swarm"] {
            if let Some(value) = fields.remove(name) {
                reply.value(name, &value.to_bt());
            }
        }
    }
    reply
}

/// The notification that ends a subscription because its account has moved.
pub(crate) fn ended(shared: &Shared, account: &AccountId) -> Bytes {
    wrong_swarm(shared, account).bytes("@", account.as_bytes()).finish().into()
}
