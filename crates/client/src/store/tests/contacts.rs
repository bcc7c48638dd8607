//! Contacts, and what is refused before anything of it is kept.

use super::*;
use crate::said::{Invitation, LinkPreview};

#[test]
fn one_s_own_account_is_no_contact() {
    let store = store();
    let own = person(1);
    send(&store, 1, "a note", NOW);
    let refused = [
        store.set_nickname(&own, Some("me"), LATER),
        store.introduce(&own, "me", LATER),
        store.set_blocked(&own, true, LATER),
        store.set_muted(&own, Some(EXPIRY), LATER),
        store.remove_contact(&own, LATER),
    ];
    for result in refused {
        assert!(matches!(result, Err(StoreError::NotAllowed(_))), "{result:?}");
    }
    assert_eq!(texts(&store.history(&own, 10, None).unwrap()), ["a note"]);
}

#[test]
fn who_is_introduced_is_approved_and_named_at_once_or_not_at_all() {
    let store = store();
    let too_long = "x".repeat(MAX_NAME_BYTES + 1);
    assert!(matches!(store.introduce(&person(2), &too_long, NOW), Err(StoreError::TooLarge { .. })));
    assert!(store.contact(&person(2)).unwrap().is_none());
    store.introduce(&person(2), "Bob", NOW).unwrap();
    let contact = store.contact(&person(2)).unwrap().unwrap();
    assert_eq!((contact.nickname.as_deref(), contact.approved), (Some("Bob"), true));
}

#[test]
fn a_nickname_can_be_seen_and_means_nobody_else() {
    let store = store();
    send(&store, 2, "hi", NOW);
    let id = person(2).to_hex();
    for bad in
        ["", " \u{200b}", "\u{3164}", "me", "Me", " ME ", &id, &id.to_uppercase(), &id[2..34], &id[..60]]
    {
        let refused = store.set_nickname(&person(2), Some(bad), NOW);
        assert!(matches!(refused, Err(StoreError::NotAllowed(_))), "{bad:?}: {refused:?}");
        let refused = store.introduce(&person(3), bad, NOW);
        assert!(matches!(refused, Err(StoreError::NotAllowed(_))), "{bad:?}: {refused:?}");
    }
    for good in ["Mel", "me too", "facade", "mé"] {
        store.set_nickname(&person(2), Some(&format!(" {good} ")), NOW).unwrap();
        assert_eq!(store.contact(&person(2)).unwrap().unwrap().nickname.as_deref(), Some(good));
    }
}

#[test]
fn a_stranger_s_invisible_name_is_none() {
    let store = store();
    let mut hello = item("h1", 2, "hi", NOW);
    heard_in(&mut hello).profile =
        Some(HeardProfile { name: Some("\u{200b}\u{3164}".to_owned()), picture: None, updated: 1 });
    receive(&store, vec![hello]);
    let message = store.history(&person(2), 1, None).unwrap().pop().unwrap();
    assert_eq!(message.author_name, None);
    assert_eq!(store.chats(10).unwrap()[0].name, None);
    assert_eq!(store.contact(&person(2)).unwrap().unwrap().name, None);
}

#[test]
fn messages_carry_the_name_that_was_given_to_their_author() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    send(&store, 2, "hello", NOW);
    store.set_nickname(&person(2), Some("My sister"), NOW).unwrap();
    let names: Vec<_> = store
        .history(&person(2), 10, None)
        .unwrap()
        .into_iter()
        .map(|message| (message.outgoing, message.author_name, message.author_nickname))
        .collect();
    assert!(names.contains(&(false, Some("Person 2".to_owned()), Some("My sister".to_owned()))), "{names:?}");
    assert!(names.contains(&(true, None, None)), "{names:?}");
    assert_eq!(store.unprinted(1).unwrap()[0].author_nickname.as_deref(), Some("My sister"));
}

#[test]
fn who_is_blocked_or_has_not_been_accepted_is_named_as_such() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    let asked = |name: &str| {
        let error = store.resolve_recipient(name).unwrap_err();
        (error.to_string(), error.hint().unwrap())
    };
    let (said, hint) = asked("person 2");
    assert!(said.contains("message request"), "{said}");
    assert!(hint.contains("contact accept") && hint.contains(&person(2).to_hex()), "{hint}");
    let error = store.resolve_contact("person 2").unwrap_err();
    assert!(matches!(error, RecipientError::Request { .. }), "{error}");

    send(&store, 2, "hello", NOW);
    store.set_blocked(&person(2), true, NOW).unwrap();
    let (said, hint) = asked("Person 2");
    assert_eq!(said, "you have blocked Person 2");
    assert_eq!(hint, format!("`conclave contact unblock {}` takes that back", person(2).to_hex()));
    assert_eq!(store.resolve_contact("Person 2").unwrap(), person(2));
    assert!(matches!(store.resolve_recipient("Person 9"), Err(RecipientError::Unknown { .. })));
}

