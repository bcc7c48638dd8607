//! The promises of the store that need no disk that fails.

use conclave_crypto::{Account, AccountId, Ed25519Public, Ed25519Secret, RecoveryPhrase};
use conclave_proto::{Namespace, Timestamp};

use super::*;
use crate::said::{Heard, HeardProfile, Post, Said};
use crate::settings::Settings;
use crate::types::{MessageId, MessageState};
use crate::wire::Opened;

mod at_rest;
mod contacts;
mod devices;
mod files;
mod late;
mod pictures;
mod search;
mod strangers;
mod takes_back;
mod turns;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LATER: Timestamp = Timestamp(1_700_000_060_000);
const EXPIRY: Timestamp = Timestamp(1_701_000_000_000);

fn person(byte: u8) -> AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&[byte; 16])).id()
}

fn member() -> Ed25519Public {
    Ed25519Secret::from_seed(&[9; 32]).public()
}

fn store() -> ClientStore {
    let store = ClientStore::open_in_memory().unwrap();
    store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice").unwrap();
    store
}

fn send(store: &ClientStore, to: u8, text: &str, now: Timestamp) -> MessageRow {
    store.enqueue(&OutgoingMessage::text(person(to), text), now).unwrap().0
}

fn heard(from: u8, said: Said, sent_at: Timestamp) -> Heard {
    Heard {
        author: person(from),
        sent_at,
        sync_target: None,
        said,
        expiration: Default::default(),
        profile: Some(HeardProfile { name: Some(format!("Person {from}")), picture: None, updated: 0 }),
        wants_delivered: false,
        content: Vec::new(),
    }
}

fn item_of(hash: &str, heard: Heard) -> ReceivedItem {
    ReceivedItem {
        hash: hash.to_owned(),
        stored_at: heard.sent_at,
        expires_at: EXPIRY,
        content: Opened::Heard(heard),
    }
}

fn heard_in(item: &mut ReceivedItem) -> &mut Heard {
    match &mut item.content {
        Opened::Heard(heard) => heard,
        other => panic!("nothing is said: {other:?}"),
    }
}

fn item(hash: &str, from: u8, text: &str, sent_at: Timestamp) -> ReceivedItem {
    let post = Post { text: text.to_owned(), ..Post::default() };
    let heard = Heard { content: text.as_bytes().to_vec(), ..heard(from, Said::Post(post), sent_at) };
    item_of(hash, heard)
}

fn sync_copy(hash: &str, to: u8, text: &str, sent_at: Timestamp) -> ReceivedItem {
    let mut item = item(hash, 1, text, sent_at);
    heard_in(&mut item).sync_target = Some(person(to));
    item
}

fn batch(items: Vec<ReceivedItem>) -> ReceivedBatch {
    ReceivedBatch {
        snode: member(),
        account: person(1),
        namespace: Namespace::DIRECT,
        last_hash: items.last().map(|item| item.hash.clone()),
        items,
    }
}

fn stored(signed: u32, swarm: u32, hash: &str) -> StoredCopy<'_> {
    StoredCopy { signed, swarm, hash, expires_at: EXPIRY }
}

/// Notes signatures; the message if its state or counts changed.
fn signed_by(
    store: &ClientStore,
    id: &MessageId,
    copy: Copy,
    signed: u32,
    swarm: u32,
    hash: &str,
) -> Option<MessageRow> {
    store.mark_stored(id, copy, &stored(signed, swarm, hash), LATER).unwrap().states.pop()
}

fn fail(store: &ClientStore, id: &MessageId, reason: &str) -> MessageRow {
    store.mark_failed(id, Copy::Recipient, reason, LATER).unwrap();
    store.message(id).unwrap().unwrap()
}

fn receive(store: &ClientStore, items: Vec<ReceivedItem>) -> Changes {
    store.insert_received(&batch(items), LATER).unwrap()
}

fn texts(rows: &[MessageRow]) -> Vec<&str> {
    rows.iter().map(|row| row.text.as_str()).collect()
}

