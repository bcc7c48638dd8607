//! QUIC with raw keys: who gets in, and that every request gets its own answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::Ed25519Secret;
use conclave_transport::Deadline;
use conclave_transport::quic::{
    Alpn, Asked, Body, DialError, Endpoint, Handler, Lane, MAX_REQUEST_BYTES, MAX_RUNNING_REQUESTS, Options,
    PeerState, Pool, RequestError,
};
use tokio::sync::{Notify, mpsc};

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
    let handler: Handler = Arc::new(|Asked { endpoint, body, place, notifier, .. }| {
        Box::pin(async move {
            match endpoint.as_str() {
                "tell" => {
                    tokio::spawn(async move { notifier.notify("told", body).await });
                    Ok(Body::default())
                }
                "idle" => {
                    place.give_back();
                    std::future::pending().await
                }
                "fail" => Err("no".into()),
                "panic" => panic!("asked to"),
                "never" => std::future::pending().await,
                "too large" => Ok(vec![0; 10_000_001].into()),
                _ => Ok([endpoint.as_bytes(), b":", &body].concat().into()),
            }
        })
    });
    Options { is_node: Arc::new(move |key| listed.contains(key)), ..Options::new(handler) }
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
        Err(RequestError::Remote(body)) if body == "no"
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
    assert!(matches!(dialled, Err(DialError::WrongKey)), "{dialled:?}");
}

#[tokio::test]
async fn only_listed_keys_get_in_as_nodes_and_any_key_as_client() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let address = server.local_addr().unwrap();
    let stranger = Endpoint::dialler(&key(9)).unwrap();
    // The handshake is over for us before the server has looked at our key; the first request is not.
    let connection = stranger.dial(address, key(1).public(), Alpn::Node).await.unwrap();
    let refused = connection.request(Lane::Commands, "echo", b"", soon()).await;
    assert!(matches!(refused, Err(RequestError::Refused)), "{refused:?}");
    let connection = stranger.dial(address, key(1).public(), Alpn::Client).await.unwrap();
    connection.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_into_a_frame_is_not_sent() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let client = Endpoint::dialler(&key(2)).unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Node).await.unwrap();
    let refused = connection.request(Lane::Data, "echo", &vec![0; 10_000_001], soon()).await;
    assert!(matches!(refused, Err(RequestError::TooLarge)), "{refused:?}");
    let answer = connection.request(Lane::Data, "too large", b"", soon()).await;
    assert!(matches!(answer, Err(RequestError::Remote(_))), "{answer:?}");
    let largest = vec![7; 9_999_900];
    let answer = connection.request(Lane::Data, "echo", &largest, soon()).await.unwrap();
    assert_eq!(answer.len(), largest.len() + 5);
}

#[tokio::test]
async fn the_memory_that_requests_take_is_given_back() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[])).unwrap();
    let client = Endpoint::client().unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Client).await.unwrap();
    // Three times what one connection may hold; what leaked would stop it.
    let body = vec![1; MAX_REQUEST_BYTES / 8];
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (connection, body) = (connection.clone(), body.clone());
        let deadline = Deadline::after(Duration::from_secs(120));
        asked.spawn(async move { connection.request(Lane::Onion(number % 4), "", &body, deadline).await });
    }
    while let Some(done) = asked.join_next().await {
        assert_eq!(done.unwrap().unwrap().len(), body.len() + 1);
    }
}

/// A node that dials impatiently, and its pool, which adopts who calls.
fn impatient(number: u8, listed: &[u8]) -> (Endpoint, Arc<Pool>) {
    let pool = Arc::new(Pool::new());
    let adopting = Arc::clone(&pool);
    let options = Options {
        on_node: Arc::new(move |connection| adopting.adopt(connection)),
        dial_timeout: Duration::from_millis(100),
        ..echo(listed)
    };
    (Endpoint::listen(LOOPBACK, &key(number), options).unwrap(), pool)
}

#[tokio::test]
async fn a_dead_peer_fails_fast_the_second_time_and_comes_back_when_it_calls() {
    let (node, pool) = impatient(2, &[1]);
    let dead = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let target = (key(1).public(), dead.local_addr().unwrap());
    assert_eq!(pool.state(&target.0), PeerState::Unknown);
    let first = pool.request(&node, target, Lane::Commands, ("echo", b""), soon()).await;
    assert!(matches!(first, Err(RequestError::Dial(DialError::Timeout))), "{first:?}");
    assert!(pool.is_down(&key(1).public()));
    let second = pool.request(&node, target, Lane::Commands, ("echo", b""), soon()).await;
    assert!(matches!(second, Err(RequestError::Dial(DialError::Down))), "{second:?}");

    let peer = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let calls = peer.dial(node.local_addr().unwrap(), key(2).public(), Alpn::Node).await.unwrap();
    calls.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    assert_eq!(pool.state(&key(1).public()), PeerState::Connected);
    pool.request(&node, target, Lane::Commands, ("echo", b""), soon()).await.unwrap();
}

