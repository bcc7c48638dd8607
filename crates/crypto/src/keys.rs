//! Ed25519 and X25519 keys, and the conversions between them.

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::Signer as _;
use rand_core::CryptoRngCore;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Why bytes are not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Not 32 bytes (or not 64 hex digits).
    #[error("a public key is 32 bytes, got {0}")]
    Length(usize),
    /// Hex digits were expected.
    #[error("a public key in text is 64 hex digits")]
    NotHex,
    /// The bytes are not the one canonical encoding of a curve point.
    #[error("the bytes are not a canonically encoded curve point")]
    NotAPoint,
    /// A point of small order: anyone can forge signatures for it or guess its shared secrets.
    #[error("the key is a point of small order")]
    Weak,
}

/// A signature that does not belong to this message and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A 64-byte Ed25519 signature. Not secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Any 64 bytes; whether they verify is another question.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes if there are exactly that many.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// R followed by s.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({}…)", hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4])))
    }
}

/// An Ed25519 public key: canonical, on the curve, not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ed25519Public([u8; 32]);

impl Ed25519Public {
    /// Checks encoding and order (RFC 8032 section 5.1.3, and the small-order points refused).
    ///
    /// # Errors
    /// [`InvalidKey`] says what is wrong with the bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidKey> {
        if !has_reduced_y(&bytes) {
            return Err(InvalidKey::NotAPoint);
        }
        let point = CompressedEdwardsY(bytes).decompress().ok_or(InvalidKey::NotAPoint)?;
        // The other encodings that are not canonical, "minus zero" for x, are of small order.
        if point.is_small_order() {
            return Err(InvalidKey::Weak);
        }
        Ok(Self(bytes))
    }

    /// [`Self::from_bytes`] for a slice of any length.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and for a wrong length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidKey> {
        Self::from_bytes(bytes.try_into().map_err(|_| InvalidKey::Length(bytes.len()))?)
    }

    /// [`Self::from_bytes`] for 64 hex digits of either case.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and for text that is not hex.
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        Self::from_slice(&hex::decode(text).map_err(|_| InvalidKey::NotHex)?)
    }

    /// The compressed point.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lowercase hex, 64 digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Verifies strictly: `s` reduced, `R` canonical and not of small order.
    ///
    /// # Errors
    /// [`BadSignature`], without saying why: the reason helps only a forger.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0))
            .map_err(|_| BadSignature)
    }

    /// The X25519 key of the same point (`crypto_sign_ed25519_pk_to_curve25519`).
    pub fn to_x25519(&self) -> X25519Public {
        // A checked Ed25519 key always decompresses; its image is as strong as it is.
        let point = CompressedEdwardsY(self.0).decompress().unwrap_or_default();
        X25519Public(point.to_montgomery().0)
    }
}

impl std::fmt::Debug for Ed25519Public {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ed25519Public({}…)", hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4])))
    }
}

/// An Ed25519 secret: the 32-byte seed (RFC 8032) and the public key made from it.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Ed25519Secret(ed25519_dalek::SigningKey);

impl Ed25519Secret {
    /// The key pair of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// A fresh key pair.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        let mut seed = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }

    /// The 32-byte seed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> Ed25519Public {
        Ed25519Public(self.0.verifying_key().to_bytes())
    }

    /// A deterministic signature (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The X25519 secret of the same key: the first half of SHA-512(seed), clamped
    /// (`crypto_sign_ed25519_sk_to_curve25519`).
    pub fn to_x25519(&self) -> X25519Secret {
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(self.seed().as_ref())));
        let (half, _) = hash.split_first_chunk::<32>().expect("SHA-512 has 64 bytes");
        X25519Secret::from_bytes(curve25519_dalek::scalar::clamp_integer(*half))
    }
}

impl std::fmt::Debug for Ed25519Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ed25519Secret(hidden, public {:?})", self.public())
    }
}

/// An X25519 public key: reduced, and not a point of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct X25519Public([u8; 32]);

impl X25519Public {
    /// Checks that the coordinate is reduced mod 2²⁵⁵−19 with the top bit clear, and that the
    /// point is not of small order.
    ///
    /// # Errors
    /// [`InvalidKey`] says what is wrong with the bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidKey> {
        if !is_reduced(&bytes) {
            return Err(InvalidKey::NotAPoint);
        }
        if SMALL_ORDER_U.contains(&bytes) {
            return Err(InvalidKey::Weak);
        }
        Ok(Self(bytes))
    }

    /// [`Self::from_bytes`] for a slice of any length.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and for a wrong length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidKey> {
        Self::from_bytes(bytes.try_into().map_err(|_| InvalidKey::Length(bytes.len()))?)
    }

    /// [`Self::from_bytes`] for 64 hex digits of either case.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and for text that is not hex.
    pub fn from_hex(text: &str) -> Result<Self, InvalidKey> {
        Self::from_slice(&hex::decode(text).map_err(|_| InvalidKey::NotHex)?)
    }

    /// The u coordinate, little-endian.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lowercase hex, 64 digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl std::fmt::Debug for X25519Public {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "X25519Public({}…)", hex::encode(self.0.first_chunk::<4>().unwrap_or(&[0; 4])))
    }
}

