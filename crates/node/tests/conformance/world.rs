//! The nodes of a topic, and what a case sees of them.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use conclave_crypto::Ed25519Public;
use conclave_node::{Clock as _, Hooks, Misbehave, NodeConfig};
use conclave_proto::{SnodeRecord, bt};
use conclave_transport::https::{Client, Target};
use conclave_transport::quic::{Alpn, Connection, Endpoint};
use serde_json::{Value, json};

use crate::askers::{Me, ns};
use crate::common::asking::StandingClock;
use crate::common::{Swarm, b64, node_secret, now};
use crate::table::Sentences;
use crate::wires::{ALL, Https, Onion, Quic, Transport, Way, ask};

/// A promise put to the test.
pub struct Case {
    pub topic: &'static str,
    pub name: &'static str,
    /// The transports it runs over.
    pub on: &'static [Way],
    /// The sentences it shows.
    pub covers: &'static [&'static str],
    pub run: fn(T) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// `case!(function, transports, [sentences])`
macro_rules! case {
    ($run:ident, $on:expr, [$($id:literal),+ $(,)?]) => {
        $crate::world::Case {
            topic: module_path!(),
            name: stringify!($run),
            on: $on,
            covers: &[$($id),+],
            run: |t| Box::pin($run(t)),
        }
    };
}
pub(crate) use case;

/// Nodes that are in the directory, in no swarm, and do not run: cases hold their keys, and play the one and the other.
pub const PLAYED: usize = 4;
pub const STRANGE: usize = 5;

/// Nodes 0 and 1 are one swarm, 2 and 3 another. Node 0 is asked; 1, 2 and 3 are hops on the way to it. Every clock stands
/// still at [`T::now`], so that limits of time are met to the millisecond.
pub struct World {
    pub swarm: Swarm,
    pub client: Client,
    /// A client's connection to node 0.
    pub quic: Connection,
    _endpoint: Endpoint,
    clock: Arc<StandingClock>,
    numbers: AtomicU32,
    in_turns: bool,
}

impl World {
    pub async fn usual() -> Self {
        Self::start(&[0, 0, 1 << 63, 1 << 63, u64::MAX, u64::MAX], &[0, 1, 2, 3], |_, _| ()).await
    }

    /// Node 0 runs, and so do the hops, but node 4, of node 0's swarm, does not.
    pub async fn with_an_absent_member() -> Self {
        Self::start(&[0, 1 << 63, 1 << 63, 1 << 63, 0], &[0, 1, 2, 3], |_, _| ()).await
    }

    /// Of node 0's swarm are also node 4, which signs with a key that is not its own, node 5, which answers rubbish, and
    /// node 6, whose clock is two minutes ahead.
    pub async fn with_odd_members() -> Self {
        let swarms = [0, 1 << 63, 1 << 63, 1 << 63, 0, 0, 0];
        Self::start(&swarms, &[0, 1, 2, 3, 4, 5, 6], |index, hooks| match index {
            4 => hooks.misbehave = Misbehave::WrongKey,
            5 => hooks.misbehave = Misbehave::Rubbish,
            6 => hooks.clock = Arc::new(StandingClock((hooks.clock.now().0 + 120_000).into())),
            _ => {}
        })
        .await
    }

    /// No node is in a swarm.
    pub async fn without_swarms() -> Self {
        Self::start(&[u64::MAX; 4], &[0, 1, 2, 3], |_, _| ()).await
    }

    /// Node 0 is alone in its swarm, and its store takes nothing more.
    pub async fn with_a_full_store() -> Self {
        let swarms = [0, 1 << 63, 1 << 63, 1 << 63];
        Self::configured(
            &swarms,
            &[0, 1, 2, 3],
            |_, _| (),
            |index, config| {
                if index == 0 {
                    config.max_store_bytes = 1;
                }
            },
        )
        .await
    }

    /// [`Self::usual`], where cases may move the clock: the transports take turns.
    pub async fn in_turns() -> Self {
        Self { in_turns: true, ..Self::usual().await }
    }

    async fn start(swarms: &[u64], running: &[usize], hooks: impl Fn(usize, &mut Hooks)) -> Self {
        Self::configured(swarms, running, hooks, |_, _| ()).await
    }

