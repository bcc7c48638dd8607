//! XChaCha20-Poly1305 as every Session format uses it: 24-byte nonce, no associated data, the
//! 16-byte tag at the end. Where the nonce travels is for the formats to say.

use chacha20poly1305::{AeadInPlace as _, KeyInit as _, XChaCha20Poly1305};

/// Bytes of an XChaCha20 nonce.
pub(crate) const NONCE_LENGTH: usize = 24;
/// Bytes of a Poly1305 (and of a GCM) tag.
pub const TAG_LENGTH: usize = 16;

/// Why encrypted bytes could not be opened. The sender's fault, or the wrong key: trying the same
/// bytes again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Less than the format's fixed parts need.
    #[error("{length} bytes are too few to be encrypted data, at least {needed} are needed")]
    TooShort {
        /// Bytes received.
        length: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// Another key made these bytes, or someone changed them.
    #[error("the key does not open these bytes, or they were changed on the way")]
    NotAuthentic,
}

/// Appends ciphertext and tag to `out`.
pub(crate) fn seal_into(out: &mut Vec<u8>, key: &[u8; 32], nonce: &[u8; NONCE_LENGTH], plaintext: &[u8]) {
    out.reserve(plaintext.len() + TAG_LENGTH);
    let start = out.len();
    out.extend_from_slice(plaintext);
    seal_from(out, start, key, nonce);
}

/// Encrypts what lies in `out` from `start` on, there, and appends the tag.
pub(crate) fn seal_from(out: &mut Vec<u8>, start: usize, key: &[u8; 32], nonce: &[u8; NONCE_LENGTH]) {
    let start = start.min(out.len());
    let (_, body) = out.split_at_mut(start);
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_in_place_detached(nonce.into(), b"", body)
        .expect("no buffer reaches the cipher's limit of 256 GiB");
    out.extend_from_slice(&tag);
}

/// Ciphertext and tag.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; NONCE_LENGTH], plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    seal_into(&mut out, key, nonce, plaintext);
    out
}

/// Decrypts ciphertext and tag where they stand; the plaintext is the part returned.
pub(crate) fn open_in_place<'a>(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LENGTH],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], OpenError> {
    let length = sealed.len();
    let (body, tag) = sealed
        .split_last_chunk_mut::<TAG_LENGTH>()
        .ok_or(OpenError::TooShort { length, needed: TAG_LENGTH })?;
    XChaCha20Poly1305::new(key.into())
        .decrypt_in_place_detached(nonce.into(), b"", body, (&*tag).into())
        .map_err(|_| OpenError::NotAuthentic)?;
    Ok(body)
}

/// The plaintext of ciphertext and tag.
pub(crate) fn open(key: &[u8; 32], nonce: &[u8; NONCE_LENGTH], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut buffer = sealed.to_vec();
    let length = open_in_place(key, nonce, &mut buffer)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// Opens `nonce || ciphertext || tag`.
pub(crate) fn open_nonce_first(key: &[u8; 32], bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
    let needed = NONCE_LENGTH + TAG_LENGTH;
    let too_short = OpenError::TooShort { length: bytes.len(), needed };
    let (nonce, sealed) = bytes.split_first_chunk().ok_or(too_short)?;
    open(key, nonce, sealed)
}

/// Opens `ciphertext || tag || nonce`.
pub(crate) fn open_nonce_last(key: &[u8; 32], bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
    let needed = NONCE_LENGTH + TAG_LENGTH;
    let too_short = OpenError::TooShort { length: bytes.len(), needed };
    let (sealed, nonce) = bytes.split_last_chunk().ok_or(too_short)?;
    open(key, nonce, sealed)
}
