//! From a text to what is stored, and back.

use conclave_crypto::{Account, Signature, padding, session_protocol};
use conclave_proto::bt::DictReader;
use conclave_proto::content::{self, Content, DataMessage, Decoded, Envelope, LokiProfile, ReceivedEnvelope};
use conclave_proto::{MessageHash, Namespace, Timestamp, base64 as b64, swarm};
use serde_json::Value;

use super::util::*;

/// The message of these examples.
fn hello(time: Timestamp) -> Content {
    let profile = LokiProfile {
        display_name: Some("Alice".into()),
        last_update_seconds: Some(1_699_999_999),
        ..LokiProfile::default()
    };
    Content::with_data(DataMessage { profile: Some(profile), ..DataMessage::text("hello", None) }, time)
}

pub fn check_dm_full_example(value: &Value) -> Outcome {
    let time = Timestamp(number(value, "timestamp_ms")?);
    let (sender, recipient) = (account(value, "sender_seed32")?, account(value, "recipient_seed32")?);
    let content = hello(time);
    let plain = bytes(value, "content")?;
    same("content", content.to_bytes(), plain.clone())?;
    same("content read", Content::from_bytes(&plain), Ok(content))?;
    same("padded", padding::pad_content(&plain), bytes(value, "content_padded")?)?;
    let envelope = Envelope { pro_sig: None, ..Envelope::one_to_one(time, bytes(value, "sealed")?, [0; 64]) };
    sealed_and_wrapped(value, &sender, &recipient, &envelope)
}

/// Whether `sealed`, `envelope` and `websocket_message` follow from `content`, and lead back to it.
fn sealed_and_wrapped(value: &Value, sender: &Account, to: &Account, envelope: &Envelope) -> Outcome {
    let plain = bytes(value, "content")?;
    let padded = padding::pad_content(&plain);
    let key = to.id().x25519().map_err(err)?;
    let sealed = session_protocol::seal_deterministic(sender.ed25519(), &key, &padded);
    same("sealed", sealed, bytes(value, "sealed")?)?;
    same("envelope", envelope.to_bytes(), bytes(value, "envelope")?)?;
    let wire = bytes(value, "websocket_message")?;
    same("wrapped", envelope.wrap(), wire.clone())?;
    let received = content::unwrap(&wire).map_err(err)?;
    same("envelope read", ReceivedEnvelope::from_bytes(&bytes(value, "envelope")?), Ok(received.clone()))?;
    let opened = session_protocol::open(to.x25519(), &received.content).map_err(err)?;
    same("sender", &opened.sender, sender.id())?;
    same("opened", padding::unpad_content(&opened.message), &plain)?;
    same("time", Content::from_bytes(&plain).map_err(err)?.sig_timestamp, Some(received.timestamp.0))
}

pub fn check_dm_end_to_end(value: &Value) -> Outcome {
    let seeds = other("client-messages", "dm_full_example");
    let (sender, recipient) = (account(&seeds, "sender_seed32")?, account(&seeds, "recipient_seed32")?);
    same("sender", &*sender.id().to_hex(), text(value, "sender_account_id")?)?;
    same("recipient", &*recipient.id().to_hex(), text(value, "recipient_account_id")?)?;
    let time = Timestamp(number(value, "timestamp_ms")?);
    let decoy: [u8; 64] = array(value, "pro_sig_decoy")?;
    same("decoy", decoy.split_at(32).1, &bytes(value, "decoy_s")?)?;
    let copy = Content::with_data(DataMessage::text("hello", Some(recipient.id().to_hex())), time);
    for (key, to, content) in
        [("to_recipient", &recipient, hello(time)), ("sync_copy_to_self", &sender, copy)]
    {
        let case = at(value, key)?;
        same(key, content.to_bytes(), bytes(case, "content")?)?;
        let envelope = Envelope::one_to_one(time, bytes(case, "sealed")?, decoy);
        sealed_and_wrapped(case, &sender, to, &envelope)?;
        same("proSig", content::unwrap(&envelope.wrap()).map_err(err)?.pro_sig, Some(decoy))?;
        same("base64", &*b64::encode(envelope.wrap()), text(case, "data_base64")?)?;
        stored(case, to.id(), Namespace::DIRECT)?;
    }
    for case in list(value, "malformed")? {
        let opened = session_protocol::open(recipient.x25519(), &bytes(case, "sealed")?);
        match (text(case, "name")?.ends_with("must be rejected"), opened) {
            (true, Err(_)) => {}
            (true, Ok(_)) => return Err("a bad seal was opened".into()),
            (false, opened) => same("unpadded", opened.map_err(err)?.message, b"hi".to_vec())?,
        }
    }
    Ok(())
}

/// Hash and place of what is stored.
fn stored(case: &Value, owner: &conclave_crypto::AccountId, namespace: Namespace) -> Outcome {
    let data = base64(case, "data_base64")?;
    same("hash", MessageHash::of(owner, namespace, &data).as_str(), text(case, "message_hash")?)?;
    let point = swarm::swarm_space(owner.key_bytes());
    same("swarm", &*format!("{point:016x}"), text(case, "swarm_space_hex")?)
}

pub fn check_group_end_to_end(value: &Value) -> Outcome {
    let known = other("client-messages", "group_message");
    let sender = secret(&known, "sender_ed25519_seed")?;
    let group = account_id(&known, "group_id")?;
    let decoy = array(&other("client-messages", "dm_end_to_end"), "pro_sig_decoy")?;
    let time = Timestamp(1_700_000_000_123);
    let wire = bytes(value, "envelope")?;
    same("envelope", Envelope::group(time, hello(time).to_bytes(), decoy).to_bytes(), wire.clone())?;
    let received = ReceivedEnvelope::from_bytes(&wire).map_err(err)?;
    same("content", Content::from_bytes(&received.content), Ok(hello(time)))?;
    same("unknown", Decoded::<Envelope>::decode(&wire).map_err(err)?.unknown.is_empty(), true)?;

    same("compressed", at(value, "compressed")?.as_bool(), Some(false))?;
    let padded = bytes(value, "bencoded_padded")?;
    let mut dict = DictReader::new(padding::strip_zeros(&padded)).map_err(err)?;
    same("version", dict.take_u64("").map_err(err)?, Some(1))?;
    same("sender", dict.take_array("a").map_err(err)?, Some(*sender.public().as_bytes()))?;
    same("plain", dict.take_bytes("d").map_err(err)?, Some(wire.as_slice()))?;
    let signature = dict.take_array("s").map_err(err)?.ok_or("not signed")?;
    let signed = [wire.as_slice(), group.key_bytes()].concat();
    sender.public().verify(&signed, &Signature::from_bytes(signature)).map_err(err)?;
    same("no compressed form", dict.peek_key().map_err(err)?, None)?;

    // What encrypts it is tested where it lives; here only that this is the encrypted form of that length.
    let sealed = bytes(value, "ciphertext")?;
    same("nonce", sealed.get(..24), Some(bytes(&known, "nonce")?.as_slice()))?;
    same("length", sealed.len(), padded.len() + 24 + 16)?;
    same("base64", base64(value, "data_base64")?, sealed)?;
    stored(value, &group, Namespace::GROUP_MESSAGES)
}
