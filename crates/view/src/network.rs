//! How the profile stands with its network, and the service nodes its messages pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use conclave_client::types::{Event, Status};
use conclave_client::{Account, Error};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::chats::NoAct;
use crate::live::{self, Heard, Opened, Screen};
use crate::sdk;

/// Nothing tells that a path or the clock changed, so it is looked at this often, in milliseconds.
const EVERY: u64 = 2_000;

/// What the network view shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NetworkScreen {
    /// The status as the SDK gives it.
    pub status: Status,
    /// The nodes on the paths in use.
    pub nodes: Vec<NodeRow>,
}

/// A node on a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeRow {
    /// Its Ed25519 key, hex.
    pub key: String,
    /// Where it stands on its path, from the guard (0) on.
    pub hop: u32,
    /// How many of the paths in use pass it.
    pub paths: u32,
    /// It is the first hop: the only one that sees this machine's address.
    pub guard: bool,
}

/// Opens the network view.
///
/// # Errors
/// What the SDK says.
pub async fn open(session: Arc<Account>) -> Result<Opened<NetworkScreen, NoAct>, Error> {
    live::open(session, Shown::default()).await
}

/// The nodes of all paths, guards first.
fn nodes(status: &Status) -> Vec<NodeRow> {
    let mut nodes = BTreeMap::<&str, NodeRow>::new();
    for path in &status.paths {
        for (hop, key) in (0u32..).zip(path) {
            let row = nodes.entry(key).or_insert_with(|| {
                let guard = hop == 0 || status.guard.as_ref() == Some(key);
                NodeRow { key: key.clone(), hop, paths: 0, guard }
            });
            row.hop = row.hop.min(hop);
            row.paths += 1;
        }
    }
    let mut nodes: Vec<_> = nodes.into_values().collect();
    nodes.sort_by(|one, other| (one.hop, &one.key).cmp(&(other.hop, &other.key)));
    nodes
}

#[derive(Default)]
struct Shown {
    status: Status,
    look_at: u64,
}

impl Screen for Shown {
    type State = NetworkScreen;
    type Act = NoAct;

    async fn read(&mut self, session: &Account) -> Result<(), Error> {
        self.status = sdk::status(session).await?;
        self.look_at = sdk::now(0).saturating_add(EVERY);
        Ok(())
    }

    fn hear(&mut self, _: &Event, _: u64) -> Heard {
        Heard::Nothing
    }

    async fn act(&mut self, _: &Arc<Account>, act: NoAct) -> Result<Value, Error> {
        match act {}
    }

    fn state(&self, _: u64) -> NetworkScreen {
        NetworkScreen { nodes: nodes(&self.status), status: self.status.clone() }
    }

    fn next_change(&self, _: u64) -> Option<u64> {
        Some(self.look_at)
    }

    async fn due(&mut self, session: &Account, now: u64) -> Heard {
        self.look_at = now.saturating_add(EVERY);
        if let Err(error) = self.read(session).await {
            tracing::debug!(kind = error.kind(), "the status could not be read");
        }
        Heard::Shown
    }

    fn forget(&mut self) {
        self.status = Status { locked: true, ..Status::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_are_those_of_the_paths_guards_first() {
        let path = |keys: [&str; 3]| keys.map(str::to_owned).to_vec();
        let status = Status {
            guard: Some("g".to_owned()),
            paths: vec![path(["g", "b", "a"]), path(["g", "a", "c"])],
            ..Status::default()
        };
        let rows: Vec<_> =
            nodes(&status).into_iter().map(|row| (row.key, row.hop, row.paths, row.guard)).collect();
        let row = |key: &str, hop, paths, guard| (key.to_owned(), hop, paths, guard);
        assert_eq!(
            rows,
            [row("g", 0, 2, true), row("a", 1, 2, false), row("b", 1, 1, false), row("c", 2, 1, false)]
        );
    }
}
