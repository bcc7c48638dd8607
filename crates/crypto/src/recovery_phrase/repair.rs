//! Guesses the slip behind a phrase whose words all exist but do not fit together.
//!
//! The checksum is weak (one in twelve wrong phrases passes it), so most slips have several
//! explanations; a guess is made only when exactly one is plausible. It is told, never applied.

use super::{RecoveryPhrase, wordlist};

/// The one plausible explanation of a wrong checksum.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspicion {
    /// This word may have to be another.
    Word {
        /// Counted from 1.
        position: usize,
        /// The list's word that was read.
        read: &'static str,
        /// The word that would fit.
        fits: &'static str,
    },
    /// These two words may have changed places.
    Swapped {
        /// Position of the earlier, counted from 1.
        first: usize,
        /// Position of the later.
        second: usize,
    },
}

impl std::fmt::Display for Suspicion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word { position, read, fits } => {
                write!(f, "word {position} (“{read}”) may have to be “{fits}”")
            }
            Self::Swapped { first, second } => {
                write!(f, "words {first} and {second} may have changed places")
            }
        }
    }
}

impl std::fmt::Debug for Suspicion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word { position, .. } => write!(f, "Word(position {position}, hidden)"),
            Self::Swapped { first, second } => write!(f, "Swapped({first}, {second})"),
        }
    }
}

/// The explanation of indices (checksum last) that do not fit, if a single one is plausible. The
/// likeliest slips are looked at first: neighbours swapped, or a word one letter off; then a word
/// two letters off; then any two words swapped.
pub(super) fn suspicion(indices: &[usize]) -> Option<Suspicion> {
    let likeliest = swaps(indices, true).chain(replacements(indices, 1)).collect::<Vec<_>>();
    let stages: [&dyn Fn() -> Vec<Suspicion>; 2] =
        [&|| replacements(indices, 2).collect(), &|| swaps(indices, false).collect()];
    let found = stages.iter().fold(likeliest, |found, next| if found.is_empty() { next() } else { found });
    match found.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

fn swaps(indices: &[usize], neighbours: bool) -> impl Iterator<Item = Suspicion> {
    let count = indices.len();
    (0..count).flat_map(move |first| {
        let end = if neighbours { (first + 2).min(count) } else { count };
        (first + 1..end).filter_map(move |second| {
            let mut tried = indices.to_vec();
            tried.swap(first, second);
            (tried != indices && RecoveryPhrase::from_indices(&tried).is_some())
                .then_some(Suspicion::Swapped { first: first + 1, second: second + 1 })
        })
    })
}

fn replacements(indices: &[usize], edits: usize) -> impl Iterator<Item = Suspicion> {
    indices.iter().enumerate().flat_map(move |(position, index)| {
        wordlist::lookalikes(*index, edits).into_iter().filter_map(move |other| {
            let mut tried = indices.to_vec();
            *tried.get_mut(position)? = other;
            RecoveryPhrase::from_indices(&tried)?;
            Some(Suspicion::Word {
                position: position + 1,
                read: wordlist::word(*index)?,
                fits: wordlist::word(other)?,
            })
        })
    })
}