#[tokio::test]
async fn a_dead_peer_is_found_out_even_if_nobody_waits_for_the_dial() {
    let (node, pool) = impatient(2, &[1]);
    let dead = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let target = (key(1).public(), dead.local_addr().unwrap());
    let given_up = Deadline::after(Duration::from_millis(1));
    let first = pool.request(&node, target, Lane::Commands, ("echo", b""), given_up).await;
    assert!(matches!(first, Err(RequestError::Dial(DialError::Timeout))), "{first:?}");
    // This one waits for the dial that the first one began, and does not begin another.
    let second = pool.request(&node, target, Lane::Commands, ("echo", b""), soon()).await;
    assert!(matches!(second, Err(RequestError::Dial(DialError::Down))), "{second:?}");
}

#[tokio::test]
async fn a_peer_that_moved_is_found_at_its_new_address_at_once() {
    let (node, pool) = impatient(2, &[1]);
    let dead = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let old = (key(1).public(), dead.local_addr().unwrap());
    pool.request(&node, old, Lane::Commands, ("echo", b""), soon()).await.unwrap_err();
    let peer = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let new = (key(1).public(), peer.local_addr().unwrap());
    pool.request(&node, new, Lane::Commands, ("echo", b""), soon()).await.unwrap();
}

#[tokio::test]
async fn many_askers_share_one_connection() {
    let (told, mut connections) = mpsc::unbounded_channel();
    let options =
        Options { on_node: Arc::new(move |connection| told.send(connection).unwrap()), ..echo(&[2]) };
    let peer = Endpoint::listen(LOOPBACK, &key(1), options).unwrap();
    let (node, pool) = (Arc::new(Endpoint::dialler(&key(2)).unwrap()), Arc::new(Pool::new()));
    let target = (key(1).public(), peer.local_addr().unwrap());
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (node, pool) = (Arc::clone(&node), Arc::clone(&pool));
        asked.spawn(async move { pool.request(&node, target, Lane::Data, ("echo", b""), soon()).await });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap().unwrap();
    }
    connections.recv().await.unwrap();
    assert!(connections.try_recv().is_err(), "a second connection was dialled");
}

#[tokio::test]
async fn a_peer_that_does_not_know_us_is_left_alone_for_a_while() {
    let peer = Endpoint::listen(LOOPBACK, &key(1), echo(&[])).unwrap();
    let (node, pool) = (Endpoint::dialler(&key(2)).unwrap(), Pool::new());
    let target = (key(1).public(), peer.local_addr().unwrap());
    let first = pool.request(&node, target, Lane::Commands, ("echo", b""), soon()).await;
    assert!(matches!(first, Err(RequestError::Refused)), "{first:?}");
    let second = pool.request(&node, target, Lane::Commands, ("echo", b""), soon()).await;
    assert!(matches!(second, Err(RequestError::Dial(DialError::Down))), "{second:?}");
}

#[tokio::test]
async fn both_sides_of_a_node_connection_may_ask() {
    let (node, pool) = impatient(2, &[1]);
    let peer = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let dialled = peer.dial(node.local_addr().unwrap(), key(2).public(), Alpn::Node).await.unwrap();
    dialled.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    // Where nobody listens: only the connection the peer made can have carried this.
    let nowhere = (key(1).public(), SocketAddr::from(([127, 0, 0, 1], 9)));
    let answer = pool.request(&node, nowhere, Lane::Data, ("echo", b"back"), soon()).await.unwrap();
    assert_eq!(answer, "echo:back");
}

#[tokio::test]
async fn a_node_taken_off_the_list_loses_its_connection() {
    let listed = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::clone(&listed);
    let options =
        Options { is_node: Arc::new(move |_| asked.load(std::sync::atomic::Ordering::SeqCst)), ..echo(&[]) };
    let server = Endpoint::listen(LOOPBACK, &key(1), options).unwrap();
    let address = server.local_addr().unwrap();
    let dialler = Endpoint::dialler(&key(2)).unwrap();
    let node = dialler.dial(address, key(1).public(), Alpn::Node).await.unwrap();
    let client = dialler.dial(address, key(1).public(), Alpn::Client).await.unwrap();
    node.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    client.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    listed.store(false, std::sync::atomic::Ordering::SeqCst);
    server.recheck_nodes();
    node.closed().await;
    assert!(node.was_refused());
    client.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
}

