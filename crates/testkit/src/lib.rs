//! What tests of several crates share: personas, known-answer vectors, seeded randomness, and a disk
//! that forgets what was not synced.
//!
//! Nothing here is part of the shipped program. `unsafe` is confined to `crashfs::vfs`.

pub mod crashfs;
pub mod durability;
pub mod personas;
pub mod vectors;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Deterministic randomness that satisfies `CryptoRngCore`: the same seed, the same bytes, on every
/// machine. For tests only, since anybody can know the seed.
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}
