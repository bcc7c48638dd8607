//! Wire forms between nodes and clients.

use std::net::Ipv4Addr;

use conclave_crypto::Ed25519Public;
use conclave_proto::btstream::{self, Frame};
use conclave_proto::monitor::{self, MonitorRequest, Notification, Watched};
use conclave_proto::peer::{self, OnionRelay, PushedMessage};
use conclave_proto::v4::V4Request;
use conclave_proto::{Namespace, SnodeRecord, SwarmId, Timestamp, Version, active_nodes, base32z, swarm};
use serde_json::Value;

use super::util::*;

pub fn check_swarm_space(value: &Value) -> Outcome {
    for case in list(value, "cases")? {
        let point = swarm::swarm_space(account_id(case, "pubkey")?.key_bytes());
        same("swarm_space", &*point.to_string(), text(case, "swarm_space")?)?;
        same("swarm_space_hex", &*format!("{point:016x}"), text(case, "swarm_space_hex")?)?;
    }
    Ok(())
}

pub fn check_swarm_mapping(value: &Value) -> Outcome {
    let id = |value: &Value| value.as_str().and_then(|id| id.parse().ok()).map(SwarmId).ok_or("no swarm id");
    for case in list(value, "cases")? {
        let ids: Vec<SwarmId> = list(case, "swarm_ids")?.iter().map(id).collect::<Result<_, _>>()?;
        let point = u64::from_str_radix(text(case, "swarm_space_hex")?, 16).map_err(err)?;
        same("swarm_id", swarm::swarm_of(point, &ids), Some(id(at(case, "swarm_id")?)?))?;
    }
    Ok(())
}

pub fn check_swarm_push_serialization_v1(value: &Value) -> Outcome {
    let given = at(value, "message")?;
    let message = |namespace| -> Result<PushedMessage, String> {
        Ok(PushedMessage {
            account: account_id(given, "pubkey")?,
            hash: bytes(given, "hash_hex")?,
            timestamp: Timestamp(number(given, "timestamp")?),
            expiry: Timestamp(number(given, "expiry")?),
            data: bytes(given, "data_hex")?,
            namespace: Namespace(namespace),
        })
    };
    same("namespace", number(given, "namespace")?, 0)?;
    let (zero, eleven) = (message(0)?, message(-11)?);
    let two = [zero.clone(), zero.clone()];
    for (key, messages, written) in [
        ("pre_2_11_3_one_message_hex", &two[..1], false),
        ("pre_2_11_3_two_messages_hex", &two[..], false),
        ("from_2_11_3_one_message_hex", &two[..1], true),
        ("from_2_11_3_namespace_minus_11_hex", std::slice::from_ref(&eleven), true),
    ] {
        let theirs = bytes(value, key)?;
        same(key, peer::decode_push(&theirs).map_err(err)?.as_slice(), messages)?;
        if written {
            same(key, peer::encode_push(messages), theirs)?;
        }
    }
    Ok(())
}

pub fn check_monitor_wire(value: &Value) -> Outcome {
    let user = &other("storage-onion", "request_signatures")["user"];
    let key = Ed25519Public::from_hex(text(user, "ed25519_pub")?).map_err(err)?;
    let wire = bytes(value, "request_hex")?;
    let MonitorRequest { many: false, subscriptions } = MonitorRequest::decode(&wire).map_err(err)? else {
        return Err("one subscription expected".into());
    };
    let [Ok(subscription)] = subscriptions.as_slice() else {
        return Err("a good subscription expected".into());
    };
    same("whose", &subscription.watched, &Watched::Key(key))?;
    same("account", &*subscription.watched.account().to_hex(), text(user, "session_id")?)?;
    same("namespaces", subscription.namespaces.as_slice(), &[-5, 0, 23].map(Namespace))?;
    same("data", subscription.with_data, true)?;
    same("time", subscription.signed_at, 1_700_000_000)?;
    subscription.verify().map_err(err)?;
    same("request", subscription.to_dict().finish(), wire)?;
    same("success", monitor::reply(Ok(())).finish().as_slice(), text(value, "success_reply")?.as_bytes())?;
    let two = monitor::replies([Ok(()), Ok(())]);
    same("two", two.as_slice(), text(value, "two_success_reply")?.as_bytes())?;
    let wire = bytes(value, "notify_with_data_hex")?;
    let notification = Notification {
        account: account_id(user, "session_id")?,
        hash: "4sMyAuaZlMwww3oFvfhazfw7ASx/7TDtO+TVc8aAjHs".into(),
        namespace: Namespace(0),
        timestamp: Timestamp(1_700_000_000_000),
        expiry: Timestamp(1_700_086_400_000),
        data: Some(b"abc 123".to_vec()),
    };
    same("notification", Notification::decode(&wire).map_err(err)?, notification.clone())?;
    same("notification", notification.encode(), wire)
}

