//! The dialling side: one request at a time per connection, and a pool of idle connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming as Body};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::{Authorities, Error, Trust};
use crate::Deadline;

/// Longest response body, in bytes: the largest honest one is an onion reply with a full retrieve
/// (7.8 MB of data, then base64: storage-and-onion 6.6, 10).
pub const MAX_RESPONSE_BODY: usize = 12 * 1024 * 1024;
/// Idle connections kept for one place; more are only needed in a burst.
const MAX_IDLE_PER_TARGET: usize = 4;
/// Idle connections kept in all: each is a file handle here and a place at the server.
const MAX_IDLE: usize = 64;
/// How long an unused connection is kept: shorter than servers keep it.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A service node: the node list gives addresses.
    Ip(SocketAddr),
    /// A seed, whose URL has a name. The name is looked up through the system's resolver, which
    /// tells the resolver's operator; for anything but seeds use [`Address::Ip`].
    Name(String, u16),
    /// A name that the caller has looked up itself: dialled there and nowhere else, and the
    /// certificate is to be for the name.
    Resolved {
        /// The name.
        name: String,
        /// What the caller found it to be.
        at: SocketAddr,
    },
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// A server and how it is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where it is.
    pub address: Address,
    /// The `Host` header, if it is another than the address (peer tests send
    /// `<base32z key>.snode`, storage-and-onion 5.3).
    pub host: Option<String>,
    /// Which certificate it must show.
    pub trust: Trust,
}

impl Target {
    /// A service node at that address; any certificate will do.
    pub const fn node(address: SocketAddr) -> Self {
        Self { address: Address::Ip(address), host: None, trust: Trust::AnyCertificate }
    }

    fn host(&self) -> String {
        match (&self.host, &self.address) {
            (Some(host), _) => host.clone(),
            (None, Address::Ip(address)) => address.to_string(),
            (None, Address::Name(name, port)) => format!("{name}:{port}"),
            (None, Address::Resolved { name, at }) => format!("{name}:{}", at.port()),
        }
    }
}

/// A whole response, of any status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, if there is a readable one.
    pub content_type: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, at most [`MAX_RESPONSE_BODY`] bytes. It holds its room ([`Post::room`]) until its last clone is dropped.
    pub body: Bytes,
}

/// A POST request whose answer comes from somebody nobody knows. [`Client::send`] sends it.
#[derive(Clone, Debug)]
pub struct Post {
    /// The path.
    pub path: String,
    /// All headers but the host's and the body's length.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The longest response body, in bytes.
    pub max_response: usize,
    /// A permit for each byte of responses in memory. A response that finds none is [`Error::NoRoom`]: waiting for room
    /// while others hold some could be for ever.
    pub room: Option<Arc<Semaphore>>,
}

/// What may come back, at most.
struct Bounds {
    max_body: usize,
    room: Option<Arc<Semaphore>>,
}

const USUAL: Bounds = Bounds { max_body: MAX_RESPONSE_BODY, room: None };

/// Dials servers and keeps connections for later. Each value has its own pool, and clones share
/// it: give every profile its own value, so that no server sees two profiles on one connection.
#[derive(Clone, Debug, Default)]
pub struct Client {
    idle: Arc<Mutex<Idle>>,
    authorities: Option<Authorities>,
}

type Sender = http1::SendRequest<Full<Bytes>>;
type Place = (Address, Trust);

#[derive(Debug, Default)]
struct Idle {
    by_place: HashMap<Place, Vec<(Sender, Instant)>>,
}

impl Client {
    /// A client with an empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client with an empty pool that can ask with [`Trust::Authority`].
    pub fn with_authorities(authorities: Authorities) -> Self {
        Self { authorities: Some(authorities), ..Self::default() }
    }

