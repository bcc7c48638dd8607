//! How far each conversation has been read (config-and-groups 6.3; `ConvoInfoVolatile`).
//!
//! Here and nowhere else times are in milliseconds, since they are those of messages. What lies long back
//! is forgotten: it is neither written nor kept, and whoever looks takes the missing position for *all
//! read*.

use std::time::Duration;

use conclave_crypto::{AccountId, IdPrefix};
use conclave_proto::Timestamp;

use crate::data::{Dict, Value};
use crate::document::{Document, EditError};
use crate::fields::{Fields as _, Record, records_by_id, store, view};
use crate::kind::Kind;
use crate::servers::{self, canonical_room, canonical_server};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Positions older than this are not written.
const WRITE_WITHIN: Duration = DAY.saturating_mul(30);

/// Positions older than this are taken away before a push. Later than they are written, so that devices
/// whose clocks differ do not undo each other.
const KEEP_WITHIN: Duration = DAY.saturating_mul(45);

/// Milliseconds; smaller numbers are seconds (the unit changed between programs).
const EARLIEST_MILLIS: i64 = 1_000_000_000_000;

view! {
    /// The document of read positions.
    Conversations of account: Kind::Conversations
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationId {
    /// With an account.
    Account(AccountId),
    /// With somebody known from a community.
    Blinded(AccountId),
    /// A group.
    Group(AccountId),
    /// A group of the old kind.
    LegacyGroup(AccountId),
    /// A room of a community.
    Community {
        /// Base address of the server, in any spelling.
        server: String,
        /// The room's name, in any case.
        room: String,
    },
}

/// How far a conversation has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadState {
    /// The newest message that was read, by its sent time; 0 if none is remembered.
    pub last_read: Timestamp,
    /// It was marked as unread by hand.
    pub unread: bool,
}

const ACCOUNTS: &str = "1";
const BLINDED: &str = "b";
const GROUPS: &str = "g";
const LEGACY_GROUPS: &str = "C";
const COMMUNITIES: &str = "o";

impl Conversations {
    /// How far a conversation has been read; nothing if nothing is remembered.
    pub fn read_state(&self, conversation: &ConversationId) -> Option<ReadState> {
        let path = path_of(conversation).ok()?;
        self.data().dict_at(&slices(&path)).map(ReadState::read)
    }

