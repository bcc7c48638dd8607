//! A file in the swarms of a real network: cut, stored, had and deleted over paths of three hops.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::in_process::InProcess;
use conclave_crypto::Ed25519Secret;
use conclave_node::{Clock as _, Hooks, SystemClock};
use conclave_onion::request::{Destination, seal};
use conclave_proto::SnodeRecord;
use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash, Manifest};
use conclave_proto::rpc::chunk::{ChunkAnswer, ChunkChange, ChunkStore, ChunkSwarmAnswer};
use conclave_proto::rpc::{ChunkRequest, Request};
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Target};
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;

/// Asks a node through three others.
async fn ask(nodes: &[SnodeRecord], to: &SnodeRecord, request: &ChunkRequest) -> (u16, Value) {
    let others = nodes.iter().filter(|node| node.ed25519 != to.ed25519);
    let skipped = OsRng.next_u32() as usize % nodes.len();
    let hops: Vec<SnodeRecord> = others.cycle().skip(skipped).take(3).copied().collect();
    let body = Request::ConclaveChunk(request.clone()).to_json_body();
    let sealed = seal(&hops, Destination::Snode { node: to, body: &body }, &mut OsRng).unwrap();
    let guard = Target::node((hops[0].ip, hops[0].https_port).into());
    let deadline = Deadline::after(Duration::from_secs(60));
    let client = Client::new();
    let posted = client.post(&guard, "/onion_req/v2", "application/json", sealed.body, deadline);
    let reply = posted.await.unwrap();
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    let reply = sealed.reply.open_snode(&reply.body).unwrap();
    (reply.status, reply.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_cut_stored_by_its_swarms_had_from_every_member_and_deleted() {
    let net = InProcess::start(10, |_| Hooks::default()).await;
    let view = net.nodes[0].view();
    let directory = view.directory();
    let nodes = directory.nodes();
    assert_eq!(directory.swarms().len(), 2);
    let members = |hash: &ChunkHash| -> Vec<SnodeRecord> {
        directory.members(hash.swarm(directory.swarms()).unwrap()).copied().collect()
    };
    let mut blob = vec![0; 9 * CHUNK_SIZE + 12_345];
    OsRng.fill_bytes(&mut blob);
    let key = Ed25519Secret::generate(&mut OsRng);
    let expiry = SystemClock.now().plus(Duration::from_secs(14 * 86_400));
    let hashes: Vec<ChunkHash> = blob.chunks(CHUNK_SIZE).map(ChunkHash::of).collect();
    let manifest = Manifest::new(blob.len() as u64, hashes).unwrap();
    let list = manifest.encode();
    for data in blob.chunks(CHUNK_SIZE).chain([&list[..]]) {
        let hash = ChunkHash::of(data);
        let members = members(&hash);
        let store = ChunkStore { hash, data: data.to_vec(), key: key.public(), expiry };
        let request = ChunkRequest::Store(store);
        let (status, answer) = ask(nodes, &members[OsRng.next_u32() as usize % 5], &request).await;
        assert_eq!(status, 200, "{answer}");
        let answer = ChunkSwarmAnswer::from_json(&answer).unwrap();
        assert_eq!(answer.done_by(&request, members.iter().map(|node| node.ed25519)).count(), 5);
    }
    // Who has nothing but the id gets the same file, whichever members are asked.
    for member in 0..5 {
        let get = async |hash: ChunkHash| {
            let (status, answer) = ask(nodes, &members(&hash)[member], &ChunkRequest::Get(hash)).await;
            assert_eq!(status, 200, "{answer}");
            ChunkAnswer::from_json(&hash, &answer).unwrap()
        };
        let id = manifest.id();
        let list = get(id.manifest()).await;
        assert_eq!(list.expiry, expiry);
        let mut got = Vec::new();
        for hash in Manifest::read(&id, &list.data).unwrap().chunks() {
            got.extend(get(*hash).await.data);
        }
        assert!(got == blob);
    }
    let hash = manifest.chunks()[0];
    let delete = ChunkChange::signed(vec![hash], &key, None, SystemClock.now());
    let members = members(&hash);
    assert_eq!(ask(nodes, &members[0], &ChunkRequest::Change(delete)).await.0, 200);
    for member in &members {
        assert_eq!(ask(nodes, member, &ChunkRequest::Get(hash)).await.0, 404);
    }
    net.stop().await;
}
