//! What another implementation made: messages, phrases and community signatures of session.js.

use conclave_crypto::attachment::{legacy, picture};
use conclave_crypto::{
    Account, RecoveryPhrase, blinding, message_hash::message_hash, padding, session_protocol, xed25519,
};
use serde_json::Value;

use super::read::*;

pub fn session_js_interop(v: &Value) -> Checked {
    let sender = account(at(v, "sender")?)?;
    let recipient = account(at(v, "recipient")?)?;
    each(list(v, "messages")?, |case| message(case, &sender, &recipient))?;
    each(list(v, "recovery_phrases")?, |case| {
        let phrase = RecoveryPhrase::parse(text(case, "phrase")?).map_err(words)?;
        same("phrase", phrase.words().as_str(), text(case, "phrase")?)?;
        let made = account(case)?;
        same("seed16", phrase.seed(), &bytes(case, "seed16")?)?;
        same("ed25519_pk", &made.ed25519_public(), &ed25519(case, "ed25519_pk")?)
    })?;
    each(list(v, "community_signatures/cases")?, community_signature)
}

fn account(v: &Value) -> Checked<Account> {
    let account = Account::from_phrase(&RecoveryPhrase::from_seed16(&array(v, "seed16")?));
    same("account_id", account.id(), &id(v, "account_id")?)?;
    Ok(account)
}

fn message(v: &Value, sender: &Account, recipient: &Account) -> Checked {
    let owner = match text(v, "stored_for")? {
        "recipient" => recipient,
        "own" => sender,
        other => return Err(format!("stored for {other}")),
    };
    let data = base64(v, "data_base64")?;
    same("storage_hash", message_hash(owner.id(), 0, &data).as_str(), text(v, "storage_hash")?)?;
    contains("timestamp_ms", &data, &varint(number(v, "timestamp_ms")?))?;

    // The envelope's content: field 8 and the length of the seal, then the seal.
    let padded_length = size(v, "padded_len")?;
    let sealed_length = padded_length + session_protocol::OVERHEAD;
    let head = [vec![0x42], varint(sealed_length as u64)].concat();
    let opened = data
        .windows(head.len())
        .enumerate()
        .filter(|(_, window)| *window == head)
        .filter_map(|(start, _)| data.get(start + head.len()..start + head.len() + sealed_length))
        .find_map(|sealed| session_protocol::open(owner.x25519(), sealed).ok())
        .ok_or("nothing in the envelope opens")?;
    same("sender", &opened.sender, sender.id())?;
    same("padded_len", &opened.message.len(), &padded_length)?;
    let content = padding::unpad_content(&opened.message);
    same("content", content, &bytes(v, "content")?)?;

    if v.get("uploaded_blob_base64").is_some() {
        let pointer = at(v, "decode/dataMessage/attachments/0")?;
        let key = legacy::AttachmentKey::from_bytes(array(pointer, "key")?);
        let blob = base64(v, "uploaded_blob_base64")?;
        let file = legacy::decrypt(&blob, &key, &array(pointer, "digest")?, size(pointer, "size")?)
            .map_err(words)?;
        let expected: Vec<u8> = (0..4).flat_map(|_| 0..=u8::MAX).collect();
        same("attachment", &file, &expected)?;
    }
    if v.get("picture_blob_base64").is_some() {
        let key = array(v, "decode/dataMessage/profileKey")?;
        let file = picture::decrypt(&base64(v, "picture_blob_base64")?, &key).map_err(words)?;
        same("picture", &file, &(0..=0xc7).collect::<Vec<u8>>())?;
    }
    Ok(())
}

fn community_signature(v: &Value) -> Checked {
    let account = Account::from_phrase(&RecoveryPhrase::from_seed16(&array(v, "seed16")?));
    let data = base64(v, "data_base64")?;
    contains("timestamp_ms", &data, &varint(number(v, "timestamp_ms")?))?;
    let signature = signature(v, "signature")?;
    let author = id(v, "author")?;
    let top_bit = u64::from(signature.as_bytes()[63] >> 7);
    same("signature_top_bit", &top_bit, &number(v, "signature_top_bit")?)?;
    if &author == account.id() {
        let server: [u8; 32] = array(v, "server_pk")?;
        same("server_pk", hex::encode(server).as_str(), SERVER)?;
        let key = account.x25519().public();
        xed25519::verify(key, &data, &signature).map_err(words)?;
        let strict = xed25519::verify_strict(key, &data, &signature).is_ok();
        same("positive key", &strict, &flag(v, "verifies_as_plain_ed25519_under_positive_key")?)?;
        // The key with the carried sign is the account's own.
        same("verify_key", &account.ed25519_public(), &ed25519(v, "verify_key")?)
    } else {
        let scheme = blinding::BlindingScheme::V15;
        let own = blinding::BlindedKey::new(scheme, account.ed25519(), &array(v, "server_pk")?).id();
        same("author", &author, &own)?;
        same("verify_key", author.key_bytes(), &array(v, "verify_key")?)?;
        blinding::verify(&author, &data, &signature).map_err(words)
    }
}

/// The server of all cases; unblinded signatures do not depend on it.
const SERVER: &str = "c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d";

fn contains(what: &str, data: &[u8], part: &[u8]) -> Checked {
    let found = data.windows(part.len()).any(|window| window == part);
    if found { Ok(()) } else { Err(format!("{what} is not in the data")) }
}

/// A protobuf number.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
