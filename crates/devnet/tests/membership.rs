//! Nodes come into a running network and leave it, by the commands that their operators type.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Finished, Home, Net, Running};
use conclave_crypto::{AccountId, Ed25519Public, Ed25519Secret};
use conclave_node::{Clock as _, SystemClock};
use conclave_proto::network::{
    Directory, JoinAddress, Membership, MembershipRequest, NetworkFile, SignedDirectory,
};
use conclave_proto::seed::{SeedAnswer, SeedRequest};
use conclave_proto::{Timestamp, Version};
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Target};
use serde_json::{Value, json};

/// No single step may take longer. Not an assertion about speed: a guard against hanging for ever.
const LIMIT: Duration = Duration::from_secs(120);

/// A node that somebody else runs, beside those of `devnet`.
struct Foreign {
    folder: PathBuf,
    key: String,
    running: Option<Running>,
}

impl Foreign {
    fn init(home: &Home, name: &str) -> Self {
        let folder = home.path().join("foreign").join(name);
        let network = home.path().join("network.json");
        let made = home
            .run(&["node", "init", "--data-dir", text(&folder), "--network", text(&network)])
            .ok()
            .event("initialized");
        assert_eq!(made["request"], json!(folder.join("join.json")));
        Self { folder, key: made["node"].as_str().unwrap().to_owned(), running: None }
    }

    fn run(&mut self, home: &Home) -> &mut Running {
        self.running.insert(home.start(&["node", "run", "--data-dir", text(&self.folder)]))
    }

    fn command(&self, home: &Home, args: &[&str]) -> Finished {
        home.run(&[args, &["--data-dir", text(&self.folder)]].concat())
    }

    /// Writes leave.json and gives its path.
    fn leave(&self, home: &Home) -> PathBuf {
        let asked = self.command(home, &["node", "leave", "--yes"]).ok().event("requested");
        assert_eq!((&asked["kind"], &asked["node"]), (&json!("leave"), &json!(self.key)));
        asked["request"].as_str().unwrap().into()
    }

    fn status(&self, home: &Home) -> Value {
        self.command(home, &["node", "status"]).ok().event("status")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn apply(home: &Home, files: &[PathBuf]) -> Finished {
    let mut args = vec!["registry", "apply"];
    args.extend(files.iter().map(|file| text(file)));
    home.run(&args)
}

fn changes(applied: &Finished) -> Vec<String> {
    applied.events("applied").iter().map(|line| line["change"].as_str().unwrap().to_owned()).collect()
}

fn network(home: &Home) -> NetworkFile {
    NetworkFile::from_json(&std::fs::read(home.path().join("network.json")).unwrap()).unwrap()
}

/// The directory as its operator signed it last.
fn directory(home: &Home) -> Directory {
    let network = network(home);
    let signed = std::fs::read(home.path().join("network/directory.json")).unwrap();
    let signed = SignedDirectory::from_json(&signed).unwrap();
    signed.verify(&network.registry_key.unwrap(), &network.network_id, 0).unwrap()
}

/// Asks nodes as any client may.
struct Outside {
    runtime: tokio::runtime::Runtime,
    https: Client,
}

impl Outside {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, https: Client::new() }
    }

    fn post(&self, node: SocketAddr, path: &str, body: &Value) -> Option<(u16, Vec<u8>)> {
        let target = Target::node(node);
        let deadline = Deadline::after(Duration::from_secs(10));
        let asked = self.https.post(&target, path, "application/json", body.to_string(), deadline);
        self.runtime.block_on(asked).ok().map(|response| (response.status, response.body.to_vec()))
    }

    /// The height of the directory a node hands out.
    fn height(&self, home: &Home, node: SocketAddr) -> Option<u64> {
        let network = network(home);
        let (_, body) = self.post(node, "/json_rpc", &SeedRequest::default().to_json())?;
        let signed = SeedAnswer::from_json(&body).ok()?.directory?;
        Some(signed.verify(&network.registry_key.unwrap(), &network.network_id, 0).unwrap().height)
    }