    /// All that are remembered.
    pub fn read_states(&self) -> impl Iterator<Item = (ConversationId, ReadState)> {
        /// A table, what its ids are, and which of them belong there.
        type Table = (&'static str, fn(AccountId) -> ConversationId, fn(u8) -> bool);
        let tables: [Table; 4] = [
            (ACCOUNTS, ConversationId::Account, |prefix| prefix == 0x05),
            (BLINDED, ConversationId::Blinded, |prefix| matches!(prefix, 0x15 | 0x25)),
            (GROUPS, ConversationId::Group, |prefix| prefix == 0x03),
            (LEGACY_GROUPS, ConversationId::LegacyGroup, |prefix| prefix == 0x05),
        ];
        let by_id = tables.into_iter().flat_map(|(key, make, prefix)| {
            records_by_id(self, key, prefix).map(move |(id, record)| (make(id), ReadState::read(record)))
        });
        let by_room = servers::rooms(self, COMMUNITIES).map(|(server, _, room, record)| {
            let id = ConversationId::Community { server: server.to_owned(), room: room.to_owned() };
            (id, ReadState::read(record))
        });
        by_id.chain(by_room)
    }

    /// Everything up to a message was read here: the position moves forward, never back, and a mark by hand
    /// goes. Returns whether anything is different now.
    ///
    /// # Errors
    /// As [`Self::set_read_state`].
    pub fn mark_read(
        &mut self,
        conversation: &ConversationId,
        up_to: Timestamp,
        now: Timestamp,
    ) -> Result<bool, EditError> {
        let last_read = self.read_state(conversation).unwrap_or_default().last_read.max(up_to);
        self.set_read_state(conversation, ReadState { last_read, unread: false }, now)
    }

    /// Marks a conversation as unread, or takes the mark away.
    ///
    /// # Errors
    /// As [`Self::set_read_state`].
    pub fn set_unread(
        &mut self,
        conversation: &ConversationId,
        unread: bool,
        now: Timestamp,
    ) -> Result<bool, EditError> {
        let last_read = self.read_state(conversation).unwrap_or_default().last_read;
        self.set_read_state(conversation, ReadState { last_read, unread }, now)
    }

    /// Sets how far a conversation has been read. A position of more than 30 days ago is not written, unless
    /// it takes back one that is there. Of a community, [`Self::set_server_key`] comes first.
    ///
    /// # Errors
    /// If the conversation's id or address is of another kind; and [`EditError`].
    pub fn set_read_state(
        &mut self,
        conversation: &ConversationId,
        state: ReadState,
        now: Timestamp,
    ) -> Result<bool, EditError> {
        let path = path_of(conversation)?;
        let before = self.data().dict_at(&slices(&path)).map(ReadState::read);
        let stored = before.unwrap_or_default().last_read;
        let written = state.last_read > now.minus(WRITE_WITHIN) || state.last_read < stored;
        let state = ReadState { last_read: if written { state.last_read } else { stored }, ..state };
        let mut changed = store(self, &slices(&path), before.as_ref(), &state)?;
        if matches!(conversation, ConversationId::Blinded(id) if id.prefix() == IdPrefix::Blinded15)
            && self.data().at(&slices(&path)).is_some()
        {
            let mut flag = slices(&path);
            flag.push(b"y");
            changed |= self.put(&flag, Some(1.into()))?;
        }
        Ok(changed)
    }

    /// The public key of a community's server. A room without it is not found.
    ///
    /// # Errors
    /// If the address is not valid; and [`EditError`].
    pub fn set_server_key(&mut self, server: &str, public_key: &[u8; 32]) -> Result<bool, EditError> {
        let server = canonical_server(server)?;
        let path = [COMMUNITIES.as_bytes(), server.as_bytes(), servers::PUBLIC_KEY];
        self.put(&path, Some(public_key.as_slice().into()))
    }

    /// Forgets a conversation; whether it was remembered.
    ///
    /// # Errors
    /// As [`Self::set_read_state`].
    pub fn remove(&mut self, conversation: &ConversationId) -> Result<bool, EditError> {
        match conversation {
            ConversationId::Community { server, room } => {
                let (server, room) = (canonical_server(server)?, canonical_room(room)?);
                servers::remove(self, COMMUNITIES, &server, &room)
            }
            by_id => {
                let path = path_of(by_id)?;
                self.put(&slices(&path), None)
            }
        }
    }
}

/// Takes away positions that lie long back: not those marked by hand, and not those that carry a proof of
/// the other side which is still valid.
pub(crate) fn forget_old(document: &mut Document, now: Timestamp) {
    let before = millis(now.minus(KEEP_WITHIN));
    let now = millis(now);
    let old = |record: &Dict, with_proof: bool| {
        let proof =
            record.int("e").map_or(0, |at| if at > EARLIEST_MILLIS { at } else { at.saturating_mul(1000) });
        record.int("r").is_some_and(|at| at < before) && !record.flag("u") && !(with_proof && proof > now)
    };
    let mut forgotten: Vec<Vec<Vec<u8>>> = Vec::new();
    for (table, with_proof) in [(ACCOUNTS, true), (BLINDED, true), (GROUPS, false), (LEGACY_GROUPS, false)] {
        for (key, value) in document.data().dict(table).into_iter().flat_map(Dict::iter) {
            if matches!(value, Value::Dict(record) if old(record, with_proof)) {
                forgotten.push(vec![table.into(), key.into()]);
            }
        }
    }
    let rooms: Vec<(String, String)> = servers::rooms(document, COMMUNITIES)
        .filter(|(_, _, _, record)| old(record, false))
        .map(|(server, _, room, _)| (server.to_owned(), room.to_owned()))
        .collect();
    // Account documents are never read-only; out of numbers, old positions just stay.
    for path in forgotten {
        let _ = document.put(&slices(&path), None);
    }
    for (server, room) in rooms {
        let _ = servers::remove(document, COMMUNITIES, &server, &room);
    }
}

fn path_of(conversation: &ConversationId) -> Result<Vec<Vec<u8>>, EditError> {
    let (table, id, fits) = match conversation {
        ConversationId::Community { server, room } => {
            let (server, room) = (canonical_server(server)?, canonical_room(room)?);
            return Ok(vec![COMMUNITIES.into(), server.into(), servers::ROOMS.into(), room.into()]);
        }
        ConversationId::Account(id) => (ACCOUNTS, id, id.prefix() == IdPrefix::Account),
        ConversationId::Blinded(id) => {
            (BLINDED, id, matches!(id.prefix(), IdPrefix::Blinded15 | IdPrefix::Blinded25))
        }
        ConversationId::Group(id) => (GROUPS, id, id.prefix() == IdPrefix::Group),
        ConversationId::LegacyGroup(id) => (LEGACY_GROUPS, id, id.prefix() == IdPrefix::Account),
    };
    if fits {
        Ok(vec![table.into(), id.as_bytes().to_vec()])
    } else {
        Err(EditError::Invalid("the id is not of this kind of conversation"))
    }
}

fn slices(path: &[Vec<u8>]) -> Vec<&[u8]> {
    path.iter().map(Vec::as_slice).collect()
}

fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl ReadState {
    fn read(record: &Dict) -> Self {
        let last_read = record.int("r").and_then(|at| u64::try_from(at).ok()).unwrap_or_default();
        Self { last_read: Timestamp(last_read), unread: record.flag("u") }
    }
}

impl Record for ReadState {
    fn write(&self) -> Dict {
        let mut record = Dict::new();
        record.put_nonzero("r", millis(self.last_read));
        record.put_flag("u", self.unread);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_crypto::Ed25519Secret;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn conversations() -> Conversations {
        Conversations::new(&Ed25519Secret::from_seed(&[1; 32]))
    }

    fn account(n: u8) -> ConversationId {
        ConversationId::Account(AccountId::new(IdPrefix::Account, &[n; 32]))
    }

    fn room() -> ConversationId {
        ConversationId::Community { server: "https://Example.org/".to_owned(), room: "Room".to_owned() }
    }

    fn ago(days: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(days * 86_400))
    }

