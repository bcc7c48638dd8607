//! Cuts a text into what can be looked for. Texts that are stored and texts that are looked for are cut alike.

use std::collections::BTreeSet;
use std::ops::Range;

use super::letters::{self, Class};

/// A longer word is found by its first letters; nobody types more, and addresses and keys fill no index.
pub(super) const MAX_WORD: usize = 64;
/// No letter, so no text has a word like it.
const BARRIER: &str = "¦";

/// A letter after folding, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) c: char,
    /// Bytes of the text.
    pub(super) from: Range<usize>,
}

/// A word, or signs of a script without spaces that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Of signs.
    pub(super) signs: bool,
    /// At least one; of a word at most [`MAX_WORD`].
    pub(super) letters: Vec<Letter>,
    /// There is white space before it, or nothing.
    pub(super) begins: bool,
}

impl Piece {
    /// The letters together.
    pub(super) fn text(&self) -> String {
        self.letters.iter().map(|letter| letter.c).collect()
    }

    /// Where it stands in the text.
    pub(super) fn place(&self) -> Range<usize> {
        span(&self.letters)
    }
}

/// Where letters stand in their text.
pub(super) fn span(letters: &[Letter]) -> Range<usize> {
    match (letters.first(), letters.last()) {
        (Some(first), Some(last)) => first.from.start..last.from.end,
        _ => 0..0,
    }
}

/// The words and signs of a text, in order.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    // Whether the last piece can go on, and whether white space came since.
    let (mut open, mut begins) = (false, true);
    let mut folded = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        let mut end = start + first.len_utf8();
        while let Some((at, c)) = rest.next_if(|(_, c)| letters::continues(*c)) {
            end = at + c.len_utf8();
        }
        folded.clear();
        letters::fold(text.get(start..end).unwrap_or_default(), &mut folded);
        for c in folded.drain(..) {
            let signs = match letters::class(c) {
                Class::Gap => {
                    open = false;
                    begins |= c.is_whitespace();
                    continue;
                }
                Class::Letter => false,
                Class::Sign => true,
            };
            let letter = Letter { c, from: start..end };
            match pieces.last_mut().filter(|last| open && last.signs == signs) {
                Some(last) if signs || last.letters.len() < MAX_WORD => last.letters.push(letter),
                Some(_) => {}
                None => pieces.push(Piece { signs, letters: vec![letter], begins }),
            }
            (open, begins) = (true, false);
        }
    }
    pieces
}

/// What the index is told of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) words: String,
    pub(super) singles: String,
}

impl Terms {
    /// Of several texts, none of whose ends meet.
    pub(super) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut terms = Self::default();
        let mut singles = BTreeSet::new();
        for text in texts {
            let pieces = pieces(text);
            if !pieces.is_empty() && !terms.words.is_empty() {
                add(&mut terms.words, BARRIER);
            }
            for piece in &pieces {
                if piece.signs {
                    for pair in pairs(piece) {
                        add(&mut terms.words, &pair);
                    }
                    // Ends the run: what follows is no neighbour of its last sign.
                    if let Some(last) = piece.letters.last() {
                        add(&mut terms.words, last.c.encode_utf8(&mut [0; 4]));
                    }
                    singles.extend(piece.letters.iter().map(|letter| letter.c));
                } else {
                    add(&mut terms.words, &piece.text());
                }
            }
        }
        for c in singles {
            add(&mut terms.singles, c.encode_utf8(&mut [0; 4]));
        }
        terms
    }
}

/// Two neighbours at a time.
pub(super) fn pairs(piece: &Piece) -> impl Iterator<Item = String> {
    piece.letters.windows(2).map(|two| two.iter().map(|letter| letter.c).collect())
}

fn add(list: &mut String, word: &str) {
    if !list.is_empty() {
        list.push(' ');
    }
    list.push_str(word);
}
