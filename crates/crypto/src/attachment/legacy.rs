//! AES-256-CBC with HMAC-SHA256 (client-messages 6.1), and the padding in front of it (6.2).

use cbc::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
use hmac::Mac as _;
use rand_core::CryptoRngCore;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::AttachmentError;
use crate::hash::{constant_time_eq, sha256};

/// Bytes of an initialisation vector.
pub const IV_LENGTH: usize = 16;
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

/// [`encrypt`] piece by piece, for files that are not to be in memory as a whole.
pub struct LegacyEncryptor {
    cipher: cbc::Encryptor<aes::Aes256>,
    mac: hmac::Hmac<sha2::Sha256>,
    digest: sha2::Sha256,
    /// What does not fill a block yet.
    rest: Zeroizing<Vec<u8>>,
    /// Bytes of content, and of padding behind it, that have not come yet.
    content: usize,
    padding: usize,
}

/// How much of a file is encrypted at once.
const PIECE: usize = 64 * 1024;

impl LegacyEncryptor {
    /// Starts the blob of a file of `size` bytes; its beginning goes to `out`.
    pub fn new(key: &AttachmentKey, iv: &[u8; IV_LENGTH], size: usize, out: &mut Vec<u8>) -> Self {
        let (encryption, authentication) = key.halves();
        let mut encryptor = Self {
            cipher: cbc::Encryptor::new(encryption.into(), iv.into()),
            mac: hmac::Mac::new_from_slice(authentication).expect("HMAC takes keys of any length"),
            digest: sha2::Digest::new(),
            rest: Zeroizing::default(),
            content: size,
            padding: padded_size(size) - size,
        };
        encryptor.put(iv, out);
        encryptor
    }

    /// The next piece of content; what is ready of the blob goes to `out`.
    ///
    /// # Errors
    /// [`AttachmentError::ContentChanged`] if there is more than was announced.
    pub fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        self.content = self.content.checked_sub(piece.len()).ok_or(AttachmentError::ContentChanged)?;
        self.take(piece, out);
        Ok(())
    }

    /// Ends the blob; gives its digest.
    ///
    /// # Errors
    /// [`AttachmentError::ContentChanged`] if there was less content than announced.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<[u8; 32], AttachmentError> {
        if self.content > 0 {
            return Err(AttachmentError::ContentChanged);
        }
        while self.padding > 0 {
            let zeros = vec![0; self.padding.min(PIECE)];
            self.padding -= zeros.len();
            self.take(&zeros, out);
        }
        let last = 16 - self.rest.len();
        self.take(&vec![u8::try_from(last).unwrap_or(16); last], out);
        let tag: [u8; MAC_LENGTH] = self.mac.finalize().into_bytes().into();
        sha2::Digest::update(&mut self.digest, tag);
        out.extend_from_slice(&tag);
        Ok(sha2::Digest::finalize(self.digest).into())
    }

    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.rest.extend_from_slice(piece);
        let whole = self.rest.len() / 16 * 16;
        let mut blocks: Vec<u8> = self.rest.drain(..whole).collect();
        for block in blocks.as_chunks_mut::<16>().0 {
            self.cipher.encrypt_block_mut(block.into());
        }
        self.put(&blocks, out);
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.mac.update(bytes);
        sha2::Digest::update(&mut self.digest, bytes);
        out.extend_from_slice(bytes);
    }
}

impl std::fmt::Debug for LegacyEncryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegacyEncryptor({} bytes to come)", self.content)
    }
}

/// The first pass of [`decrypt`] piece by piece: whether a blob is the one that was sent.
pub struct LegacyVerifier {
    mac: hmac::Hmac<sha2::Sha256>,
    digest: sha2::Sha256,
    /// The last bytes, which may be the authentication code.
    tail: Vec<u8>,
    length: usize,
}

impl LegacyVerifier {
    /// For a blob with this key.
    pub fn new(key: &AttachmentKey) -> Self {
        let (_, authentication) = key.halves();
        Self {
            mac: hmac::Mac::new_from_slice(authentication).expect("HMAC takes keys of any length"),
            digest: sha2::Digest::new(),
            tail: Vec::new(),
            length: 0,
        }
    }

