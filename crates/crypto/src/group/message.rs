//! Messages of closed groups (client-messages 3.4): compressed if that helps, signed by the author
//! for this group, padded, and encrypted with a key all members have.

use rand_core::CryptoRngCore;

use super::GroupKey;
use crate::aead::{self, NONCE_LENGTH, TAG_LENGTH};
use crate::bt::{self, Value};
use crate::compression;
use crate::id::AccountId;
use crate::keys::{BadSignature, Ed25519Public, Ed25519Secret, InvalidKey, Signature};
use crate::padding;

/// The largest envelope of a group message, before and after compression.
pub const MAX_ENVELOPE: usize = 1_000_000;

/// The version in every message.
const VERSION: i64 = 1;

/// An envelope above [`MAX_ENVELOPE`] bytes. The caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group message has at most {MAX_ENVELOPE} bytes, this has {0}")]
pub struct EnvelopeTooLarge(pub usize);

/// Why a group message was refused. The same bytes may open later only for
/// [`Self::NoKey`]: the key message may still be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupMessageError {
    /// None of the keys opens it: it is damaged, or of a key not received yet.
    #[error("none of {tried} group keys opens the message")]
    NoKey {
        /// How many keys were tried.
        tried: usize,
    },
    /// Decrypted, but not the dictionary of a group message.
    #[error("the message inside is malformed")]
    Malformed,
    /// Of a version this code does not know.
    #[error("version {0} of group messages is unknown")]
    Version(i64),
    /// The author's key cannot be one.
    #[error("the author's key cannot be used: {0}")]
    AuthorKey(#[source] InvalidKey),
    /// Not signed by the author for this group.
    #[error("the author's signature does not verify for this group")]
    Signature,
    /// Broken, or expands to more than [`MAX_ENVELOPE`] bytes.
    #[error(transparent)]
    Decompress(#[from] compression::DecompressError),
}

/// A group message whose author was checked. Whether the author is a member is for the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedGroupMessage {
    /// The author's account id, from [`Self::author_key`].
    pub author: AccountId,
    /// The key that signed.
    pub author_key: Ed25519Public,
    /// The serialised envelope.
    pub envelope: Vec<u8>,
    /// Which of the keys opened it, counted from 0.
    pub key_index: usize,
}

impl std::fmt::Debug for OpenedGroupMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedGroupMessage(by {:?}, {} bytes)", self.author, self.envelope.len())
    }
}

