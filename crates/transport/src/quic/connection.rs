//! A connection to a peer whose key is proven, in either direction.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use conclave_proto::btstream::{self, Frame, Kind};
use quinn::{ConnectionError, SendStream, VarInt};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinSet;

use super::stream::{self, FRAME_OVERHEAD, Frames, Service};
use super::{Body, CLOSE_NOT_A_NODE, Handler, Lane, Peer, RequestError};
use crate::Deadline;

/// The application close code when nothing is wrong.
pub(super) const CLOSE_FINE: u32 = 0;
/// A peer from which nothing at all was heard for so long after a request is gone: acknowledgements
/// take a round trip, and a lost packet is repeated several times within it.
const SILENCE: Duration = Duration::from_millis(1_500);
/// On slow lines, so many round trips.
const SILENT_ROUND_TRIPS: u32 = 5;

/// A live connection. Clones are the same one; with the last one it is closed.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    connection: quinn::Connection,
    peer: Peer,
    lanes: tokio::sync::Mutex<BTreeMap<Lane, Arc<LaneStream>>>,
    stop: watch::Sender<bool>,
    told: broadcast::Sender<Notification>,
}

/// Notifications that a slow reader may be behind.
const NOTIFICATIONS: usize = 1_024;

/// Something the peer said unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The command's name.
    pub endpoint: String,
    /// Its body.
    pub body: Bytes,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The serving task would keep it for ever.
        self.connection.close(CLOSE_FINE.into(), b"");
    }
}

/// A connection that ends when its last [`Connection`] is dropped.
pub(super) struct WeakConnection(Weak<Inner>);

impl WeakConnection {
    pub(super) fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(|inner| Connection { inner })
    }
}

/// An answer as it has come: a reply, or an error body.
type Arrived = Result<Bytes, Bytes>;

/// The sending half of a lane, and who waits for what on it.
struct LaneStream {
    send: tokio::sync::Mutex<SendStream>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next_id: u64,
    by_id: HashMap<u64, oneshot::Sender<Arrived>>,
    /// Why nothing will be answered any more.
    ended: Option<String>,
}

impl Connection {
    /// Takes over a connection after its handshake: every stream the peer opens is served by `handler`.
    pub(super) fn start(connection: quinn::Connection, peer: Peer, handler: Handler) -> Self {
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(accept_streams(connection.clone(), Service::new(peer, handler), stopping));
        let lanes = tokio::sync::Mutex::default();
        let told = broadcast::channel(NOTIFICATIONS).0;
        Self { inner: Arc::new(Inner { connection, peer, lanes, stop, told }) }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.inner.peer
    }

    /// Whether it still stands, as far as is known.
    pub fn is_open(&self) -> bool {
        self.inner.connection.close_reason().is_none()
    }

    /// Whether the peer has closed it because it does not take us for a node.
    /// (storage-and-onion 5.6)
    pub fn was_refused(&self) -> bool {
        let reason = self.inner.connection.close_reason();
        matches!(reason, Some(ConnectionError::ApplicationClosed(close))
            if close.error_code == VarInt::from_u32(CLOSE_NOT_A_NODE))
    }

    /// Asks the peer and waits for its answer. Answers come in any order; a request waits only for
    /// what was written before it on the same lane.
    ///
    /// A connection on which the peer does not even acknowledge the request is closed soon, whatever QUIC still hopes.
    ///
    /// # Errors
    /// [`RequestError`]: the peer's own error, or no answer.
    pub async fn request(
        &self,
        lane: Lane,
        endpoint: &str,
        body: impl Into<Body>,
        deadline: Deadline,
    ) -> Result<Bytes, RequestError> {
        let asked = deadline.run(self.ask(lane, endpoint, body.into()));
        tokio::pin!(asked);
        let heard = self.heard();
        let silence = SILENCE.max(self.inner.connection.rtt() * SILENT_ROUND_TRIPS);
        let answer = match tokio::time::timeout(silence, &mut asked).await {
            Ok(answer) => answer,
            Err(_) => {
                if self.heard() == heard {
                    // The request ends with that.
                    self.close();
                }
                asked.await
            }
        };
        match answer.unwrap_or(Err(RequestError::Timeout)) {
            Err(RequestError::Closed(_)) if self.was_refused() => Err(RequestError::Refused),
            answer => answer,
        }
    }

