//! Whole bt values in memory.

use std::collections::BTreeMap;

use super::scan::{Cursor, Token};
use super::{BtError, DictWriter, ListWriter, MAX_DEPTH};

/// An integer from the union of `i64` and `u64`, which is all that bt carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int(i128);

impl Int {
    /// The number, if bt can carry it.
    pub fn new(number: i128) -> Option<Self> {
        (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(Self(number))
    }

    /// As `i64`, if it fits.
    pub fn as_i64(self) -> Option<i64> {
        self.0.try_into().ok()
    }

    /// As `u64`, if it fits.
    pub fn as_u64(self) -> Option<u64> {
        self.0.try_into().ok()
    }

    /// The number.
    pub const fn get(self) -> i128 {
        self.0
    }

    pub(super) fn parse(text: &[u8], at: usize) -> Result<Self, BtError> {
        std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .and_then(Self::new)
            .ok_or(BtError::Number(at))
    }
}

impl From<i64> for Int {
    fn from(number: i64) -> Self {
        Self(number.into())
    }
}

impl From<u64> for Int {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

impl std::fmt::Display for Int {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A bt value. Dictionary keys are byte strings and always sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `i…e`
    Int(Int),
    /// `n:…`
    Bytes(Vec<u8>),
    /// `l…e`
    List(Vec<Value>),
    /// `d…e`
    Dict(BTreeMap<Vec<u8>, Value>),
}

/// What to do with a key that does not follow the one before it.
#[derive(Clone, Copy)]
enum Order {
    Required,
    SkipOthers,
}

impl Value {
    /// The only value with exactly this encoding: `Value::decode(b)?.encode() == b`.
    ///
    /// # Errors
    /// For anything that is not one canonical value.
    pub fn decode(bytes: &[u8]) -> Result<Self, BtError> {
        Self::read(bytes, Order::Required)
    }

    /// As the network's readers see it: a key that is not greater than all keys before it in its
    /// dictionary is not found. Everything else is as strict as in [`Self::decode`].
    ///
    /// # Errors
    /// For anything but one well-formed value.
    pub fn decode_in_order(bytes: &[u8]) -> Result<Self, BtError> {
        Self::read(bytes, Order::SkipOthers)
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// The number, if this is one.
    pub fn as_int(&self) -> Option<Int> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The number as `i64`, if this is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_int().and_then(Int::as_i64)
    }

    /// The number as `u64`, if this is one that fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_int().and_then(Int::as_u64)
    }

    /// The bytes, if this is a byte string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes as text, if this is a byte string in UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if this is a dictionary.
    pub fn as_dict(&self) -> Option<&BTreeMap<Vec<u8>, Self>> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of `key`, if this is a dictionary that has it.
    pub fn field(&self, key: impl AsRef<[u8]>) -> Option<&Self> {
        self.as_dict()?.get(key.as_ref())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(number) => write_int(out, *number),
            Self::Bytes(bytes) => write_bytes(out, bytes),
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_bytes(out, key);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    fn read(bytes: &[u8], order: Order) -> Result<Self, BtError> {
        let mut cursor = Cursor { input: bytes, at: 0 };
        let value = Self::read_at(&mut cursor, order, MAX_DEPTH)?;
        if cursor.rest().is_empty() { Ok(value) } else { Err(BtError::Trailing(cursor.at)) }
    }

    fn read_at(cursor: &mut Cursor<'_>, order: Order, depth: usize) -> Result<Self, BtError> {
        let start = cursor.at;
        Ok(match cursor.token()? {
            Token::Int(text) => Self::Int(Int::parse(text, start)?),
            Token::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Token::End => return Err(BtError::Unexpected(start)),
            Token::List => {
                let depth = depth.checked_sub(1).ok_or(BtError::TooDeep)?;
                let mut items = Vec::new();
                while cursor.peek()? != b'e' {
                    items.push(Self::read_at(cursor, order, depth)?);
                }
                cursor.at += 1;
                Self::List(items)
            }
            Token::Dict => {
                let depth = depth.checked_sub(1).ok_or(BtError::TooDeep)?;
                let mut entries = BTreeMap::new();
                while cursor.peek()? != b'e' {
                    let at = cursor.at;
                    let Token::Bytes(key) = cursor.token()? else { return Err(BtError::Unexpected(at)) };
                    let value = Self::read_at(cursor, order, depth)?;
                    let ascends = entries.last_key_value().is_none_or(|(last, _)| key > Vec::as_slice(last));
                    match order {
                        _ if ascends => drop(entries.insert(key.to_vec(), value)),
                        Order::Required => return Err(BtError::KeyOrder(at)),
                        Order::SkipOthers => {}
                    }
                }
                cursor.at += 1;
                Self::Dict(entries)
            }
        })
    }
}

macro_rules! into_value {
    ($($from:ty => |$name:ident| $value:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($name: $from) -> Self { $value }
        }
    )*};
}

into_value! {
    Int => |number| Self::Int(number);
    i64 => |number| Self::Int(number.into());
    u64 => |number| Self::Int(number.into());
    bool => |flag| Self::Int(u64::from(flag).into());
    &[u8] => |bytes| Self::Bytes(bytes.to_vec());
    Vec<u8> => |bytes| Self::Bytes(bytes);
    &str => |text| Self::Bytes(text.as_bytes().to_vec());
    String => |text| Self::Bytes(text.into_bytes());
    Vec<Value> => |items| Self::List(items);
    BTreeMap<Vec<u8>, Value> => |entries| Self::Dict(entries);
}

impl From<DictWriter> for Vec<u8> {
    fn from(writer: DictWriter) -> Self {
        writer.finish()
    }
}

impl From<ListWriter> for Vec<u8> {
    fn from(mut writer: ListWriter) -> Self {
        writer.finish()
    }
}

/// Appends an integer, for writers that know the order of what they write.
pub fn write_int(out: &mut Vec<u8>, number: Int) {
    out.push(b'i');
    out.extend_from_slice(number.to_string().as_bytes());
    out.push(b'e');
}

/// Appends a byte string, for writers that know the order of what they write.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}
