//! The content of a file that is here, handed out piece by piece to who shows it: nothing of it is written to the disk.

use std::io::{self, Write};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::export::Format;
use super::prepare::FileError;
use crate::said::Pointer;
use crate::session::Secret;

/// Where the encrypted bytes of a file lie on this machine, and what opens them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenedFile {
    /// The encrypted bytes.
    pub path: String,
    /// What opens them, in hex: of 64 bytes in the older format, of 32 in the newer.
    pub key: Secret,
    /// Of the older format: the SHA-256 of all encrypted bytes, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes of the content.
    pub size: u64,
    /// The name its sender gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its MIME type, as its sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl OpenedFile {
    pub(crate) fn new(path: PathBuf, pointer: &Pointer, size: u64, file: Option<&crate::said::File>) -> Self {
        Self {
            path: path.to_string_lossy().into_owned(),
            key: Secret::new(&Zeroizing::new(hex::encode(&pointer.key))),
            digest: pointer.digest.as_deref().map(hex::encode),
            size,
            name: file.and_then(|file| file.name.clone()),
            content_type: file.and_then(|file| file.content_type.clone()),
        }
    }
}

/// The content of a file of a message.
pub struct FileContent {
    name: Option<String>,
    content_type: Option<String>,
    path: PathBuf,
    size: u64,
    format: Format,
}

impl FileContent {
    pub(crate) fn new(opened: OpenedFile) -> Result<Self, FileError> {
        let key = Zeroizing::new(hex::decode(opened.key.as_str()).unwrap_or_default());
        let digest = opened.digest.as_deref().and_then(|digest| hex::decode(digest).ok());
        let format = Format::of(&Pointer { url: None, key: key.to_vec(), digest })?;
        let path = PathBuf::from(opened.path);
        Ok(Self { name: opened.name, content_type: opened.content_type, path, size: opened.size, format })
    }

    /// The name its sender gave it: a stranger's word.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A name that can be a file's on any system, made of the one its sender gave it.
    pub fn safe_name(&self) -> String {
        super::export::safe_name(self.name().unwrap_or_default())
    }

    /// Its MIME type, as its sender says.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Its bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Hands out `length` bytes from `from` on, as far as there are any, until `out` wants no more. Blocks: what lies before is
    /// decrypted, too.
    ///
    /// # Errors
    /// If it is not there any more, cannot be read, or is not what was sent. What was handed out before is authentic.
    pub fn read(&self, from: u64, length: u64, out: impl FnMut(&[u8]) -> bool) -> Result<(), FileError> {
        self.format.authenticate(&self.path)?;
        let mut window = Window { skip: from, left: length, out, enough: length == 0 };
        match self.format.decrypt(&self.path, self.size, &mut window) {
            // It was not the file that failed.
            Err(_) if window.enough => Ok(()),
            read => read,
        }
    }

    /// All of it. For files that fit into memory: see to that before, by [`Self::size`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn all(&self) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let mut content = Zeroizing::new(Vec::new());
        self.read(0, self.size, |piece| {
            content.extend_from_slice(piece);
            true
        })?;
        Ok(content)
    }
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileContent({} bytes)", self.size)
    }
}

/// Lets a part of what is written to it through.
struct Window<F> {
    skip: u64,
    left: u64,
    out: F,
    enough: bool,
}

impl<F: FnMut(&[u8]) -> bool> Write for Window<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.enough {
            return Err(io::Error::other("enough"));
        }
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let skipped = number(self.skip).min(bytes.len());
        self.skip -= skipped as u64;
        let rest = bytes.get(skipped..).unwrap_or_default();
        let wanted = rest.get(..number(self.left).min(rest.len())).unwrap_or_default();
        if !wanted.is_empty() {
            self.left -= wanted.len() as u64;
            self.enough = !(self.out)(wanted) || self.left == 0;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
