//! What several devices of one account come to. Each of these was a world of the simulation that went wrong.

use std::time::Duration;

use super::*;
use crate::said::{QuotedMessage, Reaction, Speech};

const MINUTE: Duration = Duration::from_secs(60);

/// What one device would push, taken in by another.
pub(super) fn share(from: &ClientStore, to: &ClientStore, now: Timestamp) -> Changes {
    let mut all = Changes::default();
    let mut done = Vec::new();
    for push in from.document_pushes(now).unwrap() {
        let hash =
            |entry: &Vec<u8>| conclave_proto::MessageHash::of(&person(1), push.namespace, entry).to_string();
        let hashes: Vec<String> = push.entries.iter().map(hash).collect();
        let entries = hashes.iter().cloned().zip(push.entries.clone());
        let received = ReceivedEntries {
            snode: member(),
            namespace: push.namespace,
            last_hash: None,
            entries: entries.map(|(hash, entry)| (hash, now, entry)).collect(),
        };
        let changes = to.merge_entries(&received, now).unwrap();
        all.shown.extend(changes.shown);
        all.chats.extend(changes.chats);
        done.push((push.namespace, push.seqno, hashes));
    }
    from.documents_stored(&done, now).unwrap();
    all
}

/// With the bytes that it came as: what is set aside is read from them again.
pub(super) fn as_it_came(mut item: ReceivedItem, speech: &Speech<'_>) -> ReceivedItem {
    let heard = heard_in(&mut item);
    heard.content = speech.content(heard.sent_at, Default::default(), None, false).to_bytes();
    item
}

fn unread(store: &ClientStore) -> u64 {
    store.chats(10).unwrap()[0].unread
}

fn reactions(store: &ClientStore, id: &MessageId) -> usize {
    store.message(id).unwrap().unwrap().reactions.len()
}

#[test]
fn whoever_writes_has_read_what_came_before_on_this_device_too() {
    let store = store();
    receive(&store, vec![item("h1", 2, "a question", NOW)]);
    assert_eq!(unread(&store), 1);
    send(&store, 2, "an answer", LATER);
    assert_eq!(unread(&store), 0);
}

#[test]
fn what_was_read_elsewhere_is_read_in_a_chat_that_is_made_later() {
    let (phone, laptop) = (store(), store());
    let shown = receive(&phone, vec![item("h1", 2, "hi", NOW)]).shown;
    phone.mark_read(&shown[0].id, LATER).unwrap();
    share(&phone, &laptop, LATER);
    receive(&laptop, vec![item("h1", 2, "hi", NOW)]);
    assert_eq!(unread(&laptop), 0);
    phone.set_unread(&person(2), true, LATER).unwrap();
    let tablet = super::store();
    share(&phone, &tablet, LATER);
    receive(&tablet, vec![item("h1", 2, "hi", NOW)]);
    assert!(tablet.chats(10).unwrap()[0].marked_unread);
}

#[test]
fn a_mark_by_hand_goes_with_its_document_only() {
    let (phone, laptop) = (store(), store());
    receive(&phone, vec![item("h1", 2, "hi", NOW)]);
    receive(&laptop, vec![item("h1", 2, "hi", NOW)]);
    phone.set_unread(&person(2), true, LATER).unwrap();
    share(&phone, &laptop, LATER);
    // Written before the mark was made, and arriving after it.
    receive(&laptop, vec![sync_copy("h2", 2, "bye", Timestamp(NOW.0 + 5))]);
    assert!(laptop.chats(10).unwrap()[0].marked_unread);
}

#[test]
fn a_mark_that_is_taken_back_goes_on_all_devices_also_where_nothing_was_ever_read() {
    let (phone, laptop) = (store(), store());
    let marked = |store: &ClientStore| store.read_position(&person(1)).unwrap().1;
    for device in [&phone, &laptop] {
        send(device, 1, "a note to myself", NOW);
    }
    for unread in [true, false, true] {
        phone.set_unread(&person(1), unread, LATER).unwrap();
        assert!(share(&phone, &laptop, LATER).chats.contains(&person(1)));
        assert_eq!((marked(&phone), marked(&laptop)), (unread, unread));
    }
}

