//! How members get at their group's mailbox without its key (storage-and-onion 2.3,
//! config-and-groups 8).
//!
//! An admin signs a token with a key blinded for one member; the member signs requests with the
//! matching secret. A storage server sees a token, a signature and an ordinary Ed25519 signature,
//! and cannot tell which account is behind them.

use curve25519_dalek::Scalar;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::hash::{Blake2b, blake2b_256_keyed};
use crate::id::IdPrefix;
use crate::keys::{BadSignature, Ed25519Public, Ed25519Secret, InvalidKey, Signature, X25519Public};
use crate::scalar;

/// May read.
pub const READ: u8 = 1;
/// May store.
pub const WRITE: u8 = 2;
/// May delete.
pub const DELETE: u8 = 4;
/// Valid for ids of any prefix.
pub const ANY_PREFIX: u8 = 8;

/// What members get unless they may delete as well.
pub const MEMBER_RIGHTS: u8 = READ | WRITE;

const MASK_LABEL: &[u8] = b"SessionGroupSubaccountMask";
const SEED_LABEL: &[u8] = b"SubaccountSeed";
const SIGN_LABEL: &[u8] = b"SubaccountSig";

const HEAD_LENGTH: usize = 4;

/// A token: prefix, rights, two zeros, the member's blinded key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 36]);

impl Token {
    /// Any 36 bytes; [`AuthData::accept`] or the group's signature says whether they are worth
    /// something.
    pub const fn from_bytes(bytes: [u8; 36]) -> Self {
        Self(bytes)
    }

    /// The 36 bytes, as revocations name them.
    pub const fn as_bytes(&self) -> &[u8; 36] {
        &self.0
    }

    /// The token of a member, which an admin can compute at any time, for instance to revoke it.
    ///
    /// # Errors
    /// If the member's key cannot be used.
    pub fn of_member(group: &Ed25519Secret, member: &X25519Public, rights: u8) -> Result<Self, InvalidKey> {
        Self::blinded(&factor(group, member), member, rights)
    }

    fn blinded(factor: &Scalar, member: &X25519Public, rights: u8) -> Result<Self, InvalidKey> {
        Ok(Self::new(rights, &(scalar::positive_point(member)? * factor).compress().0))
    }

    fn new(rights: u8, key: &[u8; 32]) -> Self {
        let mut bytes = [0u8; 36];
        let (head, tail) = bytes.split_at_mut(HEAD_LENGTH);
        head.copy_from_slice(&[IdPrefix::Group.to_byte(), rights, 0, 0]);
        tail.copy_from_slice(key);
        Self(bytes)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}…)", hex::encode(self.0.first_chunk::<8>().unwrap_or(&[0; 8])))
    }
}

/// Why auth data of an invitation cannot be used. The inviter's fault; another invitation helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthDataError {
    /// Not 100 bytes.
    #[error("auth data of a group has 100 bytes, this has {0}")]
    Length(usize),
    /// For ids of another kind.
    #[error("the auth data is not for groups")]
    Prefix,
    /// Lacks a right the member needs.
    #[error("the auth data lacks the right to read or write")]
    Rights,
    /// Made for another member, or not by this group.
    #[error("the auth data is not for this member, or not by this group")]
    NotForUs,
}

/// What an admin sends to a member: head of the token, blinding factor, signature over the token.
#[derive(Clone, ZeroizeOnDrop)]
pub struct AuthData([u8; 100]);

impl AuthData {
    /// Issues auth data for a member.
    ///
    /// # Errors
    /// If the member's key cannot be used.
    pub fn issue(group: &Ed25519Secret, member: &X25519Public, rights: u8) -> Result<Self, InvalidKey> {
        let factor = factor(group, member);
        let token = Token::blinded(&factor, member, rights)?;
        let mut bytes = [0u8; 100];
        let (head, rest) = bytes.split_at_mut(HEAD_LENGTH);
        let (middle, tail) = rest.split_at_mut(32);
        head.copy_from_slice(token.0.split_at(HEAD_LENGTH).0);
        middle.copy_from_slice(factor.as_bytes());
        tail.copy_from_slice(group.sign(&token.0).as_bytes());
        Ok(Self(bytes))
    }