#[tokio::test]
async fn shutting_down_delivers_what_is_running() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let handler: Handler = Arc::new(move |_| {
        let (begins, goes_on) = (Arc::clone(&begins), Arc::clone(&goes_on));
        Box::pin(async move {
            begins.notify_one();
            goes_on.notified().await;
            Ok(vec![9; 3_000_000].into())
        })
    });
    let server = Endpoint::listen(LOOPBACK, &key(1), Options::new(handler)).unwrap();
    let client = Endpoint::client().unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Client).await.unwrap();
    let asking = connection.clone();
    let running = tokio::spawn(async move { asking.request(Lane::Data, "slow", b"", soon()).await });
    begun.notified().await;
    let ending = tokio::spawn(server.shutdown(Duration::from_secs(30)));
    go_on.notify_one();
    assert_eq!(running.await.unwrap().unwrap().len(), 3_000_000);
    ending.await.unwrap();
    connection.closed().await;
}

#[tokio::test]
async fn shutting_down_is_bounded() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[2])).unwrap();
    let client = Endpoint::dialler(&key(2)).unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Node).await.unwrap();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(Lane::Commands, "never", b"", soon()).await }
    });
    connection.request(Lane::Commands, "echo", b"", soon()).await.unwrap();
    server.shutdown(Duration::from_millis(200)).await;
    assert!(matches!(waiting.await.unwrap(), Err(RequestError::Closed(_))));
    connection.closed().await;
}

#[tokio::test]
async fn a_handler_ends_with_the_connection_of_its_asker() {
    for close in [true, false] {
        a_handler_ends(close).await;
    }
}

/// By closing, or by dropping everything that holds the connection.
async fn a_handler_ends(close: bool) {
    struct TellsWhenDropped(mpsc::UnboundedSender<()>);
    impl Drop for TellsWhenDropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (told, mut dropped) = mpsc::unbounded_channel();
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    let handler: Handler = Arc::new(move |_| {
        let (held, begins) = (TellsWhenDropped(told.clone()), Arc::clone(&begins));
        Box::pin(async move {
            let _held = held;
            begins.notify_one();
            std::future::pending().await
        })
    });
    let server = Endpoint::listen(LOOPBACK, &key(1), Options::new(handler)).unwrap();
    let client = Endpoint::client().unwrap();
    let connection = client.dial(server.local_addr().unwrap(), key(1).public(), Alpn::Client).await.unwrap();
    let asking = connection.clone();
    let asked = tokio::spawn(async move { asking.request(Lane::Commands, "x", b"", soon()).await });
    begun.notified().await;
    if close {
        connection.close();
        asked.await.unwrap().unwrap_err();
    } else {
        asked.abort();
        asked.await.unwrap_err();
        drop(connection);
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), dropped.recv()).await;
    ended.expect("long before the idle timeout").unwrap();
}

#[tokio::test]
async fn the_sockets_are_where_they_were_asked_to_be() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[])).unwrap();
    assert!(server.local_addr().unwrap().ip().is_loopback());
    let dialler = Endpoint::dialler_at(LOOPBACK, &key(2)).unwrap();
    assert!(dialler.local_addr().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn a_server_can_tell_a_client_something_on_its_first_stream() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[])).unwrap();
    let client = Endpoint::client().unwrap();
    let address = server.local_addr().unwrap();
    let connection = client.dial(address, key(1).public(), Alpn::Client).await.unwrap();
    let mut told = connection.notifications();
    connection.request(Lane::Commands, "first", b"", soon()).await.unwrap();
    // Asked for on another stream, it comes on the first.
    for body in [b"one", b"two"] {
        connection.request(Lane::Data, "tell", body, soon()).await.unwrap();
        let told = told.recv().await.unwrap();
        assert_eq!((told.endpoint.as_str(), &told.body[..]), ("told", &body[..]));
    }
    let answer = connection.request(Lane::Commands, "still", b"!", soon()).await.unwrap();
    assert_eq!(answer, "still:!");
}

#[tokio::test]
async fn requests_that_only_wait_take_no_place_from_those_that_work() {
    let server = Endpoint::listen(LOOPBACK, &key(1), echo(&[])).unwrap();
    let client = Endpoint::client().unwrap();
    let address = server.local_addr().unwrap();
    let connection = client.dial(address, key(1).public(), Alpn::Client).await.unwrap();
    let waiting: Vec<_> = (0..MAX_RUNNING_REQUESTS + 10)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.request(Lane::Commands, "idle", b"", soon()).await })
        })
        .collect();
    for number in 0..10 {
        let answer = connection.request(Lane::Commands, "work", &[number], soon()).await.unwrap();
        assert_eq!(answer, [b"work:", &[number][..]].concat());
    }
    for wait in waiting {
        wait.abort();
    }
}
