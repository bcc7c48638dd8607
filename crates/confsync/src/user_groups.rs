//! The groups and communities an account is in (config-and-groups 6.4).
//!
//! The document holds what gives access: the secret of groups one administers, the credentials of groups
//! one is a member of. They are handed out wiped on drop, and `Debug` does not show them.

use std::collections::BTreeSet;

use conclave_crypto::{AccountId, Ed25519Secret, IdPrefix, Zeroizing};
use conclave_proto::Timestamp;

use crate::data::{Dict, Scalar};
use crate::document::EditError;
use crate::fields::{Fields as _, MAX_NAME, Notify, Record, records_by_id, store, view};
use crate::kind::Kind;
use crate::servers::{self, canonical_room, canonical_server};

view! {
    /// The document of groups and communities.
    UserGroups of account: Kind::UserGroups
}

/// What there is to say about any conversation with several people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What is notified.
    pub notify: Notify,
    /// Until when nothing is notified.
    pub muted_until: Option<Timestamp>,
    /// Its place: negative is hidden, positive pinned, higher is further up.
    pub priority: i32,
    /// When it was joined.
    pub joined: Option<Timestamp>,
    /// An invitation that was not accepted yet.
    pub invited: bool,
}

/// How one gets at a group.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Not at all, not yet or not any more for an unknown reason.
    #[default]
    None,
    /// As an admin, who has the group's secret seed.
    Admin(Zeroizing<[u8; 32]>),
    /// As a member, with the 100 bytes an admin sent (config-and-groups 8).
    Member(Zeroizing<[u8; 100]>),
    /// One was removed.
    Kicked,
    /// The group is no more. Does not become [`Self::Kicked`] again.
    Destroyed,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How one gets at it.
    pub access: Access,
    /// Its name as last known: shown until the group itself was fetched.
    pub name: String,
    /// Notification, place, and so on.
    pub standing: Standing,
}

/// A room of a community.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Community {
    /// Base address of the server.
    pub server: String,
    /// The server's key, which holds for all its rooms.
    pub public_key: [u8; 32],
    /// The room's name, as people write it.
    pub room: String,
    /// Notification, place, and so on.
    pub standing: Standing,
}

/// A group of the old kind. Nobody can write to it any more; the data is kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LegacyGroup {
    /// Its name.
    pub name: String,
    /// Its encryption keys, public and secret.
    pub keys: Option<([u8; 32], Zeroizing<[u8; 32]>)>,
    /// Its members who are no admins.
    pub members: BTreeSet<AccountId>,
    /// Its admins.
    pub admins: BTreeSet<AccountId>,
    /// After how many seconds messages disappear; 0 is never.
    pub timer: u32,
    /// Notification, place, and so on.
    pub standing: Standing,
}

const GROUPS: &str = "g";
const COMMUNITIES: &str = "o";
const LEGACY_GROUPS: &str = "C";

impl UserGroups {
    /// A group.
    pub fn group(&self, id: &AccountId) -> Option<Group> {
        self.data().dict_at(&[GROUPS.as_bytes(), id.as_bytes()]).map(|record| Group::read(id, record))
    }

    /// All groups, by ascending id.
    pub fn groups(&self) -> impl Iterator<Item = (AccountId, Group)> {
        let groups = |prefix| prefix == IdPrefix::Group.to_byte();
        records_by_id(self, GROUPS, groups).map(|(id, record)| (id, Group::read(&id, record)))
    }

    /// Sets what is known of a group, which is added if need be. A group that is destroyed stays so, unless
    /// access is given again. Returns whether anything is different now.
    ///
    /// # Errors
    /// If the id is no group's, or the secret another group's; and [`EditError`].
    pub fn set_group(&mut self, id: &AccountId, group: &Group) -> Result<bool, EditError> {
        if id.prefix() != IdPrefix::Group {
            return Err(EditError::Invalid("the id is no group's"));
        }
        if let Access::Admin(seed) = &group.access
            && !is_secret_of(id, seed)
        {
            return Err(EditError::Invalid("the secret is another group's"));
        }
        let before = self.group(id);
        let mut group = group.clone();
        if group.access == Access::Kicked
            && before.as_ref().is_some_and(|before| before.access == Access::Destroyed)
        {
            group.access = Access::Destroyed;
        }
        // A secret that is not the group's reads as none, and has to go when the access is another.
        let path = [GROUPS.as_bytes(), id.as_bytes()];
        let mut changed = store(self, &path, before.as_ref(), &group)?;
        if matches!(group.access, Access::Kicked | Access::Destroyed) {
            changed |= self.put(&[path[0], path[1], b"s"], None)?;
            changed |= self.put(&[path[0], path[1], b"K"], Some(b"".as_slice().into()))?;
        }
        Ok(changed)
    }

