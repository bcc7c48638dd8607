//! TLS for the measuring side: a client that takes any certificate, and a server that does nothing but answer.

use std::net::SocketAddr;
use std::sync::Arc;

use conclave_transport::https::Certificate;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{BenchError, io};

/// As long as an answer to `info`.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 74\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n{\"hf\":[22,0],\"t\":1700000000000,\"version\":[2,12,0],\"timestamp\":170000000000}";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Dials nodes, which show certificates that nobody has signed. Every connection makes a whole handshake.
pub(super) fn client() -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("it is a name")
}

/// The measured nodes are our own processes, so whose certificate it is does not matter; the signature is checked, since
/// that costs what it costs everybody.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Answers whatever comes in one read, over TLS, without reading it. Ends with the runtime.
pub(super) async fn bare_server() -> Result<SocketAddr, BenchError> {
    let certificate = Certificate::generate()?;
    let unusable = |error: rustls_pki_types::pem::Error| BenchError::Failed(error.to_string());
    let der = CertificateDer::from_pem_slice(certificate.certificate_pem().as_bytes()).map_err(unusable)?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).map_err(unusable)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![der], key))
        .map_err(|error| BenchError::Failed(error.to_string()))?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(io("listening"))?;
    let address = listener.local_addr().map_err(io("listening"))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    Ok(address)
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; 16 * 1024];
    while stream.read(&mut buffer).await? > 0 {
        stream.write_all(ANSWER).await?;
        stream.flush().await?;
    }
    Ok(())
}
