use conclave_proto::rpc::{Expire, ExpireAll, ExpireMode, Request, Scope};

use super::deleting::{auth, delete, deleted, operation};
use super::*;

pub(super) fn expire(owner: u8, hashes: &[MessageHash], to: &[u64], mode: ExpireMode, at: u64) -> Operation {
    let (account, messages) = (account(owner), hashes.to_vec());
    let expiry = to.iter().copied().map(Timestamp).collect();
    operation(&Request::Expire(Expire { account, messages, expiry, mode, auth: auth() }), at)
}

pub(super) fn expire_all(owner: u8, scope: Scope, to: u64, at: u64) -> Operation {
    let (account, expiry) = (account(owner), Timestamp(to));
    operation(&Request::ExpireAll(ExpireAll { account, scope, expiry, auth: auth() }), at)
}

async fn expired(
    store: &MessageStore,
    operation: Operation,
) -> (Vec<(MessageHash, u64)>, Vec<(MessageHash, u64)>) {
    let Applied::Expired { updated, unchanged } = store.apply(operation, Arrival::Direct).await.unwrap()
    else {
        panic!("nothing expired")
    };
    let plain = |times: BTreeMap<MessageHash, Timestamp>| times.into_iter().map(|(h, t)| (h, t.0)).collect();
    (plain(updated), plain(unchanged))
}

fn expiry(store: &MessageStore, hash: MessageHash) -> Option<u64> {
    store.expiries(&account(1), &[hash]).unwrap().get(&hash).map(|time| time.0)
}

#[tokio::test]
async fn each_mode_moves_expiries_in_its_direction_only() {
    // Stored until 1,010.
    let cases = [
        (ExpireMode::Set, 500, true, 500),
        (ExpireMode::Set, 2_000, true, 2_000),
        (ExpireMode::Extend, 500, false, 1_010),
        (ExpireMode::Extend, 1_010, false, 1_010),
        (ExpireMode::Extend, 2_000, true, 2_000),
        (ExpireMode::Shorten, 500, true, 500),
        (ExpireMode::Shorten, 1_010, false, 1_010),
        (ExpireMode::Shorten, 2_000, false, 1_010),
    ];
    for (mode, asked, updates, left) in cases {
        let store = MessageStore::open_in_memory().unwrap();
        let here = message(1, 0, 10, b"here");
        put(&store, here.clone()).await.unwrap();
        let never = message(1, 0, 10, b"never").hash;
        let (updated, unchanged) = expired(&store, expire(1, &[never, here.hash], &[asked], mode, 20)).await;
        let was = |yes: bool, time| if yes { vec![(here.hash, time)] } else { vec![] };
        assert_eq!((updated, unchanged), (was(updates, asked), was(!updates, 1_010)), "{mode:?} {asked}");
        assert_eq!(expiry(&store, here.hash), Some(left), "{mode:?} {asked}");
        assert_eq!(texts(&store, &all(&account(1))).0, ["here"]);
    }
}

#[tokio::test]
async fn each_message_may_have_its_own_expiry_and_none_is_longer_than_thirty_days() {
    let store = MessageStore::open_in_memory().unwrap();
    let (a, b) = (message(1, 0, 10, b"a"), message(1, 0, 10, b"b"));
    put(&store, a.clone()).await.unwrap();
    put(&store, b.clone()).await.unwrap();
    let (updated, _) =
        expired(&store, expire(1, &[a.hash, b.hash], &[3_000, u64::MAX], ExpireMode::Set, 20)).await;
    let month = 30 * 24 * 60 * 60 * 1_000 + 20;
    assert_eq!(updated.iter().find(|(hash, _)| *hash == a.hash).unwrap().1, 3_000);
    assert_eq!(updated.iter().find(|(hash, _)| *hash == b.hash).unwrap().1, month);
    assert_eq!(expiry(&store, b.hash), Some(month));
}

