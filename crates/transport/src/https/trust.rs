//! Which certificates the dialling side accepts.

use std::sync::Arc;

use conclave_crypto::hash::sha256;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Whose certificate is good enough. Wherever there is one, the server must prove by its handshake
/// signature that it has the certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Any certificate: for service nodes, where integrity comes from the onion layer or from
    /// signatures in the body. TLS then only keeps passers-by from reading.
    AnyCertificate,
    /// Exactly the certificate whose DER has this SHA-256: for seeds.
    PinnedSha256([u8; 32]),
    /// One for the server's name, valid now, from an authority the client was made with
    /// ([`Client::with_authorities`](super::Client::with_authorities)): for servers known by name alone.
    Authority,
    /// No TLS at all: for bodies that are sealed for their reader, where the client asks for it.
    Nobody,
}

/// The certificate is not the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not the pinned one")]
pub(super) struct PinMissed {
    pub(super) expected: [u8; 32],
    pub(super) found: [u8; 32],
}

impl Trust {
    /// TLS for dialling with this trust; [`Self::Authority`] and [`Self::Nobody`] let nobody in with it. Connections never
    /// resume one another.
    ///
    /// # Errors
    /// If the ciphers that are built in do not serve TLS.
    pub fn client_config(self) -> Result<rustls::ClientConfig, rustls::Error> {
        let provider = super::provider();
        let verifier = Arc::new(Verifier { trust: self, provider: Arc::clone(&provider) });
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumption ticket would tell a server that two connections have one owner.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.trust {
            Trust::AnyCertificate => Ok(ServerCertVerified::assertion()),
            // These two have no use for this verifier; were it asked, nobody would be let in.
            Trust::Authority | Trust::Nobody => Err(CertificateError::UnknownIssuer.into()),
            Trust::PinnedSha256(expected) => {
                let found = sha256(&[end_entity]);
                if found == expected {
                    return Ok(ServerCertVerified::assertion());
                }
                let missed = OtherError(Arc::new(PinMissed { expected, found }));
                Err(CertificateError::Other(missed).into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
