//! One request stream: frames in, frames out.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use conclave_proto::btstream::{self, Decoder, Frame, Kind, MAX_FRAME};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::{
    Alpn, AnswerFuture, Asked, Body, Handler, MAX_REQUEST_BYTES, MAX_REQUEST_BYTES_OF_NODE,
    MAX_RUNNING_REQUESTS, MAX_RUNNING_REQUESTS_OF_NODE, Peer, STALL_TIMEOUT,
};

/// Read at once; large frames arrive in many pieces anyway.
const READ_CHUNK: usize = 64 * 1024;
/// Replies waiting to be written on one stream. When the peer does not read them, its requests wait.
const REPLY_QUEUE: usize = 32;
/// What a frame has besides its body, at most: kind, number, lengths.
pub(super) const FRAME_OVERHEAD: usize = 64;
/// The answer to a request whose handler was lost. (storage-and-onion 1.3)
const HANDLER_LOST: &[u8] = b"An error occurred while processing the request";
/// Both halves of a stream end with this after bytes that are no frame, or none in time. Any
/// number would do; the wire names none.
const BAD_STREAM: VarInt = VarInt::from_u32(1);

/// Answers what is asked on one connection, within its limits.
#[derive(Clone)]
pub(super) struct Service {
    peer: Peer,
    handler: Handler,
    running: Arc<Semaphore>,
    /// One permit per byte of request in memory.
    room: Arc<Semaphore>,
    /// The peer's first stream: what it is told unasked goes there. (storage-and-onion 8.2)
    first: Arc<OnceLock<First>>,
}

#[derive(Debug)]
struct First {
    sender: mpsc::WeakSender<Outgoing>,
    /// Fails when the stream has ended.
    alive: watch::Receiver<()>,
}

