//! Which requests are passed on, and where they are dialled. No socket is opened but on loopback.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use conclave_transport::http::{self, Incoming, Options, Reply, Server};

use super::*;

const OWN: Ipv4Addr = Ipv4Addr::new(11, 12, 13, 14);

/// Answers differently each time it is asked, and counts.
struct Scripted {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.iter().map(|answer| answer.to_vec()).collect(),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Resolver for Scripted {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let answer = self.answers.get(number).ok_or_else(|| io::Error::other("asked too often"))?;
            Ok(answer.iter().map(|address| address.parse().unwrap()).collect())
        })
    }
}

fn proxy(allowed: &[&str], resolver: Arc<dyn Resolver>) -> Proxy {
    let settings = Settings {
        on: true,
        allowed: allowed.iter().map(|server| server.parse().unwrap()).collect(),
        authorities: Authorities::web(),
        user_agent: HeaderValue::from_static("a node"),
        max_response: 1_000,
    };
    Proxy::new(settings, resolver)
}

fn target(host: &str, port: u16) -> ServerTarget {
    ServerTarget { host: host.to_owned(), port, https: false, target: "/oxen/v4/lsrpc".to_owned() }
}

async fn addresses(proxy: &Proxy, host: &str, port: u16) -> Result<Vec<IpAddr>, Refused> {
    let host = Host::parse(host).ok_or(Refused::NotAllowed)?;
    proxy.addresses(&AllowedServer { host, port }, OWN).await
}

async fn is_refused(host: &str, resolved: &[&'static str]) -> bool {
    let proxy = proxy(&[], Scripted::new(&[resolved]));
    let passed = proxy.pass_on(&target(host, 443), Vec::new(), OWN).await;
    matches!(passed, Err(Refused::NotAllowed))
}

#[tokio::test]
async fn every_spelling_of_what_is_not_public_is_refused() {
    let spellings = [
        // Loopback: plain, decimal, octal, hexadecimal, short, with a final dot, with zeros.
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.255.255.254",
        "0",
        "0.0.0.0",
        "00.0.0.0",
        "0x0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "LocalHost.",
        // IPv6: plain, long, mapped, compatible, translated, tunnelled.
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fe80::1%25lo]",
        "[fc00::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[fec0::1]",
        "::1",
        "0:0:0:0:0:0:0:1",
        "[::1",
        "[127.0.0.1]",
        // Private, link-local, shared, and others that are nobody's.
        "10.0.0.1",
        "10.1",
        "012.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.257",
        "3232235521",
        "0xc0a80001",
        "169.254.169.254",
        "2852039166",
        "100.64.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.0.8",
        // This node itself.
        "11.12.13.14",
        "11.12.13.14.",
        // Parts of URLs, and letters that turn into others.
        "user@127.0.0.1",
        "example.org@127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1/",
        "127.0.0.1#example.org",
        "127.0.0.1?example.org",
        "127.0.0.1\\example.org",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "%31%32%37.0.0.1",
        "",
        ".",
        " 127.0.0.1",
        "127.0.0.1 ",
        // Names of one part, which mean something else on every machine.
        "metadata",
        "router",
        "db",
    ];
    for host in spellings {
        assert!(is_refused(host, &["127.0.0.1"]).await, "{host:?}");
    }
}

#[tokio::test]
async fn a_name_is_refused_if_any_of_its_addresses_is_not_public() {
    let public = ["1.1.1.1", "2606:4700::1111"];
    for private in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "11.12.13.14",
    ] {
        assert!(is_refused("chat.example.org", &[private]).await, "{private}");
        assert!(is_refused("chat.example.org", &[public[0], public[1], private]).await, "{private}, last");
        assert!(is_refused("chat.example.org", &[private, public[0]]).await, "{private}, first");
    }
    let proxy = proxy(&[], Scripted::new(&[&public, &[]]));
    let found = addresses(&proxy, "Chat.Example.ORG.", 443).await.unwrap();
    assert_eq!(found, public.map(|address| address.parse::<IpAddr>().unwrap()));
    assert!(matches!(addresses(&proxy, "nothing.example.org", 443).await, Err(Refused::NoAddress)));
    assert!(matches!(addresses(&proxy, "unknown.example.org", 443).await, Err(Refused::NoAddress)));
}

