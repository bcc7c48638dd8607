//! One request stream: frames in, frames out.

use std::sync::Arc;

use bytes::Bytes;
use conclave_proto::btstream::{self, Decoder, Frame};
use quinn::{RecvStream, SendStream};
use tokio::sync::{Semaphore, mpsc};

use super::{Handler, Peer};

/// Read at once; large frames arrive in many pieces anyway.
const READ_CHUNK: usize = 64 * 1024;
/// Replies waiting to be written on one stream. When the peer does not read them, its requests wait.
const REPLY_QUEUE: usize = 32;
/// The answer to a request whose handler was lost. (storage-and-onion 1.3)
const HANDLER_LOST: &[u8] = b"An error occurred while processing the request";

/// Reads frames of a stream one by one. `None` at its end.
pub(super) struct Frames {
    stream: RecvStream,
    decoder: Decoder,
}

impl Frames {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, decoder: Decoder::new() }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            if let Some(frame) = self.decoder.next().map_err(|e| e.to_string())? {
                return Ok(Some(frame));
            }
            match self.stream.read_chunk(READ_CHUNK, true).await {
                Ok(Some(chunk)) => self.decoder.push(&chunk.bytes),
                Ok(None) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Tells the peer that nothing more will be read.
    pub(super) fn refuse(&mut self) {
        let _ = self.stream.stop(0u32.into());
    }
}

/// Answers the commands of a stream the peer opened, until it ends or sends what is no frame.
/// `running` bounds the requests of the whole connection.
pub(super) async fn serve(
    send: SendStream,
    receive: RecvStream,
    peer: Peer,
    handler: Handler,
    running: Arc<Semaphore>,
) {
    let mut frames = Frames::new(receive);
    let (replies, waiting) = mpsc::channel(REPLY_QUEUE);
    let writer = tokio::spawn(write(send, waiting));
    loop {
        let (id, endpoint, body) = match frames.next().await {
            Ok(Some(Frame::Command { id, endpoint, body })) => (id, endpoint, body),
            // A reply to nothing that was asked here.
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "a request stream ended");
                frames.refuse();
                break;
            }
        };
        let Ok(permit) = Arc::clone(&running).acquire_owned().await else { break };
        let (handler, replies) = (Arc::clone(&handler), replies.clone());
        tokio::spawn(async move {
            // The handler runs in a task of its own, so that its panic is one lost request.
            let frame = match tokio::spawn(handler(peer, endpoint, Bytes::from(body))).await {
                Ok(Ok(body)) => Frame::Reply { id, body: body.into() },
                Ok(Err(body)) => Frame::Error { id, body: body.into() },
                Err(_) => Frame::Error { id, body: HANDLER_LOST.to_vec() },
            };
            let _ = replies.send(frame).await;
            drop(permit);
        });
    }
    drop(replies);
    let _ = writer.await;
}

async fn write(mut stream: SendStream, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if stream.write_chunk(Bytes::from(btstream::encode(&frame))).await.is_err() {
            return;
        }
    }
    let _ = stream.finish();
}
