//! Sending what waits in the outbox: to a majority of each copy's swarm, again and again until it
//! is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::rpc::answers::{SwarmAnswer, read_batch_answer};
use conclave_proto::rpc::{Lifetime, Request, Store};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, Timestamp};
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::Shared;
use crate::network::{Network, NetworkError, shuffle};
use crate::store::{Copy, DueCopy, Others, StoreError};
use crate::types::MessageId;
use crate::wire::{self, Outgoing};

/// How long swarms keep a message. (client-messages 5.2)
const MESSAGE_TTL: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Members tried in one attempt. (client-messages 5.3)
const MEMBERS_PER_ATTEMPT: usize = 3;
/// Members that have to refuse a message, unless the swarm has fewer, before it is given up.
const REFUSALS: usize = 2;
/// Copies sent at once.
const AT_ONCE: usize = 8;
/// Of these to one recipient.
const AT_ONCE_TO_ONE: usize = 4;
/// A member that says nothing for so long gets another one beside it.
const NEXT_MEMBER: Duration = Duration::from_secs(3);
/// Pauses between attempts: this, doubled each time, at most the other.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait after `attempts` failed ones: doubling, with up to a quarter more at random, so that many clients do
/// not come back at once.
fn pause_after(attempts: u32, random: u32) -> Duration {
    let base = FIRST_PAUSE.saturating_mul(1u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    base + base.mul_f64(0.25 * f64::from(random) / f64::from(u32::MAX))
}

/// What is being sent right now.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<BTreeMap<(MessageId, Copy), AccountId>>);

impl InFlight {
    /// Takes a place for an attempt, if there is one for this recipient and this copy is not under way.
    fn take(self: &Arc<Self>, id: &MessageId, copy: Copy, recipient: AccountId) -> Option<Flight> {
        let mut flying = self.lock();
        let to_same = flying.values().filter(|other| **other == recipient).count();
        if flying.len() >= AT_ONCE || to_same >= AT_ONCE_TO_ONE || flying.contains_key(&(id.clone(), copy)) {
            return None;
        }
        flying.insert((id.clone(), copy), recipient);
        Some(Flight { of: Arc::clone(self), key: (id.clone(), copy) })
    }

    /// Whether an attempt to bring this message to its recipient is under way.
    pub(crate) fn holds(&self, id: &MessageId) -> bool {
        self.lock().contains_key(&(id.clone(), Copy::Recipient))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(MessageId, Copy), AccountId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt's place, given back when dropped.
struct Flight {
    of: Arc<InFlight>,
    key: (MessageId, Copy),
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.of.lock().remove(&self.key);
    }
}

/// Sends what is due, and sleeps until something is. Ends when told to.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut sending = JoinSet::new();
    loop {
        if let Err(error) = start_due(&shared, &mut sending).await {
            tracing::warn!(%error, "the outbox could not be read");
        }
        let now = shared.network.now();
        let next = shared.store.run(move |store| store.next_due(now)).await.ok().flatten();
        let wait = next.map_or(LONGEST_PAUSE, |at| at.since(shared.network.now())).min(LONGEST_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(_) = sending.join_next(), if !sending.is_empty() => {}
            () = shared.outbox_changed.notified() => {}
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    // Dropping would only ask them to end.
    sending.shutdown().await;
}

/// Starts an attempt for each copy that is due and finds a place. A recipient whose swarm does not answer holds up nobody
/// else: there are only so many places for one.
async fn start_due(shared: &Arc<Shared>, sending: &mut JoinSet<()>) -> Result<(), StoreError> {
    let now = shared.network.now();
    // Those under way are due as well, and come first.
    let due = shared.store.run(move |store| store.due(now, 2 * AT_ONCE, 2 * AT_ONCE_TO_ONE)).await?;
    let own = *shared.account.id();
    for copy in due {
        let recipient = if copy.copy == Copy::OwnSync { own } else { copy.message.chat };
        let Some(flight) = shared.in_flight.take(&copy.message.id, copy.copy, recipient) else { continue };
        let shared = Arc::clone(shared);
        sending.spawn(async move {
            send(&shared, copy).await;
            drop(flight);
            shared.attempts.notify_waiters();
        });
    }
    Ok(())
}

async fn send(shared: &Arc<Shared>, due: DueCopy) {
    let id = due.message.id.clone();
    let copy = due.copy;
    let noted = match deliver(shared, &due).await {
        Ok(delivered) => note_delivery(shared, &due, delivered).await,
        Err(Undelivered { reason, again: Again::Never }) => {
            let id = id.clone();
            shared.store.run(move |store| store.mark_failed(&id, copy, &reason)).await.map(Some)
        }
        Err(Undelivered { reason, again }) => {
            let next = shared.network.now().plus(pause_after(due.attempts, OsRng.next_u32()));
            tracing::debug!(%reason, attempts = due.attempts, "a message is not delivered yet");
            let id = id.clone();
            let others = if again == Again::Later { Others::WaitToo } else { Others::Alone };
            let mark =
                shared.store.run(move |store| store.record_attempt(&id, copy, &reason, next, others)).await;
            mark.map(|()| None)
        }
    };
    match noted {
        Ok(Some(message)) => shared.tell_state(&message),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "what became of a message could not be noted; it is sent again");
            // Not at once, or a full disk would be a busy loop.
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    }
}

struct Delivered {
    signed: u32,
    swarm: u32,
    hash: MessageHash,
    expires_at: Timestamp,
}

struct Undelivered {
    reason: String,
    again: Again,
}

/// Whether another try is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Yes.
    Later,
    /// A member says no. One member's word fails no message: it may lie, or be the one that is wrong.
    NotThere,
    /// No.
    Never,
}

impl Undelivered {
    fn for_now(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), again: Again::Later }
    }
}

