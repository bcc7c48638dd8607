//! The seal around one-to-one messages (client-messages 3.1): signed by the sender's Ed25519 key,
//! then put into a box that only the recipient's X25519 key opens and that shows no sender.
//!
//! Padding and protobuf wrapping are the callers'. A message that opens is authenticated: it came
//! from the holder of [`OpenedMessage::sender_key`] and was meant for this recipient.

use crypto_box::aead::AeadInPlace as _;
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use rand_core::CryptoRngCore;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use crate::hash::{Blake2b, blake2b_256_keyed};
use crate::id::AccountId;
use crate::keys::{
    Ed25519Public, Ed25519Secret, InvalidKey, Signature, X25519Pair, X25519Public, X25519Secret,
};

/// Bytes a seal adds: ephemeral key and tag, the sender's key and signature.
pub const OVERHEAD: usize = BOX_OVERHEAD + SIGNATURE_PART;

const BOX_OVERHEAD: usize = 32 + TAG_LENGTH;
const TAG_LENGTH: usize = 16;
const SIGNATURE_PART: usize = 32 + 64;

/// Key of the hash that derives the ephemeral key of a deterministic seal.
const EPHEMERAL_LABEL: &[u8] = b"SessionBoxEphemeralHashKey";

/// Why a sealed message was refused. Always the sender's fault (or not meant for this account);
/// the same bytes will never open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedMessageError {
    /// Shorter than an empty message.
    #[error("{0} bytes are too few for a sealed message, at least {OVERHEAD} are needed")]
    TooShort(usize),
    /// Sealed for another key, or changed.
    #[error("the seal is not for this account, or was changed on the way")]
    NotForUs,
    /// The sender's key inside cannot be one.
    #[error("the sender's key in the message cannot be used: {0}")]
    SenderKey(#[source] InvalidKey),
    /// The signature covers message, sender and recipient, and does not verify.
    #[error("the sender's signature does not verify")]
    Signature,
}

/// A message whose seal and signature were good.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedMessage {
    /// The sender's account id, from [`Self::sender_key`].
    pub sender: AccountId,
    /// The key that signed.
    pub sender_key: Ed25519Public,
    /// The message, still padded if it was.
    pub message: Vec<u8>,
}

impl std::fmt::Debug for OpenedMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedMessage(from {:?}, {} bytes)", self.sender, self.message.len())
    }
}

/// Seals a message from `sender` for `recipient`, with a fresh ephemeral key.
pub fn seal(
    sender: &Ed25519Secret,
    recipient: &X25519Public,
    message: &[u8],
    rng: &mut impl CryptoRngCore,
) -> Vec<u8> {
    seal_with_ephemeral(sender, recipient, message, &X25519Secret::generate(rng))
}

/// Seals with an ephemeral key derived from sender, recipient and message, so that sealing the
/// same config twice stores the same bytes (config-and-groups 5.5). It opens like any other seal.
pub fn seal_deterministic(sender: &Ed25519Secret, recipient: &X25519Public, message: &[u8]) -> Vec<u8> {
    let seed = Zeroizing::new(blake2b_256_keyed(
        EPHEMERAL_LABEL,
        &[sender.seed().as_ref(), recipient.as_bytes(), message],
    ));
    let digest = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed.as_ref())));
    let (half, _) = digest.split_first_chunk().expect("SHA-512 has 64 bytes");
    seal_with_ephemeral(sender, recipient, message, &X25519Secret::from_bytes(*half))
}

fn seal_with_ephemeral(
    sender: &Ed25519Secret,
    recipient: &X25519Public,
    message: &[u8],
    ephemeral: &X25519Secret,
) -> Vec<u8> {
    let sender_key = sender.public();
    let mut signed = Vec::with_capacity(message.len() + 64);
    signed.extend_from_slice(message);
    signed.extend_from_slice(sender_key.as_bytes());
    signed.extend_from_slice(recipient.as_bytes());
    let signature = sender.sign(&signed);

    let ephemeral_public = ephemeral.public();
    let mut sealed = Vec::with_capacity(message.len() + OVERHEAD);
    sealed.extend_from_slice(ephemeral_public.as_bytes());
    sealed.extend_from_slice(&[0; TAG_LENGTH]);
    sealed.extend_from_slice(message);
    sealed.extend_from_slice(sender_key.as_bytes());
    sealed.extend_from_slice(signature.as_bytes());

    let nonce = seal_nonce(&ephemeral_public, recipient);
    let (head, inner) = sealed.split_at_mut(BOX_OVERHEAD);
    let tag = salsa_box(recipient, ephemeral)
        .encrypt_in_place_detached(&nonce.into(), b"", inner)
        .expect("no buffer reaches the cipher's limit of 256 GiB");
    head.split_at_mut(BOX_OVERHEAD - TAG_LENGTH).1.copy_from_slice(&tag);
    sealed
}

