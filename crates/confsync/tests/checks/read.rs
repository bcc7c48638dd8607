//! Reading vectors without panicking, and comparing.

use conclave_crypto::{AccountId, Ed25519Secret};
use serde_json::Value;

pub type Checked<T = ()> = Result<T, String>;

/// The value at a path like `out/cases/0`.
pub fn at<'a>(value: &'a Value, path: &str) -> Checked<&'a Value> {
    value.pointer(&format!("/{path}")).ok_or_else(|| format!("{path} is missing"))
}

pub fn list<'a>(value: &'a Value, path: &str) -> Checked<&'a [Value]> {
    at(value, path)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("{path} is no list"))
}

pub fn text<'a>(value: &'a Value, path: &str) -> Checked<&'a str> {
    at(value, path)?.as_str().ok_or_else(|| format!("{path} is no text"))
}

pub fn int(value: &Value, path: &str) -> Checked<i64> {
    at(value, path)?.as_i64().ok_or_else(|| format!("{path} is no number"))
}

pub fn number<T: TryFrom<i64>>(value: &Value, path: &str) -> Checked<T> {
    int(value, path)?.try_into().map_err(|_| format!("{path} is out of range"))
}

pub fn flag(value: &Value, path: &str) -> Checked<bool> {
    at(value, path)?.as_bool().ok_or_else(|| format!("{path} is no boolean"))
}

pub fn bytes(value: &Value, path: &str) -> Checked<Vec<u8>> {
    as_bytes(at(value, path)?).map_err(|error| format!("{path}: {error}"))
}

pub fn as_bytes(value: &Value) -> Checked<Vec<u8>> {
    hex::decode(value.as_str().ok_or("no text")?).map_err(words)
}

pub fn array<const N: usize>(value: &Value, path: &str) -> Checked<[u8; N]> {
    bytes(value, path)?.try_into().map_err(|_| format!("{path} has not {N} bytes"))
}

pub fn all_bytes(value: &Value, path: &str) -> Checked<Vec<Vec<u8>>> {
    list(value, path)?.iter().map(as_bytes).collect()
}

pub fn texts(value: &Value, path: &str) -> Checked<Vec<String>> {
    list(value, path)?.iter().map(|text| Ok(text.as_str().ok_or("no text")?.to_owned())).collect()
}

pub fn secret(value: &Value, path: &str) -> Checked<Ed25519Secret> {
    Ok(Ed25519Secret::from_seed(&array(value, path)?))
}

pub fn id(value: &Value, path: &str) -> Checked<AccountId> {
    AccountId::from_hex(text(value, path)?).map_err(|error| format!("{path}: {error}"))
}

/// Whether two values are the same; says which thing differs.
pub fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, got: &T, expected: &T) -> Checked {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, expected {expected:?}")) }
}

/// As [`same`], for bytes that are mostly text.
pub fn same_bytes(what: &str, got: &[u8], expected: &[u8]) -> Checked {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: got {}, expected {}", got.escape_ascii(), expected.escape_ascii()))
}

pub fn holds(what: &str, holds: bool) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Any error, in words.
pub fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
