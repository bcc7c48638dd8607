//! How the browser is started: what is in its arguments, and what is left behind.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::Place;

/// A program that notes how it was started, and what it could read. It is given to a shell: a file that was just written may
/// still be open in a child of another test, and could then not be run.
fn browser(dir: &Path) -> OsString {
    let script = dir.join("browser");
    let text = format!(
        "for argument in \"$0\" \"$@\"; do echo \"$argument\"; done > {dir}/arguments\n\
         cat \"$1\" > {dir}/page\n",
        dir = dir.display()
    );
    std::fs::write(&script, text).unwrap();
    let mut command = OsString::from("sh ");
    command.push(script);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_is_in_a_private_file_and_in_no_argument_and_the_file_goes_with_it() {
    let place = Place::new().await;
    let dir = tempfile::tempdir().unwrap();
    place.app.open_browser(Some(&browser(dir.path()))).await.unwrap();
    let arguments = std::fs::read_to_string(dir.path().join("arguments")).unwrap();
    let page = std::fs::read_to_string(dir.path().join("page")).unwrap();
    let code = page.split("#code=").nth(1).unwrap()[..64].to_owned();
    assert!(code.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(!arguments.contains(&code) && !arguments.contains("http"), "{arguments}");
    let file = PathBuf::from(arguments.lines().nth(1).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert_eq!(place.exchange(&place.app.address(), &code).await.status, 200);
    let gone = async {
        while file.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the file goes when its code is used");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_while_its_code_is_unused_leaves_no_file() {
    let place = Place::new().await;
    let dir = tempfile::tempdir().unwrap();
    place.app.open_browser(Some(&browser(dir.path()))).await.unwrap();
    let arguments = std::fs::read_to_string(dir.path().join("arguments")).unwrap();
    let file = PathBuf::from(arguments.lines().nth(1).unwrap());
    assert!(file.exists());
    place.stop().await;
    let gone = async {
        while file.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the file goes with the program");
}
