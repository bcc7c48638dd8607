mod converging;
mod deleting;
mod expiring;
mod failing_disk;
mod revoking;

use super::*;

/// Stores a message at the time it says it was sent.
async fn put(store: &MessageStore, message: NewMessage) -> Result<Stored, StoreError> {
    let at = message.timestamp;
    store.store(message, at).await
}

/// What another member would hand on of a message that was stored when it was sent.
fn copy(message: NewMessage) -> MessageCopy {
    MessageCopy {
        owner: message.owner,
        namespace: message.namespace,
        timestamp: message.timestamp,
        stored_at: message.timestamp,
        raises: vec![Raise { at: message.timestamp, expiry: message.expiry }],
        data: message.data,
    }
}

fn account(number: u8) -> AccountId {
    AccountId::new(conclave_crypto::IdPrefix::Account, &[number; 32])
}

fn message(owner: u8, namespace: i16, time: u64, data: &[u8]) -> NewMessage {
    let (owner, namespace) = (account(owner), Namespace(namespace));
    NewMessage {
        owner,
        namespace,
        hash: MessageHash::of(&owner, namespace, data),
        timestamp: Timestamp(time),
        expiry: Timestamp(time + 1_000),
        data: data.to_vec(),
    }
}

fn texts(store: &MessageStore, query: &Query<'_>) -> (Vec<String>, bool) {
    let page = store.retrieve(query).unwrap();
    let texts = page.messages.iter().map(|m| String::from_utf8(m.data.clone()).unwrap()).collect();
    (texts, page.more)
}

fn all(owner: &AccountId) -> Query<'_> {
    Query { owner, namespace: Namespace(0), after: None, max_count: None, max_size: MAX_RETRIEVE }
}

