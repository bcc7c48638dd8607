//! One view on parameters in JSON or bt, with the typing rules of storage-and-onion 2.1.

use std::collections::BTreeMap;

use conclave_crypto::{AccountId, IdPrefix, Signature};

use super::{RpcError, Scope, SubaccountToken, shown};
use crate::{MessageHash, Namespace, Timestamp, base64, bt};

/// A timestamp below is in seconds, whatever its sender meant (2.1).
const LEAST_MILLISECONDS: u64 = 1_000_000_000;

/// The entries of a JSON object or a bt dictionary.
#[derive(Clone, Copy)]
pub(super) enum Fields<'a> {
    Json(&'a serde_json::Map<String, serde_json::Value>),
    Bt(&'a BTreeMap<Vec<u8>, bt::Value>),
}

/// One value in either encoding.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Json(&'a serde_json::Value),
    Bt(&'a bt::Value),
}

impl<'a> Fields<'a> {
    /// The value of `name`; null is nothing.
    pub(super) fn field(self, name: &str) -> Option<Field<'a>> {
        match self {
            Self::Json(entries) => entries.get(name).filter(|value| !value.is_null()).map(Field::Json),
            Self::Bt(entries) => entries.get(name.as_bytes()).map(Field::Bt),
        }
    }

    /// The entries by name; names that are no text are left out.
    pub(super) fn entries(self) -> Vec<(&'a str, Field<'a>)> {
        match self {
            Self::Json(entries) => {
                entries.iter().map(|(name, value)| (name.as_str(), Field::Json(value))).collect()
            }
            Self::Bt(entries) => entries
                .iter()
                .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, Field::Bt(value))))
                .collect(),
        }
    }

    pub(super) const fn is_bt(self) -> bool {
        matches!(self, Self::Bt(_))
    }

    /// The account of `pubkey`, or of its alias where a method has one.
    pub(super) fn account(self, alias: bool) -> Result<AccountId, RpcError> {
        let field = if alias {
            self.either("pubKey", "pubkey")?
        } else {
            self.field("pubkey").ok_or_else(|| missing("pubkey"))?
        };
        let account = match field {
            Field::Bt(bt::Value::Bytes(raw)) if raw.len() == 33 => AccountId::from_slice(raw),
            _ => AccountId::from_hex(field.text().ok_or_else(|| wrong("pubkey", "string"))?),
        };
        account.map_err(|_| RpcError::invalid("Pubkey must be 66 hex digits (33 bytes) long"))
    }

    /// `pubkey_ed25519`, allowed for accounts of type 05.
    pub(super) fn pubkey_ed25519(self, account: &AccountId) -> Result<Option<[u8; 32]>, RpcError> {
        const NAME: &str = "pubkey_ed25519";
        let Some(field) = self.field(NAME) else { return Ok(None) };
        if account.prefix() != IdPrefix::Account {
            return Err(RpcError::invalid("pubkey_ed25519 is only permitted for 05[...] pubkeys"));
        }
        if let Field::Bt(bt::Value::Bytes(raw)) = field
            && let Ok(key) = raw.as_slice().try_into()
        {
            return Ok(Some(key));
        }
        let text = field.text().ok_or_else(|| wrong(NAME, "string"))?;
        if text.len() != 64 {
            return Err(RpcError::invalid("Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey"));
        }
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key)
            .map_err(|_| RpcError::invalid("invalid pubkey_ed25519: value is not hex"))?;
        Ok(Some(key))
    }

    /// A 64-byte signature: base64 in JSON, raw in bt.
    pub(super) fn signature(self, name: &str) -> Result<Option<Signature>, RpcError> {
        let Some(field) = self.field(name) else { return Ok(None) };
        let (signature, expected) = match field {
            Field::Json(serde_json::Value::String(text)) => (
                Some(text)
                    .filter(|text| matches!(text.len(), 86 | 88))
                    .and_then(base64::decode)
                    .and_then(|bytes| Signature::from_slice(&bytes)),
                "base64 encoded Ed25519 signature",
            ),
            Field::Bt(bt::Value::Bytes(raw)) => (Signature::from_slice(raw), "64-byte Ed25519 signature"),
            _ => return Err(wrong(name, "string")),
        };
        signature
            .map(Some)
            .ok_or_else(|| RpcError::invalid(format_args!("invalid {name}: expected {expected}")))
    }

    /// The namespace; 0 if none is named.
    pub(super) fn namespace(self) -> Result<Namespace, RpcError> {
        self.field("namespace").map_or(Ok(Namespace::DIRECT), namespace)
    }

    /// A namespace or `"all"`.
    pub(super) fn scope(self) -> Result<Scope, RpcError> {
        match self.field("namespace") {
            None => Ok(Scope::One(Namespace::DIRECT)),
            Some(field) if field.text() == Some("all") => Ok(Scope::All),
            Some(field) if field.int().is_none() => Err(wrong("namespace", "integer or \"all\"")),
            Some(field) => namespace(field).map(Scope::One),
        }
    }

    /// A boolean: `true`/`false` in JSON, 1/0 in bt; false if absent.
    pub(super) fn flag(self, name: &str) -> Result<bool, RpcError> {
        match self.field(name) {
            None => Ok(false),
            Some(Field::Json(value)) => value.as_bool().ok_or_else(|| wrong(name, "boolean")),
            Some(Field::Bt(value)) => match value.as_u64() {
                Some(0) => Ok(false),
                Some(1) => Ok(true),
                _ => Err(wrong(name, "boolean")),
            },
        }
    }

    pub(super) fn unsigned(self, name: &str) -> Result<Option<u64>, RpcError> {
        self.field(name)
            .map(|field| field.int().and_then(bt::Int::as_u64).ok_or_else(|| wrong(name, "positive integer")))
            .transpose()
    }

    pub(super) fn signed(self, name: &str) -> Result<Option<i64>, RpcError> {
        self.field(name)
            .map(|field| field.int().and_then(bt::Int::as_i64).ok_or_else(|| wrong(name, "integer")))
            .transpose()
    }

    /// A number that JSON may also spell as a decimal string, and that is not asked to be
    /// milliseconds (`store`'s `timestamp` and `ttl`).
    pub(super) fn number_or_text(self, name: &str, expected: &str) -> Result<Option<u64>, RpcError> {
        let decimal = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
        let number = |field: Field<'_>| match field {
            Field::Json(serde_json::Value::String(text)) => decimal(text),
            other => other.int().and_then(bt::Int::as_u64),
        };
        self.field(name).map(|field| number(field).ok_or_else(|| wrong(name, expected))).transpose()
    }

    /// A single time; JSON must not mean seconds.
    pub(super) fn time(self, name: &str) -> Result<Option<Timestamp>, RpcError> {
        let Some(field) = self.field(name) else { return Ok(None) };
        let millis = field
            .int()
            .and_then(bt::Int::as_u64)
            .ok_or_else(|| wrong(name, "integer timestamp (in milliseconds)"))?;
        if matches!(field, Field::Json(_)) && millis < LEAST_MILLISECONDS {
            return Err(RpcError::invalid(format_args!(
                "Invalid timestamp for '{name}': timestamp must be in milliseconds"
            )));
        }
        Ok(Some(Timestamp(millis)))
    }

    pub(super) fn required_time(self, name: &str) -> Result<Timestamp, RpcError> {
        self.time(name)?.ok_or_else(|| missing(name))
    }

    /// One time or several.
    pub(super) fn times(self, name: &str) -> Result<Vec<Timestamp>, RpcError> {
        match self.field(name) {
            None => Err(missing(name)),
            Some(field) => match field.list() {
                None => self.required_time(name).map(|time| vec![time]),
                Some(items) => items
                    .into_iter()
                    .map(|item| item.int().and_then(bt::Int::as_u64).map(Timestamp))
                    .collect::<Option<_>>()
                    .ok_or_else(|| wrong(name, "timestamp array")),
            },
        }
    }

    /// One text or several.
    pub(super) fn texts(self, name: &str) -> Result<Vec<&'a str>, RpcError> {
        let Some(field) = self.field(name) else { return Err(missing(name)) };
        let items = field.list().unwrap_or_else(|| vec![field]);
        items.into_iter().map(Field::text).collect::<Option<_>>().ok_or_else(|| wrong(name, "string array"))
    }

    /// The hashes of `messages`, at least one.
    pub(super) fn messages(self) -> Result<Vec<MessageHash>, RpcError> {
        let texts = self.texts("messages")?;
        if texts.is_empty() {
            return Err(RpcError::invalid("messages does not contain any message hashes"));
        }
        let hash = |text: &str| {
            MessageHash::from_text(text)
                .map_err(|_| RpcError::invalid(format_args!("invalid message hash: {}", shown(text))))
        };
        texts.into_iter().map(hash).collect()
    }

    /// Whichever of two names is given.
    pub(super) fn either(self, one: &str, other: &str) -> Result<Field<'a>, RpcError> {
        match (self.field(one), self.field(other)) {
            (Some(_), Some(_)) => {
                Err(RpcError::invalid(format_args!("Cannot specify both '{one}' and '{other}'")))
            }
            (Some(field), None) | (None, Some(field)) => Ok(field),
            (None, None) => {
                Err(RpcError::invalid(format_args!("Required field '{one}' or '{other}' missing")))
            }
        }
    }
}

