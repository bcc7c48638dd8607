//! The files: one for each chunk, in 256 folders by the first byte of the hash.
//!
//! A file gets its name only when its bytes are on the disk, and is promised only when its name is. What a crash leaves
//! behind is therefore either complete or has no promise, and is swept at the next start.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash};

/// Damaged files that are kept for whoever wants to know why.
const MAX_DAMAGED: usize = 16;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    next: AtomicU64,
}

impl Folder {
    /// Makes what is not there and removes what was not finished.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let new = root.join("new");
        if new.exists() {
            std::fs::remove_dir_all(&new)?;
        }
        std::fs::create_dir_all(&new)?;
        std::fs::create_dir_all(root.join("damaged"))?;
        for first in 0..=u8::MAX {
            std::fs::create_dir_all(root.join(hex::encode([first])))?;
        }
        sync_folder(root)?;
        if let Some(parent) = root.parent() {
            sync_folder(parent)?;
        }
        Ok(Self { root: root.to_owned(), next: AtomicU64::new(0) })
    }

    fn folder_of(&self, first: u8) -> PathBuf {
        self.root.join(hex::encode([first]))
    }

    pub(super) fn path(&self, hash: &ChunkHash) -> PathBuf {
        let [first, ..] = hash.0;
        self.folder_of(first).join(hash.to_hex())
    }

    /// Writes bytes to the disk, without their name.
    pub(super) fn stage(&self, data: &[u8]) -> io::Result<Staged> {
        let path = self.root.join("new").join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let staged = Staged { path };
        let mut file = std::fs::File::create(&staged.path)?;
        file.write_all(data)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Gives them their name, which is on the disk after [`Self::sync`].
    pub(super) fn place(&self, staged: &Staged, hash: &ChunkHash) -> io::Result<()> {
        std::fs::rename(&staged.path, self.path(hash))
    }

    /// Brings the names of files whose hashes begin with that byte to the disk.
    pub(super) fn sync(&self, first: u8) -> io::Result<()> {
        sync_folder(&self.folder_of(first))
    }

    /// What is in a chunk's file; `None` if there is none. At most a byte more than a chunk has.
    pub(super) fn read(&self, hash: &ChunkHash) -> io::Result<Option<Vec<u8>>> {
        let file = match std::fs::File::open(self.path(hash)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut data = Vec::new();
        file.take(CHUNK_SIZE as u64 + 1).read_to_end(&mut data)?;
        Ok(Some(data))
    }

    pub(super) fn remove(&self, hash: &ChunkHash) {
        match std::fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the file of a chunk that nobody is promised any more could not be removed");
            }
            _ => {}
        }
    }

    /// Takes a damaged file away from its name. Some are kept, so that somebody may look at them.
    pub(super) fn set_aside(&self, hash: &ChunkHash) {
        let damaged = self.root.join("damaged");
        let kept = std::fs::read_dir(&damaged).map_or(MAX_DAMAGED, Iterator::count);
        let moved =
            kept < MAX_DAMAGED && std::fs::rename(self.path(hash), damaged.join(hash.to_hex())).is_ok();
        if !moved {
            self.remove(hash);
        }
    }

    /// Removes files that `known` does not have, and says which of `known`, by hash and size, have no file of their size.
    pub(super) fn sweep(&self, known: &HashMap<ChunkHash, u64>) -> io::Result<Vec<ChunkHash>> {
        let mut missing = known.clone();
        for first in 0..=u8::MAX {
            for entry in std::fs::read_dir(self.folder_of(first))? {
                let entry = entry?;
                let hash = entry.file_name().to_str().and_then(ChunkHash::from_hex);
                match hash.filter(|hash| known.contains_key(hash) && self.path(hash) == entry.path()) {
                    Some(hash) => {
                        if known.get(&hash) == Some(&entry.metadata()?.len()) {
                            missing.remove(&hash);
                        }
                    }
                    None => std::fs::remove_file(entry.path())?,
                }
            }
        }
        Ok(missing.into_keys().collect())
    }
}

/// Bytes on the disk that have no name yet. Dropped, they are removed, unless they have been given one.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is not there any more if it was given a name.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened, and names are brought to the disk with the files.
    if cfg!(unix) { std::fs::File::open(path)?.sync_all() } else { Ok(()) }
}
