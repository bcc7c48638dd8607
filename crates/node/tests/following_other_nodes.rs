//! A node without the operator's file: how it comes into a network, hears of newer directories, and leaves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Swarm, account, node_secret, store_of};
use conclave_crypto::Ed25519Public;
use conclave_node::status::{State, Status, answers};
use conclave_node::{Hooks, Node, NodeConfig, Observer, Received, Unlisted};
use conclave_proto::SnodeRecord;
use conclave_proto::network::{DIRECTORY_COMMAND, DirectoryPoll, DirectoryPollAnswer, NetworkFile, Seed};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane};
use tokio::sync::{mpsc, watch};

/// So long may anything take. Nothing is said about speed: it keeps a broken test from hanging.
const LIMIT: Duration = Duration::from_secs(60);

async fn height(node: &Node, height: u64) {
    let mut views = node.views();
    let newer = views.wait_for(|view| view.directory().height >= height);
    tokio::time::timeout(LIMIT, newer).await.expect("it is heard of").unwrap();
}

fn without_file(swarm: &Swarm, index: usize) -> NodeConfig {
    NodeConfig { directory: None, ..swarm.config(index) }
}

/// Rewrites the network file that all nodes of the test read.
fn set_seeds(swarm: &Swarm, seeds: Vec<Seed>) {
    let path = swarm.config(0).network;
    let mut network = NetworkFile::from_json(&std::fs::read(&path).unwrap()).unwrap();
    network.seeds = seeds;
    std::fs::write(path, network.to_json()).unwrap();
}

fn url_seed(swarm: &Swarm, node: &SnodeRecord) -> Seed {
    let url = format!("https://{}:{}/json_rpc", node.ip, node.https_port);
    Seed::SignedList { url, pubkey_ed25519: swarm.registry_key() }
}

fn quic_seed(node: &SnodeRecord) -> Seed {
    Seed::Quic { address: (node.ip, node.quic_port).into(), ed25519: node.ed25519 }
}

/// Who said which height of directory it has.
struct Polls(watch::Sender<Vec<(Ed25519Public, u64)>>);