#[test]
fn a_mark_that_a_merge_has_lost_is_gone_on_the_device_that_made_it_as_well() {
    let marked = |store: &ClientStore| store.read_position(&person(1)).unwrap().1;
    let mut lost = 0;
    // One device takes the last chat out of the document while another marks one in it, and both push that. Which version is
    // greater is chance.
    for chance in 0..16 {
        let (phone, laptop) = (store(), store());
        let at = Timestamp(NOW.0 + chance);
        for device in [&phone, &laptop] {
            receive(device, vec![item("h1", 2, "hi", at)]);
            send(device, 1, "a note to myself", at);
        }
        let read = phone.history(&person(2), 1, None).unwrap();
        phone.mark_read(&read[0].id, LATER).unwrap();
        share(&phone, &laptop, LATER);
        phone.remove_contact(&person(2), LATER).unwrap();
        laptop.set_unread(&person(1), true, LATER).unwrap();
        laptop.document_pushes(LATER).unwrap();
        share(&phone, &laptop, LATER.plus(MINUTE));
        share(&laptop, &phone, LATER.plus(2 * MINUTE));
        assert_eq!(marked(&phone), marked(&laptop), "{chance}");
        lost += u32::from(!marked(&laptop));
    }
    assert!((1..16).contains(&lost), "{lost}");
}

#[test]
fn a_mark_that_is_taken_back_on_a_position_of_long_ago_goes_on_all_devices() {
    let (phone, laptop) = (store(), store());
    for device in [&phone, &laptop] {
        let shown = receive(device, vec![item("h1", 2, "hi", NOW)]).shown;
        device.mark_read(&shown[0].id, NOW).unwrap();
    }
    phone.set_unread(&person(2), true, LATER).unwrap();
    share(&phone, &laptop, LATER);
    assert!(laptop.chats(10).unwrap()[0].marked_unread);
    // With the mark goes the whole entry, since the position is too old to be kept.
    let months_later = LATER.plus(90 * 24 * 60 * MINUTE);
    phone.set_unread(&person(2), false, months_later).unwrap();
    share(&phone, &laptop, months_later);
    assert!(!laptop.chats(10).unwrap()[0].marked_unread);
}

#[test]
fn a_device_that_was_away_for_long_keeps_whom_it_met_and_follows_the_others_in_all_else() {
    let (phone, laptop, tablet) = (store(), store(), store());
    let at = |minutes: u32| NOW.plus(minutes * MINUTE);
    for (contact, name) in [(2, "Bob"), (3, "Carol")] {
        phone.set_nickname(&person(contact), Some(name), NOW).unwrap();
    }
    share(&phone, &laptop, at(1));
    // Away: its changes wait.
    send(&phone, 4, "hello Dave", at(2));
    phone.set_nickname(&person(3), Some("Caroline"), at(2)).unwrap();
    // The others go on, by more versions than are merged.
    laptop.remove_contact(&person(2), at(3)).unwrap();
    for version in 3..12 {
        laptop.set_nickname(&person(3), Some(&format!("Carol {version}")), at(version)).unwrap();
        share(&laptop, &tablet, at(version));
    }
    laptop.set_nickname(&person(3), Some("Carola"), at(12)).unwrap();
    share(&laptop, &phone, at(12));
    share(&phone, &laptop, at(13));
    for device in [&phone, &laptop] {
        let name = |n: u8| device.contact(&person(n)).unwrap().and_then(|contact| contact.nickname);
        assert_eq!((name(2), name(3)), (None, Some("Carola".to_owned())));
        assert!(device.contact(&person(4)).unwrap().unwrap().approved);
    }
    assert_eq!(phone.history(&person(4), 10, None).unwrap().len(), 1);
}

#[test]
fn that_a_request_was_accepted_is_shown_once_whatever_came_first() {
    let accepted = |hash: &str, at: u64| {
        as_it_came(item_of(hash, heard(2, Said::Accepted, Timestamp(NOW.0 + at))), &Speech::Accepted)
    };
    let answer = item("answer", 2, "with pleasure", Timestamp(NOW.0 + 20));
    let asked = sync_copy("asked", 2, "may I?", NOW);
    let (first, second) = (accepted("first", 10), accepted("second", 30));
    let orders = [
        vec![asked.clone(), first.clone(), answer.clone(), second.clone()],
        vec![asked.clone(), answer.clone(), second.clone(), first.clone()],
        // What was asked from another device may be heard of last.
        vec![second, first, answer, asked],
    ];
    let stores = orders.map(|items| {
        let store = store();
        receive(&store, items);
        let rows = store.history(&person(2), 10, None).unwrap();
        rows.into_iter().map(|row| (row.id, row.kind)).collect::<Vec<_>>()
    });
    let accepted = stores[0].iter().filter(|(_, kind)| *kind == RowKind::Accepted).count();
    assert_eq!(accepted, 1);
    assert_eq!(stores[0], stores[1]);
    assert_eq!(stores[0], stores[2]);
}

