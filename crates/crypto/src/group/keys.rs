//! Making and handing out group keys (config-and-groups 7.3): derivations and encryption. The
//! messages around them, and when to make a new key, are for the crates above.
//!
//! A new key follows from the group's seed, its members and the generation, so that two admins who
//! act at the same time make the same key.

use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use zeroize::Zeroizing;

use super::GroupKey;
use crate::aead::{self, NONCE_LENGTH, OpenError};
use crate::hash::{Blake2b, blake2b_256_keyed};
use crate::id::AccountId;
use crate::keys::{Ed25519Secret, X25519Pair, X25519Public};

/// Bytes of an encrypted group key.
pub const ENCRYPTED_KEY_LENGTH: usize = 32 + aead::TAG_LENGTH;

/// The list of encrypted keys is filled up to a multiple of this, to hide how many members there are.
pub const KEY_LIST_MULTIPLE: usize = 75;

const SEED_LABEL: &[u8] = b"SessionGroupKeySeed";
const KEY_LABEL: &[u8] = b"SessionGroupKeyGen";
const ADMIN_LABEL: &[u8] = b"SessionGroupKeyAdminKey";
const MEMBER_LABEL: &[u8] = b"SessionGroupKeyMemberKey";
const JUNK_LABEL: &[u8] = b"SessionGroupJunkMembers";
/// The nonce of libsodium's deterministic generator.
const JUNK_NONCE: &[u8; 12] = b"LibsodiumDRG";

/// A new group key with everything its key message holds except generation and signature.
#[derive(Clone, Debug)]
pub struct Rekey {
    /// The new key.
    pub key: GroupKey,
    /// Used with every encrypted copy.
    pub nonce: [u8; NONCE_LENGTH],
    /// The copy that admins read.
    pub for_admins: [u8; ENCRYPTED_KEY_LENGTH],
    /// The copies of the members in ascending order of their ids, then entries nobody can read.
    pub for_members: Vec<[u8; ENCRYPTED_KEY_LENGTH]>,
}

impl Rekey {
    /// The key of a generation for these members, admins included, in any order. Members whose key
    /// cannot be used get no copy, but count in the derivation.
    pub fn new(group: &Ed25519Secret, members: &[AccountId], generation: u64) -> Self {
        let mut members = members.to_vec();
        members.sort_unstable();
        let digest = Zeroizing::new(derive::<56>(group, &members, generation.to_string().as_bytes()));
        let (key, nonce) = digest.split_first_chunk().expect("56 bytes hold 32");
        let nonce = *nonce.first_chunk().expect("the other 24 bytes");
        let seal = |with: &[u8; 32]| {
            *aead::seal(with, &nonce, key).first_chunk().expect("a sealed key has 48 bytes")
        };

        let pair = X25519Pair::new(group.to_x25519());
        let mut for_members: Vec<_> = members
            .iter()
            .filter_map(|member| member.x25519().ok())
            .map(|member| seal(&member_key(&pair, &member, pair.public(), &member)))
            .collect();
        let junk = for_members.len().next_multiple_of(KEY_LIST_MULTIPLE) - for_members.len();
        for_members.extend(junk_entries(group, &digest, junk));
        Self { key: GroupKey::from_bytes(*key), nonce, for_admins: seal(&admin_key(group)), for_members }
    }
}

/// The nonce of a supplemental message, which gives existing keys (`plain`) to new members.
pub fn supplement_nonce(group: &Ed25519Secret, recipients: &[AccountId], plain: &[u8]) -> [u8; NONCE_LENGTH] {
    derive(group, recipients, plain)
}

/// Encrypts bytes of a key message for one member, as the group.
pub fn seal_for_member(
    group: &X25519Pair,
    member: &X25519Public,
    nonce: &[u8; NONCE_LENGTH],
    plain: &[u8],
) -> Vec<u8> {
    aead::seal(&member_key(group, member, group.public(), member), nonce, plain)
}

/// Decrypts an entry of a key message, as the member it is for.
///
/// # Errors
/// If it is for someone else: entries are tried until one opens.
pub fn open_as_member(
    member: &X25519Pair,
    group: &X25519Public,
    nonce: &[u8; NONCE_LENGTH],
    entry: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let key = member_key(member, group, group, member.public());
    aead::open(&key, nonce, entry).map(Zeroizing::new)
}

/// Decrypts the admins' copy of a group key.
///
/// # Errors
/// If it is not by this group.
pub fn open_as_admin(
    group: &Ed25519Secret,
    nonce: &[u8; NONCE_LENGTH],
    entry: &[u8; ENCRYPTED_KEY_LENGTH],
) -> Result<GroupKey, OpenError> {
    let key = Zeroizing::new(aead::open(&admin_key(group), nonce, entry)?);
    Ok(GroupKey::from_bytes(*key.first_chunk().ok_or(OpenError::NotAuthentic)?))
}

/// A hash over ids in hex, some text, and a secret of the group.
fn derive<const N: usize>(group: &Ed25519Secret, ids: &[AccountId], text: &[u8]) -> [u8; N] {
    let secret = Zeroizing::new(blake2b_256_keyed(SEED_LABEL, &[group.seed().as_ref()]));
    let mut state = Blake2b::new().key(KEY_LABEL).start::<N>();
    for id in ids {
        state.update(id.to_hex().as_bytes());
    }
    state.update(text).update(secret.as_ref()).finish()
}

fn admin_key(group: &Ed25519Secret) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(blake2b_256_keyed(ADMIN_LABEL, &[group.seed().as_ref()]))
}

/// The group's key comes first, then the member's.
fn member_key(
    own: &X25519Pair,
    other: &X25519Public,
    group: &X25519Public,
    member: &X25519Public,
) -> Zeroizing<[u8; 32]> {
    let shared = own.secret().diffie_hellman(other);
    Zeroizing::new(blake2b_256_keyed(MEMBER_LABEL, &[shared.as_bytes(), group.as_bytes(), member.as_bytes()]))
}

/// Entries that look like copies: the stream of libsodium's deterministic generator.
fn junk_entries(group: &Ed25519Secret, digest: &[u8; 56], count: usize) -> Vec<[u8; ENCRYPTED_KEY_LENGTH]> {
    let seed = Zeroizing::new(blake2b_256_keyed(
        JUNK_LABEL,
        &[digest, group.seed().as_ref(), group.public().as_bytes()],
    ));
    let mut cipher = chacha20::ChaCha20::new(seed.as_ref().into(), JUNK_NONCE.into());
    let mut entries = vec![[0u8; ENCRYPTED_KEY_LENGTH]; count];
    for entry in &mut entries {
        cipher.apply_keystream(entry);
    }
    entries
}
