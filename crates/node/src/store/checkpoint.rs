//! Carrying the log over into the database, beside the thread that writes.
//!
//! SQLite does it within somebody's commit, as soon as the log is long enough; with every write that commit waits for two
//! syncs and some thousand pages, dozens of milliseconds under load. Here a second connection carries pages over while
//! commits go on. What was appended meanwhile is little, and the writing thread carries it over itself between two groups:
//! only when nothing is left does SQLite begin the log anew, so that it stays as short as it is meant to be.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

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
}

/// The log is short.
const SHORT: u8 = 0;
/// The second connection is at work.
const BESIDE: u8 = 1;
/// It has done its part, and the rest is the writing thread's.
const REST: u8 = 2;

/// Belongs to the writing thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Pages of the log that are enough.
    enough: u32,
    progress: Arc<Progress>,
    wake: SyncSender<()>,
}

/// The second thread's part.
#[derive(Debug)]
pub(super) struct Beside {
    enough: u32,
    progress: Arc<Progress>,
    woken: Receiver<()>,
}

/// Takes carrying over away from SQLite for the writing connection, which `enough` pages of log make worth while.
pub(super) fn take_over(writing: &Connection, enough: u32) -> (Checkpoints, Beside) {
    writing.wal_hook(Some(count));
    let (wake, woken) = sync_channel(1);
    let progress = Arc::new(Progress::default());
    let beside = Beside { enough, progress: Arc::clone(&progress), woken };
    (Checkpoints { enough, progress, wake }, beside)
}

#[expect(clippy::unnecessary_wraps, reason = "SQLite lets the hook fail")]
fn count(_: &Wal, pages: std::ffi::c_int) -> rusqlite::Result<()> {
    LOG.set(u32::try_from(pages).unwrap_or(0));
    Ok(())
}

impl Checkpoints {
    /// After every commit of the thread that writes, between two groups.
    pub(super) fn committed(&self, writing: &Connection, path: &Path) {
        let log = LOG.get();
        self.progress.log.store(log, Ordering::Relaxed);
        if log < self.enough {
            return;
        }
        let stage = self.progress.stage.load(Ordering::Acquire);
        if stage == REST || log >= self.enough.saturating_mul(TOO_LONG) {
            carry_over(writing, path);
        }
        match stage {
            SHORT => {
                self.progress.stage.store(BESIDE, Ordering::Release);
                if self.wake.try_send(()).is_err() {
                    self.progress.stage.store(SHORT, Ordering::Release);
                }
            }
            REST => self.progress.stage.store(SHORT, Ordering::Release),
            _ => {}
        }
    }
}

impl Beside {
    /// Until the writing thread ends.
    pub(super) fn run(self, connection: &Connection, path: &Path) {
        while self.woken.recv().is_ok() {
            for _ in 0..ROUNDS {
                let Some(carried) = carry_over(connection, path) else { break };
                let left = self.progress.log.load(Ordering::Relaxed).saturating_sub(carried);
                if left <= self.enough / LEFT {
                    break;
                }
            }
            self.progress.stage.store(REST, Ordering::Release);
        }
    }
}

/// Copies what no reader still needs from the log into the database. Gives the pages that have been, from the log's beginning;
/// `None` if that failed, or the other connection is at it.
fn carry_over(connection: &Connection, path: &Path) -> Option<u32> {
    match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2)) {
        // Negative where nothing was done.
        Ok(pages) => u32::try_from(pages).ok(),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the log could not be carried over");
            None
        }
    }
}
