//! A sync that fails leaves pages of which nobody knows whether they are on the disk. What was acknowledged must not come to
//! depend on them.

use std::sync::mpsc;
use std::thread::JoinHandle;

use conclave_testkit::crashfs::{CrashFs, Fault};

use super::*;

const FILE: &str = "messages.sqlite";
const LOG: &str = "messages.sqlite-wal";

fn open(fs: &CrashFs) -> Result<MessageStore, StoreError> {
    let options =
        Options { vfs: Some(fs.vfs_name().to_owned()), checkpoint_pages: Some(12), ..Options::default() };
    MessageStore::open(Path::new(&fs.path(FILE)), options)
}

/// A store on a disk, and what it has acknowledged.
struct Kept {
    fs: CrashFs,
    store: MessageStore,
    messages: Vec<NewMessage>,
    random: Box<dyn rand_core::RngCore>,
}

impl Kept {
    fn new(seed: u64) -> Self {
        let fs = CrashFs::new(seed);
        let store = open(&fs).unwrap();
        Self { fs, store, messages: Vec::new(), random: Box::new(conclave_testkit::rng(seed)) }
    }

    async fn put(&mut self) -> Result<(), StoreError> {
        let number = self.messages.len() as u64;
        let mut data = vec![0; 5_000];
        self.random.fill_bytes(&mut data);
        let message = message(u8::try_from(number % 7).unwrap(), 0, 1_000 + number, &data);
        put(&self.store, message.clone()).await?;
        self.messages.push(message);
        Ok(())
    }

    async fn put_some(&mut self, count: usize) {
        for _ in 0..count {
            self.put().await.unwrap();
        }
    }

    /// Has a reader look at the store as it is now, until what is returned is let go.
    fn reader(&self) -> (mpsc::Sender<()>, JoinHandle<()>) {
        let store = self.store.clone();
        let (go, gone) = mpsc::channel();
        let (tell, reads) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let look = |connection: &Connection| -> rusqlite::Result<()> {
                connection.query_row("SELECT count(*) FROM messages", [], |_| Ok(()))?;
                tell.send(()).unwrap();
                let _ = gone.recv();
                Ok(())
            };
            store.read(look).unwrap();
        });
        reads.recv().unwrap();
        (go, thread)
    }

    /// Brings the store to where the beginning of the log is in the database without having been synced, and the sync of
    /// the rest fails. A reader is what keeps SQLite from carrying over all at once.
    async fn carry_over_in_two_parts_of_which_the_second_fails(&mut self) {
        self.put_some(5).await;
        let (end_first, first) = self.reader();
        self.put_some(20).await;
        let (end_second, second) = self.reader();
        let before = self.fs.read_file(FILE);
        end_first.send(()).unwrap();
        first.join().unwrap();
        while self.fs.read_file(FILE) == before {
            self.put().await.unwrap();
        }
        self.fs.fail_next_sync_of(FILE);
        end_second.send(()).unwrap();
        second.join().unwrap();
        while self.fs.will_fail_a_sync() {
            self.put().await.unwrap();
        }
    }

    /// Cuts the power; everything must be there afterwards.
    fn all_is_there_after_a_power_cut(self, what: &str) {
        let Self { fs, store, messages, .. } = self;
        fs.crash();
        drop(store);
        let store = open(&fs).unwrap_or_else(|error| panic!("{what}: {error}"));
        store.check().unwrap_or_else(|error| panic!("{what}: {error}"));
        for message in &messages {
            let found = store.expiries(&message.owner, &[message.hash]).unwrap();
            assert_eq!(found.len(), 1, "{what}: a message is lost");
        }
    }
}

#[tokio::test]
async fn a_failed_sync_of_the_database_does_not_take_back_what_was_carried_over_before_it() {
    for seed in 0..20 {
        let mut kept = Kept::new(seed);
        kept.carry_over_in_two_parts_of_which_the_second_fails().await;
        // The disk is well again, and the log begins anew.
        kept.put_some(60).await;
        kept.all_is_there_after_a_power_cut(&format!("seed {seed}"));
    }
}

#[tokio::test]
async fn a_power_cut_while_the_store_gets_over_a_failed_sync_takes_nothing_back() {
    let mut cuts = 0;
    for cut in 1.. {
        let mut kept = Kept::new(cut);
        kept.carry_over_in_two_parts_of_which_the_second_fails().await;
        kept.fs.kill_at_write(cut);
        let log = |kept: &Kept| kept.fs.read_file(LOG).unwrap_or_default().len();
        let before = log(&kept);
        while kept.put().await.is_ok() && log(&kept) >= before {}
        let was_cut = kept.fs.is_down();
        kept.all_is_there_after_a_power_cut(&format!("cut at write {cut}"));
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    println!("{cuts} power cuts");
    assert!(cuts > 30, "{cuts} cuts: nothing was carried over again");
}

#[tokio::test]
async fn while_the_disk_goes_on_failing_writes_are_refused_and_reading_goes_on() {
    let mut kept = Kept::new(1);
    kept.carry_over_in_two_parts_of_which_the_second_fails().await;
    // A write that fails although the log can be written to was refused because of what happened before.
    while kept.put().await.is_ok() {
        kept.fs.fail_next_sync_of(FILE);
    }
    for fault in [Fault::SyncFails, Fault::WriteFails, Fault::Full, Fault::SyncFails] {
        // Later and later in getting over it.
        for after in [0, 1, 3, 10] {
            kept.fs.fail_writes_after(after, fault);
            kept.put().await.unwrap_err();
            for message in &kept.messages {
                let found = kept.store.expiries(&message.owner, &[message.hash]).unwrap();
                assert_eq!(found.len(), 1, "{fault:?} after {after} writes");
            }
            kept.fs.heal();
        }
    }
    kept.put_some(60).await;
    kept.all_is_there_after_a_power_cut("in the end");
}

#[tokio::test]
async fn a_store_that_is_closed_after_a_failed_sync_gets_over_it_when_it_is_opened() {
    for seed in 0..5 {
        let mut kept = Kept::new(seed);
        kept.carry_over_in_two_parts_of_which_the_second_fails().await;
        let Kept { fs, store, messages, random } = kept;
        drop(store);
        let store = open(&fs).unwrap();
        let mut kept = Kept { fs, store, messages, random };
        kept.put_some(60).await;
        kept.all_is_there_after_a_power_cut(&format!("seed {seed}"));
    }
}
