//! Commands on a machine whose network does not answer: what they refuse, what they say, how they end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// A data directory and how to run commands on it. Nothing of the caller's environment leaks in.
struct Home(tempfile::TempDir);

impl Home {
    /// With a network of which nothing is there.
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let key = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";
        let file = json!({
            "network_id": "one", "registry_key": key,
            "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
            "seeds": [{"url": "https://127.0.0.1:9/json_rpc", "pubkey_ed25519": key}],
        });
        std::fs::write(home.0.path().join("network.json"), file.to_string()).unwrap();
        home
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
        command.arg("--json").args(args).env("CONCLAVE_DATA_DIR", self.0.path());
        for variable in [
            "CONCLAVE_NETWORK",
            "CONCLAVE_PASSPHRASE",
            "CONCLAVE_NEW_PASSPHRASE",
            "CONCLAVE_PHRASE",
            "RUST_LOG",
        ] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Waits until a process owns the profile and answers.
    fn wait_for_owner(&self, profile: &str) {
        let owned = |line: &Value| {
            line["profile"] == profile && line["running"] == true && line["account_id"].is_string()
        };
        let answers = (0..2_000).any(|_| lines(&self.run(&["account", "list"])).iter().any(owned));
        assert!(answers, "nobody owns {profile}");
    }

    /// Makes an account, and gives its id.
    fn account(&self, profile: &str) -> String {
        let made = self.run(&["account", "create", "--name", profile, "--profile", profile]);
        assert!(made.status.success(), "{made:?}");
        lines(&made)[0]["account_id"].as_str().unwrap().to_owned()
    }
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn failure(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    lines(output).pop().unwrap()
}

/// A program that goes on until it is ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_message_that_is_too_large_ends_the_door_for_bots_and_it_says_so() {
    let home = Home::new();
    home.account("p");
    let mut rpc = home.command(&["rpc", "--profile", "p"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = rpc.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        input.write_all(b"{\"id\":1,\"method\":\"account\"}\n").unwrap();
        // It need not read all of it.
        let _ = input.write_all(&vec![b'x'; 2 * 1024 * 1024]);
    });
    let ended = rpc.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let said = lines(&ended);
    // In any order: what was asked before is answered when it is done.
    assert!(said.iter().any(|line| line["result"]["name"] == "p"), "{said:?}");
    assert!(said.iter().any(|line| line["error"]["code"] == -32_700), "{said:?}");

    // For people's eyes, on standard error.
    let mut rpc = Command::new(env!("CARGO_BIN_EXE_conclave"))
        .args(["rpc", "--profile", "p", "--data-dir"])
        .arg(home.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = rpc.stdin.take().unwrap().write_all(&vec![b'x'; 2 * 1024 * 1024]);
    let ended = rpc.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("a message has at most 1048576 bytes"), "{said}");
}

#[test]
fn there_is_no_empty_passphrase() {
    let home = Home::new();
    let empty = home.0.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let create = ["account", "create", "--name", "P", "--profile", "p"];
    let with_file = home.run(&[&create[..], &["--passphrase-file", empty.to_str().unwrap()]].concat());
    let with_variable = home.command(&create).env("CONCLAVE_PASSPHRASE", "").output().unwrap();
    for refused in [with_file, with_variable] {
        assert_eq!(failure(&refused, 2)["kind"], "empty_passphrase");
    }
    assert!(!home.0.path().join("profiles/p").exists(), "nothing is made");

    home.account("p");
    let changed = home
        .command(&["account", "passphrase", "--profile", "p"])
        .env("CONCLAVE_NEW_PASSPHRASE", "")
        .output();
    assert_eq!(failure(&changed.unwrap(), 2)["kind"], "empty_passphrase");
    // To open a profile that has none, an empty variable is as good as none, and any other is named.
    let show = ["account", "show", "--profile", "p"];
    assert!(home.command(&show).env("CONCLAVE_PASSPHRASE", "").output().unwrap().status.success());
    let given = home.command(&show).env("CONCLAVE_PASSPHRASE", "secret").output().unwrap();
    let refused = failure(&given, 2);
    assert_eq!(refused["kind"], "no_passphrase_needed");
    assert!(refused["hint"].as_str().unwrap().contains("leave out --passphrase-file"), "{refused}");
}

#[cfg(unix)]
#[test]
fn the_doctor_sees_what_others_can_read_and_says_what_to_type() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    home.account("p");
    let dir = home.0.path().join("profiles/p");
    let rights = || {
        let found = home.run(&["doctor", "--profile", "p"]);
        lines(&found).into_iter().find(|line| line["check"] == "rights").unwrap()
    };
    assert_eq!(rights()["result"], "ok");
    for (path, mode) in [(dir.clone(), 0o755), (dir.join("key.json"), 0o644)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let seen = rights();
        assert_eq!(seen["result"], "warning", "{seen}");
        assert!(seen["detail"].as_str().unwrap().contains(path.to_str().unwrap()), "{seen}");
        let hint = seen["hint"].as_str().unwrap();
        assert!(hint.starts_with("chmod "), "{hint}");
        assert!(Command::new("sh").arg("-c").arg(hint).status().unwrap().success(), "{hint}");
        assert_eq!(rights()["result"], "ok", "what was said to be typed helps");
    }
}

