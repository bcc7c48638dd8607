//! Files of messages: a message waits for them, and they go when it goes.

use std::time::Duration;

use conclave_proto::chunk::ChunkHash;

use super::*;
use crate::said::{File, Pointer};

const MINUTE: Duration = Duration::from_secs(60);

fn new_file(n: u8) -> NewFile {
    NewFile {
        file: File { name: Some(format!("{n}.txt")), size: 10, ..File::default() },
        pointer: Pointer {
            url: Some(format!("http://a.example/file/{n}")),
            key: vec![n; 64],
            digest: Some(vec![n; 32]),
        },
        blob: format!("blob-{n}"),
        manifest: Some(vec![n; 40]),
        file_key: crate::said::FileKey::of_bytes(vec![n; 32]).unwrap(),
    }
}

fn send_files(store: &ClientStore, files: &[u8]) -> MessageRow {
    let files = files.iter().copied().map(new_file).collect();
    store.enqueue(&OutgoingMessage { files, ..OutgoingMessage::text(person(2), "look") }, NOW).unwrap().0
}

fn due(store: &ClientStore) -> usize {
    store.due(LATER, 100, 100).unwrap().len()
}

/// The job that a file is in has ended well.
fn finish(store: &ClientStore, row: i64, now: Timestamp) -> Result<Changes, StoreError> {
    let begun = store.file_by_row(row).unwrap().unwrap().state;
    store.finish_file(row, begun, now)
}

/// Or not.
fn trouble(
    store: &ClientStore,
    row: i64,
    reason: &str,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Result<Changes, StoreError> {
    let begun = store.file_by_row(row).unwrap().unwrap().state;
    store.note_file_trouble(row, begun, reason, next, now)
}

/// Somebody sends a file.
fn hear_file(store: &ClientStore) -> MessageId {
    let post = Post {
        text: "from me".to_owned(),
        details: crate::said::Details {
            files: vec![File { size: 7, ..File::default() }],
            ..Default::default()
        },
        pointers: vec![new_file(9).pointer],
        ..Post::default()
    };
    let changes = receive(store, vec![item_of("hash", heard(2, Said::Post(post), NOW))]);
    changes.shown[0].id.clone()
}

#[test]
fn a_message_is_sent_when_the_last_of_its_files_is_stored_and_not_before() {
    let store = store();
    let message = send_files(&store, &[1, 2]);
    assert_eq!((due(&store), store.next_due(NOW).unwrap()), (0, None));
    let files = store.due_files(NOW).unwrap();
    assert_eq!(files.iter().map(|file| file.state).collect::<Vec<_>>(), [FileState::Sending; 2]);
    // Whatever makes other messages be tried at once makes no exception of it.
    store.retry_all(NOW).unwrap();
    store.hurry(&person(2), Copy::Recipient, NOW).unwrap();
    let changes = finish(&store, files[0].row, NOW).unwrap();
    assert_eq!((due(&store), changes.to_send), (0, false));
    let changes = finish(&store, files[1].row, NOW).unwrap();
    assert_eq!((due(&store), changes.to_send), (2, true), "to the recipient and to one's own devices");
    let shown = store.message(&message.id).unwrap().unwrap();
    assert!(shown.files.iter().all(|file| file.state == FileState::Here));
    assert_eq!(shown.files[1].pointer, new_file(2).pointer);
    assert!(store.due_files(LATER).unwrap().is_empty());
}

#[test]
fn a_file_that_cannot_be_stored_for_good_fails_its_message_and_can_be_sent_again() {
    let store = store();
    let message = send_files(&store, &[1]);
    let row = store.due_files(NOW).unwrap()[0].row;
    trouble(&store, row, "no room", Some(LATER), NOW).unwrap();
    assert!(store.due_files(NOW).unwrap().is_empty(), "later");
    assert_eq!(store.next_file_due(NOW).unwrap(), Some(LATER));
    assert_eq!(store.message(&message.id).unwrap().unwrap().state, Some(MessageState::Queued));
    let changes = trouble(&store, row, "refused", None, LATER).unwrap();
    let failed = store.message(&message.id).unwrap().unwrap();
    assert_eq!((failed.state, failed.reason.as_deref()), (Some(MessageState::Failed), Some("refused")));
    assert!(changes.states.iter().any(|row| row.id == message.id), "it is told");
    assert_eq!(failed.files[0].state, FileState::Failed);
    // What was encrypted is used again, under another key: what the message that failed takes out of swarms with it is not this.
    let again = OutgoingMessage {
        files: files_again(&failed, &mut conclave_testkit::rng(1)),
        ..OutgoingMessage::text(person(2), "look")
    };
    let sent = store.enqueue(&again, LATER).unwrap().0;
    store.delete(&message.id, Deletion::MyDevices, LATER).unwrap();
    let gone = store.due_gone_files(LATER.plus(MINUTE)).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].file_key, Some(new_file(1).file_key));
    assert_ne!(gone[0].file_key, store.file(&sent.id, 0).unwrap().file_key);
    assert_eq!(store.blobs_in_use().unwrap().0, ["blob-1"]);
    assert_eq!(store.file(&sent.id, 0).unwrap().state, FileState::Sending);
}