    /// The next piece of the blob.
    pub fn update(&mut self, piece: &[u8]) {
        sha2::Digest::update(&mut self.digest, piece);
        self.length += piece.len();
        self.tail.extend_from_slice(piece);
        let known = self.tail.len().saturating_sub(MAC_LENGTH);
        self.mac.update(self.tail.split_at(known).0);
        self.tail.drain(..known);
    }

    /// The blob has ended.
    ///
    /// # Errors
    /// [`AttachmentError`] says which of the checks failed.
    pub fn finish(self, digest: &[u8; 32]) -> Result<(), AttachmentError> {
        let found: [u8; 32] = sha2::Digest::finalize(self.digest).into();
        if !constant_time_eq(&found, digest) {
            return Err(AttachmentError::Digest);
        }
        if self.length < IV_LENGTH + MAC_LENGTH {
            return Err(AttachmentError::TooShort { length: self.length });
        }
        let tag: [u8; MAC_LENGTH] = self.mac.finalize().into_bytes().into();
        if constant_time_eq(&tag, &self.tail) { Ok(()) } else { Err(AttachmentError::NotAuthentic) }
    }
}

impl std::fmt::Debug for LegacyVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegacyVerifier({} bytes)", self.length)
    }
}

/// The second pass of [`decrypt`] piece by piece. Only for blobs that [`LegacyVerifier`] has found to be authentic.
pub struct LegacyDecryptor {
    key: AttachmentKey,
    cipher: Option<cbc::Decryptor<aes::Aes256>>,
    /// What fills no block yet, the block that may be the last one, and what may be the authentication code.
    rest: Vec<u8>,
    /// Content that has not come yet.
    missing: usize,
    size: usize,
}

impl LegacyDecryptor {
    /// Starts; `size` is the one announced.
    pub fn new(key: &AttachmentKey, size: usize) -> Self {
        Self { key: key.clone(), cipher: None, rest: Vec::new(), missing: size, size }
    }

    /// The next piece of the blob; what is ready of the content goes to `out`, never more than was announced.
    pub fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.rest.extend_from_slice(piece);
        if self.cipher.is_none() {
            let Some((iv, _)) = self.rest.split_first_chunk::<IV_LENGTH>() else { return };
            self.cipher = Some(cbc::Decryptor::new(self.key.halves().0.into(), iv.into()));
            self.rest.drain(..IV_LENGTH);
        }
        let whole = self.rest.len().saturating_sub(16 + MAC_LENGTH) / 16 * 16;
        let mut blocks: Vec<u8> = self.rest.drain(..whole).collect();
        self.open(&mut blocks);
        self.hand_out(&blocks, out);
        blocks.zeroize();
    }

    /// The blob has ended; the rest of the content goes to `out`.
    ///
    /// # Errors
    /// [`AttachmentError`] if it is not as long as announced, or not padded as it should be.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        let whole = self.rest.len().checked_sub(MAC_LENGTH).filter(|length| length % 16 == 0 && *length > 0);
        let whole = whole.ok_or(AttachmentError::NotAuthentic)?;
        let mut blocks: Vec<u8> = self.rest.drain(..whole).collect();
        self.open(&mut blocks);
        let padding = usize::from(blocks.last().copied().unwrap_or(0));
        let content = blocks.len().checked_sub(padding).filter(|_| (1..=16).contains(&padding));
        let (content, padding_bytes) = blocks.split_at(content.ok_or(AttachmentError::NotAuthentic)?);
        if padding_bytes.iter().any(|byte| usize::from(*byte) != padding) {
            return Err(AttachmentError::NotAuthentic);
        }
        let content = content.to_vec();
        self.hand_out(&content, out);
        if self.missing > 0 {
            return Err(AttachmentError::Size { announced: self.size, got: self.size - self.missing });
        }
        Ok(())
    }

    fn open(&mut self, blocks: &mut [u8]) {
        let Some(cipher) = &mut self.cipher else { return };
        for block in blocks.as_chunks_mut::<16>().0 {
            cipher.decrypt_block_mut(block.into());
        }
    }

    fn hand_out(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let wanted = content.split_at(content.len().min(self.missing)).0;
        self.missing -= wanted.len();
        out.extend_from_slice(wanted);
    }
}

