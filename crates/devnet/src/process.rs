//! The node processes of a network: started, watched, stopped.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::DevnetError;

/// How long a node may take until it says that it listens. Generous: ten start at once on two cores.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a node may take to finish its requests and close its database before it is killed.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// One running node.
#[derive(Debug)]
pub struct NodeProcess {
    index: usize,
    child: Child,
    /// Open as long as the node is to run. Kept apart from `child`, which would close it on the first wait.
    stdin: Option<tokio::process::ChildStdin>,
}

impl NodeProcess {
    /// Starts `exe node run --config CONFIG` and waits until it says that it listens.
    ///
    /// Its standard input stays open as long as this value lives; when it closes, the node stops.
    pub(crate) async fn start(
        exe: &Path,
        index: usize,
        config: &Path,
        log: &Path,
    ) -> Result<Self, DevnetError> {
        let starting = |source| DevnetError::Start { index, source };
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(starting)?;
        let mut command = Command::new(exe);
        // Ctrl-C is for whoever runs the network, which then stops the nodes one by one.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command
            .args(["node", "run", "--json", "--stop-with-stdin", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .map_err(starting)?;
        let stdout = child.stdout.take().expect("standard output was asked to be a pipe two lines above");
        let mut lines = BufReader::new(stdout).lines();
        let stdin = child.stdin.take();
        // The first line on standard output is the node's `ready` event.
        let ready = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await;
        match ready {
            Ok(Ok(Some(_))) => Ok(Self { index, child, stdin }),
            Ok(Ok(None) | Err(_)) => {
                let status = child.wait().await.map_err(starting)?;
                Err(DevnetError::Died { index, status: status.to_string(), log: log.to_owned() })
            }
            Err(_) => Err(DevnetError::Slow { index, seconds: START_TIMEOUT.as_secs(), log: log.to_owned() }),
        }
    }

    /// Counted from 1, as in the folder's name.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the process at once, as a power cut would (SIGKILL).
    ///
    /// # Errors
    /// If the operating system refuses.
    pub async fn kill(&mut self) -> Result<(), DevnetError> {
        self.child.kill().await.map_err(|source| DevnetError::Stop { index: self.index, source })
    }

    /// Asks the node to stop and waits for it; kills it when it takes too long.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub async fn stop(mut self) -> Result<(), DevnetError> {
        let stopping = |source| DevnetError::Stop { index: self.index, source };
        drop(self.stdin.take());
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(ended) => ended.map(|_| ()).map_err(stopping),
            Err(_) => {
                tracing::warn!(node = self.index, "did not stop in time, killed");
                self.child.kill().await.map_err(stopping)
            }
        }
    }

    /// Waits until the process ends by itself.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }
}
