//! Blinded identities, their signatures and messages, XEd25519.

use conclave_crypto::blinding::{self, BlindedKey, BlindingScheme};
use conclave_crypto::{
    AccountId, Ed25519Secret, IdPrefix, Signature, X25519Secret, blinded_message as inbox, hash, padding,
    pro, xed25519,
};
use serde_json::Value;

use super::accounts::identity;
use super::read::*;

fn scheme(name: &str) -> Checked<BlindingScheme> {
    match name {
        "15" => Ok(BlindingScheme::V15),
        "25" => Ok(BlindingScheme::V25),
        other => Err(format!("unknown scheme {other}")),
    }
}

/// The signature is what we make, and verifies under the id.
fn signed(key: &BlindedKey, message: &[u8], expected: &Signature) -> Checked {
    same("signature", &key.sign(message), expected)?;
    blinding::verify(&key.id(), message, expected).map_err(words)
}

/// Every id an account can have at a server, computed from its id alone.
fn ids_of(account: &AccountId, server: &[u8; 32]) -> Checked<([AccountId; 2], AccountId)> {
    let key = account.x25519().map_err(words)?;
    let candidates = blinding::candidates_15(&key, server).map_err(words)?;
    let id = blinding::id_25(&key, server).map_err(words)?;
    for blinded in candidates.iter().chain([&id]) {
        if !blinding::may_be(blinded, &key, server) {
            return Err("an id is not recognised".to_owned());
        }
    }
    Ok((candidates, id))
}

pub fn blinding(v: &Value) -> Checked {
    each(list(v, "keys")?, |case| {
        let key = secret64(case, "ed25519_sk64")?;
        same("account_id", &account_id(&key), &id(case, "account_id")?)?;
        same("negative", &(key.public().as_bytes()[31] & 0x80 != 0), &flag(case, "ed_pk_negative")?)
    })?;
    each(list(v, "ids_from_account_id")?, |case| {
        let (candidates, id_25) = ids_of(&id(case, "account_id")?, &array(case, "server_pk")?)?;
        let expected = [id(case, "blinded15_candidates/0")?, id(case, "blinded15_candidates/1")?];
        same("blinded15_candidates", &candidates, &expected)?;
        same("blinded25", &id_25, &id(case, "blinded25")?)
    })?;
    each(list(v, "signatures")?, |case| {
        let account = secret64(case, "ed25519_sk64")?;
        let key = BlindedKey::new(scheme(text(case, "scheme")?)?, &account, &array(case, "server_pk")?);
        same("blinded_id", &key.id(), &id(case, "blinded_id")?)?;
        signed(&key, text(case, "message_utf8")?.as_bytes(), &signature(case, "signature")?)
    })
}

pub fn blind25_ids(v: &Value) -> Checked {
    each(list(v, "items")?, |case| {
        let server = array(case, "server_pk")?;
        let account = identity(text(case, "identity")?)?;
        let expected = id(case, "blinded25_id")?;
        same("from the id", &ids_of(&account_id(&account), &server)?.1, &expected)?;
        same("from the key", &BlindedKey::new(BlindingScheme::V25, &account, &server).id(), &expected)
    })
}

pub fn blind15_ids(v: &Value) -> Checked {
    each(list(v, "items")?, |case| {
        let server = array(case, "server_pk")?;
        let account = identity(text(case, "identity")?)?;
        let ([first, second], _) = ids_of(&account_id(&account), &server)?;
        same("first", &first, &id(case, "candidate_from_session_id")?)?;
        same("second", &second, &id(case, "other_candidate")?)?;
        let actual = BlindedKey::new(BlindingScheme::V15, &account, &server).id();
        same("actual", &actual, &id(case, "actual_blinded15_id")?)
    })
}

fn signatures(v: &Value, scheme: BlindingScheme) -> Checked {
    each(list(v, "items")?, |case| {
        let account = identity(text(case, "identity")?)?;
        let key = BlindedKey::new(scheme, &account, &array(case, "server_pk")?);
        same("verify_key", key.id().key_bytes(), &array(case, "verify_key")?)?;
        signed(&key, text(case, "message_utf8")?.as_bytes(), &signature(case, "signature")?)
    })
}

pub fn blind25_signatures(v: &Value) -> Checked {
    signatures(v, BlindingScheme::V25)
}

pub fn blind15_signatures(v: &Value) -> Checked {
    signatures(v, BlindingScheme::V15)
}

