//! A change of the passphrase that was interrupted at any of its steps.

use conclave_crypto::RecoveryPhrase;
use rand_core::OsRng;

use super::super::{DataDir, DisplayName, NewProfile, ProfileName};
use super::*;

const OLD: Unlock<'_> = Unlock::Passphrase("the old one");
const NEW: Unlock<'_> = Unlock::Passphrase("the new one");

struct Place {
    _temp: tempfile::TempDir,
    profile: Profile,
}

fn place(protection: &Protection<'_>) -> Place {
    let temp = tempfile::tempdir().unwrap();
    let profile = DataDir::new(temp.path()).profile(&ProfileName::default());
    let phrase = RecoveryPhrase::from_seed16(&[1; 16]);
    let display_name = DisplayName::new("Alice").unwrap();
    let new = NewProfile { phrase: &phrase, display_name: &display_name, network: None, restored: false };
    drop(profile.create(&new, protection, &mut OsRng).unwrap());
    Place { _temp: temp, profile }
}

/// Where a change stops.
#[derive(Clone, Copy, Debug)]
enum Stop {
    BeforeTheDatabase,
    AfterTheDatabase,
    WhileAKeyFileIsWritten,
}

/// A change up to some point, as if the process had been killed there.
fn change_until(profile: &Profile, old: &Unlock<'_>, new: &Protection<'_>, stop: Stop) {
    let lock = profile.lock().unwrap();
    let (mut keys, old, store) = profile.unlock(&lock, old).unwrap();
    drop(store);
    if matches!(stop, Stop::WhileAKeyFileIsWritten) {
        std::fs::write(profile.dir().join("key.new-4711"), "a secret").unwrap();
        return;
    }
    let new = keys.prepare(&profile.key_path(), new, &mut OsRng).unwrap();
    if matches!(stop, Stop::AfterTheDatabase) {
        ClientStore::rekey(&StoreOptions::new(profile.database_path()), &old, &new).unwrap();
    }
}

fn opens(profile: &Profile, unlock: &Unlock<'_>) -> bool {
    match profile.open(unlock) {
        Ok(owned) => {
            owned.store().account().unwrap();
            true
        }
        Err(
            OpenError::WrongPassphrase { .. }
            | OpenError::PassphraseNeeded { .. }
            | OpenError::NoPassphraseNeeded { .. },
        ) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_change_that_was_interrupted_leaves_a_profile_that_opens_in_exactly_one_way() {
    type Way<'a> = (Protection<'a>, Unlock<'a>, Protection<'a>, Unlock<'a>);
    let ways: [Way<'_>; 3] = [
        (Protection::Passphrase("the old one"), OLD, Protection::Passphrase("the new one"), NEW),
        (Protection::KeyFile, Unlock::KeyFile, Protection::Passphrase("the new one"), NEW),
        (Protection::Passphrase("the old one"), OLD, Protection::KeyFile, Unlock::KeyFile),
    ];
    for (before, old, after, new) in &ways {
        for stop in [Stop::BeforeTheDatabase, Stop::AfterTheDatabase, Stop::WhileAKeyFileIsWritten] {
            for right_first in [true, false] {
                let place = place(before);
                change_until(&place.profile, old, after, stop);
                let done = matches!(stop, Stop::AfterTheDatabase);
                let (right, wrong) = if done { (new, old) } else { (old, new) };
                if right_first {
                    assert!(opens(&place.profile, right), "{before:?} {after:?} {stop:?}");
                }
                assert!(!opens(&place.profile, wrong), "{before:?} {after:?} {stop:?}");
                assert!(opens(&place.profile, right), "{before:?} {after:?} {stop:?}");
                let files: Vec<_> = std::fs::read_dir(place.profile.dir())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .filter(|name| name.starts_with("key"))
                    .collect();
                assert_eq!(files, ["key.json"]);
                let text = std::fs::read_to_string(place.profile.key_path()).unwrap();
                assert!(!text.contains("next"), "the change is over: {text}");
                // And it can be changed again.
                place
                    .profile
                    .change_protection(right, &Protection::Passphrase("a third"), &mut OsRng)
                    .unwrap();
                assert!(opens(&place.profile, &Unlock::Passphrase("a third")));
                assert!(!opens(&place.profile, right));
            }
        }
    }
}

#[test]
fn the_same_passphrase_again_is_another_key() {
    let place = place(&Protection::Passphrase("the old one"));
    let before = std::fs::read(place.profile.key_path()).unwrap();
    change_until(&place.profile, &OLD, &Protection::Passphrase("the old one"), Stop::AfterTheDatabase);
    assert!(opens(&place.profile, &OLD), "both entries fit, one opens");
    std::fs::write(place.profile.key_path(), before).unwrap();
    let opened = place.profile.open(&OLD);
    assert!(matches!(opened, Err(OpenError::Corrupt { .. })), "{opened:?}");
}
