//! What concerns communities.

use std::collections::BTreeMap;

use conclave_proto::community_url::{CommunityUrl, canonical_server};
use conclave_proto::v4::{V4Reply, V4Request};
use serde_json::Value;

use super::util::*;

pub fn check_onion_v4_framing(value: &Value) -> Outcome {
    let headers = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let request = |method: &str, endpoint: &str, value: &str, body: &str| V4Request {
        method: method.into(),
        endpoint: endpoint.into(),
        headers: headers("Some-Header", value),
        body: body.into(),
    };
    let mut tested = 0;
    for item in list(value, "items")? {
        let wire = text(item, "encoded_utf8")?.as_bytes();
        match text(item, "name")? {
            "get_no_body" => {
                let ours = request("GET", "/room/some-room", "12345", "");
                same("decoded", V4Request::decode(wire).map_err(err)?, ours.clone())?;
                same("encoded", ours.encode().as_slice(), wire)?;
            }
            "post_with_body" => {
                let ours = request("POST", "/some/thing", "a", "post body here");
                same("decoded", V4Request::decode(wire).map_err(err)?, ours.clone())?;
                same("encoded", ours.encode().as_slice(), wire)?;
            }
            "response" => {
                let ours = V4Reply {
                    code: 200,
                    headers: headers("content-type", "application/json"),
                    body: b"{\"id\": 123}".to_vec(),
                };
                same("decoded", V4Reply::decode(wire).map_err(err)?, ours.clone())?;
                same("encoded", ours.encode().as_slice(), wire)?;
            }
            unknown => return Err(format!("nobody knows {unknown:?}")),
        }
        tested += 1;
    }
    same("items", tested, 3)
}

pub fn check_join_urls(value: &Value) -> Outcome {
    let expected = [
        (true, "sogs.example.org", None, "main"),
        (false, "sogs.example.org", Some(8080), "fish_talk-2"),
        (false, "sogs.example.org", None, "main"),
        (false, "203.0.113.5", None, "main"),
        (true, "sogs.example.org", None, "main"),
    ];
    let valid = list(value, "valid")?;
    same("valid", valid.len(), expected.len())?;
    for (given, (https, host, port, room)) in valid.iter().zip(expected) {
        // Remarks stand behind the address.
        let address = given.as_str().and_then(|given| given.split_whitespace().next()).ok_or("no text")?;
        let url = CommunityUrl::parse(address).map_err(|error| format!("{address}: {error}"))?;
        same(address, (url.https, &*url.host, url.port, &*url.room), (https, host, port, room))?;
        same(address, url.public_key, [0xab; 32])?;
        same(address, CommunityUrl::parse(&url.to_string()), Ok(url.clone()))?;
    }
    for given in list(value, "invalid")? {
        let address = given.as_str().ok_or("no text")?;
        if CommunityUrl::parse(address).is_ok() {
            return Err(format!("{address} was accepted"));
        }
    }
    Ok(())
}

/// The spellings of an address that others write, and the one that is a key.
pub fn check_spellings(value: &Value) -> Outcome {
    let (given, expected) = (at(value, "in")?, at(value, "out")?);
    let urls = list(given, "urls")?;
    for name in ["base", "room", "room_canonical", "pubkey"] {
        same(name, list(expected, name)?.len(), urls.len())?;
    }
    for (index, url) in urls.iter().enumerate() {
        let text_at = |name: &str| -> Result<&str, String> {
            list(expected, name)?
                .get(index)
                .and_then(Value::as_str)
                .ok_or_else(|| format!("{name} is no text"))
        };
        let given = url.as_str().ok_or("no text")?;
        let url = CommunityUrl::parse(given).map_err(|error| format!("{given}: {error}"))?;
        same(given, url.server().as_str(), text_at("base")?)?;
        same(given, url.room.as_str(), text_at("room")?)?;
        same(given, url.room.to_ascii_lowercase().as_str(), text_at("room_canonical")?)?;
        same(given, hex::encode(url.public_key).as_str(), text_at("pubkey")?)?;
        same(given, canonical_server(&url.server()), Ok(url.server()))?;
        let shouted = canonical_server(&url.server().to_uppercase());
        same(given, shouted, Ok(url.server()))?;
    }
    Ok(())
}
