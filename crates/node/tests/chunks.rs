//! Chunks of files: stored by every member, handed out by every member, never other bytes than were stored.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::chunks::{DAY, data, deleting, file_key, in_days, renewing, storing};
use common::{Swarm, now};
use conclave_node::{Hooks, Misbehave, NodeConfig};
use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash};
use conclave_proto::rpc::chunk::{ChunkAnswer, ChunkSwarmAnswer};
use conclave_proto::rpc::{ChunkRequest, Request};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_is_signed_for_by_every_member_and_had_from_each() {
    let swarm = Swarm::start(5).await;
    let data = data(1, CHUNK_SIZE);
    let hash = ChunkHash::of(&data);
    assert_eq!(swarm.chunk(0, &hash).await, None);
    let expiry = in_days(14);
    let request = storing(&data, &file_key(1), expiry);
    assert_eq!(swarm.written(0, &request).await, 5);
    for node in 0..5 {
        assert_eq!(swarm.chunk(node, &hash).await, Some(ChunkAnswer { data: data.clone(), expiry }));
        assert_eq!(std::fs::read(swarm.chunk_file(node, &hash)).unwrap(), data, "each has it itself");
    }
    assert_eq!(swarm.written(3, &request).await, 5, "again, by another");
    let (_, info) = swarm.rpc(0, &json!({"method": "info", "params": {}})).await;
    let announced = info["conclave"].as_array().unwrap();
    for method in
        ["conclave_chunk_store", "conclave_chunk_get", "conclave_chunk_renew", "conclave_chunk_delete"]
    {
        assert!(announced.contains(&json!(method)), "{announced:?}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_lost_file_is_found_out_and_repaired_from_another_member() {
    let swarm = Swarm::start(5).await;
    let data = data(2, 100_000);
    let hash = ChunkHash::of(&data);
    assert_eq!(swarm.written(0, &storing(&data, &file_key(1), in_days(1))).await, 5);
    let file = swarm.chunk_file(2, &hash);
    let mut flipped = data.clone();
    flipped[50_000] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    assert_eq!(swarm.chunk(2, &hash).await.unwrap().data, data);
    assert_eq!(std::fs::read(&file).unwrap(), data, "repaired");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(swarm.chunk(2, &hash).await.unwrap().data, data);
    assert_eq!(std::fs::read(&file).unwrap(), data, "repaired");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_give_other_bytes_make_nobody_believe_them() {
    let hooks = |node| Hooks {
        misbehave: if node < 3 { Misbehave::OtherData } else { Misbehave::Honest },
        ..Hooks::default()
    };
    let swarm = Swarm::with_hooks(&[0; 5], hooks).await;
    let data = data(3, 5_000);
    let hash = ChunkHash::of(&data);
    assert_eq!(swarm.written(4, &storing(&data, &file_key(1), in_days(1))).await, 5);
    // An honest one that has lost its copy asks liars, and takes the true bytes of the one that is not.
    std::fs::remove_file(swarm.chunk_file(4, &hash)).unwrap();
    assert_eq!(swarm.chunk(4, &hash).await.unwrap().data, data);
    assert_eq!(std::fs::read(swarm.chunk_file(4, &hash)).unwrap(), data);
    // A liar's answer is not the chunk, and that can be seen.
    let (status, answer) = swarm.over_onions(0, &ChunkRequest::Get(hash)).await;
    assert_eq!((status, ChunkAnswer::from_json(&hash, &answer)), (200, None));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_lengthens_and_never_beyond_what_is_allowed() {
    let swarm = Swarm::start(5).await;
    let (data, other, key) = (data(4, 3_000), data(5, 10), file_key(1));
    let (hash, unknown) = (ChunkHash::of(&data), ChunkHash::of(&other));
    let first = in_days(2);
    assert_eq!(swarm.written(0, &storing(&data, &key, first)).await, 5);
    let later = in_days(20);
    assert_eq!(swarm.written(1, &renewing(&[hash], &key, later)).await, 5);
    assert_eq!(swarm.written(1, &renewing(&[hash], &key, first)).await, 5, "to what it is already");
    for node in 0..5 {
        assert_eq!(swarm.chunk(node, &hash).await.unwrap().expiry, later);
    }
    assert_eq!(swarm.written(1, &renewing(&[hash], &key, in_days(400))).await, 5);
    let most = swarm.chunk(2, &hash).await.unwrap().expiry;
    assert!(most > in_days(29) && most <= in_days(31), "{most}");
    // Of what is not kept under the key nothing is said to be done.
    for request in [renewing(&[hash], &file_key(2), later), renewing(&[hash, unknown], &key, later)] {
        let (_, answer) = swarm.over_onions(0, &request).await;
        let answer = ChunkSwarmAnswer::from_json(&answer).unwrap();
        let of_key = request.hashes().len() - 1;
        assert!(answer.0.values().all(|done| done.as_ref().unwrap().hashes.len() == of_key), "{answer:?}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_leaves_every_disk_and_does_not_come_back_under_its_key() {
    let swarm = Swarm::start(5).await;
    let (data, key) = (data(6, 3_000), file_key(1));
    let hash = ChunkHash::of(&data);
    let request = storing(&data, &key, in_days(2));
    assert_eq!(swarm.written(0, &request).await, 5);
    assert_eq!(swarm.written(0, &storing(&data, &file_key(2), in_days(1))).await, 5);
    assert_eq!(swarm.written(1, &deleting(&[hash], &key)).await, 5);
    assert!(swarm.chunk(2, &hash).await.is_some(), "another key is promised it");
    assert_eq!(swarm.written(1, &deleting(&[hash], &file_key(2))).await, 5);
    for node in 0..5 {
        assert_eq!(swarm.chunk(node, &hash).await, None);
        assert!(!swarm.chunk_file(node, &hash).exists());
    }
    assert_eq!(swarm.over_onions(3, &request).await.0, 410);
    assert_eq!(swarm.written(1, &deleting(&[hash], &key)).await, 5, "a second time, since answers get lost");
    assert_eq!(swarm.written(0, &storing(&data, &file_key(3), in_days(1))).await, 5, "a new file");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_do_not_allow_is_refused_with_its_own_status() {
    let swarm = Swarm::start(3).await;
    let (data, key) = (data(7, 30), file_key(1));
    let hash = ChunkHash::of(&data);
    let store = |data: &[u8], expiry| storing(data, &key, expiry);
    let mut wrong = store(&data, in_days(1));
    if let ChunkRequest::Store(store) = &mut wrong {
        store.hash = ChunkHash::of(b"other");
    }
    for (request, status) in [
        (wrong, 400),
        (store(&data, now().minus(DAY)), 406),
        (store(&data, in_days(31)), 406),
        (ChunkRequest::Get(hash), 404),
    ] {
        assert_eq!(swarm.over_onions(0, &request).await.0, status, "{request:?}");
    }
    let ChunkRequest::Change(change) = deleting(&[hash], &key) else { panic!() };
    let forged = conclave_proto::rpc::chunk::ChunkChange { key: file_key(2).public(), ..change.clone() };
    assert_eq!(swarm.over_onions(0, &ChunkRequest::Change(forged)).await.0, 401);
    let old = now().minus(std::time::Duration::from_secs(120));
    let old = conclave_proto::rpc::chunk::ChunkChange::signed(vec![hash], &key, None, old);
    assert_eq!(swarm.over_onions(0, &ChunkRequest::Change(old)).await.0, 406);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_swarm_names_the_members_of_the_right_one() {
    let swarm = Swarm::start_two_swarms().await;
    let view = swarm.nodes[0].view();
    let data = (0..=255)
        .map(|n| data(n, 50))
        .find(|data| ChunkHash::of(data).swarm(view.directory().swarms()) == Some(view.own().swarm));
    let request = storing(&data.unwrap(), &file_key(1), in_days(1));
    let body = Request::ConclaveChunk(request.clone()).to_json_body();
    let (status, answer) = swarm.rpc_bytes(1, &body).await;
    assert_eq!(status, 421);
    assert_eq!(answer["snodes"][0]["pubkey_ed25519"], json!(view.own().ed25519.to_hex()));
    assert_eq!(swarm.rpc_bytes(0, &body).await.0, 200);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_keeps_no_chunks_says_so_and_announces_nothing() {
    let swarm = Swarm::listed(&[0]);
    let config = NodeConfig { max_chunk_bytes: 0, ..swarm.config(0) };
    let mut swarm = swarm;
    swarm.nodes.push(common::start(&config, Hooks::default()).await);
    let (_, info) = swarm.rpc(0, &json!({"method": "info", "params": {}})).await;
    assert_eq!(info["conclave"], json!(["conclave_directory", "conclave_wait"]));
    let request = storing(b"data", &file_key(1), in_days(1));
    let (status, text) = swarm.rpc_bytes(0, &Request::ConclaveChunk(request).to_json_body()).await;
    assert_eq!((status, text), (501, json!("this node keeps no chunks of files")));
    assert!(!config.data_dir.join("chunks").exists());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_there_after_a_restart() {
    let mut swarm = Swarm::start(2).await;
    let data = data(8, 9_000);
    let hash = ChunkHash::of(&data);
    let direct = |request: &ChunkRequest| Request::ConclaveChunk(request.clone()).to_json_body();
    assert_eq!(swarm.rpc_bytes(0, &direct(&storing(&data, &file_key(1), in_days(1)))).await.0, 200);
    swarm.nodes.pop().unwrap().shutdown().await;
    swarm.nodes.pop().unwrap().shutdown().await;
    swarm.run(0, Hooks::default()).await;
    let (status, answer) = swarm.rpc_bytes(0, &direct(&ChunkRequest::Get(hash))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ChunkAnswer::from_json(&hash, &answer).unwrap().data, data);
    swarm.stop().await;
}
