//! What a program that starts a node in its own process may put in: a clock, a resolver, an observer, a fault.
//!
//! None of it can be reached from a configuration file or the command line. Tests use it to look at what a node really
//! receives, to move its clock, and to make it lie.

use std::net::SocketAddr;
use std::sync::Arc;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;
use conclave_proto::rpc::Request;

use crate::proxy::{Resolver, SystemResolver};

/// Where a node gets its time from.
pub trait Clock: Send + Sync {
    /// Now, as this node believes.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Something a node really received or found inside what it received.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received<'a> {
    /// A request over HTTPS.
    Https {
        /// The other end of the connection.
        peer: SocketAddr,
        /// Its path.
        path: &'a str,
        /// Its headers, as text.
        headers: String,
        /// Its body.
        body: &'a [u8],
    },
    /// A request over QUIC.
    Quic {
        /// The other end of the connection.
        peer: SocketAddr,
        /// The key it proved.
        key: Ed25519Public,
        /// Whether it came as a node to a node. Nodes also test each other as clients.
        is_node: bool,
        /// What was asked.
        endpoint: &'a str,
        /// With what.
        body: &'a [u8],
    },
    /// An onion layer opened, and inside it a layer for another node.
    PeeledLayer {
        /// As it came.
        sealed: &'a [u8],
        /// For whom the inner one is.
        destination: Ed25519Public,
        /// The inner one, sealed for them.
        layer: &'a [u8],
    },
    /// An onion layer opened, and inside it a request for this node, or nothing it understands.
    PeeledRequest {
        /// As it came.
        sealed: &'a [u8],
        /// The request.
        body: &'a [u8],
    },
    /// A storage request that is about to be answered.
    Request(&'a Request),
    /// What another node answered to a forwarded write or a passed layer.
    Answer {
        /// Which node.
        from: Ed25519Public,
        /// What it had been asked.
        endpoint: &'a str,
        /// Its words.
        body: &'a [u8],
    },
}

/// Sees everything a node receives.
pub trait Observer: Send + Sync {
    /// Called before the node acts on it.
    fn received(&self, what: Received<'_>);
}

/// How a node lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misbehave {
    /// Not at all.
    #[default]
    Honest,
    /// Answers every storage request with bytes that mean nothing.
    Rubbish,
    /// Signs what it stored with a key that is not its own.
    WrongKey,
    /// Says that it stored a message, with a proper signature, and keeps nothing.
    Forgets,
    /// Gives other data under the hashes of what it keeps.
    OtherData,
}

/// Everything that can be put in.
#[derive(Clone)]
pub struct Hooks {
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// Sees what it receives.
    pub observer: Option<Arc<dyn Observer>>,
    /// How it lies.
    pub misbehave: Misbehave,
    /// Looks up the names of servers that requests are passed on to.
    pub resolver: Arc<dyn Resolver>,
    /// Bytes of files that the file server for programs of others holds at once.
    pub file_room: usize,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            observer: None,
            misbehave: Misbehave::Honest,
            resolver: Arc::new(SystemResolver::default()),
            file_room: crate::file_server::ROOM,
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hooks({:?})", self.misbehave)
    }
}
