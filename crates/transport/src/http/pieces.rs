//! Bodies of answers: whole, or in pieces that come while they are sent, so that a large one is never in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// A body whose length is known and whose pieces come one after the other. If they end before so many bytes have come, or go
/// beyond, the connection is broken off: whoever reads sees that it is not all.
#[derive(Debug)]
pub struct Pieces {
    length: u64,
    coming: mpsc::Receiver<Bytes>,
}

impl Pieces {
    /// `length` bytes in all. How many pieces wait to be sent is the channel's bound.
    pub const fn new(length: u64, coming: mpsc::Receiver<Bytes>) -> Self {
        Self { length, coming }
    }
}

/// What hyper sends.
#[derive(Debug)]
pub(super) struct Sent {
    left: u64,
    now: Option<Bytes>,
    coming: Option<mpsc::Receiver<Bytes>>,
}

impl Sent {
    pub(super) fn whole(body: Bytes) -> Self {
        Self { left: length(&body), now: Some(body).filter(|body| !body.is_empty()), coming: None }
    }

    pub(super) fn in_pieces(pieces: Pieces) -> Self {
        Self { left: pieces.length, now: None, coming: Some(pieces.coming) }
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let is_over = self.left == 0;
        let next = match (self.now.take(), &mut self.coming) {
            (Some(now), _) => Some(now),
            (None, Some(_)) if is_over => None,
            (None, Some(coming)) => ready!(coming.poll_recv(context)),
            (None, None) => None,
        };
        Poll::Ready(match next {
            Some(piece) => match self.left.checked_sub(length(&piece)) {
                Some(left) => {
                    self.left = left;
                    Some(Ok(Frame::data(piece)))
                }
                None => Some(Err(io::ErrorKind::InvalidData.into())),
            },
            None if self.left == 0 => None,
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn sent(length: u64, pieces: &[&'static [u8]]) -> io::Result<Vec<u8>> {
        let (tell, coming) = mpsc::channel(8);
        for piece in pieces {
            tell.send(Bytes::from_static(piece)).await.unwrap();
        }
        drop(tell);
        Ok(Sent::in_pieces(Pieces::new(length, coming)).collect().await?.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_sent_as_one_and_never_taken_for_all_if_it_is_not() {
        assert_eq!(sent(6, &[b"abc", b"", b"def"]).await.unwrap(), b"abcdef");
        assert_eq!(sent(0, &[]).await.unwrap(), b"");
        assert_eq!(sent(7, &[b"abc", b"def"]).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(sent(5, &[b"abc", b"def"]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let whole = Sent::whole(Bytes::from_static(b"abc"));
        assert_eq!(whole.size_hint().exact(), Some(3));
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "abc");
    }
}