impl Observer for Polls {
    fn received(&self, what: Received<'_>) {
        if let Received::Quic { endpoint: DIRECTORY_COMMAND, key, body, .. } = what {
            let height = DirectoryPoll::decode(body).unwrap().height;
            self.0.send_modify(|seen| seen.push((key, height)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_until_it_is_listed_and_starts_by_itself() {
    for over_quic in [false, true] {
        let mut swarm = Swarm::listed(&[0, 0]);
        let both = swarm.listed.clone();
        swarm.write_directory(2, &both[..1]);
        let seed = if over_quic { quic_seed(&both[0]) } else { url_seed(&swarm, &both[0]) };
        set_seeds(&swarm, vec![seed]);

        let config = without_file(&swarm, 1);
        let (tell, mut told) = mpsc::unbounded_channel();
        let starting = tokio::spawn({
            let config = config.clone();
            async move {
                let mut waiting = |unlisted: &Unlisted| tell.send(unlisted.clone()).unwrap();
                Node::start_when_listed(&config, Hooks::default(), &mut waiting).await.unwrap()
            }
        });
        // The seed is not there yet, which is no reason to give up.
        let unlisted = told.recv().await.unwrap();
        assert_eq!((unlisted.node, unlisted.height), (both[1].ed25519, None));
        assert!(unlisted.trouble.is_some_and(|text| text.contains("no seed of the network")));
        swarm.run(0, Hooks::default()).await;
        let unlisted = tokio::time::timeout(LIMIT, told.recv()).await.expect("it looks again").unwrap();
        assert_eq!((unlisted.height, unlisted.trouble), (Some(2), None));
        let status = Status::read(&config.data_dir).unwrap().unwrap();
        assert_eq!((status.state, status.height), (State::Waiting, Some(2)));
        assert!(conclave_node::is_running(&config.data_dir), "it holds its folder while it waits");

        swarm.write_directory(3, &both);
        let node = tokio::time::timeout(LIMIT, starting).await.expect("it is listed").unwrap();
        assert_eq!(node.view().directory().height, 3);
        assert_eq!(told.recv().await, None, "nothing more is said");
        assert!(answers(node.addresses().https, &both[1].ed25519).await);
        assert!(!answers(node.addresses().https, &both[0].ed25519).await, "another key");
        let mut views = swarm.nodes[0].views();
        views.wait_for(|view| view.directory().height == 3).await.unwrap();
        swarm.nodes.push(node);
        let status = Status::read(&config.data_dir).unwrap().unwrap();
        assert_eq!((status.state, status.swarm.as_deref()), (State::Listed, Some("0")));
        assert_eq!(status.members[0].node, both[0].ed25519.to_hex());
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_directory_is_told_to_the_swarm_and_passed_on() {
    // Each is the only one of its swarm but the first two; the third hears from outside its swarm.
    let mut swarm = Swarm::listed(&[0, 0, 1 << 63]);
    let polls = Arc::new(Polls(watch::Sender::new(Vec::new())));
    set_seeds(&swarm, vec![url_seed(&swarm, &swarm.listed[0])]);
    swarm.run(0, Hooks::default()).await;
    for index in [1, 2] {
        let observer = Some(Arc::clone(&polls) as Arc<dyn Observer>);
        let hooks = Hooks { observer, ..Hooks::default() };
        swarm.nodes.push(common::start(&without_file(&swarm, index), hooks).await);
    }
    swarm.write_directory(5, &swarm.listed);
    for node in &swarm.nodes {
        height(node, 5).await;
    }
    // The keeper of the file asks nobody: what it says, it says to tell.
    let mut seen = polls.0.subscribe();
    let told = seen.wait_for(|seen| seen.contains(&(swarm.listed[0].ed25519, 5)));
    tokio::time::timeout(LIMIT, told).await.expect("it tells what it has").unwrap();
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_seeds_and_file_keepers_the_last_directory_is_lived_on() {
    let mut swarm = Swarm::listed(&[0]);
    swarm.run(0, Hooks::default()).await;
    swarm.nodes.pop().unwrap().shutdown().await;
    let node = common::start(&without_file(&swarm, 0), Hooks::default()).await;
    assert_eq!(node.view().directory().height, 1);
    swarm.nodes.push(node);
    let (status, _) = swarm.rpc_bytes(0, &store_of(1, "as before").to_json_body()).await;
    assert_eq!(status, 200);
    swarm.stop().await;
}

async fn poll(connection: &Connection, height: u64) -> DirectoryPollAnswer {
    let body = DirectoryPoll { height }.encode();
    let deadline = Deadline::after(LIMIT);
    let answer = connection.request(Lane::Commands, DIRECTORY_COMMAND, &body, deadline).await.unwrap();
    DirectoryPollAnswer::decode(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_claims_to_know_more_is_asked_and_not_believed() {
    let mut swarm = Swarm::listed(&[0, 0]);
    let both = swarm.listed.clone();
    set_seeds(&swarm, vec![quic_seed(&both[1])]);
    // The directory it starts with comes from a file, which it then does without.
    swarm.run(0, Hooks::default()).await;
    swarm.nodes.pop().unwrap().shutdown().await;
    swarm.nodes.push(common::start(&without_file(&swarm, 0), Hooks::default()).await);

    let endpoint = Endpoint::dialler(&node_secret(1)).unwrap();
    let address = (both[0].ip, both[0].quic_port).into();
    let connection = endpoint.dial(address, both[0].ed25519, Alpn::Node).await.unwrap();
    let answer = poll(&connection, 0).await;
    assert_eq!(answer.height, 1);
    assert!(answer.newer.is_some(), "who has less is given more");
    for claimed in [1, 99, u64::MAX] {
        assert_eq!(poll(&connection, claimed).await, DirectoryPollAnswer { height: 1, newer: None });
    }
    let nonsense = connection.request(Lane::Commands, DIRECTORY_COMMAND, b"99", Deadline::after(LIMIT)).await;
    assert!(nonsense.is_err());
    let (status, _) = swarm.rpc_bytes(0, &store_of(1, "as before").to_json_body()).await;
    assert_eq!((status, swarm.nodes[0].view().directory().height), (200, 1));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_removed_tells_where_accounts_are_until_it_is_listed_again() {
    let mut swarm = Swarm::listed(&[0, 0]);
    let both = swarm.listed.clone();
    set_seeds(&swarm, vec![url_seed(&swarm, &both[0])]);
    swarm.run(0, Hooks::default()).await;
    swarm.nodes.push(common::start(&without_file(&swarm, 1), Hooks::default()).await);
    let request = store_of(1, "before").to_json_body();
    assert_eq!(swarm.rpc_bytes(1, &request).await.0, 200);

    swarm.write_directory(2, &both[..1]);
    height(&swarm.nodes[1], 2).await;
    let view = swarm.nodes[1].view();
    assert!(!view.is_listed() && !view.is_ours(account(1).id()));
    assert_eq!(view.others().count(), 0);
    let (status, answer) = swarm.rpc_bytes(1, &request).await;
    let members = answer["snodes"].as_array().unwrap();
    assert_eq!((status, members.len()), (421, 1), "{answer}");
    assert_eq!(members[0]["pubkey_ed25519"], both[0].ed25519.to_hex());
    // The other one stores alone, and does not wait for it.
    let (status, answer) = swarm.rpc_bytes(0, &store_of(1, "after").to_json_body()).await;
    assert_eq!((status, answer["swarm"].as_object().unwrap().len()), (200, 1), "{answer}");

    swarm.write_directory(3, &both);
    height(&swarm.nodes[1], 3).await;
    assert!(swarm.nodes[1].view().is_listed());
    assert_eq!(swarm.rpc_bytes(1, &request).await.0, 200);
    // What stands there when a node has stopped is what it knew last.
    swarm.nodes.pop().unwrap().shutdown().await;
    let data_dir = swarm.config(1).data_dir;
    let status = Status::read(&data_dir).unwrap().unwrap();
    assert_eq!((status.state, status.height), (State::Listed, Some(3)));
    assert!(!conclave_node::is_running(&data_dir));
    swarm.stop().await;
}
