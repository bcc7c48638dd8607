//! The known-answer vectors of the repository, and which crate answers for each.
//!
//! A *key* is a top-level key of a file; in `config-groups.json`, whose two lists hold many cases, it is
//! `upstream/<id>` or `generated/<id>`. [`REGISTRY`] says for each who tests it or which later part will; the test
//! `vectors_registry` holds it against the files and against the checks that really exist.

pub mod flip;
mod registry;

use std::path::PathBuf;

use serde_json::Value;

pub use registry::{REGISTRY, Tested};

/// The files of `vectors/`, without `.json`.
pub const FILES: [&str; 4] = ["client-messages", "communities", "config-groups", "storage-onion"];

/// What a check is called with: the value under its key. Returns what differs.
pub type Check = fn(&Value) -> Result<(), String>;

/// The folder of the vector files.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors"))
}

/// A whole file, named with or without `.json`.
///
/// # Panics
/// If it is missing or no JSON: the checkout is broken, and no test can go on.
pub fn file(name: &str) -> Value {
    let path = folder().join(name.trim_end_matches(".json")).with_extension("json");
    let bytes = std::fs::read(path).expect("the repository holds its vectors");
    serde_json::from_slice(&bytes).expect("vector files are JSON")
}

/// All keys of a file with their values, in the order of the keys.
pub fn entries(name: &str) -> Vec<(String, Value)> {
    let Value::Object(file) = file(name) else { return Vec::new() };
    let mut entries = Vec::new();
    for (key, value) in file {
        match value {
            Value::Array(cases) if name.trim_end_matches(".json") == "config-groups" => {
                entries.extend(cases.into_iter().map(|case| {
                    let id = case.get("id").and_then(Value::as_str).expect("every case has an id");
                    (format!("{key}/{id}"), case)
                }));
            }
            value => entries.push((key, value)),
        }
    }
    entries
}

/// The value under one key, as [`entries`] names it.
///
/// # Panics
/// If there is none.
pub fn entry(file: &str, key: &str) -> Value {
    let found = entries(file).into_iter().find(|(name, _)| name == key);
    found.expect("the key is in the file").1
}