/// The reduced u coordinates of order dividing 8, on the curve and its twist: 0, 1, the two of
/// order 8, and −1. (A table, because the test by multiplication costs as much as a key agreement.)
const SMALL_ORDER_U: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Whether 32 little-endian bytes are below 2²⁵⁵−19.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *high < 0x7f || (*high == 0x7f && (middle.iter().any(|byte| *byte != 0xff) || *low < 0xed))
}

/// An X25519 secret, clamped when used.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct X25519Secret([u8; 32]);

impl X25519Secret {
    /// Any 32 bytes are a secret (RFC 7748 section 5).
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh secret.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        let mut bytes = [0u8; 32];
        rng.fill_bytes(&mut bytes);
        let secret = Self(bytes);
        bytes.zeroize();
        secret
    }

    /// The public key of this secret.
    pub fn public(&self) -> X25519Public {
        X25519Public(curve25519_dalek::EdwardsPoint::mul_base_clamped(self.0).to_montgomery().0)
    }

    /// X25519 (RFC 7748). A checked public key cannot give the all-zero result, so this has no error.
    pub fn diffie_hellman(&self, theirs: &X25519Public) -> SharedSecret {
        SharedSecret(MontgomeryPoint(theirs.0).mul_clamped(self.0).0)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for X25519Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for X25519Secret {}

impl std::fmt::Debug for X25519Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("X25519Secret(hidden)")
    }
}

/// An X25519 secret together with its public key, for keys that are used many times: the public
/// key costs a multiplication to compute, and formats want both.
#[derive(Clone)]
pub struct X25519Pair {
    secret: X25519Secret,
    public: X25519Public,
}

impl X25519Pair {
    /// The pair of a secret.
    pub fn new(secret: X25519Secret) -> Self {
        let public = secret.public();
        Self { secret, public }
    }

    /// A fresh pair.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        Self::new(X25519Secret::generate(rng))
    }

    /// The secret half.
    pub const fn secret(&self) -> &X25519Secret {
        &self.secret
    }

    /// The public half.
    pub const fn public(&self) -> &X25519Public {
        &self.public
    }
}

impl From<X25519Secret> for X25519Pair {
    fn from(secret: X25519Secret) -> Self {
        Self::new(secret)
    }
}

impl std::fmt::Debug for X25519Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "X25519Pair(hidden, public {:?})", self.public)
    }
}

/// What two X25519 keys agree on. Input of a key derivation, never a key by itself.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret(hidden)")
    }
}