    /// Changes a group, which is added if need be.
    ///
    /// # Errors
    /// As [`Self::set_group`].
    pub fn update_group(
        &mut self,
        id: &AccountId,
        change: impl FnOnce(&mut Group),
    ) -> Result<bool, EditError> {
        let mut group = self.group(id).unwrap_or_default();
        change(&mut group);
        self.set_group(id, &group)
    }

    /// Erases a group; whether there was one.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn remove_group(&mut self, id: &AccountId) -> Result<bool, EditError> {
        self.put(&[GROUPS.as_bytes(), id.as_bytes()], None)
    }

    /// A room, in any spelling of server and name.
    pub fn community(&self, server: &str, room: &str) -> Option<Community> {
        let (server, room) = (canonical_server(server).ok()?, canonical_room(room).ok()?);
        let table = self.data().dict_at(&[COMMUNITIES.as_bytes(), server.as_bytes()])?;
        let public_key = table.bytes(servers::PUBLIC_KEY)?.try_into().ok()?;
        let record = table.dict_at(&[servers::ROOMS, room.as_bytes()])?;
        Some(Community::read(&server, public_key, &room, record))
    }

    /// All rooms, by server and name.
    pub fn communities(&self) -> impl Iterator<Item = Community> {
        servers::rooms(self, COMMUNITIES)
            .map(|(server, public_key, room, record)| Community::read(server, public_key, room, record))
    }

    /// Adds or changes a room, and the key of its server for all rooms. Returns whether anything is different
    /// now.
    ///
    /// # Errors
    /// If server or room have no valid names; and [`EditError`].
    pub fn set_community(&mut self, community: &Community) -> Result<bool, EditError> {
        let (server, room) = (canonical_server(&community.server)?, canonical_room(&community.room)?);
        let before = self.community(&server, &room);
        let path = [COMMUNITIES.as_bytes(), server.as_bytes(), servers::ROOMS, room.as_bytes()];
        let stored = store(self, &path, before.as_ref(), community)?;
        let key = [COMMUNITIES.as_bytes(), server.as_bytes(), servers::PUBLIC_KEY];
        let keyed = self.put(&key, Some(community.public_key.as_slice().into()))?;
        Ok(stored || keyed)
    }

    /// Erases a room, and its server with the last one; whether there was one.
    ///
    /// # Errors
    /// If server or room have no valid names; and [`EditError`].
    pub fn remove_community(&mut self, server: &str, room: &str) -> Result<bool, EditError> {
        let (server, room) = (canonical_server(server)?, canonical_room(room)?);
        servers::remove(self, COMMUNITIES, &server, &room)
    }

    /// A group of the old kind.
    pub fn legacy_group(&self, id: &AccountId) -> Option<LegacyGroup> {
        self.data().dict_at(&[LEGACY_GROUPS.as_bytes(), id.as_bytes()]).map(LegacyGroup::read)
    }

    /// All groups of the old kind, by ascending id.
    pub fn legacy_groups(&self) -> impl Iterator<Item = (AccountId, LegacyGroup)> {
        let accounts = |prefix| prefix == IdPrefix::Account.to_byte();
        records_by_id(self, LEGACY_GROUPS, accounts).map(|(id, record)| (id, LegacyGroup::read(record)))
    }

    /// Sets what is known of a group of the old kind.
    ///
    /// # Errors
    /// If the id is of another kind; and [`EditError`].
    pub fn set_legacy_group(&mut self, id: &AccountId, group: &LegacyGroup) -> Result<bool, EditError> {
        if id.prefix() != IdPrefix::Account {
            return Err(EditError::Invalid("the id is of no group of the old kind"));
        }
        let before = self.legacy_group(id);
        store(self, &[LEGACY_GROUPS.as_bytes(), id.as_bytes()], before.as_ref(), group)
    }

    /// Erases a group of the old kind; whether there was one.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn remove_legacy_group(&mut self, id: &AccountId) -> Result<bool, EditError> {
        self.put(&[LEGACY_GROUPS.as_bytes(), id.as_bytes()], None)
    }
}

