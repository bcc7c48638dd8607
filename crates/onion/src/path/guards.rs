//! Guards: the nodes that see this machine's address, and how few of them there should be.
//!
//! # The trade-off
//!
//! Every guard ever used is one more machine that knows the address of this one, and one more
//! chance to meet an adversary's. So guards are kept across restarts, are preferred in the order
//! they were chosen, and come back to their place when they work again. On the other hand a
//! client whose guard is dead must go on at once, so a failing guard is set aside for a growing
//! while (30 s, doubling, up to an hour) and another takes its place.
//!
//! An adversary who can cut connections could use that to walk a client from guard to guard until
//! it meets theirs. Three things bound the walk: at most [`PathConfig::max_guards`] guards are
//! chosen per [`PathConfig::guard_period`]; replacements chosen while nothing works are spaced by
//! a growing pause, also over restarts (a machine without network must not use up all its guards either);
//! and once the bound is reached, guards that were set aside are tried again instead. The bound gives way
//! in one case: when none of the known guards is in the node list or fits the destination,
//! because then there would be no path at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::{SnodeRecord, Timestamp};
use rand_core::CryptoRngCore;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::PathConfig;
use super::choice::{Penalty, pick, subnet};

/// How long a guard is set aside after its first failure; doubles with each further one.
const SET_ASIDE_BASE: Duration = Duration::from_secs(30);
/// A guard is tried again after at most this long.
const SET_ASIDE_MAX: Duration = Duration::from_secs(60 * 60);
/// The pause after the first replacement chosen while nothing works; doubles.
const REPLACEMENT_PAUSE: Duration = Duration::from_secs(30);

/// The guards of this machine, in order of preference. Keep it on disk and give it to the next
/// [`super::PathManager`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardState {
    /// The first chosen is the most preferred.
    pub guards: Vec<Guard>,
    /// Replacements chosen since anything last worked. Kept, or a machine without network that is used for many short
    /// runs would meet one more guard in each.
    pub replaced: u32,
    /// No replacement is chosen before this time.
    pub next_replacement: Timestamp,
}

/// One guard and what is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Which node.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub ed25519: Ed25519Public,
    /// When it was chosen.
    pub chosen_at: Timestamp,
    /// Failures since it last worked.
    #[serde(default)]
    pub failures: u32,
    /// Not used before this time; 0 if it is not set aside.
    #[serde(default)]
    pub set_aside_until: Timestamp,
}

impl Guard {
    /// Whether it is out of use for now. Times further off than any set here come from a clock
    /// that was wrong, and do not count.
    pub fn is_set_aside(&self, now: Timestamp) -> bool {
        self.set_aside_until > now && self.set_aside_until.since(now) <= SET_ASIDE_MAX
    }
}

/// [`GuardState`] with what is remembered of this run only.
#[derive(Clone, Debug)]
pub(super) struct Guards {
    state: GuardState,
    changed: bool,
    /// Failures of guards that were tried although set aside, so that each gets its turn.
    tried_again: BTreeMap<Ed25519Public, u32>,
}

/// The nodes guards are chosen from.
#[derive(Clone, Copy)]
pub(super) struct Pool<'a> {
    /// The node list.
    pub(super) nodes: &'a BTreeMap<Ed25519Public, SnodeRecord>,
    /// A destination, which cannot be guard for itself.
    pub(super) without: Option<&'a Ed25519Public>,
}

impl<'a> Pool<'a> {
    fn find(&self, node: &Ed25519Public) -> Option<&'a SnodeRecord> {
        if Some(node) == self.without { None } else { self.nodes.get(node) }
    }

    fn iter(&self) -> impl Iterator<Item = &'a SnodeRecord> {
        let without = self.without;
        self.nodes.values().filter(move |node| Some(&node.ed25519) != without)
    }
}

impl Guards {
    pub(super) fn new(mut state: GuardState, config: &PathConfig) -> Self {
        let mut seen = BTreeSet::new();
        state.guards.retain(|guard| seen.insert(guard.ed25519));
        state.guards.truncate(remembered(config));
        Self { state, changed: false, tried_again: BTreeMap::new() }
    }

    pub(super) const fn state(&self) -> &GuardState {
        &self.state
    }

    pub(super) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    pub(super) fn worked(&mut self, node: &Ed25519Public) {
        self.tried_again.clear();
        if self.state.replaced != 0 || self.state.next_replacement != Timestamp(0) {
            self.state.replaced = 0;
            self.state.next_replacement = Timestamp(0);
            self.changed = true;
        }
        if let Some(guard) = self.state.guards.iter_mut().find(|guard| guard.ed25519 == *node)
            && (guard.failures != 0 || guard.set_aside_until != Timestamp(0))
        {
            guard.failures = 0;
            guard.set_aside_until = Timestamp(0);
            self.changed = true;
        }
    }

    pub(super) fn failed(&mut self, node: &Ed25519Public, now: Timestamp) {
        if let Some(guard) = self.state.guards.iter_mut().find(|guard| guard.ed25519 == *node) {
            // Many requests can be under way when a guard dies; together they are one failure.
            if guard.is_set_aside(now) {
                let tries = self.tried_again.entry(*node).or_default();
                *tries = tries.saturating_add(1);
                return;
            }
            let doubled = 1u32.checked_shl(guard.failures).unwrap_or(u32::MAX);
            guard.failures = guard.failures.saturating_add(1);
            guard.set_aside_until = now.plus(SET_ASIDE_BASE.saturating_mul(doubled).min(SET_ASIDE_MAX));
            self.changed = true;
        }
    }

