//! The value model that JSON and bt answers share.

use std::collections::BTreeMap;

use crate::base64;
use crate::bt;
use crate::bt::Int;

/// A value of a storage RPC answer, before it becomes JSON or bt (storage-and-onion 1.2): JSON
/// spells binary as base64, bt spells booleans as 0 and 1. Floats and null do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true`/`false`, or 1/0.
    Bool(bool),
    /// A number.
    Int(Int),
    /// Text, the same in both encodings.
    Text(String),
    /// Bytes: base64 or raw.
    Binary(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Dict(Dict),
    /// JSON of another party, floats and null included: itself, or its text in bt (2.17).
    Json(serde_json::Value),
}

/// The entries of a [`Value::Dict`], sorted by name.
pub type Dict = BTreeMap<String, Value>;

impl Value {
    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(flag) => (*flag).into(),
            Self::Int(number) => number
                .as_i64()
                .map(serde_json::Value::from)
                .or_else(|| number.as_u64().map(serde_json::Value::from))
                .unwrap_or_default(),
            Self::Text(text) => text.as_str().into(),
            Self::Binary(bytes) => base64::encode(bytes).into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Dict(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
            }
            Self::Json(json) => json.clone(),
        }
    }

    /// As a bt value.
    pub fn to_bt(&self) -> bt::Value {
        match self {
            Self::Bool(flag) => (*flag).into(),
            Self::Int(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Binary(bytes) => bytes.as_slice().into(),
            Self::List(items) => bt::Value::List(items.iter().map(Self::to_bt).collect()),
            Self::Dict(entries) => bt::Value::Dict(
                entries.iter().map(|(key, value)| (key.clone().into_bytes(), value.to_bt())).collect(),
            ),
            Self::Json(json) => json.to_string().into(),
        }
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
    bool => |flag| Self::Bool(flag);
    Int => |number| Self::Int(number);
    i64 => |number| Self::Int(number.into());
    u64 => |number| Self::Int(number.into());
    u16 => |number| Self::Int(u64::from(number).into());
    crate::Timestamp => |time| Self::Int(time.0.into());
    crate::Namespace => |namespace| Self::Int(i64::from(namespace.0).into());
    crate::MessageHash => |hash| Self::Text(hash.as_str().to_owned());
    conclave_crypto::Signature => |signature| Self::Binary(signature.as_bytes().to_vec());
    &str => |text| Self::Text(text.to_owned());
    String => |text| Self::Text(text);
    Vec<u8> => |bytes| Self::Binary(bytes);
    Vec<Value> => |items| Self::List(items);
    Dict => |entries| Self::Dict(entries);
}

impl<T: Into<Value> + Copy> From<&[T]> for Value {
    fn from(items: &[T]) -> Self {
        Self::List(items.iter().map(|item| (*item).into()).collect())
    }
}
