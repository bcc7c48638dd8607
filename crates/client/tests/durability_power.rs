//! Acknowledged means durable: a power cut at any write takes nothing back that was acknowledged,
//! and leaves nothing half done. `CONCLAVE_LONG=1` tries thousands of cuts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_client::said::{Heard, HeardProfile, Post, Said};
use conclave_client::store::{
    ClientStore, Copy, DatabaseKey, Deletion, Opened, OutgoingMessage, ReceivedBatch, ReceivedItem,
    StoreError, StoreOptions, StoredCopy,
};
use conclave_client::types::{MessageId, MessageState};
use conclave_crypto::{Account, AccountId, Ed25519Public, Ed25519Secret, RecoveryPhrase, RngCore as _};
use conclave_proto::{Namespace, Timestamp};
use conclave_testkit::crashfs::{CrashFs, Fault};
use conclave_testkit::durability::{self, Life, Report};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LATER: Timestamp = Timestamp(1_700_000_100_000);
const EXPIRY: Timestamp = Timestamp(1_701_000_000_000);

/// Messages of one received batch.
const BATCH: u64 = 3;

/// Disk operations of a life, roughly: making the tables, then the verbs below.
const WORK: u64 = 160;

/// What the store has said it did.
#[derive(Clone, Debug)]
enum Acknowledged {
    Account,
    Named(String),
    Queued(MessageId, Timestamp),
    Reached(MessageId, MessageState),
    SyncCopyStored(MessageId),
    Received(u64),
    Deleted(MessageId),
}

fn person(byte: u8) -> AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&[byte; 16])).id()
}

fn member() -> Ed25519Public {
    Ed25519Secret::from_seed(&[9; 32]).public()
}

fn open(fs: &CrashFs, synced: bool) -> Result<ClientStore, StoreError> {
    let mut options = StoreOptions::new(fs.path("database.sqlite"));
    options.vfs = Some(fs.vfs_name().to_owned());
    options.synced = synced;
    ClientStore::open(&options, &DatabaseKey::from_bytes([3; 32]))
}

fn outgoing(text: &str) -> OutgoingMessage {
    OutgoingMessage::text(person(2), text)
}

fn stored(signed: u32, hash: &str) -> StoredCopy<'_> {
    StoredCopy { signed, swarm: 5, hash, expires_at: EXPIRY }
}

fn received_at(batch: u64, n: u64) -> Timestamp {
    Timestamp(NOW.0 + batch * BATCH + n)
}

fn batch(number: u64) -> ReceivedBatch {
    let items = (0..BATCH).map(|n| ReceivedItem {
        hash: format!("{number}/{n}"),
        stored_at: NOW,
        expires_at: EXPIRY,
        content: Opened::Heard(Heard {
            author: person(4),
            sent_at: received_at(number, n),
            sync_target: None,
            said: Said::Post(Post { text: format!("received {number} {n}"), ..Post::default() }),
            expiration: Default::default(),
            profile: Some(HeardProfile { name: Some("Dan".to_owned()), picture: None, updated: 0 }),
            wants_delivered: false,
            content: vec![7; 300],
        }),
    });
    ReceivedBatch {
        snode: member(),
        account: person(1),
        namespace: Namespace::DIRECT,
        last_hash: Some(format!("{number}/{}", BATCH - 1)),
        items: items.collect(),
    }
}

/// Uses the store until the power goes or enough is done.
fn live(life: &mut Life<'_>, synced: bool) -> Vec<Acknowledged> {
    let mut done = Vec::new();
    // Whatever fails ends the life; what was said before counts.
    let _ = live_until_an_error(life, synced, &mut done);
    done
}

