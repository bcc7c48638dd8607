//! `conclave node`: a service node and its operator.

mod bench;
mod membership;
mod run;
mod status;

use std::path::PathBuf;

use conclave_node::NodeConfig;
use conclave_node::folder::CONFIG_FILE;

use super::Context;
use crate::args;
use crate::failure::Failure;

/// The node's folder below the platform's place for application data.
const DEFAULT_FOLDER: &str = "node";

pub(super) async fn run(context: &Context, node: args::Node) -> Result<(), Failure> {
    match node {
        args::Node::Init(address) => context.or_stopped(membership::init(context, &address)).await,
        args::Node::Run { config, stop_with_stdin } => run::run(context, config, stop_with_stdin).await,
        args::Node::Join { config, address } => membership::join(context, config, &address),
        args::Node::Leave { config, yes } => membership::leave(context, config, yes),
        args::Node::Bench { seconds, messages, waiters, file_megabytes, only } => {
            bench::run(context, bench::Load { seconds, messages, waiters, file_megabytes }, &only).await
        }
        args::Node::Status { config } => context.or_stopped(status::status(context, config)).await,
    }
}

/// The folder of the node: the one named with --data-dir, else one of its own among the application's data.
fn folder(context: &Context) -> PathBuf {
    let data_dir = context.data_dir.path();
    if context.global.data_dir.is_some() { data_dir.to_owned() } else { data_dir.join(DEFAULT_FOLDER) }
}

/// The configuration that is named, else that in the node's folder.
fn configuration(context: &Context, named: Option<PathBuf>) -> Result<NodeConfig, Failure> {
    let is_named = named.is_some();
    let path = named.unwrap_or_else(|| folder(context).join(CONFIG_FILE));
    if !is_named && !path.exists() {
        return Err(Failure::usage(
            "no_node",
            format!("there is no node in {}", folder(context).display()),
            "make one with `conclave node init --network FILE`, or name its --data-dir or --config",
        ));
    }
    NodeConfig::read(&path).map_err(|e| {
        Failure::usage("configuration", e.to_string(), "every key is explained in docs/operating-a-node.md")
    })
}
