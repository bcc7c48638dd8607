//! How long files of this account live in swarms, and what its other devices are told so that they can lengthen or end that.

use conclave_proto::Timestamp;
use rusqlite::{OptionalExtension as _, Row};

use super::chats::id_bytes;
use super::error::Failure;
use super::files::{COLUMNS, file_row};
use super::rows::{FileRow, NewFile};
use super::work::Work;
use super::{ClientStore, StoreError, millis, timestamp};
use crate::files::Life;
use crate::said::{FileKey, with_file_keys};
use crate::types::MessageId;

/// A file whose life in its swarms is to be lengthened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renewal {
    pub(crate) file: FileRow,
    pub(crate) life: Life,
    /// How often it went wrong since it last went well.
    pub(crate) failures: u32,
}

impl Work<'_> {
    /// The account's other devices get what deletes the files; nobody else does.
    pub(super) fn tell_own_devices(&self, message: &MessageId, files: &[NewFile]) -> Result<(), Failure> {
        let in_swarms = (0_u32..).zip(files).filter(|(_, new)| new.manifest.is_some());
        let keys: Vec<(u32, FileKey)> = in_swarms.map(|(place, new)| (place, new.file_key.clone())).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut statement = self.tx.prepare_cached(
            "SELECT copy, content FROM outgoing WHERE id = ?1 AND recipient = ?2 AND content IS NOT NULL",
        )?;
        let copies = statement
            .query_map((id_bytes(message), self.own.as_bytes()), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(i64, Vec<u8>)>, _>>()?;
        for (copy, content) in copies {
            if let Some(content) = with_file_keys(&content, &keys) {
                self.tx
                    .prepare_cached("UPDATE outgoing SET content = ?3 WHERE id = ?1 AND copy = ?2")?
                    .execute((id_bytes(message), copy, content))?;
            }
        }
        Ok(())
    }
}

impl ClientStore {
    /// A file whose life in its swarms is to be lengthened now, if there is one.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn due_renewal(&self, now: Timestamp) -> Result<Option<Renewal>, StoreError> {
        self.read("look for files to be renewed", |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, stored_at, ends_at, failed_renewals FROM file
                 WHERE renew_at <= ?1 ORDER BY renew_at LIMIT 1"
            );
            let found = connection
                .prepare_cached(&sql)?
                .query_row([millis(now)], |row| {
                    Ok((file_row(row)?, life_of(row)?, row.get("failed_renewals")?))
                })
                .optional()?;
            Ok(found.and_then(|(file, life, failures)| Some(Renewal { file, life: life?, failures })))
        })
    }

    /// Notes what came of a renewal: how long the file lives now, and when it is to be lengthened again; `None` for never.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn set_file_life(
        &self,
        row: i64,
        life: Life,
        renew_at: Option<Timestamp>,
        failures: u32,
    ) -> Result<(), StoreError> {
        self.write("note how long a file lives", |tx| {
            tx.prepare_cached(
                "UPDATE file SET ends_at = ?2, renew_at = ?3, failed_renewals = ?4 WHERE row = ?1",
            )?
            .execute((row, millis(life.ends), renew_at.map(millis), failures))?;
            Ok(())
        })
    }

    /// Notes what a file consists of.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn set_file_list(&self, row: i64, list: &[u8]) -> Result<(), StoreError> {
        self.write("note what a file consists of", |tx| {
            tx.prepare_cached("UPDATE file SET manifest = ?2 WHERE row = ?1")?.execute((row, list))?;
            Ok(())
        })
    }
}

pub(super) fn life_of(row: &Row<'_>) -> rusqlite::Result<Option<Life>> {
    let (began, ends): (Option<i64>, Option<i64>) = (row.get("stored_at")?, row.get("ends_at")?);
    Ok(began.zip(ends).map(|(began, ends)| Life { began: timestamp(began), ends: timestamp(ends) }))
}
