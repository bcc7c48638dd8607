//! Every kind is read as the vectors say, and what is written is read again.

use conclave_crypto::{Account, RecoveryPhrase};
use conclave_testkit::personas::{self, Persona};
use conclave_testkit::vectors;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_123);

fn id(persona: Persona) -> AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&persona.seed())).id()
}

fn heard_by(own: AccountId, author: AccountId, content: &Content) -> Option<Heard> {
    let bytes = content.to_bytes();
    let content = Content::from_bytes(&bytes).unwrap();
    Heard::read(&own, author, NOW, &content, &bytes)
}

fn said(content: &Content) -> Said {
    heard_by(id(personas::bob()), id(personas::alice()), content).unwrap().said
}

fn speech(speech: &Speech<'_>) -> Content {
    speech.content(NOW, Expiration::Off, None, false)
}

#[test]
fn what_is_said_is_heard() {
    let target = QuotedMessage { author: id(personas::bob()), sent_at: Timestamp(5) };
    let invitation = Invitation { url: "https://example.org/room?public_key=00".into(), name: "Room".into() };
    let preview = LinkPreview { url: "https://example.org".into(), title: Some("Example".into()) };
    let text = "look: https://example.org";
    let post = Post {
        file_keys: Vec::new(),
        text: text.into(),
        quote: Some(target),
        details: Details {
            preview: Some(preview.clone()),
            invitation: Some(invitation.clone()),
            ..Details::default()
        },
        pointers: Vec::new(),
    };
    let words = Speech::Post {
        text,
        quote: Some(target),
        preview: Some(&preview),
        invitation: Some(&invitation),
        files: &[],
    };
    assert_eq!(said(&speech(&words)), Said::Post(post));
    let edited = Post { text: "better".into(), quote: Some(target), ..Post::default() };
    assert_eq!(
        said(&speech(&Speech::Edit { target, text: "better" })),
        Said::Edit { target: target.sent_at, post: edited }
    );
    for remove in [false, true] {
        let reaction = Reaction { target, emoji: "\u{1f980}".into(), remove };
        assert_eq!(said(&speech(&Speech::Reaction(&reaction))), Said::Reaction(reaction));
    }
    assert_eq!(said(&speech(&Speech::TimerChanged)), Said::TimerChanged);
    let sent_at = vec![Timestamp(1), Timestamp(2)];
    for read in [false, true] {
        let receipt = Said::Receipt { read, sent_at: sent_at.clone() };
        assert_eq!(said(&speech(&Speech::Receipt { read, sent_at: &sent_at })), receipt);
    }
    for started in [false, true] {
        assert_eq!(said(&speech(&Speech::Typing { started })), Said::Typing { started });
    }
    assert_eq!(said(&speech(&Speech::MediaSaved { sent_at: NOW })), Said::Extraction { screenshot: false });
    for without_trace in [false, true] {
        assert_eq!(
            said(&speech(&Speech::Unsend { target, without_trace })),
            Said::Unsend { author: target.author, sent_at: target.sent_at, without_trace }
        );
    }
    assert_eq!(said(&speech(&Speech::Accepted)), Said::Accepted);
}

#[test]
fn old_clients_see_an_edit_as_a_text_that_quotes_what_it_edits() {
    let target = QuotedMessage { author: id(personas::alice()), sent_at: Timestamp(5) };
    let mut content = speech(&Speech::Edit { target, text: "better" });
    content.conclave = None;
    let Said::Post(post) = said(&content) else { panic!("no text") };
    assert_eq!((post.text.as_str(), post.quote), ("better", Some(target)));
}

