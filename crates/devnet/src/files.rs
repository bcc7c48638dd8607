//! Files of a network: readable for the right people, whole at every moment, on the disk before anybody relies on them.

use std::path::Path;

use conclave_crypto::Ed25519Secret;

use crate::DevnetError;

/// Makes a folder that only its user can look into.
pub(crate) fn create_dir(path: &Path) -> Result<(), DevnetError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| DevnetError::Io { doing: "making", path: path.to_owned(), source })
}

/// The content of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DevnetError> {
    std::fs::read(path).map_err(|source| DevnetError::Io { doing: "reading", path: path.to_owned(), source })
}

/// The secret whose seed stands in a file as 64 hex digits.
pub(crate) fn read_secret(path: &Path) -> Result<Ed25519Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let seed: [u8; 32] = hex::decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("{} does not hold 64 hex digits", path.display()))?;
    Ok(Ed25519Secret::from_seed(&seed))
}

/// Writes a file so that a reader sees the old or the new content, never half of it, also after a power cut: when this
/// returns, the new content is on the disk under its name.
pub(crate) fn write_atomically(path: &Path, content: &[u8], secret: bool) -> Result<(), DevnetError> {
    use std::io::Write as _;
    let io = |source| DevnetError::Io { doing: "writing", path: path.to_owned(), source };
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    let unfinished = path.with_extension("new");
    let mut file = options.open(&unfinished).map_err(io)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io)?;
    drop(file);
    std::fs::rename(&unfinished, path).map_err(io)?;
    // The name is in the folder, which is a file of its own where it can be opened like one.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    Ok(())
}
