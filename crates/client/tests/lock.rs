//! A profile that is locked while a process owns it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use conclave_client::profile::{DataDir, OpenError, ProfileName, Protection, Unlock};
use conclave_client::settings::Settings;
use conclave_client::store::{ClientStore, DatabaseKey, StoreError, StoreOptions};
use conclave_client::types::{Event, MessageState};
use conclave_client::{ClientOptions, Error, Session, accounts};
use conclave_proto::network::NetworkFile;
use serde_json::json;

const PASSPHRASE: &str = "correct horse";

struct Place {
    data_dir: DataDir,
    profile: ProfileName,
    _dir: tempfile::TempDir,
}

fn place(protection: &Protection<'_>) -> Place {
    let key = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";
    let file = json!({
        "network_id": "one", "registry_key": key,
        "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
        "seeds": [{"url": "https://127.0.0.1:9/json_rpc", "pubkey_ed25519": key}],
    });
    let network = NetworkFile::from_json(file.to_string().as_bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::new(dir.path());
    let profile = ProfileName::new("p").unwrap();
    accounts::create(&data_dir, &profile, "P", protection, Some(&network)).unwrap();
    Place { data_dir, profile, _dir: dir }
}

impl Place {
    async fn open(&self, unlock: &Unlock<'_>) -> Session {
        let options = ClientOptions { online: false, ..ClientOptions::default() };
        Session::open(&self.data_dir, &self.profile, unlock, &options).await.unwrap()
    }

    /// Whether nobody has the database open.
    fn database_is_closed(&self) -> bool {
        let path = self.data_dir.profile(&self.profile).database_path();
        let opened = ClientStore::open(&StoreOptions::new(path), &DatabaseKey::from_bytes([0; 32]));
        match opened {
            Err(StoreError::WrongKey { .. }) => true,
            Err(StoreError::Busy { .. }) => false,
            other => panic!("{other:?}"),
        }
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
}

/// Has the profile lock itself after so many seconds without use.
async fn auto_lock(session: &Session, seconds: u32) -> Result<(), Error> {
    let settings = session.settings().await?;
    session.set_settings(Settings { auto_lock: Some(seconds), ..settings }).await
}

fn kind<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    answer.unwrap_err().kind().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_profile_stays_owned_and_answers_nothing_but_its_state() {
    let place = place(&Protection::Passphrase(PASSPHRASE));
    let unlock = Unlock::Passphrase(PASSPHRASE);
    let owner = place.open(&unlock).await;
    let other = place.open(&unlock).await;
    assert!(owner.is_owner() && !other.is_owner());
    let note = owner.send_text("me", "a note").await.unwrap();
    let mut events = other.events().await.unwrap();
    assert!(!place.database_is_closed());

    // A call that would take a day ends at once.
    let day = Duration::from_secs(86_400);
    let (waited, locked) = tokio::join!(owner.wait_for(&note.id, MessageState::Stored, day), async {
        tokio::task::yield_now().await;
        within(other.lock()).await
    });
    locked.unwrap();
    assert_eq!(kind(waited), "locked");
    assert!(matches!(within(events.recv()).await.unwrap(), Event::Locked));
    assert!(place.database_is_closed(), "the database is closed");
    assert!(owner.client().is_none());

    for session in [&owner, &other] {
        assert!(session.status().await.unwrap().locked);
        let refused = session.history("me", 1).await.unwrap_err();
        assert_eq!(refused.kind(), "locked");
        assert!(refused.hint().contains("unlock"), "{}", refused.hint());
        assert_eq!(kind(session.send_text("me", "x").await), "locked");
        assert_eq!(kind(session.account().await), "locked");
    }
    let stolen = place.data_dir.profile(&place.profile).open(&unlock);
    assert!(matches!(stolen, Err(OpenError::InUse { .. })), "{stolen:?}");
    let late = place.open(&unlock).await;
    assert!(!late.is_owner() && late.status().await.unwrap().locked, "programs can attach");

    assert_eq!(kind(other.unlock("wrong").await), "wrong_passphrase");
    assert!(place.database_is_closed());
    within(other.unlock(PASSPHRASE)).await.unwrap();
    assert!(matches!(within(events.recv()).await.unwrap(), Event::Unlocked));
    for session in [&owner, &other, &late] {
        assert_eq!(session.history("me", 10).await.unwrap()[0].text, "a note");
        assert!(!session.status().await.unwrap().locked);
    }
    let second = owner.send_text("me", "after").await.unwrap();
    match within(events.recv()).await.unwrap() {
        Event::Message(message) => assert_eq!(message, second, "events go on"),
        other => panic!("{other:?}"),
    }
    owner.close().await;
    place.data_dir.profile(&place.profile).open(&unlock).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_whose_key_lies_beside_it_cannot_be_locked() {
    let place = place(&Protection::KeyFile);
    let owner = place.open(&Unlock::KeyFile).await;
    let refused = owner.lock().await.unwrap_err();
    assert_eq!(refused.kind(), "not_lockable");
    assert!(refused.hint().contains("account passphrase"), "{}", refused.hint());
    assert_eq!(kind(auto_lock(&owner, 60).await), "not_lockable");
    owner.account().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_nobody_uses_is_locked_after_the_time_that_was_set() {
    let place = place(&Protection::Passphrase(PASSPHRASE));
    let owner = place.open(&Unlock::Passphrase(PASSPHRASE)).await;
    let mut events = owner.events().await.unwrap();
    auto_lock(&owner, 1).await.unwrap();
    assert!(matches!(within(events.recv()).await.unwrap(), Event::Locked));
    assert!(owner.status().await.unwrap().locked);
    owner.unlock(PASSPHRASE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_holds_of_a_passphrase_is_not_printed() {
    let call = serde_json::from_value::<conclave_client::session::Call>(
        json!({"method": "unlock", "params": {"passphrase": PASSPHRASE}}),
    );
    let printed = format!("{:?}", call.unwrap());
    assert!(!printed.contains("horse"), "{printed}");
}
