//! HTTPS: what a handler sees, what a client gets, and what neither can be made to do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conclave_transport::Deadline;
use conclave_transport::http::{self, HeaderValue, Incoming, Options, Reply, Server};
use conclave_transport::https::{
    self, Address, Certificate, Client, Error, MAX_RESPONSE_BODY, Target, Trust,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Answers with what it was asked; a few paths do more.
async fn echo(incoming: Incoming) -> Reply {
    match incoming.path.as_str() {
        "/misdirected" => Reply::reason(421),
        "/never" => std::future::pending().await,
        "/large" => Reply::new(200, "", vec![0; MAX_RESPONSE_BODY + 1]),
        path => {
            let kind = incoming.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
            let host = incoming.headers.get("host").map_or("", |host| host.to_str().unwrap());
            let seen = format!("{} {path} {host} {kind} {}", incoming.method, incoming.body.len());
            Reply::text(200, seen)
                .with_header("x-peer".parse().unwrap(), HeaderValue::from(incoming.peer.port()))
        }
    }
}

async fn secure(options: Options) -> (Server, Certificate) {
    let certificate = Certificate::generate().unwrap();
    (https::listen(LOOPBACK, &certificate, options, echo).await.unwrap(), certificate)
}

/// Sends raw bytes without TLS and reads until the server closes.
async fn raw(server: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_and_its_reply_arrive_whole() {
    let options = Options {
        server_header: Some(HeaderValue::from_static("Oxen Storage Server/2.11.0")),
        ..Options::default()
    };
    let (server, _) = secure(options).await;
    let mut target = Target::node(server.local_addr());
    target.host = Some("abc.snode".to_owned());
    let body = vec![7; 9_000_000];
    let response = Client::new().post(&target, "/a/b?c=d", "text/x", body, soon()).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.content_type.as_deref(), Some("text/plain"));
    assert_eq!(response.headers["server"], "Oxen Storage Server/2.11.0");
    assert_eq!(response.body, "POST /a/b?c=d abc.snode text/x 9000000");
}

#[tokio::test]
async fn connections_are_kept_and_clients_do_not_share_them() {
    let (server, _) = secure(Options::default()).await;
    let target = Target::node(server.local_addr());
    let port = async |client: &Client| {
        client.post(&target, "/", "", "", soon()).await.unwrap().headers["x-peer"].clone()
    };
    let (one, other) = (Client::new(), Client::new());
    let first = port(&one).await;
    assert_eq!(port(&one).await, first);
    assert_ne!(port(&other).await, first);
    one.forget_connections();
    assert_ne!(port(&one).await, first);
}

#[tokio::test]
async fn a_pinned_certificate_is_the_only_one_that_will_do() {
    let (server, certificate) = secure(Options::default()).await;
    let mut target = Target {
        address: Address::Name("localhost".to_owned(), server.local_addr().port()),
        host: None,
        trust: Trust::PinnedSha256(certificate.sha256()),
    };
    let client = Client::new();
    client.post(&target, "/", "", "", soon()).await.unwrap();
    target.trust = Trust::PinnedSha256([7; 32]);
    let error = client.post(&target, "/", "", "", soon()).await.unwrap_err();
    assert!(!error.is_retryable());
    let Error::PinMismatch { expected, found } = error else { panic!("{error:?}") };
    assert_eq!((expected, found), ([7; 32], certificate.sha256()));
}

#[tokio::test]
async fn a_certificate_shown_without_its_key_is_refused_even_if_any_will_do() {
    use rustls::sign::CertifiedKey;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let (shown, owned) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let key = PrivateKeyDer::from_pem_slice(owned.key_pem().as_bytes()).unwrap();
    let signer = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(shown.certificate_pem().as_bytes()).unwrap()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(CertifiedKey::new(chain, signer))));
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let target = Target::node(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
    });
    let refused = Client::new().post(&target, "/", "", "", soon()).await;
    assert!(matches!(refused, Err(Error::Tls(_))), "{refused:?}");
    assert!(!serving.await.unwrap());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_refusal_arrives() {
    let (server, _) = secure(Options::default()).await;
    let target = Target::node(server.local_addr());
    let client = Client::new();
    let just = client.post(&target, "/", "", vec![0; http::MAX_REQUEST_BODY], soon()).await.unwrap();
    assert_eq!(just.status, 200);
    let over = client.post(&target, "/", "", vec![0; http::MAX_REQUEST_BODY + 1], soon()).await.unwrap();
    assert_eq!((over.status, &over.body[..]), (413, &b"Request body too large"[..]));
    assert_eq!(over.headers["connection"], "close");
}