    /// Failures so far were not the guards' own.
    pub(super) fn forget_failures(&mut self) {
        self.tried_again.clear();
        for guard in self.state.guards.iter_mut().filter(|guard| guard.failures > 0) {
            guard.failures = 0;
            guard.set_aside_until = Timestamp(0);
            self.changed = true;
        }
    }

    pub(super) fn is_set_aside(&self, node: &Ed25519Public, now: Timestamp) -> bool {
        self.state.guards.iter().any(|guard| guard.ed25519 == *node && guard.is_set_aside(now))
    }

    /// The guards to use now, at least one if the pool has any node: as many as there should be paths,
    /// fewer if the rest is set aside and may not be replaced yet. `health` of 0 is well.
    pub(super) fn wanted(
        &mut self,
        config: &PathConfig,
        pool: Pool<'_>,
        health: impl Fn(&Ed25519Public) -> u32,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> Vec<Ed25519Public> {
        loop {
            let known: Vec<&Guard> = self
                .state
                .guards
                .iter()
                .filter(|guard| pool.find(&guard.ed25519).is_some() && health(&guard.ed25519) == 0)
                .collect();
            let usable: Vec<Ed25519Public> = known
                .iter()
                .filter(|guard| !guard.is_set_aside(now))
                .take(config.paths)
                .map(|guard| guard.ed25519)
                .collect();
            let is_replacement = known.len() >= config.paths;
            let may_choose = self.chosen_lately(config, now) < config.max_guards
                && (!is_replacement || self.may_replace(now));
            if usable.len() < config.paths
                && may_choose
                && self.choose(config, pool, |node| (health(node) == 0).then_some(0), now, rng)
            {
                if is_replacement {
                    let doubled = 1u32.checked_shl(self.state.replaced).unwrap_or(u32::MAX);
                    let pause = REPLACEMENT_PAUSE.saturating_mul(doubled).min(SET_ASIDE_MAX);
                    self.state.replaced = self.state.replaced.saturating_add(1);
                    self.state.next_replacement = now.plus(pause);
                }
                continue;
            }
            if !usable.is_empty() {
                return usable;
            }
            // Nothing left but to knock again where it was tried least, else to break a rule.
            let listed = self.state.guards.iter().filter(|guard| pool.find(&guard.ed25519).is_some());
            let again = listed.min_by_key(|guard| {
                let tries = self.tried_again.get(&guard.ed25519).copied().unwrap_or(0);
                (health(&guard.ed25519), tries, guard.set_aside_until)
            });
            if let Some(guard) = again {
                return vec![guard.ed25519];
            }
            if !self.choose(config, pool, |node| Some(health(node)), now, rng) {
                return Vec::new();
            }
        }
    }

    /// Chooses one more guard among nodes whose `health` is something; whether there was one.
    fn choose(
        &mut self,
        config: &PathConfig,
        pool: Pool<'_>,
        health: impl Fn(&Ed25519Public) -> Option<u32>,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> bool {
        let is_guard = |node: &Ed25519Public| self.state.guards.iter().any(|guard| guard.ed25519 == *node);
        let subnets: Vec<_> =
            self.state.guards.iter().filter_map(|guard| pool.find(&guard.ed25519)).map(subnet).collect();
        let candidates = pool.iter().filter(|node| !is_guard(&node.ed25519)).filter_map(|node| {
            let health = health(&node.ed25519)?;
            Some((node, Penalty { health, same_subnet: subnets.contains(&subnet(node)), used: false }))
        });
        let Some(chosen) = pick(candidates, rng).map(|node| node.ed25519) else { return false };
        if self.state.guards.len() >= remembered(config) {
            // The least preferred that does not count against the bound makes room.
            let is_old = |guard: &Guard| now.since(guard.chosen_at) >= config.guard_period;
            let out = self.state.guards.iter().rposition(is_old).unwrap_or(self.state.guards.len() - 1);
            self.state.guards.remove(out);
        }
        self.state.guards.push(Guard {
            ed25519: chosen,
            chosen_at: now,
            failures: 0,
            set_aside_until: Timestamp(0),
        });
        self.changed = true;
        true
    }

    /// Forgets guards that left the network, once they no longer count against the bound.
    pub(super) fn forget_old(
        &mut self,
        config: &PathConfig,
        nodes: &BTreeMap<Ed25519Public, SnodeRecord>,
        now: Timestamp,
    ) {
        let before = self.state.guards.len();
        self.state.guards.retain(|guard| {
            nodes.contains_key(&guard.ed25519) || now.since(guard.chosen_at) < config.guard_period
        });
        self.changed |= self.state.guards.len() != before;
    }

    /// Whether the pause since the last replacement is over. One that is longer than any made here comes from a clock that
    /// was wrong, and does not count.
    fn may_replace(&self, now: Timestamp) -> bool {
        let next = self.state.next_replacement;
        next <= now || next.since(now) > SET_ASIDE_MAX
    }

    fn chosen_lately(&self, config: &PathConfig, now: Timestamp) -> usize {
        self.state.guards.iter().filter(|guard| now.since(guard.chosen_at) < config.guard_period).count()
    }
}

/// How many guards are remembered: those of this period, and old ones that still serve.
const fn remembered(config: &PathConfig) -> usize {
    config.max_guards.saturating_mul(2).saturating_add(config.paths)
}

fn to_hex<S: Serializer>(key: &Ed25519Public, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.to_hex())
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ed25519Public, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ed25519Public::from_hex(&text).map_err(serde::de::Error::custom)
}
