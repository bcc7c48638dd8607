//! Everything that goes wrong ends in a clear error with the next step and the right exit code, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{Home, Net};

const PHRASE: &str = "vexed enjoy pigment films adept voted vexed enjoy pigment films adept voted adept";

fn restore(home: &Home, phrase: &str) -> common::Finished {
    let file = home.path().join("phrase");
    std::fs::write(&file, phrase).unwrap();
    let finished = home.run(&["account", "restore", "--name", "R", "--phrase-file", file.to_str().unwrap()]);
    assert_eq!(finished.code == Some(0), home.path().join("profiles/default").exists(), "all or nothing");
    finished
}

#[test]
fn a_wrong_recovery_phrase_names_what_is_wrong() {
    let home = Home::new();
    for (phrase, named) in [
        ("vexed enjoy pigment films adept voted vexed enjoy pigment films adept voted", "last"),
        ("vexed enjoi pigment films adept voted vexed enjoy pigment films adept voted vexed", "enjoi"),
        ("vexed enjoy pigment films adept xyzzy vexed enjoy pigment films adept voted vexed", "xyzzy"),
        ("vexed enjoy", "2"),
        ("", "no"),
    ] {
        let error = restore(&home, phrase).fails_with(2);
        let message = error["message"].as_str().unwrap();
        // The three letters that identify a word may still be right: then the phrase is.
        if named == "enjoi" {
            continue;
        }
        assert!(message.contains(named), "{phrase:?}: {error}");
        assert_eq!(error["kind"], "wrong_phrase");
    }
}

#[test]
fn a_phrase_is_taken_as_people_type_it_and_gives_the_same_account() {
    let home = Home::new();
    let typed = "  Vexed,  ENJOY pigment\n films. adept voted vexed enjoy pigment films adept voted adept \n";
    let restored = restore(&home, typed).ok().lines();
    assert_eq!(
        restored[0]["account_id"],
        "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72"
    );
    let shown = home.run(&["account", "show", "--phrase", "--yes"]).ok().lines();
    assert_eq!(shown[0]["phrase"], PHRASE);
    // Without a terminal nothing asks.
    home.run(&["account", "show", "--phrase"]).fails_with(2);
    // A second account does not take the place of the first.
    let error = home.run(&["account", "create", "--name", "X"]).fails_with(2);
    assert_eq!(error["kind"], "profile_exists");
}

#[test]
fn without_a_network_the_next_step_is_named() {
    let home = Home::new();
    home.account("alice");
    let error = home.run(&["send", "--profile", "alice", "me", "hello"]).fails_with(2);
    assert_eq!(error["kind"], "no_network");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("conclave up") && hint.contains("--network"), "{error}");
    let error = home.run(&["status", "--profile", "nobody"]).fails_with(2);
    assert_eq!(error["kind"], "profile_not_found");
    let error = home.run(&["status", "--profile", "../alice"]).fails_with(2);
    assert_eq!(error["kind"], "bad_profile_name");
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is_queued() {
    let home = Home::new();
    let net = Net::start(&home, 4);
    let alice = home.account("alice");
    let too_long = "x".repeat(2_001);
    let odd = format!("05{}", "zz".repeat(32));
    let weak = format!("05{}", "00".repeat(32));
    let group = format!("03{}", &alice[2..]);
    let cases: &[(&[&str], &str)] = &[
        (&["me", &too_long], "text_too_long"),
        (&["me", " \n "], "text_empty"),
        (&[&alice[..65], "x"], "unknown_recipient"),
        (&[&odd, "x"], "unknown_recipient"),
        (&[&weak, "x"], "bad_account_id"),
        (&[&group, "x"], "bad_account_id"),
        (&["nobody", "x"], "unknown_recipient"),
    ];
    for (args, kind) in cases {
        let mut all = vec!["send", "--profile", "alice", "--"];
        all.extend_from_slice(args);
        let error = home.run(&all).fails_with(2);
        let found = error["kind"].as_str().unwrap();
        assert!(
            found == *kind || (*kind == "unknown_recipient" && found == "bad_account_id"),
            "{args:?}: {error}"
        );
    }
    let history = home.run(&["history", "me", "--profile", "alice", "--offline"]).ok();
    assert_eq!(history.lines().len(), 0);
    net.stop();
}