#[tokio::test]
async fn a_client_in_the_middle_of_its_upload_still_reads_the_refusal() {
    let options = Options { max_request_body: 10, ..Options::default() };
    let server = http::listen(LOOPBACK, options, echo).await.unwrap();
    let mut upload = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n".to_vec();
    upload.resize(upload.len() + 9_000_000, 0);
    // Larger than the sockets' buffers, so the server answers and closes before it is sent.
    let answer = raw(server.local_addr(), &upload).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_even_if_its_length_is_not_announced() {
    let options = Options { max_request_body: 10, ..Options::default() };
    let server = http::listen(LOOPBACK, options, echo).await.unwrap();
    let chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n";
    let answer = raw(server.local_addr(), chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
}

#[tokio::test]
async fn an_unreadable_length_is_a_bad_request() {
    let server = http::listen(LOOPBACK, Options::default(), echo).await.unwrap();
    let answer = raw(server.local_addr(), b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[tokio::test]
async fn reasons_are_the_networks_own() {
    let server = http::listen(LOOPBACK, Options::default(), echo).await.unwrap();
    let answer =
        raw(server.local_addr(), b"GET /misdirected HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nMisdirected Request\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_stops_in_its_headers_or_body_is_cut_off() {
    let short = Duration::from_millis(50);
    let options = Options { head_timeout: short, body_timeout: short, ..Options::default() };
    let server = http::listen(LOOPBACK, options, echo).await.unwrap();
    for begun in ["POST / HTTP/1.1\r\nhos", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12", ""] {
        // Comes back only because the server closes.
        let answer = raw(server.local_addr(), begun.as_bytes()).await;
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[tokio::test]
async fn whoever_connects_and_asks_nothing_is_cut_off() {
    let options = Options { first_request_timeout: Duration::from_millis(50), ..Options::default() };
    let server = http::listen(LOOPBACK, options, echo).await.unwrap();
    // Comes back only because the server closes, and not after the minute that a used connection may rest.
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(30), raw(server.local_addr(), b"")).await.unwrap(),
        ""
    );
}

#[tokio::test]
async fn idle_connections_make_room_when_places_are_short_and_only_then() {
    let options = Options {
        max_connections_per_address: 4,
        idle_when_crowded: Duration::from_millis(50),
        ..Options::default()
    };
    let server = http::listen(LOOPBACK, options, echo).await.unwrap();
    let idle = async || {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).await.unwrap();
        stream
    };
    let mut kept = [idle().await, idle().await];
    let mut third = idle().await;
    let mut rest = Vec::new();
    // Three of four places: one of them, or all, are closed, until no more than two are left.
    let [first, second] = &mut kept;
    let mut others = (Vec::new(), Vec::new());
    let closed = async {
        tokio::select! {
            end = third.read_to_end(&mut rest) => end.is_ok(),
            end = first.read_to_end(&mut others.0) => end.is_ok(),
            end = second.read_to_end(&mut others.1) => end.is_ok(),
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap());
}

#[tokio::test]
async fn a_client_that_never_speaks_tls_is_cut_off() {
    let options = Options { handshake_timeout: Duration::from_millis(50), ..Options::default() };
    let (server, _) = secure(options).await;
    assert_eq!(raw(server.local_addr(), b"").await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let (told, mut ended) = mpsc::unbounded_channel();
    struct TellsWhenDropped(mpsc::UnboundedSender<()>);
    impl Drop for TellsWhenDropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    impl AsRef<[u8]> for TellsWhenDropped {
        fn as_ref(&self) -> &[u8] {
            // More than the buffers of both sockets hold.
            static ZEROS: [u8; 50_000_000] = [0; 50_000_000];
            &ZEROS
        }
    }
    let options = Options { write_stall_timeout: Duration::from_millis(50), ..Options::default() };
    let server = http::listen(LOOPBACK, options, move |_| {
        let body = bytes::Bytes::from_owner(TellsWhenDropped(told.clone()));
        async { Reply::new(200, "", body) }
    })
    .await
    .unwrap();
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    ended.recv().await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let options = Options { max_connections: 1, ..Options::default() };
    let server = http::listen(LOOPBACK, options, echo).await.unwrap();
    let mut first = TcpStream::connect(server.local_addr()).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut begun = [0; 12];
    first.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let mut second = TcpStream::connect(server.local_addr()).await.unwrap();
    // Closed or reset, and neither after the 60 s of an idle connection.
    let closed = tokio::time::timeout(Duration::from_secs(30), second.read(&mut begun)).await.unwrap();
    assert!(closed.is_err() || closed.is_ok_and(|length| length == 0));
}

#[tokio::test]
async fn errors_tell_what_to_do() {
    let (server, _) = secure(Options::default()).await;
    let target = Target::node(server.local_addr());
    let client = Client::new();

    let timeout = client.post(&target, "/never", "", "", Deadline::after(Duration::from_millis(50))).await;
    let error = timeout.unwrap_err();
    assert!(matches!(error, Error::Timeout) && error.is_retryable() && error.may_have_been_processed());

    let error = client.post(&target, "/large", "", "", soon()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: MAX_RESPONSE_BODY }) && !error.is_retryable());

    let error = client.post(&target, "no path", "", "", soon()).await.unwrap_err();
    assert!(matches!(error, Error::Request(_)) && !error.may_have_been_processed());

    let gone = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let error = client.post(&Target::node(gone), "/", "", "", soon()).await.unwrap_err();
    assert!(matches!(error, Error::Refused) && error.is_retryable());

    let plain = http::listen(LOOPBACK, Options::default(), echo).await.unwrap();
    let error = client.post(&Target::node(plain.local_addr()), "/", "", "", soon()).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)) && !error.may_have_been_processed());
}

/// A server that answers one request of each connection, and tells how many it has read.
async fn one_each(certificate: &Certificate) -> (SocketAddr, Arc<AtomicUsize>, Arc<Notify>) {
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let chain = vec![CertificateDer::from_pem_slice(certificate.certificate_pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (read, close) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counts, closes) = (Arc::clone(&read), Arc::clone(&close));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.clone()));
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = [0; 4096];
            assert_ne!(stream.read(&mut head).await.unwrap(), 0);
            counts.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            stream.flush().await.unwrap();
            closes.notified().await;
            // The second request is read and not answered.
            if stream.read(&mut head).await.unwrap() > 0 {
                counts.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, read, close)
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_not_repeated() {
    let (address, read, close) = one_each(&Certificate::generate().unwrap()).await;
    let (client, target) = (Client::new(), Target::node(address));
    client.post(&target, "/", "", "", soon()).await.unwrap();
    close.notify_one();
    let error = client.post(&target, "/", "", "", soon()).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
    assert!(error.is_retryable() && error.may_have_been_processed());
    assert_eq!(read.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_unnoticed() {
    let certificate = Certificate::generate().unwrap();
    let first = https::listen(LOOPBACK, &certificate, Options::default(), echo).await.unwrap();
    let (client, target) = (Client::new(), Target::node(first.local_addr()));
    client.post(&target, "/", "", "", soon()).await.unwrap();
    first.shutdown(Duration::from_secs(10)).await;
    let _second = https::listen(*address(&target), &certificate, Options::default(), echo).await.unwrap();
    client.post(&target, "/", "", "", soon()).await.unwrap();
}

fn address(target: &Target) -> &SocketAddr {
    match &target.address {
        Address::Ip(address) => address,
        Address::Name(..) | Address::Resolved { .. } => panic!("not an address"),
    }
}

#[tokio::test]
async fn shutting_down_finishes_what_is_running() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let certificate = Certificate::generate().unwrap();
    let server = https::listen(LOOPBACK, &certificate, Options::default(), move |_| {
        let (begins, goes_on) = (Arc::clone(&begins), Arc::clone(&goes_on));
        async move {
            begins.notify_one();
            goes_on.notified().await;
            Reply::text(200, "done")
        }
    })
    .await
    .unwrap();
    let target = Target::node(server.local_addr());
    let running = {
        let target = target.clone();
        tokio::spawn(async move { Client::new().post(&target, "/", "", "", soon()).await })
    };
    begun.notified().await;
    let ending = tokio::spawn(server.shutdown(Duration::from_secs(30)));
    go_on.notify_one();
    assert_eq!(running.await.unwrap().unwrap().body, "done");
    ending.await.unwrap();
    let error = Client::new().post(&target, "/", "", "", soon()).await.unwrap_err();
    assert!(matches!(error, Error::Refused), "{error:?}");
}

#[tokio::test]
async fn shutting_down_is_bounded() {
    let (server, _) = secure(Options::default()).await;
    let target = Target::node(server.local_addr());
    let client = Client::new();
    // The connection is there, so the next request is running when the shutdown begins or is refused.
    client.post(&target, "/", "", "", soon()).await.unwrap();
    let asking = {
        let (client, target) = (client.clone(), target.clone());
        tokio::spawn(async move { client.post(&target, "/never", "", "", soon()).await })
    };
    server.shutdown(Duration::from_millis(100)).await;
    asking.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_listeners_are_where_they_were_asked_to_be() {
    let (server, _) = secure(Options::default()).await;
    assert!(server.local_addr().ip().is_loopback());
    let plain = http::listen(LOOPBACK, Options::default(), echo).await.unwrap();
    assert!(plain.local_addr().ip().is_loopback());
}