#[test]
fn the_reference_s_kinds_are_read() {
    let kinds = vectors::entry("client-messages", "protobuf_kinds");
    let author_a = AccountId::from_hex(kinds["author_a"].as_str().unwrap()).unwrap();
    let at = Timestamp(kinds["timestamp_ms"].as_u64().unwrap());
    let mut read = std::collections::BTreeMap::new();
    for case in kinds["cases"].as_array().unwrap() {
        let bytes = hex::decode(case["content"].as_str().unwrap()).unwrap();
        let content = Content::from_bytes(&bytes).unwrap();
        let heard = Heard::read(&id(personas::bob()), author_a, at, &content, &bytes).unwrap();
        assert_eq!(heard.content, bytes, "what is not understood is kept");
        read.insert(case["kind"].as_str().unwrap().to_owned(), heard);
    }
    let mut take = |kind: &str| read.remove(kind).unwrap_or_else(|| panic!("no vector {kind:?}"));
    let mut post = |kind: &str| match take(kind).said {
        Said::Post(post) => post,
        other => panic!("{kind}: {other:?}"),
    };

    let voice = post("voice attachment (legacy encryption)");
    assert!(voice.details.files.iter().any(|file| file.voice && file.content_type.is_some()));
    let image = post("image attachment (deterministic encryption, id 0)");
    assert_eq!(image.details.files.first().unwrap().content_type.as_deref(), Some("image/jpeg"));
    assert!(post("quote").quote.is_some());
    let preview = post("link preview");
    assert!(preview.text.contains(&preview.details.preview.unwrap().url));
    assert!(post("community invitation").details.invitation.is_some());

    let text = take("text with profile picture, disappearing after send 1 day");
    assert_eq!(text.expiration, Expiration::AfterSend(86_400));
    let profile = text.profile.unwrap();
    assert_eq!(profile.name.as_deref(), Some("Alice"));
    assert!(
        profile.picture.flatten().is_some_and(|(url, key)| url.ends_with("/1234567890") && key.len() == 32)
    );
    assert!(profile.updated > 0);
    for (kind, remove) in [("reaction add", false), ("reaction remove", true)] {
        let Said::Reaction(reaction) = take(kind).said else { panic!("{kind}") };
        assert_eq!(reaction.remove, remove);
    }
    for (kind, expected) in [
        ("expiration timer update: off", Expiration::Off),
        ("expiration timer update: after read 5 min", Expiration::AfterRead(300)),
    ] {
        let heard = take(kind);
        assert_eq!((heard.said, heard.expiration), (Said::TimerChanged, expected));
    }
    assert_eq!(take("typing started").said, Said::Typing { started: true });
    for kind in ["read receipt of two messages", "read receipt of two messages, packed (must be accepted)"] {
        let Said::Receipt { read: true, sent_at } = take(kind).said else { panic!("{kind}") };
        assert_eq!(sent_at.len(), 2, "{kind}");
    }
    assert!(matches!(take("unsend").said, Said::Unsend { author, .. } if author == author_a));
    assert_eq!(take("message request response").said, Said::Accepted);
    assert_eq!(take("media saved notice").said, Said::Extraction { screenshot: false });
    for (kind, step) in [
        ("call pre-offer", CallStep::Ringing),
        ("call offer", CallStep::Ringing),
        ("call ICE candidates", CallStep::Other),
    ] {
        assert!(matches!(take(kind).said, Said::Call { step: heard, .. } if heard == step), "{kind}");
    }
    // What belongs to groups is kept until groups are there.
    for (kind, heard) in read {
        assert!(kind.starts_with("group "), "{kind} is not checked");
        assert_eq!(heard.said, Said::Unknown, "{kind}");
    }
}

#[test]
fn from_oneself_only_what_is_of_use_is_heard() {
    let own = id(personas::alice());
    let target = QuotedMessage { author: own, sent_at: Timestamp(5) };
    let of_no_use = [
        speech(&Speech::Typing { started: true }),
        speech(&Speech::Receipt { read: true, sent_at: &[NOW] }),
        speech(&Speech::MediaSaved { sent_at: NOW }),
        speech(&Speech::Post { text: "for whom?", quote: None, preview: None, invitation: None, files: &[] }),
    ];
    for content in of_no_use {
        assert_eq!(heard_by(own, own, &content), None);
    }
    let bob = id(personas::bob());
    let copy = sync_copy(
        speech(&Speech::Post { text: "to bob", quote: None, preview: None, invitation: None, files: &[] }),
        &bob,
    );
    assert_eq!(heard_by(own, own, &copy).unwrap().sync_target, Some(bob));
    assert!(heard_by(own, own, &speech(&Speech::Unsend { target, without_trace: false })).is_some());
}

