//! Ours: what members of a swarm say to each other about the chunks they keep (docs/protocol/files, "Between members").
//!
//! Everything a peer sends is bounded here; whether it may be believed is the node's to check.

use conclave_crypto::Ed25519Public;

use crate::Timestamp;
use crate::bt::{BtError, DictReader, DictWriter, ListReader, ListWriter};
use crate::chunk::{CHUNK_SIZE, ChunkHash};

/// Keeps a chunk.
pub const PUT: &str = "conclave_chunk_put";
/// Lengthens or ends commitments, as a client has signed it.
pub const CHANGE: &str = "conclave_chunk_change";
/// Asks for the digests of everything.
pub const DIGESTS: &str = "conclave_chunk_digests";
/// Asks for the names in one bucket.
pub const NAMES: &str = "conclave_chunk_names";
/// Asks for a chunk, or for the proof of a deletion.
pub const FETCH: &str = "conclave_chunk_fetch";
/// Asks which of these chunks the other lacks.
pub const OFFER: &str = "conclave_chunk_offer";

/// Parts into which all chunks are divided, by the first byte of their hashes.
pub const BUCKETS: usize = 256;
/// Bytes of a digest.
pub const DIGEST_LENGTH: usize = 16;
/// Names in one answer or offer.
pub const MAX_NAMES: usize = 2_000;
/// Bytes of a name: hash, key, first store, expiry, whether it is deleted.
const NAME_LENGTH: usize = 32 + 32 + 8 + 8 + 1;

/// Why something between members cannot be read. The sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChunkSync {
    /// Not the bt it should be.
    #[error("{0}")]
    Bt(#[from] BtError),
    /// A value that cannot be.
    #[error("a value that cannot be: {0}")]
    Value(&'static str),
}

fn missing(key: &str) -> BtError {
    BtError::Missing(key.to_owned())
}

fn public(bytes: [u8; 32]) -> Result<Ed25519Public, InvalidChunkSync> {
    Ed25519Public::from_bytes(bytes).map_err(|_| InvalidChunkSync::Value("a file key"))
}

/// A chunk to be kept, [`PUT`].
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkPut {
    /// 1 to [`CHUNK_SIZE`] bytes.
    pub data: Vec<u8>,
    /// Until when.
    pub expiry: Timestamp,
    /// When it was first stored under the key, as whoever sends it knows.
    pub first: Timestamp,
    /// What the data must hash to; reading has not compared them.
    pub hash: ChunkHash,
    /// The file key.
    pub key: Ed25519Public,
}

impl std::fmt::Debug for ChunkPut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { data, expiry, first, hash, key } = self;
        write!(f, "ChunkPut({hash:?}, {} bytes, {key:?}, {first} to {expiry})", data.len())
    }
}

impl ChunkPut {
    /// Encodes one without having its bytes in hand as a whole.
    pub fn encode_parts(
        data: &[u8],
        expiry: Timestamp,
        first: Timestamp,
        hash: &ChunkHash,
        key: &Ed25519Public,
    ) -> Vec<u8> {
        let mut dict = DictWriter::new();
        dict.bytes("d", data)
            .int("e", expiry.0)
            .int("f", first.0)
            .bytes("h", hash.0)
            .bytes("k", key.as_bytes());
        dict.finish()
    }

    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        Self::encode_parts(&self.data, self.expiry, self.first, &self.hash, &self.key)
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none, or the data is not of a chunk's size.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let mut dict = DictReader::new(bytes)?;
        let data = dict.take_bytes("d")?.ok_or_else(|| missing("d"))?;
        if !(1..=CHUNK_SIZE).contains(&data.len()) {
            return Err(InvalidChunkSync::Value("the size of a chunk"));
        }
        Ok(Self {
            data: data.to_vec(),
            expiry: Timestamp(dict.take_u64("e")?.ok_or_else(|| missing("e"))?),
            first: Timestamp(dict.take_u64("f")?.ok_or_else(|| missing("f"))?),
            hash: ChunkHash(dict.take_array("h")?.ok_or_else(|| missing("h"))?),
            key: public(dict.take_array("k")?.ok_or_else(|| missing("k"))?)?,
        })
    }
}

