//! The one thread that writes: group commit.
//!
//! It takes everything that waits, executes it in one transaction, commits once, and only then answers each
//! caller. When the transaction fails for a reason that may be one write's alone (no room for it), each is tried again
//! by itself: otherwise a full store could never be swept, since the sweep would always share a group with
//! a write that does not fit.
//!
//! A kind of write is a closure over the connection ([`super::sql`]); the thread knows none of them.
//!
//! [`Writer::inline`] has no thread: for tests that must do the same in every run.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::oneshot;

use super::StoreError;
use super::files::Files;
use super::groups::Groups;

/// Writes that may wait; with the largest messages they hold 150 MiB. Even a disk that commits only ten times a second
/// has worked them off before the swarm's five seconds are over.
const QUEUE: usize = 2_048;
/// Most writes of one commit, so that the first of them does not wait too long.
const MAX_GROUP: usize = 512;

/// A write that waits. It may be executed twice, see above.
trait Write: Send {
    fn execute(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    /// Tells the caller what came of it, after the commit.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

type Queued = Box<dyn Write>;

struct Waiting<T, W> {
    work: W,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: FnMut(&Connection) -> rusqlite::Result<T> + Send> Write for Waiting<T, W> {
    fn execute(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let value = self.value.ok_or_else(|| StoreError::Failed("bug: committed but not executed".into()));
        // A caller who went away does not want to know.
        let _ = self.answer.send(outcome.and(value));
    }
}

/// Sends writes to the thread. The thread ends when this is dropped, after everything that was queued.
pub(super) struct Writer {
    queue: Option<SyncSender<(Instant, Queued)>>,
    thread: Option<JoinHandle<()>>,
    /// Only the thread takes it, except in [`Writer::with_connection`] and where there is no thread. Closed only while the
    /// disk fails.
    connection: Arc<Mutex<Option<Connection>>>,
    groups: Arc<Groups>,
    /// Set where there is no thread; for what is said about errors.
    inline: Option<PathBuf>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// A database in memory has no `files`.
    pub(super) fn start(connection: Connection, path: PathBuf, files: Option<Files>) -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        let connection = Arc::new(Mutex::new(Some(connection)));
        let groups = Arc::new(Groups::default());
        let of_thread = (Arc::clone(&connection), Arc::clone(&groups));
        let thread = spawn("message-store", move || {
            let (connection, groups) = of_thread;
            run(&connection, &groups, files, &path, &waiting);
        });
        Self { queue: Some(queue), thread: Some(thread), connection, groups, inline: None }
    }

    /// Without a thread: whoever asks does it.
    pub(super) fn inline(connection: Connection, path: PathBuf) -> Self {
        let connection = Arc::new(Mutex::new(Some(connection)));
        Self { queue: None, thread: None, connection, groups: Arc::default(), inline: Some(path) }
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Runs `work` in the next group and answers after the group's commit. `work` may run twice.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Failed("the store is closed".into());
        if let Some(path) = &self.inline {
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = connection.as_mut().ok_or_else(closed)?;
            return in_transaction(connection, |connection| work(connection))
                .map_err(|error| failed(path, &error, 1));
        }
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        let write = Box::new(Waiting { work, value: None, answer });
        queue.try_send((Instant::now(), write)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => closed(),
        })?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on the writing connection, between two groups: for a database in memory, which has no other.
    pub(super) fn with_connection<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.expect("a process that starts can start some more threads")
}

fn run(
    connection: &Mutex<Option<Connection>>,
    groups: &Groups,
    mut files: Option<Files>,
    path: &Path,
    queue: &Receiver<(Instant, Queued)>,
) {
    let mut was_full = false;
    loop {
        let next = queue.try_recv().or_else(|_| {
            was_full = false;
            groups.begin(None);
            queue.recv()
        });
        let Ok((queued_at, first)) = next else { break };
        groups.begin(was_full.then_some(queued_at));
        let mut group = vec![first];
        group.extend(queue.try_iter().take(MAX_GROUP - 1).map(|(_, write)| write));
        was_full = group.len() == MAX_GROUP;
        let (writes, began) = (group.len(), Instant::now());
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match usable(files.as_mut(), &mut connection) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, writes, "writes to the message store are refused until the disk works again");
                answer(group, &Err(error));
                continue;
            }
        };
        match commit(connection, &mut group) {
            Ok(()) => {
                groups.committed(writes, began.elapsed());
                answer(group, &Ok(()));
            }
            Err(error) if group.len() > 1 && may_be_one_write(&error) => {
                for write in group {
                    let mut alone = vec![write];
                    let outcome = commit(connection, &mut alone);
                    answer(alone, &outcome.map_err(|error| failed(path, &error, 1)));
                }
            }
            Err(error) => {
                let outcome = Err(failed(path, &error, group.len()));
                answer(group, &outcome);
            }
        }
        if let Some(files) = &files {
            files.committed(connection);
        }
    }
    if let Some(files) = &mut files {
        files.finish(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn usable<'a>(
    files: Option<&mut Files>,
    connection: &'a mut Option<Connection>,
) -> Result<&'a mut Connection, StoreError> {
    match files {
        Some(files) => files.usable(connection),
        None => connection.as_mut().ok_or_else(|| StoreError::Failed("the store is closed".into())),
    }
}

/// One transaction for all; durable when this returns.
fn commit(connection: &mut Connection, group: &mut [Queued]) -> rusqlite::Result<()> {
    in_transaction(connection, |connection| group.iter_mut().try_for_each(|write| write.execute(connection)))
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // Dropped on an error, it rolls back.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Whether the others of a group could succeed without the one that failed. Not when the disk or the file is broken.
fn may_be_one_write(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseBusy
                | ErrorCode::OutOfMemory
        )
    )
}

fn failed(path: &Path, error: &rusqlite::Error, writes: usize) -> StoreError {
    let error = StoreError::of(path, error);
    tracing::warn!(%error, writes, "writes to the message store failed");
    error
}

fn answer(group: Vec<Queued>, outcome: &Result<(), StoreError>) {
    for write in group {
        write.answer(outcome.clone());
    }
}
