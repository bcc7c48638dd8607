//! Requests for servers through real hops: what the server gets, what comes back, and what nodes never dial
//! (storage-and-onion 6.4, 6.5). Servers listen on loopback and are listed in `proxy_allow`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::Swarm;
use conclave_crypto::X25519Pair;
use conclave_crypto::channel::EncType;
use conclave_node::{Hooks, Resolved, Resolver};
use conclave_onion::peel;
use conclave_onion::request::{Destination, SealedRequest, Server as Place, seal, seal_with_cipher};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{base64, combined};
use conclave_transport::http::{self, HeaderMap, HeaderValue, Incoming, Options, Reply, Server};
use conclave_transport::https::{self, Certificate, Response};
use rand_core::OsRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Headers, path and body of a request.
type Got = (HeaderMap, String, Vec<u8>);

/// A server that reads onion requests, and keeps what it got.
struct Community {
    server: Server,
    certificate: Certificate,
    key: X25519Pair,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Community {
    async fn start(tls: bool) -> Self {
        let certificate = Certificate::generate().unwrap();
        let (key, got) = (X25519Pair::generate(&mut OsRng), Arc::new(Mutex::new(Vec::new())));
        let (own, kept) = (key.clone(), Arc::clone(&got));
        let handler = move |incoming: Incoming| {
            let reply = answer(&own, &incoming);
            kept.lock().unwrap().push((incoming.headers, incoming.path, incoming.body.to_vec()));
            async { reply }
        };
        let server = match tls {
            true => https::listen(LOOPBACK, &certificate, Options::default(), handler).await.unwrap(),
            false => http::listen(LOOPBACK, Options::default(), handler).await.unwrap(),
        };
        Self { server, certificate, key, got }
    }

    fn port(&self) -> u16 {
        self.server.local_addr().port()
    }

    fn place(&self, https: bool) -> Place {
        Place {
            host: "localhost".to_owned(),
            port: self.port(),
            https,
            target: "/oxen/v4/lsrpc".to_owned(),
            x25519: *self.key.public(),
        }
    }
}

/// What a community says to a v4 request: it repeats it.
fn answer(key: &X25519Pair, incoming: &Incoming) -> Reply {
    let Ok((payload, sealer)) = peel::open_at_server(key, &incoming.body) else { return Reply::reason(400) };
    let request = V4Request::decode(&payload).unwrap();
    let body = format!("{} {} {}", request.method, request.endpoint, String::from_utf8_lossy(&request.body));
    let reply = V4Reply {
        code: 201,
        headers: [("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())].into(),
        body: body.into_bytes(),
    };
    let sealed = sealer.seal_raw(&reply.encode(), &mut OsRng);
    Reply::new(200, "application/octet-stream", sealed)
        .with_header("x-of-the-server".parse().unwrap(), HeaderValue::from_static("1"))
}

/// Nodes that pass requests on to these servers, and believe these certificates.
async fn swarm(
    count: usize,
    allowed: &[String],
    certificates: &[&Certificate],
    resolver: Option<Arc<dyn Resolver>>,
) -> Swarm {
    let mut swarm = Swarm::listed(&vec![0; count]);
    let pem: String = certificates.iter().map(|certificate| certificate.certificate_pem()).collect();
    let file = swarm.directory_file().with_file_name("authorities.pem");
    std::fs::write(&file, pem).unwrap();
    for index in 0..count {
        let mut config = swarm.config(index);
        config.proxy_allow = allowed.iter().map(|server| server.parse().unwrap()).collect();
        config.proxy_authorities = (!certificates.is_empty()).then(|| file.clone());
        let mut hooks = Hooks::default();
        if let Some(resolver) = &resolver {
            hooks.resolver = Arc::clone(resolver);
        }
        swarm.nodes.push(common::start(&config, hooks).await);
    }
    swarm
}

async fn ask(swarm: &Swarm, sealed: &SealedRequest) -> Response {
    swarm.post(0, "/onion_req/v2", sealed.body.clone()).await
}

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/storage-onion.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v4_request_reaches_its_server_through_three_hops_and_the_answer_comes_back() {
    let community = Community::start(true).await;
    let listed = [format!("localhost:{}", community.port())];
    let swarm = swarm(3, &listed, &[&community.certificate], None).await;
    let place = community.place(true);
    for (name, body) in [("request_no_body", &b""[..]), ("request_with_body", b"hello")] {
        let request = V4Request {
            method: "GET".into(),
            endpoint: "/room/x".into(),
            headers: [].into(),
            body: body.to_vec(),
        };
        let known = vectors()["onion_v4_payload"][name].as_str().unwrap().as_bytes().to_vec();
        assert_eq!(request.encode(), known, "as the vector has it");
        for cipher in [EncType::XChaCha20, EncType::AesGcm] {
            let destination = Destination::Server { server: &place, request: &request };
            let sealed = seal_with_cipher(cipher, &swarm.listed, destination, &mut OsRng).unwrap();
            let response = ask(&swarm, &sealed).await;
            assert_eq!(response.status, 200, "{:?}", response.body);
            let reply = sealed.reply.open_server(&response.body).unwrap();
            let expected = format!("GET /room/x {}", String::from_utf8_lossy(body));
            assert_eq!((reply.code, &reply.body[..]), (201, expected.as_bytes()));
            assert!(!response.headers.contains_key("x-of-the-server"), "headers do not travel between hops");
        }
    }
    let got = std::mem::take(&mut *community.got.lock().unwrap());
    assert_eq!(got.len(), 4);
    for (headers, path, body) in &got {
        assert_eq!(path, "/oxen/v4/lsrpc");
        assert_eq!(headers["content-type"], "application/octet-stream");
        assert_eq!(headers["user-agent"], "Oxen Storage Server/2.11.0");
        assert_eq!(headers["host"], listed[0]);
        // Length, blob and JSON of the layer, unchanged: routing and all.
        let layer = combined::decode(body).unwrap();
        assert_eq!(layer.control["host"], "localhost");
        assert_eq!(layer.control["target"], "/oxen/v4/lsrpc");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_given_the_whole_plaintext_and_its_neighbour_gets_its_headers() {
    let community = Community::start(false).await;
    let listed = [format!("localhost:{}", community.port())];
    let swarm = swarm(1, &listed, &[], None).await;
    // The vector's layer, for this server; without TLS, as it says.
    let cases = vectors()["onion_inner_dispatch"]["cases"].clone();
    let case = cases.as_array().unwrap().iter().find(|case| case["protocol"] == "http").unwrap();
    let plaintext = hex::decode(case["plaintext_hex"].as_str().unwrap()).unwrap();
    let vector = combined::decode(&plaintext).unwrap();
    let mut control = Value::Object(vector.control.clone());
    (control["host"], control["port"]) = (json!("localhost"), json!(community.port()));
    control["target"] = json!("/loki/v3/lsrpc");
    let plaintext = combined::encode(vector.body, &control);
    let own = X25519Pair::generate(&mut OsRng);
    let keys =
        conclave_crypto::channel::ChannelKeys::for_client(EncType::XChaCha20, &own, &swarm.listed[0].x25519);
    let sealed = keys.seal(&plaintext, &mut OsRng);
    let guard = json!({"ephemeral_key": own.public().to_hex(), "enc_type": "xchacha20"});
    let response = swarm.post(0, "/onion_req/v2", combined::encode(&sealed, &guard)).await;
    // What is in it is no request the server reads; it says so itself.
    assert_eq!((response.status, &response.body[..]), (400, &b"Bad Request\n"[..]));
    assert_eq!(community.got.lock().unwrap()[0].2, plaintext);

    let place = community.place(false);
    let request =
        V4Request { method: "GET".into(), endpoint: "/".into(), headers: [].into(), body: Vec::new() };
    let destination = Destination::Server { server: &place, request: &request };
    let sealed = seal(&swarm.listed, destination, &mut OsRng).unwrap();
    let response = ask(&swarm, &sealed).await;
    assert_eq!(
        (response.status, &response.headers["x-of-the-server"]),
        (200, &HeaderValue::from_static("1"))
    );
    assert_eq!(response.content_type.as_deref(), Some("application/octet-stream"));
    assert_eq!(sealed.reply.open_server(&response.body).unwrap().code, 201);
    swarm.stop().await;
}

/// A server that answers every request, after its headers, with the same bytes, and then closes or goes on saying nothing.
async fn scripted(bytes: Vec<u8>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

fn place_at(address: SocketAddr, https: bool) -> Place {
    Place {
        host: address.ip().to_string(),
        port: address.port(),
        https,
        target: "/oxen/v4/lsrpc".to_owned(),
        x25519: *X25519Pair::generate(&mut OsRng).public(),
    }
}

fn nothing() -> V4Request {
    V4Request { method: "GET".into(), endpoint: "/".into(), headers: [].into(), body: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_at_a_server_is_told_in_the_clear_and_redirections_are_not_followed() {
    let beyond = Community::start(false).await;
    let location = format!("http://127.0.0.1:{}/secret", beyond.port());
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 5\r\n\r\nmoved");
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 10_485_761);
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(10_485_800, b'x');
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc".to_vec();
    let closed = {
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
        listener.local_addr().unwrap()
    };
    let too_long = "the response is longer than 9999872 bytes";
    let cases = [
        // A relay knows no 302, and no header goes on from it.
        (scripted(redirect.into_bytes()).await, false, 500, "moved"),
        (scripted(large.into_bytes()).await, false, 502, too_long),
        (scripted(endless).await, false, 502, too_long),
        (scripted(cut).await, false, 502, "the connection was lost before the response was complete"),
        (scripted(Vec::new()).await, false, 502, "the connection was lost before the response was complete"),
        (scripted(b"\x00\x01 nonsense\r\n\r\n".to_vec()).await, false, 502, "the response is not HTTP"),
        (closed, false, 502, "connection refused"),
        (beyond.server.local_addr(), true, 502, "TLS handshake failed"),
    ];
    let mut listed: Vec<_> = cases.iter().map(|case| case.0.to_string()).collect();
    // The server that the redirection leads to would be allowed; nobody goes there all the same.
    listed.dedup();
    let swarm = swarm(2, &listed, &[], None).await;
    for (address, https, status, text) in &cases {
        let place = place_at(*address, *https);
        let request = nothing();
        let destination = Destination::Server { server: &place, request: &request };
        let sealed = seal(&swarm.listed, destination, &mut OsRng).unwrap();
        let response = ask(&swarm, &sealed).await;
        let body = String::from_utf8_lossy(&response.body);
        assert_eq!((response.status, &*body), (*status, *text), "{address}");
        assert!(!response.headers.contains_key("location"));
    }
    assert!(beyond.got.lock().unwrap().is_empty(), "the redirection was not followed, nor TLS left out");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_or_for_another_name_is_refused() {
    let (known, unknown) = (Community::start(true).await, Community::start(true).await);
    let listed = [
        format!("localhost:{}", known.port()),
        format!("localhost:{}", unknown.port()),
        format!("127.0.0.1:{}", known.port()),
    ];
    let swarm = swarm(1, &listed, &[&known.certificate], None).await;
    let ask_at = async |host: &str, community: &Community| {
        let place = Place { host: host.to_owned(), ..community.place(true) };
        let request = nothing();
        let sealed =
            seal(&swarm.listed, Destination::Server { server: &place, request: &request }, &mut OsRng)
                .unwrap();
        ask(&swarm, &sealed).await
    };
    assert_eq!(ask_at("localhost", &known).await.status, 200);
    for (host, community) in [("localhost", &unknown), ("127.0.0.1", &known)] {
        let response = ask_at(host, community).await;
        assert_eq!((response.status, &response.body[..]), (502, &b"TLS handshake failed"[..]), "{host}");
        assert_eq!(community.got.lock().unwrap().len(), usize::from(host == "127.0.0.1"), "nothing was sent");
    }
    swarm.stop().await;
}

/// Public when it is asked first, this machine ever after.
struct Rebinding(AtomicUsize);

impl Resolver for Rebinding {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
        let first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move {
            Ok(vec![if first { IpAddr::from([192, 0, 2, 1]) } else { Ipv4Addr::LOCALHOST.into() }])
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_not_public_are_refused_sealed_and_never_dialled() {
    let inside = Community::start(false).await;
    let port = inside.port();
    let resolver = Arc::new(Rebinding(AtomicUsize::new(1)));
    let swarm = swarm(3, &[], &[], Some(Arc::clone(&resolver) as Arc<dyn Resolver>)).await;
    let last = swarm.listed[2];
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "localhost.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "rebinding.example.org",
        "0.0.0.0",
        "user@127.0.0.1",
        "１２７.0.0.1",
    ];
    for host in hosts {
        let control = json!({"host": host, "port": port, "protocol": "http", "target": "/oxen/v4/lsrpc", "method": "POST"});
        // The last layer by hand: its refusal is sealed with this layer's own key.
        let own = X25519Pair::generate(&mut OsRng);
        let keys = conclave_crypto::channel::ChannelKeys::for_client(EncType::XChaCha20, &own, &last.x25519);
        let blob = keys.seal(&combined::encode(b"payload", &control), &mut OsRng);
        let guard = swarm.listed[0];
        let outer = X25519Pair::generate(&mut OsRng);
        let outer_keys =
            conclave_crypto::channel::ChannelKeys::for_client(EncType::XChaCha20, &outer, &guard.x25519);
        let routing = json!({"destination": last.ed25519.to_hex(), "ephemeral_key": own.public().to_hex(), "enc_type": "xchacha20"});
        let outer_blob = outer_keys.seal(&combined::encode(&blob, &routing), &mut OsRng);
        let entry = json!({"ephemeral_key": outer.public().to_hex(), "enc_type": "xchacha20"});
        let response = swarm.post(0, "/onion_req/v2", combined::encode(&outer_blob, &entry)).await;
        assert_eq!(response.status, 200, "{host}");
        let reply = keys.open(&base64::decode(&response.body[..]).unwrap()).unwrap();
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply, json!({"status": 400, "body": "Invalid url"}), "{host}");
    }
    assert!(inside.got.lock().unwrap().is_empty());
    assert_eq!(resolver.0.load(Ordering::Relaxed), 2, "only the one name was looked up, once");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_switch_it_off() {
    let community = Community::start(false).await;
    let mut swarm = Swarm::listed(&[0]);
    let mut config = swarm.config(0);
    config.proxy = false;
    config.proxy_allow = vec![format!("localhost:{}", community.port()).parse().unwrap()];
    swarm.nodes.push(common::start(&config, Hooks::default()).await);
    let (place, request) = (community.place(false), nothing());
    let sealed =
        seal(&swarm.listed, Destination::Server { server: &place, request: &request }, &mut OsRng).unwrap();
    let response = ask(&swarm, &sealed).await;
    assert_eq!(
        (response.status, &response.body[..]),
        (502, &b"this node does not pass requests on to servers"[..])
    );
    assert!(community.got.lock().unwrap().is_empty());
    swarm.stop().await;
}
