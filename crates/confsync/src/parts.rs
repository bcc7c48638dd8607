//! Documents that come in several parts, while not all parts are there (config-and-groups 5.3).
//!
//! Parts come in any order, and again. What is kept is bounded in number and size: whoever can encrypt
//! for us can send as many beginnings as they like, and the oldest give way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conclave_crypto::hash::blake2b_256;
use conclave_proto::Timestamp;
use conclave_proto::bt::{BtError, DictReader, DictWriter, ListReader, ListWriter};

use crate::sealing::{MAX_SPLIT, Part, Rejected};

/// How long beginnings wait for the rest, from the last part on.
const KEEP_WAITING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a finished document's parts are recognised when they come again.
const KEEP_FINISHED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Documents under way at a time, finished ones included. One is usual, two when devices push at once.
const MAX_SETS: usize = 32;

/// Bytes of all waiting parts together: two of the largest documents.
const MAX_BYTES: usize = 2 * MAX_SPLIT;

/// What is known of documents in parts, by the hash of the whole.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    sets: BTreeMap<[u8; 32], Set>,
}

#[derive(Clone, PartialEq, Eq)]
struct Set {
    /// How many parts there are; 0 once they have been put together.
    count: u8,
    until: Timestamp,
    parts: BTreeMap<u8, (String, Vec<u8>)>,
}

/// What a part led to.
pub(crate) enum Added {
    /// It is kept, or was known.
    Kept,
    /// It was the last one: the whole, still padded, and where its parts are stored.
    Complete { whole: Vec<u8>, hashes: BTreeSet<String> },
}

impl Parts {
    /// Takes a part that is stored under `hash`.
    pub(crate) fn add(&mut self, hash: &str, part: Part, now: Timestamp) -> Result<Added, Rejected> {
        let set = self.sets.entry(part.whole).or_insert_with(|| Set {
            count: part.count,
            until: now.plus(KEEP_WAITING),
            parts: BTreeMap::new(),
        });
        if set.count == 0 {
            return Ok(Added::Kept);
        }
        if set.count != part.count {
            return Err(Rejected::Part("counts the parts differently"));
        }
        if let Some((_, chunk)) = set.parts.get(&part.index) {
            let same = *chunk == part.chunk;
            return if same { Ok(Added::Kept) } else { Err(Rejected::Part("differs from what was there")) };
        }
        if set.bytes().saturating_add(part.chunk.len()) > MAX_SPLIT {
            return Err(Rejected::Part("makes the document too large"));
        }
        set.parts.insert(part.index, (hash.to_owned(), part.chunk));
        set.until = now.plus(KEEP_WAITING);
        if set.parts.len() < usize::from(set.count) {
            self.limit(&part.whole);
            return Ok(Added::Kept);
        }
        let parts = std::mem::take(&mut set.parts);
        let mut hashes = BTreeSet::new();
        let mut whole = Vec::with_capacity(MAX_SPLIT.min(parts.values().map(|(_, chunk)| chunk.len()).sum()));
        for (hash, chunk) in parts.into_values() {
            hashes.insert(hash);
            whole.extend(chunk);
        }
        if blake2b_256(&[&whole]) != part.whole {
            self.sets.remove(&part.whole);
            return Err(Rejected::Part("belongs to a document that does not have its hash"));
        }
        set.count = 0;
        set.until = now.plus(KEEP_FINISHED);
        Ok(Added::Complete { whole, hashes })
    }

    /// Forgets what has waited too long.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.sets.len();
        self.sets.retain(|_, set| set.until > now);
        before != self.sets.len()
    }

    /// Where the parts of unfinished documents are stored.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = &str> {
        self.sets.values().flat_map(|set| set.parts.values()).map(|(hash, _)| hash.as_str())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Lets go of the sets that expire first, but not of `keep`.
    fn limit(&mut self, keep: &[u8; 32]) {
        while self.sets.len() > MAX_SETS || self.sets.values().map(Set::bytes).sum::<usize>() > MAX_BYTES {
            let first = self.sets.iter().filter(|(whole, _)| *whole != keep).min_by_key(|(_, set)| set.until);
            let Some(whole) = first.map(|(whole, _)| *whole) else { return };
            self.sets.remove(&whole);
        }
    }

    pub(crate) fn encode(&self) -> DictWriter {
        let mut dict = DictWriter::new();
        for (whole, set) in &self.sets {
            let mut parts = ListWriter::new();
            for (index, (hash, chunk)) in &set.parts {
                let mut part = DictWriter::new();
                part.int("#", u64::from(*index)).bytes("M", hash).bytes("d", chunk);
                parts.dict(part);
            }
            let mut entry = DictWriter::new();
            entry.int("#", u64::from(set.count)).int("T", set.until.as_millis()).list("p", parts);
            dict.dict(whole, entry);
        }
        dict
    }

    pub(crate) fn decode(mut dict: DictReader<'_>) -> Result<Self, BtError> {
        let mut sets = BTreeMap::new();
        while let Some((whole, raw)) = dict.next_raw()? {
            let wrong = |expected| BtError::WrongType { key: "*".to_owned(), expected };
            let whole = whole.try_into().map_err(|_| wrong("a hash"))?;
            let mut entry = DictReader::new(raw)?;
            let byte = |number: Option<u64>| {
                number.and_then(|number| u8::try_from(number).ok()).ok_or_else(|| wrong("a small number"))
            };
            let count = byte(entry.take_u64("#")?)?;
            let until = Timestamp(entry.take_u64("T")?.unwrap_or_default());
            let mut parts = BTreeMap::new();
            let mut list = entry.take_list("p")?.map_or_else(|| ListReader::new(b"le"), Ok)?;
            while !list.is_empty() {
                let mut part = list.dict()?;
                let index = byte(part.take_u64("#")?)?;
                let hash = part.take_text("M")?.ok_or_else(|| BtError::Missing("M".to_owned()))?;
                let chunk = part.take_bytes("d")?.ok_or_else(|| BtError::Missing("d".to_owned()))?;
                if index < count {
                    parts.insert(index, (hash.to_owned(), chunk.to_vec()));
                }
            }
            sets.insert(whole, Set { count, until, parts });
        }
        Ok(Self { sets })
    }
}

