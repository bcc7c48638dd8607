//! The one thread that writes: takes everything that waits, commits once, and only then answers each caller.
//!
//! When a sync fails nothing that was written since the last good one is believed: all of the group is answered as failed,
//! and the database is opened again before the next, which carries the whole log over anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::folder::Folder;
use super::work::{Books, Done, Work};
use super::{ChunkStoreError, Options, Reader};
use crate::chunks::schema;

/// Writes that may wait. They hold no bytes of chunks.
const QUEUE: usize = 1_024;
/// Most writes of one commit.
const MAX_GROUP: usize = 64;

/// Where a process may die, for tests.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chunks) enum Dies {
    /// Files have their names, which have not been synced.
    Named,
    /// The names are on the disk; nothing is committed.
    Synced,
    /// Everything is committed, and nobody has been told.
    Committed,
}

/// Tells the caller what came of its write, after the commit.
type Answer = Box<dyn FnOnce(Result<(), ChunkStoreError>) + Send>;
type Job = Box<dyn FnOnce(&mut Work<'_>) -> Answer + Send>;

#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<SyncSender<Job>>>,
    thread: Option<JoinHandle<()>>,
}

struct Thread {
    connection: Option<Connection>,
    books: Books,
    folder: Arc<Folder>,
    reader: Arc<Reader>,
    max_bytes: u64,
    evicted: Arc<AtomicU64>,
    #[cfg(test)]
    dies: Option<Dies>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        folder: &Arc<Folder>,
        reader: &Arc<Reader>,
        options: &Options,
        evicted: &Arc<AtomicU64>,
    ) -> Result<Self, ChunkStoreError> {
        let books = Books::open(&connection, options.max_bytes)?;
        let thread = Thread {
            connection: Some(connection),
            books,
            folder: Arc::clone(folder),
            reader: Arc::clone(reader),
            max_bytes: options.max_bytes,
            evicted: Arc::clone(evicted),
            #[cfg(test)]
            dies: options.dies,
        };
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("chunks".to_owned())
            .spawn(move || thread.run(&jobs))
            .map_err(|error| ChunkStoreError::Failed(error.to_string()))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Some(thread) })
    }

    /// Does something as a whole. What it gives is durable when it comes.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, ChunkStoreError> + Send + 'static,
    ) -> Result<T, ChunkStoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |whole| {
            let done = whole.whole(work);
            Box::new(move |committed| drop(answer.send(committed.and(done))))
        });
        if !self.queued(job) {
            return Err(ChunkStoreError::Busy);
        }
        answered.await.unwrap_or_else(|_| Err(ChunkStoreError::Failed("the store has ended".into())))
    }

    fn queued(&self, job: Job) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| queue.try_send(job).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.take() {
            // What it has panicked with has been printed.
            let _ = thread.join();
        }
    }
}

impl Thread {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let rest = std::iter::from_fn(|| jobs.try_recv().ok()).take(MAX_GROUP - 1);
            let group: Vec<Job> = std::iter::once(first).chain(rest).collect();
            let mut answers = Vec::new();
            let done = self.group(group, &mut answers);
            #[cfg(test)]
            if self.dies.is_some() {
                return;
            }
            let committed = match done {
                Ok(done) => {
                    done.unpromised.iter().for_each(|hash| self.folder.remove(hash));
                    self.evicted.fetch_add(done.evicted, Ordering::Relaxed);
                    Ok(())
                }
                Err(error) => {
                    tracing::warn!(%error, "chunks could not be written; the list is opened again");
                    self.connection = None;
                    Err(error)
                }
            };
            for answer in answers {
                answer(committed.clone());
            }
        }
    }

    fn group(&mut self, group: Vec<Job>, answers: &mut Vec<Answer>) -> Result<Done, ChunkStoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                // Nobody reads while it is opened, so that the log is read from its beginning.
                let mut reading = self.reader.connection.lock().unwrap_or_else(PoisonError::into_inner);
                *reading = None;
                let connection = schema::open_for_writing(&self.reader.path)?;
                self.books = Books::open(&connection, self.max_bytes)?;
                *reading = Some(schema::open_for_reading(&self.reader.path)?);
                none.insert(connection)
            }
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut work =
            Work { db: &transaction, folder: &self.folder, books: &mut self.books, done: Done::default() };
        for job in group {
            answers.push(job(&mut work));
        }
        let done = work.done;
        #[cfg(test)]
        if self.dies == Some(Dies::Named) {
            return Ok(done);
        }
        for first in &done.named {
            self.folder.sync(*first).map_err(|error| ChunkStoreError::Io {
                path: self.reader.path.clone(),
                problem: error.to_string(),
            })?;
        }
        #[cfg(test)]
        if self.dies == Some(Dies::Synced) {
            return Ok(done);
        }
        transaction.commit()?;
        Ok(done)
    }
}