/// Whether the swarm, and not just a member, refuses: all that were asked do, and they are several unless the swarm has
/// no more.
fn is_refused(refused: usize, asked: usize, swarm: usize) -> bool {
    refused > 0 && refused == asked && refused >= swarm.min(REFUSALS)
}

async fn note_delivery(
    shared: &Shared,
    due: &DueCopy,
    delivered: Delivered,
) -> Result<Option<crate::store::MessageRow>, StoreError> {
    let (id, copy) = (due.message.id.clone(), due.copy);
    let Delivered { signed, swarm, hash, expires_at } = delivered;
    let (attempts, now) = (due.attempts, shared.network.now());
    let retry = shared.network.now().plus(pause_after(due.attempts, OsRng.next_u32()));
    shared
        .store
        .run(move |store| {
            let changed = store.mark_stored(&id, copy, signed, swarm, hash.as_str(), expires_at)?;
            if signed.saturating_mul(2) <= swarm {
                let reason = format!("{signed} of {swarm} members of the swarm have it");
                store.record_attempt(&id, copy, &reason, retry, Others::Alone)?;
            } else if attempts > 0 {
                // The others to the same swarm waited because of this one.
                store.hurry(&id, copy, now)?;
            }
            Ok(changed)
        })
        .await
}

/// One attempt: to a member of the copy's swarm, and to another one if that fails, or beside it if it is silent.
async fn deliver(shared: &Arc<Shared>, due: &DueCopy) -> Result<Delivered, Undelivered> {
    let own = *shared.account.id();
    let to_self = due.message.chat == own;
    let recipient = if due.copy == Copy::OwnSync { own } else { due.message.chat };
    let sync_target = (due.copy == Copy::OwnSync || to_self).then_some(&due.message.chat);
    let key = recipient.x25519().map_err(|e| Undelivered {
        reason: format!("the recipient's account id cannot be used: {e}"),
        again: Again::Never,
    })?;
    let directory = shared.network.directory().await.map_err(Undelivered::for_now)?;
    let swarm_id =
        directory.swarm_of(&recipient).ok_or_else(|| Undelivered::for_now("the network has no swarms"))?;
    let swarm: Arc<[SnodeRecord]> = directory.members(swarm_id).copied().collect();

    let outgoing =
        Outgoing { text: &due.message.text, name: &shared.name, sent_at: due.message.sent_at, sync_target };
    let data: Arc<[u8]> = wire::seal(&shared.account, &key, outgoing, &mut OsRng).into();
    let mut members = in_order_of_trust(&shared.network, &swarm).into_iter().take(MEMBERS_PER_ATTEMPT);
    let mut last_error = Undelivered::for_now("no member of the swarm could be asked");
    let (mut asked, mut refused, mut running) = (0, 0, 0);
    // What a member that was not waited for comes back with is still news about paths: it is let finish.
    let (tell, mut told) = mpsc::channel(MEMBERS_PER_ATTEMPT);
    loop {
        if let Some(member) = members.next() {
            let (network, swarm, data, tell) =
                (shared.network.clone(), Arc::clone(&swarm), Arc::clone(&data), tell.clone());
            shared.spawn(async move {
                let _ = tell.send(store_at(&network, &member, recipient, &data, &swarm).await).await;
            });
            asked += 1;
            running += 1;
        }
        if running == 0 {
            break;
        }
        let patience = if members.len() > 0 { NEXT_MEMBER } else { LONGEST_PAUSE };
        match tokio::time::timeout(patience, told.recv()).await {
            Ok(Some(Ok(delivered))) => return Ok(delivered),
            Ok(Some(Err(error))) => {
                running -= 1;
                refused += usize::from(error.again == Again::NotThere);
                last_error = error;
            }
            Ok(None) => break,
            Err(_) => {}
        }
    }
    if is_refused(refused, asked, swarm.len()) {
        last_error.again = Again::Never;
    }
    Err(last_error)
}

