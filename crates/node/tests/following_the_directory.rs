//! A node and the signed directory: what it takes over while it runs, what it refuses, and on what it lives when the file
//! is away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Greetings, Swarm, account, node_secret, store_of};
use conclave_node::{Hooks, Node, NodeError, Observer};
use conclave_proto::SwarmId;
use conclave_proto::rpc::answers::SwarmAnswer;
use conclave_transport::quic::{Alpn, Endpoint};

/// Waits until a node has taken over a directory of that height.
async fn height(node: &Node, height: u64) {
    let mut views = node.views();
    let newer = views.wait_for(|view| view.directory().height >= height);
    tokio::time::timeout(Duration::from_secs(60), newer).await.expect("it is looked at").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_is_written_to() {
    let greetings = Arc::new(Greetings::default());
    let mut swarm = Swarm::listed(&[0, 0]);
    let both = swarm.listed.clone();
    swarm.write_directory(2, &both[..1]);
    let observer = Some(Arc::clone(&greetings) as Arc<dyn Observer>);
    swarm.run(0, Hooks { observer, ..Hooks::default() }).await;
    let (_, answer) = swarm.rpc_bytes(0, &store_of(1, "alone").to_json_body()).await;
    assert_eq!(answer["swarm"].as_object().unwrap().len(), 1);

    swarm.write_directory(3, &both);
    height(&swarm.nodes[0], 3).await;
    swarm.run(1, Hooks::default()).await;
    greetings.of(both[1].ed25519, 1).await;
    let request = store_of(1, "together");
    let (_, answer) = swarm.rpc_bytes(0, &request.to_json_body()).await;
    let signed = SwarmAnswer::from_json(&request, &answer).unwrap();
    assert_eq!(signed.verified(&request, &both).len(), 2, "{answer}");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_follow_the_swarms() {
    let swarm = Swarm::start(1).await;
    let mut moved = swarm.listed.clone();
    let mut other = moved[0];
    (other.ed25519, other.swarm) = (account(9).ed25519_public(), SwarmId(1 << 63));
    other.x25519 = other.ed25519.to_x25519();
    moved.push(other);
    swarm.write_directory(2, &moved);
    height(&swarm.nodes[0], 2).await;
    let view = swarm.nodes[0].view();
    let foreign = (0..=255).find(|n| !view.is_ours(account(*n).id())).unwrap();
    let (status, answer) = swarm.rpc_bytes(0, &store_of(foreign, "not here").to_json_body()).await;
    assert_eq!((status, &answer["swarm"]), (421, &"8000000000000000".into()));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_the_list_is_no_peer_any_more() {
    let mut swarm = Swarm::listed(&[0, 0]);
    swarm.run(0, Hooks::default()).await;
    let endpoint = Endpoint::dialler(&node_secret(1)).unwrap();
    let node = swarm.listed[0];
    let address = (node.ip, node.quic_port).into();
    let connection = endpoint.dial(address, node.ed25519, Alpn::Node).await.unwrap();
    swarm.write_directory(2, &swarm.listed[..1]);
    tokio::time::timeout(Duration::from_secs(60), connection.closed()).await.expect("it is closed");
    // Who comes again is not let in, and told why.
    let connection = endpoint.dial(address, node.ed25519, Alpn::Node).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), connection.closed()).await.expect("it is closed");
    assert!(connection.was_refused(), "{connection:?}");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_directory_is_refused_also_after_a_restart() {
    let mut swarm = Swarm::start(1).await;
    swarm.write_directory(5, &swarm.listed);
    height(&swarm.nodes[0], 5).await;
    swarm.nodes.pop().unwrap().shutdown().await;
    swarm.write_directory(4, &swarm.listed);
    swarm.run(0, Hooks::default()).await;
    assert_eq!(swarm.nodes[0].view().directory().height, 5);
    // One that is newer again is taken, so the older one was looked at.
    swarm.write_directory(6, &swarm.listed);
    height(&swarm.nodes[0], 6).await;
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_directory_changes_nothing_and_a_missing_one_is_no_reason_to_stop() {
    let mut swarm = Swarm::start(1).await;
    let good = std::fs::read_to_string(swarm.directory_file()).unwrap();
    swarm.nodes.pop().unwrap().shutdown().await;
    for content in
        [Some("not JSON".to_owned()), Some(good.replace("\\\"height\\\":1", "\\\"height\\\":9")), None]
    {
        match &content {
            Some(text) => std::fs::write(swarm.directory_file(), text).unwrap(),
            None => std::fs::remove_file(swarm.directory_file()).unwrap(),
        }
        assert_ne!(content.as_ref(), Some(&good), "something was changed");
        swarm.run(0, Hooks::default()).await;
        assert_eq!(swarm.nodes[0].view().directory().height, 1, "{content:?}");
        let (status, _) = swarm.rpc_bytes(0, &store_of(1, "as before").to_json_body()).await;
        assert_eq!(status, 200);
        swarm.nodes.pop().unwrap().shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_why_it_does_not_start() {
    let swarm = Swarm::listed(&[0, 0]);
    let start = async |index: usize| Node::start(&swarm.config(index), Hooks::default()).await;
    let text = |result: Result<Node, NodeError>| result.map(|_| ()).unwrap_err().to_string();

    // Somebody else has the data directory.
    let running = start(0).await.unwrap();
    assert!(text(start(0).await).contains("another process has locked"));
    running.shutdown().await;
    common::start(&swarm.config(0), Hooks::default()).await.shutdown().await;

    // No directory at all, and none known.
    std::fs::remove_file(swarm.directory_file()).unwrap();
    let error = text(start(1).await);
    assert!(error.contains("reading the directory") && error.contains("directory.json"), "{error}");

    // Not in the list.
    swarm.write_directory(2, &swarm.listed[..1]);
    let error = text(start(1).await);
    assert!(error.contains("not in the network's directory; ask its operator to add it"), "{error}");

    // A key that is none.
    std::fs::write(swarm.config(1).data_dir.join(conclave_node::KEY_FILE), "abc").unwrap();
    let error = text(start(1).await);
    assert!(error.contains("does not hold 64 hex digits"), "{error}");
}
