//! The arrows of `docs/architecture.md`, kept true over what cargo itself says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Every crate of the workspace, bottom to top, and which of the others its program code may use.
/// A new crate has to be entered here.
const ARROWS: &[(&str, &[&str])] = &[
    ("conclave-crypto", &[]),
    ("conclave-proto", &["conclave-crypto"]),
    ("conclave-onion", &["conclave-crypto", "conclave-proto"]),
    ("conclave-confsync", &["conclave-crypto", "conclave-proto"]),
    ("conclave-media", &[]),
    ("conclave-testkit", &["conclave-crypto", "conclave-proto"]),
    ("conclave-transport", &["conclave-crypto", "conclave-proto"]),
    ("conclave-node", &["conclave-crypto", "conclave-proto", "conclave-onion", "conclave-transport"]),
    (
        "conclave-client",
        &[
            "conclave-crypto",
            "conclave-proto",
            "conclave-onion",
            "conclave-confsync",
            "conclave-media",
            "conclave-transport",
        ],
    ),
    ("conclave-view", &["conclave-proto", "conclave-client"]),
    ("conclave-app", &["conclave-crypto", "conclave-proto", "conclave-client", "conclave-view"]),
    (
        "conclave-devnet",
        &[
            "conclave-crypto",
            "conclave-proto",
            "conclave-onion",
            "conclave-transport",
            "conclave-node",
            "conclave-client",
        ],
    ),
    (
        "conclave-cli",
        &[
            "conclave-crypto",
            "conclave-proto",
            "conclave-node",
            "conclave-client",
            "conclave-app",
            "conclave-devnet",
        ],
    ),
];

/// Pure crates reach no runtime, socket, file or database, not even through others.
const PURE: &[&str] =
    &["conclave-crypto", "conclave-proto", "conclave-onion", "conclave-confsync", "conclave-media"];
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "rustls",
    "quinn",
    "rusqlite",
    "libsqlite3-sys",
    "ring",
    "tempfile",
    "rand",
    "tracing-subscriber",
    "async-std",
    "smol",
];

/// Primitive crates, which `crypto` alone may name.
const PRIMITIVES: &[&str] = &[
    "aes",
    "aes-gcm",
    "argon2",
    "blake2",
    "blake2b_simd",
    "cbc",
    "chacha20",
    "chacha20poly1305",
    "crypto_box",
    "crypto_secretbox",
    "crypto_secretstream",
    "curve25519-dalek",
    "ed25519-dalek",
    "hmac",
    "poly1305",
    "sha2",
    "sha3",
    "x25519-dalek",
    "xsalsa20poly1305",
    "subtle",
    "openssl",
    "openssl-sys",
];

struct Workspace {
    packages: BTreeMap<String, Value>,
    /// package id → ids of its dependencies that end in the program (neither dev nor build).
    edges: BTreeMap<String, Vec<String>>,
    members: BTreeMap<String, String>,
}

fn workspace() -> Workspace {
    // What this machine builds with: crates for other systems need not be here.
    let version = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: BTreeMap<String, Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["id"].as_str().unwrap().to_owned(), p.clone()))
        .collect();
    let members = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .map(|id| (packages[&id]["name"].as_str().unwrap().to_owned(), id))
        .collect();
    let edges = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let linked = node["deps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()))
                .map(|dep| dep["pkg"].as_str().unwrap().to_owned())
                .collect();
            (node["id"].as_str().unwrap().to_owned(), linked)
        })
        .collect();
    Workspace { packages, edges, members }
}

impl Workspace {
    fn name(&self, id: &str) -> &str {
        self.packages[id]["name"].as_str().unwrap()
    }

    fn direct(&self, member: &str) -> BTreeSet<&str> {
        self.edges[&self.members[member]].iter().map(|id| self.name(id)).collect()
    }

    fn reachable(&self, member: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![self.members[member].as_str()];
        while let Some(id) = waiting.pop() {
            for next in &self.edges[id] {
                if seen.insert(next.as_str()) {
                    waiting.push(next);
                }
            }
        }
        seen.into_iter().map(|id| self.name(id)).collect()
    }
}

#[test]
fn every_crate_has_its_place_and_uses_only_those_below_it() {
    let workspace = workspace();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let members: BTreeSet<&str> = workspace.members.keys().map(String::as_str).collect();
    assert_eq!(members, known, "enter new crates in ARROWS and in docs/architecture.md");
    for (name, allowed) in ARROWS {
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let used: BTreeSet<&str> = workspace.direct(name).intersection(&known).copied().collect();
        assert!(used.is_subset(&allowed), "{name} uses {used:?}, may use {allowed:?}");
    }
}

#[test]
fn pure_crates_reach_no_runtime_socket_file_or_database() {
    let workspace = workspace();
    for pure in PURE {
        let reached = workspace.reachable(pure);
        for impure in IMPURE {
            assert!(!reached.contains(impure), "{pure} reaches {impure}");
        }
    }
    assert!(workspace.reachable("conclave-node").contains("tokio"), "the search itself finds what is there");
}

#[test]
fn only_crypto_names_primitives() {
    let workspace = workspace();
    for (name, _) in ARROWS {
        let named: Vec<&str> =
            workspace.direct(name).into_iter().filter(|dep| PRIMITIVES.contains(dep)).collect();
        assert_eq!(named.is_empty(), *name != "conclave-crypto", "{name} names {named:?}");
    }
}

#[test]
fn the_list_of_members_reads_bottom_to_top() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).unwrap();
    let order: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"crates/")?.strip_suffix("\",").map(str::to_owned))
        .collect();
    let place = |name: &str| order.iter().position(|member| format!("conclave-{member}") == name).unwrap();
    for (name, allowed) in ARROWS {
        for below in *allowed {
            assert!(place(below) < place(name), "{below} stands after {name} in Cargo.toml");
        }
    }
}

/// What lies below the SDK's surface. `doors` is for tests.
const BELOW_THE_SDK: &[&str] = &["conclave_client::store", "conclave_client::said", "conclave_client::doors"];

#[test]
fn no_face_reaches_below_the_sdk() {
    fn look(dir: &std::path::Path, wrong: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, wrong);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let found = BELOW_THE_SDK.iter().filter(|below| text.contains(*below));
                wrong.extend(found.map(|below| format!("{}: {below}", path.display())));
            }
        }
    }
    let mut wrong = Vec::new();
    for face in ["view", "app", "cli"] {
        look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(face).join("src"), &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
