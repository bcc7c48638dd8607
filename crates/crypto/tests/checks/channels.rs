//! Onion layers.

use conclave_crypto::attachment::picture;
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{X25519Pair, X25519Public};
use serde_json::Value;

use super::read::*;

/// Client and server keys of a layer, checked against their secrets.
struct Ends {
    client: X25519Pair,
    server: X25519Pair,
}

impl Ends {
    fn read(v: &Value, client: (&str, &str), server: (&str, &str)) -> Checked<Self> {
        let ends = Self { client: x25519_pair(v, client.0)?, server: x25519_pair(v, server.0)? };
        same("client's key", ends.client.public(), &x25519(v, client.1)?)?;
        same("server's key", ends.server.public(), &x25519(v, server.1)?)?;
        Ok(ends)
    }

    /// Both sides' keys.
    fn keys(&self, enc_type: EncType) -> [ChannelKeys; 2] {
        [
            ChannelKeys::for_client(enc_type, &self.client, self.server.public()),
            ChannelKeys::for_server(enc_type, &self.server, self.client.public()),
        ]
    }

    /// Opens on both sides, seals with the nonce in front of the blob, both byte for byte.
    fn blob(&self, enc_type: EncType, blob: &[u8], plaintext: &[u8]) -> Checked {
        let mut nonce = [0u8; 24];
        nonce.iter_mut().zip(blob).for_each(|(to, from)| *to = *from);
        for keys in self.keys(enc_type) {
            same("plaintext", &keys.open(blob).map_err(words)?[..], plaintext)?;
            same("sealed again", &keys.seal_with_nonce(plaintext, &nonce)[..], blob)?;
        }
        same("length", &enc_type.sealed_length(plaintext.len()), &blob.len())
    }
}

/// A key is right if it alone opens the blob.
fn gcm_key(key: &[u8; 32], blob: &[u8], plaintext: &[u8]) -> Checked {
    same("key", &picture::decrypt(blob, key).map_err(words)?[..], plaintext)
}

fn xchacha_key(key: &[u8; 32], blob: &[u8], plaintext: &[u8]) -> Checked {
    same("key", &conclave_crypto::push::open(key, blob).map_err(words)?[..], plaintext)
}

pub fn community_hop(v: &Value) -> Checked {
    let ends = Ends::read(v, ("client_eph_sk", "client_eph_pk"), ("server_sk", "server_pk"))?;
    let plaintext = text(v, "plaintext_utf8")?.as_bytes();
    let (gcm, xchacha) = (bytes(v, "aes_gcm/blob")?, bytes(v, "xchacha20/blob")?);
    ends.blob(EncType::AesGcm, &gcm, plaintext)?;
    ends.blob(EncType::XChaCha20, &xchacha, plaintext)?;
    gcm_key(&array(v, "aes_gcm/key")?, &gcm, plaintext)?;
    xchacha_key(&array(v, "xchacha20/key")?, &xchacha, plaintext)
}

pub fn storage_hop(v: &Value) -> Checked {
    let ends = Ends::read(
        v,
        ("client_x25519_sec", "client_x25519_pub"),
        ("server_x25519_sec", "server_x25519_pub"),
    )?;
    let shared = ends.client.secret().diffie_hellman(ends.server.public());
    same("x25519_shared", shared.as_bytes(), &array(v, "x25519_shared")?)?;
    let plaintext = text(v, "plaintext")?.as_bytes();
    for (name, enc_type) in
        [("aes_gcm", EncType::AesGcm), ("xchacha20", EncType::XChaCha20), ("aes_cbc", EncType::AesCbc)]
    {
        let case = at(v, name)?;
        let blob = bytes(case, "ciphertext")?;
        ends.blob(enc_type, &blob, plaintext).map_err(|e| format!("{name}: {e}"))?;
        match enc_type {
            EncType::AesGcm => gcm_key(&array(case, "key")?, &blob, plaintext)?,
            EncType::XChaCha20 => xchacha_key(&array(case, "key")?, &blob, plaintext)?,
            EncType::AesCbc => {
                same("key", shared.as_bytes(), &array(case, "key")?)?;
                same("iv", blob.get(..16).ok_or("short")?, &bytes(case, "iv")?)?;
            }
        }
        for tampered in case.get("tampered_must_fail").map_or(Ok(&[][..]), as_list)? {
            let tampered = as_bytes(tampered)?;
            // One bit differs, or the vector itself was changed.
            let differing: u32 = tampered.iter().zip(&blob).map(|(a, b)| (a ^ b).count_ones()).sum();
            same("changed bits", &(differing, tampered.len()), &(1, blob.len()))?;
            for keys in ends.keys(enc_type) {
                if keys.open(&tampered).is_ok() {
                    return Err(format!("{name}: a changed blob opens"));
                }
            }
        }
    }
    Ok(())
}

