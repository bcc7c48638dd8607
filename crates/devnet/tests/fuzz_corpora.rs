//! The fuzz corpora are kept in the repository, and every input in them still does what its target
//! promises; as do inputs near them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, unreachable_pub)]

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::PathBuf;

#[path = "../../../fuzz/src/shells.rs"]
mod shells;
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use targets::Target;

/// The corpora of all targets together, in bytes.
const MAX_CORPORA: u64 = 1_572_864;

/// Larger seeds are replayed, but nothing is changed in them.
const SMALL: usize = 600;

/// Changed inputs tried for each target: as many as take some seconds for all together.
const VARIANTS: usize = 600;

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

fn all_targets() -> impl Iterator<Item = &'static Target> {
    targets::TARGETS.iter().chain(shells::TARGETS)
}

/// The inputs of a target by file name, in an order that does not depend on the file system.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Every prefix of an input, and the input with every byte changed in three ways.
fn variants(input: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let prefixes = (0..input.len()).map(|length| input[..length].to_vec());
    let changes = (0..input.len()).flat_map(|at| [0x01, 0x20, 0xff].map(|mask| (at, mask)));
    let changed = changes.map(|(at, mask)| {
        let mut copy = input.to_vec();
        copy[at] ^= mask;
        copy
    });
    prefixes.chain(changed)
}

/// Runs a target; if it fails, says with what.
fn run((name, target): &Target, from: &str, input: &[u8]) -> Result<(), String> {
    catch_unwind(|| target(input))
        .map_err(|_| format!("{name} fails with an input made of {from}: {}", hex::encode(input)))
}

fn replay(target: &Target) -> Result<(), String> {
    run(target, "nothing", b"")?;
    let inputs = corpus(target.0);
    for (file, input) in &inputs {
        run(target, file, input)?;
    }
    let near: Vec<(&str, Vec<u8>)> = inputs
        .iter()
        .filter(|(_, input)| input.len() <= SMALL)
        .flat_map(|(file, input)| variants(input).map(move |variant| (file.as_str(), variant)))
        .collect();
    // Spread over all of them, rather than all of the first.
    for (file, input) in near.iter().step_by(near.len().div_ceil(VARIANTS).max(1)) {
        run(target, file, input)?;
    }
    Ok(())
}

#[test]
fn every_kept_input_and_those_near_it_do_what_the_targets_promise() {
    let failures: Vec<String> = all_targets().filter_map(|target| replay(target).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_target_has_a_corpus_and_a_wrapper_and_nothing_is_left_over() {
    let names: BTreeSet<String> = all_targets().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), all_targets().count(), "a name is used twice");
    let files = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(files("corpus"), names);
    assert_eq!(files("fuzz_targets"), names.iter().map(|name| format!("{name}.rs")).collect());
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &names {
        assert!(!corpus(name).is_empty(), "{name} has no input");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        let wrapper = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(wrapper.contains(&format!("::{name}(bytes)")), "the wrapper {name} runs something else");
    }
}

#[test]
fn the_corpora_stay_small_enough_for_a_repository() {
    let sizes = all_targets().flat_map(|(name, _)| corpus(name)).map(|(_, input)| input.len() as u64);
    assert!(sizes.sum::<u64>() < MAX_CORPORA, "minimise with `cargo +nightly fuzz cmin`");
}
