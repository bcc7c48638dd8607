//! `conclave node init`, `join` and `leave`: the node's side of coming and going. The operator's is `conclave registry`.

use std::path::{Path, PathBuf};

use conclave_node::folder::{self, Advertised, CONFIG_FILE, FolderError, Written};
use conclave_node::{Clock as _, SystemClock};
use serde_json::json;

use super::{configuration, folder};
use crate::args::NodeAddress;
use crate::commands::Context;
use crate::failure::Failure;
use crate::secrets;

pub(super) async fn init(context: &Context, address: &NodeAddress) -> Result<(), Failure> {
    let Some(network) = context.network().await? else {
        return Err(Failure::usage(
            "no_network",
            "no network is known that the node could join",
            "name its network file with --network FILE; whoever runs the network has it",
        ));
    };
    let folder = folder(context);
    let written = folder::init(&folder, &network, advertised(address), SystemClock.now())?;
    let config = folder.join(CONFIG_FILE);
    let (ip, https_port, quic_port) =
        written.address.map_or((None, None, None), |a| (Some(a.ip), Some(a.https_port), Some(a.quic_port)));
    let event = json!({
        "event": "initialized", "node": written.node.to_hex(), "network_id": written.network_id, "folder": folder,
        "config": config, "request": written.file, "ip": ip, "https_port": https_port, "quic_port": quic_port,
    });
    context.output.line(&event, || {
        format!(
            "The node {} is made, in {}.\n  key      {}  (keep it secret, and keep a copy)\n  settings {}\n\n\
             Next:\n  1. Send {} to whoever runs the network {}. It is good for a day;\n     \
             `conclave node join` makes a new one.\n  2. Start the node; it waits until it is listed:\n       {}\n  \
             3. Others must reach it: TCP {} and UDP {}.",
            written.node.to_hex(),
            folder.display(),
            folder.join(conclave_node::KEY_FILE).display(),
            config.display(),
            written.file.display(),
            written.network_id,
            run_command(context, &config),
            https_port.unwrap_or_default(),
            quic_port.unwrap_or_default(),
        )
    });
    Ok(())
}

pub(super) fn join(context: &Context, config: Option<PathBuf>, address: &NodeAddress) -> Result<(), Failure> {
    let config = configuration(context, config)?;
    let written = folder::join(&config, advertised(address), SystemClock.now())?;
    requested(context, "join", &written, "The node needs to run; it starts serving when it is listed.");
    Ok(())
}

pub(super) fn leave(context: &Context, config: Option<PathBuf>, yes: bool) -> Result<(), Failure> {
    let config = configuration(context, config)?;
    let node = folder::node_key(&config)?.to_hex();
    if !yes {
        match secrets::confirm(&format!("Ask the network to take the node {node} off its list?"))? {
            Some(true) => {}
            Some(false) => {
                return Err(Failure::failed("declined", "the node stays", "nothing was changed"));
            }
            None => {
                return Err(Failure::usage(
                    "not_confirmed",
                    "leaving has to be confirmed, and there is no terminal to ask on",
                    "add --yes",
                ));
            }
        }
    }
    let written = folder::leave(&config, SystemClock.now())?;
    requested(
        context,
        "leave",
        &written,
        "Keep the node running until it says that it was removed; then stop it.",
    );
    Ok(())
}

fn requested(context: &Context, kind: &str, written: &Written, then: &str) {
    let event = json!({
        "event": "requested", "kind": kind, "node": written.node.to_hex(), "network_id": written.network_id,
        "request": written.file,
    });
    context.output.line(&event, || {
        format!(
            "The request is in {}.\nNext: send it to whoever runs the network {}, within a day. {then}",
            written.file.display(),
            written.network_id,
        )
    });
}

const fn advertised(address: &NodeAddress) -> Advertised {
    Advertised { ip: address.ip, https_port: address.https_port, quic_port: address.quic_port }
}

/// What is typed to run the node that was just made.
fn run_command(context: &Context, config: &Path) -> String {
    let program = std::env::var("CONCLAVE_RUN_AS").unwrap_or_else(|_| "conclave".to_owned());
    match &context.global.data_dir {
        Some(_) => format!("{program} node run --config {}", config.display()),
        None => format!("{program} node run"),
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let message = error.to_string();
        match error {
            FolderError::Occupied { .. } => Self::usage(
                "occupied",
                message,
                "`conclave node join` makes a new request for this node; for another node name another --data-dir",
            ),
            FolderError::OtherNetwork { .. } => {
                Self::usage("other_network", message, "name another --data-dir for a node of that network")
            }
            FolderError::NoRegistry { .. } => Self::usage(
                "no_registry",
                message,
                "nodes of Conclave join networks that `registry_key` names",
            ),
            FolderError::NoAddress | FolderError::NoFormerAddress { .. } => Self::usage(
                "no_address",
                message,
                "say where others find this node: --ip, --https-port and --quic-port",
            ),
            FolderError::Request(_) => Self::usage("address", message, "give the address others use"),
            FolderError::Config(_) => {
                Self::usage("configuration", message, "every key is explained in docs/operating-a-node.md")
            }
            _ => Self::failed(
                "node_folder",
                message,
                "check that the folder is yours and whole, and that the disk is not full",
            ),
        }
    }
}
