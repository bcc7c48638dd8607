//! TLS 1.3 with raw Ed25519 public keys in place of certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureAlgorithm, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};

use super::Alpn;
use crate::https::provider;

/// `SubjectPublicKeyInfo` of an Ed25519 key, before the key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The key behind a raw public key, if it is an Ed25519 key we would use.
pub(super) fn key_of(spki: &[u8]) -> Option<Ed25519Public> {
    Ed25519Public::from_slice(spki.strip_prefix(&SPKI_PREFIX)?).ok()
}

/// Our own key in the form TLS takes.
fn identity(secret: &Ed25519Secret) -> Arc<CertifiedKey> {
    let spki = [&SPKI_PREFIX[..], secret.public().as_bytes()].concat();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], Arc::new(KeyOwner(secret.clone()))))
}

/// Signs with the secret where it is, so that there is no copy of it that is not wiped.
#[derive(Clone, Debug)]
struct KeyOwner(Ed25519Secret);

impl SigningKey for KeyOwner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for KeyOwner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.0.sign(message).as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// For the listening side: shows `secret`'s key, requires a key of whoever connects.
pub(super) fn server(secret: &Ed25519Secret) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = provider();
    let verifier = Arc::new(AnyKey { algorithms: provider.signature_verification_algorithms });
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(identity(secret));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![Alpn::Node.name().to_vec(), Alpn::Client.name().to_vec()];
    // Nobody is let in by a ticket: every connection proves its key anew.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For dialling the holder of `expected`, showing `secret`'s key. `impostor` is set if the server
/// has another key: the QUIC layer reports only that the handshake failed.
pub(super) fn client(
    secret: &Ed25519Secret,
    expected: Ed25519Public,
    alpn: Alpn,
    impostor: Arc<AtomicBool>,
) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = provider();
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(ExactKey { expected, algorithms, impostor });
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(identity(secret));
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![alpn.name().to_vec()];
    // A resumption ticket would tell a server that two connections have one owner.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn verify_raw(
    message: &[u8],
    spki: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    if dss.scheme != SignatureScheme::ED25519 {
        return Err(rustls::PeerIncompatible::NoSignatureSchemesInCommon.into());
    }
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    rustls::crypto::verify_tls13_signature_with_raw_key(message, &spki, dss, algorithms)
}

fn no_tls12<T>() -> Result<T, rustls::Error> {
    Err(rustls::PeerIncompatible::Tls12NotOffered.into())
}

/// Accepts exactly one server key.
#[derive(Debug)]
struct ExactKey {
    expected: Ed25519Public,
    algorithms: WebPkiSupportedAlgorithms,
    impostor: Arc<AtomicBool>,
}

impl ServerCertVerifier for ExactKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match key_of(end_entity) {
            Some(key) if key == self.expected => Ok(ServerCertVerified::assertion()),
            Some(_) => {
                self.impostor.store(true, Ordering::Relaxed);
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_raw(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Requires a proven Ed25519 key of a client; which one is looked at after the handshake, when the
/// protocol is known too.
#[derive(Debug)]
struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        key_of(end_entity)
            .map(|_| ClientCertVerified::assertion())
            .ok_or_else(|| CertificateError::BadEncoding.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_raw(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
