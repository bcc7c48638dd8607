//! Getting the node list: the first one from the seeds of the network file, newer ones from nodes, through paths.
//!
//! In a network with a registry whoever answers does not matter, the registry's signature does. In one without, a first
//! list is believed because of who gives it (a pinned certificate, a proven key), and a newer one because two nodes of
//! three, asked through paths, say the same. Never over plain HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use conclave_proto::network::{Directory, NetworkFile, Seed, SignedDirectory};
use conclave_proto::rpc::answers::read_reply_frame;
use conclave_proto::rpc::{CONCLAVE_DIRECTORY, Request};
use conclave_proto::seed::{SeedAnswer, SeedRequest, directory_in};
use conclave_proto::{SnodeRecord, Timestamp, active_nodes};
use conclave_transport::Deadline;
use conclave_transport::https::{Client as Https, Target, Trust, split_url};
use serde_json::Value;
use tokio::sync::mpsc;

use super::link::Links;
use super::{Network, NetworkError, pick, shuffle};

/// How long one seed may take. (storage-and-onion 7.1)
const SEED_TIMEOUT: Duration = Duration::from_secs(5);
/// A seed that says nothing for so long is not waited for alone.
const NEXT_SEED: Duration = Duration::from_secs(1);
/// Nodes asked for a newer list. (storage-and-onion 7.2)
const ASKED_NODES: usize = 3;
/// Of these have to name a node where nothing is signed.
const NAMED_BY: usize = 2;
/// Error texts of that many places are shown.
const MAX_REASONS: usize = 4;

/// A node list, and what keeps it for the next run.
pub(super) struct Listed {
    pub(super) directory: Directory,
    /// See [`kept`].
    pub(super) keep: Vec<u8>,
}

/// The list that an earlier run kept.
pub(super) fn kept(file: &NetworkFile, bytes: &[u8]) -> Option<Directory> {
    match file.registry_key {
        Some(key) => SignedDirectory::from_json(bytes).ok()?.verify(&key, &file.network_id, 0).ok(),
        None => {
            unsigned(file, active_nodes::decode(bytes).ok()?, Timestamp(0)).map(|listed| listed.directory)
        }
    }
}

fn signed(file: &NetworkFile, signed: &SignedDirectory, known: Option<&Directory>) -> Result<Listed, String> {
    let key = file.registry_key.ok_or("this network has no registry")?;
    let height = known.map_or(0, |directory| directory.height);
    let directory = signed.verify(&key, &file.network_id, height).map_err(|e| e.to_string())?;
    Ok(Listed { directory, keep: signed.to_json().into_bytes() })
}

/// A list that nobody has signed. `None` if it is empty or contradicts itself.
fn unsigned(file: &NetworkFile, nodes: Vec<SnodeRecord>, now: Timestamp) -> Option<Listed> {
    let keep = active_nodes::encode(&nodes);
    let directory = Directory::new(file.network_id.clone(), 0, now, now, nodes).ok()?;
    (!directory.nodes().is_empty()).then_some(Listed { directory, keep })
}

/// The bytes of a network file at an `https://` address. Nothing about them is checked: whoever asks compares their
/// fingerprint ([`NetworkFile::fingerprint`]) with one that came another way.
///
/// # Errors
/// What prevents an answer, in words.
pub async fn download(url: &str) -> Result<Vec<u8>, String> {
    let (address, path) = split_url(url).ok_or("this is no https:// address")?;
    let target = Target { address, host: None, trust: Trust::AnyCertificate };
    let response = Https::new()
        .get(&target, &path, Deadline::after(SEED_TIMEOUT))
        .await
        .map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(format!("the server answered with status {}", response.status));
    }
    Ok(response.body.to_vec())
}

