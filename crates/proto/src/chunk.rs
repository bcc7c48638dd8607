//! Files in swarms: chunks, manifests and the ids they give (docs/protocol/files).

use conclave_crypto::hash::Blake2b;

use crate::SwarmId;
use crate::bt::{DictReader, DictWriter};
use crate::swarm::{swarm_of, swarm_space};

/// Bytes of every chunk of a blob but the last, which may be shorter.
pub const CHUNK_SIZE: usize = 262_144;
/// Chunks of one blob: their list fits into a chunk.
pub const MAX_CHUNKS: usize = 8_000;
/// Bytes of the largest blob a manifest can name.
pub const MAX_BLOB: u64 = CHUNK_SIZE as u64 * MAX_CHUNKS as u64;
/// Bytes of the largest file that networks allow unless they say otherwise: 1 GiB.
pub const DEFAULT_MAX_FILE: u64 = 1 << 30;
/// Bytes of the largest file that a network can allow: encrypted and padded, which adds up to a thirtieth, it fits into
/// [`MAX_BLOB`].
pub const MAX_FILE: u64 = 2_000_000_000;
/// The longest life of a chunk after a store or renewal, in milliseconds: 30 days.
pub const MAX_CHUNK_LIFE_MS: u64 = 30 * 24 * 3_600_000;
/// The longest life of a chunk after its first store under a file key, in milliseconds: 90 days.
pub const MAX_CHUNK_AGE_MS: u64 = 90 * 24 * 3_600_000;

/// The first byte of an id, before the hash.
const ID_VERSION: u8 = 1;

/// The name of a chunk: the hash of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    /// The name of these bytes.
    pub fn of(data: &[u8]) -> Self {
        Self(Blake2b::new().personal(b"ConclaveFileChnk").hash(&[data]))
    }

    /// Reads 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 64 lowercase hex digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The swarm that keeps the chunk, among the ids of all active swarms in ascending order. `None` if there are none.
    pub fn swarm(&self, sorted: &[SwarmId]) -> Option<SwarmId> {
        swarm_of(swarm_space(&self.0), sorted)
    }
}

impl std::fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "ChunkHash({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// What a blob is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    size: u64,
    chunks: Vec<ChunkHash>,
}

/// Bytes that are no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the list of a file's chunks")]
pub struct InvalidManifest;

impl Manifest {
    /// The manifest of a blob of `size` bytes made of `chunks`. `None` if they cannot belong together.
    pub fn new(size: u64, chunks: Vec<ChunkHash>) -> Option<Self> {
        let number = u64::try_from(chunks.len()).ok()?;
        (number > 0 && chunks.len() <= MAX_CHUNKS && size.div_ceil(CHUNK_SIZE as u64) == number)
            .then_some(Self { size, chunks })
    }

    /// Reads a manifest that hashes to `id`, or says that these bytes are not the one that was asked for.
    ///
    /// # Errors
    /// If they do not hash to `id`, or are not written in the one way.
    pub fn read(id: &BlobId, bytes: &[u8]) -> Result<Self, InvalidManifest> {
        if ChunkHash::of(bytes) != id.manifest() {
            return Err(InvalidManifest);
        }
        Self::decode(bytes)
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// If it is not written in the one way, or its parts cannot belong together.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let read = || -> Result<Option<Self>, crate::bt::BtError> {
            let mut dict = DictReader::new(bytes)?;
            let chunk_size = dict.take_u64("c")?;
            let hashes = dict.take_bytes("h")?.unwrap_or_default();
            let size = dict.take_u64("s")?.unwrap_or_default();
            let version = dict.take_u64("v")?;
            let (hashes, rest) = hashes.as_chunks::<32>();
            let known = chunk_size == Some(CHUNK_SIZE as u64) && version == Some(1) && rest.is_empty();
            Ok(known.then(|| Self::new(size, hashes.iter().copied().map(ChunkHash).collect())).flatten())
        };
        // Encoding it anew refuses every other spelling, and unknown keys, in one go.
        match read() {
            Ok(Some(manifest)) if manifest.encode() == bytes => Ok(manifest),
            _ => Err(InvalidManifest),
        }
    }

    /// The one encoding.
    pub fn encode(&self) -> Vec<u8> {
        let hashes: Vec<u8> = self.chunks.iter().flat_map(|hash| hash.0).collect();
        let mut dict = DictWriter::new();
        dict.int("c", CHUNK_SIZE as u64).bytes("h", hashes).int("s", self.size).int("v", 1_u64);
        dict.finish()
    }

    /// The id of the blob.
    pub fn id(&self) -> BlobId {
        BlobId(ChunkHash::of(&self.encode()).0)
    }

    /// Bytes of the blob.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The chunks in order, at least one.
    pub fn chunks(&self) -> &[ChunkHash] {
        &self.chunks
    }

    /// Bytes of the chunk at `index`; `None` behind the last.
    pub fn chunk_size(&self, index: usize) -> Option<usize> {
        let last = self.chunks.len().checked_sub(1)?;
        match index.cmp(&last) {
            std::cmp::Ordering::Less => Some(CHUNK_SIZE),
            std::cmp::Ordering::Equal => usize::try_from(self.size - last as u64 * CHUNK_SIZE as u64).ok(),
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// The id of a blob: it names the manifest, and by it every byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 32]);

/// Text that is no id of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of a file kept in swarms")]
pub struct InvalidBlobId;

impl BlobId {
    /// Characters of an id.
    pub const LENGTH: usize = 44;

    /// The chunk that holds the manifest.
    pub const fn manifest(&self) -> ChunkHash {
        ChunkHash(self.0)
    }

    /// The id whose manifest is this chunk.
    pub const fn of_manifest(manifest: ChunkHash) -> Self {
        Self(manifest.0)
    }
}

impl std::fmt::Display for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = [ID_VERSION; 33];
        bytes[1..].copy_from_slice(&self.0);
        f.write_str(&crate::base64::encode_url(bytes))
    }
}