    async fn configured(
        swarms: &[u64],
        running: &[usize],
        change_hooks: impl Fn(usize, &mut Hooks),
        change_config: impl Fn(usize, &mut NodeConfig),
    ) -> Self {
        let clock = Arc::new(StandingClock(now().0.into()));
        let mut swarm = Swarm::listed(swarms);
        for index in running {
            let mut hooks = Hooks { clock: Arc::<StandingClock>::clone(&clock), ..Hooks::default() };
            change_hooks(*index, &mut hooks);
            let mut config = swarm.config(*index);
            change_config(*index, &mut config);
            swarm.nodes.push(crate::common::start(&config, hooks).await);
        }
        let endpoint = Endpoint::client().unwrap();
        let asked = swarm.listed[0];
        let quic = endpoint.dial((asked.ip, asked.quic_port).into(), asked.ed25519, Alpn::Client).await;
        let quic = quic.unwrap();
        let numbers = AtomicU32::new(0);
        Self { swarm, client: Client::new(), quic, _endpoint: endpoint, clock, numbers, in_turns: false }
    }

    pub fn target(&self, node: usize) -> Target {
        Target::node(self.swarm.nodes[node].addresses().https)
    }

    fn transport(&self, way: Way) -> Box<dyn Transport> {
        let client = self.client.clone();
        let [destination, hops @ ..] = &self.swarm.listed[..4] else { panic!("too few nodes") };
        match way {
            Way::Https => Box::new(Https { client, target: self.target(0) }),
            Way::Quic => Box::new(Quic { connection: self.quic.clone() }),
            Way::Onion => Box::new(Onion {
                client,
                guard: self.target(1),
                hops: hops.try_into().unwrap(),
                destination: *destination,
            }),
        }
    }
}

/// What a case is given.
pub struct T {
    pub world: Arc<World>,
    pub wire: Box<dyn Transport>,
    shown: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl T {
    /// Notes that the sentence has just been shown to hold.
    pub fn shows(&self, id: &'static str) {
        self.shown.lock().unwrap().insert(id);
    }

    /// What every clock says, in milliseconds.
    pub fn now(&self) -> u64 {
        self.world.clock.now().0
    }

    /// Moves every clock forward. Only where the transports take turns: what others have signed is late then.
    pub fn later(&self, milliseconds: u64) {
        assert!(self.world.in_turns);
        self.world.clock.0.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn fresh(&self, make: impl Fn(u32) -> Me) -> Me {
        let view = self.world.swarm.nodes[0].view();
        let numbers = std::iter::repeat_with(|| self.world.numbers.fetch_add(1, Ordering::Relaxed));
        numbers.map(make).find(|me| view.is_ours(&me.id)).unwrap()
    }

    /// An account nobody else uses, kept by node 0.
    pub fn user(&self) -> Me {
        self.fresh(Me::user)
    }

    /// A group nobody else uses, kept by node 0.
    pub fn group(&self) -> Me {
        self.of_type(3)
    }

    pub fn of_type(&self, prefix: u8) -> Me {
        self.fresh(|number| Me::of_type(prefix, number))
    }

    /// An account that node 0 does not keep.
    pub fn stranger(&self) -> Me {
        let view = self.world.swarm.nodes[0].view();
        (0..).map(Me::user).find(|me| !view.is_ours(&me.id)).unwrap()
    }

    /// The members of node 0's swarm that run.
    pub fn members(&self) -> Vec<SnodeRecord> {
        let own = self.node(0).swarm;
        self.world.swarm.records_by_node().into_iter().filter(|node| node.swarm == own).collect()
    }

    pub fn node(&self, index: usize) -> SnodeRecord {
        self.world.swarm.listed[index]
    }

    /// Asks node 0; a text answer is a JSON string.
    pub async fn rpc(&self, method: &str, params: &Value) -> (u16, Value) {
        let (status, body) = self.wire.send(method, &params.to_string()).await;
        (status, read(body))
    }

    /// Asks what is to be answered with 200.
    pub async fn ok(&self, method: &str, params: &Value) -> Value {
        let (status, answer) = self.rpc(method, params).await;
        assert_eq!(status, 200, "{method} {params}: {answer}");
        answer
    }

    /// Asks what is to be refused in these words; shows a sentence with it.
    pub async fn refused(&self, id: &'static str, method: &str, params: &Value, status: u16, text: &str) {
        let answer = self.rpc(method, params).await;
        assert_eq!(answer, (status, text.into()), "{id}: {method} {params}");
        self.shows(id);
    }

    /// [`Self::refused`] with 400 and `invalid request: ` before the text.
    pub async fn invalid(&self, id: &'static str, method: &str, params: &Value, text: &str) {
        self.refused(id, method, params, 400, &format!("invalid request: {text}")).await;
    }

    /// The parameters of a store that is all right, signed where that is needed.
    pub fn storing(&self, me: &Me, namespace: i16, data: &str) -> Value {
        let params = json!({"namespace": namespace, "timestamp": self.now(), "ttl": 3_600_000, "data": b64(data.as_bytes())});
        me.signed(format!("store{}{}", ns(namespace), self.now()), params)
    }

    pub async fn store(&self, me: &Me, namespace: i16, data: &str) -> Value {
        self.ok("store", &self.storing(me, namespace, data)).await
    }

    /// The parameters of a retrieve that is all right.
    pub fn retrieving(&self, me: &Me, namespace: i16) -> Value {
        let params = json!({"namespace": namespace, "timestamp": self.now()});
        me.signed(format!("retrieve{}{}", ns(namespace), self.now()), params)
    }

    /// The texts of a mailbox.
    pub async fn texts(&self, me: &Me, namespace: i16) -> Vec<String> {
        crate::common::texts(&self.ok("retrieve", &self.retrieving(me, namespace)).await)
    }

    /// When these expire, of those that are there.
    pub async fn expiries(&self, me: &Me, hashes: &[&str]) -> Value {
        let text = format!("get_expiries{}{}", self.now(), hashes.concat());
        let params = me.signed(text, json!({"messages": hashes, "timestamp": self.now()}));
        self.ok("get_expiries", &params).await["expiries"].clone()
    }

    /// Asks node 0 over QUIC in bt; what is inside `[200, …]`.
    pub async fn bt(&self, method: &str, params: &bt::Value) -> bt::Value {
        let (status, body) = ask(&self.world.quic, method, &params.encode()).await;
        assert_eq!(status, 200, "{method}: {}", String::from_utf8_lossy(&body));
        let pair = bt::Value::decode(&body).unwrap();
        let [status, result] = pair.as_list().unwrap() else { panic!("{pair:?}") };
        assert_eq!(status.as_u64(), Some(200));
        result.clone()
    }

    /// Status and text of a refusal in bt.
    pub async fn bt_refused(&self, method: &str, params: &bt::Value) -> (u16, String) {
        let (status, body) = ask(&self.world.quic, method, &params.encode()).await;
        (status, String::from_utf8(body).unwrap())
    }

    /// The signature of each member of the swarm that ran, over `signed` made of its own entry; asserts that all are there.
    pub fn all_sign(&self, answer: &Value, signed: impl Fn(&Value) -> String) {
        for node in self.members() {
            let entry = &answer["swarm"][node.ed25519.to_hex()];
            assert!(is_signed(&node.ed25519, entry, &signed(entry)), "{} signs {}", answer, signed(entry));
        }
    }
}

/// JSON, or text as a JSON string.
pub fn read(body: Vec<u8>) -> Value {
    serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into())
}

/// Whether `entry` carries the node's signature over the text, in base64 with padding.
pub fn is_signed(node: &Ed25519Public, entry: &Value, text: &str) -> bool {
    let signature = entry["signature"].as_str().unwrap_or_default();
    let bytes = conclave_proto::base64::decode(signature).unwrap_or_default();
    let Some(signature) = conclave_crypto::Signature::from_slice(&bytes) else { return false };
    node.verify(text.as_bytes(), &signature).is_ok()
}

/// Connects to node 0 as the node that is only played.
pub async fn played(world: &World) -> (Endpoint, Connection) {
    let endpoint = Endpoint::dialler(&node_secret(PLAYED)).unwrap();
    let node = world.swarm.listed[0];
    let connection = endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Node).await.unwrap();
    (endpoint, connection)
}

