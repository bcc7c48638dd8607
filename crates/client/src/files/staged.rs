//! Files kept aside until they are sent, for who has no path to give: a page in a browser hands over bytes, one piece after the
//! other. They lie in the profile's folder `staged`, encrypted with a key that is in the memory of that process only, so a copy of
//! what was never sent is of no use to anybody; it goes with the [`StagedFile`], and the owner of the profile clears away what was
//! left behind by a process that ended suddenly.

use std::fs::File as DiskFile;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use conclave_crypto::attachment::stream::{StreamDecryptor, StreamEncryptor, StreamKey};
use conclave_proto::chunk::MAX_FILE;
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::folder::Folder;
use super::prepare::FileError;
use crate::profile::Profile;
use crate::session::Secret;
use crate::types::{NewAttachment, Sealed};

/// Encrypted bytes read at once.
const PIECE: usize = 64 * 1024;

/// What opens a file that was kept aside.
#[derive(Clone)]
pub(crate) struct Opener {
    key: Zeroizing<[u8; 32]>,
    /// Bytes of the content.
    pub(super) size: u64,
}

impl Opener {
    /// Reads what [`StagedFile::attachment`] wrote; `None` if it is no key.
    pub(crate) fn of(sealed: &Sealed) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(sealed.key.as_str(), &mut *key).ok()?;
        Some(Self { key, size: sealed.size })
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener({} bytes)", self.size)
    }
}

/// A file that is being handed over. Dropping it leaves nothing of it.
pub struct Staging {
    file: StagedFile,
    disk: DiskFile,
    encryptor: StreamEncryptor,
    ready: Vec<u8>,
}

impl Staging {
    /// Begins a file of exactly `size` bytes. Works with the disk, as the rest of this does.
    ///
    /// # Errors
    /// [`FileError::TooLarge`] if it could not be sent; or what the disk says.
    pub fn begin(profile: &Profile, size: u64) -> Result<Self, FileError> {
        let length = usize::try_from(size).ok().filter(|_| size <= MAX_FILE);
        let length = length.ok_or(FileError::TooLarge { size, limit: MAX_FILE })?;
        let (folder, name) = (Folder::of(&profile.dir()), Folder::new_name());
        let path = folder.staged(&name);
        let disk = folder.create_staged(&name).map_err(FileError::io("write", &path))?;
        let key = StreamKey::random(length, &mut OsRng);
        let opener = Opener { key: Zeroizing::new(*key.as_bytes()), size };
        // From here on, whatever fails removes it.
        let file = StagedFile { path, opener };
        let mut ready = Vec::new();
        let encryptor = StreamEncryptor::start(&key, &mut ready);
        let mut staging = Self { file, disk, encryptor, ready };
        while staging.encryptor.pad(&mut staging.ready) {
            staging.put()?;
        }
        Ok(staging)
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`FileError::Changed`] if there are more than were announced; or what the disk says.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), FileError> {
        let changed = |_| FileError::Changed(self.file.path.clone());
        self.encryptor.update(piece, &mut self.ready).map_err(changed)?;
        self.put()
    }

    /// That was all.
    ///
    /// # Errors
    /// [`FileError::Changed`] if there were fewer bytes than announced; or what the disk says.
    pub fn finish(mut self) -> Result<StagedFile, FileError> {
        let changed = |_| FileError::Changed(self.file.path.clone());
        self.encryptor.finish(&mut self.ready).map_err(changed)?;
        // Not synced: after a crash nobody could open it any more.
        self.disk.write_all(&self.ready).map_err(FileError::io("write", &self.file.path))?;
        Ok(self.file)
    }

    fn put(&mut self) -> Result<(), FileError> {
        self.disk.write_all(&self.ready).map_err(FileError::io("write", &self.file.path))?;
        self.ready.clear();
        Ok(())
    }
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Staging({} bytes)", self.file.opener.size)
    }
}

/// A file that was handed over and is kept aside until it is sent. Dropping it removes it.
pub struct StagedFile {
    path: PathBuf,
    opener: Opener,
}

impl StagedFile {
    /// Its bytes.
    pub const fn size(&self) -> u64 {
        self.opener.size
    }

    /// What sends it, as long as this is not dropped; name, type and the rest are to be added.
    pub fn attachment(&self) -> NewAttachment {
        let key = Secret::new(&Zeroizing::new(hex::encode(*self.opener.key)));
        NewAttachment {
            path: self.path.to_string_lossy().into_owned(),
            sealed: Some(Sealed { key, size: self.opener.size }),
            ..NewAttachment::default()
        }
    }

