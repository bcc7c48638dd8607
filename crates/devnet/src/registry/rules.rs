//! What the operator's acts do to the list of nodes. No files, no clock: everything is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::membership::SwarmMap;
use conclave_proto::network::{
    JoinAddress, MAX_NODES, Membership, MembershipRequest, REQUEST_LIFETIME, RequestRejected, SwarmParams,
};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp};
use serde::{Deserialize, Serialize};

/// How long the time of a node's last request is remembered. Older requests are refused for their age; the rest is for
/// clocks that are set back.
const REMEMBERED_FOR: Duration = Duration::from_secs(7 * REQUEST_LIFETIME.as_secs());

/// Why an act is refused. Nothing has been changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The request itself is no good: its sender's to mend.
    #[error(transparent)]
    Request(#[from] RequestRejected),
    /// A newer act about this node was done: this one is a replay, or was overtaken.
    #[error("the request is older than what was last done about this node")]
    Overtaken,
    /// Another listed node has this address.
    #[error("{ip}:{port} ({transport}) is already the address of the node {by:?}")]
    AddressTaken {
        /// The address.
        ip: std::net::Ipv4Addr,
        /// The port.
        port: u16,
        /// "TCP" or "UDP".
        transport: &'static str,
        /// Who has it.
        by: Ed25519Public,
    },
    /// Other nodes would look for it on their own machines.
    #[error("{ip} is an address on the node's own machine, where nobody else finds it")]
    Loopback {
        /// The address.
        ip: std::net::Ipv4Addr,
    },
    /// No such node.
    #[error("no node with the key {node:?} is listed")]
    NotListed {
        /// The key.
        node: Ed25519Public,
    },
    /// Nobody would be left.
    #[error("the last node of a network cannot be removed")]
    LastNode,
    /// More nodes than a directory can have.
    #[error("the network has {MAX_NODES} nodes, which is the most a directory holds")]
    Full,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node is new in the list.
    Admitted,
    /// It was listed, and is now at another address.
    Moved,
    /// It is listed no longer.
    Removed,
    /// The list says already what was asked for.
    Unchanged,
}

/// A request that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whose.
    pub node: Ed25519Public,
    /// What became of it.
    pub change: Change,
    /// The node's entry now, if it is listed.
    pub record: Option<SnodeRecord>,
}

/// The last act about a node: a request's own time, or that of the operator's removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    pub(super) issued_at: Timestamp,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Join,
    Leave,
}

/// The list and what is remembered beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) nodes: Vec<SnodeRecord>,
    pub(super) last: BTreeMap<Ed25519Public, Last>,
}