impl std::fmt::Debug for LegacyDecryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegacyDecryptor({} bytes to come)", self.missing)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> AttachmentKey {
        AttachmentKey::from_bytes(std::array::from_fn(|n| n as u8))
    }

    /// In pieces of every awkward size.
    fn in_pieces(bytes: &[u8], piece: usize, mut each: impl FnMut(&[u8])) {
        bytes.chunks(piece).for_each(&mut each);
    }

    #[test]
    fn piece_by_piece_gives_the_same_blob_and_the_same_content() {
        for size in [0, 1, 15, 16, 540, 541, 542, 100_000] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let mut padded = content.clone();
            padded.resize(padded_size(size), 0);
            let whole = encrypt_with_iv(&padded, key(), &[7; 16]);
            for piece in [1, 17, 65_537] {
                let mut blob = Vec::new();
                let mut encryptor = LegacyEncryptor::new(&key(), &[7; 16], size, &mut blob);
                in_pieces(&content, piece, |piece| encryptor.update(piece, &mut blob).unwrap());
                assert_eq!(encryptor.finish(&mut blob).unwrap(), whole.digest, "{size} by {piece}");
                assert_eq!(blob, whole.blob);
                let mut verifier = LegacyVerifier::new(&key());
                in_pieces(&blob, piece, |piece| verifier.update(piece));
                verifier.finish(&whole.digest).unwrap();
                let (mut out, mut decryptor) = (Vec::new(), LegacyDecryptor::new(&key(), size));
                in_pieces(&blob, piece, |piece| decryptor.update(piece, &mut out));
                decryptor.finish(&mut out).unwrap();
                assert_eq!(out, content);
            }
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_noticed() {
        let mut out = Vec::new();
        let mut longer = LegacyEncryptor::new(&key(), &[7; 16], 2, &mut out);
        assert_eq!(longer.update(b"abc", &mut out), Err(AttachmentError::ContentChanged));
        let mut shorter = LegacyEncryptor::new(&key(), &[7; 16], 4, &mut out);
        shorter.update(b"abc", &mut out).unwrap();
        assert_eq!(shorter.finish(&mut out), Err(AttachmentError::ContentChanged));
    }

    #[test]
    fn a_changed_blob_is_refused_before_anything_of_it_is_decrypted() {
        let whole = encrypt_with_iv(&[1; 1000], key(), &[7; 16]);
        for at in [0, 16, 500, whole.blob.len() - 1] {
            let mut blob = whole.blob.clone();
            blob[at] ^= 1;
            let mut verifier = LegacyVerifier::new(&key());
            verifier.update(&blob);
            assert_eq!(verifier.finish(&whole.digest), Err(AttachmentError::Digest));
            let mut verifier = LegacyVerifier::new(&key());
            verifier.update(&blob);
            assert_eq!(verifier.finish(&sha256(&[&blob])), Err(AttachmentError::NotAuthentic));
        }
        let mut verifier = LegacyVerifier::new(&key());
        verifier.update(&[0; 47]);
        assert_eq!(verifier.finish(&sha256(&[&[0; 47]])), Err(AttachmentError::TooShort { length: 47 }));
    }

    #[test]
    fn a_size_that_is_not_there_is_an_error() {
        let whole = encrypt_with_iv(&[1; 600], key(), &[7; 16]);
        let (mut out, mut decryptor) = (Vec::new(), LegacyDecryptor::new(&key(), 601));
        decryptor.update(&whole.blob, &mut out);
        assert_eq!(decryptor.finish(&mut out), Err(AttachmentError::Size { announced: 601, got: 600 }));
    }
}