#[test]
fn an_account_is_set_once_and_read_back() {
    let store = ClientStore::open_in_memory().unwrap();
    assert!(matches!(store.account(), Err(StoreError::NoAccount)));
    let long = RecoveryPhrase::from_seed32(&[7; 32]);
    let made = store.set_account(&long, "Alice").unwrap();
    let read = store.account().unwrap();
    assert_eq!((read.id, read.name.as_str(), read.phrase.seed()), (made.id, "Alice", long.seed()));
    assert!(matches!(store.set_account(&long, "Bob"), Err(StoreError::AccountExists)));
}

#[test]
fn sent_timestamps_only_climb_even_when_the_clock_goes_back() {
    let store = store();
    let first = send(&store, 2, "a", NOW).sent_at;
    let second = send(&store, 2, "b", NOW).sent_at;
    let third = send(&store, 2, "c", Timestamp(5)).sent_at;
    assert_eq!(first, NOW);
    assert!(second > first && third > second);
}

#[test]
fn what_is_said_stands_after_what_was_heard_before_though_clocks_differ() {
    for (ahead, follows) in [(900, true), (9_000, true), (11_000, false)] {
        let store = store();
        receive(&store, vec![item("h1", 2, "what now?", Timestamp(NOW.0 + ahead))]);
        let answer = send(&store, 2, "this", NOW).sent_at.0;
        let texts: Vec<String> =
            store.history(&person(2), 10, None).unwrap().into_iter().map(|row| row.text).collect();
        let expected = if follows { ["what now?", "this"] } else { ["this", "what now?"] };
        assert_eq!(texts, expected, "{ahead}");
        assert!(if follows { answer == NOW.0 + ahead + 1 } else { answer < NOW.0 + 10 }, "{answer}");
    }
}

#[test]
fn a_timestamp_another_device_has_used_is_not_used_again() {
    let store = store();
    receive(&store, vec![sync_copy("h", 2, "from the phone", NOW)]);
    assert_eq!(send(&store, 2, "from here", NOW).sent_at, Timestamp(NOW.0 + 1));
}

#[test]
fn a_message_waits_in_two_copies_until_majorities_signed() {
    let store = store();
    let sent = send(&store, 2, "hi", NOW);
    let copies: Vec<Copy> = store.due(NOW, 10, 10).unwrap().into_iter().map(|due| due.copy).collect();
    assert_eq!(copies, [Copy::Recipient, Copy::OwnSync]);
    assert_eq!(sent.state, Some(MessageState::Queued));

    let weak = signed_by(&store, &sent.id, Copy::Recipient, 2, 5, "h1").unwrap();
    assert_eq!((weak.state, weak.signed, weak.swarm), (Some(MessageState::StoredWeakly), Some(2), Some(5)));
    assert_eq!(store.queued_count().unwrap(), 1, "it still waits");

    let stored = signed_by(&store, &sent.id, Copy::Recipient, 3, 5, "h2").unwrap();
    assert_eq!((stored.state, stored.signed), (Some(MessageState::Stored), Some(3)));
    assert_eq!(store.queued_count().unwrap(), 0);

    signed_by(&store, &sent.id, Copy::OwnSync, 5, 5, "h3");
    assert_eq!(store.next_due(Timestamp(0)).unwrap(), None);
    assert_eq!(store.message(&sent.id).unwrap().unwrap().own_hash.as_deref(), Some("h3"));
}

#[test]
fn the_numbers_beside_a_message_that_is_stored_are_those_of_the_majority() {
    let store = store();
    let sent = send(&store, 2, "hi", NOW);
    signed_by(&store, &sent.id, Copy::Recipient, 2, 5, "h1").unwrap();
    // The swarm has only three members left.
    let stored = signed_by(&store, &sent.id, Copy::Recipient, 2, 3, "h2").unwrap();
    assert_eq!((stored.state, stored.signed, stored.swarm), (Some(MessageState::Stored), Some(2), Some(3)));
    // What a late answer to the first attempt says is no news.
    assert!(signed_by(&store, &sent.id, Copy::Recipient, 2, 5, "h1").is_none());
}

