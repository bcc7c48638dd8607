//! AES-256-CBC with HMAC-SHA256 (client-messages 6.1), and the padding in front of it (6.2).

use cbc::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
use hmac::Mac as _;
use rand_core::CryptoRngCore;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::AttachmentError;
use crate::hash::{constant_time_eq, sha256};

const IV_LENGTH: usize = 16;
const MAC_LENGTH: usize = 32;

/// Files are padded at least to this.
const MIN_PADDED: usize = 541;
/// Up to this size, padding does not exceed what file servers take.
const MAX_PADDED: usize = 10_000_000;
/// Padded sizes are powers of this.
const PADDING_BASE: f64 = 1.05;

/// The 64 bytes in an attachment pointer: encryption key, then authentication key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AttachmentKey([u8; 64]);

impl AttachmentKey {
    /// A key from a message.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        let mut key = Self([0; 64]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// Both halves, for the attachment pointer.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    fn halves(&self) -> (&[u8; 32], &[u8; 32]) {
        let (encryption, authentication) = self.0.split_first_chunk().expect("64 bytes hold 32");
        (encryption, authentication.first_chunk().expect("the other 32 bytes"))
    }
}

impl std::fmt::Debug for AttachmentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttachmentKey(hidden)")
    }
}

/// An encrypted attachment and what its pointer says of it.
#[derive(Debug, Clone)]
pub struct EncryptedAttachment {
    /// Goes into the pointer.
    pub key: AttachmentKey,
    /// SHA-256 of the blob; goes into the pointer.
    pub digest: [u8; 32],
    /// Goes to the file server.
    pub blob: Vec<u8>,
}

/// Pads and encrypts a file with a fresh key.
pub fn encrypt(content: &[u8], rng: &mut impl CryptoRngCore) -> EncryptedAttachment {
    let key = AttachmentKey::generate(rng);
    let mut iv = [0u8; IV_LENGTH];
    rng.fill_bytes(&mut iv);
    let mut padded = Vec::with_capacity(padded_size(content.len()));
    padded.extend_from_slice(content);
    padded.resize(padded_size(content.len()), 0);
    let encrypted = encrypt_with_iv(&padded, key, &iv);
    padded.zeroize();
    encrypted
}

/// Encrypts bytes as they are, with a given key and initialisation vector. For known answers, and
/// for link preview images, which are not padded.
pub fn encrypt_with_iv(content: &[u8], key: AttachmentKey, iv: &[u8; IV_LENGTH]) -> EncryptedAttachment {
    let (encryption, authentication) = key.halves();
    let cipher = cbc::Encryptor::<aes::Aes256>::new(encryption.into(), iv.into());
    let mut blob = iv.to_vec();
    blob.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(content));
    let tag = mac(authentication, &blob);
    blob.extend_from_slice(&tag);
    EncryptedAttachment { digest: sha256(&[&blob]), blob, key }
}

/// Checks digest and authenticity, decrypts, and cuts off the padding. `size` is the one announced.
///
/// # Errors
/// [`AttachmentError`] says which of the checks failed.
pub fn decrypt(
    blob: &[u8],
    key: &AttachmentKey,
    digest: &[u8; 32],
    size: usize,
) -> Result<Vec<u8>, AttachmentError> {
    if !constant_time_eq(&sha256(&[blob]), digest) {
        return Err(AttachmentError::Digest);
    }
    let too_short = AttachmentError::TooShort { length: blob.len() };
    let (authenticated, tag) = blob.split_last_chunk::<MAC_LENGTH>().ok_or(too_short)?;
    let (iv, ciphertext) = authenticated.split_first_chunk::<IV_LENGTH>().ok_or(too_short)?;
    let (encryption, authentication) = key.halves();
    if !constant_time_eq(&mac(authentication, authenticated), tag) {
        return Err(AttachmentError::NotAuthentic);
    }
    let mut content = cbc::Decryptor::<aes::Aes256>::new(encryption.into(), iv.into())
        .decrypt_padded_vec_mut::<Pkcs7>(ciphertext)
        .map_err(|_| AttachmentError::NotAuthentic)?;
    if content.len() < size {
        return Err(AttachmentError::Size { announced: size, got: content.len() });
    }
    content.truncate(size);
    Ok(content)
}

/// The size a file is padded to: the next power of 1.05, so that sizes come in few classes.
/// Receivers do not check it, so rounding differences between platforms do no harm.
pub fn padded_size(size: usize) -> usize {
    let step = ((size.max(1) as f64).ln() / PADDING_BASE.ln()).ceil();
    let padded = (PADDING_BASE.powf(step).floor() as usize).max(MIN_PADDED).max(size);
    if size <= MAX_PADDED { padded.min(MAX_PADDED) } else { padded }
}

fn mac(key: &[u8; 32], bytes: &[u8]) -> [u8; MAC_LENGTH] {
    let mut mac =
        <hmac::Hmac<sha2::Sha256> as hmac::Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}
