//! Being told of new messages: `conclave_wait` for clients, `monitor` for push servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Swarm, account, now, store_of};
use conclave_crypto::{AccountId, Ed25519Secret, Signature};
use conclave_node::{Hooks, Observer, Received};
use conclave_onion::request::{Destination, seal_held};
use conclave_proto::monitor::{Notification, Subscription, Watched, signed_bytes};
use conclave_proto::rpc::answers::read_reply_frame;
use conclave_proto::rpc::{Auth, Request, TimedAuth, Wait, WaitAnswer, signing};
use conclave_proto::{MessageHash, Namespace, SwarmId, bt};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane};
use rand_core::OsRng;
use serde_json::Value;
use tokio::sync::watch;

fn wait(number: u8, last_hash: Option<MessageHash>, max_ms: u64) -> Wait {
    let positions = vec![(Namespace::CONTACTS, None), (Namespace::DIRECT, last_hash)];
    let timestamp = now();
    let auth = Auth::by_account(account(number).ed25519(), &signing::wait(timestamp, &positions));
    Wait { account: *account(number).id(), positions, max_ms, auth: TimedAuth { auth, timestamp } }
}

async fn ask(swarm: &Swarm, node: usize, wait: Wait) -> (u16, Value) {
    swarm.rpc_bytes(node, &Request::ConclaveWait(wait).to_json_body()).await
}

fn texts(answer: &Value) -> Vec<String> {
    let news = WaitAnswer::from_json(answer).unwrap_or_else(|| panic!("{answer}")).news;
    let messages = news.into_iter().flat_map(|(_, page)| page.messages);
    messages.map(|message| String::from_utf8(message.data).unwrap()).collect()
}

/// Counts the waits that nodes were asked for.
#[derive(Default)]
struct Waits(watch::Sender<usize>);

impl Observer for Waits {
    fn received(&self, what: Received<'_>) {
        let asked = match what {
            Received::Https { path: "/storage_rpc/v1", body, .. } | Received::PeeledRequest { body, .. } => {
                String::from_utf8_lossy(body).contains("conclave_wait")
            }
            _ => false,
        };
        if asked {
            self.0.send_modify(|count| *count += 1);
        }
    }
}

impl Waits {
    async fn reach(&self, count: usize) {
        let mut waits = self.0.subscribe();
        let enough = waits.wait_for(|seen| *seen >= count);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("they are asked for").unwrap();
    }
}

async fn watched(swarms: &[u64]) -> (Swarm, Arc<Waits>) {
    let waits = Arc::new(Waits::default());
    let observer = Arc::clone(&waits) as Arc<dyn Observer>;
    let hooks = |_| Hooks { observer: Some(Arc::clone(&observer)), ..Hooks::default() };
    (Swarm::with_hooks(swarms, hooks).await, waits)
}

