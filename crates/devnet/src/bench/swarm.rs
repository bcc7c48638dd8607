//! Ten nodes in two swarms of five, all on this machine: writes that go to five members, requests over three hops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave_onion::request::{Destination, SealedRequest, seal};
use conclave_proto::SnodeRecord;
use conclave_proto::rpc::Request;
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Endpoint, Lane};
use rand_core::OsRng;

use super::load::{Connection, Load, Requests, at_share};
use super::{BenchError, Figure, Settings, failed, io, network, requests, tls};

const NODES: usize = 10;
/// Accounts that are written to, of all swarms.
const ACCOUNTS: u64 = 1_000;
/// Requests of which the median is taken, and those before that warm everything up.
const ONE_BY_ONE: usize = 300;
const WARM_UP: usize = 30;
/// Requests that are sealed before a load begins, and sent again and again.
const SEALED: u64 = 512;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let net = network(settings, "swarm", NODES).await?;
    let nodes: Vec<SnodeRecord> = net.plan().nodes().iter().map(|node| node.record).collect();
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| (node.ip, node.https_port).into()).collect();
    let load = |what: String, targets, connections, requests| Load {
        what,
        targets,
        connections,
        is_fresh: false,
        duration: settings.duration,
        requests,
        // A write is answered with 200 although members have not done it.
        wrong_words: Some("\"failed\""),
    };

    // Every connection writes to accounts of its node's swarm.
    let accounts: Arc<Vec<Vec<_>>> = {
        let all: Vec<_> = (0..ACCOUNTS).map(|number| *requests::account(number).id()).collect();
        let of = |node: &SnodeRecord| {
            let own = |account: &&_| net.plan().directory().swarm_of(account) == Some(node.swarm);
            all.iter().filter(own).copied().collect()
        };
        Arc::new(nodes.iter().map(of).collect())
    };
    for connections in [16, 64] {
        let (accounts, seed) = (Arc::clone(&accounts), crate::now().0 << 20);
        let store: Requests = Arc::new(move |connection, number, into| {
            let own = accounts.get(connection % NODES).map(Vec::as_slice).unwrap_or_default();
            if let Some(account) = own.get(number as usize % own.len().max(1)) {
                requests::rpc(&requests::store(account, seed + number), into);
            }
        });
        let what = format!("durable store at five members, {connections} connections, ten nodes");
        tell(&load(what, addresses.clone(), connections, store).run().await?);
    }

    one_by_one(&nodes, tell).await?;

    let guards: Vec<Vec<Vec<u8>>> = (0..NODES)
        .map(|guard| {
            let one = |_| {
                let mut request = Vec::new();
                requests::http("/onion_req/v2", &three_hops(&nodes, guard)?.body, &mut request);
                Ok(request)
            };
            (0..SEALED / NODES as u64).map(one).collect::<Result<_, BenchError>>()
        })
        .collect::<Result<_, _>>()?;
    let onion: Requests = Arc::new(move |connection, number, into| {
        let own = guards.get(connection % NODES).map(Vec::as_slice).unwrap_or_default();
        if let Some(request) = own.get(number as usize % own.len().max(1)) {
            into.extend_from_slice(request);
        }
    });
    let what = "onion request over three hops, 64 connections, ten nodes".to_owned();
    let requests = load(what, addresses, 64, onion).run().await?;
    tell(&requests);
    tell(&Figure::new("onion layers relayed by all of them", requests.value * 3.0, "/s"));
    net.stop().await;
    Ok(())
}

/// `info` of a fourth node, through three that begin with number `guard`.
fn three_hops(nodes: &[SnodeRecord], guard: usize) -> Result<SealedRequest, BenchError> {
    let mut path = nodes.iter().cycle().skip(guard).copied();
    let hops: Vec<SnodeRecord> = path.by_ref().take(3).collect();
    let node = path.next().ok_or_else(|| BenchError::Failed("there are no nodes".into()))?;
    let body = Request::Info.to_json_body();
    seal(&hops, Destination::Snode { node: &node, body: &body }, &mut OsRng).map_err(failed)
}

/// One request at a time, as a client at rest sees it. Sealing, which is the client's work, is left out.
async fn one_by_one(nodes: &[SnodeRecord], tell: &mut (dyn FnMut(&Figure) + Send)) -> Result<(), BenchError> {
    let guard = nodes.first().ok_or_else(|| BenchError::Failed("there are no nodes".into()))?;
    let https: SocketAddr = (guard.ip, guard.https_port).into();
    let quic: SocketAddr = (guard.ip, guard.quic_port).into();
    let tls = tls::client()?;
    let wrong = |what: &str| BenchError::Wrong { what: what.to_owned(), wrong: 1, of: 1 };
    for (is_quic, is_kept) in [(false, false), (true, false), (false, true), (true, true)] {
        let what = format!(
            "onion request over three hops, one at a time, {} {} connection",
            if is_kept { "kept" } else { "new" },
            if is_quic { "QUIC" } else { "HTTPS" },
        );
        let dialler = Endpoint::client().map_err(io("opening a socket"))?;
        let (mut kept_tls, mut kept_quic) = (None, None);
        let mut took = Vec::new();
        for number in 0..WARM_UP + ONE_BY_ONE {
            let sealed = three_hops(nodes, 0)?;
            let began = Instant::now();
            if is_quic {
                let connection = match kept_quic.take() {
                    Some(connection) => connection,
                    None => dialler.dial(quic, guard.ed25519, Alpn::Client).await.map_err(failed)?,
                };
                let deadline = Deadline::after(PATIENCE);
                let asked = connection.request(Lane::Onion(0), "onion_req", &sealed.body, deadline).await;
                asked.map_err(failed)?;
                kept_quic = is_kept.then_some(connection);
            } else {
                let mut request = Vec::new();
                requests::http("/onion_req/v2", &sealed.body, &mut request);
                let mut connection = match kept_tls.take() {
                    Some(connection) => connection,
                    None => Connection::open(&tls, https, number).await.map_err(io("dialling a guard"))?,
                };
                if connection.ask(&request).await.map_err(io("asking a guard"))? != 200 {
                    return Err(wrong(&what));
                }
                kept_tls = is_kept.then_some(connection);
            }
            if number >= WARM_UP {
                took.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        took.sort_unstable_by(f64::total_cmp);
        let median = at_share(&took, 0.5);
        tell(&Figure { what, value: median, unit: "ms", latency: Some((median, at_share(&took, 0.99))) });
    }
    Ok(())
}
