//! Clients that wait for news at one node, through onion requests that come over the connections of other nodes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conclave_crypto::{Ed25519Secret, X25519Pair};
use conclave_onion::peel::{Peeled, parse_guard_body, peel_owned};
use conclave_onion::request::{Destination, seal_held};
use conclave_proto::peer::{OnionRelay, decode_relay_reply};
use conclave_proto::rpc::{Auth, Request, TimedAuth, Wait, signing};
use conclave_proto::{Namespace, SnodeRecord, SwarmId};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane};
use rand_core::OsRng;
use tokio::task::JoinSet;

use super::outside::{megabytes, metric, resident, until, with_metrics};
use super::{BenchError, Figure, Settings, failed, io, network, requests};
use crate::Devnet;

/// Requests that wait on one connection.
const PER_CONNECTION: usize = 400;
/// The longest that a node lets wait.
const HOLD: u64 = 20_000;
/// Until the last one is answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Another node of the network, played by this process: it passes on what its clients ask.
struct Relay {
    secret: Ed25519Secret,
    record: SnodeRecord,
}

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let net = network(settings, "waiters", 1).await?;
    let layout = net.plan().layout().clone();
    net.stop().await;
    let relays: Vec<Relay> = (0..settings.waiters.div_ceil(PER_CONNECTION)).map(relay).collect();
    list(&layout, &relays)?;
    let mut net = network(settings, "waiters", 1).await?;
    net.kill(1).await?;
    let metrics = with_metrics(&layout.node_config(1))?;
    net.restart(1).await?;
    let outcome = wait(settings, &mut net, metrics, relays, tell).await;
    net.stop().await;
    outcome
}

async fn wait(
    settings: &Settings,
    net: &mut Devnet,
    metrics: SocketAddr,
    relays: Vec<Relay>,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let pid = net.processes().first().and_then(|process| process.pid());
    let node = net.plan().nodes().first().map(|node| node.record);
    let node = node.ok_or_else(|| BenchError::Failed("there is no node".into()))?;
    let before = pid.and_then(resident).map_or(0, |(now, _)| now);
    let (count, connections) = (settings.waiters, relays.len());

    let layers = prepare(relays, node, count).await?;
    // The sockets stay open as long as their endpoints.
    let (mut endpoints, mut open) = (Vec::new(), Vec::new());
    for (number, (secret, layers)) in layers.into_iter().enumerate() {
        let [high, low] = u16::try_from(number).unwrap_or_default().to_be_bytes();
        let own = SocketAddr::from((Ipv4Addr::new(127, 2, high, low.max(1)), 0));
        let endpoint = Endpoint::dialler_at(own, &secret).or_else(|_| Endpoint::dialler(&secret));
        let endpoint = endpoint.map_err(io("opening a socket"))?;
        let connection = endpoint
            .dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Node)
            .await
            .map_err(failed)?;
        endpoints.push(endpoint);
        open.push((connection, layers));
    }
    let began = Instant::now();
    let (answered, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut asking = JoinSet::new();
    // Clients come to wait over a while, not all in one moment; the last of them well before the first has waited enough.
    let mut pace =
        tokio::time::interval(Duration::from_millis(HOLD) * 7 / 10 / u32::try_from(connections).unwrap_or(1));
    for (connection, layers) in open {
        pace.tick().await;
        for layer in layers {
            let (connection, answered, refused) =
                (connection.clone(), Arc::clone(&answered), Arc::clone(&refused));
            asking.spawn(async move {
                let is_good = ask(&connection, &layer).await;
                if is_good { &answered } else { &refused }.fetch_add(1, Ordering::Relaxed);
            });
        }
    }
    let most = AtomicU64::new(0);
    let all_wait = || async {
        let held = metric(metrics, "conclave_held_requests").await.unwrap_or_default();
        most.fetch_max(held, Ordering::Relaxed).max(held) as usize >= count
    };
    until(Duration::from_millis(HOLD), all_wait).await;
    let most = most.into_inner();
    let took = began.elapsed();
    let memory = pid.and_then(resident);
    while asking.join_next().await.is_some() {}
    let refused = refused.load(Ordering::Relaxed);
    if refused > 0 {
        return Err(BenchError::Wrong { what: "waiting".into(), wrong: refused, of: count as u64 });
    }
    tell(&Figure::new(format!("waiting at once, over {connections} connections"), most as f64, ""));
    tell(&Figure::new("until all of them waited", took.as_secs_f64(), "s"));
    if let Some((now, _)) = memory {
        tell(&Figure::new("resident memory with all of them", megabytes(now), "MB"));
        let each = now.saturating_sub(before) as f64 / most.max(1) as f64;
        tell(&Figure::new("waiting clients per GiB", f64::from(1 << 30) / each, ""));
    }
    drop(endpoints);
    Ok(())
}

