//! The deterministic stream format (client-messages 6.3): `S`, header, chunks of libsodium's
//! secretstream.
//!
//! Key and header are a hash of the content under the account's seed, so encrypting goes through
//! the content twice: [`StreamKeyHasher`], then [`StreamEncryptor`]. Both, and
//! [`StreamDecryptor`], take the content in pieces of any size and hold one chunk at most.
//! Padding stands in front, so that the last chunk ends both content and stream.

use crypto_secretstream::{Header, Key, PullStream, PushStream, Tag};
use rand_core::CryptoRngCore;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::AttachmentError;
use crate::hash::{Blake2b, Blake2bState};
use crate::keys::Ed25519Secret;

/// The largest content whose blob file servers take (10,223,616 bytes).
pub const MAX_CONTENT: usize = 10_218_286;

/// First byte of every blob.
const MAGIC: u8 = b'S';
const HEADER_LENGTH: usize = 24;
/// Content bytes of a full chunk.
const CHUNK: usize = 32_768;
/// What a chunk grows by.
const CHUNK_OVERHEAD: usize = 17;
const SEALED_CHUNK: usize = CHUNK + CHUNK_OVERHEAD;
/// Magic, header and the one padding byte that is always there.
const FIXED: usize = 1 + HEADER_LENGTH + 1;
/// Sizes are rounded as if they were at least this, ...
const MIN_ROUNDED: usize = 131_072;
/// ... to multiples of the power of two below them, divided by this.
const ROUNDING_PARTS: usize = 32;
/// Ends the padding.
const PADDING_END: u8 = 1;

/// What a file is for; equal files of different domains have different keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// An attachment of a message.
    Attachment,
    /// A profile or group picture.
    ProfilePicture,
}

impl Domain {
    const fn personal(self) -> &'static [u8; 16] {
        match self {
            Self::Attachment => b"SessionAttachmnt",
            Self::ProfilePicture => b"Session_Prof_Pic",
        }
    }
}

/// First pass: derives the key from the content.
pub struct StreamKeyHasher {
    state: Blake2bState<56>,
    length: usize,
}

impl StreamKeyHasher {
    /// For files of this account.
    pub fn new(account: &Ed25519Secret, domain: Domain) -> Self {
        let state = Blake2b::new().key(account.seed().as_ref()).personal(domain.personal()).start();
        Self { state, length: 0 }
    }

    /// The next piece of content.
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.length += piece.len();
    }

    /// The key of the content so far.
    pub fn finish(self) -> StreamKey {
        let digest = Zeroizing::new(self.state.finish());
        let (header, key) = digest.split_first_chunk().expect("56 bytes hold 24");
        StreamKey {
            header: *header,
            key: *key.first_chunk().expect("the other 32 bytes"),
            content_length: self.length,
        }
    }
}

impl std::fmt::Debug for StreamKeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamKeyHasher({} bytes)", self.length)
    }
}

/// Key and header of one content.
#[derive(Clone, ZeroizeOnDrop)]
pub struct StreamKey {
    #[zeroize(skip)]
    header: [u8; HEADER_LENGTH],
    key: [u8; 32],
    #[zeroize(skip)]
    content_length: usize,
}

impl StreamKey {
    /// For content of this length that is not known yet: at random, so that it has to be gone through only once.
    pub fn random(content_length: usize, rng: &mut impl CryptoRngCore) -> Self {
        let mut key = Self { header: [0; HEADER_LENGTH], key: [0; 32], content_length };
        rng.fill_bytes(&mut key.header);
        rng.fill_bytes(&mut key.key);
        key
    }

    /// Goes into the attachment pointer.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }
}

impl std::fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamKey(hidden)")
    }
}

/// The blob's length for content of this length.
pub fn encrypted_length(content: usize) -> usize {
    let stream = padding_length(content) + content;
    1 + HEADER_LENGTH + stream + CHUNK_OVERHEAD * stream.div_ceil(CHUNK)
}

/// Bytes of padding, at least 1, so that blobs come in few sizes.
fn padding_length(content: usize) -> usize {
    let chunks = content.div_ceil(CHUNK);
    let unpadded = content + FIXED + CHUNK_OVERHEAD * chunks;
    let parts = (1usize << unpadded.max(MIN_ROUNDED).ilog2()) / ROUNDING_PARTS;
    let target = unpadded.next_multiple_of(parts);
    let mut padding = target - unpadded + 1;
    // Padding that fills new chunks brings their overhead with it.
    let new_chunks = padding / SEALED_CHUNK + usize::from(padding % SEALED_CHUNK > CHUNK * chunks - content);
    padding = padding.saturating_sub(CHUNK_OVERHEAD * new_chunks).max(1);
    padding
}