/// Asks one member to store sealed data in its swarm.
async fn store_at(
    network: &Network,
    member: &SnodeRecord,
    recipient: AccountId,
    data: &[u8],
    swarm: &[SnodeRecord],
) -> Result<Delivered, Undelivered> {
    // Of this moment: another member may have taught us the time.
    let store = store(recipient, data.to_vec(), network.now());
    let (expires_at, hash) = (store.expiry(), MessageHash::of(&recipient, Namespace::DIRECT, data));
    let request = Request::Store(store);
    let answer = ask(network, member, &Request::Sequence(vec![request.clone()])).await?;
    match signatures(&request, &answer, swarm) {
        0 => Err(Undelivered::for_now("a member answered without a signature that holds")),
        signed => {
            let swarm = u32::try_from(swarm.len()).unwrap_or(u32::MAX);
            Ok(Delivered { signed, swarm, hash, expires_at })
        }
    }
}

/// The request that stores a sealed message. Its time is that of storing, not of writing: what waited for weeks, or was
/// written under a wrong clock, is taken all the same (storage-and-onion 2.7), and lives as long as any other.
fn store(recipient: AccountId, data: Vec<u8>, now: Timestamp) -> Store {
    Store {
        account: recipient,
        namespace: Namespace::DIRECT,
        timestamp: now,
        lifetime: Lifetime::Ttl(u64::try_from(MESSAGE_TTL.as_millis()).unwrap_or(u64::MAX)),
        data,
        auth: None,
        sig_timestamp: None,
    }
}

/// The members in a random order, those with a bad record last.
pub(crate) fn in_order_of_trust(network: &Network, swarm: &[SnodeRecord]) -> Vec<SnodeRecord> {
    let mut members = swarm.to_vec();
    shuffle(&mut members);
    members.sort_by_key(|member| network.is_avoided(&member.ed25519));
    members
}

/// How many members' signatures over the stored message hold.
fn signatures(request: &Request, answer: &Value, swarm: &[SnodeRecord]) -> u32 {
    let Some(answer) = SwarmAnswer::from_json(request, answer) else { return 0 };
    u32::try_from(answer.verified(request, swarm).len()).unwrap_or(u32::MAX)
}

/// The answer to the one request of a sequence.
async fn ask(network: &Network, member: &SnodeRecord, sequence: &Request) -> Result<Value, Undelivered> {
    let reply = network.ask(member, sequence).await.map_err(Undelivered::for_now)?;
    let (status, body) = match read_batch_answer(&reply.body).and_then(|results| results.into_iter().next()) {
        Some(result) if reply.status == 200 => result,
        _ => (reply.status, reply.body),
    };
    let text = || body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    match status {
        200 => Ok(body),
        421 => {
            // The list says another swarm than the node: one of them is out of date.
            let _ = network.refresh().await;
            Err(Undelivered::for_now("the account has moved to another swarm"))
        }
        406 | 425 => {
            network.relearn_time().await;
            Err(Undelivered::for_now(NetworkError::Clock { offset_ms: network.clock_offset() }))
        }
        400 | 403 => {
            Err(Undelivered { reason: format!("refused: {status} {}", text()), again: Again::NotThere })
        }
        _ => Err(Undelivered::for_now(format!("a member failed: {status} {}", text()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_differ() {
        let pauses: Vec<u64> = (0..9).map(|n| pause_after(n, 0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_after(40, 0), LONGEST_PAUSE);
        assert_eq!(pause_after(6, u32::MAX), Duration::from_secs(75));
    }

    #[test]
    fn one_member_s_refusal_fails_no_message() {
        for (refused, asked, swarm, expected) in [
            (0, 0, 5, false),
            (0, 3, 5, false),
            (1, 1, 5, false),
            (1, 3, 5, false),
            (2, 3, 5, false),
            (2, 2, 2, true),
            (3, 3, 5, true),
            (1, 1, 1, true),
        ] {
            assert_eq!(is_refused(refused, asked, swarm), expected, "{refused} of {asked} asked of {swarm}");
        }
    }

    #[test]
    fn a_message_is_stored_at_the_time_of_storing() {
        let bob = conclave_testkit::personas::bob().account_id();
        let stored = store(bob, vec![1], Timestamp(5_000));
        assert_eq!(
            (stored.signed_at(), stored.expiry()),
            (Timestamp(5_000), Timestamp(5_000).plus(MESSAGE_TTL))
        );
    }
}
