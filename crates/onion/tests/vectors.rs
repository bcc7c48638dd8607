//! Known answers of the network's own programs and of the wire specification.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, unreachable_pub)]

use conclave_testkit::vectors::{self, flip};

mod checks;
use checks::CHECKS;

/// Leaves that say something to people.
const PROSE: &[&str] = &["id", "kind", "note", "origin", "source", "upstream_test", "verified"];

/// Leaves whose change is rightly without effect here, each with its reason.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    // Which of several valid signatures the vector holds.
    ("sogs_onion_end_to_end", "signature_variant"),
];

#[test]
fn every_check_accepts_its_vector() {
    for (file, key, check) in CHECKS {
        assert_eq!(check(&vectors::entry(file, key)), Ok(()), "{file}: {key}");
    }
}

#[test]
fn a_flipped_byte_is_noticed() {
    let mut unnoticed = Vec::new();
    let mut flips = 0;
    for (file, key, check) in CHECKS {
        let value = vectors::entry(file, key);
        assert_eq!(check(&value), Ok(()), "a check that always fails notices nothing");
        for flipped in flip::each_leaf(&value) {
            let leaf = flipped.path.rsplit('/').next().unwrap();
            // "kind" of a routing decision is data, of a vector in the list of another file it is prose.
            let is_data = *key == "onion_inner_dispatch" && leaf == "kind";
            let excused = PROSE.contains(&leaf) || WITHOUT_EFFECT.contains(&(key, &flipped.path));
            flips += 1;
            if check(&flipped.value).is_ok() && (is_data || !excused) {
                unnoticed.push(format!("{file}: {key}/{}", flipped.path));
            }
        }
    }
    assert!(flips > 200, "only {flips} leaves were changed");
    assert!(unnoticed.is_empty(), "{} leaves may say anything:\n{}", unnoticed.len(), unnoticed.join("\n"));
}
