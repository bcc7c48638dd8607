//! Recovery phrases, account keys and ids, names.

use conclave_crypto::recovery_phrase::{self, PhraseError, UndecodableWords};
use conclave_crypto::{Account, AccountId, IdPrefix, RecoveryPhrase, blinding, hash, ons as names};
use serde_json::Value;

use super::read::*;

pub fn mnemonic(v: &Value) -> Checked {
    // The list has a digest of its own to hold against; that the crate uses it, the phrases show.
    let list = include_str!("../../src/recovery-words-english.txt").lines().collect::<Vec<_>>().join("\n");
    let digest = hash::sha256(&[list.as_bytes()]);
    same("wordlist", &digest[..], &bytes(v, "wordlist_sha256_joined_by_lf_no_trailing")?)?;
    each(list_of(v, "encode")?, |case| phrase(&array::<16>(case, "seed16")?, text(case, "phrase")?))?;
    let long = at(v, "encode_32_byte_seed")?;
    phrase(&array::<32>(long, "seed")?, text(long, "phrase")?)?;

    let words = at(v, "libsession_48_words")?;
    encoding(&bytes(words, "seed")?, text(words, "words_no_checksum")?)?;
    let three = at(v, "three_words")?;
    encoding(&bytes(three, "bytes")?, text(three, "words")?)?;
    let indices = list_of(three, "indices")?.iter().map(|i| i.as_u64().unwrap_or_default() as usize);
    let decoded = recovery_phrase::decode(&indices.collect::<Vec<_>>()).map_err(words_of)?;
    same("indices", &decoded, &bytes(three, "bytes")?)?;

    let overflow: Vec<usize> = list_of(v, "invalid_overflow")?
        .iter()
        .map(|word| position(as_text(word)?))
        .collect::<Checked<_>>()?;
    same("overflow", &recovery_phrase::decode(&overflow), &Err(UndecodableWords::Impossible { first: 1 }))?;

    // Only the last word is wrong.
    let valid = text(v, "encode/0/phrase")?;
    let wrong = text(v, "invalid_checksum_phrase")?;
    match RecoveryPhrase::parse(wrong) {
        Err(PhraseError::Checksum(_)) => {}
        other => return Err(format!("invalid_checksum_phrase: {other:?}")),
    }
    let all_but_last = |phrase: &str| phrase.rsplit_once(' ').map(|(rest, _)| rest.to_owned());
    same("invalid_checksum_phrase", &all_but_last(wrong), &all_but_last(valid))?;
    position(wrong.rsplit(' ').next().unwrap_or_default())?;
    let short = RecoveryPhrase::parse(text(v, "prefix_only_valid_phrase")?).map_err(words_of)?;
    same("prefix_only_valid_phrase", short.seed(), &bytes(v, "encode/0/seed16")?)
}

fn list_of<'a>(v: &'a Value, path: &str) -> Checked<&'a [Value]> {
    super::read::list(v, path)
}

fn words_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Where the list has exactly this word.
fn position(word: &str) -> Checked<usize> {
    include_str!("../../src/recovery-words-english.txt")
        .lines()
        .position(|listed| listed == word)
        .ok_or_else(|| format!("{word} is not in the list"))
}

/// Both ways, for seeds of 16 and of 32 bytes.
fn phrase(seed: &[u8], text: &str) -> Checked {
    let read = RecoveryPhrase::parse(text).map_err(words_of)?;
    same("seed of the phrase", read.seed(), seed)?;
    let scanned = RecoveryPhrase::scan(&hex::encode(seed)).map_err(words_of)?;
    same("phrase of the seed", scanned.words().as_str(), text)
}

/// Both ways, without checksum.
fn encoding(bytes: &[u8], text: &str) -> Checked {
    let words = recovery_phrase::encode(bytes).map_err(words_of)?;
    same("words", words.join(" ").as_str(), text)?;
    let indices = text.split(' ').map(position).collect::<Checked<Vec<_>>>()?;
    same("bytes", &recovery_phrase::decode(&indices).map_err(words_of)?[..], bytes)
}

pub fn account_keys(v: &Value) -> Checked {
    each(as_list(v)?, |case| {
        phrase(&array::<16>(case, "seed16")?, text(case, "phrase")?)?;
        let account = Account::from_phrase(&RecoveryPhrase::parse(text(case, "phrase")?).map_err(words_of)?);
        same("ed25519_seed32", &account.ed25519().seed()[..], &bytes(case, "ed25519_seed32")?)?;
        same("ed25519_pk", &account.ed25519_public(), &ed25519(case, "ed25519_pk")?)?;
        same("ed25519_sk64", &secret64(case, "ed25519_sk64")?.public(), &account.ed25519_public())?;
        x25519_secret(account.ed25519(), &at(case, "x25519_sk")?.clone())?;
        same("x25519_pk", account.x25519().public(), &x25519(case, "x25519_pk")?)?;
        same("account_id", account.id(), &id(case, "account_id")?)
    })
}

/// The secret is never handed out: it is the right one if it agrees with others like the right one.
fn x25519_secret(secret: &conclave_crypto::Ed25519Secret, expected: &Value) -> Checked {
    let expected = conclave_crypto::X25519Secret::from_bytes(as_array(expected)?);
    if secret.to_x25519() == expected { Ok(()) } else { Err("the X25519 secret differs".to_owned()) }
}

