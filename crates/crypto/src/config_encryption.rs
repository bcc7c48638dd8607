//! Encryption, compression and padding of config messages (config-and-groups 5.1 and 5.2).
//!
//! Everything is derived from the message, so that equal configs store as equal bytes. What a
//! config says is not this module's.

use crate::aead::{self, NONCE_LENGTH, OpenError, TAG_LENGTH};
use crate::hash::{Blake2b, blake2b_256};

/// Bytes that encryption adds.
pub const OVERHEAD: usize = NONCE_LENGTH + TAG_LENGTH;

/// The longest domain: with its label it must fit BLAKE2b's key.
pub const MAX_DOMAIN_LENGTH: usize = 24;

const NONCE_LABEL: &[u8] = b"libsessionutil-config-encrypted-";

/// Padded sizes grow in these steps, for sizes (with overhead) below the bound before each.
const STEPS: [(usize, usize); 4] = [(5120, 256), (20_480, 1024), (40_960, 2048), (usize::MAX, 5120)];

/// The size a message is padded to, before encryption adds `overhead`.
pub fn padded_size(size: usize, overhead: usize) -> usize {
    let total = size.saturating_add(overhead);
    let step = STEPS.iter().find(|(bound, _)| total < *bound).map_or(5120, |(_, step)| *step);
    total.checked_next_multiple_of(step).unwrap_or(total).saturating_sub(overhead)
}

/// Zeros, then the message, which never begins with one.
pub fn pad(message: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; padded_size(message.len(), OVERHEAD) - message.len()];
    padded.extend_from_slice(message);
    padded
}

/// Without the zeros in front.
pub fn unpad(padded: &[u8]) -> &[u8] {
    let start = padded.iter().position(|byte| *byte != 0).unwrap_or(padded.len());
    padded.split_at(start).1
}

/// Encrypts a padded message: ciphertext, tag, nonce. `domain` names the kind of config; at most
/// [`MAX_DOMAIN_LENGTH`] bytes of it count.
pub fn encrypt(message: &[u8], key: &[u8; 32], domain: &str) -> Vec<u8> {
    let domain = domain_bytes(domain);
    let nonce: [u8; NONCE_LENGTH] = Blake2b::new().key(&[NONCE_LABEL, domain].concat()).hash(&[message]);
    let mut out = Vec::with_capacity(message.len() + OVERHEAD);
    aead::seal_into(&mut out, &message_key(message.len(), key, domain), &nonce, message);
    out.extend_from_slice(&nonce);
    out
}

/// The padded message.
///
/// # Errors
/// If the bytes are too short, changed, or of another key or domain.
pub fn decrypt(bytes: &[u8], key: &[u8; 32], domain: &str) -> Result<Vec<u8>, OpenError> {
    let length = bytes
        .len()
        .checked_sub(OVERHEAD)
        .ok_or(OpenError::TooShort { length: bytes.len(), needed: OVERHEAD })?;
    aead::open_nonce_last(&message_key(length, key, domain_bytes(domain)), bytes)
}

fn message_key(length: usize, key: &[u8; 32], domain: &[u8]) -> [u8; 32] {
    blake2b_256(&[key, &(length as u64).to_be_bytes(), domain])
}

fn domain_bytes(domain: &str) -> &[u8] {
    let bytes = domain.as_bytes();
    bytes.get(..MAX_DOMAIN_LENGTH).unwrap_or(bytes)
}
