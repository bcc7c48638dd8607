//! What a config document holds: dictionaries, sets and scalars (config-and-groups 2.1).
//!
//! Knows nothing of versions or of what a key means. Invariant of every [`Dict`] that was decoded or
//! changed through [`Dict::put`]: below the top there is no empty dictionary and no empty set.
//!
//! Contents are personal data, and the documents of groups' admins hold secret keys: `Debug` shows
//! shapes only. They are kept in plain memory like messages are, and not wiped.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use conclave_proto::bt;

use crate::message::ParseError;

/// An integer or a byte string. Integers sort before byte strings, as sets are written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// A signed 64-bit integer; flags are 1.
    Int(i64),
    /// Bytes or UTF-8 text.
    Bytes(Vec<u8>),
}

/// The value of a key. Scalars, sets and dictionaries are the three *kinds*; an integer and a byte
/// string are of one kind.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// One scalar.
    Scalar(Scalar),
    /// Scalars without order.
    Set(BTreeSet<Scalar>),
    /// Values by key.
    Dict(Dict),
}

/// Values by key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Dict {
    entries: BTreeMap<Vec<u8>, Value>,
}

impl Dict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value of a key.
    pub fn value(&self, key: impl AsRef<[u8]>) -> Option<&Value> {
        self.entries.get(key.as_ref())
    }

    /// The integer under a key, if one is there.
    pub fn int(&self, key: impl AsRef<[u8]>) -> Option<i64> {
        match self.value(key) {
            Some(Value::Scalar(Scalar::Int(number))) => Some(*number),
            _ => None,
        }
    }

    /// The byte string under a key, if one is there.
    pub fn bytes(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        match self.value(key) {
            Some(Value::Scalar(Scalar::Bytes(bytes))) => Some(bytes),
            _ => None,
        }
    }

    /// The text under a key; what is not UTF-8 in it is replaced.
    pub fn text(&self, key: impl AsRef<[u8]>) -> Option<Cow<'_, str>> {
        self.bytes(key).map(String::from_utf8_lossy)
    }

    /// The set under a key, if one is there.
    pub fn set(&self, key: impl AsRef<[u8]>) -> Option<&BTreeSet<Scalar>> {
        match self.value(key) {
            Some(Value::Set(set)) => Some(set),
            _ => None,
        }
    }

    /// The dictionary under a key, if one is there.
    pub fn dict(&self, key: impl AsRef<[u8]>) -> Option<&Dict> {
        match self.value(key) {
            Some(Value::Dict(dict)) => Some(dict),
            _ => None,
        }
    }

    /// The value at the end of a path of keys.
    pub fn at(&self, path: &[&[u8]]) -> Option<&Value> {
        let (last, way) = path.split_last()?;
        way.iter().try_fold(self, |dict, key| dict.dict(key))?.value(last)
    }

    /// The dictionary at the end of a path of keys; of the empty path, this one.
    pub fn dict_at(&self, path: &[&[u8]]) -> Option<&Dict> {
        path.iter().try_fold(self, |dict, key| dict.dict(key))
    }

    /// All keys with their values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_slice(), value))
    }

    /// Sets what stands at the end of a path, or removes it; makes dictionaries on the way, and takes
    /// away what becomes empty. Returns whether anything is different now. An empty path, and an empty
    /// value, are nothing.
    pub fn put(&mut self, path: &[&[u8]], value: Option<Value>) -> bool {
        let value = value.and_then(Value::pruned);
        if path.is_empty() || self.at(path) == value.as_ref() {
            return false;
        }
        self.put_changed(path, value);
        true
    }

    fn put_changed(&mut self, path: &[&[u8]], value: Option<Value>) {
        match (path, value) {
            ([], _) => {}
            ([key], None) => drop(self.entries.remove(*key)),
            ([key], Some(value)) => self.insert(key, value),
            ([key, rest @ ..], value) => {
                if !matches!(self.entries.get(*key), Some(Value::Dict(_))) {
                    if value.is_none() {
                        return;
                    }
                    self.insert(key, Self::new());
                }
                let Some(Value::Dict(inner)) = self.entries.get_mut(*key) else { return };
                inner.put_changed(rest, value);
                if inner.is_empty() {
                    self.entries.remove(*key);
                }
            }
        }
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: impl Into<Value>) {
        self.entries.insert(key.as_ref().to_vec(), value.into());
    }

    /// Removes a key.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) {
        self.entries.remove(key.as_ref());
    }

    /// The set under a key, made if something else or nothing stands there.
    pub(crate) fn set_mut(&mut self, key: &[u8]) -> &mut BTreeSet<Scalar> {
        let value = self.entries.entry(key.to_vec()).or_insert_with(|| Value::Set(BTreeSet::new()));
        if !matches!(value, Value::Set(_)) {
            *value = Value::Set(BTreeSet::new());
        }
        match value {
            Value::Set(set) => set,
            _ => unreachable!("made one line above"),
        }
    }

    /// The dictionary under a key, made if something else or nothing stands there.
    pub(crate) fn dict_mut(&mut self, key: &[u8]) -> &mut Dict {
        let value = self.entries.entry(key.to_vec()).or_insert_with(|| Value::Dict(Dict::new()));
        if !matches!(value, Value::Dict(_)) {
            *value = Value::Dict(Dict::new());
        }
        match value {
            Value::Dict(dict) => dict,
            _ => unreachable!("made one line above"),
        }
    }

    /// Takes away empty sets and dictionaries, from the inside out.
    pub(crate) fn prune(&mut self) {
        self.entries.retain(|_, value| match value {
            Value::Scalar(_) => true,
            Value::Set(set) => !set.is_empty(),
            Value::Dict(dict) => {
                dict.prune();
                !dict.is_empty()
            }
        });
    }

    /// The bt-encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads a whole document's data: strictly ascending keys, nothing empty below the top.
    ///
    /// # Errors
    /// If it breaks a rule of config-and-groups 2.4.
    pub fn decode(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::of_bt(bt::Value::decode(bytes)?)
    }

    pub(crate) fn of_bt(value: bt::Value) -> Result<Self, ParseError> {
        let bt::Value::Dict(entries) = value else { return Err(ParseError::Data("is no dictionary")) };
        let entries = entries
            .into_iter()
            .map(|(key, value)| Ok((key, Value::of_bt(value)?)))
            .collect::<Result<_, ParseError>>()?;
        Ok(Self { entries })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'd');
        for (key, value) in &self.entries {
            bt::write_bytes(out, key);
            match value {
                Value::Scalar(scalar) => scalar.write(out),
                Value::Set(set) => write_set(set, out),
                Value::Dict(dict) => dict.write(out),
            }
        }
        out.push(b'e');
    }
}

