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

/// The indices of many phrases, checksum last.
fn phrases() -> impl Iterator<Item = Vec<usize>> {
    (0u8..30).map(|seed| {
        let digest = crate::hash::blake2b_256(&[&[seed]]);
        let phrase = RecoveryPhrase::from_seed16(digest.first_chunk().unwrap());
        phrase.words().split(' ').map(|word| wordlist::index(word).unwrap()).collect()
    })
}

/// What is suspected of a wrong phrase; whatever it is, it makes the phrase valid.
fn suspected(wrong: &[usize]) -> Option<Suspicion> {
    let suspicion = repair::suspicion(wrong)?;
    let mut mended = wrong.to_vec();
    match suspicion {
        Suspicion::Word { position, fits, .. } => mended[position - 1] = wordlist::index(fits).unwrap(),
        Suspicion::Swapped { first, second } => mended.swap(first - 1, second - 1),
    }
    assert!(RecoveryPhrase::from_indices(&mended).is_some(), "{suspicion:?}");
    Some(suspicion)
}

/// The checksum is weak, so often several explanations fit and none is told. How many of the tried
/// slips were told, and how many of those truly.
fn tally(guesses: impl Iterator<Item = (Suspicion, bool)>) -> (usize, usize) {
    guesses.fold((0, 0), |(told, truly), (_, right)| (told + 1, truly + usize::from(right)))
}

#[test]
fn a_word_taken_for_its_lookalike_is_named_if_nothing_else_explains_it() {
    let slips = phrases().flat_map(|indices| {
        (0..WORD_COUNT).filter_map(move |position| {
            let other = *wordlist::lookalikes(indices[position], 1).first()?;
            let mut wrong = indices.clone();
            wrong[position] = other;
            if RecoveryPhrase::from_indices(&wrong).is_some() {
                return None;
            }
            let suspicion = suspected(&wrong)?;
            let named = matches!(suspicion, Suspicion::Word { position: at, fits, .. }
                if at == position + 1 && wordlist::index(fits) == Some(indices[position]));
            Some((suspicion, named))
        })
    });
    let (told, truly) = tally(slips);
    assert!(truly > 10 && truly * 2 > told, "{truly} of {told}");
}

#[test]
fn words_that_changed_places_are_named_if_nothing_else_explains_it() {
    let slips = phrases().flat_map(|indices| {
        (0..WORD_COUNT - 1).filter_map(move |first| {
            let mut wrong = indices.clone();
            wrong.swap(first, first + 1);
            if RecoveryPhrase::from_indices(&wrong).is_some() {
                return None;
            }
            let suspicion = suspected(&wrong)?;
            let named = matches!(suspicion, Suspicion::Swapped { first: a, second: b }
                if a == first + 1 && b == first + 2);
            Some((suspicion, named))
        })
    });
    let (told, truly) = tally(slips);
    assert!(truly > 10 && truly * 2 > told, "{truly} of {told}");
}

#[test]
fn a_wrong_checksum_is_told_in_words() {
    let wrong = with_word(13, "amaze");
    let error = RecoveryPhrase::parse(&wrong).unwrap_err();
    assert!(matches!(error, PhraseError::Checksum(_)));
    assert!(error.to_string().starts_with("the words do not fit together: "), "{error}");
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