#[test]
fn half_a_swarm_is_no_majority() {
    let store = store();
    let sent = send(&store, 2, "hi", NOW);
    let after = signed_by(&store, &sent.id, Copy::Recipient, 2, 4, "h").unwrap();
    assert_eq!(after.state, Some(MessageState::StoredWeakly));
}

#[test]
fn no_state_goes_backwards() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    signed_by(&store, &id, Copy::Recipient, 4, 5, "h");
    assert_eq!(signed_by(&store, &id, Copy::Recipient, 1, 5, "h"), None);
    assert_eq!(signed_by(&store, &id, Copy::Recipient, 0, 5, "h"), None);
    store.record_attempt(&id, Copy::Recipient, "late", LATER, Others::Alone).unwrap();
    let row = fail(&store, &id, "late");
    assert_eq!((row.state, row.signed, row.reason), (Some(MessageState::Stored), Some(4), None));
    let receipt = |read, at| {
        item_of(
            &format!("r{at}"),
            heard(2, Said::Receipt { read, sent_at: vec![NOW] }, Timestamp(NOW.0 + at)),
        )
    };
    store.set_settings(&Settings { read_receipts: true, ..Settings::default() }).unwrap();
    assert_eq!(receive(&store, vec![receipt(true, 1)]).states[0].state, Some(MessageState::Read));
    assert!(receive(&store, vec![receipt(false, 2)]).states.is_empty());
}

#[test]
fn what_one_device_of_the_recipient_has_is_still_brought_to_a_majority_of_their_swarm() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    signed_by(&store, &id, Copy::Recipient, 1, 5, "h");
    let receipt = heard(2, Said::Receipt { read: false, sent_at: vec![NOW] }, LATER);
    let told = receive(&store, vec![item_of("r", receipt)]).states.pop().unwrap();
    assert_eq!(told.state, Some(MessageState::Delivered));
    let waits = || store.due(EXPIRY, 10, 10).unwrap().iter().any(|due| due.copy == Copy::Recipient);
    assert!(waits(), "their other devices may not have it");
    assert_eq!(store.queued_count().unwrap(), 0, "but for its sender it waits no more");
    // What becomes of these attempts is no trouble of a message that has arrived.
    store.record_attempt(&id, Copy::Recipient, "late", LATER, Others::Alone).unwrap();
    assert_eq!(store.message(&id).unwrap().unwrap().reason, None);
    signed_by(&store, &id, Copy::Recipient, 3, 5, "h");
    assert!(!waits());
    assert_eq!(store.message(&id).unwrap().unwrap().state, Some(MessageState::Delivered));
}

#[test]
fn the_sync_copy_says_nothing_about_the_recipient() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    signed_by(&store, &id, Copy::OwnSync, 5, 5, "h");
    let row = store.message(&id).unwrap().unwrap();
    assert_eq!((row.state, row.signed), (Some(MessageState::Queued), None));
}

#[test]
fn a_failure_for_good_ends_both_copies_and_keeps_its_reason() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    let row = fail(&store, &id, "too large");
    assert_eq!((row.state, row.reason.as_deref()), (Some(MessageState::Failed), Some("too large")));
    assert_eq!(store.next_due(Timestamp(0)).unwrap(), None);
}

#[test]
fn a_message_some_members_signed_for_never_becomes_failed() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    signed_by(&store, &id, Copy::Recipient, 1, 5, "h");
    let row = fail(&store, &id, "gave up");
    assert_eq!(row.state, Some(MessageState::StoredWeakly));
    assert_eq!(row.reason.as_deref(), Some("gave up"));
}

