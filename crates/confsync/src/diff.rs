//! What changed from one version of a document to the next (config-and-groups 2.3).
//!
//! A diff names the keys that changed and, for sets, the elements; the new values of scalars are not in
//! it but in the data of the message that carries it, or of a later one that still remembers it.

use std::collections::{BTreeMap, BTreeSet};

use conclave_proto::bt;

use crate::data::{Dict, Scalar, Value, set_of_bt, write_set};
use crate::message::ParseError;

/// The changes of a dictionary, by key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Diff {
    changes: BTreeMap<Vec<u8>, Change>,
}

/// Who prevails when changes are [made again](Diff::make_again).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    /// A change inside a record that was taken away meanwhile brings it back.
    pub revives: bool,
    /// A record is taken away although it was changed meanwhile.
    pub removes: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Change {
    /// A scalar is new or another one.
    Assigned,
    /// A scalar is gone.
    Removed,
    Set {
        added: BTreeSet<Scalar>,
        removed: BTreeSet<Scalar>,
    },
    Dict(Diff),
}

impl Diff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What leads from one to the other.
    pub fn between(old: &Dict, new: &Dict) -> Self {
        let removed = old
            .iter()
            .filter(|(key, _)| new.value(key).is_none())
            .map(|(key, value)| (key, Change::of_removed(value)));
        let assigned = new.iter().filter_map(|(key, value)| {
            let change = match (old.value(key), value) {
                (Some(Value::Scalar(before)), Value::Scalar(after)) if before == after => return None,
                (Some(Value::Set(before)), Value::Set(after)) => Change::Set {
                    added: after.difference(before).cloned().collect(),
                    removed: before.difference(after).cloned().collect(),
                },
                (Some(Value::Dict(before)), Value::Dict(after)) => Change::Dict(Self::between(before, after)),
                // Also if something of another kind stood there before.
                (_, after) => Change::of_new(after),
            };
            (!change.is_empty()).then_some((key, change))
        });
        Self { changes: removed.chain(assigned).map(|(key, change)| (key.to_vec(), change)).collect() }
    }

    /// Does the same to another document. Values are taken from `source`, a document that knows this
    /// diff: what is not there any more, or has become something else, is taken away.
    pub fn apply(&self, source: &Dict, target: &mut Dict) {
        for (key, change) in &self.changes {
            match (change, source.value(key)) {
                (Change::Assigned, Some(Value::Scalar(scalar))) => {
                    target.insert(key, Value::Scalar(scalar.clone()));
                }
                (Change::Set { added, removed }, Some(Value::Set(_))) => {
                    let set = target.set_mut(key);
                    set.extend(added.iter().cloned());
                    set.retain(|element| !removed.contains(element));
                }
                (Change::Dict(inner), Some(Value::Dict(source))) => inner.apply(source, target.dict_mut(key)),
                _ => target.remove(key),
            }
        }
    }

    /// Makes changes that were made to `base`, and led to `source`, once more to a later `target`. Where `target` is not as
    /// `base` was, somebody else has changed the same meanwhile, and that stays. What `base` has and `target` has no more was
    /// taken away, and changes inside it do not bring it back.
    pub(crate) fn make_again(&self, base: &Dict, source: &Dict, target: &mut Dict, how: Again) {
        let nothing = Dict::new();
        for (key, change) in &self.changes {
            if let (Change::Dict(inner), Some(Value::Dict(inside))) = (change, source.value(key)) {
                let before = base.dict(key).unwrap_or(&nothing);
                // A record has values of its own; what only holds records is empty when it is missing.
                let was_record = before.iter().any(|(_, value)| !matches!(value, Value::Dict(_)));
                if target.dict(key).is_some() || !was_record || how.revives {
                    inner.make_again(before, inside, target.dict_mut(key), how);
                }
            } else {
                let ours = match change {
                    Change::Set { .. } => true,
                    Change::Dict(_) if how.removes => true,
                    _ => base.value(key) == target.value(key),
                };
                if ours {
                    Self { changes: BTreeMap::from([(key.clone(), change.clone())]) }.apply(source, target);
                }
            }
        }
    }

    /// Reads a diff.
    ///
    /// # Errors
    /// If it breaks a rule of config-and-groups 2.4.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::of_bt(bt::Value::decode(bytes)?)
    }

    pub(crate) fn of_bt(value: bt::Value) -> Result<Self, ParseError> {
        let bt::Value::Dict(entries) = value else { return Err(ParseError::Diff("is no dictionary")) };
        let changes = entries
            .into_iter()
            .map(|(key, value)| Ok((key, Change::of_bt(value)?)))
            .collect::<Result<_, ParseError>>()?;
        Ok(Self { changes })
    }

    /// The bt-encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'd');
        for (key, change) in &self.changes {
            bt::write_bytes(out, key);
            match change {
                Change::Assigned => bt::write_bytes(out, b""),
                Change::Removed => bt::write_bytes(out, b"-"),
                Change::Set { added, removed } => {
                    out.push(b'l');
                    write_set(added, out);
                    write_set(removed, out);
                    out.push(b'e');
                }
                Change::Dict(inner) => inner.write(out),
            }
        }
        out.push(b'e');
    }
}