pub fn pysogs_blind15(v: &Value) -> Checked {
    let server = array(v, "server_pk")?;
    each(list(v, "items")?, |case| {
        let account = secret(case, "seed")?;
        same("session_id", &account_id(&account), &id(case, "session_id")?)?;
        let blinded = BlindedKey::new(BlindingScheme::V15, &account, &server).id();
        same("blinded15_id", &blinded, &id(case, "blinded15_id")?)?;
        let (candidates, _) = ids_of(&account_id(&account), &server)?;
        let positive = candidates.iter().find(|id| id.key_bytes()[31] & 0x80 == 0);
        same("abs_blinded_id", &positive.copied(), &Some(id(case, "abs_blinded_id")?))?;
        same("candidate", &candidates.contains(&blinded), &true)
    })
}

pub fn sogs_request_auth(v: &Value) -> Checked {
    let account = secret(v, "seed")?;
    same("ed25519_pub", &account.public(), &ed25519(v, "ed25519_pub")?)?;
    same("session_id", &account_id(&account), &id(v, "session_id")?)?;
    let server: [u8; 32] = array(v, "server_pk")?;
    let nonce: [u8; 16] = array(v, "nonce")?;
    let timestamp = text(v, "timestamp")?;
    let key = BlindedKey::new(BlindingScheme::V15, &account, &server);
    let unblinded = AccountId::new(IdPrefix::Unblinded, account.public().as_bytes());
    each(list(v, "items")?, |case| {
        let body = case.get("body_utf8").and_then(Value::as_str).unwrap_or_default();
        let body_hash: [u8; 64] = hash::blake2b_512(&[body.as_bytes()]);
        let body_hash = if body.is_empty() { &[][..] } else { &body_hash };
        let message = [
            &server[..],
            &nonce,
            timestamp.as_bytes(),
            text(case, "method")?.as_bytes(),
            text(case, "path")?.as_bytes(),
            body_hash,
        ]
        .concat();
        same("signed_bytes", &message, &bytes(case, "signed_bytes")?)?;
        let ours = key.sign(&message);
        let libsession = base64(case, "blinded/signature_libsession_variant_b64")?;
        same("signature_libsession_variant", &ours.as_bytes()[..], &libsession)?;
        same("X-SOGS-Pubkey", &key.id(), &id(case, "blinded/X-SOGS-Pubkey")?)?;
        same("X-SOGS-Nonce", &nonce[..], &base64(case, "blinded/X-SOGS-Nonce")?)?;
        same("X-SOGS-Timestamp", timestamp, text(case, "blinded/X-SOGS-Timestamp")?)?;
        verifies(&key.id(), &message, &base64(case, "blinded/X-SOGS-Signature")?)?;

        same("X-SOGS-Pubkey", &unblinded, &id(case, "unblinded/X-SOGS-Pubkey")?)?;
        let expected = base64(case, "unblinded/X-SOGS-Signature")?;
        same("X-SOGS-Signature", &account.sign(&message).as_bytes()[..], &expected)?;
        verifies(&unblinded, &message, &expected)
    })
}

fn verifies(id: &AccountId, message: &[u8], signature: &[u8]) -> Checked {
    let signature = Signature::from_slice(signature).ok_or("no signature")?;
    blinding::verify(id, message, &signature).map_err(words)
}

pub fn message_signature(v: &Value) -> Checked {
    let content = bytes(v, "content")?;
    let padded = padding::pad_content(&content);
    same("padded", &padded, &bytes(v, "padded")?)?;
    same("data_base64", &padded, &base64(v, "data_base64")?)?;
    same("data_size", &padded.len(), &size(v, "data_size")?)?;
    same("server_stores_unpadded", padding::unpad_content(&padded), &bytes(v, "server_stores_unpadded")?)?;
    let id = AccountId::new(IdPrefix::Blinded15, &array(v, "verify_key")?);
    let signature = bytes(v, "blinded15_signature")?;
    same("signature_base64", &signature, &base64(v, "signature_base64")?)?;
    verifies(&id, &padded, &signature)?;
    each(list(v, "padding_strip_cases")?, |case| {
        same("out", padding::unpad_content(&bytes(case, "in")?), &bytes(case, "out")?)
    })
}

