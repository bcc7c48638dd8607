//! Builds the page in `web/` and puts its files into the program.
//!
//! With Node.js: a copy of `web/` in the build directory gets its packages (`npm ci`, only when the lock file changed) and is
//! built there; the source tree is not touched. Without it, or when the packages cannot be had, the program is built without
//! the page and says so; the next build looks again.
//!
//! `CONCLAVE_NO_PAGE=1` leaves the page out, for quick work on Rust code. `CONCLAVE_NEED_PAGE=1` fails without it.
#![allow(missing_docs)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Of `web/`, what is no part of the page.
const NOT_COPIED: &[&str] =
    &["node_modules", "dist", "e2e", "mock", "network", "tests", ".svelte-kit", "README.md"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let crate_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    for name in ["CONCLAVE_NO_PAGE", "CONCLAVE_NEED_PAGE"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=pack.mjs");
    let left_out = if is_set("CONCLAVE_NO_PAGE") {
        Some("It was left out on purpose (CONCLAVE_NO_PAGE). Build again without that.".to_owned())
    } else {
        match page(&crate_dir, &out)? {
            Ok(()) => None,
            Err(reason) => {
                println!("cargo:warning=built without the page. {reason}");
                // A file that is never there: the next build tries again.
                println!("cargo:rerun-if-changed=page-is-missing");
                Some(reason)
            }
        }
    };
    match left_out {
        Some(reason) if is_set("CONCLAVE_NEED_PAGE") => Err(reason.into()),
        Some(reason) => {
            let assets =
                format!("const ASSETS: &[Asset] = &[];\nconst MISSING: Option<&str> = Some({reason:?});\n");
            Ok(fs::write(out.join("assets.rs"), assets)?)
        }
        None => Ok(()),
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Builds the page; the inner error is why it cannot be built on this machine. A page with mistakes fails the build.
fn page(crate_dir: &Path, out: &Path) -> Result<Result<(), String>, Box<dyn Error>> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    for tool in ["node", npm] {
        let there = Command::new(tool).arg("--version").output();
        if !there.is_ok_and(|output| output.status.success()) {
            return Ok(Err(format!("Install Node.js (with npm) and build again: {tool} was not found.")));
        }
    }
    let (web, copy) = (crate_dir.join("web"), out.join("web"));
    for entry in fs::read_dir(&copy).into_iter().flatten().flatten() {
        // Packages take long to get; everything else may have been renamed or removed since.
        if entry.file_name() != "node_modules" {
            remove(&entry.path())?;
        }
    }
    copy_tree(&web, &copy, true)?;
    if let Err(reason) = packages(npm, &copy, out)? {
        return Ok(Err(reason));
    }
    run(Command::new(npm).args(["run", "build"]).current_dir(&copy))?;
    run(Command::new("node").arg(crate_dir.join("pack.mjs")).arg(copy.join("dist")).arg(out))?;
    Ok(Ok(()))
}

/// Gets the packages the page is built with, if the list of them is another than last time.
fn packages(npm: &str, copy: &Path, out: &Path) -> Result<Result<(), String>, Box<dyn Error>> {
    let wanted = fs::read(copy.join("package-lock.json"))?;
    let got = out.join("packages-lock.json");
    if copy.join("node_modules").exists() && fs::read(&got).is_ok_and(|got| got == wanted) {
        return Ok(Ok(()));
    }
    // Programs of the packages are not run: nothing needs them, and they are not ours.
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    let output = Command::new(npm).args(options).current_dir(copy).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("npm ci failed");
        return Ok(Err(format!(
            "Its JavaScript packages could not be had; build again when npm reaches them. ({first})"
        )));
    }
    fs::write(got, wanted)?;
    Ok(Ok(()))
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("the page has mistakes: {command:?}\n{out}\n{err}").into())
}

fn copy_tree(from: &Path, to: &Path, top: bool) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if top && NOT_COPIED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if top {
            println!("cargo:rerun-if-changed={}", entry.path().display());
        }
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to.join(name), false)?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        fs::remove_dir_all(path)?
    } else {
        fs::remove_file(path)?
    }
    Ok(())
}