#[test]
fn an_attempt_waits_for_its_next_try() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    store.record_attempt(&id, Copy::Recipient, "no path", LATER, Others::Alone).unwrap();
    let due = store.due(NOW, 10, 10).unwrap();
    assert_eq!(due.len(), 1, "only the sync copy is due");
    let due = store.due(LATER, 10, 10).unwrap();
    let tried = due.iter().find(|due| due.copy == Copy::Recipient).unwrap();
    let reason = store.message(&id).unwrap().unwrap().reason;
    assert_eq!((tried.attempts, reason.as_deref()), (1, Some("no path")));
    store.record_attempt(&id, Copy::Recipient, "no path", EXPIRY, Others::Alone).unwrap();
    store.retry_all(LATER).unwrap();
    assert_eq!(store.due(LATER, 10, 10).unwrap().len(), 2);
}

#[test]
fn a_swarm_that_does_not_answer_holds_up_nobody_else() {
    let store = store();
    let to_the_silent: Vec<MessageId> = (0..40).map(|_| send(&store, 2, "hello?", NOW).id).collect();
    let other = send(&store, 3, "hi", NOW).id;
    let due = store.due(LATER, 10, 3).unwrap();
    let to = |due: &DueCopy, id: &MessageId| due.id == *id && due.copy == Copy::Recipient;
    assert!(due.iter().any(|due| to(due, &other)), "{due:?}");
    store.record_attempt(&to_the_silent[0], Copy::Recipient, "no answer", EXPIRY, Others::WaitToo).unwrap();
    let due = store.due(LATER, 100, 100).unwrap();
    let recipients: Vec<_> = due.iter().filter(|due| due.copy == Copy::Recipient).collect();
    assert!(recipients.len() == 1 && to(recipients[0], &other), "all others of that chat wait");
    assert_eq!(due.len(), 42, "copies for one's own swarm do not: {due:?}");
    store.hurry(&person(2), Copy::Recipient, LATER).unwrap();
    assert_eq!(store.due(LATER, 100, 100).unwrap().len(), 82);
}

#[test]
fn copies_for_other_devices_come_after_those_for_people() {
    let store = store();
    send(&store, 2, "first", NOW);
    send(&store, 3, "second", NOW);
    let copies: Vec<Copy> = store.due(LATER, 10, 10).unwrap().into_iter().map(|due| due.copy).collect();
    assert_eq!(copies, [Copy::Recipient, Copy::Recipient, Copy::OwnSync, Copy::OwnSync]);
}

#[test]
fn hundreds_of_copies_for_other_devices_hide_no_message_from_its_recipient() {
    let store = store();
    for number in 0..600 {
        let id = send(&store, 2, &format!("{number}"), NOW).id;
        signed_by(&store, &id, Copy::Recipient, 5, 5, &format!("h{number}"));
    }
    let last = send(&store, 2, "last", NOW).id;
    let due = store.due(LATER, 10, 10).unwrap();
    assert_eq!((&due[0].id, due[0].copy), (&last, Copy::Recipient));
    assert!(due.len() == 10 && due[1..].iter().all(|due| due.copy == Copy::OwnSync));
}

#[test]
fn a_note_to_oneself_is_one_copy_and_one_message() {
    let store = store();
    let note = send(&store, 1, "buy milk", NOW);
    assert_eq!(store.due(NOW, 10, 10).unwrap().len(), 1);
    assert!(!note.request);
    signed_by(&store, &note.id, Copy::Recipient, 5, 5, "h");
    assert!(receive(&store, vec![sync_copy("h", 1, "buy milk", note.sent_at)]).shown.is_empty());
    assert_eq!(texts(&store.unprinted(10).unwrap()), ["buy milk"]);
    assert!(!store.chats(10).unwrap()[0].request);
}

#[test]
fn the_same_stored_message_is_shown_once() {
    let store = store();
    assert_eq!(receive(&store, vec![item("h1", 2, "hi", NOW)]).shown.len(), 1);
    let again = receive(&store, vec![item("h1", 2, "hi", NOW), item("h2", 2, "hi", NOW)]);
    assert_eq!((again.shown.len(), again.known), (0, 2));
    assert_eq!(store.unseen(&["h1".into(), "h2".into(), "h3".into()]).unwrap(), ["h3"]);
}

