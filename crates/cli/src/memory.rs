//! How the process gives memory back.
//!
//! Files and answers pass through in blocks of some hundred kilobytes to ten megabytes. The allocator of glibc raises the size from which it
//! asks the system for a block of its own each time it frees a larger one, up to 32 MiB; from then on such blocks lie among small ones,
//! and what was needed once stays with the process (docs/performance.md has figures). A fixed size keeps them apart: they go back when
//! they are freed, and grow without being copied.

/// From this size on a block comes from the system and goes back to it, in bytes. What glibc begins with.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BLOCK: libc::c_int = 128 * 1024;

/// Lets large blocks go back to the system for as long as the process lives. Call it first of all.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to set it than by calling the C library")]
pub(crate) fn give_large_blocks_back() {
    // SAFETY: it sets a number of the allocator's under the allocator's lock, and touches nothing of ours. It cannot fail with
    // a size below 32 MiB; if it did, all would go on as without it.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK) };
}

/// Other C libraries give large blocks back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn give_large_blocks_back() {}
