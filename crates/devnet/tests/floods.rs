//! Mailboxes full of messages, and messages full of rubbish: a client takes what there is, stays itself, and goes on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::devices::Device;
use common::in_process::InProcess;
use common::{Home, memory};
use conclave_client::profile::{DataDir, ProfileName, Protection};
use conclave_client::{accounts, doors};
use conclave_crypto::{Account, AccountId, RecoveryPhrase, RngCore};
use conclave_node::store::NewMessage;
use conclave_node::{Clock as _, Hooks, SystemClock};
use conclave_proto::content::{
    Content, DataMessage, ReceiptMessage, UnsendRequest, data_message, receipt_message,
};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use conclave_testkit::personas::{self, Persona};
use conclave_testkit::rng;
use rand_core::OsRng;

/// Megabytes that a client may need while it takes in a full mailbox: the program itself, pages of a megabyte from four members,
/// each several times over while it is unpacked, and 16 of the database's cache. Builds without optimisation on two cores
/// needed 91 to 99 for 5,000 and 10,000 messages and 105 to 115 for 20,000 and for 60,000; with pages of four megabytes, over 150.
const MEMORY_MB: u64 = 144;
/// Megabytes more for twice as many messages, or four times: the database's cache fills, and allocators are not exact.
const MEMORY_FOR_MORE_MB: u64 = 32;

fn account(persona: Persona) -> Account {
    Account::from_phrase(&RecoveryPhrase::from_seed16(&persona.seed()))
}

