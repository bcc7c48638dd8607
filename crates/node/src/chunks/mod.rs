//! The chunks of files (docs/protocol/files): [`rules`] decide and do no IO, [`store`] keeps, [`serve`] answers clients and
//! other members, [`agree`] makes members keep the same.
//!
//! Work on chunks has limits of its own, so that files slow no messages.

mod agree;
mod rules;
mod schema;
mod serve;
#[cfg(test)]
mod simulation;
mod store;

pub(crate) use agree::{compare_with_others, move_what_belongs_elsewhere};
pub(crate) use serve::{Chunks, METHODS, answer, answer_member, ask, fetch_among, is_ours};
pub use store::ChunkStoreError;
pub(crate) use store::{Chunk, ChunkStore, Options};
