//! One version of a document as it is written: data, what changed, and what changed in the versions
//! before (config-and-groups 2.2, 2.4, 2.5).
//!
//! A [`Message`] is finished and keeps its bytes, so that passing it on never changes it, whoever
//! signed it and whatever a newer program put into it. A [`Draft`] is the next version while it is
//! edited; [`Draft::finish`] makes it a message. Encryption and storage are not this module's.

use std::collections::BTreeMap;

use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{Ed25519Public, Ed25519Secret, Signature};
use conclave_proto::bt::{self, BtError, DictReader};

use crate::data::Dict;
use crate::diff::Diff;

/// For how many versions a change is remembered. Part of the format: everybody has the same.
pub const LAG: i64 = 5;

/// The highest version number that is read. Nobody gets there by counting; a forged number near the end
/// of 64 bits would leave no room for the next version.
pub const MAX_SEQNO: i64 = 1 << 62;

/// The largest document, serialized and not compressed. Compressed documents have at most 5,000,000 bytes
/// (5.3), and what is worth compressing (ids, keys, names) shrinks by no more than half; beyond that lie
/// bombs.
pub const MAX_DOCUMENT: usize = 10_000_000;

/// The signature's key, which sorts behind every other.
const SIGNATURE: &[u8] = b"~";

/// Names one version: its number, and the hash of its bytes. Greater ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The number; higher by one with every change.
    pub seqno: i64,
    /// BLAKE2b-256 of the serialized message, signature included.
    pub hash: [u8; 32],
}

