//! The sentences, and the table of who shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::wires::{ALL, Way};
use crate::world::Case;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");

/// What a node promises.
pub struct Sentence {
    pub ways: Vec<Way>,
    pub text: String,
}

/// A section of the specification: its number, for ordering, and its heading.
type Section = (Vec<u32>, String);

/// All of them: sections in order, and in each the sentences by id.
pub struct Sentences(BTreeMap<Section, BTreeMap<String, Sentence>>);

impl Sentences {
    /// Reads `sentences.toml`: `["2.7 store".all]` is a section and the transports, and below it stand `key = "sentence"`.
    /// The id is the section's number and the key.
    pub fn read() -> Self {
        type Ways = BTreeMap<String, BTreeMap<String, String>>;
        let file: BTreeMap<String, Ways> = toml::from_str(include_str!("sentences.toml")).unwrap();
        let mut sections = BTreeMap::new();
        for (heading, by_ways) in file {
            let number = heading.split(' ').next().unwrap();
            let order = number.split('.').map(|part| part.parse().unwrap()).collect();
            let mut sentences = BTreeMap::new();
            for (names, texts) in by_ways {
                let ways: Vec<Way> =
                    ALL.iter().copied().filter(|way| names == "all" || names.contains(way.name())).collect();
                assert!(!ways.is_empty(), "{heading}: {names} names no transport");
                for (key, text) in texts {
                    let id = format!("{number}-{key}");
                    let sentence = Sentence { ways: ways.clone(), text };
                    assert!(sentences.insert(id.clone(), sentence).is_none(), "{id} stands there twice");
                }
            }
            sections.insert((order, heading), sentences);
        }
        Self(sections)
    }

    fn find(&self, id: &str) -> Option<&Sentence> {
        self.0.values().find_map(|sentences| sentences.get(id))
    }

    /// Whether a sentence is about a transport.
    pub fn apply(&self, id: &str, way: Way) -> bool {
        self.find(id).is_some_and(|sentence| sentence.ways.contains(&way))
    }
}

/// The names of the cases that show a sentence over a transport.
fn shown_by<'a>(cases: &[&'a Case], id: &str, way: Way) -> BTreeSet<(&'a str, &'a str)> {
    let shows = |case: &&&Case| case.on.contains(&way) && case.covers.contains(&id);
    cases.iter().filter(shows).map(|case| (case.topic.rsplit("::").next().unwrap(), case.name)).collect()
}

fn document(sentences: &Sentences, cases: &[&Case]) -> String {
    let mut out = String::from(
        "# Conformance\n\n\
         What a service node promises to those who speak with it, sentence by sentence, and the tests that show it over each \
         transport it concerns. Sections are those of storage-and-onion; the words are ours. Where we do something else than \
         the specification describes, the sentence begins with *we:* and says why.\n\n\
         Made from `crates/node/tests/conformance/`; do not edit. An empty cell fails a test, and so does this page when it is \
         out of date. To make it again: `CONCLAVE_WRITE_DOCS=1 cargo test -p conclave-node --test conformance table`.\n",
    );
    let all = || sentences.0.values().flatten();
    let cells: usize = all().map(|(_, sentence)| sentence.ways.len()).sum();
    writeln!(out, "\n{} sentences, {cells} cells, {} cases.", all().count(), cases.len()).unwrap();
    for ((_, heading), sentences) in &sentences.0 {
        write!(out, "\n## {heading}\n\n| id | sentence | https | quic | onion |\n|---|---|---|---|---|\n")
            .unwrap();
        for (id, sentence) in sentences {
            write!(out, "| {id} | {} |", sentence.text.replace('|', "\\|")).unwrap();
            for way in ALL {
                let names: Vec<String> = shown_by(cases, id, *way)
                    .into_iter()
                    .map(|(topic, name)| format!("`{topic}::{name}`"))
                    .collect();
                let cell = if sentence.ways.contains(way) { names.join(" ") } else { "—".to_owned() };
                write!(out, " {cell} |").unwrap();
            }
            out.push('\n');
        }
    }
    out
}

#[test]
fn every_sentence_is_shown_over_every_transport_it_is_about() {
    let (sentences, cases) = (Sentences::read(), crate::all_cases());
    let mut empty = Vec::new();
    for (id, sentence) in sentences.0.values().flatten() {
        for way in &sentence.ways {
            if shown_by(&cases, id, *way).is_empty() {
                empty.push(format!("{id} over {}", way.name()));
            }
        }
    }
    assert!(empty.is_empty(), "{} empty cells:\n{}", empty.len(), empty.join("\n"));
}

#[test]
fn every_case_names_sentences_that_exist_and_concern_it() {
    let sentences = Sentences::read();
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for case in crate::all_cases() {
        for id in case.covers {
            if !case.on.iter().any(|way| sentences.apply(id, *way)) {
                wrong.push(format!("{}::{} names {id}", case.topic, case.name));
            }
        }
        assert!(names.insert((case.topic, case.name)), "{} is listed twice", case.name);
    }
    assert!(wrong.is_empty(), "no such sentences, or about other transports:\n{}", wrong.join("\n"));
}

#[test]
fn the_document_is_up_to_date() {
    let made = document(&Sentences::read(), &crate::all_cases());
    if std::env::var_os("CONCLAVE_WRITE_DOCS").is_some() {
        std::fs::write(DOCUMENT, &made).unwrap();
    }
    let found = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    // Not `assert_eq`: nobody wants to read it twice.
    assert!(
        found == made,
        "docs/conformance.md is out of date; run `CONCLAVE_WRITE_DOCS=1 cargo test -p conclave-node --test conformance table`"
    );
}
