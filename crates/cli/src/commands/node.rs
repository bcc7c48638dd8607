//! `conclave node run`.

use conclave_node::{Hooks, Node, NodeConfig};
use serde_json::json;

use super::Context;
use crate::args;
use crate::failure::Failure;

pub(super) async fn run(context: &Context, node: args::Node) -> Result<(), Failure> {
    let args::Node::Run { config, stop_with_stdin } = node;
    let config = NodeConfig::read(&config).map_err(|e| {
        Failure::usage("configuration", e.to_string(), "every key is explained in docs/operating-a-node.md")
    })?;
    let node = Node::start(&config, Hooks::default()).await.map_err(|e| {
        Failure::failed(
            "node_start",
            e.to_string(),
            "mend what the message names; the node's folder is the data_dir of its configuration",
        )
    })?;
    let addresses = node.addresses();
    let own = node.view().own().ed25519.to_hex();
    let ready = json!({
        "event": "ready", "node": own, "https": addresses.https.to_string(), "quic": addresses.quic.to_string(),
        "seed_http": addresses.seed_http.map(|address| address.to_string()),
        "metrics": addresses.metrics.map(|address| address.to_string()),
    });
    context.output.line(&ready, || {
        format!("The node {own} answers.\n  HTTPS  {}\n  QUIC   {}", addresses.https, addresses.quic)
    });
    tokio::select! {
        () = context.stop.asked() => {}
        () = stdin_closed(), if stop_with_stdin => {}
    }
    node.shutdown().await;
    Ok(())
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