#[tokio::test]
async fn messages_come_in_the_order_they_were_taken_in_and_after_the_cursor() {
    let store = MessageStore::open_in_memory().unwrap();
    // Sent times do not matter.
    for (time, text) in [(300, "a"), (100, "b"), (200, "c")] {
        put(&store, message(1, 0, time, text.as_bytes())).await.unwrap();
    }
    put(&store, message(1, 2, 100, b"elsewhere")).await.unwrap();
    put(&store, message(2, 0, 100, b"other account")).await.unwrap();
    let owner = account(1);
    assert_eq!(texts(&store, &all(&owner)), (vec!["a".into(), "b".into(), "c".into()], false));
    let after = Some(message(1, 0, 0, b"a").hash);
    assert_eq!(texts(&store, &Query { after, ..all(&owner) }).0, ["b", "c"]);
    // A hash that is not in this mailbox starts from the beginning.
    for foreign in [message(2, 0, 0, b"other account").hash, message(1, 2, 0, b"elsewhere").hash] {
        assert_eq!(texts(&store, &Query { after: Some(foreign), ..all(&owner) }).0, ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn limits_stop_before_they_are_exceeded_but_one_message_always_comes() {
    let store = MessageStore::open_in_memory().unwrap();
    for text in ["aaa", "bbb", "ccc"] {
        put(&store, message(1, 0, 1, text.as_bytes())).await.unwrap();
    }
    let owner = account(1);
    // 100 + 43 + floor(4·3/3) = 147 for each.
    for (max_size, expected) in [(1, 1), (293, 1), (294, 2), (440, 2), (441, 3)] {
        let (texts, more) = texts(&store, &Query { max_size, ..all(&owner) });
        assert_eq!((texts.len(), more), (expected, expected < 3), "{max_size}");
    }
    assert_eq!(texts(&store, &Query { max_count: Some(2), ..all(&owner) }).0.len(), 2);
    assert_eq!(texts(&store, &Query { max_count: Some(0), ..all(&owner) }).0.len(), 3, "0 is no limit");
}

#[test]
fn sizes_are_asked_for_in_three_ways() {
    assert_eq!(size_limit(None, None), 1_560_000);
    assert_eq!(size_limit(Some(10), None), 7_800_000);
    assert_eq!(size_limit(Some(0), Some(0)), 1_560_000);
    assert_eq!(size_limit(None, Some(-2)), 3_900_000);
    assert_eq!(size_limit(None, Some(-7)), 1_114_285);
    assert_eq!(size_limit(None, Some(5)), 5);
    assert_eq!(size_limit(None, Some(i64::MAX)), 7_800_000);
    assert_eq!(size_limit(None, Some(i64::MIN)), 0);
}

#[tokio::test]
async fn storing_the_same_again_only_prolongs_its_life() {
    let store = MessageStore::open_in_memory().unwrap();
    let first = message(1, 0, 100, b"same");
    assert_eq!(
        put(&store, first.clone()).await.unwrap(),
        Stored { already: false, expiry: Timestamp(1_100) }
    );
    put(&store, message(1, 0, 100, b"later")).await.unwrap();
    let shorter = NewMessage { expiry: Timestamp(50), ..first.clone() };
    assert_eq!(put(&store, shorter).await.unwrap(), Stored { already: true, expiry: Timestamp(1_100) });
    let longer = NewMessage { expiry: Timestamp(9_000), ..first };
    assert_eq!(put(&store, longer).await.unwrap(), Stored { already: true, expiry: Timestamp(9_000) });
    assert_eq!(texts(&store, &all(&account(1))).0, ["same", "later"], "its place does not change");
}

#[tokio::test]
async fn a_public_outbox_keeps_the_newest() {
    let store = MessageStore::open_in_memory().unwrap();
    for (time, text) in [(100, "old"), (300, "new"), (200, "late and old")] {
        put(&store, message(1, -21, time, text.as_bytes())).await.unwrap();
    }
    let owner = account(1);
    assert_eq!(texts(&store, &Query { namespace: Namespace(-21), ..all(&owner) }).0, ["new"]);
}

#[tokio::test]
async fn what_has_expired_is_swept_and_cursors_are_not_used_again() {
    let store = MessageStore::open_in_memory().unwrap();
    put(&store, message(1, 0, 100, b"gone")).await.unwrap();
    assert_eq!(store.sweep_expired(Timestamp(1_099)).await.unwrap(), 0);
    assert_eq!(store.sweep_expired(Timestamp(1_100)).await.unwrap(), 1);
    assert_eq!(store.stats().unwrap().owners, 0);
    put(&store, message(1, 0, 5_000, b"new")).await.unwrap();
    assert_eq!(texts(&store, &all(&account(1))).0, ["new"]);
}

#[tokio::test]
async fn a_full_store_says_so_loses_nothing_and_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.sqlite");
    let options = Options { max_bytes: 256 * 1024, ..Options::default() };
    let store = MessageStore::open(&path, options).unwrap();
    let mut kept = 0;
    let full = loop {
        match put(&store, message(1, 0, kept, &vec![kept as u8; 10_000])).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full), "{full:?}");
    assert!(kept > 5);
    assert_eq!(store.stats().unwrap().messages, kept);
    store.sweep_expired(Timestamp(u64::MAX / 4)).await.unwrap();
    put(&store, message(1, 0, 1, b"room again")).await.unwrap();
}

#[tokio::test]
async fn a_reopened_store_has_everything_and_a_damaged_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.sqlite");
    let store = MessageStore::open(&path, Options::default()).unwrap();
    put(&store, message(1, 0, 1, b"kept")).await.unwrap();
    store.set_meta("directory", b"value".to_vec()).await.unwrap();
    drop(store);
    let store = MessageStore::open(&path, Options::default()).unwrap();
    assert_eq!(texts(&store, &all(&account(1))).0, ["kept"]);
    assert_eq!(store.meta("directory").unwrap().unwrap(), b"value");
    drop(store);
    std::fs::write(&path, vec![0x55; 8_192]).unwrap();
    let opened = MessageStore::open(&path, Options::default());
    assert!(matches!(&opened, Err(StoreError::Corrupt { path: named, .. }) if *named == path), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_all_get_their_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = MessageStore::open(&dir.path().join("messages.sqlite"), Options::default()).unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..500u64 {
        let store = store.clone();
        writes.spawn(async move {
            let data = (number % 400).to_be_bytes();
            put(&store, message(1, 0, number, &data)).await.unwrap().already
        });
    }
    let already = writes.join_all().await.into_iter().filter(|already| *already).count();
    assert_eq!(already, 100);
    assert_eq!(store.stats().unwrap().messages, 400);
}

#[tokio::test]
async fn of_two_outbox_messages_of_one_time_every_member_keeps_the_same() {
    let owner = account(1);
    let mut kept = Vec::new();
    for texts in [["one", "two"], ["two", "one"]] {
        let store = MessageStore::open_in_memory().unwrap();
        for text in texts {
            put(&store, message(1, -21, 100, text.as_bytes())).await.unwrap();
        }
        kept.push(self::texts(&store, &Query { namespace: Namespace(-21), ..all(&owner) }).0);
    }
    assert_eq!(kept[0].len(), 1);
    assert_eq!(kept[0], kept[1]);
}

#[tokio::test]
async fn a_copy_is_kept_under_the_hash_of_what_it_holds() {
    let store = MessageStore::open_in_memory().unwrap();
    let (real, other) = (message(1, 0, 1, b"real"), message(2, 0, 1, b"another mailbox"));
    let copies = vec![copy(real.clone()), copy(real.clone()), copy(other.clone())];
    assert_eq!(store.merge(copies, Timestamp(1)).await.unwrap(), 2, "twice the same is one");
    assert!(put(&store, real.clone()).await.unwrap().already);
    assert_eq!(texts(&store, &all(&account(1))).0, ["real"]);
    assert_eq!(store.hashes(&account(1)).unwrap(), [real.hash]);
    let copies = store.copies(&account(1), &[real.hash, other.hash]).unwrap();
    assert_eq!(copies, [copy(real)], "other accounts' messages are not handed out with it");
}

#[tokio::test]
async fn a_copy_that_cannot_be_true_is_not_taken() {
    let store = MessageStore::open_in_memory().unwrap();
    let now = Timestamp(10_000_000_000_000);
    let good = copy(message(1, 0, now.0, b"good"));
    let late = now.plus(CLOCK_DIFFERENCE).plus(Duration::from_millis(1));
    let for_ever = Raise { at: now, expiry: late.plus(MEMORY) };
    let over = Raise { at: now.minus(MEMORY), expiry: now };
    for copy in [
        MessageCopy { stored_at: late, ..good.clone() },
        MessageCopy { raises: vec![Raise { at: late, expiry: late.plus(MEMORY) }], ..good.clone() },
        MessageCopy { raises: vec![for_ever], ..good.clone() },
        MessageCopy { raises: vec![over], ..good.clone() },
        MessageCopy { raises: vec![], ..good.clone() },
    ] {
        assert_eq!(store.merge(vec![copy.clone()], now).await.unwrap(), 0, "{copy:?}");
    }
    assert_eq!(store.stats().unwrap().owners, 0);
    assert_eq!(store.merge(vec![good], now).await.unwrap(), 1);
}

#[tokio::test]
async fn expiries_are_told_of_what_is_here() {
    let store = MessageStore::open_in_memory().unwrap();
    let (here, elsewhere) = (message(1, 5, 1, b"here"), message(2, 5, 1, b"elsewhere"));
    store.merge(vec![copy(here.clone()), copy(elsewhere.clone())], Timestamp(1)).await.unwrap();
    let told = store.expiries(&account(1), &[here.hash, elsewhere.hash, message(1, 5, 1, b"never").hash]);
    assert_eq!(told.unwrap().into_iter().collect::<Vec<_>>(), [(here.hash, Timestamp(1_001))]);
    assert!(store.expiries(&account(9), &[here.hash]).unwrap().is_empty());
}

#[tokio::test]
async fn a_full_store_is_swept_although_others_go_on_storing() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 1024 * 1024, ..Options::default() };
    let store = MessageStore::open(&dir.path().join("messages.sqlite"), options).unwrap();
    let mut number = 0u64;
    while put(&store, message(1, 0, number, &[&number.to_be_bytes()[..], &[0; 20_000]].concat()))
        .await
        .is_ok()
    {
        number += 1;
    }
    let large = |other: u64| {
        let data = [&(1_000 + other).to_be_bytes()[..], &[1; 70_000]].concat();
        store.store(message(2, 0, 1 << 40, &data), Timestamp(1 << 40))
    };
    // Queued while the writing thread is held up, so that the sweep shares its group with writes that do not fit.
    let mut before: Vec<_> = (0..30).map(|n| Box::pin(large(n))).collect();
    let mut sweep = Box::pin(store.sweep_expired(Timestamp(1 << 39)));
    let mut after: Vec<_> = (30..60).map(|n| Box::pin(large(n))).collect();
    let queue = |_: &Connection| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        before.iter_mut().for_each(|write| assert!(write.as_mut().poll(&mut context).is_pending()));
        assert!(sweep.as_mut().poll(&mut context).is_pending());
        after.iter_mut().for_each(|write| assert!(write.as_mut().poll(&mut context).is_pending()));
        Ok(())
    };
    store.inner.writer.with_connection(queue).unwrap();
    assert_eq!(sweep.await.unwrap() as u64, number);
    for write in before.into_iter().chain(after) {
        let _ = write.await;
    }
    put(&store, message(1, 0, 1 << 40, b"room again")).await.unwrap();
    store.check().unwrap();
}

