//! Our client at the file servers of other programs: what they keep is fetched through paths, and where swarms keep no files,
//! files go there. The file server is a node of another network, whose files nobody in the client's own network knows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::devices::Device;
use common::in_process::InProcess;
use conclave_client::doors;
use conclave_client::types::{MessageId, NewAttachment, NewMessage};
use conclave_crypto::Ed25519Public;
use conclave_crypto::attachment::{legacy, stream};
use conclave_node::{Clock as _, NodeConfig, SystemClock};
use conclave_proto::Timestamp;
use conclave_proto::content::{AttachmentPointer, Content, DataMessage};
use conclave_proto::network::FileServer;
use conclave_testkit::personas;
use conclave_transport::Deadline;
use conclave_transport::https::{Address, Client as Http, Target, Trust};
use rand_core::OsRng;
use serde_json::Value;

/// A node of a network of its own, which is a file server.
struct Elsewhere {
    net: InProcess,
    at: SocketAddr,
    key: Ed25519Public,
}

impl Elsewhere {
    async fn start() -> Self {
        let net = InProcess::start_configured(1, |_, config| config.file_server_port = Some(0)).await;
        let (at, key) = (net.nodes[0].addresses().file_server.unwrap(), net.nodes[0].view().own().ed25519);
        Self { net, at, key }
    }

    /// Nodes of another network pass requests on to it.
    fn allow(&self, config: &mut NodeConfig) {
        config.proxy_allow = vec![self.at.to_string().parse().unwrap()];
    }

    /// Keeps a file, as another program brings it; gives its id.
    async fn keep(&self, blob: Vec<u8>) -> String {
        let target = Target { address: Address::Ip(self.at), host: None, trust: Trust::Nobody };
        let deadline = Deadline::after(Duration::from_secs(60));
        let answer = Http::new().post(&target, "/file", "", blob, deadline).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }
}

fn pointer(url: String, key: &[u8], digest: Option<[u8; 32]>, size: usize) -> AttachmentPointer {
    AttachmentPointer {
        id: 0,
        content_type: Some("text/plain".to_owned()),
        key: Some(key.to_vec()),
        size: Some(size as u32),
        digest: digest.map(|digest| digest.to_vec()),
        file_name: Some("theirs.txt".to_owned()),
        url: Some(url),
        ..AttachmentPointer::default()
    }
}

