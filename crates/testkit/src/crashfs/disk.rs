//! The model of the disk: what is in the files now, what would be left after a power cut.
//!
//! Invariants: `current` of an inode is `durable` with `pending` applied in order (failed syncs
//! excepted, see [`Fault::SyncFails`]); a handle is only as good as its epoch, which ends with the
//! power; nothing here calls back into SQLite, so the one mutex cannot deadlock.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rusqlite::ffi;

use super::locks::{FileLocks, Holder, SharedMemory};

/// What paths on crash disks begin with, before the disk's number.
pub(super) const PREFIX: &str = "crashdisk-";
/// The unit that a power cut writes or does not write: that of the drives with the smallest one.
const SECTOR: usize = 512;

/// All disks of the process, because SQLite hands over nothing but a path.
static DISKS: Mutex<BTreeMap<u64, Weak<Disk>>> = Mutex::new(BTreeMap::new());
static NEXT_DISK: AtomicU64 = AtomicU64::new(1);

/// SQLite's code for a failure.
pub(super) type Code = c_int;

/// How writes fail after [`super::CrashFs::fail_writes_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space is left: writes fail, syncs and reads work.
    Full,
    /// Writes fail with an IO error.
    WriteFails,
    /// Writes seem to work; syncs fail, and as on Linux the unsynced bytes are then clean in the
    /// cache and no later sync writes them. Every handle that is open then is told once, by its next
    /// sync, whichever handle's sync it was that failed.
    SyncFails,
}

pub(super) struct Disk {
    id: u64,
    state: Mutex<State>,
}

struct State {
    rng: ChaCha8Rng,
    /// Counts power cuts; handles and paths of an earlier life are refused.
    epoch: u64,
    powered: bool,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<(u64, NameChange)>,
    inodes: BTreeMap<u64, Inode>,
    /// Next number for inodes, handles and pending changes; never reused.
    next: u64,
    writes: u64,
    syncs: u64,
    kill_at: Option<u64>,
    fault: Option<(u64, Fault)>,
    /// The file whose next sync fails.
    fail_sync_of: Option<String>,
}

enum NameChange {
    Create(String, u64),
    Delete(String),
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<(u64, Change)>,
    /// Syncs that have failed.
    failed_syncs: u64,
    handles: u32,
    locks: FileLocks,
    shm: SharedMemory,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// What of the unsynced survives one power cut.
enum Survival {
    Nothing,
    /// Changes before this number, and some sectors of the one that has it.
    Prefix(u64),
    /// Each sector with this probability in 256.
    Sectors(u8),
    Everything,
}

/// An open file.
pub(super) struct Handle {
    disk: Arc<Disk>,
    epoch: u64,
    inode: u64,
    holder: Holder,
    /// Failed syncs of the file that this handle has been told of, or that were before it.
    known_failures: u64,
    /// A journal just created: its first sync syncs the directory, as SQLite's own VFS does.
    sync_directory: bool,
    delete_on_close: Option<String>,
}

/// A path as SQLite passes it: disk, life of the process (none before it was made full), file.
pub(super) struct Place {
    disk: Arc<Disk>,
    epoch: Option<u64>,
    file: String,
}

impl Place {
    /// Reads a path; `None` if it names no living disk.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (id, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
        let disk = DISKS.lock().unwrap_or_else(PoisonError::into_inner).get(&id.parse().ok()?)?.upgrade()?;
        let (epoch, file) = match rest.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
            Some((epoch, file)) => (Some(epoch.parse().ok()?), file),
            None => (None, rest),
        };
        Some(Self { disk, epoch, file: file.to_owned() })
    }

    /// The same path bound to this life of the process, so that a connection of an earlier life cannot
    /// delete files under the feet of its successor.
    pub(super) fn full(&self) -> String {
        let epoch = self.epoch.unwrap_or_else(|| self.disk.state().epoch);
        format!("{PREFIX}{}/@{epoch}/{}", self.disk.id, self.file)
    }

    pub(super) fn open(&self, flags: c_int) -> Result<Handle, Code> {
        let mut state = self.state(ffi::SQLITE_CANTOPEN)?;
        let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let journal = flags
            & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL)
            != 0;
        let inode = match state.names.get(&self.file) {
            Some(_) if create && flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0 => return Err(ffi::SQLITE_CANTOPEN),
            Some(inode) => *inode,
            None if create => {
                state.count_write(ffi::SQLITE_CANTOPEN)?;
                state.create(&self.file)
            }
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        let id = state.number();
        let mut known_failures = 0;
        if let Some(inode) = state.inodes.get_mut(&inode) {
            inode.handles += 1;
            known_failures = inode.failed_syncs;
        }
        Ok(Handle {
            disk: Arc::clone(&self.disk),
            epoch: state.epoch,
            inode,
            holder: Holder::new(id),
            known_failures,
            sync_directory: create && journal,
            delete_on_close: (flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0).then(|| self.file.clone()),
        })
    }

    pub(super) fn delete(&self, sync_directory: bool) -> Result<(), Code> {
        let mut state = self.state(ffi::SQLITE_IOERR_DELETE)?;
        if !state.names.contains_key(&self.file) {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        state.count_write(ffi::SQLITE_IOERR_DELETE)?;
        state.delete(&self.file);
        if sync_directory {
            state.sync_names();
        }
        Ok(())
    }

    /// Whether the file exists. Empty files do not count, as in SQLite's own VFS, when only existence
    /// is asked: an empty journal is no journal.
    pub(super) fn exists(&self, nonempty: bool) -> Result<bool, Code> {
        let state = self.state(ffi::SQLITE_IOERR_ACCESS)?;
        let inode = state.names.get(&self.file).and_then(|inode| state.inodes.get(inode));
        Ok(inode.is_some_and(|inode| !nonempty || !inode.current.is_empty()))
    }

    fn state(&self, code: Code) -> Result<MutexGuard<'_, State>, Code> {
        let state = self.disk.state();
        let alive = state.powered && self.epoch.is_none_or(|epoch| epoch == state.epoch);
        if alive { Ok(state) } else { Err(code) }
    }
}