pub fn ons(v: &Value) -> Checked {
    let name = text(v, "name")?;
    same("name_hash", &names::name_hash(name)[..], &base64(v, "name_hash_base64")?)?;
    let value = bytes(v, "encrypted_value")?;
    let nonce: [u8; 24] = array(v, "nonce")?;
    let opened = names::open(name, &value, &nonce).map_err(words_of)?;
    same("account_id", &opened, &id(v, "account_id")?)?;
    let by_key = open_nonce_last(&array(v, "key")?, &[&value[..], &nonce].concat())?;
    same("key", &by_key[..], opened.as_bytes())
}

pub fn upstream_ons(v: &Value) -> Checked {
    let opened = names::open(text(v, "in/name")?, &bytes(v, "in/ciphertext")?, &array(v, "in/nonce")?);
    same("session_id", &opened.map_err(words_of)?, &id(v, "out/session_id")?)
}

pub fn identities(v: &Value) -> Checked {
    each(list_of(v, "items")?, |case| {
        let secret = secret(case, "seed")?;
        same("ed25519_pub", &secret.public(), &ed25519(case, "ed25519_pub")?)?;
        same("session_id", &account_id(&secret), &id(case, "session_id")?)?;
        same(
            "ed_pub_negative",
            &(secret.public().as_bytes()[31] & 0x80 != 0),
            &flag(case, "ed_pub_negative")?,
        )
    })
}

/// The seeds of the identities that other community vectors name.
pub fn identity(name: &str) -> Checked<conclave_crypto::Ed25519Secret> {
    let seed = match name {
        "id1" => "fecd9a6034bc9aba273925dee7062b123334587c3c6257341afae2d7fe85e122",
        "id2" => "8659efdcbe0949e0f81141e6d397e8be75f45d09262f209d5950e97989eb43c7",
        other => return Err(format!("nobody is called {other}")),
    };
    as_secret(&Value::from(seed))
}

pub fn version_blinding_07(v: &Value) -> Checked {
    let key = blinding::version_key(&secret(v, "ed25519_seed32")?);
    same("pubkey", &key.public(), &ed25519(v, "pubkey")?)?;
    let version_id = AccountId::new(IdPrefix::Version, key.public().as_bytes());
    same("x_fs_pubkey", &version_id, &id(v, "x_fs_pubkey")?)?;
    let signed = text(v, "signed_utf8")?;
    same("timestamp", signed, &format!("{}GET/session_version?platform=desktop", number(v, "timestamp")?))?;
    same("signature", &key.sign(signed.as_bytes()), &signature(v, "signature")?)?;
    blinding::verify(&version_id, signed.as_bytes(), &signature(v, "signature")?).map_err(words_of)
}

pub fn version_blind07(v: &Value) -> Checked {
    let key = blinding::version_key(&identity(text(v, "identity")?)?);
    same("derived_seed", &key.seed()[..], &bytes(v, "derived_seed")?)?;
    same("pubkey", &key.public(), &ed25519(v, "pubkey")?)?;
    let version_id = AccountId::new(IdPrefix::Version, key.public().as_bytes());
    same("header_pubkey", &version_id, &id(v, "header_pubkey")?)?;
    let expected = key.sign(text(v, "signed_ascii")?.as_bytes());
    same("signature", &expected, &signature(v, "signature")?)?;
    same("signature_base64", &expected.as_bytes()[..], &base64(v, "signature_base64")?)
}

pub fn upstream_version_blind(v: &Value) -> Checked {
    let key = blinding::version_key(&secret64(v, "in/ed25519_secret_key")?);
    same("pubkey", &key.public(), &ed25519(v, "out/pubkey")?)?;
    same("seed", &key.seed()[..], &bytes(v, "out/seed")?)?;
    let signed =
        format!("{}GET/session_version?platform={}", number(v, "in/timestamp")?, text(v, "in/platform")?);
    same("signature", &key.sign(signed.as_bytes()), &signature(v, "out/signature")?)
}

pub fn upstream_ed25519(v: &Value) -> Checked {
    let secret = secret(v, "in/seed")?;
    let message = bytes(v, "in/message")?;
    same("pubkey", &secret.public(), &ed25519(v, "out/pubkey")?)?;
    same("signature", &secret.sign(&message), &signature(v, "out/signature")?)?;
    secret.public().verify(&message, &signature(v, "out/signature")?).map_err(words_of)
}

pub fn upstream_x25519(v: &Value) -> Checked {
    let keys = list_of(v, "in/ed_pubkeys")?.iter().zip(list_of(v, "out/x_pubkeys")?);
    for (ed, x) in keys {
        let ed = conclave_crypto::Ed25519Public::from_bytes(as_array(ed)?).map_err(words_of)?;
        same("x_pubkeys", &ed.to_x25519(), &as_x25519(x)?)?;
    }
    let secrets = list_of(v, "in/ed_seeds")?.iter().zip(list_of(v, "out/x_privkeys_from_seeds")?);
    secrets.into_iter().try_for_each(|(seed, x)| x25519_secret(&as_secret(seed)?, x))
}

pub fn upstream_group_ids(v: &Value) -> Checked {
    let seeds = list_of(v, "in/seeds")?;
    let ids = list_of(v, "out/session_ids")?;
    same("count", &seeds.len(), &ids.len())?;
    seeds.iter().zip(ids).try_for_each(|(seed, id)| same("id", &account_id(&as_secret(seed)?), &as_id(id)?))
}
