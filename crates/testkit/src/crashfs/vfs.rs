//! The layer SQLite calls: pointers in, calls of the safe [`super::disk`] out.
//!
//! Why `unsafe` at all: SQLite takes a VFS as a table of C functions over raw pointers, and there is no
//! other door. What the code below relies on, once for all functions:
//!
//! 1. SQLite calls a method of `sqlite3_io_methods` only on a `sqlite3_file` whose `xOpen` returned OK, from one
//!    thread at a time, and never again after `xClose` (sqlite.org/c3ref/io_methods, /vfs).
//! 2. That memory is `szOsFile` bytes, aligned for any type, and [`File`] begins with `sqlite3_file` (`repr(C)`).
//! 3. Buffers have the length that is passed beside them; names are NUL-terminated.
//! 4. No function here unwinds on any input; should one, `extern "C"` aborts the test process.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, fence};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use super::disk::{Code, Handle, Place};

/// The name under which the VFS is registered.
pub(super) const NAME: &str = "conclave-crashfs";
const NAME_C: &CStr = c"conclave-crashfs";
/// Longest path; SQLite adds its suffixes to it.
const MAX_PATH: usize = 512;

/// What SQLite allocates for an open file.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// From `Box::into_raw` in `x_open`; given back in `x_close`.
    handle: *mut Handle,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 2: shared memory, no memory-mapped reads.
    iVersion: 2,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_unlock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: Some(x_shm_map),
    xShmLock: Some(x_shm_lock),
    xShmBarrier: Some(x_shm_barrier),
    xShmUnmap: Some(x_shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes the VFS known to SQLite, once for the process. It stays registered: SQLite keeps the pointer.
pub(super) fn register() {
    static ONCE: OnceLock<c_int> = OnceLock::new();
    let code = *ONCE.get_or_init(|| {
        // SAFETY: a null name asks for the default VFS; the call initialises SQLite if need be.
        let base = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        // SAFETY: null or a registered VFS, which lives as long as the process. Copied, because sleeping, time
        // and randomness are the system's; SQLite's own VFSs ignore the `sqlite3_vfs` argument of these methods.
        let Some(base) = (unsafe { base.as_ref() }) else { return ffi::SQLITE_ERROR };
        let vfs = Box::leak(Box::new(sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: MAX_PATH as c_int,
            pNext: ptr::null_mut(),
            zName: NAME_C.as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(x_open),
            xDelete: Some(x_delete),
            xAccess: Some(x_access),
            xFullPathname: Some(x_full_pathname),
            xGetLastError: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
            ..*base
        }));
        // SAFETY: leaked, so valid for ever, and not touched by us again.
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) }
    });
    assert_eq!(code, ffi::SQLITE_OK, "SQLite did not accept the crash-simulating VFS");
}

/// The handle behind a file.
///
/// # Safety
/// `file` is an open file of this VFS (point 1 above).
unsafe fn handle<'a>(file: *mut sqlite3_file) -> &'a mut Handle {
    // SAFETY: by points 1 and 2, `file` is our `File`, its handle is live, and no other call uses it now.
    unsafe { &mut *(*file.cast::<File>()).handle }
}

/// The place a C path names.
///
/// # Safety
/// `name` is null or NUL-terminated and outlives the call.
unsafe fn place(name: *const c_char) -> Option<Place> {
    if name.is_null() {
        return None;
    }
    // SAFETY: point 3.
    Place::parse(unsafe { CStr::from_ptr(name) }.to_str().ok()?)
}

fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// Offsets and lengths come as signed numbers; SQLite never passes negative ones.
fn unsigned(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(0)
}

