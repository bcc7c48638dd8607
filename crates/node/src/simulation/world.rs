//! One world: its clock, its network, its queue of what happens next. The seed decides everything.
//!
//! Time stands still while something happens. Nodes are in [`super::process`]; what they do is in [`super::nodes`] and
//! [`super::background`]; who asks them in [`super::clients`]; what befalls them in [`super::fate`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use conclave_crypto::Ed25519Secret;
use conclave_proto::membership::SwarmMap;
use conclave_proto::network::{Directory, SignedDirectory, SwarmParams};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp, Version};
use conclave_testkit::SeededRng;
use conclave_testkit::worlds::{self, Happened};
pub(super) use conclave_testkit::worlds::{Outcome, Violation};
use rand_core::RngCore as _;

use super::Bug;
use super::clients::Person;
use super::coverage::Kind;
use super::ledger::Ledger;
use super::process::{Parcel, SimNode, Timer};

/// When every world begins.
const BEGINNING: u64 = 1_700_000_000_000;
/// Keys that nodes can have.
pub(super) const MOST_NODES: usize = 9;

/// What happens at some time.
#[derive(Debug)]
pub(super) enum Event {
    /// A parcel arrives.
    Arrives { from: usize, to: usize, parcel: Parcel },
    /// A clock of a node's process goes off.
    Timer { node: usize, life: u64, timer: Timer },
    /// A node that is down is started.
    Start { node: usize },
    /// A node sees the directory as it is then.
    Directory { node: usize },
    /// The network is whole again.
    Heal,
}

pub(super) struct World {
    pub(super) rng: SeededRng,
    /// The true time.
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    numbers: u64,
    pub(super) nodes: Vec<SimNode>,
    pub(super) people: Vec<&'static Person>,
    pub(super) ledger: Ledger,
    pub(super) happened: Happened<Kind>,
    pub(super) operations: u64,
    pub(super) network: Network,
    pub(super) membership: Membership,
    pub(super) bug: Option<Bug>,
    /// Messages are so large that they are handed over in parts.
    pub(super) large: bool,
    trace: Option<Vec<String>>,
}

/// How parcels fare.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// Of a thousand.
    pub(super) lost: u64,
    pub(super) twice: u64,
    pub(super) slow: u64,
    /// Until then commits often take seconds.
    pub(super) disks_slow_until: u64,
    /// In which part each node is, while it is partitioned.
    pub(super) parts: Option<Vec<u8>>,
    /// Nothing bad happens any more.
    pub(super) perfect: bool,
}

/// Who is in the network, as the registry says.
pub(super) struct Membership {
    pub(super) params: SwarmParams,
    pub(super) map: SwarmMap,
    pub(super) directory: Directory,
    pub(super) signed: SignedDirectory,
}

thread_local! {
    /// The time since the beginning, and what has been done in this moment: looking at the clock takes time.
    static CLOCK: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// What looking at the clock takes: computing digests then takes so long that they are used again.
const LOOKING: u64 = 100;

/// The clock of nodes that never goes back.
pub(super) fn steady() -> Instant {
    static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
    let (now, looks) = CLOCK.get();
    CLOCK.set((now, looks + 1));
    *BASE + Duration::from_millis(now + looks * LOOKING)
}

/// The result of something that is done inline.
pub(super) fn done<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}

impl worlds::World for World {
    type Kind = Kind;
    type Bug = Bug;

    fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Self {
        let mut rng = conclave_testkit::rng(seed);
        CLOCK.set((0, 0));
        let min_size = 2 + rng.next_u32() % 2;
        let params = SwarmParams { min_size, new_size: min_size, ideal_margin: rng.next_u32() % 2 };
        let nodes: Vec<SimNode> = (0..MOST_NODES).map(|index| SimNode::new(index, seed)).collect();
        let membership = Membership::new(params);
        let mut world = Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            numbers: 0,
            nodes,
            people: Vec::new(),
            ledger: Ledger::default(),
            happened: Happened::default(),
            operations: 0,
            network: Network::default(),
            membership,
            bug,
            large: false,
            trace: traced.then(Vec::new),
        };
        world.large = world.chance(140);
        world.network.lost = [0, 5, 30, 100][world.below(4)];
        world.network.twice = [0, 5, 30][world.below(3)];
        world.network.slow = [0, 10, 40][world.below(3)];
        world.people = super::clients::people(&mut world.rng);
        world
    }

    fn run(&mut self) -> Outcome {
        self.takes_its_course()
    }

    fn happened(&self) -> &Happened<Kind> {
        &self.happened
    }

    fn acts(&self) -> u64 {
        self.operations
    }

    fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }
}

