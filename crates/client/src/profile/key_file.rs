//! `key.json`: the database key of a profile, or what makes a passphrase this key.
//!
//! While the key is being changed the file holds the entry of the next key as well (`next`): whichever of the two opens the
//! database is the true one (`docs/decisions/0012-changing-the-passphrase.md`).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use conclave_crypto::Zeroizing;
use conclave_crypto::password::{Argon2Cost, argon2id};
use serde::{Deserialize, Serialize};

use super::{MAX_PASSPHRASE_BYTES, OpenError, Protection, Unlock, os};
use crate::store::DatabaseKey;

/// A key file is a line; longer is something else.
const MAX_FILE_BYTES: u64 = 4096;

/// What Argon2id costs for new profiles: a fraction of a second and 64 MiB.
const NEW_COST: Argon2Cost = Argon2Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

/// Bounds on what a key file may ask for, so that a manipulated one cannot take all memory or days.
const MAX_COST: Argon2Cost = Argon2Cost { memory_kib: 1024 * 1024, passes: 64, lanes: 16 };

/// Held while a key is made of a passphrase.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The file as it is written: one flat object, because serde would copy the fields of a tagged one
/// through buffers that are not wiped.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<HexKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_kib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lanes: Option<u32>,
    /// [`DatabaseKey::check_value`] in hex.
    check: String,
    /// The database is being encrypted anew, with the key of this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Box<KeyFile>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The key itself.
    File,
    /// What makes a passphrase the key.
    Passphrase,
}

/// A key in hex, wiped when dropped.
struct HexKey(Zeroizing<String>);

impl Serialize for HexKey {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HexKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Makes a key and the file it is found by again.
pub(super) fn create(
    path: &Path,
    protection: &Protection<'_>,
    rng: &mut impl conclave_crypto::CryptoRngCore,
) -> Result<DatabaseKey, OpenError> {
    let (key, file) = new_entry(path, protection, rng)?;
    os::create_private_file(path, &file.to_text(path)?).map_err(OpenError::io("write", path))?;
    Ok(key)
}

fn new_entry(
    path: &Path,
    protection: &Protection<'_>,
    rng: &mut impl conclave_crypto::CryptoRngCore,
) -> Result<(DatabaseKey, KeyFile), OpenError> {
    let empty = KeyFile {
        kind: Kind::File,
        key: None,
        salt: None,
        memory_kib: None,
        passes: None,
        lanes: None,
        check: String::new(),
        next: None,
    };
    let (key, mut file) = match protection {
        Protection::KeyFile => {
            let key = DatabaseKey::generate(rng);
            let file = KeyFile { key: Some(HexKey(key.to_hex())), ..empty };
            (key, file)
        }
        Protection::Passphrase(passphrase) => {
            let mut salt = [0u8; 16];
            rng.fill_bytes(&mut salt);
            let key = derive(passphrase, &salt, NEW_COST, path)?;
            let file = KeyFile {
                kind: Kind::Passphrase,
                salt: Some(hex::encode(salt)),
                memory_kib: Some(NEW_COST.memory_kib),
                passes: Some(NEW_COST.passes),
                lanes: Some(NEW_COST.lanes),
                ..empty
            };
            (key, file)
        }
    };
    file.check = hex::encode(key.check_value());
    Ok((key, file))
}

/// A key file that was read, and the keys in it that could be had.
pub(super) struct Unlocked {
    file: KeyFile,
    /// The key of the profile, or why it could not be had.
    current: Result<DatabaseKey, OpenError>,
    /// The same of the key it was being changed to.
    next: Option<Result<DatabaseKey, OpenError>>,
}

/// Which entry of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that was always there.
    Current,
    /// The one the key was being changed to.
    Next,
}

impl Unlocked {
    /// The keys to be tried.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Which, &DatabaseKey)> {
        let next = self.next.iter().filter_map(|key| key.as_ref().ok()).map(|key| (Which::Next, key));
        self.current.as_ref().ok().map(|key| (Which::Current, key)).into_iter().chain(next)
    }

    /// Why no key opened the database. `tried` could be had and did not: then the other one is the true one, which could
    /// not be had, and that is the reason. `None` if all were tried: the database is damaged.
    pub(super) fn refusal(self, tried: Option<Which>) -> Option<OpenError> {
        let next = self.next.and_then(Result::err);
        match tried {
            Some(Which::Current) => next,
            _ => self.current.err(),
        }
    }

    /// Whether the key was being changed when something went wrong.
    pub(super) const fn is_changing(&self) -> bool {
        self.next.is_some()
    }

    /// Leaves only this entry.
    pub(super) fn settle(&mut self, path: &Path, which: Which) -> Result<(), OpenError> {
        if let Some(next) = self.file.next.take().filter(|_| which == Which::Next) {
            self.file = *next;
        }
        self.next = None;
        self.file.replace(path)
    }

    /// Writes the entry of another key beside the present one, and gives that key.
    pub(super) fn prepare(
        &mut self,
        path: &Path,
        protection: &Protection<'_>,
        rng: &mut impl conclave_crypto::CryptoRngCore,
    ) -> Result<DatabaseKey, OpenError> {
        let (key, entry) = new_entry(path, protection, rng)?;
        self.file.next = Some(Box::new(entry));
        self.file.replace(path)?;
        Ok(key)
    }
}

impl KeyFile {
    fn to_text(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // Room for all of it at once: growing would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize));
        serde_json::to_writer(&mut *text, self)
            .map_err(|error| OpenError::io("write", path)(error.into()))?;
        Ok(text)
    }

