//! The known answers this crate answers for: all are met, and damaged ones are noticed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod checks;

use conclave_testkit::vectors;

/// Keys whose text explains and is not computed with.
const DESCRIPTIONS: &[&str] = &["note", "source", "origin", "verified"];

/// File, key, start of the path below it, and why damage there is nothing to notice here. `*` stands for one step.
const NOT_NOTICED: &[(&str, &str, &str, &str)] = &[
    ("storage-onion", "swarm_mapping", "cases/*/swarm_ids", "many lists send a point to the same swarm"),
    ("storage-onion", "swarm_mapping", "cases/*/swarm_space_hex", "many points go to the same swarm"),
    ("storage-onion", "mt19937_64", "uniform_formula", "words"),
    ("storage-onion", "new_swarm_id", "cases/*/existing", "only the ends of the largest gap matter"),
    ("storage-onion", "namespaces", "cases/*/ns", "the neighbouring number may obey the same rules"),
    ("storage-onion", "rpc_requests", "cases/*/name", "words"),
    ("storage-onion", "rpc_requests", "member_ed25519_seed", "how tokens are made is crypto's to check"),
    (
        "client-messages",
        "dm_end_to_end",
        "decoy_r",
        "the scalar behind a point: curve arithmetic is crypto's",
    ),
    ("client-messages", "dm_end_to_end", "malformed/*/name", "words"),
    ("client-messages", "dm_end_to_end", "malformed/0/sealed", "a bad seal stays bad"),
    ("client-messages", "dm_end_to_end", "malformed/1/sealed", "a bad seal stays bad"),
    ("client-messages", "session_js_interop", "messages/*/name", "words"),
    ("client-messages", "session_js_interop", "messages/*/inputs", "the other program's own arguments"),
    ("client-messages", "session_js_interop", "messages/*/ttl_ms", "not in the message: told to the server"),
    ("client-messages", "session_js_interop", "messages/*/uploaded_blob_base64", "attachments are crypto's"),
    ("client-messages", "session_js_interop", "messages/*/picture_blob_base64", "attachments are crypto's"),
    ("client-messages", "session_js_interop", "messages/*/picture_plaintext", "attachments are crypto's"),
    ("client-messages", "session_js_interop", "recovery_phrases", "phrases are crypto's"),
    ("client-messages", "session_js_interop", "community_signatures", "blinding is crypto's"),
    ("communities", "join_urls", "invalid", "what is no address stays none"),
    ("config-groups", "upstream/upstream-community-url", "id", "the key itself"),
    ("config-groups", "upstream/upstream-community-url", "kind", "words"),
    ("config-groups", "upstream/upstream-community-url", "upstream_test", "words"),
];

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
    let mut tried = 0;
    for (file, key, check) in checks::CHECKS {
        for flipped in vectors::flip::each_leaf(&vectors::entry(file, key)) {
            if is_description(&flipped.path) || may_pass(file, key, &flipped.path) {
                continue;
            }
            tried += 1;
            if check(&flipped.value).is_ok() {
                unnoticed.push(format!("{file}, {key}, {}", flipped.path));
            }
        }
    }
    assert!(unnoticed.is_empty(), "not noticed:\n{}", unnoticed.join("\n"));
    assert!(tried > 500, "only {tried} leaves were damaged");
}

fn is_description(path: &str) -> bool {
    path.split('/').any(|step| DESCRIPTIONS.contains(&step))
}

fn may_pass(file: &str, key: &str, path: &str) -> bool {
    NOT_NOTICED.iter().any(|(in_file, in_key, start, _)| {
        let mut steps = path.split('/');
        (*in_file, *in_key) == (file, key)
            && start.split('/').all(|wanted| steps.next().is_some_and(|step| wanted == "*" || wanted == step))
    })
}
