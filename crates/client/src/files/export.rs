//! The content of a file that is here: checked, and written where somebody wants it.

use std::fs::{File as DiskFile, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use conclave_crypto::attachment::AttachmentError;
use conclave_crypto::attachment::legacy::{AttachmentKey, LegacyDecryptor, LegacyVerifier};
use conclave_crypto::attachment::stream::StreamDecryptor;
use zeroize::Zeroizing;

use super::prepare::{FileError, cut};
use crate::profile::private_dir;
use crate::said::Pointer;

/// Bytes read at once.
const PIECE: usize = 64 * 1024;
/// Names that were tried before it is given up to find one that is free.
const MAX_NAMES: u32 = 1_000;
/// Bytes of a name, with room for a number.
const MAX_NAME: usize = 200;

/// How a file is encrypted.
pub(super) enum Format {
    Legacy(AttachmentKey, [u8; 32]),
    Stream(Zeroizing<[u8; 32]>),
}

impl Format {
    /// By the fragment of the address or, more robustly, by the key's length. (client-messages 6.3)
    pub(super) fn of(pointer: &Pointer) -> Result<Self, AttachmentError> {
        let digest = pointer.digest.as_deref().and_then(|digest| <[u8; 32]>::try_from(digest).ok());
        if let Ok(key) = <[u8; 64]>::try_from(pointer.key.as_slice()) {
            // Without a digest nobody knows whether it is the file that was sent.
            return digest
                .map(|digest| Self::Legacy(AttachmentKey::from_bytes(key), digest))
                .ok_or(AttachmentError::Digest);
        }
        let key = <[u8; 32]>::try_from(pointer.key.as_slice()).map_err(|_| AttachmentError::Format)?;
        Ok(Self::Stream(Zeroizing::new(key)))
    }

    /// Whether the encrypted file at `path` is the one that was sent. In the newer format every piece says so itself.
    pub(super) fn authenticate(&self, path: &Path) -> Result<(), FileError> {
        let Self::Legacy(key, digest) = self else { return Ok(()) };
        let mut verifier = LegacyVerifier::new(key);
        each_piece(path, |piece| {
            verifier.update(piece);
            Ok(())
        })?;
        Ok(verifier.finish(digest)?)
    }

    /// Writes the content of the encrypted file at `blob`, of `size` bytes, to `out`. What is in the older format has been
    /// found to be authentic before.
    pub(super) fn decrypt(&self, blob: &Path, size: u64, out: &mut impl Write) -> Result<(), FileError> {
        let mut content = Zeroizing::new(Vec::new());
        match self {
            Self::Legacy(key, _) => {
                let announced = usize::try_from(size).unwrap_or(usize::MAX);
                let mut decryptor = LegacyDecryptor::new(key, announced);
                each_piece(blob, |piece| {
                    decryptor.update(piece, &mut content);
                    hand_out(&mut content, out)
                })?;
                decryptor.finish(&mut content)?;
            }
            Self::Stream(key) => {
                let mut decryptor = StreamDecryptor::new(key);
                each_piece(blob, |piece| {
                    decryptor.update(piece, &mut content)?;
                    hand_out(&mut content, out)
                })?;
                decryptor.finish(&mut content)?;
            }
        }
        hand_out(&mut content, out)
    }
}

/// Whether the encrypted bytes at `path` are the file of this pointer, as long as announced.
pub(super) fn verify(path: &Path, pointer: &Pointer, size: u64) -> Result<(), FileError> {
    let format = Format::of(pointer)?;
    format.authenticate(path)?;
    let mut content = Counter(0);
    format.decrypt(path, size, &mut content)?;
    if content.0 == size {
        return Ok(());
    }
    let number = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    Err(AttachmentError::Size { announced: number(size), got: number(content.0) }.into())
}

/// Counts what is written to it.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the content of the encrypted file at `blob` to `to`: a folder, where it gets the name its sender gave it as far as
/// that is one, or else a file that does not exist yet. Gives the file's path. Nothing is left behind when it fails.
pub(crate) fn export(
    blob: &Path,
    pointer: &Pointer,
    size: u64,
    name: Option<&str>,
    to: &Path,
) -> Result<PathBuf, FileError> {
    // What is on this disk may have been damaged since it was fetched.
    verify(blob, pointer, size)?;
    let (path, mut out) = create(name, to)?;
    let written = Format::of(pointer).map_err(FileError::from);
    let written = written.and_then(|format| format.decrypt(blob, size, &mut out));
    let written = written.and_then(|()| out.sync_all().map_err(FileError::io("write", &path)));
    match written {
        Ok(()) => Ok(path),
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            Err(error)
        }
    }
}

