//! Which nodes a request goes through.
//!
//! [`PathManager`] is told the node list and what came of requests, and says which [`Path`] to
//! take. It performs no IO, holds no connections, and knows nothing of accounts: a path costs
//! nothing to make, it is a list of nodes to seal layers for. `now` never goes back by much.
//!
//! # Invariants
//!
//! * The destination of a request is never on its path, and no node is on a path twice.
//! * While healthy nodes in enough /24s are known, no two hops of a path share a /24.
//! * While there are as many other nodes as a path has hops, there is a path, however much failed:
//!   bad health makes a node the last choice, not unusable.
//! * Given the same list (in any order), events and randomness, the paths are the same.
//!
//! # Blame (storage-and-onion 6.9)
//!
//! Nothing a hop says about another is proven, so words alone cost little. A node "not found" is
//! avoided until the next node list; when it was on the path, the path gets a strike too, so a hop
//! that tells tales of its neighbours soon has no path to tell them from. A failure nobody owns
//! strikes the path and every hop but the guard. Three strikes put a node behind all healthy ones
//! for up to 48 hours, and end a path: its guard then counts as failed once ([`GuardState`]), since
//! a guard could let through only requests that go to its friends.

mod choice;
mod guards;
mod health;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::CryptoRngCore;

use crate::outcome::Outcome;
use guards::{Guards, Pool};
use health::Health;

pub use guards::{Guard, GuardState};

/// The longest path: with the destination a request may take 15 hops (storage-and-onion 6.8).
pub const MAX_HOPS: usize = 14;
/// How long what an earlier run found out about a node counts.
const REMEMBERED_LIFE: Duration = Duration::from_secs(10 * 60);
/// Extra paths kept for destinations that are on every regular one.
const MAX_DETOURS: usize = 4;

/// How paths are made. The defaults are what the network's clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathConfig {
    /// Nodes on a path, the destination not counted; 1 to [`MAX_HOPS`]. Fewer than three show
    /// somebody both ends.
    pub hops: usize,
    /// Paths kept, each with a guard of its own; at least 1. More are faster and show the address
    /// to more guards.
    pub paths: usize,
    /// Fewer nodes than this make no path at all, to hide among enough of them. 0 asks for no
    /// more than one path needs.
    pub min_nodes: usize,
    /// The hops behind the guard change this often.
    pub rotate_after: Duration,
    /// Strikes that end a path, or put a node behind all others.
    pub max_strikes: u32,
    /// A node's strike counts this long.
    pub strike_life: Duration,
    /// Guards chosen per [`Self::guard_period`] at most.
    pub max_guards: usize,
    /// See [`Self::max_guards`].
    pub guard_period: Duration,
}

impl Default for PathConfig {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        Self {
            hops: 3,
            paths: 2,
            min_nodes: 0,
            rotate_after: Duration::from_secs(10 * 60),
            max_strikes: 3,
            strike_life: Duration::from_secs(48 * HOUR),
            max_guards: 10,
            guard_period: Duration::from_secs(10 * 24 * HOUR),
        }
    }
}

impl PathConfig {
    /// The defaults with another number of hops.
    pub fn with_hops(hops: usize) -> Self {
        Self { hops, ..Self::default() }
    }

    fn checked(mut self) -> Self {
        self.hops = self.hops.clamp(1, MAX_HOPS);
        self.paths = self.paths.max(1);
        self.max_guards = self.max_guards.max(self.paths);
        self.max_strikes = self.max_strikes.max(1);
        self
    }
}

/// Whom a request is for, as far as choosing a path is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node: never on the path.
    Snode(Ed25519Public),
    /// A server outside the network.
    Server,
}

impl Target {
    const fn node(&self) -> Option<&Ed25519Public> {
        match self {
            Self::Snode(node) => Some(node),
            Self::Server => None,
        }
    }
}

