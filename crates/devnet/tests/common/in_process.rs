//! A private network whose nodes run in this process, on real sockets, so that a test can look inside them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::path::Path;

use conclave_client::profile::{DataDir, ProfileName, Protection};
use conclave_client::{Client, ClientOptions, accounts};
use conclave_devnet::{Layout, Plan, Weather, Wires};
use conclave_node::{Clock as _, Hooks, Node, NodeConfig, SystemClock};
use conclave_proto::network::NetworkFile;
use conclave_testkit::rng;

pub struct InProcess {
    pub dir: tempfile::TempDir,
    pub network: NetworkFile,
    pub nodes: Vec<Node>,
    pub wires: Option<Wires>,
}

impl InProcess {
    /// `count` nodes, each with the hooks of its number (from 0).
    pub async fn start(count: usize, hooks: impl Fn(usize) -> Hooks) -> Self {
        Self::start_with(count, hooks, |_, _| {}, None).await
    }

    /// `count` honest nodes, each with what its operator sets (numbers from 0).
    pub async fn start_configured(count: usize, configure: impl Fn(usize, &mut NodeConfig)) -> Self {
        Self::start_with(count, |_| Hooks::default(), configure, None).await
    }

    /// `count` honest nodes, each at the end of a wire. What the wires do at random, the seed decides.
    pub async fn start_wired(count: usize, seed: u64) -> Self {
        Self::start_with(count, |_| Hooks::default(), |_, _| {}, Some(seed)).await
    }

    async fn start_with(
        count: usize,
        hooks: impl Fn(usize) -> Hooks,
        configure: impl Fn(usize, &mut NodeConfig),
        seed: Option<u64>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::in_data_dir(dir.path());
        let plan = Plan::prepare(layout, count, None, SystemClock.now()).unwrap();
        let wires = match seed {
            Some(seed) => Some(Wires::lay(&plan, Weather::default(), rng(seed)).await.unwrap()),
            None => None,
        };
        let mut nodes = Vec::new();
        for node in plan.nodes() {
            let mut config = NodeConfig::read(&plan.layout().node_config(node.index)).unwrap();
            configure(node.index - 1, &mut config);
            nodes.push(Node::start(&config, hooks(node.index - 1)).await.unwrap());
        }
        Self { network: plan.network_file().clone(), nodes, wires, dir }
    }

    /// From now on the wires do this.
    pub fn weather(&self, weather: Weather) {
        self.wires.as_ref().unwrap().set(weather);
    }

    /// A new account in a data directory of its own below this network's.
    pub fn client(&self, name: &str, options: ClientOptions) -> Client {
        self.client_in(&self.dir.path().join("clients").join(name), name, options)
    }

    pub fn client_in(&self, dir: &Path, name: &str, options: ClientOptions) -> Client {
        let profile = ProfileName::new(name).unwrap();
        let (owned, _) =
            accounts::create(&DataDir::new(dir), &profile, name, &Protection::KeyFile, Some(&self.network))
                .unwrap();
        Client::start(owned, options).unwrap()
    }

    pub async fn stop(self) {
        for node in self.nodes {
            node.shutdown().await;
        }
    }
}
