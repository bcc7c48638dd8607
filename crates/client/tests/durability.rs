//! Acknowledged means durable: a kill at any instruction and a loss of power at any write take
//! nothing back that was acknowledged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use conclave_client::profile::{
    DataDir, DisplayName, NewProfile, OpenError, Profile, ProfileName, Protection, Unlock,
};
use conclave_client::store::OutgoingMessage;
use conclave_client::types::MessageId;
use conclave_crypto::{Account, AccountId, RecoveryPhrase};
use conclave_proto::Timestamp;
use conclave_testkit::seeds::is_long;
use rand_core::OsRng;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Tells the copy of this program that plays the owner where its profile is.
const OWNER_OF: &str = "CONCLAVE_TEST_OWNER_OF";

fn person(byte: u8) -> AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&[byte; 16])).id()
}

fn profile(data: &std::path::Path) -> Profile {
    DataDir::new(data).profile(&ProfileName::default())
}

/// Not a test by itself: the process that is killed. Queues messages and says so, for ever.
#[test]
fn owner_to_be_killed() {
    let Some(data) = std::env::var_os(OWNER_OF) else { return };
    let owned = profile(data.as_ref()).open(&Unlock::KeyFile).unwrap();
    for n in 0u64.. {
        let message = OutgoingMessage::text(person(2), format!("{n} {}", "x".repeat(3_000)));
        let (queued, _) = owned.store().enqueue(&message, NOW).unwrap();
        println!("queued {}", queued.id);
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_killed_owner_loses_nothing_it_acknowledged_and_its_profile_is_free_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let phrase = RecoveryPhrase::from_seed16(&[1; 16]);
    let display_name = DisplayName::new("Alice").unwrap();
    let new = NewProfile { phrase: &phrase, display_name: &display_name, network: None, restored: false };
    drop(profile(temp.path()).create(&new, &Protection::KeyFile, &mut OsRng).unwrap());

    let mut acknowledged: Vec<MessageId> = Vec::new();
    for round in 0..if is_long() { 200 } else { 5 } {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owner_to_be_killed", "--nocapture"])
            .env(OWNER_OF, temp.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let mut queued =
            lines.by_ref().filter_map(|line| MessageId::parse(line.ok()?.strip_prefix("queued ")?));
        acknowledged.extend(queued.by_ref().take(1 + round * 7 % 40));
        let while_owned = profile(temp.path()).open(&Unlock::KeyFile);
        assert!(matches!(while_owned, Err(OpenError::InUse { .. })), "{while_owned:?}");
        owner.kill().unwrap();
        owner.wait().unwrap();
        // What it had said before it died counts too.
        acknowledged.extend(queued);

        assert!(!acknowledged.is_empty());
        let owned = profile(temp.path()).open(&Unlock::KeyFile).unwrap();
        let store = owned.store();
        for id in &acknowledged {
            assert!(store.message(id).unwrap().is_some(), "{id} was acknowledged");
        }
        let waiting = usize::try_from(store.queued_count().unwrap()).unwrap();
        // One may have been on the disk before it could say so.
        assert!((acknowledged.len()..=acknowledged.len() + round + 1).contains(&waiting));
        store.check().unwrap();
    }
}
