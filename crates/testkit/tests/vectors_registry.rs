//! Every known answer of the repository is checked by somebody, or waits for a named part of the work.
//!
//! The checks themselves live in the crates they check, in `tests/checks`, and are compiled in here, so that the
//! registry is held against functions that exist and not against words. A crate that starts to have checks gets its
//! module here and its place in [`checks`]. That each check notices every changed leaf of its vector is shown by the
//! crate's own `tests/vectors.rs`, which knows the leaves that are rightly without effect.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use std::collections::{BTreeMap, BTreeSet};

use conclave_testkit::vectors::{self, Check, FILES, REGISTRY, Tested};

#[path = "../../confsync/tests/checks/mod.rs"]
mod confsync;
#[path = "../../crypto/tests/checks/mod.rs"]
mod crypto;
#[path = "../../onion/tests/checks/mod.rs"]
mod onion;
#[path = "../../proto/tests/checks/mod.rs"]
mod proto;

/// Crate, file, key, check.
type Row = (&'static str, &'static str, &'static str, Check);

/// The checks that exist.
fn checks() -> Vec<Row> {
    let of = |name, checks: &'static [(&'static str, &'static str, Check)]| {
        checks.iter().map(move |(file, key, check)| (name, file.trim_end_matches(".json"), *key, *check))
    };
    of("crypto", crypto::CHECKS)
        .chain(of("proto", proto::CHECKS))
        .chain(of("onion", onion::CHECKS))
        .chain(of("confsync", confsync::CHECKS))
        .collect()
}

/// Files with checks that [`checks`] includes, as `crate/tests/checks/…`.
const INCLUDED: &[&str] = &[
    "confsync/tests/checks/documents.rs",
    "confsync/tests/checks/messages.rs",
    "confsync/tests/checks/read.rs",
    "crypto/tests/checks/accounts.rs",
    "crypto/tests/checks/attachments.rs",
    "crypto/tests/checks/blinded.rs",
    "crypto/tests/checks/channels.rs",
    "crypto/tests/checks/configs.rs",
    "crypto/tests/checks/groups.rs",
    "crypto/tests/checks/hashes.rs",
    "crypto/tests/checks/messages.rs",
    "crypto/tests/checks/read.rs",
    "crypto/tests/checks/session_js.rs",
    "onion/tests/checks/full.rs",
    "onion/tests/checks/layers.rs",
    "onion/tests/checks/read.rs",
    "onion/tests/checks/v4.rs",
    "proto/tests/checks/community.rs",
    "proto/tests/checks/forms.rs",
    "proto/tests/checks/kinds.rs",
    "proto/tests/checks/membership.rs",
    "proto/tests/checks/messages.rs",
    "proto/tests/checks/rpc.rs",
    "proto/tests/checks/sessionjs.rs",
    "proto/tests/checks/signing.rs",
    "proto/tests/checks/util.rs",
];

/// What the registry can promise for later (the parts of the work, by number or by name).
const LATER: &[&str] = &["part 2", "part 3", "part 4", "part 5", "groups", "communities"];

fn registry() -> BTreeMap<(&'static str, &'static str), Tested> {
    let mut registry = BTreeMap::new();
    for (file, tested, keys) in REGISTRY {
        for key in *keys {
            assert_eq!(registry.insert((*file, *key), *tested), None, "{file}: {key} stands twice");
        }
    }
    registry
}

