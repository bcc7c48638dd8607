//! One profile, several programs: the owner, and those attached to it through the local socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
use conclave_client::types::{Event, MessageState};
use conclave_client::{ClientOptions, ExitClass, Session, accounts};
use conclave_crypto::AccountId;
use conclave_proto::network::NetworkFile;
use serde_json::{Value, json};

/// A network whose one seed does not answer: sessions work without it.
fn network(id: &str) -> NetworkFile {
    let key = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";
    let file = json!({
        "network_id": id, "registry_key": key,
        "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
        "seeds": [{"url": "https://127.0.0.1:9/json_rpc", "pubkey_ed25519": key}],
    });
    NetworkFile::from_json(file.to_string().as_bytes()).unwrap()
}

struct Place {
    data_dir: DataDir,
    profile: ProfileName,
    _dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let profile = ProfileName::new("p").unwrap();
        accounts::create(&data_dir, &profile, "P", &Protection::KeyFile, Some(&network("one"))).unwrap();
        Self { data_dir, profile, _dir: dir }
    }

    async fn open(&self) -> Result<Session, conclave_client::Error> {
        let options = ClientOptions { online: false, ..ClientOptions::default() };
        Session::open(&self.data_dir, &self.profile, &Unlock::KeyFile, &options).await
    }

    fn socket(&self) -> UnixStream {
        let stream = UnixStream::connect(self.data_dir.profile(&self.profile).socket_path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }
}

