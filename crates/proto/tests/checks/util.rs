//! Reading the JSON of known answers, and comparing.

use conclave_crypto::{Account, AccountId, Ed25519Secret};
use serde_json::Value;

pub type Outcome = Result<(), String>;

/// The value under `key`.
pub fn at<'a>(value: &'a Value, key: &str) -> Result<&'a Value, String> {
    value.get(key).ok_or_else(|| format!("{key} is missing"))
}

pub fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    at(value, key)?.as_str().ok_or_else(|| format!("{key} is no text"))
}

pub fn number(value: &Value, key: &str) -> Result<u64, String> {
    at(value, key)?.as_u64().ok_or_else(|| format!("{key} is no number"))
}

pub fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    at(value, key)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("{key} is no list"))
}

pub fn bytes(value: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(value, key)?).map_err(|error| format!("{key}: {error}"))
}

pub fn array<const N: usize>(value: &Value, key: &str) -> Result<[u8; N], String> {
    bytes(value, key)?.try_into().map_err(|_| format!("{key} has not {N} bytes"))
}

pub fn base64(value: &Value, key: &str) -> Result<Vec<u8>, String> {
    conclave_proto::base64::decode(text(value, key)?).ok_or_else(|| format!("{key} is no base64"))
}

pub fn account_id(value: &Value, key: &str) -> Result<AccountId, String> {
    AccountId::from_hex(text(value, key)?).map_err(|error| format!("{key}: {error}"))
}

pub fn secret(value: &Value, key: &str) -> Result<Ed25519Secret, String> {
    Ok(Ed25519Secret::from_seed(&array(value, key)?))
}

pub fn account(value: &Value, key: &str) -> Result<Account, String> {
    secret(value, key).map(Account::from_secret)
}

/// Whether two things are equal, and which were not.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Outcome {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: ours {ours:?}, theirs {theirs:?}")) }
}

/// The answer of another key of the same file.
pub fn other(file: &str, key: &str) -> Value {
    conclave_testkit::vectors::entry(file, key)
}

/// Any error as text.
pub fn err(error: impl std::fmt::Display) -> String {
    error.to_string()
}