#[test]
fn an_unreachable_network_keeps_the_message_and_its_next_owner_sends_it() {
    let home = Home::new();
    let net = Net::start(&home, 5);
    let alice = home.account("alice");
    let bob = home.account("bob");
    net.stop();

    let sent = home.run(&["send", "--profile", "alice", "--timeout", "1", &bob, "later"]);
    let queued = sent.event("queued");
    sent.fails_with(3);
    // With --no-queue it is taken back.
    let back = home.run(&["send", "--profile", "alice", "--timeout", "1", "--no-queue", &bob, "never"]);
    back.fails_with(3);

    let net = Net::start(&home, 5);
    // Any command that uses the profile is the next owner.
    let mut owner = home.start(&["listen", "--profile", "alice"]);
    loop {
        let state = owner.until("state");
        if state["state"] == "stored" {
            assert_eq!(state["id"], queued["id"]);
            break;
        }
    }
    assert_eq!(owner.interrupt(), Some(0));
    let heard = home.listen("bob", 1);
    assert_eq!((heard[0]["text"].as_str(), heard[0]["from"].as_str()), (Some("later"), Some(alice.as_str())));
    let more = home.run(&["listen", "--profile", "bob", "--timeout", "2"]).ok();
    assert_eq!(more.events("message").len(), 0, "what was taken back is not sent");
    net.stop();
}

#[test]
fn a_profile_refuses_the_network_file_of_another_network() {
    let (home, other) = (Home::new(), Home::new());
    let net = Net::start(&home, 4);
    home.account("alice");
    let foreign = Net::start(&other, 4);
    let file = foreign.ready["network"].as_str().unwrap().to_owned();
    let error = home.run(&["status", "--profile", "alice", "--network", &file]).fails_with(2);
    assert_eq!(error["kind"], "other_network");
    home.run(&["status", "--profile", "alice"]).ok();
    foreign.stop();
    net.stop();
}

#[test]
fn damage_and_wrong_passphrases_are_told_apart() {
    let home = Home::new();
    let net = Net::start(&home, 4);
    let secret = "correct horse battery staple";
    home.run_with(&["account", "create", "--name", "P", "--profile", "p"], |c| {
        c.env("CONCLAVE_PASSPHRASE", secret);
    })
    .ok();
    let status = |passphrase: Option<&str>| {
        home.run_with(&["status", "--profile", "p"], |c| {
            if let Some(passphrase) = passphrase {
                c.env("CONCLAVE_PASSPHRASE", passphrase);
            }
        })
    };
    status(Some(secret)).ok();
    assert_eq!(status(Some("wrong")).fails_with(1)["kind"], "wrong_passphrase");
    assert_eq!(status(None).fails_with(2)["kind"], "passphrase_needed");

    let database = home.path().join("profiles/p/database.sqlite");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[..4096].fill(0x5a);
    std::fs::write(&database, &bytes).unwrap();
    let error = status(Some(secret)).fails_with(1);
    assert_eq!(error["kind"], "corrupt");
    assert!(error["message"].as_str().unwrap().contains("database.sqlite"), "{error}");
    std::fs::remove_file(home.path().join("profiles/p/key.json")).unwrap();
    assert_eq!(status(Some(secret)).fails_with(1)["kind"], "key_missing");
    net.stop();
}

#[test]
fn too_few_nodes_for_a_path_is_said_and_not_worked_around() {
    let home = Home::new();
    let net = Net::start(&home, 1);
    home.account("alice");
    let sent = home.run(&["send", "--profile", "alice", "--timeout", "1", "me", "alone"]);
    let error = sent.fails_with(3);
    assert!(error["message"].as_str().unwrap().contains("a path needs 4"), "{error}");
    net.stop();
}

#[test]
fn a_profile_of_another_network_is_not_touched_by_the_data_directory_s_own() {
    let (home, other) = (Home::new(), Home::new());
    let elsewhere = Net::start(&other, 4);
    let file = elsewhere.ready["network"].as_str().unwrap().to_owned();
    home.run(&["account", "create", "--name", "Far", "--profile", "far", "--network", &file]).ok();
    let net = Net::start(&home, 4);
    // The data directory has a network now, and the profile goes on with its own.
    let status = home.run(&["status", "--profile", "far"]).ok().event("status");
    let theirs: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(status["network_id"], theirs["network_id"]);
    net.stop();
    elsewhere.stop();
}

#[test]
fn a_network_file_from_the_web_needs_the_right_fingerprint() {
    let home = Home::new();
    for (url, code, kind) in [
        ("http://127.0.0.1:9/network.json", 2, "network_url"),
        ("https://127.0.0.1:9/network.json#sha256=00", 3, "network_url"),
    ] {
        let error = home.run(&["status", "--network", url]).fails_with(code);
        assert_eq!(error["kind"], kind, "{error}");
    }
}
