//! Clients written against the TLS and QUIC libraries alone, which send what they like.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use conclave_crypto::Ed25519Secret;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Takes whatever it is shown.
#[derive(Debug)]
struct Anyone {
    raw_keys: bool,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_keys
    }
}

fn config(
    version: &'static SupportedProtocolVersion,
    raw_keys: bool,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { raw_keys }))
}

/// Sends bytes over TLS of that version and reads until the node closes, or until the text that is waited for has come.
pub async fn https(
    to: SocketAddr,
    version: &'static SupportedProtocolVersion,
    request: &[u8],
    until: Option<&str>,
) -> String {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config(version, false).with_no_client_auth()));
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from("nobody.invalid").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        // A close without goodbye is a close.
        let read = stream.read(&mut piece).await.unwrap_or(0);
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        if read == 0 || until.is_some_and(|until| text.contains(until)) {
            return text.into_owned();
        }
    }
}

/// What a QUIC client shows of itself.
pub enum Shows {
    RawKey,
    Nothing,
}

/// RFC 8410: PKCS #8 of a seed, and the SubjectPublicKeyInfo of its key.
fn raw_key(seed: u8) -> Arc<rustls::sign::CertifiedKey> {
    let mut pkcs8 = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pkcs8.extend([seed; 32]);
    let mut spki = hex::decode("302a300506032b6570032100").unwrap();
    spki.extend(Ed25519Secret::from_seed(&[seed; 32]).public().as_bytes());
    let signer = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    Arc::new(rustls::sign::CertifiedKey::new(vec![CertificateDer::from(spki)], signer))
}

/// Connects, and has the first ping answered: a client takes the handshake for finished before the node has seen what it
/// shows. The error is what the connection ended with.
pub async fn quic(
    to: SocketAddr,
    shows: Shows,
    alpn: &[u8],
) -> Result<quinn::Connection, quinn::ConnectionError> {
    connect(to, shows, alpn).await.map(|(connection, _)| connection)
}

/// Connects as a client; gives what is read of the first stream after the ping.
pub async fn quic_and_first_stream(to: SocketAddr, shows: Shows) -> (quinn::Connection, First) {
    connect(to, shows, b"oxenstorage").await.unwrap()
}

/// A first stream, kept open.
pub struct First {
    _send: quinn::SendStream,
    receive: quinn::RecvStream,
}

impl First {
    pub async fn read_exact(&mut self, into: &mut [u8]) -> Result<(), quinn::ReadExactError> {
        self.receive.read_exact(into).await
    }
}

async fn connect(
    to: SocketAddr,
    shows: Shows,
    alpn: &[u8],
) -> Result<(quinn::Connection, First), quinn::ConnectionError> {
    let config = config(&rustls::version::TLS13, true);
    let mut config = match shows {
        Shows::RawKey => {
            let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(raw_key(5));
            config.with_client_cert_resolver(Arc::new(resolver))
        }
        Shows::Nothing => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let connection = endpoint.connect_with(config, to, "localhost").unwrap().await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let mut pong = [0; 17];
    let asked = send.write_all(b"23:l1:Ci1e10:snode_ping0:e").await;
    if asked.is_err() || receive.read_exact(&mut pong).await.is_err() {
        return Err(connection.closed().await);
    }
    assert_eq!(&pong, b"14:l1:Ri1e4:ponge");
    Ok((connection, First { _send: send, receive }))
}

/// Writes bytes to a new stream and reads so many. `None` if the stream ends before.
pub async fn exchange(connection: &quinn::Connection, bytes: &[u8], answer: usize) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(bytes).await.ok()?;
    let mut read = vec![0; answer];
    receive.read_exact(&mut read).await.ok()?;
    Some(read)
}
