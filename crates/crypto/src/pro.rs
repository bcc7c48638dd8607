//! The decoy that stands where a Pro account has a signature (client-messages 3.9), so that a relay
//! cannot tell who has Pro.

use curve25519_dalek::Scalar;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::keys::Signature;
use crate::scalar;

/// 64 bytes that look like a signature: a random point and a random scalar.
pub fn decoy_signature(rng: &mut impl CryptoRngCore) -> Signature {
    let mut wide = Zeroizing::new([0u8; 64]);
    let mut random = || {
        rng.fill_bytes(wide.as_mut());
        scalar::reduce(&wide)
    };
    let (r, s) = (random(), random());
    decoy(&r, &s)
}

/// [`decoy_signature`] of two given scalars, little-endian and reduced here. For known answers.
pub fn decoy_signature_of(r: &[u8; 32], s: &[u8; 32]) -> Signature {
    decoy(&Scalar::from_bytes_mod_order(*r), &Scalar::from_bytes_mod_order(*s))
}

fn decoy(r: &Scalar, s: &Scalar) -> Signature {
    let mut bytes = [0u8; 64];
    let (first, second) = bytes.split_at_mut(32);
    first.copy_from_slice(&scalar::public_of(r));
    second.copy_from_slice(s.as_bytes());
    Signature::from_bytes(bytes)
}
