//! Signatures by X25519 keys (client-messages 3.10): needed where only an account id is known, in
//! communities without blinding.
//!
//! Two forms are about. XEd25519 negates the secret so that the Edwards key is the positive one.
//! The older form of Signal keeps the secret and carries the key's sign in the top bit of the
//! signature. [`sign`] makes the first; [`verify`] accepts both, and plain Ed25519 signatures by
//! the account, which some clients send.

use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::hash::Blake2b;
use crate::keys::{BadSignature, Ed25519Public, InvalidKey, Signature, X25519Public, X25519Secret};
use crate::scalar;

const NONCE_PERSONAL: &[u8; 16] = b"xed25519signatur";

/// The Ed25519 key with sign bit 0 that is the same point as an X25519 key.
///
/// # Errors
/// If the key is on the curve's twist: no Ed25519 key converts to it.
pub fn to_ed25519_positive(key: &X25519Public) -> Result<Ed25519Public, InvalidKey> {
    Ed25519Public::from_bytes(scalar::positive_point(key)?.compress().0)
}

/// Signs in the XEd25519 form.
pub fn sign(secret: &X25519Secret, message: &[u8], rng: &mut impl CryptoRngCore) -> Signature {
    let mut random = Zeroizing::new([0u8; 64]);
    rng.fill_bytes(random.as_mut());
    let a = signing_scalar(secret);
    let nonce = Zeroizing::new(Blake2b::new().personal(NONCE_PERSONAL).hash::<64>(&[
        a.as_bytes(),
        message,
        random.as_ref(),
    ]));
    sign_with_nonce(secret, message, &nonce)
}

/// [`sign`] with a given nonce (64 bytes, reduced). For known answers: one nonce used for two
/// messages gives the key away.
pub fn sign_with_nonce(secret: &X25519Secret, message: &[u8], nonce: &[u8; 64]) -> Signature {
    let a = signing_scalar(secret);
    scalar::sign(&a, &scalar::public_of(&a), &Zeroizing::new(scalar::reduce(nonce)), message)
}

/// Verifies a signature of any form.
///
/// # Errors
/// [`BadSignature`] if it is by no form of this key.
pub fn verify(key: &X25519Public, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    let positive = scalar::positive_point(key).map_err(|_| BadSignature)?.compress().0;
    let negative = scalar::negated(positive);
    let verify = |key: [u8; 32], signature: &Signature| {
        Ed25519Public::from_bytes(key).map_err(|_| BadSignature)?.verify(message, signature)
    };
    let mut bytes = *signature.as_bytes();
    if bytes[63] & 0x80 != 0 {
        // The older form: the bit belongs to the key.
        bytes[63] &= 0x7f;
        return verify(negative, &Signature::from_bytes(bytes));
    }
    verify(positive, signature).or_else(|_| verify(negative, signature))
}

/// Verifies the XEd25519 form alone.
///
/// # Errors
/// [`BadSignature`].
pub fn verify_strict(key: &X25519Public, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    to_ed25519_positive(key).map_err(|_| BadSignature)?.verify(message, signature)
}

/// The secret as a scalar, negated if its key would be negative.
fn signing_scalar(secret: &X25519Secret) -> Zeroizing<curve25519_dalek::Scalar> {
    let a = scalar::clamped(secret.as_bytes());
    if scalar::is_negative(&scalar::public_of(&a)) { Zeroizing::new(-*a) } else { a }
}
