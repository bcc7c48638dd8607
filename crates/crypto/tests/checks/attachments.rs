//! Attachments, profile pictures, file ids.

use conclave_crypto::attachment::{legacy as aes_cbc, picture as aes_gcm, stream};
use conclave_crypto::hash::{self, Blake2b};
use serde_json::Value;

use super::read::*;

pub fn legacy(v: &Value) -> Checked {
    let key = || array(v, "key64").map(aes_cbc::AttachmentKey::from_bytes);
    let iv: [u8; 16] = array(v, "iv")?;
    let content = bytes(v, "plaintext")?;
    let unpadded = aes_cbc::encrypt_with_iv(&content, key()?, &iv);
    same("blob_unpadded", &unpadded.blob, &bytes(v, "blob_unpadded")?)?;
    same("digest_unpadded", &unpadded.digest, &array(v, "digest_unpadded")?)?;

    let mut padded = content.clone();
    padded.resize(aes_cbc::padded_size(content.len()), 0);
    same("padded_len", &padded.len(), &size(v, "padded_len")?)?;
    let encrypted = aes_cbc::encrypt_with_iv(&padded, key()?, &iv);
    same("digest_padded", &encrypted.digest, &array(v, "digest_padded")?)?;
    same("blob_padded_sha256", &hash::sha256(&[&encrypted.blob]), &array(v, "blob_padded_sha256")?)?;
    same("blob_padded_len", &encrypted.blob.len(), &size(v, "blob_padded_len")?)?;
    let opened = aes_cbc::decrypt(&encrypted.blob, &key()?, &encrypted.digest, content.len());
    same("opened", &opened.map_err(words)?, &content)?;
    each(list(v, "padded_sizes")?, |case| {
        same("padded", &aes_cbc::padded_size(size(case, "size")?), &size(case, "padded")?)
    })
}

pub fn picture(v: &Value) -> Checked {
    let key: [u8; 32] = array(v, "key")?;
    let plain = text(v, "plaintext_utf8")?.as_bytes();
    let blob = aes_gcm::encrypt_with_nonce(plain, &key, &array(v, "iv")?);
    same("blob", &blob, &bytes(v, "blob")?)?;
    same("opened", &aes_gcm::decrypt(&blob, &key).map_err(words)?[..], plain)
}

pub fn deterministic(v: &Value) -> Checked {
    let account = secret(v, "seed")?;
    each(list(v, "encrypted_sizes")?, |case| {
        same("encrypted", &stream::encrypted_length(size(case, "plain")?), &size(case, "encrypted")?)
    })?;
    each(list(v, "cases")?, |case| {
        let domain = match text(case, "domain")? {
            "attachment" => stream::Domain::Attachment,
            "profile_pic" => stream::Domain::ProfilePicture,
            other => return Err(format!("unknown domain {other}")),
        };
        let content: Vec<u8> = (0..size(case, "len")?).map(|i| (i * 7) as u8).collect();
        let (key, blob) = stream::encrypt(&account, domain, &content).map_err(words)?;
        same("key", key.as_bytes(), &array(case, "key")?)?;
        same("blob_len", &blob.len(), &size(case, "blob_len")?)?;
        same("blob_first_64", blob.get(..64).ok_or("short")?, &bytes(case, "blob_first_64")?)?;
        same("blob_sha256", &hash::sha256(&[&blob]), &array(case, "blob_sha256")?)?;
        same("opened", &stream::decrypt(&blob, key.as_bytes()).map_err(words)?, &content)
    })
}

pub fn file_server_ids(v: &Value) -> Checked {
    use base64::Engine as _;
    each(list(v, "items")?, |case| {
        let data = text(case, "data_utf8")?.as_bytes();
        same("http_id", hash::file_id(data).as_str(), text(case, "http_id")?)?;
        // Another server uses the salt as key.
        let digest: [u8; 33] = Blake2b::new().key(b"SessionFileSvr\0\0").hash(&[data]);
        let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
        same("quic_id", id.as_str(), text(case, "quic_id")?)
    })
}
