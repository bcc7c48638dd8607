//! Having a member of the swarm tell when something comes: `conclave_wait` where it is offered, else asking again and again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::SnodeRecord;
use conclave_proto::rpc::answers::RetrieveAnswer;
use conclave_proto::rpc::{Auth, CONCLAVE_WAIT, MAX_WAIT_MS, Request, TimedAuth, Wait, WaitAnswer, signing};
use tokio::time::Instant;

use super::{INTERVAL, MAILBOXES, cursor, drain, pause_after, pause_when_quiet, take_in};
use crate::client::Shared;
use crate::error::Error;
use crate::network::{HeldPath, NetworkError};
use crate::outbox::in_order_of_trust;

/// How long one member is relied on.
const STAY: Duration = Duration::from_secs(5 * 60);

/// The members that are being relied on, so that no two watches rely on the same.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<BTreeSet<Ed25519Public>>);

/// One member that is being relied on, until dropped.
struct Reliance<'a> {
    of: &'a Watched,
    member: SnodeRecord,
}

impl Watched {
    /// The best of these that nobody relies on yet.
    fn choose(&self, members: Vec<SnodeRecord>) -> Option<Reliance<'_>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let member = members.into_iter().find(|member| taken.insert(member.ed25519))?;
        Some(Reliance { of: self, member })
    }
}

impl Drop for Reliance<'_> {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.member.ed25519);
    }
}

/// Relies on one member after the other. Never ends.
pub(super) async fn run(shared: &Arc<Shared>, watched: &Watched, place: usize, places: &[HeldPath; 2]) {
    let [mine, other] = if place == 0 { [&places[0], &places[1]] } else { [&places[1], &places[0]] };
    let account = *shared.account.id();
    let mut failures: u32 = 0;
    // From before each question: what changes during one is not missed.
    let mut ways = shared.ways.subscribe();
    loop {
        ways.borrow_and_update();
        let members = match shared.network.directory().await {
            Ok(directory) => directory
                .swarm_of(&account)
                .map(|swarm| directory.members(swarm).copied().collect::<Vec<_>>())
                .unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        if let Some(reliance) = watched.choose(in_order_of_trust(&shared.network, &members)) {
            let until = Instant::now() + STAY;
            while Instant::now() < until {
                match once(shared, &reliance.member, mine, other).await {
                    Ok(()) => failures = 0,
                    Err(error) => {
                        tracing::debug!(%error, "a member did not tell what is new");
                        failures = failures.saturating_add(1);
                        break;
                    }
                }
            }
        } else {
            // All are relied on, or there are none: the sweep looks after things.
            failures = failures.max(1);
        }
        if failures > 0 {
            tokio::select! {
                () = tokio::time::sleep(pause_after(failures)) => {}
                _ = ways.changed() => {}
            }
        }
    }
}

/// Waits for news from one member once, or asks it and rests a while.
async fn once(
    shared: &Arc<Shared>,
    member: &SnodeRecord,
    mine: &HeldPath,
    other: &HeldPath,
) -> Result<(), Error> {
    let mut ways = shared.ways.subscribe();
    if !shared.network.offers(member, CONCLAVE_WAIT).await? {
        let turn = shared.reading.of(member);
        {
            let _turn = turn.lock().await;
            drain(shared, member, &MAILBOXES).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(pause_when_quiet(shared.quiet())) => {}
            _ = ways.changed() => {}
        }
        return Ok(());
    }
    let mut positions = Vec::new();
    for namespace in MAILBOXES {
        positions.push((namespace, cursor(shared, member, namespace).await?));
    }
    let timestamp = shared.network.now();
    let signed = signing::wait(timestamp, &positions);
    let auth = TimedAuth { auth: Auth::by_account(shared.account.ed25519(), &signed), timestamp };
    let account = *shared.account.id();
    let wait = Wait { account, positions: positions.clone(), max_ms: MAX_WAIT_MS, auth };
    let request = Request::ConclaveWait(wait);
    let hold = Duration::from_millis(MAX_WAIT_MS);
    let began = Instant::now();
    let reply = tokio::select! {
        reply = shared.network.ask_held(member, &request, hold, mine, other) => reply?,
        // What was asked over the old way is not answered any more.
        _ = ways.changed() => return Ok(()),
    };
    match reply.status {
        200 => {}
        406 | 425 => {
            shared.network.relearn_time().await;
            return Err(NetworkError::Clock { offset_ms: shared.network.clock_offset() }.into());
        }
        status => {
            if status == 421 {
                let _ = shared.network.refresh().await;
            }
            let text = reply.body.as_str().unwrap_or("the body is not text").to_owned();
            return Err(NetworkError::Refused { status, text }.into());
        }
    }
    let answer = WaitAnswer::from_json(&reply.body)
        .ok_or_else(|| NetworkError::Unreadable("no news and no lack of them".to_owned()))?;
    if answer.news.is_empty() && began.elapsed() < INTERVAL {
        // A member that stops, or one that would have us ask without end.
        return Err(NetworkError::Unreadable("it did not wait".to_owned()).into());
    }
    let turn = shared.reading.of(member);
    let _turn = turn.lock().await;
    let mut news: Vec<_> = answer.news.into_iter().collect();
    // Settings before messages.
    news.sort_by_key(|(namespace, _)| MAILBOXES.iter().position(|known| known == namespace));
    let mut more = false;
    for (namespace, page) in news {
        let Some((_, position)) = positions.iter().find(|(asked, _)| *asked == namespace) else { continue };
        // What others read from this member meanwhile is further on; a page from before that would be a step back.
        if cursor(shared, member, namespace).await? == *position {
            more |= page.more;
            take_in(shared, member, namespace, RetrieveAnswer { more: false, ..page }).await?;
        }
    }
    if more {
        drain(shared, member, &MAILBOXES).await?;
    }
    Ok(())
}
