//! The connections to a database on disk, and what happens to them when the disk fails.
//!
//! SQLite counts the pages of the log that it has carried over into the database, and copies none of them again. What is
//! carried over beside commits is counted at once and synced only with the end of the log. When that sync fails, Linux
//! holds the pages for written and never writes them again, and so does SQLite: the next sync works, the log begins anew, and
//! the database lacks, after the next power cut, what was acknowledged. So after a failure in carrying over no count is
//! believed. All connections are closed, the whole log is read and carried over again by one that has the database to
//! itself, and only when that has been synced does anybody write. Until then writes are refused, and reading goes on.
//!
//! The log can be relied on: nothing was acknowledged before its part of the log was synced. Only a commit that failed may
//! have left pages behind the end that look like a commit and are not on the disk; writing a small one over them comes first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::checkpoint::Checkpoints;
use super::readers::{Paused, Readers};
use super::{Options, StoreError, schema};

/// Belongs to the writing thread, as the writing connection does.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    options: Options,
    readers: Arc<Readers>,
    /// `None` if the disk has failed and nothing has helped yet.
    checkpoints: Option<Checkpoints>,
}

impl Files {
    /// For a database that `writing` has opened.
    pub(super) fn new(path: &Path, options: Options, writing: &Connection) -> rusqlite::Result<Self> {
        let readers = Arc::new(Readers::new(path, options.clone()));
        let mut files = Self { path: path.to_owned(), options, readers, checkpoints: None };
        files.start_checkpoints(writing)?;
        Ok(files)
    }

    pub(super) fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    /// After every commit, between two groups.
    pub(super) fn committed(&self, writing: &Connection) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.committed(writing);
        }
    }

    /// The writing connection, when it can be written to; after a failure of the disk everything is opened again first.
    ///
    /// # Errors
    /// If the disk still fails, or another program has the database open. `writing` may be closed then.
    pub(super) fn usable<'a>(
        &mut self,
        writing: &'a mut Option<Connection>,
    ) -> Result<&'a mut Connection, StoreError> {
        if self.has_failed() {
            self.begin_anew(writing)?;
            tracing::warn!(path = %self.path.display(), "after a failure of the disk, the log was carried over again");
        }
        writing.as_mut().ok_or_else(|| StoreError::Failed("bug: the database is closed".into()))
    }

    /// Before the connections are closed for good: the last one to be closed carries over what is left of the log, unless
    /// the counts cannot be believed.
    pub(super) fn finish(&mut self, writing: &mut Option<Connection>) {
        // First, since it may fail in the end.
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.end();
        }
        if self.has_failed() {
            drop(close(&self.readers, &mut self.checkpoints, writing));
        }
    }

    fn has_failed(&self) -> bool {
        self.checkpoints.as_ref().is_none_or(Checkpoints::disk_failed)
    }

    fn begin_anew(&mut self, writing: &mut Option<Connection>) -> Result<(), StoreError> {
        let fail = |error: rusqlite::Error| StoreError::of(&self.path, &error);
        if let Some(connection) = writing {
            schema::commit_nothing(connection).map_err(fail)?;
        }
        let nobody_reads = close(&self.readers, &mut self.checkpoints, writing);
        schema::carry_over_alone(&self.path, &self.options).map_err(fail)?;
        let connection = schema::open_for_writing(&self.path, &self.options)
            .map_err(|error| error.unwrap_or_store(&self.path))?;
        drop(nobody_reads);
        let connection = writing.insert(connection);
        self.start_checkpoints(connection).map_err(|error| StoreError::of(&self.path, &error))
    }

    fn start_checkpoints(&mut self, writing: &Connection) -> rusqlite::Result<()> {
        let second = schema::open_for_reading(&self.path, &self.options)?;
        let enough = self.options.checkpoint_pages.unwrap_or(schema::CHECKPOINT_PAGES);
        self.checkpoints = Some(Checkpoints::start(writing, second, enough, &self.path));
        Ok(())
    }
}

/// Closes all connections, the writing one last and without carrying over. Nobody reads until what is returned is dropped.
fn close<'a>(
    readers: &'a Readers,
    checkpoints: &mut Option<Checkpoints>,
    writing: &mut Option<Connection>,
) -> Paused<'a> {
    *checkpoints = None;
    let nobody_reads = readers.pause();
    if let Some(connection) = writing.take() {
        if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "the log may be carried over while the database is closed");
        }
        drop(connection);
    }
    nobody_reads
}
