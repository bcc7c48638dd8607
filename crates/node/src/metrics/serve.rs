//! The operator's listener: `GET /metrics` and `GET /health`, on loopback only.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_proto::SwarmId;
use conclave_proto::network::Freshness;
use conclave_transport::Places;
use conclave_transport::http::{Incoming, Method, Options, Reply};
use conclave_transport::quic::PeerState;
use prometheus_client::encoding::text;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Listener, State, Transport};
use crate::config::NodeConfig;
use crate::node::{ADVERTISED_VERSION, Shared};
use crate::store::Stats;

/// How old the counts of the store may be: counting millions of messages takes a second.
const STATS_AGE: Duration = Duration::from_secs(30);
/// Nobody sends this listener anything large, and few ask it.
const MAX_BODY: usize = 4 * 1024;
const MAX_CONNECTIONS: usize = 32;
/// The text format of OpenMetrics 1.0.0, which Prometheus reads.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where the figures come from that nothing else of the node holds.
pub(crate) struct Sources {
    /// Of the HTTPS listener.
    pub(crate) https: Box<dyn Fn() -> Places + Send + Sync>,
    /// As configured.
    max_store_bytes: u64,
    max_chunk_bytes: u64,
    /// The last count of the store, and when it was made.
    counted: tokio::sync::Mutex<Option<(Instant, Stats)>>,
    /// What was counted as refused before, by listener: counters only go up.
    refused: Mutex<[u64; 2]>,
}