/// A first list: from the first seed that gives one. All seeds get their turn, a silent one holds up nobody.
pub(super) async fn from_seeds(network: &Network, known: Option<&Directory>) -> Result<Listed, NetworkError> {
    let file = &network.inner.file;
    let mut seeds = file.seeds.clone();
    shuffle(&mut seeds);
    let (tell, mut told) = mpsc::channel(seeds.len().max(1));
    let mut seeds = seeds.into_iter();
    let mut running = 0;
    let mut reasons = Vec::new();
    loop {
        if let Some(seed) = seeds.next() {
            let (asking, tell) = (network.clone(), tell.clone());
            let runs = network.spawn(async move {
                let _ = tell.send(ask_seed(&asking, &seed).await).await;
            });
            running += usize::from(runs);
        }
        if running == 0 {
            break;
        }
        // Another one is asked when this one fails, or says nothing for a while.
        let patience = if seeds.len() > 0 { NEXT_SEED } else { SEED_TIMEOUT };
        let Ok(Some(given)) = tokio::time::timeout(patience, told.recv()).await else { continue };
        running -= 1;
        match given.and_then(|given| take(file, given, known, network.now())) {
            Ok(listed) => return Ok(listed),
            Err(reason) => reasons.push(reason),
        }
    }
    reasons.sort();
    reasons.dedup();
    reasons.truncate(MAX_REASONS);
    Err(NetworkError::NoSeed { network_id: file.network_id.clone(), reasons: reasons.join("; ") })
}

/// A newer list than `known`, from nodes of that list, through paths. `None` if they do not give one.
pub(super) async fn from_nodes(network: &Network, known: &Directory) -> Option<Listed> {
    let file = &network.inner.file;
    let request =
        if file.registry_key.is_some() { Request::ConclaveDirectory } else { Request::ActiveNodesBin };
    let (tell, mut told) = mpsc::channel(ASKED_NODES);
    for node in pick(known.nodes(), ASKED_NODES) {
        let (asking, request, tell) = (network.clone(), request.clone(), tell.clone());
        network.spawn(async move {
            let (_, reply) = asking.ask_once(&node, &request, None).await;
            let _ = tell.send(reply.ok().filter(|reply| reply.status == 200).map(|reply| reply.body)).await;
        });
    }
    drop(tell);
    let mut lists = Vec::new();
    while let Some(answer) = told.recv().await {
        let Some(body) = answer else { continue };
        if file.registry_key.is_some() {
            // One that is signed and not older is enough.
            if let Some(listed) = directory_in(&body).and_then(|list| signed(file, &list, Some(known)).ok()) {
                return Some(listed);
            }
        } else {
            let bytes =
                body.as_str().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            lists.extend(bytes.and_then(|bytes| active_nodes::decode(&bytes).ok()));
        }
    }
    let agreed = agreed(&lists)?;
    unsigned(file, agreed, network.now())
}

/// The nodes that enough lists name, just so. `None` if the lists have too little in common to be of one network: fewer
/// than half of the longest.
fn agreed(lists: &[Vec<SnodeRecord>]) -> Option<Vec<SnodeRecord>> {
    let mut named: BTreeMap<Vec<u8>, (usize, SnodeRecord)> = BTreeMap::new();
    for list in lists {
        let mut once: BTreeMap<_, _> = list.iter().map(|node| (node.ed25519, node)).collect();
        while let Some((_, node)) = once.pop_first() {
            named.entry(active_nodes::encode(std::slice::from_ref(node))).or_insert((0, *node)).0 += 1;
        }
    }
    let agreed: Vec<SnodeRecord> =
        named.into_values().filter(|(by, _)| *by >= NAMED_BY).map(|(_, node)| node).collect();
    let longest = lists.iter().map(Vec::len).max()?;
    (agreed.len() * 2 >= longest && !agreed.is_empty()).then_some(agreed)
}

/// What a seed gave. Which of it counts depends on the network.
struct Given {
    directory: Option<SignedDirectory>,
    nodes: Vec<SnodeRecord>,
    /// Whether the seed proved who it is.
    proven: bool,
}

fn take(
    file: &NetworkFile,
    given: Given,
    known: Option<&Directory>,
    now: Timestamp,
) -> Result<Listed, String> {
    match (file.registry_key, given.directory) {
        (Some(_), Some(list)) => signed(file, &list, known),
        (Some(_), None) => Err("a seed gave no signed directory".to_owned()),
        (None, _) if !given.proven => {
            Err("a seed without pinned certificate or key gave an unsigned list".to_owned())
        }
        (None, _) => unsigned(file, given.nodes, now).ok_or_else(|| "a seed gave no usable list".to_owned()),
    }
}