/// The name of a commitment: what members compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The chunk.
    pub hash: ChunkHash,
    /// For whom.
    pub key: Ed25519Public,
    /// When it was first stored.
    pub first: Timestamp,
    /// When it ends.
    pub expiry: Timestamp,
    /// Whether its key has ended it.
    pub deleted: bool,
}

impl Name {
    fn write(&self, list: &mut ListWriter) {
        let mut bytes = Vec::with_capacity(NAME_LENGTH);
        bytes.extend_from_slice(&self.hash.0);
        bytes.extend_from_slice(self.key.as_bytes());
        bytes.extend_from_slice(&self.first.0.to_be_bytes());
        bytes.extend_from_slice(&self.expiry.0.to_be_bytes());
        bytes.push(u8::from(self.deleted));
        list.bytes(bytes);
    }

    fn read(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let read = || {
            let (hash, rest) = bytes.split_first_chunk::<32>()?;
            let (key, rest) = rest.split_first_chunk::<32>()?;
            let (first, rest) = rest.split_first_chunk::<8>()?;
            let (expiry, rest) = rest.split_first_chunk::<8>()?;
            let deleted = match rest {
                [0] => false,
                [1] => true,
                _ => return None,
            };
            Some((*hash, *key, u64::from_be_bytes(*first), u64::from_be_bytes(*expiry), deleted))
        };
        let (hash, key, first, expiry, deleted) = read().ok_or(InvalidChunkSync::Value("a name"))?;
        // Beyond this no arithmetic with times is meant.
        if first.max(expiry) > i64::MAX as u64 / 2 {
            return Err(InvalidChunkSync::Value("a time"));
        }
        Ok(Self {
            hash: ChunkHash(hash),
            key: public(key)?,
            first: Timestamp(first),
            expiry: Timestamp(expiry),
            deleted,
        })
    }
}

/// Names in the order of their hashes and keys, the answer to [`NAMES`]; or those offered, [`OFFER`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// There are more behind the last.
    pub more: bool,
    /// At most [`MAX_NAMES`].
    pub names: Vec<Name>,
}

impl Names {
    /// As a bt list: 1 or 0, then the names.
    pub fn encode(&self) -> Vec<u8> {
        let mut list = ListWriter::new();
        list.int(u64::from(self.more));
        self.names.iter().for_each(|name| name.write(&mut list));
        list.finish()
    }

    /// Reads them.
    ///
    /// # Errors
    /// If they are none, or too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let mut list = ListReader::new(bytes)?;
        let more = list.u64()? != 0;
        let mut names = Vec::new();
        while !list.is_empty() {
            if names.len() == MAX_NAMES {
                return Err(InvalidChunkSync::Value("more names than may be at once"));
            }
            names.push(Name::read(list.bytes()?)?);
        }
        Ok(Self { more, names })
    }
}

/// A digest for each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests(Vec<[u8; DIGEST_LENGTH]>);

impl Default for Digests {
    fn default() -> Self {
        Self(vec![[0; DIGEST_LENGTH]; BUCKETS])
    }
}

impl Digests {
    /// Adds a name, by its own digest, to its bucket.
    pub fn add(&mut self, hash: &ChunkHash, digest: [u8; DIGEST_LENGTH]) {
        let [bucket, ..] = hash.0;
        if let Some(sum) = self.0.get_mut(usize::from(bucket)) {
            sum.iter_mut().zip(digest).for_each(|(sum, digest)| *sum ^= digest);
        }
    }

    /// The buckets in which two differ.
    pub fn differing(&self, other: &Self) -> Vec<u8> {
        (0..=u8::MAX).filter(|n| self.0.get(usize::from(*n)) != other.0.get(usize::from(*n))).collect()
    }

