//! What is taken back, fails or disappears: nothing of it stays on its way, and nothing goes before its time.

use std::time::Duration;

use super::*;
use crate::said::{QuotedMessage, Reaction, Timer};

const MINUTE: Duration = Duration::from_secs(60);

fn waiting(store: &ClientStore) -> Vec<(MessageId, Copy)> {
    let due = store.due(EXPIRY, 100, 100).unwrap();
    due.into_iter().map(|due| (due.id, due.copy)).collect()
}

fn of_stranger(timer: conclave_proto::content::Expiration, hash: &str, sent_at: Timestamp) -> ReceivedItem {
    let mut item = item(hash, 2, hash, sent_at);
    heard_in(&mut item).expiration = timer;
    item
}

#[test]
fn edits_that_wait_are_not_sent_once_their_message_is_deleted() {
    for how in [Deletion::ThisDevice, Deletion::MyDevices, Deletion::Everywhere] {
        let store = store();
        let id = send(&store, 2, "helo", NOW).id;
        store.edit(&id, "hello", LATER).unwrap();
        let edit = waiting(&store).into_iter().find(|(waits, _)| *waits != id).unwrap().0;
        store.delete(&id, how, LATER.plus(MINUTE)).unwrap();
        assert!(waiting(&store).iter().all(|(waits, _)| *waits != edit && *waits != id), "{how:?}");
        store.mark_stored(&edit, Copy::OwnSync, &stored(5, 5, "own"), LATER).unwrap();
        let tasks = store.own_swarm_tasks(EXPIRY, 10).unwrap();
        assert_eq!(tasks.len(), 1, "a copy that was under way is deleted: {how:?}");
    }
}

#[test]
fn what_stands_in_for_a_deleted_message_goes_with_it_in_whatever_order_they_come() {
    for (author, deleted_by) in [(1, 1), (2, 2), (2, 1)] {
        let store = store();
        let post = Post { text: "hello".to_owned(), ..Post::default() };
        let mut edit = item_of("edit", heard(author, Said::Edit { target: NOW, post }, LATER));
        let unsend =
            Said::Unsend { author: person(author), sent_at: NOW, without_trace: author != deleted_by };
        let mut unsend = item_of("unsend", heard(deleted_by, unsend, LATER.plus(MINUTE)));
        for item in [&mut edit, &mut unsend] {
            let by_self = heard_in(item).author == person(1);
            heard_in(item).sync_target = by_self.then(|| person(2));
        }
        assert_eq!(receive(&store, vec![edit.clone()]).shown.len(), 1, "its message is not here");
        receive(&store, vec![unsend]);
        assert!(store.history(&person(2), 10, None).unwrap().is_empty(), "{author} {deleted_by}");
        assert_eq!(store.own_swarm_tasks(EXPIRY, 10).unwrap()[0].hash, "edit");
        let again = crate::store::ReceivedItem { hash: "again".to_owned(), ..edit };
        assert!(receive(&store, vec![again]).shown.is_empty(), "{author} {deleted_by}");
    }
}

