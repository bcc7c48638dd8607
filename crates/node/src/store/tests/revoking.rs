use conclave_proto::rpc::{Request, Revocation, Scope};

use super::deleting::{auth, delete_all, deleted, operation};
use super::*;

fn token(number: u8) -> SubaccountToken {
    let mut token = [number; 36];
    token[..4].copy_from_slice(&[3, 3, 0, 0]);
    SubaccountToken(token)
}

pub(super) fn revoke(owner: u8, tokens: &[u8], timestamp: u64, revoked: bool) -> Operation {
    let tokens = tokens.iter().copied().map(token).collect();
    let request =
        Revocation { account: account(owner), tokens, timestamp: Timestamp(timestamp), auth: auth() };
    let request =
        if revoked { Request::RevokeSubaccount(request) } else { Request::UnrevokeSubaccount(request) };
    operation(&request, timestamp)
}

async fn changed(store: &MessageStore, operation: Operation) -> u64 {
    match store.apply(operation, Arrival::Direct).await.unwrap() {
        Applied::Revoked(count) => count,
        other => panic!("{other:?}"),
    }
}

fn since(store: &MessageStore, number: u8) -> Option<u64> {
    store.revoked_since(&account(1), &token(number)).unwrap().map(|time| time.0)
}

#[tokio::test]
async fn the_latest_word_about_a_token_counts_in_whatever_order_it_comes() {
    let store = MessageStore::open_in_memory().unwrap();
    assert_eq!(changed(&store, revoke(1, &[1, 2], 100, true)).await, 2);
    assert_eq!((since(&store, 1), since(&store, 3)), (Some(100), None));
    assert_eq!(store.revoked_since(&account(2), &token(1)).unwrap(), None, "of another account");
    assert_eq!(changed(&store, revoke(1, &[1, 3], 200, false)).await, 1);
    assert_eq!(since(&store, 1), None);
    assert_eq!(changed(&store, revoke(1, &[1, 3], 150, true)).await, 0, "an older word, late");
    assert_eq!((since(&store, 1), since(&store, 3)), (None, None));
    assert_eq!(changed(&store, revoke(1, &[1], 200, true)).await, 1, "in doubt revoked");
    assert_eq!(changed(&store, revoke(1, &[2], 300, true)).await, 0);
    assert_eq!(since(&store, 2), Some(300), "revoking again renews");
    assert_eq!(store.revoked(&account(1)).unwrap(), [token(2), token(1)]);
}

#[tokio::test]
async fn the_newest_fifty_are_kept_also_for_an_account_without_messages() {
    let store = MessageStore::open_in_memory().unwrap();
    for number in 0..60 {
        changed(&store, revoke(1, &[number], 1_000 + u64::from(number), true)).await;
    }
    let revoked = store.revoked(&account(1)).unwrap();
    assert_eq!(revoked.len(), 50);
    assert_eq!((revoked[0], revoked[49]), (token(59), token(10)));
    let here = message(1, 0, 2_000, b"here");
    put(&store, here.clone()).await.unwrap();
    deleted(&store, delete_all(1, Scope::All, 3_000)).await;
    store.sweep_expired(Timestamp(5_000)).await.unwrap();
    assert_eq!(since(&store, 59), Some(1_059), "revocations do not go with the last message");
    // But nobody's are kept for ever: a month after the last sign of life they go.
    store.sweep_expired(Timestamp(3_000).plus(MEMORY)).await.unwrap();
    assert_eq!((since(&store, 59), store.stats().unwrap().owners), (None, 0));
}

#[tokio::test]
async fn members_that_come_years_later_hear_who_is_revoked() {
    let store = MessageStore::open_in_memory().unwrap();
    let log = |store: &MessageStore| store.operation_keys(&account(1)).unwrap().len();
    changed(&store, revoke(1, &[1], 100, true)).await;
    changed(&store, revoke(1, &[2], 200, true)).await;
    let year = MEMORY.as_millis() as u64 * 12;
    put(&store, message(1, 0, year, b"the account lives")).await.unwrap();
    store.sweep_expired(Timestamp(year)).await.unwrap();
    assert_eq!(log(&store), 2);
    // What was said about a token before is of no use to anybody.
    changed(&store, revoke(1, &[1], year, false)).await;
    assert_eq!((log(&store), since(&store, 2)), (2, Some(200)));
    // The log fills up with other things.
    for number in 0..1_100u64 {
        let hash = message(1, 0, 1, &number.to_be_bytes()).hash;
        deleted(&store, super::deleting::delete(1, &[hash], year + number)).await;
    }
    let owner = account(1);
    let logged = store.operations(&owner).unwrap();
    let words = logged.iter().filter(|logged| Operation::read(&logged.0).unwrap().1.is_kept_for_good());
    assert_eq!((logged.len(), words.count()), (1_000, 2));
    // Until nothing else is known of the account.
    store.sweep_expired(Timestamp(2 * year)).await.unwrap();
    assert_eq!((log(&store), store.stats().unwrap().owners), (0, 0));
}

#[tokio::test]
async fn an_account_of_which_only_revocations_are_known_is_forgotten_after_a_month() {
    let store = MessageStore::open_in_memory().unwrap();
    changed(&store, revoke(1, &[1], 100, true)).await;
    store.sweep_expired(Timestamp(99).plus(MEMORY)).await.unwrap();
    assert_eq!(since(&store, 1), Some(100));
    store.sweep_expired(Timestamp(100).plus(MEMORY)).await.unwrap();
    assert_eq!(store.stats().unwrap().owners, 0);
}
