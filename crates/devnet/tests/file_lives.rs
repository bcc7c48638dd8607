//! How long files live in swarms, over real nodes: as long as their messages, and no longer, whichever device of their sender says
//! so.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::devices::Device;
use common::in_process::InProcess;
use conclave_client::ClientOptions;
use conclave_client::store::Deletion;
use conclave_node::Hooks;
use conclave_proto::Timestamp;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::rpc::chunk::ChunkAnswer;
use conclave_proto::rpc::{ChunkRequest, Request};
use conclave_testkit::personas;
use conclave_transport::Deadline;
use conclave_transport::https::{Client as Http, Target};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The clock of all: the machine's, and how far it was moved.
#[derive(Clone, Debug, Default)]
struct Moved(Arc<AtomicU64>);

impl Moved {
    fn by(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    fn time(&self) -> Timestamp {
        let machine = conclave_node::Clock::now(&conclave_node::SystemClock);
        Timestamp(machine.0 + self.0.load(Ordering::SeqCst))
    }

    fn options(&self) -> ClientOptions {
        ClientOptions { clock: Arc::new(self.clone()), ..ClientOptions::default() }
    }
}

impl conclave_node::Clock for Moved {
    fn now(&self) -> Timestamp {
        self.time()
    }
}

impl conclave_client::Clock for Moved {
    fn now(&self) -> Timestamp {
        self.time()
    }
}

/// The chunks on a node's disk.
fn chunks_of(net: &InProcess, node: usize) -> Vec<ChunkHash> {
    fn below(path: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
    }
    let nodes = net.dir.path().join("network/nodes");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(nodes).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let files = below(&folders[node].join("chunks"));
    files.iter().filter_map(|file| ChunkHash::from_hex(file.file_name()?.to_str()?)).collect()
}

/// Chunks on the disks of all nodes.
fn chunks(net: &InProcess) -> usize {
    (0..net.nodes.len()).map(|node| chunks_of(net, node).len()).sum()
}

/// Until when the first node keeps each of its chunks, in order.
async fn ends(net: &InProcess) -> Vec<Timestamp> {
    let own = *net.nodes[0].view().own();
    let target = Target::node((own.ip, own.https_port).into());
    let mut ends = Vec::new();
    for hash in chunks_of(net, 0) {
        let request = Request::ConclaveChunk(ChunkRequest::Get(hash));
        let deadline = Deadline::after(Duration::from_secs(30));
        let body = request.to_json_body();
        let reply =
            Http::new().post(&target, "/storage_rpc/v1", "application/json", body, deadline).await.unwrap();
        let body = serde_json::from_slice(&reply.body).unwrap();
        ends.push(ChunkAnswer::from_json(&hash, &body).unwrap().expiry);
    }
    ends.sort();
    ends
}

fn write(net: &InProcess, name: &str, size: u32) -> (PathBuf, Vec<u8>) {
    let path = net.dir.path().join(name);
    let content: Vec<u8> = (0..size / 4).flat_map(|n| (n ^ size).to_le_bytes()).collect();
    std::fs::write(&path, &content).unwrap();
    (path, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_deleted_everywhere_on_one_device_takes_the_file_that_another_sent_out_of_swarms() {
    let net = InProcess::start(5, |_| Hooks::default()).await;
    let phone = Device::of(&net, personas::alice(), "Alice", 1);
    let tablet = Device::of(&net, personas::alice(), "Alice", 2);
    let bob = Device::of(&net, personas::bob(), "Bob", 1);
    let (path, content) = write(&net, "plan.txt", 600_000);
    phone.sends_file(bob.id, "the plan", &path).await;
    let heard = tablet.reads(bob.id, "the plan").await;
    let theirs = bob.reads(phone.id, "the plan").await;
    assert!(bob.fetches(phone.id, &theirs.id).await.unwrap() == content);
    assert!(chunks(&net) >= 4 * 3, "three chunks and their list");
    // Who sent it is gone, and who deletes it has never fetched it.
    phone.stop().await;
    tablet.client.delete(&heard.id, Deletion::Everywhere).await.unwrap();
    for _ in 0..600 {
        if chunks(&net) == 0 {
            break;
        }
        // Deleting is told by nobody: it is looked for.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(chunks(&net), 0, "the swarms have forgotten it");
    bob.stop().await;
    tablet.stop().await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_lives_on_while_its_message_does_across_restarts_of_who_sent_it() {
    let clock = Moved::default();
    let for_nodes = clock.clone();
    let net = InProcess::start(5, |_| Hooks { clock: Arc::new(for_nodes.clone()), ..Hooks::default() }).await;
    let alice = Device::started(&net, personas::alice(), "Alice", 1, clock.options());
    let bob = Device::started(&net, personas::bob(), "Bob", 1, clock.options());
    let (kept_path, kept) = write(&net, "kept.txt", 600_000);
    let (forgotten_path, _) = write(&net, "forgotten.txt", 300_000);
    alice.sends_file(bob.id, "kept", &kept_path).await;
    let hidden = alice.sends_file(bob.id, "forgotten", &forgotten_path).await;
    let (kept_there, forgotten_there) =
        (bob.reads(alice.id, "kept").await, bob.reads(alice.id, "forgotten").await);
    // On this device only: the swarms keep it as long as they were told to.
    alice.client.delete(&hidden.id, Deletion::ThisDevice).await.unwrap();
    let first_end = clock.time().plus(15 * DAY);
    let before = ends(&net).await;
    assert_eq!(before.len(), 4 + 3, "three chunks and a list, two chunks and a list");
    assert!(before.iter().all(|end| *end <= first_end));

    let alice = alice.restarted(&net, || clock.by(11 * DAY), clock.options()).await;
    let wanted = clock.time().plus(29 * DAY);
    let renewed = async || ends(&net).await.iter().filter(|end| **end >= wanted).count();
    for _ in 0..600 {
        if renewed().await == 4 {
            break;
        }
        // Renewing is told by nobody: it is looked for.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = ends(&net).await;
    assert_eq!(after.iter().filter(|end| **end >= wanted).count(), 4);
    assert_eq!(
        after[..3],
        before.into_iter().filter(|end| after.contains(end)).collect::<Vec<_>>(),
        "the other"
    );
    let bob = bob.restarted(&net, || clock.by(9 * DAY), clock.options()).await;
    assert!(clock.time() > first_end);
    assert!(bob.fetches(alice.id, &kept_there.id).await.unwrap() == kept);
    let why = bob.fetches(alice.id, &forgotten_there.id).await.unwrap_err();
    assert!(why.contains("may have expired"), "{why}");
    alice.stop().await;
    bob.stop().await;
    net.stop().await;
}
