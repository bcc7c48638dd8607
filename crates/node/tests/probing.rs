//! Nodes test each other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::Swarm;
use conclave_crypto::Ed25519Public;
use conclave_node::{Hooks, Node};

async fn result(node: &Node, of: &Ed25519Public) -> bool {
    let known = async {
        loop {
            if let Some((passed, _)) = node.reports().results().get(of) {
                return *passed;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), known).await.expect("it is tested")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_answers_on_every_way_passes() {
    let mut swarm = Swarm::listed(&[0, 0]);
    // The other one first: a node begins to test as soon as it runs.
    swarm.run(1, Hooks::default()).await;
    swarm.run(0, Hooks::default()).await;
    assert!(result(&swarm.nodes[1], &swarm.listed[1].ed25519).await);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there_or_has_only_one_way_fails() {
    let mut swarm = Swarm::listed(&[0, 0]);
    swarm.run(0, Hooks::default()).await;
    assert!(!result(&swarm.nodes[0], &swarm.listed[1].ed25519).await);
    swarm.stop().await;

    // Its QUIC port is listed wrongly: HTTPS alone is not enough.
    let mut swarm = Swarm::listed(&[0, 0]);
    swarm.run(1, Hooks::default()).await;
    let mut wrong = swarm.listed.clone();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    wrong[1].quic_port = free;
    swarm.write_directory(2, &wrong);
    swarm.run(0, Hooks::default()).await;
    assert!(!result(&swarm.nodes[1], &swarm.listed[1].ed25519).await);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_s_key_on_the_port_fails() {
    let mut swarm = Swarm::listed(&[0, 0, 0]);
    swarm.run(1, Hooks::default()).await;
    // The list says that node 2 is where node 1 is.
    let mut wrong = swarm.listed.clone();
    (wrong[2].https_port, wrong[2].quic_port) = (wrong[1].https_port, wrong[1].quic_port);
    (wrong[1].https_port, wrong[1].quic_port) = (1, 1);
    swarm.write_directory(2, &wrong);
    swarm.run(0, Hooks::default()).await;
    assert!(!result(&swarm.nodes[1], &swarm.listed[2].ed25519).await);
    swarm.stop().await;
}
