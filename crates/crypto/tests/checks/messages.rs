//! The Session protocol's seal, paddings, push payloads.

use conclave_crypto::{AccountId, Ed25519Public, padding, push as notifications, session_protocol};
use serde_json::Value;

use super::read::*;

pub fn deterministic_seal(v: &Value) -> Checked {
    let sender = secret(v, "sender_seed32")?;
    let recipient = id(v, "recipient_account_id")?.x25519().map_err(words)?;
    let sealed =
        session_protocol::seal_deterministic(&sender, &recipient, text(v, "message_utf8")?.as_bytes());
    same("ciphertext", &sealed, &bytes(v, "ciphertext")?)?;
    same("opens_to", &sender.public(), &ed25519(v, "opens_to_sender_ed25519")?)
}

pub fn session_encrypt(v: &Value) -> Checked {
    let sender = secret(v, "in/sender_seed")?;
    let recipient = pair_of(&secret(v, "in/recipient_seed")?);
    let message = bytes(v, "in/message")?;
    let sealed = session_protocol::seal_deterministic(&sender, recipient.public(), &message);
    same("deterministic_ciphertext", &sealed, &bytes(v, "out/deterministic_ciphertext")?)?;
    same("recipient_id", &AccountId::of_account(recipient.public()), &id(v, "out/recipient_id")?)?;
    let mut all = vec![sealed];
    if v.pointer("/out/signed_inner").is_some() {
        all.push(bytes(v, "out/random_sealed_ciphertext_example")?);
        let key = sender.public();
        let signed = sender.sign(&[&message, &key.as_bytes()[..], recipient.public().as_bytes()].concat());
        let inner = [&message, &key.as_bytes()[..], signed.as_bytes()].concat();
        same("signed_inner", &inner, &bytes(v, "out/signed_inner")?)?;
        same("sender_ed_pubkey", &key, &ed25519(v, "out/sender_ed_pubkey")?)?;
    }
    for sealed in all {
        let opened = session_protocol::open(&recipient, &sealed).map_err(words)?;
        same("message", &opened.message, &message)?;
        same("sender_id", &opened.sender, &id(v, "out/sender_id")?)?;
        same("sender key", &opened.sender_key, &sender.public())?;
    }
    Ok(())
}

pub fn padding_160(v: &Value) -> Checked {
    each(as_list(v)?, |case| {
        let content = vec![0xab; size(case, "unpadded_len")?];
        let padded = padding::pad_content(&content);
        same("padded_len_libsession", &padded.len(), &size(case, "padded_len_libsession")?)?;
        same("unpadded", padding::unpad_content(&padded), &content)?;
        // What Signal's heritage sends; only read.
        let historic = (content.len() + 2).div_ceil(160) * 160 - 1;
        same("padded_len_historic", &historic, &size(case, "padded_len_historic")?)?;
        let mut padded = content.clone();
        padded.push(0x80);
        padded.resize(historic, 0);
        same("unpadded historic", padding::unpad_content(&padded), &content)
    })
}

pub fn padding_160_example(v: &Value) -> Checked {
    same("out", &padding::pad_content(&bytes(v, "in")?), &bytes(v, "out")?)
}

pub fn unpad_160_cases(v: &Value) -> Checked {
    let cases: Vec<Value> = as_list(v)?.iter().filter(|case| case.get("in").is_some()).cloned().collect();
    each(&cases, |case| same("strict", padding::unpad_content(&bytes(case, "in")?), &bytes(case, "strict")?))
}

pub fn community_padding(v: &Value) -> Checked {
    each(list(v, "items")?, |case| {
        let length = size(case, "content_len")?;
        same("strict_total", &padding::padded_content_length(length), &size(case, "strict_total")?)?;
        let minimal = (length + 1).div_ceil(160) * 160;
        same("minimal_total", &minimal, &size(case, "minimal_total")?)?;
        let content = vec![0xab; length];
        let mut padded = content.clone();
        padded.push(0x80);
        padded.resize(minimal, 0);
        same("unpadded", padding::unpad_content(&padded), &content)
    })
}

pub fn push_notification(v: &Value) -> Checked {
    let opened = notifications::open(&array(v, "key")?, &bytes(v, "payload")?).map_err(words)?;
    same("plaintext", &opened[..], text(v, "plaintext_utf8")?.as_bytes())
}

pub fn upstream_push(v: &Value) -> Checked {
    let opened = notifications::open(&array(v, "in/key")?, &bytes(v, "in/payload")?).map_err(words)?;
    same("plaintext", &opened, &bytes(v, "out/plaintext")?)
}

pub fn push(v: &Value) -> Checked {
    let request = at(v, "subscribe/request")?;
    let account = id(request, "pubkey")?;
    let key = ed25519(request, "session_ed25519")?;
    same("pubkey", &AccountId::of_account(&key.to_x25519()), &account)?;
    let namespaces: Vec<String> = list(request, "namespaces")?.iter().map(Value::to_string).collect();
    let (time, with_data) = (number(request, "sig_ts")?, u8::from(flag(request, "data")?));
    let signed = format!("MONITOR{account}{time}{with_data}{}", namespaces.join(","));
    same("signed_ascii", text(v, "subscribe/signed_ascii")?, &signed)?;
    key.verify(signed.as_bytes(), &signature(request, "signature")?).map_err(words)?;

    let signed = format!("UNSUBSCRIBE{account}{time}");
    same("signed_ascii", text(v, "unsubscribe/signed_ascii")?, &signed)?;
    key.verify(signed.as_bytes(), &signature(v, "unsubscribe/signature")?).map_err(words)?;

    let member = at(v, "subaccount_subscribe")?;
    let group = id(member, "group_id")?;
    let tag: [u8; 36] = array(member, "subaccount_tag")?;
    group.ed25519().map_err(words)?.verify(&tag, &signature(member, "subaccount_sig")?).map_err(words)?;
    let key: Ed25519Public = ed25519(member, "subaccount_pub")?;
    same("subaccount_tag", tag.last_chunk::<32>().ok_or("short")?, key.as_bytes())?;
    let signed = format!("MONITOR{group}{time}111,12,13,14");
    same("signed_ascii", text(member, "signed_ascii")?, &signed)?;
    key.verify(signed.as_bytes(), &signature(member, "signature")?).map_err(words)?;

    let notice = at(v, "notification")?;
    let key: [u8; 32] = array(notice, "enc_key")?;
    same("enc_key", &array(request, "enc_key")?, &key)?;
    let (meta, body) = (text(notice, "metadata_json")?, text(notice, "body_utf8")?);
    let plain = format!("l{}:{meta}{}:{body}e", meta.len(), body.len()).into_bytes();
    same("bencoded_unpadded", &plain, &bytes(notice, "bencoded_unpadded")?)?;
    let sealed = notifications::seal_with_nonce(&key, &plain, &array(notice, "nonce")?);
    same("enc_payload", &sealed, &base64(notice, "enc_payload_base64")?)?;
    same("padded_len", &(sealed.len() - 40), &size(notice, "padded_len")?)?;
    same("opened", &notifications::open(&key, &sealed).map_err(words)?, &plain)
}