/// A new file at a path, or in a folder under a name that is free there.
fn create(name: Option<&str>, to: &Path) -> Result<(PathBuf, DiskFile), FileError> {
    let new = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
    if !to.is_dir() {
        return match new(to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(FileError::Taken(to.to_owned()))
            }
            opened => Ok((to.to_owned(), opened.map_err(FileError::io("write", to))?)),
        };
    }
    let name = safe_name(name.unwrap_or_default());
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem.to_owned(), format!(".{extension}")),
        _ => (name.clone(), String::new()),
    };
    for number in 1..=MAX_NAMES {
        let name = if number == 1 { name.clone() } else { format!("{stem} ({number}){extension}") };
        let path = to.join(name);
        match new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((path.clone(), opened.map_err(FileError::io("write", &path))?)),
        }
    }
    Err(FileError::io("write", to)(io::ErrorKind::AlreadyExists.into()))
}

/// A folder only the owner can look into, made if it is not there.
pub(crate) fn folder(path: &Path) -> Result<(), FileError> {
    private_dir(path).map_err(FileError::io("make the folder", path))
}

/// What a stranger calls a file, as a name that names nothing else: no folders, no control characters, nothing that hides or
/// turns the writing around, not hidden itself, and no longer than file systems take.
pub(crate) fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let clean: String = last.chars().map(|c| if is_odd(c) { '_' } else { c }).collect();
    let clean = clean.trim().trim_start_matches('.').trim_end_matches(['.', ' ']);
    if clean.len() <= MAX_NAME {
        return if clean.is_empty() { "file".to_owned() } else { clean.to_owned() };
    }
    // The end says what it is.
    let extension = clean.rsplit_once('.').map(|(_, extension)| extension).filter(|it| it.len() <= 16);
    match extension {
        Some(extension) => format!("{}.{extension}", cut(clean, MAX_NAME - extension.len() - 1)),
        None => cut(clean, MAX_NAME),
    }
}

fn hand_out(content: &mut Vec<u8>, out: &mut impl Write) -> Result<(), FileError> {
    out.write_all(content).map_err(FileError::io("write", Path::new("the content")))?;
    content.clear();
    Ok(())
}

pub(super) fn each_piece(
    path: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let reading = FileError::io("read", path);
    let mut file = match DiskFile::open(path) {
        Ok(file) => file,
        Err(error) => return Err(reading(error)),
    };
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => each(piece.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_s_name_names_a_file_in_the_folder_and_nothing_else() {
        for (name, safe) in [
            ("holiday.jpg", "holiday.jpg"),
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("..\\..\\autoexec.bat", "autoexec.bat"),
            ("/etc/passwd", "passwd"),
            (".bashrc", "bashrc"),
            ("..", "file"),
            ("", "file"),
            ("   ", "file"),
            ("a\nb\u{7}c.txt", "a_b_c.txt"),
            ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
            ("con:aux?.txt", "con_aux_.txt"),
            ("trailing. ", "trailing"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
        let long = format!("{}.pdf", "é".repeat(300));
        let safe = safe_name(&long);
        assert!(safe.len() <= MAX_NAME && safe.ends_with(".pdf"), "{safe}");
    }

    #[test]
    fn what_is_in_the_folder_already_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| create(Some("a.tar.gz"), folder.path()).unwrap().0.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.tar.gz", "a.tar (2).gz", "a.tar (3).gz"]);
        assert!(create(None, &folder.path().join("a.tar.gz")).is_err());
    }
}
