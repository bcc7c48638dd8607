//! Opening a profile with what protects it, and protecting it otherwise.
//!
//! Another passphrase is another key: everything is encrypted anew, so that the old passphrase opens nothing, not even
//! together with an old copy of the key file. `docs/decisions/0012-changing-the-passphrase.md` says why it is done like this.

use std::fs::File;

use conclave_crypto::CryptoRngCore;

use super::key_file::{self, Unlocked, Which};
use super::{OpenError, OwnedProfile, Profile, Protection, Unlock};
use crate::store::{ClientStore, DatabaseKey, StoreError, StoreOptions};

/// What names of key files that are being written begin with.
const WRITING: &str = "key.new-";

impl Profile {
    /// Protects the profile by another passphrase, by one for the first time, or by none from now on. Afterwards what
    /// opened it before opens nothing, and old copies of its files hold only what was there when they were made.
    ///
    /// A crash at any point leaves a profile that opens either as before or as is asked for here.
    ///
    /// Encrypts the whole database anew: some seconds per gigabyte, and room on the disk for once more its size.
    ///
    /// # Errors
    /// As [`Self::open`]; [`OpenError::BadPassphrase`]; [`StoreError::NotRekeyed`] if it is still as it was.
    pub fn change_protection(
        &self,
        unlock: &Unlock<'_>,
        protection: &Protection<'_>,
        rng: &mut impl CryptoRngCore,
    ) -> Result<(), OpenError> {
        let lock = self.lock()?;
        self.change_protection_locked(&lock, unlock, protection, rng)
    }

    /// As [`Self::change_protection`], for a process that holds the profile's lock and has closed its database.
    pub(crate) fn change_protection_locked(
        &self,
        lock: &File,
        unlock: &Unlock<'_>,
        protection: &Protection<'_>,
        rng: &mut impl CryptoRngCore,
    ) -> Result<(), OpenError> {
        let (mut keys, old, store) = self.unlock(lock, unlock)?;
        drop(store);
        let path = self.key_path();
        let new = keys.prepare(&path, protection, rng)?;
        let options = StoreOptions::new(self.database_path());
        match ClientStore::rekey(&options, &old, &new) {
            Ok(()) => keys.settle(&path, Which::Next),
            Err(error @ StoreError::NotRekeyed { .. }) => {
                keys.settle(&path, Which::Current)?;
                Err(error.into())
            }
            // Which of the two it is, the next opening finds out.
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a passphrase protects it, as its key file says.
    ///
    /// # Errors
    /// If the key file cannot be read.
    pub fn has_passphrase(&self) -> Result<bool, OpenError> {
        key_file::has_passphrase(&self.key_path())
    }

    /// Whether this unlocks the profile, as its key file says. Opens nothing.
    ///
    /// # Errors
    /// If it does not, or the key file cannot be read.
    pub(crate) fn check(&self, unlock: &Unlock<'_>) -> Result<(), OpenError> {
        let keys = key_file::unlock(&self.key_path(), &self.name, unlock)?;
        if keys.keys().next().is_some() {
            return Ok(());
        }
        let name = self.name.to_string();
        Err(keys.refusal(None).unwrap_or(OpenError::WrongPassphrase { name }))
    }

    /// As [`Self::open`], for a process that holds the profile's lock.
    pub(crate) fn open_locked(&self, lock: File, unlock: &Unlock<'_>) -> Result<OwnedProfile, OpenError> {
        let (_, _, store) = self.unlock(&lock, unlock)?;
        Ok(OwnedProfile { profile: self.clone(), store })
    }

    /// Another handle to a lock that is held.
    pub(crate) fn same_lock(&self, lock: &File) -> Result<File, OpenError> {
        lock.try_clone().map_err(OpenError::io("lock", self.dir().join("lock")))
    }

    /// Opens the database with the key that opens it, and ends a change that was interrupted.
    pub(super) fn unlock(
        &self,
        lock: &File,
        unlock: &Unlock<'_>,
    ) -> Result<(Unlocked, DatabaseKey, ClientStore), OpenError> {
        let path = self.key_path();
        let mut keys = key_file::unlock(&path, &self.name, unlock)?;
        let database = self.database_path();
        if !database.exists() {
            // Opening would make an empty one and so hide that the messages are gone.
            return Err(OpenError::Corrupt { path: database, detail: "it is missing".to_owned() });
        }
        let mut tried = None;
        let mut opened = None;
        for (which, key) in keys.keys() {
            let lock = self.same_lock(lock)?;
            match ClientStore::open_holding(&StoreOptions::new(&database), key, lock) {
                Ok(store) => {
                    opened = Some((which, key.clone(), store));
                    break;
                }
                Err(StoreError::WrongKey { .. }) => tried = Some(which),
                Err(other) => return Err(other.into()),
            }
        }
        let Some((which, key, store)) = opened else {
            return Err(keys
                .refusal(tried)
                .unwrap_or_else(|| OpenError::from(StoreError::WrongKey { path: database })));
        };
        if keys.is_changing() {
            // Should it fail, the next opening tries again.
            if let Err(error) = keys.settle(&path, which) {
                tracing::warn!(%error, "the end of a change of the passphrase could not be noted");
            }
        }
        self.remove_unfinished_key_files();
        Ok((keys, key, store))
    }

    fn key_path(&self) -> std::path::PathBuf {
        self.dir().join("key.json")
    }

    /// A crash while a key file was written leaves one under another name, and it may hold a key.
    fn remove_unfinished_key_files(&self) {
        let Ok(entries) = std::fs::read_dir(self.dir()) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(WRITING))
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(%error, "an unfinished key file could not be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests;
