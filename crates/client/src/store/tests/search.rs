//! What is found, in which order, and that what is deleted is found nowhere.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::said::{Details, File, LinkPreview};

fn query(text: &str) -> SearchQuery {
    SearchQuery { text: text.to_owned(), limit: 50, ..SearchQuery::default() }
}

fn found(store: &ClientStore, query: &SearchQuery) -> Vec<String> {
    store.search(query).unwrap().hits.into_iter().map(|hit| hit.message.text).collect()
}

fn finds(store: &ClientStore, text: &str) -> Vec<String> {
    found(store, &query(text))
}

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn hear_at(store: &ClientStore, from: u8, text: &str, seconds: u64) -> MessageId {
    let hash = format!("{from} {seconds} {text}");
    let item = item(&hash, from, text, at(seconds));
    store.insert_received(&batch(vec![item]), at(1_000_000)).unwrap().shown[0].id.clone()
}

fn with_details(store: &ClientStore, text: &str, seconds: u64, details: Details) {
    let post = Post { text: text.to_owned(), details, ..Post::default() };
    let item = item_of(&format!("details {seconds}"), heard(2, Said::Post(post), at(seconds)));
    store.insert_received(&batch(vec![item]), at(1_000_000)).unwrap();
}

#[test]
fn words_are_found_newest_first_whenever_they_came() {
    let store = store();
    hear_at(&store, 2, "the third apple", 3);
    hear_at(&store, 2, "the first apple", 1);
    hear_at(&store, 3, "no fruit", 4);
    hear_at(&store, 3, "the second Äpple", 2);
    assert_eq!(finds(&store, "apple"), ["the third apple", "the second Äpple", "the first apple"]);
    assert_eq!(finds(&store, "apple first"), ["the first apple"]);
    assert_eq!(finds(&store, "fir"), ["the first apple"], "the last word may be a beginning");
    assert_eq!(finds(&store, "fir apple"), [""; 0], "others may not");
    assert_eq!(finds(&store, "pear"), [""; 0]);
    assert_eq!(finds(&store, "?!"), [""; 0]);
}

#[test]
fn scripts_without_spaces_are_found_by_any_part() {
    let store = store();
    hear_at(&store, 2, "私は東京都に住んでいます", 1);
    hear_at(&store, 2, "ฉันกินข้าว", 2);
    hear_at(&store, 2, "한국어를 배워요", 3);
    for (part, n) in
        [("京", 1), ("東京", 1), ("住んでい", 1), ("京東", 0), ("กิน", 1), ("ข้าว", 1), ("국어", 1)]
    {
        assert_eq!(finds(&store, part).len(), n, "{part}");
    }
}

#[test]
fn what_is_typed_is_never_syntax() {
    let store = store();
    hear_at(&store, 2, "words and OR not NEAR about", 1);
    let here = [
        "words\"",
        "words NOT and",
        "words -and",
        "^words",
        "words*",
        "(words",
        "\"words",
        "' words --",
        "{words}",
        "words + and",
        "not:near",
        "near/about",
        "WORDS or NOT",
        "words AND",
    ];
    for text in here {
        assert_eq!(finds(&store, text).len(), 1, "{text}");
    }
    let not_here = [
        "\"",
        "words OR pear",
        "NEAR(words and)",
        "about:in",
        "w* OR",
        "' --",
        "in",
        "out",
        "ktext",
        "\0",
        "¦",
    ];
    for text in not_here {
        assert_eq!(finds(&store, text).len(), 0, "{text}");
    }
}