impl Set {
    fn bytes(&self) -> usize {
        self.parts.values().map(|(_, chunk)| chunk.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn parts_of(whole: &[u8], size: usize) -> Vec<Part> {
        let count = whole.len().div_ceil(size) as u8;
        whole
            .chunks(size)
            .enumerate()
            .map(|(index, chunk)| Part {
                whole: blake2b_256(&[whole]),
                index: index as u8,
                count,
                chunk: chunk.to_vec(),
            })
            .collect()
    }

    fn complete(added: Result<Added, Rejected>) -> Option<(Vec<u8>, BTreeSet<String>)> {
        match added {
            Ok(Added::Complete { whole, hashes }) => Some((whole, hashes)),
            Ok(Added::Kept) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn parts_come_in_any_order_and_again() {
        let mut parts = Parts::default();
        let all = parts_of(b"abcdefg", 3);
        for at in [2, 0, 2, 0] {
            assert!(complete(parts.add(&format!("h{at}"), all[at].clone(), NOW)).is_none());
        }
        assert_eq!(parts.hashes().collect::<Vec<_>>(), ["h0", "h2"]);
        let (whole, hashes) = complete(parts.add("h1", all[1].clone(), NOW)).unwrap();
        assert_eq!((whole.as_slice(), hashes.len()), (&b"abcdefg"[..], 3));
        assert!(complete(parts.add("h0", all[0].clone(), NOW)).is_none(), "known");
        assert_eq!(parts.hashes().count(), 0);
    }

    #[test]
    fn parts_that_do_not_fit_the_others_are_refused() {
        let mut parts = Parts::default();
        let all = parts_of(b"abcdefg", 3);
        complete(parts.add("h0", all[0].clone(), NOW));
        assert!(parts.add("x", Part { chunk: b"zzz".to_vec(), ..all[0].clone() }, NOW).is_err());
        assert!(parts.add("x", Part { count: 4, ..all[1].clone() }, NOW).is_err());
        assert!(parts.add("x", Part { chunk: vec![0; MAX_SPLIT], ..all[1].clone() }, NOW).is_err());
        complete(parts.add("h1", all[1].clone(), NOW));
        assert!(parts.add("x", Part { chunk: b"x".to_vec(), ..all[2].clone() }, NOW).is_err(), "wrong hash");
        // And after that one may begin again.
        for (at, part) in all.iter().enumerate() {
            let whole = complete(parts.add("h", part.clone(), NOW));
            assert_eq!(whole.is_some(), at == 2);
        }
    }

    #[test]
    fn what_does_not_become_whole_is_forgotten_and_never_grows_without_end() {
        let mut parts = Parts::default();
        complete(parts.add("h", parts_of(b"abcdefg", 3).remove(0), NOW));
        assert!(!parts.expire(NOW.plus(KEEP_WAITING).minus(Duration::from_millis(1))));
        assert!(parts.expire(NOW.plus(KEEP_WAITING)));
        assert!(parts.is_empty());
        for n in 0..1000u32 {
            let mut begun = parts_of(&[0; 6], 3).remove(0);
            begun.whole = blake2b_256(&[&n.to_be_bytes()]);
            begun.chunk = vec![0; 70_000];
            complete(parts.add(&n.to_string(), begun, NOW.plus(Duration::from_secs(n.into()))));
        }
        assert_eq!(parts.sets.len(), MAX_SETS);
        assert!(parts.hashes().any(|hash| hash == "999"), "the newest stays");
    }

    #[test]
    fn parts_survive_a_restart() {
        let mut parts = Parts::default();
        complete(parts.add("h0", parts_of(b"abcdefg", 3).remove(0), NOW));
        for (at, part) in parts_of(b"hijklm", 3).into_iter().enumerate() {
            let _ = parts.add(&format!("g{at}"), part, NOW);
        }
        let dump = parts.encode().finish();
        let again = Parts::decode(DictReader::new(&dump).unwrap()).unwrap();
        assert!(again == parts);
    }
}