fn positive(v: &Value, x: &str, ed: &str, actual: &str) -> Checked {
    let key = x25519(v, x)?;
    let positive = xed25519::to_ed25519_positive(&key).map_err(words)?;
    same(ed, &positive, &ed25519(v, ed)?)?;
    let actual = ed25519(v, actual)?;
    same("the account's key", &actual.to_x25519(), &key)?;
    // The sign bit is all that may differ.
    let mut bytes = *actual.as_bytes();
    bytes[31] &= 0x7f;
    same("without its sign", &bytes, positive.as_bytes())?;
    let negative = [IDENTITY_2, PUSH_1].contains(&actual.to_hex().as_str());
    same("sign", &(actual != positive), &negative)
}

/// The accounts with a negative key among the vectors of conversion.
const IDENTITY_2: &str = "3570b69a47dc094544c1c5089c40414bbda1ffdde8aab2617fe937ee74a5ee81";
const PUSH_1: &str = "bac6e71efd7dfa4a83c98ed24f254ab2c267f9ccdb172a5280a0444ad24e89cc";

pub fn x25519_to_ed25519_positive(v: &Value) -> Checked {
    each(as_list(v)?, |case| positive(case, "x25519_pk", "ed25519_pk_positive", "true_ed25519_pk"))
}

pub fn xed25519_pubkey(v: &Value) -> Checked {
    each(list(v, "items")?, |case| positive(case, "x25519", "ed25519_positive", "actual_ed25519"))
}

pub fn upstream_xed25519(v: &Value) -> Checked {
    let keys = list(v, "in/x25519_pubkeys")?;
    let expected = list(v, "out/ed25519_positive_pubkeys")?;
    same("count", &keys.len(), &expected.len())?;
    keys.iter().zip(expected).try_for_each(|(key, expected)| {
        let positive = xed25519::to_ed25519_positive(&as_x25519(key)?).map_err(words)?;
        same("positive", positive.as_bytes(), &as_array(expected)?)
    })
}

pub fn xed25519_signatures(v: &Value) -> Checked {
    each(list(v, "cases")?, |case| {
        let secret = X25519Secret::from_bytes(array(case, "x25519_sk")?);
        // Clamped, as converted secrets are; unclamped spellings of it would do as well.
        let spelled = array::<32>(case, "x25519_sk")?;
        same("clamped", &(spelled[0] & 7, spelled[31] >> 6), &(0, 1))?;
        let key = secret.public();
        same("account_id", &AccountId::of_account(&key), &id(case, "account_id")?)?;
        let positive = xed25519::to_ed25519_positive(&key).map_err(words)?;
        same("verify_key", &positive, &ed25519(case, "verify_key")?)?;
        let message = text(case, "message_utf8")?.as_bytes();
        let mut nonce = [0u8; 64];
        nonce.iter_mut().zip(bytes(case, "nonce_r")?).for_each(|(to, from)| *to = from);
        let made = xed25519::sign_with_nonce(&secret, message, &nonce);
        same("signature", &made, &signature(case, "signature")?)?;
        xed25519::verify_strict(&key, message, &made).map_err(words)?;
        xed25519::verify(&key, message, &made).map_err(words)?;

        let true_key = ed25519(case, "true_ed25519_pk")?;
        same("true_ed25519_pk", &true_key.to_x25519(), &key)?;
        let plain = signature(case, "plain_ed25519_signature")?;
        true_key.verify(message, &plain).map_err(words)?;
        xed25519::verify(&key, message, &plain).map_err(words)?;
        let strict = xed25519::verify_strict(&key, message, &plain).is_ok();
        same("plain signature", &strict, &flag(case, "plain_signature_verifies_under_verify_key")?)
    })
}

/// A blinded message between two accounts, with everything a vector may say of it.
struct Dm<'a> {
    server: [u8; 32],
    sender: &'a Ed25519Secret,
    recipient: &'a Ed25519Secret,
    sender_id: AccountId,
    recipient_id: AccountId,
}

