//! Acknowledged means durable: a power cut at any write takes nothing back that was acknowledged,
//! and leaves nothing half done. `CONCLAVE_LONG=1` tries thousands of cuts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

use conclave_crypto::AccountId;
use conclave_node::store::{
    Action, Arrival, Logged, MAX_RETRIEVE, MessageStore, NewMessage, Operation, Options, Query, StoreError,
    Stored,
};
use conclave_proto::rpc::{Auth, Delete, Request, signing};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use conclave_testkit::crashfs::{CrashFs, Fault};
use conclave_testkit::durability::{self, Life, Report};
use conclave_testkit::personas;
use rand_core::RngCore;
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const DAY: u64 = 24 * 60 * 60 * 1_000;

/// Rounds of one life, and callers of one round.
const ROUNDS: u64 = 4;
const CALLERS: u64 = 6;
/// Disk operations of a life, roughly: making the tables, then the rounds.
const WORK: u64 = 110;

/// What the store has said it did.
enum Acknowledged {
    Stored(NewMessage, Stored),
    /// Not yet: it may have happened or not.
    Deleting(MessageHash),
    Deleted(AccountId, MessageHash),
    Meta(u64),
}

fn open(fs: &CrashFs, synced: bool) -> Result<MessageStore, StoreError> {
    let options = Options {
        vfs: Some(fs.vfs_name().to_owned()),
        // Often, so that power cuts also fall into the carrying over of the log.
        checkpoint_pages: Some(12),
        unsafe_synchronous_normal: !synced,
        ..Options::default()
    };
    MessageStore::open(Path::new(&fs.path("messages.sqlite")), options)
}

/// A runtime of its own for each life, on the thread that runs the trial.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A message that shows by itself whether it is whole: its hash is of its content.
fn message(rng: &mut impl RngCore, number: u64) -> NewMessage {
    let owner =
        if rng.next_u32().is_multiple_of(2) { personas::alice() } else { personas::bob() }.account_id();
    let namespace = Namespace([0, 0, 2, -11][rng.next_u32() as usize % 4]);
    let mut data = vec![0; rng.next_u32() as usize % 6_000];
    rng.fill_bytes(&mut data);
    data.extend(number.to_be_bytes());
    NewMessage {
        owner,
        namespace,
        hash: MessageHash::of(&owner, namespace, &data),
        timestamp: Timestamp(NOW.0 + number),
        expiry: Timestamp(NOW.0 + DAY + number),
        data,
    }
}

/// A deletion by its owner, later than every store of these tests.
fn deletion(message: &NewMessage) -> Operation {
    let key = personas::alice().ed25519();
    let messages = vec![message.hash];
    let auth = Auth::by_account(&key, &signing::delete(&messages));
    let request = Request::Delete(Delete { account: message.owner, messages, required: false, auth });
    Operation::of(&request, Timestamp(NOW.0 + DAY)).unwrap()
}

fn deleting(acknowledged: &[Acknowledged]) -> BTreeSet<MessageHash> {
    let names = |acknowledged: &Acknowledged| match acknowledged {
        Acknowledged::Deleting(hash) => Some(*hash),
        _ => None,
    };
    acknowledged.iter().filter_map(names).collect()
}

