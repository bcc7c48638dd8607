//! Real nodes, killed again and again while a writer writes and a reader reads: nothing that was acknowledged is lost.
//!
//! By default a short run; with `CONCLAVE_LONG=1` sixty kills and twenty thousand acknowledged stores.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conclave_crypto::{Account, Ed25519Secret};
use conclave_devnet::Devnet;
use conclave_proto::network::Directory;
use conclave_proto::rpc::answers::{RetrieveAnswer, SwarmAnswer};
use conclave_proto::rpc::{Auth, Lifetime, Request, Retrieve, Store, TimedAuth, signing};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, Timestamp};
use conclave_testkit::seeds::is_long;
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Target};
use rand_core::{OsRng, RngCore as _};

const NODES: usize = 12;
const WRITERS: usize = 12;
const ACCOUNTS: u8 = 40;

fn account(number: u8) -> Account {
    Account::from_secret(Ed25519Secret::from_seed(&[number; 32]))
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

fn below(bound: usize) -> usize {
    usize::try_from(OsRng.next_u32()).unwrap() % bound
}

async fn ask(client: &Client, node: &SnodeRecord, request: &Request) -> Option<serde_json::Value> {
    let target = Target::node((node.ip, node.https_port).into());
    let deadline = Deadline::after(Duration::from_secs(15));
    let response = client
        .post(&target, "/storage_rpc/v1", "application/json", request.to_json_body(), deadline)
        .await
        .ok()?;
    (response.status == 200).then(|| serde_json::from_slice(&response.body).ok())?
}

/// Everything one member itself has in somebody's inbox.
async fn read_all(client: &Client, node: &SnodeRecord, number: u8) -> Option<Vec<MessageHash>> {
    let mut found: Vec<MessageHash> = Vec::new();
    loop {
        let timestamp = now();
        let signed = signing::retrieve(Namespace::DIRECT, timestamp);
        let request = Request::Retrieve(Retrieve {
            account: *account(number).id(),
            namespace: Namespace::DIRECT,
            last_hash: found.last().copied(),
            max_count: None,
            max_size: Some(-1),
            auth: Some(TimedAuth { auth: Auth::by_account(account(number).ed25519(), &signed), timestamp }),
        });
        let page = RetrieveAnswer::from_json(&ask(client, node, &request).await?)?;
        found.extend(page.messages.iter().map(|message| message.hash));
        if !page.more {
            return Some(found);
        }
    }
}

/// What was acknowledged, by account.
type Acknowledged = Mutex<BTreeMap<u8, Vec<MessageHash>>>;

async fn write(
    client: Client,
    directory: Arc<Directory>,
    acknowledged: Arc<Acknowledged>,
    goal: usize,
    done: Arc<AtomicUsize>,
) {
    while done.load(Ordering::Relaxed) < goal {
        let number = u8::try_from(below(usize::from(ACCOUNTS))).unwrap();
        let id = *account(number).id();
        let members: Vec<SnodeRecord> =
            directory.members(directory.swarm_of(&id).unwrap()).copied().collect();
        let mut data = vec![0; 200];
        OsRng.fill_bytes(&mut data);
        let hash = MessageHash::of(&id, Namespace::DIRECT, &data);
        let request = Request::Store(Store {
            account: id,
            namespace: Namespace::DIRECT,
            timestamp: now(),
            lifetime: Lifetime::Ttl(24 * 60 * 60 * 1_000),
            data,
            auth: None,
            sig_timestamp: None,
        });
        // A node that is down right now is passed over; one that dies with the request in its hands has promised nothing.
        let entry = members[below(members.len())];
        let Some(answer) = ask(&client, &entry, &request).await else { continue };
        let Some(answer) = SwarmAnswer::from_json(&request, &answer) else { continue };
        if !answer.verified(&request, &members).is_empty() {
            acknowledged.lock().unwrap().entry(number).or_default().push(hash);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads as clients do, and must not see an error other than a node that is not there.
async fn read(client: Client, directory: Arc<Directory>, stop: Arc<AtomicBool>, read: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let number = u8::try_from(below(usize::from(ACCOUNTS))).unwrap();
        let id = *account(number).id();
        let members: Vec<SnodeRecord> =
            directory.members(directory.swarm_of(&id).unwrap()).copied().collect();
        if let Some(found) = read_all(&client, &members[below(members.len())], number).await {
            read.fetch_add(found.len(), Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_killed_again_and_again_lose_nothing_they_acknowledged() {
    let (kills, goal) = if is_long() { (60, 20_000) } else { (8, 1_000) };
    let dir = tempfile::tempdir().unwrap();
    let mut net = Devnet::start(dir.path(), NODES, common::conclave(), None, |_| {}).await.unwrap();
    let records: Vec<SnodeRecord> = net.plan().nodes().iter().map(|node| node.record).collect();
    let directory = Arc::new(Directory::new("kills".to_owned(), 1, now(), now(), records.clone()).unwrap());
    let client = Client::new();
    let (acknowledged, done) = (Arc::new(Acknowledged::default()), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (directory, acknowledged) = (Arc::clone(&directory), Arc::clone(&acknowledged));
            tokio::spawn(write(client.clone(), directory, acknowledged, goal, Arc::clone(&done)))
        })
        .collect();
    let (stop, messages_read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reader = tokio::spawn(read(
        client.clone(),
        Arc::clone(&directory),
        Arc::clone(&stop),
        Arc::clone(&messages_read),
    ));

    // Kills are spread over the whole run: one each time another part of the goal has been reached.
    let mut killed = 0;
    let mut down: Vec<usize> = Vec::new();
    while killed < kills || done.load(Ordering::Relaxed) < goal {
        if killed < kills && done.load(Ordering::Relaxed) >= goal * killed / kills {
            let index = 1 + below(NODES);
            let swarm = records[index - 1].swarm;
            let others = down.iter().filter(|other| records[**other - 1].swarm == swarm).count();
            // Two of a swarm may be away at once.
            if !down.contains(&index) && others < 2 {
                net.kill(index).await.unwrap();
                down.push(index);
                killed += 1;
            }
        }
        // The oldest comes back when three are away, or when there is nothing else to do.
        if down.len() > 2 || (killed == kills && !down.is_empty()) {
            net.restart(down.remove(0)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for index in down {
        net.restart(index).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    reader.await.unwrap();

    // Every member is read by itself, until it has everything.
    let acknowledged = acknowledged.lock().unwrap().clone();
    let total: usize = acknowledged.values().map(Vec::len).sum();
    assert!(total >= goal);
    let mut copies = 0;
    for (number, hashes) in &acknowledged {
        let id = *account(*number).id();
        for member in directory.members(directory.swarm_of(&id).unwrap()) {
            let complete = async {
                loop {
                    let found = read_all(&client, member, *number).await.unwrap_or_default();
                    let found: std::collections::BTreeSet<_> = found.into_iter().collect();
                    if hashes.iter().all(|hash| found.contains(hash)) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            if tokio::time::timeout(Duration::from_secs(180), complete).await.is_err() {
                let found = read_all(&client, member, *number).await.unwrap_or_default();
                let lost = hashes.iter().filter(|hash| !found.contains(hash)).count();
                panic!("{lost} of {} acknowledged messages are not on a member", hashes.len());
            }
            copies += hashes.len();
        }
    }
    println!(
        "{killed} kills, {total} acknowledged stores, {copies} copies found by reading every member, 0 lost ({} read meanwhile)",
        messages_read.load(Ordering::Relaxed)
    );
    net.stop().await;
}
