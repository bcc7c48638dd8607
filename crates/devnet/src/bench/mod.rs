//! What service nodes can do on this machine: `conclave node bench`, and `cargo bench -p conclave-node`.
//!
//! The nodes are processes of the program itself, on loopback, with limits of rate switched off and everything else as shipped.
//! The load comes out of this process, from one thread, over as many connections as it says; nodes and load share the machine,
//! as they would with any load generator. Beside the figures stands what the machine's TLS and disk do bare, measured in the
//! same run: only the ratio to these means something on another machine.

mod bare;
mod delivery;
mod files;
mod fill;
mod load;
mod one_node;
mod outside;
mod requests;
mod swarm;
mod tls;
mod waiters;

use std::path::PathBuf;
use std::time::Duration;

use conclave_node::store::StoreError;
use conclave_transport::https::CertificateError;

use crate::{Devnet, DevnetError};

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `conclave` program.
    pub exe: PathBuf,
    /// Where nodes keep their data meanwhile; a folder of its own on the disk that is to be measured.
    pub data_dir: PathBuf,
    /// How long each load lasts.
    pub duration: Duration,
    /// Messages in the stores that are measured when they are full.
    pub messages: u64,
    /// Clients that wait at one node at once.
    pub waiters: usize,
    /// Bytes of the file that is sent.
    pub file_bytes: u64,
    /// The parts to run.
    pub parts: Vec<Part>,
}

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The machine: TLS and disk.
    Machine,
    /// One node alone, answering clients.
    Node,
    /// Ten nodes: writes that go to five members, onion requests.
    Swarm,
    /// A store with many messages: size, start, catching up.
    Full,
    /// Clients that wait.
    Waiters,
    /// Messages from one client to another.
    Delivery,
    /// A file from one person to another.
    Files,
}

impl Part {
    /// All, in the order in which they run.
    pub const ALL: [Self; 7] =
        [Self::Machine, Self::Node, Self::Swarm, Self::Full, Self::Waiters, Self::Delivery, Self::Files];
}

/// One line of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what: "/s", "ms", "MB", "bytes", …
    pub unit: &'static str,
    /// Half of the answers came within, in milliseconds; and 99 of 100.
    pub latency: Option<(f64, f64)>,
}

impl Figure {
    fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, latency: None }
    }
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The nodes.
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    /// A store that was to be filled.
    #[error("filling a store: {0}")]
    Store(#[from] StoreError),
    /// A file or socket of the measuring side.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate of the bare server.
    #[error("the bare server's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// A node answered something else than it should, so its speed says nothing.
    #[error("{what}: {wrong} of {of} requests were not answered as they should be")]
    Wrong {
        /// What was measured.
        what: String,
        /// So many were not.
        wrong: u64,
        /// Of so many.
        of: u64,
    },
    /// Something did not happen within its time.
    #[error("{0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Failed(error.to_string())
}

/// The nodes of a network, for a measurement; in a folder of their own.
async fn network(settings: &Settings, folder: &str, nodes: usize) -> Result<Devnet, BenchError> {
    Ok(Devnet::start(&settings.data_dir.join(folder), nodes, &settings.exe, None, |_| {}).await?)
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> BenchError {
    move |source| BenchError::Io { doing, source }
}

/// Measures, and tells every figure as soon as it is known.
///
/// # Errors
/// [`BenchError`]; what was told until then holds.
pub async fn run(settings: &Settings, tell: &mut (dyn FnMut(&Figure) + Send)) -> Result<(), BenchError> {
    for part in Part::ALL.into_iter().filter(|part| settings.parts.contains(part)) {
        match part {
            Part::Machine => bare::measure(settings, tell).await?,
            Part::Node => one_node::measure(settings, tell).await?,
            Part::Swarm => swarm::measure(settings, tell).await?,
            Part::Full => fill::measure(settings, tell).await?,
            Part::Waiters => waiters::measure(settings, tell).await?,
            Part::Delivery => delivery::measure(settings, tell).await?,
            Part::Files => files::measure(settings, tell).await?,
        }
    }
    Ok(())
}
