//! Profile pictures: whose are to be fetched, where they lie, and when the own one is stored again.
//!
//! The documents say where pictures are; here stands how far this device has come with them. Only pictures of contacts are fetched:
//! a stranger cannot make this device ask for anything.

use conclave_confsync::Picture;
use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::error::Failure;
use super::work::{Changes, Work};
use super::{ClientStore, StoreError, account_id, millis, timestamp};
use crate::said::FileKey;

/// A picture that could not be fetched is given up after so many attempts, some days, until its owner chooses another.
pub const MAX_PICTURE_FETCHES: u32 = 24;
/// Pictures looked at in one go.
const AT_ONCE: usize = 16;

/// How far a picture has come.
#[derive(Clone, PartialEq, Eq)]
pub struct PictureRow {
    /// Which, in this database.
    pub row: i64,
    /// Whose.
    pub account: AccountId,
    /// Where it is, and what opens it.
    pub picture: Picture,
    /// The name of its encrypted bytes in the folder, if all are here.
    pub blob: Option<String>,
    /// How often it could not be fetched.
    pub attempts: u32,
    /// What deletes it from its swarms, of one's own that this device has stored.
    pub file_key: Option<FileKey>,
    /// Since when that key is in use.
    pub keyed_at: Timestamp,
}

impl std::fmt::Debug for PictureRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PictureRow({}, here: {})", self.row, self.blob.is_some())
    }
}

/// What was stored of the own picture, and with which key.
#[derive(Clone, Debug)]
pub struct StoredPicture {
    /// Where swarms keep it: the list of its chunks, and what deletes them. A file server deletes nothing for anybody.
    pub chunks: Option<(Vec<u8>, FileKey)>,
    /// Since when that key is in use.
    pub keyed_at: Timestamp,
    /// When it is stored again.
    pub again_at: Timestamp,
}

impl StoredPicture {
    fn manifest(&self) -> Option<&[u8]> {
        self.chunks.as_ref().map(|(manifest, _)| manifest.as_slice())
    }

    fn file_key(&self) -> Option<&[u8]> {
        self.chunks.as_ref().map(|(_, key)| key.as_bytes().as_slice())
    }
}

const COLUMNS: &str = "row, account AS id, url, key, blob, attempts, file_key, keyed_at";

fn picture_row(row: &Row<'_>) -> rusqlite::Result<PictureRow> {
    let key: Vec<u8> = row.get("key")?;
    let wrong_length = |_| rusqlite::Error::IntegralValueOutOfRange(3, 32);
    Ok(PictureRow {
        row: row.get("row")?,
        account: account_id(row, "id")?,
        picture: Picture { url: row.get("url")?, key: key.try_into().map_err(wrong_length)? },
        blob: row.get("blob")?,
        attempts: row.get("attempts")?,
        file_key: row.get::<_, Option<Vec<u8>>>("file_key")?.and_then(FileKey::of_bytes),
        keyed_at: timestamp(row.get("keyed_at")?),
    })
}

impl Work<'_> {
    /// Makes the table follow the documents.
    fn follow_pictures(&mut self) -> Result<(), Failure> {
        let own = self.own;
        let gone = "DELETE FROM picture WHERE account <> ?1 AND NOT EXISTS
                        (SELECT 1 FROM contact WHERE contact.id = picture.account AND approved AND NOT blocked
                                AND picture_url IS NOT NULL AND length(picture_key) = 32)
                    RETURNING account AS id";
        let other = "INSERT INTO picture (account, url, key)
                     SELECT id, picture_url, picture_key FROM contact
                     WHERE approved AND NOT blocked AND picture_url IS NOT NULL AND length(picture_key) = 32 AND id <> ?1
                     ON CONFLICT (account) DO UPDATE SET url = excluded.url, key = excluded.key, blob = NULL,
                         attempts = 0, next_try = 0
                     WHERE (picture.url, picture.key) IS NOT (excluded.url, excluded.key)
                     RETURNING account AS id";
        for sql in [gone, other] {
            let mut statement = self.tx.prepare_cached(sql)?;
            let whose: Vec<AccountId> = statement
                .query_map([own.as_bytes()], |row| account_id(row, "id"))?
                .collect::<Result<_, _>>()?;
            // Whoever shows the last picture looks again, and its bytes are cleared away.
            self.changes.files |= !whose.is_empty();
            self.changes.chats.extend(whose);
        }
        let chosen = self.documents.profile.picture();
        if self::own(self.tx, &own)? != chosen {
            self.replace_own_picture(chosen.as_ref(), None)?;
        }
        Ok(())
    }

    /// Another picture, or none, is the account's own. What this device stored of the last one is to be deleted.
    fn replace_own_picture(
        &mut self,
        picture: Option<&Picture>,
        here: Option<(&str, &StoredPicture)>,
    ) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO gone_file (manifest, file_key, next_try)
                 SELECT manifest, file_key, ?2 FROM picture
                 WHERE account = ?1 AND manifest IS NOT NULL AND file_key IS NOT NULL",
            )?
            .execute((self.own.as_bytes(), millis(self.now)))?;
        self.tx.prepare_cached("DELETE FROM picture WHERE account = ?1")?.execute([self.own.as_bytes()])?;
        self.changes.files = true;
        self.changes.profile = true;
        let Some(picture) = picture else { return Ok(()) };
        let (blob, stored) = here.unzip();
        self.tx
            .prepare_cached(
                "INSERT INTO picture (account, url, key, blob, next_try, manifest, file_key, keyed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                self.own.as_bytes(),
                &picture.url,
                picture.key.as_slice(),
                blob,
                stored.map_or(0, |stored| millis(stored.again_at)),
                stored.and_then(StoredPicture::manifest),
                stored.and_then(StoredPicture::file_key),
                stored.map_or(0, |stored| millis(stored.keyed_at)),
            ))?;
        Ok(())
    }
}