/// Listens on loopback and says what it is asked.
async fn server() -> Server {
    let answer = |incoming: Incoming| async move {
        let header = |name: &str| incoming.headers.get(name).map_or("-", |value| value.to_str().unwrap());
        let seen = format!("{} {} {}", header("host"), header("user-agent"), header("content-type"));
        match &incoming.body[..] {
            b"headers" => Reply::text(203, "")
                .with_header("x-kept".parse().unwrap(), HeaderValue::from_static("1"))
                .with_header("keep-alive".parse().unwrap(), HeaderValue::from_static("timeout=5"))
                .with_header("x-of-the-connection".parse().unwrap(), HeaderValue::from_static("1"))
                .with_header("connection".parse().unwrap(), HeaderValue::from_static("X-Of-The-Connection")),
            _ => Reply::text(200, seen),
        }
    };
    http::listen((Ipv4Addr::LOCALHOST, 0).into(), Options::default(), answer).await.unwrap()
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_checked_is_dialled() {
    let server = server().await;
    let port = server.local_addr().port();
    // Listed, so that loopback may be dialled; the second answer would lead elsewhere.
    let resolver = Scripted::new(&[&["127.0.0.1"], &["192.0.2.1"]]);
    let listed = format!("rebound.example.org:{port}");
    let proxy = proxy(&[&listed], Arc::clone(&resolver) as Arc<dyn Resolver>);
    let passed = proxy.pass_on(&target("rebound.example.org", port), Vec::new(), OWN).await.unwrap();
    assert_eq!(passed.body, format!("{listed} a node application/octet-stream"));
    assert_eq!(resolver.asked(), 1);

    // Not listed: public when it is checked, loopback when it would be asked again. Nobody asks again, so nobody gets to
    // the server; the public address of the first answer is what was to be dialled.
    let resolver = Scripted::new(&[&["1.1.1.1"], &["127.0.0.1"]]);
    let proxy = super::tests::proxy(&[], Arc::clone(&resolver) as Arc<dyn Resolver>);
    let found = addresses(&proxy, "rebinding.example.org", port).await.unwrap();
    assert_eq!((found, resolver.asked()), (vec!["1.1.1.1".parse().unwrap()], 1));
}

#[tokio::test]
async fn what_an_operator_lists_is_exempt_by_host_and_port_together() {
    let server = server().await;
    let port = server.local_addr().port();
    let resolver = Scripted::new(&[&["127.0.0.1"], &["127.0.0.1"]]);
    let proxy = proxy(&[&format!("127.0.0.1:{port}"), "localhost:1"], resolver);
    let ask = async |host: &str, port| proxy.pass_on(&target(host, port), Vec::new(), OWN).await;
    assert_eq!(ask("127.0.0.1", port).await.unwrap().status, 200);
    assert_eq!(ask("127.0.0.1.", port).await.unwrap().status, 200);
    for (host, port) in
        [("127.0.0.1", port ^ 1), ("localhost", port), ("127.0.0.2", port), ("127.1", port), ("127.0.0.1", 0)]
    {
        assert!(matches!(ask(host, port).await, Err(Refused::NotAllowed)), "{host}:{port}");
    }
    assert!(
        matches!(ask("localhost", 1).await, Err(Refused::Transport(Error::Refused))),
        "nobody listens there"
    );
}

#[tokio::test]
async fn only_the_paths_of_servers_are_asked_for() {
    let vectors: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/storage-onion.json"))
            .unwrap(),
    )
    .unwrap();
    let server = server().await;
    let port = server.local_addr().port();
    let proxy = proxy(&[&format!("127.0.0.1:{port}")], Scripted::new(&[]));
    for (list, allowed) in [("allowed", true), ("rejected", false)] {
        for path in vectors["onion_url_targets"][list].as_array().unwrap() {
            let path = path.as_str().unwrap().to_owned();
            let target = ServerTarget { target: path.clone(), ..target("127.0.0.1", port) };
            let passed = proxy.pass_on(&target, Vec::new(), OWN).await;
            assert_eq!(passed.is_ok(), allowed, "{path}: {passed:?}");
        }
    }
}

