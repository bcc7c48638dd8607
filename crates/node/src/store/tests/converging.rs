//! Members who learn of the same writes in different orders, and partly from each other, come to the same.

use std::collections::BTreeSet;

use conclave_proto::rpc::{ExpireMode, Scope};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::deleting::{delete, delete_all, delete_before};
use super::expiring::{expire, expire_all};
use super::revoking::revoke;
use super::*;

const MEMBERS: usize = 3;
/// Later than all writes, earlier than most expiries.
const NOW: Timestamp = Timestamp(150);

#[derive(Clone, Debug)]
enum Write {
    Store(NewMessage, u64),
    Operation(Operation),
}

/// Few messages and few times, so that they meet. Namespace 0 and an outbox.
fn text() -> impl Strategy<Value = (i16, Vec<u8>)> {
    (prop::sample::select(vec![0i16, 2, -1]), 0u8..3).prop_map(|(namespace, n)| (namespace, vec![n]))
}

fn hash() -> impl Strategy<Value = MessageHash> {
    text().prop_map(|(namespace, data)| MessageHash::of(&account(1), Namespace(namespace), &data))
}

fn scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(vec![
        Scope::All,
        Scope::One(Namespace(0)),
        Scope::One(Namespace(2)),
        Scope::One(Namespace(-1)),
    ])
}

fn write() -> impl Strategy<Value = Write> {
    let mode = prop::sample::select(vec![ExpireMode::Set, ExpireMode::Extend, ExpireMode::Shorten]);
    let (at, to) = (1u64..100, 100u64..300);
    prop_oneof![
        5 => (text(), 1u64..100, to.clone(), at.clone()).prop_map(|((namespace, data), time, expiry, at)| {
            let message = message(1, namespace, time, &data);
            Write::Store(NewMessage { expiry: Timestamp(expiry), ..message }, at)
        }),
        2 => (vec(hash(), 1..3), at.clone()).prop_map(|(hashes, at)| Write::Operation(delete(1, &hashes, at))),
        1 => (scope(), at.clone()).prop_map(|(scope, at)| Write::Operation(delete_all(1, scope, at))),
        1 => (scope(), 1u64..100, at.clone())
            .prop_map(|(scope, before, at)| Write::Operation(delete_before(1, scope, before, at))),
        3 => (vec(hash(), 1..3), to.clone(), mode, at.clone())
            .prop_map(|(hashes, to, mode, at)| Write::Operation(expire(1, &hashes, &[to], mode, at))),
        1 => (scope(), to, at.clone())
            .prop_map(|(scope, to, at)| Write::Operation(expire_all(1, scope, to, at))),
        1 => (0u8..3, any::<bool>(), at)
            .prop_map(|(token, revoked, at)| Write::Operation(revoke(1, &[token], at, revoked))),
    ]
}

/// A write, the members it reaches directly, and where in each one's order of learning.
type Sent = (Write, Vec<usize>, [Index; MEMBERS]);

fn sent() -> impl Strategy<Value = Sent> {
    (write(), subsequence((0..MEMBERS).collect::<Vec<_>>(), 1..=MEMBERS), any::<[Index; MEMBERS]>())
}

async fn learn(store: &MessageStore, write: &Write) {
    match write {
        Write::Store(message, at) => drop(store.store(message.clone(), Timestamp(*at)).await.unwrap()),
        Write::Operation(operation) => {
            drop(store.apply(operation.clone(), Arrival::Direct).await.unwrap());
        }
    }
}

/// One member tells another all it has; `messages_first` or operations first.
async fn tell(from: &MessageStore, to: &MessageStore, messages_first: bool) {
    let owner = account(1);
    let copies = from.copies(&owner, &from.hashes(&owner).unwrap()).unwrap();
    if messages_first {
        to.merge(copies.clone(), NOW).await.unwrap();
    }
    for logged in from.operations(&owner).unwrap() {
        let (_, operation) = Operation::read(&logged.0).unwrap();
        to.apply(operation, Arrival::Late).await.unwrap();
    }
    if !messages_first {
        to.merge(copies, NOW).await.unwrap();
    }
}

/// What clients can see, in an order that does not matter to them, and the logs.
type Visible = (BTreeSet<(i16, Vec<u8>, u64, u64)>, Vec<SubaccountToken>, Vec<OperationKey>);

fn visible(store: &MessageStore) -> Visible {
    let owner = account(1);
    let mut messages = BTreeSet::new();
    for namespace in [0, 2, -1].map(Namespace) {
        let page = store.retrieve(&Query { namespace, ..all(&owner) }).unwrap();
        messages.extend(
            page.messages
                .into_iter()
                .filter(|message| message.expiration > NOW)
                .map(|message| (namespace.0, message.data, message.timestamp.0, message.expiration.0)),
        );
    }
    (messages, store.revoked(&owner).unwrap(), store.operation_keys(&owner).unwrap())
}