/// Opens a sealed message and checks who signed it.
///
/// # Errors
/// [`SealedMessageError`] says which of the checks failed.
pub fn open(recipient: &X25519Pair, sealed: &[u8]) -> Result<OpenedMessage, SealedMessageError> {
    let too_short = SealedMessageError::TooShort(sealed.len());
    if sealed.len() < OVERHEAD {
        return Err(too_short);
    }
    let (ephemeral, rest) = sealed.split_first_chunk::<32>().ok_or(too_short)?;
    let (tag, inner) = rest.split_first_chunk::<TAG_LENGTH>().ok_or(too_short)?;
    // A weak ephemeral key would make the box's key public knowledge.
    let ephemeral = X25519Public::from_bytes(*ephemeral).map_err(|_| SealedMessageError::NotForUs)?;
    let mut message = inner.to_vec();
    salsa_box(&ephemeral, recipient.secret())
        .decrypt_in_place_detached(
            &seal_nonce(&ephemeral, recipient.public()).into(),
            b"",
            &mut message,
            tag.into(),
        )
        .map_err(|_| SealedMessageError::NotForUs)?;

    let signature = *message.last_chunk::<64>().ok_or(too_short)?;
    message.truncate(message.len() - signature.len());
    let sender_bytes = *message.last_chunk::<32>().ok_or(too_short)?;
    let sender_key = Ed25519Public::from_bytes(sender_bytes).map_err(SealedMessageError::SenderKey)?;
    // What is signed is message || sender || recipient: the recipient takes the signature's place.
    message.extend_from_slice(recipient.public().as_bytes());
    sender_key
        .verify(&message, &Signature::from_bytes(signature))
        .map_err(|_| SealedMessageError::Signature)?;
    message.truncate(message.len() - 64);
    Ok(OpenedMessage { sender: AccountId::of_account(&sender_key.to_x25519()), sender_key, message })
}

/// The nonce of `crypto_box_seal`: BLAKE2b-192 over both public keys.
fn seal_nonce(ephemeral: &X25519Public, recipient: &X25519Public) -> [u8; 24] {
    Blake2b::new().hash(&[ephemeral.as_bytes(), recipient.as_bytes()])
}

fn salsa_box(theirs: &X25519Public, own: &X25519Secret) -> SalsaBox {
    SalsaBox::new(&PublicKey::from_bytes(*theirs.as_bytes()), &SecretKey::from_bytes(*own.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    fn keys() -> (Ed25519Secret, X25519Pair) {
        (Ed25519Secret::generate(&mut OsRng), X25519Pair::generate(&mut OsRng))
    }

    #[test]
    fn a_message_names_its_sender_to_its_recipient_alone() {
        let (alice, bob) = keys();
        let (_, carol) = keys();
        let sealed = seal(&alice, bob.public(), b"hello", &mut OsRng);
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        let opened = open(&bob, &sealed).unwrap();
        assert_eq!(opened.message, b"hello");
        assert_eq!(opened.sender_key, alice.public());
        assert_eq!(opened.sender, AccountId::of_account(&alice.public().to_x25519()));
        assert_eq!(open(&carol, &sealed), Err(SealedMessageError::NotForUs));
    }

    #[test]
    fn a_recipient_cannot_pass_a_message_on_as_if_it_were_meant_for_another() {
        let (alice, bob) = keys();
        let (_, carol) = keys();
        let opened = open(&bob, &seal(&alice, bob.public(), b"secret", &mut OsRng)).unwrap();
        // Bob keeps message, key and signature, and seals them for Carol.
        let mut signed = opened.message.clone();
        signed.extend_from_slice(alice.public().as_bytes());
        signed.extend_from_slice(bob.public().as_bytes());
        let signature = alice.sign(&signed);
        let mut inner = opened.message;
        inner.extend_from_slice(alice.public().as_bytes());
        inner.extend_from_slice(signature.as_bytes());
        let ephemeral = X25519Secret::generate(&mut OsRng);
        let nonce = seal_nonce(&ephemeral.public(), carol.public());
        let tag = salsa_box(carol.public(), &ephemeral)
            .encrypt_in_place_detached(&nonce.into(), b"", &mut inner)
            .unwrap();
        let sealed = [&ephemeral.public().as_bytes()[..], &tag, &inner].concat();
        assert_eq!(open(&carol, &sealed), Err(SealedMessageError::Signature));
    }

    #[test]
    fn deterministic_seals_repeat_and_random_ones_do_not() {
        let (alice, bob) = keys();
        let bob_key = bob.public();
        assert_eq!(seal_deterministic(&alice, bob_key, b"x"), seal_deterministic(&alice, bob_key, b"x"));
        assert_ne!(seal(&alice, bob_key, b"x", &mut OsRng), seal(&alice, bob_key, b"x", &mut OsRng));
        assert_eq!(open(&bob, &seal_deterministic(&alice, bob_key, b"x")).unwrap().message, b"x");
    }

    #[test]
    fn short_and_weak_inputs_are_refused() {
        let (_, bob) = keys();
        assert_eq!(open(&bob, &[1; OVERHEAD - 1]), Err(SealedMessageError::TooShort(OVERHEAD - 1)));
        assert_eq!(open(&bob, &[0; OVERHEAD]), Err(SealedMessageError::NotForUs));
    }
}
