//! The authorities whose certificates are believed, for servers that are known by name alone.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::CertificateError;

/// A list of certificate authorities, and TLS that trusts nobody else. Clones share it.
///
/// The list comes with the program (`webpki-roots`) instead of from the machine: the same everywhere, also in a
/// container or behind a sandbox where there is none.
#[derive(Clone, Debug)]
pub struct Authorities {
    config: Arc<ClientConfig>,
}

impl Authorities {
    /// The authorities that browsers trust, and those of the PEM texts besides: an operator's own.
    ///
    /// # Errors
    /// A text holds no certificate, or one that cannot be an authority.
    pub fn web_and(own: &[impl AsRef<[u8]>]) -> Result<Self, CertificateError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for pem in own {
            let mut found = false;
            for certificate in CertificateDer::pem_slice_iter(pem.as_ref()) {
                let certificate = certificate.map_err(CertificateError::Pem)?;
                roots.add(certificate).map_err(CertificateError::Unusable)?;
                found = true;
            }
            if !found {
                return Err(CertificateError::Pem(rustls_pki_types::pem::Error::NoItemsFound));
            }
        }
        Self::of(roots).map_err(CertificateError::Unusable)
    }

    /// The authorities that browsers trust.
    pub fn web() -> Self {
        static WEB: OnceLock<Authorities> = OnceLock::new();
        WEB.get_or_init(|| Self::web_and(&[""; 0]).expect("the list that comes with the program can be used"))
            .clone()
    }

    pub(super) fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    fn of(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumption ticket would tell a server that two connections have one owner.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }
}
