//! What a profile promises about ownership, keys, damage and networks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use conclave_client::profile::{
    DataDir, DisplayName, NewProfile, OpenError, OwnedProfile, Profile, ProfileName, Protection, Unlock,
};
use conclave_client::store::{OutgoingMessage, StoreError};
use conclave_crypto::{Account, RecoveryPhrase};
use conclave_proto::Timestamp;
use conclave_proto::network::NetworkFile;
use rand_core::OsRng;
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse";

struct Place {
    // Removed when dropped.
    _temp: TempDir,
    data: DataDir,
}

fn place() -> Place {
    let temp = TempDir::new().unwrap();
    let data = DataDir::new(temp.path().join("data"));
    Place { _temp: temp, data }
}

impl Place {
    fn profile(&self, name: &str) -> Profile {
        self.data.profile(&ProfileName::new(name).unwrap())
    }

    fn create(&self, name: &str, protection: &Protection<'_>) -> OwnedProfile {
        create(&self.profile(name), protection).unwrap()
    }
}

fn create(profile: &Profile, protection: &Protection<'_>) -> Result<OwnedProfile, OpenError> {
    let phrase = RecoveryPhrase::from_seed16(&[1; 16]);
    let display_name = DisplayName::new("Alice").unwrap();
    let new = NewProfile { phrase: &phrase, display_name: &display_name, network: None, restored: false };
    profile.create(&new, protection, &mut OsRng)
}

fn network(id: &str, key_seed: u8) -> NetworkFile {
    let key = conclave_crypto::Ed25519Secret::from_seed(&[key_seed; 32]).public().to_hex();
    let text = serde_json::json!({
        "network_id": id,
        "registry_key": key,
        "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
        "seeds": [{"quic": "127.0.0.1:4000", "ed25519": key}],
    });
    NetworkFile::from_json(text.to_string().as_bytes()).unwrap()
}

/// Enough messages that the database has pages of every kind.
fn fill(owned: &OwnedProfile) {
    for n in 0..200u64 {
        let message = OutgoingMessage::text(friend(), format!("message {n} {}", "x".repeat(500)));
        owned.store().enqueue(&message, Timestamp(1_700_000_000_000 + n)).unwrap();
    }
}

fn friend() -> conclave_crypto::AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&[2; 16])).id()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_profile_is_found_again_with_its_account() {
    let place = place();
    let id = place.create("alice", &Protection::KeyFile).store().account().unwrap().id;
    let again = place.profile("alice").open(&Unlock::KeyFile).unwrap();
    let account = again.store().account().unwrap();
    assert_eq!((account.id, account.name.as_str()), (id, "Alice"));
    assert_eq!(place.data.profiles().unwrap(), [ProfileName::new("alice").unwrap()]);
}

#[test]
fn only_the_owner_of_the_files_can_read_them() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    fill(&owned);
    let dir = owned.profile().dir();
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()) & 0o077, 0);
    }
}

#[test]
fn a_key_file_that_others_could_read_is_made_private_again() {
    let place = place();
    let key = place.create("alice", &Protection::KeyFile).profile().dir().join("key.json");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    place.profile("alice").open(&Unlock::KeyFile).unwrap();
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn a_profile_has_one_owner_at_a_time() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    let second = place.profile("alice").open(&Unlock::KeyFile);
    assert!(matches!(second, Err(OpenError::InUse { name }) if name == "alice"));
    assert!(place.profile("alice").is_owned().unwrap());
    assert!(matches!(place.profile("alice").remove(), Err(OpenError::InUse { .. })));

    let clone = owned.store().clone();
    drop(owned);
    assert!(place.profile("alice").is_owned().unwrap(), "a clone of the store still works with the database");
    drop(clone);
    place.profile("alice").open(&Unlock::KeyFile).unwrap();
}

#[test]
fn a_killed_owner_leaves_a_profile_that_can_be_opened() {
    // The lock is the system's, so a lock file without a process behind it means nothing.
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    fill(&owned);
    let dir = owned.profile().dir();
    let copy = place.profile("copy").dir();
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let opened = place.profile("copy").open(&Unlock::KeyFile).unwrap();
    assert_eq!(opened.store().queued_count().unwrap(), 200);
}

#[test]
fn an_unknown_profile_names_those_there_are() {
    let place = place();
    assert!(place.data.profiles().unwrap().is_empty());
    place.create("bob", &Protection::KeyFile);
    place.create("alice", &Protection::KeyFile);
    let Err(OpenError::NotFound { name, existing }) = place.profile("carol").open(&Unlock::KeyFile) else {
        panic!("carol is nobody");
    };
    assert_eq!(name, "carol");
    assert_eq!(existing.iter().map(ProfileName::as_str).collect::<Vec<_>>(), ["alice", "bob"]);
    assert!(!place.profile("carol").dir().exists(), "looking for a profile makes nothing");
}

