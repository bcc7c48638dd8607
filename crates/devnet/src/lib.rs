//! Whole networks on loopback: for people (`conclave up`), for developers (`conclave devnet`), for tests.
//!
//! A network is prepared once (registry key, node keys, signed directory, network file) and then started as
//! often as wanted: every node a process of its own, all of them stopped when the network is.
//! This crate decides nothing about protocols; it writes configurations and looks after processes.

pub mod bench;
mod files;
mod layout;
mod plan;
mod process;
mod registry;
mod wires;

use std::path::{Path, PathBuf};
use std::time::Duration;

use conclave_proto::Timestamp;
use conclave_proto::network::NetworkFile;

pub use layout::Layout;
pub use plan::{Plan, PlannedNode};
pub use process::NodeProcess;
pub use registry::{Applied, Change, Refused, Registry, RegistryError};
pub use wires::{Weather, Wires};

/// How long a signed directory claims to be current.
pub(crate) const DIRECTORY_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often a running network signs its directory anew.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// What can go wrong with a private network. The hint of [`Self::hint`] is the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// A file or folder could not be used.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done: "writing", "reading", …
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The network in this folder has another size.
    #[error("the network in {dir} has {existing} nodes, not {asked}")]
    OtherSize {
        /// Its folder.
        dir: PathBuf,
        /// Nodes it has.
        existing: usize,
        /// Nodes asked for.
        asked: usize,
    },
    /// Files of the network contradict each other or were changed.
    #[error("the network in {dir} is damaged: {problem}")]
    Damaged {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is no network to act on.
    #[error("there is no network in {dir}")]
    NoNetwork {
        /// Where one was looked for.
        dir: PathBuf,
    },
    /// Another process keeps acting on the registry.
    #[error("another program keeps the lock {path}")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// Another process runs this network.
    #[error("the network in {dir} is already running")]
    Running {
        /// Its folder.
        dir: PathBuf,
    },
    /// A node of an earlier run does not end.
    #[error("node {index} of an earlier run still runs in {dir}")]
    Left {
        /// Which node.
        index: usize,
        /// Its folder.
        dir: PathBuf,
    },
    /// A node process could not be started.
    #[error("node {index} could not be started: {source}")]
    Start {
        /// Which node.
        index: usize,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A node ended before it listened.
    #[error("node {index} ended while starting ({status}); it says why in {log}")]
    Died {
        /// Which node.
        index: usize,
        /// Its exit status.
        status: String,
        /// Its log.
        log: PathBuf,
    },
    /// A node did not say that it listens.
    #[error("node {index} did not start within {seconds} seconds; see {log}")]
    Slow {
        /// Which node.
        index: usize,
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A node process could not be stopped.
    #[error("node {index} could not be stopped: {source}")]
    Stop {
        /// Which node.
        index: usize,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl DevnetError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Io { .. } => "check that the folder exists, is yours, and that the disk is not full".into(),
            Self::OtherSize { existing, .. } => {
                format!("start it with --nodes {existing}, or choose another --data-dir for a new network")
            }
            Self::Damaged { dir, .. } => {
                format!(
                    "restore {} from a backup, or choose another --data-dir for a new network",
                    dir.display()
                )
            }
            Self::NoNetwork { .. } => {
                "name the --data-dir of the `up` or `devnet` whose registry it is".into()
            }
            Self::Busy { .. } => {
                "try again; if it persists, end the program that was stopped half way".into()
            }
            Self::Running { .. } => {
                "use it from here, stop the other process, or choose another --data-dir".into()
            }
            Self::Left { dir, .. } => {
                format!(
                    "end the process `conclave node run --config {}/node.toml`, then try again",
                    dir.display()
                )
            }
            Self::Start { .. } | Self::Stop { .. } => {
                "try again; if it persists, the machine is out of processes or memory".into()
            }
            Self::Died { log, .. } | Self::Slow { log, .. } => format!("read the end of {}", log.display()),
        }
    }
}

/// What a network reports while it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Keys and configurations are made: the first time only.
    Preparing,
    /// Nodes of an earlier run are still finishing.
    Waiting,
    /// So many of all nodes listen.
    Started {
        /// Nodes that listen.
        ready: usize,
        /// All nodes.
        of: usize,
    },
}

/// A running private network. Dropping it kills the nodes; [`Self::stop`] lets them finish.
#[derive(Debug)]
pub struct Devnet {
    plan: Plan,
    exe: PathBuf,
    processes: Vec<NodeProcess>,
    /// Held as long as the network runs.
    _lock: std::fs::File,
}