fn live_until_an_error(
    life: &mut Life<'_>,
    synced: bool,
    done: &mut Vec<Acknowledged>,
) -> Result<(), StoreError> {
    let store = open(life.fs, synced)?;
    match store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice") {
        Ok(_) => done.push(Acknowledged::Account),
        Err(StoreError::AccountExists) => {}
        Err(error) => return Err(error),
    }
    for step in 0..12u64 {
        match life.rng.next_u32() % 6 {
            0 => {
                store.introduce(&person(9), &format!("name {step}"), NOW)?;
                done.push(Acknowledged::Named(format!("name {step}")));
            }
            1 => {
                let number = u64::from(life.number) * 1_000 + step;
                store.insert_received(&batch(number), LATER)?;
                done.push(Acknowledged::Received(number));
            }
            _ => {
                let (row, _) = store.enqueue(&outgoing(&format!("sent {step}")), NOW)?;
                let id = row.id;
                done.push(Acknowledged::Queued(id.clone(), row.sent_at));
                match life.rng.next_u32() % 5 {
                    0 => {
                        store.mark_stored(&id, Copy::Recipient, &stored(2, "weak"), NOW)?;
                        done.push(Acknowledged::Reached(id, MessageState::StoredWeakly));
                    }
                    1 => {
                        store.mark_stored(&id, Copy::Recipient, &stored(5, "all"), NOW)?;
                        done.push(Acknowledged::Reached(id, MessageState::Stored));
                    }
                    2 => {
                        store.mark_stored(&id, Copy::OwnSync, &stored(5, &format!("own {id}")), NOW)?;
                        done.push(Acknowledged::SyncCopyStored(id));
                    }
                    3 => {
                        // From here on it may be gone, whether or not that is acknowledged.
                        done.pop();
                        store.delete(&id, Deletion::ThisDevice, NOW)?;
                        done.push(Acknowledged::Deleted(id));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn check(fs: &CrashFs, done: &[Acknowledged]) -> Result<(), String> {
    let fail = |error: StoreError| format!("{error}: {error:?}");
    let store = open(fs, true).map_err(fail)?;
    store.check().map_err(fail)?;
    match store.account() {
        Ok(_) => {}
        Err(StoreError::NoAccount) if done.is_empty() => return Ok(()),
        Err(error) => return Err(fail(error)),
    }
    let find = |id: &MessageId| store.message(id).map_err(fail)?.ok_or_else(|| format!("{id} is gone"));
    let due = store.due(EXPIRY, 1_000, 1_000).map_err(fail)?;
    let waits = |id: &MessageId, copy: Copy| due.iter().any(|due| due.id == *id && due.copy == copy);
    let mut last = Timestamp(0);
    let named = done.iter().rev().find_map(|one| match one {
        Acknowledged::Named(name) => Some(name),
        _ => None,
    });
    if let Some(name) = named {
        // Table and document say the same, and the document is still to be told to other devices.
        let known = store.contact(&person(9)).map_err(fail)?.and_then(|contact| contact.nickname);
        let numbered = |name: &str| name.trim_start_matches("name ").parse::<u64>().ok();
        if known.as_deref().and_then(numbered).is_none() {
            return Err(format!("{name} is forgotten"));
        }
        if store.document_pushes(NOW).map_err(fail)?.is_empty() {
            return Err("no other device is told".to_owned());
        }
    }
    for one in done {
        match one {
            Acknowledged::Account => {}
            Acknowledged::Named(_) => {}
            Acknowledged::Queued(id, sent_at) => {
                let row = find(id)?;
                let state = row.state.ok_or_else(|| format!("{id} has no state"))?;
                if row.sent_at != *sent_at {
                    return Err(format!("{id} has another sent timestamp"));
                }
                // Either it reached a majority, or it still waits.
                if state < MessageState::Stored && !waits(id, Copy::Recipient) {
                    return Err(format!("{id} is {state:?} and waits no more"));
                }
                last = last.max(*sent_at);
            }
            Acknowledged::Reached(id, state) => {
                if find(id)?.state < Some(*state) {
                    return Err(format!("{id} fell back from {state:?}"));
                }
            }
            Acknowledged::SyncCopyStored(id) => {
                if waits(id, Copy::OwnSync) || find(id)?.own_hash.is_none() {
                    return Err(format!("the sync copy of {id} waits again"));
                }
            }
            Acknowledged::Received(number) => is_whole(&store, *number)?,
            Acknowledged::Deleted(id) => {
                if store.message(id).map_err(fail)?.is_some() {
                    return Err(format!("{id} came back"));
                }
            }
        }
    }
    // Nothing half done: a message that no member has yet waits in both copies, …
    for waiting in &due {
        // The word to one's other devices that a message was deleted is none itself.
        if waiting.copy == Copy::Recipient && waiting.recipient == person(1) {
            continue;
        }
        let id = &waiting.id;
        let row = find(id)?;
        if row.state != Some(MessageState::Queued) {
            continue;
        }
        let sync_done = row.own_hash.is_some();
        if !waits(id, Copy::Recipient) || !(sync_done || waits(id, Copy::OwnSync)) {
            return Err(format!("{id} waits in one copy"));
        }
    }
    // … a cursor stands only behind messages that are here, …
    if let Some(hash) = store.cursor(&member(), &person(1), Namespace::DIRECT).map_err(fail)? {
        is_whole(&store, hash.split('/').next().unwrap().parse().unwrap())?;
    }
    // … and no sent timestamp is given out twice.
    let next = store.enqueue(&outgoing("the next one"), NOW).map_err(fail)?.0.sent_at;
    if next <= last {
        return Err(format!("the timestamp {next} is given out again"));
    }
    Ok(())
}

fn is_whole(store: &ClientStore, number: u64) -> Result<(), String> {
    for n in 0..BATCH {
        let id = MessageId::of(&person(4), received_at(number, n));
        if store.message(&id).map_err(|error| error.to_string())?.is_none() {
            return Err(format!("message {n} of batch {number} is missing"));
        }
        let hash = format!("{number}/{n}");
        if !store.unseen(&[hash]).map_err(|error| error.to_string())?.is_empty() {
            return Err(format!("the hash of message {n} of batch {number} is missing"));
        }
    }
    Ok(())
}

fn cut_the_power(synced: bool) -> Report {
    durability::run(durability::seeds(), WORK, |life| live(life, synced), check)
}

#[test]
fn a_power_cut_at_any_write_takes_nothing_back() {
    cut_the_power(true).expect_nothing_lost();
}

#[test]
fn without_waiting_for_the_disk_acknowledged_messages_are_lost() {
    // The control: the scenario above can fail.
    let report = cut_the_power(false);
    assert!(!report.lost.is_empty(), "{report:?}");
}

#[test]
fn every_acknowledgement_waited_for_a_sync() {
    let fs = CrashFs::new(1);
    let store = open(&fs, true).unwrap();
    store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice").unwrap();
    for n in 0..20 {
        let before = fs.sync_count();
        store.enqueue(&outgoing("hi"), NOW).unwrap();
        assert!(fs.sync_count() > before, "enqueue {n}");
        let before = fs.sync_count();
        store.insert_received(&batch(n), LATER).unwrap();
        assert!(fs.sync_count() > before, "insert {n}");
    }
}

#[test]
fn a_disk_that_fails_at_any_write_loses_nothing_and_is_not_believed() {
    for fault in [Fault::Full, Fault::WriteFails, Fault::SyncFails] {
        let fs = CrashFs::new(1);
        let store = open(&fs, true).unwrap();
        store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice").unwrap();
        let long = outgoing(&"x".repeat(10_000));
        let mut kept = Vec::new();
        let mut refused = 0;
        for n in 0..200 {
            fs.fail_writes_after(n % 12, fault);
            match store.enqueue(&long, NOW) {
                Ok((row, _)) => kept.push(row.id),
                Err(error) => {
                    assert_eq!(
                        matches!(error, StoreError::DiskFull { .. }),
                        fault == Fault::Full,
                        "{error:?}"
                    );
                    assert!(error.retry_may_help(), "{error:?}");
                    refused += 1;
                }
            }
            fs.heal();
            kept.push(store.enqueue(&outgoing("it works again"), NOW).unwrap().0.id);
        }
        assert!(refused > 0, "{fault:?}");
        fs.crash();
        drop(store);
        let store = open(&fs, true).unwrap();
        store.check().unwrap();
        let waiting: Vec<MessageId> = store
            .due(EXPIRY, 1_000, 1_000)
            .unwrap()
            .into_iter()
            .filter(|due| due.copy == Copy::Recipient)
            .map(|due| due.id)
            .collect();
        assert_eq!(waiting, kept, "{fault:?}: exactly what was acknowledged, in order");
    }
}