#[test]
fn a_search_is_narrowed_by_chat_sender_direction_time_and_kind() {
    let store = store();
    let mine = send(&store, 2, "apple from me", at(10)).text;
    hear_at(&store, 2, "apple from two", 20);
    hear_at(&store, 3, "apple from three https://a.example", 30);
    let file = |name: &str, kind: &str, voice| File {
        name: Some(name.to_owned()),
        content_type: Some(kind.to_owned()),
        voice,
        ..File::default()
    };
    with_details(
        &store,
        "",
        40,
        Details { files: vec![file("Apple pie.png", "image/png", false)], ..Details::default() },
    );
    with_details(
        &store,
        "listen",
        50,
        Details { files: vec![file("v", "audio/aac", true)], ..Details::default() },
    );
    let preview = LinkPreview { url: "x".to_owned(), title: Some("Apples".to_owned()) };
    with_details(&store, "x", 60, Details { preview: Some(preview), ..Details::default() });

    let apple = query("apple");
    assert_eq!(found(&store, &apple).len(), 5);
    let narrowed = |query: SearchQuery| found(&store, &query);
    let two = Some(person(2));
    assert_eq!(narrowed(SearchQuery { chat: two, ..apple.clone() }), ["x", "", "apple from two", &mine]);
    assert_eq!(narrowed(SearchQuery { author: two, ..apple.clone() }), ["x", "", "apple from two"]);
    assert_eq!(narrowed(SearchQuery { outgoing: Some(true), ..apple.clone() }), [mine.as_str()]);
    assert_eq!(narrowed(SearchQuery { outgoing: Some(false), ..apple.clone() }).len(), 4);
    let dates = SearchQuery { from: Some(at(20)), to: Some(at(30)), ..apple.clone() };
    assert_eq!(narrowed(dates), ["apple from three https://a.example", "apple from two"]);
    let kinds = |text: &str, kind| narrowed(SearchQuery { kind: Some(kind), ..query(text) });
    assert_eq!(kinds("apple", SearchKind::Link), ["x", "apple from three https://a.example"]);
    assert_eq!(kinds("", SearchKind::Link), ["x", "apple from three https://a.example"]);
    assert_eq!(kinds("", SearchKind::Picture), [""]);
    assert_eq!(kinds("", SearchKind::Voice), ["listen"]);
    assert_eq!(kinds("", SearchKind::File), [""]);
    assert_eq!(kinds("", SearchKind::Video), [""; 0]);
    assert_eq!(kinds("apple", SearchKind::Text).len(), 4);
    assert!(matches!(store.search(&query(" ")), Err(StoreError::NotAllowed(_))));
}

#[test]
fn pages_miss_nothing_and_repeat_nothing() {
    let store = store();
    // More in one millisecond than there are numbers for it.
    let items = (0..700u32).map(|n| {
        let mut item = item(&format!("h{n}"), 2, &format!("apple {n}"), at(5));
        // Only ids tell them apart, as in a group.
        heard_in(&mut item).sent_at = Timestamp(at(5).0 + u64::from(n) / 300);
        heard_in(&mut item).author = *Account::from_phrase(&RecoveryPhrase::from_seed16(&[
            7,
            (n % 300 / 16) as u8,
            (n % 16) as u8,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            1,
        ]))
        .id();
        item
    });
    receive(&store, items.collect());
    let mut all = Vec::new();
    let mut next = None;
    loop {
        let page = store.search(&SearchQuery { after: next, limit: 37, ..query("apple") }).unwrap();
        all.extend(page.hits.into_iter().map(|hit| hit.message));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 700);
    let ids: std::collections::BTreeSet<_> = all.iter().map(|row| row.id.clone()).collect();
    assert_eq!(ids.len(), 700);
    assert!(all.windows(2).all(|two| two[0].sent_at >= two[1].sent_at), "newest first");
}

#[test]
fn an_edit_is_found_by_its_new_words_only() {
    let store = store();
    let sent = send(&store, 2, "meet on Monday", NOW);
    store.edit(&sent.id, "meet on Tuesday", LATER).unwrap();
    assert_eq!(finds(&store, "monday"), [""; 0]);
    assert_eq!(finds(&store, "tuesday"), ["meet on Tuesday"]);
}

#[test]
fn what_is_deleted_is_not_found_however_it_goes() {
    let store = store();
    let here = send(&store, 2, "apple deleted here", at(1));
    let everywhere = send(&store, 2, "apple deleted everywhere", at(2));
    let theirs = hear_at(&store, 2, "apple unsent", 3);
    hear_at(&store, 3, "apple in a chat that goes", 4);
    store.delete(&here.id, Deletion::ThisDevice, LATER).unwrap();
    store.delete(&everywhere.id, Deletion::Everywhere, LATER).unwrap();
    let unsend = Said::Unsend { author: person(2), sent_at: at(3), without_trace: false };
    receive(&store, vec![item_of("unsend", heard(2, unsend, at(9)))]);
    assert_eq!(store.message(&theirs).unwrap().unwrap().kind, RowKind::Deleted);
    assert_eq!(finds(&store, "apple"), ["apple in a chat that goes"]);
    store.remove_contact(&person(3), LATER).unwrap();
    assert_eq!(finds(&store, "apple"), [""; 0]);
    store.check().unwrap();
}