/// Too few nodes for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only {known} usable service nodes are known, a path needs {needed}")]
pub struct NoPath {
    /// Nodes in the list.
    pub known: usize,
    /// How many it takes, with the destination if that is a node.
    pub needed: usize,
}

/// The nodes one request goes through, guard first. Give it back with the [`Outcome`].
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    id: u64,
    hops: Vec<SnodeRecord>,
}

impl Path {
    /// The nodes, guard first; at least one.
    pub fn hops(&self) -> &[SnodeRecord] {
        &self.hops
    }

    /// The node to talk to.
    pub fn guard(&self) -> &SnodeRecord {
        self.hops.first().expect("a path is made with at least one hop")
    }

    /// Whether a node is on it.
    pub fn contains(&self, node: &Ed25519Public) -> bool {
        self.hops.iter().any(|hop| hop.ed25519 == *node)
    }
}

/// Shows shortened keys only: addresses stay out of logs.
impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.hops.iter().map(|hop| hop.ed25519).collect();
        write!(f, "Path {} {keys:?}", self.id)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum PathEvent<'a> {
    /// There is a new node list. It alone says who is in the network.
    ListChanged(&'a [SnodeRecord]),
    /// Nodes that an earlier run found to be bad moments ago, as [`PathManager::avoided`] told it. They are the last choice
    /// for ten minutes, unless they prove better.
    Remembered(&'a [Ed25519Public]),
    /// This machine reaches the network in another way than before (other addresses, or it slept): what failed until now says
    /// nothing about nodes.
    WayChanged,
    /// A request that took this path came back, or did not.
    Ended {
        /// As given by [`PathManager::path_for`].
        path: &'a Path,
        /// Whom it was for.
        target: Target,
        /// What came of it.
        outcome: &'a Outcome,
    },
}

/// What `conclave status` shows of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStatus {
    /// Nodes known.
    pub nodes: usize,
    /// Nodes that were said to be gone since the last list.
    pub removed: usize,
    /// Nodes with too many strikes.
    pub struck: usize,
    /// Guards in order of preference.
    pub guards: Vec<Guard>,
    /// The kept paths, guard first.
    pub paths: Vec<Vec<Ed25519Public>>,
}

/// Chooses paths and remembers how they fared.
#[derive(Debug)]
pub struct PathManager {
    config: PathConfig,
    /// Sorted, so that the order of the list changes nothing.
    nodes: BTreeMap<Ed25519Public, SnodeRecord>,
    health: Health,
    guards: Guards,
    paths: Vec<Kept>,
    detours: Vec<Kept>,
    next_id: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    path: Path,
    made_at: Timestamp,
    strikes: u32,
}

impl PathManager {
    /// Without nodes yet. `guards` is what [`Self::guard_state`] gave in an earlier run.
    pub fn new(config: PathConfig, guards: GuardState) -> Self {
        let config = config.checked();
        Self {
            guards: Guards::new(guards, &config),
            config,
            nodes: BTreeMap::new(),
            health: Health::default(),
            paths: Vec::new(),
            detours: Vec::new(),
            next_id: 0,
        }
    }

    /// The settings in force.
    pub const fn config(&self) -> &PathConfig {
        &self.config
    }

    /// Learns what happened.
    pub fn handle(&mut self, now: Timestamp, event: PathEvent<'_>) {
        match event {
            PathEvent::ListChanged(nodes) => self.list_changed(nodes, now),
            PathEvent::Remembered(nodes) => {
                let life = self.config.strike_life;
                let almost_over = now.minus(life.saturating_sub(REMEMBERED_LIFE));
                for node in nodes.iter().filter(|node| self.nodes.contains_key(node)) {
                    self.health.strike_out(*node, self.config.max_strikes, almost_over);
                }
            }
            PathEvent::WayChanged => {
                self.health.forget_strikes();
                self.guards.forget_failures();
                for kept in self.paths.iter_mut().chain(&mut self.detours) {
                    kept.strikes = 0;
                }
            }
            PathEvent::Ended { path, target, outcome } => self.ended(path, target, outcome, now),
        }
    }

