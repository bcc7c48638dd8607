//! From the bytes of a message to what a mailbox stores, and back (config-and-groups 5).
//!
//! Compressed if that helps, padded, split if it is too large for one mailbox entry, encrypted, and for
//! an account's documents wrapped like an ordinary message to oneself. Everything follows from the
//! message, so that devices that write the same store the same.

use conclave_crypto::config_encryption::{self, OVERHEAD};
use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{AccountId, Ed25519Secret, X25519Pair, compression, padding, session_protocol};
use conclave_proto::bt::{ListReader, ListWriter};
use conclave_proto::content::{self, Content, Envelope, SharedConfigMessage, envelope};

use crate::kind::Kind;
use crate::message::MAX_DOCUMENT;

/// The largest entry a mailbox takes, before base64 (storage-and-onion; 5.3).
pub const MAX_STORED: usize = 76_800;

/// Bytes of a split document in each of its parts: with everything around them they fill an entry.
const CHUNK: usize = 76_710;

/// The largest document that is split: compressed, padded (5.3).
pub const MAX_SPLIT: usize = 5_000_000;

/// The largest entry that is looked at: twice what is stored, since early clients wrapped twice.
const MAX_RECEIVED: usize = 2 * MAX_STORED;

/// Zeros that may stand behind a part.
const MAX_TRAILING: usize = 4;

const COMPRESSED: u8 = b'z';
const PART: u8 = b'm';

/// The keys of an account, for its own documents.
#[derive(Clone)]
pub(crate) struct Owner {
    secret: Ed25519Secret,
    pair: X25519Pair,
}

impl Owner {
    pub(crate) fn new(account: &Ed25519Secret) -> Self {
        Self { secret: account.clone(), pair: X25519Pair::new(account.to_x25519()) }
    }

    pub(crate) fn account_id(&self) -> AccountId {
        AccountId::of_account(self.pair.public())
    }
}

/// Why a stored entry was not understood. It may be of a newer program: it is left where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Encrypted with a key we do not have, damaged, or nothing of this kind.
    #[error("the entry opens with none of the keys")]
    NotForUs,
    /// Neither plain, compressed, nor a part.
    #[error("the entry has an unknown form")]
    UnknownForm,
    /// Broken compression, or a bomb.
    #[error("the entry does not decompress: {0}")]
    Compression(#[from] compression::DecompressError),
    /// Not what a part looks like, or not matching the other parts.
    #[error("the entry is a part that {0}")]
    Part(&'static str),
    /// No config message.
    #[error(transparent)]
    Message(#[from] crate::message::ParseError),
}

/// A piece of a document that was too large for one entry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The hash of the whole, by which parts find each other.
    pub(crate) whole: [u8; 32],
    pub(crate) index: u8,
    pub(crate) count: u8,
    pub(crate) chunk: Vec<u8>,
}

/// What was in an entry.
pub(crate) enum Opened {
    Message(Vec<u8>),
    Part(Part),
}

/// The entries to store for a message; `None` if it is too large.
pub(crate) fn seal(
    message: &[u8],
    seqno: i64,
    kind: Kind,
    key: &[u8; 32],
    owner: Option<&Owner>,
) -> Option<Vec<Vec<u8>>> {
    if message.len() > MAX_DOCUMENT {
        return None;
    }
    let padded = config_encryption::pad(&compressed(message));
    let encrypt = |plain: &[u8]| config_encryption::encrypt(plain, key, kind.domain());
    if padded.len() + OVERHEAD > MAX_STORED {
        return Some(split(&padded)?.iter().map(|part| encrypt(part)).collect());
    }
    let encrypted = encrypt(&padded);
    let wrapped = match (owner, kind.wrapped()) {
        (Some(owner), Some(wrapped)) => Some(wrap(&encrypted, seqno, wrapped, owner)),
        _ => None,
    };
    Some(vec![wrapped.filter(|wrapped| wrapped.len() <= MAX_STORED).unwrap_or(encrypted)])
}

/// What is in an entry, opened with the first key that does.
pub(crate) fn open<'k>(
    entry: &[u8],
    kind: Kind,
    keys: impl IntoIterator<Item = &'k [u8; 32]>,
    owner: Option<&Owner>,
) -> Result<Opened, Rejected> {
    if entry.len() > MAX_RECEIVED {
        return Err(Rejected::NotForUs);
    }
    let mut unwrapped = None;
    if let (Some(owner), Some(wrapped)) = (owner, kind.wrapped()) {
        unwrapped = unwrap(entry, wrapped, owner);
        // Some early clients wrapped what was wrapped already.
        unwrapped = unwrapped.map(|once| unwrap(&once, wrapped, owner).unwrap_or(once));
    }
    let encrypted = unwrapped.as_deref().unwrap_or(entry);
    let plain = keys
        .into_iter()
        .find_map(|key| config_encryption::decrypt(encrypted, key, kind.domain()).ok())
        .ok_or(Rejected::NotForUs)?;
    let plain = config_encryption::unpad(&plain);
    match plain.split_first() {
        Some((&PART, part)) => Part::decode(part).map(Opened::Part),
        _ => expand(plain).map(Opened::Message),
    }
}

