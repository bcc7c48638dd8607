//! What strangers cannot do: become contacts unseen, or take the place of what belongs to the account.

use std::time::Duration;

use super::*;
use crate::said::{QuotedMessage, Reaction};

fn after(milliseconds: u64) -> Timestamp {
    Timestamp(NOW.0 + milliseconds)
}

fn count(store: &ClientStore, sql: &str) -> i64 {
    store.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn reaction(hash: &str, from: u8, to: u8, target: Timestamp, sent_at: Timestamp) -> ReceivedItem {
    let target = QuotedMessage { author: person(to), sent_at: target };
    let reaction = Reaction { target, emoji: "🦀".to_owned(), remove: false };
    item_of(hash, heard(from, Said::Reaction(reaction), sent_at))
}

fn unsend(hash: &str, from: u8, target: Timestamp, sent_at: Timestamp) -> ReceivedItem {
    let said = Said::Unsend { author: person(from), sent_at: target, without_trace: false };
    item_of(hash, heard(from, said, sent_at))
}

fn edit(hash: &str, from: u8, target: Timestamp, text: &str, sent_at: Timestamp) -> ReceivedItem {
    let post = Post { text: text.to_owned(), ..Post::default() };
    item_of(hash, heard(from, Said::Edit { target, post }, sent_at))
}

#[test]
fn nobody_becomes_a_contact_by_what_is_not_shown() {
    let store = store();
    let notice = item_of("notice", heard(2, Said::TimerChanged, NOW));
    receive(&store, vec![notice, reaction("reaction", 3, 1, NOW, NOW)]);
    assert!(store.contact(&person(2)).unwrap().is_none());
    assert!(store.contact(&person(3)).unwrap().is_none());
    assert!(!store.documents_wait(LATER).unwrap(), "nothing of it is shared");
    // Whoever is known may say in this way, too, what they are called.
    send(&store, 4, "hi", NOW);
    receive(&store, vec![reaction("known", 4, 1, NOW, LATER)]);
    assert_eq!(store.contact(&person(4)).unwrap().unwrap().name.as_deref(), Some("Person 4"));
}

#[test]
fn nobody_becomes_a_contact_again_by_what_was_deleted() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    store.remove_contact(&person(2), LATER).unwrap();
    let replayed = ReceivedItem { stored_at: EXPIRY, ..item("h2", 2, "hi", NOW) };
    store.insert_received(&batch(vec![replayed]), EXPIRY).unwrap();
    assert!(!store.contact(&person(2)).unwrap().unwrap().approved_me);
    assert_eq!(count(&store, "SELECT count(*) FROM contact WHERE known = 1 AND approved_me = 1"), 0);
}

#[test]
fn words_about_messages_that_are_not_here_are_bounded_for_each_who_says_them() {
    let store = store();
    let words = |n: u64| {
        let at = after(1_000_000 + n);
        vec![
            reaction(&format!("r{n}"), 2, 2, after(n), at),
            unsend(&format!("u{n}"), 2, after(500_000 + n), at),
            edit(&format!("e{n}"), 3, after(n), "new", at),
        ]
    };
    receive(&store, (0..1_200).flat_map(words).collect());
    for table in ["reaction", "deleted", "edit"] {
        assert_eq!(count(&store, &format!("SELECT count(*) FROM {table}")), 1_000, "{table}");
    }
}

