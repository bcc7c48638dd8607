//! The connections that read: a few, opened when first needed, each used by one caller at a time.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};

use super::{Options, schema};

/// Connections for reading. Reads are a few cached pages each, so more would only be more caches; who finds none free
/// waits for one.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    options: Options,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
    /// Nobody may read.
    paused: bool,
}

/// While this is there, nobody reads and no connection is open.
#[must_use]
pub(super) struct Paused<'a>(&'a Readers);

/// A connection on loan. Returned on every way out, a panic of the borrower included.
struct Loan<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Readers {
    pub(super) fn new(path: &Path, options: Options) -> Self {
        Self { path: path.to_owned(), options, state: Mutex::default(), returned: Condvar::new() }
    }

    /// Runs `work` on one consistent state of the database.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut loan = self.borrow();
        let connection = match loan.connection.take() {
            Some(connection) => connection,
            None => schema::open_for_reading(&self.path, &self.options)?,
        };
        let connection = loan.connection.insert(connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let result = work(&transaction)?;
        transaction.finish()?;
        Ok(result)
    }

    /// Waits until all have been returned, and closes them. Whoever wants to read meanwhile waits.
    pub(super) fn pause(&self) -> Paused<'_> {
        let mut state = self.lock();
        state.paused = true;
        while state.open > state.idle.len() {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle.clear();
        state.open = 0;
        Paused(self)
    }

    fn borrow(&self) -> Loan<'_> {
        let mut state = self.lock();
        loop {
            if !state.paused {
                if let Some(connection) = state.idle.pop() {
                    return Loan { readers: self, connection: Some(connection) };
                }
                if state.open < READERS {
                    state.open += 1;
                    return Loan { readers: self, connection: None };
                }
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.lock();
        match self.connection.take() {
            Some(connection) => state.idle.push(connection),
            // It could not be opened: the next one may try.
            None => state.open -= 1,
        }
        let is_paused = state.paused;
        drop(state);
        if is_paused {
            // Those who want to read may be woken as well; it is the one who pauses that must be.
            self.readers.returned.notify_all();
        } else {
            self.readers.returned.notify_one();
        }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.lock().paused = false;
        self.0.returned.notify_all();
    }
}
