//! Sending what waits: to a majority of each swarm, again and again until it is there.
//!
//! Two lanes: what others are to receive, what waits for the same one together; and everything for the account's own swarm (copies for
//! other devices, documents, deletions) together, one request at a time. What to ask and what answers mean is in
//! [`errand`].

pub(crate) mod errand;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::rpc::answers::read_batch_answer;
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::{OsRng, RngCore as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::Shared;
use crate::network::{Network, NetworkError, shuffle};
use crate::store::{Changes, ClientStore, Copy, DueCopy, StoreError};
use crate::types::MessageId;
use errand::{Errand, LONGEST_PAUSE, OWN_COPIES, Verdict, pause_after};

/// Members tried in one attempt. (client-messages 5.3)
pub(crate) const MEMBERS_PER_ATTEMPT: usize = 3;
/// Requests under way at once, so that somebody who writes to hundreds does not wait for each in turn.
pub(crate) const AT_ONCE: usize = 16;
/// Of these to one recipient.
pub(crate) const AT_ONCE_TO_ONE: usize = 4;
/// Copies for one recipient that go in one request: however long the way, it is gone once for all of them. Nodes take 20.
const TOGETHER: usize = 10;
/// But not more than these bytes of them, since what is lost is sent again as a whole.
const BYTES_TOGETHER: usize = 64 * 1024;
/// Copies looked at for the next requests; those under way are due as well, and come first.
pub(crate) const LOOKED_AT: usize = 2 * AT_ONCE * TOGETHER;
pub(crate) const LOOKED_AT_TO_ONE: usize = (AT_ONCE_TO_ONE + 1) * TOGETHER;
/// A member that says nothing for so long gets another one beside it.
pub(crate) const NEXT_MEMBER: Duration = Duration::from_secs(3);
/// Documents are pushed so long after the last change, but not later after the first one than the other: changes come in
/// bursts, and each push costs every device a merge.
const PUSH_AFTER: Duration = Duration::from_millis(400);
const PUSH_WITHIN: Duration = Duration::from_secs(2);
/// How often documents are looked at that nobody changed: those that lie in the swarm for long are stored again.
pub(crate) const LOOK_AT_DOCUMENTS: Duration = Duration::from_secs(60 * 60);
/// After a failure of the own disk. Not at once, or a full disk would be a busy loop.
pub(crate) const AFTER_DISK_TROUBLE: Duration = Duration::from_secs(1);

/// What is being sent right now.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    recipients: BTreeMap<u64, AccountId>,
    copies: BTreeSet<(MessageId, Copy)>,
    next: u64,
}

impl InFlight {
    /// Takes a place for an attempt to bring these to their recipient, if there is one for it.
    pub(crate) fn take(self: &Arc<Self>, copies: &[DueCopy]) -> Option<Flight> {
        let recipient = copies.first()?.recipient;
        let mut attempts = self.lock();
        let to_same = attempts.recipients.values().filter(|other| **other == recipient).count();
        if attempts.recipients.len() >= AT_ONCE || to_same >= AT_ONCE_TO_ONE {
            return None;
        }
        let number = attempts.next;
        attempts.next += 1;
        attempts.recipients.insert(number, recipient);
        let keys: Vec<_> = copies.iter().map(|copy| (copy.id.clone(), copy.copy)).collect();
        attempts.copies.extend(keys.iter().cloned());
        Some(Flight { of: Arc::clone(self), number, keys })
    }

    /// Puts together what can go in one request: copies for one recipient that have not been tried before. One that has been
    /// goes alone, so that what a swarm refuses holds up nothing else. What is under way is left out.
    pub(crate) fn together(&self, due: Vec<DueCopy>) -> Vec<Vec<DueCopy>> {
        let attempts = self.lock();
        let mut groups: Vec<Vec<DueCopy>> = Vec::new();
        for copy in due {
            if attempts.copies.contains(&(copy.id.clone(), copy.copy)) {
                continue;
            }
            let fits = |group: &&mut Vec<DueCopy>| {
                let is_like_it = |other: &DueCopy| other.recipient == copy.recipient && other.attempts == 0;
                let bytes: usize = group.iter().map(|other| other.content.len()).sum();
                group.iter().all(is_like_it)
                    && copy.attempts == 0
                    && group.len() < TOGETHER
                    && bytes + copy.content.len() <= BYTES_TOGETHER
            };
            match groups.iter_mut().find(fits) {
                Some(group) => group.push(copy),
                None => groups.push(vec![copy]),
            }
        }
        groups
    }

