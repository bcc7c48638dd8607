//! What each node really learns from one message, found out by looking at everything nodes receive and decrypt.
//!
//! The path of the message is followed backwards: the member that found the store request inside the last layer; the hop
//! that had peeled that layer; and so on to the hop that got it from the client. On that chain the promises of
//! `docs/threat-model.md` are checked. Controls show that the check sees what is there to be seen, and that it
//! fails for a client with a one-hop path.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::in_process::InProcess;
use conclave_client::types::MessageState;
use conclave_client::{Client, ClientOptions, PathConfig};
use conclave_crypto::{AccountId, Ed25519Public};
use conclave_node::{Hooks, Observer, Received};

/// Something one node received, or found inside.
#[derive(Clone, Debug)]
enum Seen {
    Https { peer: SocketAddr, path: String, headers: String, body: Vec<u8> },
    Quic { peer: SocketAddr, key: Ed25519Public, endpoint: String, body: Vec<u8> },
    Layer { sealed: Vec<u8>, destination: Ed25519Public, layer: Vec<u8> },
    Request { sealed: Vec<u8>, body: Vec<u8> },
}

impl Seen {
    /// All bytes of it.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Https { path, headers, body, .. } => [path.as_bytes(), headers.as_bytes(), body].concat(),
            Self::Quic { endpoint, body, .. } => [endpoint.as_bytes(), body].concat(),
            Self::Layer { destination, layer, .. } => [&destination.as_bytes()[..], layer].concat(),
            Self::Request { body, .. } => body.clone(),
        }
    }

    /// Whether it is something a client asks of a node directly: to pass a layer on, or for the first node list.
    fn is_as_guard_or_seed(&self) -> bool {
        match self {
            Self::Https { path, .. } => ["/onion_req/v2", "/json_rpc"].contains(&path.as_str()),
            Self::Quic { endpoint, .. } => ["onion_req", "conclave_directory"].contains(&endpoint.as_str()),
            _ => true,
        }
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<Seen>>);