#[test]
fn texts_of_any_length_and_number_are_taken_or_refused_politely() {
    let store = store();
    let long = "a".repeat(MAX_SEARCH_BYTES + 1);
    assert!(matches!(store.search(&query(&long)), Err(StoreError::TooLarge { .. })));
    assert!(matches!(
        store.search(&query(&"a ".repeat(MAX_SEARCH_WORDS + 1))),
        Err(StoreError::TooLarge { .. })
    ));
    let most = "ab.".repeat(MAX_SEARCH_WORDS);
    hear_at(&store, 2, &most, 1);
    assert_eq!(finds(&store, &most).len(), 1);
}

#[test]
fn messages_from_before_the_index_are_taken_in_piece_by_piece() {
    let store = store();
    for n in 0..600 {
        hear_at(&store, 2, &format!("apple {n}"), n);
    }
    let doomed = hear_at(&store, 2, "apple to go", 700);
    // As if the words had been cut by other rules.
    store.connection().execute("UPDATE search_state SET rules = 'others'", []).unwrap();
    super::super::search::prepare(&mut store.connection()).unwrap();
    hear_at(&store, 2, "apple, a new one", 800);
    store.delete(&doomed, Deletion::ThisDevice, LATER).unwrap();
    let page = store.search(&query("apple")).unwrap();
    assert!(page.incomplete);
    assert_eq!(page.hits.len(), 1);
    assert!(store.index_backlog().unwrap());
    assert_eq!(finds(&store, "apple")[..2], ["apple, a new one", "apple 599"], "the newest first");
    let gone = store.search(&query("apple 599")).unwrap().hits[0].message.id.clone();
    store.delete(&gone, Deletion::ThisDevice, LATER).unwrap();
    while store.index_backlog().unwrap() {}
    let page = store.search(&SearchQuery { limit: 1_000, ..query("apple") }).unwrap();
    assert_eq!((page.hits.len(), page.incomplete), (600, false));
    assert!(!store.index_backlog().unwrap());
    store.check().unwrap();
}

