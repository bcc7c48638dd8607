//! What tests of several crates share: personas, known-answer vectors, seeded randomness, a disk that
//! forgets what was not synced, and the harness of the simulations.
//!
//! Nothing here is part of the shipped program. `unsafe` is confined to `crashfs::vfs`.

pub mod crashfs;
pub mod durability;
pub mod personas;
pub mod seeds;
pub mod vectors;
pub mod worlds;

use rand_core::SeedableRng;

/// Deterministic randomness that satisfies `CryptoRngCore`, for who has to name its type.
pub type SeededRng = rand_chacha::ChaCha20Rng;

/// Deterministic randomness: the same seed, the same bytes, on every machine. For tests only, since
/// anybody can know the seed.
pub fn rng(seed: u64) -> SeededRng {
    SeededRng::seed_from_u64(seed)
}
