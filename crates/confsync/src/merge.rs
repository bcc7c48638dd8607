//! Making one document of several versions of it (config-and-groups 3).
//!
//! A pure function: whoever merges the same messages gets the same result, in whatever order they
//! come, down to the bytes. So devices that merge at the same time store the same message. For each key
//! the greatest version that changed it wins; changes of different keys all survive, as long as none of
//! the versions is more than [`LAG`] behind the newest.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::Dict;
use crate::diff::Diff;
use crate::message::{Draft, LAG, MAX_SEQNO, Message, Version};

/// What comes of several messages.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// One of them, by its place, has everything in it that the others say.
    Adopted(usize),
    /// They contradict each other; this is the next version, which has all of them in it. Its changes
    /// are empty: they are those it remembers of the others.
    Merged(Draft),
}

/// Merges messages; `None` if there are none. Where the same message comes twice, the first counts.
///
/// Who may not write (`may_merge`) adopts the greatest instead of merging.
pub fn merge(messages: &[&Message], may_merge: bool) -> Option<Outcome> {
    let newest = messages.iter().map(|message| message.version().seqno).max()?;
    let included: BTreeSet<Version> =
        messages.iter().flat_map(|message| message.lagged().keys().copied()).collect();
    let mut left: BTreeMap<Version, (usize, &Message)> = BTreeMap::new();
    for (place, message) in messages.iter().enumerate() {
        let version = message.version();
        if !included.contains(&version) && version.seqno.saturating_add(LAG) > newest {
            left.entry(version).or_insert((place, message));
        }
    }
    // The newest of all is never included in another, so something is left.
    let (_, (greatest_place, greatest)) = left.last_key_value()?;
    if left.len() == 1 || !may_merge || newest >= MAX_SEQNO {
        return Some(Outcome::Adopted(*greatest_place));
    }

    let mut replay: BTreeMap<Version, (&Diff, &Dict)> = BTreeMap::new();
    let mut unknown = BTreeMap::new();
    for (version, (_, message)) in left.iter().rev() {
        replay.entry(*version).or_insert((message.diff(), message.data()));
        for (version, diff) in message.lagged() {
            replay.entry(*version).or_insert((diff, message.data()));
        }
        for (key, raw) in message.unknown() {
            unknown.entry(key.clone()).or_insert_with(|| raw.clone());
        }
    }
    let mut data = greatest.data().clone();
    for (diff, source) in replay.values() {
        diff.apply(source, &mut data);
    }
    data.prune();
    Some(Outcome::Merged(Draft {
        seqno: newest.saturating_add(1),
        base: data.clone(),
        data,
        lagged: replay.into_iter().map(|(version, (diff, _))| (version, diff.clone())).collect(),
        unknown,
    }))
}
