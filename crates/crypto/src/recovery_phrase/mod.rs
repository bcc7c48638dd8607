//! The recovery phrase: an account's seed as words a person can write down (client-messages 1.3).
//!
//! Parsing is forgiving about form (case, punctuation, numbering, three-letter beginnings) and
//! precise about content: an error names the word, and where a slip is likely, says which.
//! Nothing is ever corrected silently beyond what the first three letters of a word decide.

mod codec;
mod repair;
mod wordlist;

use rand_core::CryptoRngCore;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use codec::{UndecodableWords, decode, encode};
pub use repair::Suspicion;

/// Words of a usual phrase: twelve for 16 bytes, one checksum.
pub const WORD_COUNT: usize = 13;
/// Words of a phrase for a 32-byte seed.
pub const LONG_WORD_COUNT: usize = 25;
/// How many words are offered instead of an unknown one.
const SUGGESTIONS: usize = 3;

/// An account's seed. Shown to its owner as words, written nowhere.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryPhrase {
    /// Followed by zeros when the seed has 16 bytes.
    seed: [u8; 32],
    long: bool,
}

impl RecoveryPhrase {
    /// A new 16-byte seed.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        let mut seed = Zeroizing::new([0u8; 16]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed16(&seed)
    }

    /// The phrase of a 16-byte seed: 13 words.
    pub fn from_seed16(seed: &[u8; 16]) -> Self {
        let mut phrase = Self { seed: [0; 32], long: false };
        phrase.seed.split_at_mut(16).0.copy_from_slice(seed);
        phrase
    }

    /// The phrase of a 32-byte seed: 25 words.
    pub const fn from_seed32(seed: &[u8; 32]) -> Self {
        Self { seed: *seed, long: true }
    }

    /// Reads a phrase as people type it: any case; words separated by anything that is no letter;
    /// numbering ignored; three letters of a word suffice.
    ///
    /// # Errors
    /// [`PhraseError`] names the problem.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let typed = Zeroizing::new(split_words(text));
        if typed.is_empty() {
            return Err(PhraseError::Empty);
        }
        // Far too much is some other text: looking up its words would help nobody.
        if typed.len() > LONG_WORD_COUNT {
            return Err(PhraseError::TooMany { found: typed.len() });
        }
        let mut indices = Zeroizing::new(Vec::with_capacity(LONG_WORD_COUNT));
        let mut unknown = Vec::new();
        for (position, word) in typed.iter().enumerate() {
            match wordlist::index(word) {
                Some(index) => indices.push(index),
                None => unknown.push(UnknownWord {
                    position: position + 1,
                    suggestions: wordlist::nearest(word, SUGGESTIONS),
                    typed: TypedWord(word.clone()),
                }),
            }
        }
        if !unknown.is_empty() {
            return Err(PhraseError::UnknownWords(unknown));
        }
        match indices.len() {
            WORD_COUNT | LONG_WORD_COUNT => {}
            count if count + 1 == WORD_COUNT || count + 1 == LONG_WORD_COUNT => {
                return Err(PhraseError::MissingLast { found: count });
            }
            found if found < WORD_COUNT => return Err(PhraseError::TooFew { found }),
            found => return Err(PhraseError::TooMany { found }),
        }
        Self::from_indices(&indices).ok_or_else(|| PhraseError::Checksum(repair::suspicion(&indices)))
    }

    /// Reads what a QR code or the clipboard holds: the seed in hex (32 or 64 digits) or words.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn scan(text: &str) -> Result<Self, PhraseError> {
        if let Ok(bytes) = hex::decode(text.trim()).map(Zeroizing::new) {
            if let Ok(seed) = bytes.as_slice().try_into() {
                return Ok(Self::from_seed16(seed));
            }
            if let Ok(seed) = bytes.as_slice().try_into() {
                return Ok(Self::from_seed32(seed));
            }
        }
        Self::parse(text)
    }

    /// The words, lower case, one space between them: the form every other client reads.
    pub fn words(&self) -> Zeroizing<String> {
        let mut indices = Zeroizing::new(codec::indices_of(self.seed()).unwrap_or_default());
        let last = codec::checksum(&indices);
        indices.extend(last);
        // Room for the longest words, so that growing leaves no copy of the phrase behind.
        let mut text = Zeroizing::new(String::with_capacity(LONG_WORD_COUNT * 13));
        for word in indices.iter().filter_map(|index| wordlist::word(*index)) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The seed in hex, as recovery QR codes hold it (client-messages 1.6).
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.seed()))
    }

    /// The 16 or 32 bytes the words stand for.
    pub fn seed(&self) -> &[u8] {
        if self.long { &self.seed } else { self.seed.split_at(16).0 }
    }

    /// The seed of the account's Ed25519 key: 32 bytes, a short seed filled up with zeros.
    pub fn ed25519_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.seed)
    }

    /// The phrase of list indices with the checksum word last, if checksum and groups are right.
    fn from_indices(indices: &[usize]) -> Option<Self> {
        let (last, rest) = indices.split_last()?;
        if codec::checksum(rest)? != *last {
            return None;
        }
        let bytes = Zeroizing::new(codec::decode(rest).ok()?);
        match (bytes.as_slice().try_into(), bytes.as_slice().try_into()) {
            (Ok(seed), _) => Some(Self::from_seed16(seed)),
            (_, Ok(seed)) => Some(Self::from_seed32(seed)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryPhrase(hidden)")
    }
}

/// Lower-case words; numbering, punctuation and invisible characters left out.
fn split_words(text: &str) -> Vec<String> {
    let visible = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}');
    let text = Zeroizing::new(text.chars().filter(visible).flat_map(char::to_lowercase).collect::<String>());
    text.split(|c: char| !c.is_alphanumeric())
        .map(|word| word.trim_matches(char::is_numeric))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A word somebody typed: shown to them in the error's text, hidden from debug output.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct TypedWord(String);

impl TypedWord {
    /// What was typed, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for TypedWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for TypedWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TypedWord(hidden)")
    }
}

