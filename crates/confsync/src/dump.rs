//! What a device keeps of a document between runs (config-and-groups 4.5), in the reference's format.
//!
//! Two keys are ours, behind all others. In the dump of a changed document, `on` holds the version that was changed, so that
//! the draft is the same after a restart. Without it (dumps of other programs) the changes become the version before, and every
//! restart would use up a version number; five of them, and what other devices changed meanwhile would count as forgotten.
//! `own` names the first version with our changes that is not known to have arrived, unless that is the one that waits:
//! number (8 bytes, big-endian), hash; nothing if there is none.

use std::collections::BTreeSet;

use conclave_proto::bt::{self, BtError, DictReader, DictWriter, ListWriter};

use crate::document::{Document, State};
use crate::message::{Message, ParseError, Version};
use crate::parts::Parts;

const CLEAN: i64 = 0;
const DIRTY: i64 = 1;
const WAITING: i64 = 2;

const ON: &str = "on";
const OWN: &str = "own";

/// Why a dump cannot be loaded: the profile is damaged, or of a newer program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// Not a dump.
    #[error("the kept config document is malformed: {0}")]
    Malformed(#[from] BtError),
    /// The message in it is none.
    #[error("the kept config document is damaged: {0}")]
    Message(#[from] ParseError),
    /// A state nobody knows.
    #[error("the kept config document is in an unknown state")]
    State,
}

impl Document {
    /// What to keep; all that loading needs except the keys.
    pub fn dump(&mut self) -> Vec<u8> {
        self.mark_dumped();
        let (state, message, on) = match &self.state {
            State::Clean(message) => (CLEAN, message.clone(), None),
            State::Waiting(message) => (WAITING, message.clone(), None),
            // Nothing is signed for keeping.
            State::Dirty(changed) => (DIRTY, changed.1.finish(None), Some(&changed.0)),
        };
        let mut dump = DictWriter::new();
        dump.int("!", state)
            .bytes("$", message.as_bytes())
            .list("(", list_of(self.stored.iter()))
            .list(")", list_of(self.obsolete.union(&self.handed_out)))
            .value("+", &self.extra);
        if !self.parts.is_empty() {
            dump.dict("*", self.parts.encode());
        }
        if let Some(on) = on {
            dump.bytes(ON, on.as_bytes());
        }
        // Of one that waits it is that one, if nothing is said.
        let implied = (state == WAITING).then(|| message.version());
        if self.unconfirmed != implied {
            let own = self.unconfirmed.map(|own| [&own.seqno.to_be_bytes()[..], &own.hash].concat());
            dump.bytes(OWN, own.unwrap_or_default());
        }
        dump.finish()
    }

    /// Becomes what was dumped. The dump is trusted: signatures are not checked again.
    pub(crate) fn load_dump(&mut self, dump: &[u8]) -> Result<(), DumpError> {
        let mut dump = DictReader::new(dump)?;
        let missing = |key: &str| BtError::Missing(key.to_owned());
        let state = dump.take_i64("!")?.ok_or_else(|| missing("!"))?;
        let message = Message::parse(dump.take_bytes("$")?.ok_or_else(|| missing("$"))?, None)?;
        let stored = hashes(dump.take_value("(")?);
        let obsolete = hashes(dump.take_value(")")?);
        let parts = match dump.take_dict("*")? {
            Some(parts) => Parts::decode(parts)?,
            None => Parts::default(),
        };
        let extra = dump.take_value("+")?.filter(|extra| extra.as_dict().is_some());
        let on = dump.take_bytes(ON)?.map(|on| Message::parse(on, None)).transpose()?;
        let unconfirmed = match dump.take_bytes(OWN)? {
            Some(own) => own.split_first_chunk().and_then(|(seqno, hash)| {
                Some(Version { seqno: i64::from_be_bytes(*seqno), hash: hash.try_into().ok()? })
            }),
            None => (state == WAITING).then(|| message.version()),
        };
        self.state = match state {
            CLEAN => State::Clean(message),
            WAITING => State::Waiting(message),
            DIRTY => State::Dirty(Box::new(match on {
                Some(on) => {
                    let mut draft = on.next();
                    *draft.data_mut() = message.data().clone();
                    (on, draft)
                }
                None => {
                    let draft = message.next();
                    (message, draft)
                }
            })),
            _ => return Err(DumpError::State),
        };
        self.stored = stored;
        self.obsolete = obsolete;
        self.unconfirmed = unconfirmed;
        self.parts = parts;
        self.extra = extra.unwrap_or_else(|| bt::Value::Dict(Default::default()));
        self.mark_dumped();
        Ok(())
    }
}

fn list_of<'h>(hashes: impl Iterator<Item = &'h String>) -> ListWriter {
    let mut list = ListWriter::new();
    for hash in hashes {
        list.bytes(hash);
    }
    list
}

/// Hashes as a list, or one as a string, which is empty if there is none (older dumps).
fn hashes(value: Option<bt::Value>) -> BTreeSet<String> {
    let one = |value: &bt::Value| value.as_text().filter(|hash| !hash.is_empty()).map(str::to_owned);
    match value {
        Some(bt::Value::List(list)) => list.iter().filter_map(one).collect(),
        Some(value) => one(&value).into_iter().collect(),
        None => BTreeSet::new(),
    }
}
