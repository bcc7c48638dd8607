//! Strikes against nodes, and nodes said to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;

/// Strikes remembered per node: beyond this, more of them say nothing new.
const MAX_STRIKES: usize = 12;

/// The health of the nodes in the list. Bounded by the list: nodes that leave it are forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    strikes: BTreeMap<Ed25519Public, Vec<Timestamp>>,
    removed: BTreeSet<Ed25519Public>,
}

impl Health {
    /// Counts a failure against a node.
    pub(super) fn strike(&mut self, node: Ed25519Public, now: Timestamp) {
        let strikes = self.strikes.entry(node).or_default();
        if strikes.len() >= MAX_STRIKES {
            strikes.remove(0);
        }
        strikes.push(now);
    }

    /// Counts so many failures against a node as if they had been at `at`.
    pub(super) fn strike_out(&mut self, node: Ed25519Public, count: u32, at: Timestamp) {
        for _ in 0..count {
            self.strike(node, at);
        }
    }

    /// Takes one strike back. A node that fails more often than it works still collects them.
    pub(super) fn forgive_one(&mut self, node: &Ed25519Public) {
        if let Some(strikes) = self.strikes.get_mut(node) {
            strikes.pop();
            if strikes.is_empty() {
                self.strikes.remove(node);
            }
        }
    }

    /// Failures so far were not the nodes' own.
    pub(super) fn forget_strikes(&mut self) {
        self.strikes.clear();
    }

    /// Somebody said the network does not know this node. Believed until the next list.
    pub(super) fn remove(&mut self, node: Ed25519Public) {
        self.removed.insert(node);
    }

    /// 0 is well, then the number of strikes; nodes said to be gone are worse than any number.
    pub(super) fn badness(&self, node: &Ed25519Public, max: u32, life: Duration, now: Timestamp) -> u32 {
        match self.strikes(node, now, life) {
            _ if self.removed.contains(node) => u32::MAX,
            strikes if strikes < max => 0,
            strikes => strikes,
        }
    }

    pub(super) fn is_removed(&self, node: &Ed25519Public) -> bool {
        self.removed.contains(node)
    }

    /// How many strikes of a node still count.
    pub(super) fn strikes(&self, node: &Ed25519Public, now: Timestamp, life: Duration) -> u32 {
        self.strikes.get(node).map_or(0, |strikes| {
            let alive = strikes.iter().filter(|at| now.since(**at) < life).count();
            u32::try_from(alive).unwrap_or(u32::MAX)
        })
    }

    /// A new list has come: it alone says who exists. Strikes of listed nodes stay.
    pub(super) fn list_changed(&mut self, listed: impl Fn(&Ed25519Public) -> bool) {
        self.removed.clear();
        self.strikes.retain(|node, _| listed(node));
    }

    pub(super) fn removed_count(&self) -> usize {
        self.removed.len()
    }

    pub(super) fn struck_count(&self, limit: u32, now: Timestamp, life: Duration) -> usize {
        self.strikes.keys().filter(|node| self.strikes(node, now, life) >= limit).count()
    }
}
