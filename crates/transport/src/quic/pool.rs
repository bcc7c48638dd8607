//! Held connections to other nodes: one dial at a time for each, and no waiting for the dead.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use tokio::time::Instant;

use super::{Alpn, Body, Connection, DialError, Endpoint, Lane, RequestError};
use crate::Deadline;

/// How long a peer is left alone after a failed dial; doubled with each further one.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15);
/// How long a request waits for a peer that was unreachable the last time; the dial goes on without it.
const SECOND_CHANCE: Duration = Duration::from_millis(500);

/// Connections of a node to its peers, by key.
#[derive(Debug, Default)]
pub struct Pool {
    peers: Mutex<HashMap<Ed25519Public, Arc<Entry>>>,
}

/// How a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Nothing is known; asking it dials.
    Unknown,
    /// There is a connection.
    Connected,
    /// It could not be reached moments ago; until then asking it fails at once.
    Down {
        /// When it is dialled again.
        retry_at: Instant,
    },
}

#[derive(Debug, Default)]
struct Entry {
    /// Held while dialling, so that there is one dial at a time.
    dialling: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    failures: u32,
    down: Option<Down>,
}

/// Not to be dialled at that address until then. At another address it may well be found.
#[derive(Clone, Copy, Debug)]
struct Down {
    address: SocketAddr,
    until: Instant,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the holder of `key` at `address`, over a held connection (whoever dialled it) or a new one.
    ///
    /// A dial goes on when `deadline` passes, so that its outcome is known to the next request.
    ///
    /// # Errors
    /// [`RequestError::Dial`] if there is no connection, at once when the peer was unreachable moments ago.
    pub async fn request(
        &self,
        endpoint: &Endpoint,
        (key, address): (Ed25519Public, SocketAddr),
        lane: Lane,
        (command, body): (&str, impl Into<Body>),
        deadline: Deadline,
    ) -> Result<Bytes, RequestError> {
        let entry = self.entry(key);
        let connection = match deadline.run(entry.connect(endpoint, key, address)).await {
            Ok(connected) => connected?,
            Err(_) => return Err(RequestError::Dial(DialError::Timeout)),
        };
        connection.request(lane, command, body, deadline).await
    }

    /// Remembers a connection the peer made to us, and that the peer is alive. One that we dialled
    /// ourselves is kept beside it: when both sides dial at once, each may be using either.
    pub fn adopt(&self, connection: Connection) {
        let entry = self.entry(connection.peer().key);
        let mut state = entry.lock();
        (state.failures, state.down) = (0, None);
        if state.open_connection().is_none() {
            (state.down, state.connection) = (None, Some(connection));
        }
    }

    /// How a peer stands.
    pub fn state(&self, key: &Ed25519Public) -> PeerState {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = peers.get(key) else { return PeerState::Unknown };
        let mut state = entry.lock();
        match (state.open_connection(), state.down) {
            (Some(_), _) => PeerState::Connected,
            (None, Some(down)) if Instant::now() < down.until => PeerState::Down { retry_at: down.until },
            _ => PeerState::Unknown,
        }
    }

    /// Whether the peer was unreachable moments ago, so that asking it would fail at once.
    pub fn is_down(&self, key: &Ed25519Public) -> bool {
        matches!(self.state(key), PeerState::Down { .. })
    }

    /// Drops what is held for peers that `keep` does not name. Call it when the node list changes:
    /// this is what bounds the pool.
    pub fn retain(&self, keep: impl Fn(&Ed25519Public) -> bool) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| keep(key));
    }

    fn entry(&self, key: Ed25519Public) -> Arc<Entry> {
        Arc::clone(self.peers.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
    }
}

impl State {
    /// The connection if it still stands. One that the peer closed because it does not know us counts
    /// as a failed dial: dialling again at once would end the same.
    fn open_connection(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        if connection.was_refused() {
            self.failed(connection.peer().address);
        } else if connection.is_open() {
            self.connection = Some(connection);
        } else {
            // It has worked.
            self.failures = 0;
        }
        self.connection.clone()
    }

    fn failed(&mut self, address: SocketAddr) {
        let back_off = FIRST_BACK_OFF.saturating_mul(1 << self.failures.min(4)).min(LONGEST_BACK_OFF);
        self.failures = self.failures.saturating_add(1);
        self.down = Some(Down { address, until: Instant::now() + back_off });
    }
}

impl Entry {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self, address: SocketAddr) -> Option<Result<Connection, DialError>> {
        let mut state = self.lock();
        if let Some(connection) = state.open_connection() {
            return Some(Ok(connection));
        }
        let down = state.down.filter(|down| down.address == address && Instant::now() < down.until);
        down.map(|_| Err(DialError::Down))
    }

    async fn connect(
        self: Arc<Self>,
        endpoint: &Endpoint,
        key: Ed25519Public,
        address: SocketAddr,
    ) -> Result<Connection, DialError> {
        if let Some(ready) = self.ready(address) {
            return ready;
        }
        let failed_before = self.lock().failures > 0;
        let dialled = self.dial(endpoint, key, address);
        if failed_before {
            tokio::time::timeout(SECOND_CHANCE, dialled).await.unwrap_or(Err(DialError::Down))
        } else {
            dialled.await
        }
    }

    async fn dial(
        self: Arc<Self>,
        endpoint: &Endpoint,
        key: Ed25519Public,
        address: SocketAddr,
    ) -> Result<Connection, DialError> {
        let one_at_a_time = Arc::clone(&self.dialling).lock_owned().await;
        // Somebody else may have dialled meanwhile.
        if let Some(ready) = self.ready(address) {
            return ready;
        }
        let dialler = endpoint.dialling();
        // In a task of its own: if the caller's patience ended the dial just before its own time is
        // over, nobody would ever learn that the peer is dead.
        let dial = tokio::spawn(async move {
            let dialled = dialler.dial(address, key, Alpn::Node).await;
            let mut state = self.lock();
            match &dialled {
                Ok(connection) => {
                    state.down = None;
                    state.connection = Some(connection.clone());
                }
                Err(_) => state.failed(address),
            }
            drop(state);
            drop(one_at_a_time);
            dialled
        });
        dial.await.unwrap_or_else(|error| Err(DialError::Local(error.to_string())))
    }
}
