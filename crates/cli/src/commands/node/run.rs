//! `conclave node run`: waits until the node is listed, serves, and says so when it is removed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use conclave_node::{Hooks, Node, NodeConfig, NodeError, Unlisted};
use conclave_proto::SnodeRecord;
use serde_json::json;

use super::configuration;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::Output;

/// How long the QUIC address of a node that was stopped in this process may stay taken: mostly moments, but QUIC keeps its
/// socket until the last connection is forgotten, which for one whose peer vanished takes the idle timeout of a minute.
const FREED_WITHIN: Duration = Duration::from_secs(75);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn run(
    context: &Context,
    config: Option<PathBuf>,
    stop_with_stdin: bool,
) -> Result<(), Failure> {
    let config = configuration(context, config)?;
    let stop = async {
        tokio::select! {
            () = context.stop.asked() => {}
            () = stdin_closed(), if stop_with_stdin => {}
        }
    };
    tokio::pin!(stop);
    let mut ended = None;
    loop {
        let node = tokio::select! {
            started = start(context.output, &config, ended) => started.map_err(failed)?,
            () = &mut stop => return Ok(()),
        };
        let started_as = *node.view().own();
        say_ready(context.output, &node);
        let moved = tokio::select! {
            () = &mut stop => false,
            () = until_moved(context.output, &node, &config, &started_as) => true,
        };
        node.shutdown().await;
        if !moved {
            return Ok(());
        }
        ended = Some(Instant::now());
        context.output.note("The directory names another address for this node: it starts again there.");
    }
}

/// Starts the node when it is listed. One that has just `ended` in this process may hold its QUIC address for some seconds
/// more ([`Node::shutdown`]).
async fn start(output: Output, config: &NodeConfig, ended: Option<Instant>) -> Result<Node, NodeError> {
    loop {
        let mut waiting = |unlisted: &Unlisted| say_waiting(output, unlisted);
        match Node::start_when_listed(config, Hooks::default(), &mut waiting).await {
            Err(NodeError::Listen { source, .. })
                if source.kind() == std::io::ErrorKind::AddrInUse
                    && ended.is_some_and(|ended| ended.elapsed() < FREED_WITHIN) =>
            {
                // The operating system tells nobody when an address is free.
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            started => return started,
        }
    }
}

/// Watches what the directory says of the node: tells when it is removed and when it is back, and ends when it is to listen
/// elsewhere.
async fn until_moved(output: Output, node: &Node, config: &NodeConfig, started_as: &SnodeRecord) {
    let mut views = node.views();
    let mut was_listed = true;
    loop {
        let view = views.borrow_and_update().clone();
        let own = view.own();
        // Where the configuration says where to listen, others' way to the node is the operator's affair.
        let https = config.listen_https.is_none()
            && (own.ip, own.https_port) != (started_as.ip, started_as.https_port);
        let quic =
            config.listen_quic.is_none() && (own.ip, own.quic_port) != (started_as.ip, started_as.quic_port);
        if https || quic {
            return;
        }
        if view.is_listed() != was_listed {
            was_listed = view.is_listed();
            if was_listed {
                say_ready(output, node);
            } else {
                say_removed(output, node);
            }
        }
        if views.changed().await.is_err() {
            // Only a node that is gone tells nothing any more.
            std::future::pending::<()>().await;
        }
    }
}

fn say_waiting(output: Output, unlisted: &Unlisted) {
    let node = unlisted.node.to_hex();
    let event = json!({
        "event": "waiting", "node": node, "height": unlisted.height, "reason": unlisted.trouble,
    });
    output.line(&event, || match &unlisted.trouble {
        None => format!(
            "The node {node} is not in the network's directory yet.\nIt waits, and starts by itself when the \
             operator has added it. Ctrl-C stops waiting."
        ),
        Some(trouble) => format!("The node {node} waits for the network: {trouble}. It goes on trying."),
    });
}

fn say_ready(output: Output, node: &Node) {
    let addresses = node.addresses();
    let view = node.view();
    let own = view.own().ed25519.to_hex();
    let ready = json!({
        "event": "ready", "node": own, "https": addresses.https.to_string(), "quic": addresses.quic.to_string(),
        "seed_http": addresses.seed_http.map(|address| address.to_string()),
        "metrics": addresses.metrics.map(|address| address.to_string()),
        "swarm": view.own().swarm.to_hex(), "height": view.directory().height,
    });
    output.line(&ready, || {
        format!("The node {own} answers.\n  HTTPS  {}\n  QUIC   {}", addresses.https, addresses.quic)
    });
}

fn say_removed(output: Output, node: &Node) {
    let view = node.view();
    let own = view.own().ed25519.to_hex();
    let removed = json!({"event": "removed", "node": own, "height": view.directory().height});
    output.line(&removed, || {
        format!(
            "The node {own} has been removed from the network's directory. It keeps no accounts any more and tells those \
             who ask where they are. It can be stopped; while it runs, it notices when it is listed again."
        )
    });
}

fn failed(error: NodeError) -> Failure {
    Failure::failed(
        "node_start",
        error.to_string(),
        "mend what the message names; the node's folder is the data_dir of its configuration",
    )
}

/// Waits until whoever holds the other end of standard input has gone. Reading it blocks, so a thread does; it ends with
/// the process.
async fn stdin_closed() {
    let (closed, waiting) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = waiting.await;
}