/// A word that is not in the list.
#[derive(Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// Counted from 1.
    pub position: usize,
    /// What was typed.
    pub typed: TypedWord,
    /// Up to three words it may have been, nearest first.
    pub suggestions: Vec<&'static str>,
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "word {} (“{}”) is not in the word list", self.position, self.typed)?;
        if !self.suggestions.is_empty() {
            write!(f, "; did you mean {}?", self.suggestions.join(" or "))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnknownWord(position {}, hidden)", self.position)
    }
}

/// What is wrong with a typed phrase. The text is for the person who typed it; debug output holds
/// no words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// No words at all.
    #[error("a recovery phrase has {WORD_COUNT} words, this has none")]
    Empty,
    /// Words that are not in the list; never an empty list.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    UnknownWords(Vec<UnknownWord>),
    /// Only the checksum word is missing. It adds no secret, but shows that the others are right.
    #[error("the last word is missing: {found} of {} words", .found + 1)]
    MissingLast {
        /// Words typed.
        found: usize,
    },
    /// Words are missing.
    #[error("{} words are missing: a recovery phrase has {WORD_COUNT}, this has {found}", WORD_COUNT - .found)]
    TooFew {
        /// Words typed.
        found: usize,
    },
    /// More words than a phrase has.
    #[error("a recovery phrase has {WORD_COUNT} words (rarely {LONG_WORD_COUNT}), this has {found}")]
    TooMany {
        /// Words typed.
        found: usize,
    },
    /// Every word is in the list, but they do not belong together in this order.
    #[error("the words do not fit together: {}", .0.as_ref().map_or_else(|| "at least one is wrong or in the wrong place".to_owned(), ToString::to_string))]
    Checksum(Option<Suspicion>),
}

#[cfg(test)]
mod tests;
