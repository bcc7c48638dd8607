use conclave_crypto::Ed25519Secret;
use conclave_proto::rpc::{Auth, Delete, DeleteAll, DeleteBefore, Request, Scope};

use super::*;

/// Credentials that nobody checks here.
pub(super) fn auth() -> Auth {
    Auth::by_account(&Ed25519Secret::from_seed(&[7; 32]), b"")
}

pub(super) fn operation(request: &Request, at: u64) -> Operation {
    Operation::of(request, Timestamp(at)).unwrap()
}

pub(super) fn delete(owner: u8, hashes: &[MessageHash], at: u64) -> Operation {
    let (account, messages) = (account(owner), hashes.to_vec());
    operation(&Request::Delete(Delete { account, messages, required: false, auth: auth() }), at)
}

pub(super) fn delete_all(owner: u8, scope: Scope, at: u64) -> Operation {
    let (account, timestamp) = (account(owner), Timestamp(at));
    operation(&Request::DeleteAll(DeleteAll { account, scope, timestamp, auth: auth() }), at)
}

pub(super) fn delete_before(owner: u8, scope: Scope, before: u64, at: u64) -> Operation {
    let (account, before) = (account(owner), Timestamp(before));
    operation(&Request::DeleteBefore(DeleteBefore { account, scope, before, auth: auth() }), at)
}

pub(super) async fn deleted(store: &MessageStore, operation: Operation) -> BTreeMap<i16, Vec<MessageHash>> {
    let Applied::Deleted(deleted) = store.apply(operation, Arrival::Direct).await.unwrap() else {
        panic!("deleted nothing")
    };
    deleted.into_iter().map(|(namespace, hashes)| (namespace.0, hashes)).collect()
}

#[tokio::test]
async fn what_is_deleted_is_named_and_gone_and_what_was_not_there_is_not_named() {
    let store = MessageStore::open_in_memory().unwrap();
    let (a, b, other) = (message(1, 0, 1, b"a"), message(1, 2, 1, b"b"), message(2, 0, 1, b"not ours"));
    for message in [&a, &b, &other] {
        put(&store, message.clone()).await.unwrap();
    }
    let never = message(1, 0, 1, b"never here").hash;
    let gone = deleted(&store, delete(1, &[a.hash, never, other.hash, b.hash, a.hash], 5)).await;
    assert_eq!(gone, BTreeMap::from([(0, vec![a.hash]), (2, vec![b.hash])]));
    assert!(texts(&store, &all(&account(1))).0.is_empty());
    assert_eq!(texts(&store, &all(&account(2))).0, ["not ours"]);
    assert!(deleted(&store, delete(1, &[a.hash], 6)).await.is_empty(), "only once");
}

#[tokio::test]
async fn a_deleted_message_stays_away_whoever_still_has_it() {
    let store = MessageStore::open_in_memory().unwrap();
    let (here, elsewhere) = (message(1, 0, 100, b"here"), message(1, 0, 100, b"only elsewhere"));
    put(&store, here.clone()).await.unwrap();
    deleted(&store, delete(1, &[here.hash, elsewhere.hash], 200)).await;
    let copies = vec![copy(here), copy(elsewhere)];
    assert_eq!(store.merge(copies.clone(), Timestamp(201)).await.unwrap(), 0);
    store.sweep_expired(Timestamp(1_200)).await.unwrap();
    assert_eq!(store.merge(copies, Timestamp(201)).await.unwrap(), 0, "a sweep forgets no deletion");
    assert!(texts(&store, &all(&account(1))).0.is_empty());
}

#[tokio::test]
async fn a_client_may_store_again_what_was_deleted_and_it_is_new() {
    let store = MessageStore::open_in_memory().unwrap();
    let again = message(1, 0, 100, b"again");
    put(&store, again.clone()).await.unwrap();
    put(&store, message(1, 0, 100, b"later")).await.unwrap();
    deleted(&store, delete(1, &[again.hash], 200)).await;
    let longer = NewMessage { expiry: Timestamp(900), ..again.clone() };
    let stored = store.store(longer, Timestamp(201)).await.unwrap();
    assert_eq!(stored, Stored { already: false, expiry: Timestamp(900) }, "its old life is over");
    assert_eq!(texts(&store, &all(&account(1))).0, ["later", "again"], "it has a new place");
    // One that was stored before the deletion, and comes late.
    deleted(&store, delete(1, &[again.hash], 300)).await;
    let late = store.store(again.clone(), Timestamp(299)).await.unwrap();
    assert_eq!(late, Stored { already: false, expiry: again.expiry }, "it was stored, and then deleted");
    assert_eq!(texts(&store, &all(&account(1))).0, ["later"]);
}

