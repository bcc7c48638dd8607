//! The listening side of HTTP/1.1, with or without TLS beneath.
//!
//! A handler gets whole requests and gives whole replies; which path means what, and every header
//! except the ones HTTP itself needs, is the handler's business. What a stranger can do before the
//! handler is asked is bounded here: connections, header time, body size and time, bytes held.
//! (storage-and-onion 1.1)

mod exchange;
mod linger;
mod pieces;
mod server;
mod stall;

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
pub use hyper::header::{HeaderMap, HeaderName, HeaderValue};
pub use hyper::{Method, StatusCode};

pub use pieces::Pieces;
pub use server::Server;
pub(crate) use server::{Settings, start};

/// Largest request body, in bytes; a larger one is answered 413. (storage-and-onion 1.1)
pub const MAX_REQUEST_BODY: usize = 10_485_760;
/// Connections at one time. Each may cost two file handles and a TLS state of some 50 KiB.
pub const MAX_CONNECTIONS: usize = 4096;
/// Connections from one IPv4 address or IPv6 /64: many people share an address behind a carrier's
/// translator, and yet one address must not take every place.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 512;
/// Bytes of request bodies held in memory at one time, over all connections. Past it reading
/// waits, and the body timeout ends what waits too long.
pub const MAX_BUFFERED_BODIES: usize = 256 * 1024 * 1024;
/// Time for a TLS handshake: a slow mobile network needs two or three seconds.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two requests of a connection, and for all headers of one. Longer than clients keep
/// an unused connection, so that it is the client that closes and no request meets a closed door.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Time until the first request of a connection begins: nobody connects for nothing.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// When places are short, a connection that has been idle for so long makes room.
pub const IDLE_WHEN_CROWDED: Duration = Duration::from_secs(5);
/// Time for a whole body after its headers: 10 MiB at 1.4 Mbit/s.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time in which a client must take at least something of an answer it is being sent.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A whole request as it came in.
#[derive(Debug)]
pub struct Incoming {
    /// Who is at the other end of the TCP connection (not proof of anything).
    pub peer: SocketAddr,
    /// The method, as sent.
    pub method: Method,
    /// The path with its query, as sent.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body, at most [`MAX_REQUEST_BODY`] bytes.
    pub body: Bytes,
}

/// An answer. Content length and date are added when it is sent.
#[derive(Debug)]
pub struct Reply {
    /// The status code; one that HTTP does not allow (below 100, above 999) is sent as 500.
    pub status: u16,
    /// `Content-Type`; empty means none.
    pub content_type: Cow<'static, str>,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Instead of the body: one that comes while it is sent.
    pub pieces: Option<Pieces>,
}

impl Reply {
    /// A reply of that kind without further headers.
    pub fn new(status: u16, content_type: impl Into<Cow<'static, str>>, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: content_type.into(),
            headers: HeaderMap::new(),
            body: body.into(),
            pieces: None,
        }
    }

    /// A reply of that kind whose body comes while it is sent.
    pub fn in_pieces(status: u16, content_type: impl Into<Cow<'static, str>>, pieces: Pieces) -> Self {
        Self { pieces: Some(pieces), ..Self::new(status, content_type, Bytes::new()) }
    }

    /// A JSON document.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain", body)
    }

    /// The body that an error has when none is given: the reason phrase and a newline.
    pub fn reason(status: u16) -> Self {
        let reason =
            StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Unknown");
        Self::text(status, format!("{reason}\n"))
    }

    /// The same with one header more.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

/// What a listener allows. The default is what a public service node wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `Server` header of every response, also of those no handler sees.
    pub server_header: Option<HeaderValue>,
    /// Default [`MAX_REQUEST_BODY`].
    pub max_request_body: usize,
    /// Default [`MAX_CONNECTIONS`]; further ones are closed at once.
    pub max_connections: usize,
    /// Default [`MAX_CONNECTIONS_PER_ADDRESS`]; further ones are closed at once.
    pub max_connections_per_address: usize,
    /// Default [`MAX_BUFFERED_BODIES`].
    pub max_buffered_bodies: usize,
    /// Default [`HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
    /// Default [`HEAD_TIMEOUT`].
    pub head_timeout: Duration,
    /// Default [`FIRST_REQUEST_TIMEOUT`].
    pub first_request_timeout: Duration,
    /// Default [`IDLE_WHEN_CROWDED`].
    pub idle_when_crowded: Duration,
    /// Default [`BODY_TIMEOUT`].
    pub body_timeout: Duration,
    /// Default [`WRITE_STALL_TIMEOUT`].
    pub write_stall_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server_header: None,
            max_request_body: MAX_REQUEST_BODY,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            max_buffered_bodies: MAX_BUFFERED_BODIES,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            head_timeout: HEAD_TIMEOUT,
            first_request_timeout: FIRST_REQUEST_TIMEOUT,
            idle_when_crowded: IDLE_WHEN_CROWDED,
            body_timeout: BODY_TIMEOUT,
            write_stall_timeout: WRITE_STALL_TIMEOUT,
        }
    }
}

/// Listens on `address` (port 0 takes a free one) without TLS: for the seed listener that existing
/// clients ask in the clear, and behind a proxy that does TLS.
///
/// The future that `handler` returns is dropped when its client goes away; work that must not stop
/// half way belongs in a task of its own.
///
/// # Errors
/// The address cannot be bound.
pub async fn listen<H, F>(address: SocketAddr, options: Options, handler: H) -> io::Result<Server>
where
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    start(address, Settings { options, tls: None }, handler).await
}
