//! Members of a swarm come to have the same, whatever they missed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Swarm, account, b64, node_secret, now, store_of};
use conclave_node::store::Query;
use conclave_node::{Hooks, Node};
use conclave_proto::network::Directory;
use conclave_proto::peer::{PushedMessage, encode_push};
use conclave_proto::rpc::{Lifetime, Request, signing};
use conclave_proto::sync::{self, AccountKeys, Copies, Copy, Keys};
use conclave_proto::{MessageHash, Namespace, SwarmId};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane, RequestError};
use serde_json::json;

/// What a node itself keeps in somebody's inbox, in the order it came.
fn kept(node: &Node, number: u8) -> Vec<String> {
    let owner = *account(number).id();
    let query = Query {
        owner: &owner,
        namespace: Namespace::DIRECT,
        after: None,
        max_count: None,
        max_size: 1 << 20,
    };
    let page = node.store().retrieve(&query).unwrap();
    page.messages.into_iter().map(|message| String::from_utf8(message.data).unwrap()).collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            // Nothing tells a test that a node has compared.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Long enough that it is worth being compared.
async fn store(swarm: &Swarm, node: usize, number: u8, text: &str) {
    let Request::Store(mut store) = store_of(number, text) else { unreachable!() };
    store.lifetime = Lifetime::Ttl(3_600_000);
    let (status, answer) = swarm.rpc_bytes(node, &Request::Store(store).to_json_body()).await;
    assert_eq!(status, 200, "{answer}");
}

async fn delete(swarm: &Swarm, node: usize, number: u8, texts: &[&str]) {
    let hashes: Vec<MessageHash> = texts
        .iter()
        .map(|text| MessageHash::of(account(number).id(), Namespace::DIRECT, text.as_bytes()))
        .collect();
    let signature = account(number).ed25519().sign(&signing::delete(&hashes));
    let names: Vec<String> = hashes.iter().map(ToString::to_string).collect();
    let request = json!({"method": "delete", "params": {
        "pubkey": account(number).id().to_hex(), "pubkey_ed25519": account(number).ed25519_public().to_hex(),
        "messages": names, "signature": b64(signature.as_bytes())}});
    let (status, answer) = swarm.rpc(node, &request).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_gets_what_it_missed_and_loses_what_was_deleted() {
    let mut swarm = Swarm::start(3).await;
    store(&swarm, 0, 1, "stays").await;
    store(&swarm, 0, 1, "goes").await;
    swarm.nodes.pop().unwrap().shutdown().await;
    store(&swarm, 1, 1, "was missed").await;
    delete(&swarm, 0, 1, &["goes"]).await;
    swarm.run(2, Hooks::default()).await;
    until("the member catches up", || {
        let mut texts = kept(&swarm.nodes[2], 1);
        texts.sort();
        texts == ["stays", "was missed"]
    })
    .await;
    // And nobody got the deleted one back from it.
    for node in &swarm.nodes[..2] {
        assert!(!kept(node, 1).contains(&"goes".to_owned()));
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_disk_is_filled_again() {
    let mut swarm = Swarm::start(2).await;
    for number in 0..20 {
        store(&swarm, 0, number, "kept by all").await;
    }
    delete(&swarm, 0, 3, &["kept by all"]).await;
    swarm.nodes.pop().unwrap().shutdown().await;
    for file in ["messages.sqlite", "messages.sqlite-wal", "messages.sqlite-shm"] {
        let _ = std::fs::remove_file(swarm.config(1).data_dir.join(file));
    }
    swarm.run(1, Hooks::default()).await;
    until("all come back", || {
        (0..20).all(|number| kept(&swarm.nodes[1], number).is_empty() == (number == 3))
    })
    .await;
    // The tombstone came too: a copy that somebody still has is not taken.
    let copy = copy_of(3, "kept by all", 600_000);
    push(&swarm, 1, &Copies { messages: vec![copy], ..Copies::default() }).await;
    assert!(kept(&swarm.nodes[1], 3).is_empty());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_move_with_their_swarm() {
    let mut swarm = Swarm::listed(&[0, 0, 0]);
    let all = swarm.listed.clone();
    // Node 2 is not in the network yet.
    swarm.write_directory(2, &all[..2]);
    swarm.run(0, Hooks::default()).await;
    swarm.run(1, Hooks::default()).await;
    for number in 0..30 {
        store(&swarm, 0, number, "before").await;
    }
    delete(&swarm, 0, 7, &["before"]).await;
    // It joins, in a swarm of its own.
    let mut split = all.clone();
    split[2].swarm = SwarmId(1 << 63);
    swarm.write_directory(3, &split);
    swarm.run(2, Hooks::default()).await;
    let directory = Directory::new("x".to_owned(), 1, now(), now(), split.clone()).unwrap();
    let moved: Vec<u8> =
        (0..30).filter(|n| directory.swarm_of(account(*n).id()) == Some(split[2].swarm)).collect();
    assert!(moved.len() > 5, "{moved:?}");
    until("what belongs to the new swarm is there", || {
        moved.iter().all(|number| kept(&swarm.nodes[2], *number).is_empty() == (*number == 7))
    })
    .await;
    let stayed = (0..30).find(|number| !moved.contains(number)).unwrap();
    assert!(kept(&swarm.nodes[2], stayed).is_empty(), "and nothing else");

    // The swarm is dissolved again: what came meanwhile goes back.
    let number = moved[0];
    let before = kept(&swarm.nodes[0], number);
    store(&swarm, 2, number, "meanwhile").await;
    swarm.write_directory(4, &all);
    until("the others have it", || {
        let texts = kept(&swarm.nodes[0], number);
        texts.len() == before.len() + 1 && kept(&swarm.nodes[1], number).len() == texts.len()
    })
    .await;
    swarm.stop().await;
}

fn copy_of(number: u8, text: &str, ago_ms: u64) -> Copy {
    let stored_at = now().minus(Duration::from_millis(ago_ms));
    Copy {
        account: *account(number).id(),
        namespace: Namespace::DIRECT,
        timestamp: stored_at,
        stored_at,
        raises: vec![(stored_at, stored_at.plus(Duration::from_secs(600)))],
        data: text.as_bytes().to_vec(),
    }
}

/// A connection to a node, made by another node of its network.
async fn as_member(swarm: &Swarm, from: usize, to: usize) -> (Endpoint, Connection) {
    let endpoint = Endpoint::dialler(&node_secret(from)).unwrap();
    let node = swarm.listed[to];
    let address = (node.ip, node.quic_port).into();
    let connection = endpoint.dial(address, node.ed25519, Alpn::Node).await.unwrap();
    (endpoint, connection)
}

async fn push(swarm: &Swarm, to: usize, copies: &Copies) {
    let (_endpoint, connection) = as_member(swarm, 0, to).await;
    let deadline = Deadline::after(Duration::from_secs(60));
    let answer = connection.request(Lane::Bulk, sync::COPIES, &copies.encode(), deadline).await.unwrap();
    assert_eq!(answer, "OK");
}

fn misdirected(answer: &Result<Bytes, RequestError>) -> bool {
    matches!(answer, Err(RequestError::Remote(body)) if body.starts_with(b"421 "))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_gives_is_held_against_the_rules() {
    let mut swarm = Swarm::listed(&[0, 1 << 63]);
    swarm.run(0, Hooks::default()).await;
    let view = swarm.nodes[0].view();
    let ours = (0..=255).find(|n| view.is_ours(account(*n).id())).unwrap();
    let foreign = (0..=255).find(|n| !view.is_ours(account(*n).id())).unwrap();
    let mut endless = copy_of(ours, "for ever", 0);
    endless.raises[0].1 = now().plus(Duration::from_secs(400 * 24 * 60 * 60));
    let mut future = copy_of(ours, "of tomorrow", 0);
    (future.stored_at, future.raises[0].0) =
        (now().plus(Duration::from_secs(86_400)), now().plus(Duration::from_secs(86_400)));
    let copies = Copies {
        messages: vec![copy_of(ours, "fine", 1_000), copy_of(foreign, "not ours", 1_000), endless, future],
        operations: vec![b"rubbish".to_vec()],
        more: false,
    };
    let (_endpoint, connection) = as_member(&swarm, 1, 0).await;
    let deadline = Deadline::after(Duration::from_secs(60));
    let answer = connection.request(Lane::Bulk, sync::COPIES, &copies.encode(), deadline).await;
    assert!(
        misdirected(&answer),
        "whoever has what belongs elsewhere must not think that it is taken: {answer:?}"
    );
    assert_eq!(kept(&swarm.nodes[0], ours), ["fine"]);
    assert!(kept(&swarm.nodes[0], foreign).is_empty());
    let keys = |number| Keys {
        accounts: vec![AccountKeys {
            account: *account(number).id(),
            messages: vec![],
            operations: vec![[7; 32]],
        }],
        more: false,
    };
    let offer = connection.request(Lane::Bulk, sync::OFFER, &keys(foreign).encode(), deadline).await;
    assert!(misdirected(&offer), "nor that nothing is lacking: {offer:?}");
    let lacking = connection.request(Lane::Bulk, sync::OFFER, &keys(ours).encode(), deadline).await.unwrap();
    assert_eq!(Keys::decode(&lacking), Ok(keys(ours)));
    // As nodes of other programs push, with and without a namespace.
    let pushed = PushedMessage {
        account: *account(ours).id(),
        hash: b"whatever".to_vec(),
        timestamp: now(),
        expiry: now().plus(Duration::from_secs(600)),
        data: b"pushed".to_vec(),
        namespace: Namespace::DIRECT,
    };
    let answer = connection.request(Lane::Data, "data", &encode_push(&[pushed]), deadline).await.unwrap();
    assert_eq!(answer, "OK");
    assert_eq!(kept(&swarm.nodes[0], ours), ["fine", "pushed"]);
    swarm.stop().await;
}
