use super::*;

const PHRASE: &str = "amaze buffet cake entrance symptoms tiger lamb maze nestle python dusted faxed faxed";
const SEED: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn parse(text: &str) -> Result<Vec<u8>, PhraseError> {
    RecoveryPhrase::parse(text).map(|phrase| phrase.seed().to_vec())
}

fn with_word(position: usize, word: &str) -> String {
    let mut words: Vec<&str> = PHRASE.split(' ').collect();
    words[position - 1] = word;
    words.join(" ")
}

#[test]
fn a_phrase_is_read_however_it_was_typed() {
    let numbered: String =
        PHRASE.split(' ').enumerate().map(|(i, word)| format!("{}. {word}\n", i + 1)).collect();
    let glued: String = PHRASE.split(' ').enumerate().map(|(i, word)| format!("{}){word} ", i + 1)).collect();
    for text in [
        PHRASE.to_owned(),
        PHRASE.to_uppercase(),
        format!("  \u{feff}{}\r\n", PHRASE.replace(' ', "\u{a0}\t")),
        PHRASE.replace(' ', ", "),
        format!("“{}.”", PHRASE.replace(' ', "-")),
        PHRASE.replace("buffet", "buf\u{ad}fet\u{200b}"),
        "ama buf cak ent sym tig lam maz nes pyt dus fax fax".to_owned(),
        numbered,
        glued,
    ] {
        assert_eq!(parse(&text), Ok(SEED.to_vec()), "{text:?}");
    }
}

#[test]
fn an_unknown_word_is_named_with_what_it_may_have_been() {
    let error = parse(&with_word(2, "bufet")).map(|_| ());
    assert_eq!(error, Ok(()), "a slip after the third letter changes nothing");
    let Err(PhraseError::UnknownWords(words)) = parse(&with_word(6, "tigger").replace("lamb", "qwrtz"))
    else {
        panic!("{:?}", parse(&with_word(6, "tigger")));
    };
    assert!(words.iter().all(|word| word.position == 7), "tigger still begins like tiger: {words:?}");
    let Err(PhraseError::UnknownWords(words)) = parse(&with_word(6, "tyger")) else { panic!() };
    assert_eq!((words[0].position, words[0].typed.as_str()), (6, "tyger"));
    assert_eq!(words[0].suggestions.first(), Some(&"tiger"));
    assert!(words[0].suggestions.len() <= 3);
    assert!(words[0].to_string().starts_with("word 6 (“tyger”) is not in the word list; did you mean tiger"));
}

#[test]
fn missing_and_surplus_words_are_counted() {
    let words: Vec<&str> = PHRASE.split(' ').collect();
    assert_eq!(parse(" 1. ,"), Err(PhraseError::Empty));
    assert_eq!(parse(&words[..12].join(" ")), Err(PhraseError::MissingLast { found: 12 }));
    assert_eq!(parse(&words[..11].join(" ")), Err(PhraseError::TooFew { found: 11 }));
    assert_eq!(parse(&format!("{PHRASE} abbey")), Err(PhraseError::TooMany { found: 14 }));
    assert_eq!(parse(&"lorem ".repeat(5000)), Err(PhraseError::TooMany { found: 5000 }));
    assert_eq!(
        PhraseError::MissingLast { found: 12 }.to_string(),
        "the last word is missing: 12 of 13 words"
    );
}

#[test]
fn a_wrong_word_that_exists_is_found_if_only_one_fits() {
    // Phrases with one word exchanged for a lookalike. The checksum is weak, so often several
    // explanations fit and none is told; what is told makes the phrase valid, and is mostly true.
    let mut named = 0;
    let mut right = 0;
    for seed in 0u8..120 {
        let phrase = RecoveryPhrase::from_seed16(&[seed.wrapping_mul(37); 16].map(|b| b ^ seed));
        let words = phrase.words();
        let indices: Vec<usize> = words.split(' ').map(|word| wordlist::index(word).unwrap()).collect();
        for (position, index) in indices.iter().enumerate() {
            let Some(other) = wordlist::lookalikes(*index, 1).first().copied() else { continue };
            let mut wrong = indices.clone();
            wrong[position] = other;
            if RecoveryPhrase::from_indices(&wrong).is_some() {
                continue;
            }
            let Some(Suspicion::Word { position: at, fits, .. }) = repair::suspicion(&wrong) else {
                continue;
            };
            wrong[at - 1] = wordlist::index(fits).unwrap();
            assert!(RecoveryPhrase::from_indices(&wrong).is_some());
            named += 1;
            right += usize::from(at == position + 1);
        }
    }
    assert!(named > 0 && right * 2 > named, "{right} of {named}");
}

#[test]
fn swapped_neighbours_are_suspected() {
    let mut words: Vec<&str> = PHRASE.split(' ').collect();
    words.swap(3, 4);
    let error = RecoveryPhrase::parse(&words.join(" ")).unwrap_err();
    let PhraseError::Checksum(suspicion) = &error else { panic!("{error}") };
    if let Some(Suspicion::Swapped { first, second }) = suspicion {
        let mut again = words.clone();
        again.swap(first - 1, second - 1);
        assert!(RecoveryPhrase::parse(&again.join(" ")).is_ok());
    }
    assert!(error.to_string().starts_with("the words do not fit together: "));
}

#[test]
fn the_seed_in_hex_is_read_on_scan_only() {
    let phrase = RecoveryPhrase::from_seed16(&SEED);
    let hex = phrase.to_hex();
    assert_eq!(RecoveryPhrase::scan(&format!(" {}\n", hex.to_uppercase())).unwrap().seed(), SEED);
    assert_eq!(RecoveryPhrase::scan(PHRASE).unwrap().seed(), SEED);
    assert_eq!(RecoveryPhrase::scan(&"ab".repeat(32)).unwrap().seed(), [0xab; 32]);
    assert!(RecoveryPhrase::parse(&hex).is_err());
}

#[test]
fn a_long_seed_has_a_long_phrase() {
    let phrase = RecoveryPhrase::from_seed32(&[9; 32]);
    assert_eq!(phrase.words().split(' ').count(), LONG_WORD_COUNT);
    let read = RecoveryPhrase::parse(&phrase.words()).unwrap();
    assert_eq!(*read.ed25519_seed(), [9; 32]);
    let text = phrase.words();
    let words: Vec<&str> = text.split(' ').collect();
    assert_eq!(parse(&words[..24].join(" ")), Err(PhraseError::MissingLast { found: 24 }));
}

#[test]
fn debug_output_holds_no_word() {
    let phrase = RecoveryPhrase::from_seed16(&SEED);
    assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(hidden)");
    let error = parse(&with_word(6, "tyger")).unwrap_err();
    assert!(!format!("{error:?}").contains("ger"), "{error:?}");
    let mut wiped = phrase;
    wiped.zeroize();
    assert_eq!(wiped.seed(), [0; 16]);
}