async fn ask_seed(network: &Network, seed: &Seed) -> Result<Given, String> {
    let has_registry = network.inner.file.registry_key.is_some();
    let deadline = Deadline::after(SEED_TIMEOUT);
    match seed {
        Seed::SignedList { url, .. } => {
            over_https(&network.inner.https, url, Trust::AnyCertificate, has_registry, deadline).await
        }
        Seed::PinnedCertificate { url, cert_sha256 } => {
            let trust = Trust::PinnedSha256(*cert_sha256);
            over_https(&network.inner.https, url, trust, has_registry, deadline).await
        }
        Seed::Quic { address, ed25519 } => {
            let links: &Links = &network.inner.links;
            let (mut directory, mut nodes) = (None, Vec::new());
            if has_registry {
                let answer = links.ask_seed(*address, *ed25519, CONCLAVE_DIRECTORY, deadline).await?;
                directory = read_reply_frame(&answer).and_then(|(_, result)| directory_in(&result));
            } else {
                let answer = links.ask_seed(*address, *ed25519, "active_nodes_bin", deadline).await?;
                nodes = active_nodes::decode(&answer).map_err(|e| e.to_string())?;
            }
            Ok(Given { directory, nodes, proven: true })
        }
        _ => Err("a kind of seed this version does not know".to_owned()),
    }
}

async fn over_https(
    https: &Https,
    url: &str,
    trust: Trust,
    has_registry: bool,
    deadline: Deadline,
) -> Result<Given, String> {
    let (address, path) = split_url(url).ok_or("a seed's address is no https:// address")?;
    let proven = matches!(trust, Trust::PinnedSha256(_));
    let target = Target { address, host: None, trust };
    // Where the directory is signed, nothing else is needed.
    let fields = has_registry.then(|| std::iter::once("pubkey_ed25519".to_owned()).collect());
    let limit = has_registry.then_some(1);
    let call = SeedRequest { id: Value::from(0), active_only: true, limit, fields }.to_json();
    let body = call.to_string().into_bytes();
    let response = https
        .post(&target, &path, "application/json", body, deadline)
        .await
        .map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(format!("a seed answered with status {}", response.status));
    }
    let answer = SeedAnswer::from_json(&response.body).map_err(|error| error.to_string())?;
    Ok(Given { directory: answer.directory, nodes: answer.nodes, proven })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8, port: u16) -> SnodeRecord {
        let ed25519 = conclave_crypto::Ed25519Secret::from_seed(&[number; 32]).public();
        SnodeRecord {
            ed25519,
            x25519: ed25519.to_x25519(),
            ip: std::net::Ipv4Addr::new(192, 0, 2, number),
            https_port: port,
            quic_port: port,
            swarm: conclave_proto::SwarmId(7),
            version: conclave_proto::Version([2, 11, 0]),
        }
    }

    #[test]
    fn without_a_registry_two_of_three_have_to_say_the_same_of_a_node() {
        let all = vec![node(1, 1), node(2, 1), node(3, 1)];
        // One node gives a false address for another, and names one that nobody else knows.
        let lie = vec![node(1, 1), node(2, 9), node(3, 1), node(9, 1)];
        assert_eq!(agreed(&[all.clone(), lie.clone(), all.clone()]).unwrap().len(), 3);
        assert_eq!(agreed(&[all.clone(), lie.clone()]).unwrap().len(), 2, "the two agree on");
        assert!(agreed(std::slice::from_ref(&all)).is_none(), "one alone");
        assert!(agreed(&[all, vec![node(7, 1), node(8, 1), node(9, 1)]]).is_none(), "nothing in common");
        assert!(
            agreed(&[lie.clone(), [lie[0]; 4].to_vec()]).is_none(),
            "repeating oneself does not count twice"
        );
    }
}