/// Puts these into somebody's mailbox at every node, as if somebody had stored them there.
async fn put(net: &InProcess, owner: &AccountId, sealed: &[Vec<u8>]) {
    let now = SystemClock.now();
    for node in &net.nodes {
        for part in sealed.chunks(500) {
            let mut writes = tokio::task::JoinSet::new();
            for data in part {
                let message = NewMessage {
                    owner: *owner,
                    namespace: Namespace::DIRECT,
                    hash: MessageHash::of(owner, Namespace::DIRECT, data),
                    timestamp: now,
                    expiry: now.plus(std::time::Duration::from_secs(86_400)),
                    data: data.clone(),
                };
                let store = node.store().clone();
                writes.spawn(async move { store.store(message, now).await.map(drop) });
            }
            while let Some(written) = writes.join_next().await {
                written.unwrap().unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_at_once_are_all_taken_in_by_a_program_that_stays_small_and_answers() {
    let long = std::env::var_os("CONCLAVE_LONG").is_some_and(|value| value != "0");
    let few = takes_in(5_000).await;
    let many = takes_in(if long { 20_000 } else { 10_000 }).await;
    // Elsewhere than on Linux nobody says.
    if let (Some(few), Some(many)) = (few, many) {
        assert!(many < MEMORY_MB, "{many} MB");
        assert!(many < few + MEMORY_FOR_MORE_MB, "{few} MB grew to {many} MB with the number of messages");
    }
}

/// Has a program take in a mailbox of so many messages. Gives its most resident megabytes.
async fn takes_in(messages: u64) -> Option<u64> {
    let net = InProcess::start(4, |_| Hooks::default()).await;
    let (alice, bob) = (account(personas::alice()), account(personas::bob()));
    let start = SystemClock.now().0 - messages;
    let sealing = |from: u64| {
        let (alice, bob) = (account(personas::alice()), *bob.id());
        tokio::task::spawn_blocking(move || -> Vec<Vec<u8>> {
            let sealed = (from..messages).step_by(2).map(|number| {
                let at = Timestamp(start + number);
                let text = format!("message {number} {}", "and more of it ".repeat(40));
                let content = Content::with_data(DataMessage::text(&text, None), at).to_bytes();
                doors::seal_message(&alice, &bob, &content, at, &mut OsRng).unwrap()
            });
            sealed.collect()
        })
    };
    let (even, odd) = tokio::join!(sealing(0), sealing(1));
    put(&net, bob.id(), &[even.unwrap(), odd.unwrap()].concat()).await;

    let home = Home::new();
    let words = RecoveryPhrase::from_seed16(&personas::bob().seed()).words();
    let (dir, profile) = (DataDir::new(home.path()), ProfileName::new("bob").unwrap());
    drop(
        accounts::restore(&dir, &profile, Some("Bob"), &words, &Protection::KeyFile, Some(&net.network))
            .unwrap(),
    );
    let alice = *alice.id();
    // Commands wait for their ends, which the nodes of this process must not.
    let megabytes = tokio::task::spawn_blocking(move || listens(&home, &alice, messages)).await.unwrap();
    net.stop().await;
    megabytes
}

/// Listens until all of alice's messages are there, and asks for other things meanwhile.
fn listens(home: &Home, alice: &AccountId, messages: u64) -> Option<u64> {
    let unread = |chats: common::Finished| {
        let line = chats.lines().into_iter().find(|line| line["chat"] == alice.to_hex()).unwrap();
        line["unread"].as_u64().unwrap()
    };
    let mut listening = home.start(&["listen", "--profile", "bob"]);
    let first = listening.until("message");
    // Asked in the middle, it answers in the middle: it has not taken in everything first.
    let meanwhile = unread(home.run(&["chats", "--offline", "--profile", "bob"]).ok());
    assert!(meanwhile < messages, "answered when everything was there");
    home.run(&["send", "--profile", "bob", "--timeout", "120", "--", "me", "a note meanwhile"]).ok();

    let mut heard = BTreeSet::from([first["id"].as_str().unwrap().to_owned()]);
    while heard.len() < usize::try_from(messages).unwrap() {
        let message = listening.until("message");
        if message["from"] == alice.to_hex() {
            assert!(heard.insert(message["id"].as_str().unwrap().to_owned()), "twice: {message}");
        }
    }
    let megabytes = memory(listening.pid(), "VmHWM").map(|bytes| bytes / 1_024_000);
    println!("{meanwhile} of {messages} were there when `chats` answered; at most {megabytes:?} MB resident");
    assert_eq!(unread(home.run(&["chats", "--profile", "bob"]).ok()), messages);
    assert_eq!(listening.interrupt(), Some(0));
    megabytes
}

fn bytes(random: &mut impl RngCore, most: u32) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(random.next_u32() % most).unwrap()];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Fields with numbers and types that exist, and whatever in them; inside of some of them, more of that.
fn protobuf(random: &mut impl RngCore, depth: u32) -> Vec<u8> {
    let mut fields = Vec::new();
    for _ in 0..random.next_u32() % 6 {
        let number = random.next_u32() % 20 + 1;
        // Tags of fields up to 15 have one byte.
        let mut varint = |mut value: u64| {
            while value >= 0x80 {
                fields.push(value as u8 | 0x80);
                value >>= 7;
            }
            fields.push(value as u8);
        };
        if random.next_u32().is_multiple_of(2) {
            varint(u64::from(number << 3));
            varint(random.next_u64() >> (random.next_u32() % 64));
        } else {
            let inner = if depth > 0 { protobuf(random, depth - 1) } else { bytes(random, 40) };
            varint(u64::from(number << 3 | 2));
            varint(inner.len() as u64);
            fields.extend(inner);
        }
    }
    fields
}

fn text(words: &str, name: &str, at: Timestamp) -> Content {
    Content::with_data(DataMessage::text(words, None).with_profile_name(name), at)
}

/// Everything somebody may say who wishes nobody well, about a message of bob's that was sent at `target`.
fn rubbish(bob: &AccountId, target: u64, start: u64, seed: u64) -> Vec<(Timestamp, Vec<u8>)> {
    let mut random = rng(seed);
    let mut at = start;
    let mut next = || {
        at += 1;
        Timestamp(at)
    };
    let mut all = Vec::new();
    for _ in 0..200 {
        all.push((next(), bytes(&mut random, 500)));
        all.push((next(), protobuf(&mut random, 4)));
        // Something proper, with a byte changed.
        let at = next();
        let mut content = text("proper", "Mallory", at).to_bytes();
        let place = usize::try_from(random.next_u32()).unwrap() % content.len();
        content[place] ^= 1 << (random.next_u32() % 8);
        all.push((at, content));
    }
    let mut say = |content: &dyn Fn(Timestamp) -> Content| {
        let at = next();
        all.push((at, content(at).to_bytes()));
    };
    let huge = "x".repeat(60_000);
    let hostile = [
        "\u{0}\u{1}\u{7}\u{1b}[2J\u{1b}]0;owned\u{7}",
        "line\nline\r\nline",
        "\u{202e}gpj.exe\u{202c}\u{2066}\u{2069}",
        "\u{200b}\u{200d}\u{feff}",
        "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "\u{10ffff}\u{fffe}",
        "",
        " ",
    ];
    for name in hostile.into_iter().chain([huge.as_str()]) {
        say(&|at| text("my name", name, at));
        say(&|at| text(name, "Mallory", at));
    }
    for number in 0..1_000u32 {
        // All emoji there are, and then some.
        let emoji =
            char::from_u32(0x1f300 + number % 700).unwrap().to_string().repeat(1 + number as usize / 700);
        let reaction = data_message::Reaction {
            id: target,
            author: bob.to_hex(),
            emoji: Some(emoji),
            action: data_message::reaction::Action::React.into(),
        };
        let data = DataMessage { reaction: Some(reaction), ..DataMessage::default() };
        say(&|at| Content::with_data(data.clone(), at));
    }
    let reaction = |emoji: &str, author: &str| {
        let reaction = data_message::Reaction {
            id: target,
            author: author.to_owned(),
            emoji: Some(emoji.to_owned()),
            action: data_message::reaction::Action::React.into(),
        };
        DataMessage { reaction: Some(reaction), ..DataMessage::default() }
    };
    for data in [reaction(&huge, &bob.to_hex()), reaction("👍", &huge), reaction("\u{1b}[2J", &bob.to_hex())]
    {
        say(&|at| Content::with_data(data.clone(), at));
    }
    let receipt = ReceiptMessage {
        r#type: receipt_message::Type::Read.into(),
        timestamp: (0..8_000).map(|n| target + n).collect(),
    };
    say(&|at| Content { receipt_message: Some(receipt.clone()), ..Content::at(at) });
    // What bob wrote is not theirs to take back, whoever they say they are.
    for author in [bob.to_hex(), huge.clone(), String::new()] {
        let unsend = UnsendRequest { timestamp: target, author };
        say(&|at| Content { unsend_request: Some(unsend.clone()), ..Content::at(at) });
    }
    // From the beginning and from the end of time.
    for at in [0, 1, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        all.push((Timestamp(at), text("from another time", "Mallory", Timestamp(at)).to_bytes()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_that_can_be_opened_harms_nobody_and_hides_nothing() {
    let seed = common::seed();
    let net = InProcess::start(5, |_| Hooks::default()).await;
    let alice = Device::of(&net, personas::alice(), "alice", 1);
    let bob = Device::of(&net, personas::bob(), "bob", 1);
    let mallory = account(personas::eve());
    alice.says(bob.id, "hello bob").await;
    bob.reads(alice.id, "hello bob").await;
    // Somebody bob has written to can do more than a stranger.
    let to_mallory = bob.client.send_text(mallory.id(), "who are you?").await.unwrap();

    let said = rubbish(&bob.id, to_mallory.sent_at, to_mallory.sent_at + 1, seed);
    let mut random = rng(seed);
    let sealed: Vec<Vec<u8>> = said
        .iter()
        .map(|(at, content)| doors::seal_message(&mallory, &bob.id, content, *at, &mut random).unwrap())
        .collect();
    put(&net, &bob.id, &sealed).await;
    alice.says(bob.id, "still there?").await;
    // Members give what they have in the order in which they got it: all of the rubbish comes before this.
    bob.reads(alice.id, "still there?").await;
    assert_eq!(bob.said(alice.id).await, ["hello bob", "still there?"]);

    let (chats, history) = (bob.client.chats().await.unwrap(), bob.client.history(mallory.id(), 1_000).await);
    let own = bob.client.find_message(to_mallory.id.as_str()).await.unwrap();
    assert_eq!(own.text, "who are you?");
    assert!(own.reactions.len() <= 20, "{} reactions of one", own.reactions.len());
    for reaction in &own.reactions {
        assert!(reaction.emoji.len() <= 64 && !reaction.emoji.chars().any(char::is_control));
    }
    for message in history.unwrap() {
        assert!(message.text.chars().count() <= 10_000);
        let name = message.from_name.unwrap_or_default();
        assert!(!name.chars().any(char::is_control) && name.len() <= 200, "{name:?}");
    }
    for line in &chats {
        let name = line.name.clone().unwrap_or_default();
        assert!(!name.chars().any(char::is_control) && name.len() <= 200, "{name:?}");
    }
    // And on it goes, both ways.
    bob.says(alice.id, "here I am").await;
    alice.reads(bob.id, "here I am").await;
    bob.says(*mallory.id(), "nice try").await;
    alice.stop().await;
    bob.stop().await;
    net.stop().await;
}