impl Value {
    /// Without anything empty in it; nothing if nothing is left.
    fn pruned(mut self) -> Option<Self> {
        let empty = match &mut self {
            Self::Scalar(_) => false,
            Self::Set(set) => set.is_empty(),
            Self::Dict(dict) => {
                dict.prune();
                dict.is_empty()
            }
        };
        (!empty).then_some(self)
    }

    fn of_bt(value: bt::Value) -> Result<Self, ParseError> {
        match value {
            bt::Value::Dict(_) => match Dict::of_bt(value)? {
                dict if dict.is_empty() => Err(ParseError::Data("has an empty dictionary")),
                dict => Ok(Self::Dict(dict)),
            },
            bt::Value::List(items) => match set_of_bt(items)? {
                set if set.is_empty() => Err(ParseError::Data("has an empty set")),
                set => Ok(Self::Set(set)),
            },
            scalar => Scalar::of_bt(scalar).map(Self::Scalar),
        }
    }
}

impl Scalar {
    fn of_bt(value: bt::Value) -> Result<Self, ParseError> {
        match value {
            bt::Value::Bytes(bytes) => Ok(Self::Bytes(bytes)),
            bt::Value::Int(number) => {
                number.as_i64().map(Self::Int).ok_or(ParseError::Data("has a number beyond 64 bits"))
            }
            _ => Err(ParseError::Data("has a set whose elements are no scalars")),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(number) => bt::write_int(out, (*number).into()),
            Self::Bytes(bytes) => bt::write_bytes(out, bytes),
        }
    }
}

