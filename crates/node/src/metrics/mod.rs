//! What an operator may count: totals and times, never who.
//!
//! Labels come from closed sets (methods, transports, statuses of the protocol), so a stranger can neither make the node
//! remember something about anybody nor make it remember without bound.

mod serve;

use std::time::Duration;

use conclave_proto::rpc::status;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::limit;

pub(crate) use serve::{Sources, handler, options};

/// The name under which is counted what names no method of ours.
pub(crate) const NO_METHOD: &str = "unknown";

/// The name of what members ask of each other to have the same.
pub(crate) const REPLICATION: &str = "replication";

/// The name of what members ask of each other about chunks of files.
pub(crate) const CHUNKS: &str = "chunks";

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "as the label is spelled")]
pub(crate) enum Transport {
    /// From a client over HTTPS.
    https,
    /// From a client over QUIC.
    quic,
    /// From another node.
    node,
    /// Out of an onion layer.
    onion,
}

/// What a node was for an onion layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "as the label is spelled")]
pub(crate) enum Role {
    /// It could not be read.
    refused,
    /// Passed to another node.
    relay,
    /// For this node.
    destination,
    /// Passed to a server.
    server,
}

/// Why somebody was turned away unheard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "as the label is spelled")]
pub(crate) enum Shed {
    /// Too many from one address.
    address,
    /// Too many bytes from one address or neighbour.
    bytes,
    /// Too many in all.
    overload,
    /// No place or no memory for it.
    busy,
    /// The node is about to stop.
    stopping,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    transport: Transport,
    method: &'static str,
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hop {
    role: Role,
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: Shed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    transport: Transport,
}

impl From<limit::Refused> for Shed {
    fn from(refused: limit::Refused) -> Self {
        match refused {
            limit::Refused::Address => Self::address,
            limit::Refused::Everybody => Self::overload,
        }
    }
}

/// Something that was answered.
pub(crate) struct Request {
    pub(crate) transport: Transport,
    pub(crate) method: &'static str,
    pub(crate) code: u16,
    /// `None` if it was held back, waiting for news.
    pub(crate) took: Option<Duration>,
    /// Bytes of its body.
    pub(crate) asked: usize,
    /// Bytes of the answer.
    pub(crate) answered: usize,
}

/// What is counted. Counting never waits for those who look.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<By, Histogram, fn() -> Histogram>,
    bytes_in: Family<By, Counter>,
    bytes_out: Family<By, Counter>,
    hops: Family<Hop, Counter>,
    shed: Family<Reason, Counter>,
    chunk_refusals: Family<Code, Counter>,
    commit_writes: Histogram,
    commit_seconds: Histogram,
    // Set when somebody looks.
    gauges: Gauges,
}

#[derive(Default)]
struct Gauges {
    ready: Gauge,
    messages: Gauge,
    accounts: Gauge,
    store_bytes: Gauge,
    store_free_bytes: Gauge,
    store_max_bytes: Gauge,
    chunks: Gauge,
    chunk_bytes: Gauge,
    chunk_max_bytes: Gauge,
    chunk_evictions: Counter,
    peers: Family<State, Gauge>,
    held: Gauge,
    swarm_members: Gauge,
    directory_height: Gauge,
    connections: Family<Listener, Gauge>,
    connections_refused: Family<Listener, Counter>,
    rate_limited_addresses: Gauge,
    shed_thousandths: Gauge,
}

