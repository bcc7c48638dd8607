//! Carrying the log over into the database, beside the thread that writes.
//!
//! SQLite does it within somebody's commit, as soon as the log is long enough; with every write that commit waits for two
//! syncs and some thousand pages, dozens of milliseconds under load. Here a second connection carries pages over while
//! commits go on. What was appended meanwhile is little, and the writing thread carries it over itself between two groups:
//! only when nothing is left does SQLite begin the log anew, so that it stays as short as it is meant to be.
//!
//! What is carried over beside commits is synced with the rest, at the end. When the disk fails here, nothing of it can be
//! relied on any more: see [`super::files`].

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode};

use super::writer::spawn;

/// Rounds of the second connection, each of what came during the one before.
const ROUNDS: usize = 4;
/// What may be left for the writing thread, as a part of the whole log.
const LEFT: u32 = 16;
/// If the second connection does not get on, the writing thread does everything by itself at so many times the length.
const TOO_LONG: u32 = 8;

thread_local! {
    /// Pages of the log after the last commit of this thread.
    static LOG: Cell<u32> = const { Cell::new(0) };
}

/// What both threads know.
#[derive(Debug, Default)]
struct Progress {
    /// Pages of the log.
    log: AtomicU32,
    /// One of the three below.
    stage: AtomicU8,
    /// The disk has failed while something was carried over.
    disk_failed: AtomicBool,
}

/// The log is short.
const SHORT: u8 = 0;
/// The second connection is at work.
const BESIDE: u8 = 1;
/// It has done its part, and the rest is the writing thread's.
const REST: u8 = 2;

/// Belongs to the writing thread. The thread beside ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpoints {
    path: PathBuf,
    /// Pages of the log that are enough.
    enough: u32,
    progress: Arc<Progress>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The second thread's part.
#[derive(Debug)]
struct Beside {
    path: PathBuf,
    enough: u32,
    progress: Arc<Progress>,
    woken: Receiver<()>,
}

#[expect(clippy::unnecessary_wraps, reason = "SQLite lets the hook fail")]
fn count(_: &Wal, pages: std::ffi::c_int) -> rusqlite::Result<()> {
    LOG.set(u32::try_from(pages).unwrap_or(0));
    Ok(())
}

impl Checkpoints {
    /// Takes carrying over away from SQLite for the writing connection, and gives it to `second` on a thread of its own;
    /// `enough` pages of log make it worth while.
    pub(super) fn start(writing: &Connection, second: Connection, enough: u32, path: &Path) -> Self {
        writing.wal_hook(Some(count));
        LOG.set(0);
        let (wake, woken) = sync_channel(1);
        let progress = Arc::new(Progress::default());
        let beside = Beside { path: path.to_owned(), enough, progress: Arc::clone(&progress), woken };
        let thread = spawn("checkpoints", move || beside.run(&second));
        Self { path: path.to_owned(), enough, progress, wake: Some(wake), thread: Some(thread) }
    }

    /// Ends the thread beside, when it has done what it is at.
    pub(super) fn end(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Whether the disk has failed while something was carried over.
    pub(super) fn disk_failed(&self) -> bool {
        self.progress.disk_failed.load(Ordering::Acquire)
    }

    /// After every commit of the thread that writes, between two groups.
    pub(super) fn committed(&self, writing: &Connection) {
        let log = LOG.get();
        self.progress.log.store(log, Ordering::Relaxed);
        if log < self.enough {
            return;
        }
        let stage = self.progress.stage.load(Ordering::Acquire);
        if stage == REST || log >= self.enough.saturating_mul(TOO_LONG) {
            self.progress.carry_over(writing, &self.path);
        }
        match stage {
            SHORT => {
                self.progress.stage.store(BESIDE, Ordering::Release);
                if self.wake.as_ref().is_none_or(|wake| wake.try_send(()).is_err()) {
                    self.progress.stage.store(SHORT, Ordering::Release);
                }
            }
            REST => self.progress.stage.store(SHORT, Ordering::Release),
            _ => {}
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.end();
    }
}

impl Beside {
    /// Until the other end is dropped.
    fn run(self, connection: &Connection) {
        while self.woken.recv().is_ok() {
            for _ in 0..ROUNDS {
                let Some(carried) = self.progress.carry_over(connection, &self.path) else { break };
                let left = self.progress.log.load(Ordering::Relaxed).saturating_sub(carried);
                if left <= self.enough / LEFT {
                    break;
                }
            }
            self.progress.stage.store(REST, Ordering::Release);
        }
    }
}

impl Progress {
    /// Copies what no reader still needs from the log into the database. Gives the pages that have been, from the log's
    /// beginning; `None` if that failed, or the other connection is at it.
    fn carry_over(&self, connection: &Connection, path: &Path) -> Option<u32> {
        match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2)) {
            // Negative where nothing was done.
            Ok(pages) => u32::try_from(pages).ok(),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the log could not be carried over");
                if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                    self.disk_failed.store(true, Ordering::Release);
                }
                None
            }
        }
    }
}