fn relay(_: usize) -> Relay {
    let secret = Ed25519Secret::generate(&mut OsRng);
    let ed25519 = secret.public();
    let record = SnodeRecord {
        ed25519,
        x25519: ed25519.to_x25519(),
        ip: Ipv4Addr::LOCALHOST,
        // Nobody listens there.
        https_port: 1,
        quic_port: 1,
        swarm: SwarmId::NONE,
        version: conclave_proto::Version(conclave_node::ADVERTISED_VERSION),
    };
    Relay { secret, record }
}

/// Puts the relays into the network's directory.
fn list(layout: &crate::Layout, relays: &[Relay]) -> Result<(), BenchError> {
    let mut registry = crate::Registry::open(layout)?;
    let mut nodes = registry.directory().map(|directory| directory.nodes().to_vec()).unwrap_or_default();
    nodes.extend(relays.iter().map(|relay| relay.record));
    Ok(registry.sign(nodes, crate::now())?)
}

/// What the relays' clients ask, sealed: everything that costs this process time is done before.
async fn prepare(
    relays: Vec<Relay>,
    node: SnodeRecord,
    count: usize,
) -> Result<Vec<(Ed25519Secret, Vec<Vec<u8>>)>, BenchError> {
    let mut sealing = JoinSet::new();
    for (number, relay) in relays.into_iter().enumerate() {
        let from = number * PER_CONNECTION;
        let clients = from..count.min(from + PER_CONNECTION);
        sealing.spawn_blocking(move || {
            let layers = clients.filter_map(|client| layer(&relay, &node, client as u64)).collect();
            (relay.secret, layers)
        });
    }
    let mut all = Vec::new();
    while let Some(sealed) = sealing.join_next().await {
        all.push(sealed.map_err(failed)?);
    }
    Ok(all)
}

/// A client's request to wait, as its last relay passes it on.
fn layer(relay: &Relay, node: &SnodeRecord, client: u64) -> Option<Vec<u8>> {
    let (account, timestamp) = (requests::account(client), crate::now());
    let positions = vec![(Namespace::DIRECT, None)];
    let auth = Auth::by_account(account.ed25519(), &signing::wait(timestamp, &positions));
    let auth = TimedAuth { auth, timestamp };
    let wait = Request::ConclaveWait(Wait { account: *account.id(), positions, max_ms: HOLD, auth });
    let destination = Destination::Snode { node, body: &wait.to_json_body() };
    let sealed = seal_held(&[relay.record], destination, HOLD, &mut OsRng).ok()?;
    let (outer, hop) = parse_guard_body(&sealed.body).ok()?;
    match peel_owned(&X25519Pair::new(relay.secret.to_x25519()), outer).ok()? {
        Peeled::Relay { layer, .. } => Some(
            OnionRelay {
                data: layer.data,
                enc_type: layer.enc_type.name().to_owned(),
                ephemeral_key: *layer.ephemeral_key.as_bytes(),
                hop_no: hop + 1,
            }
            .encode(),
        ),
        _ => None,
    }
}

async fn ask(connection: &Connection, layer: &[u8]) -> bool {
    let deadline = Deadline::after(PATIENCE);
    let answer = connection.request(Lane::Onion(0), "onion_request", layer, deadline).await;
    answer.is_ok_and(|answer| decode_relay_reply(&answer).is_ok_and(|(code, _)| code == 200))
}
