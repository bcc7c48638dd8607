//! `conclave node status`: what the node wrote down, and whether it and its swarm answer now.

use std::path::{Path, PathBuf};

use conclave_crypto::Ed25519Public;
use conclave_node::status::{Member, State, Status, answers};
use conclave_node::{Clock as _, NodeConfig, SystemClock, folder};
use serde_json::{Value, json};

use super::configuration;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::moment;

pub(super) async fn status(context: &Context, config: Option<PathBuf>) -> Result<(), Failure> {
    let config = configuration(context, config)?;
    let key = folder::node_key(&config)?;
    let running = conclave_node::is_running(&config.data_dir);
    let status = Status::read(&config.data_dir)
        .map_err(|e| Failure::io("reading the status in", &config.data_dir, &e))?
        // Of another key it tells nothing.
        .filter(|status| status.node == key.to_hex());
    let is_serving = running && status.as_ref().is_some_and(|status| status.https.is_some());
    let https = status.as_ref().and_then(|status| status.https).filter(|_| is_serving);
    // What the members say is of interest whether this node runs or not.
    let members = status.as_ref().map(|status| status.members.clone()).unwrap_or_default();
    let reached: Vec<_> = members.into_iter().map(|member| tokio::spawn(reach(member))).collect();
    let answering = match https {
        Some(address) => Some(answers(address, &key).await),
        None => None,
    };
    let mut members = Vec::new();
    for task in reached {
        members.push(task.await.expect("pinging a node does not panic"));
    }
    let report = Report {
        key: key.to_hex(),
        running,
        answering,
        fresh: status.as_ref().and_then(|status| status.valid_until).map(|until| SystemClock.now() < until),
        status,
        members,
        store_bytes: store_bytes(&config),
    };
    context.output.line(&report.event(), || report.text());
    Ok(())
}

async fn reach(member: Member) -> (Member, bool) {
    let reached = match Ed25519Public::from_hex(&member.node) {
        Ok(key) => answers(member.https, &key).await,
        Err(_) => false,
    };
    (member, reached)
}

/// What the message store takes on the disk, with what is not yet moved into the database itself.
fn store_bytes(config: &NodeConfig) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let database = config.data_dir.join(conclave_node::DATABASE_FILE);
    let log = database.with_extension("sqlite-wal");
    size(&database) + size(&log)
}

struct Report {
    key: String,
    running: bool,
    answering: Option<bool>,
    status: Option<Status>,
    fresh: Option<bool>,
    members: Vec<(Member, bool)>,
    store_bytes: u64,
}

impl Report {
    fn event(&self) -> Value {
        let status = self.status.as_ref();
        let members: Vec<Value> = self
            .members
            .iter()
            .map(
                |(member, reached)| json!({"node": member.node, "https": member.https, "reachable": reached}),
            )
            .collect();
        json!({
            "event": "status", "node": self.key, "running": self.running, "answers": self.answering,
            "state": status.map(|status| status.state),
            "listed": status.map(|status| status.state == State::Listed),
            "network_id": status.and_then(|status| status.network_id.clone()),
            "swarm": status.and_then(|status| status.swarm.clone()),
            "members": members,
            "height": status.and_then(|status| status.height),
            "valid_until": status.and_then(|status| status.valid_until),
            "fresh": self.fresh,
            "reason": status.and_then(|status| status.trouble.clone()),
            "store_bytes": self.store_bytes,
        })
    }

    fn text(&self) -> String {
        let process = match (self.running, self.answering) {
            (false, _) => "does not run; below is what it knew last",
            (true, Some(true)) => "runs and answers",
            (true, Some(false)) => "runs, but does not answer over HTTPS",
            (true, None) => "runs",
        };
        let mut lines = vec![format!("node       {}", self.key), format!("process    {process}")];
        let Some(status) = &self.status else {
            lines.push("directory  nothing is known: the node has not run yet".to_owned());
            return lines.join("\n");
        };
        let listed = match status.state {
            State::Listed => "listed",
            State::Waiting => "not listed yet",
            State::Removed => "removed",
        };
        let freshness = match (status.valid_until, self.fresh) {
            (Some(until), Some(true)) => format!(", good until {}", moment(until.as_millis())),
            (Some(until), _) => format!(", stale since {}", moment(until.as_millis())),
            (None, _) => String::new(),
        };
        let height = status.height.map_or("none yet".to_owned(), |height| format!("height {height}"));
        lines.push(format!("directory  {listed}; {height}{freshness}"));
        if let Some(trouble) = &status.trouble {
            lines.push(format!("trouble    {trouble}"));
        }
        if let Some(swarm) = &status.swarm {
            let reached = self.members.iter().filter(|(_, reached)| *reached).count();
            lines.push(format!(
                "swarm      {swarm}; {reached} of {} other members answer here and now",
                self.members.len()
            ));
            for (member, _) in self.members.iter().filter(|(_, reached)| !reached) {
                lines.push(format!("             no answer: {} at {}", member.node, member.https));
            }
        }
        lines.push(format!("store      {} bytes", self.store_bytes));
        lines.join("\n")
    }
}
