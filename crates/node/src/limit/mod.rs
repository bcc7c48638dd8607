//! Who may ask now: limits for each client's address and each neighbour, and one for all when there is more to do than can
//! be done.
//!
//! [`buckets`] and [`shed`] decide and do no IO; this is the clock and the lock around them. What counts is said by those
//! who ask here: storage requests of clients count for both, onion requests at their guard for the second only, and what
//! nodes pass to each other for neither (storage-and-onion 8.1). Of large requests, the bytes count: of clients for their
//! address, whatever they ask, and of onion layers for the neighbour that passes them on ([`bytes`]).

mod buckets;
mod bytes;
mod shed;
mod wait;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_transport::one_owner;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};

use buckets::Buckets;
use bytes::ByteBuckets;
use shed::{MEASURE_EVERY, Shedder};
use wait::Wait;

use crate::store::MessageStore;

/// What an operator has decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Requests a second of one address; 0 is no limit.
    pub(crate) rate_per_second: u32,
    /// Requests of one address at once.
    pub(crate) rate_burst: u32,
    /// The bearable wait; zero is no limit.
    pub(crate) shed_above: Duration,
    /// Bytes of large requests of one address.
    pub(crate) uploads: Bytes,
    /// Bytes of large onion layers of one neighbour.
    pub(crate) peers: Bytes,
}

/// A limit on bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    /// A second; 0 is no limit.
    pub(crate) per_second: u64,
    /// At once.
    pub(crate) burst: u64,
}

impl Bytes {
    fn buckets<K: Eq + std::hash::Hash>(self) -> Option<Mutex<ByteBuckets<K>>> {
        ByteBuckets::new(self.per_second, self.burst).map(Mutex::new)
    }
}

/// Why somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many from that address.
    Address,
    /// Too many in all.
    Everybody,
}

/// Lets requests in, or not.
#[derive(Debug)]
pub(crate) struct Gate {
    started: Instant,
    buckets: Option<Mutex<Buckets>>,
    uploads: Option<Mutex<ByteBuckets<IpAddr>>>,
    peers: Option<Mutex<ByteBuckets<Ed25519Public>>>,
    shedder: Option<Mutex<Shedder>>,
    /// [`Shedder::share`], without its lock: mostly zero, and then nobody needs it.
    share: AtomicU64,
}

impl Gate {
    pub(crate) fn new(settings: Settings) -> Self {
        let Settings { rate_per_second, rate_burst, shed_above, uploads, peers } = settings;
        let buckets = (rate_per_second > 0).then(|| Mutex::new(Buckets::new(rate_per_second, rate_burst)));
        let shedder = (!shed_above.is_zero()).then(|| Mutex::new(Shedder::new(shed_above)));
        Self {
            started: Instant::now(),
            buckets,
            uploads: uploads.buckets(),
            peers: peers.buckets(),
            shedder,
            share: AtomicU64::new(0),
        }
    }

    /// Whether a storage request of the client at `address` may come in.
    pub(crate) fn admit_client(&self, address: IpAddr) -> Result<(), Refused> {
        if let Some(buckets) = &self.buckets {
            // Monotonic: a jump of the machine's clock gives and takes nothing.
            let now = self.started.elapsed();
            if !buckets.lock().unwrap_or_else(PoisonError::into_inner).take(now, address) {
                return Err(Refused::Address);
            }
        }
        if self.admit_any() { Ok(()) } else { Err(Refused::Everybody) }
    }

    /// Whether a client at `address` may send so many bytes in one request, or when.
    pub(crate) fn admit_bytes(&self, address: IpAddr, bytes: usize) -> Result<(), Duration> {
        take(self.uploads.as_ref(), self.started, one_owner(address), bytes)
    }

    /// Whether a neighbour may pass on a layer of so many bytes, or when.
    pub(crate) fn admit_layer(&self, neighbour: Ed25519Public, bytes: usize) -> Result<(), Duration> {
        take(self.peers.as_ref(), self.started, neighbour, bytes)
    }

    /// Whether a request may come in that counts for no address.
    pub(crate) fn admit_any(&self) -> bool {
        let Some(shedder) = self.shedder.as_ref().filter(|_| self.share.load(Ordering::Relaxed) > 0) else {
            return true;
        };
        shedder.lock().unwrap_or_else(PoisonError::into_inner).admits()
    }

    /// Addresses that are remembered, and thousandths of requests that are refused.
    pub(crate) fn state(&self) -> (usize, u64) {
        let addresses =
            self.buckets.as_ref().map_or(0, |b| b.lock().unwrap_or_else(PoisonError::into_inner).len());
        (addresses, self.share.load(Ordering::Relaxed))
    }

