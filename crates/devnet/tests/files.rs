//! Files between two people over real nodes: without a file server, across kills at either end and of nodes.
//!
//! By default some megabytes; with `CONCLAVE_LONG=1` a whole gibibyte. Peak memory of every process is printed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use common::{Home, Net, Running, memory, signal};
use conclave_crypto::hash::Blake2b;
use conclave_testkit::seeds::is_long;
use serde_json::{Value, json};

/// A file of so many bytes, each different from its neighbours, written a piece at a time.
fn write_file(path: &Path, size: u64) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut written = 0;
    for number in 0_u64.. {
        let piece: [u8; 64] = Blake2b::new().hash(&[&number.to_be_bytes()]);
        let now = usize::try_from((size - written).min(64)).unwrap();
        file.write_all(&piece[..now]).unwrap();
        written += now as u64;
        if written == size {
            break;
        }
    }
    file.flush().unwrap();
}

fn digest(path: &Path) -> [u8; 32] {
    let mut hash = Blake2b::new().start::<32>();
    let mut file = std::fs::File::open(path).unwrap();
    let mut piece = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut piece).unwrap() {
            0 => return hash.finish(),
            read => drop(hash.update(&piece[..read])),
        }
    }
}

/// The most memory a process has had, in KiB.
fn peak(pid: u32) -> u64 {
    memory(pid, "VmHWM").unwrap_or(0) / 1024
}

/// All files below a folder.
fn files_below(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}

/// Chunks on the disks of all nodes.
fn chunks_on_nodes(home: &Home) -> usize {
    let nodes = std::fs::read_dir(home.path().join("network/nodes")).unwrap();
    nodes.map(|node| files_below(&node.unwrap().path().join("chunks")).len()).sum()
}

fn path_of(message: &Value) -> Option<PathBuf> {
    message["attachments"][0]["path"].as_str().map(PathBuf::from)
}

#[test]
fn a_file_arrives_as_it_was_and_goes_with_its_message() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    let (_, bob) = home.acquainted();
    let source = home.path().join("päper \u{202e}fdp.txt");
    write_file(&source, 700_000);
    let sent = home
        .run(&["send", "--profile", "alice", "--attach", source.to_str().unwrap(), &bob, "the paper"])
        .ok();
    let id = sent.event("stored")["id"].as_str().unwrap().to_owned();
    assert_eq!(sent.event("stored")["signed"], 5);
    assert!(chunks_on_nodes(&home) >= 4 * 3, "three chunks and their list, at a majority of five or more");

    let mut listening = home.start(&["listen", "--profile", "bob", "--count", "1"]);
    let heard = listening.until("message");
    let file = &heard["attachments"][0];
    assert_eq!(
        (&heard["text"], &file["size"], &file["content_type"]),
        (&"the paper".into(), &700_000.into(), &"text/plain".into())
    );
    assert_eq!(file["path"], Value::Null, "a file that is not here is nowhere");
    let path = loop {
        if let Some(path) = path_of(&listening.until("changed")) {
            break path;
        }
    };
    assert_eq!(listening.end_of_input(), Some(0), "it ends when the files are here");
    assert_eq!(digest(&path), digest(&source));
    assert_eq!(path.parent().unwrap(), home.path().join("profiles/bob/downloads"));
    assert_eq!(path.file_name().unwrap(), "päper _fdp.txt");

    // Elsewhere, under a name of its own.
    let folder = home.path().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let saved =
        home.run(&["save", &id, "--profile", "bob", "--to", folder.to_str().unwrap()]).ok().event("saved");
    assert_eq!(digest(Path::new(saved["path"].as_str().unwrap())), digest(&source));

    // What is in the profiles is encrypted.
    let content = std::fs::read(&source).unwrap();
    for profile in ["alice", "bob"] {
        let blobs = files_below(&home.path().join("profiles").join(profile).join("files"));
        assert_eq!(blobs.len(), 1, "{profile}");
        let blob = std::fs::read(&blobs[0]).unwrap();
        assert!(!blob.windows(32).any(|window| window == &content[..32]), "{profile}");
    }

    home.run(&["delete", &id, "--from", "everywhere", "--profile", "alice"]).ok();
    let deleting = home.start(&["listen", "--profile", "alice"]);
    let mut hearing = home.start(&["listen", "--profile", "bob"]);
    hearing.until("changed");
    // Deleting is told by nobody: it is looked for.
    until_so("the swarms have forgotten it", || chunks_on_nodes(&home) == 0);
    until_so("and so has who got it", || !path.exists());
    for profile in ["alice", "bob"] {
        let left = files_below(&home.path().join("profiles").join(profile).join("files"));
        assert_eq!(left, Vec::<PathBuf>::new());
    }
    assert_eq!((deleting.interrupt(), hearing.interrupt()), (Some(0), Some(0)));
    net.stop();
}