/// A request's place among those a connection may have running. Clones are the same place; it is given back when the
/// answer has been written, or before.
#[derive(Clone, Debug)]
pub struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Place {
    /// Gives the place back before the answer: the request does no work for a while, and whoever handles it bounds the
    /// number of such requests otherwise.
    pub fn give_back(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Tells a peer something it has not asked for, on its first stream.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<OnceLock<First>>);

/// The peer that was to be told something is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer is gone")]
pub struct Gone;

impl Notifier {
    /// Sends a command that expects no answer. Waits while the peer is slow to read.
    ///
    /// # Errors
    /// [`Gone`] if its first stream or its connection has ended.
    pub async fn notify(&self, endpoint: &str, body: Bytes) -> Result<(), Gone> {
        let sender = self.0.get().and_then(|first| first.sender.upgrade()).ok_or(Gone)?;
        let command = Outgoing::Command { endpoint: endpoint.to_owned(), body };
        sender.send(command).await.map_err(|_| Gone)
    }

    /// Waits until the peer's first stream has ended.
    pub async fn gone(&self) {
        if let Some(first) = self.0.get() {
            let mut alive = first.alive.clone();
            while alive.changed().await.is_ok() {}
        }
    }

    /// Whether two tell the same peer over the same connection.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Service {
    pub(super) fn new(peer: Peer, handler: Handler) -> Self {
        let (running, room) = match peer.alpn {
            Alpn::Client => (MAX_RUNNING_REQUESTS, MAX_REQUEST_BYTES),
            Alpn::Node => (MAX_RUNNING_REQUESTS_OF_NODE, MAX_REQUEST_BYTES_OF_NODE),
        };
        Self {
            peer,
            handler,
            running: Arc::new(Semaphore::new(running)),
            room: Arc::new(Semaphore::new(room)),
            first: Arc::default(),
        }
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamEnded {
    #[error("the peer sent what is no frame: {0}")]
    Malformed(#[from] btstream::FrameError),
    #[error("the stream was lost: {0}")]
    Stream(quinn::ReadError),
    #[error("the connection was lost: {0}")]
    Connection(quinn::ConnectionError),
    #[error("the peer holds memory with frames it does not finish")]
    Stalled,
}

impl From<quinn::ReadError> for StreamEnded {
    fn from(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::ConnectionLost(error) => Self::Connection(error),
            other => Self::Stream(other),
        }
    }
}

/// Reads frames of a stream one by one.
pub(super) struct Frames {
    stream: RecvStream,
    decoder: Decoder,
    room: Option<Room>,
}

/// The share of a connection's memory that a stream has taken.
struct Room {
    of: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Frames {
    /// Frames whose number and size the caller asked for: answers.
    pub(super) fn of_answers(stream: RecvStream) -> Self {
        Self { stream, decoder: Decoder::new(), room: None }
    }

    /// Frames from somebody who may send what they like: `room` bounds their bytes.
    fn of_requests(stream: RecvStream, room: Arc<Semaphore>) -> Self {
        Self { stream, decoder: Decoder::new(), room: Some(Room { of: room, held: None }) }
    }

    /// The next frame, and the room it takes as long as it is kept. `None` at the stream's end.
    /// Dropping this future half-way loses nothing that was read.
    pub(super) async fn next(
        &mut self,
    ) -> Result<Option<(Frame, Option<OwnedSemaphorePermit>)>, StreamEnded> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                let pending = self.decoder.pending();
                return Ok(Some((frame, self.room.as_mut().and_then(|room| room.release(pending)))));
            }
            if let Some(room) = &mut self.room {
                room.reserve(self.decoder.pending() + READ_CHUNK).await?;
            }
            let Some(chunk) = self.stream.read_chunk(READ_CHUNK, true).await? else { return Ok(None) };
            self.decoder.push(&chunk.bytes);
            if let Some(room) = &mut self.room {
                room.keep(self.decoder.pending());
            }
        }
    }

    /// Tells the peer that nothing more will be read.
    pub(super) fn refuse(&mut self) {
        // An error means that the stream has ended anyway.
        let _ = self.stream.stop(BAD_STREAM);
    }
}

impl Room {
    /// Takes room until `bytes` are held.
    async fn reserve(&mut self, bytes: usize) -> Result<(), StreamEnded> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        // Both are at most a frame and a piece.
        let more = u32::try_from(bytes.saturating_sub(held)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let piece = Arc::clone(&self.of).acquire_many_owned(more);
        // Streams that hold parts of frames and wait for each other's room must not wait for ever.
        let piece = tokio::time::timeout(STALL_TIMEOUT, piece).await.map_err(|_| StreamEnded::Stalled)?;
        let piece = piece.expect("the semaphore is never closed");
        match &mut self.held {
            Some(held) => held.merge(piece),
            None => self.held = Some(piece),
        }
        Ok(())
    }

    /// Gives back what is held beyond `bytes`.
    fn keep(&mut self, bytes: usize) {
        drop(self.release(bytes));
    }

    /// Hands out what is held beyond `bytes`.
    fn release(&mut self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let held = self.held.as_mut()?;
        held.split(held.num_permits().saturating_sub(bytes))
    }
}

/// Answers the commands of a stream the peer opened, until it ends, sends what is no frame, or
/// `stopping` turns true; then what is running is finished and its answers are delivered. Dropping
/// this future drops the running handlers.
pub(super) async fn serve(
    mut send: SendStream,
    receive: RecvStream,
    service: Service,
    stopping: watch::Receiver<bool>,
) {
    let (replies, waiting) = mpsc::channel(REPLY_QUEUE);
    // Fails for all streams after the first.
    let (_ended, alive) = watch::channel(());
    let _ = service.first.set(First { sender: replies.downgrade(), alive });
    let fine = {
        let reading = read_commands(receive, &service, replies, stopping);
        let writing = write_replies(&mut send, waiting);
        tokio::pin!(reading, writing);
        let fine = tokio::select! {
            fine = &mut reading => fine,
            // Without a way to answer there is no point in reading on.
            _ = &mut writing => false,
        };
        // A peer that does not take the answers it is owed gets none of them: what is left would be kept for it.
        fine && writing.await
    };
    if !fine {
        // An error means that the stream has ended anyway.
        let _ = send.reset(BAD_STREAM);
    }
}

/// Whether the stream ended as it should.
async fn read_commands(
    receive: RecvStream,
    service: &Service,
    replies: mpsc::Sender<Outgoing>,
    mut stopping: watch::Receiver<bool>,
) -> bool {
    let mut frames = Frames::of_requests(receive, Arc::clone(&service.room));
    // Dropped with this future, which ends the handlers.
    let mut handlers = JoinSet::new();
    loop {
        let next = tokio::select! {
            next = frames.next() => next,
            Some(_) = handlers.join_next(), if !handlers.is_empty() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        let (id, endpoint, body, room) = match next {
            Ok(Some((Frame::Command { id, endpoint, body }, room))) => (id, endpoint, body, room),
            // A reply to nothing that was asked here.
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "a request stream ended");
                frames.refuse();
                return false;
            }
        };
        let permit = Arc::clone(&service.running).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (service, replies) = (service.clone(), replies.clone());
        let place = Place(Arc::new(Mutex::new(Some(permit))));
        let asked = Asked {
            peer: service.peer,
            endpoint,
            body,
            place: place.clone(),
            notifier: Notifier(Arc::clone(&service.first)),
        };
        handlers.spawn(async move {
            // The handler is called inside, so that whatever it does to itself is one lost request.
            let answer = survive(|| (service.handler)(asked)).await;
            drop(room);
            let _ = replies.send(Outgoing::Reply { id, answer, place }).await;
        });
    }
    drop(replies);
    while handlers.join_next().await.is_some() {}
    true
}

