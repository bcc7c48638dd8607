//! Two people talk over a real network: the real binary, real nodes, real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{Home, Net};

/// Texts in many scripts, with what often breaks: combining marks, right-to-left, four-byte characters, line breaks.
const SCRIPTS: &[&str] = &[
    "Hello, Bob",
    "שלום בוב, מה שלומך?",
    "مرحبًا يا بوب",
    "你好，鮑勃 — 𠜎𠜱",
    "नमस्ते बॉब",
    "Ça va ? E\u{301}té, Straße, İstanbul",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳",
    "one line\nand another\n\n\tand a tab",
    "--looks-like-an-option",
];

#[test]
fn two_profiles_talk_both_ways_while_up_runs() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    let ready = up.until("ready");
    assert_eq!(ready["nodes"], 10);
    let profiles = ready["profiles"].as_array().unwrap();
    let id = |name: &str| {
        let profile = profiles.iter().find(|p| p["name"] == name).unwrap();
        profile["account_id"].as_str().unwrap().to_owned()
    };
    let (alice, bob) = (id("alice"), id("bob"));

    // `listen` in one terminal, `send` in another.
    let mut listening = home.start(&["listen", "--profile", "bob"]);
    for text in SCRIPTS {
        let stored = home.send("alice", &bob, text);
        assert_eq!((&stored["signed"], &stored["swarm"]), (&5.into(), &5.into()), "{stored}");
        let heard = listening.until("message");
        assert_eq!(heard["text"], *text);
        assert_eq!(heard["from"], alice.as_str());
        assert_eq!(heard["chat"], alice.as_str());
        assert_eq!(heard["id"], stored["id"], "a message has one id on every device");
    }
    assert_eq!(listening.interrupt(), Some(0));

    // The other way, by name.
    home.send("bob", "alice", "and back");
    let heard = home.listen("alice", 1);
    assert_eq!(heard[0]["text"], "and back");
    assert_eq!(heard[0]["from"], bob.as_str());

    // What was printed is not printed again.
    let again = home.run(&["listen", "--profile", "alice", "--timeout", "1"]).ok();
    assert_eq!(again.events("message").len(), 0, "{again:#?}");

    let history = home.run(&["history", &bob, "--profile", "alice"]).ok().events("message");
    let texts: Vec<&str> = history.iter().map(|m| m["text"].as_str().unwrap()).collect();
    let expected: Vec<&str> = SCRIPTS.iter().copied().chain(["and back"]).collect();
    assert_eq!(texts, expected);

    let chats = home.run(&["chats", "--profile", "bob"]).ok();
    assert!(chats.lines().iter().any(|chat| chat["chat"] == alice.as_str()), "{chats:#?}");

    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn an_offline_account_reads_its_messages_after_the_whole_network_restarted() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    let alice = home.account("alice");
    let bob = home.account("bob");

    let longest = "🦀".repeat(2_000);
    home.send("alice", &bob, &longest);
    home.send("alice", &bob, "second");
    home.send("alice", &alice, "note to self");
    let status = home.run(&["status", "--profile", "alice"]).ok().event("status");
    let guard = status["guard"].as_str().unwrap().to_owned();
    assert_eq!(status["queued"], 0);
    net.stop();

    let net = Net::start(&home, 10);
    let heard = home.listen("bob", 2);
    assert_eq!(heard[0]["text"], longest.as_str());
    assert_eq!(heard[1]["text"], "second");
    let notes = home.run(&["history", "me", "--profile", "alice"]).ok().events("message");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(notes[0]["text"], "note to self");
    assert_eq!(notes[0]["from"], alice.as_str());

    // The guard is kept across restarts.
    let status = home.run(&["status", "--profile", "alice"]).ok().event("status");
    assert_eq!(status["guard"].as_str().unwrap(), guard);
    net.stop();
}

#[test]
fn with_a_node_of_each_swarm_and_the_guard_killed_sending_and_receiving_go_on() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    let alice = home.account("alice");
    let bob = home.account("bob");
    home.send("alice", &bob, "before");
    assert_eq!(home.listen("bob", 1)[0]["text"], "before");

    let status = home.run(&["status", "--profile", "alice"]).ok().event("status");
    let guard = status["guard"].as_str().unwrap().to_owned();
    let mut killed = vec![guard.clone()];
    let swarms = net.ready["swarms"].as_object().unwrap();
    assert_eq!(swarms.len(), 2);
    for members in swarms.values() {
        let members = members.as_array().unwrap();
        assert_eq!(members.len(), 5);
        let victim = members.iter().map(|m| m.as_str().unwrap()).find(|m| *m != guard).unwrap();
        killed.push(victim.to_owned());
    }
    for node in &killed {
        net.kill_node(node);
    }

    for round in 0..3 {
        let stored = home.send("alice", &bob, &format!("to bob {round}"));
        let (signed, swarm) = (stored["signed"].as_u64().unwrap(), stored["swarm"].as_u64().unwrap());
        assert_eq!(swarm, 5);
        assert!((3..=4).contains(&signed), "a majority, and not the dead: {stored}");
        assert_eq!(home.listen("bob", 1)[0]["text"], format!("to bob {round}"));
        home.send("bob", &alice, &format!("to alice {round}"));
        assert_eq!(home.listen("alice", 1)[0]["text"], format!("to alice {round}"));
    }
    let status = home.run(&["status", "--profile", "alice"]).ok().event("status");
    assert_ne!(status["guard"].as_str().unwrap(), guard, "a dead guard is replaced");
}
