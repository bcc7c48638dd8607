//! Which node is in which swarm (storage-and-onion 4.2), with the network's parameters.
//!
//! The rule is the existing network's: deterministic under a 64-bit seed, so that everybody who
//! knows the seed can check the result. The order in which swarms of equal size are considered is
//! by id; the reference sorts unstably there, so only networks that assign with this code may
//! compare results.

use std::collections::{BTreeMap, BTreeSet};

use conclave_crypto::Ed25519Public;
use rand_mt::Mt64;

use crate::network::SwarmParams;
use crate::swarm::SwarmId;

/// The largest id a swarm can have; one more marks "no swarm".
pub const MAX_ID: u64 = u64::MAX - 1;

/// New nodes go to one of the smallest swarms: those up to the size at this percentile.
const FILL_PERCENTILE: usize = 25;
/// Starving swarms take from large ones: those above the size at this percentile, less one.
const STEAL_PERCENTILE: usize = 75;
/// The nodes of a dissolved swarm go to the very smallest.
const DISSOLVE_PERCENTILE: usize = 0;

/// The members of every swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwarmMap {
    swarms: BTreeMap<SwarmId, Vec<Ed25519Public>>,
}

impl SwarmMap {
    /// The map in which these nodes are in these swarms.
    pub fn new(members: impl IntoIterator<Item = (Ed25519Public, SwarmId)>) -> Self {
        let mut swarms: BTreeMap<SwarmId, Vec<Ed25519Public>> = BTreeMap::new();
        for (node, swarm) in members {
            if swarm != SwarmId::NONE {
                swarms.entry(swarm).or_default().push(node);
            }
        }
        for nodes in swarms.values_mut() {
            nodes.sort_unstable();
        }
        Self { swarms }
    }

    /// Members by swarm.
    pub const fn swarms(&self) -> &BTreeMap<SwarmId, Vec<Ed25519Public>> {
        &self.swarms
    }

    /// The swarm of every node.
    pub fn assignment(&self) -> BTreeMap<Ed25519Public, SwarmId> {
        self.swarms.iter().flat_map(|(swarm, nodes)| nodes.iter().map(|node| (*node, *swarm))).collect()
    }

    /// Takes nodes out, wherever they are.
    pub fn remove(&mut self, gone: &[Ed25519Public]) {
        for nodes in self.swarms.values_mut() {
            nodes.retain(|node| !gone.contains(node));
        }
    }

    /// Brings the map in order after nodes joined or left: places `joining` nodes, feeds starving swarms, makes new
    /// swarms where there are nodes to spare, dissolves swarms that stay too small.
    pub fn update(&mut self, params: &SwarmParams, joining: &[Ed25519Public], seed: u64) {
        let mut rng = Mt64::new(seed);
        let min = params.min_size as usize;
        if self.swarms.is_empty() {
            self.swarms.insert(SwarmId(0), Vec::new());
        }
        // A node that is a member already, or is named twice, joins once.
        let members: BTreeSet<Ed25519Public> = self.swarms.values().flatten().copied().collect();
        let joining: BTreeSet<Ed25519Public> =
            joining.iter().filter(|node| !members.contains(node)).copied().collect();
        for node in joining {
            self.place(node, FILL_PERCENTILE, &mut rng);
            self.create_swarms(params, &mut rng);
        }
        self.feed_starving(min, &mut rng);
        self.create_swarms(params, &mut rng);
        self.dissolve_small(min, &mut rng);
    }

    fn by_size(&self) -> Vec<(usize, SwarmId)> {
        let mut sizes: Vec<_> = self.swarms.iter().map(|(id, nodes)| (nodes.len(), *id)).collect();
        sizes.sort_unstable();
        sizes
    }

    fn size_at(sizes: &[(usize, SwarmId)], percentile: usize) -> usize {
        let index = percentile * sizes.len().saturating_sub(1) / 100;
        sizes.get(index).map_or(0, |(size, _)| *size)
    }

    fn place(&mut self, node: Ed25519Public, percentile: usize, rng: &mut Mt64) {
        let sizes = self.by_size();
        let largest = Self::size_at(&sizes, percentile);
        let candidates = sizes.partition_point(|(size, _)| *size <= largest);
        let pick = uniform(rng, candidates as u64);
        if let Some((_, id)) = sizes.get(pick as usize) {
            self.swarms.entry(*id).or_default().push(node);
        }
    }

    fn is_starving(&self, min: usize) -> bool {
        self.swarms.values().any(|nodes| nodes.len() < min)
    }

