//! Known answers: every one is met, and none could be changed without somebody noticing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod checks;

use conclave_testkit::vectors;
use conclave_testkit::vectors::flip;

#[test]
fn every_known_answer_is_met() {
    for (file, key, check) in checks::CHECKS {
        if let Err(difference) = check(&vectors::entry(file, key)) {
            panic!("{file}, {key}: {difference}");
        }
    }
}

#[test]
fn a_flipped_byte_is_noticed() {
    let mut unnoticed = Vec::new();
    for (file, key, check) in checks::CHECKS {
        for damaged in flip::each_leaf(&vectors::entry(file, key)) {
            if !checks::may_go_unnoticed(key, &damaged.path) && check(&damaged.value).is_ok() {
                unnoticed.push(format!("{key}: {}", damaged.path));
            }
        }
    }
    assert!(unnoticed.is_empty(), "went unnoticed:\n{}", unnoticed.join("\n"));
}
