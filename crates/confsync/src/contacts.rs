//! Whom an account knows (config-and-groups 6.2).
//!
//! A contact that is removed is erased: there is no record that says so, and a message that was sent
//! before must not bring it back (client-messages 7.3). That is for whoever receives messages to see to.

use std::collections::BTreeSet;

use conclave_crypto::{AccountId, IdPrefix};
use conclave_proto::Timestamp;
use conclave_proto::content::Expiration;

use crate::data::Dict;
use crate::document::EditError;
use crate::fields::{
    Fields as _, MAX_NAME, Notify, Picture, Record, check_picture, records_by_id, store, view,
};
use crate::kind::Kind;
use crate::servers::{self, canonical_server};

view! {
    /// The contacts document.
    Contacts of account: Kind::Contacts
}

/// What is known of a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The name they gave themselves.
    pub name: String,
    /// The name we gave them; empty for none.
    pub nickname: String,
    /// Their picture.
    pub picture: Option<Picture>,
    /// We want messages from them.
    pub approved: bool,
    /// They want messages from us.
    pub approved_me: bool,
    /// We want nothing from them.
    pub blocked: bool,
    /// What is notified.
    pub notify: Notify,
    /// Until when nothing is notified.
    pub muted_until: Option<Timestamp>,
    /// The conversation's place: negative is hidden, positive pinned, higher is further up.
    pub priority: i32,
    /// How messages disappear.
    pub expiration: Expiration,
    /// When the contact was made.
    pub created: Option<Timestamp>,
    /// When they set name and picture; what is older than this is not taken over.
    pub profile_updated: Option<Timestamp>,
    /// Numbers of their profile's features.
    pub features: BTreeSet<i64>,
}

/// Somebody known from a community only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlindedContact {
    /// The name they gave themselves.
    pub name: String,
    /// Their picture.
    pub picture: Option<Picture>,
    /// When they set name and picture.
    pub profile_updated: Option<Timestamp>,
    /// The conversation's place.
    pub priority: i32,
    /// When the contact was made.
    pub created: Option<Timestamp>,
    /// Numbers of their profile's features.
    pub features: BTreeSet<i64>,
}

const CONTACTS: &str = "c";
const BLINDED: &str = "b";

impl Contacts {
    /// A contact.
    pub fn contact(&self, id: &AccountId) -> Option<Contact> {
        self.data().dict_at(&[CONTACTS.as_bytes(), id.as_bytes()]).map(Contact::read)
    }

    /// All contacts, by ascending id.
    pub fn contacts(&self) -> impl Iterator<Item = (AccountId, Contact)> {
        let accounts = |prefix| prefix == IdPrefix::Account.to_byte();
        records_by_id(self, CONTACTS, accounts).map(|(id, record)| (id, Contact::read(record)))
    }

    /// Sets what is known of a contact, who is added if need be. Names are cut to [`MAX_NAME`] bytes.
    /// Returns whether anything is different now.
    ///
    /// # Errors
    /// If the id is no account's or a picture's address is too long; and [`EditError`].
    pub fn set_contact(&mut self, id: &AccountId, contact: &Contact) -> Result<bool, EditError> {
        if id.prefix() != IdPrefix::Account {
            return Err(EditError::Invalid("only accounts can be contacts"));
        }
        check_picture(contact.picture.as_ref())?;
        let before = self.contact(id);
        store(self, &[CONTACTS.as_bytes(), id.as_bytes()], before.as_ref(), contact)
    }

    /// Changes a contact, who is added if need be.
    ///
    /// # Errors
    /// As [`Self::set_contact`].
    pub fn update_contact(
        &mut self,
        id: &AccountId,
        change: impl FnOnce(&mut Contact),
    ) -> Result<bool, EditError> {
        let mut contact = self.contact(id).unwrap_or_default();
        change(&mut contact);
        self.set_contact(id, &contact)
    }

