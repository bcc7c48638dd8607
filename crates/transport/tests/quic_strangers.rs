//! What programs other than ours may send over QUIC: a client written against the TLS and QUIC
//! libraries alone, which does as it likes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conclave_crypto::Ed25519Secret;
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Endpoint, Handler, Lane, Options, RequestError};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn server() -> Endpoint {
    let handler: Handler = Arc::new(|asked| {
        Box::pin(async move { Ok(asked.body.iter().rev().copied().collect::<Vec<u8>>().into()) })
    });
    Endpoint::listen(LOOPBACK, &Ed25519Secret::from_seed(&[1; 32]), Options::new(handler)).unwrap()
}

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
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_keys
    }
}

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
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
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_keys
    }
}

/// The key of `shown`, with the signatures of `owned` (RFC 8410: PKCS #8 of a seed, and the
/// SubjectPublicKeyInfo of a key).
fn raw_key(shown: u8, owned: u8) -> Arc<rustls::sign::CertifiedKey> {
    let mut pkcs8 = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pkcs8.extend([owned; 32]);
    let mut spki = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    spki.extend(Ed25519Secret::from_seed(&[shown; 32]).public().as_bytes());
    let signer = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    Arc::new(rustls::sign::CertifiedKey::new(vec![CertificateDer::from(spki)], signer))
}

enum Shows {
    RawKey,
    SomebodyElsesKey,
    Nothing,
    X509,
}

/// Connects with what it shows, and waits for the first stream to be usable.
async fn stranger(to: SocketAddr, shows: Shows, alpn: &[u8]) -> Result<quinn::Connection, String> {
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone { raw_keys: !matches!(shows, Shows::X509) }));
    let mut config = match shows {
        Shows::RawKey | Shows::SomebodyElsesKey => {
            let shown = if matches!(shows, Shows::RawKey) { 5 } else { 6 };
            let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(raw_key(shown, 5));
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
        Shows::Nothing => builder.with_no_client_auth(),
        Shows::X509 => {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            builder.with_client_auth_cert(vec![made.cert.der().clone()], key.into()).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let connection =
        endpoint.connect_with(config, to, "localhost").unwrap().await.map_err(|error| error.to_string())?;
    // A client takes the handshake for finished before the server has seen what it shows.
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
    send.write_all(b"20:l1:Ci1e4:echo4:abcde").await.map_err(|error| error.to_string())?;
    let mut reply = [0; 17];
    receive.read_exact(&mut reply).await.map_err(|error| error.to_string())?;
    assert_eq!(&reply, b"14:l1:Ri1e4:dcbae");
    Ok(connection)
}

#[tokio::test]
async fn another_program_with_a_raw_key_is_served() {
    let server = server();
    stranger(server.local_addr().unwrap(), Shows::RawKey, b"oxenstorage").await.unwrap();
}

#[tokio::test]
async fn who_shows_a_certificate_or_nothing_or_speaks_something_else_is_refused() {
    let server = server();
    let address = server.local_addr().unwrap();
    stranger(address, Shows::X509, b"oxenstorage").await.unwrap_err();
    stranger(address, Shows::Nothing, b"oxenstorage").await.unwrap_err();
    stranger(address, Shows::RawKey, b"h3").await.unwrap_err();
    stranger(address, Shows::RawKey, b"oxenstorage-sn").await.unwrap_err();
    stranger(address, Shows::SomebodyElsesKey, b"oxenstorage").await.unwrap_err();
    // And the server is none the worse for it.
    stranger(address, Shows::RawKey, b"oxenstorage").await.unwrap();
}

#[tokio::test]
async fn a_server_that_shows_a_key_it_does_not_have_is_refused() {
    for (owned, is_accepted) in [(1, true), (2, false)] {
        let mut config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_client_cert_verifier(Arc::new(Anyone { raw_keys: true }))
                .with_cert_resolver(Arc::new(rustls::server::AlwaysResolvesServerRawPublicKeys::new(
                    raw_key(1, owned),
                )));
        config.alpn_protocols = vec![b"oxenstorage".to_vec()];
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(config).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let server = quinn::Endpoint::server(config, LOOPBACK).unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move {
            if let Ok(connection) = server.accept().await.unwrap().await {
                connection.closed().await;
            }
        });
        let key = Ed25519Secret::from_seed(&[1; 32]).public();
        let dialled = Endpoint::client().unwrap().dial(address, key, Alpn::Client).await;
        assert_eq!(dialled.is_ok(), is_accepted, "{dialled:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_frame_end_their_stream_and_nothing_else() {
    let server = server();
    let connection = stranger(server.local_addr().unwrap(), Shows::RawKey, b"oxenstorage").await.unwrap();
    for bad in [&b"10000001:l"[..], b"0:", b"x", b"123456789012", b"4:abcd"] {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(bad).await.unwrap();
        let ended = receive.read_to_end(100).await;
        assert!(matches!(ended, Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_)))), "{ended:?}");
    }
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"20:l1:Ci7e4:echo4:abcde").await.unwrap();
    let mut reply = [0; 17];
    receive.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"14:l1:Ri7e4:dcbae");
}

#[tokio::test]
async fn a_stream_may_be_finished_before_its_answers() {
    let server = server();
    let connection = stranger(server.local_addr().unwrap(), Shows::RawKey, b"oxenstorage").await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"20:l1:Ci7e4:echo4:abcde").await.unwrap();
    send.finish().unwrap();
    assert_eq!(receive.read_to_end(100).await.unwrap(), b"14:l1:Ri7e4:dcbae");
}

/// Carries datagrams between one client and one of two servers, which are one to the client.
async fn relay(socket: tokio::net::UdpSocket, servers: [SocketAddr; 2], current: Arc<AtomicUsize>) {
    let outer = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    let (mut client, mut from_client, mut from_server) = (None, [0; 2048], [0; 2048]);
    loop {
        tokio::select! {
            got = socket.recv_from(&mut from_client) => {
                let (length, from) = got.unwrap();
                client = Some(from);
                let to = servers[current.load(Ordering::SeqCst)];
                outer.send_to(&from_client[..length], to).await.unwrap();
            }
            got = outer.recv_from(&mut from_server) => {
                let (length, from) = got.unwrap();
                if let (Some(client), true) = (client, from == servers[current.load(Ordering::SeqCst)]) {
                    socket.send_to(&from_server[..length], client).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_restarted_node_ends_old_connections_at_their_first_packet() {
    let (before, after) = (server(), server());
    let front = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = front.local_addr().unwrap();
    let current = Arc::new(AtomicUsize::new(0));
    let servers = [before.local_addr().unwrap(), after.local_addr().unwrap()];
    let relaying = tokio::spawn(relay(front, servers, Arc::clone(&current)));
    let client = Endpoint::client().unwrap();
    let key = Ed25519Secret::from_seed(&[1; 32]).public();
    let connection = client.dial(address, key, Alpn::Client).await.unwrap();
    let ask = || connection.request(Lane::Commands, "echo", b"ab", Deadline::after(Duration::from_secs(20)));
    assert_eq!(ask().await.unwrap(), "ba");
    current.store(1, Ordering::SeqCst);
    let lost = ask().await;
    assert!(matches!(&lost, Err(RequestError::Closed(why)) if why.contains("reset")), "{lost:?}");
    client.dial(address, key, Alpn::Client).await.unwrap();
    relaying.abort();
}