    /// A path for a request to `target`: one of those that fared best, at random.
    ///
    /// # Errors
    /// [`NoPath`] if there are too few nodes: get a newer list.
    pub fn path_for(
        &mut self,
        target: Target,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Path, NoPath> {
        let target = target.node();
        let listed_target = target.is_some_and(|node| self.nodes.contains_key(node));
        let known = self.nodes.len();
        let needed = self.config.hops + usize::from(listed_target);
        let no_path = NoPath { known, needed: needed.max(self.config.min_nodes) };
        if known < no_path.needed {
            return Err(no_path);
        }
        self.refresh(now, rng);
        if let Some(path) = self.best(&self.paths, target, now, rng) {
            return Ok(path);
        }
        if let Some(path) = self.best(&self.detours, target, now, rng) {
            return Ok(path);
        }
        let path = self.detour(target, now, rng).ok_or(no_path)?;
        Ok(path)
    }

    /// Whether a node had better not be a destination: many strikes, or said to be gone. Use it
    /// if there is no other.
    pub fn is_avoided(&self, node: &Ed25519Public, now: Timestamp) -> bool {
        self.health_of(node, now) > 0
    }

    /// All nodes that had better not be asked, to be remembered for the next run.
    pub fn avoided(&self, now: Timestamp) -> Vec<Ed25519Public> {
        self.nodes.keys().filter(|node| self.health_of(node, now) > 0).copied().collect()
    }

    /// The guards, to be kept on disk.
    pub const fn guard_state(&self) -> &GuardState {
        self.guards.state()
    }

    /// The guards if they have changed since this was last asked.
    pub fn take_guard_changes(&mut self) -> Option<GuardState> {
        self.guards.take_changed().then(|| self.guards.state().clone())
    }

    /// What there is to show.
    pub fn status(&self, now: Timestamp) -> PathStatus {
        PathStatus {
            nodes: self.nodes.len(),
            removed: self.health.removed_count(),
            struck: self.health.struck_count(self.config.max_strikes, now, self.config.strike_life),
            guards: self.guards.state().guards.clone(),
            paths: self
                .paths
                .iter()
                .map(|kept| kept.path.hops.iter().map(|hop| hop.ed25519).collect())
                .collect(),
        }
    }

    fn list_changed(&mut self, nodes: &[SnodeRecord], now: Timestamp) {
        // Nodes that have no address yet can be neither guard nor trusted to be reachable.
        self.nodes = nodes
            .iter()
            .filter(|node| !node.ip.is_unspecified() && node.https_port != 0)
            .map(|node| (node.ed25519, *node))
            .collect();
        self.health.list_changed(|node| self.nodes.contains_key(node));
        self.guards.forget_old(&self.config, &self.nodes, now);
        for kept in self.paths.iter_mut().chain(&mut self.detours) {
            // Addresses change, keys do not.
            for hop in &mut kept.path.hops {
                if let Some(node) = self.nodes.get(&hop.ed25519) {
                    *hop = *node;
                }
            }
        }
    }

    fn ended(&mut self, path: &Path, target: Target, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Offline | Outcome::Metered(_) => {}
            Outcome::Worked
            | Outcome::Clock
            | Outcome::WrongSwarm(_)
            | Outcome::Unauthorised
            | Outcome::Malformed => self.path_worked(path, target.node()),
            Outcome::DestinationFailed(_) => {
                self.path_worked(path, None);
                self.strike_target(target, now);
            }
            Outcome::DestinationGone => {
                self.path_worked(path, None);
                if let Some(node) = target.node() {
                    self.health.remove(*node);
                }
            }
            Outcome::GuardUnreachable | Outcome::GuardBusy => self.guard_failed(path, now),
            Outcome::NodeNotFound(node) => {
                if target.node() == Some(node) {
                    self.health.remove(*node);
                } else {
                    if path.hops.iter().skip(1).any(|hop| hop.ed25519 == *node) {
                        self.health.remove(*node);
                    }
                    self.path_failed(path, now);
                }
            }
            Outcome::NodeNotReady(node) => {
                if path.guard().ed25519 == *node {
                    self.guard_failed(path, now);
                } else if target.node() == Some(node) || path.contains(node) {
                    self.health.strike(*node, now);
                } else {
                    self.path_failed(path, now);
                }
            }
            // What a proxied server says goes through unchanged, and is no news of the path.
            Outcome::Unexplained(_) if target == Target::Server => {}
            Outcome::PathTimeout
            | Outcome::PathBroken
            | Outcome::UnreadableReply
            | Outcome::Unexplained(_) => self.path_failed(path, now),
        }
    }