    /// One after the other.
    pub fn encode(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Reads them.
    ///
    /// # Errors
    /// If they are not as many bytes as there must be.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let (digests, rest) = bytes.as_chunks::<DIGEST_LENGTH>();
        if digests.len() != BUCKETS || !rest.is_empty() {
            return Err(InvalidChunkSync::Value("the number of digests"));
        }
        Ok(Self(digests.to_vec()))
    }
}

/// Asks for [`Digests`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestsRequest {
    /// What ends before is left out.
    pub cutoff: Timestamp,
}

impl DigestsRequest {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        DictWriter::new().int("t", self.cutoff.0).finish()
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let cutoff = DictReader::new(bytes)?.take_u64("t")?.ok_or_else(|| missing("t"))?;
        Ok(Self { cutoff: Timestamp(cutoff) })
    }
}

/// Asks for [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesRequest {
    /// Only those behind this one.
    pub after: Option<(ChunkHash, Ed25519Public)>,
    /// The first byte of the hashes.
    pub bucket: u8,
    /// What ends before is left out.
    pub cutoff: Timestamp,
}

impl NamesRequest {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        let mut dict = DictWriter::new();
        if let Some((hash, key)) = &self.after {
            dict.bytes("a", [hash.0, *key.as_bytes()].concat());
        }
        dict.int("b", u64::from(self.bucket)).int("t", self.cutoff.0);
        dict.finish()
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let mut dict = DictReader::new(bytes)?;
        let after = match dict.take_bytes("a")? {
            None => None,
            Some(after) => {
                let (pairs, rest) = after.as_chunks::<32>();
                match (pairs, rest) {
                    ([hash, key], []) => Some((ChunkHash(*hash), public(*key)?)),
                    _ => return Err(InvalidChunkSync::Value("a place in a list")),
                }
            }
        };
        let bucket = dict.take_u64("b")?.ok_or_else(|| missing("b"))?;
        let bucket = u8::try_from(bucket).map_err(|_| InvalidChunkSync::Value("a bucket"))?;
        let cutoff = Timestamp(dict.take_u64("t")?.ok_or_else(|| missing("t"))?);
        Ok(Self { after, bucket, cutoff })
    }
}

/// Asks for a chunk, or for the request by which a key has deleted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The chunk.
    pub hash: ChunkHash,
    /// Whose deletion is to be proven. Without it, the chunk is wanted.
    pub deleted_by: Option<Ed25519Public>,
}

impl FetchRequest {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        let mut dict = DictWriter::new();
        dict.bytes("h", self.hash.0);
        if let Some(key) = &self.deleted_by {
            dict.bytes("k", key.as_bytes());
        }
        dict.finish()
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let mut dict = DictReader::new(bytes)?;
        let hash = ChunkHash(dict.take_array("h")?.ok_or_else(|| missing("h"))?);
        Ok(Self { hash, deleted_by: dict.take_array("k")?.map(public).transpose()? })
    }
}

/// A chunk, the answer to [`FETCH`].
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What the other says the chunk is.
    pub data: Vec<u8>,
    /// The latest end of its commitments there.
    pub expiry: Timestamp,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetched({} bytes, {})", self.data.len(), self.expiry)
    }
}

impl Fetched {
    /// As a bt dictionary.
    pub fn encode(data: &[u8], expiry: Timestamp) -> Vec<u8> {
        DictWriter::new().bytes("d", data).int("e", expiry.0).finish()
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none, or the data is not of a chunk's size.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let mut dict = DictReader::new(bytes)?;
        let data = dict.take_bytes("d")?.ok_or_else(|| missing("d"))?;
        if !(1..=CHUNK_SIZE).contains(&data.len()) {
            return Err(InvalidChunkSync::Value("the size of a chunk"));
        }
        let expiry = Timestamp(dict.take_u64("e")?.ok_or_else(|| missing("e"))?);
        Ok(Self { data: data.to_vec(), expiry })
    }
}

/// Chunks of an offer that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whose bytes are lacking.
    pub hashes: Vec<ChunkHash>,
}

