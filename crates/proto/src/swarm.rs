//! Which swarm keeps an account's messages (storage-and-onion 4.1).

/// The number of a swarm. `u64::MAX` marks nodes that are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SwarmId(pub u64);

impl SwarmId {
    /// The id of nodes that belong to no swarm (decommissioned or not yet assigned).
    pub const NONE: Self = Self(u64::MAX);

    /// Lowercase hex without leading zeros, as `get_swarm` answers it.
    pub fn to_hex(self) -> String {
        format!("{:x}", self.0)
    }
}

/// The point of a 32-byte key in swarm space: its four big-endian words, xored.
pub fn swarm_space(key: &[u8; 32]) -> u64 {
    key.chunks_exact(8).fold(0, |acc, word| acc ^ u64::from_be_bytes(word.try_into().unwrap_or_default()))
}

/// The swarm nearest to `point` on the wrapping number line; ties go left. `sorted` holds the ids
/// of all active swarms in ascending order. `None` if there are none.
pub fn swarm_of(point: u64, sorted: &[SwarmId]) -> Option<SwarmId> {
    let first = *sorted.first()?;
    let last = *sorted.last()?;
    let at = sorted.partition_point(|id| id.0 < point);
    let right = sorted.get(at).copied().unwrap_or(first);
    let left = at.checked_sub(1).and_then(|before| sorted.get(before)).copied().unwrap_or(last);
    let to_right = right.0.wrapping_sub(point);
    let to_left = point.wrapping_sub(left.0);
    Some(if to_right < to_left { right } else { left })
}