impl Devnet {
    /// Prepares the network of `count` nodes in `data_dir` if there is none yet, and starts all nodes as
    /// processes of `exe`, the `conclave` program. Returns when every node listens.
    ///
    /// # Errors
    /// [`DevnetError`]; nodes started until then are stopped.
    pub async fn start(
        data_dir: &Path,
        count: usize,
        exe: &Path,
        seed_http: Option<u16>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Self, DevnetError> {
        let layout = Layout::in_data_dir(data_dir);
        let lock = take_lock(&layout)?;
        if !layout.directory().exists() {
            progress(Progress::Preparing);
        }
        // Before anything is planned: ports that dying nodes still hold would be taken for somebody else's.
        until_free(&layout, count, &mut progress).await?;
        let plan = Plan::prepare(layout, count, seed_http, now())?;
        let mut network = Self { plan, exe: exe.to_owned(), processes: Vec::new(), _lock: lock };
        // All at once: what a node does while starting is mostly waiting for its disk.
        let starts: Vec<_> = network
            .plan
            .nodes()
            .iter()
            .map(|node| {
                let (layout, exe, index) = (network.plan.layout().clone(), network.exe.clone(), node.index);
                tokio::spawn(async move {
                    NodeProcess::start(&exe, index, &layout.node_config(index), &layout.node_log(index)).await
                })
            })
            .collect();
        let of = starts.len();
        let mut failure = None;
        for start in starts {
            match start.await.expect("starting a node does not panic") {
                Ok(process) => network.processes.push(process),
                Err(error) => failure = failure.or(Some(error)),
            }
            progress(Progress::Started { ready: network.processes.len(), of });
        }
        match failure {
            None => Ok(network),
            Some(error) => {
                network.stop().await;
                Err(error)
            }
        }
    }

    /// The network file for clients.
    pub fn network_file(&self) -> &NetworkFile {
        self.plan.network_file()
    }

    /// Where that file is.
    pub fn network_path(&self) -> PathBuf {
        self.plan.layout().network_file()
    }

    /// What was prepared: keys, addresses, swarms.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The running node processes.
    pub fn processes(&mut self) -> &mut [NodeProcess] {
        &mut self.processes
    }

    /// Kills node `index` (counted from 1) as a power cut would.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub async fn kill(&mut self, index: usize) -> Result<(), DevnetError> {
        if let Some(at) = self.processes.iter().position(|process| process.index() == index) {
            self.processes.remove(at).kill().await?;
        }
        Ok(())
    }

    /// Starts node `index` again after it ended.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self, index: usize) -> Result<(), DevnetError> {
        let layout = self.plan.layout();
        let process =
            NodeProcess::start(&self.exe, index, &layout.node_config(index), &layout.node_log(index)).await?;
        self.processes.push(process);
        Ok(())
    }

    /// Runs until a node ends by itself, and says which and how. Keeps the directory current meanwhile.
    pub async fn watch(&mut self) -> (usize, String) {
        let mut renew = tokio::time::interval_at(tokio::time::Instant::now() + RENEW_EVERY, RENEW_EVERY);
        loop {
            let ended = async {
                let waits = self.processes.iter_mut().map(|process| {
                    Box::pin(async move {
                        let status = process.ended().await;
                        (process.index(), status)
                    })
                });
                first(waits.collect()).await
            };
            tokio::select! {
                (index, status) = ended => {
                    self.processes.retain(|process| process.index() != index);
                    return (index, status);
                }
                // The directory that is there stays good for weeks; the next day brings another try.
                _ = renew.tick() => if let Err(error) = renew_directory(self.plan.layout().clone()).await {
                    tracing::error!(%error, "the directory could not be signed anew; check the disk");
                },
            }
        }
    }

    /// Stops all nodes and waits for them. Bounded: a node that does not stop is killed.
    pub async fn stop(self) {
        let stops: Vec<_> = self.processes.into_iter().map(|process| tokio::spawn(process.stop())).collect();
        for stop in stops {
            if let Ok(Err(error)) = stop.await {
                tracing::warn!(%error, "a node was not stopped cleanly");
            }
        }
    }
}

/// Waits until no node of an earlier run is left. One whose parent was killed notices that, finishes its requests and lets
/// go of its folder and its addresses, which takes a moment.
async fn until_free(
    layout: &Layout,
    count: usize,
    progress: &mut impl FnMut(Progress),
) -> Result<(), DevnetError> {
    let started = tokio::time::Instant::now();
    for index in 1..=count {
        let dir = layout.node_dir(index);
        while conclave_node::is_running(&dir) {
            if started.elapsed() > process::STOP_TIMEOUT {
                return Err(DevnetError::Left { index, dir });
            }
            progress(Progress::Waiting);
            // The operating system tells nobody when a lock is given back.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// The first of several futures to be ready; pending for ever if there are none.
async fn first<T, F: Future<Output = T> + Unpin>(mut futures: Vec<F>) -> T {
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(value) = std::pin::Pin::new(future).poll(context) {
                return std::task::Poll::Ready(value);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Signs the list that is there now, which others may have changed since this network was started.
async fn renew_directory(layout: Layout) -> Result<(), DevnetError> {
    let renewing = tokio::task::spawn_blocking(move || Registry::open(&layout)?.renew(now()));
    renewing.await.expect("signing a directory does not panic")
}

fn take_lock(layout: &Layout) -> Result<std::fs::File, DevnetError> {
    let dir = layout.operator_dir();
    files::create_dir(&dir)?;
    let path = layout.lock();
    let io = |source| DevnetError::Io { doing: "locking", path: path.clone(), source };
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(DevnetError::Running { dir }),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

/// The machine's clock: a private network's time is the time of its machine.
fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
