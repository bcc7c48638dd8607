//! What is refused, and how; what is tolerated, and why.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use bytes::Bytes;
use conclave_crypto::{AccountId, Ed25519Secret, IdPrefix};
use conclave_proto::bt::{BtError, DictReader, DictWriter, MAX_DEPTH, Value};
use conclave_proto::btstream::{self, Decoder, Frame, FrameError, MAX_FRAME};
use conclave_proto::content::{self, Content, ContentError, Decoded, Envelope, data_message};
use conclave_proto::network::Directory;
use conclave_proto::peer::{DEFAULT_ENC_TYPE, OnionRelay, PeerError};
use conclave_proto::rpc::answers::{
    Failure, MemberResult, RetrieveAnswer, Stamp, StoredMessage, SwarmAnswer, SwarmMembers,
};
use conclave_proto::rpc::results::{NodeResult, Outcome};
use conclave_proto::rpc::{AuthRejected, Lifetime, Request, Store};
use conclave_proto::seed::{SeedAnswer, SeedRequest};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, SwarmId, Timestamp, Version, combined};
use prost::Message as _;
use serde_json::json;

fn node(number: u8) -> (Ed25519Secret, SnodeRecord) {
    let key = Ed25519Secret::from_seed(&[number; 32]);
    let record = SnodeRecord {
        ed25519: key.public(),
        x25519: key.public().to_x25519(),
        ip: [127, 0, 0, number].into(),
        https_port: 22021,
        quic_port: 22020,
        swarm: SwarmId(7),
        version: Version([0; 3]),
    };
    (key, record)
}

fn refused(method: &str, params: serde_json::Value) -> String {
    let error = Request::from_json(method, &params).unwrap_err();
    assert_eq!(error.code, 400, "{error}");
    error.body
}

#[test]
fn a_key_out_of_order_is_not_found() {
    let bytes = b"d1:bi2e1:ai1ee";
    let mut reader = DictReader::new(bytes).unwrap();
    assert_eq!(reader.take_u64("a"), Ok(None));
    assert_eq!(reader.take_u64("b"), Ok(Some(2)));
    assert_eq!(Value::decode(bytes), Err(BtError::KeyOrder(7)));
    assert_eq!(Value::decode_in_order(bytes).unwrap().field("a"), None);
    assert_eq!(Value::decode(b"d1:ai1e1:ai1ee"), Err(BtError::KeyOrder(7)));
}

