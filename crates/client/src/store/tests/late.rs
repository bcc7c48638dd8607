//! Messages that come after their place in the chat was read past.

use std::collections::BTreeMap;
use std::time::Duration;

use super::devices::{as_it_came, share};
use super::*;
use crate::said::Speech;

const MINUTE: Duration = Duration::from_secs(60);

fn made_here() -> ClientStore {
    let store = store();
    store.set_meta(Meta::NewAccount, b"1").unwrap();
    store
}

fn unread(store: &ClientStore) -> u64 {
    store.chats(10).unwrap()[0].unread
}

fn stored_at(at: Timestamp, item: ReceivedItem) -> ReceivedItem {
    ReceivedItem { stored_at: at, ..item }
}

#[test]
fn what_comes_after_its_place_was_read_past_here_is_unread_until_it_is_seen() {
    let store = made_here();
    send(&store, 2, "are you there?", LATER);
    let shown =
        receive(&store, vec![item("h1", 2, "on a train", NOW), item("h2", 2, "in a tunnel", NOW)]).shown;
    assert_eq!(unread(&store), 1, "the same message twice is one");
    receive(&store, vec![item("h3", 2, "out of it", Timestamp(NOW.0 + 1))]);
    assert_eq!(unread(&store), 2);
    store.delete(&shown[0].id, Deletion::ThisDevice, LATER).unwrap();
    assert_eq!(unread(&store), 1);
    send(&store, 2, "good", LATER);
    assert_eq!(unread(&store), 0, "whoever writes has seen what is there");
}

#[test]
fn what_another_device_had_before_it_was_read_there_is_read() {
    let store = made_here();
    receive(&store, vec![sync_copy("copy", 2, "from the phone", LATER), item("h1", 2, "before that", NOW)]);
    assert_eq!(unread(&store), 0);
    let late =
        stored_at(LATER.plus(2 * MINUTE), item("h2", 2, "sent before, stored after", Timestamp(NOW.0 + 1)));
    receive(&store, vec![late]);
    assert_eq!(unread(&store), 1);
}

#[test]
fn what_was_in_the_swarm_before_a_restored_device_came_is_not_unread() {
    let store = store();
    store.begin_documents(true, LATER).unwrap();
    send(&store, 2, "here I am again", LATER.plus(MINUTE));
    receive(&store, vec![item("h1", 2, "weeks ago", NOW)]);
    assert_eq!(unread(&store), 0);
}

#[test]
fn other_devices_learn_that_a_late_message_was_seen() {
    let (phone, laptop) = (made_here(), made_here());
    send(&phone, 2, "are you there?", LATER);
    receive(&laptop, vec![sync_copy("copy", 2, "are you there?", LATER)]);
    let late = stored_at(LATER.plus(2 * MINUTE), item("h1", 2, "now I am", NOW));
    let id = receive(&phone, vec![late.clone()]).shown[0].id.clone();
    receive(&laptop, vec![late]);
    assert_eq!((unread(&phone), unread(&laptop)), (1, 1));
    phone.mark_read(&id, LATER.plus(3 * MINUTE)).unwrap();
    share(&phone, &laptop, LATER.plus(3 * MINUTE));
    assert_eq!((unread(&phone), unread(&laptop)), (0, 0));
}

#[test]
fn authors_who_ask_are_told_that_a_late_message_was_read() {
    let store = made_here();
    store.set_settings(&Settings { read_receipts: true, ..Settings::default() }).unwrap();
    send(&store, 2, "are you there?", LATER);
    let before = store.due(EXPIRY, 10, 10).unwrap().len();
    let id = receive(&store, vec![item("h1", 2, "now I am", NOW)]).shown[0].id.clone();
    store.mark_read(&id, LATER).unwrap();
    assert_eq!(store.due(EXPIRY, 10, 10).unwrap().len(), before + 1);
    store.mark_read(&id, LATER).unwrap();
    assert_eq!(store.due(EXPIRY, 10, 10).unwrap().len(), before + 1, "once");
}

