//! One node alone, answering clients over HTTPS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use conclave_proto::rpc::Request;

use super::load::{Load, Requests};
use super::outside::{megabytes, resident};
use super::{BenchError, Figure, Settings, network, requests};

/// Accounts that are written to.
const ACCOUNTS: u64 = 1_000;
/// Messages that are read at once.
const READ: u64 = 10;
/// Accounts that are read.
const READERS: u64 = 64;

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let mut net = network(settings, "node", 1).await?;
    net.kill(1).await?;
    let began = Instant::now();
    net.restart(1).await?;
    tell(&Figure::new("start, until it answers", began.elapsed().as_secs_f64() * 1e3, "ms"));
    let pid = net.processes().first().and_then(|process| process.pid());
    let memory = || pid.and_then(resident);
    if let Some((now, _)) = memory() {
        tell(&Figure::new("resident memory, idle", megabytes(now), "MB"));
    }
    let target: Vec<SocketAddr> =
        net.plan().nodes().iter().map(|node| (node.record.ip, node.record.https_port).into()).collect();
    let load = |what: &str, connections, is_fresh, requests: &Requests| Load {
        what: if is_fresh { what.to_owned() } else { format!("{what}, {connections} connections") },
        targets: target.clone(),
        connections,
        is_fresh,
        duration: settings.duration,
        requests: Arc::clone(requests),
        wrong_words: None,
    };

    let info: Requests = Arc::new(|_, _, into| requests::rpc(&Request::Info, into));
    for connections in [16, 64, 256] {
        tell(&load("info", connections, false, &info).run().await?);
    }
    tell(&load("info, a new connection per request", 16, true, &info).run().await?);
    if let Some((_, peak)) = memory() {
        tell(&Figure::new("resident memory, most so far", megabytes(peak), "MB"));
    }

    let ids: Vec<_> = (0..ACCOUNTS).map(|number| *requests::account(number).id()).collect();
    let seed = crate::now().0 << 20;
    let store: Requests = Arc::new(move |_, number, into| {
        if let Some(account) = ids.get((number % ACCOUNTS) as usize) {
            requests::rpc(&requests::store(account, seed + number), into);
        }
    });
    for connections in [16, 64, 256] {
        // Other messages each time.
        let (store, run) = (Arc::clone(&store), connections as u64 * 10_000_000);
        let requests: Requests =
            Arc::new(move |connection, number, into| store(connection, run + number, into));
        tell(&load("durable store of 1 KiB", connections, false, &requests).run().await?);
    }
    if let Some((_, peak)) = memory() {
        tell(&Figure::new("resident memory, most so far", megabytes(peak), "MB"));
    }

    let readers: Vec<_> = (ACCOUNTS..ACCOUNTS + READERS).map(requests::account).collect();
    let ids: Vec<_> = readers.iter().map(|reader| *reader.id()).collect();
    let fill: Requests = Arc::new(move |_, number, into| {
        let number = number % (READERS * READ);
        if let Some(account) = ids.get((number / READ) as usize) {
            requests::rpc(&requests::store(account, number), into);
        }
    });
    load("filling", 16, false, &fill).run().await?;
    for connections in [16, 64, 256] {
        let signed: Vec<Vec<u8>> = readers
            .iter()
            .map(|reader| {
                let mut request = Vec::new();
                requests::rpc(&requests::retrieve(reader, READ), &mut request);
                request
            })
            .collect();
        let requests: Requests = Arc::new(move |_, number, into| {
            if let Some(request) = signed.get((number % READERS) as usize) {
                into.extend_from_slice(request);
            }
        });
        tell(&load("signed retrieve of ten messages", connections, false, &requests).run().await?);
    }
    if let Some((now, peak)) = memory() {
        tell(&Figure::new("resident memory, loaded", megabytes(now), "MB"));
        tell(&Figure::new("resident memory, most", megabytes(peak), "MB"));
    }
    net.stop().await;
    Ok(())
}
