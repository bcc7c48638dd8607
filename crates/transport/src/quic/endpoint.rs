//! The UDP socket that serves and dials.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, IdleTimeout, TransportConfig, VarInt};
use rand_core::OsRng;
use rustls_pki_types::CertificateDer;
use tokio::task::JoinSet;

use super::connection::{CLOSE_FINE, Connection, WeakConnection};
use super::restart::endpoint_config;
use super::{
    Alpn, CLOSE_NOT_A_NODE, DIAL_TIMEOUT, DialError, HANDSHAKE_TIMEOUT, Handler, MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS, MAX_STREAMS, Peer, tls,
};
use crate::slots::{Places, Slots};

/// Flow control of a connection and of a stream. (storage-and-onion 1.3)
const MAX_DATA: u32 = 15 * 1024 * 1024;
const MAX_STREAM_DATA: u32 = 6 * 1024 * 1024;
/// A client's idle connection ends after this. (storage-and-onion 1.3)
const CLIENT_IDLE: Duration = Duration::from_secs(30);
/// Nodes hold their connections. (storage-and-onion 5.6)
const NODE_IDLE: Duration = Duration::from_secs(60);
const NODE_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The name in the handshake that reference clients send. (storage-and-onion 1.3)
const SERVER_NAME: &str = "localhost";

/// What an endpoint does for those who connect to it, and its limits.
#[derive(Clone)]
pub struct Options {
    /// Answers every request, on connections in both directions.
    pub handler: Handler,
    /// Which keys may connect as nodes.
    pub is_node: Arc<dyn Fn(&Ed25519Public) -> bool + Send + Sync>,
    /// Told of every connection a node has made to us.
    pub on_node: Arc<dyn Fn(Connection) + Send + Sync>,
    /// Connections served at once; default [`MAX_CONNECTIONS`].
    pub max_connections: usize,
    /// Of these from one address; default [`MAX_CONNECTIONS_PER_ADDRESS`].
    pub max_connections_per_address: usize,
    /// Time for the handshake of somebody who connects; default [`HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
    /// Time for a handshake when dialling; default [`DIAL_TIMEOUT`].
    pub dial_timeout: Duration,
}

impl Options {
    /// Serves requests with `handler`, lets no node in (see the fields), with the default limits.
    pub fn new(handler: Handler) -> Self {
        Self {
            handler,
            is_node: Arc::new(|_| false),
            on_node: Arc::new(|_| ()),
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            dial_timeout: DIAL_TIMEOUT,
        }
    }

    /// Serves nothing and nobody: for programs that only dial.
    pub fn dial_only() -> Self {
        Self::new(Arc::new(|asked| {
            Box::pin(async move { Err(format!("Invalid endpoint '{}'", asked.endpoint).into()) })
        }))
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Options")
    }
}

/// A bound endpoint. Dropping it closes all its connections at once; [`Endpoint::shutdown`] is kinder.
#[derive(Debug)]
pub struct Endpoint {
    dialler: Dialler,
    accepting: Option<tokio::task::JoinHandle<()>>,
    slots: Arc<Slots>,
}

/// What is needed to dial, without owning the socket.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    endpoint: quinn::Endpoint,
    secret: Ed25519Secret,
    options: Options,
    /// Streams the other side may open on connections dialled here.
    streams: u32,
    live: Arc<Live>,
}

