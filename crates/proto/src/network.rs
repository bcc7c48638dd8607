//! The network file, which names a network, and the signed directory of its nodes
//! (docs/protocol/network; both are ours, the existing network has neither).

mod directory;
mod file;

pub use directory::{Directory, DirectoryNode, DirectoryRejected, Freshness, MAX_NODES, SignedDirectory};
pub use file::{InvalidNetworkFile, NetworkFile, Seed, SwarmParams};
