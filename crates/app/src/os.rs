//! Files and folders of one user alone, as each system makes them.

pub(crate) use imp::{others_can_read, private_dir, private_file};

#[cfg(unix)]
mod imp {
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    use std::path::Path;

    pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
    }

    /// A new file.
    pub(crate) fn private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    pub(crate) fn others_can_read(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
    }
}

#[cfg(not(unix))]
mod imp {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    /// The directory of a user's application data is theirs alone on these systems.
    pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    /// A new file.
    pub(crate) fn private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub(crate) fn others_can_read(_: &File) -> io::Result<bool> {
        Ok(false)
    }
}