impl Endpoint {
    /// Listens on `address` (port 0 takes a free one) with `secret`'s key, and can dial from there.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(address: SocketAddr, secret: &Ed25519Secret, options: Options) -> io::Result<Self> {
        let tls = tls::server(secret).map_err(io::Error::other)?;
        let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        // The client's own limit makes it 30 s for clients: the smaller one of both sides counts.
        config.transport_config(Arc::new(transport(NODE_IDLE, None, MAX_STREAMS)));
        let dialler = Dialler::bind(address, secret, Some(config), options, MAX_STREAMS)?;
        let slots = Slots::new(dialler.options.max_connections, dialler.options.max_connections_per_address);
        let accepting = tokio::spawn(accept_loop(dialler.clone(), Arc::clone(&slots)));
        Ok(Self { dialler, accepting: Some(accepting), slots })
    }

    /// An endpoint that only dials, from any address and port, with a fresh key that is forgotten
    /// with it: for clients, whose connections must not be recognised. (storage-and-onion 1.3)
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn client() -> io::Result<Self> {
        Self::dialler(&Ed25519Secret::generate(&mut OsRng))
    }

    /// An endpoint that only dials, from any address and port, with `secret`'s key.
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn dialler(secret: &Ed25519Secret) -> io::Result<Self> {
        Self::dialler_at((Ipv4Addr::UNSPECIFIED, 0).into(), secret)
    }

    /// An endpoint that only dials, from `address`, with `secret`'s key.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn dialler_at(address: SocketAddr, secret: &Ed25519Secret) -> io::Result<Self> {
        // Nobody has anything to ask of it, so nobody may open a stream.
        let dialler = Dialler::bind(address, secret, None, Options::dial_only(), 0)?;
        Ok(Self { dialler, accepting: None, slots: Slots::new(0, 0) })
    }

    /// Where it is bound, with the port it really got.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.dialler.endpoint.local_addr()
    }

    /// How the places for those who connect here stand.
    pub fn places(&self) -> Places {
        self.slots.places()
    }

    /// Connects to the holder of `key` at `address`, within [`Options::dial_timeout`].
    ///
    /// # Errors
    /// [`DialError`]; nobody else than the holder of the key can make this succeed.
    pub async fn dial(
        &self,
        address: SocketAddr,
        key: Ed25519Public,
        alpn: Alpn,
    ) -> Result<Connection, DialError> {
        self.dialler.dial(address, key, alpn).await
    }

    /// Closes the connections of peers that [`Options::is_node`] no longer lets in, after the node
    /// list has changed. (storage-and-onion 5.6)
    pub fn recheck_nodes(&self) {
        for connection in self.dialler.live.connections() {
            let peer = connection.peer();
            if peer.alpn == Alpn::Node && !(self.dialler.options.is_node)(&peer.key) {
                connection.refuse();
            }
        }
    }

    /// Stops accepting, finishes the requests that run here, closes all connections and waits until
    /// the peers have been told; at most for `bound`.
    pub async fn shutdown(self, bound: Duration) {
        self.finish(bound).await;
    }

    /// [`Self::shutdown`] while others hold the endpoint too: what they ask from then on fails.
    pub async fn finish(&self, bound: Duration) {
        if let Some(accepting) = &self.accepting {
            self.dialler.endpoint.set_server_config(None);
            accepting.abort();
        }
        let finished = async {
            let mut closing = JoinSet::new();
            for connection in self.dialler.live.connections() {
                // What is left of the time is for telling the peers.
                closing.spawn(async move { connection.shutdown(bound - bound / 4).await });
            }
            while closing.join_next().await.is_some() {}
            self.dialler.endpoint.close(CLOSE_FINE.into(), b"");
            self.dialler.endpoint.wait_idle().await;
        };
        // Past the bound, dropping closes what is left.
        let _ = tokio::time::timeout(bound, finished).await;
    }

    pub(super) fn dialling(&self) -> Dialler {
        self.dialler.clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.dialler.endpoint.close(CLOSE_FINE.into(), b"");
    }
}