impl Dm<'_> {
    /// Both ends read it, the ids are the accounts' own, and the key is the stated one.
    fn opens(&self, sealed: &[u8], message: &[u8], key: Option<[u8; 32]>) -> Checked {
        let scheme = BlindingScheme::of(&self.sender_id).ok_or("no scheme")?;
        same("sender", &BlindedKey::new(scheme, self.sender, &self.server).id(), &self.sender_id)?;
        same("recipient", &BlindedKey::new(scheme, self.recipient, &self.server).id(), &self.recipient_id)?;
        for own in [self.sender, self.recipient] {
            let opened = self.open(own, sealed)?;
            same("message", &opened.message[..], message)?;
            same("sender's key", &opened.sender_key, &self.sender.public())?;
            same("sender's account", &opened.sender, &account_id(self.sender))?;
        }
        if let Some(key) = key {
            let plain = open_nonce_last(&key, sealed.get(1..).ok_or("short")?)?;
            same("shared_key", &plain[..], &[message, self.sender.public().as_bytes()].concat())?;
        }
        Ok(())
    }

    fn open(&self, own: &Ed25519Secret, sealed: &[u8]) -> Checked<inbox::OpenedBlindedMessage> {
        inbox::open(own, &self.server, &self.sender_id, &self.recipient_id, sealed).map_err(words)
    }

    fn seals(&self, message: &[u8], nonce: &[u8; 24], sealed: &[u8]) -> Checked {
        let made = inbox::seal_with_nonce(self.sender, &self.server, &self.recipient_id, message, nonce);
        same("ciphertext", &made.map_err(words)?[..], sealed)
    }
}

pub fn blinded_message(v: &Value) -> Checked {
    let (sender, recipient) = (secret(v, "sender_seed32")?, secret(v, "recipient_seed32")?);
    each(list(v, "cases")?, |case| {
        let dm = Dm {
            server: array(v, "server_pk")?,
            sender: &sender,
            recipient: &recipient,
            sender_id: id(case, "sender_blinded_id")?,
            recipient_id: id(case, "recipient_blinded_id")?,
        };
        same("scheme", &BlindingScheme::of(&dm.sender_id), &Some(scheme(text(case, "scheme")?)?))?;
        let (sealed, message) = (bytes(case, "ciphertext")?, bytes(case, "plaintext_padded_content")?);
        dm.opens(&sealed, &message, Some(array(case, "shared_key")?))?;
        dm.seals(&message, &array(case, "nonce")?, &sealed)
    })
}

pub fn blinded_dm(v: &Value) -> Checked {
    each(list(v, "items")?, |case| {
        let (sender, recipient) = (identity(text(case, "sender")?)?, identity(text(case, "recipient")?)?);
        let dm = Dm {
            server: array(case, "server_pk")?,
            sender: &sender,
            recipient: &recipient,
            sender_id: id(case, "sender_blinded")?,
            recipient_id: id(case, "recipient_blinded")?,
        };
        same("prefix", &BlindingScheme::of(&dm.sender_id), &Some(scheme(text(case, "prefix")?)?))?;
        let (sealed, message) = (bytes(case, "ciphertext")?, text(case, "message_utf8")?.as_bytes());
        let inner = [message, sender.public().as_bytes()].concat();
        same("plaintext_with_sender_ed_pub", &inner, &bytes(case, "plaintext_with_sender_ed_pub")?)?;
        same("inbox_message_base64", &sealed, &base64(case, "inbox_message_base64")?)?;
        dm.opens(&sealed, message, Some(array(case, "shared_key")?))?;
        dm.seals(message, &array(case, "nonce")?, &sealed)
    })
}

