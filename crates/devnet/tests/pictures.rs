//! Pictures, voice messages and profile pictures, over real nodes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::devices::Device;
use common::in_process::InProcess;
use common::{Home, Net};
use conclave_client::types::NewAttachment;
use conclave_node::Hooks;
use conclave_testkit::personas;
use serde_json::Value;

/// A picture or recording that another program made; what must not be sent on has `of-a-secret` in it.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/tests/samples").join(name)
}

fn says(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Listens until the file of the next message is here; gives what is said of it, and its content.
fn heard_file(home: &Home, profile: &str) -> (Value, Vec<u8>) {
    let heard = home.run(&["listen", "--profile", profile, "--count", "1", "--timeout", "90"]).ok();
    let mut file = heard.lines().into_iter().filter_map(|line| {
        let file = line["attachments"].get(0)?.clone();
        let path = file["path"].as_str().map(PathBuf::from)?;
        Some((file, std::fs::read(path).unwrap()))
    });
    file.next_back().unwrap_or_else(|| panic!("no file came: {heard:#?}"))
}

#[test]
fn a_picture_arrives_without_its_place_and_a_voice_from_standard_input_is_heard() {
    let home = Home::new();
    let net = Net::start(&home, 10);
    let (_, bob) = home.acquainted();

    // The camera was held upright, so it is higher than wide.
    let place = [0, 0, 0, 52, 0, 0, 0, 1, 0, 0, 0, 30, 0, 0, 0, 1];
    let gps = sample("gps.jpg");
    let whole = std::fs::read(&gps).unwrap();
    assert!(says(&whole, &place) && says(&whole, b"of-a-secret"), "the sample says what is looked for");
    let gps = gps.to_str().unwrap();
    home.run(&["send", "--profile", "alice", "--attach", gps, &bob]).ok();
    let (file, content) = heard_file(&home, "bob");
    assert_eq!((&file["width"], &file["height"]), (&24.into(), &40.into()));
    assert_eq!((&file["content_type"], &file["name"]), (&"image/jpeg".into(), &"gps.jpg".into()));
    assert_eq!(file["size"].as_u64(), Some(content.len() as u64));
    assert!(!says(&content, &place) && !says(&content, b"of-a-secret") && !says(&content, b"2026:11:29"));
    assert!(conclave_media::preview(&content, 8).is_ok_and(|seen| seen.height == 8));

    home.run(&["send", "--profile", "alice", "--attach", gps, "--as-file", &bob]).ok();
    assert_eq!(heard_file(&home, "bob").1, whole, "as it is, if that is what was asked for");

    // What nobody can look into is not sent by accident.
    let heic = home.path().join("holiday.heic");
    std::fs::write(&heic, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    let refused =
        home.run(&["send", "--profile", "alice", "--attach", heic.to_str().unwrap(), &bob]).fails_with(2);
    assert_eq!(refused["kind"], "not_stripped");
    assert!(refused["hint"].as_str().unwrap().contains("--as-file"));

    let speak = |input: &Path| {
        let input = std::fs::File::open(input).unwrap();
        home.run_with(&["send", "--profile", "alice", "--voice", "-", &bob], |command| {
            command.stdin(Stdio::from(input));
        })
    };
    speak(&sample("studio.wav")).ok();
    let (voice, content) = heard_file(&home, "bob");
    assert_eq!((&voice["voice"], &voice["content_type"]), (&true.into(), &"audio/mpeg".into()));
    assert_eq!(voice["name"], "voice-message.mp3");
    let sound = conclave_media::listen(&content, 40).unwrap();
    assert!((1_000..1_100).contains(&sound.duration_ms) && !says(&content, b"of-a-secret"));
    let sent = home.run(&["history", "--profile", "alice", "--limit", "1", &bob]).ok().event("message");
    assert_eq!(sent["attachments"][0]["duration_ms"], 1_000, "its sender knows how long it is");
    assert_eq!(speak(&sample("gps.jpg")).fails_with(2)["kind"], "not_a_voice");
    net.stop();
}

/// Writes until the other side sees the picture as wanted: what profiles say counts in whole seconds, so a change within the second
/// of the last one is taken with a later message.
async fn told(from: &Device, to: &Device, wanted: impl Fn(&Option<String>) -> bool) {
    let telling = async {
        loop {
            from.says(to.id, "do you see me now?").await;
            let contacts = to.client.contacts(false).await.unwrap();
            if contacts.iter().any(|it| it.account_id == from.id.to_hex() && wanted(&it.picture)) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), telling).await.expect("it is seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_picture_is_seen_by_contacts_and_on_the_own_devices_and_not_fetched_from_strangers() {
    let net = InProcess::start(5, |_| Hooks::default()).await;
    let alice = Device::of(&net, personas::alice(), "alice", 1);
    let tablet = Device::of(&net, personas::alice(), "alice", 2);
    let bob = Device::of(&net, personas::bob(), "bob", 1);
    alice.says(bob.id, "hello bob").await;
    bob.reads(alice.id, "hello bob").await;

    let choose = |name: &str| NewAttachment {
        path: sample(name).to_str().unwrap().to_owned(),
        ..NewAttachment::default()
    };
    let refused = alice.client.set_picture(&choose("studio.wav")).await.unwrap_err();
    assert_eq!(refused.kind(), "not_a_picture");
    alice.client.set_picture(&choose("gps.jpg")).await.unwrap();
    let own = alice.client.picture(&alice.id, 600).await.unwrap().unwrap();
    assert_eq!((own.width, own.height), (24, 24), "its middle");
    assert!(!says(&own.bytes(), b"of-a-secret"));
    alice.sent().await;

    // The own other device has it from the documents, whose news is a profile that is different.
    let seen = tablet
        .until("the picture on the own second device", async |client| {
            client.account().await.unwrap().picture?;
            client.picture(&tablet.id, 600).await.unwrap()
        })
        .await;
    assert_eq!(seen, own);

    // Bob has not answered: to him, this is a stranger, whose picture he does not fetch.
    let said = alice.says(bob.id, "do you see me?").await;
    bob.reads(alice.id, "do you see me?").await;
    assert!(bob.client.picture(&alice.id, 600).await.unwrap().is_none());
    bob.client.accept(&alice.id).await.unwrap();
    let known = bob.knows(alice.id, "the picture of a contact", |contact| contact.picture.is_some()).await;
    let seen = bob.client.picture(&alice.id, 600).await.unwrap().unwrap();
    assert_eq!(seen, own);
    let line = bob.lists(alice.id, "the picture in the list", |line| line.picture.is_some()).await;
    assert_eq!(line.picture, known.picture);
    assert!(bob.client.picture(&alice.id, 8).await.unwrap().is_some_and(|small| small.width == 8));
    drop(said);

    // Another one, chosen on the other device, has another mark.
    tablet.client.set_picture(&choose("moving.gif")).await.unwrap();
    told(&tablet, &bob, |picture| picture.is_some() && *picture != known.picture).await;

    // None any more, also there where the first was chosen.
    tablet.client.remove_picture().await.unwrap();
    told(&tablet, &bob, Option::is_none).await;
    alice
        .until("no picture on the first device", async |client| {
            client.account().await.unwrap().picture.is_none().then_some(())
        })
        .await;
    for device in [alice, tablet, bob] {
        device.stop().await;
    }
    net.stop().await;
}
