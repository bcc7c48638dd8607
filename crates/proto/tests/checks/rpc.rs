//! Requests in both encodings, and their answers over QUIC.

use conclave_proto::btstream::{self, Decoder, Frame};
use conclave_proto::rpc::answers::{Stamp, SwarmMembers, read_error_frame, read_reply_frame};
use conclave_proto::rpc::{Answer, Dict, Request};
use conclave_proto::{SwarmId, Timestamp};
use serde_json::Value;

use super::util::*;

pub fn check_rpc_requests(value: &Value) -> Outcome {
    let account = account_id(value, "account")?;
    let group = secret(value, "group_seed")?.public();
    let mut requests = Vec::new();
    for case in list(value, "cases")? {
        let (method, params) = (text(case, "method")?, at(case, "params")?);
        let request = Request::from_json(method, params).map_err(err)?;
        let wire = bytes(case, "bt_params_hex")?;
        same("from bt", &Request::from_bt(method, &wire).map_err(err)?, &request)?;
        same("to JSON", &request.to_json(), params)?;
        same("to bt", request.to_bt(), wire)?;
        let body = serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params });
        same("body", &Request::from_json_body(body.to_string().as_bytes()).map_err(err)?, &request)?;
        request.verify().map_err(err)?;
        let owner = request.account().ok_or("whose?")?;
        if *owner != account {
            same("group", owner.key_bytes(), group.as_bytes())?;
        }
        if let Some(subaccount) = request.auth().and_then(|auth| auth.subaccount) {
            same("token", subaccount.token.0, array(value, "member_subaccount_token_hex")?)?;
        }
        requests.push(request);
    }
    let forwarded = at(value, "storage_cc_forwarded_store")?;
    for (at, key) in [(0, "case_0_bt_hex"), (2, "case_2_bt_hex")] {
        let request = requests.get(at).ok_or("no such case")?;
        let wire = bytes(forwarded, key)?;
        same(key, &request.to_forwarded(), &wire)?;
        let read = Request::from_forwarded("store", &wire).map_err(err)?;
        let Request::Store(store) = request else { return Err("not a store".into()) };
        same(key, read, Request::Store(store.forwarded()))?;
    }
    Ok(())
}

pub fn check_quic_frames(value: &Value) -> Outcome {
    let stamp = Stamp { t: Timestamp(1_700_000_000_000), hf: [19, 6] };
    let command = Frame::Command { id: 1, endpoint: "info".into(), body: "{}".into() };
    same("command", btstream::encode(&command).as_slice(), text(value, "command_info_ascii")?.as_bytes())?;

    let answer = Answer::ok(Dict::from([("t".into(), stamp.t.into())]));
    let theirs = text(value, "reply_ascii")?;
    same("reply", btstream::encode(&answer.to_frame(1, false)).as_slice(), theirs.as_bytes())?;
    let Frame::Reply { id: 1, body } = one(theirs)? else { return Err("a reply expected".into()) };
    same("reply", read_reply_frame(&body), Some((200, serde_json::json!({ "t": stamp.t }))))?;

    // The order of JSON keys is free, so the structured error is compared by meaning.
    let nobody = SwarmMembers { swarm: SwarmId::NONE, snodes: vec![] };
    let theirs = text(value, "error_structured_ascii")?;
    let Frame::Error { id: 2, body: ours } = nobody.to_answer(421, stamp).to_frame(2, false) else {
        return Err("an error expected".into());
    };
    let Frame::Error { id: 2, body } = one(theirs)? else { return Err("an error expected".into()) };
    same("first line", line(&ours), line(&body))?;
    let read = |body| {
        let (code, body) = read_error_frame(body)?;
        let body: (u16, Value) = serde_json::from_slice(body).ok()?;
        Some((code, body))
    };
    same("structured", read(&ours), Some(read(&body).ok_or("not structured")?))?;
    let (_, (_, members)) = read(&body).ok_or("not structured")?;
    same("members", SwarmMembers::from_json(&members), Some(nobody))?;
    same("stamp", Stamp::read(&members), Some(stamp))?;

    let refusal = Answer::error(400, "invalid json").to_frame(3, false);
    same("text", btstream::encode(&refusal).as_slice(), text(value, "error_text_ascii")?.as_bytes())?;

    let all = ["command_info_ascii", "reply_ascii", "error_structured_ascii", "error_text_ascii"];
    let all = all.iter().map(|key| text(value, key)).collect::<Result<String, _>>()?;
    same("stream", bytes(value, "stream_with_all_four_hex")?.as_slice(), all.as_bytes())?;

    let onion = other("storage-onion", "onion_request_full");
    let body = bytes(&onion["cases"][0], "guard_body")?.into();
    let command = btstream::encode(&Frame::Command { id: 4, endpoint: "onion_req".into(), body });
    let prefix = text(value, "onion_req_command_prefix_for_case_0_ascii")?;
    let prefix = prefix.strip_suffix("...").ok_or("no prefix")?.as_bytes();
    same("prefix", command.get(..prefix.len()), Some(prefix))
}

/// The one frame in a text.
fn one(text: &str) -> Result<Frame, String> {
    let mut decoder = Decoder::new();
    decoder.push(text.as_bytes());
    let frame = decoder.next().map_err(err)?.ok_or("half a frame")?;
    same("left", decoder.pending(), 0)?;
    Ok(frame)
}

fn line(body: &[u8]) -> Option<&[u8]> {
    body.split(|b| *b == b'\n').next()
}
