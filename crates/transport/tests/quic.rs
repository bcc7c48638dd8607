//! QUIC with raw keys: who gets in, and that every request gets its own answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Secret;
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, DialError, Endpoint, Lane, Options, Pool, RequestError};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn key(number: u8) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[number; 32])
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Echoes the body behind the endpoint's name; `fail` fails, `panic` panics, `never` does not answer.
fn echo(listed: &[u8]) -> Options {
    let listed: Vec<_> = listed.iter().map(|number| key(*number).public()).collect();
    Options {
        handler: Arc::new(|_, endpoint, body| {
            Box::pin(async move {
                match endpoint.as_str() {
                    "fail" => Err("no".into()),
                    "panic" => panic!("asked to"),
                    "never" => std::future::pending().await,
                    _ => Ok([endpoint.as_bytes(), b":", &body].concat().into()),
                }
            })
        }),
        is_node: Arc::new(move |key| listed.contains(key)),
        on_node: Arc::new(|_| ()),
    }
}

#[tokio::test]
async fn a_hundred_requests_on_several_lanes_each_get_their_own_answer() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let client = Endpoint::dialler(&key(2)).unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Node).await.unwrap();
    let lanes = [Lane::Commands, Lane::Data, Lane::Onion(0), Lane::Onion(3)];
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..100usize {
        let connection = connection.clone();
        asked.spawn(async move {
            let body = vec![number as u8; 1 + number * 977];
            let answer = connection.request(lanes[number % 4], "echo", &body, soon()).await.unwrap();
            assert_eq!(answer, [b"echo:", &body[..]].concat());
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    assert!(matches!(
        connection.request(Lane::Commands, "fail", b"", soon()).await,
        Err(RequestError::Remote(body)) if body == Bytes::from("no")
    ));
    assert!(matches!(
        connection.request(Lane::Commands, "panic", b"", soon()).await,
        Err(RequestError::Remote(body)) if body.starts_with(b"An error occurred")
    ));
    let given_up = Deadline::after(Duration::from_millis(1));
    assert!(matches!(
        connection.request(Lane::Commands, "never", b"", given_up).await,
        Err(RequestError::Timeout)
    ));
    connection.request(Lane::Commands, "echo", b"still there", soon()).await.unwrap();
}

#[tokio::test]
async fn a_server_with_another_key_is_refused() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[])).unwrap();
    let client = Endpoint::dialler(&key(2)).unwrap();
    let dialled = client.dial(server.local_addr().unwrap(), key(3).public(), Alpn::Client).await;
    assert!(matches!(dialled, Err(DialError::Handshake(_))), "{dialled:?}");
}

#[tokio::test]
async fn only_listed_keys_get_in_as_nodes_and_any_key_as_client() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let address = server.local_addr().unwrap();
    let stranger = Endpoint::dialler(&key(9)).unwrap();
    // The handshake itself is over before the server has looked at the key; the first request is not.
    let refused = match stranger.dial(address, key(1).public(), Alpn::Node).await {
        Ok(connection) => connection.request(Lane::Commands, "echo", b"", soon()).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    let connection = stranger.dial(address, key(1).public(), Alpn::Client).await.unwrap();
    connection.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
}

#[tokio::test]
async fn a_frame_larger_than_allowed_ends_its_stream_and_nothing_else() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let client = Endpoint::dialler(&key(2)).unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Node).await.unwrap();
    let oversized = vec![0; 10_000_001];
    let refused = connection.request(Lane::Data, "echo", &oversized, soon()).await;
    assert!(matches!(refused, Err(RequestError::Closed(_))), "{refused:?}");
    connection.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    connection.request(Lane::Data, "echo", b"", soon()).await.unwrap();
}

#[tokio::test]
async fn a_dead_peer_fails_fast_the_second_time_and_comes_back_when_it_calls() {
    let pool = Arc::new(Pool::new());
    let adopting = Arc::clone(&pool);
    let options = Options { on_node: Arc::new(move |connection| adopting.adopt(connection)), ..echo(&[1]) };
    let client = Endpoint::listen(LOOPBACK, &key(2), options).unwrap();
    let dead = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let target = (key(1).public(), dead.local_addr().unwrap());
    let patience = || Deadline::after(Duration::from_secs(60));
    let first = pool.request(&client, target, Lane::Commands, ("echo", b""), patience()).await;
    assert!(matches!(first, Err(RequestError::Dial(DialError::Timeout))), "{first:?}");
    assert!(pool.is_down(&key(1).public()));
    let second = pool.request(&client, target, Lane::Commands, ("echo", b""), patience()).await;
    assert!(matches!(second, Err(RequestError::Dial(DialError::Down))), "{second:?}");

    let peer = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let calls = peer.dial(client.local_addr().unwrap(), key(2).public(), Alpn::Node).await.unwrap();
    calls.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    assert!(!pool.is_down(&key(1).public()));
    pool.request(&client, target, Lane::Commands, ("echo", b""), patience()).await.unwrap();
}

#[tokio::test]
async fn shutting_down_ends_every_connection() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let client = Endpoint::dialler(&key(2)).unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Node).await.unwrap();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(Lane::Commands, "never", b"", soon()).await }
    });
    connection.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    server.shutdown(Duration::from_secs(5)).await;
    assert!(matches!(waiting.await.unwrap(), Err(RequestError::Closed(_))));
    connection.closed().await;
}