#[tokio::test]
async fn a_large_sweep_goes_in_steps_and_forgets_owners() {
    let store = MessageStore::open_in_memory().unwrap();
    let many = (0..2_500u64).map(|n| copy(message((n % 200) as u8, 0, 1, &n.to_be_bytes()))).collect();
    store.merge(many, Timestamp(1)).await.unwrap();
    put(&store, message(250, 0, 5_000, b"stays")).await.unwrap();
    assert_eq!(store.sweep_expired(Timestamp(2_000)).await.unwrap(), 2_500);
    let stats = store.stats().unwrap();
    assert_eq!((stats.messages, stats.owners), (1, 1));
}

#[test]
fn a_database_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("photos.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photos (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let opened = MessageStore::open(&path, Options::default());
    assert!(matches!(opened, Err(StoreError::Foreign { .. })), "{opened:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_a_newer_program_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.sqlite");
    drop(MessageStore::open(&path, Options::default()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let opened = MessageStore::open(&path, Options::default());
    assert!(matches!(opened, Err(StoreError::Newer { .. })), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_readers_than_connections_wait_for_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let store = MessageStore::open(&dir.path().join("messages.sqlite"), Options::default()).unwrap();
    put(&store, message(1, 0, 1, b"read by many")).await.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(texts(&store, &all(&account(1))).0, ["read by many"]);
                }
            });
        }
    });
}

