//! Every kind of one-to-one message between devices of two people, over real nodes (client-messages 4), and the traps of
//! client-messages 0.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::devices::Device;
use common::in_process::InProcess;
use conclave_client::doors;
use conclave_client::said::{Invitation, LinkPreview, Timer};
use conclave_client::settings::Settings;
use conclave_client::store::{Deletion, OutgoingMessage};
use conclave_client::types::{MessageKind, MessageState};
use conclave_node::Hooks;
use conclave_proto::Timestamp;
use conclave_proto::content::{
    CallMessage, Content, DataExtractionNotification, DataMessage, call_message, data_extraction_notification,
};
use conclave_testkit::personas;

/// Five nodes, and two people who have written to each other: one has two devices, the other one.
struct Scene {
    net: InProcess,
    alice: Device,
    tablet: Device,
    bob: Device,
}

impl Scene {
    async fn new() -> Self {
        let net = InProcess::start(5, |_| Hooks::default()).await;
        let alice = Device::of(&net, personas::alice(), "alice", 1);
        let tablet = Device::of(&net, personas::alice(), "alice", 2);
        let bob = Device::of(&net, personas::bob(), "bob", 1);
        alice.says(bob.id, "hello bob").await;
        bob.reads(alice.id, "hello bob").await;
        bob.says(alice.id, "hello alice").await;
        for device in [&alice, &tablet] {
            device.reads(bob.id, "hello alice").await;
            device.reads(bob.id, "hello bob").await;
        }
        Self { net, alice, tablet, bob }
    }