    /// What the peer says unasked from now on, on the streams that were opened here.
    pub fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.inner.told.subscribe()
    }

    /// Stops taking requests, finishes the ones that run, and closes; after `bound` in any case.
    pub async fn shutdown(&self, bound: Duration) {
        self.inner.stop.send_replace(true);
        // Closed means that the serving task is gone, and it goes when all answers are delivered.
        let _ = tokio::time::timeout(bound, self.inner.stop.closed()).await;
        self.close();
    }

    /// Closes at once; waiting requests end with [`RequestError::Closed`].
    pub fn close(&self) {
        self.inner.connection.close(CLOSE_FINE.into(), b"");
    }

    /// Closes because the peer is no node (any more). (storage-and-onion 5.6)
    pub fn refuse(&self) {
        self.inner.connection.close(CLOSE_NOT_A_NODE.into(), b"not in the node list");
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        self.inner.connection.closed().await;
    }

    /// For keeping track of a connection without keeping it.
    pub(super) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.inner))
    }

    /// How many datagrams have come from the peer so far, acknowledgements included.
    fn heard(&self) -> u64 {
        self.inner.connection.stats().udp_rx.datagrams
    }

    async fn ask(&self, lane: Lane, endpoint: &str, body: Body) -> Result<Bytes, RequestError> {
        if endpoint.len() + body.len() + FRAME_OVERHEAD > btstream::MAX_FRAME {
            return Err(RequestError::TooLarge);
        }
        let stream = self.lane(lane).await?;
        let (answered, answer) = oneshot::channel();
        let id = stream.register(answered)?;
        let forget = Forget { stream: &stream, id };
        let (before, behind) = btstream::around(Kind::Command(endpoint), id, body.len());
        let mut pieces = body.between(before, behind).into_pieces();
        {
            // Given up here half-way, the frame would be cut: a lane whose write was interrupted is closed.
            let mut send = WholeWrite { guard: stream.send.lock().await, done: false };
            // Also the wait for a slow peer ends with the deadline of the request.
            let written = send.guard.write_all_chunks(&mut pieces).await;
            send.done = written.is_ok();
            written.map_err(|e| RequestError::Closed(e.to_string()))?;
        }
        let answer = answer.await;
        drop(forget);
        match answer {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(body)) => Err(RequestError::Remote(body)),
            Err(_) => Err(RequestError::Closed(stream.why_ended())),
        }
    }

    async fn lane(&self, lane: Lane) -> Result<Arc<LaneStream>, RequestError> {
        let mut lanes = self.inner.lanes.lock().await;
        if let Some(stream) = lanes.get(&lane).filter(|stream| !stream.has_ended()) {
            return Ok(Arc::clone(stream));
        }
        let (send, receive) =
            self.inner.connection.open_bi().await.map_err(|e| RequestError::Closed(e.to_string()))?;
        let stream = Arc::new(LaneStream { send: tokio::sync::Mutex::new(send), waiting: Mutex::default() });
        lanes.insert(lane, Arc::clone(&stream));
        tokio::spawn(read_answers(Frames::of_answers(receive), Arc::clone(&stream), self.inner.told.clone()));
        Ok(stream)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.inner.connection.close_reason();
        f.debug_tuple("Connection").field(&self.inner.peer.key).field(&end).finish()
    }
}

/// A write that was not finished leaves a cut frame behind; the stream is of no use after it.
struct WholeWrite<'a> {
    guard: tokio::sync::MutexGuard<'a, SendStream>,
    done: bool,
}

impl Drop for WholeWrite<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.guard.reset(0u32.into());
        }
    }
}

/// Takes a request off the list of waiting ones, however the wait ended.
struct Forget<'a> {
    stream: &'a LaneStream,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.stream.lock().by_id.remove(&self.id);
    }
}

impl LaneStream {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, answered: oneshot::Sender<Arrived>) -> Result<u64, RequestError> {
        let mut waiting = self.lock();
        if let Some(reason) = &waiting.ended {
            return Err(RequestError::Closed(reason.clone()));
        }
        waiting.next_id += 1;
        let id = waiting.next_id;
        waiting.by_id.insert(id, answered);
        Ok(id)
    }

    fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    fn why_ended(&self) -> String {
        self.lock().ended.clone().unwrap_or_else(|| "the stream ended".to_owned())
    }
}

async fn read_answers(mut frames: Frames, stream: Arc<LaneStream>, told: broadcast::Sender<Notification>) {
    let reason = loop {
        let (id, answer) = match frames.next().await {
            Ok(Some((Frame::Reply { id, body }, _))) => (id, Ok(body)),
            Ok(Some((Frame::Error { id, body }, _))) => (id, Err(body)),
            Ok(Some((Frame::Command { endpoint, body, .. }, _))) => {
                // Nobody may be listening.
                let _ = told.send(Notification { endpoint, body });
                continue;
            }
            Ok(None) => break "the peer ended the stream".to_owned(),
            Err(error) => {
                frames.refuse();
                break error.to_string();
            }
        };
        if let Some(waiting) = stream.lock().by_id.remove(&id) {
            // Whoever asked may have given up in this moment.
            let _ = waiting.send(answer);
        }
    };
    let mut waiting = stream.lock();
    waiting.ended = Some(reason);
    // Dropping the senders wakes those who wait.
    waiting.by_id.clear();
}

/// Serves every stream the peer opens, until the connection ends (then what runs is dropped) or
/// `stopping` turns true (then it is finished).
async fn accept_streams(
    connection: quinn::Connection,
    service: Service,
    mut stopping: watch::Receiver<bool>,
) {
    let mut streams = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept_bi() => accepted,
            Some(_) = streams.join_next(), if !streams.is_empty() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        let Ok((send, receive)) = accepted else { return };
        streams.spawn(stream::serve(send, receive, service.clone(), stopping.clone()));
    }
    // `stopping` is held until the end of this function: its closing tells that all is finished.
    while streams.join_next().await.is_some() {}
}