    /// Sends one POST request and waits for the whole response.
    ///
    /// A pooled connection may turn out to be closed. The request is then sent on a fresh one, if
    /// it is certain that nothing of it was sent; otherwise the caller decides
    /// ([`Error::may_have_been_processed`]).
    ///
    /// # Errors
    /// No response before `deadline`, or one that cannot be used; see [`Error`].
    pub async fn post(
        &self,
        target: &Target,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let mut request = Request::builder().method(Method::POST).uri(path).header(HOST, target.host());
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body.into())).map_err(Error::Request)?;
        deadline.run(self.exchange(target, request, &USUAL)).await.unwrap_or(Err(Error::Timeout))
    }

    /// [`Self::post`] with any headers, and closer bounds for what may come back. Redirections are responses like any
    /// other, as everywhere here.
    ///
    /// # Errors
    /// As [`Self::post`], and [`Error::NoRoom`].
    pub async fn send(&self, target: &Target, post: Post, deadline: Deadline) -> Result<Response, Error> {
        let request = Request::builder().method(Method::POST).uri(&post.path).header(HOST, target.host());
        let mut request = request.body(Full::new(post.body)).map_err(Error::Request)?;
        for (name, value) in &post.headers {
            request.headers_mut().append(name, value.clone());
        }
        let bounds = Bounds { max_body: post.max_response.min(MAX_RESPONSE_BODY), room: post.room };
        deadline.run(self.exchange(target, request, &bounds)).await.unwrap_or(Err(Error::Timeout))
    }

    /// Sends one GET request and waits for the whole response.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn get(&self, target: &Target, path: &str, deadline: Deadline) -> Result<Response, Error> {
        let request = Request::builder().method(Method::GET).uri(path).header(HOST, target.host());
        let request = request.body(Full::new(Bytes::new())).map_err(Error::Request)?;
        deadline.run(self.exchange(target, request, &USUAL)).await.unwrap_or(Err(Error::Timeout))
    }

    /// Drops all idle connections, for instance after the machine changed its network.
    pub fn forget_connections(&self) {
        self.lock().by_place.clear();
    }

    async fn exchange(
        &self,
        target: &Target,
        mut request: Request<Full<Bytes>>,
        bounds: &Bounds,
    ) -> Result<Response, Error> {
        let place = (target.address.clone(), target.trust);
        if let Some(mut sender) = self.take_idle(&place).await {
            match sender.try_send_request(request).await {
                Ok(response) => return self.finish(place, sender, response, bounds).await,
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Error::of_exchange(failed.into_error())),
                },
            }
        }
        let mut sender = self.dial(target).await?;
        let response = sender.send_request(request).await.map_err(Error::of_exchange)?;
        self.finish(place, sender, response, bounds).await
    }

    async fn finish(
        &self,
        place: Place,
        sender: Sender,
        response: hyper::Response<Body>,
        bounds: &Bounds,
    ) -> Result<Response, Error> {
        let (head, body) = response.into_parts();
        let body = read(body, bounds).await?;
        self.put_idle(place, sender);
        let content_type =
            head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Response { status: head.status.as_u16(), content_type, headers: head.headers, body })
    }

    /// A pooled connection that is ready for a request.
    async fn take_idle(&self, place: &Place) -> Option<Sender> {
        loop {
            let (mut sender, since) = {
                let mut idle = self.lock();
                let senders = idle.by_place.get_mut(place)?;
                let newest = senders.pop();
                if senders.is_empty() {
                    idle.by_place.remove(place);
                }
                newest?
            };
            if since.elapsed() < IDLE_TIME && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn put_idle(&self, place: Place, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.lock();
        idle.by_place.retain(|_, senders| {
            senders.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_TIME);
            !senders.is_empty()
        });
        if idle.by_place.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            return;
        }
        let senders = idle.by_place.entry(place).or_default();
        if senders.len() < MAX_IDLE_PER_TARGET {
            senders.push((sender, Instant::now()));
        }
    }

    /// A fresh connection: TCP, TLS unless nobody is to be trusted, HTTP.
    async fn dial(&self, target: &Target) -> Result<Sender, Error> {
        let (stream, name) = match &target.address {
            Address::Ip(address) => {
                (TcpStream::connect(address).await, Ok(ServerName::IpAddress(address.ip().into())))
            }
            Address::Name(name, port) => {
                // Tries the name's addresses one after the other.
                (TcpStream::connect((name.as_str(), *port)).await, ServerName::try_from(name.clone()))
            }
            Address::Resolved { name, at } => {
                (TcpStream::connect(at).await, ServerName::try_from(name.clone()))
            }
        };
        let stream = stream.map_err(Error::of_connect)?;
        // Requests are written whole; waiting for more to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let config = match (target.trust, &self.authorities) {
            (Trust::Nobody, _) => return shake(stream).await,
            (Trust::Authority, Some(authorities)) => authorities.client_config(),
            (trust, _) => {
                Arc::new(trust.client_config().map_err(|error| Error::Tls(std::io::Error::other(error)))?)
            }
        };
        let name = name.map_err(|error| Error::Unreachable(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(Error::of_handshake)?;
        shake(stream).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HTTP on a fresh connection.
async fn shake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::of_exchange)?;
    // Ends when the server closes, or when the sender is dropped, which a passed deadline does.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTPS connection ended");
        }
    });
    Ok(sender)
}

async fn read(mut body: Body, bounds: &Bounds) -> Result<Bytes, Error> {
    let too_large = Error::TooLarge { limit: bounds.max_body };
    if body.size_hint().lower() > bounds.max_body as u64 {
        return Err(too_large);
    }
    let (mut whole, mut held) = (BytesMut::new(), None::<OwnedSemaphorePermit>);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::of_exchange)?.into_data() else { continue };
        if whole.len() + data.len() > bounds.max_body {
            return Err(too_large);
        }
        if let Some(room) = &bounds.room {
            let needed = u32::try_from(data.len()).map_err(|_| Error::NoRoom)?;
            let more = Arc::clone(room).try_acquire_many_owned(needed).map_err(|_| Error::NoRoom)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
        whole.extend_from_slice(&data);
    }
    let whole = whole.freeze();
    Ok(match held {
        Some(room) => Bytes::from_owner(Held { whole, _room: room }),
        None => whole,
    })
}

/// A body and its share of the room for bodies.
struct Held {
    whole: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.whole
    }
}