    /// Whether an attempt to bring this message to its recipient is under way.
    pub(crate) fn holds(&self, id: &MessageId) -> bool {
        self.lock().copies.contains(&(id.clone(), Copy::Recipient))
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt's place, given back when dropped.
pub(crate) struct Flight {
    of: Arc<InFlight>,
    number: u64,
    keys: Vec<(MessageId, Copy)>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut attempts = self.of.lock();
        attempts.recipients.remove(&self.number);
        for key in &self.keys {
            attempts.copies.remove(key);
        }
    }
}

/// When documents are pushed.
#[derive(Debug, Default)]
pub(crate) struct PushTimes(Mutex<Option<(Timestamp, Timestamp)>>);

impl PushTimes {
    /// A document changed.
    pub(crate) fn changed(&self, now: Timestamp) {
        let mut times = self.lock();
        let first = times.map_or(now, |(first, _)| first);
        *times = Some((first, now));
    }

    /// When to push.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let times = *self.lock();
        times.map(|(first, last)| last.plus(PUSH_AFTER).min(first.plus(PUSH_WITHIN)))
    }

    /// Everything up to now is being pushed.
    pub(crate) fn take(&self) {
        *self.lock() = None;
    }

    /// Again at a later time.
    pub(crate) fn postpone(&self, to: Timestamp) {
        let mut times = self.lock();
        if times.is_none() {
            let last = to.minus(PUSH_AFTER);
            *times = Some((last, last));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Timestamp, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is due, and sleeps until something is. Ends when told to.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut sending = JoinSet::new();
    let own_lane = OwnLane { busy: Arc::default(), failures: Arc::default() };
    let mut look_at_documents = shared.network.now();
    loop {
        // One time for all questions, or what becomes due between them would be seen by none.
        let now = shared.network.now();
        if now >= look_at_documents {
            look_at_documents = now.plus(LOOK_AT_DOCUMENTS);
            shared.pushes.changed(now);
        }
        let started = match start_due(&shared, now, &own_lane, &mut sending).await {
            Ok(()) => next_due(&shared, now, own_lane.is_busy()).await,
            Err(error) => Err(error),
        };
        let wait = match started {
            Ok(next) => next.map_or(LONGEST_PAUSE, |at| at.since(shared.network.now())).min(LONGEST_PAUSE),
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be read");
                AFTER_DISK_TROUBLE
            }
        };
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

/// What is done without a network: what disappears is let go of. Ends when told to.
pub(crate) async fn let_go(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    loop {
        let now = shared.network.now();
        let gone = shared.store.run(move |store| Ok((store.expire(now)?, store.next_expiry()?))).await;
        let wait = match gone {
            Ok((changes, next)) => {
                shared.tell(changes);
                next.map_or(LONGEST_PAUSE, |at| at.since(shared.network.now())).min(LONGEST_PAUSE)
            }
            Err(error) => {
                tracing::warn!(%error, "what has disappeared could not be let go of");
                AFTER_DISK_TROUBLE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.outbox_changed.notified() => {}
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
}

/// When something becomes due after `now`, or disappears.
async fn next_due(shared: &Shared, now: Timestamp, busy: bool) -> Result<Option<Timestamp>, StoreError> {
    // What waits for the lane to be free is started when it is.
    let pushes = shared.pushes.due().filter(|_| !busy);
    let next = shared.store.run(move |store| store.next_look(now)).await?;
    Ok([next, pushes].into_iter().flatten().min())
}

/// The own swarm is asked for one thing at a time: a sequence must not overtake another.
struct OwnLane {
    busy: Arc<std::sync::atomic::AtomicBool>,
    failures: Arc<std::sync::atomic::AtomicU32>,
}

impl OwnLane {
    fn is_busy(&self) -> bool {
        self.busy.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// Starts an attempt for the copies that are due and find a place. A recipient whose swarm does not answer holds up nobody
/// else: there are only so many places for one.
async fn start_due(
    shared: &Arc<Shared>,
    now: Timestamp,
    own_lane: &OwnLane,
    sending: &mut JoinSet<()>,
) -> Result<(), StoreError> {
    let changes = shared
        .store
        .run(move |store| {
            store.drop_overdue(now)?;
            let receipts = store.queue_receipts(now)?;
            Ok([receipts, store.expire(now)?])
        })
        .await?;
    for changes in changes {
        shared.tell(changes);
    }
    let due = shared.store.run(move |store| store.due(now, LOOKED_AT, LOOKED_AT_TO_ONE)).await?;
    let own = *shared.account.id();
    let (to_own, to_others): (Vec<DueCopy>, Vec<DueCopy>) =
        due.into_iter().partition(|copy| copy.recipient == own);
    for copies in shared.in_flight.together(to_others) {
        let Some(flight) = shared.in_flight.take(&copies) else { continue };
        let shared = Arc::clone(shared);
        sending.spawn(async move {
            send_to_recipient(&shared, copies).await;
            drop(flight);
            shared.attempts.notify_waiters();
        });
    }
    start_own_lane(shared, now, own_lane, to_own, sending).await
}

async fn start_own_lane(
    shared: &Arc<Shared>,
    now: Timestamp,
    own_lane: &OwnLane,
    copies: Vec<DueCopy>,
    sending: &mut JoinSet<()>,
) -> Result<(), StoreError> {
    use std::sync::atomic::Ordering;
    if own_lane.is_busy() {
        return Ok(());
    }
    // Documents go along with messages, unless pushing has failed lately.
    let push_is_due = shared.pushes.due().is_some_and(|at| at <= now);
    let push = push_is_due || (!copies.is_empty() && own_lane.failures.load(Ordering::Relaxed) == 0);
    let worker = Arc::clone(shared);
    let copies: Vec<DueCopy> = copies.into_iter().take(OWN_COPIES).collect();
    let flight = shared.in_flight.take(&copies);
    if push {
        shared.pushes.take();
    }
    let errand = shared
        .store
        .run(move |store| Errand::to_own_swarm(&worker.account, store, copies, push, now, &mut OsRng))
        .await;
    let errand = match errand {
        Ok(Some(errand)) => errand,
        Ok(None) => return Ok(()),
        Err(error) => {
            if push {
                shared.pushes.postpone(now.plus(AFTER_DISK_TROUBLE));
            }
            return Err(error);
        }
    };
    own_lane.busy.store(true, Ordering::Release);
    let (busy, failures) = (Arc::clone(&own_lane.busy), Arc::clone(&own_lane.failures));
    let shared = Arc::clone(shared);
    sending.spawn(async move {
        let documents = errand.has_documents();
        run_errand(&shared, errand).await;
        let wait = shared.store.run(|store| store.documents_wait(Timestamp(0))).await.unwrap_or(true);
        if documents && wait {
            let failed = failures.fetch_add(1, Ordering::Relaxed);
            shared.pushes.postpone(shared.network.now().plus(pause_after(failed, OsRng.next_u32())));
        } else if documents {
            failures.store(0, Ordering::Relaxed);
        }
        drop(flight);
        busy.store(false, Ordering::Release);
        shared.attempts.notify_waiters();
        shared.outbox_changed.notify_one();
    });
    Ok(())
}

async fn send_to_recipient(shared: &Arc<Shared>, copies: Vec<DueCopy>) {
    let keys: Vec<_> = copies.iter().map(|due| (due.id.clone(), due.copy)).collect();
    let sealing = Arc::clone(&shared.account);
    // Sealing takes a while when there is much: not on a thread that others wait for.
    let sealed = tokio::task::spawn_blocking(move || Errand::to_recipient(&sealing, copies, &mut OsRng));
    match sealed.await {
        Ok(Ok(errand)) => run_errand(shared, errand).await,
        Ok(Err(error)) => {
            let (reason, now) =
                (format!("the recipient's account id cannot be used: {error}"), shared.network.now());
            let fail = move |store: &ClientStore| {
                keys.iter().map(|(id, copy)| store.mark_failed(id, *copy, &reason, now)).collect()
            };
            note(shared, fail).await;
        }
        // It is tried again by the next owner, or after the next change.
        Err(error) => tracing::error!(%error, "bug: a message could not be sealed"),
    }
}

/// One attempt: to a member of the swarm, and to another one if that fails, or beside it if it is silent.
async fn run_errand(shared: &Arc<Shared>, errand: Errand) {
    let errand = Arc::new(errand);
    let (outcome, swarm) = match swarm_of(&shared.network, errand.account()).await {
        Ok(swarm) => (attempt(shared, &errand, &swarm).await, swarm.len()),
        Err(reason) => (Err(Undone { reason, refused: false }), 0),
    };
    let doubtful = match &outcome {
        Ok(verdicts) => Errand::casts_doubt(Some(verdicts), swarm),
        Err(undone) => !undone.refused && Errand::casts_doubt(None, swarm),
    };
    if doubtful {
        shared.network.doubt_list();
    }
    let (now, random) = (shared.network.now(), OsRng.next_u32());
    let swarm = u32::try_from(swarm).unwrap_or(u32::MAX);
    note(shared, move |store| match outcome {
        Ok(verdicts) => errand.note(store, &verdicts, swarm, now, random),
        Err(Undone { reason, refused }) => errand.note_failure(store, &reason, refused, now, random),
    })
    .await;
}

/// Notes what came of an attempt, and tells.
async fn note(
    shared: &Shared,
    work: impl FnOnce(&ClientStore) -> Result<Vec<Changes>, StoreError> + Send + 'static,
) {
    match shared.store.run(work).await {
        Ok(changes) => changes.into_iter().for_each(|changes| shared.tell(changes)),
        Err(error) => {
            tracing::warn!(%error, "what became of a message could not be noted; it is sent again");
            tokio::time::sleep(AFTER_DISK_TROUBLE).await;
        }
    }
}

async fn swarm_of(network: &Network, account: &AccountId) -> Result<Arc<[SnodeRecord]>, String> {
    let directory = network.directory().await.map_err(|error| error.to_string())?;
    let swarm = directory.swarm_of(account).ok_or_else(|| "the network has no swarms".to_owned())?;
    Ok(directory.members(swarm).copied().collect())
}

/// An attempt that did nothing.
struct Undone {
    reason: String,
    /// The swarm says no.
    refused: bool,
}

async fn attempt(
    shared: &Arc<Shared>,
    errand: &Arc<Errand>,
    swarm: &Arc<[SnodeRecord]>,
) -> Result<Vec<Verdict>, Undone> {
    let mut members = in_order_of_trust(&shared.network, swarm).into_iter().take(MEMBERS_PER_ATTEMPT);
    let mut reason = "no member of the swarm could be asked".to_owned();
    let (mut asked, mut refused, mut running) = (0, 0, 0);
    // What a member that was not waited for comes back with is still news about paths: it is let finish.
    let (tell, mut told) = mpsc::channel(MEMBERS_PER_ATTEMPT);
    loop {
        if let Some(member) = members.next() {
            let (worker, errand, swarm, tell) =
                (Arc::clone(shared), Arc::clone(errand), Arc::clone(swarm), tell.clone());
            shared.spawn(async move {
                let _ = tell.send(ask_member(&worker, &errand, &member, &swarm).await).await;
            });
            asked += 1;
            running += 1;
        }
        if running == 0 {
            break;
        }
        let patience = if members.len() > 0 { NEXT_MEMBER } else { LONGEST_PAUSE };
        match tokio::time::timeout(patience, told.recv()).await {
            Ok(Some(Ok(verdicts))) if Errand::is_progress(&verdicts) => return Ok(verdicts),
            Ok(Some(Ok(verdicts))) => {
                running -= 1;
                match verdicts.into_iter().next() {
                    Some(Verdict::Refused(why)) => {
                        refused += 1;
                        reason = why;
                    }
                    Some(Verdict::Failed(why)) => reason = why,
                    _ => {}
                }
            }
            Ok(Some(Err(error))) => {
                running -= 1;
                reason = error.to_string();
            }
            Ok(None) => break,
            Err(_) => {}
        }
    }
    Err(Undone { reason, refused: Errand::is_refused(refused, asked, swarm.len()) })
}

/// Asks one member for everything.
async fn ask_member(
    shared: &Shared,
    errand: &Errand,
    member: &SnodeRecord,
    swarm: &[SnodeRecord],
) -> Result<Vec<Verdict>, NetworkError> {
    let network = &shared.network;
    // Signed for this moment: another member may have taught us the time.
    let requests = errand.requests(&shared.account, network.now());
    let reply = network.ask(member, &errand.as_one(requests.clone())).await?;
    let answers = match read_batch_answer(&reply.body) {
        Some(answers) if reply.status == 200 => answers,
        _ => vec![(reply.status, reply.body)],
    };
    match answers.last().map(|(status, _)| *status) {
        Some(421) => {
            // The list says another swarm than the node: one of them is out of date.
            let _ = network.refresh().await;
        }
        Some(406 | 425) => {
            network.relearn_time().await;
            if answers.iter().all(|(status, _)| matches!(status, 406 | 425)) {
                return Err(NetworkError::Clock { offset_ms: network.clock_offset() });
            }
        }
        _ => {}
    }
    Ok(Errand::judge(&requests, &answers, swarm))
}

/// The members in a random order, those with a bad record last.
pub(crate) fn in_order_of_trust(network: &Network, swarm: &[SnodeRecord]) -> Vec<SnodeRecord> {
    let mut members = swarm.to_vec();
    shuffle(&mut members);
    members.sort_by_key(|member| network.is_avoided(&member.ed25519));
    members
}

#[cfg(test)]
mod tests {
    use conclave_testkit::personas;

    use super::*;

    fn due(recipient: AccountId, sent_at: u64, attempts: u32, bytes: usize) -> DueCopy {
        let sent_at = Timestamp(sent_at);
        DueCopy {
            id: MessageId::of(&personas::alice().account_id(), sent_at),
            copy: Copy::Recipient,
            recipient,
            sent_at,
            content: vec![0; bytes],
            ttl: Duration::from_secs(1),
            attempts,
        }
    }

    fn times(groups: &[Vec<DueCopy>]) -> Vec<Vec<u64>> {
        groups.iter().map(|group| group.iter().map(|due| due.sent_at.0).collect()).collect()
    }

    #[test]
    fn what_waits_for_one_recipient_goes_together_and_what_has_failed_goes_alone() {
        let (bob, eve) = (personas::bob().account_id(), personas::eve().account_id());
        let in_flight = Arc::new(InFlight::default());
        let all = vec![due(bob, 1, 0, 10), due(eve, 2, 0, 10), due(bob, 3, 1, 10), due(bob, 4, 0, 10)];
        let groups = in_flight.together(all.clone());
        assert_eq!(times(&groups), [vec![1, 4], vec![2], vec![3]]);
        // What is under way is not sent a second time beside it.
        let flight = in_flight.take(&groups[0]).unwrap();
        assert_eq!(times(&in_flight.together(all.clone())), [[2], [3]]);
        assert!(in_flight.holds(&all[3].id) && !in_flight.holds(&all[2].id));
        drop(flight);
        assert_eq!(times(&in_flight.together(all)), [vec![1, 4], vec![2], vec![3]]);
    }

    #[test]
    fn a_request_holds_so_many_copies_and_so_many_bytes() {
        let (bob, in_flight) = (personas::bob().account_id(), InFlight::default());
        let groups = in_flight.together((0..25).map(|at| due(bob, at, 0, 10)).collect());
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        let groups = in_flight.together((0..3).map(|at| due(bob, at, 0, BYTES_TOGETHER / 2)).collect());
        assert_eq!(times(&groups), [vec![0, 1], vec![2]]);
        let groups = in_flight.together(vec![due(bob, 0, 0, 2 * BYTES_TOGETHER)]);
        assert_eq!(groups.len(), 1, "what is larger goes all the same");
    }

    #[test]
    fn there_are_places_for_some_recipients_and_for_fewer_requests_to_one() {
        let in_flight = Arc::new(InFlight::default());
        let to = |number: u8, at| {
            in_flight.take(&[due(
                AccountId::new(conclave_crypto::IdPrefix::Account, &[number; 32]),
                at,
                0,
                1,
            )])
        };
        let to_one: Vec<_> = (0..10).filter_map(|at| to(1, at)).collect();
        assert_eq!(to_one.len(), AT_ONCE_TO_ONE);
        let to_others: Vec<_> = (2..100).filter_map(|number| to(number, 1)).collect();
        assert_eq!(to_one.len() + to_others.len(), AT_ONCE);
        drop(to_one);
        assert!(to(200, 1).is_some());
    }
}
