//! How a command fails: whose fault, the next step, and the exit code.

use serde::Serialize;

/// Exit codes (`conclave --help` lists them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was tried and did not work.
    Failed = 1,
    /// What was typed cannot be done.
    Usage = 2,
    /// The network, or what was asked for in it, cannot be reached now.
    Unreachable = 3,
}

/// The last words of a command that did not work: `{"event":"error",…}`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "error")]
pub(crate) struct Failure {
    /// A short name for programs.
    pub(crate) kind: String,
    /// What happened, for people.
    pub(crate) message: String,
    /// The next step.
    pub(crate) hint: String,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Failure {
    pub(crate) fn usage(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), hint: hint.into(), exit: Exit::Usage }
    }

    pub(crate) fn failed(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), hint: hint.into(), exit: Exit::Failed }
    }

    pub(crate) fn unreachable(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), hint: hint.into(), exit: Exit::Unreachable }
    }

    /// A file that could not be used.
    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::failed(
            "io",
            format!("{doing} {}: {error}", path.display()),
            "check that the path is right, is yours, and that the disk is not full",
        )
    }
}

impl From<conclave_devnet::DevnetError> for Failure {
    fn from(error: conclave_devnet::DevnetError) -> Self {
        let hint = error.hint();
        let kind = match error {
            conclave_devnet::DevnetError::OtherSize { .. } => {
                return Self::usage("other_size", error.to_string(), hint);
            }
            conclave_devnet::DevnetError::NoNetwork { .. } => {
                return Self::usage("no_network", error.to_string(), hint);
            }
            conclave_devnet::DevnetError::Busy { .. } => "busy",
            conclave_devnet::DevnetError::Running { .. } => "already_running",
            conclave_devnet::DevnetError::Damaged { .. } => "damaged",
            _ => "network_start",
        };
        Self::failed(kind, error.to_string(), hint)
    }
}

impl From<conclave_client::Error> for Failure {
    fn from(error: conclave_client::Error) -> Self {
        let record = error.record();
        let exit = match record.exit {
            conclave_client::ExitClass::Failed => Exit::Failed,
            conclave_client::ExitClass::Usage => Exit::Usage,
            conclave_client::ExitClass::Unreachable => Exit::Unreachable,
        };
        Self { kind: record.kind, message: record.message, hint: record.hint, exit }
    }
}

impl From<conclave_client::profile::OpenError> for Failure {
    fn from(error: conclave_client::profile::OpenError) -> Self {
        conclave_client::Error::from(error).into()
    }
}

impl From<conclave_client::profile::InvalidProfileName> for Failure {
    fn from(error: conclave_client::profile::InvalidProfileName) -> Self {
        conclave_client::Error::from(error).into()
    }
}
