//! Known answers: every one is met, and none could be changed without somebody noticing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub
)]

mod checks;
#[path = "../../testkit/src/vectors/flip.rs"]
mod flip;

use std::collections::BTreeMap;

use checks::CHECKS;
use serde_json::Value;

fn file(name: &str) -> Value {
    let path = format!("{}/../../vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The value under a key; below `upstream` and `generated`, cases have names.
fn entry<'a>(file: &'a Value, key: &str) -> &'a Value {
    match key.split_once('/') {
        Some((list, id)) => {
            file[list].as_array().unwrap().iter().find(|case| case["id"] == id).expect("the case exists")
        }
        None => &file[key],
    }
}

fn files() -> BTreeMap<&'static str, Value> {
    CHECKS.iter().map(|(name, ..)| (*name, file(name))).collect()
}

#[test]
fn every_known_answer_is_met() {
    let files = files();
    for (name, key, check) in CHECKS {
        assert_eq!(check(entry(&files[name], key)), Ok(()), "{name}: {key}");
    }
}

#[test]
fn no_key_is_checked_twice() {
    let mut keys: Vec<_> = CHECKS.iter().map(|(file, key, _)| (file, key)).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), CHECKS.len());
}

#[test]
fn a_flipped_byte_is_noticed() {
    let files = files();
    let mut unnoticed = Vec::new();
    let mut flipped = 0;
    for (name, key, check) in CHECKS {
        for damaged in flip::each_leaf(entry(&files[name], key)) {
            flipped += 1;
            if check(&damaged.value).is_ok() && !checks::may_go_unnoticed(name, key, &damaged.path) {
                unnoticed.push(format!("{name}: {key}: {}", damaged.path));
            }
        }
    }
    assert!(
        unnoticed.is_empty(),
        "{} of {flipped} went unnoticed:\n{}",
        unnoticed.len(),
        unnoticed.join("\n")
    );
}