#[test]
fn a_name_that_could_mean_several_says_whom() {
    let store = store();
    receive(&store, vec![item("h1", 2, "hi", NOW)]);
    for other in [2, 3] {
        send(&store, other, "hi", NOW);
        store.set_nickname(&person(other), Some("Sam"), NOW).unwrap();
    }
    let error = store.resolve_recipient("sam").unwrap_err();
    assert_eq!(error.to_string(), "2 contacts are called \"sam\"");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("{} (Sam, who says Person 2)", person(2).to_hex())), "{hint}");
    assert!(hint.contains(&format!("{} (Sam)", person(3).to_hex())), "{hint}");
}

#[test]
fn what_the_document_refuses_is_not_said_to_be_in_it() {
    let store = store();
    // No account, so no contact.
    let group = AccountId::from_hex(&format!("03{}", &person(2).to_hex()[2..])).unwrap();
    store.set_priority(&group, 1, NOW).unwrap();
    let known: bool = store
        .connection()
        .query_row("SELECT known FROM contact WHERE id = ?1", [group.as_bytes()], |row| row.get(0))
        .unwrap();
    assert!(!known);
}

#[test]
fn a_profile_that_was_changed_twice_within_a_second_is_taken_twice() {
    let store = store();
    // The second change is said to be of the second to come.
    for (ahead, name) in [(0, "Ann"), (1, "Anna"), (2, "Anne")] {
        let mut item = item(name, 2, "hi", Timestamp(NOW.0 + ahead));
        let updated = NOW.0 / 1_000 + ahead;
        heard_in(&mut item).profile =
            Some(HeardProfile { name: Some(name.to_owned()), picture: None, updated });
        receive(&store, vec![item]);
        assert_eq!(store.contact(&person(2)).unwrap().unwrap().name.as_deref(), Some(name));
    }
}

#[test]
fn a_profile_from_the_future_is_news_once() {
    let store = store();
    let says = |hash: &str, name: &str, sent_at: Timestamp| {
        let mut item = item(hash, 2, hash, sent_at);
        let profile = HeardProfile { name: Some(name.to_owned()), picture: None, updated: 9_000_000_000 };
        heard_in(&mut item).profile = Some(profile);
        item
    };
    let at = |seconds: u64| LATER.plus(std::time::Duration::from_secs(seconds));
    let set = || -> i64 {
        let connection = store.connection();
        connection.query_row("SELECT profile_at FROM contact", [], |row| row.get(0)).unwrap()
    };
    let name = || store.contact(&person(2)).unwrap().unwrap().name.unwrap();
    store.insert_received(&batch(vec![says("h1", "Bob", at(0))]), at(0)).unwrap();
    let first = set();
    store.insert_received(&batch(vec![says("h2", "Bob", at(60))]), at(60)).unwrap();
    assert_eq!((set(), name().as_str()), (first, "Bob"));
    store.insert_received(&batch(vec![says("h3", "Robert", at(120))]), at(120)).unwrap();
    assert!(set() > first);
    assert_eq!(name(), "Robert");
}

#[test]
fn requests_stand_below_all_other_chats() {
    let store = store();
    send(&store, 2, "hi", NOW);
    send(&store, 1, "a note", NOW);
    for from in 10..20 {
        receive(&store, vec![item(&format!("h{from}"), from, "buy this", LATER)]);
    }
    let chats = store.chats(3).unwrap();
    assert_eq!(chats.iter().map(|chat| chat.request).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn what_comes_with_a_text_is_refused_before_anything_is_queued() {
    let store = store();
    let link = "https://example.org";
    let preview =
        |url: &str, title: &str| Some(LinkPreview { url: url.to_owned(), title: Some(title.to_owned()) });
    let text = OutgoingMessage::text(person(2), format!("see {link}"));
    let long = "x".repeat(2_001);
    let elsewhere = OutgoingMessage { preview: preview("https://example.com", "no"), ..text.clone() };
    assert!(matches!(store.enqueue(&elsewhere, NOW), Err(StoreError::NotAllowed(_))));
    let invitation = Some(Invitation { url: long.clone(), name: "Room".to_owned() });
    for too_large in [
        OutgoingMessage { preview: preview(link, &long), ..text.clone() },
        OutgoingMessage { invitation, ..text.clone() },
    ] {
        let error = store.enqueue(&too_large, NOW).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { size: 2_001, limit: 2_000, .. }), "{error}");
    }
    assert!(store.due(LATER, 10, 10).unwrap().is_empty() && store.chats(10).unwrap().is_empty());
    store.enqueue(&OutgoingMessage { preview: preview(link, "Example"), ..text }, NOW).unwrap();
}