#[test]
fn our_own_copy_coming_back_is_known() {
    let store = store();
    let sent = send(&store, 2, "hi", NOW);
    let back = receive(&store, vec![sync_copy("h-from-an-attempt", 2, "hi", sent.sent_at)]);
    assert_eq!((back.shown.len(), back.known), (0, 1));
    let row = store.message(&sent.id).unwrap().unwrap();
    assert_eq!((row.state, row.own_hash.as_deref()), (Some(MessageState::Queued), Some("h-from-an-attempt")));
}

#[test]
fn a_sync_copy_is_outgoing_in_the_chat_it_was_sent_to_and_claims_no_state() {
    let store = store();
    let shown = receive(&store, vec![sync_copy("h", 3, "from my phone", NOW)]).shown;
    assert!(shown[0].outgoing && !shown[0].request);
    assert_eq!((shown[0].chat, shown[0].state), (person(3), None));
    assert!(store.contact(&person(3)).unwrap().unwrap().approved);
    assert_eq!(store.queued_count().unwrap(), 0);
}

#[test]
fn nobody_else_can_put_a_message_into_another_chat() {
    let store = store();
    let mut forged = sync_copy("h", 3, "Carol says so", NOW);
    heard_in(&mut forged).author = person(2);
    let shown = receive(&store, vec![forged]).shown;
    assert_eq!((shown[0].chat, shown[0].outgoing), (person(2), false));
}

#[test]
fn what_nobody_can_open_is_counted_once_and_ends_no_batch() {
    let store = store();
    let junk = ReceivedItem {
        hash: "junk".into(),
        stored_at: NOW,
        expires_at: Timestamp(0),
        content: Opened::Undecryptable,
    };
    let first = receive(&store, vec![junk.clone(), item("h", 2, "hi", NOW)]);
    assert_eq!((first.undecryptable, first.shown.len()), (1, 1));
    assert_eq!(receive(&store, vec![junk]).undecryptable, 0);
}

#[test]
fn unknown_contents_are_kept_and_bounded() {
    let store = store();
    for round in 0..12 {
        let items =
            (0..100).map(|n| item_of(&format!("{round}-{n}"), heard(2, Said::Unknown, NOW))).collect();
        receive(&store, items);
    }
    assert_eq!(store.set_aside_count().unwrap(), 200, "of one author");
    for from in 10..20 {
        let items =
            (0..150).map(|n| item_of(&format!("{from} {n}"), heard(from, Said::Unknown, NOW))).collect();
        receive(&store, items);
    }
    assert_eq!(store.set_aside_count().unwrap(), 1_000, "of all strangers");
}

#[test]
fn the_bytes_of_a_received_message_are_kept() {
    let store = store();
    let shown = receive(&store, vec![item("h", 2, "hi", NOW)]).shown;
    assert_eq!(store.message_content(&shown[0].id).unwrap().as_deref(), Some(&b"hi"[..]));
}

#[test]
fn a_message_from_the_future_stands_where_it_arrived_and_is_marked() {
    let store = store();
    let far = Timestamp(u64::MAX);
    let shown = receive(&store, vec![item("h1", 2, "prophecy", far), item("h2", 2, "on time", LATER)]).shown;
    assert!(shown[0].from_the_future && !shown[1].from_the_future);
    receive(&store, vec![]);
    let after = LATER.plus(std::time::Duration::from_secs(5));
    store.insert_received(&batch(vec![item("h3", 2, "later", after)]), after).unwrap();
    assert_eq!(texts(&store.history(&person(2), 10, None).unwrap()).last(), Some(&"later"));
    assert_eq!(shown[0].id, MessageId::of(&person(2), far));
}

