//! Servers known by name alone: whose certificate is believed, where is dialled, and how much may come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_transport::Deadline;
use conclave_transport::http::{self, HeaderMap, HeaderValue, Incoming, Options, Reply, Server};
use conclave_transport::https::{
    self, Address, Authorities, Certificate, CertificateError, Client, Error, Post, Target, Trust,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::sync::Semaphore;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// An authority of nobody but these tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn client(&self) -> Client {
        Client::with_authorities(Authorities::web_and(&[self.0.pem()]).unwrap())
    }

    fn issue(&self, name: &str, years: std::ops::Range<i32>) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certificate::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap()
    }
}

async fn server(certificate: &Certificate) -> Server {
    https::listen(LOOPBACK, certificate, Options::default(), answer).await.unwrap()
}

async fn answer(incoming: Incoming) -> Reply {
    match incoming.path.as_str() {
        "/elsewhere" => Reply::text(302, "moved")
            .with_header("location".parse().unwrap(), HeaderValue::from_static("https://127.0.0.1/secret")),
        "/large" => Reply::new(200, "", vec![7; 1001]),
        "/exact" => Reply::new(200, "", vec![7; 1000]),
        _ => {
            let header = |name: &str| incoming.headers.get(name).map_or("-", |value| value.to_str().unwrap());
            Reply::text(201, format!("{} {} {}", header("host"), header("user-agent"), incoming.body.len()))
        }
    }
}

fn named(name: &str, at: SocketAddr, trust: Trust) -> Target {
    Target { address: Address::Resolved { name: name.to_owned(), at }, host: Some(name.to_owned()), trust }
}

fn post(path: &str) -> Post {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("a node"));
    Post { path: path.to_owned(), headers, body: Bytes::from_static(b"body"), max_response: 1000, room: None }
}

#[tokio::test]
async fn a_server_is_believed_for_its_own_name_and_dialled_where_the_caller_says() {
    let authority = Authority::new();
    let server = server(&authority.issue("chat.example.org", 2020..2100)).await;
    let client = authority.client();
    // The name leads nowhere; only the address given is dialled.
    let target = named("chat.example.org", server.local_addr(), Trust::Authority);
    let response = client.send(&target, post("/"), soon()).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (201, &b"chat.example.org a node 4"[..]));

    let target = named("other.example.org", server.local_addr(), Trust::Authority);
    assert!(matches!(client.send(&target, post("/"), soon()).await, Err(Error::Tls(_))), "another name");
    let target = Target {
        address: Address::Ip(server.local_addr()),
        host: Some("chat.example.org".into()),
        trust: Trust::Authority,
    };
    assert!(matches!(client.send(&target, post("/"), soon()).await, Err(Error::Tls(_))), "its address");
}

#[tokio::test]
async fn certificates_of_others_and_of_other_times_are_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (certificate, why) in [
        (other.issue("chat.example.org", 2020..2100), "another authority"),
        (authority.issue("chat.example.org", 2020..2021), "long past"),
        (authority.issue("chat.example.org", 2090..2100), "not yet"),
        (Certificate::generate().unwrap(), "nobody's word but its own"),
    ] {
        let server = server(&certificate).await;
        let target = named("chat.example.org", server.local_addr(), Trust::Authority);
        let refused = authority.client().send(&target, post("/"), soon()).await;
        assert!(matches!(refused, Err(Error::Tls(_))), "{why}: {refused:?}");
        let unknown = Client::new().send(&target, post("/"), soon()).await;
        assert!(matches!(unknown, Err(Error::Tls(_))), "a client without authorities believes nobody");
    }
    assert!(matches!(Authorities::web_and(&["no certificate"]), Err(CertificateError::Pem(_))));
}

#[tokio::test]
async fn a_redirection_is_a_response_like_any_other() {
    let authority = Authority::new();
    let server = server(&authority.issue("chat.example.org", 2020..2100)).await;
    let target = named("chat.example.org", server.local_addr(), Trust::Authority);
    let response = authority.client().send(&target, post("/elsewhere"), soon()).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (302, &b"moved"[..]));
    assert_eq!(response.headers["location"], "https://127.0.0.1/secret");
}

#[tokio::test]
async fn without_tls_only_where_it_is_asked_for() {
    let server = http::listen(LOOPBACK, Options::default(), answer).await.unwrap();
    let target = named("chat.example.org", server.local_addr(), Trust::Nobody);
    let response = Client::new().send(&target, post("/"), soon()).await.unwrap();
    assert_eq!(response.status, 201);
    let target = named("chat.example.org", server.local_addr(), Trust::Authority);
    let refused = Authority::new().client().send(&target, post("/"), soon()).await;
    assert!(matches!(refused, Err(Error::Tls(_))), "{refused:?}");
}

#[tokio::test]
async fn a_response_is_bounded_by_itself_and_by_the_room_for_all() {
    let authority = Authority::new();
    let server = server(&authority.issue("chat.example.org", 2020..2100)).await;
    let target = named("chat.example.org", server.local_addr(), Trust::Authority);
    let client = authority.client();
    let large = client.send(&target, post("/large"), soon()).await;
    assert!(matches!(large, Err(Error::TooLarge { limit: 1000 })), "{large:?}");

    let room = Arc::new(Semaphore::new(1500));
    let exact = Post { room: Some(Arc::clone(&room)), ..post("/exact") };
    let held = client.send(&target, exact.clone(), soon()).await.unwrap().body;
    assert_eq!((held.len(), room.available_permits()), (1000, 500));
    let refused = client.send(&target, exact.clone(), soon()).await;
    assert!(matches!(refused, Err(Error::NoRoom)), "{refused:?}");
    let part = held.slice(..10);
    drop(held);
    assert_eq!(room.available_permits(), 500, "a part of it keeps it");
    drop(part);
    assert_eq!(room.available_permits(), 1500);
    assert_eq!(client.send(&target, exact, soon()).await.unwrap().body.len(), 1000);
}