    /// The file holds this and nothing else from now on, whatever happens to the power.
    fn replace(&self, path: &Path) -> Result<(), OpenError> {
        os::replace_private_file(path, &self.to_text(path)?).map_err(OpenError::io("write", path))?;
        path.parent().map_or(Ok(()), os::sync_dir).map_err(OpenError::io("sync", path))
    }
}

/// Reads the key file of a profile, and makes its keys.
pub(super) fn unlock(
    path: &Path,
    name: &super::ProfileName,
    unlock: &Unlock<'_>,
) -> Result<Unlocked, OpenError> {
    let file = read(path)?;
    let current = key_of(&file, path, name.as_str(), unlock);
    let next = file.next.as_deref().map(|next| key_of(next, path, name.as_str(), unlock));
    Ok(Unlocked { file, current, next })
}

/// Whether the key of a profile is made from a passphrase.
pub(super) fn has_passphrase(path: &Path) -> Result<bool, OpenError> {
    Ok(read(path)?.kind == Kind::Passphrase)
}

/// The key in the text of a key file that needs no passphrase: what fuzzing reaches of this module.
pub(crate) fn key_in(text: &[u8]) -> Option<DatabaseKey> {
    let file: KeyFile = serde_json::from_slice(text).ok()?;
    key_of(&file, Path::new("key.json"), "", &Unlock::KeyFile).ok()
}

fn key_of(file: &KeyFile, path: &Path, name: &str, unlock: &Unlock<'_>) -> Result<DatabaseKey, OpenError> {
    let name = || name.to_owned();
    let corrupt = |detail: &str| OpenError::Corrupt { path: path.to_owned(), detail: detail.to_owned() };
    let check = hex::decode(&file.check)
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| corrupt("the check value is not 64 hex digits"))?;
    match (file.kind, unlock) {
        (Kind::File, Unlock::KeyFile) => {
            let key = file.key.as_ref().and_then(|key| DatabaseKey::from_hex(&key.0));
            let key = key.ok_or_else(|| corrupt("the key is not 64 hex digits"))?;
            if key.matches(&check) {
                Ok(key)
            } else {
                Err(corrupt("key and check value do not belong together"))
            }
        }
        (Kind::File, Unlock::Passphrase(_)) => Err(OpenError::NoPassphraseNeeded { name: name() }),
        (Kind::Passphrase, Unlock::KeyFile) => Err(OpenError::PassphraseNeeded { name: name() }),
        (Kind::Passphrase, Unlock::Passphrase(passphrase)) => {
            let salt: Option<[u8; 16]> = file
                .salt
                .as_ref()
                .and_then(|text| hex::decode(text).ok())
                .and_then(|bytes| bytes.try_into().ok());
            let salt = salt.ok_or_else(|| corrupt("the salt is not 32 hex digits"))?;
            let (Some(memory_kib), Some(passes), Some(lanes)) = (file.memory_kib, file.passes, file.lanes)
            else {
                return Err(corrupt("the parameters of the key derivation are missing"));
            };
            let key = derive(passphrase, &salt, Argon2Cost { memory_kib, passes, lanes }, path)?;
            if key.matches(&check) { Ok(key) } else { Err(OpenError::WrongPassphrase { name: name() }) }
        }
    }
}

fn read(path: &Path) -> Result<KeyFile, OpenError> {
    let corrupt = |detail: String| OpenError::Corrupt { path: path.to_owned(), detail };
    let size = match std::fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::KeyMissing { path: path.to_owned() });
        }
        Err(source) => return Err(OpenError::Io { doing: "read", path: path.to_owned(), source }),
    };
    if size > MAX_FILE_BYTES {
        return Err(corrupt(format!("a key file has no {size} bytes")));
    }
    // Copied from a backup, perhaps, that keeps no permissions.
    if !os::is_private(path).map_err(OpenError::io("read", path))? {
        tracing::warn!("the key file could be read by others; taking their rights away");
        os::make_private(path).map_err(OpenError::io("protect", path))?;
    }
    let text = Zeroizing::new(std::fs::read(path).map_err(OpenError::io("read", path))?);
    // The parser's words could quote a key.
    serde_json::from_slice(&text).map_err(|error| {
        corrupt(format!("not a key file (line {}, column {})", error.line(), error.column()))
    })
}

fn derive(
    passphrase: &str,
    salt: &[u8; 16],
    cost: Argon2Cost,
    path: &Path,
) -> Result<DatabaseKey, OpenError> {
    if passphrase.is_empty() || passphrase.len() > MAX_PASSPHRASE_BYTES {
        return Err(OpenError::BadPassphrase { limit: MAX_PASSPHRASE_BYTES });
    }
    let allowed = (8 * cost.lanes.clamp(1, MAX_COST.lanes)..=MAX_COST.memory_kib).contains(&cost.memory_kib)
        && (1..=MAX_COST.passes).contains(&cost.passes)
        && (1..=MAX_COST.lanes).contains(&cost.lanes);
    let corrupt = || OpenError::Corrupt {
        path: path.to_owned(),
        detail: "it asks for key derivation parameters nobody uses".to_owned(),
    };
    if !allowed {
        return Err(corrupt());
    }
    // One after the other: whoever tries passphrases by the dozen gets no gigabytes for it.
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let key = argon2id(passphrase.as_bytes(), salt, cost).map_err(|_| corrupt())?;
    Ok(DatabaseKey::from_bytes(*key))
}