/// Second pass: encrypts the content the key was derived from.
pub struct StreamEncryptor {
    push: PushStream,
    /// The chunk being filled, at most [`CHUNK`] bytes and the room to seal it.
    chunk: Vec<u8>,
    /// Stream bytes that have not come yet.
    missing: usize,
    /// Zeros of the padding that have not come yet; `None` when all of it has.
    zeros: Option<usize>,
}

impl StreamEncryptor {
    /// Starts a blob; its beginning, with all of its padding, goes to `out`.
    pub fn new(key: &StreamKey, out: &mut Vec<u8>) -> Self {
        let mut encryptor = Self::start(key, out);
        while encryptor.pad(out) {}
        encryptor
    }

    /// Starts a blob of which `out` gets no more at a time than it has room for: [`Self::pad`] until that says no, then the
    /// content. The padding of a large file is larger than memory is to be.
    pub fn start(key: &StreamKey, out: &mut Vec<u8>) -> Self {
        let (_, push) = PushStream::init(Fixed(key.header), &Key::from(key.key));
        out.push(MAGIC);
        out.extend_from_slice(&key.header);
        let padding = padding_length(key.content_length);
        Self {
            push,
            chunk: Vec::with_capacity(SEALED_CHUNK),
            missing: padding + key.content_length,
            zeros: Some(padding - 1),
        }
    }

    /// Some of the padding, at most a chunk, to `out`; whether there is more to come.
    pub fn pad(&mut self, out: &mut Vec<u8>) -> bool {
        static ZEROS: [u8; CHUNK] = [0; CHUNK];
        let Some(zeros) = self.zeros else { return false };
        let piece = ZEROS.split_at(zeros.min(CHUNK)).0;
        self.take(piece, out);
        self.zeros = Some(zeros - piece.len()).filter(|left| *left > 0);
        if self.zeros.is_none() {
            self.take(&[PADDING_END], out);
        }
        self.zeros.is_some()
    }

    /// The next piece of content; what is ready of the blob goes to `out`.
    ///
    /// # Errors
    /// [`AttachmentError::ContentChanged`] if there is more than the key was derived from.
    pub fn update(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        if piece.len() > self.missing {
            return Err(AttachmentError::ContentChanged);
        }
        self.take(piece, out);
        Ok(())
    }

    /// Ends the blob.
    ///
    /// # Errors
    /// [`AttachmentError::ContentChanged`] if there was less than the key was derived from.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        if self.missing > 0 {
            return Err(AttachmentError::ContentChanged);
        }
        self.seal_chunk(Tag::Final, out);
        Ok(())
    }

    fn take(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        self.missing -= piece.len();
        while !piece.is_empty() {
            if self.chunk.len() == CHUNK {
                // More follows, so this is not the last.
                self.seal_chunk(Tag::Message, out);
            }
            let (now, later) = piece.split_at(piece.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            piece = later;
        }
    }

    fn seal_chunk(&mut self, tag: Tag, out: &mut Vec<u8>) {
        self.push.push(&mut self.chunk, b"", tag).expect("a vector grows by the 17 bytes of overhead");
        out.extend_from_slice(&self.chunk);
        self.chunk.clear();
    }
}

impl std::fmt::Debug for StreamEncryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamEncryptor({} bytes to come)", self.missing)
    }
}

/// Decrypts a blob piece by piece. Every piece of content that comes out is authentic, but only
/// [`Self::finish`] tells that none is missing at the end: keep nothing before it returns.
pub struct StreamDecryptor {
    key: Zeroizing<[u8; 32]>,
    state: DecryptState,
    /// Blob bytes that do not make a part yet.
    pending: Vec<u8>,
}

enum DecryptState {
    Header,
    Chunks { pull: Box<PullStream>, in_padding: bool },
    Done,
}

