//! Which letters are the same for whoever searches, and which stand for themselves.
//!
//! Case, accents and ways of writing one letter make no difference: `Über`, `uber` and `ＵＢＥＲ` are one word. In scripts
//! that are written without spaces every letter can begin a word, so each is a sign of its own; the same goes for emoji.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// What a letter is for the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Part of a word.
    Letter,
    /// A sign that can be looked for by itself.
    Sign,
    /// Between words.
    Gap,
}

pub(super) fn class(c: char) -> Class {
    if is_sign(c) {
        Class::Sign
    } else if c.is_alphanumeric() || is_combining_mark(c) {
        Class::Letter
    } else {
        Class::Gap
    }
}

/// Belongs to what stands before it: accents, joiners, the later parts of a Korean syllable.
pub(super) fn continues(c: char) -> bool {
    is_invisible(c) || is_combining_mark(c) || matches!(c, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}')
}

/// Appends what a letter and its continuations come to.
pub(super) fn fold(cluster: &str, into: &mut Vec<char>) {
    if let [byte] = cluster.as_bytes() {
        into.push(char::from(byte.to_ascii_lowercase()));
        return;
    }
    let bare = cluster.nfkd().flat_map(char::to_lowercase).filter(|c| !is_accent(*c) && !is_invisible(*c));
    for c in bare.nfc() {
        match c {
            'ß' => into.extend(['s', 's']),
            'æ' => into.extend(['a', 'e']),
            'œ' => into.extend(['o', 'e']),
            'ı' => into.push('i'),
            'ø' => into.push('o'),
            'ł' => into.push('l'),
            'đ' => into.push('d'),
            'ς' => into.push('σ'),
            'ى' | 'ی' => into.push('ي'),
            'ة' => into.push('ه'),
            'ک' => into.push('ك'),
            // Only stretches a word.
            'ـ' => {}
            other => into.push(other),
        }
    }
}

/// By which rules texts are cut: our own, and those of the tables that come with compiler and library.
pub(super) fn rules() -> String {
    let (std, library) = (char::UNICODE_VERSION, unicode_normalization::UNICODE_VERSION);
    format!("1 {}.{}.{} {}.{}.{}", std.0, std.1, std.2, library.0, library.1, library.2)
}

/// Marks that are left out where people leave them out: of Latin, Greek, Cyrillic, Hebrew and Arabic letters. In Indic
/// scripts and in Thai such marks are vowels, in Japanese they make another letter.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036f}' | '\u{0591}'..='\u{05bd}' | '\u{05bf}' | '\u{05c1}' | '\u{05c2}' | '\u{05c4}'
        | '\u{05c5}' | '\u{05c7}' | '\u{0610}'..='\u{061a}' | '\u{064b}'..='\u{065f}' | '\u{0670}'
        | '\u{06d6}'..='\u{06dc}' | '\u{06df}'..='\u{06e4}' | '\u{06e7}' | '\u{06e8}' | '\u{06ea}'..='\u{06ed}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Joiners, soft hyphens, marks of direction and of presentation.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{180b}'..='\u{180e}' | '\u{200c}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{e0000}'..='\u{e01ef}')
}

fn is_sign(c: char) -> bool {
    matches!(c,
        // Thai and Lao, Tibetan, Burmese, Khmer, Tai and other scripts of the region.
        '\u{0e01}'..='\u{0eff}' | '\u{0f00}' | '\u{0f18}'..='\u{0fbc}' | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17dd}' | '\u{1950}'..='\u{19df}' | '\u{1a20}'..='\u{1a9f}' | '\u{1b00}'..='\u{1b4c}'
        | '\u{a980}'..='\u{a9c0}' | '\u{a9e0}'..='\u{a9ef}' | '\u{aa60}'..='\u{aadf}'
        // Korean is written with spaces, but words in it run together and take endings.
        | '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7fb}'
        // Chinese and Japanese, Bopomofo, Yi, Tangut and the like.
        | '\u{2e80}'..='\u{2fd5}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{3035}'
        | '\u{303b}' | '\u{3041}'..='\u{309a}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{318e}' | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{a000}'..='\u{a48c}' | '\u{f900}'..='\u{faff}' | '\u{16fe0}'..='\u{18dff}'
        | '\u{1aff0}'..='\u{1b2ff}' | '\u{20000}'..='\u{3ffff}'
        // Emoji and pictures.
        | '\u{203c}' | '\u{2049}' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{25a0}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}
