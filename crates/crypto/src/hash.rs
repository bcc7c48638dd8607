//! Hashes and comparisons for the crates above, which name no primitive crate themselves.
//!
//! BLAKE2b (RFC 7693) in the forms of libsodium's `generichash`: any digest length from 1 to 64
//! bytes, optionally with key, salt and personalisation. The digest length is part of the hash, so
//! a shorter digest is not a cut-off longer one.

use subtle::ConstantTimeEq as _;

/// The longest key BLAKE2b takes; [`Blake2b::key`] ignores what follows.
pub const MAX_KEY_LENGTH: usize = 64;

/// Parameters of a BLAKE2b hash; [`Self::hash`] or [`Self::start`] with the digest length in bytes.
///
/// ```
/// use conclave_crypto::hash::Blake2b;
/// let digest: [u8; 8] = Blake2b::new().key(b"key").hash(&[b"two ", b"parts"]);
/// assert_eq!(digest, Blake2b::new().key(b"key").hash::<8>(&[b"two parts"]));
/// ```
#[derive(Clone, Default)]
pub struct Blake2b(blake2b_simd::Params);

impl Blake2b {
    /// No key, no salt, no personalisation.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a key. Only the first [`MAX_KEY_LENGTH`] bytes count; an empty key is no key.
    pub fn key(mut self, key: &[u8]) -> Self {
        self.0.key(key.get(..MAX_KEY_LENGTH).unwrap_or(key));
        self
    }

    /// With a salt.
    pub fn salt(mut self, salt: &[u8; 16]) -> Self {
        self.0.salt(salt);
        self
    }

    /// With a personalisation.
    pub fn personal(mut self, personal: &[u8; 16]) -> Self {
        self.0.personal(personal);
        self
    }

    /// The digest of the parts' concatenation.
    pub fn hash<const N: usize>(self, parts: &[&[u8]]) -> [u8; N] {
        let mut state = self.start();
        for part in parts {
            state.update(part);
        }
        state.finish()
    }

    /// Starts a hash that is fed piece by piece.
    pub fn start<const N: usize>(mut self) -> Blake2bState<N> {
        const { assert!(N >= 1 && N <= 64, "BLAKE2b digests have 1 to 64 bytes") };
        Blake2bState(self.0.hash_length(N).to_state())
    }
}

impl std::fmt::Debug for Blake2b {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blake2b(hidden)")
    }
}

/// A BLAKE2b hash under way, with a digest of `N` bytes.
#[derive(Clone)]
pub struct Blake2bState<const N: usize>(blake2b_simd::State);

impl<const N: usize> Blake2bState<N> {
    /// Hashes more bytes.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The digest of everything so far.
    pub fn finish(&self) -> [u8; N] {
        let mut digest = [0u8; N];
        for (to, from) in digest.iter_mut().zip(self.0.finalize().as_bytes()) {
            *to = *from;
        }
        digest
    }
}

impl<const N: usize> std::fmt::Debug for Blake2bState<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blake2bState(hidden)")
    }
}

/// BLAKE2b with a 32-byte digest over the parts' concatenation.
pub fn blake2b_256(parts: &[&[u8]]) -> [u8; 32] {
    Blake2b::new().hash(parts)
}

/// [`blake2b_256`] with a key.
pub fn blake2b_256_keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    Blake2b::new().key(key).hash(parts)
}

/// BLAKE2b with a 64-byte digest over the parts' concatenation.
pub fn blake2b_512(parts: &[&[u8]]) -> [u8; 64] {
    Blake2b::new().hash(parts)
}

/// SHA-256 (FIPS 180-4), for attachment digests and certificate fingerprints.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::Digest as _;
    let mut state = sha2::Sha256::new();
    for part in parts {
        state.update(part);
    }
    state.finalize().into()
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The id of a file at a file server that names files by content (communities-files-push 2.2).
pub fn file_id(content: &[u8]) -> String {
    use base64::Engine as _;
    let digest: [u8; 33] = Blake2b::new().salt(b"SessionFileSvr\0\0").hash(&[content]);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_length_is_part_of_the_hash() {
        let long: [u8; 64] = Blake2b::new().hash(&[b"x"]);
        let short: [u8; 32] = Blake2b::new().hash(&[b"x"]);
        assert_ne!(&long[..32], &short[..]);
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut state = Blake2b::new().key(b"k").start::<32>();
        state.update(b"a").update(b"").update(b"bc");
        assert_eq!(state.finish(), blake2b_256_keyed(b"k", &[b"abc"]));
    }

    #[test]
    fn a_key_longer_than_blake2b_takes_is_cut() {
        let long = [7u8; MAX_KEY_LENGTH + 1];
        assert_eq!(blake2b_256_keyed(&long, &[]), blake2b_256_keyed(&long[..MAX_KEY_LENGTH], &[]));
    }

    #[test]
    fn comparison_sees_content_and_length() {
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"sane"));
        assert!(!constant_time_eq(b"same", b"sam"));
    }
}