impl<'a> Field<'a> {
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Json(value) => value.as_str(),
            Self::Bt(value) => value.as_text(),
        }
    }

    pub(super) fn int(self) -> Option<bt::Int> {
        match self {
            Self::Json(value) => {
                value.as_i64().map(bt::Int::from).or_else(|| value.as_u64().map(bt::Int::from))
            }
            Self::Bt(value) => value.as_int(),
        }
    }

    pub(super) fn list(self) -> Option<Vec<Self>> {
        match self {
            Self::Json(value) => Some(value.as_array()?.iter().map(Self::Json).collect()),
            Self::Bt(value) => Some(value.as_list()?.iter().map(Self::Bt).collect()),
        }
    }

    pub(super) fn fields(self) -> Option<Fields<'a>> {
        match self {
            Self::Json(value) => value.as_object().map(Fields::Json),
            Self::Bt(value) => value.as_dict().map(Fields::Bt),
        }
    }

    /// Bytes: base64 in JSON, raw in bt.
    pub(super) fn binary(self) -> Option<Vec<u8>> {
        match self {
            Self::Json(value) => base64::decode(value.as_str()?),
            Self::Bt(value) => value.as_bytes().map(<[u8]>::to_vec),
        }
    }

    /// A subaccount token: 48 characters of base64 or 72 hex digits in JSON, 36 bytes in bt.
    pub(super) fn token(self) -> Option<SubaccountToken> {
        let bytes = match self {
            Self::Json(value) => match value.as_str()? {
                text if text.len() == 48 => base64::decode(text)?,
                text if text.len() == 72 => hex::decode(text).ok()?,
                _ => return None,
            },
            Self::Bt(value) => value.as_bytes()?.to_vec(),
        };
        bytes.try_into().ok().map(SubaccountToken)
    }
}

fn namespace(field: Field<'_>) -> Result<Namespace, RpcError> {
    let number = field.int().ok_or_else(|| wrong("namespace", "16-bit integer"))?;
    i16::try_from(number.get())
        .map(Namespace)
        .map_err(|_| RpcError::invalid("Invalid value given for 'namespace': value out of range"))
}

pub(super) fn missing(name: &str) -> RpcError {
    RpcError::invalid(format_args!("Required field '{name}' missing"))
}

pub(super) fn wrong(name: &str, expected: &str) -> RpcError {
    RpcError::invalid(format_args!("Invalid value given for '{name}': expected {expected}"))
}
