//! The profile's folders for files: `files`, where encrypted bytes lie, and `downloads`, where content is written to when
//! nobody names another place, which both hold only what belongs to a message; and `staged`, for files on their way into one.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand_core::{OsRng, RngCore as _};

use crate::profile::private_dir;

/// A file that was kept aside and not sent by then is nobody's: what opens it is in the memory of who put it there.
const STAGED_LIVES: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    blobs: PathBuf,
    downloads: PathBuf,
    staged: PathBuf,
}

impl Folder {
    /// Those of the profile in `dir`; they need not exist yet.
    pub(crate) fn of(dir: &Path) -> Self {
        Self { blobs: dir.join("files"), downloads: dir.join("downloads"), staged: dir.join("staged") }
    }

    /// Where encrypted bytes of this name lie. Names are made here and come out of the database only.
    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        self.blobs.join(name)
    }

    /// Where content goes that has no other place.
    pub(crate) fn downloads(&self) -> &Path {
        &self.downloads
    }

    /// Where a file of this name lies that was kept aside.
    pub(super) fn staged(&self, name: &str) -> PathBuf {
        self.staged.join(name)
    }

    /// A new file to be kept aside.
    pub(super) fn create_staged(&self, name: &str) -> io::Result<File> {
        private_dir(&self.staged)?;
        OpenOptions::new().write(true).create_new(true).open(self.staged(name))
    }

    /// A name that is not taken.
    pub(crate) fn new_name() -> String {
        let mut bytes = [0; 16];
        OsRng.fill_bytes(&mut bytes);
        hex::encode(bytes)
    }

    /// A new file for encrypted bytes.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        private_dir(&self.blobs)?;
        OpenOptions::new().read(true).write(true).create_new(true).open(self.blob(name))
    }

    /// A file for encrypted bytes, made if it is not there.
    pub(crate) fn open_to_fill(&self, name: &str) -> io::Result<File> {
        private_dir(&self.blobs)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.blob(name))
    }

    /// Removes what is not named, and what is written in `downloads` and belongs to no message any more.
    pub(crate) fn clear(&self, blobs: &[String], paths: &[String], is_kept: impl Fn(&str) -> bool) {
        let blobs: BTreeSet<&str> = blobs.iter().map(String::as_str).collect();
        let paths: BTreeSet<&Path> = paths.iter().map(Path::new).collect();
        for path in files_in(&self.blobs) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !blobs.contains(name) && !is_kept(name) {
                let _ = std::fs::remove_file(&path);
            }
        }
        for path in files_in(&self.downloads) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !paths.contains(path.as_path()) && !is_kept(name) {
                let _ = std::fs::remove_file(&path);
            }
        }
        for path in files_in(&self.staged) {
            let changed = path.metadata().and_then(|metadata| metadata.modified());
            let age = changed.ok().and_then(|changed| changed.elapsed().ok());
            if age.is_some_and(|age| age > STAGED_LIVES) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

fn files_in(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path())
}
