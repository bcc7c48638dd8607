//! Bytes to words and back, and the checksum word (client-messages 1.3). Knows indices only;
//! reading what people type is the parent module's.

use super::wordlist::{self, WORDS};

/// Three words carry this many bytes.
const GROUP_BYTES: usize = 4;
/// Four bytes take this many words.
const GROUP_WORDS: usize = 3;

/// Words that no bytes encode to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UndecodableWords {
    /// The number of words, or of bytes, does not divide evenly.
    #[error("words come in threes and bytes in fours")]
    Uneven,
    /// These three words stand for a number above the largest.
    #[error("words {first} to {} never stand together", .first + 2)]
    Impossible {
        /// Position of the first of the three, counted from 1.
        first: usize,
    },
}

/// The words of `bytes`, without checksum.
///
/// # Errors
/// If the length is no multiple of 4.
pub fn encode(bytes: &[u8]) -> Result<Vec<&'static str>, UndecodableWords> {
    Ok(indices_of(bytes)?.into_iter().filter_map(wordlist::word).collect())
}

/// The bytes of words given as list indices, without checksum.
///
/// # Errors
/// If the words do not come in threes, or no bytes give these three words.
pub fn decode(indices: &[usize]) -> Result<Vec<u8>, UndecodableWords> {
    let (groups, rest) = indices.as_chunks::<GROUP_WORDS>();
    if !rest.is_empty() {
        return Err(UndecodableWords::Uneven);
    }
    let n = WORDS as u64;
    let mut bytes = Vec::with_capacity(groups.len() * GROUP_BYTES);
    for (number, group) in groups.iter().enumerate() {
        let [a, b, c] = group.map(|index| index as u64 % n);
        let value = a + n * ((n - a + b) % n) + n * n * ((n - b + c) % n);
        let value = u32::try_from(value)
            .map_err(|_| UndecodableWords::Impossible { first: number * GROUP_WORDS + 1 })?;
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    Ok(bytes)
}

/// List indices of the words of `bytes`.
pub(super) fn indices_of(bytes: &[u8]) -> Result<Vec<usize>, UndecodableWords> {
    let (groups, rest) = bytes.as_chunks::<GROUP_BYTES>();
    if !rest.is_empty() {
        return Err(UndecodableWords::Uneven);
    }
    let mut indices = Vec::with_capacity(groups.len() * GROUP_WORDS);
    for group in groups {
        let x = u32::from_le_bytes(*group) as usize;
        let a = x % WORDS;
        let b = (x / WORDS + a) % WORDS;
        let c = (x / WORDS / WORDS + b) % WORDS;
        indices.extend([a, b, c]);
    }
    Ok(indices)
}

/// Which of the words is repeated at the end: CRC-32 over everyone's first three letters, modulo
/// their number. `None` for no words.
pub(super) fn checksum(indices: &[usize]) -> Option<usize> {
    let mut crc = crc32fast::Hasher::new();
    for index in indices {
        crc.update(wordlist::prefix(wordlist::word(*index)?).as_bytes());
    }
    indices.get(crc.finalize() as usize % indices.len().max(1)).copied()
}