#[test]
fn nothing_is_stored_for_a_message_that_was_taken_back() {
    let store = store();
    let message = send_files(&store, &[1]);
    fail(&store, &message.id, "taken back by its sender");
    assert_eq!(store.due_files(LATER).unwrap(), []);
    // Whoever is storing it sees that it is to stop, and what is stored already goes.
    let file = store.file(&message.id, 0).unwrap();
    assert_eq!((file.state, file.reason), (FileState::Here, None));
    // What was on its way comes to its end first, and that changes nothing any more.
    store.finish_file(file.row, FileState::Sending, LATER).unwrap();
    store.note_file_trouble(file.row, FileState::Sending, "refused", None, LATER).unwrap();
    assert_eq!(store.file(&message.id, 0).unwrap().state, FileState::Here);
    assert_eq!(store.due_renewal(LATER.plus(MINUTE * (60 * 24 * 60))).unwrap().map(|due| due.file.row), None);
    assert_eq!(store.due_gone_files(NOW).unwrap(), []);
    let gone = store.due_gone_files(LATER.plus(MINUTE)).unwrap();
    assert_eq!((gone.len(), &gone[0].file_key), (1, &Some(new_file(1).file_key)));
    assert_eq!(store.blobs_in_use().unwrap().0, ["blob-1"], "it can be sent again");
}

#[test]
fn of_a_message_that_failed_for_one_of_its_files_all_leave_the_swarms() {
    let store = store();
    let message = send_files(&store, &[1, 2]);
    let due = store.due_files(NOW).unwrap();
    finish(&store, due[0].row, NOW).unwrap();
    trouble(&store, due[1].row, "gone", None, NOW).unwrap();
    let states: Vec<FileState> = (0..2).map(|place| store.file(&message.id, place).unwrap().state).collect();
    assert_eq!(states, [FileState::Here, FileState::Failed]);
    assert_eq!(store.due_gone_files(LATER.plus(MINUTE)).unwrap().len(), 2);
    store.want_file(&message.id, 1, false, LATER).unwrap();
    assert_eq!(store.file(&message.id, 1).unwrap().state, FileState::Here, "who wants it has it");
}

#[test]
fn what_was_sent_is_deleted_from_swarms_with_its_message_and_what_was_fetched_only_here() {
    let store = store();
    let message = send_files(&store, &[1]);
    let row = store.due_files(NOW).unwrap()[0].row;
    finish(&store, row, NOW).unwrap();
    let theirs = hear_file(&store);
    store.set_file_blob(store.file(&theirs, 0).unwrap().row, "fetched", Some(b"list")).unwrap();
    assert_eq!(store.blobs_in_use().unwrap().0.len(), 2);
    let changes = store.delete(&message.id, Deletion::Everywhere, LATER).unwrap();
    assert!(changes.files, "somebody clears away");
    store.delete(&theirs, Deletion::MyDevices, LATER).unwrap();
    let gone = store.due_gone_files(LATER).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].manifest, Some(vec![1; 40]));
    assert_eq!(gone[0].file_key, Some(new_file(1).file_key));
    assert_eq!(store.blobs_in_use().unwrap().0, Vec::<String>::new());
    let later = LATER.plus(std::time::Duration::from_secs(60));
    store.postpone_gone_file(gone[0].row, later).unwrap();
    assert_eq!(
        (store.due_gone_files(LATER).unwrap().len(), store.next_file_due(LATER).unwrap()),
        (0, Some(later))
    );
    store.forget_gone_file(gone[0].row).unwrap();
    assert_eq!(store.due_gone_files(later).unwrap(), []);
}

