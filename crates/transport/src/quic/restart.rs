//! Letting peers notice a restart at once.
//!
//! After a restart nothing is known of older connections, and a peer that still believes in one
//! would wait for its idle timeout. QUIC's stateless reset (RFC 9000 section 10.3) ends such a
//! connection with its first packet, if the reset token can be made again: here it follows from the
//! node's own key. Local to this program; nobody else needs to compute the same.

use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::Ed25519Secret;
use conclave_crypto::hash::{blake2b_256_keyed, constant_time_eq};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

/// Names what the derived key is for. (storage-and-onion 10, "QUIC static secret")
const KEY_LABEL: &[u8] = b"Storage Server QUIC shared secret hash key";
/// Random, so that a connection id tells nothing and collides with none of an earlier run.
const CONNECTION_ID_LENGTH: usize = 8;

/// An endpoint whose stateless resets are the same after a restart.
pub(super) fn endpoint_config(secret: &Ed25519Secret) -> EndpointConfig {
    let key = Zeroizing::new(blake2b_256_keyed(
        KEY_LABEL,
        &[secret.seed().as_ref(), secret.public().as_bytes().as_slice()],
    ));
    let mut config = EndpointConfig::new(Arc::new(ResetKey(key)));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Keyed BLAKE2b is a message authentication code by itself (RFC 7693 section 1).
struct ResetKey(Zeroizing<[u8; 32]>);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&blake2b_256_keyed(self.0.as_ref(), &[data]));
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = blake2b_256_keyed(self.0.as_ref(), &[data]);
        if constant_time_eq(&expected, signature) { Ok(()) } else { Err(CryptoError) }
    }
}

/// The default generator marks its ids with a key of this run and would drop packets of an earlier
/// run unanswered.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_LENGTH];
        OsRng.fill_bytes(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
