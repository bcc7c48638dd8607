//! X25519 and XChaCha20-Poly1305 as their crates have them, for benchmarks alone: what an
//! operation costs beside the primitives it cannot do without.

use chacha20poly1305::{AeadInPlace as _, KeyInit as _, XChaCha20Poly1305};
use curve25519_dalek::MontgomeryPoint;

/// X25519 (RFC 7748), without any check of the point or the result.
pub fn x25519(secret: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    MontgomeryPoint(*point).mul_clamped(*secret).0
}

/// Decrypts `body` where it lies. `false` if `tag` is not its tag.
#[must_use]
pub fn xchacha20_poly1305_open(key: &[u8; 32], nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_in_place_detached(nonce.into(), b"", body, tag.into()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelKeys, EncType};
    use crate::hash::blake2b_256;
    use crate::{X25519Pair, X25519Secret};

    #[test]
    fn the_primitives_are_those_of_a_layer() {
        let (ours, theirs) = ([5; 32], [6; 32]);
        let pair = |secret| X25519Pair::new(X25519Secret::from_bytes(secret));
        let (client, server) = (pair(ours), pair(theirs));
        let shared = x25519(&theirs, client.public().as_bytes());
        let key = blake2b_256(&[&shared, client.public().as_bytes(), server.public().as_bytes()]);
        let keys = ChannelKeys::for_client(EncType::XChaCha20, &client, server.public());
        let mut blob = keys.seal_with_nonce(b"a layer", &[7; 24]);
        let (nonce, rest) = blob.split_first_chunk_mut().unwrap();
        let (body, tag) = rest.split_last_chunk_mut().unwrap();
        assert!(xchacha20_poly1305_open(&key, nonce, body, tag));
        assert_eq!(body, b"a layer");
        assert!(!xchacha20_poly1305_open(&key, nonce, body, tag));
    }
}
