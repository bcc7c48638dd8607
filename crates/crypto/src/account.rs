//! The keys of an account, all made from the recovery phrase (client-messages 1.1).

use rand_core::CryptoRngCore;

use crate::id::AccountId;
use crate::keys::{Ed25519Public, Ed25519Secret, X25519Pair};
use crate::recovery_phrase::RecoveryPhrase;

/// An account's secrets: one Ed25519 key, and the X25519 key and account id made from it.
#[derive(Clone)]
pub struct Account {
    ed25519: Ed25519Secret,
    x25519: X25519Pair,
    id: AccountId,
}

impl Account {
    /// A new account, and the phrase its owner keeps.
    pub fn generate(rng: &mut impl CryptoRngCore) -> (Self, RecoveryPhrase) {
        let phrase = RecoveryPhrase::generate(rng);
        (Self::from_phrase(&phrase), phrase)
    }

    /// The account of a phrase: a 16-byte seed is filled up with zeros to the 32 of Ed25519.
    pub fn from_phrase(phrase: &RecoveryPhrase) -> Self {
        Self::from_secret(Ed25519Secret::from_seed(&phrase.ed25519_seed()))
    }

    /// The account of an Ed25519 key.
    pub fn from_secret(ed25519: Ed25519Secret) -> Self {
        let x25519 = X25519Pair::new(ed25519.to_x25519());
        let id = AccountId::of_account(x25519.public());
        Self { ed25519, x25519, id }
    }

    /// The account id, 05….
    pub const fn id(&self) -> &AccountId {
        &self.id
    }

    /// The signing key.
    pub const fn ed25519(&self) -> &Ed25519Secret {
        &self.ed25519
    }

    /// The public half of the signing key, which storage wants beside the id.
    pub fn ed25519_public(&self) -> Ed25519Public {
        self.ed25519.public()
    }

    /// The key that opens messages to this account.
    pub const fn x25519(&self) -> &X25519Pair {
        &self.x25519
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({:?}, hidden)", self.id)
    }
}