impl Wanted {
    /// As a bt list.
    pub fn encode(&self) -> Vec<u8> {
        let mut list = ListWriter::new();
        self.hashes.iter().for_each(|hash| {
            list.bytes(hash.0);
        });
        list.finish()
    }

    /// Reads them.
    ///
    /// # Errors
    /// If they are none, or too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidChunkSync> {
        let mut list = ListReader::new(bytes)?;
        let mut hashes = Vec::new();
        while !list.is_empty() {
            if hashes.len() == MAX_NAMES {
                return Err(InvalidChunkSync::Value("more hashes than may be at once"));
            }
            let hash = list.bytes()?.try_into().map_err(|_| InvalidChunkSync::Value("a hash"))?;
            hashes.push(ChunkHash(hash));
        }
        Ok(Self { hashes })
    }
}

#[cfg(test)]
mod tests {
    use conclave_crypto::Ed25519Secret;

    use super::*;

    fn key(n: u8) -> Ed25519Public {
        Ed25519Secret::from_seed(&[n; 32]).public()
    }

    fn name(n: u8) -> Name {
        Name {
            hash: ChunkHash([n; 32]),
            key: key(n),
            first: Timestamp(1_700_000_000_000),
            expiry: Timestamp(1_700_000_000_000 + u64::from(n)),
            deleted: n.is_multiple_of(2),
        }
    }

    #[test]
    fn everything_members_say_comes_back_from_its_bytes() {
        let put = ChunkPut {
            data: vec![7; 1000],
            expiry: Timestamp(2),
            first: Timestamp(1),
            hash: ChunkHash([3; 32]),
            key: key(4),
        };
        assert_eq!(ChunkPut::decode(&put.encode()), Ok(put));
        let names = Names { more: true, names: (0..9).map(name).collect() };
        assert_eq!(Names::decode(&names.encode()), Ok(names));
        let digests = DigestsRequest { cutoff: Timestamp(5) };
        assert_eq!(DigestsRequest::decode(&digests.encode()), Ok(digests));
        for after in [None, Some((ChunkHash([1; 32]), key(1)))] {
            let request = NamesRequest { after, bucket: 255, cutoff: Timestamp(6) };
            assert_eq!(NamesRequest::decode(&request.encode()), Ok(request));
        }
        for deleted_by in [None, Some(key(1))] {
            let request = FetchRequest { hash: ChunkHash([1; 32]), deleted_by };
            assert_eq!(FetchRequest::decode(&request.encode()), Ok(request));
        }
        let fetched = Fetched { data: vec![1], expiry: Timestamp(9) };
        assert_eq!(Fetched::decode(&Fetched::encode(&fetched.data, fetched.expiry)), Ok(fetched));
        let wanted = Wanted { hashes: vec![ChunkHash([1; 32]), ChunkHash([2; 32])] };
        assert_eq!(Wanted::decode(&wanted.encode()), Ok(wanted));
    }

    #[test]
    fn digests_tell_in_which_buckets_names_differ() {
        let (mut one, mut other) = (Digests::default(), Digests::default());
        for n in [3, 200] {
            one.add(&ChunkHash([n; 32]), [n; 16]);
        }
        other.add(&ChunkHash([200; 32]), [200; 16]);
        assert_eq!(Digests::decode(&one.encode()).unwrap().differing(&other), [3]);
        assert!(Digests::decode(&one.encode()[1..]).is_err());
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let names = Names { more: false, names: vec![name(1); MAX_NAMES + 1] };
        assert!(Names::decode(&names.encode()).is_err());
        let wanted = Wanted { hashes: vec![ChunkHash([1; 32]); MAX_NAMES + 1] };
        assert!(Wanted::decode(&wanted.encode()).is_err());
        let never = Name { expiry: Timestamp(u64::MAX), ..name(1) };
        assert!(Names::decode(&Names { more: false, names: vec![never] }.encode()).is_err());
        for size in [0, CHUNK_SIZE + 1] {
            assert!(Fetched::decode(&Fetched::encode(&vec![0; size], Timestamp(1))).is_err());
        }
    }
}