/// Seals a serialised envelope for a group with its newest key.
///
/// # Errors
/// Above [`MAX_ENVELOPE`] bytes.
pub fn seal(
    author: &Ed25519Secret,
    group: &Ed25519Public,
    key: &GroupKey,
    envelope: &[u8],
    rng: &mut impl CryptoRngCore,
) -> Result<Vec<u8>, EnvelopeTooLarge> {
    let mut nonce = [0u8; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    seal_with_nonce(author, group, key, envelope, &nonce)
}

/// [`seal`] with a given nonce. For known answers: never use one twice.
///
/// # Errors
/// As [`seal`].
pub fn seal_with_nonce(
    author: &Ed25519Secret,
    group: &Ed25519Public,
    key: &GroupKey,
    envelope: &[u8],
    nonce: &[u8; NONCE_LENGTH],
) -> Result<Vec<u8>, EnvelopeTooLarge> {
    let plaintext = signed_dict(author, group, envelope)?;
    let mut sealed = Vec::with_capacity(NONCE_LENGTH + plaintext.len() + TAG_LENGTH);
    sealed.extend_from_slice(nonce);
    aead::seal_into(&mut sealed, key.as_bytes(), nonce, &plaintext);
    Ok(sealed)
}

/// The signed, padded dictionary that gets encrypted.
fn signed_dict(
    author: &Ed25519Secret,
    group: &Ed25519Public,
    envelope: &[u8],
) -> Result<Vec<u8>, EnvelopeTooLarge> {
    if envelope.len() > MAX_ENVELOPE {
        return Err(EnvelopeTooLarge(envelope.len()));
    }
    let compressed = compression::compress(envelope);
    let smaller = compressed.len() < envelope.len();
    let data = if smaller { &compressed } else { envelope };
    // Signing the group's key along keeps a member from replaying the message in another group.
    let signature = author.sign(&[data, group.as_bytes()].concat());

    // Keys in byte order: "", a, d, s, z.
    let mut dict = b"d0:i1e1:a".to_vec();
    bt::write_bytes(&mut dict, author.public().as_bytes());
    if !smaller {
        dict.extend_from_slice(b"1:d");
        bt::write_bytes(&mut dict, data);
    }
    dict.extend_from_slice(b"1:s");
    bt::write_bytes(&mut dict, signature.as_bytes());
    if smaller {
        dict.extend_from_slice(b"1:z");
        bt::write_bytes(&mut dict, data);
    }
    dict.push(b'e');
    padding::pad_group_message(&mut dict, NONCE_LENGTH + TAG_LENGTH);
    Ok(dict)
}

/// Opens a group message with the first key that fits, and checks its author.
///
/// # Errors
/// [`GroupMessageError`] says which of the checks failed.
pub fn open<'k>(
    keys: impl IntoIterator<Item = &'k GroupKey>,
    group: &Ed25519Public,
    sealed: &[u8],
) -> Result<OpenedGroupMessage, GroupMessageError> {
    let mut tried = 0;
    let mut opened = None;
    for (index, key) in keys.into_iter().enumerate() {
        tried = index + 1;
        if let Ok(plaintext) = aead::open_nonce_first(key.as_bytes(), sealed) {
            opened = Some((index, plaintext));
            break;
        }
    }
    let (key_index, plaintext) = opened.ok_or(GroupMessageError::NoKey { tried })?;

    let fields = Fields::read(padding::strip_zeros(&plaintext))?;
    let author_key = Ed25519Public::from_slice(fields.author).map_err(GroupMessageError::AuthorKey)?;
    let signature = Signature::from_slice(fields.signature).ok_or(GroupMessageError::Malformed)?;
    author_key
        .verify(&[fields.data, group.as_bytes()].concat(), &signature)
        .map_err(|BadSignature| GroupMessageError::Signature)?;
    let envelope = if fields.compressed {
        compression::decompress(fields.data, MAX_ENVELOPE)?
    } else {
        fields.data.to_vec()
    };
    Ok(OpenedGroupMessage {
        author: AccountId::of_account(&author_key.to_x25519()),
        author_key,
        envelope,
        key_index,
    })
}

