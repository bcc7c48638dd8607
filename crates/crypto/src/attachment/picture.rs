//! Profile pictures in AES-256-GCM (client-messages 6.5): nonce, ciphertext, tag.

use aes_gcm::{AeadInPlace as _, Aes256Gcm, KeyInit as _};
use rand_core::CryptoRngCore;

use super::AttachmentError;

const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;

/// Encrypts a picture with the key from the profile.
pub fn encrypt(picture: &[u8], key: &[u8; 32], rng: &mut impl CryptoRngCore) -> Vec<u8> {
    let mut nonce = [0u8; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    encrypt_with_nonce(picture, key, &nonce)
}

/// [`encrypt`] with a given nonce. For known answers: a nonce used twice gives the key away.
pub fn encrypt_with_nonce(picture: &[u8], key: &[u8; 32], nonce: &[u8; NONCE_LENGTH]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(NONCE_LENGTH + picture.len() + TAG_LENGTH);
    blob.extend_from_slice(nonce);
    blob.extend_from_slice(picture);
    let (_, body) = blob.split_at_mut(NONCE_LENGTH);
    let tag = Aes256Gcm::new(key.into())
        .encrypt_in_place_detached(nonce.into(), b"", body)
        .expect("no buffer reaches the cipher's limit of 64 GiB");
    blob.extend_from_slice(&tag);
    blob
}

/// The picture of a blob.
///
/// # Errors
/// If it is too short, changed, or of another key.
pub fn decrypt(blob: &[u8], key: &[u8; 32]) -> Result<Vec<u8>, AttachmentError> {
    let too_short = AttachmentError::TooShort { length: blob.len() };
    let (nonce, rest) = blob.split_first_chunk::<NONCE_LENGTH>().ok_or(too_short)?;
    let (body, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(too_short)?;
    let mut picture = body.to_vec();
    Aes256Gcm::new(key.into())
        .decrypt_in_place_detached(nonce.into(), b"", &mut picture, tag.into())
        .map_err(|_| AttachmentError::NotAuthentic)?;
    Ok(picture)
}