impl Members {
    /// Follows requests, oldest first, all of them or none. `seed` decides which nodes go to which swarm.
    ///
    /// # Errors
    /// The number of the request that is refused, and why.
    pub(super) fn apply(
        &self,
        (network_id, params): (&str, &SwarmParams),
        requests: &[MembershipRequest],
        now: Timestamp,
        seed: u64,
    ) -> Result<(Self, Vec<Applied>), (usize, Refused)> {
        let mut next = self.clone();
        next.forget(now);
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|index| requests.get(*index).map(|request| request.issued_at));
        let mut changes = BTreeMap::new();
        for index in order {
            let Some(request) = requests.get(index) else { continue };
            let change = next.follow(network_id, request, now).map_err(|refused| (index, refused))?;
            changes.insert(index, (request.node, change));
        }
        if next.nodes.is_empty() && !self.nodes.is_empty() {
            return Err((requests.len().saturating_sub(1), Refused::LastNode));
        }
        next.assign_swarms(self, params, seed);
        let record = |node| next.nodes.iter().find(|record| record.ed25519 == node).copied();
        let applied = changes
            .into_values()
            .map(|(node, change)| Applied { node, change, record: record(node) })
            .collect();
        Ok((next, applied))
    }

    /// Takes a node off the list without its asking.
    ///
    /// # Errors
    /// If it is not listed, or the last.
    pub(super) fn remove(
        &self,
        params: &SwarmParams,
        node: Ed25519Public,
        now: Timestamp,
        seed: u64,
    ) -> Result<Self, Refused> {
        let mut next = self.clone();
        next.forget(now);
        next.nodes.retain(|record| record.ed25519 != node);
        if next.nodes.len() == self.nodes.len() {
            return Err(Refused::NotListed { node });
        }
        if next.nodes.is_empty() {
            return Err(Refused::LastNode);
        }
        // Whatever the node has signed until now must not bring it back; its clock may be ahead.
        let overtaken = self.last.get(&node).map_or(now, |last| now.max(Timestamp(last.issued_at.0 + 1)));
        next.last.insert(node, Last { issued_at: overtaken, kind: Kind::Leave });
        next.assign_swarms(self, params, seed);
        Ok(next)
    }

    fn forget(&mut self, now: Timestamp) {
        self.last.retain(|_, last| last.issued_at >= now.minus(REMEMBERED_FOR));
    }

    fn follow(
        &mut self,
        network_id: &str,
        request: &MembershipRequest,
        now: Timestamp,
    ) -> Result<Change, Refused> {
        request.is_for(network_id, now)?;
        let kind = match request.wanted {
            Membership::Join(_) => Kind::Join,
            Membership::Leave => Kind::Leave,
        };
        let this = Last { issued_at: request.issued_at, kind };
        // The very same again is no replay: it may have been recorded and not done when the power went.
        if let Some(last) = self.last.get(&request.node)
            && *last != this
            && request.issued_at <= last.issued_at
        {
            return Err(Refused::Overtaken);
        }
        let change = match request.wanted {
            Membership::Join(address) => self.list(request.node, address)?,
            Membership::Leave => {
                let before = self.nodes.len();
                self.nodes.retain(|record| record.ed25519 != request.node);
                if self.nodes.len() < before { Change::Removed } else { Change::Unchanged }
            }
        };
        self.last.insert(request.node, this);
        Ok(change)
    }

    fn list(&mut self, node: Ed25519Public, address: JoinAddress) -> Result<Change, Refused> {
        let JoinAddress { ip, https_port, quic_port, version } = address;
        let others = || self.nodes.iter().filter(|record| record.ed25519 != node && record.ip == ip);
        let taken =
            |port, transport, by: &SnodeRecord| Refused::AddressTaken { ip, port, transport, by: by.ed25519 };
        if let Some(by) = others().find(|record| record.https_port == https_port) {
            return Err(taken(https_port, "TCP", by));
        }
        if let Some(by) = others().find(|record| record.quic_port == quic_port) {
            return Err(taken(quic_port, "UDP", by));
        }
        // In a network on one machine everybody is there.
        if ip.is_loopback() && !self.nodes.iter().any(|record| record.ip.is_loopback()) {
            return Err(Refused::Loopback { ip });
        }
        if let Some(record) = self.nodes.iter_mut().find(|record| record.ed25519 == node) {
            let before = *record;
            *record = SnodeRecord { ip, https_port, quic_port, version, ..before };
            return Ok(if *record == before { Change::Unchanged } else { Change::Moved });
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(Refused::Full);
        }
        self.nodes.push(SnodeRecord {
            ed25519: node,
            x25519: node.to_x25519(),
            ip,
            https_port,
            quic_port,
            swarm: SwarmId::NONE,
            version,
        });
        Ok(Change::Admitted)
    }

    /// Everybody else stays where they are, as far as the network's parameters allow (storage-and-onion 4.2).
    fn assign_swarms(&mut self, before: &Self, params: &SwarmParams, seed: u64) {
        let keys = |nodes: &[SnodeRecord]| {
            nodes.iter().map(|node| node.ed25519).collect::<BTreeSet<Ed25519Public>>()
        };
        let (were, are) = (keys(&before.nodes), keys(&self.nodes));
        if were == are {
            return;
        }
        let mut map = SwarmMap::new(before.nodes.iter().map(|node| (node.ed25519, node.swarm)));
        map.remove(&were.difference(&are).copied().collect::<Vec<_>>());
        map.update(params, &are.difference(&were).copied().collect::<Vec<_>>(), seed);
        let assigned = map.assignment();
        for node in &mut self.nodes {
            node.swarm = assigned.get(&node.ed25519).copied().unwrap_or(SwarmId::NONE);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
