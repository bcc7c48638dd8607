//! Doors for fuzz targets and tests, and nobody else. Not part of the API.

use conclave_crypto::{Account, AccountId};
use conclave_proto::Timestamp;
use conclave_proto::content::Content;

use crate::client::Client;
use crate::error::Error;

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

/// Does what follows when the machine's way to the network changes.
pub async fn change_way(client: &Client) {
    client.begin_anew().await;
}

/// Sends a content as it is, as another program would that writes it differently.
///
/// # Errors
/// What the database says.
pub async fn send_content(
    client: &Client,
    to: &AccountId,
    content: Content,
    sent_at: Timestamp,
) -> Result<(), Error> {
    client.send_content(to, content, sent_at).await
}
