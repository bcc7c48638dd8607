//! Scalars of the Ed25519 group, and EdDSA with a key that is a scalar rather than a seed: what
//! blinding, XEd25519 and subaccounts share. They differ in how they choose the nonce.

use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use crate::keys::{Ed25519Public, Ed25519Secret, InvalidKey, Signature, X25519Public};

/// The bit of an encoded point that holds the sign of x, in its last byte.
const SIGN_BIT: u8 = 0x80;

/// The secret scalar of an Ed25519 key, reduced: the clamped first half of SHA-512(seed).
pub(crate) fn secret_scalar(secret: &Ed25519Secret) -> Zeroizing<Scalar> {
    clamped(secret.to_x25519().as_bytes())
}

/// A clamped X25519 secret as a scalar, reduced.
pub(crate) fn clamped(bytes: &[u8; 32]) -> Zeroizing<Scalar> {
    let clamped = Zeroizing::new(curve25519_dalek::scalar::clamp_integer(*bytes));
    Zeroizing::new(Scalar::from_bytes_mod_order(*clamped))
}

/// 64 bytes, little-endian, modulo the group order.
pub(crate) fn reduce(bytes: &[u8; 64]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(bytes)
}

/// The key of a secret scalar.
pub(crate) fn public_of(scalar: &Scalar) -> [u8; 32] {
    (ED25519_BASEPOINT_TABLE * scalar).compress().0
}

/// EdDSA with secret scalar, its public key and a nonce: R || s (RFC 8032 section 5.1.6 from step 3).
pub(crate) fn sign(scalar: &Scalar, public: &[u8; 32], nonce: &Scalar, message: &[u8]) -> Signature {
    let r_point = public_of(nonce);
    let digest = Sha512::new().chain_update(r_point).chain_update(public).chain_update(message).finalize();
    let s = nonce + reduce(&digest.into()) * scalar;
    let mut signature = [0u8; 64];
    let (first, second) = signature.split_at_mut(32);
    first.copy_from_slice(&r_point);
    second.copy_from_slice(s.as_bytes());
    Signature::from_bytes(signature)
}

/// The point of a key that must be one of the prime-order subgroup, as all honest keys are.
///
/// # Errors
/// [`InvalidKey::Weak`] for a key with a component of small order: what is multiplied with it
/// would depend on more than the scalar modulo the group order.
pub(crate) fn prime_order_point(key: &[u8; 32]) -> Result<EdwardsPoint, InvalidKey> {
    let key = Ed25519Public::from_bytes(*key)?;
    let point = CompressedEdwardsY(*key.as_bytes()).decompress().ok_or(InvalidKey::NotAPoint)?;
    if point.is_torsion_free() { Ok(point) } else { Err(InvalidKey::Weak) }
}

/// The Edwards point of an X25519 key that has sign bit 0 (client-messages 3.10).
pub(crate) fn positive_point(key: &X25519Public) -> Result<EdwardsPoint, InvalidKey> {
    curve25519_dalek::MontgomeryPoint(*key.as_bytes()).to_edwards(0).ok_or(InvalidKey::NotAPoint)
}

/// Whether the sign bit of an encoded point is set.
pub(crate) const fn is_negative(point: &[u8; 32]) -> bool {
    point[31] & SIGN_BIT != 0
}

/// The encoding of the negated point.
pub(crate) const fn negated(mut point: [u8; 32]) -> [u8; 32] {
    point[31] ^= SIGN_BIT;
    point
}

/// The encoding with sign bit 0.
pub(crate) const fn positive(mut point: [u8; 32]) -> [u8; 32] {
    point[31] &= !SIGN_BIT;
    point
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::BadSignature;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    #[test]
    fn points_outside_the_prime_order_subgroup_are_refused() {
        assert!(prime_order_point(&ED25519_BASEPOINT_POINT.compress().0).is_ok());
        for torsion in &EIGHT_TORSION[1..] {
            let mixed = (ED25519_BASEPOINT_POINT + torsion).compress().0;
            assert!(Ed25519Public::from_bytes(mixed).is_ok(), "an Ed25519 key it may be");
            assert_eq!(prime_order_point(&mixed), Err(InvalidKey::Weak));
        }
    }

    #[test]
    fn a_signature_whose_nonce_point_has_small_order_is_refused() {
        // The equation of Ed25519 holds for it, with any nonce that its maker could not hide.
        let key = Ed25519Secret::from_seed(&[1; 32]);
        let secret = secret_scalar(&key);
        let good = sign(&secret, key.public().as_bytes(), &Scalar::from(7u8), b"m");
        assert_eq!(key.public().verify(b"m", &good), Ok(()));
        let bad = sign(&secret, key.public().as_bytes(), &Scalar::ZERO, b"m");
        assert_eq!(key.public().verify(b"m", &bad), Err(BadSignature));
    }
}
