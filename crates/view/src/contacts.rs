//! The people one writes with, and those one wants nothing from.

use std::sync::Arc;

use conclave_client::types::{ContactInfo, Event};
use conclave_client::{Account, Error};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::chats::NoAct;
use crate::live::{self, Heard, Opened, Screen};
use crate::sdk;

/// What the list of contacts shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Contacts {
    /// The rows are what the database holds; not so before it was read, and while the profile is locked.
    pub loaded: bool,
    /// By what one calls them; those without a name last, blocked ones after all others.
    pub rows: Vec<ContactRow>,
}

/// Somebody known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ContactRow {
    /// The account id.
    pub key: String,
    /// What is known of them.
    #[serde(flatten)]
    pub contact: ContactInfo,
}

/// Opens the list of contacts.
///
/// # Errors
/// What the SDK says, for instance that the profile is locked.
pub async fn open(session: Arc<Account>) -> Result<Opened<Contacts, NoAct>, Error> {
    live::open(session, List(Contacts::default())).await
}

/// Sorts people as a list shows them.
fn rows(mut contacts: Vec<ContactInfo>) -> Vec<ContactRow> {
    contacts.sort_by_cached_key(|contact| {
        let name = contact.nickname.as_deref().or(contact.name.as_deref()).map(str::to_lowercase);
        (contact.blocked, name.is_none(), name, contact.account_id.clone())
    });
    contacts.dedup_by(|second, first| second.account_id == first.account_id);
    contacts.into_iter().map(|contact| ContactRow { key: contact.account_id.clone(), contact }).collect()
}

struct List(Contacts);

impl Screen for List {
    type State = Contacts;
    type Act = NoAct;

    async fn read(&mut self, session: &Account) -> Result<(), Error> {
        let mut contacts = sdk::contacts(session, false).await?;
        contacts.extend(sdk::contacts(session, true).await?);
        self.0 = Contacts { loaded: true, rows: rows(contacts) };
        Ok(())
    }

    fn hear(&mut self, event: &Event, _: u64) -> Heard {
        match event {
            Event::Chat { .. } => Heard::Stale,
            // Whoever writes for the first time becomes known.
            Event::Message(message) if !self.0.rows.iter().any(|row| row.key == message.chat) => Heard::Stale,
            _ => Heard::Nothing,
        }
    }

    async fn act(&mut self, _: &Arc<Account>, act: NoAct) -> Result<Value, Error> {
        match act {}
    }

    fn state(&self, _: u64) -> Contacts {
        self.0.clone()
    }

    fn next_change(&self, _: u64) -> Option<u64> {
        None
    }

    async fn due(&mut self, _: &Account, _: u64) -> Heard {
        Heard::Nothing
    }

    fn forget(&mut self) {
        self.0 = Contacts::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_stand_by_what_one_calls_them() {
        let contact = |id: &str, name: Option<&str>, nickname: Option<&str>, blocked| ContactInfo {
            account_id: id.to_owned(),
            name: name.map(str::to_owned),
            nickname: nickname.map(str::to_owned),
            approved: true,
            approved_me: true,
            blocked,
            picture: None,
        };
        let rows = rows(vec![
            contact("1", Some("zoe"), None, false),
            contact("2", None, None, false),
            contact("3", Some("Zoe"), Some("Anna"), false),
            contact("4", Some("Aaron"), None, true),
            contact("5", Some("Bob"), None, false),
        ]);
        let keys: Vec<_> = rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["3", "5", "1", "2", "4"]);
    }
}