#[test]
fn a_reaction_is_short_and_no_text() {
    for good in [
        "ℹ\u{fe0f}",
        "Ⓜ\u{fe0f}",
        "🅿\u{fe0f}",
        "\u{2764}\u{fe0f}",
        "\u{1f602}",
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "1\u{fe0f}\u{20e3}",
    ] {
        assert!(is_emoji_like(good), "{good}");
    }
    for bad in ["", "yes", " ", "\u{1f602} ", "\u{7}", &"\u{1f602}".repeat(30)] {
        assert!(!is_emoji_like(bad), "{bad:?}");
    }
    let flag = "\u{1f1e9}\u{1f1ea}";
    for one in ["\u{1f44d}", "\u{1f44d}\u{1f3fd}", "1\u{fe0f}\u{20e3}", flag] {
        assert!(is_one_emoji(one), "{one}");
    }
    for other in ["\u{1f44d}\u{1f44e}", "1", "#", &format!("{flag}\u{1f1eb}\u{1f1f7}"), "\u{1f44d} "] {
        assert!(is_emoji_like(other) || other.ends_with(' '), "{other}: another program may send it");
        assert!(!is_one_emoji(other), "{other}");
    }
}

#[test]
fn notes_to_oneself_know_one_way_of_disappearing() {
    let own = id(personas::alice());
    let note = Speech::Post { text: "note", quote: None, preview: None, invitation: None, files: &[] };
    let note = sync_copy(note.content(NOW, Expiration::AfterRead(60), None, false), &own);
    assert_eq!(heard_by(own, own, &note).unwrap().expiration, Expiration::AfterSend(60));
}

#[test]
fn names_and_types_of_files_are_cut_between_characters() {
    let pointer = AttachmentPointer {
        file_name: Some("ü".repeat(200)),
        content_type: Some("x".repeat(1_000)),
        ..AttachmentPointer::default()
    };
    let data = DataMessage { attachments: vec![pointer], ..DataMessage::default() };
    let Said::Post(post) = said(&Content::with_data(data, NOW)) else { panic!("a post") };
    let file = &post.details.files[0];
    assert_eq!(file.name.as_deref(), Some("ü".repeat(127).as_str()));
    assert_eq!(file.content_type.as_ref().map(String::len), Some(255));
}

#[test]
fn a_file_that_is_named_by_a_number_alone_is_at_the_file_server_that_every_client_knows() {
    for (url, expected) in [
        (None, Some("http://filev2.getsession.org/file/1234567890123")),
        (Some(""), Some("http://filev2.getsession.org/file/1234567890123")),
        (Some("http://a.example/file/1"), Some("http://a.example/file/1")),
    ] {
        let pointer = AttachmentPointer {
            id: 1_234_567_890_123,
            url: url.map(str::to_owned),
            ..AttachmentPointer::default()
        };
        assert_eq!(Pointer::read(&pointer).url.as_deref(), expected);
    }
    assert_eq!(Pointer::read(&AttachmentPointer::default()).url, None);
}

#[test]
fn what_deletes_files_is_heard_from_one_s_own_devices_and_from_nobody_else() {
    let (alice, bob) = (id(personas::alice()), id(personas::bob()));
    let files = [(File { size: 1, ..File::default() }, Pointer::default())];
    let speech = Speech::Post { text: "", quote: None, preview: None, invitation: None, files: &files };
    let key = FileKey::generate(&mut conclave_testkit::rng(1));
    let content = sync_copy(speech.content(NOW, Expiration::Off, None, false), &bob);
    let content = with_file_keys(&content.to_bytes(), &[(0, key.clone())]).unwrap();
    let content = Content::from_bytes(&content).unwrap();
    for (own, keys) in [(alice, vec![(0, key)]), (bob, vec![])] {
        match heard_by(own, alice, &content).unwrap().said {
            Said::Post(post) => assert_eq!(post.file_keys, keys),
            other => panic!("{other:?}"),
        }
    }
}
