//! The page of the real program: who gets in with the link that `up` prints, and who sees it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::Home;

/// The arguments of all processes, which every user of the machine can read.
#[cfg(target_os = "linux")]
fn process_arguments() -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        all.push_str(&String::from_utf8_lossy(&arguments).replace('\0', " "));
        all.push('\n');
    }
    all
}

fn exchange(address: &str, origin: &str, code: &str) -> String {
    let host = address.strip_prefix("http://").unwrap();
    let body = format!("{{\"code\":\"{code}\"}}");
    let length = body.len();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /api/session HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_link_of_up_lets_in_once_and_is_in_no_process_s_arguments() {
    let home = Home::new();
    let mut up = home.start(&["up", "--no-open"]);
    let ready = up.until("ready");
    let link = ready["app"].as_str().unwrap();
    let (address, code) = link.split_once("/#code=").unwrap();
    assert_eq!(code.len(), 64);
    #[cfg(target_os = "linux")]
    {
        let arguments = process_arguments();
        assert!(arguments.contains("--no-open"), "the search itself finds what is there");
        assert!(!arguments.contains(code));
    }
    assert!(exchange(address, "http://evil.example", code).starts_with("HTTP/1.1 403"));
    let answer = exchange(address, address, code);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"secret\""), "{answer}");
    assert!(exchange(address, address, code).starts_with("HTTP/1.1 401"), "replayed");
    // The profiles are the page's, and other commands attach to them as ever.
    home.send("alice", "bob", "hello");
    assert_eq!(home.listen("bob", 1)[0]["text"], "hello");
    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn a_browser_is_started_without_the_code() {
    let home = Home::new();
    let seen = home.path().join("seen");
    let script = home.path().join("browser.sh");
    std::fs::write(&script, format!("echo \"$@\" > {0}; cat \"$1\" > {0}.html\n", seen.display())).unwrap();
    let mut up = home.start_with(&["up"], |command| {
        command.env("BROWSER", format!("sh {}", script.display()));
    });
    let ready = up.until("ready");
    let address = ready["app"].as_str().unwrap();
    assert!(!address.contains("code"), "{address}");
    let html = std::fs::read_to_string(seen.with_extension("html")).unwrap();
    let code = html.split("#code=").nth(1).unwrap()[..64].to_owned();
    let arguments = std::fs::read_to_string(&seen).unwrap();
    assert!(!arguments.contains(&code) && !arguments.contains("http"), "{arguments}");
    assert!(exchange(address, address, &code).starts_with("HTTP/1.1 200"));
    assert_eq!(up.interrupt(), Some(0));
}
