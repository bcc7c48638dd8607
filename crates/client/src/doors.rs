//! Doors for fuzz targets and tests, and nobody else. Not part of the API.

use conclave_crypto::{Account, AccountId, CryptoRngCore};
use conclave_proto::Timestamp;
use conclave_proto::content::Content;

use crate::client::Client;
use crate::error::Error;

use crate::profile::key_in;
use crate::store::DatabaseKey;
use crate::types::{Message, NewAttachment, NewMessage};
use crate::wire::Opened;

/// What stored bytes say to the owner of `account`.
pub fn open_message(account: &Account, data: &[u8]) -> Opened {
    crate::wire::open(account, data)
}

/// The bytes a swarm keeps of what `sender` says to `to`, which ought to be a serialized `Content`. `None` if `to` is nobody's
/// account.
pub fn seal_message(
    sender: &Account,
    to: &AccountId,
    content: &[u8],
    sent_at: Timestamp,
    rng: &mut impl CryptoRngCore,
) -> Option<Vec<u8>> {
    Some(crate::wire::seal(sender, &to.x25519().ok()?, content, sent_at, rng))
}

/// Lets the database of a client not grow any more, as on a full disk; or grow again.
///
/// # Errors
/// What the database says.
pub async fn fill_disk(client: &Client, full: bool) -> Result<(), Error> {
    client.fill_disk(full).await
}

/// The key in the text of a `key.json` that needs no passphrase.
pub fn open_key_file(text: &[u8]) -> Option<DatabaseKey> {
    key_in(text)
}

/// Does what follows when the machine's way to the network changes.
pub async fn change_way(client: &Client) {
    client.begin_anew().await;
}

/// Sends a message with its files, as [`Account::send`](crate::Account::send) does, for a client without a session.
///
/// # Errors
/// As there.
pub async fn send_message(client: &Client, to: &AccountId, new: NewMessage) -> Result<Message, Error> {
    client.send_new(to, new).await
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

/// Sends a file to oneself without a network to keep it: it is here, and stays here.
///
/// # Errors
/// As sending one.
pub async fn send_unplaced(client: &Client, file: &NewAttachment) -> Result<Message, Error> {
    let own = client.account().await?.account_id;
    client.send_unplaced(&client.resolve_chat(&own).await?, file).await
}