#[test]
fn a_file_is_fetched_when_somebody_wants_it_until_nobody_does() {
    let store = store();
    let id = hear_file(&store);
    assert_eq!(store.due_files(LATER).unwrap(), [], "strangers make nobody fetch anything");
    let changes = store.want_file(&id, 0, false, LATER).unwrap();
    assert!(changes.files && changes.updated.iter().any(|row| row.id == id));
    let file = store.due_files(LATER).unwrap().remove(0);
    assert_eq!((file.state, file.pointer.clone(), file.size), (FileState::Wanted, new_file(9).pointer, 7));
    store.unwant_file(&id, 0, LATER).unwrap();
    assert_eq!(store.due_files(LATER).unwrap(), []);
    store.want_file(&id, 0, false, LATER).unwrap();
    finish(&store, file.row, LATER).unwrap();
    store.unwant_file(&id, 0, LATER).unwrap();
    assert_eq!(store.file(&id, 0).unwrap().state, FileState::Here, "what has come stays");
    assert!(matches!(store.file(&id, 1), Err(StoreError::NotAllowed(_))));
    let unknown = MessageId::of(&person(3), NOW);
    assert!(matches!(store.want_file(&unknown, 0, false, NOW), Err(StoreError::UnknownMessage(_))));
}

#[test]
fn a_file_that_failed_is_fetched_again_when_somebody_asks() {
    let store = store();
    let id = hear_file(&store);
    store.want_file(&id, 0, false, LATER).unwrap();
    let row = store.due_files(LATER).unwrap()[0].row;
    trouble(&store, row, "it may have expired", None, LATER).unwrap();
    let file = store.file(&id, 0).unwrap();
    assert_eq!((file.state, file.reason.as_deref()), (FileState::Failed, Some("it may have expired")));
    assert_eq!(store.message(&id).unwrap().unwrap().state, None, "the message itself is as it was");
    store.want_file(&id, 0, false, LATER).unwrap();
    let file = store.file(&id, 0).unwrap();
    assert_eq!((file.state, file.reason, file.attempts), (FileState::Wanted, None, 0));
}

#[test]
fn a_file_for_a_file_server_says_where_it_is_once_that_is_known_in_both_copies_of_its_message() {
    let store = store();
    let mut second = new_file(2);
    second.pointer.url = None;
    second.manifest = None;
    let files = vec![new_file(1), second];
    let message =
        store.enqueue(&OutgoingMessage { files, ..OutgoingMessage::text(person(2), "look") }, NOW).unwrap().0;
    let files = store.due_files(NOW).unwrap();
    let url = "http://a.example/file/1234567890123";
    store.set_file_url(files[1].row, url).unwrap();
    for file in &files {
        finish(&store, file.row, NOW).unwrap();
    }
    let due = store.due(LATER, 100, 100).unwrap();
    assert_eq!(due.len(), 2);
    for copy in due {
        let content = conclave_proto::content::Content::from_bytes(&copy.content).unwrap();
        let pointers: Vec<_> = content.data_message.unwrap().attachments;
        let said: Vec<_> = pointers.iter().map(|pointer| (pointer.id, pointer.url.as_deref())).collect();
        assert_eq!(said, [(1, Some("http://a.example/file/1")), (1_234_567_890_123, Some(url))]);
    }
    // Nobody can delete it there, so there is nothing to be deleted.
    store.delete(&message.id, Deletion::Everywhere, LATER).unwrap();
    assert_eq!(store.due_gone_files(LATER).unwrap().len(), 1, "the one in swarms");
}

fn days(n: u64) -> std::time::Duration {
    std::time::Duration::from_secs(n * 24 * 3600)
}

