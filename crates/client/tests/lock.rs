//! A profile that is locked while a process owns it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use conclave_client::profile::{DataDir, OpenError, ProfileName, Protection, Unlock};
use conclave_client::settings::Settings;
use conclave_client::store::{ClientStore, DatabaseKey, StoreError, StoreOptions};
use conclave_client::types::{Event, MessageState};
use conclave_client::{Account, ClientOptions, Error, accounts};
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
    async fn open(&self, unlock: &Unlock<'_>) -> Account {
        let options = ClientOptions { online: false, ..ClientOptions::default() };
        Account::open(&self.data_dir, &self.profile, unlock, &options).await.unwrap()
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

/// The account id of somebody.
async fn somebody() -> String {
    place(&Protection::KeyFile).open(&Unlock::KeyFile).await.info().await.unwrap().account_id
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
}

/// Has the profile lock itself after so many seconds without use.
async fn auto_lock(session: &Account, seconds: u32) -> Result<(), Error> {
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
    assert!(matches!(within(events.next()).await.unwrap(), Event::Locked));
    assert!(place.database_is_closed(), "the database is closed");
    assert!(owner.client().is_none());

    for session in [&owner, &other] {
        assert!(session.status().await.unwrap().locked);
        let refused = session.history("me", 1).await.unwrap_err();
        assert_eq!(refused.kind(), "locked");
        assert!(refused.hint().contains("unlock"), "{}", refused.hint());
        assert_eq!(kind(session.send_text("me", "x").await), "locked");
        assert_eq!(kind(session.info().await), "locked");
    }
    let stolen = place.data_dir.profile(&place.profile).open(&unlock);
    assert!(matches!(stolen, Err(OpenError::InUse { .. })), "{stolen:?}");
    let late = place.open(&unlock).await;
    assert!(!late.is_owner() && late.status().await.unwrap().locked, "programs can attach");

    assert_eq!(kind(other.unlock("wrong").await), "wrong_passphrase");
    assert!(place.database_is_closed());
    within(other.unlock(PASSPHRASE)).await.unwrap();
    assert!(matches!(within(events.next()).await.unwrap(), Event::Unlocked));
    for session in [&owner, &other, &late] {
        assert_eq!(session.history("me", 10).await.unwrap()[0].text, "a note");
        assert!(!session.status().await.unwrap().locked);
    }
    let second = owner.send_text("me", "after").await.unwrap();
    match within(events.next()).await.unwrap() {
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
    owner.info().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_nobody_uses_is_locked_after_the_time_that_was_set() {
    let place = place(&Protection::Passphrase(PASSPHRASE));
    let owner = place.open(&Unlock::Passphrase(PASSPHRASE)).await;
    let mut events = owner.events().await.unwrap();
    auto_lock(&owner, 1).await.unwrap();
    assert!(matches!(within(events.next()).await.unwrap(), Event::Locked));
    assert!(owner.status().await.unwrap().locked);
    owner.unlock(PASSPHRASE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_that_the_profile_is_locked_has_done_nothing() {
    let place = place(&Protection::Passphrase(PASSPHRASE));
    let owner = Arc::new(place.open(&Unlock::Passphrase(PASSPHRASE)).await);
    for round in 0..3 {
        // Each asks for the time of a network that is not there, and writes then.
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let owner = Arc::clone(&owner);
                tokio::spawn(async move {
                    let text = format!("{round} {number}");
                    owner.send_text("me", &text).await.is_ok().then_some(text)
                })
            })
            .collect();
        tokio::task::yield_now().await;
        within(owner.lock()).await.unwrap();
        let mut told = Vec::new();
        for call in calls {
            told.extend(within(call).await.unwrap());
        }
        within(owner.unlock(PASSPHRASE)).await.unwrap();
        let there = owner.history("me", 100).await.unwrap().into_iter().map(|message| message.text);
        let mut there: Vec<String> = there.filter(|text| text.starts_with(&format!("{round} "))).collect();
        there.sort();
        told.sort();
        assert_eq!(there, told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_set_changed_and_taken_away_while_the_profile_is_in_use() {
    let place = place(&Protection::KeyFile);
    let owner = place.open(&Unlock::KeyFile).await;
    let other = place.open(&Unlock::KeyFile).await;
    owner.send_text("me", "before").await.unwrap();
    let mut events = other.events().await.unwrap();

    // From a program that is attached, and while a call is under way.
    within(other.change_passphrase(None, Some(PASSPHRASE))).await.unwrap();
    assert!(matches!(within(events.next()).await.unwrap(), Event::Profile));
    for session in [&owner, &other] {
        assert_eq!(session.history("me", 10).await.unwrap()[0].text, "before");
    }
    within(owner.lock()).await.unwrap();
    assert_eq!(kind(owner.unlock("wrong").await), "wrong_passphrase");
    within(owner.unlock(PASSPHRASE)).await.unwrap();
    auto_lock(&owner, 3_600).await.unwrap();

    assert_eq!(kind(owner.change_passphrase(None, Some("another")).await), "passphrase_needed");
    assert_eq!(kind(owner.change_passphrase(Some("wrong"), None).await), "wrong_passphrase");
    assert_eq!(kind(owner.change_passphrase(Some(PASSPHRASE), Some("")).await), "bad_passphrase");
    assert_eq!(owner.history("me", 10).await.unwrap().len(), 1, "refused, and nothing is lost");

    within(owner.change_passphrase(Some(PASSPHRASE), Some("another"))).await.unwrap();
    within(owner.lock()).await.unwrap();
    assert_eq!(kind(owner.change_passphrase(Some("another"), None).await), "locked");
    assert_eq!(kind(owner.unlock(PASSPHRASE).await), "wrong_passphrase", "the old one opens nothing");
    within(owner.unlock("another")).await.unwrap();

    within(owner.change_passphrase(Some("another"), None)).await.unwrap();
    assert_eq!(owner.settings().await.unwrap().auto_lock, None, "nothing is left to lock it with");
    assert_eq!(kind(owner.lock().await), "not_lockable");
    drop(other);
    owner.close().await;
    let again = place.open(&Unlock::KeyFile).await;
    assert_eq!(again.history("me", 10).await.unwrap()[0].text, "before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_failed_is_sent_again_as_a_new_one_and_no_other_is() {
    let place = place(&Protection::KeyFile);
    let owner = place.open(&Unlock::KeyFile).await;
    let note = owner.send_text("me", "a note").await.unwrap();
    let to = somebody().await;
    let first = owner.send_text(&to, "is anybody there").await.unwrap();
    assert_eq!(kind(owner.send_again(&first.id).await), "not_allowed", "it may still arrive");
    assert_eq!(within(owner.take_back(&first.id)).await.unwrap().state, MessageState::Failed);
    let second = owner.send_again(&first.id).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.state, Some(MessageState::Queued));
    let history = owner.history(&to, 10).await.unwrap();
    let texts: Vec<_> = history.iter().map(|message| (message.id.clone(), message.text.as_str())).collect();
    assert_eq!(texts, [(second.id, "is anybody there")]);
    assert_eq!(kind(owner.send_again(&first.id).await), "unknown_message");
    assert_eq!(kind(owner.send_again(&note.id).await), "not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_holds_of_a_passphrase_is_not_printed() {
    let call = serde_json::from_value::<conclave_client::session::Call>(
        json!({"method": "unlock", "params": {"passphrase": PASSPHRASE}}),
    );
    let printed = format!("{:?}", call.unwrap());
    assert!(!printed.contains("horse"), "{printed}");
}
