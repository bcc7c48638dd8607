//! What strangers may try: slow and half-open connections by the thousand, bodies too large, clocks that leap. The node goes
//! on for everybody else, and sheds the rest.
//!
//! With `CONCLAVE_LONG=1` a million half-open handshakes, ten thousand at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")] // all of 127/8 is this machine there, so that strangers have addresses of their own

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use common::{Swarm, now, signed_retrieve, store_of, texts};
use conclave_crypto::Ed25519Secret;
use conclave_node::{Clock, Hooks};
use conclave_proto::Timestamp;
use conclave_testkit::seeds::is_long;
use conclave_transport::Deadline;
use conclave_transport::quic::{Alpn, Endpoint, Lane, RequestError};
use rand_core::OsRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Places there are for connections, in all and for one address.
const PLACES: usize = 4_096;
const PLACES_PER_ADDRESS: usize = 512;

async fn measured_node() -> Swarm {
    let mut swarm = Swarm::listed(&[0]);
    let mut config = swarm.config(0);
    config.metrics = Some((Ipv4Addr::LOCALHOST, 0).into());
    swarm.nodes.push(common::start(&config, Hooks::default()).await);
    swarm
}

/// A figure of the operator's.
async fn figure(swarm: &Swarm, line: &str) -> usize {
    let mut stream = TcpStream::connect(swarm.nodes[0].addresses().metrics.unwrap()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let found = answer.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line}")).parse().unwrap()
}