/// Whether a seed yields a group's public key.
fn is_secret_of(id: &AccountId, seed: &[u8; 32]) -> bool {
    Ed25519Secret::from_seed(seed).public().as_bytes() == id.key_bytes()
}

impl Standing {
    fn read(record: &Dict) -> Self {
        Self {
            notify: record.notify(),
            muted_until: record.time("!"),
            priority: record.priority(),
            joined: record.time("j"),
            invited: record.flag("i"),
        }
    }

    fn write(&self, record: &mut Dict) {
        record.put_notify(self.notify, true);
        record.put_time("!", self.muted_until);
        record.put_nonzero("+", self.priority.into());
        record.put_time("j", self.joined);
        record.put_flag("i", self.invited);
    }
}

impl Group {
    fn read(id: &AccountId, record: &Dict) -> Self {
        let seed =
            record.bytes("K").and_then(|seed| seed.try_into().ok()).filter(|seed| is_secret_of(id, seed));
        let member = record.bytes("s").and_then(|auth| auth.try_into().ok());
        let access = match (record.int("r"), seed, member) {
            (Some(2), ..) => Access::Destroyed,
            (Some(1), ..) => Access::Kicked,
            (_, Some(seed), _) => Access::Admin(Zeroizing::new(seed)),
            (_, None, Some(auth)) => Access::Member(Zeroizing::new(auth)),
            (_, None, None) => Access::None,
        };
        Self { access, name: record.name("n"), standing: Standing::read(record) }
    }
}

impl Record for Group {
    const ALWAYS: &'static [&'static str] = &["K"];

    fn write(&self) -> Dict {
        let mut record = Dict::new();
        match &self.access {
            Access::None => {}
            Access::Admin(seed) => record.insert("K", seed.as_slice()),
            Access::Member(auth) => record.insert("s", auth.as_slice()),
            Access::Kicked => record.insert("r", 1),
            Access::Destroyed => record.insert("r", 2),
        }
        record.put_text("n", &self.name, MAX_NAME);
        self.standing.write(&mut record);
        record
    }
}

impl Community {
    fn read(server: &str, public_key: [u8; 32], room: &str, record: &Dict) -> Self {
        // The name as people write it, if it is the same room.
        let written = record.words("n");
        let room = if written.eq_ignore_ascii_case(room) { written } else { room.to_owned() };
        Self { server: server.to_owned(), public_key, room, standing: Standing::read(record) }
    }
}

impl Record for Community {
    const ALWAYS: &'static [&'static str] = &["n"];

    fn write(&self) -> Dict {
        let mut record = Dict::new();
        record.insert("n", self.room.as_str());
        self.standing.write(&mut record);
        record
    }
}

impl LegacyGroup {
    fn read(record: &Dict) -> Self {
        let ids = |key| {
            let id = |scalar: &Scalar| match scalar {
                Scalar::Bytes(bytes) => AccountId::from_slice(bytes).ok(),
                Scalar::Int(_) => None,
            };
            record.set(key).into_iter().flatten().filter_map(id).collect()
        };
        let array = |key| record.bytes(key).and_then(|key| key.try_into().ok());
        Self {
            name: record.name("n"),
            keys: array("k").zip(array("K").map(Zeroizing::new)),
            members: ids("m"),
            admins: ids("a"),
            timer: record.seconds("E"),
            standing: Standing::read(record),
        }
    }
}

impl Record for LegacyGroup {
    const ALWAYS: &'static [&'static str] = &["n"];

    fn write(&self) -> Dict {
        let mut record = Dict::new();
        record.put_text("n", &self.name, MAX_NAME);
        if let Some((public, secret)) = &self.keys {
            record.insert("k", public.as_slice());
            record.insert("K", secret.as_slice());
        }
        for (key, ids) in [("m", &self.members), ("a", &self.admins)] {
            if !ids.is_empty() {
                let set: BTreeSet<Scalar> = ids.iter().map(|id| id.as_bytes().as_slice().into()).collect();
                record.insert(key, set);
            }
        }
        record.put_nonzero("E", self.timer.into());
        self.standing.write(&mut record);
        record
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Admin(_) => "Admin(hidden)",
            Self::Member(_) => "Member(hidden)",
            Self::Kicked => "Kicked",
            Self::Destroyed => "Destroyed",
        })
    }
}

