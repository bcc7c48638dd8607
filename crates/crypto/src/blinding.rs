//! Identities an account shows to communities instead of its own (client-messages 3.7), and the
//! key it shows to version checks (1.7).
//!
//! A blinded key is made from the account's key and the community server's public key: the same
//! at every visit, unlinkable between servers. Clients act with scheme 15; 25 is understood.
//! Signatures verify as ordinary Ed25519 under the key in the id.

use curve25519_dalek::Scalar;
use sha2::{Digest as _, Sha512};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::hash::{Blake2b, blake2b_256_keyed, blake2b_512};
use crate::id::{AccountId, IdPrefix};
use crate::keys::{BadSignature, Ed25519Public, Ed25519Secret, InvalidKey, Signature, X25519Public};
use crate::scalar;

const VERSION_LABEL: &[u8] = b"VersionCheckKey_sig";
const SEED_25_LABEL: &[u8] = b"SessCommBlind25_seed";
const SIGN_25_LABEL: &[u8] = b"SessCommBlind25_sig";

/// How an identity is blinded; the number is the first byte of the id in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlindingScheme {
    /// The factor depends on the server; from an account id two blinded ids are possible.
    V15,
    /// The factor depends on account and server; an account id has exactly one blinded id.
    V25,
}

impl BlindingScheme {
    /// The prefix of ids blinded so.
    pub const fn prefix(self) -> IdPrefix {
        match self {
            Self::V15 => IdPrefix::Blinded15,
            Self::V25 => IdPrefix::Blinded25,
        }
    }

    /// The scheme of an id, if it is a blinded one.
    pub const fn of(id: &AccountId) -> Option<Self> {
        match id.prefix() {
            IdPrefix::Blinded15 => Some(Self::V15),
            IdPrefix::Blinded25 => Some(Self::V25),
            _ => None,
        }
    }
}

/// An account's key at one community server.
#[derive(Clone, ZeroizeOnDrop)]
pub struct BlindedKey {
    #[zeroize(skip)]
    scheme: BlindingScheme,
    scalar: Scalar,
    #[zeroize(skip)]
    public: [u8; 32],
    /// Makes nonces unpredictable to whoever knows messages and signatures.
    nonce_secret: [u8; 32],
}

impl BlindedKey {
    /// The blinded key of an account at the server with this X25519 key (32 bytes as published).
    pub fn new(scheme: BlindingScheme, account: &Ed25519Secret, server_key: &[u8; 32]) -> Self {
        let own = scalar::secret_scalar(account);
        let account_key = account.public();
        let (factor, nonce_secret) = match scheme {
            BlindingScheme::V15 => {
                // The reference hashes libsodium's 64-byte secret, seed and public key.
                let digest = Zeroizing::new(<[u8; 64]>::from(
                    Sha512::new()
                        .chain_update(account.seed())
                        .chain_update(account_key.as_bytes())
                        .finalize(),
                ));
                (factor_15(server_key), *digest.last_chunk().expect("SHA-512 has 64 bytes"))
            }
            BlindingScheme::V25 => (
                signed_factor_25(&account_key, server_key),
                blake2b_256_keyed(SEED_25_LABEL, &[account.seed().as_ref()]),
            ),
        };
        let scalar = factor * *own;
        Self { scheme, scalar, public: scalar::public_of(&scalar), nonce_secret }
    }

    /// How this key is blinded.
    pub const fn scheme(&self) -> BlindingScheme {
        self.scheme
    }

    /// The blinded id.
    pub fn id(&self) -> AccountId {
        AccountId::new(self.scheme.prefix(), &self.public)
    }

    /// Signs a community message or request. Deterministic.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let nonce = Zeroizing::new(match self.scheme {
            BlindingScheme::V15 => scalar::reduce(
                &Sha512::new()
                    .chain_update(self.nonce_secret)
                    .chain_update(self.public)
                    .chain_update(message)
                    .finalize()
                    .into(),
            ),
            BlindingScheme::V25 => scalar::reduce(&Blake2b::new().key(SIGN_25_LABEL).hash(&[
                &self.nonce_secret,
                &self.public,
                message,
            ])),
        });
        scalar::sign(&self.scalar, &self.public, &nonce, message)
    }

    pub(crate) const fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    pub(crate) const fn public_bytes(&self) -> &[u8; 32] {
        &self.public
    }
}

impl std::fmt::Debug for BlindedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlindedKey({:?}, hidden)", self.id())
    }
}

/// Verifies a signature by the holder of an id with an Ed25519 key in it: 00, 07, 15, 25 and 03.
/// (Ids of kind 05 hold an X25519 key: see [`crate::xed25519`].)
///
/// # Errors
/// If the key cannot be used or the signature is not by it.
pub fn verify(id: &AccountId, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    if id.prefix() == IdPrefix::Account {
        return Err(BadSignature);
    }
    id.ed25519().map_err(|_| BadSignature)?.verify(message, signature)
}

/// The two ids of scheme 15 that an account may have at a server. Which one is true depends on the
/// sign of the account's Ed25519 key, which its id does not tell.
///
/// # Errors
/// If the id's key cannot be used.
pub fn candidates_15(account: &X25519Public, server_key: &[u8; 32]) -> Result<[AccountId; 2], InvalidKey> {
    let point = (scalar::positive_point(account)? * factor_15(server_key)).compress().0;
    Ok([point, scalar::negated(point)].map(|key| AccountId::new(IdPrefix::Blinded15, &key)))
}

/// The id of scheme 25 that an account has at a server.
///
/// # Errors
/// If the id's key cannot be used.
pub fn id_25(account: &X25519Public, server_key: &[u8; 32]) -> Result<AccountId, InvalidKey> {
    let point = scalar::positive_point(account)? * factor_25(account, server_key);
    Ok(AccountId::new(IdPrefix::Blinded25, &point.compress().0))
}

/// Whether `blinded` can be `account` at this server: exact for scheme 25, up to the sign for 15.
pub fn may_be(blinded: &AccountId, account: &X25519Public, server_key: &[u8; 32]) -> bool {
    match BlindingScheme::of(blinded) {
        Some(BlindingScheme::V15) => {
            candidates_15(account, server_key).is_ok_and(|candidates| candidates.contains(blinded))
        }
        Some(BlindingScheme::V25) => id_25(account, server_key).is_ok_and(|id| id == *blinded),
        None => false,
    }
}

/// The Ed25519 key an account signs version checks with; its id has the prefix 07.
pub fn version_key(account: &Ed25519Secret) -> Ed25519Secret {
    let seed = Zeroizing::new(blake2b_256_keyed(VERSION_LABEL, &[account.seed().as_ref()]));
    Ed25519Secret::from_seed(&seed)
}

/// The factor of scheme 15.
pub(crate) fn factor_15(server_key: &[u8; 32]) -> Scalar {
    scalar::reduce(&blake2b_512(&[server_key]))
}

/// The factor of scheme 25 for an account's positive key.
fn factor_25(account: &X25519Public, server_key: &[u8; 32]) -> Scalar {
    scalar::reduce(&blake2b_512(&[&[IdPrefix::Account.to_byte()], account.as_bytes(), server_key]))
}

/// The factor of scheme 25 for an account's own key: negated when that key is, so that the product
/// is the one that the account id gives.
pub(crate) fn signed_factor_25(account: &Ed25519Public, server_key: &[u8; 32]) -> Scalar {
    let factor = factor_25(&account.to_x25519(), server_key);
    if scalar::is_negative(account.as_bytes()) { -factor } else { factor }
}
