//! The payload of push notifications (client-messages 3.12).

use rand_core::CryptoRngCore;

use crate::aead::{self, NONCE_LENGTH, OpenError};
use crate::padding::{self, GROUP_BLOCK};

/// Encrypts a payload for the key a device registered: nonce, then the payload filled up with zeros
/// to a multiple of 256 bytes (communities-files-push 3.3).
pub fn seal(key: &[u8; 32], payload: &[u8], rng: &mut impl CryptoRngCore) -> Vec<u8> {
    let mut nonce = [0u8; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    seal_with_nonce(key, payload, &nonce)
}

/// [`seal`] with a given nonce. For known answers: never use one twice.
pub fn seal_with_nonce(key: &[u8; 32], payload: &[u8], nonce: &[u8; NONCE_LENGTH]) -> Vec<u8> {
    let mut padded = payload.to_vec();
    padded.resize(padded.len().next_multiple_of(GROUP_BLOCK), 0);
    let mut sealed = nonce.to_vec();
    aead::seal_into(&mut sealed, key, nonce, &padded);
    sealed
}

/// The payload, without the zeros at its end.
///
/// # Errors
/// If it is too short or not for this key.
pub fn open(key: &[u8; 32], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut payload = aead::open_nonce_first(key, sealed)?;
    payload.truncate(padding::strip_zeros(&payload).len());
    Ok(payload)
}
