//! How members come to have the same (docs/decisions/0007): what was missed is owed and delivered when the member is back;
//! members compare what they have now and then; what belongs to another swarm is brought there.
//!
//! The three overlap on purpose. Debts are quick, comparing finds whatever was forgotten (a crash between answering and
//! noting a debt, a lost disk), and moving is the only one that crosses swarms. All of them only add what can be added
//! twice, so none needs to know what the others do.

pub(crate) mod debts;
pub(crate) mod moving;
pub(crate) mod pulling;
pub(crate) mod serve;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave_crypto::AccountId;
use conclave_proto::sync::{self, Copies};
use conclave_proto::{SnodeRecord, Timestamp};
use conclave_transport::Deadline;
use conclave_transport::quic::{Lane, RequestError};

use crate::authorise;
use crate::node::Shared;
use crate::order::WriteOrder;
use crate::peer;
use crate::registry::NetworkView;
use crate::store::{
    Arrival, CLOCK_DIFFERENCE, MEMORY, MessageCopy, MessageStore, Operation, Raise, StoreError,
};

pub(crate) use debts::{Debts, deliver as deliver_debts, owe};
pub(crate) use moving::run as move_what_belongs_elsewhere;
pub(crate) use pulling::{NotCompared, in_turn, run as compare_with_others};
pub(crate) use serve::{KnownDigests, answer, mark_minutes};

/// How long another node may take for one of these requests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A minute in milliseconds.
pub(crate) const MINUTE: u64 = 60_000;
/// The longest rest after a batch.
const REST: Duration = Duration::from_millis(20);

/// Rests after a batch that began then, as long as it took: so clients' requests come first where there are any, and
/// small batches do not spend their time waiting.
async fn rest(began: Instant) {
    tokio::time::sleep(began.elapsed().min(REST)).await;
}

/// Asks another node something by which members come to have the same.
pub(crate) async fn ask(
    shared: &Shared,
    node: &SnodeRecord,
    endpoint: &'static str,
    body: &[u8],
) -> Result<Bytes, RequestError> {
    peer::ask(shared, node, Lane::Bulk, (endpoint, body), Deadline::after(PATIENCE)).await
}

/// Takes in what another node gives. Durable when it returns.
async fn take_in(shared: &Arc<Shared>, copies: Copies) -> Result<Taken, StoreError> {
    let view = shared.view();
    let here = Here { store: &shared.store, view: &view, order: &shared.order, now: shared.now() };
    let taken = here.take_in(copies).await?;
    if taken.new > 0 {
        shared.digests.forget();
        taken.accounts.iter().for_each(|account| shared.news.arrived(account));
    }
    Ok(taken)
}

/// Where and when something is taken in.
pub(crate) struct Here<'a> {
    /// The own store.
    pub(crate) store: &'a MessageStore,
    /// The network, as this node sees it.
    pub(crate) view: &'a NetworkView,
    /// Learns of what is taken in.
    pub(crate) order: &'a WriteOrder,
    /// By this node's clock.
    pub(crate) now: Timestamp,
}

/// What was taken in.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Messages that were not here before.
    pub(crate) new: usize,
    /// The accounts of all messages that came.
    pub(crate) accounts: Vec<AccountId>,
    /// Nothing was left that might be taken another time: because it belongs elsewhere in the directory that this node
    /// knows, or because its clock is behind. What is against the rules does not count.
    pub(crate) complete: bool,
}

/// Why an operation is not taken over.
#[derive(Clone, Copy, Debug)]
enum NotTaken {
    /// Perhaps another time.
    Now(&'static str),
    Ever(&'static str),
}

impl Here<'_> {
    /// Takes in what another node gives: messages that belong here, and operations that were allowed when they were made.
    /// Durable when it returns.
    pub(crate) async fn take_in(&self, copies: Copies) -> Result<Taken, StoreError> {
        let mut complete = true;
        for request in copies.operations {
            match self.allowed_operation(&request) {
                Ok(operation) => {
                    self.order.taken_away(operation.at);
                    self.store.apply(operation, Arrival::Late).await?;
                }
                Err(not_taken) => {
                    complete &= matches!(not_taken, NotTaken::Ever(_));
                    let (NotTaken::Now(why) | NotTaken::Ever(why)) = not_taken;
                    tracing::debug!(why, "an operation from another member is not taken over");
                }
            }
        }
        let latest = self.now.plus(CLOCK_DIFFERENCE);
        complete &= copies.messages.iter().all(|copy| {
            let of_the_future = copy.stored_at > latest || copy.raises.iter().any(|(at, _)| *at > latest);
            self.view.is_ours(&copy.account) && !of_the_future
        });
        let messages: Vec<MessageCopy> = copies
            .messages
            .into_iter()
            .filter(|copy| self.view.is_ours(&copy.account))
            .map(|copy| MessageCopy {
                owner: copy.account,
                namespace: copy.namespace,
                timestamp: copy.timestamp,
                stored_at: copy.stored_at,
                raises: copy.raises.into_iter().map(|(at, expiry)| Raise { at, expiry }).collect(),
                data: copy.data,
            })
            .collect();
        let accounts = messages.iter().map(|copy| copy.owner).collect();
        let new = if messages.is_empty() { 0 } else { self.store.merge(messages, self.now).await? };
        Ok(Taken { new, accounts, complete })
    }

    /// An operation out of another member's log, if it was allowed at its time. Nobody's word is needed for that: the
    /// account's signature is in the request.
    fn allowed_operation(&self, body: &[u8]) -> Result<Operation, NotTaken> {
        let (request, operation) = Operation::read(body).map_err(|_| NotTaken::Ever("it cannot be read"))?;
        if !self.view.is_ours(&operation.owner) {
            return Err(NotTaken::Now("its account is kept elsewhere"));
        }
        if operation.at > self.now.plus(CLOCK_DIFFERENCE) {
            return Err(NotTaken::Now("it is of the future"));
        }
        if operation.at < self.now.minus(MEMORY) && !operation.is_kept_for_good() {
            return Err(NotTaken::Ever("nothing it could concern lives any more"));
        }
        authorise::check_times(&request, operation.at, authorise::From::Member)
            .map_err(|_| NotTaken::Ever("its times do not fit together"))?;
        // Whether a subaccount had been revoked is for the member that took it, which may not have known: what it did cannot
        // be undone, so refusing it here would only leave members with different mailboxes. A liar could name an earlier time.
        request.verify().map_err(|_| NotTaken::Ever("its signature does not hold"))?;
        Ok(operation)
    }
}

/// What is compared leaves out what expires about now; all members of a swarm that compare in the same minute leave out the
/// same, so that digests can be used again.
pub(crate) fn cutoff(now: Timestamp) -> Timestamp {
    Timestamp((now.0 / MINUTE + 2) * MINUTE)
}

/// A store's copy as it travels.
fn to_wire(copy: MessageCopy) -> sync::Copy {
    sync::Copy {
        account: copy.owner,
        namespace: copy.namespace,
        timestamp: copy.timestamp,
        stored_at: copy.stored_at,
        raises: copy.raises.iter().map(|raise| (raise.at, raise.expiry)).collect(),
        data: copy.data,
    }
}
