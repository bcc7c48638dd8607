//! The connection to a guard: QUIC where it works, else HTTPS.
//!
//! QUIC is faster and proves the guard's key, but some networks drop UDP. Whoever waits must not notice: a request gives
//! a new connection a moment and otherwise goes over HTTPS, while the dial goes on for the requests after it. What is
//! carried is sealed either way. The key shown to guards is made for this run and belongs to nobody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_proto::SnodeRecord;
use conclave_proto::rpc::answers::read_error_frame;
use conclave_transport::Deadline;
use conclave_transport::https::{self, Client as Https};
use conclave_transport::quic::{Alpn, Connection, Endpoint, Lane, RequestError};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a request waits for a new connection before it goes over HTTPS.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long QUIC is left alone towards a guard where it did not work.
const HTTPS_ONLY: Duration = Duration::from_secs(10 * 60);
/// Guards that are remembered. Two are in use; the rest are of the past.
const MAX_HELD: usize = 16;

/// What a guard answered to an onion request.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Why there is no answer.
pub(super) enum LinkError {
    Timeout,
    Unreachable(String),
}

/// The connections of one profile.
pub(super) struct Links {
    https: Https,
    /// `None` where the machine allows no UDP socket.
    endpoint: Option<Arc<Endpoint>>,
    held: Mutex<HashMap<Ed25519Public, Held>>,
    sent: AtomicU64,
    received: AtomicU64,
}

enum Held {
    Open(Connection),
    /// Closes when the dial is over.
    Dialling(watch::Receiver<()>),
    HttpsUntil(Instant),
}