#[test]
fn history_comes_in_pages_that_miss_nothing() {
    let store = store();
    let items = (0..25).map(|n| item(&format!("h{n}"), 2, &n.to_string(), Timestamp(NOW.0 + n / 3)));
    receive(&store, items.collect());
    let mut all: Vec<MessageRow> = Vec::new();
    loop {
        let page = store.history(&person(2), 4, all.first().map(|row| &row.id)).unwrap();
        if page.is_empty() {
            break;
        }
        all.splice(0..0, page);
    }
    let whole = store.history(&person(2), 1_000, None).unwrap();
    assert_eq!(texts(&all), texts(&whole));
    assert!(whole.windows(2).all(|two| two[0].sent_at <= two[1].sent_at));
    let mut onwards = whole[..1].to_vec();
    loop {
        let last = onwards.last().map(|row| row.id.clone()).unwrap();
        let page = store.history_at(&person(2), 4, &Place::After(last)).unwrap();
        if page.is_empty() {
            break;
        }
        onwards.extend(page);
    }
    assert_eq!(texts(&onwards), texts(&whole));
    let around = |at: usize, limit| {
        let place = Place::Around(whole[at].id.clone());
        store.history_at(&person(2), limit, &place).unwrap()
    };
    assert_eq!(texts(&around(4, 5)), texts(&whole[2..7]));
    assert_eq!(texts(&around(0, 5)), texts(&whole[..5]), "nothing stands before the first");
    assert_eq!(texts(&around(8, 1)), texts(&whole[8..]));
    let stranger = MessageId::of(&person(8), NOW);
    assert!(matches!(store.history(&person(2), 4, Some(&stranger)), Err(StoreError::UnknownMessage(_))));
}

#[test]
fn no_page_is_found_by_looking_at_everything() {
    let store = store();
    let connection = store.connection();
    let plan = |sql: &str| -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
        let lines = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap();
        lines.collect::<Result<Vec<String>, _>>().unwrap().join("; ")
    };
    // The rest of the outbox's query sorts what this finds, a bounded number.
    let due = [Copy::Recipient, Copy::OwnSync].map(outgoing::oldest_due_sql);
    let back = history::history_sql(history::Direction::Back);
    let on = history::history_sql(history::Direction::On);
    for sql in [back, on, chats::unprinted_sql()].into_iter().chain(due) {
        let plan = plan(&sql);
        assert!(!plan.contains("TEMP B-TREE"), "sorted as stored: {plan}");
        let scans =
            plan.matches("SCAN").count() - plan.matches("SCAN message USING INDEX message_unprinted").count();
        assert_eq!(scans, 0, "{plan}");
    }
}

#[test]
fn requests_are_from_those_we_have_not_written_to() {
    let store = store();
    assert!(receive(&store, vec![item("h1", 2, "hello?", NOW)]).shown[0].request);
    assert!(store.chats(10).unwrap()[0].request);
    send(&store, 2, "yes?", LATER);
    assert!(!store.chats(10).unwrap()[0].request);
    assert!(!store.history(&person(2), 10, None).unwrap()[0].request);
}

#[test]
fn listen_prints_each_arrival_once_in_order_of_arrival() {
    let store = store();
    send(&store, 2, "mine", NOW);
    receive(&store, vec![item("h1", 2, "second", LATER), item("h2", 3, "first", NOW)]);
    let page = store.unprinted(1).unwrap();
    assert_eq!(texts(&page), ["second"]);
    store.mark_printed(&[page[0].id.clone()]).unwrap();
    assert_eq!(texts(&store.unprinted(10).unwrap()), ["first"]);
}

#[test]
fn unread_counts_follow_reading_and_answering_elsewhere() {
    let store = store();
    let shown =
        receive(&store, vec![item("h1", 2, "a", NOW), item("h2", 2, "b", Timestamp(NOW.0 + 5))]).shown;
    let unread = || store.chats(10).unwrap()[0].unread;
    assert_eq!((unread(), store.chats(10).unwrap()[0].messages), (2, 2));
    store.mark_read(&shown[0].id, LATER).unwrap();
    assert_eq!(unread(), 1);
    receive(&store, vec![sync_copy("h3", 2, "answer", Timestamp(NOW.0 + 9))]);
    assert_eq!(unread(), 0);
}

