//! Encryption of one onion layer, and of the reply to it (storage-and-onion 6.1).
//!
//! A client makes an ephemeral X25519 key for every layer; both sides agree on one key, which
//! encrypts the request and, once, the reply. This module knows nothing of paths or payloads.
//!
//! Peeling is the busiest operation of a service node: [`ChannelKeys::for_server`] costs one
//! X25519 multiplication, and [`ChannelKeys::open_in_place`] allocates nothing.
//!
//! An all-zero shared secret cannot arise: [`X25519Public`] holds no point of small order.

use aes_gcm::Aes256Gcm;
use cbc::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
use chacha20poly1305::{AeadInPlace as _, KeyInit as _};
use hmac::Mac as _;
use rand_core::CryptoRngCore;
use zeroize::ZeroizeOnDrop;

pub use crate::aead::TAG_LENGTH;
use crate::aead::{self, NONCE_LENGTH, OpenError};
use crate::hash::blake2b_256;
use crate::keys::{X25519Pair, X25519Public};

/// Bytes of a GCM nonce.
const GCM_NONCE_LENGTH: usize = 12;
/// Bytes of an AES block, and so of a CBC initialisation vector.
const BLOCK_LENGTH: usize = 16;
/// The HMAC key that turns an agreed secret into an AES-GCM key.
const GCM_KEY_LABEL: &[u8] = b"LOKI";

/// The cipher of one layer, called `enc_type` on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EncType {
    /// AES-256-GCM; what an absent `enc_type` means.
    #[default]
    AesGcm,
    /// XChaCha20-Poly1305.
    XChaCha20,
    /// AES-256-CBC, without authentication: servers still accept it, nobody should send it.
    AesCbc,
}

/// An `enc_type` nobody has defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encryption type is none of aes-gcm, xchacha20, aes-cbc")]
pub struct UnknownEncType;

impl EncType {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aes-gcm",
            Self::XChaCha20 => "xchacha20",
            Self::AesCbc => "aes-cbc",
        }
    }

    /// How long the blob of a plaintext is.
    pub const fn sealed_length(self, plaintext: usize) -> usize {
        match self {
            Self::AesGcm => GCM_NONCE_LENGTH + plaintext + TAG_LENGTH,
            Self::XChaCha20 => NONCE_LENGTH + plaintext + TAG_LENGTH,
            Self::AesCbc => BLOCK_LENGTH + (plaintext / BLOCK_LENGTH + 1) * BLOCK_LENGTH,
        }
    }

    /// Where [`ChannelKeys::open_in_place`] leaves a plaintext of this length in its blob: behind
    /// the nonce.
    pub const fn plaintext_range(self, length: usize) -> std::ops::Range<usize> {
        let start = match self {
            Self::AesGcm => GCM_NONCE_LENGTH,
            Self::XChaCha20 => NONCE_LENGTH,
            Self::AesCbc => BLOCK_LENGTH,
        };
        start..start.saturating_add(length)
    }
}

impl std::fmt::Display for EncType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for EncType {
    type Err = UnknownEncType;

    /// Reads names and aliases, in lower case as the wire has them.
    fn from_str(text: &str) -> Result<Self, UnknownEncType> {
        match text {
            "aes-gcm" | "gcm" => Ok(Self::AesGcm),
            "xchacha20" | "xchacha20-poly1305" => Ok(Self::XChaCha20),
            "aes-cbc" | "cbc" => Ok(Self::AesCbc),
            _ => Err(UnknownEncType),
        }
    }
}

/// The key of one layer, the same on both sides and in both directions.
#[derive(Clone, ZeroizeOnDrop)]
pub struct ChannelKeys {
    #[zeroize(skip)]
    enc_type: EncType,
    key: [u8; 32],
}

impl ChannelKeys {
    /// The client's side: its ephemeral key and the public key of who peels this layer.
    pub fn for_client(enc_type: EncType, ephemeral: &X25519Pair, server: &X25519Public) -> Self {
        Self::derive(enc_type, ephemeral, server, ephemeral.public(), server)
    }

    /// The peeling side: its own key and the client's ephemeral public key.
    pub fn for_server(enc_type: EncType, server: &X25519Pair, client: &X25519Public) -> Self {
        Self::derive(enc_type, server, client, client, server.public())
    }

    fn derive(
        enc_type: EncType,
        own: &X25519Pair,
        theirs: &X25519Public,
        client: &X25519Public,
        server: &X25519Public,
    ) -> Self {
        let shared = own.secret().diffie_hellman(theirs);
        let key = match enc_type {
            EncType::AesGcm => {
                let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::Mac>::new_from_slice(GCM_KEY_LABEL)
                    .expect("HMAC takes keys of any length");
                mac.update(shared.as_bytes());
                mac.finalize().into_bytes().into()
            }
            // Client first in both directions: a reply is read with the key of its request.
            EncType::XChaCha20 => blake2b_256(&[shared.as_bytes(), client.as_bytes(), server.as_bytes()]),
            EncType::AesCbc => *shared.as_bytes(),
        };
        Self { enc_type, key }
    }

    /// The cipher these keys are for.
    pub const fn enc_type(&self) -> EncType {
        self.enc_type
    }