#[test]
fn unknown_keys_are_skipped_and_depth_is_bounded() {
    let mut reader = DictReader::new(b"d1:ad1:xli1eee1:bi2ee").unwrap();
    assert_eq!(reader.take_u64("b"), Ok(Some(2)));
    let deep = |levels: usize| [vec![b'l'; levels], vec![b'e'; levels]].concat();
    assert!(Value::decode(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(Value::decode(&deep(MAX_DEPTH + 1)), Err(BtError::TooDeep));
    let very_deep = [b"d1:a".as_slice(), &deep(1_000_000), b"e"].concat();
    assert_eq!(DictReader::new(&very_deep).unwrap_err(), BtError::TooDeep);
}

#[test]
fn a_signature_is_the_last_thing_of_a_dictionary_and_covers_all_before() {
    let key = Ed25519Secret::from_seed(&[1; 32]);
    let mut dict = DictWriter::new();
    dict.int("#", 3u64).bytes("a", "x");
    let bytes = dict.finish_signed("~", |signed| *key.sign(signed).as_bytes()).unwrap();
    let (signed, signature) = DictReader::new(&bytes).unwrap().take_signed("~").unwrap().unwrap();
    assert_eq!(signed, b"d1:#i3e1:a1:x");
    assert_eq!(signature, *key.sign(signed).as_bytes());
    let late = [&bytes[..bytes.len() - 1], b"2:~~i1ee"].concat();
    assert!(DictReader::new(&late).unwrap().take_signed("~").is_err());
    assert!(dict.bytes("~~", "").finish_signed("~", |_| [0; 64]).is_err());
}

#[test]
fn a_broken_stream_stays_broken_and_holds_nothing() {
    for (bytes, error) in [
        (&b"0:"[..], FrameError::Length),
        (b"x", FrameError::Length),
        (b":", FrameError::Length),
        (b"123456789", FrameError::Length),
        (b"10000001:", FrameError::TooLong),
        (b"9:l1:Xi1e0:e", FrameError::Kind),
    ] {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        let found = decoder.next();
        assert!(matches!(&found, Err(found) if *found == error || bytes.starts_with(b"9:")), "{found:?}");
        decoder.push(&btstream::encode(&Frame::Reply { id: 1, body: Bytes::new() }));
        assert!(decoder.next().is_err());
        assert_eq!(decoder.pending(), 0);
    }
    let mut decoder = Decoder::new();
    decoder.push(format!("{MAX_FRAME}:").as_bytes());
    assert_eq!(decoder.next(), Ok(None));
}

#[test]
fn wrong_parameters_are_named_in_the_words_clients_know() {
    let account = AccountId::new(IdPrefix::Group, &[9; 32]).to_hex();
    let signature = conclave_proto::base64::encode([0; 64]);
    let store = |extra: serde_json::Value| {
        let mut params =
            json!({ "pubkey": account, "timestamp": 1_700_000_000_000u64, "ttl": 86_400_000, "data": "" });
        params.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        params
    };
    let cases = [
        ("nothing", json!({}), "no method nothing"),
        ("store", json!({}), "invalid request: Required field 'pubKey' or 'pubkey' missing"),
        ("delete", json!({}), "invalid request: Required field 'pubkey' missing"),
        (
            "get_swarm",
            json!({ "pubkey": 5 }),
            "invalid request: Invalid value given for 'pubkey': expected string",
        ),
        (
            "get_swarm",
            json!({ "pubKey": "05" }),
            "invalid request: Pubkey must be 66 hex digits (33 bytes) long",
        ),
        (
            "get_swarm",
            json!({ "pubKey": account, "pubkey": account }),
            "invalid request: Cannot specify both 'pubKey' and 'pubkey'",
        ),
        (
            "store",
            store(json!({ "expiry": 1_700_000_100_000u64 })),
            "invalid request: Cannot specify both 'expiry' and 'ttl'",
        ),
        (
            "store",
            store(json!({ "namespace": 40_000 })),
            "invalid request: Invalid value given for 'namespace': value out of range",
        ),
        (
            "store",
            store(json!({ "namespace": "2" })),
            "invalid request: Invalid value given for 'namespace': expected 16-bit integer",
        ),
        ("store", store(json!({ "data": "?" })), "invalid request: Invalid 'data' value: not base64 encoded"),
        (
            "store",
            store(json!({ "data": "A".repeat(102_404) })),
            "invalid request: Message body exceeds maximum allowed length of 76800 bytes",
        ),
        (
            "store",
            store(json!({ "namespace": 2, "signature": "AAAA" })),
            "invalid request: invalid signature: expected base64 encoded Ed25519 signature",
        ),
        (
            "store",
            store(json!({ "namespace": 2, "signature": signature, "pubkey_ed25519": "00" })),
            "invalid request: pubkey_ed25519 is only permitted for 05[...] pubkeys",
        ),
        (
            "store",
            store(json!({ "namespace": 11, "signature": signature, "subaccount": "00".repeat(36) })),
            "invalid request: invalid subaccount: subaccount_sig is required when using subaccount",
        ),
        (
            "retrieve",
            json!({ "pubkey": account, "namespace": 2 }),
            "invalid request: Required field 'signature' missing",
        ),
        (
            "retrieve",
            json!({ "pubkey": account, "signature": signature }),
            "invalid request: Required field 'timestamp' missing",
        ),
        (
            "retrieve",
            json!({ "pubkey": account, "last_hash": "abc" }),
            "invalid request: Invalid last_hash: expected base64 (43 chars)",
        ),
        (
            "delete_all",
            json!({ "pubkey": account, "timestamp": 1_700_000_000, "namespace": "all" }),
            "invalid request: Required field 'signature' missing",
        ),
        (
            "delete_all",
            json!({ "pubkey": account, "timestamp": 170_000_000, "signature": signature }),
            "invalid request: Invalid timestamp for 'timestamp': timestamp must be in milliseconds",
        ),
        (
            "delete_all",
            json!({ "pubkey": account, "timestamp": 1.7e12, "signature": signature }),
            "invalid request: Invalid value given for 'timestamp': expected integer timestamp (in milliseconds)",
        ),
        (
            "delete_all",
            json!({ "pubkey": account, "namespace": "some" }),
            "invalid request: Invalid value given for 'namespace': expected integer or \"all\"",
        ),
        (
            "delete",
            json!({ "pubkey": account, "messages": [] }),
            "invalid request: messages does not contain any message hashes",
        ),
        (
            "delete",
            json!({ "pubkey": account, "messages": "abc" }),
            "invalid request: invalid message hash: abc",
        ),
        (
            "batch",
            json!({ "requests": [] }),
            "invalid request: Invalid batch request: no valid \"requests\" field",
        ),
        (
            "batch",
            json!({ "requests": [{ "method": "batch", "params": {} }] }),
            "invalid request: Invalid batch request: subrequests may not contain meta-requests",
        ),
        (
            "sequence",
            json!({ "requests": [{ "method": "x", "params": {} }] }),
            "invalid request: Invalid batch subrequest: invalid method \"x\"",
        ),
        ("oxend_request", json!({ "endpoint": "stop" }), "invalid request: Invalid oxend endpoint 'stop'"),
    ];
    for (method, params, text) in cases {
        assert_eq!(refused(method, params), text);
    }
    for (body, text) in [
        ("{", "invalid json"),
        ("{}", "invalid json: no `method` field"),
        ("{\"method\":\"info\"}", "invalid json: no `params` field"),
    ] {
        assert_eq!(Request::from_json_body(body.as_bytes()).unwrap_err().body, text);
    }
}

#[test]
fn requests_are_read_as_real_clients_write_them() {
    let account = AccountId::new(IdPrefix::Account, &[9; 32]);
    // Numbers as text, camel case, nulls, empty cursors and keys nobody asked for.
    let store = json!({
        "pubKey": account.to_hex().to_uppercase(), "timestamp": "1700000000000", "ttl": "86400000",
        "data": "aGk", "namespace": null, "signature": "rubbish", "nonce": 1,
    });
    let Ok(Request::Store(store)) = Request::from_json("store", &store) else { panic!("not read") };
    assert_eq!((store.account, store.data.as_slice(), store.auth), (account, b"hi".as_slice(), None));
    assert_eq!(store.expiry(), Timestamp(1_700_086_400_000));
    let retrieve = json!({ "pubkey": account.to_hex(), "lastHash": "", "last_hash": null });
    let Ok(Request::Retrieve(retrieve)) = Request::from_json("retrieve", &retrieve) else {
        panic!("not read")
    };
    assert_eq!((retrieve.last_hash, &retrieve.auth), (None, &None));
    // Without a namespace named, it is the signature that is asked for.
    let refused = Request::Retrieve(retrieve).verify().unwrap_err();
    assert_eq!(refused.answer.body, "retrieve: request signature required");
    assert_eq!(refused.cause, AuthRejected::Missing);
    for method in ["get_swarm", "get_snodes_for_pubkey"] {
        let params = json!({ "pubKey": account.to_hex() });
        assert_eq!(Request::from_json(method, &params), Ok(Request::GetSwarm(account)));
    }
    assert_eq!(Request::from_either("info", b""), Ok(Request::Info));
}

#[test]
fn only_a_member_that_signed_the_right_thing_counts() {
    let (keys, swarm): (Vec<_>, Vec<_>) = (1..=4).map(node).unzip();
    let request = Request::Store(Store {
        account: AccountId::new(IdPrefix::Account, &[9; 32]),
        namespace: Namespace::DIRECT,
        timestamp: Timestamp(1_700_000_000_000),
        lifetime: Lifetime::Ttl(86_400_000),
        data: b"hi".to_vec(),
        auth: None,
        sig_timestamp: None,
    });
    let Request::Store(store) = &request else { unreachable!() };
    let hash = MessageHash::of(&store.account, store.namespace, &store.data);
    let stored = |hash| Outcome::Stored { hash, expiry: store.expiry(), already: true };
    let good = |key| MemberResult::Done(NodeResult::sign(&request, stored(hash), key).unwrap());
    // One signs for another, one stored another message, one did not answer.
    let other = NodeResult {
        outcome: stored(MessageHash::of(&store.account, store.namespace, b"ho")),
        signature: keys[2].sign(b"ho"),
    };
    let mut answer = SwarmAnswer::default();
    for (node, result) in swarm.iter().zip([
        good(&keys[0]),
        good(&keys[0]),
        MemberResult::Done(other),
        MemberResult::Failed(Failure { timeout: true, ..Failure::default() }),
    ]) {
        answer.0.insert(*node.ed25519.as_bytes(), result);
    }
    let stamp = Stamp { t: Timestamp(5), hf: [19, 6] };
    let wire = answer.to_answer(&request, swarm[0].ed25519.as_bytes(), stamp);
    assert_eq!(wire.code, 200);
    let json: serde_json::Value = serde_json::from_slice(&wire.bytes(false)).unwrap();
    assert_eq!(json["hash"], hash.as_str());
    assert_eq!(SwarmAnswer::from_json(&request, &json), Some(answer.clone()));
    assert_eq!(answer.verified(&request, &swarm), [&swarm[0]]);
    let lost =
        SwarmAnswer(answer.0.into_iter().filter(|(_, m)| matches!(m, MemberResult::Failed(_))).collect());
    assert_eq!(lost.to_answer(&request, &[0; 32], stamp).code, 500);
}

#[test]
fn answers_are_read_as_they_were_given() {
    let stamp = Stamp { t: Timestamp(5), hf: [19, 6] };
    let json = |answer: conclave_proto::rpc::Answer| -> serde_json::Value {
        serde_json::from_slice(&answer.bytes(false)).unwrap()
    };
    let account = AccountId::new(IdPrefix::Account, &[9; 32]);
    let messages = RetrieveAnswer {
        messages: vec![StoredMessage {
            hash: MessageHash::of(&account, Namespace::DIRECT, b"x"),
            timestamp: Timestamp(1),
            expiration: Timestamp(2),
            data: b"x".to_vec(),
        }],
        more: true,
    };
    assert_eq!(RetrieveAnswer::from_json(&json(messages.to_answer(stamp))), Some(messages));
    let members = SwarmMembers { swarm: SwarmId(7), snodes: vec![node(1).1, node(2).1] };
    let answer = json(members.to_answer(421, stamp));
    assert_eq!(answer["snodes"][0]["port"], "22021");
    assert_eq!(SwarmMembers::from_json(&answer), Some(members));
    assert_eq!(Stamp::read(&answer), Some(stamp));
}

#[test]
fn a_message_without_a_required_field_is_refused_at_any_depth() {
    let envelope = Envelope::one_to_one(Timestamp(7), vec![1], [2; 64]);
    let without_time = [&envelope.to_bytes()[..2], &envelope.to_bytes()[4..]].concat();
    let missing = |message, field| ContentError::Missing { message, field };
    assert_eq!(Decoded::<Envelope>::decode(&without_time).unwrap_err(), missing("Envelope", "timestamp"));
    // A quote that says which message and not whose: Content { dataMessage { quote { id: 1 } } }.
    let bytes = [0x0a, 4, 0x42, 2, 0x08, 1];
    assert_eq!(Content::decode(bytes.as_slice()).unwrap().data_message.unwrap().quote.unwrap().author, "");
    assert_eq!(Content::from_bytes(&bytes).unwrap_err(), missing("Quote", "author"));
    // What is required is written even where it is the default.
    let quote = data_message::Quote::default();
    assert_eq!(quote.encode_to_vec(), [8, 0, 0x12, 0]);
}

#[test]
fn an_envelope_must_have_content_and_a_whole_signature() {
    let good = Envelope::one_to_one(Timestamp(7), vec![1], [2; 64]);
    assert_eq!(content::unwrap(&good.wrap()).unwrap().content, [1]);
    let short = Envelope { pro_sig: Some(vec![2; 63]), ..good.clone() };
    assert_eq!(content::unwrap(&short.wrap()), Err(ContentError::ProSig));
    let empty = Envelope { content: None, ..good };
    assert!(content::unwrap(&empty.wrap()).is_err());
    assert!(content::unwrap(&[]).is_err());
}

#[test]
fn a_relayed_layer_names_its_cipher_or_means_the_oldest() {
    let bytes =
        DictWriter::new().bytes("data", "x").bytes("ephemeral_key", [1; 32]).int("hop_no", -3i64).finish();
    let relay = OnionRelay::decode(bytes.into()).unwrap();
    assert_eq!((relay.enc_type.as_str(), relay.hop_no), (DEFAULT_ENC_TYPE, 1));
    let far = OnionRelay { hop_no: 16, ..relay };
    assert_eq!(OnionRelay::decode(far.encode().into()), Err(PeerError::TooManyHops));
}

#[test]
fn a_combined_payload_says_what_is_wrong_with_it() {
    let text = |bytes: &[u8]| combined::decode(bytes).unwrap_err().to_string();
    assert!(text(b"abc").contains("no room for its length"));
    assert!(text(b"\x05\0\0\0ab").contains("announces 5 bytes and has 2"));
    assert!(text(b"\x01\0\0\0a[]").contains("JSON"));
    assert!(text(b"\x01\0\0\0a{}x").contains("JSON"));
}

#[test]
fn a_client_without_a_list_gets_nodes_and_the_signed_directory() {
    let registry = Ed25519Secret::from_seed(&[42; 32]);
    let nodes = vec![node(1).1, node(2).1];
    let directory = Directory::new("test".to_owned(), 3, Timestamp(1), Timestamp(2), nodes.clone());
    let signed = directory.unwrap().sign(&registry);
    let ask = SeedRequest { active_only: true, limit: Some(1), ..SeedRequest::default() };
    let read = SeedRequest::from_json(ask.to_json().to_string().as_bytes()).unwrap();
    let answer = read.answer(&nodes, 9, Some(&signed)).to_string();
    let answer = SeedAnswer::from_json(answer.as_bytes()).unwrap();
    assert_eq!((answer.nodes.as_slice(), answer.height), (&nodes[..1], 9));
    let verified = answer.directory.unwrap().verify(&registry.public(), "test", 3).unwrap();
    assert_eq!(verified.nodes().len(), 2);
    // Existing clients name their fields, and get no others.
    let body = json!({ "jsonrpc": "2.0", "method": "get_n_service_nodes", "params": {
        "active_only": true, "fields": { "public_ip": true, "pubkey_ed25519": true, "storage_port": false } } });
    let answer = SeedRequest::from_json(body.to_string().as_bytes()).unwrap().answer(&nodes, 9, None);
    let state = answer["result"]["service_node_states"][0].as_object().unwrap();
    assert_eq!(state.keys().collect::<Vec<_>>(), ["pubkey_ed25519", "public_ip"]);
    assert!(SeedRequest::from_json(br#"{"method":"stop_daemon"}"#).is_err());
}