impl std::fmt::Debug for LegacyGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LegacyGroup({} members, keys hidden)", self.members.len() + self.admins.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> UserGroups {
        UserGroups::new(&Ed25519Secret::from_seed(&[1; 32]))
    }

    fn own_group() -> (AccountId, Access) {
        let seed = [9; 32];
        let id = AccountId::of_group(&Ed25519Secret::from_seed(&seed).public());
        (id, Access::Admin(Zeroizing::new(seed)))
    }

    fn record(groups: &UserGroups, id: &AccountId) -> String {
        let record = groups.data().dict_at(&[b"g", id.as_bytes()]).unwrap();
        String::from_utf8_lossy(&record.encode()).into_owned()
    }

    #[test]
    fn whoever_is_removed_keeps_no_secret_and_a_group_that_is_no_more_stays_so() {
        let mut groups = groups();
        let (id, admin) = own_group();
        groups
            .set_group(&id, &Group { access: admin.clone(), name: "G".to_owned(), ..Group::default() })
            .unwrap();
        assert_eq!(groups.group(&id).unwrap().access, admin);
        groups.update_group(&id, |group| group.access = Access::Kicked).unwrap();
        assert_eq!(record(&groups, &id), "d1:K0:1:n1:G1:ri1ee");
        groups.update_group(&id, |group| group.access = Access::Destroyed).unwrap();
        groups.update_group(&id, |group| group.access = Access::Kicked).unwrap();
        assert_eq!(groups.group(&id).unwrap().access, Access::Destroyed);
        groups.update_group(&id, |group| group.access = Access::Member(Zeroizing::new([5; 100]))).unwrap();
        assert!(matches!(groups.group(&id).unwrap().access, Access::Member(_)), "invited again");
        assert!(!record(&groups, &id).contains("1:r"));
    }

    #[test]
    fn a_secret_of_another_group_is_neither_taken_nor_believed() {
        let mut groups = groups();
        let (id, _) = own_group();
        let wrong = Group { access: Access::Admin(Zeroizing::new([8; 32])), ..Group::default() };
        assert!(groups.set_group(&id, &wrong).is_err());
        groups.put(&[b"g", id.as_bytes(), b"K"], Some([8u8; 32].as_slice().into())).unwrap();
        assert_eq!(groups.group(&id).unwrap().access, Access::None);
        groups.put(&[b"g", id.as_bytes(), b"s"], Some([7u8; 100].as_slice().into())).unwrap();
        groups.update_group(&id, |group| group.access = Access::Kicked).unwrap();
        assert_eq!(record(&groups, &id), "d1:K0:1:ri1ee");
    }

    #[test]
    fn a_room_has_one_place_whatever_its_spelling_and_its_server_one_key() {
        let mut groups = groups();
        let room = |server: &str, room: &str, key| Community {
            server: server.to_owned(),
            public_key: [key; 32],
            room: room.to_owned(),
            standing: Standing::default(),
        };
        groups.set_community(&room("HTTP://Example.org:80", "Chat", 1)).unwrap();
        groups.set_community(&room("http://example.org", "Other", 2)).unwrap();
        let all: Vec<_> = groups.communities().collect();
        assert_eq!(all, [room("http://example.org", "Chat", 2), room("http://example.org", "Other", 2)]);
        assert_eq!(groups.community("http://EXAMPLE.org/", "CHAT"), Some(all[0].clone()));
        groups.remove_community("http://example.org", "chat").unwrap();
        groups.remove_community("http://example.org", "other").unwrap();
        assert!(groups.data().is_empty());
        assert!(groups.set_community(&room("ftp://example.org", "Chat", 1)).is_err());
        assert!(groups.set_community(&room("http://example.org", "no room", 1)).is_err());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let (_, admin) = own_group();
        let group = Group { access: admin, ..Group::default() };
        let legacy = LegacyGroup { keys: Some(([9; 32], Zeroizing::new([9; 32]))), ..LegacyGroup::default() };
        for text in [format!("{group:?}"), format!("{legacy:?}"), format!("{:?}", groups())] {
            assert!(!text.contains("9, 9") && !text.contains("0909"), "{text}");
        }
    }
}
