//! Comparing with the other members, one after the other, and getting what is lacking.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::sync::{AccountKeys, Digests};
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::{OsRng, RngCore as _};
use tokio::time::Instant;

use super::{REST, ask, cutoff, take_in};
use crate::node::Shared;
use crate::store::StoreError;
use crate::swarm::reconcile::{Local, Pull, Step};

/// How often one other member is compared with; each in its turn.
const EVERY: Duration = Duration::from_secs(30);
/// While things have just changed they are compared with at this distance.
const SOON: Duration = Duration::from_secs(1);
/// How long after a start or a new directory.
const AFTER_A_CHANGE: Duration = Duration::from_secs(20);

/// What was stored less long ago is not fetched yet.
const RIPE_AFTER: Duration = Duration::from_secs(3);

/// Compares with the members in turn, in quick succession for a while after something changed. Never ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut views = shared.registry.views();
    let mut quick_until = Instant::now() + AFTER_A_CHANGE;
    let mut turn = 0usize;
    let mut failures = 0u32;
    loop {
        let members: Vec<SnodeRecord> = shared.view().others().copied().collect();
        if let Some(member) = members.get(turn % members.len().max(1)) {
            match compare(&shared, member).await {
                Ok(found) => {
                    failures = 0;
                    if found.new > 0 {
                        tracing::info!(found.new, "messages that were missing came from another member");
                    }
                    if found.unripe {
                        quick_until = quick_until.max(Instant::now() + 2 * RIPE_AFTER);
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::debug!(%error, "a member could not be compared with");
                }
            }
        }
        turn = turn.wrapping_add(1);
        let pause = match failures {
            0 if Instant::now() >= quick_until => EVERY,
            failures => SOON.saturating_mul(1 << failures.min(5)).min(EVERY),
        };
        // Not all members at the same moment.
        let pause = pause + pause.mul_f64(f64::from(OsRng.next_u32()) / f64::from(u32::MAX));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                quick_until = Instant::now() + AFTER_A_CHANGE;
            }
            () = shared.member_is_back.notified() => {
                quick_until = quick_until.max(Instant::now() + 2 * RIPE_AFTER);
            }
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
    loop {
        step = match step {
            Step::Ask { endpoint, body } => {
                let answer = ask(shared, member, endpoint, &body).await.map_err(|e| e.to_string())?;
                // Reading may take its time, and the comparison is handed to the thread that does it, and back.
                let worker = Arc::clone(shared);
                let went_on = tokio::task::spawn_blocking(move || {
                    let next = pull.answered(&answer, &OwnStore { shared: &worker });
                    (pull, next.map_err(|e| e.to_string()))
                });
                let (back, next) = went_on.await.map_err(|e| e.to_string())?;
                pull = back;
                next?
            }
            Step::TakeIn(mut copies) => {
                // A write of this moment is on its way here from its entry node.
                let ripe = shared.now().minus(RIPE_AFTER);
                found.unripe |= copies.messages.iter().any(|copy| copy.stored_at > ripe);
                copies.messages.retain(|copy| copy.stored_at <= ripe);
                found.new += take_in(shared, copies).await.map_err(|e| e.to_string())?;
                tokio::time::sleep(REST).await;
                pull.taken_in()
            }
            Step::Done => return Ok(found),
        };
    }
}

struct OwnStore<'a> {
    shared: &'a Shared,
}

impl Local for OwnStore<'_> {
    type Error = StoreError;

    fn digests(&self, cutoff: Timestamp) -> Result<Digests, StoreError> {
        self.shared.digests.get(&self.shared.store, cutoff).map(|digests| (*digests).clone())
    }

    fn wanted(&self, keys: &AccountKeys) -> Result<AccountKeys, StoreError> {
        if self.shared.view().is_ours(&keys.account) {
            self.shared.store.lacking(keys)
        } else {
            Ok(AccountKeys { account: keys.account, messages: Vec::new(), operations: Vec::new() })
        }
    }
}