#[tokio::test]
async fn a_scope_is_shortened_and_never_prolonged() {
    let store = MessageStore::open_in_memory().unwrap();
    let messages = [(0, 10), (2, 10), (2, 500)].map(|(namespace, time)| message(1, namespace, time, b"x"));
    let messages = messages.map(|message| {
        let data = message.timestamp.0.to_string().into_bytes();
        let hash = MessageHash::of(&message.owner, message.namespace, &data);
        NewMessage { data, hash, ..message }
    });
    for message in &messages {
        put(&store, message.clone()).await.unwrap();
    }
    let shortened = |applied| match applied {
        Applied::Shortened(found) => found.into_values().map(|hashes| hashes.len()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let apply = async |operation| shortened(store.apply(operation, Arrival::Direct).await.unwrap());
    assert_eq!(apply(expire_all(1, Scope::One(Namespace(2)), 1_200, 600)).await, [1]);
    assert_eq!(apply(expire_all(1, Scope::One(Namespace(2)), 1_200, 600)).await, [0usize; 0]);
    assert_eq!(apply(expire_all(1, Scope::All, 1_100, 600)).await, [1]);
    assert_eq!(apply(expire_all(1, Scope::All, 900, 600)).await, [1, 2]);
    // What comes late is shortened too, what is stored later is not.
    let late = copy(message(1, 5, 550, b"late"));
    store.merge(vec![late.clone()], Timestamp(700)).await.unwrap();
    assert_eq!(expiry(&store, late.hash()), Some(900));
    let new = message(1, 5, 601, b"new");
    put(&store, new.clone()).await.unwrap();
    assert_eq!(expiry(&store, new.hash), Some(1_601));
}

#[tokio::test]
async fn no_copy_brings_back_a_life_that_was_shortened() {
    let store = MessageStore::open_in_memory().unwrap();
    let short = message(1, 0, 10, b"short");
    put(&store, short.clone()).await.unwrap();
    expired(&store, expire(1, &[short.hash], &[100], ExpireMode::Shorten, 20)).await;
    store.merge(vec![copy(short.clone())], Timestamp(50)).await.unwrap();
    assert_eq!(expiry(&store, short.hash), Some(100));
    assert_eq!(store.sweep_expired(Timestamp(100)).await.unwrap(), 1);
    assert_eq!(store.merge(vec![copy(short.clone())], Timestamp(101)).await.unwrap(), 0);
    assert_eq!(expiry(&store, short.hash), None);
    // But its owner may store it again.
    let again = store.store(short.clone(), Timestamp(200)).await.unwrap();
    assert_eq!(again, Stored { already: false, expiry: short.expiry });
}

#[tokio::test]
async fn no_copy_shortens_a_life_whatever_it_claims() {
    let store = MessageStore::open_in_memory().unwrap();
    let long = message(1, 0, 10, b"long");
    put(&store, long.clone()).await.unwrap();
    let raises = vec![Raise { at: Timestamp(40), expiry: Timestamp(51) }];
    let lie = MessageCopy { stored_at: Timestamp(40), raises, ..copy(long.clone()) };
    store.merge(vec![lie], Timestamp(50)).await.unwrap();
    assert_eq!(expiry(&store, long.hash), Some(1_010));
}

#[tokio::test]
async fn a_second_store_with_less_time_takes_nothing_from_the_first() {
    // One member has both, one only the second; then they tell each other.
    let (both, second) = (MessageStore::open_in_memory().unwrap(), MessageStore::open_in_memory().unwrap());
    let long = message(1, 0, 10, b"same");
    let short = NewMessage { expiry: Timestamp(300), ..long.clone() };
    put(&both, long.clone()).await.unwrap();
    for store in [&both, &second] {
        store.store(short.clone(), Timestamp(20)).await.unwrap();
    }
    let copies =
        (both.copies(&account(1), &[long.hash]).unwrap(), second.copies(&account(1), &[long.hash]).unwrap());
    second.merge(copies.0, Timestamp(30)).await.unwrap();
    both.merge(copies.1, Timestamp(30)).await.unwrap();
    assert_eq!((expiry(&both, long.hash), expiry(&second, long.hash)), (Some(1_010), Some(1_010)));
}

#[tokio::test]
async fn clients_that_renew_expiries_all_day_fill_no_log() {
    let store = MessageStore::open_in_memory().unwrap();
    let config = message(1, 3, 10, b"config");
    put(&store, config.clone()).await.unwrap();
    let gone = message(1, 3, 10, b"an older config").hash;
    for mode in [ExpireMode::Set, ExpireMode::Extend] {
        for at in 0..50 {
            let to = 2_000 + at;
            expired(&store, expire(1, &[config.hash, gone], &[to], mode, 20 + at)).await;
        }
    }
    let stats = store.stats().unwrap();
    assert_eq!((stats.tombstones, stats.operations), (0, 0));
    let copies = store.copies(&account(1), &[config.hash]).unwrap();
    assert_eq!(copies[0].raises, [Raise { at: Timestamp(69), expiry: Timestamp(2_049) }]);
    expired(&store, expire(1, &[config.hash], &[1_000], ExpireMode::Set, 100)).await;
    assert_eq!(store.operation_keys(&account(1)).unwrap().len(), 1, "unless they take something away");
    // Somebody of whom nothing is known stays unknown.
    expired(&store, expire(9, &[config.hash], &[1_000], ExpireMode::Set, 100)).await;
    assert_eq!(store.stats().unwrap().owners, 1);
}

#[tokio::test]
async fn nothing_deleted_is_extended_back() {
    let store = MessageStore::open_in_memory().unwrap();
    let gone = message(1, 0, 10, b"gone");
    put(&store, gone.clone()).await.unwrap();
    deleted(&store, delete(1, &[gone.hash], 20)).await;
    let (updated, unchanged) =
        expired(&store, expire(1, &[gone.hash], &[5_000], ExpireMode::Extend, 30)).await;
    assert!(updated.is_empty() && unchanged.is_empty());
    // Nor by a member that extended it because it did not know.
    let raises = vec![Raise { at: Timestamp(30), expiry: Timestamp(5_000) }];
    let extended = MessageCopy { raises, ..copy(gone) };
    assert_eq!(store.merge(vec![extended], Timestamp(40)).await.unwrap(), 0);
    assert!(texts(&store, &all(&account(1))).0.is_empty());
}

#[tokio::test]
async fn a_request_that_is_remembered_holds_for_all_it_names() {
    let store = MessageStore::open_in_memory().unwrap();
    let (here, later) = (message(1, 0, 10, b"here"), message(1, 0, 10, b"comes later"));
    put(&store, here.clone()).await.unwrap();
    // Remembered for the sake of the one that is here; nobody will tell this store of it again.
    expired(&store, expire(1, &[here.hash, later.hash], &[500], ExpireMode::Set, 20)).await;
    assert_eq!(store.operation_keys(&account(1)).unwrap().len(), 1);
    store.merge(vec![copy(later.clone())], Timestamp(30)).await.unwrap();
    assert_eq!(expiry(&store, later.hash), Some(500));
}

#[tokio::test]
async fn an_extension_counts_although_it_seemed_to_change_nothing() {
    let store = MessageStore::open_in_memory().unwrap();
    let here = message(1, 0, 10, b"here");
    put(&store, here.clone()).await.unwrap();
    expired(&store, expire(1, &[here.hash], &[600], ExpireMode::Extend, 30)).await;
    // Asked before it elsewhere, heard of later.
    store.apply(expire(1, &[here.hash], &[100], ExpireMode::Shorten, 20), Arrival::Late).await.unwrap();
    assert_eq!(expiry(&store, here.hash), Some(600));
}

#[tokio::test]
async fn an_extension_that_comes_late_is_held_against_what_shortened_everything() {
    let store = MessageStore::open_in_memory().unwrap();
    let here = message(1, 0, 30, b"here");
    store.apply(expire_all(1, Scope::All, 500, 20), Arrival::Direct).await.unwrap();
    put(&store, here.clone()).await.unwrap();
    // By the clocks it was asked before all lives were shortened; the message was stored after that.
    expired(&store, expire(1, &[here.hash], &[9_000], ExpireMode::Extend, 10)).await;
    assert_eq!(expiry(&store, here.hash), Some(1_030));
}
