//! Reading vectors without panicking, and comparing.

use base64::Engine as _;
use conclave_crypto::{
    AccountId, Ed25519Public, Ed25519Secret, Signature, X25519Pair, X25519Public, X25519Secret,
};
use serde_json::Value;

pub type Checked<T = ()> = Result<T, String>;

/// The value at a path like `out/cases/0`.
pub fn at<'a>(value: &'a Value, path: &str) -> Checked<&'a Value> {
    value.pointer(&format!("/{path}")).ok_or_else(|| format!("{path} is missing"))
}

pub fn list<'a>(value: &'a Value, path: &str) -> Checked<&'a [Value]> {
    as_list(at(value, path)?)
}

pub fn as_list(value: &Value) -> Checked<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| "no list".to_owned())
}

pub fn text<'a>(value: &'a Value, path: &str) -> Checked<&'a str> {
    as_text(at(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn as_text(value: &Value) -> Checked<&str> {
    value.as_str().ok_or_else(|| "no text".to_owned())
}

pub fn number(value: &Value, path: &str) -> Checked<u64> {
    at(value, path)?.as_u64().ok_or_else(|| format!("{path} is no number"))
}

pub fn size(value: &Value, path: &str) -> Checked<usize> {
    usize::try_from(number(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn flag(value: &Value, path: &str) -> Checked<bool> {
    at(value, path)?.as_bool().ok_or_else(|| format!("{path} is no boolean"))
}

pub fn bytes(value: &Value, path: &str) -> Checked<Vec<u8>> {
    as_bytes(at(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn as_bytes(value: &Value) -> Checked<Vec<u8>> {
    hex::decode(as_text(value)?).map_err(|e| e.to_string())
}

pub fn array<const N: usize>(value: &Value, path: &str) -> Checked<[u8; N]> {
    as_array(at(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn as_array<const N: usize>(value: &Value) -> Checked<[u8; N]> {
    as_bytes(value)?.try_into().map_err(|_| format!("not {N} bytes"))
}

pub fn base64(value: &Value, path: &str) -> Checked<Vec<u8>> {
    let text = text(value, path)?;
    let engine = base64::engine::general_purpose::STANDARD;
    engine.decode(text).map_err(|e| format!("{path}: {e}"))
}

pub fn secret(value: &Value, path: &str) -> Checked<Ed25519Secret> {
    array(value, path).map(|seed| Ed25519Secret::from_seed(&seed))
}

pub fn as_secret(value: &Value) -> Checked<Ed25519Secret> {
    as_array(value).map(|seed| Ed25519Secret::from_seed(&seed))
}

/// A libsodium secret: seed and public key.
pub fn secret64(value: &Value, path: &str) -> Checked<Ed25519Secret> {
    let bytes: [u8; 64] = array(value, path)?;
    let (seed, public) = bytes.split_first_chunk::<32>().ok_or("too short")?;
    let secret = Ed25519Secret::from_seed(seed);
    same(path, &secret.public().as_bytes()[..], public)?;
    Ok(secret)
}

pub fn ed25519(value: &Value, path: &str) -> Checked<Ed25519Public> {
    Ed25519Public::from_bytes(array(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn x25519(value: &Value, path: &str) -> Checked<X25519Public> {
    X25519Public::from_bytes(array(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn as_x25519(value: &Value) -> Checked<X25519Public> {
    X25519Public::from_bytes(as_array(value)?).map_err(|e| e.to_string())
}

pub fn x25519_pair(value: &Value, path: &str) -> Checked<X25519Pair> {
    Ok(X25519Pair::new(X25519Secret::from_bytes(array(value, path)?)))
}

pub fn pair_of(secret: &Ed25519Secret) -> X25519Pair {
    X25519Pair::new(secret.to_x25519())
}

pub fn id(value: &Value, path: &str) -> Checked<AccountId> {
    as_id(at(value, path)?).map_err(|e| format!("{path}: {e}"))
}

pub fn as_id(value: &Value) -> Checked<AccountId> {
    let text = as_text(value)?;
    let id = AccountId::from_hex(text).map_err(|e| e.to_string())?;
    same("spelling", id.to_hex().as_str(), text)?;
    Ok(id)
}

pub fn account_id(secret: &Ed25519Secret) -> AccountId {
    AccountId::of_account(&secret.public().to_x25519())
}

pub fn signature(value: &Value, path: &str) -> Checked<Signature> {
    array(value, path).map(Signature::from_bytes)
}

/// Whether two values are the same; says which thing differs.
pub fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, got: &T, expected: &T) -> Checked {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, expected {expected:?}")) }
}

/// Any error, in words.
pub fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Runs a check on every element and says which failed.
pub fn each(items: &[Value], check: impl Fn(&Value) -> Checked) -> Checked {
    if items.is_empty() {
        return Err("an empty list checks nothing".to_owned());
    }
    items.iter().enumerate().try_for_each(|(index, item)| check(item).map_err(|e| format!("[{index}] {e}")))
}

/// XChaCha20-Poly1305 under a key from a vector (`ciphertext || tag || nonce`).
pub fn open_nonce_last(key: &[u8; 32], sealed: &[u8]) -> Checked<Vec<u8>> {
    let (body, nonce) = sealed.split_last_chunk::<24>().ok_or("too short")?;
    // The push format is the cipher with its nonce in front; the data here does not end in zeros.
    conclave_crypto::push::open(key, &[nonce, body].concat()).map_err(words)
}