/// Why bytes are not a config message. The fault of whoever wrote them, or of a newer format; the same
/// bytes will never be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not bt-encoded.
    #[error("the config message is malformed: {0}")]
    Malformed(#[from] BtError),
    /// More than [`MAX_DOCUMENT`] bytes.
    #[error("a config message of {0} bytes is too large")]
    TooLarge(usize),
    /// A required key is missing or stands in the wrong place.
    #[error("the config message lacks {0:?} where it has to be")]
    Missing(&'static str),
    /// The version number is negative or beyond [`MAX_SEQNO`].
    #[error("the config message has no possible version number")]
    Seqno,
    /// The data breaks a rule.
    #[error("the data of the config message {0}")]
    Data(&'static str),
    /// A diff breaks a rule.
    #[error("a diff of the config message {0}")]
    Diff(&'static str),
    /// The list of earlier diffs breaks a rule.
    #[error("the earlier diffs of the config message {0}")]
    Lagged(&'static str),
    /// A signature is required and missing, or it does not verify.
    #[error("the config message is not signed by its group")]
    Signature,
}

/// A finished version.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    version: Version,
    data: Dict,
    diff: Diff,
    lagged: BTreeMap<Version, Diff>,
    unknown: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: Vec<u8>,
}

/// A version that is being made.
#[derive(Clone)]
pub struct Draft {
    pub(crate) seqno: i64,
    pub(crate) data: Dict,
    /// What the data is compared with when the diff is written.
    pub(crate) base: Dict,
    pub(crate) lagged: BTreeMap<Version, Diff>,
    pub(crate) unknown: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Message {
    /// What every document is before its first change: number 0, no data. Never signed.
    pub fn empty() -> Self {
        let none = || Draft {
            seqno: 0,
            data: Dict::new(),
            base: Dict::new(),
            lagged: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        none().finish(None)
    }

    /// Reads a message. With a `verifier`, one that it has not signed is refused before anything in it is
    /// looked at.
    ///
    /// # Errors
    /// [`ParseError`] names the rule that is broken.
    pub fn parse(bytes: &[u8], verifier: Option<&Ed25519Public>) -> Result<Self, ParseError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(ParseError::TooLarge(bytes.len()));
        }
        let mut fields: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        let mut reader = DictReader::new(bytes)?;
        let mut signed = None;
        while let Some(key) = reader.peek_key()? {
            if key == SIGNATURE {
                signed = reader.take_signed(SIGNATURE)?;
                break;
            }
            if fields.is_empty() && key != b"#" {
                return Err(ParseError::Missing("#"));
            }
            let Some((key, raw)) = reader.next_raw()? else { break };
            if key > SIGNATURE || fields.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(ParseError::Malformed(BtError::KeyOrder(bytes.len().saturating_sub(raw.len()))));
            }
            fields.insert(key, raw);
        }
        if let Some(verifier) = verifier {
            let (covered, signature) = signed.ok_or(ParseError::Signature)?;
            verifier.verify(covered, &Signature::from_bytes(signature)).map_err(|_| ParseError::Signature)?;
        }

        let mut take = |key: &'static str| fields.remove(key.as_bytes()).ok_or(ParseError::Missing(key));
        let seqno = bt::Value::decode(take("#")?)?.as_i64().ok_or(ParseError::Seqno)?;
        if !(0..=MAX_SEQNO).contains(&seqno) {
            return Err(ParseError::Seqno);
        }
        Ok(Self {
            version: Version { seqno, hash: blake2b_256(&[bytes]) },
            data: Dict::decode(take("&")?)?,
            lagged: decode_lagged(take("<")?, seqno)?,
            diff: Diff::decode(take("=")?)?,
            unknown: fields.into_iter().map(|(key, raw)| (key.to_vec(), raw.to_vec())).collect(),
            bytes: bytes.to_vec(),
        })
    }

    /// Number and hash.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What the document holds.
    pub const fn data(&self) -> &Dict {
        &self.data
    }

    /// What changed with this version.
    pub const fn diff(&self) -> &Diff {
        &self.diff
    }

    /// What changed with versions before this one, as far as it is remembered.
    pub const fn lagged(&self) -> &BTreeMap<Version, Diff> {
        &self.lagged
    }

    /// The message as it was read or finished.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The next version, without changes yet.
    pub fn next(&self) -> Draft {
        let mut lagged = self.lagged.clone();
        lagged.insert(self.version, self.diff.clone());
        Draft {
            seqno: self.version.seqno.saturating_add(1),
            data: self.data.clone(),
            base: self.data.clone(),
            lagged,
            unknown: self.unknown.clone(),
        }
    }

    pub(crate) const fn unknown(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.unknown
    }
}

impl Draft {
    /// The number it will have.
    pub const fn seqno(&self) -> i64 {
        self.seqno
    }

    /// What the document holds.
    pub const fn data(&self) -> &Dict {
        &self.data
    }

    /// Changes what the document holds. What is empty is taken away when the draft is finished.
    pub const fn data_mut(&mut self) -> &mut Dict {
        &mut self.data
    }

    /// Makes the message, signed if there is a key to sign with. The same draft always makes the same
    /// bytes.
    pub fn finish(&self, signer: Option<&Ed25519Secret>) -> Message {
        let mut data = self.data.clone();
        data.prune();
        let diff = Diff::between(&self.base, &data);
        let oldest = self.seqno.saturating_sub(LAG);
        let lagged: BTreeMap<Version, Diff> = self
            .lagged
            .iter()
            .filter(|(version, _)| version.seqno > oldest && version.seqno < self.seqno)
            .map(|(version, diff)| (*version, diff.clone()))
            .collect();

        let mut fields: BTreeMap<&[u8], Vec<u8>> =
            self.unknown.iter().map(|(key, raw)| (key.as_slice(), raw.clone())).collect();
        let mut seqno = Vec::new();
        bt::write_int(&mut seqno, self.seqno.into());
        fields.insert(b"#", seqno);
        fields.insert(b"&", data.encode());
        fields.insert(b"<", encode_lagged(&lagged));
        fields.insert(b"=", diff.encode());

        let mut bytes = vec![b'd'];
        for (key, raw) in fields {
            bt::write_bytes(&mut bytes, key);
            bytes.extend(raw);
        }
        if let Some(signer) = signer {
            let signature = signer.sign(&bytes);
            bt::write_bytes(&mut bytes, SIGNATURE);
            bt::write_bytes(&mut bytes, signature.as_bytes());
        }
        bytes.push(b'e');
        Message {
            version: Version { seqno: self.seqno, hash: blake2b_256(&[&bytes]) },
            data,
            diff,
            lagged,
            unknown: self.unknown.clone(),
            bytes,
        }
    }
}

fn decode_lagged(raw: &[u8], seqno: i64) -> Result<BTreeMap<Version, Diff>, ParseError> {
    let bt::Value::List(items) = bt::Value::decode(raw)? else {
        return Err(ParseError::Lagged("are no list"));
    };
    let mut lagged: BTreeMap<Version, Diff> = BTreeMap::new();
    let mut last: Option<Version> = None;
    for item in items {
        let bt::Value::List(item) = item else {
            return Err(ParseError::Lagged("have an entry that is no list"));
        };
        let [number, hash, diff] = <[bt::Value; 3]>::try_from(item)
            .map_err(|_| ParseError::Lagged("have an entry without three parts"))?;
        let version = Version {
            seqno: number.as_i64().ok_or(ParseError::Lagged("have an entry without number"))?,
            hash: hash
                .as_bytes()
                .and_then(|hash| hash.try_into().ok())
                .ok_or(ParseError::Lagged("have an entry without hash"))?,
        };
        if last.is_some_and(|last| last >= version) {
            return Err(ParseError::Lagged("are not in order"));
        }
        if version.seqno >= seqno {
            return Err(ParseError::Lagged("are not earlier"));
        }
        last = Some(version);
        let diff = Diff::of_bt(diff)?;
        if version.seqno > seqno.saturating_sub(LAG) {
            lagged.insert(version, diff);
        }
    }
    Ok(lagged)
}

fn encode_lagged(lagged: &BTreeMap<Version, Diff>) -> Vec<u8> {
    let mut out = vec![b'l'];
    for (version, diff) in lagged {
        out.push(b'l');
        bt::write_int(&mut out, version.seqno.into());
        bt::write_bytes(&mut out, &version.hash);
        diff.write(&mut out);
        out.push(b'e');
    }
    out.push(b'e');
    out
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message(version {}, {} bytes)", self.version.seqno, self.bytes.len())
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draft(version {})", self.seqno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
        Message::parse(bytes, None)
    }

    #[test]
    fn keys_of_newer_programs_stay_where_they_are_in_all_later_versions() {
        let bytes = b"d1:#i7e1:$l1:xe1:&d1:ai1ee1:;i5e1:<le1:=de1:?d1:zi1e1:ai2eee";
        let message = parse(bytes).unwrap();
        assert_eq!(message.as_bytes(), bytes);
        let mut next = message.next();
        next.data_mut().insert("b", 2);
        let next = next.finish(None);
        let text = String::from_utf8_lossy(next.as_bytes()).into_owned();
        for kept in ["1:$l1:xe1:&", "1:;i5e1:<", "1:?d1:zi1e1:ai2eee"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        assert_eq!(parse(next.as_bytes()).unwrap(), next);
    }

    #[test]
    fn messages_that_break_a_rule_are_refused() {
        let hash = "x".repeat(32);
        let lagged = |entries: &str| format!("d1:#i7e1:&de1:<l{entries}e1:=dee");
        for bad in [
            "d1:!i0e1:#i1e1:&de1:<le1:=dee".to_owned(),
            "d1:&de1:<le1:=dee".to_owned(),
            "d1:#i1e1:<le1:=dee".to_owned(),
            "d1:#i1e1:&de1:=dee".to_owned(),
            "d1:#i1e1:&de1:<lee".to_owned(),
            "d1:#i-1e1:&de1:<le1:=dee".to_owned(),
            "d1:#i4611686018427387905e1:&de1:<le1:=dee".to_owned(),
            "d1:#1:11:&de1:<le1:=dee".to_owned(),
            "d1:#i1e1:&le1:<le1:=dee".to_owned(),
            "d1:#i1e1:&de1:<de1:=dee".to_owned(),
            "d1:#i1e1:&de1:=de1:<lee".to_owned(),
            "d1:#i1e1:&de1:<le1:=de1:~3:abce".to_owned(),
            format!("d1:#i1e1:&de1:<le1:=de1:~64:{}2:~~0:e", "s".repeat(64)),
            "d1:#i1e1:&de1:<le1:=de2:~~0:e".to_owned(),
            "d1:#i1e1:&de1:<le1:=dee\0".to_owned(),
            lagged("i1e"),
            lagged(&format!("li6e32:{hash}e")),
            lagged(&format!("li6e31:{}dee", "x".repeat(31))),
            lagged(&format!("li6e32:{hash}de0:e")),
            lagged(&format!("li7e32:{hash}dee")),
            lagged(&format!("li6e32:{hash}deeli5e32:{hash}dee")),
            lagged(&format!("li6e32:{hash}deeli6e32:{hash}dee")),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(lagged(&format!("li5e32:{hash}deeli6e32:{hash}dee")).as_bytes()).is_ok());
    }

    #[test]
    fn what_lags_too_far_behind_is_forgotten_and_no_error() {
        let hash = "x".repeat(32);
        let bytes = format!("d1:#i7e1:&de1:<li2e32:{hash}deeli3e32:{hash}deee1:=dee").replace("<li", "<lli");
        let message = parse(bytes.as_bytes()).unwrap();
        assert_eq!(message.lagged().keys().map(|version| version.seqno).collect::<Vec<_>>(), [3]);
        assert_eq!(message.as_bytes(), bytes.as_bytes(), "a message that is passed on does not change");
    }

    #[test]
    fn a_signature_covers_everything_and_is_required_where_somebody_asks_for_it() {
        let (key, other) = (Ed25519Secret::from_seed(&[1; 32]), Ed25519Secret::from_seed(&[2; 32]));
        let mut draft = Message::empty().next();
        draft.data_mut().insert("n", "name");
        let (signed, unsigned) = (draft.finish(Some(&key)), draft.finish(None));
        let verify = |message: &Message, key: &Ed25519Secret| {
            Message::parse(message.as_bytes(), Some(&key.public())).map(|message| message.version())
        };
        assert_eq!(verify(&signed, &key), Ok(signed.version()));
        assert_eq!(verify(&signed, &other), Err(ParseError::Signature));
        assert_eq!(verify(&unsigned, &key), Err(ParseError::Signature));
        let mut changed = signed.as_bytes().to_vec();
        let name = changed.windows(4).position(|window| window == b"name").unwrap();
        changed[name] = b'f';
        assert_eq!(Message::parse(&changed, Some(&key.public())), Err(ParseError::Signature));
        assert!(parse(&changed).is_ok());
    }
}