    fn path_worked(&mut self, path: &Path, target: Option<&Ed25519Public>) {
        self.guards.worked(&path.guard().ed25519);
        for hop in &path.hops {
            self.health.forgive_one(&hop.ed25519);
        }
        if let Some(target) = target {
            self.health.forgive_one(target);
        }
        if let Some(kept) = self.kept(path.id) {
            kept.strikes = 0;
        }
    }

    fn path_failed(&mut self, path: &Path, now: Timestamp) {
        for hop in path.hops.iter().skip(1) {
            self.health.strike(hop.ed25519, now);
        }
        if path.hops.len() == 1 {
            self.guard_failed(path, now);
            return;
        }
        let max_strikes = self.config.max_strikes;
        let Some(kept) = self.kept(path.id) else { return };
        kept.strikes = kept.strikes.saturating_add(1);
        if kept.strikes >= max_strikes {
            self.drop_path(path.id);
            self.guard_failed(path, now);
        }
    }

    fn guard_failed(&mut self, path: &Path, now: Timestamp) {
        self.guards.failed(&path.guard().ed25519, now);
    }

    fn strike_target(&mut self, target: Target, now: Timestamp) {
        if let Some(node) = target.node() {
            self.health.strike(*node, now);
        }
    }

    fn kept(&mut self, id: u64) -> Option<&mut Kept> {
        self.paths.iter_mut().chain(&mut self.detours).find(|kept| kept.path.id == id)
    }

    fn drop_path(&mut self, id: u64) {
        self.paths.retain(|kept| kept.path.id != id);
        self.detours.retain(|kept| kept.path.id != id);
    }

    fn health_of(&self, node: &Ed25519Public, now: Timestamp) -> u32 {
        self.health.badness(node, self.config.max_strikes, self.config.strike_life, now)
    }

    /// A healthy node that is not set aside as a guard either: fit for the middle of a path.
    fn relay_health(&self, node: &Ed25519Public, now: Timestamp) -> u32 {
        self.health_of(node, now).max(u32::from(self.guards.is_set_aside(node, now)))
    }