/// Sends a message with this file, as another program writes it; the message as it is heard.
async fn sent(from: &Device, to: &Device, number: u64, file: AttachmentPointer) -> MessageId {
    let text = format!("file {number}");
    let data = DataMessage { body: Some(text.clone()), attachments: vec![file], ..DataMessage::default() };
    let sent_at = Timestamp(SystemClock.now().0 + number);
    let content = Content::with_data(data, sent_at);
    doors::send_content(&from.client, &to.id, content, sent_at).await.unwrap();
    to.reads(from.id, &text).await.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_at_another_programs_file_server_is_fetched_through_a_path_or_it_is_said_why_not() {
    let server = Elsewhere::start().await;
    let net = InProcess::start_configured(5, |_, config| server.allow(config)).await;
    let (alice, bob) =
        (Device::of(&net, personas::alice(), "Alice", 1), Device::of(&net, personas::bob(), "Bob", 1));
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let size = content.len();
    let old = legacy::encrypt(&content, &mut OsRng);
    let id = server.keep(old.blob.clone()).await;
    let (key, digest) = (*old.key.as_bytes(), Some(old.digest));
    let (host, server_key) = (server.at, server.key.to_hex());
    let url = format!("http://{host}/file/{id}#p={server_key}");

    let message = sent(&alice, &bob, 1, pointer(url.clone(), &key, digest, size)).await;
    assert!(bob.fetches(alice.id, &message).await.unwrap() == content, "the older format");

    let account = conclave_crypto::Ed25519Secret::from_seed(&[3; 32]);
    let (stream_key, blob) = stream::encrypt(&account, stream::Domain::Attachment, &content).unwrap();
    let newer = server.keep(blob).await;
    let newer = format!("http://{host}/file/{newer}#p={server_key}&d");
    let message = sent(&alice, &bob, 2, pointer(newer, stream_key.as_bytes(), None, size)).await;
    assert!(bob.fetches(alice.id, &message).await.unwrap() == content, "the newer format");

    let mut other_key = key;
    other_key[0] ^= 1;
    other_key[40] ^= 1;
    let of = |url: String| pointer(url, &key, digest, size);
    let wrong_server = account.public().to_hex();
    for (number, (file, reason)) in (3..).zip([
        (
            of(format!("http://{host}/file/1234567890123#p={server_key}")),
            "does not have the file; it may have expired",
        ),
        (
            of(format!("http://{host}/file/1234567890123#p={wrong_server}")),
            "has another key than the message says",
        ),
        (of(format!("http://{host}/file/1234567890123")), "does not say the key of the file server"),
        (pointer(url.clone(), &key, digest, 10), "is too large"),
        (pointer(url.clone(), &other_key, digest, size), "the key does not open this file"),
        (pointer(url.clone(), &key, Some([7; 32]), size), "not the one the message announced"),
    ]) {
        let message = sent(&alice, &bob, number, file).await;
        let why = bob.fetches(alice.id, &message).await.unwrap_err();
        assert!(why.contains(reason) && why.ends_with("(Failed)"), "{reason}: {why}");
    }
    for device in [alice, bob] {
        device.stop().await;
    }
    net.stop().await;
    server.net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_swarms_keep_no_files_they_go_to_the_file_server_that_the_network_names() {
    let server = Elsewhere::start().await;
    let mut net = InProcess::start_configured(5, |_, config| {
        server.allow(config);
        config.max_chunk_bytes = 0;
    })
    .await;
    let (host, port) = (server.at.ip().to_string(), Some(server.at.port()));
    net.network.file_server = Some(FileServer { https: false, host, port, key: server.key });
    let devices = [
        Device::of(&net, personas::alice(), "Alice", 1),
        Device::of(&net, personas::alice(), "Alice", 2),
        Device::of(&net, personas::bob(), "Bob", 1),
    ];
    let [alice, tablet, bob] = &devices;
    let source = net.dir.path().join("report.txt");
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&source, &content).unwrap();
    let attached = |path: &std::path::Path| NewMessage {
        attachments: vec![NewAttachment {
            path: path.to_str().unwrap().to_owned(),
            ..NewAttachment::default()
        }],
        ..NewMessage::text(bob.id.to_hex(), "the report")
    };
    let sent = doors::send_message(&alice.client, &bob.id, attached(&source)).await.unwrap();
    for (device, chat) in [(bob, alice), (tablet, bob)] {
        let heard = device.reads(chat.id, "the report").await;
        assert_eq!((&heard.id, heard.attachments[0].name.as_deref()), (&sent.id, Some("report.txt")));
        assert!(device.fetches(chat.id, &heard.id).await.unwrap() == content, "{}", device.name);
    }

    // A profile picture as well.
    let face = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/samples/gps.jpg");
    let face = NewAttachment { path: face.to_owned(), ..NewAttachment::default() };
    alice.client.set_picture(&face).await.unwrap();
    bob.client.accept(&alice.id).await.unwrap();
    // Messages name it once it is there.
    let shows_itself = async {
        for number in 0.. {
            let text = format!("this is me {number}");
            alice.client.send_text(&bob.id, &text).await.unwrap();
            bob.reads(alice.id, &text).await;
            let contacts = bob.client.contacts(false).await.unwrap();
            if contacts.iter().any(|it| it.account_id == alice.id.to_hex() && it.picture.is_some()) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), shows_itself).await.expect("bob sees the picture");
    let seen = bob.client.picture(&alice.id, 600).await.unwrap();
    assert!(seen.is_some() && seen == alice.client.picture(&alice.id, 600).await.unwrap());
    tablet.until("the picture", async |client| client.account().await.unwrap().picture).await;

    let large = net.dir.path().join("large.bin");
    std::fs::File::create(&large).unwrap().set_len(9_800_001).unwrap();
    let refused = doors::send_message(&alice.client, &bob.id, attached(&large)).await.unwrap_err();
    assert_eq!(refused.kind(), "too_large");
    assert!(refused.to_string().contains("9800000"), "{refused}");
    assert_eq!(
        alice.client.status().await.unwrap().largest_file,
        9_800_000,
        "whoever chooses a file is told before"
    );
    for device in devices {
        device.stop().await;
    }
    net.stop().await;
    server.net.stop().await;
}