    /// Waits until every listed node has the operator's directory, and gives it.
    fn settled(&self, home: &Home) -> Directory {
        let directory = directory(home);
        let started = Instant::now();
        for node in directory.nodes() {
            let address = (node.ip, node.https_port).into();
            while self.height(home, address) != Some(directory.height) {
                assert!(
                    started.elapsed() < LIMIT,
                    "{:?} does not get height {}",
                    node.ed25519,
                    directory.height
                );
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        directory
    }

    /// What a node says of an account's swarm: the keys of its members.
    fn swarm(&self, node: SocketAddr, account: &str) -> BTreeSet<String> {
        let body = json!({"method": "get_swarm", "params": {"pubkey": account}});
        let (status, body) = self.post(node, "/storage_rpc/v1", &body).unwrap();
        assert_eq!(status, 200);
        members(&serde_json::from_slice(&body).unwrap())
    }

    /// Every listed node says the same of every account, and it is what the directory says.
    fn agrees(&self, directory: &Directory, accounts: &[String]) {
        for account in accounts {
            let swarm = directory.swarm_of(&AccountId::from_hex(account).unwrap()).unwrap();
            let expected: BTreeSet<String> =
                directory.members(swarm).map(|node| node.ed25519.to_hex()).collect();
            for node in directory.nodes() {
                assert_eq!(self.swarm((node.ip, node.https_port).into(), account), expected, "{account}");
            }
        }
    }
}

fn members(answer: &Value) -> BTreeSet<String> {
    let members = answer["snodes"].as_array().unwrap();
    members.iter().map(|node| node["pubkey_ed25519"].as_str().unwrap().to_owned()).collect()
}

/// Accounts all over the ring.
fn some_accounts() -> Vec<String> {
    let account = |seed: u8| conclave_crypto::Account::from_secret(Ed25519Secret::from_seed(&[seed; 32]));
    (0..24).map(|seed| account(seed).id().to_hex()).collect()
}

/// A message from one to the other, stored by everybody who should and received.
#[track_caller]
fn exchange(home: &Home, bob: &str, message: &str) {
    let stored = home.send("alice", bob, message);
    assert!(stored["signed"].as_u64().unwrap() * 2 > stored["swarm"].as_u64().unwrap(), "{stored}");
    assert_eq!(home.listen("bob", 1)[0]["text"], message);
}

#[test]
fn six_nodes_join_a_running_network_a_swarm_appears_three_leave_and_one_dissolves() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    assert_eq!(net.ready["swarms"].as_object().unwrap().len(), 2);
    home.account("alice");
    let bob = home.account("bob");
    exchange(&home, &bob, "ten nodes");
    let mut accounts = some_accounts();
    accounts.push(bob.clone());
    let outside = Outside::new();
    let first = outside.settled(&home);
    outside.agrees(&first, &accounts);

    // Eleven to sixteen: made, started, waiting, admitted, serving.
    let mut foreign: Vec<Foreign> = (11..=16).map(|n| Foreign::init(&home, &n.to_string())).collect();
    for node in &mut foreign {
        let key = node.key.clone();
        let waiting = node.run(&home).until("waiting");
        assert_eq!((&waiting["node"], &waiting["height"]), (&json!(key), &json!(first.height)));
        let status = node.status(&home);
        assert_eq!((&status["running"], &status["listed"]), (&json!(true), &json!(false)), "{status}");
    }
    let joins: Vec<PathBuf> = foreign.iter().map(|node| node.folder.join("join.json")).collect();
    home.send("alice", &bob, "before sixteen");
    let applied = apply(&home, &joins).ok();
    assert_eq!(changes(&applied), ["admitted"; 6]);
    for node in &mut foreign {
        let key = node.key.clone();
        let ready = node.running.as_mut().unwrap().until("ready");
        assert_eq!(ready["node"], json!(key));
    }
    let sixteen = outside.settled(&home);
    assert_eq!((sixteen.height, sixteen.nodes().len()), (first.height + 1, 16));
    assert_eq!(sixteen.swarms().len(), 3);
    assert!(first.swarms().iter().all(|swarm| sixteen.swarms().contains(swarm)), "swarms keep their ids");
    outside.agrees(&sixteen, &accounts);
    for node in &foreign {
        let status = node.status(&home);
        assert_eq!((&status["listed"], &status["answers"]), (&json!(true), &json!(true)), "{status}");
        let reached = status["members"].as_array().unwrap();
        assert!(reached.len() >= 4 && reached.iter().all(|m| m["reachable"] == true), "{status}");
        assert!(status["fresh"] == true && status["store_bytes"].as_u64().unwrap() > 0, "{status}");
    }
    // Wherever the account is kept now, what was there before is there.
    assert_eq!(home.listen("bob", 1)[0]["text"], "before sixteen");
    exchange(&home, &bob, "sixteen nodes");
    // The same again changes nothing.
    assert_eq!(changes(&apply(&home, &joins).ok()), ["unchanged"; 6]);
    assert_eq!(directory(&home).height, sixteen.height);

    // Three leave: thirteen are too few for three swarms of five.
    let leavers: Vec<Foreign> = foreign.drain(..3).collect();
    home.send("alice", &bob, "before thirteen");
    let leaves: Vec<PathBuf> = leavers.iter().map(|node| node.leave(&home)).collect();
    assert_eq!(changes(&apply(&home, &leaves).ok()), ["removed"; 3]);
    let thirteen = outside.settled(&home);
    assert_eq!((thirteen.height, thirteen.nodes().len()), (sixteen.height + 1, 13));
    assert_eq!(thirteen.swarms().len(), 2);
    outside.agrees(&thirteen, &accounts);
    for mut leaver in leavers {
        let removed = leaver.running.as_mut().unwrap().until("removed");
        assert_eq!(removed["height"], json!(thirteen.height));
        // It sends clients with an old list to the right swarm.
        let record = sixteen.node(&Ed25519Public::from_hex(&leaver.key).unwrap()).unwrap();
        let store = json!({"method": "store", "params": {
            "pubkey": bob, "timestamp": SystemClock.now().0, "ttl": 60_000, "data": "aGVsbG8=",
        }});
        let (status, body) =
            outside.post((record.ip, record.https_port).into(), "/storage_rpc/v1", &store).unwrap();
        assert_eq!(status, 421);
        let swarm = thirteen.swarm_of(&AccountId::from_hex(&bob).unwrap()).unwrap();
        let expected: BTreeSet<String> = thirteen.members(swarm).map(|n| n.ed25519.to_hex()).collect();
        assert_eq!(members(&serde_json::from_slice(&body).unwrap()), expected);
        assert_eq!(leaver.status(&home)["state"], "removed");
        assert_eq!(leaver.running.take().unwrap().interrupt(), Some(0));
        let status = leaver.status(&home);
        assert_eq!((&status["running"], &status["state"]), (&json!(false), &json!("removed")), "{status}");
    }
    assert_eq!(home.listen("bob", 1)[0]["text"], "before thirteen");
    exchange(&home, &bob, "thirteen nodes");
    // Who has left does not come back with the request that brought it in.
    let error = apply(&home, &joins[..1]).fails_with(1);
    assert!(error["message"].as_str().unwrap().contains("older than what was last done"), "{error}");

    for mut node in foreign {
        assert_eq!(node.running.take().unwrap().interrupt(), Some(0));
    }
    net.stop();
}

#[test]
fn a_network_starts_again_with_the_nodes_of_others_and_without_its_own_that_left() {
    let home = Home::new();
    let net = Net::start(&home, 5);
    home.account("alice");
    let bob = home.account("bob");
    let mut sixth = Foreign::init(&home, "sixth");
    sixth.run(&home).until("waiting");
    apply(&home, &[sixth.folder.join("join.json")]).ok();
    sixth.running.as_mut().unwrap().until("ready");
    // The first node is a seed of the network file.
    let own = home.path().join("network/nodes/node-01");
    let left = home.run(&["node", "leave", "--yes", "--data-dir", text(&own)]).ok().event("requested");
    let seeds_before = network(&home).seeds;
    apply(&home, &[left["request"].as_str().unwrap().into()]).ok();
    let outside = Outside::new();
    let five = outside.settled(&home);
    let gone = left["node"].as_str().unwrap();
    assert!(five.nodes().len() == 5 && five.nodes().iter().all(|node| node.ed25519.to_hex() != gone));
    let seeds = network(&home).seeds;
    assert_eq!(seeds.len(), seeds_before.len());
    assert_eq!(seeds.iter().filter(|seed| !seeds_before.contains(seed)).count(), 1, "one seed is another");
    net.stop();
    // The registry works while the network does not run: somebody moves.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, udp) = (port.to_string(), udp.to_string());
    sixth.command(&home, &["node", "join", "--https-port", &port, "--quic-port", &udp]).ok();
    let moved = apply(&home, &[sixth.folder.join("join.json")]).ok();
    assert_eq!(changes(&moved), ["moved"]);
    // A registry says how many there are without any node.
    let listed = home.run(&["registry", "list"]).ok();
    assert_eq!((listed.events("node").len(), &listed.event("registry")["nodes"]), (5, &json!(5)));

    let net = Net::start(&home, 5);
    assert_eq!((&net.ready["nodes"], &net.ready["listed"]), (&json!(4), &json!(5)), "{}", net.ready);
    assert!(net.nodes().iter().all(|(_, key)| key != gone));
    let ready = sixth.running.as_mut().unwrap().until("ready");
    assert!(ready["https"].as_str().unwrap().ends_with(&format!(":{port}")), "{ready}");
    outside.settled(&home);
    exchange(&home, &bob, "four of ours and one of theirs");
    // By the operator's act alone.
    home.run(&["registry", "remove", &sixth.key, "--yes"]).ok();
    sixth.running.as_mut().unwrap().until("removed");
    let error = apply(&home, &[sixth.folder.join("join.json")]).fails_with(1);
    assert!(error["message"].as_str().unwrap().contains("older than what was last done"), "{error}");
    sixth.command(&home, &["node", "join"]).ok();
    assert_eq!(changes(&apply(&home, &[sixth.folder.join("join.json")]).ok()), ["admitted"]);
    sixth.running.as_mut().unwrap().until("ready");
    assert_eq!(sixth.running.take().unwrap().interrupt(), Some(0));
    net.stop();
}

#[test]
fn acts_at_the_same_time_lose_nothing() {
    let home = Home::new();
    let net = Net::start(&home, 1);
    let before = directory(&home).height;
    let nodes: Vec<Foreign> = (0..6).map(|n| Foreign::init(&home, &n.to_string())).collect();
    std::thread::scope(|scope| {
        for node in &nodes {
            let (home, request) = (&home, node.folder.join("join.json"));
            scope.spawn(move || apply(home, &[request]).ok());
        }
    });
    let after = directory(&home);
    assert_eq!((after.height, after.nodes().len()), (before + 6, 7));
    net.stop();
}

/// A key, and a request of it as bytes.
fn signed(home: &Home, seed: u8, change: impl FnOnce(&mut (String, Membership, Timestamp))) -> Vec<u8> {
    let address = JoinAddress {
        ip: std::net::Ipv4Addr::LOCALHOST,
        https_port: 40_000 + u16::from(seed),
        quic_port: 40_000 + u16::from(seed),
        version: Version([2, 11, 0]),
    };
    let mut request = (network(home).network_id, Membership::Join(address), SystemClock.now());
    change(&mut request);
    let secret = Ed25519Secret::from_seed(&[seed; 32]);
    MembershipRequest::sign(&request.0, request.1, request.2, &secret).unwrap().to_json().into_bytes()
}

#[test]
fn what_no_registry_should_follow_changes_nothing() {
    let home = Home::new();
    let net = Net::start(&home, 1);
    let before = std::fs::read(home.path().join("network/directory.json")).unwrap();
    let listed = directory(&home).nodes()[0];
    let hour = Duration::from_secs(3600);
    let taken = |wanted: &mut Membership, https: bool| {
        let Membership::Join(address) = wanted else { panic!("it is a join") };
        if https { address.https_port = listed.https_port } else { address.quic_port = listed.quic_port }
    };
    let bad: BTreeMap<&str, (Vec<u8>, &str)> = BTreeMap::from([
        ("other", (signed(&home, 1, |r| r.0 = "other".into()), "is for network \"other\"")),
        ("stale", (signed(&home, 2, |r| r.2 = r.2.minus(hour * 25)), "signed 25 hours ago")),
        ("future", (signed(&home, 3, |r| r.2 = r.2.plus(hour)), "minutes in the future")),
        ("tcp", (signed(&home, 4, |r| taken(&mut r.1, true)), "(TCP) is already the address of")),
        ("udp", (signed(&home, 5, |r| taken(&mut r.1, false)), "(UDP) is already the address of")),
        (
            "forged",
            (
                String::from_utf8(signed(&home, 6, |_| ())).unwrap().replace("40006", "40007").into_bytes(),
                "not signed by the node it names",
            ),
        ),
        ("empty", (Vec::new(), "cannot be read")),
        ("directory", (before.clone(), "cannot be read")),
        ("huge", (vec![b' '; 100_000], "are too many")),
    ]);
    let good = home.path().join("good.json");
    std::fs::write(&good, signed(&home, 9, |_| ())).unwrap();
    for (name, (bytes, said)) in &bad {
        let file = home.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        // Also beside one that alone would do.
        for files in [vec![file.clone()], vec![good.clone(), file.clone()]] {
            let error = apply(&home, &files).fails_with(1);
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(said) && message.contains(text(&file)), "{name}: {error}");
        }
    }
    apply(&home, &[home.path().join("missing")]).fails_with(1);
    home.run(&["registry", "apply"]).fails_with(2);
    home.run(&["registry", "remove", &"ab".repeat(32)]).fails_with(2);
    home.run(&["registry", "remove", "abc", "--yes"]).fails_with(2);
    let unknown = Ed25519Secret::from_seed(&[77; 32]).public().to_hex();
    let error = home.run(&["registry", "remove", &unknown, "--yes"]).fails_with(1);
    assert!(error["message"].as_str().unwrap().contains("no node with the key"), "{error}");
    let error = home.run(&["registry", "remove", &listed.ed25519.to_hex(), "--yes"]).fails_with(1);
    assert!(error["message"].as_str().unwrap().contains("the last node"), "{error}");
    assert_eq!(
        std::fs::read(home.path().join("network/directory.json")).unwrap(),
        before,
        "nothing was done"
    );
    assert_eq!(changes(&apply(&home, &[good]).ok()), ["admitted"]);

