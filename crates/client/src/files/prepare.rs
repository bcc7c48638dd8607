//! A file that is to be sent becomes encrypted bytes in the profile's folder, and the list of their chunks.

use std::fs::File as DiskFile;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conclave_crypto::attachment::AttachmentError;
use conclave_crypto::attachment::legacy::{AttachmentKey, IV_LENGTH, LegacyEncryptor};
use conclave_crypto::attachment::stream::{Domain, StreamEncryptor, StreamKeyHasher};
use conclave_crypto::{Account, CryptoRngCore};
use conclave_media::MediaError;
use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash, Manifest};
use zeroize::Zeroizing;

use super::folder::Folder;
use super::made;
use super::staged::{Opener, StagedReader};
use crate::said::{File, FileKey, OTHERS_TAKE, Pointer};
use crate::store::NewFile;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;
/// Bytes of a file's name, as long as file systems take.
const MAX_NAME: usize = 255;

/// Why a file cannot be sent, or its content not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is not there, or cannot be read or written.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a folder, a device, or the like.
    #[error("{0} is not a file")]
    NotAFile(PathBuf),
    /// Larger than the network allows.
    #[error("the file has {size} bytes, the network takes {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The largest.
        limit: u64,
    },
    /// More than a message can have.
    #[error("the message has {files} files, and {limit} are the most")]
    TooMany {
        /// How many.
        files: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Something is where it was to be written.
    #[error("there is something at {} already", .0.display())]
    Taken(PathBuf),
    /// A picture of which nobody can say that nothing is left in it.
    #[error("the picture cannot be sent without what it says of who took it: {0}")]
    NotStripped(MediaError),
    /// A recording that does not become a voice message.
    #[error("no voice message can be made of it: {0}")]
    NotAVoice(MediaError),
    /// A picture that cannot be shown to others.
    #[error("no profile picture can be made of it: {0}")]
    NotAFace(MediaError),
    /// It was written to meanwhile.
    #[error("{0} was changed while it was read")]
    Changed(PathBuf),
    /// What was fetched is not what was sent.
    #[error(transparent)]
    Damaged(#[from] AttachmentError),
    /// It is not on this machine yet.
    #[error("the file has not been fetched yet")]
    NotHere,
}

impl FileError {
    /// The next step.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => {
                "see that the file is there, that you may read it or write there, and that the disk has room"
            }
            Self::NotAFile(_) => "name a file; a folder can be sent as an archive",
            Self::TooLarge { .. } => "send it in parts",
            Self::TooMany { .. } => "send them in several messages",
            Self::Taken(_) => "name another place, or a folder; nothing is written over",
            Self::NotStripped(_) => {
                "convert it to JPEG or PNG; `--as-file` sends it as it is, with all it says"
            }
            Self::NotAVoice(error) | Self::NotAFace(error) => error.hint(),
            Self::Changed(_) => "send it again when nothing writes to it",
            Self::Damaged(_) => "ask for it again: another service node may have it whole",
            Self::NotHere => "fetch it first",
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// What is said of a file beside its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    /// Instead of the name it has on the disk.
    pub(crate) name: Option<String>,
    /// Instead of what its name suggests.
    pub(crate) content_type: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) voice: bool,
    /// The bytes are sent as they are.
    pub(crate) as_file: bool,
    /// Of a picture, in pixels.
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    /// Of a voice message.
    pub(crate) duration_ms: Option<u64>,
}

/// Where a file goes, and how large it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of its content.
    pub(crate) max: u64,
    /// It goes to a file server, and not to swarms.
    pub(crate) to_server: bool,
}

/// A file that is ready to be sent, except that nobody has said yet at which node others ask for it.
pub(crate) struct Prepared {
    pub(crate) new: NewFile,
    pub(crate) manifest: Manifest,
    /// It is in the newer format.
    pub(crate) deterministic: bool,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// As they are, at a path.
    Plain(PathBuf),
    /// Encrypted, at a path: kept aside by who hands them over.
    Staged(PathBuf, Opener),
    /// In memory, made of what lies at a path.
    Made(PathBuf, Arc<Zeroizing<Vec<u8>>>),
}

impl Source {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Plain(path) | Self::Staged(path, _) | Self::Made(path, _) => path,
        }
    }

    /// How many there are.
    pub(super) fn size(&self) -> Result<u64, FileError> {
        let path = self.path();
        let on_disk = || std::fs::metadata(path).map_err(FileError::io("read", path));
        match self {
            Self::Made(_, bytes) => Ok(bytes.len() as u64),
            _ if !on_disk()?.is_file() => Err(FileError::NotAFile(path.to_owned())),
            Self::Plain(_) => Ok(on_disk()?.len()),
            Self::Staged(_, opener) => Ok(opener.size),
        }
    }

    /// Reads them from their beginning.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read>> {
        let file = || DiskFile::open(self.path());
        Ok(match self {
            Self::Plain(_) => Box::new(file()?),
            Self::Staged(_, opener) => Box::new(StagedReader::new(file()?, opener)),
            Self::Made(_, bytes) => made::reader(bytes),
        })
    }
}