    /// All of its content. For files that fit into memory: see to that before, by [`Self::size`].
    ///
    /// # Errors
    /// What the disk says, or that it is damaged.
    pub fn content(&self) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let reading = || FileError::io("read", &self.path);
        let disk = DiskFile::open(&self.path).map_err(reading())?;
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(self.size()).unwrap_or(0)));
        StagedReader::new(disk, &self.opener).read_to_end(&mut content).map_err(reading())?;
        Ok(content)
    }

    #[cfg(test)]
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    // What cannot be removed now is cleared away later, and says nothing to anybody.
    let _ = std::fs::remove_file(path);
}

impl std::fmt::Debug for StagedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StagedFile({} bytes)", self.opener.size)
    }
}

/// Reads the content of a file that was kept aside. All of it, or an error: its end is proved, too.
pub(super) struct StagedReader {
    disk: DiskFile,
    decryptor: Option<StreamDecryptor>,
    content: Zeroizing<Vec<u8>>,
    read: usize,
}

impl StagedReader {
    pub(super) fn new(disk: DiskFile, opener: &Opener) -> Self {
        let decryptor = Some(StreamDecryptor::new(&opener.key));
        Self { disk, decryptor, content: Zeroizing::default(), read: 0 }
    }

    /// Gets more content; whether there was more of the file.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(decryptor) = &mut self.decryptor else { return Ok(false) };
        self.content.clear();
        self.read = 0;
        let mut piece = [0; PIECE];
        let read = self.disk.read(&mut piece)?;
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if read > 0 {
            let piece = piece.get(..read).unwrap_or_default();
            decryptor.update(piece, &mut self.content).map_err(damaged)?;
            return Ok(true);
        }
        if let Some(decryptor) = self.decryptor.take() {
            decryptor.finish(&mut self.content).map_err(damaged)?;
        }
        Ok(true)
    }
}

impl Read for StagedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.read == self.content.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let rest = self.content.get(self.read..).unwrap_or_default();
        let now = rest.len().min(out.len());
        for (to, from) in out.iter_mut().zip(rest) {
            *to = *from;
        }
        self.read += now;
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{DataDir, ProfileName};

    fn place() -> (tempfile::TempDir, Profile) {
        let dir = tempfile::tempdir().unwrap();
        let profile = DataDir::new(dir.path()).profile(&ProfileName::new("p").unwrap());
        std::fs::create_dir_all(profile.dir()).unwrap();
        (dir, profile)
    }

    fn in_folder(profile: &Profile) -> usize {
        std::fs::read_dir(profile.dir().join("staged")).map_or(0, Iterator::count)
    }

    fn staged(profile: &Profile, content: &[u8]) -> StagedFile {
        let mut staging = Staging::begin(profile, content.len() as u64).unwrap();
        for piece in content.chunks(7_001) {
            staging.write(piece).unwrap();
        }
        staging.finish().unwrap()
    }

    #[test]
    fn what_was_handed_over_comes_out_again_lies_encrypted_and_goes_with_its_handle() {
        let (_dir, profile) = place();
        for size in [0, 1, 32_767, 300_000] {
            let content: Vec<u8> = (0..size).map(|n: usize| (n * 7 % 251) as u8).collect();
            let file = staged(&profile, &content);
            assert!(*file.content().unwrap() == content, "{size}");
            let lies = std::fs::read(file.path()).unwrap();
            let start = content.get(..64).unwrap_or(&[0xff; 64]);
            assert!(!lies.windows(64).any(|window| window == start), "it is encrypted");
            assert_eq!(in_folder(&profile), 1);
            drop(file);
            assert_eq!(in_folder(&profile), 0);
        }
    }

    #[test]
    fn of_a_file_that_is_not_what_was_announced_nothing_stays() {
        let (_dir, profile) = place();
        let mut short = Staging::begin(&profile, 100).unwrap();
        short.write(&[1; 99]).unwrap();
        assert!(matches!(short.finish(), Err(FileError::Changed(_))));
        let mut long = Staging::begin(&profile, 100).unwrap();
        assert!(matches!(long.write(&[1; 101]), Err(FileError::Changed(_))));
        drop(long);
        drop(Staging::begin(&profile, 5_000_000).unwrap());
        assert_eq!(in_folder(&profile), 0);
        assert!(matches!(Staging::begin(&profile, MAX_FILE + 1), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn one_that_was_damaged_meanwhile_is_not_handed_out() {
        let (_dir, profile) = place();
        let file = staged(&profile, &[5; 40_000]);
        let mut lies = std::fs::read(file.path()).unwrap();
        lies.truncate(lies.len() - 1);
        std::fs::write(file.path(), lies).unwrap();
        assert!(file.content().is_err());
    }
}
