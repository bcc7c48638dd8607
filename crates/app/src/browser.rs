//! Starting the browser without telling anybody else: the code is in a file that only its owner can read, and the file is what
//! the browser is started with. It leads on to the page, and is removed when the code is used or expired.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rand_core::{OsRng, RngCore as _};

use crate::os;

/// Names of these files; no other begins like this.
const PREFIX: &str = "open-";
/// A program that opens browsers ends soon if it cannot. A browser itself may run on.
const FAILS_WITHIN: Duration = Duration::from_secs(3);

/// Why no browser was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBrowser {
    /// There is no screen to show one on.
    NoDisplay,
    /// No program that opens one was found, or none could.
    NotFound,
    /// The file it is started with could not be written.
    NoFile,
}

impl std::fmt::Display for NoBrowser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoDisplay => "there is no display to open a browser on",
            Self::NotFound => "no browser could be started (BROWSER can name one)",
            Self::NoFile => "the file that leads a browser to the page could not be written",
        })
    }
}

impl std::error::Error for NoBrowser {}

/// A file that leads a browser on. It is removed when this is dropped.
pub(crate) struct RedirectFile(PathBuf);

impl RedirectFile {
    /// Writes it in `dir`, which becomes this user's alone. What an earlier run left there is removed.
    pub(crate) fn write(dir: &Path, link: &str) -> std::io::Result<Self> {
        os::private_dir(dir)?;
        for old in std::fs::read_dir(dir)?.flatten() {
            if old.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
                let _ = std::fs::remove_file(old.path());
            }
        }
        let mut name = [0; 8];
        OsRng.fill_bytes(&mut name);
        let path = dir.join(format!("{PREFIX}{}.html", hex::encode(name)));
        let mut file = os::private_file(&path)?;
        let file_guard = Self(path);
        // The link is made of digits and letters only: nothing in it needs to be escaped.
        write!(
            file,
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\n\
             <meta http-equiv=\"refresh\" content=\"0;url={link}\"><title>Conclave</title>\n\
             <p><a href=\"{link}\">Open Conclave</a></p></html>\n"
        )?;
        Ok(file_guard)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RedirectFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Starts a browser with a file: the one that is named, or the one the system opens pages with.
pub(crate) async fn start(named: Option<&OsStr>, file: &Path) -> Result<(), NoBrowser> {
    let named = named.filter(|value| !value.is_empty());
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if named.is_none() && !screen && cfg!(all(unix, not(target_os = "macos"))) {
        return Err(NoBrowser::NoDisplay);
    }
    for command in commands(named, file) {
        if started(&command).await {
            return Ok(());
        }
    }
    Err(NoBrowser::NotFound)
}

/// The commands to try, in order. Several may be named, separated by colons; `%s` in one stands for the file.
fn commands(named: Option<&OsStr>, file: &Path) -> Vec<Vec<OsString>> {
    let mut commands = Vec::new();
    for command in named.and_then(OsStr::to_str).unwrap_or_default().split(':') {
        let mut words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
        if words.is_empty() {
            continue;
        }
        match words.iter_mut().find(|word| *word == "%s") {
            Some(word) => *word = file.into(),
            None => words.push(file.into()),
        }
        commands.push(words);
    }
    commands.extend(["xdg-open", "open"].map(|opener| vec![opener.into(), file.into()]));
    commands
}

async fn started(command: &[OsString]) -> bool {
    let Some((program, arguments)) = command.split_first() else { return false };
    let quiet = || Stdio::null();
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .spawn();
    let Ok(mut child) = child else { return false };
    match tokio::time::timeout(FAILS_WITHIN, child.wait()).await {
        Ok(ended) => ended.is_ok_and(|status| status.success()),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "http://127.0.0.1:4711/#code=0123456789abcdef";

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_the_file_and_it_goes_with_its_use() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("app");
        let file = RedirectFile::write(&dir, LINK).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(file.path())), (0o700, 0o600));
        assert!(std::fs::read_to_string(file.path()).unwrap().contains(LINK));
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("open-00.html"), "old").unwrap();
        std::fs::write(dir.path().join("notes.html"), "mine").unwrap();
        let file = RedirectFile::write(dir.path(), LINK).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(names.len() == 2 && names.contains(&file.path().to_owned()), "{names:?}");
    }

    #[test]
    fn no_command_holds_the_code() {
        let file = Path::new("/data/app/open-1.html");
        let named = OsStr::new("firefox --new-window %s:lynx");
        let commands = commands(Some(named), file);
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let path = "/data/app/open-1.html";
        assert_eq!(
            commands,
            [
                words(&["firefox", "--new-window", path]),
                words(&["lynx", path]),
                words(&["xdg-open", path]),
                words(&["open", path])
            ]
        );
    }
}
