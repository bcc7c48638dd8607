//! BLAKE2b and the storage hash.

use conclave_crypto::hash::Blake2b;
use conclave_crypto::message_hash;
use serde_json::Value;

use super::read::*;

pub fn message_hash(v: &Value) -> Checked {
    each(list(v, "cases")?, |case| {
        let namespace = at(case, "namespace")?.as_i64().and_then(|n| i16::try_from(n).ok());
        let namespace = namespace.ok_or("no namespace")?;
        let hash = message_hash::message_hash(&id(case, "pubkey")?, namespace, &base64(case, "data_b64")?);
        same("hash", hash.as_str(), text(case, "hash")?)?;
        same("length", &hash.len(), &message_hash::MESSAGE_HASH_LENGTH)
    })
}

pub fn blake2b(v: &Value) -> Checked {
    let (message, key) = (bytes(v, "in/message")?, bytes(v, "in/key")?);
    let parts: &[&[u8]] = &[&message];
    let keyed = || Blake2b::new().key(&key);
    let out = at(v, "out")?.as_object().ok_or("no answers")?;
    for (name, expected) in out {
        let digest = match name.as_str() {
            "h32" => keyed().hash::<32>(parts).to_vec(),
            "h64" => keyed().hash::<64>(parts).to_vec(),
            "h32_unkeyed" => Blake2b::new().hash::<32>(parts).to_vec(),
            "h64_unkeyed" => Blake2b::new().hash::<64>(parts).to_vec(),
            other => return Err(format!("unknown form {other}")),
        };
        same(name, &digest, &as_bytes(expected)?)?;
    }
    if out.is_empty() { Err("no answers".to_owned()) } else { Ok(()) }
}