#[test]
fn a_locked_profile_is_said_to_be_locked_and_how_it_is_unlocked() {
    let home = Home::new();
    let secret = home.0.path().join("secret");
    std::fs::write(&secret, "a passphrase").unwrap();
    let secret = secret.to_str().unwrap();
    let made = home.run(&["account", "create", "--name", "P", "--profile", "p", "--passphrase-file", secret]);
    let id = lines(&made)[0]["account_id"].clone();
    let mut listen =
        Running(home.command(&["listen", "--profile", "p", "--passphrase-file", secret]).spawn().unwrap());
    let mut heard = BufReader::new(listen.0.stdout.take().unwrap()).lines();
    home.wait_for_owner("p");
    let sent =
        home.run(&["send", "--profile", "p", "--passphrase-file", secret, "--timeout", "0", "me", "hi"]);
    assert_eq!(sent.status.code(), Some(3), "{sent:?}");
    assert!(heard.any(|line| line.unwrap().contains("\"message\"")));
    let listed = |home: &Home| lines(&home.run(&["account", "list"]))[0]["account_id"].clone();
    assert_eq!(listed(&home), id, "its owner says who it is");
    assert!(home.run(&["lock", "--profile", "p"]).status.success());

    for command in [
        &["chats", "--profile", "p"][..],
        &["history", "me", "--profile", "p"],
        &["contact", "list", "--profile", "p"],
    ] {
        let locked = home.run(command);
        let error = failure(&locked, 1);
        assert_eq!(error["kind"], "locked");
        assert!(error["hint"].as_str().unwrap().contains("conclave unlock --profile p"), "{error}");
        let said = String::from_utf8_lossy(&locked.stderr).into_owned();
        assert!(!said.contains("known before"), "{said}");
    }
    assert_eq!(listed(&home), Value::Null);
    drop(listen);
    assert_eq!(listed(&home), Value::Null, "it takes the passphrase to know");
}

#[test]
fn the_profiles_are_listed_with_the_accounts_in_them() {
    let home = Home::new();
    let ids = [home.account("a"), home.account("b")];
    let listed = lines(&home.run(&["account", "list"]));
    let shown: Vec<_> = listed.iter().map(|line| line["account_id"].as_str().unwrap()).collect();
    assert_eq!(shown, ids);
}

#[test]
fn a_timer_that_changes_nothing_is_said_to() {
    let home = Home::new();
    home.account("p");
    let unchanged = home.run(&["chat", "timer", "--profile", "p", "me", "off"]);
    assert!(unchanged.status.success(), "{unchanged:?}");
    assert_eq!(lines(&unchanged), [json!({"event": "done", "unchanged": true})]);
    // It is set on this device at once, though the network knows nothing of it yet.
    let timer = ["chat", "timer", "--profile", "p", "--timeout", "0", "me", "after-send", "1d"];
    failure(&home.run(&timer), 3);
    assert_eq!(lines(&home.run(&timer)), [json!({"event": "done", "unchanged": true})]);
    failure(&home.run(&["chat", "timer", "--profile", "p", "me", "off", "1d"]), 2);
}

#[test]
fn no_proxy_is_named_in_two_ways() {
    let home = Home::new();
    home.account("p");
    let set =
        |value: &str| lines(&home.run(&["settings", "--profile", "p", "--preview-proxy", value]))[0].clone();
    for none in ["off", "none"] {
        assert_eq!(set("127.0.0.1:9050")["preview_proxy"], "127.0.0.1:9050");
        let settings = set(none);
        assert_eq!(
            (&settings["event"], &settings["preview_proxy"]),
            (&"settings".into(), &Value::Null),
            "{none}"
        );
    }
}

#[test]
fn a_second_listen_takes_over_when_the_first_is_killed() {
    let home = Home::new();
    home.account("p");
    let listen = || {
        let mut running =
            Running(home.command(&["listen", "--profile", "p"]).stderr(Stdio::null()).spawn().unwrap());
        let heard = BufReader::new(running.0.stdout.take().unwrap()).lines();
        (running, heard)
    };
    let send = |text: &str| {
        let sent = home.run(&["send", "--profile", "p", "--timeout", "0", "me", text]);
        assert_eq!(sent.status.code(), Some(3), "{sent:?}");
    };
    let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().map(str::to_owned);
    let (first, mut heard_first) = listen();
    home.wait_for_owner("p");
    send("one");
    assert!(heard_first.any(|line| text(&line.unwrap()).as_deref() == Some("one")));
    let (second, heard_second) = listen();
    let (tell, heard_second) = {
        let (tell, told) = std::sync::mpsc::channel();
        (
            std::thread::spawn(move || {
                heard_second.map_while(Result::ok).try_for_each(|line| tell.send(line))
            }),
            told,
        )
    };
    // A change of the profile is told to all that listen: when the second hears of one, it is attached.
    let attached = (0..500).any(|number| {
        home.run(&["account", "rename", "--profile", "p", "--timeout", "0", &format!("Q{number}")]);
        heard_second.try_iter().any(|line| line.contains("profile_changed"))
    });
    assert!(attached, "the second has heard nothing");
    drop(first);
    // Whoever sends either finds the second as owner, or is the owner for a moment, and the second comes after it.
    send("two");
    send("three");
    let mut texts = Vec::new();
    while texts.len() < 2 {
        texts.extend(text(&heard_second.recv().unwrap()));
    }
    assert_eq!(texts, ["two", "three"]);
    drop(second);
    let _ = tell.join().unwrap();
}