pub fn check_bt_request_stream(value: &Value) -> Outcome {
    let command = Frame::Command { id: 1, endpoint: "snode_ping".into(), body: Vec::new().into() };
    same("command_hex", btstream::encode(&command), bytes(value, "command_hex")?)?;
    for (key, frame) in [
        ("command_ascii", command),
        ("reply_ascii", Frame::Reply { id: 1, body: "pong".into() }),
        ("error_ascii", Frame::Error { id: 1, body: "Invalid endpoint 'x'".into() }),
    ] {
        let theirs = text(value, key)?.as_bytes();
        same(key, btstream::encode(&frame).as_slice(), theirs)?;
        let mut decoder = btstream::Decoder::new();
        decoder.push(theirs);
        same(key, decoder.next().map_err(err)?, Some(frame))?;
    }
    Ok(())
}

pub fn check_sn_onion_request_bt(value: &Value) -> Outcome {
    let fields = at(value, "fields")?;
    same("the key", text(fields, "ephemeral_key")?, "32 bytes 00..1f")?;
    let relay = OnionRelay {
        data: text(fields, "data")?.as_bytes().to_vec(),
        enc_type: text(fields, "enc_type")?.to_owned(),
        ephemeral_key: std::array::from_fn(|at| u8::try_from(at).unwrap_or_default()),
        hop_no: number(fields, "hop_no")?,
    };
    let wire = bytes(value, "hex")?;
    same("decoded", OnionRelay::decode(wire.clone().into()).map_err(err)?, relay.clone())?;
    same("encoded", relay.encode(), wire)
}

pub fn check_onion_v4_payload(value: &Value) -> Outcome {
    for (key, body) in [("request_no_body", ""), ("request_with_body", "hello")] {
        let request = V4Request {
            method: "GET".into(),
            endpoint: "/room/x".into(),
            headers: [].into(),
            body: body.into(),
        };
        let wire = text(value, key)?.as_bytes();
        same(key, V4Request::decode(wire).map_err(err)?, request.clone())?;
        same(key, request.encode().as_slice(), wire)?;
    }
    Ok(())
}

pub fn check_namespaces(value: &Value) -> Outcome {
    for case in list(value, "cases")? {
        let number_ = at(case, "ns")?.as_i64().and_then(|ns| ns.try_into().ok()).ok_or("no namespace")?;
        let space = Namespace(number_);
        let rule = |key: &str| at(case, key)?.as_bool().ok_or_else(|| format!("{key} is no boolean"));
        same("unauth_store", space.is_public_inbox(), rule("unauth_store")?)?;
        same("public_outbox", space.is_public_outbox(), rule("public_outbox")?)?;
        same("unauth_retrieve", space.is_unauthenticated_retrieve(), rule("unauth_retrieve")?)?;
        same("unrevocable", space.is_unrevocable(), rule("unrevocable_retrieve")?)?;
        same("max_ttl", space.max_ttl().as_secs(), number(case, "max_ttl_days")?.saturating_mul(86_400))?;
    }
    Ok(())
}

pub fn check_base32z(value: &Value) -> Outcome {
    let pair = |case: &Value| {
        same("text", &*base32z::encode(&bytes(case, "hex")?), text(case, "b32z")?)?;
        same("bytes", base32z::decode(text(case, "b32z")?), Some(bytes(case, "hex")?))
    };
    list(value, "cases")?.iter().try_for_each(pair)?;
    pair(at(value, "test_suite")?)?;
    // Thirty-two symbols of five bits are the numbers from 0 to 31 in twenty bytes.
    let numbers = hex::decode("00443214c74254b635cf84653a56d7c675be77df").map_err(err)?;
    same("alphabet", &*base32z::encode(&numbers), text(value, "alphabet")?)
}

pub fn check_active_nodes_bin(value: &Value) -> Outcome {
    let fields = at(value, "fields")?;
    let ed25519 = Ed25519Public::from_hex(text(fields, "ed25519")?).map_err(err)?;
    let port = |key: &str| u16::try_from(number(fields, key)?).map_err(err);
    let version: Vec<u16> = list(fields, "version")?
        .iter()
        .filter_map(|part| part.as_u64().and_then(|part| part.try_into().ok()))
        .collect();
    let node = SnodeRecord {
        ed25519,
        x25519: ed25519.to_x25519(),
        ip: text(fields, "ip")?.parse::<Ipv4Addr>().map_err(err)?,
        https_port: port("https_port")?,
        quic_port: port("omq_quic_port")?,
        swarm: SwarmId(u64::from_str_radix(text(fields, "swarm_id_hex")?, 16).map_err(err)?),
        version: Version(version.try_into().map_err(|_| "not three numbers")?),
    };
    let wire = bytes(value, "record_hex")?;
    same("decoded", active_nodes::decode(&wire).map_err(err)?, vec![node])?;
    same("encoded", active_nodes::encode(&[node]), wire)
}
