//! Known answers of layers: opening them, reading what they ask for, passing them on.

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{X25519Pair, X25519Public};
use conclave_onion::peel::{self, Peeled, Routing};
use conclave_proto::combined;
use conclave_proto::peer::OnionRelay;
use serde_json::{Value, json};

use super::read::*;

pub fn check_onion_combined_payload(value: &Value) -> Result<(), String> {
    same("layout", text(value, "layout")?, "u32le(len) || ciphertext || json")?;
    let server = pair(value, "server_x25519_sec", "server_x25519_pub")?;
    let client = pair(value, "client_x25519_sec", "client_x25519_pub")?;
    let plaintext = text(value, "plaintext")?.as_bytes();
    let reply = text(value, "reply_plaintext")?;
    if reply != "Goodbye world" {
        return Err("reply_plaintext: of the two texts there, another one".into());
    }
    for (request, length, enc_type) in [
        ("aes_gcm_request", "reply_len_aes_gcm", EncType::AesGcm),
        ("xchacha20_request", "reply_len_xchacha20", EncType::XChaCha20),
    ] {
        let body = hex_of(value, request)?;
        let (layer, hop_no) = peel::parse_guard_body(&body).map_err(as_text)?;
        same("cipher", layer.enc_type, enc_type)?;
        same("ephemeral key", &layer.ephemeral_key, client.public())?;
        same("hop", hop_no, 0)?;
        let (opened, sealer) = peel::open_at_server(&server, &body).map_err(as_text)?;
        same("plaintext", &*opened, plaintext)?;
        // The client reads with the same key what the server seals with it.
        let sealed = sealer.seal_raw(reply.as_bytes(), &mut Fixed(7));
        same(length, Some(sealed.len() as u64), value[length].as_u64())?;
        let keys = ChannelKeys::for_client(enc_type, &client, server.public());
        same("reply", &*keys.open(&sealed).map_err(as_text)?, reply.as_bytes())?;
    }
    Ok(())
}

pub fn check_onion_request_parse(value: &Value) -> Result<(), String> {
    let server = pair(value, "server_sk", "server_pk")?;
    let payload = text(value, "payload_utf8")?;
    let client = x25519(value, "client_eph_pk")?;
    parses(value, "request_xchacha20", "request_aes_gcm", &server, payload, &client)
}

pub fn check_upstream_onion_parse(value: &Value) -> Result<(), String> {
    let (given, expected) = (&value["in"], &value["out"]);
    let server = pair(given, "server_priv", "server_pub")?;
    let payload = text(expected, "payload")?;
    let client = x25519(expected, "client_pub")?;
    parses(given, "xchacha20_request", "aes_gcm_request", &server, payload, &client)
}

fn parses(
    value: &Value,
    xchacha20: &str,
    aes_gcm: &str,
    server: &X25519Pair,
    payload: &str,
    client: &X25519Public,
) -> Result<(), String> {
    for (name, enc_type) in [(xchacha20, EncType::XChaCha20), (aes_gcm, EncType::AesGcm)] {
        let body = hex_of(value, name)?;
        let (layer, _) = peel::parse_guard_body(&body).map_err(as_text)?;
        same("client", &layer.ephemeral_key, client)?;
        same("cipher", layer.enc_type, enc_type)?;
        let (opened, _) = peel::open_at_server(server, &body).map_err(as_text)?;
        same("payload", &*opened, payload.as_bytes())?;
    }
    Ok(())
}

