//! Whether the other nodes can be reached, and whether they reach this one (storage-and-onion 5.3).
//!
//! A test is all transports we speak: an HTTPS ping that proves the key by its header, and a ping over QUIC that proves
//! it by the handshake. The results go to whoever decides about membership; the signed directory only keeps them.

mod schedule;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use conclave_crypto::Ed25519Public;
use conclave_proto::{SnodeRecord, SwarmId, Timestamp, base32z};
use conclave_transport::Deadline;
use conclave_transport::https::Target;
use rand_core::OsRng;
use schedule::Schedule;

use crate::node::Shared;
use crate::peer;

/// How long each ping may take. (storage-and-onion 5.3)
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// An operator is warned when no ping of a kind has come for so long. (storage-and-onion 5.3)
const ALARM_AFTER: Duration = Duration::from_secs(2 * 60);
/// And again after this, while it lasts.
const ALARM_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Takes the results of tests: the registry's side. The ledger to come will vote with them.
pub trait PeerReports: Send + Sync {
    /// A node was tested.
    fn report(&self, node: &Ed25519Public, passed: bool, at: Timestamp);
}

/// The last results, for those who look: what a network with a signed directory does with them.
#[derive(Debug, Default)]
pub struct KeptReports(Mutex<BTreeMap<Ed25519Public, (bool, Timestamp)>>);

impl KeptReports {
    /// The last result of each node that was tested, with its time.
    pub fn results(&self) -> BTreeMap<Ed25519Public, (bool, Timestamp)> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Ed25519Public, (bool, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retain(&self, listed: impl Fn(&Ed25519Public) -> bool) {
        self.lock().retain(|node, _| listed(node));
    }
}

impl PeerReports for KeptReports {
    fn report(&self, node: &Ed25519Public, passed: bool, at: Timestamp) {
        let before = self.lock().insert(*node, (passed, at));
        if before.map(|(passed, _)| passed) != Some(passed) {
            if passed {
                tracing::info!(?node, "a node can be reached");
            } else {
                tracing::warn!(?node, "a node cannot be reached");
            }
        }
    }
}

/// The ways on which others test this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// `POST /ping_test/v1`.
    Https,
    /// `snode_ping`.
    Quic,
}

/// When others' tests came.
#[derive(Debug)]
pub(crate) struct Incoming(Mutex<BTreeMap<Way, Seen>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    last: Timestamp,
    warned: Option<Timestamp>,
}

impl Incoming {
    /// Nothing has come yet; the alarm counts from `started`.
    pub(crate) fn since(started: Timestamp) -> Self {
        let seen = Seen { last: started, warned: None };
        Self(Mutex::new([Way::Https, Way::Quic].map(|way| (way, seen)).into()))
    }

    pub(crate) fn came(&self, way: Way, now: Timestamp) {
        self.lock().insert(way, Seen { last: now, warned: None });
    }

    /// The ways of which the operator is to be warned now.
    fn alarms(&self, now: Timestamp) -> Vec<(Way, Duration)> {
        let mut alarms = Vec::new();
        for (way, seen) in self.lock().iter_mut() {
            let silence = now.since(seen.last);
            let is_due = seen.warned.is_none_or(|warned| now.since(warned) >= ALARM_AGAIN);
            if silence >= ALARM_AFTER && is_due {
                seen.warned = Some(now);
                alarms.push((*way, silence));
            }
        }
        alarms
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Way, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tests the other nodes, and looks whether they test this one. Never ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let schedule = Arc::new(Mutex::new(Schedule::default()));
    let mut ticks = tokio::time::interval(schedule::TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let view = shared.view();
        if view.own().swarm == SwarmId::NONE {
            // Who does not serve does not judge.
            continue;
        }
        let now = shared.now();
        let others: Vec<Ed25519Public> = view
            .directory()
            .nodes()
            .iter()
            .map(|node| node.ed25519)
            .filter(|key| *key != view.own().ed25519)
            .collect();
        if !others.is_empty() {
            for (way, silence) in shared.incoming.alarms(now) {
                let minutes = silence.as_secs() / 60;
                tracing::warn!(
                    ?way,
                    minutes,
                    "no other node has reached this one lately; check that its address and ports are open to the network"
                );
            }
        }
        shared.reports.retain(|node| view.directory().node(node).is_some());
        let due = lock(&schedule).tick(now, &others, &mut OsRng);
        for key in due {
            let Some(node) = view.directory().node(&key).copied() else { continue };
            let (shared, schedule) = (Arc::clone(&shared), Arc::clone(&schedule));
            tokio::spawn(async move {
                let passed = test(&shared, &node).await;
                let now = shared.now();
                lock(&schedule).finished(now, key, passed, &mut OsRng);
                shared.reports.report(&key, passed, now);
            });
        }
    }
}

fn lock(schedule: &Mutex<Schedule>) -> MutexGuard<'_, Schedule> {
    schedule.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passed only if every way works.
async fn test(shared: &Shared, node: &SnodeRecord) -> bool {
    let (https, quic) = tokio::join!(over_https(shared, node), over_quic(shared, node));
    if let (false, _) | (_, false) = (https, quic) {
        tracing::debug!(node = ?node.ed25519, https, quic, "a test failed");
    }
    https && quic
}

async fn over_https(shared: &Shared, node: &SnodeRecord) -> bool {
    let mut target = Target::node((node.ip, node.https_port).into());
    target.host = Some(format!("{}.snode", base32z::encode(node.ed25519.as_bytes())));
    let deadline = Deadline::after(PING_TIMEOUT);
    let Ok(response) = shared.https.post(&target, "/ping_test/v1", "", Vec::new(), deadline).await else {
        return false;
    };
    let key = response.headers.get("x-oxen-snode-pubkey").and_then(|value| value.to_str().ok());
    response.status == 200 && key.is_some_and(|key| names(key, &node.ed25519))
}

/// Whether a text is this key, in any of the spellings that programs use.
fn names(text: &str, key: &Ed25519Public) -> bool {
    let bytes = key.as_bytes().as_slice();
    base64::engine::general_purpose::STANDARD.decode(text).is_ok_and(|found| found == bytes)
        || hex::decode(text).is_ok_and(|found| found == bytes)
        || base32z::decode(text).is_some_and(|found| found == bytes)
}

async fn over_quic(shared: &Shared, node: &SnodeRecord) -> bool {
    peer::ping(shared, node, Deadline::after(PING_TIMEOUT)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_warned_of_each_silence_now_and_then() {
        let start = Timestamp(1_000_000);
        let incoming = Incoming::since(start);
        let after = |seconds| start.plus(Duration::from_secs(seconds));
        assert!(incoming.alarms(after(119)).is_empty());
        incoming.came(Way::Quic, after(119));
        assert_eq!(incoming.alarms(after(120)).len(), 1, "HTTPS alone");
        assert!(incoming.alarms(after(121)).is_empty(), "said once");
        assert_eq!(incoming.alarms(after(120 + 600)).len(), 2);
        incoming.came(Way::Https, after(800));
        assert!(incoming.alarms(after(801)).is_empty());
    }

    #[test]
    fn a_key_is_recognised_in_its_three_spellings() {
        let key = conclave_crypto::Ed25519Secret::from_seed(&[7; 32]).public();
        let other = conclave_crypto::Ed25519Secret::from_seed(&[8; 32]).public();
        let base64 = base64::engine::general_purpose::STANDARD.encode(key.as_bytes());
        for text in [key.to_hex(), base64, base32z::encode(key.as_bytes())] {
            assert!(names(&text, &key) && !names(&text, &other), "{text}");
        }
        assert!(!names("", &key));
    }
}
