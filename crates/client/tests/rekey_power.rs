//! Changing the key of the database: a loss of power at any write, and a disk that fails at any write, leave a database that
//! exactly one of the two keys opens, with everything in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_client::store::{ClientStore, DatabaseKey, OutgoingMessage, StoreError, StoreOptions};
use conclave_client::types::MessageId;
use conclave_crypto::{Account, AccountId, RecoveryPhrase};
use conclave_proto::Timestamp;
use conclave_testkit::crashfs::{CrashFs, Fault};
use conclave_testkit::durability::{self, Life};
use rand_core::RngCore as _;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Disk operations of one life, roughly: mostly of changing keys.
const WORK: u64 = 1_200;
/// Changes in one life.
const CHANGES: u8 = 4;
/// More keys than all lives of a trial can come to.
const KEYS: u8 = 3 * CHANGES + 3;

enum Acknowledged {
    Queued(MessageId),
    Changed { to: u8 },
}

fn person(byte: u8) -> AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&[byte; 16])).id()
}

fn key(number: u8) -> DatabaseKey {
    DatabaseKey::from_bytes([number + 1; 32])
}

fn options(fs: &CrashFs) -> StoreOptions {
    let mut options = StoreOptions::new(fs.path("database.sqlite"));
    options.vfs = Some(fs.vfs_name().to_owned());
    options
}

/// The keys that open the database, with what they open.
fn opening(fs: &CrashFs) -> Result<Vec<(u8, ClientStore)>, StoreError> {
    let mut found = Vec::new();
    for number in 0..KEYS {
        // One at a time can have it open.
        if found.is_empty() {
            match ClientStore::open(&options(fs), &key(number)) {
                Ok(store) => found.push((number, store)),
                Err(StoreError::WrongKey { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

fn live(life: &mut Life<'_>) -> Vec<Acknowledged> {
    let mut done = Vec::new();
    // Whatever fails ends the life; what was said before counts.
    let _ = live_until_an_error(life, &mut done);
    done
}

fn live_until_an_error(life: &mut Life<'_>, done: &mut Vec<Acknowledged>) -> Result<(), StoreError> {
    let Some((mut number, mut store)) = opening(life.fs)?.pop() else { panic!("no key opens the database") };
    match store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice") {
        Ok(_) | Err(StoreError::AccountExists) => {}
        Err(error) => return Err(error),
    }
    for change in 0..CHANGES {
        for n in 0..life.rng.next_u32() % 6 {
            let text = format!("message {change} {n} {}", "x".repeat((life.rng.next_u32() % 9_000) as usize));
            let (row, _) = store.enqueue(&OutgoingMessage::text(person(2), text), NOW)?;
            done.push(Acknowledged::Queued(row.id));
        }
        drop(store);
        ClientStore::rekey(&options(life.fs), &key(number), &key(number + 1))?;
        number += 1;
        done.push(Acknowledged::Changed { to: number });
        store = ClientStore::open(&options(life.fs), &key(number))?;
    }
    Ok(())
}

fn check(fs: &CrashFs, done: &[Acknowledged]) -> Result<(), String> {
    let fail = |error: StoreError| format!("{error}: {error:?}");
    let (number, store) = opening(fs).map_err(fail)?.pop().ok_or("no key opens the database")?;
    store.check().map_err(fail)?;
    for one in done {
        match one {
            Acknowledged::Queued(id) => {
                store.message(id).map_err(fail)?.ok_or_else(|| format!("{id} is gone"))?;
            }
            Acknowledged::Changed { to } if number < *to => {
                return Err(format!("key {number} opens the database again, after it was changed to {to}"));
            }
            Acknowledged::Changed { .. } => {}
        }
    }
    drop(store);
    for other in (0..KEYS).filter(|other| *other != number) {
        let opened = ClientStore::open(&options(fs), &key(other));
        if !matches!(opened, Err(StoreError::WrongKey { .. })) {
            return Err(format!("key {other} opens it, too: {opened:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_power_cut_at_any_write_leaves_one_key_and_every_message() {
    durability::run(durability::seeds(), WORK, live, check).expect_nothing_lost();
}

#[test]
fn a_disk_that_fails_at_any_write_leaves_one_key_and_every_message() {
    for fault in [Fault::Full, Fault::WriteFails, Fault::SyncFails] {
        let fs = CrashFs::new(1);
        let store = ClientStore::open(&options(&fs), &key(0)).unwrap();
        store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice").unwrap();
        let text = "x".repeat(60_000);
        let id = store.enqueue(&OutgoingMessage::text(person(2), text), NOW).unwrap().0.id;
        drop(store);
        let (mut number, mut refused) = (0, 0);
        for n in 0..60 {
            fs.fail_writes_after(n * 3, fault);
            let changed = ClientStore::rekey(&options(&fs), &key(number), &key(number + 1));
            fs.heal();
            let truth =
                if ClientStore::open(&options(&fs), &key(number)).is_ok() { number } else { number + 1 };
            let store = ClientStore::open(&options(&fs), &key(truth)).unwrap();
            store.check().unwrap();
            assert!(store.message(&id).unwrap().is_some());
            match changed {
                Ok(()) => assert_eq!(truth, number + 1, "{fault:?} {n}"),
                Err(StoreError::NotRekeyed { .. }) => {
                    assert_eq!(truth, number, "{fault:?} {n}");
                    refused += 1;
                }
                Err(_) => refused += 1,
            }
            number = truth;
        }
        assert!(refused > 0, "{fault:?}");
    }
}

#[test]
fn after_a_change_no_page_of_the_file_belongs_to_the_old_key() {
    // Raw pages of the file before and after: none is the same.
    let fs = CrashFs::new(1);
    let store = ClientStore::open(&options(&fs), &key(0)).unwrap();
    store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice").unwrap();
    for n in 0..40 {
        let text = format!("{n} {}", "x".repeat(5_000));
        let id = store.enqueue(&OutgoingMessage::text(person(2), text), NOW).unwrap().0.id;
        if n % 3 == 0 {
            // Pages that are in no use hold old content as well.
            store.delete(&id, conclave_client::store::Deletion::ThisDevice, NOW).unwrap();
        }
    }
    store.empty_journal().unwrap();
    drop(store);
    let before = fs.read_file("database.sqlite").unwrap();
    ClientStore::rekey(&options(&fs), &key(0), &key(1)).unwrap();
    let after = fs.read_file("database.sqlite").unwrap();
    assert!(before.len() > 100 * 4_096 && after.len() >= before.len());
    for (number, (old, new)) in before.chunks(4_096).zip(after.chunks(4_096)).enumerate() {
        assert_ne!(old, new, "page {}", number + 1);
    }
    let journal = fs.read_file("database.sqlite-wal").unwrap_or_default();
    assert!(journal.is_empty(), "nothing is left in the journal");
}
