//! The key of the database.

use conclave_crypto::RngCore;
use conclave_crypto::hash::{blake2b_256_keyed, constant_time_eq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Label of [`DatabaseKey::check_value`].
const CHECK_LABEL: &[u8] = b"conclave database key check v1";

/// The 32 bytes that encrypt a profile's database (SQLCipher's raw key).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DatabaseKey([u8; 32]);

impl DatabaseKey {
    /// A key that exists already, from a key file or a passphrase.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh key.
    pub fn generate(rng: &mut (impl RngCore + conclave_crypto::CryptoRng)) -> Self {
        let mut key = Self([0; 32]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// Lowercase hex, for the key file.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }

    /// Reads [`Self::to_hex`].
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = Self([0; 32]);
        hex::decode_to_slice(text, &mut key.0).ok()?;
        Some(key)
    }

    /// A value from which nobody learns the key, kept beside the database: with it a wrong
    /// passphrase is told from a damaged database. (It helps guessing passphrases no more than the
    /// database itself does.)
    pub fn check_value(&self) -> [u8; 32] {
        blake2b_256_keyed(&self.0, &[CHECK_LABEL])
    }

    /// Whether `check` was made from this key.
    pub fn matches(&self, check: &[u8]) -> bool {
        constant_time_eq(&self.check_value(), check)
    }

    /// The statement that gives SQLCipher the key.
    pub(super) fn statement(&self) -> Zeroizing<String> {
        self.pragma("key")
    }

    /// The statement that makes SQLCipher encrypt everything with this key instead of the one the file was opened with.
    pub(super) fn rekey_statement(&self) -> Zeroizing<String> {
        self.pragma("rekey")
    }

    fn pragma(&self, name: &str) -> Zeroizing<String> {
        // Room for all of it at once: growing would leave copies behind.
        let mut statement = Zeroizing::new(String::with_capacity(96));
        statement.push_str("PRAGMA ");
        statement.push_str(name);
        statement.push_str(" = \"x'");
        statement.push_str(&self.to_hex());
        statement.push_str("'\"");
        statement
    }
}

impl std::fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseKey(hidden)")
    }
}
