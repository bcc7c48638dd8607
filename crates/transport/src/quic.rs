//! QUIC with raw Ed25519 keys on both sides (RFC 7250), and request streams on it
//! (storage-and-onion 1.3, 5.6).
//!
//! One UDP socket serves and dials. Whoever connects proves a key; on the nodes' own protocol the
//! caller says which keys may, on the clients' protocol any will do. Requests are answered out of
//! order, and lanes (a stream each) keep a large answer from holding up a small one.

mod connection;
mod endpoint;
mod pool;
mod stream;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Public;

pub use connection::Connection;
pub use endpoint::{Endpoint, Options};
pub use pool::Pool;

/// Streams a peer may have open at once. (storage-and-onion 1.3)
pub const MAX_STREAMS: u32 = 32;
/// Requests of one connection that are worked on at once; further ones wait unread.
pub const MAX_RUNNING_REQUESTS: usize = 256;
/// Connections served at once; each costs some tens of KiB.
pub const MAX_CONNECTIONS: usize = 4096;
/// Time for a handshake when dialling. (storage-and-onion 5.3)
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The application close code towards a peer that is not in the node list. (storage-and-onion 5.6)
pub const CLOSE_NOT_A_NODE: u32 = 7;

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `oxenstorage`: clients, with any key.
    Client,
    /// `oxenstorage-sn`: nodes, with keys from the node list.
    Node,
}

impl Alpn {
    /// As it is named in the handshake.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Client => b"oxenstorage",
            Self::Node => b"oxenstorage-sn",
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Client, Self::Node].into_iter().find(|alpn| alpn.name() == name)
    }
}

/// A stream of a connection. What is asked on one does not wait for what is asked on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Short commands.
    Commands,
    /// Bulk data.
    Data,
    /// Onion layers; callers spread them over the numbers 0 to 3.
    Onion(u8),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the UDP flow.
    pub address: SocketAddr,
    /// The key it proved.
    pub key: Ed25519Public,
    /// What it speaks.
    pub alpn: Alpn,
}

/// The answer to a request: a reply, or an error body.
pub type Answer = Result<Bytes, Bytes>;
/// An answer to come.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;
/// Answers requests: who asks, the endpoint's name, the body.
pub type Handler = Arc<dyn Fn(Peer, String, Bytes) -> AnswerFuture + Send + Sync>;

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The peer answered with an error; its body says which. Whether to ask again depends on it.
    #[error("the peer answered with an error")]
    Remote(Bytes),
    /// No answer in time. The peer may have done what was asked.
    #[error("no answer in time")]
    Timeout,
    /// The connection or stream ended before the answer. The peer may have done what was asked.
    #[error("the connection ended: {0}")]
    Closed(String),
    /// No connection came about; nothing was asked.
    #[error(transparent)]
    Dial(#[from] DialError),
}

/// Why a peer could not be reached. Nothing was asked of it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No answer within the time for a handshake.
    #[error("the peer did not answer")]
    Timeout,
    /// The peer is not who it should be, or speaks another protocol; or it refused us.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// A dial failed moments ago; the peer is left alone for a while.
    #[error("the peer was unreachable moments ago")]
    Down,
    /// This endpoint is closed, or the address cannot be dialled.
    #[error("dialling is not possible: {0}")]
    Local(String),
}
