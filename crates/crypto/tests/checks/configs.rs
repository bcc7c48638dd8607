//! Encryption, padding and compression of configs.

use conclave_crypto::{compression, config_encryption};
use serde_json::Value;

use super::read::*;

pub fn config_encrypt(v: &Value) -> Checked {
    let (message, key) = (bytes(v, "in/message")?, array(v, "in/key")?);
    let domain = text(v, "in/domain")?;
    let encrypted = config_encryption::encrypt(&message, &key, domain);
    same("ciphertext", &encrypted, &bytes(v, "out/ciphertext")?)?;
    same("decrypted", &config_encryption::decrypt(&encrypted, &key, domain).map_err(words)?, &message)?;
    if v.pointer("/out/padded_size_of_message").is_some() {
        let padded = config_encryption::padded_size(message.len(), config_encryption::OVERHEAD);
        same("padded_size_of_message", &padded, &size(v, "out/padded_size_of_message")?)?;
    }
    Ok(())
}

pub fn padding(v: &Value) -> Checked {
    each(list(v, "out/table")?, |row| {
        let (length, overhead, padded) = (size(row, "0")?, size(row, "1")?, size(row, "2")?);
        same("padded", &config_encryption::padded_size(length, overhead), &padded)
    })
}

pub fn decompress(v: &Value) -> Checked {
    let compressed = bytes(v, "in/compressed")?;
    let frame = compressed.strip_prefix(b"z").ok_or("not marked as compressed")?;
    let message = bytes(v, "out/config_message")?;
    same("config_message", &compression::decompress(frame, message.len()).map_err(words)?, &message)?;
    let again = compression::compress(&message);
    same("round trip", &compression::decompress(&again, message.len()).map_err(words)?, &message)
}