#[test]
fn settings_of_a_contact_are_as_the_document_keeps_them_on_the_device_that_made_them() {
    let (phone, laptop) = (store(), store());
    send(&phone, 2, "hi", NOW);
    phone.set_muted(&person(2), Some(Timestamp(LATER.0 + 123)), NOW).unwrap();
    share(&phone, &laptop, LATER);
    let muted = |store: &ClientStore| store.contact(&person(2)).unwrap().unwrap().muted_until;
    assert!(muted(&phone).is_some());
    assert_eq!(muted(&phone), muted(&laptop));
}

#[test]
fn an_edit_comes_after_what_it_edits_whatever_the_clock_says() {
    let store = store();
    // Written on a device whose clock is right; this one's is a minute behind.
    let shown = receive(&store, vec![sync_copy("h", 2, "helo", LATER)]).shown;
    store.edit(&shown[0].id, "hello", NOW).unwrap();
    store.edit(&shown[0].id, "hello!", NOW).unwrap();
    let row = store.message(&shown[0].id).unwrap().unwrap();
    assert_eq!(row.text, "hello!");
    assert!(row.edited_at.unwrap() > LATER);
}

#[test]
fn a_reaction_is_taken_back_whatever_the_clock_says() {
    let store = store();
    let id = receive(&store, vec![item("h1", 2, "hi", NOW)]).shown[0].id.clone();
    let target = QuotedMessage { author: person(2), sent_at: NOW };
    let reaction = Reaction { target, emoji: "🦀".to_owned(), remove: false };
    let mut elsewhere = item_of("h2", heard(1, Said::Reaction(reaction), LATER));
    heard_in(&mut elsewhere).sync_target = Some(person(2));
    receive(&store, vec![elsewhere]);
    assert_eq!(reactions(&store, &id), 1);
    store.react(&id, "🦀", true, NOW).unwrap();
    assert_eq!(reactions(&store, &id), 0);
}

#[test]
fn a_reaction_counts_here_from_when_it_does_on_other_devices() {
    let store = store();
    let id = receive(&store, vec![item("h1", 2, "hi", NOW)]).shown[0].id.clone();
    store.react(&id, "🦀", false, LATER).unwrap();
    let due = store.due(LATER, 10, 10).unwrap();
    let copy = due.iter().find(|due| due.copy == Copy::OwnSync).unwrap();
    let noted: i64 =
        store.connection().query_row("SELECT sent_at FROM reaction", [], |row| row.get(0)).unwrap();
    assert_eq!(timestamp(noted), copy.sent_at);
    // No two of an account share a timestamp: Android drops the second (client-messages 4.5).
    let to_peer = due.iter().find(|due| due.copy == Copy::Recipient).unwrap();
    assert_ne!(to_peer.sent_at, copy.sent_at);
}