    async fn end(self) {
        for device in [self.alice, self.tablet, self.bob] {
            device.stop().await;
        }
        self.net.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_replies_reactions_edits_and_deletions_are_the_same_on_every_device() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;

    // A text with a mention; its author's name comes along.
    let text = format!("@{} look here", bob.id.to_hex());
    let said = alice.says(bob.id, &text).await;
    assert_eq!(tablet.reads(bob.id, &text).await.id, said.id);
    let heard = bob.reads(alice.id, &text).await;
    assert_eq!((heard.id.clone(), heard.from_name.as_deref()), (said.id.clone(), Some("alice")));

    // An answer to it.
    let answer =
        OutgoingMessage { reply_to: Some(heard.id.clone()), ..OutgoingMessage::text(alice.id, "I see") };
    bob.client.send(answer).await.unwrap();
    for device in [&alice, &tablet] {
        let answer = device.reads(bob.id, "I see").await;
        let quote = answer.reply_to.unwrap();
        assert_eq!((quote.id, quote.from), (said.id.clone(), alice.id.to_hex()));
    }

    // A reaction, and its end; also one made on the other device.
    bob.client.react(&said.id, "🦀", false).await.unwrap();
    tablet.client.react(&said.id, "❤️", false).await.unwrap();
    for (device, chat) in [(&alice, bob.id), (&tablet, bob.id)] {
        device.finds(chat, &said.id, "both reactions", |message| message.reactions.len() == 2).await;
    }
    bob.finds(alice.id, &said.id, "both reactions", |message| message.reactions.len() == 2).await;
    bob.client.react(&said.id, "🦀", true).await.unwrap();
    for device in [&alice, &tablet] {
        let one =
            device.finds(bob.id, &said.id, "one reaction", |message| message.reactions.len() == 1).await;
        assert_eq!(
            (one.reactions[0].emoji.as_str(), &one.reactions[0].from),
            ("❤️", &vec![alice.id.to_hex()])
        );
    }

    // An edit, made on the other device than the text.
    tablet.client.edit(&said.id, "look there").await.unwrap();
    for (device, chat) in [(&alice, bob.id), (&tablet, bob.id), (&bob, alice.id)] {
        let edited = device.finds(chat, &said.id, "the edit", |message| message.edited_at.is_some()).await;
        assert_eq!(edited.text, "look there");
    }
    // It is one line, not two: what old programs show is not shown.
    for (device, chat) in [(&alice, bob.id), (&tablet, bob.id), (&bob, alice.id)] {
        let texts: Vec<String> =
            device.texts(chat).await.into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(texts, ["hello bob", "hello alice", "look there", "I see"], "{}", device.name);
    }

    // Deleted everywhere: a placeholder stays, the text does not.
    alice.client.delete(&said.id, Deletion::Everywhere).await.unwrap();
    for (device, chat) in [(&alice, bob.id), (&tablet, bob.id), (&bob, alice.id)] {
        let gone = device
            .finds(chat, &said.id, "the deletion", |message| message.kind == MessageKind::Deleted)
            .await;
        assert!(gone.text.is_empty() && gone.reactions.is_empty());
    }
    // Nobody deletes what others wrote, except for oneself.
    let answer = alice.reads(bob.id, "I see").await;
    assert!(alice.client.delete(&answer.id, Deletion::Everywhere).await.is_err());
    alice.client.delete(&answer.id, Deletion::MyDevices).await.unwrap();
    tablet.loses(bob.id, &answer.id).await;
    assert!(bob.texts(alice.id).await.contains(&"I see".to_owned()));

    // A new device finds none of it in the swarm, and all that is left.
    alice.sent().await;
    let third = Device::of(&net, personas::alice(), "alice", 3);
    third.reads(bob.id, "hello alice").await;
    third.up_to_date().await;
    let texts = third.texts(bob.id).await;
    assert!(!texts.iter().any(|text| text.contains("look") || text == "I see"), "{texts:?}");
    third.stop().await;
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_invitations_and_previews_arrive_as_what_they_are() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;
    let note = alice.says(alice.id, "milk, bread").await;
    let read = tablet.reads(alice.id, "milk, bread").await;
    assert_eq!((read.id, read.from), (note.id, alice.id.to_hex()));
    assert!(
        bob.client.history(&alice.id, 100).await.unwrap().iter().all(|message| message.text != "milk, bread")
    );

    let invitation =
        Invitation { url: "https://community.example/room?public_key=00".into(), name: "Room".into() };
    alice
        .client
        .send(OutgoingMessage { invitation: Some(invitation.clone()), ..OutgoingMessage::text(bob.id, "") })
        .await
        .unwrap();
    let preview = LinkPreview { url: "https://example.org".into(), title: Some("Example".into()) };
    let text = "look: https://example.org";
    alice
        .client
        .send(OutgoingMessage { preview: Some(preview.clone()), ..OutgoingMessage::text(bob.id, text) })
        .await
        .unwrap();
    for (device, chat) in [(&tablet, bob.id), (&bob, alice.id)] {
        let invited = device.sees(chat, "the invitation", |message| message.invitation.is_some()).await;
        assert_eq!(invited.invitation.as_ref(), Some(&invitation));
        assert_eq!(device.reads(chat, text).await.preview.as_ref(), Some(&preview));
    }
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_accepted_declined_and_blocked_on_every_device() {
    let net = InProcess::start(5, |_| Hooks::default()).await;
    let alice = Device::of(&net, personas::alice(), "alice", 1);
    let tablet = Device::of(&net, personas::alice(), "alice", 2);
    let bob = Device::of(&net, personas::bob(), "bob", 1);
    let eve = Device::of(&net, personas::eve(), "eve", 1);

    // A stranger's first words are a request; who has asked is no contact.
    bob.says(alice.id, "may I?").await;
    for device in [&alice, &tablet] {
        assert!(device.reads(bob.id, "may I?").await.request);
        assert!(device.lists(bob.id, "the request", |line| line.request).await.unread == 1);
    }
    // Accepted on one device, it is on both, and the other side is told.
    tablet.client.accept(&bob.id).await.unwrap();
    for device in [&alice, &tablet] {
        device.lists(bob.id, "the chat", |line| !line.request).await;
    }
    bob.knows(alice.id, "the acceptance", |contact| contact.approved_me).await;
    bob.sees(alice.id, "the notice", |message| message.kind == MessageKind::Accepted).await;

    // Nothing comes from who is blocked, until they are unblocked.
    tablet.client.set_blocked(&bob.id, true).await.unwrap();
    alice.knows(bob.id, "the blocking", |contact| contact.blocked).await;
    bob.says(alice.id, "are you there?").await;
    alice.up_to_date().await;
    tablet.client.set_blocked(&bob.id, false).await.unwrap();
    alice.knows(bob.id, "the end of it", |contact| !contact.blocked).await;
    bob.says(alice.id, "hello again").await;
    for device in [&alice, &tablet] {
        device.reads(bob.id, "hello again").await;
        assert!(!device.texts(bob.id).await.contains(&"are you there?".to_owned()));
    }

    // Declined, a request and its sender are gone from both; what they write later is a request again.
    eve.says(alice.id, "buy this").await;
    for device in [&alice, &tablet] {
        device.reads(eve.id, "buy this").await;
    }
    alice.client.remove_contact(&eve.id).await.unwrap();
    for device in [&alice, &tablet] {
        let id = eve.id;
        device
            .until("the request is gone", async move |client| {
                let chats = client.chats().await.unwrap();
                chats.iter().all(|line| line.chat != id.to_hex()).then_some(())
            })
            .await;
    }
    eve.says(alice.id, "buy that").await;
    for device in [&alice, &tablet] {
        assert!(device.reads(eve.id, "buy that").await.request);
        assert_eq!(device.texts(eve.id).await, ["buy that"]);
    }
    eve.stop().await;
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_chats_and_the_profile_are_on_every_device() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;
    let chat = bob.id;
    alice.client.set_nickname(&chat, Some("Bobby")).await.unwrap();
    tablet.knows(chat, "the nickname", |contact| contact.nickname.as_deref() == Some("Bobby")).await;
    alice.client.set_priority(&chat, 1).await.unwrap();
    tablet.lists(chat, "the pin", |line| line.pinned).await;
    tablet.client.set_muted(&chat, Some(4_000_000_000_000)).await.unwrap();
    alice.lists(chat, "the silence", |line| line.muted_until == Some(4_000_000_000_000)).await;
    alice.client.set_muted(&chat, None).await.unwrap();
    tablet.lists(chat, "its end", |line| line.muted_until.is_none()).await;

    // What was read on one device is read on the other; a mark by hand is there, too.
    bob.says(alice.id, "one").await;
    bob.says(alice.id, "two").await;
    let newest = alice.reads(chat, "two").await;
    tablet.lists(chat, "two unread", |line| line.unread >= 2).await;
    alice.client.mark_read(&newest.id).await.unwrap();
    tablet.lists(chat, "nothing unread", |line| line.unread == 0).await;
    tablet.client.set_unread(&chat, true).await.unwrap();
    alice.lists(chat, "the mark", |line| line.marked_unread).await;

    // Hidden until somebody writes.
    tablet.client.set_priority(&chat, -1).await.unwrap();
    alice
        .until("the chat is hidden", async move |client| {
            client.chats().await.unwrap().iter().all(|line| line.chat != chat.to_hex()).then_some(())
        })
        .await;
    tablet.sent().await;
    bob.says(alice.id, "three").await;
    for device in [&alice, &tablet] {
        device
            .lists(chat, "the chat again", |line| line.last.as_ref().is_some_and(|last| last.text == "three"))
            .await;
    }

    // A new name reaches the other device, and the other side with the next message.
    alice.client.set_display_name("Alice A.").await.unwrap();
    tablet
        .until("the new name", async |client| {
            (client.account().await.unwrap().name == "Alice A.").then_some(())
        })
        .await;
    tablet.says(chat, "do you know me?").await;
    bob.knows(alice.id, "the new name", |contact| contact.name.as_deref() == Some("Alice A.")).await;

    // A device that comes later knows all of it.
    alice.sent().await;
    tablet.sent().await;
    let third = Device::of(&net, personas::alice(), "alice", 3);
    third.knows(chat, "the nickname", |contact| contact.nickname.as_deref() == Some("Bobby")).await;
    third.lists(chat, "the chat", |line| line.title() == Some("Bobby")).await;
    assert_eq!(third.client.account().await.unwrap().name, "Alice A.");
    third.stop().await;
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_that_begin_at_once_agree_and_have_nothing_left_to_say() {
    let net = InProcess::start(5, |_| Hooks::default()).await;
    let people = [personas::alice, personas::bob, personas::carol, personas::dave];
    let met = personas::eve().account_id();
    for persona in people {
        let [first, second] = [1, 2].map(|number| Device::of(&net, persona(), persona().name, number));
        for (device, name) in [(&first, "one name"), (&second, "another")] {
            device.client.introduce(&met, name).await.unwrap();
        }
        for _ in 0..2 {
            tokio::join!(first.sent(), second.sent());
            tokio::join!(first.up_to_date(), second.up_to_date());
        }
        let known = first.knows(met, "a name", |contact| contact.nickname.is_some()).await;
        second.knows(met, "the same name", |contact| contact.nickname == known.nickname).await;
        first.stop().await;
        second.stop().await;
    }
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_and_typing_say_what_their_senders_choose_to_say() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;
    // That it arrived, is told unless it is switched off; that it was read, only if it is switched on.
    let said = alice.says(bob.id, "did you get it?").await;
    for device in [&alice, &tablet] {
        device
            .finds(bob.id, &said.id, "it was delivered", |message| {
                message.state == Some(MessageState::Delivered)
            })
            .await;
    }
    let open = Settings { read_receipts: true, typing: true, ..Settings::default() };
    for device in [&alice, &tablet, &bob] {
        device.client.set_settings(open.clone()).await.unwrap();
    }
    bob.reads(alice.id, "did you get it?").await;
    bob.client.mark_read(&said.id).await.unwrap();
    for device in [&alice, &tablet] {
        device
            .finds(bob.id, &said.id, "it was read", |message| message.state == Some(MessageState::Read))
            .await;
    }
    bob.client.set_typing(&alice.id, true).await.unwrap();
    tokio::join!(alice.types(bob.id, true), tablet.types(bob.id, true));
    bob.client.set_typing(&alice.id, false).await.unwrap();
    tokio::join!(alice.types(bob.id, false), tablet.types(bob.id, false));

    // Switched off, nothing is told: the answer that comes afterwards is the proof.
    bob.client.set_settings(Settings { delivery_receipts: false, ..Settings::default() }).await.unwrap();
    let quiet = alice.says(bob.id, "and this?").await;
    let heard = bob.reads(alice.id, "and this?").await;
    bob.client.mark_read(&heard.id).await.unwrap();
    bob.client.set_typing(&alice.id, true).await.unwrap();
    bob.says(alice.id, "I say nothing").await;
    alice.reads(bob.id, "I say nothing").await;
    alice.up_to_date().await;
    alice.finds(bob.id, &quiet.id, "no receipt", |message| message.state == Some(MessageState::Stored)).await;
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_disappear_after_they_were_sent_or_read_on_every_device() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;
    alice.client.set_timer(&bob.id, Timer::AfterSend(3)).await.unwrap();
    tablet.lists(bob.id, "the timer", |line| line.timer == Timer::AfterSend(3)).await;
    let notice = bob.sees(alice.id, "the notice", |message| message.kind == MessageKind::TimerChanged).await;
    assert_eq!(notice.timer, Some(Timer::AfterSend(3)));
    // They decide for themselves.
    bob.lists(alice.id, "their own timer", |line| line.timer == Timer::Off).await;

    let short = tablet.client.send_text(&bob.id, "short-lived").await.unwrap();
    for (device, chat) in [(&alice, bob.id), (&bob, alice.id)] {
        device.finds(chat, &short.id, "when it goes", |message| message.expires_at.is_some()).await;
    }
    for (device, chat) in [(&alice, bob.id), (&tablet, bob.id), (&bob, alice.id)] {
        device.loses(chat, &short.id).await;
    }

    // After it was read: not before.
    alice.client.set_timer(&bob.id, Timer::AfterRead(2)).await.unwrap();
    alice.client.set_timer(&alice.id, Timer::AfterRead(2)).await.unwrap_err();
    let said = alice.client.send_text(&bob.id, "once read").await.unwrap();
    let heard = bob.reads(alice.id, "once read").await;
    assert_eq!((heard.timer, heard.expires_at), (Some(Timer::AfterRead(2)), None));
    bob.client.mark_read(&heard.id).await.unwrap();
    bob.loses(alice.id, &said.id).await;
    alice.loses(bob.id, &said.id).await;
    tablet.loses(bob.id, &said.id).await;
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_programs_say_is_shown_as_what_it_is() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;
    let start = alice.reads(bob.id, "hello alice").await.sent_at + 1_000;
    let at = |n: u64| Timestamp(start + n);

    // A call is a missed call, once, whatever steps of it arrive.
    for (n, kind) in [(0, call_message::Type::PreOffer), (1, call_message::Type::Offer)] {
        let call = CallMessage { r#type: kind.into(), uuid: "a call".into(), ..CallMessage::default() };
        let content = Content { call_message: Some(call), ..Content::at(at(n)) };
        doors::send_content(&bob.client, &alice.id, content, at(n)).await.unwrap();
    }
    // A picture of the screen.
    let notice = DataExtractionNotification {
        r#type: data_extraction_notification::Type::Screenshot.into(),
        timestamp: None,
    };
    let content = Content { data_extraction_notification: Some(notice), ..Content::at(at(2)) };
    doors::send_content(&bob.client, &alice.id, content, at(2)).await.unwrap();
    // A file was saved: that much we say ourselves.
    let heard = bob.reads(alice.id, "hello bob").await;
    bob.client.tell_saved(&heard.id).await.unwrap();
    // Something from the future of the protocol: kept, not shown.
    let unknown = Content::from_bytes(&[0xfa, 0x3e, 0x03, b'n', b'e', b'w']).unwrap();
    doors::send_content(&bob.client, &alice.id, Content { sig_timestamp: Some(at(3).0), ..unknown }, at(3))
        .await
        .unwrap();
    bob.says(alice.id, "that was all").await;
    for device in [&alice, &tablet] {
        device.reads(bob.id, "that was all").await;
        for kind in [MessageKind::MissedCall, MessageKind::Screenshot, MessageKind::MediaSaved] {
            device.sees(bob.id, "each notice", move |message| message.kind == kind).await;
        }
        device.up_to_date().await;
        let history = device.client.history(&bob.id, 100).await.unwrap();
        let calls = history.iter().filter(|message| message.kind == MessageKind::MissedCall).count();
        // Three notices, the three texts, and that bob accepted.
        assert_eq!((calls, history.len()), (1, 7), "{history:#?}");
    }
    Scene { net, alice, tablet, bob }.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_traps_of_the_protocol_catch_nobody() {
    let Scene { net, alice, tablet, bob } = Scene::new().await;
    let start = alice.reads(bob.id, "hello alice").await.sent_at + 1_000;
    let text = |words: &str, at: Timestamp| Content::with_data(DataMessage::text(words, None), at);

    // The time inside and outside of the seal must be the same: else somebody replays it under another name.
    let (inside, outside) = (Timestamp(start), Timestamp(start + 1));
    doors::send_content(&bob.client, &alice.id, text("replayed", inside), outside).await.unwrap();

    // The same message twice, sealed anew, so under two hashes: shown once.
    let twice = Timestamp(start + 2);
    doors::send_content(&bob.client, &alice.id, text("twice", twice), twice).await.unwrap();
    bob.sent().await;
    doors::send_content(&bob.client, &alice.id, text("twice", twice), twice).await.unwrap();
    bob.sent().await;

    // Deleted before it came: nothing of it is ever shown.
    let revoked = Timestamp(start + 3);
    let unsend = conclave_proto::content::UnsendRequest { timestamp: revoked.0, author: bob.id.to_hex() };
    let content = Content { unsend_request: Some(unsend), ..Content::at(Timestamp(start + 4)) };
    doors::send_content(&bob.client, &alice.id, content, Timestamp(start + 4)).await.unwrap();
    bob.sent().await;
    doors::send_content(&bob.client, &alice.id, text("taken back", revoked), revoked).await.unwrap();

    // Nobody takes back what another wrote.
    let own = alice.reads(bob.id, "hello bob").await;
    let foreign =
        conclave_proto::content::UnsendRequest { timestamp: own.sent_at, author: alice.id.to_hex() };
    let content = Content { unsend_request: Some(foreign), ..Content::at(Timestamp(start + 5)) };
    doors::send_content(&bob.client, &alice.id, content, Timestamp(start + 5)).await.unwrap();
    // Nor does anybody but oneself say whom a copy is for.
    let mut copy = text("not from alice", Timestamp(start + 6));
    if let Some(data) = &mut copy.data_message {
        data.sync_target = Some(bob.id.to_hex());
    }
    doors::send_content(&bob.client, &alice.id, copy, Timestamp(start + 6)).await.unwrap();

    bob.says(alice.id, "after all that").await;
    for device in [&alice, &tablet] {
        device.reads(bob.id, "after all that").await;
        device.up_to_date().await;
        let history = device.client.history(&bob.id, 100).await.unwrap();
        let count = |words: &str| history.iter().filter(|message| message.text == words).count();
        assert_eq!((count("replayed"), count("twice"), count("taken back")), (0, 1, 0), "{history:#?}");
        assert_eq!(count("hello bob"), 1, "still there");
        assert!(
            history
                .iter()
                .filter(|message| message.text == "not from alice")
                .all(|one| one.from == bob.id.to_hex()),
            "said by whom it was"
        );
    }

    // Messages written at once have times of their own, and stand in the order they were written, everywhere.
    let mut expected = Vec::new();
    for n in 0..20 {
        let words = format!("quick {n}");
        alice.client.send_text(&bob.id, &words).await.unwrap();
        expected.push(words);
    }
    for (device, chat) in [(&alice, bob.id), (&tablet, bob.id), (&bob, alice.id)] {
        for words in &expected {
            device.reads(chat, words).await;
        }
        let texts: Vec<String> =
            device.texts(chat).await.into_iter().filter(|text| text.starts_with("quick")).collect();
        assert_eq!(texts, expected, "{}", device.name);
    }
    Scene { net, alice, tablet, bob }.end().await;
}
