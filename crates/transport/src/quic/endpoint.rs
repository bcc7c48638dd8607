//! The UDP socket that serves and dials.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use rustls_pki_types::CertificateDer;

use super::connection::Connection;
use super::{
    Alpn, CLOSE_NOT_A_NODE, DIAL_TIMEOUT, DialError, Handler, MAX_CONNECTIONS, MAX_STREAMS, Peer, tls,
};
use crate::slots::Slots;

/// Flow control of a connection and of a stream. (storage-and-onion 1.3)
const MAX_DATA: u32 = 15 * 1024 * 1024;
const MAX_STREAM_DATA: u32 = 6 * 1024 * 1024;
/// A client's idle connection ends after this. (storage-and-onion 1.3)
const CLIENT_IDLE: Duration = Duration::from_secs(30);
/// Nodes hold their connections. (storage-and-onion 5.6)
const NODE_IDLE: Duration = Duration::from_secs(60);
const NODE_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Connections of clients from one address; behind one may be many people.
const MAX_PER_ADDRESS: usize = 512;
/// The name in the handshake that reference clients send. (storage-and-onion 1.3)
const SERVER_NAME: &str = "localhost";

/// What an endpoint does for those who connect to it.
#[derive(Clone)]
pub struct Options {
    /// Answers every request, on connections in both directions.
    pub handler: Handler,
    /// Which keys may connect as nodes.
    pub is_node: Arc<dyn Fn(&Ed25519Public) -> bool + Send + Sync>,
    /// Told of every connection a node has made to us.
    pub on_node: Arc<dyn Fn(Connection) + Send + Sync>,
}

impl Options {
    /// Serves nothing and nobody: for programs that only dial.
    pub fn dial_only() -> Self {
        Self {
            handler: Arc::new(|_, endpoint, _| {
                Box::pin(async move { Err(format!("Invalid endpoint '{endpoint}'").into()) })
            }),
            is_node: Arc::new(|_| false),
            on_node: Arc::new(|_| ()),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Options")
    }
}

/// A bound endpoint. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    secret: Ed25519Secret,
    options: Options,
    accepting: Option<tokio::task::JoinHandle<()>>,
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
        config.transport_config(Arc::new(transport(NODE_IDLE, None)));
        let endpoint = quinn::Endpoint::server(config, address)?;
        let accepting = tokio::spawn(accept_loop(endpoint.clone(), options.clone()));
        Ok(Self { endpoint, secret: secret.clone(), options, accepting: Some(accepting) })
    }

    /// An endpoint that only dials, from any port, with `secret`'s key (clients take a fresh one).
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn dialler(secret: &Ed25519Secret) -> io::Result<Self> {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
        Ok(Self { endpoint, secret: secret.clone(), options: Options::dial_only(), accepting: None })
    }

    /// Where it is bound, with the port it really got.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Connects to the holder of `key` at `address`.
    ///
    /// # Errors
    /// [`DialError`]; nobody else than the holder of the key can make this succeed.
    pub async fn dial(
        &self,
        address: SocketAddr,
        key: Ed25519Public,
        alpn: Alpn,
    ) -> Result<Connection, DialError> {
        let local = |error: &dyn std::fmt::Display| DialError::Local(error.to_string());
        let tls = tls::client(&self.secret, key, alpn).map_err(|e| local(&e))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|e| local(&e))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(match alpn {
            Alpn::Client => transport(CLIENT_IDLE, None),
            Alpn::Node => transport(NODE_IDLE, Some(NODE_KEEP_ALIVE)),
        }));
        let connecting = self.endpoint.connect_with(config, address, SERVER_NAME).map_err(|e| local(&e))?;
        let connection = tokio::time::timeout(DIAL_TIMEOUT, connecting)
            .await
            .map_err(|_| DialError::Timeout)?
            .map_err(|e| match e {
                quinn::ConnectionError::TimedOut => DialError::Timeout,
                other => DialError::Handshake(other.to_string()),
            })?;
        let peer = Peer { address, key, alpn };
        Ok(Connection::start(connection, peer, Arc::clone(&self.options.handler)))
    }

    /// Closes all connections and waits until the peers have been told, at most for `bound`.
    pub async fn shutdown(mut self, bound: Duration) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
        self.endpoint.close(0u32.into(), b"");
        let _ = tokio::time::timeout(bound, self.endpoint.wait_idle()).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.endpoint.close(0u32.into(), b"");
    }
}

fn transport(idle: Duration, keep_alive: Option<Duration>) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .receive_window(VarInt::from_u32(MAX_DATA))
        .stream_receive_window(VarInt::from_u32(MAX_STREAM_DATA))
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .keep_alive_interval(keep_alive);
    config
}

async fn accept_loop(endpoint: quinn::Endpoint, options: Options) {
    let slots = Slots::new(MAX_CONNECTIONS, MAX_PER_ADDRESS);
    while let Some(incoming) = endpoint.accept().await {
        let Some(slot) = slots.take(incoming.remote_address().ip()) else {
            incoming.refuse();
            continue;
        };
        let options = options.clone();
        tokio::spawn(async move {
            let connection = match incoming.await {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::debug!(%error, "a QUIC handshake failed");
                    return;
                }
            };
            let Some(peer) = identify(&connection) else {
                connection.close(0u32.into(), b"");
                return;
            };
            if peer.alpn == Alpn::Node && !(options.is_node)(&peer.key) {
                connection.close(CLOSE_NOT_A_NODE.into(), b"not in the node list");
                return;
            }
            let connection = Connection::start(connection, peer, Arc::clone(&options.handler));
            if peer.alpn == Alpn::Node {
                (options.on_node)(connection.clone());
            }
            connection.closed().await;
            drop(slot);
        });
    }
}

/// Which key and protocol the other side proved and chose.
fn identify(connection: &quinn::Connection) -> Option<Peer> {
    let keys = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let key = tls::key_of(keys.first()?)?;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let alpn = Alpn::from_name(data.protocol.as_deref()?)?;
    Some(Peer { address: connection.remote_address(), key, alpn })
}
