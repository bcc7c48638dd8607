//! The one thread that writes: group commit.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;

/// Writes that may wait. At a thousand commits of a hundred writes a second this is a fraction of a second.
const QUEUE: usize = 16_384;
/// Most writes of one commit, so that the first of them does not wait too long.
const MAX_GROUP: usize = 1_024;

/// What the group's end means for one write: told after the commit, or why there was none.
type Outcome = Result<(), StoreError>;

/// A write inside the group's transaction. It gives back who is told of the group's end.
type Write = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Tell> + Send>;
type Tell = Box<dyn FnOnce(Outcome) + Send>;

enum Job {
    /// Executes, and is told after the commit. The second closure is told when it never got to execute.
    Write(Write, Tell),
    /// Reads on the writing connection: for a database in memory, which has no other.
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

/// Sends writes to the thread. The thread ends when this is dropped, after everything that was queued.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, path: PathBuf) -> Self {
        let (jobs, waiting) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("message-store".into())
            .spawn(move || run(&connection, &path, &waiting))
            .expect("a process that starts can start one more thread");
        Self { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Runs `work` in the next group and answers after the group's commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        // Whoever comes first answers: the executed write with its value, or the group's failure.
        let answer = std::sync::Arc::new(std::sync::Mutex::new(Some(answer)));
        let give = {
            let answer = std::sync::Arc::clone(&answer);
            move |result: Result<T, StoreError>| {
                let taken = answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(answer) = taken {
                    let _ = answer.send(result);
                }
            }
        };
        let failed = give.clone();
        let write: Write = Box::new(move |connection| {
            let value = work(connection)?;
            Ok(Box::new(move |outcome| give(outcome.map(|()| value))))
        });
        let unexecuted: Tell = Box::new(move |outcome| {
            if let Err(error) = outcome {
                failed(Err(error));
            }
        });
        self.send(Job::Write(write, unexecuted))?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Failed("the writing thread ended".into())))
    }

    /// Runs `work` on the writing connection and waits for it.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = sync_channel(1);
        self.send(Job::Read(Box::new(move |connection| {
            let _ = answer.send(work(connection));
        })))?;
        match answered.recv() {
            Ok(result) => result.map_err(|e| StoreError::Failed(e.to_string())),
            Err(_) => Err(StoreError::Failed("the writing thread ended".into())),
        }
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        let gone = || StoreError::Failed("the store is closed".into());
        self.jobs.as_ref().ok_or_else(gone)?.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, path: &std::path::Path, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Write(write, unexecuted) => group.push((write, unexecuted)),
                Job::Read(read) => read(connection),
            }
            next = if group.len() < MAX_GROUP { jobs.try_recv().ok() } else { None };
        }
        if !group.is_empty() {
            commit_group(connection, path, group);
        }
    }
}

/// One transaction for all. If any write fails, all are rolled back and told so: a full disk fails everybody alike, and
/// nothing else is expected to fail.
fn commit_group(connection: &Connection, path: &std::path::Path, group: Vec<(Write, Tell)>) {
    let mut executed: Vec<Tell> = Vec::with_capacity(group.len());
    let mut unexecuted: Vec<Tell> = Vec::new();
    let mut result = connection.execute_batch("BEGIN IMMEDIATE");
    for (write, failed) in group {
        if result.is_ok() {
            match write(connection) {
                Ok(tell) => {
                    executed.push(tell);
                    continue;
                }
                Err(error) => result = Err(error),
            }
        }
        unexecuted.push(failed);
    }
    let result = result.and_then(|()| connection.execute_batch("COMMIT"));
    let outcome: Outcome = match &result {
        Ok(()) => Ok(()),
        Err(error) => {
            // Some errors end the transaction by themselves; rolling back what is not there is no harm.
            let _ = connection.execute_batch("ROLLBACK");
            Err(StoreError::of(path, error))
        }
    };
    if let Err(error) = &outcome {
        tracing::warn!(%error, writes = executed.len() + unexecuted.len(), "a group of writes failed");
    }
    for tell in executed.into_iter().chain(unexecuted) {
        tell(outcome.clone());
    }
}
