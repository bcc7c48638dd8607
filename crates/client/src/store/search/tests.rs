//! How texts are cut and what is marked in them.

use proptest::prelude::*;

use super::question::{MIN_BEGINNING, Question};
use super::words::{MAX_WORD, Piece, Terms, pieces};

fn cut(text: &str) -> Vec<String> {
    pieces(text).iter().map(Piece::text).collect()
}

fn marked<'a>(question: &str, text: &'a str) -> Vec<&'a str> {
    Question::new(question).places(text).into_iter().map(|place| &text[place]).collect()
}

#[test]
fn case_accents_and_spellings_of_a_letter_make_no_difference() {
    for (one, other) in [
        ("Über", "uber"),
        ("ＡＢＣ１", "abc1"),
        ("e\u{301}te\u{301}", "été"),
        ("Straße", "STRASSE"),
        ("ΟΔΟΣ", "οδός"),
        ("ISPARTA", "ısparta"),
        ("ёлка", "ЕЛКА"),
        ("مُحَمَّد", "محمد"),
        ("أحمد", "احمد"),
        ("שָׁלוֹם", "שלום"),
        ("がっこう", "か\u{3099}っこう"),
        ("ﾊﾝｶｸ", "ハンカク"),
        ("\u{1112}\u{1161}\u{11ab}국", "한국"),
        ("co\u{ad}operate", "cooperate"),
        ("👍\u{1f3fd}", "👍\u{fe0f}\u{1f3fd}"),
    ] {
        assert_eq!(cut(one), cut(other), "{one} {other}");
    }
    assert_ne!(cut("か"), cut("が"), "another letter, not an accent");
    assert_ne!(cut("क"), cut("कि"), "a vowel, not an accent");
}

#[test]
fn words_and_signs_are_cut_apart() {
    assert_eq!(cut("don't, please!"), ["don", "t", "please"]);
    assert_eq!(cut("iPhone的壳 2号"), ["iphone", "的壳", "2", "号"]);
    assert_eq!(cut("हिन्दी में"), ["हिन्दी", "में"]);
    assert_eq!(cut(" \0 … \u{301}"), [""; 0]);
    assert_eq!(cut(&"x".repeat(100)), ["x".repeat(MAX_WORD)]);
    let terms = Terms::of(["ab 東京都", "", "c"]);
    assert_eq!((terms.words.as_str(), terms.singles.as_str()), ("ab 東京 京都 都 ¦ c", "京 東 都"));
}

#[test]
fn what_was_found_is_marked_where_it_stands() {
    assert_eq!(marked("uber", "Über, über und drüber"), ["Über", "über"]);
    assert_eq!(marked("hel", "Hello help held shell"), ["Hel", "hel", "hel"]);
    assert_eq!(marked("hello h", "hello h hi"), ["hello", "h"], "one letter begins too much");
    assert_eq!(marked("京", "東京と京都"), ["京", "京"]);
    assert_eq!(marked("東京都", "東京、京都。東京都"), ["東京都"]);
    assert_eq!(marked("a@b.org", "write to A@B.org or a b"), ["A", "B", "org"]);
    assert_eq!(marked("ก", "กิน"), ["กิ"], "a letter with its vowel");
    assert_eq!(marked("🇩🇪", "🇩🇪!"), ["🇩🇪"]);
    assert_eq!(marked("", "anything"), [""; 0]);
}

/// Letters of many scripts, close together, so that they meet.
pub(in super::super) const ALPHABET: &str =
    "[ab cÄäßı'.\n的是東京かがบกเ\u{e34}한글ёе\u{301}\u{200d}👍\u{1f3fd}_9कि]{0,14}";

proptest! {
    #[test]
    fn any_text_is_cut_and_marked_within_its_letters(text in ".{0,40}", question in ".{0,12}") {
        let letters = pieces(&text).into_iter().flat_map(|piece| piece.letters);
        let mut last = 0;
        for letter in letters {
            prop_assert!(text.get(letter.from.clone()).is_some_and(|it| !it.is_empty()));
            prop_assert!(letter.from.start >= last || letter.from.end > last);
            last = letter.from.start;
        }
        let mut end = 0;
        for place in Question::new(&question).places(&text) {
            prop_assert!(place.start >= end && text.get(place.clone()).is_some_and(|it| !it.is_empty()));
            end = place.end;
        }
    }

    #[test]
    fn every_stretch_of_signs_finds_its_text(text in "[東京都かがบกเ한글👍]{1,12}", from in 0usize..12, n in 1usize..12) {
        let stretch: String = text.chars().skip(from).take(n).collect();
        prop_assert_eq!(Question::new(&stretch).places(&text).is_empty(), stretch.is_empty());
    }

    #[test]
    fn a_text_finds_itself_and_beginnings_of_its_last_word(text in ALPHABET, cut in 0usize..6) {
        let letters: Vec<char> = text.chars().collect();
        let whole = Question::new(&text);
        prop_assert_eq!(whole.places(&text).is_empty(), pieces(&text).is_empty());
        let last_is_word = letters.iter().rev().take(cut + MIN_BEGINNING).all(|c| "abc".contains(*c));
        if last_is_word && letters.len() >= cut + MIN_BEGINNING {
            let shorter: String = letters[..letters.len() - cut].iter().collect();
            prop_assert!(!Question::new(&shorter).places(&text).is_empty());
        }
    }
}