impl Dialler {
    fn bind(
        address: SocketAddr,
        secret: &Ed25519Secret,
        server: Option<quinn::ServerConfig>,
        options: Options,
        streams: u32,
    ) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = quinn::Endpoint::new(endpoint_config(secret), server, socket, runtime)?;
        Ok(Self { endpoint, secret: secret.clone(), options, streams, live: Arc::default() })
    }

    pub(super) async fn dial(
        &self,
        address: SocketAddr,
        key: Ed25519Public,
        alpn: Alpn,
    ) -> Result<Connection, DialError> {
        let local = |error: &dyn std::fmt::Display| DialError::Local(error.to_string());
        let impostor = Arc::new(AtomicBool::new(false));
        let tls = tls::client(&self.secret, key, alpn, Arc::clone(&impostor)).map_err(|e| local(&e))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|e| local(&e))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(match alpn {
            Alpn::Client => transport(CLIENT_IDLE, None, self.streams),
            Alpn::Node => transport(NODE_IDLE, Some(NODE_KEEP_ALIVE), self.streams),
        }));
        let connecting = self.endpoint.connect_with(config, address, SERVER_NAME).map_err(|e| local(&e))?;
        let connection = tokio::time::timeout(self.options.dial_timeout, connecting)
            .await
            .map_err(|_| DialError::Timeout)?
            .map_err(|error| match error {
                _ if impostor.load(Ordering::Relaxed) => DialError::WrongKey,
                ConnectionError::TimedOut => DialError::Timeout,
                ConnectionError::LocallyClosed => local(&error),
                other => DialError::Handshake(other.to_string()),
            })?;
        let connection =
            Connection::start(connection, Peer { address, key, alpn }, Arc::clone(&self.options.handler));
        self.live.add(&connection);
        Ok(connection)
    }
}

/// The connections of an endpoint, in both directions.
#[derive(Default)]
struct Live(Mutex<Vec<WeakConnection>>);

impl Live {
    fn add(&self, connection: &Connection) {
        let mut live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Swept when the list would grow, so that each connection costs a constant time.
        if live.len() == live.capacity() {
            live.retain(|weak| weak.upgrade().is_some_and(|connection| connection.is_open()));
        }
        live.push(connection.downgrade());
    }

    fn connections(&self) -> Vec<Connection> {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        live.iter().filter_map(WeakConnection::upgrade).collect()
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

fn transport(idle: Duration, keep_alive: Option<Duration>, streams: u32) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .receive_window(VarInt::from_u32(MAX_DATA))
        .stream_receive_window(VarInt::from_u32(MAX_STREAM_DATA))
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .keep_alive_interval(keep_alive);
    config
}

async fn accept_loop(dialler: Dialler, slots: Arc<Slots>) {
    while let Some(incoming) = dialler.endpoint.accept().await {
        // With many connections, those whose address may be forged have to prove it first
        // (RFC 9000 section 8.1.2), so that forged ones take no places.
        if slots.is_crowded() && !incoming.remote_address_validated() && incoming.may_retry() {
            // An error would mean that a retry was not possible, which was just asked.
            let _ = incoming.retry();
            continue;
        }
        let Some(slot) = slots.take(incoming.remote_address().ip()) else {
            incoming.refuse();
            continue;
        };
        let (options, live) = (dialler.options.clone(), Arc::clone(&dialler.live));
        tokio::spawn(async move {
            if let Some(connection) = welcome(incoming, &options, &live).await {
                connection.closed().await;
            }
            drop(slot);
        });
    }
}

/// The handshake, and whether that peer may come in.
async fn welcome(incoming: quinn::Incoming, options: &Options, live: &Live) -> Option<Connection> {
    let connection = match tokio::time::timeout(options.handshake_timeout, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a QUIC handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!("a QUIC handshake took too long");
            return None;
        }
    };
    let Some(peer) = identify(&connection) else {
        connection.close(CLOSE_FINE.into(), b"");
        return None;
    };
    let may_come_in = || peer.alpn != Alpn::Node || (options.is_node)(&peer.key);
    if !may_come_in() {
        connection.close(CLOSE_NOT_A_NODE.into(), b"not in the node list");
        return None;
    }
    let connection = Connection::start(connection, peer, Arc::clone(&options.handler));
    live.add(&connection);
    // Asked again: a list that changed before it was among the live ones did not find it there.
    if !may_come_in() {
        connection.refuse();
        return None;
    }
    if peer.alpn == Alpn::Node {
        (options.on_node)(connection.clone());
    }
    Some(connection)
}

/// Which key and protocol the other side proved and chose.
fn identify(connection: &quinn::Connection) -> Option<Peer> {
    let keys = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let key = tls::key_of(keys.first()?)?;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let alpn = Alpn::from_name(data.protocol.as_deref()?)?;
    Some(Peer { address: connection.remote_address(), key, alpn })
}
