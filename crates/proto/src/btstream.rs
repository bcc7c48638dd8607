//! Frames on a QUIC stream (storage-and-onion 1.3): `length ":" bt-list`, where the list is a
//! command, a reply or an error.
//!
//! Sans-io: bytes are pushed in as they arrive, frames come out. A decoder that has met an error
//! keeps answering with it, since nothing behind a broken frame can be found again; the stream must
//! be closed. Knows nothing of endpoints or of whether an answer was expected.

use crate::bt::{BtError, ListReader, write_bytes, write_int};

/// The longest list in a frame, in bytes.
pub const MAX_FRAME: usize = 10_000_000;

/// The longest length prefix, its colon included: [`MAX_FRAME`] has eight digits.
const MAX_PREFIX: usize = 9;

/// One message on a stream. `id` is the sender's number of the request; an answer repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Asks `endpoint` to do something.
    Command {
        /// Counts up per sender.
        id: u64,
        /// What is asked, for instance `store`.
        endpoint: String,
        /// The request itself.
        body: Vec<u8>,
    },
    /// The answer to a command that worked.
    Reply {
        /// The command's.
        id: u64,
        /// The answer itself.
        body: Vec<u8>,
    },
    /// The answer to a command that failed.
    Error {
        /// The command's.
        id: u64,
        /// By convention `"<code> <reason>\n\n<body>"`.
        body: Vec<u8>,
    },
}

/// Why a stream cannot be read on. The peer's fault; close the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is not digits and a colon, or zero.
    #[error("malformed frame length")]
    Length,
    /// The length is above [`MAX_FRAME`].
    #[error("a frame may have {MAX_FRAME} bytes")]
    TooLong,
    /// The content is no list of a known kind.
    #[error("malformed frame: {0}")]
    Content(#[from] BtError),
    /// A kind other than `C`, `R` and `E`.
    #[error("unknown kind of frame")]
    Kind,
}

/// The frame as bytes, its length prefix included. Keep it within [`MAX_FRAME`]: a longer one makes
/// the peer close the stream.
pub fn encode(frame: &Frame) -> Vec<u8> {
    let (kind, id, endpoint, body) = match frame {
        Frame::Command { id, endpoint, body } => (b"C", id, Some(endpoint), body),
        Frame::Reply { id, body } => (b"R", id, None, body),
        Frame::Error { id, body } => (b"E", id, None, body),
    };
    // Written as one, since the length of it all comes first and the body may be large.
    let mut head = vec![b'l'];
    write_bytes(&mut head, kind);
    write_int(&mut head, (*id).into());
    if let Some(endpoint) = endpoint {
        write_bytes(&mut head, endpoint.as_bytes());
    }
    head.extend_from_slice(format!("{}:", body.len()).as_bytes());
    let length = [head.len(), body.len(), 1].iter().fold(0, |sum: usize, part| sum.saturating_add(*part));
    let mut out = format!("{length}:").into_bytes();
    out.reserve_exact(length);
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    out.push(b'e');
    out
}

/// Turns arriving bytes into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of `buffer` has been handed out.
    done: usize,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they arrive. Call [`Self::next`] until it gives `None` before pushing more:
    /// then at most one frame and what was pushed last is held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.done);
        self.done = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more bytes arrive.
    ///
    /// # Errors
    /// If the stream cannot be read on; then for ever.
    #[expect(clippy::should_implement_trait, reason = "an error or a pause is no end of iteration")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.read();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
            self.done = 0;
        }
        result
    }

    /// Bytes held that are not yet a whole frame.
    pub fn pending(&self) -> usize {
        self.buffer.len().saturating_sub(self.done)
    }

    fn read(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = self.buffer.get(self.done..).unwrap_or_default();
        let Some((from, length)) = prefix(rest)? else { return Ok(None) };
        let Some(content) = rest.get(from..from.saturating_add(length)) else { return Ok(None) };
        let frame = parse(content)?;
        self.done = self.done.saturating_add(from).saturating_add(length);
        Ok(Some(frame))
    }
}

/// Where the content starts and how long it is, once the prefix is whole.
fn prefix(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let digits = bytes.iter().take(MAX_PREFIX).take_while(|b| b.is_ascii_digit()).count();
    match bytes.get(digits) {
        None if digits < MAX_PREFIX => return Ok(None),
        Some(b':') if (1..MAX_PREFIX).contains(&digits) => {}
        _ => return Err(FrameError::Length),
    }
    let length = bytes
        .iter()
        .take(digits)
        .fold(0usize, |length, digit| length.saturating_mul(10).saturating_add((digit - b'0').into()));
    match length {
        0 => Err(FrameError::Length),
        1..=MAX_FRAME => Ok(Some((digits.saturating_add(1), length))),
        _ => Err(FrameError::TooLong),
    }
}

fn parse(content: &[u8]) -> Result<Frame, FrameError> {
    let mut list = ListReader::new(content)?;
    let kind = list.bytes()?;
    let id = list.u64()?;
    let frame = match kind {
        b"C" => Frame::Command { id, endpoint: list.text()?.to_owned(), body: list.bytes()?.to_vec() },
        b"R" => Frame::Reply { id, body: list.bytes()?.to_vec() },
        b"E" => Frame::Error { id, body: list.bytes()?.to_vec() },
        _ => return Err(FrameError::Kind),
    };
    if list.is_empty() { Ok(frame) } else { Err(BtError::Trailing(content.len()).into()) }
}