    /// A random node of the swarms larger than `larger_than`, taken out of its swarm.
    fn take_from_pool(&mut self, larger_than: usize, rng: &mut Mt64) -> Option<Ed25519Public> {
        let pool: Vec<(SwarmId, usize)> = self
            .swarms
            .iter()
            .filter(|(_, nodes)| nodes.len() > larger_than)
            .flat_map(|(id, nodes)| (0..nodes.len()).map(|at| (*id, at)))
            .collect();
        if pool.is_empty() {
            return None;
        }
        let (id, at) = *pool.get(uniform(rng, pool.len() as u64) as usize)?;
        let nodes = self.swarms.get_mut(&id)?;
        (at < nodes.len()).then(|| nodes.remove(at))
    }

    fn feed_starving(&mut self, min: usize, rng: &mut Mt64) {
        let starving: Vec<SwarmId> =
            self.swarms.iter().filter(|(_, nodes)| nodes.len() < min).map(|(id, _)| *id).collect();
        for id in starving {
            while self.swarms.get(&id).is_some_and(|nodes| nodes.len() < min) {
                let large = Self::size_at(&self.by_size(), STEAL_PERCENTILE).saturating_sub(1);
                let larger_than = min.max(large);
                let excess: usize = self
                    .swarms
                    .values()
                    .filter(|nodes| nodes.len() > larger_than)
                    .map(|nodes| nodes.len() - min)
                    .sum();
                let deficit = min - self.swarms.get(&id).map_or(0, Vec::len);
                if excess < deficit {
                    return;
                }
                let Some(node) = self.take_from_pool(larger_than, rng) else { return };
                self.swarms.entry(id).or_default().push(node);
            }
        }
    }

    fn create_swarms(&mut self, params: &SwarmParams, rng: &mut Mt64) {
        let min = params.min_size as usize;
        while !self.is_starving(min) {
            let spare: usize = self.swarms.values().map(|nodes| nodes.len().saturating_sub(min)).sum();
            let needed = params.new_size as usize + params.ideal_margin as usize * self.swarms.len();
            if spare < needed {
                return;
            }
            let mut members = Vec::with_capacity(params.new_size as usize);
            while members.len() < params.new_size as usize {
                let Some(node) = self.take_from_pool(min, rng) else { break };
                members.push(node);
            }
            // Parameters that ask for swarms of nobody would make them for ever.
            if members.is_empty() {
                return;
            }
            let ids: Vec<SwarmId> = self.swarms.keys().copied().collect();
            self.swarms.insert(new_swarm_id(&ids), members);
        }
    }

    fn dissolve_small(&mut self, min: usize, rng: &mut Mt64) {
        while self.swarms.len() > 1 {
            let Some(id) = self.swarms.iter().find(|(_, nodes)| nodes.len() < min).map(|(id, _)| *id) else {
                return;
            };
            for node in self.swarms.remove(&id).unwrap_or_default() {
                self.place(node, DISSOLVE_PERCENTILE, rng);
            }
        }
    }
}

/// The swarms of a network whose nodes all join at once.
pub fn initial_assignment(
    params: &SwarmParams,
    nodes: &[Ed25519Public],
    seed: u64,
) -> BTreeMap<Ed25519Public, SwarmId> {
    let mut map = SwarmMap::default();
    map.update(params, nodes, seed);
    map.assignment()
}

/// The id of a new swarm beside those in `sorted` (ascending): the middle of the largest gap on the ring of
/// 0..=[`MAX_ID`]; of equal gaps, the first.
pub fn new_swarm_id(sorted: &[SwarmId]) -> SwarmId {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return SwarmId(0) };
    let mut widest = (0u64, 0u64);
    for (left, right) in sorted.iter().zip(sorted.iter().skip(1)) {
        let gap = right.0.wrapping_sub(left.0);
        if gap > widest.1 {
            widest = (left.0, gap);
        }
    }
    // MAX_ID and 0 are one apart.
    let around = MAX_ID.wrapping_sub(last.0).wrapping_add(first.0).wrapping_add(1);
    if around > widest.1 {
        widest = (last.0, around);
    }
    let middle = u128::from(widest.0) + u128::from(widest.1 / 2);
    let wrapped = middle % (u128::from(MAX_ID) + 1);
    SwarmId(u64::try_from(wrapped).unwrap_or(0))
}

/// A number below `n`, drawn as the reference does: rejecting the uneven rest, then dividing. `n` of 0 gives 0.
pub fn uniform(rng: &mut Mt64, n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    let limit = u64::MAX - u64::MAX % n;
    loop {
        let drawn = rng.next_u64();
        if drawn < limit {
            return drawn / (limit / n);
        }
    }
}
