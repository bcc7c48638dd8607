//! What a device keeps of a document between runs (config-and-groups 4.5), in the reference's format.
//!
//! One key is ours: `base`, behind all others, in the dump of a changed document. It holds what the
//! changes were made to, so that the draft is the same after a restart. Without it (dumps of other
//! programs) the changes become the version before, and every restart would use up a version number; five
//! of them, and what other devices changed meanwhile would count as forgotten.

use std::collections::BTreeSet;

use conclave_proto::bt::{self, BtError, DictReader, DictWriter, ListWriter};

use crate::data::Dict;
use crate::document::{Document, State};
use crate::message::{Message, ParseError};
use crate::parts::Parts;

const CLEAN: i64 = 0;
const DIRTY: i64 = 1;
const WAITING: i64 = 2;

const BASE: &str = "base";

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
        let (state, message, base) = match &self.state {
            State::Clean(message) => (CLEAN, message.clone(), None),
            State::Waiting(message) => (WAITING, message.clone(), None),
            // Nothing is signed for keeping.
            State::Dirty(draft) => (DIRTY, draft.finish(None), Some(&draft.base)),
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
        if let Some(base) = base {
            dump.bytes(BASE, base.encode());
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
        let base = dump.take_bytes(BASE)?.map(Dict::decode).transpose()?;
        self.state = match state {
            CLEAN => State::Clean(message),
            WAITING => State::Waiting(message),
            DIRTY => State::Dirty(Box::new(match base {
                Some(base) => message.into_draft(base),
                None => message.next(),
            })),
            _ => return Err(DumpError::State),
        };
        self.stored = stored;
        self.obsolete = obsolete;
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