#[test]
fn what_is_deleted_on_one_device_stays_in_the_swarm_for_the_others() {
    let tasks = |how: Deletion| {
        let store = store();
        let id = receive(&store, vec![sync_copy("h1", 2, "helo", NOW)]).shown[0].id.clone();
        store.edit(&id, "hello", LATER).unwrap();
        let edit = store.due(LATER, 10, 10).unwrap()[0].id.clone();
        signed_by(&store, &edit, Copy::OwnSync, 5, 5, "h2");
        store.delete(&id, how, LATER).unwrap();
        let post = Post { text: "hello!".to_owned(), ..Post::default() };
        let mut again = item_of("h3", heard(1, Said::Edit { target: NOW, post }, Timestamp(LATER.0 + 9)));
        heard_in(&mut again).sync_target = Some(person(2));
        assert!(receive(&store, vec![again, sync_copy("h4", 2, "helo", NOW)]).shown.is_empty());
        let tasks = store.own_swarm_tasks(LATER.plus(MINUTE), 10).unwrap();
        tasks.into_iter().map(|task| task.hash).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(tasks(Deletion::ThisDevice).is_empty());
    assert_eq!(tasks(Deletion::MyDevices), ["h1", "h2", "h3", "h4"].map(str::to_owned).into());
}

#[test]
fn an_edit_made_elsewhere_reads_nothing_whether_or_not_its_message_came_first() {
    let post = Post { text: "hello".to_owned(), ..Post::default() };
    let mut edit = item_of("h3", heard(1, Said::Edit { target: NOW, post }, LATER));
    heard_in(&mut edit).sync_target = Some(person(2));
    let message = sync_copy("h1", 2, "helo", NOW);
    let answer = item("h2", 2, "hi", Timestamp(NOW.0 + 5));
    for items in [[&message, &answer, &edit], [&edit, &answer, &message]] {
        let store = store();
        receive(&store, items.map(Clone::clone).into());
        assert_eq!(unread(&store), 1);
    }
}

#[test]
fn an_edit_of_a_note_to_oneself_goes_from_the_swarm_with_the_note() {
    let store = store();
    let id = send(&store, 1, "milk", NOW).id;
    signed_by(&store, &id, Copy::Recipient, 5, 5, "h1");
    store.edit(&id, "milk, eggs", LATER).unwrap();
    let edit = store.due(LATER, 10, 10).unwrap()[0].id.clone();
    signed_by(&store, &edit, Copy::Recipient, 5, 5, "h2");
    store.delete(&id, Deletion::MyDevices, LATER).unwrap();
    let tasks = store.own_swarm_tasks(LATER.plus(MINUTE), 10).unwrap();
    let deleted: std::collections::BTreeSet<String> = tasks.into_iter().map(|task| task.hash).collect();
    assert_eq!(deleted, ["h1", "h2"].map(str::to_owned).into());
}

#[test]
fn what_others_have_one_s_other_devices_get_though_it_is_deleted_here() {
    let store = store();
    let id = send(&store, 2, "hi", NOW).id;
    signed_by(&store, &id, Copy::Recipient, 3, 5, "h");
    store.delete(&id, Deletion::ThisDevice, LATER).unwrap();
    let waiting: Vec<Copy> = store.due(LATER, 10, 10).unwrap().into_iter().map(|due| due.copy).collect();
    assert_eq!(waiting, [Copy::OwnSync]);
    signed_by(&store, &id, Copy::OwnSync, 3, 5, "own");
    assert!(store.own_swarm_tasks(LATER, 10).unwrap().is_empty());
}

#[test]
fn what_came_for_a_hidden_chat_is_there_when_another_device_shows_it_again() {
    let (phone, laptop) = (store(), store());
    send(&phone, 2, "hi", NOW);
    share(&phone, &laptop, NOW);
    phone.set_priority(&person(2), -1, LATER.plus(4 * MINUTE)).unwrap();
    share(&phone, &laptop, LATER.plus(5 * MINUTE));
    let speech = Speech::Post { text: "hello?", quote: None, preview: None, invitation: None, files: &[] };
    let old = as_it_came(item("h1", 2, "hello?", NOW), &speech);
    assert!(receive(&laptop, vec![old]).shown.is_empty(), "it is older than that word");
    phone.set_priority(&person(2), 0, LATER.plus(6 * MINUTE)).unwrap();
    assert_eq!(texts(&share(&phone, &laptop, LATER.plus(7 * MINUTE)).shown), ["hello?"]);
}

#[test]
fn a_message_that_brings_back_its_own_earlier_copy_is_there_once() {
    let (phone, laptop) = (store(), store());
    send(&phone, 2, "hi", NOW);
    share(&phone, &laptop, NOW);
    phone.set_priority(&person(2), -1, LATER.plus(4 * MINUTE)).unwrap();
    share(&phone, &laptop, LATER.plus(5 * MINUTE));
    let speech = Speech::Post { text: "hello?", quote: None, preview: None, invitation: None, files: &[] };
    let old = as_it_came(item("h1", 2, "hello?", NOW), &speech);
    let again = ReceivedItem { hash: "h2".into(), stored_at: LATER.plus(6 * MINUTE), ..old.clone() };
    receive(&laptop, vec![old]);
    assert_eq!(texts(&receive(&laptop, vec![again]).shown), ["hello?"]);
}

#[test]
fn what_a_stranger_says_about_timers_is_shown_once_they_are_written_to_whatever_came_first() {
    let mut notice = heard(2, Said::TimerChanged, NOW);
    notice.expiration = conclave_proto::content::Expiration::AfterRead(10);
    let speech = Speech::TimerChanged;
    let notice = as_it_came(item_of("notice", notice), &speech);
    let ours = sync_copy("ours", 2, "who are you?", LATER);
    let theirs = item("theirs", 2, "hi", Timestamp(NOW.0 + 1));
    let orders = [
        vec![notice.clone(), theirs.clone(), ours.clone()],
        vec![theirs.clone(), notice.clone(), ours.clone()],
        vec![ours, theirs, notice],
    ];
    for items in orders {
        let store = store();
        receive(&store, items);
        let rows = store.history(&person(2), 10, None).unwrap();
        let kinds: Vec<RowKind> = rows.into_iter().map(|row| row.kind).collect();
        assert_eq!(kinds, [RowKind::TimerChanged, RowKind::Post, RowKind::Post]);
    }
}

#[test]
fn what_waited_for_a_contact_is_erased_with_them() {
    let (phone, laptop) = (store(), store());
    send(&phone, 2, "hi", NOW);
    share(&phone, &laptop, NOW);
    phone.set_priority(&person(2), -1, LATER.plus(4 * MINUTE)).unwrap();
    share(&phone, &laptop, LATER.plus(5 * MINUTE));
    let speech = Speech::Post { text: "hello?", quote: None, preview: None, invitation: None, files: &[] };
    receive(&laptop, vec![as_it_came(item("h1", 2, "hello?", NOW), &speech)]);
    phone.remove_contact(&person(2), LATER.plus(6 * MINUTE)).unwrap();
    share(&phone, &laptop, LATER.plus(7 * MINUTE));
    let kept: i64 =
        laptop.connection().query_row("SELECT count(*) FROM set_aside", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
    phone.set_nickname(&person(2), Some("Bob"), LATER.plus(8 * MINUTE)).unwrap();
    assert!(share(&phone, &laptop, LATER.plus(9 * MINUTE)).shown.is_empty());
}

#[test]
fn whoever_wrote_elsewhere_has_read_what_came_before_though_the_clock_here_is_behind() {
    let store = store();
    let soon = |milliseconds: u64| Timestamp(LATER.0 + milliseconds);
    receive(&store, vec![sync_copy("h2", 2, "an answer", soon(700)), item("h1", 2, "a question", soon(400))]);
    assert_eq!(unread(&store), 0);
}

#[test]
fn two_devices_whose_clocks_are_behind_answer_the_same_message_at_different_times() {
    let said_at = NOW.plus(Duration::from_secs(5));
    let mut times = Vec::new();
    for millis in [3, 41] {
        let device = store();
        receive(&device, vec![item("h1", 2, "how are you?", said_at)]);
        let answer = send(&device, 2, "fine", NOW.plus(Duration::from_millis(millis)));
        assert!(answer.sent_at > said_at, "below what it answers");
        let next = send(&device, 2, "and you?", NOW.plus(Duration::from_millis(millis)));
        assert_eq!(
            next.sent_at,
            Timestamp(answer.sent_at.0 + 1),
            "what follows is no further ahead than need be"
        );
        times.push(answer.sent_at);
    }
    assert_ne!(times[0], times[1], "of one author and time they were one message");
}

#[test]
fn whoever_edits_what_another_device_said_later_than_this_clock_takes_no_time_that_one_may_take() {
    let said_at = NOW.plus(Duration::from_secs(5));
    for millis in [3, 41] {
        let device = store();
        let mut own = item("h1", 1, "said elsewhere", said_at);
        heard_in(&mut own).sync_target = Some(person(2));
        receive(&device, vec![own]);
        let id = MessageId::of(&person(1), said_at);
        device.edit(&id, "edited here", NOW.plus(Duration::from_millis(millis))).unwrap();
        let edited_at = device.message(&id).unwrap().unwrap().edited_at;
        assert_eq!(
            edited_at,
            Some(said_at.plus(Duration::from_millis(millis + 1))),
            "the next is that device's"
        );
    }
}

#[test]
fn of_two_devices_that_read_at_one_time_both_have_read_what_one_did() {
    let unread = |store: &ClientStore| store.chats(10).unwrap()[0].unread;
    for phone_is_first in [true, false] {
        let (phone, laptop) = (store(), store());
        send(&phone, 2, "hi", NOW);
        share(&phone, &laptop, NOW);
        for device in [&phone, &laptop] {
            receive(device, vec![item("h1", 2, "one", LATER), item("h2", 2, "two", Timestamp(LATER.0 + 1))]);
        }
        let id = |text: &str| {
            let rows = phone.history(&person(2), 10, None).unwrap();
            rows.into_iter().find(|row| row.text == text).unwrap().id
        };
        let read_at = LATER.plus(MINUTE);
        phone.mark_read(&id("two"), read_at).unwrap();
        laptop.mark_read(&id("one"), read_at).unwrap();
        assert_eq!((unread(&phone), unread(&laptop)), (0, 1));
        let (first, second) = if phone_is_first { (&phone, &laptop) } else { (&laptop, &phone) };
        for round in 1..=3 {
            share(first, second, read_at.plus(round * MINUTE));
            share(second, first, read_at.plus(round * MINUTE));
        }
        assert_eq!((unread(&phone), unread(&laptop)), (0, 0));
    }
}