async fn until_held(swarm: &Swarm, node: usize, count: usize) {
    let held = async {
        while swarm.nodes[node].held() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), held).await.expect("they are held");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_answered_at_once_and_what_is_known_is_not_answered_again() {
    let swarm = Swarm::start(1).await;
    let stored = store_of(1, "already here");
    swarm.rpc_bytes(0, &stored.to_json_body()).await;
    let (status, answer) = ask(&swarm, 0, wait(1, None, 20_000)).await;
    assert_eq!((status, texts(&answer)), (200, vec!["already here".to_owned()]));
    let hash = MessageHash::of(account(1).id(), Namespace::DIRECT, b"already here");
    let (status, answer) = ask(&swarm, 0, wait(1, Some(hash), 1)).await;
    assert_eq!((status, texts(&answer)), (200, vec![]), "the time is over first");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_answered_when_something_comes_to_any_member() {
    let swarm = Swarm::start(2).await;
    let waiting = ask(&swarm, 1, wait(1, None, 20_000));
    let storing = async {
        until_held(&swarm, 1, 1).await;
        // To another mailbox, which wakes nobody; then to this one, through another member.
        swarm.rpc_bytes(1, &store_of(2, "for somebody else").to_json_body()).await;
        swarm.rpc_bytes(0, &store_of(1, "hello").to_json_body()).await;
    };
    let ((status, answer), ()) = tokio::join!(waiting, storing);
    assert_eq!((status, texts(&answer)), (200, vec!["hello".to_owned()]));
    assert_eq!(swarm.nodes[1].held(), 0);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_through_three_hops_and_is_no_work_to_any_of_them() {
    let (swarm, waits) = watched(&[0, 0, 1 << 63, 1 << 63]).await;
    let records = swarm.records_by_node();
    let view = swarm.nodes[0].view();
    let number = (0..=255).find(|n| view.is_ours(account(*n).id())).unwrap();
    let request = Request::ConclaveWait(wait(number, None, 20_000)).to_json_body();
    let hops = [records[2], records[3], records[1]];
    let destination = Destination::Snode { node: &records[0], body: &request };
    let sealed = seal_held(&hops, destination, 20_000, &mut OsRng).unwrap();
    let posted = swarm.post(2, "/onion_req/v2", sealed.body);
    let storing = async {
        waits.reach(1).await;
        for node in 0..4 {
            until_held(&swarm, node, 1).await;
        }
        swarm.rpc_bytes(0, &store_of(number, "through the onion").to_json_body()).await;
    };
    let (response, ()) = tokio::join!(posted, storing);
    let reply = sealed.reply.open_snode(&response.body).unwrap();
    assert_eq!((reply.status, texts(&reply.body)), (200, vec!["through the onion".to_owned()]));
    assert!((0..4).all(|node| swarm.nodes[node].held() == 0));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_are_for_the_owner_and_never_inside_other_requests() {
    let swarm = Swarm::start(1).await;
    let mut stolen = wait(1, None, 1);
    stolen.account = *account(2).id();
    let (status, answer) = ask(&swarm, 0, stolen).await;
    assert_eq!(status, 401, "the key is not this account's: {answer}");
    let mut forged = wait(1, None, 1);
    forged.auth.auth.signature = Signature::from_slice(&[7; 64]).unwrap();
    let (status, answer) = ask(&swarm, 0, forged).await;
    assert_eq!((status, answer), (401, "conclave_wait signature verification failed".into()));
    let mut old = wait(1, None, 1);
    old.auth.timestamp = now().minus(Duration::from_secs(61));
    let (status, answer) = ask(&swarm, 0, old).await;
    assert_eq!((status, answer), (406, "conclave_wait timestamp too far from current time".into()));
    for outer in [Request::Batch, Request::Sequence] {
        let request = outer(vec![Request::Info, Request::ConclaveWait(wait(1, None, 1))]);
        let (status, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
        assert_eq!(status, 400, "{answer}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_sends_those_who_wait_away() {
    let mut swarm = Swarm::start(2).await;
    let address = swarm.nodes[0].addresses().https;
    let client = conclave_transport::https::Client::new();
    let target = conclave_transport::https::Target::node(address);
    let body = Request::ConclaveWait(wait(1, None, 20_000)).to_json_body();
    let waiting = tokio::spawn(async move {
        client.post(&target, "/storage_rpc/v1", "", body, Deadline::after(Duration::from_secs(60))).await
    });
    until_held(&swarm, 0, 1).await;
    swarm.nodes.remove(0).shutdown().await;
    let response = waiting.await.unwrap().unwrap();
    assert_eq!((response.status, texts(&serde_json::from_slice(&response.body).unwrap())), (200, vec![]));
    swarm.stop().await;
}

async fn push_server(swarm: &Swarm, node: usize) -> Connection {
    let own = *swarm.nodes[node].view().own();
    let endpoint = Endpoint::client().unwrap();
    let address = (own.ip, own.quic_port).into();
    let connection = endpoint.dial(address, own.ed25519, Alpn::Client).await.unwrap();
    // The endpoint lives as long as this process; its connection is what the test is about.
    std::mem::forget(endpoint);
    connection
}

fn subscription(number: u8, namespaces: &[Namespace], with_data: bool) -> Subscription {
    let signed_at = now().0 / 1_000;
    let key: Ed25519Secret = account(number).ed25519().clone();
    let signature = key.sign(&signed_bytes(account(number).id(), signed_at, with_data, namespaces));
    Subscription {
        watched: Watched::Key(key.public()),
        subaccount: None,
        with_data,
        namespaces: namespaces.to_vec(),
        signed_at,
        signature,
    }
}

async fn monitor(connection: &Connection, body: &[u8]) -> bt::Value {
    let deadline = Deadline::after(Duration::from_secs(60));
    let answer = connection.request(Lane::Commands, "monitor", body, deadline).await.unwrap();
    bt::Value::decode(&answer).unwrap()
}

fn field<'a>(dict: &'a bt::Value, name: &str) -> Option<&'a bt::Value> {
    dict.as_dict()?.get(name.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_server_hears_of_each_new_message_once() {
    let swarm = Swarm::start(2).await;
    let connection = push_server(&swarm, 1).await;
    let mut told = connection.notifications();
    let bare = subscription(1, &[Namespace::DIRECT], false).to_dict().finish();
    assert_eq!(monitor(&connection, &bare).await, bt::Value::decode(b"d7:successi1ee").unwrap());
    let store = store_of(1, "one");
    swarm.rpc_bytes(0, &store.to_json_body()).await;
    // The same again is nothing new, and what is for somebody else is not for it.
    swarm.rpc_bytes(0, &store.to_json_body()).await;
    swarm.rpc_bytes(0, &store_of(2, "other").to_json_body()).await;
    let first = told.recv().await.unwrap();
    assert_eq!(first.endpoint, "notify");
    let notification = Notification::decode(&first.body).unwrap();
    let id: AccountId = *account(1).id();
    let hash = MessageHash::of(&id, Namespace::DIRECT, b"one").to_string();
    assert_eq!((notification.account, &notification.hash, notification.data), (id, &hash, None));

    // Asking again on the same connection widens what is told.
    let full = subscription(1, &[Namespace::DIRECT, Namespace::CONTACTS], true).to_dict();
    let mut list = bt::ListWriter::new();
    list.dict(full);
    let answers = monitor(&connection, &list.finish()).await;
    assert_eq!(answers, bt::Value::decode(b"ld7:successi1eee").unwrap());
    swarm.rpc_bytes(0, &store_of(1, "two").to_json_body()).await;
    let second = Notification::decode(&told.recv().await.unwrap().body).unwrap();
    assert_eq!(second.data.as_deref(), Some(&b"two"[..]));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_refused_with_the_codes_of_the_specification() {
    let swarm = Swarm::with_hooks(&[0, 1 << 63], |_| Hooks::default()).await;
    let view = swarm.nodes[0].view();
    let ours = (0..=255).find(|n| view.is_ours(account(*n).id())).unwrap();
    let foreign = (0..=255).find(|n| !view.is_ours(account(*n).id())).unwrap();
    let connection = push_server(&swarm, 0).await;
    let good = subscription(ours, &[Namespace::DIRECT], false);
    let mut old = good.clone();
    old.signed_at -= 15 * 24 * 60 * 60;
    let mut forged = good.clone();
    forged.with_data = true;
    for (request, code) in [
        (b"i1e".to_vec(), 1),
        (b"de".to_vec(), 1),
        (old.to_dict().finish(), 4),
        (forged.to_dict().finish(), 5),
        (subscription(foreign, &[Namespace::DIRECT], false).to_dict().finish(), 6),
    ] {
        let answer = monitor(&connection, &request).await;
        let found = field(&answer, "errcode").and_then(bt::Value::as_u64);
        assert!(found.is_some_and(|found| found == code || code == 1), "{code}: {answer:?}");
        if code == 6 {
            let swarm = field(&answer, "swarm").and_then(bt::Value::as_text);
            assert_eq!(swarm, Some(SwarmId(1 << 63).to_hex().as_str()), "where it is: {answer:?}");
        }
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_an_account_is_told_when_it_moves() {
    let swarm = Swarm::start(1).await;
    let own = swarm.listed[0];
    let mut other = own;
    (other.ed25519, other.swarm) = (account(9).ed25519_public(), SwarmId(1 << 63));
    other.x25519 = other.ed25519.to_x25519();
    let target =
        conclave_proto::network::Directory::new("x".to_owned(), 1, now(), now(), vec![own, other]).unwrap();
    let moves = (0..=255).find(|n| target.swarm_of(account(*n).id()) == Some(other.swarm)).unwrap();
    let connection = push_server(&swarm, 0).await;
    let mut told = connection.notifications();
    let watch = subscription(moves, &[Namespace::DIRECT], false).to_dict().finish();
    monitor(&connection, &watch).await;
    swarm.write_directory(2, &[own, other]);
    let goodbye = tokio::time::timeout(Duration::from_secs(60), told.recv()).await.unwrap().unwrap();
    assert_eq!(goodbye.endpoint, "monitor_ended");
    let goodbye = bt::Value::decode(&goodbye.body).unwrap();
    assert_eq!(
        field(&goodbye, "@").and_then(bt::Value::as_bytes),
        Some(account(moves).id().as_bytes().as_slice())
    );
    assert_eq!(field(&goodbye, "errcode").and_then(bt::Value::as_u64), Some(6));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quic_a_wait_is_answered_like_any_request() {
    let swarm = Swarm::start(1).await;
    let connection = push_server(&swarm, 0).await;
    swarm.rpc_bytes(0, &store_of(1, "quick").to_json_body()).await;
    let request = Request::ConclaveWait(wait(1, None, 20_000));
    let deadline = Deadline::after(Duration::from_secs(60));
    let body = request.to_json().to_string();
    let answer =
        connection.request(Lane::Commands, "conclave_wait", body.as_bytes(), deadline).await.unwrap();
    let (status, result) = read_reply_frame(&answer).unwrap();
    assert_eq!((status, texts(&result)), (200, vec!["quick".to_owned()]));
    swarm.stop().await;
}