#[test]
fn creating_never_replaces_a_profile() {
    let place = place();
    let id = place.create("alice", &Protection::KeyFile).store().account().unwrap().id;
    assert!(matches!(create(&place.profile("alice"), &Protection::KeyFile), Err(OpenError::Exists { .. })));
    fs::remove_file(place.profile("alice").dir().join("key.json")).unwrap();
    assert!(
        matches!(create(&place.profile("alice"), &Protection::KeyFile), Err(OpenError::Exists { .. })),
        "nor one that lost its key"
    );
    let _ = id;
}

#[test]
fn an_interrupted_creation_leaves_no_profile_and_no_litter() {
    let place = place();
    assert!(matches!(
        create(&place.profile("alice"), &Protection::Passphrase("")),
        Err(OpenError::BadPassphrase { .. })
    ));
    assert!(!place.profile("alice").exists());
    let litter = place.data.profiles_dir().join(".new-bob");
    fs::create_dir_all(&litter).unwrap();
    fs::write(litter.join("key.json"), "half").unwrap();
    assert!(place.data.profiles().unwrap().is_empty());
    place.create("alice", &Protection::KeyFile);
    assert!(!litter.exists());
}

#[test]
fn a_removed_profile_is_gone() {
    let place = place();
    let dir = place.create("alice", &Protection::KeyFile).profile().dir();
    place.profile("alice").remove().unwrap();
    assert!(!dir.exists());
    assert!(matches!(place.profile("alice").open(&Unlock::KeyFile), Err(OpenError::NotFound { .. })));
    assert!(matches!(place.profile("alice").remove(), Err(OpenError::NotFound { .. })));
    let left: Vec<_> =
        fs::read_dir(place.data.profiles_dir()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, [".creating"]);
}

#[test]
fn a_passphrase_opens_and_nothing_else_does() {
    let place = place();
    drop(place.create("alice", &Protection::Passphrase(PASSPHRASE)));
    let profile = place.profile("alice");
    assert!(matches!(profile.open(&Unlock::KeyFile), Err(OpenError::PassphraseNeeded { .. })));
    assert!(matches!(profile.open(&Unlock::Passphrase("wrong")), Err(OpenError::WrongPassphrase { .. })));
    profile.open(&Unlock::Passphrase(PASSPHRASE)).unwrap();
    let key_file = fs::read_to_string(profile.dir().join("key.json")).unwrap();
    assert!(!key_file.contains("\"key\""), "the key itself is written nowhere: {key_file}");
}

#[test]
fn a_passphrase_for_an_unprotected_profile_is_an_error() {
    let place = place();
    drop(place.create("alice", &Protection::KeyFile));
    let opened = place.profile("alice").open(&Unlock::Passphrase(PASSPHRASE));
    assert!(matches!(opened, Err(OpenError::NoPassphraseNeeded { .. })));
}

#[test]
fn a_wrong_passphrase_is_told_from_a_damaged_database() {
    let place = place();
    let database = place.create("alice", &Protection::Passphrase(PASSPHRASE)).profile().database_path();
    flip(&database, 20);
    let profile = place.profile("alice");
    assert!(matches!(profile.open(&Unlock::Passphrase("wrong")), Err(OpenError::WrongPassphrase { .. })));
    let opened = profile.open(&Unlock::Passphrase(PASSPHRASE));
    assert!(matches!(opened, Err(OpenError::Corrupt { path, .. }) if path == database));
}

#[test]
fn a_manipulated_key_file_cannot_take_all_memory() {
    let place = place();
    let key = place.create("alice", &Protection::Passphrase(PASSPHRASE)).profile().dir().join("key.json");
    let text = fs::read_to_string(&key).unwrap();
    for (from, to) in [
        ("\"memory_kib\":65536", "\"memory_kib\":4294967295"),
        ("\"memory_kib\":65536", "\"memory_kib\":1"),
        ("\"passes\":3", "\"passes\":4000000000"),
        ("\"lanes\":1", "\"lanes\":0"),
        ("\"passes\":3,", ""),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&key, text.replace(from, to)).unwrap();
        let opened = place.profile("alice").open(&Unlock::Passphrase(PASSPHRASE));
        assert!(matches!(opened, Err(OpenError::Corrupt { .. })), "{to}");
    }
}

