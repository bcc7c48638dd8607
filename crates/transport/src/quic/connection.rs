//! A connection to a peer whose key is proven, in either direction.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use conclave_proto::btstream::{self, Frame};
use quinn::SendStream;
use tokio::sync::{Semaphore, oneshot};

use super::stream::{self, Frames};
use super::{Answer, Handler, Lane, MAX_RUNNING_REQUESTS, Peer, RequestError};
use crate::Deadline;

/// A live connection. Clones are the same one.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    connection: quinn::Connection,
    peer: Peer,
    lanes: tokio::sync::Mutex<BTreeMap<Lane, Arc<LaneStream>>>,
}

/// The sending half of a lane, and who waits for what on it.
struct LaneStream {
    send: tokio::sync::Mutex<SendStream>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next_id: u64,
    by_id: HashMap<u64, oneshot::Sender<Answer>>,
    /// Why nothing will be answered any more.
    ended: Option<String>,
}

impl Connection {
    /// Takes over a connection after its handshake: every stream the peer opens is served by `handler`.
    pub(super) fn start(connection: quinn::Connection, peer: Peer, handler: Handler) -> Self {
        tokio::spawn(accept_streams(connection.clone(), peer, handler));
        Self { inner: Arc::new(Inner { connection, peer, lanes: tokio::sync::Mutex::default() }) }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.inner.peer
    }

    /// Whether it still stands, as far as is known.
    pub fn is_open(&self) -> bool {
        self.inner.connection.close_reason().is_none()
    }

    /// Asks the peer and waits for its answer.
    ///
    /// # Errors
    /// [`RequestError`]: the peer's own error, or no answer.
    pub async fn request(
        &self,
        lane: Lane,
        endpoint: &str,
        body: &[u8],
        deadline: Deadline,
    ) -> Result<Bytes, RequestError> {
        deadline.run(self.ask(lane, endpoint, body)).await.unwrap_or(Err(RequestError::Timeout))
    }

    /// Closes at once; waiting requests end with [`RequestError::Closed`].
    pub fn close(&self) {
        self.inner.connection.close(0u32.into(), b"");
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        self.inner.connection.closed().await;
    }

    async fn ask(&self, lane: Lane, endpoint: &str, body: &[u8]) -> Result<Bytes, RequestError> {
        let stream = self.lane(lane).await?;
        let (answered, answer) = oneshot::channel();
        let id = stream.register(answered)?;
        let forget = Forget { stream: &stream, id };
        let frame =
            btstream::encode(&Frame::Command { id, endpoint: endpoint.to_owned(), body: body.to_vec() });
        {
            // Given up here half-way, the frame would be cut: a lane whose write was interrupted is closed.
            let mut send = WholeWrite { guard: stream.send.lock().await, done: false };
            let written = send.guard.write_chunk(Bytes::from(frame)).await;
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
        tokio::spawn(read_answers(Frames::new(receive), Arc::clone(&stream)));
        Ok(stream)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({:?})", self.inner.peer.key)
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

    fn register(&self, answered: oneshot::Sender<Answer>) -> Result<u64, RequestError> {
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

async fn read_answers(mut frames: Frames, stream: Arc<LaneStream>) {
    let reason = loop {
        let (id, answer) = match frames.next().await {
            Ok(Some(Frame::Reply { id, body })) => (id, Ok(body.into())),
            Ok(Some(Frame::Error { id, body })) => (id, Err(body.into())),
            // The peer asks on its own streams only.
            Ok(Some(Frame::Command { .. })) => continue,
            Ok(None) => break "the peer ended the stream".to_owned(),
            Err(error) => break error,
        };
        if let Some(waiting) = stream.lock().by_id.remove(&id) {
            let _ = waiting.send(answer);
        }
    };
    let mut waiting = stream.lock();
    waiting.ended = Some(reason);
    // Dropping the senders wakes those who wait.
    waiting.by_id.clear();
}

async fn accept_streams(connection: quinn::Connection, peer: Peer, handler: Handler) {
    let running = Arc::new(Semaphore::new(MAX_RUNNING_REQUESTS));
    let mut streams = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, receive)) => {
                    streams.spawn(stream::serve(send, receive, peer, Arc::clone(&handler), Arc::clone(&running)));
                }
                Err(_) => break,
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
        }
    }
}
