//! QUIC with raw Ed25519 keys on both sides (RFC 7250), and request streams on it
//! (storage-and-onion 1.3, 5.6).
//!
//! One UDP socket serves and dials. Whoever connects proves a key; on the nodes' own protocol the
//! caller says which keys may, on the clients' protocol any will do. Requests are answered out of
//! order, and lanes (a stream each) keep a large answer from holding up a small one.

mod body;
mod connection;
mod endpoint;
mod pool;
mod restart;
mod stream;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_proto::btstream;

pub use body::Body;
pub use connection::{Connection, Notification};
pub use endpoint::{Endpoint, Options};
pub use pool::{PeerState, Pool};
pub use stream::{Gone, Notifier, Place};

/// Streams a peer may have open at once. (storage-and-onion 1.3)
pub const MAX_STREAMS: u32 = 32;
/// Requests of one client's connection that are worked on at once; further ones wait unread. A
/// client has some tens in flight, most of them held open.
pub const MAX_RUNNING_REQUESTS: usize = 256;
/// The same for a connection from a node, which carries the requests of many clients.
pub const MAX_RUNNING_REQUESTS_OF_NODE: usize = 4096;
/// Bytes of requests of one client's connection in memory, whole or in part: the largest frame
/// three times. Past it reading waits.
pub const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;
/// The same for a connection from a node.
pub const MAX_REQUEST_BYTES_OF_NODE: usize = 128 * 1024 * 1024;
/// Connections served at once; each costs some tens of KiB.
pub const MAX_CONNECTIONS: usize = 4096;
/// Of these from one IPv4 address or IPv6 /64; behind one may be many people.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 512;
/// Time for the handshake of somebody who connects. (storage-and-onion 1.3)
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which a peer must take something of an answer, or send something of a request it began
/// while others wait for the room it takes.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a handshake when dialling. Nodes are tested with five seconds (storage-and-onion 5.3); a client behind three
/// hops waits for the dial, so it is given up sooner: two lost packets still fit.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
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
    /// Writes that are forwarded.
    Data,
    /// What may take its time: comparing and completing what members keep.
    Bulk,
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
pub type Answer = Result<Body, Bytes>;
/// An answer to come.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;
/// One request as it came in.
#[derive(Debug)]
pub struct Asked {
    /// Who asks.
    pub peer: Peer,
    /// What.
    pub endpoint: String,
    /// With which body.
    pub body: Bytes,
    /// The request's place among those its connection may have running.
    pub place: Place,
    /// For telling the asker more than the answer, later.
    pub notifier: Notifier,
}

/// Answers requests. The future is dropped when its peer goes away; work that must not stop half way belongs in a task of
/// its own.
pub type Handler = Arc<dyn Fn(Asked) -> AnswerFuture + Send + Sync>;

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
    /// The peer does not take us for a node of its network (any more).
    #[error("the peer does not know us as a service node")]
    Refused,
    /// The request does not fit into a frame; nothing was sent.
    #[error("a request may have {} bytes", btstream::MAX_FRAME)]
    TooLarge,
    /// No connection came about; nothing was asked.
    #[error(transparent)]
    Dial(#[from] DialError),
}

impl RequestError {
    /// Whether the same request to the same peer can succeed a little later. For
    /// [`RequestError::Remote`] the body decides, and this is false.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout | Self::Closed(_) => true,
            Self::Remote(_) | Self::Refused | Self::TooLarge => false,
            Self::Dial(error) => error.is_retryable(),
        }
    }

    /// Whether the peer may have done what was asked although there is no answer.
    pub fn may_have_been_processed(&self) -> bool {
        matches!(self, Self::Timeout | Self::Closed(_))
    }
}

/// Why a peer could not be reached. Nothing was asked of it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No answer within the time for a handshake.
    #[error("the peer did not answer")]
    Timeout,
    /// Somebody with another key answers there: the node list is out of date, or someone is between.
    #[error("the peer has another key than expected")]
    WrongKey,
    /// The peer speaks another protocol, or refused us.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// A dial failed moments ago; the peer is left alone for a while.
    #[error("the peer was unreachable moments ago")]
    Down,
    /// This endpoint is closed, or the address cannot be dialled.
    #[error("dialling is not possible: {0}")]
    Local(String),
}

impl DialError {
    /// Whether dialling the same peer can succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout | Self::Down => true,
            Self::WrongKey | Self::Handshake(_) | Self::Local(_) => false,
        }
    }
}