impl std::fmt::Debug for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobId({:?})", self.manifest())
    }
}

impl std::str::FromStr for BlobId {
    type Err = InvalidBlobId;

    fn from_str(text: &str) -> Result<Self, InvalidBlobId> {
        let bytes = crate::base64::decode_url(text).ok_or(InvalidBlobId)?;
        match bytes.split_first() {
            Some((&ID_VERSION, hash)) => hash.try_into().map(Self).map_err(|_| InvalidBlobId),
            _ => Err(InvalidBlobId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(size: u64) -> Manifest {
        let number = size.div_ceil(CHUNK_SIZE as u64);
        Manifest::new(size, (0..number).map(|n| ChunkHash::of(&n.to_be_bytes())).collect()).unwrap()
    }

    #[test]
    fn a_manifest_comes_back_from_its_bytes_and_fits_into_a_chunk() {
        for size in [1, CHUNK_SIZE as u64, CHUNK_SIZE as u64 + 1, 1 << 30, MAX_BLOB] {
            let manifest = manifest(size);
            let bytes = manifest.encode();
            assert!(bytes.len() <= CHUNK_SIZE);
            assert_eq!(Manifest::read(&manifest.id(), &bytes), Ok(manifest.clone()));
            let sizes: u64 =
                (0..manifest.chunks().len()).map(|n| manifest.chunk_size(n).unwrap() as u64).sum();
            assert_eq!(sizes, size);
            assert_eq!(manifest.chunk_size(manifest.chunks().len()), None);
        }
    }

    #[test]
    fn sizes_and_chunks_that_do_not_belong_together_make_no_manifest() {
        let hash = ChunkHash::of(b"one");
        assert_eq!(Manifest::new(0, vec![]), None);
        assert_eq!(Manifest::new(0, vec![hash]), None);
        assert_eq!(Manifest::new(CHUNK_SIZE as u64 + 1, vec![hash]), None);
        assert_eq!(Manifest::new(CHUNK_SIZE as u64, vec![hash, hash]), None);
        assert_eq!(Manifest::new(MAX_BLOB + 1, vec![hash; MAX_CHUNKS + 1]), None);
    }

    #[test]
    fn other_spellings_of_a_manifest_are_refused() {
        let bytes = manifest(10).encode();
        assert!(Manifest::decode(&bytes).is_ok());
        for (from, to) in
            [("1:vi1e", "1:vi2e"), ("1:vi1e", "1:vi01e"), ("1:vi1e", "1:vi1e1:x0:"), ("i10e", "i0e")]
        {
            let other = replaced(&bytes, from.as_bytes(), to.as_bytes());
            assert_ne!(other, bytes);
            assert_eq!(Manifest::decode(&other), Err(InvalidManifest), "{to}");
        }
        assert_eq!(Manifest::read(&manifest(11).id(), &bytes), Err(InvalidManifest));
    }

    fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }

    #[test]
    fn an_id_is_44_characters_that_file_servers_allow_and_nothing_else_is_one() {
        let id = manifest(10).id();
        let text = id.to_string();
        assert_eq!(text.len(), BlobId::LENGTH);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(text.parse(), Ok(id));
        for other in ["", "1234567890", &text[1..], &format!("{text}A"), &text.replacen('A', "B", 1)] {
            assert_eq!(other.parse::<BlobId>(), Err(InvalidBlobId), "{other}");
        }
    }
}
