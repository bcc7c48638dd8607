//! Words that no message has any more, out of the upper levels of the index.
//!
//! FTS5 in its secure mode takes a word off the pages that list words. But where such a page begins, its tree keeps what
//! tells the page's first word from the word before it: that may be the whole word, and stays when the word goes. Any text
//! between the neighbours does as well, so we put one there that is made of a word that still exists.
//!
//! (The indexes of beginnings are not looked after: what stays of them are two or three letters.)

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, Transaction};

use super::super::error::Failure;

/// Words of the index itself, as opposed to the beginnings of words, carry this in front.
const MAIN: u8 = b'0';
/// The first byte of what sorts after all words.
const AFTER_MAIN: u8 = b'1';

/// Looks after words that a message had that is gone. Those that others have are left alone.
pub(in super::super) fn scrub(tx: &Transaction<'_>, words: &BTreeSet<String>) -> Result<(), Failure> {
    if words.iter().all(String::is_empty) {
        return Ok(());
    }
    // Opening the list of words makes FTS5 write what it holds back.
    let _ = first_word_from(tx, "")?;
    let segments: Vec<i64> = tx
        .prepare_cached(
            "WITH RECURSIVE segment (id) AS (
                 SELECT min(segid) FROM search_idx
                 UNION ALL
                 SELECT (SELECT min(segid) FROM search_idx WHERE segid > segment.id) FROM segment
                 WHERE segment.id IS NOT NULL)
             SELECT id FROM segment WHERE id IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for word in words.iter().filter(|word| !word.is_empty()) {
        let key = [&[MAIN], word.as_bytes()].concat();
        for segment in &segments {
            let page: Option<Vec<u8>> = tx
                .prepare_cached(
                    "SELECT term FROM search_idx WHERE segid = ?1 AND term <= ?2 ORDER BY term DESC LIMIT 1",
                )?
                .query_row((segment, &key), |row| row.get(0))
                .optional()?;
            let Some(page) = page.filter(|page| page.len() > 1 && key.starts_with(page)) else { continue };
            if let Some(other) = another_beginning(tx, &page)? {
                // The constraint holds as long as FTS5 keeps its pages as it does; a deletion is not to fail if not.
                tx.prepare_cached(
                    "UPDATE OR IGNORE search_idx SET term = ?3 WHERE segid = ?1 AND term = ?2",
                )?
                .execute((segment, &page, other))?;
            }
        }
    }
    Ok(())
}

/// What can stand in the tree instead of `page`; `None` if that is the beginning of a word that exists.
///
/// Every word on the page is at least the first existing word that sorts after `page`, so what lies between the two
/// separates the page from the one before as well.
fn another_beginning(tx: &Transaction<'_>, page: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let beginning = page.get(1..).unwrap_or_default();
    // FTS5 cuts between bytes, not letters; letters that are whole suffice for looking.
    let whole = String::from_utf8_lossy(beginning);
    let whole = whole.trim_end_matches('\u{fffd}');
    let Some(mut next) = first_word_from(tx, whole)? else { return Ok(Some(vec![AFTER_MAIN])) };
    while next.as_bytes() < beginning {
        // Only where a letter was cut: some words with other last bytes in between.
        match first_word_from(tx, &format!("{next}\0"))? {
            Some(word) => next = word,
            None => return Ok(Some(vec![AFTER_MAIN])),
        }
    }
    if next.as_bytes().starts_with(beginning) {
        return Ok(None);
    }
    let same = next.bytes().zip(beginning).take_while(|(a, b)| a == *b).count();
    let other = next.as_bytes().get(..=same).unwrap_or_default();
    Ok(Some([&[MAIN], other].concat()))
}

/// The first word of the index that is `from` or sorts after it.
fn first_word_from(tx: &Transaction<'_>, from: &str) -> Result<Option<String>, Failure> {
    Ok(tx
        .prepare_cached("SELECT term FROM search_word WHERE term >= ?1 LIMIT 1")?
        .query_row([from], |row| row.get(0))
        .optional()?)
}
