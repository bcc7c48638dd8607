//! One text for several recipients, and the kicked notice that is made of it (client-messages 3.11).
//!
//! Each recipient has an entry encrypted with a key agreed between the sender and them; which
//! entry is whose is found by trying, so the list names nobody.

use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::aead::{self, NONCE_LENGTH, OpenError};
use crate::bt::{self, Value};
use crate::hash::blake2b_256_keyed;
use crate::keys::{X25519Pair, X25519Public};

/// The domain of kicked notices.
const KICKED_DOMAIN: &[u8] = b"SessionGroupKickedMessage";

/// Entries tried before giving up: far more than a group has members, so that a stranger's list
/// does not keep a client busy.
pub const MAX_ENTRIES: usize = 1_000;

/// A message encrypted for several recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiEncrypted {
    /// Used with every entry, each of which has its own key.
    pub nonce: [u8; NONCE_LENGTH],
    /// Ciphertexts in the recipients' order.
    pub entries: Vec<Vec<u8>>,
}

/// Why multi-encrypted bytes give no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiEncryptError {
    /// Not the dictionary of nonce and entries.
    #[error("the bytes are not a list of encrypted entries")]
    Malformed,
    /// No entry opens with this key.
    #[error("none of the entries is for this key")]
    NotForUs,
}

impl MultiEncrypted {
    /// Encrypts each message for its recipient. `domain` separates uses; its first 64 bytes count.
    pub fn seal<'a>(
        sender: &X25519Pair,
        messages: impl IntoIterator<Item = (&'a X25519Public, &'a [u8])>,
        domain: &[u8],
        rng: &mut impl CryptoRngCore,
    ) -> Self {
        let mut nonce = [0u8; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        Self::seal_with_nonce(sender, messages, domain, &nonce)
    }

    /// [`Self::seal`] with a given nonce. For known answers: never use one twice with the same
    /// recipients.
    pub fn seal_with_nonce<'a>(
        sender: &X25519Pair,
        messages: impl IntoIterator<Item = (&'a X25519Public, &'a [u8])>,
        domain: &[u8],
        nonce: &[u8; NONCE_LENGTH],
    ) -> Self {
        let entries = messages
            .into_iter()
            .map(|(recipient, message)| {
                aead::seal(&entry_key(sender, recipient, sender.public(), recipient, domain), nonce, message)
            })
            .collect();
        Self { nonce: *nonce, entries }
    }

    /// The message of the first entry that opens.
    ///
    /// # Errors
    /// If none does.
    pub fn open(
        &self,
        recipient: &X25519Pair,
        sender: &X25519Public,
        domain: &[u8],
    ) -> Result<Vec<u8>, MultiEncryptError> {
        let key = entry_key(recipient, sender, sender, recipient.public(), domain);
        let open = |entry: &Vec<u8>| -> Result<Vec<u8>, OpenError> { aead::open(&key, &self.nonce, entry) };
        self.entries.iter().find_map(|entry| open(entry).ok()).ok_or(MultiEncryptError::NotForUs)
    }

    /// The simple encoding: a dictionary of nonce and entries.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"d1:#".to_vec();
        bt::write_bytes(&mut out, &self.nonce);
        out.extend_from_slice(b"1:el");
        for entry in &self.entries {
            bt::write_bytes(&mut out, entry);
        }
        out.extend_from_slice(b"ee");
        out
    }

    /// Reads the simple encoding. Unknown keys are ignored.
    ///
    /// # Errors
    /// For anything else, and for more than [`MAX_ENTRIES`] entries.
    pub fn decode(bytes: &[u8]) -> Result<Self, MultiEncryptError> {
        let malformed = MultiEncryptError::Malformed;
        let mut nonce = None;
        let mut entries = None;
        for (key, value) in bt::read_dict(bytes).map_err(|_| malformed)? {
            match (key, value) {
                (b"#", Value::Bytes(bytes)) => nonce = Some(bytes.try_into().map_err(|_| malformed)?),
                (b"e", Value::List(list)) if list.len() <= MAX_ENTRIES => {
                    entries = Some(list.into_iter().map(<[u8]>::to_vec).collect());
                }
                (b"#" | b"e", _) => return Err(malformed),
                _ => {}
            }
        }
        Ok(Self { nonce: nonce.ok_or(malformed)?, entries: entries.ok_or(malformed)? })
    }
}

