//! What somebody looks for, as the index is asked for it and as it is marked in what was found.
//!
//! Every part has to be there; in which order does not matter. Parts are: words written together (`don't`, an address),
//! which have to follow each other; signs of a script without spaces, which have to stand together; anything else word by
//! word. The last word may be only a beginning. Nothing that is typed is syntax.

use std::ops::Range;

use super::words::{Letter, Piece, pairs, pieces, span};

/// More places are not marked in one text.
const MAX_RANGES: usize = 200;
/// The last word is taken as a beginning from so many letters on: fewer begin too much to be of use.
pub(super) const MIN_BEGINNING: usize = 2;

/// One thing that has to be there.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// These words after each other; of the last perhaps only the beginning.
    Words { words: Vec<String>, beginning: bool },
    /// These signs after each other.
    Signs { piece: Piece },
}

/// A text somebody looks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    parts: Vec<Part>,
}

impl Question {
    pub(super) fn new(text: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        // Whether the words of the last part can go on: nothing but a sign of punctuation in between.
        let mut open = false;
        for piece in pieces(text) {
            if piece.signs {
                parts.push(Part::Signs { piece });
                open = false;
                continue;
            }
            match parts.last_mut() {
                Some(Part::Words { words, .. }) if open && !piece.begins => words.push(piece.text()),
                _ => parts.push(Part::Words { words: vec![piece.text()], beginning: false }),
            }
            open = true;
        }
        if let Some(Part::Words { words, beginning }) = parts.last_mut() {
            *beginning = words.last().is_some_and(|word| word.chars().count() >= MIN_BEGINNING);
        }
        Self { parts }
    }

    /// How much has to be there.
    pub(super) fn parts(&self) -> usize {
        self.parts.iter().map(|part| if let Part::Words { words, .. } = part { words.len() } else { 1 }).sum()
    }

    /// Conditions in the index's language; all have to hold.
    pub(super) fn conditions(&self) -> impl Iterator<Item = String> {
        self.parts.iter().map(|part| match part {
            Part::Words { words, beginning } => {
                format!("words : {}{}", quoted(&words.join(" ")), if *beginning { " *" } else { "" })
            }
            Part::Signs { piece } if piece.letters.len() == 1 => {
                format!("singles : {}", quoted(&piece.text()))
            }
            Part::Signs { piece } => {
                format!("words : {}", quoted(&pairs(piece).collect::<Vec<_>>().join(" ")))
            }
        })
    }

    /// Where the parts stand in a text: byte ranges, in order, none touching another.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let pieces = pieces(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Words { words, beginning } => {
                    for stretch in pieces.windows(words.len()) {
                        found.extend(match_words(stretch, words, *beginning).into_iter().flatten());
                    }
                }
                Part::Signs { piece: wanted } => {
                    for piece in pieces.iter().filter(|piece| piece.signs) {
                        for stretch in piece.letters.windows(wanted.letters.len()) {
                            if stretch.iter().zip(&wanted.letters).all(|(a, b)| a.c == b.c) {
                                found.push(span(stretch));
                            }
                        }
                    }
                }
            }
        }
        found.sort_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            let full = merged.len() == MAX_RANGES;
            match merged.last_mut().filter(|last| range.start <= last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None if full => break,
                None => merged.push(range),
            }
        }
        merged
    }
}

/// A text as a string of the index's language.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The places of words that follow each other, if these pieces are they.
fn match_words(stretch: &[Piece], words: &[String], beginning: bool) -> Option<Vec<Range<usize>>> {
    let mut places = Vec::with_capacity(words.len());
    for (at, (piece, word)) in stretch.iter().zip(words).enumerate() {
        let last = at + 1 == words.len();
        let given = word.chars().count();
        let same = piece.letters.iter().map(|letter| letter.c).take(given).eq(word.chars());
        if piece.signs || !same || (piece.letters.len() > given && !(last && beginning)) {
            return None;
        }
        let letters: &[Letter] = piece.letters.get(..given).unwrap_or_default();
        places.push(if piece.letters.len() > given { span(letters) } else { piece.place() });
    }
    Some(places)
}
