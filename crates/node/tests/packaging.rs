//! What is packaged fits the program.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

use conclave_node::NodeConfig;

/// Of 10, as `systemd-analyze security` counts; what is left is mostly that a node uses the network.
const MAX_EXPOSURE: f64 = 1.5;

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(file)
}

#[test]
fn the_example_is_read_by_the_program_and_its_paths_are_the_units() {
    let config = NodeConfig::read(&packaging("node.toml")).unwrap();
    let unit = std::fs::read_to_string(packaging("conclave-node.service")).unwrap();
    assert!(config.data_dir.starts_with("/var/lib/conclave") && unit.contains("StateDirectory=conclave\n"));
    assert!(config.network.starts_with("/etc/conclave") && unit.contains("--config /etc/conclave/node.toml"));
    assert!(config.metrics.unwrap().ip().is_loopback());
}

#[test]
fn the_unit_leaves_the_node_little_more_than_the_network() {
    let unit = packaging("conclave-node.service");
    let analysed = Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(&unit).output();
    // Elsewhere than on Linux with systemd there is nobody to ask.
    let Ok(analysed) = analysed else { return };
    let text = String::from_utf8_lossy(&analysed.stdout);
    let Some(line) = text.lines().find(|line| line.contains("Overall exposure level")) else { return };
    let exposure: f64 = line.rsplit(": ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(exposure <= MAX_EXPOSURE, "{line}");
    let complaints = String::from_utf8_lossy(&analysed.stderr).into_owned();
    assert!(!complaints.contains("Unknown"), "{complaints}");
}
