//! A self-signed certificate and its key, in memory and in files.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conclave_crypto::hash::sha256;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// How long a new certificate is valid. Nobody checks it (storage-and-onion 1.1), and a pinned one
/// has to outlive the network files that name it.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// A certificate's clock starts a day early, for machines whose clocks are slow.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);
/// The subject that service nodes give themselves. (storage-and-onion 1.1)
const SUBJECT: &str = "localhost";

const CERTIFICATE_FILE: &str = "cert.pem";
const KEY_FILE: &str = "key.pem";

/// A certificate with its private key.
#[derive(Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Making a key or signing the certificate failed: a fault of this program or its machine.
    #[error("making a certificate failed")]
    Making(#[source] rcgen::Error),
    /// The text is not a PEM certificate or key.
    #[error("not a PEM certificate or private key")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// Certificate and key are of a kind TLS does not take, or do not belong together.
    #[error("the certificate and its key do not work together")]
    Unusable(#[source] rustls::Error),
    /// A file could not be read or written.
    #[error("{action} {file} failed")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file's name inside the directory.
        file: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// There is a certificate without its key. Restore the key, or remove the certificate (whoever
    /// pinned it must then be given the new one).
    #[error("{CERTIFICATE_FILE} is there, but {KEY_FILE} is missing")]
    KeyMissing,
}

impl Certificate {
    /// A new self-signed P-256 certificate for `CN=localhost`, valid for ten years.
    ///
    /// # Errors
    /// [`CertificateError::Making`].
    pub fn generate() -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CertificateError::Making)?;
        Self::issue(&key)
    }

    /// The certificate and key that [`Self::certificate_pem`] and [`Self::key_pem`] gave, or others
    /// that TLS can use (node operators may bring their own).
    ///
    /// # Errors
    /// The texts are not PEM, or do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CertificateError> {
        let der =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(CertificateError::Pem)?;
        let made = Self {
            der,
            certificate_pem: certificate_pem.to_owned(),
            key_pem: Zeroizing::new(key_pem.to_owned()),
        };
        made.server_config()?;
        Ok(made)
    }

    /// Reads `cert.pem` and `key.pem` from `directory`, or makes them there. The key is written
    /// first and readable by its owner only; a directory where it was written and the certificate
    /// was not (a crash between the two) gets a certificate for that key.
    ///
    /// # Errors
    /// Files that cannot be read, written or used, and a certificate without key.
    pub fn load_or_create(directory: &Path) -> Result<Self, CertificateError> {
        let certificate_pem = read(directory, CERTIFICATE_FILE)?;
        let key_pem = read(directory, KEY_FILE)?;
        match (certificate_pem, key_pem) {
            (Some(certificate), Some(key)) => Self::from_pem(&certificate, &key),
            (Some(_), None) => Err(CertificateError::KeyMissing),
            (None, Some(key)) => {
                let made = Self::issue(&KeyPair::from_pem(&key).map_err(CertificateError::Making)?)?;
                write(directory, CERTIFICATE_FILE, &made.certificate_pem, Secrecy::Public)?;
                Ok(made)
            }
            (None, None) => {
                let made = Self::generate()?;
                write(directory, KEY_FILE, &made.key_pem, Secrecy::OwnerOnly)?;
                write(directory, CERTIFICATE_FILE, &made.certificate_pem, Secrecy::Public)?;
                Ok(made)
            }
        }
    }

    /// The certificate as PEM text. Not secret.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as PEM text (PKCS #8). Secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// SHA-256 of the DER certificate: what a network file pins. (storage-and-onion 7.1)
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&[&self.der])
    }

    /// TLS for a listener that shows this certificate and asks for none.
    ///
    /// # Errors
    /// If TLS cannot use certificate or key.
    pub fn server_config(&self) -> Result<rustls::ServerConfig, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(CertificateError::Pem)?;
        let mut config = rustls::ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![self.der.clone()], key))
            .map_err(CertificateError::Unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn issue(key: &KeyPair) -> Result<Self, CertificateError> {
        let mut params =
            CertificateParams::new(vec![SUBJECT.to_owned()]).map_err(CertificateError::Making)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, SUBJECT);
        params.distinguished_name = subject;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + now.saturating_sub(BACKDATED);
        params.not_after = epoch + now + VALIDITY;
        let made = params.self_signed(key).map_err(CertificateError::Making)?;
        Ok(Self {
            der: made.der().clone(),
            certificate_pem: made.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate(key hidden)")
    }
}

#[derive(Clone, Copy)]
enum Secrecy {
    Public,
    OwnerOnly,
}

fn read(directory: &Path, file: &'static str) -> Result<Option<Zeroizing<String>>, CertificateError> {
    match fs::read_to_string(directory.join(file)) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(CertificateError::File { action: "reading", file, cause }),
    }
}

/// Writes beside and renames, so that a crash leaves the whole file or none.
fn write(directory: &Path, file: &'static str, text: &str, secrecy: Secrecy) -> Result<(), CertificateError> {
    let beside = directory.join(format!("{file}.new"));
    let attempt = || {
        // Left over from a crash; its permissions are not to be trusted.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut opened = create_new(&beside, secrecy)?;
        opened.write_all(text.as_bytes())?;
        opened.sync_all()?;
        fs::rename(&beside, directory.join(file))
    };
    attempt().map_err(|cause| CertificateError::File { action: "writing", file, cause })
}

fn create_new(path: &Path, secrecy: Secrecy) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if matches!(secrecy, Secrecy::OwnerOnly) {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secrecy; // There the directory's own access list protects its files.
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let first = Certificate::load_or_create(dir.path()).unwrap();
        let again = Certificate::load_or_create(dir.path()).unwrap();
        assert_eq!(first.sha256(), again.sha256());
        assert_eq!(first.key_pem(), again.key_pem());
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        Certificate::load_or_create(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join("key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_mended_and_a_lost_key_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let first = Certificate::load_or_create(dir.path()).unwrap();
        fs::remove_file(dir.path().join("cert.pem")).unwrap();
        let mended = Certificate::load_or_create(dir.path()).unwrap();
        assert_eq!(first.key_pem(), mended.key_pem());
        fs::remove_file(dir.path().join("key.pem")).unwrap();
        assert!(matches!(Certificate::load_or_create(dir.path()), Err(CertificateError::KeyMissing)));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        assert!(matches!(
            Certificate::from_pem(one.certificate_pem(), other.key_pem()),
            Err(CertificateError::Unusable(_))
        ));
        assert!(matches!(Certificate::from_pem("nonsense", "nonsense"), Err(CertificateError::Pem(_))));
    }
}
