//! Following the directory while the node runs: when to look for a newer one, what changes with it, and telling others.
//!
//! A node with the operator's file looks at that. One without asks another node every half minute over their connection,
//! and at once one that says it has a newer directory. Whoever takes one over says so to its swarm and to a few others,
//! who do the same: so a directory reaches all nodes in moments, and the polls find those that were missed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_proto::SnodeRecord;
use conclave_proto::network::{DIRECTORY_COMMAND, DirectoryPoll, DirectoryPollAnswer, Freshness};
use conclave_transport::Deadline;
use conclave_transport::quic::Lane;
use tokio::sync::watch;

use crate::node::Shared;
use crate::registry::{NetworkView, pick};
use crate::{monitor, peer, swarm, writes};

/// How often the operator's file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often another node is asked.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// Nodes asked in turn until one answers.
const ASKED_NODES: usize = 3;
/// Nodes outside the swarm that are told of a newer directory. Each of them tells as many: with three, all but one in
/// twenty hear of it that way.
const TOLD_NODES: usize = 3;
/// After hearing of a newer directory that did not come, nobody is listened to for so long.
const DEAF_FOR: Duration = Duration::from_secs(1);

/// Looks again and again for a newer directory. Never ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = if shared.registry.file().is_some() { LOOK_EVERY } else { ASK_EVERY };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heard = shared.registry.heard();
    let mut seen = None;
    let mut said_stale = None;
    // Others may have gone on while this node was away, or may lag behind it.
    announce(&shared, &shared.view());
    loop {
        let from = tokio::select! {
            _ = ticks.tick() => None,
            from = newer_heard(&mut heard), if shared.registry.file().is_none() => Some(from),
        };
        let before = shared.view();
        let taken = match shared.registry.file() {
            Some(path) => {
                let stamp: Option<(SystemTime, u64)> = std::fs::metadata(path)
                    .and_then(|metadata| Ok((metadata.modified()?, metadata.len())))
                    .ok();
                let is_new = stamp.is_some() && stamp != seen;
                seen = stamp.or(seen);
                is_new && look(&shared).await
            }
            None => ask(&shared, from).await,
        };
        if taken {
            changed(&shared, &before);
        } else if from.is_some() {
            tokio::time::sleep(DEAF_FOR).await;
        }
        let view = shared.view();
        let height = view.directory().height;
        if view.directory().freshness(shared.now()) == Freshness::Stale && said_stale != Some(height) {
            said_stale = Some(height);
            tracing::warn!(height, "the directory is past its time; it is used until a newer one comes");
        }
    }
}

async fn newer_heard(heard: &mut watch::Receiver<Option<(Ed25519Public, u64)>>) -> Ed25519Public {
    loop {
        if heard.changed().await.is_err() {
            // The registry is gone, and the node with it.
            std::future::pending::<()>().await;
        }
        if let Some((from, _)) = *heard.borrow_and_update() {
            return from;
        }
    }
}

/// Where directories come from when no node is there to be asked. Whether there was a newer one.
async fn look(shared: &Shared) -> bool {
    shared.registry.refresh().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "there is no newer directory to be had");
        false
    })
}

/// Asks nodes over their connections, `first` before others chosen at random. Whether one had a newer directory.
async fn ask(shared: &Shared, first: Option<Ed25519Public>) -> bool {
    let view = shared.view();
    // Nodes talk to nodes they list. Anybody is answered over HTTPS.
    if view.is_listed() {
        let others: Vec<SnodeRecord> =
            view.directory().nodes().iter().filter(|n| n.ed25519 != view.own().ed25519).copied().collect();
        let first = first.and_then(|key| view.directory().node(&key)).copied();
        for node in first.into_iter().chain(pick(&others, ASKED_NODES)) {
            match poll(shared, &node, view.directory().height).await {
                Some(DirectoryPollAnswer { newer: Some(signed), .. }) => {
                    match shared.registry.take(signed).await {
                        Ok(taken) => return taken,
                        Err(error) => tracing::warn!(%error, "a node gave a directory that is none"),
                    }
                }
                // It has nothing newer, and answers. If it hides something, the next poll asks another.
                Some(_) => return false,
                None => {}
            }
        }
    }
    look(shared).await
}

async fn poll(shared: &Shared, node: &SnodeRecord, height: u64) -> Option<DirectoryPollAnswer> {
    let body = DirectoryPoll { height }.encode();
    let deadline = Deadline::after(swarm::MEMBER_TIMEOUT);
    let answer = peer::ask(shared, node, Lane::Commands, (DIRECTORY_COMMAND, &body), deadline).await.ok()?;
    DirectoryPollAnswer::decode(&answer).ok()
}

/// Answers another node's poll, and takes the hint if it knows more.
pub(crate) fn answer_poll(shared: &Shared, from: Ed25519Public, body: &[u8]) -> Result<Bytes, Bytes> {
    let poll = DirectoryPoll::decode(body).map_err(|error| Bytes::from(error.to_string()))?;
    let view = shared.view();
    let height = view.directory().height;
    shared.registry.hear(from, poll.height);
    let newer = (height > poll.height).then(|| view.signed().clone());
    Ok(DirectoryPollAnswer { height, newer }.encode().into())
}

/// What a newer directory changes.
fn changed(shared: &Arc<Shared>, before: &NetworkView) {
    let view = shared.view();
    if !view.is_listed() {
        tracing::warn!("this node has been removed from the network's directory; it serves no accounts");
    }
    // Whoever has left the list is no peer any more.
    shared.peers.retain(|key| view.directory().node(key).is_some());
    if let Some(endpoint) = shared.endpoint() {
        endpoint.recheck_nodes();
    }
    writes::swarm_changed(shared);
    shared.news.moved(|account| view.is_ours(account), |account| monitor::ended(shared, account));
    peer::greet(shared);
    announce(shared, before);
}

/// Tells others which height this node has: members of its swarm, those who were members until now, and a few more.
fn announce(shared: &Arc<Shared>, before: &NetworkView) {
    let view = shared.view();
    if !view.is_listed() {
        return;
    }
    let members: Vec<SnodeRecord> = view.others().copied().collect();
    let own_swarm = view.own().swarm;
    let outside: Vec<SnodeRecord> =
        view.directory().nodes().iter().filter(|node| node.swarm != own_swarm).copied().collect();
    // Nobody else would tell them: they are in nobody's list any more, but everybody is in theirs.
    let leavers = before.others().filter(|node| view.directory().node(&node.ed25519).is_none()).copied();
    for node in members.into_iter().chain(leavers).chain(pick(&outside, TOLD_NODES)) {
        let (shared, height) = (Arc::clone(shared), view.directory().height);
        tokio::spawn(async move {
            // What it answers may be newer still.
            if let Some(DirectoryPollAnswer { height, .. }) = poll(&shared, &node, height).await {
                shared.registry.hear(node.ed25519, height);
            }
        });
    }
}
