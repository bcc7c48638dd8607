//! Frames on a QUIC stream (storage-and-onion 1.3): `length ":" bt-list`, where the list is a
//! command, a reply or an error.
//!
//! Sans-io: bytes are pushed in as they arrive, frames come out. A decoder that has met an error
//! keeps answering with it, since nothing behind a broken frame can be found again; the stream must
//! be closed. Knows nothing of endpoints or of whether an answer was expected.
//!
//! A hop hands on what may be nearly [`MAX_FRAME`] long, for many clients at once: a large body is never copied here, neither
//! out of what has arrived nor into what goes out ([`around`]).

use bytes::Bytes;

use crate::bt::{BtError, ListReader, write_bytes, write_int};

/// The longest list in a frame, in bytes.
pub const MAX_FRAME: usize = 10_000_000;

/// The longest length prefix, its colon included: [`MAX_FRAME`] has eight digits.
const MAX_PREFIX: usize = 9;

/// A frame of this length and more takes its buffer with it; below, a copy is cheaper than a buffer that many small bodies hold.
const LARGE: usize = 32 * 1024;

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
        body: Bytes,
    },
    /// The answer to a command that worked.
    Reply {
        /// The command's.
        id: u64,
        /// The answer itself.
        body: Bytes,
    },
    /// The answer to a command that failed.
    Error {
        /// The command's.
        id: u64,
        /// By convention `"<code> <reason>\n\n<body>"`.
        body: Bytes,
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

/// What a frame is, without its number and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// [`Frame::Command`], to this endpoint.
    Command(&'a str),
    /// [`Frame::Reply`].
    Reply,
    /// [`Frame::Error`].
    Error,
}

/// What comes before a body of `length` bytes in a frame, and what after it. Keep the whole within [`MAX_FRAME`]: a longer
/// one makes the peer close the stream.
pub fn around(kind: Kind<'_>, id: u64, length: usize) -> (Vec<u8>, &'static [u8]) {
    const BEHIND: &[u8] = b"e";
    let (name, endpoint) = match kind {
        Kind::Command(endpoint) => (b"C", Some(endpoint)),
        Kind::Reply => (b"R", None),
        Kind::Error => (b"E", None),
    };
    let mut head = vec![b'l'];
    write_bytes(&mut head, name);
    write_int(&mut head, id.into());
    if let Some(endpoint) = endpoint {
        write_bytes(&mut head, endpoint.as_bytes());
    }
    head.extend_from_slice(format!("{length}:").as_bytes());
    let list =
        [head.len(), length, BEHIND.len()].iter().fold(0, |sum: usize, part| sum.saturating_add(*part));
    let mut before = format!("{list}:").into_bytes();
    before.append(&mut head);
    (before, BEHIND)
}

/// The frame as bytes, its length prefix included; see [`around`].
pub fn encode(frame: &Frame) -> Vec<u8> {
    let (kind, id, body) = match frame {
        Frame::Command { id, endpoint, body } => (Kind::Command(endpoint), id, body),
        Frame::Reply { id, body } => (Kind::Reply, id, body),
        Frame::Error { id, body } => (Kind::Error, id, body),
    };
    let (mut out, behind) = around(kind, *id, body.len());
    out.reserve_exact(body.len().saturating_add(behind.len()));
    out.extend_from_slice(body);
    out.extend_from_slice(behind);
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
    /// then at most one frame and what was pushed last is held. (Frames that were handed out hold what is theirs.)
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
        let whole = from.saturating_add(length);
        let Some(content) = rest.get(from..whole) else { return Ok(None) };
        if length < LARGE {
            let frame = parse(content, Bytes::copy_from_slice)?;
            self.done = self.done.saturating_add(whole);
            return Ok(Some(frame));
        }
        // The buffer goes with the frame, and what has come behind it begins a new one.
        let end = self.done.saturating_add(whole);
        let behind = self.buffer.split_off(end.min(self.buffer.len()));
        let held = Bytes::from(std::mem::replace(&mut self.buffer, behind));
        let content = held.slice(self.done.saturating_add(from)..);
        self.done = 0;
        parse(&content, |body| content.slice_ref(body)).map(Some)
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

/// Reads a list; `own` makes a body of its own of a part of it.
fn parse(content: &[u8], own: impl Fn(&[u8]) -> Bytes) -> Result<Frame, FrameError> {
    let mut list = ListReader::new(content)?;
    let kind = list.bytes()?;
    let id = list.u64()?;
    let frame = match kind {
        b"C" => Frame::Command { id, endpoint: list.text()?.to_owned(), body: own(list.bytes()?) },
        b"R" => Frame::Reply { id, body: own(list.bytes()?) },
        b"E" => Frame::Error { id, body: own(list.bytes()?) },
        _ => return Err(FrameError::Kind),
    };
    if list.is_empty() { Ok(frame) } else { Err(BtError::Trailing(content.len()).into()) }
}