#[test]
fn of_what_is_deleted_no_word_stays_in_the_index() {
    let store = store();
    let mut letters = conclave_testkit::rng(7);
    let mut random = |n: usize| -> String {
        (0..n)
            .map(|_| char::from(b'a' + (conclave_crypto::RngCore::next_u32(&mut letters) % 26) as u8))
            .collect()
    };
    // With stems in common, so that what tells one page from the next is long.
    let stems: Vec<String> = (0..40).map(|_| random(8)).collect();
    let mut messages = Vec::new();
    for n in 0..400u64 {
        let words: Vec<String> =
            (0..8).map(|k| format!("{}{}", stems[(n as usize + k * 5) % 40], random(10))).collect();
        let id = hear_at(&store, 2, &words.join(" "), n);
        messages.push((id, words));
    }
    store.connection().execute("INSERT INTO search (search) VALUES ('optimize')", []).unwrap();
    let pages = |store: &ClientStore| -> i64 {
        store.connection().query_row("SELECT count(*) FROM search_idx", [], |row| row.get(0)).unwrap()
    };
    assert!(pages(&store) > 10, "the index has many pages");
    let mut left = Vec::new();
    let mut gone = Vec::new();
    for (n, (id, words)) in messages.into_iter().enumerate() {
        if n % 10 == 3 {
            left.extend(words);
        } else {
            store.delete(&id, Deletion::ThisDevice, LATER).unwrap();
            gone.extend(words);
        }
    }
    let (blocks, between): (Vec<Vec<u8>>, Vec<Vec<u8>>) = {
        let connection = store.connection();
        let all = |sql: &str| -> Vec<Vec<u8>> {
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        (all("SELECT block FROM search_data"), all("SELECT cast(term AS BLOB) FROM search_idx"))
    };
    let ends: std::collections::BTreeSet<&[u8]> = gone.iter().map(|word| &word.as_bytes()[8..]).collect();
    for block in &blocks {
        assert!(block.windows(10).all(|window| !ends.contains(window)), "a word in a page");
    }
    for term in between.iter().filter(|term| term.first() == Some(&b'0')) {
        let known = left.iter().any(|word| word.as_bytes().starts_with(&term[1..]));
        assert!(known || term.len() < 6, "between pages: {}", String::from_utf8_lossy(term));
    }
    for word in &left {
        assert_eq!(finds(&store, word).len(), 1, "{word}");
    }
    for word in &gone {
        assert_eq!(finds(&store, word), [""; 0], "{word}");
    }
    store.check().unwrap();
    hear_at(&store, 2, "and it goes on", 1_000);
    store.connection().execute("INSERT INTO search (search) VALUES ('optimize')", []).unwrap();
    store.check().unwrap();
    assert!(left.iter().all(|word| finds(&store, word).len() == 1));
}

/// The plain way: each part of the question somewhere in the text, letter by letter.
fn naive(question: &str, text: &str) -> bool {
    let simple = |text: &str| text.to_lowercase().replace('ä', "a");
    let (question, text) = (simple(question), simple(text));
    let is_sign = |c: char| "東京都한".contains(c);
    let is_letter = |c: char| "abc".contains(c);
    let words: Vec<&str> = text.split(|c| !is_letter(c)).filter(|it| !it.is_empty()).collect();
    let asked: Vec<&str> = question.split(|c| !is_letter(c)).filter(|it| !it.is_empty()).collect();
    let runs = question.split(|c| !is_sign(c)).filter(|it| !it.is_empty());
    let ends_in_word = question.trim_end_matches(|c: char| !is_letter(c) && !is_sign(c)).ends_with(is_letter);
    let last = asked.len().saturating_sub(1);
    runs.into_iter().all(|run| text.contains(run))
        && asked.iter().enumerate().all(|(n, word)| {
            let beginning = ends_in_word && n == last && word.len() > 1;
            words.iter().any(|it| it == word || (beginning && it.starts_with(word)))
        })
}

#[derive(Clone, Debug)]
enum Step {
    Hear(String, u16),
    Edit(usize, String),
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let text = "[aabbcÄ 東京都한]{1,10}";
    prop_oneof![
        6 => (text, any::<u16>()).prop_map(|(text, at)| Step::Hear(text, at)),
        1 => (any::<usize>(), text).prop_map(|(n, text)| Step::Edit(n, text)),
        2 => any::<usize>().prop_map(Step::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_index_finds_what_reading_every_text_finds(
        steps in prop::collection::vec(step(), 1..60),
        questions in prop::collection::vec("[abcÄ 東京都한]{1,5}", 1..20),
    ) {
        let store = store();
        let mut here: std::collections::BTreeMap<u16, (MessageId, String)> = Default::default();
        for step in steps {
            match step {
                Step::Hear(text, at) if !text.trim().is_empty() && !here.contains_key(&at) => {
                    let id = send(&store, 2, &text, Timestamp(NOW.0 + u64::from(at))).id;
                    here.insert(at, (id, text));
                }
                Step::Edit(n, text) if !here.is_empty() && !text.trim().is_empty() => {
                    let nth = n % here.len();
                    let (id, kept) = here.values_mut().nth(nth).unwrap();
                    store.edit(id, &text, LATER.plus(Duration::from_secs(60))).unwrap();
                    *kept = text;
                }
                Step::Delete(n) if !here.is_empty() => {
                    let at = *here.keys().nth(n % here.len()).unwrap();
                    let (id, _) = here.remove(&at).unwrap();
                    store.delete(&id, Deletion::ThisDevice, LATER).unwrap();
                }
                _ => {}
            }
        }
        for question in questions.iter().filter(|it| !it.trim().is_empty()) {
            let mut expected: Vec<&String> =
                here.values().map(|(_, text)| text).filter(|text| naive(question, text)).collect();
            expected.sort();
            let page = store.search(&SearchQuery { limit: 1_000, ..query(question) }).unwrap();
            prop_assert!(page.hits.iter().all(|hit| !hit.ranges.is_empty()));
            prop_assert!(page.hits.windows(2).all(|two| two[0].message.sent_at > two[1].message.sent_at));
            let mut texts: Vec<&String> = page.hits.iter().map(|hit| &hit.message.text).collect();
            texts.sort();
            prop_assert_eq!(texts, expected, "{}", question);
        }
        store.check().unwrap();
    }
}
