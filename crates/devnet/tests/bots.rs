//! Programs of other languages through `conclave rpc`, over a real network.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use common::{Home, Net, conclave, example};
use serde_json::json;

#[test]
fn a_bot_that_knows_only_python_accepts_reads_and_answers() {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|python| python.status.success()) {
        // Where everything has to run, it has to be there.
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("not tested: python3 is not installed");
        return;
    }
    let mut bot = Command::new("python3");
    bot.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/echo_bot.py")).args(["--profile", "bot"]);
    answers_as_an_echo(bot, |bot, home| {
        bot.env("CONCLAVE", conclave()).env("CONCLAVE_DATA_DIR", home.path());
    });
}

#[test]
fn a_bot_of_forty_lines_on_the_sdk_accepts_reads_and_answers() {
    let source = include_str!("../../client/examples/echo_bot.rs");
    assert!(source.lines().count() < 40);
    answers_as_an_echo(Command::new(example("echo_bot")), |bot, home| {
        bot.arg(home.path()).arg("bot");
    });
}

fn answers_as_an_echo(mut bot: Command, configure: impl FnOnce(&mut Command, &Home)) {
    let home = Home::new();
    let net = Net::start(&home, 5);
    home.account("bot");
    home.account("alice");
    configure(&mut bot, &home);
    let mut bot = bot.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(bot.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let id = line.trim().strip_prefix("running as ").unwrap().to_owned();

    for text in ["Is anybody there?", "日本語 and \"quotes\"\nand lines"] {
        let sent = home.send("alice", &id, text);
        let answers = home.listen("alice", 1);
        assert_eq!((&answers[0]["text"], &answers[0]["from"]), (&text.into(), &id.as_str().into()));
        assert_eq!(answers[0]["reply_to"]["id"], sent["id"], "it answers what was said");
    }
    bot.kill().unwrap();
    bot.wait().unwrap();
    drop(net);
}

#[test]
fn requests_on_standard_input_are_answered_until_it_ends() {
    let home = Home::new();
    let net = Net::start(&home, 4);
    home.account("alice");
    let mut rpc = home.start(&["rpc", "--profile", "alice"]);
    let account = rpc.answer("account", json!({}));
    assert_eq!(account["result"]["name"], "alice");
    rpc.answer("subscribe", json!({}));
    let sent = rpc.answer("send", json!({"to": "me", "text": "a note"}));
    let id = sent["result"]["id"].clone();
    let stored = rpc.answer("wait_for", json!({"id": id, "state": "stored", "timeout_ms": 90_000}));
    assert_eq!(stored["result"]["state"], "stored", "{stored}");
    let wrong = rpc.answer("send", json!({"to": "nobody of this name", "text": "x"}));
    assert_eq!(
        (&wrong["error"]["code"], &wrong["error"]["data"]["kind"]),
        (&(-32000).into(), &"unknown_recipient".into())
    );
    let typo = rpc.answer("send", json!({"to": "me", "txt": "x"}));
    assert!(typo["error"]["message"].as_str().unwrap().contains("text"), "it names what there is: {typo}");
    // Paths are those of the program that asks, also through the process of another program, which is somewhere else.
    let folder = home.path().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("here.txt"), "found").unwrap();
    let mut other = home.start_with(&["rpc", "--profile", "alice"], |command| {
        command.current_dir(&folder);
    });
    let note = other.ask("send", json!({"to": "me", "attachments": [{"path": "here.txt"}]}));
    let saved = other.ask("save_file", json!({"id": note["id"], "to": "copy.txt"}));
    assert_eq!(saved["attachments"][0]["path"], folder.join("copy.txt").to_str().unwrap());
    assert_eq!(std::fs::read(folder.join("copy.txt")).unwrap(), b"found");
    assert_eq!(other.end_of_input(), Some(0));
    // Another command on the same profile meanwhile.
    let history = home.run(&["history", "me", "--profile", "alice", "--offline"]).ok().events("message");
    assert_eq!(history[0]["text"], "a note");
    assert_eq!(rpc.end_of_input(), Some(0));
    drop(net);
}