impl Change {
    fn of_new(value: &Value) -> Self {
        match value {
            Value::Scalar(_) => Self::Assigned,
            Value::Set(set) => Self::Set { added: set.clone(), removed: BTreeSet::new() },
            Value::Dict(dict) => Self::Dict(Diff::between(&Dict::new(), dict)),
        }
    }

    fn of_removed(value: &Value) -> Self {
        match value {
            Value::Scalar(_) => Self::Removed,
            Value::Set(set) => Self::Set { added: BTreeSet::new(), removed: set.clone() },
            Value::Dict(dict) => Self::Dict(Diff::between(dict, &Dict::new())),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Assigned | Self::Removed => false,
            Self::Set { added, removed } => added.is_empty() && removed.is_empty(),
            Self::Dict(diff) => diff.is_empty(),
        }
    }

    fn of_bt(value: bt::Value) -> Result<Self, ParseError> {
        match value {
            bt::Value::Bytes(bytes) => match bytes.as_slice() {
                b"" => Ok(Self::Assigned),
                b"-" => Ok(Self::Removed),
                _ => Err(ParseError::Diff("has an unknown sign")),
            },
            bt::Value::List(items) => match <[bt::Value; 2]>::try_from(items) {
                Ok([bt::Value::List(added), bt::Value::List(removed)]) => {
                    Ok(Self::Set { added: set_of_bt(added)?, removed: set_of_bt(removed)? })
                }
                _ => Err(ParseError::Diff("has a set that is not two lists")),
            },
            dict @ bt::Value::Dict(_) => Diff::of_bt(dict).map(Self::Dict),
            bt::Value::Int(_) => Err(ParseError::Diff("has a number")),
        }
    }
}

impl std::fmt::Debug for Diff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Diff({} keys)", self.changes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(text: &str) -> Dict {
        Dict::decode(text.as_bytes()).unwrap()
    }

    fn diff(old: &str, new: &str) -> String {
        String::from_utf8(Diff::between(&dict(old), &dict(new)).encode()).unwrap()
    }

    #[test]
    fn each_kind_of_change_has_its_form() {
        assert_eq!(diff("de", "de"), "de");
        assert_eq!(diff("de", "d1:ai1ee"), "d1:a0:e");
        assert_eq!(diff("d1:ai1ee", "d1:a1:xe"), "d1:a0:e");
        assert_eq!(diff("d1:ai1ee", "de"), "d1:a1:-e");
        assert_eq!(diff("de", "d1:ali1eee"), "d1:alli1eeleee");
        assert_eq!(diff("d1:ali1ei2eee", "d1:ali2ei3eee"), "d1:alli3eeli1eeee");
        assert_eq!(diff("d1:ali1eee", "de"), "d1:alleli1eeee");
        assert_eq!(diff("d1:ad1:bi1e1:ci1eee", "d1:ad1:bi2e1:ci1eee"), "d1:ad1:b0:ee");
        assert_eq!(diff("d1:ad1:bi1eee", "de"), "d1:ad1:b1:-ee");
        assert_eq!(diff("d1:ad1:bi1eee", "d1:ali1eee"), "d1:alli1eeleee", "another kind is all new");
        assert_eq!(diff("d1:ali1eee", "d1:ai1ee"), "d1:a0:e");
    }

    #[test]
    fn diffs_that_break_a_rule_are_refused() {
        for bad in [
            "le",
            "d1:ai1ee",
            "d1:a1:xe",
            "d1:alee",
            "d1:alleee",
            "d1:allelelee",
            "d1:all1:b1:aeleee",
            "d1:al0:leee",
        ] {
            assert!(Diff::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_source_lacks_or_has_as_another_kind_is_taken_away() {
        let changes = Diff::decode(b"d1:a0:1:blli2eeleee").unwrap();
        let mut target = dict("d1:ai1e1:bli1eee");
        changes.apply(&dict("d1:bi5ee"), &mut target);
        assert!(target.is_empty());
    }
}