#[tokio::test]
async fn ranges_cover_what_was_there_and_what_comes_late() {
    for scope in [Scope::One(Namespace(2)), Scope::All] {
        let store = MessageStore::open_in_memory().unwrap();
        for (namespace, time) in [(0, 10), (2, 10), (2, 20), (2, 30)] {
            put(&store, message(1, namespace, time, time.to_string().as_bytes())).await.unwrap();
        }
        let gone = deleted(&store, delete_before(1, scope, 20, 40)).await;
        assert_eq!(gone.get(&2).map(Vec::len), Some(2));
        assert!(gone[&2].is_sorted());
        assert_eq!(gone.contains_key(&0), scope == Scope::All);
        assert_eq!(texts(&store, &Query { namespace: Namespace(2), ..all(&account(1)) }).0, ["30"]);
        let copies = [(15, "15"), (20, "20"), (21, "21")];
        let copies = copies.map(|(time, text)| copy(message(1, 2, time, text.as_bytes()))).to_vec();
        assert_eq!(store.merge(copies, Timestamp(41)).await.unwrap(), 1, "only what is later than the range");
        let elsewhere = store.merge(vec![copy(message(1, 0, 5, b"5"))], Timestamp(41)).await.unwrap();
        assert_eq!(elsewhere == 0, scope == Scope::All);

        let gone = deleted(&store, delete_all(1, scope, 50)).await;
        assert_eq!(gone.get(&2).map(Vec::len), Some(2));
        assert_eq!(store.merge(vec![copy(message(1, 2, 45, b"45"))], Timestamp(51)).await.unwrap(), 0);
        store.store(message(1, 2, 1, b"old, but stored now"), Timestamp(51)).await.unwrap();
        let left = texts(&store, &Query { namespace: Namespace(2), ..all(&account(1)) }).0;
        assert_eq!(left, ["old, but stored now"]);
    }
}

#[tokio::test]
async fn deletions_are_kept_as_requests_until_nothing_can_need_them() {
    let store = MessageStore::open_in_memory().unwrap();
    let one = message(1, 0, 1, b"one");
    put(&store, one.clone()).await.unwrap();
    let by_name = delete(1, &[one.hash], 1_000);
    let range = delete_all(1, Scope::All, 2_000);
    deleted(&store, range.clone()).await;
    deleted(&store, by_name.clone()).await;
    deleted(&store, by_name.clone()).await;
    let logged = store.operations(&account(1)).unwrap();
    let read: Vec<Operation> = logged.iter().map(|logged| Operation::read(&logged.0).unwrap().1).collect();
    assert_eq!(read, [by_name.clone(), range.clone()], "in order of time, each once");
    let keys = store.operation_keys(&account(1)).unwrap();
    assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [by_name.id(), range.id()]);
    assert_eq!(store.operations_named(&account(1), &[range.id()]).unwrap(), logged[1..]);
    assert!(store.operations_named(&account(2), &[range.id()]).unwrap().is_empty());
    let stats = store.stats().unwrap();
    assert_eq!((stats.messages, stats.tombstones, stats.operations, stats.owners), (0, 1, 2, 1));

    store.sweep_expired(Timestamp(1_999).plus(MEMORY)).await.unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.tombstones, stats.operations, stats.owners), (0, 1, 1));
    store.sweep_expired(Timestamp(2_000).plus(MEMORY)).await.unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.tombstones, stats.operations, stats.owners), (0, 0, 0), "nothing is left");
}

#[tokio::test]
async fn an_account_cannot_make_tombstones_and_logs_grow_for_ever() {
    use super::sql::deletions::MAX_MARKS;
    use super::sql::operations::{MAX_OPERATION_BYTES, MAX_OPERATIONS};
    let store = MessageStore::open_in_memory().unwrap();
    let hashes: Vec<MessageHash> =
        (0..MAX_MARKS + 10).map(|n| message(1, 0, 1, &n.to_be_bytes()).hash).collect();
    let (first, last) = hashes.split_at(10);
    deleted(&store, delete(1, first, 1_000)).await;
    deleted(&store, delete(1, last, 2_000)).await;
    assert_eq!(store.stats().unwrap().tombstones, MAX_MARKS as u64);
    let marked = message(1, 0, 1, &(MAX_MARKS + 9).to_be_bytes());
    let forgotten = message(1, 0, 1, &0usize.to_be_bytes());
    assert_eq!(store.merge(vec![copy(marked), copy(forgotten)], Timestamp(1)).await.unwrap(), 1);
    for at in 0..MAX_OPERATIONS as u64 + 20 {
        deleted(&store, delete(1, &first[..1], 3_000 + at)).await;
    }
    let keys = store.operation_keys(&account(1)).unwrap();
    assert_eq!(keys.len(), MAX_OPERATIONS);
    assert_eq!(keys.last().unwrap().at, Timestamp(3_019 + MAX_OPERATIONS as u64));
    for at in 0..30 {
        deleted(&store, delete(1, &last[..1_000], 10_000 + at)).await;
    }
    let bytes: usize = store.operations(&account(1)).unwrap().iter().map(|logged| logged.0.len()).sum();
    assert!(bytes <= MAX_OPERATION_BYTES && bytes > MAX_OPERATION_BYTES / 2, "{bytes}");
}

#[tokio::test]
async fn hashes_that_are_no_hashes_name_nothing() {
    let store = MessageStore::open_in_memory().unwrap();
    let odd = MessageHash::from_text(&"/".repeat(43)).unwrap();
    assert!(odd.to_bytes().is_none());
    assert!(deleted(&store, delete(1, &[odd], 5)).await.is_empty());
    assert!(store.expiries(&account(1), &[odd]).unwrap().is_empty());
    assert!(store.copies(&account(1), &[odd]).unwrap().is_empty());
    put(&store, message(1, 0, 1, b"here")).await.unwrap();
    assert_eq!(texts(&store, &Query { after: Some(odd), ..all(&account(1)) }).0, ["here"]);
}
