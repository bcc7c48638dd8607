//! The real binary on real loopback sockets, driven as a person or a script would drive it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

pub mod devices;
pub mod in_process;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use conclave_testkit::seeds;
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;

/// No single command of a test may take longer. Not an assertion about speed: a guard against hanging for ever.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// The seed of this run: the one that was asked for, or any, printed so that it can be given again.
pub fn seed() -> u64 {
    let seed = seeds::asked_for().map_or_else(|| OsRng.next_u64(), |asked| asked.start);
    println!("CONCLAVE_SEED={seed}");
    seed
}

/// The `conclave` program, built from the tree under test.
pub fn conclave() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        build(&["-p", "conclave-cli"]).join(format!("conclave{}", std::env::consts::EXE_SUFFIX))
    })
}

/// An example of the SDK, built from the tree under test.
pub fn example(name: &str) -> PathBuf {
    let built = build(&["-p", "conclave-client", "--example", name]);
    built.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Builds something as this test was built, and gives the folder it lies in.
fn build(what: &[&str]) -> PathBuf {
    // target/PROFILE/deps/this-test → target/PROFILE
    let test = std::env::current_exe().unwrap();
    let profile_dir = test.parent().unwrap().parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet"]).args(what).arg("--target-dir");
    build.arg(profile_dir.parent().unwrap());
    if profile_dir.file_name().unwrap() == "release" {
        build.arg("--release");
    }
    // What Cargo tells a running test about its package is not about the program: build scripts that look at it would
    // run again, and with them all that depends on them.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_BIN_"]
            .iter()
            .any(|own| text.starts_with(own))
        {
            build.env_remove(name);
        }
    }
    build.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    assert!(build.status().unwrap().success(), "the program does not build");
    profile_dir.to_owned()
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Standard output as JSON lines; fails on a line that is none.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: not a JSON line: {line}")))
            .collect()
    }

    /// The first line with this `event`.
    pub fn event(&self, name: &str) -> Value {
        self.lines()
            .into_iter()
            .find(|line| line["event"] == name)
            .unwrap_or_else(|| panic!("no event {name:?} in {self:#?}"))
    }

    /// All lines with this `event`.
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == name).collect()
    }

    /// This, if the command did what it should.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// The error line, if the command failed with this exit code, a hint, and nothing like a panic.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        let error = self.event("error");
        for key in ["kind", "message", "hint"] {
            assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "no {key}: {error}");
        }
        error
    }
}

