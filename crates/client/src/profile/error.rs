//! Why a profile cannot be made, opened or removed.

use std::io;
use std::path::PathBuf;

use super::ProfileName;
use crate::store::StoreError;

/// Why a profile cannot be made, opened or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such profile.
    #[error("there is no profile {name:?}")]
    NotFound {
        /// The name asked for.
        name: String,
        /// Those there are.
        existing: Vec<ProfileName>,
    },
    /// There is such a profile already.
    #[error("there is a profile {name:?} already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// Another process owns the profile; attach to it through the socket.
    #[error("another process owns the profile {name:?}")]
    InUse {
        /// Its name.
        name: String,
    },
    /// The passphrase does not open this profile.
    #[error("wrong passphrase for the profile {name:?}")]
    WrongPassphrase {
        /// Its name.
        name: String,
    },
    /// The profile is protected by a passphrase and none was given.
    #[error("the profile {name:?} needs its passphrase")]
    PassphraseNeeded {
        /// Its name.
        name: String,
    },
    /// A passphrase was given and the profile has none: whoever gave it believes it protected.
    #[error("the profile {name:?} is not protected by a passphrase, but one was given")]
    NoPassphraseNeeded {
        /// Its name.
        name: String,
    },
    /// The passphrase cannot be used.
    #[error("a passphrase has at least one character and at most {limit} bytes")]
    BadPassphrase {
        /// The limit.
        limit: usize,
    },
    /// The file with the key, or with what makes a passphrase a key, is gone.
    #[error("the key file {} is missing", path.display())]
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file of the profile is damaged.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// How that shows.
        detail: String,
    },
    /// The profile belongs to another network.
    #[error("this profile belongs to the network {own:?}, not to {other:?}{detail}")]
    OtherNetwork {
        /// Its network.
        own: String,
        /// The one it was to be used with.
        other: String,
        /// More, where the names are alike.
        detail: &'static str,
    },
    /// The database failed in another way.
    #[error(transparent)]
    Store(StoreError),
    /// The operating system refused.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { existing, .. } if existing.is_empty() => {
                "make one with `account create` or `account restore`".to_owned()
            }
            Self::NotFound { existing, .. } => {
                let names: Vec<&str> = existing.iter().map(ProfileName::as_str).collect();
                format!("there are: {}", names.join(", "))
            }
            Self::Exists { .. } => "choose another name with --profile".to_owned(),
            Self::InUse { .. } => "end the other process, or use the profile through it".to_owned(),
            Self::BadPassphrase { .. } => "choose another; a profile without one is made by giving none".to_owned(),
            Self::WrongPassphrase { .. } => "check the passphrase and try again".to_owned(),
            Self::PassphraseNeeded { .. } => {
                "set CONCLAVE_PASSPHRASE, give --passphrase-file, or use a terminal that can ask".to_owned()
            }
            Self::NoPassphraseNeeded { .. } => {
                "leave out --passphrase-file and CONCLAVE_PASSPHRASE; `conclave account passphrase` protects a profile by one"
                    .to_owned()
            }
            Self::KeyMissing { path } => format!(
                "put {} back from a backup, or restore the account from its recovery phrase into a new profile",
                path.display()
            ),
            Self::Corrupt { path, .. } => format!(
                "put {} back from a backup, or restore the account from its recovery phrase into a new profile",
                path.display()
            ),
            Self::OtherNetwork { .. } => {
                "use the network file of the profile's network, or another profile for this one".to_owned()
            }
            Self::Store(error) => return error.hint(),
            Self::Io { .. } => "check that the directory exists, is yours and has room".to_owned(),
        })
    }

    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

/// The profile's key has been checked before the database is opened, so a key that does not fit
/// means a damaged file.
impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WrongKey { path } => Self::Corrupt {
                path,
                detail: "its beginning is not what this profile's key wrote".to_owned(),
            },
            StoreError::Corrupt { path, detail, .. } => Self::Corrupt { path, detail },
            other => Self::Store(other),
        }
    }
}
