//! What members that were away are owed, on disk, by name. (storage-and-onion 2.6)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::rpc::Request;
use conclave_proto::sync::{self, AccountKeys, Keys, Name};
use conclave_proto::{MessageHash, SnodeRecord, Timestamp};
use tokio::time::Instant;

use super::serve::collect;
use super::{REST, ask};
use crate::node::Shared;
use crate::store::{Operation, OperationId, Owed};

/// The pause before a debt is tried for the first time, and between further tries. (storage-and-onion 2.6)
const FIRST: Duration = Duration::from_secs(15);
const THEN: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody can be told.
const LOOK: Duration = Duration::from_secs(5);
/// A member that is away for longer finds out what it missed by comparing; remembering it all would fill the disk.
const AT_MOST: Duration = Duration::from_secs(60 * 60);
/// Debts that are paid at once.
const AT_ONCE: usize = 500;

/// When each member is tried again.
#[derive(Debug, Default)]
pub(crate) struct Debts(Mutex<HashMap<Ed25519Public, Trial>>);

#[derive(Clone, Copy, Debug)]
struct Trial {
    since: Instant,
    next: Instant,
}

impl Debts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Ed25519Public, Trial>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member is there again: it is told at once.
    pub(crate) fn is_back(&self, member: &Ed25519Public) {
        if let Some(trial) = self.lock().get_mut(member) {
            let now = Instant::now();
            *trial = Trial { since: now, next: now };
        }
    }
}

/// Notes that these members have not done a write that this node has answered for.
pub(crate) async fn owe(shared: &Arc<Shared>, request: &Request, at: Timestamp, members: Vec<Ed25519Public>) {
    let owed = match request {
        Request::Store(store) => {
            let hash = MessageHash::of(&store.account, store.namespace, &store.data);
            hash.to_bytes().map(|name| Owed::Message(store.account, name))
        }
        other => Operation::of(other, at).map(|operation| Owed::Operation(operation.owner, operation.id())),
    };
    let Some(owed) = owed else { return };
    let now = Instant::now();
    let patient: Vec<Ed25519Public> = {
        let mut trials = shared.debts.lock();
        let mut is_worth_it = |member: &Ed25519Public| {
            let trial = trials.entry(*member).or_insert(Trial { since: now, next: now + FIRST });
            now.duration_since(trial.since) < AT_MOST
        };
        members.into_iter().filter(|member| is_worth_it(member)).collect()
    };
    if patient.is_empty() {
        return;
    }
    if let Err(error) = shared.store.owe(patient, owed).await {
        // They find out by comparing.
        tracing::debug!(%error, "what a member missed could not be noted");
    }
}

/// Pays what is owed when it can be paid. Never ends.
pub(crate) async fn deliver(shared: Arc<Shared>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = shared.member_is_back.notified() => {}
        }
        let creditors = match shared.read(|store| store.creditors()).await {
            Ok(creditors) => creditors,
            Err(_) => continue,
        };
        let view = shared.view();
        for key in creditors {
            let member = view.others().find(|node| *node.ed25519.as_bytes() == key).copied();
            let Some(member) = member else {
                forget(&shared, key).await;
                continue;
            };
            let (is_due, is_lost) = {
                let now = Instant::now();
                let mut trials = shared.debts.lock();
                // Not known: the debt is from before this node's last start.
                let trial = trials.entry(member.ed25519).or_insert(Trial { since: now, next: now });
                (trial.next <= now, now.duration_since(trial.since) > AT_MOST)
            };
            if is_lost {
                forget(&shared, key).await;
            } else if is_due {
                match pay(&shared, &member).await {
                    Ok(()) => {
                        shared.debts.lock().remove(&member.ed25519);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a member cannot be told yet what it missed");
                        if let Some(trial) = shared.debts.lock().get_mut(&member.ed25519) {
                            trial.next = Instant::now() + THEN;
                        }
                    }
                }
            }
        }
    }
}

async fn forget(shared: &Shared, member: [u8; 32]) {
    if let Err(error) = shared.store.write_off(member).await {
        tracing::debug!(%error, "debts could not be written off");
    }
}

/// Tells a member everything it is owed, in the order of names.
async fn pay(shared: &Arc<Shared>, member: &SnodeRecord) -> Result<(), String> {
    loop {
        let key = member.ed25519;
        let owed =
            shared.read(move |store| store.owed(&key, AT_ONCE)).await.map_err(|_| "the store failed")?;
        if owed.is_empty() {
            return Ok(());
        }
        let keys = by_account(&owed);
        let copies = shared.read(move |store| collect(store, &keys)).await.map_err(|_| "the store failed")?;
        // What did not fit is paid with the next batch; what is not here any more is paid with nothing.
        let paid: Vec<Owed> = if copies.more {
            let messages: Vec<Owed> = copies
                .messages
                .iter()
                .filter_map(|copy| {
                    let hash = MessageHash::of(&copy.account, copy.namespace, &copy.data);
                    Some(Owed::Message(copy.account, hash.to_bytes()?))
                })
                .collect();
            let operations = copies.operations.iter().filter_map(|request| {
                let (_, operation) = Operation::read(request).ok()?;
                Some(Owed::Operation(operation.owner, operation.id()))
            });
            operations.chain(messages).collect()
        } else {
            owed
        };
        if !copies.messages.is_empty() || !copies.operations.is_empty() {
            ask(shared, member, sync::COPIES, &copies.encode()).await.map_err(|e| e.to_string())?;
        }
        shared.store.settle(key, paid).await.map_err(|e| e.to_string())?;
        tokio::time::sleep(REST).await;
    }
}

fn by_account(owed: &[Owed]) -> Keys {
    let mut accounts: Vec<AccountKeys> = Vec::new();
    for owed in owed {
        let account = *owed.account();
        if accounts.last().is_none_or(|last| last.account != account) {
            accounts.push(AccountKeys { account, messages: Vec::new(), operations: Vec::new() });
        }
        if let Some(keys) = accounts.last_mut() {
            match owed {
                Owed::Message(_, name) => keys.messages.push((*name, Timestamp(0))),
                Owed::Operation(_, OperationId(name)) => keys.operations.push(Name::from(*name)),
            }
        }
    }
    Keys { accounts, more: false }
}