    #[test]
    fn reading_moves_forward_and_only_a_deliberate_step_goes_back() {
        let mut all = conversations();
        assert!(all.mark_read(&account(1), ago(1), NOW).unwrap());
        assert!(!all.mark_read(&account(1), ago(2), NOW).unwrap());
        assert_eq!(all.read_state(&account(1)).unwrap().last_read, ago(1));
        all.set_read_state(&account(1), ReadState { last_read: ago(40), unread: true }, NOW).unwrap();
        assert_eq!(all.read_state(&account(1)), Some(ReadState { last_read: ago(40), unread: true }));
        assert!(all.mark_read(&account(1), ago(0), NOW).unwrap(), "reading takes the mark away");
        assert_eq!(all.read_state(&account(1)), Some(ReadState { last_read: NOW, unread: false }));
    }

    #[test]
    fn what_lies_long_back_is_neither_written_nor_kept() {
        let mut all = conversations();
        assert!(!all.mark_read(&account(1), ago(31), NOW).unwrap());
        assert!(!all.needs_push());
        all.set_server_key("https://example.org", &[3; 32]).unwrap();
        all.mark_read(&account(2), ago(1), NOW).unwrap();
        all.mark_read(&room(), ago(1), NOW).unwrap();
        all.set_read_state(&account(3), ReadState { last_read: ago(1), unread: true }, NOW).unwrap();
        let seqno = all.push(NOW).unwrap().seqno;
        all.confirm_pushed(seqno, ["h1"]);
        // The same again, until the first positions are too old.
        assert_eq!(all.push(NOW.plus(DAY.saturating_mul(44))).unwrap().seqno, seqno);
        let later = all.push(NOW.plus(DAY.saturating_mul(46))).unwrap();
        assert_eq!((later.seqno, later.obsolete.as_slice()), (seqno + 1, &["h1".to_owned()][..]));
        let kept: Vec<_> = all.read_states().collect();
        assert_eq!(kept, [(account(3), ReadState { last_read: ago(1), unread: true })]);
    }

    #[test]
    fn rooms_are_found_in_every_spelling() {
        let mut all = conversations();
        all.set_server_key("HTTPS://example.org:443", &[3; 32]).unwrap();
        all.mark_read(&room(), NOW, NOW).unwrap();
        let other =
            ConversationId::Community { server: "https://EXAMPLE.org".to_owned(), room: "ROOM".to_owned() };
        assert_eq!(all.read_state(&other).unwrap().last_read, NOW);
        assert!(all.remove(&other).unwrap());
        assert!(all.data().is_empty());
    }

    #[test]
    fn ids_belong_to_their_kind_of_conversation() {
        let mut all = conversations();
        let group = AccountId::new(IdPrefix::Group, &[1; 32]);
        assert!(all.mark_read(&ConversationId::Account(group), NOW, NOW).is_err());
        assert!(all.mark_read(&ConversationId::Group(group), NOW, NOW).unwrap());
        let blinded = ConversationId::Blinded(AccountId::new(IdPrefix::Blinded15, &[1; 32]));
        assert!(all.mark_read(&blinded, NOW, NOW).unwrap());
        assert_eq!(all.data().at(&[b"b", &[&[0x15][..], &[1; 32]].concat(), b"y"]), Some(&1.into()));
        assert_eq!(all.read_states().count(), 2);
    }
}