    /// Erases a contact; whether there was one.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn remove_contact(&mut self, id: &AccountId) -> Result<bool, EditError> {
        self.put(&[CONTACTS.as_bytes(), id.as_bytes()], None)
    }

    /// Somebody known from a community, by the community's server and their blinded id there.
    pub fn blinded_contact(&self, server: &str, id: &AccountId) -> Option<BlindedContact> {
        let server = canonical_server(server).ok()?;
        let key = hex::encode(id.key_bytes());
        let record =
            self.data().dict_at(&[BLINDED.as_bytes(), server.as_bytes(), servers::ROOMS, key.as_bytes()])?;
        (legacy(record) == (id.prefix() == IdPrefix::Blinded15)).then(|| BlindedContact::read(record))
    }

    /// All of them: the server, its public key, the blinded id, and what is known.
    pub fn blinded_contacts(&self) -> impl Iterator<Item = (String, [u8; 32], AccountId, BlindedContact)> {
        servers::rooms(self, BLINDED).filter_map(|(server, public_key, key, record)| {
            let prefix = if legacy(record) { IdPrefix::Blinded15 } else { IdPrefix::Blinded25 };
            let id = AccountId::new(prefix, &hex::decode(key).ok()?.try_into().ok()?);
            Some((server.to_owned(), public_key, id, BlindedContact::read(record)))
        })
    }

    /// Sets what is known of somebody from a community.
    ///
    /// # Errors
    /// If the server has no valid address, or the id is not blinded; and [`EditError`].
    pub fn set_blinded_contact(
        &mut self,
        server: &str,
        public_key: &[u8; 32],
        id: &AccountId,
        contact: &BlindedContact,
    ) -> Result<bool, EditError> {
        let is_legacy = match id.prefix() {
            IdPrefix::Blinded15 => true,
            IdPrefix::Blinded25 => false,
            _ => return Err(EditError::Invalid("the id is not blinded")),
        };
        check_picture(contact.picture.as_ref())?;
        let server = canonical_server(server)?;
        let before = self.blinded_contact(&server, id);
        let key = hex::encode(id.key_bytes());
        let path = [BLINDED.as_bytes(), server.as_bytes(), servers::ROOMS, key.as_bytes()];
        let stored = store(self, &path, before.as_ref(), contact)?;
        let [top, server, rooms, key] = path;
        let marked = self.put(&[top, server, rooms, key, b"y"], is_legacy.then(|| 1.into()))?;
        let keyed = self.put(&[top, server, servers::PUBLIC_KEY], Some(public_key.as_slice().into()))?;
        Ok(stored || marked || keyed)
    }

    /// Erases somebody from a community; whether there was somebody.
    ///
    /// # Errors
    /// If the server has no valid address; and [`EditError`].
    pub fn remove_blinded_contact(&mut self, server: &str, id: &AccountId) -> Result<bool, EditError> {
        let server = canonical_server(server)?;
        servers::remove(self, BLINDED, &server, &hex::encode(id.key_bytes()))
    }
}

/// Whether an id is of the older blinding.
fn legacy(record: &Dict) -> bool {
    record.flag("y")
}

impl Contact {
    /// The name to show: the one we gave, or theirs.
    pub fn display_name(&self) -> &str {
        if self.nickname.is_empty() { &self.name } else { &self.nickname }
    }

    fn read(record: &Dict) -> Self {
        Self {
            name: record.name("n"),
            nickname: record.name("N"),
            picture: record.picture("p", "q"),
            approved: record.flag("a"),
            approved_me: record.flag("A"),
            blocked: record.flag("b"),
            notify: record.notify(),
            muted_until: record.time("!"),
            priority: record.priority(),
            expiration: record.expiration(),
            created: record.time("j"),
            profile_updated: record.time("t"),
            features: record.numbers("f"),
        }
    }
}

impl Record for Contact {
    const ALWAYS: &'static [&'static str] = &["n"];

    fn write(&self) -> Dict {
        let mut record = Dict::new();
        record.put_text("n", &self.name, MAX_NAME);
        record.put_text("N", &self.nickname, MAX_NAME);
        record.put_picture("p", "q", self.picture.as_ref());
        record.put_flag("a", self.approved);
        record.put_flag("A", self.approved_me);
        record.put_flag("b", self.blocked);
        record.put_notify(self.notify, false);
        record.put_time("!", self.muted_until);
        record.put_nonzero("+", self.priority.into());
        record.put_expiration(self.expiration);
        record.put_time("j", self.created);
        record.put_time("t", self.profile_updated);
        record.put_numbers("f", &self.features);
        record
    }
}

