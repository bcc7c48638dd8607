//! A write on its way from the node that took it to the other members of the swarm.

use super::{Request, RpcError, parse, write};
use crate::Timestamp;

/// The extra key of a forwarded request; other programs skip it (docs/protocol/extensions).
pub(super) const AT_KEY: &str = "conclave_at";

/// A write as an entry node forwards it (storage-and-onion 2.6), with the time it gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// What the client asked.
    pub request: Request,
    /// When the entry node took it, by that node's clock: all members order the writes of a mailbox
    /// by it. `None` from nodes that do not say.
    pub at: Option<Timestamp>,
}

impl Forwarded {
    /// The parameters as a bt dictionary: without a time exactly what every node forwards.
    pub fn to_bt(&self) -> Vec<u8> {
        write::forwarded(&self.request, self.at)
    }

    /// Reads the parameters of a forwarded `method`. A time that is no number counts as none.
    ///
    /// # Errors
    /// The answer to give; methods that are not forwarded are refused.
    pub fn from_bt(method: &str, params: &[u8]) -> Result<Self, RpcError> {
        parse::forwarded(method, params)
    }
}
