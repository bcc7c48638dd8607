//! What can go wrong in the SDK: whose fault it is, what to do, and whether another try helps.
//!
//! The same error reads the same whether it happened in this process or in the profile's owner: it
//! crosses the local socket as an [`ErrorRecord`].

use conclave_crypto::recovery_phrase::PhraseError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::FileError;
use crate::network::NetworkError;
use crate::preview::PreviewError;
use crate::profile::{InvalidDisplayName, InvalidProfileName, OpenError};
use crate::store::{RecipientError, StoreError};
use crate::types::MessageId;

/// The longest message, in Unicode code points. (client-messages 4.1)
pub const MAX_TEXT_CHARS: usize = 2_000;

/// What kind of failure it is, as far as a script cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitClass {
    /// It was tried and did not work.
    Failed,
    /// What was asked for cannot be done; asking the same again is no use.
    Usage,
    /// The network cannot be reached now; another try may help.
    Unreachable,
}

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] OpenError),
    /// No name for a profile.
    #[error(transparent)]
    ProfileName(#[from] InvalidProfileName),
    /// No name for a person.
    #[error(transparent)]
    DisplayName(#[from] InvalidDisplayName),
    /// The recovery phrase is wrong.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody can be found by that name or id.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// The network cannot be reached, or refused.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// There is no preview of a link.
    #[error(transparent)]
    Preview(#[from] PreviewError),
    /// A file cannot be sent or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text is too long.
    #[error("the text has {chars} characters, a message has at most {MAX_TEXT_CHARS}")]
    TextTooLong {
        /// Unicode code points.
        chars: usize,
    },
    /// There is nothing to send.
    #[error("the text is empty, or nothing of it can be seen")]
    TextEmpty,
    /// No message of this account has this id.
    #[error("no sent message has the id {0}")]
    UnknownMessage(MessageId),
    /// The process that owns the profile has locked it.
    #[error("the profile {profile:?} is locked")]
    Locked {
        /// The profile.
        profile: String,
    },
    /// Whoever has the files of the profile has its key as well: closing the database would protect nothing.
    #[error("the profile {profile:?} has no passphrase, so it cannot be locked")]
    NotLockable {
        /// The profile.
        profile: String,
    },
    /// As many programs use the profile as may at one time.
    #[error("{limit} programs use the profile already, and no more can at one time")]
    TooManyPrograms {
        /// How many.
        limit: usize,
    },
    /// The process that owns the profile does not answer, or went away.
    #[error("the process that owns the profile {profile:?} {problem}")]
    Owner {
        /// The profile.
        profile: String,
        /// What it did.
        problem: String,
    },
    /// What the owner of the profile said.
    #[error("{}", .0.message)]
    Relayed(ErrorRecord),
}

/// An error as scripts and other processes get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorRecord {
    /// A short name for programs; they stay.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// The next step.
    pub hint: String,
    /// What kind of failure it is.
    pub exit: ExitClass,
}

impl Error {
    /// What is not done like this, whoever asks: the reason, as a person would say it.
    pub fn refused(why: &'static str) -> Self {
        StoreError::NotAllowed(why).into()
    }

    /// More than is kept: what it is, its bytes, and how many there may be.
    pub const fn too_large(what: &'static str, size: usize, limit: usize) -> Self {
        Self::Store(StoreError::TooLarge { what, size, limit })
    }

    /// A message with more files than one can have.
    pub fn too_many_files(files: usize, limit: usize) -> Self {
        FileError::TooMany { files, limit }.into()
    }

    /// A mistake of the program.
    pub fn bug(detail: impl Into<String>) -> Self {
        StoreError::Bug(detail.into()).into()
    }

    /// A short name for programs.
    pub fn kind(&self) -> &str {
        match self {
            Self::Profile(error) => match error {
                OpenError::NotFound { .. } => "profile_not_found",
                OpenError::Exists { .. } => "profile_exists",
                OpenError::InUse { .. } => "profile_in_use",
                OpenError::WrongPassphrase { .. } => "wrong_passphrase",
                OpenError::PassphraseNeeded { .. } => "passphrase_needed",
                OpenError::NoPassphraseNeeded { .. } => "no_passphrase_needed",
                OpenError::BadPassphrase { .. } => "bad_passphrase",
                OpenError::KeyMissing { .. } => "key_missing",
                OpenError::Corrupt { .. } => "corrupt",
                OpenError::OtherNetwork { .. } => "other_network",
                OpenError::Store(error) => store_kind(error),
                _ => "io",
            },
            Self::ProfileName(_) => "bad_profile_name",
            Self::DisplayName(_) => "bad_name",
            Self::Phrase(_) => "wrong_phrase",
            Self::Store(error) => store_kind(error),
            Self::Recipient(error) => match error {
                RecipientError::NotAnAccountId(_) | RecipientError::NotAnAccount { .. } => "bad_account_id",
                RecipientError::Unknown { .. } => "unknown_recipient",
                RecipientError::Blocked(_) => "blocked",
                RecipientError::Request { .. } => "message_request",
                RecipientError::Ambiguous { .. } => "ambiguous_recipient",
                RecipientError::Store(error) => store_kind(error),
            },
            Self::Network(error) => error.kind(),
            Self::Preview(PreviewError::NoLink) => "no_link",
            Self::Preview(PreviewError::BadProxy(_)) => "bad_proxy",
            Self::Preview(PreviewError::NotPublic(_)) => "not_public",
            Self::Preview(_) => "no_preview",
            Self::File(FileError::TooLarge { .. } | FileError::TooMany { .. }) => "too_large",
            Self::File(FileError::NotHere) => "file_not_here",
            Self::File(FileError::Damaged(_)) => "file_damaged",
            Self::File(FileError::NotStripped(_)) => "not_stripped",
            Self::File(FileError::NotAVoice(_)) => "not_a_voice",
            Self::File(FileError::NotAFace(_)) => "not_a_picture",
            Self::File(_) => "file",
            Self::TextTooLong { .. } => "text_too_long",
            Self::TextEmpty => "text_empty",
            Self::UnknownMessage(_) => "unknown_message",
            Self::Locked { .. } => "locked",
            Self::NotLockable { .. } => "not_lockable",
            Self::TooManyPrograms { .. } => "too_many_programs",
            Self::Owner { .. } => "owner_unreachable",
            Self::Relayed(record) => &record.kind,
        }
    }

    /// The next step.
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::Profile(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Recipient(error) => error.hint(),
            Self::Network(error) => return error.hint(),
            Self::ProfileName(_) => Some(
                "choose a name like `work` or `alice-2`; not one that Windows keeps for devices, like `con`"
                    .to_owned(),
            ),
            Self::DisplayName(_) => Some("use a name of 1 to 100 bytes that can be seen".to_owned()),
            Self::Phrase(_) => Some("compare it, word by word, with what was written down".to_owned()),
            Self::Preview(error) => Some(error.hint().to_owned()),
            Self::File(error) => Some(error.hint().to_owned()),
            Self::TextTooLong { .. } => Some("send it in parts".to_owned()),
            Self::TextEmpty => Some("write something".to_owned()),
            Self::UnknownMessage(_) => Some("`history` shows the ids of a chat's messages".to_owned()),
            Self::Locked { profile } if profile == "default" => {
                Some("`conclave unlock` asks for its passphrase".to_owned())
            }
            Self::Locked { profile } => {
                Some(format!("`conclave unlock --profile {profile}` asks for its passphrase"))
            }
            Self::NotLockable { .. } => Some("`conclave account passphrase` sets one".to_owned()),
            Self::TooManyPrograms { .. } => {
                Some("try again when one of them has ended (some `listen`, `rpc` or bot)".to_owned())
            }
            Self::Owner { .. } => Some("try again; if it persists, end that process".to_owned()),
            Self::Relayed(record) => return record.hint.clone(),
        };
        hint.unwrap_or_else(|| "this is a fault of the program; please report it".to_owned())
    }

    /// What kind of failure it is.
    pub fn exit(&self) -> ExitClass {
        match self {
            Self::Profile(
                OpenError::NotFound { .. }
                | OpenError::Exists { .. }
                | OpenError::PassphraseNeeded { .. }
                | OpenError::NoPassphraseNeeded { .. }
                | OpenError::BadPassphrase { .. }
                | OpenError::OtherNetwork { .. },
            )
            | Self::ProfileName(_)
            | Self::DisplayName(_)
            | Self::Phrase(_)
            | Self::Recipient(_)
            | Self::Preview(PreviewError::NoLink | PreviewError::BadProxy(_) | PreviewError::NotPublic(_))
            | Self::File(
                FileError::NotAFile(_)
                | FileError::TooLarge { .. }
                | FileError::TooMany { .. }
                | FileError::NotHere
                | FileError::NotStripped(_)
                | FileError::NotAVoice(_)
                | FileError::NotAFace(_),
            )
            | Self::TextTooLong { .. }
            | Self::TextEmpty
            | Self::NotLockable { .. }
            | Self::UnknownMessage(_)
            | Self::Store(
                StoreError::UnknownMessage(_)
                | StoreError::NoSuchMessage(_)
                | StoreError::NoMessageId(_)
                | StoreError::SeveralMessages(_)
                | StoreError::NotAllowed(_)
                | StoreError::TooLarge { .. },
            ) => ExitClass::Usage,
            Self::Network(error) => error.exit(),
            Self::Preview(_) | Self::File(_) => ExitClass::Failed,
            Self::Profile(_)
            | Self::Store(_)
            | Self::Locked { .. }
            | Self::TooManyPrograms { .. }
            | Self::Owner { .. } => ExitClass::Failed,
            Self::Relayed(record) => record.exit,
        }
    }

    /// The error as scripts and other processes get it.
    pub fn record(&self) -> ErrorRecord {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            // Many errors repeat their cause already.
            if !message.contains(&inner_text) {
                message = format!("{message}: {inner_text}");
            }
            cause = inner.source();
        }
        ErrorRecord { kind: self.kind().to_owned(), message, hint: self.hint(), exit: self.exit() }
    }
}

fn store_kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::DiskFull { .. } => "disk_full",
        StoreError::Corrupt { .. } | StoreError::WrongKey { .. } => "corrupt",
        StoreError::TooNew { .. } => "too_new",
        StoreError::Busy { .. } => "busy",
        StoreError::NotRekeyed { .. } => "not_rekeyed",
        StoreError::NoAccount => "no_account",
        StoreError::UnknownMessage(_) | StoreError::NoSuchMessage(_) => "unknown_message",
        StoreError::NotAllowed(_) | StoreError::NoMessageId(_) | StoreError::SeveralMessages(_) => {
            "not_allowed"
        }
        StoreError::TooLarge { .. } => "too_large",
        _ => "database",
    }
}
