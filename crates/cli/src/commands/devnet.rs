//! `conclave devnet`: the nodes alone.

use std::path::PathBuf;

use conclave_devnet::{Devnet, Progress};
use serde_json::{Value, json};

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) async fn run(context: &Context, args: &args::Devnet) -> Result<(), Failure> {
    let Some(mut devnet) = start(context, args.nodes, args.seed_http).await? else { return Ok(()) };
    let line = ready(&mut devnet, &[], None);
    context.output.line(&line, || {
        format!(
            "{} service nodes answer.\n  network file  {}\n\
             Make an account:  conclave account create --name NAME --network {}\n\
             Ctrl-C stops all nodes.",
            devnet.plan().nodes().len(),
            devnet.network_path().display(),
            devnet.network_path().display(),
        )
    });
    let result = watch(context, &mut devnet).await;
    context.output.note("Stopping the nodes …");
    devnet.stop().await;
    result
}

/// Starts the network of the data directory with progress on standard error. `None` if the user stops it meanwhile.
pub(super) async fn start(
    context: &Context,
    nodes: u16,
    seed_http: Option<u16>,
) -> Result<Option<Devnet>, Failure> {
    let exe = program()?;
    let output = context.output;
    let progress = move |progress| match progress {
        Progress::Preparing => output.note("Making a new private network …"),
        Progress::Waiting => output.progress("Waiting for the nodes of the last run to finish"),
        Progress::Started { ready, of } => output.progress(&format!("{ready} of {of} service nodes answer")),
    };
    let starting = Devnet::start(context.data_dir.path(), usize::from(nodes), &exe, seed_http, progress);
    let devnet = tokio::select! {
        devnet = starting => devnet.map(Some),
        // The nodes end with the tasks that start them.
        () = context.stop.asked() => Ok(None),
    };
    output.progress_done();
    Ok(devnet?)
}

/// Waits until the user asks to stop. A node that ends meanwhile is reported, and the others go on.
pub(super) async fn watch(context: &Context, devnet: &mut Devnet) -> Result<(), Failure> {
    loop {
        tokio::select! {
            () = context.stop.asked() => return Ok(()),
            (node, status) = devnet.watch() => {
                context.output.note(&format!("service node {node} has ended ({status}); the others go on"));
            }
        }
    }
}

/// The line scripts wait for.
pub(super) fn ready(devnet: &mut Devnet, profiles: &[Value], app: Option<&str>) -> Value {
    let nodes = devnet.plan().nodes().to_vec();
    // Also of nodes that others run.
    let listed = devnet.plan().directory().nodes();
    let mut swarms = serde_json::Map::new();
    for node in listed {
        let members = swarms.entry(node.swarm.to_hex()).or_insert_with(|| json!([]));
        if let Value::Array(members) = members {
            members.push(json!(node.ed25519.to_hex()));
        }
    }
    let listed = listed.len();
    let processes: Vec<Value> = devnet
        .processes()
        .iter()
        .map(|process| {
            let key =
                nodes.iter().find(|node| node.index == process.index()).map(|n| n.record.ed25519.to_hex());
            json!({"index": process.index(), "pid": process.pid(), "ed25519": key})
        })
        .collect();
    json!({
        "event": "ready",
        "network": devnet.network_path(),
        "nodes": nodes.len(),
        "listed": listed,
        "profiles": profiles,
        "app": app,
        "swarms": swarms,
        "processes": processes,
    })
}

/// This very program, which is also what a node runs.
pub(super) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| {
        Failure::failed("io", format!("finding this program's own file: {e}"), "start it by its full path")
    })
}
