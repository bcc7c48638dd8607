//! HTTP/1.1 over TLS: the self-signed certificate of a node, a listener, and a client with a pool.
//!
//! A node's certificate proves nothing about who the node is (storage-and-onion 1.1): bodies are
//! protected by the onion layer or by signatures in them. Seeds are told by their certificate,
//! through its pinned hash (storage-and-onion 7.1); servers that requests are passed on to, by an
//! authority's word for their name (6.4). [`Trust`] is the choice.

mod authorities;
mod certificate;
mod client;
mod error;
mod trust;
mod url;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub use authorities::Authorities;
pub use certificate::{Certificate, CertificateError};
pub use client::{Address, Client, MAX_RESPONSE_BODY, Post, Response, Target};
pub use error::Error;
pub use trust::Trust;
pub use url::split_url;

use crate::http::{self, Incoming, Options, Reply, Server};

/// Listens on `address` (port 0 takes a free one) with TLS 1.2 and 1.3.
///
/// The future that `handler` returns is dropped when its client goes away; work that must not stop
/// half way belongs in a task of its own.
///
/// # Errors
/// The address cannot be bound, or the certificate and its key do not work (`InvalidInput`).
pub async fn listen<H, F>(
    address: SocketAddr,
    certificate: &Certificate,
    options: Options,
    handler: H,
) -> io::Result<Server>
where
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let tls =
        certificate.server_config().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    http::start(address, http::Settings { options, tls: Some(Arc::new(tls)) }, handler).await
}

/// The cipher suites, signatures and key exchanges of this crate, chosen here and never through
/// the process-wide default, which other code could change.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