/// A data directory and how to run commands on it. Nothing of the caller's environment leaks in.
#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(conclave());
        command.arg("--json").args(args).env("CONCLAVE_DATA_DIR", self.path());
        for variable in ["CONCLAVE_NETWORK", "CONCLAVE_PASSPHRASE", "CONCLAVE_PHRASE", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Finished {
        self.run_with(args, |_| ())
    }

    /// Runs a command that `adjust` has changed, to its end.
    pub fn run_with(&self, args: &[&str], adjust: impl FnOnce(&mut Command)) -> Finished {
        let mut command = self.command(args);
        adjust(&mut command);
        finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Starts a command whose lines are read while it runs.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_with(args, |_| ())
    }

    /// Starts a command that `adjust` has changed, whose lines are read while it runs.
    pub fn start_with(&self, args: &[&str], adjust: impl FnOnce(&mut Command)) -> Running {
        let mut command = self.command(args);
        adjust(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(command.spawn().unwrap())
    }

    /// Makes an account and gives its id.
    pub fn account(&self, profile: &str) -> String {
        let made = self.run(&["account", "create", "--name", profile, "--profile", profile]).ok();
        made.lines()[0]["account_id"].as_str().unwrap().to_owned()
    }

    /// Two people who know each other, alice and bob.
    pub fn acquainted(&self) -> (String, String) {
        let (alice, bob) = (self.account("alice"), self.account("bob"));
        self.send("alice", &bob, "hello");
        self.listen("bob", 1);
        self.send("bob", &alice, "hello yourself");
        self.listen("alice", 1);
        (alice, bob)
    }

    /// Sends a text and gives the `stored` line.
    #[track_caller]
    pub fn send(&self, from: &str, to: &str, text: &str) -> Value {
        let sent = self.run(&["send", "--profile", from, "--timeout", "90", "--", to, text]).ok();
        let queued = sent.event("queued");
        let stored = sent.event("stored");
        assert_eq!(queued["id"], stored["id"]);
        stored
    }

    /// Waits for `count` messages that no listen has printed yet.
    #[track_caller]
    pub fn listen(&self, profile: &str, count: usize) -> Vec<Value> {
        let heard = self
            .run(&["listen", "--profile", profile, "--count", &count.to_string(), "--timeout", "90"])
            .ok();
        let messages = heard.events("message");
        assert_eq!(messages.len(), count, "{heard:#?}");
        messages
    }
}

fn finish(mut child: Child) -> Finished {
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            from.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let (stdout, stderr) = (read(Box::new(stdout)), read(Box::new(stderr)));
    let code = wait(&mut child);
    Finished { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Waits for the end, within the limit. Polling is all the standard library offers here; nothing is synchronised by it.
fn wait(child: &mut Child) -> Option<i32> {
    let started = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if started.elapsed() > COMMAND_LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("a command ran for more than {COMMAND_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command that is still running; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    fn new(mut child: Child) -> Self {
        let stdout = child.stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = std::io::Read::read_to_end(&mut stderr, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, lines, stderr: Some(stderr) }
    }

    /// The next JSON line.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        match self.lines.recv_timeout(COMMAND_LIMIT) {
            Ok(line) => serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")),
            Err(_) => {
                let _ = self.child.kill();
                let stderr = self.stderr.take().map(|reader| reader.join().unwrap());
                panic!("the command ended or hung without a further line; it said: {stderr:?}");
            }
        }
    }

    /// Reads on until a line with this `event`.
    #[track_caller]
    pub fn until(&mut self, event: &str) -> Value {
        loop {
            let line = self.next();
            if line["event"] == event {
                return line;
            }
            assert_ne!(line["event"], "error", "{line}");
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop as Ctrl-C does, and waits.
    pub fn interrupt(mut self) -> Option<i32> {
        signal(self.child.id(), "INT");
        wait(&mut self.child)
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Option<i32> {
        wait(&mut self.child)
    }

    /// Closes its standard input, and waits for its end.
    pub fn end_of_input(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        wait(&mut self.child)
    }

    /// Asks `conclave rpc`, and gives its whole answer; what it tells meanwhile is passed over.
    #[track_caller]
    pub fn answer(&mut self, method: &str, params: Value) -> Value {
        let request = serde_json::json!({"jsonrpc": "2.0", "id": method, "method": method, "params": params});
        self.write_line(&request.to_string());
        loop {
            let line = self.next();
            if line["id"] == method {
                return line;
            }
        }
    }

    /// The result of asking what works.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert_eq!(answer["error"], Value::Null, "{answer}");
        answer["result"].clone()
    }

    pub fn write_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nodes stop when their parent's pipe closes, so killing the parent leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A figure of a process's memory (`VmRSS`, `VmHWM`), in bytes. Linux only.
pub fn memory(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Sends a signal to one process by its id.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success(), "signal {name} to a process of this test");
}

/// A running `conclave devnet` in a home.
pub struct Net {
    pub running: Running,
    pub ready: Value,
}

impl Net {
    pub fn start(home: &Home, nodes: usize) -> Self {
        let mut running = home.start(&["devnet", "--nodes", &nodes.to_string()]);
        let ready = running.until("ready");
        Self { running, ready }
    }

    /// Process id and key of each node, by index.
    pub fn nodes(&self) -> Vec<(u32, String)> {
        self.ready["processes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| {
                (
                    u32::try_from(p["pid"].as_u64().unwrap()).unwrap(),
                    p["ed25519"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    /// Kills the node with this key as a power cut would.
    pub fn kill_node(&self, ed25519: &str) {
        let (pid, _) = self.nodes().into_iter().find(|(_, key)| key == ed25519).unwrap();
        signal(pid, "KILL");
    }

    pub fn stop(self) {
        assert_eq!(self.running.interrupt(), Some(0));
    }
}