impl Sources {
    pub(crate) fn new(https: impl Fn() -> Places + Send + Sync + 'static, config: &NodeConfig) -> Self {
        Self {
            https: Box::new(https),
            max_store_bytes: config.max_store_bytes,
            max_chunk_bytes: config.max_chunk_bytes,
            counted: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

/// What the listener allows.
pub(crate) fn options() -> Options {
    Options {
        max_request_body: MAX_BODY,
        max_connections: MAX_CONNECTIONS,
        max_buffered_bodies: MAX_BODY * MAX_CONNECTIONS,
        ..Options::default()
    }
}

/// Answers the operator.
pub(crate) fn handler(
    shared: &Arc<Shared>,
    sources: Sources,
) -> impl Fn(Incoming) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync + use<> {
    let (shared, sources) = (Arc::clone(shared), Arc::new(sources));
    move |incoming| Box::pin(serve(Arc::clone(&shared), Arc::clone(&sources), incoming))
}

async fn serve(shared: Arc<Shared>, sources: Arc<Sources>, incoming: Incoming) -> Reply {
    match (&incoming.method, incoming.path.as_str()) {
        (&Method::GET, "/metrics") => {
            look(&shared, &sources).await;
            let mut body = String::new();
            match text::encode(&mut body, &shared.metrics.registry) {
                Ok(()) => Reply::new(200, TEXT, body),
                Err(_) => Reply::reason(500),
            }
        }
        (&Method::GET, "/health") => {
            let (ready, health) = health(&shared, &sources).await;
            Reply::json(if ready { 200 } else { 503 }, format!("{health}\n"))
        }
        _ => Reply::reason(404),
    }
}

/// Sets what is only known when one looks.
async fn look(shared: &Shared, sources: &Sources) {
    let gauges = &shared.metrics.gauges;
    let stats = stats(shared, sources).await;
    let view = shared.view();
    gauges.ready.set(i64::from(reasons(shared, sources, stats).is_empty()));
    gauges.store_max_bytes.set(signed(sources.max_store_bytes));
    if let Some(stats) = stats {
        gauges.messages.set(signed(stats.messages));
        gauges.accounts.set(signed(stats.owners));
        gauges.store_bytes.set(signed(stats.bytes));
        gauges.store_free_bytes.set(signed(stats.free_bytes));
    }
    gauges.chunk_max_bytes.set(signed(sources.max_chunk_bytes));
    if let Some(chunks) = &shared.chunks {
        let more = chunks.store.evicted().saturating_sub(gauges.chunk_evictions.get());
        gauges.chunk_evictions.inc_by(more);
        if let Ok(stats) = chunks.store.stats().await {
            gauges.chunks.set(signed(stats.chunks));
            gauges.chunk_bytes.set(signed(stats.bytes));
        }
    }
    let [connected, down, unknown] = peers(shared);
    for (state, count) in [("connected", connected), ("down", down), ("unknown", unknown)] {
        gauges.peers.get_or_create(&State { state }).set(count);
    }
    gauges.held.set(signed(shared.held.count() as u64));
    gauges.swarm_members.set(signed(view.others().count() as u64 + 1));
    gauges.directory_height.set(signed(view.directory().height));
    let quic = shared.endpoint().map(|endpoint| endpoint.places()).unwrap_or_default();
    let mut refused = sources.refused.lock().unwrap_or_else(PoisonError::into_inner);
    for ((transport, places), before) in
        [(Transport::https, (sources.https)()), (Transport::quic, quic)].into_iter().zip(refused.iter_mut())
    {
        let of = Listener { transport };
        gauges.connections.get_or_create(&of).set(signed(places.taken as u64));
        let more = places.refused.saturating_sub(*before);
        gauges.connections_refused.get_or_create(&of).inc_by(more);
        *before += more;
    }
    let (addresses, thousandths) = shared.gate.state();
    gauges.rate_limited_addresses.set(signed(addresses as u64));
    gauges.shed_thousandths.set(signed(thousandths));
}

/// Whether the node is of use, and everything about it.
async fn health(shared: &Shared, sources: &Sources) -> (bool, Value) {
    let stats = stats(shared, sources).await;
    let reasons = reasons(shared, sources, stats);
    let view = shared.view();
    let [connected, down, unknown] = peers(shared);
    let [major, minor, patch] = ADVERTISED_VERSION;
    let mut warnings = Vec::new();
    if view.directory().freshness(shared.now()) == Freshness::Stale {
        warnings.push("the directory is past its time");
    }
    if shared.gate.state().1 > 0 {
        warnings.push("there is more to do than can be done; some requests are refused");
    }
    let health = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "warnings": warnings,
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": format!("{major}.{minor}.{patch}"),
        "swarm": view.own().swarm.to_hex(),
        "directory_height": view.directory().height,
        "peers": {"connected": connected, "down": down, "unknown": unknown},
        "store": stats.map(|stats| json!({
            "messages": stats.messages, "accounts": stats.owners, "bytes": stats.bytes, "free_bytes": stats.free_bytes,
            "max_bytes": sources.max_store_bytes,
        })),
    });
    (reasons.is_empty(), health)
}

/// Why the node is of no use to clients now.
fn reasons(shared: &Shared, sources: &Sources, stats: Option<Stats>) -> Vec<&'static str> {
    // The last pages are too few for a message of the largest size.
    let most = sources.max_store_bytes - sources.max_store_bytes / 256;
    let is_full = |stats: Stats| stats.bytes.saturating_sub(stats.free_bytes) >= most;
    [
        (shared.is_stopping(), "shutting down"),
        (shared.view().own().swarm == SwarmId::NONE, "not in any swarm"),
        (stats.is_none(), "the message store cannot be read"),
        (stats.is_some_and(is_full), "the message store is full"),
    ]
    .into_iter()
    .filter_map(|(holds, reason)| holds.then_some(reason))
    .collect()
}

/// Connected, down, unknown.
fn peers(shared: &Shared) -> [i64; 3] {
    let view = shared.view();
    let mut counts = [0; 3];
    for node in view.directory().nodes().iter().filter(|node| node.ed25519 != view.own().ed25519) {
        let at = match shared.peers.state(&node.ed25519) {
            PeerState::Connected => 0,
            PeerState::Down { .. } => 1,
            PeerState::Unknown => 2,
        };
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }
    counts
}

/// Counted now or a little while ago; `None` if the store cannot be read.
async fn stats(shared: &Shared, sources: &Sources) -> Option<Stats> {
    // Held while counting, so that those who look together count once.
    let mut counted = sources.counted.lock().await;
    if let Some((at, stats)) = *counted
        && at.elapsed() < STATS_AGE
    {
        return Some(stats);
    }
    let store = shared.store.clone();
    let stats = tokio::task::spawn_blocking(move || store.stats()).await.ok()?.ok()?;
    *counted = Some((Instant::now(), stats));
    Some(stats)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