/// Those whose authors are told that they were read, by their texts.
fn acknowledged(store: &ClientStore, chat: &AccountId) -> Vec<String> {
    let texts = |row: MessageRow| (row.sent_at, row.text);
    let rows: BTreeMap<Timestamp, String> =
        store.history(chat, 100, None).unwrap().into_iter().map(texts).collect();
    let due = store.due(EXPIRY, 100, 100).unwrap();
    let read = due.iter().filter_map(|copy| {
        let content = conclave_proto::content::Content::from_bytes(&copy.content).ok()?;
        let receipt = content.receipt_message?;
        Some(receipt.timestamp)
    });
    read.flatten().filter_map(|at| rows.get(&Timestamp(at)).cloned()).collect()
}

#[test]
fn whoever_sees_a_late_message_has_not_read_what_was_said_right_after_the_last() {
    let store = made_here();
    store.set_settings(&Settings { read_receipts: true, ..Settings::default() }).unwrap();
    send(&store, 2, "are you there?", LATER);
    let chat = store.chats(10).unwrap()[0].id;
    let read_to = store.read_position(&chat).unwrap().0;
    let late = receive(&store, vec![item("h1", 2, "now I am", NOW)]).shown[0].id.clone();
    receive(&store, vec![item("h2", 2, "and you?", Timestamp(read_to.0 + 1))]);
    assert_eq!(unread(&store), 2);
    store.mark_read(&late, LATER).unwrap();
    assert_eq!(unread(&store), 1);
    assert_eq!(acknowledged(&store, &chat), ["now I am"]);
}

#[test]
fn of_two_late_messages_the_one_that_was_seen_is_read() {
    let store = made_here();
    store.set_settings(&Settings { read_receipts: true, ..Settings::default() }).unwrap();
    send(&store, 2, "are you there?", LATER);
    let chat = store.chats(10).unwrap()[0].id;
    let first = receive(&store, vec![item("h1", 2, "soon", NOW)]).shown[0].id.clone();
    receive(&store, vec![item("h2", 2, "now", Timestamp(NOW.0 + 1))]);
    store.mark_read(&first, LATER).unwrap();
    assert_eq!(unread(&store), 1);
    assert_eq!(acknowledged(&store, &chat), ["soon"]);
}

#[test]
fn what_writing_to_somebody_brings_back_has_not_been_seen() {
    let store = made_here();
    store.set_settings(&Settings { read_receipts: true, ..Settings::default() }).unwrap();
    send(&store, 2, "bye", NOW);
    let chat = store.chats(10).unwrap()[0].id;
    store.remove_contact(&chat, NOW.plus(MINUTE)).unwrap();
    let speech = Speech::Post { text: "wait", quote: None, preview: None, invitation: None, files: &[] };
    receive(&store, vec![as_it_came(item("h1", 2, "wait", NOW.plus(MINUTE / 2)), &speech)]);
    assert_eq!(store.set_aside_of(&chat).unwrap(), 1, "it waits until they are known again");
    send(&store, 2, "hello again", NOW.plus(4 * MINUTE));
    let shown: Vec<String> =
        store.history(&chat, 10, None).unwrap().into_iter().map(|row| row.text).collect();
    assert!(shown.contains(&"wait".to_owned()), "{shown:?}");
    assert_eq!(unread(&store), 1);
    assert!(acknowledged(&store, &chat).is_empty());
}

#[test]
fn an_edit_that_brings_its_message_back_does_not_stand_beside_it() {
    let (phone, laptop) = (store(), store());
    send(&phone, 2, "hi", NOW);
    phone.set_priority(&person(2), -1, LATER.plus(4 * MINUTE)).unwrap();
    share(&phone, &laptop, LATER.plus(5 * MINUTE));
    let speech = Speech::Post { text: "helo", quote: None, preview: None, invitation: None, files: &[] };
    receive(&laptop, vec![as_it_came(item("h1", 2, "helo", NOW), &speech)]);
    assert_eq!(laptop.set_aside_of(&person(2)).unwrap(), 1, "it was said before the chat was hidden");
    let post = Post { text: "hello".to_owned(), ..Post::default() };
    let edit = heard(2, Said::Edit { target: NOW, post }, LATER.plus(6 * MINUTE));
    receive(&laptop, vec![item_of("h2", edit)]);
    let rows = laptop.history(&person(2), 10, None).unwrap();
    let shown: Vec<(&str, Timestamp)> = rows.iter().map(|row| (row.text.as_str(), row.sent_at)).collect();
    assert_eq!(shown, [("hello", NOW)]);
}
