//! Doors to private decoders, for the fuzz targets and nobody else. Not part of the API.

use conclave_crypto::Account;

use crate::profile::key_in;
use crate::store::DatabaseKey;
use crate::wire::Opened;

/// What stored bytes say to the owner of `account`.
pub fn open_message(account: &Account, data: &[u8]) -> Opened {
    crate::wire::open(account, data)
}

/// The key in the text of a `key.json` that needs no passphrase.
pub fn open_key_file(text: &[u8]) -> Option<DatabaseKey> {
    key_in(text)
}
