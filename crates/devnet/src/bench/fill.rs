//! Stores with many messages: their size, how a node starts with one, and how an empty member catches up.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use conclave_node::store::{MessageStore, Options};
use conclave_node::{DATABASE_FILE, NodeConfig};
use tokio::task::JoinSet;

use super::machine::{megabytes, resident};
use super::one_node::network;
use super::{BenchError, Figure, Settings, io, requests};
use crate::process::NodeProcess;

/// Accounts that the messages belong to.
const ACCOUNTS: u64 = 10_000;
/// Messages that wait for the same commit.
const AT_ONCE: u64 = 512;
/// How long an empty member may take, and how often it is asked how far it is.
const CATCH_UP: Duration = Duration::from_secs(1_800);
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let net = network(settings, "full", 2).await?;
    let layout = net.plan().layout().clone();
    net.stop().await;
    let (dir, count) = (layout.node_dir(1), settings.messages);
    let path = dir.join(DATABASE_FILE);
    let began = Instant::now();
    let store = MessageStore::open(&path, Options::default())?;
    let accounts: Vec<_> = (0..ACCOUNTS).map(|number| *requests::account(number).id()).collect();
    let mut writes: JoinSet<Result<_, conclave_node::store::StoreError>> = JoinSet::new();
    for (number, account) in (0..count).zip(accounts.iter().cycle()) {
        if writes.len() as u64 >= AT_ONCE
            && let Some(written) = writes.join_next().await
        {
            written.map_err(|error| BenchError::Failed(error.to_string()))??;
        }
        let (store, now) = (store.clone(), crate::now());
        let message = requests::stored(account, number, now);
        writes.spawn(async move { store.store(message, now).await.map(|_| ()) });
    }
    while let Some(written) = writes.join_next().await {
        written.map_err(|error| BenchError::Failed(error.to_string()))??;
    }
    tell(&Figure::new(
        format!("filling a store with {count} messages, without a node"),
        count as f64 / began.elapsed().as_secs_f64(),
        "/s",
    ));
    drop(store);
    let size = std::fs::metadata(&path).map_err(io("looking at the store"))?.len();
    tell(&Figure::new(
        format!("on disk per message of 1 KiB, of {count}"),
        size as f64 / count as f64,
        "bytes",
    ));

    let start = |index, config: PathBuf| {
        let log = layout.node_log(index);
        let exe = settings.exe.clone();
        async move { NodeProcess::start(&exe, index, &config, &log).await }
    };
    let began = Instant::now();
    let full = start(1, layout.node_config(1)).await?;
    tell(&Figure::new(
        format!("start with {count} messages, until it answers"),
        began.elapsed().as_secs_f64() * 1e3,
        "ms",
    ));
    let memory = |process: &NodeProcess| process.pid().and_then(resident);
    if let Some((now, _)) = memory(&full) {
        tell(&Figure::new(format!("resident memory with {count} messages"), megabytes(now), "MB"));
    }

    let metrics = with_metrics(&layout.node_config(2))?;
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let empty = start(2, layout.node_config(2)).await?;
    until(CATCH_UP, || async { metric(metrics, "conclave_messages").await.is_some_and(|n| n >= count) })
        .await
        .ok_or_else(|| {
            BenchError::Failed(format!("an empty member did not catch up with {count} messages"))
        })?;
    // The node counts only every half a minute; when it wrote last is known better.
    let path = layout.node_dir(2).join(DATABASE_FILE);
    let log = path.with_extension("sqlite-wal");
    let written = [path, log].iter().filter_map(|path| path.metadata().ok()?.modified().ok()).max();
    let took = written.and_then(|written| written.duration_since(began_at).ok());
    let took = took.unwrap_or_else(|| began.elapsed()).as_secs_f64();
    tell(&Figure::new(format!("an empty member catches up with {count} messages"), took, "s"));
    tell(&Figure::new("messages caught up with", count as f64 / took, "/s"));
    for (what, process) in [("giving", &full), ("catching up", &empty)] {
        if let Some((_, peak)) = memory(process) {
            tell(&Figure::new(format!("resident memory, most, {what}"), megabytes(peak), "MB"));
        }
    }
    empty.stop().await?;
    full.stop().await?;
    Ok(())
}

/// Lets a node show its figures on a free port, from its next start on.
pub(super) fn with_metrics(config: &std::path::Path) -> Result<std::net::SocketAddr, BenchError> {
    let free = || std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr();
    let address = free().map_err(io("looking for a free port"))?;
    let mut settings = NodeConfig::read(config).map_err(|error| BenchError::Failed(error.to_string()))?;
    settings.metrics = Some(address);
    std::fs::write(config, settings.to_toml()).map_err(io("writing a node's settings"))?;
    Ok(address)
}

/// One of the figures that a node shows.
pub(super) async fn metric(address: std::net::SocketAddr, name: &str) -> Option<u64> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok())
        .map(|n| n as u64)
}

/// Waits until something holds; `None` if it did not in time.
pub(super) async fn until<F: Future<Output = bool>>(
    most: Duration,
    mut holds: impl FnMut() -> F,
) -> Option<()> {
    let began = Instant::now();
    while !holds().await {
        if began.elapsed() > most {
            return None;
        }
        // A process that only shows figures tells nobody when they change.
        tokio::time::sleep(LOOK).await;
    }
    Some(())
}