    /// The best of these paths that do not contain `target`; of equals, a random one.
    fn best(
        &self,
        paths: &[Kept],
        target: Option<&Ed25519Public>,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> Option<Path> {
        let fitting = paths.iter().filter(|kept| target.is_none_or(|target| !kept.path.contains(target)));
        let scored: Vec<(u32, &Kept)> = fitting.map(|kept| (self.score(kept, now), kept)).collect();
        let least = scored.iter().map(|(score, _)| *score).min()?;
        let best: Vec<&Kept> =
            scored.into_iter().filter(|(score, _)| *score == least).map(|(_, kept)| kept).collect();
        best.get(choice::below(best.len(), rng)).map(|kept| kept.path.clone())
    }

    /// Strikes against a path and its nodes: after a failure the other path is tried.
    fn score(&self, kept: &Kept, now: Timestamp) -> u32 {
        let life = self.config.strike_life;
        let nodes = kept.path.hops.iter().map(|hop| self.health.strikes(&hop.ed25519, now, life));
        nodes.fold(kept.strikes, u32::saturating_add)
    }

    /// Brings the kept paths in line with list, guards, health and age.
    fn refresh(&mut self, now: Timestamp, rng: &mut impl CryptoRngCore) {
        let pool = Pool { nodes: &self.nodes, without: None };
        let (max_strikes, life) = (self.config.max_strikes, self.config.strike_life);
        let health = |node: &Ed25519Public| self.health.badness(node, max_strikes, life, now);
        let wanted = self.guards.wanted(&self.config, pool, health, now, rng);
        self.paths.retain(|kept| wanted.contains(&kept.path.guard().ed25519));
        let (rotate_after, hops) = (self.config.rotate_after, self.config.hops);
        self.detours.retain(|kept| {
            now.since(kept.made_at) < rotate_after
                && !self.guards.is_set_aside(&kept.path.guard().ed25519, now)
                && kept
                    .path
                    .hops
                    .iter()
                    .all(|hop| self.nodes.contains_key(&hop.ed25519) && !self.health.is_removed(&hop.ed25519))
        });
        for guard in &wanted {
            let old = self.paths.iter().position(|kept| kept.path.guard().ed25519 == *guard);
            let kept = old.map(|at| self.paths.swap_remove(at));
            let is_fresh = kept.as_ref().is_some_and(|kept| now.since(kept.made_at) < rotate_after);
            let (mut keep, mut strikes, mut made_at) = (Vec::new(), 0, now);
            if let (Some(kept), true) = (&kept, is_fresh) {
                // Healthy hops stay; only the others are replaced.
                keep = kept.path.hops.iter().skip(1).map(|hop| hop.ed25519).collect();
                keep.retain(|hop| self.nodes.contains_key(hop) && self.relay_health(hop, now) == 0);
                (strikes, made_at) = (kept.strikes, kept.made_at);
            }
            if let (Some(kept), true) = (kept, keep.len() + 1 == hops) {
                self.paths.push(kept);
                continue;
            }
            let Some(path) = self.make(guard, &keep, &wanted, None, now, rng) else { continue };
            self.paths.push(Kept { path, made_at, strikes });
        }
        self.paths.sort_by_key(|kept| wanted.iter().position(|guard| *guard == kept.path.guard().ed25519));
    }

    /// A path around `target`, kept for the next request to it.
    fn detour(
        &mut self,
        target: Option<&Ed25519Public>,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> Option<Path> {
        let pool = Pool { nodes: &self.nodes, without: target };
        let (max_strikes, life) = (self.config.max_strikes, self.config.strike_life);
        let health = |node: &Ed25519Public| self.health.badness(node, max_strikes, life, now);
        let one = PathConfig { paths: 1, ..self.config.clone() };
        let wanted = self.guards.wanted(&one, pool, health, now, rng);
        let path = self.make(wanted.first()?, &[], &[], target, now, rng)?;
        if self.detours.len() >= MAX_DETOURS {
            self.detours.remove(0);
        }
        self.detours.push(Kept { path: path.clone(), made_at: now, strikes: 0 });
        Some(path)
    }

    /// A path behind `guard` with the nodes `keep` and random ones, without `target`.
    fn make(
        &mut self,
        guard: &Ed25519Public,
        keep: &[Ed25519Public],
        guards: &[Ed25519Public],
        target: Option<&Ed25519Public>,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> Option<Path> {
        let others = self.paths.iter().flat_map(|kept| kept.path.hops.iter().map(|hop| hop.ed25519));
        let used: BTreeSet<_> = others.chain(guards.iter().copied()).collect();
        let fixed = std::iter::once(guard).chain(keep).filter_map(|node| self.nodes.get(node).copied());
        let nodes = self.nodes.values().filter(|node| Some(&node.ed25519) != target);
        let health = |node: &Ed25519Public| self.relay_health(node, now);
        let hops = choice::fill(fixed.collect(), self.config.hops, nodes, health, &used, rng)?;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        Some(Path { id, hops })
    }
}