fn find(connection: &Connection, account: &AccountId) -> Result<Option<PictureRow>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM picture WHERE account = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([account.as_bytes()], picture_row).optional()?)
}

/// The account's own picture that this device knows of.
pub(super) fn own(connection: &Connection, own: &AccountId) -> Result<Option<Picture>, Failure> {
    Ok(find(connection, own)?.map(|row| row.picture))
}

impl ClientStore {
    /// Pictures that are to be fetched, or stored again, and whose time has come.
    ///
    /// # Errors
    /// What the disk says.
    pub fn due_pictures(&self, now: Timestamp) -> Result<(Vec<PictureRow>, Changes), StoreError> {
        self.work("look for pictures", now, |work| {
            work.follow_pictures()?;
            let sql = format!(
                "SELECT {COLUMNS} FROM picture
                 WHERE next_try <= ?1 AND (account = ?2 OR blob IS NULL) AND (blob IS NOT NULL OR attempts < ?3)
                 ORDER BY next_try, row LIMIT {AT_ONCE}"
            );
            let mut statement = work.tx.prepare_cached(&sql)?;
            let due = statement
                .query_map((millis(now), work.own.as_bytes(), MAX_PICTURE_FETCHES), picture_row)?
                .collect::<Result<_, _>>()?;
            Ok(due)
        })
    }

    /// When the next one is to be looked at.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_picture_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("look for pictures", |connection| {
            let own = super::meta::own_id(connection)?;
            let next: Option<i64> = connection
                .prepare_cached(
                    "SELECT min(next_try) FROM picture
                     WHERE (account = ?1 OR blob IS NULL) AND (blob IS NOT NULL OR attempts < ?2)",
                )?
                .query_row((own.as_bytes(), MAX_PICTURE_FETCHES), |row| row.get(0))?;
            Ok(next.map(timestamp))
        })
    }

    /// What tells the account's own picture from others, if it is here.
    ///
    /// # Errors
    /// What the disk says.
    pub fn own_picture_mark(&self) -> Result<Option<String>, StoreError> {
        self.read("look for a picture", |connection| {
            let own = super::meta::own_id(connection)?;
            let sql = "SELECT substr(blob, 1, 16) FROM picture WHERE account = ?1";
            let mark =
                connection.prepare_cached(sql)?.query_row([own.as_bytes()], |row| row.get(0)).optional()?;
            Ok(mark.flatten())
        })
    }

    /// A picture that is here.
    ///
    /// # Errors
    /// What the disk says.
    pub fn picture(&self, account: &AccountId) -> Result<Option<PictureRow>, StoreError> {
        self.read("look for a picture", |connection| {
            Ok(find(connection, account)?.filter(|row| row.blob.is_some()))
        })
    }

    /// A picture is here: its encrypted bytes have this name. Says nothing if it is another one by now.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish_picture(
        &self,
        of: &PictureRow,
        blob: &str,
        again_at: Timestamp,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("note that a picture has come", now, |work| {
            let found = work
                .tx
                .prepare_cached(
                    "UPDATE picture SET blob = ?2, attempts = 0, next_try = ?3 WHERE row = ?1 AND url = ?4 AND key = ?5",
                )?
                // One's own is stored again by this device, too, whoever did that before.
                .execute((of.row, blob, millis(again_at), &of.picture.url, of.picture.key.as_slice()))?;
            if found > 0 && of.account == work.own {
                work.changes.profile = true;
            } else if found > 0 {
                work.changes.chats.insert(of.account);
            }
            Ok(())
        })
        .map(|((), changes)| changes)
    }

    /// A picture could not be fetched, or not be stored again: when that is tried again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn postpone_picture(&self, row: i64, next_try: Timestamp) -> Result<(), StoreError> {
        self.write("note what became of a picture", |tx| {
            tx.prepare_cached("UPDATE picture SET attempts = attempts + 1, next_try = ?2 WHERE row = ?1")?
                .execute((row, millis(next_try)))?;
            Ok(())
        })
    }

    /// The own picture was stored again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn renewed_picture(&self, of: &PictureRow, stored: &StoredPicture) -> Result<(), StoreError> {
        self.write("note that a picture is stored", |tx| {
            tx.prepare_cached(
                "UPDATE picture SET attempts = 0, next_try = ?2, manifest = ?3, file_key = ?4, keyed_at = ?5
                 WHERE row = ?1 AND url = ?6",
            )?
            .execute((
                of.row,
                millis(stored.again_at),
                stored.manifest(),
                stored.file_key(),
                millis(stored.keyed_at),
                &of.picture.url,
            ))?;
            Ok(())
        })
    }

    /// The account has another picture, whose encrypted bytes have this name and are stored; or none.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`].
    pub fn set_own_picture(
        &self,
        picture: Option<&Picture>,
        here: Option<(&str, &StoredPicture)>,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("store the profile picture", now, |work| {
            let bug = |error: conclave_confsync::EditError| StoreError::Bug(error.to_string());
            let at = work.profile_changes_at();
            work.documents.profile.set_picture(picture, at).map_err(bug)?;
            work.replace_own_picture(picture, here)
        })
        .map(|((), changes)| changes)
    }
}
