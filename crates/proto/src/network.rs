//! The network file, which names a network, the signed directory of its nodes, and the signed requests by which nodes
//! come and go (docs/protocol/network; all are ours, the existing network has none of them).

mod directory;
mod file;
mod poll;
mod request;

pub use directory::{Directory, DirectoryNode, DirectoryRejected, Freshness, MAX_NODES, SignedDirectory};
pub use file::{FileServer, InvalidNetworkFile, NetworkFile, Seed, SwarmParams};
pub use poll::{DIRECTORY_COMMAND, DirectoryPoll, DirectoryPollAnswer, InvalidPoll};
pub use request::{
    JoinAddress, MAX_REQUEST_AHEAD, MAX_REQUEST_BYTES, Membership, MembershipRequest, REQUEST_LIFETIME,
    RequestRejected, SignedMembershipRequest,
};
