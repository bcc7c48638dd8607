//! Held connections to other nodes: one dial at a time for each, and no waiting for the dead.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use tokio::time::Instant;

use super::{Alpn, Connection, DialError, Endpoint, Lane, RequestError};
use crate::Deadline;

/// How long a peer is left alone after a failed dial; doubled with each further one.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15);

/// Connections of a node to its peers, by key.
#[derive(Debug, Default)]
pub struct Pool {
    peers: Mutex<HashMap<Ed25519Public, Arc<Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Held while dialling, so that there is one dial at a time.
    dialling: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    failures: u32,
    down_until: Option<Instant>,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the holder of `key` at `address`, over a held connection or a new one.
    ///
    /// # Errors
    /// [`RequestError::Dial`] if there is no connection, at once when the peer was unreachable moments ago.
    pub async fn request(
        &self,
        endpoint: &Endpoint,
        (key, address): (Ed25519Public, SocketAddr),
        lane: Lane,
        command: (&str, &[u8]),
        deadline: Deadline,
    ) -> Result<Bytes, RequestError> {
        let entry = self.entry(key);
        let connection = match deadline.run(entry.connect(endpoint, key, address)).await {
            Ok(connected) => connected?,
            Err(_) => return Err(RequestError::Dial(DialError::Timeout)),
        };
        let answer = connection.request(lane, command.0, command.1, deadline).await;
        if matches!(answer, Err(RequestError::Timeout)) && !connection.is_open() {
            entry.forget(&connection);
        }
        answer
    }

    /// Remembers a connection the peer made to us, and that the peer is alive.
    pub fn adopt(&self, connection: Connection) {
        let entry = self.entry(connection.peer().key);
        let mut state = entry.lock();
        (state.failures, state.down_until) = (0, None);
        if state.connection.as_ref().is_none_or(|known| !known.is_open()) {
            state.connection = Some(connection);
        }
    }

    /// Whether the peer was unreachable moments ago, so that asking it would fail at once.
    pub fn is_down(&self, key: &Ed25519Public) -> bool {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(key).is_some_and(|entry| entry.lock().is_down())
    }

    /// Drops what is held for peers that `keep` does not name.
    pub fn retain(&self, keep: impl Fn(&Ed25519Public) -> bool) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| keep(key));
    }

    fn entry(&self, key: Ed25519Public) -> Arc<Entry> {
        Arc::clone(self.peers.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
    }
}

impl State {
    fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    fn open_connection(&self) -> Option<Connection> {
        self.connection.clone().filter(Connection::is_open)
    }
}

impl Entry {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> Option<Result<Connection, DialError>> {
        let state = self.lock();
        match state.open_connection() {
            Some(connection) => Some(Ok(connection)),
            None if state.is_down() => Some(Err(DialError::Down)),
            None => None,
        }
    }

    fn forget(&self, connection: &Connection) {
        let mut state = self.lock();
        if state.connection.as_ref().is_some_and(|held| held.peer() == connection.peer() && !held.is_open()) {
            state.connection = None;
        }
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        key: Ed25519Public,
        address: SocketAddr,
    ) -> Result<Connection, DialError> {
        if let Some(ready) = self.ready() {
            return ready;
        }
        let _one_at_a_time = self.dialling.lock().await;
        // Somebody else may have dialled meanwhile.
        if let Some(ready) = self.ready() {
            return ready;
        }
        let dialled = endpoint.dial(address, key, Alpn::Node).await;
        let mut state = self.lock();
        match &dialled {
            Ok(connection) => {
                (state.failures, state.down_until) = (0, None);
                state.connection = Some(connection.clone());
            }
            Err(_) => {
                let back_off =
                    FIRST_BACK_OFF.saturating_mul(1 << state.failures.min(4)).min(LONGEST_BACK_OFF);
                state.failures = state.failures.saturating_add(1);
                state.down_until = Some(Instant::now() + back_off);
            }
        }
        dialled
    }
}