/// A file in swarms.
fn swarm_file(n: u8) -> NewFile {
    let id = conclave_proto::chunk::BlobId::of_manifest(ChunkHash([n; 32]));
    let mut new = new_file(n);
    new.file_key = crate::said::FileKey::of_bytes(vec![0x40 + n; 32]).unwrap();
    new.pointer.url = Some(format!("http://192.0.2.1:22021/file/{id}#p={}", "11".repeat(32)));
    new
}

fn content(bytes: &[u8]) -> conclave_proto::content::Content {
    conclave_proto::content::Content::from_bytes(bytes).unwrap()
}

#[test]
fn what_deletes_a_file_goes_to_one_s_own_devices_and_to_nobody_else() {
    let store = store();
    let files = vec![swarm_file(1), swarm_file(2)];
    let outgoing = OutgoingMessage { files, ..OutgoingMessage::text(person(2), "look") };
    let message = store.enqueue(&outgoing, NOW).unwrap().0;
    for file in store.due_files(NOW).unwrap() {
        finish(&store, file.row, NOW).unwrap();
    }
    let keys = |bytes: &[u8]| -> Vec<(u32, Vec<u8>)> {
        let ours = content(bytes).conclave.unwrap_or_default();
        ours.file_keys.into_iter().map(|key| (key.place, key.seed)).collect()
    };
    let all = [(0, vec![0x41; 32]), (1, vec![0x42; 32])];
    let due = store.due(LATER, 100, 100).unwrap();
    assert_eq!(due.len(), 2);
    for copy in due {
        let expected = if copy.copy == Copy::OwnSync { &all[..] } else { &[] };
        assert_eq!(keys(&copy.content), expected, "{:?}", copy.copy);
        assert_eq!(copy.recipient == person(2), copy.copy == Copy::Recipient);
        let seed = [0x41_u8; 32];
        let told = copy.content.windows(32).any(|window| window == seed);
        assert_eq!(told, copy.copy == Copy::OwnSync);
    }
    // A note to oneself has one copy, which is for one's own devices.
    let note = OutgoingMessage { files: vec![swarm_file(3)], ..OutgoingMessage::text(person(1), "mine") };
    let note = store.enqueue(&note, LATER).unwrap().0;
    for file in store.due_files(LATER).unwrap() {
        finish(&store, file.row, LATER).unwrap();
    }
    let copies = store.due(LATER, 100, 100).unwrap();
    let copy = copies.iter().find(|copy| copy.id == note.id).unwrap();
    assert_eq!(keys(&copy.content), [(0, vec![0x43; 32])]);
    assert_ne!(message.id, note.id);
}

/// This account's other device hears what was sent from the first.
fn heard_from_own_device(store: &ClientStore) -> MessageId {
    let files = [swarm_file(1), new_file(2)];
    let post = Post {
        text: "look".to_owned(),
        details: crate::said::Details {
            files: files.iter().map(|new| new.file.clone()).collect(),
            ..Default::default()
        },
        pointers: files.iter().map(|new| new.pointer.clone()).collect(),
        file_keys: (0..2).zip(&files).map(|(place, new)| (place, new.file_key.clone())).collect(),
        ..Post::default()
    };
    let heard = Heard { sync_target: Some(person(2)), ..heard(1, Said::Post(post), NOW) };
    receive(store, vec![item_of("own", heard)]).shown[0].id.clone()
}

#[test]
fn a_message_deleted_everywhere_on_another_device_takes_its_file_out_of_swarms() {
    let store = store();
    let id = heard_from_own_device(&store);
    assert!(!store.file(&id, 0).unwrap().sent_here);
    // What could not be fetched here is fetched again, not sent.
    let row = store.file(&id, 0).unwrap().row;
    store.want_file(&id, 0, false, NOW).unwrap();
    let changes = trouble(&store, row, "nobody has it", None, NOW).unwrap();
    assert_eq!(changes.states, [], "the message has not failed");
    store.want_file(&id, 0, false, NOW).unwrap();
    assert_eq!(store.file(&id, 0).unwrap().state, FileState::Wanted);
    store.delete(&id, Deletion::Everywhere, LATER).unwrap();
    let gone = store.due_gone_files(LATER).unwrap();
    let expected = (None, Some(ChunkHash([1; 32])), Some(swarm_file(1).file_key.clone()));
    let told: Vec<_> = gone.into_iter().map(|gone| (gone.manifest, gone.list, gone.file_key)).collect();
    assert_eq!(told, [expected], "and not the one at a file server");
}

