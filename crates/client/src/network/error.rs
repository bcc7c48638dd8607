//! Why the network did not answer.

use conclave_crypto::Ed25519Public;
use conclave_onion::NoPath;
use conclave_onion::outcome::Outcome;

use crate::error::ExitClass;

/// Why there is no answer from the network.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The profile belongs to no network and none was named.
    #[error("no network is known here")]
    NoNetwork,
    /// What was given as a network file is none.
    #[error("this is no network file: {0}")]
    BadFile(String),
    /// No seed gave a node list that can be used.
    #[error("no seed of the network {network_id:?} gave a usable node list ({reasons})")]
    NoSeed {
        /// Which network.
        network_id: String,
        /// What each said.
        reasons: String,
    },
    /// Too few nodes for a path.
    #[error(transparent)]
    NoPath(#[from] NoPath),
    /// The guard cannot be connected to.
    #[error("the guard cannot be reached ({0})")]
    GuardUnreachable(String),
    /// The client has been stopped.
    #[error("the client has been stopped")]
    Stopped,
    /// No answer in time.
    #[error("the network did not answer in time")]
    Timeout,
    /// A node on the way, or the destination, is not there.
    #[error("a service node of the path is not there")]
    NodeMissing(Ed25519Public),
    /// The guard or a relay takes no more bytes from us for so long.
    #[error("the service nodes on the way take no more of this client before {} s are over", .0.as_secs_f32().ceil())]
    Metered(std::time::Duration),
    /// Something on the way failed.
    #[error("a service node on the way failed with status {0}")]
    PathFailed(u16),
    /// The reply cannot be read: somebody on the way, or the node itself, answers rubbish.
    #[error("a service node answered something that cannot be read ({0})")]
    Unreadable(String),
    /// The node answered with an error.
    #[error("a service node refused the request: {status} {text}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        text: String,
    },
    /// The last node of a path does not pass requests on to this server.
    #[error("a service node does not pass requests on to this server ({0})")]
    NotPassedOn(String),
    /// What is at a server's address, or the node before it, answers with an error and not as that server would.
    #[error("the server cannot be reached, or is not the one it is said to be ({status} {text})")]
    Server {
        /// The status: 400 and the like are the server's own, 502 and 504 the node's that dialled it.
        status: u16,
        /// The words with it.
        text: String,
    },
    /// The swarms that keep a file did not take it.
    #[error("the service nodes did not take it: {0}")]
    NotTaken(String),
    /// Nodes say that this machine's clock is wrong, and learning theirs did not help.
    #[error("the service nodes refuse this machine's clock, which differs from theirs by {offset_ms} ms")]
    Clock {
        /// The difference as learnt.
        offset_ms: i64,
    },
}

impl NetworkError {
    pub(super) fn of_path(outcome: &Outcome, status: u16) -> Self {
        match outcome {
            Outcome::NodeNotFound(node) | Outcome::NodeNotReady(node) => Self::NodeMissing(*node),
            Outcome::PathTimeout => Self::Timeout,
            Outcome::Metered(ms) => Self::Metered(std::time::Duration::from_millis(*ms)),
            _ => Self::PathFailed(status),
        }
    }

    /// Whether it says that this very node is not there, so that asking it again is no use.
    pub fn is_about_destination(&self, node: &Ed25519Public) -> bool {
        matches!(self, Self::NodeMissing(missing) if missing == node)
    }

    /// A short name for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoNetwork => "no_network",
            Self::BadFile(_) => "bad_network_file",
            Self::Refused { .. } => "refused",
            Self::NotPassedOn(_) | Self::Server { .. } => "server",
            Self::Clock { .. } => "clock",
            Self::NoPath(_) => "no_path",
            _ => "unreachable",
        }
    }

    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::NoNetwork => {
                "start a private one with `conclave up`, or name one with --network FILE".to_owned()
            }
            Self::BadFile(_) => {
                "give the content of a network.json, as whoever runs the network hands it out".to_owned()
            }
            Self::NoPath(NoPath { needed, .. }) => {
                format!("a network needs at least {needed} service nodes before anybody can write through it")
            }
            Self::Refused { .. } => "try again later; if it persists, update the program".to_owned(),
            Self::NotPassedOn(_) => "try again later: another service node may pass it on".to_owned(),
            Self::Server { .. } => {
                "try again later, or ask whoever named the server for its address".to_owned()
            }
            Self::Clock { .. } => "set this machine's clock".to_owned(),
            _ => "check that this machine is online and the network is running, and try again".to_owned(),
        }
    }

    /// What kind of failure it is.
    pub const fn exit(&self) -> ExitClass {
        match self {
            Self::NoNetwork | Self::BadFile(_) => ExitClass::Usage,
            Self::Refused { .. } | Self::Clock { .. } | Self::Server { .. } => ExitClass::Failed,
            _ => ExitClass::Unreachable,
        }
    }
}