impl BlindedContact {
    fn read(record: &Dict) -> Self {
        Self {
            name: record.name("n"),
            picture: record.picture("p", "q"),
            profile_updated: record.time("t"),
            priority: record.priority(),
            created: record.time("j"),
            features: record.numbers("f"),
        }
    }
}

impl Record for BlindedContact {
    const ALWAYS: &'static [&'static str] = &["n"];

    fn write(&self) -> Dict {
        let mut record = Dict::new();
        record.put_text("n", &self.name, MAX_NAME);
        record.put_picture("p", "q", self.picture.as_ref());
        record.put_time("t", self.profile_updated);
        record.put_nonzero("+", self.priority.into());
        record.put_time("j", self.created);
        record.put_numbers("f", &self.features);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_crypto::Ed25519Secret;

    fn contacts() -> Contacts {
        Contacts::new(&Ed25519Secret::from_seed(&[1; 32]))
    }

    fn id(n: u8) -> AccountId {
        AccountId::new(IdPrefix::Account, &[n; 32])
    }

    #[test]
    fn a_contact_without_anything_is_still_a_contact() {
        let mut contacts = contacts();
        assert!(contacts.set_contact(&id(1), &Contact::default()).unwrap());
        assert!(!contacts.set_contact(&id(1), &Contact::default()).unwrap());
        assert_eq!(contacts.contact(&id(1)), Some(Contact::default()));
        assert!(contacts.remove_contact(&id(1)).unwrap());
        assert!(contacts.data().is_empty());
    }

    #[test]
    fn changing_one_field_leaves_the_others_and_those_of_newer_programs_as_they_are() {
        let mut contacts = contacts();
        let record = Dict::decode(b"d1:@i3e1:Zd1:xi1ee1:ai7e1:ji1700000000123e1:n3:Bobe").unwrap();
        contacts.put(&[b"c", id(1).as_bytes()], Some(record.into())).unwrap();
        contacts.update_contact(&id(1), |contact| contact.nickname = "Bobby".to_owned()).unwrap();
        let record = contacts.data().dict_at(&[b"c", id(1).as_bytes()]).unwrap().encode();
        let expected = b"d1:@i3e1:N5:Bobby1:Zd1:xi1ee1:ai7e1:ji1700000000123e1:n3:Bobe";
        assert_eq!(String::from_utf8_lossy(&record), String::from_utf8_lossy(expected));
        assert_eq!(contacts.contact(&id(1)).unwrap().display_name(), "Bobby");
    }

    #[test]
    fn people_from_communities_are_kept_by_server() {
        let mut contacts = contacts();
        let blinded = |prefix| AccountId::new(prefix, &[9; 32]);
        let known = BlindedContact { name: "X".to_owned(), priority: 1, ..BlindedContact::default() };
        for prefix in [IdPrefix::Blinded15, IdPrefix::Blinded25] {
            contacts
                .set_blinded_contact("HTTPS://Example.org:443", &[5; 32], &blinded(prefix), &known)
                .unwrap();
            assert_eq!(
                contacts.blinded_contact("https://example.org", &blinded(prefix)),
                Some(known.clone())
            );
            let all: Vec<_> = contacts.blinded_contacts().collect();
            assert_eq!(all, [("https://example.org".to_owned(), [5; 32], blinded(prefix), known.clone())]);
        }
        assert_eq!(contacts.blinded_contact("https://example.org", &blinded(IdPrefix::Blinded15)), None);
        contacts.remove_blinded_contact("https://example.org", &blinded(IdPrefix::Blinded25)).unwrap();
        assert!(contacts.data().is_empty(), "the server went with its last contact");
        assert!(contacts.set_blinded_contact("https://example.org", &[5; 32], &id(1), &known).is_err());
    }
}