impl Handle {
    /// Fills `out` from `offset`; bytes behind the end stay zero. Tells whether all were there.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) -> Result<bool, Code> {
        self.with(ffi::SQLITE_IOERR_READ, |_, inode| {
            let there = inode.current.get(offset..).unwrap_or_default();
            let there = there.get(..out.len()).unwrap_or(there);
            let (filled, rest) = out.split_at_mut(there.len());
            filled.copy_from_slice(there);
            rest.fill(0);
            Ok(rest.is_empty())
        })
    }

    pub(super) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Code> {
        self.change(Change::Write { offset, bytes: bytes.to_vec() }, ffi::SQLITE_IOERR_WRITE)
    }

    pub(super) fn truncate(&self, length: usize) -> Result<(), Code> {
        self.change(Change::Truncate(length), ffi::SQLITE_IOERR_TRUNCATE)
    }

    pub(super) fn sync(&mut self) -> Result<(), Code> {
        let mut state = self.disk.state();
        state.alive(self.epoch, ffi::SQLITE_IOERR_FSYNC)?;
        state.count_write(ffi::SQLITE_IOERR_FSYNC)?;
        let fails = state.fault_now() == Some(Fault::SyncFails) || state.takes_its_failure(self.inode);
        let inode = state.inodes.get_mut(&self.inode).ok_or(ffi::SQLITE_IOERR_FSYNC)?;
        let pending = std::mem::take(&mut inode.pending);
        if fails {
            inode.failed_syncs += 1;
        } else {
            for (_, change) in &pending {
                change.apply(&mut inode.durable);
            }
        }
        if self.known_failures < inode.failed_syncs {
            self.known_failures = inode.failed_syncs;
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        if self.sync_directory {
            state.sync_names();
        }
        state.syncs += 1;
        drop(state);
        self.sync_directory = false;
        Ok(())
    }

    pub(super) fn size(&self) -> Result<usize, Code> {
        self.with(ffi::SQLITE_IOERR_FSTAT, |_, inode| Ok(inode.current.len()))
    }

    pub(super) fn lock(&mut self, level: c_int) -> Result<(), Code> {
        self.with_holder(ffi::SQLITE_IOERR_LOCK, |inode, holder| inode.locks.lock(holder, level))
    }

    pub(super) fn unlock(&mut self, level: c_int) {
        // A dead process holds no locks, so nothing can fail here.
        let _ = self.with_holder(ffi::SQLITE_OK, |inode, holder| {
            inode.locks.unlock(holder, level);
            Ok(())
        });
    }

    pub(super) fn reserved(&self) -> Result<bool, Code> {
        self.with(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, |_, inode| Ok(inode.locks.reserved()))
    }

    /// The address of a region of the shared memory, stable until [`shm_unmap`](Self::shm_unmap) of
    /// this handle; `None` if it does not exist and must not be made.
    pub(super) fn shm_map(
        &mut self,
        region: usize,
        bytes: usize,
        extend: bool,
    ) -> Result<Option<*mut u8>, Code> {
        self.with_holder(ffi::SQLITE_IOERR_SHMMAP, |inode, holder| {
            Ok(inode.shm.map(holder, region, bytes, extend))
        })
    }

    pub(super) fn shm_lock(&mut self, slots: Range<u32>, flags: c_int) -> Result<(), Code> {
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            let _ = self.with_holder(ffi::SQLITE_OK, |inode, holder| {
                inode.shm.unlock(holder, slots);
                Ok(())
            });
            return Ok(());
        }
        let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
        self.with_holder(ffi::SQLITE_IOERR_SHMLOCK, |inode, holder| inode.shm.lock(holder, slots, exclusive))
    }

    pub(super) fn shm_unmap(&mut self) {
        let _ = self.with_holder(ffi::SQLITE_OK, |inode, holder| {
            inode.shm.unmap(holder);
            Ok(())
        });
        self.holder.forget_regions();
    }

    /// Releases everything the handle holds.
    pub(super) fn close(mut self) {
        self.shm_unmap();
        self.unlock(ffi::SQLITE_LOCK_NONE);
        let mut state = self.disk.state();
        if state.alive(self.epoch, ffi::SQLITE_OK).is_err() {
            return;
        }
        if let Some(file) = &self.delete_on_close {
            state.delete(file);
        }
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.handles -= 1;
        }
        state.drop_unreachable();
    }

    fn change(&self, change: Change, code: Code) -> Result<(), Code> {
        let mut state = self.disk.state();
        state.alive(self.epoch, code)?;
        match state.fault_now() {
            Some(Fault::Full) => return Err(ffi::SQLITE_FULL),
            Some(Fault::WriteFails) => return Err(code),
            Some(Fault::SyncFails) | None => {}
        }
        let number = state.number();
        let inode = state.inodes.get_mut(&self.inode).ok_or(code)?;
        change.apply(&mut inode.current);
        inode.pending.push((number, change));
        // Counted after it is pending, so that a kill here may leave half of it.
        state.count_write(code)
    }

    fn with<T>(
        &self,
        code: Code,
        f: impl FnOnce(&mut u64, &mut Inode) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let mut state = self.disk.state();
        state.alive(self.epoch, code)?;
        let State { inodes, next, .. } = &mut *state;
        f(next, inodes.get_mut(&self.inode).ok_or(code)?)
    }

    fn with_holder<T>(
        &mut self,
        code: Code,
        f: impl FnOnce(&mut Inode, &mut Holder) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let mut state = self.disk.state();
        state.alive(self.epoch, code)?;
        f(state.inodes.get_mut(&self.inode).ok_or(code)?, &mut self.holder)
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let id = NEXT_DISK.fetch_add(1, Ordering::Relaxed);
        let state = State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            epoch: 0,
            powered: true,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            inodes: BTreeMap::new(),
            next: 0,
            writes: 0,
            syncs: 0,
            kill_at: None,
            fault: None,
            fail_sync_of: None,
        };
        let disk = Arc::new(Self { id, state: Mutex::new(state) });
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::downgrade(&disk));
        disk
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn crash(&self) {
        let mut state = self.state();
        if state.powered {
            state.cut_power();
        }
        state.powered = true;
    }

    pub(super) fn kill_at(&self, n: u64) {
        let mut state = self.state();
        state.kill_at = Some(state.writes + n.max(1));
    }

    pub(super) fn is_down(&self) -> bool {
        !self.state().powered
    }

    pub(super) fn fail_after(&self, n: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.writes + n, fault));
    }

    pub(super) fn fail_next_sync_of(&self, file: &str) {
        self.state().fail_sync_of = Some(file.to_owned());
    }

    pub(super) fn will_fail_a_sync(&self) -> bool {
        self.state().fail_sync_of.is_some()
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.fail_sync_of = None;
    }

    pub(super) fn sync_count(&self) -> u64 {
        self.state().syncs
    }

    pub(super) fn write_count(&self) -> u64 {
        self.state().writes
    }

    pub(super) fn content(&self, file: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(file).and_then(|inode| state.inodes.get(inode)).map(|inode| inode.current.clone())
    }

    pub(super) fn plant(&self, file: &str, content: &[u8]) {
        let mut state = self.state();
        let inode = match state.names.get(file) {
            Some(inode) => *inode,
            None => state.create(file),
        };
        if let Some(inode) = state.inodes.get_mut(&inode) {
            inode.pending.clear();
            inode.durable = content.to_vec();
            inode.current = content.to_vec();
        }
        state.sync_names();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl State {
    fn alive(&self, epoch: u64, code: Code) -> Result<(), Code> {
        if self.powered && self.epoch == epoch { Ok(()) } else { Err(code) }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn create(&mut self, file: &str) -> u64 {
        let inode = self.number();
        self.inodes.insert(inode, Inode::default());
        self.names.insert(file.to_owned(), inode);
        let number = self.number();
        self.pending_names.push((number, NameChange::Create(file.to_owned(), inode)));
        inode
    }

    fn delete(&mut self, file: &str) {
        self.names.remove(file);
        let number = self.number();
        self.pending_names.push((number, NameChange::Delete(file.to_owned())));
    }

    fn sync_names(&mut self) {
        for (_, change) in std::mem::take(&mut self.pending_names) {
            change.apply(&mut self.durable_names);
        }
        self.drop_unreachable();
    }

    /// Forgets files that neither a name, now or after a power cut, nor a handle leads to.
    fn drop_unreachable(&mut self) {
        let Self { names, durable_names, pending_names, inodes, .. } = self;
        inodes.retain(|id, inode| {
            inode.handles > 0
                || names.values().chain(durable_names.values()).any(|named| named == id)
                || pending_names.iter().any(|(_, c)| matches!(c, NameChange::Create(_, made) if made == id))
        });
    }

    /// Counts one operation of the disk and lets the armed kill strike.
    fn count_write(&mut self, code: Code) -> Result<(), Code> {
        self.writes += 1;
        if self.kill_at.is_some_and(|at| self.writes >= at) {
            self.cut_power();
            return Err(code);
        }
        Ok(())
    }

    /// Whether this is the file whose next sync fails; if so, the one after it works.
    fn takes_its_failure(&mut self, inode: u64) -> bool {
        let named = self.fail_sync_of.as_ref().and_then(|file| self.names.get(file));
        let is_it = named == Some(&inode);
        if is_it {
            self.fail_sync_of = None;
        }
        is_it
    }

    fn fault_now(&self) -> Option<Fault> {
        self.fault.filter(|(after, _)| self.writes >= *after).map(|(_, fault)| fault)
    }

    fn cut_power(&mut self) {
        let survival = self.survival();
        let mut names = std::mem::take(&mut self.durable_names);
        for (number, change) in std::mem::take(&mut self.pending_names) {
            let survives = match survival {
                Survival::Nothing => false,
                Survival::Prefix(cut) => number < cut,
                Survival::Sectors(odds) => self.chance(odds),
                Survival::Everything => true,
            };
            if survives {
                change.apply(&mut names);
            }
        }
        let mut old = std::mem::take(&mut self.inodes);
        let mut fresh = BTreeMap::new();
        for inode in names.values_mut() {
            let left = old.remove(inode).map(|inode| self.survivors(inode, &survival)).unwrap_or_default();
            *inode = self.number();
            fresh.insert(*inode, Inode { durable: left.clone(), current: left, ..Inode::default() });
        }
        self.inodes = fresh;
        self.names.clone_from(&names);
        self.durable_names = names;
        self.epoch += 1;
        self.powered = false;
        self.kill_at = None;
        self.fault = None;
        self.fail_sync_of = None;
    }

    fn survival(&mut self) -> Survival {
        match self.rng.next_u32() % 8 {
            0 | 1 => Survival::Nothing,
            2 | 3 => {
                let oldest = self.inodes.values().filter_map(|inode| inode.pending.first().map(|(n, _)| *n));
                let oldest =
                    oldest.chain(self.pending_names.first().map(|(n, _)| *n)).min().unwrap_or(self.next);
                Survival::Prefix(oldest + self.rng.next_u64() % (self.next - oldest + 1))
            }
            4 => Survival::Everything,
            _ => Survival::Sectors(u8::try_from(16 + self.rng.next_u32() % 224).unwrap_or(128)),
        }
    }

    fn survivors(&mut self, inode: Inode, survival: &Survival) -> Vec<u8> {
        let mut left = inode.durable;
        for (number, change) in inode.pending {
            let odds = match survival {
                Survival::Nothing => 0,
                Survival::Prefix(cut) if number < *cut => u8::MAX,
                Survival::Prefix(cut) if number == *cut => 128,
                Survival::Prefix(_) => 0,
                Survival::Sectors(odds) => *odds,
                Survival::Everything => u8::MAX,
            };
            for piece in change.pieces() {
                if self.chance(odds) {
                    piece.apply(&mut left);
                }
            }
        }
        left
    }

    /// True with probability `odds` in 255.
    fn chance(&mut self, odds: u8) -> bool {
        self.rng.next_u32() % 255 < u32::from(odds)
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create(file, inode) => names.insert(file, inode),
            Self::Delete(file) => names.remove(&file),
        };
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(to) = content.get_mut(*offset..end) {
                    to.copy_from_slice(bytes);
                }
            }
            Self::Truncate(length) => content.resize(*length, 0),
        }
    }

    /// The parts that a power cut separates: sectors of a write.
    fn pieces(self) -> Vec<Self> {
        let Self::Write { mut offset, bytes } = self else { return vec![self] };
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
            pieces.push(Self::Write { offset, bytes: piece.to_vec() });
            offset += piece.len();
            rest = left;
        }
        pieces
    }
}
