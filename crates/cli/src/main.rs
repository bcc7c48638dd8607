//! The `conclave` command: reads what was typed, does it, and ends with a code that scripts can rely on.
//!
//! Nothing is decided here that another face would decide too; that lives in `conclave-client`.

mod args;
mod commands;
mod failure;
mod logging;
mod memory;
mod network;
mod output;
mod secrets;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::failure::Exit;
use crate::output::Output;

/// How long threads that block may take to end.
const THREADS_END_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

fn main() -> ExitCode {
    memory::give_large_blocks_back();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    logging::to_stderr(cli.global.verbose);
    let output = Output::new(cli.global.json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(commands::run(cli, output));
            // Threads that are in the database must leave it before the process ends; a lookup may hang longer, and
            // nothing of value waits there.
            runtime.shutdown_timeout(THREADS_END_WITHIN);
            done
        }
        Err(error) => Err(failure::Failure::failed(
            "runtime",
            format!("threads could not be started: {error}"),
            "the machine is out of processes or memory; try again later",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.progress_done();
            output.failure(&failure);
            ExitCode::from(match failure.exit {
                Exit::Failed => 1,
                Exit::Usage => 2,
                Exit::Unreachable => 3,
            })
        }
    }
}

/// clap prints help to standard output with code 0, and mistakes to standard error with code 2; a script that asked for
/// JSON gets its line.
fn not_understood(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json");
    if error.use_stderr() && wants_json {
        let text = error.to_string();
        let (message, _) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.trim_start_matches("error: ").trim_end();
        let failure =
            failure::Failure::usage("usage", message, "see `conclave --help`, or --help after a command");
        Output::new(true).failure(&failure);
        return ExitCode::from(2);
    }
    // A closed standard output or error is no reason to say more.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