/// From a tenth of a millisecond to thirty seconds, the longest wait there is.
fn seconds() -> Histogram {
    Histogram::new([0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("conclave"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            bytes_in: Family::default(),
            bytes_out: Family::default(),
            hops: Family::default(),
            shed: Family::default(),
            chunk_refusals: Family::default(),
            commit_writes: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            commit_seconds: seconds(),
            gauges: Gauges::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let (r, g) = (&mut self.registry, &self.gauges);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The program", build);
        r.register("requests", "Requests answered", self.requests.clone());
        r.register_with_unit("request", "Time to an answer", Unit::Seconds, self.seconds.clone());
        r.register_with_unit("received", "Bodies of requests", Unit::Bytes, self.bytes_in.clone());
        r.register_with_unit("sent", "Bodies of answers", Unit::Bytes, self.bytes_out.clone());
        r.register("onion_layers", "Onion layers by what was to be done with them", self.hops.clone());
        r.register("shed", "Requests turned away unheard", self.shed.clone());
        r.register("commit_writes", "Writes in one commit of the message store", self.commit_writes.clone());
        r.register_with_unit(
            "commit",
            "Time of one commit of the message store",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        r.register("ready", "1 while the node has nothing to complain about", g.ready.clone());
        r.register("messages", "Messages in the store", g.messages.clone());
        r.register("accounts", "Accounts with messages in the store", g.accounts.clone());
        r.register_with_unit("store", "The message database", Unit::Bytes, g.store_bytes.clone());
        r.register_with_unit(
            "store_free",
            "Unused parts of the message database",
            Unit::Bytes,
            g.store_free_bytes.clone(),
        );
        r.register_with_unit(
            "store_max",
            "The most the database may have",
            Unit::Bytes,
            g.store_max_bytes.clone(),
        );
        r.register("chunks", "Chunks of files", g.chunks.clone());
        r.register_with_unit("chunk", "Chunks of files", Unit::Bytes, g.chunk_bytes.clone());
        r.register_with_unit(
            "chunk_max",
            "The most that chunks of files may have",
            Unit::Bytes,
            g.chunk_max_bytes.clone(),
        );
        r.register(
            "chunk_evictions",
            "Promised chunks that gave way to other files",
            g.chunk_evictions.clone(),
        );
        r.register(
            "chunk_refusals",
            "Clients' requests about chunks that were refused",
            self.chunk_refusals.clone(),
        );
        r.register("peers", "Other nodes of the network, by whether there is a connection", g.peers.clone());
        r.register("held_requests", "Requests that wait for news", g.held.clone());
        r.register("swarm_members", "Nodes of this node's swarm", g.swarm_members.clone());
        r.register("directory_height", "Height of the directory in use", g.directory_height.clone());
        r.register("connections", "Connections to this node", g.connections.clone());
        r.register(
            "connections_refused",
            "Connections refused for want of a place",
            g.connections_refused.clone(),
        );
        r.register(
            "rate_limited_addresses",
            "Addresses whose rate is being watched",
            g.rate_limited_addresses.clone(),
        );
        r.register(
            "shed_thousandths",
            "Share of requests that is turned away now",
            g.shed_thousandths.clone(),
        );
        self
    }

    /// Counts something that was answered.
    pub(crate) fn answered(&self, request: &Request) {
        let Request { transport, method, code, took, asked, answered } = *request;
        let by = By { transport };
        self.requests.get_or_create(&Answered { transport, method, code: known(code) }).inc();
        if let Some(took) = took {
            self.seconds.get_or_create(&by).observe(took.as_secs_f64());
        }
        self.bytes_in.get_or_create(&by).inc_by(asked as u64);
        self.bytes_out.get_or_create(&by).inc_by(answered as u64);
    }

    /// Counts an onion layer.
    pub(crate) fn hop(&self, role: Role, code: u16) {
        self.hops.get_or_create(&Hop { role, code: known(code) }).inc();
    }

    /// Counts somebody who was turned away.
    pub(crate) fn shed(&self, reason: Shed) {
        self.shed.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a client's request about chunks that was refused.
    pub(crate) fn chunk_refused(&self, code: u16) {
        self.chunk_refusals.get_or_create(&Code { code: u32::from(code) }).inc();
    }

    /// Counts a commit of the store.
    pub(crate) fn committed(&self, writes: usize, took: Duration) {
        self.commit_writes.observe(f64::from(u32::try_from(writes).unwrap_or(u32::MAX)));
        self.commit_seconds.observe(took.as_secs_f64());
    }
}

/// Servers may answer with any status; there is one label for all that the network does not use.
fn known(code: u16) -> u32 {
    u32::from(status::reason(code).map_or(0, |_| code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_strangers_share_one_label() {
        let metrics = Metrics::new();
        for code in 0..1_000 {
            metrics.hop(Role::server, code);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry).unwrap();
        let lines: Vec<_> =
            text.lines().filter(|line| line.starts_with("conclave_onion_layers_total{")).collect();
        assert_eq!(lines.len(), 15, "fourteen of the network and one for the rest");
        assert!(lines.contains(&"conclave_onion_layers_total{role=\"server\",code=\"0\"} 986"), "{lines:?}");
        assert!(lines.contains(&"conclave_onion_layers_total{role=\"server\",code=\"200\"} 1"));
    }
}
