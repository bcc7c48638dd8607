//! What members that were away are owed, on disk, by name. (storage-and-onion 2.6)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use conclave_crypto::Ed25519Public;
use conclave_proto::rpc::Request;
use conclave_proto::sync::{self, AccountKeys, Copies, Keys, Name, State};
use conclave_proto::{MessageHash, SnodeRecord, Timestamp};

use super::serve::collect;
use super::{ask, rest};
use crate::node::Shared;
use crate::store::{MessageStore, Operation, OperationId, Owed, StoreError};

/// The pause before a debt is tried for the first time, and between further tries. (storage-and-onion 2.6)
const FIRST: Duration = Duration::from_secs(15);
const THEN: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody can be told.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// A member that is away for longer finds out what it missed by comparing; remembering it all would fill the disk.
const AT_MOST: Duration = Duration::from_secs(60 * 60);
/// Debts that are paid at once.
const AT_ONCE: usize = 500;

/// When each member is tried again. Times are of a clock that never goes back.
#[derive(Debug, Default)]
pub(crate) struct Debts(Mutex<HashMap<Ed25519Public, Trial>>);

#[derive(Clone, Copy, Debug)]
struct Trial {
    since: Instant,
    next: Instant,
}

/// Whether a member can be told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    Later,
    /// It has been away for so long that it has to find out by itself.
    Never,
}

impl Debts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Ed25519Public, Trial>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member is there again: it is told at once.
    pub(crate) fn is_back(&self, member: &Ed25519Public, now: Instant) {
        if let Some(trial) = self.lock().get_mut(member) {
            *trial = Trial { since: now, next: now };
        }
    }

    /// Of members that missed a write now, those for whom it is worth noting.
    pub(crate) fn worth_noting(&self, mut members: Vec<Ed25519Public>, now: Instant) -> Vec<Ed25519Public> {
        let mut trials = self.lock();
        members.retain(|member| {
            let trial = trials.entry(*member).or_insert(Trial { since: now, next: now + FIRST });
            now.duration_since(trial.since) < AT_MOST
        });
        members
    }

    /// Whether a member to whom something is owed is to be told.
    pub(crate) fn due(&self, member: &Ed25519Public, now: Instant) -> Due {
        // Not known: the debt is from before this node's last start.
        let trial = *self.lock().entry(*member).or_insert(Trial { since: now, next: now });
        if now.duration_since(trial.since) > AT_MOST {
            Due::Never
        } else if trial.next <= now {
            Due::Now
        } else {
            Due::Later
        }
    }

    /// It could not be told.
    pub(crate) fn failed(&self, member: &Ed25519Public, now: Instant) {
        if let Some(trial) = self.lock().get_mut(member) {
            trial.next = now + THEN;
        }
    }

    /// It has been told everything.
    pub(crate) fn paid(&self, member: &Ed25519Public) {
        self.lock().remove(member);
    }
}

/// What members are owed that have not done `request`. `None` if it leaves nothing to be told.
pub(crate) fn owed_for(request: &Request, at: Timestamp) -> Option<Owed> {
    match request {
        Request::Store(store) => {
            let hash = MessageHash::of(&store.account, store.namespace, &store.data);
            hash.to_bytes().map(|name| Owed::Message(store.account, name))
        }
        other => Operation::of(other, at).map(|operation| Owed::Operation(operation.owner, operation.id())),
    }
}

/// Notes that these members have not done a write that this node has answered for.
pub(crate) async fn owe(shared: &Arc<Shared>, request: &Request, at: Timestamp, members: Vec<Ed25519Public>) {
    let Some(owed) = owed_for(request, at) else { return };
    let patient = shared.debts.worth_noting(members, Instant::now());
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
            match shared.debts.due(&member.ed25519, Instant::now()) {
                Due::Never => forget(&shared, key).await,
                Due::Later => {}
                Due::Now => match pay(&shared, &member).await {
                    Ok(()) => shared.debts.paid(&member.ed25519),
                    Err(error) => {
                        tracing::debug!(%error, "a member cannot be told yet what it missed");
                        shared.debts.failed(&member.ed25519, Instant::now());
                    }
                },
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
    let key = member.ed25519;
    loop {
        let began = Instant::now();
        let next = shared.read(move |store| instalment(store, &key)).await.map_err(|_| "the store failed")?;
        let Some(Instalment { copies, paid }) = next else { return Ok(()) };
        if !copies.messages.is_empty() || !copies.operations.is_empty() {
            ask(shared, member, sync::COPIES, &copies.encode()).await.map_err(|e| e.to_string())?;
        }
        shared.store.settle(key, paid).await.map_err(|e| e.to_string())?;
        rest(began).await;
    }
}

/// A part of what a member is owed.
#[derive(Debug)]
pub(crate) struct Instalment {
    /// What it is given; it may be nothing.
    pub(crate) copies: Copies,
    /// What it is not owed any more when it has that.
    pub(crate) paid: Vec<Owed>,
}

/// What a member is told next; `None` if it is owed nothing.
pub(crate) fn instalment(
    store: &MessageStore,
    member: &Ed25519Public,
) -> Result<Option<Instalment>, StoreError> {
    let owed = store.owed(member, AT_ONCE)?;
    if owed.is_empty() {
        return Ok(None);
    }
    let copies = collect(store, &by_account(&owed))?;
    if !copies.more {
        // What is not here any more is paid with nothing.
        return Ok(Some(Instalment { copies, paid: owed }));
    }
    // What did not fit is paid with the next part.
    let messages = copies.messages.iter().filter_map(|copy| {
        let hash = MessageHash::of(&copy.account, copy.namespace, &copy.data);
        Some(Owed::Message(copy.account, hash.to_bytes()?))
    });
    let operations = copies.operations.iter().filter_map(|request| {
        let (_, operation) = Operation::read(request).ok()?;
        Some(Owed::Operation(operation.owner, operation.id()))
    });
    let paid = operations.chain(messages).collect();
    Ok(Some(Instalment { copies, paid }))
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
                Owed::Message(_, name) => keys.messages.push((*name, State::default())),
                Owed::Operation(_, OperationId(name)) => keys.operations.push(Name::from(*name)),
            }
        }
    }
    Keys { accounts, more: false }
}
