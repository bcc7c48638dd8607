//! Targets of the decoders of client and node. Apart from the others, because these crates bring
//! SQLite and OpenSSL, which take long to build with instrumentation.

use conclave_client::said::Said;
use conclave_client::store::Opened;
use conclave_client::types::Event;
use conclave_client::{ErrorRecord, doors, session::Call};
use conclave_crypto::{Account, RecoveryPhrase, padding, session_protocol};
use conclave_node::NodeConfig;
use conclave_proto::Timestamp;
use conclave_proto::content::{Content, Envelope};

/// A target: its name and its body.
type Target = (&'static str, fn(&[u8]));

/// Every target of the shells.
pub const TARGETS: &[Target] = &[
    ("key_file", key_file),
    ("local_line", local_line),
    ("node_config", node_config),
    ("received_message", received_message),
];

/// Bytes found in one's mailbox: as they are, and as what someone sealed.
pub fn received_message(bytes: &[u8]) {
    let sender = Account::from_phrase(&RecoveryPhrase::from_seed16(&[0xa1; 16]));
    let receiver = Account::from_phrase(&RecoveryPhrase::from_seed16(&[0xb2; 16]));
    let _ = doors::open_message(&receiver, bytes);
    let sent_at = Timestamp(1_700_000_000_123);
    let seal = |plain: &[u8]| {
        let sealed =
            session_protocol::seal_deterministic(sender.ed25519(), receiver.x25519().public(), plain);
        Envelope::one_to_one(sent_at, sealed, [1; 64]).wrap()
    };
    for plain in [bytes.to_vec(), padding::pad_content(bytes)] {
        let content = Content::from_bytes(padding::unpad_content(&plain));
        match doors::open_message(&receiver, &seal(&plain)) {
            Opened::Heard(heard) => {
                assert_eq!((&heard.author, heard.sent_at), (sender.id(), sent_at));
                assert!(heard.sync_target.is_none(), "nobody else decides whose copy this is");
                if let Said::Post(post) | Said::Edit { post, .. } = &heard.said {
                    let (text, details) = (&post.text, &post.details);
                    assert!(text.chars().count() <= 10_000);
                    let is_shown =
                        !text.trim().is_empty() || !details.files.is_empty() || details.invitation.is_some();
                    assert!(is_shown, "an empty line is no message");
                }
            }
            Opened::Undecryptable => {
                let other_time = |c: &Content| c.sig_timestamp.is_some_and(|time| time != sent_at.0);
                assert!(content.as_ref().map_or(true, other_time), "good content of the right time is heard");
            }
            Opened::Own => panic!("nobody else speaks as the owner"),
        }
    }
}

/// What stands in a profile's `key.json`.
pub fn key_file(bytes: &[u8]) {
    let Some(key) = doors::open_key_file(bytes) else { return };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (text, check) = (key.to_hex(), hex(&key.check_value()));
    let written = serde_json::json!({ "kind": "file", "key": *text, "check": check }).to_string();
    assert_eq!(*doors::open_key_file(written.as_bytes()).unwrap().to_hex(), *text);
    let other = serde_json::json!({ "kind": "file", "key": check, "check": check }).to_string();
    assert!(doors::open_key_file(other.as_bytes()).is_none(), "key and check value belong together");
}

/// A line between the owner of a profile and who is attached to it, in either direction.
pub fn local_line(bytes: &[u8]) {
    if let Ok(call) = serde_json::from_slice::<Call>(bytes) {
        let written = serde_json::to_value(&call).unwrap();
        let again: Call = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written);
    }
    if let Ok(event) = serde_json::from_slice::<Event>(bytes) {
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
    }
    let _ = serde_json::from_slice::<ErrorRecord>(bytes);
}

/// The text of `node.toml`.
pub fn node_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = toml::from_str::<NodeConfig>(text) {
        assert_eq!(toml::from_str::<NodeConfig>(&config.to_toml()).unwrap(), config);
    }
}
