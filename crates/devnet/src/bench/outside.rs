//! What is seen of a node from outside: its memory, and the figures it shows.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use conclave_node::NodeConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{BenchError, failed, io};

/// How often a node is asked how far it is.
const LOOK: Duration = Duration::from_millis(250);

/// Resident memory in bytes, and the most it ever was. Linux only.
pub(super) fn resident(pid: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()
    };
    Some((kib("VmRSS:")? * 1024, kib("VmHWM:")? * 1024))
}

pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Lets a node show its figures on a free port, from its next start on.
pub(super) fn with_metrics(config: &Path) -> Result<SocketAddr, BenchError> {
    let free = || TcpListener::bind(("127.0.0.1", 0))?.local_addr();
    let address = free().map_err(io("looking for a free port"))?;
    let mut settings = NodeConfig::read(config).map_err(failed)?;
    settings.metrics = Some(address);
    std::fs::write(config, settings.to_toml()).map_err(io("writing a node's settings"))?;
    Ok(address)
}

/// One of the figures that a node shows.
pub(super) async fn metric(address: SocketAddr, name: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).await.ok()?;
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
