//! The body of an answer: whole, or handed out as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// See the module.
pub(crate) enum Body {
    /// All of it; `None` when it has been handed out.
    Whole(Option<Bytes>),
    /// Pieces, of this many bytes in all. Fewer are an error, which breaks the connection: the other side must not take them
    /// for all.
    Pieces { from: mpsc::Receiver<io::Result<Bytes>>, left: u64 },
}

impl Body {
    pub(crate) const fn empty() -> Self {
        Self::Whole(None)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (from, left) = match self.get_mut() {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces { left: 0, .. } => return Poll::Ready(None),
            Self::Pieces { from, left } => (from, left),
        };
        from.poll_recv(context).map(|piece| {
            Some(match piece {
                Some(Ok(piece)) => {
                    *left = left.saturating_sub(piece.len() as u64);
                    Ok(Frame::data(piece))
                }
                Some(Err(error)) => Err(error),
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None) | Self::Pieces { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Pieces { left, .. } => *left,
        })
    }
}
