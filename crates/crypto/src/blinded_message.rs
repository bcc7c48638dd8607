//! Direct messages between blinded identities of one community server (client-messages 3.8).
//!
//! The sender's true key travels inside, so that a message turns strangers into contacts; it is
//! believed only if blinding it gives the id under which the server delivered the message.
//! Content is padded before and unpadded after by the caller.

use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::aead::{self, NONCE_LENGTH, OpenError};
use crate::blinding::{BlindedKey, BlindingScheme, factor_15, signed_factor_25};
use crate::hash::blake2b_256;
use crate::id::AccountId;
use crate::keys::{Ed25519Public, Ed25519Secret, InvalidKey};
use crate::scalar;

/// The only version there is, the first byte.
const VERSION: u8 = 0;

/// Why a blinded message could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlindedMessageError {
    /// Sender and recipient are not blinded ids of one scheme. The caller's mistake.
    #[error("sender and recipient are not two blinded ids of one scheme")]
    Scheme,
    /// Neither of the two ids is this account's at this server.
    #[error("the message is neither to nor from this account")]
    NotOurs,
    /// The other's id holds no usable key.
    #[error("the other's blinded id cannot be used: {0}")]
    OtherKey(#[source] InvalidKey),
    /// A version this code does not know.
    #[error("version {0} of blinded messages is unknown")]
    Version(u8),
    /// Too short, changed, or encrypted with another key.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The key inside cannot be one.
    #[error("the sender's key in the message cannot be used: {0}")]
    SenderKey(#[source] InvalidKey),
    /// The key inside does not belong to the id that sent the message.
    #[error("the message claims to be by another account than the one that sent it")]
    Impersonation,
}

/// A blinded message whose sender was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedBlindedMessage {
    /// The sender's account id, from [`Self::sender_key`].
    pub sender: AccountId,
    /// The sender's true key.
    pub sender_key: Ed25519Public,
    /// The content, still padded if it was.
    pub message: Vec<u8>,
}

impl std::fmt::Debug for OpenedBlindedMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedBlindedMessage(from {:?}, {} bytes)", self.sender, self.message.len())
    }
}

/// Seals padded content for a blinded id, as this account's blinded id of the same scheme.
///
/// # Errors
/// If the recipient's id is no usable blinded id.
pub fn seal(
    sender: &Ed25519Secret,
    server_key: &[u8; 32],
    recipient: &AccountId,
    message: &[u8],
    rng: &mut impl CryptoRngCore,
) -> Result<Vec<u8>, BlindedMessageError> {
    let mut nonce = [0u8; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    seal_with_nonce(sender, server_key, recipient, message, &nonce)
}

/// [`seal`] with a given nonce. For known answers: never use one twice.
///
/// # Errors
/// As [`seal`].
pub fn seal_with_nonce(
    sender: &Ed25519Secret,
    server_key: &[u8; 32],
    recipient: &AccountId,
    message: &[u8],
    nonce: &[u8; NONCE_LENGTH],
) -> Result<Vec<u8>, BlindedMessageError> {
    let scheme = BlindingScheme::of(recipient).ok_or(BlindedMessageError::Scheme)?;
    let own_id = BlindedKey::new(scheme, sender, server_key).id();
    let key = message_key(sender, server_key, &own_id, recipient)?;
    let inner = Zeroizing::new([message, sender.public().as_bytes()].concat());
    let mut sealed = vec![VERSION];
    aead::seal_into(&mut sealed, &key, nonce, &inner);
    sealed.extend_from_slice(nonce);
    Ok(sealed)
}

/// Opens a message of the inbox, or an own one of the outbox, and checks who wrote it. `sender`
/// and `recipient` are the ids the server states.
///
/// # Errors
/// [`BlindedMessageError`] says which of the checks failed.
pub fn open(
    own: &Ed25519Secret,
    server_key: &[u8; 32],
    sender: &AccountId,
    recipient: &AccountId,
    bytes: &[u8],
) -> Result<OpenedBlindedMessage, BlindedMessageError> {
    let key = message_key(own, server_key, sender, recipient)?;
    let sealed = match bytes.split_first() {
        Some((&VERSION, sealed)) => sealed,
        Some((version, _)) => return Err(BlindedMessageError::Version(*version)),
        None => {
            return Err(OpenError::TooShort { length: 0, needed: 1 + NONCE_LENGTH + aead::TAG_LENGTH }.into());
        }
    };
    let mut message = aead::open_nonce_last(&key, sealed)?;
    let claimed =
        *message.last_chunk::<32>().ok_or(OpenError::TooShort { length: message.len(), needed: 32 })?;
    let sender_key = Ed25519Public::from_bytes(claimed).map_err(BlindedMessageError::SenderKey)?;
    if !blinds_to(&sender_key, server_key, sender)? {
        return Err(BlindedMessageError::Impersonation);
    }
    message.truncate(message.len() - claimed.len());
    Ok(OpenedBlindedMessage { sender: AccountId::of_account(&sender_key.to_x25519()), sender_key, message })
}

/// The key of messages from `sender` to `recipient`, one of whom is `own`.
fn message_key(
    own: &Ed25519Secret,
    server_key: &[u8; 32],
    sender: &AccountId,
    recipient: &AccountId,
) -> Result<Zeroizing<[u8; 32]>, BlindedMessageError> {
    let scheme = BlindingScheme::of(sender).ok_or(BlindedMessageError::Scheme)?;
    if BlindingScheme::of(recipient) != Some(scheme) {
        return Err(BlindedMessageError::Scheme);
    }
    let own_key = BlindedKey::new(scheme, own, server_key);
    let other = match own_key.public_bytes() {
        key if key == sender.key_bytes() => recipient,
        key if key == recipient.key_bytes() => sender,
        _ => return Err(BlindedMessageError::NotOurs),
    };
    let point = scalar::prime_order_point(other.key_bytes()).map_err(BlindedMessageError::OtherKey)?;
    // Scheme 15 multiplies with the unblinded secret: both sides then share k·a·b·B.
    let shared = Zeroizing::new(match scheme {
        BlindingScheme::V15 => (point * *scalar::secret_scalar(own)).compress().0,
        BlindingScheme::V25 => (point * own_key.scalar()).compress().0,
    });
    Ok(Zeroizing::new(blake2b_256(&[shared.as_ref(), sender.key_bytes(), recipient.key_bytes()])))
}

/// Whether the account with this key has this blinded id. Scheme 15 is taken with either sign, as
/// senders that know only account ids have it.
fn blinds_to(
    key: &Ed25519Public,
    server_key: &[u8; 32],
    blinded: &AccountId,
) -> Result<bool, BlindedMessageError> {
    let point = scalar::prime_order_point(key.as_bytes()).map_err(BlindedMessageError::SenderKey)?;
    Ok(match BlindingScheme::of(blinded) {
        Some(BlindingScheme::V15) => {
            let expected = (point * factor_15(server_key)).compress().0;
            scalar::positive(expected) == scalar::positive(*blinded.key_bytes())
        }
        Some(BlindingScheme::V25) => {
            (point * signed_factor_25(key, server_key)).compress().0 == *blinded.key_bytes()
        }
        None => false,
    })
}
