//! What operating systems do each in their own way: private files, locks, syncing of directories,
//! local sockets' paths. The rest of the crate assumes nothing of this.
//!
//! Unix is implemented. Elsewhere the crate does not compile yet, rather than keep secrets in files
//! that others can read.

#[cfg(not(unix))]
compile_error!(
    "conclave-client keeps its secrets in files only their owner can read, which is written for Unix so far; \
     another system needs its own version of src/profile/os.rs"
);

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use conclave_crypto::hash::blake2b_256;

/// Paths of Unix sockets longer than this are refused by some system (macOS: 104 bytes with the
/// final NUL, Linux: 108).
const MAX_SOCKET_PATH: usize = 103;

/// Makes a directory that only its owner can look into, and its parents.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a new file only its owner can read, with this content, and brings it to the disk.
pub(super) fn create_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes a file only its owner can read so that a reader sees the old content or the new.
pub(super) fn replace_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other("the path has no directory"))?;
    create_private_dir(dir)?;
    // A name of this process's, so that two that write at once do not mix.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_private_file(&beside, content)?;
    std::fs::rename(&beside, path)
}

/// Opens a lock file, making it if there is none.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Brings the names in a directory to the disk.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Where the owner of the profile in `dir` listens: `dir/socket`, or, where that is too long for a
/// socket, a name made from it in a directory of this user's among the temporary files.
pub(super) fn socket_path(dir: &Path) -> PathBuf {
    let usual = dir.join("socket");
    if usual.as_os_str().len() <= MAX_SOCKET_PATH {
        return usual;
    }
    // The same for every spelling of the path, as far as the system can say.
    let full = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let digest = blake2b_256(&[b"conclave socket path v1", full.as_os_str().as_bytes()]);
    let name = hex::encode(digest.get(..16).unwrap_or_default());
    short_socket_dir(dir).join(name)
}

/// Makes the directory of a socket that is not in its profile `dir`. Refuses one that somebody else
/// prepared.
pub(super) fn prepare_socket_dir(dir: &Path, socket: &Path) -> io::Result<()> {
    if socket.parent() == Some(dir) {
        return Ok(());
    }
    let short = short_socket_dir(dir);
    match DirBuilder::new().mode(0o700).create(&short) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(&short)?;
    let private = found.permissions().mode() & 0o077 == 0;
    if found.is_dir() && private && Some(found.uid()) == owner(dir) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} is not a directory of this user's alone", short.display()),
    ))
}

/// Whether others than the owner can read it.
pub(super) fn is_private(path: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

/// Takes everybody else's rights away.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o700;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn short_socket_dir(dir: &Path) -> PathBuf {
    // Not TMPDIR, which may differ between two programs that have to find each other.
    Path::new("/tmp").join(format!("conclave-{}", owner(dir).unwrap_or_default()))
}

/// Lets nobody but the owner use a socket.
pub(super) fn make_socket_private(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Whether the program at the other end of a local connection runs for the user who owns `path`.
pub(super) fn is_owner_of(stream: &tokio::net::UnixStream, path: &Path) -> bool {
    match (stream.peer_cred(), owner(path)) {
        (Ok(peer), Some(owner)) => peer.uid() == owner,
        _ => false,
    }
}

/// The user a profile belongs to.
fn owner(dir: &Path) -> Option<u32> {
    std::fs::metadata(dir).ok().map(|found| found.uid())
}
