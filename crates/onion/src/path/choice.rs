//! Picking nodes at random under wishes that can be unmet in small networks.

use std::collections::BTreeSet;

use conclave_crypto::Ed25519Public;
use conclave_proto::SnodeRecord;
use rand_core::CryptoRngCore;

/// The first 24 bits of an address: nodes that share them probably share an owner or a cable.
pub(super) type Subnet = [u8; 3];

/// The /24 of a node.
pub(super) const fn subnet(node: &SnodeRecord) -> Subnet {
    let [a, b, c, _] = node.ip.octets();
    [a, b, c]
}

/// What makes a node less welcome, the worst first. Smaller is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Penalty {
    /// How bad its health is; 0 is well.
    pub(super) health: u32,
    /// Another hop of the path is in its /24.
    pub(super) same_subnet: bool,
    /// It is on another path, or guards one.
    pub(super) used: bool,
}

/// A random node among those with the smallest penalty.
///
/// Filling a path this way is the rule "one random node per /24, weighted by the subnet's
/// population": a uniform choice among nodes hits a subnet as often as it has nodes, and its
/// other nodes have a penalty from then on.
pub(super) fn pick<'a>(
    candidates: impl Iterator<Item = (&'a SnodeRecord, Penalty)>,
    rng: &mut impl CryptoRngCore,
) -> Option<&'a SnodeRecord> {
    let mut best = Vec::new();
    let mut least = None;
    for (node, penalty) in candidates {
        if least.is_none_or(|least| penalty < least) {
            least = Some(penalty);
            best.clear();
        }
        if least == Some(penalty) {
            best.push(node);
        }
    }
    best.get(below(best.len(), rng)).copied()
}

/// Adds random nodes to `hops` until there are `length`. `None` if there are too few nodes.
pub(super) fn fill<'a>(
    mut hops: Vec<SnodeRecord>,
    length: usize,
    nodes: impl Iterator<Item = &'a SnodeRecord> + Clone,
    health: impl Fn(&Ed25519Public) -> u32,
    used: &BTreeSet<Ed25519Public>,
    rng: &mut impl CryptoRngCore,
) -> Option<Vec<SnodeRecord>> {
    while hops.len() < length {
        let candidates =
            nodes.clone().filter(|node| hops.iter().all(|hop| hop.ed25519 != node.ed25519)).map(|node| {
                let penalty = Penalty {
                    health: health(&node.ed25519),
                    same_subnet: hops.iter().any(|hop| subnet(hop) == subnet(node)),
                    used: used.contains(&node.ed25519),
                };
                (node, penalty)
            });
        let next = *pick(candidates, rng)?;
        hops.push(next);
    }
    Some(hops)
}

/// A uniform index below `n`; 0 if there is none.
pub(super) fn below(n: usize, rng: &mut impl CryptoRngCore) -> usize {
    let Ok(n) = u64::try_from(n) else { return 0 };
    if n < 2 {
        return 0;
    }
    // Draws from the uneven rest at the top would favour small indices.
    let limit = u64::MAX - u64::MAX % n;
    loop {
        let drawn = rng.next_u64();
        if drawn < limit {
            return usize::try_from(drawn % n).unwrap_or(0);
        }
    }
}