fn live(life: &mut Life<'_>, synced: bool) -> Vec<Acknowledged> {
    let Ok(store) = open(life.fs, synced) else { return Vec::new() };
    let mut acknowledged = Vec::new();
    let mut earlier: Vec<NewMessage> = Vec::new();
    block_on(async {
        for round in 0..ROUNDS {
            let mut callers: JoinSet<Result<Acknowledged, StoreError>> = JoinSet::new();
            for caller in 0..CALLERS {
                let number = (u64::from(life.number) * ROUNDS + round) * CALLERS + caller;
                let store = store.clone();
                let what = life.rng.next_u32() % 8;
                if what == 0 {
                    callers.spawn(async move {
                        store.set_meta("test", number.to_be_bytes().to_vec()).await?;
                        Ok(Acknowledged::Meta(number))
                    });
                    // One at a time, so that the last acknowledged value is the one that must be there.
                    break;
                }
                if what == 2
                    && let Some(known) = earlier.last().cloned()
                {
                    acknowledged.push(Acknowledged::Deleting(known.hash));
                    callers.spawn(async move {
                        store.apply(deletion(&known), Arrival::Direct).await?;
                        Ok(Acknowledged::Deleted(known.owner, known.hash))
                    });
                    continue;
                }
                let message = match earlier.last() {
                    Some(known) if what == 1 => {
                        NewMessage { expiry: Timestamp(known.expiry.0 + DAY), ..known.clone() }
                    }
                    _ => message(&mut life.rng, number),
                };
                earlier.push(message.clone());
                callers.spawn(async move {
                    let stored = store.store(message.clone(), message.timestamp).await?;
                    Ok(Acknowledged::Stored(message, stored))
                });
            }
            let answers = callers.join_all().await;
            let failed = answers.iter().any(Result::is_err);
            acknowledged.extend(answers.into_iter().flatten());
            // Readers see at once what was acknowledged.
            if !failed
                && let Some(Acknowledged::Stored(message, _)) = acknowledged.last()
                && !deleting(&acknowledged).contains(&message.hash)
            {
                let found = store.expiries(&message.owner, &[message.hash]);
                assert!(found.is_err() || found.unwrap().contains_key(&message.hash), "seed {}", life.seed);
            }
            if failed {
                break;
            }
        }
    });
    acknowledged
}

fn check(fs: &CrashFs, acknowledged: &[Acknowledged]) -> Result<(), String> {
    let fail = |error: StoreError| error.to_string();
    let store = open(fs, true).map_err(fail)?;
    store.check().map_err(fail)?;
    let mut meta = None;
    let deleting = deleting(acknowledged);
    for acknowledged in acknowledged {
        match acknowledged {
            Acknowledged::Stored(message, _) if deleting.contains(&message.hash) => {}
            Acknowledged::Deleting(_) => {}
            Acknowledged::Deleted(owner, hash) => {
                if !store.expiries(owner, &[*hash]).map_err(fail)?.is_empty() {
                    return Err(format!("deleted message {hash:?} is back"));
                }
                let kept = store.operations(owner).map_err(fail)?;
                let names = |logged: &Logged| match Operation::read(&logged.0).unwrap().1.action {
                    Action::Delete(hashes) => hashes.contains(hash),
                    _ => false,
                };
                if !kept.iter().any(names) {
                    return Err(format!("the proof of the deletion of {hash:?} is lost"));
                }
            }
            Acknowledged::Stored(message, stored) => {
                let found = store.expiries(&message.owner, &[message.hash]).map_err(fail)?;
                match found.get(&message.hash) {
                    None => return Err(format!("acknowledged message {:?} is lost", message.hash)),
                    Some(expiry) if *expiry < stored.expiry => {
                        return Err(format!("the longer life of {:?} is lost", message.hash));
                    }
                    Some(_) => {}
                }
            }
            Acknowledged::Meta(number) => meta = meta.max(Some(*number)),
        }
    }
    let kept = store.meta("test").map_err(fail)?.map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
    if kept < meta {
        return Err(format!("the acknowledged value {meta:?} is lost, {kept:?} is there"));
    }
    // Whatever is there, acknowledged or not, is whole.
    for owner in [personas::alice().account_id(), personas::bob().account_id()] {
        for namespace in [0, 2, -11].map(Namespace) {
            for message in everything(&store, &owner, namespace).map_err(fail)? {
                if MessageHash::of(&owner, namespace, &message.1) != message.0 {
                    return Err(format!("message {:?} is half-written", message.0));
                }
            }
        }
    }
    Ok(())
}

fn everything(
    store: &MessageStore,
    owner: &AccountId,
    namespace: Namespace,
) -> Result<Vec<(MessageHash, Vec<u8>)>, StoreError> {
    let query = Query { owner, namespace, after: None, max_count: None, max_size: MAX_RETRIEVE };
    let page = store.retrieve(&query)?;
    assert!(!page.more);
    Ok(page.messages.into_iter().map(|message| (message.hash, message.data)).collect())
}