/// Tells until nobody learns anything new.
async fn gossip(stores: &[MessageStore], order: &[(usize, usize, bool)]) {
    for (from, to, messages_first) in order {
        tell(&stores[*from], &stores[*to], *messages_first).await;
    }
    for _ in 0..8 {
        let before: Vec<Visible> = stores.iter().map(visible).collect();
        for from in stores {
            for to in stores {
                tell(from, to, false).await;
            }
        }
        if before == stores.iter().map(visible).collect::<Vec<_>>() {
            return;
        }
    }
    panic!("they go on changing for ever");
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

fn open() -> Vec<MessageStore> {
    (0..MEMBERS).map(|_| MessageStore::open_in_memory().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn members_that_missed_different_writes_agree_once_they_have_talked(
        writes in vec(sent(), 1..14),
        order in vec((0..MEMBERS, 0..MEMBERS, any::<bool>()), 0..6),
        sweeps: bool,
    ) {
        block_on(async {
            let stores = open();
            for (member, store) in stores.iter().enumerate() {
                let mut mine: Vec<&Sent> = Vec::new();
                for write in writes.iter().filter(|(_, to, _)| to.contains(&member)) {
                    mine.insert(write.2[member].index(mine.len() + 1), write);
                }
                for (write, ..) in mine {
                    learn(store, write).await;
                }
                if sweeps && member == 0 {
                    store.sweep_expired(NOW).await.unwrap();
                }
            }
            gossip(&stores, &order).await;
            let seen: Vec<Visible> = stores.iter().map(visible).collect();
            assert_eq!(seen[0], seen[1]);
            assert_eq!(seen[0], seen[2]);
            // Hearing everything again changes nothing.
            gossip(&stores, &[(0, 1, true), (1, 0, true), (2, 0, true)]).await;
            assert_eq!(stores.iter().map(visible).collect::<Vec<_>>(), seen);
        });
    }

    #[test]
    fn what_reaches_everybody_has_the_same_effect_in_every_order(
        writes in vec(write(), 1..10), shuffles in vec(any::<Index>(), 30),
    ) {
        block_on(async {
            let stores = open();
            let mut shuffles = shuffles.iter().cycle();
            for store in &stores {
                let mut mine: Vec<&Write> = Vec::new();
                for write in &writes {
                    mine.insert(shuffles.next().unwrap().index(mine.len() + 1), write);
                }
                for write in mine {
                    learn(store, write).await;
                }
            }
            gossip(&stores, &[]).await;
            let seen: Vec<Visible> = stores.iter().map(visible).collect();
            assert_eq!(seen[0], seen[1]);
            assert_eq!(seen[0], seen[2]);
        });
    }

    #[test]
    fn in_the_order_of_time_everybody_gets_what_the_writes_say(writes in vec(write(), 1..10)) {
        // The plainest model there is, against the store, where nothing comes late.
        let mut writes = writes;
        writes.sort_by_key(|write| match write {
            Write::Store(_, at) => *at,
            Write::Operation(operation) => operation.at.0,
        });
        let distinct = |write: &Write| match write {
            Write::Store(_, at) => *at,
            Write::Operation(operation) => operation.at.0,
        };
        writes.dedup_by_key(|write| distinct(write));
        block_on(async {
            let store = MessageStore::open_in_memory().unwrap();
            let mut model: BTreeMap<(i16, MessageHash), (u64, u64)> = BTreeMap::new();
            for write in &writes {
                learn(&store, write).await;
                in_model(&mut model, write);
            }
            let (messages, ..) = visible(&store);
            let seen: BTreeSet<(i16, MessageHash, u64, u64)> = messages
                .into_iter()
                .map(|(namespace, data, time, expiry)| {
                    (namespace, MessageHash::of(&account(1), Namespace(namespace), &data), time, expiry)
                })
                .collect();
            let expected = model.into_iter().filter(|(_, (_, expiry))| *expiry > NOW.0);
            let expected = expected.map(|((namespace, hash), (time, expiry))| (namespace, hash, time, expiry));
            assert_eq!(seen, expected.collect());
        });
    }
}

fn in_model(model: &mut BTreeMap<(i16, MessageHash), (u64, u64)>, write: &Write) {
    let covers = |scope: Scope, namespace: i16| match scope {
        Scope::All => true,
        Scope::One(one) => one.0 == namespace,
    };
    let operation = match write {
        Write::Store(message, _) => {
            let new = (message.timestamp.0, message.expiry.0);
            let key = (message.namespace.0, message.hash);
            let mut entry = model.get(&key).copied().unwrap_or(new);
            entry = (new.0, entry.1.max(new.1));
            model.insert(key, entry);
            if message.namespace.is_public_outbox() {
                let last = model.iter().filter(|((n, _), _)| *n == message.namespace.0);
                let last =
                    last.max_by_key(|((_, hash), (time, _))| (*time, hash.to_bytes())).map(|(key, _)| *key);
                model.retain(|key, _| key.0 != message.namespace.0 || Some(*key) == last);
            }
            return;
        }
        Write::Operation(operation) => operation,
    };
    match &operation.action {
        Action::Delete(hashes) => model.retain(|(_, hash), _| !hashes.contains(hash)),
        Action::DeleteRange { scope, before } => model.retain(|(namespace, _), (time, _)| {
            !(covers(*scope, *namespace) && before.is_none_or(|before| *time <= before.0))
        }),
        Action::Expire { messages, mode } => {
            for ((_, hash), (_, expiry)) in model.iter_mut() {
                let asked = messages.iter().rfind(|(named, _)| named == hash);
                if let Some((_, to)) = asked {
                    *expiry = match mode {
                        ExpireMode::Set => to.0,
                        ExpireMode::Extend => (*expiry).max(to.0),
                        ExpireMode::Shorten => (*expiry).min(to.0),
                    };
                }
            }
        }
        Action::ExpireRange { scope, expiry: to } => {
            for ((namespace, _), (_, expiry)) in model.iter_mut() {
                if covers(*scope, *namespace) {
                    *expiry = (*expiry).min(to.0);
                }
            }
        }
        Action::Revoke { .. } => {}
    }
}