#[tokio::test]
async fn headers_of_the_connection_stay_there() {
    let server = server().await;
    let port = server.local_addr().port();
    let proxy = proxy(&[&format!("127.0.0.1:{port}")], Scripted::new(&[]));
    let passed = proxy.pass_on(&target("127.0.0.1", port), b"headers".to_vec(), OWN).await.unwrap();
    assert_eq!((passed.status, &passed.headers["x-kept"]), (203, &HeaderValue::from_static("1")));
    for gone in ["connection", "keep-alive", "x-of-the-connection", "content-length", "transfer-encoding"] {
        assert!(!passed.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn when_nobody_listens_at_one_address_the_next_one_that_was_checked_is_tried() {
    let server = server().await;
    let port = server.local_addr().port();
    let listed = format!("two.example.org:{port}");
    // On loopback nothing else listens at that port of another address, where there is one.
    let proxy = proxy(&[&listed], Scripted::new(&[&["127.0.0.2", "127.0.0.1"]]));
    let passed = proxy.pass_on(&target("two.example.org", port), Vec::new(), OWN).await.unwrap();
    assert_eq!(passed.status, 200);
}

#[tokio::test]
async fn one_server_cannot_take_all_places_and_gives_its_own_back() {
    let proxy = proxy(&[], Scripted::new(&[]));
    let [one, other]: [AllowedServer; 2] =
        ["one.example.org:443", "other.example.org:443"].map(|server| server.parse().unwrap());
    let turns: Vec<_> = (0..PLACES_PER_SERVER).map(|_| proxy.turn(&one).unwrap()).collect();
    assert!(proxy.turn(&one).is_none());
    assert!(proxy.turn(&other).is_some());
    drop(turns);
    assert!(proxy.turn(&one).is_some());
    assert!(proxy.by_server.lock().unwrap().is_empty(), "nothing is remembered about servers nobody asks");
}

#[tokio::test]
async fn switched_off_nobody_is_dialled_and_nothing_looked_up() {
    let resolver = Scripted::new(&[]);
    let proxy = Proxy { on: false, ..proxy(&["localhost:1"], Arc::clone(&resolver) as Arc<dyn Resolver>) };
    for host in ["localhost", "example.org", "127.0.0.1"] {
        assert!(matches!(proxy.pass_on(&target(host, 1), Vec::new(), OWN).await, Err(Refused::Off)));
    }
    assert_eq!(resolver.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_after_twenty_five_seconds() {
    let silent = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let proxy = proxy(&[&format!("127.0.0.1:{port}")], Scripted::new(&[]));
    let began = tokio::time::Instant::now();
    let passed = proxy.pass_on(&target("127.0.0.1", port), Vec::new(), OWN).await;
    assert!(matches!(passed, Err(Refused::Timeout)), "{passed:?}");
    assert_eq!(began.elapsed(), TIMEOUT, "the clock is the test's own");
    assert_eq!(Refused::Timeout.status(), 504);
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_lookup_hangs_is_given_up_too() {
    struct Hangs;
    impl Resolver for Hangs {
        fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
            Box::pin(std::future::pending())
        }
    }
    let passed = proxy(&[], Arc::new(Hangs)).pass_on(&target("slow.example.org", 443), Vec::new(), OWN).await;
    assert!(matches!(passed, Err(Refused::Timeout)), "{passed:?}");
}
