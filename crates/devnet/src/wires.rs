//! Wires of loopback that are as bad as wanted: slow, lossy, out of order.
//!
//! Before each node stands a forwarder at the address that the directory names; the node itself listens elsewhere. So
//! everything that anybody sends to a node, and everything that comes back, passes a wire. Datagrams are late, lost and out
//! of order as their [`Weather`] says. Bytes of a TCP connection are late and nothing else: what is lost of them, the
//! operating system sends again.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_node::NodeConfig;
use conclave_node::folder::free_port;
use rand_core::RngCore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::files::write_atomically;
use crate::{DevnetError, Plan};

/// Packets that are on one wire at once; further ones are lost, or wait where bytes are not lost.
const ON_THE_WIRE: usize = 4_096;
/// The largest datagram.
const DATAGRAM: usize = 65_536;
/// Bytes of a stream that travel together.
const PIECE: usize = 16 * 1_024;

/// What wires do to what they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Everything takes so long, in each direction.
    pub delay: Duration,
    /// A datagram takes up to so much longer, at random: one that was sent later may arrive before it.
    pub jitter: Duration,
    /// So many of a thousand datagrams are lost.
    pub lost_per_mille: u32,
}

/// The wires of a network. Cut when dropped.
#[derive(Debug)]
pub struct Wires {
    shared: Shared,
    /// By number of the node.
    running: BTreeMap<usize, JoinSet<()>>,
}

#[derive(Clone)]
struct Shared {
    /// The number of the node at the end of the wire.
    node: usize,
    sky: Arc<Mutex<Sky>>,
    random: Arc<Mutex<Box<dyn RngCore + Send>>>,
}

/// The weather everywhere, but for one node's wire, which is as good as none.
#[derive(Clone, Copy, Debug)]
struct Sky {
    weather: Weather,
    spared: Option<usize>,
}

impl Wires {
    /// Lays wires to the nodes of a prepared network, which are to be started afterwards: their configurations say then where
    /// they listen. Preparing the network again takes that back.
    ///
    /// # Errors
    /// If a configuration cannot be read or written, or addresses are taken.
    pub async fn lay(
        plan: &Plan,
        weather: Weather,
        random: impl RngCore + Send + 'static,
    ) -> Result<Self, DevnetError> {
        let sky = Arc::new(Mutex::new(Sky { weather, spared: None }));
        let shared = Shared { node: 0, sky, random: Arc::new(Mutex::new(Box::new(random))) };
        let mut running = BTreeMap::new();
        // Held until all have theirs, or two nodes could be given the same one.
        let mut held = Vec::new();
        for node in plan.nodes() {
            let (index, record) = (node.index, node.record);
            let refused = |source| DevnetError::Start { index, source };
            let (tcp, udp) = (free_tcp().map_err(refused)?, free_udp().map_err(refused)?);
            let https = tcp.local_addr().map_err(refused)?;
            let quic = udp.local_addr().map_err(refused)?;
            held.push((tcp, udp));

            let path = plan.layout().node_config(index);
            let config = NodeConfig::read(&path).map_err(|error| DevnetError::Damaged {
                dir: plan.layout().operator_dir(),
                problem: error.to_string(),
            })?;
            let config = NodeConfig { listen_https: Some(https), listen_quic: Some(quic), ..config };
            write_atomically(&path, config.to_toml().as_bytes(), false)?;

            let listener = net::TcpListener::bind((record.ip, record.https_port)).await.map_err(refused)?;
            let shared = Shared { node: index, ..shared.clone() };
            let mut of_node = JoinSet::new();
            of_node.spawn(connections(listener, https, shared.clone()));
            let socket = net::UdpSocket::bind((record.ip, record.quic_port)).await.map_err(refused)?;
            of_node.spawn(datagrams(Arc::new(socket), quic, shared));
            running.insert(index, of_node);
        }
        Ok(Self { shared, running })
    }

    /// Cuts the wire to node `index`, counted from 1, for good: as if the node had died this moment, with what was on its way
    /// to it and from it.
    pub async fn cut(&mut self, index: usize) {
        if let Some(mut wire) = self.running.remove(&index) {
            wire.shutdown().await;
        }
    }

    /// From now on the wires do this.
    pub fn set(&self, weather: Weather) {
        self.set_sky(Sky { weather, spared: None });
    }

    /// From now on the wires do this, but for the one to node `index`, counted from 1, which does nothing.
    pub fn set_around(&self, index: usize, weather: Weather) {
        self.set_sky(Sky { weather, spared: Some(index) });
    }

