//! `conclave up`, stopped and started again, keeps everything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::Home;

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
fn a_second_up_on_the_same_folder_is_refused_with_the_next_step() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    up.until("ready");
    let error = home.run(&["up", "--no-open"]).fails_with(1);
    assert!(error["message"].as_str().unwrap().contains("already running"), "{error}");
    assert_eq!(up.interrupt(), Some(0));
}
