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

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that remembers one common change of `k`, and has it as `value` without saying why.
    fn message(value: &str) -> Message {
        let hash = "x".repeat(32);
        let bytes = format!("d1:#i6e1:&d1:k{}:{value}e1:<lli5e32:{hash}d1:k0:eee1:=dee", value.len());
        Message::parse(bytes.as_bytes(), None).unwrap()
    }

    #[test]
    fn what_several_remember_is_as_the_greatest_of_them_has_it() {
        let messages = ["a", "b", "c"].map(message);
        let greatest = messages.iter().max_by_key(|message| message.version()).unwrap();
        let Some(Outcome::Merged(draft)) = merge(&messages.iter().collect::<Vec<_>>(), true) else {
            panic!("nothing to merge")
        };
        assert_eq!(draft.data(), greatest.data());
    }

    #[test]
    fn keys_of_newer_programs_survive_a_merge() {
        let read = |text: &str| Message::parse(text.as_bytes(), None).unwrap();
        let one = read("d1:#i6e1:$1:x1:&de1:<le1:=de1:?i1ee");
        let two = read("d1:#i6e1:%1:y1:&de1:<le1:=de1:?i2ee");
        let greater = if one.version() > two.version() { "1" } else { "2" };
        for order in [[&one, &two], [&two, &one]] {
            let Some(Outcome::Merged(draft)) = merge(&order, true) else { panic!("nothing to merge") };
            let text = String::from_utf8_lossy(draft.finish(None).as_bytes()).into_owned();
            assert!(text.contains("1:$1:x1:%1:y1:&"), "{text}");
            assert!(text.contains(&format!("1:?i{greater}e")), "{text}");
        }
    }

    #[test]
    fn without_a_number_left_the_greatest_is_adopted() {
        let read = |key: &str| {
            let text = format!("d1:#i{MAX_SEQNO}e1:&d1:{key}i1ee1:<le1:=dee");
            Message::parse(text.as_bytes(), None).unwrap()
        };
        let (one, two) = (read("a"), read("b"));
        let greatest = usize::from(two.version() > one.version());
        assert!(matches!(merge(&[&one, &two], true), Some(Outcome::Adopted(place)) if place == greatest));
    }
}