/// Runs every case over every transport it is for: the transports at once, the cases of each in order.
pub async fn run(world: impl Future<Output = World>, cases: &'static [Case]) {
    let sentences = Arc::new(Sentences::read());
    let world = Arc::new(world.await);
    let in_turns = world.in_turns;
    let (mut running, mut failures) = (Vec::new(), Vec::new());
    for way in ALL {
        let (world, sentences) = (Arc::clone(&world), Arc::clone(&sentences));
        let cases = tokio::spawn(async move {
            let mut failures = Vec::new();
            for case in cases.iter().filter(|case| case.on.contains(way)) {
                let shown = Arc::new(Mutex::new(BTreeSet::new()));
                let t =
                    T { world: Arc::clone(&world), wire: world.transport(*way), shown: Arc::clone(&shown) };
                let what = format!("{}::{} over {}", case.topic, case.name, way.name());
                if tokio::spawn((case.run)(t)).await.is_err() {
                    failures.push(format!("{what} failed, see above"));
                    continue;
                }
                let shown = shown.lock().unwrap();
                for id in case.covers.iter().filter(|id| sentences.apply(id, *way)) {
                    if !shown.contains(id) {
                        failures.push(format!("{what} names {id} and does not show it"));
                    }
                }
                for id in shown.iter().filter(|id| !case.covers.contains(id)) {
                    failures.push(format!("{what} shows {id} and does not name it"));
                }
            }
            failures
        });
        if in_turns {
            failures.extend(cases.await.unwrap());
        } else {
            running.push(cases);
        }
    }
    for way in running {
        failures.extend(way.await.unwrap());
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