    fn measured(&self, wait: Duration) {
        let Some(shedder) = &self.shedder else { return };
        let mut shedder = shedder.lock().unwrap_or_else(PoisonError::into_inner);
        shedder.measured(wait);
        let before = self.share.swap(shedder.share(), Ordering::Relaxed);
        if (before == 0) != (shedder.share() == 0) {
            tracing::info!(thousandths = shedder.share(), "share of requests that are refused");
        }
    }
}

fn take<K: Eq + std::hash::Hash>(
    buckets: Option<&Mutex<ByteBuckets<K>>>,
    started: Instant,
    asker: K,
    bytes: usize,
) -> Result<(), Duration> {
    let Some(buckets) = buckets.filter(|_| bytes > bytes::FREE) else { return Ok(()) };
    buckets.lock().unwrap_or_else(PoisonError::into_inner).take(started.elapsed(), asker, bytes)
}

/// Measures how long work waits: for a turn of the threads, for the store to begin with it, for a turn to read. Never ends.
pub(crate) async fn measure(gate: Arc<Gate>, store: MessageStore, reads: Arc<Semaphore>) {
    if gate.shedder.is_none() {
        return std::future::pending().await;
    }
    let read_turns = Arc::new(Wait::default());
    let queueing = tokio::spawn(queue_for_reading(Arc::clone(&read_turns), reads));
    let _ends_with_us = AbortOnDrop(queueing);
    let mut ticks = tokio::time::interval(MEASURE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = ticks.tick().await;
        let late = due.elapsed();
        gate.measured(late.max(store.behind()).max(read_turns.take()));
    }
}

/// Stands in the queue of those who want to read, again and again.
async fn queue_for_reading(wait: Arc<Wait>, reads: Arc<Semaphore>) {
    loop {
        let waiting = wait.begin();
        let turn = reads.acquire().await;
        drop(waiting);
        if turn.is_err() {
            return;
        }
        drop(turn);
        tokio::time::sleep(MEASURE_EVERY).await;
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_sheds_by_what_is_measured_and_only_clients_have_an_address() {
        let none = Bytes { per_second: 0, burst: 0 };
        let settings = Settings {
            rate_per_second: 300,
            rate_burst: 2,
            shed_above: Duration::from_millis(100),
            uploads: none,
            peers: none,
        };
        let gate = Gate::new(settings);
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!(gate.admit_client(address), Ok(()));
        assert!((0..100).all(|_| gate.admit_any()), "these count for no address");
        for _ in 0..10 {
            gate.measured(Duration::from_secs(1));
        }
        let refused = (0..100).filter(|_| !gate.admit_any()).count();
        assert_eq!((refused, gate.state()), (90, (1, 900)));
        gate.measured(Duration::ZERO);
        assert_eq!(gate.state(), (1, 0));
        assert!((0..100).all(|_| gate.admit_any()));
    }

    #[test]
    fn bytes_count_for_the_address_of_a_client_and_for_the_neighbour_that_passes_them_on() {
        let gate = Gate::new(Settings {
            rate_per_second: 0,
            rate_burst: 0,
            shed_above: Duration::ZERO,
            uploads: Bytes { per_second: 1, burst: 100_000 },
            peers: Bytes { per_second: 1, burst: 200_000 },
        });
        let network = |last: u8| format!("2001:db8::{last}").parse::<IpAddr>().unwrap();
        assert_eq!(gate.admit_bytes(network(1), 90_000), Ok(()));
        assert!(gate.admit_bytes(network(2), 90_000).is_err(), "the same /64");
        assert_eq!(gate.admit_bytes("192.0.2.1".parse().unwrap(), 90_000), Ok(()));
        assert!((0..100).all(|_| gate.admit_bytes(network(1), 16 * 1024).is_ok()), "talking is free");
        let neighbour = |n| conclave_crypto::Ed25519Secret::from_seed(&[n; 32]).public();
        assert_eq!(gate.admit_layer(neighbour(1), 190_000), Ok(()));
        assert!(gate.admit_layer(neighbour(1), 190_000).is_err());
        assert_eq!(gate.admit_layer(neighbour(2), 190_000), Ok(()));
    }

    #[test]
    fn switched_off_everybody_comes_in_and_nobody_is_remembered() {
        let none = Bytes { per_second: 0, burst: 0 };
        let gate = Gate::new(Settings {
            rate_per_second: 0,
            rate_burst: 0,
            shed_above: Duration::ZERO,
            uploads: none,
            peers: none,
        });
        assert_eq!(gate.admit_bytes("192.0.2.1".parse().unwrap(), usize::MAX), Ok(()));
        for _ in 0..20 {
            gate.measured(Duration::from_secs(60));
            assert_eq!(gate.admit_client("192.0.2.1".parse().unwrap()), Ok(()));
        }
        assert_eq!(gate.state(), (0, 0));
    }
}
