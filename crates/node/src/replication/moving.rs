//! Bringing accounts to the swarm that keeps them now. (storage-and-onion 4.4)
//!
//! What is here of accounts that belong elsewhere is offered to a member of their swarm, which says what it lacks and is
//! given that; the others get it by comparing. Every node that has something does this by itself, and each picks
//! another member where it can, so that no one's failure matters. Nothing is deleted here: it expires.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave_crypto::AccountId;
use conclave_proto::sync::{self, InvalidSync, Keys};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp};
use rand_core::{OsRng, RngCore as _};

use super::serve::collect;
use super::{ask, cutoff, rest};
use crate::node::Shared;
use crate::registry::NetworkView;
use crate::store::{MessageStore, StoreError};

/// Accounts that are looked at in one step.
pub(crate) const STEP: usize = 200;
/// The pause before what could not be brought is tried again.
pub(crate) const AGAIN: Duration = Duration::from_secs(15);
/// Where the work has come to: the height of the directory for which everything was brought.
pub(crate) const META_MOVED: &str = "moved_for_height";

/// Brings what belongs elsewhere there, after each change of the directory. Never ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut views = shared.registry.views();
    loop {
        let view = views.borrow_and_update().clone();
        let height = view.directory().height;
        let done = shared.read(|store| store.meta(META_MOVED)).await.ok().flatten();
        if done.as_deref() != Some(height.to_string().as_bytes()) {
            match everything(&shared).await {
                Ok(moved) => {
                    if moved > 0 {
                        tracing::info!(moved, "messages were brought to the swarms that keep them now");
                    }
                    let mark = height.to_string().into_bytes();
                    if let Err(error) = shared.store.set_meta(META_MOVED, mark).await {
                        tracing::debug!(%error, "that everything was moved could not be noted");
                    }
                }
                Err(error) => {
                    tracing::debug!(error, "not everything could be moved yet");
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => continue,
                        changed = views.changed() => if changed.is_err() { return },
                    }
                    continue;
                }
            }
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Goes through all accounts once. Fails, after trying all, if some could not be brought.
async fn everything(shared: &Arc<Shared>) -> Result<usize, String> {
    let mut after: Option<AccountId> = None;
    let (mut moved, mut failure) = (0, None);
    loop {
        let from = after;
        let accounts = shared
            .read(move |store| store.accounts(from.as_ref(), STEP))
            .await
            .map_err(|_| "the store cannot be read".to_owned())?;
        let Some(last) = accounts.last() else { break };
        after = Some(*last);
        let view = shared.view();
        for (swarm, accounts) in elsewhere(&view, &accounts) {
            let members: Vec<SnodeRecord> = view.directory().members(swarm).copied().collect();
            match bring(shared, &members, accounts).await {
                Ok(count) => moved += count,
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(moved), Err)
}

/// Offers accounts to one member of their swarm, and to another if that fails.
async fn bring(
    shared: &Arc<Shared>,
    members: &[SnodeRecord],
    accounts: Vec<AccountId>,
) -> Result<usize, String> {
    let start = usize::try_from(OsRng.next_u32()).unwrap_or(0);
    let mut failure = "the swarm has no members".to_owned();
    for turn in 0..members.len() {
        let Some(member) = members.get((start.wrapping_add(turn)) % members.len().max(1)) else { break };
        match bring_to(shared, member, &accounts).await {
            Ok(moved) => return Ok(moved),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn bring_to(
    shared: &Arc<Shared>,
    member: &SnodeRecord,
    accounts: &[AccountId],
) -> Result<usize, String> {
    let mut delivery = Delivery::new(accounts.iter().copied());
    loop {
        let (began, cutoff) = (Instant::now(), cutoff(shared.now()));
        let step = shared.read(move |store| {
            let next = delivery.next(store, cutoff)?;
            Ok((delivery, next))
        });
        let (back, next) = step.await.map_err(|_| "the store cannot be read".to_owned())?;
        delivery = back;
        let Some((endpoint, body)) = next else { return Ok(delivery.moved()) };
        let answer = ask(shared, member, endpoint, &body).await.map_err(|e| e.to_string())?;
        delivery.answered(&answer).map_err(|e| e.to_string())?;
        rest(began).await;
    }
}

/// Of these accounts, those that other swarms keep, by swarm.
pub(crate) fn elsewhere(view: &NetworkView, accounts: &[AccountId]) -> BTreeMap<SwarmId, Vec<AccountId>> {
    let mut elsewhere: BTreeMap<SwarmId, Vec<AccountId>> = BTreeMap::new();
    for account in accounts.iter().filter(|account| !view.is_ours(account)) {
        if let Some(swarm) = view.directory().swarm_of(account) {
            elsewhere.entry(swarm).or_default().push(*account);
        }
    }
    elsewhere
}

/// Bringing accounts to one member, step by step: what is here of each is offered, and what it lacks is given. Performs no
/// IO: what [`Self::next`] says is asked of the member, and [`Self::answered`] told its answer.
#[derive(Debug)]
pub(crate) struct Delivery {
    accounts: VecDeque<AccountId>,
    state: State,
    moved: usize,
}

#[derive(Debug)]
enum State {
    /// The first account is to be offered, or has been.
    Offering,
    /// This is lacking there.
    Giving(Keys),
    /// So much of it has been given, and whether there is more of the first account.
    Given { lacking: Keys, messages: usize, operations: usize, more: bool },
}

impl Delivery {
    pub(crate) fn new(accounts: impl IntoIterator<Item = AccountId>) -> Self {
        Self { accounts: accounts.into_iter().collect(), state: State::Offering, moved: 0 }
    }

    /// How many messages have been given.
    pub(crate) const fn moved(&self) -> usize {
        self.moved
    }

    /// What is asked of the member next; `None` when all is there.
    pub(crate) fn next(
        &mut self,
        store: &MessageStore,
        cutoff: Timestamp,
    ) -> Result<Option<(&'static str, Vec<u8>)>, StoreError> {
        while let State::Giving(lacking) = &mut self.state {
            let Some(first) = lacking.accounts.first() else {
                self.next_account();
                break;
            };
            let copies = collect(store, &Keys { accounts: vec![first.clone()], more: false })?;
            let (messages, operations) = (copies.messages.len(), copies.operations.len());
            if messages + operations == 0 {
                lacking.accounts.remove(0);
                continue;
            }
            let lacking = std::mem::take(lacking);
            self.state = State::Given { lacking, messages, operations, more: copies.more };
            return Ok(Some((sync::COPIES, copies.encode())));
        }
        while let Some(account) = self.accounts.front() {
            let keys = store.keys_of(account, cutoff)?;
            if keys.count() > 0 {
                let offer = Keys { accounts: vec![keys], more: false };
                return Ok(Some((sync::OFFER, offer.encode())));
            }
            self.next_account();
        }
        Ok(None)
    }

    /// Goes on with the member's answer.
    pub(crate) fn answered(&mut self, answer: &[u8]) -> Result<(), InvalidSync> {
        match &mut self.state {
            State::Offering => self.state = State::Giving(Keys::decode(answer)?),
            State::Giving(_) => {}
            State::Given { lacking, messages, operations, more } => {
                self.moved += *messages;
                if let Some(first) = lacking.accounts.first_mut() {
                    first.operations.drain(..(*operations).min(first.operations.len()));
                    first.messages.drain(..(*messages).min(first.messages.len()));
                    if !*more || first.count() == 0 {
                        lacking.accounts.remove(0);
                    }
                }
                self.state = State::Giving(std::mem::take(lacking));
            }
        }
        Ok(())
    }

    fn next_account(&mut self) {
        self.accounts.pop_front();
        self.state = State::Offering;
    }
}