pub fn check_onion_inner_dispatch(value: &Value) -> Result<(), String> {
    let blob = hex_of(value, "ciphertext_hex")?;
    let cases = list(value, "cases")?;
    same("number of cases", cases.len(), 4)?;
    for case in cases {
        let plaintext = hex_of(case, "plaintext_hex")?;
        let parts = combined::decode(&plaintext).map_err(as_text)?;
        same("blob", parts.body, &*blob)?;
        let routing = peel::routing(&parts.control)?;
        match (text(case, "kind")?, routing) {
            ("final", Routing::Final { json, base64 }) => {
                same("body", parts.body, text(case, "body")?.as_bytes())?;
                same("json", Some(json), case["json"].as_bool())?;
                same("base64", Some(base64), case["base64"].as_bool())?;
            }
            ("server", Routing::Server(server)) => {
                same("host", &*server.host, text(case, "host")?)?;
                same("port", Some(u64::from(server.port)), case["port"].as_u64())?;
                same("protocol", if server.https { "https" } else { "http" }, text(case, "protocol")?)?;
                same("target", &*server.target, text(case, "target")?)?;
                same("allowed", server.is_allowed(), false)?;
                if let Some(forwarded) = case.get("forwarded_payload") {
                    // Checked over sealed layers in `check_onion_request_full`.
                    same("forwarded", forwarded.as_str(), Some("the whole plaintext unchanged"))?;
                }
            }
            ("snode", Routing::Snode { destination, ephemeral_key, enc_type, .. }) => {
                same("next", &*hex::encode(destination), text(case, "next_ed25519")?)?;
                same("ephemeral key", ephemeral_key, x25519(case, "ephemeral_key")?)?;
                same("cipher", enc_type.name(), text(case, "enc_type")?)?;
                // The vector names a node that cannot exist; that is said as of any unknown node.
                let layer = layer_of(&plaintext);
                let refused = peel::peel(&own(), &layer).err().ok_or("a node that cannot exist was found")?;
                same("status", refused.status(), 502)?;
                let expected = format!("Next node not found: {}", text(case, "next_ed25519")?);
                same("text", refused.to_string(), expected)?;
            }
            (kind, routing) => return Err(format!("{kind}: got {routing:?}")),
        }
    }
    Ok(())
}

pub fn check_onion_url_targets(value: &Value) -> Result<(), String> {
    // The lists are known by heart: a path changed a little may well be allowed as before.
    let (allowed, rejected) = (list(value, "allowed")?, list(value, "rejected")?);
    same("allowed", allowed, &json_list(&["/loki/v3/lsrpc", "/loki/oxen/v4/lsrpc", "/oxen/v3/lsrpc"]))?;
    same("rejected", rejected, &json_list(&["/not_loki/v3/lsrpc", "/loki/v3", "/loki/v3/lsrpc?foo=bar"]))?;
    for (targets, expected) in [(allowed, true), (rejected, false)] {
        for target in targets {
            let target = target.as_str().ok_or("no text")?;
            same(target, peel::is_allowed_target(target), expected)?;
            // The same over a sealed layer.
            let control = json!({"host": "example.org", "target": target});
            let peeled = peel::peel(&own(), &layer_of(&combined::encode(b"blob", &control)));
            match peeled.map_err(as_text)? {
                Peeled::Proxy { server, .. } if expected => same("target", &*server.target, target)?,
                Peeled::Refused { status: 400, text: "Invalid url", .. } if !expected => {}
                other => return Err(format!("{target}: {other:?}")),
            }
        }
    }
    Ok(())
}

pub fn check_sn_onion_request_bt(value: &Value) -> Result<(), String> {
    let fields = &value["fields"];
    same("ephemeral key", text(fields, "ephemeral_key")?, "32 bytes 00..1f")?;
    let relay = OnionRelay {
        data: text(fields, "data")?.as_bytes().to_vec(),
        enc_type: text(fields, "enc_type")?.to_owned(),
        ephemeral_key: std::array::from_fn(|at| at as u8),
        hop_no: fields["hop_no"].as_u64().ok_or("no hop_no")?,
    };
    let bytes = hex_of(value, "hex")?;
    same("bt", relay.encode(), bytes.clone())?;
    same("read", OnionRelay::decode(bytes.into()).map_err(as_text)?, relay)
}
