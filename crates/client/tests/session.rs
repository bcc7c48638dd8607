//! One profile, several programs: the owner, and those attached to it through the local socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
use conclave_client::types::{Event, MessageState};
use conclave_client::{Account, ClientOptions, ExitClass, accounts};
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

    async fn open(&self) -> Result<Account, conclave_client::Error> {
        let options = ClientOptions { online: false, ..ClientOptions::default() };
        Account::open(&self.data_dir, &self.profile, &Unlock::KeyFile, &options).await
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
    assert_eq!(owner.info().await.unwrap(), other.info().await.unwrap());

    let mut events = other.events().await.unwrap();
    let queued = owner.send_text("me", "a note").await.unwrap();
    match events.next().await.unwrap() {
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
    while events.next().await.is_some() {}
    assert_eq!(other.info().await.unwrap_err().kind(), "owner_unreachable");
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
        let opened = Account::open(&place.data_dir, &place.profile, &Unlock::KeyFile, &options).await;
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
            (b"[]\n", -32600),
            (b"{}\n", -32600),
            (b"17\n", -32600),
            (b"{\"id\":1,\"method\":\"nothing\"}\n", -32601),
            (b"{\"id\":1,\"method\":5}\n", -32600),
            (b"{\"id\":1,\"jsonrpc\":\"1.0\",\"method\":\"chats\"}\n", -32600),
            (b"{\"id\":1,\"method\":\"chats\",\"params\":[\"x\"]}\n", -32602),
            (b"{\"id\":1,\"method\":\"wait_until_sent\",\"params\":{\"timeout\":5}}\n", -32602),
            (b"{\"id\":1,\"method\":\"send\",\"params\":{\"to\":5}}\n", -32602),
            (b"{\"id\":{},\"method\":\"account\"}\n", -32600),
            (b"{\"id\":[1],\"method\":\"account\"}\n", -32600),
            (b"{\"id\":true,\"method\":\"account\"}\n", -32600),
            (b"{\"id\":1.5,\"method\":\"account\"}\n", -32600),
            (b"{\"id\":123456789012345678901234567890,\"method\":\"account\"}\n", -32600),
            (b"{\"id\":1,\"method\":\"shutdown\"}\n", -32601),
            (b"{\"id\":1,\"method\":\"send\",\"params\":{\"to\":\"x\",\"text\":\"y\"}}\n", -32000),
        ] {
            let answer = ask(&place.socket(), line).unwrap();
            assert_eq!(answer["error"]["code"], code, "{answer}");
        }
        // An id that is taken comes back as it was, to the last digit.
        for id in ["18446744073709551615", "-9223372036854775808", "\"a\"", "null"] {
            let answer =
                ask(&place.socket(), format!("{{\"id\":{id},\"method\":\"account\"}}\n").as_bytes()).unwrap();
            assert_eq!(answer["id"].to_string(), id, "{answer}");
            assert_eq!(answer["result"]["name"], "P", "{answer}");
        }
        let answer =
            ask(&place.socket(), b"{\"id\":1,\"method\":\"send\",\"params\":{\"to\":5,\"text\":\"x\"}}\n")
                .unwrap();
        assert_eq!(answer["error"]["message"], "`to` of send is a text");
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
    assert_eq!(owner.info().await.unwrap().name, "P");
    let other = place.open().await.unwrap();
    assert_eq!(other.info().await.unwrap().name, "P");
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_program_too_many_is_told_so_and_when_to_come_again() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let taken: Vec<_> = (0..64)
        .map(|_| {
            let stream = place.socket();
            // Answered, so it has its place.
            assert!(
                tokio::task::block_in_place(|| ask(&stream, b"{\"id\":1,\"method\":\"account\"}\n"))
                    .is_some()
            );
            stream
        })
        .collect();
    let said = tokio::task::block_in_place(|| {
        let mut answer = String::new();
        BufReader::new(place.socket()).read_line(&mut answer).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    });
    assert_eq!(said["error"]["data"]["kind"], "too_many_programs", "{said}");
    assert!(said["error"]["data"]["hint"].as_str().unwrap().contains("try again when"), "{said}");
    let error = place.open().await.unwrap_err();
    assert_eq!((error.kind(), error.exit()), ("too_many_programs", ExitClass::Failed), "{error}");
    drop(taken);
    // With places that are free again it attaches, as soon as the owner has seen that they are.
    let other = place.open().await.unwrap();
    assert!(!other.is_owner());
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_network_file_or_no_invitation_is_refused_as_such() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let ask = |method: &str, params: Value| {
        let call = conclave_client::rpc::call(method, params).unwrap();
        owner.answer(call)
    };
    for file in ["", "{}", "no json"] {
        let error = ask("check_network", json!({"file": file})).await.unwrap_err();
        assert_eq!((error.kind(), error.exit()), ("bad_network_file", ExitClass::Usage), "{error}");
        assert!(error.to_string().contains("network file"), "{error}");
    }
    for url in
        ["", "ftp://example.org/x", "javascript:alert(1)", "example.org/x", "https://", "file:///etc/passwd"]
    {
        let params = json!({"to": "me", "text": "", "invitation": {"url": url, "name": "Room"}});
        let error = ask("send", params).await.unwrap_err();
        assert_eq!((error.kind(), error.exit()), ("not_allowed", ExitClass::Usage), "{url}: {error}");
    }
    for url in ["https://example.org/x?public_key=aa", "http://example.org:8080/x", "HTTPS://example.org/x"] {
        let params = json!({"to": "me", "text": "", "invitation": {"url": url, "name": "Room"}});
        assert!(ask("send", params).await.is_ok(), "{url}");
    }
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_come_alone_in_batches_or_as_notifications() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let checked = tokio::task::block_in_place(|| {
        let stream = place.socket();
        // A notification is done and not answered; the answer that comes is the next request's.
        (&stream)
            .write_all(b"{\"method\":\"set_draft\",\"params\":{\"chat\":\"me\",\"text\":\"x\"}}\n")
            .unwrap();
        (&stream).write_all(b"{\"method\":\"no_such\"}\n").unwrap();
        let answer =
            ask(&stream, b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"account\",\"params\":{}}\n")
                .unwrap();
        assert_eq!((&answer["id"], &answer["result"]["name"]), (&"a".into(), &"P".into()), "{answer}");

        let batch = b"[{\"id\":1,\"method\":\"account\"},{\"method\":\"chats\"},{\"id\":2,\"method\":\"contacts\"},5]\n";
        let answers = ask(&stream, batch).unwrap();
        let ids: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(ids, [1.into(), 2.into(), Value::Null], "{answers}");
        let long = format!("[{}]\n", vec!["{}"; 101].join(","));
        assert_eq!(ask(&stream, long.as_bytes()).unwrap()["error"]["code"], -32600);
        // Nothing but notifications: nothing to answer, so the next answer is again the next request's.
        (&stream).write_all(b"[{\"method\":\"chats\"}]\n").unwrap();
        assert_eq!(
            ask(&stream, b"{\"id\":9,\"method\":\"draft\",\"params\":{\"chat\":\"me\"}}\n").unwrap()["id"],
            9
        );
        true
    });
    assert!(checked);
    assert_eq!(owner.draft("me").await.unwrap().text, "x");
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_not_named_stay() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    let change = |change: serde_json::Value| {
        conclave_client::session::Call::SetSettings(serde_json::from_value(change).unwrap())
    };
    owner
        .answer(change(serde_json::json!({"typing": true, "preview_proxy": "127.0.0.1:9050"})))
        .await
        .unwrap();
    owner.answer(change(serde_json::json!({"read_receipts": true}))).await.unwrap();
    let settings = owner.settings().await.unwrap();
    assert!(settings.typing && settings.read_receipts && settings.delivery_receipts);
    owner.answer(change(serde_json::json!({"preview_proxy": ""}))).await.unwrap();
    assert_eq!(owner.settings().await.unwrap().preview_proxy, None);
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
    assert_eq!(other.info().await.unwrap().name, "P", "the connection still works");
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
            if let Event::Message(message) = events.next().await.unwrap() {
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
        let heard = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
        assert_eq!(heard.expect("the event was missed").unwrap(), Event::Message(sent));
    }
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_dropped_lets_go_of_its_profile() {
    let place = Place::new();
    let options = ClientOptions::default();
    let dropped = Account::open(&place.data_dir, &place.profile, &Unlock::KeyFile, &options).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_read_is_not_answered_without_end() {
    let place = Place::new();
    let owner = place.open().await.unwrap();
    for number in 0..200 {
        owner.send_text("me", &format!("{number} {}", "x".repeat(1_900))).await.unwrap();
    }
    // Each answer has some 400 kB, so far fewer than the thousand that may wait by number.
    let owner = std::sync::Arc::new(owner);
    let (mut connection, answers) = conclave_client::rpc::Connection::new(std::sync::Arc::clone(&owner));
    let request = br#"{"id":1,"method":"history","params":{"chat":"me","limit":200}}"#;
    let mut taken = 0;
    while taken < 500
        && tokio::time::timeout(Duration::from_secs(5), connection.take(request.to_vec())).await.is_ok()
    {
        taken += 1;
    }
    assert!(taken < 100, "{taken} requests were taken in");
    drop((connection, answers));
    // Others are answered as ever.
    let other = place.open().await.unwrap();
    assert_eq!(other.info().await.unwrap().name, "P");
    drop(other);
    assert!(Account::close_shared(owner).await);
}
