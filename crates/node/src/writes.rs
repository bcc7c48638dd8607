//! Carries out what the swarm's coordinator decides: the thin shell around [`crate::swarm`].

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;
use conclave_proto::rpc::answers::{MemberResult, SwarmAnswer};
use conclave_proto::rpc::{Answer, Forwarded, Request};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::node::Shared;
use crate::store::Operation;
use crate::swarm::{Coordinator, Effect, Event, Member, WriteId};
use crate::{local, order, peer, replication};

/// The writes of this node that are under way.
pub(crate) struct Writes {
    core: Mutex<Coordinator>,
    waiting: Mutex<HashMap<WriteId, Waiting>>,
    next: AtomicU64,
    started: Instant,
    /// The timer waits for no write.
    sleeps_for_good: AtomicBool,
    deadline_changed: Notify,
}

struct Waiting {
    request: Arc<Request>,
    /// Its place among the writes.
    at: Timestamp,
    /// The request as other members get it, once one is asked.
    forwarded: Option<Arc<Vec<u8>>>,
    answer: oneshot::Sender<Answer>,
}

impl Writes {
    pub(crate) fn new() -> Self {
        Self {
            core: Mutex::new(Coordinator::new()),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            started: Instant::now(),
            sleeps_for_good: AtomicBool::new(false),
            deadline_changed: Notify::new(),
        }
    }

    /// The coordinator's time: it must never go back, as the wall clock may.
    fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.started.elapsed())
    }

    fn core(&self) -> MutexGuard<'_, Coordinator> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<WriteId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does an authorised write in the whole swarm and answers as the entry node does.
pub(crate) async fn write(shared: &Arc<Shared>, request: Request) -> Answer {
    let write = WriteId(shared.writes.next.fetch_add(1, Ordering::Relaxed));
    let (answer, answered) = oneshot::channel();
    let now = shared.now();
    let last_addition = match Operation::of(&request, now) {
        // It is answered the wrong way round at worst.
        Some(operation) if !order::adds(&request) => {
            shared.read(move |store| store.last_addition(&operation)).await.ok().flatten()
        }
        _ => None,
    };
    let at = shared.order.new_time(&request, last_addition, now);
    shared
        .writes
        .waiting()
        .insert(write, Waiting { request: Arc::new(request), at, forwarded: None, answer });
    happened(shared, Event::Begin { write, others: others(shared) });
    answered.await.unwrap_or_else(|_| Answer::error(500, "request failed"))
}

/// Lets running writes follow a change of the swarm.
pub(crate) fn swarm_changed(shared: &Arc<Shared>) {
    happened(shared, Event::SwarmChanged { others: others(shared) });
}

fn others(shared: &Shared) -> Vec<Member> {
    let view = shared.view();
    view.others()
        .map(|node| Member { key: node.ed25519, down: shared.peers.is_down(&node.ed25519) })
        .collect()
}

/// Gives up on silent members when their time is over. Never ends.
pub(crate) async fn run_timer(shared: Arc<Shared>) {
    let writes = &shared.writes;
    loop {
        let next = {
            let core = writes.core();
            let next = core.next_wakeup();
            writes.sleeps_for_good.store(next.is_none(), Ordering::Relaxed);
            next
        };
        let wait = next.map(|at| at.since(writes.now())).unwrap_or(Duration::from_secs(3600));
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                let now = writes.now();
                writes.core().tick(now);
                carry_out(&shared);
            }
            () = writes.deadline_changed.notified() => {}
        }
    }
}

fn happened(shared: &Arc<Shared>, event: Event) {
    let (is_awaited, is_change) = match &event {
        Event::Begin { others, .. } => (!others.is_empty(), false),
        Event::SwarmChanged { .. } => (false, true),
        Event::Local { .. } | Event::Answered { .. } => (false, false),
    };
    let wakes_timer = {
        let now = shared.writes.now();
        let mut core = shared.writes.core();
        core.handle(now, event);
        // A write that begins is given up later than those that run, so it concerns only a timer that waits for none. That
        // is noted while the coordinator is held, as here, so the timer cannot fall asleep between.
        is_change || is_awaited && shared.writes.sleeps_for_good.load(Ordering::Relaxed)
    };
    carry_out(shared);
    if wakes_timer {
        shared.writes.deadline_changed.notify_one();
    }
}

fn carry_out(shared: &Arc<Shared>) {
    loop {
        let Some(effect) = shared.writes.core().poll_effect() else { return };
        match effect {
            Effect::Persist(write) => {
                let Some((request, at)) = request_of(shared, write) else { continue };
                let shared = Arc::clone(shared);
                tokio::spawn(Box::pin(async move {
                    let result = local::apply(&shared, &request, at).await;
                    happened(&shared, Event::Local { write, result });
                }));
            }
            Effect::Forward { write, to } => {
                let Some((request, body)) = forwarded_of(shared, write) else { continue };
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let result = peer::forward(&shared, to, &request, &body).await;
                    happened(&shared, Event::Answered { write, member: to, result });
                });
            }
            Effect::Answer { write, local, others } => {
                let Some(waiting) = shared.writes.waiting().remove(&write) else { continue };
                if matches!(local, MemberResult::Done(_)) {
                    let missed = missed(&others);
                    if !missed.is_empty() {
                        let (shared, request) = (Arc::clone(shared), Arc::clone(&waiting.request));
                        let at = waiting.at;
                        tokio::spawn(async move { replication::owe(&shared, &request, at, missed).await });
                    }
                }
                let own = shared.secret.public();
                let mut members: BTreeMap<[u8; 32], MemberResult> =
                    others.into_iter().map(|(key, result)| (*key.as_bytes(), result)).collect();
                members.insert(*own.as_bytes(), local);
                let answer = SwarmAnswer(members).to_answer(&waiting.request, own.as_bytes(), shared.stamp());
                let _ = waiting.answer.send(answer);
            }
            Effect::Refuse(write) => {
                if let Some(waiting) = shared.writes.waiting().remove(&write) {
                    let _ = waiting.answer.send(Answer::error(503, peer::BUSY));
                }
            }
        }
    }
}

/// The members that have not done a write.
pub(crate) fn missed(others: &BTreeMap<Ed25519Public, MemberResult>) -> Vec<Ed25519Public> {
    let failed = others.iter().filter(|(_, result)| matches!(result, MemberResult::Failed(_)));
    failed.map(|(key, _)| *key).collect()
}

fn request_of(shared: &Shared, write: WriteId) -> Option<(Arc<Request>, Timestamp)> {
    shared.writes.waiting().get(&write).map(|waiting| (Arc::clone(&waiting.request), waiting.at))
}

fn forwarded_of(shared: &Shared, write: WriteId) -> Option<(Arc<Request>, Arc<Vec<u8>>)> {
    let mut waiting = shared.writes.waiting();
    let waiting = waiting.get_mut(&write)?;
    let body = waiting.forwarded.get_or_insert_with(|| {
        let forwarded = Forwarded { request: Request::clone(&waiting.request), at: Some(waiting.at) };
        Arc::new(peer::forwarded(&forwarded))
    });
    Some((Arc::clone(&waiting.request), Arc::clone(body)))
}