/// Encrypts a file into the folder, under this name: what is made of it, if it is a picture or to be a voice message. Of others, some
/// pieces are in memory.
pub(crate) fn prepare(
    source: Source,
    name: &str,
    folder: &Folder,
    description: Description,
    limits: Limits,
    account: &Account,
    rng: &mut impl CryptoRngCore,
) -> Result<Prepared, FileError> {
    let (source, description) = made::made(source, description)?;
    let (source, path) = (&source, source.path());
    let size = source.size()?;
    if size > limits.max {
        return Err(FileError::TooLarge { size, limit: limits.max });
    }
    let out = folder.create(name).map_err(FileError::io("write", &folder.blob(name)))?;
    let written = encrypt(source, size, Writer::new(out), account, rng);
    let (key, digest, manifest) = match written {
        Ok(written) => written,
        Err(failure) => {
            let _ = std::fs::remove_file(folder.blob(name));
            return Err(match failure {
                Failure::Read(error) => FileError::io("read", path)(error),
                Failure::Write(error) => FileError::io("write", &folder.blob(name))(error),
                Failure::Changed => FileError::Changed(path.to_owned()),
            });
        }
    };
    let shown = description.name.as_deref().map(Path::new).unwrap_or(path);
    let file_name = shown.file_name().map(|name| cut(&name.to_string_lossy(), MAX_NAME));
    let guessed = || file_name.as_deref().and_then(content_type_of).map(str::to_owned);
    let content_type = description.content_type.or_else(guessed);
    let deterministic = digest.is_none();
    Ok(Prepared {
        new: NewFile {
            file: File {
                name: file_name,
                content_type: Some(content_type.unwrap_or_else(|| "application/octet-stream".to_owned())),
                size,
                voice: description.voice,
                width: description.width,
                height: description.height,
                caption: description.caption,
                duration_ms: description.duration_ms,
            },
            pointer: Pointer { url: None, key: key.to_vec(), digest: digest.map(|digest| digest.to_vec()) },
            blob: name.to_owned(),
            manifest: (!limits.to_server).then(|| manifest.encode()),
            file_key: FileKey::generate(rng),
        },
        manifest,
        deterministic,
    })
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
    Changed,
}

impl From<AttachmentError> for Failure {
    fn from(_: AttachmentError) -> Self {
        Self::Changed
    }
}

type Encrypted = (Zeroizing<Vec<u8>>, Option<[u8; 32]>, Manifest);

fn encrypt(
    source: &Source,
    size: u64,
    mut out: Writer,
    account: &Account,
    rng: &mut impl CryptoRngCore,
) -> Result<Encrypted, Failure> {
    let mut ready = Vec::new();
    // Larger ones, which others cannot fetch, are in the newer format: it needs no second look at all of them before the first
    // byte may be used. (client-messages 6.1, 6.3)
    if size <= OTHERS_TAKE {
        let key = AttachmentKey::generate(rng);
        let mut iv = [0; IV_LENGTH];
        rng.fill_bytes(&mut iv);
        let length = usize::try_from(size).map_err(|_| Failure::Changed)?;
        let mut encryptor = LegacyEncryptor::new(&key, &iv, length, &mut ready);
        each_piece(source, |piece| {
            encryptor.update(piece, &mut ready)?;
            out.put(&mut ready)
        })?;
        let digest = encryptor.finish(&mut ready)?;
        out.put(&mut ready)?;
        let manifest = out.finish()?;
        return Ok((Zeroizing::new(key.as_bytes().to_vec()), Some(digest), manifest));
    }
    let mut hasher = StreamKeyHasher::new(account.ed25519(), Domain::Attachment);
    each_piece(source, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    let key = hasher.finish();
    let mut encryptor = StreamEncryptor::start(&key, &mut ready);
    while encryptor.pad(&mut ready) {
        out.put(&mut ready)?;
    }
    each_piece(source, |piece| {
        encryptor.update(piece, &mut ready)?;
        out.put(&mut ready)
    })?;
    encryptor.finish(&mut ready)?;
    out.put(&mut ready)?;
    let manifest = out.finish()?;
    Ok((Zeroizing::new(key.as_bytes().to_vec()), None, manifest))
}

fn each_piece(source: &Source, mut each: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut file = source.open().map_err(Failure::Read)?;
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    loop {
        let read = match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(Failure::Read)?,
        };
        if read == 0 {
            return Ok(());
        }
        each(piece.get(..read).unwrap_or_default())?;
    }
}

/// Writes encrypted bytes, and hashes each chunk of them.
struct Writer {
    file: DiskFile,
    chunk: Vec<u8>,
    hashes: Vec<ChunkHash>,
    size: u64,
}

impl Writer {
    fn new(file: DiskFile) -> Self {
        Self { file, chunk: Vec::with_capacity(CHUNK_SIZE), hashes: Vec::new(), size: 0 }
    }

    /// Takes what is ready.
    fn put(&mut self, ready: &mut Vec<u8>) -> Result<(), Failure> {
        let mut rest = ready.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(CHUNK_SIZE - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            rest = later;
            if self.chunk.len() == CHUNK_SIZE {
                self.end_chunk()?;
            }
        }
        ready.clear();
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), Failure> {
        self.file.write_all(&self.chunk).map_err(Failure::Write)?;
        self.hashes.push(ChunkHash::of(&self.chunk));
        self.size += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }

    /// Brings all to the disk.
    fn finish(mut self) -> Result<Manifest, Failure> {
        if !self.chunk.is_empty() {
            self.end_chunk()?;
        }
        self.file.sync_all().map_err(Failure::Write)?;
        // Encrypted files have at least some hundred bytes, and are bounded by the size that was checked.
        Manifest::new(self.size, self.hashes).ok_or(Failure::Changed)
    }
}

/// The MIME type that a name suggests, of the kinds that programs treat each in their own way.
fn content_type_of(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "svg" => "image/svg+xml",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "txt" | "md" | "log" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        _ => return None,
    })
}

/// Cut to `limit` bytes between characters.
pub(super) fn cut(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
