//! Networks, nodes and disks that fail while people write to each other: what was said arrives once and in order, and what a
//! program says of it is true.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::time::Duration;

use common::devices::Device;
use common::in_process::InProcess;
use common::{Home, seed};
use conclave_client::profile::{DataDir, OpenError, ProfileName, Unlock};
use conclave_client::store::{ClientStore, StoreOptions};
use conclave_client::types::{MessageId, MessageState};
use conclave_client::{Client, Error, doors};
use conclave_crypto::{Ed25519Secret, RngCore as _};
use conclave_devnet::{Layout, Weather};
use conclave_node::{Clock as _, Hooks, SystemClock};
use conclave_proto::SnodeRecord;
use conclave_proto::network::Directory;
use conclave_testkit::personas;
use conclave_testkit::seeds::is_long;

/// Long enough for anything that is going to happen; what is waited for ends the wait sooner.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until a majority has a message.
async fn stored(client: &Client, id: &MessageId) {
    let state = client.wait_for(id, MessageState::Stored, PATIENCE).await.unwrap();
    assert!(state.state >= MessageState::Stored && state.state != MessageState::Failed, "{state:?}");
    // The recipient's own word can be there before an answer of the swarm is, where that was lost with its path.
    if state.state == MessageState::Stored {
        let (signed, swarm) = (state.signed.unwrap(), state.swarm.unwrap());
        assert!(2 * signed > swarm, "{state:?}");
    }
}

/// Waits until a client has handed its guards more than `before`.
async fn sends_more(client: &Client, before: u64) {
    let more = async {
        while client.status().await.unwrap().bytes_sent == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, more).await.unwrap();
}

/// Waits until a client that had this guard uses another. What saved the message may have gone by the other path, so that
/// nothing need have been asked of the dead one again by then.
async fn uses_another(client: &Client, guard: &str) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let another = async {
        while client.status().await.unwrap().guard.as_deref() == Some(guard) {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, another).await.expect("another guard is used in the end");
}