    /// Auth data from an invitation or a config, unchecked.
    ///
    /// # Errors
    /// For another length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, AuthDataError> {
        bytes.try_into().map(Self).map_err(|_| AuthDataError::Length(bytes.len()))
    }

    /// The 100 bytes.
    pub const fn as_bytes(&self) -> &[u8; 100] {
        &self.0
    }

    /// Checks that the group issued this for us with at least the rights `needed`, and gives what
    /// signs requests.
    ///
    /// # Errors
    /// [`AuthDataError`] says what is wrong.
    pub fn accept(
        &self,
        member: &Ed25519Secret,
        group: &Ed25519Public,
        needed: u8,
    ) -> Result<Subaccount, AuthDataError> {
        let (head, rest) = self.0.split_first_chunk::<HEAD_LENGTH>().expect("100 bytes hold 4");
        let (factor, signature) = rest.split_first_chunk::<32>().expect("96 bytes hold 32");
        let [prefix, rights, _, _] = *head;
        if prefix != IdPrefix::Group.to_byte() && rights & ANY_PREFIX == 0 {
            return Err(AuthDataError::Prefix);
        }
        if rights & needed != needed {
            return Err(AuthDataError::Rights);
        }
        let factor = Option::<Scalar>::from(Scalar::from_canonical_bytes(*factor))
            .filter(|factor| *factor != Scalar::ZERO)
            .map(Zeroizing::new)
            .ok_or(AuthDataError::NotForUs)?;
        // The member's secret, negated if its key is: the token was made from the positive key.
        let own = scalar::secret_scalar(member);
        let own = if scalar::is_negative(member.public().as_bytes()) { Zeroizing::new(-*own) } else { own };
        let secret = *factor * *own;
        let mut token = Token::new(rights, &scalar::public_of(&secret));
        token.0.split_at_mut(HEAD_LENGTH).0.copy_from_slice(head);
        let signature = Signature::from_slice(signature).expect("64 bytes are left");
        group.verify(&token.0, &signature).map_err(|BadSignature| AuthDataError::NotForUs)?;
        let nonce_secret = blake2b_256_keyed(SEED_LABEL, &[member.seed().as_ref()]);
        Ok(Subaccount { token, token_signature: signature, secret, nonce_secret })
    }
}

impl std::fmt::Debug for AuthData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthData(hidden)")
    }
}

/// A member's access to the group's mailbox.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Subaccount {
    #[zeroize(skip)]
    token: Token,
    #[zeroize(skip)]
    token_signature: Signature,
    secret: Scalar,
    nonce_secret: [u8; 32],
}

impl Subaccount {
    /// Goes into requests as `subaccount`.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Goes into requests as `subaccount_sig`.
    pub const fn token_signature(&self) -> &Signature {
        &self.token_signature
    }

    /// Signs the bytes of a storage request. Deterministic.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let (_, key) = self.token.0.split_first_chunk::<HEAD_LENGTH>().expect("36 bytes hold 4");
        let key = key.first_chunk().expect("the other 32 bytes");
        let nonce = Zeroizing::new(scalar::reduce(&Blake2b::new().key(SIGN_LABEL).hash(&[
            &self.nonce_secret,
            key,
            message,
        ])));
        scalar::sign(&self.secret, key, &nonce, message)
    }
}

impl std::fmt::Debug for Subaccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subaccount({:?}, hidden)", self.token)
    }
}

/// The factor that blinds a member's key for this group.
fn factor(group: &Ed25519Secret, member: &X25519Public) -> Zeroizing<Scalar> {
    let mask = Zeroizing::new(blake2b_256_keyed(MASK_LABEL, &[group.seed().as_ref()]));
    let digest = Zeroizing::new(Blake2b::new().key(mask.as_ref()).hash::<64>(&[
        &[IdPrefix::Account.to_byte()],
        member.as_bytes(),
        &[IdPrefix::Group.to_byte()],
        group.public().as_bytes(),
    ]));
    Zeroizing::new(scalar::reduce(&digest))
}