fn cut_the_power(synced: bool) -> Report {
    durability::run(durability::seeds(), WORK, |life| live(life, synced), check)
}

#[test]
fn a_power_cut_at_any_write_takes_nothing_back() {
    let report = cut_the_power(true);
    println!(
        "{} seeds, {} power cuts in the middle, {} acknowledgements",
        report.trials, report.killed, report.acknowledged
    );
    report.expect_nothing_lost();
}

#[test]
fn without_waiting_for_the_disk_acknowledged_messages_are_lost() {
    // The control: the scenario above can fail.
    let report = cut_the_power(false);
    assert!(report.lost.iter().any(|(_, wrong)| wrong.contains("is lost")), "{report:?}");
}

#[test]
fn concurrent_writes_share_syncs_and_every_acknowledgement_waited_for_one() {
    let fs = CrashFs::new(1);
    let store = open(&fs, true).unwrap();
    let mut rng = conclave_testkit::rng(1);
    block_on(async {
        for number in 0..20 {
            let before = fs.sync_count();
            store.store(message(&mut rng, number), NOW).await.unwrap();
            assert!(fs.sync_count() > before, "write {number} was acknowledged without a sync");
        }
        let before = fs.sync_count();
        let mut callers = JoinSet::new();
        for number in 100..600 {
            let (store, message) = (store.clone(), message(&mut rng, number));
            callers.spawn(async move { store.store(message, NOW).await.unwrap() });
        }
        callers.join_all().await;
        let syncs = fs.sync_count() - before;
        assert!(syncs < 500, "no two of 500 concurrent writes shared a commit: {syncs} syncs");
    });
}

#[test]
fn a_disk_that_fails_at_any_write_loses_nothing_and_is_not_believed() {
    for fault in [Fault::Full, Fault::WriteFails, Fault::SyncFails] {
        let fs = CrashFs::new(1);
        let mut rng = conclave_testkit::rng(2);
        let mut kept = Vec::new();
        let mut refused = 0;
        block_on(async {
            let store = open(&fs, true).unwrap();
            for number in 0..120 {
                fs.fail_writes_after(number % 12, fault);
                let message = message(&mut rng, 2 * number);
                match store.store(message.clone(), message.timestamp).await {
                    Ok(_) => kept.push(message),
                    Err(error) => {
                        assert_eq!(matches!(error, StoreError::Full), fault == Fault::Full, "{error:?}");
                        refused += 1;
                        // Reading goes on.
                        if let Some(message) = kept.last() {
                            assert_eq!(store.expiries(&message.owner, &[message.hash]).unwrap().len(), 1);
                        }
                    }
                }
                fs.heal();
                let message = self::message(&mut rng, 2 * number + 1);
                // A sync of the thread beside may have failed, of which the writing one is told only now.
                let mut stored = store.store(message.clone(), message.timestamp).await;
                if stored.is_err() && fault == Fault::SyncFails {
                    stored = store.store(message.clone(), message.timestamp).await;
                }
                stored.unwrap();
                kept.push(message);
            }
            assert!(refused > 0, "{fault:?}");
            fs.crash();
        });
        let store = open(&fs, true).unwrap();
        store.check().unwrap();
        for message in &kept {
            assert_eq!(store.expiries(&message.owner, &[message.hash]).unwrap().len(), 1, "{fault:?}");
        }
    }
}

#[test]
fn a_damaged_page_is_reported_with_the_file_and_what_to_do() {
    let fs = CrashFs::new(1);
    let store = open(&fs, true).unwrap();
    let mut rng = conclave_testkit::rng(3);
    block_on(async {
        for number in 0..60 {
            store.store(message(&mut rng, number), NOW).await.unwrap();
        }
    });
    drop(store);
    let mut file = fs.read_file("messages.sqlite").unwrap();
    for page in file.chunks_mut(4_096).skip(1) {
        page[..64].fill(0xff);
    }
    fs.write_file("messages.sqlite", &file);
    let error = open(&fs, true).and_then(|store| store.check()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
    assert!(text.contains("messages.sqlite") && text.contains("move the file away"), "{text}");
}
