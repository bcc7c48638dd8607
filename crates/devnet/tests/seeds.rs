//! How a client gets its first node list, and how it gets a newer one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::in_process::InProcess;
use conclave_client::profile::{DataDir, ProfileName, Unlock};
use conclave_client::types::MessageState;
use conclave_client::{Client, ClientOptions};
use conclave_node::{Hooks, Observer, Received};
use conclave_proto::network::Seed;
use conclave_transport::https::Certificate;

/// The storage methods that nodes were asked for, whoever asked and on which way.
#[derive(Default)]
struct Methods(Mutex<Vec<(String, bool)>>);

impl Observer for Methods {
    fn received(&self, what: Received<'_>) {
        let seen = match what {
            Received::PeeledRequest { body, .. } => (String::from_utf8_lossy(body).into_owned(), true),
            Received::Https { path, body, .. } if path != "/onion_req/v2" => {
                (format!("{path} {}", String::from_utf8_lossy(body)), false)
            }
            Received::Quic { endpoint, .. } => (endpoint.to_owned(), false),
            _ => return,
        };
        self.0.lock().unwrap().push(seen);
    }
}

impl Methods {
    fn asked(&self, method: &str, through_a_path: bool) -> bool {
        self.0.lock().unwrap().iter().any(|(seen, onion)| seen.contains(method) && *onion == through_a_path)
    }
}

async fn network() -> (InProcess, Arc<Methods>) {
    let methods = Arc::new(Methods::default());
    let observer = Arc::clone(&methods) as Arc<dyn Observer>;
    let net =
        InProcess::start(5, |_| Hooks { observer: Some(Arc::clone(&observer)), ..Hooks::default() }).await;
    (net, methods)
}

/// A note to oneself that a majority of the swarm has signed: the list is good for everything.
async fn works(client: &Client) {
    let own = client.resolve("me").await.unwrap();
    let note = client.send_text(&own, "it works").await.unwrap();
    let state = client.wait_for(&note.id, MessageState::Stored, Duration::from_secs(60)).await.unwrap();
    assert_eq!((state.signed, state.swarm), (Some(5), Some(5)), "{state:?}");
}

fn quic_seed(net: &InProcess) -> Seed {
    let node = *net.nodes[0].view().own();
    Seed::Quic { address: (node.ip, node.quic_port).into(), ed25519: node.ed25519 }
}

fn pinned_seed(net: &InProcess) -> Seed {
    let certificate = Certificate::load_or_create(&net.dir.path().join("network/nodes/node-01")).unwrap();
    let node = net.nodes[0].addresses().https;
    Seed::PinnedCertificate { url: format!("https://{node}/json_rpc"), cert_sha256: certificate.sha256() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_s_quic_port_gives_the_signed_directory() {
    let (mut net, methods) = network().await;
    net.network.seeds = vec![quic_seed(&net)];
    let client = net.client("alice", ClientOptions::default());
    works(&client).await;
    assert!(methods.asked("conclave_directory", false));
    client.shutdown().await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_registry_is_entered_by_a_proven_key_or_a_pinned_certificate() {
    let (mut net, methods) = network().await;
    net.network.registry_key = None;
    for (name, seed) in [("alice", quic_seed(&net)), ("bob", pinned_seed(&net))] {
        net.network.seeds = vec![seed];
        let client = net.client(name, ClientOptions::default());
        works(&client).await;
        client.shutdown().await;
    }
    assert!(methods.asked("active_nodes_bin", false) && methods.asked("get_n_service_nodes", false));
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_that_cannot_prove_themselves_are_not_believed() {
    let (mut net, _) = network().await;
    net.network.registry_key = None;
    let wrong_pin = match pinned_seed(&net) {
        Seed::PinnedCertificate { url, .. } => Seed::PinnedCertificate { url, cert_sha256: [7; 32] },
        _ => unreachable!(),
    };
    let wrong_key = match quic_seed(&net) {
        Seed::Quic { address, .. } => Seed::Quic { address, ed25519: net.nodes[1].view().own().ed25519 },
        _ => unreachable!(),
    };
    for (name, seed, said) in
        [("alice", wrong_pin, "not the pinned one"), ("bob", wrong_key, "another key than expected")]
    {
        net.network.seeds = vec![seed];
        let client = net.client(name, ClientOptions { online: false, ..ClientOptions::default() });
        let error = client.fetch().await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        client.shutdown().await;
    }
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_list_is_asked_for_through_paths() {
    for registry in [true, false] {
        let (mut net, methods) = network().await;
        net.network.seeds = vec![quic_seed(&net)];
        if !registry {
            net.network.registry_key = None;
        }
        let dir = net.dir.path().join("clients/alice");
        let client = net.client("alice", ClientOptions::default());
        works(&client).await;
        client.shutdown().await;
        drop(client);
        // The next run knows a list, and looks whether there is a newer one.
        let profile = DataDir::new(&dir).profile(&ProfileName::new("alice").unwrap());
        let client =
            Client::start(profile.open(&Unlock::KeyFile).unwrap(), ClientOptions::default()).unwrap();
        let method = if registry { "conclave_directory" } else { "active_nodes_bin" };
        let asked = async {
            while !methods.asked(method, true) {
                client.fetch().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it is asked for");
        works(&client).await;
        client.shutdown().await;
        net.stop().await;
    }
}
