//! Things there is one of: the account, its clock, and values by name.

use conclave_crypto::{Account, RecoveryPhrase};
use conclave_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::error::Failure;
use super::{ClientStore, StoreError, StoredAccount, account_id};
use crate::settings::Settings;

/// The largest value of [`ClientStore::set_meta`]: a directory of ten thousand nodes is a few MiB.
pub const MAX_META_BYTES: usize = 16 * 1024 * 1024;

/// Names of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meta {
    /// The network file of the profile, as JSON.
    NetworkFile,
    /// The last verified directory, as it came from the registry or a node.
    Directory,
    /// Network time minus machine time in milliseconds, signed decimal text.
    ClockOffset,
    /// Nodes that failed lately: time, then keys, see [`crate::network`].
    AvoidedNodes,
    /// The account's own settings, as JSON.
    Settings,
    /// The account was made here, and its documents begin here. Without it they are somewhere else until they are found.
    NewAccount,
    /// The documents of the account have been looked for at a majority of its swarm: when that was, eight bytes, since when
    /// this device takes part. Older versions wrote one byte, which says nothing about that.
    DocumentsFound,
    /// Something was deleted since the database was last written anew.
    Deleted,
    /// When that was.
    CompactedAt,
    /// Which turn this device takes among those of the account, one byte, see [`super::turns`].
    Turn,
}

impl Meta {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NetworkFile => "network_file",
            Self::Directory => "directory",
            Self::ClockOffset => "clock_offset",
            Self::AvoidedNodes => "avoided_nodes",
            Self::Settings => "settings",
            Self::NewAccount => "new_account",
            Self::DocumentsFound => "documents_found",
            Self::Deleted => "deleted",
            Self::CompactedAt => "compacted_at",
            Self::Turn => "turn",
        }
    }
}

impl ClientStore {
    /// Makes the profile the home of an account.
    ///
    /// # Errors
    /// [`StoreError::AccountExists`] if it is one already.
    pub fn set_account(&self, phrase: &RecoveryPhrase, name: &str) -> Result<StoredAccount, StoreError> {
        let id = *Account::from_phrase(phrase).id();
        self.write("store the account", |tx| {
            let made = tx.execute(
                "INSERT INTO account (only, seed, id, name) VALUES (1, ?1, ?2, ?3) ON CONFLICT DO NOTHING",
                (phrase.seed(), id.as_bytes(), name),
            )?;
            if made == 0 {
                return Err(StoreError::AccountExists.into());
            }
            Ok(())
        })?;
        Ok(StoredAccount { phrase: phrase.clone(), id, name: name.to_owned() })
    }

    /// The account of the profile.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`] before [`Self::set_account`].
    pub fn account(&self) -> Result<StoredAccount, StoreError> {
        self.read("read the account", |connection| {
            let found = connection
                .query_row("SELECT id, name FROM account", [], |row| {
                    Ok((account_id(row, "id")?, row.get("name")?))
                })
                .optional()?;
            let (id, name) = found.ok_or(StoreError::NoAccount)?;
            Ok(StoredAccount { phrase: phrase(connection)?, id, name })
        })
    }

    /// The account's own settings.
    ///
    /// # Errors
    /// What the disk says.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        self.read("read the settings", settings)
    }

    /// Changes the account's own settings.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_settings(&self, settings: &Settings) -> Result<(), StoreError> {
        let json = serde_json::to_vec(settings).map_err(|error| StoreError::Bug(error.to_string()))?;
        self.set_meta(Meta::Settings, &json)
    }

    /// A single value.
    ///
    /// # Errors
    /// What the disk says.
    pub fn meta(&self, name: Meta) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("read a setting", |connection| {
            Ok(connection
                .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([name.name()], |row| row.get(0))
                .optional()?)
        })
    }

    /// Changes a single value.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_META_BYTES`].
    pub fn set_meta(&self, name: Meta, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > MAX_META_BYTES {
            return Err(StoreError::TooLarge { what: name.name(), size: value.len(), limit: MAX_META_BYTES });
        }
        self.write("store a setting", |tx| {
            tx.prepare_cached(
                "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            )?
            .execute((name.name(), value))?;
            Ok(())
        })
    }

    /// Removes a single value.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_meta(&self, name: Meta) -> Result<(), StoreError> {
        self.write("remove a setting", |tx| {
            tx.execute("DELETE FROM meta WHERE name = ?1", [name.name()])?;
            Ok(())
        })
    }
}

/// What the account is made of.
pub(super) fn phrase(connection: &Connection) -> Result<RecoveryPhrase, Failure> {
    let seed: Vec<u8> = connection
        .prepare_cached("SELECT seed FROM account")?
        .query_row([], |row| row.get("seed"))
        .optional()?
        .ok_or(StoreError::NoAccount)?;
    let seed = zeroize::Zeroizing::new(seed);
    if let Ok(short) = <&[u8; 16]>::try_from(seed.as_slice()) {
        return Ok(RecoveryPhrase::from_seed16(short));
    }
    <&[u8; 32]>::try_from(seed.as_slice())
        .map(RecoveryPhrase::from_seed32)
        .map_err(|_| StoreError::Bug("a stored seed has a wrong length".to_owned()).into())
}

/// The account's own settings. What cannot be read is as if it had never been set.
pub(super) fn settings(connection: &Connection) -> Result<Settings, Failure> {
    let json: Option<Vec<u8>> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([Meta::Settings.name()], |row| row.get(0))
        .optional()?;
    Ok(json.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default())
}

/// Since when what comes for the account comes to this device as well: from the beginning, if the account was made here.
/// `None` before a restored one has found its settings.
pub(super) fn takes_part_since(connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    if value(connection, Meta::NewAccount)?.is_some() {
        return Ok(Some(Timestamp(0)));
    }
    let found = value(connection, Meta::DocumentsFound)?;
    Ok(found
        .map(|bytes| <[u8; 8]>::try_from(bytes).map_or(Timestamp(0), |at| Timestamp(u64::from_be_bytes(at)))))
}

/// A value, within a transaction.
pub(super) fn value(connection: &Connection, name: Meta) -> Result<Option<Vec<u8>>, Failure> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name.name()], |row| row.get(0))
        .optional()?)
}

/// The id of the profile's account.
pub(super) fn own_id(connection: &Connection) -> Result<conclave_crypto::AccountId, Failure> {
    connection
        .prepare_cached("SELECT id FROM account")?
        .query_row([], |row| account_id(row, "id"))
        .optional()?
        .ok_or_else(|| StoreError::NoAccount.into())
}