pub fn channel_encryption(v: &Value) -> Checked {
    let alice = Ends::read(v, ("alice_sec", "alice_pub"), ("bob_sec", "bob_pub"))?;
    let bob = Ends { client: alice.server.clone(), server: alice.client.clone() };
    let plaintext = text(v, "plaintext")?.as_bytes();
    let nonce: [u8; 24] = array(v, "nonce")?;

    let gcm = bytes(v, "aes_gcm_ciphertext")?;
    alice.blob(EncType::AesGcm, &gcm, plaintext)?;
    bob.blob(EncType::AesGcm, &gcm, plaintext)?;
    same("aes_gcm_iv", gcm.get(..12).ok_or("short")?, &bytes(v, "aes_gcm_iv")?)?;
    gcm_key(&array(v, "aes_gcm_key")?, &gcm, plaintext)?;

    let xchacha = bytes(v, "xchacha20_ciphertext_alice_client_bob_server")?;
    alice.blob(EncType::XChaCha20, &xchacha, plaintext)?;
    same("nonce", xchacha.get(..24).ok_or("short")?, &nonce)?;
    xchacha_key(&array(v, "xchacha20_key_alice_client_bob_server")?, &xchacha, plaintext)?;
    let [keys, _] = bob.keys(EncType::XChaCha20);
    let other_way = keys.seal_with_nonce(plaintext, &nonce);
    xchacha_key(&array(v, "xchacha20_key_bob_client_alice_server")?, &other_way, plaintext)?;

    for (name, enc_type) in
        [("aes_cbc", EncType::AesCbc), ("aes_gcm", EncType::AesGcm), ("xchacha20", EncType::XChaCha20)]
    {
        let [keys, _] = alice.keys(enc_type);
        let delta = keys.seal_with_nonce(plaintext, &nonce).len() - plaintext.len();
        same(name, &delta, &size(v, &format!("size_delta/{name}"))?)?;
    }
    Ok(())
}

pub fn upstream_hop(v: &Value) -> Checked {
    let input = at(v, "in")?;
    let server = x25519_pair(input, "server_priv")?;
    same("server_pub", server.public(), &x25519(input, "server_pub")?)?;
    let client = x25519(input, "client_pub")?;
    for (name, enc_type) in [("aes_gcm", EncType::AesGcm), ("xchacha20", EncType::XChaCha20)] {
        let keys = ChannelKeys::for_server(enc_type, &server, &client);
        let opened = keys.open(&bytes(input, name)?).map_err(words)?;
        same(name, &opened[..], text(v, "out/plaintext")?.as_bytes())?;
    }
    Ok(())
}

/// Peels a whole request with the keys of its hops, and opens the reply.
pub fn onion_request(v: &Value) -> Checked {
    let input = at(v, "in")?;
    let enc_type: EncType = text(input, "enc_type")?.parse().map_err(words)?;
    let destination = at(input, "destination")?;
    let mut layers = Vec::new();
    for hop in list(input, "hops")? {
        let hop_secret = secret(hop, "ed25519_seed")?;
        same("hop's Ed25519 key", &hop_secret.public(), &ed25519(hop, "ed25519_pubkey")?)?;
        let pair = x25519_pair(hop, "x25519_privkey")?;
        same("hop's secret", pair.public(), pair_of(&hop_secret).public())?;
        same("hop's X25519 key", pair.public(), &x25519(hop, "x25519_pubkey")?)?;
        // Clamped as conversion makes it; as a secret the other spellings would do as well.
        let secret = array::<32>(hop, "x25519_privkey")?;
        same("clamped", &(secret[0] & 7, secret[31] >> 6), &(0, 1))?;
        layers.push((ed25519(hop, "ed25519_pubkey")?.to_hex(), pair));
    }

    let (mut blob, mut routing) = combined(&bytes(v, "out/request_example")?)?;
    let mut next = layers.iter().skip(1);
    for (_, pair) in &layers {
        let plaintext = peel(&routing, pair, &blob)?;
        (blob, routing) = combined(&plaintext)?;
        match next.next() {
            Some((key, _)) => same("destination", text(&routing, "destination")?, key)?,
            None if text(destination, "type")? == "snode" => {
                same("destination", text(&routing, "destination")?, text(destination, "ed25519_pubkey")?)?;
            }
            None => {
                same("type", text(destination, "type")?, "server")?;
                for name in ["host", "target", "protocol", "port"] {
                    same(name, at(&routing, name)?, at(input, &format!("server/{name}"))?)?;
                }
            }
        }
        same("enc_type", text(&routing, "enc_type")?, enc_type.name())?;
    }

    let pair = x25519_pair(destination, "x25519_privkey")?;
    same("destination's X25519 key", pair.public(), &x25519(destination, "x25519_pubkey")?)?;
    let key = ed25519(destination, "ed25519_pubkey")?;
    same("destination's Ed25519 key", &key.to_x25519(), pair.public())?;
    let secret = array::<32>(destination, "x25519_privkey")?;
    same("clamped", &(secret[0] & 7, secret[31] >> 6), &(0, 1))?;
    let ephemeral = x25519(v, "out/final_ephemeral_pubkey")?;
    same("ephemeral_key", text(&routing, "ephemeral_key")?, &ephemeral.to_hex())?;
    let mut plaintext = peel(&routing, &pair, &blob)?;
    if text(destination, "type")? == "snode" {
        plaintext = combined(&plaintext)?.0;
    }
    same("payload", &plaintext[..], text(input, "payload")?.as_bytes())?;

    let client = x25519_pair(v, "out/final_ephemeral_privkey")?;
    same("ephemeral pair", client.public(), &ephemeral)?;
    let reply = bytes(v, "out/reply_ciphertext")?;
    let opened = ChannelKeys::for_client(enc_type, &client, pair.public()).open(&reply).map_err(words)?;
    same("reply", &opened[..], text(v, "out/reply_plaintext")?.as_bytes())
}

fn peel(routing: &Value, pair: &X25519Pair, blob: &[u8]) -> Checked<Vec<u8>> {
    let enc_type: EncType = text(routing, "enc_type")?.parse().map_err(words)?;
    let client: X25519Public = x25519(routing, "ephemeral_key")?;
    ChannelKeys::for_server(enc_type, pair, &client).open(blob).map_err(words)
}

/// Length, bytes, JSON (storage-and-onion 6.2).
fn combined(bytes: &[u8]) -> Checked<(Vec<u8>, Value)> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or("no length")?;
    let (body, json) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("too short")?;
    Ok((body.to_vec(), serde_json::from_slice(json).map_err(words)?))
}