    /// Encrypts a request (as client) or the reply (as server): nonce, ciphertext, tag.
    pub fn seal(&self, plaintext: &[u8], rng: &mut impl CryptoRngCore) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        self.seal_with_nonce(plaintext, &nonce)
    }

    /// [`Self::seal`] with a given nonce, of which the cipher's nonce length counts (12 bytes for
    /// AES-GCM, 16 for AES-CBC). For known answers: a nonce used twice gives the key away.
    pub fn seal_with_nonce(&self, plaintext: &[u8], nonce: &[u8; NONCE_LENGTH]) -> Vec<u8> {
        let mut blob = Vec::with_capacity(self.enc_type.sealed_length(plaintext.len()));
        match self.enc_type {
            EncType::AesGcm => {
                let (nonce, _) = split_nonce::<GCM_NONCE_LENGTH>(nonce);
                blob.extend_from_slice(nonce);
                blob.extend_from_slice(plaintext);
                let (_, body) = blob.split_at_mut(GCM_NONCE_LENGTH);
                let tag = Aes256Gcm::new(&self.key.into())
                    .encrypt_in_place_detached(nonce.into(), b"", body)
                    .expect("no buffer reaches the cipher's limit of 64 GiB");
                blob.extend_from_slice(&tag);
            }
            EncType::XChaCha20 => {
                blob.extend_from_slice(nonce);
                aead::seal_into(&mut blob, &self.key, nonce, plaintext);
            }
            EncType::AesCbc => {
                let (iv, _) = split_nonce::<BLOCK_LENGTH>(nonce);
                blob.extend_from_slice(iv);
                let cipher = cbc::Encryptor::<aes::Aes256>::new(&self.key.into(), iv.into());
                blob.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(plaintext));
            }
        }
        blob
    }

    /// [`Self::seal`] without a copy: `buffer` begins with as many bytes, of any value, as are in front of
    /// [`EncType::plaintext_range`], and becomes the blob.
    /// With room for [`TAG_LENGTH`] more bytes it is not moved either. (AES-CBC, which nobody uses for what is large, copies.)
    pub fn seal_in_place(&self, mut buffer: Vec<u8>, rng: &mut impl CryptoRngCore) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        let front = self.enc_type.plaintext_range(0).start;
        if self.enc_type == EncType::AesCbc {
            let plaintext = buffer.get(front..).unwrap_or_default();
            return self.seal_with_nonce(plaintext, &nonce);
        }
        buffer.resize(buffer.len().max(front), 0);
        let (place, body) = buffer.split_at_mut(front);
        place.copy_from_slice(nonce.get(..front).unwrap_or_default());
        if self.enc_type == EncType::AesGcm {
            let (nonce, _) = split_nonce::<GCM_NONCE_LENGTH>(&nonce);
            let tag = Aes256Gcm::new(&self.key.into())
                .encrypt_in_place_detached(nonce.into(), b"", body)
                .expect("no buffer reaches the cipher's limit of 64 GiB");
            buffer.extend_from_slice(&tag);
        } else {
            aead::seal_from(&mut buffer, front, &self.key, &nonce);
        }
        buffer
    }

    /// Decrypts a request (as server) or the reply (as client).
    ///
    /// # Errors
    /// If the blob is too short or does not belong to this key. For AES-CBC, which does not
    /// authenticate, changed bytes go unnoticed unless they break the padding.
    pub fn open(&self, blob: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut buffer = blob.to_vec();
        let length = self.open_in_place(&mut buffer)?.len();
        buffer.copy_within(self.enc_type.plaintext_range(length), 0);
        buffer.truncate(length);
        Ok(buffer)
    }

    /// [`Self::open`] without a copy: the plaintext is the part of `blob` returned. After an error
    /// the contents of `blob` are of no use.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in_place<'a>(&self, blob: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let length = blob.len();
        let needed = self.enc_type.sealed_length(0);
        let too_short = OpenError::TooShort { length, needed };
        if length < needed {
            return Err(too_short);
        }
        match self.enc_type {
            EncType::AesGcm => {
                let (nonce, rest) = blob.split_first_chunk_mut::<GCM_NONCE_LENGTH>().ok_or(too_short)?;
                let (body, tag) = rest.split_last_chunk_mut::<TAG_LENGTH>().ok_or(too_short)?;
                Aes256Gcm::new(&self.key.into())
                    .decrypt_in_place_detached((&*nonce).into(), b"", body, (&*tag).into())
                    .map_err(|_| OpenError::NotAuthentic)?;
                Ok(body)
            }
            EncType::XChaCha20 => {
                let (nonce, rest) = blob.split_first_chunk_mut::<NONCE_LENGTH>().ok_or(too_short)?;
                aead::open_in_place(&self.key, nonce, rest)
            }
            EncType::AesCbc => {
                let (iv, rest) = blob.split_first_chunk_mut::<BLOCK_LENGTH>().ok_or(too_short)?;
                let cipher = cbc::Decryptor::<aes::Aes256>::new(&self.key.into(), (&*iv).into());
                let length =
                    cipher.decrypt_padded_mut::<Pkcs7>(rest).map_err(|_| OpenError::NotAuthentic)?.len();
                Ok(rest.split_at_mut(length).0)
            }
        }
    }
}

impl std::fmt::Debug for ChannelKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChannelKeys({}, hidden)", self.enc_type)
    }
}

/// The first `N` bytes of a nonce and the rest.
fn split_nonce<const N: usize>(nonce: &[u8; NONCE_LENGTH]) -> (&[u8; N], &[u8]) {
    nonce.split_first_chunk().expect("no cipher has a nonce longer than XChaCha20's")
}
