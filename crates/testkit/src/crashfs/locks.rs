//! Locks on a database file and the shared memory of its write-ahead log, all within this process.
//!
//! The rules are SQLite's ("File Locking And Concurrency", "WAL-mode File Format", section 2.3); the
//! caller holds the disk's mutex, so nothing here blocks.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::ffi;

use super::disk::Code;

/// Slots of the shared-memory lock.
const SLOTS: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// A piece of shared memory. Atomics because SQLite writes it through a pointer made from a shared
/// reference; of `u64` for the alignment.
type Region = Arc<[AtomicU64]>;

/// What one open file holds.
pub(super) struct Holder {
    id: u64,
    level: i32,
    shared: u32,
    exclusive: u32,
    regions: Vec<Region>,
}

impl Holder {
    pub(super) fn new(id: u64) -> Self {
        Self { id, level: ffi::SQLITE_LOCK_NONE, shared: 0, exclusive: 0, regions: Vec::new() }
    }

    /// Lets go of memory that SQLite promised not to touch any more.
    pub(super) fn forget_regions(&mut self) {
        self.regions.clear();
    }
}

/// The five-level lock of a database file.
#[derive(Default)]
pub(super) struct FileLocks {
    readers: BTreeSet<u64>,
    reserved: Option<u64>,
    pending: Option<u64>,
}

impl FileLocks {
    pub(super) fn lock(&mut self, holder: &mut Holder, level: i32) -> Result<(), Code> {
        if level <= holder.level {
            return Ok(());
        }
        let others = |lock: Option<u64>| lock.is_some_and(|id| id != holder.id);
        if level == ffi::SQLITE_LOCK_SHARED {
            if others(self.pending) {
                return Err(ffi::SQLITE_BUSY);
            }
            self.readers.insert(holder.id);
        } else {
            if others(self.reserved) || others(self.pending) {
                return Err(ffi::SQLITE_BUSY);
            }
            if level == ffi::SQLITE_LOCK_RESERVED {
                self.reserved = Some(holder.id);
            } else {
                // Pending: readers may finish, no new ones come, so the writer's turn arrives.
                self.pending = Some(holder.id);
                if self.readers.iter().any(|id| *id != holder.id) {
                    holder.level = ffi::SQLITE_LOCK_PENDING;
                    return Err(ffi::SQLITE_BUSY);
                }
            }
        }
        holder.level = level;
        Ok(())
    }

    pub(super) fn unlock(&mut self, holder: &mut Holder, level: i32) {
        if level >= holder.level {
            return;
        }
        for lock in [&mut self.reserved, &mut self.pending] {
            if *lock == Some(holder.id) {
                *lock = None;
            }
        }
        if level == ffi::SQLITE_LOCK_NONE {
            self.readers.remove(&holder.id);
        }
        holder.level = level;
    }

    pub(super) fn reserved(&self) -> bool {
        self.reserved.or(self.pending).is_some()
    }
}

/// The index of a write-ahead log, shared by the connections, with its eight locks.
#[derive(Default)]
pub(super) struct SharedMemory {
    regions: Vec<Region>,
    mapped_by: BTreeSet<u64>,
    readers: [u32; SLOTS],
    writer: [bool; SLOTS],
}

impl SharedMemory {
    pub(super) fn map(
        &mut self,
        holder: &mut Holder,
        region: usize,
        bytes: usize,
        extend: bool,
    ) -> Option<*mut u8> {
        self.mapped_by.insert(holder.id);
        while self.regions.len() <= region {
            if !extend {
                return None;
            }
            self.regions.push((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        let region = self.regions.get(region)?;
        // The holder keeps it alive, whatever happens to the file meanwhile.
        holder.regions.push(Arc::clone(region));
        Some(region.as_ptr().cast::<u8>().cast_mut())
    }

    pub(super) fn lock(
        &mut self,
        holder: &mut Holder,
        slots: Range<u32>,
        exclusive: bool,
    ) -> Result<(), Code> {
        let wanted = mask(&slots);
        if !exclusive && holder.shared & wanted == wanted {
            return Ok(());
        }
        for slot in slots.clone() {
            let mine = u32::from(holder.shared & (1 << slot) != 0);
            let busy = at(&mut self.writer, slot).is_some_and(|writer| *writer)
                || exclusive && at(&mut self.readers, slot).is_some_and(|readers| *readers > mine);
            if busy {
                return Err(ffi::SQLITE_BUSY);
            }
        }
        for slot in slots {
            if exclusive {
                at(&mut self.writer, slot).into_iter().for_each(|writer| *writer = true);
            } else {
                at(&mut self.readers, slot).into_iter().for_each(|readers| *readers += 1);
            }
        }
        *(if exclusive { &mut holder.exclusive } else { &mut holder.shared }) |= wanted;
        Ok(())
    }

    pub(super) fn unlock(&mut self, holder: &mut Holder, slots: Range<u32>) {
        for slot in slots {
            let bit = 1 << slot;
            if holder.exclusive & bit != 0 {
                at(&mut self.writer, slot).into_iter().for_each(|writer| *writer = false);
            }
            if holder.shared & bit != 0 {
                at(&mut self.readers, slot).into_iter().for_each(|readers| *readers -= 1);
            }
            holder.exclusive &= !bit;
            holder.shared &= !bit;
        }
    }

    /// Lets the holder go; the memory goes with its last user.
    pub(super) fn unmap(&mut self, holder: &mut Holder) {
        self.unlock(holder, 0..SLOTS as u32);
        self.mapped_by.remove(&holder.id);
        if self.mapped_by.is_empty() {
            self.regions.clear();
        }
    }
}

fn mask(slots: &Range<u32>) -> u32 {
    slots.clone().fold(0, |mask, slot| mask | 1 << slot)
}

fn at<T>(slots: &mut [T; SLOTS], slot: u32) -> Option<&mut T> {
    slots.get_mut(slot as usize)
}
