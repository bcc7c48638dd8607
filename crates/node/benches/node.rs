//! What whole nodes do: builds the program and runs `conclave node bench`, which says what it measures. Arguments after `--`
//! go to it; with `CONCLAVE_LONG=1` and none, stores have a million messages and a hundred thousand clients wait.
#![allow(missing_docs)]

use std::process::{Command, ExitCode};

use conclave_testkit::seeds::is_long;

fn main() -> ExitCode {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.is_empty() && is_long() {
        arguments.extend(["--messages", "1000000", "--waiters", "100000"].map(str::to_owned));
    }
    let status = Command::new(env!("CARGO"))
        .args(["run", "--release", "--locked", "--quiet", "-p", "conclave-cli", "--", "node", "bench"])
        .args(arguments)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