#[test]
fn a_stranger_s_file_is_fetched_only_when_it_is_asked_for() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    home.account("alice");
    let bob = home.account("bob");
    let source = home.path().join("a.bin");
    write_file(&source, 1_000);
    let sent = home.run(&["send", "--profile", "alice", "--attach", source.to_str().unwrap(), &bob]).ok();
    let id = sent.event("stored")["id"].as_str().unwrap().to_owned();
    let heard = home.listen("bob", 1).remove(0);
    assert_eq!((&heard["request"], &heard["text"]), (&true.into(), &"".into()));
    assert_eq!(heard["attachments"][0]["state"], "remote");
    assert_eq!(files_below(&home.path().join("profiles/bob/files")), Vec::<PathBuf>::new());
    let to = home.path().join("saved.bin");
    home.run(&["save", &id, "--profile", "bob", "--to", to.to_str().unwrap()]).ok();
    assert_eq!(digest(&to), digest(&source));
    let taken = home.run(&["save", &id, "--profile", "bob", "--to", to.to_str().unwrap()]);
    assert!(
        taken.fails_with(1)["message"].as_str().unwrap().contains("saved.bin"),
        "nothing is written over"
    );
    let none = home.run(&["save", &id, "2", "--profile", "bob"]);
    assert_eq!(none.fails_with(2)["kind"], "no_such_file");

    // Several go into a folder, which is made; a file that is in its place is left alone.
    let source = source.to_str().unwrap();
    let both =
        home.run(&["send", "--profile", "alice", "--attach", source, "--attach", source, &bob, "twice"]).ok();
    let id = both.event("stored")["id"].as_str().unwrap().to_owned();
    home.listen("bob", 1);
    let folder = home.path().join("new/folder");
    let saved = home.run(&["save", &id, "--profile", "bob", "--to", folder.to_str().unwrap()]).ok();
    assert_eq!(saved.events("saved").len(), 2);
    assert_eq!(files_below(&folder).len(), 2);
    home.run(&["save", &id, "--profile", "bob", "--to", to.to_str().unwrap()]).fails_with(1);
    assert_eq!(digest(&to), digest(Path::new(source)));
    net.stop();
}

/// Reads on until so much of a file has moved.
fn until_moved(running: &mut Running, percent: u64) {
    loop {
        let progress = running.until("file_progress");
        let (done, total) = (progress["done"].as_u64().unwrap(), progress["total"].as_u64().unwrap());
        if done * 100 >= total * percent {
            return;
        }
    }
}

/// Waits until something is so that nobody tells.
fn until_so(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("not within two minutes: {what}");
}

#[test]
fn a_file_whose_message_is_taken_back_is_sent_no_further_and_leaves_the_swarms() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    let (_, bob) = home.acquainted();
    let source = home.path().join("film.bin");
    write_file(&source, 40_000_000);
    let mut rpc = home.start(&["rpc", "--profile", "alice"]);
    rpc.ask("subscribe", json!({}));
    let sent = rpc.ask("send", json!({"to": bob, "attachments": [{"path": source}]}));
    // As a program sees it: some of it is there.
    while rpc.next()["params"]["event"] != "file_progress" {}
    until_so("chunks on nodes", || chunks_on_nodes(&home) > 0);
    let state = rpc.ask("take_back", json!({"id": sent["id"]}));
    assert_eq!(state["state"], "failed", "{state}");
    let found = rpc.ask("find_message", json!({"id": sent["id"]}));
    assert_eq!(found["attachments"][0]["state"], "here", "{found}");
    until_so("no chunk on any node", || chunks_on_nodes(&home) == 0);
    // It can be sent again, under a key that no node has seen deletions by.
    let again = rpc.ask("send_again", json!({"id": sent["id"]}));
    let stored = rpc.ask("wait_for", json!({"id": again["id"], "state": "stored", "timeout_ms": 120_000}));
    assert_eq!(stored["state"], "stored");
    assert_eq!(rpc.end_of_input(), Some(0));
    net.stop();
}

