//! Profile pictures: whose are fetched, and what goes when another is chosen.

use conclave_confsync::Picture;

use super::*;
use crate::said::FileKey;

fn picture(n: u8) -> Picture {
    Picture { url: format!("http://192.0.2.1:1/file/{n}"), key: [n; 32] }
}

/// Somebody writes, and their program says which picture they have.
fn hear_picture(store: &ClientStore, from: u8, picture: Option<Picture>, number: u64) {
    let mut hello = item(&format!("{from} {number}"), from, "hi", Timestamp(NOW.0 + number));
    heard_in(&mut hello).profile = Some(HeardProfile {
        name: Some(format!("Person {from}")),
        picture: Some(picture.map(|picture| (picture.url, picture.key.to_vec()))),
        updated: 1_600_000_000 + number,
    });
    receive(store, vec![hello]);
}

fn due(store: &ClientStore) -> Vec<PictureRow> {
    store.due_pictures(LATER).unwrap().0
}

fn whose(rows: &[PictureRow]) -> Vec<(AccountId, Picture)> {
    rows.iter().map(|row| (row.account, row.picture.clone())).collect()
}

fn come(store: &ClientStore, blob: &str) {
    let row = due(store).pop().unwrap();
    let changes = store.finish_picture(&row, blob, EXPIRY, LATER).unwrap();
    assert!(changes.chats.contains(&row.account));
}

fn mark(store: &ClientStore, of: u8) -> Option<String> {
    store.contact(&person(of)).unwrap().unwrap().picture
}

#[test]
fn a_contact_s_picture_is_fetched_and_a_stranger_s_is_not() {
    let store = store();
    send(&store, 2, "hi", NOW);
    hear_picture(&store, 2, Some(picture(2)), 1);
    hear_picture(&store, 3, Some(picture(3)), 1);
    assert_eq!(whose(&due(&store)), [(person(2), picture(2))]);
    store.accept(&person(3), LATER).unwrap();
    assert_eq!(due(&store).len(), 2, "whoever is accepted is seen");
    store.set_blocked(&person(3), true, LATER).unwrap();
    assert_eq!(whose(&due(&store)), [(person(2), picture(2))]);
    assert_eq!(mark(&store, 2), None, "it is not here yet");
    come(&store, "0123456789abcdef and more");
    assert_eq!(mark(&store, 2).as_deref(), Some("0123456789abcdef"));
    assert_eq!(store.chats(10).unwrap().iter().filter(|chat| chat.picture.is_some()).count(), 1);
    assert!(due(&store).is_empty());
}

#[test]
fn another_picture_takes_the_place_of_the_last_and_none_takes_it_away() {
    let store = store();
    send(&store, 2, "hi", NOW);
    hear_picture(&store, 2, Some(picture(2)), 1);
    come(&store, "first-0123456789");
    let last = store.picture(&person(2)).unwrap().unwrap();
    hear_picture(&store, 2, Some(picture(4)), 2);
    let (rows, changes) = store.due_pictures(LATER).unwrap();
    assert_eq!(whose(&rows), [(person(2), picture(4))]);
    assert!(changes.chats.contains(&person(2)) && changes.files, "who shows it looks again, its bytes go");
    assert_eq!(store.blobs_in_use().unwrap().0, Vec::<String>::new());
    // What was fetched of the last one comes too late.
    assert!(store.finish_picture(&last, "late", EXPIRY, LATER).unwrap().chats.is_empty());
    assert_eq!(mark(&store, 2), None);
    come(&store, "second-0123456789");
    hear_picture(&store, 2, None, 3);
    assert!(due(&store).is_empty() && mark(&store, 2).is_none());
}

#[test]
fn what_cannot_be_fetched_is_given_up_until_another_is_chosen() {
    let store = store();
    send(&store, 2, "hi", NOW);
    hear_picture(&store, 2, Some(picture(2)), 1);
    for _ in 0..MAX_PICTURE_FETCHES {
        let row = due(&store).pop().unwrap();
        store.postpone_picture(row.row, NOW).unwrap();
    }
    assert!(due(&store).is_empty() && store.next_picture_due().unwrap().is_none());
    hear_picture(&store, 2, Some(picture(4)), 2);
    assert_eq!(due(&store).len(), 1);
}

#[test]
fn the_own_picture_is_stored_again_in_time_and_deleted_when_another_is_chosen() {
    let store = store();
    let stored = |n: u8| StoredPicture {
        chunks: Some((vec![n; 40], FileKey::of_bytes(vec![n; 32]).unwrap())),
        keyed_at: NOW,
        again_at: EXPIRY,
    };
    let changes =
        store.set_own_picture(Some(&picture(1)), Some(("blob-0123456789ab", &stored(1))), NOW).unwrap();
    assert!(changes.profile && changes.to_push, "the other devices are told");
    assert_eq!(store.own_picture_mark().unwrap().as_deref(), Some("blob-0123456789a"));
    assert!(due(&store).is_empty(), "it was stored just now");
    let again = store.due_pictures(EXPIRY).unwrap().0;
    assert_eq!(whose(&again), [(person(1), picture(1))]);
    assert_eq!(again[0].file_key.as_ref().map(FileKey::as_bytes), Some(&[1; 32]));
    assert!(store.due_gone_files(EXPIRY).unwrap().is_empty());
    store.set_own_picture(Some(&picture(2)), Some(("other-0123456789", &stored(2))), LATER).unwrap();
    let gone = store.due_gone_files(EXPIRY).unwrap();
    assert_eq!(gone.iter().map(|gone| gone.manifest.clone()).collect::<Vec<_>>(), [Some(vec![1; 40])]);
    store.set_own_picture(None, None, LATER).unwrap();
    assert_eq!(store.due_gone_files(EXPIRY).unwrap().len(), 2);
    assert_eq!((store.own_picture_mark().unwrap(), store.picture(&person(1)).unwrap()), (None, None));
}
