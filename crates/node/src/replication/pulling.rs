//! Comparing with the other members, one after the other, and getting what is lacking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave_proto::sync::{AccountKeys, Digests};
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::{OsRng, RngCore as _};

use super::{KnownDigests, REST, ask, cutoff, take_in};
use crate::node::Shared;
use crate::registry::NetworkView;
use crate::store::{MessageStore, StoreError};
use crate::swarm::reconcile::{Local, Pull, Step};

/// How often one other member is compared with; each in its turn.
const EVERY: Duration = Duration::from_secs(30);
/// After a change (a start, a new member) all are compared with, at this distance.
const SOON: Duration = Duration::from_secs(1);

/// With whom a node compares next, and when.
#[derive(Debug)]
pub(crate) struct Rota {
    turn: usize,
    /// So many are compared with soon.
    soon: usize,
    failures: u32,
}

impl Rota {
    /// A node that has just started compares with everybody.
    pub(crate) const fn new() -> Self {
        Self { turn: 0, soon: usize::MAX, failures: 0 }
    }

    /// Whose turn it is, if there is anybody.
    pub(crate) fn next<'a>(&mut self, members: &'a [SnodeRecord]) -> Option<&'a SnodeRecord> {
        let next = members.get(self.turn % members.len().max(1));
        self.turn = self.turn.wrapping_add(1);
        self.soon = self.soon.min(members.len()).saturating_sub(1);
        next
    }

    /// A comparison has come to its end, or could not.
    pub(crate) fn compared(&mut self, failed: bool) {
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
    }

    /// The pause before the next one. `random`: not all members at the same moment.
    pub(crate) fn pause(&self, random: u32) -> Duration {
        let pause = match self.failures {
            0 if self.soon == 0 => EVERY,
            failures => SOON.saturating_mul(1 << failures.min(5)).min(EVERY),
        };
        pause + pause.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// The members are others now.
    pub(crate) const fn swarm_changed(&mut self) {
        self.soon = usize::MAX;
    }

    /// One is there again.
    pub(crate) fn member_is_back(&mut self) {
        self.soon = self.soon.max(1);
    }
}

/// Compares with the members, all of them soon after something changed. Never ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut views = shared.registry.views();
    let mut rota = Rota::new();
    loop {
        let members: Vec<SnodeRecord> = shared.view().others().copied().collect();
        if let Some(member) = rota.next(&members) {
            let compared = compare(&shared, member).await;
            rota.compared(compared.is_err());
            match compared {
                Ok(0) => {}
                Ok(new) => tracing::info!(new, "messages that were missing came from another member"),
                Err(error) => tracing::debug!(%error, "a member could not be compared with"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(rota.pause(OsRng.next_u32())) => {}
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                rota.swarm_changed();
            }
            () = shared.member_is_back.notified() => rota.member_is_back(),
        }
    }
}

/// One comparison. Gives how many messages came that were not here.
pub(super) async fn compare(shared: &Arc<Shared>, member: &SnodeRecord) -> Result<usize, String> {
    let (mut pull, mut step) = Pull::begin(cutoff(shared.now()));
    let mut new = 0;
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
            Step::TakeIn(copies) => {
                new += take_in(shared, copies).await.map_err(|e| e.to_string())?.new;
                tokio::time::sleep(REST).await;
                pull.taken_in()
            }
            Step::Done => return Ok(new),
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