fn ask(stream: &UnixStream, line: &[u8]) -> Option<Value> {
    (&*stream).write_all(line).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    (!answer.is_empty()).then(|| serde_json::from_str(&answer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_attaches_and_everything_works_the_same() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let other = place.open().await.unwrap();
    assert!(owner.is_owner() && !other.is_owner());
    assert_eq!(owner.account().await.unwrap(), other.account().await.unwrap());

    let mut events = other.events().await.unwrap();
    let queued = owner.send_text("me", "a note").await.unwrap();
    match events.recv().await.unwrap() {
        Event::Message(message) => assert_eq!(message, queued),
        other => panic!("{other:?}"),
    }
    let state = other.wait_for(&queued.id, MessageState::Stored, Duration::ZERO).await.unwrap();
    assert_eq!(state.state, MessageState::Queued);
    assert_eq!(other.history("me", 10).await.unwrap(), owner.history("me", 10).await.unwrap());
    assert_eq!(other.status().await.unwrap().queued, 1);

    // Errors read the same on both sides.
    for session in [&owner, &other] {
        let error = session.send_text("nobody", "x").await.unwrap_err();
        assert_eq!((error.kind(), error.exit()), ("unknown_recipient", ExitClass::Usage));
        assert!(!error.hint().is_empty());
    }
    let back = other.take_back(&queued.id).await.unwrap();
    assert_eq!(back.state, MessageState::Failed);
    other.close().await;
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owner_ends_the_attached_say_so_and_the_next_one_owns() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let other = place.open().await.unwrap();
    let mut events = other.events().await.unwrap();
    owner.close().await;
    while events.recv().await.is_ok() {}
    assert_eq!(other.account().await.unwrap_err().kind(), "owner_unreachable");
    let next = place.open().await.unwrap();
    assert!(next.is_owner());
    next.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_program_that_means_another_network_is_refused() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    for (id, fits) in [("one", true), ("two", false)] {
        let options = ClientOptions { network: Some(network(id)), online: false, ..ClientOptions::default() };
        let opened = Session::open(&place.data_dir, &place.profile, &Unlock::KeyFile, &options).await;
        match opened {
            Ok(session) => {
                assert!(fits);
                session.close().await;
            }
            Err(error) => {
                assert!(!fits, "{error}");
                assert_eq!(error.kind(), "other_network");
            }
        }
    }
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_lines_end_in_an_error_and_harm_nobody() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let checked = tokio::task::block_in_place(|| {
        for (line, code) in [
            (&b"no json\n"[..], -32700),
            (b"[]\n", -32602),
            (b"{}\n", -32602),
            (b"{\"id\":1,\"method\":\"nothing\"}\n", -32602),
            (b"{\"id\":1,\"method\":\"send\",\"params\":{\"to\":5}}\n", -32602),
            (b"{\"id\":1,\"method\":\"shutdown\"}\n", -32602),
            (b"{\"id\":1,\"method\":\"send\",\"params\":{\"to\":\"x\",\"text\":\"y\"}}\n", -32000),
        ] {
            let answer = ask(&place.socket(), line).unwrap();
            assert_eq!(answer["error"]["code"], code, "{answer}");
        }
        // A line without end is cut off, not collected.
        let stream = place.socket();
        let endless = vec![b'x'; 2 * 1024 * 1024];
        let _ = (&stream).write_all(&endless);
        let mut answer = String::new();
        let read = BufReader::new(&stream).read_line(&mut answer);
        assert!(read.is_err() || answer.contains("-32700") || answer.is_empty(), "{answer}");
        true
    });
    assert!(checked);
    assert_eq!(owner.account().await.unwrap().name, "P");
    let other = place.open().await.unwrap();
    assert_eq!(other.account().await.unwrap().name, "P");
    owner.close().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let profile = place.data_dir.profile(&place.profile);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&profile.socket_path()), 0o600);
    assert_eq!(mode(&profile.dir()), 0o700);
    owner.close().await;
    assert!(!profile.socket_path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_longer_than_any_request_reaches_an_attached_program() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let other = place.open().await.unwrap();
    // Four bytes a character: together more than the longest request.
    let text = "\u{1F980}".repeat(2_000);
    let client = owner.client().unwrap();
    let own = AccountId::from_hex(&client.account().await.unwrap().account_id).unwrap();
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..140 {
        let (client, text) = (client.clone(), text.clone());
        sends.spawn(async move { client.send_text(&own, &text).await.unwrap() });
    }
    sends.join_all().await;
    assert_eq!(other.history("me", 1_000).await.unwrap().len(), 140);
    assert_eq!(other.account().await.unwrap().name, "P", "the connection still works");
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_heard_once_however_often_one_subscribes() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let other = place.open().await.unwrap();
    let mut first = other.events().await.unwrap();
    let mut second = other.events().await.unwrap();
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(owner.send_text("me", text).await.unwrap());
    }
    for events in [&mut first, &mut second] {
        let mut heard = Vec::new();
        while heard.len() < sent.len() {
            if let Event::Message(message) = events.recv().await.unwrap() {
                heard.push(message);
            }
        }
        assert_eq!(heard, sent);
    }
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_right_after_subscribing_is_heard() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    for _ in 0..50 {
        let other = place.open().await.unwrap();
        let mut events = other.events().await.unwrap();
        let sent = owner.send_text("me", "now").await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(20), events.recv()).await;
        assert_eq!(heard.expect("the event was missed").unwrap(), Event::Message(sent));
    }
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_dropped_lets_go_of_its_profile() {
    let place = Place::new();
    let options = ClientOptions::default();
    let dropped = Session::open(&place.data_dir, &place.profile, &Unlock::KeyFile, &options).await.unwrap();
    assert!(dropped.is_owner());
    drop(dropped);
    // Tasks that were in the middle of something may take a moment; opening waits for them.
    let next = place.open().await.unwrap();
    assert!(next.is_owner());
    next.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_answer_is_named_and_not_waited_for_for_ever() {
    let place = Place::new();
    let profile = place.data_dir.profile(&place.profile);
    // It holds the profile and takes connections, and that is all it does.
    let _owned = profile.open(&Unlock::KeyFile).unwrap();
    profile.prepare_socket_dir().unwrap();
    let _stuck = std::os::unix::net::UnixListener::bind(profile.socket_path()).unwrap();
    let error = place.open().await.unwrap_err();
    assert_eq!((error.kind(), error.exit()), ("owner_unreachable", ExitClass::Failed));
}