impl World {
    /// Says what happens, if anybody reads it.
    pub(super) fn say(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>9.3} {}", self.now as f64 / 1_000.0, what(self));
            self.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        }
    }

    /// Milliseconds since the beginning.
    pub(super) const fn elapsed(&self) -> u64 {
        self.now
    }

    /// The time of a clock that is right.
    pub(super) const fn true_time(&self) -> Timestamp {
        Timestamp(BEGINNING + self.now)
    }

    /// The time by a node's clock.
    pub(super) fn time_of(&self, node: usize) -> Timestamp {
        Timestamp(self.true_time().0.saturating_add_signed(self.nodes[node].skew))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.rng.next_u64() % (to - from).max(1)
    }

    /// True in so many of a thousand cases.
    pub(super) fn chance(&mut self, of_thousand: u64) -> bool {
        self.rng.next_u64() % 1_000 < of_thousand
    }

    pub(super) fn after(&mut self, milliseconds: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.now + milliseconds, number), event);
    }

    pub(super) fn timer(&mut self, node: usize, milliseconds: u64, timer: Timer) {
        let life = self.nodes[node].life;
        self.after(milliseconds, Event::Timer { node, life, timer });
    }

    /// Lets everything happen that happens until then.
    pub(super) fn run_until(&mut self, then: u64) -> Outcome {
        while let Some(next) = self.queue.first_entry() {
            let at = next.key().0;
            if at > then {
                break;
            }
            let event = next.remove();
            self.set_clock(at.max(self.now));
            self.happens(event)?;
        }
        self.set_clock(then.max(self.now));
        Ok(())
    }

    fn set_clock(&mut self, now: u64) {
        self.now = now;
        CLOCK.set((now, 0));
    }

    fn happens(&mut self, event: Event) -> Outcome {
        match event {
            Event::Arrives { from, to, parcel } => self.arrives(from, to, parcel),
            Event::Timer { node, life, timer } => {
                if self.nodes[node].life == life && self.nodes[node].process.is_some() {
                    self.goes_off(node, timer)
                } else {
                    Ok(())
                }
            }
            Event::Start { node } => self.start(node),
            Event::Directory { node } => self.sees_directory(node),
            Event::Heal => {
                if self.network.parts.take().is_some() {
                    self.happened.note(Kind::Heal);
                    self.say(|_| "the network is whole again".to_owned());
                }
                Ok(())
            }
        }
    }

    pub(super) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.network.parts.as_ref().is_some_and(|parts| parts[one] != parts[other])
    }

    /// Sends a parcel from one node to another.
    pub(super) fn send(&mut self, from: usize, to: usize, parcel: Parcel) {
        if self.is_cut(from, to) {
            return;
        }
        let bad = !self.network.perfect;
        if bad && self.chance(self.network.lost) {
            self.happened.note(Kind::LostTraffic);
            self.say(|_| format!("lost from {from} to {to}: {parcel:?}"));
            return;
        }
        if bad && self.chance(self.network.twice) {
            self.happened.note(Kind::TwiceTraffic);
            let delay = self.delay();
            self.after(delay, Event::Arrives { from, to, parcel: parcel.clone() });
        }
        let delay = self.delay();
        self.after(delay, Event::Arrives { from, to, parcel });
    }

    fn delay(&mut self) -> u64 {
        if !self.network.perfect && self.chance(self.network.slow) {
            self.happened.note(Kind::SlowTraffic);
            self.between(1_000, 12_000)
        } else {
            self.between(1, 60)
        }
    }

    /// Jumps: whatever should have happened meanwhile happens now, late.
    pub(super) fn time_passes(&mut self, milliseconds: u64) -> Outcome {
        self.set_clock(self.now + milliseconds);
        self.run_until(self.now)
    }

    /// The numbers of a swarm's members in the directory.
    pub(super) fn members(&self, swarm: SwarmId) -> Vec<usize> {
        let members = self.membership.directory.members(swarm);
        members.filter_map(|member| self.numbered(&member.ed25519)).collect()
    }

    /// The node with that key.
    pub(super) fn numbered(&self, key: &conclave_crypto::Ed25519Public) -> Option<usize> {
        self.nodes.iter().position(|node| node.key == *key)
    }

    /// Those in the directory.
    pub(super) fn listed(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|index| self.membership.directory.node(&self.nodes[*index].key).is_some())
            .collect()
    }
}

impl Membership {
    fn new(params: SwarmParams) -> Self {
        let (directory, signed) = directory(0, &SwarmMap::default());
        Self { params, map: SwarmMap::default(), directory, signed }
    }

    /// The map has changed: the next directory says so.
    pub(super) fn publish(&mut self) {
        (self.directory, self.signed) = directory(self.directory.height + 1, &self.map);
    }
}

fn directory(height: u64, map: &SwarmMap) -> (Directory, SignedDirectory) {
    static REGISTRY: LazyLock<Ed25519Secret> = LazyLock::new(|| Ed25519Secret::from_seed(&[99; 32]));
    let record = |(ed25519, swarm): (conclave_crypto::Ed25519Public, SwarmId)| SnodeRecord {
        ed25519,
        x25519: ed25519.to_x25519(),
        ip: std::net::Ipv4Addr::new(10, 0, 0, 1),
        https_port: 22_021,
        quic_port: 22_020,
        swarm,
        version: Version([2, 11, 0]),
    };
    let nodes = map.assignment().into_iter().map(record).collect();
    let issued = Timestamp(BEGINNING + height);
    let valid = issued.plus(Duration::from_secs(365 * 24 * 60 * 60));
    let directory = Directory::new("simulated".into(), height, issued, valid, nodes)
        .unwrap_or_else(|error| panic!("{error}"));
    let signed = directory.sign(&REGISTRY);
    (directory, signed)
}