#[test]
fn whoever_deletes_an_edit_that_stands_in_for_its_message_has_deleted_that_message() {
    for (author, how) in [
        (1, Deletion::ThisDevice),
        (1, Deletion::MyDevices),
        (1, Deletion::Everywhere),
        (2, Deletion::ThisDevice),
        (2, Deletion::MyDevices),
    ] {
        let of = |item: ReceivedItem| {
            let mut item = item;
            let by_self = heard_in(&mut item).author == person(1);
            heard_in(&mut item).sync_target = by_self.then(|| person(2));
            item
        };
        let quote = Some(QuotedMessage { author: person(author), sent_at: NOW });
        let edit = |hash: &str, at: u64| {
            let post = Post { text: "hello".to_owned(), quote, ..Post::default() };
            let at = LATER.plus(Duration::from_millis(at));
            of(item_of(hash, heard(author, Said::Edit { target: NOW, post }, at)))
        };
        let message = || of(item("message", author, "helo", NOW));

        let store = store();
        let shown = receive(&store, vec![edit("one", 0), edit("two", 1)]).shown;
        assert_eq!(shown.len(), 2, "the message is not here");
        store.delete(&shown[0].id, how, LATER.plus(MINUTE)).unwrap();
        assert!(texts(&store.history(&person(2), 10, None).unwrap()).is_empty(), "{author} {how:?}");
        let edits = store.read("count", |connection| {
            Ok(connection.query_row("SELECT count(*) FROM edit", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(edits.unwrap(), 0, "nor do their texts stay: {author} {how:?}");
        receive(&store, vec![message(), edit("again", 1)]);
        let rows = store.history(&person(2), 10, None).unwrap();
        assert!(rows.iter().all(|row| row.text.is_empty()), "{author} {how:?}: {rows:?}");

        // Where it is, it goes with what they are told.
        let other = super::store();
        receive(&other, vec![message(), edit("one", 0)]);
        for due in store.due(EXPIRY, 100, 100).unwrap().iter().filter(|due| due.recipient == person(1)) {
            let content = conclave_proto::content::Content::from_bytes(&due.content).unwrap();
            let own = person(1);
            let heard = crate::said::Heard::read(&own, own, due.sent_at, &content, &due.content).unwrap();
            receive(&other, vec![item_of(due.id.as_str(), heard)]);
        }
        let left = other.history(&person(2), 10, None).unwrap();
        assert_eq!(
            left.iter().any(|row| !row.text.is_empty()),
            how == Deletion::ThisDevice,
            "{author} {how:?}"
        );
    }
}

#[test]
fn a_reply_that_is_too_late_to_be_an_edit_is_deleted_alone() {
    let store = store();
    let quote = Some(QuotedMessage { author: person(2), sent_at: NOW });
    let late = NOW.plus(crate::store::EDIT_WITHIN + MINUTE);
    let post = Post { text: "hello".to_owned(), quote, ..Post::default() };
    let edit = item_of("edit", heard(2, Said::Edit { target: NOW, post }, late));
    let id = store.insert_received(&batch(vec![edit]), late).unwrap().shown[0].id.clone();
    store.delete(&id, Deletion::MyDevices, late.plus(MINUTE)).unwrap();
    receive(&store, vec![item("message", 2, "helo", NOW)]);
    assert_eq!(texts(&store.history(&person(2), 10, None).unwrap()), ["helo"]);
}

#[test]
fn what_failed_is_taken_from_other_devices_that_may_have_it() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    store.edit(&id, "hello", LATER).unwrap();
    signed_by(&store, &id, Copy::OwnSync, 3, 5, "own");
    fail(&store, &id, "taken back by its sender");
    let tasks = store.own_swarm_tasks(EXPIRY, 10).unwrap();
    assert_eq!(tasks.iter().map(|task| task.hash.as_str()).collect::<Vec<_>>(), ["own"]);
    let told = store.due(EXPIRY, 10, 10).unwrap();
    assert!(
        told.len() == 2 && told.iter().all(|due| due.recipient == person(1)),
        "it and its edit: {told:?}"
    );

    // This device hears it, too, and goes on showing what became of the message.
    let said = Said::Unsend { author: person(1), sent_at: NOW, without_trace: true };
    receive(&store, vec![item_of("back", heard(1, said.clone(), LATER))]);
    assert_eq!(store.message(&id).unwrap().unwrap().state, Some(MessageState::Failed));
    let other = super::store();
    receive(&other, vec![sync_copy("own", 2, "hi", NOW), item_of("told", heard(1, said, LATER))]);
    assert!(other.message(&id).unwrap().is_none());
}

#[test]
fn what_failed_before_other_devices_could_have_it_is_mentioned_to_nobody() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    fail(&store, &id, "too large");
    assert!(waiting(&store).is_empty() && store.own_swarm_tasks(EXPIRY, 10).unwrap().is_empty());
    // Unless its copy was under way just then.
    signed_by(&store, &id, Copy::OwnSync, 1, 5, "own");
    assert_eq!(store.own_swarm_tasks(EXPIRY, 10).unwrap()[0].hash, "own");
    assert_eq!(waiting(&store).len(), 1);
}

#[test]
fn unread_counts_are_right_when_many_messages_disappear_at_once() {
    let store = store();
    let timer = conclave_proto::content::Expiration::AfterSend(60);
    let items = (0..30).map(|n| {
        let sent_at = Timestamp(NOW.0 + n);
        if n % 3 == 0 {
            item(&format!("h{n}"), 2, "stays", sent_at)
        } else {
            ReceivedItem { expires_at: LATER, ..of_stranger(timer, &format!("h{n}"), sent_at) }
        }
    });
    let shown = receive(&store, items.collect()).shown;
    store.mark_read(&shown[14].id, LATER).unwrap();
    store.expire(LATER.plus(2 * MINUTE)).unwrap();
    let chat = store.chats(10).unwrap().remove(0);
    assert_eq!((chat.messages, chat.unread), (10, 5));
}

#[test]
fn a_message_begins_to_disappear_when_a_majority_has_it_and_not_before() {
    let store = store();
    send(&store, 2, "hi", NOW);
    store.set_timer(&person(2), Timer::AfterSend(600), NOW).unwrap();
    let id = send(&store, 2, "secret", NOW).id;
    signed_by(&store, &id, Copy::Recipient, 1, 5, "h");
    assert_eq!(store.message(&id).unwrap().unwrap().expires_at, None);
    signed_by(&store, &id, Copy::Recipient, 3, 5, "h");
    assert_eq!(store.message(&id).unwrap().unwrap().expires_at, Some(LATER.plus(10 * MINUTE)));
}

#[test]
fn what_has_disappeared_before_it_comes_is_not_shown_for_a_moment() {
    for author in [1, 2] {
        let store = store();
        let timer = conclave_proto::content::Expiration::AfterSend(4);
        let late = NOW.plus(MINUTE);
        let mut gone = ReceivedItem { expires_at: NOW.plus(MINUTE / 2), ..item("h", author, "gone", NOW) };
        heard_in(&mut gone).expiration = timer;
        heard_in(&mut gone).wants_delivered = true;
        heard_in(&mut gone).sync_target = (author == 1).then(|| person(2));
        let said = Said::Edit { target: NOW, post: Post { text: "edited".to_owned(), ..Post::default() } };
        let mut edit = item_of("edit", heard(author, said, NOW.plus(Duration::from_millis(5))));
        heard_in(&mut edit).sync_target = (author == 1).then(|| person(2));
        let again = ReceivedItem { hash: "again".to_owned(), ..gone.clone() };
        let changes = store.insert_received(&batch(vec![gone, edit, again]), late).unwrap();
        assert!(changes.shown.is_empty() && changes.deleted.is_empty(), "{author} {:?}", changes.shown);
        assert!(store.history(&person(2), 10, None).unwrap().is_empty());
    }
}

#[test]
fn a_member_cannot_make_a_message_vanish_sooner_than_its_timer_says() {
    let store = store();
    let timer = conclave_proto::content::Expiration::AfterRead(600);
    let claimed = ReceivedItem { expires_at: NOW, ..of_stranger(timer, "h", NOW) };
    let id = receive(&store, vec![claimed]).shown[0].id.clone();
    store.mark_read(&id, LATER).unwrap();
    assert_eq!(store.message(&id).unwrap().unwrap().expires_at, Some(NOW.plus(10 * MINUTE)));
}

#[test]
fn when_sent_times_have_run_out_that_is_an_error_and_no_endless_search() {
    let store = store();
    store.tamper(&format!("UPDATE account SET last_sent_at = {}", i64::MAX)).unwrap();
    let error = store.enqueue(&OutgoingMessage::text(person(2), "hi"), NOW).unwrap_err();
    assert!(matches!(error, StoreError::NotAllowed(_)), "{error}");
}

#[test]
fn a_word_from_the_far_future_takes_no_later_word_there() {
    let store = store();
    let id = receive(&store, vec![item("h", 2, "hi", NOW)]).shown[0].id.clone();
    let target = QuotedMessage { author: person(2), sent_at: NOW };
    let reaction = Reaction { target, emoji: "🦀".to_owned(), remove: false };
    let mut mad = item_of("mad", heard(1, Said::Reaction(reaction), Timestamp(u64::MAX)));
    heard_in(&mut mad).sync_target = Some(person(2));
    receive(&store, vec![mad]);
    assert!(matches!(store.react(&id, "🦀", true, LATER), Err(StoreError::NotAllowed(_))));
    assert_eq!(send(&store, 2, "on time", LATER).sent_at, LATER);
}

fn asks(hash: &str, sent_at: Timestamp) -> ReceivedItem {
    let mut item = item(hash, 2, hash, sent_at);
    heard_in(&mut item).wants_delivered = true;
    item
}

/// The time after which the receipts of a store are due, each less when its message came.
fn delays(store: &ClientStore) -> Vec<i64> {
    let connection = store.connection();
    let mut statement = connection.prepare("SELECT due_at FROM owed_receipt ORDER BY sent_at").unwrap();
    let due = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    due.map(|due| due.unwrap() - millis(LATER)).collect()
}

#[test]
fn a_restored_device_acknowledges_only_what_comes_after_it_has_found_its_settings() {
    let store = store();
    let acknowledged = || delays(&store).len();
    receive(&store, vec![sync_copy("ours", 2, "hi", NOW), asks("weeks old", Timestamp(NOW.0 + 1))]);
    assert_eq!(acknowledged(), 0, "before it has found them");
    store.begin_documents(true, LATER).unwrap();
    receive(&store, vec![asks("from a slower member", Timestamp(NOW.0 + 2))]);
    assert_eq!(acknowledged(), 0, "of before that");
    let new = LATER.plus(MINUTE);
    store.insert_received(&batch(vec![asks("new", new)]), new).unwrap();
    assert_eq!(acknowledged(), 1);
}

#[test]
fn by_how_much_a_receipt_is_late_cannot_be_known_from_the_message() {
    let late = |seed: u8| {
        let store = ClientStore::open_in_memory().unwrap();
        store.set_account(&RecoveryPhrase::from_seed16(&[seed; 16]), "Alice").unwrap();
        store.set_meta(Meta::NewAccount, b"1").unwrap();
        send(&store, 2, "hi", NOW);
        receive(&store, (0..20).map(|n| asks(&format!("h{n}"), Timestamp(NOW.0 + n))).collect());
        delays(&store)
    };
    let (one, other) = (late(1), late(3));
    assert_eq!((one.len(), other.len()), (20, 20));
    assert_ne!(one, other);
    assert!(one.iter().chain(&other).all(|delay| (0..1_000).contains(delay)));
}

#[test]
fn a_message_that_failed_is_not_edited() {
    let store = store();
    let sent = send(&store, 2, "first", NOW);
    fail(&store, &sent.id, "refused");
    assert!(matches!(store.edit(&sent.id, "second", LATER), Err(StoreError::NotAllowed(_))));
    assert_eq!(store.message(&sent.id).unwrap().unwrap().text, "first");
}

#[test]
fn a_queued_message_that_is_deleted_here_goes_from_other_devices_too_if_it_has_come_there_already() {
    let (phone, laptop) = (store(), store());
    let note = send(&phone, 1, "buy milk", NOW);
    receive(&laptop, vec![sync_copy("copy", 1, "buy milk", NOW)]);
    phone.delete(&note.id, Deletion::ThisDevice, LATER).unwrap();
    let own = person(1);
    let due = phone.due(LATER, 10, 10).unwrap();
    assert!(due.iter().all(|copy| copy.id != note.id), "it is not sent any more");
    assert!(due.iter().any(|copy| copy.recipient == own), "other devices are told");
}