impl Links {
    pub(super) fn new(https: Https) -> Self {
        let endpoint = Endpoint::client().map(Arc::new);
        if let Err(error) = &endpoint {
            tracing::debug!(%error, "no UDP here; guards are asked over HTTPS");
        }
        Self {
            https,
            endpoint: endpoint.ok(),
            held: Mutex::default(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// Hands an onion request to a guard.
    pub(super) async fn post_onion(
        self: &Arc<Self>,
        guard: &SnodeRecord,
        body: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Response, LinkError> {
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        self.sent.fetch_add(count(body.len()), Ordering::Relaxed);
        let answer = self.post(guard, body, deadline).await;
        if let Ok(response) = &answer {
            self.received.fetch_add(count(response.body.len()), Ordering::Relaxed);
        }
        answer
    }

    async fn post(
        self: &Arc<Self>,
        guard: &SnodeRecord,
        body: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Response, LinkError> {
        if let Some(connection) = self.quic(guard).await
            && let Some(answer) = self.over_quic(&connection, guard, &body, deadline).await
        {
            return answer;
        }
        let target = https::Target::node((guard.ip, guard.https_port).into());
        match self.https.post(&target, "/onion_req/v2", "", body, deadline).await {
            Ok(response) => Ok(Response { status: response.status, body: response.body }),
            Err(https::Error::Timeout) => Err(LinkError::Timeout),
            Err(error) => Err(LinkError::Unreachable(error.to_string())),
        }
    }

    /// Asks a node directly, not through a path, as is only done with seeds: `endpoint` over QUIC.
    pub(super) async fn ask_seed(
        &self,
        address: SocketAddr,
        key: Ed25519Public,
        endpoint: &str,
        deadline: Deadline,
    ) -> Result<Bytes, String> {
        let dialler = self.endpoint.as_ref().ok_or("this machine allows no UDP")?;
        let asked = deadline.run(async {
            let connection = dialler.dial(address, key, Alpn::Client).await.map_err(|e| e.to_string())?;
            connection.request(Lane::Commands, endpoint, b"", deadline).await.map_err(|e| match e {
                RequestError::Remote(body) => String::from_utf8_lossy(&body).into_owned(),
                other => other.to_string(),
            })
        });
        asked.await.unwrap_or_else(|elapsed| Err(elapsed.to_string()))
    }

    /// An open connection, if there is one or one comes about in a moment.
    async fn quic(self: &Arc<Self>, guard: &SnodeRecord) -> Option<Connection> {
        let endpoint = self.endpoint.as_ref().filter(|_| guard.quic_port != 0)?;
        let mut dialling = {
            let mut held = self.lock();
            match held.get(&guard.ed25519) {
                Some(Held::Open(connection)) if connection.is_open() => return Some(connection.clone()),
                Some(Held::HttpsUntil(until)) if Instant::now() < *until => return None,
                Some(Held::Dialling(dialling)) => dialling.clone(),
                _ => {
                    let (over, dialling) = watch::channel(());
                    make_room(&mut held);
                    held.insert(guard.ed25519, Held::Dialling(dialling.clone()));
                    tokio::spawn(dial(Arc::clone(self), Arc::clone(endpoint), *guard, over));
                    dialling
                }
            }
        };
        // An error means that the dial is over.
        let _ = tokio::time::timeout(HEAD_START, dialling.changed()).await;
        match self.lock().get(&guard.ed25519) {
            Some(Held::Open(connection)) if connection.is_open() => Some(connection.clone()),
            _ => None,
        }
    }

    /// `None` if it has to go another way.
    async fn over_quic(
        &self,
        connection: &Connection,
        guard: &SnodeRecord,
        body: &[u8],
        deadline: Deadline,
    ) -> Option<Result<Response, LinkError>> {
        let lane = Lane::Onion(body.last().copied().unwrap_or_default() % 4);
        match connection.request(lane, "onion_req", body, deadline).await {
            Ok(body) => Some(Ok(Response { status: 200, body })),
            Err(RequestError::Remote(body)) => {
                let (status, text) = read_error_frame(&body).unwrap_or((500, &body));
                Some(Ok(Response { status, body: body.slice_ref(text) }))
            }
            Err(RequestError::Timeout) => Some(Err(LinkError::Timeout)),
            // It may have been done: asking again with the same bytes changes nothing. HTTPS finds out whether the guard is
            // there at all.
            Err(_) => {
                self.forget(guard, connection);
                None
            }
        }
    }

    /// Lets go of all connections, and of what was found out about UDP: this machine has another way to the network.
    pub(super) fn begin_anew(&self) {
        for (_, held) in self.lock().drain() {
            if let Held::Open(connection) = held {
                connection.close();
            }
        }
    }

    /// Bytes of requests to guards, and of their answers, since the start; without what QUIC or TLS adds.
    pub(super) fn traffic(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    fn forget(&self, guard: &SnodeRecord, connection: &Connection) {
        connection.close();
        let mut held = self.lock();
        if matches!(held.get(&guard.ed25519), Some(Held::Open(open)) if !open.is_open()) {
            held.remove(&guard.ed25519);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ed25519Public, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one dial. The sender is dropped at its end, after the outcome is noted.
async fn dial(links: Arc<Links>, endpoint: Arc<Endpoint>, guard: SnodeRecord, over: watch::Sender<()>) {
    let dialled = endpoint.dial((guard.ip, guard.quic_port).into(), guard.ed25519, Alpn::Client).await;
    let outcome = match dialled {
        Ok(connection) => Held::Open(connection),
        Err(error) => {
            tracing::debug!(%error, "a guard is not reached over QUIC");
            Held::HttpsUntil(Instant::now() + HTTPS_ONLY)
        }
    };
    links.lock().insert(guard.ed25519, outcome);
    drop(over);
}

/// Lets go of guards that are not connected, or of any if all are.
fn make_room(held: &mut HashMap<Ed25519Public, Held>) {
    if held.len() < MAX_HELD {
        return;
    }
    let idle = held.iter().find(|(_, held)| !matches!(held, Held::Open(c) if c.is_open()));
    if let Some(key) = idle.or_else(|| held.iter().next()).map(|(key, _)| *key) {
        held.remove(&key);
    }
}