#[test]
fn a_deleted_message_does_not_come_back() {
    let store = store();
    let shown = receive(&store, vec![item("h1", 2, "regret", NOW)]).shown;
    store.delete(&shown[0].id, Deletion::ThisDevice, LATER).unwrap();
    assert!(receive(&store, vec![item("h2", 2, "regret", NOW)]).shown.is_empty());
    let chat = &store.chats(10).unwrap()[0];
    assert_eq!((chat.messages, chat.unread, chat.last.is_none()), (0, 0, true));
}

#[test]
fn deleting_a_waiting_message_stops_its_sending() {
    let store = store();
    let id = send(&store, 2, "wait", NOW).id;
    store.delete(&id, Deletion::ThisDevice, NOW).unwrap();
    // But for the word to one's other devices, which may have it by now.
    let own = person(1);
    assert!(store.due(NOW, 10, 10).unwrap().iter().all(|copy| copy.id != id && copy.recipient == own));
    let late = store.mark_stored(&id, Copy::OwnSync, &stored(5, 5, "h"), NOW).unwrap();
    assert!(late.states.is_empty() && store.message(&id).unwrap().is_none());
    let tasks = store.own_swarm_tasks(LATER, 10).unwrap();
    assert_eq!(
        (tasks[0].hash.as_str(), tasks[0].expiry),
        ("h", None),
        "what was under way is deleted there, too"
    );
}

#[test]
fn cursors_belong_to_one_member_and_move_with_the_batch() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    let at = |store: &ClientStore, snode| store.cursor(&snode, &person(1), Namespace::DIRECT).unwrap();
    assert_eq!(at(&store, member()).as_deref(), Some("h1"));
    assert_eq!(at(&store, Ed25519Secret::from_seed(&[8; 32]).public()), None);
    receive(&store, vec![]);
    assert_eq!(at(&store, member()).as_deref(), Some("h1"), "an empty answer moves nothing");
    store.tidy(LATER).unwrap();
    assert_eq!(at(&store, member()).as_deref(), Some("h1"));
    // By then nobody has that message, nor perhaps the member.
    store.tidy(LATER.plus(std::time::Duration::from_secs(61 * 24 * 60 * 60))).unwrap();
    assert_eq!(at(&store, member()), None);
}

#[test]
fn hashes_are_forgotten_when_no_node_can_have_them() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    let much_later = LATER.plus(std::time::Duration::from_secs(32 * 24 * 60 * 60));
    store.tidy(LATER).unwrap();
    assert!(store.unseen(&["h1".into()]).unwrap().is_empty());
    store.tidy(much_later).unwrap();
    assert_eq!(store.unseen(&["h1".into()]).unwrap(), ["h1"]);
}

#[test]
fn recipients_are_found_by_id_and_by_the_names_of_those_we_wrote_to() {
    let store = store();
    let id = person(2);
    assert_eq!(store.resolve_recipient(&id.to_hex().to_uppercase()).unwrap(), id);
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    assert!(
        matches!(store.resolve_recipient("Person 2"), Err(RecipientError::Request { candidates, .. }) if candidates.len() == 1),
        "a stranger is not found by the name they chose"
    );
    send(&store, 2, "hi", NOW);
    assert_eq!(store.resolve_recipient(" person 2 ").unwrap(), id);
    send(&store, 3, "hi", NOW);
    store.set_nickname(&person(3), Some("Person 2"), NOW).unwrap();
    assert_eq!(store.resolve_recipient("Person 2").unwrap(), person(3), "our own names win");
    store.set_nickname(&person(2), Some("Person 2"), NOW).unwrap();
    assert!(
        matches!(store.resolve_recipient("Person 2"), Err(RecipientError::Ambiguous { candidates, .. }) if candidates.len() == 2)
    );
    assert!(matches!(store.resolve_recipient(&id.to_hex()[..60]), Err(RecipientError::NotAnAccountId(_))));
    let group = format!("03{}", &id.to_hex()[2..]);
    assert!(matches!(store.resolve_recipient(&group), Err(RecipientError::NotAnAccount { prefix: 3 })));
}