#[test]
fn a_file_is_due_for_renewal_while_its_message_is_here_on_every_device_of_its_sender() {
    for from_here in [true, false] {
        let store = store();
        let id = if from_here {
            let files = vec![swarm_file(1)];
            let outgoing = OutgoingMessage { files, ..OutgoingMessage::text(person(2), "look") };
            let id = store.enqueue(&outgoing, NOW).unwrap().0.id;
            assert_eq!(store.due_renewal(NOW.plus(days(14))).unwrap(), None, "it is not stored yet");
            finish(&store, store.file(&id, 0).unwrap().row, NOW).unwrap();
            id
        } else {
            heard_from_own_device(&store)
        };
        assert_eq!(store.due_renewal(NOW.plus(days(7))).unwrap(), None);
        let next = store.next_file_due(NOW.plus(days(7))).unwrap().unwrap();
        assert!((days(8)..=days(10)).contains(&next.since(NOW)), "it is woken for");
        let renewal = store.due_renewal(NOW.plus(days(10))).unwrap().unwrap();
        assert_eq!((renewal.life, renewal.failures), (crate::files::Life::first(NOW), 0));
        assert_eq!(renewal.file.list(), Some(ChunkHash([1; 32])));
        let renewed = renewal.life.renewed(NOW.plus(days(10))).unwrap();
        let again = renewed.renew_at(0);
        store.set_file_life(renewal.file.row, renewed, again, 0).unwrap();
        assert_eq!(store.due_renewal(NOW.plus(days(20))).unwrap(), None);
        assert_eq!(store.due_renewal(again.unwrap()).unwrap().unwrap().life.ends, NOW.plus(days(40)));
        store.delete(&id, Deletion::ThisDevice, NOW.plus(days(20))).unwrap();
        assert_eq!(store.due_renewal(again.unwrap()).unwrap(), None);
    }
}

#[test]
fn what_others_sent_and_what_is_at_a_file_server_is_renewed_by_nobody_here() {
    let store = store();
    hear_file(&store);
    let outgoing = NewFile { manifest: None, ..new_file(3) };
    let outgoing = OutgoingMessage { files: vec![outgoing], ..OutgoingMessage::text(person(2), "look") };
    let id = store.enqueue(&outgoing, NOW).unwrap().0.id;
    finish(&store, store.file(&id, 0).unwrap().row, NOW).unwrap();
    assert_eq!(store.due_renewal(NOW.plus(days(1000))).unwrap(), None);
}

#[test]
fn what_somebody_wants_written_is_due_until_it_is_written_or_cannot_be() {
    let store = store();
    let id = hear_file(&store);
    store.want_file(&id, 0, true, LATER).unwrap();
    let row = store.due_files(LATER).unwrap()[0].clone();
    assert_eq!(row.state, FileState::Wanted);
    store.set_file_blob(row.row, "fetched", Some(b"list")).unwrap();
    finish(&store, row.row, LATER).unwrap();
    assert_eq!(store.due_files(LATER).unwrap()[0].state, FileState::Here, "it is here and not written yet");
    store.set_file_path(row.row, "/downloads/a", LATER).unwrap();
    assert_eq!(store.due_files(LATER).unwrap(), []);
    store.want_file(&id, 0, true, LATER).unwrap();
    assert_eq!(store.due_files(LATER).unwrap().len(), 1, "somebody looks whether it still is there");
    store.set_file_path(row.row, "/downloads/a", LATER).unwrap();

    let other = send_files(&store, &[1]);
    let row = store.due_files(LATER).unwrap()[0].row;
    finish(&store, row, LATER).unwrap();
    store.want_file(&other.id, 0, true, LATER).unwrap();
    assert_eq!(store.due_files(LATER).unwrap().len(), 1, "also what is here already");
    store.give_up_writing(row, "no room", LATER).unwrap();
    assert_eq!(store.due_files(LATER).unwrap(), []);
    assert_eq!(store.file(&other.id, 0).unwrap().reason.as_deref(), Some("no room"));
}