/// The elements of a list that is a set: sorted, without repetition.
pub(crate) fn set_of_bt(items: Vec<bt::Value>) -> Result<BTreeSet<Scalar>, ParseError> {
    let mut set = BTreeSet::new();
    for item in items {
        let scalar = Scalar::of_bt(item)?;
        if set.last().is_some_and(|last| *last >= scalar) {
            return Err(ParseError::Data("has a set that is not sorted, or repeats itself"));
        }
        set.insert(scalar);
    }
    Ok(set)
}

pub(crate) fn write_set(set: &BTreeSet<Scalar>, out: &mut Vec<u8>) {
    out.push(b'l');
    set.iter().for_each(|scalar| scalar.write(out));
    out.push(b'e');
}

macro_rules! into_value {
    ($($from:ty => |$name:ident| $scalar:expr;)*) => {$(
        impl From<$from> for Scalar {
            fn from($name: $from) -> Self { $scalar }
        }
        impl From<$from> for Value {
            fn from(value: $from) -> Self { Self::Scalar(value.into()) }
        }
    )*};
}

into_value! {
    i64 => |number| Self::Int(number);
    &[u8] => |bytes| Self::Bytes(bytes.to_vec());
    &str => |text| Self::Bytes(text.as_bytes().to_vec());
    Vec<u8> => |bytes| Self::Bytes(bytes);
}

impl From<Dict> for Value {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict)
    }
}

impl From<BTreeSet<Scalar>> for Value {
    fn from(set: BTreeSet<Scalar>) -> Self {
        Self::Set(set)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(_) => f.write_str("Int(hidden)"),
            Self::Bytes(bytes) => write!(f, "Bytes({} hidden)", bytes.len()),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::Set(set) => write!(f, "Set({} hidden)", set.len()),
            Self::Dict(dict) => dict.fmt(f),
        }
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dict({} keys)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_empty_goes_up_to_the_top() {
        let mut data = Dict::new();
        assert!(data.put(&[b"a", b"b", b"c"], Some(1.into())));
        assert!(!data.put(&[b"a", b"b", b"c"], Some(1.into())), "the same again is no change");
        assert!(data.put(&[b"a", b"b", b"c"], None));
        assert!(data.is_empty());
        assert!(!data.put(&[b"a", b"b"], Some(Dict::new().into())), "an empty dictionary is nothing");
        assert!(!data.put(&[b"a", b"b"], None));
        assert!(data.is_empty());
    }

    #[test]
    fn a_scalar_in_the_way_is_replaced_when_something_is_put_below_it() {
        let mut data = Dict::decode(b"d1:ai1ee").unwrap();
        assert!(!data.put(&[b"a", b"b"], None));
        assert!(data.put(&[b"a", b"b"], Some("x".into())));
        assert_eq!(data.encode(), b"d1:ad1:b1:xee");
    }

    #[test]
    fn sets_are_written_with_integers_first() {
        let set = [Scalar::from("b"), Scalar::from(10), Scalar::from("a"), Scalar::from(-3)];
        let mut data = Dict::new();
        data.insert("s", BTreeSet::from(set));
        assert_eq!(data.encode(), b"d1:sli-3ei10e1:a1:bee");
        assert_eq!(Dict::decode(&data.encode()).unwrap(), data);
    }

    #[test]
    fn data_that_breaks_a_rule_is_refused() {
        for bad in [
            &b"le"[..],
            b"d1:adee",
            b"d1:alee",
            b"d1:ad1:bdeee",
            b"d1:ali2ei1eee",
            b"d1:ali1ei1eee",
            b"d1:al1:ai1eee",
            b"d1:allee",
            b"d1:aldeee",
            b"d1:b0:1:a0:e",
            b"d1:a0:1:a0:e",
            b"d1:ai9223372036854775808ee",
            b"dex",
        ] {
            assert!(Dict::decode(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(Dict::decode(b"de").is_ok());
    }

    #[test]
    fn debug_output_shows_no_content() {
        let data = Dict::decode(b"d3:key6:secret4:keyyi424242ee").unwrap();
        let text = format!("{data:?} {:?} {:?}", data.value("key"), data.value("keyy"));
        assert!(!text.contains("secret") && !text.contains("4242") && !text.contains("keyy"), "{text}");
    }
}