/// Alice and bob, who have written to each other.
async fn acquainted(net: &InProcess) -> (Device, Device) {
    let alice = Device::of(net, personas::alice(), "alice", 1);
    let bob = Device::of(net, personas::bob(), "bob", 1);
    alice.says(bob.id, "hello bob").await;
    bob.reads(alice.id, "hello bob").await;
    bob.says(alice.id, "hello alice").await;
    alice.reads(bob.id, "hello alice").await;
    (alice, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_loses_delays_and_disorders_packets_does_none_of_it_to_messages() {
    const EACH: usize = 5;
    let net = InProcess::start_wired(6, seed()).await;
    let (alice, bob) = acquainted(&net).await;
    let tablet = Device::of(&net, personas::alice(), "alice", 2);
    let laptop = Device::of(&net, personas::bob(), "bob", 2);
    tablet.reads(bob.id, "hello alice").await;
    laptop.reads(alice.id, "hello bob").await;

    let (delay, jitter) = (Duration::from_millis(5), Duration::from_millis(30));
    net.weather(Weather { delay, jitter, lost_per_mille: 100 });
    let devices = [(&alice, bob.id), (&bob, alice.id), (&tablet, bob.id), (&laptop, alice.id)];
    let mut said = Vec::new();
    // One device of each account after the other: what two of them say in the same millisecond has the same author and sent
    // timestamp, and is one message to every program (client-messages 0). Who has heard the other uses other timestamps.
    for speakers in devices.chunks(2) {
        for number in 0..EACH {
            for (device, chat) in speakers {
                let text = format!("{} says {number}", device.name);
                said.push((*device, device.client.send_text(chat, &text).await.unwrap()));
            }
        }
        for (device, chat) in devices {
            for (_, message) in &said {
                device.reads(chat, &message.text).await;
            }
        }
    }
    for (speaker, message) in &said {
        stored(&speaker.client, &message.id).await;
    }
    // The same everywhere: each text once, each device's in the order in which it said them.
    let one = alice.said(bob.id).await;
    for (device, chat) in devices {
        let texts = device.said(chat).await;
        assert_eq!(texts, one, "{}", device.name);
        for speaker in ["alice1", "bob1", "alice2", "bob2"] {
            let heard: Vec<&String> =
                texts.iter().filter(|text| text.starts_with(&format!("{speaker} says"))).collect();
            let expected: Vec<String> = (0..EACH).map(|number| format!("{speaker} says {number}")).collect();
            assert_eq!(heard, expected.iter().collect::<Vec<_>>(), "{}", device.name);
        }
    }
    net.weather(Weather::default());
    for device in [alice, bob, tablet, laptop] {
        device.stop().await;
    }
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_dies_with_a_request_in_its_hands_takes_no_message_with_it() {
    let mut net = InProcess::start_wired(8, seed()).await;
    let (alice, bob) = acquainted(&net).await;
    for round in 0..2 {
        let text = format!("through {round}");
        let before = alice.client.status().await.unwrap();
        let guard = before.guard.unwrap();
        let at = 1 + net.nodes.iter().position(|node| node.view().own().ed25519.to_hex() == guard).unwrap();
        // The guard gets the request and nothing of it gets further.
        let wires = net.wires.as_mut().unwrap();
        wires.set_around(at, Weather { delay: Duration::from_secs(3_600), ..Weather::default() });
        let said = alice.client.send_text(&bob.id, &text).await.unwrap();
        sends_more(&alice.client, before.bytes_sent).await;
        wires.cut(at).await;
        // Nobody has said anything, so nothing is claimed.
        let state = alice.client.sent_state(&said.id).await.unwrap();
        assert_eq!((state.state, state.signed), (MessageState::Queued, None));
        net.weather(Weather::default());
        bob.reads(alice.id, &text).await;
        stored(&alice.client, &said.id).await;
        uses_another(&alice.client, &guard).await;
    }
    for (device, chat) in [(&alice, bob.id), (&bob, alice.id)] {
        let texts = device.said(chat).await;
        assert_eq!(texts, ["hello bob", "hello alice", "through 0", "through 1"], "{}", device.name);
    }
    alice.stop().await;
    bob.stop().await;
    net.stop().await;
}

/// A directory one higher, with these nodes, as the network's operator signs it.
fn sign(net: &InProcess, before: &Directory, nodes: Vec<SnodeRecord>) -> Directory {
    let layout = Layout::in_data_dir(net.dir.path());
    let key = std::fs::read_to_string(layout.registry_key()).unwrap();
    let secret = Ed25519Secret::from_seed(&hex::decode(key.trim()).unwrap().try_into().unwrap());
    let now = SystemClock.now();
    let valid_until = now.plus(Duration::from_secs(86_400));
    let directory =
        Directory::new(net.network.network_id.clone(), before.height + 1, now, valid_until, nodes).unwrap();
    let unfinished = layout.directory().with_extension("test");
    std::fs::write(&unfinished, directory.sign(&secret).to_json()).unwrap();
    std::fs::rename(unfinished, layout.directory()).unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_who_moves_to_another_swarm_while_a_message_is_sent_gets_it_there() {
    let net = InProcess::start_wired(10, seed()).await;
    let (alice, bob) = acquainted(&net).await;
    let before = net.nodes[0].view().directory().clone();
    let home = before.swarm_of(&bob.id).unwrap();
    let other = *before.swarms().iter().find(|swarm| **swarm != home).expect("ten nodes are two swarms");

    // Nothing gets through, so the first attempts come to nothing.
    net.weather(Weather { lost_per_mille: 1_000, delay: Duration::from_secs(3_600), ..Weather::default() });
    let said = alice.client.send_text(&bob.id, "wherever you are").await.unwrap();
    // The swarms change names: what belonged to the nodes of one belongs to those of the other.
    let swapped = |record: &SnodeRecord| {
        let swarm = if record.swarm == home { other } else { home };
        SnodeRecord { swarm, ..*record }
    };
    let after = sign(&net, &before, before.nodes().iter().map(swapped).collect());
    assert_eq!(after.swarm_of(&bob.id), Some(home));
    for node in &net.nodes {
        let mut views = node.views();
        let follows = views.wait_for(|view| view.directory().height == after.height);
        tokio::time::timeout(PATIENCE, follows).await.unwrap().unwrap();
    }
    let state = alice.client.sent_state(&said.id).await.unwrap();
    assert_eq!((state.state, state.signed), (MessageState::Queued, None));
    net.weather(Weather::default());
    stored(&alice.client, &said.id).await;
    bob.reads(alice.id, "wherever you are").await;
    bob.says(alice.id, "found you").await;
    alice.reads(bob.id, "found you").await;
    for (device, chat) in [(&alice, bob.id), (&bob, alice.id)] {
        let texts = device.said(chat).await;
        assert_eq!(texts, ["hello bob", "hello alice", "wherever you are", "found you"], "{}", device.name);
    }
    alice.stop().await;
    bob.stop().await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_with_what_to_do_and_loses_nothing() {
    let net = InProcess::start(5, |_| Hooks::default()).await;
    let (alice, bob) = acquainted(&net).await;
    doors::fill_disk(&alice.client, true).await.unwrap();
    // There is some room left inside of the file.
    let long = "full ".repeat(380);
    let mut taken = Vec::new();
    let error = loop {
        match alice.client.send_text(&bob.id, &format!("{} {long}", taken.len())).await {
            Ok(message) => taken.push(message),
            Err(error) => break error,
        }
        assert!(taken.len() < 500, "the disk is not full");
    };
    let record = error.record();
    assert_eq!(record.kind, "disk_full", "{record:?}");
    assert!(record.hint.contains("make room"), "{record:?}");
    // What is here can be looked at, and what comes in meanwhile is not lost.
    assert_eq!(alice.client.chats().await.unwrap().len(), 1);
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(bob.says(alice.id, &format!("{number} for a full disk {long}")).await);
    }
    // Being told that it cannot be kept is all that a fetch may do.
    let fetched = alice.client.fetch().await;
    let here = alice.said(bob.id).await;
    let missing = sent.iter().filter(|message| !here.contains(&message.text)).count();
    assert!(missing > 0, "the disk was not full: {fetched:?}");

    doors::fill_disk(&alice.client, false).await.unwrap();
    for message in &sent {
        alice.reads(bob.id, &message.text).await;
    }
    // Taken is taken: all of it arrives, and what was refused does not.
    alice.says(bob.id, "room again").await;
    bob.reads(alice.id, "room again").await;
    for message in &taken {
        bob.finds(alice.id, &message.id, "what was taken", |_| true).await;
    }
    let texts = bob.said(alice.id).await;
    let from_alice: Vec<&String> = texts.iter().filter(|text| text.ends_with(&long)).collect();
    assert_eq!(from_alice.len(), taken.len() + sent.len());
    let mut once = texts.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), texts.len(), "nothing is there twice");
    alice.stop().await;
    bob.stop().await;
    net.stop().await;
}

#[test]
fn a_database_that_another_program_has_open_is_said_to_be_and_works_when_it_is_let_go() {
    let home = Home::new();
    home.run(&["account", "create", "--name", "Alice", "--profile", "alice"]).ok();
    let profile = DataDir::new(home.path()).profile(&ProfileName::new("alice").unwrap());
    let folder = home.path().join("profiles/alice");
    let key = doors::open_key_file(&std::fs::read(folder.join("key.json")).unwrap()).unwrap();
    // A program that knows nothing of our locks, a backup for instance.
    let other = ClientStore::open(&StoreOptions::new(folder.join("database.sqlite")), &key).unwrap();
    let error = home.run(&["account", "show", "--profile", "alice"]).fails_with(1);
    assert_eq!(error["kind"], "busy", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("end the other program"), "{error}");
    let error = profile.open(&Unlock::KeyFile).unwrap_err();
    assert!(!matches!(error, OpenError::InUse { .. }), "{error:?}");
    let error = Error::from(error).record();
    assert_eq!(error.kind, "busy", "{error:?}");
    drop(other);
    let shown = home.run(&["account", "show", "--profile", "alice"]).ok();
    assert_eq!(shown.lines()[0]["name"], "Alice");
    drop(profile.open(&Unlock::KeyFile).unwrap());
}

/// Not a fault: what a kill of the program leaves to its next owner.
#[test]
fn a_program_killed_at_any_moment_of_sending_leaves_the_rest_to_the_next() {
    let rounds = if is_long() { 150 } else { 12 };
    let home = Home::new();
    let net = common::Net::start(&home, 5);
    home.account("alice");
    let bob = home.account("bob");
    home.send("alice", &bob, "hello");
    let mut random = conclave_testkit::rng(seed());
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let mut sending = home
            .command(&["send", "--profile", "alice", "--", &bob, &format!("round {round}")])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // When it is killed is what is random here; nothing waits for it.
        std::thread::sleep(Duration::from_millis(u64::from(random.next_u32() % 700)));
        sending.kill().unwrap();
        let said = sending.wait_with_output().unwrap().stdout;
        // The last line may be cut.
        let queued = String::from_utf8_lossy(&said)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line["event"] == "queued");
        acknowledged.extend(queued.map(|line| line["id"].as_str().unwrap().to_owned()));
    }
    println!("{} of {rounds} were queued before the kill", acknowledged.len());
    // The next owner does nothing but be there.
    let owner = home.start(&["listen", "--profile", "alice"]);
    let mut hearing = home.start(&["listen", "--profile", "bob"]);
    let mut missing: std::collections::BTreeSet<String> = acknowledged.iter().cloned().collect();
    while !missing.is_empty() {
        let heard = hearing.until("message");
        missing.remove(heard["id"].as_str().unwrap());
    }
    // What was taken without having been said may come as well; nothing comes twice, also not under another id.
    home.run(&["send", "--profile", "alice", "--timeout", "90", "--", &bob, "the end"]).ok();
    while hearing.until("message")["text"] != "the end" {}
    let history = home.run(&["history", &bob, "--profile", "alice", "--limit", "1000"]).ok();
    let history = history.events("message");
    let mut texts: Vec<&str> = history.iter().map(|message| message["text"].as_str().unwrap()).collect();
    let count = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), count, "{history:#?}");
    let alice = history[0]["from"].as_str().unwrap();
    let heard = home.run(&["history", alice, "--profile", "bob", "--limit", "1000"]).ok();
    let ids = |messages: &[serde_json::Value]| -> Vec<String> {
        messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&heard.events("message")), ids(&history), "both sides have the same, in the same order");
    assert!(acknowledged.iter().all(|id| ids(&history).contains(id)));
    assert_eq!(hearing.interrupt(), Some(0));
    assert_eq!(owner.interrupt(), Some(0));
    net.stop();
}
