//! A disk in memory that forgets what was not synced, seen by SQLite as a VFS.
//!
//! "Acknowledged means durable" cannot be tested on a real disk: killing a process leaves the page
//! cache behind, so a store that never syncs passes. Here a power cut leaves, of everything written
//! since a file's last successful sync, nothing, a prefix, or an arbitrary set of 512-byte sectors,
//! as the seed decides; a file created or deleted is only surely so after its directory was synced.
//!
//! * `disk` is the model: files, names, locks, shared memory of the write-ahead log, faults. Safe code.
//! * `vfs` is the thin layer that SQLite calls, and the only `unsafe` of the workspace.
//!
//! The model promises what SQLite assumes of a disk by default (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`:
//! a write cut short never harms bytes beside it) and nothing more: no order between unsynced writes,
//! no atomic page.
//!
//! Why not the crate `sqlite-plugin`: it runs bindgen when it is built, which asks every machine for
//! libclang, and it drops the directory-sync flag of `xDelete`, which this model needs.
//!
//! This module knows nothing of any store; [`crate::durability`] drives one over it.

mod disk;
mod locks;
mod vfs;

use std::sync::Arc;

use disk::Disk;
pub use disk::Fault;

/// A disk of its own, with one directory of files. Clones share it. Connections to it are opened
/// with [`vfs_name`](Self::vfs_name) and [`path`](Self::path):
///
/// ```
/// use conclave_testkit::crashfs::CrashFs;
/// let fs = CrashFs::new(7);
/// let flags = rusqlite::OpenFlags::default();
/// let db = rusqlite::Connection::open_with_flags_and_vfs(fs.path("a.db"), flags, fs.vfs_name())?;
/// db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x)")?;
/// fs.crash();
/// assert!(db.execute("INSERT INTO t VALUES (1)", []).is_err(), "the process that had it open is dead");
/// let db = rusqlite::Connection::open_with_flags_and_vfs(fs.path("a.db"), flags, fs.vfs_name())?;
/// db.execute("INSERT INTO t VALUES (1)", [])?;
/// # Ok::<(), rusqlite::Error>(())
/// ```
#[derive(Clone)]
pub struct CrashFs {
    disk: Arc<Disk>,
}

impl CrashFs {
    /// An empty disk. The seed decides what survives each power cut.
    pub fn new(seed: u64) -> Self {
        vfs::register();
        Self { disk: Disk::new(seed) }
    }

    /// The VFS to name when opening: one for all disks, the path tells them apart.
    pub fn vfs_name(&self) -> &'static str {
        vfs::NAME
    }

    /// The path under which SQLite finds `file` on this disk.
    pub fn path(&self, file: &str) -> String {
        format!("{}{}/{file}", disk::PREFIX, self.disk.id())
    }

    /// Cuts the power, unless a [`kill_at_write`](Self::kill_at_write) did so already, and switches it
    /// on again. Connections opened before get IO errors for ever; new ones see what survived. Armed
    /// faults and kills are disarmed.
    pub fn crash(&self) {
        self.disk.crash();
    }

    /// Cuts the power at the `n`-th write, truncation, creation, deletion or sync from now (1 is the
    /// next one). From then on every operation fails, opening included, until [`crash`](Self::crash).
    pub fn kill_at_write(&self, n: u64) {
        self.disk.kill_at(n);
    }

    /// Whether a [`kill_at_write`](Self::kill_at_write) has struck and nobody switched the power on.
    pub fn is_down(&self) -> bool {
        self.disk.is_down()
    }

    /// After `n` more writes, every further one fails with `fault`, until [`heal`](Self::heal).
    pub fn fail_writes_after(&self, n: u64, fault: Fault) {
        self.disk.fail_after(n, fault);
    }

    /// The next sync of `file` fails as with [`Fault::SyncFails`], and the disk is well again. A commit syncs the log only, so
    /// this is how the carrying over of a log is made to fail.
    pub fn fail_next_sync_of(&self, file: &str) {
        self.disk.fail_next_sync_of(file);
    }

    /// Whether a [`fail_next_sync_of`](Self::fail_next_sync_of) has not struck yet.
    pub fn will_fail_a_sync(&self) -> bool {
        self.disk.will_fail_a_sync()
    }

    /// Takes [`fail_writes_after`](Self::fail_writes_after) and [`fail_next_sync_of`](Self::fail_next_sync_of) back.
    pub fn heal(&self) {
        self.disk.heal();
    }

    /// Successful syncs of a file so far.
    pub fn sync_count(&self) -> u64 {
        self.disk.sync_count()
    }

    /// Operations that count for [`kill_at_write`](Self::kill_at_write) so far.
    pub fn write_count(&self) -> u64 {
        self.disk.write_count()
    }

    /// The content of a file as running processes see it; `None` if there is no such file.
    pub fn read_file(&self, file: &str) -> Option<Vec<u8>> {
        self.disk.content(file)
    }

    /// Replaces or creates a file, durably: to plant corruption or an old version's database.
    pub fn write_file(&self, file: &str, content: &[u8]) {
        self.disk.plant(file, content);
    }
}

impl std::fmt::Debug for CrashFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrashFs({})", self.disk.id())
    }
}