pub fn blinded_dm_more(v: &Value) -> Checked {
    let server = array(v, "server_pk")?;
    let message = text(v, "message_utf8")?.as_bytes();
    let accounts = [identity("id1")?, identity("id2")?];
    let owner = |id: &AccountId| {
        let scheme = BlindingScheme::of(id).ok_or("no scheme")?;
        let own = |account: &&Ed25519Secret| BlindedKey::new(scheme, account, &server).id() == *id;
        accounts.iter().find(own).ok_or_else(|| format!("{id:?} is nobody's"))
    };
    each(list(v, "items")?, |case| {
        let (sender_id, recipient_id) = (id(case, "sender_blinded")?, id(case, "recipient_blinded")?);
        let dm = Dm {
            server,
            sender: owner(&sender_id)?,
            recipient: owner(&recipient_id)?,
            sender_id,
            recipient_id,
        };
        let sealed = bytes(case, "ciphertext")?;
        let key: [u8; 32] = array(case, "shared_key")?;
        // Even what must be refused is properly encrypted: it is refused for what is inside.
        let plain = open_nonce_last(&key, sealed.get(1..).ok_or("short")?)?;
        same("inside", plain.get(..message.len()).ok_or("short")?, message)?;
        match text(case, "expect")? {
            "ok" => dm.opens(&sealed, message, Some(key)),
            "reject" => {
                let opened = inbox::open(dm.recipient, &dm.server, &dm.sender_id, &dm.recipient_id, &sealed);
                match opened {
                    Err(
                        inbox::BlindedMessageError::Impersonation | inbox::BlindedMessageError::Version(1),
                    ) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            other => Err(format!("unknown expectation {other}")),
        }
    })
}

pub fn upstream_blind_sign(v: &Value) -> Checked {
    let account = secret64(v, "in/ed25519_secret_key")?;
    let server = array(v, "in/server_pubkey")?;
    let message = bytes(v, "in/message")?;
    let key = |scheme| BlindedKey::new(scheme, &account, &server);
    signed(&key(BlindingScheme::V15), &message, &signature(v, "out/sig15")?)?;
    signed(&key(BlindingScheme::V25), &message, &signature(v, "out/sig25")?)
}

pub fn upstream_blind_ids(v: &Value) -> Checked {
    for (scheme, pairs) in [
        ("blind15", &[("id1@srv0", 0, 0), ("id2@srv0", 1, 0)][..]),
        ("blind25", &[("id1@srv0", 0, 0), ("id1@srv1", 0, 1), ("id2@srv0", 1, 0)]),
    ] {
        for (name, account, server) in pairs {
            let account = id(v, &format!("in/session_ids/{account}"))?;
            let server = array(v, &format!("in/server_pubkeys/{server}"))?;
            let ([first, _], id_25) = ids_of(&account, &server)?;
            let expected = id(v, &format!("out/{scheme}/{name}"))?;
            same(name, if scheme == "blind15" { &first } else { &id_25 }, &expected)?;
        }
    }
    Ok(())
}

pub fn generated_blinding(v: &Value) -> Checked {
    let (account, other) = (secret(v, "in/seed")?, secret(v, "in/recipient_seed")?);
    let server: [u8; 32] = array(v, "in/server_pubkey")?;
    let message = bytes(v, "in/message")?;
    let out = at(v, "out")?;
    let own_id = account_id(&account);
    same("session_id", &own_id, &id(out, "session_id")?)?;
    let sign = u64::from(account.public().as_bytes()[31] >> 7);
    same("ed_pubkey_sign_bit", &sign, &number(out, "ed_pubkey_sign_bit")?)?;

    let (candidates, id_25) = ids_of(&own_id, &server)?;
    let expected = [id(out, "blind15_id_from_session_id/0")?, id(out, "blind15_id_from_session_id/1")?];
    same("blind15_id_from_session_id", &candidates, &expected)?;
    same("blind25_id", &id_25, &id(out, "blind25_id")?)?;
    for (scheme, name) in [(BlindingScheme::V15, "15"), (BlindingScheme::V25, "25")] {
        let key = BlindedKey::new(scheme, &account, &server);
        let public: [u8; 32] = array(out, &format!("blind{name}_pubkey"))?;
        same("pubkey", key.id().key_bytes(), &public)?;
        signed(&key, &message, &signature(out, &format!("sig{name}"))?)?;
        // The secret scalar is right if its point is the key.
        let decoy = pro::decoy_signature_of(&array(out, &format!("blind{name}_privkey_scalar"))?, &[0; 32]);
        same("privkey_scalar", decoy.as_bytes().get(..32).ok_or("short")?, &public)?;

        let case = at(out, &format!("blinded{name}"))?;
        let dm = Dm {
            server,
            sender: &account,
            recipient: &other,
            sender_id: id(case, "sender_blinded_id")?,
            recipient_id: id(case, "recipient_blinded_id")?,
        };
        dm.opens(&bytes(case, "ciphertext_example")?, &message, None)?;
        same("decrypts_to", &message, &bytes(case, "decrypts_to")?)?;
        same("sender_id", &own_id, &id(case, "sender_id")?)?;
    }

    let version = blinding::version_key(&account);
    same("version_pubkey", &version.public(), &ed25519(out, "version_pubkey")?)?;
    let x = own_id.x25519().map_err(words)?;
    let positive = xed25519::to_ed25519_positive(&x).map_err(words)?;
    same("xed25519_pubkey", &positive, &ed25519(out, "xed25519_pubkey_from_session_id")?)?;
    xed25519::verify_strict(&x, &message, &signature(out, "xed25519_signature_example")?).map_err(words)?;
    // The vector does not say what was signed; this is it.
    let signed = b"1700000000GET/session_version?platform=desktop";
    same("version_sign_req", &version.sign(signed), &signature(out, "version_sign_req")?)
}