#[test]
fn what_listen_was_fetching_when_it_was_killed_is_written_by_who_comes_next() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    let (_, bob) = home.acquainted();
    let source = home.path().join("film.bin");
    write_file(&source, 20_000_000);
    home.run(&["send", "--profile", "alice", "--timeout", "120", "--attach", source.to_str().unwrap(), &bob])
        .ok();
    let mut listening = home.start(&["listen", "--profile", "bob"]);
    until_moved(&mut listening, 20);
    listening.kill();
    // Nothing that knows of it; the message was printed by the one that is gone.
    let next = home.start(&["listen", "--profile", "bob", "--no-download"]);
    let downloads = home.path().join("profiles/bob/downloads");
    until_so("the file in downloads", || {
        files_below(&downloads).first().is_some_and(|path| path.metadata().unwrap().len() == 20_000_000)
    });
    assert_eq!(next.interrupt(), Some(0));
    assert_eq!(digest(&files_below(&downloads)[0]), digest(&source));
    net.stop();
}

#[test]
fn a_large_file_crosses_kills_of_both_ends_and_of_two_nodes_in_little_memory() {
    let size: u64 = if is_long() { 1 << 30 } else { 30_000_000 };
    let home = Home::new();
    let net = Net::start(&home, 12);
    let (_, bob) = home.acquainted();
    let source = home.path().join("large.bin");
    write_file(&source, size);
    let mut peaks: Vec<(&str, u64)> = Vec::new();

    // Ended as by a power cut while it is sent, and gone on with.
    let attach = source.to_str().unwrap();
    let mut listening = home.start(&["listen", "--profile", "alice"]);
    let sending =
        home.start(&["send", "--profile", "alice", "--timeout", "600", "--attach", attach, &bob, "large"]);
    until_moved(&mut listening, 30);
    peaks.push(("sender", peak(listening.pid())));
    listening.kill();
    sending.kill();
    // What was encrypted is all that is needed.
    let wanted = digest(&source);
    std::fs::remove_file(&source).unwrap();
    let mut listening = home.start(&["listen", "--profile", "alice"]);
    until_moved(&mut listening, 50);
    let nodes = net.nodes();
    signal(nodes[0].0, "KILL");
    signal(nodes[7].0, "KILL");
    loop {
        let state = listening.until("state");
        if state["state"] == "stored" {
            break;
        }
    }
    peaks.push(("sender, again", peak(listening.pid())));
    assert_eq!(listening.interrupt(), Some(0));

    let mut fetching = home.start(&["listen", "--profile", "bob"]);
    let heard = fetching.until("message");
    let id = heard["id"].as_str().unwrap().to_owned();
    let shown = (&heard["text"], &heard["attachments"][0]["size"]);
    assert_eq!(shown, (&"large".into(), &size.into()), "and nothing of what other programs read");
    let asking = home.start(&["save", &id, "--profile", "bob", "--timeout", "600"]);
    until_moved(&mut fetching, 40);
    peaks.push(("receiver", peak(fetching.pid())));
    fetching.kill();
    assert_eq!(asking.wait(), Some(1), "it went with the owner of the profile");
    let to = home.path().join("arrived.bin");
    let saving = home.start(&["listen", "--profile", "bob", "--no-download"]);
    let save =
        home.start(&["save", &id, "--profile", "bob", "--timeout", "120", "--to", to.to_str().unwrap()]);
    assert_eq!(save.wait(), Some(0));
    peaks.push(("receiver, again", peak(saving.pid())));
    for (number, (pid, _)) in nodes.iter().enumerate().filter(|(number, _)| ![0, 7].contains(number)) {
        println!("node {number}: peak {} KiB", peak(*pid));
    }
    println!("{size} bytes; peaks in KiB: {peaks:?}");
    assert_eq!(saving.interrupt(), Some(0));
    assert_eq!(digest(&to), wanted);
    net.stop();
}
