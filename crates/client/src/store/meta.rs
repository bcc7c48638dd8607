//! Things there is one of: the account, its clock, and values by name.

use conclave_crypto::{Account, RecoveryPhrase};
use conclave_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::error::Failure;
use super::{ClientStore, StoreError, StoredAccount, account_id, millis, timestamp};

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
}

impl Meta {
    const fn name(self) -> &'static str {
        match self {
            Self::NetworkFile => "network_file",
            Self::Directory => "directory",
            Self::ClockOffset => "clock_offset",
            Self::AvoidedNodes => "avoided_nodes",
            Self::Settings => "settings",
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
                .query_row("SELECT seed, id, name FROM account", [], |row| {
                    let seed = row.get_ref("seed")?.as_blob()?;
                    let phrase = if let Ok(short) = <&[u8; 16]>::try_from(seed) {
                        Some(RecoveryPhrase::from_seed16(short))
                    } else {
                        <&[u8; 32]>::try_from(seed).ok().map(RecoveryPhrase::from_seed32)
                    };
                    Ok((phrase, account_id(row, "id")?, row.get("name")?))
                })
                .optional()?;
            match found {
                Some((Some(phrase), id, name)) => Ok(StoredAccount { phrase, id, name }),
                Some((None, ..)) => {
                    Err(StoreError::Bug("a stored seed has a wrong length".to_owned()).into())
                }
                None => Err(StoreError::NoAccount.into()),
            }
        })
    }

    /// Changes the display name.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`].
    pub fn set_display_name(&self, name: &str) -> Result<(), StoreError> {
        self.write("store the display name", |tx| {
            match tx.execute("UPDATE account SET name = ?1", [name])? {
                0 => Err(StoreError::NoAccount.into()),
                _ => Ok(()),
            }
        })
    }

    /// A sent timestamp for something that is no message of a chat (a receipt, a request): later
    /// than any given out before, even before a restart or with a clock set back (client-messages
    /// 0, rule 2). Messages get theirs in [`Self::enqueue`].
    ///
    /// # Errors
    /// [`StoreError::NoAccount`].
    pub fn next_sent_timestamp(&self, network_now: Timestamp) -> Result<Timestamp, StoreError> {
        self.write("advance the clock", |tx| next_sent_timestamp(tx, network_now))
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

/// The id of the profile's account.
pub(super) fn own_id(connection: &Connection) -> Result<conclave_crypto::AccountId, Failure> {
    connection
        .prepare_cached("SELECT id FROM account")?
        .query_row([], |row| account_id(row, "id"))
        .optional()?
        .ok_or_else(|| StoreError::NoAccount.into())
}

/// The next sent timestamp, within the transaction of what is sent with it.
pub(super) fn next_sent_timestamp(tx: &Transaction<'_>, now: Timestamp) -> Result<Timestamp, Failure> {
    let own = own_id(tx)?;
    let last: i64 = tx.prepare_cached("SELECT last_sent_at FROM account")?.query_row([], |row| row.get(0))?;
    let mut next = millis(now).max(last.saturating_add(1));
    // Another device of the account may have used the same millisecond.
    let mut taken = tx.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?;
    while taken.exists([super::chats::id_bytes(&crate::types::MessageId::of(&own, timestamp(next)))])? {
        next = next.saturating_add(1);
    }
    tx.prepare_cached("UPDATE account SET last_sent_at = ?1")?.execute([next])?;
    Ok(timestamp(next))
}