/// A frame on its way.
#[derive(Debug)]
enum Outgoing {
    /// An answer, which counts as running until it is written.
    Reply { id: u64, answer: Option<super::Answer>, place: Place },
    /// Something the peer has not asked for.
    Command { endpoint: String, body: Bytes },
}

impl Outgoing {
    /// The frame, and the place to be given back when it is written. Commands are numbered with `next_id`, as the wire demands;
    /// nobody answers them.
    fn into_pieces(self, next_id: &mut u64) -> (Vec<Bytes>, Option<Place>) {
        let fits = |length: usize| length + FRAME_OVERHEAD <= MAX_FRAME;
        let endpoint;
        let (kind, id, body, place) = match self {
            Self::Command { endpoint: to, body } => {
                *next_id += 1;
                endpoint = to;
                (Kind::Command(&endpoint), *next_id, Body::from(body), None)
            }
            Self::Reply { id, answer: Some(Ok(body)), place } if fits(body.len()) => {
                (Kind::Reply, id, body, Some(place))
            }
            Self::Reply { id, answer: Some(Err(body)), place } if fits(body.len()) => {
                (Kind::Error, id, body.into(), Some(place))
            }
            // Lost, or too large to be an answer: in both cases our own mistake.
            Self::Reply { id, place, .. } => {
                tracing::error!("a request handler gave no usable answer");
                (Kind::Error, id, HANDLER_LOST.into(), Some(place))
            }
        };
        let (before, behind) = btstream::around(kind, id, body.len());
        (body.between(before, behind).into_pieces(), place)
    }
}

/// Runs a handler; `None` if it panicked.
async fn survive(handler: impl FnOnce() -> AnswerFuture) -> Option<super::Answer> {
    // What a panic left half-done inside the handler's future is dropped with it; what handlers
    // share is behind locks that tell.
    let mut answering = std::panic::catch_unwind(AssertUnwindSafe(handler)).ok()?;
    std::future::poll_fn(move |cx| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(cx))) {
            Ok(Poll::Ready(answer)) => Poll::Ready(Some(answer)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// Writes answers until there are no more, then waits until the peer has them. Ends early, and is `false`, when the peer does
/// not take them.
async fn write_replies(stream: &mut SendStream, mut replies: mpsc::Receiver<Outgoing>) -> bool {
    let mut next_id = 0;
    while let Some(reply) = replies.recv().await {
        let (mut pieces, _place) = reply.into_pieces(&mut next_id);
        let mut rest = pieces.as_mut_slice();
        while !rest.is_empty() {
            match tokio::time::timeout(STALL_TIMEOUT, stream.write_chunks(rest)).await {
                // What has gone in part begins where it goes on.
                Ok(Ok(written)) => rest = rest.get_mut(written.chunks..).unwrap_or_default(),
                _ => return false,
            }
        }
    }
    stream.finish().is_err() || tokio::time::timeout(STALL_TIMEOUT, stream.stopped()).await.is_ok()
}