impl Observer for Log {
    fn received(&self, what: Received<'_>) {
        let seen = match what {
            Received::Https { peer, path, headers, body } => {
                Seen::Https { peer, path: path.to_owned(), headers, body: body.to_vec() }
            }
            Received::Quic { peer, key, endpoint, body, .. } => {
                Seen::Quic { peer, key, endpoint: endpoint.to_owned(), body: body.to_vec() }
            }
            Received::PeeledLayer { sealed, destination, layer } => {
                Seen::Layer { sealed: sealed.to_vec(), destination, layer: layer.to_vec() }
            }
            Received::PeeledRequest { sealed, body } => {
                Seen::Request { sealed: sealed.to_vec(), body: body.to_vec() }
            }
            _ => return,
        };
        self.0.lock().unwrap().push(seen);
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Whether bytes name an account: as hex, or its key raw.
fn names(bytes: &[u8], account: &AccountId) -> bool {
    contains(bytes, account.to_hex().as_bytes()) || contains(bytes, account.key_bytes())
}

/// The address of the client that sent this: over HTTPS, or over QUIC with a key that is no node's.
fn from_client(network: &InProcess, item: &Seen) -> Option<SocketAddr> {
    match item {
        // Nodes test each other this way; no client does.
        Seen::Https { path, .. } if path == "/ping_test/v1" => None,
        Seen::Https { peer, .. } => Some(*peer),
        Seen::Quic { peer, key, .. } => {
            let is_node = network.nodes.iter().any(|node| node.view().own().ed25519 == *key);
            (!is_node).then_some(*peer)
        }
        _ => None,
    }
}

/// The nodes a message went through, first to last, as indices.
struct Chain {
    hops: Vec<usize>,
    /// The client's end of the connection to the first hop.
    client: SocketAddr,
    /// The outermost layer.
    outermost: Vec<u8>,
}

/// Follows the one store request that names `recipient` back to where it came in: from the layer it was in, to the hop
/// that passed exactly that layer on, to the layer that was in, and so on.
fn chain(network: &InProcess, logs: &[Arc<Log>], recipient: &AccountId) -> Chain {
    let seen: Vec<Vec<Seen>> = logs.iter().map(|log| log.0.lock().unwrap().clone()).collect();
    let key = |node: usize| network.nodes[node].view().own().ed25519;
    let find = |wanted: &dyn Fn(&Seen) -> Option<Vec<u8>>| {
        seen.iter()
            .enumerate()
            .find_map(|(node, items)| items.iter().find_map(wanted).map(|found| (node, found)))
    };
    let (last, mut sealed) = find(&|item| match item {
        Seen::Request { sealed, body } if names(body, recipient) && contains(body, b"\"store\"") => {
            Some(sealed.clone())
        }
        _ => None,
    })
    .expect("somebody found the store request in a layer");
    let mut hops = vec![last];
    while let Some((node, outer)) = find(&|item| match item {
        Seen::Layer { sealed: outer, destination, layer }
            if *layer == sealed && *destination == key(hops[0]) =>
        {
            Some(outer.clone())
        }
        _ => None,
    }) {
        hops.insert(0, node);
        sealed = outer;
    }
    let client = seen[hops[0]]
        .iter()
        .find_map(|item| from_client(network, item).filter(|_| contains(&item.bytes(), &sealed)))
        .expect("the first hop got the outermost layer from a client");
    Chain { hops, client, outermost: sealed }
}

/// The promises of the threat model. An error names the one that is broken.
fn promises(
    network: &InProcess,
    logs: &[Arc<Log>],
    chain: &Chain,
    people: &[AccountId],
) -> Result<(), String> {
    let seen: Vec<Vec<Seen>> = logs.iter().map(|log| log.0.lock().unwrap().clone()).collect();
    let last = network.nodes[*chain.hops.last().unwrap()].view().own().ed25519;

    // What the guard made of this message: a layer for somebody else than the one it is for.
    let guarded = seen[chain.hops[0]].iter().find_map(|item| match item {
        Seen::Layer { sealed, destination, .. } if *sealed == chain.outermost => Some(*destination),
        _ => None,
    });
    if guarded == Some(last) {
        return Err("the guard knows which node the message is for, and so its swarm".into());
    }
    // All that any node ever got from a client, or peeled of it, names nobody.
    let clients: Vec<SocketAddr> =
        seen.iter().flatten().filter_map(|item| from_client(network, item)).collect();
    for (node, item) in
        seen.iter().enumerate().flat_map(|(node, items)| items.iter().map(move |item| (node, item)))
    {
        let is_near_a_client = from_client(network, item).is_some() || matches!(item, Seen::Layer { .. });
        if is_near_a_client && people.iter().any(|person| names(&item.bytes(), person)) {
            return Err(format!("node {node} got an account together with a client's address"));
        }
        if from_client(network, item).is_some() && !item.is_as_guard_or_seed() {
            return Err(format!("node {node} was spoken to by a client other than as its guard"));
        }
        // Nor did one node tell another.
        for client in &clients {
            if contains(&item.bytes(), client.to_string().as_bytes()) {
                return Err(format!("node {node} was told a client's address"));
            }
        }
    }
    Ok(())
}

/// Sends one message from one new account to another and gives the network, what its nodes saw, and who is concerned.
async fn one_message(paths: PathConfig) -> (InProcess, Vec<Arc<Log>>, Chain, Vec<AccountId>, Client) {
    let logs: Vec<Arc<Log>> = (0..10).map(|_| Arc::new(Log::default())).collect();
    let network = InProcess::start(10, |node| Hooks {
        observer: Some(Arc::clone(&logs[node]) as Arc<dyn Observer>),
        ..Hooks::default()
    })
    .await;
    // One path, so that there is one guard to look at.
    let mut paths = paths;
    paths.paths = 1;
    let options = ClientOptions { paths, ..ClientOptions::default() };
    let bob = network.client("bob", ClientOptions { online: false, ..options.clone() });
    let bob_id = AccountId::from_hex(&bob.account().await.unwrap().account_id).unwrap();
    let alice = network.client("alice", options);
    let alice_id = AccountId::from_hex(&alice.account().await.unwrap().account_id).unwrap();
    let sent = alice.send_text(&bob_id, "who knows this?").await.unwrap();
    let state = alice.wait_for(&sent.id, MessageState::Stored, Duration::from_secs(60)).await.unwrap();
    assert_eq!(state.state, MessageState::Stored, "{state:?}");
    alice.shutdown().await;
    let chain = chain(&network, &logs, &bob_id);
    (network, logs, chain, vec![alice_id, bob_id], bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_never_has_the_account_and_the_swarm_never_has_the_address() {
    let (network, logs, chain, people, _bob) = one_message(PathConfig::default()).await;
    assert_eq!(chain.hops.len(), 4, "three hops and the destination: {:?}", chain.hops);
    promises(&network, &logs, &chain, &people).unwrap();

    // Controls: what is there to be seen is seen.
    let guard = logs[chain.hops[0]].0.lock().unwrap().clone();
    assert!(guard.iter().any(|item| from_client(&network, item) == Some(chain.client)));
    let last = *chain.hops.last().unwrap();
    let member = logs[last].0.lock().unwrap().clone();
    assert!(member.iter().any(|item| matches!(item, Seen::Request { body, .. } if names(body, &people[1]))));
    let view = network.nodes[last].view();
    let others = (0..10).filter(|n| {
        let seen = logs[*n].0.lock().unwrap();
        seen.iter().any(|item| {
            matches!(item, Seen::Quic { endpoint, body, .. } if endpoint == "storage_cc" && names(body, &people[1]))
        })
    });
    assert_eq!(others.count(), view.others().count(), "the whole swarm got a copy, and the test saw it");
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_one_hop_path_breaks_the_promise_and_is_caught() {
    let (network, logs, chain, people, _bob) = one_message(PathConfig::with_hops(1)).await;
    assert_eq!(chain.hops.len(), 2, "{:?}", chain.hops);
    let broken = promises(&network, &logs, &chain, &people).unwrap_err();
    assert!(broken.contains("the guard knows which node the message is for"), "{broken}");
    network.stop().await;
}
