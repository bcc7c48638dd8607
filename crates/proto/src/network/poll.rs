//! How nodes tell each other of newer directories: each says which height it has, and the other answers with its own and,
//! if that is greater, with the directory (docs/protocol/network). One exchange serves to ask and to announce.

use super::{DirectoryRejected, SignedDirectory};
use crate::bt::{BtError, DictReader, DictWriter};

/// The command between nodes.
pub const DIRECTORY_COMMAND: &str = "conclave_directory";

/// Why a message about directories cannot be read. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPoll {
    /// Not the bt it should be.
    #[error("{0}")]
    Bt(#[from] BtError),
    /// The directory in it is none.
    #[error("{0}")]
    Directory(#[from] DirectoryRejected),
}

/// "I have the directory of this height."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryPoll {
    /// The sender's height.
    pub height: u64,
}

impl DirectoryPoll {
    /// As a bt dictionary.
    pub fn encode(self) -> Vec<u8> {
        DictWriter::new().int("height", self.height).finish()
    }

    /// Reads a bt dictionary.
    ///
    /// # Errors
    /// If it is none, or names no height.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidPoll> {
        Ok(Self { height: height(&mut DictReader::new(bytes)?)? })
    }
}

/// The answer to a [`DirectoryPoll`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPollAnswer {
    /// What the answerer claims to have.
    pub height: u64,
    /// Its directory, if that is newer. Not yet verified.
    pub newer: Option<SignedDirectory>,
}

impl DirectoryPollAnswer {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        let mut dict = DictWriter::new();
        if let Some(newer) = &self.newer {
            dict.bytes("directory", newer.to_json());
        }
        dict.int("height", self.height).finish()
    }

    /// Reads a bt dictionary.
    ///
    /// # Errors
    /// If it is none, names no height, or what it holds is no directory.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidPoll> {
        let mut dict = DictReader::new(bytes)?;
        let newer = dict.take_bytes("directory")?.map(SignedDirectory::from_json).transpose()?;
        Ok(Self { height: height(&mut dict)?, newer })
    }
}

fn height(dict: &mut DictReader<'_>) -> Result<u64, BtError> {
    dict.take_u64("height")?.ok_or_else(|| BtError::Missing("height".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_and_its_answers_come_back_as_they_were() {
        for height in [0, 7, u64::MAX] {
            let poll = DirectoryPoll { height };
            assert_eq!(DirectoryPoll::decode(&poll.encode()), Ok(poll));
        }
        let directory = br#"{"payload": "{}", "signature": "AA=="}"#;
        for newer in [None, Some(SignedDirectory::from_json(directory).unwrap())] {
            let answer = DirectoryPollAnswer { height: 8, newer };
            assert_eq!(DirectoryPollAnswer::decode(&answer.encode()), Ok(answer));
        }
    }

    #[test]
    fn what_is_no_poll_is_refused() {
        for bytes in ["", "de", "d6:heighti-1ee", "d6:height1:7e", "i7e", "d9:directory2:[]6:heighti7ee"] {
            assert!(DirectoryPollAnswer::decode(bytes.as_bytes()).is_err(), "{bytes}");
        }
        assert!(DirectoryPoll::decode(b"de").is_err());
    }
}
