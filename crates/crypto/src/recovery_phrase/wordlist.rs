//! The English word list: 1,626 sorted words whose first three letters differ (client-messages 1.3).

use std::sync::LazyLock;

/// Words in the list.
pub(super) const WORDS: usize = 1626;

/// Letters that identify a word.
pub(super) const PREFIX: usize = 3;

/// How many edits after the third letter still leave a word recognisable.
const FORGIVEN_EDITS: usize = 2;

/// How far a suggestion may be from what was typed.
const SUGGESTION_EDITS: usize = 3;

static LIST: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../recovery-words-english.txt").lines().collect());

/// The word at an index.
pub(super) fn word(index: usize) -> Option<&'static str> {
    LIST.get(index).copied()
}

/// The first three letters (a whole word if it is shorter).
pub(super) fn prefix(word: &str) -> &str {
    match word.char_indices().nth(PREFIX) {
        Some((end, _)) => word.split_at(end).0,
        None => word,
    }
}

/// The index of what somebody typed: the word itself, its beginning from three letters on, or the
/// word with a slip after the third letter, since the first three decide.
pub(super) fn index(typed: &str) -> Option<usize> {
    let start = prefix(typed);
    let index = LIST.binary_search_by(|word| prefix(word).cmp(start)).ok()?;
    let word = word(index)?;
    (word.starts_with(typed) || edits(word, typed) <= FORGIVEN_EDITS).then_some(index)
}

/// The words nearest to what somebody typed, nearest first.
pub(super) fn nearest(typed: &str, limit: usize) -> Vec<&'static str> {
    // A longer text is no misspelt word, and comparing it would cost its length each time.
    if typed.chars().count() > 2 * LONGEST {
        return Vec::new();
    }
    let start = prefix(typed);
    let mut near: Vec<(usize, &'static str)> = LIST
        .iter()
        .map(|word| (edits(word, typed).saturating_sub(usize::from(prefix(word) == start)), *word))
        .filter(|(distance, _)| *distance <= SUGGESTION_EDITS)
        .collect();
    near.sort();
    near.into_iter().take(limit).map(|(_, word)| word).collect()
}

/// Letters of the longest word.
const LONGEST: usize = 12;

/// Indices of the words that a slip of at most `limit` edits could have turned `index` into.
pub(super) fn lookalikes(index: usize, limit: usize) -> Vec<usize> {
    let Some(typed) = word(index) else { return Vec::new() };
    LIST.iter()
        .enumerate()
        .filter(|(other, word)| {
            *other != index && word.len().abs_diff(typed.len()) <= limit && edits(word, typed) <= limit
        })
        .map(|(other, _)| other)
        .collect()
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words (optimal string
/// alignment distance).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&above, j) + usize::from(x != y)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_one_everybody_uses() {
        let digest = crate::hash::sha256(&[LIST.join("\n").as_bytes()]);
        assert_eq!(
            hex::encode(digest),
            "998df55cb16d2318130c5cf7e9d4408247c8c4674935ee6e07d53f2f00ccf19b",
            "SHA-256 of the words joined by line feeds (client-messages 1.3)"
        );
        assert_eq!(LIST.len(), WORDS);
        assert_eq!(LIST.iter().map(|word| word.len()).max(), Some(LONGEST));
    }

    #[test]
    fn prefixes_are_unique_and_sorted() {
        assert!(LIST.windows(2).all(|pair| prefix(pair[0]) < prefix(pair[1])));
    }

    #[test]
    fn words_are_found_by_beginning_and_despite_a_late_slip() {
        for typed in ["buf", "buff", "buffet", "buffte", "bufet"] {
            assert_eq!(index(typed).and_then(word), Some("buffet"), "{typed}");
        }
        for typed in ["", "bu", "bufallo bill", "bxffet"] {
            assert_eq!(index(typed), None, "{typed}");
        }
    }

    #[test]
    fn edits_counts_slips_of_the_finger() {
        assert_eq!(edits("zoom", "zoom"), 0);
        assert_eq!(edits("zoom", "zomo"), 1);
        assert_eq!(edits("zoom", "zooom"), 1);
        assert_eq!(edits("zoom", ""), 4);
        assert_eq!(edits("", "zoom"), 4);
    }
}