/// The parts of the dictionary. Unknown keys are ignored.
struct Fields<'a> {
    author: &'a [u8],
    signature: &'a [u8],
    data: &'a [u8],
    compressed: bool,
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, GroupMessageError> {
        let malformed = GroupMessageError::Malformed;
        let (mut version, mut author, mut signature, mut data) = (None, None, None, None);
        for (key, value) in bt::read_dict(bytes).map_err(|_| malformed)? {
            match (key, value) {
                (b"", Value::Int(number)) => version = Some(number),
                (b"a", Value::Bytes(bytes)) => author = Some(bytes),
                (b"s", Value::Bytes(bytes)) => signature = Some(bytes),
                (b"d" | b"z", Value::Bytes(bytes)) if data.is_none() && !bytes.is_empty() => {
                    data = Some((bytes, key == b"z"));
                }
                (b"" | b"a" | b"s" | b"d" | b"z", _) => return Err(malformed),
                _ => {}
            }
        }
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(GroupMessageError::Version(other)),
            None => return Err(malformed),
        }
        let (data, compressed) = data.ok_or(malformed)?;
        Ok(Self {
            author: author.ok_or(malformed)?,
            signature: signature.ok_or(malformed)?,
            data,
            compressed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_LENGTH] = [5; NONCE_LENGTH];

    struct Case {
        author: Ed25519Secret,
        group: Ed25519Public,
        key: GroupKey,
    }

    impl Case {
        fn new() -> Self {
            Self {
                author: Ed25519Secret::from_seed(&[1; 32]),
                group: Ed25519Secret::from_seed(&[2; 32]).public(),
                key: GroupKey::from_bytes([3; 32]),
            }
        }

        /// Opens a dictionary made of version, author, signature over `signed`, and more entries.
        fn open(
            &self,
            version: &str,
            signed: &[u8],
            before: &[u8],
            after: &[u8],
        ) -> Result<Vec<u8>, GroupMessageError> {
            let mut dict = format!("d0:{version}1:a").into_bytes();
            bt::write_bytes(&mut dict, self.author.public().as_bytes());
            dict.extend_from_slice(before);
            dict.extend_from_slice(b"1:s");
            let signature = self.author.sign(&[signed, self.group.as_bytes()].concat());
            bt::write_bytes(&mut dict, signature.as_bytes());
            dict.extend_from_slice(after);
            dict.push(b'e');
            let mut sealed = NONCE.to_vec();
            aead::seal_into(&mut sealed, self.key.as_bytes(), &NONCE, &dict);
            open([&self.key], &self.group, &sealed).map(|opened| opened.envelope)
        }
    }

    #[test]
    fn unknown_entries_are_ignored_and_padding_is_not_needed() {
        assert_eq!(Case::new().open("i1e", b"x", b"1:d1:x1:fi7e", b"1:u1:y").unwrap(), b"x");
    }

    #[test]
    fn messages_of_another_shape_are_refused() {
        let case = Case::new();
        let malformed = Err(GroupMessageError::Malformed);
        assert_eq!(case.open("i2e", b"x", b"1:d1:x", b""), Err(GroupMessageError::Version(2)));
        assert_eq!(case.open("1:1", b"x", b"1:d1:x", b""), malformed, "a version that is no number");
        assert_eq!(case.open("i1e", b"x", b"", b""), malformed, "no data");
        assert_eq!(case.open("i1e", b"", b"1:d0:", b""), malformed, "empty data");
        assert_eq!(case.open("i1e", b"x", b"1:d1:x", b"1:z1:x"), malformed, "plain and compressed");
        assert_eq!(case.open("i1e", b"y", b"1:d1:x", b""), Err(GroupMessageError::Signature));
    }

    #[test]
    fn a_bomb_is_refused_at_the_ceiling() {
        let case = Case::new();
        let bomb = compression::compress(&vec![0; MAX_ENVELOPE + 1]);
        let mut entry = b"1:z".to_vec();
        bt::write_bytes(&mut entry, &bomb);
        assert!(matches!(case.open("i1e", &bomb, b"", &entry), Err(GroupMessageError::Decompress(_))));
    }

    #[test]
    fn the_largest_envelope_is_sent_and_a_larger_one_is_not() {
        let case = Case::new();
        let seal =
            |length: usize| seal_with_nonce(&case.author, &case.group, &case.key, &vec![7; length], &NONCE);
        let sealed = seal(MAX_ENVELOPE).unwrap();
        assert_eq!(open([&case.key], &case.group, &sealed).unwrap().envelope.len(), MAX_ENVELOPE);
        assert_eq!(seal(MAX_ENVELOPE + 1), Err(EnvelopeTooLarge(MAX_ENVELOPE + 1)));
    }

    #[test]
    fn debug_output_holds_neither_key_nor_text() {
        let case = Case::new();
        assert_eq!(format!("{:?}", case.key), "GroupKey(hidden)");
        let sealed = seal_with_nonce(&case.author, &case.group, &case.key, b"text", &NONCE).unwrap();
        let opened = open([&case.key], &case.group, &sealed).unwrap();
        assert!(format!("{opened:?}").ends_with("4 bytes)"));
    }
}