#[test]
fn a_missing_or_damaged_key_file_is_named() {
    let place = place();
    let key = place.create("alice", &Protection::KeyFile).profile().dir().join("key.json");
    let open = || place.profile("alice").open(&Unlock::KeyFile);
    let good = fs::read_to_string(&key).unwrap();
    let secret =
        serde_json::from_str::<serde_json::Value>(&good).unwrap()["key"].as_str().unwrap().to_owned();
    let other_digit = if secret.starts_with('0') { "1" } else { "0" };
    let damaged = [
        String::new(),
        "rubbish".to_owned(),
        good.replace("file", "vault"),
        good.replace(&secret, &secret[1..]),
        good.replace(&secret, &format!("{other_digit}{}", &secret[1..])),
        "x".repeat(5000),
    ];
    for text in damaged {
        fs::write(&key, &text).unwrap();
        let error = open().unwrap_err();
        assert!(matches!(&error, OpenError::Corrupt { path, .. } if *path == key), "{text:?}: {error:?}");
        assert!(!format!("{error} {error:?}").contains(&secret[2..]), "errors quote no key");
    }
    fs::remove_file(&key).unwrap();
    assert!(matches!(open(), Err(OpenError::KeyMissing { path }) if path == key));
}

#[test]
fn a_damaged_or_missing_database_is_named_and_never_replaced() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    fill(&owned);
    let database = owned.profile().database_path();
    drop(owned);
    let good = fs::read(&database).unwrap();
    // In the salt, in the encrypted header, in the first page's code, at the end of the first page.
    for offset in [3, 20, 100, 4_000, 4_095] {
        fs::write(&database, &good).unwrap();
        flip(&database, offset);
        let error = place.profile("alice").open(&Unlock::KeyFile).unwrap_err();
        assert!(
            matches!(&error, OpenError::Corrupt { path, .. } if *path == database),
            "{offset}: {error:?}"
        );
        assert!(error.hint().unwrap().contains("recovery phrase"));
    }
    fs::remove_file(&database).unwrap();
    let opened = place.profile("alice").open(&Unlock::KeyFile);
    assert!(matches!(opened, Err(OpenError::Corrupt { path, .. }) if path == database));
    assert!(!database.exists());
}

#[test]
fn damage_anywhere_in_the_database_is_found_by_the_check() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    fill(&owned);
    owned.store().check().unwrap();
    let database = owned.profile().database_path();
    drop(owned);
    let good = fs::read(&database).unwrap();
    let pages = good.len() / 4096;
    assert!(pages > 20);
    for page in 0..pages {
        fs::write(&database, &good).unwrap();
        flip(&database, page * 4096 + (page * 977) % 4096);
        let checked = place
            .profile("alice")
            .open(&Unlock::KeyFile)
            .and_then(|owned| owned.store().check().map_err(OpenError::from));
        assert!(
            matches!(checked, Err(OpenError::Corrupt { ref path, .. }) if *path == database),
            "page {page}: {checked:?}"
        );
    }
}

#[test]
fn a_truncated_database_is_named() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    fill(&owned);
    let database = owned.profile().database_path();
    drop(owned);
    let good = fs::read(&database).unwrap();
    for length in [0, 1, 4095, 4096, good.len() / 2] {
        fs::write(&database, &good[..length]).unwrap();
        let used = place
            .profile("alice")
            .open(&Unlock::KeyFile)
            .and_then(|owned| owned.store().check().map_err(OpenError::from));
        assert!(matches!(used, Err(OpenError::Corrupt { .. })), "{length}: {used:?}");
    }
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    let key = serde_json::from_str::<serde_json::Value>(
        &fs::read_to_string(owned.profile().dir().join("key.json")).unwrap(),
    )
    .unwrap()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let database = owned.profile().database_path();
    drop(owned);
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch(&format!("PRAGMA key = \"x'{key}'\"; PRAGMA user_version = 999")).unwrap();
    drop(connection);
    let opened = place.profile("alice").open(&Unlock::KeyFile);
    assert!(matches!(opened, Err(OpenError::Store(StoreError::TooNew { found: 999, .. }))), "{opened:?}");
}

#[test]
fn a_profile_remembers_its_network_and_refuses_another() {
    let place = place();
    let owned = place.create("alice", &Protection::KeyFile);
    assert_eq!(owned.network().unwrap(), None);
    owned.check_network(&network("home", 1)).unwrap();
    drop(owned);
    let owned = place.profile("alice").open(&Unlock::KeyFile).unwrap();
    assert!(matches!(
        owned.check_network(&network("work", 1)),
        Err(OpenError::OtherNetwork { own, other, .. }) if own == "home" && other == "work"
    ));
    let same_name = owned.check_network(&network("home", 2)).unwrap_err();
    assert!(same_name.to_string().contains("registry key"));

    let mut moved = network("home", 1);
    moved.seeds.push(moved.seeds[0].clone());
    owned.check_network(&moved).unwrap();
    assert_eq!(owned.network().unwrap().unwrap().seeds.len(), 2, "the same network may move its seeds");
}