/// The message of a whole document that was put together from its parts.
pub(crate) fn expand_whole(padded: &[u8]) -> Result<Vec<u8>, Rejected> {
    expand(config_encryption::unpad(padded))
}

fn expand(plain: &[u8]) -> Result<Vec<u8>, Rejected> {
    match plain.split_first() {
        Some((&COMPRESSED, frame)) => Ok(compression::decompress(frame, MAX_DOCUMENT)?),
        Some((b'd', _)) => Ok(plain.to_vec()),
        _ => Err(Rejected::UnknownForm),
    }
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut marked = vec![COMPRESSED];
    marked.extend(compression::compress(message));
    if marked.len() < message.len() { marked } else { message.to_vec() }
}

fn split(padded: &[u8]) -> Option<Vec<Vec<u8>>> {
    if padded.len() > MAX_SPLIT {
        return None;
    }
    let whole = blake2b_256(&[padded]);
    let count = u8::try_from(padded.len().div_ceil(CHUNK)).ok()?;
    let part = |(index, chunk)| Part { whole, index, count, chunk: <[u8]>::to_vec(chunk) }.encode();
    Some((0..count).zip(padded.chunks(CHUNK)).map(part).collect())
}

impl Part {
    fn encode(&self) -> Vec<u8> {
        let mut list = ListWriter::new();
        list.bytes(self.whole).bytes([self.index]).bytes([self.count]).bytes(&self.chunk);
        let mut out = vec![PART];
        out.extend(list.finish());
        out
    }

    /// Reads what stands behind the mark.
    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let list = padding::strip_zeros(bytes);
        if bytes.len() - list.len() > MAX_TRAILING {
            return Err(Rejected::Part("is followed by too many zeros"));
        }
        let malformed = |_| Rejected::Part("is malformed");
        let mut list = ListReader::new(list).map_err(malformed)?;
        let whole = list.bytes().map_err(malformed)?.try_into().map_err(|_| Rejected::Part("has no hash"))?;
        let mut number = || match list.bytes() {
            Ok(&[number]) => Ok(number),
            _ => Err(Rejected::Part("has no number")),
        };
        let (index, count) = (number()?, number()?);
        let chunk = list.bytes().map_err(malformed)?.to_vec();
        if !list.is_empty() {
            return Err(Rejected::Part("goes on behind its end"));
        }
        if count < 2 || index >= count {
            return Err(Rejected::Part("has an impossible number"));
        }
        Ok(Self { whole, index, count, chunk })
    }
}

fn wrap(encrypted: &[u8], seqno: i64, kind: content::shared_config_message::Kind, owner: &Owner) -> Vec<u8> {
    use prost::Message as _;
    let config = SharedConfigMessage { kind: kind.into(), seqno, data: encrypted.to_vec() };
    let mut inner = Content { shared_config_message: Some(config), ..Content::default() }.encode_to_vec();
    // The end of a padding that is not there.
    inner.push(0x80);
    Envelope {
        r#type: envelope::Type::SessionMessage.into(),
        timestamp: 1,
        content: Some(session_protocol::seal_deterministic(&owner.secret, owner.pair.public(), &inner)),
        ..Envelope::default()
    }
    .wrap()
}

