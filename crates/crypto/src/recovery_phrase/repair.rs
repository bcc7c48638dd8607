//! Guesses the slip behind a phrase whose words all exist but do not fit together.
//!
//! The checksum is weak (one in twelve wrong phrases passes it), so most slips have several
//! explanations; a guess is made only when exactly one is plausible. It is told, never applied.

use super::{RecoveryPhrase, wordlist};

/// A word is taken for another only if this few slips lie between them.
const LOOKALIKE_EDITS: usize = 2;

/// The one plausible explanation of a wrong checksum.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspicion {
    /// This word was probably meant to be another.
    Word {
        /// Counted from 1.
        position: usize,
        /// The list's word that was read.
        read: &'static str,
        /// The word that would fit.
        fits: &'static str,
    },
    /// These two words probably changed places.
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
                write!(f, "word {position} (“{read}”) is probably “{fits}”")
            }
            Self::Swapped { first, second } => {
                write!(f, "words {first} and {second} have probably changed places")
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

/// The explanation of indices (checksum last) that do not fit, if a single one is plausible:
/// neighbours swapped or a lookalike word; failing those, any two words swapped.
pub(super) fn suspicion(indices: &[usize]) -> Option<Suspicion> {
    let mut near: Vec<Suspicion> = swaps(indices, true).collect();
    near.extend(replacements(indices));
    match near.as_slice() {
        [] => {}
        [one] => return Some(*one),
        _ => return None,
    }
    let mut far = swaps(indices, false);
    let first = far.next()?;
    far.next().is_none().then_some(first)
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

fn replacements(indices: &[usize]) -> impl Iterator<Item = Suspicion> {
    indices.iter().enumerate().flat_map(move |(position, index)| {
        wordlist::lookalikes(*index, LOOKALIKE_EDITS).into_iter().filter_map(move |other| {
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
