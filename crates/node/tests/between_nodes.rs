//! What nodes ask of each other, seen by one that plays a node: a key that is in the directory, and whatever it likes to
//! send.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::asking::{group, member, token_of, user};
use common::{Greetings, Swarm, account, node_secret, now, signed_retrieve, store_of, texts};
use conclave_node::{Hooks, Misbehave, Observer};
use conclave_proto::peer::{OnionRelay, decode_relay_reply, encode_storage_cc};
use conclave_proto::rpc::answers::{SwarmAnswer, read_error_frame};
use conclave_proto::rpc::results::{NodeResult, Outcome};
use conclave_proto::rpc::{Auth, ExpireMode, Forwarded, Lifetime, Request, Rights, Scope, Store, signing};
use conclave_proto::{Namespace, SnodeRecord, Timestamp};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane, RequestError};
use serde_json::json;

/// Node 0 runs; 1 is listed in its swarm, and we hold its key.
struct Impersonated {
    swarm: Swarm,
    connection: Connection,
    _endpoint: Endpoint,
}

impl Impersonated {
    async fn start() -> Self {
        let mut swarm = Swarm::listed(&[0, 0]);
        swarm.run(0, Hooks::default()).await;
        let endpoint = Endpoint::dialler(&node_secret(1)).unwrap();
        let node = swarm.listed[0];
        let connection =
            endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Node).await.unwrap();
        Self { swarm, connection, _endpoint: endpoint }
    }

    async fn ask(&self, command: &str, body: &[u8]) -> Result<Bytes, RequestError> {
        self.connection.request(Lane::Commands, command, body, Deadline::after(Duration::from_secs(60))).await
    }

    /// Status and text of a refused forwarded request.
    async fn refused(&self, method: &str, params: &[u8]) -> (u16, String) {
        match self.ask("storage_cc", &encode_storage_cc(method, params)).await {
            Err(RequestError::Remote(error)) => {
                let (code, text) = read_error_frame(&error).unwrap();
                (code, String::from_utf8_lossy(text).into_owned())
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn private_store(namespace: Namespace, signed_for: Namespace) -> Request {
    let account = account(1);
    let timestamp = now();
    Request::Store(Store {
        account: *account.id(),
        namespace,
        timestamp,
        lifetime: Lifetime::Ttl(60_000),
        data: b"forwarded".to_vec(),
        auth: Some(Auth::by_account(account.ed25519(), &signing::store(signed_for, timestamp))),
        sig_timestamp: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_request_is_fully_verified_and_answered_with_the_bare_result() {
    let node = Impersonated::start().await;
    let own = node.swarm.listed[0].ed25519;
    let good = private_store(Namespace::CONTACTS, Namespace::CONTACTS);
    let answer = node.ask("storage_cc", &encode_storage_cc("store", &good.to_forwarded())).await.unwrap();
    let result = NodeResult::from_bt(&good, &answer).unwrap();
    result.verify(&good, &own).unwrap();
    assert!(matches!(result.outcome, Outcome::Stored { already: false, .. }));
    let answer = conclave_proto::bt::Value::decode_in_order(&answer).unwrap();
    assert!(!answer.as_dict().unwrap().contains_key(&b"swarm"[..]), "never forwarded again");

    let forged = private_store(Namespace::CONTACTS, Namespace::USER_PROFILE);
    let (code, text) = node.refused("store", &forged.to_forwarded()).await;
    assert_eq!((code, text.as_str()), (401, "store signature verification failed"));

    let Request::Store(mut late) = private_store(Namespace::DIRECT, Namespace::DIRECT) else { panic!() };
    late.timestamp = now().plus(Duration::from_secs(15));
    let (code, text) = node.refused("store", &Request::Store(late).to_forwarded()).await;
    assert_eq!((code, text.as_str()), (406, "Timestamp error: check your clock"));
    node.swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_forwarded_is_refused() {
    let node = Impersonated::start().await;
    for method in ["info", "get_swarm", "retrieve"] {
        let params = format!("d6:pubkey33:{}e", "\u{5}".repeat(33));
        let (code, text) = node.refused(method, params.as_bytes()).await;
        assert_eq!(code, 400, "{method}: {text}");
        let expected = "invalid request: received invalid forwarded non-forwardable request";
        assert!(text == expected || method == "retrieve", "{method}: {text}");
    }
    let (code, text) = node.refused("nothing", b"de").await;
    assert_eq!((code, text.as_str()), (400, "no method nothing"));
    let (code, _) = node.refused("store", b"not bt").await;
    assert_eq!(code, 400);
    for garbage in [&b""[..], b"le", b"l5:storee", b"\xff\xff"] {
        assert!(matches!(node.ask("storage_cc", garbage).await, Err(RequestError::Remote(_))), "{garbage:?}");
    }
    let Err(RequestError::Remote(error)) = node.ask("store", b"{}").await else {
        panic!("a client's command on the nodes' protocol");
    };
    assert_eq!(error, "Invalid endpoint 'store'");
    assert_eq!(node.ask("snode_ping", b"whatever").await.unwrap(), "pong");
    node.swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_its_way_is_given_ten_seconds_more_where_the_specification_says_so() {
    let node = Impersonated::start().await;
    let me = user(1);
    let old = |seconds| now().minus(Duration::from_secs(seconds));
    let near = |method: &str| format!("{method} timestamp too far from current time");
    let late = "expire_all timestamp should be >= current time".to_owned();
    let token = token_of(71, 3, Rights::READ);
    let admin = group(70);
    let cases = [
        (me.delete_all(Scope::All, old(65)), None),
        (me.delete_all(Scope::All, old(72)), Some((406, near("delete_all")))),
        (me.expire_all(Scope::All, old(65)), None),
        (me.expire_all(Scope::All, old(72)), Some((406, late))),
        (admin.revoke(&[token], old(58)), None),
        (admin.revoke(&[token], old(62)), Some((406, near("revoke_subaccount")))),
        (admin.unrevoke(&[token], old(62)), Some((406, near("unrevoke_subaccount")))),
        (
            me.expire(&[me.hash(0, "x")], &[old(62)], ExpireMode::Set),
            Some((401, "expire: timestamp should be >= current time".to_owned())),
        ),
        (
            me.delete_before(Scope::All, now().plus(Duration::from_secs(62))),
            Some((401, "delete_before timestamp too far in the future".to_owned())),
        ),
    ];
    for (request, refusal) in cases {
        match refusal {
            Some(refusal) => {
                assert_eq!(node.refused(request.method(), &request.to_forwarded()).await, refusal);
            }
            None => {
                let body = encode_storage_cc(request.method(), &request.to_forwarded());
                let answer = node.ask("storage_cc", &body).await.unwrap();
                let result = NodeResult::from_bt(&request, &answer).unwrap();
                result.verify(&request, &node.swarm.listed[0].ed25519).unwrap();
            }
        }
    }
    for request in [me.delete_all(Scope::All, old(65)), me.expire_all(Scope::All, old(65))] {
        let (code, _) = node.swarm.refused(0, &request).await;
        assert_eq!(code, 406, "from a client {}", request.method());
    }
    node.swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_cannot_do_what_the_client_could_not() {
    let node = Impersonated::start().await;
    let (admin, kicked) = (group(70), member(70, 71, Rights(7)));
    let revoke = admin.revoke(&[token_of(71, 3, Rights(7))], now());
    node.ask("storage_cc", &encode_storage_cc(revoke.method(), &revoke.to_forwarded())).await.unwrap();
    let hash = admin.hash(11, "x");
    let writer = member(70, 72, Rights(3));
    for request in [kicked.store(11, "x"), kicked.delete(&[hash], false), writer.delete(&[hash], false)] {
        let refused = request.bad_signature();
        let (code, text) = node.refused(request.method(), &request.to_forwarded()).await;
        assert_eq!((code, text), (refused.code, refused.body));
    }
    node.swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_nodes_time_counts_unless_it_cannot_be_true() {
    let node = Impersonated::start().await;
    let me = user(1);
    let seconds = |n| Duration::from_secs(n);
    let mut request = 0;
    for (given, believed) in [
        (Some(now().minus(seconds(50))), true),
        (Some(now().plus(seconds(50))), true),
        (Some(now().minus(seconds(70))), false),
        (Some(now().plus(seconds(70))), false),
        (Some(Timestamp(0)), false),
        (None, false),
    ] {
        request += 1;
        let text = request.to_string();
        let forwarded = Forwarded { request: me.store(0, &text), at: given };
        node.ask("storage_cc", &encode_storage_cc("store", &forwarded.to_bt())).await.unwrap();
        let copies = node.swarm.nodes[0].store().copies(&me.account, &[me.hash(0, &text)]).unwrap();
        assert_eq!(Some(copies[0].stored_at) == given, believed, "{given:?}");
        assert!(copies[0].stored_at.distance(now()) < seconds(65));
    }
    node.swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_request_for_another_swarm_is_told_which() {
    let mut swarm = Swarm::listed(&[0, 1 << 63]);
    swarm.run(0, Hooks::default()).await;
    let endpoint = Endpoint::dialler(&node_secret(1)).unwrap();
    let node = swarm.listed[0];
    let connection = endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Node).await.unwrap();
    let view = swarm.nodes[0].view();
    let foreign = (0..=255).find(|n| !view.is_ours(account(*n).id())).unwrap();
    let body = encode_storage_cc("store", &store_of(foreign, "lost").to_forwarded());
    let deadline = Deadline::after(Duration::from_secs(60));
    let Err(RequestError::Remote(error)) =
        connection.request(Lane::Data, "storage_cc", &body, deadline).await
    else {
        panic!("taken");
    };
    let (code, body) = read_error_frame(&error).unwrap();
    assert_eq!(code, 421);
    let body = conclave_proto::bt::Value::decode_in_order(body).unwrap();
    assert_eq!(body.as_list().unwrap()[0].as_u64(), Some(421), "a structured body is [code, body]");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_layers_are_answered_in_the_words_of_the_specification() {
    let node = Impersonated::start().await;
    let good = OnionRelay {
        data: vec![0; 64],
        enc_type: "xchacha20".into(),
        ephemeral_key: *account(1).ed25519_public().to_x25519().as_bytes(),
        hop_no: 1,
    };
    let cases = [
        (b"not bt".to_vec(), "Invalid internal onion request: "),
        (b"de".to_vec(), "Invalid internal onion request: "),
        (OnionRelay { hop_no: 16, ..good.clone() }.encode(), "onion request max path length exceeded"),
        (
            OnionRelay { enc_type: "rot13".into(), ..good.clone() }.encode(),
            "Invalid internal onion request: ",
        ),
        (OnionRelay { ephemeral_key: [0; 32], ..good.clone() }.encode(), "Invalid internal onion request: "),
        (OnionRelay { hop_no: 15, ..good.clone() }.encode(), "Invalid ciphertext"),
        (OnionRelay { data: Vec::new(), ..good }.encode(), "Invalid ciphertext"),
    ];
    for (body, expected) in cases {
        let answer = node.ask("onion_request", &body).await.unwrap();
        let (code, text) = decode_relay_reply(&answer).unwrap();
        let text = String::from_utf8_lossy(text);
        assert_eq!(code, 400, "{text}");
        assert!(text.starts_with(expected), "{text} instead of {expected}");
    }
    node.swarm.stop().await;
}

/// What the honest node 0 says about each of three members when the last one behaves like that.
async fn with_a_member_that(
    misbehaves: Misbehave,
) -> (SwarmAnswer, Request, Vec<SnodeRecord>, serde_json::Value) {
    let swarm = Swarm::with_hooks(&[0, 0, 0], |node| Hooks {
        misbehave: if node == 2 { misbehaves } else { Misbehave::Honest },
        ..Hooks::default()
    })
    .await;
    let request = store_of(1, "who signs?");
    let (status, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
    assert_eq!(status, 200);
    let read = SwarmAnswer::from_json(&request, &answer).unwrap();
    let liar = answer["swarm"][swarm.listed[2].ed25519.to_hex()].clone();
    let listed = swarm.listed.clone();
    swarm.stop().await;
    (read, request, listed, liar)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_answers_rubbish_is_a_bad_peer_response() {
    let (answer, request, listed, liar) = with_a_member_that(Misbehave::Rubbish).await;
    assert_eq!(answer.verified(&request, &listed).len(), 2);
    assert_eq!((&liar["failed"], &liar["bad_peer_response"]), (&json!(true), &json!(true)), "{liar}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_signs_with_another_key_is_not_counted_by_clients() {
    let (answer, request, listed, liar) = with_a_member_that(Misbehave::WrongKey).await;
    assert_eq!(answer.verified(&request, &listed).len(), 2);
    // Who it is was proven by its connection; its signature is handed on as it is.
    assert!(liar["signature"].is_string() && liar.get("failed").is_none(), "{liar}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_comes_back_is_asked_again_at_once() {
    let greetings = Arc::new(Greetings::default());
    let mut swarm = Swarm::with_hooks(&[0, 0, 0], |node| Hooks {
        observer: (node == 0).then(|| Arc::clone(&greetings) as Arc<dyn Observer>),
        ..Hooks::default()
    })
    .await;
    greetings.of(swarm.listed[2].ed25519, 1).await;
    swarm.nodes.pop().unwrap().shutdown().await;
    let request = store_of(1, "while one was away");
    let (_, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
    let signed = SwarmAnswer::from_json(&request, &answer).unwrap();
    assert_eq!(signed.verified(&request, &swarm.listed).len(), 2, "{answer}");
    // Failed dials make a node leave the other alone for a while; the greeting ends that.
    swarm.run(2, Hooks::default()).await;
    greetings.of(swarm.listed[2].ed25519, 2).await;
    let request = store_of(1, "when it was back");
    let (_, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
    let signed = SwarmAnswer::from_json(&request, &answer).unwrap();
    assert_eq!(signed.verified(&request, &swarm.listed).len(), 3, "{answer}");
    let (_, answer) = swarm.rpc(2, &signed_retrieve(1, &json!({}))).await;
    assert!(texts(&answer).contains(&"when it was back".to_owned()), "{answer}");
    swarm.stop().await;
}
