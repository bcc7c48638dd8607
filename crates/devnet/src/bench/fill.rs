//! Stores with many messages: their size, how a node starts with one, and how an empty member catches up.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use conclave_node::DATABASE_FILE;
use conclave_node::store::{MessageStore, Options};
use tokio::task::JoinSet;

use super::outside::{megabytes, metric, resident, until, with_metrics};
use super::{BenchError, Figure, Settings, failed, io, network, requests};
use crate::process::NodeProcess;

/// Accounts that the messages belong to.
const ACCOUNTS: u64 = 10_000;
/// Messages that wait for the same commit.
const AT_ONCE: u64 = 512;
/// How long an empty member may take.
const CATCH_UP: Duration = Duration::from_secs(1_800);

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
            written.map_err(failed)??;
        }
        let (store, now) = (store.clone(), crate::now());
        let message = requests::stored(account, number, now);
        writes.spawn(async move { store.store(message, now).await.map(|_| ()) });
    }
    while let Some(written) = writes.join_next().await {
        written.map_err(failed)??;
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
