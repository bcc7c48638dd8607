//! `conclave up`, stopped and started again, keeps everything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::Home;
use serde_json::json;

#[test]
fn stopping_and_starting_up_again_keeps_accounts_and_messages() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    let first = up.until("ready");
    home.send("alice", "bob", "kept");
    assert_eq!(up.interrupt(), Some(0));

    let mut up = home.start(&["up", "--no-open"]);
    let second = up.until("ready");
    assert_eq!(first["profiles"], second["profiles"]);
    let heard = home.run(&["history", "alice", "--profile", "bob"]).ok().events("message");
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0]["text"], "kept");
    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn up_killed_without_warning_leaves_no_node_behind_and_starts_again() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    let ready = up.until("ready");
    home.send("alice", "bob", "before the cut");
    up.kill();

    // The nodes notice that their parent's pipe closed. Starting again works as soon as they have let go.
    let mut up = home.start(&["up", "--no-open"]);
    assert_eq!(up.until("ready")["profiles"], ready["profiles"]);
    let heard = home.run(&["history", "alice", "--profile", "bob"]).ok().events("message");
    assert_eq!(heard.len(), 1);
    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn up_starts_with_a_profile_that_has_a_passphrase_locked_or_opened_by_the_one_given() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    let bob = up.until("ready")["profiles"][1].clone();
    assert_eq!(up.interrupt(), Some(0));
    home.run_with(&["account", "passphrase", "--profile", "alice"], |command| {
        command.env("CONCLAVE_NEW_PASSPHRASE", "open sesame");
    })
    .ok();

    let mut up = home.start(&["up", "--no-open"]);
    assert_eq!(up.until("ready")["profiles"], json!([{"name": "alice", "locked": true}, bob]));
    let needed = home.run(&["history", "bob", "--profile", "alice"]).fails_with(2);
    assert_eq!(needed["kind"], "passphrase_needed");
    home.run_with(&["send", "--profile", "alice", "bob", "with the passphrase"], |command| {
        command.env("CONCLAVE_PASSPHRASE", "open sesame");
    })
    .ok();
    assert_eq!(home.listen("bob", 1)[0]["text"], "with the passphrase");
    assert_eq!(up.interrupt(), Some(0));

    for (passphrase, opens) in [("open barley", false), ("open sesame", true)] {
        let mut up = home.start_with(&["up", "--no-open"], |command| {
            command.env("CONCLAVE_PASSPHRASE", passphrase);
        });
        let alice = up.until("ready")["profiles"][0].clone();
        assert_eq!((alice["locked"] == true, alice["account_id"].is_string()), (!opens, opens), "{alice}");
        assert_eq!(up.interrupt(), Some(0));
    }
}

#[test]
fn a_second_up_on_the_same_folder_is_refused_with_the_next_step() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    up.until("ready");
    let error = home.run(&["up", "--no-open"]).fails_with(1);
    assert!(error["message"].as_str().unwrap().contains("already running"), "{error}");
    assert_eq!(up.interrupt(), Some(0));
}
