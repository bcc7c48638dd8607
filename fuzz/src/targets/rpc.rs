//! Storage RPC: requests in their three forms, and answers.

use conclave_proto::rpc::answers::{
    InfoAnswer, RetrieveAnswer, Stamp, SwarmAnswer, SwarmMembers, read_batch_answer, read_error_frame,
    read_expiries, read_reply_frame,
};
use conclave_proto::rpc::results::NodeResult;
use conclave_proto::rpc::{Request, Value, signing};
use conclave_proto::{SnodeRecord, Timestamp};

/// Every method on the wire; the first byte of an input picks one.
pub const METHODS: [&str; 18] = [
    "store",
    "retrieve",
    "delete",
    "delete_all",
    "delete_before",
    "expire",
    "expire_all",
    "get_expiries",
    "revoke_subaccount",
    "unrevoke_subaccount",
    "revoked_subaccounts",
    "get_swarm",
    "info",
    "oxend_request",
    "active_nodes_bin",
    "batch",
    "sequence",
    "ifelse",
];

const STAMP: Stamp = Stamp { t: Timestamp(1_700_000_000_000), hf: [19, 6] };

fn method(bytes: &[u8]) -> Option<(&'static str, &[u8])> {
    let (pick, rest) = bytes.split_first()?;
    Some((METHODS[usize::from(*pick) % METHODS.len()], rest))
}

/// What holds of every request that can be read.
fn check(request: &Request) {
    // bt takes times that JSON refuses as being seconds (storage-and-onion 2.1).
    match Request::from_json_body(&request.to_json_body()) {
        Err(error) if error.body.ends_with("timestamp must be in milliseconds") => {}
        read => assert_eq!(read.as_ref(), Ok(request), "JSON"),
    }
    assert_eq!(Request::from_bt(request.method(), &request.to_bt()).as_ref(), Ok(request), "bt");
    let _ = (request.verify(), signing::request(request), signing::needed_rights(request));
    if request.is_recursive() {
        let forwarded = Request::from_forwarded(request.method(), &request.to_forwarded()).unwrap();
        assert_eq!(forwarded.account(), request.account());
        assert_eq!(forwarded.verify(), request.verify(), "forwarding neither adds nor takes a right");
        assert_eq!(
            Request::from_forwarded(request.method(), &forwarded.to_forwarded()).as_ref(),
            Ok(&forwarded),
            "forwarded once more is the same"
        );
    }
}

pub fn rpc_json(bytes: &[u8]) {
    if let Ok(request) = Request::from_json_body(bytes) {
        check(&request);
    }
}

pub fn rpc_either(bytes: &[u8]) {
    let Some((method, params)) = method(bytes) else { return };
    if let Ok(request) = Request::from_either(method, params) {
        assert_eq!(request.method(), method);
        check(&request);
    }
}

pub fn rpc_forwarded(bytes: &[u8]) {
    let Some((method, params)) = method(bytes) else { return };
    if let Ok(request) = Request::from_forwarded(method, params) {
        assert!(request.is_recursive());
        check(&request);
    }
}

/// Answers that stand for themselves.
pub fn rpc_answers(bytes: &[u8]) {
    let _ = (read_error_frame(bytes), read_reply_frame(bytes));
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let written = |answer: conclave_proto::rpc::Answer| answer.to_value().to_json();
    if let Some(answer) = RetrieveAnswer::from_json(&json) {
        assert_eq!(RetrieveAnswer::from_json(&written(answer.to_answer(STAMP))).as_ref(), Some(&answer));
    }
    if let Some(answer) = SwarmMembers::from_json(&json) {
        assert_eq!(SwarmMembers::from_json(&written(answer.to_answer(200, STAMP))).as_ref(), Some(&answer));
    }
    if let Some(answer) = InfoAnswer::from_json(&json) {
        assert_eq!(InfoAnswer::from_json(&written(answer.to_answer(STAMP))), Some(answer));
    }
    let _ = (Stamp::read(&json), read_batch_answer(&json), read_expiries(&json));
}

/// A request's body, a line feed, and what is said to be the swarm's answer to it.
pub fn swarm_answer(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (request, answer) = (&bytes[..end], &bytes[end + 1..]);
    let Ok(request) = Request::from_json_body(request) else { return };
    if let Some(result) = NodeResult::from_bt(&request, answer) {
        let bt = Value::Dict(result.to_dict()).to_bt().encode();
        assert_eq!(NodeResult::from_bt(&request, &bt).as_ref(), Some(&result));
    }
    let Ok(json) = serde_json::from_slice(answer) else { return };
    let Some(answer) = SwarmAnswer::from_json(&request, &json) else { return };
    let nobody: [SnodeRecord; 0] = [];
    assert!(answer.verified(&request, &nobody).is_empty());
    let written = answer.to_answer(&request, &[0; 32], STAMP).to_value().to_json();
    let again = SwarmAnswer::from_json(&request, &written).unwrap();
    assert!(again.0.keys().eq(answer.0.keys()), "nobody is lost on the way");
}