#[test]
fn strangers_take_no_place_from_what_was_deleted_and_edited_here() {
    let store = store();
    let mine = send(&store, 2, "helo", NOW);
    store.edit(&mine.id, "hello", after(1)).unwrap();
    let gone = receive(&store, vec![item("h1", 2, "regret", NOW)]).shown[0].id.clone();
    store.delete(&gone, Deletion::MyDevices, LATER).unwrap();
    // As if twenty thousand had spoken before.
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";
    let (deleted, edits) = (
        "INSERT INTO deleted (id, expires_at, chat, waits, since)
         SELECT randomblob(16), 1, randomblob(33), 1, 1 FROM n",
        "INSERT INTO edit (id, target, chat, sent_at, text, waits, since)
         SELECT randomblob(16), randomblob(16), randomblob(33), 1, 'x', 1, 1 FROM n",
    );
    store.tamper(&format!("{fill} {deleted}; {fill} {edits};")).unwrap();
    let more = (0..50).flat_map(|n| {
        let from = 10 + n as u8;
        [
            unsend(&format!("u{n}"), from, NOW, after(n)),
            edit(&format!("e{n}"), from, NOW, "x", after(100 + n)),
        ]
    });
    receive(&store, more.collect());
    assert_eq!(count(&store, "SELECT count(*) FROM deleted WHERE waits = 1"), 20_000);
    assert_eq!(count(&store, "SELECT count(*) FROM edit WHERE waits = 1"), 20_000);
    assert_eq!(count(&store, "SELECT count(*) FROM edit WHERE text = 'hello'"), 1);
    assert!(receive(&store, vec![item("h2", 2, "regret", NOW)]).shown.is_empty());
}

#[test]
fn what_strangers_have_set_aside_takes_no_place_from_a_contact_s() {
    let store = store();
    send(&store, 2, "hi", NOW);
    receive(&store, vec![item_of("theirs", heard(2, Said::Unknown, NOW))]);
    for from in 10..20 {
        let items =
            (0..150).map(|n| item_of(&format!("{from} {n}"), heard(from, Said::Unknown, NOW))).collect();
        receive(&store, items);
    }
    assert_eq!(store.set_aside_count().unwrap(), 1_001);
    assert_eq!(count(&store, "SELECT count(*) FROM set_aside WHERE stranger = 0"), 1);
}

#[test]
fn a_reaction_of_the_far_future_is_forgotten_like_any_other_if_its_message_never_comes() {
    let store = store();
    receive(&store, vec![reaction("r", 2, 2, NOW, Timestamp(u64::MAX))]);
    assert_eq!(count(&store, "SELECT count(*) FROM reaction"), 1);
    store.tidy(LATER.plus(Duration::from_secs(32 * 24 * 60 * 60))).unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM reaction"), 0);
}

#[test]
fn a_reaction_in_another_chat_changes_nothing() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    let changes = receive(&store, vec![reaction("r", 3, 2, NOW, LATER)]);
    assert!(changes.updated.is_empty());
    assert_eq!(count(&store, "SELECT count(*) FROM reaction"), 0);
}

#[test]
fn nobody_spends_a_receipt_that_somebody_else_sent() {
    let store = store();
    send(&store, 2, "hi", NOW);
    send(&store, 3, "hi", NOW);
    let receipt = |hash: &str, from| {
        item_of(hash, heard(from, Said::Receipt { read: false, sent_at: vec![after(9)] }, LATER))
    };
    receive(&store, vec![receipt("theirs", 2), receipt("forged", 3)]);
    receive(&store, vec![sync_copy("copy", 2, "from the phone", after(9))]);
    let row = store.message(&MessageId::of(&person(1), after(9))).unwrap().unwrap();
    assert_eq!(row.state, Some(MessageState::Delivered));
}

#[test]
fn of_many_edits_the_newest_is_read_and_no_older_text_is_kept() {
    let store = store();
    let early = (1..60).map(|n| edit(&format!("e{n}"), 2, NOW, &format!("draft {n}"), after(n)));
    receive(&store, early.collect());
    assert_eq!(store.chats(10).unwrap()[0].messages, 59, "each stands in for itself");
    receive(&store, vec![item("h1", 2, "the first words", NOW)]);
    assert_eq!(texts(&store.history(&person(2), 100, None).unwrap()), ["draft 59"]);
    receive(&store, vec![edit("old", 2, NOW, "an old draft", Timestamp(NOW.0 + 5))]);
    let kept = count(&store, "SELECT count(*) FROM edit WHERE text <> ''");
    assert_eq!(kept, 1);
    let id = MessageId::of(&person(2), NOW);
    assert_eq!(store.message_content(&id).unwrap(), None, "the words that were replaced are gone");
}
