//! `conclave registry`: the operator's acts on the list of nodes.

use std::io::Read as _;
use std::path::Path;

use conclave_crypto::Ed25519Public;
use conclave_devnet::{Applied, Change, Layout, Refused, Registry, RegistryError};
use conclave_node::{Clock as _, SystemClock};
use conclave_proto::SwarmId;
use conclave_proto::network::{MAX_REQUEST_BYTES, SignedMembershipRequest};
use serde_json::json;

use super::Context;
use crate::args;
use crate::failure::Failure;
use crate::secrets;

pub(super) fn run(context: &Context, registry: args::Registry) -> Result<(), Failure> {
    let layout = Layout::in_data_dir(context.data_dir.path());
    match registry {
        args::Registry::Apply { files } => apply(context, &layout, &files),
        args::Registry::Remove { key, yes } => remove(context, &layout, &key, yes),
        args::Registry::List => list(context, &layout),
    }
}

fn apply(context: &Context, layout: &Layout, files: &[std::path::PathBuf]) -> Result<(), Failure> {
    let requests = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let mut registry = Registry::open(layout)?;
    let applied = registry.apply(&requests, SystemClock.now()).map_err(|error| match error {
        RegistryError::Refused { request, source } => {
            let file = files.get(request).map(|file| file.display().to_string()).unwrap_or_default();
            refused(&format!("{file}: "), &source)
        }
        other => Failure::from(other),
    })?;
    let height = registry.directory().map(|directory| directory.height);
    for (file, applied) in files.iter().zip(&applied) {
        let swarm = applied.record.filter(|r| r.swarm != SwarmId::NONE).map(|r| r.swarm.to_hex());
        let event = json!({
            "event": "applied", "file": file, "node": applied.node.to_hex(), "change": change(applied),
            "swarm": swarm, "height": height,
        });
        context.output.line(&event, || {
            let place = applied.record.map_or(String::new(), |record| {
                format!(
                    ", {}, TCP {}, UDP {}, swarm {}",
                    record.ip,
                    record.https_port,
                    record.quic_port,
                    record.swarm.to_hex()
                )
            });
            format!("{:<9}  {}{place}", change(applied), applied.node.to_hex())
        });
    }
    context.output.human(&format!("The directory has height {}.", height.unwrap_or_default()));
    Ok(())
}

const fn change(applied: &Applied) -> &'static str {
    match applied.change {
        Change::Admitted => "admitted",
        Change::Moved => "moved",
        Change::Removed => "removed",
        Change::Unchanged => "unchanged",
    }
}

fn remove(context: &Context, layout: &Layout, key: &str, yes: bool) -> Result<(), Failure> {
    let node = Ed25519Public::from_hex(key).map_err(|e| {
        Failure::usage(
            "node_key",
            format!("{key:?} is not a node's key: {e}"),
            "`conclave registry list` shows the keys, 64 hex digits each",
        )
    })?;
    if !yes {
        match secrets::confirm(&format!("Take the node {key} off the list, without its asking?"))? {
            Some(true) => {}
            Some(false) => return Err(Failure::failed("declined", "the node stays", "nothing was changed")),
            None => {
                return Err(Failure::usage(
                    "not_confirmed",
                    "removing a node has to be confirmed, and there is no terminal to ask on",
                    "add --yes",
                ));
            }
        }
    }
    // Asked first: others must not wait for a person.
    let mut registry = Registry::open(layout)?;
    registry.remove(node, SystemClock.now())?;
    let height = registry.directory().map(|directory| directory.height);
    let event = json!({"event": "applied", "node": node.to_hex(), "change": "removed", "height": height});
    context.output.line(&event, || {
        format!("removed    {}\nThe directory has height {}.", node.to_hex(), height.unwrap_or_default())
    });
    Ok(())
}

fn list(context: &Context, layout: &Layout) -> Result<(), Failure> {
    let registry = Registry::open(layout)?;
    let Some(directory) = registry.directory() else { return Ok(()) };
    for node in directory.nodes() {
        let swarm = (node.swarm != SwarmId::NONE).then(|| node.swarm.to_hex());
        let event = json!({
            "event": "node", "node": node.ed25519.to_hex(), "ip": node.ip, "https_port": node.https_port,
            "quic_port": node.quic_port, "swarm": swarm, "version": node.version.0,
        });
        context.output.line(&event, || {
            format!(
                "{}  {}  TCP {}  UDP {}  swarm {}",
                node.ed25519.to_hex(),
                node.ip,
                node.https_port,
                node.quic_port,
                swarm.as_deref().unwrap_or("none"),
            )
        });
    }
    let event = json!({
        "event": "registry", "network_id": directory.network_id, "height": directory.height,
        "issued_at": directory.issued_at, "valid_until": directory.valid_until,
        "nodes": directory.nodes().len(), "swarms": directory.swarms().len(),
    });
    context.output.line(&event, || {
        format!(
            "{}: {} nodes in {} swarms, height {}, good until {}",
            directory.network_id,
            directory.nodes().len(),
            directory.swarms().len(),
            directory.height,
            crate::output::moment(directory.valid_until.as_millis()),
        )
    });
    Ok(())
}

fn read(path: &Path) -> Result<SignedMembershipRequest, Failure> {
    let mut bytes = Vec::new();
    // One byte more than a request can have tells that it is none.
    let limit = MAX_REQUEST_BYTES as u64 + 1;
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|e| Failure::io("reading the request", path, &e))?;
    SignedMembershipRequest::from_json(&bytes)
        .map_err(|e| refused(&format!("{}: ", path.display()), &Refused::Request(e)))
}

fn refused(place: &str, source: &Refused) -> Failure {
    let hint = match source {
        Refused::Request(_) | Refused::Overtaken => {
            "nothing was changed; the node's operator makes a fresh request with `conclave node join` or `leave`"
        }
        Refused::AddressTaken { .. } | Refused::Loopback { .. } => {
            "nothing was changed; the node's operator names another address with `conclave node join`"
        }
        Refused::NotListed { .. } => "nothing was changed; `conclave registry list` shows the nodes",
        _ => "nothing was changed",
    };
    Failure::failed("refused", format!("{place}{source}"), hint)
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Files(error) => error.into(),
            RegistryError::Refused { source, .. } => refused("", &source),
            other => Self::failed("registry", other.to_string(), "try again"),
        }
    }
}