#[tokio::test]
async fn a_message_of_a_kilobyte_takes_little_more_than_that() {
    let dir = tempfile::tempdir().unwrap();
    let store = MessageStore::open(&dir.path().join("messages.sqlite"), Options::default()).unwrap();
    let now = Timestamp(1_700_000_000_000);
    let count = 6_000u64;
    // In the order in which people write, not in that of accounts.
    for part in 0..12 {
        let messages = (0..count / 12).map(|n| {
            let n = part * (count / 12) + n;
            let data = [&n.to_be_bytes()[..], &[0x5a; 1_016]].concat();
            copy(NewMessage { expiry: now.plus(MEMORY), ..message((n * 7 % 200) as u8, 0, now.0 + n, &data) })
        });
        store.merge(messages.collect(), now).await.unwrap();
    }
    let stats = store.stats().unwrap();
    let each = (stats.bytes - stats.free_bytes) / count;
    assert!(each <= 1_300, "{each} bytes for each message of 1,024");
}

#[tokio::test]
async fn a_later_store_is_compared_although_it_changes_no_expiry() {
    let (one, other) = (MessageStore::open_in_memory().unwrap(), MessageStore::open_in_memory().unwrap());
    let first = message(1, 0, 100, b"again");
    for store in [&one, &other] {
        put(store, first.clone()).await.unwrap();
    }
    let again = NewMessage { timestamp: Timestamp(200), ..first };
    one.store(again, Timestamp(300)).await.unwrap();
    let digests = |store: &MessageStore| store.digests(Timestamp(150), None, Timestamp(u64::MAX)).unwrap();
    assert_ne!(digests(&one), digests(&other));
    let keys = one.keys_of(&account(1), Timestamp(150)).unwrap();
    assert_eq!(other.lacking(&keys).unwrap(), keys);
    other
        .merge(one.copies(&account(1), &one.hashes(&account(1)).unwrap()).unwrap(), Timestamp(400))
        .await
        .unwrap();
    assert_eq!(other.lacking(&keys).unwrap().count(), 0);
    assert_eq!(digests(&one), digests(&other));
}
