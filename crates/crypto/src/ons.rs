//! Account ids registered under a name (client-messages 1.5): the hash to ask for, and the
//! decryption of the answer with the name as key.

use zeroize::Zeroizing;

use crate::aead::{self, NONCE_LENGTH, OpenError};
use crate::hash::{blake2b_256, blake2b_256_keyed};
use crate::id::{AccountId, IdPrefix};

/// Why a registered value gives no account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameValueError {
    /// Not encrypted with this name.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is inside is no account id.
    #[error("what is registered under this name is no account id")]
    NotAnAccount,
}

/// The hash under which a name is looked up. Names are lower-cased first.
pub fn name_hash(name: &str) -> [u8; 32] {
    blake2b_256(&[name.to_lowercase().as_bytes()])
}

/// The account id registered under a name.
///
/// # Errors
/// If the value was not made for this name, or holds something else.
pub fn open(name: &str, encrypted: &[u8], nonce: &[u8; NONCE_LENGTH]) -> Result<AccountId, NameValueError> {
    let name = Zeroizing::new(name.to_lowercase());
    let key = Zeroizing::new(blake2b_256_keyed(&name_hash(&name), &[name.as_bytes()]));
    let id = AccountId::from_slice(&aead::open(&key, nonce, encrypted)?)
        .map_err(|_| NameValueError::NotAnAccount)?;
    if id.prefix() == IdPrefix::Account { Ok(id) } else { Err(NameValueError::NotAnAccount) }
}
