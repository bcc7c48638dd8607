//! A node that tests another one, which is played.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_node::{Hooks, Node};
use conclave_proto::base32z;
use conclave_transport::http::{self, HeaderName, HeaderValue, Incoming, Reply};
use conclave_transport::https::{self, Certificate};
use conclave_transport::quic::{Endpoint, Options};

use crate::common::{Swarm, b64, node_secret};
use crate::wires::Way;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(over_https, &[Way::Https], ["5.3-https-request", "5.3-https-key", "5.3-https-status"]),
    case!(over_quic, &[Way::Quic], ["5.3-pong", "5.3-both"]),
];

/// What the played node answers, and over what.
struct Played {
    status: u16,
    key: String,
    pong: Option<&'static str>,
}

/// What it was asked: path, `Host`, length of the body.
type Asked = Arc<Mutex<Vec<(String, String, usize)>>>;

/// Whether a node that starts beside it finds it reachable, and what it asked over HTTPS.
async fn tested(played: impl Fn(&Ed25519Public) -> Played) -> (bool, Asked, Ed25519Public) {
    let mut swarm = Swarm::listed(&[0, 0]);
    let record = swarm.listed[1];
    let Played { status, key, pong } = played(&record.ed25519);
    let asked = Asked::default();
    let asking = Arc::clone(&asked);
    let answer = move |incoming: Incoming| {
        let host = incoming.headers.get("host").map(|host| host.to_str().unwrap().to_owned());
        asking.lock().unwrap().push((incoming.path, host.unwrap_or_default(), incoming.body.len()));
        let key = HeaderValue::from_str(&key).unwrap();
        let reply =
            Reply::new(status, "", "").with_header(HeaderName::from_static("x-oxen-snode-pubkey"), key);
        async move { reply }
    };
    let certificate = Certificate::generate().unwrap();
    let address: SocketAddr = (record.ip, record.https_port).into();
    let _https = https::listen(address, &certificate, http::Options::default(), answer).await.unwrap();
    let options = Options {
        is_node: Arc::new(|_| true),
        ..Options::new(Arc::new(move |_| {
            Box::pin(async move { pong.map(|pong| pong.as_bytes().into()).ok_or_else(|| "no".into()) })
        }))
    };
    let address = (record.ip, record.quic_port).into();
    let _quic = Endpoint::listen(address, &node_secret(1), options).unwrap();
    swarm.run(0, Hooks::default()).await;
    (result(&swarm.nodes[0], &record.ed25519).await, asked, record.ed25519)
}

async fn result(node: &Node, of: &Ed25519Public) -> bool {
    let known = async {
        loop {
            if let Some((passed, _)) = node.reports().results().get(of) {
                return *passed;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), known).await.expect("it is tested")
}

fn good(key: &Ed25519Public) -> Played {
    Played { status: 200, key: b64(key.as_bytes()), pong: Some("pong") }
}

async fn over_https(t: T) {
    let (passed, asked, key) = tested(good).await;
    assert!(passed);
    let host = format!("{}.snode", base32z::encode(key.as_bytes()));
    assert_eq!(asked.lock().unwrap()[0], ("/ping_test/v1".to_owned(), host, 0));
    t.shows("5.3-https-request");
    let spelled: [fn(&Ed25519Public) -> String; 2] =
        [|key| key.to_hex(), |key| base32z::encode(key.as_bytes())];
    for spell in spelled {
        assert!(tested(|key| Played { key: spell(key), ..good(key) }).await.0);
    }
    let other = b64(node_secret(0).public().as_bytes());
    for wrong in [other.as_str(), "", "?"] {
        assert!(!tested(|key| Played { key: wrong.to_owned(), ..good(key) }).await.0, "{wrong}");
    }
    t.shows("5.3-https-key");
    assert!(!tested(|key| Played { status: 503, ..good(key) }).await.0);
    t.shows("5.3-https-status");
}

async fn over_quic(t: T) {
    for wrong in [Some("ping"), Some(""), None] {
        assert!(!tested(|key| Played { pong: wrong, ..good(key) }).await.0, "{wrong:?}");
    }
    assert!(tested(good).await.0);
    t.shows("5.3-pong");
    // Each alone is not enough.
    assert!(!tested(|key| Played { status: 404, ..good(key) }).await.0);
    t.shows("5.3-both");
}
