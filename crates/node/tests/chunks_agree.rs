//! Members of a swarm come to keep the same chunks, whatever they missed, and chunks move with their swarm.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::Swarm;
use common::chunks::{data, deleting, file_key, in_days, renewing, storing};
use conclave_node::Hooks;
use conclave_proto::SwarmId;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::rpc::chunk::ChunkAnswer;
use conclave_proto::rpc::{ChunkRequest, Request};

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            // Nothing tells a test that a node has compared.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What a node answers to a write; at least it has done it.
async fn done(swarm: &Swarm, node: usize, request: ChunkRequest) {
    let body = Request::ConclaveChunk(request).to_json_body();
    let (status, answer) = swarm.rpc_bytes(node, &body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn got(swarm: &Swarm, node: usize, hash: &ChunkHash) -> Option<ChunkAnswer> {
    let body = Request::ConclaveChunk(ChunkRequest::Get(*hash)).to_json_body();
    let (_, answer) = swarm.rpc_bytes(node, &body).await;
    ChunkAnswer::from_json(hash, &answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_gets_what_it_missed_and_loses_what_was_deleted() {
    let mut swarm = Swarm::start(3).await;
    let key = file_key(1);
    let [kept, gone, missed, both, shared] = [1, 2, 3, 4, 5].map(|n| data(n, 20_000));
    let of = |data: &Vec<u8>| ChunkHash::of(data);
    for data in [&kept, &gone, &shared] {
        done(&swarm, 0, storing(data, &key, in_days(2))).await;
    }
    done(&swarm, 0, storing(&shared, &file_key(2), in_days(1))).await;
    swarm.nodes.pop().unwrap().shutdown().await;
    done(&swarm, 0, storing(&missed, &key, in_days(3))).await;
    done(&swarm, 1, storing(&both, &key, in_days(3))).await;
    // It has never heard of what is stored and deleted while it is away.
    done(&swarm, 1, deleting(&[of(&gone), of(&both), of(&shared)], &key)).await;
    let later = in_days(9);
    done(&swarm, 1, renewing(&[of(&kept)], &key, later)).await;
    swarm.run(2, Hooks::default()).await;
    until("the member catches up", async || {
        let renewed = got(&swarm, 2, &of(&kept)).await.unwrap().expiry == later;
        renewed && swarm.chunk_file(2, &of(&missed)).exists() && !swarm.chunk_file(2, &of(&gone)).exists()
    })
    .await;
    assert_eq!(std::fs::read(swarm.chunk_file(2, &of(&missed))).unwrap(), missed);
    assert!(swarm.chunk_file(2, &of(&shared)).exists(), "another key is promised it");
    // Nor did anybody get back from it what was deleted.
    for node in 0..3 {
        assert!(!swarm.chunk_file(node, &of(&gone)).exists() && !swarm.chunk_file(node, &of(&both)).exists());
    }
    let again = |data| Request::ConclaveChunk(storing(data, &key, in_days(2))).to_json_body();
    until("it refuses what was deleted while it was away", async || {
        swarm.rpc_bytes(2, &again(&both)).await.0 == 410
    })
    .await;
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_disk_is_filled_again() {
    let mut swarm = Swarm::start(2).await;
    let all: Vec<Vec<u8>> = (0..20).map(|n| data(n, 1_000)).collect();
    for data in &all {
        done(&swarm, 0, storing(data, &file_key(1), in_days(2))).await;
    }
    swarm.nodes.pop().unwrap().shutdown().await;
    let folder = swarm.config(1).data_dir;
    std::fs::remove_dir_all(folder.join("chunks")).unwrap();
    // The list alone is left: it knows what it lacks.
    swarm.run(1, Hooks::default()).await;
    until("all come back", async || {
        all.iter().all(|data| swarm.chunk_file(1, &ChunkHash::of(data)).exists())
    })
    .await;
    swarm.nodes.pop().unwrap().shutdown().await;
    std::fs::remove_dir_all(folder.join("chunks")).unwrap();
    for file in ["chunks.sqlite", "chunks.sqlite-wal", "chunks.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    swarm.run(1, Hooks::default()).await;
    until("all come back", async || {
        all.iter().all(|data| swarm.chunk_file(1, &ChunkHash::of(data)).exists())
    })
    .await;
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_move_with_their_swarm_and_leave_where_they_do_not_belong_any_more() {
    let mut swarm = Swarm::listed(&[0, 0, 0, 0]);
    let all = swarm.listed.clone();
    // The last two are not in the network yet.
    swarm.write_directory(2, &all[..2]);
    swarm.run(0, Hooks::default()).await;
    swarm.run(1, Hooks::default()).await;
    let chunks: Vec<Vec<u8>> = (0..30).map(|n| data(n, 2_000)).collect();
    for data in &chunks {
        done(&swarm, 0, storing(data, &file_key(1), in_days(2))).await;
        done(&swarm, 1, storing(data, &file_key(2), in_days(3))).await;
    }
    let gone = data(99, 2_000);
    done(&swarm, 0, storing(&gone, &file_key(1), in_days(2))).await;
    // Two come, as a swarm of their own, which takes half of everything.
    let mut moved = all.clone();
    moved.iter_mut().skip(2).for_each(|node| node.swarm = SwarmId(1 << 63));
    swarm.write_directory(3, &moved);
    swarm.run(2, Hooks::default()).await;
    swarm.run(3, Hooks::default()).await;
    let swarms = [SwarmId(0), SwarmId(1 << 63)];
    let belongs = |node: usize, data: &Vec<u8>| ChunkHash::of(data).swarm(&swarms) == Some(moved[node].swarm);
    assert!(chunks.iter().any(|data| belongs(0, data)) && chunks.iter().any(|data| belongs(2, data)));
    until("each has what belongs to it and nothing else", async || {
        (0..4).all(|node| {
            chunks
                .iter()
                .all(|data| swarm.chunk_file(node, &ChunkHash::of(data)).exists() == belongs(node, data))
        })
    })
    .await;
    for data in &chunks {
        let hash = ChunkHash::of(data);
        for node in (0..4).filter(|node| belongs(*node, data)) {
            assert_eq!(got(&swarm, node, &hash).await.unwrap().data, *data);
        }
    }
    // Both promises came along: one ends, the other holds.
    let data = chunks.iter().find(|data| belongs(2, data)).unwrap();
    let hash = ChunkHash::of(data);
    done(&swarm, 2, deleting(&[hash], &file_key(1))).await;
    assert!(got(&swarm, 3, &hash).await.is_some());
    done(&swarm, 2, deleting(&[hash], &file_key(2))).await;
    assert!(got(&swarm, 3, &hash).await.is_none());
    swarm.stop().await;
}
