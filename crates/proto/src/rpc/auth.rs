//! Who asks: credentials of a request, and their verification (storage-and-onion 2.2–2.4).
//!
//! Knows no clock and no revocation list. [`Request::verify`](super::Request::verify) proves that a
//! key allowed to act for the account signed exactly this request; its caller still checks the
//! request's time and, unless the namespace is unrevocable, that the token is not revoked.

use conclave_crypto::{AccountId, Ed25519Public, Ed25519Secret, IdPrefix, Signature};

/// Rights a subaccount token can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rights(pub u8);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Retrieve.
    pub const READ: Self = Self(1);
    /// Store and change expiries.
    pub const WRITE: Self = Self(2);
    /// Delete.
    pub const DELETE: Self = Self(4);
    /// The token is valid for accounts of any type byte.
    pub const ANY_PREFIX: Self = Self(8);

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `needed` are here.
    pub const fn contain(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }
}

/// The 36 bytes that name a subaccount: account type, rights, two zero bytes, key (2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubaccountToken(pub [u8; 36]);

impl SubaccountToken {
    /// The type byte of the accounts it is for.
    pub const fn prefix(&self) -> IdPrefix {
        IdPrefix::from_byte(self.0[0])
    }

    /// What it allows.
    pub const fn rights(&self) -> Rights {
        Rights(self.0[1])
    }

    /// The key its holder signs with, unchecked.
    pub fn key_bytes(&self) -> [u8; 32] {
        let [_, _, _, _, key @ ..] = self.0;
        key
    }
}

impl std::fmt::Debug for SubaccountToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubaccountToken({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A subaccount's token and the account's signature over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubaccountAuth {
    /// Whose key signed the request.
    pub token: SubaccountToken,
    /// The account's signature over the token.
    pub signature: Signature,
}

/// The credentials of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Auth {
    /// The Ed25519 key behind an account id of type 05, which shows only its X25519 form. Unchecked
    /// bytes: a node says 401 about a key it cannot use, not 400.
    pub pubkey_ed25519: Option<[u8; 32]>,
    /// Over the request's signed bytes.
    pub signature: Signature,
    /// Set when a subaccount's key made `signature`.
    pub subaccount: Option<SubaccountAuth>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("subaccount", &self.subaccount).finish_non_exhaustive()
    }
}

impl Auth {
    /// An account of type 05 signs for itself; its Ed25519 key travels along.
    pub fn by_account(key: &Ed25519Secret, signed: &[u8]) -> Self {
        Self { pubkey_ed25519: Some(*key.public().as_bytes()), signature: key.sign(signed), subaccount: None }
    }

    /// The key of a group, which is its id, signs.
    pub fn by_group(key: &Ed25519Secret, signed: &[u8]) -> Self {
        Self { pubkey_ed25519: None, signature: key.sign(signed), subaccount: None }
    }

    /// A member of a group signs; `signature` is by the token's key over the signed bytes.
    pub fn by_subaccount(subaccount: SubaccountAuth, signature: Signature) -> Self {
        Self { pubkey_ed25519: None, signature, subaccount: Some(subaccount) }
    }

    /// Whether a key that may act for `account` with `needed` rights signed `signed` (2.3, without
    /// the revocation list).
    ///
    /// # Errors
    /// Says which step failed; strangers are only told that it did.
    pub fn verify(
        &self,
        account: &AccountId,
        signed: &[u8],
        needed: Rights,
    ) -> Result<Authority, AuthRejected> {
        let account_key = self.account_key(account)?;
        let Some(subaccount) = &self.subaccount else {
            account_key.verify(signed, &self.signature).map_err(|_| AuthRejected::Signature)?;
            return Ok(Authority::Account);
        };
        let token = subaccount.token;
        if token.prefix() != account.prefix() && !token.rights().contain(Rights::ANY_PREFIX) {
            return Err(AuthRejected::OtherAccountType);
        }
        if !token.rights().contain(needed) {
            return Err(AuthRejected::LacksRights);
        }
        account_key.verify(&token.0, &subaccount.signature).map_err(|_| AuthRejected::Token)?;
        Ed25519Public::from_bytes(token.key_bytes())
            .map_err(|_| AuthRejected::Key)?
            .verify(signed, &self.signature)
            .map_err(|_| AuthRejected::Signature)?;
        Ok(Authority::Subaccount(token))
    }

    fn account_key(&self, account: &AccountId) -> Result<Ed25519Public, AuthRejected> {
        let Some(bytes) = self.pubkey_ed25519.filter(|_| account.prefix() == IdPrefix::Account) else {
            return account.ed25519().map_err(|_| AuthRejected::Key);
        };
        let key = Ed25519Public::from_bytes(bytes).map_err(|_| AuthRejected::Key)?;
        if key.to_x25519().as_bytes() == account.key_bytes() { Ok(key) } else { Err(AuthRejected::OtherKey) }
    }
}

/// In whose name a verified request acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Nobody's: the method, or the namespace, asks for no signature.
    Anyone,
    /// The account itself.
    Account,
    /// A subaccount, which may have been revoked.
    Subaccount(SubaccountToken),
}

/// Why credentials do not hold. For logs and tests: the wire says only that verification failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthRejected {
    /// There are none and some are needed.
    #[error("the request is not signed")]
    Missing,
    /// A key that cannot be used.
    #[error("a key in the request cannot be used")]
    Key,
    /// `pubkey_ed25519` is not the key of the account.
    #[error("pubkey_ed25519 belongs to another account")]
    OtherKey,
    /// The token is for another type of account.
    #[error("the subaccount token is for another type of account")]
    OtherAccountType,
    /// The token does not allow this.
    #[error("the subaccount token does not allow this")]
    LacksRights,
    /// The account did not sign the token.
    #[error("the account did not sign the subaccount token")]
    Token,
    /// The signature over the request.
    #[error("the signature does not verify")]
    Signature,
}