    fn set_sky(&self, sky: Sky) {
        *self.shared.sky.lock().unwrap_or_else(PoisonError::into_inner) = sky;
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.weather())
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        let sky = *self.sky.lock().unwrap_or_else(PoisonError::into_inner);
        if sky.spared == Some(self.node) { Weather::default() } else { sky.weather }
    }

    /// When a datagram that is sent now arrives, if it does.
    fn arrival(&self) -> Option<Instant> {
        let weather = self.weather();
        let (lost, late) = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            (random.next_u32() % 1_000, f64::from(random.next_u32()) / f64::from(u32::MAX))
        };
        let late = weather.delay + weather.jitter.mul_f64(late);
        (lost >= weather.lost_per_mille).then(|| Instant::now() + late)
    }
}

fn free_tcp() -> io::Result<TcpListener> {
    free_port(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
}

fn free_udp() -> io::Result<UdpSocket> {
    free_port(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)))
}

/// Carries datagrams between everybody and one node. Ends with its task.
async fn datagrams(outside: Arc<net::UdpSocket>, node: SocketAddr, shared: Shared) {
    let mut flows: BTreeMap<SocketAddr, mpsc::Sender<(Instant, Vec<u8>)>> = BTreeMap::new();
    let mut running = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        // Errors are those of datagrams sent before, to somebody who is not there any more.
        let Ok((length, from)) = outside.recv_from(&mut buffer).await else { continue };
        if let Entry::Vacant(flow) = flows.entry(from) {
            let Ok(inside) = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
            if inside.connect(node).await.is_err() {
                continue;
            }
            let inside = Arc::new(inside);
            let (there, mut under_way) = UnderWay::new();
            let socket = Arc::clone(&inside);
            running.spawn(async move {
                while let Some(datagram) = under_way.next().await {
                    let _ = socket.send(&datagram).await;
                }
            });
            let (back, mut under_way) = UnderWay::new();
            let socket = Arc::clone(&outside);
            running.spawn(async move {
                while let Some(datagram) = under_way.next().await {
                    let _ = socket.send_to(&datagram, from).await;
                }
            });
            running.spawn(answers(inside, back, shared.clone()));
            flow.insert(there);
        }
        let datagram = buffer.get(..length).unwrap_or_default().to_vec();
        if let (Some(flow), Some(at)) = (flows.get(&from), shared.arrival()) {
            let _ = flow.try_send((at, datagram));
        }
    }
}

/// Puts on the wire what a node sends to one of those who have sent to it.
async fn answers(inside: Arc<net::UdpSocket>, back: mpsc::Sender<(Instant, Vec<u8>)>, shared: Shared) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok(length) = inside.recv(&mut buffer).await else {
            // Nobody listens there now. The operating system says so once for each datagram, so this is no busy loop.
            continue;
        };
        if let Some(at) = shared.arrival() {
            let _ = back.try_send((at, buffer.get(..length).unwrap_or_default().to_vec()));
        }
    }
}

/// What is on one wire in one direction.
struct UnderWay {
    arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    packets: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    number: u64,
    open: bool,
}

impl UnderWay {
    fn new() -> (mpsc::Sender<(Instant, Vec<u8>)>, Self) {
        let (put, arriving) = mpsc::channel(ON_THE_WIRE);
        (put, Self { arriving, packets: BinaryHeap::new(), number: 0, open: true })
    }

    /// The next packet, when it is due; of those due at the same time the one that came first. `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        while self.open || !self.packets.is_empty() {
            let due = self.packets.peek().map(|Reverse((at, _, _))| *at);
            tokio::select! {
                biased;
                packet = self.arriving.recv(), if self.open && self.packets.len() < ON_THE_WIRE => match packet {
                    Some((at, packet)) => {
                        self.packets.push(Reverse((at, self.number, packet)));
                        self.number += 1;
                    }
                    None => self.open = false,
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    return self.packets.pop().map(|Reverse((_, _, packet))| packet);
                }
            }
        }
        None
    }
}

/// Carries the connections to one node. Ends with its task.
async fn connections(listener: net::TcpListener, node: SocketAddr, shared: Shared) {
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let Ok((outside, _)) = listener.accept().await else { continue };
        let shared = shared.clone();
        running.spawn(async move {
            // There and back, as connecting takes.
            tokio::time::sleep(2 * shared.weather().delay).await;
            let Ok(inside) = net::TcpStream::connect(node).await else { return };
            let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
            let ((from_outside, to_outside), (from_inside, to_inside)) =
                (outside.into_split(), inside.into_split());
            tokio::join!(
                stream(from_outside, to_inside, shared.clone()),
                stream(from_inside, to_outside, shared)
            );
        });
    }
}

/// Carries the bytes of one direction.
async fn stream(mut from: net::tcp::OwnedReadHalf, mut to: net::tcp::OwnedWriteHalf, shared: Shared) {
    let (put, mut under_way) = UnderWay::new();
    let reading = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let piece = buffer.get(..length).unwrap_or_default().to_vec();
            if put.send((Instant::now() + shared.weather().delay, piece)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some(piece) = under_way.next().await {
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
