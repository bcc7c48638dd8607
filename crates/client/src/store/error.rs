//! What can go wrong with the database, and whose doing it is.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::types::MessageId;

/// Why a verb of [`super::ClientStore`] did not happen. Nothing of it is in the database then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk (or a quota) has no room. The same call can succeed once there is room.
    #[error("the disk is full: could not {doing} in {}", path.display())]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// The database file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("the database {} is damaged: could not {doing} ({detail})", path.display())]
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// The database file.
        path: PathBuf,
        /// SQLite's words. Hold no content.
        detail: String,
    },
    /// The key does not open the file: the wrong key, or the file's first page is damaged. Profiles
    /// check their key first, so there it means damage.
    #[error("the key does not open the database {}", path.display())]
    WrongKey {
        /// The database file.
        path: PathBuf,
    },
    /// A newer version of the program has used the file.
    #[error("the database {} has version {found}, this program knows up to {known}", path.display())]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest this program knows.
        known: usize,
    },
    /// Another process has the file open, although the profile's lock should prevent it.
    #[error("another program has the database {} open", path.display())]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// The database is still encrypted with the key it had.
    #[error("the key of the database {} could not be changed", path.display())]
    NotRekeyed {
        /// The database file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("could not {doing} in the database {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The database file.
        path: PathBuf,
        /// Its words.
        #[source]
        source: rusqlite::Error,
    },
    /// The profile holds no account yet.
    #[error("this profile has no account")]
    NoAccount,
    /// The profile has an account already; it is never replaced.
    #[error("this profile has an account already")]
    AccountExists,
    /// What was asked for is not done to such a message. Nothing has changed.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// No message has this id.
    #[error("no message has the id {0}")]
    UnknownMessage(MessageId),
    /// This is no beginning of an id.
    #[error(
        "{0:?} is no id of a message: one has 32 digits, 0 to 9 and a to f, and its first six are enough"
    )]
    NoMessageId(String),
    /// Several messages have ids that begin like this.
    #[error("several messages have ids that begin with {0}")]
    SeveralMessages(String),
    /// No message has an id that begins like this.
    #[error("no message has an id that begins with {0}")]
    NoSuchMessage(String),
    /// A value is larger than the database takes.
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Our mistake, never a peer's.
    #[error("bug: {0}")]
    Bug(String),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody touching the profile.
    pub const fn retry_may_help(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Busy { .. } | Self::Io { .. } | Self::NotRekeyed { .. })
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::DiskFull { .. } => "make room on the disk and try again; nothing is lost".to_owned(),
            Self::Corrupt { path, .. } | Self::WrongKey { path } => format!(
                "put a backup of {} in its place, or restore the account from its recovery phrase into a new profile",
                path.display()
            ),
            Self::TooNew { .. } => "update the program".to_owned(),
            Self::Busy { .. } => "end the other program and try again".to_owned(),
            Self::NotRekeyed { .. } => {
                "nothing has changed; make room on the disk for once more the size of the database and try again"
                    .to_owned()
            }
            Self::UnknownMessage(_) | Self::NoSuchMessage(_) | Self::NoMessageId(_) => {
                "`history` shows the ids of a chat's messages".to_owned()
            }
            Self::SeveralMessages(_) => "give more of it; `--json` shows whole ids".to_owned(),
            Self::NotAllowed(_) => "nothing was changed; it is possible only in another way, or not at all".to_owned(),
            Self::TooLarge { .. } => "make it shorter".to_owned(),
            Self::NoAccount => "make one with `account create` or `account restore`".to_owned(),
            _ => return None,
        })
    }

    /// Sorts an error of SQLite's.
    pub(super) fn of(error: rusqlite::Error, doing: &'static str, path: &std::path::Path) -> Self {
        let path = path.to_owned();
        let Some(code) = error.sqlite_error_code() else {
            // Wrong column types and the like: the schema and the code disagree, or the file was
            // written by something else.
            return match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..) => {
                    Self::Corrupt { doing, path, detail: error.to_string() }
                }
                other => Self::Bug(format!("could not {doing}: {other}")),
            };
        };
        match code {
            ErrorCode::DiskFull => Self::DiskFull { doing, path },
            ErrorCode::DatabaseCorrupt => Self::Corrupt { doing, path, detail: error.to_string() },
            ErrorCode::NotADatabase => Self::WrongKey { path },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory => Self::Io { doing, path, source: error },
            _ => Self::Bug(format!("could not {doing}: {error}")),
        }
    }
}

/// Inside a transaction: SQLite's error, or one of ours.
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