/// Whether y of a compressed point is below the field's prime, 2^255 - 19. Compressing the point
/// again would tell the same, for twice the price of a key.
fn has_reduced_y(bytes: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    *lowest < 0xed || middle.iter().any(|byte| *byte != 0xff) || highest & 0x7f != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    /// The eight points of small order, canonically encoded.
    fn small_order_points() -> Vec<[u8; 32]> {
        curve25519_dalek::constants::EIGHT_TORSION.iter().map(|point| point.compress().0).collect()
    }

    #[test]
    fn ed25519_points_of_small_order_are_refused() {
        for bytes in small_order_points() {
            assert_eq!(Ed25519Public::from_bytes(bytes), Err(InvalidKey::Weak));
        }
    }

    #[test]
    fn ed25519_keys_have_one_spelling() {
        // y = 2^255 - 19 + 3 is y = 3 spelled unreduced.
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xed + 3;
        unreduced[31] = 0x7f;
        assert_eq!(Ed25519Public::from_bytes(unreduced), Err(InvalidKey::NotAPoint));
        // No point of the curve has y = 2.
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert_eq!(Ed25519Public::from_bytes(off_curve), Err(InvalidKey::NotAPoint));
    }

    #[test]
    fn x25519_keys_of_small_order_or_unreduced_are_refused() {
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            assert_eq!(X25519Public::from_bytes(point.to_montgomery().0), Err(InvalidKey::Weak));
        }
        for bytes in SMALL_ORDER_U {
            let shared = MontgomeryPoint(bytes).mul_clamped([7; 32]);
            assert_eq!(shared.0, [0; 32], "the table holds only points that give the zero secret");
        }
        let mut nine = [0; 32];
        nine[0] = 9;
        assert!(X25519Public::from_bytes(nine).is_ok());
        nine[31] = 0x80;
        assert_eq!(X25519Public::from_bytes(nine), Err(InvalidKey::NotAPoint), "top bit set");
        let mut modulus = [0xff; 32];
        modulus[0] = 0xed;
        modulus[31] = 0x7f;
        assert_eq!(X25519Public::from_bytes(modulus), Err(InvalidKey::NotAPoint), "zero, unreduced");
        modulus[0] = 0xeb;
        assert!(X25519Public::from_bytes(modulus).is_ok(), "two below the modulus");
    }

    #[test]
    fn lengths_and_spellings_of_keys_are_checked() {
        assert_eq!(X25519Public::from_slice(&[9; 31]), Err(InvalidKey::Length(31)));
        assert_eq!(Ed25519Public::from_slice(&[9; 33]), Err(InvalidKey::Length(33)));
        assert_eq!(X25519Public::from_hex("zz"), Err(InvalidKey::NotHex));
    }

    #[test]
    fn a_key_is_what_compresses_to_the_same_bytes_again() {
        let mut encodings: Vec<[u8; 32]> = Vec::new();
        // Around zero, around the prime, and all that is not reduced.
        for low in 0..=255 {
            for (middle, high) in [(0, 0), (0xff, 0x7f), (0xff, 0x7e), (0xfe, 0x7f)] {
                let mut bytes = [middle; 32];
                (bytes[0], bytes[31]) = (low, high);
                encodings.push(bytes);
                bytes[31] |= 0x80;
                encodings.push(bytes);
            }
        }
        for bytes in encodings {
            let expected = CompressedEdwardsY(bytes)
                .decompress()
                .is_some_and(|point| point.compress().0 == bytes && !point.is_small_order());
            assert_eq!(Ed25519Public::from_bytes(bytes).is_ok(), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn both_sides_agree_and_conversions_of_secret_and_public_key_match() {
        let (a, b) = (Ed25519Secret::generate(&mut OsRng), Ed25519Secret::generate(&mut OsRng));
        assert_eq!(a.to_x25519().public(), a.public().to_x25519());
        let ab = a.to_x25519().diffie_hellman(&b.public().to_x25519());
        let ba = b.to_x25519().diffie_hellman(&a.public().to_x25519());
        assert_eq!(ab.as_bytes(), ba.as_bytes());
    }

    #[test]
    fn signatures_belong_to_one_message_and_one_key() {
        let (a, b) = (Ed25519Secret::generate(&mut OsRng), Ed25519Secret::generate(&mut OsRng));
        let signature = a.sign(b"m");
        assert_eq!(a.public().verify(b"m", &signature), Ok(()));
        assert_eq!(a.public().verify(b"n", &signature), Err(BadSignature));
        assert_eq!(b.public().verify(b"m", &signature), Err(BadSignature));
    }

    #[test]
    fn an_unreduced_signature_is_refused() {
        // Adding the group order to s gives the same equation; accepting it would give one
        // message two signatures.
        let key = Ed25519Secret::from_seed(&[1; 32]);
        let mut bytes = *key.sign(b"m").as_bytes();
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut carry = 0u16;
        for (byte, add) in bytes[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(key.public().verify(b"m", &Signature::from_bytes(bytes)), Err(BadSignature));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let secret = Ed25519Secret::from_seed(&[0xab; 32]);
        let x = secret.to_x25519();
        let x_hex = hex::encode(x.as_bytes());
        let shared = x.diffie_hellman(&X25519Secret::from_bytes([3; 32]).public());
        for text in [
            format!("{secret:?}"),
            format!("{x:?}"),
            format!("{shared:?}"),
            format!("{:?}", X25519Pair::new(x.clone())),
        ] {
            assert!(text.contains("hidden"), "{text}");
            assert!(!text.contains("abab") && !text.contains(&x_hex[..8]), "{text}");
        }
    }

    #[test]
    fn secrets_are_wiped_on_request_and_on_drop() {
        const fn wiped_on_drop<T: ZeroizeOnDrop>() {}
        wiped_on_drop::<Ed25519Secret>();
        wiped_on_drop::<X25519Secret>();
        wiped_on_drop::<SharedSecret>();
        let mut secret = X25519Secret::from_bytes([7; 32]);
        secret.zeroize();
        assert_eq!(secret.as_bytes(), &[0; 32]);
    }
}