    // A key that is listed: nothing new, or another address.
    let again = home.path().join("again.json");
    std::fs::write(&again, signed(&home, 9, |r| r.2 = r.2.plus(Duration::from_secs(1)))).unwrap();
    assert_eq!(changes(&apply(&home, &[again]).ok()), ["unchanged"]);
    assert_eq!(directory(&home).nodes().len(), 2);
    net.stop();
}

#[test]
fn commands_say_what_they_need() {
    let home = Home::new();
    let folder = home.path().join("node");
    let run = |args: &[&str]| home.run(&[args, &["--data-dir", text(&folder)]].concat());
    // Neither a node nor a network.
    for command in ["run", "join", "leave", "status"] {
        let error = run(&["node", command]).fails_with(2);
        assert!(error["hint"].as_str().unwrap().contains("conclave node init"), "{error}");
    }
    let error = run(&["node", "init"]).fails_with(2);
    assert!(error["hint"].as_str().unwrap().contains("--network"), "{error}");
    let error = run(&["registry", "list"]).fails_with(2);
    assert!(error["message"].as_str().unwrap().contains("there is no network in"), "{error}");
    // The public network has no registry; one elsewhere does not know where this machine is.
    run(&["node", "init", "--network", "session"]).fails_with(2);
    let network = home.path().join("elsewhere.json");
    let key = Ed25519Secret::from_seed(&[1; 32]).public().to_hex();
    let file = json!({
        "network_id": "elsewhere", "registry_key": key,
        "swarm_params": {"min_size": 5, "new_size": 7, "ideal_margin": 2},
        "seeds": [{"url": "https://192.0.2.1/json_rpc", "pubkey_ed25519": key}],
    });
    std::fs::write(&network, file.to_string()).unwrap();
    let init = ["node", "init", "--network", text(&network)];
    let error = run(&init).fails_with(2);
    assert!(error["hint"].as_str().unwrap().contains("--ip"), "{error}");
    run(&[&init[..], &["--ip", "0.0.0.0"]].concat()).fails_with(2);
    run(&[&init[..], &["--ip", "192.0.2.7", "--https-port", "0"]].concat()).fails_with(2);
    assert!(!folder.exists(), "what failed left nothing");
    let made = run(&[&init[..], &["--ip", "192.0.2.7"]].concat()).ok().event("initialized");
    assert_eq!((&made["https_port"], &made["quic_port"]), (&json!(22021), &json!(22020)));
    let error = run(&[&init[..], &["--ip", "192.0.2.7"]].concat()).fails_with(2);
    assert!(error["message"].as_str().unwrap().contains("is there already"), "{error}");
    // Leaving is confirmed; a node that has never run says what is known.
    let error = run(&["node", "leave"]).fails_with(2);
    assert!(error["hint"].as_str().unwrap().contains("--yes"), "{error}");
    let status = run(&["node", "status"]).ok().event("status");
    assert_eq!(
        (&status["running"], &status["listed"], &status["node"]),
        (&json!(false), &json!(null), &made["node"])
    );
    let toml = std::fs::read_to_string(folder.join("node.toml")).unwrap();
    assert!(toml.contains("# directory = ") && toml.contains("max_store_bytes = "), "{toml}");
    // A secret is for its owner.
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(folder.join("node.key")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
    }
}