#[test]
fn a_socket_has_a_place_however_long_the_path() {
    let place = place();
    let short = place.create("alice", &Protection::KeyFile);
    let long_data = DataDir::new(place.data.path().join("d".repeat(120)));
    let long = long_data.profile(&ProfileName::new("alice").unwrap());
    create(&long, &Protection::KeyFile).unwrap();
    assert_eq!(short.profile().socket_path(), short.profile().dir().join("socket"));

    let socket: PathBuf = long.socket_path();
    assert!(socket.as_os_str().len() <= 103);
    assert_eq!(socket, long.socket_path());
    long.prepare_socket_dir().unwrap();
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    drop(listener);
    let other = long_data.profile(&ProfileName::new("bob").unwrap());
    create(&other, &Protection::KeyFile).unwrap();
    assert_ne!(other.socket_path(), socket);
    long.remove().unwrap();
    assert!(!socket.exists(), "removing a profile removes its socket");
}

#[test]
fn what_is_printed_of_keys_and_passphrases_is_nothing() {
    let phrase = RecoveryPhrase::from_seed16(&[1; 16]);
    let display_name = DisplayName::new("Alice Example").unwrap();
    let new = NewProfile { phrase: &phrase, display_name: &display_name, network: None, restored: false };
    let all = format!(
        "{:?} {:?} {:?} {new:?}",
        Unlock::Passphrase(PASSPHRASE),
        Protection::Passphrase(PASSPHRASE),
        Unlock::KeyFile
    );
    assert!(!all.contains("horse") && !all.contains("Example") && !all.contains("0101"));
}

#[test]
fn a_passphrase_can_be_set_changed_and_removed() {
    let place = place();
    let profile = place.profile("a");
    let owned = place.create("a", &Protection::KeyFile);
    fill(&owned);
    let in_use = profile.change_protection(&Unlock::KeyFile, &Protection::Passphrase(PASSPHRASE), &mut OsRng);
    assert!(matches!(in_use, Err(OpenError::InUse { .. })), "{in_use:?}");
    drop(owned);
    let steps = [
        (Protection::Passphrase(PASSPHRASE), Unlock::Passphrase(PASSPHRASE)),
        (Protection::Passphrase("another"), Unlock::Passphrase("another")),
        (Protection::KeyFile, Unlock::KeyFile),
    ];
    let mut present = Unlock::KeyFile;
    for (protection, unlock) in steps {
        let key_file = fs::read(profile.dir().join("key.json")).unwrap();
        profile.change_protection(&present, &protection, &mut OsRng).unwrap();
        assert!(profile.open(&present).is_err(), "{protection:?}: what opened it before opens nothing");
        let owned = profile.open(&unlock).unwrap();
        owned.store().check().unwrap();
        assert_eq!(owned.store().history(&friend(), 1_000, None).unwrap().len(), 200);
        drop(owned);
        assert_eq!(mode(&profile.dir().join("key.json")), 0o600);
        // An old copy of the key file, with what opened it.
        let new_key_file = fs::read(profile.dir().join("key.json")).unwrap();
        fs::write(profile.dir().join("key.json"), key_file).unwrap();
        let opened = profile.open(&present);
        assert!(matches!(opened, Err(OpenError::Corrupt { .. })), "{opened:?}");
        fs::write(profile.dir().join("key.json"), new_key_file).unwrap();
        present = unlock;
    }
}

#[test]
fn a_wrong_or_impossible_passphrase_changes_nothing() {
    let place = place();
    let profile = place.profile("a");
    drop(place.create("a", &Protection::Passphrase(PASSPHRASE)));
    let files = || ["key.json", "database.sqlite"].map(|file| fs::read(profile.dir().join(file)).unwrap());
    let before = files();
    let unlock = Unlock::Passphrase("wrong");
    let changed = profile.change_protection(&unlock, &Protection::KeyFile, &mut OsRng);
    assert!(matches!(changed, Err(OpenError::WrongPassphrase { .. })), "{changed:?}");
    let unlock = Unlock::Passphrase(PASSPHRASE);
    let changed = profile.change_protection(&unlock, &Protection::Passphrase(""), &mut OsRng);
    assert!(matches!(changed, Err(OpenError::BadPassphrase { .. })), "{changed:?}");
    assert_eq!(before, files());
}