fn unwrap(entry: &[u8], kind: content::shared_config_message::Kind, owner: &Owner) -> Option<Vec<u8>> {
    let envelope = content::unwrap(entry).ok()?;
    let opened = session_protocol::open(&owner.pair, &envelope.content).ok()?;
    if opened.sender_key != owner.secret.public() {
        return None;
    }
    let config = Content::from_bytes(padding::unpad_content(&opened.message)).ok()?.shared_config_message?;
    (config.kind == i32::from(kind)).then_some(config.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn opened(entry: &[u8]) -> Result<Opened, Rejected> {
        open(entry, Kind::GroupInfo, [&KEY], None)
    }

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        config_encryption::encrypt(plain, &KEY, Kind::GroupInfo.domain())
    }

    #[test]
    fn a_full_part_fills_an_entry_exactly() {
        let part = Part { whole: [1; 32], index: 0, count: 2, chunk: vec![0; CHUNK] };
        assert_eq!(part.encode().len() + OVERHEAD, MAX_STORED);
    }

    #[test]
    fn a_document_wrapped_twice_or_not_at_all_is_read_too() {
        let account = Ed25519Secret::from_seed(&[3; 32]);
        let owner = Owner::new(&account);
        let wrapped = Kind::Contacts.wrapped().unwrap();
        let encrypted =
            config_encryption::encrypt(&config_encryption::pad(b"d1:xe"), &KEY, Kind::Contacts.domain());
        let once = wrap(&encrypted, 1, wrapped, &owner);
        let twice = wrap(&once, 1, wrapped, &owner);
        for entry in [encrypted.clone(), once.clone(), twice] {
            match open(&entry, Kind::Contacts, [&KEY], Some(&owner)) {
                Ok(Opened::Message(message)) => assert_eq!(message, b"d1:xe"),
                _ => panic!("not read"),
            }
        }
        assert!(open(&once, Kind::UserGroups, [&KEY], Some(&owner)).is_err(), "of another kind");
        let other = Owner::new(&Ed25519Secret::from_seed(&[4; 32]));
        assert!(open(&once, Kind::Contacts, [&KEY], Some(&other)).is_err(), "of another account");
        // Somebody else can seal for us, but only we wrap our documents.
        let forger = Owner { secret: Ed25519Secret::from_seed(&[4; 32]), pair: owner.pair.clone() };
        assert!(open(&wrap(&encrypted, 1, wrapped, &forger), Kind::Contacts, [&KEY], Some(&owner)).is_err());
    }

    #[test]
    fn bombs_and_unknown_forms_are_refused() {
        let bomb = compression::compress(&vec![b'd'; MAX_DOCUMENT + 1]);
        assert!(bomb.len() < MAX_STORED);
        let bomb = [&b"z"[..], &bomb].concat();
        assert!(matches!(opened(&encrypt(&bomb)), Err(Rejected::Compression(_))));
        assert!(matches!(opened(&encrypt(b"\0\0x")), Err(Rejected::UnknownForm)));
        assert!(matches!(opened(&encrypt(b"\0\0")), Err(Rejected::UnknownForm)));
        assert!(matches!(opened(b"short"), Err(Rejected::NotForUs)));
        assert!(matches!(opened(&vec![0; MAX_RECEIVED + 1]), Err(Rejected::NotForUs)));
    }

    #[test]
    fn parts_that_break_a_rule_are_refused() {
        let part =
            |index: u8, count: u8| Part { whole: [1; 32], index, count, chunk: b"chunk".to_vec() }.encode();
        let zeros = |count: usize| [part(0, 2), vec![0; count]].concat();
        for bad in
            [part(2, 2), part(0, 1), part(0, 0), zeros(5), b"mle".to_vec(), b"mi1e".to_vec(), b"m".to_vec()]
        {
            assert!(matches!(opened(&encrypt(&bad)), Err(Rejected::Part(_))), "{bad:?}");
        }
        for good in [part(0, 2), part(254, 255), zeros(4)] {
            assert!(matches!(opened(&encrypt(&good)), Ok(Opened::Part(_))), "{good:?}");
        }
    }
}
