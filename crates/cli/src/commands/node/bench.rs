//! `conclave node bench`: figures of this machine, one line each.

use std::time::Duration;

use conclave_devnet::bench::{self, BenchError, Figure, Part, Settings};
use serde_json::{Value, json};

use super::folder;
use crate::args::BenchPart;
use crate::commands::{Context, devnet};
use crate::failure::Failure;

/// Everything is in there, and goes with it.
const FOLDER: &str = "bench";
/// Columns of the names.
const WIDTH: usize = 70;

/// How much is measured.
pub(super) struct Load {
    pub(super) seconds: u64,
    pub(super) messages: u64,
    pub(super) waiters: u32,
    pub(super) file_megabytes: u64,
}

pub(super) async fn run(context: &Context, load: Load, only: &[BenchPart]) -> Result<(), Failure> {
    let data_dir = folder(context).join(FOLDER);
    if data_dir.exists() {
        return Err(Failure::usage(
            "in_use",
            format!("{} is there already", data_dir.display()),
            "wait for the other measurement; if there is none, it was interrupted: remove the folder",
        ));
    }
    std::fs::create_dir_all(&data_dir).map_err(|e| Failure::io("making", &data_dir, &e))?;
    let settings = Settings {
        exe: devnet::program()?,
        data_dir: data_dir.clone(),
        duration: Duration::from_secs(load.seconds),
        messages: load.messages,
        waiters: usize::try_from(load.waiters).unwrap_or(usize::MAX),
        file_bytes: load.file_megabytes * 1_000_000,
        parts: if only.is_empty() {
            Part::ALL.to_vec()
        } else {
            only.iter().map(|only| part(*only)).collect()
        },
    };
    let output = context.output;
    let mut tell = |figure: &Figure| output.line(&event(figure), || text(figure));
    let measured = tokio::select! {
        measured = bench::run(&settings, &mut tell) => measured,
        // The nodes end with what started them.
        () = context.stop.asked() => Ok(()),
    };
    std::fs::remove_dir_all(&data_dir).map_err(|e| Failure::io("removing", &data_dir, &e))?;
    measured.map_err(|error| match error {
        BenchError::Devnet(error) => error.into(),
        error => Failure::failed("bench", error.to_string(), "try again; --only PART leaves the rest out"),
    })
}

const fn part(part: BenchPart) -> Part {
    match part {
        BenchPart::Machine => Part::Machine,
        BenchPart::Node => Part::Node,
        BenchPart::Swarm => Part::Swarm,
        BenchPart::Full => Part::Full,
        BenchPart::Waiters => Part::Waiters,
        BenchPart::Delivery => Part::Delivery,
        BenchPart::Files => Part::Files,
    }
}

fn event(figure: &Figure) -> Value {
    let (half, most) = figure.latency.unzip();
    json!({
        "event": "figure",
        "what": figure.what,
        "value": figure.value,
        "unit": figure.unit,
        "p50_ms": half,
        "p99_ms": most,
    })
}

fn text(figure: &Figure) -> String {
    let number = match figure.value {
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    };
    let latency = match figure.latency {
        Some((half, most)) => format!("   p50 {half:.2} ms, p99 {most:.2} ms"),
        None => String::new(),
    };
    format!("{:<WIDTH$} {number:>9} {:<5}{latency}", figure.what, figure.unit)
}