impl StreamDecryptor {
    /// With the key of the attachment pointer.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(*key),
            state: DecryptState::Header,
            pending: Vec::with_capacity(SEALED_CHUNK),
        }
    }

    /// The next piece of the blob; content that is ready goes to `out`.
    ///
    /// # Errors
    /// As soon as the blob is seen to be of another format, key or content.
    pub fn update(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        while !piece.is_empty() {
            let part = match self.state {
                DecryptState::Header => 1 + HEADER_LENGTH,
                DecryptState::Chunks { .. } => SEALED_CHUNK,
                DecryptState::Done => return Err(AttachmentError::NotAuthentic),
            };
            if self.pending.len() == part {
                // More follows, so a chunk that is full is not the last one.
                self.open_part(out, false)?;
                continue;
            }
            let (now, later) = piece.split_at(piece.len().min(part - self.pending.len()));
            self.pending.extend_from_slice(now);
            piece = later;
        }
        Ok(())
    }

    /// Ends the blob.
    ///
    /// # Errors
    /// If the blob was cut.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), AttachmentError> {
        let length = self.pending.len();
        if matches!(self.state, DecryptState::Header) {
            return Err(match self.pending.first() {
                Some(&MAGIC) | None => AttachmentError::TooShort { length },
                Some(_) => AttachmentError::Format,
            });
        }
        self.open_part(out, true)
    }

    fn open_part(&mut self, out: &mut Vec<u8>, last: bool) -> Result<(), AttachmentError> {
        match &mut self.state {
            DecryptState::Header => {
                let (magic, header) = self.pending.split_first().ok_or(AttachmentError::Format)?;
                if *magic != MAGIC {
                    return Err(AttachmentError::Format);
                }
                let header = Header::try_from(header).map_err(|_| AttachmentError::Format)?;
                let pull = Box::new(PullStream::init(header, &Key::from(*self.key)));
                self.state = DecryptState::Chunks { pull, in_padding: true };
            }
            DecryptState::Chunks { pull, in_padding } => {
                let tag = pull.pull(&mut self.pending, b"").map_err(|_| AttachmentError::NotAuthentic)?;
                let expected = if last { Tag::Final } else { Tag::Message };
                if tag != expected {
                    return Err(AttachmentError::NotAuthentic);
                }
                let mut content = self.pending.as_slice();
                if *in_padding {
                    let zeros = content.iter().take_while(|byte| **byte == 0).count();
                    content = match content.split_at(zeros).1.split_first() {
                        Some((&PADDING_END, rest)) => {
                            *in_padding = false;
                            rest
                        }
                        Some(_) => return Err(AttachmentError::NotAuthentic),
                        None => &[],
                    };
                }
                out.extend_from_slice(content);
                if last {
                    let unended = *in_padding;
                    self.state = DecryptState::Done;
                    if unended {
                        return Err(AttachmentError::NotAuthentic);
                    }
                }
            }
            DecryptState::Done => return Err(AttachmentError::NotAuthentic),
        }
        self.pending.clear();
        Ok(())
    }
}

impl std::fmt::Debug for StreamDecryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamDecryptor(hidden)")
    }
}

/// Encrypts content that is at hand as a whole: key for the pointer, and blob.
///
/// # Errors
/// [`AttachmentError::TooLarge`] above [`MAX_CONTENT`].
pub fn encrypt(
    account: &Ed25519Secret,
    domain: Domain,
    content: &[u8],
) -> Result<(StreamKey, Vec<u8>), AttachmentError> {
    if content.len() > MAX_CONTENT {
        return Err(AttachmentError::TooLarge(content.len()));
    }
    let mut hasher = StreamKeyHasher::new(account, domain);
    hasher.update(content);
    let key = hasher.finish();
    let mut blob = Vec::new();
    let mut encryptor = StreamEncryptor::new(&key, &mut blob);
    encryptor.update(content, &mut blob)?;
    encryptor.finish(&mut blob)?;
    Ok((key, blob))
}

/// Decrypts a blob that is at hand as a whole.
///
/// # Errors
/// [`AttachmentError`].
pub fn decrypt(blob: &[u8], key: &[u8; 32]) -> Result<Vec<u8>, AttachmentError> {
    let mut content = Vec::with_capacity(blob.len());
    let mut decryptor = StreamDecryptor::new(key);
    decryptor.update(blob, &mut content)?;
    decryptor.finish(&mut content)?;
    Ok(content)
}

/// Hands the derived header to the stream, which asks a random generator for it.
struct Fixed([u8; HEADER_LENGTH]);

impl rand_core::RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for (to, from) in bytes.iter_mut().zip(self.0) {
            *to = from;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

// The stream's generator must be marked so; the header is a keyed hash, unpredictable without the
// account's seed.
impl rand_core::CryptoRng for Fixed {}
