//! Somebody who floods a guard loses their own uploads and nobody else's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")] // all of 127/8 is this machine there, so that a stranger has an address of its own

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::Swarm;
use common::chunks::{data, file_key, in_days, storing};
use conclave_crypto::Ed25519Secret;
use conclave_node::{Hooks, NodeConfig};
use conclave_onion::request::{Destination, SealedRequest, seal};
use conclave_proto::SnodeRecord;
use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash};
use conclave_proto::rpc::chunk::ChunkSwarmAnswer;
use conclave_proto::rpc::{ChunkRequest, Request};
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane, RequestError};
use rand_core::OsRng;
use serde_json::Value;

const MIB: u64 = 1024 * 1024;

fn sealed(hops: &[SnodeRecord], request: &ChunkRequest) -> SealedRequest {
    let (last, hops) = hops.split_last().unwrap();
    let body = Request::ConclaveChunk(request.clone()).to_json_body();
    seal(hops, Destination::Snode { node: last, body: &body }, &mut OsRng).unwrap()
}

async fn dial(from: Ipv4Addr, to: &SnodeRecord) -> (Endpoint, Connection) {
    let secret = Ed25519Secret::generate(&mut OsRng);
    let endpoint = Endpoint::dialler_at((from, 0).into(), &secret).unwrap();
    let address: SocketAddr = (to.ip, to.quic_port).into();
    let connection = endpoint.dial(address, to.ed25519, Alpn::Client).await.unwrap();
    (endpoint, connection)
}

/// The status and words of what a guard answers: 200 with a sealed reply, or its refusal.
async fn ask(connection: &Connection, body: &[u8]) -> Result<bytes::Bytes, (u16, Value)> {
    let deadline = Deadline::after(Duration::from_secs(60));
    match connection.request(Lane::Data, "onion_req", body, deadline).await {
        Ok(reply) => Ok(reply),
        Err(RequestError::Remote(error)) => {
            let (code, text) = conclave_proto::rpc::answers::read_error_frame(&error).unwrap();
            Err((code, serde_json::from_slice(text).unwrap_or_default()))
        }
        Err(error) => panic!("{error}"),
    }
}

/// Waits until something has been counted more often. Only what never happens is late.
async fn more_than(count: &AtomicUsize, before: usize) {
    let counting = async {
        while count.load(Ordering::Relaxed) <= before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), counting).await.expect("the flood is refused some time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_address_does_not_stop_an_upload_from_another() {
    let mut swarm = Swarm::listed(&[0; 4]);
    for node in 0..4 {
        // A disk that the flood fills with what it may send at once.
        let config = NodeConfig {
            upload_bytes_per_second: MIB,
            upload_burst_bytes: 12 * MIB,
            max_chunk_bytes: 8 * MIB,
            ..swarm.config(node)
        };
        swarm.nodes.push(common::start(&config, Hooks::default()).await);
    }
    let hops = swarm.records_by_node();
    let stop = Arc::new(AtomicBool::new(false));
    let (let_in, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // The flood: eight at once, as fast as they are answered, always new chunks of one file for the longest time.
    let flood: Vec<_> = (0..8u8)
        .map(|flooder| {
            let (hops, stop) = (hops.clone(), Arc::clone(&stop));
            let (let_in, refused) = (Arc::clone(&let_in), Arc::clone(&refused));
            tokio::spawn(async move {
                let (_endpoint, connection) = dial(Ipv4Addr::new(127, 0, 0, 2), &hops[0]).await;
                for round in 0u32.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut data = data(flooder, CHUNK_SIZE);
                    data[..4].copy_from_slice(&round.to_be_bytes());
                    let request = sealed(&hops, &storing(&data, &file_key(99), in_days(30)));
                    match ask(&connection, &request.body).await {
                        Ok(_) => drop(let_in.fetch_add(1, Ordering::Relaxed)),
                        Err((429, words)) => {
                            assert!(words["retry_after_ms"].as_u64().unwrap() > 0, "{words}");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        // There is no place for all of them at once.
                        Err((503, _)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    more_than(&refused, 0).await;
    // Five megabytes of somebody else, one chunk after the other.
    let (_endpoint, connection) = dial(Ipv4Addr::LOCALHOST, &hops[0]).await;
    let mut hashes = Vec::new();
    for n in 0..20u8 {
        let data = data(n, CHUNK_SIZE - usize::from(n));
        let request = storing(&data, &file_key(1), in_days(14));
        let sealed = sealed(&hops, &request);
        let reply = ask(&connection, &sealed.body).await.unwrap_or_else(|refused| panic!("{refused:?}"));
        let reply = sealed.reply.open_snode(&reply).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        let answer = ChunkSwarmAnswer::from_json(&reply.body).unwrap();
        let done = answer.done_by(&request, hops.iter().map(|node| node.ed25519)).count();
        assert_eq!(done, 4, "{answer:?}");
        hashes.push((ChunkHash::of(&data), data));
    }
    // And the flood goes on.
    more_than(&refused, refused.load(Ordering::Relaxed) + 50).await;
    stop.store(true, Ordering::Relaxed);
    for flooder in flood {
        flooder.await.unwrap();
    }
    for (hash, data) in &hashes {
        for node in 0..4 {
            assert_eq!(swarm.chunk(node, hash).await.unwrap().data, *data);
        }
    }
    assert!(let_in.load(Ordering::Relaxed) > 0, "the flood was one");
    swarm.stop().await;
}