/// What is wrong with a registry, held against the files and the checks.
fn complaints(
    registry: &BTreeMap<(&str, &str), Tested>,
    keys: &BTreeSet<(String, String)>,
    checks: &BTreeSet<(&str, &str, &str)>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (file, key) in keys {
        match registry.get(&(file.as_str(), key.as_str())) {
            None => found.push(format!("{file}: {key} is in nobody's care")),
            Some(Tested::By(name)) if !checks.contains(&(*name, file.as_str(), key.as_str())) => {
                found
                    .push(format!("{file}: {key} is said to be tested by {name}, which has no check for it"));
            }
            Some(Tested::Later(part)) if !LATER.contains(part) => {
                found.push(format!("{file}: {key} waits for {part:?}, which is no part of the work"));
            }
            Some(Tested::Prose) if !matches!(key.as_str(), "_about" | "meta") => {
                found.push(format!("{file}: {key} is data, not words"));
            }
            Some(_) => {}
        }
    }
    for (file, key) in registry.keys() {
        if !keys.contains(&((*file).to_owned(), (*key).to_owned())) {
            found.push(format!("{file}: there is no {key}"));
        }
    }
    for (name, file, key) in checks {
        if registry
            .get(&(*file, *key))
            .is_none_or(|tested| matches!(tested, Tested::Later(_) | Tested::Prose))
        {
            found.push(format!("{file}: {name} has a check for {key}, which the registry does not know"));
        }
    }
    found
}

fn keys() -> BTreeSet<(String, String)> {
    let keys = |file: &str| vectors::entries(file).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    FILES.iter().flat_map(|file| keys(file).into_iter().map(|key| ((*file).to_owned(), key))).collect()
}

fn names() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    checks().into_iter().map(|(name, file, key, _)| (name, file, key)).collect()
}

#[test]
fn the_list_of_files_is_complete() {
    let mut found: Vec<String> = std::fs::read_dir(vectors::folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    found.sort();
    assert_eq!(found, FILES);
}

#[test]
fn every_vector_is_tested_or_marked_for_later() {
    let complaints = complaints(&registry(), &keys(), &names());
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn the_registry_is_caught_lying() {
    let keys: BTreeSet<_> = ["a", "b"].map(|key| ("f".to_owned(), key.to_owned())).into();
    let checks: BTreeSet<_> = [("proto", "f", "a")].into();
    let honest = BTreeMap::from([(("f", "a"), Tested::By("proto")), (("f", "b"), Tested::Later("part 3"))]);
    assert_eq!(complaints(&honest, &keys, &checks), [""; 0]);
    type Lie = (&'static str, fn(&mut BTreeMap<(&'static str, &'static str), Tested>) -> Option<Tested>);
    let lies: [Lie; 7] = [
        ("b is in nobody's care", |r| r.remove(&("f", "b"))),
        ("b is said to be tested", |r| r.insert(("f", "b"), Tested::By("proto"))),
        ("a is said to be tested by crypto", |r| r.insert(("f", "a"), Tested::By("crypto"))),
        ("no part of the work", |r| r.insert(("f", "b"), Tested::Later("some day"))),
        ("b is data", |r| r.insert(("f", "b"), Tested::Prose)),
        ("there is no c", |r| r.insert(("f", "c"), Tested::Later("part 3"))),
        ("has a check for a, which", |r| r.insert(("f", "a"), Tested::Later("part 3"))),
    ];
    for (expected, lie) in lies {
        let mut registry = honest.clone();
        let _ = lie(&mut registry);
        let complaints = complaints(&registry, &keys, &checks).join("\n");
        assert!(complaints.contains(expected), "{expected}: {complaints}");
    }
}

#[test]
fn no_file_of_checks_is_left_out() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Ok(files) = std::fs::read_dir(format!("{crates}/{name}/tests/checks")) else { continue };
        for file in files {
            let file = file.unwrap().file_name().into_string().unwrap();
            if file != "mod.rs" {
                found.insert(format!("{name}/tests/checks/{file}"));
            }
        }
    }
    let included: BTreeSet<String> = INCLUDED.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(found, included, "include the module above and enter its checks and its file");
}

#[test]
fn every_check_accepts_its_vector() {
    for (name, file, key, check) in checks() {
        assert_eq!(check(&vectors::entry(file, key)), Ok(()), "{name}: {file}: {key}");
    }
}
