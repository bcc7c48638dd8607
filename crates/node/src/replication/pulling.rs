//! Comparing with the other members, one after the other, and getting what is lacking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave_proto::sync::{AccountKeys, Copies, Digests};
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::{OsRng, RngCore as _};

use super::{KnownDigests, ask, cutoff, rest, take_in};
use crate::node::Shared;
use crate::registry::NetworkView;
use crate::store::{MessageStore, StoreError};
use crate::swarm::reconcile::{Local, Pull, Step};

/// How often one other member is compared with; each in its turn.
const EVERY: Duration = Duration::from_secs(30);
/// While things have just changed they are compared with at this distance.
const SOON: Duration = Duration::from_secs(1);
/// How long after a start or a new directory.
const AFTER_A_CHANGE: Duration = Duration::from_secs(20);

/// What was stored less long ago is not fetched yet.
const RIPE_AFTER: Duration = Duration::from_secs(3);

/// With whom a node compares next, and when.
#[derive(Debug)]
pub(crate) struct Rota {
    turn: usize,
    quick_until: Instant,
    failures: u32,
}

impl Rota {
    /// A node that has just started compares with everybody.
    pub(crate) fn new(now: Instant) -> Self {
        Self { turn: 0, quick_until: now + AFTER_A_CHANGE, failures: 0 }
    }

    /// Whose turn it is, if there is anybody.
    pub(crate) fn next<'a>(&mut self, members: &'a [SnodeRecord]) -> Option<&'a SnodeRecord> {
        let next = members.get(self.turn % members.len().max(1));
        self.turn = self.turn.wrapping_add(1);
        next
    }

    /// A comparison has come to its end, or could not.
    pub(crate) fn compared(&mut self, failed: bool) {
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
    }

    /// The pause before the next one. `random`: not all members at the same moment.
    pub(crate) fn pause(&self, now: Instant, random: u32) -> Duration {
        let pause = match self.failures {
            0 if now >= self.quick_until => EVERY,
            failures => SOON.saturating_mul(1 << failures.min(5)).min(EVERY),
        };
        pause + pause.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// The members are others now.
    pub(crate) fn swarm_changed(&mut self, now: Instant) {
        self.quick_until = now + AFTER_A_CHANGE;
    }

    /// There is something to be learnt soon: a member is there again, or has what was too young to be fetched.
    pub(crate) fn soon(&mut self, now: Instant) {
        self.quick_until = self.quick_until.max(now + 2 * RIPE_AFTER);
    }
}

/// Leaves out what was stored a moment ago: it is on its way here from its entry node. Says whether anything was.
pub(crate) fn leave_unripe(copies: &mut Copies, now: Timestamp) -> bool {
    let (ripe, all) = (now.minus(RIPE_AFTER), copies.messages.len());
    copies.messages.retain(|copy| copy.stored_at <= ripe);
    copies.messages.len() < all
}

/// Compares with the members in turn. Never ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    in_turn(&shared, |shared, member| async move {
        let found = compare(&shared, &member).await.map_err(|error| {
            tracing::debug!(%error, "a member could not be compared with");
            NotCompared
        })?;
        if found.new > 0 {
            tracing::info!(found.new, "messages that were missing came from another member");
        }
        Ok(found.unripe)
    })
    .await;
}

/// A comparison that did not come to its end.
pub(crate) struct NotCompared;

/// Has the members compared with in turn, in quick succession for a while after something changed. `compare` says whether it
/// left something for later. Ends with the node.
pub(crate) async fn in_turn<F>(shared: &Arc<Shared>, compare: impl Fn(Arc<Shared>, SnodeRecord) -> F)
where
    F: Future<Output = Result<bool, NotCompared>>,
{
    let mut views = shared.registry.views();
    let mut rota = Rota::new(Instant::now());
    loop {
        let members: Vec<SnodeRecord> = shared.view().others().copied().collect();
        if let Some(member) = rota.next(&members) {
            let compared = compare(Arc::clone(shared), *member).await;
            rota.compared(compared.is_err());
            if let Ok(true) = compared {
                rota.soon(Instant::now());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(rota.pause(Instant::now(), OsRng.next_u32())) => {}
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                rota.swarm_changed(Instant::now());
            }
            () = shared.member_is_back.notified() => rota.soon(Instant::now()),
        }
    }
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Messages that were not here.
    new: usize,
    /// Something was left for later.
    unripe: bool,
}

/// One comparison.
pub(super) async fn compare(shared: &Arc<Shared>, member: &SnodeRecord) -> Result<Found, String> {
    let (mut pull, mut step) = Pull::begin(cutoff(shared.now()));
    let mut found = Found::default();
    let mut began = Instant::now();
    loop {
        step = match step {
            Step::Ask { endpoint, body } => {
                let answer = ask(shared, member, endpoint, &body).await.map_err(|e| e.to_string())?;
                // Reading may take its time, and the comparison is handed to the thread that does it, and back.
                let worker = Arc::clone(shared);
                let went_on = tokio::task::spawn_blocking(move || {
                    let own = OwnStore {
                        store: &worker.store,
                        view: &worker.view(),
                        digests: &worker.digests,
                        clock: Instant::now,
                    };
                    let next = pull.answered(&answer, &own);
                    (pull, next.map_err(|e| e.to_string()))
                });
                let (back, next) = went_on.await.map_err(|e| e.to_string())?;
                pull = back;
                next?
            }
            Step::TakeIn(mut copies) => {
                found.unripe |= leave_unripe(&mut copies, shared.now());
                found.new += take_in(shared, copies).await.map_err(|e| e.to_string())?.new;
                rest(began).await;
                began = Instant::now();
                pull.taken_in()
            }
            Step::Done => return Ok(found),
        };
    }
}

/// What a comparison looks at here.
pub(crate) struct OwnStore<'a> {
    pub(crate) store: &'a MessageStore,
    pub(crate) view: &'a NetworkView,
    pub(crate) digests: &'a KnownDigests,
    /// A clock that never goes back.
    pub(crate) clock: fn() -> Instant,
}

impl Local for OwnStore<'_> {
    type Error = StoreError;

    fn digests(&self, cutoff: Timestamp) -> Result<Digests, StoreError> {
        self.digests.at(self.store, cutoff, self.clock).map(|digests| (*digests).clone())
    }

    fn wanted(&self, keys: &AccountKeys) -> Result<AccountKeys, StoreError> {
        if self.view.is_ours(&keys.account) {
            self.store.lacking(keys)
        } else {
            Ok(AccountKeys { account: keys.account, messages: Vec::new(), operations: Vec::new() })
        }
    }
}