#[test]
fn the_newest_message_decides_what_a_contact_is_called() {
    let store = store();
    let name = || store.contact(&person(2)).unwrap().unwrap().name;
    receive(&store, vec![item("h1", 2, "new", LATER)]);
    let mut old = item("h2", 2, "old", NOW);
    heard_in(&mut old).profile.as_mut().unwrap().name = Some("ü".repeat(60));
    receive(&store, vec![old.clone()]);
    assert_eq!(name().as_deref(), Some("Person 2"));
    heard_in(&mut old).sent_at = Timestamp(LATER.0 + 1);
    old.hash = "h3".into();
    store.insert_received(&batch(vec![old]), EXPIRY).unwrap();
    assert_eq!(name(), Some("ü".repeat(50)), "cut to 100 bytes between characters");
}

#[test]
fn single_values_are_kept_by_name_and_bounded() {
    let store = store();
    assert_eq!(store.meta(Meta::Directory).unwrap(), None);
    store.set_meta(Meta::Directory, b"one").unwrap();
    store.set_meta(Meta::Directory, b"two").unwrap();
    assert_eq!(store.meta(Meta::Directory).unwrap().as_deref(), Some(&b"two"[..]));
    assert!(matches!(
        store.set_meta(Meta::Directory, &vec![0; MAX_META_BYTES + 1]),
        Err(StoreError::TooLarge { .. })
    ));
    store.remove_meta(Meta::Directory).unwrap();
    assert_eq!(store.meta(Meta::Directory).unwrap(), None);
}

#[test]
fn debug_output_holds_no_secret_no_text_and_no_whole_id() {
    let store = store();
    let sent = send(&store, 2, "the secret text", NOW);
    let account = store.account().unwrap();
    let key = DatabaseKey::from_bytes([0xab; 32]);
    let all = format!("{sent:?} {account:?} {key:?} {store:?} {:?}", item("h", 2, "the secret text", NOW));
    assert!(!all.contains("secret text"));
    assert!(!all.contains(&*account.phrase.to_hex()));
    assert!(!all.contains("abab"));
    assert!(!all.contains(&person(2).to_hex()));
}

#[tokio::test]
async fn asynchronous_callers_get_the_same_verbs() {
    let store = store();
    let chat = person(2);
    let sent =
        store.run(move |store| store.enqueue(&OutgoingMessage::text(chat, "hi"), NOW)).await.unwrap().0;
    assert_eq!(store.run(move |store| store.message(&sent.id)).await.unwrap().unwrap().text, "hi");
}

#[test]
fn a_draft_is_kept_with_its_chat_until_it_is_emptied_and_goes_with_it() {
    let store = store();
    let message = receive(&store, vec![item("h", 2, "hi", NOW)]).shown.remove(0);
    let draft = DraftRow { text: "Dear".to_owned(), reply_to: Some(message.id) };
    let changes = store.set_draft(&person(2), &draft).unwrap();
    assert!(changes.chats.contains(&person(2)), "other faces are told");
    assert_eq!(store.draft(&person(2)).unwrap(), Some(draft.clone()));
    let of_chat = |store: &ClientStore| store.chats(10).unwrap().remove(0).draft;
    assert_eq!(of_chat(&store), Some(draft));
    let long = DraftRow { text: "x".repeat(MAX_DRAFT_BYTES + 1), reply_to: None };
    assert!(matches!(store.set_draft(&person(2), &long), Err(StoreError::TooLarge { .. })));

    store.set_draft(&person(2), &DraftRow::default()).unwrap();
    assert_eq!((store.draft(&person(2)).unwrap(), of_chat(&store)), (None, None));
    store.set_draft(&person(2), &DraftRow { text: "once more".to_owned(), reply_to: None }).unwrap();
    store.remove_contact(&person(2), LATER).unwrap();
    assert_eq!(store.draft(&person(2)).unwrap(), None);
}