/// The key of one entry. The sender's key comes first on both ends.
fn entry_key(
    own: &X25519Pair,
    other: &X25519Public,
    sender: &X25519Public,
    recipient: &X25519Public,
    domain: &[u8],
) -> Zeroizing<[u8; 32]> {
    let shared = own.secret().diffie_hellman(other);
    Zeroizing::new(blake2b_256_keyed(domain, &[shared.as_bytes(), sender.as_bytes(), recipient.as_bytes()]))
}

/// Tells members that they were removed from a group. `generation` is that of the group's key when
/// they were, so that an old notice does not concern who was invited again.
pub fn seal_kicked_notice(
    group: &X25519Pair,
    members: &[X25519Public],
    generation: u64,
    rng: &mut impl CryptoRngCore,
) -> Vec<u8> {
    let mut nonce = [0u8; NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    seal_kicked_notice_with_nonce(group, members, generation, &nonce)
}

/// [`seal_kicked_notice`] with a given nonce, for known answers.
pub fn seal_kicked_notice_with_nonce(
    group: &X25519Pair,
    members: &[X25519Public],
    generation: u64,
    nonce: &[u8; NONCE_LENGTH],
) -> Vec<u8> {
    let generation = generation.to_string();
    let texts: Vec<Vec<u8>> =
        members.iter().map(|member| [member.as_bytes(), generation.as_bytes()].concat()).collect();
    let messages = members.iter().zip(texts.iter().map(Vec::as_slice));
    MultiEncrypted::seal_with_nonce(group, messages, KICKED_DOMAIN, nonce).encode()
}

/// The key generation at which the group removed this member. The removal stands if it is not
/// older than the generation the member knows.
///
/// # Errors
/// If the notice is malformed or does not concern this member.
pub fn open_kicked_notice(
    member: &X25519Pair,
    group: &X25519Public,
    notice: &[u8],
) -> Result<u64, MultiEncryptError> {
    let text = MultiEncrypted::decode(notice)?.open(member, group, KICKED_DOMAIN)?;
    let (key, generation) = text.split_first_chunk::<32>().ok_or(MultiEncryptError::Malformed)?;
    if key != member.public().as_bytes() {
        return Err(MultiEncryptError::NotForUs);
    }
    let digits = generation.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(generation)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or(MultiEncryptError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::X25519Secret;

    fn pair(byte: u8) -> X25519Pair {
        X25519Pair::new(X25519Secret::from_bytes([byte; 32]))
    }

    fn notice(text: &[u8]) -> Result<u64, MultiEncryptError> {
        let (group, member) = (pair(1), pair(2));
        let messages = [(member.public(), text)];
        let sealed = MultiEncrypted::seal_with_nonce(&group, messages, KICKED_DOMAIN, &[3; 24]);
        open_kicked_notice(&member, group.public(), &sealed.encode())
    }

    #[test]
    fn a_kicked_notice_must_name_the_member_and_a_generation() {
        let own = *pair(2).public();
        let text = |key: &X25519Public, generation: &str| [key.as_bytes(), generation.as_bytes()].concat();
        assert_eq!(notice(&text(&own, "0")), Ok(0));
        assert_eq!(notice(&text(&own, &u64::MAX.to_string())), Ok(u64::MAX));
        assert_eq!(notice(&text(pair(4).public(), "7")), Err(MultiEncryptError::NotForUs));
        for wrong in ["", "+7", "-7", "7 ", "18446744073709551616", "x"] {
            assert_eq!(notice(&text(&own, wrong)), Err(MultiEncryptError::Malformed), "{wrong:?}");
        }
        assert_eq!(notice(b"short"), Err(MultiEncryptError::Malformed));
    }

    #[test]
    fn a_list_longer_than_any_group_is_refused() {
        let many = MultiEncrypted { nonce: [0; 24], entries: vec![Vec::new(); MAX_ENTRIES + 1] };
        assert_eq!(MultiEncrypted::decode(&many.encode()), Err(MultiEncryptError::Malformed));
        let most = MultiEncrypted { nonce: [0; 24], entries: vec![Vec::new(); MAX_ENTRIES] };
        assert_eq!(MultiEncrypted::decode(&most.encode()).as_ref(), Ok(&most));
    }

    #[test]
    fn unknown_entries_are_ignored_and_wrong_types_refused() {
        assert!(MultiEncrypted::decode(&[b"d1:!i1e1:#24:", &[0u8; 24][..], b"1:ele1:z0:e"].concat()).is_ok());
        for bad in [&b"de"[..], b"d1:#1:x1:elee", b"d1:#i1e1:elee", b"rubbish"] {
            assert_eq!(MultiEncrypted::decode(bad), Err(MultiEncryptError::Malformed));
        }
    }
}