unsafe extern "C" fn x_open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes writable memory of `szOsFile` bytes; `pMethods` must be set even on failure.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: point 3. Nameless temporary files are refused: `SQLITE_TEMP_STORE=2` keeps them in memory.
    let Some(place) = (unsafe { place(name) }) else { return ffi::SQLITE_CANTOPEN };
    match place.open(flags) {
        Ok(handle) => {
            let file = file.cast::<File>();
            // SAFETY: as above; the memory holds no earlier value of ours.
            unsafe {
                file.write(File {
                    base: sqlite3_file { pMethods: &raw const METHODS },
                    handle: Box::into_raw(Box::new(handle)),
                });
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
            }
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn x_delete(_: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: point 3.
    let Some(place) = (unsafe { place(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    code(place.delete(sync_directory != 0))
}

unsafe extern "C" fn x_access(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: point 3.
    let Some(place) = (unsafe { place(name) }) else { return ffi::SQLITE_IOERR_ACCESS };
    match place.exists(flags == ffi::SQLITE_ACCESS_EXISTS) {
        Ok(exists) => {
            // SAFETY: a valid out-pointer.
            unsafe { *out = exists.into() };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn x_full_pathname(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: point 3.
    let Some(place) = (unsafe { place(name) }) else { return ffi::SQLITE_CANTOPEN };
    let full = place.full();
    if full.len() >= unsigned(room) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has `room` bytes, more than the text and its NUL.
    unsafe {
        ptr::copy_nonoverlapping(full.as_ptr(), out.cast(), full.len());
        *out.add(full.len()) = 0;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: points 1 and 2; the pointer came from `Box::into_raw` and is given back exactly once.
    unsafe { Box::from_raw((*file.cast::<File>()).handle) }.close();
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_read(
    file: *mut sqlite3_file,
    out: *mut c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: point 3. The buffer may be uninitialised in C's eyes; it is zeroed before a slice is made of it.
    let out = unsafe {
        ptr::write_bytes(out.cast::<u8>(), 0, unsigned(length));
        std::slice::from_raw_parts_mut(out.cast::<u8>(), unsigned(length))
    };
    // SAFETY: point 1.
    match unsafe { handle(file) }.read(unsigned(offset), out) {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(code) => code,
    }
}

unsafe extern "C" fn x_write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: point 3.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), unsigned(length)) };
    // SAFETY: point 1.
    code(unsafe { handle(file) }.write(unsigned(offset), bytes))
}

unsafe extern "C" fn x_truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: point 1.
    code(unsafe { handle(file) }.truncate(unsigned(length)))
}

unsafe extern "C" fn x_sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: point 1.
    code(unsafe { handle(file) }.sync())
}

unsafe extern "C" fn x_file_size(file: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: point 1.
    match unsafe { handle(file) }.size() {
        Ok(size) => {
            // SAFETY: a valid out-pointer.
            unsafe { *out = sqlite3_int64::try_from(size).unwrap_or(sqlite3_int64::MAX) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn x_lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: point 1.
    code(unsafe { handle(file) }.lock(level))
}

unsafe extern "C" fn x_unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: point 1.
    unsafe { handle(file) }.unlock(level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: point 1.
    match unsafe { handle(file) }.reserved() {
        Ok(reserved) => {
            // SAFETY: a valid out-pointer.
            unsafe { *out = reserved.into() };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn x_file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn x_sector_size(_: *mut sqlite3_file) -> c_int {
    512
}

unsafe extern "C" fn x_device_characteristics(_: *mut sqlite3_file) -> c_int {
    // What SQLite's own VFS claims of every disk by default, no more.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn x_shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: point 1.
    let mapped = unsafe { handle(file) }.shm_map(unsigned(region), unsigned(size), extend != 0);
    let (address, code) = match mapped {
        Ok(address) => (address.unwrap_or(ptr::null_mut()), ffi::SQLITE_OK),
        Err(code) => (ptr::null_mut(), code),
    };
    // SAFETY: a valid out-pointer. The address stays good until `xShmUnmap`: the handle owns a share of it.
    unsafe { *out = address.cast() };
    code
}

unsafe extern "C" fn x_shm_lock(file: *mut sqlite3_file, first: c_int, n: c_int, flags: c_int) -> c_int {
    let first = u32::try_from(first).unwrap_or(0);
    let slots = first..first + u32::try_from(n).unwrap_or(0);
    // SAFETY: point 1.
    code(unsafe { handle(file) }.shm_lock(slots, flags))
}

unsafe extern "C" fn x_shm_barrier(_: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn x_shm_unmap(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: point 1.
    unsafe { handle(file) }.shm_unmap();
    ffi::SQLITE_OK
}