/// Waits until a figure is as it should be. Only a node that never gets there is late.
async fn until(swarm: &Swarm, line: &str, fine: impl Fn(usize) -> bool) {
    let waited = async {
        while !fine(figure(swarm, line).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = Duration::from_secs(120);
    assert!(
        tokio::time::timeout(within, waited).await.is_ok(),
        "{line} stays at {}",
        figure(swarm, line).await
    );
}

async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

async fn is_served(swarm: &Swarm) {
    let info = json!({"method": "info", "params": {}});
    assert_eq!(swarm.rpc(0, &info).await.0, 200);
    let node = swarm.listed[0];
    let endpoint = Endpoint::client().unwrap();
    let connection =
        endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Client).await.unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    connection.request(Lane::Commands, "info", b"", deadline).await.unwrap();
}

/// The strangers' addresses.
fn stranger(number: usize) -> Ipv4Addr {
    let [_, high, low] = [0, (number >> 8) as u8, number as u8];
    Ipv4Addr::new(127, 200 + (high & 15), low, 9)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_say_anything_take_their_address_share_and_no_more() {
    let swarm = measured_node().await;
    let address = swarm.nodes[0].addresses().https;
    const STRANGERS: usize = 5;
    let mut silent = Vec::new();
    for number in 0..STRANGERS {
        for _ in 0..PLACES_PER_ADDRESS + 100 {
            silent.push(connect_from(stranger(number), address).await.unwrap());
        }
    }
    until(&swarm, "conclave_connections_refused_total{transport=\"https\"}", |refused| {
        refused >= STRANGERS * 100
    })
    .await;
    let taken = figure(&swarm, "conclave_connections{transport=\"https\"}").await;
    assert!(taken <= STRANGERS * PLACES_PER_ADDRESS, "{taken}");
    is_served(&swarm).await;
    drop(silent);
    until(&swarm, "conclave_connections{transport=\"https\"}", |open| open < 10).await;
    is_served(&swarm).await;
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_drip_in_hold_up_nobody() {
    let swarm = measured_node().await;
    let address = swarm.nodes[0].addresses().https;
    let mut dripping = JoinSet::new();
    for number in 0..300 {
        dripping.spawn(async move {
            // A TLS client hello, byte by byte; and what is no TLS at all.
            let mut stream = connect_from(stranger(number % 3), address).await.unwrap();
            let bytes: &[u8] =
                if number % 2 == 0 { &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3] } else { b"GET / HTTP/1.1\r\n" };
            for byte in bytes {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            stream
        });
    }
    let mut open = Vec::new();
    while let Some(stream) = dripping.join_next().await {
        open.push(stream.unwrap());
    }
    for _ in 0..20 {
        is_served(&swarm).await;
    }
    drop(open);
    is_served(&swarm).await;
    swarm.stop().await;
}

/// Carries what clients send to a node and nothing back: their handshakes stay half-open.
async fn one_way(from: Ipv4Addr, to: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let outside = UdpSocket::bind((from, 0)).await.unwrap();
    let address = inside.local_addr().unwrap();
    let carrying = tokio::spawn(async move {
        let mut datagram = vec![0; 2_000];
        while let Ok(length) = inside.recv(&mut datagram).await {
            // A full queue loses some, as wires do.
            let _ = outside.send_to(&datagram[..length], to).await;
        }
    });
    (address, carrying)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_quic_handshakes_take_their_address_share_and_no_more() {
    let swarm = measured_node().await;
    let node = swarm.listed[0];
    let target: SocketAddr = (node.ip, node.quic_port).into();
    let strangers = if is_long() { 9 } else { 4 };
    let mut dials = JoinSet::new();
    let mut carriers = Vec::new();
    for number in 0..strangers {
        let (address, carrying) = one_way(stranger(100 + number), target).await;
        carriers.push(carrying);
        let endpoint = Arc::new(Endpoint::dialler(&Ed25519Secret::generate(&mut OsRng)).unwrap());
        for _ in 0..PLACES_PER_ADDRESS + 50 {
            let endpoint = Arc::clone(&endpoint);
            dials.spawn(async move { endpoint.dial(address, node.ed25519, Alpn::Client).await.is_err() });
        }
    }
    let mut most = 0;
    while let Some(failed) = dials.join_next().await {
        assert!(failed.unwrap(), "nothing came back, so nothing came about");
        if dials.len().is_multiple_of(300) {
            let taken = figure(&swarm, "conclave_connections{transport=\"quic\"}").await;
            most = most.max(taken);
            is_served(&swarm).await;
        }
    }
    assert!(most <= (strangers * PLACES_PER_ADDRESS).min(PLACES) + 2, "{most}");
    carriers.iter().for_each(tokio::task::JoinHandle::abort);
    is_served(&swarm).await;
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_half_open_handshakes_in_the_long_mode() {
    // In the short mode the same with fewer.
    let (total, at_once) = if is_long() { (1_000_000, 9_000) } else { (3_000, 1_500) };
    let swarm = measured_node().await;
    let address = swarm.nodes[0].addresses().https;
    let mut made = 0;
    while made < total {
        let mut open = Vec::with_capacity(at_once);
        while open.len() < at_once && made < total {
            // Past the node's places, connections are closed as soon as they are made; it is the trying that counts.
            if let Ok(stream) = connect_from(stranger(made / 400), address).await {
                open.push(stream);
            }
            made += 1;
        }
        assert!(figure(&swarm, "conclave_connections{transport=\"https\"}").await <= PLACES);
        drop(open);
        until(&swarm, "conclave_connections{transport=\"https\"}", |open| open < 100).await;
        is_served(&swarm).await;
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_frames_that_are_too_large_are_refused_and_large_ones_share_the_memory() {
    let swarm = measured_node().await;
    let node = swarm.listed[0];
    let (most, over) = (vec![b'['; 10_485_760], vec![b'['; 10_485_761]);
    let large = |path| swarm.post(0, path, most.clone());
    let answers = tokio::join!(
        large("/storage_rpc/v1"),
        large("/storage_rpc/v1"),
        large("/onion_req/v2"),
        large("/onion_req/v2"),
        large("/json_rpc"),
        large("/elsewhere"),
    );
    let (a, b, c, d, e, f) = answers;
    let statuses = [a, b, c, d, e, f].map(|answer| answer.status);
    assert_eq!(statuses, [400, 400, 400, 400, 200, 404]);
    assert_eq!(swarm.post(0, "/onion_req/v2", over).await.status, 413);

    let endpoint = Endpoint::client().unwrap();
    let connection =
        endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Client).await.unwrap();
    let soon = || Deadline::after(Duration::from_secs(60));
    for command in ["store", "retrieve", "onion_req", "batch", "nothing", "monitor"] {
        let answer = connection.request(Lane::Data, command, &most[..9_990_000], soon()).await;
        // `monitor` tells what is wrong in a reply.
        assert!(matches!(answer, Ok(_) | Err(RequestError::Remote(_))), "{command}: {answer:?}");
    }
    let answer = connection.request(Lane::Data, "store", &most, soon()).await;
    assert!(matches!(answer, Err(RequestError::TooLarge)), "{answer:?}");
    is_served(&swarm).await;
    swarm.stop().await;
}

/// A clock that somebody sets.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(now().0.saturating_add_signed(self.0.load(Ordering::Relaxed)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_is_an_error_while_it_is_wrong_and_loses_nothing() {
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    let clock = Arc::new(SetClock::default());
    let swarm = Swarm::with_hooks(&[0], |_| Hooks {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..Hooks::default()
    })
    .await;
    let stored = async |text: &str| swarm.rpc_bytes(0, &store_of(1, text).to_json_body()).await;
    assert_eq!(stored("before").await.0, 200);
    for leap in [20 * DAY, -20 * DAY, 20_000 * DAY, -40_000 * DAY, i64::MAX, i64::MIN] {
        clock.0.store(leap, Ordering::Relaxed);
        let (status, text) = stored("meanwhile").await;
        assert_eq!((status, text), (406, json!("Timestamp error: check your clock")), "{leap}");
        let (status, _) = swarm.rpc(0, &signed_retrieve(1, &json!({}))).await;
        assert_eq!(status, 406, "{leap}");
        let (status, info) = swarm.rpc(0, &json!({"method": "info", "params": {}})).await;
        assert_eq!(status, 200);
        assert!(info["timestamp"].is_u64(), "{info}");
    }
    clock.0.store(0, Ordering::Relaxed);
    assert_eq!(stored("after").await.0, 200);
    let (status, read): (u16, Value) = swarm.rpc(0, &signed_retrieve(1, &json!({}))).await;
    assert_eq!((status, texts(&read)), (200, vec!["before".to_owned(), "after".to_owned()]));
    swarm.stop().await;
}
